/* The training engine as a whole: the same bits however it runs, gradients that finite differences confirm, freezing, and sizes that it must
 * refuse.
 *
 * check_torch compares it with PyTorch on fifteen networks; this test looks at what golden files cannot hold: threads and instruction sets,
 * an arena that was used before, fewer samples than planned, frozen layers, odd networks. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cpu.h"
#include "base/random.h"
#include "graph/infer.h"
#include "graph/learn.h"
#include "models/model.h"

typedef struct net {
    rn_arch arch;
    rn_graph *graph;
    float *weights, *stats;
    int n, h, w;
    float *x;
    int *labels;
} net;

/* What one pass gives. */
typedef struct outcome {
    float *logits, *embedding, *grads;
    double *batch_stats, loss;
} outcome;

static void draw(float *out, int64_t count, uint64_t position, float scale, float add)
{
    rn_random r;
    rn_random_start(&r, 77, RN_PURPOSE_TEST, 0, position);
    for (int64_t i = 0; i < count; i++)
        out[i] = ((float)(rn_random_u32(&r) >> 8) * 0x1p-23f - 1) * scale + add;
}

static void open_net(net *t, const char *name, int width, int n, int h, int w)
{
    rn_error err = {0};
    memset(t, 0, sizeof *t);
    assert_int_equal(rn_arch_default(&t->arch, name, &err), 0);
    t->arch.width = width;
    t->arch.classes = 7;
    t->arch.embedding = t->arch.embedding ? 20 : 0;
    t->n = n, t->h = h, t->w = w;
}

static void build_net(net *t)
{
    rn_error err = {0};
    if (rn_arch_graph(&t->arch, &t->graph, &err))
        fail_msg("%s", err.text);
    t->weights = calloc((size_t)t->graph->weights_count, sizeof(float));
    t->stats = calloc((size_t)t->graph->stats_count, sizeof(float));
    rn_arch_init(t->graph, RN_INIT_PYTORCH, 0, 5, t->weights, t->stats);
    for (int i = 0; i < t->graph->params_count; i++) { /* BN away from 1 and 0, where a factor that is left out would not show */
        const rn_param *p = &t->graph->params[i];
        float *weights = t->weights + p->offset, *stats = t->stats + p->offset;
        float factor = strstr(p->name, ".bn2.") || strstr(p->name, ".bn3.") ? 0.25f : 1; /* blocks near the identity keep slopes moderate */
        if (p->kind == RN_PARAM_BN_WEIGHT)
            draw(weights, p->count, (uint64_t)i, 0.5f * factor, factor);
        if (p->kind == RN_PARAM_BN_BIAS || p->kind == RN_PARAM_BIAS)
            draw(weights, p->count, (uint64_t)i, 0.25f, 0);
        if (p->kind == RN_PARAM_BN_MEAN)
            draw(stats, p->count, (uint64_t)i, 0.25f, 0);
        if (p->kind == RN_PARAM_BN_VAR)
            draw(stats, p->count, (uint64_t)i, 0.5f, 1);
    }
    t->x = malloc(sizeof(float) * (size_t)(t->n * t->arch.in_channels * t->h * t->w));
    draw(t->x, (int64_t)t->n * t->arch.in_channels * t->h * t->w, 9999, 1, 0);
    t->labels = malloc(sizeof(int) * (size_t)t->n);
    for (int i = 0; i < t->n; i++)
        t->labels[i] = i * 5 % t->arch.classes;
}

static void close_net(net *t)
{
    free(t->weights), free(t->stats), free(t->x), free(t->labels);
    rn_graph_close(&t->graph);
}

static void open_outcome(outcome *o, const net *t)
{
    o->logits = malloc(sizeof(float) * (size_t)(t->n * t->arch.classes));
    o->embedding = malloc(sizeof(float) * (size_t)(t->n * (t->arch.embedding + 1)));
    o->grads = malloc(sizeof(float) * (size_t)t->graph->weights_count);
    o->batch_stats = malloc(sizeof(double) * (size_t)t->graph->stats_count);
    memset(o->grads, 0xff, sizeof(float) * (size_t)t->graph->weights_count);
}

static void close_outcome(outcome *o)
{
    free(o->logits), free(o->embedding), free(o->grads), free(o->batch_stats);
}

static double cross_entropy(const net *t, int n, const float *logits, float *dlogits)
{
    double loss = 0;
    int k = t->arch.classes;
    for (int i = 0; i < n; i++) {
        double sum = 0;
        for (int j = 0; j < k; j++)
            sum += exp((double)logits[i * k + j]);
        for (int j = 0; j < k; j++)
            dlogits[i * k + j] = (float)((exp((double)logits[i * k + j]) / sum - (j == t->labels[i])) / n);
        loss += log(sum) - logits[i * k + t->labels[i]];
    }
    return loss / n;
}

/* Forward, and backward unless `o->grads` is NULL. */
static void pass(rn_learn *engine, const net *t, int n, outcome *o)
{
    rn_error err = {0};
    float *dlogits = malloc(sizeof(float) * (size_t)(t->n * t->arch.classes));
    if (rn_learn_forward(engine, n, t->x, o->logits, t->arch.embedding ? o->embedding : NULL, o->batch_stats, &err))
        fail_msg("%s", err.text);
    o->loss = cross_entropy(t, n, o->logits, dlogits);
    if (o->grads && rn_learn_backward(engine, dlogits, NULL, o->grads, &err))
        fail_msg("%s", err.text);
    free(dlogits);
}

static rn_learn *engine_with(const net *t, int max_n, const unsigned char *frozen, int modes, rn_pool *pool)
{
    rn_learn *engine = NULL;
    rn_error err = {0};
    if (rn_learn_open(&engine, t->graph, max_n, t->h, t->w, frozen, modes, pool, &err))
        fail_msg("%s", err.text);
    rn_learn_load(engine, t->weights, t->stats);
    return engine;
}

static rn_learn *engine_for(const net *t, int max_n, const unsigned char *frozen, rn_pool *pool)
{
    return engine_with(t, max_n, frozen, 0, pool);
}

static int same_outcome(const net *t, int n, const outcome *a, const outcome *b)
{
    return !memcmp(a->logits, b->logits, sizeof(float) * (size_t)(n * t->arch.classes)) &&
           !memcmp(a->embedding, b->embedding, sizeof(float) * (size_t)(t->arch.embedding * n)) &&
           !memcmp(a->grads, b->grads, sizeof(float) * (size_t)t->graph->weights_count) &&
           !memcmp(a->batch_stats, b->batch_stats, sizeof(double) * (size_t)t->graph->stats_count);
}

static void same_bits_of(net *t)
{
    static const char *const levels[] = {NULL, "avx512", "avx2", "fma", "c"};
    static const int threads[] = {1, 2, 3, 7};
    rn_error err = {0};
    outcome first, other;
    build_net(t);
    open_outcome(&first, t);
    open_outcome(&other, t);
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
        rn_cpu_limit(levels[l]);
        for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
            if (l && threads[i] != 2)
                continue;
            rn_pool *pool = NULL;
            assert_int_equal(rn_pool_open(&pool, threads[i], &err), 0);
            rn_learn *engine = engine_for(t, t->n, NULL, pool);
            outcome *o = l || i ? &other : &first;
            pass(engine, t, t->n, o);
            if (!same_outcome(t, t->n, &first, o))
                fail_msg("%s, width %d: other bits with %d threads, level %s", t->arch.name, t->arch.width, threads[i], rn_cpu_level());
            rn_learn_close(&engine);
            rn_pool_close(&pool);
        }
    }
    rn_cpu_limit(NULL);
    close_outcome(&first);
    close_outcome(&other);
    close_net(t);
}

/* A sum that is cut by threads or by the width of a vector; a fused multiply-add that one version has and another has not. */
static void test_same_bits(void **state)
{
    net t;
    (void)state;
    open_net(&t, "resnet18", 8, 3, 33, 41);
    same_bits_of(&t);
    open_net(&t, "resnet18", 40, 2, 17, 30);
    t.arch.shortcut = RN_SHORTCUT_A;
    same_bits_of(&t);
    open_net(&t, "resnet50", 16, 3, 24, 19);
    same_bits_of(&t);
    open_net(&t, "resnet18", 16, 2, 64, 61);
    t.arch.stem = RN_STEM_7X7, t.arch.in_channels = 3, t.arch.embedding = 0, t.arch.pool_h = t.arch.pool_w = 1;
    same_bits_of(&t);
    open_net(&t, "resnet20", 16, 4, 20, 32);
    same_bits_of(&t);
}

/* What an earlier pass left in the arena, or room for more samples than there are, must not show. */
static void test_used_arena(void **state)
{
    net t;
    outcome fresh, used;
    (void)state;
    open_net(&t, "resnet18", 8, 5, 24, 31);
    build_net(&t);
    open_outcome(&fresh, &t);
    open_outcome(&used, &t);
    rn_learn *large = engine_for(&t, 5, NULL, NULL), *small = engine_for(&t, 2, NULL, NULL);
    pass(large, &t, 5, &used);
    pass(large, &t, 2, &used);
    pass(small, &t, 2, &fresh);
    assert_true(same_outcome(&t, 2, &fresh, &used));
    pass(large, &t, 5, &used);
    rn_learn_close(&small);
    small = engine_for(&t, 5, NULL, NULL);
    pass(small, &t, 5, &fresh);
    assert_true(same_outcome(&t, 5, &fresh, &used));
    rn_learn_close(&small);
    rn_learn_close(&large);
    close_outcome(&fresh);
    close_outcome(&used);
    close_net(&t);
}

/* Along a tensor's own gradient g, the loss changes by |g|^2: central differences of one tensor after the other. ReLUs that pass 0 on the way
 * cost up to 5 %. */
static void slopes(net *t, const unsigned char *frozen, int recompute)
{
    outcome o;
    int tested = 0;
    open_outcome(&o, t);
    rn_learn *engine = engine_with(t, t->n, frozen, recompute, NULL);
    pass(engine, t, t->n, &o);
    float *grads = o.grads, *kept = malloc(sizeof(float) * (size_t)t->graph->weights_count);
    o.grads = NULL;
    memcpy(kept, t->weights, sizeof(float) * (size_t)t->graph->weights_count);
    for (int i = 0; i < t->graph->params_count; i++) {
        const rn_param *p = &t->graph->params[i];
        double square = 0, loss[2], step;
        if (p->kind >= RN_PARAM_BN_MEAN)
            continue;
        for (int64_t j = p->offset; j < p->offset + p->count; j++)
            square += (double)grads[j] * grads[j];
        if (frozen && frozen[i]) {
            assert_true(square == 0);
            continue;
        }
        assert_true(square > 0);
        step = 1e-4 / square; /* the loss moves by 0.0002, its rounding is about 1e-7 */
        if (step * sqrt(square) > 0.002)
            step = 0.002 / sqrt(square); /* and the tensor by little: few ReLUs pass 0 */
        for (int side = 0; side < 2; side++) {
            for (int64_t j = p->offset; j < p->offset + p->count; j++)
                t->weights[j] = (float)(kept[j] + (side ? -step : step) * grads[j]);
            rn_learn_load(engine, t->weights, t->stats);
            pass(engine, t, t->n, &o);
            loss[side] = o.loss;
        }
        memcpy(t->weights + p->offset, kept + p->offset, sizeof(float) * (size_t)p->count);
        double slope = (loss[0] - loss[1]) / (2 * step);
        if (!(fabs(slope - square) <= 0.1 * square + 2e-7 / step))
            fail_msg("%s: %s: the loss changes by %.6g along its gradient, whose square is %.6g", t->arch.name, p->name, slope, square);
        tested++;
    }
    assert_true(tested > 0);
    o.grads = grads;
    free(kept);
    rn_learn_close(&engine);
    close_outcome(&o);
}

/* A gradient that is in another scale, or misses a path (a shortcut, a pooling bin, the batch's own statistics). */
static void test_slopes(void **state)
{
    net t;
    (void)state;
    open_net(&t, "resnet18", 8, 4, 20, 23);
    build_net(&t);
    slopes(&t, NULL, 0);
    close_net(&t);
    open_net(&t, "resnet18", 12, 3, 17, 16); /* bins that overlap; no block of 16 is full; option A */
    t.arch.shortcut = RN_SHORTCUT_A, t.arch.pool_h = 5, t.arch.pool_w = 3;
    build_net(&t);
    slopes(&t, NULL, 0);
    close_net(&t);
    open_net(&t, "resnet50", 8, 3, 24, 26);
    build_net(&t);
    slopes(&t, NULL, 0);
    close_net(&t);
    open_net(&t, "resnet18", 8, 3, 40, 37);
    t.arch.stem = RN_STEM_7X7, t.arch.in_channels = 3, t.arch.embedding = 0, t.arch.pool_h = t.arch.pool_w = 1;
    build_net(&t);
    slopes(&t, NULL, 0);
    close_net(&t);
}

static void freeze(const net *t, unsigned char *frozen, const char *prefix)
{
    for (int i = 0; i < t->graph->params_count; i++)
        if (!strncmp(t->graph->params[i].name, prefix, strlen(prefix)))
            frozen[i] = 1;
}

/* Frozen: no gradient of its own, the right one for everything else; a frozen BN takes its running statistics. */
static void test_frozen(void **state)
{
    static const char *const sets[][4] = {{"conv1"}, {"conv1", "bn1", "layer1"}, {"layer2"}, {"bn1", "layer3.0.bn2", "layer2.0.shortcut.1"}, {"fc"},
                                          {"layer4.1.conv2", "linear"}};
    (void)state;
    for (size_t s = 0; s < sizeof sets / sizeof *sets; s++) {
        net t;
        open_net(&t, "resnet18", 8, 3, 20, 17);
        build_net(&t);
        unsigned char *frozen = calloc((size_t)t.graph->params_count, 1);
        for (int i = 0; i < 4 && sets[s][i]; i++)
            freeze(&t, frozen, sets[s][i]);
        for (int recompute = 0; recompute < 2; recompute++)
            slopes(&t, frozen, recompute);
        free(frozen);
        close_net(&t);
    }
}

static const struct variant {
    const char *arch;
    int width, h, w;
    const char *members[6][2], *frozen[3]; /* layers, for a second look */
} variants[] = {
    {"resnet50", 16, 17, 18, {{"blocks", "1,2"}, {"groups", "6"}, {"group_width", "32"}}, {"layer1.0.conv2", "layer2.1.bn3"}},
    {"resnet18", 8, 19, 21, {{"blocks", "2,2"}, {"se", "4"}}, {"conv1", "bn1", "layer1.0.conv"}},
    {"resnet18", 12, 18, 20, {{"blocks", "2,1"}, {"se", "2"}, {"shortcut", "A2"}}, {"layer1.1.se", "layer2.0.bn2"}},
    {"resnet50", 8, 37, 34, {{"blocks", "2,2"}, {"stem", "deep"}, {"shortcut_pool", "1"}, {"stem_pool", "end"}}, {"conv1.0", "layer2.0.shortcut"}},
    {"resnet20", 16, 15, 18, {{"blocks", "2,2"}, {"preact", "1"}}, {"conv1", "layer1.0"}},
    {"resnet20", 24, 16, 14, {{"blocks", "1,2"}, {"preact", "1"}, {"stem_width", "8"}}, {"layer2.0.bn1", "layer1.0.conv2", "bn."}},
    {"resnet50", 8, 33, 36, {{"blocks", "2,1"}, {"preact", "1"}, {"se", "4"}, {"stem", "7x7"}}, {"layer1.1.conv3", "layer1.0.se.fc2"}},
    {"resnet18", 8, 16, 30, {{"blocks", "1,1"}, {"pool", "tstp"}, {"pool_rows", "8"}, {"embedding2", "1"}}, {"fc.", "fc_bn"}},
};

static void open_variant(net *t, const struct variant *v)
{
    open_net(t, v->arch, v->width, 4, v->h, v->w);
    for (int i = 0; v->members[i][0]; i++) {
        const char *text = v->members[i][1];
        char want[RN_ARCH_WANT];
        json_t *value = text[strspn(text, "0123456789")] ? json_string(text) : json_integer(atoi(text));
        assert_int_equal(rn_arch_set_member(&t->arch, v->members[i][0], value, want), 0);
        json_decref(value);
    }
    build_net(t);
}

/* A gradient that meets another in the wrong order, or a map that is written over before its last reader, in the ways that rows of the family
 * differ in, whole and with layers frozen. */
static void test_variants(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        net t;
        open_variant(&t, &variants[i]);
        slopes(&t, NULL, 0);
        unsigned char *frozen = calloc((size_t)t.graph->params_count, 1);
        for (int k = 0; k < 3 && variants[i].frozen[k]; k++)
            freeze(&t, frozen, variants[i].frozen[k]);
        for (int recompute = 0; recompute < 2; recompute++)
            slopes(&t, frozen, recompute);
        free(frozen);
        close_net(&t);
    }
}

/* Blocks that are all kept, with a factor of 1: the bits of a network whose blocks cannot be left out, also where they are computed again. Then one
 * sample without any block: the others' logits change by batch statistics alone, so all that is asked is that it shows. */
static void test_dropping(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        net t;
        outcome plain, kept;
        open_variant(&t, &variants[i]);
        open_outcome(&plain, &t);
        open_outcome(&kept, &t);
        rn_learn *engine = engine_for(&t, t.n, NULL, NULL);
        pass(engine, &t, t.n, &plain);
        rn_learn_close(&engine);
        for (int modes = RN_LEARN_DROP; modes <= (RN_LEARN_DROP | RN_LEARN_RECOMPUTE); modes++) {
            engine = engine_with(&t, t.n, NULL, modes, NULL);
            pass(engine, &t, t.n, &kept);
            assert_true(same_outcome(&t, t.n, &plain, &kept));
            float factors[64] = {0};
            assert_true(rn_learn_blocks(engine) * t.n <= 64 && rn_learn_blocks(engine) >= 2);
            for (int k = 0; k < rn_learn_blocks(engine) * t.n; k++)
                factors[k] = k % t.n ? 1 : 0;
            rn_learn_keep(engine, t.n, factors);
            pass(engine, &t, t.n, &kept);
            assert_false(same_outcome(&t, t.n, &plain, &kept));
            rn_learn_close(&engine);
        }
        close_outcome(&plain);
        close_outcome(&kept);
        close_net(&t);
    }
}

/* With every BN frozen and nothing else, the training engine computes what inference does, unfolded. */
static void test_frozen_is_inference(void **state)
{
    net t;
    outcome o;
    rn_infer *infer = NULL;
    rn_error err = {0};
    (void)state;
    open_net(&t, "resnet50", 8, 3, 20, 26);
    build_net(&t);
    open_outcome(&o, &t);
    unsigned char *frozen = calloc((size_t)t.graph->params_count, 1);
    for (int i = 0; i < t.graph->params_count; i++)
        frozen[i] = t.graph->params[i].kind == RN_PARAM_BN_WEIGHT || t.graph->params[i].kind == RN_PARAM_BN_BIAS;
    rn_learn *engine = engine_for(&t, 3, frozen, NULL);
    pass(engine, &t, 3, &o);
    float logits[21];
    assert_int_equal(rn_infer_open(&infer, t.graph, t.weights, t.stats, NULL, &err), 0);
    assert_int_equal(rn_infer_run(infer, 3, t.h, t.w, t.x, logits, NULL, &err), 0);
    for (int i = 0; i < 21; i++)
        assert_true(fabs(logits[i] - o.logits[i]) <= 1e-4 * (1 + fabs(logits[i])));
    rn_infer_close(&infer);
    rn_learn_close(&engine);
    free(frozen);
    close_outcome(&o);
    close_net(&t);
}

/* Sizes that leave nothing or whose memory overflows any number, and a batch whose variance is that of one value. */
static void test_refusals(void **state)
{
    net t;
    rn_learn *engine = NULL;
    rn_error err = {0};
    (void)state;
    open_net(&t, "resnet18", 8, 1, 8, 8);
    t.arch.stem = RN_STEM_7X7;
    build_net(&t);
    float logits[7]; /* layer2 sees 1 x 1 of one sample: no variance, in whichever of the two calls that is noticed */
    int status = rn_learn_open(&engine, t.graph, 1, 8, 8, NULL, 0, NULL, &err);
    if (!status) {
        rn_learn_load(engine, t.weights, t.stats);
        status = rn_learn_forward(engine, 1, t.x, logits, NULL, NULL, &err);
    }
    assert_int_equal(status, RN_ERR_ARG);
    assert_non_null(strstr(err.text, "layer2"));
    rn_learn_close(&engine);
    assert_true(rn_learn_open(&engine, t.graph, 1, 0, 8, NULL, 0, NULL, &err) < 0);
    assert_true(rn_learn_open(&engine, t.graph, 1, 8, -1, NULL, 0, NULL, &err) < 0);
    assert_true(rn_learn_open(&engine, t.graph, 0, 64, 64, NULL, 0, NULL, &err) < 0);
    assert_true(rn_learn_open(&engine, t.graph, 1 << 30, 1 << 20, 1 << 20, NULL, 0, NULL, &err) < 0);
    assert_null(engine);
    rn_infer *infer = NULL;
    assert_int_equal(rn_infer_open(&infer, t.graph, t.weights, t.stats, NULL, &err), 0);
    assert_true(rn_infer_plan(infer, 1 << 30, 1 << 20, 1 << 20, &err) < 0);
    assert_true(rn_infer_plan(infer, 1, 1 << 30, 1 << 30, &err) < 0);
    assert_true(rn_infer_plan(infer, 0, 64, 64, &err) < 0);
    assert_true(rn_infer_plan(infer, 1, 64, 0, &err) < 0);
    rn_infer_close(&infer);
    close_net(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits), cmocka_unit_test(test_used_arena),          cmocka_unit_test(test_slopes),
        cmocka_unit_test(test_variants),  cmocka_unit_test(test_dropping),
        cmocka_unit_test(test_frozen),    cmocka_unit_test(test_frozen_is_inference), cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
