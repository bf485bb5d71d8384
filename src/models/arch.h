/* The family table: a name and a handful of numbers become a graph. */
#ifndef RN_MODELS_ARCH_H
#define RN_MODELS_ARCH_H

#include "graph/graph.h"

typedef enum rn_stem { RN_STEM_3X3, RN_STEM_7X7 } rn_stem; /* 3x3 stride 1; 7x7 stride 2 with max pool 3x3 stride 2 */

typedef struct rn_arch {
    char name[24];     /* "resnet18" ... "resnet152", "resnet20" ... "resnet110" */
    int width;         /* 64; 16 for the CIFAR rows */
    int in_channels;   /* 1; 3 for the CIFAR rows */
    int classes;       /* 9; 10 for the CIFAR rows */
    int embedding;     /* 256; 0 for the CIFAR rows: the logits come straight from `fc` */
    char shortcut;     /* 'B' 1x1 convolution with BN (default); 'A' zero padding (default of the CIFAR rows) */
    int pool_h, pool_w; /* 4x1; 1x1 for the CIFAR rows */
    rn_stem stem;
} rn_arch;

/* The defaults of a name. RN_ERR_ARG, listing the names, if there is none. */
int rn_arch_default(rn_arch *arch, const char *name, rn_error *err);
int rn_arch_count(void);
const char *rn_arch_name(int index);

/* Checks the numbers (each names its option: "--width 0: ...") and builds the graph. Parameter names: conv1 bn1 layerS.B.convK
 * layerS.B.bnK layerS.B.shortcut.0 layerS.B.shortcut.1 fc linear; without embedding the last layer is `fc`. */
int rn_arch_graph(const rn_arch *arch, rn_graph **graph, rn_error *err);

typedef enum rn_init { RN_INIT_PYTORCH, RN_INIT_HE } rn_init; /* modules' defaults; fan-out normal (He et al. 2015) for convolutions */

/* Initial weights from the counter-based generator: the same seed gives the same bits everywhere. zero_last: the last BN of
 * each block starts with weight 0. stats become mean 0, variance 1. */
void rn_arch_init(const rn_graph *graph, rn_init init, int zero_last, uint64_t seed, float *weights, float *stats);

#endif
