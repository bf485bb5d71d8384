/* Weights and inputs of the golden networks, drawn as scripts/golden/torch_golden.py draws them. */
#ifndef RN_TESTS_DRAWN_NETWORK_H
#define RN_TESTS_DRAWN_NETWORK_H

#include <stdint.h>
#include <string.h>

#include "base/random.h"
#include "graph/graph.h"

enum { EPOCH_PARAMETERS, EPOCH_INPUT, EPOCH_LABELS, EPOCH_PLACES, EPOCH_SIGNS, EPOCH_DEMBEDDING, EPOCH_DROP };

static inline void draw(uint64_t seed, uint32_t epoch, uint64_t position, float *out, int64_t count)
{
    rn_random r;
    rn_random_start(&r, seed, RN_PURPOSE_TEST, epoch, position);
    for (int64_t i = 0; i < count; i++)
        out[i] = (float)(rn_random_u32(&r) >> 8) * 0x1p-23f - 1.0f;
}

static inline float power_of_two(double limit, double fan_in)
{
    double s = 1;
    while (s * s * fan_in > limit)
        s /= 2;
    return (float)s;
}

static inline void draw_parameters(uint64_t seed, const rn_graph *g, float *weights, float *stats)
{
    for (int i = 0; i < g->params_count; i++) {
        const rn_param *p = &g->params[i];
        int running = p->kind == RN_PARAM_BN_MEAN || p->kind == RN_PARAM_BN_VAR;
        float *v = (running ? stats : weights) + p->offset;
        draw(seed, EPOCH_PARAMETERS, (uint64_t)i, v, p->count);
        float scale = 0.25f, add = 0;
        if (p->kind == RN_PARAM_CONV || p->kind == RN_PARAM_LINEAR)
            scale = power_of_two(p->kind == RN_PARAM_CONV ? 6 : 3, (double)(p->count / p->shape[0]));
        if (p->kind == RN_PARAM_BN_WEIGHT || p->kind == RN_PARAM_BN_VAR)
            scale = 0.5f, add = 1;
        float after = p->kind == RN_PARAM_BN_WEIGHT && !strncmp(p->name, "layer", 5) && (strstr(p->name, ".bn2.") || strstr(p->name, ".bn3."))
                          ? 0.25f
                          : 1;
        for (int64_t j = 0; j < p->count; j++)
            v[j] = (add + v[j] * scale) * after;
    }
}

#endif
