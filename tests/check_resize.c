/* Resizing, cropping and normalising against Pillow and torchvision: every bit. tests/golden/resize.txt is made by scripts/golden/images.py. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/maths.h"
#include "media/pictures.h"

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

/* As scripts/golden/images.py has it. */
static rn_image pattern(int width, int height, int channels)
{
    rn_image image;
    assert_int_equal(rn_image_new(&image, height, width, channels, NULL), 0);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            int values[3] = {7 * x + 13 * y, 255 * ((x / 3 + y / 2) % 2), x * y + 3 * x};
            for (int c = 0; c < channels; c++)
                image.pixels[(y * width + x) * channels + c] = (unsigned char)values[c];
        }
    return image;
}

static void judge(const char *line, const rn_image *out, int width, int height, uint32_t crc)
{
    if (out->width != width || out->height != height || image_crc(out) != crc)
        fail_msg("%dx%d, CRC %u: %s", out->width, out->height, image_crc(out), line);
}

static void judge_preset(const char *line)
{
    rn_pictures p;
    int width, height, size, crop;
    uint32_t crc;
    float first;
    char name[20];
    rn_image small, middle, in;
    assert_int_equal(sscanf(line, "preset %d %d %d %19s %d %u %f", &width, &height, &size, name, &crop, &crc, &first), 7);
    in = pattern(width, height, 3);
    assert_int_equal(rn_image_resize_shorter(&in, size, rn_resize_named(name), &small, NULL), 0);
    assert_int_equal(rn_image_crop_centre(&small, crop, crop, &middle, NULL), 0);
    size_t count = (size_t)crop * (size_t)crop * 3;
    float *values = malloc(count * sizeof *values);
    assert_non_null(values);
    assert_int_equal(rn_pictures_preset(&p, "imagenet", NULL), 0);
    rn_pictures_numbers(&p, &middle, values);
    if (crc_of(values, count * sizeof *values) != crc)
        fail_msg("first value %.9g: %s", values[0], line);
    free(values);
    rn_image_free(&in);
    rn_image_free(&small);
    rn_image_free(&middle);
}

/* A weight rounded otherwise, passes in the other order, a side or an origin rounded up: each changes a pixel here. */
static void test_golden(void **state)
{
    (void)state;
    char line[200], name[20];
    int w, h, channels, w2, h2, size, seen = 0;
    uint32_t crc;
    FILE *file = fopen(RN_TEST_DIR "/golden/resize.txt", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        rn_image in = {0}, out = {0};
        seen++;
        if (sscanf(line, "resize %d %d %d %19s %d %d %u", &w, &h, &channels, name, &w2, &h2, &crc) == 7) {
            in = pattern(w, h, channels);
            assert_int_equal(rn_image_resize(&in, h2, w2, rn_resize_named(name), &out, NULL), 0);
            judge(line, &out, w2, h2, crc);
        } else if (sscanf(line, "shorter %d %d %d %d %d %u", &w, &h, &size, &w2, &h2, &crc) == 6) {
            in = pattern(w, h, 3);
            assert_int_equal(rn_image_resize_shorter(&in, size, RN_RESIZE_BILINEAR, &out, NULL), 0);
            judge(line, &out, w2, h2, crc);
        } else if (sscanf(line, "crop %d %d %d %d %u", &w, &h, &w2, &h2, &crc) == 5) {
            in = pattern(w, h, 3);
            assert_int_equal(rn_image_crop_centre(&in, h2, w2, &out, NULL), 0);
            judge(line, &out, w2, h2, crc);
        } else {
            judge_preset(line);
        }
        rn_image_free(&in);
        rn_image_free(&out);
    }
    fclose(file);
    assert_true(seen > 200);
}

/* The reference's golden numbers, noted with another version of Pillow. */
static void test_presets(void **state)
{
    (void)state;
    static const struct {
        int size, width;
        unsigned char first[3], inside[3];
    } presets[] = {{256, 384, {86, 249, 161}, {133, 6, 84}}, {232, 348, {162, 177, 180}, {0}}};
    rn_image in, small, middle;
    assert_int_equal(rn_image_new(&in, 200, 300, 3, NULL), 0);
    for (int y = 0; y < 200; y++)
        for (int x = 0; x < 300; x++) {
            unsigned char *p = in.pixels + (y * 300 + x) * 3;
            p[0] = (unsigned char)(7 * x + 13 * y);
            p[1] = (unsigned char)(3 * x + 5 * y);
            p[2] = (unsigned char)(x * y);
        }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rn_image_resize_shorter(&in, presets[i].size, RN_RESIZE_BILINEAR, &small, NULL), 0);
        assert_int_equal(small.width, presets[i].width);
        assert_int_equal(rn_image_crop_centre(&small, 224, 224, &middle, NULL), 0);
        assert_memory_equal(middle.pixels, presets[i].first, 3);
        if (i == 0)
            assert_memory_equal(middle.pixels + (100 * 224 + 57) * 3, presets[i].inside, 3);
        rn_image_free(&small);
        rn_image_free(&middle);
    }
    rn_image_free(&in);
}

/* Lanczos weights come from our own sine. One that rounded to another integer than libm's would make a pixel differ from Pillow's; one row that
 * is 255 at a single pixel shows its weight only in 8 bits, so the weights are computed here once more, by both sines. */
static void test_sine(void **state)
{
    (void)state;
    const double pi = 3.14159265358979323846;
    long weights = 0, different = 0;
    for (int in = 1; in <= 400; in += 3)
        for (int out = 1; out <= 400; out += 7) {
            double scale = (double)in / out, s = scale < 1 ? 1 : scale;
            for (int i = 0; i < out; i += 1 + out / 20) {
                double centre = (i + 0.5) * scale, sum[2] = {0};
                static double w[2][2500];
                int lo = (int)(centre - 3 * s + 0.5), hi = (int)(centre + 3 * s + 0.5);
                lo = lo < 0 ? 0 : lo;
                hi = hi > in ? in : hi;
                for (int j = lo; j < hi; j++) {
                    double x = (j - centre + 0.5) * (1 / s), a = x * pi, b = x / 3 * pi;
                    int inside = x >= -3 && x < 3;
                    sum[0] += w[0][j - lo] = !inside ? 0 : x == 0 ? 1 : sin(a) / a * (sin(b) / b);
                    sum[1] += w[1][j - lo] = !inside ? 0 : x == 0 ? 1 : rn_sin(a) / a * (rn_sin(b) / b);
                }
                for (int j = 0; j < hi - lo; j++, weights++) {
                    double p = w[0][j] / sum[0] * (1 << 22), q = w[1][j] / sum[1] * (1 << 22);
                    different += (int)(p < 0 ? p - 0.5 : p + 0.5) != (int)(q < 0 ? q - 0.5 : q + 0.5);
                }
            }
        }
    assert_true(weights > 1000000);
    assert_int_equal(different, 0);
}

/* Sizes that cannot be are refused, and leave nothing to free. */
static void test_refused(void **state)
{
    (void)state;
    rn_error err;
    rn_image in = pattern(4, 3, 3), out;
    assert_int_equal(rn_image_resize(&in, 0, 5, RN_RESIZE_BOX, &out, &err), RN_ERR_ARG);
    assert_null(out.pixels);
    assert_int_equal(rn_image_resize(&in, 5, 5, RN_RESIZE_COUNT, &out, &err), RN_ERR_ARG);
    assert_int_equal(rn_image_resize_shorter(&in, 0, RN_RESIZE_BOX, &out, &err), RN_ERR_ARG);
    assert_int_equal(rn_image_resize_shorter(&in, INT32_MAX, RN_RESIZE_BOX, &out, &err), RN_ERR_UNSUPPORTED);
    assert_int_equal(rn_image_resize(&in, 3, INT32_MAX, RN_RESIZE_BOX, &out, &err), RN_ERR_UNSUPPORTED);
    assert_null(out.pixels);
    /* A strip that would become gigabytes, and one that only would on the way. */
    rn_image strip = pattern(1, 50000, 3);
    assert_int_equal(rn_image_resize_shorter(&strip, 256, RN_RESIZE_BOX, &out, &err), RN_ERR_UNSUPPORTED);
    assert_int_equal(rn_image_resize(&strip, 16, 16384, RN_RESIZE_BOX, &out, &err), RN_ERR_UNSUPPORTED);
    assert_null(out.pixels);
    rn_image_free(&strip);
    assert_int_equal(rn_image_crop_centre(&in, -1, 2, &out, &err), RN_ERR_ARG);
    assert_int_equal(rn_image_new(&out, 2, 2, 2, &err), RN_ERR_ARG);
    assert_int_equal(rn_resize_named("Lanczos"), RN_RESIZE_LANCZOS);
    assert_int_equal(rn_resize_named("nearest"), RN_RESIZE_COUNT);
    assert_string_equal(rn_resize_name(RN_RESIZE_BOX), "box");
    rn_image_free(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden), cmocka_unit_test(test_presets), cmocka_unit_test(test_sine),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
