/* Power spectrum of a real signal of any length, in double; see fft.c. */
#ifndef RN_MEDIA_FFT_H
#define RN_MEDIA_FFT_H

#include <stddef.h>
#include "base/error.h"

#define RN_FFT_MAX (1 << 20)

typedef struct rn_fft rn_fft;

int rn_fft_open(rn_fft **fft, int n, rn_error *err); /* 2 <= n <= RN_FFT_MAX */
void rn_fft_close(rn_fft **fft);
size_t rn_fft_scratch(const rn_fft *fft); /* doubles that a call needs */

/* power[k] = |sum over i of x[i] exp(-2 pi i k / n)|^2 for k in [0, n/2]. x [n] is not changed; any number of threads may
 * call this at once, each with its own scratch. */
void rn_fft_power(const rn_fft *fft, const double *x, double *power, double *scratch);

#endif
