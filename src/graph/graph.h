/* A network as data: values (tensors of one sample) and the operations between them.
 *
 * Shapes are those of one sample; H and W of every value follow from the input's when a plan is made. Parameters have
 * PyTorch's names, shapes and order (conv [K][C / groups][R][S], linear [out][in]) and lie in two flat arrays of the caller:
 * `weights` (trained: conv and linear weights, biases, BN weight and bias) and `stats` (BN running_mean, running_var). */
#ifndef RN_GRAPH_GRAPH_H
#define RN_GRAPH_GRAPH_H

#include <stdint.h>
#include "base/error.h"

typedef enum rn_op {
    RN_OP_INPUT,    /* the batch tensor, a plain NCHW image */
    RN_OP_CONV,     /* a: input; cross-correlation in groups, no bias */
    RN_OP_BN,       /* a: input; without weight and bias where they are -1 */
    RN_OP_RELU,     /* a */
    RN_OP_ADD,      /* a: the block's function, b: the shortcut */
    RN_OP_PADSHORT, /* a; option A: every stride-th pixel, `before` zero channels before the input's, the rest after them */
    RN_OP_MAXPOOL,  /* a; kernel, stride, pad, pad_end */
    RN_OP_MEANPOOL, /* a; average pool 2x2 of stride 2; what lies behind the edge does not count (ceil_mode, count_include_pad False) */
    RN_OP_SQUEEZE,  /* a; average over all pixels, of what RN_OP_SCALE scales */
    RN_OP_SIGMOID,  /* a, one pixel */
    RN_OP_SCALE,    /* a, each channel times that of b, one pixel (Hu et al. 2018) */
    RN_OP_TSTP,     /* a; of each channel and row over the columns: the means, then the deviations sqrt(unbiased variance + eps) as as many channels more */
    RN_OP_AVGPOOL,  /* a; adaptive average pool to out_h x out_w, PyTorch's bins */
    RN_OP_LINEAR    /* a: flattened in PyTorch's order (c, h, w); with bias */
} rn_op;

typedef enum rn_param_kind {
    RN_PARAM_CONV, RN_PARAM_LINEAR, RN_PARAM_BIAS, RN_PARAM_BN_WEIGHT, RN_PARAM_BN_BIAS, /* in weights */
    RN_PARAM_BN_MEAN, RN_PARAM_BN_VAR                                                   /* in stats */
} rn_param_kind;

typedef struct rn_param {
    char name[96];        /* "layer2.0.conv1.weight" */
    rn_param_kind kind;
    int dims, shape[4];
    int64_t offset, count; /* in floats, within weights or stats */
    int node;             /* the operation that uses it */
} rn_param;

typedef struct rn_node {
    rn_op op;
    char name[96];        /* "layer2.0.conv1"; the name of the parameters, or of the operation where it has none ("pool") */
    int a, b;             /* nodes that it reads; -1 where there is none */
    int channels;         /* of its output */
    int kernel_h, kernel_w, stride, pad; /* conv, max pool */
    int groups;           /* conv */
    int pad_end;          /* max pool: below and right, where pad is above and left */
    int before;           /* option A: zero channels before those of the input */
    int out_h, out_w;     /* adaptive pool; 1x1 of RN_OP_SQUEEZE */
    int in_h, in_w;       /* linear: the size of its input, fixed by the pool before it */
    int weight, bias, mean, var; /* indices into params; -1 where there is none */
    double eps;           /* BN, TSTP */
} rn_node;

typedef struct rn_graph {
    int in_channels;
    int nodes_count, params_count;
    rn_node *nodes;       /* in order of execution: a node reads only earlier ones */
    rn_param *params;     /* in byte order of their names */
    int64_t weights_count, stats_count; /* floats */
    int embedding, logits; /* nodes; -1 where the network has none. The embedding may be the pooled features that the classifier reads */
} rn_graph;

/* Building: append nodes (each returns its index, or -1 after a failed allocation), then finish. */
int rn_graph_open(rn_graph **graph, int in_channels, rn_error *err); /* node 0 is the input */
int rn_graph_conv(rn_graph *g, const char *name, int a, int channels, int kernel, int stride, int pad);
int rn_graph_grouped(rn_graph *g, const char *name, int a, int channels, int kernel, int stride, int pad, int groups);
int rn_graph_bn(rn_graph *g, const char *name, int a, double eps);
int rn_graph_plain_bn(rn_graph *g, const char *name, int a, double eps); /* without weight and bias */
int rn_graph_relu(rn_graph *g, int a);
int rn_graph_add(rn_graph *g, const char *name, int a, int b);
int rn_graph_padshort(rn_graph *g, const char *name, int a, int channels, int before, int stride);
int rn_graph_maxpool(rn_graph *g, const char *name, int a, int kernel, int stride, int pad, int pad_end);
int rn_graph_meanpool(rn_graph *g, const char *name, int a);
int rn_graph_avgpool(rn_graph *g, const char *name, int a, int out_h, int out_w);
int rn_graph_squeeze(rn_graph *g, const char *name, int a);
int rn_graph_sigmoid(rn_graph *g, const char *name, int a);
int rn_graph_scale(rn_graph *g, const char *name, int a, int b);
int rn_graph_tstp(rn_graph *g, const char *name, int a, double eps);
/* A linear layer of one pixel whose weights have the shape of a 1x1 convolution's. */
int rn_graph_pointwise(rn_graph *g, const char *name, int a, int outputs);
int rn_graph_linear(rn_graph *g, const char *name, int a, int in_h, int in_w, int outputs);
/* Lays out the parameters in byte order of their names, offsets contiguous in that order, and checks the graph. */
int rn_graph_finish(rn_graph *g, int embedding, int logits, rn_error *err);
void rn_graph_close(rn_graph **graph);

/* Output height and width of every node for an input of h x w, into sizes[nodes_count][2].
 * RN_ERR_SHAPE, naming the node, where nothing is left. */
int rn_graph_sizes(const rn_graph *g, int h, int w, int (*sizes)[2], rn_error *err);

/* Numbers of the embedding; 0 where the network has none. */
static inline int rn_graph_embedding(const rn_graph *g)
{
    return g->embedding < 0 ? 0 : g->nodes[g->embedding].channels;
}

/* Index of the parameter of that name, or -1. */
int rn_graph_param(const rn_graph *g, const char *name);

/* Multiply-adds of convolutions and linear layers for one sample of h x w, and of one node. */
int64_t rn_graph_macs(const rn_graph *g, const int (*sizes)[2], int node);

#endif
