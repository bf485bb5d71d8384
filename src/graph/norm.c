/* Batch normalisation's statistics and gradients for each channel, in double, from the row sums that kernels left.
 *
 * Forward, d = y - center: mean = center + S1 / N, var = S2 / N - (S1 / N)^2, scale = gamma / sqrt(var + eps), shift = beta - mean * scale.
 * Backward (Ioffe and Szegedy 2015), g = dz, S1 = sum g, S2 = sum g (y - mean), i = 1 / sqrt(var + eps):
 *   dbeta = S1, dgamma = S2 i, dy = gamma i (g - S1 / N - (y - mean) i^2 S2 / N) = fma(a, g, fma(b, y, c))
 *   with a = gamma i, b = -a i^2 S2 / N, c = -a S1 / N - b mean.
 * Rows are added in (sample, row) order. */
#include <math.h>

#include "graph/learn_plan.h"

typedef struct reduction {
    rn_learn *e;
    rn_norm *norm;
    int which;
} reduction;

static void add_rows(const rn_learn *e, const rn_map *y, int which, int block, double sums[2 * RN_LANES])
{
    for (int k = 0; k < 2 * RN_LANES; k++)
        sums[k] = 0;
    for (int n = 0; n < e->n; n++)
        for (int p = 0; p < y->h; p++) {
            const float *row = rn_learn_partial(e, which, y, n, p, block);
            for (int k = 0; k < 2 * RN_LANES; k++)
                sums[k] += (double)row[k];
        }
}

/* The parameter's value of a channel, or what stands for it where the BN has none. */
static double parameter(const float *base, const rn_graph *g, int param, int channel, double otherwise)
{
    return param < 0 ? otherwise : (double)base[g->params[param].offset + channel];
}

static void set_scale(rn_learn *e, rn_norm *norm, int channel, double mean, double var)
{
    const rn_node *bn = &e->graph->nodes[norm->node];
    double gamma = parameter(e->weights, e->graph, bn->weight, channel, 1), beta = parameter(e->weights, e->graph, bn->bias, channel, 0);
    double deviation = sqrt(var + bn->eps), scale = gamma / deviation;
    norm->inverse[channel] = 1 / deviation;
    norm->mean[channel] = (float)mean;
    norm->scale[channel] = (float)scale;
    norm->shift[channel] = (float)(beta - mean * scale);
}

static void forward_block(void *context, int block, int thread)
{
    const reduction *r = context;
    rn_learn *e = r->e;
    const rn_map *y = &e->maps[r->norm->map];
    const rn_node *bn = &e->graph->nodes[r->norm->node];
    double sums[2 * RN_LANES], count = (double)e->n * y->h * y->w;
    (void)thread;
    if (!r->norm->frozen)
        add_rows(e, y, 0, block, sums);
    for (int k = 0; k < RN_LANES && block * RN_LANES + k < y->channels; k++) {
        int channel = block * RN_LANES + k;
        double mean = parameter(e->stats, e->graph, bn->mean, channel, 0), var = parameter(e->stats, e->graph, bn->var, channel, 1), unbiased = var;
        if (!r->norm->frozen) {
            double d = sums[k] / count;
            var = sums[RN_LANES + k] / count - d * d;
            var = 0 > var ? 0 : var;
            mean += d;
            unbiased = var * (count / (count - 1));
        }
        set_scale(e, r->norm, channel, mean, var);
        if (e->batch_stats) {
            e->batch_stats[e->graph->params[bn->mean].offset + channel] = mean;
            e->batch_stats[e->graph->params[bn->var].offset + channel] = unbiased;
        }
    }
}

void rn_norm_forward(rn_learn *e, rn_norm *norm)
{
    reduction r = {e, norm, 0};
    rn_pool_run(e->machine.pool, e->maps[norm->map].blocks, forward_block, &r);
}

static void backward_block(void *context, int block, int thread)
{
    const reduction *r = context;
    rn_learn *e = r->e;
    rn_norm *norm = r->norm;
    const rn_map *y = &e->maps[norm->map];
    const rn_node *bn = &e->graph->nodes[norm->node];
    double sums[2 * RN_LANES] = {0}, count = (double)e->n * y->h * y->w;
    (void)thread;
    if (!norm->frozen)
        add_rows(e, y, r->which, block, sums);
    for (int k = 0; k < RN_LANES && block * RN_LANES + k < y->channels; k++) {
        int channel = block * RN_LANES + k;
        double gamma = parameter(e->weights, e->graph, bn->weight, channel, 1), i = norm->inverse[channel], s1 = sums[k], s2 = sums[RN_LANES + k];
        double a = gamma * i, b = -a * i * i * s2 / count, mean = (double)norm->mean[channel];
        norm->a[channel] = (float)a;
        norm->b[channel] = norm->frozen ? 0 : (float)b;
        norm->c[channel] = norm->frozen ? 0 : (float)(-a * s1 / count - b * mean);
        if (!e->grads || bn->weight < 0)
            continue;
        e->grads[e->graph->params[bn->weight].offset + channel] = (float)(s2 * i);
        e->grads[e->graph->params[bn->bias].offset + channel] = (float)s1;
    }
}

void rn_norm_backward(rn_learn *e, rn_norm *norm, int which)
{
    reduction r = {e, norm, which};
    rn_pool_run(e->machine.pool, e->maps[norm->map].blocks, backward_block, &r);
}
