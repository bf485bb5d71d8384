/* The family table: a name and a handful of numbers become a graph. */
#ifndef RN_MODELS_ARCH_H
#define RN_MODELS_ARCH_H

#include <stddef.h>
#include "graph/graph.h"

/* In the order of the texts in rn_arch_fields. */
typedef enum rn_block { RN_BLOCK_BASIC, RN_BLOCK_BOTTLENECK } rn_block; /* 3x3, 3x3; 1x1, 3x3, 1x1 with four times the channels */
typedef enum rn_stem {
    RN_STEM_3X3,   /* stride 1 */
    RN_STEM_7X7,   /* stride 2, max pool 3x3 stride 2 behind it, as behind the next two */
    RN_STEM_DEEP,  /* 3x3 stride 2 to w/2, 3x3 to w/2, 3x3 to w (ResNet-C and -D, He et al. 2019) */
    RN_STEM_TIERED /* the same with 3w/8, w/2, w (timm's ResNet-T) */
} rn_stem;
typedef enum rn_stem_pool {
    RN_STEM_POOL_SAME,
    RN_STEM_POOL_END,
    RN_STEM_POOL_NONE
} rn_stem_pool; /* padded on all sides; below and right; no pool */
typedef enum rn_shortcut {
    RN_SHORTCUT_A,   /* zero padding, zeros after the channels */
    RN_SHORTCUT_A2,  /* half of the zeros before them, half after */
    RN_SHORTCUT_B,   /* 1x1 convolution where stride or channels change */
    RN_SHORTCUT_C,   /* 1x1 convolution everywhere */
    RN_SHORTCUT_NONE /* a plain net: nothing is added */
} rn_shortcut;
typedef enum rn_stride_at { RN_STRIDE_AT_3X3, RN_STRIDE_AT_1X1 } rn_stride_at; /* where a bottleneck has its stride: "v1.5", and "v1" */
typedef enum rn_pooling { RN_POOLING_AVERAGE, RN_POOLING_TSTP } rn_pooling;    /* adaptive average; mean and deviation over time */

#define RN_ARCH_BLOCKS_MOST 1000 /* of all stages together */

typedef struct rn_arch {
    char name[24]; /* of the row */
    rn_block block;
    int stages, blocks[4];   /* 1 to 4 stages, and the blocks of each */
    int preact;              /* BN, ReLU, convolution (He et al. 2016); `bn` before the pool */
    int width;               /* channels of stage 1 before expansion; doubles with each stage */
    int stem_width;          /* channels that leave the stem; 0: width */
    int groups, group_width; /* of the 3x3; a bottleneck's inner channels are (stage width * group_width / 64) * groups */
    int se;                  /* squeeze and excitation: the block's channels over this are squeezed to; 0: none */
    rn_stem stem;
    rn_stem_pool stem_pool; /* of stems other than 3x3 */
    rn_shortcut shortcut;
    int shortcut_pool; /* average pool 2x2 stride 2 before a 1x1 of stride 1 (ResNet-D) */
    rn_stride_at stride_at;
    rn_pooling pooling;
    int pool_h, pool_w; /* of the average pool */
    int pool_rows;      /* of the map before the statistics pool, which the layer behind it is made for */
    double pool_eps;    /* added to the variance of the statistics pool */
    int embedding;      /* 0: the logits come straight from `fc`, and what a pool of one bin gives is the embedding */
    int embedding2;     /* ReLU, BN without weights and a second layer of the same size behind `fc` */
    int classes;
    int in_channels;
    double bn_eps;
} rn_arch;

/* The members by the keys that resnet.config and the options use; an option is its key with '-' for '_'. */
typedef enum rn_arch_kind {
    RN_ARCH_INT,
    RN_ARCH_REAL,   /* from low to high */
    RN_ARCH_FLAG,   /* 0 or 1 */
    RN_ARCH_CHOICE, /* an enum, by the texts in choices */
    RN_ARCH_BLOCKS, /* "3,4,6,3": stages and blocks */
    RN_ARCH_POOL    /* "4x1" or "tstp": pooling, pool_h, pool_w */
} rn_arch_kind;
typedef struct rn_arch_field {
    const char *key;
    rn_arch_kind kind;
    size_t offset;
    double low, high;
    const char *choices; /* "A|A2|B|C|none", in the order of the enum */
} rn_arch_field;
const rn_arch_field *rn_arch_fields(int *count);

/* Rows of the map before the pool for an input of `height` rows: what pool_rows must be. */
int rn_arch_rows(const rn_arch *arch, int height);

/* "--stem-width" of "stem_width". */
void rn_arch_option(const char *key, char out[32]);
/* Names the network by the row that is most like it: the same blocks first, then most other members. */
void rn_arch_nearest(rn_arch *arch);

/* The defaults of a name. RN_ERR_ARG, listing the names, if there is none. */
int rn_arch_default(rn_arch *arch, const char *name, rn_error *err);
int rn_arch_count(void);
const char *rn_arch_name(int index);
const char *rn_arch_use(int index); /* what the row is for: "spectrograms" ... rows of one use stand together */

/* Checks the numbers (each names its option: "--width 0: ...") and builds the graph. Parameter names: conv1 bn1 layerS.B.convK
 * layerS.B.bnK layerS.B.shortcut.0 layerS.B.shortcut.1 fc linear; without embedding the last layer is `fc`. */
int rn_arch_graph(const rn_arch *arch, rn_graph **graph, rn_error *err);

typedef enum rn_init { RN_INIT_PYTORCH, RN_INIT_HE } rn_init; /* modules' defaults; fan-out normal (He et al. 2015) for convolutions */

/* Initial weights from the counter-based generator: the same seed gives the same bits everywhere. zero_last: the last BN of
 * each block starts with weight 0. stats become mean 0, variance 1. */
void rn_arch_init(const rn_graph *graph, rn_init init, int zero_last, uint64_t seed, float *weights, float *stats);

#endif
