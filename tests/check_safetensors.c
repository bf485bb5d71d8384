/* Checks safetensors files: good ones byte for byte and hostile ones without a crash.
 *
 * Hostile bytes lie in an allocation of exactly their size, so that AddressSanitizer and valgrind see a byte read too many. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "folder_fixture.h"
#include "formats/tensors.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(minimal_file), cmocka_unit_test(written_bytes), cmocka_unit_test(conversions), cmocka_unit_test(unusual_but_valid),
        cmocka_unit_test(broken_rules), cmocka_unit_test(greedy_headers), cmocka_unit_test(header_lengths), cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(flipped_bits), cmocka_unit_test(wrong_files), cmocka_unit_test(refused_lists)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
