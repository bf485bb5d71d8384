/* Layers that are not convolutions, and the geometry of those that are. */
#include "graph/layers.h"

enum { MOST_TAPS = 1024 }; /* room for tap offsets on a task's stack, conv.c */

rn_conv rn_layer_conv(const rn_graph *g, int i)
{
    const rn_node *node = &g->nodes[i], *in = &g->nodes[node->a];
    rn_conv c = {.channels_in = in->channels, .channels_out = node->channels, .kernel_h = node->kernel_h, .kernel_w = node->kernel_w,
        .groups = node->groups, .stride_h = node->stride, .stride_w = node->stride, .pad = node->pad, .plain = in->op == RN_OP_INPUT};
    if (node->op == RN_OP_LINEAR) {
        c.linear = 1;
        c.pad = 0;
        c.kernel_h = c.stride_h = node->in_h;
        c.kernel_w = c.stride_w = node->in_w;
        c.plain = 0;
    }
    c.blocks_in = c.plain ? 1 : rn_blocks(c.channels_in);
    c.blocks_out = rn_blocks(c.channels_out);
    return c;
}

int rn_layer_reader(const rn_graph *g, int node, rn_op op)
{
    int found = -1;
    for (int i = node + 1; i < g->nodes_count; i++)
        if (g->nodes[i].op == op && (g->nodes[i].a == node || g->nodes[i].b == node))
            found = found < 0 ? i : found;
    return found;
}

int rn_layer_readers(const rn_graph *g, int node)
{
    int count = 0;
    for (int i = node + 1; i < g->nodes_count; i++)
        count += g->nodes[i].a == node || g->nodes[i].b == node;
    return count;
}

int rn_layer_folds(const rn_graph *g, int bn)
{
    int in = g->nodes[bn].a;
    return g->nodes[in].op == RN_OP_CONV && rn_layer_readers(g, in) == 1;
}

int rn_layer_end(const rn_graph *g, int add)
{
    return rn_layer_readers(g, add) == 1 ? rn_layer_reader(g, add, RN_OP_RELU) : -1;
}

int rn_layer_pad_merges(const rn_graph *g, int node)
{
    int add = g->nodes[node].op == RN_OP_PADSHORT && g->nodes[node].before == 0 ? rn_layer_reader(g, node, RN_OP_ADD) : -1;
    return add >= 0 && rn_layer_end(g, add) >= 0;
}

/* What a block's function may end in: BN, a scaled value, or with pre-activation a convolution. */
static int joins(const rn_graph *g, const rn_node *add)
{
    rn_op op = g->nodes[add->a].op;
    return op == RN_OP_SCALE || (op == RN_OP_BN && rn_layer_folds(g, add->a)) || op == RN_OP_CONV;
}

static int check_conv(const rn_graph *g, int i, rn_error *err)
{
    const rn_node *n = &g->nodes[i];
    int input = g->nodes[n->a].op == RN_OP_INPUT, taps = n->kernel_h * n->kernel_w * (input ? g->in_channels : 1);
    if (n->groups > 1 && input)
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: the first layer cannot have groups", n->name);
    if (taps > MOST_TAPS)
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: %d weights an output, the first layer can have %d: use fewer input channels or a smaller kernel", n->name, taps, MOST_TAPS);
    for (int j = i + 1; j < g->nodes_count; j++) {
        rn_op op = g->nodes[j].op;
        if ((g->nodes[j].a == i || g->nodes[j].b == i) && op != RN_OP_BN && op != RN_OP_ADD && op != RN_OP_MAXPOOL && op != RN_OP_SQUEEZE && op != RN_OP_SCALE)
            return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: a convolution must be read by batch normalisation, an addition or a pool", n->name);
    }
    return rn_layer_readers(g, i) ? 0 : rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: nothing reads it", n->name);
}

static int check_bn(const rn_graph *g, int i, rn_error *err)
{
    const rn_node *n = &g->nodes[i];
    int readers = rn_layer_readers(g, i), squeezed = rn_layer_reader(g, i, RN_OP_SQUEEZE) >= 0;
    if (readers != 1 + squeezed)
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: batch normalisation must be read once", n->name);
    if (!rn_layer_folds(g, i) && rn_layer_reader(g, i, RN_OP_RELU) < 0 && rn_layer_reader(g, i, RN_OP_LINEAR) < 0)
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: batch normalisation that follows no convolution must be read by ReLU or a linear layer", n->name);
    return 0;
}

static int check_node(const rn_graph *g, int i, rn_error *err)
{
    const rn_node *n = &g->nodes[i];
    if (n->op == RN_OP_CONV)
        return check_conv(g, i, err);
    if (n->op == RN_OP_BN)
        return check_bn(g, i, err);
    if (n->op == RN_OP_LINEAR && (g->nodes[n->a].op == RN_OP_LINEAR ? 1 : n->in_h * n->in_w) > MOST_TAPS)
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: reads %d x %d positions, at most %d are supported: use a smaller pool", n->name, n->in_h, n->in_w, MOST_TAPS);
    if (n->op == RN_OP_ADD && (!joins(g, n) || (rn_layer_end(g, i) < 0) != (g->nodes[n->a].op == RN_OP_CONV || (g->nodes[n->a].op == RN_OP_SCALE && g->nodes[g->nodes[n->a].a].op == RN_OP_CONV))))
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: an addition must join a batch normalisation and a shortcut, and be read by ReLU alone; or a convolution, and not by ReLU", n->name);
    if (n->op == RN_OP_SCALE && (g->nodes[n->b].op != RN_OP_SIGMOID || rn_layer_reader(g, i, RN_OP_ADD) < 0 || rn_layer_reader(g, n->a, RN_OP_SQUEEZE) < 0))
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: what is scaled must be squeezed, and end in an addition", n->name);
    if (n->op == RN_OP_RELU && g->nodes[n->a].op != RN_OP_BN && g->nodes[n->a].op != RN_OP_ADD && g->nodes[n->a].op != RN_OP_LINEAR)
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: ReLU must follow batch normalisation, an addition or a linear layer", n->name);
    return 0;
}

int rn_layer_check(const rn_graph *g, rn_error *err)
{
    for (int i = 0; i < g->nodes_count; i++) {
        int status = check_node(g, i, err);
        if (status)
            return status;
    }
    return 0;
}

/* --- input, plain copies ------------------------------------------------------------------------------------------------- */

typedef struct input {
    const float *x;
    const rn_map *image;
} input;

static void input_task(void *context, int task, int thread)
{
    const input *in = context;
    const rn_map *m = in->image;
    int c = task % m->channels, n = task / m->channels;
    const float *x = in->x + ((int64_t)n * m->channels + c) * m->h * m->w;
    float *base = m->data + n * m->sample + c * m->block - m->halo * (m->row + 1);
    (void)thread;
    memset(base, 0, (size_t)(m->halo * m->row) * sizeof *base);
    memset(base + (m->halo + m->h) * m->row, 0, (size_t)(m->halo * m->row) * sizeof *base);
    for (int h = 0; h < m->h; h++) {
        float *row = base + (m->halo + h) * m->row;
        memset(row, 0, (size_t)m->halo * sizeof *row);
        memcpy(row + m->halo, x + (int64_t)h * m->w, (size_t)m->w * sizeof *row);
        memset(row + m->halo + m->w, 0, (size_t)m->halo * sizeof *row);
    }
}

void rn_layer_input(const rn_machine *m, int n, const float *x, const rn_map *image)
{
    input in = {x, image};
    rn_pool_run(m->pool, n * image->channels, input_task, &in);
}

void rn_layer_gather(int n, const rn_map *from, float *to)
{
    for (int i = 0; i < n; i++, to += from->channels) /* one pixel a block: the lanes lie one after the other */
        memcpy(to, from->data + i * from->sample, (size_t)from->channels * sizeof *to);
}

void rn_layer_scatter(int n, const float *from, const rn_map *to)
{
    for (int i = 0; i < n; i++) {
        float *lanes = to->data + i * to->sample;
        memset(lanes, 0, (size_t)to->sample * sizeof *lanes);
        if (from)
            memcpy(lanes, from + (int64_t)i * to->channels, (size_t)to->channels * sizeof *lanes);
    }
}

void rn_layer_plain(const rn_machine *m, int n, const rn_view *from, float *out)
{
    const rn_map *map = from->map;
    for (int i = 0; i < n; i++)
        for (int c = 0; c < map->channels; c++)
            for (int h = 0; h < map->h; h++) {
                const float *row = rn_map_at(map, i, c / RN_LANES, h);
                for (int w = 0; w < map->w; w++, out++) {
                    float v = row[w * RN_LANES + c % RN_LANES];
                    if (from->scale) { /* through the kernel, for the same bits as the reader sees */
                        float lanes[RN_LANES] = {v}, scale[RN_LANES] = {from->scale[c]}, shift[RN_LANES] = {from->shift[c]};
                        m->kernels.affine_row(&(rn_affine_row){lanes, scale, shift, lanes, 1, from->relu});
                        v = lanes[0];
                    }
                    *out = v;
                }
            }
}
