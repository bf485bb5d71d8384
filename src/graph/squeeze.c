/* Scaled blocks (squeeze and excitation, Hu et al. 2018; stochastic depth, Huang et al. 2016), normalisation that stands alone, and the
 * statistics pool. All of it from the row kernels, or in double where there is one pixel. */
#include "graph/layers.h"

#include <math.h>

#include "base/maths.h"

static const float zeros[RN_LANES];

/* --- normalisation as a step --------------------------------------------------------------------------------------------------- */

typedef struct affine {
    const rn_machine *m;
    const rn_view *x;
    const rn_map *y;
} affine;

static void affine_task(void *context, int task, int thread)
{
    const affine *a = context;
    const rn_view *x = a->x;
    int block = task % a->y->blocks, n = task / a->y->blocks;
    (void)thread;
    for (int h = 0; h < a->y->h; h++) {
        a->m->kernels.affine_row(&(rn_affine_row){.y = rn_map_at(x->map, n, block, h),
                                                  .scale = x->scale + block * RN_LANES,
                                                  .shift = x->shift + block * RN_LANES,
                                                  .dst = rn_map_at(a->y, n, block, h),
                                                  .pixels = a->y->w,
                                                  .relu = x->relu});
        rn_map_zero_halo(a->y, n, block, h);
    }
}

void rn_layer_affine(const rn_machine *m, int n, const rn_view *x, const rn_map *y)
{
    affine a = {m, x, y};
    rn_pool_run(m->pool, n * y->blocks, affine_task, &a);
}

/* --- one pixel ------------------------------------------------------------------------------------------------------------------- */

void rn_layer_sigmoid(int n, const rn_map *x, const rn_map *y)
{
    for (int i = 0; i < n; i++)
        for (int c = 0; c < y->blocks * RN_LANES; c++)
            y->data[i * y->sample + c] = c < y->channels ? (float)rn_sigmoid((double)x->data[i * x->sample + c]) : 0;
}

void rn_layer_sigmoid_back(int n, const rn_map *y, const rn_map *dy, const rn_map *dx)
{
    for (int i = 0; i < n; i++)
        for (int c = 0; c < y->blocks * RN_LANES; c++) {
            double s = (double)y->data[i * y->sample + c];
            dx->data[i * dx->sample + c] = (float)((double)dy->data[i * dy->sample + c] * (s * (1 - s)));
        }
}

void rn_layer_relu(int n, const rn_map *x, const rn_map *y)
{
    for (int i = 0; i < n; i++)
        for (int c = 0; c < y->blocks * RN_LANES; c++) {
            float v = x->data[i * x->sample + c];
            y->data[i * y->sample + c] = 0 > v ? 0 : v;
        }
}

void rn_layer_relu_back(int n, const rn_map *y, const rn_map *dy, const rn_map *dx)
{
    for (int i = 0; i < n; i++)
        for (int c = 0; c < y->blocks * RN_LANES; c++)
            dx->data[i * dx->sample + c] = y->data[i * y->sample + c] > 0 ? dy->data[i * dy->sample + c] : 0;
}

/* --- the end of a scaled block --------------------------------------------------------------------------------------------------- */

static void factors_of(const rn_merge *e, int n, int block, float factors[RN_LANES])
{
    for (int k = 0; k < RN_LANES; k++) {
        float gate = e->gate ? e->gate->data[n * e->gate->sample + block * RN_LANES + k] : 1;
        factors[k] = e->kept ? gate * e->kept[n] : gate;
    }
}

/* A row of a view: where it lies, or activated into `line`. */
static const float *seen_row(const rn_machine *m, const rn_view *x, int n, int block, int row, float *line)
{
    const float *at = rn_map_at(x->map, n, block, row);
    if (!x->scale)
        return at;
    m->kernels.affine_row(&(rn_affine_row){.y = at,
                                           .scale = x->scale + block * RN_LANES,
                                           .shift = x->shift + block * RN_LANES,
                                           .dst = line,
                                           .pixels = x->map->w,
                                           .relu = x->relu});
    return line;
}

typedef struct merging {
    const rn_machine *m;
    const rn_merge *e;
    const rn_map *y;
} merging;

static void merge_row(const merging *g, int n, int block, int row, const float *factors, float *line)
{
    const rn_merge *e = g->e;
    const rn_map *s = e->shortcut->map;
    int there = block < s->blocks;
    const float *v = seen_row(g->m, e->branch, n, block, row, line),
                *shortcut = there ? rn_map_at(s, n, block, row * e->stride) : NULL;
    float *dst = rn_map_at(g->y, n, block, row);
    int64_t step = (int64_t)e->stride * RN_LANES;
    if (e->relu) {
        rn_merge_row call = {.y = v,
                             .scale = factors,
                             .shift = zeros,
                             .shortcut = shortcut,
                             .dst = dst,
                             .shortcut_pixel = step,
                             .pixels = g->y->w,
                             .shortcut_relu = e->shortcut->relu};
        if (there && e->shortcut->scale) {
            call.shortcut_scale = e->shortcut->scale + block * RN_LANES;
            call.shortcut_shift = e->shortcut->shift + block * RN_LANES;
        }
        g->m->kernels.merge_row(&call);
        return;
    }
    if (e->gate || e->kept) {
        g->m->kernels.affine_row(&(rn_affine_row){.y = v, .scale = factors, .shift = zeros, .dst = dst, .pixels = g->y->w});
        v = dst;
    }
    g->m->kernels.add_row(
        &(rn_add_row){.a = v, .b = shortcut, .dst = dst, .a_pixel = RN_LANES, .b_pixel = step, .dst_pixel = RN_LANES, .pixels = g->y->w});
}

static void merge_task(void *context, int task, int thread)
{
    const merging *g = context;
    int block = task % g->y->blocks, n = task / g->y->blocks;
    float factors[RN_LANES];
    factors_of(g->e, n, block, factors);
    for (int row = 0; row < g->y->h; row++) {
        merge_row(g, n, block, row, factors, g->m->scratch + thread * g->m->scratch_size);
        rn_map_zero_halo(g->y, n, block, row);
    }
}

void rn_layer_merge(const rn_machine *m, int n, const rn_merge *end, const rn_map *y)
{
    merging g = {m, end, y};
    rn_pool_run(m->pool, n * y->blocks, merge_task, &g);
}

typedef struct gating {
    const rn_machine *m;
    const rn_merge *e;
    const rn_map *dz, *dgate;
} gating;

static void gate_task(void *context, int task, int thread)
{
    const gating *g = context;
    const rn_map *dz = g->dz;
    int block = task % dz->blocks, n = task / dz->blocks;
    double total[RN_LANES] = {0};
    float sums[2 * RN_LANES];
    for (int row = 0; row < dz->h; row++) {
        const float *v = seen_row(g->m, g->e->branch, n, block, row, g->m->scratch + thread * g->m->scratch_size);
        g->m->kernels.mask_row(
            &(rn_mask_row){.dz = rn_map_at(dz, n, block, row), .y = {v}, .mean = {zeros}, .sums = {sums}, .pixels = dz->w});
        for (int k = 0; k < RN_LANES; k++)
            total[k] += (double)sums[RN_LANES + k];
    }
    for (int k = 0; k < RN_LANES; k++)
        g->dgate->data[n * g->dgate->sample + block * RN_LANES + k] = (float)(g->e->kept ? total[k] * (double)g->e->kept[n] : total[k]);
}

void rn_layer_gate_back(const rn_machine *m, int n, const rn_merge *end, const rn_map *dz, const rn_map *dgate)
{
    gating g = {m, end, dz, dgate};
    rn_pool_run(m->pool, n * dz->blocks, gate_task, &g);
}

typedef struct branching {
    const rn_machine *m;
    const rn_merge *e;
    const rn_map *dz, *dsqueezed, *dx;
    rn_row_fn row;
    const void *context;
} branching;

static void branch_task(void *context, int task, int thread)
{
    const branching *b = context;
    const rn_map *dx = b->dx;
    int block = task % dx->blocks, n = task / dx->blocks;
    float factors[RN_LANES], share[RN_LANES] = {0}, pixels = (float)dx->h * (float)dx->w;
    (void)thread;
    factors_of(b->e, n, block, factors);
    for (int k = 0; b->dsqueezed && k < RN_LANES; k++)
        share[k] = b->dsqueezed->data[n * b->dsqueezed->sample + block * RN_LANES + k] / pixels;
    for (int row = 0; row < dx->h; row++) {
        float *out = rn_map_at(dx, n, block, row);
        b->m->kernels.affine_row(
            &(rn_affine_row){.y = rn_map_at(b->dz, n, block, row), .scale = factors, .shift = share, .dst = out, .pixels = dx->w});
        b->row(b->context, n, block, row, out);
    }
}

void rn_layer_branch_back(const rn_machine *m, int n, const rn_merge *end, const rn_map *dz, const rn_map *dsqueezed, const rn_map *dx,
                          rn_row_fn row, const void *context)
{
    branching b = {m, end, dz, dsqueezed, dx, row, context};
    rn_pool_run(m->pool, n * dx->blocks, branch_task, &b);
}

/* --- statistics over time -------------------------------------------------------------------------------------------------------- */

typedef struct statistics {
    const rn_machine *m;
    double eps;
    const rn_view *x;
    const rn_map *y, *dy, *dx;
    rn_row_fn row;
    const void *context;
} statistics;

/* Mean and deviation of one lane of a row. */
static void moments(const float *x, int columns, double eps, double *mean, double *deviation)
{
    double sum = 0, square = 0;
    for (int w = 0; w < columns; w++)
        sum += (double)x[(int64_t)w * RN_LANES];
    *mean = sum / columns;
    for (int w = 0; w < columns; w++) {
        double d = (double)x[(int64_t)w * RN_LANES] - *mean;
        square = fma(d, d, square);
    }
    *deviation = sqrt(square / (columns - 1) + eps);
}

static float *lane(const rn_map *m, int n, int channel, int row)
{
    return rn_map_at(m, n, channel / RN_LANES, row) + channel % RN_LANES;
}

static void tstp_task(void *context, int task, int thread)
{
    const statistics *s = context;
    const rn_map *x = s->x->map, *y = s->y;
    int block = task % x->blocks, n = task / x->blocks;
    for (int h = 0; h < y->h; h++) {
        const float *row = seen_row(s->m, s->x, n, block, h, s->m->scratch + thread * s->m->scratch_size);
        for (int c = block * RN_LANES; c < rn_min((block + 1) * RN_LANES, x->channels); c++) {
            double mean, deviation;
            moments(row + c % RN_LANES, x->w, s->eps, &mean, &deviation);
            *lane(y, n, c, h) = (float)mean;
            *lane(y, n, x->channels + c, h) = (float)deviation;
        }
        for (int c = y->channels; block == 0 && c < y->blocks * RN_LANES; c++)
            *lane(y, n, c, h) = 0;
    }
}

void rn_layer_tstp(const rn_machine *m, double eps, int n, const rn_view *x, const rn_map *y)
{
    statistics s = {.m = m, .eps = eps, .x = x, .y = y};
    rn_pool_run(m->pool, n * x->map->blocks, tstp_task, &s);
}

static void tstpback_task(void *context, int task, int thread)
{
    const statistics *s = context;
    const rn_map *x = s->x->map, *dx = s->dx;
    int block = task % x->blocks, n = task / x->blocks;
    for (int h = 0; h < x->h; h++) {
        const float *row = seen_row(s->m, s->x, n, block, h, s->m->scratch + thread * s->m->scratch_size);
        float *out = rn_map_at(dx, n, block, h);
        memset(out, 0, (size_t)dx->w * RN_LANES * sizeof *out);
        for (int c = block * RN_LANES; c < rn_min((block + 1) * RN_LANES, x->channels); c++) {
            double mean, deviation;
            moments(row + c % RN_LANES, x->w, s->eps, &mean, &deviation);
            double share = (double)*lane(s->dy, n, c, h) / x->w,
                   slope = deviation == 0 ? 0 : (double)*lane(s->dy, n, x->channels + c, h) / ((x->w - 1) * deviation);
            for (int w = 0; w < x->w; w++) /* without eps and without variance the deviation has no slope */
                out[(int64_t)w * RN_LANES + c % RN_LANES] =
                    (float)fma((double)row[(int64_t)w * RN_LANES + c % RN_LANES] - mean, slope, share);
        }
        s->row(s->context, n, block, h, out);
    }
}

void rn_layer_tstp_back(const rn_machine *m, double eps, int n, const rn_view *x, const rn_map *dy, const rn_map *dx, rn_row_fn row,
                        const void *context)
{
    statistics s = {.m = m, .eps = eps, .x = x, .dy = dy, .dx = dx, .row = row, .context = context};
    rn_pool_run(m->pool, n * x->map->blocks, tstpback_task, &s);
}
