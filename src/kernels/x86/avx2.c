/* AVX2 and FMA: sixteen lanes are two registers; tiles of 6 pixels x 16 output channels. */
#include "kernels/kernels.h"

#include <stddef.h>

#ifndef RN_VECTOR /* tests put an emulated vocabulary here, to run these tiles on any machine */
#define RN_VECTOR "kernels/x86/vector_avx2.h"
#endif
#include RN_VECTOR

#define RN_NAME(name) rn_##name##_avx2
#define TILE_MAX_1 6
#define WGRAD_ROWS 6
#define PEAK_CHAINS 6
#define PEAK_EACH EACH_6
#include "kernels/rows.inc"
#include "kernels/conv.inc"
#include "kernels/wgrad.inc"
#include "kernels/winograd.inc"
#include "kernels/winograd_weights.inc"

void rn_kernels_avx2(rn_kernels *table)
{
    table->conv_row = rn_conv_row_avx2;
    table->wgrad_tile = rn_wgrad_tile_avx2;
    table->winograd_input = rn_winograd_input_avx2;
    table->winograd_output = rn_winograd_output_avx2;
    table->winograd_gradient = rn_winograd_gradient_avx2;
    table->winograd_weight = rn_winograd_weight_avx2;
    table->winograd_weight_gradient = rn_winograd_weight_gradient_avx2;
    table->affine_row = rn_affine_row_avx2;
    table->merge_row = rn_merge_row_avx2;
    table->sums_row = rn_sums_row_avx2;
    table->mask_row = rn_mask_row_avx2;
    table->bngrad_row = rn_bngrad_row_avx2;
    table->finish_row = rn_finish_row_avx2;
    table->add_row = rn_add_row_avx2;
    table->maxpool_row = rn_maxpool_row_avx2;
    table->peak = rn_peak_avx2;
    table->k_blocks = 1;
    table->level = "avx2";
}
