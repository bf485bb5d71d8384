/* A whole model from memory: the configuration, its numbers against the tensors, labels, and the features section. */
#include "media/features.h"
#include "models/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rn_error err;
    rn_model *model = NULL;
    if (rn_model_parse(&model, "fuzz.safetensors", data, size, &err) != 0)
        return 0;
    rn_features features;
    json_t *section = rn_model_section(model, "features");
    if (section)
        rn_features_from_json(&features, section, "fuzz.safetensors", &err);
    rn_model_close(&model);
    return 0;
}
