/* Augmentation of pictures: which part is cut out, mirrored, colours, masks. See augment_picture.c.
 * Every number is drawn from (seed, epoch, position in the epoch's order): the same batch whatever the number of threads. */
#ifndef RN_MEDIA_AUGMENT_PICTURE_H
#define RN_MEDIA_AUGMENT_PICTURE_H

#include <jansson.h>
#include <stdint.h>
#include "media/pictures.h"

typedef struct rn_picture_augment {
    double resized_crop; /* least share of the area that a drawn crop covers, before it is resized; 0: off, RN_OPEN: by the data */
    int pad;             /* black pixels around the picture before a crop is drawn; RN_OPEN: by the data. Not with resized_crop */
    double flip;         /* how often a picture is mirrored, left to right; RN_OPEN: by the data */
    double brightness, contrast, saturation; /* factors in 1 +- this; 0: off */
    double hue;                              /* turned by up to +- this of the circle, 0.5 at most; 0: off */
    int rand_augment, rand_magnitude;        /* RandAugment: so many operations, at this of 31 magnitudes; 0: off */
    int trivial_augment;                     /* 1: TrivialAugmentWide */
    double erase;                            /* how often a part is covered with the mean; 0: off */
    double cutmix;                           /* Beta(a, a), of a ghost batch; 0: off */
} rn_picture_augment;

void rn_picture_augment_default(rn_picture_augment *a); /* what the data decide is open */
void rn_picture_augment_none(rn_picture_augment *a);    /* crops alone, where there is room */
json_t *rn_picture_augment_to_json(const rn_picture_augment *a);
/* Sets what `section` has; keys that are not ours are refused by name. */
int rn_picture_augment_from_json(rn_picture_augment *a, const json_t *section, rn_error *err);

/* torchvision's RandomResizedCrop.get_params with scale (low, 1) and ratio (3/4, 4/3): ten tries, then the largest middle of such a ratio. */
rn_box rn_picture_draw_box(double low, uint64_t seed, uint32_t epoch, uint64_t position, int height, int width);

void rn_image_mirror(rn_image *image); /* left to right, in place */

/* A training sample of height x width out of a picture; what is too small gets black around it. */
int rn_picture_sample(const rn_picture_augment *a, const rn_pictures *p, int height, int width, uint64_t seed, uint32_t epoch,
                      uint64_t position, const rn_image *in, rn_image *out, rn_error *err);

/* torchvision's RandomErasing of x [c][h][w], with value 0: a box of 2 to 33 % of the area, ratio of height to width 0.3 to 3.3. */
void rn_picture_erase(const rn_picture_augment *a, uint64_t seed, uint32_t epoch, uint64_t position, int c, int h, int w, float *x);

/* torchvision's ColorJitter: brightness, contrast, saturation and hue in a drawn order. */
void rn_picture_jitter(const rn_picture_augment *a, uint64_t seed, uint32_t epoch, uint64_t position, rn_image *image);

/* CutMix (Yun et al. 2019) of a ghost batch: a box of x[i] becomes that of x[pair[i]], pair a permutation. Returns the share of the area that
 * stays x[i]'s own. Only where rn_picture_cuts says so. */
double rn_picture_cutmix(const rn_picture_augment *a, uint64_t seed, uint32_t epoch, uint64_t position, int n, int c, int h, int w,
                         float *x, int *pair);
/* 1 if this ghost batch is for CutMix: always where it alone is on, every other one, drawn, with mixup. */
int rn_picture_cuts(const rn_picture_augment *a, int mixup, uint64_t seed, uint32_t epoch, uint64_t position);

#endif
