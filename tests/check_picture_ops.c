/* Operations of augmentation against Pillow and torchvision: every bit. tests/golden/picture_ops.txt is made by scripts/golden/picture_ops.py. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "media/augment_picture.h"
#include "media/picture_ops.h"
#include "media/picture_policy.h"

enum { WIDTH = 43, HEIGHT = 31 };

static rn_error err;

/* As scripts/golden/picture_ops.py has it. */
static rn_image pattern(int channels)
{
    rn_image image;
    assert_int_equal(rn_image_new(&image, HEIGHT, WIDTH, channels, NULL), 0);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            int values[3] = {20 + 3 * x + 2 * y, 40 + (x * y) % 150, 230 - 4 * y + 30 * ((x / 5 + y / 4) % 2)};
            for (int c = 0; c < channels; c++)
                image.pixels[(y * WIDTH + x) * channels + c] = (unsigned char)values[c];
        }
    return image;
}

static uint32_t crc_of(const rn_image *image)
{
    uint32_t crc = ~0u;
    for (int i = 0; i < image->height * image->width * image->channels; i++) {
        crc ^= image->pixels[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xedb88320u & -(crc & 1));
    }
    return ~crc;
}

static int apply(const char *name, double argument, rn_image *image)
{
    if (!strcmp(name, "brightness"))
        rn_picture_brightness(image, (float)argument);
    else if (!strcmp(name, "contrast"))
        rn_picture_contrast(image, (float)argument);
    else if (!strcmp(name, "saturation"))
        rn_picture_saturation(image, (float)argument);
    else if (!strcmp(name, "hue"))
        rn_picture_hue(image, argument);
    else if (!strcmp(name, "sharpness"))
        return rn_picture_sharpness(image, (float)argument, &err);
    else if (!strcmp(name, "posterize"))
        rn_picture_posterize(image, (int)argument);
    else if (!strcmp(name, "solarize"))
        rn_picture_solarize(image, argument);
    else if (!strcmp(name, "rotate"))
        return rn_picture_rotate(image, argument, &err);
    else if (!strcmp(name, "autocontrast"))
        rn_picture_autocontrast(image);
    else if (!strcmp(name, "equalize"))
        rn_picture_equalize(image);
    else
        fail_msg("%s", name);
    return 0;
}

/* A rounding, a border, a magnitude or an order of channels that is not Pillow's: each changes a pixel here. */
static void test_golden(void **state)
{
    (void)state;
    char line[200], name[20];
    int channels, seen = 0, op, bin, sign, wrong = 0;
    double argument;
    uint32_t crc;
    FILE *file = fopen(RN_TEST_DIR "/golden/picture_ops.txt", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        rn_image image;
        if (sscanf(line, "%19s %d %d %d %d %u", name, &op, &bin, &sign, &channels, &crc) == 6) {
            image = pattern(channels);
            assert_int_equal(rn_policy_apply(&image, !strcmp(name, "wide"), op, bin, sign, &err), 0);
        } else {
            assert_int_equal(sscanf(line, "%19s %lf %d %u", name, &argument, &channels, &crc), 4);
            image = pattern(channels);
            assert_int_equal(apply(name, argument, &image), 0);
        }
        if (crc_of(&image) != crc) {
            print_error("differs: %s", line);
            wrong++;
        }
        rn_image_free(&image);
        seen++;
    }
    fclose(file);
    assert_int_equal(wrong, 0);
    assert_true(seen > 500);
}

/* A drawn part outside the picture, of another share or ratio than asked for; and the middle where no part of such a ratio is large enough. */
static void test_boxes(void **state)
{
    (void)state;
    double least = 1, most = 0;
    for (uint64_t position = 0; position < 2000; position++) {
        rn_box b = rn_picture_draw_box(0.25, 1, 2, position, 120, 160);
        double share = (double)b.height * b.width / (120 * 160), ratio = (double)b.width / b.height;
        assert_true(b.top >= 0 && b.left >= 0 && b.top + b.height <= 120 && b.left + b.width <= 160);
        assert_true(share > 0.24 && share <= 1 && ratio > 0.73 && ratio < 1.36);
        least = share < least ? share : least;
        most = share > most ? share : most;
    }
    assert_true(least < 0.27 && most > 0.9);
    rn_box wide = rn_picture_draw_box(0.9, 1, 0, 0, 10, 1000), tall = rn_picture_draw_box(0.9, 1, 0, 0, 1000, 10);
    assert_true(wide.height == 10 && wide.width == 13 && wide.top == 0 && wide.left == (1000 - 13) / 2);
    assert_true(tall.width == 10 && tall.height == 13 && tall.left == 0 && tall.top == (1000 - 13) / 2);
}

/* Padding that is not black, a mirror that loses a column, a crop that never reaches a border. */
static void test_sample(void **state)
{
    (void)state;
    rn_pictures p;
    rn_picture_augment a;
    rn_image in = pattern(3), out;
    int corner = 0;
    assert_int_equal(rn_pictures_preset(&p, "none", NULL), 0);
    rn_picture_augment_none(&a);
    a.pad = 4;
    for (uint64_t position = 0; position < 400; position++) {
        assert_int_equal(rn_picture_sample(&a, &p, HEIGHT, WIDTH, 7, 0, position, &in, &out, &err), 0);
        int black = 1;
        for (int c = 0; c < 4 * 3; c++)
            black &= !out.pixels[c];
        for (int y = 0; y < 4; y++)
            black &= !out.pixels[y * WIDTH * 3];
        corner += black && !memcmp(out.pixels + (4 * WIDTH + 4) * 3, in.pixels, 3 * 5); /* as far above left as it goes */
        rn_image_free(&out);
    }
    assert_true(corner > 0);
    a.pad = 0;
    a.flip = 1;
    assert_int_equal(rn_picture_sample(&a, &p, HEIGHT, WIDTH, 7, 0, 0, &in, &out, &err), 0);
    for (int x = 0; x < WIDTH; x++)
        assert_memory_equal(out.pixels + 3 * x, in.pixels + 3 * (WIDTH - 1 - x), 3);
    rn_image_free(&out);
    rn_image_free(&in);
}

/* A covered box that leaves the picture, or of a share that was not asked for; cover where none was wanted. */
static void test_erase(void **state)
{
    (void)state;
    rn_picture_augment a;
    static float x[2 * 40 * 50];
    int covered = 0;
    rn_picture_augment_none(&a);
    for (uint64_t position = 0; position < 500; position++) {
        int zeros[2] = {0, 0};
        a.erase = position < 250 ? 0.5 : 0;
        for (int i = 0; i < 2 * 40 * 50; i++)
            x[i] = 1;
        rn_picture_erase(&a, 3, 1, position, 2, 40, 50, x);
        for (int i = 0; i < 2 * 40 * 50; i++)
            zeros[i / 2000] += x[i] == 0;
        assert_int_equal(zeros[0], zeros[1]);
        assert_true(!zeros[0] || (position < 250 && zeros[0] > 0.015 * 2000 && zeros[0] < 0.36 * 2000));
        covered += zeros[0] > 0;
    }
    assert_true(covered > 90 && covered < 160);
}

/* A box that came from another item than `pair` says, an area that is not the share given back, an item whose box was overwritten too early. */
static void test_cutmix(void **state)
{
    (void)state;
    enum { N = 7, C = 2, H = 9, W = 11, SIZE = C * H * W };
    rn_picture_augment a;
    static float x[N * SIZE];
    int pair[N], moved = 0;
    rn_picture_augment_none(&a);
    a.cutmix = 1;
    for (uint64_t position = 0; position < 200; position++) {
        for (int i = 0; i < N * SIZE; i++)
            x[i] = (float)i;
        double share = rn_picture_cutmix(&a, 4, 0, position, N, C, H, W, x, pair);
        int seen = 0, own = 0;
        for (int i = 0; i < N; i++) {
            seen |= 1 << pair[i];
            own += pair[i] == i;
            int kept = 0;
            for (int k = 0; k < SIZE; k++) {
                int from = (int)x[i * SIZE + k];
                assert_true(from == i * SIZE + k || from == pair[i] * SIZE + k);
                kept += from == i * SIZE + k;
            }
            if (pair[i] != i)
                assert_true(fabs((double)kept / SIZE - share) < 1e-9);
        }
        assert_int_equal(seen, (1 << N) - 1);
        moved += own < N && share < 1;
    }
    assert_true(moved > 150);
    int cuts = 0;
    for (uint64_t position = 0; position < 200; position++)
        cuts += rn_picture_cuts(&a, 1, 4, 0, position);
    assert_true(cuts > 70 && cuts < 130 && rn_picture_cuts(&a, 0, 4, 0, 0));
}

/* A key that is lost on its way through JSON, or a wrong one that is not refused. */
static void test_json(void **state)
{
    (void)state;
    rn_picture_augment a, back;
    rn_picture_augment_default(&a);
    a.hue = 0.25;
    a.rand_augment = 2;
    json_t *section = rn_picture_augment_to_json(&a);
    assert_string_equal(json_string_value(json_object_get(section, "flip")), "auto");
    rn_picture_augment_none(&back);
    assert_int_equal(rn_picture_augment_from_json(&back, section, &err), 0);
    assert_memory_equal(&a, &back, sizeof a);
    json_decref(section);
    static const char *const wrong[] = {"{\"hue\": 0.6}", "{\"pad\": 1.5}", "{\"erase\": \"auto\"}", "{\"flip\": \"often\"}",
                                        "{\"gain_db\": 3}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        section = json_loads(wrong[i], 0, NULL);
        assert_int_equal(rn_picture_augment_from_json(&back, section, &err), RN_ERR_ARG);
        assert_memory_equal(&a, &back, sizeof a);
        json_decref(section);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden), cmocka_unit_test(test_boxes),  cmocka_unit_test(test_sample),
                                       cmocka_unit_test(test_erase),  cmocka_unit_test(test_cutmix), cmocka_unit_test(test_json)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
