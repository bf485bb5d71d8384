/* Operations of augmentation on a picture's bytes, each to the bits of Pillow (and of torchvision, which calls it); see picture_ops.c.
 * In place; factor 1 changes nothing. */
#ifndef RN_MEDIA_PICTURE_OPS_H
#define RN_MEDIA_PICTURE_OPS_H

#include "media/image.h"

void rn_picture_brightness(rn_image *image, float factor);              /* factor 0: black */
void rn_picture_contrast(rn_image *image, float factor);                /* 0: the mean of its grey everywhere */
void rn_picture_saturation(rn_image *image, float factor);              /* 0: its grey; nothing of a grey picture */
void rn_picture_hue(rn_image *image, double turn);                      /* of the circle, -0.5 to 0.5; nothing of a grey picture */
int rn_picture_sharpness(rn_image *image, float factor, rn_error *err); /* 0: smoothed over 3x3 pixels */
void rn_picture_posterize(rn_image *image, int bits);                   /* the upper bits of each value, 0 to 8 */
void rn_picture_solarize(rn_image *image, double threshold);            /* values from the threshold on become 255 - v */
void rn_picture_autocontrast(rn_image *image);                          /* each channel stretched to 0..255 */
void rn_picture_equalize(rn_image *image);                              /* each channel's histogram made even */

/* Pixel (x, y) of the result is the one at (a[0] x + a[1] y + a[2], a[3] x + a[4] y + a[5]) of the picture, middle for middle; black outside. */
int rn_picture_affine(rn_image *image, const double a[6], rn_error *err);
/* About its middle, counter-clockwise. */
int rn_picture_rotate(rn_image *image, double degrees, rn_error *err);

#endif
