/* ONNX's nodes that compute nothing: transpositions, reshapes, padding, slices. They are undone here, or become part of the layer that reads them. */
#include <stdlib.h>
#include <string.h>

#include "models/onnx_lower.h"

#define OPEN_END (INT64_C(1) << 31) - 1 /* what exporters write for "to the end", or more */

/* The i-th input as a constant of at most 8 whole numbers; returns how many, or -1. */
static int get_constant(const lowering *l, int i, int64_t out[8])
{
    const value *v = rn_lower_input(l, i);
    if (!v || v->kind != CONSTANT || !v->constant->data || (v->constant->type != RN_ONNX_INT64 && v->constant->type != RN_ONNX_INT32) ||
        v->constant->count > 8)
        return -1;
    for (int k = 0; k < (int)v->constant->count; k++)
        out[k] = rn_onnx_integer(v->constant, k);
    return (int)v->constant->count;
}

/* The same from an attribute, where older versions have it, or else the input. */
static int get_either(const lowering *l, const char *name, int i, int64_t out[8])
{
    const rn_onnx_attribute *a = rn_onnx_attribute_of(l->node, name);
    if (!a)
        return get_constant(l, i, out);
    if (a->kind != RN_ONNX_A_INTS || a->count > 8)
        return -1;
    for (int k = 0; k < a->count; k++)
        out[k] = a->integers[k];
    return a->count;
}

static value *layer_input(lowering *l)
{
    value *v = rn_lower_input(l, 0);
    if (v && v->kind == LAYER)
        return v;
    REFUSE(l, "its input comes from no layer");
    return NULL;
}

static value *alias(lowering *l, const value *from)
{
    rn_lower_alias(l, from);
    return rn_lower_output(l);
}

/* ---- Padding and slices ---- */

static int pad_channels(lowering *l, const value *v, int64_t front, int64_t behind)
{
    const rn_onnx_layer *in = rn_lower_layer_of(l, v);
    int stride = v->every[0] ? v->every[0] : 1;
    if (in->channels + front + behind > 1 << 20 || v->every[0] != v->every[1])
        return REFUSE(l, "it adds channels to a map that is not thinned out evenly");
    int a = v->layer, channels = in->channels;
    rn_onnx_layer *layer = rn_lower_layer(l, RN_LAYER_PADSHORT, a, CHANNELS_FIRST);
    if (!layer)
        return RN_ERR_UNSUPPORTED;
    layer->channels = channels + (int)(front + behind);
    layer->front = (int)front;
    layer->stride = stride;
    layer->h = (layer->h + stride - 1) / stride;
    layer->w = (layer->w + stride - 1) / stride;
    return 0;
}

int rn_lower_pad(lowering *l)
{
    value *v = layer_input(l);
    const rn_onnx_attribute *mode = rn_onnx_attribute_of(l->node, "mode"), *old = rn_onnx_attribute_of(l->node, "value");
    const value *with = rn_lower_input(l, 2);
    int64_t pads[8];
    if (!v)
        return RN_ERR_UNSUPPORTED;
    if (mode && strcmp(mode->text, "constant") != 0)
        return REFUSE(l, "mode %s", rn_show(mode->text).text);
    if ((old && old->real != 0) ||
        (with && (with->kind != CONSTANT || with->constant->count != 1 || !with->constant->data || rn_onnx_real(with->constant, 0) != 0)))
        return REFUSE(l, "it pads with something else than zeros");
    if (rn_lower_input(l, 3) || get_either(l, "pads", 1, pads) != 8 || (v->layout != CHANNELS_FIRST && v->layout != CHANNELS_LAST))
        return REFUSE(l, "its pads are no 8 constants for the 4 axes of a map");
    int h = v->layout == CHANNELS_FIRST ? 2 : 1, c = v->layout == CHANNELS_FIRST ? 1 : 3;
    for (int i = 0; i < 8; i++)
        if (pads[i] < 0 || pads[i] > 1 << 20)
            return REFUSE(l, "a padding of %lld", (long long)pads[i]);
    int spatial = pads[h] || pads[h + 1] || pads[h + 4] || pads[h + 5];
    if (pads[0] || pads[4] || (spatial && (pads[c] || pads[c + 4] || v->every[0] || v->every[1])))
        return REFUSE(l, "it pads samples, or pixels and channels at once");
    if (pads[c] || pads[c + 4])
        return c == 1 && !v->pads[0] && !v->pads[1] && !v->pads[2] && !v->pads[3]
                   ? pad_channels(l, v, pads[c], pads[c + 4])
                   : REFUSE(l, "it adds channels to a padded map, or one whose channels stand last");
    v = alias(l, v);
    for (int i = 0; i < 4; i++)
        if ((v->pads[i] += (int)pads[h + i % 2 + i / 2 * 4]) > 1 << 20)
            return REFUSE(l, "paddings of more than a million pixels");
    return 0;
}

int rn_lower_slice(lowering *l)
{
    value *v = layer_input(l);
    int64_t starts[8], ends[8], axes[8] = {0, 1, 2, 3, 4, 5, 6, 7}, steps[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    if (!v)
        return RN_ERR_UNSUPPORTED;
    int count = get_either(l, "starts", 1, starts), has_axes = rn_onnx_attribute_of(l->node, "axes") || rn_lower_input(l, 3);
    if (count < 1 || get_either(l, "ends", 2, ends) != count || (has_axes && get_either(l, "axes", 3, axes) != count) ||
        (rn_lower_input(l, 4) && get_constant(l, 4, steps) != count))
        return REFUSE(l, "its starts, ends, axes or steps are no constants");
    const rn_onnx_layer *in = rn_lower_layer_of(l, v);
    int size[2] = {in->h, in->w};
    v = alias(l, v);
    for (int i = 0; i < count; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + 4 : axes[i];
        int pixels = v->layout == CHANNELS_FIRST && axis >= 2 && axis <= 3;
        if (starts[i] != 0 || (ends[i] < OPEN_END && !(pixels && size[axis - 2] && ends[i] >= size[axis - 2])) || steps[i] < 1 ||
            steps[i] > 64 || (steps[i] > 1 && (!pixels || v->every[axis - 2])))
            return REFUSE(l, "it takes a part of a map that is no thinning out from its first pixel to its last");
        if (steps[i] > 1)
            v->every[axis - 2] = (int)steps[i];
    }
    return 0;
}

/* ---- Layouts ---- */

/* Is every channel one number? Then the order of the axes is nothing. */
static int is_one_pixel(const lowering *l, const value *v)
{
    const rn_onnx_layer *layer = rn_lower_layer_of(l, v);
    return layer->h == 1 && layer->w == 1;
}

/* N H W C at the input: what was read as channels, rows and columns were rows, columns and channels. */
static void turn_input(lowering *l, rn_onnx_layer *in)
{
    int h = in->channels, w = in->h, channels = in->w;
    in->channels = channels;
    in->h = h;
    in->w = w;
    l->net->channels_last = 1;
}

int rn_lower_transpose(lowering *l)
{
    static const struct {
        rn_layout from, to;
        int dims, perm[4];
    } turns[] = {
        {CHANNELS_FIRST, CHANNELS_LAST, 4, {0, 2, 3, 1}},
        {CHANNELS_LAST, CHANNELS_FIRST, 4, {0, 3, 1, 2}},
        {TIME_BINS, BINS_TIME, 3, {0, 2, 1}},
    };
    value *v = layer_input(l);
    const rn_onnx_attribute *a = rn_onnx_attribute_of(l->node, "perm");
    if (!v)
        return RN_ERR_UNSUPPORTED;
    rn_onnx_layer *layer = rn_lower_layer_of(l, v);
    int last_first = a && a->count == 4 && a->integers[0] == 0 && a->integers[1] == 3 && a->integers[2] == 1 && a->integers[3] == 2;
    if (layer->kind == RN_LAYER_INPUT && v->layout == CHANNELS_FIRST && last_first && v->uses == 1) {
        turn_input(l, layer);
        rn_lower_alias(l, v);
        return 0;
    }
    for (size_t i = 0; a && i < sizeof turns / sizeof *turns; i++) {
        int same = turns[i].from == v->layout && a->count == turns[i].dims;
        for (int d = 0; same && d < turns[i].dims; d++)
            same = a->integers[d] == turns[i].perm[d];
        if (same) {
            alias(l, v)->layout = turns[i].to;
            return 0;
        }
    }
    return REFUSE(l, "a transposition between other layouts than N C H W and N H W C");
}

/* Flattening, and reshapes that come to the same: an order of numbers never changes in them, and the layer behind checks how many there are. */
int rn_lower_reshape(lowering *l)
{
    value *v = layer_input(l);
    int64_t shape[8] = {0, -1};
    int flatten = strcmp(l->node->op, "Flatten") == 0, axis = 1, dims = 2;
    if (!v || (flatten && rn_lower_int(l, "axis", 1, &axis)))
        return RN_ERR_UNSUPPORTED;
    const value *given = flatten ? NULL : rn_lower_input(l, 1);
    if (!flatten && (!given || given->kind != COUNT) && (dims = get_constant(l, 1, shape)) < 0)
        return REFUSE(l, "its shape is no constant");
    if (!rn_lower_map(l, 0))
        return RN_ERR_UNSUPPORTED;
    int one = v->layout == FLAT || is_one_pixel(l, v), channels = rn_lower_layer_of(l, v)->channels;
    if (dims == 4 && one && (shape[1] == channels || shape[3] == channels) && (shape[1] == 1 || shape[3] == 1) && (shape[2] == 1) &&
        rn_lower_layer_of(l, v)->h == 1) {
        alias(l, v)->layout = shape[1] == channels ? CHANNELS_FIRST : CHANNELS_LAST;
        return 0;
    }
    if (dims != 2 || axis != 1 || (v->layout == CHANNELS_LAST && !one))
        return REFUSE(l, "it is no flattening of a sample's numbers in the order channel, row, column");
    alias(l, v)->layout = FLAT;
    return 0;
}

int rn_lower_squeeze(lowering *l)
{
    value *v = rn_lower_map(l, 0);
    unsigned axes = 0, pixels;
    int all = !rn_onnx_attribute_of(l->node, "axes") && !rn_lower_input(l, 1);
    if (!v || (!all && rn_lower_axes(l, 1, 4, &axes)))
        return RN_ERR_UNSUPPORTED;
    pixels = v->layout == CHANNELS_LAST ? 1u << 1 | 1u << 2 : 1u << 2 | 1u << 3;
    if (v->layout == FLAT || all || axes != pixels || !is_one_pixel(l, v))
        return REFUSE(l, "it takes other axes away than those of one pixel");
    alias(l, v)->layout = FLAT;
    return 0;
}

/* The channel that a spectrogram of two axes has none of. */
int rn_lower_unsqueeze(lowering *l)
{
    value *v = layer_input(l);
    unsigned axes;
    if (!v || rn_lower_axes(l, 1, 4, &axes))
        return RN_ERR_UNSUPPORTED;
    if ((v->layout != TIME_BINS && v->layout != BINS_TIME) || axes != 1u << 1)
        return REFUSE(l, "it adds other axes than the channel of a spectrogram");
    rn_onnx_layer *in = rn_lower_layer_of(l, v);
    if (v->layout == BINS_TIME) {
        int h = in->w;
        in->w = in->h;
        in->h = h;
    }
    alias(l, v)->layout = CHANNELS_FIRST;
    return 0;
}
