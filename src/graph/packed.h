/* Inference's steps and their folded, packed weights, shared by engines of any input size. */
#ifndef RN_GRAPH_PACKED_H
#define RN_GRAPH_PACKED_H

#include "graph/arena.h"
#include "graph/infer.h"
#include "graph/layers.h"

typedef enum rn_step_kind { RN_STEP_CONV, RN_STEP_MAXPOOL, RN_STEP_MEANPOOL, RN_STEP_AVGPOOL, RN_STEP_PAD, RN_STEP_LINEAR, RN_STEP_BN, RN_STEP_SIGMOID, RN_STEP_MERGE, RN_STEP_TSTP } rn_step_kind;

typedef struct rn_step {
    rn_step_kind kind;
    int node;                /* the convolution, pool or linear layer; the addition of a merge */
    int bn;                  /* that is folded; -1: none */
    int in, out, shortcut;   /* values: indices into maps; shortcut -1 where there is none */
    int gate;                /* of a merge */
    int shortcut_stride, relu;
    rn_conv conv;            /* without algorithms: those depend on the size */
    int64_t bias;            /* offset into the biases; of RN_STEP_BN the shift, with the scale behind it */
} rn_step;

/* Fixed by the graph, like the weights that they point into. */
const rn_step *rn_packed_steps(const rn_packed *packed, int *count);
const float *rn_packed_bias(const rn_packed *packed, const rn_step *step);

/* Weights of step `step` for the algorithm c->forward, packed on first use, under a lock; they stay until the packed weights are closed. */
int rn_packed_weights(const rn_packed *packed, int step, const rn_conv *c, const rn_machine *m, const float **weights, rn_error *err);

/* New values for the same graph; pointers that rn_packed_weights gave stay and hold the new ones. */
void rn_packed_load(rn_packed *packed, const float *weights, const float *stats, const rn_machine *m);

int64_t rn_packed_size(const rn_packed *packed); /* floats */

#endif
