/* Named tensors and string metadata: what every weight file comes down to. safetensors is read and written, PyTorch's are read (pth.h). */
#ifndef RN_FORMATS_TENSORS_H
#define RN_FORMATS_TENSORS_H

#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

typedef enum rn_dtype { RN_F32, RN_F16, RN_BF16, RN_F64, RN_I64, RN_I32, RN_U8, RN_BOOL } rn_dtype;

typedef struct rn_tensor {
    char *name;             /* malloc'ed, freed by rn_tensors_free; so are keys and values below */
    rn_dtype dtype;
    int dims;
    int64_t shape[8];
    int64_t count;          /* elements */
    const void *data;       /* little-endian, never freed by itself; may be unaligned: copy with rn_tensor_floats */
} rn_tensor;

typedef struct rn_tensors {
    int count;
    rn_tensor *items;       /* in the order of their data in the file */
    int metadata_count;
    char **keys, **values;  /* __metadata__ */
    unsigned char *buffer;  /* owned bytes that data points into; NULL when the tensors point into the caller's memory */
    size_t buffer_size;
    unsigned char *copies;  /* owned: the data of tensors that do not lie in a file as they are wanted; NULL: none */
} rn_tensors;

/* A weight file of any kind, told by its first bytes. */
int rn_tensors_read(const char *path, rn_tensors *out, rn_error *err);

/* Checks every rule of the format (formats-and-protocols 1): sizes with overflow, holes, overlaps, duplicates, dtype, UTF-8.
 * `name` stands for the file in messages. From memory: tensors point into `data`, which must outlive them. */
int rn_safetensors_read(const char *path, rn_tensors *out, rn_error *err);
int rn_safetensors_parse(const char *name, const void *data, size_t size, rn_tensors *out, rn_error *err);
/* Atomic (base/file.h). Tensors are ordered by dtype size, then name; the header is padded to 8 bytes. The same tensors and metadata
 * give the same bytes. */
int rn_safetensors_write(const char *path, const rn_tensors *tensors, rn_error *err);
void rn_tensors_free(rn_tensors *t);

/* Building a list to write (start from a zeroed rn_tensors): the name and the metadata are copied, the shape is checked for overflow,
 * `data` is only pointed at and must stay until the list was written. A key that is there already gets the new value. */
int rn_tensors_add(rn_tensors *t, const char *name, rn_dtype dtype, int dims, const int64_t *shape, const void *data, rn_error *err);
int rn_tensors_set_metadata(rn_tensors *t, const char *key, const char *value, rn_error *err);

const rn_tensor *rn_tensors_find(const rn_tensors *t, const char *name);
const char *rn_tensors_metadata(const rn_tensors *t, const char *key);
/* Converts any dtype to float (F64 and integers rounded once). */
void rn_tensor_floats(const rn_tensor *t, float *out);
/* Takes away what wrappers put in front of every name: "module." (DistributedDataParallel), "_orig_mod." (torch.compile), "model."
 * (Lightning), in any order, as long as all names begin with the same. */
void rn_tensors_strip(rn_tensors *t);
const char *rn_dtype_name(rn_dtype d);
size_t rn_dtype_size(rn_dtype d);

/* A name for messages: at most 96 bytes, nothing that a terminal would obey. */
typedef struct rn_shown {
    char text[100];
} rn_shown;
rn_shown rn_show(const char *name);

#endif
