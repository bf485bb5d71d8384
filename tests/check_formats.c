/* Checks npy and event files: good ones byte for byte and hostile ones without a crash.
 *
 * Hostile bytes lie in an allocation of exactly their size, so that AddressSanitizer and valgrind see a byte read too many. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "folder_fixture.h"
#include "formats/events.h"
#include "formats/npy.h"

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
        cmocka_unit_test(npy_written_bytes), cmocka_unit_test(npy_types), cmocka_unit_test(npy_refused), cmocka_unit_test(npy_damaged),
        cmocka_unit_test(events_bytes), cmocka_unit_test(events_resume)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
