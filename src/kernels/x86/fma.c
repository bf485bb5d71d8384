/* The C reference, compiled with -mfma: the same text, the same bits, hardware fused multiply-adds. */
#define RN_NAME(name) rn_##name##_fma
#include "kernels/reference.inc"

void rn_kernels_fma(rn_kernels *table)
{
    fill(table);
    table->level = "fma";
}
