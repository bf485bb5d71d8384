/* Decoding of pictures against Pillow, every pixel, and against files that are broken or lie. tests/golden/images (pictures of every kind and
 * what Pillow reads in them) is made by scripts/golden/images.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "media/image.h"

#define FOLDER RN_TEST_DIR "/golden/images/"

static uint32_t crc_of(const void *data, size_t size)
{
    const unsigned char *p = data;
    uint32_t crc = ~0u;
    for (size_t i = 0; i < size; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xedb88320u & -(crc & 1));
    }
    return ~crc;
}

static uint32_t image_crc(const rn_image *image)
{
    return crc_of(image->pixels, (size_t)image->width * (size_t)image->height * (size_t)image->channels);
}

typedef struct entry {
    char name[60], path[400];
    int width, height;
    uint32_t rgb, grey, oriented;
} entry;

/* Calls `visit` for every line of the list. */
static void each(void (*visit)(const entry *e))
{
    char line[300];
    int seen = 0;
    FILE *file = fopen(FOLDER "list.txt", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        entry e;
        assert_int_equal(sscanf(line, "%59s %d %d %u %u %u", e.name, &e.width, &e.height, &e.rgb, &e.grey, &e.oriented), 6);
        snprintf(e.path, sizeof e.path, "%s%s", FOLDER, e.name);
        visit(&e);
        seen++;
    }
    fclose(file);
    assert_true(seen > 80);
}

static uint32_t read_crc(const entry *e, int channels, int orient)
{
    rn_image_options options = {.channels = channels, .orient = orient};
    rn_image image;
    rn_error err = {0};
    if (rn_image_read(e->path, &options, &image, &err))
        fail_msg("%s", err.text);
    int turned = orient && image.width == e->height && image.height == e->width;
    if (!turned && (image.width != e->width || image.height != e->height))
        fail_msg("%s: %dx%d, want %dx%d", e->name, image.width, image.height, e->width, e->height);
    assert_int_equal(image.channels, channels);
    uint32_t crc = image_crc(&image);
    rn_image_free(&image);
    return crc;
}

static void judge(const entry *e)
{
    if (read_crc(e, 3, 0) != e->rgb)
        fail_msg("%s: other colours than Pillow's", e->name);
    if (read_crc(e, 1, 0) != e->grey)
        fail_msg("%s: other grey than Pillow's", e->name);
    if (read_crc(e, 3, 1) != e->oriented)
        fail_msg("%s: turned otherwise than by Pillow's exif_transpose", e->name);
}

/* A colour conversion, a stretched depth, an inverted ink, a row from below, a tRNS that is composed: each changes a pixel here. */
static void test_golden(void **state)
{
    (void)state;
    each(judge);
}

/* A copy of exactly `size` bytes, so that a sanitizer sees one byte read too many. */
static int read_copy(const char *name, const unsigned char *data, size_t size, int64_t most, rn_image *image, rn_error *err)
{
    rn_image_options options = {.orient = 1, .most_pixels = most};
    unsigned char *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, data, size);
    int status = rn_image_read_memory(name, copy, size, &options, image, err);
    free(copy);
    if (status && (!err->text[0] || strncmp(err->text, name, strlen(name)) || image->pixels))
        fail_msg("%s, %zu bytes: code %d, \"%s\"", name, size, status, err->text);
    return status;
}

/* Cut anywhere, a picture is whole (what was cut stood behind its pixels) or an error that names the file: never a part with grey below. */
static void cut(const entry *e)
{
    unsigned char *data;
    size_t size;
    rn_image image;
    rn_error err;
    int whole = 0;
    assert_int_equal(rn_file_read(e->path, 1 << 20, &data, &size, NULL), 0);
    size_t last =
        e->name[0] == 'p' && (e->name[1] == '2' || e->name[1] == '3') ? 3 : 0; /* a number that lacks its last digit is one, too */
    for (size_t i = 0; i + last < size; i++) {
        memset(&err, 0, sizeof err);
        if (read_copy(e->name, data, i, 0, &image, &err))
            continue;
        uint32_t crc = image_crc(&image);
        if (crc != e->rgb && crc != e->oriented)
            fail_msg("%s, cut to %zu of %zu bytes, is another picture", e->name, i, size);
        rn_image_free(&image);
        whole++;
    }
    if (whole > 40)
        fail_msg("%s: %d of its last bytes are not needed", e->name, whole);
    free(data);
}

static void test_cut(void **state)
{
    (void)state;
    each(cut);
}

/* One byte changed: any answer but a crash, a hang or an error without a sentence. A limit keeps changed headers small. */
static void change(const entry *e)
{
    unsigned char *data;
    size_t size;
    rn_image image;
    assert_int_equal(rn_file_read(e->path, 1 << 20, &data, &size, NULL), 0);
    for (size_t i = 0; i < size; i += 1 + size / 400)
        for (int k = 0; k < 3; k++) {
            rn_error err = {0};
            unsigned char was = data[i];
            data[i] = k == 0 ? (unsigned char)~was : k == 1 ? 0xff : (unsigned char)(was ^ 1);
            if (!read_copy(e->name, data, size, 100000, &image, &err))
                rn_image_free(&image);
            data[i] = was;
        }
    free(data);
}

static void test_changed(void **state)
{
    (void)state;
    each(change);
}

static void refuse(const char *name, const void *data, size_t size, int code, const char *part)
{
    rn_image image;
    rn_error err = {0};
    int status = rn_image_read_memory(name, data, size, NULL, &image, &err);
    if (status != code || !strstr(err.text, part) || image.pixels)
        fail_msg("%s: code %d, \"%s\", want %d and \"%s\"", name, status, err.text, code, part);
}

/* Headers that promise gigabytes are refused before room is taken: by the limit, or because the file is too short. */
static void test_promises(void **state)
{
    (void)state;
    static const unsigned char png[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x75\x30\0\0\x75\x30\x08\x02\0\0\0\0\0\0\0";
    static const unsigned char webp[] = "RIFF\x1e\0\0\0WEBPVP8X\n\0\0\0\0\0\0\0\xff\x7f\0\xff\x7f\0\0\0\0\0";
    static const unsigned char jpeg[] =
        "\xff\xd8\xff\xc0\0\x11\x08\xea\x60\xea\x60\3\1\x11\0\2\x11\0\3\x11\0\xff\xda\0\x0c\3\1\0\2\0\3\0\0\x3f\0";
    unsigned char bmp[54] = "BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\0\0\1\0\0\0\1\0\1\0\x18";
    unsigned char changed[sizeof png];
    refuse("a.webp", webp, sizeof webp - 1, RN_ERR_UNSUPPORTED, "at most 89478485 are read");
    refuse("a.jpg", jpeg, sizeof jpeg - 1, RN_ERR_UNSUPPORTED, "60000 x 60000 pixels");
    refuse("a.bmp", bmp, sizeof bmp, RN_ERR_UNSUPPORTED, "65536 x 65536 pixels");
    refuse("a.ppm", "P6 99999 99999 255 ", 19, RN_ERR_UNSUPPORTED, "99999 x 99999 pixels");
    refuse("a.ppm", "P6 9000 9000 255\n123", 20, RN_ERR_FORMAT, "it ends early");
    bmp[20] = bmp[24] = 0, bmp[19] = bmp[23] = 0x20;
    refuse("a.bmp", bmp, sizeof bmp, RN_ERR_FORMAT, "it ends early");
    memcpy(changed, png, sizeof png); /* 30000 x 30000: refused by its checksum first, so that has to be right */
    uint32_t crc = crc_of(changed + 12, 17);
    for (int i = 0; i < 4; i++)
        changed[29 + i] = (unsigned char)(crc >> (24 - 8 * i));
    refuse("a.png", png, sizeof png - 1, RN_ERR_FORMAT, "CRC");
    /* libpng takes a header as read when it has seen the next chunk */
    unsigned char more[sizeof png + 12] = {0};
    memcpy(more, changed, sizeof png - 1);
    memcpy(more + sizeof png - 1, "\0\0\0\0IDAT\x35\xaf\x06\x1e", 12);
    refuse("a.png", more, sizeof png - 1 + 12, RN_ERR_UNSUPPORTED, "30000 x 30000 pixels");
}

/* The limit is the caller's, to the pixel. */
static void test_limit(void **state)
{
    (void)state;
    rn_image image;
    rn_error err = {0};
    rn_image_options options = {.most_pixels = 19 * 7};
    assert_int_equal(rn_image_read(FOLDER "p6.ppm", &options, &image, &err), 0);
    rn_image_free(&image);
    options.most_pixels--;
    assert_int_equal(rn_image_read(FOLDER "p6.ppm", &options, &image, &err), RN_ERR_UNSUPPORTED);
    options.most_pixels = -1;
    assert_int_equal(rn_image_read(FOLDER "p6.ppm", &options, &image, &err), RN_ERR_ARG);
    options = (rn_image_options){.channels = 4};
    assert_int_equal(rn_image_read(FOLDER "p6.ppm", &options, &image, &err), RN_ERR_ARG);
    assert_int_equal(rn_image_read(FOLDER "none.ppm", NULL, &image, &err), RN_ERR_IO);
}

/* Kinds that are not read are named, with the line that converts them, ready for a shell; the name of a file decides nothing. */
static void test_foreign(void **state)
{
    (void)state;
    static const char heic[] = "\0\0\0\x18"
                               "ftypheic\0\0\0\0",
                      gif[] = "GIF89a\1\0\1\0",
                      avif[] = "\0\0\0\x1c"
                               "ftypavif";
    refuse("IMG 1.HEIC", heic, sizeof heic - 1, RN_ERR_FORMAT, "Convert it: heif-convert 'IMG 1.HEIC' 'IMG 1.png'");
    refuse("a.gif", gif, sizeof gif - 1, RN_ERR_FORMAT, "Convert it: ffmpeg -i a.gif -frames:v 1 a.png");
    refuse("a.jpg", avif, sizeof avif - 1, RN_ERR_FORMAT, "a.jpg: an AVIF cannot be read here");
    refuse("-x", "II*\0\0\0\0\0", 8, RN_ERR_FORMAT, "ffmpeg -i ./-x -frames:v 1 ./-x.png");
    refuse("a.png", "hello", 5, RN_ERR_FORMAT, "no JPEG, PNG, WebP, PNM or BMP");
    refuse("a.png", "", 0, RN_ERR_FORMAT, "(0 bytes)");
    unsigned char bmp[54] = "BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\1\0\0\0\1\0\0\0\1\0\x08\0\1";
    refuse("a.bmp", bmp, sizeof bmp, RN_ERR_FORMAT, "a compressed BMP cannot be read here. Convert it: ffmpeg");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden),   cmocka_unit_test(test_cut),   cmocka_unit_test(test_changed),
                                       cmocka_unit_test(test_promises), cmocka_unit_test(test_limit), cmocka_unit_test(test_foreign)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
