/* What this processor can do, what the mask leaves of it, and the floating-point state that results are promised in. */
#ifndef RN_BASE_CPU_H
#define RN_BASE_CPU_H

#define RN_CPU_FMA (1u << 0)
#define RN_CPU_AVX2 (1u << 1)   /* AVX2 and FMA */
#define RN_CPU_AVX512 (1u << 2) /* AVX-512 F, BW, DQ and VL */

/* Detected features that the operating system saves too (XGETBV), less those switched off by the environment variable
 * RESNET_CPU = c | fma | avx2 | avx512 (the highest level allowed) and by rn_cpu_limit. */
unsigned rn_cpu_features(void);

/* The highest level to use from now on: "c", "fma", "avx2", "avx512", or NULL for no limit. Returns 0, or -1 if the
 * name is unknown. For tests and the command line; kernel tables read features when they are opened. */
int rn_cpu_limit(const char *level);
const char *rn_cpu_level(void); /* the level in force, one of the names above */

/* Round to nearest, denormals on (MXCSR; FPCR elsewhere). Returns the old state for rn_fp_leave. */
unsigned rn_fp_enter(void);
void rn_fp_leave(unsigned state);

#endif
