/* From a picture to a network's input: another size as Pillow makes it, the middle as torchvision takes it; see resize.c. */
#ifndef RN_MEDIA_RESIZE_H
#define RN_MEDIA_RESIZE_H

#include "media/image.h"

typedef enum rn_resize { RN_RESIZE_BILINEAR, RN_RESIZE_BICUBIC, RN_RESIZE_LANCZOS, RN_RESIZE_BOX, RN_RESIZE_COUNT } rn_resize;

/* "bilinear" for RN_RESIZE_BILINEAR, and back: RN_RESIZE_COUNT for an unknown name. */
const char *rn_resize_name(rn_resize filter);
rn_resize rn_resize_named(const char *name);

/* Pillow's Image.resize((width, height), filter), bit for bit (of 13 in most cases, see resize.c). `out` is the caller's, freed with
 * rn_image_free; empty after an error. RN_ERR_UNSUPPORTED above 2^28 pixels, also on the way: a strip of 1 x 50,000 asks for gigabytes otherwise. */
int rn_image_resize(const rn_image *in, int height, int width, rn_resize filter, rn_image *out, rn_error *err);

/* torchvision's Resize(size): the shorter side becomes `size`, the longer one size * longer / shorter, cut to an integer. */
int rn_image_resize_shorter(const rn_image *in, int size, rn_resize filter, rn_image *out, rn_error *err);

/* A stretch of a picture. */
typedef struct rn_box {
    int top, left, height, width;
} rn_box;

/* Cuts `box` out; pixels beyond the picture are black. out: the caller's, empty after an error. */
int rn_image_cut(const rn_image *in, rn_box box, rn_image *out, rn_error *err);

/* torchvision's CenterCrop((height, width)): the middle, half a pixel rounded to even; a side that is too short gets black on both ends first,
 * the odd pixel right or below. */
int rn_image_crop_centre(const rn_image *in, int height, int width, rn_image *out, rn_error *err);

#endif
