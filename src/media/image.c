/* Pictures in: the kind by the first bytes, a decoder for it, its rows as RGB or grey, and turned upright if that is wanted.
 *
 * Conversions are Pillow's, in integers: grey is (19595 R + 38470 G + 7471 B + 2^15) >> 16, CMYK becomes (255 - K)(255 - C) / 255 rounded.
 * Orientation is EXIF's tag 0x0112. Kinds that are not read get the command that converts them (foreign.c). */
#include "media/image.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "media/foreign.h"
#include "media/image_decode.h"

#define RN_IMAGE_FILE_MAX ((size_t)1 << 30)

enum { HEADER_READ = 1 }; /* what ends a decoder that was asked for the header alone */

int rn_image_new(rn_image *image, int height, int width, int channels, rn_error *err)
{
    memset(image, 0, sizeof *image);
    if (height < 1 || width < 1 || (channels != 1 && channels != 3) || width > INT_MAX / channels)
        return rn_error_set(err, RN_ERR_ARG, "a picture of %dx%d with %d channels: sides are 1 or more, channels 1 or 3", width, height,
                            channels);
    uint64_t bytes = (uint64_t)height * (uint64_t)(width * channels);
    image->pixels = bytes <= SIZE_MAX / 2 ? malloc((size_t)bytes) : NULL;
    if (!image->pixels)
        return rn_error_memory(err, "a picture", bytes);
    image->height = height;
    image->width = width;
    image->channels = channels;
    return 0;
}

int rn_image_copy(const rn_image *in, rn_image *out, rn_error *err)
{
    int status = rn_image_new(out, in->height, in->width, in->channels, err);
    if (!status)
        memcpy(out->pixels, in->pixels, (size_t)in->height * (size_t)in->width * (size_t)in->channels);
    return status;
}

void rn_image_free(rn_image *image)
{
    free(image->pixels);
    memset(image, 0, sizeof *image);
}

int rn_decoding_broken(const rn_decoding *d, const char *kind, const char *why)
{
    return rn_error_set(d->err, RN_ERR_FORMAT, "%s: broken %s (%s). Remove it, or train with --skip-bad", d->name, kind, why);
}

int rn_decoding_begin(rn_decoding *d, int64_t width, int64_t height, int grey)
{
    if (width < 1 || height < 1)
        return rn_decoding_broken(d, "picture", "a side of 0 pixels");
    if (width > INT_MAX / 4 || height > INT_MAX / 4 || width > d->most_pixels / height)
        return rn_error_set(d->err, RN_ERR_UNSUPPORTED,
                            "%s: %lld x %lld pixels, at most %lld are read. Remove it, make it smaller, or raise --max-pixels", d->name,
                            (long long)width, (long long)height, (long long)d->most_pixels);
    if (d->header_only) {
        d->out->height = (int)height;
        d->out->width = (int)width;
        d->grey = grey;
        return HEADER_READ;
    }
    int status = rn_image_new(d->out, (int)height, (int)width, d->channels, NULL);
    return status ? rn_error_memory(d->err, d->name, (unsigned long long)width * (unsigned long long)height * (unsigned)d->channels) : 0;
}

unsigned char rn_image_grey(const unsigned char rgb[3])
{
    return (unsigned char)((rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471 + 0x8000) >> 16);
}

/* a b / 255, rounded: exact for bytes. */
static int share_of(int a, int b)
{
    int product = a * b + 128;
    return (product + (product >> 8)) >> 8;
}

void rn_decoding_row(const rn_decoding *d, int y, rn_row kind, const unsigned char *row)
{
    static const int bytes[] = {
        [RN_ROW_GREY] = 1, [RN_ROW_GREY16] = 2, [RN_ROW_INDEX] = 1, [RN_ROW_RGB] = 3, [RN_ROW_RGBX] = 4, [RN_ROW_CMYK_INVERTED] = 4};
    size_t channels = (size_t)d->channels;
    unsigned char *out = d->out->pixels + (size_t)y * (size_t)d->out->width * channels, rgb[3];
    for (int x = 0; x < d->out->width; x++, row += bytes[kind], out += channels) {
        const unsigned char *from = row;
        if (kind == RN_ROW_GREY || kind == RN_ROW_GREY16) {
            memset(out, kind == RN_ROW_GREY ? row[0] : row[0] ? 255 : row[1], channels);
            continue;
        }
        if (kind == RN_ROW_INDEX)
            from = d->palette[row[0]];
        if (kind == RN_ROW_CMYK_INVERTED) {
            for (int c = 0; c < 3; c++)
                rgb[c] = (unsigned char)(row[3] - share_of(255 - row[c], row[3]));
            from = rgb;
        }
        if (channels == 1)
            *out = rn_image_grey(from);
        else
            memcpy(out, from, 3);
    }
}

int rn_exif_orientation(const unsigned char *p, size_t size)
{
    if (size < 8 || (memcmp(p, "II*\0", 4) && memcmp(p, "MM\0*", 4)))
        return 0;
    int big = p[0] == 'M';
#define WORD(at) ((unsigned)p[(at) + (big ? 0 : 1)] << 8 | p[(at) + (big ? 1 : 0)])
#define LONG(at) (big ? (size_t)WORD(at) << 16 | WORD((at) + 2) : (size_t)WORD((at) + 2) << 16 | WORD(at))
    size_t at = LONG(4);
    if (at > size - 2)
        return 0;
    unsigned count = WORD(at);
    for (at += 2; count && size - at >= 12; count--, at += 12)
        if (WORD(at) == 0x0112) {
            size_t value = WORD(at + 2) == 3 ? WORD(at + 8) : WORD(at + 2) == 4 ? LONG(at + 8) : 0; /* a short, by the rule; a long, too */
            return LONG(at + 4) == 1 && value <= 8 ? (int)value : 0;
        }
#undef WORD
#undef LONG
    return 0;
}

/* Turns the picture as `orientation` (2..8) says. */
static int upright(rn_image *image, int orientation, rn_error *err)
{
    int turned = orientation >= 5, status;
    /* of the stored picture, before rows and columns are exchanged */
    int mirror_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    int mirror_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    rn_image out;
    if ((status = rn_image_new(&out, turned ? image->width : image->height, turned ? image->height : image->width, image->channels, err)))
        return status;
    size_t channels = (size_t)image->channels;
    unsigned char *to = out.pixels;
    for (int y = 0; y < out.height; y++)
        for (int x = 0; x < out.width; x++, to += channels) {
            int from_x = turned ? y : x, from_y = turned ? x : y;
            from_x = mirror_x ? image->width - 1 - from_x : from_x;
            from_y = mirror_y ? image->height - 1 - from_y : from_y;
            memcpy(to, image->pixels + ((size_t)from_y * (size_t)image->width + (size_t)from_x) * channels, channels);
        }
    rn_image_free(image);
    *image = out;
    return 0;
}

static int decode(rn_decoding *d)
{
    const unsigned char *p = d->data;
    if (d->size >= 3 && !memcmp(p, "\xff\xd8\xff", 3))
        return rn_decode_jpeg(d);
    if (d->size >= 8 && !memcmp(p, "\x89PNG\r\n\x1a\n", 8))
        return rn_decode_png(d);
    if (d->size >= 12 && !memcmp(p, "RIFF", 4) && !memcmp(p + 8, "WEBP", 4))
        return rn_decode_webp(d);
    if (d->size >= 3 && p[0] == 'P' && p[1] >= '1' && p[1] <= '6' && (p[2] == ' ' || (p[2] >= 9 && p[2] <= 13)))
        return rn_decode_pnm(d);
    if (d->size >= 2 && !memcmp(p, "BM", 2))
        return rn_decode_bmp(d);
    return rn_foreign_image_error(d->name, p, d->size, d->err);
}

int rn_image_read_memory(const char *name, const void *data, size_t size, const rn_image_options *options, rn_image *out, rn_error *err)
{
    rn_decoding d = {.name = name, .data = data, .size = size, .channels = 3, .most_pixels = RN_IMAGE_PIXELS, .out = out, .err = err};
    memset(out, 0, sizeof *out);
    if (options) {
        d.channels = options->channels ? options->channels : 3;
        d.orient = options->orient;
        d.most_pixels = options->most_pixels ? options->most_pixels : RN_IMAGE_PIXELS;
    }
    if ((d.channels != 1 && d.channels != 3) || d.most_pixels < 1)
        return rn_error_set(err, RN_ERR_ARG,
                            "%s: %d channels and at most %lld pixels were asked for; channels are 1 or 3, pixels 1 or more", name,
                            d.channels, (long long)d.most_pixels);
    int status = decode(&d);
    if (!status && d.orient && d.orientation > 1)
        status = upright(out, d.orientation, err);
    if (status)
        rn_image_free(out);
    return status;
}

int rn_image_read(const char *path, const rn_image_options *options, rn_image *out, rn_error *err)
{
    unsigned char *data;
    size_t size;
    memset(out, 0, sizeof *out);
    int status = rn_file_read(path, RN_IMAGE_FILE_MAX, &data, &size, err);
    if (!status)
        status = rn_image_read_memory(path, data, size, options, out, err);
    free(data);
    return status;
}

int rn_image_probe_memory(const char *name, const void *data, size_t size, int64_t most_pixels, rn_image_info *info, rn_error *err)
{
    rn_image out = {0};
    rn_decoding d = {.name = name,
                     .data = data,
                     .size = size,
                     .channels = 3,
                     .most_pixels = most_pixels > 0 ? most_pixels : RN_IMAGE_PIXELS,
                     .header_only = 1,
                     .out = &out,
                     .err = err};
    memset(info, 0, sizeof *info);
    int status = decode(&d);
    if (status != HEADER_READ)
        return status;
    *info = (rn_image_info){out.height, out.width, d.grey};
    return 0;
}

int rn_image_known(const char *path)
{
    static const char *const extensions[] = {"jpg", "jpeg", "jpe", "jfif", "png", "apng", "webp", "ppm", "pgm", "pbm", "pnm", "bmp", "dib"};
    const char *extension = rn_path_extension(path);
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++)
        if (rn_same_word(extension, extensions[i]))
            return 1;
    return 0;
}
