/* `data check`, `data stats`, `data split`: what data/ finds, as JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/data.h"
#include "api/given.h"
#include "api/result.h"
#include "data/check.h"
#include "data/split.h"
#include "resnet_tools.h"

/* Decodes everything once, on a pool of its own. */
static int run_check(rn_data *data, double min_seconds, int threads, rn_progress_fn progress, void *context, rn_check **check,
                     rn_error *err)
{
    rn_pool *pool = NULL;
    int status = rn_pool_open(&pool, threads, err);
    if (!status)
        status = rn_check_run(data->dataset, min_seconds, pool, progress, context, check, err);
    rn_pool_close(&pool);
    return status;
}

static json_t *finding_object(const rn_dataset *d, const rn_finding *f)
{
    json_t *object = json_pack("{s:s, s:b, s:s}", "kind", rn_finding_name(f->kind), "error", rn_finding_is_error(f->kind), "text", f->text);
    if (f->item >= 0)
        rn_result_set(&object, "path", json_string(d->items[f->item].name));
    if (f->other >= 0)
        rn_result_set(&object, "other", json_string(d->items[f->other].name));
    return object;
}

int rn_data_check(rn_data *data, const char *options, rn_progress_fn progress, void *context, char **result, rn_error *err)
{
    rn_given given;
    rn_check *check = NULL;
    double min_seconds = 0.5;
    int threads = 0, status;
    *result = NULL;
    if (!rn_given_open(&given, options, err)) {
        min_seconds = rn_given_number(&given, "min_seconds", 0, 3600, 0.5);
        threads = (int)rn_given_integer(&given, "threads", 1, 1024, 0);
    }
    if ((status = rn_given_close(&given)) || (status = run_check(data, min_seconds, threads, progress, context, &check, err)))
        return status;
    json_t *findings = json_array();
    for (int i = 0; i < check->findings_count; i++)
        rn_result_add(&findings, finding_object(data->dataset, &check->findings[i]));
    *result = rn_result_text(json_pack("{s:i, s:s, s:i, s:f, s:i, s:i, s:{s:f, s:f, s:f}, s:o}", "items", data->dataset->count, "kind",
                                       rn_kind_name(rn_dataset_kind(data->dataset)), "classes", data->dataset->classes, "seconds",
                                       check->total_seconds, "errors", check->errors, "warnings", check->warnings, "level", "accuracy",
                                       check->level_accuracy, "macro_accuracy", check->level_macro, "chance", check->chance, "findings",
                                       findings),
                             err);
    rn_check_close(&check);
    return *result ? 0 : RN_ERR_MEMORY;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* One class. seconds and sources have room for every item. */
static json_t *class_object(const rn_dataset *d, const rn_check *check, const rn_class_stats *figures, int label, double *seconds,
                            const char **sources)
{
    int n = 0, distinct = 0;
    double sum = 0;
    char text[32];
    rn_kind kind = rn_dataset_kind(d);
    json_t *rates = kind == RN_PICTURES ? NULL : json_object();
    for (int i = 0; i < d->count; i++) {
        if (!rn_item_has(d, &d->items[i], label))
            continue;
        seconds[n] = check->seconds[i];
        sources[n++] = d->items[i].source;
        sum += check->seconds[i];
        if (kind == RN_SOUND && check->rates[i] > 0) {
            snprintf(text, sizeof text, "%d", check->rates[i]);
            rn_result_set(&rates, text, json_integer(1 + json_integer_value(json_object_get(rates, text))));
        }
    }
    qsort(seconds, (size_t)n, sizeof *seconds, compare_doubles);
    qsort(sources, (size_t)n, sizeof *sources, compare_texts);
    for (int i = 0; i < n; i++)
        distinct += !i || strcmp(sources[i], sources[i - 1]);
    if (kind == RN_PICTURES)
        return json_pack("{s:s, s:i, s:i, s:i, s:i, s:[i,i], s:[i,i]}", "label", d->labels[label], "items", n, "sources", distinct, "bad",
                         figures->bad, "grey", figures->grey, "widths", figures->width_low, figures->width_high, "heights",
                         figures->height_low, figures->height_high);
    return json_pack("{s:s, s:i, s:i, s:f, s:f, s:f, s:f, s:o}", "label", d->labels[label], "items", n, "sources", distinct, "seconds", sum,
                     "shortest", n ? seconds[0] : 0.0, "median", n ? seconds[n / 2] : 0.0, "longest", n ? seconds[n - 1] : 0.0, "rates",
                     rates);
}

int rn_data_stats(rn_data *data, const char *options, rn_progress_fn progress, void *context, char **result, rn_error *err)
{
    rn_given given;
    rn_check *check = NULL;
    const rn_dataset *d = data->dataset;
    int threads = 0, status;
    double *seconds = malloc(((size_t)d->count + 1) * sizeof *seconds);
    const char **sources = malloc(((size_t)d->count + 1) * sizeof *sources);
    rn_class_stats *figures = NULL;
    *result = NULL;
    if (!rn_given_open(&given, options, err)) {
        rn_given_ignore(&given, "min_seconds");
        threads = (int)rn_given_integer(&given, "threads", 1, 1024, 0);
    }
    if ((status = rn_given_close(&given)))
        goto fail;
    if (!seconds || !sources) {
        status = rn_error_memory(err, "statistics", (unsigned long long)d->count * sizeof *seconds);
        goto fail;
    }
    if ((status = run_check(data, 0, threads, progress, context, &check, err)) || (status = rn_check_stats(d, check, &figures, err)))
        goto fail;
    json_t *classes = json_array();
    for (int i = 0; i < d->classes; i++)
        rn_result_add(&classes, class_object(d, check, &figures[i], i, seconds, sources));
    *result = rn_result_text(json_pack("{s:i, s:s, s:f, s:o}", "items", d->count, "kind", rn_kind_name(rn_dataset_kind(d)), "seconds",
                                       check->total_seconds, "classes", classes),
                             err);
    status = *result ? 0 : RN_ERR_MEMORY;
fail:
    rn_check_close(&check);
    free(figures);
    free(seconds);
    free(sources);
    return status;
}

int rn_data_split(rn_data *data, const char *path, const char *options, char **result, rn_error *err)
{
    rn_given given;
    rn_split_options split;
    rn_dataset *d = data->dataset;
    rn_pool *pool = NULL;
    char digest[33];
    int threads = 0, status;
    *result = NULL;
    rn_split_default(&split);
    if (!rn_given_open(&given, options, err)) {
        split.seed = (uint64_t)rn_given_integer(&given, "split_seed", 0, INT64_MAX, 0);
        split.train = rn_given_number(&given, "train", 0, 1, split.train);
        split.validation = rn_given_number(&given, "validation", 0, 1, split.validation);
        split.test = rn_given_number(&given, "test", 0, 1, split.test);
        threads = (int)rn_given_integer(&given, "threads", 1, 1024, 0);
    }
    if ((status = rn_given_close(&given)) || (status = rn_pool_open(&pool, threads, err)) || (status = rn_dataset_hash(d, pool, err)) ||
        (status = rn_split_make(d, &split, err)) || (status = rn_split_write(d, path, err)))
        goto fail;
    rn_split_digest(d, digest);
    json_t *classes = json_array();
    for (int i = 0; i < d->classes; i++)
        rn_result_add(&classes,
                      json_pack("{s:s, s:i, s:i, s:i}", "label", d->labels[i], "train", rn_split_count(d, RN_PART_TRAIN, i), "validation",
                                rn_split_count(d, RN_PART_VALIDATION, i), "test", rn_split_count(d, RN_PART_TEST, i)));
    *result = rn_result_text(json_pack("{s:o, s:s, s:i, s:i, s:i, s:o}", "path", rn_result_path(path), "digest", digest, "train",
                                       rn_split_count(d, RN_PART_TRAIN, -1), "validation", rn_split_count(d, RN_PART_VALIDATION, -1),
                                       "test", rn_split_count(d, RN_PART_TEST, -1), "classes", classes),
                             err);
    status = *result ? 0 : RN_ERR_MEMORY;
fail:
    rn_pool_close(&pool);
    return status;
}
