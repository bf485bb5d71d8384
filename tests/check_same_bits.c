/* The promise: the same bits on every instruction set, number of threads, split into batches and compiler.
 *
 * tests/golden/bits.txt holds one hash each of logits, gradients and the weights after 20 steps of training, for networks that use
 * every kernel. This machine's masks (c, fma, avx2, avx512 where it is there) with 1, 2, 3 and 7 threads must all give them, and so must every
 * compiler and machine that builds this test. A change of the arithmetic raises RN_ARITHMETIC and writes the file anew with
 * `check_same_bits --write`. */
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
#include "data/dataset.h"
#include "graph/infer.h"
#include "graph/learn.h"
#include "models/model.h"
#include "train/trainer.h"

/* The exact fmaf of the C library is 50 times slower than hardware: no training there, its text is that of the fma level. */
static const struct {
    const char *level;
    int threads, training;
} runs[] = {{"c", 2, 0}, {"fma", 1, 0}, {"fma", 3, 1}, {"avx2", 1, 1}, {"avx2", 2, 1}, {"avx2", 3, 1}, {"avx2", 7, 1}, {"avx512", 1, 1}, {"avx512", 3, 1}};

/* name, architecture and sizes; small, but with every kind of layer, odd sizes and channel counts that do not fill a block */
typedef struct subject {
    const char *name, *arch;
    int width, in_channels, classes, embedding, pool_h, pool_w, n, h, w;
    rn_shortcut shortcut;
    rn_stem stem;
    const char *members[8][2]; /* any others of the architecture, by key; numbers as text */
    double drop;               /* drop_path of the training */
} subject;
static const subject subjects[] = {
    {"resnet18", "resnet18", 16, 1, 9, 32, 4, 1, 3, 16, 19, RN_SHORTCUT_B, RN_STEM_3X3},
    {"resnet18a", "resnet18", 24, 1, 5, 0, 2, 2, 3, 15, 18, RN_SHORTCUT_A, RN_STEM_3X3},
    {"resnet50", "resnet50", 8, 1, 9, 16, 4, 1, 3, 16, 21, RN_SHORTCUT_B, RN_STEM_3X3},
    {"images", "resnet18", 16, 3, 11, 0, 1, 1, 3, 49, 50, RN_SHORTCUT_B, RN_STEM_7X7},
    {"groups", "resnet50", 16, 3, 5, 0, 1, 1, 3, 17, 20, RN_SHORTCUT_B, RN_STEM_3X3, {{"blocks", "1,2"}, {"groups", "6"}, {"group_width", "32"}}},
    {"squeezed", "resnet50", 8, 1, 5, 16, 2, 1, 3, 33, 38, RN_SHORTCUT_B, RN_STEM_DEEP,
     {{"blocks", "1,2"}, {"se", "4"}, {"shortcut_pool", "1"}, {"stem_pool", "end"}}, 0.5},
    {"preact", "resnet20", 24, 3, 5, 0, 1, 1, 3, 15, 18, RN_SHORTCUT_B, RN_STEM_3X3, {{"blocks", "2,2"}, {"preact", "1"}, {"stem_width", "8"}}, 0.4},
    {"speakers", "resnet18", 12, 1, 5, 16, 1, 1, 3, 16, 37, RN_SHORTCUT_A2, RN_STEM_3X3, {{"blocks", "1,1"}, {"pool", "tstp"}, {"pool_rows", "8"}, {"embedding2", "1"}}},
};
enum { SUBJECTS = sizeof subjects / sizeof *subjects, STEPS = 20 };

typedef struct hashes {
    uint64_t logits, gradients, training;
} hashes;

static uint64_t hash(uint64_t h, const void *data, size_t size) /* FNV-1a */
{
    const unsigned char *p = data;
    for (size_t i = 0; i < size; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

static const uint64_t start_hash = 0xcbf29ce484222325u;

static rn_arch arch_of(const subject *s)
{
    rn_arch a;
    assert_int_equal(rn_arch_default(&a, s->arch, NULL), 0);
    a.width = s->width, a.in_channels = s->in_channels, a.classes = s->classes, a.embedding = s->embedding;
    for (int i = 0; s->members[i][0]; i++) {
        const char *text = s->members[i][1];
        char want[RN_ARCH_WANT];
        json_t *value = text[strspn(text, "0123456789")] ? json_string(text) : json_integer(atoi(text));
        assert_int_equal(rn_arch_set_member(&a, s->members[i][0], value, want), 0);
        json_decref(value);
    }
    a.pool_h = s->pool_h, a.pool_w = s->pool_w, a.shortcut = s->shortcut, a.stem = s->stem;
    return a;
}

static float *draw(int64_t count, uint64_t position)
{
    rn_random r;
    float *x = malloc((size_t)count * sizeof *x);
    assert_non_null(x);
    rn_random_start(&r, 5, RN_PURPOSE_TEST, 0, position);
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)(rn_random_double(&r) * 2 - 1);
    return x;
}

/* Logits of the folded network, whole and cut into single samples: both must be the same. */
static uint64_t logits_hash(const subject *s, const rn_model *m, rn_pool *pool, const float *x)
{
    rn_infer *e = NULL;
    rn_error err = {0};
    int64_t sample = (int64_t)s->in_channels * s->h * s->w;
    float *whole = calloc((size_t)s->n * (size_t)s->classes, sizeof *whole), *cut = calloc((size_t)s->n * (size_t)s->classes, sizeof *cut);
    if (rn_infer_open(&e, m->graph, m->weights, m->stats, pool, &err) || rn_infer_run(e, s->n, s->h, s->w, x, whole, NULL, &err))
        fail_msg("%s", err.text);
    for (int i = 0; i < s->n; i++)
        assert_int_equal(rn_infer_run(e, 1, s->h, s->w, x + i * sample, cut + i * s->classes, NULL, &err), 0);
    assert_memory_equal(whole, cut, (size_t)s->n * (size_t)s->classes * sizeof *whole);
    uint64_t h = hash(start_hash, whole, (size_t)s->n * (size_t)s->classes * sizeof *whole);
    rn_infer_close(&e);
    free(whole);
    free(cut);
    return h;
}

static uint64_t gradients_hash(const subject *s, const rn_model *m, rn_pool *pool, int modes, const float *x)
{
    rn_learn *e = NULL;
    rn_error err = {0};
    float *dlogits = draw(s->n * s->classes, 2), *grads = calloc((size_t)m->graph->weights_count, sizeof *grads);
    double *stats = calloc((size_t)m->graph->stats_count, sizeof *stats);
    if (rn_learn_open(&e, m->graph, s->n, s->h, s->w, NULL, modes, pool, &err))
        fail_msg("%s", err.text);
    rn_learn_load(e, m->weights, m->stats);
    assert_int_equal(rn_learn_forward(e, s->n, x, NULL, NULL, stats, &err), 0);
    assert_int_equal(rn_learn_backward(e, dlogits, NULL, grads, &err), 0);
    uint64_t h = hash(hash(start_hash, grads, (size_t)m->graph->weights_count * sizeof *grads), stats, (size_t)m->graph->stats_count * sizeof *stats);
    rn_learn_close(&e);
    free(dlogits);
    free(grads);
    free(stats);
    return h;
}

/* Twenty steps of the trainer on tensors, with everything on that could bring an order in: ghost batches, mixup, clipping, EMA. */
static uint64_t training_hash(const subject *s, int thread_count)
{
    enum { ITEMS = 60 };
    rn_dataset *data = NULL;
    rn_trainer *trainer = NULL;
    rn_train_options o;
    rn_train_result result;
    rn_error err = {0};
    int labels[ITEMS];
    float *x = draw((int64_t)ITEMS * s->in_channels * s->h * s->w, 3);
    for (int i = 0; i < ITEMS; i++)
        labels[i] = i % 3;
    rn_train_options_default(&o);
    o.arch = arch_of(s);
    o.arch.classes = 3;
    o.batch = 12, o.ghost_batch = 5, o.epochs = STEPS / 5, o.lr = 0.02, o.clip = 1, o.ema = 0.9, o.seed = 3, o.drop_path = s->drop, o.threads = thread_count;
    rn_augment_none(&o.augment);
    o.augment.mixup = 0.3;
    o.no_validation = o.no_test = 1;
    if (rn_dataset_from_tensors(&data, x, labels, ITEMS, s->in_channels, s->h, s->w, NULL, 3, NULL, &err) ||
        rn_trainer_open(&trainer, data, &o, NULL, RN_RESUME_NO, NULL, &err) || rn_trainer_run(trainer, &result, &err))
        fail_msg("%s: %s", s->name, err.text);
    assert_int_equal(result.steps, STEPS);
    const rn_model *m = rn_trainer_model(trainer);
    uint64_t h = hash(hash(start_hash, m->weights, (size_t)m->graph->weights_count * sizeof(float)), m->stats, (size_t)m->graph->stats_count * sizeof(float));
    rn_trainer_close(&trainer);
    rn_dataset_close(&data);
    free(x);
    return h;
}

static hashes measure(const subject *s, int thread_count, int with_training)
{
    rn_arch arch = arch_of(s);
    rn_model *m = NULL;
    rn_pool *pool = NULL;
    rn_error err = {0};
    hashes h = {0};
    if (rn_model_new(&m, &arch, NULL, RN_INIT_PYTORCH, 0, 1, &err) || rn_pool_open(&pool, thread_count, &err))
        fail_msg("%s", err.text);
    float *x = draw((int64_t)s->n * s->in_channels * s->h * s->w, 1), *jitter = draw(m->graph->stats_count, 4);
    for (int64_t i = 0; i < m->graph->stats_count; i++) /* statistics that do something; variances stay positive */
        m->stats[i] += 0.25f * jitter[i];
    h.logits = logits_hash(s, m, pool, x);
    h.gradients = gradients_hash(s, m, pool, thread_count == 3 ? RN_LEARN_RECOMPUTE : 0, x); /* blocks computed again: the same bits */
    if (with_training)
        h.training = training_hash(s, thread_count);
    rn_pool_close(&pool);
    rn_model_close(&m);
    free(x);
    free(jitter);
    return h;
}

static int level_here(const char *level)
{
    assert_int_equal(rn_cpu_limit(level), 0);
    return !strcmp(rn_cpu_level(), level);
}

static void golden(const char *name, hashes *h)
{
    char line[256], found[64];
    unsigned long long a, b, c;
    FILE *f = fopen(RN_TEST_DIR "/golden/bits.txt", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "%63s %llx %llx %llx", found, &a, &b, &c) == 4 && !strcmp(found, name)) {
            *h = (hashes){a, b, c};
            fclose(f);
            return;
        }
    fclose(f);
    fail_msg("tests/golden/bits.txt has no line for %s", name);
}

static void everywhere(void **state)
{
    (void)state;
    for (int s = 0; s < SUBJECTS; s++) {
        hashes want = {0};
        golden(subjects[s].name, &want);
        for (size_t r = 0; r < sizeof runs / sizeof *runs; r++) {
            if (!level_here(runs[r].level) || (getenv("RN_SLOW_BUILD") && r % 3))
                continue; /* under a sanitizer a third of the runs, each still against the same hashes */
            hashes have = measure(&subjects[s], runs[r].threads, runs[r].training);
            if (have.logits != want.logits || have.gradients != want.gradients || (have.training && have.training != want.training))
                fail_msg("%s, %s, %d threads: %016llx %016llx %016llx, bits.txt has %016llx %016llx %016llx", subjects[s].name, runs[r].level, runs[r].threads,
                         (unsigned long long)have.logits, (unsigned long long)have.gradients, (unsigned long long)have.training,
                         (unsigned long long)want.logits, (unsigned long long)want.gradients, (unsigned long long)want.training);
        }
        rn_cpu_limit(NULL);
    }
}

static int write_golden(void)
{
    FILE *f = fopen(RN_TEST_DIR "/golden/bits.txt", "w");
    if (!f)
        return 1;
    fprintf(f, "# RN_ARITHMETIC %d: hashes (FNV-1a 64) of logits, gradients with batch statistics, and the model after %d steps; tests/check_same_bits.c\n", RN_ARITHMETIC, STEPS);
    for (int s = 0; s < SUBJECTS; s++) {
        hashes h = measure(&subjects[s], 2, 1);
        fprintf(f, "%s %016llx %016llx %016llx\n", subjects[s].name, (unsigned long long)h.logits, (unsigned long long)h.gradients, (unsigned long long)h.training);
    }
    return fclose(f) != 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(everywhere)};
    if (argc > 1 && !strcmp(argv[1], "--write"))
        return write_golden();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
