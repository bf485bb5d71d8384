/* Models written as ONNX: each node of the graph becomes one or two of ONNX's, under its own name; parameters keep theirs and are written from where they are.
 *
 *     convolution and BN         Conv, BatchNormalization; or, folded, Conv with a bias: weights times gamma / sqrt(var + eps) in double, rounded once, as
 *                                the inference engine has them
 *     zero-padding shortcut      Slice with steps, Pad of the channels
 *     adaptive pool to 1x1       GlobalAveragePool
 *     adaptive pool to h x w     MatMul of a constant matrix (h x rows) with the map, whose mean over time was taken (w = 1) or which another
 *                                matrix follows (w > 1): ONNX has no such pool, and its bins depend on the size
 *     linear                     Flatten, Gemm
 */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "formats/json.h"
#include "formats/onnx.h"
#include "models/config.h"
#include "models/onnx.h"

enum {
    OPSET = 17,
    IR_VERSION = 8,
    NODES_EACH = 4,
    TENSORS_EACH = 6,
    STATISTICS = 16 /* nodes of the one pool of that kind */,
    ANY_WIDTH = 1 << 14
};

typedef struct writing {
    rn_onnx out;
    const rn_model *model;
    const rn_onnx_options *options;
    int (*sizes)[2]; /* of the graph's values, as far as they are fixed; NULL: nothing is */
    int failed;      /* no memory */
    const char *path;
    rn_error *err;
} writing;

/* ---- Pieces ---- */

static const char *text(writing *w, const char *a, const char *b)
{
    char joined[240];
    snprintf(joined, sizeof joined, "%s%s", a, b);
    const char *copy = rn_onnx_text(&w->out, joined, strlen(joined));
    w->failed |= !copy;
    return copy ? copy : "";
}

static void *room(writing *w, size_t count, size_t size)
{
    void *place = rn_onnx_room(&w->out, count, size);
    w->failed |= !place;
    return place;
}

/* The embedding that is an output of the file: one of a layer of its own. Pooled features are no output. */
static int named_embedding(const rn_graph *g)
{
    return g->embedding >= 0 && g->nodes[g->embedding].op == RN_OP_LINEAR ? g->embedding : -1;
}

/* What a node's value is called: the outputs have names of their own. */
static const char *value_name(writing *w, int node)
{
    const rn_graph *g = w->model->graph;
    return node == g->logits ? "logits" : node == named_embedding(g) ? "embedding" : node == 0 ? "input" : text(w, g->nodes[node].name, "");
}

/* A node of ONNX's; name is the value that it gives as well, unless output says otherwise. */
static rn_onnx_node *add_node(writing *w, const char *op, const char *name, const char *output, int inputs, const char *const *in)
{
    rn_onnx_node *n = &w->out.nodes[w->out.nodes_count++];
    n->op = op;
    n->name = name;
    n->domain = "";
    n->inputs = room(w, (size_t)inputs, sizeof *n->inputs);
    n->outputs = room(w, 1, sizeof *n->outputs);
    n->attributes = room(w, 5, sizeof *n->attributes);
    if (w->failed)
        return n;
    memcpy(n->inputs, in, (size_t)inputs * sizeof *in);
    n->inputs_count = inputs;
    n->outputs[0] = output;
    n->outputs_count = 1;
    return n;
}

static rn_onnx_attribute *add_attribute(rn_onnx_node *n, const char *name, rn_onnx_kind kind)
{
    rn_onnx_attribute *a = &n->attributes[n->attributes_count++];
    a->name = name;
    a->kind = kind;
    a->text = "";
    return a;
}

static void add_int(writing *w, rn_onnx_node *n, const char *name, int64_t value)
{
    if (!w->failed)
        add_attribute(n, name, RN_ONNX_A_INT)->integer = value;
}

static void add_real(writing *w, rn_onnx_node *n, const char *name, double value)
{
    if (!w->failed)
        add_attribute(n, name, RN_ONNX_A_FLOAT)->real = (float)value;
}

static void add_ints(writing *w, rn_onnx_node *n, const char *name, int count, const int64_t *values)
{
    int64_t *copy = room(w, (size_t)count, sizeof *copy);
    if (w->failed)
        return;
    rn_onnx_attribute *a = add_attribute(n, name, RN_ONNX_A_INTS);
    memcpy(copy, values, (size_t)count * sizeof *values);
    a->integers = copy;
    a->count = count;
}

/* An initialiser; data are pointed at. Returns its name. */
static const char *add_tensor(writing *w, const char *name, rn_onnx_type type, int dims, const int64_t *shape, const void *data)
{
    rn_onnx_tensor *t = &w->out.tensors[w->out.tensors_count++];
    t->name = name;
    t->type = (int)type;
    t->dims = dims;
    t->count = 1;
    for (int d = 0; d < dims; d++)
        t->count *= t->shape[d] = shape[d];
    t->data = data;
    return name;
}

static const char *add_int64s(writing *w, const char *name, int count, const int64_t *values)
{
    int64_t *copy = room(w, (size_t)count, sizeof *copy), shape[1] = {count};
    if (copy)
        memcpy(copy, values, (size_t)count * sizeof *values);
    return add_tensor(w, name, RN_ONNX_INT64, 1, shape, copy);
}

static const float *values_of(const writing *w, const rn_param *p)
{
    return (p->kind >= RN_PARAM_BN_MEAN ? w->model->stats : w->model->weights) + p->offset;
}

static const char *add_param(writing *w, int param)
{
    const rn_param *p = &w->model->graph->params[param];
    int64_t shape[4];
    for (int d = 0; d < p->dims; d++)
        shape[d] = p->shape[d];
    return add_tensor(w, p->name, RN_ONNX_FLOAT, p->dims, shape, values_of(w, p));
}

/* ---- Nodes ---- */

static rn_onnx_node *add_conv(writing *w, int node, const char *output, const char *weight, const char *bias)
{
    const rn_graph *g = w->model->graph;
    const rn_node *n = &g->nodes[node];
    const char *in[3] = {value_name(w, n->a), weight, bias};
    rn_onnx_node *out = add_node(w, "Conv", n->name, output, bias ? 3 : 2, in);
    add_ints(w, out, "dilations", 2, (int64_t[]){1, 1});
    add_int(w, out, "group", n->groups);
    add_ints(w, out, "kernel_shape", 2, (int64_t[]){n->kernel_h, n->kernel_w});
    add_ints(w, out, "pads", 4, (int64_t[]){n->pad, n->pad, n->pad, n->pad});
    add_ints(w, out, "strides", 2, (int64_t[]){n->stride, n->stride});
    return out;
}

/* Weights times the scale of BN, and its shift as a bias. */
static void put_folded(writing *w, int bn)
{
    const rn_graph *g = w->model->graph;
    const rn_node *n = &g->nodes[bn], *conv = &g->nodes[n->a];
    const rn_param *p = &g->params[conv->weight];
    const float *gamma = values_of(w, &g->params[n->weight]), *beta = values_of(w, &g->params[n->bias]),
                *mean = values_of(w, &g->params[n->mean]), *var = values_of(w, &g->params[n->var]), *from = values_of(w, p);
    float *weight = room(w, (size_t)p->count, sizeof *weight), *bias = room(w, (size_t)n->channels, sizeof *bias);
    int64_t shape[4] = {p->shape[0], p->shape[1], p->shape[2], p->shape[3]}, each = p->count / p->shape[0], outputs[1] = {n->channels};
    if (w->failed)
        return;
    for (int k = 0; k < n->channels; k++) {
        double scale = (double)gamma[k] / sqrt((double)var[k] + n->eps);
        for (int64_t i = 0; i < each; i++)
            weight[k * each + i] = (float)((double)from[k * each + i] * scale);
        bias[k] = (float)((double)beta[k] - (double)mean[k] * scale);
    }
    const char *weight_name = add_tensor(w, p->name, RN_ONNX_FLOAT, 4, shape, weight);
    const char *bias_name = add_tensor(w, text(w, conv->name, ".bias"), RN_ONNX_FLOAT, 1, outputs, bias);
    add_conv(w, n->a, value_name(w, bn), weight_name, bias_name);
}

/* Does BN go into the convolution below it? Only where nothing else reads that. */
static int is_folded(const writing *w, int bn)
{
    const rn_graph *g = w->model->graph;
    int conv = g->nodes[bn].a, readers = 0;
    for (int i = conv + 1; i < g->nodes_count; i++)
        readers += (g->nodes[i].a == conv) + (g->nodes[i].b == conv);
    return w->options->fold_bn && g->nodes[conv].op == RN_OP_CONV && readers == 1;
}

/* Is there such a BN behind a convolution? */
static int is_covered(const writing *w, int conv)
{
    const rn_graph *g = w->model->graph;
    for (int i = conv + 1; i < g->nodes_count; i++)
        if (g->nodes[i].op == RN_OP_BN && g->nodes[i].a == conv)
            return is_folded(w, i);
    return 0;
}

/* What BN without weight and bias has in ONNX, where it must have them. */
static const char *add_same(writing *w, const rn_node *n, const char *suffix, float number)
{
    float *numbers = room(w, (size_t)n->channels, sizeof *numbers);
    int64_t shape[1] = {n->channels};
    for (int i = 0; numbers && i < n->channels; i++)
        numbers[i] = number;
    return add_tensor(w, text(w, n->name, suffix), RN_ONNX_FLOAT, 1, shape, numbers);
}

static void put_norm(writing *w, int node)
{
    const rn_node *n = &w->model->graph->nodes[node];
    int plain = n->weight < 0;
    const char *in[5] = {value_name(w, n->a), plain ? add_same(w, n, ".weight", 1) : add_param(w, n->weight),
                         plain ? add_same(w, n, ".bias", 0) : add_param(w, n->bias), add_param(w, n->mean), add_param(w, n->var)};
    rn_onnx_node *out = add_node(w, "BatchNormalization", n->name, value_name(w, node), 5, in);
    add_real(w, out, "epsilon", n->eps);
    add_real(w, out, "momentum", 0.9); /* of the old value; 0.1 of the new one, as PyTorch has it */
}

static void put_shortcut(writing *w, int node)
{
    const rn_graph *g = w->model->graph;
    const rn_node *n = &g->nodes[node];
    const char *thin = text(w, n->name, ".pixels");
    int64_t added = n->channels - g->nodes[n->a].channels, s = n->stride;
    const char *slice[5] = {value_name(w, n->a), add_int64s(w, text(w, n->name, ".starts"), 2, (int64_t[]){0, 0}),
                            add_int64s(w, text(w, n->name, ".ends"), 2, (int64_t[]){INT64_MAX, INT64_MAX}),
                            add_int64s(w, text(w, n->name, ".axes"), 2, (int64_t[]){2, 3}),
                            add_int64s(w, text(w, n->name, ".steps"), 2, (int64_t[]){s, s})};
    add_node(w, "Slice", thin, thin, 5, slice);
    const char *pad[2] = {thin, add_int64s(w, text(w, n->name, ".pads"), 8, (int64_t[]){0, n->before, 0, 0, 0, added - n->before, 0, 0})};
    add_node(w, "Pad", n->name, value_name(w, node), 2, pad);
}

static void put_maxpool(writing *w, int node)
{
    const rn_node *n = &w->model->graph->nodes[node];
    const char *in[1] = {value_name(w, n->a)};
    rn_onnx_node *out = add_node(w, "MaxPool", n->name, value_name(w, node), 1, in);
    add_ints(w, out, "kernel_shape", 2, (int64_t[]){n->kernel_h, n->kernel_w});
    add_ints(w, out, "pads", 4, (int64_t[]){n->pad, n->pad, n->pad_end, n->pad_end});
    add_ints(w, out, "strides", 2, (int64_t[]){n->stride, n->stride});
}

static void put_meanpool(writing *w, int node)
{
    const rn_node *n = &w->model->graph->nodes[node];
    const char *in[1] = {value_name(w, n->a)};
    rn_onnx_node *out = add_node(w, "AveragePool", n->name, value_name(w, node), 1, in);
    add_int(w, out, "ceil_mode", 1);
    add_int(w, out, "count_include_pad", 0);
    add_ints(w, out, "kernel_shape", 2, (int64_t[]){2, 2});
    add_ints(w, out, "strides", 2, (int64_t[]){2, 2});
}

/* Row i averages what falls into PyTorch's bin i: [out][size], or, turned, [size][out]. */
static const char *add_bins(writing *w, const char *name, int out, int size, int turned)
{
    float *bins = room(w, (size_t)out * (size_t)size, sizeof *bins);
    int64_t shape[2] = {turned ? size : out, turned ? out : size};
    for (int64_t i = 0; bins && i < out; i++) {
        int64_t begin = i * size / out, end = ((i + 1) * size + out - 1) / out;
        for (int64_t k = begin; k < end; k++)
            bins[turned ? k * out + i : i * size + k] = 1 / (float)(end - begin);
    }
    return add_tensor(w, name, RN_ONNX_FLOAT, 2, shape, bins);
}

static int put_pool(writing *w, int node)
{
    const rn_node *n = &w->model->graph->nodes[node];
    const char *x = value_name(w, n->a), *output = value_name(w, node), *mean = text(w, n->name, ".time");
    if (n->out_h == 1 && n->out_w == 1) {
        add_node(w, "GlobalAveragePool", n->name, output, 1, &x);
        return 0;
    }
    if (!w->sizes || (n->out_w > 1 && !w->options->input_w))
        return rn_error_set(w->err, RN_ERR_ARG,
                            "%s: the bins of a pool to %dx%d depend on the input's size, which must be given: --input CxHxW", w->path,
                            n->out_h, n->out_w);
    if (n->out_w == 1) {
        rn_onnx_node *out = add_node(w, "ReduceMean", mean, mean, 1, &x);
        add_ints(w, out, "axes", 1, (int64_t[]){3});
        add_int(w, out, "keepdims", 1);
    } else {
        const char *in[2] = {x, add_bins(w, text(w, n->name, ".columns"), n->out_w, w->sizes[n->a][1], 1)};
        add_node(w, "MatMul", mean, mean, 2, in);
    }
    const char *in[2] = {add_bins(w, text(w, n->name, ".rows"), n->out_h, w->sizes[n->a][0], 0), mean};
    add_node(w, "MatMul", n->name, output, 2, in);
    return 0;
}

/* Over one pixel of a map as a 1x1 convolution, as its weight has it; else over the flattened map, or the list that the layer below gives. */
static void put_linear(writing *w, int node)
{
    const rn_graph *g = w->model->graph;
    const rn_node *n = &g->nodes[node];
    const char *in[3] = {value_name(w, n->a), add_param(w, n->weight), add_param(w, n->bias)};
    if (g->params[n->weight].dims == 4) {
        add_ints(w, add_node(w, "Conv", n->name, value_name(w, node), 3, in), "kernel_shape", 2, (int64_t[]){1, 1});
        return;
    }
    if (g->nodes[n->a].op == RN_OP_AVGPOOL) {
        const char *flat = text(w, n->name, ".flat");
        add_int(w, add_node(w, "Flatten", flat, flat, 1, in), "axis", 1);
        in[0] = flat;
    }
    add_int(w, add_node(w, "Gemm", n->name, value_name(w, node), 3, in), "transB", 1);
}

/* Means and deviations over time, the number of frames from the map's shape (onnx_statistics.c reads it). */
static void put_statistics(writing *w, int node)
{
    const rn_node *n = &w->model->graph->nodes[node];
    const char *x = value_name(w, n->a), *mean = text(w, n->name, ".mean"), *centred = text(w, n->name, ".centred"),
               *squares = text(w, n->name, ".squares"), *sum = text(w, n->name, ".sum"), *shape = text(w, n->name, ".shape"),
               *width = text(w, n->name, ".width"), *frames = text(w, n->name, ".frames"), *degrees = text(w, n->name, ".degrees"),
               *variance = text(w, n->name, ".variance"), *safe = text(w, n->name, ".safe"), *deviation = text(w, n->name, ".deviation"),
               *means = text(w, n->name, ".means"), *deviations = text(w, n->name, ".deviations");
    float *numbers = room(w, 2, sizeof *numbers);
    int64_t last[1] = {3};
    if (w->failed)
        return;
    numbers[0] = 1;
    numbers[1] = (float)n->eps;
    rn_onnx_node *out = add_node(w, "ReduceMean", mean, mean, 1, &x);
    add_ints(w, out, "axes", 1, last);
    add_int(w, out, "keepdims", 1);
    add_node(w, "Sub", centred, centred, 2, (const char *[]){x, mean});
    add_node(w, "Mul", squares, squares, 2, (const char *[]){centred, centred});
    const char *axis = add_int64s(w, text(w, n->name, ".axis"), 1, last);
    add_int(w, add_node(w, "ReduceSum", sum, sum, 2, (const char *[]){squares, axis}), "keepdims", 1);
    add_node(w, "Shape", shape, shape, 1, &x);
    add_int(w, add_node(w, "Gather", width, width, 2, (const char *[]){shape, axis}), "axis", 0);
    add_int(w, add_node(w, "Cast", frames, frames, 1, &width), "to", RN_ONNX_FLOAT);
    const char *one = add_tensor(w, text(w, n->name, ".one"), RN_ONNX_FLOAT, 0, NULL, &numbers[0]),
               *eps = add_tensor(w, text(w, n->name, ".eps"), RN_ONNX_FLOAT, 0, NULL, &numbers[1]);
    add_node(w, "Sub", degrees, degrees, 2, (const char *[]){frames, one});
    add_node(w, "Div", variance, variance, 2, (const char *[]){sum, degrees});
    add_node(w, "Add", safe, safe, 2, (const char *[]){variance, eps});
    add_node(w, "Sqrt", deviation, deviation, 1, &safe);
    add_int(w, add_node(w, "Flatten", means, means, 1, &mean), "axis", 1);
    add_int(w, add_node(w, "Flatten", deviations, deviations, 1, &deviation), "axis", 1);
    add_int(w, add_node(w, "Concat", n->name, value_name(w, node), 2, (const char *[]){means, deviations}), "axis", 1);
}

static int put_node(writing *w, int node)
{
    const rn_node *n = &w->model->graph->nodes[node];
    const char *in[2] = {n->a >= 0 ? value_name(w, n->a) : "", n->b >= 0 ? value_name(w, n->b) : ""};
    switch (n->op) {
    case RN_OP_INPUT:
        break;
    case RN_OP_CONV:
        if (!is_covered(w, node))
            add_conv(w, node, value_name(w, node), add_param(w, n->weight), NULL);
        break;
    case RN_OP_BN:
        if (is_folded(w, node))
            put_folded(w, node);
        else
            put_norm(w, node);
        break;
    case RN_OP_RELU:
        add_node(w, "Relu", n->name, value_name(w, node), 1, in);
        break;
    case RN_OP_ADD:
        add_node(w, "Add", n->name, value_name(w, node), 2, in);
        break;
    case RN_OP_PADSHORT:
        put_shortcut(w, node);
        break;
    case RN_OP_MAXPOOL:
        put_maxpool(w, node);
        break;
    case RN_OP_SQUEEZE:
        add_node(w, "GlobalAveragePool", n->name, value_name(w, node), 1, in);
        break;
    case RN_OP_SIGMOID:
        add_node(w, "Sigmoid", n->name, value_name(w, node), 1, in);
        break;
    case RN_OP_SCALE:
        add_node(w, "Mul", n->name, value_name(w, node), 2, in);
        break;
    case RN_OP_TSTP:
        put_statistics(w, node);
        break;
    case RN_OP_MEANPOOL:
        put_meanpool(w, node);
        break;
    case RN_OP_AVGPOOL:
        return put_pool(w, node);
    case RN_OP_LINEAR:
        put_linear(w, node);
        break;
    default:
        return rn_error_set(w->err, RN_ERR_UNSUPPORTED, "%s: %s cannot be written as ONNX yet", w->path, n->name);
    }
    return 0;
}

/* ---- The graph around them ---- */

static void set_value(writing *w, rn_onnx_value *v, const char *name, int dims, const int *sizes)
{
    static const char *const axes[] = {"batch", "channels", "height", "width"};
    v->name = name;
    v->type = RN_ONNX_FLOAT;
    v->dims = dims;
    for (int d = 0; d < dims; d++) {
        v->shape[d] = sizes[d] ? sizes[d] : -1;
        v->axes[d] = axes[d];
    }
    w->failed |= !name;
}

/* A text of metadata; taken and freed. NULL without memory. */
static void add_entry(writing *w, const char *key, char *value)
{
    rn_onnx_entry *entry = &w->out.metadata[w->out.metadata_count++];
    entry->key = key;
    entry->value = value ? rn_onnx_text(&w->out, value, strlen(value)) : NULL;
    w->failed |= !entry->value;
    free(value);
}

/* The description whole, and for programs that know nothing of it the parts that matter to whoever runs the network. */
static int add_metadata(writing *w)
{
    static const char *const sections[] = {"features", "pictures"};
    rn_tensors tensors = {0};
    char *labels = NULL;
    json_t *list = rn_labels_json((const char *const *)w->model->labels, w->model->arch.classes);
    int status = list ? rn_model_tensors(w->model, &tensors, w->err) : rn_error_memory(w->err, "labels", 1);
    if (!status)
        status = rn_json_dump(list, JSON_COMPACT, &labels, w->err);
    if (!status) {
        add_entry(w, RN_MODEL_CONFIG, strdup(rn_tensors_metadata(&tensors, RN_MODEL_CONFIG)));
        add_entry(w, "arch", strdup(w->model->arch.name));
        add_entry(w, "labels", labels);
    }
    for (size_t i = 0; i < sizeof sections / sizeof *sections && !status; i++) {
        const json_t *section = rn_model_section(w->model, sections[i]);
        char *json = NULL;
        if (section && !(status = rn_json_dump(section, JSON_COMPACT | JSON_SORT_KEYS, &json, w->err)))
            add_entry(w, sections[i], json);
    }
    json_decref(list);
    rn_tensors_free(&tensors);
    return status;
}

/* Sizes of all values where the input's height is given; a width that is not is any that leaves something everywhere. */
static int find_sizes(writing *w)
{
    const rn_graph *g = w->model->graph;
    if (!w->options->input_h)
        return 0;
    w->sizes = malloc((size_t)g->nodes_count * sizeof *w->sizes);
    if (!w->sizes)
        return rn_error_memory(w->err, "the sizes of layers", (unsigned long long)g->nodes_count * sizeof *w->sizes);
    return rn_graph_sizes(g, w->options->input_h, w->options->input_w ? w->options->input_w : ANY_WIDTH, w->sizes, w->err);
}

static int build(writing *w)
{
    const rn_graph *g = w->model->graph;
    rn_onnx *m = &w->out;
    size_t nodes = (size_t)g->nodes_count;
    m->ir_version = IR_VERSION;
    m->opset = OPSET;
    m->producer = "resnet";
    m->producer_version = RN_VERSION;
    m->name = w->model->arch.name;
    m->nodes = room(w, nodes * NODES_EACH + STATISTICS, sizeof *m->nodes);
    m->tensors = room(w, nodes * TENSORS_EACH + STATISTICS, sizeof *m->tensors);
    m->inputs = room(w, 1, sizeof *m->inputs);
    m->outputs = room(w, 2, sizeof *m->outputs);
    m->metadata = room(w, 5, sizeof *m->metadata);
    int status = w->failed ? 0 : find_sizes(w);
    for (int i = 0; i < g->nodes_count && !status && !w->failed; i++)
        status = put_node(w, i);
    if (!status && !w->failed) {
        set_value(w, &m->inputs[m->inputs_count++], "input", 4, (int[]){0, g->in_channels, w->options->input_h, w->options->input_w});
        if (g->logits >= 0)
            set_value(w, &m->outputs[m->outputs_count++], "logits", 2, (int[]){0, g->nodes[g->logits].channels});
        if (named_embedding(g) >= 0)
            set_value(w, &m->outputs[m->outputs_count++], "embedding", 2, (int[]){0, g->nodes[g->embedding].channels});
        status = add_metadata(w);
    }
    return status ? status : w->failed ? rn_error_memory(w->err, "an ONNX graph", nodes * sizeof *m->nodes) : 0;
}

int rn_onnx_save(const rn_model *model, const char *path, const rn_onnx_options *options, rn_error *err)
{
    writing w = {.model = model, .options = options, .path = path, .err = err};
    unsigned state = rn_fp_enter();
    int status = build(&w);
    rn_fp_leave(state);
    if (!status)
        status = rn_onnx_write(&w.out, path, options->inline_most, err);
    free(w.sizes);
    rn_onnx_free(&w.out);
    return status;
}
