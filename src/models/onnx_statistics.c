/* Statistics pooling as ONNX has to spell it: the mean over time and the deviation, whose unbiased variance wants the number of frames from the shape.
 *
 *     mean     = ReduceMean(x)                         over the last axis
 *     variance = ReduceSum((x - mean)^2) / (T - 1)     or ReduceMean(...) * T / (T - 1), as PyTorch's exporter writes torch.var
 *     pool     = Concat(Flatten(mean), Flatten(Sqrt(variance + eps)))
 *
 * T comes from Shape and Gather, or is a constant where the width is fixed. Each step is a layer of kind RN_LAYER_SPREAD that knows how far it is.
 */
#include <string.h>

#include "models/onnx_lower.h"

enum { LAST_AXIS = 3 };

/* One number: 1 and *out. */
static int get_number(const value *v, double *out)
{
    if (!v || v->kind != CONSTANT || v->constant->count != 1 || !v->constant->data)
        return 0;
    *out = rn_onnx_real(v->constant, 0);
    return 1;
}

/* What a node of arithmetic on shapes gives, as far as it is the width of a map, perhaps less something. */
/* A map as its layer has it: not padded, not thinned out. */
static int is_plain(const value *v)
{
    return v->layout == CHANNELS_FIRST && !v->pads[0] && !v->pads[1] && !v->pads[2] && !v->pads[3] && !v->every[0] && !v->every[1];
}

void rn_lower_follow_width(lowering *l)
{
    static const char *const same[] = {"Cast", "ReduceProd", "Squeeze", "Unsqueeze", "Identity"};
    value *out = rn_lower_output(l);
    const value *in = rn_lower_input(l, 0), *second = rn_lower_input(l, 1);
    const char *op = l->node->op;
    double number;
    out->of = NO_SHAPE;
    if (!in)
        return;
    if (strcmp(op, "Shape") == 0 && in->kind == LAYER && is_plain(in) && !l->node->attributes_count) {
        out->of = ALL_SIZES;
        out->layer = in->layer;
    } else if (strcmp(op, "Gather") == 0 && in->of == ALL_SIZES && get_number(second, &number) && (number == LAST_AXIS || number == -1)) {
        out->of = WIDTH;
        out->layer = in->layer;
    } else if (strcmp(op, "Sub") == 0 && in->of == WIDTH && get_number(second, &number) && number >= 0 && number < 1000) {
        out->of = WIDTH;
        out->layer = in->layer;
        out->less = in->less + (int)number;
    }
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (strcmp(op, same[i]) == 0 && in->of == WIDTH) {
            out->of = WIDTH;
            out->layer = in->layer;
            out->less = in->less;
        }
}

/* Is it the number of frames that the layer spreads over, less so many? */
static int is_frames(const lowering *l, const rn_onnx_layer *spread, const value *v, int less)
{
    const rn_onnx_layer *x = &l->net->layers[spread->a];
    double number;
    if (get_number(v, &number))
        return x->w && number == x->w - less;
    return v && v->kind == COUNT && v->of == WIDTH && v->layer == spread->a && v->less == less;
}

static int next_step(lowering *l, const value *v, rn_spread step, rn_layout layout)
{
    const rn_onnx_layer *from = rn_lower_layer_of(l, v);
    int x = from->a, h = from->h, w = from->w;
    double eps = from->eps;
    rn_onnx_layer *layer = rn_lower_layer(l, RN_LAYER_SPREAD, x, layout);
    if (!layer)
        return RN_ERR_UNSUPPORTED;
    layer->h = h;
    layer->w = step == RN_SPREAD_MEAN || step == RN_SPREAD_SUM ? 1 : w;
    layer->spread = step;
    layer->eps = eps;
    return 0;
}

static const value *spread_at(const lowering *l, int i, rn_spread step)
{
    const value *v = rn_lower_input(l, i);
    return v && v->kind == LAYER && rn_lower_layer_of(l, v)->kind == RN_LAYER_SPREAD && rn_lower_layer_of(l, v)->spread == step ? v : NULL;
}

/* x - mean of x over time; 0: it is something else. */
int rn_lower_centre(lowering *l, int *status)
{
    const value *x = rn_lower_input(l, 0), *mean = rn_lower_input(l, 1);
    if (!x || !mean || x->kind != LAYER || mean->kind != LAYER || !is_plain(x) || !is_plain(mean))
        return 0;
    const rn_onnx_layer *pool = rn_lower_layer_of(l, mean);
    if (pool->kind != RN_LAYER_POOL || pool->out_h || pool->out_w != 1 || pool->a != x->layer)
        return 0;
    rn_onnx_layer *layer = rn_lower_layer(l, RN_LAYER_SPREAD, x->layer, CHANNELS_FIRST);
    *status = layer ? 0 : RN_ERR_UNSUPPORTED;
    if (layer)
        layer->spread = RN_SPREAD_CENTRED;
    return 1;
}

/* The square, and the mean of squares times the number of frames. */
int rn_lower_spread_product(lowering *l, int *status)
{
    const value *a = spread_at(l, 0, RN_SPREAD_CENTRED), *b = spread_at(l, 1, RN_SPREAD_CENTRED);
    if (a && b && a->layer == b->layer) {
        *status = next_step(l, a, RN_SPREAD_SQUARED, CHANNELS_FIRST);
        return 1;
    }
    for (int i = 0; i < 2; i++)
        if ((a = spread_at(l, i, RN_SPREAD_MEAN)) && is_frames(l, rn_lower_layer_of(l, a), rn_lower_input(l, 1 - i), 0)) {
            *status = next_step(l, a, RN_SPREAD_SUM, a->layout);
            return 1;
        }
    return 0;
}

/* The mean or sum of squares over time. */
int rn_lower_spread_mean(lowering *l, int *status)
{
    const value *v = spread_at(l, 0, RN_SPREAD_SQUARED);
    unsigned axes;
    int keep;
    if (!v)
        return 0;
    *status = rn_lower_axes(l, 1, 4, &axes) || rn_lower_int(l, "keepdims", 1, &keep) ? RN_ERR_UNSUPPORTED : 0;
    if (!*status && axes != 1u << LAST_AXIS)
        *status = REFUSE(l, "squares over other axes than time");
    if (!*status)
        *status = next_step(l, v, strcmp(l->node->op, "ReduceSum") == 0 ? RN_SPREAD_SUM : RN_SPREAD_MEAN, keep ? CHANNELS_FIRST : ROWS);
    return 1;
}

int rn_lower_sum(lowering *l)
{
    int status;
    return rn_lower_spread_mean(l, &status) ? status : REFUSE(l, "a sum that is none of squares over time");
}

int rn_lower_divide(lowering *l)
{
    const value *v = spread_at(l, 0, RN_SPREAD_SUM);
    if (!v || !is_frames(l, rn_lower_layer_of(l, v), rn_lower_input(l, 1), 1))
        return REFUSE(l, "a quotient that is no unbiased variance: a sum of squares over the frames less one");
    return next_step(l, v, RN_SPREAD_VARIANCE, v->layout);
}

/* Variance + eps; 0: it is another sum. */
int rn_lower_spread_eps(lowering *l, int *status)
{
    double eps;
    for (int i = 0; i < 2; i++) {
        const value *v = spread_at(l, i, RN_SPREAD_VARIANCE);
        if (v && get_number(rn_lower_input(l, 1 - i), &eps)) {
            *status = next_step(l, v, RN_SPREAD_SAFE, v->layout);
            if (!*status)
                rn_lower_layer_of(l, rn_lower_output(l))->eps = eps;
            return 1;
        }
    }
    return 0;
}

int rn_lower_root(lowering *l)
{
    const value *v = spread_at(l, 0, RN_SPREAD_SAFE);
    return v ? next_step(l, v, RN_SPREAD_DEVIATION, v->layout) : REFUSE(l, "a root that is none of a variance with eps");
}

int rn_lower_concat(lowering *l)
{
    const value *mean = rn_lower_input(l, 0), *deviation = spread_at(l, 1, RN_SPREAD_DEVIATION);
    int axis;
    if (rn_lower_int(l, "axis", 1, &axis))
        return RN_ERR_UNSUPPORTED;
    const rn_onnx_layer *pool = mean && mean->kind == LAYER ? rn_lower_layer_of(l, mean) : NULL;
    if (l->node->inputs_count != 2 || !deviation || !pool || pool->kind != RN_LAYER_POOL || pool->out_h || pool->out_w != 1 ||
        pool->a != rn_lower_layer_of(l, deviation)->a || mean->layout != FLAT || deviation->layout != FLAT || (axis != 1 && axis != -1))
        return REFUSE(l, "what it joins are not the means and deviations over time of one map");
    double eps = rn_lower_layer_of(l, deviation)->eps;
    rn_onnx_layer *layer = rn_lower_layer(l, RN_LAYER_TSTP, pool->a, FLAT);
    if (!layer)
        return RN_ERR_UNSUPPORTED;
    layer->channels *= 2;
    layer->w = 1;
    layer->eps = eps;
    return 0;
}
