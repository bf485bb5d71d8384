/* Sample-rate conversion by libsamplerate's band-limited interpolation (J. O. Smith's algorithm).
 *
 * Each output sample is computed from its own position in the input; where the input was cut into pieces does not enter,
 * so a stream gives the bits of the whole signal (tests/check_media compares them for pieces of 1 to 30,000 samples).
 * The converter ends by itself: n samples give floor(n * ratio), the filter's tail running into zeros; where n * ratio is whole, the
 * sum of positions may end a rounding later, and one sample is missing.
 *
 * FILE is libsamplerate's medium sinc, for all that is trained on and predicted from: level to 90 % of the new half rate, aliases 120 dB
 * down. The best sinc (96 %, 150 dB) costs 3 to 5 times as much (44.1 to 16 kHz on one shared core of an AMD EPYC: 22 times real time
 * against 111), more than decoding, features and a small network together, for a twentieth of the band. FAST (80 %, 100 dB) is for speed
 * perturbation, where training cannot notice. */
#include "media/resample.h"

#include <samplerate.h>
#include <stdlib.h>
#include <string.h>
#include "media/sound.h"

struct rn_resampler {
    SRC_STATE *state;
    double ratio;
};

/* src_process counts in `long`; pieces stay below this so that no count is ever cut. */
#define RN_PIECE_MAX (1 << 20)

int rn_resampler_open(rn_resampler **out, double ratio, rn_resample_quality quality, rn_error *err)
{
    int code = 0;
    *out = NULL;
    if (!src_is_valid_ratio(ratio))
        return rn_error_set(err, RN_ERR_ARG, "resampling by a factor of %.6g: factors from 1/256 to 256 can be done", ratio);
    rn_resampler *r = calloc(1, sizeof *r);
    if (!r)
        return rn_error_memory(err, "a resampler", sizeof *r);
    r->ratio = ratio;
    r->state = src_new(quality == RN_RESAMPLE_FILE ? SRC_SINC_MEDIUM_QUALITY : SRC_SINC_FASTEST, 1, &code);
    if (!r->state) {
        free(r);
        return rn_error_set(err, RN_ERR_MEMORY, "no memory for a resampler (%s)", src_strerror(code));
    }
    *out = r;
    return 0;
}

void rn_resampler_close(rn_resampler **r)
{
    if (!*r)
        return;
    src_delete((*r)->state);
    free(*r);
    *r = NULL;
}

int rn_resampler_push(rn_resampler *r, const float *in, int64_t in_count, int end, int64_t *used, float *out, int64_t out_cap,
                      int64_t *made, rn_error *err)
{
    static const float nothing[1] = {0};
    SRC_DATA data;
    memset(&data, 0, sizeof data);
    int64_t piece = in_count < RN_PIECE_MAX ? in_count : RN_PIECE_MAX;
    data.data_in = in ? in : nothing;
    data.input_frames = (long)piece;
    data.data_out = out;
    data.output_frames = (long)(out_cap < RN_PIECE_MAX ? out_cap : RN_PIECE_MAX);
    data.src_ratio = r->ratio;
    data.end_of_input = end && piece == in_count;
    int code = src_process(r->state, &data);
    if (code)
        return rn_error_set(err, RN_ERR_NUMBER, "resampling failed: %s", src_strerror(code));
    *used = data.input_frames_used;
    *made = data.output_frames_gen;
    return 0;
}

int rn_resample_whole(const float *in, int64_t count, double ratio, rn_resample_quality quality, float **out, int64_t *out_count,
                      rn_error *err)
{
    rn_resampler *r = NULL;
    float *samples = NULL;
    *out = NULL;
    *out_count = 0;
    int status = rn_resampler_open(&r, ratio, quality, err);
    if (status)
        return status;
    /* One sample more than floor(count * ratio) lets the last call show that nothing is left. */
    double want = (double)count * ratio + 16;
    if (want > 1e12) {
        status = rn_error_set(err, RN_ERR_ARG, "a signal of %.0f samples is too long to resample at once", want);
        goto fail;
    }
    int64_t cap = (int64_t)want, done = 0, taken = 0;
    samples = malloc((size_t)cap * sizeof *samples);
    if (!samples) {
        status = rn_error_memory(err, "a resampled signal", (unsigned long long)cap * sizeof *samples);
        goto fail;
    }
    for (;;) {
        int64_t used = 0, made = 0;
        status = rn_resampler_push(r, in + taken, count - taken, 1, &used, samples + done, cap - done, &made, err);
        if (status)
            goto fail;
        taken += used;
        done += made;
        if (!used && !made)
            break;
    }
    rn_resampler_close(&r);
    *out = samples;
    *out_count = done;
    return 0;
fail:
    free(samples);
    rn_resampler_close(&r);
    return status;
}

int rn_sound_resample(const float *in, int64_t count, int from_hz, int to_hz, float **out, int64_t *out_count, rn_error *err)
{
    *out = NULL;
    *out_count = 0;
    if (from_hz < 1 || to_hz < 1 || count < 0)
        return rn_error_set(err, RN_ERR_ARG, "resampling from %d to %d Hz: rates are positive", from_hz, to_hz);
    if (from_hz != to_hz)
        return rn_resample_whole(in, count, (double)to_hz / from_hz, RN_RESAMPLE_FILE, out, out_count, err);
    *out = malloc((size_t)(count ? count : 1) * sizeof **out);
    if (!*out)
        return rn_error_memory(err, "a signal", (unsigned long long)count * sizeof **out);
    if (count)
        memcpy(*out, in, (size_t)count * sizeof **out);
    *out_count = count;
    return 0;
}
