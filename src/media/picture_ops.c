/* Operations of augmentation, as Pillow computes them.
 *
 * Blending   b + f (a - b) of a degenerate picture b and the picture a: product and sum rounded to float, cut to an integer, limited to 0..255.
 * Hue        RGB -> HSV in bytes -> the hue moved by turn * 255, cut, modulo 256 -> RGB. Intermediate values are floats where Pillow's are.
 * Affine     the nearest pixel, in fixed point of 16 fractional bits, rows and columns by adding up.
 * Equalize   lut[v] = (step/2 + pixels below v) / step, step = (pixels - those of the largest value) / 255, in whole numbers.
 * Smoothing  weights 1 around 5 over 13, half up; the outermost pixels stay. Pillow's float sums round to the same integers: 1/26 is the
 *            nearest that a sum comes to a half.
 *
 * Source: the behaviour of Pillow 9.4 to 13 and of torchvision's transforms (tests/golden/picture_ops.txt). */
#include "media/picture_ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/maths.h"

static size_t bytes_of(const rn_image *image)
{
    return (size_t)image->height * (size_t)image->width * (size_t)image->channels;
}

static unsigned char blend(int from, int to, float factor)
{
    float v = factor * (float)(to - from);
    v = (float)from + v;
    return (unsigned char)(v <= 0 ? 0 : v >= 255 ? 255 : v);
}

void rn_picture_brightness(rn_image *image, float factor)
{
    size_t n = bytes_of(image);
    for (size_t i = 0; i < n; i++)
        image->pixels[i] = blend(0, image->pixels[i], factor);
}

static int grey_at(const rn_image *image, size_t pixel)
{
    return image->channels == 1 ? image->pixels[pixel] : rn_image_grey(image->pixels + 3 * pixel);
}

void rn_picture_contrast(rn_image *image, float factor)
{
    size_t n = bytes_of(image), pixels = n / (size_t)image->channels;
    uint64_t sum = 0;
    for (size_t i = 0; i < pixels; i++)
        sum += (uint64_t)grey_at(image, i);
    int mean = (int)((double)sum / (double)pixels + 0.5);
    for (size_t i = 0; i < n; i++)
        image->pixels[i] = blend(mean, image->pixels[i], factor);
}

void rn_picture_saturation(rn_image *image, float factor)
{
    size_t pixels = bytes_of(image) / 3;
    for (size_t i = 0; i < pixels && image->channels == 3; i++) {
        unsigned char *p = image->pixels + 3 * i;
        int grey = rn_image_grey(p);
        for (int c = 0; c < 3; c++)
            p[c] = blend(grey, p[c], factor);
    }
}

/* ---- Hue ---- */

static void to_hsv(const unsigned char *rgb, unsigned char hsv[3])
{
    int most = rgb[0], least = rgb[0];
    for (int c = 1; c < 3; c++) {
        most = rgb[c] > most ? rgb[c] : most;
        least = rgb[c] < least ? rgb[c] : least;
    }
    hsv[0] = hsv[1] = 0;
    hsv[2] = (unsigned char)most;
    if (most == least)
        return;
    float range = (float)(most - least), s = range / (float)most, h;
    float r = (float)(most - rgb[0]) / range, g = (float)(most - rgb[1]) / range, b = (float)(most - rgb[2]) / range;
    if (rgb[0] == most)
        h = b - g;
    else if (rgb[1] == most)
        h = (float)(2.0 + (double)r - (double)b);
    else
        h = (float)(4.0 + (double)g - (double)r);
    double turn = (double)h / 6.0 + 1.0;
    h = (float)(turn - floor(turn));
    hsv[0] = (unsigned char)((double)h * 255.0);
    hsv[1] = (unsigned char)((double)s * 255.0);
}

static unsigned char rounded(double v)
{
    double r = floor(v + 0.5);
    return (unsigned char)(r < 0 ? 0 : r > 255 ? 255 : r);
}

static void from_hsv(const unsigned char hsv[3], unsigned char *rgb)
{
    unsigned char v = hsv[2];
    if (!hsv[1]) {
        memset(rgb, v, 3);
        return;
    }
    double sixths = (double)hsv[0] * 6.0 / 255.0;
    int i = (int)floor(sixths);
    float f = (float)(sixths - i), s = (float)((double)hsv[1] / 255.0);
    unsigned char p = rounded(v * (1.0 - (double)s)), q = rounded(v * (1.0 - (double)(s * f))),
                  t = rounded(v * (1.0 - (double)s * (1.0 - (double)f)));
    const unsigned char turns[6][3] = {{v, t, p}, {q, v, p}, {p, v, t}, {p, q, v}, {t, p, v}, {v, p, q}};
    memcpy(rgb, turns[i % 6], 3);
}

void rn_picture_hue(rn_image *image, double turn)
{
    size_t pixels = bytes_of(image) / 3;
    int by = (int)(turn * 255);
    for (size_t i = 0; i < pixels && image->channels == 3; i++) {
        unsigned char hsv[3];
        to_hsv(image->pixels + 3 * i, hsv);
        hsv[0] = (unsigned char)(hsv[0] + by);
        from_hsv(hsv, image->pixels + 3 * i);
    }
}

/* ---- Tables of values ---- */

void rn_picture_posterize(rn_image *image, int bits)
{
    size_t n = bytes_of(image);
    int mask = ~((1 << (8 - bits)) - 1);
    for (size_t i = 0; i < n; i++)
        image->pixels[i] = (unsigned char)(image->pixels[i] & mask);
}

void rn_picture_solarize(rn_image *image, double threshold)
{
    size_t n = bytes_of(image);
    for (size_t i = 0; i < n; i++)
        if (image->pixels[i] >= threshold)
            image->pixels[i] = (unsigned char)(255 - image->pixels[i]);
}

static void count_values(const rn_image *image, int channel, int64_t counts[256])
{
    size_t n = bytes_of(image), step = (size_t)image->channels;
    memset(counts, 0, 256 * sizeof *counts);
    for (size_t i = (size_t)channel; i < n; i += step)
        counts[image->pixels[i]]++;
}

static void look_up(rn_image *image, int channel, const unsigned char table[256])
{
    size_t n = bytes_of(image), step = (size_t)image->channels;
    for (size_t i = (size_t)channel; i < n; i += step)
        image->pixels[i] = table[image->pixels[i]];
}

void rn_picture_autocontrast(rn_image *image)
{
    for (int c = 0; c < image->channels; c++) {
        int64_t counts[256];
        unsigned char table[256];
        int low = 0, high = 255;
        count_values(image, c, counts);
        while (low < 255 && !counts[low])
            low++;
        while (high > 0 && !counts[high])
            high--;
        if (high <= low)
            continue;
        double scale = 255.0 / (high - low), offset = -low * scale;
        for (int v = 0; v < 256; v++) {
            double to = v * scale + offset;
            table[v] = (unsigned char)(to < 0 ? 0 : to > 255 ? 255 : to);
        }
        look_up(image, c, table);
    }
}

void rn_picture_equalize(rn_image *image)
{
    int64_t pixels = (int64_t)image->height * image->width;
    for (int c = 0; c < image->channels; c++) {
        int64_t counts[256];
        unsigned char table[256];
        int last = 255;
        count_values(image, c, counts);
        while (last > 0 && !counts[last])
            last--;
        int64_t step = (pixels - counts[last]) / 255, below = step / 2;
        for (int v = 0; v < 256 && step; v++) {
            table[v] = (unsigned char)(below / step > 255 ? 255 : below / step);
            below += counts[v];
        }
        if (step)
            look_up(image, c, table);
    }
}

/* ---- Neighbours ---- */

int rn_picture_sharpness(rn_image *image, float factor, rn_error *err)
{
    rn_image in;
    int status = rn_image_copy(image, &in, err);
    size_t step = (size_t)image->channels, row = (size_t)image->width * step;
    for (int y = 0; y < image->height && !status; y++)
        for (size_t x = 0; x < row; x++) {
            const unsigned char *p = in.pixels + (size_t)y * row + x;
            int smooth = *p;
            if (y > 0 && y + 1 < image->height && x >= step && x + step < row) {
                int sum = 4 * *p;
                for (int up = -1; up <= 1; up++) {
                    const unsigned char *q = p + up * (ptrdiff_t)row;
                    sum += q[-(ptrdiff_t)step] + q[0] + q[step];
                }
                smooth = (2 * sum + 13) / 26;
            }
            image->pixels[(size_t)y * row + x] = blend(smooth, *p, factor);
        }
    rn_image_free(&in);
    return status;
}

static int64_t fixed(double v)
{
    return (int64_t)floor(v * 65536.0 + 0.5);
}

int rn_picture_affine(rn_image *image, const double a[6], rn_error *err)
{
    rn_image in;
    int status = rn_image_copy(image, &in, err);
    if (status)
        return status;
    size_t step = (size_t)image->channels;
    unsigned char *out = image->pixels;
    int64_t row_x = fixed(a[2] + a[0] * 0.5 + a[1] * 0.5), row_y = fixed(a[5] + a[3] * 0.5 + a[4] * 0.5);
    const int64_t a0 = fixed(a[0]), a1 = fixed(a[1]), a3 = fixed(a[3]), a4 = fixed(a[4]);
    for (int y = 0; y < image->height; y++, row_x += a1, row_y += a4) {
        int64_t at_x = row_x, at_y = row_y;
        for (int x = 0; x < image->width; x++, at_x += a0, at_y += a3, out += step) {
            int64_t from_x = at_x >> 16, from_y = at_y >> 16;
            if (from_x >= 0 && from_x < in.width && from_y >= 0 && from_y < in.height)
                memcpy(out, in.pixels + ((size_t)from_y * (size_t)in.width + (size_t)from_x) * step, step);
            else
                memset(out, 0, step);
        }
    }
    rn_image_free(&in);
    return 0;
}

int rn_picture_rotate(rn_image *image, double degrees, rn_error *err)
{
    double angle = -degrees * (3.14159265358979323846 / 180), c = rn_cos(angle), s = rn_sin(angle);
    double x = image->width / 2.0, y = image->height / 2.0;
    if (degrees == 0)
        return 0;
    const double a[6] = {c, s, c * -x + s * -y + x, -s, c, -s * -x + c * -y + y};
    return rn_picture_affine(image, a, err);
}
