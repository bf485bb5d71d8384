/* safetensors: 8 bytes little-endian length N, N bytes of JSON, then the tensors' bytes to the end of the file.
 *
 * The JSON object maps a name to {"dtype", "shape", "data_offsets": [begin, end]}, offsets within the bytes after the JSON, and may
 * hold "__metadata__", strings to strings. Sorted by (begin, end) the tensors must cover those bytes exactly: no hole, no
 * overlap, nothing after the last. Before Jansson sees the header one pass over its characters bounds its depth and its number of
 * values, and refuses minus signs, so that a hostile header costs neither stack nor memory; numbers with a point or an exponent are
 * refused afterwards, since Jansson does not call them integers.
 *
 * Source: the format's description and its reference reader in Rust (2026-05). Written files follow that writer: metadata first, then
 * tensors by dtype (largest first) and name, the header padded with spaces to 8 bytes.
 */
#include "formats/tensors.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "formats/json.h"
#include "formats/pth.h"

#define MOST_HEADER 100000000u
#define MOST_DEPTH 4
#define MOST_TENSORS 65536
#define MOST_METADATA 4096 /* looked up one by one */
#define MOST_COMMAS (MOST_TENSORS * 16)
#define MOST_INTEGER (INT64_C(1) << 48)

static const struct {
    const char *name;
    rn_dtype dtype;
} readable[] = {{"F32", RN_F32}, {"F16", RN_F16}, {"BF16", RN_BF16}, {"F64", RN_F64},
                {"I64", RN_I64}, {"I32", RN_I32}, {"U8", RN_U8},     {"BOOL", RN_BOOL}};

static const char *const unreadable[] = {"F4", "F6_E2M3", "F6_E3M2", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ",
    "I16", "U16", "U32", "C64", "U64"};

/* One tensor while it is checked; `begin` and `end` count from the first byte after the header. */
typedef struct entry {
    const char *name; /* the JSON object's */
    rn_tensor tensor;
    uint64_t begin, end;
} entry;

/* What a reader may meet instead of a safetensors file. */
static int wrong_kind(const char *name, const unsigned char *head, size_t size, rn_error *err)
{
    if (rn_pth_known(head, size))
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: a PyTorch file, where a model or safetensors file is wanted; `resnet info` lists its tensors", name);
    return rn_error_set(err, RN_ERR_FORMAT, "%s: not a safetensors file: %s", name,
        size < 8 ? "it is shorter than 8 bytes" : "its first 8 bytes are no length of a header that would fit into it; it may be cut off");
}

/* Bounds depth and number of values, and finds what no valid header has outside strings. */
static int scan_header(const char *name, const char *json, size_t n, rn_error *err)
{
    int depth = 0, string = 0;
    long objects = 0, commas = 0;
    for (size_t i = 0; i < n; i++) {
        char c = json[i];
        if (string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                string = 0;
            continue;
        }
        switch (c) {
        case '"': string = 1; break;
        case '{': objects++; /* fall through */
        case '[': depth++; break;
        case '}':
        case ']': depth--; break;
        case ',': commas++; break;
        case '-': return rn_error_set(err, RN_ERR_FORMAT, "%s: the header has a negative number", name);
        default: break;
        }
        if (depth > MOST_DEPTH)
            return rn_error_set(err, RN_ERR_FORMAT, "%s: the header is nested more than %d deep", name, MOST_DEPTH);
        if (objects > MOST_TENSORS + 2 || commas > MOST_COMMAS)
            return rn_error_set(err, RN_ERR_FORMAT, "%s: the header has more than %d tensors", name, MOST_TENSORS);
    }
    return 0;
}

/* An unsigned number below 2^48 in plain digits. */
static int get_size(const json_t *value, int64_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > MOST_INTEGER)
        return -1;
    *out = json_integer_value(value);
    return 0;
}

static int get_dtype(const char *name, const char *tensor, const json_t *value, rn_dtype *out, rn_error *err)
{
    const char *text = json_string_value(value);
    for (size_t i = 0; text && i < sizeof readable / sizeof *readable; i++)
        if (strcmp(text, readable[i].name) == 0) {
            *out = readable[i].dtype;
            return 0;
        }
    for (size_t i = 0; text && i < sizeof unreadable / sizeof *unreadable; i++)
        if (strcmp(text, unreadable[i]) == 0)
            return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: %s has dtype %s, which this build cannot read; convert it to F32", name,
                                tensor, text);
    return rn_error_set(err, RN_ERR_FORMAT, "%s: %s has no known dtype", name, tensor);
}

static int get_entry(const char *name, const char *key, const json_t *object, entry *e, rn_error *err)
{
    rn_shown s = rn_show(key);
    const json_t *shape = json_object_get(object, "shape"), *offsets = json_object_get(object, "data_offsets");
    int64_t begin, end, bytes;
    if (!json_is_object(object) || json_object_size(object) != 3 || !json_is_array(shape) || !json_is_array(offsets))
        return rn_error_set(err, RN_ERR_FORMAT, "%s: %s wants dtype, shape and data_offsets, and nothing else", name, s.text);
    int status = get_dtype(name, s.text, json_object_get(object, "dtype"), &e->tensor.dtype, err);
    if (status)
        return status;
    if (json_array_size(shape) > 8)
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: %s has %zu dimensions, at most 8 can be read", name, s.text,
                            json_array_size(shape));
    e->name = key;
    e->tensor.dims = (int)json_array_size(shape);
    e->tensor.count = 1;
    for (int d = 0; d < e->tensor.dims; d++)
        if (get_size(json_array_get(shape, (size_t)d), &e->tensor.shape[d]) ||
            __builtin_mul_overflow(e->tensor.count, e->tensor.shape[d], &e->tensor.count))
            return rn_error_set(err, RN_ERR_FORMAT, "%s: the shape of %s is no list of sizes, or too large", name, s.text);
    if (__builtin_mul_overflow(e->tensor.count, (int64_t)rn_dtype_size(e->tensor.dtype), &bytes))
        return rn_error_set(err, RN_ERR_FORMAT, "%s: the shape of %s is too large", name, s.text);
    if (json_array_size(offsets) != 2 || get_size(json_array_get(offsets, 0), &begin) || get_size(json_array_get(offsets, 1), &end) ||
        end < begin)
        return rn_error_set(err, RN_ERR_FORMAT, "%s: data_offsets of %s are not two positions in order", name, s.text);
    if (end - begin != bytes)
        return rn_error_set(err, RN_ERR_FORMAT, "%s: %s has %lld bytes, its shape and dtype %s want %lld", name, s.text,
                            (long long)(end - begin), rn_dtype_name(e->tensor.dtype), (long long)bytes);
    e->begin = (uint64_t)begin;
    e->end = (uint64_t)end;
    return 0;
}

static int get_metadata(const char *name, const json_t *object, rn_tensors *out, rn_error *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object) || json_object_size(object) > MOST_METADATA)
        return rn_error_set(err, RN_ERR_FORMAT, "%s: __metadata__ is not an object of at most %d texts", name, MOST_METADATA);
    json_object_foreach((json_t *)object, key, value)
    {
        if (!json_is_string(value))
            return rn_error_set(err, RN_ERR_FORMAT, "%s: __metadata__ holds something that is not a string under %s", name,
                                rn_show(key).text);
        int status = rn_tensors_set_metadata(out, key, json_string_value(value), err);
        if (status)
            return status;
    }
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Entries in the order of their bytes: each must begin where the one before ended, and the last end with the file. */
static int place_entries(const char *name, entry *entries, size_t count, const unsigned char *bytes, uint64_t size, rn_tensors *out,
                         rn_error *err)
{
    uint64_t at = 0;
    if (count)
        qsort(entries, count, sizeof *entries, by_place);
    for (size_t i = 0; i < count; i++) {
        entry *e = &entries[i];
        if (e->begin != at)
            return rn_error_set(err, RN_ERR_FORMAT, "%s: %s at %s (byte %llu instead of %llu)", name,
                                e->begin > at ? "a hole before the data" : "data overlap", rn_show(e->name).text,
                                (unsigned long long)e->begin, (unsigned long long)at);
        if (e->end > size)
            return rn_error_set(err, RN_ERR_FORMAT, "%s: cut off inside %s: %llu bytes of data, at least %llu are wanted", name,
                                rn_show(e->name).text, (unsigned long long)size, (unsigned long long)e->end);
        at = e->end;
        int status = rn_tensors_add(out, e->name, e->tensor.dtype, e->tensor.dims, e->tensor.shape, bytes + e->begin, err);
        if (status)
            return status;
    }
    if (at != size)
        return rn_error_set(err, RN_ERR_FORMAT, "%s: %llu bytes after the last tensor", name, (unsigned long long)(size - at));
    return 0;
}

int rn_safetensors_parse(const char *name, const void *data, size_t size, rn_tensors *out, rn_error *err)
{
    const unsigned char *bytes = data;
    uint64_t n;
    json_t *root = NULL, *value;
    json_error_t why;
    const char *key;
    entry *entries = NULL;
    size_t count = 0;
    int status;

    memset(out, 0, sizeof *out);
    if (size < 8)
        return wrong_kind(name, bytes, size, err);
    memcpy(&n, bytes, 8);
    if (n > MOST_HEADER || n > size - 8 || n < 2)
        return wrong_kind(name, bytes, size, err);
    const char *json = (const char *)bytes + 8;
    if ((status = scan_header(name, json, (size_t)n, err)))
        return status;
    root = json_loadb(json, (size_t)n, JSON_REJECT_DUPLICATES, &why);
    if (!root && json_error_code(&why) == json_error_out_of_memory) {
        status = rn_error_memory(err, "the header of a model file", n);
        goto fail;
    }
    if (!json_is_object(root)) {
        status = rn_error_set(err, RN_ERR_FORMAT, "%s: the header is not valid: %s", name,
                              root ? "an object is wanted" : rn_show(why.text).text);
        goto fail;
    }
    entries = calloc(json_object_size(root) + 1, sizeof *entries);
    if (!entries) {
        status = rn_error_memory(err, "the header of a model file", json_object_size(root) * sizeof *entries);
        goto fail;
    }
    json_object_foreach(root, key, value)
    {
        status =
            strcmp(key, "__metadata__") == 0 ? get_metadata(name, value, out, err) : get_entry(name, key, value, &entries[count++], err);
        if (status)
            goto fail;
    }
    status = place_entries(name, entries, count, bytes + 8 + n, size - 8 - n, out, err);
fail:
    if (status)
        rn_tensors_free(out);
    free(entries);
    json_decref(root);
    return status;
}

/* A look at the first bytes, so that a large file of another kind is not read whole. */
static int check_head(const char *path, rn_error *err)
{
    unsigned char head[8];
    struct stat st;
    FILE *file = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? fopen(path, "rbe") : NULL;
    if (!file)
        return 0; /* rn_file_read says why */
    size_t got = fread(head, 1, sizeof head, file);
    fclose(file);
    uint64_t n = 0;
    if (got == sizeof head)
        memcpy(&n, head, sizeof n);
    if (got < sizeof head || n < 2 || n > MOST_HEADER || n > (uint64_t)st.st_size - sizeof head)
        return wrong_kind(path, head, got, err);
    return 0;
}

int rn_safetensors_read(const char *path, rn_tensors *out, rn_error *err)
{
    unsigned char *data;
    size_t size;
    memset(out, 0, sizeof *out);
    int status = check_head(path, err);
    if (!status)
        status = rn_file_read(path, SIZE_MAX / 2, &data, &size, err);
    if (status)
        return status;
    status = rn_safetensors_parse(path, data, size, out, err);
    if (status) {
        free(data);
        return status;
    }
    out->buffer = data;
    out->buffer_size = size;
    return 0;
}

/* The format's own order of dtypes; the largest come first, so every tensor is aligned to its element. */
static int dtype_rank(rn_dtype d)
{
    static const int ranks[] = {
        [RN_I64] = 7, [RN_F64] = 6, [RN_F32] = 5, [RN_I32] = 4, [RN_BF16] = 3, [RN_F16] = 2, [RN_U8] = 1, [RN_BOOL] = 0};
    return ranks[d];
}

static int by_dtype_and_name(const void *a, const void *b)
{
    const rn_tensor *x = *(const rn_tensor *const *)a, *y = *(const rn_tensor *const *)b;
    int order = dtype_rank(y->dtype) - dtype_rank(x->dtype);
    return order ? order : strcmp(x->name, y->name);
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp((*(char **const *)a)[0], (*(char **const *)b)[0]);
}

/* Steals `value`; NULL means a text that is not UTF-8, or short memory. */
static int add_text(const char *path, json_t *object, const char *key, json_t *value, rn_error *err)
{
    if (value && json_object_set_new(object, key, value) == 0)
        return 0;
    return rn_error_set(err, RN_ERR_ARG, "%s: %s cannot be written: its name or text is not UTF-8, or memory is short", path,
                        rn_show(key).text);
}

/* {"__metadata__": {...}} with the keys in byte order, or {} where there is none. */
static int metadata_object(const char *path, const rn_tensors *t, json_t **out, rn_error *err)
{
    json_t *root = json_object(), *metadata = json_object();
    char **(*order) = malloc(((size_t)t->metadata_count + 1) * sizeof *order); /* places in t->keys */
    int status = 0;
    if (!root || !metadata || !order) {
        status = rn_error_memory(err, "the header of a model file", (unsigned long long)t->metadata_count * sizeof *order);
        goto fail;
    }
    for (int i = 0; i < t->metadata_count; i++)
        order[i] = &t->keys[i];
    qsort(order, (size_t)t->metadata_count, sizeof *order, compare_keys);
    for (int i = 0; !status && i < t->metadata_count; i++)
        status = add_text(path, metadata, *order[i], json_string(t->values[order[i] - t->keys]), err);
    if (!status && t->metadata_count)
        status = add_text(path, root, "__metadata__", json_incref(metadata), err);
fail:
    free(order);
    json_decref(metadata);
    if (status)
        json_decref(root);
    else
        *out = root;
    return status;
}

static json_t *entry_object(const rn_tensor *t, int64_t begin, int64_t end)
{
    json_t *shape = json_array();
    for (int d = 0; shape && d < t->dims; d++)
        if (json_array_append_new(shape, json_integer(t->shape[d]))) {
            json_decref(shape);
            return NULL;
        }
    if (!shape)
        return NULL;
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", rn_dtype_name(t->dtype), "shape", shape, "data_offsets", (json_int_t)begin,
                     (json_int_t)end);
}

/* Room for a text and its padding, or an error that says which. */
static int dump_header(const char *path, const json_t *root, char **text, size_t *size, rn_error *err)
{
    char *dumped, *padded;
    int status = rn_json_dump(root, JSON_COMPACT | JSON_PRESERVE_ORDER, &dumped, err);
    if (status)
        return status;
    size_t n = strlen(dumped);
    *size = (n + 7) / 8 * 8;
    padded = realloc(dumped, *size + 1);
    if (!padded) {
        free(dumped);
        return rn_error_memory(err, "the header of a model file", *size);
    }
    *text = padded;
    memset(padded + n, ' ', *size - n);
    if (n > MOST_HEADER)
        return rn_error_set(err, RN_ERR_ARG, "%s: a header of %zu bytes: readers accept at most %u", path, n, MOST_HEADER);
    return 0;
}

/* The padded header in *text, its length in *size. *text is the caller's, after an error too. */
static int header_text(const char *path, const rn_tensors *t, const rn_tensor *const *order, char **text, size_t *size, rn_error *err)
{
    json_t *root = NULL;
    int64_t at = 0, bytes;
    int status = metadata_object(path, t, &root, err);
    for (int i = 0; !status && i < t->count; i++, at += bytes) {
        const char *name = order[i]->name;
        if (__builtin_mul_overflow(order[i]->count, (int64_t)rn_dtype_size(order[i]->dtype), &bytes) || bytes > MOST_INTEGER ||
            at + bytes > MOST_INTEGER)
            status = rn_error_set(err, RN_ERR_ARG, "%s: %s is too large for a file", path, name);
        else if (strcmp(name, "__metadata__") == 0 || json_object_get(root, name))
            status = rn_error_set(err, RN_ERR_ARG, "%s: a second tensor is called %s", path, name);
        else
            status = add_text(path, root, name, entry_object(order[i], at, at + bytes), err);
    }
    if (!status)
        status = dump_header(path, root, text, size, err);
    json_decref(root);
    return status;
}

int rn_safetensors_write(const char *path, const rn_tensors *tensors, rn_error *err)
{
    rn_save save = {0};
    char *header = NULL;
    size_t n;
    int status;
    const rn_tensor **order = malloc(((size_t)tensors->count + 1) * sizeof *order);
    if (!order)
        return rn_error_memory(err, "the header of a model file", (unsigned long long)tensors->count * sizeof *order);
    for (int i = 0; i < tensors->count; i++)
        order[i] = &tensors->items[i];
    qsort(order, (size_t)tensors->count, sizeof *order, by_dtype_and_name);
    if ((status = header_text(path, tensors, order, &header, &n, err)))
        goto fail;
    uint64_t length = n;
    if ((status = rn_save_open(&save, path, err)) || (status = rn_save_write(&save, &length, 8, err)) ||
        (status = rn_save_write(&save, header, n, err)))
        goto fail;
    for (int i = 0; i < tensors->count; i++)
        if ((status = rn_save_write(&save, order[i]->data, (size_t)order[i]->count * rn_dtype_size(order[i]->dtype), err)))
            goto fail;
    status = rn_save_commit(&save, err);
fail:
    rn_save_drop(&save);
    free(header);
    free(order);
    return status;
}
