/* The planner of training: steps in order of the graph, gradients in reverse, buffers by lifetime.
 *
 * Times: step t forwards is t, its way back is 2 * steps - 1 - t. A map lives from the step that makes it to the last one that reads it
 * on the way back; gradients only within the way back, so they take the place of what is not needed any more. */
#include "graph/learn_plan.h"

#include <stdlib.h>

rn_view rn_learn_view(const rn_learn *e, int node)
{
    const rn_learn_value *v = &e->values[node];
    rn_view view = {.map = &e->maps[v->map], .relu = v->relu};
    if (v->norm >= 0) {
        view.scale = e->norms[v->norm].scale;
        view.shift = e->norms[v->norm].shift;
    }
    return view;
}

/* --- steps and values ------------------------------------------------------------------------------------------------------ */

static void mark_below(rn_learn *e)
{
    const rn_graph *g = e->graph;
    for (int i = 0; i < g->nodes_count; i++) {
        const rn_node *n = &g->nodes[i];
        int own = (n->weight >= 0 && e->trained[n->weight]) || (n->bias >= 0 && e->trained[n->bias]);
        e->below[i] = own || i == e->target || (n->a >= 0 && e->below[n->a]) || (n->b >= 0 && e->below[n->b]);
    }
}

static void add_norm(rn_learn *e, int node)
{
    const rn_node *bn = &e->graph->nodes[node];
    rn_norm *norm = &e->norms[e->norms_count++];
    *norm = (rn_norm){.node = node, .map = e->values[bn->a].map, .frozen = !e->trained[bn->weight < 0 ? bn->mean : bn->weight], .gradient = e->below[node]};
}

static int norm_of(const rn_learn *e, int node)
{
    for (int i = 0; i < e->norms_count; i++)
        if (e->norms[i].node == node)
            return i;
    return -1;
}

static rn_learn_step *add_step(rn_learn *e, rn_learn_kind kind, int node, int in, int out)
{
    rn_learn_step *s = &e->steps[e->steps_count++];
    *s = (rn_learn_step){.kind = kind, .node = node, .in = in, .out = out, .norm = -1, .norm_a = -1, .branch = -1, .shortcut = -1, .stride = 1, .gate = -1, .drop = -1, .from = -1,
        .dy_buffer = -1, .x_buffer = -1, .pad_from = -1, .again = -1, .renews = -1};
    s->wants_dx = in >= 0 && e->below[in];
    return s;
}

static void add_layer(rn_learn *e, int i, rn_learn_kind kind)
{
    rn_learn_step *s = add_step(e, kind, i, e->graph->nodes[i].a, i);
    s->conv = rn_layer_conv(e->graph, i);
    rn_algorithm_choose(&s->conv, e->sizes[i][0], e->sizes[i][1]);
    s->trained = e->trained[e->graph->nodes[i].weight];
}

/* A block's end, the only place where a block's value is written: that of the ReLU behind the addition, or of the addition. */
static void add_merge(rn_learn *e, int add, int out)
{
    const rn_graph *g = e->graph;
    const rn_node *node = &g->nodes[add];
    rn_learn_step *s = add_step(e, RN_LEARN_MERGE, add, -1, out);
    s->relu = out != add;
    s->branch = node->a;
    if (g->nodes[node->a].op == RN_OP_SCALE) {
        s->branch = g->nodes[node->a].a;
        s->gate = g->nodes[node->a].b;
    }
    s->norm_a = e->values[s->branch].norm;
    s->shortcut = node->b;
    if (rn_layer_pad_merges(g, node->b)) {
        s->shortcut = g->nodes[node->b].a;
        s->stride = g->nodes[node->b].stride;
    }
    s->drop = e->dropping ? e->merges : -1;
    e->merges++;
}

/* BN is a way to look at a map, unless a layer reads it that takes no views. */
static void add_bn(rn_learn *e, int i)
{
    const rn_node *n = &e->graph->nodes[i];
    rn_learn_value *v = &e->values[i];
    add_norm(e, i);
    if (!rn_layer_folds(e->graph, i)) {
        rn_learn_step *s = add_step(e, RN_LEARN_NORM, i, n->a, i);
        s->norm = e->norms_count - 1;
        s->written = rn_layer_reader(e->graph, i, RN_OP_RELU) < 0;
        if (s->written)
            return;
    }
    v->map = e->values[n->a].map;
    v->norm = e->norms_count - 1;
}

static void add_relu(rn_learn *e, int i)
{
    const rn_graph *g = e->graph;
    int in = g->nodes[i].a;
    if (g->nodes[in].op == RN_OP_ADD) {
        add_merge(e, in, i);
    } else if (g->nodes[in].op == RN_OP_LINEAR) {
        add_step(e, RN_LEARN_RELU, i, in, i);
    } else {
        e->values[i] = e->values[in];
        e->values[i].relu = 1;
    }
}

static void add_node(rn_learn *e, int i)
{
    const rn_graph *g = e->graph;
    const rn_node *n = &g->nodes[i];
    static const struct {
        rn_op op;
        rn_learn_kind kind;
    } simple[] = {{RN_OP_MAXPOOL, RN_LEARN_MAXPOOL}, {RN_OP_MEANPOOL, RN_LEARN_MEANPOOL}, {RN_OP_AVGPOOL, RN_LEARN_AVGPOOL}, {RN_OP_PADSHORT, RN_LEARN_PAD},
        {RN_OP_SQUEEZE, RN_LEARN_SQUEEZE}, {RN_OP_SIGMOID, RN_LEARN_SIGMOID}, {RN_OP_TSTP, RN_LEARN_TSTP}};
    rn_learn_value *v = &e->values[i];
    *v = (rn_learn_value){.map = i, .norm = -1, .gradient = -1};
    switch (n->op) {
    case RN_OP_INPUT: return;
    case RN_OP_CONV: add_layer(e, i, RN_LEARN_CONV); return;
    case RN_OP_LINEAR: add_layer(e, i, RN_LEARN_LINEAR); return;
    case RN_OP_BN: add_bn(e, i); return;
    case RN_OP_RELU: add_relu(e, i); return;
    default: break;
    }
    if (n->op == RN_OP_ADD && rn_layer_end(g, i) < 0)
        add_merge(e, i, i);
    else if (n->op == RN_OP_ADD || n->op == RN_OP_SCALE || rn_layer_pad_merges(g, i))
        v->map = -1; /* a part of the merge */
    for (size_t k = 0; v->map >= 0 && k < sizeof simple / sizeof *simple; k++)
        if (simple[k].op == n->op)
            add_step(e, simple[k].kind, i, n->a, i);
}

/* The node whose gradient a BN's way back begins with: the merge's, the ReLU's behind it, or its own where it is scaled. */
static int gradient_from(const rn_learn *e, int bn)
{
    for (int t = 0; t < e->steps_count; t++) {
        const rn_learn_step *s = &e->steps[t];
        if (s->kind == RN_LEARN_MERGE && (s->shortcut == bn || (s->branch == bn && !rn_learn_scaled(s))))
            return s->out;
    }
    int relu = rn_layer_reader(e->graph, bn, RN_OP_RELU);
    return relu >= 0 ? relu : bn;
}

static void list_steps(rn_learn *e)
{
    const rn_graph *g = e->graph;
    for (int i = 0; i < g->nodes_count; i++)
        add_node(e, i);
    for (int t = 0; t < e->steps_count; t++) {
        rn_learn_step *s = &e->steps[t];
        int bn = s->kind == RN_LEARN_CONV ? rn_layer_reader(g, s->node, RN_OP_BN) : -1;
        if (bn >= 0 && rn_layer_folds(g, bn))
            s->norm = norm_of(e, bn);
        if (s->kind == RN_LEARN_CONV)
            s->from = s->norm >= 0 ? gradient_from(e, bn) : s->node;
        if (s->kind == RN_LEARN_NORM)
            s->from = gradient_from(e, s->node);
        for (int m = 0; s->kind == RN_LEARN_SQUEEZE && m < e->steps_count; m++)
            if (e->steps[m].kind == RN_LEARN_MERGE && e->steps[m].gate >= 0 && e->steps[m].branch == s->in)
                s->merge = m;
    }
}

/* --- buffers ------------------------------------------------------------------------------------------------------------------ */

static int add_buffer(rn_learn *e, int64_t size, int first, int last)
{
    e->buffers[e->buffers_count] = (rn_buffer){.size = size, .first = first, .last = last};
    return e->buffers_count++;
}

static void extend(rn_learn *e, int buffer, int time)
{
    if (buffer >= 0 && e->buffers[buffer].last < time)
        e->buffers[buffer].last = time;
}

static int halo_wanted(const rn_learn *e, int node)
{
    int halo = 0;
    for (int t = 0; t < e->steps_count; t++)
        if (e->steps[t].in == node && e->steps[t].kind == RN_LEARN_CONV && e->steps[t].conv.pad > halo)
            halo = e->steps[t].conv.pad;
    return halo;
}

/* Step that makes the value of `node`. */
static int maker_of(const rn_learn *e, int node)
{
    for (int t = e->steps_count - 1; t >= 0; t--)
        if (e->steps[t].out == e->values[node].map || e->steps[t].out == node)
            return t;
    return -1;
}

/* The step whose way back finishes the gradient of a merge's output, and so needs what its block computed: the first that reads it. */
static int first_reader(const rn_learn *e, int node)
{
    for (int t = 0; t < e->steps_count; t++)
        if (e->steps[t].in == node)
            return t;
    return -1;
}

/* What a shortcut reads. */
static int block_input(const rn_graph *g, int shortcut)
{
    int node = shortcut;
    if (g->nodes[node].op == RN_OP_BN)
        node = g->nodes[node].a;
    if (g->nodes[node].op == RN_OP_CONV && rn_layer_readers(g, node) == 1) /* a projection, not the stem */
        node = g->nodes[node].a;
    return g->nodes[node].op == RN_OP_MEANPOOL || g->nodes[node].op == RN_OP_PADSHORT ? g->nodes[node].a : node;
}

/* Which convolutions a block computes again, and before which step's way back. A stem with a pool is such a block; its y is needed by the pool's
 * own way back. */
static void mark_blocks(rn_learn *e)
{
    for (int t = 0; e->recompute && t < e->steps_count; t++) {
        rn_learn_step *merge = &e->steps[t];
        if (merge->kind == RN_LEARN_MAXPOOL && e->below[merge->in]) {
            merge->block_last = merge->renews = t; /* everything before the pool */
        }
        if (merge->kind != RN_LEARN_MERGE || !e->below[merge->out])
            continue;
        int source = block_input(e->graph, merge->shortcut);
        merge->block_first = maker_of(e, source) + 1;
        merge->block_last = t;
        e->steps[merge->relu ? first_reader(e, merge->out) : t].renews = t; /* without ReLU there is nothing to mask and to sum */
    }
}

/* y of a convolution in a block that is computed again: for the way forward in one place, for the way back in another. */
static void renewed_maps(rn_learn *e)
{
    int end = 2 * e->steps_count;
    for (int r = 0; r < e->steps_count; r++) {
        const rn_learn_step *merge = e->steps[r].renews < 0 ? NULL : &e->steps[e->steps[r].renews];
        for (int t = merge ? merge->block_first : 0; merge && t < merge->block_last; t++) {
            rn_learn_step *s = &e->steps[t];
            if (s->kind != RN_LEARN_CONV)
                continue;
            rn_buffer *y = &e->buffers[e->map_buffer[s->out]];
            y->last = merge->block_last; /* the merge is the last to read it */
            s->again = add_buffer(e, y->size, end - 1 - r, end - 1 - t);
            int maker = maker_of(e, s->in);
            if (maker >= 0 && e->steps[maker].again < 0) /* what comes from outside of the block must still be there */
                extend(e, e->map_buffer[e->values[s->in].map], end - 1 - r);
        }
    }
}

static int forward_maps(rn_learn *e, int h, int w, rn_error *err)
{
    const rn_graph *g = e->graph;
    int end = 2 * e->steps_count;
    e->maps[0] = rn_map_plain(g->in_channels, h, w, halo_wanted(e, 0));
    if (e->maps[0].sample > INT32_MAX)
        return rn_error_set(err, RN_ERR_SHAPE, "the input: one sample of %d x %d needs %lld floats, above 2^31: use shorter crops", h, w, (long long)e->maps[0].sample);
    e->map_buffer[0] = add_buffer(e, e->maps[0].sample * e->max_n, 0, end);
    for (int t = 0; t < e->steps_count; t++) {
        const rn_learn_step *s = &e->steps[t];
        if (s->kind == RN_LEARN_NORM && !s->written)
            continue; /* a view */
        int halo = e->values[s->out].norm < 0 && s->kind != RN_LEARN_CONV ? halo_wanted(e, s->out) : 0; /* a raw y is read through a view */
        e->maps[s->out] = rn_map_shape(g->nodes[s->out].channels, e->sizes[s->out][0], e->sizes[s->out][1], halo);
        if (e->maps[s->out].sample > INT32_MAX)
            return rn_error_set(err, RN_ERR_SHAPE, "%s: one sample of %d x %d needs %lld floats in this layer, above 2^31: use shorter crops",
                                g->nodes[s->node].name, h, w, (long long)e->maps[s->out].sample);
        int normed = s->kind == RN_LEARN_CONV && s->norm >= 0 && e->norms[s->norm].gradient;
        int last = e->below[s->out] || normed ? end - 1 - t : t; /* its own way back is the last to need it */
        e->map_buffer[s->out] = add_buffer(e, e->maps[s->out].sample * e->max_n, t, last);
    }
    /* A map that nothing needs on the way back still lives until its last reader forwards. */
    for (int t = 0; t < e->steps_count; t++) {
        const rn_learn_step *s = &e->steps[t];
        if (s->in >= 0)
            extend(e, e->map_buffer[e->values[s->in].map], t);
        if (s->shortcut >= 0)
            extend(e, e->map_buffer[e->values[s->shortcut].map], t);
        if (s->branch >= 0)
            extend(e, e->map_buffer[e->values[s->branch].map], s->gate >= 0 && e->below[s->gate] ? end - 1 - t : t);
        if (s->gate >= 0)
            extend(e, e->map_buffer[s->gate], t);
        if (s->kind == RN_LEARN_NORM && e->below[s->out])
            extend(e, e->map_buffer[e->norms[s->norm].map], end - 1 - t);
        if (s->trained && s->in >= 0)
            extend(e, e->map_buffer[e->values[s->in].map], end - 1 - t);
    }
    if (e->target >= 0)
        extend(e, e->map_buffer[e->values[e->target].map], end);
    mark_blocks(e);
    renewed_maps(e);
    return 0;
}

/* The gradient buffer of a node's value, made at `time` unless it is there. */
static int gradient_of(rn_learn *e, int node, int halo, int time)
{
    rn_learn_value *v = &e->values[node];
    if (v->gradient >= 0) {
        extend(e, v->gradient, time);
        return v->gradient;
    }
    const rn_map *m = &e->maps[v->map];
    v->dmap = rn_map_shape(m->channels, m->h, m->w, halo);
    v->gradient = add_buffer(e, v->dmap.sample * e->max_n, time, time);
    return v->gradient;
}

/* Halo that dy of the convolution behind a view wants. */
static int dy_halo(const rn_learn *e, const rn_learn_step *s)
{
    const rn_map *x = &e->maps[e->values[s->in].map];
    return s->wants_dx ? rn_conv_dy_halo(&s->conv, x->h, x->w) : 0;
}

static const rn_learn_step *conv_behind(const rn_learn *e, int view)
{
    for (int t = 0; t < e->steps_count; t++)
        if (e->steps[t].kind == RN_LEARN_CONV && e->steps[t].norm >= 0 && e->steps[t].node == e->values[view].map)
            return &e->steps[t];
    return NULL;
}

/* Halo of the gradient of a value, so that dy can take its place. */
static int own_halo(const rn_learn *e, int node)
{
    const rn_learn_step *conv = e->values[node].norm >= 0 ? conv_behind(e, node) : NULL;
    return conv ? dy_halo(e, conv) : 0;
}

static int contributions(const rn_learn *e, int node)
{
    int count = 0;
    for (int t = 0; t < e->steps_count; t++)
        count += e->steps[t].in == node || (e->steps[t].kind == RN_LEARN_MERGE && e->steps[t].shortcut == node);
    return count;
}

/* The gradient that a step gives to the value it reads: where it goes and how it meets what is there. */
static int give(rn_learn *e, rn_learn_step *s, int time, rn_error *err)
{
    rn_learn_value *v = &e->values[s->in];
    if (!s->wants_dx)
        return 0;
    if (v->readers == 0)
        v->readers = contributions(e, s->in);
    s->last = --v->readers == 0;
    if (v->readers == 0)
        v->readers = -1;
    s->meet = v->gradient >= 0 ? RN_MEET_ADD : RN_MEET_WRITE;
    if (s->pad_from >= 0) {
        s->meet = RN_MEET_PADSHORT;
        extend(e, e->values[s->pad_from].gradient, time);
    }
    if (s->meet != RN_MEET_WRITE && (!s->last || (s->kind != RN_LEARN_CONV && s->kind != RN_LEARN_NORM)))
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: its input is read in an order that training does not support: the first convolution of a block must come before its shortcut",
                            e->graph->nodes[s->node].name);
    gradient_of(e, s->in, own_halo(e, s->in), time);
    return 0;
}

/* Which step hands on option A's gradient: the convolution that reads the same value. */
static void give_padshort(rn_learn *e, const rn_learn_step *merge)
{
    for (int t = 0; t < e->steps_count; t++)
        if (e->steps[t].kind == RN_LEARN_CONV && e->steps[t].in == merge->shortcut) {
            e->steps[t].pad_from = merge->out;
            e->steps[t].pad_stride = merge->stride;
        }
}

/* The gradient of a block's function: that of the merge itself unless it is scaled. */
static void back_branch(rn_learn *e, const rn_learn_step *s, int time)
{
    rn_learn_value *out = &e->values[s->out], *branch = &e->values[s->branch];
    if (s->gate >= 0 && e->below[s->gate])
        gradient_of(e, s->gate, 0, time);
    if (!e->below[s->branch])
        return;
    if (s->gate < 0 && s->drop >= 0) {
        gradient_of(e, s->branch, own_halo(e, s->branch), time);
    } else if (s->gate < 0 && branch->norm < 0) {
        branch->gradient = out->gradient;
        branch->dmap = out->dmap;
    }
}

static void back_merge(rn_learn *e, rn_learn_step *s, int time)
{
    rn_learn_value *out = &e->values[s->out], *in = &e->values[s->shortcut];
    if (!e->below[s->out])
        return;
    extend(e, out->gradient, time);
    back_branch(e, s, time);
    int projection = e->graph->nodes[s->shortcut].op == RN_OP_BN; /* reads the merge's gradient by itself */
    if (projection || !e->below[s->shortcut])
        return;
    if (in->readers == 0)
        in->readers = contributions(e, s->shortcut);
    in->readers--;
    if (rn_layer_pad_merges(e->graph, e->graph->nodes[s->node].b)) {
        give_padshort(e, s);
    } else { /* identity: the block's input has the same gradient to begin with, in the same place */
        in->gradient = out->gradient;
        in->dmap = out->dmap;
    }
}

static int back_conv(rn_learn *e, rn_learn_step *s, int time, rn_error *err)
{
    const rn_map *y = &e->maps[s->node], *x = &e->maps[e->values[s->in].map];
    rn_learn_value *from = &e->values[s->from];
    if (!e->below[s->out] || (!s->trained && !s->wants_dx))
        return 0;
    int halo = dy_halo(e, s), own = s->norm < 0 ? halo == 0 : from->map == s->node && from->dmap.halo >= halo;
    extend(e, from->gradient, time);
    s->dy = rn_map_shape(y->channels, y->h, y->w, halo);
    if (!own)
        s->dy_buffer = add_buffer(e, s->dy.sample * e->max_n, time, time);
    if (s->trained && e->values[s->in].norm >= 0 && s->conv.weights == RN_DIRECT) {
        s->x = rn_map_shape(x->channels, x->h, x->w, s->conv.pad);
        s->x_buffer = add_buffer(e, s->x.sample * e->max_n, time, time);
    }
    return give(e, s, time, err);
}

static int back_steps(rn_learn *e, rn_error *err)
{
    for (int t = e->steps_count - 1; t >= 0; t--) {
        rn_learn_step *s = &e->steps[t];
        int time = 2 * e->steps_count - 1 - t, status = 0;
        if (s->kind == RN_LEARN_LINEAR && e->below[s->out])
            gradient_of(e, s->out, 0, time);
        if (s->kind == RN_LEARN_MERGE)
            back_merge(e, s, time);
        else if (s->kind == RN_LEARN_CONV)
            status = back_conv(e, s, time, err);
        else if (s->kind == RN_LEARN_NORM && e->below[s->out]) {
            extend(e, e->values[s->from].gradient, time);
            status = give(e, s, time, err);
        }
        else if (e->below[s->out]) {
            extend(e, e->values[s->out].gradient, time);
            if (s->kind == RN_LEARN_SQUEEZE) {
                extend(e, e->values[e->steps[s->merge].out].gradient, time);
                extend(e, e->map_buffer[e->steps[s->merge].gate], time);
            }
            status = give(e, s, time, err);
        }
        if (status)
            return status;
    }
    if (e->target >= 0)
        extend(e, e->values[e->target].gradient, 2 * e->steps_count);
    return 0;
}

enum { PART_FLOATS = 2 << 20 }; /* a thread's share of the last cache: 8 MB */

/* As many as keep dz, y, x and dx in the last cache, where both passes are Winograd's; else all. */
int rn_learn_part(const rn_learn *e, const rn_learn_step *s, int n)
{
    const rn_conv *c = &s->conv;
    if (c->groups > 1 || c->weights != RN_WINOGRAD || c->backward != RN_WINOGRAD)
        return n;
    int64_t sample = 3 * e->maps[s->node].sample + 2 * e->maps[e->values[s->in].map].sample;
    int64_t fit = PART_FLOATS * (int64_t)rn_pool_threads(e->machine.pool) / sample;
    return fit < 1 ? 1 : fit < n ? (int)fit : n;
}

int64_t rn_learn_packed_at(const rn_learn *e, const rn_learn_step *s, int n)
{
    if (!s->trained || rn_learn_part(e, s, n) == n)
        return 0; /* the sums are done with before the weights are packed */
    return (rn_conv_kept(&s->conv, &e->maps[s->out], n) + RN_LANES - 1) / RN_LANES * RN_LANES;
}

static int64_t room_wanted(const rn_learn *e, const rn_learn_step *s)
{
    int64_t kept = rn_conv_kept(&s->conv, &e->maps[s->out], e->max_n), forward = rn_conv_forward_size(&s->conv);
    int64_t backward = s->wants_dx ? rn_learn_packed_at(e, s, e->max_n) + rn_conv_backward_size(&s->conv) : 0, most = kept > forward ? kept : forward;
    return most > backward ? most : backward;
}

/* Room that several steps share: row sums, segments, packed weights, and the threads' scratch. */
static void shared_buffers(rn_learn *e)
{
    int64_t sums = 0, segments = 0, room = 0, scratch = 0, want;
    for (int t = 0; t < e->steps_count; t++) {
        const rn_learn_step *s = &e->steps[t];
        const rn_map *out = &e->maps[s->out];
        const rn_map *summed = s->kind == RN_LEARN_CONV ? out : s->kind == RN_LEARN_NORM ? &e->maps[e->norms[s->norm].map] : NULL;
        if (summed && (want = (int64_t)e->max_n * summed->h * summed->blocks * 2 * RN_LANES) > sums)
            sums = want;
        if (s->kind == RN_LEARN_CONV || s->kind == RN_LEARN_LINEAR) {
            if ((want = rn_conv_segments(&s->conv, out, e->max_n)) > segments)
                segments = want;
            if ((want = room_wanted(e, s)) > room)
                room = want;
            if ((want = rn_conv_scratch(&s->conv, &e->maps[e->values[s->in].map], out)) > scratch)
                scratch = want;
        }
        if (s->branch >= 0 && (want = (int64_t)e->maps[e->values[s->branch].map].w * RN_LANES) > scratch) /* a row */
            scratch = want;
        if (s->in >= 0 && s->kind != RN_LEARN_CONV && s->kind != RN_LEARN_LINEAR && (want = rn_layer_pool_scratch(&e->maps[e->values[s->in].map])) > scratch)
            scratch = want;
    }
    int end = 2 * e->steps_count;
    e->partial[0] = add_buffer(e, sums, 0, end);
    e->partial[1] = add_buffer(e, sums, 0, end);
    e->segments = add_buffer(e, segments * (int64_t)(sizeof(rn_segment) / sizeof(float)), 0, end);
    e->room = add_buffer(e, room, 0, end);
    e->machine.scratch_size = (scratch + 15) / 16 * 16;
    e->scratch = add_buffer(e, e->machine.scratch_size * rn_pool_threads(e->machine.pool), 0, end);
}

static float *at(const rn_learn *e, int buffer)
{
    return e->arena.memory + e->buffers[buffer].offset;
}

static void resolve(rn_learn *e)
{
    e->maps[0].data = at(e, e->map_buffer[0]) + e->maps[0].halo * (e->maps[0].row + 1);
    for (int t = 0; t < e->steps_count; t++) {
        rn_learn_step *s = &e->steps[t];
        rn_map *m = &e->maps[s->out];
        if (s->kind == RN_LEARN_NORM && !s->written)
            continue;
        m->data = at(e, e->map_buffer[s->out]) + rn_map_origin(m);
    }
    for (int i = 0; i < e->graph->nodes_count; i++)
        if (e->values[i].gradient >= 0)
            e->values[i].dmap.data = at(e, e->values[i].gradient) + rn_map_origin(&e->values[i].dmap);
    for (int t = 0; t < e->steps_count; t++) {
        rn_learn_step *s = &e->steps[t];
        if (s->dy_buffer >= 0)
            s->dy.data = at(e, s->dy_buffer) + rn_map_origin(&s->dy);
        else if (s->from >= 0)
            s->dy = e->values[s->from].dmap;
        if (s->x_buffer >= 0)
            s->x.data = at(e, s->x_buffer) + rn_map_origin(&s->x);
    }
    e->machine.scratch = at(e, e->scratch);
}

int rn_learn_plan(rn_learn *e, int h, int w, rn_error *err)
{
    int status = rn_graph_sizes(e->graph, h, w, e->sizes, err);
    if (status)
        return status;
    mark_below(e);
    list_steps(e);
    status = forward_maps(e, h, w, err);
    if (!status)
        status = back_steps(e, err);
    if (status)
        return status;
    shared_buffers(e);
    int *order = calloc((size_t)e->buffers_count, sizeof *order);
    if (!order)
        return rn_error_memory(err, "the plan", (unsigned long long)e->buffers_count * sizeof *order);
    int64_t total = rn_arena_place(e->buffers, e->buffers_count, order);
    free(order);
    status = rn_arena_reserve(&e->arena, total, "the activations of a ghost batch: try a smaller --ghost-batch or shorter crops", err);
    if (!status)
        resolve(e);
    return status;
}
