/* Optimisers, schedules, averages, the norm, the tree of ghost batches and the draws of drop path: against loops written a second time, and known values. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "models/arch.h"
#include "train/optimiser.h"
#include "train/schedule.h"
#include "train/state.h"

static rn_graph *make_graph(void)
{
    rn_arch arch;
    rn_graph *graph;
    rn_error err;
    assert_int_equal(rn_arch_default(&arch, "resnet18", &err), 0);
    arch.width = 12; /* layer4 has tensors of 82,944 floats: more than one chunk of the norm */
    arch.classes = 3;
    assert_int_equal(rn_arch_graph(&arch, &graph, &err), 0);
    return graph;
}

static void fill(float *x, int64_t n, uint64_t seed, double scale)
{
    rn_random r;
    rn_random_start(&r, seed, RN_PURPOSE_TEST, 0, 0);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(scale * (2 * rn_random_double(&r) - 1));
}

static int decays(const rn_graph *graph, int64_t i)
{
    for (int p = 0; p < graph->params_count; p++) {
        const rn_param *q = &graph->params[p];
        if (q->kind != RN_PARAM_BN_MEAN && q->kind != RN_PARAM_BN_VAR && i >= q->offset && i < q->offset + q->count)
            return q->kind == RN_PARAM_CONV || q->kind == RN_PARAM_LINEAR;
    }
    fail_msg("float %lld belongs to no parameter", (long long)i);
    return 0;
}

/* volatile: each operation is rounded to float by itself, whatever the compiler would like to fuse. */
static float mul(float a, float b)
{
    volatile float c = a * b;
    return c;
}
static float add(float a, float b)
{
    volatile float c = a + b;
    return c;
}
static float sub(float a, float b)
{
    volatile float c = a - b;
    return c;
}
static float tiny(float x)
{
    return fabsf(x) < 0x1p-96f ? 0 : x;
}

static void options_for(rn_train_options *o, rn_optimiser_kind kind)
{
    rn_train_options_default(o);
    o->optimiser = kind;
    o->weight_decay = 0.02;
}

/* Catches a wrong order of operations, a fused one, decay on BN or biases, and threads that overlap. */
static void sgd_is_exact(void **state)
{
    (void)state;
    rn_graph *graph = make_graph();
    size_t n = (size_t)graph->weights_count;
    float *p = malloc(n * 4), *g = malloc(n * 4), *want = malloc(n * 4), *v = calloc(n, 4);
    char *decay = malloc(n);
    for (size_t i = 0; i < n; i++)
        decay[i] = (char)decays(graph, (int64_t)i);
    for (int nesterov = 0; nesterov < 2; nesterov++) {
        rn_train_options o;
        rn_optimiser *opt;
        rn_pool *pool;
        options_for(&o, RN_SGD);
        o.nesterov = nesterov;
        assert_int_equal(rn_optimiser_open(&opt, graph, &o, NULL, NULL), 0);
        assert_int_equal(rn_pool_open(&pool, 3, NULL), 0);
        fill(p, (int64_t)n, 1, 1);
        memcpy(want, p, n * 4);
        memset(v, 0, n * 4);
        for (int t = 1; t <= 4; t++) {
            double lr = 0.1 / t, clip = t == 2 ? 0.37 : 1;
            fill(g, (int64_t)n, 100 + (uint64_t)t, 1e-2);
            rn_optimiser_step(opt, p, g, lr, clip, t, pool);
            for (size_t i = 0; i < n; i++) {
                float d = add(mul(g[i], (float)clip), mul(decay[i] ? 0.02f : 0, want[i]));
                v[i] = tiny(add(mul(0.9f, v[i]), d));
                want[i] = sub(want[i], mul((float)lr, nesterov ? add(d, mul(0.9f, v[i])) : v[i]));
            }
            assert_memory_equal(p, want, n * 4);
            assert_memory_equal(rn_optimiser_state(opt, 0), v, n * 4);
        }
        rn_pool_close(&pool);
        rn_optimiser_close(&opt);
    }
    free(p), free(g), free(want), free(v), free(decay);
    rn_graph_close(&graph);
}

/* The same for AdamW; and its distance from the formulas in double. */
static void adamw_is_exact(void **state)
{
    (void)state;
    rn_graph *graph = make_graph();
    size_t n = (size_t)graph->weights_count;
    float *p = malloc(n * 4), *g = malloc(n * 4), *want = malloc(n * 4), *a = calloc(n, 4), *b = calloc(n, 4);
    double *dp = malloc(n * 8), *da = calloc(n, 8), *db = calloc(n, 8);
    rn_train_options o;
    rn_optimiser *opt;
    options_for(&o, RN_ADAMW);
    o.decay_all = 1;
    assert_int_equal(rn_optimiser_open(&opt, graph, &o, NULL, NULL), 0);
    fill(p, (int64_t)n, 1, 1);
    memcpy(want, p, n * 4);
    for (size_t i = 0; i < n; i++)
        dp[i] = p[i];
    double lr = 0.003, worst = 0;
    for (int t = 1; t <= 5; t++) {
        fill(g, (int64_t)n, 100 + (uint64_t)t, 1e-2);
        rn_optimiser_step(opt, p, g, lr, 1, t, NULL);
        double b1 = pow(0.9, t), b2 = pow(0.999, t);
        float size = (float)(lr / (1 - b1)), root = (float)sqrt(1 - b2);
        for (size_t i = 0; i < n; i++) {
            float q = mul(want[i], (float)(1 - lr * 0.02));
            a[i] = tiny(add(a[i], mul(sub(g[i], a[i]), (float)(1 - 0.9))));
            b[i] = tiny(add(mul(b[i], 0.999f), mul((float)(1 - 0.999), mul(g[i], g[i]))));
            volatile float low = sqrtf(b[i]) / root;
            volatile float ratio = a[i] / add(low, 1e-8f);
            want[i] = sub(q, mul(size, ratio));
            dp[i] *= 1 - lr * 0.02;
            da[i] = 0.9 * da[i] + 0.1 * g[i];
            db[i] = 0.999 * db[i] + 0.001 * (double)g[i] * g[i];
            dp[i] -= lr * (da[i] / (1 - b1)) / (sqrt(db[i] / (1 - b2)) + 1e-8);
            worst = fmax(worst, fabs(dp[i] - p[i]));
        }
        assert_memory_equal(p, want, n * 4);
    }
    assert_true(worst < 1e-6);
    assert_int_equal(rn_optimiser_states(opt), 2);
    rn_optimiser_close(&opt);
    free(p), free(g), free(want), free(a), free(b), free(dp), free(da), free(db);
    rn_graph_close(&graph);
}

/* By hand: p = 1, g = 0.5, lr 0.1, momentum 0.9, Nesterov. v1 = 0.5, p1 = 1 - 0.1 (0.5 + 0.45) = 0.905;
 * v2 = 0.95, p2 = 0.905 - 0.1 (0.5 + 0.855) = 0.7695. Catches a buffer that starts as (1 - momentum) g. */
static void sgd_by_hand(void **state)
{
    (void)state;
    rn_graph *graph = make_graph();
    size_t n = (size_t)graph->weights_count;
    float *p = malloc(n * 4), *g = malloc(n * 4);
    rn_train_options o;
    rn_optimiser *opt;
    options_for(&o, RN_SGD);
    o.weight_decay = 0;
    assert_int_equal(rn_optimiser_open(&opt, graph, &o, NULL, NULL), 0);
    for (size_t i = 0; i < n; i++)
        p[i] = 1, g[i] = 0.5f;
    rn_optimiser_step(opt, p, g, 0.1, 1, 1, NULL);
    assert_true(fabs(p[7] - 0.905) < 1e-7);
    rn_optimiser_step(opt, p, g, 0.1, 1, 2, NULL);
    assert_true(fabs(p[n - 1] - 0.7695) < 2e-7);
    rn_optimiser_close(&opt);
    free(p), free(g);
    rn_graph_close(&graph);
}

/* A state below 2^-96 must be stored as 0 and one of 2^-96 kept; frozen tensors stay bit for bit, decay included. */
static void tiny_and_frozen(void **state)
{
    (void)state;
    rn_graph *graph = make_graph();
    size_t n = (size_t)graph->weights_count;
    float *p = malloc(n * 4), *before = malloc(n * 4), *g = malloc(n * 4);
    unsigned char *frozen = calloc((size_t)graph->params_count, 1);
    int chosen = rn_graph_param(graph, "layer2.0.conv1.weight");
    frozen[chosen] = 1;
    rn_train_options o;
    rn_optimiser *opt;
    options_for(&o, RN_SGD);
    o.weight_decay = 0;
    assert_int_equal(rn_optimiser_open(&opt, graph, &o, frozen, NULL), 0);
    fill(p, (int64_t)n, 3, 1);
    memcpy(before, p, n * 4);
    for (size_t i = 0; i < n; i++)
        g[i] = i % 2 ? 0x1p-96f : 0x1.8p-97f;
    rn_optimiser_step(opt, p, g, 0.1, 1, 1, NULL);
    const rn_param *q = &graph->params[chosen];
    for (size_t i = 0; i < n; i++) {
        int inside = (int64_t)i >= q->offset && (int64_t)i < q->offset + q->count;
        float v = rn_optimiser_state(opt, 0)[i];
        if (inside)
            assert_true(v == 0 && p[i] == before[i]);
        else
            assert_true(v == (i % 2 ? 0x1p-96f : 0));
    }
    fill(g, (int64_t)n, 5, 1);
    rn_optimiser_step(opt, p, g, 0.1, 1, 2, NULL);
    assert_memory_equal(p + q->offset, before + q->offset, (size_t)q->count * 4);
    assert_true(p[q->offset + q->count] != before[q->offset + q->count]);
    rn_optimiser_close(&opt);
    free(p), free(before), free(g), free(frozen);
    rn_graph_close(&graph);
}

/* The norm's order is a contract: lanes of 16, cut every 65,536, tree of adjacent pairs. Equal for every number of threads. */
static void norm_has_its_order(void **state)
{
    (void)state;
    rn_graph *graph = make_graph();
    size_t n = (size_t)graph->weights_count;
    float *g = malloc(n * 4);
    rn_train_options o;
    rn_optimiser *opt;
    int cut = 0;
    options_for(&o, RN_SGD);
    assert_int_equal(rn_optimiser_open(&opt, graph, &o, NULL, NULL), 0);
    fill(g, (int64_t)n, 11, 1);
    double total = 0;
    for (int i = 0; i < graph->params_count; i++) {
        const rn_param *q = &graph->params[i];
        if (q->kind == RN_PARAM_BN_MEAN || q->kind == RN_PARAM_BN_VAR)
            continue;
        for (int64_t at = 0; at < q->count; at += 65536) {
            double l[16] = {0};
            for (int64_t j = at; j < q->count && j < at + 65536; j++)
                l[(j - at) % 16] += (double)g[q->offset + j] * (double)g[q->offset + j];
            total += ((l[0] + l[1]) + (l[2] + l[3])) + ((l[4] + l[5]) + (l[6] + l[7])) +
                     (((l[8] + l[9]) + (l[10] + l[11])) + ((l[12] + l[13]) + (l[14] + l[15])));
            cut += at > 0;
        }
    }
    assert_true(cut > 0);
    for (int threads = 1; threads <= 7; threads += 3) {
        rn_pool *pool;
        assert_int_equal(rn_pool_open(&pool, threads, NULL), 0);
        assert_true(rn_optimiser_norm(opt, g, pool) == sqrt(total));
        rn_pool_close(&pool);
    }
    g[n / 2] = NAN;
    assert_true(isnan(rn_optimiser_norm(opt, g, NULL)));
    assert_true(rn_clip_factor(10, 0) == 1);
    assert_true(rn_clip_factor(0.5, 1) == 1);
    assert_true(rn_clip_factor(10, 1) == 1 / (10 + 1e-6));
    rn_optimiser_close(&opt);
    free(g);
    rn_graph_close(&graph);
}

/* cosine of 4 epochs of 10 steps after a warm-up of 8; step and constant; catches a schedule that is off by one step. */
static void schedules(void **state)
{
    (void)state;
    rn_train_options o;
    rn_train_options_default(&o);
    o.lr = 0.8;
    o.epochs = 4;
    o.warmup_steps = 8;
    for (int s = 0; s < 8; s++)
        assert_true(rn_schedule_lr(&o, 10, s) == 0.8 * (s + 1) / 8);
    for (int s = 8; s < 40; s++)
        assert_true(fabs(rn_schedule_lr(&o, 10, s) - 0.4 * (1 + cos(M_PI * (s - 8) / 32.0))) < 1e-15);
    assert_true(rn_schedule_lr(&o, 10, 8) == 0.8);
    o.lr_end = 0.5;
    assert_true(fabs(rn_schedule_lr(&o, 10, 24) - 0.6) < 1e-15);
    o.warmup_steps = 0;
    o.warmup_epochs = 0.25;
    assert_int_equal(rn_schedule_warmup(&o, 10), 3);
    o.warmup_epochs = 0;
    o.schedule = RN_STEP;
    o.step_epochs = 1.5;
    o.step_factor = 0.1;
    assert_true(rn_schedule_lr(&o, 10, 14) == 0.8);
    assert_true(rn_schedule_lr(&o, 10, 15) == 0.8 * 0.1);
    assert_true(rn_schedule_lr(&o, 10, 39) == 0.8 * 0.1 * 0.1);
    o.milestones_count = 2; /* as MultiStepLR: the epoch behind a milestone has the next rate */
    o.milestones[0] = 1;
    o.milestones[1] = 3;
    assert_true(rn_schedule_lr(&o, 10, 9) == 0.8 && rn_schedule_lr(&o, 10, 10) == 0.8 * 0.1);
    assert_true(rn_schedule_lr(&o, 10, 29) == 0.8 * 0.1 && rn_schedule_lr(&o, 10, 30) == 0.8 * 0.1 * 0.1);
    o.schedule = RN_CONSTANT;
    assert_true(rn_schedule_lr(&o, 10, 39) == 0.8);
    assert_true(rn_schedule_ema(0.999, 0) == 0.1);
    assert_true(rn_schedule_ema(0.999, 8) == 0.5);
    assert_true(rn_schedule_ema(0.999, 1000000) == 0.999);
}

/* average += (value - average) * (1 - decay): a constant stays, and one step of decay 0.75 takes a quarter. */
static void averages(void **state)
{
    (void)state;
    enum { N = 70001 };
    float *e = malloc(N * 4), *v = malloc(N * 4);
    for (int i = 0; i < N; i++)
        e[i] = (float)i, v[i] = (float)(i + 4);
    rn_average(e, v, N, 0.75, NULL);
    for (int i = 0; i < N; i++)
        assert_true(e[i] == (float)(i + 1));
    memcpy(v, e, N * 4);
    rn_average(e, v, N, 0.3, NULL);
    assert_memory_equal(v, e, N * 4);
    free(e), free(v);
}

/* Ghost batches: sizes differ by at most one, the larger first, and nothing is lost. */
static void ghosts_are_cut(void **state)
{
    (void)state;
    for (int n = 1; n < 200; n++)
        for (int g = 1; g < 40; g += 3) {
            int ghosts = (n + g - 1) / g, at = 0, first, count, before = 1 << 30;
            for (int i = 0; i < ghosts; i++) {
                rn_ghost_cut(n, ghosts, i, &first, &count);
                assert_int_equal(first, at);
                assert_true(count >= 1 && count <= g && count <= before && (i == 0 || count >= before - 1));
                before = count;
                at += count;
            }
            assert_int_equal(at, n);
        }
}

/* The definition: adjacent pairs, level by level, an odd one moves up. */
static float pairs(const float *x, int n)
{
    float level[64];
    memcpy(level, x, (size_t)n * sizeof *x);
    while (n > 1) {
        int m = 0;
        for (int i = 0; i < n; i += 2)
            level[m++] = i + 1 < n ? add(level[i], level[i + 1]) : level[i];
        n = m;
    }
    return level[0];
}

/* Floats whose sums depend on the order; the tree must give the definition's bits with floor(log2 G) + 1 buffers. */
static void tree_adds_pairs(void **state)
{
    (void)state;
    for (int ghosts = 1; ghosts <= 40; ghosts++) {
        float x[40];
        rn_tree tree = {0};
        int buffers = 1;
        for (int g = ghosts; g > 1; g /= 2)
            buffers++;
        fill(x, 40, (uint64_t)ghosts, 1);
        assert_int_equal(rn_tree_open(&tree, 1, ghosts, NULL), 0);
        assert_int_equal(tree.buffers_count, buffers);
        for (int round = 0; round < 2; round++) {
            for (int i = 0; i < ghosts; i++) {
                assert_true(tree.height < buffers);
                *rn_tree_next(&tree) = x[i];
                rn_tree_push(&tree, NULL);
            }
            assert_true(*rn_tree_sum(&tree, NULL) == pairs(x, ghosts));
        }
        rn_tree_close(&tree);
    }
    float x[3] = {1, 0x1p-24f, 0x1p-24f}; /* (1 + e) + e = 1, 1 + (e + e) > 1 */
    assert_true(pairs(x, 3) == 1);
}

/* A rate that does not grow with depth, a block that is dropped but not made up for in the others, draws that depend on a sample's place in its
 * ghost batch. Shares of 8,192 samples must lie within four standard deviations. */
static void drop_path_has_its_law(void **state)
{
    enum { GHOST = 64, SAMPLES = 8192, BLOCKS = 9 };
    static float kept[BLOCKS * GHOST], moved[BLOCKS * GHOST];
    uint64_t positions[GHOST];
    int dropped[BLOCKS] = {0};
    rn_arch arch;
    rn_graph *graph;
    rn_trainer t = {.options = {.seed = 5, .drop_path = 0.6}, .epoch = 3, .kept = kept};
    rn_batch batch = {.n = GHOST, .positions = positions};
    (void)state;
    assert_int_equal(rn_arch_default(&arch, "resnet20", NULL), 0);
    arch.width = 4;
    assert_int_equal(rn_arch_graph(&arch, &graph, NULL), 0);
    assert_int_equal(rn_learn_open(&t.learn, graph, GHOST, 8, 8, NULL, RN_LEARN_DROP, NULL, NULL), 0);
    assert_int_equal(rn_learn_blocks(t.learn), BLOCKS);
    for (int first = 0; first < SAMPLES; first += GHOST) {
        for (int i = 0; i < GHOST; i++)
            positions[i] = (uint64_t)(first + i);
        rn_trainer_drop(&t, &batch, 0, GHOST);
        for (int b = 0; b < BLOCKS; b++)
            for (int i = 0; i < GHOST; i++) {
                float factor = kept[b * GHOST + i];
                assert_true(factor == 0 || factor == (float)(1 / (1 - 0.6 * b / (BLOCKS - 1))));
                dropped[b] += factor == 0;
            }
    }
    for (int b = 0; b < BLOCKS; b++) {
        double rate = 0.6 * b / (BLOCKS - 1), deviation = sqrt(rate * (1 - rate) / SAMPLES);
        assert_true(fabs((double)dropped[b] / SAMPLES - rate) <= 4 * deviation);
    }
    t.kept = moved; /* the last ghost batch once more, cut elsewhere */
    rn_trainer_drop(&t, &batch, GHOST - 5, 5);
    for (int b = 0; b < BLOCKS; b++)
        assert_memory_equal(moved + b * 5, kept + b * GHOST + GHOST - 5, 5 * sizeof *moved);
    rn_learn_close(&t.learn);
    rn_graph_close(&graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sgd_is_exact),    cmocka_unit_test(adamw_is_exact),     cmocka_unit_test(sgd_by_hand),
        cmocka_unit_test(tiny_and_frozen), cmocka_unit_test(norm_has_its_order), cmocka_unit_test(schedules),
        cmocka_unit_test(averages),        cmocka_unit_test(ghosts_are_cut),     cmocka_unit_test(tree_adds_pairs),
        cmocka_unit_test(drop_path_has_its_law),
    };
    return cmocka_run_group_tests_name("optimiser", tests, NULL, NULL);
}
