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
} rn_picture_augment;

void rn_picture_augment_default(rn_picture_augment *a); /* what the data decide is open */
void rn_picture_augment_none(rn_picture_augment *a);    /* the middle of each picture, as in judging */
json_t *rn_picture_augment_to_json(const rn_picture_augment *a);
/* Sets what `section` has; keys that are not ours are refused by name. */
int rn_picture_augment_from_json(rn_picture_augment *a, const json_t *section, rn_error *err);

/* A stretch of a picture. */
typedef struct rn_box {
    int top, left, height, width;
} rn_box;

/* torchvision's RandomResizedCrop.get_params with scale (low, 1) and ratio (3/4, 4/3): ten tries, then the largest middle of such a ratio. */
rn_box rn_picture_draw_box(double low, uint64_t seed, uint32_t epoch, uint64_t position, int height, int width);

/* Cuts `box` out; pixels beyond the picture are black. out: the caller's, empty after an error. */
int rn_image_cut(const rn_image *in, rn_box box, rn_image *out, rn_error *err);
void rn_image_mirror(rn_image *image); /* left to right, in place */

/* A training sample of height x width out of a picture; what is too small gets black around it. */
int rn_picture_sample(const rn_picture_augment *a, const rn_pictures *p, int height, int width, uint64_t seed, uint32_t epoch,
                      uint64_t position, const rn_image *in, rn_image *out, rn_error *err);

#endif
