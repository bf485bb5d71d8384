/* A run's log.jsonl, read as it grows, and its progress.json. */
#ifndef RESNET_CLI_RUNLOG_H
#define RESNET_CLI_RUNLOG_H

#include <jansson.h>
#include <stdint.h>

#include "resnet.h"

typedef struct log_step {
    double step, loss; /* NaN where there is none; so below */
} log_step;

typedef struct log_epoch {
    int epoch; /* counts from 1 */
    double step, loss, accuracy, validation_loss, validation;
    int best;
} log_epoch;

typedef struct run_log {
    const char *folder;
    long offset; /* of what was read */
    int steps_count, epochs_count, steps_room, epochs_room;
    log_step *steps;
    log_epoch *epochs;
    /* from its first line; 0 or "" in logs that have none */
    int epochs_planned, train, validation;
    int64_t epoch_steps;
    char digest[40];
    int tested;
    double test, test_low, test_high;
    json_t *progress; /* an object, or NULL */
} run_log;

/* folder must outlive the log. */
void run_log_start(run_log *log, const char *folder);
/* Reads what is new; a log that was cut back is read anew. RN_ERR_IO if there is no log. Lines that are no JSON are passed over. */
int run_log_read(run_log *log, rn_error *err);
int run_log_find(const run_log *log, rn_error *err); /* 0: there is a log; else as run_log_read */
void run_log_free(run_log *log);

/* The best epoch so far (the last of those marked), or NULL. */
const log_epoch *run_log_best(const run_log *log);
/* 1: a process may still write. */
int run_log_goes_on(const run_log *log);
/* "training", "finished", ...; for people. */
const char *run_log_state(const run_log *log);

#endif
