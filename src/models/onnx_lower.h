/* Shared by the files that bring an ONNX graph down to layers: the values on their way, and small helpers. */
#ifndef RN_MODELS_ONNX_LOWER_H
#define RN_MODELS_ONNX_LOWER_H

#include "models/onnx_net.h"

/* How a value's numbers lie, if a layer gives it. Input alone: time and bins of a spectrogram without channels. */
typedef enum rn_layout { CHANNELS_FIRST, CHANNELS_LAST, ROWS, FLAT, TIME_BINS, BINS_TIME } rn_layout; /* ROWS: without the columns' axis */

typedef enum value_kind { NOTHING, LAYER, CONSTANT, COUNT } value_kind; /* COUNT: arithmetic on shapes, whose numbers are never needed */

/* Of a count: nothing that matters, all sizes of a layer's map, its width (less something). */
typedef enum rn_shape_part { NO_SHAPE, ALL_SIZES, WIDTH } rn_shape_part;

typedef struct value {
    const char *name;
    value_kind kind;
    int layer;
    const rn_onnx_tensor *constant;
    rn_layout layout;
    int pads[4];  /* zeros around it, which the next layer takes as its own */
    int every[2]; /* every so many rows and columns alone; 0: all */
    rn_shape_part of;
    int less;
    int uses; /* nodes and outputs that read this name */
} value;

typedef struct lowering {
    rn_onnx_net *net;
    rn_onnx *file;
    const rn_onnx_node *node;
    int index; /* of node */
    value *values;
    int values_count;
    int *table; /* open addressing over the values' names; -1: free */
    unsigned mask;
    rn_error *err;
} lowering;

#define REFUSE(l, ...) rn_onnx_refuse((l)->net, (l)->index, (l)->err, __VA_ARGS__)

/* The i-th input of the node, NULL where it has none or leaves it out. */
value *rn_lower_input(const lowering *l, int i);
/* What the node's first output is: a copy of `from` under its own name, or a new layer. */
void rn_lower_alias(lowering *l, const value *from);
value *rn_lower_output(const lowering *l); /* the first output, once it is given */
int rn_lower_constant(lowering *l, const rn_onnx_tensor *t);
void rn_lower_count(lowering *l);
/* A new layer of a kind that reads layer a (-1: none), with its shape; hangs on the node. NULL without memory, with the error set. */
rn_onnx_layer *rn_lower_layer(lowering *l, rn_layer_kind kind, int a, rn_layout layout);
rn_onnx_layer *rn_lower_layer_of(const lowering *l, const value *v);
/* The i-th input as a map or a list of features as they are: not padded, not thinned out. NULL, with the error set, for anything else. */
value *rn_lower_map(lowering *l, int i);
/* The i-th input as a constant of real numbers; NULL with the error set. `what` is its name in messages. */
const rn_onnx_tensor *rn_lower_reals(lowering *l, int i, const char *what);
/* An attribute's numbers, `count` of them, or the default for each. */
int rn_lower_ints(lowering *l, const char *name, int count, int otherwise, int *out);
int rn_lower_int(lowering *l, const char *name, int otherwise, int *out);
/* Axes from an attribute or the i-th input, negative ones counted from `dims`: one bit for each. */
int rn_lower_axes(lowering *l, int i, int dims, unsigned *axes);

/* Arithmetic on constant whole numbers: 1 and the status, if the node is that. */
int rn_lower_numbers(lowering *l, int *status);

/* Statistics pooling: 1 and the status, if the node is a step of it. */
int rn_lower_centre(lowering *l, int *status);
int rn_lower_spread_product(lowering *l, int *status);
int rn_lower_spread_mean(lowering *l, int *status);
int rn_lower_spread_eps(lowering *l, int *status);
void rn_lower_follow_width(lowering *l);

/* The operations, by file. */
int rn_lower_conv(lowering *l);
int rn_lower_pool(lowering *l);
int rn_lower_global(lowering *l);
int rn_lower_mean(lowering *l);
int rn_lower_gemm(lowering *l);
int rn_lower_sum(lowering *l);
int rn_lower_divide(lowering *l);
int rn_lower_root(lowering *l);
int rn_lower_concat(lowering *l);
int rn_lower_matmul(lowering *l);
int rn_lower_pad(lowering *l);
int rn_lower_slice(lowering *l);
int rn_lower_transpose(lowering *l);
int rn_lower_reshape(lowering *l);
int rn_lower_squeeze(lowering *l);
int rn_lower_unsqueeze(lowering *l);

#endif
