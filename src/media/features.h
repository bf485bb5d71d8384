/* Spectrogram features: samples in, float [bins][frames] out, rows from low to high frequency.
 *
 * Four conventions: Kaldi filter banks (default), librosa mel, torchaudio MelSpectrogram, plain log-power or linear spectrogram.
 * Every parameter is stored in the model file ("features" section) and used again by every later verb. */
#ifndef RN_MEDIA_FEATURES_H
#define RN_MEDIA_FEATURES_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

typedef enum rn_convention { RN_KALDI, RN_LIBROSA, RN_TORCHAUDIO, RN_SPECTROGRAM } rn_convention;
typedef enum rn_window { RN_HAMMING, RN_HANN, RN_POVEY, RN_RECTANGULAR } rn_window;
typedef enum rn_scale { RN_SCALE_LN, RN_SCALE_DB, RN_SCALE_POWER, RN_SCALE_MAGNITUDE } rn_scale;
typedef enum rn_normalise {
    RN_NORMALISE_NONE,
    RN_NORMALISE_MEAN,
    RN_NORMALISE_MEAN_VARIANCE
} rn_normalise; /* per bin over the whole recording */

typedef struct rn_features {
    rn_convention convention;
    int rate;                 /* Hz */
    int channel;              /* 0: mean of all */
    int bins;                 /* 64 */
    double window_ms, hop_ms; /* 25, 10 */
    rn_window window;         /* Hamming */
    double low_hz, high_hz;   /* 20; 0 or negative: offset from Nyquist */
    double preemphasis;       /* 0.97 */
    double amplitude;         /* 32768 */
    rn_scale scale;
    rn_normalise normalise; /* mean of the whole recording */
    double seconds;         /* length that the network was trained on: frames = rn_features_frames of it */
} rn_features;

/* rate 0: not known yet. What then cannot be told in milliseconds or rows stays 0, open: the window and hop of librosa (2048 and 512
 * samples) and torchaudio (400 and 200), the bins of a plain spectrogram. */
void rn_features_default(rn_features *f, rn_convention convention, int rate);
/* Fills in what follows from the rest: open windows and hops, a plain spectrogram's bins. Call it after options were applied. */
void rn_features_complete(rn_features *f);
int rn_convention_find(const char *name); /* "kaldi", "librosa", ...: the enum's value, or -1 */
/* Ranges. Kaldi filters that catch no FFT bin are named and refused, as Kaldi does; librosa and torchaudio go on with rows
 * of zeros, and so do we: rn_features_empty_bins counts such rows and lists them ("3, 5, 9") for a warning. */
int rn_features_check(const rn_features *f, rn_error *err);
/* Each value alone; rate, seconds and what the rate decides may be open. */
int rn_features_check_values(const rn_features *f, rn_error *err);
int rn_features_empty_bins(const rn_features *f, char *list, size_t size);
json_t *rn_features_to_json(const rn_features *f); /* new reference; complete */
/* Unknown or missing key: refused by name. The open form is for options: rn_features_check_values instead of rn_features_check. */
int rn_features_from_json(rn_features *f, const json_t *section, const char *file, rn_error *err);
int rn_features_from_open_json(rn_features *f, const json_t *section, const char *file, rn_error *err);

int64_t rn_features_frames(const rn_features *f, int64_t samples); /* 0 if too short */
int64_t rn_features_samples(const rn_features *f, int64_t frames); /* fewest samples that give that many frames */
int64_t rn_features_length(const rn_features *f);                  /* frames of f->seconds */

/* A prepared extractor (tables, FFT plan); read-only after opening, shared between threads. */
typedef struct rn_extractor rn_extractor;
int rn_extractor_open(rn_extractor **e, const rn_features *f, rn_error *err);
void rn_extractor_close(rn_extractor **e);
/* out: [bins][frames] malloc'ed, the caller's. Normalised over the whole signal. Thread-safe. RN_ERR_DATA if shorter than one window. */
int rn_extractor_run(const rn_extractor *e, const float *samples, int64_t count, float **out, int64_t *frames, rn_error *err);

/* The middle of every row in Hz: hz[bins]. Rows that catch no frequency get the middle of the row below. */
void rn_extractor_rows(const rn_extractor *e, double *hz);

/* Cut or tile to exactly `frames` columns starting at `first` (wraps around: a short recording is repeated). */
void rn_features_crop(const float *in, int bins, int64_t in_frames, int64_t first, int64_t frames, float *out);

#endif
