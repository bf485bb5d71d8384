/* The kernels: what each computes, in which order, and the table they are called through.
 *
 * Activations are NCHW16c: channels in blocks of 16 ("lanes"), pixels of a block contiguous, 16 floats a pixel. Lanes past the last channel are
 * zero in every operand. A "row" is one row of one block of one image. All pointers may be unaligned; nothing outside the
 * ranges named here is read or written. `rn_<name>_c` in reference.inc is the definition: every other version gives the same bits. */
#ifndef RN_KERNELS_KERNELS_H
#define RN_KERNELS_KERNELS_H

#include <stdint.h>

enum { RN_LANES = 16 };

/* One output row of k_blocks blocks of 16 output channels.
 *
 * y[kb][q][k] = one chain from +0 of fma(x[b * x_block + tap[t] + q * x_pixel + c], w[kb][b][t][c][k], sum)
 * over b < blocks, t < taps, c < inner, in this order: (c-block, r, s, c). inner is 16, or 1 where x is a plain image (the taps then
 * run over c, r, s). Padding lies in x as zeros and is multiplied. A linear layer is the same with samples for pixels. */
typedef struct rn_conv_row {
    const float *x, *w;
    float *y;
    const int32_t *tap;      /* [taps], floats */
    int64_t x_block, x_pixel; /* floats */
    int64_t w_k, y_k, y_pixel; /* floats from one block of output channels to the next; between output pixels */
    int blocks, taps, inner, k_blocks, pixels; /* pixels: at least 1 */
    const float *ahead;      /* weights of the next call: brought nearer meanwhile, for layers whose weights come from memory; NULL: none */
} rn_conv_row;

/* Sums over pixels for `rows` inputs and 16 outputs, going on from what acc holds:
 *
 * acc[j][k] = fma(x[seg.x + i * x_pixel + offset(j)], dy[seg.dy + i * 16 + k], acc[j][k]) over the segments and their pixels i, in order.
 * offset(j) is offsets[j], or j where offsets is NULL (16 channels of a block; rows is then 16). */
typedef struct rn_segment {
    int64_t x, dy; /* floats from the base */
    int pixels;
} rn_segment;
typedef struct rn_wgrad_tile {
    const float *x, *dy;
    float *acc;               /* [rows][16] */
    const rn_segment *segments;
    const int32_t *offsets;
    int64_t x_pixel, dy_pixel; /* floats */
    int segments_count, rows;
} rn_wgrad_tile;

/* Winograd's minimal filtering (Winograd 1980; Lavin and Gray 2016) with the points 0, +-A, +-B, infinity, A = 1/sqrt2, B = 2 A.
 *
 * Forward F(4x4, 3x3): y = O [sum over c of (W w W^T) . (I x I^T)] O^T for tiles of 6 x 6 input and 4 x 4 output pixels; backward-weights
 * F(3x3, 4x4): dw = R [sum over tiles of (I x I^T) . (G dy G^T)] R^T. The position (i, j) of a 6 x 6 array has the index 6 i + j;
 * the sums are conv_row and wgrad_tile, one call for each position. 
 * Each transform goes down the columns first, then along the rows, with these operations (d, m, y the six or four values in order): */
enum { RN_WINOGRAD_POSITIONS = 36 };
#define RN_WINOGRAD_A 0x1.6a09e6p-1f
#define RN_WINOGRAD_B 0x1.6a09e6p+0f

/* U = W w W^T of `count` input channels for sixteen outputs, in double, rounded once. Rows of W belong to the points, each divided by the product of
 * its distances to the other finite ones:
 *   0: w0        1, 2: -2/3 (w0 + w2/2) +- -2/3 A w1        3, 4: 1/6 (w0 + 2 w2) +- 1/6 B w1        5: w2 */
typedef struct rn_winograd_weight {
    const float *w;      /* [count][lanes][9], w_next and w_lane floats apart */
    const double *scale; /* [lanes]: each weight times that, rounded to float first; NULL: none */
    float *u;            /* [position][count][16] */
    int64_t w_next, w_lane, step;
    int count, lanes, flip; /* lanes past the last are zero; flip: the kernel turned by half a turn, for backward-data */
} rn_winograd_weight;

/* dw = R U R^T, the same way back, in double, rounded once:
 *   0: u0 + (-2/3 (u1 + u2) + 1/6 (u3 + u4))    1: -2/3 A (u1 - u2) + 1/6 B (u3 - u4)    2: -1/3 (u1 + u2) + (1/3 (u3 + u4) + u5) */
typedef struct rn_winograd_weight_gradient {
    const float *u;      /* [position][count][16] */
    float *dw;           /* [count][lanes][9] */
    int64_t step, dw_next, dw_lane;
    int count, lanes;
} rn_winograd_weight_gradient;

/* v[position] of each tile; tile t begins at x + 4 t pixels, its rows are x_row floats apart.
 *   0: fma(-2.5, d2, d0 + d4)         1, 2: fma(+-A, fma(-2, d1, d3), fma(-2, d2, d4))
 *   5: fma(-2.5, d3, d1 + d5)         3, 4: fma(+-B, fma(-0.5, d1, d3), fma(-0.5, d2, d4)) */
typedef struct rn_winograd_input {
    const float *x;
    float *v;            /* [position][tile][16] */
    int64_t x_row, step; /* floats: between input rows; between positions */
    int tiles;
} rn_winograd_input;

/* `rows` (1 to 4) output rows of `pixels` pixels, from ceil(pixels / 4) tiles; what overhangs is not stored. What is given follows in
 * this order: + bias, + residual, ReLU (with a bias only). The residual may be y itself.
 *   0: (m0 + (m1 + m2)) + (m3 + m4)                  1: A * fma(2, m3 - m4, m1 - m2)
 *   2: 0.5 * fma(4, m3 + m4, m1 + m2)                3: fma(A / 2, fma(8, m3 - m4, m1 - m2), m5) */
typedef struct rn_winograd_output {
    const float *m;      /* [position][tile][16] */
    float *y;
    const float *bias, *residual; /* [16]; the first row's first pixel, or NULL */
    int64_t step, y_row, residual_row, residual_pixel;
    int pixels, rows, relu;
} rn_winograd_output;

/* d[position] of each tile; tile t begins at y + 4 t pixels.
 *   0: y0        1, 2: fma(+-A, fma(0.5, y3, y1), fma(0.5, y2, y0))        3, 4: fma(+-B, fma(2, y3, y1), fma(2, y2, y0))        5: y3 */
typedef struct rn_winograd_gradient {
    const float *y;
    float *d;            /* [position][tile][16] */
    int64_t y_row, step;
    int tiles;
} rn_winograd_gradient;

/* dst[i] = fma(y[i], scale, shift), then (relu) 0 > v ? 0 : v. */
typedef struct rn_affine_row {
    const float *y, *scale, *shift;
    float *dst;
    int pixels, relu;
} rn_affine_row;

/* dst[i] = ReLU(fma(y[i], scale, shift) + s), s = shortcut[i * shortcut_pixel], through fma(s, shortcut_scale, shortcut_shift) where those are
 * given, and through ReLU where shortcut_relu says so; shortcut NULL stands for +0. */
typedef struct rn_merge_row {
    const float *y, *scale, *shift, *shortcut, *shortcut_scale, *shortcut_shift;
    float *dst;
    int64_t shortcut_pixel;
    int pixels, shortcut_relu;
} rn_merge_row;

/* sums[0..15] = chain of + d, sums[16..31] = chain of fma(d, d, sum), d = y[i] - mean, left to right from +0. */
typedef struct rn_sums_row {
    const float *y, *mean;
    float *sums;
    int pixels;
} rn_sums_row;

/* dz[i] = keep ? dz[i] : +0, in place; keep where fma(gate[i], gate_scale, gate_shift) > 0, or gate[i] > 0 where gate_scale is NULL, or always where
 * gate is NULL. Then for each y[j] given (j = 0, 1): sums[j][0..15] = chain of + dz, sums[j][16..31] = chain of fma(dz, y[j][i] - mean[j], sum). */
typedef struct rn_mask_row {
    float *dz;
    const float *gate, *gate_scale, *gate_shift;
    const float *y[2], *mean[2];
    float *sums[2];
    int pixels;
} rn_mask_row;

/* dst[i] = fma(a, dz[i], fma(b, y[i], c)); dst may be dz. */
typedef struct rn_bngrad_row {
    const float *dz, *y, *a, *b, *c;
    float *dst;
    int pixels;
} rn_bngrad_row;

/* y[i] = sums[i] + bias, then + residual[i * residual_pixel] (NULL: none), then ReLU where asked; y may be sums. */
typedef struct rn_finish_row {
    const float *sums, *bias, *residual;
    float *y;
    int64_t residual_pixel;
    int pixels, relu;
} rn_finish_row;

/* dst[i * dst_pixel] = a[i * a_pixel] + b[i * b_pixel]; dst may be a or b. */
typedef struct rn_add_row {
    const float *a, *b;
    float *dst;
    int64_t a_pixel, b_pixel, dst_pixel;
    int pixels;
} rn_add_row;

/* Max pooling of `rows` input rows (those of the window that lie inside), width w, kernel columns from q * stride - pad.
 * The first maximum wins; NaN is let through (v > best or v is NaN). y[q] over q < pixels. */
typedef struct rn_maxpool_row {
    const float *x;
    float *y;
    int64_t x_row;
    int rows, kernel, stride, pad, w, pixels;
} rn_maxpool_row;

/* Adds dy[q] to the dx of the pixel that was the maximum of window q, q in order. Same windows as above. */
typedef struct rn_maxgrad_row {
    const float *x, *dy;
    float *dx;
    int64_t x_row, dx_row;
    int rows, kernel, stride, pad, w, pixels;
} rn_maxgrad_row;

/* Chains of fma(sum, 0.999, 0.001) from sums[0..15], `steps` long: as many side by side as hide the latency. For measuring only: what is
 * left in sums differs from version to version. */
typedef struct rn_peak {
    int64_t steps;
    float *sums;
    int *chains; /* written: how many ran side by side; flops = 2 * 16 * steps * chains */
} rn_peak;

typedef struct rn_kernels {
#define RN_KERNEL(name, type) void (*name)(const type *);
#include "kernels/list.inc"
#undef RN_KERNEL
    int k_blocks;     /* blocks of output channels that conv_row likes at once */
    const char *level; /* "c", "fma", "avx2", "avx512" */
} rn_kernels;

/* The table for this processor under the mask in force (base/cpu.h): C first, then what the processor has over it. */
void rn_kernels_open(rn_kernels *table);

/* What each file contributes; tests call them directly. */
void rn_kernels_c(rn_kernels *table);
#if defined(__x86_64__)
void rn_kernels_fma(rn_kernels *table);
void rn_kernels_avx2(rn_kernels *table);
void rn_kernels_avx512(rn_kernels *table);
#endif

#endif
