/* Short pieces of sound for pages: MP3, which every browser plays. */
#ifndef RN_MEDIA_MP3_H
#define RN_MEDIA_MP3_H

#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

#define RN_MP3_RATE 16000         /* Hz of the samples */
#define RN_MP3_BYTES_PER_S 4000.0 /* 32 kbit/s */
#define RN_MP3_BYTES 900.0        /* of a file without sound, about */

/* One channel at RN_MP3_RATE, limited to -1..1, as MP3 of 32 kbit/s. *data is malloc'ed, the caller's. RN_ERR_UNSUPPORTED if libsndfile was built
 * without an MP3 encoder. The bytes may differ between processors. */
int rn_mp3_encode(const float *samples, int64_t count, unsigned char **data, size_t *size, rn_error *err);

#endif
