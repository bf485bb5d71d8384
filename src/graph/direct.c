/* Direct convolution forwards: tasks of bands of output rows by groups of output blocks.
 *
 * Rows are joined, so that one call of conv_row runs over a hundred or more pixels and register tiles are full even on maps seven pixels wide.
 * Rows of a 1x1 layer of stride 1 lie joined in the map; others are wide enough to be read one by one; where they are narrow, or go through
 * a view, a task first lays its input out as planes: for each column s of the kernel and each residue of its rows by the stride, the
 * pixels that this tap meets, row behind row. A tap is then one offset, and the next pixel is always the next sixteen floats.
 *
 * The plain image of the first layer is read where it lies, row by row: its pixels are single floats. */
#include "graph/direct.h"

enum {
    PIXELS = 256,               /* of a band, about */
    WIDE = 32,                  /* pixels of a row that fill tiles without being joined */
    COLUMNS = 512,              /* of a part of a longer row */
    PLANES = 128 * 1024,        /* floats of a band's planes at most, unless one row needs more: L2 */
    TASK_FLOPS = 4000000,       /* of a task of plain rows */
    TASKS_A_THREAD = 2,
    FROM_MEMORY = 1 << 20,      /* floats of packed weights from which the next ones are asked for ahead */
    MAX_TAPS = 1024
};

typedef enum reading { PLANES_LAID, ROW_BY_ROW, ROWS_JOINED } reading; /* the last two: x is read where it lies */

typedef struct direct {
    const rn_machine *m;
    const rn_conv *c;
    const rn_view *x;
    const rn_map *y;
    const float *packed;
    const rn_epilogue *end;
    reading reading;
    int across, band, bands;    /* columns of a part; rows of a band */
    int group, groups;
    int taps;
    int32_t tap[MAX_TAPS];
} direct;

/* --- the end of a row ---------------------------------------------------------------------------------------------------------- */

void rn_direct_end_row(const rn_machine *m, const rn_epilogue *end, const rn_map *map, int n, int block, int row, int left, int pixels, const float *sums)
{
    float *line = rn_map_at(map, n, block, row), *y = line + (int64_t)left * RN_LANES;
    if (end->bias) {
        rn_finish_row call = {.sums = sums, .y = y, .bias = end->bias + block * RN_LANES, .pixels = pixels, .relu = end->relu};
        if (end->residual && block < end->residual->blocks) {
            call.residual_pixel = (int64_t)end->residual_stride * RN_LANES;
            call.residual = rn_map_at(end->residual, n, block, row * end->residual_stride) + left * call.residual_pixel;
        }
        m->kernels.finish_row(&call);
    } else if (sums != y)
        memcpy(y, sums, (size_t)pixels * RN_LANES * sizeof *y);
    if (end->row && left + pixels == map->w)
        end->row(end->context, n, block, row, line);
}

/* --- planes --------------------------------------------------------------------------------------------------------------------- */

static int residues(const rn_conv *c)
{
    return rn_min(c->stride_h, c->kernel_h);
}

/* Rows of the plane of a residue: those of the band, and one for every further tap that falls into it. */
static int plane_rows(const rn_conv *c, int residue, int rows)
{
    return rows + (c->kernel_h - 1 - residue) / c->stride_h;
}

/* Floats of one channel block's planes; and where the plane (s, residue) begins among them. */
static int64_t plane_at(const rn_conv *c, int s, int residue, int rows, int w)
{
    int64_t all = 0, before = 0;
    for (int r = 0; r < residues(c); r++) {
        all += plane_rows(c, r, rows);
        before += r < residue ? plane_rows(c, r, rows) : 0;
    }
    return (s * all + before) * w * RN_LANES;
}

static int64_t planes_size(const rn_conv *c, int rows, int w)
{
    return plane_at(c, c->kernel_w, 0, rows, w);
}

/* Output columns [left, left + across) of a band, and the input columns [low, high) that they meet in the map. */
typedef struct columns {
    int left, across, low, high;
} columns;

static columns columns_at(const direct *d, int left)
{
    const rn_conv *c = d->c;
    columns at = {.left = left, .across = rn_min(d->across, d->y->w - left)};
    at.low = left * c->stride_w - c->pad;
    at.high = rn_min(at.low + (at.across - 1) * c->stride_w + c->kernel_w, d->x->map->w);
    at.low = at.low < 0 ? 0 : at.low;
    return at;
}

/* One row of the plane of column s of the kernel: every stride-th pixel, zero outside of the map. `from` is the pixel in column at->low. */
static void plane_row(const rn_conv *c, const float *from, const columns *at, int s, float *to)
{
    int first = at->left * c->stride_w + s - c->pad, q = 0;
    int inside = at->high > first ? rn_min(at->across, (at->high - first - 1) / c->stride_w + 1) : 0;
    for (; q < at->across && first + q * c->stride_w < at->low; q++, to += RN_LANES)
        memset(to, 0, RN_LANES * sizeof *to);
    from += (int64_t)(first - at->low) * RN_LANES;
    for (; q < inside; q++, to += RN_LANES)
        memcpy(to, from + (int64_t)q * c->stride_w * RN_LANES, RN_LANES * sizeof *to);
    if (q < at->across)
        memset(to, 0, (size_t)(at->across - q) * RN_LANES * sizeof *to);
}

/* The planes of output rows [first, first + rows) of sample n; line: room for a part of an input row that has gone through the view. */
static void lay_planes(const direct *d, int n, int first, int rows, const columns *at, float *planes, float *line)
{
    const rn_conv *c = d->c;
    const rn_map *x = d->x->map;
    int64_t size = planes_size(c, rows, at->across);
    for (int b = 0; b < x->blocks; b++, planes += size)
        for (int residue = 0; residue < residues(c); residue++)
            for (int i = 0; i < plane_rows(c, residue, rows); i++) {
                int h = (first + i) * c->stride_h + residue - c->pad, inside = h >= 0 && h < x->h && at->high > at->low;
                const float *from = inside ? rn_map_at(x, n, b, h) + (int64_t)at->low * RN_LANES : NULL;
                if (inside && d->x->scale) {
                    d->m->kernels.affine_row(&(rn_affine_row){.y = from, .dst = line, .scale = d->x->scale + b * RN_LANES, .shift = d->x->shift + b * RN_LANES,
                        .relu = d->x->relu, .pixels = at->high - at->low});
                    from = line;
                }
                for (int s = 0; s < c->kernel_w; s++) {
                    float *to = planes + plane_at(c, s, residue, rows, at->across) + (int64_t)i * at->across * RN_LANES;
                    if (inside)
                        plane_row(c, from, at, s, to);
                    else
                        memset(to, 0, (size_t)at->across * RN_LANES * sizeof *to);
                }
            }
}

/* --- a task ---------------------------------------------------------------------------------------------------------------------- */

/* Do these rows lie one behind the other in the map itself? */
static int joined(const rn_map *map, int rows)
{
    return rows == 1 || map->row == (int64_t)map->w * RN_LANES;
}

/* Offsets of the taps from the first pixel: in the map as it lies, or in the planes. */
static void set_taps(const direct *d, int rows, int across, int32_t *tap)
{
    const rn_conv *c = d->c;
    int64_t row = (int64_t)across * RN_LANES;
    for (int r = 0, t = 0; r < c->kernel_h; r++)
        for (int s = 0; s < c->kernel_w; s++)
            tap[t++] = (int32_t)(d->reading ? r * d->x->map->row + s * RN_LANES : plane_at(c, s, r % c->stride_h, rows, across) + r / c->stride_h * row);
}

/* Rows [first, first + rows) of some columns, for output blocks [kb, kb_last). A run is the rows of one call. */
static void band_part(const direct *d, int n, int first, int rows, const columns *at, int kb, int kb_last, float *room)
{
    const rn_conv *c = d->c;
    int run = d->reading == ROW_BY_ROW ? 1 : rows, to_map = joined(d->y, run), pixels = run * at->across, most = d->m->kernels.k_blocks;
    int64_t left = (int64_t)at->left * RN_LANES, row = (int64_t)at->across * RN_LANES;
    float *sums = room, *line = sums + most * pixels * RN_LANES, *planes = line + (int64_t)(at->high - at->low) * RN_LANES;
    int32_t tap[MAX_TAPS];
    rn_conv_row call = {.tap = tap, .taps = c->kernel_h * c->kernel_w, .blocks = c->blocks_in, .inner = RN_LANES, .x = planes, .x_pixel = RN_LANES,
        .x_block = planes_size(c, rows, at->across), .y_k = to_map ? d->y->block : pixels * (int64_t)RN_LANES, .y_pixel = RN_LANES, .pixels = pixels};
    call.w_k = (int64_t)c->blocks_in * call.taps * RN_LANES * RN_LANES;
    set_taps(d, rows, at->across, tap);
    if (d->reading) {
        call.x_block = d->x->map->block;
        call.x_pixel = (int64_t)c->stride_w * RN_LANES;
    } else
        lay_planes(d, n, first, rows, at, planes, line);
    for (; kb < kb_last; kb += call.k_blocks) {
        call.k_blocks = rn_min(most, kb_last - kb);
        call.w = d->packed + kb * call.w_k;
        call.ahead = c->blocks_out * call.w_k >= FROM_MEMORY ? call.w + call.k_blocks * call.w_k : NULL; /* the next block's; behind the last, nothing that matters */
        for (int p = first; p < first + rows; p += run, call.ahead = NULL) {
            if (d->reading)
                call.x = rn_map_at(d->x->map, n, 0, p * c->stride_h - c->pad) + left * c->stride_w - c->pad * RN_LANES;
            call.y = to_map ? rn_map_at(d->y, n, kb, p) + left : sums;
            d->m->kernels.conv_row(&call);
            for (int i = 0; i < call.k_blocks * run; i++)
                rn_direct_end_row(d->m, d->end, d->y, n, kb + i / run, p + i % run, at->left, at->across, call.y + i / run * call.y_k + i % run * row);
        }
    }
}

static void band_task(void *context, int task, int thread)
{
    const direct *d = context;
    int group = task % d->groups, band = task / d->groups % d->bands, n = task / d->groups / d->bands, first = band * d->band;
    for (int left = 0; left < d->y->w; left += d->across) {
        columns at = columns_at(d, left);
        band_part(d, n, first, rn_min(d->band, d->y->h - first), &at, group * d->group, rn_min((group + 1) * d->group, d->c->blocks_out),
                  d->m->scratch + thread * d->m->scratch_size);
    }
}

/* --- the plain image -------------------------------------------------------------------------------------------------------------- */

static void plain_task(void *context, int task, int thread)
{
    const direct *d = context;
    const rn_conv *c = d->c;
    const rn_map *x = d->x->map;
    int group = task % d->groups, band = task / d->groups % d->bands, n = task / d->groups / d->bands;
    int first = band * d->band, last = rn_min(first + d->band, d->y->h), kb = group * d->group;
    rn_conv_row call = {.tap = d->tap, .taps = d->taps, .blocks = 1, .inner = 1, .x_pixel = c->stride_w, .w_k = (int64_t)d->taps * RN_LANES, .y_k = d->y->block,
        .y_pixel = RN_LANES, .pixels = d->y->w, .k_blocks = rn_min(d->group, c->blocks_out - kb)};
    (void)thread;
    call.w = d->packed + kb * call.w_k;
    for (int p = first; p < last; p++) {
        call.x = x->data + n * x->sample + (int64_t)(p * c->stride_h - c->pad) * x->row - c->pad;
        call.y = rn_map_at(d->y, n, kb, p);
        d->m->kernels.conv_row(&call);
        for (int k = 0; k < call.k_blocks; k++)
            rn_direct_end_row(d->m, d->end, d->y, n, kb + k, p, 0, d->y->w, call.y + k * call.y_k);
    }
}

static void run_plain(direct *d, int n)
{
    const rn_conv *c = d->c;
    for (int channel = 0; channel < c->channels_in; channel++)
        for (int r = 0; r < c->kernel_h; r++)
            for (int s = 0; s < c->kernel_w; s++)
                d->tap[d->taps++] = (int32_t)(channel * d->x->map->block + r * d->x->map->row + s);
    d->group = d->m->kernels.k_blocks;
    d->groups = rn_divide_up(c->blocks_out, d->group);
    int64_t flops = 2 * (int64_t)d->y->w * d->group * RN_LANES * d->taps;
    d->band = flops >= TASK_FLOPS ? 1 : rn_min(d->y->h, (int)(TASK_FLOPS / flops) + 1);
    d->bands = rn_divide_up(d->y->h, d->band);
    rn_pool_run(d->m->pool, d->groups * n * d->bands, plain_task, d);
}

/* --- cutting into tasks -------------------------------------------------------------------------------------------------------------- */

static void cut_bands(direct *d)
{
    const rn_conv *c = d->c;
    int w = d->y->w, h = d->y->h, rows = w > PIXELS ? 1 : rn_min(h, rn_divide_up(PIXELS, w));
    d->across = rn_divide_up(w, rn_divide_up(w, COLUMNS));
    while (rows > 1 && planes_size(c, rows, w) * c->blocks_in > PLANES)
        rows--;
    d->band = rn_divide_up(h, rn_divide_up(h, rows)); /* bands of equal size */
    d->bands = rn_divide_up(h, d->band);
}

static int one_by_one(const rn_conv *c)
{
    return c->kernel_h == 1 && c->kernel_w == 1 && c->stride_h == 1 && c->stride_w == 1 && c->pad == 0;
}

void rn_direct_forward(const rn_machine *m, const rn_conv *c, int n, const rn_view *x, const rn_map *y, const float *packed, const rn_epilogue *end)
{
    direct d = {.m = m, .c = c, .x = x, .y = y, .packed = packed, .end = end};
    if (c->plain) {
        run_plain(&d, n);
        return;
    }
    int threads = rn_pool_threads(m->pool), pairs = rn_divide_up(c->blocks_out, m->kernels.k_blocks);
    cut_bands(&d);
    if (!x->scale && x->map->halo >= c->pad)
        d.reading = one_by_one(c) && joined(x->map, d.band) ? ROWS_JOINED : y->w >= WIDE ? ROW_BY_ROW : PLANES_LAID;
    d.groups = threads == 1 ? 1 : rn_min(pairs, rn_divide_up(TASKS_A_THREAD * threads, n * d.bands));
    d.group = rn_divide_up(pairs, d.groups) * m->kernels.k_blocks;
    d.groups = rn_divide_up(c->blocks_out, d.group);
    rn_pool_run(m->pool, n * d.bands * d.groups, band_task, &d);
}

int64_t rn_direct_scratch(const rn_conv *c, const rn_map *x, const rn_map *y)
{
    direct d = {.c = c, .y = y};
    int k_blocks = 2; /* the most that any table of kernels likes */
    if (c->plain || c->linear)
        return 0;
    cut_bands(&d);
    int line = rn_min((d.across - 1) * c->stride_w + c->kernel_w, x->w);
    return ((int64_t)k_blocks * d.band * d.across + line) * RN_LANES + planes_size(c, d.band, d.across) * c->blocks_in;
}
