/* Grouped convolutions: what conv.c, pack.c and weights.c hand over where a layer has more than one group (Krizhevsky et al. 2012, Xie et al. 2017).
 *
 * The channels are cut into slices of as many groups as fill whole blocks of sixteen (the least common multiple of a group's channels and 16), and
 * each slice is a dense convolution over its blocks of the map, with zeros where an output and an input lie in different groups. Its chains
 * run over the slice's channels as those of a dense layer do: the zeros are multiplied, so a value that is not finite reaches the other groups
 * of its slice. Algorithms are chosen for the slice's shape. */
#ifndef RN_GRAPH_GROUPED_H
#define RN_GRAPH_GROUPED_H

#include "graph/conv.h"

/* The i-th slice as a dense convolution: all are of one size, but for the last, which may have fewer channels. It may need more room than the
 * others all the same, since fewer channels are worked on in longer pieces. */
int rn_grouped_slices(const rn_conv *c);
rn_conv rn_grouped_slice(const rn_conv *c, int i);

/* As the functions of conv.h. Packed weights have room for one slice's dense weights behind them, and so has what is kept. */
int64_t rn_grouped_forward_size(const rn_conv *c);
int64_t rn_grouped_backward_size(const rn_conv *c);
int64_t rn_grouped_kept(const rn_conv *c, const rn_map *dy, int n);
void rn_grouped_pack_forward(const rn_machine *m, const rn_conv *c, const float *w, const double *scale, float *packed);
void rn_grouped_pack_backward(const rn_machine *m, const rn_conv *c, const float *w, float *packed);
void rn_grouped_forward(const rn_machine *m, const rn_conv *c, int n, const rn_view *x, const rn_map *y, const float *packed,
                        const rn_epilogue *end);
void rn_grouped_backward(const rn_machine *m, const rn_conv *c, rn_part part, const rn_map *dy, const rn_map *dx, int add,
                         const float *packed, rn_row_fn row, const void *context);
/* The whole ghost batch at once. */
void rn_grouped_weights(const rn_machine *m, const rn_conv *c, int n, const rn_view *x, const rn_map *dy, rn_segment *segments, float *kept,
                        float *dw);

#endif
