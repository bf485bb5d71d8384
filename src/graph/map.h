/* A feature map in the engine's one layout: NCHW16c with a halo of zeros around every channel block's image. */
#ifndef RN_GRAPH_MAP_H
#define RN_GRAPH_MAP_H

#include <stdint.h>
#include <string.h>

#include "kernels/kernels.h"

typedef struct rn_map {
    float *data;                /* pixel (0, 0) of block 0 of sample 0, inside the halo */
    int channels, blocks;       /* blocks of 16, the last one filled with zero lanes */
    int h, w, halo;
    int64_t row, block, sample; /* strides in floats */
} rn_map;

static inline int rn_min(int a, int b)
{
    return a < b ? a : b;
}

static inline int rn_divide_up(int64_t a, int64_t b)
{
    return (int)((a + b - 1) / b);
}

static inline int rn_blocks(int channels)
{
    return (channels + RN_LANES - 1) / RN_LANES;
}

static inline rn_map rn_map_shape(int channels, int h, int w, int halo)
{
    rn_map m = {.channels = channels, .blocks = rn_blocks(channels), .h = h, .w = w, .halo = halo};
    m.row = (int64_t)(w + 2 * halo) * RN_LANES;
    m.block = m.row * (h + 2 * halo);
    m.sample = m.block * m.blocks;
    return m;
}

static inline float *rn_map_at(const rn_map *m, int n, int block, int row)
{
    return m->data + n * m->sample + block * m->block + row * m->row;
}

/* From the start of the map's memory to pixel (0, 0). */
static inline int64_t rn_map_origin(const rn_map *m)
{
    return m->halo * (m->row + RN_LANES);
}

/* Writes the zeros beside row `row`, and the rows above and below where it is the first or the last. */
static inline void rn_map_zero_halo(const rn_map *m, int n, int block, int row)
{
    int64_t side = (int64_t)m->halo * RN_LANES;
    if (!m->halo)
        return;
    float *p = rn_map_at(m, n, block, row);
    memset(p - side, 0, (size_t)side * sizeof *p);
    memset(p + (int64_t)m->w * RN_LANES, 0, (size_t)side * sizeof *p);
    if (row == 0)
        memset(p - side - m->halo * m->row, 0, (size_t)(m->halo * m->row) * sizeof *p);
    if (row == m->h - 1)
        memset(p - side + m->row, 0, (size_t)(m->halo * m->row) * sizeof *p);
}

#endif
