/* Metrics against counts made by hand, degenerate cases, and answers against the engine run by itself. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "base/maths.h"
#include "judge/evaluate.h"
#include "models/model.h"

static rn_answers *make(int items, int classes, const int *labels, const float *p)
{
    rn_answers *a;
    assert_int_equal(rn_answers_open(&a, items, classes, 0, NULL), 0);
    for (int i = 0; i < items; i++) {
        a->item[i] = i;
        a->label[i] = labels[i];
        a->loss[i] = -log(p[i * classes + labels[i]]);
    }
    memcpy(a->probability, p, (size_t)(items * classes) * sizeof *p);
    return a;
}

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-9))
        fail_msg("got %.12g, want %.12g", got, want);
}

/* Five items of three classes. True 0 0 1 1 1, answers 0 1 1 1 0 (the last a tie of 0 and 1, which the first class wins).
 * Confusion: [1 1 0; 1 2 0; 0 0 0]. Catches rows and columns exchanged, and a class without items in the macro figure. */
static void counts_by_hand(void **state)
{
    (void)state;
    const int labels[] = {0, 0, 1, 1, 1};
    const float p[] = {0.75f, 0.125f, 0.125f, 0.25f, 0.5f, 0.25f, 0.125f, 0.75f, 0.125f, 0.125f, 0.5f, 0.375f, 0.5f, 0.5f, 0};
    rn_answers *a = make(5, 3, labels, p);
    rn_metrics *m;
    assert_int_equal(rn_metrics_compute(a, &m, NULL), 0);
    const int confusion[] = {1, 1, 0, 1, 2, 0, 0, 0, 0};
    assert_memory_equal(m->confusion, confusion, sizeof confusion);
    assert_int_equal(m->correct, 3);
    near(m->accuracy, 0.6);
    near(m->macro_accuracy, (0.5 + 2.0 / 3) / 2);
    near(m->top5, 1);
    near(m->per_class[0].precision, 0.5);
    near(m->per_class[0].recall, 0.5);
    near(m->per_class[1].precision, 2.0 / 3);
    near(m->per_class[1].f1, 2.0 / 3);
    assert_int_equal(m->per_class[2].support, 0);
    near(m->per_class[2].f1, 0);
    near(m->loss, -(log(0.75) + log(0.25) + log(0.75) + log(0.5) + log(0.5)) / 5);
    /* bins of 1/15: 0.75 is in (11/15, 12/15] (two items, both right), 0.5 in (7/15, 8/15] (three, one right) */
    near(m->ece, (fabs(1.5 - 2) + fabs(1.5 - 1)) / 5);
    rn_metrics_close(&m);
    assert_null(m);
    int order[3];
    assert_int_equal(rn_answers_worst(a, 3, order), 3);
    assert_int_equal(order[0], 1);
    assert_int_equal(order[1], 3); /* equal to item 4: item order decides */
    assert_int_equal(order[2], 4);
    assert_int_equal(rn_answers_worst(a, 0, order), 0);
    rn_answers_close(&a);
}

/* Wilson's interval: 8 of 10 gives 0.4902 to 0.9433; it never leaves 0..1, and its ends are reached by none and all. */
static void wilson(void **state)
{
    (void)state;
    double low, high;
    rn_wilson(8, 10, &low, &high);
    assert_true(fabs(low - 0.490162) < 1e-6 && fabs(high - 0.943318) < 1e-6);
    rn_wilson(0, 10, &low, &high);
    assert_true(low == 0 && fabs(high - 0.277533) < 1e-6);
    rn_wilson(10, 10, &low, &high);
    assert_true(fabs(low - 0.722467) < 1e-6 && high == 1);
    rn_wilson(0, 0, &low, &high);
    assert_true(low == 0 && high == 1);
}

/* No items, one class, a label outside, probabilities that are no numbers: figures, not crashes. */
static void degenerate(void **state)
{
    (void)state;
    rn_metrics *m;
    rn_error err;
    rn_answers *a = make(0, 3, NULL, (const float[]){0});
    assert_int_equal(rn_metrics_compute(a, &m, &err), 0);
    assert_true(m->accuracy == 0 && m->macro_accuracy == 0 && m->loss == 0 && m->ece == 0 && m->wilson_low == 0 && m->wilson_high == 1);
    rn_metrics_close(&m);
    rn_answers_close(&a);
    a = make(2, 1, (const int[]){0, 0}, (const float[]){1, 1});
    assert_int_equal(rn_metrics_compute(a, &m, &err), 0);
    assert_true(m->accuracy == 1 && m->macro_accuracy == 1 && m->top5 == 1 && m->ece == 0 && m->per_class[0].f1 == 1);
    rn_metrics_close(&m);
    a->label[1] = 1;
    assert_int_equal(rn_metrics_compute(a, &m, &err), RN_ERR_ARG);
    rn_answers_close(&a);
    a = make(2, 2, (const int[]){0, 1}, (const float[]){NAN, NAN, 0.25f, 0.75f});
    a->loss[0] = NAN;
    assert_int_equal(rn_metrics_compute(a, &m, &err), 0);
    int order[2];
    assert_int_equal(rn_answers_worst(a, 2, order), 2);
    assert_int_equal(order[0], 0);
    rn_metrics_close(&m);
    rn_answers_close(&a);
}

/* Seven classes: the sixth likeliest is outside the top five; ties count the lower index first. */
static void top_five(void **state)
{
    (void)state;
    const float p[] = {0.3f, 0.2f, 0.15f, 0.13f, 0.1f, 0.07f, 0.05f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f};
    const int labels[] = {5, 4};
    rn_answers *a = make(2, 7, labels, p);
    rn_metrics *m;
    assert_int_equal(rn_metrics_compute(a, &m, NULL), 0);
    near(m->top5, 0.5);
    rn_metrics_close(&m);
    rn_answers_close(&a);
}

static void softmax(void **state)
{
    (void)state;
    const float z[] = {1000, 1000, 0}, y[] = {0, logf(3)};
    float p[3];
    rn_softmax(z, 3, 1, p, NULL);
    assert_true(p[0] == 0.5f && p[1] == 0.5f && p[2] == 0);
    rn_softmax(y, 2, 1, p, NULL);
    assert_true(fabsf(p[0] - 0.25f) < 1e-7f && fabsf(p[1] - 0.75f) < 1e-7f);
}

/* Answers of a part equal the engine run on each item by itself: catches batches joined wrongly and items out of order. */
static void answers_equal_engine(void **state)
{
    (void)state;
    enum { N = 45, H = 8, W = 10 };
    static float x[N][H * W];
    int labels[N];
    rn_random r;
    rn_random_start(&r, 9, RN_PURPOSE_TEST, 0, 0);
    for (int i = 0; i < N; i++) {
        labels[i] = i % 3;
        for (int j = 0; j < H * W; j++)
            x[i][j] = (float)rn_random_normal(&r);
    }
    rn_error err;
    rn_dataset *d;
    rn_arch arch;
    rn_model *model;
    rn_pool *pool;
    rn_infer *infer;
    rn_loader *loader;
    rn_augment none;
    rn_loader_options options = {.batch = 4};
    rn_answers *a;
    rn_augment_none(&none);
    assert_int_equal(rn_dataset_from_tensors(&d, x[0], labels, N, 1, H, W, NULL, 3, NULL, &err), 0);
    for (int i = 0; i < N; i++)
        d->items[i].part = i < 9 ? RN_PART_TRAIN : RN_PART_TEST;
    rn_arch_default(&arch, "resnet20", &err);
    arch.width = 4;
    arch.in_channels = 1;
    arch.classes = 3;
    assert_int_equal(rn_model_new(&model, &arch, NULL, RN_INIT_PYTORCH, 0, 1, &err), 0);
    assert_int_equal(rn_pool_open(&pool, 2, &err), 0);
    assert_int_equal(rn_infer_open(&infer, model->graph, model->weights, model->stats, pool, &err), 0);
    assert_int_equal(rn_loader_open(&loader, d, NULL, &none, &options, &err), 0);
    assert_int_equal(rn_answers_collect(&a, infer, loader, d, RN_PART_TEST, NULL, NULL, NULL, &err), 0);
    assert_int_equal(a->items, N - 9);
    for (int i = 0; i < a->items; i++) {
        float logits[3], p[3];
        assert_int_equal(a->item[i], i + 9);
        assert_int_equal(a->label[i], labels[i + 9]);
        assert_int_equal(rn_infer_run(infer, 1, H, W, x[i + 9], logits, NULL, &err), 0);
        rn_softmax(logits, 3, 1, p, NULL);
        assert_memory_equal(p, a->probability + 3 * i, sizeof p);
        assert_true(fabs(a->loss[i] + log(p[labels[i + 9]])) < 1e-6);
    }
    rn_answers_close(&a);
    assert_int_equal(rn_answers_collect(&a, infer, loader, d, RN_PART_VALIDATION, NULL, NULL, NULL, &err), 0);
    assert_int_equal(a->items, 0);
    rn_answers_close(&a);
    d->items[3].bad = 1;
    assert_int_equal(rn_answers_collect(&a, infer, loader, d, RN_PART_NONE, NULL, NULL, NULL, &err), 0);
    assert_int_equal(a->items, N - 1);
    assert_int_equal(a->bad, 1);
    assert_int_equal(a->item[3], 4);
    rn_answers_close(&a);
    rn_loader_close(&loader);
    rn_infer_close(&infer);
    rn_pool_close(&pool);
    rn_model_close(&model);
    rn_dataset_close(&d);
}

static int stop_at_once(void *context, int64_t done, int64_t total)
{
    (void)context, (void)total;
    return done > 0;
}

/* A callback that asks to stop ends the work with its own code; nothing hangs, nothing leaks. */
static void answers_stop(void **state)
{
    (void)state;
    enum { N = 200 };
    static float x[N][16];
    static int labels[N];
    rn_error err;
    rn_dataset *d;
    rn_arch arch;
    rn_model *model;
    rn_infer *infer;
    rn_loader *loader;
    rn_augment none;
    rn_loader_options options = {.batch = 4};
    rn_answers *a;
    for (int i = 0; i < N; i++)
        labels[i] = i % 2;
    rn_augment_none(&none);
    assert_int_equal(rn_dataset_from_tensors(&d, x[0], labels, N, 1, 4, 4, NULL, 2, NULL, &err), 0);
    rn_arch_default(&arch, "resnet20", &err);
    arch.width = 2;
    arch.in_channels = 1;
    arch.classes = 2;
    assert_int_equal(rn_model_new(&model, &arch, NULL, RN_INIT_PYTORCH, 0, 1, &err), 0);
    assert_int_equal(rn_infer_open(&infer, model->graph, model->weights, model->stats, NULL, &err), 0);
    assert_int_equal(rn_loader_open(&loader, d, NULL, &none, &options, &err), 0);
    assert_int_equal(rn_answers_collect(&a, infer, loader, d, RN_PART_NONE, NULL, stop_at_once, NULL, &err), RN_ERR_CANCELLED);
    assert_null(a);
    rn_loader_close(&loader);
    rn_infer_close(&infer);
    rn_model_close(&model);
    rn_dataset_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_by_hand), cmocka_unit_test(wilson),  cmocka_unit_test(degenerate),
        cmocka_unit_test(top_five),       cmocka_unit_test(softmax), cmocka_unit_test(answers_equal_engine),
        cmocka_unit_test(answers_stop),
    };
    return cmocka_run_group_tests_name("judge", tests, NULL, NULL);
}
