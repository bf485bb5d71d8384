/* The way through an ONNX graph: values by name, node after node, each by the function that the table has for its operation.
 *
 * An operation that is not in the table is refused, and so is an attribute that its function does not know: what is not understood is never ignored.
 * Values that no output needs are lowered too, so a graph with more in it than a residual network is refused where that begins.
 * Source: the operators' descriptions, opsets 7 to 22; where a version moved an attribute to an input, both are read.
 */
#include "models/onnx_net.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/onnx_lower.h"

enum { MOST_LAYERS = 1 << 15, FIRST_OPSET = 7, LAST_OPSET = 26 };

int rn_onnx_refuse(const rn_onnx_net *net, int node, rn_error *err, const char *format, ...)
{
    char text[300];
    const rn_onnx_node *n = node >= 0 && node < net->file->nodes_count ? &net->file->nodes[node] : NULL;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!n)
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: %s", net->path, text);
    return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: node %d (%s%s%s%s): %s", net->path, node, rn_show(n->op).text,
                        n->name[0] ? ", \"" : "", rn_show(n->name).text, n->name[0] ? "\"" : "", text);
}

/* ---- Values by name ---- */

static unsigned hash(const char *name)
{
    unsigned h = 2166136261u; /* FNV-1a */
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 16777619u;
    return h;
}

/* Where the name stands in the table, or the free place for it. */
static int *place(const lowering *l, const char *name)
{
    unsigned at = hash(name) & l->mask;
    while (l->table[at] >= 0 && strcmp(l->values[l->table[at]].name, name) != 0)
        at = (at + 1) & l->mask;
    return &l->table[at];
}

static value *find(const lowering *l, const char *name)
{
    int at = *place(l, name);
    return at < 0 ? NULL : &l->values[at];
}

/* The value of that name, a new one where there is none; the table has room for all names of the file. */
static value *named(lowering *l, const char *name)
{
    int *at = place(l, name);
    if (*at < 0) {
        *at = l->values_count;
        l->values[l->values_count++] = (value){.name = name};
    }
    return &l->values[*at];
}

static int open_table(lowering *l)
{
    const rn_onnx *f = l->file;
    size_t names = (size_t)f->tensors_count + (size_t)f->inputs_count + (size_t)f->outputs_count, room = 64;
    for (int i = 0; i < f->nodes_count; i++)
        names += (size_t)f->nodes[i].inputs_count + (size_t)f->nodes[i].outputs_count;
    while (room < names * 2)
        room *= 2;
    if (room > (size_t)1 << 24)
        return rn_error_set(l->err, RN_ERR_UNSUPPORTED, "%s: %zu names in its graph are more than can be read", l->net->path, names);
    l->values = rn_onnx_room(l->file, names + 1, sizeof *l->values);
    l->table = rn_onnx_room(l->file, room, sizeof *l->table);
    if (!l->values || !l->table)
        return rn_error_memory(l->err, "an ONNX graph", room * sizeof *l->table);
    memset(l->table, -1, room * sizeof *l->table);
    l->mask = (unsigned)room - 1;
    for (int i = 0; i < f->nodes_count; i++)
        for (int k = 0; k < f->nodes[i].inputs_count; k++)
            named(l, f->nodes[i].inputs[k])->uses++;
    for (int i = 0; i < f->outputs_count; i++)
        named(l, f->outputs[i].name)->uses++;
    return 0;
}

value *rn_lower_input(const lowering *l, int i)
{
    return i < l->node->inputs_count && l->node->inputs[i][0] ? find(l, l->node->inputs[i]) : NULL;
}

/* ---- Results ---- */

static value *result(lowering *l)
{
    value *v = named(l, l->node->outputs[0]);
    *v = (value){.name = v->name, .uses = v->uses};
    return v;
}

value *rn_lower_output(const lowering *l)
{
    return find(l, l->node->outputs[0]);
}

void rn_lower_alias(lowering *l, const value *from)
{
    value copy = *from;
    value *v = result(l);
    copy.name = v->name;
    copy.uses = v->uses > from->uses ? v->uses : from->uses; /* whoever reads the one reads the layer of the other */
    *v = copy;
}

int rn_lower_constant(lowering *l, const rn_onnx_tensor *t)
{
    value *v = result(l);
    v->kind = CONSTANT;
    v->constant = t;
    return 0;
}

void rn_lower_count(lowering *l)
{
    result(l)->kind = COUNT;
}

rn_onnx_layer *rn_lower_layer(lowering *l, rn_layer_kind kind, int a, rn_layout layout)
{
    rn_onnx_net *net = l->net;
    if (net->layers_count >= MOST_LAYERS) {
        REFUSE(l, "more than %d layers", MOST_LAYERS);
        return NULL;
    }
    value *v = result(l);
    rn_onnx_layer *layer = &net->layers[net->layers_count];
    *layer =
        a >= 0 ? (rn_onnx_layer){.channels = net->layers[a].channels, .h = net->layers[a].h, .w = net->layers[a].w} : (rn_onnx_layer){0};
    layer->kind = kind;
    layer->node = l->index;
    layer->a = a;
    layer->b = -1;
    layer->stride = layer->group = layer->kernel_h = layer->kernel_w = 1;
    v->kind = LAYER;
    v->layer = net->layers_count++;
    v->layout = layout;
    return layer;
}

rn_onnx_layer *rn_lower_layer_of(const lowering *l, const value *v)
{
    return &l->net->layers[v->layer];
}

/* ---- Inputs and attributes ---- */

value *rn_lower_map(lowering *l, int i)
{
    value *v = rn_lower_input(l, i);
    if (!v || v->kind != LAYER)
        REFUSE(l, "its input %d (%s) comes from no layer", i, i < l->node->inputs_count ? rn_show(l->node->inputs[i]).text : "left out");
    else if (v->pads[0] || v->pads[1] || v->pads[2] || v->pads[3])
        REFUSE(l, "it reads a padded map, which a convolution or pool alone may");
    else if (v->every[0] || v->every[1])
        REFUSE(l, "it reads every second pixel of a map, which a zero-padding shortcut alone may");
    else if (v->layout == TIME_BINS || v->layout == BINS_TIME)
        REFUSE(l, "it reads an input without channels");
    else
        return v;
    return NULL;
}

const rn_onnx_tensor *rn_lower_reals(lowering *l, int i, const char *what)
{
    const value *v = rn_lower_input(l, i);
    if (v && v->kind == CONSTANT && v->constant->data &&
        (v->constant->type == RN_ONNX_FLOAT || v->constant->type == RN_ONNX_DOUBLE || v->constant->type == RN_ONNX_FLOAT16 ||
         v->constant->type == RN_ONNX_BFLOAT16))
        return v->constant;
    REFUSE(l, "its %s is no constant of floating-point numbers", what);
    return NULL;
}

int rn_lower_ints(lowering *l, const char *name, int count, int otherwise, int *out)
{
    const rn_onnx_attribute *a = rn_onnx_attribute_of(l->node, name);
    for (int i = 0; i < count; i++)
        out[i] = otherwise;
    if (!a)
        return 0;
    if (a->kind != RN_ONNX_A_INTS || a->count != count)
        return REFUSE(l, "%s of %d numbers, %d are wanted", name, a->count, count);
    for (int i = 0; i < count; i++) {
        if (a->integers[i] < -1 || a->integers[i] > 1 << 20)
            return REFUSE(l, "%s %lld", name, (long long)a->integers[i]);
        out[i] = (int)a->integers[i];
    }
    return 0;
}

int rn_lower_int(lowering *l, const char *name, int otherwise, int *out)
{
    const rn_onnx_attribute *a = rn_onnx_attribute_of(l->node, name);
    *out = otherwise;
    if (a && (a->kind != RN_ONNX_A_INT || a->integer < -(1 << 20) || a->integer > 1 << 20))
        return REFUSE(l, "%s is no small whole number", name);
    if (a)
        *out = (int)a->integer;
    return 0;
}

int rn_lower_axes(lowering *l, int i, int dims, unsigned *axes)
{
    const rn_onnx_attribute *a = rn_onnx_attribute_of(l->node, "axes");
    const value *v = rn_lower_input(l, i);
    const rn_onnx_tensor *t = v && v->kind == CONSTANT ? v->constant : NULL;
    int64_t count = a ? a->count : t ? t->count : 0;
    *axes = 0;
    if ((a && v) || (!a && (!t || !t->data || t->type != RN_ONNX_INT64)) || count < 1 || count > dims)
        return REFUSE(l, "its axes are not given as constants");
    for (int k = 0; k < count; k++) {
        int64_t axis = a ? a->integers[k] : rn_onnx_integer(t, k);
        if (axis < -dims || axis >= dims)
            return REFUSE(l, "axis %lld", (long long)axis);
        *axes |= 1u << (axis < 0 ? axis + dims : axis);
    }
    return 0;
}

/* ---- Operations on single values ---- */

static int lower_constant(lowering *l)
{
    const rn_onnx_attribute *a = rn_onnx_attribute_of(l->node, "value"), *one = rn_onnx_attribute_of(l->node, "value_int"),
                            *many = rn_onnx_attribute_of(l->node, "value_ints"), *real = rn_onnx_attribute_of(l->node, "value_float");
    if (a && a->tensor)
        return rn_lower_constant(l, a->tensor);
    rn_onnx_tensor *t = rn_onnx_room(l->file, 1, sizeof *t);
    if (!t)
        return rn_error_memory(l->err, "a constant", sizeof *t);
    t->name = l->node->outputs[0];
    t->count = 1;
    if (one || many) {
        t->type = RN_ONNX_INT64;
        t->dims = many != NULL;
        t->count = t->shape[0] = many ? many->count : 1;
        t->data = many ? many->integers : &one->integer;
    } else if (real) {
        t->type = RN_ONNX_FLOAT;
        t->data = &real->real;
    } else {
        return REFUSE(l, "it has no value that could be read");
    }
    return rn_lower_constant(l, t);
}

/* One number, repeated over a constant shape. */
static int lower_filled(lowering *l)
{
    static const float zero = 0;
    const value *shape = rn_lower_input(l, 0);
    const rn_onnx_attribute *a = rn_onnx_attribute_of(l->node, "value");
    const rn_onnx_tensor *dims = shape && shape->kind == CONSTANT ? shape->constant : NULL;
    rn_onnx_tensor *t = rn_onnx_room(l->file, 1, sizeof *t);
    if (!t)
        return rn_error_memory(l->err, "a constant", sizeof *t);
    if (!dims || !dims->data || dims->type != RN_ONNX_INT64 || dims->count > 8 ||
        (a && (!a->tensor || !a->tensor->data || a->tensor->count != 1)))
        return REFUSE(l, "its shape or value is not one that could be read");
    *t = a ? *a->tensor : (rn_onnx_tensor){.type = RN_ONNX_FLOAT, .data = &zero};
    t->name = l->node->outputs[0];
    t->filled = 1;
    t->count = 1;
    t->dims = (int)dims->count;
    for (int d = 0; d < t->dims; d++) {
        t->shape[d] = rn_onnx_integer(dims, d);
        if (t->shape[d] < 0 || __builtin_mul_overflow(t->count, t->shape[d], &t->count) || t->count > INT64_C(1) << 40)
            return REFUSE(l, "a shape of that size");
    }
    return rn_lower_constant(l, t);
}

static int lower_same(lowering *l)
{
    const value *v = rn_lower_input(l, 0);
    if (!v || v->kind == NOTHING)
        return REFUSE(l, "it reads %s, which nothing before it gives",
                      l->node->inputs_count ? rn_show(l->node->inputs[0]).text : "nothing");
    for (int i = 1; i < l->node->outputs_count; i++) {
        const value *other = l->node->outputs[i][0] ? find(l, l->node->outputs[i]) : NULL; /* what nobody reads has no value */
        if (other && other->uses)
            return REFUSE(l, "its second output is used");
    }
    rn_lower_alias(l, v);
    return 0;
}

/* Between floating-point types a map stays what it is; whole numbers would cut it. */
static int lower_cast(lowering *l)
{
    const value *v = rn_lower_input(l, 0);
    int to;
    if (rn_lower_int(l, "to", 0, &to))
        return RN_ERR_UNSUPPORTED;
    if (v && v->kind == LAYER && to != RN_ONNX_FLOAT && to != RN_ONNX_FLOAT16 && to != RN_ONNX_BFLOAT16 && to != RN_ONNX_DOUBLE)
        return REFUSE(l, "a cast of a map to what is no floating-point type");
    return lower_same(l);
}

static int lower_dropout(lowering *l)
{
    const value *training = rn_lower_input(l, 2);
    if (training &&
        (training->kind != CONSTANT || training->constant->count != 1 || !training->constant->data || rn_onnx_real(training->constant, 0) != 0))
        return REFUSE(l, "a dropout in training; export the network in its evaluation mode");
    return lower_same(l);
}

static int lower_relu(lowering *l)
{
    const value *v = rn_lower_map(l, 0);
    return v && rn_lower_layer(l, RN_LAYER_RELU, v->layer, v->layout) ? 0 : RN_ERR_UNSUPPORTED;
}

static int lower_sigmoid(lowering *l)
{
    const value *v = rn_lower_map(l, 0);
    return v && rn_lower_layer(l, RN_LAYER_SIGMOID, v->layer, v->layout) ? 0 : RN_ERR_UNSUPPORTED;
}

static int lower_norm(lowering *l)
{
    static const char *const parts[] = {"scale", "bias", "mean", "variance"};
    const rn_onnx_attribute *eps = rn_onnx_attribute_of(l->node, "epsilon");
    const rn_onnx_tensor *t[4];
    const value *v = rn_lower_map(l, 0);
    int training, spatial, old;
    if (!v || rn_lower_int(l, "training_mode", 0, &training) || rn_lower_int(l, "spatial", 1, &spatial) ||
        rn_lower_int(l, "is_test", 1, &old))
        return RN_ERR_UNSUPPORTED;
    for (int i = 1; i < l->node->outputs_count; i++) /* before opset 14 these are what says so */
        training |= l->node->outputs[i][0] != 0;
    if (training || !old || !spatial)
        return REFUSE(l, "a batch normalisation in training; export the network in its evaluation mode");
    if (v->layout == CHANNELS_LAST)
        return REFUSE(l, "its channels stand last");
    for (int i = 0; i < 4; i++) {
        if (!(t[i] = rn_lower_reals(l, i + 1, parts[i])))
            return RN_ERR_UNSUPPORTED;
        if (t[i]->count != rn_lower_layer_of(l, v)->channels)
            return REFUSE(l, "%s of %lld numbers for %d channels", parts[i], (long long)t[i]->count, rn_lower_layer_of(l, v)->channels);
    }
    rn_onnx_layer *layer = rn_lower_layer(l, RN_LAYER_BN, v->layer, v->layout);
    if (!layer)
        return RN_ERR_UNSUPPORTED;
    layer->weight = t[0], layer->bias = t[1], layer->mean = t[2], layer->var = t[3];
    layer->eps = eps ? (double)eps->real : 1e-5;
    return 0;
}

/* ---- Operations on two values ---- */

/* Is it one number for each channel of v, as broadcasting puts it there? */
static int is_per_channel(const rn_onnx_tensor *t, const value *v, int channels)
{
    int axis = v->layout == CHANNELS_FIRST ? t->dims - 3 : t->dims - 1;
    if (t->count != channels || axis < 0 || t->shape[axis] != channels)
        return 0;
    return t->dims <= (v->layout == FLAT ? 2 : 4);
}

/* A constant added behind a convolution or linear layer: its bias, or more of it. sign -1: taken away. */
static int add_bias(lowering *l, const value *v, int constant, int sign)
{
    const rn_onnx_tensor *t = rn_lower_reals(l, constant, "second term");
    if (!t)
        return RN_ERR_UNSUPPORTED;
    rn_onnx_layer *layer = rn_lower_layer_of(l, v);
    if ((layer->kind != RN_LAYER_CONV && layer->kind != RN_LAYER_LINEAR) || v->uses != 1 || !is_per_channel(t, v, layer->channels))
        return REFUSE(l, "a constant added to what is no convolution or linear layer");
    if (layer->bias || sign < 0) {
        float *sum = rn_onnx_room(l->file, (size_t)layer->channels, sizeof *sum);
        rn_onnx_tensor *new = rn_onnx_room(l->file, 1, sizeof *new);
        if (!sum || !new)
            return rn_error_memory(l->err, "a bias", (unsigned long long)layer->channels * sizeof *sum);
        for (int k = 0; k < layer->channels; k++)
            sum[k] = (float)((layer->bias ? rn_onnx_real(layer->bias, k) : 0) + sign * rn_onnx_real(t, k));
        *new = (rn_onnx_tensor){
            .name = t->name, .type = RN_ONNX_FLOAT, .dims = 1, .shape = {layer->channels}, .count = layer->channels, .data = sum};
        t = new;
    }
    layer->bias = t;
    rn_lower_alias(l, v);
    return 0;
}

static int lower_add(lowering *l)
{
    int status;
    if (rn_lower_spread_eps(l, &status))
        return status;
    const value *v[2] = {rn_lower_input(l, 0), rn_lower_input(l, 1)};
    if (l->node->inputs_count != 2)
        return REFUSE(l, "a sum of %d, two are wanted", l->node->inputs_count);
    for (int i = 0; i < 2; i++)
        if (v[i] && v[i]->kind == CONSTANT)
            return (v[1 - i] = rn_lower_map(l, 1 - i)) ? add_bias(l, v[1 - i], i, 1) : RN_ERR_UNSUPPORTED;
    if (!(v[0] = rn_lower_map(l, 0)) || !(v[1] = rn_lower_map(l, 1)))
        return RN_ERR_UNSUPPORTED;
    const rn_onnx_layer *a = rn_lower_layer_of(l, v[0]), *b = rn_lower_layer_of(l, v[1]);
    if (v[0]->layout != v[1]->layout || a->channels != b->channels || (a->h && b->h && a->h != b->h) || (a->w && b->w && a->w != b->w))
        return REFUSE(l, "its terms have different shapes");
    int second = v[1]->layer;
    rn_onnx_layer *layer = rn_lower_layer(l, RN_LAYER_ADD, v[0]->layer, v[0]->layout);
    if (!layer)
        return RN_ERR_UNSUPPORTED;
    layer->b = second;
    return 0;
}

static int lower_sub(lowering *l)
{
    int status;
    if (rn_lower_centre(l, &status))
        return status;
    const value *v = rn_lower_map(l, 0);
    return v ? add_bias(l, v, 1, -1) : RN_ERR_UNSUPPORTED;
}

/* A map times a gate of one pixel. What the gate is made of is compared later, as everything is. */
static int lower_mul(lowering *l)
{
    int status;
    if (rn_lower_spread_product(l, &status))
        return status;
    const value *v[2] = {rn_lower_map(l, 0), rn_lower_map(l, 1)};
    if (!v[0] || !v[1])
        return RN_ERR_UNSUPPORTED;
    int gate = rn_lower_layer_of(l, v[0])->kind == RN_LAYER_SIGMOID ? 0 : 1, b = v[gate]->layer;
    const rn_onnx_layer *sigmoid = rn_lower_layer_of(l, v[gate]), *x = rn_lower_layer_of(l, v[1 - gate]);
    if (sigmoid->kind != RN_LAYER_SIGMOID || sigmoid->h != 1 || sigmoid->w != 1 || v[0]->layout != CHANNELS_FIRST ||
        v[1]->layout != CHANNELS_FIRST || sigmoid->channels != x->channels)
        return REFUSE(l, "a product that is no squeeze and excitation: a map times a sigmoid for each channel");
    rn_onnx_layer *layer = rn_lower_layer(l, RN_LAYER_SCALE, v[1 - gate]->layer, CHANNELS_FIRST);
    if (!layer)
        return RN_ERR_UNSUPPORTED;
    layer->b = b;
    return 0;
}

/* Left out, where it is the last: what is answered are logits, and whoever wants probabilities takes the softmax of those. */
static int lower_softmax(lowering *l)
{
    const value *v = rn_lower_map(l, 0);
    int axis, is_output = 0;
    if (!v || rn_lower_int(l, "axis", -1, &axis))
        return RN_ERR_UNSUPPORTED;
    for (int i = 0; i < l->file->outputs_count; i++)
        is_output |= strcmp(l->file->outputs[i].name, l->node->outputs[0]) == 0;
    if (v->layout != FLAT || (axis != -1 && axis != 1) || !is_output || find(l, l->node->outputs[0])->uses != 1)
        return REFUSE(l, "a softmax that does not end the network");
    l->net->softmax = 1;
    rn_lower_alias(l, v);
    return 0;
}

/* ---- The graph ---- */

static const struct {
    const char *op;
    int (*lower)(lowering *l);
    int least, most;        /* inputs */
    const char *attributes; /* those that are understood, or change nothing */
} ops[] = {
    {"Add", lower_add, 2, 2, " axis broadcast "},
    {"AveragePool", rn_lower_pool, 1, 1, " kernel_shape strides pads auto_pad ceil_mode count_include_pad dilations "},
    {"BatchNormalization", lower_norm, 5, 5, " epsilon momentum training_mode spatial is_test "},
    {"Cast", lower_cast, 1, 1, " to saturate "},
    {"Concat", rn_lower_concat, 2, 2, " axis "},
    {"Constant", lower_constant, 0, 0, " value value_int value_ints value_float "},
    {"ConstantOfShape", lower_filled, 1, 1, " value "},
    {"Conv", rn_lower_conv, 2, 3, " kernel_shape strides pads auto_pad dilations group "},
    {"Div", rn_lower_divide, 2, 2, " "},
    {"Dropout", lower_dropout, 1, 3, " ratio is_test seed "},
    {"Flatten", rn_lower_reshape, 1, 1, " axis "},
    {"Gemm", rn_lower_gemm, 2, 3, " alpha beta transA transB "},
    {"GlobalAveragePool", rn_lower_global, 1, 1, " "},
    {"Identity", lower_same, 1, 1, " "},
    {"MatMul", rn_lower_matmul, 2, 2, " "},
    {"MaxPool", rn_lower_pool, 1, 1, " kernel_shape strides pads auto_pad ceil_mode dilations storage_order "},
    {"Mul", lower_mul, 2, 2, " "},
    {"Pad", rn_lower_pad, 1, 4, " mode pads value "},
    {"ReduceMean", rn_lower_mean, 1, 2, " axes keepdims noop_with_empty_axes "},
    {"ReduceSum", rn_lower_sum, 1, 2, " axes keepdims noop_with_empty_axes "},
    {"Relu", lower_relu, 1, 1, " "},
    {"Reshape", rn_lower_reshape, 2, 2, " allowzero "},
    {"Sigmoid", lower_sigmoid, 1, 1, " "},
    {"Slice", rn_lower_slice, 1, 5, " starts ends axes "},
    {"Softmax", lower_softmax, 1, 1, " axis "},
    {"Sqrt", rn_lower_root, 1, 1, " "},
    {"Squeeze", rn_lower_squeeze, 1, 2, " axes "},
    {"Sub", lower_sub, 2, 2, " "},
    {"Sum", lower_add, 2, 2, " "},
    {"Transpose", rn_lower_transpose, 1, 1, " perm "},
    {"Unsqueeze", rn_lower_unsqueeze, 1, 2, " axes "},
};

/* Arithmetic on shapes: reads the shape of a value, or nothing but such numbers and constants. */
static int is_count(const lowering *l)
{
    int counts = strcmp(l->node->op, "Shape") == 0;
    for (int i = 0; i < l->node->inputs_count; i++) {
        const value *v = rn_lower_input(l, i);
        if (v && v->kind == LAYER && !counts)
            return 0;
        counts |= v && v->kind == COUNT;
    }
    return counts;
}

static int lower_node(lowering *l, int index)
{
    const rn_onnx_node *n = l->node = &l->file->nodes[index];
    int status;
    l->index = index;
    if (n->domain[0] || n->outputs_count < 1 || !n->outputs[0][0])
        return REFUSE(l, "no operation of ONNX itself%s%s", n->domain[0] ? ", but of " : "", rn_show(n->domain).text);
    if (find(l, n->outputs[0]) && find(l, n->outputs[0])->kind != NOTHING)
        return REFUSE(l, "%s was given before", rn_show(n->outputs[0]).text);
    if (is_count(l)) {
        rn_lower_count(l);
        rn_lower_follow_width(l);
        return 0;
    }
    if (rn_lower_numbers(l, &status))
        return status;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        if (strcmp(ops[i].op, n->op) != 0)
            continue;
        if (n->inputs_count < ops[i].least || n->inputs_count > ops[i].most)
            return REFUSE(l, "%d inputs", n->inputs_count);
        for (int a = 0; a < n->attributes_count; a++) {
            char spaced[64];
            snprintf(spaced, sizeof spaced, " %.60s ", n->attributes[a].name);
            if (!strstr(ops[i].attributes, spaced))
                return REFUSE(l, "it has %s, which is not known here", rn_show(n->attributes[a].name).text);
        }
        return ops[i].lower(l);
    }
    return REFUSE(l, "no residual network that is known here has this operation");
}

/* The first node that reads the value; -1: none. */
static int reader_of(const rn_onnx *f, const char *name)
{
    for (int i = 0; i < f->nodes_count; i++)
        for (int k = 0; k < f->nodes[i].inputs_count; k++)
            if (strcmp(f->nodes[i].inputs[k], name) == 0)
                return i;
    return -1;
}

/* What the file calls its input is taken as N C H W until a transposition says otherwise; of three axes, as time and bins. */
static int lower_input(lowering *l)
{
    const rn_onnx *f = l->file;
    l->index = f->nodes_count ? 0 : -1;
    if (f->inputs_count < 1)
        return REFUSE(l, "its graph has no input");
    l->index = reader_of(f, f->inputs[f->inputs_count > 1].name);
    if (f->inputs_count > 1)
        return REFUSE(l, "it reads %s, a second input of the graph; a network has one, and constants for weights",
                      rn_show(f->inputs[1].name).text);
    const rn_onnx_value *in = &f->inputs[0];
    if ((in->dims != 4 && in->dims != 3) || (in->type != RN_ONNX_FLOAT && in->type != RN_ONNX_FLOAT16 && in->type != RN_ONNX_DOUBLE))
        return REFUSE(l, "what it reads (%s) is no batch of images or spectrograms of floating-point numbers", rn_show(in->name).text);
    for (int d = 1; d < in->dims; d++)
        if (in->shape[d] > 1 << 20)
            return REFUSE(l, "its input is larger than any image");
    rn_onnx_layer *layer = &l->net->layers[l->net->layers_count++];
    *layer = (rn_onnx_layer){.kind = RN_LAYER_INPUT, .node = -1, .a = -1, .b = -1};
    const int64_t *shape = in->shape + in->dims - 3;
    layer->channels = in->dims == 3 ? 1 : shape[0] > 0 ? (int)shape[0] : 0;
    layer->h = shape[1] > 0 ? (int)shape[1] : 0;
    layer->w = shape[2] > 0 ? (int)shape[2] : 0;
    value *v = named(l, in->name);
    v->kind = LAYER;
    v->layout = in->dims == 3 ? TIME_BINS : CHANNELS_FIRST;
    return 0;
}

static int find_outputs(lowering *l)
{
    rn_onnx_net *net = l->net;
    l->index = -1;
    if (l->file->outputs_count > 4)
        return REFUSE(l, "%d outputs, at most 4 can be read", l->file->outputs_count);
    for (int i = 0; i < l->file->outputs_count; i++) {
        const value *v = find(l, l->file->outputs[i].name);
        if (!v || v->kind != LAYER || v->layout != FLAT)
            return rn_onnx_refuse(net, v && v->kind == LAYER ? net->layers[v->layer].node : -1, l->err,
                                  "the graph's output %s is not one list of numbers a sample", rn_show(l->file->outputs[i].name).text);
        net->outputs[net->outputs_count++] = v->layer;
    }
    return net->outputs_count ? 0 : REFUSE(l, "its graph has no output");
}

int rn_onnx_lower(rn_onnx_net *net, rn_onnx *file, const char *path, rn_error *err)
{
    lowering l = {.net = net, .file = file, .err = err};
    int layers = file->nodes_count + 1 < MOST_LAYERS ? file->nodes_count + 1 : MOST_LAYERS, status;
    *net = (rn_onnx_net){.path = path, .file = file};
    if (file->opset < FIRST_OPSET || file->opset > LAST_OPSET)
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: opset %lld; %d to %d are read", path, (long long)file->opset, FIRST_OPSET,
                            LAST_OPSET);
    if (!(net->layers = rn_onnx_room(file, (size_t)layers, sizeof *net->layers)))
        return rn_error_memory(err, "an ONNX graph", (unsigned long long)layers * sizeof *net->layers);
    if ((status = open_table(&l)) || (status = lower_input(&l)))
        return status;
    for (int i = 0; i < file->tensors_count; i++) {
        value *v = find(&l, file->tensors[i].name); /* others are not used */
        if (v && v->kind == NOTHING) {
            v->kind = CONSTANT;
            v->constant = &file->tensors[i];
        }
    }
    for (int i = 0; i < file->nodes_count && !status; i++)
        status = lower_node(&l, i);
    return status ? status : find_outputs(&l);
}
