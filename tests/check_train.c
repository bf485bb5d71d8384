/* Loss, options and the trainer: formulas, refusals by name, whole runs. What happens when a run is stopped is in check_resume.c. */
#include <math.h>

#include "formats/tensors.h"
#include "train/loss.h"
#include "train_fixture.h"

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

/* A member of the family's table that the list of options lacks could not be trained with. */
static void members_are_options(void **state)
{
    (void)state;
    char key[96];
    int count;
    const rn_arch_field *fields = rn_arch_fields(&count);
    for (int i = 0; i < count; i++) {
        snprintf(key, sizeof key, "arch.%s", fields[i].key);
        assert_true(rn_train_options_known(key));
    }
}

/* Every field must survive JSON, or config.json would not reproduce the run. */
static void options_round_trip(void **state)
{
    (void)state;
    rn_train_options a, b;
    rn_error err;
    char key[96];
    rn_train_options_default(&a);
    static const char *const sets[][2] = {{"arch.name", "resnet34"},
                                          {"arch.width", "16"},
                                          {"arch.pool", "2x3"},
                                          {"arch.stem", "7x7"},
                                          {"arch.shortcut", "A"},
                                          {"init-weights", "he"},
                                          {"zero-last", "true"},
                                          {"init", "m.safetensors"},
                                          {"freeze", "conv1,layer1"},
                                          {"split.seed", "9223372036854775807"},
                                          {"split.validation", "0.2"},
                                          {"split-file", "s.csv"},
                                          {"skip-bad", "1"},
                                          {"min-seconds", ".25"},
                                          {"balance", "sampling"},
                                          {"class-weights", "1,2.5,0.1"},
                                          {"optimiser", "adamw"},
                                          {"lr", "0.1"},
                                          {"momentum", "0.3"},
                                          {"nesterov", "no"},
                                          {"beta1", "0.8"},
                                          {"beta2", "0.99"},
                                          {"epsilon", "1e-6"},
                                          {"weight-decay", "0.0123456789012345"},
                                          {"decay-all", "yes"},
                                          {"schedule", "step"},
                                          {"lr-end", "0.01"},
                                          {"milestones", "2.5,7"},
                                          {"step-factor", "0.5"},
                                          {"warmup-steps", "7"},
                                          {"warmup-epochs", "1.5"},
                                          {"label-smoothing", "0.1"},
                                          {"clip", "1"},
                                          {"ema", "0.999"},
                                          {"batch", "48"},
                                          {"ghost-batch", "16"},
                                          {"epochs", "12"},
                                          {"seed", "17"},
                                          {"patience", "3"},
                                          {"augment.mixup", "0.2"},
                                          {"augment.gain-db", "3"},
                                          {"features.bins", "40"},
                                          {"features.rate", "8000"},
                                          {"features.convention", "librosa"},
                                          {"arch.embedding", "0"},
                                          {"no-test", "true"}};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        b = a;
        int status = rn_train_options_set(&a, sets[i][0], sets[i][1], &err);
        if (status)
            fail_msg("%s %s: %s", sets[i][0], sets[i][1], err.text);
        if (memcmp(&a, &b, sizeof a) == 0)
            fail_msg("%s %s changed nothing", sets[i][0], sets[i][1]);
        assert_true(rn_train_options_known(sets[i][0]));
        assert_non_null(rn_train_options_differ(&a, &b, RN_SOUND, key));
    }
    json_t *json = rn_train_options_to_json(&a, RN_SOUND);
    rn_train_options_default(&b);
    if (rn_train_options_from_json(&b, json, "config.json", &err))
        fail_msg("%s", err.text);
    json_t *again = rn_train_options_to_json(&b, RN_SOUND);
    assert_true(json_equal(json, again));
    assert_null(rn_train_options_differ(&a, &b, RN_SOUND, key));
    assert_true(a.lr == b.lr && a.weight_decay == b.weight_decay && a.seed == b.seed && a.split.seed == b.split.seed);
    json_decref(json);
    json_decref(again);
    b.threads = 7;
    b.cache_mb = 3;
    b.log_steps = 99;
    assert_null(rn_train_options_differ(&a, &b, RN_SOUND, key));
    b.augment.mixup = 0.25;
    assert_string_equal(rn_train_options_differ(&a, &b, RN_SOUND, key), "augment.mixup");
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

/* Librosa's mel of a 25 ms Hamming window with pre-emphasis would be nobody's: another convention brings its own defaults, wherever
 * in the object it stands, and what was asked for goes over them. */
static void conventions_bring_their_defaults(void **state)
{
    (void)state;
    rn_train_options o;
    rn_error err;
    rn_train_options_default(&o);
    json_t *flat = json_pack("{s:i, s:i, s:s}", "features.bins", 40, "features.rate", 22050, "features.convention", "librosa");
    if (rn_train_options_from_json(&o, flat, NULL, &err))
        fail_msg("%s", err.text);
    json_decref(flat);
    assert_true(o.features.convention == RN_LIBROSA && o.features.bins == 40 && o.features.rate == 22050);
    assert_true(o.features.window == RN_HANN && o.features.scale == RN_SCALE_DB && o.features.preemphasis == 0 && o.features.amplitude == 1);
    assert_true(o.features.window_ms == 0); /* 2048 samples, once the rate is known */
    assert_int_equal(rn_train_options_set(&o, "features.hop-ms", "5", &err), 0);
    assert_int_equal(rn_train_options_set(&o, "features.convention", "librosa", &err), 0);
    assert_true(o.features.hop_ms == 5); /* the same convention changes nothing */
    assert_int_equal(rn_train_options_set(&o, "features.convention", "spectrogram", &err), 0);
    assert_true(o.features.hop_ms == 10 && o.features.bins == 0 && o.features.rate == 22050);
    char name[128];
    assert_string_equal(rn_train_option_name("features.window", name), "--fft-window");
    assert_string_equal(rn_train_option_name("arch.width", name), "--width");
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

/* ---- Whole runs ---- */

/* The best epoch by the log's own figures: highest macro accuracy, then the lower loss, then the earlier. */
static int best_of_log(const char *run)
{
    size_t size;
    char *data = (char *)read_whole(run, "log.jsonl", &size), *save = NULL;
    double macro = -1, loss = 0;
    int best = 0;
    for (char *line = strtok_r(data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        json_t *object = json_loads(line, 0, NULL);
        assert_non_null(object);
        if (strcmp(json_string_value(json_object_get(object, "kind")), "epoch") == 0) {
            double m = json_number_value(json_object_get(object, "validation_macro")),
                   l = json_number_value(json_object_get(object, "validation_loss"));
            if (m > macro || (m == macro && l < loss)) {
                macro = m;
                loss = l;
                best = (int)json_integer_value(json_object_get(object, "epoch"));
            }
        }
        json_decref(object);
    }
    free(data);
    return best;
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
    assert_int_equal(best_of_log(a), result.best_epoch);
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

static float *trained_with(double drop_path, int threads, rn_shortcut shortcut, int64_t *count, rn_error *err)
{
    rn_train_options o;
    rn_train_result result;
    rn_dataset *d = open_data();
    rn_trainer *t = NULL;
    float *weights = NULL;
    small(&o);
    o.epochs = 1;
    o.drop_path = drop_path;
    o.threads = threads;
    o.arch.shortcut = shortcut;
    if (!rn_trainer_open(&t, d, &o, NULL, RN_RESUME_NO, NULL, err) && !rn_trainer_run(t, &result, err)) {
        const rn_model *m = rn_trainer_model(t);
        *count = m->graph->weights_count;
        weights = malloc((size_t)*count * sizeof *weights);
        memcpy(weights, m->weights, (size_t)*count * sizeof *weights);
    }
    rn_trainer_close(&t);
    rn_dataset_close(&d);
    return weights;
}

/* Blocks that no sample leaves out, others with another number of threads; a network without blocks that trains as if it had some. */
static void dropped(void **state)
{
    (void)state;
    rn_error err = {0};
    int64_t count = 0;
    float *none = trained_with(0, 1, RN_SHORTCUT_B, &count, &err), *some = trained_with(0.6, 1, RN_SHORTCUT_B, &count, &err);
    float *again = trained_with(0.6, 3, RN_SHORTCUT_B, &count, &err);
    if (!none || !some || !again)
        fail_msg("%s", err.text);
    assert_memory_equal(some, again, (size_t)count * sizeof *some);
    assert_true(memcmp(some, none, (size_t)count * sizeof *some) != 0);
    free(none);
    free(some);
    free(again);
    assert_null(trained_with(0.6, 1, RN_SHORTCUT_NONE, &count, &err));
    assert_non_null(strstr(err.text, "--drop-path: a plain net"));
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

static json_t *read_json(const char *folder, const char *name)
{
    size_t size;
    char *data = (char *)read_whole(folder, name, &size);
    json_t *value = json_loadb(data, size, 0, NULL);
    free(data);
    assert_non_null(value);
    return value;
}

/* The log, line by line: stages that make up the norm, a matrix that makes up the accuracy. */
static void check_log(const char *folder)
{
    size_t size;
    char *data = (char *)read_whole(folder, "log.jsonl", &size), *save = NULL;
    int steps = 0, epochs = 0, starts = 0;
    for (char *line = strtok_r(data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        json_t *o = json_loads(line, 0, NULL), *norms = json_object_get(o, "gradient_norms"), *rows = json_object_get(o, "confusion"), *norm;
        const char *kind = json_string_value(json_object_get(o, "kind")), *key;
        if (strcmp(kind, "start") == 0) {
            starts++;
            assert_int_equal(steps + epochs, 0);
            assert_int_equal(json_array_size(json_object_get(o, "labels")), CLASSES);
            assert_int_equal(json_integer_value(json_object_get(o, "train")), 60);
        } else if (strcmp(kind, "step") == 0) {
            double squares = 0, whole = json_real_value(json_object_get(o, "gradient_norm"));
            steps++;
            assert_int_equal(json_object_size(norms), 5); /* resnet20 has three stages */
            json_object_foreach(norms, key, norm) squares += json_real_value(norm) * json_real_value(norm);
            near(sqrt(squares), whole, 1e-12 * whole);
            assert_true(json_real_value(json_object_get(norms, "stem")) > 0 && json_real_value(json_object_get(norms, "head")) > 0);
        } else if (strcmp(kind, "epoch") == 0) {
            int all = 0, right = 0;
            epochs++;
            assert_int_equal(json_array_size(rows), CLASSES);
            for (int i = 0; i < CLASSES; i++)
                for (int j = 0; j < CLASSES; j++) {
                    int n = (int)json_integer_value(json_array_get(json_array_get(rows, (size_t)i), (size_t)j));
                    all += n;
                    right += i == j ? n : 0;
                }
            assert_true(all > 0);
            near((double)right / all, json_number_value(json_object_get(o, "validation_accuracy")), 1e-12);
        }
        json_decref(o);
    }
    free(data);
    assert_true(starts == 1 && steps == 9 && epochs == 3);
}

/* What a page shows: where the run stands, the batch as the network got it; and a file that can't be written stops nothing. */
static void for_whoever_watches(void **state)
{
    (void)state;
    char run[300], blocked[300], path[400];
    rn_train_options o;
    rn_train_result result;
    rn_error err = {0};
    stopper none = {0}, s = {.stage = RN_TRAIN_STEP, .at = 2};
    small(&o);
    o.augment.mixup = 0.2;
    run_path(run, "watched");
    expect(train_status(&o, run, RN_RESUME_NO, &s, &result, &err), RN_ERR_CANCELLED, &err);
    json_t *p = read_json(run, "progress.json");
    assert_string_equal(json_string_value(json_object_get(p, "state")), "stopped");
    assert_int_equal(json_integer_value(json_object_get(p, "step")), 2);
    assert_non_null(strstr(json_string_value(json_object_get(p, "error")), "--resume"));
    json_decref(p);
    expect(train_status(&o, run, RN_RESUME, &none, &result, &err), 0, &err);
    p = read_json(run, "progress.json");
    assert_string_equal(json_string_value(json_object_get(p, "state")), "finished");
    assert_int_equal(json_integer_value(json_object_get(p, "epoch")), 3);
    json_decref(p);
    check_log(run);
    rn_tensors sample;
    snprintf(path, sizeof path, "%s/sample.safetensors", run);
    expect(rn_safetensors_read(path, &sample, &err), 0, &err);
    json_t *about = json_loads(rn_tensors_metadata(&sample, "resnet.sample"), 0, NULL), *items = json_object_get(about, "items");
    assert_int_equal(json_array_size(items), 8);
    assert_int_equal(sample.count, 8); /* arrays have no sound */
    for (int i = 0; i < 8; i++) {
        json_t *item = json_array_get(items, (size_t)i);
        int number = atoi(strchr(json_string_value(json_object_get(item, "name")), ' '));
        double share = json_real_value(json_object_get(item, "share"));
        char name[8];
        snprintf(name, sizeof name, "%d.x", i);
        const rn_tensor *x = rn_tensors_find(&sample, name);
        assert_true(x && x->count == H * W);
        assert_int_equal(atoi(json_string_value(json_object_get(item, "label"))), labels[number]);
        assert_true(share >= 0 && share <= 1 && json_is_string(json_object_get(item, "mixed_with")));
        if (share == 1)
            assert_memory_equal(x->data, tensors[number], H * W * sizeof(float));
    }
    json_decref(about);
    rn_tensors_free(&sample);
    run_path(blocked, "watched-blocked");
    mkdir(blocked, 0777);
    snprintf(path, sizeof path, "%s/progress.json", blocked);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/sample.safetensors", blocked);
    mkdir(path, 0777);
    expect(train_status(&o, blocked, RN_RESUME_NO, &none, &result, &err), 0, &err);
    same_file(run, blocked, "log.jsonl");
    same_file(run, blocked, "model.safetensors");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_is_pytorchs),   cmocka_unit_test(loss_weights_items),
        cmocka_unit_test(loss_mixes),         cmocka_unit_test(members_are_options), cmocka_unit_test(options_round_trip),
        cmocka_unit_test(options_leave_auto), cmocka_unit_test(conventions_bring_their_defaults),
        cmocka_unit_test(options_are_refused_by_name),
        cmocka_unit_test(whole_run),          cmocka_unit_test(config_reproduces),
        cmocka_unit_test(in_memory),          cmocka_unit_test(dropped), cmocka_unit_test(frozen),
        cmocka_unit_test(early_stopping),     cmocka_unit_test(starts_from_a_model),
        cmocka_unit_test(not_finite),         cmocka_unit_test(dry_run),
        cmocka_unit_test(bad_folders),        cmocka_unit_test(for_whoever_watches),
    };
    return cmocka_run_group_tests_name("train", tests, setup, teardown);
}
