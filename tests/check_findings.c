/* What `data check` finds, the classifier of one number, figures per class. */
#include "data_fixture.h"

#include <math.h>

#include "data/check.h"
#include "data/level.h"
#include "data/split.h"

static rn_error err;

static rn_dataset *open_data(const char *path)
{
    rn_dataset *d = NULL;
    assert_ok(rn_dataset_open(&d, path, NULL, &err), err);
    return d;
}

static int count_kind(const rn_check *c, rn_finding_kind kind)
{
    int n = 0;
    for (int i = 0; i < c->findings_count; i++)
        n += c->findings[i].kind == kind;
    return n;
}

static const rn_finding *finding(const rn_check *c, const rn_dataset *d, rn_finding_kind kind, const char *name)
{
    for (int i = 0; i < c->findings_count; i++)
        if (c->findings[i].kind == kind && c->findings[i].item >= 0 && !strcmp(d->items[c->findings[i].item].name, name))
            return &c->findings[i];
    for (int i = 0; i < c->findings_count; i++)
        if (c->findings[i].item >= 0 && !strcmp(d->items[c->findings[i].item].name, name))
            print_error("%s: %s\n", rn_finding_name(c->findings[i].kind), c->findings[i].text);
    fail_msg("no finding of kind %s for %s", rn_finding_name(kind), name);
    return NULL;
}

/* Two channels: a tone-like square of `left` and `right`, in counts. */
static void put_stereo(const char *path, int frames, int left, int right)
{
    int16_t *samples = malloc((size_t)frames * 2 * sizeof *samples);
    assert_non_null(samples);
    for (int i = 0; i < frames; i++) {
        samples[2 * i] = (int16_t)((i * 7919 % 13 - 6) * left / 6);
        samples[2 * i + 1] = (int16_t)((i * 104729 % 17 - 8) * right / 8);
    }
    put_wav(path, samples, frames, 2, 8000);
    free(samples);
}

static void put_clipped(const char *path, int run)
{
    static int16_t samples[8000];
    for (int i = 0; i < 8000; i++)
        samples[i] = (int16_t)(i % 100 < run ? 32767 : (i * 7919) % 2000 - 1000);
    put_wav(path, samples, 8000, 1, 8000);
}

/* One of each kind; a check that misses a kind, or reports a good file, fails here. Same findings for any number of threads. */
static void everything_is_found(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        put_noise(at("d/a/good%d.wav", i), 1, 8000, 0.1, (uint64_t)i);
        put_noise(at("d/b/good%d.wav", i), 1, 8000, 0.1, 100 + (uint64_t)i);
    }
    put_noise(at("d/few/1.wav"), 1, 8000, 0.1, 200);
    put_noise(at("d/few/2.wav"), 1, 8000, 0.1, 201);
    put_bytes(at("d/few/empty.wav"), "", 0);
    put_text(at("d/a/broken.flac"), "this is no sound at all, whatever its name says");
    put_noise(at("d/a/nothing.wav"), 0, 8000, 0, 0);
    put_noise(at("d/a/silent.wav"), 1, 8000, 0.0005, 300);
    put_noise(at("d/a/quiet.wav"), 1, 8000, 0.01, 301);
    put_stereo(at("d/a/half.wav"), 8000, 10000, 0);
    put_stereo(at("d/a/both.wav"), 8000, 10000, 10000);
    put_clipped(at("d/a/clipped.wav"), 3);
    put_clipped(at("d/a/peaks.wav"), 2); /* full scale, but never three in a row */
    put_noise(at("d/a/short.wav"), 0.4, 8000, 0.1, 302);
    put_noise(at("d/a/again.wav"), 1, 8000, 0.1, 0); /* the bytes of a/good0 */
    put_noise(at("d/b/two labels.wav"), 1, 8000, 0.1, 1);
    put_noise(at("d/a/low rate.wav"), 1, 4000, 0.1, 303);
    put_noise(at("d/a/high rate.wav"), 1, 96000, 0.1, 304);
    put_text(at("d/a/notes.txt"), "x");
    assert_int_equal(symlink(".", at("d/a/loop")), 0);
    char *first = NULL;
    for (int threads = 1; threads < 4; threads += 2) {
        rn_pool *pool = NULL;
        rn_check *c = NULL;
        assert_ok(rn_pool_open(&pool, threads, &err), err);
        rn_dataset *d = open_data(at("d"));
        assert_ok(rn_check_run(d, 0, pool, NULL, NULL, &c, &err), err);
        finding(c, d, RN_FIND_EMPTY, "few/empty.wav");
        finding(c, d, RN_FIND_EMPTY, "a/nothing.wav");
        finding(c, d, RN_FIND_UNDECODABLE, "a/broken.flac");
        finding(c, d, RN_FIND_SILENT, "a/silent.wav");
        assert_non_null(strstr(finding(c, d, RN_FIND_SILENT_CHANNEL, "a/half.wav")->text, "channel 2"));
        finding(c, d, RN_FIND_CLIPPED, "a/clipped.wav");
        finding(c, d, RN_FIND_SHORT, "a/short.wav");
        finding(c, d, RN_FIND_DUPLICATE_BYTES, "a/again.wav");
        assert_non_null(strstr(finding(c, d, RN_FIND_CONFLICT, "a/good1.wav")->text, "two labels"));
        finding(c, d, RN_FIND_BAND, "a/high rate.wav");
        static const int want[RN_FIND_KINDS] = {
            [RN_FIND_UNDECODABLE] = 1,     [RN_FIND_EMPTY] = 2,          [RN_FIND_FEW] = 1,     [RN_FIND_CONFLICT] = 1,
            [RN_FIND_SILENT] = 1,          [RN_FIND_SILENT_CHANNEL] = 1, [RN_FIND_CLIPPED] = 1, [RN_FIND_SHORT] = 1,
            [RN_FIND_DUPLICATE_BYTES] = 1, [RN_FIND_EXTENSION] = 1,      [RN_FIND_LISTING] = 1, [RN_FIND_BAND] = 2};
        int errors = 0, warnings = 0;
        for (int k = 0; k < RN_FIND_KINDS; k++) {
            if (count_kind(c, (rn_finding_kind)k) != want[k])
                fail_msg("%d of kind %s", count_kind(c, (rn_finding_kind)k), rn_finding_name((rn_finding_kind)k));
            *(rn_finding_is_error((rn_finding_kind)k) ? &errors : &warnings) += want[k];
        }
        assert_true(c->errors == errors && errors == 5 && c->warnings == warnings);
        size_t size = (size_t)c->findings_count * sizeof c->findings[0].text, used = 0;
        char *all = calloc(size + 1, 1);
        for (int i = 0; i < c->findings_count; i++)
            used += (size_t)sprintf(all + used, "%s\n", c->findings[i].text);
        if (first)
            assert_string_equal(first, all);
        free(first);
        first = all;
        rn_check_close(&c);
        assert_null(c);
        rn_dataset_close(&d);
        rn_pool_close(&pool);
    }
    free(first);
}

/* The same samples in another container have other bytes: only the decoded samples tell. And one content in two parts is a leak. */
static void duplicates_by_sound(void **state)
{
    (void)state;
    static int16_t samples[8000];
    unsigned char head[24] =
        ".snd\0\0\0\x18\0\0\x3E\x80\0\0\0\x03\0\0\x1F\x40\0\0\0\x01"; /* AU: 24 bytes of header, 16,000 of 16-bit samples, 8 kHz */
    for (int i = 0; i < 8000; i++)
        samples[i] = (int16_t)(i * 7919 % 3000 - 1500);
    for (int i = 0; i < 3; i++) {
        put_noise(at("d/x/%d.wav", i), 1, 8000, 0.1, (uint64_t)i);
        put_noise(at("d/y/%d.wav", i), 1, 8000, 0.1, 100 + (uint64_t)i);
    }
    put_wav(at("d/x/s.wav"), samples, 8000, 1, 8000);
    FILE *file = fopen(at("d/x/s2.au"), "wb");
    fwrite(head, 1, 24, file);
    for (int i = 0; i < 8000; i++) {
        fputc(samples[i] >> 8 & 255, file);
        fputc(samples[i] & 255, file);
    }
    fclose(file);
    rn_dataset *d = open_data(at("d"));
    rn_check *c = NULL;
    assert_ok(rn_check_run(d, 0, NULL, NULL, NULL, &c, &err), err);
    assert_int_equal(c->findings_count, 1);
    finding(c, d, RN_FIND_DUPLICATE_SOUND, "x/s.wav");
    assert_int_equal(c->errors, 0);
    rn_check_close(&c);
    for (int i = 0; i < d->count; i++)
        d->items[i].part = i % 2 ? RN_PART_TRAIN : RN_PART_TEST;
    assert_ok(rn_check_run(d, 0, NULL, NULL, NULL, &c, &err), err);
    assert_non_null(strstr(finding(c, d, RN_FIND_CONFLICT, "x/s.wav")->text, "in two parts"));
    rn_check_close(&c);
    rn_dataset_close(&d);
}

/* Items that are parts of one file are read in one pass: they must be what reading each alone gives, also overlapping and past the end. */
static void parts_of_a_file(void **state)
{
    (void)state;
    put_noise(at("d/long.wav"), 5, 8000, 0.1, 1);
    for (int i = 0; i < 3; i++)
        put_noise(at("d/%d.wav", i), 1, 8000, 0.2, 10 + (uint64_t)i);
    put_text(at("d/list.csv"), "path,label,start,end,source\nlong.wav,a,0,1,1\nlong.wav,a,1,2,2\nlong.wav,a,1.5,2.5,3\nlong.wav,a,4.5,7,"
                               "4\nlong.wav,a,6,7,5\nlong.wav,a,3,,6\n"
                               "0.wav,b,,,7\n1.wav,b,,,8\n2.wav,b,,,9\n");
    rn_dataset *d = open_data(at("d/list.csv"));
    rn_check *c = NULL;
    assert_ok(rn_check_run(d, 0, NULL, NULL, NULL, &c, &err), err);
    static const double want[] = {1, 1, 1, 2, 0.5, 0}; /* by name and start: 0.wav 1.wav 2.wav, then long.wav from 0, 1, 1.5, 3, 4.5, 6 */
    for (int i = 3; i < 9; i++) {
        rn_sound s;
        rn_sound_options o = {.start_s = d->items[i].start_s, .end_s = d->items[i].end_s};
        assert_true(c->seconds[i] == want[i - 3]);
        if (rn_sound_read(d->items[i].path, &o, &s, NULL)) {
            assert_int_equal(i, 8);
            continue;
        }
        assert_true(c->level_db[i] == rn_level_db(s.samples, s.count, s.rate));
        rn_sound_free(&s);
    }
    assert_int_equal(c->errors, 1);
    assert_non_null(strstr(c->findings[0].text, "ends at"));
    rn_check_close(&c);
    rn_dataset_close(&d);
}

static int stop_at_once(void *context, int64_t done, int64_t total)
{
    ++*(int *)context;
    return done > 0 && total > 0;
}

static void check_can_be_stopped(void **state)
{
    (void)state;
    int calls = 0;
    rn_check *c = NULL;
    for (int i = 0; i < 40; i++)
        put_noise(at("d/%c/%d.wav", "ab"[i % 2], i), 0.1, 8000, 0.1, (uint64_t)i);
    rn_dataset *d = open_data(at("d"));
    assert_error(rn_check_run(d, 0, NULL, stop_at_once, &calls, &c, &err), RN_ERR_CANCELLED, err, "stopped after");
    assert_int_equal(calls, 1);
    assert_null(c);
    rn_dataset_close(&d);
}

static void arrays_are_checked(void **state)
{
    (void)state;
    float nan_at_5[6] = {0, 1, 2, 3, 4, NAN};
    int64_t shape[3] = {1, 2, 3};
    for (int i = 0; i < 3; i++) {
        put_array(at("d/a/%d.npy", i), 1, 2, 3, (float)i);
        put_array(at("d/b/%d.npy", i), 1, 2, 3, 10 + (float)i);
    }
    put_array(at("d/b/other shape.npy"), 1, 3, 2, 7);
    assert_ok(rn_npy_write(at("d/b/nan.npy"), nan_at_5, 3, shape, &err), err);
    put_array(at("d/b/twin.npy"), 1, 2, 3, 1);
    rn_dataset *d = open_data(at("d"));
    rn_check *c = NULL;
    assert_ok(rn_check_run(d, 0, NULL, NULL, NULL, &c, &err), err);
    assert_non_null(strstr(finding(c, d, RN_FIND_UNDECODABLE, "b/other shape.npy")->text, "1x3x2"));
    assert_non_null(strstr(finding(c, d, RN_FIND_UNDECODABLE, "b/nan.npy")->text, "value 5"));
    finding(c, d, RN_FIND_CONFLICT, "a/1.npy");
    assert_int_equal(c->findings_count, 3);
    assert_int_equal(c->level_items, 0);
    rn_check_close(&c);
    rn_dataset_close(&d);
}

/* ---- the classifier of one number ---- */

static void level_of_known_sound(void **state)
{
    (void)state;
    float x[8000];
    for (int i = 0; i < 8000; i++)
        x[i] = i < 4000 ? 0.5f : 0.1f; /* constant: the RMS is the value; more than 5 % of the frames are at 0.1 */
    assert_true(fabs(rn_level_db(x, 8000, 8000) + 20) < 1e-3);
    assert_true(fabs(rn_level_db(x, 10, 8000) - 20 * log10(0.5)) < 1e-3); /* shorter than a frame */
    memset(x, 0, sizeof x);
    assert_true(fabs(rn_level_db(x, 8000, 8000) + 120) < 1e-9);
    assert_true(isnan(rn_level_db(x, 0, 8000)));
    /* Two frames, RMS 0.1 and 0.3: the 5th percentile lies a twentieth of the way up. */
    for (int i = 0; i < 240; i++)
        x[i] = i < 160 ? 0.1f : 0.3f;
    double second = sqrt((80 * 0.01 + 80 * 0.09) / 160);
    assert_true(fabs(rn_level_db(x, 240, 8000) - 20 * log10(0.1 + 0.05 * (second - 0.1) + 1e-6)) < 1e-4);
}

/* Against the definition, written as plainly as it can be: sort all by distance, count votes. */
static void level_matches_brute_force(void **state)
{
    (void)state;
    enum { N = 300 };
    static float x[N];
    static double level[N];
    int labels[N];
    rn_dataset *d = NULL;
    rn_level_result r;
    for (int i = 0; i < N; i++) {
        labels[i] = i * 7 % 3;
        level[i] = labels[i] * 3 + (double)(i * 7919 % 1009) / 100;
    }
    level[17] = NAN;
    assert_ok(rn_dataset_from_tensors(&d, x, labels, N, 1, 1, 1, NULL, 3, NULL, &err), err);
    for (int i = 0; i < N; i++)
        d->items[i].part = i % 4 == 1 ? RN_PART_TEST : i % 4 == 2 ? RN_PART_VALIDATION : RN_PART_TRAIN;
    int right = 0, seen = 0;
    for (int i = 1; i < N; i += 4) {
        int used[N] = {0}, votes[3] = {0};
        if (isnan(level[i]))
            continue;
        for (int k = 0; k < 25; k++) {
            int best = -1;
            for (int j = 0; j < N; j++)
                if (d->items[j].part == RN_PART_TRAIN && !used[j] && !isnan(level[j]) &&
                    (best < 0 || fabs(level[j] - level[i]) < fabs(level[best] - level[i])))
                    best = j;
            used[best] = 1;
            votes[labels[best]]++;
        }
        int guess = votes[0] >= votes[1] && votes[0] >= votes[2] ? 0 : votes[1] >= votes[2] ? 1 : 2;
        right += guess == labels[i];
        seen++;
    }
    assert_ok(rn_level_accuracy(d, level, RN_PART_TEST, &r, &err), err);
    assert_int_equal(r.items, seen);
    assert_true(fabs(r.accuracy - (double)right / seen) < 1e-12);
    assert_true(r.accuracy > 0.4 && r.accuracy < 0.95);
    /* Levels that tell everything, and levels that tell nothing. */
    for (int i = 0; i < N; i++)
        level[i] = labels[i] * 10 + (double)(i % 7) / 10;
    assert_ok(rn_level_accuracy(d, level, RN_PART_NONE, &r, &err), err);
    assert_true(r.items == N && r.accuracy == 1 && r.macro_accuracy == 1 && fabs(r.chance - 100.0 / N) < 1e-12);
    for (int i = 0; i < N; i++)
        level[i] = -50;
    assert_ok(rn_level_accuracy(d, level, RN_PART_NONE, &r, &err), err);
    assert_true(r.accuracy < 0.5);
    for (int i = 0; i < N; i++)
        level[i] = NAN;
    assert_ok(rn_level_accuracy(d, level, RN_PART_TEST, &r, &err), err);
    assert_true(r.items == 0 && r.accuracy == 0);
    rn_dataset_close(&d);
}

/* Folds by source: items of one source with equal levels must not vote for each other. */
static void level_folds_by_source(void **state)
{
    (void)state;
    enum { N = 60 };
    static float x[N];
    static char names[N][24];
    const char *sources[N];
    double level[N];
    int labels[N];
    rn_dataset *d = NULL;
    rn_level_result r;
    for (int i = 0; i < N; i++) {
        labels[i] = i / 30;
        snprintf(names[i], sizeof names[i], "s%d", i / 30);
        sources[i] = names[i];
        level[i] = labels[i] * 10;
    }
    assert_ok(rn_dataset_from_tensors(&d, x, labels, N, 1, 1, 1, NULL, 2, sources, &err), err);
    assert_ok(rn_level_accuracy(d, level, RN_PART_NONE, &r, &err), err);
    assert_true(r.accuracy == 0); /* each class is one source: what is left to learn from is the other class */
    rn_dataset_close(&d);
}

static void check_measures_level(void **state)
{
    (void)state;
    for (int i = 0; i < 60; i++)
        put_noise(at("d/%c/%02d.wav", "ab"[i % 2], i), 0.6, 8000, i % 2 ? 0.5 : 0.05, (uint64_t)i);
    rn_dataset *d = open_data(at("d"));
    rn_check *c = NULL;
    double level[60];
    assert_ok(rn_check_run(d, 0, NULL, NULL, NULL, &c, &err), err);
    assert_true(c->level_accuracy == 1 && c->level_items == 60 && c->chance == 0.5);
    assert_ok(rn_level_measure(d, NULL, NULL, NULL, level, &err), err);
    assert_memory_equal(level, c->level_db, sizeof level);
    rn_check_close(&c);
    rn_split_options o;
    rn_split_default(&o);
    assert_ok(rn_split_make(d, &o, &err), err);
    assert_ok(rn_check_run(d, 0, NULL, NULL, NULL, &c, &err), err);
    assert_int_equal(c->level_items, rn_split_count(d, RN_PART_TEST, -1));
    rn_check_close(&c);
    rn_dataset_close(&d);
}

/* ---- figures ---- */

static void figures_per_class(void **state)
{
    (void)state;
    put_noise(at("d/a/1.wav"), 1, 8000, 0.1, 1);
    put_noise(at("d/a/2.wav"), 2, 16000, 0.1, 2);
    put_noise(at("d/b/1.wav"), 4, 8000, 0.1, 3);
    put_bytes(at("d/b/bad.wav"), "", 0);
    rn_dataset *d = open_data(at("d"));
    rn_check *c = NULL;
    rn_class_stats *s = NULL;
    d->items[0].part = RN_PART_TEST;
    assert_ok(rn_check_run(d, 0, NULL, NULL, NULL, &c, &err), err);
    assert_ok(rn_check_stats(d, c, &s, &err), err);
    assert_true(s[0].items == 2 && s[0].sources == 2 && s[0].bad == 0 && s[0].seconds == 3 && s[0].shortest_s == 1 &&
                s[0].median_s == 1.5 && s[0].longest_s == 2);
    assert_true(s[0].rate_low == 8000 && s[0].rate_high == 16000 && s[0].parts[RN_PART_TEST] == 1 && s[0].parts[RN_PART_TRAIN] == 0);
    assert_true(s[1].items == 1 && s[1].bad == 1 && s[1].seconds == 4);
    assert_true(s[2].items == 3 && s[2].bad == 1 && s[2].seconds == 7 && s[2].median_s == 2 && s[2].sources == 3); /* 1, 2, bad */
    free(s);
    rn_check_close(&c);
    rn_dataset_close(&d);
}

#define test(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {test(everything_is_found),       test(duplicates_by_sound),   test(parts_of_a_file),
                                       test(check_can_be_stopped),      test(arrays_are_checked),    test(level_of_known_sound),
                                       test(level_matches_brute_force), test(level_folds_by_source), test(check_measures_level),
                                       test(figures_per_class)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
