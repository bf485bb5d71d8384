/* The inference engine: folded and packed weights, a list of steps over one arena, and the loop that runs them.
 *
 * The planner makes one step of a convolution, its BN, the addition and the ReLU behind it. Steps are fixed by the graph;
 * a size (samples, height, width) only gives their maps shapes and places. */
#include "graph/infer.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "base/cpu.h"
#include "graph/arena.h"
#include "graph/layers.h"

enum { MOST_SAMPLES = 1 << 20, MOST_PIXELS = 1 << 24 }; /* far above any use; keeps sizes from overflowing */

typedef enum step_kind { STEP_CONV, STEP_MAXPOOL, STEP_AVGPOOL, STEP_LINEAR } step_kind;

typedef struct step {
    step_kind kind;
    int node;                /* the convolution, pool or linear layer */
    int in, out, shortcut;   /* values: indices into maps; shortcut -1 where there is none */
    int shortcut_stride, relu;
    rn_conv conv;
    int64_t packed, bias;    /* offsets into the weights' memory */
} step;

struct rn_packed {
    const rn_graph *graph;
    step *steps;             /* fixed by the graph, like the weights that they point into */
    int steps_count;
    float *weights;          /* packed weights and biases */
    int64_t weights_size;
    double *scale;           /* of one layer, while it is folded */
};

struct rn_infer {
    const rn_graph *graph;
    const rn_packed *packed;
    rn_packed *own;          /* the same where the engine has its own; NULL where it is shared */
    rn_machine machine;
    const step *steps;       /* packed->steps */
    int steps_count;
    rn_map *maps;            /* of every node's value; data NULL where a step covers it */
    rn_buffer *buffers;      /* [maps_count + 1], the last is the threads' scratch */
    int *order;              /* scratch of the placement */
    int (*sizes)[2];
    rn_arena arena;
    int n, h, w;             /* what the arena is planned for */
    rn_layer_hook hook;
    void *hook_context;
    int hook_data;
    float *hook_buffer;
    int64_t hook_size;
};

/* --- the list of steps ----------------------------------------------------------------------------------------------------- */

/* What a residual addition reads: the value itself, or option A's strided, zero-extended one. */
static void resolve_shortcut(const rn_graph *g, int node, step *s)
{
    s->shortcut = node;
    s->shortcut_stride = 1;
    if (g->nodes[node].op == RN_OP_PADSHORT) {
        s->shortcut = g->nodes[node].a;
        s->shortcut_stride = g->nodes[node].stride;
    }
}

/* The step that ends in `node`; returns 0 where the node is covered by a later step. */
static int step_ending(const rn_graph *g, int node, step *s)
{
    const rn_node *n = &g->nodes[node];
    *s = (step){.node = node, .in = n->a, .out = node, .shortcut = -1};
    switch (n->op) {
    case RN_OP_MAXPOOL: s->kind = STEP_MAXPOOL; return 1;
    case RN_OP_AVGPOOL: s->kind = STEP_AVGPOOL; return 1;
    case RN_OP_LINEAR: s->kind = STEP_LINEAR; return 1;
    case RN_OP_BN: { /* a projection ends here; others go on to ReLU */
        int add = rn_layer_reader(g, node, RN_OP_ADD);
        if (add < 0 || g->nodes[add].b != node)
            return 0;
        s->node = n->a;
        break;
    }
    case RN_OP_RELU: {
        int bn = n->a;
        s->relu = 1;
        if (g->nodes[bn].op == RN_OP_ADD) {
            resolve_shortcut(g, g->nodes[bn].b, s);
            bn = g->nodes[bn].a;
        }
        s->node = g->nodes[bn].a;
        break;
    }
    default: return 0;
    }
    s->kind = STEP_CONV;
    s->in = g->nodes[s->node].a;
    return 1;
}

static void list_steps(rn_packed *p)
{
    const rn_graph *g = p->graph;
    int64_t at = 0;
    for (int i = 0; i < g->nodes_count; i++) {
        step s;
        if (!step_ending(g, i, &s))
            continue;
        if (s.kind == STEP_CONV || s.kind == STEP_LINEAR) {
            s.conv = rn_layer_conv(g, s.node);
            s.packed = at;
            at += rn_conv_forward_size(&s.conv);
            s.bias = at;
            at += (int64_t)s.conv.blocks_out * RN_LANES;
        }
        p->steps[p->steps_count++] = s;
    }
    p->weights_size = at;
}

/* --- weights ------------------------------------------------------------------------------------------------------------------ */

static void load_step(rn_packed *p, const step *s, const float *weights, const float *stats, rn_pool *pool)
{
    const rn_graph *g = p->graph;
    const rn_node *node = &g->nodes[s->node];
    const float *w = weights + g->params[node->weight].offset;
    float *bias = p->weights + s->bias;
    memset(bias, 0, (size_t)s->conv.blocks_out * RN_LANES * sizeof *bias);
    if (s->kind == STEP_LINEAR) {
        memcpy(bias, weights + g->params[node->bias].offset, (size_t)s->conv.channels_out * sizeof *bias);
        rn_conv_pack_forward(&s->conv, w, NULL, p->weights + s->packed, pool);
        return;
    }
    const rn_node *bn = &g->nodes[rn_layer_reader(g, s->node, RN_OP_BN)];
    const float *gamma = weights + g->params[bn->weight].offset, *beta = weights + g->params[bn->bias].offset;
    const float *mean = stats + g->params[bn->mean].offset, *var = stats + g->params[bn->var].offset;
    for (int k = 0; k < s->conv.channels_out; k++) {
        p->scale[k] = (double)gamma[k] / sqrt((double)var[k] + bn->eps);
        bias[k] = (float)((double)beta[k] - (double)mean[k] * p->scale[k]);
    }
    rn_conv_pack_forward(&s->conv, w, p->scale, p->weights + s->packed, pool);
}

static void load(rn_packed *p, const float *weights, const float *stats, rn_pool *pool)
{
    unsigned state = rn_fp_enter();
    for (int i = 0; i < p->steps_count; i++)
        if (p->steps[i].kind == STEP_CONV || p->steps[i].kind == STEP_LINEAR)
            load_step(p, &p->steps[i], weights, stats, pool);
    rn_fp_leave(state);
}

static int allocate_packed(rn_packed *p, rn_error *err)
{
    const rn_graph *g = p->graph;
    int most = 1;
    for (int i = 0; i < g->nodes_count; i++)
        most = g->nodes[i].channels > most ? g->nodes[i].channels : most;
    p->steps = calloc((size_t)g->nodes_count, sizeof *p->steps);
    p->scale = calloc((size_t)most, sizeof *p->scale);
    if (!p->steps || !p->scale)
        return rn_error_memory(err, "the plan", (size_t)g->nodes_count * sizeof *p->steps);
    list_steps(p);
    size_t bytes = ((size_t)p->weights_size * sizeof(float) + 63) / 64 * 64;
    p->weights = aligned_alloc(64, bytes ? bytes : 64);
    return p->weights ? 0 : rn_error_memory(err, "the packed weights", bytes);
}

int rn_packed_open(rn_packed **out, const rn_graph *graph, const float *weights, const float *stats, rn_pool *pool, rn_error *err)
{
    *out = NULL;
    int status = rn_layer_check(graph, err);
    if (status)
        return status;
    rn_packed *p = calloc(1, sizeof *p);
    if (!p)
        return rn_error_memory(err, "the packed weights", sizeof *p);
    p->graph = graph;
    status = allocate_packed(p, err);
    if (status) {
        rn_packed_close(&p);
        return status;
    }
    load(p, weights, stats, pool);
    *out = p;
    return 0;
}

void rn_packed_close(rn_packed **packed)
{
    rn_packed *p = *packed;
    *packed = NULL;
    if (!p)
        return;
    free(p->steps);
    free(p->weights);
    free(p->scale);
    free(p);
}

void rn_infer_load(rn_infer *e, const float *weights, const float *stats)
{
    load(e->own, weights, stats, e->machine.pool);
}

/* --- sizes and places ------------------------------------------------------------------------------------------------------- */

/* The halo that readers of a value want around it: that of the widest convolution. */
static int halo_wanted(const rn_infer *e, int node)
{
    int halo = 0;
    for (int i = 0; i < e->steps_count; i++)
        if (e->steps[i].in == node && e->steps[i].kind == STEP_CONV && e->steps[i].conv.pad > halo)
            halo = e->steps[i].conv.pad;
    return halo;
}

static void set_lifetimes(rn_infer *e)
{
    for (int b = 0; b < e->graph->nodes_count; b++)
        e->buffers[b] = (rn_buffer){.size = 0, .first = 0, .last = -1};
    e->buffers[0].last = 0;
    for (int t = 0; t < e->steps_count; t++) {
        const step *s = &e->steps[t];
        e->buffers[s->out].first = e->buffers[s->out].last = t;
        e->buffers[s->in].last = t;
        if (s->shortcut >= 0)
            e->buffers[s->shortcut].last = t;
    }
    e->buffers[e->graph->logits].last = e->steps_count;
    if (e->graph->embedding >= 0)
        e->buffers[e->graph->embedding].last = e->steps_count;
}

static int64_t scratch_wanted(const rn_infer *e)
{
    int64_t most = 0;
    for (int t = 0; t < e->steps_count; t++) {
        const step *s = &e->steps[t];
        int64_t want = s->kind == STEP_MAXPOOL || s->kind == STEP_AVGPOOL ? 0 : 2 * (int64_t)e->maps[s->out].w * RN_LANES;
        most = want > most ? want : most;
    }
    return most;
}

static int shape_maps(rn_infer *e, int n, int h, int w, rn_error *err)
{
    const rn_graph *g = e->graph;
    int status = rn_graph_sizes(g, h, w, e->sizes, err);
    if (status)
        return status;
    set_lifetimes(e);
    for (int i = 0; i < g->nodes_count; i++) {
        if (e->buffers[i].last < 0)
            continue;
        int halo = halo_wanted(e, i);
        e->maps[i] = i == 0 ? rn_map_plain(g->in_channels, h, w, halo) : rn_map_shape(g->nodes[i].channels, e->sizes[i][0], e->sizes[i][1], halo);
        if (e->maps[i].sample > INT32_MAX)
            return rn_error_set(err, RN_ERR_SHAPE, "%s: one sample of %d x %d needs %lld floats in this layer, above 2^31: cut the input into windows",
                                g->nodes[i].name, h, w, (long long)e->maps[i].sample);
        e->buffers[i].size = e->maps[i].sample * n;
    }
    return 0;
}

int rn_infer_plan(rn_infer *e, int n, int h, int w, rn_error *err)
{
    const rn_graph *g = e->graph;
    if (n < 1 || n > MOST_SAMPLES || h < 1 || w < 1 || h > MOST_PIXELS || w > MOST_PIXELS)
        return rn_error_set(err, RN_ERR_ARG, "a batch of %d samples of %d x %d cannot be planned: 1 to %d samples, sides of 1 to %d", n, h, w, MOST_SAMPLES, MOST_PIXELS);
    if (n == e->n && h == e->h && w == e->w)
        return 0;
    e->n = 0;
    int status = shape_maps(e, n, h, w, err);
    if (status)
        return status;
    rn_buffer *scratch = &e->buffers[g->nodes_count];
    e->machine.scratch_size = scratch_wanted(e);
    *scratch = (rn_buffer){.size = e->machine.scratch_size * rn_pool_threads(e->machine.pool), .first = 0, .last = e->steps_count};
    int64_t total = rn_arena_place(e->buffers, g->nodes_count + 1, e->order);
    status = rn_arena_reserve(&e->arena, total, "the activations of this input size", err);
    if (status)
        return status;
    for (int i = 0; i < g->nodes_count; i++)
        if (e->buffers[i].last >= 0)
            e->maps[i].data = e->arena.memory + e->buffers[i].offset + (i == 0 ? e->maps[0].halo * (e->maps[0].row + 1) : rn_map_origin(&e->maps[i]));
    e->machine.scratch = e->arena.memory + scratch->offset;
    e->n = n;
    e->h = h;
    e->w = w;
    return 0;
}

/* --- running ------------------------------------------------------------------------------------------------------------------ */

typedef struct finishing {
    const rn_infer *e;
    const step *s;
} finishing;

/* Behind every row of a convolution: bias, residual, ReLU, and the halo. */
static void finish_row(const void *context, int n, int block, int row, float *y)
{
    const finishing *f = context;
    const rn_map *out = &f->e->maps[f->s->out];
    rn_finish_row call = {.y = y, .bias = f->e->packed->weights + f->s->bias + block * RN_LANES, .pixels = out->w, .relu = f->s->relu};
    if (f->s->kind == STEP_LINEAR)
        call.pixels = 1;
    if (f->s->shortcut >= 0 && block < f->e->maps[f->s->shortcut].blocks) {
        call.residual = rn_map_at(&f->e->maps[f->s->shortcut], n, block, row * f->s->shortcut_stride);
        call.residual_pixel = (int64_t)f->s->shortcut_stride * RN_LANES;
    }
    f->e->machine.kernels.finish_row(&call);
    if (f->s->kind == STEP_CONV)
        rn_map_zero_halo(out, n, block, row);
}

static void run_step(const rn_infer *e, const step *s, int n)
{
    const rn_map *in = &e->maps[s->in], *out = &e->maps[s->out];
    rn_view view = {.map = in};
    finishing f = {e, s};
    switch (s->kind) {
    case STEP_MAXPOOL: rn_layer_maxpool(&e->machine, &e->graph->nodes[s->node], n, &view, out); break;
    case STEP_AVGPOOL: rn_layer_avgpool(&e->machine, n, &view, out); break;
    case STEP_CONV:
    case STEP_LINEAR: rn_conv_forward(&e->machine, &s->conv, n, &view, out, e->packed->weights + s->packed, finish_row, &f); break;
    }
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static const char *kind_name(step_kind kind)
{
    return kind == STEP_CONV ? "conv" : kind == STEP_LINEAR ? "linear" : "pool";
}

static int run_hooked(rn_infer *e, const step *s, int n, rn_error *err)
{
    const rn_map *out = &e->maps[s->out];
    double start = now();
    run_step(e, s, n);
    rn_layer_event event = {.name = e->graph->nodes[s->node].name, .kind = kind_name(s->kind), .n = n, .c = out->channels, .h = out->h, .w = out->w,
        .macs = n * rn_graph_macs(e->graph, (const int(*)[2])e->sizes, s->node), .seconds = now() - start};
    if (e->hook_data) {
        int64_t want = (int64_t)n * out->channels * out->h * out->w;
        if (want > e->hook_size) {
            float *grown = realloc(e->hook_buffer, (size_t)want * sizeof *grown);
            if (!grown)
                return rn_error_memory(err, "a copy of a layer's output", (unsigned long long)want * sizeof *grown);
            e->hook_buffer = grown;
            e->hook_size = want;
        }
        rn_layer_plain(&e->machine, n, &(rn_view){.map = out}, e->hook_buffer);
        event.data = e->hook_buffer;
    }
    e->hook(e->hook_context, &event);
    return 0;
}

int rn_infer_run(rn_infer *e, int n, int h, int w, const float *x, float *logits, float *embedding, rn_error *err)
{
    int status = rn_infer_plan(e, n, h, w, err);
    if (status)
        return status;
    rn_layer_input(&e->machine, n, x, &e->maps[0]);
    for (int t = 0; t < e->steps_count; t++) {
        if (!e->hook)
            run_step(e, &e->steps[t], n);
        else if ((status = run_hooked(e, &e->steps[t], n, err)))
            return status;
    }
    if (logits)
        rn_layer_gather(n, &e->maps[e->graph->logits], logits);
    if (embedding && e->graph->embedding >= 0)
        rn_layer_gather(n, &e->maps[e->graph->embedding], embedding);
    return 0;
}

int rn_infer_hook(rn_infer *e, rn_layer_hook hook, void *context, int want_data, rn_error *err)
{
    (void)err;
    e->hook = hook;
    e->hook_context = context;
    e->hook_data = want_data;
    return 0;
}

int64_t rn_infer_bytes(const rn_infer *e)
{
    return (e->packed->weights_size + e->arena.size) * (int64_t)sizeof(float);
}

/* --- opening ------------------------------------------------------------------------------------------------------------------- */

static int allocate(rn_infer *e, rn_error *err)
{
    size_t nodes = (size_t)e->graph->nodes_count;
    e->maps = calloc(nodes, sizeof *e->maps);
    e->buffers = calloc(nodes + 1, sizeof *e->buffers);
    e->order = calloc(nodes + 1, sizeof *e->order);
    e->sizes = calloc(nodes, sizeof *e->sizes);
    if (!e->maps || !e->buffers || !e->order || !e->sizes)
        return rn_error_memory(err, "the plan", nodes * (sizeof *e->maps + sizeof *e->buffers));
    return 0;
}

int rn_infer_open_shared(rn_infer **out, const rn_packed *packed, rn_pool *pool, rn_error *err)
{
    *out = NULL;
    rn_infer *e = calloc(1, sizeof *e);
    if (!e)
        return rn_error_memory(err, "the engine", sizeof *e);
    e->graph = packed->graph;
    e->packed = packed;
    e->steps = packed->steps;
    e->steps_count = packed->steps_count;
    e->machine.pool = pool;
    rn_kernels_open(&e->machine.kernels);
    int status = allocate(e, err);
    if (status)
        rn_infer_close(&e);
    *out = e;
    return status;
}

int rn_infer_open(rn_infer **out, const rn_graph *graph, const float *weights, const float *stats, rn_pool *pool, rn_error *err)
{
    rn_packed *packed;
    *out = NULL;
    int status = rn_packed_open(&packed, graph, weights, stats, pool, err);
    if (!status)
        status = rn_infer_open_shared(out, packed, pool, err);
    if (status)
        rn_packed_close(&packed);
    else
        (*out)->own = packed;
    return status;
}

void rn_infer_close(rn_infer **engine)
{
    rn_infer *e = *engine;
    *engine = NULL;
    if (!e)
        return;
    rn_packed_close(&e->own);
    rn_arena_free(&e->arena);
    free(e->maps);
    free(e->buffers);
    free(e->order);
    free(e->sizes);
    free(e->hook_buffer);
    free(e);
}
