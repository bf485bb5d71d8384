/* The "pictures" section: presets against torchvision's numbers, and every way in which a section can be wrong. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "media/pictures.h"

static rn_image formula(void)
{
    rn_image image;
    assert_int_equal(rn_image_new(&image, 200, 300, 3, NULL), 0);
    for (int y = 0; y < 200; y++)
        for (int x = 0; x < 300; x++) {
            unsigned char *p = image.pixels + ((size_t)y * 300 + (size_t)x) * 3;
            p[0] = (unsigned char)(7 * x + 13 * y);
            p[1] = (unsigned char)(3 * x + 5 * y);
            p[2] = (unsigned char)(x * y);
        }
    return image;
}

/* torchvision's own answers for this picture (ResNet-50's V1 and V2 transforms): another order of steps, size or origin changes the mean. */
static void test_presets(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double mean;
    } known[] = {{"imagenet", 0.216939}, {"imagenet-v2", 0.216416}};
    rn_image in = formula(), out;
    for (size_t i = 0; i < 2; i++) {
        rn_pictures p;
        rn_error err;
        double sum = 0;
        int h, w;
        assert_int_equal(rn_pictures_preset(&p, known[i].name, &err), 0);
        assert_int_equal(rn_pictures_prepare(&p, &in, &out, &err), 0);
        rn_pictures_size(&p, &h, &w);
        assert_int_equal(out.height, h);
        assert_int_equal(out.width, w);
        float *x = malloc(3 * 224 * 224 * sizeof *x);
        assert_non_null(x);
        rn_pictures_numbers(&p, &out, x);
        for (int k = 0; k < 3 * 224 * 224; k++)
            sum += x[k];
        assert_true(fabs(sum / (3 * 224 * 224) - known[i].mean) < 1e-6);
        if (!i) {
            assert_true(fabsf(x[0] - -0.645175f) < 1e-6f && fabsf(x[224 * 224] - 2.323529f) < 1e-6f);
            assert_true(fabsf(x[2 * 224 * 224] - 1.001656f) < 1e-6f);
        }
        free(x);
        rn_image_free(&out);
    }
    rn_image_free(&in);
}

/* Caffe's order and range: the first channel of the network is blue, minus its mean, not divided. */
static void test_caffe(void **state)
{
    (void)state;
    rn_pictures p;
    rn_image in = formula(), one;
    float x[3];
    assert_int_equal(rn_pictures_preset(&p, "caffe", NULL), 0);
    assert_int_equal(rn_image_new(&one, 1, 1, 3, NULL), 0);
    memcpy(one.pixels, (unsigned char[3]){10, 20, 30}, 3);
    rn_pictures_numbers(&p, &one, x);
    assert_true(x[0] == 30 - 104 && x[1] == 20 - 117 && x[2] == 10 - 123);
    rn_image_free(&one);
    rn_image_free(&in);
}

/* A section comes back as it was written, exactly, for every preset; grey ones have one mean. */
static void test_json(void **state)
{
    (void)state;
    static const char *const names[] = {"imagenet", "imagenet-v2", "timm", "timm-95", "cifar", "caffe", "none"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        rn_pictures p, back;
        rn_error err;
        assert_int_equal(rn_pictures_preset(&p, names[i], &err), 0);
        if (i % 2)
            rn_pictures_set_channels(&p, 1);
        json_t *section = rn_pictures_to_json(&p);
        assert_non_null(section);
        assert_int_equal(json_array_size(json_object_get(section, "mean")), i % 2 ? 1 : 3);
        if (rn_pictures_from_json(&back, section, "file", &err))
            fail_msg("%s", err.text);
        assert_memory_equal(&p, &back, sizeof p);
        json_decref(section);
    }
    rn_pictures p;
    rn_error err;
    assert_int_equal(rn_pictures_preset(&p, "vgg", &err), RN_ERR_ARG);
    assert_non_null(strstr(err.text, "imagenet"));
}

static int read_with(const char *key, json_t *value, int open, rn_pictures *out, rn_error *err)
{
    rn_pictures p;
    assert_int_equal(rn_pictures_preset(&p, "imagenet", NULL), 0);
    json_t *section = rn_pictures_to_json(&p);
    if (value)
        json_object_set_new(section, key, value);
    else
        json_object_del(section, key);
    int status = (open ? rn_pictures_from_open_json : rn_pictures_from_json)(out, section, "m.safetensors", err);
    json_decref(section);
    return status;
}

/* What a model file may not hold is refused with the key's name. */
static void test_refused(void **state)
{
    (void)state;
    rn_pictures p;
    rn_error err;
    const struct {
        const char *key;
        json_t *value;
    } wrong[] = {{"channels", json_integer(2)},
                 {"channels", json_integer(0)},
                 {"order", json_string("grb")},
                 {"resize", json_string("0")},
                 {"resize", json_string("auto")},
                 {"resize", json_string("16x")},
                 {"resize", json_string("99999")},
                 {"crop", json_string("2x")},
                 {"crop", json_string("-1x5")},
                 {"filter", json_string("cubic")},
                 {"divisor", json_integer(0)},
                 {"mean", json_string("0.5")},
                 {"mean", json_pack("[f,f]", 1., 2.)},
                 {"std", json_pack("[f]", 0.)},
                 {"std", json_pack("[s]", "a")},
                 {"orient", json_integer(3)},
                 {"mean", NULL},
                 {"colour", json_true()}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int code = read_with(wrong[i].key, wrong[i].value, 0, &p, &err);
        if (code != RN_ERR_FORMAT || !strstr(err.text, wrong[i].key) || !strstr(err.text, "m.safetensors"))
            fail_msg("%s (case %zu): %d, %s", wrong[i].key, i, code, err.text);
    }
    assert_int_equal(rn_pictures_from_json(&p, NULL, "m.safetensors", &err), RN_ERR_FORMAT);
}

/* Options are texts; what the data decide may stay open. */
static void test_open(void **state)
{
    (void)state;
    rn_pictures p;
    rn_error err;
    assert_int_equal(read_with("mean", json_string(".5,0.25,.125"), 1, &p, &err), 0);
    assert_true(p.mean[0] == 0.5 && p.mean[1] == 0.25 && p.mean[2] == 0.125);
    assert_int_equal(read_with("std", json_string("0.5"), 1, &p, &err), 0);
    assert_true(p.std[2] == 0.5);
    assert_int_equal(read_with("resize", json_string("auto"), 1, &p, &err), 0);
    assert_int_equal(p.resize_h, RN_OPEN);
    assert_int_equal(read_with("resize", json_integer(128), 1, &p, &err), 0);
    assert_int_equal(p.resize_h, 128);
    assert_int_equal(read_with("resize", json_string("64x128"), 1, &p, &err), 0);
    assert_int_equal(p.resize_w, 128);
    assert_int_equal(read_with("crop", json_string("none"), 1, &p, &err), 0);
    assert_int_equal(p.crop_h, 0);
    assert_int_equal(read_with("mean", json_string("0.5,0.5"), 1, &p, &err), RN_ERR_ARG);
    assert_int_equal(read_with("mean", json_string("a,b,c"), 1, &p, &err), RN_ERR_ARG);
    rn_pictures_default(&p);
    assert_int_equal(rn_pictures_check(&p, &err), RN_ERR_ARG);
    rn_pictures_set_channels(&p, 1);
    assert_true(fabs(p.mean[0] - 0.449) < 1e-9 && p.mean[2] == p.mean[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_presets), cmocka_unit_test(test_caffe), cmocka_unit_test(test_json),
                                       cmocka_unit_test(test_refused), cmocka_unit_test(test_open)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
