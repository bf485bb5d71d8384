/* The loader: the same batches whatever the threads and the cache, whole epochs, views for judging, bad files. */
#include "data_fixture.h"

#include <math.h>
#include <pthread.h>
#include <xxhash.h>

#include "data/loader.h"
#include "data/split.h"

static rn_error err;

static rn_dataset *open_data(const char *path)
{
    rn_dataset *d = NULL;
    assert_ok(rn_dataset_open(&d, path, NULL, &err), err);
    return d;
}

static rn_features small_features(void)
{
    rn_features f;
    rn_features_default(&f, RN_KALDI, 8000);
    f.bins = 20;
    f.seconds = 0.5;
    return f;
}

static rn_loader *open_loader(rn_dataset *d, const rn_features *f, const rn_augment *a, rn_loader_options o)
{
    rn_loader *l = NULL;
    assert_ok(rn_loader_open(&l, d, f, a, &o, &err), err);
    return l;
}

/* Everything that an epoch gives, as one hash. */
static uint64_t hash_epoch(rn_loader *l, uint32_t epoch, int64_t first_step, int *samples)
{
    int c, h, w;
    XXH64_state_t *state = XXH64_createState();
    XXH64_reset(state, 0);
    rn_loader_shape(l, &c, &h, &w);
    assert_ok(rn_loader_start(l, epoch, first_step, &err), err);
    *samples = 0;
    for (;;) {
        rn_batch b;
        assert_ok(rn_loader_next(l, &b, &err), err);
        if (!b.n)
            break;
        XXH64_update(state, b.x, (size_t)b.n * (size_t)c * (size_t)h * (size_t)w * sizeof(float));
        XXH64_update(state, b.labels, (size_t)b.n * sizeof *b.labels);
        XXH64_update(state, b.items, (size_t)b.n * sizeof *b.items);
        XXH64_update(state, b.weights, (size_t)b.n * sizeof *b.weights);
        XXH64_update(state, b.positions, (size_t)b.n * sizeof *b.positions);
        *samples += b.n;
    }
    uint64_t hash = XXH64_digest(state);
    XXH64_freeState(state);
    return hash;
}

/* 37 recordings of 0.2 to 0.9 s in three classes of 17, 12 and 8; one of 33 s. */
static void put_recordings(void)
{
    for (int i = 0; i < 36; i++)
        put_noise(at("d/%c/%02d.wav", i < 17 ? 'a' : i < 29 ? 'b' : 'c', i), 0.2 + 0.02 * i, i % 9 ? 8000 : 16000, 0.1, (uint64_t)i);
    put_noise(at("d/c/long.wav"), 33, 8000, 0.1, 99);
}

/* Threads, the cache's size and whether the items were read before may change time only: else no run could be repeated or resumed. */
static void same_batches(void **state)
{
    (void)state;
    static const int threads[] = {1, 2, 3, 7};
    put_recordings();
    rn_features f = small_features();
    rn_augment plain, noisy;
    rn_augment_none(&plain);
    plain.crop = 1;
    rn_augment_default(&noisy);
    noisy.noise_probability = 1;
    noisy.shift_s = 0.05;
    noisy.mask_time = 5;
    noisy.mask_frequency = 4;
    for (int mode = 0; mode < 4; mode++) {
        const rn_augment *a = mode & 1 ? &noisy : &plain;
        noisy.speed = mode == 3 ? 0.1 : 0; /* each sample is resampled: slow */
        uint64_t first = 0, second = 0;
        for (int t = 0; t < 4; t++)
            for (int cache = 0; cache < 3; cache += t ? 2 : 1) {
                rn_dataset *d = open_data(at("d"));
                rn_loader *l = open_loader(
                    d, &f, a,
                    (rn_loader_options){
                        .seed = 5, .batch = 8, .threads = threads[t], .cache_mb = cache ? 1 << 4 * (cache - 1) : 0, .balance = mode >> 1});
                int n, bad = -1;
                if (t != 1)
                    assert_ok(rn_loader_prepare(l, NULL, NULL, &bad, &err), err);
                uint64_t hash = hash_epoch(l, 3, 0, &n), again = hash_epoch(l, 3, 0, &n), next = hash_epoch(l, 4, 0, &n);
                assert_int_equal(n, 37);
                assert_true(hash == again && hash != next);
                if (!first) {
                    first = hash;
                    second = next;
                } else
                    assert_true(first == hash && second == next);
                rn_loader_close(&l);
                assert_null(l);
                rn_dataset_close(&d);
            }
    }
}

/* Each item once an epoch; another order in another epoch and under another seed. */
static void an_epoch_is_whole(void **state)
{
    (void)state;
    enum { N = 50 };
    float x[N];
    int labels[N], order[2][N];
    rn_dataset *d = NULL;
    for (int i = 0; i < N; i++) {
        x[i] = (float)i;
        labels[i] = i % 3;
    }
    assert_ok(rn_dataset_from_tensors(&d, x, labels, N, 1, 1, 1, NULL, 3, NULL, &err), err);
    rn_loader *l = open_loader(d, NULL, NULL, (rn_loader_options){.seed = 1, .batch = 8, .threads = 2});
    for (int epoch = 0; epoch < 2; epoch++) {
        int seen[N] = {0}, n = 0;
        rn_batch b;
        assert_ok(rn_loader_start(l, (uint32_t)epoch, 0, &err), err);
        while (!rn_loader_next(l, &b, &err) && b.n)
            for (int i = 0; i < b.n; i++) {
                seen[b.items[i]]++;
                assert_true(b.x[i] == (float)b.items[i]);
                assert_int_equal(b.labels[i], b.items[i] % 3);
                assert_true(b.weights[i] == 1);
                assert_int_equal(b.positions[i], n);
                order[epoch][n++] = b.items[i];
            }
        assert_int_equal(n, N);
        for (int i = 0; i < N; i++)
            assert_int_equal(seen[i], 1);
    }
    assert_memory_not_equal(order[0], order[1], sizeof order[0]);
    rn_loader_close(&l);
    rn_dataset_close(&d);
}

/* Resuming in the middle of an epoch must give what was left of it, and leaving an epoch must leave nothing behind. */
static void starts_anywhere(void **state)
{
    (void)state;
    put_recordings();
    rn_features f = small_features();
    rn_augment a;
    rn_augment_default(&a);
    rn_dataset *d = open_data(at("d"));
    rn_loader *l = open_loader(d, &f, &a, (rn_loader_options){.seed = 5, .batch = 8, .threads = 3, .cache_mb = 64});
    rn_batch b;
    float *kept = malloc(8 * 20 * 48 * sizeof *kept);
    int items[8], c, h, w;
    rn_loader_shape(l, &c, &h, &w);
    assert_true(c == 1 && h == 20 && w == 48);
    assert_ok(rn_loader_start(l, 2, 0, &err), err);
    for (int step = 0; step < 4; step++)
        assert_ok(rn_loader_next(l, &b, &err), err);
    /* The batch that the caller holds may not change while others are made. */
    memcpy(kept, b.x, (size_t)(8 * h * w) * sizeof *kept);
    memcpy(items, b.items, sizeof items);
    usleep(50000);
    assert_memory_equal(kept, b.x, (size_t)(8 * h * w) * sizeof *kept);
    assert_ok(rn_loader_start(l, 9, 1, &err), err);
    assert_ok(rn_loader_start(l, 2, 3, &err), err);
    assert_ok(rn_loader_next(l, &b, &err), err);
    assert_memory_equal(kept, b.x, (size_t)(8 * h * w) * sizeof *kept);
    assert_memory_equal(items, b.items, sizeof items);
    assert_int_equal(b.positions[0], 24);
    assert_ok(rn_loader_start(l, 2, rn_loader_steps(l, NULL), &err), err); /* at its end */
    assert_ok(rn_loader_next(l, &b, &err), err);
    assert_int_equal(b.n, 0);
    assert_ok(rn_loader_next(l, &b, &err), err);
    assert_int_equal(b.n, 0);
    assert_error(rn_loader_start(l, 2, 99, &err), RN_ERR_ARG, err, "step 99");
    assert_ok(rn_loader_start(l, 2, 0, &err), err);
    free(kept);
    rn_loader_close(&l); /* in the middle of the work */
    rn_dataset_close(&d);
}

static void last_batch_rule(void **state)
{
    (void)state;
    static const struct {
        int n, batch, steps, left, size, last;
    } want[] = {{10, 4, 3, 0, 4, 2},   {9, 4, 2, 1, 4, 4},  {8, 4, 2, 0, 4, 4}, {67, 32, 2, 3, 32, 32},
                {68, 32, 3, 0, 32, 4}, {5, 32, 1, 0, 5, 5}, {2, 2, 1, 0, 2, 2}, {3, 2, 1, 1, 2, 2}};
    static float x[100];
    int labels[100];
    for (int i = 0; i < 100; i++)
        labels[i] = i % 2;
    for (size_t k = 0; k < sizeof want / sizeof *want; k++) {
        rn_dataset *d = NULL;
        int64_t left = -1;
        int n = 0, last = 0;
        assert_ok(rn_dataset_from_tensors(&d, x, labels, want[k].n, 1, 1, 1, NULL, 2, NULL, &err), err);
        rn_loader *l = open_loader(d, NULL, NULL, (rn_loader_options){.batch = want[k].batch, .threads = 1});
        assert_int_equal(rn_loader_steps(l, &left), want[k].steps);
        assert_int_equal(left, want[k].left);
        assert_int_equal(rn_loader_batch(l), want[k].size);
        rn_batch b;
        assert_ok(rn_loader_start(l, 0, 0, &err), err);
        while (!rn_loader_next(l, &b, &err) && b.n) {
            n += b.n;
            last = b.n;
        }
        assert_int_equal(n, want[k].n - want[k].left);
        assert_int_equal(last, want[k].last);
        rn_loader_close(&l);
        rn_dataset_close(&d);
    }
    rn_loader *l = NULL;
    rn_dataset *d = NULL;
    rn_batch b;
    assert_ok(rn_dataset_from_tensors(&d, x, labels, 1, 1, 1, 1, NULL, 2, NULL, &err), err);
    l = open_loader(d, NULL, NULL, (rn_loader_options){.batch = 4});
    assert_error(rn_loader_start(l, 0, 0, &err), RN_ERR_DATA, err, "at least 2");
    assert_ok(rn_loader_next(l, &b, &err), err);
    assert_int_equal(b.n, 0);
    rn_loader_close(&l);
    rn_loader_options none = {.batch = 0};
    assert_error(rn_loader_open(&l, d, NULL, NULL, &none, &err), RN_ERR_ARG, err, "batch 0");
    rn_dataset_close(&d);
}

/* Classes of 40, 9 and 1 items: each a third of the draws, and within a class no item more than once above another. */
static void balanced(void **state)
{
    (void)state;
    static float x[50];
    int labels[50];
    for (int i = 0; i < 50; i++)
        labels[i] = i < 40 ? 0 : i < 49 ? 1 : 2;
    rn_dataset *d = NULL;
    assert_ok(rn_dataset_from_tensors(&d, x, labels, 50, 1, 1, 1, NULL, 3, NULL, &err), err);
    rn_loader *l = open_loader(d, NULL, NULL, (rn_loader_options){.batch = 10, .threads = 2, .balance = 1});
    int total[3] = {0};
    for (uint32_t epoch = 0; epoch < 30; epoch++) {
        int classes[3] = {0}, seen[50] = {0}, first_half[3] = {0}, n = 0;
        rn_batch b;
        assert_ok(rn_loader_start(l, epoch, 0, &err), err);
        while (!rn_loader_next(l, &b, &err) && b.n)
            for (int i = 0; i < b.n; i++, n++) {
                classes[b.labels[i]]++;
                first_half[b.labels[i]] += n < 25;
                seen[b.items[i]]++;
            }
        for (int c = 0; c < 3; c++) {
            assert_in_range(classes[c], 16, 17);
            assert_in_range(first_half[c], 2, 15); /* the classes are mixed, not one after the other */
            total[c] += classes[c];
        }
        for (int i = 40; i < 49; i++)
            assert_in_range(seen[i], 1, 2);
        for (int i = 0; i < 40; i++)
            assert_in_range(seen[i], 0, 1);
    }
    for (int c = 0; c < 3; c++) /* who gets the odd draw changes from epoch to epoch */
        assert_in_range(total[c], 30 * 16 + 5, 30 * 17 - 1);
    rn_loader_close(&l);
    rn_dataset_close(&d);
}

/* What a training sample is, against the extractor itself: a stretch of the features of the whole recording. */
static void samples_are_crops(void **state)
{
    (void)state;
    put_noise(at("d/a/long.wav"), 2, 8000, 0.1, 1);
    put_noise(at("d/b/short.wav"), 0.2, 8000, 0.1, 2);
    rn_features f = small_features();
    rn_extractor *e = NULL;
    assert_ok(rn_extractor_open(&e, &f, &err), err);
    rn_dataset *d = open_data(at("d"));
    for (int crop = 0; crop < 2; crop++) {
        rn_augment a;
        rn_augment_none(&a);
        a.crop = crop;
        rn_loader *l = open_loader(d, &f, &a, (rn_loader_options){.seed = 3, .batch = 2, .threads = 1});
        int places[2][200] = {{0}}, different[2] = {0};
        for (uint32_t epoch = 0; epoch < 40; epoch++) {
            rn_batch b;
            assert_ok(rn_loader_start(l, epoch, 0, &err), err);
            assert_ok(rn_loader_next(l, &b, &err), err);
            for (int row = 0; row < 2; row++) {
                int item = b.items[row];
                rn_sound s;
                float *whole, want[20 * 48];
                int64_t frames, place;
                assert_ok(rn_sound_read(d->items[item].path, NULL, &s, &err), err);
                assert_ok(rn_extractor_run(e, s.samples, s.count, &whole, &frames, &err), err);
                for (place = 0; place < frames; place++) {
                    rn_features_crop(whole, 20, frames, place, 48, want);
                    if (!memcmp(want, b.x + row * 20 * 48, sizeof want))
                        break;
                }
                assert_true(item == 0 ? place <= frames - 48 : place < frames);
                different[item] += !places[item][place]++;
                free(whole);
                rn_sound_free(&s);
            }
        }
        for (int item = 0; item < 2; item++)
            assert_true(crop ? different[item] > 10 : different[item] == 1 && places[item][0]);
        rn_loader_close(&l);
    }
    rn_extractor_close(&e);
    rn_dataset_close(&d);
}

/* What is heard of a sample is what was made into it: its features are the sample's columns, for crops, augmented stretches, recordings above 30 s,
 * and (up to where they begin again) short ones. */
static void sounds_are_samples(void **state)
{
    (void)state;
    put_recordings();
    rn_features f = small_features();
    f.normalise = RN_NORMALISE_NONE; /* the rest is a function of each column's own samples */
    rn_augment plain, noisy;
    rn_augment_none(&plain);
    plain.crop = 1;
    rn_augment_default(&noisy);
    noisy.mask_time = noisy.mask_frequency = 0;
    noisy.speed = 0.1;
    rn_extractor *e = NULL;
    assert_ok(rn_extractor_open(&e, &f, &err), err);
    for (int mode = 0; mode < 2; mode++) {
        rn_dataset *d = open_data(at("d"));
        rn_loader *l = open_loader(d, &f, mode ? &noisy : &plain, (rn_loader_options){.seed = 5, .batch = 37, .threads = 2, .cache_mb = 8});
        int c, h, w, whole = 0;
        rn_batch b;
        rn_loader_shape(l, &c, &h, &w);
        assert_ok(rn_loader_start(l, 2, 0, &err), err);
        assert_ok(rn_loader_next(l, &b, &err), err);
        assert_int_equal(b.n, 37);
        for (int i = 0; i < b.n; i++) {
            rn_sound sound;
            float *heard = NULL;
            int64_t frames = 0;
            int same = 0;
            assert_ok(rn_loader_sound(l, b.items[i], b.positions[i], 1 << 20, &sound, &err), err);
            assert_int_equal(sound.rate, 8000);
            assert_ok(rn_extractor_run(e, sound.samples, sound.count, &heard, &frames, &err), err);
            assert_int_equal(frames, w);
            for (int q = 0; q < w; q++) {
                int equal = 1;
                for (int r = 0; r < h; r++)
                    equal &= heard[r * w + q] == b.x[((int64_t)i * h + r) * w + q];
                same += equal;
            }
            whole += same == w;
            assert_true(same >= w / 2);
            free(heard);
            rn_sound_free(&sound);
            assert_ok(rn_loader_sound(l, b.items[i], b.positions[i], 100, &sound, &err), err);
            assert_int_equal(sound.count, 100);
            rn_sound_free(&sound);
        }
        assert_true(whole >= 20); /* those of at least half a second */
        rn_loader_close(&l);
        rn_dataset_close(&d);
    }
    rn_extractor_close(&e);
}

static int count_progress(void *context, int64_t done, int64_t total)
{
    int64_t *last = context;
    assert_true(done > *last && done <= total);
    *last = done;
    return 0;
}

static int stop(void *context, int64_t done, int64_t total)
{
    (void)context;
    (void)done;
    (void)total;
    return 1;
}

/* A bad file must be named before work is lost, or be left out and counted: never end up in a batch. */
static void bad_files(void **state)
{
    (void)state;
    put_recordings();
    put_bytes(at("d/a/50 empty.wav"), "", 0);
    put_text(at("d/b/51 broken.flac"), "no sound");
    put_noise(at("d/c/52 short.wav"), 0.15, 8000, 0.1, 7);
    put_noise(at("d/c/53 silent.wav"), 1, 8000, 0.0005, 8); /* no error, but --skip-bad leaves it out */
    rn_features f = small_features();
    rn_augment a;
    rn_augment_default(&a);
    for (int threads = 1; threads < 8; threads += 3) {
        rn_dataset *d = open_data(at("d"));
        rn_loader_options o = {.batch = 8, .threads = threads, .cache_mb = 64, .min_seconds = 0.18};
        rn_loader *l = open_loader(d, &f, &a, o);
        int bad = -1, n;
        int64_t last = 0;
        assert_error(rn_loader_prepare(l, NULL, NULL, &bad, &err), RN_ERR_DATA, err, "50 empty.wav");
        assert_non_null(strstr(err.text, "--skip-bad"));
        assert_non_null(strstr(err.text, "3 items in all"));
        assert_int_equal(bad, 3);
        assert_error(rn_loader_prepare(l, stop, NULL, &bad, &err), RN_ERR_CANCELLED, err, "stopped");
        rn_loader_close(&l);
        for (int i = 0; i < d->count; i++)
            assert_false(d->items[i].bad);
        o.skip_bad = 1;
        l = open_loader(d, &f, &a, o);
        assert_int_equal(rn_loader_steps(l, NULL), 5);
        assert_ok(rn_loader_prepare(l, count_progress, &last, &bad, &err), err);
        assert_int_equal(bad, 4);
        assert_int_equal(last, d->count);
        hash_epoch(l, 0, 0, &n);
        assert_int_equal(n, 37);
        int marked = 0;
        for (int i = 0; i < d->count; i++)
            marked += d->items[i].bad;
        assert_int_equal(marked, 4);
        rn_loader_close(&l);
        rn_dataset_close(&d);
    }
    /* A class that has nothing left. */
    put_bytes(at("e/a/1.wav"), "", 0);
    put_noise(at("e/b/1.wav"), 1, 8000, 0.1, 7);
    rn_dataset *d = open_data(at("e"));
    rn_loader *l = open_loader(d, &f, &a, (rn_loader_options){.batch = 8, .skip_bad = 1});
    assert_error(rn_loader_prepare(l, NULL, NULL, NULL, &err), RN_ERR_DATA, err, "no usable item of class \"a\"");
    rn_loader_close(&l);
    rn_dataset_close(&d);
}

/* A file that goes away during training: an error that names it, at its batch and of the first position, for any number of threads. */
static void files_that_go_away(void **state)
{
    (void)state;
    put_recordings();
    rn_features f = small_features();
    rn_augment a;
    rn_augment_default(&a);
    char first[1000] = "";
    int first_step = -1;
    for (int threads = 1; threads < 8; threads += 2) {
        rn_dataset *d = open_data(at("d"));
        rn_loader *l = open_loader(d, &f, &a, (rn_loader_options){.seed = 1, .batch = 8, .threads = threads, .cache_mb = 0});
        assert_ok(rn_loader_prepare(l, NULL, NULL, NULL, &err), err);
        for (int i = 0; i < 12; i++)
            rename(d->items[i].path, at("gone%d", i));
        assert_ok(rn_loader_start(l, 0, 0, &err), err);
        rn_batch b;
        int step = 0, status;
        while (!(status = rn_loader_next(l, &b, &err)) && b.n)
            step++;
        assert_int_equal(status, RN_ERR_IO);
        assert_int_equal(b.n, 0);
        assert_non_null(strstr(err.text, "No such file"));
        if (first_step < 0) {
            strcpy(first, err.text);
            first_step = step;
        }
        assert_string_equal(first, err.text);
        assert_int_equal(first_step, step);
        assert_true(rn_loader_next(l, &b, &err) < 0); /* it stays so */
        for (int i = 0; i < 12; i++)
            rename(at("gone%d", i), d->items[i].path);
        int n;
        hash_epoch(l, 0, 0, &n); /* and can begin again */
        assert_int_equal(n, 37);
        rn_loader_close(&l);
        rn_dataset_close(&d);
    }
}

/* ---- views ---- */

static void views_for_judging(void **state)
{
    (void)state;
    put_noise(at("d/a/whole.wav"), 3.3, 16000, 0.1, 1);
    put_noise(at("d/a/tiny.wav"), 0.15, 8000, 0.1, 2); /* 13 frames */
    put_noise(at("d/b/long.wav"), 30.3, 8000, 0.1, 3);
    rn_features f = small_features();
    rn_augment a;
    rn_augment_default(&a); /* must not be heard in views */
    a.noise_probability = 1;
    rn_extractor *e = NULL;
    assert_ok(rn_extractor_open(&e, &f, &err), err);
    rn_dataset *d = open_data(at("d"));
    for (int mode = 0; mode < 3; mode++) {
        for (int i = 0; i < d->count; i++)
            d->items[i].part = mode == 1 ? RN_PART_TRAIN : mode == 2 ? RN_PART_VALIDATION : RN_PART_NONE;
        rn_loader *l = open_loader(d, &f, &a, (rn_loader_options){.batch = 2, .cache_mb = 100});
        if (mode)
            assert_ok(rn_loader_prepare(l, NULL, NULL, NULL, &err), err);
        for (int round = 0; round < 2; round++)
            for (int item = 0; item < 3; item++) {
                rn_views v, w;
                rn_sound s;
                rn_sound_options o = {.rate = 8000};
                assert_ok(rn_loader_views(l, item, &v, &err), err);
                assert_ok(rn_sound_read(d->items[item].path, &o, &s, &err), err);
                assert_ok(rn_views_make(e, &f, s.samples, s.count, 0, &w, &err), err);
                assert_true(v.windows == w.windows && v.c == 1 && v.h == 20 && v.w == w.w);
                assert_memory_equal(v.x, w.x, (size_t)v.windows * 20 * (size_t)v.w * sizeof(float));
                assert_memory_equal(v.start_s, w.start_s, (size_t)v.windows * sizeof(double));
                assert_memory_equal(v.end_s, w.end_s, (size_t)v.windows * sizeof(double));
                if (item < 2) {
                    float *whole;
                    int64_t frames;
                    assert_ok(rn_extractor_run(e, s.samples, s.count, &whole, &frames, &err), err);
                    assert_int_equal(v.windows, 1);
                    assert_int_equal(v.w, item == 0 ? 48 : (int)frames);
                    assert_true(v.start_s[0] == 0 && fabs(v.end_s[0] - (item ? 3.3 : 0.15)) < 1e-3);
                    for (int row = 0; row < 20; row++)
                        for (int col = 0; col < v.w; col++)
                            assert_true(v.x[row * v.w + col] == whole[row * frames + col % frames]);
                    free(whole);
                } else {
                    /* 30.3 s in windows of 0.5 s: 61, the last from 29.8 to 30.3 s. */
                    assert_int_equal(v.windows, 61);
                    assert_int_equal(v.w, 48);
                    assert_true(v.start_s[1] == 0.5 && v.end_s[1] == 1 && fabs(v.start_s[60] - 29.8) < 1e-9 &&
                                fabs(v.end_s[60] - 30.3) < 1e-9);
                }
                rn_sound_free(&s);
                rn_views_free(&v);
                rn_views_free(&w);
                rn_views_free(&w);
            }
        rn_views v;
        assert_error(rn_loader_views(l, 3, &v, &err), RN_ERR_ARG, err, "item 3");
        rn_loader_close(&l);
    }
    rn_extractor_close(&e);
    rn_dataset_close(&d);
}

typedef struct rn_asking {
    rn_loader *loader;
    int first, count, failed;
    uint64_t *hashes;
} rn_asking;

static void *ask(void *context)
{
    rn_asking *a = context;
    for (int item = a->first; item < a->count; item += 3) {
        rn_views v;
        if (rn_loader_views(a->loader, item, &v, NULL)) {
            a->failed++;
            continue;
        }
        a->hashes[item] = XXH64(v.x, (size_t)v.windows * 20 * (size_t)v.w * sizeof(float), (unsigned long long)(v.start_s[0] * 1000));
        rn_views_free(&v);
    }
    return NULL;
}

/* Parts of one file are read ahead in one pass: each must be what it is alone, whoever asks in which order. */
static void views_of_parts(void **state)
{
    (void)state;
    enum { PARTS = 40 };
    char text[8000];
    size_t used = (size_t)sprintf(text, "path,label,start,end\n");
    put_noise(at("d/track.wav"), 10, 16000, 0.1, 1);
    put_noise(at("d/other.wav"), 1, 8000, 0.1, 2);
    for (int i = 0; i < PARTS; i++)
        used += (size_t)sprintf(text + used, "track.wav,%c,%g,%g\n", "ab"[i % 2], 0.25 * i, 0.25 * i + (i % 3 ? 0.25 : 0.75));
    sprintf(text + used, "other.wav,a,,\n");
    put_text(at("d/list.csv"), text);
    rn_features f = small_features();
    uint64_t alone[PARTS + 1], hashes[PARTS + 1];
    rn_dataset *d = open_data(at("d/list.csv"));
    assert_int_equal(d->count, PARTS + 1);
    for (int i = 0; i <= PARTS; i++) {
        /* Alone: a manifest of this part and another file. */
        char name[32];
        const rn_item *item = &d->items[i];
        sprintf(name, "d/alone%d.csv", i);
        sprintf(text, "path,label,start,end\n%s,a,%.6f,%.6f\nother.wav,b,0.1,0.9\n", item->name, item->start_s, item->end_s);
        put_text(at("%s", name), text);
        rn_dataset *one = open_data(at("%s", name));
        rn_loader *l = open_loader(one, &f, NULL, (rn_loader_options){.batch = 2});
        rn_views v;
        int at_item = i == 0 && one->items[0].end_s == 0.9 ? 1 : 0;
        for (int k = 0; k < one->count; k++)
            if (!strcmp(one->items[k].name, item->name) && one->items[k].start_s == item->start_s && one->items[k].end_s == item->end_s)
                at_item = k;
        assert_ok(rn_loader_views(l, at_item, &v, &err), err);
        alone[i] = XXH64(v.x, (size_t)v.windows * 20 * (size_t)v.w * sizeof(float), (unsigned long long)(v.start_s[0] * 1000));
        rn_views_free(&v);
        rn_loader_close(&l);
        rn_dataset_close(&one);
    }
    for (int mode = 0; mode < 3; mode++) {
        for (int i = 0; i <= PARTS; i++)
            d->items[i].part = mode == 1 ? (rn_part)(i % 3) : mode == 2 ? RN_PART_TEST : RN_PART_NONE;
        rn_loader *l = open_loader(d, &f, NULL, (rn_loader_options){.batch = 2, .cache_mb = mode});
        pthread_t threads[3];
        rn_asking asking[3];
        memset(hashes, 0, sizeof hashes);
        for (int t = 0; t < 3; t++) {
            asking[t] = (rn_asking){l, t, PARTS + 1, 0, hashes};
            pthread_create(&threads[t], NULL, ask, &asking[t]);
        }
        for (int t = 0; t < 3; t++) {
            pthread_join(threads[t], NULL);
            assert_int_equal(asking[t].failed, 0);
        }
        assert_memory_equal(hashes, alone, sizeof alone);
        rn_loader_close(&l);
    }
    rn_dataset_close(&d);
}

/* ---- arrays, noise, long recordings ---- */

static void arrays_are_loaded(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++)
        put_array(at("d/%c/%d.npy", "ab"[i % 2], i), 2, 3, 5, (float)(100 * i));
    rn_dataset *d = open_data(at("d"));
    rn_loader *l = open_loader(d, NULL, NULL, (rn_loader_options){.batch = 4, .threads = 2, .cache_mb = 1});
    rn_batch b;
    rn_views v;
    int c, h, w, n = 0;
    assert_ok(rn_loader_prepare(l, NULL, NULL, NULL, &err), err);
    rn_loader_shape(l, &c, &h, &w);
    assert_true(c == 2 && h == 3 && w == 5);
    assert_ok(rn_loader_start(l, 0, 0, &err), err);
    while (!rn_loader_next(l, &b, &err) && b.n)
        for (int i = 0; i < b.n; i++, n++)
            for (int k = 0; k < 30; k++)
                assert_true(b.x[30 * i + k] == (float)(100 * (d->items[b.items[i]].name[2] - '0') + k));
    assert_int_equal(n, 6);
    assert_ok(rn_loader_views(l, 1, &v, &err), err);
    assert_true(v.windows == 1 && v.c == 2 && v.h == 3 && v.w == 5 && v.x[29] == 229);
    rn_views_free(&v);
    rn_loader_close(&l);
    put_array(at("d/b/wrong.npy"), 2, 5, 3, 0);
    rn_dataset_close(&d);
    d = open_data(at("d"));
    l = open_loader(d, NULL, NULL, (rn_loader_options){.batch = 4});
    assert_error(rn_loader_prepare(l, NULL, NULL, NULL, &err), RN_ERR_DATA, err, "wrong.npy: 2x5x3, the data set's first array is 2x3x5");
    rn_loader_close(&l);
    rn_dataset_close(&d);
}

static void noise_from_a_folder(void **state)
{
    (void)state;
    put_recordings();
    put_noise(at("noise/1.wav"), 2, 16000, 0.5, 1000);
    put_noise(at("noise/2.wav"), 2, 8000, 0.5, 1001);
    put_text(at("noise/readme.txt"), "x");
    mkdir(at("quiet"), 0777);
    rn_features f = small_features();
    rn_augment a;
    rn_augment_none(&a);
    a.noise_probability = 1;
    a.noise_snr_low_db = a.noise_snr_high_db = 0;
    rn_dataset *d = open_data(at("d"));
    rn_loader *l = NULL;
    rn_loader_options o = {.batch = 8, .threads = 2, .cache_mb = 100};
    int n;
    uint64_t hashes[4];
    for (int mode = 0; mode < 4; mode++) {
        snprintf(a.noise_folder, sizeof a.noise_folder, "%s", mode == 0 ? "" : at("noise"));
        o.threads = mode == 2 ? 5 : 2;
        if (mode == 3)
            unlink(at("noise/2.wav"));
        l = open_loader(d, &f, &a, o);
        hashes[mode] = hash_epoch(l, 0, 0, &n);
        rn_loader_close(&l);
    }
    assert_true(hashes[0] != hashes[1] && hashes[1] == hashes[2] && hashes[2] != hashes[3]);
    snprintf(a.noise_folder, sizeof a.noise_folder, "%s", at("quiet"));
    assert_error(rn_loader_open(&l, d, &f, &a, &o, &err), RN_ERR_DATA, err, "no recording in this folder of noise");
    snprintf(a.noise_folder, sizeof a.noise_folder, "%s", at("nowhere"));
    assert_error(rn_loader_open(&l, d, &f, &a, &o, &err), RN_ERR_IO, err, "nowhere (folder of noise): No such file");
    put_bytes(at("noise/3.wav"), "", 0);
    snprintf(a.noise_folder, sizeof a.noise_folder, "%s", at("noise"));
    assert_true(rn_loader_open(&l, d, &f, &a, &o, &err) < 0);
    assert_non_null(strstr(err.text, "noise/3.wav"));
    assert_null(l);
    rn_dataset_close(&d);
}

/* Recordings above 30 s: the whole of them must be used, not their beginning, and a part's end must be kept. */
static void long_recordings(void **state)
{
    (void)state;
    enum { SECONDS = 40, RATE = 8000 };
    static int16_t samples[SECONDS * RATE];
    /* Loud noise in the last two of 40 s; the part of the file that is used ends before it. */
    for (int i = 0; i < SECONDS * RATE; i++)
        samples[i] = (int16_t)((i % 2003 * 7919 % 2003 - 1001) * (i >= 38 * RATE ? 30 : i >= 20 * RATE ? 3 : 1));
    put_wav(at("d/long.wav"), samples, SECONDS * RATE, 1, RATE);
    put_noise(at("d/other.wav"), 1, 8000, 0.1, 2);
    put_text(at("d/list.csv"), "path,label,start,end\nlong.wav,a,1,38\nother.wav,b,,\n");
    rn_features f = small_features();
    f.normalise = RN_NORMALISE_NONE;
    rn_augment a;
    rn_augment_none(&a);
    a.crop = 1;
    rn_dataset *d = open_data(at("d/list.csv"));
    rn_loader *l = open_loader(d, &f, &a, (rn_loader_options){.batch = 2, .threads = 2, .cache_mb = 100});
    int soft = 0, middle = 0, loud = 0;
    for (uint32_t epoch = 0; epoch < 60; epoch++) {
        rn_batch b;
        assert_ok(rn_loader_start(l, epoch, 0, &err), err);
        assert_ok(rn_loader_next(l, &b, &err), err);
        for (int row = 0; row < 2; row++) {
            if (b.labels[row])
                continue;
            double mean = 0;
            for (int i = 0; i < 20 * 48; i++)
                mean += (double)b.x[row * 20 * 48 + i] / (20 * 48);
            /* ln of power: tripling adds 2 ln 3 = 2.2, ten times that another 4.6 */
            static double base;
            if (!epoch)
                base = mean;
            double above = mean - base;
            int level = above > 5.5 ? 2 : above > 1.1 ? 1 : above < -1.1 ? -1 : 0;
            soft += level == 0;
            middle += level == 1 || level == -1;
            loud += level == 2 || level == -2;
        }
    }
    assert_true(soft > 10 && middle > 10); /* two levels, both often */
    assert_int_equal(loud, 0);
    rn_loader_close(&l);
    rn_dataset_close(&d);
}

#define test(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {test(same_batches),      test(an_epoch_is_whole), test(starts_anywhere),   test(last_batch_rule),
                                       test(balanced),          test(samples_are_crops), test(sounds_are_samples), test(bad_files),         test(files_that_go_away),
                                       test(views_for_judging), test(views_of_parts),    test(arrays_are_loaded), test(noise_from_a_folder),
                                       test(long_recordings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
