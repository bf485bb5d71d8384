/* The C reference, compiled for the plain processor: exact fmaf from the C library. */
#define RN_NAME(name) rn_##name##_c
#include "kernels/reference.inc"

void rn_kernels_c(rn_kernels *table)
{
    fill(table);
    table->level = "c";
}
