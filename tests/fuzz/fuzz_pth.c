/* Any bytes as a file of PyTorch's: refused with a sentence, or tensors that lie inside the bytes, or in copies of bounded size, and convert. */
#include <stdint.h>
#include <stdlib.h>

#include "formats/pth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rn_tensors t;
    rn_error err = {0, ""};
    if (rn_pth_parse("fuzz", data, size, &t, &err)) {
        if (!err.text[0] || t.count || t.items || t.copies)
            abort();
        return 0;
    }
    for (int i = 0; i < t.count; i++) {
        const rn_tensor *item = &t.items[i];
        if ((size_t)item->count > size + (1 << 20))
            abort();
        float *out = malloc(((size_t)item->count + 1) * sizeof *out);
        if (out)
            rn_tensor_floats(item, out);
        free(out);
    }
    rn_tensors_free(&t);
    return 0;
}
