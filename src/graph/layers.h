/* What the planners of inference and training have in common: a graph's layers as convolutions, and the pooling loops. */
#ifndef RN_GRAPH_LAYERS_H
#define RN_GRAPH_LAYERS_H

#include "graph/conv.h"
#include "graph/graph.h"

/* The geometry of a convolution or linear node. */
rn_conv rn_layer_conv(const rn_graph *g, int node);

/* The only node that reads `node` with that operation, or -1. */
int rn_layer_reader(const rn_graph *g, int node, rn_op op);
int rn_layer_readers(const rn_graph *g, int node); /* how many read it */
/* 1 if a BN is all that reads a convolution: inference folds it, training takes its sums as the convolution's rows are made. Others are
 * steps of their own (pre-activation, embeddings). */
int rn_layer_folds(const rn_graph *g, int bn);
/* The ReLU that is all that reads an addition, or -1: a block's end. */
int rn_layer_end(const rn_graph *g, int add);

/* Checks what the engine takes for granted beyond rn_graph_finish: convolutions are read by BN,
 * additions or pools, additions join what their step can end in, taps are within the kernels' limits. The message names the node. */
int rn_layer_check(const rn_graph *g, rn_error *err);

/* Plain [n][C][h][w] of the caller into a map of the plain kind, halo written as zeros. */
void rn_layer_input(const rn_machine *m, int n, const float *x, const rn_map *image);

/* Max pooling of x (through a view) into y, whose halo is written. Scratch: rn_layer_pool_scratch floats a thread. */
int64_t rn_layer_pool_scratch(const rn_map *x);
void rn_layer_maxpool(const rn_machine *m, const rn_node *node, int n, const rn_view *x, const rn_map *y);
/* dx of the same shape as x, overwritten, then given row by row to the row function. */
void rn_layer_maxpool_back(const rn_machine *m, const rn_node *node, int n, const rn_view *x, const rn_map *dy, const rn_map *dx, rn_row_fn row, const void *context);

/* Adaptive average pooling with PyTorch's bins: one fp32 chain over the bin, row by row, then one division. */
void rn_layer_avgpool(const rn_machine *m, int n, const rn_view *x, const rn_map *y);
/* dx[h][w] = sum over the bins that hold it, in (row, column) order, of dy / count; then the row function. */
void rn_layer_avgpool_back(const rn_machine *m, int n, const rn_map *dy, const rn_map *dx, rn_row_fn row, const void *context);

/* Average pooling 2x2 of stride 2: one fp32 chain over those of the four pixels that are inside, row by row, then one division by their number.
 * Back: dx = dy / that number. Halo of y is written. */
void rn_layer_meanpool(const rn_machine *m, int n, const rn_view *x, const rn_map *y);
void rn_layer_meanpool_back(const rn_machine *m, int n, const rn_map *dy, const rn_map *dx, rn_row_fn row, const void *context);

/* The zero-padding shortcut as a map of its own: values are moved, none is computed. Scratch as for pools. */
void rn_layer_pad(const rn_machine *m, const rn_node *node, int n, const rn_view *x, const rn_map *y);
void rn_layer_pad_back(const rn_machine *m, const rn_node *node, int n, const rn_map *dy, const rn_map *dx, rn_row_fn row, const void *context);
/* 1 where that shortcut is no step: the merge reads every stride-th pixel of the blocks that are there. */
int rn_layer_pad_merges(const rn_graph *g, int node);

/* y = fma(x, scale, shift), and ReLU where the view says so: batch normalisation that no convolution has taken in. */
void rn_layer_affine(const rn_machine *m, int n, const rn_view *x, const rn_map *y);

/* Maps of one pixel: y = sigmoid(x) in double, rounded once, and dx = dy (y (1 - y)) likewise; y = ReLU(x) and dx = y > 0 ? dy : +0. */
void rn_layer_sigmoid(int n, const rn_map *x, const rn_map *y);
void rn_layer_sigmoid_back(int n, const rn_map *y, const rn_map *dy, const rn_map *dx);
void rn_layer_relu(int n, const rn_map *x, const rn_map *y);
void rn_layer_relu_back(int n, const rn_map *y, const rn_map *dy, const rn_map *dx);

/* The end of a block whose function v is scaled, or that ReLU does not follow: y = fma(v, f, +0) + shortcut, without the product where there is
 * no factor, then ReLU where asked. f is the gate's value of the channel, times `kept` of the sample where there is one (one product in fp32). */
typedef struct rn_merge {
    const rn_view *branch, *shortcut; /* without ReLU behind it, the shortcut is a map as it lies */
    int stride, relu;
    const rn_map *gate;               /* one pixel; NULL: 1 */
    const float *kept;                /* [n]; NULL: 1 */
} rn_merge;
void rn_layer_merge(const rn_machine *m, int n, const rn_merge *end, const rn_map *y);
/* The gate's gradient: for each row a chain of fma(dz, v, sum), rows added in order in double, times kept, rounded once. */
void rn_layer_gate_back(const rn_machine *m, int n, const rn_merge *end, const rn_map *dz, const rn_map *dgate);
/* The branch's gradient: fma(dz, f, dsqueezed / pixels), the latter +0 where NULL; then the row function. */
void rn_layer_branch_back(const rn_machine *m, int n, const rn_merge *end, const rn_map *dz, const rn_map *dsqueezed, const rn_map *dx, rn_row_fn row,
                          const void *context);

/* Statistics over the columns, in double, columns in order, each rounded once: mean = sum / w, deviation = sqrt(sum of (x - mean)^2 by fma / (w - 1) + eps).
 * Back: dx = fma(x - mean, ddeviation / ((w - 1) deviation), dmean / w). */
void rn_layer_tstp(const rn_machine *m, double eps, int n, const rn_view *x, const rn_map *y);
void rn_layer_tstp_back(const rn_machine *m, double eps, int n, const rn_view *x, const rn_map *dy, const rn_map *dx, rn_row_fn row, const void *context);

/* Lanes to the caller's [n][count], and back with zero lanes behind; from NULL stands for zeros. */
void rn_layer_gather(int n, const rn_map *from, float *to);
void rn_layer_scatter(int n, const float *from, const rn_map *to);

/* A map as plain [n][C][H][W] into out, through a view. */
void rn_layer_plain(const rn_machine *m, int n, const rn_view *from, float *out);

#endif
