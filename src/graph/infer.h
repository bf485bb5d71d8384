/* The inference engine: a graph with folded, packed weights and one arena that is planned for each input size.
 *
 * Batch normalisation is folded: W * scale rounded to float, scale = gamma / sqrt(var + eps) and shift = beta - mean * scale in
 * double. The same x gives the same bits for every thread count, processor with FMA, and way of cutting the batch. */
#ifndef RN_GRAPH_INFER_H
#define RN_GRAPH_INFER_H

#include "base/threads.h"
#include "graph/graph.h"

/* A graph's weights, folded and packed for the kernels when an engine first plans a size that wants them so. Engines on several threads
 * and for any input sizes may share one. The graph, weights and stats must outlive it, unchanged. */
typedef struct rn_packed rn_packed;
int rn_packed_open(rn_packed **packed, const rn_graph *graph, const float *weights, const float *stats, rn_error *err);
void rn_packed_close(rn_packed **packed);

typedef struct rn_infer rn_infer;

/* An engine over the shared weights of that graph, which must outlive it. */
int rn_infer_open_shared(rn_infer **engine, const rn_graph *graph, const rn_packed *packed, rn_pool *pool, rn_error *err);

/* graph, weights, stats and pool must outlive the engine; weights and stats may change only before rn_infer_load. */
int rn_infer_open(rn_infer **engine, const rn_graph *graph, const float *weights, const float *stats, rn_pool *pool, rn_error *err);
void rn_infer_close(rn_infer **engine);

/* New weights for the same graph (a trainer's validation); only for an engine with weights of its own. */
void rn_infer_load(rn_infer *engine, const float *weights, const float *stats);

/* Plans for n samples of h x w; the arena grows if it must, never shrinks. rn_infer_run plans by itself when the size is
 * another than the last one; after a size was planned, run allocates nothing. */
int rn_infer_plan(rn_infer *engine, int n, int h, int w, rn_error *err);

/* x [n][C][h][w]; logits [n][classes] and embedding [n][dim] are written; embedding may be NULL. */
int rn_infer_run(rn_infer *engine, int n, int h, int w, const float *x, float *logits, float *embedding, rn_error *err);

int64_t rn_infer_bytes(const rn_infer *engine); /* arena and packed weights */

/* After each operation: the name of its node and its output as plain [n][C][H][W]; NULL switches it off.
 * For timing, `dump`, and finding a value that is not finite. `seconds` is the operation's own time. */
typedef struct rn_layer_event {
    const char *name;  /* of the last node that the step covers: "layer1.0.conv1" stands for conv, BN and ReLU */
    const char *kind;  /* "conv", "pool", "linear" */
    const char *algorithm; /* of a convolution: "direct", "winograd"; else NULL */
    int n, c, h, w;
    int64_t macs;      /* for the whole batch */
    double seconds;
    const float *data; /* NULL unless the hook was set with want_data */
} rn_layer_event;
typedef void (*rn_layer_hook)(void *context, const rn_layer_event *event);
int rn_infer_hook(rn_infer *engine, rn_layer_hook hook, void *context, int want_data, rn_error *err);

#endif
