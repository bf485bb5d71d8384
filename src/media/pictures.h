/* From a picture to a network's input, as a model file says it: resize, crop, and the numbers ("pictures" section; sound has "features").
 *
 * Every parameter is stored in the model file and used again by every later verb. The steps, each to the bits of Pillow and torchvision
 * (media/resize.h): decode to RGB or grey -> turned by EXIF if `orient` -> resize -> crop of the middle -> (v / divisor - mean) / std. */
#ifndef RN_MEDIA_PICTURES_H
#define RN_MEDIA_PICTURES_H

#include <jansson.h>
#include "media/image.h"
#include "media/resize.h"

#define RN_PICTURE_SIDE 16384 /* the longest side of a resize or crop */
#define RN_OPEN (-1)          /* a side that the data decide; never in a model file */

typedef enum rn_order { RN_RGB, RN_BGR } rn_order; /* of the network's channels */

typedef struct rn_pictures {
    int channels; /* 1: grey, 3: colour; 0: open */
    rn_order order;
    int resize_h, resize_w; /* exactly so; resize_w 0: the shorter side becomes resize_h; both 0: none */
    rn_resize filter;
    int crop_h, crop_w;     /* 0: none, the network gets what the resize gave */
    double divisor;         /* of the bytes: 255 for values in 0..1, 1 to leave them */
    double mean[3], std[3]; /* after the division, in the order of the network's channels; of grey the first */
    int orient;             /* 1: turned and mirrored as EXIF says; torchvision trains on pictures as stored: 0 */
} rn_pictures;

/* Channels, resize and crop open, bilinear, ImageNet's mean and deviation. */
void rn_pictures_default(rn_pictures *p);
/* What a project prepares pictures with, for colour:
 *
 *   imagenet      256, bilinear, crop 224: torchvision's IMAGENET1K_V1, mean .485 .456 .406, deviation .229 .224 .225
 *   imagenet-v2   232 and 224: torchvision's IMAGENET1K_V2
 *   timm          256, bicubic, crop 224 (crop_pct 0.875): most of timm, and Hugging Face's microsoft/resnet
 *   timm-95       235, bicubic, crop 224 (crop_pct 0.95)
 *   cifar         32x32 as it is, CIFAR-10's mean and deviation
 *   caffe         256, bilinear, crop 224, BGR, 0..255 minus 104, 117, 123
 *   none          as it is, 0..1
 *
 * Returns 0; RN_ERR_ARG with the list of names. */
int rn_pictures_preset(rn_pictures *p, const char *name, rn_error *err);
/* For so many channels: a mean and deviation of three become their mean when colour becomes grey, and are repeated the other way. */
void rn_pictures_set_channels(rn_pictures *p, int channels);

/* Ranges; nothing may be open. */
int rn_pictures_check(const rn_pictures *p, rn_error *err);
json_t *rn_pictures_to_json(const rn_pictures *p); /* new reference, NULL without memory; open values as "auto" and channels 0 */
/* Unknown or missing key: refused by name. The open form is for options: open values, and lists as text ("0.5,0.5,0.5"; one number stands
 * for all three), are allowed; file NULL: they are a command line's. */
int rn_pictures_from_json(rn_pictures *p, const json_t *section, const char *file, rn_error *err);
int rn_pictures_from_open_json(rn_pictures *p, const json_t *section, const char *file, rn_error *err);

/* How such pictures are to be decoded. */
rn_image_options rn_pictures_decoding(const rn_pictures *p, int64_t most_pixels);
/* The size that every picture gets; 0 and 0 where it depends on the picture. */
void rn_pictures_size(const rn_pictures *p, int *height, int *width);
/* Resize alone, and resize and crop; `out` is the caller's, freed with rn_image_free, empty after an error. */
int rn_pictures_resize(const rn_pictures *p, const rn_image *in, rn_image *out, rn_error *err);
int rn_pictures_prepare(const rn_pictures *p, const rn_image *in, rn_image *out, rn_error *err);
/* x[c][y][x] = ((float)v / (float)divisor - (float)mean[c]) / (float)std[c], each operation rounded to float, in this order. */
void rn_pictures_numbers(const rn_pictures *p, const rn_image *in, float *x);
/* The other way: the picture that became x [channels][height][width], to the nearest byte. out: the caller's, empty after an error. */
int rn_pictures_image(const rn_pictures *p, const float *x, int height, int width, rn_image *out, rn_error *err);

#endif
