/* Softmax cross-entropy and its gradient: see loss.h for the formula.
 *
 * With t_c = (1 - s) w_c [c = y] + (s / C) w_c (mixed with the partner's where there is one) and T = sum_c t_c:
 *
 *     l = sum_c t_c (m + log S - z_c),   m = max_k z_k,  S = sum_k exp(z_k - m)
 *     dl / dz_c = T p_c - t_c,           p_c = exp(z_c - m) / S
 *
 * Order: all sums over classes run in class order, sums over items in item order, in double without fused operations. exp and log are
 * those of base/maths.h.
 *
 * With several labels, e = exp(-|z|), q = log(1 + e), sigmoid p and its complement 1 - p each computed from e without a difference:
 *
 *     l_c = w t (q + max(-z, 0)) + (1 - t) (q + max(z, 0)),   dl_c / dz = (1 - t) p - w t (1 - p) */
#include "train/loss.h"

#include "base/maths.h"

static double class_weight(const rn_loss_options *options, int c)
{
    return options->class_weights ? options->class_weights[c] : 1.0;
}

/* Class weight of item i, mixed: what it adds to the denominator before its item weight. */
static double item_class_weight(const rn_loss_options *options, const rn_targets *targets, int i)
{
    double w = class_weight(options, targets->labels[i]);
    if (targets->labels2) {
        double m = targets->share[i];
        w = m * w + (1 - m) * class_weight(options, targets->labels2[i]);
    }
    return w;
}

double rn_loss_weight(const rn_loss_options *options, const rn_targets *targets, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (targets->weights ? (double)targets->weights[i] : 1.0) * (targets->targets ? 1 : item_class_weight(options, targets, i));
    return sum;
}

/* The target t_c of item i. */
static double target(const rn_loss_options *options, const rn_targets *targets, int i, int c)
{
    double s = options->smoothing, w = class_weight(options, c), t = s / options->classes * w;
    double one = 0;
    if (targets->labels2) {
        double m = targets->share[i];
        one = (targets->labels[i] == c ? m : 0) + (targets->labels2[i] == c ? 1 - m : 0);
    } else {
        one = targets->labels[i] == c ? 1 : 0;
    }
    return one * (1 - s) * w + t;
}

/* One row: its loss; the gradient divided by the denominator. */
static double row(const rn_loss_options *options, const rn_targets *targets, int i, const float *z, double scale, float *dz, int *best)
{
    int classes = options->classes;
    *best = 0;
    for (int c = 1; c < classes; c++)
        if (z[c] > z[*best])
            *best = c;
    double largest = z[*best], sum = 0, total = 0, loss = 0;
    for (int c = 0; c < classes; c++)
        sum += rn_exp(z[c] - largest);
    double log_sum = rn_log(sum);
    for (int c = 0; c < classes; c++) {
        double t = target(options, targets, i, c);
        total += t;
        /* A class without a share must not turn an infinite distance into NaN. */
        if (t != 0)
            loss += t * (log_sum - ((double)z[c] - largest));
        else if (z[c] != z[c])
            loss += (double)z[c];
    }
    if (dz)
        for (int c = 0; c < classes; c++) {
            double p = rn_exp(z[c] - largest) / sum;
            dz[c] = (float)((p * total - target(options, targets, i, c)) * scale);
        }
    return loss;
}

/* One row of several labels: the sum over its classes, not yet divided by how many they are. */
static double row_several(const rn_loss_options *options, const float *target, const float *z, double scale, float *dz, int *correct)
{
    double loss = 0, s = options->smoothing;
    *correct = 1;
    for (int c = 0; c < options->classes; c++) {
        double x = z[c], e = rn_exp(x < 0 ? x : -x), q = rn_log(1 + e), yes = (x < 0 ? e : 1) / (1 + e), no = (x < 0 ? 1 : e) / (1 + e);
        double t = (1 - s) * (double)target[c] + s / 2, w = class_weight(options, c);
        /* A question whose answer is certain must not turn an infinite logit into NaN. */
        loss += (t != 0 ? w * t * (q + (x < 0 ? -x : 0)) : 0) + (t != 1 ? (1 - t) * (q + (x > 0 ? x : 0)) : 0);
        if (x != x)
            loss += x;
        if (dz)
            dz[c] = (float)(((1 - t) * yes - w * t * no) * scale);
        *correct &= (x > 0) == (target[c] > 0.5f);
    }
    return loss;
}

static void run_several(const rn_loss_options *options, const rn_targets *targets, int n, const float *logits, double denominator,
                        float *dlogits, rn_loss *loss)
{
    for (int i = 0; i < n; i++) {
        double u = targets->weights ? (double)targets->weights[i] : 1.0;
        long at = (long)i * options->classes;
        int correct;
        double l = row_several(options, targets->targets + at, logits + at, u / denominator / options->classes, dlogits ? dlogits + at : 0,
                               &correct);
        loss->sum += u * (l / options->classes);
        loss->correct += correct;
    }
}

void rn_loss_run(const rn_loss_options *options, const rn_targets *targets, int n, const float *logits, double denominator, float *dlogits,
                 rn_loss *loss)
{
    if (targets->targets) {
        run_several(options, targets, n, logits, denominator, dlogits, loss);
        return;
    }
    for (int i = 0; i < n; i++) {
        double u = targets->weights ? (double)targets->weights[i] : 1.0;
        const float *z = logits + (long)i * options->classes;
        float *dz = dlogits ? dlogits + (long)i * options->classes : 0;
        int best = 0, label = targets->labels[i];
        double l = row(options, targets, i, z, u / denominator, dz, &best);
        if (targets->labels2 && targets->share[i] < 0.5)
            label = targets->labels2[i];
        loss->sum += u * l;
        loss->correct += best == label;
    }
}
