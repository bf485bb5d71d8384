/* The field numbers of ONNX's messages (onnx.proto of IR version 8), for its reader and its writer; and where a tensor lies in another file. */
#ifndef RN_FORMATS_ONNX_MESSAGE_H
#define RN_FORMATS_ONNX_MESSAGE_H

#include "formats/onnx.h"
#include "formats/protobuf.h"

enum {
    MODEL_IR_VERSION = 1,
    MODEL_PRODUCER = 2,
    MODEL_PRODUCER_VERSION = 3,
    MODEL_GRAPH = 7,
    MODEL_OPSET = 8,
    MODEL_METADATA = 14
};
enum { OPSET_DOMAIN = 1, OPSET_VERSION = 2 };
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 };
enum { GRAPH_NODE = 1, GRAPH_NAME = 2, GRAPH_TENSOR = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12 };
enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_NAME = 3, NODE_OP = 4, NODE_ATTRIBUTE = 5, NODE_DOMAIN = 7 };
enum {
    ATTRIBUTE_NAME = 1,
    ATTRIBUTE_FLOAT = 2,
    ATTRIBUTE_INT = 3,
    ATTRIBUTE_TEXT = 4,
    ATTRIBUTE_TENSOR = 5,
    ATTRIBUTE_INTS = 8,
    ATTRIBUTE_KIND = 20
};
enum {
    TENSOR_DIMS = 1,
    TENSOR_TYPE = 2,
    TENSOR_FLOATS = 4,
    TENSOR_INT32S = 5,
    TENSOR_INT64S = 7,
    TENSOR_NAME = 8,
    TENSOR_RAW = 9,
    TENSOR_DOUBLES = 10,
    TENSOR_EXTERNAL = 13,
    TENSOR_LOCATION = 14
};
enum {
    VALUE_NAME = 1,
    VALUE_TYPE = 2,
    TYPE_TENSOR = 1,
    TENSOR_TYPE_ELEMENT = 1,
    TENSOR_TYPE_SHAPE = 2,
    SHAPE_DIM = 1,
    DIM_VALUE = 1,
    DIM_NAME = 2
};

/* Where the data of a tensor are, that are not in the file itself. */
typedef struct rn_onnx_place {
    const char *location; /* NULL: in the file */
    uint64_t offset, length;
    int has_length;
} rn_onnx_place;

typedef struct rn_onnx_external rn_onnx_external; /* the files beside a model that were opened */

/* `size` bytes of such a file. path: the model's. */
int rn_onnx_external_bytes(rn_onnx_external **files, rn_onnx *model, const char *path, const char *tensor, const rn_onnx_place *place,
                           uint64_t size, const void **data, rn_error *err);

/* Memory that is freed with the model: from malloc, taken. On failure it is freed at once. */
int rn_onnx_keep(rn_onnx *model, void *memory);

#endif
