/* Where samples come from: a file, memory or a pipe, as interleaved floats at its own rate; see source.c. */
#ifndef RN_MEDIA_SOURCE_H
#define RN_MEDIA_SOURCE_H

#include <stddef.h>
#include <stdint.h>
#include "media/sound.h"

typedef struct rn_source rn_source;

int rn_source_open(rn_source **source, const char *path, const rn_sound_options *options, rn_error *err);
int rn_source_open_memory(rn_source **source, const char *name, const void *data, size_t size, const rn_sound_options *options,
                          rn_error *err);
void rn_source_close(rn_source **source);

int rn_source_rate(const rn_source *source);
int rn_source_channels(const rn_source *source);
int64_t rn_source_frames(const rn_source *source); /* what the header says, a hint only; 0 if it doesn't */
int64_t rn_source_bytes(const rn_source *source);  /* size of the file, -1 for a pipe */
const char *rn_source_name(const rn_source *source);
void rn_source_format(const rn_source *source, char *text, size_t size);

/* Up to `frames` frames, from a pipe what has arrived (at least one); 0 at the end, negative RN_ERR_*. */
int64_t rn_source_read(rn_source *source, float *interleaved, int64_t frames, rn_error *err);
/* Passes over frames, exactly: by seeking where each sample stands by itself, else by decoding. Fewer at the end. */
int64_t rn_source_skip(rn_source *source, int64_t frames, rn_error *err);

#endif
