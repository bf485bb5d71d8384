/* The "features" and "augment" sections of model and configuration files: refused with a sentence, or features that can be computed. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "media/augment.h"
#include "media/features.h"

static void compute(const rn_features *f)
{
    float x[4000], *out;
    int64_t frames, count = 4000;
    rn_extractor *e = NULL;
    rn_error err = {0};
    /* Allowed, but nothing that a fuzzer should wait for. */
    if (f->bins > 600 || f->window_ms * 0.001 * f->rate > 5000 || f->hop_ms * 0.001 * f->rate < 20)
        return;
    for (int i = 0; i < count; i++)
        x[i] = (float)(i * 7919 % 1009) / 1009 - 0.5f;
    if (rn_extractor_open(&e, f, &err))
        abort(); /* it was checked */
    if (rn_features_samples(f, rn_features_length(f)) < 1)
        abort();
    int status = rn_extractor_run(e, x, count, &out, &frames, &err);
    if (status ? !err.text[0] : frames != rn_features_frames(f, count))
        abort();
    for (int64_t i = 0; !status && i < frames * f->bins; i++)
        if (!isfinite(out[i]))
            abort();
    free(out);
    rn_extractor_close(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rn_features f;
    rn_augment a;
    rn_error err = {0};
    json_t *section = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    if (!section)
        return 0;
    if (!rn_features_from_json(&f, section, "fuzz", &err))
        compute(&f);
    else if (!err.text[0])
        abort();
    err.text[0] = 0;
    rn_augment_default(&a);
    if (rn_augment_from_json(&a, section, &err) && !err.text[0])
        abort();
    json_decref(section);
    return 0;
}
