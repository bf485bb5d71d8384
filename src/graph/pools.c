/* Pools, and the zero-padding shortcut where it is a step of its own. A task is one block of channels of one sample unless said otherwise. */
#include "graph/layers.h"

typedef struct pooling {
    const rn_machine *m;
    const rn_node *node;
    const rn_view *x;
    const rn_map *y, *dy, *dx;
    rn_row_fn row;
    const void *context;
} pooling;

int64_t rn_layer_pool_scratch(const rn_map *x)
{
    return (int64_t)x->h * x->w * RN_LANES;
}

/* The rows of one block as the reader sees them: in place, or activated into the thread's scratch. */
static const float *seen(const pooling *p, int n, int block, int thread, int64_t *row)
{
    const rn_map *x = p->x->map;
    *row = x->row;
    if (!p->x->scale)
        return rn_map_at(x, n, block, 0);
    float *out = p->m->scratch + thread * p->m->scratch_size;
    *row = (int64_t)x->w * RN_LANES;
    for (int h = 0; h < x->h; h++)
        p->m->kernels.affine_row(&(rn_affine_row){.y = rn_map_at(x, n, block, h),
                                                  .scale = p->x->scale + block * RN_LANES,
                                                  .shift = p->x->shift + block * RN_LANES,
                                                  .dst = out + h * *row,
                                                  .pixels = x->w,
                                                  .relu = p->x->relu});
    return out;
}

/* Input rows of output row `p` that lie inside: [first, first + rows). */
static int window(const rn_node *node, int h, int p, int *first)
{
    int from = p * node->stride - node->pad, to = from + node->kernel_h;
    *first = from < 0 ? 0 : from;
    return (to > h ? h : to) - *first;
}

static void maxpool_task(void *context, int task, int thread)
{
    const pooling *p = context;
    const rn_map *x = p->x->map, *y = p->y;
    int block = task % y->blocks, n = task / y->blocks, first;
    int64_t row;
    const float *in = seen(p, n, block, thread, &row);
    for (int h = 0; h < y->h; h++) {
        int rows = window(p->node, x->h, h, &first);
        p->m->kernels.maxpool_row(&(rn_maxpool_row){.x = in + first * row,
                                                    .y = rn_map_at(y, n, block, h),
                                                    .x_row = row,
                                                    .rows = rows,
                                                    .kernel = p->node->kernel_w,
                                                    .stride = p->node->stride,
                                                    .pad = p->node->pad,
                                                    .w = x->w,
                                                    .pixels = y->w});
        rn_map_zero_halo(y, n, block, h);
    }
}

void rn_layer_maxpool(const rn_machine *m, const rn_node *node, int n, const rn_view *x, const rn_map *y)
{
    pooling p = {.m = m, .node = node, .x = x, .y = y};
    rn_pool_run(m->pool, n * y->blocks, maxpool_task, &p);
}

static void maxback_task(void *context, int task, int thread)
{
    const pooling *p = context;
    const rn_map *x = p->x->map, *dy = p->dy, *dx = p->dx;
    int block = task % dy->blocks, n = task / dy->blocks, first;
    int64_t row;
    const float *in = seen(p, n, block, thread, &row);
    for (int h = 0; h < dx->h; h++)
        memset(rn_map_at(dx, n, block, h), 0, (size_t)dx->w * RN_LANES * sizeof(float));
    for (int h = 0; h < dy->h; h++) {
        int rows = window(p->node, x->h, h, &first);
        p->m->kernels.maxgrad_row(&(rn_maxgrad_row){.x = in + first * row,
                                                    .dy = rn_map_at(dy, n, block, h),
                                                    .dx = rn_map_at(dx, n, block, first),
                                                    .x_row = row,
                                                    .dx_row = dx->row,
                                                    .rows = rows,
                                                    .kernel = p->node->kernel_w,
                                                    .stride = p->node->stride,
                                                    .pad = p->node->pad,
                                                    .w = x->w,
                                                    .pixels = dy->w});
    }
    for (int h = 0; h < dx->h; h++)
        p->row(p->context, n, block, h, rn_map_at(dx, n, block, h));
}

void rn_layer_maxpool_back(const rn_machine *m, const rn_node *node, int n, const rn_view *x, const rn_map *dy, const rn_map *dx,
                           rn_row_fn row, const void *context)
{
    pooling p = {.m = m, .node = node, .x = x, .dy = dy, .dx = dx, .row = row, .context = context};
    rn_pool_run(m->pool, n * dy->blocks, maxback_task, &p);
}

/* PyTorch's bins: from floor(i * in / out) to ceil((i + 1) * in / out). */
static int bin_first(int i, int in, int out)
{
    return (int)((int64_t)i * in / out);
}

static int bin_last(int i, int in, int out)
{
    return (int)(((int64_t)(i + 1) * in + out - 1) / out);
}

static void avgpool_task(void *context, int task, int thread)
{
    const pooling *p = context;
    const rn_map *x = p->x->map, *y = p->y;
    int block = task % y->blocks, n = task / y->blocks;
    int64_t row;
    const float *in = seen(p, n, block, thread, &row);
    for (int i = 0; i < y->h; i++)
        for (int j = 0; j < y->w; j++) {
            int top = bin_first(i, x->h, y->h), bottom = bin_last(i, x->h, y->h), left = bin_first(j, x->w, y->w),
                right = bin_last(j, x->w, y->w);
            float sum[RN_LANES] = {0}, count = (float)((bottom - top) * (right - left));
            for (int h = top; h < bottom; h++)
                for (int w = left; w < right; w++)
                    for (int k = 0; k < RN_LANES; k++)
                        sum[k] += in[h * row + (int64_t)w * RN_LANES + k];
            float *out = rn_map_at(y, n, block, i) + (int64_t)j * RN_LANES;
            for (int k = 0; k < RN_LANES; k++)
                out[k] = sum[k] / count;
        }
}

void rn_layer_avgpool(const rn_machine *m, int n, const rn_view *x, const rn_map *y)
{
    pooling p = {.m = m, .x = x, .y = y};
    rn_pool_run(m->pool, n * y->blocks, avgpool_task, &p);
}

static void avgback_task(void *context, int task, int thread)
{
    const pooling *p = context;
    const rn_map *dy = p->dy, *dx = p->dx;
    int block = task % dx->blocks, n = task / dx->blocks;
    (void)thread;
    for (int h = 0; h < dx->h; h++)
        memset(rn_map_at(dx, n, block, h), 0, (size_t)dx->w * RN_LANES * sizeof(float));
    for (int i = 0; i < dy->h; i++)
        for (int j = 0; j < dy->w; j++) {
            int top = bin_first(i, dx->h, dy->h), bottom = bin_last(i, dx->h, dy->h), left = bin_first(j, dx->w, dy->w),
                right = bin_last(j, dx->w, dy->w);
            const float *in = rn_map_at(dy, n, block, i) + (int64_t)j * RN_LANES;
            float share[RN_LANES], count = (float)((bottom - top) * (right - left));
            for (int k = 0; k < RN_LANES; k++)
                share[k] = in[k] / count;
            for (int h = top; h < bottom; h++) {
                float *out = rn_map_at(dx, n, block, h);
                for (int w = left; w < right; w++)
                    for (int k = 0; k < RN_LANES; k++)
                        out[(int64_t)w * RN_LANES + k] += share[k];
            }
        }
    for (int h = 0; h < dx->h; h++)
        p->row(p->context, n, block, h, rn_map_at(dx, n, block, h));
}

void rn_layer_avgpool_back(const rn_machine *m, int n, const rn_map *dy, const rn_map *dx, rn_row_fn row, const void *context)
{
    pooling p = {.m = m, .dy = dy, .dx = dx, .row = row, .context = context};
    rn_pool_run(m->pool, n * dx->blocks, avgback_task, &p);
}

/* --- average pool 2x2 -------------------------------------------------------------------------------------------------------- */

static int within(int first, int size)
{
    return first + 2 <= size ? 2 : 1;
}

static void meanpool_task(void *context, int task, int thread)
{
    const pooling *p = context;
    const rn_map *x = p->x->map, *y = p->y;
    int block = task % y->blocks, n = task / y->blocks;
    int64_t row;
    const float *in = seen(p, n, block, thread, &row);
    for (int i = 0; i < y->h; i++) {
        float *out = rn_map_at(y, n, block, i);
        int rows = within(2 * i, x->h);
        for (int j = 0; j < y->w; j++, out += RN_LANES) {
            const float *window = in + 2 * i * row + (int64_t)2 * j * RN_LANES;
            int columns = within(2 * j, x->w);
            float sum[RN_LANES] = {0}, count = (float)(rows * columns);
            for (int h = 0; h < rows; h++)
                for (int w = 0; w < columns; w++)
                    for (int k = 0; k < RN_LANES; k++)
                        sum[k] += window[h * row + (int64_t)w * RN_LANES + k];
            for (int k = 0; k < RN_LANES; k++)
                out[k] = sum[k] / count;
        }
        rn_map_zero_halo(y, n, block, i);
    }
}

void rn_layer_meanpool(const rn_machine *m, int n, const rn_view *x, const rn_map *y)
{
    pooling p = {.m = m, .x = x, .y = y};
    rn_pool_run(m->pool, n * y->blocks, meanpool_task, &p);
}

static void meanback_task(void *context, int task, int thread)
{
    const pooling *p = context;
    const rn_map *dy = p->dy, *dx = p->dx;
    int block = task % dx->blocks, n = task / dx->blocks;
    (void)thread;
    for (int h = 0; h < dx->h; h++) {
        float *out = rn_map_at(dx, n, block, h);
        int rows = within(h - h % 2, dx->h);
        for (int w = 0; w < dx->w; w++, out += RN_LANES) {
            const float *in = rn_map_at(dy, n, block, h / 2) + (int64_t)(w / 2) * RN_LANES;
            float count = (float)(rows * within(w - w % 2, dx->w));
            for (int k = 0; k < RN_LANES; k++)
                out[k] = in[k] / count;
        }
        p->row(p->context, n, block, h, rn_map_at(dx, n, block, h));
    }
}

void rn_layer_meanpool_back(const rn_machine *m, int n, const rn_map *dy, const rn_map *dx, rn_row_fn row, const void *context)
{
    pooling p = {.m = m, .dy = dy, .dx = dx, .row = row, .context = context};
    rn_pool_run(m->pool, n * dx->blocks, meanback_task, &p);
}

/* --- zero padding ------------------------------------------------------------------------------------------------------------ */

/* One output row of one sample: channels move by `before`, across blocks. */
static void pad_task(void *context, int task, int thread)
{
    const pooling *p = context;
    const rn_map *x = p->x->map, *y = p->y;
    int h = task % y->h, n = task / y->h, stride = p->node->stride;
    float *line = p->m->scratch + thread * p->m->scratch_size;
    for (int block = 0; block < y->blocks; block++) {
        memset(rn_map_at(y, n, block, h), 0, (size_t)y->w * RN_LANES * sizeof *line);
        rn_map_zero_halo(y, n, block, h);
    }
    for (int block = 0; block < x->blocks; block++) {
        const float *in = rn_map_at(x, n, block, h * stride);
        if (p->x->scale) {
            p->m->kernels.affine_row(&(rn_affine_row){.y = in,
                                                      .scale = p->x->scale + block * RN_LANES,
                                                      .shift = p->x->shift + block * RN_LANES,
                                                      .dst = line,
                                                      .pixels = x->w,
                                                      .relu = p->x->relu});
            in = line;
        }
        for (int k = 0; k < rn_min(RN_LANES, x->channels - block * RN_LANES); k++) {
            int channel = block * RN_LANES + k + p->node->before;
            float *out = rn_map_at(y, n, channel / RN_LANES, h) + channel % RN_LANES;
            for (int w = 0; w < y->w; w++)
                out[(int64_t)w * RN_LANES] = in[(int64_t)w * stride * RN_LANES + k];
        }
    }
}

void rn_layer_pad(const rn_machine *m, const rn_node *node, int n, const rn_view *x, const rn_map *y)
{
    pooling p = {.m = m, .node = node, .x = x, .y = y};
    rn_pool_run(m->pool, n * y->h, pad_task, &p);
}

static void padback_task(void *context, int task, int thread)
{
    const pooling *p = context;
    const rn_map *dy = p->dy, *dx = p->dx;
    int block = task % dx->blocks, n = task / dx->blocks, stride = p->node->stride;
    (void)thread;
    for (int h = 0; h < dx->h; h++) {
        float *out = rn_map_at(dx, n, block, h);
        memset(out, 0, (size_t)dx->w * RN_LANES * sizeof *out);
        for (int k = 0; h % stride == 0 && k < rn_min(RN_LANES, dx->channels - block * RN_LANES); k++) {
            int channel = block * RN_LANES + k + p->node->before;
            const float *in = rn_map_at(dy, n, channel / RN_LANES, h / stride) + channel % RN_LANES;
            for (int w = 0; w < dy->w; w++)
                out[(int64_t)w * stride * RN_LANES + k] = in[(int64_t)w * RN_LANES];
        }
        p->row(p->context, n, block, h, out);
    }
}

void rn_layer_pad_back(const rn_machine *m, const rn_node *node, int n, const rn_map *dy, const rn_map *dx, rn_row_fn row,
                       const void *context)
{
    pooling p = {.m = m, .node = node, .dy = dy, .dx = dx, .row = row, .context = context};
    rn_pool_run(m->pool, n * dx->blocks, padback_task, &p);
}
