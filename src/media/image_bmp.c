/* BMP: 1, 4 and 8 bits with a palette, 16, 24 and 32 bits with masks or without; from below or from above; not run-length coded.
 *
 * File header of 14 bytes ("BM", ..., offset of the pixels at 10), then an information header whose first word is its size: 12 (sides of 16 bits,
 * palette of three bytes an entry) or 40 and more (32 bits, four bytes). A negative height: rows from above. Rows are padded to four bytes,
 * little-endian, BGR. A component of n bits becomes v * 255 / (2^n - 1), cut, as in Pillow. The fourth byte is no alpha that is used here. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "media/foreign.h"
#include "media/image_decode.h"

typedef struct bmp {
    int64_t width, height;
    int bits, from_above;
    uint32_t mask[3]; /* red, green, blue; of 16, 24 and 32 bits */
    size_t pixels, stride;
} bmp;

static uint32_t word(const unsigned char *p)
{
    return p[0] | p[1] << 8;
}

static uint32_t long_word(const unsigned char *p)
{
    return word(p) | word(p + 2) << 16;
}

/* The three masks: given (in the header, or behind one of 40 bytes), or what 16, 24 and 32 bits have by default. */
static int read_masks(const rn_decoding *d, bmp *b, uint32_t header, int given)
{
    static const uint32_t five[3] = {0x7c00, 0x3e0, 0x1f}, eight[3] = {0xff0000, 0xff00, 0xff};
    memcpy(b->mask, b->bits == 16 ? five : eight, sizeof b->mask);
    if (!given)
        return 0;
    if (d->size < 14 + 40 + 12)
        return rn_decoding_broken(d, "BMP", "it ends in its header");
    if (header == 40)
        b->pixels = b->pixels ? b->pixels : 14 + 40 + 12;
    uint32_t mask[3] = {long_word(d->data + 54), long_word(d->data + 58), long_word(d->data + 62)};
    if (!mask[0] && !mask[1] && !mask[2])
        return 0;
    for (int c = 0; c < 3; c++) {
        uint32_t low = mask[c] & -mask[c];
        if (!mask[c] || ((mask[c] / low) & (mask[c] / low + 1)))
            return rn_decoding_broken(d, "BMP", "masks of colours with holes");
    }
    memcpy(b->mask, mask, sizeof b->mask);
    return 0;
}

static int read_palette(rn_decoding *d, bmp *b, uint32_t header, uint32_t colours)
{
    size_t entry = header == 12 ? 3 : 4, start = 14 + (size_t)header;
    colours = colours ? colours : 1u << b->bits;
    if (colours > 65536 || d->size - start < colours * entry)
        return rn_decoding_broken(d, "BMP", "a palette that is not there");
    for (uint32_t i = 0; i < colours && i < 256; i++)
        for (int c = 0; c < 3; c++)
            d->palette[i][c] = d->data[start + i * entry + 2 - (size_t)c];
    if (!b->pixels || b->pixels == start)
        b->pixels = start + colours * entry;
    return 0;
}

static int read_header(rn_decoding *d, bmp *b)
{
    const unsigned char *p = d->data;
    uint32_t header = d->size >= 18 ? long_word(p + 14) : 0, compression = 0, colours = 0;
    if ((header != 12 && header != 40 && header != 52 && header != 56 && header != 64 && header != 108 && header != 124) ||
        d->size - 14 < header)
        return rn_decoding_broken(d, "BMP", "its header is none that is known, or is cut");
    b->pixels = long_word(p + 10);
    if (header == 12) {
        b->width = word(p + 18);
        b->height = word(p + 20);
        b->bits = (int)word(p + 24);
    } else {
        b->width = long_word(p + 18);
        b->height = long_word(p + 22);
        b->from_above = p[25] == 0xff;
        b->height = b->from_above ? ((int64_t)1 << 32) - b->height : b->height;
        b->bits = (int)word(p + 28);
        compression = long_word(p + 30);
        colours = long_word(p + 46);
    }
    if (b->bits != 1 && b->bits != 4 && b->bits != 8 && b->bits != 16 && b->bits != 24 && b->bits != 32)
        return rn_decoding_broken(d, "BMP", "its bits a pixel are none of 1, 4, 8, 16, 24 and 32");
    if (compression && (compression != 3 || b->bits < 16))
        return rn_foreign_image_convert(d->name, "a compressed BMP", d->err);
    int status = b->bits <= 8 ? read_palette(d, b, header, colours) : read_masks(d, b, header, compression == 3);
    if (!b->pixels)
        b->pixels = 14 + header;
    return status;
}

static void unpack(const bmp *b, const unsigned char *in, unsigned char *out)
{
    for (int x = 0; x < (int)b->width; x++) {
        if (b->bits <= 8) {
            int bit = x * b->bits % 8;
            out[x] = (unsigned char)(in[(int64_t)x * b->bits / 8] >> (8 - b->bits - bit) & ((1 << b->bits) - 1));
            continue;
        }
        const unsigned char *p = in + (size_t)x * (size_t)(b->bits / 8);
        uint32_t pixel = b->bits == 16 ? word(p) : b->bits == 24 ? word(p) | (uint32_t)p[2] << 16 : long_word(p);
        for (int c = 0; c < 3; c++) {
            uint32_t low = b->mask[c] & -b->mask[c], most = b->mask[c] / low;
            out[x * 3 + c] = (unsigned char)((uint64_t)((pixel & b->mask[c]) / low) * 255 / most);
        }
    }
}

int rn_decode_bmp(rn_decoding *d)
{
    bmp b = {0};
    int status = read_header(d, &b);
    if (status)
        return status;
    b.stride = ((size_t)b.width * (size_t)b.bits + 31) / 32 * 4;
    /* before the room: a header alone takes none. Too many pixels are told by rn_decoding_begin. */
    if (b.width > 0 && b.height > 0 && b.width <= d->most_pixels / b.height &&
        (b.pixels > d->size || (uint64_t)b.height > (d->size - b.pixels) / b.stride))
        return rn_decoding_broken(d, "BMP", "it ends early");
    if ((status = rn_decoding_begin(d, b.width, b.height, 0)))
        return status;
    unsigned char *row = malloc((size_t)b.width * 3);
    if (!row)
        return rn_error_memory(d->err, d->name, (unsigned long long)b.width * 3);
    for (int y = 0; y < (int)b.height; y++) {
        unpack(&b, d->data + b.pixels + (size_t)y * b.stride, row);
        rn_decoding_row(d, b.from_above ? y : (int)b.height - 1 - y, b.bits <= 8 ? RN_ROW_INDEX : RN_ROW_RGB, row);
    }
    free(row);
    return 0;
}
