/* ONNX files (.onnx): a model as plain structures, read from a file and written to one. What its operations mean is not known here.
 *
 * Everything hangs on one rn_onnx and is freed with it; the data of tensors point into the file's bytes wherever they lie there as they are wanted. */
#ifndef RN_FORMATS_ONNX_H
#define RN_FORMATS_ONNX_H

#include "formats/tensors.h"

typedef enum rn_onnx_type { /* TensorProto.DataType */
                            RN_ONNX_FLOAT = 1,
                            RN_ONNX_UINT8 = 2,
                            RN_ONNX_INT32 = 6,
                            RN_ONNX_INT64 = 7,
                            RN_ONNX_BOOL = 9,
                            RN_ONNX_FLOAT16 = 10,
                            RN_ONNX_DOUBLE = 11,
                            RN_ONNX_BFLOAT16 = 16
} rn_onnx_type;

typedef struct rn_onnx_tensor {
    const char *name;
    int type; /* of rn_onnx_type, or another number of the format's: then data is NULL */
    int dims;
    int64_t shape[8], count;
    const void *data; /* little-endian, may be unaligned; `count` elements, or one of which all are copies */
    int filled;       /* the latter */
} rn_onnx_tensor;

typedef enum rn_onnx_kind { /* AttributeProto.AttributeType, as far as it is read */
                            RN_ONNX_OTHER = 0,
                            RN_ONNX_A_FLOAT = 1,
                            RN_ONNX_A_INT = 2,
                            RN_ONNX_A_TEXT = 3,
                            RN_ONNX_A_TENSOR = 4,
                            RN_ONNX_A_FLOATS = 6,
                            RN_ONNX_A_INTS = 7
} rn_onnx_kind;

typedef struct rn_onnx_attribute {
    const char *name;
    rn_onnx_kind kind;
    float real;
    int64_t integer;
    const char *text;
    rn_onnx_tensor *tensor;
    int count; /* of integers */
    const int64_t *integers;
} rn_onnx_attribute;

typedef struct rn_onnx_node {
    const char *name, *op, *domain; /* "" where there is none; "ai.onnx" is "" too */
    int inputs_count, outputs_count, attributes_count;
    const char **inputs, **outputs; /* "": an optional one that is left out */
    rn_onnx_attribute *attributes;
} rn_onnx_node;

typedef struct rn_onnx_value { /* an input or output of the graph */
    const char *name;
    int type, dims;      /* dims -1: no shape is given */
    int64_t shape[8];    /* -1: free */
    const char *axes[8]; /* names of the free ones; "" where they have none */
} rn_onnx_value;

typedef struct rn_onnx_entry {
    const char *key, *value;
} rn_onnx_entry;

typedef struct rn_onnx {
    int64_t ir_version, opset; /* opset: of the domain "" */
    const char *producer, *producer_version, *name;
    int nodes_count, tensors_count, inputs_count, outputs_count, metadata_count;
    rn_onnx_node *nodes;     /* each reads what came before */
    rn_onnx_tensor *tensors; /* initialisers */
    rn_onnx_value *inputs;   /* initialisers are left out, which older files list too */
    rn_onnx_value *outputs;
    rn_onnx_entry *metadata;
    struct rn_onnx_block *blocks; /* what hangs on it; read and built through rn_onnx_room */
    size_t used, most;            /* bytes of it; most 0: no limit */
} rn_onnx;

/* Reads a file of any size, and the files beside it that hold its data. Those are opened relative to its folder, may be no links, and must have
 * every byte that the tensors ask for. */
int rn_onnx_read(const char *path, rn_onnx *out, rn_error *err);
/* From memory, which must outlive it; data in other files are refused. `name` stands for the file in messages. */
int rn_onnx_parse(const char *name, const void *data, size_t size, rn_onnx *out, rn_error *err);
/* Writes it atomically. Where the file would be larger than `most` bytes (0: the format's limit of 2 GiB), its tensors' data go into PATH.data instead,
 * each at a multiple of 4,096 bytes. The same model gives the same bytes. */
int rn_onnx_write(const rn_onnx *model, const char *path, uint64_t most, rn_error *err);
void rn_onnx_free(rn_onnx *model);

/* Building: zeroed room for count things of a size, a copy of a text, freed with the model. NULL without memory (or above the limit). */
void *rn_onnx_room(rn_onnx *model, size_t count, size_t size);
const char *rn_onnx_text(rn_onnx *model, const char *text, size_t size);

const rn_onnx_attribute *rn_onnx_attribute_of(const rn_onnx_node *node, const char *name); /* NULL: there is none */
const char *rn_onnx_metadata(const rn_onnx *model, const char *key);                       /* NULL: there is none */
/* Bytes of an element; 0 for types that rn_onnx_type has not. */
size_t rn_onnx_type_size(int type);
/* The i-th element, of any type that has a size. */
double rn_onnx_real(const rn_onnx_tensor *t, int64_t i);
int64_t rn_onnx_integer(const rn_onnx_tensor *t, int64_t i);
/* 1 if the first bytes of a file may be those of an ONNX model (a field of ModelProto in front); 16 are enough. */
int rn_onnx_known(const void *head, size_t size);
int rn_onnx_is_file(const char *path); /* the same of a file; 0 if it cannot be read */

#endif
