/* Loss, options and the trainer: formulas, refusals by name, and a run that was stopped anywhere ends with the same bytes. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/random.h"
#include "media/sound.h"
#include "train/loss.h"
#include "train/trainer.h"

/* ---- Loss ---- */

static void near(double got, double want, double within)
{
    if (!(fabs(got - want) <= within))
        fail_msg("got %.15g, want %.15g", got, want);
}

static double log_p(const float *z, int classes, int c)
{
    double sum = 0;
    for (int k = 0; k < classes; k++)
        sum += exp(z[k]);
    return z[c] - log(sum);
}

/* PyTorch: (1 - s) sum w_y (-log p_y) / sum w_y + (s / C) sum_i sum_c w_c (-log p_c) / sum w_y. */
static void loss_is_pytorchs(void **state)
{
    (void)state;
    enum { N = 6, C = 4 };
    float z[N * C], dz[N * C];
    const int y[N] = {0, 3, 1, 1, 2, 0};
    const double w[C] = {0.5, 2, 1.25, 0.75};
    rn_random r;
    rn_random_start(&r, 1, RN_PURPOSE_TEST, 0, 0);
    for (int i = 0; i < N * C; i++)
        z[i] = (float)rn_random_normal(&r);
    for (int weighted = 0; weighted < 2; weighted++)
        for (int s = 0; s < 2; s++) {
            double smoothing = 0.3 * s, nll = 0, smooth = 0, sum = 0;
            for (int i = 0; i < N; i++) {
                nll -= (weighted ? w[y[i]] : 1) * log_p(z + i * C, C, y[i]);
                sum += weighted ? w[y[i]] : 1;
                for (int c = 0; c < C; c++)
                    smooth -= (weighted ? w[c] : 1) * log_p(z + i * C, C, c);
            }
            rn_loss_options o = {C, weighted ? w : NULL, smoothing};
            rn_targets t = {.labels = y};
            rn_loss loss = {0, 0};
            double denominator = rn_loss_weight(&o, &t, N);
            near(denominator, sum, 1e-15);
            rn_loss_run(&o, &t, N, z, denominator, dz, &loss);
            near(loss.sum / denominator, (1 - smoothing) * nll / sum + smoothing / C * smooth / sum, 1e-13);
            for (int i = 0; i < N * C; i++) { /* the gradient by central differences */
                float keep = z[i], h = 1e-3f;
                rn_loss up = {0, 0}, down = {0, 0};
                z[i] = keep + h;
                double high = z[i];
                rn_loss_run(&o, &t, N, z, denominator, NULL, &up);
                z[i] = keep - h;
                double low = z[i];
                rn_loss_run(&o, &t, N, z, denominator, NULL, &down);
                z[i] = keep;
                near(dz[i], (up.sum - down.sum) / denominator / (high - low), 2e-7);
            }
        }
}

/* Item weights count in numerator and denominator; two ghost batches add up to the whole, bit for bit in the gradients. */
static void loss_weights_items(void **state)
{
    (void)state;
    const float z[] = {1, 2, 0.5f, 0.25f, -1, 1}, u[] = {3, 0.5f, 1};
    const int y[] = {0, 1, 1};
    float whole[6], parts[6];
    rn_loss_options o = {2, NULL, 0};
    rn_targets t = {y, u, NULL, NULL}, tail = {y + 1, u + 1, NULL, NULL};
    rn_loss all = {0, 0}, cut = {0, 0};
    double denominator = rn_loss_weight(&o, &t, 3);
    near(denominator, 4.5, 0);
    rn_loss_run(&o, &t, 3, z, denominator, whole, &all);
    near(all.sum, -(3 * log_p(z, 2, 0) + 0.5 * log_p(z + 2, 2, 1) + log_p(z + 4, 2, 1)), 1e-14);
    assert_int_equal(all.correct, 1);
    rn_loss_run(&o, &t, 1, z, denominator, parts, &cut);
    rn_loss_run(&o, &tail, 2, z + 2, denominator, parts + 2, &cut);
    assert_true(cut.sum == all.sum && cut.correct == all.correct);
    assert_memory_equal(whole, parts, sizeof whole);
}

/* A mixed item is the mixture of two losses; share 1 is no mixture at all. Large logits neither overflow nor give NaN. */
static void loss_mixes(void **state)
{
    (void)state;
    const float z[] = {0.3f, -0.2f, 1.5f};
    const int y[] = {0}, y2[] = {2};
    double share[] = {0.3};
    const double w[] = {1, 2, 4};
    rn_loss_options o = {3, w, 0};
    rn_targets t = {y, NULL, y2, share};
    rn_loss loss = {0, 0};
    near(rn_loss_weight(&o, &t, 1), 0.3 * 1 + 0.7 * 4, 1e-15);
    rn_loss_run(&o, &t, 1, z, 3.1, NULL, &loss);
    near(loss.sum, -0.3 * log_p(z, 3, 0) - 0.7 * 4 * log_p(z, 3, 2), 1e-14);
    assert_int_equal(loss.correct, 1); /* the larger share is class 2 */
    share[0] = 1;
    rn_targets plain = {.labels = y};
    rn_loss a = {0, 0}, b = {0, 0};
    rn_loss_run(&o, &t, 1, z, 1, NULL, &a);
    rn_loss_run(&o, &plain, 1, z, 1, NULL, &b);
    assert_true(a.sum == b.sum);
    const float huge[] = {3e38f, -3e38f, 0};
    float dz[3];
    rn_loss far = {0, 0};
    rn_loss_run(&o, &plain, 1, huge, 1, dz, &far);
    assert_true(far.sum == 0 && dz[0] == 0 && dz[1] == 0);
    const float nan[] = {0, NAN, 0};
    rn_loss bad = {0, 0};
    rn_loss_run(&o, &plain, 1, nan, 1, dz, &bad);
    assert_true(isnan(bad.sum)); /* or training would go on with a broken network */
}

/* ---- Options ---- */

/* Every field must survive JSON, or config.json would not reproduce the run. */
static void options_round_trip(void **state)
{
    (void)state;
    rn_train_options a, b;
    rn_error err;
    char key[96];
    rn_train_options_default(&a);
    static const char *const sets[][2] = {
        {"arch.name", "resnet34"}, {"arch.width", "16"}, {"arch.pool", "2x3"}, {"arch.stem", "7x7"}, {"arch.shortcut", "A"}, {"init-weights", "he"}, {"zero-last", "true"},
        {"init", "m.safetensors"}, {"freeze", "conv1,layer1"}, {"split.seed", "9223372036854775807"}, {"split.validation", "0.2"}, {"split-file", "s.csv"},
        {"skip-bad", "1"}, {"min-seconds", ".25"}, {"balance", "sampling"}, {"class-weights", "1,2.5,0.1"}, {"optimiser", "adamw"}, {"lr", "0.1"},
        {"momentum", "0.3"}, {"nesterov", "no"}, {"beta1", "0.8"}, {"beta2", "0.99"}, {"epsilon", "1e-6"}, {"weight-decay", "0.0123456789012345"},
        {"decay-all", "yes"}, {"schedule", "step"}, {"lr-end", "0.01"}, {"step-epochs", "2.5"}, {"step-factor", "0.5"}, {"warmup-steps", "7"},
        {"warmup-epochs", "1.5"}, {"label-smoothing", "0.1"}, {"clip", "1"}, {"ema", "0.999"}, {"batch", "48"}, {"ghost-batch", "16"}, {"epochs", "12"},
        {"seed", "17"}, {"patience", "3"}, {"augment.mixup", "0.2"}, {"augment.gain-db", "3"}, {"features.bins", "40"}, {"features.rate", "8000"},
        {"features.convention", "librosa"}, {"arch.embedding", "0"}, {"no-test", "true"}};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        b = a;
        int status = rn_train_options_set(&a, sets[i][0], sets[i][1], &err);
        if (status)
            fail_msg("%s %s: %s", sets[i][0], sets[i][1], err.text);
        if (memcmp(&a, &b, sizeof a) == 0)
            fail_msg("%s %s changed nothing", sets[i][0], sets[i][1]);
        assert_true(rn_train_options_known(sets[i][0]));
        assert_non_null(rn_train_options_differ(&a, &b, 1, key));
    }
    json_t *json = rn_train_options_to_json(&a, 1);
    rn_train_options_default(&b);
    if (rn_train_options_from_json(&b, json, "config.json", &err))
        fail_msg("%s", err.text);
    json_t *again = rn_train_options_to_json(&b, 1);
    assert_true(json_equal(json, again));
    assert_null(rn_train_options_differ(&a, &b, 1, key));
    assert_true(a.lr == b.lr && a.weight_decay == b.weight_decay && a.seed == b.seed && a.split.seed == b.split.seed);
    json_decref(json);
    json_decref(again);
    b.threads = 7;
    b.cache_mb = 3;
    b.log_steps = 99;
    assert_null(rn_train_options_differ(&a, &b, 1, key));
    b.augment.mixup = 0.25;
    assert_string_equal(rn_train_options_differ(&a, &b, 1, key), "augment.mixup");
}

/* Features of which the data decides rate and length are merged without inventing either. */
static void options_leave_auto(void **state)
{
    (void)state;
    rn_train_options o;
    rn_error err;
    rn_train_options_default(&o);
    assert_int_equal(rn_train_options_set(&o, "features.bins", "40", &err), 0);
    assert_true(o.features.rate == 0 && o.features.seconds == 0 && o.features.bins == 40);
    assert_int_equal(rn_train_options_set(&o, "features.seconds", "2", &err), 0);
    assert_true(o.features.rate == 0 && o.features.seconds == 2);
    assert_int_equal(rn_train_options_set(&o, "features.rate", "0", &err), 0);
    assert_true(o.features.rate == 0);
    assert_true(o.arch.classes == 0 && o.arch.in_channels == 0);
}

static void refused(const char *key, const char *text, const char *sentence)
{
    rn_train_options o, before;
    rn_error err = {0};
    rn_train_options_default(&o);
    before = o;
    int status = rn_train_options_set(&o, key, text, &err);
    if (!status || !strstr(err.text, sentence))
        fail_msg("%s %s: status %d, \"%s\" has no \"%s\"", key, text, status, err.text, sentence);
    assert_memory_equal(&o, &before, sizeof o);
}

static void options_are_refused_by_name(void **state)
{
    (void)state;
    refused("learning_rate", "1", "\"learning_rate\" is no option");
    refused("augment.mixupp", "1", "augment.mixupp");
    refused("arch.depth", "1", "arch.depth");
    refused("lr", "fast", "--lr wants a number");
    refused("epochs", "1.5", "--epochs wants a whole number");
    refused("label-smoothing", "1.5", "--label-smoothing wants a number from 0 to 1");
    refused("schedule", "linear", "--schedule wants one of cosine");
    refused("arch.name", "resnet19", "resnet19");
    refused("arch.pool", "4", "--pool wants a size");
    refused("seed", "-1", "--seed wants a whole number");
    refused("ema", "1", "--ema wants");
    rn_train_options o;
    rn_error err = {0};
    rn_train_options_default(&o);
    json_t *json = json_pack("{s:i, s:{s:i}}", "epochs", 3, "split", "sede", 1);
    assert_int_equal(rn_train_options_from_json(&o, json, "my.json", &err), RN_ERR_ARG);
    assert_non_null(strstr(err.text, "my.json"));
    assert_non_null(strstr(err.text, "split.sede"));
    assert_int_equal(o.epochs, 0); /* all or nothing */
    json_decref(json);
    o.label_smoothing = 2;
    assert_int_equal(rn_train_options_check(&o, &err), RN_ERR_ARG);
    assert_non_null(strstr(err.text, "--label-smoothing 2"));
}

/* ---- The trainer on small tensors ---- */

enum { ITEMS = 90, CLASSES = 3, H = 8, W = 6 };

static float tensors[ITEMS][H * W];
static int labels[ITEMS];
static char root[200];

/* Three classes: which third of the rows is louder. */
static void make_tensors(void)
{
    rn_random r;
    rn_random_start(&r, 5, RN_PURPOSE_TEST, 0, 0);
    for (int i = 0; i < ITEMS; i++) {
        labels[i] = i % CLASSES;
        for (int j = 0; j < H * W; j++)
            tensors[i][j] = (float)(rn_random_normal(&r) + (j / W * CLASSES / H == labels[i] ? 1.5 : 0));
    }
}

static rn_dataset *open_data(void)
{
    rn_dataset *d;
    rn_error err;
    if (rn_dataset_from_tensors(&d, tensors[0], labels, ITEMS, 1, H, W, NULL, CLASSES, NULL, &err))
        fail_msg("%s", err.text);
    return d;
}

static void small(rn_train_options *o)
{
    rn_error err;
    rn_train_options_default(o);
    rn_augment_none(&o->augment);
    if (rn_train_options_set(o, "arch.name", "resnet20", &err))
        fail_msg("%s", err.text);
    o->arch.width = 4;
    o->batch = 20; /* 62 items to train on: three steps of 20; the 2 left are too few for a fourth */
    o->ghost_batch = 7;
    o->epochs = 3;
    o->lr = 0.05;
    o->threads = 2;
    o->log_steps = 1;
    o->seed = 3;
}

static void run_path(char out[300], const char *name)
{
    snprintf(out, 300, "%s/%s", root, name);
}

typedef struct stopper {
    int64_t at, seen;        /* stop at so many steps from here */
    rn_train_stage stage;
    int epochs, best, steps;
    double first_loss, last_loss;
} stopper;

static int watch_steps(void *context, const rn_train_progress *p)
{
    stopper *s = context;
    if (p->stage == RN_TRAIN_STEP) {
        if (!s->steps++)
            s->first_loss = p->loss;
        s->last_loss = p->loss;
        assert_true(p->step >= 1 && p->step <= p->steps && p->epoch >= 1 && p->epoch <= p->epochs);
    }
    if (p->stage == RN_TRAIN_EPOCH) {
        s->epochs++;
        s->best += p->best;
    }
    return p->stage == s->stage && s->at && ++s->seen >= s->at;
}

static int train_status(const rn_train_options *o, const char *folder, rn_resume resume, stopper *s, rn_train_result *result, rn_error *err)
{
    rn_dataset *d = open_data();
    rn_trainer *t;
    rn_train_watch watch = {.progress = watch_steps, .context = s, .command = "resnet train x", .data_name = "x"};
    int status = rn_trainer_open(&t, d, o, folder, resume, &watch, err);
    if (!status)
        status = rn_trainer_run(t, result, err);
    rn_trainer_close(&t);
    rn_dataset_close(&d);
    return status;
}

static void expect(int status, int want, const rn_error *err)
{
    if (status != want)
        fail_msg("status %d, want %d: %s", status, want, err->text);
}

static unsigned char *read_whole(const char *folder, const char *name, size_t *size)
{
    char path[400];
    unsigned char *data;
    rn_error err;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (rn_file_read(path, 1 << 28, &data, size, &err))
        fail_msg("%s", err.text);
    return data;
}

static void same_file(const char *a, const char *b, const char *name)
{
    size_t n, m;
    unsigned char *x = read_whole(a, name, &n), *y = read_whole(b, name, &m);
    if (n != m || memcmp(x, y, n))
        fail_msg("%s of %s and %s differ (%zu and %zu bytes)", name, a, b, n, m);
    free(x);
    free(y);
}

/* Learns, tests, writes everything; the same bytes for one and for three threads. */
static void whole_run(void **state)
{
    (void)state;
    char a[300], b[300];
    rn_train_options o;
    rn_train_result result;
    rn_error err = {0};
    stopper s = {0};
    small(&o);
    o.epochs = 8;
    run_path(a, "whole");
    run_path(b, "whole-threads");
    expect(train_status(&o, a, RN_RESUME_NO, &s, &result, &err), 0, &err);
    assert_int_equal(result.epochs, 8);
    assert_int_equal(s.epochs, 8);
    assert_true(result.best_epoch >= 1 && result.test_items > 0);
    assert_true(s.last_loss < s.first_loss);
    assert_true(result.test_accuracy > 0.6);
    o.threads = 3;
    expect(train_status(&o, b, RN_RESUME_NO, &s, &result, &err), 0, &err);
    same_file(a, b, "model.safetensors");
    same_file(a, b, "log.jsonl");
    same_file(a, b, "split.csv");
    rn_model *m;
    char path[400];
    snprintf(path, sizeof path, "%s/model.safetensors", a);
    expect(rn_model_load(&m, path, &err), 0, &err);
    json_t *training = rn_model_section(m, "training");
    assert_int_equal(json_integer_value(json_object_get(training, "epoch")), result.best_epoch);
    assert_non_null(json_object_get(training, "test"));
    char *text = json_dumps(m->config, 0);
    assert_null(strstr(text, root));
    assert_null(strstr(text, "threads"));
    free(text);
    assert_int_equal(json_integer_value(json_array_get(rn_model_section(m, "input"), 1)), H);
    rn_model_close(&m);
    snprintf(path, sizeof path, "%s/last.safetensors", a);
    expect(rn_model_load(&m, path, &err), 0, &err); /* a checkpoint is a model too */
    rn_model_close(&m);
}

/* config.json alone reproduces the run to the bit. */
static void config_reproduces(void **state)
{
    (void)state;
    char a[300], b[300], config[400];
    rn_train_options o, p;
    rn_train_result result;
    rn_error err = {0};
    stopper s = {0};
    small(&o);
    o.epochs = 2;
    o.lr = 0; /* left to the data */
    o.optimiser = RN_ADAMW;
    o.ema = 0.9;
    o.balance = RN_BALANCE_WEIGHTS;
    o.augment.mixup = 0.4;
    run_path(a, "config-a");
    run_path(b, "config-b");
    expect(train_status(&o, a, RN_RESUME_NO, &s, &result, &err), 0, &err);
    snprintf(config, sizeof config, "%s/config.json", a);
    rn_train_options_default(&p);
    expect(rn_train_options_load(&p, config, &err), 0, &err);
    expect(train_status(&p, b, RN_RESUME_NO, &s, &result, &err), 0, &err);
    same_file(a, b, "model.safetensors");
    same_file(a, b, "log.jsonl");
    same_file(a, b, "config.json");
}

/* Stopped after every single step, in validation and after epochs, and resumed: model, checkpoint, log and split as if never stopped. */
static void resume_gives_the_same_bytes(void **state)
{
    (void)state;
    static const struct { const char *name; double ema, mixup; rn_optimiser_kind optimiser; } kinds[] = {
        {"sgd", 0, 0, RN_SGD}, {"ema", 0.95, 0, RN_SGD}, {"adamw", 0.9, 0.3, RN_ADAMW}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        char whole[300], part[300], name[40];
        rn_train_options o;
        rn_train_result want, got;
        rn_error err = {0};
        stopper none = {0};
        small(&o);
        o.ema = kinds[k].ema;
        o.augment.mixup = kinds[k].mixup;
        o.optimiser = kinds[k].optimiser;
        o.lr = o.optimiser == RN_ADAMW ? 0.003 : 0.05;
        snprintf(name, sizeof name, "resume-%s", kinds[k].name);
        run_path(whole, name);
        expect(train_status(&o, whole, RN_RESUME_NO, &none, &want, &err), 0, &err);
        static const struct { rn_train_stage stage; int at; } stops[] = {
            {RN_TRAIN_STEP, 1}, {RN_TRAIN_STEP, 2}, {RN_TRAIN_STEP, 4}, {RN_TRAIN_VALIDATE, 1}, {RN_TRAIN_EPOCH, 1}, {RN_TRAIN_TEST, 1}};
        for (int i = 0; i < (int)(sizeof stops / sizeof *stops); i++) {
            int status, parts = 0;
            snprintf(name, sizeof name, "resume-%s-cut-%d", kinds[k].name, i);
            run_path(part, name);
            do {
                stopper s = {.stage = stops[i].stage, .at = parts && stops[i].stage != RN_TRAIN_STEP ? 0 : stops[i].at};
                o.threads = 1 + parts % 3; /* threads may change */
                status = train_status(&o, part, parts ? RN_RESUME : RN_RESUME_NO, &s, &got, &err);
                if (status)
                    expect(status, RN_ERR_CANCELLED, &err);
                assert_true(++parts < 30);
            } while (status);
            assert_true(parts > 1);
            same_file(whole, part, "model.safetensors");
            same_file(whole, part, "log.jsonl");
            same_file(whole, part, "split.csv");
            assert_true(want.best_epoch == got.best_epoch && want.test_accuracy == got.test_accuracy && want.loss == got.loss && want.steps == got.steps);
            assert_non_null(err.text);
        }
    }
}

/* Lines that were written after the checkpoint are cut; half a line too. */
static void log_is_cut_back(void **state)
{
    (void)state;
    char whole[300], cut[300], path[400];
    rn_train_options o;
    rn_train_result result;
    rn_error err = {0};
    stopper none = {0}, s = {.stage = RN_TRAIN_STEP, .at = 2};
    small(&o);
    run_path(whole, "log-whole");
    run_path(cut, "log-cut");
    expect(train_status(&o, whole, RN_RESUME_NO, &none, &result, &err), 0, &err);
    expect(train_status(&o, cut, RN_RESUME_NO, &s, &result, &err), RN_ERR_CANCELLED, &err);
    assert_non_null(strstr(err.text, "resnet train x --out"));
    assert_non_null(strstr(err.text, "--resume"));
    snprintf(path, sizeof path, "%s/log.jsonl", cut);
    FILE *f = fopen(path, "a");
    fputs("{\"kind\":\"step\",\"epoch\":9}\n{\"kin", f);
    fclose(f);
    snprintf(path, sizeof path, "%s/model.safetensors.tmp.123", cut); /* what a killed process leaves */
    fclose(fopen(path, "w"));
    expect(train_status(&o, cut, RN_RESUME, &none, &result, &err), 0, &err);
    same_file(whole, cut, "log.jsonl");
    assert_int_not_equal(access(path, F_OK), 0);
    int events = 0;
    DIR *dir = opendir(cut);
    for (struct dirent *e; (e = readdir(dir));)
        events += strncmp(e->d_name, "events.out.tfevents.", 20) == 0;
    closedir(dir);
    assert_int_equal(events, 1);
}

/* An existing run, other options, other data: each refused by name, and nothing of the run is touched. */
static void refusals(void **state)
{
    (void)state;
    char run[300];
    rn_train_options o, p;
    rn_train_result result;
    rn_error err = {0};
    stopper none = {0}, s = {.stage = RN_TRAIN_STEP, .at = 4};
    size_t before_size, after_size;
    small(&o);
    run_path(run, "refusals");
    expect(train_status(&o, run, RN_RESUME_NO, &s, &result, &err), RN_ERR_CANCELLED, &err);
    unsigned char *before = read_whole(run, "last.safetensors", &before_size);
    expect(train_status(&o, run, RN_RESUME_NO, &none, &result, &err), RN_ERR_ARG, &err);
    assert_non_null(strstr(err.text, "--resume"));
    p = o;
    p.lr = 0.1;
    expect(train_status(&p, run, RN_RESUME, &none, &result, &err), RN_ERR_MISMATCH, &err);
    assert_non_null(strstr(err.text, "--lr is 0.1"));
    p = o;
    p.epochs = 4;
    expect(train_status(&p, run, RN_RESUME, &none, &result, &err), RN_ERR_MISMATCH, &err);
    assert_non_null(strstr(err.text, "--epochs"));
    p = o;
    p.augment.mixup = 1;
    expect(train_status(&p, run, RN_RESUME, &none, &result, &err), RN_ERR_MISMATCH, &err);
    assert_non_null(strstr(err.text, "mixup"));
    tensors[40][3] += 1;
    expect(train_status(&o, run, RN_RESUME, &none, &result, &err), RN_ERR_MISMATCH, &err);
    assert_non_null(strstr(err.text, "not the data"));
    tensors[40][3] -= 1;
    make_tensors();
    unsigned char *after = read_whole(run, "last.safetensors", &after_size);
    assert_true(before_size == after_size && memcmp(before, after, before_size) == 0);
    free(before);
    free(after);
    p = o;
    p.threads = 1;
    p.cache_mb = 5;
    p.checkpoint_minutes = 0;
    expect(train_status(&p, run, RN_RESUME, &none, &result, &err), 0, &err);
}

/* A folder with config.json alone (killed before the first checkpoint) starts afresh. */
static void without_checkpoint_afresh(void **state)
{
    (void)state;
    char run[300], other[300], path[400];
    rn_train_options o;
    rn_train_result result;
    rn_error err = {0};
    stopper none = {0};
    small(&o);
    o.epochs = 1;
    run_path(run, "afresh");
    run_path(other, "afresh-not");
    mkdir(run, 0777);
    snprintf(path, sizeof path, "%s/log.jsonl", run);
    FILE *f = fopen(path, "w");
    fputs("{\"kind\":\"step\"}\n", f);
    fclose(f);
    expect(train_status(&o, run, RN_RESUME_NO, &none, &result, &err), RN_ERR_ARG, &err);
    expect(train_status(&o, run, RN_RESUME, &none, &result, &err), 0, &err);
    expect(train_status(&o, other, RN_RESUME, &none, &result, &err), 0, &err);
    same_file(run, other, "log.jsonl");
    same_file(run, other, "model.safetensors");
}

/* ---- In memory ---- */

/* Without a folder the trainer hands over the best model; with a callback it can be stopped and goes on in the same process. */
static void in_memory(void **state)
{
    (void)state;
    char run[300], path[400];
    rn_train_options o;
    rn_train_result result, want;
    rn_error err = {0};
    stopper none = {0}, s = {.stage = RN_TRAIN_STEP, .at = 4};
    small(&o);
    run_path(run, "memory");
    expect(train_status(&o, run, RN_RESUME_NO, &none, &want, &err), 0, &err);
    rn_dataset *d = open_data();
    rn_trainer *t;
    rn_train_watch watch = {.progress = watch_steps, .context = &s};
    expect(rn_trainer_open(&t, d, &o, NULL, RN_RESUME_NO, &watch, &err), 0, &err);
    expect(rn_trainer_run(t, &result, &err), RN_ERR_CANCELLED, &err);
    s.at = 0;
    expect(rn_trainer_run(t, &result, &err), 0, &err);
    assert_string_equal(result.model_path, "");
    rn_model *m = rn_trainer_take_model(t), *file;
    assert_int_equal(rn_trainer_run(t, &result, &err), RN_ERR_ARG);
    rn_trainer_close(&t);
    snprintf(path, sizeof path, "%s/model.safetensors", run);
    expect(rn_model_load(&file, path, &err), 0, &err);
    assert_memory_equal(m->weights, file->weights, (size_t)m->graph->weights_count * 4);
    assert_memory_equal(m->stats, file->stats, (size_t)m->graph->stats_count * 4);
    assert_true(json_equal(m->config, file->config));
    rn_model_close(&m);
    rn_model_close(&file);
    for (int i = 0; i < d->count; i++)
        assert_int_equal(d->items[i].part, RN_PART_NONE); /* given back */
    rn_dataset_close(&d);
}

/* Weights of a frozen prefix keep their initial bits, its BN its statistics; the others move. An unknown prefix is refused. */
static void frozen(void **state)
{
    (void)state;
    rn_train_options o;
    rn_train_result result;
    rn_error err = {0};
    rn_dataset *d = open_data();
    rn_trainer *t;
    rn_model *fresh;
    small(&o);
    o.epochs = 1;
    expect(rn_train_options_set(&o, "freeze", "conv1,bn1,layer1", &err), 0, &err);
    expect(rn_trainer_open(&t, d, &o, NULL, RN_RESUME_NO, NULL, &err), 0, &err);
    expect(rn_trainer_run(t, &result, &err), 0, &err);
    const rn_model *m = rn_trainer_model(t);
    expect(rn_model_new(&fresh, &m->arch, NULL, o.init_weights, o.zero_last, o.seed, &err), 0, &err);
    int moved = 0, kept = 0;
    for (int i = 0; i < m->graph->params_count; i++) {
        const rn_param *p = &m->graph->params[i];
        int stat = p->kind == RN_PARAM_BN_MEAN || p->kind == RN_PARAM_BN_VAR;
        const float *a = (stat ? m->stats : m->weights) + p->offset, *b = (stat ? fresh->stats : fresh->weights) + p->offset;
        int same = memcmp(a, b, (size_t)p->count * 4) == 0;
        int frozen_name = strncmp(p->name, "conv1.", 6) == 0 || strncmp(p->name, "bn1.", 4) == 0 || strncmp(p->name, "layer1.", 7) == 0;
        if (same != frozen_name)
            fail_msg("%s %s", p->name, same ? "did not move" : "moved");
        moved += !same;
        kept += same;
    }
    assert_true(moved > 10 && kept > 10);
    rn_model_close(&fresh);
    rn_trainer_close(&t);
    expect(rn_train_options_set(&o, "freeze", "layer9", &err), 0, &err);
    expect(rn_trainer_open(&t, d, &o, NULL, RN_RESUME_NO, NULL, &err), RN_ERR_ARG, &err);
    assert_non_null(strstr(err.text, "--freeze layer9"));
    rn_dataset_close(&d);
}

/* A rate of 0.0 learns nothing, so the first epoch stays the best and patience ends the run. */
static void early_stopping(void **state)
{
    (void)state;
    rn_train_options o;
    rn_train_result result;
    rn_error err = {0};
    stopper s = {0};
    small(&o);
    o.epochs = 20;
    o.patience = 2;
    o.lr = 1e-30;
    o.schedule = RN_CONSTANT;
    o.freeze_count = 1;
    strcpy(o.freeze[0], "conv1"); /* its BN moves, so predictions may */
    expect(train_status(&o, NULL, RN_RESUME_NO, &s, &result, &err), 0, &err);
    assert_true(result.stopped_early);
    assert_true(result.epochs == result.best_epoch + 2 && result.epochs < 20);
    o.no_validation = 1;
    expect(train_status(&o, NULL, RN_RESUME_NO, &s, &result, &err), RN_ERR_ARG, &err);
    o.patience = 0;
    o.epochs = 2;
    expect(train_status(&o, NULL, RN_RESUME_NO, &s, &result, &err), 0, &err);
    assert_true(result.best_epoch == 2 && isnan(result.validation_macro) && result.test_items > 0);
}

/* --init keeps weights that fit and the run starts from them: at a rate of almost 0 the weights come back. */
static void starts_from_a_model(void **state)
{
    (void)state;
    char run[300];
    rn_train_options o;
    rn_train_result result;
    rn_error err = {0};
    stopper none = {0};
    small(&o);
    run_path(run, "init");
    expect(train_status(&o, run, RN_RESUME_NO, &none, &result, &err), 0, &err);
    snprintf(o.init_path, sizeof o.init_path, "%s/model.safetensors", run);
    o.seed = 77;
    o.lr = 1e-30;
    o.weight_decay = 0;
    o.epochs = 1;
    rn_dataset *d = open_data();
    rn_trainer *t;
    rn_model *from;
    expect(rn_trainer_open(&t, d, &o, NULL, RN_RESUME_NO, NULL, &err), 0, &err);
    expect(rn_trainer_run(t, &result, &err), 0, &err);
    expect(rn_model_load(&from, o.init_path, &err), 0, &err);
    assert_memory_equal(rn_trainer_model(t)->weights, from->weights, (size_t)from->graph->weights_count * 4);
    rn_model_close(&from);
    rn_trainer_close(&t);
    rn_dataset_close(&d);
}

/* A rate that throws the weights away: step, a layer or the loss, and files are named, and the last good checkpoint stays. */
static void not_finite(void **state)
{
    (void)state;
    char run[300], path[400];
    rn_train_options o;
    rn_train_result result;
    rn_error err = {0};
    stopper none = {0};
    rn_model *m;
    small(&o);
    o.lr = 300;
    o.momentum = 0;
    o.weight_decay = 10; /* every step multiplies the weights by -3000 */
    o.schedule = RN_CONSTANT;
    o.warmup_epochs = 0;
    o.epochs = 60;
    run_path(run, "not-finite");
    expect(train_status(&o, run, RN_RESUME_NO, &none, &result, &err), RN_ERR_NUMBER, &err);
    assert_non_null(strstr(err.text, "not finite"));
    assert_non_null(strstr(err.text, "first in "));
    assert_non_null(strstr(err.text, "tensor "));
    assert_non_null(strstr(err.text, "--lr 30"));
    snprintf(path, sizeof path, "%s/last.safetensors", run);
    if (strstr(err.text, "is kept"))
        expect(rn_model_load(&m, path, &err), 0, &err), rn_model_close(&m);
    /* an input that is no number names itself */
    float keep = tensors[3][3];
    small(&o);
    for (int i = 0; i < ITEMS; i++)
        tensors[i][3] = NAN;
    expect(train_status(&o, NULL, RN_RESUME_NO, &none, &result, &err), RN_ERR_NUMBER, &err);
    assert_non_null(strstr(err.text, "the input"));
    (void)keep;
    make_tensors();
}

/* Parts, steps, memory and a time before anything is spent; the data set is as it was. */
static void dry_run(void **state)
{
    (void)state;
    rn_train_options o;
    rn_train_plan plan;
    rn_error err = {0};
    rn_dataset *d = open_data();
    small(&o);
    expect(rn_train_dry_run(d, &o, NULL, &plan, &err), 0, &err);
    assert_int_equal(plan.parts[0] + plan.parts[1] + plan.parts[2], ITEMS);
    int sum = 0;
    for (int c = 0; c < CLASSES; c++)
        for (int p = 0; p < RN_PARTS; p++) {
            assert_true(plan.per_class[c * RN_PARTS + p] > 0);
            sum += plan.per_class[c * RN_PARTS + p];
        }
    assert_int_equal(sum, ITEMS);
    assert_true(plan.h == H && plan.w == W && plan.c == 1 && plan.steps >= 3 && plan.step_seconds > 0 && plan.run_seconds > 0);
    assert_true(plan.bytes_engine > 0 && plan.bytes_weights >= 4 * 4 * plan.parameters && plan.macs > 0);
    assert_true(plan.options.warmup_epochs >= 0 && plan.options.arch.classes == CLASSES && plan.options.arch.in_channels == 1);
    assert_int_equal(d->items[0].part, RN_PART_NONE);
    rn_train_plan_free(&plan);
    o.batch = 1000; /* more than there is */
    expect(rn_train_dry_run(d, &o, NULL, &plan, &err), 0, &err);
    assert_int_equal(plan.options.batch, plan.parts[0]);
    rn_train_plan_free(&plan);
    rn_dataset_close(&d);
}

/* A folder that can't be made, and one whose disk is full, are sentences. */
static void bad_folders(void **state)
{
    (void)state;
    rn_train_options o;
    rn_train_result result;
    rn_error err = {0};
    stopper none = {0};
    char path[400];
    small(&o);
    snprintf(path, sizeof path, "%s/a-file", root);
    fclose(fopen(path, "w"));
    snprintf(path, sizeof path, "%s/a-file/run", root);
    expect(train_status(&o, path, RN_RESUME_NO, &none, &result, &err), RN_ERR_IO, &err);
    assert_non_null(strstr(err.text, "a-file"));
    /* a checkpoint that is no checkpoint */
    run_path(path, "broken");
    mkdir(path, 0777);
    strcat(path, "/last.safetensors");
    FILE *f = fopen(path, "w");
    fputs("garbage", f);
    fclose(f);
    run_path(path, "broken");
    assert_true(train_status(&o, path, RN_RESUME, &none, &result, &err) < 0);
    assert_non_null(strstr(err.text, "last.safetensors"));
}

/* ---- Killed, and out of space ---- */

static int die(void *context, const rn_train_progress *p)
{
    int *left = context;
    if (p->stage == RN_TRAIN_STEP && --*left == 0)
        _exit(9); /* no buffer is flushed, nothing is closed: as a kill */
    return 0;
}

/* A process that dies after step n of a run that saves after every step leaves a run that ends with the same bytes. Catches state that only
 * a stop on request would save, and log lines that a checkpoint counts but that were still in a buffer. */
static void dies_and_resumes(void **state)
{
    (void)state;
    char whole[300], part[300], name[40];
    rn_train_options o;
    rn_train_result result;
    rn_error err = {0};
    stopper none = {0};
    small(&o);
    o.ema = 0.9;
    o.patience = 1;
    o.checkpoint_minutes = 1e-9;
    run_path(whole, "alive");
    expect(train_status(&o, whole, RN_RESUME_NO, &none, &result, &err), 0, &err);
    for (int n = 1; n <= 7; n++) {
        snprintf(name, sizeof name, "dies-%d", n);
        run_path(part, name);
        pid_t child = fork();
        if (child == 0) {
            int left = n, status = 0;
            rn_dataset *d = open_data();
            rn_trainer *t;
            rn_train_watch watch = {.progress = die, .context = &left};
            if (!rn_trainer_open(&t, d, &o, part, RN_RESUME_NO, &watch, &err))
                status = rn_trainer_run(t, &result, &err);
            _exit(status ? 1 : 0);
        }
        int how;
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFEXITED(how) && (WEXITSTATUS(how) == 9 || WEXITSTATUS(how) == 0));
        if (n > 1) /* every step but the first was saved before the next one */
            free(read_whole(part, "last.safetensors", &(size_t){0}));
        expect(train_status(&o, part, RN_RESUME, &none, &result, &err), 0, &err);
        same_file(whole, part, "model.safetensors");
        same_file(whole, part, "log.jsonl");
    }
}

/* A file that may not grow stands for a full disk: the sentence says what is whole and how to go on, and it is whole. */
static void no_space(void **state)
{
    (void)state;
    char whole[300], run[300];
    rn_train_options o;
    rn_train_result result;
    rn_error err = {0};
    stopper none = {0}, s = {.stage = RN_TRAIN_EPOCH, .at = 1};
    struct rlimit before, small_limit;
    size_t n, m;
    small(&o);
    run_path(whole, "space");
    run_path(run, "no-space");
    expect(train_status(&o, whole, RN_RESUME_NO, &none, &result, &err), 0, &err);
    expect(train_status(&o, run, RN_RESUME_NO, &s, &result, &err), RN_ERR_CANCELLED, &err);
    unsigned char *kept = read_whole(run, "last.safetensors", &n);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small_limit = before;
    small_limit.rlim_cur = 40000; /* a model has about 80 kB */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small_limit), 0);
    int status = train_status(&o, run, RN_RESUME, &none, &result, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    expect(status, RN_ERR_IO, &err);
    if (!strstr(err.text, ".safetensors: ") || !strstr(err.text, "the checkpoint of epoch 1 is whole. Free space, then: resnet train x --out "))
        fail_msg("%s", err.text);
    unsigned char *now = read_whole(run, "last.safetensors", &m);
    assert_true(n == m && memcmp(kept, now, n) == 0);
    free(kept);
    free(now);
    expect(train_status(&o, run, RN_RESUME, &none, &result, &err), 0, &err);
    same_file(whole, run, "model.safetensors");
    same_file(whole, run, "log.jsonl");
}

/* ---- On sound ---- */

static void write_tone(const char *folder, int class, int i)
{
    char path[500];
    rn_error err;
    rn_random r;
    int n = 8000 + 400 * (i % 5);
    float *x = malloc((size_t)n * sizeof *x);
    double phase = 0, step = 2 * M_PI * 300 * (1 + class) / 8000;
    rn_random_start(&r, 1, RN_PURPOSE_TEST, (uint32_t)class, (uint64_t)i);
    double detune = 0.9 + 0.2 * rn_random_double(&r);
    for (int j = 0; j < n; j++) {
        x[j] = (float)(0.3 * sin(phase) + 0.02 * rn_random_normal(&r));
        phase += step * detune;
    }
    snprintf(path, sizeof path, "%s/class%d", folder, class);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/class%d/%02d.wav", folder, class, i);
    if (rn_sound_write_wav(path, x, n, 8000, &err))
        fail_msg("%s", err.text);
    free(x);
}

static int sound_status(const char *data, const rn_train_options *o, const char *run, rn_resume resume, stopper *s, rn_train_result *result, rn_error *err)
{
    rn_dataset *d;
    rn_trainer *t = NULL;
    rn_train_watch watch = {.progress = watch_steps, .context = s};
    int status = rn_dataset_open(&d, data, NULL, err);
    if (!status)
        status = rn_trainer_open(&t, d, o, run, resume, &watch, err);
    if (!status)
        status = rn_trainer_run(t, result, err);
    rn_trainer_close(&t);
    rn_dataset_close(&d);
    return status;
}

/* Recordings, augmentation, a broken file: rate and length come from the data, the broken file is an error or is counted, and threads and
 * stops change no byte. */
static void on_recordings(void **state)
{
    (void)state;
    char data[300], a[300], b[300], path[400];
    rn_train_options o;
    rn_train_result result;
    rn_error err = {0};
    stopper none = {0}, s = {.stage = RN_TRAIN_STEP, .at = 3};
    run_path(data, "sound");
    run_path(a, "sound-a");
    run_path(b, "sound-b");
    mkdir(data, 0777);
    for (int c = 0; c < 2; c++)
        for (int i = 0; i < 16; i++)
            write_tone(data, c, i);
    rn_train_options_default(&o);
    o.arch.width = 4;
    o.epochs = 2;
    o.batch = 8;
    o.ghost_batch = 4;
    o.augment.mixup = 0.2;
    o.augment.speed = 0.05;
    o.threads = 2;
    snprintf(path, sizeof path, "%s/class1/broken.wav", data);
    FILE *f = fopen(path, "w");
    fputs("RIFF", f);
    fclose(f);
    expect(sound_status(data, &o, NULL, RN_RESUME_NO, &none, &result, &err) ? RN_ERR_DATA : 0, RN_ERR_DATA, &err);
    assert_non_null(strstr(err.text, "broken.wav"));
    assert_non_null(strstr(err.text, "--skip-bad"));
    o.skip_bad = 1;
    expect(sound_status(data, &o, a, RN_RESUME_NO, &none, &result, &err), 0, &err);
    assert_int_equal(result.bad, 1);
    rn_model *m;
    snprintf(path, sizeof path, "%s/model.safetensors", a);
    expect(rn_model_load(&m, path, &err), 0, &err);
    json_t *features = rn_model_section(m, "features");
    assert_int_equal(json_integer_value(json_object_get(features, "rate")), 8000);
    assert_true(json_number_value(json_object_get(features, "seconds")) == 1.1);
    assert_string_equal(m->labels[1], "class1");
    rn_model_close(&m);
    o.threads = 3;
    o.cache_mb = 0;
    o.loader_threads = 2;
    expect(sound_status(data, &o, b, RN_RESUME_NO, &s, &result, &err), RN_ERR_CANCELLED, &err);
    expect(sound_status(data, &o, b, RN_RESUME, &none, &result, &err), 0, &err);
    same_file(a, b, "model.safetensors");
    same_file(a, b, "log.jsonl");
    write_tone(data, 0, 99); /* other data */
    expect(sound_status(data, &o, b, RN_RESUME, &none, &result, &err), RN_ERR_MISMATCH, &err);
    assert_non_null(strstr(err.text, "1 of its items are new"));
}

static int remove_tree(const char *folder)
{
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char path[700];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (unlink(path))
            remove_tree(path);
    }
    if (dir)
        closedir(dir);
    return rmdir(folder);
}

static int setup(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(root, sizeof root, "%s/check_train.XXXXXX", tmp ? tmp : "/tmp");
    make_tensors();
    return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return remove_tree(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_is_pytorchs), cmocka_unit_test(loss_weights_items), cmocka_unit_test(loss_mixes), cmocka_unit_test(options_round_trip),
        cmocka_unit_test(options_leave_auto), cmocka_unit_test(options_are_refused_by_name), cmocka_unit_test(whole_run), cmocka_unit_test(config_reproduces),
        cmocka_unit_test(resume_gives_the_same_bytes), cmocka_unit_test(log_is_cut_back), cmocka_unit_test(refusals), cmocka_unit_test(without_checkpoint_afresh),
        cmocka_unit_test(in_memory), cmocka_unit_test(frozen), cmocka_unit_test(early_stopping), cmocka_unit_test(starts_from_a_model),
        cmocka_unit_test(not_finite), cmocka_unit_test(dry_run), cmocka_unit_test(bad_folders),
        cmocka_unit_test(dies_and_resumes), cmocka_unit_test(no_space), cmocka_unit_test(on_recordings),
    };
    return cmocka_run_group_tests_name("train", tests, setup, teardown);
}
