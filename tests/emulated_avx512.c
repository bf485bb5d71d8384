/* The AVX-512 kernels over the emulated vocabulary: their tiles, remainders and orders, on any machine. */
#define RN_VECTOR "emulated_vector.h"
#define rn_kernels_avx512 rn_kernels_emulated
#include "kernels/x86/avx512.c"
