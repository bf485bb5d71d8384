/* `resnet bench`: one network on random input, timed.
 *
 * Inference is rn_infer_run as a session calls it. A training step is what the trainer does between two batches: load the weights,
 * each ghost batch forwards, its loss, backwards, gradients added as the tree, one optimiser step with SGD and Nesterov momentum.
 * Runs of warm-up come first; then runs for `seconds`, at least five. Median and minimum are of those; `spread` is the 10th to the 90th
 * percentile as a share of the median. GFLOP/s counts two operations per multiply-add of the direct convolution: once in inference;
 * in training forward, backward-data (not for the first layer, whose input needs none) and backward-weights. The peak is of
 * fused multiply-adds from registers, the larger of two measurements, before and after.
 *
 * The bytes of a step are counted, not measured: what the training engine's plan moves, and gradients, weights and momentum on their way
 * through the tree and the optimiser. The floor beside them is what no plan that stores the same tensors could go below. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "api/given.h"
#include "api/result.h"
#include "base/cpu.h"
#include "base/random.h"
#include "graph/infer.h"
#include "graph/learn.h"
#include "kernels/peak.h"
#include "models/model.h"
#include "resnet_tools.h"
#include "train/loss.h"
#include "train/optimiser.h"
#include "train/state.h"

enum { RUNS_MOST = 2000, LAYERS_MOST = 1024 };

typedef struct layer_time {
    char name[96], kind[24];
    const char *algorithm;           /* of a convolution; NULL elsewhere */
    int c, h, w;
    int channels_in, kernel, stride; /* of a convolution; 0 elsewhere */
    int64_t macs;
    double sum, least;
    int count;
} layer_time;

typedef struct bench {
    rn_model *model;
    rn_pool *pool;
    rn_infer *infer;
    rn_learn *learn;
    rn_optimiser *optimiser;
    int batch, ghost, height, width, train, recompute, want_layers;
    double seconds;
    float *x, *logits, *embedding, *dlogits;
    double *batch_stats;
    int *labels;
    rn_tree tree;
    int64_t steps;
    double idle_mib;                 /* resident before training was planned */
    double times[RUNS_MOST];
    int runs;
    layer_time *layers;
    int layers_count, layer_at;
} bench;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* What the event does not say of a convolution, from the graph. */
static void describe(const rn_graph *graph, layer_time *row)
{
    for (int i = 0; i < graph->nodes_count; i++) {
        const rn_node *node = &graph->nodes[i];
        if (node->op != RN_OP_CONV || strcmp(node->name, row->name))
            continue;
        row->channels_in = graph->nodes[node->a].channels;
        row->kernel = node->kernel_h;
        row->stride = node->stride;
    }
}

/* Steps come in the same order in every run: the n-th event belongs to the n-th row. */
static void layer_done(void *context, const rn_layer_event *event)
{
    bench *b = context;
    if (b->layer_at >= LAYERS_MOST)
        return;
    layer_time *row = &b->layers[b->layer_at++];
    if (!row->count) {
        strncpy(row->name, event->name, sizeof row->name - 1);
        strncpy(row->kind, event->kind, sizeof row->kind - 1);
        row->algorithm = event->algorithm;
        row->c = event->c;
        row->h = event->h;
        row->w = event->w;
        describe(b->model->graph, row);
        row->least = event->seconds;
        b->layers_count = b->layer_at;
    }
    row->macs += event->macs;
    row->sum += event->seconds;
    row->least = event->seconds < row->least ? event->seconds : row->least;
    row->count++;
}

static int train_step(bench *b, rn_error *err)
{
    int count = (b->batch + b->ghost - 1) / b->ghost, status;
    const rn_graph *graph = b->model->graph;
    rn_loss_options loss_options = {b->model->arch.classes, NULL, 0};
    int64_t sample = (int64_t)graph->in_channels * b->height * b->width;
    rn_learn_load(b->learn, b->model->weights, b->model->stats);
    for (int i = 0; i < count; i++) {
        int first, n;
        rn_ghost_cut(b->batch, count, i, &first, &n);
        rn_targets targets = {b->labels + first, NULL, NULL, NULL};
        rn_loss loss = {0};
        if ((status = rn_learn_forward(b->learn, n, b->x + first * sample, b->logits, NULL, b->batch_stats, err)))
            return status;
        rn_loss_run(&loss_options, &targets, n, b->logits, b->batch, b->dlogits, &loss);
        if ((status = rn_learn_backward(b->learn, b->dlogits, NULL, rn_tree_next(&b->tree), err)))
            return status;
        rn_tree_push(&b->tree, b->pool);
    }
    rn_optimiser_step(b->optimiser, b->model->weights, rn_tree_sum(&b->tree, b->pool), 1e-4, 1.0, ++b->steps, b->pool);
    return 0;
}

static int one_run(bench *b, rn_error *err)
{
    b->layer_at = 0;
    if (b->train)
        return train_step(b, err);
    return rn_infer_run(b->infer, b->batch, b->height, b->width, b->x, b->logits, b->embedding, err);
}

static double resident_mib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024;
}

static int prepare(bench *b, rn_error *err)
{
    const rn_graph *graph = b->model->graph;
    int64_t sample = (int64_t)graph->in_channels * b->height * b->width;
    int status;
    rn_random random;
    b->idle_mib = resident_mib();
    if (b->train) {
        if ((status = rn_model_wants_classes(b->model, "bench --train", err)))
            return status;
        rn_train_options options;
        rn_train_options_default(&options);
        if ((status =
                 rn_learn_open(&b->learn, graph, b->batch < b->ghost ? b->batch : b->ghost, b->height, b->width, NULL, b->recompute ? RN_LEARN_RECOMPUTE : 0, b->pool, err)) ||
            (status = rn_optimiser_open(&b->optimiser, graph, &options, NULL, err)))
            return status;
        if ((status = rn_tree_open(&b->tree, graph->weights_count, (b->batch + b->ghost - 1) / b->ghost, err)))
            return status;
    } else if ((status = rn_infer_open(&b->infer, graph, b->model->weights, b->model->stats, b->pool, err)) ||
               (status = rn_infer_plan(b->infer, b->batch, b->height, b->width, err))) {
        return status;
    }
    b->x = malloc((size_t)(sample * b->batch) * sizeof(float));
    b->logits = malloc((size_t)b->batch * (size_t)(b->model->arch.classes + 1) * sizeof(float));
    b->dlogits = malloc((size_t)b->batch * (size_t)(b->model->arch.classes + 1) * sizeof(float));
    size_t numbers = (size_t)rn_graph_embedding(b->model->graph);
    b->embedding = numbers ? malloc((size_t)b->batch * numbers * sizeof(float)) : NULL;
    b->batch_stats = malloc((size_t)(graph->stats_count + 1) * sizeof(double));
    b->labels = malloc((size_t)b->batch * sizeof(int));
    b->layers = calloc(LAYERS_MOST, sizeof *b->layers);
    if (!b->x || !b->logits || !b->dlogits || (numbers && !b->embedding) || !b->batch_stats || !b->labels || !b->layers)
        return rn_error_memory(err, "a batch", (unsigned long long)(sample * b->batch) * sizeof(float));
    rn_random_start(&random, 0, RN_PURPOSE_TEST, 0, 0);
    for (int64_t i = 0; i < sample * b->batch; i++)
        b->x[i] = (float)(2 * rn_random_double(&random) - 1);
    for (int i = 0; i < b->batch; i++)
        b->labels[i] = b->model->arch.classes ? i % b->model->arch.classes : 0;
    return 0;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int measure(bench *b, rn_progress_fn progress, void *context, rn_error *err)
{
    int status = 0;
    double started = now(), least_warm = b->seconds < 1 ? b->seconds / 3 : 0.3;
    for (int i = 0; i < 100 && (i < 2 || now() - started < least_warm); i++)
        if ((status = one_run(b, err)))
            return status;
    started = now();
    for (b->runs = 0; b->runs < RUNS_MOST && (b->runs < 5 || now() - started < b->seconds); b->runs++) {
        double before = now();
        if ((status = one_run(b, err)))
            return status;
        b->times[b->runs] = now() - before;
        if (progress && progress(context, (int64_t)(1000 * (now() - started)), (int64_t)(1000 * b->seconds)))
            return rn_error_set(err, RN_ERR_CANCELLED, "bench: stopped after %d runs", b->runs + 1);
    }
    if (!b->want_layers)
        return 0;
    /* Hooks cost a little: layers are timed in runs of their own. */
    if ((status = b->train ? rn_learn_hook(b->learn, layer_done, b, 0, err) : rn_infer_hook(b->infer, layer_done, b, 0, err)))
        return status;
    started = now();
    for (int i = 0; i < RUNS_MOST && (i < 3 || now() - started < b->seconds / 2); i++)
        if ((status = one_run(b, err)))
            return status;
    return 0;
}

static int64_t forward_macs(const bench *b, int64_t *first, rn_error *err)
{
    const rn_graph *graph = b->model->graph;
    int(*sizes)[2] = calloc((size_t)graph->nodes_count, sizeof *sizes);
    int64_t macs = 0;
    *first = 0;
    if (!sizes)
        return rn_error_memory(err, "a layer table", 0);
    if (rn_graph_sizes(graph, b->height, b->width, sizes, err)) {
        free(sizes);
        return -1;
    }
    for (int i = 0; i < graph->nodes_count; i++) {
        int64_t own = rn_graph_macs(graph, (const int(*)[2])sizes, i);
        macs += own;
        if (own && !*first)
            *first = own;
    }
    free(sizes);
    return macs;
}

static json_t *layer_list(const bench *b)
{
    json_t *list = json_array();
    for (int i = 0; i < b->layers_count; i++) {
        const layer_time *row = &b->layers[i];
        double mean = row->sum / row->count, macs = (double)row->macs / row->count;
        json_t *object = json_pack("{s:s, s:s, s:[i,i,i], s:I, s:f, s:f, s:f}", "name", row->name, "kind", row->kind, "output", row->c,
                                   row->h, row->w, "macs", (json_int_t)macs, "ms", 1e3 * mean, "min_ms", 1e3 * row->least, "gflops",
                                   mean > 0 ? 2e-9 * macs / mean : 0.0);
        if (object && row->kernel) {
            rn_result_set(&object, "channels_in", json_integer(row->channels_in));
            rn_result_set(&object, "kernel", json_integer(row->kernel));
            rn_result_set(&object, "stride", json_integer(row->stride));
            rn_result_set(&object, "algorithm", json_string(row->algorithm));
        }
        rn_result_add(&list, object);
    }
    return list;
}

/* Bytes of a training step, and the floor. Of arrays as large as the weights, each ghost batch writes its gradient, each addition of the
 * tree reads two and writes one, and the optimiser reads three and writes weights and momentum; the floor has each of the three once. */
static int64_t step_bytes(const bench *b, int64_t *floor)
{
    int count = (b->batch + b->ghost - 1) / b->ghost;
    int64_t array = b->model->graph->weights_count * (int64_t)sizeof(float), bytes = array * (count + 3 * (count - 1) + 5);
    *floor = 3 * array;
    for (int i = 0; i < count; i++) {
        int first, n;
        rn_ghost_cut(b->batch, count, i, &first, &n);
        bytes += rn_learn_traffic(b->learn, n);
        *floor += rn_learn_floor(b->learn, n);
    }
    return bytes;
}

/* The machine's ceilings, and the memory of the benchmark before the measurement of bandwidth took its own. */
typedef struct ceilings {
    double peak, bandwidth, rss_mib;
} ceilings;

static void measure_ceilings(const bench *b, ceilings *c)
{
    int threads = rn_pool_threads(b->pool);
    double again = rn_bench_fma_peak(threads);
    c->peak = again > c->peak ? again : c->peak;
    c->rss_mib = resident_mib();
    if (b->train || b->want_layers)
        c->bandwidth = rn_bench_bandwidth(threads);
}

static json_t *report(bench *b, const ceilings *c, int64_t macs, int64_t first)
{
    qsort(b->times, (size_t)b->runs, sizeof *b->times, compare);
    double median = b->runs % 2 ? b->times[b->runs / 2] : 0.5 * (b->times[b->runs / 2 - 1] + b->times[b->runs / 2]);
    double low = b->times[b->runs / 10], high = b->times[b->runs - 1 - b->runs / 10];
    double work = 2.0 * b->batch * (b->train ? 3.0 * (double)macs - (double)first : (double)macs), gflops = 1e-9 * work / median;
    const rn_arch *a = &b->model->arch;
    json_t *all = json_pack("{s:s, s:i, s:[i,i,i], s:i, s:i, s:s, s:s, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I}", "arch", a->name,
                            "width", a->width, "input", a->in_channels, b->height, b->width, "batch", b->batch, "threads",
                            rn_pool_threads(b->pool), "isa", rn_cpu_level(), "mode", b->train ? "train" : "inference", "runs", b->runs,
                            "median_ms", 1e3 * median, "min_ms", 1e3 * b->times[0], "spread", (high - low) / median, "items_per_second",
                            b->batch / median, "gflops", gflops, "peak_gflops", c->peak, "peak_share", c->peak > 0 ? gflops / c->peak : 0.0,
                            "rss_mib", c->rss_mib, "macs", (json_int_t)macs);
    if (all && c->bandwidth > 0)
        rn_result_set(&all, "bandwidth_gbs", json_real(c->bandwidth));
    if (all && b->train) {
        int64_t floor, bytes = step_bytes(b, &floor);
        rn_result_set(&all, "ghost_batch", json_integer(b->ghost));
        rn_result_set(&all, "rss_before_mib", json_real(b->idle_mib));
        rn_result_set(&all, "step_bytes", json_integer(bytes));
        rn_result_set(&all, "floor_bytes", json_integer(floor));
    }
    if (all)
        rn_result_set(&all, "plan_bytes", json_integer(b->train ? rn_learn_bytes(b->learn) : rn_infer_bytes(b->infer)));
    if (all && b->want_layers)
        rn_result_set(&all, "layers", layer_list(b));
    return all;
}

static void bench_close(bench *b)
{
    rn_optimiser_close(&b->optimiser);
    rn_learn_close(&b->learn);
    rn_infer_close(&b->infer);
    rn_pool_close(&b->pool);
    rn_model_close(&b->model);
    rn_tree_close(&b->tree);
    free(b->x);
    free(b->logits);
    free(b->dlogits);
    free(b->embedding);
    free(b->batch_stats);
    free(b->labels);
    free(b->layers);
    free(b);
}

/* The model or the named network, and its input size. */
static void choose(bench *b, rn_given *g, int *threads)
{
    const char *what = rn_given_text(g, "what", "resnet18");
    int channels;
    rn_arch arch;
    b->train = rn_given_flag(g, "train");
    b->recompute = rn_given_flag(g, "recompute_blocks");
    b->want_layers = rn_given_flag(g, "layers");
    b->batch = (int)rn_given_integer(g, "batch", 1, 65536, b->train ? 16 : 1);
    b->ghost = (int)rn_given_integer(g, "ghost_batch", 1, 65536, 32);
    b->seconds = rn_given_number(g, "seconds", 0.01, 86400, 3);
    *threads = (int)rn_given_integer(g, "threads", 1, 1024, 0);
    if (rn_network_known(what)) {
        rn_given_network(g, what, &arch, &b->height, &b->width);
        if (!g->status)
            g->status = rn_model_new(&b->model, &arch, NULL, RN_INIT_PYTORCH, 0, 0, g->err);
        return;
    }
    if (access(what, F_OK) && !strchr(what, '/') && !strchr(what, '.')) {
        rn_given_fail(g, RN_ERR_ARG, "bench %s: neither a network (resnet18 ... resnet152, spec18, net50) nor a model file", what);
        return;
    }
    if ((g->status = rn_model_load(&b->model, what, g->err)))
        return;
    rn_model_input(b->model, &channels, &b->height, &b->width);
    if (rn_given_has(g, "input")) {
        rn_given_network(g, b->model->arch.name, &arch, &b->height, &b->width);
        if (!g->status && arch.in_channels != channels)
            rn_given_fail(g, RN_ERR_SHAPE, "%s: the network takes %d channels, --input has %d", what, channels, arch.in_channels);
    }
    if (!b->height)
        rn_given_fail(g, RN_ERR_ARG, "%s: the file does not say its input size: add --input CxHxW", what);
}

int rn_tools_bench(const char *options, rn_progress_fn progress, void *context, char **result, rn_error *err)
{
    rn_given given;
    int threads = 0, status;
    int64_t macs, first = 0;
    ceilings limits = {0};
    unsigned state = rn_fp_enter();
    bench *b = calloc(1, sizeof *b);
    *result = NULL;
    if (!b) {
        rn_fp_leave(state);
        return rn_error_memory(err, "a benchmark", sizeof *b);
    }
    if (!rn_given_open(&given, options, err))
        choose(b, &given, &threads);
    if ((status = rn_given_close(&given)) || (status = rn_pool_open(&b->pool, threads, err)) || (status = prepare(b, err)))
        goto fail;
    if ((macs = forward_macs(b, &first, err)) < 0) {
        status = (int)macs;
        goto fail;
    }
    limits.peak = rn_bench_fma_peak(rn_pool_threads(b->pool));
    if ((status = measure(b, progress, context, err)))
        goto fail;
    measure_ceilings(b, &limits);
    *result = rn_result_text(report(b, &limits, macs, first), err);
    status = *result ? 0 : RN_ERR_MEMORY;
fail:
    bench_close(b);
    rn_fp_leave(state);
    return status;
}
