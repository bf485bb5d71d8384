/* The report of an evaluation: one HTML file that needs no other, for people who must decide whether to trust a model.
 *
 * It can be read without JavaScript (links, details, players are the browser's own) and printed. */
#ifndef RN_REPORT_REPORT_H
#define RN_REPORT_REPORT_H

#include "data/check.h"
#include "data/loader.h"
#include "judge/judgement.h"
#include "models/model.h"
#include "report/page.h"

typedef struct rn_report {
    const rn_model *model;
    const char *part;    /* "test", ..., "all" */
    const char *command; /* of this evaluation, as typed */
    const json_t *run;   /* RUN/run.json of the training; NULL: not found */
    int trained_on;      /* items of the data set that the model was trained on; -1: not known */
    const rn_dataset *dataset;
    const rn_answers *answers; /* with logits and, if the network has one, embeddings */
    const rn_metrics *metrics;
    const rn_judgement *judgement;
    const rn_check *check; /* NULL: arrays */
    rn_loader *loader;
    rn_pool *pool;
    rn_progress_fn progress; /* thousandths of the work; NULL: none */
    void *context;
} rn_report;

/* "The test part of the data set (60 items); the model was trained on ..." */
void rn_report_part(rn_page *page, const rn_report *report);

/* Atomic; below 5 MB for 1,000 items. Errors of reading, RN_ERR_IO, RN_ERR_MEMORY, RN_ERR_CANCELLED. */
int rn_report_write(const rn_report *report, const char *path, rn_error *err);

#endif
