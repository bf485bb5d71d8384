/* What a score says about a yes-or-no question at every threshold: receiver operating characteristic and precision-recall curve.
 *
 * The figures are those of scikit-learn (roc_curve with drop_intermediate=False, roc_auc_score, precision_recall_curve,
 * average_precision_score) to 1e-9: Fawcett 2006; average precision without interpolation, sum of (R_k - R_(k-1)) P_k. */
#ifndef RN_JUDGE_CURVES_H
#define RN_JUDGE_CURVES_H

#include "base/error.h"

/* One curve for both pictures. Point 0 answers "no" to everything; point k answers "yes" to scores >= threshold[k]; the last answers "yes"
 * to everything. Equal scores are one point. Thresholds fall, rates do not. */
typedef struct rn_curve {
    int items, positives;        /* with a score that is a number */
    int left_out;                /* items whose score is NaN: part of nothing here */
    int points;                  /* distinct scores + 1; 1 without items */
    double *threshold;           /* [points]; +inf at point 0 */
    double *false_positive_rate; /* [points]; all NaN if no item is negative */
    double *true_positive_rate;  /* [points]; the recall of the precision-recall curve; all NaN if no item is positive */
    double *precision;           /* [points]; 1 at point 0 */
    double roc_area;             /* NaN if items are all positive, all negative, or none: there is nothing to tell apart */
    double average_precision;    /* 0 if no item is positive, as scikit-learn has it: ask `positives` before showing it */
} rn_curve;

/* score [n] in any range, infinities too; positive [n] 0 or 1. O(n log n). Counts are integers, and average_precision is summed point by
 * point: the order of items changes no bit. The curve is the caller's (rn_curve_close). RN_ERR_ARG if n is negative; RN_ERR_MEMORY. */
int rn_curve_compute(const double *score, const unsigned char *positive, int n, rn_curve **curve, rn_error *err);
/* The counts and areas alone: no points, nothing to close. */
int rn_curve_areas(const double *score, const unsigned char *positive, int n, rn_curve *areas, rn_error *err);
void rn_curve_close(rn_curve **curve);

#endif
