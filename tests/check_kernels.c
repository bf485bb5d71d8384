/* Every kernel of list.inc, in every version that this machine can run and in the emulated AVX-512 one, against the C reference bit for
 * bit; and the C reference against sums in double.
 *
 * Buffers end at a page that may not be touched; outputs are filled with NaN first. What these would catch: a wrong tile at a
 * remainder, an order of additions that depends on the instruction set, a read past the end, -0 or NaN treated in another way.
 * With --bench the same program times conv_row and wgrad_tile and prints their share of the FMA peak of that run. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cpu.h"
#include "base/random.h"
#include "kernels/kernels.h"
#include "kernels/peak.h"

#if defined(__x86_64__)
void rn_kernels_emulated(rn_kernels *table);
#endif

enum { BUFFERS = 24, ROUNDS = 60 };

/* --- buffers that end at a guard page ------------------------------------------------------------------------------------ */

static struct {
    void *base;
    size_t size;
} mapped[BUFFERS];
static int mapped_count;

static float *guarded(size_t floats)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = floats * sizeof(float), pages = (bytes + page - 1) / page + 1;
    char *base = mmap(NULL, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(base != MAP_FAILED && mapped_count < BUFFERS);
    assert_int_equal(mprotect(base + (pages - 1) * page, page, PROT_NONE), 0);
    mapped[mapped_count].base = base;
    mapped[mapped_count++].size = pages * page;
    return (float *)(void *)(base + (pages - 1) * page - bytes);
}

static void release(void)
{
    while (mapped_count > 0) {
        mapped_count--;
        munmap(mapped[mapped_count].base, mapped[mapped_count].size);
    }
}

static rn_random dice;

static int roll(int low, int high) /* inclusive */
{
    return low + (int)rn_random_below(&dice, (uint64_t)(high - low + 1));
}

/* Mostly ordinary numbers; where `odd`, some zeros of both signs, infinities, NaN and denormals. */
static float *numbers(size_t count, int odd)
{
    static const float special[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1e-40f, -1e-40f, 3e38f};
    float *p = guarded(count);
    for (size_t i = 0; i < count; i++) {
        p[i] = (float)(rn_random_double(&dice) * 2 - 1);
        if (odd && rn_random_below(&dice, 16) == 0)
            p[i] = special[rn_random_below(&dice, 8)];
    }
    return p;
}

static float *copy(const float *from, size_t count)
{
    float *p = guarded(count);
    memcpy(p, from, count * sizeof *p);
    return p;
}

static float *unset(size_t count)
{
    float *p = guarded(count);
    for (size_t i = 0; i < count; i++)
        p[i] = NAN;
    return p;
}

/* Equal bits, or NaN in both places (whose payload no contract fixes). */
static void same(const char *what, const float *want, const float *have, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(want + i, have + i, sizeof *want) && !(isnan(want[i]) && isnan(have[i])))
            fail_msg("%s: element %zu is %a, the reference has %a", what, i, (double)have[i], (double)want[i]);
}

/* --- one case of each kernel ------------------------------------------------------------------------------------------------ */

typedef void (*case_fn)(const rn_kernels *c, const rn_kernels *k, int odd);

static void try_conv_row(const rn_kernels *c, const rn_kernels *k, int odd)
{
    int plain = roll(0, 3) == 0, blocks = plain ? 1 : roll(1, 3), taps = roll(plain, 9), inner = plain ? 1 : 16, pixels = roll(1, 61), k_blocks = roll(1, 5);
    int stride = roll(1, 2), gap = roll(0, 1), pixel = inner * stride + gap * 3, y_pixel = 16 * roll(1, 2);
    size_t x_block = (size_t)(pixels - 1) * pixel + 7 * 16 + inner, w_k = (size_t)blocks * taps * inner * 16, y_k = (size_t)pixels * y_pixel;
    int32_t tap[9];
    for (int t = 0; t < taps; t++)
        tap[t] = roll(0, 7) * 16;
    rn_conv_row a = {.x = numbers(x_block * blocks, odd), .w = numbers(w_k * k_blocks + 1, odd), .tap = tap, .x_block = (int64_t)x_block, .x_pixel = pixel,
        .w_k = (int64_t)w_k, .y_k = (int64_t)y_k, .y_pixel = y_pixel, .blocks = blocks, .taps = taps, .inner = inner, .k_blocks = k_blocks, .pixels = pixels};
    float *want = a.y = unset(y_k * k_blocks);
    c->conv_row(&a);
    float *have = a.y = unset(y_k * k_blocks);
    k->conv_row(&a);
    same("conv_row", want, have, y_k * k_blocks);
}

static void try_wgrad_tile(const rn_kernels *c, const rn_kernels *k, int odd)
{
    int table = roll(0, 1), rows = table ? roll(1, 27) : 16, count = roll(0, 5), pixel = 16 * roll(1, 2), span = 12 * pixel + 32;
    rn_segment segments[5];
    int32_t offsets[27];
    for (int i = 0; i < count; i++)
        segments[i] = (rn_segment){roll(0, 3) * span, roll(0, 3) * 12 * 16, roll(0, 12)};
    for (int i = 0; i < rows; i++)
        offsets[i] = roll(0, 31);
    rn_wgrad_tile a = {.x = numbers((size_t)span * 4, odd), .dy = numbers((size_t)12 * 16 * 4, odd), .segments = segments, .segments_count = count,
        .offsets = table ? offsets : NULL, .rows = rows, .x_pixel = pixel, .dy_pixel = 16};
    float *want = a.acc = numbers((size_t)rows * 16, odd), *have = copy(want, (size_t)rows * 16);
    c->wgrad_tile(&a);
    a.acc = have;
    k->wgrad_tile(&a);
    same("wgrad_tile", want, have, (size_t)rows * 16);
}

static void try_winograd_input(const rn_kernels *c, const rn_kernels *k, int odd)
{
    int tiles = roll(1, 9), row = (4 * tiles + 2) * 16 + 16 * roll(0, 2), step = tiles * 16 + 16 * roll(0, 2);
    size_t count = (size_t)35 * step + tiles * 16;
    rn_winograd_input a = {.x = numbers((size_t)5 * row + (4 * tiles + 2) * 16, odd), .x_row = row, .step = step, .tiles = tiles};
    float *want = a.v = unset(count);
    c->winograd_input(&a);
    float *have = a.v = unset(count);
    k->winograd_input(&a);
    same("winograd_input", want, have, count);
}

static void try_winograd_output(const rn_kernels *c, const rn_kernels *k, int odd)
{
    int pixels = roll(1, 33), rows = roll(1, 4), tiles = (pixels + 3) / 4, row = pixels * 16 + 16 * roll(0, 2), step = tiles * 16 + 16 * roll(0, 2);
    size_t count = (size_t)(rows - 1) * row + pixels * 16;
    rn_winograd_output a = {.m = numbers((size_t)35 * step + tiles * 16, odd), .step = step, .y_row = row, .pixels = pixels, .rows = rows, .relu = roll(0, 1)};
    if (roll(0, 2)) {
        a.bias = roll(0, 1) ? numbers(16, odd) : NULL;
        a.residual_pixel = 16 * roll(1, 2);
        a.residual_row = a.residual_pixel * pixels + 16 * roll(0, 2);
        a.residual = roll(0, 1) ? numbers((size_t)(rows - 1) * a.residual_row + (pixels - 1) * a.residual_pixel + 16, odd) : NULL;
    }
    float *want = a.y = unset(count);
    c->winograd_output(&a);
    float *have = a.y = unset(count);
    k->winograd_output(&a);
    same("winograd_output", want, have, count);
}

static void try_winograd_gradient(const rn_kernels *c, const rn_kernels *k, int odd)
{
    int tiles = roll(1, 9), row = 4 * tiles * 16 + 16 * roll(0, 2), step = tiles * 16 + 16 * roll(0, 2);
    size_t count = (size_t)35 * step + tiles * 16;
    rn_winograd_gradient a = {.y = numbers((size_t)3 * row + 4 * tiles * 16, odd), .y_row = row, .step = step, .tiles = tiles};
    float *want = a.d = unset(count);
    c->winograd_gradient(&a);
    float *have = a.d = unset(count);
    k->winograd_gradient(&a);
    same("winograd_gradient", want, have, count);
}

static void try_winograd_weight(const rn_kernels *c, const rn_kernels *k, int odd)
{
    int count = roll(1, 20), lanes = roll(1, 16), lane = 9 * roll(1, 3), next = lane * 16 + 9 * roll(0, 1), step = count * 16 + 16 * roll(0, 2);
    double scale[16];
    for (int i = 0; i < 16; i++)
        scale[i] = rn_random_double(&dice) * 3;
    size_t size = (size_t)35 * step + count * 16;
    rn_winograd_weight a = {.w = numbers((size_t)(count - 1) * next + (lanes - 1) * lane + 9, odd), .scale = roll(0, 1) ? scale : NULL, .w_next = next, .w_lane = lane,
        .step = step, .count = count, .lanes = lanes, .flip = roll(0, 1)};
    float *want = a.u = unset(size);
    c->winograd_weight(&a);
    float *have = a.u = unset(size);
    k->winograd_weight(&a);
    same("winograd_weight", want, have, size);
}

static void try_winograd_weight_gradient(const rn_kernels *c, const rn_kernels *k, int odd)
{
    int count = roll(1, 20), lanes = roll(1, 16), lane = 9 * roll(1, 3), next = lane * 16, step = count * 16 + 16 * roll(0, 2);
    size_t size = (size_t)(count - 1) * next + (lanes - 1) * lane + 9;
    rn_winograd_weight_gradient a = {.u = numbers((size_t)35 * step + count * 16, odd), .step = step, .dw_next = next, .dw_lane = lane, .count = count, .lanes = lanes};
    float *want = a.dw = unset(size);
    c->winograd_weight_gradient(&a);
    float *have = a.dw = unset(size);
    k->winograd_weight_gradient(&a);
    same("winograd_weight_gradient", want, have, size);
}

static void try_affine_row(const rn_kernels *c, const rn_kernels *k, int odd)
{
    size_t pixels = (size_t)roll(1, 40);
    rn_affine_row a = {.y = numbers(pixels * 16, odd), .scale = numbers(16, odd), .shift = numbers(16, odd), .pixels = (int)pixels, .relu = roll(0, 1)};
    float *want = a.dst = unset(pixels * 16);
    c->affine_row(&a);
    float *have = a.dst = unset(pixels * 16);
    k->affine_row(&a);
    same("affine_row", want, have, pixels * 16);
}

static void try_merge_row(const rn_kernels *c, const rn_kernels *k, int odd)
{
    size_t pixels = (size_t)roll(1, 40), step = 16 * (size_t)roll(1, 2);
    rn_merge_row a = {.y = numbers(pixels * 16, odd), .scale = numbers(16, odd), .shift = numbers(16, odd), .pixels = (int)pixels, .shortcut_pixel = (int64_t)step};
    if (roll(0, 3)) {
        a.shortcut = numbers((pixels - 1) * step + 16, odd);
        a.shortcut_relu = roll(0, 1);
        if (roll(0, 1)) {
            a.shortcut_scale = numbers(16, odd);
            a.shortcut_shift = numbers(16, odd);
        }
    }
    float *want = a.dst = unset(pixels * 16);
    c->merge_row(&a);
    float *have = a.dst = unset(pixels * 16);
    k->merge_row(&a);
    same("merge_row", want, have, pixels * 16);
}

static void try_sums_row(const rn_kernels *c, const rn_kernels *k, int odd)
{
    size_t pixels = (size_t)roll(1, 220);
    rn_sums_row a = {.y = numbers(pixels * 16, odd), .mean = numbers(16, odd), .pixels = (int)pixels};
    float *want = a.sums = unset(32);
    c->sums_row(&a);
    float *have = a.sums = unset(32);
    k->sums_row(&a);
    same("sums_row", want, have, 32);
}

static void try_mask_row(const rn_kernels *c, const rn_kernels *k, int odd)
{
    size_t pixels = (size_t)roll(1, 60);
    int gates = roll(0, 2), sums = roll(0, 2);
    rn_mask_row a = {.pixels = (int)pixels};
    if (gates)
        a.gate = numbers(pixels * 16, odd);
    if (gates == 2) {
        a.gate_scale = numbers(16, odd);
        a.gate_shift = numbers(16, odd);
    }
    float *want[3] = {numbers(pixels * 16, odd), NULL, NULL}, *have[3] = {copy(want[0], pixels * 16), NULL, NULL};
    for (int j = 0; j < sums; j++) {
        a.y[j] = numbers(pixels * 16, odd);
        a.mean[j] = numbers(16, odd);
        a.sums[j] = want[j + 1] = unset(32);
    }
    a.dz = want[0];
    c->mask_row(&a);
    a.dz = have[0];
    for (int j = 0; j < sums; j++)
        a.sums[j] = have[j + 1] = unset(32);
    k->mask_row(&a);
    same("mask_row dz", want[0], have[0], pixels * 16);
    for (int j = 0; j < sums; j++)
        same("mask_row sums", want[j + 1], have[j + 1], 32);
}

static void try_bngrad_row(const rn_kernels *c, const rn_kernels *k, int odd)
{
    size_t pixels = (size_t)roll(1, 40);
    rn_bngrad_row a = {.dz = numbers(pixels * 16, odd), .y = numbers(pixels * 16, odd), .a = numbers(16, odd), .b = numbers(16, odd), .c = numbers(16, odd),
        .pixels = (int)pixels};
    float *want = a.dst = unset(pixels * 16);
    c->bngrad_row(&a);
    float *have = copy(a.dz, pixels * 16); /* in place */
    a.dz = a.dst = have;
    k->bngrad_row(&a);
    same("bngrad_row", want, have, pixels * 16);
}

static void try_finish_row(const rn_kernels *c, const rn_kernels *k, int odd)
{
    size_t pixels = (size_t)roll(1, 40), step = 16 * (size_t)roll(1, 2);
    rn_finish_row a = {.bias = numbers(16, odd), .residual = roll(0, 1) ? numbers((pixels - 1) * step + 16, odd) : NULL, .residual_pixel = (int64_t)step,
        .pixels = (int)pixels, .relu = roll(0, 1)};
    float *sums = numbers(pixels * 16, odd), *want = copy(sums, pixels * 16), *have = roll(0, 1) ? sums : copy(sums, pixels * 16); /* in place, or not */
    a.sums = a.y = want;
    c->finish_row(&a);
    a.sums = sums;
    a.y = have;
    k->finish_row(&a);
    same("finish_row", want, have, pixels * 16);
}

static void try_add_row(const rn_kernels *c, const rn_kernels *k, int odd)
{
    size_t pixels = (size_t)roll(1, 40), pa = 16 * (size_t)roll(1, 2), pb = 16 * (size_t)roll(1, 2), pd = 16 * (size_t)roll(1, 2), count = (pixels - 1) * pd + 16;
    rn_add_row a = {.a = numbers((pixels - 1) * pa + 16, odd), .b = numbers((pixels - 1) * pb + 16, odd), .a_pixel = (int64_t)pa, .b_pixel = (int64_t)pb,
        .dst_pixel = (int64_t)pd, .pixels = (int)pixels};
    float *want = a.dst = unset(count);
    c->add_row(&a);
    float *have = a.dst = unset(count);
    k->add_row(&a);
    same("add_row", want, have, count);
}

static void try_maxpool_row(const rn_kernels *c, const rn_kernels *k, int odd)
{
    int w = roll(1, 30), kernel = roll(1, 4), stride = roll(1, 3), pad = roll(0, kernel / 2), rows = roll(1, kernel);
    int pixels = (w + 2 * pad - kernel) / stride + 1;
    if (w + 2 * pad < kernel)
        return;
    rn_maxpool_row a = {.x = numbers((size_t)rows * w * 16, odd), .x_row = w * 16, .rows = rows, .kernel = kernel, .stride = stride, .pad = pad, .w = w, .pixels = pixels};
    float *want = a.y = unset((size_t)pixels * 16);
    c->maxpool_row(&a);
    float *have = a.y = unset((size_t)pixels * 16);
    k->maxpool_row(&a);
    same("maxpool_row", want, have, (size_t)pixels * 16);
}

static void try_maxgrad_row(const rn_kernels *c, const rn_kernels *k, int odd)
{
    int w = roll(3, 30), kernel = 3, stride = roll(1, 2), pad = 1, rows = roll(2, 3), pixels = (w + 2 * pad - kernel) / stride + 1;
    rn_maxgrad_row a = {.x = numbers((size_t)rows * w * 16, odd), .dy = numbers((size_t)pixels * 16, odd), .x_row = w * 16, .dx_row = w * 16, .rows = rows, .kernel = kernel,
        .stride = stride, .pad = pad, .w = w, .pixels = pixels};
    float *want = a.dx = numbers((size_t)rows * w * 16, 0), *have = copy(want, (size_t)rows * w * 16);
    c->maxgrad_row(&a);
    a.dx = have;
    k->maxgrad_row(&a);
    same("maxgrad_row", want, have, (size_t)rows * w * 16);
}

static void try_peak(const rn_kernels *c, const rn_kernels *k, int odd)
{
    float sums[16] = {0};
    int chains = 0;
    (void)c;
    (void)odd;
    k->peak(&(rn_peak){.steps = 3, .sums = sums, .chains = &chains}); /* for measuring: no contract but that it runs */
    assert_true(chains > 0 && sums[0] > 0);
}

#define RN_KERNEL(name, type) try_##name,
static const case_fn cases[] = {
#include "kernels/list.inc"
};
#undef RN_KERNEL
#define RN_KERNEL(name, type) #name,
static const char *const names[] = {
#include "kernels/list.inc"
};
#undef RN_KERNEL

static void compare(const rn_kernels *k)
{
    rn_kernels c;
    rn_kernels_c(&c);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int round = 0; round < ROUNDS; round++) {
            rn_random_start(&dice, 1, RN_PURPOSE_TEST, (uint32_t)i, (uint64_t)round);
            cases[i](&c, k, round % 3 == 2);
            release();
        }
}

/* --- the tests -------------------------------------------------------------------------------------------------------------- */

static void every_version(void **state)
{
    rn_kernels k;
    (void)state;
#if defined(__x86_64__)
    unsigned have = rn_cpu_features();
    rn_kernels_c(&k);
    if (have & RN_CPU_FMA) {
        rn_kernels_fma(&k);
        compare(&k);
    }
    if (have & RN_CPU_AVX2) {
        rn_kernels_avx2(&k);
        compare(&k);
    }
    if (have & RN_CPU_AVX512) {
        rn_kernels_avx512(&k);
        compare(&k);
    } else {
        print_message("no AVX-512 here: its tiles are checked over the emulated vocabulary only\n");
    }
#else
    rn_kernels_open(&k);
    compare(&k);
#endif
}

#if defined(__x86_64__)
static void emulated_avx512(void **state)
{
    rn_kernels k;
    (void)state;
    rn_kernels_c(&k);
    rn_kernels_emulated(&k);
    assert_int_equal(k.k_blocks, 2);
    compare(&k);
}
#endif

/* The definition itself against sums in double: within 4 sqrt(K) eps S, S the sum of absolute products. */
static void reference_is_right(void **state)
{
    enum { BLOCKS = 8, TAPS = 9, PIXELS = 7, K = BLOCKS * TAPS * 16 };
    rn_kernels c;
    int32_t tap[TAPS];
    (void)state;
    rn_kernels_c(&c);
    rn_random_start(&dice, 2, RN_PURPOSE_TEST, 0, 0);
    for (int t = 0; t < TAPS; t++)
        tap[t] = (t / 3 * (PIXELS + 2) + t % 3) * 16;
    size_t x_block = (size_t)3 * (PIXELS + 2) * 16;
    float y[PIXELS * 16];
    rn_conv_row a = {.x = numbers(x_block * BLOCKS, 0), .w = numbers((size_t)K * 16, 0), .y = y, .tap = tap, .x_block = (int64_t)x_block, .x_pixel = 16, .w_k = K * 16,
        .y_k = 0, .y_pixel = 16, .blocks = BLOCKS, .taps = TAPS, .inner = 16, .k_blocks = 1, .pixels = PIXELS};
    c.conv_row(&a);
    for (int q = 0; q < PIXELS; q++)
        for (int k = 0; k < 16; k++) {
            double sum = 0, size = 0;
            for (int i = 0; i < K; i++) {
                int b = i / (TAPS * 16), t = i / 16 % TAPS, ch = i % 16;
                double p = (double)a.x[b * x_block + tap[t] + q * 16 + ch] * a.w[(size_t)i * 16 + k];
                sum += p;
                size += fabs(p);
            }
            assert_true(fabs(sum - (double)y[q * 16 + k]) <= 4 * sqrt(K) * 0x1p-24 * size);
        }
    release();
}

/* ReLU keeps NaN and -0 as the contract says; max pooling lets NaN through and the first maximum wins. */
static void corners(void **state)
{
    rn_kernels k;
    float y[16] = {NAN, -0.0f, -1, 2}, one[16], zero[16] = {0}, out[16], dx[48] = {0}, dy[16];
    (void)state;
    rn_kernels_open(&k);
    for (int i = 0; i < 16; i++)
        one[i] = dy[i] = 1;
    k.affine_row(&(rn_affine_row){.y = y, .scale = one, .shift = zero, .dst = out, .pixels = 1, .relu = 1});
    assert_true(isnan(out[0]) && out[2] == 0 && !signbit(out[2]) && out[3] == 2);
    float x[48] = {0}; /* three pixels; lane 0: equal, lane 1: NaN in the middle */
    x[16 + 1] = NAN;
    k.maxgrad_row(&(rn_maxgrad_row){.x = x, .dy = dy, .dx = dx, .x_row = 48, .dx_row = 48, .rows = 1, .kernel = 3, .stride = 1, .pad = 0, .w = 3, .pixels = 1});
    assert_true(dx[0] == 1 && dx[16] == 0 && dx[16 + 1] == 1);
    k.maxpool_row(&(rn_maxpool_row){.x = x, .y = out, .x_row = 48, .rows = 1, .kernel = 3, .stride = 1, .pad = 0, .w = 3, .pixels = 1});
    assert_true(isnan(out[1]) && out[0] == 0);
}

/* --- --bench ------------------------------------------------------------------------------------------------------------------ */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void bench(void)
{
    static const struct { int blocks, taps, pixels, k_blocks; } shapes[] = {{4, 9, 200, 2}, {8, 9, 100, 2}, {16, 9, 50, 2}, {32, 9, 25, 2}, {4, 1, 56, 4}, {1, 9, 100, 1}};
    rn_kernels k;
    rn_kernels_open(&k);
    double peak = rn_bench_fma_peak(1);
    printf("%-12s %-8s %8s %8s\n", "kernel", "level", "GFLOP/s", "of peak");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        int32_t tap[9];
        int w = shapes[i].pixels + 2;
        for (int t = 0; t < 9; t++)
            tap[t] = (t / 3 * w + t % 3) * 16;
        size_t x_block = (size_t)3 * w * 16, w_k = (size_t)shapes[i].blocks * shapes[i].taps * 256;
        rn_conv_row a = {.x = numbers(x_block * shapes[i].blocks, 0), .w = numbers(w_k * shapes[i].k_blocks, 0), .y = unset((size_t)w * 16 * 4), .tap = tap,
            .x_block = (int64_t)x_block, .x_pixel = 16, .w_k = (int64_t)w_k, .y_k = (int64_t)w * 16, .y_pixel = 16, .blocks = shapes[i].blocks, .taps = shapes[i].taps,
            .inner = 16, .k_blocks = shapes[i].k_blocks, .pixels = shapes[i].pixels};
        double flops = 2.0 * shapes[i].pixels * (double)w_k * shapes[i].k_blocks, best = 1e9;
        for (int r = 0; r < 30; r++) {
            double start = now();
            for (int j = 0; j < 4; j++)
                k.conv_row(&a);
            double took = (now() - start) / 4;
            best = took < best ? took : best;
        }
        printf("%-12s %-8s %8.1f %7.0f %%   %d x %d taps, %d pixels\n", "conv_row", k.level, flops / best * 1e-9, 100 * flops / best * 1e-9 / peak, shapes[i].blocks * 16, shapes[i].taps, shapes[i].pixels);
        rn_segment segment = {0, 0, shapes[i].pixels};
        float acc[256] = {0};
        rn_wgrad_tile g = {.x = a.x, .dy = a.x, .acc = acc, .segments = &segment, .segments_count = 1, .rows = 16, .x_pixel = 16, .dy_pixel = 16};
        best = 1e9;
        for (int r = 0; r < 30; r++) {
            double start = now();
            for (int j = 0; j < 100; j++)
                k.wgrad_tile(&g);
            double took = (now() - start) / 100;
            best = took < best ? took : best;
        }
        flops = 2.0 * shapes[i].pixels * 256;
        printf("%-12s %-8s %8.1f %7.0f %%   %d pixels\n", "wgrad_tile", k.level, flops / best * 1e-9, 100 * flops / best * 1e-9 / peak, shapes[i].pixels);
        release();
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version),
#if defined(__x86_64__)
        cmocka_unit_test(emulated_avx512),
#endif
        cmocka_unit_test(reference_is_right),
        cmocka_unit_test(corners),
    };
    (void)names;
    if (argc > 1 && !strcmp(argv[1], "--bench")) {
        bench();
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
