/* One block of memory for everything that a plan needs: buffers get offsets by lifetime, so that those which are never alive together
 * share their place. Greedy by size (Pisarchyk and Lee 2020): within a few per cent of the lower bound on residual networks. */
#ifndef RN_GRAPH_ARENA_H
#define RN_GRAPH_ARENA_H

#include <stdint.h>
#include "base/error.h"

typedef struct rn_buffer {
    int64_t size, offset; /* floats; offsets are multiples of 16 (64 bytes) */
    int first, last;      /* steps, inclusive, between which it holds something */
} rn_buffer;

typedef struct rn_arena {
    float *memory;        /* 64-byte aligned; huge pages where the system gives them */
    int64_t size;         /* floats that it can hold */
} rn_arena;

/* Sets every offset; returns the floats needed. order: scratch for `count` ints. */
int64_t rn_arena_place(rn_buffer *buffers, int count, int *order);

/* Makes room for `size` floats; keeps what is there if it is enough. The content is undefined after growing. */
int rn_arena_reserve(rn_arena *arena, int64_t size, const char *what, rn_error *err);
void rn_arena_free(rn_arena *arena);

#endif
