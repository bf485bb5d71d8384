/* Files, memory and PCM to answers; live streams. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/ear.h"
#include "base/cpu.h"
#include "formats/npy.h"
#include "media/resample.h"

enum { PIECE = 4096 };

static int is_array(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && strcasecmp(dot, ".npy") == 0;
}

/* [C][H][W], [N][C][H][W], or [H][W] for a network with one channel. */
static int answer_array(rn_hearing *h, const rn_array *array, rn_error *err)
{
    int channels = h->session->model->arch.in_channels, dims = array->dims, status = 0;
    int64_t count = dims == 4 ? array->shape[0] : 1, c = dims >= 3 ? array->shape[dims - 3] : 1;
    if (dims < 2 || dims > 4 || c != channels)
        return rn_error_set(err, RN_ERR_SHAPE, "%s: want an array of %d x H x W, or N of them; the file has %d dimensions%s", h->name,
                            channels, dims, dims >= 3 ? " and another number of channels" : "");
    int64_t height = array->shape[dims - 2], width = array->shape[dims - 1], size = c * height * width;
    if (count < 1 || height < 1 || width < 1 || height > 1000000 || width > 1000000)
        return rn_error_set(err, RN_ERR_SHAPE, "%s: nothing in it", h->name);
    for (int64_t i = 0; i < array->count; i++)
        if (!isfinite(array->data[i]))
            return rn_error_set(err, RN_ERR_DATA, "%s: value %lld is not a finite number", h->name, (long long)i);
    for (int64_t n = 0; n < count && !status; n++)
        status = rn_hearing_network(h, array->data + n * size, (int)height, (int)width, 0, 0, err);
    return status;
}

static int need_sound(const rn_hearing *h, rn_error *err)
{
    if (h->ear->extractor)
        return 0;
    return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: the model has no sound features: it takes %s", h->name,
                        h->ear->pictures.channels ? "pictures, and .npy files" : ".npy files");
}

static int answer_picture(rn_hearing *h, const rn_image *in, rn_error *err)
{
    float *x;
    if (!in && strcmp(h->name, "standard input") == 0)
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "standard input: the model takes pictures, which are read from files alone");
    if (!in && rn_sound_known(h->name) && h->ear->pictures.channels)
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: a recording, and the model takes pictures", h->name);
    int height, width, status = rn_ear_picture(h->ear, h->name, &h->listen, in, &x, &height, &width, err);
    if (!status)
        status = rn_hearing_network(h, x, height, width, 0, 0, err);
    free(x);
    return status;
}

/* A file being decoded, a piece ahead of what is heard. */
typedef struct decoding {
    rn_sound_stream *stream;
    float *next;       /* [size] decoded and not yet heard */
    int64_t size, got; /* got 0: at the end */
    int ahead;         /* `next` is ready */
    int live;          /* what has arrived will do */
    int ended, status; /* nothing more comes; because of an error */
    rn_error err;
} decoding;

static void decode_ahead(void *context)
{
    decoding *d = context;
    if (d->ahead)
        return;
    d->ahead = 1;
    d->got = 0;
    while (!d->ended && d->got < d->size && !(d->live && d->got)) {
        int64_t got = rn_sound_stream_read(d->stream, d->next + d->got, d->size - d->got, &d->err);
        d->got += got > 0 ? got : 0;
        d->ended = got <= 0;
        d->status = got < 0 ? (int)got : 0;
    }
}

static int hear_file(rn_hearing *h, const char *path, rn_error *err)
{
    rn_sound_options options;
    decoding d = {.live = h->group == 1, .size = h->group == 1 ? PIECE : h->group * h->hop};
    float *piece = NULL;
    int status;
    if ((status = need_sound(h, err)) || (status = rn_listen_sound(&h->listen, &h->features, &options, err)) ||
        (status = rn_sound_stream_open(&d.stream, path, &options, err)))
        return status;
    piece = malloc((size_t)d.size * sizeof *piece);
    d.next = malloc((size_t)d.size * sizeof *piece);
    if (!piece || !d.next)
        status = rn_error_memory(err, "sound", 2 * (unsigned long long)d.size * sizeof *piece);
    h->meanwhile = h->group > 1 ? decode_ahead : NULL;
    h->meanwhile_context = &d;
    while (!status) {
        decode_ahead(&d);
        if (!d.got)
            break;
        float *heard = d.next;
        d.next = piece;
        piece = heard;
        d.ahead = 0;
        status = rn_hearing_push(h, piece, d.got, err);
    }
    h->meanwhile = NULL;
    if (!status && d.status && !(status = rn_hearing_catch_up(h, err)))
        status = rn_error_set(err, d.status, "%s", d.err.text);
    if (!status)
        status = rn_hearing_finish(h, err);
    free(piece);
    free(d.next);
    rn_sound_stream_close(&d.stream);
    return status;
}

int rn_session_file(rn_session *session, const char *path, const rn_listen *listen, rn_answer_fn fn, void *context, rn_error *err)
{
    rn_hearing h;
    rn_array array = {0};
    int live = strcmp(path, "-") == 0;
    unsigned state = rn_fp_enter();
    int status = rn_hearing_start(&h, session, listen, live, live ? "standard input" : path, fn, context, err);
    if (!status && is_array(path)) {
        if (!(status = rn_npy_read(path, &array, err)))
            status = answer_array(&h, &array, err);
    } else if (!status) {
        status = h.ear->pictures.channels || rn_image_known(path) ? answer_picture(&h, NULL, err) : hear_file(&h, path, err);
    }
    rn_array_free(&array);
    rn_hearing_end(&h);
    rn_fp_leave(state);
    return status;
}

int rn_session_memory(rn_session *session, const char *name, const void *data, size_t size, const rn_listen *listen, rn_answer_fn fn,
                      void *context, rn_error *err)
{
    rn_hearing h;
    rn_array array = {0};
    rn_sound sound = {0};
    rn_image picture = {0};
    rn_sound_options options;
    unsigned state = rn_fp_enter();
    int status = rn_hearing_start(&h, session, listen, 0, name, fn, context, err);
    if (!status && is_array(name)) {
        if (!(status = rn_npy_parse(name, data, size, &array, err)))
            status = answer_array(&h, &array, err);
    } else if (!status && h.ear->pictures.channels) {
        const rn_image_options how = rn_pictures_decoding(&h.ear->pictures, h.listen.max_pixels);
        if (!(status = rn_image_read_memory(name, data, size, &how, &picture, err)))
            status = answer_picture(&h, &picture, err);
    } else if (!status && !(status = need_sound(&h, err)) && !(status = rn_listen_sound(&h.listen, &h.features, &options, err)) &&
               !(status = rn_sound_read_memory(name, data, (int64_t)size, &options, &sound, err))) {
        status = rn_hearing_whole(&h, sound.samples, sound.count, err);
    }
    rn_array_free(&array);
    rn_sound_free(&sound);
    rn_image_free(&picture);
    rn_hearing_end(&h);
    rn_fp_leave(state);
    return status;
}

int rn_session_pcm(rn_session *session, const float *samples, int64_t count, int rate_hz, const rn_listen *listen, rn_answer_fn fn,
                   void *context, rn_error *err)
{
    rn_hearing h;
    float *resampled = NULL;
    if (count < 0 || (count && !samples) || rate_hz < 1)
        return rn_error_set(err, RN_ERR_ARG, "samples: want a count of 0 or more and a rate of at least 1 Hz");
    unsigned state = rn_fp_enter();
    int status = rn_hearing_start(&h, session, listen, 0, "samples", fn, context, err);
    if (!status && !(status = need_sound(&h, err))) {
        if (rate_hz != h.features.rate && count &&
            !(status = rn_sound_resample(samples, count, rate_hz, h.features.rate, &resampled, &count, err)))
            samples = resampled;
        if (!status)
            status = rn_hearing_whole(&h, samples, count, err);
    }
    free(resampled);
    rn_hearing_end(&h);
    rn_fp_leave(state);
    return status;
}

int rn_answer_top(const rn_answer *answer, int n, int *order)
{
    int count = 0;
    for (int i = 0; i < answer->classes && n > 0; i++) {
        if (count == n && !(answer->probability[i] > answer->probability[order[n - 1]]))
            continue;
        int at = count < n ? count++ : n - 1;
        for (; at > 0 && answer->probability[i] > answer->probability[order[at - 1]]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    return count;
}

/* ---- Live streams ---- */

struct rn_stream {
    rn_hearing hearing;
    rn_resampler *resampler; /* NULL: the rate is the model's */
    int finished;
};

int rn_stream_open(rn_stream **stream, rn_session *session, int rate_hz, const rn_listen *listen, rn_answer_fn fn, void *context,
                   rn_error *err)
{
    int status;
    *stream = NULL;
    if (rate_hz < 1)
        return rn_error_set(err, RN_ERR_ARG, "stream: a rate of %d Hz: want at least 1", rate_hz);
    rn_stream *s = calloc(1, sizeof *s);
    if (!s)
        return rn_error_memory(err, "a stream", sizeof *s);
    if ((status = rn_hearing_start(&s->hearing, session, listen, 1, "stream", fn, context, err)) || (status = need_sound(&s->hearing, err)))
        goto fail;
    if (rate_hz != s->hearing.features.rate &&
        (status = rn_resampler_open(&s->resampler, (double)s->hearing.features.rate / rate_hz, RN_RESAMPLE_FILE, err)))
        goto fail;
    *stream = s;
    s = NULL;
fail:
    rn_stream_close(&s);
    return status;
}

/* Through the resampler; end: what it still holds comes too. */
static int push_resampled(rn_stream *s, const float *samples, int64_t count, int end, rn_error *err)
{
    float piece[PIECE];
    int64_t used, made;
    int status = 0;
    do {
        if ((status = rn_resampler_push(s->resampler, samples, count, end, &used, piece, PIECE, &made, err)))
            return status;
        samples += used;
        count -= used;
        if (made)
            status = rn_hearing_push(&s->hearing, piece, made, err);
    } while (!status && (count > 0 || made > 0) && (used || made));
    return status;
}

int rn_stream_push(rn_stream *s, const float *samples, int64_t count, rn_error *err)
{
    if (s->finished)
        return rn_error_set(err, RN_ERR_ARG, "stream: samples after the end");
    if (count < 0 || (count && !samples))
        return rn_error_set(err, RN_ERR_ARG, "stream: want samples, and a count of 0 or more");
    if (!count)
        return 0;
    unsigned state = rn_fp_enter();
    int status = s->resampler ? push_resampled(s, samples, count, 0, err) : rn_hearing_push(&s->hearing, samples, count, err);
    rn_fp_leave(state);
    return status;
}

int rn_stream_finish(rn_stream *s, rn_error *err)
{
    int status = 0;
    if (s->finished)
        return rn_error_set(err, RN_ERR_ARG, "stream: it is finished");
    unsigned state = rn_fp_enter();
    s->finished = 1;
    if (s->resampler)
        status = push_resampled(s, NULL, 0, 1, err);
    if (!status)
        status = rn_hearing_finish(&s->hearing, err);
    rn_fp_leave(state);
    return status;
}

void rn_stream_close(rn_stream **stream)
{
    rn_stream *s = *stream;
    if (!s)
        return;
    rn_resampler_close(&s->resampler);
    rn_hearing_end(&s->hearing);
    free(s);
    *stream = NULL;
}
