/* Gradients of ghost batches added as a fixed tree: adjacent pairs, level by level, an odd one moves up.
 *
 * Works like counting in binary: a gradient that arrives is of level 0; as long as the one before it on the stack has its level, the two
 * are added (earlier + later) and rise by one. At the end the rest is added from the top of the stack down, which is what moving odd ones
 * up comes to. While ghost batch i of G writes, popcount(i) sums wait: floor(log2 G) + 1 buffers are enough. */
#include "train/state.h"

#include <stdlib.h>

void rn_ghost_cut(int n, int ghosts, int i, int *first, int *count)
{
    int size = n / ghosts, larger = n % ghosts;
    *first = i * size + (i < larger ? i : larger);
    *count = size + (i < larger);
}

int rn_tree_open(rn_tree *tree, int64_t count, int ghosts, rn_error *err)
{
    int buffers = 1;
    for (int g = ghosts; g > 1; g /= 2)
        buffers++;
    if (buffers > RN_GHOST_LEVELS)
        return rn_error_set(err, RN_ERR_ARG, "%d ghost batches in a batch: at most %d are possible; raise --ghost-batch", ghosts,
                            1 << (RN_GHOST_LEVELS - 1));
    tree->count = count;
    tree->height = 0;
    for (tree->buffers_count = 0; tree->buffers_count < buffers; tree->buffers_count++) {
        /* calloc: parameters without a gradient stay 0 */
        tree->buffers[tree->buffers_count] = calloc((size_t)count + 1, sizeof(float));
        if (!tree->buffers[tree->buffers_count])
            return rn_error_memory(err, "gradients", (unsigned long long)count * sizeof(float));
    }
    return 0;
}

void rn_tree_close(rn_tree *tree)
{
    for (int i = 0; i < tree->buffers_count; i++)
        free(tree->buffers[i]);
    tree->buffers_count = tree->height = 0;
}

float *rn_tree_next(rn_tree *tree)
{
    return tree->buffers[tree->height];
}

/* The two on top become one. */
static void join(rn_tree *tree, rn_pool *pool)
{
    int top = --tree->height;
    rn_add(tree->buffers[top - 1], tree->buffers[top], tree->count, pool);
    tree->levels[top - 1]++;
}

void rn_tree_push(rn_tree *tree, rn_pool *pool)
{
    tree->levels[tree->height++] = 0;
    while (tree->height > 1 && tree->levels[tree->height - 1] == tree->levels[tree->height - 2])
        join(tree, pool);
}

float *rn_tree_sum(rn_tree *tree, rn_pool *pool)
{
    while (tree->height > 1)
        join(tree, pool);
    tree->height = 0;
    return tree->buffers[0];
}
