/* What answers say about a network: accuracy with its interval, per-class figures, confusion, calibration, the worst items.
 *
 * Wilson 1927: centre (p + z^2 / 2n) / (1 + z^2 / n), half width z sqrt(p (1 - p) / n + z^2 / 4n^2) / (1 + z^2 / n), z = 1.96 to 16 digits.
 * All sums are double, in item order. */
#include <math.h>
#include <stdlib.h>

#include "judge/calibration.h"
#include "judge/evaluate.h"

int rn_likeliest(const float *probability, int classes)
{
    int best = 0;
    for (int c = 1; c < classes; c++)
        if (probability[c] > probability[best])
            best = c;
    return best;
}

int rn_answers_best(const rn_answers *answers, int i)
{
    return rn_likeliest(answers->probability + (int64_t)i * answers->classes, answers->classes);
}

void rn_wilson(int correct, int items, double *low, double *high)
{
    const double z = 1.959963984540054;
    *low = 0;
    *high = 1;
    if (items <= 0)
        return;
    double n = items, p = correct / n, whole = 1 + z * z / n;
    double centre = (p + z * z / (2 * n)) / whole;
    double half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / whole;
    *low = correct == 0 || centre - half < 0 ? 0 : centre - half;
    *high = correct == items || centre + half > 1 ? 1 : centre + half;
}

/* Classes that are likelier than the true one; equal ones count if their index is lower. */
static int rank(const float *p, int classes, int label)
{
    int above = 0;
    for (int c = 0; c < classes; c++)
        above += p[c] > p[label] || (p[c] == p[label] && c < label);
    return above;
}

static void count_answers(const rn_answers *a, rn_metrics *m)
{
    int in_top5 = 0;
    for (int i = 0; i < a->items; i++) {
        const float *p = a->probability + (int64_t)i * a->classes;
        int best = rn_answers_best(a, i), label = a->label[i], right = best == label;
        m->correct += right;
        m->confusion[(int64_t)label * a->classes + best]++;
        m->per_class[label].support++;
        m->per_class[best].predicted++;
        in_top5 += rank(p, a->classes, label) < 5;
        m->loss += a->loss[i];
    }
    rn_reliability reliability;
    rn_reliability_measure(a->probability, a->label, a->items, a->classes, &reliability);
    m->ece = reliability.ece;
    if (a->items) {
        m->accuracy = (double)m->correct / a->items;
        m->top5 = (double)in_top5 / a->items;
        m->loss /= a->items;
    }
}

static void per_class(rn_metrics *m)
{
    int present = 0;
    for (int c = 0; c < m->classes; c++) {
        rn_class_metrics *k = &m->per_class[c];
        int right = m->confusion[(int64_t)c * m->classes + c];
        k->recall = k->support ? (double)right / k->support : 0;
        k->precision = k->predicted ? (double)right / k->predicted : 0;
        k->f1 = right ? 2.0 * right / ((double)k->support + k->predicted) : 0;
        present += k->support > 0;
        m->macro_accuracy += k->recall;
    }
    if (present)
        m->macro_accuracy /= present;
}

int rn_metrics_compute(const rn_answers *answers, rn_metrics **metrics, rn_error *err)
{
    *metrics = NULL;
    int classes = answers->classes;
    for (int i = 0; i < answers->items; i++)
        if (answers->label[i] < 0 || answers->label[i] >= classes)
            return rn_error_set(err, RN_ERR_ARG, "answer %d has class %d, the network has %d classes", i, answers->label[i], classes);
    rn_metrics *m = calloc(1, sizeof *m);
    if (m) {
        m->per_class = calloc((size_t)classes + 1, sizeof *m->per_class);
        m->several = answers->truth != NULL;
        m->confusion = m->several ? NULL : calloc((size_t)classes * (size_t)classes + 1, sizeof *m->confusion);
    }
    if (!m || !m->per_class || (!m->confusion && !m->several)) {
        rn_metrics_close(&m);
        return rn_error_memory(err, "the confusion table", (unsigned long long)classes * (unsigned long long)classes * sizeof(int));
    }
    m->items = answers->items;
    m->classes = classes;
    if (m->several) {
        int status = rn_metrics_several(answers, m, err);
        if (status) {
            rn_metrics_close(&m);
            return status;
        }
    } else {
        count_answers(answers, m);
        per_class(m);
    }
    rn_wilson(m->correct, m->items, &m->wilson_low, &m->wilson_high);
    *metrics = m;
    return 0;
}

json_t *rn_metrics_confusion(const rn_metrics *m)
{
    json_t *rows = json_array();
    int failed = !rows;
    for (int i = 0; i < m->classes && !failed; i++) {
        json_t *row = json_array();
        failed = !row;
        for (int j = 0; j < m->classes && !failed; j++)
            failed = json_array_append_new(row, json_integer(m->confusion[(int64_t)i * m->classes + j]));
        failed = json_array_append_new(rows, row) || failed;
    }
    if (failed) {
        json_decref(rows);
        rows = NULL;
    }
    return rows;
}

void rn_metrics_close(rn_metrics **metrics)
{
    if (!*metrics)
        return;
    free((*metrics)->per_class);
    free((*metrics)->confusion);
    free(*metrics);
    *metrics = NULL;
}

/* Selection by insertion into a short sorted list: n is small, answers may be many. */
int rn_answers_worst(const rn_answers *answers, int n, int *order)
{
    int count = 0;
    for (int i = 0; i < answers->items; i++) {
        double loss = answers->loss[i];
        int at = count;
        /* NaN counts as worse than any number: an answer without a value is what one looks for first. */
        while (at > 0 && (isnan(loss) ? !isnan(answers->loss[order[at - 1]]) : answers->loss[order[at - 1]] < loss))
            at--;
        if (at >= n)
            continue;
        int last = count < n ? count : n - 1;
        for (int j = last; j > at; j--)
            order[j] = order[j - 1];
        order[at] = i;
        count = last + 1;
    }
    return count;
}
