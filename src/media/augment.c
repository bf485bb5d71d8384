/* Augmentation.
 *
 * Samples, in this order: speed (resampling by 1/factor), shift (rotation), noise at a drawn signal-to-noise ratio, gain.
 * Features: SpecAugment (Park et al. 2019) without time warping; masked values become the mean of the crop, so the masks
 * say nothing about level. Mixup: Zhang et al. 2018, one lambda for a ghost batch.
 * Generated noise is white, pink (Kellet's sum of three one-pole filters, within 0.5 dB of 1/f) or brown (a leaky sum),
 * from numbers that are the sum of four uniform bytes: near enough to Gaussian, and 10 times cheaper than exact ones.
 * Every step draws from its own stream (base/random.h), so switching one on does not change what another draws. */
#include "media/augment.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/maths.h"
#include "media/resample.h"

void rn_augment_none(rn_augment *a)
{
    memset(a, 0, sizeof *a);
    a->noise_snr_low_db = 5;
    a->noise_snr_high_db = 30;
}

void rn_augment_default(rn_augment *a)
{
    rn_augment_none(a);
    a->crop = 1;
    a->gain_db = 6;
    a->noise_probability = 0.5;
    a->mask_time = 10;
    a->mask_frequency = 8;
    a->mask_count = 1;
}

json_t *rn_augment_to_json(const rn_augment *a)
{
    return json_pack("{s:b, s:f, s:f, s:f, s:f, s:f, s:f, s:s, s:i, s:i, s:i, s:f}", "crop", a->crop, "gain_db", a->gain_db, "shift_s",
                     a->shift_s, "speed", a->speed, "noise_probability", a->noise_probability, "noise_snr_low_db", a->noise_snr_low_db,
                     "noise_snr_high_db", a->noise_snr_high_db, "noise_folder", a->noise_folder, "mask_time", a->mask_time,
                     "mask_frequency", a->mask_frequency, "mask_count", a->mask_count, "mixup", a->mixup);
}

static int bad(const char *key, const char *want, rn_error *err)
{
    return rn_error_set(err, RN_ERR_ARG, "augment: %s: want %s", key, want);
}

static int check(const rn_augment *a, rn_error *err)
{
    if (!(a->gain_db >= 0) || a->gain_db > 60)
        return bad("gain_db", "0 to 60 dB", err);
    if (!(a->shift_s >= 0) || a->shift_s > 3600)
        return bad("shift_s", "0 to 3600 s", err);
    if (!(a->speed >= 0) || a->speed > 0.5)
        return bad("speed", "0 to 0.5 (0.1 draws factors from 0.9 to 1.1)", err);
    if (!(a->noise_probability >= 0) || a->noise_probability > 1)
        return bad("noise_probability", "0 to 1", err);
    if (!(a->noise_snr_low_db >= -60) || !(a->noise_snr_high_db <= 120) || !(a->noise_snr_low_db <= a->noise_snr_high_db))
        return bad("noise_snr_low_db and noise_snr_high_db", "-60 to 120 dB, the low one first", err);
    if (a->mask_time < 0 || a->mask_frequency < 0 || a->mask_count < 0 || a->mask_count > 1000)
        return bad("mask_time, mask_frequency and mask_count", "0 or more, at most 1000 masks", err);
    if (!(a->mixup >= 0) || a->mixup > 100)
        return bad("mixup", "0 (off) to 100; 0.2 by habit", err);
    return 0;
}

static int read_key(rn_augment *a, const char *key, const json_t *value, rn_error *err)
{
    const struct {
        const char *key;
        double *to;
    } reals[] = {{"gain_db", &a->gain_db},
                 {"shift_s", &a->shift_s},
                 {"speed", &a->speed},
                 {"noise_probability", &a->noise_probability},
                 {"noise_snr_low_db", &a->noise_snr_low_db},
                 {"noise_snr_high_db", &a->noise_snr_high_db},
                 {"mixup", &a->mixup}};
    const struct {
        const char *key;
        int *to;
    } wholes[] = {{"mask_time", &a->mask_time}, {"mask_frequency", &a->mask_frequency}, {"mask_count", &a->mask_count}};
    for (size_t i = 0; i < sizeof reals / sizeof reals[0]; i++)
        if (!strcmp(key, reals[i].key)) {
            if (!json_is_number(value))
                return bad(key, "a number", err);
            *reals[i].to = json_number_value(value);
            return 0;
        }
    for (size_t i = 0; i < sizeof wholes / sizeof wholes[0]; i++)
        if (!strcmp(key, wholes[i].key)) {
            if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > 1000000)
                return bad(key, "a whole number from 0 to 1000000", err);
            *wholes[i].to = (int)json_integer_value(value);
            return 0;
        }
    if (!strcmp(key, "crop")) {
        if (!json_is_boolean(value) && !json_is_integer(value))
            return bad(key, "true or false", err);
        a->crop = json_is_true(value) || (json_is_integer(value) && json_integer_value(value) != 0);
        return 0;
    }
    if (!strcmp(key, "noise_folder")) {
        if (!json_is_string(value) || json_string_length(value) >= sizeof a->noise_folder)
            return bad(key, "a path of at most 511 bytes", err);
        snprintf(a->noise_folder, sizeof a->noise_folder, "%s", json_string_value(value));
        return 0;
    }
    return rn_error_set(err, RN_ERR_ARG, "augment: \"%s\" is not known to this build", key);
}

int rn_augment_from_json(rn_augment *a, const json_t *section, rn_error *err)
{
    rn_augment got = *a;
    const char *key;
    json_t *value;
    if (!json_is_object(section))
        return rn_error_set(err, RN_ERR_ARG, "augment: an object is wanted");
    json_object_foreach((json_t *)section, key, value)
    {
        int status = read_key(&got, key, value, err);
        if (status)
            return status;
    }
    int status = check(&got, err);
    if (!status)
        *a = got;
    return status;
}

int64_t rn_augment_crop(const rn_augment *a, uint64_t seed, uint32_t epoch, uint64_t position, int64_t have, int64_t wanted)
{
    rn_random r;
    if (!a->crop || have < 1 || have == wanted)
        return 0;
    rn_random_start(&r, seed, RN_PURPOSE_CROP, epoch, position);
    /* A recording shorter than the crop is repeated; then any column may come first. */
    return (int64_t)rn_random_below(&r, (uint64_t)(have > wanted ? have - wanted + 1 : have));
}

int rn_augment_changes_samples(const rn_augment *a)
{
    return a->gain_db > 0 || a->shift_s > 0 || a->speed > 0 || a->noise_probability > 0;
}

static double uniform(rn_random *r, double low, double high)
{
    return low + (high - low) * rn_random_double(r);
}

static double power_of(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return n ? sum / (double)n : 0;
}

static int change_speed(const rn_augment *a, uint64_t seed, uint32_t epoch, uint64_t position, float **samples, int64_t *count,
                        rn_error *err)
{
    rn_random r;
    float *out = NULL;
    int64_t made = 0;
    rn_random_start(&r, seed, RN_PURPOSE_SPEED, epoch, position);
    double factor = uniform(&r, 1 - a->speed, 1 + a->speed);
    int status = rn_resample_whole(*samples, *count, 1 / factor, RN_RESAMPLE_FAST, &out, &made, err);
    if (status || !made) { /* nothing left of a handful of samples: keep them as they are */
        free(out);
        return status;
    }
    free(*samples);
    *samples = out;
    *count = made;
    return 0;
}

static void reverse(float *x, int64_t n)
{
    for (int64_t i = 0, k = n - 1; i < k; i++, k--) {
        float t = x[i];
        x[i] = x[k];
        x[k] = t;
    }
}

/* Rotation without a second buffer: three reversals. */
static void shift(const rn_augment *a, int rate, uint64_t seed, uint32_t epoch, uint64_t position, float *x, int64_t n)
{
    rn_random r;
    int64_t most = (int64_t)floor(a->shift_s * rate + 0.5);
    rn_random_start(&r, seed, RN_PURPOSE_SHIFT, epoch, position);
    int64_t by = ((int64_t)rn_random_below(&r, 2 * (uint64_t)most + 1) - most) % n;
    if (by < 0)
        by += n;
    reverse(x, n);
    reverse(x, by);
    reverse(x + by, n - by);
}

/* A number of variance 1 from the sum of four bytes of one draw (variance of a byte: (256^2 - 1) / 12). */
static double rough_normal(rn_random *r)
{
    uint32_t u = rn_random_u32(r);
    int sum = (int)((u & 255) + (u >> 8 & 255) + (u >> 16 & 255) + (u >> 24));
    return (sum - 510) * (1 / 147.801) /* sqrt(4 (256^2 - 1) / 12) */;
}

static void generate_noise(rn_random *r, int colour, float *x, int64_t n)
{
    double a = 0, b = 0, c = 0;
    for (int64_t i = 0; i < n; i++) {
        double w = rough_normal(r);
        if (colour == 1) {
            a = 0.99765 * a + 0.0990460 * w;
            b = 0.96300 * b + 0.2965164 * w;
            c = 0.57000 * c + 1.0526913 * w;
            w = a + b + c + 0.1848 * w;
        } else if (colour == 2) {
            a = 0.998 * a + w;
            w = a;
        }
        x[i] = (float)w;
    }
}

static int add_noise(const rn_augment *a, uint64_t seed, uint32_t epoch, uint64_t position, const float *noise, int64_t noise_count,
                     float *x, int64_t n, rn_error *err)
{
    rn_random r;
    rn_random_start(&r, seed, RN_PURPOSE_NOISE, epoch, position);
    int wanted = rn_random_double(&r) < a->noise_probability;
    double snr = uniform(&r, a->noise_snr_low_db, a->noise_snr_high_db);
    double signal = power_of(x, n);
    if (!wanted || !(signal > 0)) /* there is no ratio to silence */
        return 0;
    float *added = calloc((size_t)n, sizeof *added);
    if (!added)
        return rn_error_memory(err, "noise", (unsigned long long)n * sizeof *added);
    if (noise && noise_count > 0) {
        int64_t at = (int64_t)rn_random_below(&r, (uint64_t)noise_count);
        for (int64_t i = 0; i < n; i++) {
            added[i] = noise[at];
            at = at + 1 < noise_count ? at + 1 : 0;
        }
    } else {
        generate_noise(&r, (int)rn_random_below(&r, 3), added, n);
    }
    double power = power_of(added, n);
    double gain = power > 0 ? sqrt(signal / (power * rn_pow(10, snr / 10))) : 0;
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(x[i] + gain * added[i]);
    free(added);
    return 0;
}

int rn_augment_samples(const rn_augment *a, int rate, uint64_t seed, uint32_t epoch, uint64_t position, const float *noise,
                       int64_t noise_count, float **samples, int64_t *count, rn_error *err)
{
    int status;
    if (*count < 1)
        return 0;
    if (a->speed > 0) {
        status = change_speed(a, seed, epoch, position, samples, count, err);
        if (status)
            return status;
    }
    if (a->shift_s > 0)
        shift(a, rate, seed, epoch, position, *samples, *count);
    if (a->noise_probability > 0) {
        status = add_noise(a, seed, epoch, position, noise, noise_count, *samples, *count, err);
        if (status)
            return status;
    }
    if (a->gain_db > 0) {
        rn_random r;
        rn_random_start(&r, seed, RN_PURPOSE_GAIN, epoch, position);
        float gain = (float)rn_pow(10, uniform(&r, -a->gain_db, a->gain_db) / 20);
        for (int64_t i = 0; i < *count; i++)
            (*samples)[i] *= gain;
    }
    return 0;
}

void rn_augment_features(const rn_augment *a, uint64_t seed, uint32_t epoch, uint64_t position, float *x, int bins, int64_t frames)
{
    rn_random r;
    double sum = 0;
    if (a->mask_count < 1 || (a->mask_time < 1 && a->mask_frequency < 1) || bins < 1 || frames < 1)
        return;
    for (int64_t i = 0; i < bins * frames; i++)
        sum += x[i];
    float fill = (float)(sum / (double)(bins * frames));
    /* Never more than half of the crop or of the bins under one mask: short crops must stay recognisable. */
    uint64_t most_time = (uint64_t)(a->mask_time < frames / 2 ? a->mask_time : frames / 2);
    uint64_t most_bins = (uint64_t)(a->mask_frequency < bins / 2 ? a->mask_frequency : bins / 2);
    rn_random_start(&r, seed, RN_PURPOSE_MASK, epoch, position);
    for (int m = 0; m < a->mask_count; m++) {
        int64_t width = (int64_t)rn_random_below(&r, most_time + 1), at = (int64_t)rn_random_below(&r, (uint64_t)(frames - width) + 1);
        for (int b = 0; b < bins; b++)
            for (int64_t t = at; t < at + width; t++)
                x[b * frames + t] = fill;
        int high = (int)rn_random_below(&r, most_bins + 1), low = (int)rn_random_below(&r, (uint64_t)(bins - high) + 1);
        for (int64_t i = low * frames; i < (low + high) * frames; i++)
            x[i] = fill;
    }
}

/* x[i] = lambda x[i] + (1 - lambda) x[pair[i]] in place, along the permutation's cycles: only a cycle's first item is
 * needed after it was overwritten, and a piece of it at a time is enough. */
static void mix(const int *pair, int n, int64_t size, float lambda, float *x)
{
    enum { PIECE = 512 };
    float first[PIECE], rest = 1 - lambda;
    for (int64_t from = 0; from < size; from += PIECE) {
        int64_t length = size - from < PIECE ? size - from : PIECE;
        for (int start = 0; start < n; start++) {
            int least = start; /* each cycle is done once, from its smallest item */
            for (int i = pair[start]; i != start && least == start; i = pair[i])
                least = i < least ? i : least;
            if (least != start || pair[start] == start)
                continue;
            memcpy(first, x + start * size + from, (size_t)length * sizeof *first);
            for (int i = start;; i = pair[i]) {
                float *to = x + i * size + from;
                const float *other = pair[i] == start ? first : x + pair[i] * size + from;
                for (int64_t k = 0; k < length; k++)
                    to[k] = lambda * to[k] + rest * other[k];
                if (pair[i] == start)
                    break;
            }
        }
    }
}

double rn_augment_mixup(const rn_augment *a, uint64_t seed, uint32_t epoch, uint64_t position, int n, int64_t size, float *x, int *pair)
{
    rn_random r;
    for (int i = 0; i < n; i++)
        pair[i] = i;
    if (!(a->mixup > 0) || n < 1)
        return 1;
    rn_random_start(&r, seed, RN_PURPOSE_MIXUP, epoch, position);
    float lambda = (float)rn_random_beta(&r, a->mixup, a->mixup);
    for (int i = n - 1; i > 0; i--) {
        int k = (int)rn_random_below(&r, (uint64_t)i + 1), t = pair[i];
        pair[i] = pair[k];
        pair[k] = t;
    }
    mix(pair, n, size, lambda, x);
    return lambda;
}
