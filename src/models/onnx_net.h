/* An ONNX graph brought down to layers: constants and copies resolved, layouts undone, additions of a bias and padding taken into the layer that they
 * belong to. What is left says what a network computes, in the terms of graph/graph.h, whoever wrote the file. */
#ifndef RN_MODELS_ONNX_NET_H
#define RN_MODELS_ONNX_NET_H

#include "formats/onnx.h"

typedef enum rn_layer_kind {
    RN_LAYER_INPUT,
    RN_LAYER_CONV,
    RN_LAYER_BN,
    RN_LAYER_RELU,
    RN_LAYER_ADD,
    RN_LAYER_PADSHORT, /* every stride-th pixel, zero channels in front and behind */
    RN_LAYER_MAXPOOL,
    RN_LAYER_AVGPOOL, /* with a window */
    RN_LAYER_POOL,    /* adaptive average: out_h x out_w; out_h 0: all rows as they are */
    RN_LAYER_TSTP,    /* statistics over time: means, then deviations, of every channel and row */
    RN_LAYER_SPREAD,  /* on the way to one of those: over the map a */
    RN_LAYER_LINEAR,
    RN_LAYER_SIGMOID,
    RN_LAYER_SCALE /* squeeze and excitation: each channel of a times that of b, one pixel */
} rn_layer_kind;

/* Steps from a map to its deviations over time. */
typedef enum rn_spread {
    RN_SPREAD_CENTRED,
    RN_SPREAD_SQUARED,
    RN_SPREAD_MEAN,
    RN_SPREAD_SUM, /* of squares */
    RN_SPREAD_VARIANCE,
    RN_SPREAD_SAFE, /* with eps */
    RN_SPREAD_DEVIATION
} rn_spread;

typedef struct rn_onnx_layer {
    rn_layer_kind kind;
    int node;                                        /* of the file; -1: the input */
    int a, b;                                        /* layers that it reads; -1: none. Of an addition, in the file's order */
    int channels, h, w;                              /* of its output; h and w 0 where the file leaves them open */
    int kernel_h, kernel_w, stride, stride_w, group; /* stride_w is another in average pools alone */
    int pads[4];                                     /* top, left, bottom, right */
    int ceil, counts_pads;                           /* of pools */
    int front;                                       /* zero-padding shortcut: channels of zeros in front */
    rn_spread spread;
    int out_h, out_w;
    const rn_onnx_tensor *weight, *bias, *mean, *var; /* bias NULL: none */
    int transposed;                                   /* linear: the weight is [in][out] */
    double eps;
} rn_onnx_layer;

typedef struct rn_onnx_net {
    const char *path; /* for messages */
    rn_onnx *file;
    int layers_count, outputs_count;
    rn_onnx_layer *layers; /* each reads earlier ones; the first is the input. Hangs on the file */
    int outputs[4];        /* layers, in the order of the file's outputs */
    int channels_last;     /* the file's input is N H W C */
    int softmax;           /* a softmax stood behind the last layer, and was left out */
} rn_onnx_net;

/* RN_ERR_UNSUPPORTED for what no residual network has, naming the node and what about it. */
int rn_onnx_lower(rn_onnx_net *net, rn_onnx *file, const char *path, rn_error *err);

/* "x.onnx: node 17 (Conv, "conv_3"): " and the rest; returns RN_ERR_UNSUPPORTED. */
int rn_onnx_refuse(const rn_onnx_net *net, int node, rn_error *err, const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
