/* `resnet dump`: one stage between a file and the logits. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/ear.h"
#include "api/given.h"
#include "api/result.h"
#include "base/cpu.h"
#include "formats/npy.h"
#include "resnet_tools.h"

typedef struct dump {
    float *data; /* owned */
    int dims;
    int64_t shape[4];
} dump;

typedef struct catcher {
    const char *name; /* the layer that is wanted; NULL: list them all */
    dump *out;
    json_t *list;
    int failed;
} catcher;

static void on_layer(void *context, const rn_layer_event *event)
{
    catcher *c = context;
    size_t size = (size_t)event->c * (size_t)event->h * (size_t)event->w;
    if (!c->name) {
        rn_result_add(&c->list,
                      json_pack("{s:o, s:[i,i,i]}", "stage", json_sprintf("layer:%s", event->name), "shape", event->c, event->h, event->w));
        return;
    }
    if (c->out->data || strcmp(event->name, c->name) || !event->data)
        return;
    c->out->data = malloc(size * sizeof(float));
    if (!c->out->data) {
        c->failed = 1;
        return;
    }
    memcpy(c->out->data, event->data, size * sizeof(float));
    c->out->dims = 3;
    c->out->shape[0] = event->c;
    c->out->shape[1] = event->h;
    c->out->shape[2] = event->w;
}

/* Runs the network on x [1][C][h][w] with the catcher at every step. */
static int run_layers(rn_session *s, const float *x, int h, int w, catcher *c, rn_error *err)
{
    rn_ear *ear;
    int status = rn_ear_get(s, "dump", &ear, err);
    if (!status && !(status = rn_infer_hook(s->engine, on_layer, c, c->name != NULL, err)))
        status = rn_infer_run(s->engine, 1, h, w, x, ear->logits, rn_graph_embedding(s->model->graph) ? ear->embedding : NULL, err);
    if (!status && c->failed)
        status = rn_error_memory(err, c->name, 0);
    if (!status && c->name && !c->out->data)
        status = rn_error_set(err, RN_ERR_ARG, "--stage layer:%s: the network has no step of this name; --list prints them", c->name);
    return status;
}

static int read_sound(const char *path, const rn_listen *listen, double start_s, const rn_features *features, int resample, rn_sound *sound,
                      rn_error *err)
{
    rn_sound_options options;
    int status = rn_listen_sound(listen, features, &options, err);
    if (!status)
        rn_listen_window(listen, features, start_s, &options);
    if (!resample)
        options.rate = 0;
    return status ? status : rn_sound_read(path, &options, sound, err);
}

static int dump_array(rn_session *s, const char *path, const char *layer, dump *out, rn_error *err)
{
    rn_array array = {0};
    catcher c = {layer, out, NULL, 0};
    int status = rn_ear_array(s, path, &array, err);
    if (!status)
        status = run_layers(s, array.data, (int)array.shape[array.dims - 2], (int)array.shape[array.dims - 1], &c, err);
    rn_array_free(&array);
    return status;
}

/* The layers of the one window that was read. */
static int dump_layer(rn_session *s, const char *path, const rn_ear *ear, const rn_sound *sound, const char *layer, dump *out,
                      rn_error *err)
{
    rn_views views = {0};
    rn_error inner = {0};
    catcher c = {layer, out, NULL, 0};
    int status = rn_views_make(ear->extractor, &ear->features, sound->samples, sound->count, 0, &views, &inner);
    if (status)
        rn_error_set(err, status, "%s: %s", path, inner.text);
    else if (views.windows > 1)
        status =
            rn_error_set(err, RN_ERR_ARG, "%s: %.0f s long, which is answered window by window: say which one to dump with --start SECONDS",
                         path, (double)sound->count / ear->features.rate);
    else
        status = run_layers(s, views.x, views.h, views.w, &c, err);
    rn_views_free(&views);
    return status;
}

static int dump_sound(rn_session *s, const char *path, const rn_listen *listen, double start_s, const char *stage, dump *out, rn_error *err)
{
    rn_ear *ear;
    rn_sound sound = {0};
    rn_error inner = {0};
    int64_t frames = 0;
    int decode = strcmp(stage, "decode") == 0, status = rn_ear_get(s, path, &ear, err);
    if (status)
        return status;
    if (!ear->extractor)
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: the model has no sound features: it takes .npy arrays", path);
    if ((status = read_sound(path, listen, start_s, &ear->features, !decode, &sound, err)))
        return status;
    if (decode || strcmp(stage, "resample") == 0) {
        out->data = sound.samples;
        out->dims = 1;
        out->shape[0] = sound.count;
        sound.samples = NULL;
    } else if (strcmp(stage, "features") == 0) {
        status = rn_extractor_run(ear->extractor, sound.samples, sound.count, &out->data, &frames, &inner);
        out->dims = 2;
        out->shape[0] = ear->features.bins;
        out->shape[1] = frames;
        if (status)
            rn_error_set(err, status, "%s: %s", path, inner.text);
    } else {
        status = dump_layer(s, path, ear, &sound, stage + 6, out, err);
    }
    rn_sound_free(&sound);
    return status;
}

/* "decode", "resize" (and crop): [height][width][channels] of bytes; or the layers. */
static int dump_picture(rn_session *s, const char *path, const rn_listen *listen, const char *stage, dump *out, rn_error *err)
{
    rn_ear *ear;
    rn_image image = {0}, sized = {0};
    float *x = NULL;
    rn_error why;
    int height, width, status = rn_ear_get(s, path, &ear, err);
    if (status)
        return status;
    if (strcmp(stage, "decode") == 0 || strcmp(stage, "resize") == 0) {
        rn_image_options options = rn_pictures_decoding(&ear->pictures, listen ? listen->max_pixels : 0);
        status = rn_image_read(path, &options, &image, err);
        if (!status && strcmp(stage, "resize") == 0)
            if ((status = rn_pictures_prepare(&ear->pictures, &image, &sized, &why)))
                rn_error_set(err, status, "%s: %s", path, why.text);
        const rn_image *from = sized.pixels ? &sized : &image;
        out->dims = 3;
        out->shape[0] = from->height;
        out->shape[1] = from->width;
        out->shape[2] = from->channels;
        size_t count = (size_t)from->height * (size_t)from->width * (size_t)from->channels;
        if (!status && !(out->data = malloc(count * sizeof *out->data)))
            status = rn_error_memory(err, path, count * sizeof *out->data);
        for (size_t i = 0; i < count && !status; i++)
            out->data[i] = from->pixels[i];
    } else if (!(status = rn_ear_picture(ear, path, listen, NULL, &x, &height, &width, err))) {
        catcher c = {stage + 6, out, NULL, 0};
        status = run_layers(s, x, height, width, &c, err);
    }
    free(x);
    rn_image_free(&image);
    rn_image_free(&sized);
    return status;
}

/* A stage before the layers of what this model takes. */
static int is_before(const rn_model *model, const char *stage)
{
    static const char *const sound[] = {"decode", "resample", "features"}, *const pictures[] = {"decode", "resize"};
    int found = 0;
    for (int i = 0; i < 3 && !rn_model_section(model, "pictures"); i++)
        found |= !strcmp(stage, sound[i]);
    for (int i = 0; i < 2 && rn_model_section(model, "pictures"); i++)
        found |= !strcmp(stage, pictures[i]);
    return found;
}

static json_t *summary(const char *stage, const dump *d)
{
    json_t *shape = json_array();
    int64_t count = 1, broken = 0;
    double low = 0, high = 0, sum = 0;
    for (int i = 0; i < d->dims; i++) {
        rn_result_add(&shape, json_integer(d->shape[i]));
        count *= d->shape[i];
    }
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(d->data[i])) {
            broken++;
            continue;
        }
        low = i == broken || d->data[i] < low ? d->data[i] : low;
        high = i == broken || d->data[i] > high ? d->data[i] : high;
        sum += d->data[i];
    }
    return json_pack("{s:s, s:o, s:f, s:f, s:f, s:I}", "stage", stage, "shape", shape, "min", low, "max", high, "mean",
                     count > broken ? sum / (double)(count - broken) : 0.0, "not_finite", (json_int_t)broken);
}

int rn_tools_dump(const rn_model *model, const char *path, const rn_listen *listen, double start_s, const char *stage, const char *out,
                  char **result, rn_error *err)
{
    dump d = {0};
    rn_session *s = NULL;
    const char *dot = strrchr(path, '.');
    int layer = strncmp(stage, "layer:", 6) == 0, array = dot && strcasecmp(dot, ".npy") == 0, status;
    int pictures = rn_model_section(model, "pictures") != NULL;
    unsigned state = rn_fp_enter();
    *result = NULL;
    if (!layer && !is_before(model, stage)) {
        status = rn_error_set(err, RN_ERR_ARG, "--stage %s: want decode, %s or layer:NAME; --list prints the layers", stage,
                              pictures ? "resize" : "resample, features");
        goto fail;
    }
    if (array && !layer) {
        status = rn_error_set(err, RN_ERR_ARG, "%s: an array goes to the network as it is; only layer:NAME can be dumped", path);
        goto fail;
    }
    if (pictures && !array && start_s >= 0) {
        status = rn_error_set(err, RN_ERR_ARG, "%s: --start belongs to recordings", path);
        goto fail;
    }
    if ((status = rn_session_open(&s, model, NULL, err)) ||
        (status = array      ? dump_array(s, path, stage + 6, &d, err)
                  : pictures ? dump_picture(s, path, listen, stage, &d, err)
                             : dump_sound(s, path, listen, start_s, stage, &d, err)) ||
        (out && (status = rn_npy_write(out, d.data, d.dims, d.shape, err))))
        goto fail;
    *result = rn_result_text(summary(stage, &d), err);
    status = *result ? 0 : RN_ERR_MEMORY;
fail:
    free(d.data);
    rn_session_close(&s);
    rn_fp_leave(state);
    return status;
}

int rn_tools_dump_list(const rn_model *model, char **result, rn_error *err)
{
    static const char *const before[] = {"decode", "resample", "features", "resize"};
    rn_session *s = NULL;
    int channels, h, w, status;
    float *x = NULL;
    catcher c = {NULL, NULL, json_array(), 0};
    unsigned state = rn_fp_enter();
    *result = NULL;
    rn_model_input(model, &channels, &h, &w);
    if (!h)
        h = 64, w = 200; /* as the usual spectrogram; the file does not say */
    x = calloc((size_t)channels * (size_t)h * (size_t)w, sizeof *x);
    if (!x || !c.list) {
        status = rn_error_memory(err, "an input", (unsigned long long)channels * (unsigned)h * (unsigned)w * sizeof *x);
        goto fail;
    }
    for (int i = 0; i < 4 && (rn_model_section(model, "features") || rn_model_section(model, "pictures")); i++)
        if (is_before(model, before[i]))
            rn_result_add(&c.list, json_pack("{s:s, s:[]}", "stage", before[i], "shape"));
    if ((status = rn_session_open(&s, model, NULL, err)) || (status = run_layers(s, x, h, w, &c, err)))
        goto fail;
    *result = rn_result_text(c.list, err);
    c.list = NULL;
    status = *result ? 0 : RN_ERR_MEMORY;
fail:
    json_decref(c.list);
    free(x);
    rn_session_close(&s);
    rn_fp_leave(state);
    return status;
}
