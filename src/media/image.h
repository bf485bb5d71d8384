/* Pictures in: JPEG, PNG, WebP, PNM and BMP as 8-bit RGB or grey, equal to Pillow's Image.open(path).convert("RGB" or "L"), pixel for pixel. */
#ifndef RN_MEDIA_IMAGE_H
#define RN_MEDIA_IMAGE_H

#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

#define RN_IMAGE_PIXELS (((int64_t)1 << 28) / 3) /* the most by default: 256 MiB of RGB, as Pillow's */

typedef struct rn_image {
    unsigned char *pixels; /* [height][width][channels], malloc'ed */
    int height, width, channels;
} rn_image;

typedef struct rn_image_options {
    int channels;        /* 1: grey (299 R + 587 G + 114 B in 16 bits); 3 or 0: RGB. Alpha is dropped, not composed, in both */
    int orient;          /* turned and mirrored as EXIF's orientation says; 0: as stored, which is what torchvision trains on */
    int64_t most_pixels; /* width times height that is decoded at most, checked before room is taken; 0: RN_IMAGE_PIXELS */
} rn_image_options;

/* The picture (of an animation the first frame) of a file or of its bytes; the kind is told by content, not by name. `options` NULL: {0}.
 * Grey of 16 bits above 255 is 255, as Pillow has it; colours of 16 bits keep their upper byte.
 * out: the caller's, freed with rn_image_free; empty after an error. RN_ERR_FORMAT if broken, or of another kind: then the sentence has the
 * command that converts it. RN_ERR_UNSUPPORTED if it has more pixels than allowed. */
int rn_image_read(const char *path, const rn_image_options *options, rn_image *out, rn_error *err);
int rn_image_read_memory(const char *name, const void *data, size_t size, const rn_image_options *options, rn_image *out, rn_error *err);

/* What the header says, without decoding: a file's size before EXIF turns it, and whether its own format has no colours. */
typedef struct rn_image_info {
    int height, width, grey;
} rn_image_info;
int rn_image_probe_memory(const char *name, const void *data, size_t size, int64_t most_pixels, rn_image_info *info, rn_error *err);
int rn_image_known(const char *path); /* 1 if the extension is that of a kind that is read */

unsigned char rn_image_grey(const unsigned char rgb[3]); /* as a picture of one channel has it */

/* Room for a picture, pixels not set. RN_ERR_ARG unless 1 or 3 channels and 1 to 2^31-1 bytes a row. */
int rn_image_new(rn_image *image, int height, int width, int channels, rn_error *err);
int rn_image_copy(const rn_image *in, rn_image *out, rn_error *err); /* out: the caller's; empty after an error */
void rn_image_free(rn_image *image);

#endif
