/* Any bytes as a .npy file: refused with a sentence, or an array no larger than the bytes allow. */
#include <stdint.h>
#include <stdlib.h>

#include "formats/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rn_array a;
    rn_error err = {0, ""};
    int status = rn_npy_parse("fuzz", data, size, &a, &err);
    if (status ? !err.text[0] || a.data : a.count < 0 || (size_t)a.count > size)
        abort();
    rn_array_free(&a);
    return 0;
}
