/* Backward-weights: dw[k][c][r][s] as chains over the pixels of the ghost batch.
 *
 * Pixels go in (sample, row, column) order, cut every CHUNK across samples; each chunk starts at +0 and chunks are added in order. The
 * chains of one task (a block of inputs, a block of outputs, some taps) are carried over groups of about GROUP pixels, whose rows of
 * x and dy then stay in L1 and L2 while all taps pass over them. Spilling a sum between groups changes no bit. */
#include "graph/conv.h"

enum { CHUNK = 4096, GROUP = 256, PLAIN_ROWS = 24, MAX_ROWS = 4096 };

typedef struct weights {
    const rn_machine *m;
    const rn_conv *c;
    const rn_map *x, *dy;
    const rn_segment *segments;
    float *dw;
    int segments_count, n;
    int taps, parts;          /* of the kernel; parts that the taps of a block are cut into */
    int64_t x_pixel, dy_pixel;
} weights;

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

int64_t rn_conv_segments(const rn_conv *c, const rn_map *dy, int n)
{
    if (c->linear)
        return n / CHUNK + 1;
    return (int64_t)n * dy->h + (int64_t)n * dy->h * dy->w / CHUNK + 1;
}

/* Rows of dy, cut where a chunk ends. A segment that begins a chunk is found again by counting pixels. */
static int list_segments(const weights *j, rn_segment *out)
{
    const rn_conv *c = j->c;
    int count = 0, left = CHUNK;
    int64_t pixel = c->plain ? 1 : RN_LANES;
    if (c->linear) {
        for (int first = 0; first < j->n; first += CHUNK)
            out[count++] = (rn_segment){first * j->x->sample, first * j->dy->sample, min_int(CHUNK, j->n - first)};
        return count;
    }
    for (int n = 0; n < j->n; n++)
        for (int p = 0; p < j->dy->h; p++)
            for (int q = 0; q < j->dy->w;) {
                int pixels = min_int(left, j->dy->w - q);
                out[count++] = (rn_segment){n * j->x->sample + (p * c->stride_h - c->pad) * j->x->row + (q * c->stride_w - c->pad) * pixel,
                    n * j->dy->sample + p * j->dy->row + (int64_t)q * RN_LANES, pixels};
                q += pixels;
                left = left == pixels ? CHUNK : left - pixels;
            }
    return count;
}

/* Segments from `first` that make up about GROUP pixels and stay within the chunk; *pixels counts what the chunk has had. */
static int group_end(const weights *j, int first, int *pixels)
{
    int end = first, in_group = 0;
    while (end < j->segments_count && *pixels < CHUNK && in_group < GROUP) {
        in_group += j->segments[end].pixels;
        *pixels += j->segments[end].pixels;
        end++;
    }
    return end;
}

/* The sums of `sets` sets of `rows` inputs each: set i reads x shifted by shift[i] floats (or through offsets + i * rows). total and chunk hold
 * [sets][rows][16]. */
static void sum_pixels(const weights *j, int cb, int kb, const int32_t *shift, const int32_t *offsets, int sets, int rows, float *total, float *chunk)
{
    int64_t size = (int64_t)sets * rows * RN_LANES;
    rn_wgrad_tile call = {.rows = rows, .x_pixel = j->x_pixel, .dy_pixel = j->dy_pixel, .dy = j->dy->data + kb * j->dy->block};
    int pixels = 0, chunks = 0;
    for (int first = 0; first < j->segments_count;) {
        if (pixels == 0)
            memset(chunk, 0, (size_t)size * sizeof *chunk);
        int end = group_end(j, first, &pixels);
        call.segments = j->segments + first;
        call.segments_count = end - first;
        for (int i = 0; i < sets; i++) {
            call.x = j->x->data + cb * j->x->block + (shift ? shift[i] : 0);
            call.offsets = offsets ? offsets + i * rows : NULL;
            call.acc = chunk + (int64_t)i * rows * RN_LANES;
            j->m->kernels.wgrad_tile(&call);
        }
        first = end;
        if (pixels < CHUNK && first < j->segments_count)
            continue;
        if (chunks++ == 0)
            memcpy(total, chunk, (size_t)size * sizeof *chunk);
        else
            for (int64_t i = 0; i < size; i++)
                total[i] += chunk[i];
        pixels = 0;
    }
}

static void weights_task(void *context, int task, int thread)
{
    const weights *j = context;
    const rn_conv *c = j->c;
    int part = task % j->parts, cb = task / j->parts % c->blocks_in, kb = task / j->parts / c->blocks_in;
    int per = (j->taps + j->parts - 1) / j->parts, first = part * per, sets = min_int(per, j->taps - first);
    float *total = j->m->scratch + thread * j->m->scratch_size, *chunk = total + (int64_t)sets * RN_LANES * RN_LANES;
    int32_t shift[MAX_ROWS];
    if (sets <= 0)
        return;
    for (int i = 0; i < sets; i++) {
        int r = (first + i) / c->kernel_w, s = (first + i) % c->kernel_w;
        shift[i] = c->linear ? (first + i) * RN_LANES : (int32_t)(r * j->x->row + s * RN_LANES);
    }
    sum_pixels(j, cb, kb, shift, NULL, sets, RN_LANES, total, chunk);
    for (int k = 0; k < min_int(RN_LANES, c->channels_out - kb * RN_LANES); k++)
        for (int i = 0; i < min_int(RN_LANES, c->channels_in - cb * RN_LANES); i++)
            for (int t = 0; t < sets; t++)
                j->dw[((int64_t)(kb * RN_LANES + k) * c->channels_in + cb * RN_LANES + i) * j->taps + first + t] = total[(t * RN_LANES + i) * RN_LANES + k];
}

/* The first layer: its inputs are the scalars (c, r, s) of the plain image. */
static void plain_task(void *context, int task, int thread)
{
    const weights *j = context;
    const rn_conv *c = j->c;
    int kb = task / j->parts, all = c->channels_in * j->taps, first = task % j->parts * PLAIN_ROWS, rows = min_int(PLAIN_ROWS, all - first);
    float *total = j->m->scratch + thread * j->m->scratch_size, *chunk = total + (int64_t)rows * RN_LANES;
    int32_t offsets[PLAIN_ROWS];
    for (int i = 0; i < rows; i++) {
        int ch = (first + i) / j->taps, r = (first + i) % j->taps / c->kernel_w, s = (first + i) % c->kernel_w;
        offsets[i] = (int32_t)(ch * j->x->block + r * j->x->row + s);
    }
    sum_pixels(j, 0, kb, NULL, offsets, 1, rows, total, chunk);
    for (int k = 0; k < min_int(RN_LANES, c->channels_out - kb * RN_LANES); k++)
        for (int i = 0; i < rows; i++)
            j->dw[(int64_t)(kb * RN_LANES + k) * all + first + i] = total[i * RN_LANES + k];
}

void rn_conv_weights(const rn_machine *m, const rn_conv *c, int n, const rn_map *x, const rn_map *dy, rn_segment *segments, float *dw)
{
    weights j = {.m = m, .c = c, .x = x, .dy = dy, .segments = segments, .dw = dw, .n = n, .taps = c->kernel_h * c->kernel_w};
    j.x_pixel = c->linear ? x->sample : (int64_t)c->stride_w * (c->plain ? 1 : RN_LANES);
    j.dy_pixel = c->linear ? dy->sample : RN_LANES;
    j.segments_count = list_segments(&j, segments);
    if (c->plain) {
        j.parts = (c->channels_in * j.taps + PLAIN_ROWS - 1) / PLAIN_ROWS;
        rn_pool_run(m->pool, c->blocks_out * j.parts, plain_task, &j);
        return;
    }
    int pairs = c->blocks_in * c->blocks_out;
    j.parts = pairs >= 32 ? 1 : pairs >= 8 ? c->kernel_h : j.taps; /* enough tasks to share, from the shape alone */
    rn_pool_run(m->pool, pairs * j.parts, weights_task, &j);
}
