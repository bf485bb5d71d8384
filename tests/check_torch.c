/* The engine against PyTorch in double: logits, embedding, every gradient, running statistics, and ten steps of training, for
 * small members of the whole family.
 *
 * tests/golden/torch/NAME.bin holds what PyTorch computed; scripts/golden/torch_golden.py wrote it and documents the format and
 * the streams of random numbers that weights, inputs and labels are drawn from here as there. Of every tensor the file has 64
 * values, four sums with random signs, its maximum, and PyTorch's own distance in fp32 from double over those. Ours may be at
 * most FACTOR times that, plus 1e-6 of the maximum: an engine that is right but adds in another order passes, a wrong pixel at an
 * edge, a bias that is left out, or a gradient in another scale does not. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/file.h"
#include "graph/infer.h"
#include "graph/learn.h"
#include "models/model.h"

#include "drawn_network.h"

#define FACTOR 3.0 /* of PyTorch's fp32 distance */
#define SAMPLES 64
#define MOMENTUM_BN 0.1

typedef struct golden {
    unsigned char *data;
    size_t size, at; /* at: the next record */
    rn_arch arch;
    int n, h, w, dembedding, steps, drop;
    uint64_t seed;
} golden;

typedef struct record {
    char name[128];
    uint32_t count;
    int samples;
    double maximum, distance, sample[SAMPLES], projection[4];
} record;

typedef struct trial {
    golden file;
    rn_graph *graph;
    rn_pool *pool;
    rn_learn *learn;
    float *weights, *stats, *grads, *x, *logits, *embedding, *eval_logits, *eval_embedding, *moved;
    double *batch_stats;
    int *labels;
    double *losses;
} trial;

static void start(rn_random *r, const golden *f, uint32_t epoch, uint64_t position)
{
    rn_random_start(r, f->seed, RN_PURPOSE_TEST, epoch, position);
}

/* "width 8", "shortcut A2", "pool 4 1": any member of an architecture. */
static int set_member(rn_arch *arch, const char *key, const char *text)
{
    char want[RN_ARCH_WANT], pool[24];
    int h, w;
    if (sscanf(text, "%d %d", &h, &w) == 2 && !strcmp(key, "pool")) {
        snprintf(pool, sizeof pool, "%dx%d", h, w);
        text = pool;
    }
    json_t *value = text[strspn(text, "0123456789")] ? json_string(text) : json_integer(atoi(text));
    int done = rn_arch_set_member(arch, key, value, want) == 0;
    json_decref(value);
    return done;
}

/* The header's lines into file->arch and the rest; unknown lines fail, so that script and test stay together. */
static void read_header(golden *f)
{
    rn_error err = {0};
    char key[24];
    for (;;) {
        char *line = (char *)f->data + f->at, *end = memchr(line, '\n', f->size - f->at);
        assert_non_null(end);
        *end = 0;
        f->at += (size_t)(end - line) + 1;
        char text[24] = "";
        int a = 0, b = 0, c = 0;
        if (!strcmp(line, "end"))
            return;
        assert_int_equal(sscanf(line, "%23s", key), 1);
        const char *rest = line + strlen(key) + 1;
        sscanf(rest, "%23s", text);
        sscanf(rest, "%d %d %d", &a, &b, &c);
        if (!strcmp(key, "arch"))
            assert_int_equal(rn_arch_default(&f->arch, text, &err), 0);
        else if (!strcmp(key, "input"))
            f->n = a, f->h = b, f->w = c;
        else if (!strcmp(key, "seed"))
            f->seed = (uint64_t)a;
        else if (!strcmp(key, "dembedding"))
            f->dembedding = a;
        else if (!strcmp(key, "drop"))
            f->drop = a;
        else if (!strcmp(key, "steps"))
            f->steps = a;
        else if (!set_member(&f->arch, key, rest))
            fail_msg("unknown line \"%s\" in the golden file's header", line);
    }
}

static void take(golden *f, void *to, size_t bytes)
{
    assert_true(f->size - f->at >= bytes);
    memcpy(to, f->data + f->at, bytes); /* little-endian, as the processors that run the tests */
    f->at += bytes;
}

static void read_record(golden *f, record *r)
{
    uint16_t length, samples;
    take(f, &length, 2);
    assert_true(length < sizeof r->name);
    take(f, r->name, length);
    r->name[length] = 0;
    take(f, &r->count, 4);
    take(f, &samples, 2);
    assert_true(samples <= SAMPLES);
    r->samples = samples;
    take(f, &r->maximum, 8);
    take(f, &r->distance, 8);
    take(f, r->sample, 8 * (size_t)samples);
    take(f, r->projection, sizeof r->projection);
}

/* Our distance from the record over its samples and projections; NaN if any value is. */
static double distance_of(const golden *f, int index, const record *want, const double *have, double *maximum)
{
    rn_random r;
    double worst = 0;
    start(&r, f, EPOCH_PLACES, (uint64_t)index);
    for (int i = 0; i < want->samples; i++) {
        uint64_t place = want->count <= SAMPLES ? (uint64_t)i : (uint64_t)rn_random_u32(&r) * want->count >> 32;
        double d = fabs(have[place] - want->sample[i]);
        if (!(d <= worst))
            worst = d;
    }
    for (int k = 0; k < 4; k++) {
        double sum = 0;
        uint32_t bits = 0;
        start(&r, f, EPOCH_SIGNS, (uint64_t)index * 4 + (uint64_t)k);
        for (uint32_t i = 0; i < want->count; i++) {
            if (i % 32 == 0)
                bits = rn_random_u32(&r);
            sum += bits >> i % 32 & 1 ? -have[i] : have[i];
        }
        double d = fabs(sum - want->projection[k]) / sqrt(want->count);
        if (!(d <= worst))
            worst = d;
    }
    *maximum = 0;
    for (uint32_t i = 0; i < want->count; i++)
        *maximum = fabs(have[i]) > *maximum ? fabs(have[i]) : *maximum;
    return worst;
}

static void fill_batch(trial *t)
{
    const golden *f = &t->file;
    rn_random r;
    draw(f->seed, EPOCH_INPUT, 0, t->x, (int64_t)f->n * f->arch.in_channels * f->h * f->w);
    start(&r, f, EPOCH_LABELS, 0);
    for (int i = 0; i < f->n; i++)
        t->labels[i] = f->arch.classes ? (int)(rn_random_u32(&r) % (uint32_t)f->arch.classes) : 0;
}

/* Mean cross-entropy of t->logits, and its gradient in float, computed in double. */
static double cross_entropy(const trial *t, float *dlogits)
{
    int n = t->file.n, k = t->file.arch.classes;
    double loss = 0;
    for (int i = 0; i < n; i++) {
        const float *z = t->logits + (size_t)i * (size_t)k;
        double top = z[0], sum = 0;
        for (int j = 1; j < k; j++)
            top = z[j] > top ? z[j] : top;
        for (int j = 0; j < k; j++)
            sum += exp(z[j] - top);
        for (int j = 0; j < k; j++)
            dlogits[i * k + j] = (float)((exp(z[j] - top) / sum - (j == t->labels[i])) / n);
        loss += log(sum) + top - z[t->labels[i]];
    }
    return loss / n;
}

/* Half of the samples leave each block out. */
static void drop(trial *t)
{
    int blocks = rn_learn_blocks(t->learn);
    float *factors = malloc((size_t)blocks * (size_t)t->file.n * sizeof *factors);
    for (int b = 0; b < blocks; b++) {
        rn_random r;
        start(&r, &t->file, EPOCH_DROP, (uint64_t)b);
        for (int i = 0; i < t->file.n; i++)
            factors[b * t->file.n + i] = rn_random_u32(&r) % 2 ? 0 : 2;
    }
    rn_learn_keep(t->learn, t->file.n, factors);
    free(factors);
}

/* One training pass on the current batch: grads, batch_stats, logits, embedding. Returns the loss. */
static double pass(trial *t, int outside)
{
    const golden *f = &t->file;
    rn_error err = {0};
    int e = f->arch.embedding;
    float *dlogits = calloc((size_t)f->n * (size_t)f->arch.classes, sizeof *dlogits);
    float *dembedding = outside ? calloc((size_t)f->n * (size_t)e, sizeof *dembedding) : NULL;
    rn_learn_load(t->learn, t->weights, t->stats);
    if (f->drop)
        drop(t);
    if (rn_learn_forward(t->learn, f->n, t->x, t->logits, e ? t->embedding : NULL, t->batch_stats, &err))
        fail_msg("forward: %s", err.text);
    double loss = f->arch.classes ? cross_entropy(t, dlogits) : 0;
    if (outside) {
        draw(f->seed, EPOCH_DEMBEDDING, 0, dembedding, (int64_t)f->n * e);
        for (int i = 0; i < f->n * e; i++)
            dembedding[i] /= 16;
    }
    if (rn_learn_backward(t->learn, dlogits, dembedding, t->grads, &err))
        fail_msg("backward: %s", err.text);
    free(dlogits);
    free(dembedding);
    return loss;
}

static void move_stats(const trial *t, float *stats)
{
    for (int64_t i = 0; i < t->graph->stats_count; i++)
        stats[i] = (float)((1 - MOMENTUM_BN) * stats[i] + MOMENTUM_BN * t->batch_stats[i]);
}

/* PyTorch's SGD with Nesterov momentum 0.9 at rate 0.05, weight decay 5e-4 on what is not BN or bias. */
static void descend(trial *t, double *momentum, int first)
{
    const rn_graph *g = t->graph;
    for (int i = 0; i < g->params_count; i++) {
        const rn_param *p = &g->params[i];
        if (p->kind == RN_PARAM_BN_MEAN || p->kind == RN_PARAM_BN_VAR)
            continue;
        double decay = p->kind == RN_PARAM_CONV || p->kind == RN_PARAM_LINEAR ? 5e-4 : 0;
        for (int64_t j = p->offset; j < p->offset + p->count; j++) {
            double d = t->grads[j] + decay * t->weights[j];
            momentum[j] = first ? d : 0.9 * momentum[j] + d;
            t->weights[j] = (float)(t->weights[j] - 0.05 * (d + 0.9 * momentum[j]));
        }
    }
}

static void ten_steps(trial *t)
{
    double *momentum = calloc((size_t)t->graph->weights_count, sizeof *momentum);
    for (int step = 0; step < t->file.steps; step++) {
        t->losses[step] = pass(t, 0);
        move_stats(t, t->stats);
        descend(t, momentum, step == 0);
    }
    free(momentum);
}

static void infer(trial *t)
{
    const golden *f = &t->file;
    rn_error err = {0};
    rn_infer *engine = NULL;
    if (rn_infer_open(&engine, t->graph, t->weights, t->stats, t->pool, &err) ||
        rn_infer_run(engine, f->n, f->h, f->w, t->x, t->eval_logits, f->arch.embedding ? t->eval_embedding : NULL, &err))
        fail_msg("inference: %s", err.text);
    rn_infer_close(&engine);
    assert_null(engine);
}

/* The floats or doubles that a record is about, as doubles; the caller frees them. */
static double *find(const trial *t, const record *r)
{
    const golden *f = &t->file;
    const float *from = NULL;
    int64_t count = (int64_t)f->n * f->arch.classes;
    if (!strncmp(r->name, "grad:", 5) || !strncmp(r->name, "stat:", 5)) {
        int index = rn_graph_param(t->graph, r->name + 5);
        if (index < 0)
            fail_msg("the graph has no parameter %s", r->name + 5);
        from = (r->name[0] == 'g' ? t->grads : t->moved) + t->graph->params[index].offset;
        count = t->graph->params[index].count;
    } else if (!strcmp(r->name, "logits")) {
        from = t->logits;
    } else if (!strcmp(r->name, "eval:logits")) {
        from = t->eval_logits;
    } else {
        count = (int64_t)f->n * f->arch.embedding;
        from = !strcmp(r->name, "embedding") ? t->embedding : !strcmp(r->name, "eval:embedding") ? t->eval_embedding : NULL;
    }
    if (!from)
        fail_msg("unknown record %s", r->name);
    if (count != (int64_t)r->count)
        fail_msg("%s: %lld values, PyTorch has %u", r->name, (long long)count, r->count);
    double *out = malloc((size_t)count * sizeof *out);
    for (int64_t i = 0; i < count; i++)
        out[i] = from[i];
    return out;
}

static void set_up(trial *t, const char *name)
{
    char path[600];
    rn_error err = {0};
    golden *f = &t->file;
    snprintf(path, sizeof path, "%s/golden/torch/%s.bin", RN_TEST_DIR, name);
    if (rn_file_read(path, 1 << 24, &f->data, &f->size, &err))
        fail_msg("%s", err.text);
    read_header(f);
    if (rn_arch_graph(&f->arch, &t->graph, &err) || rn_pool_open(&t->pool, 2, &err) ||
        rn_learn_open(&t->learn, t->graph, f->n, f->h, f->w, NULL, f->drop ? RN_LEARN_DROP : 0, t->pool, &err))
        fail_msg("%s: %s", name, err.text);
    size_t n = (size_t)f->n, image = (size_t)(f->arch.in_channels * f->h * f->w), classes = (size_t)f->arch.classes;
    size_t embedding = (size_t)f->arch.embedding + 1;
    t->weights = calloc((size_t)t->graph->weights_count, sizeof(float));
    t->stats = calloc((size_t)t->graph->stats_count, sizeof(float));
    t->moved = calloc((size_t)t->graph->stats_count, sizeof(float));
    t->batch_stats = calloc((size_t)t->graph->stats_count, sizeof(double));
    t->grads = malloc((size_t)t->graph->weights_count * sizeof(float));
    t->x = calloc(n * image, sizeof(float));
    t->logits = calloc(n * classes, sizeof(float));
    t->eval_logits = calloc(n * classes, sizeof(float));
    t->embedding = calloc(n * embedding, sizeof(float));
    t->eval_embedding = calloc(n * embedding, sizeof(float));
    t->labels = calloc(n, sizeof(int));
    t->losses = calloc((size_t)f->steps + 1, sizeof(double));
    memset(t->grads, 0xff, (size_t)t->graph->weights_count * sizeof(float)); /* NaN: a gradient that is added to, or forgotten, shows */
}

static void tear_down(trial *t)
{
    void *owned[] = {t->file.data, t->weights, t->stats, t->moved, t->batch_stats, t->grads, t->x, t->logits, t->eval_logits, t->embedding,
                     t->eval_embedding, t->labels, t->losses};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]);
    rn_learn_close(&t->learn);
    rn_pool_close(&t->pool);
    rn_graph_close(&t->graph);
}

/* Compares one record and says by how much it is off; returns whether it is. */
static int compare(trial *t, const char *name, int index, const record *r, double *worst_ratio)
{
    if (!strcmp(r->name, "losses")) {
        int bad = 0;
        for (int i = 0; i < t->file.steps; i++)
            if (!(fabs(t->losses[i] - r->sample[i]) <= 1e-3)) {
                print_error("%s: loss of step %d is %.6f, PyTorch's %.6f\n", name, i, t->losses[i], r->sample[i]);
                bad = 1;
            }
        return bad;
    }
    double *have = find(t, r), maximum, d = distance_of(&t->file, index, r, have, &maximum);
    double bound = FACTOR * r->distance + 1e-6 * r->maximum;
    int bad = !(d <= bound) || !(fabs(maximum - r->maximum) <= 1e-4 * r->maximum);
    if (bad)
        print_error("%s: %s is %.3g from double, %.2f times the bound (PyTorch's fp32: %.3g); maximum %.7g, PyTorch's %.7g\n", name, r->name, d,
                    d / bound, r->distance, maximum, r->maximum);
    if (!(d / bound <= *worst_ratio))
        *worst_ratio = d / bound;
    free(have);
    return bad;
}

static void check(void **state)
{
    const char *name = *state;
    trial t = {0};
    record r;
    int bad = 0, grads = 0, stats = 0, expected = 0;
    double worst = 0;
    set_up(&t, name);
    draw_parameters(t.file.seed, t.graph, t.weights, t.stats);
    fill_batch(&t);
    infer(&t);
    pass(&t, t.file.dembedding);
    memcpy(t.moved, t.stats, (size_t)t.graph->stats_count * sizeof(float));
    move_stats(&t, t.moved);
    int steps_left = t.file.steps > 0;
    size_t first = t.file.at;
    for (int index = 0; t.file.at < t.file.size; index++) {
        read_record(&t.file, &r);
        if (!strcmp(r.name, "losses"))
            continue;
        bad += compare(&t, name, index, &r, &worst);
        grads += !strncmp(r.name, "grad:", 5);
        stats += !strncmp(r.name, "stat:", 5);
    }
    for (int i = 0; i < t.graph->params_count; i++)
        expected += t.graph->params[i].kind < RN_PARAM_BN_MEAN;
    assert_int_equal(grads, expected); /* every gradient, and every statistic */
    assert_int_equal(stats, t.graph->params_count - expected);
    if (steps_left) {
        ten_steps(&t);
        t.file.at = first;
        for (int index = 0; t.file.at < t.file.size; index++) {
            read_record(&t.file, &r);
            if (!strcmp(r.name, "losses")) {
                bad += compare(&t, name, index, &r, &worst);
                steps_left = 0;
            }
        }
    }
    assert_int_equal(steps_left, 0);
    print_message("%s: %d tensors, the worst at %.2f of its bound\n", name, grads + stats, worst);
    tear_down(&t);
    if (bad)
        fail_msg("%s: %d of the quantities are too far from PyTorch", name, bad);
}

#define CASE(name) {name, check, NULL, NULL, (void *)(uintptr_t)name}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE("resnet18_w8"), CASE("resnet18_w8_odd"), CASE("resnet18_w8_long"), CASE("resnet18_w16"), CASE("resnet18_w32"),
        CASE("resnet18_a_w8_odd"), CASE("resnet18_a_w16"), CASE("resnet34_w8"), CASE("resnet50_w8"), CASE("resnet50_w16_odd"),
        CASE("resnet101_w8"), CASE("resnet152_w8"), CASE("image18_w16"), CASE("image50_w8_odd"), CASE("cifar20_w16"),
        CASE("plain_w8"), CASE("shortcut_a2_w8_odd"), CASE("shortcut_a2_w24"), CASE("shortcut_c_v1_w8"), CASE("stem_end_w8"), CASE("wide_w8"),
        CASE("groups_4_w16"), CASE("groups_6_w16"), CASE("groups_32_w32"), CASE("deep_pool_w16_odd"),
        CASE("se_w8_odd"), CASE("se_w20"), CASE("preact_w8_odd"), CASE("preact_w8_wide"), CASE("preact_w8_stem"), CASE("preact_a_w8"),
        CASE("preact_d_se_w8"), CASE("tstp_w8"), CASE("tstp2_w12"),
        CASE("drop_w8"), CASE("drop_se_w8"), CASE("drop_preact_w8"), CASE("tiered_pool_w16"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
