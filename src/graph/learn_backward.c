/* Training, backwards.
 *
 * The last step that gives a value its gradient also receives it: for each finished row it adds what the shortcut brought, masks by
 * ReLU (recomputed from y, or from the block's output), and takes BN's backward sums while the row is in L1. Then a, b, c of the BN are known,
 * and the convolution behind it makes dy = fma(a, dz, fma(b, y, c)) and from that dw and dx. */
#include "graph/learn_run.h"

typedef struct receiving {
    const rn_learn *e;
    const rn_learn_step *s;
    int node;                   /* whose gradient it is */
    int last;                   /* nothing more comes: mask and sum */
    const rn_map *gate;         /* ReLU's mask comes from here; NULL: no ReLU */
    int norm[2], norms;         /* whose backward sums are taken */
} receiving;

/* The norms whose backward sums belong to the value of `node`: its own, or those that a merge adds up. */
static int norms_of(const rn_learn *e, int node, int which[2])
{
    const rn_learn_value *v = &e->values[node];
    int count = 0;
    if (v->norm >= 0) {
        which[count++] = v->norm;
        return count;
    }
    for (int t = 0; t < e->steps_count; t++)
        if (e->steps[t].kind == RN_LEARN_MERGE && e->steps[t].out == node) {
            if (e->steps[t].norm_a >= 0 && !rn_learn_scaled(&e->steps[t]))
                which[count++] = e->steps[t].norm_a;
            int shortcut = e->steps[t].shortcut;
            if (e->graph->nodes[shortcut].op == RN_OP_BN)
                which[count++] = e->values[shortcut].norm;
        }
    return count;
}

static receiving receive_value(const rn_learn *e, const rn_learn_step *s, int node, int last)
{
    const rn_learn_value *v = &e->values[node];
    receiving r = {.e = e, .s = s, .node = node};
    if (node == e->target)
        return r; /* as it comes */
    r.norms = last ? norms_of(e, node, r.norm) : 0;
    if (e->graph->nodes[node].op == RN_OP_RELU)
        r.gate = &e->maps[v->map];
    r.last = last && (r.gate || r.norms);
    return r;
}

/* What a step gives to the value it reads. */
static receiving receive(const rn_learn *e, const rn_learn_step *s)
{
    return receive_value(e, s, s->in, s->last);
}

/* Masks and sums a row of the gradient in place. */
static void receive_row(const receiving *r, int n, int block, int row, float *dz)
{
    const rn_learn *e = r->e;
    const rn_learn_value *v = &e->values[r->node];
    rn_mask_row call = {.dz = dz, .pixels = v->dmap.w};
    if (r->gate) {
        call.gate = rn_map_at(r->gate, n, block, row);
        if (v->norm >= 0) {
            call.gate_scale = e->norms[v->norm].scale + block * RN_LANES;
            call.gate_shift = e->norms[v->norm].shift + block * RN_LANES;
        }
    }
    for (int j = 0; j < r->norms; j++) {
        const rn_norm *norm = &e->norms[r->norm[j]];
        const rn_map *y = &e->maps[norm->map];
        call.y[j] = rn_map_at(y, n, block, row);
        call.mean[j] = norm->mean + block * RN_LANES;
        call.sums[j] = rn_learn_partial(e, j, y, n, row, block);
    }
    e->machine.kernels.mask_row(&call);
}

/* For gradients that were written in place (pooling). */
static void place_row(const void *context, int n, int block, int row, float *dz)
{
    const receiving *r = context;
    if (r->last)
        receive_row(r, n, block, row, dz);
}

/* For backward-data: what option A's shortcut brings, where there is one, then as above. */
static void conv_row(const void *context, int n, int block, int row, float *dz)
{
    const receiving *r = context;
    const rn_learn *e = r->e;
    if (r->s->meet == RN_MEET_PADSHORT && row % r->s->pad_stride == 0) {
        const rn_map *from = &e->values[r->s->pad_from].dmap;
        int64_t step = (int64_t)r->s->pad_stride * RN_LANES;
        e->machine.kernels.add_row(&(rn_add_row){.a = dz, .b = rn_map_at(from, n, block, row / r->s->pad_stride), .dst = dz, .a_pixel = step, .b_pixel = RN_LANES,
            .dst_pixel = step, .pixels = from->w});
    }
    if (r->last)
        receive_row(r, n, block, row, dz);
}

/* After the last row: gamma's and beta's gradients, and the coefficients of dy. */
static void received(rn_learn *e, const receiving *r)
{
    for (int j = 0; j < r->norms; j++)
        rn_norm_backward(e, &e->norms[r->norm[j]], j);
}

typedef struct passing {
    const rn_learn *e;
    const rn_learn_step *s;
    int first; /* sample */
} passing;

/* dy of one block of one sample from dz, with its halo. */
static void dy_task(void *context, int task, int thread)
{
    const passing *p = context;
    const rn_learn *e = p->e;
    const rn_norm *norm = p->s->norm < 0 ? NULL : &e->norms[p->s->norm];
    const rn_map *dz = &e->values[p->s->from].dmap, *y = &e->maps[p->s->node], *dy = &p->s->dy;
    int block = task % y->blocks, n = p->first + task / y->blocks;
    for (int row = 0; !norm && row < y->h; row++) { /* without BN: a copy, for its halo */
        memcpy(rn_map_at(dy, n, block, row), rn_map_at(dz, n, block, row), (size_t)y->w * RN_LANES * sizeof(float));
        rn_map_zero_halo(dy, n, block, row);
    }
    if (!norm)
        return;
    rn_bngrad_row call = {.a = norm->a + block * RN_LANES, .b = norm->b + block * RN_LANES, .c = norm->c + block * RN_LANES, .pixels = y->w};
    (void)thread;
    for (int row = 0; row < y->h; row++) {
        call.dz = rn_map_at(dz, n, block, row);
        call.y = rn_map_at(y, n, block, row);
        call.dst = rn_map_at(dy, n, block, row);
        e->machine.kernels.bngrad_row(&call);
        rn_map_zero_halo(dy, n, block, row);
    }
}

static rn_segment *segments(const rn_learn *e)
{
    return (rn_segment *)(void *)(e->arena.memory + e->buffers[e->segments].offset);
}

static float *room(const rn_learn *e)
{
    return e->arena.memory + e->buffers[e->room].offset;
}

/* The layer's weights as backward-data wants them. */
static const float *packed_weights(const rn_learn *e, const rn_learn_step *s, int64_t at)
{
    const float *w = e->weights + e->graph->params[e->graph->nodes[s->node].weight].offset;
    rn_conv_pack_backward(&e->machine, &s->conv, w, room(e) + at);
    return room(e) + at;
}

static void conv_backward(rn_learn *e, const rn_learn_step *s)
{
    passing p = {e, s, 0};
    const rn_machine *m = &e->machine;
    int step = rn_learn_part(e, s, e->n);
    if (!s->trained && !s->wants_dx)
        return;
    float *dw = s->trained ? e->grads + e->graph->params[e->graph->nodes[s->node].weight].offset : NULL;
    rn_view x = s->x_buffer >= 0 ? (rn_view){.map = &s->x} : rn_learn_view(e, s->in);
    receiving r = s->wants_dx ? receive(e, s) : (receiving){0};
    const float *weights = NULL;
    if (s->x_buffer >= 0) { /* activated, for dw */
        rn_view in = rn_learn_view(e, s->in);
        rn_layer_affine(m, e->n, &in, &s->x);
    }
    for (rn_part part = {.count = e->n}; part.first < e->n; part.first = part.last) {
        part.last = part.first + step < e->n ? part.first + step : e->n;
        p.first = part.first;
        if (s->norm >= 0 || s->dy_buffer >= 0)
            rn_pool_run(m->pool, (part.last - part.first) * e->maps[s->node].blocks, dy_task, &p);
        if (s->trained)
            rn_conv_weights(m, &s->conv, part, &x, &s->dy, segments(e), room(e), dw);
        if (!s->wants_dx)
            continue;
        if (!weights)
            weights = packed_weights(e, s, rn_learn_packed_at(e, s, e->n));
        rn_conv_backward(m, &s->conv, part, &s->dy, &e->values[s->in].dmap, s->meet == RN_MEET_ADD, weights, conv_row, &r);
    }
    if (s->wants_dx)
        received(e, &r);
}

static void linear_backward(rn_learn *e, const rn_learn_step *s)
{
    const rn_node *node = &e->graph->nodes[s->node];
    const rn_map *dy = &e->values[s->out].dmap;
    rn_part all = {0, e->n, e->n};
    if (e->trained[node->weight])
        rn_conv_weights(&e->machine, &s->conv, all, &(rn_view){.map = &e->maps[e->values[s->in].map]}, dy, segments(e), room(e),
                        e->grads + e->graph->params[node->weight].offset);
    float *db = e->grads ? e->grads + e->graph->params[node->bias].offset : NULL;
    for (int k = 0; db && k < node->channels; k++) { /* one chain over the samples */
        float sum = 0;
        for (int n = 0; n < e->n; n++)
            sum += dy->data[n * dy->sample + k];
        db[k] = sum;
    }
    if (s->wants_dx)
        rn_conv_backward(&e->machine, &s->conv, all, dy, &e->values[s->in].dmap, 0, packed_weights(e, s, 0), NULL, NULL);
}

/* One block of one sample through a BN that is a step: its sums where no reader has taken them, or dx, added to what is there. */
static void norm_sums_task(void *context, int task, int thread)
{
    const receiving *r = context;
    const rn_norm *norm = &r->e->norms[r->s->norm];
    const rn_map *x = &r->e->maps[norm->map], *dz = &r->e->values[r->s->from].dmap;
    int block = task % x->blocks, n = task / x->blocks;
    (void)thread;
    for (int row = 0; row < x->h; row++)
        r->e->machine.kernels.mask_row(&(rn_mask_row){.dz = rn_map_at(dz, n, block, row), .y = {rn_map_at(x, n, block, row)}, .mean = {norm->mean + block * RN_LANES},
            .sums = {rn_learn_partial(r->e, 0, x, n, row, block)}, .pixels = x->w});
}

static void norm_task(void *context, int task, int thread)
{
    const receiving *r = context;
    const rn_learn *e = r->e;
    const rn_norm *norm = &e->norms[r->s->norm];
    const rn_map *x = &e->maps[norm->map], *dz = &e->values[r->s->from].dmap, *dx = &e->values[r->node].dmap;
    int block = task % x->blocks, n = task / x->blocks;
    float *line = e->machine.scratch + thread * e->machine.scratch_size;
    for (int row = 0; row < x->h; row++) {
        float *out = rn_map_at(dx, n, block, row), *made = r->s->meet == RN_MEET_ADD ? line : out;
        e->machine.kernels.bngrad_row(&(rn_bngrad_row){.dz = rn_map_at(dz, n, block, row), .y = rn_map_at(x, n, block, row), .a = norm->a + block * RN_LANES,
            .b = norm->b + block * RN_LANES, .c = norm->c + block * RN_LANES, .dst = made, .pixels = x->w});
        if (made != out)
            e->machine.kernels.add_row(&(rn_add_row){.a = made, .b = out, .dst = out, .a_pixel = RN_LANES, .b_pixel = RN_LANES, .dst_pixel = RN_LANES, .pixels = x->w});
        if (r->last)
            receive_row(r, n, block, row, out);
    }
}

static void norm_step_backward(rn_learn *e, const rn_learn_step *s)
{
    rn_norm *norm = &e->norms[s->norm];
    receiving r = s->wants_dx ? receive(e, s) : (receiving){.e = e, .s = s};
    int tasks = e->n * e->maps[norm->map].blocks;
    if (s->written) {
        rn_pool_run(e->machine.pool, tasks, norm_sums_task, &r);
        rn_norm_backward(e, norm, 0);
    }
    if (!s->wants_dx)
        return;
    rn_pool_run(e->machine.pool, tasks, norm_task, &r);
    received(e, &r);
}

/* The gate's gradient; and the branch's where nothing else reaches it. What is not scaled has the merge's gradient: its readers masked and
 * summed that. */
static void merge_backward(rn_learn *e, const rn_learn_step *s)
{
    rn_view branch, shortcut;
    rn_merge end = rn_learn_merge(e, s, &branch, &shortcut);
    const rn_map *dz = &e->values[s->out].dmap;
    if (s->gate >= 0 && e->below[s->gate])
        rn_layer_gate_back(&e->machine, e->n, &end, dz, &e->values[s->gate].dmap);
    if (s->gate >= 0 || s->drop < 0 || !e->below[s->branch])
        return;
    receiving r = receive_value(e, s, s->branch, 1);
    rn_layer_branch_back(&e->machine, e->n, &end, dz, NULL, &e->values[s->branch].dmap, place_row, &r);
    received(e, &r);
}

static void squeeze_backward(rn_learn *e, const rn_learn_step *s, const receiving *r)
{
    rn_view branch, shortcut;
    const rn_learn_step *merge = &e->steps[s->merge];
    rn_merge end = rn_learn_merge(e, merge, &branch, &shortcut);
    rn_layer_branch_back(&e->machine, e->n, &end, &e->values[merge->out].dmap, &e->values[s->out].dmap, &e->values[s->in].dmap, place_row, r);
}

void rn_learn_step_backward(rn_learn *e, const rn_learn_step *s)
{
    if (s->renews >= 0)
        rn_learn_block_again(e, &e->steps[s->renews]);
    if (!e->below[s->out])
        return;
    switch (s->kind) {
    case RN_LEARN_CONV: conv_backward(e, s); return;
    case RN_LEARN_LINEAR: linear_backward(e, s); return;
    case RN_LEARN_MERGE: merge_backward(e, s); return;
    case RN_LEARN_NORM: norm_step_backward(e, s); return;
    default: break;
    }
    if (!s->wants_dx)
        return;
    const rn_node *node = &e->graph->nodes[s->node];
    const rn_map *dx = &e->values[s->in].dmap, *dy = &e->values[s->out].dmap, *out = &e->maps[s->out];
    receiving r = receive(e, s);
    rn_view in = rn_learn_view(e, s->in);
    switch (s->kind) {
    case RN_LEARN_MAXPOOL: rn_layer_maxpool_back(&e->machine, node, e->n, &in, dy, dx, place_row, &r); break;
    case RN_LEARN_MEANPOOL: rn_layer_meanpool_back(&e->machine, e->n, dy, dx, place_row, &r); break;
    case RN_LEARN_PAD: rn_layer_pad_back(&e->machine, node, e->n, dy, dx, place_row, &r); break;
    case RN_LEARN_TSTP: rn_layer_tstp_back(&e->machine, node->eps, e->n, &in, dy, dx, place_row, &r); break;
    case RN_LEARN_RELU: rn_layer_relu_back(e->n, out, dy, dx); break;
    case RN_LEARN_SIGMOID: rn_layer_sigmoid_back(e->n, out, dy, dx); break;
    case RN_LEARN_SQUEEZE: squeeze_backward(e, s, &r); break;
    default: rn_layer_avgpool_back(&e->machine, e->n, dy, dx, place_row, &r); break;
    }
    received(e, &r);
}
