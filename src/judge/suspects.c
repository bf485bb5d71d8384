/* Confident learning (Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", 2021): an item counts
 * against its label where the network is at least as sure of another class as it is, on average, of the items labelled so.
 *
 * Details as cleanlab 2.9 has them, so that the two name the same items: thresholds are at least 2e-6; of several classes that are reached,
 * the likeliest of all classes is taken. Thresholds are sums in double, in item order. */
#include "judge/suspects.h"

#include <math.h>
#include <stdlib.h>

#include "judge/evaluate.h"

#define SLACK 1e-6

static int is_finite(const float *p, int classes)
{
    for (int c = 0; c < classes; c++)
        if (!isfinite(p[c]))
            return 0;
    return 1;
}

/* [classes]; infinite for a class without items. */
static int find_thresholds(const float *probability, const int *label, int items, int classes, double *threshold, rn_error *err)
{
    int *support = calloc((size_t)classes + 1, sizeof *support);
    if (!support)
        return rn_error_memory(err, "thresholds of classes", (unsigned long long)classes * sizeof *support);
    for (int c = 0; c < classes; c++)
        threshold[c] = 0;
    for (int i = 0; i < items; i++) {
        const float *p = probability + (size_t)i * (size_t)classes;
        if (!is_finite(p, classes))
            continue;
        threshold[label[i]] += p[label[i]];
        support[label[i]]++;
    }
    for (int c = 0; c < classes; c++) {
        threshold[c] = support[c] ? threshold[c] / support[c] : INFINITY;
        if (threshold[c] < 2 * SLACK)
            threshold[c] = 2 * SLACK;
    }
    free(support);
    return 0;
}

/* Whether one item is a suspect; fills everything but the index. */
static int judge(const float *p, int label, int classes, const double *threshold, rn_suspect *s)
{
    int reached = 0, only = 0;
    double other = -INFINITY;
    for (int c = 0; c < classes; c++) {
        if (c != label && p[c] > other)
            other = p[c];
        if (p[c] >= threshold[c] - SLACK) {
            only = reached ? only : c;
            reached++;
        }
    }
    *s = (rn_suspect){
        .label = label, .likely = reached > 1 ? rn_likeliest(p, classes) : only, .self_confidence = p[label], .margin = p[label] - other};
    return is_finite(p, classes) && reached && s->likely != label && s->margin < -SLACK;
}

static int by_self_confidence(const void *a, const void *b)
{
    const rn_suspect *p = a, *q = b;
    if (p->self_confidence != q->self_confidence)
        return p->self_confidence < q->self_confidence ? -1 : 1;
    return (p->index > q->index) - (p->index < q->index);
}

int rn_suspects_find(const float *probability, const int *label, int items, int classes, rn_suspect **suspects, int *count, rn_error *err)
{
    *suspects = NULL;
    *count = 0;
    for (int i = 0; i < items; i++)
        if (label[i] < 0 || label[i] >= classes)
            return rn_error_set(err, RN_ERR_ARG, "item %d has class %d, the network has %d classes", i, label[i], classes);
    double *threshold = malloc(((size_t)classes + 1) * sizeof *threshold);
    rn_suspect *found = malloc(((size_t)items + 1) * sizeof *found);
    int status = 0, n = 0;
    if (!threshold || !found)
        status = rn_error_memory(err, "suspects", (unsigned long long)items * sizeof *found);
    else
        status = find_thresholds(probability, label, items, classes, threshold, err);
    for (int i = 0; !status && i < items; i++)
        if (judge(probability + (size_t)i * (size_t)classes, label[i], classes, threshold, &found[n]))
            found[n++].index = i;
    if (!status && n) {
        qsort(found, (size_t)n, sizeof *found, by_self_confidence);
        *suspects = found;
        *count = n;
        found = NULL;
    }
    free(found);
    free(threshold);
    return status;
}
