/* Any bytes as a model file: refused with a sentence, or a model whose numbers are all finite. Its features section goes to the media's reader,
 * unless RN_FUZZ_CORE says that there is none. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#ifndef RN_FUZZ_CORE
#include "media/features.h"
#endif
#include "models/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rn_model *m;
    rn_error err = {0, ""};
    if (rn_model_parse(&m, "fuzz", data, size, &err)) {
        if (!err.text[0] || m)
            abort();
        return 0;
    }
    for (int64_t i = 0; i < m->graph->weights_count; i++)
        if (!isfinite(m->weights[i]))
            abort();
    for (int i = 0; i < m->arch.classes; i++)
        if (!m->labels[i][0])
            abort();
#ifndef RN_FUZZ_CORE
    rn_features features;
    json_t *section = rn_model_section(m, "features");
    if (section)
        rn_features_from_json(&features, section, "fuzz", &err);
#endif
    rn_model_close(&m);
    return 0;
}
