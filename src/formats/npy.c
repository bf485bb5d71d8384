/* NumPy's .npy: "\x93NUMPY", version, length of a header, the header (a Python dictionary as text), the elements in C order.
 *
 *     {'descr': '<f4', 'fortran_order': False, 'shape': (3, 64, 200), }
 *
 * The dictionary is read by a parser of exactly these three keys, in any order. Python objects (descr 'O') are pickles and are refused, as
 * are records and complex numbers. Files are written as version 1.0 with the data at a multiple of 64 bytes, as NumPy does.
 * Source: NumPy's format description (numpy/lib/format), versions 1.0 to 3.0.
 */
#include "formats/npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "formats/tensors.h"

#define MOST_HEADER (1u << 20)
#define MOST_SIZE (INT64_C(1) << 48)

typedef struct npy_header {
    char descr[16];
    int seen; /* one bit per key */
    int fortran, dims;
    int64_t shape[8];
} npy_header;

typedef struct text {
    const char *at, *end;
} text;

static int skip(text *t)
{
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\n' || *t->at == '\t' || *t->at == '\r'))
        t->at++;
    return t->at < t->end ? (unsigned char)*t->at : -1;
}

static int take(text *t, char c)
{
    if (skip(t) != (unsigned char)c)
        return 0;
    t->at++;
    return 1;
}

static int take_word(text *t, const char *word)
{
    size_t n = strlen(word);
    skip(t);
    if ((size_t)(t->end - t->at) < n || memcmp(t->at, word, n) != 0)
        return 0;
    t->at += n;
    return 1;
}

/* A quoted text without escapes. */
static int take_string(text *t, char *out, size_t size)
{
    int quote = skip(t);
    size_t n = 0;
    if (quote != '\'' && quote != '"')
        return 0;
    for (t->at++; t->at < t->end && *t->at != quote; t->at++) {
        if (n + 1 >= size || *t->at == '\\')
            return 0;
        out[n++] = *t->at;
    }
    out[n] = 0;
    return t->at++ < t->end;
}

/* (), (3,), (3, 4): plain digits; Python 2 wrote 3L. */
static int take_shape(text *t, npy_header *h)
{
    if (!take(t, '('))
        return 0;
    while (!take(t, ')')) {
        int64_t value = 0;
        int c = skip(t), digits = 0;
        for (; t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++, digits++) {
            value = value * 10 + (*t->at - '0');
            if (value > MOST_SIZE)
                return 0;
        }
        if (c < 0 || digits == 0 || h->dims == 8)
            return 0;
        if (t->at < t->end && *t->at == 'L')
            t->at++;
        h->shape[h->dims++] = value;
        if (!take(t, ',') && skip(t) != ')')
            return 0;
    }
    return 1;
}

static int parse_header(text t, npy_header *h)
{
    char key[16];
    memset(h, 0, sizeof *h);
    if (!take(&t, '{'))
        return 0;
    while (!take(&t, '}')) {
        if (!take_string(&t, key, sizeof key) || !take(&t, ':'))
            return 0;
        int bit = strcmp(key, "descr") == 0 ? 1 : strcmp(key, "fortran_order") == 0 ? 2 : strcmp(key, "shape") == 0 ? 4 : 0;
        if (bit == 0 || (h->seen & bit))
            return 0;
        h->seen |= bit;
        if (bit == 1 && skip(&t) == '[') { /* a record */
            strcpy(h->descr, "[");
            return 1;
        }
        if (bit == 1 && !take_string(&t, h->descr, sizeof h->descr))
            return 0;
        if (bit == 2) {
            h->fortran = take_word(&t, "True");
            if (!h->fortran && !take_word(&t, "False"))
                return 0;
        }
        if (bit == 4 && !take_shape(&t, h))
            return 0;
        if (!take(&t, ',') && skip(&t) != '}')
            return 0;
    }
    return h->seen == 7 && skip(&t) < 0;
}

/* Size of an element, or 0 if it cannot be read as a number. */
static int element_size(const char *descr)
{
    static const char *const kinds[] = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"};
    if (descr[0] == 0 || !strchr("<>=|", descr[0]))
        return 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(descr + 1, kinds[i]) == 0)
            return kinds[i][1] - '0';
    return 0;
}

/* Elements that rn_tensor_floats does not know: integers of other widths. */
static float integer(char kind, int size, const unsigned char *p)
{
    uint64_t u = 0;
    for (int i = 0; i < size; i++)
        u |= (uint64_t)p[i] << 8 * i;
    if (kind == 'b')
        return u ? 1.0f : 0.0f;
    if (kind == 'u')
        return (float)u;
    if (size < 8 && u >> (8 * size - 1))
        u |= ~UINT64_C(0) << 8 * size;
    return (float)(int64_t)u;
}

static void convert(const char *descr, int size, const unsigned char *in, int64_t count, float *out)
{
    int big = descr[0] == '>';
    rn_tensor one = {.dtype = size == 2 ? RN_F16 : size == 4 ? RN_F32 : RN_F64, .count = 1};
    if (descr[1] == 'f' && !big) {
        one.count = count;
        one.data = in;
        rn_tensor_floats(&one, out);
        return;
    }
    for (int64_t i = 0; i < count; i++, in += size) {
        unsigned char bytes[8];
        for (int k = 0; k < size; k++)
            bytes[k] = in[big ? size - 1 - k : k];
        if (descr[1] == 'f') {
            one.data = bytes;
            rn_tensor_floats(&one, &out[i]);
        } else {
            out[i] = integer(descr[1], size, bytes);
        }
    }
}

/* The header's text; `data` on success starts with the elements. */
static int find_header(const char *name, const unsigned char *data, size_t size, text *header, size_t *begin, rn_error *err)
{
    if (size < 10 || memcmp(data, "\x93NUMPY", 6) != 0)
        return rn_error_set(err, RN_ERR_FORMAT, "%s: not a .npy file", name);
    int major = data[6];
    if (major < 1 || major > 3)
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: .npy version %d.%d; this build reads 1 to 3", name, major, data[7]);
    size_t start = major == 1 ? 10 : 12;
    uint64_t length = data[8] | (uint64_t)data[9] << 8;
    if (major > 1 && size >= 12)
        length |= (uint64_t)data[10] << 16 | (uint64_t)data[11] << 24;
    if (size < start || length > MOST_HEADER || length > size - start)
        return rn_error_set(err, RN_ERR_FORMAT, "%s: cut off, or broken, inside its header", name);
    header->at = (const char *)data + start;
    header->end = header->at + length;
    *begin = start + (size_t)length;
    return 0;
}

int rn_npy_parse(const char *name, const void *data, size_t size, rn_array *out, rn_error *err)
{
    text t = {0};
    npy_header h;
    size_t begin = 0;
    int64_t count = 1, bytes;
    memset(out, 0, sizeof *out);
    int status = find_header(name, data, size, &t, &begin, err);
    if (status)
        return status;
    if (!parse_header(t, &h))
        return rn_error_set(err, RN_ERR_FORMAT, "%s: its .npy header is not understood", name);
    int element = element_size(h.descr);
    if (!element)
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: elements of type %.12s; write it as float32", name,
                            h.descr[0] == '[' ? "record" : h.descr);
    for (int d = 0; d < h.dims; d++)
        if (__builtin_mul_overflow(count, h.shape[d], &count))
            return rn_error_set(err, RN_ERR_FORMAT, "%s: its shape is too large", name);
    if (h.fortran && h.dims > 1)
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: its elements are in Fortran order; write numpy.ascontiguousarray(x)", name);
    if (__builtin_mul_overflow(count, (int64_t)element, &bytes) || (uint64_t)bytes != size - begin)
        return rn_error_set(err, RN_ERR_FORMAT, "%s: %zu bytes of data, its shape wants %lld elements of %d bytes", name, size - begin,
                            (long long)count, element);
    if ((uint64_t)count > SIZE_MAX / sizeof(float) || !(out->data = malloc(((size_t)count + !count) * sizeof(float))))
        return rn_error_memory(err, name, (unsigned long long)count * sizeof(float));
    convert(h.descr, element, (const unsigned char *)data + begin, count, out->data);
    out->dims = h.dims;
    out->count = count;
    memcpy(out->shape, h.shape, sizeof out->shape);
    return 0;
}

int rn_npy_read(const char *path, rn_array *out, rn_error *err)
{
    unsigned char *data;
    size_t size;
    memset(out, 0, sizeof *out);
    int status = rn_file_read(path, SIZE_MAX / 2, &data, &size, err);
    if (status)
        return status;
    status = rn_npy_parse(path, data, size, out, err);
    free(data);
    return status;
}

int rn_npy_write(const char *path, const float *data, int dims, const int64_t *shape, rn_error *err)
{
    char header[320] = "\x93NUMPY\1";
    size_t start = 10, n = start;
    int64_t count = 1;
    rn_save save;
    if (dims < 0 || dims > 8)
        return rn_error_set(err, RN_ERR_ARG, "%s: %d dimensions, from 0 to 8 are possible", path, dims);
    n += (size_t)snprintf(header + n, sizeof header - n, "{'descr': '<f4', 'fortran_order': False, 'shape': (");
    for (int d = 0; d < dims; d++) {
        if (shape[d] < 0 || __builtin_mul_overflow(count, shape[d], &count) || count > MOST_SIZE)
            return rn_error_set(err, RN_ERR_ARG, "%s: its shape is negative or too large", path);
        n += (size_t)snprintf(header + n, sizeof header - n, "%s%lld%s", d ? " " : "", (long long)shape[d],
                              d + 1 < dims || dims == 1 ? "," : "");
    }
    n += (size_t)snprintf(header + n, sizeof header - n, "), }");
    size_t end = (n + 64) / 64 * 64;
    memset(header + n, ' ', end - n);
    header[end - 1] = '\n';
    header[7] = 0;
    header[8] = (char)((end - start) & 0xFF);
    header[9] = (char)((end - start) >> 8);
    int status = rn_save_open(&save, path, err);
    if (!status)
        status = rn_save_write(&save, header, end, err);
    if (!status)
        status = rn_save_write(&save, data, (size_t)count * sizeof *data, err);
    if (!status)
        status = rn_save_commit(&save, err);
    rn_save_drop(&save);
    return status;
}

void rn_array_free(rn_array *a)
{
    free(a->data);
    memset(a, 0, sizeof *a);
}
