/* Backward-weights by Winograd F(3x3, 4x4): dw = R [sum over tiles of (I x I^T) . (G dy G^T)] R^T.
 *
 * The tiles of the ghost batch come in (sample, row, column) order. Rounds of ROUND tiles are transformed, x and dy, into shared
 * memory, all threads together; then each position is a product of its own that goes on adding to its sums: [16 c][16 k] of one position, pair by
 * pair, in registers over the whole round. Every CHUNK tiles the sums are set aside and start again at +0; chunks are added in
 * order, and one inverse transform ends the ghost batch. */
#include "graph/winograd.h"

enum { ROUND = 256, CHUNK = 1024, PIECE = 32, MATRIX = RN_LANES * RN_LANES };

typedef struct weights {
    const rn_machine *m;
    const rn_conv *c;
    const rn_view *x, *dy;
    float *dw;
    rn_tiles tiles;
    int first, count;          /* tiles of this round */
    int pieces;                /* of a round, for the transforms */
    int begins, ends, chunks;  /* the round begins or ends a chunk; chunks before this one */
    float *v, *d;              /* [position][block][tile][16], transformed x and dy */
    int64_t v_step, d_step;
    float *sums, *kept;        /* [position][c-block][k-block][16 c][16 k]: of this chunk, of those before */
} weights;

static int64_t sums_size(const rn_conv *c)
{
    return (int64_t)RN_WINOGRAD_POSITIONS * c->blocks_in * c->blocks_out * MATRIX;
}

static int64_t total_tiles(const rn_map *dy, int n)
{
    rn_tiles t = rn_tiles_of(dy);
    return (int64_t)n * t.across * t.down;
}

int64_t rn_winograd_room(const rn_conv *c, const rn_map *dy, int n)
{
    int64_t total = total_tiles(dy, n);
    int round = total < ROUND ? (int)total : ROUND;
    return RN_WINOGRAD_POSITIONS * (rn_winograd_step(c->blocks_in, round) + rn_winograd_step(c->blocks_out, round)) + sums_size(c) * (total > CHUNK ? 2 : 1);
}

/* dy of a run of tiles of one row, transformed; zero where a tile overhangs. */
static void gather_gradient(const weights *j, int n, int kb, int ty, int tx, int tiles, float *strip, float *d)
{
    const rn_map *dy = j->dy->map;
    int rows = rn_min(4, dy->h - 4 * ty), inside = rows == 4 ? rn_min(tiles, dy->w / 4 - tx) : 0;
    inside = inside < 0 ? 0 : inside;
    rn_winograd_gradient call = {.y = rn_map_at(dy, n, kb, 4 * ty) + (int64_t)4 * tx * RN_LANES, .d = d, .y_row = dy->row, .step = j->d_step, .tiles = inside};
    if (inside)
        j->m->kernels.winograd_gradient(&call);
    if (inside == tiles)
        return;
    int columns = 4 * (tiles - inside), left = 4 * (tx + inside), pixels = rn_min(columns, dy->w - left);
    memset(strip, 0, (size_t)4 * columns * RN_LANES * sizeof *strip);
    for (int r = 0; r < rows; r++)
        memcpy(strip + (int64_t)r * columns * RN_LANES, rn_map_at(dy, n, kb, 4 * ty + r) + (int64_t)left * RN_LANES, (size_t)pixels * RN_LANES * sizeof *strip);
    call = (rn_winograd_gradient){.y = strip, .d = d + (int64_t)inside * RN_LANES, .y_row = (int64_t)columns * RN_LANES, .step = j->d_step, .tiles = tiles - inside};
    j->m->kernels.winograd_gradient(&call);
}

/* One block of x or dy, PIECE tiles of the round. */
static void transform_task(void *context, int task, int thread)
{
    const weights *j = context;
    int piece = task % j->pieces, block = task / j->pieces, of_x = block < j->c->blocks_in, across = j->tiles.across;
    int begin = piece * PIECE, end = rn_min(begin + PIECE, j->count);
    float *strip = j->m->scratch + thread * j->m->scratch_size;
    for (int at = begin, tiles; at < end; at += tiles) {
        int tile = j->first + at, row = tile / across, tx = tile % across, n = row / j->tiles.down, ty = row % j->tiles.down;
        tiles = rn_min(end - at, across - tx);
        if (of_x) {
            rn_tile_range range = {.n = n, .block = block, .ty = ty, .tx = tx, .down = 1, .across = tiles};
            rn_winograd_gather(j->m, j->x, &range, strip, j->v + ((int64_t)block * j->count + at) * RN_LANES, j->v_step);
        } else {
            int kb = block - j->c->blocks_in;
            gather_gradient(j, n, kb, ty, tx, tiles, strip, j->d + ((int64_t)kb * j->count + at) * RN_LANES);
        }
    }
}

/* One position and output block: all input blocks. */
static void product_task(void *context, int task, int thread)
{
    const weights *j = context;
    int p = task / j->c->blocks_out, kb = task % j->c->blocks_out;
    rn_segment all = {0, 0, j->count};
    rn_wgrad_tile call = {.segments = &all, .segments_count = 1, .rows = RN_LANES, .x_pixel = RN_LANES, .dy_pixel = RN_LANES};
    (void)thread;
    call.dy = j->d + p * j->d_step + (int64_t)kb * j->count * RN_LANES;
    for (int cb = 0; cb < j->c->blocks_in; cb++) {
        int64_t at = (((int64_t)p * j->c->blocks_in + cb) * j->c->blocks_out + kb) * MATRIX;
        call.x = j->v + p * j->v_step + (int64_t)cb * j->count * RN_LANES;
        call.acc = j->sums + at;
        if (j->begins)
            memset(call.acc, 0, MATRIX * sizeof *call.acc);
        j->m->kernels.wgrad_tile(&call);
        for (int i = 0; j->ends && j->kept && i < MATRIX; i++)
            j->kept[at + i] = j->chunks ? j->kept[at + i] + j->sums[at + i] : j->sums[at + i];
    }
}

/* A pair of blocks: from the sums of 36 positions to dw in PyTorch's order. */
static void inverse_task(void *context, int pair, int thread)
{
    const weights *j = context;
    const rn_conv *conv = j->c;
    int kb = pair / conv->blocks_in, cb = pair % conv->blocks_in;
    const float *sums = (j->kept ? j->kept : j->sums) + ((int64_t)cb * conv->blocks_out + kb) * MATRIX;
    (void)thread;
    j->m->kernels.winograd_weight_gradient(&(rn_winograd_weight_gradient){.u = sums, .step = (int64_t)conv->blocks_in * conv->blocks_out * MATRIX,
        .dw = j->dw + ((int64_t)kb * RN_LANES * conv->channels_in + cb * RN_LANES) * 9, .dw_next = 9, .dw_lane = (int64_t)conv->channels_in * 9,
        .count = rn_min(RN_LANES, conv->channels_in - cb * RN_LANES), .lanes = rn_min(RN_LANES, conv->channels_out - kb * RN_LANES)});
}

void rn_winograd_weights(const rn_machine *m, const rn_conv *c, rn_part part, const rn_view *x, const rn_map *dy, float *room, float *dw)
{
    rn_view gradient = {.map = dy};
    weights j = {.m = m, .c = c, .x = x, .dy = &gradient, .dw = dw, .tiles = rn_tiles_of(dy)};
    int total = (int)total_tiles(dy, part.count), round = rn_min(ROUND, total), last = (int)total_tiles(dy, part.last), end;
    j.v = room;
    j.d = j.v + RN_WINOGRAD_POSITIONS * rn_winograd_step(c->blocks_in, round);
    j.sums = j.d + RN_WINOGRAD_POSITIONS * rn_winograd_step(c->blocks_out, round);
    j.kept = total > CHUNK ? j.sums + sums_size(c) : NULL;
    for (j.first = (int)total_tiles(dy, part.first); j.first < last; j.first = end) {
        end = rn_min(last, (j.first / CHUNK + 1) * CHUNK);
        end = rn_min(end, j.first + ROUND);
        j.count = end - j.first;
        j.pieces = (j.count + PIECE - 1) / PIECE;
        j.begins = j.first % CHUNK == 0;
        j.ends = end == total || end % CHUNK == 0;
        j.chunks = j.first / CHUNK;
        j.v_step = rn_winograd_step(c->blocks_in, j.count);
        j.d_step = rn_winograd_step(c->blocks_out, j.count);
        rn_pool_run(m->pool, (c->blocks_in + c->blocks_out) * j.pieces, transform_task, &j);
        rn_pool_run(m->pool, RN_WINOGRAD_POSITIONS * c->blocks_out, product_task, &j);
    }
    if (last == total)
        rn_pool_run(m->pool, c->blocks_in * c->blocks_out, inverse_task, &j);
}
