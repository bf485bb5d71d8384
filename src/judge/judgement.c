/* One call for what `eval` prints and what a report draws. */
#include "judge/judgement.h"

#include <stdlib.h>

/* Class c of the answers as a question: its probabilities and where they should be high. */
static void ask(const rn_answers *a, const float *probability, int c, double *score, unsigned char *positive)
{
    for (int i = 0; i < a->items; i++) {
        int64_t at = (int64_t)i * a->classes + c;
        score[i] = probability[at];
        positive[i] = a->truth ? a->truth[at] : a->label[i] == c;
    }
}

static int curves(rn_judgement *j, const rn_answers *a, double *score, unsigned char *positive, rn_error *err)
{
    int status = 0;
    for (int c = 0; c < a->classes && !status; c++) {
        ask(a, a->probability, c, score, positive);
        status = rn_curve_compute(score, positive, a->items, &j->curves[c], err);
    }
    return status;
}

/* Half way between the lowest score that is a "yes" at the best F1 and the next below it; 0.5 for a class that no item has. */
static double best_threshold(const rn_curve *k)
{
    double best = 0, threshold = 0.5;
    for (int p = 1; p < k->points && k->positives; p++) {
        double sum = k->precision[p] + k->true_positive_rate[p], f1 = sum > 0 ? 2 * k->precision[p] * k->true_positive_rate[p] / sum : 0;
        if (f1 <= best)
            continue;
        best = f1;
        threshold = (k->threshold[p] + (p + 1 < k->points ? k->threshold[p + 1] : 0)) / 2;
    }
    return threshold;
}

static int find_thresholds(rn_judgement *j, const rn_answers *a, const float *scaled, double *score, unsigned char *positive, rn_error *err)
{
    int status = 0;
    if (!(j->thresholds = malloc(((size_t)a->classes + 1) * sizeof *j->thresholds)))
        return rn_error_memory(err, "thresholds", (unsigned long long)a->classes * sizeof *j->thresholds);
    for (int c = 0; c < a->classes && !status; c++) {
        rn_curve *curve = NULL;
        ask(a, scaled, c, score, positive);
        if (!(status = rn_curve_compute(score, positive, a->items, &curve, err)))
            j->thresholds[c] = best_threshold(curve);
        rn_curve_close(&curve);
    }
    return status;
}

static int calibrate(rn_judgement *j, const rn_answers *a, double *score, unsigned char *positive, rn_error *err)
{
    double before;
    int n = a->items, classes = a->classes, status;
    float *scaled = malloc(((size_t)n * (size_t)classes + 1) * sizeof *scaled);
    if (!scaled)
        return rn_error_memory(err, "calibrated probabilities", (unsigned long long)n * (unsigned long long)classes * sizeof *scaled);
    if (a->truth) {
        rn_reliability_measure_several(a->probability, a->truth, n, classes, &j->reliability);
        if (!(status =
                  rn_temperature_fit_several(a->logits, a->first, a->truth, n, classes, &j->temperature, &before, &j->best_loss, err)) &&
            !(status = rn_temperature_apply_several(a->logits, a->first, n, classes, j->temperature, scaled, err))) {
            rn_reliability_measure_several(scaled, a->truth, n, classes, &j->scaled);
            status = find_thresholds(j, a, scaled, score, positive, err);
        }
    } else {
        rn_reliability_measure(a->probability, a->label, n, classes, &j->reliability);
        if (!(status = rn_temperature_fit(a->logits, a->first, a->label, n, classes, &j->temperature, &before, &j->best_loss, err)) &&
            !(status = rn_temperature_apply(a->logits, a->first, n, classes, j->temperature, scaled, err)))
            rn_reliability_measure(scaled, a->label, n, classes, &j->scaled);
    }
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
    double *score = malloc(((size_t)answers->items + 1) * sizeof *score);
    unsigned char *positive = malloc((size_t)answers->items + 1);
    if (!j || !j->curves || !score || !positive)
        status = rn_error_memory(err, "curves", (unsigned long long)answers->classes * sizeof *j->curves);
    if (!status && !(status = curves(j, answers, score, positive, err)) && !(status = calibrate(j, answers, score, positive, err)) &&
        !answers->truth)
        status =
            rn_suspects_find(answers->probability, answers->label, answers->items, answers->classes, &j->suspects, &j->suspects_count, err);
    if (!status) {
        *judgement = j;
        j = NULL;
    }
    rn_judgement_close(&j);
    free(score);
    free(positive);
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
    free(j->thresholds);
    free(j);
    *judgement = NULL;
}
