/* Direct convolution forwards (kernels.h has the order of the sums): what conv.c hands over where the planner did not choose Winograd. */
#ifndef RN_GRAPH_DIRECT_H
#define RN_GRAPH_DIRECT_H

#include "graph/conv.h"

/* As rn_conv_forward, for layers that are not linear. */
void rn_direct_forward(const rn_machine *m, const rn_conv *c, int n, const rn_view *x, const rn_map *y, const float *packed, const rn_epilogue *end);
int64_t rn_direct_scratch(const rn_conv *c, const rn_map *x, const rn_map *y); /* floats a thread */

/* The end of `pixels` pixels of one row from column `left`: `sums`, in the map's row or not, through the epilogue into it; behind the last pixel
 * the row function. */
void rn_direct_end_row(const rn_machine *m, const rn_epilogue *end, const rn_map *y, int n, int block, int row, int left, int pixels, const float *sums);

#endif
