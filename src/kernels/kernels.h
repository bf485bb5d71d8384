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
    int blocks, taps, inner, k_blocks, pixels;
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

/* y[i] = y[i] + bias, then + residual[i * residual_pixel] (NULL: none), then ReLU where asked; in place. */
typedef struct rn_finish_row {
    float *y;
    const float *bias, *residual;
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
