/* Models as ONNX files, in and out. */
#ifndef RN_MODELS_ONNX_H
#define RN_MODELS_ONNX_H

#include "models/model.h"

typedef struct rn_onnx_options {
    int fold_bn; /* 1: batch normalisation goes into the convolutions' weights */
    int input_h,
        input_w; /* of the model's input; 0: left open. Needed where the pool's bins depend on it: rows for a pool of more than one row, ... */
    uint64_t inline_most; /* bytes of the file above which weights go into PATH.data; 0: ONNX's limit of 2 GiB */
} rn_onnx_options;

/* Opset 17: input `input` [batch][C][H][W]; outputs `logits` [batch][classes] and, where the network has one, `embedding`. The description of the
 * model stands in its metadata (resnet.config), so that rn_onnx_load gives the same model back, byte for byte where BN was kept. */
int rn_onnx_save(const rn_model *model, const char *path, const rn_onnx_options *options, rn_error *err);

/* A residual network from an ONNX file, whoever wrote it, recognised by what its graph computes; names of nodes and tensors are not looked at.
 * Folded BN becomes BN that changes nothing but adds the bias. What no network of ours computes is refused, naming the node. `report` (may be NULL)
 * gets a line for what was left out (a last softmax) or differs for the caller (channels last). */
int rn_onnx_load(rn_model **model, const char *path, rn_text_fn report, void *context, rn_error *err);
int rn_onnx_load_bytes(rn_model **model, const char *name, const void *data, size_t size, rn_error *err);

#endif
