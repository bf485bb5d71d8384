/* The classifier of one number: how well does the quiet level of a recording alone tell its class? Recordings made in different rooms or by
 * different equipment differ in their background noise, and a network may learn that instead of what it is meant to. */
#ifndef RN_DATA_LEVEL_H
#define RN_DATA_LEVEL_H

#include "data/dataset.h"

/* 20 log10(p + 1e-6), p the 5th percentile (interpolated) of the root mean square of frames of 20 ms every 10 ms. NaN for no samples, or if
 * memory is out. */
double rn_level_db(const float *samples, int64_t count, int rate);

/* Decodes every item and fills level_db [items]; NaN for those that cannot be decoded, are marked bad, or are arrays. */
int rn_level_measure(const rn_dataset *dataset, rn_pool *pool, rn_progress_fn progress, void *context, double *level_db, rn_error *err);

typedef struct rn_level_result {
    int items;                       /* judged; 0: nothing to judge or to learn from */
    double accuracy, macro_accuracy; /* macro: mean over the classes present */
    double chance;                   /* share of the largest class among the judged */
} rn_level_result;

/* 25 nearest neighbours on level_db (fewer where there are fewer; of equal distances the order of items decides); most votes win, the lower
 * class of equals. judged RN_PART_TEST or RN_PART_VALIDATION: that part, the training part being known. RN_PART_NONE: all items, in
 * 5 folds by source. Items whose level is NaN are left out. */
int rn_level_accuracy(const rn_dataset *dataset, const double *level_db, rn_part judged, rn_level_result *result, rn_error *err);

#endif
