/* Small pictures for pages, as PNG in memory. */
#ifndef RN_REPORT_THUMBNAIL_H
#define RN_REPORT_THUMBNAIL_H

#include <stddef.h>
#include "base/error.h"
#include "media/image.h"

typedef struct rn_png {
    unsigned char *data; /* malloc'ed, the caller's */
    size_t size, room;
} rn_png;

enum { RN_THUMBNAIL_H = 64, RN_THUMBNAIL_W = 200 }; /* pixels at most */

/* x [h][w] in 16 greys, high is dark, from the 2nd to the 98th percentile; rows run upwards. Larger inputs are averaged down. */
int rn_thumbnail_grey(const float *x, int h, int w, rn_png *png, rn_error *err);
/* A picture, its longer side RN_THUMBNAIL_H pixels at most. */
int rn_thumbnail_picture(const rn_image *image, rn_png *png, rn_error *err);
/* A map [h][w] with values from 0 to 1 as a sheet of rn_heat_colour, a pixel a value; rows run upwards, or of a picture downwards. */
int rn_thumbnail_heat(const float *map, int h, int w, int downwards, rn_png *png, rn_error *err);

#endif
