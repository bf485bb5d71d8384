/* The machine's own ceilings, measured: fused multiply-adds as fast as they go, and memory as fast as it can be read. */
#ifndef RN_KERNELS_PEAK_H
#define RN_KERNELS_PEAK_H

/* GFLOP/s of independent FMA chains on that many threads at once, with the widest vectors that the kernels in force use.
 * Takes about 50 ms. */
double rn_bench_fma_peak(int threads);

/* GB/s (10^9 bytes) that so many threads read at once, each from a buffer of its own: 256 MiB in all, the best of a few passes.
 * Takes under half a second. 0 if there is no memory or no thread for it. Where the caches of a machine hold more than
 * 64 MiB in all, a part is read from them and the figure is too high. */
double rn_bench_bandwidth(int threads);

#endif
