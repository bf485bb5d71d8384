/* Class activation maps. */
#include "judge/explain.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "graph/layers.h"
#include "graph/learn.h"

/* The value that a convolution's step ends in: behind BN, scaling and an addition where it is the block's function, and ReLU; with pre-activation
 * the ReLU is the next block's. */
static int written_by(const rn_graph *g, int conv)
{
    int last = conv, bn = rn_layer_reader(g, conv, RN_OP_BN);
    if (bn >= 0 && !rn_layer_folds(g, bn)) /* the stem's */
        return rn_layer_reader(g, bn, RN_OP_RELU);
    if (bn >= 0)
        last = bn;
    int scale = rn_layer_reader(g, last, RN_OP_SCALE), add = rn_layer_reader(g, scale >= 0 ? scale : last, RN_OP_ADD);
    if (add >= 0 && g->nodes[add].b == last)
        return -1; /* a projection's value is part of a sum */
    if (add >= 0)
        last = add;
    int relu = rn_layer_reader(g, last, RN_OP_RELU);
    bn = relu < 0 ? rn_layer_reader(g, last, RN_OP_BN) : -1;
    return bn >= 0 ? rn_layer_reader(g, bn, RN_OP_RELU) : relu;
}

int rn_explain_layer(const rn_graph *g, const char *name)
{
    int last = -1;
    for (int i = 0; i < g->nodes_count; i++) {
        const rn_node *n = &g->nodes[i];
        if ((n->op == RN_OP_AVGPOOL || n->op == RN_OP_TSTP) && !name)
            return last;
        int value = n->op == RN_OP_CONV ? written_by(g, i) : n->op == RN_OP_MAXPOOL ? i : -1;
        if (value >= 0 && name && strcmp(name, n->name) == 0)
            return value;
        last = value >= 0 ? value : last;
    }
    return -1;
}

const char *rn_explain_layer_name(const rn_graph *g, int node)
{
    for (int i = 0; i < g->nodes_count; i++)
        if (g->nodes[i].op == RN_OP_CONV && written_by(g, i) == node)
            return g->nodes[i].name;
    return g->nodes[node].name;
}

/* The weight of one channel. */
static double channel_weight(const float *value, const float *gradient, int64_t pixels, int plus_plus)
{
    double sum = 0, values = 0;
    if (!plus_plus) {
        for (int64_t i = 0; i < pixels; i++)
            sum += (double)gradient[i];
        return sum / (double)pixels;
    }
    for (int64_t i = 0; i < pixels; i++)
        values += (double)value[i];
    for (int64_t i = 0; i < pixels; i++) {
        double g = (double)gradient[i];
        if (g > 0)
            sum += g * (g * g / (2 * g * g + values * g * g * g + 1e-6));
    }
    return sum;
}

int rn_cam(const float *value, const float *gradient, int c, int h, int w, int plus_plus, float *map, rn_error *err)
{
    int64_t pixels = (int64_t)h * w;
    double *weights = malloc((size_t)c * sizeof *weights);
    if (!weights)
        return rn_error_memory(err, "a class activation map", (size_t)c * sizeof *weights);
    for (int k = 0; k < c; k++)
        weights[k] = channel_weight(value + k * pixels, gradient + k * pixels, pixels, plus_plus);
    for (int64_t i = 0; i < pixels; i++) {
        double sum = 0;
        for (int k = 0; k < c; k++)
            sum += weights[k] * (double)value[k * pixels + i];
        map[i] = sum > 0 ? (float)sum : 0;
    }
    free(weights);
    return 0;
}

int rn_explain_gradient(const rn_graph *g, const float *weights, const float *stats, rn_pool *pool, const float *x, int h, int w, int node, int label,
                        float **value, float **gradient, int shape[3], rn_error *err)
{
    rn_learn *engine = NULL;
    int classes = g->nodes[g->logits].channels;
    float *direction = calloc((size_t)classes, sizeof *direction);
    *value = *gradient = NULL;
    int status = direction ? rn_learn_open_for_value(&engine, g, 1, h, w, node, pool, err) : rn_error_memory(err, "an explanation", (size_t)classes * sizeof(float));
    if (status)
        goto done;
    direction[label] = 1;
    rn_learn_load(engine, weights, stats);
    if ((status = rn_learn_forward(engine, 1, x, NULL, NULL, NULL, err)) || (status = rn_learn_backward(engine, direction, NULL, NULL, err)))
        goto done;
    rn_learn_value_shape(engine, shape);
    size_t bytes = (size_t)shape[0] * (size_t)shape[1] * (size_t)shape[2] * sizeof(float);
    *value = malloc(bytes);
    *gradient = malloc(bytes);
    if (*value && *gradient)
        rn_learn_read_value(engine, *value, *gradient);
    else
        status = rn_error_memory(err, "an explanation", 2 * bytes);
done:
    if (status) {
        free(*value);
        free(*gradient);
        *value = *gradient = NULL;
    }
    free(direction);
    rn_learn_close(&engine);
    return status;
}

void rn_map_stretch(float *map, int64_t count)
{
    float low = map[0], high = map[0];
    for (int64_t i = 1; i < count; i++) {
        low = map[i] < low ? map[i] : low;
        high = map[i] > high ? map[i] : high;
    }
    double range = (double)high - (double)low + 1e-7;
    for (int64_t i = 0; i < count; i++)
        map[i] = (float)(((double)map[i] - (double)low) / range);
}

/* Where the centre of pixel i of `to` lies among those of `from`: the pixel before it, and the share of the next one. */
static int place(int i, int from, int to, double *share)
{
    double at = (i + 0.5) * from / to - 0.5;
    int first = (int)floor(at);
    *share = at - first;
    if (first < 0 || from == 1) {
        *share = 0;
        return 0;
    }
    if (first >= from - 1) {
        *share = 1;
        return from - 2;
    }
    return first;
}

void rn_map_resize(const float *from, int h, int w, float *to, int to_h, int to_w)
{
    for (int y = 0; y < to_h; y++) {
        double down, across;
        int r = place(y, h, to_h, &down);
        const float *upper = from + (int64_t)r * w, *lower = h > 1 ? upper + w : upper;
        for (int x = 0; x < to_w; x++) {
            int s = place(x, w, to_w, &across), next = w > 1 ? s + 1 : s;
            double top = (double)upper[s] * (1 - across) + (double)upper[next] * across, bottom = (double)lower[s] * (1 - across) + (double)lower[next] * across;
            to[(int64_t)y * to_w + x] = (float)(top * (1 - down) + bottom * down);
        }
    }
}

void rn_heat(float *map, int h, int w, float *heat, int to_h, int to_w)
{
    rn_map_stretch(map, (int64_t)h * w);
    rn_map_resize(map, h, w, heat, to_h, to_w);
    rn_map_stretch(heat, (int64_t)to_h * to_w);
}
