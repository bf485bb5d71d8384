/* The table of kernels: C fills it, each instruction set that the processor has overwrites its rows. */
#include "kernels/kernels.h"

#include "base/cpu.h"

void rn_kernels_open(rn_kernels *table)
{
    unsigned have = rn_cpu_features();
    rn_kernels_c(table);
#if defined(__x86_64__)
    if (have & RN_CPU_FMA)
        rn_kernels_fma(table);
    if (have & RN_CPU_AVX2)
        rn_kernels_avx2(table);
    if (have & RN_CPU_AVX512)
        rn_kernels_avx512(table);
#else
    (void)have;
#endif
}
