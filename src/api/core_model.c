/* What the public header says of a model besides loading and saving, which models/model.c does itself. */
#include <stdlib.h>
#include <string.h>

#include "api/given.h"
#include "base/cpu.h"
#include "formats/json.h"
#include "models/model.h"

int rn_model_create(rn_model **model, const char *options, const char *const *labels, rn_error *err)
{
    rn_given given;
    rn_arch arch;
    int height, width, status, zero_last = 0;
    rn_init init = RN_INIT_PYTORCH;
    uint64_t seed = 0;
    *model = NULL;
    if (!rn_given_open(&given, options, err)) {
        rn_given_network(&given, NULL, &arch, &height, &width);
        const char *text = rn_given_text(&given, "init_weights", "pytorch");
        if (strcmp(text, "pytorch") && strcmp(text, "he"))
            rn_given_fail(&given, RN_ERR_ARG, "--init-weights %s: want pytorch or he", text);
        init = strcmp(text, "he") ? RN_INIT_PYTORCH : RN_INIT_HE;
        zero_last = rn_given_flag(&given, "zero_last");
        seed = (uint64_t)rn_given_integer(&given, "seed", 0, INT64_MAX, 0);
    }
    if ((status = rn_given_close(&given)))
        return status;
    unsigned state = rn_fp_enter();
    status = rn_model_new(model, &arch, labels, init, zero_last, seed, err);
    rn_fp_leave(state);
    return status;
}

const char *rn_model_arch(const rn_model *model)
{
    return model->arch.name;
}

int rn_model_classes(const rn_model *model)
{
    return model->arch.classes;
}

const char *rn_model_label(const rn_model *model, int index)
{
    return index >= 0 && index < model->arch.classes ? model->labels[index] : NULL;
}

int rn_model_find_label(const rn_model *model, const char *label)
{
    for (int i = 0; label && i < model->arch.classes; i++)
        if (strcmp(model->labels[i], label) == 0)
            return i;
    return -1;
}

int rn_model_several(const rn_model *model)
{
    return model->several;
}

double rn_model_threshold(const rn_model *model, int index)
{
    if (!model->several || index < 0 || index >= model->arch.classes)
        return 0;
    return model->thresholds ? model->thresholds[index] : 0.5;
}

int rn_model_embedding(const rn_model *model)
{
    return rn_graph_embedding(model->graph);
}

int64_t rn_model_parameters(const rn_model *model)
{
    return model->graph->weights_count;
}

char *rn_model_config(const rn_model *model, const char *section)
{
    char *text = NULL;
    json_t *value = section ? rn_model_section(model, section) : model->config;
    return value && !rn_json_dump(value, JSON_COMPACT | JSON_ENCODE_ANY, &text, NULL) ? text : NULL;
}

/* The trainer stores the shape of a training sample as the section "input". */
void rn_model_input(const rn_model *model, int *channels, int *height, int *width)
{
    const json_t *input = json_object_get(model->config, "input");
    *channels = model->arch.in_channels;
    *height = *width = 0;
    if (json_array_size(input) == 3) {
        json_int_t h = json_integer_value(json_array_get(input, 1)), w = json_integer_value(json_array_get(input, 2));
        if (h > 0 && w > 0 && h < 1000000 && w < 1000000) {
            *height = (int)h;
            *width = (int)w;
        }
    }
}
