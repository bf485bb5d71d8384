/* The training engine: one ghost batch forwards and backwards, with its own BN statistics.
 *
 * The caller (train/) cuts a batch into ghost batches, adds their gradients as a fixed tree, moves the running statistics and the
 * weights. Parameters are flat arrays as graph.h lays them out. */
#ifndef RN_GRAPH_LEARN_H
#define RN_GRAPH_LEARN_H

#include "base/threads.h"
#include "graph/graph.h"
#include "graph/infer.h"

typedef struct rn_learn rn_learn;

/* Modes of an engine, added up. */
enum {
    RN_LEARN_RECOMPUTE = 1, /* of a residual block only its output is kept, and its convolutions are computed again on the way back (Chen et al.
                             * 2016): the same bits, less memory, a quarter more time */
    RN_LEARN_DROP = 2       /* the function of each residual block is scaled for each sample, by rn_learn_keep's factors */
};

/* An arena for up to max_n samples of h x w. frozen: one flag per parameter (graph's order), or NULL: a frozen parameter's gradient
 * is not computed (its place in grads is set to 0); a BN whose weight is frozen uses its running statistics, which do not move; nothing is computed
 * below the lowest parameter that is trained. RN_ERR_SHAPE if a size is impossible, RN_ERR_ARG if a BN would see one value per channel. */
int rn_learn_open(rn_learn **engine, const rn_graph *graph, int max_n, int h, int w, const unsigned char *frozen, int modes,
                  rn_pool *pool, rn_error *err);
/* Residual blocks, in order; a plain net has none. */
int rn_learn_blocks(const rn_learn *engine);
/* Of an engine with RN_LEARN_DROP: what each sample's block is multiplied by in the next passes (0: dropped), factors [blocks][n]; all are 1 before. */
void rn_learn_keep(rn_learn *engine, int n, const float *factors);
/* An engine that trains nothing: running statistics everywhere, and a way back that ends at the value of `node`, the output of a ReLU or a
 * max pool, whose gradient is kept as it arrives there. */
int rn_learn_open_for_value(rn_learn **engine, const rn_graph *graph, int max_n, int h, int w, int node, rn_pool *pool, rn_error *err);
void rn_learn_close(rn_learn **engine);
int64_t rn_learn_bytes(const rn_learn *engine);

/* The weights that the next passes use: each layer packs its own when its turn comes, into room that all share, since Winograd's are four times
 * as large as the weights. Both arrays must stay valid and unchanged until the next call; stats are read as they stand (the BN sums are
 * shifted by running_mean). */
void rn_learn_load(rn_learn *engine, const float *weights, const float *stats);

/* Forward for n <= max_n samples: logits [n][classes] and embedding [n][dim] (either may be NULL) are written.
 * batch_stats (stats_count floats, laid out as stats) receives mean and UNBIASED variance of this ghost batch. NULL if not wanted. */
int rn_learn_forward(rn_learn *engine, int n, const float *x, float *logits, float *embedding, double *batch_stats, rn_error *err);

/* Backward of the last forward: dlogits [n][classes]; dembedding [n][dim] is added to what comes from the logits, NULL for none.
 * grads (weights_count floats) is overwritten; NULL with an engine that trains nothing. */
int rn_learn_backward(rn_learn *engine, const float *dlogits, const float *dembedding, float *grads, rn_error *err);

/* Of an engine for a value, after forward and backward: the value and its gradient, plain [n][C][H][W]; either may be NULL. */
void rn_learn_read_value(rn_learn *engine, float *value, float *gradient);
/* Channels, rows and columns of that value. */
void rn_learn_value_shape(const rn_learn *engine, int shape[3]);

/* Called after each step of forward and backward, with the step's output as plain [n][C][H][W] when want_data is set. */
int rn_learn_hook(rn_learn *engine, rn_layer_hook hook, void *context, int want_data, rn_error *err);

/* Bytes that one forward and backward of n samples read and write in activations and packed weights, as planned. */
int64_t rn_learn_traffic(const rn_learn *engine, int n);
/* The least that they could be: every tensor that a step stores (raw outputs of convolutions, outputs of blocks and pools) is written once
 * and read once on the way back; everything else stays in the caches, and halos and filled lanes count nothing. */
int64_t rn_learn_floor(const rn_learn *engine, int n);

#endif
