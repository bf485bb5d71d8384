/* One call for what `eval` prints and what a report draws. */
#include "judge/judgement.h"

#include <stdlib.h>

static int curves(rn_judgement *j, const rn_answers *a, rn_error *err)
{
    int status = 0, n = a->items;
    double *score = malloc(((size_t)n + 1) * sizeof *score);
    unsigned char *positive = malloc((size_t)n + 1);
    if (!score || !positive)
        status = rn_error_memory(err, "curves", (unsigned long long)n * sizeof *score);
    for (int c = 0; c < a->classes && !status; c++) {
        for (int i = 0; i < n; i++) {
            score[i] = a->probability[(int64_t)i * a->classes + c];
            positive[i] = a->label[i] == c;
        }
        status = rn_curve_compute(score, positive, n, &j->curves[c], err);
    }
    free(score);
    free(positive);
    return status;
}

static int calibrate(rn_judgement *j, const rn_answers *a, rn_error *err)
{
    double before;
    rn_reliability_measure(a->probability, a->label, a->items, a->classes, &j->reliability);
    int status = rn_temperature_fit(a->logits, a->first, a->label, a->items, a->classes, &j->temperature, &before, &j->best_loss, err);
    if (status)
        return status;
    float *scaled = malloc(((size_t)a->items * (size_t)a->classes + 1) * sizeof *scaled);
    if (!scaled)
        return rn_error_memory(err, "calibrated probabilities",
                               (unsigned long long)a->items * (unsigned long long)a->classes * sizeof *scaled);
    status = rn_temperature_apply(a->logits, a->first, a->items, a->classes, j->temperature, scaled, err);
    if (!status)
        rn_reliability_measure(scaled, a->label, a->items, a->classes, &j->scaled);
    free(scaled);
    return status;
}

int rn_judgement_compute(const rn_answers *answers, rn_judgement **judgement, rn_error *err)
{
    int status = 0;
    *judgement = NULL;
    rn_judgement *j = calloc(1, sizeof *j);
    if (j) {
        j->classes = answers->classes;
        j->curves = calloc((size_t)j->classes + 1, sizeof *j->curves);
    }
    if (!j || !j->curves)
        status = rn_error_memory(err, "curves", (unsigned long long)answers->classes * sizeof *j->curves);
    if (!status && !(status = curves(j, answers, err)) && !(status = calibrate(j, answers, err)))
        status =
            rn_suspects_find(answers->probability, answers->label, answers->items, answers->classes, &j->suspects, &j->suspects_count, err);
    if (!status) {
        *judgement = j;
        j = NULL;
    }
    rn_judgement_close(&j);
    return status;
}

void rn_judgement_close(rn_judgement **judgement)
{
    rn_judgement *j = *judgement;
    if (!j)
        return;
    for (int c = 0; j->curves && c < j->classes; c++)
        rn_curve_close(&j->curves[c]);
    free(j->curves);
    free(j->suspects);
    free(j);
    *judgement = NULL;
}
