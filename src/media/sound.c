/* Sound in: one channel of floats at the wanted rate, whole or as a stream.
 *
 * Source (source.c) -> part wanted -> one channel, or the mean of all added in channel order in double -> resampler.
 * The stream and the whole file go through the same steps, and none of them depends on how the input was cut.
 * A sample that is not finite is an error that names the file and the place: it would poison every feature. */
#include "media/sound.h"

#include <math.h>
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "media/foreign.h"
#include "media/resample.h"
#include "media/source.h"

#define RN_BLOCK 4096 /* frames decoded at once */
/* The most that is held in memory at once: 24 hours, or 2^30 samples (4 GiB). Streams have no such limit. */
#define RN_WHOLE_SECONDS (24 * 3600)
#define RN_WHOLE_SAMPLES ((int64_t)1 << 30)

/* A source and the part and channel of it that are wanted. */
typedef struct channel {
    rn_source *source;
    int wanted, channels, rate;
    int64_t left; /* frames until the end of the part; -1: no end */
    int64_t done; /* frames given */
    int64_t start;
    float *block; /* [RN_BLOCK][channels] */
    float *peaks; /* [channels] */
} channel;

static void channel_free(channel *c)
{
    rn_source_close(&c->source);
    free(c->block);
    free(c->peaks);
    memset(c, 0, sizeof *c);
}

static int check_options(const char *path, const rn_sound_options *o, rn_error *err)
{
    if (!o)
        return 0;
    if (o->rate < 0 || o->rate > 10000000)
        return rn_error_set(err, RN_ERR_ARG, "%s: a rate of %d Hz was asked for; rates are 1 to 10000000", path, o->rate);
    if (o->channel < 0)
        return rn_error_set(err, RN_ERR_ARG, "%s: channel %d was asked for; channels count from 1, 0 is their mean", path, o->channel);
    if (!(o->start_s >= 0) || !(o->end_s >= 0) || o->start_s > 1e9 || o->end_s > 1e9 || (o->end_s > 0 && o->end_s <= o->start_s))
        return rn_error_set(err, RN_ERR_ARG, "%s: the part from %.3f to %.3f s: its end must be after its start", path, o->start_s,
                            o->end_s);
    return 0;
}

enum { MOST_FACTOR = 256 }; /* that resampling can do, up or down */

/* Takes over c->source, already open. */
static int channel_start(channel *c, const rn_sound_options *o, rn_error *err)
{
    const char *name = rn_source_name(c->source);
    c->rate = rn_source_rate(c->source);
    c->channels = rn_source_channels(c->source);
    c->wanted = o ? o->channel : 0;
    c->left = -1;
    if (c->wanted > c->channels)
        return rn_error_set(err, RN_ERR_ARG, "%s: has %d channel%s, channel %d was asked for", name, c->channels,
                            c->channels > 1 ? "s" : "", c->wanted);
    if (o && o->rate && ((double)o->rate > (double)MOST_FACTOR * c->rate || (double)c->rate > (double)MOST_FACTOR * o->rate))
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: says %d samples a second; to %d Hz is more than a factor of %d, which can't be done: is its header right?",
                            name, c->rate, o->rate, MOST_FACTOR);
    size_t block = (size_t)RN_BLOCK * (size_t)c->channels;
    c->block = malloc(block * sizeof *c->block);
    c->peaks = calloc((size_t)c->channels, sizeof *c->peaks);
    if (!c->block || !c->peaks)
        return rn_error_memory(err, name, block * sizeof *c->block);
    if (o && o->end_s > 0)
        c->left = (int64_t)floor(o->end_s * c->rate + 0.5);
    if (o && o->start_s > 0) {
        c->start = (int64_t)floor(o->start_s * c->rate + 0.5);
        int64_t passed = rn_source_skip(c->source, c->start, err);
        if (passed < 0)
            return (int)passed;
        if (passed < c->start)
            return rn_error_set(err, RN_ERR_DATA, "%s: a part from %.3f s was asked for, but it ends at %.3f s", name, o->start_s,
                                (double)passed / c->rate);
        if (c->left >= 0)
            c->left = c->left > c->start ? c->left - c->start : 0;
    }
    return 0;
}

/* Up to min(count, RN_BLOCK) samples of the wanted channel; 0 at the end. */
static int64_t channel_read(channel *c, float *out, int64_t count, rn_error *err)
{
    if (count > RN_BLOCK)
        count = RN_BLOCK;
    if (c->left >= 0 && count > c->left)
        count = c->left;
    if (count <= 0)
        return 0;
    int64_t got = rn_source_read(c->source, c->block, count, err);
    if (got <= 0)
        return got;
    int n = c->channels;
    for (int64_t i = 0; i < got; i++) {
        const float *frame = c->block + i * n;
        double sum = 0;
        for (int k = 0; k < n; k++) {
            float size = fabsf(frame[k]);
            if (!isfinite(size))
                return rn_error_set(
                    err, RN_ERR_DATA, "%s: sample %lld (at %.3f s) is not a finite number. Repair or remove it, or train with --skip-bad",
                    rn_source_name(c->source), (long long)(c->start + c->done + i), (double)(c->start + c->done + i) / c->rate);
            c->peaks[k] = size > c->peaks[k] ? size : c->peaks[k];
            sum += frame[k];
        }
        out[i] = c->wanted ? frame[c->wanted - 1] : n == 1 ? frame[0] : (float)(sum / n);
    }
    c->done += got;
    if (c->left >= 0)
        c->left -= got;
    return got;
}

/* All of the channel, in a buffer that grows by what was read: the header's count only sets the first size. */
static int read_all(channel *c, float **out, int64_t *count, rn_error *err)
{
    const char *name = rn_source_name(c->source);
    int64_t most = (int64_t)RN_WHOLE_SECONDS * c->rate, have = 0, cap = rn_source_frames(c->source) - c->start;
    float *samples = NULL;
    int status = 0;
    if (most > RN_WHOLE_SAMPLES)
        most = RN_WHOLE_SAMPLES;
    if (c->left >= 0 && cap > c->left)
        cap = c->left;
    cap = cap < RN_BLOCK ? RN_BLOCK : cap > 1 << 22 ? 1 << 22 : cap + RN_BLOCK;
    for (;;) {
        if (!samples || cap - have < RN_BLOCK) {
            if (samples)
                cap += cap / 2;
            float *bigger = realloc(samples, (size_t)cap * sizeof *samples);
            if (!bigger) {
                status = rn_error_memory(err, name, (unsigned long long)cap * sizeof *samples);
                goto fail;
            }
            samples = bigger;
        }
        int64_t got = channel_read(c, samples + have, cap - have, err);
        if (got < 0) {
            status = (int)got;
            goto fail;
        }
        if (!got)
            break;
        have += got;
        if (have > most) {
            status = rn_error_set(err, RN_ERR_DATA,
                                  "%s: more than %.1f hours at %d Hz are too long to be read at once. Cut it, or name a part of it", name,
                                  (double)most / c->rate / 3600, c->rate);
            goto fail;
        }
    }
    if (!have) {
        status = rn_error_set(err, RN_ERR_DATA, "%s: 0 samples (%lld bytes). Remove it, or train with --skip-bad", name,
                              (long long)(rn_source_bytes(c->source) < 0 ? 0 : rn_source_bytes(c->source)));
        goto fail;
    }
    *out = samples;
    *count = have;
    return 0;
fail:
    free(samples);
    return status;
}

/* The rest of both ways to read a whole sound; c->source is open. */
static int read_sound(channel *c, const rn_sound_options *options, rn_sound *out, rn_error *err)
{
    float *samples = NULL;
    int64_t count = 0;
    int status = channel_start(c, options, err);
    if (status)
        goto fail;
    status = read_all(c, &samples, &count, err);
    if (status)
        goto fail;
    out->file_rate = c->rate;
    out->file_channels = c->channels;
    out->rate = options && options->rate ? options->rate : c->rate;
    if (out->rate == c->rate) {
        out->samples = samples;
        out->count = count;
        samples = NULL;
    } else {
        status = rn_sound_resample(samples, count, c->rate, out->rate, &out->samples, &out->count, err);
        if (!status && !out->count)
            status = rn_error_set(err, RN_ERR_DATA, "%s: %lld samples at %d Hz are too short to become one at %d Hz",
                                  rn_source_name(c->source), (long long)count, c->rate, out->rate);
    }
    if (!status) {
        out->channel_peaks = c->peaks;
        c->peaks = NULL;
    }
fail:
    free(samples);
    channel_free(c);
    if (status)
        rn_sound_free(out);
    return status;
}

int rn_sound_read(const char *path, const rn_sound_options *options, rn_sound *out, rn_error *err)
{
    channel c;
    memset(&c, 0, sizeof c);
    memset(out, 0, sizeof *out);
    int status = check_options(path, options, err);
    if (!status)
        status = rn_source_open(&c.source, path, options, err);
    return status ? status : read_sound(&c, options, out, err);
}

int rn_sound_read_memory(const char *name, const void *data, int64_t size, const rn_sound_options *options, rn_sound *out, rn_error *err)
{
    channel c;
    memset(&c, 0, sizeof c);
    memset(out, 0, sizeof *out);
    int status =
        size < 0 || (!data && size) ? rn_error_set(err, RN_ERR_ARG, "%s: %lld bytes of sound in memory", name, (long long)size) : 0;
    if (!status)
        status = check_options(name, options, err);
    if (!status)
        status = rn_source_open_memory(&c.source, name, data, (size_t)size, options, err);
    return status ? status : read_sound(&c, options, out, err);
}

void rn_sound_free(rn_sound *s)
{
    free(s->samples);
    free(s->channel_peaks);
    memset(s, 0, sizeof *s);
}

int rn_sound_probe(const char *path, const rn_sound_options *options, rn_sound_info *info, rn_error *err)
{
    rn_source *source = NULL;
    memset(info, 0, sizeof *info);
    if (!strcmp(path, "-"))
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "standard input can be read once only; its header cannot be looked at before");
    int status = rn_source_open(&source, path, options, err);
    if (status)
        return status;
    info->rate = rn_source_rate(source);
    info->channels = rn_source_channels(source);
    info->seconds = (double)rn_source_frames(source) / info->rate;
    rn_source_format(source, info->format, sizeof info->format);
    rn_source_close(&source);
    return 0;
}

int rn_sound_known(const char *path)
{
    static const struct {
        const char *extension;
        int major;
    } known[] = {
        {"wav", SF_FORMAT_WAV},  {"wave", SF_FORMAT_WAV},  {"rf64", SF_FORMAT_RF64}, {"w64", SF_FORMAT_W64},  {"flac", SF_FORMAT_FLAC},
        {"ogg", SF_FORMAT_OGG},  {"oga", SF_FORMAT_OGG},   {"opus", SF_FORMAT_OGG},  {"mp3", SF_FORMAT_MPEG}, {"mp2", SF_FORMAT_MPEG},
        {"aif", SF_FORMAT_AIFF}, {"aiff", SF_FORMAT_AIFF}, {"aifc", SF_FORMAT_AIFF}, {"au", SF_FORMAT_AU},    {"snd", SF_FORMAT_AU},
        {"caf", SF_FORMAT_CAF},  {"gsm", SF_FORMAT_RAW},   {"raw", SF_FORMAT_RAW},   {"sph", SF_FORMAT_NIST}, {"nist", SF_FORMAT_NIST},
        {"voc", SF_FORMAT_VOC},  {"8svx", SF_FORMAT_SVX},  {"iff", SF_FORMAT_SVX},   {"paf", SF_FORMAT_PAF},  {"htk", SF_FORMAT_HTK}};
    const char *extension = rn_path_extension(path);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (!rn_same_word(extension, known[i].extension))
            continue;
        /* libsndfile may have been built without FLAC, Ogg or MPEG. */
        int majors = 0;
        sf_command(NULL, SFC_GET_FORMAT_MAJOR_COUNT, &majors, sizeof majors);
        for (int k = 0; k < majors; k++) {
            SF_FORMAT_INFO format;
            memset(&format, 0, sizeof format);
            format.format = k;
            if (!sf_command(NULL, SFC_GET_FORMAT_MAJOR, &format, sizeof format) && (format.format & SF_FORMAT_TYPEMASK) == known[i].major)
                return 1;
        }
        return 0;
    }
    return 0;
}

struct rn_sound_stream {
    channel from;
    rn_resampler *resampler; /* NULL: same rate */
    int rate, ended;
    float block[RN_BLOCK]; /* mono, at the file's rate, waiting for the resampler */
    int64_t block_at, block_end;
    double seconds;
};

int rn_sound_stream_open(rn_sound_stream **stream, const char *path, const rn_sound_options *options, rn_error *err)
{
    *stream = NULL;
    int status = check_options(path, options, err);
    if (status)
        return status;
    rn_sound_stream *s = calloc(1, sizeof *s);
    if (!s)
        return rn_error_memory(err, path, sizeof *s);
    status = rn_source_open(&s->from.source, path, options, err);
    if (status)
        goto fail;
    status = channel_start(&s->from, options, err);
    if (status)
        goto fail;
    s->rate = options && options->rate ? options->rate : s->from.rate;
    if (s->rate != s->from.rate) {
        status = rn_resampler_open(&s->resampler, (double)s->rate / s->from.rate, RN_RESAMPLE_FILE, err);
        if (status)
            goto fail;
    }
    int64_t frames = rn_source_frames(s->from.source) - s->from.start;
    if (s->from.left >= 0 && frames > s->from.left)
        frames = s->from.left;
    s->seconds = frames > 0 ? (double)frames / s->from.rate : 0;
    *stream = s;
    return 0;
fail:
    rn_sound_stream_close(&s);
    return status;
}

int64_t rn_sound_stream_read(rn_sound_stream *s, float *samples, int64_t count, rn_error *err)
{
    if (count <= 0)
        return 0;
    if (!s->resampler)
        return channel_read(&s->from, samples, count, err);
    for (;;) {
        if (s->block_at == s->block_end && !s->ended) {
            int64_t got = channel_read(&s->from, s->block, RN_BLOCK, err);
            if (got < 0)
                return got;
            s->block_at = 0;
            s->block_end = got;
            s->ended = !got;
        }
        int64_t used = 0, made = 0;
        int status = rn_resampler_push(s->resampler, s->block + s->block_at, s->block_end - s->block_at, s->ended, &used, samples, count,
                                       &made, err);
        if (status)
            return status;
        s->block_at += used;
        if (made)
            return made;
        if (s->ended && !used)
            return 0;
    }
}

int rn_sound_stream_rate(const rn_sound_stream *s)
{
    return s->rate;
}

double rn_sound_stream_seconds(const rn_sound_stream *s)
{
    return s->seconds;
}

void rn_sound_stream_close(rn_sound_stream **stream)
{
    rn_sound_stream *s = *stream;
    if (!s)
        return;
    channel_free(&s->from);
    rn_resampler_close(&s->resampler);
    free(s);
    *stream = NULL;
}

int rn_sound_write_wav(const char *path, const float *samples, int64_t count, int rate, rn_error *err)
{
    SF_INFO info = {.samplerate = rate, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_PCM_16};
    short piece[1024];
    rn_save save;
    int status = rn_save_open(&save, path, err);
    if (status)
        return status;
    SNDFILE *file = sf_open_fd(fileno(save.file), SFM_WRITE, &info, SF_FALSE);
    if (!file)
        status = rn_error_set(err, RN_ERR_IO, "%s: cannot be written: %s", path, sf_strerror(NULL));
    for (int64_t at = 0; at < count && !status;) {
        int n = count - at < 1024 ? (int)(count - at) : 1024;
        for (int i = 0; i < n; i++) {
            double v = floor((double)samples[at + i] * 32768 + 0.5);
            piece[i] = (short)(v > 32767 ? 32767 : v > -32768 ? v : -32768); /* NaN becomes -32768 */
        }
        if (sf_write_short(file, piece, n) != n)
            status = rn_error_set(err, RN_ERR_IO, "%s: %s", path, sf_strerror(file));
        at += n;
    }
    if (file && sf_close(file) && !status)
        status = rn_error_set(err, RN_ERR_IO, "%s: could not be written to its end", path);
    if (!status)
        status = rn_save_commit(&save, err);
    rn_save_drop(&save);
    return status;
}
