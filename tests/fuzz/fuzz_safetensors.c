/* safetensors from memory: overflowing sizes, holes, overlaps, deep JSON. What was accepted is read through to the last byte. */
#include <stdlib.h>
#include "formats/tensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rn_error err;
    rn_tensors tensors;
    if (rn_safetensors_parse("fuzz.safetensors", data, size, &tensors, &err) != 0)
        return 0;
    for (int i = 0; i < tensors.count; i++) {
        float *values = malloc((size_t)tensors.items[i].count * sizeof(float) + 1);
        if (values)
            rn_tensor_floats(&tensors.items[i], values);
        free(values);
    }
    rn_tensors_free(&tensors);
    return 0;
}
