/* NumPy's .npy, versions 1 to 3, C order: float32 in and out; float64, float16 and integers are converted on reading. */
#ifndef RN_FORMATS_NPY_H
#define RN_FORMATS_NPY_H

#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

typedef struct rn_array {
    int dims;
    int64_t shape[8], count;
    float *data; /* malloc'ed, the caller's */
} rn_array;

int rn_npy_read(const char *path, rn_array *out, rn_error *err);
int rn_npy_parse(const char *name, const void *data, size_t size, rn_array *out, rn_error *err);
int rn_npy_write(const char *path, const float *data, int dims, const int64_t *shape, rn_error *err); /* atomic */
void rn_array_free(rn_array *a);

#endif
