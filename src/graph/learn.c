/* The training engine: opening, loading weights, forward and backward of one ghost batch. */
#include "graph/learn.h"

#include <stdlib.h>
#include <time.h>

#include "base/cpu.h"
#include "graph/learn_run.h"

enum { MOST_SAMPLES = 1 << 20, MOST_PIXELS = 1 << 24 }; /* far above any use; keeps sizes from overflowing */

/* Buffers at most: a map, once more where it is computed again, and its gradient for each node, dy and x for each step, and five that are shared. */
static size_t most_buffers(const rn_graph *g)
{
    return 5 * (size_t)g->nodes_count + 8;
}

static int allocate(rn_learn *e, const unsigned char *frozen, rn_error *err)
{
    const rn_graph *g = e->graph;
    size_t nodes = (size_t)g->nodes_count;
    e->trained = calloc((size_t)g->params_count + 1, 1);
    e->below = calloc(nodes, 1);
    e->steps = calloc(nodes, sizeof *e->steps);
    e->norms = calloc(nodes, sizeof *e->norms);
    e->values = calloc(nodes, sizeof *e->values);
    e->maps = calloc(nodes, sizeof *e->maps);
    e->map_buffer = calloc(nodes, sizeof *e->map_buffer);
    e->sizes = calloc(nodes, sizeof *e->sizes);
    e->buffers = calloc(most_buffers(g), sizeof *e->buffers);
    if (!e->trained || !e->below || !e->steps || !e->norms || !e->values || !e->maps || !e->map_buffer || !e->sizes || !e->buffers)
        return rn_error_memory(err, "the training plan", nodes * 1024);
    for (int i = 0; i < g->params_count; i++)
        e->trained[i] = e->target < 0 && !(frozen && frozen[i]);
    return 0;
}

/* The arrays of every norm, one block of memory: eight of them a channel, lanes behind the last channel stay zero. */
static int allocate_norms(rn_learn *e, rn_error *err)
{
    int64_t lanes = 0;
    for (int i = 0; i < e->norms_count; i++)
        lanes += (int64_t)e->maps[e->norms[i].map].blocks * RN_LANES;
    e->norm_memory = calloc((size_t)lanes * 7 + 1, sizeof(float));
    e->norm_doubles = calloc((size_t)lanes + 1, sizeof(double));
    if (!e->norm_memory || !e->norm_doubles)
        return rn_error_memory(err, "the statistics of batch normalisation", (unsigned long long)lanes * 36);
    float *p = e->norm_memory;
    double *d = e->norm_doubles;
    for (int i = 0; i < e->norms_count; i++) {
        rn_norm *norm = &e->norms[i];
        int64_t n = (int64_t)e->maps[norm->map].blocks * RN_LANES;
        float **arrays[] = {&norm->scale, &norm->shift, &norm->center, &norm->mean, &norm->a, &norm->b, &norm->c};
        for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++, p += n)
            *arrays[k] = p;
        norm->inverse = d;
        d += n;
    }
    return 0;
}

static int allocate_kept(rn_learn *e, rn_error *err)
{
    size_t count = (size_t)e->merges * (size_t)e->max_n;
    e->kept = malloc((count + 1) * sizeof *e->kept);
    if (!e->kept)
        return rn_error_memory(err, "the factors of blocks", count * sizeof *e->kept);
    for (size_t i = 0; i < count; i++)
        e->kept[i] = 1;
    return 0;
}

int rn_learn_blocks(const rn_learn *e)
{
    return e->merges;
}

void rn_learn_keep(rn_learn *e, int n, const float *factors)
{
    for (int block = 0; block < e->merges; block++)
        memcpy(e->kept + (int64_t)block * e->max_n, factors + (int64_t)block * n, (size_t)n * sizeof *factors);
}

static int check_counts(const rn_learn *e, int n, rn_error *err)
{
    for (int i = 0; i < e->norms_count; i++) {
        const rn_map *y = &e->maps[e->norms[i].map];
        if (!e->norms[i].frozen && (int64_t)n * y->h * y->w < 2)
            return rn_error_set(err, RN_ERR_ARG, "%s: a ghost batch of %d sample has one value per channel here, which has no variance: use a larger --batch or --ghost-batch, or longer crops",
                                e->graph->nodes[e->norms[i].node].name, n);
    }
    return 0;
}

static int open_engine(rn_learn **out, const rn_graph *graph, int max_n, int h, int w, const unsigned char *frozen, int modes, int target,
                       rn_pool *pool, rn_error *err)
{
    *out = NULL;
    if (max_n < 1 || max_n > MOST_SAMPLES || h < 1 || w < 1 || h > MOST_PIXELS || w > MOST_PIXELS)
        return rn_error_set(err, RN_ERR_ARG, "a ghost batch of %d samples of %d x %d cannot be trained: 1 to %d samples, sides of 1 to %d", max_n, h, w, MOST_SAMPLES, MOST_PIXELS);
    int status = rn_layer_check(graph, err);
    if (status)
        return status;
    rn_learn *e = calloc(1, sizeof *e);
    if (!e)
        return rn_error_memory(err, "the training engine", sizeof *e);
    e->graph = graph;
    e->machine.pool = pool;
    e->max_n = max_n;
    e->recompute = modes & RN_LEARN_RECOMPUTE;
    e->dropping = modes & RN_LEARN_DROP;
    e->target = target;
    rn_kernels_open(&e->machine.kernels);
    status = allocate(e, frozen, err);
    if (!status)
        status = rn_learn_plan(e, h, w, err);
    if (!status)
        status = check_counts(e, max_n, err);
    if (!status)
        status = allocate_norms(e, err);
    if (!status && e->dropping)
        status = allocate_kept(e, err);
    if (status)
        rn_learn_close(&e);
    *out = e;
    return status;
}

int rn_learn_open(rn_learn **out, const rn_graph *graph, int max_n, int h, int w, const unsigned char *frozen, int modes,
                  rn_pool *pool, rn_error *err)
{
    return open_engine(out, graph, max_n, h, w, frozen, modes, -1, pool, err);
}

int rn_learn_open_for_value(rn_learn **out, const rn_graph *graph, int max_n, int h, int w, int node, rn_pool *pool, rn_error *err)
{
    return open_engine(out, graph, max_n, h, w, NULL, 0, node, pool, err);
}

void rn_learn_value_shape(const rn_learn *e, int shape[3])
{
    const rn_map *m = &e->maps[e->values[e->target].map];
    shape[0] = m->channels;
    shape[1] = m->h;
    shape[2] = m->w;
}

void rn_learn_read_value(rn_learn *e, float *value, float *gradient)
{
    rn_view view = rn_learn_view(e, e->target);
    if (value)
        rn_layer_plain(&e->machine, e->n, &view, value);
    if (gradient)
        rn_layer_plain(&e->machine, e->n, &(rn_view){.map = &e->values[e->target].dmap}, gradient);
}

void rn_learn_close(rn_learn **engine)
{
    rn_learn *e = *engine;
    *engine = NULL;
    if (!e)
        return;
    rn_arena_free(&e->arena);
    free(e->trained);
    free(e->below);
    free(e->steps);
    free(e->norms);
    free(e->values);
    free(e->maps);
    free(e->map_buffer);
    free(e->sizes);
    free(e->buffers);
    free(e->kept);
    free(e->norm_memory);
    free(e->norm_doubles);
    free(e->hook_buffer);
    free(e);
}

int64_t rn_learn_bytes(const rn_learn *e)
{
    return e->arena.size * (int64_t)sizeof(float);
}

void rn_learn_load(rn_learn *e, const float *weights, const float *stats)
{
    const rn_graph *g = e->graph;
    e->weights = weights;
    e->stats = stats;
    e->n = 0;
    for (int i = 0; i < e->norms_count; i++) {
        const rn_node *bn = &g->nodes[e->norms[i].node];
        memcpy(e->norms[i].center, stats + g->params[bn->mean].offset, (size_t)bn->channels * sizeof(float));
    }
}

/* --- hook ---------------------------------------------------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int tell(rn_learn *e, const rn_learn_step *s, const char *kind, const rn_view *view, double seconds, rn_error *err)
{
    const rn_map *m = view->map;
    rn_layer_event event = {.name = e->graph->nodes[s->node].name, .kind = kind, .n = e->n, .c = m->channels, .h = m->h, .w = m->w,
        .macs = e->n * rn_graph_macs(e->graph, (const int(*)[2])e->sizes, s->node), .seconds = seconds};
    if (s->kind == RN_LEARN_CONV)
        event.algorithm = rn_algorithm_name(s->conv.forward);
    if (e->hook_data) {
        int64_t want = (int64_t)e->n * m->channels * m->h * m->w;
        if (want > e->hook_size) {
            float *grown = realloc(e->hook_buffer, (size_t)want * sizeof *grown);
            if (!grown)
                return rn_error_memory(err, "a copy of a layer's output", (unsigned long long)want * sizeof *grown);
            e->hook_buffer = grown;
            e->hook_size = want;
        }
        rn_layer_plain(&e->machine, e->n, view, e->hook_buffer);
        event.data = e->hook_buffer;
    }
    e->hook(e->hook_context, &event);
    return 0;
}

static const char *const forward_kinds[] = {"conv", "merge", "pool", "pool", "pool", "pad", "linear", "bn", "relu", "sigmoid", "squeeze", "pool"};
static const char *const backward_kinds[] = {"conv backward", "merge backward", "pool backward", "pool backward", "pool backward", "pad backward",
                                             "linear backward", "bn backward", "relu backward", "sigmoid backward", "squeeze backward", "pool backward"};

static int forward_step(rn_learn *e, const rn_learn_step *s, rn_error *err)
{
    double start = e->hook ? now() : 0;
    rn_learn_step_forward(e, s);
    int viewed = s->kind == RN_LEARN_NORM && !s->written; /* what it makes is only a way to look at its input */
    return e->hook && !viewed ? tell(e, s, forward_kinds[s->kind], &(rn_view){.map = &e->maps[s->out]}, now() - start, err) : 0;
}

static int backward_step(rn_learn *e, const rn_learn_step *s, rn_error *err)
{
    double start = e->hook ? now() : 0;
    rn_learn_step_backward(e, s);
    if (!e->hook || !s->wants_dx || s->in < 0 || e->values[s->in].gradient < 0)
        return 0;
    return tell(e, s, backward_kinds[s->kind], &(rn_view){.map = &e->values[s->in].dmap}, now() - start, err);
}

int rn_learn_hook(rn_learn *e, rn_layer_hook hook, void *context, int want_data, rn_error *err)
{
    (void)err;
    e->hook = hook;
    e->hook_context = context;
    e->hook_data = want_data;
    return 0;
}

/* --- one ghost batch -------------------------------------------------------------------------------------------------------------- */

int rn_learn_forward(rn_learn *e, int n, const float *x, float *logits, float *embedding, double *batch_stats, rn_error *err)
{
    e->n = 0;
    if (n < 1 || n > e->max_n)
        return rn_error_set(err, RN_ERR_ARG, "a ghost batch of %d samples: the engine was opened for 1 to %d", n, e->max_n);
    int status = check_counts(e, n, err);
    if (status)
        return status;
    unsigned state = rn_fp_enter();
    e->n = n;
    e->batch_stats = batch_stats;
    rn_layer_input(&e->machine, n, x, &e->maps[0]);
    for (int t = 0; t < e->steps_count && !status; t++)
        status = forward_step(e, &e->steps[t], err);
    if (logits && e->graph->logits >= 0)
        rn_layer_gather(n, &e->maps[e->graph->logits], logits);
    if (embedding && e->graph->embedding >= 0)
        rn_layer_gather(n, &e->maps[e->graph->embedding], embedding);
    rn_fp_leave(state);
    return status;
}

/* The caller's gradient of the embedding comes on top of what the classifier gave. */
static void add_embedding(rn_learn *e, const float *dembedding)
{
    const rn_map *d = &e->values[e->graph->embedding].dmap;
    for (int n = 0; n < e->n; n++)
        for (int k = 0; k < d->channels; k++)
            d->data[n * d->sample + k] += dembedding[(int64_t)n * d->channels + k];
}

int rn_learn_backward(rn_learn *e, const float *dlogits, const float *dembedding, float *grads, rn_error *err)
{
    if (!e->n)
        return rn_error_set(err, RN_ERR_ARG, "backward without a forward pass since the weights were loaded");
    unsigned state = rn_fp_enter();
    int status = 0;
    e->grads = grads;
    if (e->graph->logits >= 0 && e->values[e->graph->logits].gradient >= 0)
        rn_layer_scatter(e->n, dlogits, &e->values[e->graph->logits].dmap);
    if (e->graph->logits < 0 && e->values[e->graph->embedding].gradient >= 0) /* nothing but the caller gives it one */
        rn_layer_scatter(e->n, NULL, &e->values[e->graph->embedding].dmap);
    for (int t = e->steps_count - 1; t >= 0 && !status; t--) {
        if (dembedding && e->graph->embedding == e->steps[t].node && e->below[e->steps[t].out])
            add_embedding(e, dembedding);
        status = backward_step(e, &e->steps[t], err);
    }
    for (int i = 0; grads && i < e->graph->params_count; i++) {
        const rn_param *p = &e->graph->params[i];
        if (p->kind < RN_PARAM_BN_MEAN && !e->trained[i]) /* a frozen BN's sums may have been written on the way */
            memset(grads + p->offset, 0, (size_t)p->count * sizeof *grads);
    }
    rn_fp_leave(state);
    return status;
}

int64_t rn_learn_traffic(const rn_learn *e, int n)
{
    int64_t floats = 0, weights = 0;
    for (int t = 0; t < e->steps_count; t++) {
        const rn_learn_step *s = &e->steps[t];
        int64_t out = s->kind == RN_LEARN_NORM && !s->written ? 0 : e->maps[s->out].sample, in = s->in >= 0 ? e->maps[e->values[s->in].map].sample : 0;
        if (s->kind == RN_LEARN_CONV || s->kind == RN_LEARN_LINEAR) /* packed: written, read */
            weights += 2 * (s->again >= 0 ? 2 : 1) * rn_conv_forward_size(&s->conv) + (s->wants_dx ? 2 * rn_conv_backward_size(&s->conv) : 0);
        if (s->kind == RN_LEARN_CONV) /* forward in, out; dz, y, dy; x, x', dw's reads; dy, dx */
            floats += (s->again >= 0 ? 2 : 1) * (in + out) + 3 * out + (s->x_buffer >= 0 ? 2 : 0) * in + in + out + (s->wants_dx ? out + 2 * in : 0);
        else
            floats += 3 * out + 2 * in;
    }
    return (floats * n + weights) * (int64_t)sizeof(float);
}

int64_t rn_learn_floor(const rn_learn *e, int n)
{
    int64_t floats = 0;
    for (int t = 0; t < e->steps_count; t++) {
        const rn_map *m = &e->maps[e->steps[t].out];
        if (e->steps[t].kind == RN_LEARN_NORM && !e->steps[t].written)
            continue;
        floats += 2 * (int64_t)m->channels * m->h * m->w;
    }
    return floats * n * (int64_t)sizeof(float);
}
