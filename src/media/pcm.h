/* Uncompressed samples as they arrive on a pipe; see pcm.c. */
#ifndef RN_MEDIA_PCM_H
#define RN_MEDIA_PCM_H

#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

typedef enum rn_pcm_kind { RN_PCM_U8, RN_PCM_S16, RN_PCM_S24, RN_PCM_S32, RN_PCM_F32, RN_PCM_F64, RN_PCM_MULAW, RN_PCM_ALAW } rn_pcm_kind;

typedef struct rn_pcm_format {
    rn_pcm_kind kind;
    int rate, channels;
    int64_t data_bytes; /* what the header promises; -1: until the end */
} rn_pcm_format;

int rn_pcm_bytes(rn_pcm_kind kind); /* of one sample of one channel */
/* Little-endian bytes to floats, the values that libsndfile gives for the same bytes in a file. */
void rn_pcm_decode(rn_pcm_kind kind, const unsigned char *bytes, int64_t samples, float *out);

/* Reads a WAV header from what has arrived: 1 and the format and where the samples begin; 0 if more bytes are needed to
 * tell; -1 if it is no WAV, a broken one, or one whose samples are not listed above. */
int rn_pcm_wav_header(const unsigned char *data, size_t size, rn_pcm_format *format, size_t *offset);

#endif
