/* Calibration (Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", 2017).
 *
 * Loss of item i at b = 1 / T, with l_w = log softmax(b z_w)[y] of its W windows: log W - log sum of exp(l_w), all in logarithms, so that
 * no temperature makes it infinite. Its derivative by b is minus the mean of z_wy - sum over j of softmax_j z_wj, weighted with exp(l_w);
 * that by log T is -b times this. */
#include "judge/calibration.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/maths.h"
#include "judge/evaluate.h"

#define BINS RN_RELIABILITY_BINS
#define HALF_GRID 30       /* points of the grid below and above T = 1 */
#define CLOSE_ENOUGH 1e-11 /* in log T */

/* No float but 0 and 1 lies on an edge: which bin an edge belongs to is a matter of these two. */
static int bin(float confidence)
{
    return confidence >= 1 ? BINS - 1 : confidence > 0 ? (int)((double)confidence * BINS) : 0;
}

/* Counts become shares. */
static void finish_reliability(rn_reliability *r, const double sums[BINS])
{
    for (int b = 0; b < BINS; b++) {
        r->ece += fabs(sums[b] - r->correct[b]);
        r->confidence[b] = r->count[b] ? sums[b] / r->count[b] : 0;
        r->accuracy[b] = r->count[b] ? (double)r->correct[b] / r->count[b] : 0;
    }
    if (r->items)
        r->ece /= r->items;
}

void rn_reliability_measure_several(const float *probability, const unsigned char *truth, int items, int classes, rn_reliability *r)
{
    double sums[BINS] = {0};
    *r = (rn_reliability){.items = items * classes};
    for (size_t i = 0; i < (size_t)items * (size_t)classes; i++) {
        if (!isfinite(probability[i]))
            continue;
        int b = bin(probability[i]);
        sums[b] += probability[i];
        r->count[b]++;
        r->correct[b] += truth[i];
    }
    finish_reliability(r, sums);
}

void rn_reliability_measure(const float *probability, const int *label, int items, int classes, rn_reliability *r)
{
    double sums[BINS] = {0};
    *r = (rn_reliability){.items = items};
    for (int i = 0; i < items; i++) {
        const float *p = probability + (size_t)i * (size_t)classes;
        int best = rn_likeliest(p, classes);
        if (!isfinite(p[best]))
            continue;
        int b = bin(p[best]);
        sums[b] += p[best];
        r->count[b]++;
        r->correct[b] += best == label[i];
    }
    finish_reliability(r, sums);
}

/* ---- Temperature ---- */

typedef struct answered {
    const float *logits;
    const int *first, *label;
    const unsigned char *truth; /* with several labels, instead of label */
    int items, classes;
} answered;

/* log softmax(b z)[label], and its derivative by b. */
static double log_probability(const float *z, int classes, int label, double b, double *slope)
{
    double largest = z[rn_likeliest(z, classes)], whole = 0, weighted = 0;
    for (int c = 0; c < classes; c++) {
        double below = z[c] - largest, e = rn_exp(below * b);
        whole += e;
        weighted += e * below;
    }
    double own = z[label] - largest;
    *slope = own - weighted / whole;
    return own * b - rn_log(whole);
}

/* The same with several labels. Both answers are summed over windows from e = exp(-|b z|), so that neither is a difference. */
static double mean_loss_several(const answered *a, double log_t, double *slope)
{
    double b = rn_exp(-log_t), loss = 0, derivative = 0;
    for (int i = 0; i < a->items; i++)
        for (int c = 0; c < a->classes; c++) {
            double right = 0, by_b = 0;
            int yes = a->truth[(size_t)i * (size_t)a->classes + (size_t)c], windows = a->first[i + 1] - a->first[i];
            for (int w = a->first[i]; w < a->first[i + 1]; w++) {
                double z = a->logits[(size_t)w * (size_t)a->classes + (size_t)c], toward = yes ? z : -z;
                double e = rn_exp(toward < 0 ? b * toward : -b * toward), p = (toward < 0 ? e : 1) / (1 + e);
                right += p;
                by_b += toward * p * ((toward < 0 ? 1 : e) / (1 + e));
            }
            right = right / windows < 0x1p-1022 ? 0x1p-1022 * windows : right;
            loss -= rn_log(right / windows);
            derivative += b * by_b / right;
        }
    *slope = derivative / a->items / a->classes;
    return loss / a->items / a->classes;
}

/* The mean loss, and its derivative by log T. The sum of exponentials over windows is kept relative to the largest so far. */
static double mean_loss(const answered *a, double log_t, double *slope)
{
    double b = rn_exp(-log_t), loss = 0, derivative = 0;
    if (a->truth)
        return mean_loss_several(a, log_t, slope);
    for (int i = 0; i < a->items; i++) {
        double largest = -INFINITY, sum = 0, weighted = 0;
        for (int w = a->first[i]; w < a->first[i + 1]; w++) {
            double by_b, l = log_probability(a->logits + (size_t)w * (size_t)a->classes, a->classes, a->label[i], b, &by_b);
            double keep = l > largest ? rn_exp(largest - l) : 1, weight = l > largest ? 1 : rn_exp(l - largest);
            sum = sum * keep + weight;
            weighted = weighted * keep + weight * by_b;
            largest = l > largest ? l : largest;
        }
        loss += rn_log(a->first[i + 1] - a->first[i]) - rn_log(sum) - largest;
        derivative += b * weighted / sum;
    }
    *slope = derivative / a->items;
    return loss / a->items;
}

static int check(const answered *a, rn_error *err)
{
    for (int i = 0; i < a->items; i++) {
        if (a->first[i + 1] <= a->first[i])
            return rn_error_set(err, RN_ERR_ARG, "item %d has no window: leave it out", i);
        if (a->label && (a->label[i] < 0 || a->label[i] >= a->classes))
            return rn_error_set(err, RN_ERR_ARG, "item %d has class %d, the network has %d classes", i, a->label[i], a->classes);
        for (size_t k = (size_t)a->first[i] * (size_t)a->classes;
             (a->label || a->truth) && k < (size_t)a->first[i + 1] * (size_t)a->classes; k++)
            if (!isfinite(a->logits[k]))
                return rn_error_set(err, RN_ERR_NUMBER, "item %d has a logit that is not a number: leave it out", i);
    }
    return 0;
}

/* log T of the least loss, which is written to *loss. `loss` comes in as that of T = 1, the answer if nothing is better. */
static double search(const answered *a, double *loss)
{
    double step = rn_log(RN_TEMPERATURE_MOST) / HALF_GRID, best = 0, slope, least = *loss;
    for (int k = -HALF_GRID; k <= HALF_GRID; k++) {
        double l = mean_loss(a, k * step, &slope);
        if (l < least) {
            least = l;
            best = k * step;
        }
    }
    double end = HALF_GRID * step, low = best - step < -end ? -end : best - step, high = best + step > end ? end : best + step;
    while (high - low > CLOSE_ENOUGH) {
        double middle = (low + high) / 2;
        mean_loss(a, middle, &slope);
        if (slope < 0)
            low = middle;
        else
            high = middle;
    }
    double found = (low + high) / 2, l = mean_loss(a, found, &slope);
    *loss = l < least ? l : least;
    return l < least ? found : best;
}

static int fit(const answered *a, double *temperature, double *loss_before, double *loss_after, rn_error *err)
{
    double slope;
    *temperature = 1;
    *loss_before = *loss_after = 0;
    int status = check(a, err);
    if (status || a->items < 1)
        return status;
    *loss_before = *loss_after = mean_loss(a, 0, &slope);
    double t = rn_exp(search(a, loss_after)), near = 1 + CLOSE_ENOUGH; /* a bound is that number, not one beside it */
    *temperature = t < RN_TEMPERATURE_LEAST * near ? RN_TEMPERATURE_LEAST : t > RN_TEMPERATURE_MOST / near ? RN_TEMPERATURE_MOST : t;
    return 0;
}

int rn_temperature_fit(const float *logits, const int *first, const int *label, int items, int classes, double *temperature,
                       double *loss_before, double *loss_after, rn_error *err)
{
    return fit(&(answered){logits, first, label, NULL, items, classes}, temperature, loss_before, loss_after, err);
}

int rn_temperature_fit_several(const float *logits, const int *first, const unsigned char *truth, int items, int classes,
                               double *temperature, double *loss_before, double *loss_after, rn_error *err)
{
    return fit(&(answered){logits, first, NULL, truth, items, classes}, temperature, loss_before, loss_after, err);
}

typedef void (*probabilities_fn)(const float *logits, int classes, double temperature, float *probability, double *sum);

static int apply(probabilities_fn fn, const float *logits, const int *first, int items, int classes, double temperature, float *probability,
                 rn_error *err)
{
    const answered a = {logits, first, NULL, NULL, items, classes};
    int status = check(&a, err);
    if (status)
        return status;
    double *mean = malloc(((size_t)classes + 1) * sizeof *mean);
    if (!mean)
        return rn_error_memory(err, "probabilities at a temperature", (unsigned long long)classes * sizeof *mean);
    for (int i = 0; i < items; i++) {
        memset(mean, 0, (size_t)classes * sizeof *mean);
        for (int w = first[i]; w < first[i + 1]; w++)
            fn(logits + (size_t)w * (size_t)classes, classes, temperature, NULL, mean);
        for (int c = 0; c < classes; c++)
            probability[(size_t)i * (size_t)classes + (size_t)c] = (float)(mean[c] / (first[i + 1] - first[i]));
    }
    free(mean);
    return 0;
}

int rn_temperature_apply(const float *logits, const int *first, int items, int classes, double temperature, float *probability,
                         rn_error *err)
{
    return apply(rn_softmax, logits, first, items, classes, temperature, probability, err);
}

int rn_temperature_apply_several(const float *logits, const int *first, int items, int classes, double temperature, float *probability,
                                 rn_error *err)
{
    return apply(rn_sigmoids, logits, first, items, classes, temperature, probability, err);
}
