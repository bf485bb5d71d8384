/* Checks src/formats: safetensors, npy and event files, good ones byte for byte and hostile ones without a crash.
 *
 * Hostile bytes lie in an allocation of exactly their size, so that AddressSanitizer and valgrind see a byte read too many. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "formats/events.h"
#include "formats/npy.h"
#include "formats/tensors.h"

static char folder[] = "/tmp/check_formats.XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[4][400];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
    return path[next];
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    DIR *d = opendir(folder);
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.')
            remove(in_folder(e->d_name));
    closedir(d);
    return rmdir(folder);
}

static void write_bytes(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
}

static unsigned char *read_bytes(const char *path, size_t *size)
{
    unsigned char *data;
    assert_int_equal(rn_file_read(path, 1 << 26, &data, size, NULL), 0);
    return data;
}

/* ---- safetensors ---- */

/* Header text and `n` data bytes as a file in memory of exactly its size. */
static unsigned char *file_of(const char *header, size_t header_size, size_t n, size_t *size)
{
    uint64_t length = header_size;
    *size = 8 + header_size + n;
    unsigned char *data = malloc(*size);
    memcpy(data, &length, 8);
    memcpy(data + 8, header, header_size);
    memset(data + 8 + header_size, 0, n);
    return data;
}

/* Parses header + n zero bytes; 0 or the error, whose text must hold `text`. */
static int parse(const char *header, size_t n, const char *text)
{
    size_t size;
    unsigned char *data = file_of(header, strlen(header), n, &size);
    rn_tensors t;
    rn_error err = {0, ""};
    int status = rn_safetensors_parse("x.safetensors", data, size, &t, &err);
    if (status) {
        if (strncmp(err.text, "x.safetensors: ", 15) != 0 || !strstr(err.text, text))
            fail_msg("header %.120s: the error is \"%s\", \"%s\" was expected in it", header, err.text, text);
        assert_int_equal(t.count, 0);
        assert_null(t.items);
    }
    rn_tensors_free(&t);
    free(data);
    return status;
}

/* The smallest file of the format's description, read and written again: 68 bytes. */
static void minimal_file(void **state)
{
    (void)state;
    size_t size, again;
    rn_error err;
    rn_tensors t;
    unsigned char *data = file_of("{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}  ", 56, 4, &size);
    float x = 1.5f;
    memcpy(data + size - 4, &x, 4);
    assert_int_equal(size, 68);
    assert_int_equal(rn_safetensors_parse("m", data, size, &t, &err), 0);
    assert_int_equal(t.count, 1);
    assert_int_equal(t.metadata_count, 0);
    assert_string_equal(t.items[0].name, "w");
    assert_int_equal(t.items[0].dims, 1);
    x = 0;
    rn_tensor_floats(&t.items[0], &x);
    assert_true(x == 1.5f);
    assert_int_equal(rn_safetensors_write(in_folder("minimal"), &t, &err), 0);
    unsigned char *written = read_bytes(in_folder("minimal"), &again);
    assert_int_equal(again, 68);
    assert_memory_equal(written, data, 68);
    rn_tensors_free(&t);
    free(written);
    free(data);
}

/* Another order of tensors or metadata, a missing pad, a header that another reader would not find aligned. */
static void written_bytes(void **state)
{
    (void)state;
    rn_error err;
    rn_tensors t = {0};
    static const float f[6] = {1, 2, 3, 4, 5, 6};
    static const int64_t l = 7;
    static const uint16_t h[1] = {0x3C00};
    int64_t shape[2] = {2, 3}, one = 1, none = 0;
    assert_int_equal(rn_tensors_add(&t, "z", RN_F32, 2, shape, f, &err), 0);
    assert_int_equal(rn_tensors_add(&t, "half", RN_F16, 1, &one, h, &err), 0);
    assert_int_equal(rn_tensors_add(&t, "b.\"\xC3\xA9\n", RN_F32, 1, &none, NULL, &err), 0);
    assert_int_equal(rn_tensors_add(&t, "count", RN_I64, 0, NULL, &l, &err), 0);
    assert_int_equal(rn_tensors_set_metadata(&t, "format", "np", &err), 0);
    assert_int_equal(rn_tensors_set_metadata(&t, "a", "x\"y", &err), 0);
    assert_int_equal(rn_tensors_set_metadata(&t, "format", "pt", &err), 0);
    assert_int_equal(rn_safetensors_write(in_folder("w"), &t, &err), 0);
    const char *want = "{\"__metadata__\":{\"a\":\"x\\\"y\",\"format\":\"pt\"},"
        "\"count\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
        "\"b.\\\"\xC3\xA9\\n\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[8,8]},"
        "\"z\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[8,32]},"
        "\"half\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[32,34]}}";
    size_t size;
    unsigned char *data = read_bytes(in_folder("w"), &size);
    uint64_t n;
    memcpy(&n, data, 8);
    assert_int_equal(n % 8, 0);
    assert_true(n >= strlen(want) && n < strlen(want) + 8);
    assert_memory_equal(data + 8, want, strlen(want));
    for (size_t i = strlen(want); i < n; i++)
        assert_int_equal(data[8 + i], ' ');
    assert_int_equal(size, 8 + n + 34);
    assert_memory_equal(data + 8 + n, &l, 8);
    assert_memory_equal(data + 8 + n + 8, f, 24);
    rn_tensors_free(&t);
    assert_int_equal(rn_safetensors_read(in_folder("w"), &t, &err), 0);
    assert_int_equal(t.count, 4);
    assert_string_equal(rn_tensors_metadata(&t, "format"), "pt");
    assert_null(rn_tensors_metadata(&t, "none"));
    assert_non_null(rn_tensors_find(&t, "half"));
    assert_null(rn_tensors_find(&t, "hal"));
    assert_int_equal(rn_safetensors_write(in_folder("w2"), &t, &err), 0);
    size_t size2;
    unsigned char *data2 = read_bytes(in_folder("w2"), &size2);
    assert_int_equal(size2, size);
    assert_memory_equal(data, data2, size);
    free(data);
    free(data2);
    rn_tensors_free(&t);
}

/* A conversion that shifts, rounds twice, or reads aligned where the file is not. */
static void conversions(void **state)
{
    (void)state;
    static unsigned char buffer[64];
    static const struct { rn_dtype dtype; uint64_t bits; float want;
    } cases[] = {{RN_F32, 0x3FC00000, 1.5f},
                 {RN_F16, 0x3C00, 1},
                 {RN_F16, 0xC000, -2},
                 {RN_F16, 0x7BFF, 65504},
                 {RN_F16, 0x0001, 0x1p-24f},
                 {RN_F16, 0x83FF, -0x1.ff8p-15f},
                 {RN_F16, 0x0400, 0x1p-14f},
                 {RN_F16, 0x7C00, INFINITY},
                 {RN_F16, 0xFC00, -INFINITY},
                 {RN_F16, 0x8000, -0.0f},
                 {RN_BF16, 0x3F80, 1},
                 {RN_BF16, 0xC2F7, -123.5f},
                 {RN_BF16, 0x0001, 0x1p-133f},
                 {RN_F64, 0x3FF8000000000000, 1.5f},
                 {RN_F64, 0x3FF0000010000000, 1},
                 {RN_F64, 0x3FF0000010000001, 0x1.000002p0f},
                 {RN_F64, 0x7FEFFFFFFFFFFFFF, INFINITY},
                 {RN_I64, (uint64_t)-16777217, -16777216.0f},
                 {RN_I64, 0x1000001000000001, 0x1.000002p60f},
                 {RN_I32, 0x80000000, -0x1p31f},
                 {RN_U8, 255, 255},
                 {RN_BOOL, 0, 0},
                 {RN_BOOL, 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int shift = 0; shift < 8; shift++) {
            memcpy(buffer + shift, &cases[i].bits, 8);
            rn_tensor t = {.dtype = cases[i].dtype, .count = 1, .data = buffer + shift};
            float got;
            rn_tensor_floats(&t, &got);
            assert_memory_equal(&got, &cases[i].want, 4);
        }
    uint16_t nan16 = 0x7E01;
    rn_tensor t = {.dtype = RN_F16, .count = 1, .data = &nan16};
    float got;
    rn_tensor_floats(&t, &got);
    assert_true(isnan(got));
    static const rn_dtype all[] = {RN_F32, RN_F16, RN_BF16, RN_F64, RN_I64, RN_I32, RN_U8, RN_BOOL};
    static const char *const names[] = {"F32", "F16", "BF16", "F64", "I64", "I32", "U8", "BOOL"};
    static const size_t sizes[] = {4, 2, 2, 8, 8, 4, 1, 1};
    for (int i = 0; i < 8; i++) {
        assert_string_equal(rn_dtype_name(all[i]), names[i]);
        assert_int_equal(rn_dtype_size(all[i]), sizes[i]);
    }
}

#define T(name, dtype, shape, begin, end)                                                                                                  \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" #begin "," #end "]}"

/* Valid files that a reader must not refuse. */
static void unusual_but_valid(void **state)
{
    (void)state;
    assert_int_equal(parse("{}", 0, ""), 0);
    assert_int_equal(parse("{\"__metadata__\":{}}", 0, ""), 0);
    assert_int_equal(parse(" \n\t\r{" T("a", "F32", "", 0, 4) "}  ", 4, ""), 0);
    assert_int_equal(parse("{" T("b", "F32", "1", 4, 8) "," T("a", "U8", "2,2", 0, 4) "}", 8, ""), 0);
    assert_int_equal(parse("{" T("a", "F32", "0,281474976710656", 0, 0) "," T("b", "I64", "5,0", 0, 0) "}", 0, ""), 0);
    assert_int_equal(parse("{" T("a", "BF16", "1,1,1,1,1,1,1,1", 0, 2) "}", 2, ""), 0);
    assert_int_equal(parse("{\"a\":{\"data_offsets\":[0,1],\"shape\":[1],\"dtype\":\"BOOL\"}}", 1, ""), 0);
    assert_int_equal(parse("{" T("\\u00e9\\ud83c\\udfb5{[-", "U8", "1", 0, 1) "}", 1, ""), 0);
    assert_int_equal(parse("{\"__metadata__\":{\"a\":\"-1 {{{{{{{{{{{{{{{{[[\\\"\"}}", 0, ""), 0);
}

/* Every rule of the format, one broken at a time. */
static void broken_rules(void **state)
{
    (void)state;
    static const struct { const char *header; size_t n; int status; const char *text; } cases[] = {
        {"[]", 0, RN_ERR_FORMAT, "an object is wanted"},
        {"{", 0, RN_ERR_FORMAT, "not a safetensors file"},
        {"{\"a\"", 0, RN_ERR_FORMAT, "not valid"},
        {"{}x", 0, RN_ERR_FORMAT, "not valid"},
        {"  ", 0, RN_ERR_FORMAT, "not valid"},
        {"{\"\xFF\":1}", 0, RN_ERR_FORMAT, "not valid"},
        {"{\"\xC0\x80\":1}", 0, RN_ERR_FORMAT, "not valid"},
        {"{" T("\\u0000", "U8", "1", 0, 1) "}", 1, RN_ERR_FORMAT, "not valid"},
        {"{" T("\\ud800", "U8", "1", 0, 1) "}", 1, RN_ERR_FORMAT, "not valid"},
        {"{" T("a", "F32", "1", 0, 4) "," T("a", "F32", "1", 0, 4) "}", 4, RN_ERR_FORMAT, "duplicate"},
        {"{" T("a", "F32", "0", 0, 0) "," T("a", "F32", "0", 0, 0) "}", 0, RN_ERR_FORMAT, "duplicate"},
        {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4, RN_ERR_FORMAT, "duplicate"},
        {"{" T("a", "F32", "1", 4, 8) "}", 8, RN_ERR_FORMAT, "hole before the data at a"},
        {"{" T("a", "F32", "1", 0, 4) "," T("b", "F32", "1", 8, 12) "}", 12, RN_ERR_FORMAT, "hole before the data at b"},
        {"{" T("a", "F32", "2", 0, 8) "," T("b", "F32", "1", 4, 8) "}", 8, RN_ERR_FORMAT, "data overlap at b"},
        {"{" T("a", "F32", "1", 0, 4) "," T("b", "F32", "1", 0, 4) "}", 4, RN_ERR_FORMAT, "overlap"},
        {"{" T("a", "F32", "1", 0, 4) "}", 5, RN_ERR_FORMAT, "1 bytes after the last tensor"},
        {"{}", 1, RN_ERR_FORMAT, "after the last tensor"},
        {"{" T("a", "F32", "1", 0, 4) "}", 3, RN_ERR_FORMAT, "cut off inside a"},
        {"{" T("a", "F32", "2", 0, 4) "}", 4, RN_ERR_FORMAT, "want 8"},
        {"{" T("a", "F32", "1", 0, 8) "}", 8, RN_ERR_FORMAT, "a has 8 bytes, its shape and dtype F32 want 4"},
        {"{" T("a", "F32", "1", 4, 0) "}", 4, RN_ERR_FORMAT, "two positions in order"},
        {"{" T("a", "F32", "281474976710656,281474976710656", 0, 4) "}", 4, RN_ERR_FORMAT, "too large"},
        {"{" T("a", "F64", "281474976710656,8192", 0, 4) "}", 4, RN_ERR_FORMAT, "too large"},
        {"{" T("a", "F32", "281474976710657", 0, 4) "}", 4, RN_ERR_FORMAT, "no list of sizes"},
        {"{" T("a", "F32", "18446744073709551616", 0, 4) "}", 4, RN_ERR_FORMAT, "not valid"},
        {"{" T("a", "F32", "1e0", 0, 4) "}", 4, RN_ERR_FORMAT, "no list of sizes"},
        {"{" T("a", "F32", "1.0", 0, 4) "}", 4, RN_ERR_FORMAT, "no list of sizes"},
        {"{" T("a", "F32", "-1", 0, 4) "}", 4, RN_ERR_FORMAT, "negative"},
        {"{" T("a", "F32", "-0", 0, 0) "}", 0, RN_ERR_FORMAT, "negative"},
        {"{" T("a", "F32", "\"1\"", 0, 4) "}", 4, RN_ERR_FORMAT, "no list of sizes"},
        {"{" T("a", "F32", "null", 0, 4) "}", 4, RN_ERR_FORMAT, "no list of sizes"},
        {"{" T("a", "F32", "1", 0, 4.0) "}", 4, RN_ERR_FORMAT, "two positions"},
        {"{" T("a", "F32", "1,1,1,1,1,1,1,1,1", 0, 4) "}", 4, RN_ERR_UNSUPPORTED, "9 dimensions"},
        {"{" T("a", "F8_E4M3", "4", 0, 4) "}", 4, RN_ERR_UNSUPPORTED, "F8_E4M3"},
        {"{" T("a", "U64", "1", 0, 8) "}", 8, RN_ERR_UNSUPPORTED, "U64"},
        {"{" T("a", "f32", "1", 0, 4) "}", 4, RN_ERR_FORMAT, "no known dtype"},
        {"{\"a\":{\"dtype\":32,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, RN_ERR_FORMAT, "no known dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[0,4]}}", 4, RN_ERR_FORMAT, "a wants dtype, shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, RN_ERR_FORMAT, "two positions"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,4]}}", 4, RN_ERR_FORMAT, "two positions"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, RN_ERR_FORMAT, "a wants dtype, shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"stride\":[1]}}", 4, RN_ERR_FORMAT, "nothing else"},
        {"{\"a\":null}", 0, RN_ERR_FORMAT, "a wants dtype, shape"},
        {"{\"\\u001b[31m\":null}", 0, RN_ERR_FORMAT, "?[31m wants"},
        {"{\"__metadata__\":[]}", 0, RN_ERR_FORMAT, "__metadata__ is not an object"},
        {"{\"__metadata__\":{\"a\":1}}", 0, RN_ERR_FORMAT, "not a string under a"},
        {"{\"__metadata__\":{\"a\":{\"b\":\"c\"}}}", 0, RN_ERR_FORMAT, "not a string under a"},
        {"{\"a\":{\"shape\":[[[[1]]]]}}", 0, RN_ERR_FORMAT, "nested more than 4"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status = parse(cases[i].header, cases[i].n, cases[i].text);
        if (status != cases[i].status)
            fail_msg("header %s: status %d, want %d", cases[i].header, status, cases[i].status);
    }
}

/* Headers made to cost memory, stack or time. */
static void greedy_headers(void **state)
{
    (void)state;
    size_t n = 4000000;
    char *text = malloc(n + 100);
    memset(text, '[', n);
    text[n] = 0;
    assert_int_equal(parse(text, 0, "nested more than 4"), RN_ERR_FORMAT);
    memset(text, ',', n);
    memcpy(text, "{\"a\":[", 6);
    text[n] = 0;
    assert_int_equal(parse(text, 0, "more than 65536 tensors"), RN_ERR_FORMAT);
    size_t at = (size_t)sprintf(text, "{");
    for (int i = 0; i < 70000; i++)
        at += (size_t)sprintf(text + at, "%s\"%d\":{}", i ? "," : "", i);
    sprintf(text + at, "}");
    assert_int_equal(parse(text, 0, "more than 65536 tensors"), RN_ERR_FORMAT);
    at = (size_t)sprintf(text, "{\"__metadata__\":{");
    for (int i = 0; i < 5000; i++)
        at += (size_t)sprintf(text + at, "%s\"%d\":\"\"", i ? "," : "", i);
    sprintf(text + at, "}}");
    assert_int_equal(parse(text, 0, "at most 4096"), RN_ERR_FORMAT);
    at = (size_t)sprintf(text, "{");
    for (int i = 0; i < 10000; i++) /* one range under 10,000 names */
        at += (size_t)sprintf(text + at, "%s\"%d\":{\"dtype\":\"U8\",\"shape\":[64],\"data_offsets\":[0,64]}", i ? "," : "", i);
    sprintf(text + at, "}");
    assert_int_equal(parse(text, 64, "overlap"), RN_ERR_FORMAT);
    free(text);
}

/* A length that is believed: N above the file, above the limit, near 2^64. */
static void header_lengths(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {0, 1, 3, 100000001, 1ull << 32, 1ull << 63, ~0ull, ~0ull - 7, ~0ull - 8};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        unsigned char *data = malloc(10);
        rn_tensors t;
        rn_error err;
        memcpy(data, &lengths[i], 8);
        memcpy(data + 8, "{}", 2);
        assert_int_equal(rn_safetensors_parse("x", data, 10, &t, &err), RN_ERR_FORMAT);
        write_bytes(in_folder("length"), data, 10);
        assert_int_equal(rn_safetensors_read(in_folder("length"), &t, &err), RN_ERR_FORMAT);
        free(data);
    }
}

static unsigned char *sample_file(size_t *size)
{
    rn_tensors t = {0};
    static const float f[6] = {1, 2, 3, 4, 5, 6};
    static const int64_t l = 7;
    int64_t shape[2] = {2, 3};
    rn_tensors_add(&t, "conv1.weight", RN_F32, 2, shape, f, NULL);
    rn_tensors_add(&t, "bn1.num_batches_tracked", RN_I64, 0, NULL, &l, NULL);
    rn_tensors_add(&t, "mask", RN_U8, 1, shape, f, NULL);
    rn_tensors_set_metadata(&t, "format", "pt", NULL);
    assert_int_equal(rn_safetensors_write(in_folder("sample"), &t, NULL), 0);
    rn_tensors_free(&t);
    return read_bytes(in_folder("sample"), size);
}

/* A file cut at any byte is refused, never read past its end. */
static void cut_anywhere(void **state)
{
    (void)state;
    size_t size;
    unsigned char *data = sample_file(&size);
    for (size_t n = 0; n < size; n++) {
        unsigned char *cut = malloc(n + !n);
        memcpy(cut, data, n);
        rn_tensors t;
        rn_error err = {0, ""};
        assert_int_equal(rn_safetensors_parse("cut", cut, n, &t, &err), RN_ERR_FORMAT);
        assert_true(err.text[0] != 0);
        free(cut);
    }
    free(data);
}

/* One flipped bit anywhere: refused, or read as a file whose tensors lie inside it. */
static void flipped_bits(void **state)
{
    (void)state;
    size_t size, good = 0;
    unsigned char *data = sample_file(&size);
    for (size_t bit = 0; bit < size * 8; bit++) {
        unsigned char *flipped = malloc(size);
        memcpy(flipped, data, size);
        flipped[bit / 8] ^= (unsigned char)(1u << bit % 8);
        rn_tensors t;
        rn_error err;
        if (rn_safetensors_parse("flipped", flipped, size, &t, &err) == 0) {
            good++;
            for (int i = 0; i < t.count; i++) {
                const unsigned char *p = t.items[i].data;
                assert_true(p >= flipped && p + (size_t)t.items[i].count * rn_dtype_size(t.items[i].dtype) <= flipped + size);
                float out[64];
                assert_true(t.items[i].count <= 64);
                rn_tensor_floats(&t.items[i], out);
            }
        }
        rn_tensors_free(&t);
        free(flipped);
    }
    assert_true(good > (6 * 4 + 8 + 2) * 8); /* flips of the data are not the reader's business */
    free(data);
}

/* A file of another kind, missing, or sparse and huge, which must not be read whole first. */
static void wrong_files(void **state)
{
    (void)state;
    rn_tensors t;
    rn_error err;
    assert_int_equal(rn_safetensors_read(in_folder("none"), &t, &err), RN_ERR_IO);
    assert_int_equal(rn_safetensors_read(folder, &t, &err), RN_ERR_IO);
    write_bytes(in_folder("zip"), "PK\3\4aaaaaaaaaaaa", 16);
    assert_int_equal(rn_safetensors_read(in_folder("zip"), &t, &err), RN_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "PyTorch"));
    write_bytes(in_folder("old"), "\x80\2\x8A\nl\xFC\x9C\x46\xF9 j", 12);
    assert_int_equal(rn_safetensors_read(in_folder("old"), &t, &err), RN_ERR_UNSUPPORTED);
    write_bytes(in_folder("empty"), "", 0);
    assert_int_equal(rn_safetensors_read(in_folder("empty"), &t, &err), RN_ERR_FORMAT);
    int fd = open(in_folder("sparse"), O_CREAT | O_WRONLY, 0600);
    assert_int_equal(ftruncate(fd, (off_t)1 << 40), 0);
    close(fd);
    assert_int_equal(rn_safetensors_read(in_folder("sparse"), &t, &err), RN_ERR_FORMAT);
}

/* A list that would make a broken file. */
static void refused_lists(void **state)
{
    (void)state;
    rn_error err;
    rn_tensors t = {0};
    static const float f[4];
    int64_t one = 1, negative = -1, huge[3] = {INT64_MAX / 2, 3, 1}, large[2] = {1 << 30, 1 << 24};
    assert_int_equal(rn_tensors_add(&t, "a", RN_F32, 1, &negative, f, &err), RN_ERR_ARG);
    assert_int_equal(rn_tensors_add(&t, "a", RN_F32, 3, huge, f, &err), RN_ERR_ARG);
    assert_int_equal(rn_tensors_add(&t, "a", RN_F32, 9, huge, f, &err), RN_ERR_ARG);
    assert_int_equal(t.count, 0);
    assert_int_equal(rn_tensors_add(&t, "a", RN_F32, 1, &one, f, &err), 0);
    assert_int_equal(rn_tensors_add(&t, "a", RN_I32, 1, &one, f, &err), 0);
    assert_int_equal(rn_safetensors_write(in_folder("refused"), &t, &err), RN_ERR_ARG);
    assert_non_null(strstr(err.text, "second tensor is called a"));
    rn_tensors_free(&t);
    assert_int_equal(rn_tensors_add(&t, "__metadata__", RN_F32, 1, &one, f, &err), 0);
    assert_int_equal(rn_safetensors_write(in_folder("refused"), &t, &err), RN_ERR_ARG);
    rn_tensors_free(&t);
    assert_int_equal(rn_tensors_add(&t, "a\xFF", RN_F32, 1, &one, f, &err), 0);
    assert_int_equal(rn_safetensors_write(in_folder("refused"), &t, &err), RN_ERR_ARG);
    assert_non_null(strstr(err.text, "UTF-8"));
    rn_tensors_free(&t);
    assert_int_equal(rn_tensors_set_metadata(&t, "k", "\xC3", &err), 0);
    assert_int_equal(rn_safetensors_write(in_folder("refused"), &t, &err), RN_ERR_ARG);
    rn_tensors_free(&t);
    assert_int_equal(rn_tensors_add(&t, "large", RN_F32, 2, large, f, &err), 0);
    assert_int_equal(rn_safetensors_write(in_folder("refused"), &t, &err), RN_ERR_ARG);
    rn_tensors_free(&t);
    assert_int_equal(access(in_folder("refused"), F_OK), -1);
    for (int i = 0; i < 100; i++) { /* growth of the arrays */
        char name[8];
        sprintf(name, "t%02d", i);
        assert_int_equal(rn_tensors_add(&t, name, RN_F32, 1, &one, f, &err), 0);
        assert_int_equal(rn_tensors_set_metadata(&t, name, name, &err), 0);
    }
    assert_int_equal(rn_safetensors_write(in_folder("many"), &t, &err), 0);
    rn_tensors_free(&t);
    assert_int_equal(rn_safetensors_read(in_folder("many"), &t, &err), 0);
    assert_int_equal(t.count, 100);
    assert_string_equal(t.items[99].name, "t99");
    assert_string_equal(rn_tensors_metadata(&t, "t99"), "t99");
    rn_tensors_free(&t);
}

/* ---- npy ---- */

static unsigned char *npy_of(int major, const char *header, const void *elements, size_t n, size_t *size)
{
    size_t start = major == 1 ? 10 : 12, length = strlen(header);
    *size = start + length + n;
    unsigned char *data = calloc(1, *size);
    memcpy(data, "\x93NUMPY", 6);
    data[6] = (unsigned char)major;
    data[8] = (unsigned char)length;
    data[9] = (unsigned char)(length >> 8);
    memcpy(data + start, header, length);
    if (n)
        memcpy(data + start + length, elements, n);
    return data;
}

/* Reads header + elements; the first value goes to *first. */
static int read_npy(int major, const char *header, const void *elements, size_t n, rn_array *a, const char *text)
{
    size_t size;
    unsigned char *data = npy_of(major, header, elements, n, &size);
    rn_error err = {0, ""};
    int status = rn_npy_parse("x.npy", data, size, a, &err);
    free(data);
    if (status) {
        assert_null(a->data);
        if (strncmp(err.text, "x.npy: ", 7) != 0 || !strstr(err.text, text))
            fail_msg("header %s: the error is \"%s\", \"%s\" was expected in it", header, err.text, text);
    }
    return status;
}

/* Bytes that NumPy would not write: the header of numpy.save of a 2x3 float32 array is 128 bytes long. */
static void npy_written_bytes(void **state)
{
    (void)state;
    static const float x[6] = {1, 2, 3, 4, 5, 6};
    int64_t shape[2] = {2, 3};
    rn_error err;
    size_t size;
    assert_int_equal(rn_npy_write(in_folder("x.npy"), x, 2, shape, &err), 0);
    unsigned char *data = read_bytes(in_folder("x.npy"), &size);
    const char *want = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
    assert_int_equal(size, 128 + 24);
    assert_memory_equal(data, "\x93NUMPY\1\0v\0", 10);
    assert_memory_equal(data + 10, want, strlen(want));
    for (size_t i = 10 + strlen(want); i < 127; i++)
        assert_int_equal(data[i], ' ');
    assert_int_equal(data[127], '\n');
    assert_memory_equal(data + 128, x, 24);
    free(data);
    rn_array a;
    assert_int_equal(rn_npy_read(in_folder("x.npy"), &a, &err), 0);
    assert_int_equal(a.dims, 2);
    assert_int_equal(a.count, 6);
    assert_int_equal(a.shape[1], 3);
    assert_memory_equal(a.data, x, 24);
    rn_array_free(&a);
    int64_t shapes[4][8] = {{0}, {5}, {1, 0, 7}, {1, 1, 1, 1, 1, 1, 1, 2}};
    int dims[4] = {0, 1, 3, 8};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(rn_npy_write(in_folder("x.npy"), x, dims[i], shapes[i], &err), 0);
        assert_int_equal(rn_npy_read(in_folder("x.npy"), &a, &err), 0);
        assert_int_equal(a.dims, dims[i]);
        for (int d = 0; d < dims[i]; d++)
            assert_int_equal(a.shape[d], shapes[i][d]);
        assert_memory_equal(a.data, x, (size_t)a.count * 4);
        rn_array_free(&a);
    }
    int64_t bad[2] = {1ll << 40, 1ll << 40};
    assert_int_equal(rn_npy_write(in_folder("y.npy"), x, 2, bad, &err), RN_ERR_ARG);
    assert_int_equal(rn_npy_write(in_folder("y.npy"), x, 9, bad, &err), RN_ERR_ARG);
    assert_int_equal(access(in_folder("y.npy"), F_OK), -1);
}

/* A type that is read with the wrong width, sign or byte order; a header as other writers lay it out. */
static void npy_types(void **state)
{
    (void)state;
    static const struct { const char *descr; unsigned char bytes[8]; size_t n; float want;
    } cases[] = {{"<f4", {0, 0, 0xC0, 0x3F}, 4, 1.5f},
                 {">f4", {0x3F, 0xC0, 0, 0}, 4, 1.5f},
                 {"<f2", {0, 0x3C}, 2, 1},
                 {">f2", {0x3C, 0}, 2, 1},
                 {"<f8", {0, 0, 0, 0, 0, 0, 0xF8, 0x3F}, 8, 1.5f},
                 {">f8", {0x3F, 0xF8}, 8, 1.5f},
                 {"|i1", {0x80}, 1, -128},
                 {"|u1", {0xFF}, 1, 255},
                 {"<i2", {0xFE, 0xFF}, 2, -2},
                 {">i2", {0xFF, 0xFE}, 2, -2},
                 {"<u2", {0xFE, 0xFF}, 2, 65534},
                 {"<i4", {0, 0, 0, 0x80}, 4, -0x1p31f},
                 {"<u4", {0, 0, 0, 0x80}, 4, 0x1p31f},
                 {"<i8", {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, 8, -1},
                 {"<u8", {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, 8, 0x1p64f},
                 {"|b1", {1}, 1, 1},
                 {"|b1", {0}, 1, 0},
                 {"=f4", {0, 0, 0xC0, 0x3F}, 4, 1.5f}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char header[200];
        rn_array a;
        snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (1,), }   \n", cases[i].descr);
        for (int major = 1; major <= 3; major++) {
            assert_int_equal(read_npy(major, header, cases[i].bytes, cases[i].n, &a, ""), 0);
            assert_true(a.data[0] == cases[i].want);
            rn_array_free(&a);
        }
    }
    static const char *const valid[] = {
        "{\"shape\":(2),\"fortran_order\":True,\"descr\":\"|u1\"}", "{'descr':'|u1','fortran_order':False,'shape':(2L,1L)}",
        " { 'fortran_order' : False , 'descr' : '|u1' , 'shape' : ( 1 , 2 , ) , } \n", "{'descr':'<f2','fortran_order':False,'shape':()}"};
    for (size_t i = 0; i < sizeof valid / sizeof *valid; i++) {
        rn_array a;
        assert_int_equal(read_npy(1, valid[i], "\0\0", 2, &a, ""), 0);
        rn_array_free(&a);
    }
}

#define N(descr, order, shape) "{'descr': " descr ", 'fortran_order': " order ", 'shape': " shape ", }\n"

/* A pickle that is opened, a size that overflows, an array that is silently transposed or cut. */
static void npy_refused(void **state)
{
    (void)state;
    static const struct { const char *header; size_t n; int status; const char *text;
    } cases[] = {{N("'|O'", "False", "(1,)"), 8, RN_ERR_UNSUPPORTED, "|O"},
                 {N("'<c8'", "False", "(1,)"), 8, RN_ERR_UNSUPPORTED, "<c8"},
                 {N("'<U1'", "False", "(1,)"), 4, RN_ERR_UNSUPPORTED, "<U1"},
                 {N("[('a', '<f4')]", "False", "(1,)"), 4, RN_ERR_UNSUPPORTED, "record"},
                 {N("'<f4'", "True", "(2, 2)"), 16, RN_ERR_UNSUPPORTED, "Fortran"},
                 {N("'f4'", "False", "(1,)"), 4, RN_ERR_UNSUPPORTED, "f4"},
                 {N("''", "False", "(1,)"), 4, RN_ERR_UNSUPPORTED, "type"},
                 {N("'<f4'", "False", "(2,)"), 4, RN_ERR_FORMAT, "4 bytes of data"},
                 {N("'<f4'", "False", "(1,)"), 8, RN_ERR_FORMAT, "8 bytes of data"},
                 {N("'<f4'", "False", "(281474976710656, 281474976710656)"), 8, RN_ERR_FORMAT, "too large"},
                 {N("'<f8'", "False", "(281474976710656, 16384)"), 8, RN_ERR_FORMAT, "bytes of data"},
                 {N("'<f4'", "False", "(-1,)"), 8, RN_ERR_FORMAT, "not understood"},
                 {N("'<f4'", "False", "(99999999999999999999,)"), 8, RN_ERR_FORMAT, "not understood"},
                 {N("'<f4'", "False", "(1,1,1,1,1,1,1,1,1)"), 4, RN_ERR_FORMAT, "not understood"},
                 {N("'<f4'", "Maybe", "(1,)"), 4, RN_ERR_FORMAT, "not understood"},
                 {N("'<f4'", "False", "[1]"), 4, RN_ERR_FORMAT, "not understood"},
                 {N("'<f4'", "False", "(,)"), 4, RN_ERR_FORMAT, "not understood"},
                 {N("'<f4'", "False", "(1 1)"), 4, RN_ERR_FORMAT, "not understood"},
                 {"{'descr': '<f4', 'shape': (1,)}", 4, RN_ERR_FORMAT, "not understood"},
                 {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", 4, RN_ERR_FORMAT, "not understood"},
                 {N("'<f4'", "False", "(1,)") "x", 4, RN_ERR_FORMAT, "not understood"},
                 {"{", 4, RN_ERR_FORMAT, "not understood"},
                 {"", 4, RN_ERR_FORMAT, "not understood"},
                 {"{'descr': '<f4444444444444444444444', 'fortran_order': False, 'shape': (1,)}", 4, RN_ERR_FORMAT, "not understood"}};
    rn_array a;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static const char zeros[64];
        int status = read_npy(1, cases[i].header, zeros, cases[i].n, &a, cases[i].text);
        if (status != cases[i].status)
            fail_msg("header %s: status %d, want %d", cases[i].header, status, cases[i].status);
    }
    assert_int_equal(read_npy(4, "{}", NULL, 0, &a, "version 4"), RN_ERR_UNSUPPORTED);
    assert_int_equal(rn_npy_read(in_folder("none.npy"), &a, NULL), RN_ERR_IO);
}

/* A .npy file cut at any byte, or with any bit of its header flipped. */
static void npy_damaged(void **state)
{
    (void)state;
    size_t size;
    static const float x[2] = {1, 2};
    for (int major = 1; major <= 2; major++) {
        unsigned char *data = npy_of(major, N("'<f4'", "False", "(2,)"), x, 8, &size);
        rn_array a;
        rn_error err;
        for (size_t n = 0; n < size; n++) {
            unsigned char *cut = malloc(n + !n);
            memcpy(cut, data, n);
            assert_int_equal(rn_npy_parse("cut", cut, n, &a, &err), RN_ERR_FORMAT);
            free(cut);
        }
        for (size_t bit = 0; bit < size * 8; bit++) {
            unsigned char *flipped = malloc(size);
            memcpy(flipped, data, size);
            flipped[bit / 8] ^= (unsigned char)(1u << bit % 8);
            if (rn_npy_parse("flipped", flipped, size, &a, &err) == 0)
                assert_true(a.count <= 8);
            rn_array_free(&a);
            free(flipped);
        }
        free(data);
    }
}

/* ---- events ---- */

/* CRC-32C by polynomial division, most significant bit first over reflected bytes: independent of the code under test. */
static uint32_t masked_crc(const unsigned char *p, size_t n)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < n * 8; i++) {
        uint32_t bit = (p[i / 8] >> i % 8 & 1u) ^ (crc & 1u);
        crc >>= 1;
        if (bit)
            crc ^= 0x82F63B78u;
    }
    crc = ~crc;
    return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

/* Walks the records; returns their number, and the message of record `want`. */
static int walk(const char *path, int want, unsigned char *message, size_t *length)
{
    size_t size, at = 0;
    int count = 0;
    unsigned char *data = read_bytes(path, &size);
    while (at < size) {
        uint64_t n;
        uint32_t crc;
        assert_true(size - at >= 16);
        memcpy(&n, data + at, 8);
        memcpy(&crc, data + at + 8, 4);
        assert_int_equal(crc, masked_crc(data + at, 8));
        assert_true(n <= size - at - 16);
        memcpy(&crc, data + at + 12 + n, 4);
        assert_int_equal(crc, masked_crc(data + at + 12, n));
        if (count == want) {
            memcpy(message, data + at + 12, n);
            *length = n;
        }
        at += n + 16;
        count++;
    }
    free(data);
    return count;
}

/* A record that TensorBoard would stop at; a field under another number. */
static void events_bytes(void **state)
{
    (void)state;
    static const unsigned char golden[] = {0x18, 0, 0, 0, 0, 0, 0, 0, 0xA3, 0x7F, 0x4B, 0x22, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0x1A, 0x0D,
        'b', 'r', 'a', 'i', 'n', '.', 'E', 'v', 'e', 'n', 't', ':', '2', 0xEE, 0xDF, 0x28, 0xA3};
    uint32_t crc;
    memcpy(&crc, golden + 36, 4);
    assert_int_equal(masked_crc(golden + 12, 24), crc); /* the test's own CRC gives TensorFlow's bytes */
    rn_events *e;
    rn_error err;
    assert_int_equal(rn_events_open(&e, folder, NULL, 0, &err), 0);
    assert_non_null(strstr(rn_events_path(e), "/events.out.tfevents."));
    assert_int_equal(rn_events_bytes(e), 40);
    assert_int_equal(rn_events_scalar(e, 300, "loss/train", 0.5f, &err), 0);
    assert_int_equal(rn_events_scalar(e, -1, "x", 1, &err), 0);
    char tag[1100];
    memset(tag, 't', sizeof tag);
    tag[1001] = 0;
    assert_int_equal(rn_events_scalar(e, 1, tag, 1, &err), RN_ERR_ARG);
    tag[1000] = 0;
    assert_int_equal(rn_events_scalar(e, INT64_MAX, tag, 1, &err), 0);
    assert_int_equal(rn_events_flush(e, &err), 0);
    unsigned char message[2000];
    size_t n;
    assert_int_equal(walk(rn_events_path(e), 0, message, &n), 4);
    assert_int_equal(n, 24);
    assert_int_equal(message[0], 9);
    double seconds;
    memcpy(&seconds, message + 1, 8);
    assert_true(seconds > 1.7e9 && seconds < 1e11);
    assert_memory_equal(message + 9, golden + 21, 15);
    size_t size;
    unsigned char *data = read_bytes(rn_events_path(e), &size);
    assert_memory_equal(data, golden, 12);
    assert_int_equal(size, rn_events_bytes(e));
    free(data);
    walk(rn_events_path(e), 1, message, &n);
    static const unsigned char scalar[] = {0x10, 0xAC, 2,   0x2A, 19,  0x0A, 17,  0x0A, 10, 'l', 'o', 's',
                                           's',  '/',  't', 'r',  'a', 'i',  'n', 0x15, 0,  0,   0,   0x3F};
    assert_int_equal(n, 9 + sizeof scalar);
    assert_memory_equal(message + 9, scalar, sizeof scalar);
    walk(rn_events_path(e), 2, message, &n);
    assert_memory_equal(message + 9, "\x10\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01\x2A", 12);
    rn_events_close(&e);
    assert_null(e);
    rn_events_close(&e);
}

/* A resumed run whose history doubles, whose cut leaves half a record, or that goes on behind a damaged one. */
static void events_resume(void **state)
{
    (void)state;
    rn_events *e, *second;
    rn_error err;
    unsigned char message[100];
    size_t n;
    char path[400];
    assert_int_equal(rn_events_open(&e, folder, NULL, 0, &err), 0);
    assert_int_equal(rn_events_open(&second, folder, NULL, 0, &err), 0); /* another file within one second */
    assert_string_not_equal(rn_events_path(e), rn_events_path(second));
    rn_events_close(&second);
    snprintf(path, sizeof path, "%s", rn_events_path(e));
    rn_events_scalar(e, 1, "a", 1, &err);
    int64_t keep = rn_events_bytes(e);
    for (int i = 2; i < 50; i++)
        rn_events_scalar(e, i, "a", 1, &err);
    rn_events_close(&e);
    assert_int_equal(walk(path, 0, message, &n), 50);
    assert_int_equal(rn_events_open(&e, NULL, path, keep - 1, &err), RN_ERR_FORMAT);
    assert_null(e);
    assert_int_equal(rn_events_open(&e, NULL, path, 1 << 20, &err), RN_ERR_FORMAT);
    assert_int_equal(rn_events_open(&e, NULL, path, -1, &err), RN_ERR_FORMAT);
    assert_int_equal(walk(path, 0, message, &n), 50); /* a refusal changes nothing */
    assert_int_equal(rn_events_open(&e, NULL, path, keep, &err), 0);
    assert_int_equal(rn_events_bytes(e), keep);
    assert_int_equal(rn_events_scalar(e, 2, "b", 1, &err), 0);
    rn_events_close(&e);
    assert_int_equal(walk(path, 2, message, &n), 3);
    assert_int_equal(message[n - 6], 'b');
    size_t size;
    unsigned char *data = read_bytes(path, &size);
    data[50] ^= 1;
    write_bytes(path, data, size);
    free(data);
    assert_int_equal(rn_events_open(&e, NULL, path, keep, &err), RN_ERR_FORMAT);
    assert_int_equal(rn_events_open(&e, NULL, path, 0, &err), 0);
    assert_int_equal(rn_events_bytes(e), 40);
    rn_events_close(&e);
    assert_int_equal(walk(path, 0, message, &n), 1);
    assert_int_equal(rn_events_open(&e, NULL, in_folder("no events"), 0, &err), RN_ERR_IO);
    assert_int_equal(rn_events_open(&e, in_folder("no folder"), NULL, 0, &err), RN_ERR_IO);
    if (access("/dev/full", W_OK) == 0)
        assert_int_equal(rn_events_open(&e, NULL, "/dev/full", 0, &err), RN_ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(minimal_file), cmocka_unit_test(written_bytes), cmocka_unit_test(conversions), cmocka_unit_test(unusual_but_valid),
        cmocka_unit_test(broken_rules), cmocka_unit_test(greedy_headers), cmocka_unit_test(header_lengths), cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(flipped_bits), cmocka_unit_test(wrong_files), cmocka_unit_test(refused_lists), cmocka_unit_test(npy_written_bytes),
        cmocka_unit_test(npy_types), cmocka_unit_test(npy_refused), cmocka_unit_test(npy_damaged), cmocka_unit_test(events_bytes),
        cmocka_unit_test(events_resume)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
