/* Augmentation of sound: on samples (speed, gain, shift, noise) and on features (crop, SpecAugment), and mixup of a batch.
 * Every number is drawn from (seed, epoch, position in the epoch's order): the same batch whatever the number of threads. */
#ifndef RN_MEDIA_AUGMENT_H
#define RN_MEDIA_AUGMENT_H

#include <jansson.h>
#include <stdint.h>
#include "base/error.h"
#include "base/random.h"

typedef struct rn_augment {
    int crop;                                   /* 1: random crop, 0: from the start */
    double gain_db;                             /* uniform in +- this; 0 off. Default 6 */
    double shift_s;                             /* time shift (rotation) up to +- this; default 0: the random crop does it */
    double speed;                               /* factor in 1 +- this; default 0 */
    double noise_probability;                   /* default 0.5 */
    double noise_snr_low_db, noise_snr_high_db; /* default 5, 30 */
    char noise_folder[512];                     /* "": generated (white, pink or brown, drawn) */
    int mask_time, mask_frequency;              /* SpecAugment: masks of up to so many frames and bins; default 10, 8 for 64 bins */
    int mask_count;                             /* of each; default 1 */
    double mixup;                               /* Beta(a, a); default 0: off */
} rn_augment;

void rn_augment_default(rn_augment *a); /* for sound */
void rn_augment_none(rn_augment *a);
json_t *rn_augment_to_json(const rn_augment *a);
int rn_augment_from_json(rn_augment *a, const json_t *section, rn_error *err);

/* In place or reallocated: *samples is malloc'ed. noise: samples of a noise recording at the same rate, or NULL for generated. */
int rn_augment_samples(const rn_augment *a, int rate, uint64_t seed, uint32_t epoch, uint64_t position, const float *noise,
                       int64_t noise_count, float **samples, int64_t *count, rn_error *err);
/* First column of the crop of `wanted` columns out of `have` (for rn_features_crop): drawn, or 0 where crop is 0 or nothing can move. */
int64_t rn_augment_crop(const rn_augment *a, uint64_t seed, uint32_t epoch, uint64_t position, int64_t have, int64_t wanted);
int rn_augment_changes_samples(const rn_augment *a); /* 0: features can be cached */
void rn_augment_features(const rn_augment *a, uint64_t seed, uint32_t epoch, uint64_t position, float *x, int bins, int64_t frames);
/* One lambda for a ghost batch: x[i] = lambda x[i] + (1 - lambda) x[pair[i]], pair a permutation inside the ghost batch. */
double rn_augment_mixup(const rn_augment *a, uint64_t seed, uint32_t epoch, uint64_t position, int n, int64_t size, float *x, int *pair);

#endif
