/* Options as JSON text, and the network options among them. */
#include "api/given.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/json.h"
#include "models/model.h"

void rn_given_fail(rn_given *g, int code, const char *format, ...)
{
    char text[900];
    va_list arguments;
    if (g->status)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    g->status = rn_error_set(g->err, code, "%s", text);
}

int rn_given_open(rn_given *g, const char *text, rn_error *err)
{
    json_error_t why;
    memset(g, 0, sizeof *g);
    g->err = err;
    g->seen = json_object();
    g->root = text ? json_loads(text, JSON_REJECT_DUPLICATES, &why) : json_object();
    if (text && !g->root)
        rn_given_fail(g, RN_ERR_ARG, "options: line %d: %s", why.line, why.text);
    else if (!g->root || !g->seen)
        g->status = rn_error_memory(err, "options", 0);
    else if (!json_is_object(g->root))
        rn_given_fail(g, RN_ERR_ARG, "options: want a JSON object");
    return g->status;
}

int rn_given_close(rn_given *g)
{
    const char *key;
    json_t *value;
    if (!g->status && json_is_object(g->root))
        json_object_foreach(g->root, key, value)
        {
            if (!json_object_get(g->seen, key))
                rn_given_fail(g, RN_ERR_ARG, "%s: there is no option of this name here", key);
        }
    json_decref(g->root);
    json_decref(g->seen);
    g->root = g->seen = NULL;
    return g->status;
}

static json_t *ask(rn_given *g, const char *key)
{
    if (!json_is_object(g->root))
        return NULL;
    json_object_set_new(g->seen, key, json_true());
    json_t *value = json_object_get(g->root, key);
    return json_is_null(value) ? NULL : value;
}

int rn_given_has(rn_given *g, const char *key)
{
    return ask(g, key) != NULL;
}

void rn_given_ignore(rn_given *g, const char *key)
{
    ask(g, key);
}

int64_t rn_given_integer(rn_given *g, const char *key, int64_t low, int64_t high, int64_t otherwise)
{
    json_t *value = ask(g, key);
    if (!value)
        return otherwise;
    if (!json_is_integer(value) || json_integer_value(value) < low || json_integer_value(value) > high) {
        rn_given_fail(g, RN_ERR_ARG, "%s: want a whole number from %lld to %lld", key, (long long)low, (long long)high);
        return otherwise;
    }
    return json_integer_value(value);
}

double rn_given_number(rn_given *g, const char *key, double low, double high, double otherwise)
{
    json_t *value = ask(g, key);
    if (!value)
        return otherwise;
    double number = json_number_value(value);
    if (!json_is_number(value) || !(number >= low && number <= high)) {
        rn_given_fail(g, RN_ERR_ARG, "%s: want a number from %g to %g", key, low, high);
        return otherwise;
    }
    return number;
}

const char *rn_given_text(rn_given *g, const char *key, const char *otherwise)
{
    json_t *value = ask(g, key);
    if (!value)
        return otherwise;
    if (!json_is_string(value)) {
        rn_given_fail(g, RN_ERR_ARG, "%s: want text", key);
        return otherwise;
    }
    return json_string_value(value);
}

int rn_given_flag(rn_given *g, const char *key)
{
    json_t *value = ask(g, key);
    if (value && !json_is_boolean(value))
        rn_given_fail(g, RN_ERR_ARG, "%s: want true or false", key);
    return json_is_true(value);
}

/* "64x200" and the like: `want` whole numbers of at most six digits. */
static int read_sizes(const char *text, int want, int *out)
{
    for (int i = 0; i < want; i++) {
        int digits = 0, value = 0;
        for (; *text >= '0' && *text <= '9' && digits < 7; text++, digits++)
            value = value * 10 + (*text - '0');
        if (!digits || digits > 6 || !value || *text != (i + 1 < want ? 'x' : 0))
            return -1;
        out[i] = value;
        text += i + 1 < want;
    }
    return 0;
}

/* specN and netN: what the benchmarks are called in SPEED.md. */
static void alias(const char *name, char resnet[24])
{
    if (strncmp(name, "spec", 4) == 0)
        snprintf(resnet, 24, "resnet%.10s", name + 4);
    else if (strncmp(name, "net", 3) == 0)
        snprintf(resnet, 24, "imagenet%.10s", name + 3);
    else
        snprintf(resnet, 24, "%.23s", name);
}

int rn_network_known(const char *name)
{
    char resnet[24];
    alias(name, resnet);
    for (int i = 0; i < rn_arch_count(); i++)
        if (strcmp(rn_arch_name(i), resnet) == 0)
            return 1;
    return 0;
}

/* Where nothing else is said: 224x224 with a stem that has a pool, 32x32 for three channels, else two seconds of 64 bins, or of 80 where
 * statistics over time are pooled. */
static void usual_input(const rn_arch *arch, int *height, int *width)
{
    *height = arch->pooling == RN_POOLING_TSTP ? 80 : 64;
    *width = 200;
    if (arch->stem != RN_STEM_3X3)
        *height = *width = 224;
    else if (arch->in_channels == 3)
        *height = *width = 32;
}

static void given_member(rn_given *g, const rn_arch_field *f, rn_arch *arch)
{
    char want[RN_ARCH_WANT], option[40];
    json_t *value = ask(g, f->key);
    if (!value || !rn_arch_set_member(arch, f->key, value, want))
        return;
    snprintf(option, sizeof option, "--%s", f->key);
    for (char *p = option; *p; p++)
        if (*p == '_')
            *p = '-';
    if (json_is_string(value))
        rn_given_fail(g, RN_ERR_ARG, "%s %.60s: want %s", option, json_string_value(value), want);
    else
        rn_given_fail(g, RN_ERR_ARG, "%s: want %s", option, want);
}

int rn_given_input(rn_given *g, int sizes[3])
{
    const char *text = rn_given_text(g, "input", NULL);
    if (text && read_sizes(text, 3, sizes)) {
        rn_given_fail(g, RN_ERR_ARG, "--input %s: want CxHxW, for example 1x64x200", text);
        return 0;
    }
    return text != NULL;
}

void rn_given_network(rn_given *g, const char *name, rn_arch *arch, int *height, int *width)
{
    char resnet[24];
    int sizes[3], fields_count;
    const char *text = rn_given_text(g, "arch", "resnet18");
    alias(name ? name : text, resnet);
    if (g->status || (g->status = rn_arch_default(arch, resnet, g->err)))
        return;
    const rn_arch_field *fields = rn_arch_fields(&fields_count);
    for (int i = 0; i < fields_count; i++)
        given_member(g, &fields[i], arch);
    usual_input(arch, height, width);
    if (rn_given_input(g, sizes)) {
        if (rn_given_has(g, "in_channels") && arch->in_channels != sizes[0])
            rn_given_fail(g, RN_ERR_ARG, "--input %s has %d channels, --in-channels says %d", rn_given_text(g, "input", ""), sizes[0],
                          arch->in_channels);
        arch->in_channels = sizes[0];
        *height = sizes[1];
        *width = sizes[2];
    }
    if (arch->pooling == RN_POOLING_TSTP && !rn_given_has(g, "pool_rows"))
        arch->pool_rows = rn_arch_rows(arch, *height);
}

char *rn_result_text(json_t *value, rn_error *err)
{
    char *text = NULL;
    rn_json_dump(value, JSON_COMPACT, &text, err);
    json_decref(value);
    return text;
}
