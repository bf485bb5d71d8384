/* Resizing and cropping a picture, to the bits of Pillow and torchvision.
 *
 * A pass along one axis gives pixel i the weighted mean of the pixels around its centre c = (i + 1/2) in/out:
 *
 *     w_j = f((j - c + 1/2) / s),  s = max(in/out, 1),  for lo <= j < hi: c -+ support * s, each plus 1/2 and cut to an integer
 *
 * divided by their sum in double, then rounded to integers of 22 fractional bits, half away from zero. Sums are integers from 2^21 on, shifted
 * down and limited to 0..255, so their order is free. Horizontal first, its result rounded to 8 bits, then vertical; an axis that keeps its
 * size is left out. In the other order bicubic results differ by up to 18: Pillow 13 takes it for some tall pictures (height above
 * three times the width) and where the height shrinks much more than the width; every version before goes across first, always, as we do.
 *
 * f: triangle (bilinear), Keys' cubic with a = -1/2 (bicubic), sinc(x) sinc(x/3) (Lanczos), 1 on (-1/2, 1/2] (box). The sine is
 * base/maths.h's: its last bit may differ from libm's, which 22 bits do not show (tests/check_resize.c).
 * Source: the behaviour of Pillow 9.4 and of torchvision's transforms. */
#include "media/resize.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/maths.h"
#include "media/foreign.h"

#define RN_BITS 22
#define RN_MOST_PIXELS ((int64_t)1 << 28) /* 16384 x 16384 */

static double triangle(double x)
{
    return fabs(x) < 1 ? 1 - fabs(x) : 0;
}

static double cubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static double sinc(double x)
{
    const double pi = 3.14159265358979323846;
    return x == 0 ? 1 : rn_sin(x * pi) / (x * pi);
}

static double lanczos(double x)
{
    return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

static double box(double x)
{
    return x > -0.5 && x <= 0.5;
}

static const struct {
    const char *name;
    double (*at)(double x);
    double support;
} filters[RN_RESIZE_COUNT] = {
    [RN_RESIZE_BILINEAR] = {"bilinear", triangle, 1},
    [RN_RESIZE_BICUBIC] = {"bicubic", cubic, 2},
    [RN_RESIZE_LANCZOS] = {"lanczos", lanczos, 3},
    [RN_RESIZE_BOX] = {"box", box, 0.5},
};

const char *rn_resize_name(rn_resize filter)
{
    return (unsigned)filter < RN_RESIZE_COUNT ? filters[filter].name : "unknown filter";
}

rn_resize rn_resize_named(const char *name)
{
    int i = 0;
    while (i < RN_RESIZE_COUNT && !rn_same_word(name, filters[i].name))
        i++;
    return (rn_resize)i;
}

/* The weights of one axis: pixel i of the output is the sum of weight[i * most + k] times pixel first[i] + k of the input, k < count[i]. */
typedef struct axis {
    int *first, *count, *weight;
    int most;
} axis;

static void axis_free(axis *a)
{
    free(a->first);
    free(a->weight);
}

static int axis_make(axis *a, int in, int out, rn_resize filter, rn_error *err)
{
    double scale = (double)in / out, s = scale < 1 ? 1 : scale, support = filters[filter].support * s;
    int64_t most = (int64_t)-floor(-support) * 2 + 1;
    uint64_t bytes = (uint64_t)out * (uint64_t)most * sizeof(int) + (uint64_t)most * sizeof(double);
    memset(a, 0, sizeof *a);
    if (most > INT_MAX || bytes > SIZE_MAX / 2)
        return rn_error_memory(err, "the weights of a resize", bytes);
    a->most = (int)most;
    a->first = malloc((size_t)out * 2 * sizeof(int));
    a->weight = malloc((size_t)out * (size_t)most * sizeof(int));
    double *w = malloc((size_t)most * sizeof *w);
    if (!a->first || !a->weight || !w) {
        free(w);
        return rn_error_memory(err, "the weights of a resize", bytes);
    }
    a->count = a->first + out;
    for (int i = 0; i < out; i++) {
        double centre = (i + 0.5) * scale, sum = 0, inverse = 1 / s;
        int lo = (int)(centre - support + 0.5), hi = (int)(centre + support + 0.5), *weight = a->weight + (size_t)i * (size_t)most;
        lo = lo < 0 ? 0 : lo;
        hi = hi > in ? in : hi;
        for (int j = lo; j < hi; j++)
            sum += w[j - lo] = filters[filter].at((j - centre + 0.5) * inverse);
        for (int k = 0; k < hi - lo; k++) {
            double share = (sum != 0 ? w[k] / sum : w[k]) * (1 << RN_BITS);
            weight[k] = (int)(share < 0 ? share - 0.5 : share + 0.5);
        }
        a->first[i] = lo;
        a->count[i] = hi - lo;
    }
    free(w);
    return 0;
}

static unsigned char limited(int sum)
{
    sum >>= RN_BITS;
    return (unsigned char)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

static void resize_row(const axis *a, const unsigned char *in, int channels, unsigned char *out, int width)
{
    for (int x = 0; x < width; x++, out += channels) {
        const int *weight = a->weight + (size_t)x * (size_t)a->most;
        const unsigned char *from = in + (size_t)a->first[x] * (size_t)channels;
        int sum[3] = {1 << (RN_BITS - 1), 1 << (RN_BITS - 1), 1 << (RN_BITS - 1)};
        if (channels == 1)
            for (int k = 0; k < a->count[x]; k++)
                sum[0] += from[k] * weight[k];
        else
            for (int k = 0; k < a->count[x]; k++, from += 3) {
                sum[0] += from[0] * weight[k];
                sum[1] += from[1] * weight[k];
                sum[2] += from[2] * weight[k];
            }
        for (int c = 0; c < channels; c++)
            out[c] = limited(sum[c]);
    }
}

/* Rows are added up whole, one after the other: the loop over a row is what vectorises. sum [width * channels]. */
static void resize_column(const axis *a, const rn_image *in, rn_image *out, int *sum)
{
    size_t row = (size_t)in->width * (size_t)in->channels;
    for (int y = 0; y < out->height; y++) {
        for (size_t i = 0; i < row; i++)
            sum[i] = 1 << (RN_BITS - 1);
        for (int k = 0; k < a->count[y]; k++) {
            const unsigned char *from = in->pixels + (size_t)(a->first[y] + k) * row;
            int weight = a->weight[(size_t)y * (size_t)a->most + (size_t)k];
            for (size_t i = 0; i < row; i++)
                sum[i] += from[i] * weight;
        }
        for (size_t i = 0; i < row; i++)
            out->pixels[(size_t)y * row + i] = limited(sum[i]);
    }
}

int rn_image_resize(const rn_image *in, int height, int width, rn_resize filter, rn_image *out, rn_error *err)
{
    axis across = {0}, down = {0};
    rn_image wide = {0};
    const rn_image *from = in;
    int *sum = NULL, status = 0;
    memset(out, 0, sizeof *out);
    if (height < 1 || width < 1 || (unsigned)filter >= RN_RESIZE_COUNT)
        return rn_error_set(err, RN_ERR_ARG, "a picture of %dx%d cannot be made %dx%d (filter %d): sides are 1 or more", in->width,
                            in->height, width, height, (int)filter);
    if (height == in->height && width == in->width)
        return rn_image_copy(in, out, err);
    if ((int64_t)height * width > RN_MOST_PIXELS || (width != in->width && (int64_t)in->height * width > RN_MOST_PIXELS))
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "a picture of %d x %d pixels cannot be made %d x %d: more than %lld pixels on the way",
                            in->width, in->height, width, height, (long long)RN_MOST_PIXELS);
    if (width != in->width) {
        if ((status = rn_image_new(&wide, in->height, width, in->channels, err)) ||
            (status = axis_make(&across, in->width, width, filter, err)))
            goto fail;
        for (int y = 0; y < in->height; y++)
            resize_row(&across, in->pixels + (size_t)y * (size_t)in->width * (size_t)in->channels, in->channels,
                       wide.pixels + (size_t)y * (size_t)width * (size_t)in->channels, width);
        from = &wide;
    }
    if (height == in->height) {
        *out = wide;
        wide.pixels = NULL;
        goto fail;
    }
    if ((status = rn_image_new(out, height, width, in->channels, err)) || (status = axis_make(&down, in->height, height, filter, err)))
        goto fail;
    sum = malloc((size_t)width * (size_t)in->channels * sizeof *sum);
    if (sum)
        resize_column(&down, from, out, sum);
    else
        status = rn_error_memory(err, "a row of a resize", (unsigned long long)width * (unsigned)in->channels * sizeof *sum);
fail:
    if (status)
        rn_image_free(out);
    free(sum);
    axis_free(&across);
    axis_free(&down);
    rn_image_free(&wide);
    return status;
}

int rn_image_resize_shorter(const rn_image *in, int size, rn_resize filter, rn_image *out, rn_error *err)
{
    int shorter = in->width <= in->height ? in->width : in->height, longer = in->width <= in->height ? in->height : in->width;
    /* Python divides integers of any size exactly, then rounds once to double: this quotient, cut, is the same below 2^53 */
    int64_t other = size > 0 ? (int64_t)size * longer / shorter : 0;
    if (size < 1 || other > INT_MAX) {
        memset(out, 0, sizeof *out);
        return rn_error_set(err, size < 1 ? RN_ERR_ARG : RN_ERR_UNSUPPORTED, "a picture of %d x %d pixels cannot get a shorter side of %d",
                            in->width, in->height, size);
    }
    return in->width <= in->height ? rn_image_resize(in, (int)other, size, filter, out, err)
                                   : rn_image_resize(in, size, (int)other, filter, out, err);
}

/* Where the crop begins along one axis, negative where `have` is too short. Above: half of the rest, rounded half to even as Python's round(). */
static int crop_origin(int have, int want)
{
    int rest = have - want;
    if (rest < 0)
        return -(-rest / 2);
    return rest % 2 ? (rest / 2 % 2 ? rest / 2 + 1 : rest / 2) : rest / 2;
}

int rn_image_cut(const rn_image *in, rn_box box, rn_image *out, rn_error *err)
{
    int status = rn_image_new(out, box.height, box.width, in->channels, err);
    if (status)
        return status;
    size_t channels = (size_t)in->channels, row = (size_t)box.width * channels;
    int from = box.left < 0 ? 0 : box.left, end = in->width - box.left < box.width ? in->width : box.left + box.width;
    memset(out->pixels, 0, (size_t)box.height * row);
    for (int y = 0; y < box.height && end > from; y++)
        if (box.top + y >= 0 && box.top + y < in->height)
            memcpy(out->pixels + (size_t)y * row + (size_t)(from - box.left) * channels,
                   in->pixels + ((size_t)(box.top + y) * (size_t)in->width + (size_t)from) * channels, (size_t)(end - from) * channels);
    return 0;
}

int rn_image_crop_centre(const rn_image *in, int height, int width, rn_image *out, rn_error *err)
{
    return rn_image_cut(in, (rn_box){crop_origin(in->height, height), crop_origin(in->width, width), height, width}, out, err);
}
