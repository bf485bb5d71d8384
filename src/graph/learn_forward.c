/* Training, forwards: convolutions that leave their row sums, and the ends of blocks. */
#include "graph/learn_run.h"

typedef struct rows {
    const rn_learn *e;
    const rn_learn_step *s;
} rows;

/* Behind every row of a convolution, while it is in L1: BN's sums, shifted by the running mean. */
static void sum_row(const void *context, int n, int block, int row, float *y)
{
    const rows *r = context;
    const rn_map *map = &r->e->maps[r->s->node];
    r->e->machine.kernels.sums_row(&(rn_sums_row){.y = y, .mean = r->e->norms[r->s->norm].center + block * RN_LANES, .pixels = map->w,
        .sums = rn_learn_partial(r->e, 0, map, n, row, block)});
}

static void bias_row(const void *context, int n, int block, int row, float *y)
{
    const rows *r = context;
    const rn_node *node = &r->e->graph->nodes[r->s->node];
    const rn_param *bias = &r->e->graph->params[node->bias];
    float lanes[RN_LANES] = {0};
    int count = node->channels - block * RN_LANES;
    (void)n;
    (void)row;
    memcpy(lanes, r->e->weights + bias->offset + block * RN_LANES, (size_t)(count < RN_LANES ? count : RN_LANES) * sizeof *lanes);
    r->e->machine.kernels.finish_row(&(rn_finish_row){.sums = y, .y = y, .bias = lanes, .pixels = 1});
}

/* The same for a map that is normalised by itself: a task is one block of one sample. */
static void sums_task(void *context, int task, int thread)
{
    const rows *r = context;
    const rn_map *map = &r->e->maps[r->e->norms[r->s->norm].map];
    int block = task % map->blocks, n = task / map->blocks;
    (void)thread;
    for (int row = 0; row < map->h; row++)
        r->e->machine.kernels.sums_row(&(rn_sums_row){.y = rn_map_at(map, n, block, row), .mean = r->e->norms[r->s->norm].center + block * RN_LANES,
            .pixels = map->w, .sums = rn_learn_partial(r->e, 0, map, n, row, block)});
}

static void norm_forward(rn_learn *e, const rn_learn_step *s)
{
    rows r = {e, s};
    rn_norm *norm = &e->norms[s->norm];
    const rn_map *map = &e->maps[norm->map];
    if (!norm->frozen)
        rn_pool_run(e->machine.pool, e->n * map->blocks, sums_task, &r);
    rn_norm_forward(e, norm);
    if (s->written)
        rn_layer_affine(&e->machine, e->n, &(rn_view){.map = map, .scale = norm->scale, .shift = norm->shift}, &e->maps[s->out]);
}

rn_merge rn_learn_merge(const rn_learn *e, const rn_learn_step *s, rn_view *branch, rn_view *shortcut)
{
    *branch = rn_learn_view(e, s->branch);
    *shortcut = rn_learn_view(e, s->shortcut);
    return (rn_merge){.branch = branch, .shortcut = shortcut, .stride = s->stride, .relu = s->relu, .gate = s->gate < 0 ? NULL : &e->maps[s->gate],
        .kept = s->drop < 0 ? NULL : e->kept + (int64_t)s->drop * e->max_n};
}

static void merge_task(void *context, int task, int thread)
{
    const rows *r = context;
    const rn_learn *e = r->e;
    const rn_norm *norm = &e->norms[r->s->norm_a];
    const rn_map *y = &e->maps[norm->map], *out = &e->maps[r->s->out];
    rn_view shortcut = rn_learn_view(e, r->s->shortcut);
    int block = task % out->blocks, n = task / out->blocks;
    rn_merge_row call = {.scale = norm->scale + block * RN_LANES, .shift = norm->shift + block * RN_LANES, .pixels = out->w};
    (void)thread;
    if (block < shortcut.map->blocks) {
        call.shortcut_pixel = (int64_t)r->s->stride * RN_LANES;
        call.shortcut_relu = shortcut.relu;
        if (shortcut.scale) {
            call.shortcut_scale = shortcut.scale + block * RN_LANES;
            call.shortcut_shift = shortcut.shift + block * RN_LANES;
        }
    }
    for (int p = 0; p < out->h; p++) {
        call.y = rn_map_at(y, n, block, p);
        call.dst = rn_map_at(out, n, block, p);
        call.shortcut = block < shortcut.map->blocks ? rn_map_at(shortcut.map, n, block, p * r->s->stride) : NULL;
        e->machine.kernels.merge_row(&call);
        rn_map_zero_halo(out, n, block, p);
    }
}

/* A map that is computed again lies in two places in turn. */
static void place_map(rn_learn *e, const rn_learn_step *s, int buffer)
{
    rn_map *m = &e->maps[s->out];
    m->data = e->arena.memory + e->buffers[buffer].offset + rn_map_origin(m);
}

/* The layer's weights as its forward pass wants them. */
static const float *packed_weights(rn_learn *e, const rn_learn_step *s)
{
    const float *w = e->weights + e->graph->params[e->graph->nodes[s->node].weight].offset;
    float *packed = e->arena.memory + e->buffers[e->room].offset;
    rn_conv_pack_forward(&e->machine, &s->conv, w, NULL, packed);
    return packed;
}

void rn_learn_block_again(rn_learn *e, const rn_learn_step *merge)
{
    for (int t = merge->block_first; t < merge->block_last; t++) {
        const rn_learn_step *s = &e->steps[t];
        if (s->again < 0)
            continue;
        rn_view in = rn_learn_view(e, s->in);
        place_map(e, s, s->again);
        rn_conv_forward(&e->machine, &s->conv, e->n, &in, &e->maps[s->out], packed_weights(e, s), &(rn_epilogue){0});
    }
}

static void merge_forward(rn_learn *e, const rn_learn_step *s)
{
    rows r = {e, s};
    rn_view branch, shortcut;
    if (s->relu && !rn_learn_scaled(s)) {
        rn_pool_run(e->machine.pool, e->n * e->maps[s->out].blocks, merge_task, &r);
        return;
    }
    rn_merge end = rn_learn_merge(e, s, &branch, &shortcut);
    rn_layer_merge(&e->machine, e->n, &end, &e->maps[s->out]);
}

void rn_learn_step_forward(rn_learn *e, const rn_learn_step *s)
{
    if (s->again >= 0)
        place_map(e, s, e->map_buffer[s->out]);
    rows r = {e, s};
    const rn_map *out = &e->maps[s->out];
    rn_view in = s->in >= 0 ? rn_learn_view(e, s->in) : (rn_view){0};
    switch (s->kind) {
    case RN_LEARN_CONV:
        rn_conv_forward(&e->machine, &s->conv, e->n, &in, out, packed_weights(e, s),
                        &(rn_epilogue){.row = s->norm < 0 || e->norms[s->norm].frozen ? NULL : sum_row, .context = &r});
        if (s->norm >= 0)
            rn_norm_forward(e, &e->norms[s->norm]);
        break;
    case RN_LEARN_MERGE: merge_forward(e, s); break;
    case RN_LEARN_NORM: norm_forward(e, s); break;
    case RN_LEARN_RELU: rn_layer_relu(e->n, in.map, out); break;
    case RN_LEARN_SIGMOID: rn_layer_sigmoid(e->n, in.map, out); break;
    case RN_LEARN_SQUEEZE: rn_layer_avgpool(&e->machine, e->n, &in, out); break;
    case RN_LEARN_TSTP: rn_layer_tstp(&e->machine, e->graph->nodes[s->node].eps, e->n, &in, out); break;
    case RN_LEARN_MAXPOOL: rn_layer_maxpool(&e->machine, &e->graph->nodes[s->node], e->n, &in, out); break;
    case RN_LEARN_MEANPOOL: rn_layer_meanpool(&e->machine, e->n, &in, out); break;
    case RN_LEARN_PAD: rn_layer_pad(&e->machine, &e->graph->nodes[s->node], e->n, &in, out); break;
    case RN_LEARN_AVGPOOL: rn_layer_avgpool(&e->machine, e->n, &in, out); break;
    case RN_LEARN_LINEAR: rn_conv_forward(&e->machine, &s->conv, e->n, &in, out, packed_weights(e, s), &(rn_epilogue){.row = bias_row, .context = &r}); break;
    }
}
