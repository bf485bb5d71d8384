/* The model file: reading, checking against the network that its config describes, writing.
 *
 * Everything is checked before memory for the weights is taken: the file's tensors must be there with the right shapes, so a config that
 * promises a huge network costs nothing.
 */
#include "models/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/maths.h"
#include "base/cpu.h"
#include "formats/json.h"
#include "formats/onnx.h"
#include "formats/pth.h"
#include "models/config.h"
#include "models/onnx.h"
#include "models/foreign.h"

enum { MANY_WEIGHTS = 1 << 21 }; /* from here on, reading them is shared between threads */

static const int64_t no_batches; /* num_batches_tracked, which a fixed momentum does not use */

void rn_model_close(rn_model **model)
{
    rn_model *m = model ? *model : NULL;
    if (!m)
        return;
    rn_labels_free(&m->labels, m->arch.classes);
    rn_graph_close(&m->graph);
    rn_arena_free(&m->memory);
    free(m->stats);
    json_decref(m->config);
    free(m->source);
    free(m->thresholds);
    rn_packed_close(&m->packed);
    pthread_mutex_destroy(&m->lock);
    free(m);
    *model = NULL;
}

static rn_model *empty(void)
{
    rn_model *m = calloc(1, sizeof *m);
    if (m)
        m->temperature = 1;
    if (m && pthread_mutex_init(&m->lock, NULL)) {
        free(m);
        return NULL;
    }
    return m;
}

int rn_model_packed(const rn_model *model, const rn_packed **packed, rn_error *err)
{
    rn_model *m = (rn_model *)model; /* what callers see of it does not change */
    int status = 0;
    pthread_mutex_lock(&m->lock);
    if (!m->packed)
        status = rn_packed_open(&m->packed, m->graph, m->weights, m->stats, err);
    *packed = m->packed;
    pthread_mutex_unlock(&m->lock);
    return status;
}

json_t *rn_model_section(const rn_model *model, const char *name)
{
    return json_object_get(model->config, name);
}

int rn_model_wants_classes(const rn_model *m, const char *name, rn_error *err)
{
    if (m->arch.classes)
        return 0;
    return rn_error_set(err, RN_ERR_UNSUPPORTED,
                        "%s: the network has no classes, only an embedding of %d numbers: `resnet embed` writes it, `resnet train --init` adds classes",
                        name, rn_graph_embedding(m->graph));
}

static int allocate(rn_model *m, rn_error *err)
{
    int status = rn_arena_reserve(&m->memory, m->graph->weights_count, "the weights", err);
    m->weights = m->memory.memory;
    if (status)
        return status;
    m->stats = malloc((size_t)m->graph->stats_count * sizeof *m->stats);
    if (!m->stats)
        return rn_error_memory(err, "the statistics of batch normalisation", (unsigned long long)m->graph->stats_count * sizeof(float));
    return 0;
}

int rn_model_new(rn_model **model, const rn_arch *arch, const char *const *labels, rn_init init, int zero_last, uint64_t seed,
                 rn_error *err)
{
    int status;
    json_t *list = NULL;
    *model = NULL;
    rn_model *m = empty();
    if (!m)
        return rn_error_memory(err, "a model", sizeof *m);
    m->arch = *arch;
    if ((status = rn_arch_graph(arch, &m->graph, err)))
        goto fail;
    if (!(list = rn_labels_json(labels, arch->classes))) {
        status = rn_error_set(err, RN_ERR_ARG, "The labels cannot be stored: one is not UTF-8, or memory is short");
        goto fail;
    }
    if ((status = rn_labels_read("labels", list, arch->classes, &m->labels, err)) || (status = allocate(m, err)))
        goto fail;
    m->config = json_pack("{s:i, s:o, s:O}", "arithmetic", RN_ARITHMETIC, "arch", rn_arch_json(arch), "labels", list);
    if (!m->config) {
        status = rn_error_memory(err, "a model's description", sizeof *m);
        goto fail;
    }
    rn_arch_init(m->graph, init, zero_last, seed, m->weights, m->stats);
    json_decref(list);
    *model = m;
    return 0;
fail:
    json_decref(list);
    rn_model_close(&m);
    return status;
}

typedef struct shape_text {
    char text[100];
} shape_text;

static shape_text text_of_shape(int dims, const int64_t *shape)
{
    shape_text s = {{0}};
    if (!dims)
        strcpy(s.text, "one number");
    for (int d = 0; d < dims; d++) {
        size_t n = strlen(s.text);
        snprintf(s.text + n, sizeof s.text - n, "%s%lld", d ? "x" : "", (long long)shape[d]);
    }
    return s;
}

static const rn_tensor *find_prefixed(const rn_tensors *tensors, const char *prefix, const char *name)
{
    size_t n = strlen(prefix);
    for (int i = 0; i < tensors->count; i++)
        if (strncmp(tensors->items[i].name, prefix, n) == 0 && strcmp(tensors->items[i].name + n, name) == 0)
            return &tensors->items[i];
    return NULL;
}

static int check_tensor(const rn_param *p, const rn_tensor *t, const char *network, const char *name, rn_error *err)
{
    int64_t want[4];
    int same = t && t->dims == p->dims;
    for (int d = 0; d < p->dims; d++) {
        want[d] = p->shape[d];
        same = same && t->shape[d] == want[d];
    }
    if (!t)
        return rn_error_set(err, RN_ERR_SHAPE, "%s: %s is missing, %s wants it with %s", name, p->name, network,
                            text_of_shape(p->dims, want).text);
    if (!same) {
        char hint[40] = "";
        if (strcmp(p->name, "conv1.weight") == 0 && t->dims == 4 && t->shape[0] != want[0])
            snprintf(hint, sizeof hint, ": try --width %lld", (long long)t->shape[0]);
        return rn_error_set(err, RN_ERR_SHAPE, "%s: %s is %s, %s wants %s%s", name, p->name, text_of_shape(t->dims, t->shape).text, network,
                            text_of_shape(p->dims, want).text, hint);
    }
    if (t->dtype != RN_F32 && t->dtype != RN_F16 && t->dtype != RN_BF16 && t->dtype != RN_F64)
        return rn_error_set(err, RN_ERR_FORMAT, "%s: %s has dtype %s, a floating-point type is wanted", name, p->name,
                            rn_dtype_name(t->dtype));
    return 0;
}

/* Is every exponent below the one of infinities and NaN, and, for variances, every sign clear? Without a branch, for the compiler's vectors. */
static int numbers_are_fine(const rn_param *p, const float *x)
{
    uint32_t forbidden = p->kind == RN_PARAM_BN_VAR ? 0x80000000u : 0, bad = 0, bits;
    for (int64_t i = 0; i < p->count; i++) {
        memcpy(&bits, x + i, sizeof bits);
        bad |= ((bits & 0x7f800000u) + 0x00800000u) | (bits & forbidden);
    }
    return !(bad & 0x80000000u);
}

/* A value that is not finite, or a variance below zero, would reach every answer. */
static int check_numbers(const rn_param *p, const float *x, int64_t first, const char *name, rn_error *err)
{
    if (numbers_are_fine(p, x)) /* else which one; a variance of -0 is none */
        return 0;
    for (int64_t i = 0; i < p->count; i++) {
        if (!isfinite(x[i]))
            return rn_error_set(err, RN_ERR_NUMBER, "%s: %s has a value that is not finite (%s at %lld)", name, p->name,
                                isnan(x[i]) ? "NaN" : "an infinity", (long long)(first + i));
        if (p->kind == RN_PARAM_BN_VAR && x[i] < 0)
            return rn_error_set(err, RN_ERR_NUMBER, "%s: %s has a negative variance (at %lld)", name, p->name, (long long)(first + i));
    }
    return 0;
}

static float *place(const rn_param *p, float *weights, float *stats)
{
    return (p->kind >= RN_PARAM_BN_MEAN ? stats : weights) + p->offset;
}

static int check_tensors(const rn_graph *graph, const char *network, const char *name, const rn_tensors *tensors, const char *prefix,
                         rn_error *err)
{
    for (int i = 0; i < graph->params_count; i++) {
        int status = check_tensor(&graph->params[i], find_prefixed(tensors, prefix, graph->params[i].name), network, name, err);
        if (status)
            return status;
    }
    return 0;
}

typedef struct filling {
    const rn_graph *graph;
    const rn_tensors *tensors;
    const char *prefix;
    float *weights, *stats;
    _Atomic int bad; /* a tensor has a number that may not be */
} filling;

static void fill_task(void *context, int i, int thread)
{
    filling *f = context;
    const rn_param *p = &f->graph->params[i];
    float *x = place(p, f->weights, f->stats);
    (void)thread;
    rn_tensor_floats(find_prefixed(f->tensors, f->prefix, p->name), x);
    if (!numbers_are_fine(p, x))
        f->bad = 1;
}

/* Reads all arrays. Returns 1 if a number is in them that may not be. */
static int fill(const rn_graph *graph, const rn_tensors *tensors, const char *prefix, float *weights, float *stats)
{
    filling f = {graph, tensors, prefix, weights, stats, 0};
    rn_pool *pool = NULL;
    if (graph->weights_count >= MANY_WEIGHTS)
        rn_pool_open(&pool, 0, NULL); /* without it, here */
    rn_pool_run(pool, graph->params_count, fill_task, &f);
    rn_pool_close(&pool);
    return f.bad;
}

static int check_all_numbers(const rn_graph *graph, float *weights, float *stats, const char *name, rn_error *err)
{
    int status = 0;
    for (int i = 0; !status && i < graph->params_count; i++)
        status = check_numbers(&graph->params[i], place(&graph->params[i], weights, stats), 0, name, err);
    return status;
}

int rn_model_weights(const rn_graph *graph, const char *network, const char *name, const rn_tensors *tensors, const char *prefix,
                     float *weights, float *stats, rn_error *err)
{
    int status = check_tensors(graph, network, name, tensors, prefix, err);
    if (!status && fill(graph, tensors, prefix, weights, stats))
        status = check_all_numbers(graph, weights, stats, name, err);
    return status;
}

/* Is "bn1.num_batches_tracked" the counter of a BN that the network has? */
static int is_counter(const rn_graph *graph, const char *name)
{
    static const char suffix[] = "num_batches_tracked";
    char mean[sizeof graph->params->name];
    size_t n = strlen(name), m = sizeof suffix - 1;
    if (n <= m || n - m + sizeof "running_mean" > sizeof mean || strcmp(name + n - m, suffix) != 0)
        return 0;
    memcpy(mean, name, n - m);
    strcpy(mean + n - m, "running_mean");
    return rn_graph_param(graph, mean) >= 0;
}

static int starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Refuses tensors that the network does not have; tells whether there are averaged ones. */
static int sort_tensors(const rn_graph *graph, const char *network, const char *name, const rn_tensors *tensors, int *averaged,
                        rn_error *err)
{
    *averaged = 0;
    for (int i = 0; i < tensors->count; i++) {
        const char *tensor = tensors->items[i].name;
        if (starts_with(tensor, RN_MODEL_PREFIX_TRAIN))
            continue;
        if (starts_with(tensor, RN_MODEL_PREFIX_EMA)) {
            *averaged = 1;
            tensor += strlen(RN_MODEL_PREFIX_EMA);
        }
        if (rn_graph_param(graph, tensor) < 0 && !is_counter(graph, tensor))
            return rn_error_set(err, RN_ERR_SHAPE, "%s: %.100s is in the file, but %s has no such tensor", name, tensor, network);
    }
    return 0;
}

/* The numbers of a tensor, a piece at a time. */
static int check_tensor_numbers(const rn_param *p, const rn_tensor *t, const char *name, rn_error *err)
{
    float x[4096];
    rn_param part = *p;
    rn_tensor piece = *t;
    int status = 0;
    for (int64_t at = 0; !status && at < t->count; at += part.count) {
        part.count = piece.count = t->count - at < 4096 ? t->count - at : 4096;
        piece.data = (const unsigned char *)t->data + (size_t)at * rn_dtype_size(t->dtype);
        rn_tensor_floats(&piece, x);
        status = check_numbers(&part, x, at, name, err);
    }
    return status;
}

typedef struct looking {
    const rn_graph *graph;
    const rn_tensors *tensors;
    const char *name;
    _Atomic int bad; /* a tensor has a number that may not be */
} looking;

static void look_task(void *context, int i, int thread)
{
    looking *l = context;
    const rn_param *p = &l->graph->params[i];
    (void)thread;
    if (check_tensor_numbers(p, rn_tensors_find(l->tensors, p->name), l->name, NULL))
        l->bad = 1;
}

/* All tensors, by all processors where they are large; then the first that is wrong, for its sentence. */
static int check_all_tensors(const rn_graph *graph, const rn_tensors *tensors, const char *name, rn_error *err)
{
    looking l = {graph, tensors, name, 0};
    rn_pool *pool = NULL;
    int status = 0;
    if (graph->weights_count >= MANY_WEIGHTS)
        rn_pool_open(&pool, 0, NULL); /* without it, here */
    rn_pool_run(pool, graph->params_count, look_task, &l);
    rn_pool_close(&pool);
    for (int i = 0; l.bad && !status && i < graph->params_count; i++)
        status = check_tensor_numbers(&graph->params[i], rn_tensors_find(tensors, graph->params[i].name), name, err);
    return status;
}

int rn_model_check(const rn_graph *graph, const char *network, const char *name, const rn_tensors *tensors, rn_error *err)
{
    int averaged, count = 0, status = sort_tensors(graph, network, name, tensors, &averaged, err);
    if (!status)
        status = check_tensors(graph, network, name, tensors, "", err);
    if (!status)
        status = check_all_tensors(graph, tensors, name, err);
    for (int i = 0; !status && i < tensors->count; i++)
        count += rn_graph_param(graph, tensors->items[i].name) >= 0;
    if (!status && count != graph->params_count)
        status = rn_error_set(err, RN_ERR_FORMAT, "%s: a tensor of %s is in it twice, by two names", name, network);
    return status;
}

static int read_temperature(rn_model *m, const char *name, rn_error *err)
{
    const json_t *section = json_object_get(m->config, "calibration"), *value = json_object_get(section, "temperature");
    if (!section)
        return 0;
    m->temperature = json_number_value(value);
    if (!(m->temperature >= 1e-3 && m->temperature <= 1e3))
        return rn_error_set(err, RN_ERR_FORMAT,
                            "%s: its calibration has no temperature between 0.001 and 1000; `resnet eval --calibrate` writes it anew",
                            name);
    return 0;
}

/* Whether an item has one label or several, and their thresholds. */
static int read_labels_kind(rn_model *m, const char *name, rn_error *err)
{
    const json_t *kind = json_object_get(m->config, "labels_kind"), *list = json_object_get(m->config, "thresholds");
    if (!kind)
        return 0;
    if (!json_is_string(kind) || strcmp(json_string_value(kind), "several"))
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: its labels_kind is not \"several\": this build cannot say what its answers mean",
                            name);
    m->several = 1;
    if (!list)
        return 0;
    if (!(m->thresholds = malloc(((size_t)m->arch.classes + 1) * sizeof *m->thresholds)))
        return rn_error_memory(err, "thresholds", (unsigned long long)m->arch.classes * sizeof *m->thresholds);
    for (int c = 0; c < m->arch.classes; c++) {
        const json_t *value = json_array_get(list, (size_t)c);
        m->thresholds[c] = json_number_value(value);
        if (!json_is_number(value) || !(m->thresholds[c] >= 0 && m->thresholds[c] <= 1) || json_array_size(list) != (size_t)m->arch.classes)
            return rn_error_set(
                err, RN_ERR_FORMAT,
                "%s: its thresholds are not %d numbers from 0 to 1, one a label; `resnet eval --calibrate` writes them anew", name,
                m->arch.classes);
    }
    return 0;
}

int rn_model_set_several(rn_model *m, rn_error *err)
{
    m->several = 1;
    return json_object_set_new(m->config, "labels_kind", json_string("several")) ? rn_error_memory(err, "a model's description", 1) : 0;
}

void rn_model_probabilities(const rn_model *m, const float *logits, float *probability)
{
    (m->several ? rn_sigmoids : rn_softmax)(logits, m->arch.classes, m->temperature, probability, NULL);
}

/* finite: numbers that are not are an error. */
static int from_tensors(rn_model **model, const char *name, const rn_tensors *tensors, int finite, rn_error *err)
{
    int status, averaged, bad;
    char network[80];
    rn_error why;
    *model = NULL;
    rn_model *m = empty();
    if (!m || !(m->source = strdup(name))) {
        rn_model_close(&m);
        return rn_error_memory(err, "a model", sizeof *m);
    }
    if ((status = rn_config_read(name, tensors, &m->config, err)) ||
        (status = rn_arch_from_json(&m->arch, name, json_object_get(m->config, "arch"), err)) || (status = read_temperature(m, name, err)))
        goto fail;
    if ((status = rn_arch_graph(&m->arch, &m->graph, &why))) {
        status = rn_error_set(err, status == RN_ERR_ARG ? RN_ERR_FORMAT : status, "%s: %s", name, why.text);
        goto fail;
    }
    snprintf(network, sizeof network, "%s of width %d", m->arch.name, m->arch.width);
    if ((status = rn_labels_read(name, json_object_get(m->config, "labels"), m->arch.classes, &m->labels, err)) ||
        (status = read_labels_kind(m, name, err)) || (status = sort_tensors(m->graph, network, name, tensors, &averaged, err)))
        goto fail;
    const char *prefix = averaged ? RN_MODEL_PREFIX_EMA : "";
    if ((status = check_tensors(m->graph, network, name, tensors, prefix, err)) || (status = allocate(m, err)))
        goto fail;
    bad = fill(m->graph, tensors, prefix, m->weights, m->stats);
    if (bad && finite && (status = check_all_numbers(m->graph, m->weights, m->stats, name, err)))
        goto fail;
    *model = m;
    return 0;
fail:
    rn_model_close(&m);
    return status;
}

int rn_model_from_tensors(rn_model **model, const char *name, const rn_tensors *tensors, rn_error *err)
{
    return from_tensors(model, name, tensors, 1, err);
}

int rn_model_from_tensors_unchecked(rn_model **model, const char *name, const rn_tensors *tensors, rn_error *err)
{
    unsigned state = rn_fp_enter();
    int status = from_tensors(model, name, tensors, 0, err);
    rn_fp_leave(state);
    return status;
}

/* From tensors of any origin. */
static int from_any(rn_model **model, const char *name, rn_tensors *tensors, const rn_foreign_given *given, rn_error *err)
{
    rn_foreign *foreign = NULL;
    int status;
    if (!rn_foreign_is(tensors))
        return rn_model_from_tensors(model, name, tensors, err);
    if ((status = rn_foreign_open(&foreign, name, tensors, given, err)))
        return status;
    if (foreign->why.code)
        status = rn_error_set(err, foreign->why.code, "%s", foreign->why.text);
    else
        status = from_tensors(model, name, &foreign->ours, 0, err); /* its numbers were looked at */
    rn_foreign_close(&foreign);
    return status;
}

static int load(rn_model **model, const char *path, const rn_foreign_given *given, rn_error *err)
{
    rn_tensors tensors = {0};
    if (rn_onnx_is_file(path))
        return rn_onnx_load(model, path, NULL, NULL, err);
    unsigned state = rn_fp_enter();
    *model = NULL;
    int status = rn_tensors_read(path, &tensors, err);
    if (!status)
        status = from_any(model, path, &tensors, given, err);
    rn_tensors_free(&tensors);
    rn_fp_leave(state);
    return status;
}

int rn_model_load(rn_model **model, const char *path, rn_error *err)
{
    return load(model, path, &(rn_foreign_given){.folder = 1}, err);
}

int rn_model_load_weights(rn_model **model, const char *path, rn_error *err)
{
    return load(model, path, &(rn_foreign_given){.weights = 1, .folder = 1}, err);
}

int rn_model_parse(rn_model **model, const char *name, const void *data, size_t size, rn_error *err)
{
    rn_tensors tensors = {0};
    unsigned state = rn_fp_enter();
    *model = NULL;
    int status;
    if (rn_onnx_known(data, size)) {
        status = rn_onnx_load_bytes(model, name, data, size, err);
        goto fail;
    }
    status = rn_pth_known(data, size) ? rn_pth_parse(name, data, size, &tensors, err) : rn_safetensors_parse(name, data, size, &tensors, err);
    if (!status)
        status = from_any(model, name, &tensors, NULL, err);
fail:
    rn_tensors_free(&tensors);
    rn_fp_leave(state);
    return status;
}

static int add_metadata(const rn_model *model, rn_tensors *out, rn_error *err)
{
    json_t *config = json_copy(model->config), *arch = rn_arch_json(&model->arch);
    json_t *labels = rn_labels_json((const char *const *)model->labels, model->arch.classes);
    char *text = NULL;
    int status;
    /* Jansson's copy leaves out what it has no memory for, without a word */
    if (!config || json_object_size(config) != json_object_size(model->config) || !arch || !labels ||
        json_object_set(config, "arch", arch) || json_object_set(config, "labels", labels))
        status = rn_error_memory(err, "a model's description", sizeof *model);
    else
        status = rn_json_dump(config, JSON_COMPACT | JSON_SORT_KEYS, &text, err);
    if (!status)
        status = rn_tensors_set_metadata(out, "format", "pt", err);
    if (!status)
        status = rn_tensors_set_metadata(out, RN_MODEL_CONFIG, text, err);
    free(text);
    json_decref(labels);
    json_decref(arch);
    json_decref(config);
    return status;
}

int rn_model_tensors(const rn_model *model, rn_tensors *out, rn_error *err)
{
    const rn_graph *g = model->graph;
    for (int i = 0; i < g->params_count; i++) {
        const rn_param *p = &g->params[i];
        int64_t shape[4];
        for (int d = 0; d < p->dims; d++)
            shape[d] = p->shape[d];
        int status = rn_tensors_add(out, p->name, RN_F32, p->dims, shape, place(p, model->weights, model->stats), err);
        if (!status && p->kind == RN_PARAM_BN_MEAN) {
            char counter[sizeof p->name + 24];
            snprintf(counter, sizeof counter, "%s.num_batches_tracked", g->nodes[p->node].name);
            status = rn_tensors_add(out, counter, RN_I64, 0, NULL, &no_batches, err);
        }
        if (status)
            return status;
    }
    return add_metadata(model, out, err);
}

int rn_model_save(const rn_model *model, const char *path, rn_error *err)
{
    rn_tensors tensors = {0};
    int status = check_all_numbers(model->graph, model->weights, model->stats, path, err);
    if (!status)
        status = rn_model_tensors(model, &tensors, err);
    if (!status)
        status = rn_safetensors_write(path, &tensors, err);
    rn_tensors_free(&tensors);
    return status;
}

int rn_model_rewrite(const char *path, json_t *sections, rn_error *err)
{
    rn_tensors tensors = {0};
    json_t *config = NULL;
    char *text = NULL;
    int status = sections ? rn_safetensors_read(path, &tensors, err) : rn_error_memory(err, "a model's description", 1);
    if (!status)
        status = rn_config_read(path, &tensors, &config, err);
    if (!status && json_object_update(config, sections))
        status = rn_error_memory(err, "a model's description", 1);
    if (!status && !(status = rn_json_dump(config, JSON_COMPACT | JSON_SORT_KEYS, &text, err)) &&
        !(status = rn_tensors_set_metadata(&tensors, RN_MODEL_CONFIG, text, err)))
        status = rn_safetensors_write(path, &tensors, err);
    free(text);
    json_decref(config);
    json_decref(sections);
    rn_tensors_free(&tensors);
    return status;
}
