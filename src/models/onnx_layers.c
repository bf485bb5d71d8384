/* ONNX's convolutions, pools and linear layers as layers of ours. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/onnx_lower.h"

/* What convolutions and pools share. */
typedef struct window {
    int kernel[2], strides[2], pads[4], ceil;
} window;

/* TensorFlow's padding: output ceil(size / stride), the odd pixel of padding behind (or in front). */
static int same_pads(lowering *l, const rn_onnx_layer *in, window *w, int upper)
{
    int size[2] = {in->h, in->w};
    for (int d = 0; d < 2; d++) {
        if (!size[d] && w->strides[d] != 1)
            return REFUSE(l, "auto_pad over a size that the file leaves open");
        int outputs = size[d] ? (size[d] + w->strides[d] - 1) / w->strides[d] : 1;
        int all = size[d] ? (outputs - 1) * w->strides[d] + w->kernel[d] - size[d] : w->kernel[d] - 1;
        all = all < 0 ? 0 : all;
        w->pads[d] = upper ? all / 2 : all - all / 2;
        w->pads[d + 2] = all - w->pads[d];
    }
    return 0;
}

/* Reads the attributes of a window of kernel_h x kernel_w (0: as the attribute says). */
static int get_window(lowering *l, const value *v, window *w)
{
    const rn_onnx_attribute *mode = rn_onnx_attribute_of(l->node, "auto_pad"), *kernel = rn_onnx_attribute_of(l->node, "kernel_shape");
    const char *how = mode ? mode->text : "NOTSET";
    int dilations[2], given[2];
    if ((kernel && rn_lower_ints(l, "kernel_shape", 2, 1, given)) || rn_lower_ints(l, "strides", 2, 1, w->strides) ||
        rn_lower_ints(l, "dilations", 2, 1, dilations) || rn_lower_ints(l, "pads", 4, 0, w->pads) ||
        rn_lower_int(l, "ceil_mode", 0, &w->ceil))
        return RN_ERR_UNSUPPORTED;
    if (kernel && w->kernel[0] && memcmp(given, w->kernel, sizeof given) != 0)
        return REFUSE(l, "kernel_shape %dx%d, its weight has %dx%d", given[0], given[1], w->kernel[0], w->kernel[1]);
    if (!w->kernel[0] && !kernel)
        return REFUSE(l, "it has no kernel_shape");
    if (!w->kernel[0])
        memcpy(w->kernel, given, sizeof given);
    if (dilations[0] != 1 || dilations[1] != 1)
        return REFUSE(l, "dilations %d", dilations[0] != 1 ? dilations[0] : dilations[1]);
    if (w->strides[0] != w->strides[1] && strcmp(l->node->op, "AveragePool") != 0)
        return REFUSE(l, "strides %d and %d, only equal ones are computed here", w->strides[0], w->strides[1]);
    if (w->strides[0] < 1 || w->strides[1] < 1 || w->kernel[0] < 1 || w->kernel[1] < 1 || w->pads[0] < 0 || w->pads[1] < 0 ||
        w->pads[2] < 0 || w->pads[3] < 0)
        return REFUSE(l, "a kernel, stride or padding below zero");
    int same = strncmp(how, "SAME", 4) == 0;
    if (!same && how[0] && strcmp(how, "NOTSET") != 0 && strcmp(how, "VALID") != 0)
        return REFUSE(l, "auto_pad %s", rn_show(how).text);
    if (same && same_pads(l, rn_lower_layer_of(l, v), w, strcmp(how, "SAME_UPPER") == 0))
        return RN_ERR_UNSUPPORTED;
    if (strcmp(how, "VALID") == 0)
        memset(w->pads, 0, sizeof w->pads);
    for (int i = 0; i < 4; i++)
        w->pads[i] += v->pads[i];
    return 0;
}

static int out_size(int size, int kernel, int stride, int pads, int ceil)
{
    int64_t rest = (int64_t)size + pads - kernel;
    return size == 0 ? 0 : rest < 0 || rest > 1 << 20 ? -1 : (int)((rest + (ceil ? stride - 1 : 0)) / stride) + 1;
}

/* The window and the output's size into a new layer. */
static int set_window(lowering *l, rn_onnx_layer *layer, const window *w)
{
    layer->kernel_h = w->kernel[0];
    layer->kernel_w = w->kernel[1];
    layer->stride = w->strides[0];
    layer->stride_w = w->strides[1];
    layer->ceil = w->ceil;
    memcpy(layer->pads, w->pads, sizeof layer->pads);
    layer->h = out_size(layer->h, w->kernel[0], w->strides[0], w->pads[0] + w->pads[2], w->ceil);
    layer->w = out_size(layer->w, w->kernel[1], w->strides[1], w->pads[1] + w->pads[3], w->ceil);
    return layer->h < 0 || layer->w < 0 ? REFUSE(l, "its kernel is larger than the map") : 0;
}

/* A map that may still have padding around it. */
static value *padded_map(lowering *l)
{
    value *v = rn_lower_input(l, 0);
    int plain = !v || v->kind != LAYER || v->every[0] || v->every[1] || v->layout == TIME_BINS || v->layout == BINS_TIME;
    if (plain)
        return rn_lower_map(l, 0); /* refuses it */
    if (v->layout != CHANNELS_FIRST) {
        REFUSE(l, "its input is no map with the channels first");
        return NULL;
    }
    return v;
}

int rn_lower_conv(lowering *l)
{
    const value *v = padded_map(l);
    const rn_onnx_tensor *weight = v ? rn_lower_reals(l, 1, "weight") : NULL, *bias = NULL;
    int group;
    if (!weight || (rn_lower_input(l, 2) && !(bias = rn_lower_reals(l, 2, "bias"))) || rn_lower_int(l, "group", 1, &group))
        return RN_ERR_UNSUPPORTED;
    if (weight->dims != 4)
        return REFUSE(l, "a weight of %d dimensions, 4 are wanted", weight->dims);
    for (int d = 0; d < 4; d++)
        if (weight->shape[d] < 1 || weight->shape[d] > 1 << 20)
            return REFUSE(l, "a weight of that size");
    window w = {.kernel = {(int)weight->shape[2], (int)weight->shape[3]}};
    if (get_window(l, v, &w))
        return RN_ERR_UNSUPPORTED;
    rn_onnx_layer *in = rn_lower_layer_of(l, v);
    if (in->channels == 0 && in->kind == RN_LAYER_INPUT)
        in->channels = (int)weight->shape[1];
    if (group < 1 || weight->shape[1] * group != in->channels || weight->shape[0] % group)
        return REFUSE(l, "a weight for %lld channels in %d groups, its input has %d", (long long)weight->shape[1] * group, group,
                      in->channels);
    if (bias && bias->count != weight->shape[0])
        return REFUSE(l, "a bias of %lld numbers for %lld channels", (long long)bias->count, (long long)weight->shape[0]);
    rn_onnx_layer *layer = rn_lower_layer(l, RN_LAYER_CONV, v->layer, CHANNELS_FIRST);
    if (!layer)
        return RN_ERR_UNSUPPORTED;
    layer->channels = (int)weight->shape[0];
    layer->weight = weight;
    layer->bias = bias;
    layer->group = group;
    return set_window(l, layer, &w);
}

int rn_lower_pool(lowering *l)
{
    value *v = padded_map(l);
    window w = {.ceil = 0};
    int maximum = strcmp(l->node->op, "MaxPool") == 0, counts;
    if (!v || get_window(l, v, &w) || rn_lower_int(l, "count_include_pad", 0, &counts))
        return RN_ERR_UNSUPPORTED;
    if (l->node->outputs_count > 1)
        return REFUSE(l, "its second output is used");
    int padded = v->pads[0] || v->pads[1] || v->pads[2] || v->pads[3];
    /* zeros around a map without negative numbers never win, so they are as good as the pool's own padding */
    if (padded && !(maximum && rn_lower_layer_of(l, v)->kind == RN_LAYER_RELU))
        return REFUSE(l, "it pools zeros that another node padded");
    if (w.kernel[0] == 1 && w.kernel[1] == 1 && !w.pads[0] && !w.pads[1] && !w.pads[2] && !w.pads[3]) { /* picks pixels */
        rn_lower_alias(l, v);
        value *thin = rn_lower_output(l);
        thin->every[0] = w.strides[0];
        thin->every[1] = w.strides[1];
        return 0;
    }
    rn_onnx_layer *layer = rn_lower_layer(l, maximum ? RN_LAYER_MAXPOOL : RN_LAYER_AVGPOOL, v->layer, CHANNELS_FIRST);
    if (!layer)
        return RN_ERR_UNSUPPORTED;
    layer->counts_pads = counts;
    return set_window(l, layer, &w);
}

static int add_pool(lowering *l, const value *v, int out_h, int out_w, rn_layout layout)
{
    rn_onnx_layer *layer = rn_lower_layer(l, RN_LAYER_POOL, v->layer, layout);
    if (!layer)
        return RN_ERR_UNSUPPORTED;
    layer->out_h = out_h;
    layer->out_w = layer->w = out_w;
    if (out_h)
        layer->h = out_h;
    return 0;
}

int rn_lower_global(lowering *l)
{
    const value *v = rn_lower_map(l, 0);
    if (!v || v->layout != CHANNELS_FIRST)
        return v ? REFUSE(l, "its input is no map with the channels first") : RN_ERR_UNSUPPORTED;
    return add_pool(l, v, 1, 1, CHANNELS_FIRST);
}

/* The mean over all pixels, or over time alone, which a matrix over the rows may follow (rn_lower_matmul). */
int rn_lower_mean(lowering *l)
{
    const value *v = rn_lower_map(l, 0);
    unsigned axes;
    int keep, none, status;
    if (rn_lower_spread_mean(l, &status))
        return status;
    if (!v || rn_lower_axes(l, 1, 4, &axes) || rn_lower_int(l, "keepdims", 1, &keep) || rn_lower_int(l, "noop_with_empty_axes", 0, &none))
        return RN_ERR_UNSUPPORTED;
    unsigned pixels = v->layout == CHANNELS_LAST ? 1u << 1 | 1u << 2 : 1u << 2 | 1u << 3;
    if (v->layout == FLAT || (axes != pixels && (axes != 1u << 3 || v->layout != CHANNELS_FIRST)))
        return REFUSE(l, "a mean over other axes than all pixels, or time");
    return add_pool(l, v, axes == pixels, 1, keep ? v->layout : axes == pixels ? FLAT : ROWS);
}

static int add_linear(lowering *l, const value *v, const rn_onnx_tensor *weight, const rn_onnx_tensor *bias, int transposed)
{
    const rn_onnx_layer *in = rn_lower_layer_of(l, v);
    if (weight->dims != 2 || weight->shape[0] < 1 || weight->shape[1] < 1 || weight->shape[0] > 1 << 28 || weight->shape[1] > 1 << 28)
        return REFUSE(l, "a weight of %d dimensions, 2 are wanted", weight->dims);
    int64_t inputs = weight->shape[!transposed], outputs = weight->shape[transposed];
    int64_t have = (int64_t)in->channels * (in->h ? in->h : 1) * (in->w ? in->w : 1);
    if (v->layout != FLAT || (in->h && in->w && have != inputs))
        return REFUSE(l, "a weight for %lld inputs over %lld", (long long)inputs, (long long)have);
    if (bias && bias->count != outputs)
        return REFUSE(l, "a bias of %lld numbers for %lld outputs", (long long)bias->count, (long long)outputs);
    rn_onnx_layer *layer = rn_lower_layer(l, RN_LAYER_LINEAR, v->layer, FLAT);
    if (!layer)
        return RN_ERR_UNSUPPORTED;
    layer->channels = (int)outputs;
    layer->h = layer->w = 1;
    layer->weight = weight;
    layer->bias = bias;
    layer->transposed = transposed;
    return 0;
}

int rn_lower_gemm(lowering *l)
{
    const rn_onnx_attribute *alpha = rn_onnx_attribute_of(l->node, "alpha"), *beta = rn_onnx_attribute_of(l->node, "beta");
    const rn_onnx_tensor *weight, *bias = NULL;
    int transposed_a, transposed_b;
    const value *v = rn_lower_map(l, 0);
    if (!v || !(weight = rn_lower_reals(l, 1, "weight")) || (rn_lower_input(l, 2) && !(bias = rn_lower_reals(l, 2, "bias"))) ||
        rn_lower_int(l, "transA", 0, &transposed_a) || rn_lower_int(l, "transB", 0, &transposed_b))
        return RN_ERR_UNSUPPORTED;
    if (transposed_a || (alpha && alpha->real != 1) || (beta && bias && beta->real != 1))
        return REFUSE(l, "transA, alpha or beta other than 0, 1 and 1");
    return add_linear(l, v, weight, bias, !transposed_b);
}

/* Does row i of the matrix (turned: column i) average the rows that PyTorch's adaptive pool puts into bin i? */
static int is_pool_matrix(const rn_onnx_tensor *t, int turned)
{
    if (t->dims != 2 || t->count < 1 || t->count > 1 << 14) /* looked at number by number */
        return 0;
    int64_t bins = t->shape[turned], rows = t->shape[!turned];
    for (int64_t i = 0; i < bins; i++) {
        int64_t begin = i * rows / bins, end = ((i + 1) * rows + bins - 1) / bins;
        for (int64_t k = 0; k < rows; k++) {
            double want = k >= begin && k < end ? 1.0 / (double)(end - begin) : 0;
            if (!(fabs(rn_onnx_real(t, turned ? k * bins + i : i * rows + k) - want) <= 1e-6))
                return 0;
        }
    }
    return 1;
}

/* A map's columns into bins, which a matrix over its rows follows. */
static int pool_columns(lowering *l, const value *v, const rn_onnx_tensor *matrix)
{
    const rn_onnx_layer *in = rn_lower_layer_of(l, v);
    if (!is_pool_matrix(matrix, 1) || in->w != matrix->shape[0])
        return REFUSE(l, "a matrix that is no adaptive average pool over the columns of a map");
    return add_pool(l, v, 0, (int)matrix->shape[1], CHANNELS_FIRST);
}

int rn_lower_matmul(lowering *l)
{
    const value *left = rn_lower_input(l, 0), *v;
    const rn_onnx_tensor *weight;
    if (!left || left->kind != CONSTANT) {
        if (!(v = rn_lower_map(l, 0)) || !(weight = rn_lower_reals(l, 1, "weight")))
            return RN_ERR_UNSUPPORTED;
        return v->layout == CHANNELS_FIRST ? pool_columns(l, v, weight) : add_linear(l, v, weight, NULL, 1);
    }
    if (!(v = rn_lower_map(l, 1)) || !(weight = rn_lower_reals(l, 0, "matrix")))
        return RN_ERR_UNSUPPORTED;
    rn_onnx_layer *mean = rn_lower_layer_of(l, v);
    if (mean->kind != RN_LAYER_POOL || mean->out_h || v->uses != 1 || v->layout != CHANNELS_FIRST || !is_pool_matrix(weight, 0) ||
        (mean->h && mean->h != weight->shape[1]))
        return REFUSE(l, "a matrix that is no adaptive average pool over the rows of a map");
    mean->out_h = mean->h = (int)weight->shape[0];
    rn_lower_alias(l, v);
    return 0;
}
