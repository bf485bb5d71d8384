/* Why a network answered what it did: maps over a layer's output, or over the input, that say where the evidence for a class lies.
 *
 * Grad-CAM (Selvaraju et al. 2017, eq. 1 and 2), Grad-CAM++ (Chattopadhay et al. 2018, eq. 19, in the form that pytorch-grad-cam
 * computes), and occlusion (Zeiler and Fergus 2014). Sums are made in double, in one order. */
#ifndef RN_JUDGE_EXPLAIN_H
#define RN_JUDGE_EXPLAIN_H

#include "graph/graph.h"
#include "graph/infer.h"

/* The node whose value the step of this name writes ("layer4.1.conv2": the block's output), or -1. NULL: the last one before the average
 * pool. Values behind a ReLU or a max pool can be explained. */
int rn_explain_layer(const rn_graph *g, const char *name);
/* The name of the step that writes that node's value. */
const char *rn_explain_layer_name(const rn_graph *g, int node);

/* From a value and the gradient of one logit by it, both [c][h][w], the map [h][w]: never negative.
 *   Grad-CAM    ReLU(sum over c of mean(gradient_c) value_c)
 *   Grad-CAM++  the same with sum(alpha_c ReLU(gradient_c)) for the mean, alpha = g^2 / (2 g^2 + sum(value_c) g^3 + 1e-6), 0 where g is 0 */
int rn_cam(const float *value, const float *gradient, int c, int h, int w, int plus_plus, float *map, rn_error *err);

/* value and gradient of `node` for the logit `label` of one input x [C][h][w]; both malloc'ed, [shape[0]][shape[1]][shape[2]], the caller's. BN takes its
 * running statistics. */
int rn_explain_gradient(const rn_graph *g, const float *weights, const float *stats, rn_pool *pool, const float *x, int h, int w, int node, int label,
                        float **value, float **gradient, int shape[3], rn_error *err);

/* (map - min) / (max - min + 1e-7), in place; a map of one value becomes zeros. */
void rn_map_stretch(float *map, int64_t count);
/* Bilinear, centres of pixels on centres, edges repeated: as OpenCV's linear resize. */
void rn_map_resize(const float *from, int h, int w, float *to, int to_h, int to_w);

/* A map as a picture over the input, from 0 to 1: stretched, resized, stretched again, as pytorch-grad-cam does. Overwrites map. */
void rn_heat(float *map, int h, int w, float *heat, int to_h, int to_w);

/* Occlusion: patches of patch_h x patch_w slide by step_h and step_w, the last ones ending at the edges; each is filled with `fill`, and
 * what the probability of `label` loses by it is averaged over the patches that cover a pixel. map [h][w]. RN_ERR_CANCELLED if progress
 * says so. */
typedef struct rn_occlusion {
    int patch_h, patch_w, step_h, step_w;
    float fill;
    double temperature; /* of the softmax */
    int several;        /* sigmoids instead of it */
} rn_occlusion;
int rn_occlude(rn_infer *engine, int classes, int c, int h, int w, const float *x, int label, const rn_occlusion *o,
               int (*progress)(void *context, int64_t done, int64_t total), void *context, float *map, rn_error *err);

#endif
