/* The sections of resnet.config that belong to models: "arch" and "labels", checked on the way in, rewritten on the way out. */
#include "models/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- members of an architecture ------------------------------------------------------------------------------------------------ */

static const rn_arch_field *find_field(const char *key)
{
    int count;
    const rn_arch_field *fields = rn_arch_fields(&count);
    for (int i = 0; i < count; i++)
        if (strcmp(fields[i].key, key) == 0)
            return &fields[i];
    return NULL;
}

static json_t *choice_json(const char *choices, int index)
{
    for (; index > 0 && strchr(choices, '|'); index--)
        choices = strchr(choices, '|') + 1;
    return json_stringn(choices, strcspn(choices, "|"));
}

static int choice_index(const char *choices, const char *text)
{
    size_t length = strlen(text);
    for (int i = 0; *choices; i++) {
        size_t one = strcspn(choices, "|");
        if (one == length && memcmp(choices, text, one) == 0)
            return i;
        choices += one + (choices[one] == '|');
    }
    return -1;
}

json_t *rn_arch_member(const rn_arch *arch, const char *key)
{
    const rn_arch_field *f = find_field(key);
    if (!f)
        return NULL;
    const void *at = (const char *)arch + f->offset;
    char text[64] = "";
    switch (f->kind) {
    case RN_ARCH_INT:
    case RN_ARCH_FLAG:
        return json_integer(*(const int *)at);
    case RN_ARCH_REAL:
        return json_real(*(const double *)at);
    case RN_ARCH_CHOICE:
        return choice_json(f->choices, *(const int *)at);
    case RN_ARCH_BLOCKS:
        for (int i = 0; i < arch->stages; i++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%d", i ? "," : "", arch->blocks[i]);
        return json_string(text);
    case RN_ARCH_POOL:
        snprintf(text, sizeof text, "%dx%d", arch->pool_h, arch->pool_w);
        break;
    }
    return json_string(arch->pooling == RN_POOLING_TSTP ? "tstp" : text);
}

/* Whole numbers of at most 6 digits with `separator` between them and nothing else; returns how many, 0 where the text is something else. */
static int read_numbers(const char *text, char separator, int most, int *out)
{
    for (int count = 0; count < most;) {
        int value = 0, digits = 0;
        for (; *text >= '0' && *text <= '9' && digits < 6; digits++)
            value = value * 10 + (*text++ - '0');
        out[count++] = value;
        if (digits == 0 || (*text && *text != separator))
            return 0;
        if (!*text++)
            return count;
    }
    return 0;
}

static int set_blocks(rn_arch *arch, const rn_arch_field *f, const char *text)
{
    int blocks[4], stages = text ? read_numbers(text, ',', 4, blocks) : 0;
    for (int i = 0; i < stages; i++)
        if (blocks[i] < f->low || blocks[i] > f->high)
            return -1;
    if (!stages)
        return -1;
    memset(arch->blocks, 0, sizeof arch->blocks);
    memcpy(arch->blocks, blocks, (size_t)stages * sizeof *blocks);
    arch->stages = stages;
    return 0;
}

static int set_pool(rn_arch *arch, const rn_arch_field *f, const char *text)
{
    int sizes[2];
    if (text && strcmp(text, "tstp") == 0) {
        arch->pooling = RN_POOLING_TSTP;
        return 0;
    }
    if (!text || read_numbers(text, 'x', 2, sizes) != 2)
        return -1;
    for (int i = 0; i < 2; i++)
        if (sizes[i] < f->low || sizes[i] > f->high)
            return -1;
    arch->pooling = RN_POOLING_AVERAGE;
    arch->pool_h = sizes[0];
    arch->pool_w = sizes[1];
    return 0;
}

static void say_wanted(const rn_arch_field *f, char want[RN_ARCH_WANT])
{
    switch (f->kind) {
    case RN_ARCH_INT:
        snprintf(want, RN_ARCH_WANT, "a whole number from %.0f to %.0f", f->low, f->high);
        break;
    case RN_ARCH_REAL:
        snprintf(want, RN_ARCH_WANT, "a number from %g to %g", f->low, f->high);
        break;
    case RN_ARCH_FLAG:
        snprintf(want, RN_ARCH_WANT, "yes or no");
        break;
    case RN_ARCH_CHOICE:
        snprintf(want, RN_ARCH_WANT, "one of %s", f->choices);
        break;
    case RN_ARCH_BLOCKS:
        snprintf(want, RN_ARCH_WANT, "the blocks of 1 to 4 stages, each from %.0f to %.0f, such as 3,4,6,3", f->low, f->high);
        break;
    case RN_ARCH_POOL:
        snprintf(want, RN_ARCH_WANT, "a size such as 4x1, each side from %.0f to %.0f, or tstp", f->low, f->high);
        break;
    }
    for (char *p = want + 7; f->kind == RN_ARCH_CHOICE && *p; p++)
        if (*p == '|')
            *p = ' ';
}

int rn_arch_set_member(rn_arch *arch, const char *key, const json_t *value, char want[RN_ARCH_WANT])
{
    const rn_arch_field *f = find_field(key);
    if (!f) {
        snprintf(want, RN_ARCH_WANT, "no such member");
        return -1;
    }
    void *at = (char *)arch + f->offset;
    const char *text = json_string_value(value);
    double number = json_number_value(value);
    int whole = json_is_integer(value) && number >= f->low && number <= f->high, index, status = 0;
    say_wanted(f, want);
    switch (f->kind) {
    case RN_ARCH_FLAG:
        if (json_is_boolean(value) || (text && (strcmp(text, "yes") == 0 || strcmp(text, "no") == 0)))
            *(int *)at = text ? text[0] == 'y' : json_is_true(value);
        else if (!whole)
            return -1;
        else
            *(int *)at = (int)number;
        return 0;
    case RN_ARCH_INT:
        if (!whole)
            return -1;
        *(int *)at = (int)number;
        return 0;
    case RN_ARCH_REAL:
        if (!json_is_number(value) || !(number >= f->low && number <= f->high))
            return -1;
        *(double *)at = number;
        return 0;
    case RN_ARCH_CHOICE:
        index = text ? choice_index(f->choices, text) : -1;
        if (index < 0)
            return -1;
        *(int *)at = index;
        return 0;
    case RN_ARCH_BLOCKS:
        status = set_blocks(arch, f, text);
        break;
    case RN_ARCH_POOL:
        status = set_pool(arch, f, text);
        break;
    }
    return status;
}

json_t *rn_arch_json(const rn_arch *arch)
{
    int count;
    const rn_arch_field *fields = rn_arch_fields(&count);
    json_t *object = json_pack("{s:s}", "name", arch->name);
    for (int i = 0; object && i < count; i++)
        if (json_object_set_new(object, fields[i].key, rn_arch_member(arch, fields[i].key))) {
            json_decref(object);
            return NULL;
        }
    return object;
}

int rn_arch_from_json(rn_arch *arch, const char *name, const json_t *json, rn_error *err)
{
    const char *network = json_string_value(json_object_get(json, "name")), *key;
    json_t *value;
    rn_error why;
    char want[RN_ARCH_WANT];
    if (!network)
        return rn_error_set(err, RN_ERR_FORMAT, "%s: its resnet.config has no \"arch\" with a \"name\"", name);
    if (rn_arch_default(arch, network, &why))
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: %s", name, why.text);
    json_object_foreach((json_t *)json, key, value)
    {
        if (strcmp(key, "name") != 0 && rn_arch_set_member(arch, key, value, want)) /* the name was read before, for its defaults */
            return rn_error_set(err, RN_ERR_UNSUPPORTED,
                                "%s: its resnet.config has \"arch\" with a \"%.40s\" that this build cannot read: it wants %s", name, key,
                                want);
    }
    return 0;
}

int rn_config_read(const char *name, const rn_tensors *tensors, json_t **config, rn_error *err)
{
    const char *text = rn_tensors_metadata(tensors, RN_MODEL_CONFIG);
    json_error_t why;
    if (!text)
        return rn_error_set(err, RN_ERR_UNSUPPORTED,
                            "%s: there is no " RN_MODEL_CONFIG " in its metadata, so its network, labels and features are unknown; "
                            "a file that resnet train wrote has it",
                            name);
    *config = json_loads(text, JSON_REJECT_DUPLICATES, &why);
    if (!*config && json_error_code(&why) == json_error_out_of_memory)
        return rn_error_memory(err, "a model's description", strlen(text));
    if (!*config)
        return rn_error_set(err, RN_ERR_FORMAT, "%s: its " RN_MODEL_CONFIG " is not valid JSON: %.100s", name, why.text);
    if (!json_is_object(*config))
        return rn_error_set(err, RN_ERR_FORMAT, "%s: its " RN_MODEL_CONFIG " is not a JSON object", name);
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Two classes with one name could not be told apart in any answer. */
static int check_labels(const char *name, char **labels, int count, rn_error *err)
{
    char **sorted = malloc(((size_t)count + 1) * sizeof *sorted);
    int status = 0;
    if (!sorted)
        return rn_error_memory(err, "labels", (unsigned long long)count * sizeof *sorted);
    for (int i = 0; i < count; i++)
        sorted[i] = labels[i];
    qsort(sorted, (size_t)count, sizeof *sorted, by_text);
    for (int i = 0; i < count && !status; i++)
        if (!sorted[i][0])
            status = rn_error_set(err, RN_ERR_FORMAT, "%s: a label is empty", name);
        else if (i && strcmp(sorted[i], sorted[i - 1]) == 0)
            status = rn_error_set(err, RN_ERR_FORMAT, "%s: two classes are called \"%.200s\"", name, sorted[i]);
    free(sorted);
    return status;
}

int rn_labels_read(const char *name, const json_t *json, int classes, char ***out, rn_error *err)
{
    char **labels = NULL;
    int status = 0;
    *out = NULL;
    if (!json_is_array(json) || json_array_size(json) != (size_t)classes)
        return rn_error_set(err, RN_ERR_FORMAT, "%s: %zu labels in its resnet.config, the network has %d classes", name,
                            json_array_size(json), classes);
    labels = calloc((size_t)classes + 1, sizeof *labels);
    if (!labels)
        return rn_error_memory(err, "labels", (unsigned long long)classes * sizeof *labels);
    for (int i = 0; i < classes && !status; i++) {
        const char *text = json_string_value(json_array_get(json, (size_t)i));
        if (!text)
            status = rn_error_set(err, RN_ERR_FORMAT, "%s: label %d in its resnet.config is not a text", name, i);
        else if (!(labels[i] = strdup(text)))
            status = rn_error_memory(err, "labels", strlen(text));
    }
    if (!status)
        status = check_labels(name, labels, classes, err);
    if (status)
        rn_labels_free(&labels, classes);
    *out = labels;
    return status;
}

json_t *rn_labels_json(const char *const *labels, int classes)
{
    json_t *array = json_array();
    for (int i = 0; array && i < classes; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        if (json_array_append_new(array, json_string(labels ? labels[i] : number))) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

void rn_labels_free(char ***labels, int classes)
{
    for (int i = 0; *labels && i < classes; i++)
        free((*labels)[i]);
    free(*labels);
    *labels = NULL;
}
