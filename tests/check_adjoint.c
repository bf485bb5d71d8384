/* Convolutions and linear layers, forwards and backwards, under every instruction set and algorithm: against plain loops in double, and against each
 * other, <conv(x), dy> = <x, dgrad(dy)> = <w, wgrad>.
 *
 * The three are one trilinear form read in three ways, so the identity needs no reference and holds for every shape; the plain loops
 * then tell which of the three is wrong. Sizes are odd on purpose: one pixel, less than a tile, one more than a tile, channels that
 * fill no block of 16, strides that leave a rest, chunks of backward-weights that end inside a row.
 *
 * Memory that must not be read holds NaN, and what must not be written is looked at afterwards. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cpu.h"
#include "base/random.h"
#include "graph/conv.h"

#if defined(__x86_64__)
void rn_kernels_emulated(rn_kernels *table);
#endif

typedef struct shape {
    int n, channels_in, h, w, channels_out, kernel_h, kernel_w, stride, pad;
    int kind;   /* 0 convolution, 1 of the plain image, 2 linear */
    int groups; /* 0: none */
} shape;

static const shape shapes[] = {
    {1, 16, 1, 1, 16, 3, 3, 1, 1, 0},    {2, 16, 5, 7, 16, 3, 3, 1, 1, 0},    {1, 17, 4, 29, 33, 3, 3, 1, 1, 0},
    {2, 8, 9, 15, 8, 3, 3, 1, 1, 0},     {1, 40, 3, 57, 24, 3, 3, 1, 1, 0},   {3, 16, 7, 14, 32, 3, 3, 2, 1, 0},
    {2, 24, 8, 13, 40, 3, 3, 2, 1, 0},   {1, 16, 1, 2, 16, 3, 3, 2, 1, 0},    {1, 16, 2, 1, 16, 3, 3, 2, 1, 0},
    {2, 20, 6, 31, 12, 1, 1, 1, 0, 0},   {2, 20, 7, 31, 36, 1, 1, 2, 0, 0},   {1, 64, 5, 8, 64, 1, 1, 2, 0, 0},
    {3, 16, 40, 41, 16, 3, 3, 1, 1, 0},  {2, 16, 65, 64, 5, 1, 1, 1, 0, 0},   {1, 32, 14, 28, 16, 3, 3, 1, 1, 0},
    {2, 9, 11, 12, 20, 7, 7, 2, 3, 0},   {1, 16, 6, 6, 48, 5, 5, 1, 2, 0},    {2, 16, 9, 10, 16, 5, 5, 2, 2, 0},
    {2, 1, 13, 17, 8, 3, 3, 1, 1, 1},    {1, 1, 1, 1, 16, 3, 3, 1, 1, 1},     {2, 3, 31, 33, 16, 7, 7, 2, 3, 1},
    {3, 3, 8, 9, 40, 3, 3, 1, 1, 1},     {2, 1, 64, 65, 17, 3, 3, 1, 1, 1},   {1, 1, 5, 5, 16, 7, 7, 2, 3, 1},
    {5, 24, 4, 1, 10, 4, 1, 1, 0, 2},    {1, 16, 1, 1, 9, 1, 1, 1, 0, 2},     {33, 40, 3, 2, 40, 3, 2, 1, 0, 2},
    {1, 512, 7, 9, 16, 3, 3, 1, 1, 0},   {1, 16, 8, 7, 512, 3, 3, 1, 1, 0},   {1, 1100, 5, 4, 16, 3, 3, 1, 1, 0},
    {1, 16, 3, 250, 32, 3, 3, 1, 1, 0},  {5, 16, 116, 115, 16, 3, 3, 1, 1, 0}, {9, 48, 6, 7, 32, 3, 3, 1, 1, 0},
    {4097, 5, 1, 1, 3, 1, 1, 1, 0, 2},   {70, 64, 1, 1, 100, 1, 1, 1, 0, 2},
    /* direct.c: rows of more than a part's 512 columns, joined rows of several bands, rows that are just wide or just narrow */
    {1, 20, 3, 1100, 18, 3, 3, 2, 1, 0}, {1, 16, 2, 1300, 18, 1, 1, 1, 0, 0}, {2, 40, 30, 29, 20, 1, 1, 1, 0, 0}, {1, 16, 61, 63, 17, 3, 3, 2, 1, 0},
    {2, 16, 19, 64, 17, 3, 3, 2, 1, 0},  {1, 33, 37, 9, 16, 5, 5, 3, 2, 0},
    /* groups that fill blocks, that share one, that lie across two, and a last slice that is shorter */
    {2, 32, 9, 11, 32, 3, 3, 1, 1, 0, 8}, {1, 64, 8, 7, 64, 3, 3, 2, 1, 0, 2}, {2, 36, 7, 13, 36, 3, 3, 1, 1, 0, 6}, {1, 72, 6, 9, 72, 3, 3, 1, 1, 0, 3},
    {3, 40, 5, 6, 40, 3, 3, 2, 1, 0, 5}, {1, 48, 10, 9, 48, 1, 1, 1, 0, 0, 3}, {2, 20, 9, 8, 20, 3, 3, 1, 1, 0, 20},
    /* ... and that needs more room than the longer ones: for kept sums, and for scratch */
    {1, 216, 9, 9, 216, 3, 3, 2, 1, 0, 3}, {1, 651, 16, 16, 651, 3, 3, 2, 1, 0, 31},
};

typedef struct layer {
    shape s;
    rn_conv c;
    rn_map x, y, dy, dx;
    float *x_memory, *y_memory, *dy_memory, *dx_memory; /* from the first halo pixel */
    float *w, *dw, *forward, *backward, *scratch, *kept;
    rn_segment *segments;
    double *y_want, *dx_want, *dw_want, *y_scale, *dx_scale, *dw_scale; /* scale: the sum of absolute products */
    rn_machine machine;
} layer;

static int64_t map_size(const rn_map *m, int n)
{
    return n * m->sample;
}

static float *map_memory(rn_map *m, int n, float fill)
{
    int64_t size = map_size(m, n);
    float *memory = malloc((size_t)(size + 64) * sizeof *memory);
    for (int64_t i = 0; i < size + 64; i++)
        memory[i] = i < size ? fill : 12345; /* the last 64 are a fence */
    m->data = memory + (m->row > m->w + 2 * m->halo ? rn_map_origin(m) : m->halo * (m->row + 1));
    return memory;
}

static int fence_stands(const float *memory, const rn_map *m, int n)
{
    for (int i = 0; i < 64; i++)
        if (memory[map_size(m, n) + i] != 12345)
            return 0;
    return 1;
}

enum { FENCE = 16 };

/* Where what is kept from part to part ends. */
static float *room_end(const layer *l)
{
    return l->kept + rn_conv_kept(&l->c, &l->dy, l->s.n);
}

/* Fences behind each thread's scratch and behind what is kept. */
static int rooms_stand(const layer *l)
{
    int64_t size = l->machine.scratch_size;
    for (int i = 0; i < FENCE; i++)
        if (l->scratch[size - FENCE + i] != 12345 || l->scratch[2 * size - FENCE + i] != 12345 || room_end(l)[i] != 12345)
            return 0;
    return 1;
}

/* Pixel (h, w) of channel c. */
static float *at(const layer *l, const rn_map *m, int n, int c, int h, int w)
{
    if (l->c.plain && m == &l->x)
        return m->data + n * m->sample + c * m->block + h * m->row + w;
    return rn_map_at(m, n, c / RN_LANES, h) + (int64_t)w * RN_LANES + c % RN_LANES;
}

/* Values in [-1, 1), zeros in the halo and in lanes past the last channel. */
static void fill_map(const layer *l, rn_map *m, float *memory, int n, rn_random *r)
{
    for (int64_t i = 0; i < map_size(m, n); i++)
        memory[i] = 0;
    for (int i = 0; i < n; i++)
        for (int c = 0; c < m->channels; c++)
            for (int h = 0; h < m->h; h++)
                for (int w = 0; w < m->w; w++)
                    *at(l, m, i, c, h, w) = (float)(rn_random_u32(r) >> 8) * 0x1p-23f - 1;
}

static int winograd_fits(const shape *s)
{
    return s->kind == 0 && s->kernel_h == 3 && s->kernel_w == 3 && s->stride == 1 && s->pad == 1;
}

/* Inputs that an output reads. */
static int inputs_of(const shape *s)
{
    return s->groups ? s->channels_in / s->groups : s->channels_in;
}

static int64_t weights_of(const shape *s)
{
    return (int64_t)s->channels_out * inputs_of(s) * s->kernel_h * s->kernel_w;
}

static void open_layer(layer *l, const shape *s, rn_algorithm algorithm, uint64_t seed)
{
    int linear = s->kind == 2, plain = s->kind == 1;
    rn_random r;
    l->s = *s;
    l->c = (rn_conv){.groups = s->groups, .channels_in = s->channels_in, .channels_out = s->channels_out, .kernel_h = s->kernel_h, .kernel_w = s->kernel_w,
        .stride_h = linear ? s->kernel_h : s->stride, .stride_w = linear ? s->kernel_w : s->stride, .pad = s->pad, .plain = plain, .linear = linear,
        .blocks_in = plain ? 1 : rn_blocks(s->channels_in), .blocks_out = rn_blocks(s->channels_out), .forward = algorithm, .backward = algorithm, .weights = algorithm};
    int p = (s->h + 2 * s->pad - s->kernel_h) / l->c.stride_h + 1, q = (s->w + 2 * s->pad - s->kernel_w) / l->c.stride_w + 1;
    l->x = plain ? rn_map_plain(s->channels_in, s->h, s->w, s->pad) : rn_map_shape(s->channels_in, s->h, s->w, s->pad);
    l->y = rn_map_shape(s->channels_out, p, q, 0);
    l->dy = rn_map_shape(s->channels_out, p, q, linear ? 0 : rn_conv_dy_halo(&l->c, s->h, s->w));
    l->dx = rn_map_shape(s->channels_in, s->h, s->w, 0);
    l->x_memory = map_memory(&l->x, s->n, 0);
    l->y_memory = map_memory(&l->y, s->n, NAN);
    l->dy_memory = map_memory(&l->dy, s->n, 0);
    l->dx_memory = map_memory(&l->dx, s->n, NAN);
    int64_t weights = weights_of(s);
    l->w = malloc((size_t)weights * sizeof(float));
    l->dw = malloc((size_t)weights * sizeof(float));
    l->forward = malloc((size_t)rn_conv_forward_size(&l->c) * sizeof(float));
    l->backward = malloc((size_t)rn_conv_backward_size(&l->c) * sizeof(float));
    l->kept = malloc(((size_t)rn_conv_kept(&l->c, &l->dy, s->n) + FENCE) * sizeof(float));
    l->segments = malloc((size_t)rn_conv_segments(&l->c, &l->dy, s->n) * sizeof *l->segments);
    l->machine.scratch_size = rn_conv_scratch(&l->c, &l->x, &l->y) + FENCE;
    l->scratch = malloc((size_t)l->machine.scratch_size * 2 * sizeof(float));
    l->machine.scratch = l->scratch;
    for (int i = 0; i < FENCE; i++) /* behind each thread's scratch, and what is kept */
        l->scratch[l->machine.scratch_size - FENCE + i] = l->scratch[2 * l->machine.scratch_size - FENCE + i] = room_end(l)[i] = 12345;
    rn_random_start(&r, seed, RN_PURPOSE_TEST, 50, 0);
    fill_map(l, &l->x, l->x_memory, s->n, &r);
    fill_map(l, &l->dy, l->dy_memory, s->n, &r);
    for (int64_t i = 0; i < weights; i++) {
        l->w[i] = (float)(rn_random_u32(&r) >> 8) * 0x1p-23f - 1;
        l->dw[i] = NAN;
    }
    for (int64_t i = 0; i < rn_conv_forward_size(&l->c); i++)
        l->forward[i] = NAN;
    for (int64_t i = 0; i < rn_conv_backward_size(&l->c); i++)
        l->backward[i] = NAN;
}

static void close_layer(layer *l)
{
    void *owned[] = {l->x_memory, l->y_memory, l->dy_memory, l->dx_memory, l->w, l->dw, l->forward, l->backward, l->scratch, l->kept, l->segments, l->y_want,
                     l->dx_want, l->dw_want, l->y_scale, l->dx_scale, l->dw_scale};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]);
}

static int64_t dense(int c, int h, int w, const rn_map *m, int n)
{
    return (((int64_t)n * m->channels + c) * m->h + h) * m->w + w;
}

/* Every product of the trilinear form goes to the three sums that it belongs to. */
static void plain_loops(layer *l)
{
    const shape *s = &l->s;
    size_t ys = (size_t)(s->n * l->y.channels * l->y.h * l->y.w), xs = (size_t)(s->n * s->channels_in * s->h * s->w);
    size_t ws = (size_t)weights_of(s);
    l->y_want = calloc(ys, sizeof(double)), l->y_scale = calloc(ys, sizeof(double));
    l->dx_want = calloc(xs, sizeof(double)), l->dx_scale = calloc(xs, sizeof(double));
    l->dw_want = calloc(ws, sizeof(double)), l->dw_scale = calloc(ws, sizeof(double));
    for (int n = 0; n < s->n; n++)
        for (int k = 0; k < s->channels_out; k++)
            for (int p = 0; p < l->y.h; p++)
                for (int q = 0; q < l->y.w; q++) {
                    int64_t iy = dense(k, p, q, &l->y, n);
                    double dy = *at(l, &l->dy, n, k, p, q);
                    for (int i = 0; i < inputs_of(s); i++)
                        for (int r = 0; r < s->kernel_h; r++)
                            for (int t = 0; t < s->kernel_w; t++) {
                                int h = p * l->c.stride_h - s->pad + r, w = q * l->c.stride_w - s->pad + t;
                                if (h < 0 || h >= s->h || w < 0 || w >= s->w)
                                    continue;
                                int c = s->groups ? k / (s->channels_out / s->groups) * inputs_of(s) + i : i;
                                int64_t ix = dense(c, h, w, &l->dx, n), iw = (((int64_t)k * inputs_of(s) + i) * s->kernel_h + r) * s->kernel_w + t;
                                double x = *at(l, &l->x, n, c, h, w), wt = l->w[iw];
                                l->y_want[iy] += x * wt, l->y_scale[iy] += fabs(x * wt);
                                l->dx_want[ix] += dy * wt, l->dx_scale[ix] += fabs(dy * wt);
                                l->dw_want[iw] += dy * x, l->dw_scale[iw] += fabs(dy * x);
                            }
                }
}

/* Rounding of a chain of K products: 4 sqrt(K) eps S. Of Winograd: 4e-6 of the layer's largest value, times
 * sqrt(C / 512) above 512 channels. */
static int close_enough(const layer *l, double have, double want, double terms, double scale, double largest)
{
    double more = l->c.channels_in > 512 ? sqrt(l->c.channels_in / 512.0) : 1;
    double bound = l->c.forward == RN_WINOGRAD ? 4e-6 * more * largest : 4 * sqrt(terms + 1) * 0x1p-24 * scale;
    return fabs(have - want) <= bound + 1e-30;
}

static double largest_of(const double *values, int64_t count)
{
    double most = 0;
    for (int64_t i = 0; i < count; i++)
        most = fabs(values[i]) > most ? fabs(values[i]) : most;
    return most;
}

static void run(layer *l)
{
    rn_view view = {.map = &l->x};
    rn_conv_pack_forward(&l->machine, &l->c, l->w, NULL, l->forward);
    rn_conv_forward(&l->machine, &l->c, l->s.n, &view, &l->y, l->forward, &(rn_epilogue){0});
    rn_part all = {0, l->s.n, l->s.n};
    int add = l->s.h % 2 && !l->c.linear; /* to zeros, which changes nothing but the way there */
    rn_conv_weights(&l->machine, &l->c, all, &view, &l->dy, l->segments, l->kept, l->dw);
    if (l->c.plain) /* nothing lies below the image */
        return;
    rn_conv_pack_backward(&l->machine, &l->c, l->w, l->backward);
    if (add)
        memset(l->dx_memory, 0, (size_t)map_size(&l->dx, l->s.n) * sizeof *l->dx_memory);
    rn_conv_backward(&l->machine, &l->c, all, &l->dy, &l->dx, add, l->backward, NULL, NULL);
}

/* The two backward passes sample by sample: the same bits as in one go? */
static int parts_are_the_whole(layer *l)
{
    size_t dw_size = (size_t)l->s.channels_out * l->s.channels_in * 9 * sizeof *l->dw, dx_size = (size_t)map_size(&l->dx, l->s.n) * sizeof *l->dx_memory;
    float *dw = malloc(dw_size), *dx = malloc(dx_size);
    rn_view view = {.map = &l->x};
    memcpy(dw, l->dw, dw_size);
    memcpy(dx, l->dx_memory, dx_size);
    memset(l->dw, 1, dw_size);
    memset(l->dx_memory, 1, dx_size);
    for (int n = 0; n < l->s.n; n++) {
        rn_part part = {n, n + 1, l->s.n};
        rn_conv_weights(&l->machine, &l->c, part, &view, &l->dy, l->segments, l->kept, l->dw);
        rn_conv_backward(&l->machine, &l->c, part, &l->dy, &l->dx, 0, l->backward, NULL, NULL);
    }
    int same = !memcmp(dw, l->dw, dw_size) && !memcmp(dx, l->dx_memory, dx_size);
    free(dw);
    free(dx);
    return same;
}

/* Sums of products with the other side of the pairing; each value against the loops on the way. Returns how many are wrong. */
static int judge_map(const layer *l, const rn_map *m, const double *want, const double *scale, double terms, const rn_map *other, double *sum)
{
    int bad = 0;
    double largest = largest_of(want, (int64_t)l->s.n * m->channels * m->h * m->w);
    *sum = 0;
    for (int n = 0; n < l->s.n; n++)
        for (int c = 0; c < m->channels; c++)
            for (int h = 0; h < m->h; h++)
                for (int w = 0; w < m->w; w++) {
                    double have = *at(l, m, n, c, h, w);
                    bad += !close_enough(l, have, want[dense(c, h, w, m, n)], terms, scale[dense(c, h, w, m, n)], largest);
                    *sum += have * *at(l, other, n, c, h, w);
                }
    return bad;
}

static int judge(const layer *l, const char *level)
{
    const shape *s = &l->s;
    double by_y, by_x, by_w = 0, size = 0;
    int64_t weights = weights_of(s);
    int bad_w = 0, bad_x = 0, bad_y = judge_map(l, &l->y, l->y_want, l->y_scale, (double)weights / s->channels_out, &l->dy, &by_y);
    if (!l->c.plain)
        bad_x = judge_map(l, &l->dx, l->dx_want, l->dx_scale, (double)weights / s->channels_in, &l->x, &by_x);
    double largest = largest_of(l->dw_want, weights);
    for (int64_t i = 0; i < weights; i++) {
        bad_w += !close_enough(l, l->dw[i], l->dw_want[i], (double)s->n * l->y.h * l->y.w, l->dw_scale[i], largest);
        by_w += (double)l->dw[i] * l->w[i];
        size += l->dw_scale[i] * fabs(l->w[i]);
    }
    double bound = 1e-6 * size;
    int agree = fabs(by_y - by_w) <= bound && (l->c.plain || fabs(by_y - by_x) <= bound);
    int fences = fence_stands(l->y_memory, &l->y, s->n) && fence_stands(l->dx_memory, &l->dx, s->n) && fence_stands(l->x_memory, &l->x, s->n) &&
        rooms_stand(l);
    int lanes = 0; /* past the last channel: zeros, since the next layer multiplies them */
    for (int n = 0; n < s->n; n++)
        for (int c = s->channels_out; c < l->y.blocks * RN_LANES; c++)
            lanes += *at(l, &l->y, n, c, l->y.h - 1, l->y.w - 1) != 0;
    if (bad_y || bad_x || bad_w || !agree || !fences || lanes) {
        print_error("%s, %s: n %d, %d x %d x %d -> %d, kernel %dx%d, stride %d, kind %d: %d of y, %d of dx, %d of dw wrong; forms %.9g (y), %.9g (x), %.9g (w)%s%s\n",
                    level, l->c.forward == RN_WINOGRAD ? "Winograd" : "direct", s->n, s->channels_in, s->h, s->w, s->channels_out, s->kernel_h, s->kernel_w, s->stride, s->kind, bad_y, bad_x, bad_w, by_y,
                    l->c.plain ? by_y : by_x, by_w, fences ? "" : "; written past the end", lanes ? "; lanes past the last channel are not zero" : "");
        return 1;
    }
    return 0;
}

static void check_level(void **state)
{
    const char *level = *state;
    rn_pool *pool = NULL;
    rn_error err = {0};
    int wrong = 0;
    int emulated = strcmp(level, "emulated") == 0; /* AVX-512's tiles and two output blocks at a time, on any machine */
    assert_int_equal(rn_cpu_limit(emulated ? NULL : level), 0);
    if (!emulated && strcmp(rn_cpu_level(), level)) {
        print_message("this processor has no %s\n", level);
        rn_cpu_limit(NULL);
        skip();
    }
    assert_int_equal(rn_pool_open(&pool, 2, &err), 0);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (rn_algorithm algorithm = RN_DIRECT; algorithm < RN_ALGORITHMS; algorithm++) {
            layer l = {0};
            if (algorithm == RN_WINOGRAD && !winograd_fits(&shapes[i]))
                continue;
            rn_kernels_open(&l.machine.kernels);
#if defined(__x86_64__)
            if (emulated)
                rn_kernels_emulated(&l.machine.kernels);
#endif
            assert_true(emulated || !strcmp(l.machine.kernels.level, level));
            l.machine.pool = pool;
            open_layer(&l, &shapes[i], algorithm, i + 1);
            plain_loops(&l);
            run(&l);
            wrong += judge(&l, level);
            if (algorithm == RN_WINOGRAD && !shapes[i].groups && !parts_are_the_whole(&l)) {
                print_error("%s: n %d, %d channels, %d x %d: parts have other bits than the whole\n", level, l.s.n, l.s.channels_in, l.s.h, l.s.w);
                wrong++;
            }
            close_layer(&l);
        }
    rn_pool_close(&pool);
    rn_cpu_limit(NULL);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"c", check_level, NULL, NULL, "c"},
        {"fma", check_level, NULL, NULL, "fma"},
        {"avx2", check_level, NULL, NULL, "avx2"},
        {"avx512", check_level, NULL, NULL, "avx512"},
#if defined(__x86_64__)
        {"emulated", check_level, NULL, NULL, "emulated"},
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
