/* `resnet explain`: where in a recording, or an array, the evidence for a class lies. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/ear.h"
#include "api/given.h"
#include "api/result.h"
#include "base/cpu.h"
#include "formats/npy.h"
#include "judge/evaluate.h"
#include "judge/explain.h"
#include "judge/picture.h"
#include "resnet_tools.h"

typedef enum method { GRAD_CAM, GRAD_CAM_PP, OCCLUSION, METHODS } method;
static const char *const methods[METHODS] = {"grad-cam", "grad-cam++", "occlusion"};
static const char *const bars[METHODS] = {"Grad-CAM", "Grad-CAM++", "probability lost, of the most"};

typedef struct explanation {
    rn_session *session;
    const rn_ear *ear;
    const char *path;
    method method;
    int node, label;       /* the layer's value; the class that is explained */
    int patch_h, patch_w;
    int c, h, w;
    float *x;              /* [c][h][w] */
    double start_s, end_s; /* end_s 0: an array */
    rn_image image;        /* of a picture: what the network sees */
    float *map, *heat;     /* map [map_h][map_w] as computed; heat [h][w] from 0 to 1 */
    int map_h, map_w;
} explanation;

/* --- what is explained ------------------------------------------------------------------------------------------------------------ */

static void read_method(rn_given *g, explanation *e)
{
    const char *name = rn_given_text(g, "method", methods[GRAD_CAM]), *layer = rn_given_text(g, "layer", NULL), *label = rn_given_text(g, "class", NULL);
    const char *patch = rn_given_text(g, "patch", NULL);
    const rn_model *model = e->session->model;
    for (e->method = 0; e->method < METHODS && strcmp(name, methods[e->method]); e->method++)
        ;
    if (e->method == METHODS)
        rn_given_fail(g, RN_ERR_ARG, "--method %s: want grad-cam, grad-cam++ or occlusion", name);
    e->node = rn_explain_layer(model->graph, layer);
    if (e->node < 0)
        rn_given_fail(g, RN_ERR_ARG, "--layer %s: no convolution of this network whose value is behind a ReLU has this name; `resnet dump MODEL --list` prints the layers",
                      layer ? layer : "(the last)");
    if (layer && e->method == OCCLUSION)
        rn_given_fail(g, RN_ERR_ARG, "--layer belongs to grad-cam and grad-cam++: occlusion covers the input");
    e->label = label ? rn_model_find_label(model, label) : -1;
    if (label && e->label < 0)
        rn_given_fail(g, RN_ERR_ARG, "--class %s: the model has no such label (%s and %d others)", label, model->labels[0], model->arch.classes - 1);
    if (patch && (sscanf(patch, "%dx%d", &e->patch_h, &e->patch_w) != 2 || e->patch_h < 1 || e->patch_w < 1))
        rn_given_fail(g, RN_ERR_ARG, "--patch %s: want ROWSxCOLUMNS, such as 8x12", patch);
    if (patch && e->method != OCCLUSION)
        rn_given_fail(g, RN_ERR_ARG, "--patch belongs to --method occlusion");
}

static int read_array(explanation *e, rn_error *err)
{
    rn_array array = {0};
    int status = rn_ear_array(e->session, e->path, &array, err);
    if (status)
        return status;
    e->c = e->session->model->arch.in_channels;
    e->h = (int)array.shape[array.dims - 2];
    e->w = (int)array.shape[array.dims - 1];
    e->x = array.data;
    return 0;
}

/* The whole of a short recording, or one window of a long one: from start_s where that is not negative. */
static int read_sound(explanation *e, const rn_listen *listen, double start_s, rn_error *err)
{
    const rn_features *f = &e->ear->features;
    rn_sound_options options;
    rn_sound sound = {0};
    rn_views views = {0};
    rn_error inner = {0};
    int status = rn_listen_sound(listen, f, &options, err);
    if (status)
        return status;
    rn_listen_window(listen, f, start_s, &options);
    if ((status = rn_sound_read(e->path, &options, &sound, err)))
        return status;
    if (!(status = rn_views_make(e->ear->extractor, f, sound.samples, sound.count, options.start_s, &views, &inner)) && views.windows > 1)
        status = rn_error_set(err, RN_ERR_ARG, "%s: %.0f s long, which is answered window by window: say which one to explain with --start SECONDS", e->path,
                              (double)sound.count / f->rate);
    else if (status)
        rn_error_set(err, status, "%s: %s", e->path, inner.text);
    rn_sound_free(&sound);
    if (!status) {
        e->c = views.c;
        e->h = views.h;
        e->w = views.w;
        e->start_s = views.start_s[0];
        e->end_s = views.end_s[0];
        e->x = views.x;
        views.x = NULL;
    }
    rn_views_free(&views);
    return status;
}

/* --- explaining -------------------------------------------------------------------------------------------------------------------- */

static int by_gradient(explanation *e, rn_error *err)
{
    const rn_model *m = e->session->model;
    float *value, *gradient;
    int shape[3], status = rn_explain_gradient(m->graph, m->weights, m->stats, e->session->pool, e->x, e->h, e->w, e->node, e->label, &value, &gradient, shape, err);
    if (status)
        return status;
    e->map_h = shape[1];
    e->map_w = shape[2];
    e->map = malloc((size_t)e->map_h * (size_t)e->map_w * sizeof(float));
    status = e->map ? rn_cam(value, gradient, shape[0], shape[1], shape[2], e->method == GRAD_CAM_PP, e->map, err)
                    : rn_error_memory(err, "an explanation", (size_t)e->map_h * (size_t)e->map_w * sizeof(float));
    free(value);
    free(gradient);
    if (status)
        return status;
    float *stretched = malloc((size_t)e->map_h * (size_t)e->map_w * sizeof(float));
    if (!stretched)
        return rn_error_memory(err, "an explanation", (size_t)e->map_h * (size_t)e->map_w * sizeof(float));
    memcpy(stretched, e->map, (size_t)e->map_h * (size_t)e->map_w * sizeof(float));
    rn_heat(stretched, e->map_h, e->map_w, e->heat, e->h, e->w);
    free(stretched);
    return 0;
}

static int by_occlusion(explanation *e, rn_progress_fn progress, void *context, rn_error *err)
{
    int64_t pixels = (int64_t)e->h * e->w;
    rn_occlusion o = {.patch_h = e->patch_h ? e->patch_h : e->h / 8 + 1,
                      .patch_w = e->patch_w ? e->patch_w : e->w / 8 + 1,
                      .temperature = e->session->model->temperature,
                      .several = e->session->model->several};
    double sum = 0;
    for (int64_t i = 0; i < e->c * pixels; i++)
        sum += (double)e->x[i];
    o.fill = (float)(sum / (double)(e->c * pixels));
    o.step_h = (o.patch_h + 1) / 2;
    o.step_w = (o.patch_w + 1) / 2;
    e->map_h = e->h;
    e->map_w = e->w;
    if (!(e->map = malloc((size_t)pixels * sizeof(float))))
        return rn_error_memory(err, "an explanation", (size_t)pixels * sizeof(float));
    int status = rn_occlude(e->session->engine, e->session->model->arch.classes, e->c, e->h, e->w, e->x, e->label, &o, progress, context, e->map, err);
    float most = 0;
    for (int64_t i = 0; i < pixels && !status; i++)
        most = e->map[i] > most ? e->map[i] : most;
    for (int64_t i = 0; i < pixels && !status; i++)
        e->heat[i] = most > 0 && e->map[i] > 0 ? e->map[i] / most : 0;
    return status;
}

static int take_answer(void *context, const rn_answer *a)
{
    *(int *)context = a->best;
    return 0;
}

/* The network's answer, by the way that `predict` takes: logits and probabilities stay in the ear. */
static int answer(explanation *e, int *best, rn_error *err)
{
    rn_hearing h;
    int status = rn_hearing_start(&h, e->session, NULL, 0, e->path, take_answer, best, err);
    if (!status)
        status = rn_hearing_network(&h, e->x, e->h, e->w, e->start_s, e->end_s, err);
    rn_hearing_end(&h);
    return status;
}

/* --- results ------------------------------------------------------------------------------------------------------------------------ */

static int64_t hottest(const explanation *e)
{
    int64_t at = 0;
    for (int64_t i = 1; i < (int64_t)e->h * e->w; i++)
        at = e->heat[i] > e->heat[at] ? i : at;
    return at;
}

static json_t *result_of(const explanation *e, int best, const double *hz)
{
    const rn_model *m = e->session->model;
    const char *layer = e->method == OCCLUSION ? "input" : rn_explain_layer_name(m->graph, e->node);
    json_t *map = json_array();
    int64_t at = hottest(e);
    int row = (int)(at / e->w), column = (int)(at % e->w);
    for (int r = 0; r < e->map_h && map; r++) {
        json_t *values = json_array();
        for (int c = 0; c < e->map_w && values; c++)
            rn_result_add(&values, json_real((double)e->map[(int64_t)r * e->map_w + c]));
        rn_result_add(&map, values);
    }
    json_t *all = json_pack("{s:o, s:f, s:f, s:{s:s, s:f}, s:{s:s, s:f, s:f}, s:s, s:s, s:[i,i], s:{s:i, s:i}, s:o}", "path", rn_result_path(e->path), "start_s", e->start_s,
                            "end_s", e->end_s, "answer", "label", m->labels[best], "probability", (double)e->ear->probability[best], "class", "label", m->labels[e->label],
                            "probability", (double)e->ear->probability[e->label], "logit", (double)e->ear->logits[e->label], "method", methods[e->method], "layer", layer,
                            "shape", e->map_h, e->map_w, "strongest", "row", row, "column", column, "map", map);
    if (all && e->end_s > 0) {
        json_t *strongest = json_object_get(all, "strongest");
        rn_result_set(&all, "input", json_pack("[i,i]", e->h, e->w));
        json_object_set_new(strongest, "seconds", json_real(e->start_s + (column + 0.5) * (e->end_s - e->start_s) / e->w));
        json_object_set_new(strongest, "hz", json_real(hz[row]));
    }
    return all;
}

static int draw(const explanation *e, int best, const double *hz, const char *png, rn_error *err)
{
    const rn_model *m = e->session->model;
    const char *slash = strrchr(e->path, '/');
    json_t *name = rn_result_path(slash ? slash + 1 : e->path);
    char title[600], subtitle[600], layer[120] = "";
    if (!name)
        return rn_error_memory(err, "a title", 0);
    if (e->method != OCCLUSION)
        snprintf(layer, sizeof layer, " at %s", rn_explain_layer_name(m->graph, e->node));
    snprintf(title, sizeof title, "%s: %s %.1f %%", json_string_value(name), m->labels[best], 100 * (double)e->ear->probability[best]);
    snprintf(subtitle, sizeof subtitle, "evidence for %s (%.1f %%), %s%s", m->labels[e->label], 100 * (double)e->ear->probability[e->label], methods[e->method], layer);
    rn_picture picture = {.title = title, .subtitle = subtitle, .bar = bars[e->method], .input = e->x, .heat = e->heat, .image = e->image.pixels ? &e->image : NULL, .h = e->h, .w = e->w, .start_s = e->start_s,
        .end_s = e->end_s, .hz = e->end_s > 0 ? hz : NULL};
    int status = rn_picture_write(&picture, png, err);
    json_decref(name);
    return status;
}

static int read_input(explanation *e, const rn_listen *listen, double start_s, rn_error *err)
{
    const char *dot = strrchr(e->path, '.');
    if (dot && strcasecmp(dot, ".npy") == 0)
        return start_s >= 0 ? rn_error_set(err, RN_ERR_ARG, "%s: --start belongs to recordings", e->path) : read_array(e, err);
    if (e->ear->pictures.channels) {
        if (start_s >= 0)
            return rn_error_set(err, RN_ERR_ARG, "%s: --start belongs to recordings", e->path);
        e->c = e->ear->pictures.channels;
        int status = rn_ear_picture(e->ear, e->path, listen, NULL, &e->x, &e->h, &e->w, err);
        return status ? status : rn_pictures_image(&e->ear->pictures, e->x, e->h, e->w, &e->image, err);
    }
    if (!e->ear->extractor)
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: the model has no sound features: it takes .npy arrays", e->path);
    return read_sound(e, listen, start_s, err);
}

static int explain(explanation *e, const rn_listen *listen, double start_s, const char *png, const char *npy, rn_progress_fn progress, void *context, char **result,
                   rn_error *err)
{
    int best = 0, status = read_input(e, listen, start_s, err);
    double *hz = NULL;
    if (status || (status = answer(e, &best, err)))
        return status;
    e->label = e->label < 0 ? best : e->label;
    e->heat = malloc((size_t)e->h * (size_t)e->w * sizeof(float));
    hz = malloc((size_t)e->h * sizeof *hz);
    if (!e->heat || !hz) {
        free(hz);
        return rn_error_memory(err, "an explanation", (size_t)e->h * (size_t)e->w * sizeof(float));
    }
    if (e->end_s > 0)
        rn_extractor_rows(e->ear->extractor, hz);
    status = e->method == OCCLUSION ? by_occlusion(e, progress, context, err) : by_gradient(e, err);
    if (!status && npy)
        status = rn_npy_write(npy, e->map, 2, (int64_t[]){e->map_h, e->map_w}, err);
    if (!status && png)
        status = draw(e, best, hz, png, err);
    if (!status && !(*result = rn_result_text(result_of(e, best, hz), err)))
        status = RN_ERR_MEMORY;
    free(hz);
    return status;
}

int rn_tools_explain(const rn_model *model, const char *path, const rn_listen *listen, const char *options, const char *png, const char *npy,
                     rn_progress_fn progress, void *context, char **result, rn_error *err)
{
    rn_given given;
    explanation e = {.path = path};
    rn_ear *ear = NULL;
    double start_s = -1;
    unsigned state = rn_fp_enter();
    *result = NULL;
    rn_session_options session = {0};
    int status = rn_given_open(&given, options, err);
    if (!status) {
        session.threads = (int)rn_given_integer(&given, "threads", 0, 4096, 0);
        start_s = rn_given_number(&given, "start", 0, 1e9, -1);
        status = rn_session_open(&e.session, model, &session, err);
    }
    if (!status)
        status = rn_model_wants_classes(model, model->source ? model->source : "the model", err);
    if (!status && !(status = rn_ear_get(e.session, path, &ear, err))) {
        e.ear = ear;
        read_method(&given, &e);
    } else {
        given.status = status; /* what was not asked for is then no fault */
    }
    status = rn_given_close(&given);
    if (!status)
        status = explain(&e, listen, start_s, png, npy, progress, context, result, err);
    free(e.x);
    free(e.map);
    free(e.heat);
    rn_image_free(&e.image);
    rn_session_close(&e.session);
    rn_fp_leave(state);
    return status;
}
