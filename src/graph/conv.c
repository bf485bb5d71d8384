/* Convolution: the choice of who computes it forwards, linear layers, and direct convolution backwards to the data, in tasks of rows, each row a
 * call of conv_row. Bands of rows are sized by the shape alone: about 4 MFLOP. */
#include "graph/direct.h"
#include "graph/grouped.h"
#include "graph/winograd.h"

enum { TASK_FLOPS = 4000000, LINEAR_SAMPLES = 32, MAX_TAPS = 1024 };

rn_map rn_map_plain(int channels, int h, int w, int halo)
{
    rn_map m = {.channels = channels, .blocks = channels, .h = h, .w = w, .halo = halo};
    m.row = w + 2 * halo;
    m.block = m.row * (h + 2 * halo);
    m.sample = m.block * channels;
    return m;
}

static int max_int(int a, int b)
{
    return a > b ? a : b;
}

/* Rows whose work is about TASK_FLOPS for one group of output blocks. */
static int task_band(const rn_conv *c, int group, int w, int h)
{
    int64_t flops = 2 * (int64_t)w * group * RN_LANES * c->channels_in * c->kernel_h * c->kernel_w;
    return (int)(flops >= TASK_FLOPS ? 1 : rn_min(h, (int)(TASK_FLOPS / (flops + 1)) + 1));
}

typedef struct linear {
    const rn_machine *m;
    const rn_conv *c;
    const float *packed;
    const rn_map *in, *out; /* in: what is read, out: what is written, one row of pixels a sample */
    const rn_epilogue *end;
    int n, chunks;
} linear;

/* Output block kb of LINEAR_SAMPLES samples: the samples are the pixels of one row. */
static void linear_task(void *context, int task, int thread)
{
    static const int samples = LINEAR_SAMPLES;
    const linear *l = context;
    int kb = task / l->chunks, first = task % l->chunks * samples, pixels = rn_min(samples, l->n - first);
    int32_t tap[MAX_TAPS];
    int taps = l->c->kernel_h * l->c->kernel_w;
    (void)thread;
    for (int t = 0; t < taps; t++)
        tap[t] = t * RN_LANES;
    rn_conv_row call = {.tap = tap, .taps = taps, .blocks = l->c->blocks_in, .inner = RN_LANES, .x_block = l->in->block, .x_pixel = l->in->sample,
        .k_blocks = 1, .w = l->packed + (int64_t)kb * l->c->blocks_in * taps * RN_LANES * RN_LANES, .y_pixel = l->out->sample, .pixels = pixels};
    call.x = rn_map_at(l->in, first, 0, 0);
    call.y = rn_map_at(l->out, first, kb, 0);
    l->m->kernels.conv_row(&call);
    for (int i = 0; i < pixels; i++)
        rn_direct_end_row(l->m, l->end, l->out, first + i, kb, 0, 0, 1, call.y + i * call.y_pixel);
}

void rn_conv_forward(const rn_machine *m, const rn_conv *c, int n, const rn_view *x, const rn_map *y, const float *packed, const rn_epilogue *end)
{
    if (c->groups > 1) {
        rn_grouped_forward(m, c, n, x, y, packed, end);
        return;
    }
    if (c->forward == RN_WINOGRAD) {
        rn_winograd_forward(m, c, n, x, y, packed, end);
        return;
    }
    if (c->linear) {
        linear l = {m, c, packed, x->map, y, end, n, rn_divide_up(n, LINEAR_SAMPLES)};
        rn_pool_run(m->pool, c->blocks_out * l.chunks, linear_task, &l);
        return;
    }
    rn_direct_forward(m, c, n, x, y, packed, end);
}

/* --- backward-data ------------------------------------------------------------------------------------------------------ */

typedef struct backward {
    const rn_machine *m;
    const rn_conv *c;
    const rn_map *dy, *dx;
    const float *packed;
    rn_row_fn row;
    const void *context;
    int add;
    int first, band, bands, group, groups;
} backward;

/* The taps of residue class (cr, cs) as offsets from dy's pixel (p0, q0), flipped; returns how many. */
static int class_taps(const rn_conv *c, int cr, int cs, int64_t row, int32_t *tap)
{
    int taps = 0;
    for (int r = c->kernel_h - 1; r >= 0; r--)
        for (int s = c->kernel_w - 1; s >= 0; s--)
            if (r % c->stride_h == cr && s % c->stride_w == cs)
                tap[taps++] = (int32_t)(-(r / c->stride_h) * row - s / c->stride_w * RN_LANES);
    return taps;
}

/* Where the packed weights of residue class (cr, cs) begin: after those of the classes before it. */
static int64_t class_offset(const rn_conv *c, int cr, int cs)
{
    int64_t taps = 0;
    for (int r = 0; r < c->kernel_h; r++)
        for (int s = 0; s < c->kernel_w; s++) {
            int a = r % c->stride_h, b = s % c->stride_w;
            taps += a < cr || (a == cr && b < cs);
        }
    return taps * c->blocks_in * c->blocks_out * RN_LANES * RN_LANES;
}

/* One row of dx for `count` blocks from cb, into out, blocks y_k floats apart. */
static void backward_row(const backward *b, int n, int cb, int count, int h, float *out, int64_t y_k)
{
    const rn_conv *c = b->c;
    int32_t tap[MAX_TAPS];
    int cr = (h + c->pad) % c->stride_h, p0 = (h + c->pad) / c->stride_h;
    for (int first = 0; first < c->stride_w && first < b->dx->w; first++) {
        int cs = (first + c->pad) % c->stride_w, q0 = (first + c->pad) / c->stride_w;
        int taps = class_taps(c, cr, cs, b->dy->row, tap);
        rn_conv_row call = {.tap = tap, .taps = taps, .blocks = c->blocks_out, .inner = RN_LANES, .x_block = b->dy->block, .x_pixel = RN_LANES,
            .w_k = (int64_t)c->blocks_out * taps * RN_LANES * RN_LANES, .k_blocks = count, .y_k = y_k,
            .y_pixel = (int64_t)c->stride_w * RN_LANES, .pixels = (b->dx->w - first + c->stride_w - 1) / c->stride_w};
        call.x = rn_map_at(b->dy, n, 0, p0) + (int64_t)q0 * RN_LANES;
        call.w = b->packed + class_offset(c, cr, cs) + cb * call.w_k;
        call.y = out + (int64_t)first * RN_LANES;
        b->m->kernels.conv_row(&call);
    }
}

static void backward_task(void *context, int task, int thread)
{
    const backward *b = context;
    int group = task % b->groups, band = task / b->groups % b->bands, n = b->first + task / b->groups / b->bands, cb = group * b->group;
    int first = band * b->band, last = rn_min(first + b->band, b->dx->h), count = rn_min(b->group, b->c->blocks_in - cb);
    float *out = b->m->scratch + thread * b->m->scratch_size;
    int64_t row = (int64_t)b->dx->w * RN_LANES;
    for (int h = first; h < last; h++) {
        float *dx = rn_map_at(b->dx, n, cb, h);
        backward_row(b, n, cb, count, h, b->add ? out : dx, b->add ? row : b->dx->block);
        for (int i = 0; i < count; i++, dx += b->dx->block) {
            if (b->add)
                b->m->kernels.add_row(&(rn_add_row){.a = out + i * row, .b = dx, .dst = dx, .a_pixel = RN_LANES, .b_pixel = RN_LANES, .dst_pixel = RN_LANES,
                    .pixels = b->dx->w});
            if (b->row)
                b->row(b->context, n, cb + i, h, dx);
        }
    }
}

/* Linear: dx of every input pixel (h, w) is one chain over the outputs, so each is a small layer of its own. */
static void linear_back_task(void *context, int task, int thread)
{
    const linear *l = context;
    int pixels_in = l->c->kernel_h * l->c->kernel_w, chunk = task % l->chunks, cb = task / l->chunks % l->c->blocks_in, at = task / l->chunks / l->c->blocks_in;
    int first = chunk * LINEAR_SAMPLES, samples = rn_min(LINEAR_SAMPLES, l->n - first);
    int32_t zero = 0;
    int64_t matrix = (int64_t)l->c->blocks_out * RN_LANES * RN_LANES;
    rn_conv_row call = {.tap = &zero, .taps = 1, .blocks = l->c->blocks_out, .inner = RN_LANES, .x_block = l->in->block, .x_pixel = l->in->sample,
        .k_blocks = 1, .w = l->packed + (at * (int64_t)l->c->blocks_in + cb) * matrix, .y_pixel = l->out->sample, .pixels = samples};
    call.x = rn_map_at(l->in, first, 0, 0);
    call.y = rn_map_at(l->out, first, cb, 0) + (int64_t)(at % pixels_in) * RN_LANES;
    (void)thread;
    l->m->kernels.conv_row(&call);
}

void rn_conv_backward(const rn_machine *m, const rn_conv *c, rn_part part, const rn_map *dy, const rn_map *dx, int add, const float *packed, rn_row_fn row,
                      const void *context)
{
    if (c->groups > 1) {
        rn_grouped_backward(m, c, part, dy, dx, add, packed, row, context);
        return;
    }
    if (c->backward == RN_WINOGRAD) {
        rn_winograd_backward(m, c, part, dy, dx, add, packed, row, context);
        return;
    }
    if (c->linear) {
        linear l = {m, c, packed, dy, dx, NULL, part.count, rn_divide_up(part.count, LINEAR_SAMPLES)};
        rn_pool_run(m->pool, c->kernel_h * c->kernel_w * c->blocks_in * l.chunks, linear_back_task, &l);
        return;
    }
    backward b = {.m = m, .c = c, .dy = dy, .dx = dx, .packed = packed, .row = row, .context = context, .add = add, .first = part.first};
    b.group = m->kernels.k_blocks;
    b.groups = rn_divide_up(c->blocks_in, b.group);
    b.band = max_int(task_band(c, b.group, dx->w, dx->h), c->stride_h);
    b.bands = rn_divide_up(dx->h, b.band);
    rn_pool_run(m->pool, b.groups * (part.last - part.first) * b.bands, backward_task, &b);
}

int rn_conv_dy_halo(const rn_conv *c, int h, int w)
{
    int before_h = (c->kernel_h - 1 - c->pad) / c->stride_h, before_w = (c->kernel_w - 1 - c->pad) / c->stride_w;
    int after_h = (h - 1 + c->pad) / c->stride_h - (h + 2 * c->pad - c->kernel_h) / c->stride_h;
    int after_w = (w - 1 + c->pad) / c->stride_w - (w + 2 * c->pad - c->kernel_w) / c->stride_w;
    return max_int(0, max_int(max_int(before_h, before_w), max_int(after_h, after_w)));
}

static int64_t max_floats(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Of slices, what the hungriest wants. */
static int64_t most_of_slices(const rn_conv *c, const rn_map *x, const rn_map *y, int64_t (*wanted)(const rn_conv *, const rn_map *, const rn_map *))
{
    rn_conv first = rn_grouped_slice(c, 0), last = rn_grouped_slice(c, rn_grouped_slices(c) - 1);
    return max_floats(wanted(&first, x, y), wanted(&last, x, y));
}

int64_t rn_conv_forward_scratch(const rn_conv *c, const rn_map *x, const rn_map *y)
{
    if (c->groups > 1)
        return most_of_slices(c, x, y, rn_conv_forward_scratch);
    return c->forward == RN_WINOGRAD ? rn_winograd_scratch(c, x, y) : rn_direct_scratch(c, x, y);
}

int64_t rn_conv_scratch(const rn_conv *c, const rn_map *x, const rn_map *y)
{
    if (c->groups > 1)
        return most_of_slices(c, x, y, rn_conv_scratch);
    int64_t most = 2 * (int64_t)(x->w + 2) * RN_LANES; /* backward-data: rows of two blocks */
    int64_t taps = (int64_t)c->kernel_h * c->kernel_w * (c->plain ? c->channels_in : RN_LANES);
    int64_t weights = 2 * taps * RN_LANES * rn_conv_weights_group(c); /* backward-weights: a chunk's sums and the total */
    if (c->forward == RN_WINOGRAD || c->backward == RN_WINOGRAD || c->weights == RN_WINOGRAD)
        most = max_floats(most, rn_winograd_scratch(c, x, y));
    return max_floats(max_floats(most, weights), rn_direct_scratch(c, x, y));
}
