/* The sections of resnet.config that belong to models: "arch" and "labels", checked on the way in, rewritten on the way out. */
#include "models/config.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const stems[] = {[RN_STEM_3X3] = "3x3", [RN_STEM_7X7] = "7x7"};

json_t *rn_arch_json(const rn_arch *arch)
{
    char pool[32], shortcut[2] = {arch->shortcut, 0};
    snprintf(pool, sizeof pool, "%dx%d", arch->pool_h, arch->pool_w);
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:s, s:s, s:s}", "name", arch->name, "width", arch->width, "in_channels", arch->in_channels,
        "classes", arch->classes, "embedding", arch->embedding, "shortcut", shortcut, "pool", pool, "stem", stems[arch->stem]);
}

/* Digits x digits and nothing else; at most 6 digits each. */
static int read_pool(const char *text, int *h, int *w)
{
    int *out[2] = {h, w};
    for (int k = 0; k < 2; k++) {
        int value = 0, digits = 0;
        for (; *text >= '0' && *text <= '9' && digits < 6; digits++)
            value = value * 10 + (*text++ - '0');
        if (digits == 0 || *text++ != (k ? '\0' : 'x'))
            return -1;
        *out[k] = value;
    }
    return 0;
}

static int read_arch_member(rn_arch *arch, const char *key, const json_t *value)
{
    const struct {
        const char *key;
        int *place;
    } numbers[] = {
        {"width", &arch->width}, {"in_channels", &arch->in_channels}, {"classes", &arch->classes}, {"embedding", &arch->embedding}};
    const char *text = json_string_value(value);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(key, numbers[i].key) == 0) {
            json_int_t n = json_integer_value(value);
            if (!json_is_integer(value) || n < 0 || n > INT_MAX)
                return -1;
            *numbers[i].place = (int)n;
            return 0;
        }
    if (!text)
        return -1;
    if (strcmp(key, "name") == 0)
        return 0; /* read before, for its defaults */
    if (strcmp(key, "pool") == 0)
        return read_pool(text, &arch->pool_h, &arch->pool_w);
    if (strcmp(key, "shortcut") == 0 && (strcmp(text, "A") == 0 || strcmp(text, "B") == 0)) {
        arch->shortcut = text[0];
        return 0;
    }
    for (int i = 0; strcmp(key, "stem") == 0 && i < 2; i++)
        if (strcmp(text, stems[i]) == 0) {
            arch->stem = (rn_stem)i;
            return 0;
        }
    return -1;
}

int rn_arch_from_json(rn_arch *arch, const char *name, const json_t *json, rn_error *err)
{
    const char *network = json_string_value(json_object_get(json, "name")), *key;
    json_t *value;
    rn_error why;
    if (!network)
        return rn_error_set(err, RN_ERR_FORMAT, "%s: its resnet.config has no \"arch\" with a \"name\"", name);
    if (rn_arch_default(arch, network, &why))
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: %s", name, why.text);
    json_object_foreach((json_t *)json, key, value)
    {
        if (read_arch_member(arch, key, value))
            return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: its resnet.config has \"arch\" with a \"%.40s\" that this build cannot read",
                                name, key);
    }
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
