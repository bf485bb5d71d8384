/* Windows of a recording, and what the network says about each.
 *
 * Window k covers samples [k hop, k hop + window). Where the last one that fits does not reach the end, one more ends at the end. A
 * recording up to 30 s (unless windows were asked for, or the sound is live), or shorter than a window, is one window. Features are
 * normalised over the window, as in judging (data/supply.h), so `predict` and `eval` give the same bits for the same recording.
 *
 * Windows of a file are heard in groups, a window to a thread with an engine of its own: the layers of one window are too small to be shared
 * out among threads well. Answers come in the order of the windows, with the bits of one at a time.
 *
 * Memory of a stream: one window and one hop, or 30 s while it may still turn out to be short. A file's groups add 30 s at most. */
#include "api/ear.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/maths.h"

#define WHOLE_S 30.0 /* as RN_WHOLE_S of data/supply.h; check_api compares the two */

enum { WINDOWS_PER_THREAD = 4 }; /* of a group: the threads end at nearly the same time */

static void ear_close(rn_ear **ear)
{
    rn_ear *e = *ear;
    if (!e)
        return;
    rn_extractor_close(&e->extractor);
    for (int i = 0; e->engines && i < e->threads; i++)
        rn_infer_close(&e->engines[i]);
    free(e->engines);
    free(e->heard);
    free(e->logits);
    free(e->probability);
    free(e->embedding);
    free(e);
    *ear = NULL;
}

int rn_ear_get(rn_session *s, const char *name, rn_ear **ear, rn_error *err)
{
    const json_t *section = rn_model_section(s->model, "features"), *pictures = rn_model_section(s->model, "pictures");
    const char *source = s->model->source ? s->model->source : "the model";
    int status = 0, classes = s->model->arch.classes, embedding = rn_graph_embedding(s->model->graph);
    *ear = s->ear;
    if (s->ear)
        return 0;
    rn_ear *e = calloc(1, sizeof *e);
    if (!e)
        return rn_error_memory(err, "listening", sizeof *e);
    e->threads = rn_pool_threads(s->pool);
    e->most = e->threads > 1 ? WINDOWS_PER_THREAD * e->threads : 1;
    size_t most = (size_t)e->most, numbers = (size_t)(classes + embedding + 1);
    e->logits = malloc(most * (size_t)(classes + 1) * sizeof(float));
    e->embedding = malloc(most * (size_t)(embedding + 1) * sizeof(float));
    e->probability = malloc((size_t)(classes + 1) * sizeof(float));
    e->heard = calloc(most, sizeof *e->heard);
    e->engines = calloc((size_t)e->threads, sizeof *e->engines);
    if (!e->logits || !e->probability || !e->embedding || !e->heard || !e->engines)
        status = rn_error_memory(err, "answers", most * (numbers * sizeof(float) + sizeof *e->heard));
    else if (pictures) {
        if (!(status = rn_pictures_from_json(&e->pictures, pictures, source, err)) && e->pictures.channels != s->model->arch.in_channels)
            status = rn_error_set(err, RN_ERR_MISMATCH, "%s: pictures of %d channels, the network takes %d", source, e->pictures.channels,
                                  s->model->arch.in_channels);
    } else if (section && !(status = rn_features_from_json(&e->features, section, source, err))) {
        if (s->model->arch.in_channels != 1)
            status = rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: the network takes %d channels, sound features have one", name,
                                  s->model->arch.in_channels);
        else
            status = rn_extractor_open(&e->extractor, &e->features, err);
    }
    if (status) {
        ear_close(&e);
        return status;
    }
    s->ear_close = ear_close;
    *ear = s->ear = e;
    return 0;
}

int rn_ear_picture(const rn_ear *ear, const char *name, const rn_listen *listen, const rn_image *in, float **x, int *height, int *width,
                   rn_error *err)
{
    const rn_pictures *p = &ear->pictures;
    rn_image read = {0}, out = {0};
    rn_image_options options = rn_pictures_decoding(p, listen ? listen->max_pixels : 0);
    int status = 0;
    *x = NULL;
    if (!p->channels)
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: a picture, and the model takes none: it has no section \"pictures\"%s", name,
                            ear->extractor ? "" : "; `resnet convert --preprocessing` gives it one");
    if (!in)
        status = rn_image_read(name, &options, &read, err);
    rn_error why;
    if (!status && (status = rn_pictures_prepare(p, in ? in : &read, &out, &why)))
        rn_error_set(err, status, "%s: %s", name, why.text);
    size_t bytes = (size_t)out.height * (size_t)out.width * (size_t)out.channels * sizeof **x;
    if (!status && !(*x = malloc(bytes)))
        status = rn_error_memory(err, name, bytes);
    if (!status)
        rn_pictures_numbers(p, &out, *x);
    *height = out.height;
    *width = out.width;
    rn_image_free(&read);
    rn_image_free(&out);
    return status;
}

int rn_ear_array(const rn_session *session, const char *path, rn_array *array, rn_error *err)
{
    int channels = session->model->arch.in_channels, status = rn_npy_read(path, array, err);
    if (status)
        return status;
    int64_t got = array->dims == 2 ? 1 : array->dims == 3 ? array->shape[0] : 0;
    int64_t h = got ? array->shape[array->dims - 2] : 0, w = got ? array->shape[array->dims - 1] : 0;
    if (got == channels && h >= 1 && w >= 1 && h <= 1000000 && w <= 1000000)
        return 0;
    rn_array_free(array);
    return rn_error_set(err, RN_ERR_SHAPE, "%s: want an array of %d x H x W", path, channels);
}

static int raw_kind(const char *name, rn_raw *raw)
{
    static const char *const names[] = {"s16le", "s24le", "s32le", "f32le", "u8", "mulaw", "alaw", "gsm"};
    static const rn_raw kinds[] = {RN_RAW_S16LE, RN_RAW_S24LE, RN_RAW_S32LE, RN_RAW_F32LE,
                                   RN_RAW_U8,    RN_RAW_MULAW, RN_RAW_ALAW,  RN_RAW_GSM};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(name, names[i]) == 0) {
            *raw = kinds[i];
            return 0;
        }
    return -1;
}

int rn_listen_sound(const rn_listen *listen, const rn_features *features, rn_sound_options *options, rn_error *err)
{
    memset(options, 0, sizeof *options);
    if (features) {
        options->rate = features->rate;
        options->channel = features->channel;
    }
    if (!listen)
        return 0;
    if (listen->channel < 0 || listen->raw_rate < 0 || listen->raw_channels < 0)
        return rn_error_set(err, RN_ERR_ARG, "--channel, --rate and --channels may not be negative");
    if (listen->channel)
        options->channel = listen->channel;
    if (listen->raw && raw_kind(listen->raw, &options->raw))
        return rn_error_set(err, RN_ERR_ARG, "--raw %s: want s16le, s24le, s32le, f32le, u8, mulaw, alaw or gsm", listen->raw);
    options->raw_rate = listen->raw_rate ? listen->raw_rate : options->raw == RN_RAW_GSM ? 8000 : 0;
    options->raw_channels = listen->raw_channels ? listen->raw_channels : 1;
    if (options->raw && !options->raw_rate)
        return rn_error_set(err, RN_ERR_ARG, "--raw %s: headerless samples do not say their rate: add --rate HZ", listen->raw);
    if (!options->raw && listen->raw_rate)
        return rn_error_set(err, RN_ERR_ARG, "--rate %d belongs to headerless samples: add --raw s16le (or another kind)",
                            listen->raw_rate);
    return 0;
}

void rn_listen_window(const rn_listen *listen, const rn_features *features, double start_s, rn_sound_options *options)
{
    double window = listen ? listen->window_s : 0;
    if (!(start_s >= 0) && !(window > 0))
        return;
    options->start_s = start_s >= 0 ? start_s : 0;
    options->end_s = options->start_s + (window > 0 ? window : features->seconds);
}

int rn_hearing_start(rn_hearing *h, rn_session *session, const rn_listen *listen, int live, const char *name, rn_answer_fn fn,
                     void *context, rn_error *err)
{
    int status;
    memset(h, 0, sizeof *h);
    h->session = session;
    h->name = name;
    h->fn = fn;
    h->context = context;
    h->background = -1;
    if (listen)
        h->listen = *listen;
    if ((status = rn_ear_get(session, name, &h->ear, err)))
        return status;
    if (!h->listen.want_embedding && (status = rn_model_wants_classes(session->model, session->model->source ? session->model->source : "the model", err)))
        return status;
    if (h->listen.background && (h->background = rn_model_find_label(session->model, h->listen.background)) < 0)
        return rn_error_set(err, RN_ERR_ARG, "--background %s: the model has no such label (%s and %d others)", h->listen.background,
                            session->model->arch.classes ? session->model->labels[0] : "none", session->model->arch.classes - 1);
    if (!(h->listen.min_probability >= 0 && h->listen.min_probability <= 1))
        return rn_error_set(err, RN_ERR_ARG, "--min-prob %g: want 0 to 1", h->listen.min_probability);
    if (!h->ear->extractor)
        return 0; /* arrays only */
    h->features = h->ear->features;
    double window = h->listen.window_s, hop = h->listen.hop_s, rate = h->features.rate;
    if (!(window >= 0 && window <= 3600) || !(hop >= 0 && hop <= 3600))
        return rn_error_set(err, RN_ERR_ARG, "--window %g, --hop %g: want at most 3600 s", window, hop);
    h->whole = live || window > 0 || hop > 0 ? 0 : (int64_t)(WHOLE_S * rate);
    h->window = (int64_t)floor((window > 0 ? window : h->features.seconds) * rate + 0.5);
    h->hop = hop > 0 ? (int64_t)floor(hop * rate + 0.5) : h->window;
    if (rn_features_frames(&h->features, h->window) < 1 || h->hop < 1)
        return rn_error_set(err, RN_ERR_ARG, "--window %g: shorter than one analysis window of %g ms", window, h->features.window_ms);
    double fit = WHOLE_S * rate / (double)h->hop;
    h->group = live || fit < 1 ? 1 : fit < h->ear->most ? (int)fit : h->ear->most;
    if ((double)h->window > WHOLE_S * rate)
        h->features.seconds = (double)h->window / rate; /* one piece although it is long */
    return 0;
}

void rn_hearing_end(rn_hearing *h)
{
    free(h->buffer);
    memset(h, 0, sizeof *h);
}

static int wants_embedding(const rn_hearing *h)
{
    return h->listen.want_embedding && rn_graph_embedding(h->session->model->graph);
}

/* Passes on what the network said: place `at` of the ear's logits and embeddings. */
static int answer_at(rn_hearing *h, int at, double start_s, double end_s, rn_error *err)
{
    const rn_model *model = h->session->model;
    rn_ear *ear = h->ear;
    int classes = model->arch.classes, best = classes ? 0 : -1;
    const float *logits = ear->logits + (size_t)at * (size_t)classes, *embedding = ear->embedding + (size_t)at * (size_t)rn_graph_embedding(model->graph);
    const float *answers = classes ? logits : embedding;
    for (int i = 0; i < (classes ? classes : rn_graph_embedding(model->graph)); i++)
        if (!isfinite(answers[i]))
            return rn_error_set(err, RN_ERR_NUMBER,
                                "%s: the network's answer is not a finite number; `resnet dump` shows the layer where it begins", h->name);
    if (classes)
        rn_model_probabilities(model, logits, ear->probability);
    for (int i = 1; i < classes; i++)
        if (ear->probability[i] > ear->probability[best])
            best = i;
    rn_answer answer = {start_s,
                        end_s,
                        best,
                        classes ? model->labels[best] : "",
                        classes ? ear->probability[best] : 0,
                        classes,
                        ear->probability,
                        logits,
                        wants_embedding(h) ? embedding : NULL};
    if (classes && answer.confidence < h->listen.min_probability)
        answer.label = "unknown";
    else if (classes && (best == h->background || (model->several && !(h->listen.min_probability > 0) &&
                                                   (double)answer.confidence < rn_model_threshold(model, best))))
        answer.label = "none";
    if (h->fn && h->fn(h->context, &answer))
        return rn_error_set(err, RN_ERR_CANCELLED, "%s: stopped after %.1f s", h->name, end_s);
    return 0;
}

int rn_hearing_network(rn_hearing *h, const float *x, int height, int width, double start_s, double end_s, rn_error *err)
{
    rn_ear *ear = h->ear;
    int status = rn_infer_run(h->session->engine, 1, height, width, x, ear->logits, wants_embedding(h) ? ear->embedding : NULL, err);
    return status ? status : answer_at(h, 0, start_s, end_s, err);
}

/* One window: samples [first, first + count) of the recording. */
static int answer_window(rn_hearing *h, const float *samples, int64_t first, int64_t count, rn_error *err)
{
    rn_views views;
    rn_error inner = {0};
    double rate = h->features.rate;
    int status = rn_views_make(h->ear->extractor, &h->features, samples, count, (double)first / rate, &views, &inner);
    if (status)
        return rn_error_set(err, status, "%s: %s", h->name, inner.text);
    for (int i = 0; i < views.windows && !status; i++)
        status = rn_hearing_network(h, views.x + (size_t)i * (size_t)views.h * (size_t)views.w, views.h, views.w, views.start_s[i],
                                    views.end_s[i], err);
    rn_views_free(&views);
    h->covered = first + count;
    return status;
}

/* Windows next, next + hop, ... of a hearing, of which `at` points to the first. */
typedef struct rn_group {
    rn_hearing *h;
    const float *at;
    const rn_packed *packed;
    int first; /* task of the first window: 1 where there is other work meanwhile, which goes first */
} rn_group;

static void hear_task(void *context, int task, int thread)
{
    const rn_group *g = context;
    rn_hearing *h = g->h;
    rn_ear *ear = h->ear;
    if (task < g->first) {
        h->meanwhile(h->meanwhile_context);
        return;
    }
    task -= g->first;
    rn_heard *heard = &ear->heard[task];
    rn_infer **engine = &ear->engines[thread];
    const rn_model *model = h->session->model;
    int64_t ahead = task * h->hop;
    rn_views views = {0};
    rn_error inner = {0};
    int status = rn_views_make(ear->extractor, &h->features, g->at + ahead, h->window, (double)(h->next + ahead) / h->features.rate, &views, &inner);
    if (status)
        rn_error_set(&heard->err, status, "%s: %s", h->name, inner.text);
    else if (*engine || !(status = rn_infer_open_shared(engine, model->graph, g->packed, NULL, &heard->err)))
        status = rn_infer_run(*engine, 1, views.h, views.w, views.x, ear->logits + (size_t)task * (size_t)model->arch.classes,
                              wants_embedding(h) ? ear->embedding + (size_t)task * (size_t)rn_graph_embedding(model->graph) : NULL, &heard->err);
    heard->status = status;
    if (!status) {
        heard->start_s = views.start_s[0]; /* one view: the window is not above 30 s, or the length of a view */
        heard->end_s = views.end_s[0];
    }
    rn_views_free(&views);
}

static int answer_group(rn_hearing *h, const float *at, int count, rn_error *err)
{
    rn_group group = {h, at, NULL, h->meanwhile != NULL};
    int status = rn_model_packed(h->session->model, &group.packed, err);
    if (status)
        return status;
    rn_pool_run(h->session->pool, group.first + count, hear_task, &group);
    for (int i = 0; i < count && !status; i++, h->next += h->hop) {
        const rn_heard *heard = &h->ear->heard[i];
        if (heard->status)
            return rn_error_set(err, heard->status, "%s", heard->err.text);
        status = answer_at(h, i, heard->start_s, heard->end_s, err);
        h->covered = h->next + h->window;
    }
    return status;
}

/* How many windows lie within samples up to `end`. */
static int64_t windows_ready(const rn_hearing *h, int64_t end)
{
    return end < h->next + h->window ? 0 : (end - h->window - h->next) / h->hop + 1;
}

/* Every window that lies within samples [origin, end), which `at` points to. */
static int answer_ready(rn_hearing *h, const float *at, int64_t origin, int64_t end, rn_error *err)
{
    int status = 0;
    for (int64_t ready; !status && (ready = windows_ready(h, end)) > 0;) {
        int count = ready < h->ear->most ? (int)ready : h->ear->most;
        if (count > 1) {
            status = answer_group(h, at + (h->next - origin), count, err);
        } else {
            status = answer_window(h, at + (h->next - origin), h->next, h->window, err);
            h->next += h->hop;
        }
    }
    return status;
}

/* What is left at the end of a recording of `end` samples. */
static int answer_rest(rn_hearing *h, const float *at, int64_t origin, int64_t end, rn_error *err)
{
    if (end == 0)
        return rn_error_set(err, RN_ERR_DATA, "%s: 0 samples", h->name);
    if (end <= h->whole || end < h->window)
        return answer_window(h, at, 0, end, err);
    int status = answer_ready(h, at, origin, end, err);
    if (!status && h->covered < end)
        status = answer_window(h, at + (end - h->window - origin), end - h->window, h->window, err);
    return status;
}

int rn_hearing_whole(rn_hearing *h, const float *samples, int64_t count, rn_error *err)
{
    return answer_rest(h, samples, 0, count, err);
}

/* Samples before the next window are not needed, except the last `window` of them, which the final window may want. */
static void forget(rn_hearing *h)
{
    int64_t end = h->origin + h->count, first = h->next < end - h->window ? h->next : end - h->window;
    if (first <= h->origin)
        return;
    int64_t drop = first - h->origin;
    memmove(h->buffer, h->buffer + drop, (size_t)(h->count - drop) * sizeof(float));
    h->origin = first;
    h->count -= drop;
}

int rn_hearing_catch_up(rn_hearing *h, rn_error *err)
{
    if (h->origin + h->count <= h->whole)
        return 0; /* it may still be short */
    int status = answer_ready(h, h->buffer, h->origin, h->origin + h->count, err);
    forget(h);
    return status;
}

int rn_hearing_push(rn_hearing *h, const float *samples, int64_t count, rn_error *err)
{
    int status = 0;
    while (count > 0 && !status) {
        int64_t most = h->whole > h->window ? h->whole : h->window, take = count < most ? count : most;
        if (h->count + take > h->room) {
            int64_t room = h->count + take + h->window;
            float *larger = realloc(h->buffer, (size_t)room * sizeof(float));
            if (!larger)
                return rn_error_memory(err, "sound", (unsigned long long)room * sizeof(float));
            h->buffer = larger;
            h->room = room;
        }
        memcpy(h->buffer + h->count, samples, (size_t)take * sizeof(float));
        h->count += take;
        samples += take;
        count -= take;
        if (windows_ready(h, h->origin + h->count) >= h->group)
            status = rn_hearing_catch_up(h, err);
    }
    return status;
}

int rn_hearing_finish(rn_hearing *h, rn_error *err)
{
    return answer_rest(h, h->buffer, h->origin, h->origin + h->count, err);
}
