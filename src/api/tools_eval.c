/* Judging a model file on a data set: which items, the answers, and what they say.
 *
 * The split that the model was trained with is known by its digest in the model. A split file with another one is refused: an accuracy on
 * recordings that were heard in training says nothing. */
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
#include "data/split.h"
#include "judge/evaluate.h"
#include "models/model.h"
#include "resnet_tools.h"

typedef struct evaluation {
    rn_model *model;
    rn_dataset *dataset;
    rn_pool *pool;
    rn_infer *engine;
    rn_loader *loader;
    rn_answers *answers;
    rn_metrics *metrics;
    rn_check *check;
    rn_loader_options loading;
    rn_part part; /* RN_PART_NONE: all */
    int part_given, worst, threads;
    char split[4200]; /* "": none */
    int trained_on;   /* items of the data set that the model was trained on; -1: not known */
    rn_progress_fn progress;
    rn_text_fn note;
    void *context;
} evaluation;

static void say(const evaluation *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(const evaluation *e, const char *format, ...)
{
    char text[1200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (e->note)
        e->note(e->context, text);
}

static void read_given(evaluation *e, rn_given *g)
{
    static const char *const names[] = {"train", "validation", "test", "all"};
    static const rn_part parts[] = {RN_PART_TRAIN, RN_PART_VALIDATION, RN_PART_TEST, RN_PART_NONE};
    const char *text = rn_given_text(g, "part", NULL);
    int i = 2;
    for (i = 0; text && i < 4 && strcmp(text, names[i]); i++)
        ;
    if (text && i == 4)
        rn_given_fail(g, RN_ERR_ARG, "--part %s: want train, validation, test or all", text);
    e->part_given = text != NULL;
    e->part = text && i < 4 ? parts[i] : RN_PART_TEST;
    snprintf(e->split, sizeof e->split, "%s", rn_given_text(g, "split", ""));
    e->threads = (int)rn_given_integer(g, "threads", 1, 1024, 0);
    e->worst = (int)rn_given_integer(g, "worst", 0, 100000, 10);
    e->loading.cache_mb = (int)rn_given_integer(g, "cache_mb", 0, INT32_MAX, 1024);
    e->loading.skip_bad = rn_given_flag(g, "skip_bad");
    e->loading.min_seconds = rn_given_number(g, "min_seconds", 0, 3600, -1);
    e->loading.batch = 1;
}

/* What was too short to train on is not judged either, so that eval's figure is the one that train printed. */
static void resolve_shortest(evaluation *e)
{
    const json_t *options = json_object_get(rn_model_section(e->model, "training"), "options");
    const json_t *trained = json_object_get(options, "min_seconds");
    if (e->loading.min_seconds < 0)
        e->loading.min_seconds = json_is_number(trained) ? json_number_value(trained) : 0.1;
}

/* The data set's labels become the model's: answers and truth count alike. */
static int match_labels(evaluation *e, rn_error *err)
{
    rn_dataset *d = e->dataset;
    const rn_model *m = e->model;
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
    for (int i = 0; i < d->count; i++)
        d->items[i].label = map[d->items[i].label];
    for (int i = 0; i < d->classes; i++)
        free(d->labels[i]);
    free(d->labels);
    d->labels = labels;
    d->classes = m->arch.classes;
    labels = NULL;
fail:
    for (int i = 0; labels && i < m->arch.classes; i++)
        free(labels[i]);
    free(labels);
    free(map);
    return status;
}

/* Reads the split, checks whose it is, and decides which items are judged. */
static int choose_items(evaluation *e, const char *model_path, rn_error *err)
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
    status = e->loading.skip_bad ? rn_dataset_hash_skip_bad(e->dataset, e->pool, &unreadable, err) : rn_dataset_hash(e->dataset, e->pool, err);
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

static int open_parts(evaluation *e, rn_error *err)
{
    const rn_model *m = e->model;
    rn_features features;
    rn_augment none;
    const rn_packed *packed;
    const json_t *section = rn_model_section(m, "features");
    int status, arrays = e->dataset->c > 0;
    rn_augment_none(&none);
    resolve_shortest(e);
    e->loading.threads = e->threads;
    if (arrays && e->dataset->c != m->arch.in_channels)
        return rn_error_set(err, RN_ERR_SHAPE, "%s: arrays of %d channels, the network takes %d", e->dataset->path, e->dataset->c,
                            m->arch.in_channels);
    if (!arrays && !section)
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s holds recordings, the model was trained on arrays and has no sound features",
                            e->dataset->path);
    if (!arrays && (status = rn_features_from_json(&features, section, m->source, err)))
        return status;
    if ((status = rn_loader_open(&e->loader, e->dataset, arrays ? NULL : &features, &none, &e->loading, err)) ||
        (status = rn_model_packed(m, &packed, err)))
        return status;
    return rn_infer_open_shared(&e->engine, m->graph, packed, e->pool, err);
}

/* ---- The result ---- */

static json_t *class_list(const evaluation *e)
{
    json_t *list = json_array();
    for (int i = 0; i < e->metrics->classes; i++) {
        const rn_class_metrics *c = &e->metrics->per_class[i];
        rn_result_add(&list, json_pack("{s:s, s:i, s:i, s:f, s:f, s:f}", "label", e->model->labels[i], "items", c->support, "predicted",
                                       c->predicted, "precision", c->precision, "recall", c->recall, "f1", c->f1));
    }
    return list;
}

static json_t *confusion_rows(const evaluation *e)
{
    json_t *rows = json_array();
    int n = e->metrics->classes;
    for (int i = 0; i < n; i++) {
        json_t *row = json_array();
        for (int j = 0; j < n; j++)
            rn_result_add(&row, json_integer(e->metrics->confusion[i * n + j]));
        rn_result_add(&rows, row);
    }
    return rows;
}

typedef struct ranked {
    double loss;
    int index;
} ranked;

static int compare_ranked(const void *a, const void *b)
{
    const ranked *p = a, *q = b;
    return p->loss != q->loss ? (p->loss < q->loss) - (p->loss > q->loss) : p->index - q->index;
}

/* The items whose true class got the smallest probability. */
static json_t *worst_list(const evaluation *e)
{
    const rn_answers *a = e->answers;
    json_t *list = json_array();
    ranked *order = malloc(((size_t)a->items + 1) * sizeof *order);
    for (int i = 0; order && i < a->items; i++)
        order[i] = (ranked){a->loss[i], i};
    if (order)
        qsort(order, (size_t)a->items, sizeof *order, compare_ranked);
    for (int k = 0; order && k < a->items && k < e->worst; k++) {
        int i = order[k].index, best = 0;
        const float *p = a->probability + (size_t)i * (size_t)a->classes;
        for (int c = 1; c < a->classes; c++)
            if (p[c] > p[best])
                best = c;
        rn_result_add(&list, json_pack("{s:s, s:s, s:s, s:f, s:f}", "path", e->dataset->items[a->item[i]].name, "label",
                                       e->model->labels[a->label[i]], "answer", e->model->labels[best], "answer_probability",
                                       (double)p[best], "probability", (double)p[a->label[i]]));
    }
    free(order);
    return list;
}

static json_t *report(const evaluation *e)
{
    static const char *const names[] = {"train", "validation", "test"};
    const rn_metrics *m = e->metrics;
    json_t *labels = json_array();
    for (int i = 0; i < e->model->arch.classes; i++)
        rn_result_add(&labels, json_string(e->model->labels[i]));
    json_t *all = json_pack("{s:f, s:f, s:i, s:i, s:f, s:f, s:f, s:[f,f], s:s, s:i, s:i, s:o, s:o, s:o, s:o}", "accuracy", m->accuracy,
                            "macro_accuracy", m->macro_accuracy, "items", m->items, "correct", m->correct, "top5", m->top5, "loss", m->loss,
                            "ece", m->ece, "interval", m->wilson_low, m->wilson_high, "part",
                            e->part == RN_PART_NONE ? "all" : names[e->part], "bad", e->answers->bad, "data_items", e->dataset->count,
                            "labels", labels, "per_class", class_list(e), "confusion", confusion_rows(e), "worst", worst_list(e));
    if (all && e->split[0])
        rn_result_set(&all, "split", rn_result_path(e->split));
    if (all && e->trained_on >= 0)
        rn_result_set(&all, "trained_on", json_integer(e->trained_on));
    if (all && e->check)
        rn_result_set(&all, "level",
                      json_pack("{s:f, s:f, s:f}", "accuracy", e->check->level_accuracy, "macro_accuracy", e->check->level_macro, "chance",
                                e->check->chance));
    return all;
}

static void evaluation_close(evaluation *e)
{
    rn_check_close(&e->check);
    rn_metrics_close(&e->metrics);
    rn_answers_close(&e->answers);
    rn_infer_close(&e->engine);
    rn_loader_close(&e->loader);
    rn_pool_close(&e->pool);
    rn_model_close(&e->model);
}

int rn_tools_evaluate(const char *model_path, rn_data *data, const char *options, rn_progress_fn progress, rn_text_fn note, void *context,
                      char **result, rn_error *err)
{
    rn_given given;
    evaluation e = {.dataset = data->dataset, .progress = progress, .note = note, .context = context};
    int status;
    unsigned state = rn_fp_enter();
    *result = NULL;
    if (!rn_given_open(&given, options, err))
        read_given(&e, &given);
    if ((status = rn_given_close(&given)) || (status = rn_pool_open(&e.pool, e.threads, err)) ||
        (status = rn_model_load(&e.model, model_path, err)) || (status = match_labels(&e, err)) ||
        (status = choose_items(&e, model_path, err)) || (status = open_parts(&e, err)) ||
        (status = rn_answers_collect(&e.answers, e.engine, e.loader, e.dataset, e.part, progress, context, err)))
        goto fail;
    if (!e.answers->items) {
        status = rn_error_set(err, RN_ERR_DATA, "%s: no item is left to judge", e.dataset->path);
        goto fail;
    }
    if ((status = rn_metrics_compute(e.answers, &e.metrics, err)))
        goto fail;
    if (!e.dataset->c && (status = rn_check_run(e.dataset, 0, e.pool, progress, context, &e.check, err)))
        goto fail;
    *result = rn_result_text(report(&e), err);
    status = *result ? 0 : RN_ERR_MEMORY;
fail:
    evaluation_close(&e);
    rn_fp_leave(state);
    return status;
}
