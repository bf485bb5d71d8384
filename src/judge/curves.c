/* Curves of a yes-or-no question: items sorted by falling score, counts of true and false "yes" at the end of each run of equal scores.
 *
 * The area under the ROC curve is that of trapezoids, counted in integers: with runs k of p_k positives and n_k negatives,
 * 2 P N area = sum of n_k (2 (p_1 + ... + p_(k-1)) + p_k), at most 2^61. Average precision: (1 / P) sum of p_k precision_k. */
#include "judge/curves.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct scored {
    double score;
    int positive;
} scored;

static int by_falling_score(const void *a, const void *b)
{
    double p = ((const scored *)a)->score, q = ((const scored *)b)->score;
    return (p < q) - (p > q);
}

static scored *sort_items(const double *score, const unsigned char *positive, int n, rn_curve *curve)
{
    scored *sorted = malloc(((size_t)n + 1) * sizeof *sorted);
    for (int i = 0; sorted && i < n; i++) {
        if (isnan(score[i])) {
            curve->left_out++;
            continue;
        }
        sorted[curve->items++] = (scored){score[i], positive[i] != 0};
        curve->positives += positive[i] != 0;
    }
    if (sorted)
        qsort(sorted, (size_t)curve->items, sizeof *sorted, by_falling_score);
    return sorted;
}

static int allocate(rn_curve *c)
{
    size_t room = (size_t)c->items + 1;
    c->threshold = malloc(room * sizeof *c->threshold);
    c->false_positive_rate = malloc(room * sizeof *c->false_positive_rate);
    c->true_positive_rate = malloc(room * sizeof *c->true_positive_rate);
    c->precision = malloc(room * sizeof *c->precision);
    return c->threshold && c->false_positive_rate && c->true_positive_rate && c->precision;
}

static void set_point(rn_curve *c, double threshold, int true_yes, int false_yes, double precision)
{
    int at = c->points++, negatives = c->items - c->positives;
    if (!c->threshold) /* only the areas are wanted */
        return;
    c->threshold[at] = threshold;
    c->false_positive_rate[at] = negatives ? (double)false_yes / negatives : NAN;
    c->true_positive_rate[at] = c->positives ? (double)true_yes / c->positives : NAN;
    c->precision[at] = precision;
}

static void trace(rn_curve *c, const scored *sorted)
{
    int true_yes = 0, false_yes = 0, negatives = c->items - c->positives;
    int64_t doubled = 0;
    double sum = 0;
    set_point(c, INFINITY, 0, 0, 1);
    for (int i = 0; i < c->items;) {
        int p = 0, n = 0;
        double score = sorted[i].score;
        for (; i < c->items && sorted[i].score == score; i++) {
            p += sorted[i].positive;
            n += !sorted[i].positive;
        }
        doubled += (int64_t)n * (2 * (int64_t)true_yes + p);
        true_yes += p;
        false_yes += n;
        double precision = (double)true_yes / (true_yes + false_yes);
        set_point(c, score, true_yes, false_yes, precision);
        sum += p * precision;
    }
    c->roc_area = c->positives && negatives ? (double)doubled / (2.0 * c->positives * negatives) : NAN;
    c->average_precision = c->positives ? sum / c->positives : 0;
}

static int compute(const double *score, const unsigned char *positive, int n, int points, rn_curve *c, rn_error *err)
{
    if (n < 0)
        return rn_error_set(err, RN_ERR_ARG, "a curve of %d items: give 0 or more", n);
    scored *sorted = sort_items(score, positive, n, c);
    int short_of_memory = !sorted || (points && !allocate(c));
    if (!short_of_memory)
        trace(c, sorted);
    free(sorted);
    return short_of_memory ? rn_error_memory(err, "a curve", (unsigned long long)n * (sizeof *sorted + (points ? 4 * sizeof(double) : 0))) : 0;
}

int rn_curve_areas(const double *score, const unsigned char *positive, int n, rn_curve *areas, rn_error *err)
{
    *areas = (rn_curve){0};
    return compute(score, positive, n, 0, areas, err);
}

int rn_curve_compute(const double *score, const unsigned char *positive, int n, rn_curve **curve, rn_error *err)
{
    rn_curve *c = calloc(1, sizeof *c);
    int status = c ? compute(score, positive, n, 1, c, err) : rn_error_memory(err, "a curve", sizeof *c);
    if (status)
        rn_curve_close(&c);
    *curve = c;
    return status;
}

void rn_curve_close(rn_curve **curve)
{
    rn_curve *c = *curve;
    if (!c)
        return;
    free(c->threshold);
    free(c->false_positive_rate);
    free(c->true_positive_rate);
    free(c->precision);
    free(c);
    *curve = NULL;
}
