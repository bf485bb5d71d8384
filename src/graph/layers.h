/* What the planners of inference and training have in common: a graph's layers as convolutions, and the pooling loops. */
#ifndef RN_GRAPH_LAYERS_H
#define RN_GRAPH_LAYERS_H

#include "graph/conv.h"
#include "graph/graph.h"

/* The geometry of a convolution or linear node. */
rn_conv rn_layer_conv(const rn_graph *g, int node);

/* The only node that reads `node` with that operation, or -1. */
int rn_layer_reader(const rn_graph *g, int node, rn_op op);

/* Checks what the engine takes for granted beyond rn_graph_finish: every convolution is followed by its BN alone, every addition by
 * ReLU, taps within the kernels' limits. The message names the node. */
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

/* Lanes to the caller's [n][count], and back with zero lanes behind. */
void rn_layer_gather(int n, const rn_map *from, float *to);
void rn_layer_scatter(int n, const float *from, const rn_map *to);

/* A map as plain [n][C][H][W] into out, through a view. */
void rn_layer_plain(const rn_machine *m, int n, const rn_view *from, float *out);

#endif
