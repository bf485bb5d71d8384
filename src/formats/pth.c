/* torch.save's two containers, and the tensors that their pickle describes.
 *
 * Since 1.6 a file is a zip archive (zip.h) with everything below one folder X: X/data.pkl, the object; X/data/KEY, the bytes of storage
 * KEY; X/byteorder. Before, it was a stream: five pickles (a magic number, the version 1001, the machine, the object, the list of
 * storage keys) and then, for each key of the list, its number of elements (int64) and the elements.
 *
 * A tensor is the call torch._utils._rebuild_tensor_v2(storage, offset, size, stride, ...), its storage the persistent id ("storage", type,
 * key, location, elements); offset, size and stride count elements. Storages are shared between tensors, and a tensor may be any view
 * of one, so that what is no plain array is copied together. Views that repeat elements (expand) can be larger than the file;
 * no file may ask for more copies than its own size and MOST_EXTRA.
 * Source: torch/serialization.py and torch/_utils.py (2.x).
 */
#include "formats/pth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/utf8.h"
#include "formats/pickle.h"
#include "formats/zip.h"

enum { MOST_TENSORS = 65536, MOST_NAME = 255, MOST_KEY = 64, MOST_DEPTH = 2, MOST_LOOKS = 1 << 24, MOST_EXTRA = 1 << 20 };
#define MOST_SIZE (INT64_C(1) << 48)

#define COMPRESSED "%s: %s is compressed, which torch.save never does; pack the archive anew with stored members"

static const unsigned char magic[] = {0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, '.'};

typedef struct storage_type {
    const char *global;
    int size, dtype; /* -1: nothing here reads it */
} storage_type;

static const storage_type types[] = {
    {"torch\nFloatStorage", 4, RN_F32},      {"torch\nDoubleStorage", 8, RN_F64},   {"torch\nHalfStorage", 2, RN_F16},
    {"torch\nBFloat16Storage", 2, RN_BF16},  {"torch\nLongStorage", 8, RN_I64},     {"torch\nIntStorage", 4, RN_I32},
    {"torch\nByteStorage", 1, RN_U8},        {"torch\nBoolStorage", 1, RN_BOOL},    {"torch\nShortStorage", 2, -1},
    {"torch\nCharStorage", 1, -1},           {"torch\nComplexFloatStorage", 8, -1}, {"torch\nComplexDoubleStorage", 16, -1},
    {"torch.storage\nUntypedStorage", 1, -1}};

static const char *const tensor_calls[] = {"torch._utils\n_rebuild_tensor_v2", "torch._utils\n_rebuild_tensor",
                                           "torch._utils\n_rebuild_tensor_v3"};
#define PARAMETER_CALL "torch._utils\n_rebuild_parameter"

/* A storage of the stream: what the pickle says of its key, and where its elements were found. */
typedef struct record {
    const rn_pickle_node *key;
    int size;                  /* of an element */
    const unsigned char *data; /* NULL: not seen yet */
    int64_t count;
} record;

typedef struct pth {
    const char *name;
    const unsigned char *data;
    size_t size;
    rn_pickle pickle;
    rn_zip zip;
    char folder[256]; /* "X/"; "" for a stream */
    record *records;  /* of a stream, in order of their keys */
    size_t records_count;
    long looks;                             /* left, for the search of the dictionary */
    const rn_pickle_node *path[MOST_DEPTH]; /* keys that led to the dictionary */
    rn_error *err;
} pth;

/* A tensor as the pickle describes it, checked. */
typedef struct view {
    char name[MOST_NAME + 1];
    rn_dtype dtype;
    int dims;
    int64_t shape[8], stride[8], count;
    const unsigned char *data; /* its first element */
    int plain;                 /* lies there row by row */
} view;

typedef struct global_text {
    char text[208];
} global_text;

/* "module.name" of a global; of a call, of what it calls. */
static global_text text_of_global(const rn_pickle *p, const rn_pickle_node *n)
{
    global_text g = {"something without a name"};
    for (int i = 0; i < 4 && n->kind == RN_PICKLE_CALL; i++)
        n = rn_pickle_item(p, n, 0);
    if (n->kind != RN_PICKLE_GLOBAL)
        return g;
    snprintf(g.text, sizeof g.text, "%.*s", (int)n->count, n->text);
    for (char *c = g.text; *c; c++)
        if (*c == '\n')
            *c = '.';
    return g;
}

static int is_call_of(const rn_pickle *p, const rn_pickle_node *n, const char *global)
{
    return n->kind == RN_PICKLE_CALL && rn_pickle_is(rn_pickle_item(p, n, 0), RN_PICKLE_GLOBAL, global);
}

/* The call that makes the tensor n, where n may be a parameter around it; NULL: n is no tensor. */
static const rn_pickle_node *tensor_call(const rn_pickle *p, const rn_pickle_node *n)
{
    if (is_call_of(p, n, PARAMETER_CALL)) {
        const rn_pickle_node *arguments = rn_pickle_item(p, n, 1);
        if (arguments->count < 1)
            return NULL;
        n = rn_pickle_item(p, arguments, 0);
    }
    for (size_t i = 0; i < sizeof tensor_calls / sizeof *tensor_calls; i++)
        if (is_call_of(p, n, tensor_calls[i]))
            return n;
    return NULL;
}

static const storage_type *find_type(const rn_pickle_node *n)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (rn_pickle_is(n, RN_PICKLE_GLOBAL, types[i].global))
            return &types[i];
    return NULL;
}

/* ("storage", type, key, location, elements[, view]); NULL: something else, or a key that is no number. */
static const rn_pickle_node *storage_id(const rn_pickle *p, const rn_pickle_node *n)
{
    if (n->kind != RN_PICKLE_PERSISTENT)
        return NULL;
    n = rn_pickle_item(p, n, 0);
    if (n->kind != RN_PICKLE_TUPLE || n->count < 5 || n->count > 6 || !rn_pickle_is(rn_pickle_item(p, n, 0), RN_PICKLE_TEXT, "storage"))
        return NULL;
    const rn_pickle_node *key = rn_pickle_item(p, n, 2);
    if (key->kind != RN_PICKLE_TEXT || key->count < 1 || key->count > MOST_KEY || rn_pickle_item(p, n, 4)->kind != RN_PICKLE_INTEGER)
        return NULL;
    for (uint32_t i = 0; i < key->count; i++)
        if (key->text[i] < '0' || key->text[i] > '9')
            return NULL;
    return n;
}

/* ---- The containers ---- */

static const rn_zip_member *find_member(const pth *p, const char *name)
{
    char path[sizeof p->folder + MOST_KEY + 16];
    int n = snprintf(path, sizeof path, "%s%s", p->folder, name);
    return rn_zip_find(&p->zip, path, (size_t)n);
}

static int open_zip(pth *p)
{
    int status = rn_zip_open(&p->zip, p->name, p->data, p->size, p->err);
    if (status)
        return status;
    const char *slash = p->zip.count ? memchr(p->zip.first, '/', p->zip.first_size) : NULL;
    size_t n = slash ? (size_t)(slash + 1 - p->zip.first) : 0;
    if (n >= sizeof p->folder)
        n = 0;
    memcpy(p->folder, p->zip.first ? p->zip.first : "", n);
    const rn_zip_member *object = find_member(p, "data.pkl"), *order = find_member(p, "byteorder");
    if (find_member(p, "constants.pkl"))
        return rn_error_set(
            p->err, RN_ERR_UNSUPPORTED,
            "%s: a TorchScript program; in Python, torch.save(torch.jit.load(path).state_dict(), path) keeps its tensors alone", p->name);
    if (!object || n == 0)
        return rn_error_set(p->err, RN_ERR_FORMAT, "%s: a zip archive that torch.save did not write: it has no data.pkl", p->name);
    if (object->compressed)
        return rn_error_set(p->err, RN_ERR_UNSUPPORTED, COMPRESSED, p->name, "data.pkl");
    if (order && (order->size != 6 || memcmp(order->data, "little", 6) != 0))
        return rn_error_set(p->err, RN_ERR_UNSUPPORTED, "%s: written on a big-endian machine; load and save it in Python on this one",
                            p->name);
    return rn_pickle_read(&p->pickle, p->name, object->data, (size_t)object->size, p->err);
}

static int compare_keys(const rn_pickle_node *x, const rn_pickle_node *y)
{
    int order = memcmp(x->text, y->text, x->count < y->count ? x->count : y->count);
    return order ? order : x->count < y->count ? -1 : x->count > y->count;
}

static int by_key(const void *a, const void *b)
{
    return compare_keys(((const record *)a)->key, ((const record *)b)->key);
}

static record *find_record(const pth *p, const rn_pickle_node *key)
{
    record wanted = {.key = key};
    return p->records_count ? bsearch(&wanted, p->records, p->records_count, sizeof wanted, by_key) : NULL;
}

/* All storages that the object's pickle names, once each. */
static int list_records(pth *p)
{
    const rn_pickle *pickle = &p->pickle;
    size_t count = 0;
    for (size_t i = 0; i < pickle->nodes_count; i++)
        count += storage_id(pickle, &pickle->nodes[i]) != NULL;
    p->records = calloc(count + 1, sizeof *p->records);
    if (!p->records)
        return rn_error_memory(p->err, "a list of storages", (count + 1) * sizeof *p->records);
    for (size_t i = 0, k = 0; i < pickle->nodes_count; i++) {
        const rn_pickle_node *id = storage_id(pickle, &pickle->nodes[i]);
        const storage_type *type = id ? find_type(rn_pickle_item(pickle, id, 1)) : NULL;
        if (id && !type)
            return rn_error_set(p->err, RN_ERR_UNSUPPORTED, "%s: has elements of %s, whose size is not known here", p->name,
                                text_of_global(pickle, rn_pickle_item(pickle, id, 1)).text);
        if (id)
            p->records[k++] = (record){.key = rn_pickle_item(pickle, id, 2), .size = type->size};
    }
    if (count)
        qsort(p->records, count, sizeof *p->records, by_key);
    for (size_t i = 0; i < count; i++) {
        record *last = p->records_count ? &p->records[p->records_count - 1] : NULL;
        if (!last || by_key(last, &p->records[i]) != 0)
            p->records[p->records_count++] = p->records[i];
        else if (last->size != p->records[i].size)
            return rn_error_set(p->err, RN_ERR_FORMAT, "%s: storage %.*s has elements of two sizes", p->name, (int)last->key->count,
                                last->key->text);
    }
    return 0;
}

/* The elements of one storage of the list, from byte *at, which moves behind them. */
static int place_record(const pth *p, const rn_pickle_node *key, size_t *at)
{
    record *r = key->kind == RN_PICKLE_TEXT ? find_record(p, key) : NULL;
    int64_t bytes;
    if (!r || r->data)
        return rn_error_set(p->err, RN_ERR_FORMAT, "%s: its list of storages names one %s", p->name, r ? "twice" : "that no tensor has");
    if (p->size - *at < 8)
        return rn_error_set(p->err, RN_ERR_FORMAT, "%s: cut off before storage %.*s", p->name, (int)key->count, key->text);
    memcpy(&r->count, p->data + *at, 8);
    *at += 8;
    if (r->count < 0 || __builtin_mul_overflow(r->count, (int64_t)r->size, &bytes) || (uint64_t)bytes > p->size - *at)
        return rn_error_set(p->err, RN_ERR_FORMAT, "%s: cut off inside storage %.*s: %zu bytes are left, it has %lld elements of %d",
                            p->name, (int)key->count, key->text, p->size - *at, (long long)r->count, r->size);
    r->data = p->data + *at;
    *at += (size_t)bytes;
    return 0;
}

/* The value of a text key; the last one where it is there twice, as in Python. */
static const rn_pickle_node *look_up(const rn_pickle *p, const rn_pickle_node *dict, const char *key)
{
    if (dict->kind == RN_PICKLE_DICT)
        for (uint32_t i = dict->count; i > 1; i -= 2)
            if (rn_pickle_is(rn_pickle_item(p, dict, i - 2), RN_PICKLE_TEXT, key))
                return rn_pickle_item(p, dict, i - 1);
    return NULL;
}

/* One pickle of the stream at *at, which moves behind it. */
static int next_pickle(const pth *p, size_t *at, rn_pickle *pickle)
{
    int status = rn_pickle_read(pickle, p->name, p->data + *at, p->size - *at, p->err);
    *at += pickle->size;
    return status;
}

static int open_stream(pth *p)
{
    rn_pickle version = {0}, machine = {0}, keys = {0};
    size_t at = sizeof magic;
    int status = next_pickle(p, &at, &version);
    if (!status)
        status = next_pickle(p, &at, &machine);
    if (status)
        goto fail;
    const rn_pickle_node *little = look_up(&machine, machine.root, "little_endian");
    if (version.root->kind != RN_PICKLE_INTEGER || version.root->integer != 1001)
        status = rn_error_set(p->err, RN_ERR_UNSUPPORTED, "%s: another version of torch.save's stream than 1001", p->name);
    else if (!little || little->kind != RN_PICKLE_BOOL || !little->integer)
        status = rn_error_set(p->err, RN_ERR_UNSUPPORTED,
                              "%s: not written on a little-endian machine; load and save it in Python on this one", p->name);
    if (status || (status = next_pickle(p, &at, &p->pickle)) || (status = next_pickle(p, &at, &keys)) || (status = list_records(p)))
        goto fail;
    if (keys.root->kind != RN_PICKLE_LIST) {
        status = rn_error_set(p->err, RN_ERR_FORMAT, "%s: there is no list of storages behind its pickle", p->name);
        goto fail;
    }
    for (uint32_t i = 0; i < keys.root->count && !status; i++)
        status = place_record(p, rn_pickle_item(&keys, keys.root, i), &at);
    if (!status && at != p->size)
        status = rn_error_set(p->err, RN_ERR_FORMAT, "%s: %zu bytes after the last storage", p->name, p->size - at);
fail:
    rn_pickle_free(&version);
    rn_pickle_free(&machine);
    rn_pickle_free(&keys);
    return status;
}

/* ---- The tensors ---- */

/* The bytes and elements of a storage; checks that the container has as many as the pickle says. */
static int find_storage(const pth *p, view *v, const rn_pickle_node *node, int64_t *elements)
{
    const rn_pickle *pickle = &p->pickle;
    const rn_pickle_node *id = storage_id(pickle, node);
    if (!id)
        return rn_error_set(p->err, RN_ERR_FORMAT, "%s: %s has no storage that torch.save would name", p->name, rn_show(v->name).text);
    const rn_pickle_node *global = rn_pickle_item(pickle, id, 1), *key = rn_pickle_item(pickle, id, 2);
    const storage_type *type = find_type(global);
    if (!type || type->dtype < 0)
        return rn_error_set(p->err, RN_ERR_UNSUPPORTED, "%s: %s has elements of %s, which this build cannot read; convert it to float32",
                            p->name, rn_show(v->name).text, text_of_global(pickle, global).text);
    char path[MOST_KEY + 8];
    int64_t count = rn_pickle_item(pickle, id, 4)->integer, bytes, have = -1;
    snprintf(path, sizeof path, "data/%.*s", (int)key->count, key->text);
    const rn_zip_member *member = p->folder[0] ? find_member(p, path) : NULL;
    const record *r = p->folder[0] ? NULL : find_record(p, key);
    if (member && member->compressed)
        return rn_error_set(p->err, RN_ERR_UNSUPPORTED, COMPRESSED, p->name, path);
    if (member) {
        v->data = member->data;
        have = (int64_t)member->size;
    } else if (r && r->data) {
        v->data = r->data;
        have = r->count * r->size;
    }
    if (have < 0)
        return rn_error_set(p->err, RN_ERR_FORMAT, "%s: the storage of %s (%s) is not in the file", p->name, rn_show(v->name).text,
                            path + 5);
    if (count < 0 || __builtin_mul_overflow(count, (int64_t)type->size, &bytes) || bytes != have)
        return rn_error_set(p->err, RN_ERR_FORMAT, "%s: the storage of %s has %lld bytes, its pickle says %lld elements of %d", p->name,
                            rn_show(v->name).text, (long long)have, (long long)count, type->size);
    if (id->count == 6 && rn_pickle_item(pickle, id, 5)->kind != RN_PICKLE_NONE)
        return rn_error_set(p->err, RN_ERR_UNSUPPORTED,
                            "%s: %s lies in a view of a storage, as PyTorch 0.3 wrote them; save it anew in Python", p->name,
                            rn_show(v->name).text);
    v->dtype = (rn_dtype)type->dtype;
    *elements = count;
    return 0;
}

/* size or stride: a tuple of numbers. */
static int get_sizes(const rn_pickle *p, const rn_pickle_node *n, int *dims, int64_t sizes[8])
{
    if (n->kind != RN_PICKLE_TUPLE || n->count > 8)
        return -1;
    *dims = (int)n->count;
    for (uint32_t i = 0; i < n->count; i++) {
        const rn_pickle_node *size = rn_pickle_item(p, n, i);
        if (size->kind != RN_PICKLE_INTEGER || size->integer < 0 || size->integer > MOST_SIZE)
            return -1;
        sizes[i] = size->integer;
    }
    return 0;
}

/* Counts the elements, and checks that the last one lies inside the storage. */
static int check_extent(view *v, int64_t offset, int64_t elements)
{
    int64_t last = offset, step, row = 1;
    v->count = 1;
    for (int d = 0; d < v->dims; d++)
        if (__builtin_mul_overflow(v->count, v->shape[d], &v->count) || v->count > MOST_SIZE)
            return -1;
    v->plain = 1;
    if (v->count == 0)
        return 0;
    for (int d = v->dims - 1; d >= 0; d--) {
        if (__builtin_mul_overflow(v->shape[d] - 1, v->stride[d], &step) || __builtin_add_overflow(last, step, &last))
            return -1;
        v->plain = v->plain && (v->shape[d] == 1 || v->stride[d] == row);
        row *= v->shape[d];
    }
    return last < elements ? 0 : -1;
}

/* (storage, offset, size, stride, ...) */
static int get_view(const pth *p, view *v, const rn_pickle_node *value)
{
    const rn_pickle *pickle = &p->pickle;
    const rn_pickle_node *call = tensor_call(pickle, value), *arguments = rn_pickle_item(pickle, call, 1);
    int64_t elements = 0;
    int stride_dims;
    if (arguments->count < 4)
        return rn_error_set(p->err, RN_ERR_FORMAT, "%s: %s is made of less than storage, offset, size and stride", p->name,
                            rn_show(v->name).text);
    if (is_call_of(pickle, call, tensor_calls[2])) /* the dtypes that have no storage type of their own: float8, uint16 ... */
        return rn_error_set(p->err, RN_ERR_UNSUPPORTED, "%s: %s has dtype %s, which this build cannot read; convert it to float32", p->name,
                            rn_show(v->name).text,
                            arguments->count < 7 ? "unknown" : text_of_global(pickle, rn_pickle_item(pickle, arguments, 6)).text);
    int status = find_storage(p, v, rn_pickle_item(pickle, arguments, 0), &elements);
    if (status)
        return status;
    const rn_pickle_node *offset = rn_pickle_item(pickle, arguments, 1);
    if (get_sizes(pickle, rn_pickle_item(pickle, arguments, 2), &v->dims, v->shape) ||
        get_sizes(pickle, rn_pickle_item(pickle, arguments, 3), &stride_dims, v->stride) || stride_dims != v->dims)
        return rn_error_set(p->err, RN_ERR_FORMAT, "%s: size and stride of %s are not as many numbers, 8 at most", p->name,
                            rn_show(v->name).text);
    if (offset->kind != RN_PICKLE_INTEGER || offset->integer < 0 || check_extent(v, offset->integer, elements))
        return rn_error_set(p->err, RN_ERR_FORMAT, "%s: %s reaches beyond its storage of %lld elements", p->name, rn_show(v->name).text,
                            (long long)elements);
    if (v->count)
        v->data += (size_t)offset->integer * rn_dtype_size(v->dtype);
    return 0;
}

static int get_name(const pth *p, view *v, const rn_pickle_node *key)
{
    if (key->count > MOST_NAME)
        return rn_error_set(p->err, RN_ERR_FORMAT, "%s: a tensor's name of %u bytes, at most %d can be read", p->name, (unsigned)key->count,
                            MOST_NAME);
    memcpy(v->name, key->text, key->count);
    v->name[key->count] = 0;
    if (strlen(v->name) != key->count || !rn_text_is_clean(v->name))
        return rn_error_set(p->err, RN_ERR_FORMAT, "%s: a tensor's name is no plain UTF-8: %s", p->name, rn_show(v->name).text);
    return 0;
}

/* Element by element in the order of the shape, the last dimension fastest. */
static void copy_view(const view *v, unsigned char *out)
{
    size_t size = rn_dtype_size(v->dtype);
    int64_t at[8] = {0}, from = 0;
    for (int64_t i = 0; i < v->count; i++, out += size) {
        memcpy(out, v->data + (size_t)from * size, size);
        for (int d = v->dims - 1; d >= 0; d--) {
            from += v->stride[d];
            if (++at[d] < v->shape[d])
                break;
            from -= v->shape[d] * v->stride[d];
            at[d] = 0;
        }
    }
}

/* Bytes of the copy that a view needs, kept aligned for the next one; 0 for plain ones. */
static uint64_t copy_size(const view *v)
{
    return v->plain ? 0 : ((uint64_t)v->count * rn_dtype_size(v->dtype) + 7) / 8 * 8;
}

static int add_views(const pth *p, const view *views, int count, rn_tensors *out)
{
    uint64_t copies = 0, most = (uint64_t)p->size + MOST_EXTRA;
    for (int i = 0; i < count; i++) {
        uint64_t size = copy_size(&views[i]);
        if (size > most - copies)
            return rn_error_set(p->err, RN_ERR_UNSUPPORTED,
                                "%s: %s repeats its storage to more than the file's size; save its .contiguous()", p->name,
                                rn_show(views[i].name).text);
        copies += size;
    }
    if (copies && !(out->copies = malloc(copies)))
        return rn_error_memory(p->err, p->name, copies);
    unsigned char *at = out->copies;
    for (int i = 0; i < count; i++) {
        const view *v = &views[i];
        int status = rn_tensors_add(out, v->name, v->dtype, v->dims, v->shape, v->plain ? v->data : at, p->err);
        if (status)
            return status;
        if (!v->plain) {
            copy_view(v, at);
            at += copy_size(v);
        }
    }
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const view *const *)a)->name, (*(const view *const *)b)->name);
}

static int check_names(const pth *p, const view *views, int count)
{
    const view **sorted = malloc(((size_t)count + 1) * sizeof *sorted);
    int status = sorted ? 0 : rn_error_memory(p->err, "a list of tensors", (unsigned long long)count * sizeof *sorted);
    for (int i = 0; !status && i < count; i++)
        sorted[i] = &views[i];
    if (!status)
        qsort(sorted, (size_t)count, sizeof *sorted, compare_names);
    for (int i = 1; !status && i < count; i++)
        if (compare_names(&sorted[i - 1], &sorted[i]) == 0)
            status = rn_error_set(p->err, RN_ERR_FORMAT, "%s: %s is there twice", p->name, rn_show(sorted[i]->name).text);
    free(sorted);
    return status;
}

static int read_dictionary(const pth *p, const rn_pickle_node *dict, rn_tensors *out)
{
    int count = (int)(dict->count / 2), status = 0;
    if (count > MOST_TENSORS)
        return rn_error_set(p->err, RN_ERR_FORMAT, "%s: %d tensors, at most %d can be read", p->name, count, MOST_TENSORS);
    view *views = calloc((size_t)count + 1, sizeof *views);
    if (!views)
        return rn_error_memory(p->err, "a list of tensors", ((unsigned long long)count + 1) * sizeof *views);
    for (int i = 0; i < count && !status; i++) {
        status = get_name(p, &views[i], rn_pickle_item(&p->pickle, dict, (uint32_t)i * 2));
        if (!status)
            status = get_view(p, &views[i], rn_pickle_item(&p->pickle, dict, (uint32_t)i * 2 + 1));
    }
    if (!status && !(status = check_names(p, views, count)))
        status = add_views(p, views, count, out);
    free(views);
    return status;
}

/* ---- The dictionary ---- */

static int all_tensors(pth *p, const rn_pickle_node *dict)
{
    for (uint32_t i = 0; i < dict->count; i += 2)
        if (--p->looks < 0 || rn_pickle_item(&p->pickle, dict, i)->kind != RN_PICKLE_TEXT ||
            !tensor_call(&p->pickle, rn_pickle_item(&p->pickle, dict, i + 1)))
            return 0;
    return dict->count > 0;
}

/* The first dictionary of nothing but tensors: n itself, what stands under a name that is usual for one, or anything in it. */
static const rn_pickle_node *find_dictionary(pth *p, const rn_pickle_node *n, int depth)
{
    static const char *const usual[] = {"state_dict_ema", "model_ema", "state_dict", "model", "model_state_dict", "net"};
    const rn_pickle *pickle = &p->pickle;
    if (n->kind != RN_PICKLE_DICT)
        return NULL;
    if (all_tensors(p, n))
        return n;
    for (size_t k = 0; depth < MOST_DEPTH && k <= sizeof usual / sizeof *usual; k++)
        for (uint32_t i = 0; i < n->count; i += 2) {
            const rn_pickle_node *key = rn_pickle_item(pickle, n, i), *found = NULL;
            int wanted = k == sizeof usual / sizeof *usual || rn_pickle_is(key, RN_PICKLE_TEXT, usual[k]);
            p->path[depth] = key;
            if (--p->looks < 0)
                return NULL;
            if (wanted && (found = find_dictionary(p, rn_pickle_item(pickle, n, i + 1), depth + 1)))
                return found;
            p->path[depth] = NULL;
        }
    return NULL;
}

/* Why there is no dictionary of tensors: most often somebody saved the module itself. */
static int explain_nothing(const pth *p)
{
    const rn_pickle *pickle = &p->pickle;
    const rn_pickle_node *n = pickle->root;
    const rn_pickle_node *model = look_up(pickle, n, "model");
    if (model && model->kind == RN_PICKLE_CALL)
        n = model;
    if (n->kind == RN_PICKLE_CALL && !tensor_call(pickle, n))
        return rn_error_set(p->err, RN_ERR_UNSUPPORTED,
                            "%s: holds a Python object (%s), which only Python can make, by running what the file says; where you trust "
                            "it, torch.save(model.state_dict(), path) there keeps its tensors alone",
                            p->name, text_of_global(pickle, n).text);
    if (n->kind == RN_PICKLE_DICT)
        for (uint32_t i = 0; i < n->count; i += 2)
            if (rn_pickle_item(pickle, n, i + 1)->kind == RN_PICKLE_CALL && !tensor_call(pickle, rn_pickle_item(pickle, n, i + 1)))
                return rn_error_set(p->err, RN_ERR_UNSUPPORTED, "%s: holds no dictionary of nothing but tensors; beside others it has %s",
                                    p->name, text_of_global(pickle, rn_pickle_item(pickle, n, i + 1)).text);
    return rn_error_set(p->err, RN_ERR_FORMAT,
                        "%s: holds no dictionary of nothing but tensors, as torch.save(model.state_dict(), path) writes", p->name);
}

static void append_text(char *text, size_t size, const char *more)
{
    size_t n = strlen(text);
    if (n + strlen(more) + 3 < size)
        snprintf(text + n, size - n, "%s%s", n ? ", " : "", more);
}

/* Where the tensors were found, and what was not read. */
static int add_metadata(const pth *p, rn_tensors *out)
{
    char where[2 * 100 + 4] = "", calls[1000] = "";
    for (int i = 0; i < MOST_DEPTH && p->path[i]; i++) {
        char key[100] = "?";
        if (p->path[i]->kind == RN_PICKLE_TEXT)
            snprintf(key, sizeof key, "%.*s", (int)p->path[i]->count, p->path[i]->text);
        for (char *c = key; *c; c++)
            if (*c < 0x20 || *c >= 0x7F)
                *c = '?';
        append_text(where, sizeof where, key);
    }
    for (size_t i = 0; i < p->pickle.nodes_count; i++) {
        const rn_pickle_node *n = &p->pickle.nodes[i];
        if (n->kind != RN_PICKLE_GLOBAL || find_type(n) || !strncmp(n->text, "torch._utils\n", 13) ||
            rn_pickle_is(n, RN_PICKLE_GLOBAL, "collections\nOrderedDict"))
            continue;
        global_text g = text_of_global(&p->pickle, n);
        if (!strstr(calls, g.text))
            append_text(calls, sizeof calls, g.text);
    }
    int status = rn_tensors_set_metadata(out, "pth.dictionary", where, p->err);
    return status || !calls[0] ? status : rn_tensors_set_metadata(out, "pth.not_read", calls, p->err);
}

int rn_pth_known(const void *head, size_t size)
{
    const unsigned char *bytes = head;
    return size >= 4 && (memcmp(bytes, "PK\3\4", 4) == 0 || memcmp(bytes, "PYTO", 4) == 0 || memcmp(bytes, magic, 4) == 0);
}

int rn_pth_parse(const char *name, const void *data, size_t size, rn_tensors *out, rn_error *err)
{
    pth p = {.name = name, .data = data, .size = size, .looks = MOST_LOOKS, .err = err};
    int status;
    memset(out, 0, sizeof *out);
    if (size >= 4 && memcmp(data, "PK\3\4", 4) == 0)
        status = open_zip(&p);
    else if (size >= sizeof magic && memcmp(data, magic, sizeof magic) == 0)
        status = open_stream(&p);
    else
        status = rn_error_set(err, RN_ERR_FORMAT, "%s: not a file that torch.save of PyTorch 0.4 or later wrote%s", name,
                              size < sizeof magic ? ": it is too short" : "");
    const rn_pickle_node *dict = status ? NULL : find_dictionary(&p, p.pickle.root, 0);
    if (!status)
        status = dict ? read_dictionary(&p, dict, out) : explain_nothing(&p);
    if (!status)
        status = add_metadata(&p, out);
    if (!status)
        rn_tensors_strip(out);
    else
        rn_tensors_free(out);
    rn_zip_close(&p.zip);
    rn_pickle_free(&p.pickle);
    free(p.records);
    return status;
}

int rn_pth_read(const char *path, rn_tensors *out, rn_error *err)
{
    unsigned char *data;
    size_t size;
    memset(out, 0, sizeof *out);
    int status = rn_file_read(path, SIZE_MAX / 2, &data, &size, err);
    if (status)
        return status;
    status = rn_pth_parse(path, data, size, out, err);
    if (status) {
        free(data);
        return status;
    }
    out->buffer = data;
    out->buffer_size = size;
    return 0;
}
