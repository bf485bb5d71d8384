/* Backward-weights: dw[k][c][r][s] as chains over the pixels of the ghost batch.
 *
 * Pixels go in (sample, row, column) order, cut every CHUNK across samples; each chunk starts at +0 and chunks are added in order. The
 * chains of one task are carried over groups of about GROUP pixels, whose rows of x and dy then stay in L1 and L2 while all taps pass
 * over them. Spilling a sum between groups changes no bit.
 *
 * Where there are many pairs (a block of inputs, a block of outputs), a task is an input block with some output blocks, so that x is read once
 * for all of them, and adds its chunks as they come. Where there are few, a task is one chunk of a pair, and its sums are kept until a
 * second loop adds them in order: cutting by taps instead reads x and dy nine times from memory (training step of spec18, width 16,
 * batch 32, one thread of a Zen 3: 687 ms against 645). */
#include "graph/grouped.h"
#include "graph/winograd.h"

enum { CHUNK = 4096, GROUP = 256, PLAIN_ROWS = 24, MAX_TAPS = 1024, MANY_PAIRS = 32, K_GROUP = 8, TASKS_A_THREAD = 4 };

typedef struct weights {
    const rn_machine *m;
    const rn_conv *c;
    const rn_map *x, *dy;
    const rn_segment *segments;
    float *dw;
    int segments_count, n;
    int taps, parts;          /* of the kernel; parts that the inputs of the plain image are cut into */
    int chunks;               /* of all pixels */
    int group, groups;        /* output blocks of a task */
    float *kept;              /* [pairs][chunks][taps][16][16]: sums of single chunks */
    int64_t x_pixel, dy_pixel;
} weights;

static int few_pairs(const rn_conv *c)
{
    return !c->plain && !c->linear && c->blocks_in * c->blocks_out < MANY_PAIRS;
}

int rn_conv_weights_group(const rn_conv *c)
{
    int taps = c->kernel_h * c->kernel_w;
    return taps <= 9 ? rn_min(K_GROUP, c->blocks_out) : 1;
}

static int64_t pixels_of(const rn_conv *c, const rn_map *dy, int n)
{
    return c->linear ? n : (int64_t)n * dy->h * dy->w;
}

int64_t rn_conv_kept(const rn_conv *c, const rn_map *dy, int n)
{
    if (c->groups > 1)
        return rn_grouped_kept(c, dy, n);
    if (c->weights == RN_WINOGRAD)
        return rn_winograd_room(c, dy, n);
    int64_t chunks = (pixels_of(c, dy, n) + CHUNK - 1) / CHUNK;
    return few_pairs(c) ? chunks * c->blocks_in * c->blocks_out * c->kernel_h * c->kernel_w * RN_LANES * RN_LANES : 0;
}

int64_t rn_conv_segments(const rn_conv *c, const rn_map *dy, int n)
{
    if (c->weights == RN_WINOGRAD)
        return 0;
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
            out[count++] = (rn_segment){first * j->x->sample, first * j->dy->sample, rn_min(CHUNK, j->n - first)};
        return count;
    }
    for (int n = 0; n < j->n; n++)
        for (int p = 0; p < j->dy->h; p++)
            for (int q = 0; q < j->dy->w;) {
                int pixels = rn_min(left, j->dy->w - q);
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

/* What a task sums up: for each of `outputs` blocks from kb, `sets` sets of `rows` inputs each; set i reads x shifted by shift[i] floats, or
 * through offsets. */
typedef struct inputs {
    int cb, kb, outputs, sets, rows;
    const int32_t *shift, *offsets;
} inputs;

/* The sums of the chunk that begins with segment `first`, into sums [outputs][sets][rows][16]; returns the segment after it. */
static int sum_chunk(const weights *j, const inputs *in, int first, float *sums)
{
    rn_wgrad_tile call = {.rows = in->rows, .offsets = in->offsets, .x_pixel = j->x_pixel, .dy_pixel = j->dy_pixel};
    int pixels = 0;
    memset(sums, 0, (size_t)in->outputs * in->sets * in->rows * RN_LANES * sizeof *sums);
    while (first < j->segments_count && pixels < CHUNK) {
        int end = group_end(j, first, &pixels);
        call.segments = j->segments + first;
        call.segments_count = end - first;
        call.acc = sums;
        for (int k = 0; k < in->outputs; k++)
            for (int i = 0; i < in->sets; i++, call.acc += (int64_t)in->rows * RN_LANES) {
                call.x = j->x->data + in->cb * j->x->block + (in->shift ? in->shift[i] : 0);
                call.dy = j->dy->data + (in->kb + k) * j->dy->block;
                j->m->kernels.wgrad_tile(&call);
            }
        first = end;
    }
    return first;
}

static void add_chunk(float *total, const float *chunk, int64_t size, int first)
{
    if (first)
        memcpy(total, chunk, (size_t)size * sizeof *total);
    else
        for (int64_t i = 0; i < size; i++)
            total[i] += chunk[i];
}

/* All chunks in order, in this task. */
static void sum_pixels(const weights *j, const inputs *in, float *total, float *chunk)
{
    int64_t size = (int64_t)in->outputs * in->sets * in->rows * RN_LANES;
    for (int first = 0, chunks = 0; first < j->segments_count; chunks++) {
        first = sum_chunk(j, in, first, chunk);
        add_chunk(total, chunk, size, chunks == 0);
    }
}

/* The taps of input block cb, as shifts of x. */
static inputs tap_inputs(const weights *j, int cb, int kb, int outputs, int32_t shift[MAX_TAPS])
{
    const rn_conv *c = j->c;
    for (int t = 0; t < j->taps; t++)
        shift[t] = c->linear ? t * RN_LANES : (int32_t)(t / c->kernel_w * j->x->row + t % c->kernel_w * RN_LANES);
    return (inputs){.cb = cb, .kb = kb, .outputs = outputs, .sets = j->taps, .rows = RN_LANES, .shift = shift};
}

/* From [tap][16 c][16 k] to PyTorch's order. */
static void scatter_pair(const weights *j, int cb, int kb, const float *total)
{
    const rn_conv *c = j->c;
    for (int k = 0; k < rn_min(RN_LANES, c->channels_out - kb * RN_LANES); k++)
        for (int i = 0; i < rn_min(RN_LANES, c->channels_in - cb * RN_LANES); i++)
            for (int t = 0; t < j->taps; t++)
                j->dw[((int64_t)(kb * RN_LANES + k) * c->channels_in + cb * RN_LANES + i) * j->taps + t] = total[(t * RN_LANES + i) * RN_LANES + k];
}

static void group_task(void *context, int task, int thread)
{
    const weights *j = context;
    int32_t shift[MAX_TAPS];
    int cb = task / j->groups, kb = task % j->groups * j->group, outputs = rn_min(j->group, j->c->blocks_out - kb);
    inputs in = tap_inputs(j, cb, kb, outputs, shift);
    int64_t pair = (int64_t)j->taps * RN_LANES * RN_LANES;
    float *total = j->m->scratch + thread * j->m->scratch_size, *chunk = total + outputs * pair;
    sum_pixels(j, &in, total, chunk);
    for (int k = 0; k < outputs; k++)
        scatter_pair(j, cb, kb + k, total + k * pair);
}

static void chunk_task(void *context, int task, int thread)
{
    const weights *j = context;
    int32_t shift[MAX_TAPS];
    int wanted = task % j->chunks, pair = task / j->chunks, first = 0;
    inputs in = tap_inputs(j, pair % j->c->blocks_in, pair / j->c->blocks_in, 1, shift);
    (void)thread;
    for (int chunk = 0; chunk < wanted; chunk++)
        for (int pixels = 0; pixels < CHUNK; first++)
            pixels += j->segments[first].pixels;
    sum_chunk(j, &in, first, j->kept + task * ((int64_t)j->taps * RN_LANES * RN_LANES));
}

static void kept_task(void *context, int pair, int thread)
{
    const weights *j = context;
    int64_t size = (int64_t)j->taps * RN_LANES * RN_LANES;
    float *total = j->m->scratch + thread * j->m->scratch_size;
    for (int chunk = 0; chunk < j->chunks; chunk++)
        add_chunk(total, j->kept + ((int64_t)pair * j->chunks + chunk) * size, size, chunk == 0);
    scatter_pair(j, pair % j->c->blocks_in, pair / j->c->blocks_in, total);
}

/* The first layer: its inputs are the scalars (c, r, s) of the plain image. */
static void plain_task(void *context, int task, int thread)
{
    const weights *j = context;
    const rn_conv *c = j->c;
    int kb = task / j->parts, all = c->channels_in * j->taps, first = task % j->parts * PLAIN_ROWS, rows = rn_min(PLAIN_ROWS, all - first);
    float *total = j->m->scratch + thread * j->m->scratch_size, *chunk = total + (int64_t)rows * RN_LANES;
    int32_t offsets[PLAIN_ROWS];
    for (int i = 0; i < rows; i++) {
        int ch = (first + i) / j->taps, r = (first + i) % j->taps / c->kernel_w, s = (first + i) % c->kernel_w;
        offsets[i] = (int32_t)(ch * j->x->block + r * j->x->row + s);
    }
    inputs in = {.kb = kb, .outputs = 1, .sets = 1, .rows = rows, .offsets = offsets};
    sum_pixels(j, &in, total, chunk);
    for (int k = 0; k < rn_min(RN_LANES, c->channels_out - kb * RN_LANES); k++)
        for (int i = 0; i < rows; i++)
            j->dw[(int64_t)(kb * RN_LANES + k) * all + first + i] = total[i * RN_LANES + k];
}

void rn_conv_weights(const rn_machine *m, const rn_conv *c, rn_part part, const rn_view *view, const rn_map *dy, rn_segment *segments, float *kept, float *dw)
{
    const rn_map *x = view->map;
    int n = part.count;
    if (c->groups > 1) {
        rn_grouped_weights(m, c, n, view, dy, segments, kept, dw);
        return;
    }
    if (c->weights == RN_WINOGRAD) {
        rn_winograd_weights(m, c, part, view, dy, kept, dw);
        return;
    }
    weights j = {.m = m, .c = c, .x = x, .dy = dy, .segments = segments, .kept = kept, .dw = dw, .n = n, .taps = c->kernel_h * c->kernel_w};
    j.x_pixel = c->linear ? x->sample : (int64_t)c->stride_w * (c->plain ? 1 : RN_LANES);
    j.dy_pixel = c->linear ? dy->sample : RN_LANES;
    j.segments_count = list_segments(&j, segments);
    if (c->plain) {
        j.parts = (c->channels_in * j.taps + PLAIN_ROWS - 1) / PLAIN_ROWS;
        rn_pool_run(m->pool, c->blocks_out * j.parts, plain_task, &j);
        return;
    }
    int pairs = c->blocks_in * c->blocks_out;
    if (!few_pairs(c)) {
        int want = TASKS_A_THREAD * rn_pool_threads(m->pool);
        j.group = rn_min(rn_conv_weights_group(c), pairs / want + 1);
        j.groups = (c->blocks_out + j.group - 1) / j.group;
        rn_pool_run(m->pool, c->blocks_in * j.groups, group_task, &j);
        return;
    }
    j.chunks = (int)((pixels_of(c, dy, n) + CHUNK - 1) / CHUNK);
    rn_pool_run(m->pool, pairs * j.chunks, chunk_task, &j);
    rn_pool_run(m->pool, pairs, kept_task, &j);
}
