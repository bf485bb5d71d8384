/* SGD with Nesterov momentum and AdamW on flat arrays, as PyTorch computes them; gradient norm, clipping, averaging.
 *
 * Elementwise, in float, one rounding per operation and nothing fused, so that every compiler's vectors give the same bits:
 *
 *     g = gradient * c                               c: the clipping factor, 1 without clipping (before weight decay)
 *   SGD
 *     g = g + d * p                                  d: weight decay, for parameters that decay
 *     v = m * v + g                                  v: momentum, starts at 0
 *     p = p - lr * (nesterov ? g + m * v : v)        m = 0: p - lr * g
 *   AdamW
 *     p = p * (1 - lr d)                             the factor in double, rounded once
 *     a = a + (g - a) * (1 - beta1)
 *     b = b * beta2 + (1 - beta2) * (g * g)
 *     p = p - s * (a / (sqrt(b) / r + epsilon))      s = lr / (1 - beta1^t), r = sqrt(1 - beta2^t), in double, rounded once; t from 1
 *
 * State (v, a, b) whose magnitude is below 2^-96 is stored as 0, so that denormals never slow a step down or
 * depend on a processor's mode. */
#ifndef RN_TRAIN_OPTIMISER_H
#define RN_TRAIN_OPTIMISER_H

#include <stdint.h>
#include "base/threads.h"
#include "graph/graph.h"
#include "train/options.h"

typedef struct rn_optimiser rn_optimiser;

/* frozen: one flag per parameter in the graph's order, or NULL; frozen parameters don't change. The graph must outlive the optimiser. */
int rn_optimiser_open(rn_optimiser **optimiser, const rn_graph *graph, const rn_train_options *options, const unsigned char *frozen,
                      rn_error *err);
void rn_optimiser_close(rn_optimiser **optimiser);

/* The state as arrays of weights_count floats (SGD: 1, the momentum; AdamW: 2): for checkpoints. */
int rn_optimiser_states(const rn_optimiser *optimiser);
float *rn_optimiser_state(rn_optimiser *optimiser, int index);
const char *rn_optimiser_state_name(const rn_optimiser *optimiser, int index); /* "momentum", "first_moment", "second_moment" */

/* The norm of all gradients: tensors in byte order of their names, each cut every 65,536 floats; 16 lanes in double (lane j adds the
 * squares of elements j, j + 16, ...), lanes added as a tree of adjacent pairs, chunks and tensors in order; one square root. */
double rn_optimiser_norm(rn_optimiser *optimiser, const float *grads, rn_pool *pool);

/* The norms of groups of parameters, of the gradients that rn_optimiser_norm saw last: group[params] says which of norms[groups] each counts
 * in. The same sums of squares, added in the same order: no second pass over the gradients. */
void rn_optimiser_group_norms(const rn_optimiser *optimiser, const int *group, int groups, double *norms);

/* The factor that brings `norm` to at most `clip`, as PyTorch: min(1, clip / (norm + 1e-6)); 1 if clip is 0. */
double rn_clip_factor(double norm, double clip);

/* One step: number t from 1. grads are not changed. */
void rn_optimiser_step(rn_optimiser *optimiser, float *weights, const float *grads, double lr, double clip_factor, int64_t t,
                       rn_pool *pool);

/* average = average + (value - average) * (1 - decay), elementwise in float; below 2^-96: 0. */
void rn_average(float *average, const float *value, int64_t count, double decay, rn_pool *pool);

/* left = left + right, elementwise. */
void rn_add(float *left, const float *right, int64_t count, rn_pool *pool);

#endif
