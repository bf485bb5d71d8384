/* Whether probabilities mean what they say: reliability diagram, expected calibration error, temperature scaling (Guo et al. 2017). */
#ifndef RN_JUDGE_CALIBRATION_H
#define RN_JUDGE_CALIBRATION_H

#include "base/error.h"

#define RN_RELIABILITY_BINS 15

/* Bin b holds answers whose largest probability is in (b / 15, (b + 1) / 15]; bin 0 also what is 0. */
typedef struct rn_reliability {
    int items; /* all of them; those whose largest probability is not finite are in no bin */
    int count[RN_RELIABILITY_BINS], correct[RN_RELIABILITY_BINS];
    double confidence[RN_RELIABILITY_BINS]; /* mean of the largest probability, 0 in an empty bin */
    double accuracy[RN_RELIABILITY_BINS];   /* correct / count, 0 in an empty bin */
    double ece;                             /* sum over bins of |sum of the largest probabilities - correct| / items; 0 without items */
} rn_reliability;

/* probability [items][classes], the first of equals is the answer; label [items]. Sums are double, in item order. */
void rn_reliability_measure(const float *probability, const int *label, int items, int classes, rn_reliability *reliability);

/* The same of yes-or-no questions: `confidence` is the probability itself, `correct` counts where the truth is yes. */
void rn_reliability_measure_several(const float *probability, const unsigned char *truth, int items, int classes,
                                    rn_reliability *reliability);

#define RN_TEMPERATURE_LEAST 0.05
#define RN_TEMPERATURE_MOST 20.0

/* The temperature T in [0.05, 20] with the least mean loss, where an item's probabilities are the mean over its windows of
 * softmax(logits / T) and its loss is -log of its label's.
 *
 * logits       [windows][classes]
 * first        [items + 1]; item i has windows first[i] .. first[i + 1] - 1, at least one
 * label        [items]
 * temperature  the coldest of equals, but 1 where nothing is better than 1: without items, with one class, with logits that are all equal,
 *              with a loss of 0. At the lower bound if every window answers right: the colder, the better; at the upper one if the
 *              logits know less than a guess
 * loss_before, loss_after  the mean loss at 1 and at T, after <= before; 0 without items; never infinite
 *
 * Searches log T on a grid of 61, since with several windows an item the loss may have more than one valley, then halves the interval
 * around the best point by the sign of the derivative, to 1e-11: about 100 passes over the logits, in item order, in double. Allocates
 * nothing. RN_ERR_ARG: a label outside, an item without windows; RN_ERR_NUMBER: a logit that is not finite. */
int rn_temperature_fit(const float *logits, const int *first, const int *label, int items, int classes, double *temperature,
                       double *loss_before, double *loss_after, rn_error *err);

/* The same with several labels: probabilities are means over windows of sigmoid(logits / T), the loss is the mean over classes of -log of the right
 * answer's. truth [items][classes], 0 or 1. */
int rn_temperature_fit_several(const float *logits, const int *first, const unsigned char *truth, int items, int classes,
                               double *temperature, double *loss_before, double *loss_after, rn_error *err);
int rn_temperature_apply_several(const float *logits, const int *first, int items, int classes, double temperature, float *probability,
                                 rn_error *err);

/* probability [items][classes]: the mean over windows of softmax(logits / T) in double, in window order, rounded once. At T = 1 the same
 * bits as rn_answers_collect. temperature > 0. RN_ERR_ARG: an item without windows; RN_ERR_MEMORY. */
int rn_temperature_apply(const float *logits, const int *first, int items, int classes, double temperature, float *probability,
                         rn_error *err);

#endif
