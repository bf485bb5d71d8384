/* Placement of buffers by size and lifetime, and the memory under them. */
#include "graph/arena.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { ALIGN_FLOATS = 16, HUGE_PAGE = 2 << 20 };

static void sort_by_size(const rn_buffer *b, int *order, int count)
{
    for (int i = 0; i < count; i++) { /* insertion: lists are short, and equal sizes keep their order */
        int j = i;
        for (; j > 0 && b[order[j - 1]].size < b[i].size; j--)
            order[j] = order[j - 1];
        order[j] = i;
    }
}

int64_t rn_arena_place(rn_buffer *b, int count, int *order)
{
    int64_t total = 0;
    sort_by_size(b, order, count);
    for (int i = 0; i < count; i++) {
        rn_buffer *me = &b[order[i]];
        int64_t size = (me->size + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS, at = 0;
        for (int moved = 1; moved;) { /* climb over every neighbour in time until nothing overlaps */
            moved = 0;
            for (int j = 0; j < i; j++) {
                const rn_buffer *other = &b[order[j]];
                int64_t end = other->offset + (other->size + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
                if (other->first > me->last || other->last < me->first || at >= end || at + size <= other->offset)
                    continue;
                at = end;
                moved = 1;
            }
        }
        me->offset = at;
        if (at + size > total)
            total = at + size;
    }
    return total;
}

int rn_arena_reserve(rn_arena *arena, int64_t size, const char *what, rn_error *err)
{
    if (size <= arena->size)
        return 0;
    if (size > INT64_MAX / (int64_t)sizeof(float) - HUGE_PAGE)
        return rn_error_memory(err, what, (unsigned long long)INT64_MAX);
    size_t bytes = (size_t)size * sizeof(float);
    size_t unit = bytes >= 4u * HUGE_PAGE ? HUGE_PAGE : 64;
    bytes = (bytes + unit - 1) / unit * unit;
    rn_arena_free(arena);
    arena->memory = aligned_alloc(unit, bytes);
    if (!arena->memory)
        return rn_error_memory(err, what, bytes);
#if defined(MADV_HUGEPAGE)
    if (unit == HUGE_PAGE)
        madvise(arena->memory, bytes, MADV_HUGEPAGE);
#endif
    arena->size = (int64_t)(bytes / sizeof(float));
    return 0;
}

void rn_arena_free(rn_arena *arena)
{
    free(arena->memory);
    *arena = (rn_arena){0};
}
