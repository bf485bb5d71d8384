/* Which residual network an ONNX graph is. */
#ifndef RN_MODELS_ONNX_ARCH_H
#define RN_MODELS_ONNX_ARCH_H

#include "models/arch.h"
#include "models/onnx_net.h"

/* The description that fits the graph's shape; a row's name with it, the nearest. What it cannot be is refused by node. Whether the graph
 * computes exactly that is for the caller to compare. */
int rn_onnx_arch(const rn_onnx_net *net, rn_arch *arch, rn_error *err);

/* Every addition with the block's function as its first term, the shortcut as its second. */
int rn_onnx_order_terms(rn_onnx_net *net, rn_error *err);

#endif
