/* Which residual network a graph of layers is: a guess from its shape, which onnx_read.c then proves layer by layer.
 *
 * From the pool downwards, each addition is one block: its two terms go back to the first layer that both come from, and the one with more
 * convolutions on the way is the block's function. What is below the last block is the stem. A graph without additions is a plain network, whose
 * convolutions are counted off in pairs, or threes where the first is 1x1.
 */
#include "models/onnx_arch.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_PATH = 64, MOST_BLOCKS = 4 * RN_ARCH_BLOCKS_MOST };

/* What is between a layer and one below it that it comes from, nearest first. */
typedef struct path {
    int count, layers[MOST_PATH];
} path;

typedef struct block {
    int count, convs[3];             /* of the function, first to last */
    int conv, padshort, pool, scale; /* on the shortcut, and squeeze and excitation on the function; -1: none */
} block;

typedef struct shape {
    const rn_onnx_net *net;
    int blocks_count;
    block *blocks;                      /* last to first */
    int stem_count, stem[3], stem_pool; /* convolutions, last to first; the pool, -1: none */
    int pool;                           /* layers; -1: none */
    int fc, fc2, linear;                /* the first behind the pool, the second embedding's, the classifier behind an embedding */
    int adds;
    rn_error *err;
} shape;

static const rn_onnx_layer *layer_of(const shape *s, int layer)
{
    return &s->net->layers[layer];
}

/* ---- The two terms of an addition ---- */

static void walk(const rn_onnx_net *net, int from, path *p)
{
    p->count = 0;
    for (int at = from; at >= 0 && p->count < MOST_PATH; at = net->layers[at].a) {
        p->layers[p->count++] = at;
        if (net->layers[at].kind == RN_LAYER_ADD)
            break;
    }
}

static int convs_on(const rn_onnx_net *net, const path *p)
{
    int convs = 0;
    for (int i = 0; i < p->count; i++)
        convs += net->layers[p->layers[i]].kind == RN_LAYER_CONV;
    return convs;
}

/* Cuts both paths at the first layer that they share, which is returned; -1: there is none near. */
static int meet(path *p, path *q)
{
    for (int i = 0; i < p->count; i++)
        for (int k = 0; k < q->count; k++)
            if (p->layers[i] == q->layers[k]) {
                p->count = i;
                q->count = k;
                return p->layers[i];
            }
    return -1;
}

/* The function's path and the shortcut's; the addition's terms are put in this order. Returns where both begin. */
static int take_apart(const rn_onnx_net *net, int add, path *function, path *shortcut, rn_error *err)
{
    rn_onnx_layer *layer = &net->layers[add];
    walk(net, layer->a, function);
    walk(net, layer->b, shortcut);
    int begin = meet(function, shortcut), a = convs_on(net, function), b = convs_on(net, shortcut);
    if (begin < 0 || a == b) {
        rn_onnx_refuse(net, layer->node, err, "its terms are no block and its shortcut: %s",
                       begin < 0 ? "they come from different layers" : "both have as many convolutions");
        return -1;
    }
    if (a < b) {
        path p = *function;
        *function = *shortcut;
        *shortcut = p;
        int term = layer->a;
        layer->a = layer->b;
        layer->b = term;
    }
    return begin;
}

int rn_onnx_order_terms(rn_onnx_net *net, rn_error *err)
{
    path p, q;
    for (int i = 0; i < net->layers_count; i++)
        if (net->layers[i].kind == RN_LAYER_ADD && take_apart(net, i, &p, &q, err) < 0)
            return RN_ERR_UNSUPPORTED;
    return 0;
}

/* ---- Blocks ---- */

static block *add_block(shape *s, int node)
{
    if (s->blocks_count >= MOST_BLOCKS) {
        rn_onnx_refuse(s->net, node, s->err, "more than %d blocks", MOST_BLOCKS);
        return NULL;
    }
    block *b = &s->blocks[s->blocks_count++];
    *b = (block){.conv = -1, .padshort = -1, .pool = -1, .scale = -1};
    return b;
}

/* One block that ends in an addition; *at moves to where it begins. */
static int read_block(shape *s, int *at)
{
    const rn_onnx_layer *add = layer_of(s, *at);
    path function, shortcut;
    block *b = add_block(s, add->node);
    int begin = b ? take_apart(s->net, *at, &function, &shortcut, s->err) : -1;
    if (begin < 0)
        return RN_ERR_UNSUPPORTED;
    for (int i = function.count - 1; i >= 0; i--) {
        const rn_onnx_layer *layer = layer_of(s, function.layers[i]);
        if (layer->kind == RN_LAYER_CONV && b->count == 3)
            return rn_onnx_refuse(s->net, layer->node, s->err, "a block of more than three convolutions");
        if (layer->kind == RN_LAYER_CONV)
            b->convs[b->count++] = function.layers[i];
        if (layer->kind == RN_LAYER_SCALE)
            b->scale = function.layers[i];
    }
    for (int i = 0; i < shortcut.count; i++) {
        rn_layer_kind kind = layer_of(s, shortcut.layers[i])->kind;
        int *place = kind == RN_LAYER_CONV       ? &b->conv
                     : kind == RN_LAYER_PADSHORT ? &b->padshort
                     : kind == RN_LAYER_AVGPOOL  ? &b->pool
                                                 : NULL;
        if (place)
            *place = shortcut.layers[i];
    }
    if (b->count < 2)
        return rn_onnx_refuse(s->net, add->node, s->err, "a block of one convolution");
    *at = begin;
    return 0;
}

static int read_stem(shape *s, int at)
{
    s->stem_pool = -1;
    for (; at >= 0; at = layer_of(s, at)->a) {
        const rn_onnx_layer *layer = layer_of(s, at);
        if (layer->kind == RN_LAYER_MAXPOOL)
            s->stem_pool = at;
        if (layer->kind == RN_LAYER_CONV && s->stem_count == 3)
            return rn_onnx_refuse(s->net, layer->node, s->err, "a stem of more than three convolutions");
        if (layer->kind == RN_LAYER_CONV)
            s->stem[s->stem_count++] = at;
    }
    return s->stem_count ? 0 : rn_onnx_refuse(s->net, -1, s->err, "no convolution in front of its blocks: no residual network");
}

/* No addition anywhere: the convolutions behind the first are blocks. */
static int read_plain(shape *s, int at)
{
    int *convs = malloc((size_t)s->net->layers_count * sizeof *convs), count = 0, status = 0;
    if (!convs)
        return rn_error_memory(s->err, "a list of layers", (unsigned long long)s->net->layers_count * sizeof *convs);
    for (; at >= 0; at = layer_of(s, at)->a)
        if (layer_of(s, at)->kind == RN_LAYER_CONV)
            convs[count++] = at;
        else if (layer_of(s, at)->kind == RN_LAYER_MAXPOOL)
            s->stem_pool = at;
    int each = count > 1 && layer_of(s, convs[count - 2])->kernel_h == 1 ? 3 : 2;
    if (count < 1 + each || (count - 1) % each)
        status = rn_onnx_refuse(s->net, -1, s->err, "%d convolutions and no addition: no residual network", count);
    else
        s->stem[s->stem_count++] = convs[count - 1];
    for (int i = 0; !status && i + each < count; i += each) {
        block *b = add_block(s, -1);
        for (int k = each - 1; b && k >= 0; k--)
            b->convs[b->count++] = convs[i + k];
        status = b ? 0 : RN_ERR_UNSUPPORTED;
    }
    free(convs);
    return status;
}

/* Down to the next addition, or the stem: over activations and normalisations that belong to the block below. */
static int below_activations(const shape *s, int at)
{
    int top = at;
    while (at >= 0 && (layer_of(s, at)->kind == RN_LAYER_RELU || layer_of(s, at)->kind == RN_LAYER_BN))
        at = layer_of(s, at)->a;
    return at >= 0 && layer_of(s, at)->kind == RN_LAYER_ADD ? at : top;
}

static int read_trunk(shape *s, int at)
{
    int status = 0;
    s->stem_pool = -1;
    at = below_activations(s, at);
    if (at < 0 || layer_of(s, at)->kind != RN_LAYER_ADD) {
        for (int i = 0; i < s->net->layers_count; i++)
            if (layer_of(s, i)->kind == RN_LAYER_ADD)
                return rn_onnx_refuse(s->net, layer_of(s, i)->node, s->err, "an addition that is not where a block's would be");
        return read_plain(s, at);
    }
    while (!status && at >= 0 && layer_of(s, at)->kind == RN_LAYER_ADD) {
        s->adds++;
        status = read_block(s, &at);
        at = below_activations(s, at);
    }
    return status ? status : read_stem(s, at);
}

static int is_dense(const shape *s, int at)
{
    return layer_of(s, at)->kind == RN_LAYER_LINEAR || layer_of(s, at)->kind == RN_LAYER_CONV;
}

/* What is below a BN and a ReLU, or -1. */
static int below_norm(const shape *s, int at)
{
    const rn_onnx_layer *bn = layer_of(s, at), *relu = bn->kind == RN_LAYER_BN ? layer_of(s, bn->a) : NULL;
    return relu && relu->kind == RN_LAYER_RELU ? relu->a : -1;
}

/* The layers behind the pool, from the last: fc [ReLU BN fc2] [linear]. */
static int read_head(shape *s)
{
    const rn_onnx_net *net = s->net;
    int at = net->outputs[0], inner;
    for (int i = 1; i < net->outputs_count; i++)
        at = net->outputs[i] > at ? net->outputs[i] : at;
    if (!is_dense(s, at))
        return rn_onnx_refuse(net, layer_of(s, at)->node, s->err, "no linear layer at its end: no residual network with an answer");
    s->fc = at;
    s->fc2 = s->linear = -1;
    int next = layer_of(s, at)->a;
    if (layer_of(s, next)->kind == RN_LAYER_LINEAR) {
        s->linear = s->fc;
        s->fc = next;
        next = layer_of(s, next)->a;
    }
    if ((inner = below_norm(s, next)) >= 0 && layer_of(s, inner)->kind == RN_LAYER_LINEAR) {
        s->fc2 = s->fc;
        s->fc = inner;
        next = layer_of(s, inner)->a;
    }
    s->pool = next;
    const rn_onnx_layer *pool = layer_of(s, next);
    if (pool->kind != RN_LAYER_POOL && pool->kind != RN_LAYER_AVGPOOL && pool->kind != RN_LAYER_TSTP)
        return rn_onnx_refuse(net, pool->node, s->err,
                              "no average pool in front of the linear layers: no residual network that is known here");
    if (pool->kind != RN_LAYER_TSTP && (pool->h < 1 || pool->w < 1))
        return rn_onnx_refuse(net, pool->node, s->err, "the file does not say how large the pooled map is; give its input a fixed size");
    return read_trunk(s, pool->a);
}

/* ---- The description ---- */

static void set_stem(const shape *s, rn_arch *a)
{
    const rn_onnx_layer *first = layer_of(s, s->stem[s->stem_count - 1]), *last = layer_of(s, s->stem[0]);
    if (s->stem_count == 3)
        a->stem = layer_of(s, s->stem[1])->channels == first->channels ? RN_STEM_DEEP : RN_STEM_TIERED;
    else
        a->stem = first->kernel_h == 7 ? RN_STEM_7X7 : RN_STEM_3X3;
    a->in_channels = (int)first->weight->shape[1];
    a->stem_width = last->channels == a->width ? 0 : last->channels;
    a->stem_pool = RN_STEM_POOL_SAME;
    if (s->stem_pool >= 0) {
        const rn_onnx_layer *pool = layer_of(s, s->stem_pool);
        a->stem_pool = pool->pads[0] == 0 && (pool->ceil || pool->pads[2]) ? RN_STEM_POOL_END : RN_STEM_POOL_SAME;
    } else if (a->stem != RN_STEM_3X3) {
        a->stem_pool = RN_STEM_POOL_NONE;
    }
}

static int has_stride(const shape *s, const block *b)
{
    for (int i = 0; i < b->count; i++)
        if (layer_of(s, b->convs[i])->stride > 1)
            return 1;
    return 0;
}

static int set_stages(const shape *s, rn_arch *a)
{
    a->stages = 0;
    memset(a->blocks, 0, sizeof a->blocks);
    for (int i = s->blocks_count - 1; i >= 0; i--) {
        const block *b = &s->blocks[i], *before = &s->blocks[i + 1];
        int starts = a->stages == 0 || has_stride(s, b) || layer_of(s, b->convs[0])->channels != layer_of(s, before->convs[0])->channels;
        if (starts && a->stages == 4)
            return rn_onnx_refuse(s->net, layer_of(s, b->convs[0])->node, s->err, "a fifth stage");
        a->stages += starts;
        a->blocks[a->stages - 1]++;
        if (starts && a->stages == 2 && b->count == 3)
            a->stride_at = layer_of(s, b->convs[0])->stride > 1 ? RN_STRIDE_AT_1X1 : RN_STRIDE_AT_3X3;
    }
    return 0;
}

/* The first block that has a shortcut of its own decides what they are; one where nothing changes has it only in C. */
static void set_shortcut(const shape *s, rn_arch *a)
{
    if (!s->adds) {
        a->shortcut = RN_SHORTCUT_NONE;
        return;
    }
    for (int i = 0; i < s->blocks_count; i++) {
        const block *b = &s->blocks[i];
        if (b->padshort >= 0)
            a->shortcut = layer_of(s, b->padshort)->front ? RN_SHORTCUT_A2 : RN_SHORTCUT_A;
        if (b->pool >= 0)
            a->shortcut_pool = 1;
        if (b->conv < 0)
            continue;
        const rn_onnx_layer *conv = layer_of(s, b->conv);
        int changes = has_stride(s, b) || conv->channels != (int)conv->weight->shape[1];
        if (a->shortcut != RN_SHORTCUT_C)
            a->shortcut = changes ? RN_SHORTCUT_B : RN_SHORTCUT_C;
    }
}

/* Channels over those that they are squeezed to: below the sigmoid a layer, a ReLU, and a layer with as many outputs. */
static int squeeze_of(const shape *s, const block *b)
{
    int at = b->scale < 0 ? -1 : layer_of(s, b->scale)->b;
    for (int i = 0; i < 3 && at >= 0; i++)
        at = layer_of(s, at)->a;
    return at >= 0 && is_dense(s, at) ? layer_of(s, b->scale)->channels / layer_of(s, at)->channels : 0;
}

static void set_blocks(const shape *s, rn_arch *a)
{
    const block *b = &s->blocks[s->blocks_count - 1]; /* the first */
    const rn_onnx_layer *inner = layer_of(s, b->convs[b->count == 3]), *last = layer_of(s, b->convs[b->count - 1]);
    a->block = b->count == 3 ? RN_BLOCK_BOTTLENECK : RN_BLOCK_BASIC;
    a->width = b->count == 3 ? last->channels / 4 : last->channels;
    a->groups = inner->group;
    int64_t unit = (int64_t)a->width * inner->group;
    a->group_width = b->count == 3 && unit ? (int)((int64_t)inner->channels * 64 / unit) : 64;
    a->se = squeeze_of(s, &s->blocks[0]); /* the last: there it is rounded least */
    a->preact = s->adds > 0;
    for (int i = 0; i < s->net->layers_count; i++) {
        const rn_onnx_layer *layer = layer_of(s, i);
        if (layer->kind == RN_LAYER_RELU && layer_of(s, layer->a)->kind == RN_LAYER_ADD)
            a->preact = 0;
    }
}

/* ONNX has eps in fp32; networks give it in decimal. */
static double decimal(double eps)
{
    static const double usual[] = {1e-5, 1e-3, 1e-6, 1e-4, 1.001e-5, 2e-5, 1e-7, 1e-8};
    for (size_t k = 0; k < sizeof usual / sizeof *usual; k++)
        if ((float)usual[k] == (float)eps)
            return usual[k];
    return eps;
}

static double eps_of(const shape *s)
{
    for (int i = 0; i < s->net->layers_count; i++)
        if (layer_of(s, i)->kind == RN_LAYER_BN)
            return decimal(layer_of(s, i)->eps);
    return 1e-5;
}

/* A network over statistics that ends with one layer ends with its embedding, as those of speakers do; one over averages with its classes. */
static void set_head(const shape *s, rn_arch *a)
{
    const rn_onnx_layer *pool = layer_of(s, s->pool), *fc = layer_of(s, s->fc);
    int statistics = pool->kind == RN_LAYER_TSTP, ends = s->linear < 0 && (statistics || s->fc2 >= 0);
    a->pooling = statistics ? RN_POOLING_TSTP : RN_POOLING_AVERAGE;
    a->pool_h = statistics ? 1 : pool->h;
    a->pool_w = statistics ? 1 : pool->w;
    a->pool_rows = statistics ? (int)(fc->weight->count / fc->channels / pool->channels) : 0;
    a->pool_eps = statistics ? decimal(pool->eps) : a->pool_eps;
    a->embedding = s->linear >= 0 || ends ? fc->channels : 0;
    a->embedding2 = s->fc2 >= 0;
    a->classes = ends ? 0 : layer_of(s, s->linear >= 0 ? s->linear : s->fc)->channels;
}

static int describe(const shape *s, rn_arch *a)
{
    int status = rn_arch_default(a, rn_arch_name(0), s->err);
    if (status || (status = set_stages(s, a)))
        return status;
    a->shortcut = RN_SHORTCUT_B;
    set_blocks(s, a);
    set_shortcut(s, a);
    set_stem(s, a);
    set_head(s, a);
    a->bn_eps = eps_of(s);
    rn_arch_nearest(a);
    return 0;
}

int rn_onnx_arch(const rn_onnx_net *net, rn_arch *arch, rn_error *err)
{
    shape s = {.net = net, .err = err, .blocks = calloc(MOST_BLOCKS + 1, sizeof *s.blocks)};
    int status = s.blocks ? read_head(&s) : rn_error_memory(err, "a list of blocks", (MOST_BLOCKS + 1) * sizeof *s.blocks);
    if (!status)
        status = describe(&s, arch);
    free(s.blocks);
    return status;
}
