/* last.safetensors: everything that a run needs to go on, and model.safetensors: the best model.
 *
 * last.safetensors is a model file (the averages where EMA is on) with more in it:
 *     train.weights [weights_count], train.stats [stats_count]   what is trained, with EMA only
 *     train.momentum | train.first_moment, train.second_moment   the optimiser's state
 *     metadata "resnet.state" (JSON)   arithmetic, resolved options, digest of the split, epochs, steps, sums of the epoch so far, the
 *                                      best so far, lengths of log.jsonl and of the event file
 * Both are written beside their name, flushed and renamed. The best model is written before the checkpoint of its epoch: if a kill falls
 * between the two, resuming trains that epoch again and writes the same bytes. */
#include "train/state.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "formats/json.h"
#include "train/population.h"

struct rn_checkpoint {
    char *path;
    rn_tensors tensors;
    json_t *state;
};

/* ---- The model's own sections ---- */

static int set_section(rn_model *model, const char *name, json_t *section)
{
    return section ? json_object_set_new(model->config, name, section) : -1;
}

/* The options without what may differ between equal runs: paths, threads, watching. */
static json_t *record_options(const rn_train_options *options, rn_kind kind)
{
    static const char *const left_out[] = {"init",      "split_file", "checkpoint_minutes", "cache_mb", "threads", "loader_threads",
                                           "log_steps", "arch",       "recompute_blocks",   "features", "pictures"};
    json_t *all = rn_train_options_to_json(options, kind);
    for (size_t i = 0; all && i < sizeof left_out / sizeof *left_out; i++)
        json_object_del(all, left_out[i]);
    json_object_del(json_object_get(all, "augment"), "noise_folder");
    return all;
}

/* epoch counts from 1; best: validation figures belong to it. */
static int describe(rn_trainer *t, int epoch, int64_t steps, int best, const rn_metrics *test, rn_error *err)
{
    const rn_dataset *d = t->dataset;
    int train = rn_split_count(d, RN_PART_TRAIN, -1), validation = rn_split_count(d, RN_PART_VALIDATION, -1),
        tested = rn_split_count(d, RN_PART_TEST, -1), used = 0;
    for (int i = 0; i < d->count; i++)
        used += d->items[i].part == RN_PART_TRAIN && !d->items[i].bad;
    json_t *training = json_pack("{s:i, s:i, s:I, s:i, s:o}", "epoch", epoch, "epochs", t->options.epochs, "steps", (json_int_t)steps,
                                 "items", used, "options", record_options(&t->options, t->kind));
    int failed = !training;
    if (best && isfinite(t->best.macro))
        failed = failed || json_object_set_new(training, "validation",
                                               json_pack("{s:o, s:o, s:o}", "accuracy", rn_json_number(t->best.accuracy), "macro_accuracy",
                                                         rn_json_number(t->best.macro), "loss", rn_json_number(t->best.loss)));
    if (test)
        failed = failed ||
                 json_object_set_new(training, "test",
                                     json_pack("{s:i, s:o, s:o, s:o}", "items", test->items, "accuracy", rn_json_number(test->accuracy),
                                               "macro_accuracy", rn_json_number(test->macro_accuracy), "loss", rn_json_number(test->loss)));
    failed = set_section(t->model, "training", training) || failed;
    failed = failed ||
             set_section(t->model, "split",
                         json_pack("{s:s, s:i, s:i, s:i}", "digest", t->digest, "train", train, "validation", validation, "test", tested));
    failed = failed || set_section(t->model, "input", json_pack("[i,i,i]", t->c, t->h, t->w));
    if (t->kind == RN_SOUND)
        failed = failed || set_section(t->model, "features", rn_features_to_json(&t->options.features));
    if (t->kind == RN_PICTURES)
        failed = failed || set_section(t->model, "pictures", rn_pictures_to_json(&t->options.pictures));
    return failed ? rn_error_memory(err, "the model's training record", 1) : 0;
}

/* After a failed write: what is whole, and what to do. */
static int write_failed(rn_trainer *t, int status, rn_error *err)
{
    char line[600];
    if (status != RN_ERR_IO || !err)
        return status;
    if (t->have_checkpoint)
        return rn_error_set(err, status, "%s; the checkpoint of epoch %d is whole. Free space, then: %s", err->text, t->checkpoint_epoch,
                            rn_trainer_resume_line(t, line));
    return rn_error_set(err, status, "%s; no checkpoint was written before. Free space, then: %s", err->text,
                        rn_trainer_resume_line(t, line));
}

int rn_checkpoint_best(rn_trainer *t, const rn_metrics *test, rn_error *err)
{
    const rn_graph *graph = t->model->graph;
    int status = describe(t, t->best.epoch, t->best.epoch * t->steps, 1, test, err);
    if (status)
        return status;
    if (!t->folder) {
        memcpy(t->best_weights, t->model->weights, (size_t)graph->weights_count * sizeof(float));
        memcpy(t->best_stats, t->model->stats, (size_t)graph->stats_count * sizeof(float));
        return 0;
    }
    char *path = rn_folder_path(t->folder, "model.safetensors");
    status = path ? rn_model_save(t->model, path, err) : rn_error_memory(err, "a path", strlen(t->folder));
    free(path);
    return write_failed(t, status, err);
}

int rn_checkpoint_fetch_best(rn_trainer *t, rn_error *err)
{
    const rn_graph *graph = t->model->graph;
    if (!t->folder) {
        memcpy(t->model->weights, t->best_weights, (size_t)graph->weights_count * sizeof(float));
        memcpy(t->model->stats, t->best_stats, (size_t)graph->stats_count * sizeof(float));
        return 0;
    }
    rn_model *best = NULL;
    char *path = rn_folder_path(t->folder, "model.safetensors");
    int status = path ? rn_model_load(&best, path, err) : rn_error_memory(err, "a path", strlen(t->folder));
    if (!status) {
        json_int_t epoch = json_integer_value(json_object_get(rn_model_section(best, "training"), "epoch"));
        if (epoch != t->best.epoch || best->graph->weights_count != graph->weights_count || best->graph->stats_count != graph->stats_count)
            status =
                rn_error_set(err, RN_ERR_MISMATCH,
                             "%s is not the best model of this run (epoch %d): it was replaced; begin the run again with another --out",
                             path, t->best.epoch);
    }
    if (!status) {
        memcpy(t->model->weights, best->weights, (size_t)graph->weights_count * sizeof(float));
        memcpy(t->model->stats, best->stats, (size_t)graph->stats_count * sizeof(float));
        json_t *averaged = rn_model_section(best, RN_POPULATION_SECTION);
        if (averaged && json_object_set(t->model->config, RN_POPULATION_SECTION, averaged))
            status = rn_error_memory(err, "the model's training record", 1);
    }
    rn_model_close(&best);
    free(path);
    return status;
}

/* ---- Writing the state ---- */

static json_t *sums_json(const rn_sums *s)
{
    return json_pack("{s:o, s:o, s:I, s:I}", "loss", rn_json_number(s->loss), "weight", rn_json_number(s->weight), "correct",
                     (json_int_t)s->correct, "items", (json_int_t)s->items);
}

static int state_text(rn_trainer *t, char **text, rn_error *err)
{
    const char *events = t->log.events ? rn_events_path(t->log.events) : "", *slash = strrchr(events, '/');
    json_t *best = json_pack("{s:i, s:o, s:o, s:o}", "epoch", t->best.epoch, "macro", rn_json_number(t->best.macro), "loss",
                             rn_json_number(t->best.loss), "accuracy", rn_json_number(t->best.accuracy));
    json_t *state = json_pack("{s:i, s:o, s:s, s:i, s:I, s:I, s:o, s:o, s:o, s:I, s:o, s:I}", "arithmetic", RN_ARITHMETIC, "config",
                              rn_train_options_to_json(&t->options, t->kind), "digest", t->digest, "epoch", t->epoch, "step",
                              (json_int_t)t->step, "done", (json_int_t)t->done, "sums", sums_json(&t->sums), "last", sums_json(&t->last),
                              "best", best, "log_bytes", (json_int_t)t->log.bytes, "events", rn_json_text(slash ? slash + 1 : events),
                              "events_bytes", (json_int_t)(t->log.events ? rn_events_bytes(t->log.events) : 0));
    int status = rn_json_dump(state, JSON_COMPACT, text, err);
    json_decref(state);
    return status;
}

static int add_arrays(rn_trainer *t, rn_tensors *out, rn_error *err)
{
    int64_t weights = t->model->graph->weights_count, stats = t->model->graph->stats_count;
    int status = 0;
    char name[64];
    if (t->average) {
        status = rn_tensors_add(out, "train.weights", RN_F32, 1, &weights, t->weights, err);
        if (!status)
            status = rn_tensors_add(out, "train.stats", RN_F32, 1, &stats, t->stats, err);
    }
    for (int i = 0; i < rn_optimiser_states(t->optimiser) && !status; i++) {
        snprintf(name, sizeof name, "train.%s", rn_optimiser_state_name(t->optimiser, i));
        status = rn_tensors_add(out, name, RN_F32, 1, &weights, rn_optimiser_state(t->optimiser, i), err);
    }
    return status;
}

int rn_checkpoint_write(rn_trainer *t, rn_error *err)
{
    rn_tensors tensors = {0};
    char *path = NULL, *text = NULL;
    int status;
    t->checkpoint_at = rn_seconds_now();
    if (!t->folder)
        return 0;
    if ((status = rn_runlog_flush(t, 1, err)))
        return status;
    if ((status = describe(t, t->epoch, t->done, 0, NULL, err)))
        return status;
    path = rn_folder_path(t->folder, "last.safetensors");
    status = path ? state_text(t, &text, err) : rn_error_memory(err, "a checkpoint", 1);
    if (status)
        goto fail;
    if ((status = rn_model_tensors(t->model, &tensors, err)) || (status = add_arrays(t, &tensors, err)))
        goto fail;
    if ((status = rn_tensors_set_metadata(&tensors, "resnet.state", text, err)))
        goto fail;
    status = write_failed(t, rn_safetensors_write(path, &tensors, err), err);
    if (!status) {
        t->have_checkpoint = 1;
        t->checkpoint_epoch = t->epoch;
    }
fail:
    rn_tensors_free(&tensors);
    free(path);
    free(text);
    return status;
}

/* ---- Reading it ---- */

void rn_checkpoint_close(rn_checkpoint **checkpoint)
{
    if (!*checkpoint)
        return;
    rn_tensors_free(&(*checkpoint)->tensors);
    json_decref((*checkpoint)->state);
    free((*checkpoint)->path);
    free(*checkpoint);
    *checkpoint = NULL;
}

int rn_checkpoint_read(rn_checkpoint **checkpoint, const char *folder, rn_error *err)
{
    *checkpoint = NULL;
    int status;
    rn_checkpoint *c = calloc(1, sizeof *c);
    if (!c || !(c->path = rn_folder_path(folder, "last.safetensors"))) {
        free(c);
        return rn_error_memory(err, "a checkpoint", sizeof *c);
    }
    if (access(c->path, F_OK)) {
        rn_checkpoint_close(&c);
        return 0;
    }
    if ((status = rn_safetensors_read(c->path, &c->tensors, err)))
        goto fail;
    const char *text = rn_tensors_metadata(&c->tensors, "resnet.state");
    c->state = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (!json_is_object(c->state)) {
        status =
            rn_error_set(err, RN_ERR_FORMAT, "%s: no checkpoint of a training (metadata \"resnet.state\" is missing or broken)", c->path);
        goto fail;
    }
    *checkpoint = c;
    return 0;
fail:
    rn_checkpoint_close(&c);
    return status;
}

/* The value of "lr" or "arch.width" as text; the caller frees it. */
static char *option_text(const json_t *config, const char *key)
{
    const char *dot = strchr(key, '.');
    char head[96] = "", *text = NULL;
    const json_t *value;
    if (!dot)
        value = json_object_get(config, key);
    else {
        memcpy(head, key, (size_t)(dot - key));
        value = json_object_get(json_object_get(config, head), dot + 1);
    }
    return rn_json_dump(value, JSON_ENCODE_ANY | JSON_COMPACT, &text, NULL) ? NULL : text;
}

static int refuse_option(const rn_checkpoint *c, const rn_trainer *t, const char *key, rn_error *err)
{
    char option[128];
    json_t *now = rn_train_options_to_json(&t->options, t->kind);
    char *before = option_text(json_object_get(c->state, "config"), key), *after = option_text(now, key);
    int status =
        rn_error_set(err, RN_ERR_MISMATCH,
                     "%s is %.200s, the run in %s began with %.200s: leave the option out, or begin another run with another --out",
                     rn_train_option_name(key, option), after ? after : "unset", t->folder, before ? before : "unset");
    free(before);
    free(after);
    json_decref(now);
    return status;
}

int rn_checkpoint_check(const rn_checkpoint *c, const rn_trainer *t, rn_resume resume, rn_error *err)
{
    char key[96];
    json_int_t arithmetic = json_integer_value(json_object_get(c->state, "arithmetic"));
    const char *digest = json_string_value(json_object_get(c->state, "digest"));
    if (arithmetic != RN_ARITHMETIC && resume != RN_RESUME_ANY_ARITHMETIC)
        return rn_error_set(err, RN_ERR_MISMATCH,
                            "%s was made under arithmetic %lld, this build computes under %d, so the run would not end with the same bits: "
                            "go on with the version that "
                            "began it, or allow another arithmetic",
                            c->path, (long long)arithmetic, RN_ARITHMETIC);
    if (!digest || strcmp(digest, t->digest))
        return rn_error_set(err, RN_ERR_MISMATCH,
                            "%s is not the data that %s was trained on (split digest %s, the checkpoint has %s): bring data and split.csv "
                            "back, or begin another run "
                            "with another --out",
                            t->data_name, t->folder, t->digest, digest ? digest : "none");
    rn_train_options *before = malloc(sizeof *before);
    if (!before)
        return rn_error_memory(err, "options", sizeof *before);
    rn_train_options_default(before);
    int status = rn_train_options_from_json(before, json_object_get(c->state, "config"), c->path, err);
    if (!status && rn_train_options_differ(&t->options, before, t->kind, key))
        status = refuse_option(c, t, key, err);
    free(before);
    return status;
}

int rn_checkpoint_model(rn_checkpoint *c, rn_model **model, rn_error *err)
{
    return rn_model_from_tensors(model, c->path, &c->tensors, err);
}

static int read_array(const rn_checkpoint *c, const char *name, float *out, int64_t count, rn_error *err)
{
    const rn_tensor *tensor = rn_tensors_find(&c->tensors, name);
    if (!tensor || tensor->dtype != RN_F32 || tensor->count != count)
        return rn_error_set(err, RN_ERR_FORMAT, "%s: %s should hold %lld floats, the file has %lld", c->path, name, (long long)count,
                            tensor ? (long long)tensor->count : 0);
    rn_tensor_floats(tensor, out);
    return 0;
}

static double real(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static void read_sums(const json_t *object, rn_sums *s)
{
    s->loss = real(object, "loss");
    s->weight = real(object, "weight");
    s->correct = json_integer_value(json_object_get(object, "correct"));
    s->items = json_integer_value(json_object_get(object, "items"));
}

int rn_checkpoint_restore(rn_checkpoint *c, rn_trainer *t, int64_t *log_bytes, char events[300], int64_t *events_bytes, rn_error *err)
{
    int64_t weights = t->model->graph->weights_count;
    int status;
    char name[64];
    if (t->average && ((status = read_array(c, "train.weights", t->weights, weights, err)) ||
                       (status = read_array(c, "train.stats", t->stats, t->model->graph->stats_count, err))))
        return status;
    for (int i = 0; i < rn_optimiser_states(t->optimiser); i++) {
        snprintf(name, sizeof name, "train.%s", rn_optimiser_state_name(t->optimiser, i));
        if ((status = read_array(c, name, rn_optimiser_state(t->optimiser, i), weights, err)))
            return status;
    }
    json_int_t epoch = json_integer_value(json_object_get(c->state, "epoch")), step = json_integer_value(json_object_get(c->state, "step"));
    json_int_t done = json_integer_value(json_object_get(c->state, "done"));
    const json_t *best = json_object_get(c->state, "best");
    json_int_t best_epoch = json_integer_value(json_object_get(best, "epoch"));
    if (epoch < 0 || epoch > t->options.epochs || step < 0 || step > t->steps || done != epoch * t->steps + step || best_epoch < 0 ||
        best_epoch > epoch)
        return rn_error_set(err, RN_ERR_FORMAT, "%s: epoch %lld, step %lld, %lld steps in all do not fit a run of %d epochs of %lld steps",
                            c->path, (long long)epoch, (long long)step, (long long)done, t->options.epochs, (long long)t->steps);
    t->epoch = (int)epoch;
    t->step = step;
    t->done = done;
    t->best = (rn_best){(int)best_epoch, real(best, "macro"), real(best, "loss"), real(best, "accuracy")};
    read_sums(json_object_get(c->state, "sums"), &t->sums);
    read_sums(json_object_get(c->state, "last"), &t->last);
    *log_bytes = json_integer_value(json_object_get(c->state, "log_bytes"));
    *events_bytes = json_integer_value(json_object_get(c->state, "events_bytes"));
    const char *text = json_string_value(json_object_get(c->state, "events"));
    snprintf(events, 300, "%s", text && !strchr(text, '/') ? text : "");
    if (*log_bytes < 0 || *events_bytes < 0)
        return rn_error_set(err, RN_ERR_FORMAT, "%s: negative lengths of log or events", c->path);
    t->have_checkpoint = 1;
    t->checkpoint_epoch = t->epoch;
    return 0;
}
