/* Augmentation: drawn from (seed, epoch, position) alone, within what was asked for, and strict about its options. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "media/augment.h"

#define N 8000

static float *tone(void)
{
    float *x = malloc(N * sizeof *x);
    for (int i = 0; i < N; i++)
        x[i] = (float)(0.25 * sin(i * 0.3));
    return x;
}

static float *augmented(const rn_augment *a, uint64_t seed, uint32_t epoch, uint64_t position, const float *noise, int64_t noise_count, int64_t *count)
{
    float *x = tone();
    rn_error err = {0};
    *count = N;
    if (rn_augment_samples(a, 8000, seed, epoch, position, noise, noise_count, &x, count, &err))
        fail_msg("%s", err.text);
    return x;
}

static double power(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sum / (double)n;
}

/* A hidden state (a static generator, a shared stream) would make the second call differ, or equal for another position. */
static void a_function_of_its_arguments(void **state)
{
    (void)state;
    rn_augment a;
    int64_t n1, n2;
    rn_augment_default(&a);
    a.noise_probability = 1;
    a.speed = 0.1;
    a.shift_s = 0.2;
    float *first = augmented(&a, 5, 2, 77, NULL, 0, &n1), *again = augmented(&a, 5, 2, 77, NULL, 0, &n2);
    assert_int_equal(n1, n2);
    assert_memory_equal(first, again, (size_t)n1 * sizeof *first);
    const struct {
        uint64_t seed;
        uint32_t epoch;
        uint64_t position;
    } others[] = {{6, 2, 77}, {5, 3, 77}, {5, 2, 78}};
    for (int i = 0; i < 3; i++) {
        float *other = augmented(&a, others[i].seed, others[i].epoch, others[i].position, NULL, 0, &n2);
        assert_true(n1 != n2 || memcmp(first, other, (size_t)n1 * sizeof *first));
        free(other);
    }
    free(first);
    free(again);
    rn_augment_none(&a);
    float *x = augmented(&a, 5, 2, 77, NULL, 0, &n1), *plain = tone();
    assert_int_equal(n1, N);
    assert_memory_equal(x, plain, N * sizeof *x);
    assert_int_equal(rn_augment_changes_samples(&a), 0);
    rn_augment_default(&a);
    assert_int_equal(rn_augment_changes_samples(&a), 1);
    free(x);
    free(plain);
}

static void gain_stays_in_its_range(void **state)
{
    (void)state;
    rn_augment a;
    double least = 99, most = -99, before;
    rn_augment_none(&a);
    a.gain_db = 6;
    float *plain = tone();
    before = power(plain, N);
    for (uint64_t p = 0; p < 200; p++) {
        int64_t n;
        float *x = augmented(&a, 1, 0, p, NULL, 0, &n);
        double db = 10 * log10(power(x, n) / before);
        least = fmin(least, db);
        most = fmax(most, db);
        free(x);
    }
    assert_true(least > -6.0001 && least < -5.5 && most < 6.0001 && most > 5.5);
    free(plain);
}

/* A rotation keeps every sample once, in order. */
static void shift_rotates(void **state)
{
    (void)state;
    rn_augment a;
    rn_error err;
    int left = 0, right = 0;
    rn_augment_none(&a);
    a.shift_s = 0.1;
    for (uint64_t p = 0; p < 100; p++) {
        int64_t n = 1000;
        float *x = malloc((size_t)n * sizeof *x);
        for (int i = 0; i < n; i++)
            x[i] = (float)i;
        assert_int_equal(rn_augment_samples(&a, 1000, 1, 0, p, NULL, 0, &x, &n, &err), 0);
        assert_int_equal(n, 1000);
        for (int i = 0; i < n; i++)
            assert_true(x[(i + 1) % n] == fmodf(x[i] + 1, 1000));
        int by = x[0] > 500 ? 1000 - (int)x[0] : -(int)x[0];
        assert_true(by <= 100 && by >= -100);
        left += by < -50;
        right += by > 50;
        free(x);
    }
    assert_true(left > 10 && right > 10);
}

/* The noise that was added, measured: what is left after taking the tone away again. */
static void noise_has_the_drawn_level(void **state)
{
    (void)state;
    rn_augment a;
    float *plain = tone();
    int quiet = 0, drawn = 0, rumbling = 0;
    rn_augment_none(&a);
    a.noise_probability = 0.5;
    a.noise_snr_low_db = 10;
    a.noise_snr_high_db = 20;
    for (uint64_t p = 0; p < 200; p++) {
        int64_t n;
        float *x = augmented(&a, 3, 1, p, NULL, 0, &n);
        if (!memcmp(x, plain, N * sizeof *x)) {
            quiet++;
        } else {
            double difference = 0;
            for (int i = 0; i < N; i++)
                x[i] -= plain[i];
            double snr = 10 * log10(power(plain, N) / power(x, N));
            assert_true(snr > 9.99 && snr < 20.01);
            for (int i = 1; i < N; i++)
                difference += (double)(x[i] - x[i - 1]) * (x[i] - x[i - 1]) / N;
            rumbling += difference < power(x, N); /* white: 2, pink: less, brown: far less */
            drawn++;
        }
        free(x);
    }
    assert_true(drawn > 70 && drawn < 130 && quiet + drawn == 200);
    assert_true(rumbling > drawn / 3 && rumbling < drawn * 9 / 10);
    /* a recording of noise, shorter than the sound: repeated, at the drawn level */
    float hum[100];
    for (int i = 0; i < 100; i++)
        hum[i] = i < 50 ? 1 : -1;
    a.noise_probability = 1;
    a.noise_snr_low_db = a.noise_snr_high_db = 12;
    int64_t n;
    float *x = augmented(&a, 3, 1, 9, hum, 100, &n);
    for (int i = 0; i < N; i++)
        x[i] -= plain[i];
    assert_true(fabs(10 * log10(power(plain, N) / power(x, N)) - 12) < 0.01);
    for (int i = 100; i < N; i++)
        assert_true(fabs(x[i] - x[i - 100]) < 1e-5);
    free(x);
    free(plain);
    /* silence has no level to be measured against: it stays silent, and finite */
    rn_error err;
    x = calloc(100, sizeof *x);
    n = 100;
    assert_int_equal(rn_augment_samples(&a, 8000, 1, 1, 1, hum, 100, &x, &n, &err), 0);
    for (int i = 0; i < 100; i++)
        assert_true(x[i] == 0);
    free(x);
}

static void speed_changes_length_and_pitch(void **state)
{
    (void)state;
    rn_augment a;
    int64_t least = 2 * N, most = 0;
    rn_augment_none(&a);
    a.speed = 0.1;
    for (uint64_t p = 0; p < 40; p++) {
        int64_t n;
        int crossings = 0;
        float *x = augmented(&a, 1, 0, p, NULL, 0, &n);
        least = n < least ? n : least;
        most = n > most ? n : most;
        for (int i = 1; i < n; i++)
            crossings += (x[i] < 0) != (x[i - 1] < 0);
        assert_true(abs(crossings - 764) < 12); /* the tone has as many waves as before, in less or more time */
        free(x);
    }
    assert_true(least >= 7270 && least < 7500 && most > 8600 && most <= 8890);
    rn_error err;
    int64_t n = 1;
    float *x = calloc(1, sizeof *x); /* one sample must survive */
    for (uint64_t p = 0; p < 10; p++)
        assert_int_equal(rn_augment_samples(&a, 8000, 1, 0, p, NULL, 0, &x, &n, &err), 0);
    assert_true(n >= 1);
    free(x);
}

static void masks_are_bars_of_the_mean(void **state)
{
    (void)state;
    enum { BINS = 20, FRAMES = 50 };
    rn_augment a;
    int widest = 0, highest = 0;
    rn_augment_none(&a);
    a.mask_time = 10;
    a.mask_frequency = 6;
    a.mask_count = 1;
    for (uint64_t p = 0; p < 300; p++) {
        float x[BINS * FRAMES];
        int columns = 0, rows = 0, changed = 0;
        for (int i = 0; i < BINS * FRAMES; i++)
            x[i] = (float)i;
        rn_augment_features(&a, 9, 1, p, x, BINS, FRAMES);
        for (int t = 0; t < FRAMES; t++) {
            int all = 1;
            for (int b = 0; b < BINS; b++)
                all &= x[b * FRAMES + t] != (float)(b * FRAMES + t);
            columns += all;
        }
        for (int b = 0; b < BINS; b++) {
            int all = 1;
            for (int t = 0; t < FRAMES; t++)
                all &= x[b * FRAMES + t] != (float)(b * FRAMES + t);
            rows += all;
        }
        for (int i = 0; i < BINS * FRAMES; i++) {
            changed += x[i] != (float)i;
            assert_true(x[i] == (float)i || x[i] == 499.5f);
        }
        assert_int_equal(changed, columns * BINS + rows * FRAMES - columns * rows);
        widest = columns > widest ? columns : widest;
        highest = rows > highest ? rows : highest;
    }
    assert_true(widest == 10 && highest == 6);
    /* never more than half of a short crop */
    for (uint64_t p = 0; p < 100; p++) {
        float x[4 * 6];
        int left = 0;
        for (int i = 0; i < 24; i++)
            x[i] = (float)i;
        rn_augment_features(&a, 9, 1, p, x, 4, 6);
        for (int i = 0; i < 24; i++)
            left += x[i] == (float)i;
        assert_true(left >= 6);
    }
}

/* In place along cycles: an item that is overwritten before its partner has read it would show here. */
static void mixup_mixes_with_the_originals(void **state)
{
    (void)state;
    enum { SIZE = 1300 };
    static float before[33 * SIZE], x[33 * SIZE];
    double sum = 0;
    rn_augment a;
    rn_augment_none(&a);
    int pair[33];
    for (int i = 0; i < 33 * SIZE; i++)
        before[i] = (float)(i * 7919 % 1009) - 500;
    memcpy(x, before, sizeof x);
    assert_true(rn_augment_mixup(&a, 1, 1, 1, 33, SIZE, x, pair) == 1);
    assert_memory_equal(x, before, sizeof x);
    assert_int_equal(pair[32], 32);
    a.mixup = 0.4;
    for (uint64_t p = 0; p < 60; p++) {
        int n = p % 2 ? 33 : 1 + (int)p % 5, seen[33] = {0};
        memcpy(x, before, sizeof x);
        double lambda = rn_augment_mixup(&a, 1, 1, p, n, SIZE, x, pair);
        assert_true(lambda >= 0 && lambda <= 1 && lambda == (float)lambda);
        sum += lambda;
        for (int i = 0; i < n; i++) {
            assert_true(pair[i] >= 0 && pair[i] < n && !seen[pair[i]]++);
            for (int k = 0; k < SIZE; k++) {
                float l = (float)lambda, rest = 1 - l;
                float own = l * before[i * SIZE + k], other = rest * before[pair[i] * SIZE + k];
                if (pair[i] == i)
                    assert_true(x[i * SIZE + k] == before[i * SIZE + k]);
                else
                    assert_true(x[i * SIZE + k] == own + other);
            }
        }
    }
    assert_true(sum / 60 > 0.35 && sum / 60 < 0.65);
}

static void crops_reach_everywhere(void **state)
{
    (void)state;
    rn_augment a;
    rn_augment_default(&a);
    int first[11] = {0}, tiled[4] = {0};
    for (uint64_t p = 0; p < 500; p++) {
        int64_t at = rn_augment_crop(&a, 1, 2, p, 110, 100);
        assert_true(at >= 0 && at <= 10);
        first[at]++;
        at = rn_augment_crop(&a, 1, 2, p, 4, 100);
        assert_true(at >= 0 && at < 4);
        tiled[at]++;
    }
    for (int i = 0; i < 11; i++)
        assert_true(first[i] > 10);
    for (int i = 0; i < 4; i++)
        assert_true(tiled[i] > 50);
    a.crop = 0;
    assert_int_equal(rn_augment_crop(&a, 1, 2, 3, 110, 100), 0);
}

static void json_round_trip_and_refusals(void **state)
{
    (void)state;
    rn_augment a, got;
    rn_error err;
    rn_augment_default(&a);
    a.mixup = 0.2;
    snprintf(a.noise_folder, sizeof a.noise_folder, "rain/r\xc3\xa9union");
    json_t *section = rn_augment_to_json(&a);
    assert_int_equal(json_object_size(section), 12);
    rn_augment_none(&got);
    assert_int_equal(rn_augment_from_json(&got, section, &err), 0);
    json_t *again = rn_augment_to_json(&got);
    assert_true(json_equal(section, again));
    json_decref(again);
    static const char *const refused[] = {
        "{\"gain\": 3}", "{\"gain_db\": -1}", "{\"gain_db\": true}", "{\"noise_probability\": 1.5}", "{\"noise_snr_low_db\": 40}", "{\"mask_time\": 1.5}",
        "{\"mask_time\": -1}", "{\"mixup\": 1e9}", "{\"speed\": 0.9}", "{\"crop\": \"yes\"}", "{\"noise_folder\": 3}", "[]", "{\"shift_s\": 1e300}"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        rn_augment copy;
        json_t *bad = json_loads(refused[i], 0, NULL);
        memcpy(&copy, &got, sizeof copy);
        if (rn_augment_from_json(&got, bad, &err) != RN_ERR_ARG)
            fail_msg("%s was taken", refused[i]);
        assert_memory_equal(&copy, &got, sizeof copy);
        assert_non_null(strstr(err.text, "augment: "));
        json_decref(bad);
    }
    json_decref(section);
    section = json_loads("{\"mask_count\": 3}", 0, NULL); /* what is not named stays */
    assert_int_equal(rn_augment_from_json(&got, section, &err), 0);
    assert_true(got.mask_count == 3 && got.mixup == 0.2);
    json_decref(section);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_function_of_its_arguments), cmocka_unit_test(gain_stays_in_its_range), cmocka_unit_test(shift_rotates),
        cmocka_unit_test(noise_has_the_drawn_level), cmocka_unit_test(speed_changes_length_and_pitch), cmocka_unit_test(masks_are_bars_of_the_mean),
        cmocka_unit_test(mixup_mixes_with_the_originals), cmocka_unit_test(crops_reach_everywhere), cmocka_unit_test(json_round_trip_and_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
