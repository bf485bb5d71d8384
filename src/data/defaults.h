/* What training uses unless told otherwise, taken from the data. */
#ifndef RN_DATA_DEFAULTS_H
#define RN_DATA_DEFAULTS_H

#include "data/dataset.h"

typedef struct rn_defaults {
    int rate;             /* Hz: the commonest of the files, the higher of equals, 48,000 at most; 0 for arrays */
    double seconds;       /* median length of the items, 1 to 5, in tenths; 0 for arrays */
    double total_seconds; /* of all items, by their headers */
    int epochs, batch;
    double learning_rate;
    char message[320]; /* about a rate above the cap, or rates that differ: one sentence, "" if there is nothing to say */
} rn_defaults;

/* Reads headers only, in parallel (a file without one in its header counts by its size). Items that cannot be opened are passed over;
 * an error if none can. Sizes count the items of the training part where there are parts, else 70 % of all. */
int rn_defaults_from(const rn_dataset *dataset, rn_pool *pool, rn_progress_fn progress, void *context, rn_defaults *out, rn_error *err);

/* Epochs, batch and learning rate for a training part of n items (recordings or arrays):
 * epochs = 24,500 / n, from 5 to 60 (3,055 items: 8); batch = 32, 16 below 512 items and 8 below 128, 64 from 50,000 items on;
 * learning rate = 0.05 * batch / 32. */
void rn_defaults_for_size(int n, int *epochs, int *batch, double *learning_rate);

/* Has every class enough items and sources? RN_ERR_DATA names the class and says what to add. needed: 3, or 2 with --no-test or
 * --no-validation, 1 with both. Items marked bad do not count. rn_split_make checks the same and more; this is for before any work. */
int rn_defaults_enough(const rn_dataset *dataset, int needed, rn_error *err);

#endif
