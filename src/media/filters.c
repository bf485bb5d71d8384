/* Windows and filter banks.
 *
 * Kaldi       mel = 1127 ln(1 + f/700), edges equidistant in mel, triangles linear in mel, unnormalised, Nyquist's bin left out
 * librosa     Slaney's mel (f / 66.67 below 1 kHz, 15 + 27 ln(f/1000) / ln 6.4 above), triangles linear in Hz, area 2 / width
 * torchaudio  HTK's mel 2595 log10(1 + f/700), triangles linear in Hz, unnormalised
 * spectrogram one FFT bin per row
 * Windows are symmetric (N - 1) for Kaldi, periodic (N) for the others. Povey's is Hann's to the power 0.85.
 * Sources: torchaudio.compliance.kaldi, librosa.filters.mel, torchaudio.functional.melscale_fbanks (their documentation). */
#include "media/filters.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/maths.h"
#include "media/fft.h"

#define RN_PI 3.14159265358979323846

static int whole(double x)
{
    return x >= 1 && x <= RN_FFT_MAX ? (int)x : -1;
}

void rn_frame_of(const rn_features *f, rn_frame *frame)
{
    /* Kaldi cuts (551.25 -> 551, 275.6 -> 275), in this order of products; the others are given in samples by their users. */
    double half = f->convention == RN_KALDI ? 0 : 0.5;
    frame->window = whole(floor(f->rate * f->window_ms * 0.001 + half));
    frame->hop = whole(floor(f->rate * f->hop_ms * 0.001 + half));
    frame->fft = frame->window;
    if (f->convention == RN_KALDI && frame->window > 0)
        for (frame->fft = 2; frame->fft < frame->window;)
            frame->fft *= 2;
    frame->low_hz = f->low_hz;
    double nyquist = f->convention == RN_TORCHAUDIO ? f->rate / 2 : 0.5 * f->rate; /* sr // 2, as there */
    frame->high_hz = f->high_hz > 0 ? f->high_hz : nyquist + f->high_hz;
}

void rn_window_make(const rn_features *f, const rn_frame *frame, double *out)
{
    int n = frame->window;
    double period = f->convention == RN_KALDI && n > 1 ? n - 1 : n;
    for (int i = 0; i < n; i++) {
        double c = rn_cos(2 * RN_PI * i / period);
        switch (f->window) {
        case RN_HAMMING:
            out[i] = 0.54 - 0.46 * c;
            break;
        case RN_RECTANGULAR:
            out[i] = 1;
            break;
        case RN_HANN:
        case RN_POVEY:
            out[i] = 0.5 - 0.5 * c;
            if (out[i] < 1e-20) /* cos(2 pi) of the last sample may fall short of 1 by a bit */
                out[i] = 0;
            if (f->window == RN_POVEY && out[i] > 0)
                out[i] = rn_pow(out[i], 0.85);
            break;
        }
    }
}

static double to_mel(rn_convention c, double hz)
{
    if (c == RN_KALDI)
        return 1127 * rn_log(1 + hz / 700);
    if (c == RN_TORCHAUDIO)
        return 2595 * rn_log10(1 + hz / 700);
    return hz < 1000 ? hz * 3 / 200 : 15 + 27 * rn_log(hz / 1000) / rn_log(6.4);
}

static double to_hz(rn_convention c, double mel)
{
    if (c == RN_TORCHAUDIO)
        return 700 * (rn_pow(10, mel / 2595) - 1);
    return mel < 15 ? mel * 200 / 3 : 1000 * rn_exp((mel - 15) * rn_log(6.4) / 27);
}

int rn_spectrogram_bins(const rn_features *f, const rn_frame *frame, int *first)
{
    int count = 0;
    *first = 0;
    for (int k = 0; k <= frame->fft / 2; k++) {
        double hz = (double)k * f->rate / frame->fft;
        if (hz < frame->low_hz || hz > frame->high_hz)
            continue;
        if (!count)
            *first = k;
        count++;
    }
    return count;
}

/* edges[bins + 2], in what the triangle is linear in: mel for Kaldi, Hz for the others. */
static void edges_make(const rn_features *f, const rn_frame *frame, double *edges)
{
    double low = to_mel(f->convention, frame->low_hz), high = to_mel(f->convention, frame->high_hz);
    double step = (high - low) / (f->bins + 1);
    for (int i = 0; i < f->bins + 2; i++) {
        edges[i] = low + i * step;
        if (f->convention != RN_KALDI)
            edges[i] = to_hz(f->convention, edges[i]);
    }
}

static double weight(const double *edge, double at)
{
    double up = (at - edge[0]) / (edge[1] - edge[0]), down = (edge[2] - at) / (edge[2] - edge[1]);
    double w = up < down ? up : down;
    return w > 0 ? w : 0;
}

int rn_filters_open(rn_filters *out, const rn_features *f, const rn_frame *frame, rn_error *err)
{
    int bins = f->bins, last = f->convention == RN_KALDI ? frame->fft / 2 - 1 : frame->fft / 2, first_bin = 0, used = 0;
    double *axis = NULL, *edges = NULL;
    memset(out, 0, sizeof *out);
    out->bins = bins;
    out->first = calloc((size_t)bins, sizeof *out->first);
    out->count = calloc((size_t)bins, sizeof *out->count);
    out->weights = calloc((size_t)bins, sizeof *out->weights);
    /* A bin lies under two triangles at most; mel edges that fall together at the ends may add one. */
    int room = 2 * (last + 1) + 2 * bins;
    out->block = calloc((size_t)room, sizeof *out->block);
    axis = calloc((size_t)last + 1, sizeof *axis);
    edges = calloc((size_t)bins + 2, sizeof *edges);
    int status = 0;
    if (!out->first || !out->count || !out->weights || !out->block || !axis || !edges) {
        status = rn_error_memory(err, "filter banks", (unsigned long long)room * sizeof *out->block);
        goto done;
    }
    if (f->convention == RN_SPECTROGRAM)
        rn_spectrogram_bins(f, frame, &first_bin);
    else
        edges_make(f, frame, edges);
    for (int k = 0; k <= last; k++) {
        double hz = (double)k * f->rate / frame->fft;
        if (f->convention == RN_TORCHAUDIO) /* its bins are spread evenly over [0, sr // 2], in odd transforms too */
            hz = (double)k * (f->rate / 2) / (frame->fft / 2);
        axis[k] = f->convention == RN_KALDI ? to_mel(RN_KALDI, hz) : hz;
    }
    for (int b = 0, from = 0; b < bins; b++) {
        out->weights[b] = out->block + used;
        if (f->convention == RN_SPECTROGRAM) {
            out->first[b] = first_bin + b;
            out->count[b] = 1;
            out->block[used++] = 1;
            continue;
        }
        double area = f->convention == RN_LIBROSA ? 2 / (edges[b + 2] - edges[b]) : 1;
        while (from <= last && axis[from] <= edges[b])
            from++;
        for (int k = from; k <= last && axis[k] < edges[b + 2] && used < room; k++) {
            double w = weight(edges + b, axis[k]) * area;
            if (!out->count[b])
                out->first[b] = k;
            out->count[b]++;
            out->block[used++] = w;
        }
    }
done:
    free(axis);
    free(edges);
    if (status)
        rn_filters_close(out);
    return status;
}

void rn_filters_close(rn_filters *filters)
{
    free(filters->first);
    free(filters->count);
    free(filters->weights);
    free(filters->block);
    memset(filters, 0, sizeof *filters);
}
