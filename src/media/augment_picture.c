/* Augmentation of pictures, in the order of torchvision's reference: part, mirror, colours, RandAugment or TrivialAugment; as numbers: a box
 * covered; of a ghost batch: CutMix.
 *
 * resized_crop (Szegedy et al. 2015, as torchvision draws it): area uniform in [low, 1] of the picture's, ratio of width to height uniform in
 * its logarithm between 3/4 and 4/3, place uniform; then resized, as Pillow does it.
 * pad (He et al. 2016, section 4.2, 4 pixels for CIFAR): black all around, then a crop at a uniform place. Without padding the place is
 * drawn where the picture is larger than the crop.
 * Every step draws from its own stream (base/random.h), so switching one on does not change what another draws. */
#include "media/augment_picture.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "base/maths.h"
#include "base/random.h"
#include "media/picture_ops.h"
#include "media/picture_policy.h"

/* A key, the field it stands for and its range; open ones may also be RN_OPEN, written "auto". */
static const struct {
    const char *key;
    int whole, open;
    size_t offset;
    double low, high;
} keys[] = {
    {"resized_crop", 0, 1, offsetof(rn_picture_augment, resized_crop), 0, 1},
    {"pad", 1, 1, offsetof(rn_picture_augment, pad), 0, 1024},
    {"flip", 0, 1, offsetof(rn_picture_augment, flip), 0, 1},
    {"brightness", 0, 0, offsetof(rn_picture_augment, brightness), 0, 1},
    {"contrast", 0, 0, offsetof(rn_picture_augment, contrast), 0, 1},
    {"saturation", 0, 0, offsetof(rn_picture_augment, saturation), 0, 1},
    {"hue", 0, 0, offsetof(rn_picture_augment, hue), 0, 0.5},
    {"rand_augment", 1, 0, offsetof(rn_picture_augment, rand_augment), 0, 14},
    {"rand_magnitude", 1, 0, offsetof(rn_picture_augment, rand_magnitude), 0, 30},
    {"trivial_augment", 1, 0, offsetof(rn_picture_augment, trivial_augment), 0, 1},
    {"erase", 0, 0, offsetof(rn_picture_augment, erase), 0, 1},
    {"cutmix", 0, 0, offsetof(rn_picture_augment, cutmix), 0, 100},
};
#define KEYS (sizeof keys / sizeof *keys)

void rn_picture_augment_none(rn_picture_augment *a)
{
    memset(a, 0, sizeof *a);
    a->rand_magnitude = 9;
}

void rn_picture_augment_default(rn_picture_augment *a)
{
    rn_picture_augment_none(a);
    a->resized_crop = a->flip = RN_OPEN;
    a->pad = RN_OPEN;
}

static double get(const rn_picture_augment *a, size_t i)
{
    const char *at = (const char *)a + keys[i].offset;
    double real;
    int whole;
    memcpy(&whole, at, sizeof whole);
    if (keys[i].whole)
        return whole;
    memcpy(&real, at, sizeof real);
    return real;
}

static void set(rn_picture_augment *a, size_t i, double value)
{
    char *at = (char *)a + keys[i].offset;
    int whole = (int)value;
    memcpy(at, keys[i].whole ? (const void *)&whole : (const void *)&value, keys[i].whole ? sizeof whole : sizeof value);
}

json_t *rn_picture_augment_to_json(const rn_picture_augment *a)
{
    json_t *section = json_object();
    for (size_t i = 0; section && i < KEYS; i++) {
        double value = get(a, i);
        json_t *number = keys[i].open && value == RN_OPEN ? json_string("auto")
                         : keys[i].whole                  ? json_integer((json_int_t)value)
                                                          : json_real(value);
        if (json_object_set_new(section, keys[i].key, number)) {
            json_decref(section);
            return NULL;
        }
    }
    return section;
}

int rn_picture_augment_from_json(rn_picture_augment *a, const json_t *section, rn_error *err)
{
    rn_picture_augment got = *a;
    const char *key;
    json_t *value;
    if (!json_is_object(section))
        return rn_error_set(err, RN_ERR_ARG, "augment: an object is wanted");
    json_object_foreach((json_t *)(uintptr_t)section, key, value)
    {
        size_t i = 0;
        while (i < KEYS && strcmp(key, keys[i].key))
            i++;
        if (i == KEYS)
            return rn_error_set(err, RN_ERR_ARG, "augment: \"%.100s\" is not known to this build", key);
        int open = keys[i].open && json_is_string(value) && !strcmp(json_string_value(value), "auto");
        double number = open ? RN_OPEN : json_number_value(value);
        if (!open &&
            (!json_is_number(value) || !(number >= keys[i].low && number <= keys[i].high) || (keys[i].whole && floor(number) != number)))
            return rn_error_set(err, RN_ERR_ARG, "augment: %s: want %s from %g to %g", key, keys[i].whole ? "a whole number" : "a number",
                                keys[i].low, keys[i].high);
        set(&got, i, number);
    }
    *a = got;
    return 0;
}

/* ---- Which part ---- */

static double uniform(rn_random *r, double low, double high)
{
    return low + (high - low) * rn_random_double(r);
}

/* Half to even, as Python's round(). */
static int rounded(double x)
{
    int whole = (int)floor(x);
    double rest = x - whole;
    return rest > 0.5 || (rest == 0.5 && whole % 2) ? whole + 1 : whole;
}

rn_box rn_picture_draw_box(double low, uint64_t seed, uint32_t epoch, uint64_t position, int height, int width)
{
    const double narrow = 3.0 / 4.0, wide = 4.0 / 3.0;
    double area = (double)height * width, log_narrow = rn_log(narrow), log_wide = rn_log(wide);
    rn_random r;
    rn_random_start(&r, seed, RN_PURPOSE_CROP, epoch, position);
    for (int i = 0; i < 10; i++) {
        double share = area * uniform(&r, low, 1), ratio = rn_exp(uniform(&r, log_narrow, log_wide));
        int w = rounded(sqrt(share * ratio)), h = rounded(sqrt(share / ratio));
        if (w >= 1 && h >= 1 && w <= width && h <= height) {
            int top = (int)rn_random_below(&r, (uint64_t)(height - h) + 1);
            return (rn_box){top, (int)rn_random_below(&r, (uint64_t)(width - w) + 1), h, w};
        }
    }
    double have = (double)width / height;
    int w = have > wide ? rounded(height * wide) : width, h = have < narrow ? rounded(width / narrow) : height;
    return (rn_box){(height - h) / 2, (width - w) / 2, h, w};
}

void rn_image_mirror(rn_image *image)
{
    size_t channels = (size_t)image->channels, row = (size_t)image->width * channels;
    for (int y = 0; y < image->height; y++) {
        unsigned char *left = image->pixels + (size_t)y * row, *right = left + row - channels;
        for (; left < right; left += channels, right -= channels)
            for (size_t c = 0; c < channels; c++) {
                unsigned char t = left[c];
                left[c] = right[c];
                right[c] = t;
            }
    }
}

static int take_resized(const rn_picture_augment *a, const rn_pictures *p, int height, int width, uint64_t seed, uint32_t epoch,
                        uint64_t position, const rn_image *in, rn_image *out, rn_error *err)
{
    rn_image part;
    rn_box box = rn_picture_draw_box(a->resized_crop, seed, epoch, position, in->height, in->width);
    int status = rn_image_cut(in, box, &part, err);
    if (!status)
        status = rn_image_resize(&part, height, width, p->filter, out, err);
    rn_image_free(&part);
    return status;
}

/* Where the crop begins along one axis: drawn where there is room, else the middle of what is too small. */
static int draw_place(rn_random *r, int have, int want, int pad)
{
    int room = have + 2 * pad - want;
    return room > 0 ? (int)rn_random_below(r, (uint64_t)room + 1) - pad : -(want - have) / 2;
}

int rn_picture_sample(const rn_picture_augment *a, const rn_pictures *p, int height, int width, uint64_t seed, uint32_t epoch,
                      uint64_t position, const rn_image *in, rn_image *out, rn_error *err)
{
    rn_random r;
    int status;
    if (a->resized_crop > 0)
        status = take_resized(a, p, height, width, seed, epoch, position, in, out, err);
    else {
        rn_random_start(&r, seed, RN_PURPOSE_CROP, epoch, position);
        int top = draw_place(&r, in->height, height, a->pad), left = draw_place(&r, in->width, width, a->pad);
        status = rn_image_cut(in, (rn_box){top, left, height, width}, out, err);
    }
    if (status)
        return status;
    rn_random_start(&r, seed, RN_PURPOSE_FLIP, epoch, position);
    if (rn_random_double(&r) < a->flip)
        rn_image_mirror(out);
    rn_picture_jitter(a, seed, epoch, position, out);
    if (a->trivial_augment)
        status = rn_policy_trivial(out, seed, epoch, position, err);
    else if (a->rand_augment)
        status = rn_policy_rand(out, a->rand_augment, a->rand_magnitude, seed, epoch, position, err);
    if (status)
        rn_image_free(out);
    return status;
}

/* ---- Colours ---- */

void rn_picture_jitter(const rn_picture_augment *a, uint64_t seed, uint32_t epoch, uint64_t position, rn_image *image)
{
    const double ranges[3] = {a->brightness, a->contrast, a->saturation};
    double factors[3];
    uint32_t order[4] = {0, 1, 2, 3};
    rn_random r;
    rn_random_start(&r, seed, RN_PURPOSE_COLOUR, epoch, position);
    rn_random_shuffle(&r, order, 4);
    for (int i = 0; i < 3; i++)
        factors[i] = uniform(&r, 1 - ranges[i], 1 + ranges[i]);
    double turn = uniform(&r, -a->hue, a->hue);
    for (int i = 0; i < 4; i++) {
        uint32_t step = order[i];
        if (step == 3 && a->hue > 0)
            rn_picture_hue(image, turn);
        else if (step == 0 && a->brightness > 0)
            rn_picture_brightness(image, (float)factors[0]);
        else if (step == 1 && a->contrast > 0)
            rn_picture_contrast(image, (float)factors[1]);
        else if (step == 2 && a->saturation > 0)
            rn_picture_saturation(image, (float)factors[2]);
    }
}

/* ---- As numbers ---- */

void rn_picture_erase(const rn_picture_augment *a, uint64_t seed, uint32_t epoch, uint64_t position, int c, int h, int w, float *x)
{
    rn_random r;
    rn_random_start(&r, seed, RN_PURPOSE_ERASE, epoch, position);
    if (!(rn_random_double(&r) < a->erase))
        return;
    double log_low = rn_log(0.3), log_high = rn_log(3.3);
    for (int i = 0; i < 10; i++) {
        double area = (double)h * w * uniform(&r, 0.02, 0.33), ratio = rn_exp(uniform(&r, log_low, log_high));
        int height = rounded(sqrt(area * ratio)), width = rounded(sqrt(area / ratio));
        if (height >= h || width >= w)
            continue;
        int top = (int)rn_random_below(&r, (uint64_t)(h - height) + 1), left = (int)rn_random_below(&r, (uint64_t)(w - width) + 1);
        for (int plane = 0; plane < c; plane++)
            for (int y = top; y < top + height; y++)
                memset(x + ((size_t)plane * (size_t)h + (size_t)y) * (size_t)w + left, 0, (size_t)width * sizeof *x);
        return;
    }
}

int rn_picture_cuts(const rn_picture_augment *a, int mixup, uint64_t seed, uint32_t epoch, uint64_t position)
{
    rn_random r;
    /* A stream of its own: 2^40 positions beyond those that the box is drawn from. */
    rn_random_start(&r, seed, RN_PURPOSE_CUTMIX, epoch, position + ((uint64_t)1 << 40));
    return a->cutmix > 0 && (!mixup || rn_random_below(&r, 2));
}

/* The permutation's cycles: only what the first of a cycle had must be kept while the others are written. */
static void exchange(const int *pair, int n, size_t size, size_t at, size_t count, float *x, float *first)
{
    for (int start = 0; start < n; start++) {
        int least = start; /* each cycle is done once, from its smallest item */
        for (int i = pair[start]; i != start && least == start; i = pair[i])
            least = i < least ? i : least;
        if (least != start || pair[start] == start)
            continue;
        memcpy(first, x + (size_t)start * size + at, count * sizeof *x);
        for (int i = start;; i = pair[i]) {
            memcpy(x + (size_t)i * size + at, pair[i] == start ? first : x + (size_t)pair[i] * size + at, count * sizeof *x);
            if (pair[i] == start)
                break;
        }
    }
}

double rn_picture_cutmix(const rn_picture_augment *a, uint64_t seed, uint32_t epoch, uint64_t position, int n, int c, int h, int w,
                         float *x, int *pair)
{
    enum { PIECE = 512 };
    float first[PIECE];
    rn_random r;
    rn_random_start(&r, seed, RN_PURPOSE_CUTMIX, epoch, position);
    double side = 0.5 * sqrt(1 - rn_random_beta(&r, a->cutmix, a->cutmix));
    int mid_x = (int)rn_random_below(&r, (uint64_t)w), mid_y = (int)rn_random_below(&r, (uint64_t)h);
    int half_w = (int)(side * w), half_h = (int)(side * h);
    int left = mid_x > half_w ? mid_x - half_w : 0, right = mid_x + half_w < w ? mid_x + half_w : w;
    int top = mid_y > half_h ? mid_y - half_h : 0, bottom = mid_y + half_h < h ? mid_y + half_h : h;
    for (int i = 0; i < n; i++)
        pair[i] = i;
    for (int i = n - 1; i > 0; i--) {
        int k = (int)rn_random_below(&r, (uint64_t)i + 1), t = pair[i];
        pair[i] = pair[k];
        pair[k] = t;
    }
    size_t size = (size_t)c * (size_t)h * (size_t)w;
    for (int row = 0; row < c * h; row++)
        for (int from = left; row % h >= top && row % h < bottom && from < right; from += PIECE)
            exchange(pair, n, size, (size_t)row * (size_t)w + (size_t)from, (size_t)(right - from < PIECE ? right - from : PIECE), x,
                     first);
    return 1 - (double)(right - left) * (bottom - top) / ((double)w * h);
}
