/* Sound in: any file that libsndfile reads, or raw PCM, to one channel of float samples at the wanted rate. */
#ifndef RN_MEDIA_SOUND_H
#define RN_MEDIA_SOUND_H

#include <stdint.h>
#include "base/error.h"

typedef enum rn_raw {
    RN_RAW_NONE,
    RN_RAW_S16LE,
    RN_RAW_S24LE,
    RN_RAW_S32LE,
    RN_RAW_F32LE,
    RN_RAW_U8,
    RN_RAW_MULAW,
    RN_RAW_ALAW,
    RN_RAW_GSM
} rn_raw;

typedef struct rn_sound_options {
    int rate;    /* Hz that the samples are wanted in; 0: as the file has it */
    int channel; /* 1-based; 0: the mean of all */
    rn_raw raw;  /* headerless input; .gsm files are recognised by their extension */
    int raw_rate, raw_channels;
    double start_s, end_s; /* a part of the file; end_s 0: to its end */
    int64_t offset, bytes; /* bytes > 0: the encoded file is this part of the one named (a member of a tar), */
    const char *name;      /* and is called this in messages; NULL: as the one named */
} rn_sound_options;

typedef struct rn_sound {
    float *samples; /* [count], -1..1 where the file is an integer file; malloc'ed, the caller's */
    int64_t count;
    int rate;
    int file_rate, file_channels;
    float *channel_peaks; /* [file_channels], before mixing; for `data check` */
} rn_sound;

/* Whole file. "-" reads standard input. Errors name the file and what to do; for m4a and other kinds that libsndfile
 * cannot read, the exact ffmpeg line. Never trusts the header's frame count. */
int rn_sound_read(const char *path, const rn_sound_options *options, rn_sound *out, rn_error *err);
int rn_sound_read_memory(const char *name, const void *data, int64_t size, const rn_sound_options *options, rn_sound *out, rn_error *err);
void rn_sound_free(rn_sound *s);

/* Header only: rate, channels, seconds (0 where unknown). */
typedef struct rn_sound_info {
    int rate, channels;
    double seconds;
    char format[32];
} rn_sound_info;
int rn_sound_probe(const char *path, const rn_sound_options *options, rn_sound_info *info, rn_error *err);
int rn_sound_known(const char *path); /* 1 if the extension is one that this build decodes (or .raw/.gsm) */

/* Streaming, for long recordings and live sound: resampled, one channel, bounded memory. Delivers what has arrived without waiting
 * for a full buffer (pipes). Returns samples written, 0 at the end, negative RN_ERR_*. */
typedef struct rn_sound_stream rn_sound_stream;
int rn_sound_stream_open(rn_sound_stream **stream, const char *path, const rn_sound_options *options, rn_error *err);
int64_t rn_sound_stream_read(rn_sound_stream *stream, float *samples, int64_t count, rn_error *err);
int rn_sound_stream_rate(const rn_sound_stream *stream);
double rn_sound_stream_seconds(const rn_sound_stream *stream); /* whole length if the header tells, else 0 */
void rn_sound_stream_close(rn_sound_stream **stream);

/* libsamplerate, medium sinc (121 dB, 90 % of the band), the whole signal at once (training and files) - the stream gives the same bits. */
int rn_sound_resample(const float *in, int64_t count, int from_hz, int to_hz, float **out, int64_t *out_count, rn_error *err);

/* One channel as WAV of 16 bits, atomic (base/file.h): samples times 32768, rounded, limited. */
int rn_sound_write_wav(const char *path, const float *samples, int64_t count, int rate, rn_error *err);

#endif
