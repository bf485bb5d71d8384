/* The network as data: nodes are appended, then rn_graph_finish sorts the parameters and lays them out.
 *
 * A builder that got the result of a failed builder (-1) fails too, so a caller may check only the end. Parameters are
 * created with their node and sorted by name when the graph is finished; each knows its node and its kind, which is
 * enough to point the nodes back at them.
 */
#include "graph/graph.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 2^34 floats are 64 GiB: above that a number was mistyped. It also keeps every offset far from overflow. */
#define MOST_FLOATS (INT64_C(1) << 34)

/* Arrays grow when their count reaches a power of two from 16 on. */
static void *room_for_one(void *items, int count, size_t size)
{
    if (items && (count < 16 || (count & (count - 1)) != 0))
        return items;
    size_t want = count < 16 ? 16 : (size_t)count * 2;
    return count > INT_MAX / 4 ? NULL : realloc(items, want * size);
}

static int name_length_ok(const char *name)
{
    return strlen(name) + sizeof ".running_mean" <= sizeof ((rn_node *)0)->name;
}

static rn_node *append_node(rn_graph *g, rn_op op, const char *name, int a)
{
    if (!name_length_ok(name) || (op != RN_OP_INPUT && (a < 0 || a >= g->nodes_count)))
        return NULL;
    rn_node *nodes = room_for_one(g->nodes, g->nodes_count, sizeof *nodes);
    if (!nodes)
        return NULL;
    g->nodes = nodes;
    rn_node *node = &nodes[g->nodes_count++];
    memset(node, 0, sizeof *node);
    node->op = op;
    strcpy(node->name, name);
    node->a = a;
    node->b = node->weight = node->bias = node->mean = node->var = -1;
    if (a >= 0)
        node->channels = nodes[a].channels;
    return node;
}

static int append_param(rn_graph *g, const char *suffix, rn_param_kind kind, int dims, const int shape[4])
{
    rn_param *params = room_for_one(g->params, g->params_count, sizeof *params);
    if (!params)
        return -1;
    g->params = params;
    rn_param *param = &params[g->params_count];
    memset(param, 0, sizeof *param);
    param->node = g->nodes_count - 1;
    strcpy(param->name, g->nodes[param->node].name);
    strcat(param->name, suffix);
    param->kind = kind;
    param->dims = dims;
    memcpy(param->shape, shape, (size_t)dims * sizeof *shape);
    return g->params_count++;
}

int rn_graph_open(rn_graph **graph, int in_channels, rn_error *err)
{
    *graph = NULL;
    if (in_channels < 1)
        return rn_error_set(err, RN_ERR_ARG, "%d input channels: at least 1 is wanted", in_channels);
    rn_graph *g = calloc(1, sizeof *g);
    rn_node *input = g ? append_node(g, RN_OP_INPUT, "input", -1) : NULL;
    if (!input) {
        free(g);
        return rn_error_memory(err, "a network", sizeof *g);
    }
    input->channels = g->in_channels = in_channels;
    g->embedding = g->logits = -1;
    *graph = g;
    return 0;
}

int rn_graph_conv(rn_graph *g, const char *name, int a, int channels, int kernel, int stride, int pad)
{
    return rn_graph_grouped(g, name, a, channels, kernel, stride, pad, 1);
}

int rn_graph_grouped(rn_graph *g, const char *name, int a, int channels, int kernel, int stride, int pad, int groups)
{
    rn_node *node = append_node(g, RN_OP_CONV, name, a);
    if (!node)
        return -1;
    node->kernel_h = node->kernel_w = kernel;
    node->stride = stride;
    node->pad = node->pad_end = pad;
    node->groups = groups;
    int shape[4] = {channels, groups < 1 ? 0 : node->channels / groups, kernel, kernel}; /* checked by rn_graph_finish */
    node->channels = channels;
    node->weight = append_param(g, ".weight", RN_PARAM_CONV, 4, shape);
    return node->weight < 0 ? -1 : g->nodes_count - 1;
}

int rn_graph_plain_bn(rn_graph *g, const char *name, int a, double eps)
{
    rn_node *node = append_node(g, RN_OP_BN, name, a);
    if (!node)
        return -1;
    node->eps = eps;
    int shape[4] = {node->channels};
    node->mean = append_param(g, ".running_mean", RN_PARAM_BN_MEAN, 1, shape);
    node->var = append_param(g, ".running_var", RN_PARAM_BN_VAR, 1, shape);
    return node->mean < 0 || node->var < 0 ? -1 : g->nodes_count - 1;
}

int rn_graph_bn(rn_graph *g, const char *name, int a, double eps)
{
    int i = rn_graph_plain_bn(g, name, a, eps);
    if (i < 0)
        return -1;
    rn_node *node = &g->nodes[i];
    int shape[4] = {node->channels};
    node->weight = append_param(g, ".weight", RN_PARAM_BN_WEIGHT, 1, shape);
    node->bias = append_param(g, ".bias", RN_PARAM_BN_BIAS, 1, shape);
    return node->weight < 0 || node->bias < 0 ? -1 : i;
}

/* "layer1.0.bn2" is followed by "layer1.0.relu2", the stem's "bn1" by "relu", a block "layer1.0" by "layer1.0.relu". */
static void relu_name(const char *after, char *name, size_t size)
{
    const char *dot = strrchr(after, '.'), *last = dot ? dot + 1 : after;
    int head = (int)(last - after);
    if (strncmp(last, "bn", 2) != 0)
        snprintf(name, size, "%s.relu", after);
    else if (!dot && strcmp(last, "bn1") == 0)
        snprintf(name, size, "relu");
    else
        snprintf(name, size, "%.*srelu%s", head, after, last + 2);
}

int rn_graph_relu(rn_graph *g, int a)
{
    char name[sizeof g->nodes->name + 8];
    if (a < 0 || a >= g->nodes_count)
        return -1;
    relu_name(g->nodes[a].name, name, sizeof name);
    return append_node(g, RN_OP_RELU, name, a) ? g->nodes_count - 1 : -1;
}

int rn_graph_add(rn_graph *g, const char *name, int a, int b)
{
    if (b < 0 || b >= g->nodes_count)
        return -1;
    rn_node *node = append_node(g, RN_OP_ADD, name, a);
    if (!node)
        return -1;
    node->b = b;
    return g->nodes_count - 1;
}

int rn_graph_padshort(rn_graph *g, const char *name, int a, int channels, int before, int stride)
{
    rn_node *node = append_node(g, RN_OP_PADSHORT, name, a);
    if (!node)
        return -1;
    node->channels = channels;
    node->before = before;
    node->stride = stride;
    return g->nodes_count - 1;
}

int rn_graph_maxpool(rn_graph *g, const char *name, int a, int kernel, int stride, int pad, int pad_end)
{
    rn_node *node = append_node(g, RN_OP_MAXPOOL, name, a);
    if (!node)
        return -1;
    node->kernel_h = node->kernel_w = kernel;
    node->stride = stride;
    node->pad = pad;
    node->pad_end = pad_end;
    return g->nodes_count - 1;
}

int rn_graph_meanpool(rn_graph *g, const char *name, int a)
{
    rn_node *node = append_node(g, RN_OP_MEANPOOL, name, a);
    if (!node)
        return -1;
    node->kernel_h = node->kernel_w = node->stride = 2;
    return g->nodes_count - 1;
}

int rn_graph_avgpool(rn_graph *g, const char *name, int a, int out_h, int out_w)
{
    rn_node *node = append_node(g, RN_OP_AVGPOOL, name, a);
    if (!node)
        return -1;
    node->out_h = out_h;
    node->out_w = out_w;
    return g->nodes_count - 1;
}

int rn_graph_squeeze(rn_graph *g, const char *name, int a)
{
    rn_node *node = append_node(g, RN_OP_SQUEEZE, name, a);
    if (!node)
        return -1;
    node->out_h = node->out_w = 1;
    return g->nodes_count - 1;
}

int rn_graph_sigmoid(rn_graph *g, const char *name, int a)
{
    return append_node(g, RN_OP_SIGMOID, name, a) ? g->nodes_count - 1 : -1;
}

int rn_graph_scale(rn_graph *g, const char *name, int a, int b)
{
    if (b < 0 || b >= g->nodes_count)
        return -1;
    rn_node *node = append_node(g, RN_OP_SCALE, name, a);
    if (!node)
        return -1;
    node->b = b;
    return g->nodes_count - 1;
}

int rn_graph_tstp(rn_graph *g, const char *name, int a, double eps)
{
    rn_node *node = append_node(g, RN_OP_TSTP, name, a);
    if (!node)
        return -1;
    node->eps = eps;
    if (__builtin_mul_overflow(node->channels, 2, &node->channels))
        node->channels = -1; /* refused by rn_graph_finish */
    return g->nodes_count - 1;
}

int rn_graph_pointwise(rn_graph *g, const char *name, int a, int outputs)
{
    int i = rn_graph_linear(g, name, a, 1, 1, outputs);
    if (i < 0)
        return -1;
    rn_param *weight = &g->params[g->nodes[i].weight];
    weight->dims = 4;
    weight->shape[2] = weight->shape[3] = 1;
    return i;
}

int rn_graph_linear(rn_graph *g, const char *name, int a, int in_h, int in_w, int outputs)
{
    rn_node *node = append_node(g, RN_OP_LINEAR, name, a);
    int inputs;
    if (!node)
        return -1;
    if (__builtin_mul_overflow(in_h, in_w, &inputs) || __builtin_mul_overflow(inputs, node->channels, &inputs))
        inputs = -1; /* refused by rn_graph_finish */
    node->in_h = in_h;
    node->in_w = in_w;
    node->channels = outputs;
    node->weight = append_param(g, ".weight", RN_PARAM_LINEAR, 2, (int[4]){outputs, inputs});
    node->bias = append_param(g, ".bias", RN_PARAM_BIAS, 1, (int[4]){outputs});
    return node->weight < 0 || node->bias < 0 ? -1 : g->nodes_count - 1;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const rn_param *)a)->name, ((const rn_param *)b)->name);
}

static int check_node(const rn_graph *g, const rn_node *node, rn_error *err)
{
    const rn_node *a = node->a >= 0 ? &g->nodes[node->a] : NULL;
    const char *wrong = NULL;
    if (node->channels < 1)
        wrong = "at least 1 channel is wanted";
    switch (node->op) {
    case RN_OP_CONV:
    case RN_OP_MAXPOOL:
        if (node->kernel_h < 1 || node->kernel_w < 1 || node->stride < 1 || node->pad < 0)
            wrong = "kernel and stride must be at least 1, padding at least 0";
        else if (node->op == RN_OP_CONV && (node->groups < 1 || (node->groups > 1 && (node->channels != a->channels || node->channels % node->groups))))
            wrong = "a grouped convolution has as many channels out as in, and they are a multiple of its groups";
        else if (node->op == RN_OP_MAXPOOL && (node->pad > node->kernel_h / 2 || node->pad_end < 0 || node->pad_end > node->kernel_h / 2))
            wrong = "padding of a pool must be at most half its kernel";
        break;
    case RN_OP_TSTP:
        if (!(node->eps >= 0))
            wrong = "eps must be at least 0";
        break;
    case RN_OP_SCALE:
        if (a->channels != g->nodes[node->b].channels)
            wrong = "its factors are for another number of channels";
        break;
    case RN_OP_BN:
        if (!(node->eps > 0))
            wrong = "eps must be above 0";
        break;
    case RN_OP_ADD:
        if (a->channels != g->nodes[node->b].channels)
            wrong = "the block and its shortcut have different numbers of channels";
        break;
    case RN_OP_PADSHORT:
        if (node->stride < 1 || node->before < 0 || node->channels - node->before < a->channels)
            wrong = "a zero-padding shortcut cannot take channels away";
        break;
    case RN_OP_AVGPOOL:
        if (node->out_h < 1 || node->out_w < 1)
            wrong = "a pool of at least 1x1 is wanted";
        break;
    case RN_OP_LINEAR:
        if (node->in_h < 1 || node->in_w < 1)
            wrong = "its input has no size";
        break;
    default:
        break;
    }
    return wrong ? rn_error_set(err, RN_ERR_ARG, "%s: %s", node->name, wrong) : 0;
}

static int place_param(rn_graph *g, int index, rn_error *err)
{
    rn_param *param = &g->params[index];
    rn_node *node = &g->nodes[param->node];
    int64_t *total = param->kind >= RN_PARAM_BN_MEAN ? &g->stats_count : &g->weights_count;
    param->count = 1;
    for (int d = 0; d < param->dims; d++)
        if (param->shape[d] < 1 || __builtin_mul_overflow(param->count, (int64_t)param->shape[d], &param->count) ||
            param->count > MOST_FLOATS)
            return rn_error_set(err, RN_ERR_ARG, "%s: the network would have more than %lld numbers; make it narrower", param->name,
                (long long)MOST_FLOATS);
    param->offset = *total;
    *total += param->count;
    if (*total > MOST_FLOATS)
        return rn_error_set(err, RN_ERR_ARG, "%s: the network would have more than %lld numbers; make it narrower", param->name,
            (long long)MOST_FLOATS);
    switch (param->kind) {
    case RN_PARAM_BIAS:
    case RN_PARAM_BN_BIAS: node->bias = index; break;
    case RN_PARAM_BN_MEAN: node->mean = index; break;
    case RN_PARAM_BN_VAR: node->var = index; break;
    default: node->weight = index; break;
    }
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int check_names(const rn_graph *g, rn_error *err)
{
    size_t count = (size_t)g->nodes_count;
    const char **names = malloc(count * sizeof *names);
    int status = 0;
    if (!names)
        return rn_error_memory(err, "a network", count * sizeof *names);
    for (size_t i = 0; i < count; i++)
        names[i] = g->nodes[i].name;
    qsort(names, count, sizeof *names, by_text);
    for (size_t i = 1; i < count && !status; i++)
        if (strcmp(names[i], names[i - 1]) == 0)
            status = rn_error_set(err, RN_ERR_ARG, "%s: two operations have this name", names[i]);
    free(names);
    return status;
}

int rn_graph_finish(rn_graph *g, int embedding, int logits, rn_error *err)
{
    if (logits < -1 || logits >= g->nodes_count || embedding < -1 || embedding >= g->nodes_count || (logits < 0 && embedding < 0))
        return rn_error_memory(err, "a network", (unsigned long long)g->nodes_count * sizeof *g->nodes);
    g->embedding = embedding;
    g->logits = logits;
    int status = 0;
    for (int i = 0; i < g->nodes_count && !status; i++)
        status = check_node(g, &g->nodes[i], err);
    if (!status)
        status = check_names(g, err);
    if (status)
        return status;
    if (g->params_count)
        qsort(g->params, (size_t)g->params_count, sizeof *g->params, by_name);
    g->weights_count = g->stats_count = 0;
    for (int i = 0; i < g->params_count; i++) {
        status = place_param(g, i, err);
        if (status)
            return status;
        if (i && strcmp(g->params[i].name, g->params[i - 1].name) == 0)
            return rn_error_set(err, RN_ERR_ARG, "%s: two parameters have this name", g->params[i].name);
    }
    return 0;
}

void rn_graph_close(rn_graph **graph)
{
    if (!graph || !*graph)
        return;
    free((*graph)->nodes);
    free((*graph)->params);
    free(*graph);
    *graph = NULL;
}

/* floor((size + pads - kernel) / stride) + 1, or 0 where the kernel does not fit */
static int window_count(int size, int kernel, int stride, int pads)
{
    int64_t rest = (int64_t)size + pads - kernel;
    int64_t count = rest < 0 ? 0 : rest / stride + 1;
    return count > INT_MAX ? 0 : (int)count;
}

/* Columns of a node's value for an input of w of them; 0 where nothing is left. */
static int columns_of(const rn_graph *g, int node, int w)
{
    const rn_node *n = &g->nodes[node];
    int in = n->a >= 0 ? columns_of(g, n->a, w) : w;
    switch (n->op) {
    case RN_OP_CONV:
    case RN_OP_MAXPOOL: return window_count(in, n->kernel_w, n->stride, n->pad + n->pad_end);
    case RN_OP_MEANPOOL: return in / 2 + in % 2;
    case RN_OP_PADSHORT: return window_count(in, 1, n->stride, 0);
    default: return in;
    }
}

/* The narrowest input that leaves two columns, tried one by one: below this there is but one. */
static int columns_wanted(const rn_graph *g, int node, int w)
{
    while (w < 1 << 20 && columns_of(g, node, w) < 2)
        w++;
    return w;
}

int rn_graph_sizes(const rn_graph *g, int h, int w, int (*sizes)[2], rn_error *err)
{
    for (int i = 0; i < g->nodes_count; i++) {
        const rn_node *node = &g->nodes[i];
        int ih = node->a >= 0 ? sizes[node->a][0] : h, iw = node->a >= 0 ? sizes[node->a][1] : w;
        int oh = ih, ow = iw;
        switch (node->op) {
        case RN_OP_CONV:
        case RN_OP_MAXPOOL:
            oh = window_count(ih, node->kernel_h, node->stride, node->pad + node->pad_end);
            ow = window_count(iw, node->kernel_w, node->stride, node->pad + node->pad_end);
            break;
        case RN_OP_PADSHORT:
            oh = window_count(ih, 1, node->stride, 0);
            ow = window_count(iw, 1, node->stride, 0);
            break;
        case RN_OP_MEANPOOL:
            oh = ih / 2 + ih % 2;
            ow = iw / 2 + iw % 2;
            break;
        case RN_OP_TSTP:
            ow = 1;
            if (iw < 2)
                return rn_error_set(err, RN_ERR_SHAPE, "%s: one column is left of an input of %d, and its deviation is not defined; use an input of at least %d columns",
                                    node->name, w, columns_wanted(g, node->a, w));
            break;
        case RN_OP_SQUEEZE:
        case RN_OP_AVGPOOL:
            oh = node->out_h;
            ow = node->out_w;
            break;
        case RN_OP_LINEAR:
            if (g->nodes[node->a].op == RN_OP_TSTP && ih != node->in_h)
                return rn_error_set(err, RN_ERR_SHAPE, "%s: wants %d rows from %s, an input of %d rows leaves %d; use features of as many rows as the network was made for",
                                    node->name, node->in_h, g->nodes[node->a].name, h, ih);
            if (ih != node->in_h || iw != node->in_w)
                return rn_error_set(err, RN_ERR_SHAPE, "%s: wants an input of %dx%d, gets %dx%d", node->name, node->in_h, node->in_w, ih,
                                    iw);
            oh = ow = 1;
            break;
        case RN_OP_ADD:
            if (ih != sizes[node->b][0] || iw != sizes[node->b][1])
                return rn_error_set(err, RN_ERR_SHAPE, "%s: the block gives %dx%d, its shortcut %dx%d", node->name, ih, iw,
                    sizes[node->b][0], sizes[node->b][1]);
            break;
        default:
            break;
        }
        if (oh < 1 || ow < 1)
            return rn_error_set(err, RN_ERR_SHAPE, "%s: nothing is left of an input of %dx%d; use a larger one", node->name, h, w);
        sizes[i][0] = oh;
        sizes[i][1] = ow;
    }
    return 0;
}

int rn_graph_param(const rn_graph *g, const char *name)
{
    int low = 0, high = g->params_count;
    while (low < high) {
        int middle = low + (high - low) / 2, order = strcmp(g->params[middle].name, name);
        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

int64_t rn_graph_macs(const rn_graph *g, const int (*sizes)[2], int node)
{
    const rn_node *n = &g->nodes[node];
    if (n->op != RN_OP_CONV && n->op != RN_OP_LINEAR)
        return 0;
    int64_t macs = g->params[n->weight].count;
    if (n->op == RN_OP_CONV &&
        (__builtin_mul_overflow(macs, (int64_t)sizes[node][0], &macs) || __builtin_mul_overflow(macs, (int64_t)sizes[node][1], &macs)))
        return INT64_MAX;
    return macs;
}
