/* Features: golden values of the libraries whose conventions they follow (tests/golden/features_*.txt, made by
 * scripts/golden/features.py), the transform against its definition, counts of frames, JSON, and hostile numbers. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>

#include <cmocka.h>

#include "media/features.h"
#include "media/fft.h"

static double noise(long long n)
{
    return floor((double)((n * n * 7919 + n * 104729) % 65536 - 32768) / 8);
}

/* The signals of scripts/golden/features.py. */
static float *make_signal(const char *kind, int count)
{
    float *x = malloc((size_t)count * sizeof *x);
    assert_non_null(x);
    for (long long n = 0; n < count; n++) {
        double v = noise(n);
        if (!strcmp(kind, "burst"))
            v = n < count / 3 ? v : n < 2 * (count / 3) ? floor(v / 1024) : 0;
        else if (!strcmp(kind, "steps"))
            v = (double)((n * n / 2000) % 2 * 8000 - 3900 + n * 37 % 11);
        x[n] = (float)(v / 32768);
    }
    return x;
}

static void run_or_fail(const rn_features *f, const float *x, int64_t count, float **out, int64_t *frames)
{
    rn_extractor *e = NULL;
    rn_error err = {0};
    if (rn_extractor_open(&e, f, &err) || rn_extractor_run(e, x, count, out, frames, &err))
        fail_msg("%s", err.text);
    rn_extractor_close(&e);
}

/* Catches every difference of convention: mel formula, triangle axis, norm, window symmetry, padding, floor, log, order of rows. */
static void check_golden(const char *convention, int want_cases)
{
    char path[1000], line[1000], name[200] = "";
    snprintf(path, sizeof path, "%s/golden/features_%s.txt", RN_TEST_DIR, convention);
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("%s cannot be opened", path);
    float *x = NULL, *out = NULL;
    int64_t frames = 0;
    int rate = 0, count = 0, cases = 0, compared = 0;
    rn_features f;
    while (fgets(line, sizeof line, file)) {
        char kind[32];
        int bins, width, at;
        double want, most = 0;
        line[strcspn(line, "\n")] = 0;
        if (!strncmp(line, "case ", 5)) {
            snprintf(name, sizeof name, "%.190s", line + 5);
            cases++;
        } else if (sscanf(line, "signal %31s %d %d", kind, &rate, &count) == 3) {
            free(x);
            x = make_signal(kind, count);
        } else if (!strncmp(line, "features ", 9)) {
            rn_error err = {0};
            json_t *section = json_loads(line + 9, 0, NULL);
            if (rn_features_from_json(&f, section, path, &err))
                fail_msg("%s: %s", name, err.text);
            json_decref(section);
            assert_int_equal(f.rate, rate);
            free(out);
            run_or_fail(&f, x, count, &out, &frames);
        } else if (sscanf(line, "shape %d %d", &bins, &width) == 2) {
            assert_int_equal(bins, f.bins);
            if (width != frames)
                fail_msg("%s %s: %d frames wanted, %d made", convention, name, width, (int)frames);
        } else if (sscanf(line, "mean %lf", &want) == 1) {
            double sum = 0;
            for (int64_t i = 0; i < f.bins * frames; i++)
                sum += out[i];
            if (fabs(sum / (double)(f.bins * frames) - want) > 1e-4 * fmax(1, fabs(want)))
                fail_msg("%s %s: mean %.9g, want %.9g", convention, name, sum / (double)(f.bins * frames), want);
        } else if (sscanf(line, "at %d %lf", &at, &want) == 2) {
            most = f.scale == RN_SCALE_LN || f.scale == RN_SCALE_DB ? 1e-4 : 1e-4 * fmax(1, fabs(want));
            if (!(fabs(out[at] - want) <= most))
                fail_msg("%s %s: bin %d frame %d is %.9g, want %.9g", convention, name, (int)(at / frames), (int)(at % frames), out[at], want);
            compared++;
        } else {
            fail_msg("%s: what is this: %s", path, line);
        }
    }
    fclose(file);
    free(x);
    free(out);
    assert_int_equal(cases, want_cases);
    assert_int_equal(compared, 150 * want_cases);
}

static void golden_kaldi(void **state)
{
    (void)state;
    check_golden("kaldi", 10);
}

static void golden_librosa(void **state)
{
    (void)state;
    check_golden("librosa", 7);
}

static void golden_torchaudio(void **state)
{
    (void)state;
    check_golden("torchaudio", 6);
}

/* The reference page's own table: both windows at 16 kHz, 80 bins, no normalisation. */
static void golden_table(void **state)
{
    (void)state;
    static const struct {
        rn_window window;
        int bin, frame;
        double want;
    } table[] = {{RN_HAMMING, 0, 0, 13.0055}, {RN_HAMMING, 1, 0, 13.4068}, {RN_HAMMING, 2, 0, 13.7526}, {RN_HAMMING, 3, 0, 15.1520},
                 {RN_HAMMING, 78, 0, 23.9947}, {RN_HAMMING, 79, 0, 24.3820}, {RN_HAMMING, 0, 50, 11.9370}, {RN_HAMMING, 1, 50, 12.6755},
                 {RN_HAMMING, 2, 50, 15.0268}, {RN_POVEY, 0, 0, 13.2385}, {RN_POVEY, 1, 0, 13.3918}, {RN_POVEY, 2, 0, 13.7663},
                 {RN_POVEY, 3, 0, 15.1807}};
    float *x = make_signal("noise", 16000), *out;
    for (int w = 0; w < 2; w++) {
        rn_features f;
        int64_t frames;
        double sum = 0;
        rn_features_default(&f, RN_KALDI, 16000);
        f.bins = 80;
        f.normalise = RN_NORMALISE_NONE;
        f.window = w ? RN_POVEY : RN_HAMMING;
        run_or_fail(&f, x, 16000, &out, &frames);
        assert_int_equal(frames, 98);
        for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
            if (table[i].window == f.window && fabs(out[table[i].bin * frames + table[i].frame] - table[i].want) > 1.1e-4)
                fail_msg("bin %d frame %d: %.5f, want %.4f", table[i].bin, table[i].frame, out[table[i].bin * frames + table[i].frame], table[i].want);
        for (int i = 0; i < 80 * 98; i++)
            sum += out[i];
        assert_true(fabs(sum / (80 * 98) - (w ? 19.94908 : 19.94419)) < 2e-5);
        free(out);
    }
    free(x);
}

/* Every kind of length: powers of two, all radices, primes with their own stage, and Bluestein's. */
static void transform_is_its_definition(void **state)
{
    (void)state;
    static const int lengths[] = {2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 16, 22, 25, 27, 30, 49, 61, 64, 77, 97, 101, 122, 127, 134, 200, 254, 256, 375, 400, 441, 512, 551, 1102, 1103};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        int n = lengths[i];
        rn_fft *fft = NULL;
        rn_error err = {0};
        assert_int_equal(rn_fft_open(&fft, n, &err), 0);
        double *x = malloc((size_t)n * sizeof *x), *power = malloc((size_t)(n / 2 + 2) * sizeof *power), *scratch = malloc(rn_fft_scratch(fft) * sizeof *scratch);
        double energy = 0;
        for (int k = 0; k < n; k++) {
            x[k] = (double)(k * 7919 % 1009) / 1009 - 0.3;
            energy += x[k] * x[k];
        }
        power[n / 2 + 1] = -7;
        rn_fft_power(fft, x, power, scratch);
        assert_true(power[n / 2 + 1] == -7);
        for (int k = 0; k <= n / 2; k++) {
            double re = 0, im = 0;
            for (int t = 0; t < n; t++) {
                double angle = 2 * 3.14159265358979323846 * (double)((long long)t * k % n) / n;
                re += x[t] * cos(angle);
                im -= x[t] * sin(angle);
            }
            if (fabs(power[k] - (re * re + im * im)) > 1e-12 * n * energy)
                fail_msg("length %d, bin %d: %.17g, want %.17g", n, k, power[k], re * re + im * im);
        }
        free(x);
        free(power);
        free(scratch);
        rn_fft_close(&fft);
    }
}

/* A plain spectrogram is the power of windowed pieces, row k = bin k: a sine of 1 kHz must stand in its row. */
static void plain_spectrogram(void **state)
{
    (void)state;
    rn_features f;
    rn_features_default(&f, RN_SPECTROGRAM, 8000);
    assert_int_equal(f.bins, 101); /* 200 samples: 0, 40 ... 4000 Hz */
    f.normalise = RN_NORMALISE_NONE;
    f.scale = RN_SCALE_MAGNITUDE;
    float x[2000], *out;
    for (int i = 0; i < 2000; i++)
        x[i] = (float)(0.5 * sin(2 * 3.14159265358979323846 * i / 8));
    int64_t frames;
    run_or_fail(&f, x, 2000, &out, &frames);
    assert_int_equal(frames, 1 + (2000 - 200) / 80);
    for (int64_t t = 0; t < frames; t++) {
        /* Hann of 200 sums to 100; half of the amplitude goes to the positive frequency; its neighbours get half of that. */
        assert_true(fabs(out[25 * frames + t] - 25) < 1e-4);
        assert_true(fabs(out[24 * frames + t] - 12.5) < 1e-4 && fabs(out[26 * frames + t] - 12.5) < 1e-4);
        assert_true(out[10 * frames + t] < 1e-4);
    }
    free(out);
    f.low_hz = 1000;
    f.high_hz = 2000;
    rn_features_complete(&f);
    assert_int_equal(f.bins, 26);
    run_or_fail(&f, x, 2000, &out, &frames);
    assert_true(fabs(out[0] - 25) < 1e-4);
    free(out);
}

/* Silence has no mean to keep: a network must see zeros, and not what is left of -15.94 by rounding. */
static void silence_is_zero(void **state)
{
    (void)state;
    float *x = calloc(16000, sizeof *x), *out;
    for (int c = 0; c < 4; c++)
        for (int n = 1; n < 3; n++) {
            rn_features f;
            int64_t frames;
            rn_features_default(&f, (rn_convention)c, 16000);
            f.normalise = (rn_normalise)n;
            run_or_fail(&f, x, 16000, &out, &frames);
            for (int64_t i = 0; i < frames * f.bins; i++)
                assert_true(out[i] == 0);
            free(out);
        }
    rn_features f;
    int64_t frames;
    rn_features_default(&f, RN_KALDI, 16000);
    f.normalise = RN_NORMALISE_NONE;
    run_or_fail(&f, x, 16000, &out, &frames);
    assert_true(fabs(out[0] - -15.9424) < 1e-4);
    free(out);
    free(x);
}

/* rn_features_samples must be the smallest count that gives the frames, and the extractor must agree with both. */
static void frames_and_samples_agree(void **state)
{
    (void)state;
    static const int rates[] = {8000, 11025, 16000, 22050, 44100};
    float *x = make_signal("noise", 30000);
    for (int c = 0; c < 4; c++)
        for (size_t r = 0; r < sizeof rates / sizeof rates[0]; r++)
            for (int odd = 0; odd < 2; odd++) {
                rn_features f;
                rn_error err;
                rn_features_default(&f, (rn_convention)c, rates[r]);
                if (odd)
                    f.window_ms = 401 * 1000.0 / rates[r];
                rn_features_complete(&f);
                f.bins = c == RN_SPECTROGRAM ? f.bins : 10;
                rn_extractor *e = NULL;
                assert_int_equal(rn_extractor_open(&e, &f, &err), 0);
                for (int64_t want = 1; want < 20; want += 3) {
                    int64_t samples = rn_features_samples(&f, want), frames = 0;
                    float *out;
                    assert_true(samples > 0 && samples < 30000);
                    assert_true(rn_features_frames(&f, samples) >= want);
                    assert_true(rn_features_frames(&f, samples - 1) < want);
                    assert_int_equal(rn_extractor_run(e, x, samples, &out, &frames, &err), 0);
                    assert_int_equal(frames, rn_features_frames(&f, samples));
                    free(out);
                }
                rn_extractor_close(&e);
            }
    free(x);
    rn_features f;
    rn_features_default(&f, RN_KALDI, 8000);
    f.seconds = 1;
    assert_int_equal(rn_features_length(&f), 98);
}

static void too_short_is_said(void **state)
{
    (void)state;
    rn_features f;
    rn_error err;
    rn_extractor *e = NULL;
    float x[199] = {0}, *out;
    int64_t frames;
    rn_features_default(&f, RN_KALDI, 8000);
    assert_int_equal(rn_extractor_open(&e, &f, &err), 0);
    assert_int_equal(rn_extractor_run(e, x, 199, &out, &frames, &err), RN_ERR_DATA);
    assert_null(out);
    assert_non_null(strstr(err.text, "shorter than one window"));
    assert_int_equal(rn_extractor_run(e, x, 0, &out, &frames, &err), RN_ERR_DATA);
    rn_extractor_close(&e);
}

/* NaN and numbers beyond float must not enter a network. */
static void not_finite_is_said(void **state)
{
    (void)state;
    static const rn_scale scales[] = {RN_SCALE_LN, RN_SCALE_DB, RN_SCALE_POWER, RN_SCALE_MAGNITUDE};
    float x[800], *out;
    int64_t frames;
    rn_error err;
    for (int c = 0; c < 4; c++)
        for (int s = 0; s < 4; s++)
            for (int bad = 0; bad < 3; bad++) {
                rn_features f;
                rn_extractor *e = NULL;
                rn_features_default(&f, (rn_convention)c, 16000);
                f.scale = scales[s];
                for (int i = 0; i < 800; i++)
                    x[i] = (float)(noise(i) / 32768);
                x[300] = bad == 0 ? NAN : bad == 1 ? INFINITY : 1e35f;
                assert_int_equal(rn_extractor_open(&e, &f, &err), 0);
                int status = rn_extractor_run(e, x, 800, &out, &frames, &err);
                if (bad == 2 && scales[s] != RN_SCALE_POWER) {
                    if (!status)
                        for (int64_t i = 0; i < f.bins * frames; i++)
                            assert_true(isfinite(out[i]));
                } else {
                    assert_int_equal(status, RN_ERR_NUMBER);
                }
                free(out);
                rn_extractor_close(&e);
            }
}

static json_t *section_of(rn_convention c)
{
    rn_features f;
    rn_features_default(&f, c, 22050);
    return rn_features_to_json(&f);
}

/* What a model file holds must come back to the bit, whatever the convention; nothing may be missing or unknown. */
static void json_is_complete_and_strict(void **state)
{
    (void)state;
    rn_error err;
    for (int c = 0; c < 4; c++) {
        rn_features f, got;
        rn_features_default(&f, (rn_convention)c, 22050);
        f.seconds = 2.7000000000000002;
        f.channel = 2;
        json_t *section = rn_features_to_json(&f);
        char *text = json_dumps(section, 0);
        json_decref(section);
        section = json_loads(text, 0, NULL);
        free(text);
        assert_int_equal(rn_features_from_json(&got, section, "m", &err), 0);
        assert_true(got.convention == f.convention && got.rate == f.rate && got.channel == 2 && got.bins == f.bins && got.window_ms == f.window_ms &&
                    got.hop_ms == f.hop_ms && got.window == f.window && got.low_hz == f.low_hz && got.high_hz == f.high_hz &&
                    got.preemphasis == f.preemphasis && got.amplitude == f.amplitude && got.scale == f.scale && got.normalise == f.normalise &&
                    got.seconds == f.seconds);
        json_decref(section);
    }
    json_t *section = section_of(RN_KALDI), *whole = json_deep_copy(section);
    rn_features untouched, copy;
    memset(&untouched, 0x5a, sizeof untouched);
    copy = untouched;
    const char *key;
    json_t *value;
    json_object_foreach(whole, key, value)
    {
        char quoted[64];
        snprintf(quoted, sizeof quoted, "\"%s\" is missing", key);
        json_object_del(section, key);
        assert_int_equal(rn_features_from_json(&untouched, section, "m.safetensors", &err), RN_ERR_FORMAT);
        assert_non_null(strstr(err.text, quoted));
        assert_non_null(strstr(err.text, "m.safetensors"));
        json_object_set_new(section, key, json_true());
        assert_int_equal(rn_features_from_json(&untouched, section, "m", &err), RN_ERR_FORMAT);
        assert_non_null(strstr(err.text, key));
        json_object_set(section, key, value);
    }
    json_object_set_new(section, "colour", json_integer(1));
    assert_int_equal(rn_features_from_json(&untouched, section, "m", &err), RN_ERR_FORMAT);
    assert_non_null(strstr(err.text, "colour"));
    assert_int_equal(rn_features_from_json(&untouched, NULL, "m", &err), RN_ERR_FORMAT);
    assert_memory_equal(&untouched, &copy, sizeof copy);
    json_decref(section);
    json_decref(whole);
}

/* Each is refused with a sentence that names the number; none may reach an allocation or a loop. */
static void hostile_numbers_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        double value;
    } cases[] = {{"rate", 0}, {"rate", 2e9}, {"bins", 0}, {"bins", 2147483647}, {"window_ms", 0}, {"window_ms", -1}, {"window_ms", 1e300}, {"hop_ms", 1e-9},
                 {"hop_ms", 1e12}, {"low_hz", -5}, {"low_hz", 12000}, {"high_hz", 12000}, {"high_hz", -20000}, {"high_hz", 1e300}, {"preemphasis", 2},
                 {"amplitude", 0}, {"amplitude", 1e300}, {"seconds", 0}, {"seconds", 1e12}, {"seconds", 0.001}, {"channel", 5000}};
    rn_error err;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *section = section_of(RN_KALDI);
        rn_features f;
        int whole = !strcmp(cases[i].key, "rate") || !strcmp(cases[i].key, "bins") || !strcmp(cases[i].key, "channel");
        json_object_set_new(section, cases[i].key, whole ? json_integer((json_int_t)cases[i].value) : json_real(cases[i].value));
        err.text[0] = 0;
        if (rn_features_from_json(&f, section, "m", &err) != RN_ERR_FORMAT)
            fail_msg("%s = %g was taken", cases[i].key, cases[i].value);
        assert_true(strlen(err.text) > 20);
        json_decref(section);
    }
    rn_features f;
    rn_features_default(&f, RN_KALDI, 8000);
    f.bins = 128;
    assert_int_equal(rn_features_check(&f, &err), RN_ERR_ARG);
    assert_non_null(strstr(err.text, "catch no frequency"));
    rn_features_default(&f, RN_TORCHAUDIO, 16000); /* the library's own default has such rows, and goes on */
    assert_int_equal(rn_features_check(&f, &err), 0);
    char list[20];
    assert_true(rn_features_empty_bins(&f, list, sizeof list) > 3);
    assert_non_null(strstr(list, "..."));
    assert_true(strlen(list) < sizeof list);
    f.convention = RN_SPECTROGRAM;
    f.bins = 64;
    assert_int_equal(rn_features_check(&f, &err), RN_ERR_ARG);
    assert_non_null(strstr(err.text, "201"));
}

static void crop_wraps(void **state)
{
    (void)state;
    static const float in[6] = {0, 1, 2, 10, 11, 12};
    float out[14];
    rn_features_crop(in, 2, 3, 2, 7, out);
    static const float want[14] = {2, 0, 1, 2, 0, 1, 2, 12, 10, 11, 12, 10, 11, 12};
    assert_memory_equal(out, want, sizeof want);
    rn_features_crop(in, 2, 3, -2, 1, out);
    assert_true(out[0] == 1 && out[1] == 11);
}

struct shared {
    const rn_extractor *e;
    const float *x;
    float *out;
};

static void *run_in_thread(void *argument)
{
    struct shared *s = argument;
    int64_t frames;
    rn_error err;
    rn_extractor_run(s->e, s->x, 16000, &s->out, &frames, &err);
    return NULL;
}

/* One extractor, four threads: shared scratch would mix their frames. */
static void threads_share_an_extractor(void **state)
{
    (void)state;
    rn_features f;
    rn_error err;
    rn_extractor *e = NULL;
    float *x[4];
    struct shared job[4];
    pthread_t thread[4];
    rn_features_default(&f, RN_KALDI, 16000);
    assert_int_equal(rn_extractor_open(&e, &f, &err), 0);
    for (int i = 0; i < 4; i++) {
        x[i] = make_signal(i % 2 ? "noise" : "steps", 16000);
        job[i] = (struct shared){e, x[i], NULL};
        assert_int_equal(pthread_create(&thread[i], NULL, run_in_thread, &job[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < 4; i++) {
        float *alone;
        int64_t frames;
        assert_int_equal(rn_extractor_run(e, x[i], 16000, &alone, &frames, &err), 0);
        assert_memory_equal(alone, job[i].out, (size_t)(frames * f.bins) * sizeof *alone);
        free(alone);
        free(job[i].out);
        free(x[i]);
    }
    rn_extractor_close(&e);
}

/* One hash for every compiler, optimisation and processor: a libm function, a contracted multiply-add or a sum in another order changes it.
 * (gcc 12 and clang 14 at -O0, -O2 and -O3 -march=native gave this one.) */
static void the_same_bits_everywhere(void **state)
{
    (void)state;
    static const int rates[] = {8000, 16000, 22050, 44100};
    uint64_t hash = 1469598103934665603u; /* FNV-1a */
    float *x = make_signal("noise", 50000);
    for (int c = 0; c < 4; c++)
        for (int r = 0; r < 4; r++)
            for (int n = 0; n < 3; n++) {
                rn_features f;
                int64_t frames;
                float *out;
                rn_features_default(&f, (rn_convention)c, rates[r]);
                f.normalise = (rn_normalise)n;
                run_or_fail(&f, x, 50000, &out, &frames);
                for (int64_t i = 0; i < f.bins * frames; i++) {
                    uint32_t bits;
                    memcpy(&bits, out + i, sizeof bits);
                    for (int k = 0; k < 4; k++)
                        hash = (hash ^ (bits >> (8 * k) & 255)) * 1099511628211u;
                }
                free(out);
            }
    free(x);
    if (hash != 0x95b74257c8a873d9u)
        fail_msg("hash %016llx", (unsigned long long)hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_table), cmocka_unit_test(golden_kaldi), cmocka_unit_test(golden_librosa), cmocka_unit_test(golden_torchaudio),
        cmocka_unit_test(transform_is_its_definition), cmocka_unit_test(plain_spectrogram), cmocka_unit_test(silence_is_zero),
        cmocka_unit_test(frames_and_samples_agree), cmocka_unit_test(too_short_is_said), cmocka_unit_test(not_finite_is_said),
        cmocka_unit_test(json_is_complete_and_strict), cmocka_unit_test(hostile_numbers_are_refused), cmocka_unit_test(crop_wraps),
        cmocka_unit_test(threads_share_an_extractor), cmocka_unit_test(the_same_bits_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
