/* BN statistics by true average, against PyTorch's update_bn in double, and what they may depend on.
 *
 * tests/golden/population.txt is written by scripts/golden/population_golden.py: the order of the items, then every statistic. */
#include <math.h>

#include "models/arch.h"
#include "train/population.h"
#include "train_fixture.h"

#include "drawn_network.h"

enum { SEED = 7, N = 24, ROWS = 16, COLUMNS = 12, BATCH = 8 };

typedef struct network {
    rn_graph *graph;
    float *weights, *stats, *x;
    rn_pool *pool;
    rn_learn *learn;
    rn_dataset *dataset;
} network;

static void open_network(network *n, int items, int threads, const unsigned char *frozen)
{
    static int classes[N];
    rn_error err;
    rn_arch arch;
    assert_int_equal(rn_arch_default(&arch, "resnet20", &err), 0);
    arch.width = 8;
    arch.in_channels = 1;
    arch.classes = 10;
    arch.shortcut = RN_SHORTCUT_B;
    arch.pool_h = arch.pool_w = 1;
    arch.embedding = 0;
    expect(rn_arch_graph(&arch, &n->graph, &err), 0, &err);
    n->weights = malloc((size_t)n->graph->weights_count * sizeof(float));
    n->stats = malloc((size_t)n->graph->stats_count * sizeof(float));
    n->x = malloc(sizeof(float) * N * ROWS * COLUMNS);
    draw_parameters(SEED, n->graph, n->weights, n->stats);
    draw(SEED, EPOCH_INPUT, 0, n->x, N * ROWS * COLUMNS);
    for (int i = 0; i < N; i++)
        classes[i] = i % 2;
    expect(rn_dataset_from_tensors(&n->dataset, n->x, classes, items, 1, ROWS, COLUMNS, NULL, 2, NULL, &err), 0, &err);
    expect(rn_pool_open(&n->pool, threads, &err), 0, &err);
    expect(rn_learn_open(&n->learn, n->graph, BATCH, ROWS, COLUMNS, frozen, 0, n->pool, &err), 0, &err);
}

static void close_network(network *n)
{
    rn_learn_close(&n->learn);
    rn_pool_close(&n->pool);
    rn_dataset_close(&n->dataset);
    rn_graph_close(&n->graph);
    free(n->weights);
    free(n->stats);
    free(n->x);
}

static int run(network *n, int loader_threads, rn_progress_fn progress, int64_t *items, rn_error *err)
{
    rn_population p = {.dataset = n->dataset, .loading = {.seed = SEED, .batch = BATCH, .threads = loader_threads}, .progress = progress};
    return rn_population_stats(n->learn, n->graph, &p, n->weights, n->stats, items, err);
}

/* A momentum that is left in, a biased variance, or an average of the wrong weight would be far outside. */
static void pytorch_has_the_same(void **state)
{
    (void)state;
    network n;
    rn_error err;
    rn_batch batch;
    rn_loader *loader;
    rn_augment none;
    int64_t items;
    FILE *file = fopen(RN_TEST_DIR "/golden/population.txt", "r");
    assert_non_null(file);
    open_network(&n, N, 1, NULL);
    rn_augment_none(&none);
    expect(rn_loader_open(&loader, n.dataset, NULL, &none, &(rn_loader_options){.seed = SEED, .batch = N, .threads = 1}, &err), 0, &err);
    expect(rn_loader_start(loader, 0, 0, &err), 0, &err);
    expect(rn_loader_next(loader, &batch, &err), 0, &err);
    assert_int_equal(fscanf(file, "order"), 0);
    for (int i = 0; i < N; i++) {
        int want;
        assert_int_equal(fscanf(file, "%d", &want), 1);
        assert_int_equal(batch.items[i], want);
    }
    rn_loader_close(&loader);
    expect(run(&n, 1, NULL, &items, &err), 0, &err);
    assert_int_equal(items, N);
    int found = 0;
    char name[128];
    while (fscanf(file, "%127s", name) == 1)
        for (int i = 0; i < n.graph->params_count; i++) {
            const rn_param *q = &n.graph->params[i];
            if (strcmp(q->name, name) != 0)
                continue;
            found++;
            for (int64_t k = 0; k < q->count; k++) {
                double want;
                assert_int_equal(fscanf(file, "%lf", &want), 1);
                if (!(fabs(n.stats[q->offset + k] - want) <= 2e-6 * (1 + fabs(want))))
                    fail_msg("%s[%lld] is %.9g, PyTorch has %.9g", name, (long long)k, n.stats[q->offset + k], want);
            }
        }
    fclose(file);
    assert_true(found > 30);
    close_network(&n);
}

/* Sums in the order of threads would differ in the last bits; a batch of 6 behind two of 8 must count as 6. */
static void threads_change_nothing(void **state)
{
    (void)state;
    network one, three;
    rn_error err;
    int64_t items;
    open_network(&one, 22, 1, NULL);
    open_network(&three, 22, 3, NULL);
    size_t bytes = (size_t)one.graph->stats_count * sizeof(float);
    expect(run(&one, 1, NULL, &items, &err), 0, &err);
    expect(run(&three, 3, NULL, &items, &err), 0, &err);
    assert_int_equal(items, 22);
    assert_memory_equal(one.stats, three.stats, bytes);
    close_network(&one);
    close_network(&three);
}

static int stop(void *context, int64_t done, int64_t total)
{
    (void)context;
    return done == total - 1;
}

/* A frozen BN's statistics belong to weights that were trained elsewhere; half-averaged ones would be lost for good. */
static void frozen_and_stopped_stay(void **state)
{
    (void)state;
    network n;
    rn_error err;
    int64_t items;
    unsigned char frozen[512] = {0};
    open_network(&n, N, 1, NULL);
    int kept = 0;
    for (int i = 0; i < n.graph->params_count; i++)
        frozen[i] = strncmp(n.graph->params[i].name, "layer1.", 7) == 0;
    close_network(&n);
    open_network(&n, N, 1, frozen);
    size_t count = (size_t)n.graph->stats_count;
    float *before = malloc(count * sizeof *before);
    memcpy(before, n.stats, count * sizeof *before);
    expect(run(&n, 1, stop, &items, &err), RN_ERR_CANCELLED, &err);
    assert_memory_equal(before, n.stats, count * sizeof *before);
    expect(run(&n, 1, NULL, &items, &err), 0, &err);
    for (int i = 0; i < n.graph->params_count; i++) {
        const rn_param *q = &n.graph->params[i];
        if (q->kind != RN_PARAM_BN_MEAN && q->kind != RN_PARAM_BN_VAR)
            continue;
        int same = memcmp(before + q->offset, n.stats + q->offset, (size_t)q->count * sizeof *before) == 0;
        assert_int_equal(same, frozen[i]);
        kept += same;
    }
    assert_true(kept > 0);
    free(before);
    close_network(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pytorch_has_the_same),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(frozen_and_stopped_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
