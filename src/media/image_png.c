/* PNG by libpng: every depth and colour type, interlaced or not; of an animation the default picture.
 *
 * As Pillow has it: grey of 1, 2 and 4 bits is stretched to 255, grey of 16 bits is limited to 255, other 16-bit samples keep their upper byte,
 * alpha and transparent colours are dropped, and gamma and colour profiles are not applied. A palette index beyond the palette is black.
 * Unlike Pillow, a wrong checksum of the pixels is an error. What stands behind the last row is not read. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <png.h>
#include "media/image_decode.h"

typedef struct reader {
    png_structp png;
    png_infop info;
    const unsigned char *data;
    size_t size, at;
    char why[120];
    unsigned char *rows; /* one, or all of an interlaced picture */
} reader;

static void fail(png_structp png, png_const_charp message)
{
    reader *r = png_get_error_ptr(png);
    snprintf(r->why, sizeof r->why, "%s", message);
    png_longjmp(png, 1);
}

static void say_nothing(png_structp png, png_const_charp message)
{
    (void)png, (void)message;
}

static void give(png_structp png, png_bytep to, size_t size)
{
    reader *r = png_get_io_ptr(png);
    if (size > r->size - r->at)
        png_error(png, "it ends early");
    memcpy(to, r->data + r->at, size);
    r->at += size;
}

/* The chunk eXIf before the pixels or behind them. libpng has checked nothing of it. */
static void find_orientation(rn_decoding *d)
{
    for (size_t at = 8; d->size - at >= 12;) {
        const unsigned char *p = d->data + at;
        size_t length = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
        if (length > d->size - at - 12)
            return;
        if (!memcmp(p + 4, "eXIf", 4))
            d->orientation = rn_exif_orientation(p + 8, length);
        at += 12 + length;
    }
}

/* Asks libpng for bytes of one of our kinds of rows. */
static rn_row choose(rn_decoding *d, reader *r)
{
    int depth = png_get_bit_depth(r->png, r->info), type = png_get_color_type(r->png, r->info), count = 0;
    png_colorp palette = NULL;
    if (type == PNG_COLOR_TYPE_PALETTE) {
        png_get_PLTE(r->png, r->info, &palette, &count);
        for (int i = 0; i < count; i++)
            memcpy(d->palette[i], (unsigned char[3]){palette[i].red, palette[i].green, palette[i].blue}, 3);
        png_set_packing(r->png);
        return RN_ROW_INDEX;
    }
    if (type == PNG_COLOR_TYPE_GRAY && depth == 16)
        return RN_ROW_GREY16;
    if (depth == 16)
        png_set_strip_16(r->png);
    if (type & PNG_COLOR_MASK_ALPHA)
        png_set_strip_alpha(r->png);
    if (type & PNG_COLOR_MASK_COLOR)
        return RN_ROW_RGB;
    if (depth < 8)
        png_set_expand_gray_1_2_4_to_8(r->png);
    return RN_ROW_GREY;
}

/* Everything that may jump back to rn_decode_png. */
static int read_picture(rn_decoding *d, reader *r)
{
    png_set_keep_unknown_chunks(r->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1); /* no text, no profile is unpacked */
    png_set_read_fn(r->png, r, give);
    png_read_info(r->png, r->info);
    int height = (int)png_get_image_height(r->png, r->info);
    int status =
        rn_decoding_begin(d, png_get_image_width(r->png, r->info), height, !(png_get_color_type(r->png, r->info) & PNG_COLOR_MASK_COLOR));
    if (status)
        return status;
    rn_row kind = choose(d, r);
    int passes = png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    size_t row = png_get_rowbytes(r->png, r->info), bytes = passes > 1 ? row * (size_t)height : row;
    r->rows = malloc(bytes);
    if (!r->rows)
        return rn_error_memory(d->err, d->name, bytes);
    for (int pass = 0; pass < passes; pass++)
        for (int y = 0; y < height; y++) {
            unsigned char *to = r->rows + (passes > 1 ? (size_t)y * row : 0);
            png_read_row(r->png, to, NULL);
            if (pass == passes - 1)
                rn_decoding_row(d, y, kind, to);
        }
    return 0;
}

int rn_decode_png(rn_decoding *d)
{
    reader r = {.data = d->data, .size = d->size};
    volatile int status = RN_ERR_MEMORY;
    reader *volatile at = &r;
    r.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &r, fail, say_nothing);
    r.info = r.png ? png_create_info_struct(r.png) : NULL;
    if (!r.info)
        rn_error_memory(d->err, d->name, 1024);
    else if (!setjmp(png_jmpbuf(r.png)))
        status = read_picture(d, at);
    else
        status = strstr(at->why, "memory") ? rn_error_memory(d->err, d->name, d->size) : rn_decoding_broken(d, "PNG", at->why);
    if (!status && d->orient)
        find_orientation(d);
    png_destroy_read_struct(&r.png, &r.info, NULL);
    free(at->rows);
    return status;
}
