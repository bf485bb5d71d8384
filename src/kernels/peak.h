/* The machine's own ceiling, measured: fused multiply-adds as fast as they go. */
#ifndef RN_KERNELS_PEAK_H
#define RN_KERNELS_PEAK_H

/* GFLOP/s of independent FMA chains on that many threads at once, with the widest vectors that the kernels in force use.
 * Takes about 50 ms. */
double rn_bench_fma_peak(int threads);

#endif
