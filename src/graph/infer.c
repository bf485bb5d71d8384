/* The inference engine: the steps of packed.c over one arena, and the loop that runs them.
 *
 * Steps are fixed by the graph; a size (samples, height, width) gives their maps shapes and places, and their layers algorithms. */
#include "graph/infer.h"

#include <stdlib.h>
#include <time.h>

#include "graph/packed.h"

enum { MOST_SAMPLES = 1 << 20, MOST_PIXELS = 1 << 24 }; /* far above any use; keeps sizes from overflowing */

/* What a size gives to a convolution or linear layer. */
typedef struct layer {
    rn_conv conv;
    const float *weights;
} layer;

struct rn_infer {
    const rn_graph *graph;
    const rn_packed *packed;
    rn_packed *own;          /* the same where the engine has its own; NULL where it is shared */
    rn_machine machine;
    const rn_step *steps;    /* those of packed */
    int steps_count;
    layer *layers;           /* [steps_count] */
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

void rn_infer_load(rn_infer *e, const float *weights, const float *stats)
{
    rn_packed_load(e->own, weights, stats, &e->machine);
}

/* --- sizes and places ------------------------------------------------------------------------------------------------------- */

/* The halo that readers of a value want around it: that of the widest convolution. */
static int halo_wanted(const rn_infer *e, int node)
{
    int halo = 0;
    for (int i = 0; i < e->steps_count; i++)
        if (e->steps[i].in == node && e->steps[i].kind == RN_STEP_CONV && e->steps[i].conv.pad > halo)
            halo = e->steps[i].conv.pad;
    return halo;
}

static void set_lifetimes(rn_infer *e)
{
    for (int b = 0; b < e->graph->nodes_count; b++)
        e->buffers[b] = (rn_buffer){.size = 0, .first = 0, .last = -1};
    e->buffers[0].last = 0;
    for (int t = 0; t < e->steps_count; t++) {
        const rn_step *s = &e->steps[t];
        e->buffers[s->out].first = e->buffers[s->out].last = t;
        e->buffers[s->in].last = t;
        if (s->shortcut >= 0)
            e->buffers[s->shortcut].last = t;
        if (s->gate >= 0)
            e->buffers[s->gate].last = t;
    }
    if (e->graph->logits >= 0)
        e->buffers[e->graph->logits].last = e->steps_count;
    if (e->graph->embedding >= 0)
        e->buffers[e->graph->embedding].last = e->steps_count;
}

static int64_t scratch_wanted(const rn_infer *e)
{
    int64_t most = 0;
    for (int t = 0; t < e->steps_count; t++) {
        const rn_step *s = &e->steps[t];
        if (s->kind != RN_STEP_CONV)
            continue;
        int64_t want = rn_conv_forward_scratch(&e->layers[t].conv, &e->maps[s->in], &e->maps[s->out]);
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

/* Algorithms for this size, and weights packed for them. */
static int choose_layers(rn_infer *e, rn_error *err)
{
    for (int t = 0; t < e->steps_count; t++) {
        const rn_step *s = &e->steps[t];
        layer *l = &e->layers[t];
        if (s->kind != RN_STEP_CONV && s->kind != RN_STEP_LINEAR)
            continue;
        l->conv = s->conv;
        rn_algorithm_choose(&l->conv, e->sizes[s->node][0], e->sizes[s->node][1]);
        int status = rn_packed_weights(e->packed, t, &l->conv, &e->machine, &l->weights, err);
        if (status)
            return status;
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
    if (!status)
        status = choose_layers(e, err);
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

/* Behind every finished row of a convolution. */
static void zero_halo(const void *context, int n, int block, int row, float *y)
{
    (void)y;
    rn_map_zero_halo(context, n, block, row);
}

static void run_step(const rn_infer *e, const rn_step *s, int n)
{
    const rn_map *in = &e->maps[s->in], *out = &e->maps[s->out];
    const layer *l = &e->layers[s - e->steps];
    rn_view view = {.map = in};
    rn_epilogue end = {.relu = s->relu, .residual_stride = s->shortcut_stride};
    if (s->kind == RN_STEP_CONV || s->kind == RN_STEP_LINEAR)
        end.bias = rn_packed_bias(e->packed, s);
    if (s->shortcut >= 0)
        end.residual = &e->maps[s->shortcut];
    if (s->kind == RN_STEP_CONV && out->halo) {
        end.row = zero_halo;
        end.context = out;
    }
    switch (s->kind) {
    case RN_STEP_MAXPOOL: rn_layer_maxpool(&e->machine, &e->graph->nodes[s->node], n, &view, out); break;
    case RN_STEP_MEANPOOL: rn_layer_meanpool(&e->machine, n, &view, out); break;
    case RN_STEP_AVGPOOL: rn_layer_avgpool(&e->machine, n, &view, out); break;
    case RN_STEP_TSTP: rn_layer_tstp(&e->machine, e->graph->nodes[s->node].eps, n, &view, out); break;
    case RN_STEP_SIGMOID: rn_layer_sigmoid(n, in, out); break;
    case RN_STEP_BN:
        view.shift = rn_packed_bias(e->packed, s);
        view.scale = view.shift + (int64_t)out->blocks * RN_LANES;
        view.relu = s->relu;
        rn_layer_affine(&e->machine, n, &view, out);
        break;
    case RN_STEP_MERGE: {
        rn_view shortcut = {.map = &e->maps[s->shortcut]};
        rn_layer_merge(&e->machine, n, &(rn_merge){&view, &shortcut, s->shortcut_stride, s->relu, &e->maps[s->gate], NULL}, out);
        break;
    }
    case RN_STEP_PAD: rn_layer_pad(&e->machine, &e->graph->nodes[s->node], n, &view, out); break;
    case RN_STEP_CONV:
    case RN_STEP_LINEAR: rn_conv_forward(&e->machine, &l->conv, n, &view, out, l->weights, &end); break;
    }
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static const char *kind_name(rn_step_kind kind)
{
    static const char *const names[] = {[RN_STEP_CONV] = "conv", [RN_STEP_LINEAR] = "linear", [RN_STEP_PAD] = "pad", [RN_STEP_BN] = "bn",
        [RN_STEP_SIGMOID] = "sigmoid", [RN_STEP_MERGE] = "merge", [RN_STEP_MAXPOOL] = "pool", [RN_STEP_MEANPOOL] = "pool", [RN_STEP_AVGPOOL] = "pool",
        [RN_STEP_TSTP] = "pool"};
    return names[kind];
}

static int run_hooked(rn_infer *e, const rn_step *s, int n, rn_error *err)
{
    const rn_map *out = &e->maps[s->out];
    double start = now();
    run_step(e, s, n);
    rn_layer_event event = {.name = e->graph->nodes[s->node].name, .kind = kind_name(s->kind), .n = n, .c = out->channels, .h = out->h, .w = out->w,
        .macs = n * rn_graph_macs(e->graph, (const int(*)[2])e->sizes, s->node), .seconds = now() - start};
    if (s->kind == RN_STEP_CONV)
        event.algorithm = rn_algorithm_name(e->layers[s - e->steps].conv.forward);
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
    if (logits && e->graph->logits >= 0)
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
    return (rn_packed_size(e->packed) + e->arena.size) * (int64_t)sizeof(float);
}

/* --- opening ------------------------------------------------------------------------------------------------------------------- */

static int allocate(rn_infer *e, rn_error *err)
{
    size_t nodes = (size_t)e->graph->nodes_count;
    e->layers = calloc(nodes, sizeof *e->layers);
    e->maps = calloc(nodes, sizeof *e->maps);
    e->buffers = calloc(nodes + 1, sizeof *e->buffers);
    e->order = calloc(nodes + 1, sizeof *e->order);
    e->sizes = calloc(nodes, sizeof *e->sizes);
    if (!e->layers || !e->maps || !e->buffers || !e->order || !e->sizes)
        return rn_error_memory(err, "the plan", nodes * (sizeof *e->maps + sizeof *e->buffers));
    return 0;
}

int rn_infer_open_shared(rn_infer **out, const rn_graph *graph, const rn_packed *packed, rn_pool *pool, rn_error *err)
{
    *out = NULL;
    rn_infer *e = calloc(1, sizeof *e);
    if (!e)
        return rn_error_memory(err, "the engine", sizeof *e);
    e->graph = graph;
    e->packed = packed;
    e->steps = rn_packed_steps(packed, &e->steps_count);
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
    int status = rn_packed_open(&packed, graph, weights, stats, err);
    if (!status)
        status = rn_infer_open_shared(out, graph, packed, pool, err);
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
    free(e->layers);
    free(e->maps);
    free(e->buffers);
    free(e->order);
    free(e->sizes);
    free(e->hook_buffer);
    free(e);
}
