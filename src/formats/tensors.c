/* Lists of named tensors: building, finding, converting to float, freeing. */
#include "formats/tensors.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensor data are little-endian and used in place");

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {[RN_F32] = {"F32", 4}, [RN_F16] = {"F16", 2}, [RN_BF16] = {"BF16", 2}, [RN_F64] = {"F64", 8},
    [RN_I64] = {"I64", 8}, [RN_I32] = {"I32", 4}, [RN_U8] = {"U8", 1}, [RN_BOOL] = {"BOOL", 1}};

const char *rn_dtype_name(rn_dtype d)
{
    return dtypes[d].name;
}

size_t rn_dtype_size(rn_dtype d)
{
    return dtypes[d].size;
}

void rn_tensors_free(rn_tensors *t)
{
    for (int i = 0; i < t->count; i++)
        free(t->items[i].name);
    for (int i = 0; i < t->metadata_count; i++) {
        free(t->keys[i]);
        free(t->values[i]);
    }
    free(t->items);
    free(t->keys);
    free(t->values);
    free(t->buffer);
    free(t->copies);
    memset(t, 0, sizeof *t);
}

const rn_tensor *rn_tensors_find(const rn_tensors *t, const char *name)
{
    for (int i = 0; i < t->count; i++)
        if (strcmp(t->items[i].name, name) == 0)
            return &t->items[i];
    return NULL;
}

const char *rn_tensors_metadata(const rn_tensors *t, const char *key)
{
    for (int i = 0; i < t->metadata_count; i++)
        if (strcmp(t->keys[i], key) == 0)
            return t->values[i];
    return NULL;
}

/* A prefix of wrappers that all names begin with, or NULL. */
static const char *shared_prefix(const rn_tensors *t)
{
    static const char *const prefixes[] = {"module.", "_orig_mod.", "model."};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        int all = t->count > 0;
        for (int k = 0; all && k < t->count; k++)
            all = strncmp(t->items[k].name, prefixes[i], strlen(prefixes[i])) == 0;
        if (all)
            return prefixes[i];
    }
    return NULL;
}

void rn_tensors_strip(rn_tensors *t)
{
    for (const char *prefix; (prefix = shared_prefix(t));)
        for (int k = 0; k < t->count; k++) {
            char *name = t->items[k].name;
            memmove(name, name + strlen(prefix), strlen(name) - strlen(prefix) + 1);
        }
}

rn_shown rn_show(const char *name)
{
    rn_shown s;
    size_t n = 0;
    for (; name[n] && n < 96; n++)
        s.text[n] = (unsigned char)name[n] < 0x20 || name[n] == 0x7F ? '?' : name[n];
    while (name[n] && n > 0 && ((unsigned char)name[n] & 0xC0) == 0x80) /* not inside a character */
        n--;
    s.text[n] = 0;
    return s;
}

/* Arrays grow when their count reaches a power of two from 16 on. */
static void *room_for_one(void *items, int count, size_t size)
{
    if (items && (count < 16 || (count & (count - 1)) != 0))
        return items;
    return count > INT_MAX / 4 ? NULL : realloc(items, (count < 16 ? 16 : (size_t)count * 2) * size);
}

int rn_tensors_add(rn_tensors *t, const char *name, rn_dtype dtype, int dims, const int64_t *shape, const void *data, rn_error *err)
{
    rn_tensor tensor = {.dtype = dtype, .dims = dims, .count = 1, .data = data};
    if (dims < 0 || dims > 8)
        return rn_error_set(err, RN_ERR_ARG, "%s: %d dimensions, from 0 to 8 are possible", name, dims);
    for (int d = 0; d < dims; d++) {
        tensor.shape[d] = shape[d];
        if (shape[d] < 0 || __builtin_mul_overflow(tensor.count, shape[d], &tensor.count) || tensor.count > INT64_MAX / 8)
            return rn_error_set(err, RN_ERR_ARG, "%s: its shape is negative or too large", name);
    }
    rn_tensor *items = room_for_one(t->items, t->count, sizeof *items);
    if (!items)
        return rn_error_memory(err, "a list of tensors", (unsigned long long)t->count * sizeof *items);
    t->items = items;
    tensor.name = strdup(name);
    if (!tensor.name)
        return rn_error_memory(err, "a tensor's name", strlen(name) + 1);
    items[t->count++] = tensor;
    return 0;
}

int rn_tensors_set_metadata(rn_tensors *t, const char *key, const char *value, rn_error *err)
{
    char *copy = strdup(value), *name = NULL, **keys, **values;
    if (!copy)
        goto fail;
    for (int i = 0; i < t->metadata_count; i++)
        if (strcmp(t->keys[i], key) == 0) {
            free(t->values[i]);
            t->values[i] = copy;
            return 0;
        }
    name = strdup(key);
    if (!name)
        goto fail;
    if (!(keys = room_for_one(t->keys, t->metadata_count, sizeof *keys)))
        goto fail;
    t->keys = keys;
    if (!(values = room_for_one(t->values, t->metadata_count, sizeof *values)))
        goto fail;
    t->values = values;
    keys[t->metadata_count] = name;
    values[t->metadata_count++] = copy;
    return 0;
fail:
    free(copy);
    free(name);
    return rn_error_memory(err, "metadata", strlen(value));
}

static float half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = half >> 10 & 31u, fraction = half & 0x3FFu, bits;
    float value;
    if (exponent == 0) { /* zero and subnormals: fraction * 2^-24, exact in float */
        value = (float)fraction * 0x1p-24f;
        return sign ? -value : value;
    }
    bits = sign | (exponent == 31 ? 0x7F800000u : (exponent + 112) << 23) | fraction << 13;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float element(rn_dtype dtype, const unsigned char *p)
{
    float f;
    double d;
    int64_t l;
    int32_t i;
    uint16_t h;
    uint32_t u;
    switch (dtype) {
    case RN_F32: memcpy(&f, p, 4); return f;
    case RN_F16: memcpy(&h, p, 2); return half_to_float(h);
    case RN_BF16:
        memcpy(&h, p, 2);
        u = (uint32_t)h << 16;
        memcpy(&f, &u, 4);
        return f;
    case RN_F64: memcpy(&d, p, 8); return (float)d;
    case RN_I64: memcpy(&l, p, 8); return (float)l;
    case RN_I32: memcpy(&i, p, 4); return (float)i;
    case RN_U8: return (float)*p;
    default: return *p ? 1.0f : 0.0f;
    }
}

void rn_tensor_floats(const rn_tensor *t, float *out)
{
    const unsigned char *p = t->data;
    size_t step = rn_dtype_size(t->dtype);
    if (t->count == 0)
        return;
    if (t->dtype == RN_F32) {
        memcpy(out, p, (size_t)t->count * step);
        return;
    }
    for (int64_t i = 0; i < t->count; i++, p += step)
        out[i] = element(t->dtype, p);
}
