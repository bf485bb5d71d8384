/* AVX-512: sixteen lanes are one register; tiles of 14 pixels x 32 output channels, or x 16 where one block is left. */
#include "kernels/kernels.h"

#include <stddef.h>

#ifndef RN_VECTOR /* tests put an emulated vocabulary here, to run these tiles on any machine */
#define RN_VECTOR "kernels/x86/vector_avx512.h"
#endif
#include RN_VECTOR

#define RN_NAME(name) rn_##name##_avx512
#define TILE_MAX_1 14
#define TILE_MAX_2 14
#define WGRAD_ROWS 16
#define PEAK_CHAINS 12
#define PEAK_EACH EACH_12
#include "kernels/rows.inc"
#include "kernels/conv.inc"
#include "kernels/wgrad.inc"
#include "kernels/winograd.inc"
#include "kernels/winograd_weights.inc"

void rn_kernels_avx512(rn_kernels *table)
{
    table->conv_row = rn_conv_row_avx512;
    table->wgrad_tile = rn_wgrad_tile_avx512;
    table->winograd_input = rn_winograd_input_avx512;
    table->winograd_output = rn_winograd_output_avx512;
    table->winograd_gradient = rn_winograd_gradient_avx512;
    table->winograd_weight = rn_winograd_weight_avx512;
    table->winograd_weight_gradient = rn_winograd_weight_gradient_avx512;
    table->affine_row = rn_affine_row_avx512;
    table->merge_row = rn_merge_row_avx512;
    table->sums_row = rn_sums_row_avx512;
    table->mask_row = rn_mask_row_avx512;
    table->bngrad_row = rn_bngrad_row_avx512;
    table->finish_row = rn_finish_row_avx512;
    table->add_row = rn_add_row_avx512;
    table->maxpool_row = rn_maxpool_row_avx512;
    table->peak = rn_peak_avx512;
    table->k_blocks = 2;
    table->level = "avx512";
}
