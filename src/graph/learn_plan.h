/* The training plan: what each step reads and writes, forwards and backwards, and where in the arena that lies.
 *
 * BN and ReLU are never stored. A value that a node's readers see is a map seen through a norm (rn_learn_view): the raw convolution
 * output y, and fma(y, scale, shift) with ReLU applied on load. Only y and the blocks' outputs are kept for the way back. */
#ifndef RN_GRAPH_LEARN_PLAN_H
#define RN_GRAPH_LEARN_PLAN_H

#include "graph/arena.h"
#include "graph/layers.h"
#include "graph/learn.h"

typedef enum rn_learn_kind {
    RN_LEARN_CONV,
    RN_LEARN_MERGE,
    RN_LEARN_MAXPOOL,
    RN_LEARN_MEANPOOL,
    RN_LEARN_AVGPOOL,
    RN_LEARN_PAD,
    RN_LEARN_LINEAR,
    RN_LEARN_NORM,    /* BN of a map that no convolution made for it alone */
    RN_LEARN_RELU,    /* of one pixel */
    RN_LEARN_SIGMOID,
    RN_LEARN_SQUEEZE, /* its way back gives a scaled branch its whole gradient */
    RN_LEARN_TSTP
} rn_learn_kind;

/* Batch normalisation of one map. Arrays hold [blocks * 16] floats, zero in the lanes behind the last channel. */
typedef struct rn_norm {
    int node, map;              /* the BN node, and the node whose map it normalises */
    int frozen;                 /* running statistics, which do not move */
    int gradient;               /* gamma or beta is trained, or something below it */
    float *scale, *shift;       /* forward: fma(y, scale, shift) */
    float *center, *mean;       /* running mean as the step began; the batch's mean */
    float *a, *b, *c;           /* backward: dy = fma(a, dz, fma(b, y, c)) */
    double *inverse;            /* 1 / sqrt(var + eps), for each channel */
} rn_norm;

/* What readers of a node see. */
typedef struct rn_learn_value {
    int map;                    /* the node whose map it is; -1: none */
    int norm;                   /* index into norms; -1: the map as it lies */
    int relu;
    int gradient;               /* buffer of its gradient; -1: none wanted */
    rn_map dmap;                /* that gradient */
    int readers;                /* steps that give it a gradient and have not yet, while planning backwards */
} rn_learn_value;

/* How a step's gradient meets what is in the buffer already. */
typedef enum rn_meet { RN_MEET_WRITE, RN_MEET_ADD, RN_MEET_PADSHORT } rn_meet;

typedef struct rn_learn_step {
    rn_learn_kind kind;
    int node, in, out;          /* in and out: nodes whose values it reads and makes */
    rn_conv conv;
    int norm;                   /* of a convolution (-1: none) or a NORM */
    int written;                /* NORM: out is a map of its own, not a view */
    int shortcut, stride;       /* merge: the shortcut's value; option A's stride, else 1 */
    int branch, norm_a;         /* merge: the value of the block's function, and its norm; -1: none */
    int relu;                   /* merge: ReLU follows */
    int gate, merge;            /* merge: the value that scales the branch; -1: none. SQUEEZE: its merge */
    int drop;                   /* merge: which of the factors of rn_learn_keep; -1: none */
    int trained;                /* its own weight is */
    int wants_dx;               /* something below is trained */
    int from;                   /* convolution, NORM: the node whose gradient is dz (the view's, its own, or the merge's) */
    int dy_buffer, x_buffer;    /* dy where it is not made in place; the activated input for dw; -1: none */
    rn_map dy, x;
    rn_meet meet;
    int pad_from, pad_stride;   /* RN_MEET_PADSHORT: the merge whose gradient the zero-padding shortcut hands on */
    int again;                  /* buffer of y where the way back computes it again; -1: it is kept */
    int block_first, block_last; /* merge, or the stem's pool: the convolutions before it that are computed again, [first, last) */
    int renews;                 /* the merge or pool whose convolutions are computed again before this step's way back; -1: none */
    int last;                   /* the last that gives `in` its gradient: it masks and sums */
} rn_learn_step;

struct rn_learn {
    const rn_graph *graph;
    rn_machine machine;
    unsigned char *trained;     /* [params] */
    unsigned char *below;       /* [nodes]: a parameter at or below this node is trained */
    rn_learn_step *steps;
    int steps_count;
    rn_norm *norms;
    int norms_count;
    rn_learn_value *values;     /* [nodes] */
    rn_map *maps;               /* [nodes] */
    int *map_buffer;            /* [nodes] */
    int (*sizes)[2];
    rn_buffer *buffers;
    int buffers_count;
    int partial[2], segments, room, scratch; /* buffers that live throughout; room: packed weights and weight gradients of the layer at work */
    rn_arena arena;
    float *norm_memory;
    double *norm_doubles;
    const float *weights, *stats; /* as loaded */
    int target;                 /* the node whose value's gradient is all that is wanted; -1: parameters are trained */
    int recompute;              /* blocks keep their outputs only */
    int dropping;               /* branches of blocks are scaled by `kept` */
    int merges;
    float *kept;                /* [merges][max_n] */
    int max_n, n;               /* n of the last forward; 0: none */
    double *batch_stats;
    float *grads;
    rn_layer_hook hook;
    void *hook_context;
    int hook_data;
    float *hook_buffer;
    int64_t hook_size;
};

/* Fills steps, norms, values and buffers of an engine whose graph, trained flags and max_n are set. */
int rn_learn_plan(rn_learn *e, int h, int w, rn_error *err);

rn_view rn_learn_view(const rn_learn *e, int node);
/* 1 where a merge's branch is scaled, so that its gradient is another than the merge's. */
static inline int rn_learn_scaled(const rn_learn_step *merge)
{
    return merge->gate >= 0 || merge->drop >= 0;
}
/* The merge as rn_layer_merge takes it; views are the caller's. */
rn_merge rn_learn_merge(const rn_learn *e, const rn_learn_step *s, rn_view *branch, rn_view *shortcut);

/* Sums of a row of 16 channels behind a kernel: [n][row][block][32] of the map's shape. */
static inline float *rn_learn_partial(const rn_learn *e, int which, const rn_map *m, int n, int row, int block)
{
    return e->arena.memory + e->buffers[e->partial[which]].offset + (((int64_t)n * m->h + row) * m->blocks + block) * 2 * RN_LANES;
}

/* Samples that the way back of a convolution takes at a time. */
int rn_learn_part(const rn_learn *e, const rn_learn_step *s, int n);
/* In room: where the packed weights begin, behind the weight gradient's sums where both are needed in turn. */
int64_t rn_learn_packed_at(const rn_learn *e, const rn_learn_step *s, int n);

/* Statistics from the sums in partial[0], and scale and shift from them (or from the running ones where frozen). */
void rn_norm_forward(rn_learn *e, rn_norm *norm);
/* Gradients of gamma and beta, and a, b, c, from the sums in partial[which]. */
void rn_norm_backward(rn_learn *e, rn_norm *norm, int which);

#endif
