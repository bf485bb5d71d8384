/* Statistics of a model's arrays, and channels that can be seen to do nothing.
 *
 * After batch normalisation a channel has, over the training data, the mean beta and the standard deviation
 *
 *     s = |gamma| sqrt(var / (var + eps))          0 where all weights of its convolution are 0
 *
 * so neither the size of the weights nor that of gamma alone tells whether a channel is used; s does, next to that of the layer's other
 * channels. One whose s is at most a thousandth of the layer's largest is constant: what follows gets no information from it. Where it
 * goes straight into a ReLU and is not above 0 it is dead, and no gradient brings it back. In front of an addition a constant channel only means
 * that the block leaves the shortcut's channel as it is.
 *
 * Sources: Ioffe and Szegedy 2015 (beta and gamma as mean and deviation), Liu et al. 2017 ("Network Slimming": gamma as what a channel is
 * worth), Lu et al. 2019 ("Dying ReLU and Initialization"). */
#include "api/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/result.h"

enum { BINS = 24 };

#define CONSTANT 1e-3  /* of the layer's largest deviation */
#define NEAR_ZERO 1e-3 /* of the array's largest magnitude */
#define NAMED 8        /* channels in a sentence */

static const float *array_of(const rn_model *m, int param)
{
    const rn_param *p = &m->graph->params[param];
    return (p->kind >= RN_PARAM_BN_MEAN ? m->stats : m->weights) + p->offset;
}

/* ---- Statistics ------------------------------------------------------------------------------------------------------------ */

typedef struct statistics { /* of the finite ones among the numbers */
    double mean, std, low, high;
    int64_t finite, near_zero, bins[BINS]; /* from low to high */
} statistics;

static void measure(const float *x, int64_t count, statistics *s)
{
    double sum = 0, squares = 0, most;
    *s = (statistics){0};
    for (int64_t i = 0; i < count; i++) {
        double v = (double)x[i];
        if (!isfinite(v))
            continue;
        s->low = !s->finite || v < s->low ? v : s->low;
        s->high = !s->finite || v > s->high ? v : s->high;
        sum += v;
        s->finite++;
    }
    if (!s->finite)
        return;
    s->mean = sum / (double)s->finite;
    most = s->high > -s->low ? s->high : -s->low;
    for (int64_t i = 0; i < count; i++) {
        double v = (double)x[i], off = v - s->mean;
        if (!isfinite(v))
            continue;
        squares += off * off;
        s->near_zero += fabs(v) <= NEAR_ZERO * most;
        int bin = s->high > s->low ? (int)(BINS * ((v - s->low) / (s->high - s->low))) : BINS / 2;
        s->bins[bin < BINS ? bin : BINS - 1]++;
    }
    s->std = sqrt(squares / (double)s->finite);
}

static json_t *describe(const rn_model *m, int param)
{
    const rn_param *p = &m->graph->params[param];
    statistics s;
    json_t *shape = json_array(), *bins = json_array();
    measure(array_of(m, param), p->count, &s);
    for (int d = 0; d < p->dims; d++)
        rn_result_add(&shape, json_integer(p->shape[d]));
    for (int i = 0; i < BINS; i++)
        rn_result_add(&bins, json_integer((json_int_t)s.bins[i]));
    return json_pack("{s:s, s:o, s:I, s:f, s:f, s:f, s:f, s:f, s:I, s:o}", "name", p->name, "shape", shape, "count", (json_int_t)p->count,
                     "mean", s.mean, "std", s.std, "min", s.low, "max", s.high, "near_zero",
                     s.finite ? (double)s.near_zero / (double)s.finite : 0.0, "not_finite", (json_int_t)(p->count - s.finite), "histogram",
                     bins);
}

json_t *rn_weights_describe(const rn_model *m)
{
    json_t *list = json_array();
    for (int i = 0; i < m->graph->nodes_count; i++) {
        const rn_node *node = &m->graph->nodes[i];
        const int params[] = {node->weight, node->bias, node->mean, node->var};
        for (int k = 0; k < 4; k++)
            if (params[k] >= 0)
                rn_result_add(&list, describe(m, params[k]));
    }
    return list;
}

/* ---- What is wrong --------------------------------------------------------------------------------------------------------- */

static void warn_of_numbers(const rn_model *m, int param, json_t **list)
{
    const rn_param *p = &m->graph->params[param];
    const float *x = array_of(m, param);
    int64_t bad = 0, negative = 0, first = 0;
    for (int64_t i = 0; i < p->count; i++) {
        int is_bad = !isfinite(x[i]), is_negative = p->kind == RN_PARAM_BN_VAR && x[i] < 0;
        first = (is_bad || is_negative) && !bad && !negative ? i : first;
        bad += is_bad;
        negative += is_negative && !is_bad;
    }
    if (bad || negative)
        rn_result_add(list, json_pack("{s:s, s:s, s:I, s:I, s:o}", "kind", bad ? "not_finite" : "negative_variance", "name", p->name,
                                      "count", (json_int_t)(bad + negative), "first", (json_int_t)first, "text",
                                      json_sprintf("%s: %s: %lld of %lld numbers, the first at %lld; no other verb takes this model",
                                                   p->name, bad ? "NaN or infinite" : "negative variances", (long long)(bad + negative),
                                                   (long long)p->count, (long long)first)));
}

/* "3 of 32 channels are dead: 4, 7, 31", with at most NAMED of them. */
static void name_channels(const json_t *channels, int of, const char *word, char *text, size_t size)
{
    size_t count = json_array_size(channels), at;
    if ((int)count == of) {
        snprintf(text, size, "all %d channels are %s", of, word);
        return;
    }
    at = (size_t)snprintf(text, size, "%zu of %d channels %s %s: ", count, of, count == 1 ? "is" : "are", word);
    for (size_t i = 0; i < count && i < NAMED; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%lld", i ? ", " : "", (long long)json_integer_value(json_array_get(channels, i)));
    if (count > NAMED)
        snprintf(text + at, size - at, ", ...");
}

/* One warning for the channels of `state` that are `kind`. */
static void warn_of_channels(const char *name, const char *state, int count, char kind, const char *word, const char *why, json_t **list)
{
    char named[300];
    json_t *channels = json_array();
    for (int k = 0; k < count; k++)
        if (state[k] == kind)
            rn_result_add(&channels, json_integer(k));
    if (channels && !json_array_size(channels)) {
        json_decref(channels);
        return;
    }
    name_channels(channels, count, word, named, sizeof named);
    rn_result_add(list, json_pack("{s:s, s:s, s:o, s:i, s:o}", "kind", word, "name", name, "channels", channels, "of", count, "text",
                                  json_sprintf("%s: %s (%s)", name, named, why)));
}

static int all_zero(const float *x, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (x[i] != 0)
            return 0;
    return 1;
}

static int goes_into_relu(const rn_graph *g, int node)
{
    for (int i = node + 1; i < g->nodes_count; i++)
        if (g->nodes[i].op == RN_OP_RELU && g->nodes[i].a == node)
            return 1;
    return 0;
}

/* Fills state[channels] of a BN: 'd' dead, 'c' constant, 0 in use; deviation[channels] is room. */
static void judge_channels(const rn_model *m, int bn, char *state, double *deviation)
{
    const rn_node *node = &m->graph->nodes[bn], *conv = &m->graph->nodes[node->a];
    const float *gamma = array_of(m, node->weight), *beta = array_of(m, node->bias), *mean = array_of(m, node->mean);
    const float *var = array_of(m, node->var), *w = conv->op == RN_OP_CONV ? array_of(m, conv->weight) : NULL;
    int64_t per_channel = w ? m->graph->params[conv->weight].count / node->channels : 0;
    int relu = goes_into_relu(m->graph, bn);
    double most = 0;
    for (int k = 0; k < node->channels; k++) {
        int nothing = w && all_zero(w + k * per_channel, per_channel);
        deviation[k] = nothing ? 0 : fabs((double)gamma[k]) * sqrt((double)var[k] / ((double)var[k] + node->eps));
        most = deviation[k] > most && isfinite(deviation[k]) ? deviation[k] : most;
    }
    for (int k = 0; k < node->channels; k++) {
        double level = (double)beta[k];
        if (w && all_zero(w + k * per_channel, per_channel))
            level -= (double)gamma[k] * (double)mean[k] / sqrt((double)var[k] + node->eps);
        state[k] = deviation[k] <= CONSTANT * most ? relu && level <= 0 ? 'd' : 'c' : 0;
    }
}

static void warn_of_bn(const rn_model *m, int bn, json_t **list)
{
    const rn_node *node = &m->graph->nodes[bn];
    char *state = calloc((size_t)node->channels, 1);
    double *deviation = malloc((size_t)node->channels * sizeof *deviation);
    if (!state || !deviation) {
        json_decref(*list);
        *list = NULL;
    } else {
        judge_channels(m, bn, state, deviation);
        warn_of_channels(node->name, state, node->channels, 'd', "dead", "always 0 behind the ReLU", list);
        warn_of_channels(node->name, state, node->channels, 'c', "constant",
                         goes_into_relu(m->graph, bn) ? "the same for every input" : "the block leaves them to the shortcut", list);
    }
    free(state);
    free(deviation);
}

static void warn_of_linear(const rn_model *m, const rn_node *node, json_t **list)
{
    const rn_param *p = &m->graph->params[node->weight];
    const float *w = array_of(m, node->weight);
    int64_t per_output = p->count / node->channels;
    char *state = calloc((size_t)node->channels, 1);
    if (!state) {
        json_decref(*list);
        *list = NULL;
        return;
    }
    for (int k = 0; k < node->channels; k++)
        state[k] = all_zero(w + k * per_output, per_output) ? 'c' : 0;
    warn_of_channels(node->name, state, node->channels, 'c', "constant", "all their weights are 0", list);
    free(state);
}

json_t *rn_weights_warn(const rn_model *m)
{
    json_t *list = json_array();
    for (int i = 0; i < m->graph->nodes_count; i++) {
        const rn_node *node = &m->graph->nodes[i];
        const int params[] = {node->weight, node->bias, node->mean, node->var};
        for (int k = 0; k < 4; k++)
            if (params[k] >= 0)
                warn_of_numbers(m, params[k], &list);
        if (node->op == RN_OP_BN && node->weight >= 0)
            warn_of_bn(m, i, &list);
        if (node->op == RN_OP_LINEAR)
            warn_of_linear(m, node, &list);
    }
    return list;
}
