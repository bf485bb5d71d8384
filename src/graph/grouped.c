/* Grouped convolutions as slices of dense ones: weights are spread out with zeros, maps are looked at from a block on. */
#include "graph/grouped.h"

/* Channels of a slice: whole groups in whole blocks. */
static int slice_channels(const rn_conv *c)
{
    int group = c->channels_in / c->groups, a = group, b = RN_LANES;
    while (b) {
        int rest = a % b;
        a = b;
        b = rest;
    }
    return rn_min(c->channels_in, group / a * RN_LANES);
}

int rn_grouped_slices(const rn_conv *c)
{
    return rn_divide_up(c->channels_in, slice_channels(c));
}

rn_conv rn_grouped_slice(const rn_conv *c, int i)
{
    int whole = slice_channels(c);
    rn_conv slice = *c;
    slice.groups = 1;
    slice.channels_in = slice.channels_out = rn_min(whole, c->channels_in - i * whole);
    slice.blocks_in = slice.blocks_out = rn_blocks(slice.channels_in);
    return slice;
}

static rn_map map_slice(const rn_conv *c, const rn_map *map, int i)
{
    rn_map slice = *map;
    rn_conv s = rn_grouped_slice(c, i);
    slice.channels = s.channels_in;
    slice.blocks = s.blocks_in;
    slice.data = map->data ? map->data + i * (int64_t)(slice_channels(c) / RN_LANES) * map->block : NULL;
    return slice;
}

/* --- weights ------------------------------------------------------------------------------------------------------------------ */

static int64_t dense_size(const rn_conv *c)
{
    int64_t channels = slice_channels(c);
    return (channels * channels * c->kernel_h * c->kernel_w + RN_LANES - 1) / RN_LANES * RN_LANES;
}

typedef struct spreading {
    const rn_conv *c;
    const float *w; /* of the layer, [K][C / groups][R][S] */
    float *dense;   /* of the slice, [K][C][R][S] */
    float *dw;
    int slice;
} spreading;

/* Where the weights of output k of a slice's own group begin among the dense ones. */
static int64_t own_group(const rn_conv *c, int channels, int k)
{
    int group = c->channels_in / c->groups, taps = c->kernel_h * c->kernel_w;
    return ((int64_t)k * channels + k / group * group) * taps;
}

static void spread_task(void *context, int k, int thread)
{
    const spreading *s = context;
    int channels = rn_grouped_slice(s->c, s->slice).channels_in;
    int64_t row = (int64_t)s->c->channels_in / s->c->groups * s->c->kernel_h * s->c->kernel_w,
            all = (int64_t)channels * s->c->kernel_h * s->c->kernel_w;
    (void)thread;
    memset(s->dense + k * all, 0, (size_t)all * sizeof(float));
    memcpy(s->dense + own_group(s->c, channels, k), s->w + ((int64_t)s->slice * slice_channels(s->c) + k) * row,
           (size_t)row * sizeof(float));
}

static void gather_task(void *context, int k, int thread)
{
    const spreading *s = context;
    int channels = rn_grouped_slice(s->c, s->slice).channels_in;
    int64_t row = (int64_t)s->c->channels_in / s->c->groups * s->c->kernel_h * s->c->kernel_w;
    (void)thread;
    memcpy(s->dw + ((int64_t)s->slice * slice_channels(s->c) + k) * row, s->dense + own_group(s->c, channels, k),
           (size_t)row * sizeof(float));
}

int64_t rn_grouped_forward_size(const rn_conv *c)
{
    rn_conv first = rn_grouped_slice(c, 0);
    return rn_grouped_slices(c) * rn_conv_forward_size(&first) + dense_size(c);
}

int64_t rn_grouped_backward_size(const rn_conv *c)
{
    rn_conv first = rn_grouped_slice(c, 0);
    return rn_grouped_slices(c) * rn_conv_backward_size(&first) + dense_size(c);
}

void rn_grouped_pack_forward(const rn_machine *m, const rn_conv *c, const float *w, const double *scale, float *packed)
{
    rn_conv first = rn_grouped_slice(c, 0);
    int64_t size = rn_conv_forward_size(&first);
    spreading s = {.c = c, .w = w, .dense = packed + rn_grouped_slices(c) * size};
    for (int i = 0; i < rn_grouped_slices(c); i++) {
        rn_conv slice = rn_grouped_slice(c, i);
        s.slice = i;
        rn_pool_run(m->pool, slice.channels_out, spread_task, &s);
        rn_conv_pack_forward(m, &slice, s.dense, scale ? scale + (int64_t)i * slice_channels(c) : NULL, packed + i * size);
    }
}

void rn_grouped_pack_backward(const rn_machine *m, const rn_conv *c, const float *w, float *packed)
{
    rn_conv first = rn_grouped_slice(c, 0);
    int64_t size = rn_conv_backward_size(&first);
    spreading s = {.c = c, .w = w, .dense = packed + rn_grouped_slices(c) * size};
    for (int i = 0; i < rn_grouped_slices(c); i++) {
        rn_conv slice = rn_grouped_slice(c, i);
        s.slice = i;
        rn_pool_run(m->pool, slice.channels_out, spread_task, &s);
        rn_conv_pack_backward(m, &slice, s.dense, packed + i * size);
    }
}

/* --- running ------------------------------------------------------------------------------------------------------------------ */

/* The caller's row function counts the blocks of the whole map. */
typedef struct moved_row {
    rn_row_fn row;
    const void *context;
    int first;
} moved_row;

static void call_moved(const void *context, int n, int block, int row, float *y)
{
    const moved_row *r = context;
    r->row(r->context, n, r->first + block, row, y);
}

void rn_grouped_forward(const rn_machine *m, const rn_conv *c, int n, const rn_view *x, const rn_map *y, const float *packed,
                        const rn_epilogue *end)
{
    rn_conv first = rn_grouped_slice(c, 0);
    int64_t size = rn_conv_forward_size(&first);
    for (int i = 0; i < rn_grouped_slices(c); i++) {
        rn_conv slice = rn_grouped_slice(c, i);
        rn_map in = map_slice(c, x->map, i), out = map_slice(c, y, i), residual;
        int64_t lanes = (int64_t)i * slice_channels(c);
        rn_view view = {
            .map = &in, .scale = x->scale ? x->scale + lanes : NULL, .shift = x->scale ? x->shift + lanes : NULL, .relu = x->relu};
        moved_row moved = {end->row, end->context, (int)(lanes / RN_LANES)};
        rn_epilogue e = *end;
        e.bias = end->bias ? end->bias + lanes : NULL;
        if (end->row) {
            e.row = call_moved;
            e.context = &moved;
        }
        if (end->residual) {
            residual = map_slice(c, end->residual, i);
            e.residual = &residual;
        }
        rn_conv_forward(m, &slice, n, &view, &out, packed + i * size, &e);
    }
}

void rn_grouped_backward(const rn_machine *m, const rn_conv *c, rn_part part, const rn_map *dy, const rn_map *dx, int add,
                         const float *packed, rn_row_fn row, const void *context)
{
    rn_conv first = rn_grouped_slice(c, 0);
    int64_t size = rn_conv_backward_size(&first);
    for (int i = 0; i < rn_grouped_slices(c); i++) {
        rn_conv slice = rn_grouped_slice(c, i);
        rn_map in = map_slice(c, dy, i), out = map_slice(c, dx, i);
        moved_row moved = {row, context, i * slice_channels(c) / RN_LANES};
        rn_conv_backward(m, &slice, part, &in, &out, add, packed + i * size, row ? call_moved : NULL, &moved);
    }
}

int64_t rn_grouped_kept(const rn_conv *c, const rn_map *dy, int n)
{
    int end = rn_grouped_slices(c) - 1;
    rn_conv first = rn_grouped_slice(c, 0), last = rn_grouped_slice(c, end);
    rn_map a = map_slice(c, dy, 0), b = map_slice(c, dy, end);
    int64_t most = rn_conv_kept(&first, &a, n), other = rn_conv_kept(&last, &b, n);
    return dense_size(c) + (most > other ? most : other);
}

void rn_grouped_weights(const rn_machine *m, const rn_conv *c, int n, const rn_view *x, const rn_map *dy, rn_segment *segments, float *kept,
                        float *dw)
{
    spreading s = {.c = c, .dense = kept, .dw = dw};
    for (int i = 0; i < rn_grouped_slices(c); i++) {
        rn_conv slice = rn_grouped_slice(c, i);
        rn_map in = map_slice(c, x->map, i), out = map_slice(c, dy, i);
        int64_t lanes = (int64_t)i * slice_channels(c);
        rn_view view = {
            .map = &in, .scale = x->scale ? x->scale + lanes : NULL, .shift = x->scale ? x->shift + lanes : NULL, .relu = x->relu};
        s.slice = i;
        rn_conv_weights(m, &slice, (rn_part){0, n, n}, &view, &out, segments, kept + dense_size(c), s.dense);
        rn_pool_run(m->pool, slice.channels_out, gather_task, &s);
    }
}
