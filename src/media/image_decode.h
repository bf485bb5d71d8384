/* What the decoders of pictures share: a file's bytes, the picture that its rows go into, and one way to fail; see image.c. */
#ifndef RN_MEDIA_IMAGE_DECODE_H
#define RN_MEDIA_IMAGE_DECODE_H

#include "media/image.h"

/* A row of `width` pixels as a decoder has it. */
typedef enum rn_row {
    RN_ROW_GREY,
    RN_ROW_GREY16, /* most significant byte first; above 255: 255 */
    RN_ROW_INDEX,  /* into the palette */
    RN_ROW_RGB,
    RN_ROW_RGBX,         /* the fourth byte is not used */
    RN_ROW_CMYK_INVERTED /* 255: no ink, as Adobe writes it */
} rn_row;

typedef struct rn_decoding {
    const char *name; /* of the file, for messages */
    const unsigned char *data;
    size_t size;
    int channels, orient;
    int64_t most_pixels;
    int header_only, grey; /* stop at rn_decoding_begin, which then fills grey */
    unsigned char palette[256][3]; /* black until set */
    int orientation;               /* EXIF's 1..8; 0: none found. Read only if `orient` */
    rn_image *out;
    rn_error *err;
} rn_decoding;

/* The header is known: refuses too many pixels, or takes room for them. grey: the file's own format has no colours. */
int rn_decoding_begin(rn_decoding *d, int64_t width, int64_t height, int grey);
void rn_decoding_row(const rn_decoding *d, int y, rn_row kind, const unsigned char *row);

/* "NAME: broken KIND (WHY). Remove it, or train with --skip-bad"; returns RN_ERR_FORMAT. */
int rn_decoding_broken(const rn_decoding *d, const char *kind, const char *why);

/* The orientation in a block of EXIF (a TIFF file in small): 1..8, 0 if there is none. */
int rn_exif_orientation(const unsigned char *tiff, size_t size);

/* Each fills d->out, or fails; it then need not free d->out. */
int rn_decode_jpeg(rn_decoding *d);
int rn_decode_png(rn_decoding *d);
int rn_decode_webp(rn_decoding *d);
int rn_decode_pnm(rn_decoding *d);
int rn_decode_bmp(rn_decoding *d);

#endif
