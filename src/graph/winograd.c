/* Winograd F(4x4, 3x3), forward and backward-data: tasks of tile rows.
 *
 * A task takes some rows of tiles and some blocks of output channels. For a block of tiles at a time it transforms the input of all
 * channels into V (in L2), and then for every one or two output blocks makes 36 small products, one a position, and the inverse
 * transform of what they gave, which finishes four rows of pixels. Every output is one chain over the channels, whatever the cuts.
 *
 * Where the weights are large against the tiles, tasks share out the output blocks: each reads its own part of the weights once,
 * and the transform of the input is done again by each. */
#include "graph/winograd.h"

enum {
    TILES = 56,              /* of a block of tiles: V of 64 channels is then 516 KB */
    TASKS_A_THREAD = 2,
    FROM_MEMORY = 1 << 20    /* floats of packed weights from which the next ones are asked for ahead: they come from memory or L3 */
};

typedef struct winograd {
    const rn_machine *m;
    const rn_conv *c;
    const rn_view *x;
    const rn_map *y;
    const float *packed;
    const rn_epilogue *end;
    rn_tiles tiles;
    int in_blocks, out_blocks;
    int add;                 /* to what is in y */
    int first, rows;         /* rows of tiles of all samples: the first one here, how many */
    int task_rows, groups, group; /* rows of tiles, and output blocks, of a task */
    int across, down;        /* tiles of a block: columns, rows */
} winograd;

/* --- the transformed input ------------------------------------------------------------------------------------------------- */

int64_t rn_winograd_strip(int down, int across)
{
    return (int64_t)(4 * down + 2) * (4 * across + 2) * RN_LANES;
}

/* Rows [top, top + rows) and columns [left, left + columns) of the map, through the view, zero outside. */
static void cut_strip(const rn_machine *m, const rn_view *x, const rn_tile_range *at, int tx, int rows, int columns, float *strip)
{
    const rn_map *map = x->map;
    int top = 4 * at->ty - 1, left = 4 * tx - 1, first = left < 0 ? 0 : left, last = rn_min(left + columns, map->w);
    for (int r = 0; r < rows; r++, strip += (int64_t)columns * RN_LANES) {
        int h = top + r;
        if (h < 0 || h >= map->h) {
            memset(strip, 0, (size_t)columns * RN_LANES * sizeof *strip);
            continue;
        }
        float *dst = strip + (int64_t)(first - left) * RN_LANES, *end = dst + (int64_t)(last - first) * RN_LANES;
        const float *src = rn_map_at(map, at->n, at->block, h) + (int64_t)first * RN_LANES;
        memset(strip, 0, (size_t)(dst - strip) * sizeof *strip);
        memset(end, 0, (size_t)(strip + (int64_t)columns * RN_LANES - end) * sizeof *strip);
        if (x->scale)
            m->kernels.affine_row(&(rn_affine_row){.y = src, .dst = dst, .scale = x->scale + at->block * RN_LANES, .shift = x->shift + at->block * RN_LANES,
                .relu = x->relu, .pixels = last - first});
        else
            memcpy(dst, src, (size_t)(end - dst) * sizeof *dst);
    }
}

void rn_winograd_gather(const rn_machine *m, const rn_view *x, const rn_tile_range *at, float *strip, float *v, int64_t step)
{
    const rn_map *map = x->map;
    int inside = 0; /* tiles of a row that read the map where it lies */
    if (!x->scale && map->halo >= 1 && 4 * (at->ty + at->down) <= map->h)
        inside = rn_min(at->across, map->w / 4 - at->tx);
    inside = inside < 0 ? 0 : inside;
    rn_winograd_input call = {.step = step, .x_row = map->row, .tiles = inside};
    for (int r = 0; inside && r < at->down; r++) {
        call.x = rn_map_at(map, at->n, at->block, 4 * (at->ty + r) - 1) + (4 * at->tx - 1) * RN_LANES;
        call.v = v + (int64_t)r * at->across * RN_LANES;
        m->kernels.winograd_input(&call);
    }
    if (inside == at->across)
        return;
    int columns = 4 * (at->across - inside) + 2;
    cut_strip(m, x, at, at->tx + inside, 4 * at->down + 2, columns, strip);
    call.x_row = (int64_t)columns * RN_LANES;
    call.tiles = at->across - inside;
    for (int r = 0; r < at->down; r++) {
        call.x = strip + 4 * r * call.x_row;
        call.v = v + ((int64_t)r * at->across + inside) * RN_LANES;
        m->kernels.winograd_input(&call);
    }
}

/* --- a task ---------------------------------------------------------------------------------------------------------------- */

/* Where a thread's scratch keeps what. */
typedef struct rooms {
    float *v, *product, *strip;
    int64_t v_step, product_step;
} rooms;

static rooms rooms_of(const winograd *w, int thread, int tiles)
{
    rooms r = {.v = w->m->scratch + thread * w->m->scratch_size};
    int k_blocks = w->m->kernels.k_blocks;
    r.v_step = rn_winograd_step(w->in_blocks, tiles);
    r.product_step = rn_winograd_step(k_blocks, tiles);
    r.product = r.v + RN_WINOGRAD_POSITIONS * r.v_step;
    r.strip = r.product + RN_WINOGRAD_POSITIONS * r.product_step;
    return r;
}

static void gather_rows(const winograd *w, const rooms *r, int first, int rows, int tx, int across)
{
    for (int done = 0, down; done < rows; done += down) {
        int row = w->first + first + done, ty = row % w->tiles.down;
        down = rn_min(rows - done, w->tiles.down - ty);
        for (int b = 0; b < w->in_blocks; b++) {
            rn_tile_range at = {.n = row / w->tiles.down, .block = b, .ty = ty, .tx = tx, .down = down, .across = across};
            rn_winograd_gather(w->m, w->x, &at, r->strip, r->v + ((int64_t)b * rows + done) * across * RN_LANES, r->v_step);
        }
    }
}

static void multiply(const winograd *w, const rooms *r, int kb, int count, int tiles)
{
    static const int32_t here = 0;
    int64_t matrix = (int64_t)w->in_blocks * RN_LANES * RN_LANES;
    rn_conv_row call = {.tap = &here, .taps = 1, .blocks = w->in_blocks, .inner = RN_LANES, .x_block = (int64_t)tiles * RN_LANES, .x_pixel = RN_LANES,
        .w_k = RN_WINOGRAD_POSITIONS * matrix, .y_k = (int64_t)tiles * RN_LANES, .y_pixel = RN_LANES, .k_blocks = count, .pixels = tiles};
    int far = w->out_blocks * RN_WINOGRAD_POSITIONS * matrix >= FROM_MEMORY;
    for (int p = 0; p < RN_WINOGRAD_POSITIONS; p++) {
        call.x = r->v + p * r->v_step;
        call.w = w->packed + ((int64_t)kb * RN_WINOGRAD_POSITIONS + p) * matrix;
        call.y = r->product + p * r->product_step;
        call.ahead = far ? call.w + matrix : NULL; /* behind the last position: the next block of outputs */
        w->m->kernels.conv_row(&call);
    }
}

/* Four rows of pixels of one output block from one row of tiles; `m` is its first tile. */
static void finish_rows(const winograd *w, const rooms *r, const float *m, int row, int kb, int tx, int across)
{
    const rn_epilogue *end = w->end;
    row += w->first;
    int n = row / w->tiles.down, h = row % w->tiles.down * 4, last = tx + across == w->tiles.across;
    rn_winograd_output call = {.m = m, .step = r->product_step, .rows = rn_min(4, w->y->h - h), .pixels = rn_min(4 * across, w->y->w - 4 * tx)};
    float *base = rn_map_at(w->y, n, kb, h);
    call.y_row = w->y->row;
    call.y = base + (int64_t)4 * tx * RN_LANES;
    if (end->bias) {
        call.bias = end->bias + kb * RN_LANES;
        call.relu = end->relu;
        if (end->residual && kb < end->residual->blocks) {
            call.residual_row = end->residual->row * end->residual_stride;
            call.residual_pixel = (int64_t)end->residual_stride * RN_LANES;
            call.residual = rn_map_at(end->residual, n, kb, h * end->residual_stride) + 4 * tx * call.residual_pixel;
        }
    }
    if (w->add) {
        call.residual = call.y;
        call.residual_row = call.y_row;
        call.residual_pixel = RN_LANES;
    }
    w->m->kernels.winograd_output(&call);
    for (int i = 0; last && end->row && i < call.rows; i++)
        end->row(end->context, n, kb, h + i, base + i * call.y_row);
}

static void tile_task(void *context, int task, int thread)
{
    const winograd *w = context;
    int group = task % w->groups, first = task / w->groups * w->task_rows, last = rn_min(first + w->task_rows, w->rows);
    int kb_last = rn_min((group + 1) * w->group, w->out_blocks), most = w->m->kernels.k_blocks;
    for (int row = first; row < last; row += w->down)
        for (int tx = 0; tx < w->tiles.across; tx += w->across) {
            int down = rn_min(w->down, last - row), across = rn_min(w->across, w->tiles.across - tx), tiles = down * across;
            rooms r = rooms_of(w, thread, tiles);
            gather_rows(w, &r, row, down, tx, across);
            for (int kb = group * w->group, count; kb < kb_last; kb += count) {
                count = rn_min(most, kb_last - kb);
                multiply(w, &r, kb, count, tiles);
                for (int k = 0; k < count; k++)
                    for (int i = 0; i < down; i++)
                        finish_rows(w, &r, r.product + ((int64_t)k * tiles + i * across) * RN_LANES, row + i, kb + k, tx, across);
            }
        }
}

/* --- cutting into tasks -------------------------------------------------------------------------------------------------------- */

/* Tiles of a block: whole rows as far as TILES allows; a longer row is cut, and its pixels lie in y until it is whole. */
static void cut_blocks(winograd *w)
{
    w->across = w->tiles.across <= TILES ? w->tiles.across : rn_divide_up(w->tiles.across, rn_divide_up(w->tiles.across, TILES));
    w->down = w->across >= TILES ? 1 : TILES / w->across;
}

static void run(winograd *w, int first, int last)
{
    int threads = rn_pool_threads(w->m->pool), most = w->m->kernels.k_blocks, pairs = rn_divide_up(w->out_blocks, most);
    w->tiles = rn_tiles_of(w->y);
    w->first = first * w->tiles.down;
    w->rows = (last - first) * w->tiles.down;
    cut_blocks(w);
    w->down = rn_divide_up(w->rows, rn_divide_up(w->rows, w->down)); /* blocks of equal size */
    w->task_rows = w->down;
    int row_tasks = rn_divide_up(w->rows, w->task_rows);
    w->groups = threads == 1 || row_tasks >= TASKS_A_THREAD * threads ? 1 : rn_min(rn_divide_up(TASKS_A_THREAD * threads, row_tasks), pairs);
    w->group = rn_divide_up(pairs, w->groups) * most;
    w->groups = rn_divide_up(w->out_blocks, w->group);
    rn_pool_run(w->m->pool, row_tasks * w->groups, tile_task, w);
}

void rn_winograd_forward(const rn_machine *m, const rn_conv *c, int n, const rn_view *x, const rn_map *y, const float *packed, const rn_epilogue *end)
{
    winograd w = {.m = m, .c = c, .x = x, .y = y, .packed = packed, .end = end, .in_blocks = c->blocks_in, .out_blocks = c->blocks_out};
    run(&w, 0, n);
}

void rn_winograd_backward(const rn_machine *m, const rn_conv *c, rn_part part, const rn_map *dy, const rn_map *dx, int add, const float *packed, rn_row_fn row,
                          const void *context)
{
    rn_view view = {.map = dy};
    rn_epilogue end = {.row = row, .context = context};
    winograd w = {.m = m, .c = c, .x = &view, .y = dx, .packed = packed, .end = &end, .in_blocks = c->blocks_out, .out_blocks = c->blocks_in,
        .add = add};
    run(&w, part.first, part.last);
}

static int64_t scratch(const rn_map *y, int in_blocks)
{
    winograd w = {.y = y, .tiles = rn_tiles_of(y)};
    cut_blocks(&w);
    int tiles = w.across * w.down, k_blocks = 2; /* the most that any table of kernels likes */
    return RN_WINOGRAD_POSITIONS * (rn_winograd_step(in_blocks, tiles) + rn_winograd_step(k_blocks, tiles)) + rn_winograd_strip(w.down, w.across);
}

int64_t rn_winograd_scratch(const rn_conv *c, const rn_map *x, const rn_map *y)
{
    int64_t forward = scratch(y, c->blocks_in), backward = scratch(x, c->blocks_out);
    return forward > backward ? forward : backward;
}
