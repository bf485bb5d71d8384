/* Drawing small. Few greys and no axes: a spectrogram of a second takes 3 KB, the heat over it, which the browser stretches, some hundred bytes. */
#include "report/thumbnail.h"

#include <cairo.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "judge/picture.h"
#include "media/resize.h"

static cairo_status_t append(void *context, const unsigned char *data, unsigned int size)
{
    rn_png *png = context;
    if (png->size + size > png->room) {
        size_t room = 2 * (png->size + size);
        unsigned char *grown = realloc(png->data, room);
        if (!grown)
            return CAIRO_STATUS_NO_MEMORY;
        png->data = grown;
        png->room = room;
    }
    memcpy(png->data + png->size, data, size);
    png->size += size;
    return CAIRO_STATUS_SUCCESS;
}

/* Ends the surface. */
static int encode(cairo_surface_t *surface, rn_png *png, rn_error *err)
{
    memset(png, 0, sizeof *png);
    cairo_surface_mark_dirty(surface);
    cairo_status_t said = cairo_surface_status(surface);
    if (!said)
        said = cairo_surface_write_to_png_stream(surface, append, png);
    cairo_surface_destroy(surface);
    if (!said)
        return 0;
    free(png->data);
    memset(png, 0, sizeof *png);
    return rn_error_set(err, RN_ERR_MEMORY, "a small picture could not be made: %s", cairo_status_to_string(said));
}

/* Mean of the part of x [h][w] that falls into cell (row, column) of to_h x to_w. */
static float cell(const float *x, int h, int w, int to_h, int to_w, int row, int column)
{
    int top = (int)((int64_t)row * h / to_h), bottom = (int)((int64_t)(row + 1) * h / to_h);
    int left = (int)((int64_t)column * w / to_w), right = (int)((int64_t)(column + 1) * w / to_w);
    double sum = 0;
    for (int r = top; r < bottom; r++)
        for (int c = left; c < right; c++)
            sum += x[(int64_t)r * w + c];
    return (float)(sum / ((double)(bottom - top) * (right - left)));
}

int rn_thumbnail_grey(const float *x, int h, int w, rn_png *png, rn_error *err)
{
    int to_h = h < RN_THUMBNAIL_H ? h : RN_THUMBNAIL_H, to_w = w < RN_THUMBNAIL_W ? w : RN_THUMBNAIL_W;
    float low, high, *small = malloc((size_t)to_h * (size_t)to_w * sizeof *small);
    memset(png, 0, sizeof *png);
    if (!small)
        return rn_error_memory(err, "a small picture", (size_t)to_h * (size_t)to_w * sizeof *small);
    for (int r = 0; r < to_h; r++)
        for (int c = 0; c < to_w; c++)
            small[r * to_w + c] = cell(x, h, w, to_h, to_w, r, c);
    int status = rn_grey_range(small, (size_t)to_h * (size_t)to_w, &low, &high, err);
    cairo_surface_t *surface = status ? NULL : cairo_image_surface_create(CAIRO_FORMAT_A8, to_w, to_h);
    unsigned char *data = surface && !cairo_surface_status(surface) ? cairo_image_surface_get_data(surface) : NULL;
    for (int r = 0; data && r < to_h; r++)
        for (int c = 0; c < to_w; c++) {
            double v = high > low ? (small[r * to_w + c] - low) / ((double)high - low) : 0;
            int step = (int)floor(15 * (v < 0 ? 0 : v > 1 ? 1 : v) + 0.5);
            data[(to_h - 1 - r) * cairo_image_surface_get_stride(surface) + c] = (unsigned char)(255 - 17 * step);
        }
    free(small);
    return status ? status : encode(surface, png, err);
}

int rn_thumbnail_picture(const rn_image *image, rn_png *png, rn_error *err)
{
    rn_image small = {0};
    int longer = image->height > image->width ? image->height : image->width, status = 0;
    memset(png, 0, sizeof *png);
    if (longer > RN_THUMBNAIL_H) {
        int h = (int)((int64_t)image->height * RN_THUMBNAIL_H / longer), w = (int)((int64_t)image->width * RN_THUMBNAIL_H / longer);
        if ((status = rn_image_resize(image, h ? h : 1, w ? w : 1, RN_RESIZE_BILINEAR, &small, err)))
            return status;
        image = &small;
    }
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, image->width, image->height);
    unsigned char *data = cairo_surface_status(surface) ? NULL : cairo_image_surface_get_data(surface);
    for (int r = 0; data && r < image->height; r++)
        for (int c = 0; c < image->width; c++)
            rn_image_pixel(image, r, c, data + (int64_t)r * cairo_image_surface_get_stride(surface) + 4L * c);
    status = encode(surface, png, err);
    rn_image_free(&small);
    return status;
}

int rn_thumbnail_heat(const float *map, int h, int w, int downwards, rn_png *png, rn_error *err)
{
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_ARGB32, w, h);
    unsigned char *data = cairo_surface_status(surface) ? NULL : cairo_image_surface_get_data(surface);
    for (int r = 0; data && r < h; r++)
        for (int c = 0; c < w; c++)
            rn_heat_colour(map[(int64_t)r * w + c],
                           data + (int64_t)(downwards ? r : h - 1 - r) * cairo_image_surface_get_stride(surface) + 4L * c);
    return encode(surface, png, err);
}
