/* A run that is stopped, killed or out of space anywhere ends, resumed, with the bytes of one that never was; what does not belong to it is
 * refused by name. */
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "media/sound.h"
#include "train_fixture.h"

/* Stopped after every single step, in validation and after epochs, and resumed: model, checkpoint, log and split as if never stopped. */
static void resume_gives_the_same_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double ema, mixup;
        rn_optimiser_kind optimiser;
        int bn_recompute; /* done twice, it would give other last bits */
    } kinds[] = {{"sgd", 0, 0, RN_SGD, 0}, {"ema", 0.95, 0, RN_SGD, 1}, {"adamw", 0.9, 0.3, RN_ADAMW, 0}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        char whole[300], part[300], name[40];
        rn_train_options o;
        rn_train_result want, got;
        rn_error err = {0};
        stopper none = {0};
        small(&o);
        o.ema = kinds[k].ema;
        o.bn_recompute = kinds[k].bn_recompute;
        o.drop_path = 0.3 * kinds[k].bn_recompute; /* what the last step left out must not be left out of the statistics */
        o.augment.mixup = kinds[k].mixup;
        o.optimiser = kinds[k].optimiser;
        o.lr = o.optimiser == RN_ADAMW ? 0.003 : 0.05;
        snprintf(name, sizeof name, "resume-%s", kinds[k].name);
        run_path(whole, name);
        expect(train_status(&o, whole, RN_RESUME_NO, &none, &want, &err), 0, &err);
        static const struct {
            rn_train_stage stage;
            int at;
        } stops[] = {{RN_TRAIN_STEP, 1},  {RN_TRAIN_STEP, 2}, {RN_TRAIN_STEP, 4},      {RN_TRAIN_VALIDATE, 1},
                     {RN_TRAIN_EPOCH, 1}, {RN_TRAIN_TEST, 1}, {RN_TRAIN_STATISTICS, 2}};
        for (int i = 0; i < (int)(sizeof stops / sizeof *stops); i++) {
            int status, parts = 0;
            if (stops[i].stage == RN_TRAIN_STATISTICS && !o.bn_recompute)
                continue;
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
            assert_true(want.best_epoch == got.best_epoch && want.test_accuracy == got.test_accuracy && want.loss == got.loss &&
                        want.steps == got.steps);
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
    /* A finished model whose checkpoint was deleted to save space must not be trained over. */
    snprintf(path, sizeof path, "%s/last.safetensors", run);
    assert_int_equal(unlink(path), 0);
    expect(train_status(&o, run, RN_RESUME, &none, &result, &err), RN_ERR_IO, &err);
    assert_non_null(strstr(err.text, "no last.safetensors"));
    same_file(run, other, "model.safetensors");
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
    if (!strstr(err.text, ".safetensors: ") ||
        !strstr(err.text, "the checkpoint of epoch 1 is whole. Free space, then: resnet train x --out "))
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
    rn_random_start(&r, 1, RN_PURPOSE_TEST, (uint32_t) class, (uint64_t)i);
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

static int sound_status(const char *data, const rn_train_options *o, const char *run, rn_resume resume, stopper *s, rn_train_result *result,
                        rn_error *err)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resume_gives_the_same_bytes),
        cmocka_unit_test(log_is_cut_back),
        cmocka_unit_test(refusals),
        cmocka_unit_test(without_checkpoint_afresh),
        cmocka_unit_test(dies_and_resumes),
        cmocka_unit_test(no_space),
        cmocka_unit_test(on_recordings),
    };
    return cmocka_run_group_tests_name("resume", tests, setup, teardown);
}
