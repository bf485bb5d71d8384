/* .npy from memory: headers of Python syntax, shapes that overflow, types that must be converted. */
#include "formats/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rn_error err;
    rn_array array;
    if (rn_npy_parse("fuzz.npy", data, size, &array, &err) != 0)
        return 0;
    volatile float sum = 0;
    for (int64_t i = 0; i < array.count; i++)
        sum = sum + array.data[i];
    rn_array_free(&array);
    return 0;
}
