/* Inference's steps and weights.
 *
 * The planner makes one step of a convolution, its BN, the addition and the ReLU behind it. Weights are folded and packed once for each layer
 * and algorithm, when a size that wants that algorithm is first planned. */
#include "graph/packed.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/cpu.h"

struct rn_packed {
    const rn_graph *graph;
    const float *weights, *stats; /* the caller's */
    rn_step *steps;
    int steps_count;
    float *biases;
    int64_t biases_size;
    double *scale;                /* of one layer, while it is folded */
    rn_arena (*memory)[RN_ALGORITHMS]; /* [steps]: empty until a plan wants it */
    pthread_mutex_t lock;
};

/* --- the list of steps ----------------------------------------------------------------------------------------------------- */

/* What a residual addition reads: the value itself, or option A's strided, zero-extended one. */
static void resolve_shortcut(const rn_graph *g, int node, rn_step *s)
{
    s->shortcut = node;
    s->shortcut_stride = 1;
    if (rn_layer_pad_merges(g, node)) {
        s->shortcut = g->nodes[node].a;
        s->shortcut_stride = g->nodes[node].stride;
    }
}

/* A convolution with the BN behind it. */
static int conv_step(const rn_graph *g, int conv, int bn, rn_step *s)
{
    s->kind = RN_STEP_CONV;
    s->node = conv;
    s->bn = bn;
    s->in = g->nodes[conv].a;
    return 1;
}

/* An addition; its function is a convolution with or without BN, or scaled. */
static int addition(const rn_graph *g, int add, rn_step *s)
{
    int last = g->nodes[add].a;
    resolve_shortcut(g, g->nodes[add].b, s);
    if (g->nodes[last].op == RN_OP_BN)
        return conv_step(g, g->nodes[last].a, last, s);
    if (g->nodes[last].op == RN_OP_CONV)
        return conv_step(g, last, -1, s);
    s->kind = RN_STEP_MERGE;
    s->node = add;
    s->in = g->nodes[last].a;
    s->gate = g->nodes[last].b;
    return 1;
}

static int ending_in_relu(const rn_graph *g, int relu, rn_step *s)
{
    int in = g->nodes[relu].a;
    s->relu = 1;
    if (g->nodes[in].op == RN_OP_ADD)
        return addition(g, in, s);
    if (g->nodes[in].op == RN_OP_BN && rn_layer_folds(g, in))
        return conv_step(g, g->nodes[in].a, in, s);
    s->kind = g->nodes[in].op == RN_OP_BN ? RN_STEP_BN : RN_STEP_LINEAR;
    s->node = in;
    s->in = g->nodes[in].a;
    return 1;
}

/* The step that ends in `node`; returns 0 where the node is covered by a later step. */
static int step_ending(const rn_graph *g, int node, rn_step *s)
{
    const rn_node *n = &g->nodes[node];
    int add;
    *s = (rn_step){.node = node, .bn = -1, .in = n->a, .out = node, .shortcut = -1, .gate = -1};
    switch (n->op) {
    case RN_OP_MAXPOOL: s->kind = RN_STEP_MAXPOOL; return 1;
    case RN_OP_MEANPOOL: s->kind = RN_STEP_MEANPOOL; return 1;
    case RN_OP_SQUEEZE:
    case RN_OP_AVGPOOL: s->kind = RN_STEP_AVGPOOL; return 1;
    case RN_OP_TSTP: s->kind = RN_STEP_TSTP; return 1;
    case RN_OP_SIGMOID: s->kind = RN_STEP_SIGMOID; return 1;
    case RN_OP_PADSHORT: s->kind = RN_STEP_PAD; return !rn_layer_pad_merges(g, node);
    case RN_OP_LINEAR: s->kind = RN_STEP_LINEAR; return rn_layer_reader(g, node, RN_OP_RELU) < 0;
    case RN_OP_RELU: return ending_in_relu(g, node, s);
    case RN_OP_ADD: return rn_layer_end(g, node) < 0 && addition(g, node, s);
    case RN_OP_BN: /* a projection ends here, and what is scaled; others go on to ReLU or their addition */
        add = rn_layer_reader(g, node, RN_OP_ADD);
        if (!rn_layer_folds(g, node)) {
            s->kind = RN_STEP_BN;
            return rn_layer_reader(g, node, RN_OP_RELU) < 0;
        }
        return ((add >= 0 && g->nodes[add].b == node) || rn_layer_reader(g, node, RN_OP_SQUEEZE) >= 0) && conv_step(g, n->a, node, s);
    case RN_OP_CONV: { /* with pre-activation: a projection, or what is read more than once or by a pool */
        int bn = rn_layer_reader(g, node, RN_OP_BN);
        add = rn_layer_reader(g, node, RN_OP_ADD);
        int covered = rn_layer_readers(g, node) == 1 && (bn >= 0 || (add >= 0 && g->nodes[add].a == node));
        return !covered && conv_step(g, node, -1, s);
    }
    default: return 0;
    }
}

static void list_steps(rn_packed *p)
{
    const rn_graph *g = p->graph;
    for (int i = 0; i < g->nodes_count; i++) {
        rn_step s;
        if (!step_ending(g, i, &s))
            continue;
        if (s.kind == RN_STEP_CONV || s.kind == RN_STEP_LINEAR)
            s.conv = rn_layer_conv(g, s.node);
        s.bias = p->biases_size;
        if (s.kind == RN_STEP_CONV || s.kind == RN_STEP_LINEAR || s.kind == RN_STEP_BN)
            p->biases_size += (int64_t)rn_blocks(g->nodes[s.node].channels) * RN_LANES * (s.kind == RN_STEP_BN ? 2 : 1);
        p->steps[p->steps_count++] = s;
    }
}

const rn_step *rn_packed_steps(const rn_packed *p, int *count)
{
    *count = p->steps_count;
    return p->steps;
}

const float *rn_packed_bias(const rn_packed *p, const rn_step *step)
{
    return p->biases + step->bias;
}

/* --- weights ------------------------------------------------------------------------------------------------------------------ */

/* Into p->scale the scale of a BN, and what is left of it as a bias, unless NULL. */
static void fold(rn_packed *p, int node, float *bias)
{
    const rn_graph *g = p->graph;
    const rn_node *bn = &g->nodes[node];
    const float *gamma = bn->weight < 0 ? NULL : p->weights + g->params[bn->weight].offset, *beta = bn->bias < 0 ? NULL : p->weights + g->params[bn->bias].offset;
    const float *mean = p->stats + g->params[bn->mean].offset, *var = p->stats + g->params[bn->var].offset;
    for (int k = 0; k < bn->channels; k++) {
        p->scale[k] = (gamma ? (double)gamma[k] : 1) / sqrt((double)var[k] + bn->eps);
        if (bias)
            bias[k] = (float)((beta ? (double)beta[k] : 0) - (double)mean[k] * p->scale[k]);
    }
}

static void pack(rn_packed *p, const rn_step *s, const rn_conv *c, float *out, const rn_machine *m)
{
    const rn_node *node = &p->graph->nodes[s->node];
    if (s->bn >= 0)
        fold(p, s->bn, NULL); /* the biases stand, and other sessions may be reading them */
    rn_conv_pack_forward(m, c, p->weights + p->graph->params[node->weight].offset, s->bn >= 0 ? p->scale : NULL, out);
}

/* The biases of a step: BN's, a linear layer's, or zeros. */
static void set_biases(rn_packed *p, const rn_step *s)
{
    const rn_node *node = &p->graph->nodes[s->node];
    float *bias = p->biases + s->bias, *scale = bias + (int64_t)rn_blocks(node->channels) * RN_LANES;
    if (s->kind == RN_STEP_LINEAR)
        memcpy(bias, p->weights + p->graph->params[node->bias].offset, (size_t)node->channels * sizeof *bias);
    else if (s->kind == RN_STEP_BN || s->bn >= 0)
        fold(p, s->kind == RN_STEP_BN ? s->node : s->bn, bias);
    for (int k = 0; s->kind == RN_STEP_BN && k < node->channels; k++)
        scale[k] = (float)p->scale[k];
}

void rn_packed_load(rn_packed *p, const float *weights, const float *stats, const rn_machine *m)
{
    unsigned state = rn_fp_enter();
    p->weights = weights;
    p->stats = stats;
    for (int t = 0; t < p->steps_count; t++) {
        const rn_step *s = &p->steps[t];
        rn_conv c = s->conv;
        set_biases(p, s);
        for (c.forward = RN_DIRECT; c.forward < RN_ALGORITHMS; c.forward++)
            if (p->memory[t][c.forward].memory)
                pack(p, s, &c, p->memory[t][c.forward].memory, m);
    }
    rn_fp_leave(state);
}

int rn_packed_weights(const rn_packed *packed, int step, const rn_conv *c, const rn_machine *m, const float **weights, rn_error *err)
{
    rn_packed *p = (rn_packed *)packed; /* what engines see of it does not change */
    rn_arena *place = &p->memory[step][c->forward];
    int status = 0;
    pthread_mutex_lock(&p->lock);
    if (!place->memory && !(status = rn_arena_reserve(place, rn_conv_forward_size(c), "the packed weights", err))) {
        unsigned state = rn_fp_enter();
        pack(p, &p->steps[step], c, place->memory, m);
        rn_fp_leave(state);
    }
    *weights = place->memory;
    pthread_mutex_unlock(&p->lock);
    return status;
}

int64_t rn_packed_size(const rn_packed *packed)
{
    rn_packed *p = (rn_packed *)packed;
    int64_t size = p->biases_size;
    pthread_mutex_lock(&p->lock);
    for (int t = 0; t < p->steps_count; t++)
        for (int a = 0; a < RN_ALGORITHMS; a++)
            size += p->memory[t][a].size;
    pthread_mutex_unlock(&p->lock);
    return size;
}

/* --- opening -------------------------------------------------------------------------------------------------------------------- */

static int allocate(rn_packed *p, rn_error *err)
{
    const rn_graph *g = p->graph;
    size_t nodes = (size_t)g->nodes_count;
    int most = 1;
    for (int i = 0; i < g->nodes_count; i++)
        most = g->nodes[i].channels > most ? g->nodes[i].channels : most;
    p->steps = calloc(nodes, sizeof *p->steps);
    p->memory = calloc(nodes, sizeof *p->memory);
    p->scale = calloc((size_t)most, sizeof *p->scale);
    if (!p->steps || !p->memory || !p->scale)
        return rn_error_memory(err, "the plan", nodes * (sizeof *p->steps + sizeof *p->memory));
    list_steps(p);
    p->biases = calloc((size_t)p->biases_size + 1, sizeof *p->biases);
    return p->biases ? 0 : rn_error_memory(err, "the biases", (size_t)p->biases_size * sizeof *p->biases);
}

int rn_packed_open(rn_packed **out, const rn_graph *graph, const float *weights, const float *stats, rn_error *err)
{
    *out = NULL;
    int status = rn_layer_check(graph, err);
    if (status)
        return status;
    rn_packed *p = calloc(1, sizeof *p);
    if (!p || pthread_mutex_init(&p->lock, NULL)) {
        free(p);
        return rn_error_memory(err, "the packed weights", sizeof *p);
    }
    p->graph = graph;
    status = allocate(p, err);
    if (status) {
        rn_packed_close(&p);
        return status;
    }
    rn_packed_load(p, weights, stats, NULL);
    *out = p;
    return 0;
}

void rn_packed_close(rn_packed **packed)
{
    rn_packed *p = *packed;
    *packed = NULL;
    if (!p)
        return;
    for (int t = 0; p->memory && t < p->steps_count; t++)
        for (int a = 0; a < RN_ALGORITHMS; a++)
            rn_arena_free(&p->memory[t][a]);
    pthread_mutex_destroy(&p->lock);
    free(p->memory);
    free(p->steps);
    free(p->biases);
    free(p->scale);
    free(p);
}
