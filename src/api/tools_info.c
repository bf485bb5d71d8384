/* What this machine and build run with, and what is inside a model file. */
#include <png.h>
#include <samplerate.h>
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <webp/decode.h>
#include <xxhash.h>
#include <jpeglib.h> /* wants size_t and FILE before it */

#include "api/given.h"
#include "api/result.h"
#include "api/weights.h"
#include "base/cpu.h"
#include "base/threads.h"
#include "data/listing.h"
#include "formats/onnx.h"
#include "models/foreign.h"
#include "models/onnx.h"
#include "resnet_tools.h"

int rn_tools_cpu(const char *level, rn_error *err)
{
    if (rn_cpu_limit(level))
        return rn_error_set(err, RN_ERR_ARG, "--cpu %s: want c, fma, avx2 or avx512", level);
    return 0;
}

int rn_tools_threads(void)
{
    return rn_threads_available();
}

json_t *rn_result_path(const char *path)
{
    char *text = rn_text_printable(path);
    json_t *value = text ? json_string(text) : NULL;
    free(text);
    return value;
}

#define TEXT_OF(x) TEXT_OF_VALUE(x)
#define TEXT_OF_VALUE(x) #x

int rn_tools_machine(char **result, rn_error *err)
{
    unsigned has = rn_cpu_features();
    json_t *cpu = json_array(), *features = json_array();
    if (has & RN_CPU_FMA)
        rn_result_add(&cpu, json_string("fma"));
    if (has & RN_CPU_AVX2)
        rn_result_add(&cpu, json_string("avx2"));
    if (has & RN_CPU_AVX512)
        rn_result_add(&cpu, json_string("avx512"));
    rn_result_add(&features, json_sprintf("sound: %s, %.*s", sf_version_string(), (int)strcspn(src_get_version(), " "), src_get_version()));
    int webp = WebPGetDecoderVersion();
    rn_result_add(&features, json_sprintf("pictures: libjpeg-turbo " TEXT_OF(LIBJPEG_TURBO_VERSION) ", libpng %s, libwebp %d.%d.%d",
                                          png_get_libpng_ver(NULL), webp >> 16, webp >> 8 & 255, webp & 255));
    rn_result_add(&features, json_sprintf("hashes: xxHash %d.%d.%d", XXH_VERSION_MAJOR, XXH_VERSION_MINOR, XXH_VERSION_RELEASE));
    rn_result_add(&features, json_sprintf("json: Jansson %s", jansson_version_str()));
    *result = rn_result_text(json_pack("{s:s, s:i, s:s, s:o, s:i, s:o}", "version", rn_version(), "arithmetic", RN_ARITHMETIC, "isa",
                                       rn_cpu_level(), "cpu", cpu, "threads", rn_threads_available(), "features", features),
                             err);
    return *result ? 0 : RN_ERR_MEMORY;
}

/* Of a weight file that is no model of ours: what is in it, and the network that this is of, or why it is none. */
static json_t *tensors_object(const char *path, int64_t bytes, rn_tensors *tensors, rn_error *err)
{
    json_t *list = json_array(), *metadata = json_object();
    json_int_t elements = 0;
    rn_foreign *foreign = NULL;
    if (rn_foreign_open(&foreign, path, tensors, &(rn_foreign_given){.folder = 1}, err)) {
        json_decref(list);
        json_decref(metadata);
        return NULL;
    }
    for (int i = 0; i < tensors->count; i++) {
        const rn_tensor *t = &tensors->items[i];
        json_t *shape = json_array();
        for (int d = 0; d < t->dims; d++)
            rn_result_add(&shape, json_integer(t->shape[d]));
        rn_result_add(&list,
                      json_pack("{s:o, s:s, s:o}", "name", rn_result_path(t->name), "dtype", rn_dtype_name(t->dtype), "shape", shape));
        elements += t->count;
    }
    for (int i = 0; i < tensors->metadata_count; i++) {
        char *key = rn_text_printable(tensors->keys[i]); /* it goes to a terminal */
        rn_result_set(&metadata, key ? key : "", key ? rn_result_path(tensors->values[i]) : NULL);
        free(key);
    }
    json_t *all = json_pack("{s:o, s:I, s:s, s:I, s:o, s:o}", "path", rn_result_path(path), "bytes", (json_int_t)bytes, "format",
                            rn_tensors_metadata(tensors, "pth.dictionary") ? "PyTorch" : "safetensors", "elements", elements, "tensors", list,
                            "metadata", metadata);
    if (foreign->graph) {
        rn_result_set(&all, "names", json_string(foreign->names->name));
        rn_result_set(&all, "arch", rn_arch_json(&foreign->arch));
    }
    if (foreign->why.code)
        rn_result_set(&all, "error", json_string(foreign->why.text));
    rn_foreign_close(&foreign);
    return all;
}

int rn_tools_model(const char *path, char **result, rn_error *err)
{
    static const char *const sections[] = {"features",      "pictures",    "training",    "split",
                                           "bn_statistics", "calibration", "labels_kind", "thresholds"};
    rn_model *model = NULL;
    rn_tensors tensors = {0};
    struct stat file = {0};
    int64_t bytes = 0;
    int channels, height, width, status;
    *result = NULL;
    int onnx = rn_onnx_is_file(path);
    if (onnx && (status = rn_onnx_load(&model, path, NULL, NULL, err)))
        goto fail;
    if (!onnx && (status = rn_tensors_read(path, &tensors, err)))
        return status;
    stat(path, &file);
    if (!onnx && rn_foreign_is(&tensors)) {
        json_t *all = tensors_object(path, file.st_size, &tensors, err);
        *result = all ? rn_result_text(all, err) : NULL;
        status = *result ? 0 : RN_ERR_MEMORY;
        goto fail;
    }
    if (!onnx && (status = rn_model_from_tensors_unchecked(&model, path, &tensors, err)))
        goto fail;
    rn_tensors_free(&tensors);
    rn_model_input(model, &channels, &height, &width);
    if (height && (status = rn_session_measure(model, NULL, &bytes, err)))
        goto fail;
    json_t *labels = json_array(), *arithmetic = rn_model_section(model, "arithmetic");
    for (int i = 0; i < model->arch.classes; i++)
        rn_result_add(&labels, json_string(model->labels[i]));
    json_t *all = json_pack("{s:o, s:I, s:O?, s:o, s:I, s:I, s:[i,i,i], s:I, s:o}", "path", rn_result_path(path), "bytes",
                            (json_int_t)file.st_size, "arithmetic", arithmetic, "arch", rn_arch_json(&model->arch), "parameters",
                            (json_int_t)model->graph->weights_count, "statistics", (json_int_t)model->graph->stats_count, "input", channels,
                            height, width, "session_bytes", (json_int_t)bytes, "labels", labels);
    for (size_t i = 0; all && i < sizeof sections / sizeof sections[0]; i++)
        if (rn_model_section(model, sections[i]))
            rn_result_set(&all, sections[i], json_incref(rn_model_section(model, sections[i])));
    rn_result_set(&all, "weights", rn_weights_describe(model));
    rn_result_set(&all, "warnings", rn_weights_warn(model));
    *result = rn_result_text(all, err);
    status = *result ? 0 : RN_ERR_MEMORY;
fail:
    rn_tensors_free(&tensors);
    rn_model_close(&model);
    return status;
}
