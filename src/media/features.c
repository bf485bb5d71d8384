/* Features: defaults, ranges, and how samples and frames count. The computation is in extractor.c, JSON in features_json.c. */
#include "media/features.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "media/fft.h"
#include "media/filters.h"

static int library_defaults(rn_convention convention)
{
    return convention == RN_LIBROSA || convention == RN_TORCHAUDIO;
}

void rn_features_default(rn_features *f, rn_convention convention, int rate)
{
    memset(f, 0, sizeof *f);
    f->convention = convention;
    f->rate = rate;
    f->bins = 64;
    f->window_ms = 25;
    f->hop_ms = 10;
    f->window = RN_HANN;
    f->amplitude = 1;
    f->scale = RN_SCALE_DB;
    f->normalise = RN_NORMALISE_MEAN;
    f->seconds = 3;
    if (convention == RN_KALDI) {
        f->window = RN_HAMMING;
        f->low_hz = 20;
        f->preemphasis = 0.97;
        f->amplitude = 32768;
        f->scale = RN_SCALE_LN;
    } else if (convention == RN_SPECTROGRAM) {
        f->scale = RN_SCALE_LN;
        f->bins = 0;
    } else {
        f->bins = 128;
        f->window_ms = f->hop_ms = 0;
    }
    rn_features_complete(f);
}

void rn_features_complete(rn_features *f)
{
    rn_frame frame;
    int first;
    if (f->rate < 1)
        return;
    if (library_defaults(f->convention)) {
        /* The libraries' own defaults are in samples. */
        if (!(f->window_ms > 0))
            f->window_ms = (f->convention == RN_LIBROSA ? 2048 : 400) * 1000.0 / f->rate;
        if (!(f->hop_ms > 0))
            f->hop_ms = (f->convention == RN_LIBROSA ? 512 : 200) * 1000.0 / f->rate;
    }
    if (f->convention != RN_SPECTROGRAM)
        return;
    rn_frame_of(f, &frame);
    if (frame.fft > 1)
        f->bins = rn_spectrogram_bins(f, &frame, &first);
}

static int check_frame(const rn_features *f, const rn_frame *frame, rn_error *err)
{
    double nyquist = 0.5 * f->rate;
    int first;
    if (frame->window < 2 || frame->fft > RN_FFT_MAX || frame->hop < 1)
        return rn_error_set(err, RN_ERR_ARG,
                            "features: a window of %.6g ms and a hop of %.6g ms at %d Hz: want at least 2 samples and 1, at most %d",
                            f->window_ms, f->hop_ms, f->rate, RN_FFT_MAX);
    if (!(f->low_hz >= 0) || !(f->low_hz < frame->high_hz) || !(frame->high_hz <= nyquist))
        return rn_error_set(err, RN_ERR_ARG, "features: from %.6g to %.6g Hz: want 0 <= low < high <= %.6g Hz, half the rate", f->low_hz,
                            frame->high_hz, nyquist);
    if (f->convention != RN_SPECTROGRAM)
        return 0;
    int rows = rn_spectrogram_bins(f, frame, &first);
    if (rows != f->bins)
        return rn_error_set(err, RN_ERR_ARG,
                            "features: %d bins, but a plain spectrogram of this window and range has %d: leave the number out", f->bins,
                            rows);
    return 0;
}

int rn_features_check_values(const rn_features *f, rn_error *err)
{
    int in_samples = library_defaults(f->convention);
    if ((unsigned)f->convention > RN_SPECTROGRAM || (unsigned)f->window > RN_RECTANGULAR || (unsigned)f->scale > RN_SCALE_MAGNITUDE ||
        (unsigned)f->normalise > RN_NORMALISE_MEAN_VARIANCE)
        return rn_error_set(err, RN_ERR_ARG, "features: unknown convention, window, scale or normalisation");
    if (f->rate < 0 || f->rate > 10000000)
        return rn_error_set(err, RN_ERR_ARG, "features: rate %d Hz: want 1 to 10000000", f->rate);
    if (f->channel < 0 || f->channel > 1024)
        return rn_error_set(err, RN_ERR_ARG, "features: channel %d: want 1 to 1024, or 0 for the mean", f->channel);
    if (f->bins < (f->convention != RN_SPECTROGRAM) || f->bins > RN_FFT_MAX / 2 + 1)
        return rn_error_set(err, RN_ERR_ARG, "features: %d bins: want at least 1", f->bins);
    if (!(f->window_ms > 0 || (in_samples && f->window_ms == 0)) || !(f->hop_ms > 0 || (in_samples && f->hop_ms == 0)) ||
        f->window_ms > 1e9 || f->hop_ms > 1e9)
        return rn_error_set(err, RN_ERR_ARG, "features: a window of %.6g ms and a hop of %.6g ms: both are above 0", f->window_ms,
                            f->hop_ms);
    if (!(f->preemphasis >= 0) || !(f->preemphasis <= 1))
        return rn_error_set(err, RN_ERR_ARG, "features: pre-emphasis %.6g: want 0 to 1", f->preemphasis);
    if (!(f->amplitude > 0) || !(f->amplitude <= 1e12))
        return rn_error_set(err, RN_ERR_ARG, "features: amplitude %.6g: want above 0, 32768 or 1 by habit", f->amplitude);
    if (!(f->seconds >= 0) || f->seconds > 86400)
        return rn_error_set(err, RN_ERR_ARG, "features: length of %.6g s: want above 0, at most a day", f->seconds);
    if (!isfinite(f->low_hz) || !isfinite(f->high_hz))
        return rn_error_set(err, RN_ERR_ARG, "features: the frequency range is not finite");
    return 0;
}

int rn_features_check(const rn_features *f, rn_error *err)
{
    rn_frame frame;
    char list[200];
    int status = rn_features_check_values(f, err);
    if (status)
        return status;
    if (f->rate < 1)
        return rn_error_set(err, RN_ERR_ARG, "features: rate %d Hz: want 1 to 10000000", f->rate);
    if (!(f->seconds > 0))
        return rn_error_set(err, RN_ERR_ARG, "features: length of %.6g s: want above 0, at most a day", f->seconds);
    if (f->bins < 1)
        return rn_error_set(err, RN_ERR_ARG, "features: %d bins: want at least 1", f->bins);
    if (!(f->window_ms > 0) || !(f->hop_ms > 0))
        return rn_error_set(err, RN_ERR_ARG, "features: a window of %.6g ms and a hop of %.6g ms: both are above 0", f->window_ms,
                            f->hop_ms);
    rn_frame_of(f, &frame);
    if ((status = check_frame(f, &frame, err)))
        return status;
    if (f->convention == RN_KALDI) {
        int empty = rn_features_empty_bins(f, list, sizeof list);
        if (empty < 0)
            return rn_error_memory(err, "filter banks", 0);
        if (empty)
            return rn_error_set(err, RN_ERR_ARG,
                                "features: of %d bins, %d catch no frequency of the transform (%s): use fewer bins or a longer window",
                                f->bins, empty, list);
    }
    if (rn_features_length(f) < 1)
        return rn_error_set(err, RN_ERR_ARG, "features: %.6g s are shorter than one window of %.6g ms", f->seconds, f->window_ms);
    return 0;
}

int rn_features_empty_bins(const rn_features *f, char *list, size_t size)
{
    rn_frame frame;
    rn_filters filters;
    int empty = 0;
    size_t used = 0;
    if (size)
        list[0] = 0;
    rn_frame_of(f, &frame);
    if (rn_filters_open(&filters, f, &frame, NULL))
        return -1;
    for (int b = 0; b < f->bins; b++) {
        if (filters.count[b])
            continue;
        if (used + 16 < size)
            used += (size_t)snprintf(list + used, size - used, "%s%d", empty ? ", " : "", b);
        else if (used + 5 < size)
            used += (size_t)snprintf(list + used, size - used, " ...") + size;
        empty++;
    }
    rn_filters_close(&filters);
    return empty;
}

int64_t rn_features_frames(const rn_features *f, int64_t samples)
{
    rn_frame frame;
    rn_frame_of(f, &frame);
    if (samples < 1)
        return 0;
    switch (f->convention) {
    case RN_LIBROSA: /* centred, zeros around */
        return 1 + (samples - frame.window % 2) / frame.hop;
    case RN_TORCHAUDIO: /* centred, mirrored: the mirror needs half a window */
        return samples > frame.window / 2 ? 1 + (samples - frame.window % 2) / frame.hop : 0;
    default:
        return samples >= frame.window ? 1 + (samples - frame.window) / frame.hop : 0;
    }
}

int64_t rn_features_samples(const rn_features *f, int64_t frames)
{
    rn_frame frame;
    rn_frame_of(f, &frame);
    if (frames < 1 || frames > ((int64_t)1 << 40))
        return 0;
    int64_t samples = (frames - 1) * frame.hop;
    switch (f->convention) {
    case RN_LIBROSA:
    case RN_TORCHAUDIO:
        samples += frame.window % 2;
        if (samples < 1)
            samples = 1;
        if (f->convention == RN_TORCHAUDIO && samples <= frame.window / 2)
            samples = frame.window / 2 + 1;
        return samples;
    default:
        return samples + frame.window;
    }
}

int64_t rn_features_length(const rn_features *f)
{
    return rn_features_frames(f, (int64_t)floor(f->seconds * f->rate + 0.5));
}

void rn_features_crop(const float *in, int bins, int64_t in_frames, int64_t first, int64_t frames, float *out)
{
    if (in_frames < 1)
        return;
    first %= in_frames;
    if (first < 0)
        first += in_frames;
    for (int b = 0; b < bins; b++) {
        const float *row = in + b * in_frames;
        float *to = out + b * frames;
        for (int64_t t = 0, at = first; t < frames;) {
            int64_t n = in_frames - at < frames - t ? in_frames - at : frames - t;
            memcpy(to + t, row + at, (size_t)n * sizeof *to);
            t += n;
            at = 0;
        }
    }
}
