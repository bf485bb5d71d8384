/* All that answers say beyond the metrics: a curve for every class, calibration, and labels that are likely wrong. */
#ifndef RN_JUDGE_JUDGEMENT_H
#define RN_JUDGE_JUDGEMENT_H

#include "judge/calibration.h"
#include "judge/curves.h"
#include "judge/evaluate.h"
#include "judge/suspects.h"

typedef struct rn_judgement {
    int classes;
    rn_curve **curves;             /* [classes] this class or another, by its probability */
    rn_reliability reliability;    /* of the answers as they are; with several labels, of every class's */
    double temperature, best_loss; /* which fits these very answers best, and the mean loss with it */
    rn_reliability scaled;         /* at that temperature */
    rn_suspect *suspects;          /* none with several labels */
    int suspects_count;
    double *thresholds; /* [classes] with several labels: which has the best F1 on these very answers at that temperature; else NULL */
} rn_judgement;

/* Of answers with their windows' logits (rn_judging.windows). */
int rn_judgement_compute(const rn_answers *answers, rn_judgement **judgement, rn_error *err);
void rn_judgement_close(rn_judgement **judgement);

#endif
