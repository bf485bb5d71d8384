/* Opening and closing a trainer: everything that can be wrong is found here, before any work is lost, and all memory is taken. */
#include "train/state.h"

#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/threads.h"

/* ---- Data ---- */

static int relay_prepare(void *context, int64_t done, int64_t total)
{
    rn_train_progress p = {.stage = RN_TRAIN_PREPARE, .done = done, .total = total, .seconds_left = -1};
    return rn_trainer_report(context, &p);
}

static int hash_items(rn_trainer *t, rn_error *err)
{
    rn_train_progress p = {.stage = RN_TRAIN_HASH, .total = t->dataset->count, .seconds_left = -1};
    if (rn_trainer_report(t, &p))
        return rn_error_set(err, RN_ERR_CANCELLED, "stopped before training began");
    int status = t->options.skip_bad ? rn_dataset_hash_skip_bad(t->dataset, t->pool, &t->unreadable, err)
                                     : rn_dataset_hash(t->dataset, t->pool, err);
    p.done = p.total;
    if (!status && rn_trainer_report(t, &p))
        return rn_error_set(err, RN_ERR_CANCELLED, "stopped before training began");
    return status;
}

static int open_loader(rn_trainer *t, rn_error *err)
{
    const rn_train_options *o = &t->options;
    int threads = rn_pool_threads(t->pool);
    rn_loader_options options = {.seed = o->seed,
                                 .batch = o->batch,
                                 .threads = o->loader_threads ? o->loader_threads
                                            : threads > 1     ? threads / 2
                                                              : 1,
                                 .cache_mb = o->cache_mb,
                                 .balance = o->balance == RN_BALANCE_SAMPLING,
                                 .skip_bad = o->skip_bad,
                                 .min_seconds = o->min_seconds,
                                 .pictures = &o->pictures,
                                 .picture_augment = &o->picture_augment};
    int status = rn_loader_open(&t->loader, t->dataset, t->kind == RN_SOUND ? &o->features : NULL, &o->augment, &options, err);
    if (status)
        return status;
    rn_loader_shape(t->loader, &t->c, &t->h, &t->w);
    if (!t->dry && (status = rn_loader_prepare(t->loader, relay_prepare, t, &t->bad, err)))
        return status;
    t->bad += t->unreadable;
    if (t->bad)
        rn_trainer_note(t, "%d items are left out: they can't be read or decoded, are silent, or shorter than %g s", t->bad,
                        o->min_seconds);
    t->steps = rn_loader_steps(t->loader, &t->left_out);
    if (t->steps < 1)
        return rn_error_set(err, RN_ERR_DATA, "%s: too few items to train on for one batch of %d; add recordings or lower --batch",
                            t->data_name, o->batch);
    if (t->left_out)
        rn_trainer_note(t, "%lld items of each epoch are left out: the last batch would be too small", (long long)t->left_out);
    if (t->steps > INT64_MAX / 2 / (o->epochs + 1))
        return rn_error_set(err, RN_ERR_ARG, "--epochs %d: too many steps", o->epochs);
    return 0;
}

static const double MOST_WEIGHT = 100; /* of a rare class among several labels: more, and one item is a step of its own */

/* Balanced loss: N / (classes * n_c) over the training part; with several labels, items without the class for each that has it. */
static int make_class_weights(rn_trainer *t, rn_error *err)
{
    const rn_train_options *o = &t->options;
    int classes = t->dataset->classes, total = 0;
    if (o->balance != RN_BALANCE_WEIGHTS && !o->class_weights_count)
        return 0;
    if (!(t->class_weights = calloc((size_t)classes, sizeof *t->class_weights)))
        return rn_error_memory(err, "class weights", (unsigned long long)classes * sizeof(double));
    if (o->class_weights_count) {
        memcpy(t->class_weights, o->class_weights, (size_t)classes * sizeof *t->class_weights);
        return 0;
    }
    for (int i = 0, count; i < t->dataset->count; i++)
        if (t->dataset->items[i].part == RN_PART_TRAIN && !t->dataset->items[i].bad) {
            const int *labels = rn_item_classes(t->dataset, &t->dataset->items[i], &count);
            for (int k = 0; k < count; k++)
                t->class_weights[labels[k]]++;
            total++;
        }
    for (int c = 0; c < classes && t->dataset->several; c++) {
        double yes = t->class_weights[c], ratio = yes > 0 ? (total - yes) / yes : 1;
        t->class_weights[c] = ratio > MOST_WEIGHT ? MOST_WEIGHT : ratio < 1.0 / MOST_WEIGHT ? 1.0 / MOST_WEIGHT : ratio; /* never 0 */
    }
    for (int c = 0; c < classes && !t->dataset->several; c++)
        t->class_weights[c] = t->class_weights[c] > 0 ? total / (classes * t->class_weights[c]) : 0;
    return 0;
}

/* ---- Network ---- */

/* "layer1" covers layer1.0.conv1.weight, not layer10; "layer1." and a whole name work too. */
static int covers(const char *prefix, const char *name)
{
    size_t length = strlen(prefix);
    return strncmp(prefix, name, length) == 0 && (name[length] == '.' || name[length] == 0 || (length && prefix[length - 1] == '.'));
}

int rn_trainer_frozen(rn_trainer *t, rn_error *err)
{
    const rn_graph *graph = t->model->graph;
    int trained = 0;
    if (!t->options.freeze_count)
        return 0;
    if (!(t->frozen = calloc((size_t)graph->params_count + 1, 1)))
        return rn_error_memory(err, "frozen layers", (unsigned long long)graph->params_count);
    for (int f = 0; f < t->options.freeze_count; f++) {
        int hits = 0;
        for (int i = 0; i < graph->params_count; i++)
            if (covers(t->options.freeze[f], graph->params[i].name)) {
                t->frozen[i] = 1;
                hits++;
            }
        if (!hits)
            return rn_error_set(err, RN_ERR_ARG, "--freeze %s: no parameter's name begins so; resnet arch %s lists them",
                                t->options.freeze[f], t->options.arch.name);
    }
    for (int i = 0; i < graph->params_count; i++)
        trained += !t->frozen[i] && graph->params[i].kind != RN_PARAM_BN_MEAN && graph->params[i].kind != RN_PARAM_BN_VAR;
    if (!trained)
        return rn_error_set(err, RN_ERR_ARG, "--freeze leaves no parameter to train");
    return 0;
}

static int open_model(rn_trainer *t, rn_checkpoint *checkpoint, rn_error *err)
{
    const rn_train_options *o = &t->options;
    if (checkpoint)
        return rn_checkpoint_model(checkpoint, &t->model, err);
    int status = rn_model_new(&t->model, &o->arch, (const char *const *)t->dataset->labels, o->init_weights, o->zero_last, o->seed, err);
    if (!status && t->dataset->several)
        status = rn_model_set_several(t->model, err);
    if (status || !o->init_path[0])
        return status;
    rn_model *from = NULL;
    status = rn_model_load_weights(&from, o->init_path, err);
    if (!status)
        status = rn_model_adopt(t->model, from, o->seed, t->watch.note, t->watch.context, err);
    rn_model_close(&from);
    return status;
}

static void *array(size_t count, size_t size)
{
    return calloc(count + 1, size);
}

/* Arrays beside the model: averages' originals, the best, ghost batches' outputs. */
static int take_memory(rn_trainer *t, rn_error *err)
{
    const rn_graph *graph = t->model->graph;
    size_t weights = (size_t)graph->weights_count, stats = (size_t)graph->stats_count, batch = (size_t)t->options.batch;
    size_t ghost = (size_t)t->options.ghost_batch < batch ? (size_t)t->options.ghost_batch : batch;
    size_t rows = ghost * (size_t)t->options.arch.classes;
    t->average = t->options.ema > 0;
    t->weights = t->average ? array(weights, sizeof(float)) : t->model->weights;
    t->stats = t->average ? array(stats, sizeof(float)) : t->model->stats;
    if (!t->folder) {
        t->best_weights = array(weights, sizeof(float));
        t->best_stats = array(stats, sizeof(float));
    }
    t->stage_of = array((size_t)graph->params_count, sizeof(int));
    t->batch_stats = array(stats, sizeof(double));
    t->stats_sum = array(stats, sizeof(double));
    t->logits = array(rows, sizeof(float));
    t->dlogits = array(rows, sizeof(float));
    t->labels2 = array(batch, sizeof(int));
    t->pair = array(batch, sizeof(int));
    t->share = array(batch, sizeof(double));
    if (t->dataset->several && !(t->targets = array(batch * (size_t)t->options.arch.classes, sizeof(float))))
        return rn_error_memory(err, "targets", (unsigned long long)batch * (unsigned)t->options.arch.classes * sizeof(float));
    if (!t->weights || !t->stats || (!t->folder && (!t->best_weights || !t->best_stats)) || !t->stage_of || !t->batch_stats ||
        !t->stats_sum || !t->logits || !t->dlogits || !t->labels2 || !t->pair || !t->share)
        return rn_error_memory(err, "training", 4 * (unsigned long long)weights);
    for (int i = 0; i < graph->params_count; i++)
        t->stage_of[i] = rn_stage_of(graph->params[i].name);
    if (t->average) {
        memcpy(t->weights, t->model->weights, weights * sizeof(float));
        memcpy(t->stats, t->model->stats, stats * sizeof(float));
    }
    return rn_tree_open(&t->tree, graph->weights_count, rn_ghost_count(t, t->options.batch), err);
}

static int open_engines(rn_trainer *t, rn_error *err)
{
    const rn_graph *graph = t->model->graph;
    int ghost = t->options.ghost_batch < t->options.batch ? t->options.ghost_batch : t->options.batch;
    int modes = (t->options.recompute_blocks ? RN_LEARN_RECOMPUTE : 0) | (t->options.drop_path > 0 ? RN_LEARN_DROP : 0);
    int status = rn_learn_open(&t->learn, graph, ghost, t->h, t->w, t->frozen, modes, t->pool, err);
    if (!status && t->options.drop_path > 0 && !(t->kept = array((size_t)rn_learn_blocks(t->learn) * (size_t)ghost, sizeof *t->kept)))
        status = rn_error_memory(err, "the factors of blocks", (unsigned long long)ghost * sizeof *t->kept);
    if (!status)
        status = rn_infer_open(&t->infer, graph, t->model->weights, t->model->stats, t->pool, err);
    if (!status)
        status = rn_optimiser_open(&t->optimiser, graph, &t->options, t->frozen, err);
    return status;
}

/* ---- Opening ---- */

static int check_folder(const char *folder, rn_resume resume, rn_error *err)
{
    if (!folder || resume != RN_RESUME_NO || !rn_run_exists(folder))
        return 0;
    return rn_error_set(err, RN_ERR_ARG, "%s holds a run already: go on with --resume, or name another folder with --out", folder);
}

/* A run without a checkpoint was killed in its first epoch and can only have the model of that epoch. A later one, or one
 * that was tested, is somebody's result. */
static int begin_afresh(rn_trainer *t, rn_error *err)
{
    rn_model *model = NULL;
    json_int_t epoch = 0;
    int tested = 0;
    char *path = rn_folder_path(t->folder, "model.safetensors");
    if (path && !rn_model_load(&model, path, NULL)) {
        epoch = json_integer_value(json_object_get(rn_model_section(model, "training"), "epoch"));
        tested = json_object_get(rn_model_section(model, "training"), "test") != NULL;
    }
    rn_model_close(&model);
    free(path);
    if (epoch > 1 || tested)
        return rn_error_set(err, RN_ERR_IO,
                            "%s has the model of epoch %lld but no last.safetensors to go on from; name another folder with --out",
                            t->folder, (long long)epoch);
    if (rn_run_exists(t->folder))
        rn_trainer_note(t, "%s has no checkpoint yet: the run starts afresh", t->folder);
    return 0;
}

static int copy_arguments(rn_trainer *t, rn_dataset *dataset, const rn_train_options *options, const char *folder,
                          const rn_train_watch *watch, rn_error *err)
{
    t->dataset = dataset;
    t->options = *options;
    t->kind = rn_dataset_kind(dataset);
    if (watch)
        t->watch = *watch;
    t->data_name = strdup(t->watch.data_name ? t->watch.data_name : dataset->path ? dataset->path : "DATA");
    t->folder = folder ? strdup(folder) : NULL;
    if (!t->data_name || (folder && !t->folder) || !(t->before = malloc(((size_t)dataset->count + 1) * sizeof *t->before)))
        return rn_error_memory(err, "the parts of the data", (unsigned long long)dataset->count * sizeof *t->before);
    memcpy(t->before, dataset->items, (size_t)dataset->count * sizeof *t->before);
    /* A trailing slash would stand twice in every message. */
    for (size_t length = t->folder ? strlen(t->folder) : 0; length > 1 && t->folder[length - 1] == '/'; length--)
        t->folder[length - 1] = 0;
    return 0;
}

static int open_network(rn_trainer *t, rn_checkpoint *checkpoint, rn_error *err)
{
    int status;
    if ((status = open_model(t, checkpoint, err)) || (status = rn_trainer_frozen(t, err)) || (status = make_class_weights(t, err)) ||
        (status = take_memory(t, err)))
        return status;
    return open_engines(t, err);
}

static int open_trainer(rn_trainer *t, rn_resume resume, rn_error *err)
{
    rn_checkpoint *checkpoint = NULL;
    int64_t log_bytes = 0, events_bytes = 0;
    char events[300] = "";
    int status;
    if ((status = rn_train_options_check(&t->options, err)) || (status = check_folder(t->folder, resume, err)))
        return status;
    if ((status = rn_pool_open(&t->pool, t->options.threads, err)) || (status = hash_items(t, err)))
        return status;
    if (t->folder && resume != RN_RESUME_NO && (status = rn_checkpoint_read(&checkpoint, t->folder, err)))
        return status;
    if (resume != RN_RESUME_NO && t->folder && !checkpoint && (status = begin_afresh(t, err)))
        goto fail;
    if ((status = rn_resolve_split(t, checkpoint != NULL, err)) || (status = rn_resolve_options(t, err)))
        goto fail;
    if (checkpoint && (status = rn_checkpoint_check(checkpoint, t, resume, err)))
        goto fail;
    if ((status = open_loader(t, err)) || (status = open_network(t, checkpoint, err)))
        goto fail;
    if (checkpoint && (status = rn_checkpoint_restore(checkpoint, t, &log_bytes, events, &events_bytes, err)))
        goto fail;
    rn_learn_load(t->learn, t->weights, t->stats);
    if (t->folder &&
        ((status = rn_folder_open(t, checkpoint == NULL, err)) || (status = rn_runlog_open(t, log_bytes, events, events_bytes, err)) ||
         (!checkpoint && (status = rn_runlog_start(t, err))) || (status = rn_runlog_host(t, checkpoint ? "resumed" : "started", err))))
        goto fail;
fail:
    rn_checkpoint_close(&checkpoint);
    return status;
}

static int open_any(rn_trainer **trainer, rn_dataset *dataset, const rn_train_options *options, const char *folder, rn_resume resume,
                    const rn_train_watch *watch, int dry, rn_error *err)
{
    *trainer = NULL;
    rn_trainer *t = calloc(1, sizeof *t);
    if (!t)
        return rn_error_memory(err, "a trainer", sizeof *t);
    t->dry = dry;
    unsigned fp = rn_fp_enter();
    int status = copy_arguments(t, dataset, options, folder, watch, err);
    if (!status)
        status = open_trainer(t, resume, err);
    rn_fp_leave(fp);
    if (status)
        rn_trainer_close(&t);
    *trainer = t;
    return status;
}

int rn_trainer_open(rn_trainer **trainer, rn_dataset *dataset, const rn_train_options *options, const char *folder, rn_resume resume,
                    const rn_train_watch *watch, rn_error *err)
{
    return open_any(trainer, dataset, options, folder, resume, watch, 0, err);
}

int rn_trainer_open_dry(rn_trainer **trainer, rn_dataset *dataset, const rn_train_options *options, const rn_train_watch *watch,
                        rn_error *err)
{
    return open_any(trainer, dataset, options, NULL, RN_RESUME_NO, watch, 1, err);
}

/* The data set as it came: another trainer on it splits anew. */
static void give_back(rn_trainer *t)
{
    for (int i = 0; t->before && i < t->dataset->count; i++) {
        t->dataset->items[i].part = t->before[i].part;
        t->dataset->items[i].bad = t->before[i].bad;
    }
    free(t->before);
}

void rn_trainer_close(rn_trainer **trainer)
{
    rn_trainer *t = *trainer;
    if (!t)
        return;
    rn_runlog_close(&t->log);
    rn_learn_close(&t->learn);
    rn_infer_close(&t->infer);
    rn_optimiser_close(&t->optimiser);
    rn_tree_close(&t->tree);
    rn_loader_close(&t->loader);
    give_back(t);
    if (t->average) {
        free(t->weights);
        free(t->stats);
    }
    free(t->best_weights);
    free(t->best_stats);
    free(t->frozen);
    free(t->stage_of);
    free(t->batch_stats);
    free(t->stats_sum);
    free(t->kept);
    free(t->logits);
    free(t->dlogits);
    free(t->labels2);
    free(t->pair);
    free(t->share);
    free(t->targets);
    free(t->class_weights);
    rn_model_close(&t->model);
    rn_pool_close(&t->pool);
    free(t->folder);
    free(t->data_name);
    free(t);
    *trainer = NULL;
}
