/* What a run would be: parts, sizes, memory, and its time from one measured step. */
#include "train/state.h"

#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/random.h"

static int64_t sample_macs(const rn_trainer *t, rn_error *err)
{
    const rn_graph *graph = t->model->graph;
    int(*sizes)[2] = calloc((size_t)graph->nodes_count + 1, sizeof *sizes);
    int64_t macs = 0;
    int status = sizes ? rn_graph_sizes(graph, t->h, t->w, sizes, err) : rn_error_memory(err, "sizes of layers", 1);
    for (int i = 0; i < graph->nodes_count && !status; i++)
        macs += rn_graph_macs(graph, (const int(*)[2])sizes, i);
    free(sizes);
    return status ? status : macs;
}

static int64_t weight_bytes(const rn_trainer *t)
{
    const rn_graph *graph = t->model->graph;
    int64_t copies = 1 + t->tree.buffers_count + rn_optimiser_states(t->optimiser) + (t->average ? 1 : 0) + (t->folder ? 0 : 1);
    return copies * graph->weights_count * (int64_t)sizeof(float);
}

void rn_train_plan_free(rn_train_plan *plan)
{
    free(plan->per_class);
    plan->per_class = NULL;
}

int rn_trainer_plan(rn_trainer *t, rn_train_plan *plan, rn_error *err)
{
    memset(plan, 0, sizeof *plan);
    if (!t->model)
        return rn_error_set(err, RN_ERR_ARG, "the model was taken from this trainer: it can only be closed");
    int64_t macs = sample_macs(t, err);
    if (macs < 0)
        return (int)macs;
    plan->per_class = calloc((size_t)t->dataset->classes * RN_PARTS + 1, sizeof(int));
    if (!plan->per_class)
        return rn_error_memory(err, "the plan", (unsigned long long)t->dataset->classes * sizeof(int));
    for (int i = 0; i < t->dataset->count; i++) {
        const rn_item *item = &t->dataset->items[i];
        if (item->bad || item->part < 0)
            continue;
        plan->parts[item->part]++;
        int count;
        const int *labels = rn_item_classes(t->dataset, item, &count);
        for (int k = 0; k < count; k++)
            plan->per_class[labels[k] * RN_PARTS + item->part]++;
    }
    plan->options = t->options;
    plan->kind = t->kind;
    plan->classes = t->dataset->classes;
    plan->bad = t->bad;
    plan->c = t->c;
    plan->h = t->h;
    plan->w = t->w;
    plan->parameters = t->model->graph->weights_count;
    plan->macs = macs;
    plan->steps = t->steps;
    plan->left_out = t->left_out;
    plan->bytes_engine = rn_learn_bytes(t->learn) + rn_infer_bytes(t->infer);
    plan->bytes_weights = weight_bytes(t);
    plan->bytes_cache = t->kind == RN_ARRAYS ? 0 : (int64_t)t->options.cache_mb << 20;
    plan->total_seconds = t->total_seconds;
    plan->step_seconds = t->step_seconds;
    if (t->step_seconds > 0)
        plan->run_seconds = t->options.epochs * (t->step_seconds * (double)t->steps + t->validation_seconds);
    return 0;
}

/* ---- A measured step ---- */

/* Noise with labels in turn: the time does not depend on the numbers. */
static int noise_batch(rn_trainer *t, int n, rn_batch *batch, rn_error *err)
{
    int64_t size = (int64_t)t->c * t->h * t->w;
    float *x = malloc((size_t)n * (size_t)size * sizeof *x);
    int *labels = calloc((size_t)n, sizeof *labels), *items = calloc((size_t)n, sizeof *items);
    uint64_t *positions = calloc((size_t)n, sizeof *positions);
    *batch = (rn_batch){.n = n, .x = x, .labels = labels, .items = items, .positions = positions};
    if (!x || !labels || !items || !positions)
        return rn_error_memory(err, "a batch", (unsigned long long)n * (unsigned long long)size * sizeof *x);
    rn_random r;
    rn_random_start(&r, 0, RN_PURPOSE_TEST, 0, 0);
    for (int64_t i = 0; i < n * size; i++)
        x[i] = (float)(2 * rn_random_double(&r) - 1);
    for (int i = 0; i < n; i++)
        labels[i] = i % t->dataset->classes;
    return 0;
}

static void free_batch(rn_batch *batch)
{
    free(batch->x);
    free((void *)(uintptr_t)batch->labels);
    free((void *)(uintptr_t)batch->items);
    free((void *)(uintptr_t)batch->positions);
}

static double seconds_of_step(rn_trainer *t, rn_batch *batch, int *status, rn_error *err)
{
    rn_step step = {0};
    double started = rn_seconds_now();
    if (!(*status = rn_trainer_gradients(t, batch, &step, err))) {
        step.lr = 0;
        rn_trainer_apply(t, &step);
    }
    return rn_seconds_now() - started;
}

/* One step and one inference, each run twice (the first takes page faults and packing), the second timed. A whole batch costs its ghost
 * batches in turn, so more than four of them are measured as four. */
static int measure(rn_trainer *t, rn_error *err)
{
    int ghosts = rn_ghost_count(t, t->options.batch), few = ghosts > 4 ? 4 : ghosts, first, most, status;
    rn_ghost_cut(t->options.batch, ghosts, 0, &first, &most);
    int n = few == ghosts ? t->options.batch : few * most;
    rn_batch batch = {0};
    float *logits = calloc((size_t)t->dataset->classes + 1, sizeof *logits);
    status = logits ? noise_batch(t, n, &batch, err) : rn_error_memory(err, "logits", 1);
    double seconds = 0, judged = 0;
    for (int run = 0; run < 2 && !status; run++)
        seconds = seconds_of_step(t, &batch, &status, err);
    for (int run = 0; run < 2 && !status; run++) {
        double started = rn_seconds_now();
        status = rn_infer_run(t->infer, 1, t->h, t->w, batch.x, logits, NULL, err);
        judged = rn_seconds_now() - started;
    }
    t->step_seconds = seconds * t->options.batch / n;
    /* A whole recording is longer than a crop. */
    double longer =
        t->kind != RN_SOUND || !(t->total_seconds > 0) ? 1 : t->total_seconds / (t->dataset->count * t->options.features.seconds);
    t->validation_seconds = judged * (longer > 1 ? longer : 1) * rn_split_count(t->dataset, RN_PART_VALIDATION, -1);
    free_batch(&batch);
    free(logits);
    return status;
}

int rn_train_dry_run(rn_dataset *dataset, const rn_train_options *options, const rn_train_watch *watch, rn_train_plan *plan, rn_error *err)
{
    rn_trainer *t = NULL;
    memset(plan, 0, sizeof *plan);
    int status = rn_trainer_open_dry(&t, dataset, options, watch, err);
    if (!status) {
        unsigned fp = rn_fp_enter();
        status = measure(t, err);
        rn_fp_leave(fp);
    }
    if (!status)
        status = rn_trainer_plan(t, plan, err);
    rn_trainer_close(&t);
    return status;
}
