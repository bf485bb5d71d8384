/* Softmax cross-entropy and its gradient: see loss.h for the formula.
 *
 * With t_c = (1 - s) w_c [c = y] + (s / C) w_c (mixed with the partner's where there is one) and T = sum_c t_c:
 *
 *     l = sum_c t_c (m + log S - z_c),   m = max_k z_k,  S = sum_k exp(z_k - m)
 *     dl / dz_c = T p_c - t_c,           p_c = exp(z_c - m) / S
 *
 * Order: all sums over classes run in class order, sums over items in item order, in double without fused operations. exp and log are
 * those of base/maths.h. */
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
        sum += (targets->weights ? (double)targets->weights[i] : 1.0) * item_class_weight(options, targets, i);
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

void rn_loss_run(const rn_loss_options *options, const rn_targets *targets, int n, const float *logits, double denominator, float *dlogits,
                 rn_loss *loss)
{
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
