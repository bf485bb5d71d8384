/* Items with several labels: listing, splits, loss, figures and whole runs.
 *
 * tests/golden/several.txt is written by scripts/golden/several_golden.py, which says what is in it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/maths.h"
#include "data/split.h"
#include "data_fixture.h"
#include "judge/judgement.h"
#include "models/model.h"
#include "train/loss.h"
#include "train/trainer.h"

/* ---- Against PyTorch, scikit-learn, SciPy ---- */

static double *numbers(FILE *file, int count)
{
    double *out = malloc(((size_t)count + 1) * sizeof *out);
    for (int i = 0; i < count; i++)
        assert_int_equal(fscanf(file, "%lf", &out[i]), 1);
    return out;
}

static float *floats(const double *values, int count)
{
    float *out = malloc(((size_t)count + 1) * sizeof *out);
    for (int i = 0; i < count; i++)
        out[i] = (float)values[i];
    return out;
}

static void near(const char *what, double got, double want, double within)
{
    if (!(fabs(got - want) <= within))
        fail_msg("%s is %.15g, want %.15g", what, got, want);
}

static void compare_loss(FILE *file, int n, int classes)
{
    double smoothing;
    assert_int_equal(fscanf(file, "%lf", &smoothing), 1);
    double *target = numbers(file, n * classes), *weight = numbers(file, classes), *logit = numbers(file, n * classes),
           *value = numbers(file, 1), *gradient = numbers(file, n * classes);
    float *t = floats(target, n * classes), *z = floats(logit, n * classes), *dz = malloc((size_t)(n * classes) * sizeof *dz);
    rn_loss_options options = {classes, weight, smoothing};
    rn_targets targets = {.targets = t};
    rn_loss loss = {0, 0};
    double denominator = rn_loss_weight(&options, &targets, n);
    near("the denominator", denominator, n, 0);
    rn_loss_run(&options, &targets, n, z, denominator, dz, &loss);
    near("the loss", loss.sum / denominator, value[0], 1e-13);
    for (int i = 0; i < n * classes; i++)
        near("a gradient", dz[i], gradient[i], 1e-7 * fabs(gradient[i]) + 1e-12);
    free(target), free(weight), free(logit), free(value), free(gradient);
    free(t), free(z), free(dz);
}

static void compare_figures(FILE *file, int n, int classes)
{
    static const char *const names[] = {
        "mean average precision", "micro average precision", "macro ROC area", "micro F1", "macro F1", "exact match"};
    rn_error err;
    rn_answers *a;
    rn_metrics *m;
    double *truth = numbers(file, n * classes), *probability = numbers(file, n * classes), *threshold = numbers(file, classes),
           *want = numbers(file, 6), *ap = numbers(file, classes), *roc = numbers(file, classes);
    assert_ok(rn_answers_open(&a, n, classes, 1, &err), err);
    for (int i = 0; i < n * classes; i++) {
        a->truth[i] = truth[i] > 0;
        a->probability[i] = (float)probability[i];
    }
    memcpy(a->threshold, threshold, (size_t)classes * sizeof *threshold);
    assert_ok(rn_metrics_compute(a, &m, &err), err);
    const double got[] = {m->macro_accuracy, m->micro_average_precision, m->macro_roc_area, m->micro_f1, m->macro_f1, m->accuracy};
    for (int i = 0; i < 6; i++)
        near(names[i], got[i], want[i], 1e-9);
    for (int c = 0; c < classes; c++) {
        near("a class's average precision", m->per_class[c].average_precision, ap[c], 1e-9);
        near("a class's ROC area", m->per_class[c].roc_area, roc[c], 1e-9);
    }
    int right = 0;
    for (int i = 0; i < n; i++)
        right += rn_answers_right(a, i);
    assert_int_equal(right, m->correct);
    assert_null(m->confusion);
    rn_metrics_close(&m);
    rn_answers_close(&a);
    free(truth), free(probability), free(threshold), free(want), free(ap), free(roc);
}

static void compare_temperature(FILE *file, int n, int classes)
{
    rn_error err;
    int *first = malloc(((size_t)n + 1) * sizeof *first);
    for (int i = 0; i <= n; i++)
        assert_int_equal(fscanf(file, "%d", &first[i]), 1);
    double *truth = numbers(file, n * classes), *logit = numbers(file, first[n] * classes), *want = numbers(file, 3), t, before, after;
    float *z = floats(logit, first[n] * classes);
    unsigned char *yes = malloc((size_t)(n * classes));
    for (int i = 0; i < n * classes; i++)
        yes[i] = truth[i] > 0;
    assert_ok(rn_temperature_fit_several(z, first, yes, n, classes, &t, &before, &after, &err), err);
    near("the temperature", t, want[0], 1e-5 * want[0]);
    near("the loss before", before, want[1], 1e-12);
    near("the loss after", after, want[2], 1e-11);
    free(first), free(truth), free(logit), free(want), free(z), free(yes);
}

/* A mean over the wrong number, a threshold that is missed by equality, or micro taken for macro would be off in the first digits. */
static void peers_have_the_same(void **state)
{
    (void)state;
    char kind[32];
    int n, classes, records = 0;
    FILE *file = fopen(RN_TEST_DIR "/golden/several.txt", "r");
    assert_non_null(file);
    for (; fscanf(file, "%31s %d %d", kind, &n, &classes) == 3; records++) {
        if (strcmp(kind, "loss") == 0)
            compare_loss(file, n, classes);
        else if (strcmp(kind, "judge") == 0)
            compare_figures(file, n, classes);
        else
            compare_temperature(file, n, classes);
    }
    fclose(file);
    assert_int_equal(records, 11);
}

/* Certain answers of any size give a loss, not NaN; a logit that is none must not be hidden by a target of 0. */
static void far_logits(void **state)
{
    (void)state;
    const float z[] = {3e38f, -3e38f, NAN}, t[] = {1, 0, 0};
    float dz[2];
    rn_loss_options two = {2, NULL, 0}, three = {3, NULL, 0};
    rn_targets targets = {.targets = t};
    rn_loss good = {0, 0}, bad = {0, 0};
    rn_loss_run(&two, &targets, 1, z, 1, dz, &good);
    assert_true(good.sum == 0 && good.correct == 1 && dz[0] == 0 && dz[1] == 0);
    rn_loss_run(&three, &targets, 1, z, 1, NULL, &bad);
    assert_true(isnan(bad.sum));
}

/* ---- Listing ---- */

static const char *texts(const rn_dataset *d, char out[400])
{
    out[0] = 0;
    for (int i = 0; i < d->count; i++)
        sprintf(out + strlen(out), "%s%s", i ? "; " : "", rn_item_label_text(d, &d->items[i]));
    return out;
}

/* Blanks, repetitions, empty lists, the same item in two lines; a list in JSON is the same as a column of text. */
static void lists_of_labels(void **state)
{
    (void)state;
    rn_dataset *d;
    rn_error err;
    char out[400];
    for (int i = 0; i < 4; i++)
        put_noise(at("l/%d.wav", i), 0.2, 8000, 0.5, (uint64_t)i + 1);
    put_text(at("l/a.csv"), "path,labels\n0.wav, wren ;robin|wren\n1.wav,\n2.wav,owl\n3.wav,robin\n3.wav,owl\n");
    assert_ok(rn_dataset_open(&d, at("l/a.csv"), NULL, &err), err);
    assert_true(d->several && d->classes == 3 && d->count == 4);
    assert_string_equal(texts(d, out), "robin|wren; ; owl; owl|robin");
    assert_true(rn_item_has(d, &d->items[0], 2) && !rn_item_has(d, &d->items[0], 0) && !rn_item_has(d, &d->items[1], 0));
    rn_dataset_close(&d);
    put_text(at("l/b.jsonl"), "{\"path\": \"0.wav\", \"label\": [\"wren\", \"robin\"]}\n{\"path\": \"1.wav\", \"labels\": []}\n"
                              "{\"path\": \"2.wav\", \"label\": \"owl\"}\n{\"path\": \"3.wav\", \"labels\": \"robin|owl\"}\n");
    assert_ok(rn_dataset_open(&d, at("l/b.jsonl"), NULL, &err), err);
    assert_string_equal(texts(d, out), "robin|wren; ; owl; owl|robin");
    rn_dataset_close(&d);
    put_text(at("l/c.csv"), "path,label\n0.wav,robin|wren\n1.wav,owl\n"); /* one label with a bar in it, as ever, and a word about it */
    assert_ok(rn_dataset_open(&d, at("l/c.csv"), NULL, &err), err);
    assert_true(!d->several && d->classes == 2 && d->warnings_count == 1 && strstr(d->warnings[0], "name the column labels"));
    rn_dataset_close(&d);
    put_text(at("l/d.csv"), "path,labels\n0.wav,\n1.wav, ; \n");
    assert_error(rn_dataset_open(&d, at("l/d.csv"), NULL, &err), RN_ERR_DATA, err, "no item has a label");
    put_text(at("l/e.csv"), "path,label,labels\n0.wav,a,b\n");
    assert_error(rn_dataset_open(&d, at("l/e.csv"), NULL, &err), RN_ERR_FORMAT, err, "keep one");
}

/* ---- Tensors, for what follows ---- */

enum { N = 240, H = 8, W = 6, CLASSES = 3 };
static float x[N][H * W];
static int zeros[N];

/* Class c makes its third of the rows louder; shares of 1/2, 1/3 and 1/12, so that the last is rare, and a quarter has none. */
static rn_dataset *open_several(void)
{
    rn_dataset *d;
    rn_error err;
    rn_random r;
    rn_random_start(&r, 5, RN_PURPOSE_TEST, 0, 0);
    assert_ok(rn_dataset_from_tensors(&d, x[0], zeros, N, 1, H, W, NULL, CLASSES, NULL, &err), err);
    assert_ok(rn_dataset_make_several(d, &err), err);
    for (int i = 0; i < N; i++) {
        int *labels = malloc(CLASSES * sizeof *labels), count = 0;
        for (int c = 0; c < CLASSES; c++)
            if (i % (c == 0 ? 2 : c == 1 ? 3 : 12) == 1)
                labels[count++] = c;
        for (int j = 0; j < H * W; j++) {
            x[i][j] = (float)rn_random_normal(&r);
            for (int k = 0; k < count; k++)
                x[i][j] += j / W * CLASSES / H == labels[k] ? 1.5f : 0;
        }
        assert_ok(rn_item_set_labels(d, &d->items[i], labels, count, &err), err);
        snprintf(d->items[i].hash, sizeof d->items[i].hash, "%032x", i);
    }
    return d;
}

/* Every class, also the rare one, and the items without any are dealt out by the shares, within one item and its rounding. */
static void split_is_stratified(void **state)
{
    (void)state;
    static const double share[] = {0.7, 0.15, 0.15};
    rn_error err;
    for (uint64_t seed = 0; seed < 5; seed++) {
        rn_dataset *d = open_several();
        rn_split_options o;
        rn_split_default(&o);
        o.seed = seed;
        assert_ok(rn_split_make(d, &o, &err), err);
        for (int c = 0; c <= CLASSES; c++) {
            int in[RN_PARTS] = {0}, all = 0;
            for (int i = 0; i < d->count; i++)
                if (c < CLASSES ? rn_item_has(d, &d->items[i], c) : !d->items[i].labels_count) {
                    in[d->items[i].part]++;
                    all++;
                }
            for (int p = 0; p < RN_PARTS; p++)
                if (fabs(in[p] - share[p] * all) > 2)
                    fail_msg("seed %d, class %d: %d of %d in part %d", (int)seed, c, in[p], all, p);
        }
        rn_dataset_close(&d);
    }
}

static void options_for(rn_train_options *o)
{
    rn_error err;
    rn_train_options_default(o);
    rn_augment_none(&o->augment);
    assert_ok(rn_train_options_set(o, "arch.name", "resnet20", &err), err);
    o->arch.width = 4;
    o->batch = 20;
    o->ghost_batch = 7;
    o->epochs = 6;
    o->lr = 0.05;
    o->seed = 3;
}

/* A run learns what is there; mixed, weighted and smoothed it does too; threads change no bit; the model says what it is, and is a start for
 * one with other labels. */
static void trains(void **state)
{
    (void)state;
    rn_train_options o;
    rn_train_result result;
    rn_error err;
    for (int k = 0; k < 2; k++) {
        float *weights = NULL;
        options_for(&o);
        o.augment.mixup = k ? 0.2 : 0;
        o.balance = k ? RN_BALANCE_WEIGHTS : RN_BALANCE_NONE;
        o.label_smoothing = 0.1 * k;
        for (o.threads = 1; o.threads <= 3; o.threads += 2) {
            rn_dataset *d = open_several();
            rn_trainer *t;
            assert_ok(rn_trainer_open(&t, d, &o, NULL, RN_RESUME_NO, NULL, &err), err);
            assert_ok(rn_trainer_run(t, &result, &err), err);
            const rn_model *m = rn_trainer_model(t);
            if (result.test_macro < 0.8 || result.test_accuracy < 0.3)
                fail_msg("kind %d: mean average precision %.3f, exact match %.3f", k, result.test_macro, result.test_accuracy);
            assert_true(m->several && !m->thresholds);
            size_t bytes = (size_t)m->graph->weights_count * sizeof(float);
            if (weights)
                assert_memory_equal(weights, m->weights, bytes);
            else
                weights = memcpy(malloc(bytes), m->weights, bytes);
            if (!k)
                assert_ok(rn_model_save(m, at("several.safetensors"), &err), err);
            rn_trainer_close(&t);
            rn_dataset_close(&d);
        }
        free(weights);
    }
    rn_model *m;
    assert_ok(rn_model_load(&m, at("several.safetensors"), &err), err);
    assert_true(m->several);
    rn_model_close(&m);
    rn_dataset *d = open_several();
    rn_trainer *t;
    options_for(&o);
    o.balance = RN_BALANCE_SAMPLING;
    assert_error(rn_trainer_open(&t, d, &o, NULL, RN_RESUME_NO, NULL, &err), RN_ERR_ARG, err, "--balance weights");
    rn_dataset_close(&d);
}

/* Thresholds of the wrong number or size, or another kind of labels, would be believed without a word. */
static void model_file(void **state)
{
    (void)state;
    rn_model *m;
    rn_error err;
    const char *path = at("several.safetensors");
    assert_ok(rn_model_rewrite(path, json_pack("{s:[f,f,f]}", "thresholds", 0.25, 0.5, 0.75), &err), err);
    assert_ok(rn_model_load(&m, path, &err), err);
    float p[3];
    const float z[3] = {-100, 0, 100};
    rn_model_probabilities(m, z, p);
    assert_true(m->thresholds[2] == 0.75 && p[0] < 1e-40f && p[1] == 0.5f && p[2] == 1);
    rn_model_close(&m);
    assert_ok(rn_model_rewrite(path, json_pack("{s:[f,f]}", "thresholds", 0.25, 0.5), &err), err);
    assert_error(rn_model_load(&m, path, &err), RN_ERR_FORMAT, err, "--calibrate");
    assert_ok(rn_model_rewrite(path, json_pack("{s:[f,f,f]}", "thresholds", 0.25, 0.5, 1.5), &err), err);
    assert_error(rn_model_load(&m, path, &err), RN_ERR_FORMAT, err, "from 0 to 1");
    assert_ok(rn_model_rewrite(path, json_pack("{s:s}", "labels_kind", "ranked"), &err), err);
    assert_error(rn_model_load(&m, path, &err), RN_ERR_UNSUPPORTED, err, "labels_kind");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peers_have_the_same), cmocka_unit_test(far_logits), cmocka_unit_test(lists_of_labels),
        cmocka_unit_test(split_is_stratified), cmocka_unit_test(trains),     cmocka_unit_test(model_file),
    };
    return cmocka_run_group_tests_name("several", tests, fixture_open, fixture_close);
}
