/* Pictures of explanations, as PNG. */
#ifndef RN_JUDGE_PICTURE_H
#define RN_JUDGE_PICTURE_H

#include <stddef.h>
#include "base/error.h"
#include "media/image.h"

/* The input as it is, and below it (of a picture beside it) the same with the heat laid over it, with axes and a colour bar. Rows run upwards. */
typedef struct rn_picture {
    const char *title, *subtitle; /* UTF-8; cut from the left where they are too long */
    const char *bar;              /* what the colours stand for */
    const float *input, *heat;    /* [h][w]; the heat from 0 to 1 */
    const rn_image *image;        /* drawn instead of `input`, of its size, with rows downwards and no axes; NULL: the input is none */
    int h, w;
    double start_s, end_s;        /* of the columns; end_s 0: no time */
    const double *hz;             /* [h], rising: of the rows; NULL: row numbers */
} rn_picture;

/* A heat from 0 to 1 as a pixel of Cairo's ARGB32, premultiplied: from nothing over yellow to a dense dark red. */
void rn_heat_colour(double heat, unsigned char pixel[4]);
/* A pixel of a picture as Cairo's ARGB32. */
void rn_image_pixel(const rn_image *image, int row, int column, unsigned char pixel[4]);
/* The values that become white and black: the 2nd and the 98th percentile. */
int rn_grey_range(const float *values, size_t count, float *low, float *high, rn_error *err);

/* Atomic. RN_ERR_IO if the file cannot be written. */
int rn_picture_write(const rn_picture *picture, const char *path, rn_error *err);

#endif
