/* Convolutions and linear layers over feature maps: packed weights, and the loops that call the row kernels.
 *
 * A linear layer is a convolution whose kernel is as large as its input and whose stride is its kernel: one output pixel a sample. Its rows run over
 * samples. Everything here writes to disjoint places for each task, so the number of threads changes no bit. */
#ifndef RN_GRAPH_CONV_H
#define RN_GRAPH_CONV_H

#include "base/threads.h"
#include "graph/map.h"

/* How a convolution is computed: the choice, by shape and mode, is rn_algorithm_choose's; it is a part of the arithmetic. */
typedef enum rn_algorithm { RN_DIRECT, RN_WINOGRAD, RN_ALGORITHMS } rn_algorithm;

typedef struct rn_conv {
    int channels_in, channels_out;
    int groups;               /* 0 and 1: none; then as many channels out as in (grouped.h) */
    int kernel_h, kernel_w, stride_h, stride_w, pad;
    int plain;                /* the input is the plain image */
    int linear;
    int blocks_in, blocks_out; /* blocks_in is 1 where plain */
    rn_algorithm forward, backward, weights; /* of the three passes */
} rn_conv;

/* Sets the three from the table in algorithm.c: a pure function of the layer and its output size h x w, never of the machine, the batch or the threads. */
void rn_algorithm_choose(rn_conv *c, int h, int w);

/* How a step reads a feature map: as it lies, or through BN (and ReLU) that was not applied when it was written. */
typedef struct rn_view {
    const rn_map *map;
    const float *scale, *shift; /* [blocks * 16]; NULL: as it lies */
    int relu;
} rn_view;

typedef struct rn_machine {
    rn_kernels kernels;
    rn_pool *pool;
    float *scratch;           /* [threads][scratch_size] */
    int64_t scratch_size;     /* floats for each thread */
} rn_machine;

static inline const char *rn_algorithm_name(rn_algorithm algorithm)
{
    return algorithm == RN_WINOGRAD ? "winograd" : "direct";
}

/* --- packed weights ---------------------------------------------------------------------------------------------------- */

/* As the algorithm wants them (winograd.h), directly: forward [k-block][c-block][r, s][16 c][16 k]; plain [k-block][c, r, s][16 k]. */
int64_t rn_conv_forward_size(const rn_conv *c);
/* Backward-data: for each residue of the stride (row, column) [c-block][k-block][its r, s, flipped][16 k][16 c]. */
int64_t rn_conv_backward_size(const rn_conv *c);
/* w [K][C][R][S]; scale [K] multiplies it in double, rounded once (folding), or NULL. */
void rn_conv_pack_forward(const rn_machine *m, const rn_conv *c, const float *w, const double *scale, float *packed);
void rn_conv_pack_backward(const rn_machine *m, const rn_conv *c, const float *w, float *packed);

/* --- running ----------------------------------------------------------------------------------------------------------- */

/* Called for every finished row of 16 channels, in the task that made it. */
typedef void (*rn_row_fn)(const void *context, int n, int block, int row, float *y);

/* What follows a convolution forwards: bias, residual and ReLU of inference where there is a bias, then the row function. */
typedef struct rn_epilogue {
    const float *bias;        /* [blocks_out * 16]; NULL: the sums as they are */
    const rn_map *residual;   /* every residual_stride-th pixel of it, where it has the block; NULL: none */
    int residual_stride, relu;
    rn_row_fn row;            /* NULL: none */
    const void *context;
} rn_epilogue;

/* Floats of scratch that a thread needs: forwards; or for a whole step (backward-data and backward-weights as well). */
int64_t rn_conv_forward_scratch(const rn_conv *c, const rn_map *x, const rn_map *y);
int64_t rn_conv_scratch(const rn_conv *c, const rn_map *x, const rn_map *y);

/* y = conv(x); y has no halo to keep unless the row function writes it. image: the plain input's pixel (0, 0) in a map
 * of one channel a "block" (see rn_map_plain). */
void rn_conv_forward(const rn_machine *m, const rn_conv *c, int n, const rn_view *x, const rn_map *y, const float *packed, const rn_epilogue *end);

/* Samples [first, last) of a ghost batch of `count`: backward passes can go over it in parts, in order, so that dy is still in cache
 * when it is used again. */
typedef struct rn_part {
    int first, last, count;
} rn_part;

/* dx = conv^T(dy), or where `add` is set that plus what is there; then the row function (NULL: none). */
void rn_conv_backward(const rn_machine *m, const rn_conv *c, rn_part part, const rn_map *dy, const rn_map *dx, int add, const float *packed, rn_row_fn row,
                      const void *context);

/* dw [K][C / groups][R][S], overwritten when the last part is done. Parts, and x through a view, only where c->weights is RN_WINOGRAD (no parts with groups); else the whole
 * batch, and x as it lies (with its halo), or plain. segments and kept: room for rn_conv_segments(c, dy, n) of them and
 * rn_conv_kept(c, dy, n) floats, which carries the sums from part to part. */
int rn_conv_weights_group(const rn_conv *c); /* output blocks of a task at most: their sums lie in its scratch */
int64_t rn_conv_kept(const rn_conv *c, const rn_map *dy, int n);
int64_t rn_conv_segments(const rn_conv *c, const rn_map *dy, int n);
void rn_conv_weights(const rn_machine *m, const rn_conv *c, rn_part part, const rn_view *x, const rn_map *dy, rn_segment *segments, float *kept,
                     float *dw);

/* Halo that dy needs so that backward-data reads zeros around it; halo of x is c->pad. */
int rn_conv_dy_halo(const rn_conv *c, int h, int w);

/* The plain input as a map: one "block" a channel, pixels one float apart, halo as the first layer pads. */
rn_map rn_map_plain(int channels, int h, int w, int halo);

#endif
