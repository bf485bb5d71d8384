/* Windows and filter banks of the four conventions; see filters.c. */
#ifndef RN_MEDIA_FILTERS_H
#define RN_MEDIA_FILTERS_H

#include "media/features.h"

/* What the milliseconds come to at the rate. */
typedef struct rn_frame {
    int window, hop; /* samples */
    int fft;         /* Kaldi: the next power of two; the others: the window */
    double low_hz, high_hz;
} rn_frame;

void rn_frame_of(const rn_features *f, rn_frame *frame); /* of checked features; -1 where a number is out of range */

/* out [frame->window] */
void rn_window_make(const rn_features *f, const rn_frame *frame, double *out);

/* Rows of weights over FFT bins [first, first + count); count 0: the row catches none. */
typedef struct rn_filters {
    int bins;
    int *first, *count;
    double **weights; /* into one block */
    double *block;
} rn_filters;
int rn_filters_open(rn_filters *filters, const rn_features *f, const rn_frame *frame, rn_error *err);
void rn_filters_close(rn_filters *filters);

/* FFT bins inside [low_hz, high_hz]: the rows of a plain spectrogram. */
int rn_spectrogram_bins(const rn_features *f, const rn_frame *frame, int *first);

#endif
