/* Samples to spectrogram features.
 *
 * Per frame, in double: samples * amplitude; Kaldi: the frame's mean removed, then y[i] = x[i] - a x[i-1] with x[-1] = x[0];
 * window; power spectrum (fft.c); filters, each one sum over FFT bins upwards; floor and logarithm; rounded to float once.
 * The other conventions pre-emphasise the signal, not the frame, and do so only if asked to. Frames are centred for
 * librosa (zeros around the signal) and torchaudio (mirrored at its ends), and lie inside the signal for the rest.
 *
 * Scale    LN  ln(max(floor, e)), floor 2^-23 for Kaldi, else 1e-10      DB  10 log10(max(1e-10, e)), librosa: and at most
 *          80 below the loudest value of the recording                   POWER  e     MAGNITUDE  filters over |X| instead of |X|^2
 * Then, per row over all frames: less the mean, divided by the standard deviation (population, at least 1e-5) if asked for.
 *
 * Order    a frame's mean: four sums of every fourth sample, (0+1) + (2+3); row sums: one chain over frames.
 * Layout   16 frames are computed into [bins][16] and then written as pieces of rows. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "media/features.h"
#include "media/fft.h"
#include "media/filters.h"

#define RN_TILE 16

struct rn_extractor {
    rn_features f;
    rn_frame frame;
    rn_filters filters;
    rn_fft *fft;
    double *window; /* [frame.window] */
};

int rn_extractor_open(rn_extractor **out, const rn_features *f, rn_error *err)
{
    *out = NULL;
    int status = rn_features_check(f, err);
    if (status)
        return status;
    rn_extractor *e = calloc(1, sizeof *e);
    if (!e)
        return rn_error_memory(err, "features", sizeof *e);
    e->f = *f;
    rn_frame_of(f, &e->frame);
    status = rn_filters_open(&e->filters, f, &e->frame, err);
    if (status)
        goto fail;
    status = rn_fft_open(&e->fft, e->frame.fft, err);
    if (status)
        goto fail;
    e->window = malloc((size_t)e->frame.window * sizeof *e->window);
    if (!e->window) {
        status = rn_error_memory(err, "a window", (unsigned long long)e->frame.window * sizeof *e->window);
        goto fail;
    }
    rn_window_make(f, &e->frame, e->window);
    *out = e;
    return 0;
fail:
    rn_extractor_close(&e);
    return status;
}

void rn_extractor_rows(const rn_extractor *e, double *hz)
{
    const rn_filters *filters = &e->filters;
    for (int b = 0; b < filters->bins; b++) {
        double sum = 0, weights = 0;
        for (int i = 0; i < filters->count[b]; i++) {
            sum += filters->weights[b][i] * (filters->first[b] + i) * e->f.rate / e->frame.fft;
            weights += filters->weights[b][i];
        }
        hz[b] = weights > 0 ? sum / weights : b ? hz[b - 1] : 0;
    }
}

void rn_extractor_close(rn_extractor **out)
{
    rn_extractor *e = *out;
    if (!e)
        return;
    rn_filters_close(&e->filters);
    rn_fft_close(&e->fft);
    free(e->window);
    free(e);
    *out = NULL;
}

/* A sample of the padded signal, pre-emphasised for the conventions that do so before framing. */
static double sample_at(const rn_extractor *e, const float *x, int64_t count, int64_t i)
{
    if (i < 0 || i >= count) {
        if (e->f.convention == RN_LIBROSA)
            return 0;
        i = i < 0 ? -i : 2 * (count - 1) - i;
    }
    double before = x[i > 0 ? i - 1 : 0];
    return e->f.amplitude * (e->f.preemphasis > 0 ? x[i] - e->f.preemphasis * before : x[i]);
}

static double mean_of(const double *x, int n)
{
    double lane[4] = {0, 0, 0, 0};
    int i = 0;
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; k++)
            lane[k] += x[i + k];
    for (int k = 0; i + k < n; k++)
        lane[k] += x[i + k];
    return ((lane[0] + lane[1]) + (lane[2] + lane[3])) / n;
}

/* The windowed frame t, zero-padded to the transform's length. */
static void frame_make(const rn_extractor *e, const float *x, int64_t count, int64_t t, double *out)
{
    int n = e->frame.window;
    int64_t start = t * e->frame.hop;
    if (e->f.convention != RN_KALDI) {
        if (e->f.convention != RN_SPECTROGRAM)
            start -= n / 2;
        for (int i = 0; i < n; i++)
            out[i] = sample_at(e, x, count, start + i) * e->window[i];
        return;
    }
    double a = e->f.preemphasis, scale = e->f.amplitude;
    for (int i = 0; i < n; i++)
        out[i] = x[start + i] * scale;
    double mean = mean_of(out, n);
    double last = out[0] - mean;
    for (int i = 0; i < n; i++) {
        double v = out[i] - mean;
        out[i] = (v - a * last) * e->window[i];
        last = v;
    }
    memset(out + n, 0, (size_t)(e->frame.fft - n) * sizeof *out);
}

/* One frame's energies, [bins] at a distance of RN_TILE. */
static void energies(const rn_extractor *e, double *spectrum, double *out)
{
    if (e->f.scale == RN_SCALE_MAGNITUDE)
        for (int k = 0; k <= e->frame.fft / 2; k++)
            spectrum[k] = sqrt(spectrum[k]);
    for (int b = 0; b < e->filters.bins; b++) {
        const double *w = e->filters.weights[b], *s = spectrum + e->filters.first[b];
        double sum = 0;
        for (int k = 0; k < e->filters.count[b]; k++)
            sum += w[k] * s[k];
        out[b * RN_TILE] = sum;
    }
}

/* ln x for normal positive x, to 2e-12: 64 of them per frame with base/maths' rn_log (exact to the last place) would take
 * longer than all the rest. x = 2^k m, ln m = 2 atanh(s) with s = (m - 1) / (m + 1), |s| < 0.172, series to s^13. */
static double quick_log(double x)
{
    uint64_t u;
    double m;
    memcpy(&u, &x, sizeof u);
    u += 0x3ff0000000000000u - 0x3fe6a09e667f3bcdu; /* so that the exponent changes at sqrt(1/2) */
    int k = (int)(u >> 52) - 1023;
    u = (u & 0x000fffffffffffffu) + 0x3fe6a09e667f3bcdu;
    memcpy(&m, &u, sizeof m);
    double s = (m - 1) / (m + 1), z = s * s;
    double series = z * (1.0 / 3 + z * (1.0 / 5 + z * (1.0 / 7 + z * (1.0 / 9 + z * (1.0 / 11 + z * (1.0 / 13))))));
    return k * 0.693147180559945309417 + 2 * (s + s * series);
}

static double scaled(const rn_extractor *e, double energy)
{
    double least = e->f.scale == RN_SCALE_LN && e->f.convention == RN_KALDI ? 0x1p-23 : 1e-10;
    if (e->f.scale == RN_SCALE_POWER || e->f.scale == RN_SCALE_MAGNITUDE)
        return energy;
    if (!(energy <= DBL_MAX)) /* infinite or NaN: said once, by the caller */
        return energy;
    if (energy < least)
        energy = least;
    return quick_log(energy) * (e->f.scale == RN_SCALE_LN ? 1 : 4.34294481903251827651); /* 10 / ln 10 */
}

/* librosa's power_to_db: nothing more than 80 dB below the loudest. */
static void limit_range(float *x, int64_t n)
{
    float most = x[0];
    for (int64_t i = 1; i < n; i++)
        most = x[i] > most ? x[i] : most;
    float least = most - 80;
    for (int64_t i = 0; i < n; i++)
        x[i] = x[i] < least ? least : x[i];
}

static void normalise_row(float *x, int64_t n, int with_variance)
{
    double sum = 0, squares = 0;
    for (int64_t t = 0; t < n; t++)
        sum += x[t];
    double mean = sum / (double)n, factor = 1;
    if (with_variance) {
        for (int64_t t = 0; t < n; t++)
            squares += (x[t] - mean) * (x[t] - mean);
        double deviation = sqrt(squares / (double)n);
        factor = deviation > 1e-5 ? deviation : 1e-5;
    }
    for (int64_t t = 0; t < n; t++)
        x[t] = (float)((x[t] - mean) / factor);
}

/* Fills out [bins][frames]; 0 if a value does not fit a float. */
static int compute(const rn_extractor *e, const float *x, int64_t count, int64_t frames, double *buffer, float *out)
{
    int bins = e->f.bins;
    double *frame = buffer, *spectrum = frame + e->frame.fft, *tile = spectrum + e->frame.fft / 2 + 1,
           *scratch = tile + (size_t)bins * RN_TILE;
    int fits = 1;
    for (int64_t t = 0; t < frames; t += RN_TILE) {
        int n = frames - t < RN_TILE ? (int)(frames - t) : RN_TILE;
        for (int i = 0; i < n; i++) {
            frame_make(e, x, count, t + i, frame);
            rn_fft_power(e->fft, frame, spectrum, scratch);
            energies(e, spectrum, tile + i);
        }
        for (int b = 0; b < bins; b++)
            for (int i = 0; i < n; i++) {
                double v = scaled(e, tile[b * RN_TILE + i]);
                fits &= fabs(v) <= FLT_MAX; /* false for NaN */
                out[b * frames + t + i] = (float)v;
            }
    }
    return fits;
}

int rn_extractor_run(const rn_extractor *e, const float *samples, int64_t count, float **out, int64_t *frames, rn_error *err)
{
    int64_t n = rn_features_frames(&e->f, count);
    int bins = e->f.bins;
    float *x = NULL;
    *out = NULL;
    *frames = 0;
    if (n < 1)
        return rn_error_set(err, RN_ERR_DATA, "%lld samples are %.0f ms, shorter than one window of %.6g ms", (long long)count,
                            count * 1000.0 / e->f.rate, e->f.window_ms);
    if (n > INT64_MAX / bins / 8 || (uint64_t)n * (uint64_t)bins > SIZE_MAX / sizeof *x)
        return rn_error_memory(err, "features", UINT64_MAX);
    size_t doubles = (size_t)e->frame.fft + (size_t)e->frame.fft / 2 + 1 + (size_t)bins * RN_TILE + rn_fft_scratch(e->fft);
    double *buffer = malloc(doubles * sizeof *buffer);
    x = malloc((size_t)n * (size_t)bins * sizeof *x);
    int status = 0;
    if (!buffer || !x) {
        status = rn_error_memory(err, "features", (unsigned long long)n * (unsigned)bins * sizeof *x);
        goto fail;
    }
    if (!compute(e, samples, count, n, buffer, x)) {
        status = rn_error_set(err, RN_ERR_NUMBER, "features are not finite: samples are not, or are far beyond -1 to 1");
        goto fail;
    }
    if (e->f.convention == RN_LIBROSA && e->f.scale == RN_SCALE_DB)
        limit_range(x, n * bins);
    for (int b = 0; b < bins && e->f.normalise != RN_NORMALISE_NONE; b++)
        normalise_row(x + b * n, n, e->f.normalise == RN_NORMALISE_MEAN_VARIANCE);
    free(buffer);
    *out = x;
    *frames = n;
    return 0;
fail:
    free(buffer);
    free(x);
    return status;
}
