/* Sample-rate conversion of one channel, in pieces or at once; see resample.c. */
#ifndef RN_MEDIA_RESAMPLE_H
#define RN_MEDIA_RESAMPLE_H

#include <stdint.h>
#include "base/error.h"

typedef enum rn_resample_quality { RN_RESAMPLE_FILE, RN_RESAMPLE_FAST } rn_resample_quality;
typedef struct rn_resampler rn_resampler;

/* ratio = wanted rate / rate of the input, from 1/256 to 256. */
int rn_resampler_open(rn_resampler **r, double ratio, rn_resample_quality quality, rn_error *err);
void rn_resampler_close(rn_resampler **r);

/* Takes up to in_count samples and writes up to out_cap; *used and *made tell how many. end: no input follows this one.
 * After the end it is called with in_count 0 until *made is 0. */
int rn_resampler_push(rn_resampler *r, const float *in, int64_t in_count, int end, int64_t *used, float *out, int64_t out_cap,
                      int64_t *made, rn_error *err);

/* The whole signal at once; *out is malloc'ed, the caller's. */
int rn_resample_whole(const float *in, int64_t count, double ratio, rn_resample_quality quality, float **out, int64_t *out_count,
                      rn_error *err);

#endif
