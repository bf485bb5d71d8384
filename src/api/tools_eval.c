/* Judging a model file on a data set: which items, the answers, and what they say.
 *
 * The split that the model was trained with is known by its digest in the model. A split file with another one is refused: an accuracy on
 * recordings that were heard in training says nothing. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/data.h"
#include "api/given.h"
#include "api/result.h"
#include "base/cpu.h"
#include "data/check.h"
#include "data/level.h"
#include "data/listing.h"
#include "data/split.h"
#include "judge/judgement.h"
#include "models/model.h"
#include "report/report.h"
#include "resnet_tools.h"
#include "train/population.h"

enum { MOST_BATCH = 1024 }; /* of BN statistics: what an engine for judging may take in memory */

struct rn_evaluation {
    rn_model *model;
    char *model_path;
    rn_dataset *dataset;
    rn_pool *pool;
    rn_infer *engine;
    rn_loader *loader;
    rn_answers *answers;
    rn_metrics *metrics;
    rn_judgement *judgement;
    rn_check *check;
    rn_loader_options loading;
    rn_pictures pictures; /* of a model that takes them */
    rn_part part;         /* RN_PART_NONE: all */
    int part_given, worst, threads;
    char split[4200]; /* "": none */
    int average;      /* BN statistics are to be averaged anew ... */
    int64_t averaged; /* ... and were, over so many items */
    int trained_on;   /* items of the data set that the model was trained on; -1: not known */
    rn_progress_fn progress;
    rn_text_fn note;
    void *context;
};

static void say(const rn_evaluation *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(const rn_evaluation *e, const char *format, ...)
{
    char text[1200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (e->note)
        e->note(e->context, text);
}

static const char *part_name(rn_part part)
{
    return part == RN_PART_NONE ? "all" : rn_part_name(part);
}

/* "224,256,288" */
static int read_scales(rn_evaluation *e, const char *text)
{
    int *count = &e->loading.scales_count;
    for (const char *p = text; *count < RN_SCALES_MAX; p++) {
        int side = 0, digits = 0;
        for (; *p >= '0' && *p <= '9' && digits < 6; p++, digits++)
            side = 10 * side + (*p - '0');
        if (!digits || !side)
            return -1;
        e->loading.scales[(*count)++] = side;
        if (*p != ',')
            return *p ? -1 : 0;
    }
    return -1;
}

static void read_given(rn_evaluation *e, rn_given *g)
{
    static const rn_part parts[] = {RN_PART_TRAIN, RN_PART_VALIDATION, RN_PART_TEST, RN_PART_NONE};
    const char *text = rn_given_text(g, "part", NULL);
    int i = 0;
    while (text && i < 4 && strcmp(text, part_name(parts[i])))
        i++;
    if (i == 4)
        rn_given_fail(g, RN_ERR_ARG, "--part %s: want train, validation, test or all", text);
    e->part_given = text != NULL;
    e->part = text && i < 4 ? parts[i] : RN_PART_TEST;
    snprintf(e->split, sizeof e->split, "%s", rn_given_text(g, "split", ""));
    e->average = rn_given_flag(g, "bn_recompute");
    e->threads = (int)rn_given_integer(g, "threads", 1, 1024, 0);
    e->worst = (int)rn_given_integer(g, "worst", 0, 100000, 10);
    e->loading.cache_mb = (int)rn_given_integer(g, "cache_mb", 0, INT32_MAX, 1024);
    e->loading.skip_bad = rn_given_flag(g, "skip_bad");
    e->loading.min_seconds = rn_given_number(g, "min_seconds", 0, 3600, -1);
    e->loading.batch = 1;
    e->loading.crops = (int)rn_given_integer(g, "crops", 1, 10, 0);
    if ((text = rn_given_text(g, "scales", NULL)) && read_scales(e, text))
        rn_given_fail(g, RN_ERR_ARG, "--scales %.60s: want up to %d sides in pixels, separated by commas", text, RN_SCALES_MAX);
}

/* What was too short to train on is not judged either, so that eval's figure is the one that train printed. */
static void resolve_shortest(rn_evaluation *e)
{
    const json_t *options = json_object_get(rn_model_section(e->model, "training"), "options");
    const json_t *trained = json_object_get(options, "min_seconds");
    if (e->loading.min_seconds < 0)
        e->loading.min_seconds = json_is_number(trained) ? json_number_value(trained) : 0.1;
}

static int map_several(const rn_dataset *d, rn_item *item, const int *map, rn_error *err)
{
    int count = item->labels_count, *labels = malloc(((size_t)count + 1) * sizeof *labels);
    if (!labels)
        return rn_error_memory(err, "an item's labels", (unsigned long long)count * sizeof *labels);
    for (int k = 0; k < count; k++)
        labels[k] = map[item->labels[k]];
    return rn_item_set_labels(d, item, labels, count, err);
}

/* The data set's labels become the model's: answers and truth count alike. */
static int match_labels(rn_evaluation *e, rn_error *err)
{
    rn_dataset *d = e->dataset;
    const rn_model *m = e->model;
    if (rn_model_wants_classes(m, m->source ? m->source : "the model", err))
        return RN_ERR_UNSUPPORTED;
    int status = 0, *map = calloc((size_t)d->classes + 1, sizeof *map);
    char **labels = calloc((size_t)m->arch.classes + 1, sizeof *labels);
    if (!map || !labels) {
        status = rn_error_memory(err, "labels", 0);
        goto fail;
    }
    for (int i = 0; i < d->classes; i++)
        if ((map[i] = rn_model_find_label(m, d->labels[i])) < 0) {
            status = rn_error_set(
                err, RN_ERR_MISMATCH,
                "%.300s: the class '%.200s' is not one that the model knows (%.100s ... %.100s, %d in all): leave it out, or train with it",
                d->path, d->labels[i], m->labels[0], m->labels[m->arch.classes - 1], m->arch.classes);
            goto fail;
        }
    for (int i = 0; i < m->arch.classes; i++)
        if (!(labels[i] = strdup(m->labels[i]))) {
            status = rn_error_memory(err, "labels", 0);
            goto fail;
        }
    if (d->several && !m->several) {
        status = rn_error_set(err, RN_ERR_MISMATCH, "%.300s has items with several labels, the model gives one: train one on such data",
                              d->path);
        goto fail;
    }
    for (int i = 0; i < d->count; i++)
        d->items[i].label = map[d->items[i].label];
    for (int i = 0; i < d->classes; i++)
        free(d->labels[i]);
    free(d->labels);
    d->labels = labels;
    d->classes = m->arch.classes;
    labels = NULL;
    for (int i = 0; i < d->count && d->several && !status; i++)
        status = map_several(d, &d->items[i], map, err);
    if (!status && m->several)
        status = rn_dataset_make_several(d, err);
fail:
    for (int i = 0; labels && i < m->arch.classes; i++)
        free(labels[i]);
    free(labels);
    free(map);
    return status;
}

/* Reads the split, checks whose it is, and decides which items are judged. */
static int choose_items(rn_evaluation *e, const char *model_path, rn_error *err)
{
    const char *slash = strrchr(model_path, '/'),
               *known = json_string_value(json_object_get(rn_model_section(e->model, "split"), "digest"));
    char digest[33];
    int status, unreadable = 0, unknown = 0, missing = 0;
    e->trained_on = -1;
    if (!e->split[0]) {
        snprintf(e->split, sizeof e->split, "%.*ssplit.csv", slash ? (int)(slash - model_path + 1) : 0, model_path);
        if (access(e->split, F_OK))
            e->split[0] = 0;
    }
    if (!e->split[0]) {
        say(e, "there is no split.csv beside %s: everything is judged, and what of it the model was trained on can't be known", model_path);
        if (e->part_given && e->part != RN_PART_NONE)
            return rn_error_set(err, RN_ERR_ARG, "--part needs the split of the training: add --split FILE");
        e->part = RN_PART_NONE;
        return 0;
    }
    if ((status = rn_split_file_digest(e->split, digest, err)))
        return status;
    if (known && strcmp(known, digest))
        return rn_error_set(err, RN_ERR_MISMATCH,
                            "%s is not the split that %s was trained with (digest %.8s, the model has %.8s): name the right one by "
                            "--split, or move it away to judge everything",
                            e->split, model_path, digest, known);
    if (!known)
        say(e, "%s does not say which split it was trained with: %s is taken as it is", model_path, e->split);
    status =
        e->loading.skip_bad ? rn_dataset_hash_skip_bad(e->dataset, e->pool, &unreadable, err) : rn_dataset_hash(e->dataset, e->pool, err);
    if (status || (status = rn_split_read(e->dataset, e->split, &unknown, &missing, err)))
        return status;
    int used = (int)json_integer_value(json_object_get(rn_model_section(e->model, "training"), "items"));
    e->trained_on = rn_split_count(e->dataset, RN_PART_TRAIN, -1);
    if (known && used > 0 && used < e->trained_on) /* the rest of the part was left out as bad */
        e->trained_on = used;
    if (unknown == e->dataset->count && !(e->part_given && e->part != RN_PART_NONE)) {
        say(e, "none of the %d items is in %s: the model was trained on none of them, and all are judged", unknown, e->split);
        e->part = RN_PART_NONE;
        return 0;
    }
    if (unknown && e->part != RN_PART_NONE)
        say(e, "%d of %d items are not in %s and are left out; --part all judges everything", unknown, e->dataset->count, e->split);
    if (e->part != RN_PART_NONE && !rn_split_count(e->dataset, e->part, -1))
        return rn_error_set(err, RN_ERR_DATA, "%s: none of the items is in the part that is to be judged: try --part all", e->split);
    return 0;
}

/* BN statistics by true average over the training part, before anything is packed: what is judged then is what is saved. */
static int average_stats(rn_evaluation *e, const rn_features *features, rn_error *err)
{
    rn_model *m = e->model;
    rn_learn *learn = NULL;
    const json_t *options = json_object_get(rn_model_section(m, "training"), "options");
    json_int_t ghost = json_integer_value(json_object_get(options, "ghost_batch")),
               batch = json_integer_value(json_object_get(options, "batch"));
    rn_population p = {.dataset = e->dataset, .features = features, .loading = e->loading, .progress = e->progress, .context = e->context};
    int c, h, w;
    p.crop = !json_is_false(json_object_get(json_object_get(options, "augment"), "crop"));
    if (batch > 0 && batch < ghost)
        ghost = batch;
    p.loading.batch = ghost > 0 && ghost <= MOST_BATCH ? (int)ghost : 32;
    p.loading.cache_mb = 0;
    rn_loader_shape(e->loader, &c, &h, &w);
    int status = rn_learn_open(&learn, m->graph, p.loading.batch, h, w, NULL, 0, e->pool, err);
    if (!status)
        status = rn_population_stats(learn, m->graph, &p, m->weights, m->stats, &e->averaged, err);
    rn_learn_close(&learn);
    if (!status && json_object_set_new(m->config, RN_POPULATION_SECTION, rn_population_json(e->averaged, p.loading.batch)))
        status = rn_error_memory(err, "the model's sections", 1);
    return status;
}

static int open_parts(rn_evaluation *e, rn_error *err)
{
    const rn_model *m = e->model;
    rn_features features;
    rn_augment none;
    const rn_packed *packed;
    rn_kind kind = rn_dataset_kind(e->dataset);
    const json_t *section = rn_model_section(m, kind == RN_PICTURES ? "pictures" : "features");
    int status, arrays = kind == RN_ARRAYS;
    rn_augment_none(&none);
    resolve_shortest(e);
    e->loading.threads = e->threads;
    if (arrays && e->dataset->c != m->arch.in_channels)
        return rn_error_set(err, RN_ERR_SHAPE, "%s: arrays of %d channels, the network takes %d", e->dataset->path, e->dataset->c,
                            m->arch.in_channels);
    if (!arrays && !section)
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s holds %s, the model takes %s", e->dataset->path, rn_kind_name(kind),
                            rn_model_section(m, "features")   ? "recordings"
                            : rn_model_section(m, "pictures") ? "pictures"
                                                              : "arrays");
    if (kind == RN_SOUND && (status = rn_features_from_json(&features, section, m->source, err)))
        return status;
    if (kind == RN_PICTURES && (status = rn_pictures_from_json(&e->pictures, section, m->source, err)))
        return status;
    if (kind == RN_PICTURES && e->pictures.channels != m->arch.in_channels)
        return rn_error_set(err, RN_ERR_MISMATCH, "%s: pictures of %d channels, the network takes %d", e->model_path, e->pictures.channels,
                            m->arch.in_channels);
    if (kind != RN_PICTURES && (e->loading.crops || e->loading.scales_count))
        return rn_error_set(err, RN_ERR_ARG, "--%s is for pictures; %s holds %s", e->loading.crops ? "crops" : "scales", e->dataset->path,
                            rn_kind_name(kind));
    e->loading.pictures = &e->pictures;
    const rn_features *heard = kind == RN_SOUND ? &features : NULL;
    if ((status = rn_loader_open(&e->loader, e->dataset, heard, &none, &e->loading, err)) ||
        (e->average && (status = average_stats(e, heard, err))) || (status = rn_model_packed(m, &packed, err)))
        return status;
    return rn_infer_open_shared(&e->engine, m->graph, packed, e->pool, err);
}

/* ---- The result ---- */

static json_t *class_list(const rn_evaluation *e)
{
    json_t *list = json_array();
    for (int i = 0; i < e->metrics->classes; i++) {
        const rn_class_metrics *c = &e->metrics->per_class[i];
        const rn_curve *curve = e->judgement->curves[i];
        json_t *row = json_pack("{s:s, s:i, s:i, s:f, s:f, s:f, s:o, s:o}", "label", e->model->labels[i], "items", c->support, "predicted",
                                c->predicted, "precision", c->precision, "recall", c->recall, "f1", c->f1, "average_precision",
                                curve->positives ? json_real(curve->average_precision) : json_null(), "roc_area",
                                isnan(curve->roc_area) ? json_null() : json_real(curve->roc_area));
        if (row && e->answers->threshold)
            rn_result_set(&row, "threshold", json_real(e->answers->threshold[i]));
        if (row && e->judgement->thresholds)
            rn_result_set(&row, "best_threshold", json_real(e->judgement->thresholds[i]));
        rn_result_add(&list, row);
    }
    return list;
}

/* ["robin", "wren"] of what an item has, or of what is answered. */
static json_t *labels_of(const rn_evaluation *e, int i, int answered)
{
    const rn_answers *a = e->answers;
    json_t *list = json_array();
    for (int c = 0; c < a->classes; c++) {
        size_t at = (size_t)i * (size_t)a->classes + (size_t)c;
        if (answered ? (double)a->probability[at] >= a->threshold[c] : a->truth[at])
            rn_result_add(&list, json_string(e->model->labels[c]));
    }
    return list;
}

/* With several labels: the items with the largest loss, what they have and what was answered. */
static json_t *worst_several(const rn_evaluation *e)
{
    json_t *list = json_array();
    int *order = malloc(((size_t)e->worst + 1) * sizeof *order), count = order ? rn_answers_worst(e->answers, e->worst, order) : 0;
    for (int k = 0; k < count; k++)
        rn_result_add(&list,
                      json_pack("{s:s, s:o, s:o, s:f}", "path", e->dataset->items[e->answers->item[order[k]]].name, "labels",
                                labels_of(e, order[k], 0), "answers", labels_of(e, order[k], 1), "loss", e->answers->loss[order[k]]));
    free(order);
    return list;
}

/* The items whose true class got the smallest probability. */
static json_t *worst_list(const rn_evaluation *e)
{
    const rn_answers *a = e->answers;
    json_t *list = json_array();
    int *order = malloc(((size_t)e->worst + 1) * sizeof *order), count = order ? rn_answers_worst(a, e->worst, order) : 0;
    for (int k = 0; k < count; k++) {
        int i = order[k], best = rn_answers_best(a, i);
        const float *p = a->probability + (size_t)i * (size_t)a->classes;
        rn_result_add(&list, json_pack("{s:s, s:s, s:s, s:f, s:f}", "path", e->dataset->items[a->item[i]].name, "label",
                                       e->model->labels[a->label[i]], "answer", e->model->labels[best], "answer_probability",
                                       (double)p[best], "probability", (double)p[a->label[i]]));
    }
    free(order);
    return list;
}

/* Items whose label is likely wrong, the likeliest first. */
static json_t *suspect_list(const rn_evaluation *e)
{
    const rn_judgement *j = e->judgement;
    json_t *list = json_array();
    for (int k = 0; k < j->suspects_count && k < e->worst; k++) {
        const rn_suspect *s = &j->suspects[k];
        rn_result_add(&list,
                      json_pack("{s:s, s:s, s:s, s:f}", "path", e->dataset->items[e->answers->item[s->index]].name, "label",
                                e->model->labels[s->label], "likely", e->model->labels[s->likely], "probability", s->self_confidence));
    }
    return list;
}

static json_t *summary(const rn_evaluation *e)
{
    const rn_metrics *m = e->metrics;
    const rn_judgement *j = e->judgement;
    json_t *labels = json_array();
    for (int i = 0; i < e->model->arch.classes; i++)
        rn_result_add(&labels, json_string(e->model->labels[i]));
    json_t *all = json_pack("{s:f, s:i, s:i, s:f, s:f, s:[f,f], s:s, s:i, s:i, s:s, s:o, s:o, s:o}", "accuracy", m->accuracy, "items",
                            m->items, "correct", m->correct, "loss", m->loss, "ece", m->ece, "interval", m->wilson_low, m->wilson_high,
                            "part", part_name(e->part), "bad", e->answers->bad, "data_items", e->dataset->count, "kind",
                            rn_kind_name(rn_dataset_kind(e->dataset)), "labels", labels, "per_class", class_list(e), "worst",
                            m->several ? worst_several(e) : worst_list(e));
    if (all && m->several) {
        rn_result_set(&all, "mean_average_precision", json_real(m->macro_accuracy));
        rn_result_set(&all, "micro_average_precision", json_real(m->micro_average_precision));
        rn_result_set(&all, "macro_roc_area", isnan(m->macro_roc_area) ? json_null() : json_real(m->macro_roc_area));
        rn_result_set(&all, "micro_f1", json_real(m->micro_f1));
        rn_result_set(&all, "macro_f1", json_real(m->macro_f1));
    } else if (all) {
        rn_result_set(&all, "macro_accuracy", json_real(m->macro_accuracy));
        rn_result_set(&all, "top5", json_real(m->top5));
        rn_result_set(&all, "confusion", rn_metrics_confusion(m));
    }
    rn_result_set(&all, "calibration",
                  json_pack("{s:f, s:f, s:f, s:f}", "temperature", e->model->temperature, "best_temperature", j->temperature, "best_loss",
                            j->best_loss, "best_ece", j->scaled.ece));
    rn_result_set(&all, "suspects", suspect_list(e));
    if (all && e->average)
        rn_result_set(&all, "bn_statistics", json_integer(e->averaged));
    if (all && e->split[0])
        rn_result_set(&all, "split", rn_result_path(e->split));
    if (all && e->trained_on >= 0)
        rn_result_set(&all, "trained_on", json_integer(e->trained_on));
    if (all && e->check && e->check->level_items)
        rn_result_set(&all, "level",
                      json_pack("{s:f, s:f, s:f}", "accuracy", e->check->level_accuracy, "macro_accuracy", e->check->level_macro, "chance",
                                e->check->chance));
    return all;
}

void rn_evaluation_close(rn_evaluation **evaluation)
{
    rn_evaluation *e = *evaluation;
    if (!e)
        return;
    rn_check_close(&e->check);
    rn_judgement_close(&e->judgement);
    rn_metrics_close(&e->metrics);
    rn_answers_close(&e->answers);
    rn_infer_close(&e->engine);
    rn_loader_close(&e->loader);
    rn_pool_close(&e->pool);
    rn_model_close(&e->model);
    free(e->model_path);
    free(e);
    *evaluation = NULL;
}

/* What the background level alone would reach, on the very items that were judged. On the training part it would be asked for what it knows. */
static int judge_level(rn_evaluation *e, rn_error *err)
{
    rn_level_result level = {0};
    int status = rn_check_run(e->dataset, 0, e->pool, e->progress, e->context, &e->check, err), at = 0;
    if (status)
        return status;
    for (int i = 0; i < e->dataset->count; i++) {
        int judged = at < e->answers->items && e->answers->item[at] == i;
        at += judged;
        if (!judged && (e->part == RN_PART_NONE || e->dataset->items[i].part == e->part))
            e->check->level_db[i] = NAN;
    }
    if (e->part != RN_PART_TRAIN && !e->dataset->several) /* its neighbours vote for one class */
        status = rn_level_accuracy(e->dataset, e->check->level_db, e->part, &level, err);
    e->check->level_accuracy = level.accuracy;
    e->check->level_macro = level.macro_accuracy;
    e->check->level_items = level.items;
    e->check->chance = level.chance;
    return status;
}

static int judge(rn_evaluation *e, const char *model_path, rn_error *err)
{
    int status;
    if ((status = rn_pool_open(&e->pool, e->threads, err)) || (status = rn_model_load(&e->model, model_path, err)) ||
        (status = match_labels(e, err)) || (status = choose_items(e, model_path, err)) || (status = open_parts(e, err)))
        return status;
    const rn_judging judging = {
        .temperature = e->model->temperature, .windows = 1, .embedding = rn_graph_embedding(e->model->graph), .thresholds = e->model->thresholds};
    if ((status = rn_answers_collect(&e->answers, e->engine, e->loader, e->dataset, e->part, &judging, e->progress, e->context, err)))
        return status;
    if (!e->answers->items)
        return rn_error_set(err, RN_ERR_DATA, "%s: no item is left to judge", e->dataset->path);
    if ((status = rn_metrics_compute(e->answers, &e->metrics, err)) || (status = rn_judgement_compute(e->answers, &e->judgement, err)))
        return status;
    return rn_dataset_kind(e->dataset) == RN_ARRAYS ? 0 : judge_level(e, err);
}

int rn_evaluation_open(rn_evaluation **evaluation, const char *model_path, rn_data *data, const char *options, rn_progress_fn progress,
                       rn_text_fn note, void *context, rn_error *err)
{
    rn_given given;
    int status;
    *evaluation = NULL;
    rn_evaluation *e = calloc(1, sizeof *e);
    if (!e || !(e->model_path = strdup(model_path))) {
        rn_evaluation_close(&e);
        return rn_error_memory(err, "an evaluation", sizeof *e);
    }
    e->dataset = data->dataset;
    e->progress = progress;
    e->note = note;
    e->context = context;
    unsigned state = rn_fp_enter();
    if (!rn_given_open(&given, options, err))
        read_given(e, &given);
    if (!(status = rn_given_close(&given)) && !(status = judge(e, model_path, err))) {
        *evaluation = e;
        e = NULL;
    }
    rn_evaluation_close(&e);
    rn_fp_leave(state);
    return status;
}

int rn_evaluation_result(const rn_evaluation *e, char **result, rn_error *err)
{
    *result = rn_result_text(summary(e), err);
    return *result ? 0 : RN_ERR_MEMORY;
}

int rn_evaluation_save(rn_evaluation *e, const char *path, rn_error *err)
{
    char *copy = strdup(path);
    int status = copy ? rn_model_save(e->model, path, err) : rn_error_memory(err, "a path", strlen(path));
    if (status) {
        free(copy);
        return status;
    }
    free(e->model_path);
    e->model_path = copy;
    return 0;
}

static json_t *threshold_list(const rn_judgement *j)
{
    json_t *list = json_array();
    for (int c = 0; c < j->classes; c++)
        rn_result_add(&list, json_real(j->thresholds[c]));
    return list;
}

int rn_evaluation_calibrate(const rn_evaluation *e, rn_error *err)
{
    json_t *sections =
        json_pack("{s:{s:f, s:i, s:s}}", "calibration", "temperature", e->judgement->temperature, "items", e->answers->items, "part",
                  part_name(e->part));
    if (e->judgement->thresholds) /* those at this temperature: both or neither */
        rn_result_set(&sections, "thresholds", threshold_list(e->judgement));
    return rn_model_rewrite(e->model_path, sections, err);
}

/* RUN/run.json; NULL if there is none that can be read. */
static json_t *read_run(const rn_evaluation *e)
{
    const char *slash = strrchr(e->model_path, '/');
    char path[4200];
    snprintf(path, sizeof path, "%.*srun.json", slash ? (int)(slash - e->model_path + 1) : 0, e->model_path);
    return json_load_file(path, 0, NULL);
}

int rn_evaluation_report(rn_evaluation *e, const char *path, const char *command, rn_progress_fn progress, void *context, rn_error *err)
{
    json_t *run = read_run(e);
    unsigned state = rn_fp_enter();
    const rn_report report = {.model = e->model,
                              .part = part_name(e->part),
                              .command = command,
                              .run = run,
                              .trained_on = e->trained_on,
                              .dataset = e->dataset,
                              .answers = e->answers,
                              .metrics = e->metrics,
                              .judgement = e->judgement,
                              .check = e->check,
                              .loader = e->loader,
                              .pool = e->pool,
                              .progress = progress,
                              .context = context};
    int status = rn_report_write(&report, path, err);
    rn_fp_leave(state);
    json_decref(run);
    return status;
}
