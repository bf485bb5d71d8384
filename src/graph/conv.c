/* Convolution forwards and backwards to the data: tasks of rows, each row a call of conv_row.
 *
 * A task is (group of output blocks, sample, band of rows); through a view it is (sample, band) for all output blocks, since the
 * input rows are then activated once into the thread's scratch. Bands are sized by the shape alone: about 4 MFLOP, but not more
 * input than a quarter of a megabyte, which stays in L2 for all output blocks; or a scratch of half a megabyte. */
#include "graph/winograd.h"

enum { TASK_FLOPS = 4000000, BAND_FLOATS = 64 * 1024, VIEW_FLOATS = 128 * 1024, LINEAR_SAMPLES = 32, MAX_TAPS = 1024 };

typedef struct forward {
    const rn_machine *m;
    const rn_conv *c;
    const rn_view *x;
    const rn_map *y;
    const float *packed;
    const rn_epilogue *end;
    int n, band, bands, group, groups;
    int taps;
    int32_t tap[MAX_TAPS]; /* offsets for maps of this width */
} forward;

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

static void forward_taps(forward *f, const rn_map *x)
{
    const rn_conv *c = f->c;
    int step = c->plain ? 1 : RN_LANES;
    f->taps = 0;
    for (int ch = 0; ch < (c->plain ? c->channels_in : 1); ch++)
        for (int r = 0; r < c->kernel_h; r++)
            for (int s = 0; s < c->kernel_w; s++)
                f->tap[f->taps++] = (int32_t)(ch * x->block + r * x->row + s * step);
}

/* The end of a row of `pixels` pixels, in L1. */
static void end_row(const rn_machine *m, const rn_epilogue *end, int n, int block, int row, int pixels, float *y)
{
    rn_finish_row call = {.y = y, .pixels = pixels, .relu = end->relu};
    if (end->bias) {
        call.bias = end->bias + block * RN_LANES;
        if (end->residual && block < end->residual->blocks) {
            call.residual = rn_map_at(end->residual, n, block, row * end->residual_stride);
            call.residual_pixel = (int64_t)end->residual_stride * RN_LANES;
        }
        m->kernels.finish_row(&call);
    }
    if (end->row)
        end->row(end->context, n, block, row, y);
}

static rn_conv_row row_call(const forward *f, const rn_map *x)
{
    const rn_conv *c = f->c;
    return (rn_conv_row){.tap = f->tap, .taps = f->taps, .blocks = c->blocks_in, .inner = c->plain ? 1 : RN_LANES, .x_block = x->block,
        .x_pixel = (int64_t)c->stride_w * (c->plain ? 1 : RN_LANES), .w_k = (int64_t)c->blocks_in * f->taps * RN_LANES * (c->plain ? 1 : RN_LANES),
        .y_k = f->y->block, .y_pixel = RN_LANES, .pixels = f->y->w};
}

/* Do the rows of a 1x1 layer lie one behind the other on both sides, so that several are one? Tiles of 7 pixels are too small to be fast. */
static int rows_join(const forward *f, const rn_map *x)
{
    const rn_conv *c = f->c;
    int64_t row = (int64_t)f->y->w * RN_LANES;
    return c->kernel_h == 1 && c->kernel_w == 1 && c->stride_h == 1 && c->stride_w == 1 && c->pad == 0 && !c->plain && x->row == row && f->y->row == row;
}

/* Rows [first, last) of the output for blocks [kb, kb + count), reading x, whose row `x_row0` is the map's row 0. */
static void forward_rows(const forward *f, const rn_map *x, int n_in, int n, int x_row0, int kb, int count, int first, int last)
{
    const rn_conv *c = f->c;
    rn_conv_row call = row_call(f, x);
    int64_t pixel = c->plain ? 1 : RN_LANES;
    int rows = rows_join(f, x) ? last - first : 1;
    call.pixels = rows * f->y->w;
    for (int k = kb; k < kb + count; k += call.k_blocks) {
        call.k_blocks = rn_min(f->m->kernels.k_blocks, kb + count - k);
        call.w = f->packed + k * call.w_k;
        for (int i = 0; i < c->stride_h && i < 2; i++) /* the first to read these rows brings the next ones nearer */
            call.x_ahead[i] = k == 0 && !f->x->scale && !c->plain ? (c->kernel_h - 1 + c->stride_h - i) * x->row * rows : 0;
        for (int p = first; p < last; p += rows) {
            call.x = x->data + n_in * x->sample + (p * c->stride_h - c->pad - x_row0) * x->row - c->pad * pixel;
            call.y = rn_map_at(f->y, n, k, p);
            f->m->kernels.conv_row(&call);
            for (int i = 0; i < call.k_blocks * rows; i++)
                end_row(f->m, f->end, n, k + i / rows, p + i % rows, f->y->w, call.y + i / rows * call.y_k + i % rows * f->y->row);
        }
    }
}

static void forward_task(void *context, int task, int thread)
{
    const forward *f = context;
    int group = task % f->groups, band = task / f->groups % f->bands, n = task / f->groups / f->bands, kb = group * f->group;
    int first = band * f->band, last = rn_min(first + f->band, f->y->h);
    (void)thread;
    forward_rows(f, f->x->map, n, n, 0, kb, rn_min(f->group, f->c->blocks_out - kb), first, last);
}

/* Activates the input rows of a band into scratch, with their halo, then runs every output block over them. */
static void view_task(void *context, int task, int thread)
{
    const forward *f = context;
    const rn_conv *c = f->c;
    const rn_map *x = f->x->map;
    int band = task % f->bands, n = task / f->bands, first = band * f->band, last = rn_min(first + f->band, f->y->h);
    int low = first * c->stride_h - c->pad, high = (last - 1) * c->stride_h - c->pad + c->kernel_h;
    rn_map part = rn_map_shape(x->channels, high - low, x->w, 0);
    part.row += 2 * (int64_t)c->pad * RN_LANES;
    part.block = part.row * part.h;
    part.data = f->m->scratch + thread * f->m->scratch_size + c->pad * RN_LANES;
    for (int b = 0; b < x->blocks; b++)
        for (int r = low; r < high; r++) {
            float *dst = part.data + b * part.block + (r - low) * part.row, *line = dst - c->pad * RN_LANES;
            if (r < 0 || r >= x->h) {
                memset(line, 0, (size_t)part.row * sizeof *line);
                continue;
            }
            memset(line, 0, (size_t)c->pad * RN_LANES * sizeof *line);
            memset(dst + (int64_t)x->w * RN_LANES, 0, (size_t)c->pad * RN_LANES * sizeof *line);
            f->m->kernels.affine_row(&(rn_affine_row){.y = rn_map_at(x, n, b, r), .dst = dst, .scale = f->x->scale + b * RN_LANES,
                .shift = f->x->shift + b * RN_LANES, .relu = f->x->relu, .pixels = x->w});
        }
    forward_rows(f, &part, 0, n, low, 0, c->blocks_out, first, last);
}

static int view_band(const rn_conv *c, const rn_map *x, const rn_map *y)
{
    int64_t row = (int64_t)x->blocks * (x->w + 2 * c->pad) * RN_LANES;
    int rows = (int)(VIEW_FLOATS / row); /* input rows that fit */
    int band = (rows - c->kernel_h) / c->stride_h + 1;
    return max_int(1, rn_min(band, y->h));
}

static int64_t view_scratch(const rn_conv *c, const rn_map *x, const rn_map *y)
{
    int rows = (view_band(c, x, y) - 1) * c->stride_h + c->kernel_h;
    return (int64_t)rows * x->blocks * (x->w + 2 * c->pad) * RN_LANES;
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
        end_row(l->m, l->end, first + i, kb, 0, 1, call.y + i * call.y_pixel);
}

void rn_conv_forward(const rn_machine *m, const rn_conv *c, int n, const rn_view *x, const rn_map *y, const float *packed, const rn_epilogue *end)
{
    if (c->forward == RN_WINOGRAD) {
        rn_winograd_forward(m, c, n, x, y, packed, end);
        return;
    }
    if (c->linear) {
        linear l = {m, c, packed, x->map, y, end, n, rn_divide_up(n, LINEAR_SAMPLES)};
        rn_pool_run(m->pool, c->blocks_out * l.chunks, linear_task, &l);
        return;
    }
    forward f = {.m = m, .c = c, .x = x, .y = y, .packed = packed, .end = end, .n = n};
    if (x->scale) {
        rn_map line = rn_map_shape(x->map->channels, 1, x->map->w, 0);
        line.row += 2 * (int64_t)c->pad * RN_LANES;
        forward_taps(&f, &line);
        f.band = view_band(c, x->map, y);
        f.bands = rn_divide_up(y->h, f.band);
        rn_pool_run(m->pool, n * f.bands, view_task, &f);
        return;
    }
    forward_taps(&f, x->map);
    f.group = m->kernels.k_blocks;
    f.groups = rn_divide_up(c->blocks_out, f.group);
    f.band = rn_min(task_band(c, f.group, y->w, y->h), max_int(1, (int)(BAND_FLOATS / (c->stride_h * c->blocks_in * x->map->row))));
    f.bands = rn_divide_up(y->h, f.band);
    rn_pool_run(m->pool, f.groups * n * f.bands, forward_task, &f);
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

int64_t rn_conv_scratch(const rn_conv *c, const rn_map *x, const rn_map *y)
{
    int64_t most = 2 * (int64_t)(x->w + 2) * RN_LANES; /* backward-data: rows of two blocks */
    int64_t taps = (int64_t)c->kernel_h * c->kernel_w * (c->plain ? c->channels_in : RN_LANES);
    int64_t weights = 2 * taps * RN_LANES * rn_conv_weights_group(c); /* backward-weights: a chunk's sums and the total */
    if (!c->plain && !c->linear && view_scratch(c, x, y) > most)
        most = view_scratch(c, x, y);
    most = weights > most ? weights : most;
    if (c->forward == RN_WINOGRAD || c->backward == RN_WINOGRAD || c->weights == RN_WINOGRAD) {
        int64_t winograd = rn_winograd_scratch(c, x, y);
        most = winograd > most ? winograd : most;
    }
    return most;
}
