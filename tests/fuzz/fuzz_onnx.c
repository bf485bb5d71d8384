/* Any bytes as an ONNX file: refused with a sentence that names it, or a model whose tensors can be listed. Memory and time are bounded by libFuzzer's limits. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "formats/onnx.h"
#include "models/onnx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rn_model *model = NULL;
    rn_error err = {0, ""};
    rn_onnx_known(data, size);
    if (rn_onnx_load_bytes(&model, "fuzz", data, size, &err)) {
        if (strncmp(err.text, "fuzz", 4) != 0 && err.code != RN_ERR_MEMORY)
            abort();
        if (model)
            abort();
        return 0;
    }
    rn_tensors tensors = {0};
    if (rn_model_tensors(model, &tensors, &err))
        abort();
    rn_tensors_free(&tensors);
    rn_model_close(&model);
    return 0;
}
