/* train --compare RUN: is this run on the track of that one? */
#ifndef RESNET_CLI_COMPARE_H
#define RESNET_CLI_COMPARE_H

#include "runlog.h"

typedef struct comparison {
    run_log other, own;
    int ahead, behind, level; /* epochs so far */
} comparison;

/* What is known after as many items as this run has seen. */
typedef struct verdict {
    int by_loss;       /* 1: one of them has no validation, so the losses of training are compared */
    double own, other; /* accuracy or loss; NaN: that run has no figure so early */
    double best;       /* the other's best accuracy or lowest loss */
    int past;          /* the other run ended before; its last figure counts */
    const char *word;  /* "ahead", "behind", "level" */
} verdict;

/* Reads RUN's log; the names must outlive the comparison. */
int compare_start(comparison *c, const char *other, const char *own, rn_error *err);
/* After an epoch of this run, whose own log is read up to it. */
int compare_epoch(comparison *c, verdict *v, rn_error *err);
/* What makes the two differ before anything is learned, as sentences to `say`. Call it when the own log has begun. */
void compare_notes(comparison *c, void (*say)(const char *format, ...));
/* "compare   validation 71.3 % ..." at the end. */
void compare_print_end(const comparison *c);
void compare_free(comparison *c);

#endif
