/* Metrics of answers with several labels: every class a yes-or-no question.
 *
 * Average precision and ROC area are those of judge/curves.h; macro is the mean over classes that some item has (for ROC, and some has not),
 * micro takes all items and classes as one list. A class is answered where its probability reaches its threshold. */
#include <math.h>
#include <stdlib.h>

#include "judge/calibration.h"
#include "judge/curves.h"
#include "judge/evaluate.h"

int rn_answers_right(const rn_answers *a, int i)
{
    if (!a->truth)
        return rn_answers_best(a, i) == a->label[i];
    int right = 1;
    for (int c = 0; c < a->classes; c++)
        right &= ((double)a->probability[(int64_t)i * a->classes + c] >= a->threshold[c]) == a->truth[(int64_t)i * a->classes + c];
    return right;
}

static void count_item(const rn_answers *a, rn_metrics *m, int i)
{
    int right = 1;
    for (int c = 0; c < a->classes; c++) {
        int64_t at = (int64_t)i * a->classes + c;
        rn_class_metrics *k = &m->per_class[c];
        int yes = (double)a->probability[at] >= a->threshold[c], has = a->truth[at];
        k->support += has;
        k->predicted += yes;
        k->right += yes && has;
        right &= yes == has;
    }
    m->correct += right;
    m->loss += a->loss[i];
}

static double f1(double right, double support, double predicted)
{
    return right > 0 ? 2 * right / (support + predicted) : 0;
}

/* The curve's figures for one class; score and positive have room for every item. */
static int judge_class(const rn_answers *a, rn_class_metrics *k, int c, double *score, unsigned char *positive, rn_error *err)
{
    rn_curve curve;
    for (int i = 0; i < a->items; i++) {
        score[i] = a->probability[(int64_t)i * a->classes + c];
        positive[i] = a->truth[(int64_t)i * a->classes + c];
    }
    int status = rn_curve_areas(score, positive, a->items, &curve, err);
    if (status)
        return status;
    k->average_precision = curve.positives ? curve.average_precision : NAN;
    k->roc_area = curve.roc_area;
    k->recall = k->support ? (double)k->right / k->support : 0;
    k->precision = k->predicted ? (double)k->right / k->predicted : 0;
    k->f1 = f1(k->right, k->support, k->predicted);
    return 0;
}

static void average_classes(rn_metrics *m)
{
    int present = 0, told_apart = 0;
    double right = 0, support = 0, predicted = 0;
    for (int c = 0; c < m->classes; c++) {
        const rn_class_metrics *k = &m->per_class[c];
        right += k->right;
        support += k->support;
        predicted += k->predicted;
        if (!isnan(k->roc_area)) {
            told_apart++;
            m->macro_roc_area += k->roc_area;
        }
        if (!k->support)
            continue;
        present++;
        m->macro_accuracy += k->average_precision;
        m->macro_f1 += k->f1;
    }
    m->macro_roc_area = told_apart ? m->macro_roc_area / told_apart : NAN;
    if (present) {
        m->macro_accuracy /= present;
        m->macro_f1 /= present;
    }
    m->micro_f1 = f1(right, support, predicted);
}

int rn_metrics_several(const rn_answers *a, rn_metrics *m, rn_error *err)
{
    size_t all = (size_t)a->items * (size_t)a->classes;
    if (all > INT32_MAX)
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%d items of %d classes: more than 2^31 answers cannot be judged as one list", a->items,
                            a->classes);
    double *score = malloc((all + 1) * sizeof *score);
    rn_curve micro;
    rn_reliability reliability;
    int status = 0;
    if (!score)
        return rn_error_memory(err, "figures of several labels", (unsigned long long)all * sizeof *score);
    for (int i = 0; i < a->items; i++)
        count_item(a, m, i);
    unsigned char *positive = malloc((size_t)a->items + 1);
    if (!positive)
        status = rn_error_memory(err, "figures of several labels", (unsigned long long)a->items);
    for (int c = 0; c < a->classes && !status; c++)
        status = judge_class(a, &m->per_class[c], c, score, positive, err);
    for (size_t i = 0; i < all; i++)
        score[i] = a->probability[i];
    if (!status && !(status = rn_curve_areas(score, a->truth, (int)all, &micro, err))) {
        m->micro_average_precision = micro.average_precision;
        average_classes(m);
        rn_reliability_measure_several(a->probability, a->truth, a->items, a->classes, &reliability);
        m->ece = reliability.ece;
        m->accuracy = a->items ? (double)m->correct / a->items : 0;
        m->loss = a->items ? m->loss / a->items : 0;
    }
    free(positive);
    free(score);
    return status;
}
