/* Winograd convolutions over feature maps: what conv.c and weights.c hand over when the planner chose this algorithm for a 3x3 layer of
 * stride 1 and padding 1 (kernels.h has the transforms, algorithm.c the choice). */
#ifndef RN_GRAPH_WINOGRAD_H
#define RN_GRAPH_WINOGRAD_H

#include "graph/conv.h"

/* Packed weights U = W w W^T, of the folded weights.
 * Forward [k-block][position][c-block][16 c][16 k]; backward-data, of the flipped kernel, [c-block][position][k-block][16 k][16 c]. */
int64_t rn_winograd_size(const rn_conv *c);
void rn_winograd_pack_forward(const rn_machine *m, const rn_conv *c, const float *w, const double *scale, float *packed);
void rn_winograd_pack_backward(const rn_machine *m, const rn_conv *c, const float *w, float *packed);

/* As rn_conv_forward and rn_conv_backward. */
void rn_winograd_forward(const rn_machine *m, const rn_conv *c, int n, const rn_view *x, const rn_map *y, const float *packed, const rn_epilogue *end);
void rn_winograd_backward(const rn_machine *m, const rn_conv *c, rn_part part, const rn_map *dy, const rn_map *dx, int add, const float *packed, rn_row_fn row,
                          const void *context);
int64_t rn_winograd_scratch(const rn_conv *c, const rn_map *x, const rn_map *y); /* floats a thread, for any of the three */

/* As rn_conv_weights; room: rn_winograd_room floats. */
void rn_winograd_weights(const rn_machine *m, const rn_conv *c, rn_part part, const rn_view *x, const rn_map *dy, float *room, float *dw);
int64_t rn_winograd_room(const rn_conv *c, const rn_map *dy, int n);

/* --- shared by the three -------------------------------------------------------------------------------------------------- */

/* Tiles of 4 x 4 output pixels, counted along rows, then down an image, then over the images. */
typedef struct rn_tiles {
    int across, down;
} rn_tiles;
static inline rn_tiles rn_tiles_of(const rn_map *y)
{
    return (rn_tiles){(y->w + 3) / 4, (y->h + 3) / 4};
}

/* The transformed input of `across` x `down` neighbouring tiles of one image and block from (ty, tx), written to v [position][tile][16],
 * `step` floats between positions. What lies outside of the map counts as zero, after the view. strip: rn_winograd_strip floats. */
typedef struct rn_tile_range {
    int n, block, ty, tx, down, across;
} rn_tile_range;
void rn_winograd_gather(const rn_machine *m, const rn_view *x, const rn_tile_range *at, float *strip, float *v, int64_t step);
int64_t rn_winograd_strip(int down, int across);

/* Distance of two positions, in floats: an odd number of cache lines, so that the 36 stores of a tile do not meet in a few sets. */
static inline int64_t rn_winograd_step(int blocks, int tiles)
{
    return (((int64_t)blocks * tiles) | 1) * RN_LANES;
}

#endif
