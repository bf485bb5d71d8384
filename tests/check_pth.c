/* Checks PyTorch's files: what torch.save wrote (tests/golden/pth, by scripts/golden/pth_golden.py) value by value, and hostile ones.
 *
 * Hostile bytes lie in an allocation of exactly their size, so that AddressSanitizer and valgrind see a byte read too many. Pickles are
 * wrapped as a stream, the smallest container; the zip archives are made here too. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "folder_fixture.h"
#include "formats/pth.h"

static const char *golden(const char *name)
{
    static char path[400];
    snprintf(path, sizeof path, "%s/golden/pth/%s", RN_TEST_DIR, name);
    return path;
}

/* ---- What torch.save wrote ---- */

static void expect_tensor(const rn_tensor *t, char *line)
{
    char *save, *name = strtok_r(line, " \n", &save), *dtype = strtok_r(NULL, " \n", &save), *shape = strtok_r(NULL, " \n", &save),
                text[100] = "";
    float values[64];
    assert_string_equal(t->name, name);
    assert_string_equal(rn_dtype_name(t->dtype), dtype);
    for (int d = 0; d < t->dims; d++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%lld", d ? "x" : "", (long long)t->shape[d]);
    assert_string_equal(t->dims ? text : "-", shape);
    assert_true(t->count <= 64);
    rn_tensor_floats(t, values);
    int64_t n = 0;
    for (char *value; (value = strtok_r(NULL, " \n", &save)); n++)
        if (n >= t->count || values[n] != (float)strtod(value, NULL))
            fail_msg("%s: value %lld is %.9g, expected %s", name, (long long)n, (double)values[n], value);
    assert_int_equal(n, t->count);
}

static void expect_refusal(const char *file, const char *word)
{
    rn_tensors t;
    rn_error err = {0, ""};
    int status = rn_tensors_read(golden(file), &t, &err);
    if (!status || !strstr(err.text, word) || !strstr(err.text, file))
        fail_msg("%s: status %d, \"%s\"; \"%s\" was expected in it", file, status, err.text, word);
    assert_int_equal(t.count, 0);
    assert_null(t.items);
}

/* A wrong stride, offset, order of storages or dictionary; a name that kept its wrapper's prefix; a module taken for tensors. */
static void golden_files(void **state)
{
    (void)state;
    rn_tensors t = {0};
    rn_error err = {0, ""};
    char line[2000], path[100];
    int next = 0, files = 0;
    FILE *expected = fopen(golden("expected.txt"), "r");
    assert_non_null(expected);
    while (fgets(line, sizeof line, expected)) {
        char file[100], word[100];
        if (sscanf(line, "refuse %99s %99s", file, word) == 2) {
            expect_refusal(file, word);
        } else if (sscanf(line, "read %99s %99s", file, path) == 2) {
            assert_int_equal(next, t.count);
            rn_tensors_free(&t);
            if (rn_tensors_read(golden(file), &t, &err))
                fail_msg("%s", err.text);
            const char *dictionary = rn_tensors_metadata(&t, "pth.dictionary");
            assert_non_null(dictionary);
            if (strcmp(path, "-") && (strlen(dictionary) < strlen(path) || strncmp(dictionary, path, strcspn(path, ","))))
                fail_msg("%s: tensors from \"%s\", expected \"%s\"", file, dictionary, path);
            if (!strcmp(path, "-"))
                assert_string_equal(dictionary, "");
            next = 0;
            files++;
        } else {
            assert_true(next < t.count && !strncmp(line, "tensor ", 7));
            expect_tensor(&t.items[next++], line + 7);
        }
    }
    assert_int_equal(next, t.count);
    assert_int_equal(files, 16);
    rn_tensors_free(&t);
    fclose(expected);
}

/* The classes that a checkpoint would have made are named, and nothing of PyTorch's own. */
static void unread_names(void **state)
{
    (void)state;
    rn_tensors t;
    assert_int_equal(rn_pth_read(golden("checkpoint.pth"), &t, NULL), 0);
    const char *names = rn_tensors_metadata(&t, "pth.not_read");
    assert_non_null(names);
    assert_non_null(strstr(names, "argparse.Namespace"));
    assert_null(strstr(names, "rebuild"));
    rn_tensors_free(&t);
    assert_int_equal(rn_pth_read(golden("plain.pth"), &t, NULL), 0);
    assert_null(rn_tensors_metadata(&t, "pth.not_read"));
    rn_tensors_free(&t);
}

/* ---- Broken files ---- */

/* Parses a copy of exactly its size. Returns the status; after an error the sentence must name the file and nothing may be left. */
static int parse_copy(const unsigned char *data, size_t size, rn_tensors *t, rn_error *err)
{
    unsigned char *copy = malloc(size + !size);
    memcpy(copy, data, size);
    err->text[0] = 0;
    int status = rn_pth_parse("x.pth", copy, size, t, err);
    if (status) {
        assert_int_equal(strncmp(err->text, "x.pth: ", 7), 0);
        assert_true(t->count == 0 && !t->items && !t->copies);
    } else {
        for (int i = 0; i < t->count; i++) {
            float *values = malloc(((size_t)t->items[i].count + 1) * sizeof *values);
            assert_non_null(values);
            rn_tensor_floats(&t->items[i], values); /* inside of the copy */
            free(values);
        }
        rn_tensors_free(t);
    }
    free(copy);
    return status;
}

static const char *const broken_ones[] = {"plain.pth",        "views.pth",        "checkpoint.pth",
                                          "plain_stream.pth", "views_stream.pth", "checkpoint_stream.pth"};

/* A cut that is read as a whole file, or read past. */
static void truncations(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof broken_ones / sizeof *broken_ones; k++) {
        size_t size;
        rn_tensors t;
        rn_error err;
        unsigned char *data = read_bytes(golden(broken_ones[k]), &size);
        for (size_t n = 0; n < size; n++)
            if (!parse_copy(data, n, &t, &err))
                fail_msg("%s cut to %zu bytes was read", broken_ones[k], n);
        free(data);
    }
}

/* In an archive with checksums a changed byte of data or pickle must be noticed; nowhere may one lead outside. */
static void flipped_bits(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof broken_ones / sizeof *broken_ones; k++) {
        size_t size;
        rn_tensors t;
        rn_error err;
        unsigned char *data = read_bytes(golden(broken_ones[k]), &size);
        for (size_t i = 0; i < size; i++)
            for (int bit = 0; bit < 8; bit++) {
                data[i] ^= (unsigned char)(1 << bit);
                int status = parse_copy(data, size, &t, &err);
                if (!status && data[0] == 'P' && i > 64 && i < 100) /* inside of the first member, the pickle */
                    fail_msg("%s with bit %d of byte %zu changed was read", broken_ones[k], bit, i);
                data[i] ^= (unsigned char)(1 << bit);
            }
        free(data);
    }
}

/* ---- Hostile pickles ---- */

typedef struct bytes {
    unsigned char data[1 << 17];
    size_t size;
} bytes;

static void put(bytes *b, const void *data, size_t size)
{
    assert_true(b->size + size <= sizeof b->data);
    memcpy(b->data + b->size, data, size);
    b->size += size;
}

#define PUT(b, literal) put(b, literal, sizeof(literal) - 1)

/* A stream around the object's pickle (without protocol and STOP); if that names storages, with the storage "0" of six floats. */
static void stream(bytes *b, const void *object, size_t size)
{
    static const float six[6] = {1, 2, 3, 4, 5, 6};
    int64_t count = 6;
    b->size = 0;
    PUT(b, "\x80\2\x8A\x0A\x6C\xFC\x9C\x46\xF9\x20\x6A\xA8\x50\x19.");
    PUT(b, "\x80\2M\xE9\3.");
    PUT(b, "\x80\2}X\x0D\0\0\0little_endian\x88s.");
    PUT(b, "\x80\2");
    put(b, object, size);
    if (!memmem(object, size, "storage", 7)) {
        PUT(b, ".\x80\2].");
        return;
    }
    PUT(b, ".\x80\2]X\1\0\0\0"
           "0a.");
    put(b, &count, 8);
    put(b, six, sizeof six);
}

#define STORAGE_OF(n)                                                                                                                      \
    "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"                                                                                     \
    "0X\3\0\0\0cpu" n "tQ"
#define STORAGE STORAGE_OF("K\6")
/* A tensor of a storage's elements; offset, size and stride are pickles themselves. */
#define TENSOR_OF(storage, offset, size, stride) "ctorch._utils\n_rebuild_tensor_v2\n(" storage offset size stride "\x89}tR"
#define TENSOR TENSOR_OF(STORAGE, "K\0", "K\2K\3\x86", "K\3K\1\x86")
#define NAMED(name, tensor) "X\1\0\0\0" name tensor
#define DICT(items) "}(" items "u"

static int parse_object(const void *object, size_t size, rn_error *err)
{
    static bytes b;
    rn_tensors t;
    stream(&b, object, size);
    return parse_copy(b.data, b.size, &t, err);
}

#define CASE(object, word)                                                                                                                 \
    {                                                                                                                                      \
        object, sizeof(object) - 1, word                                                                                                   \
    }

/* word NULL: must be read. */
static const struct hostile {
    const char *object;
    size_t size;
    const char *word;
} hostile[] = {
    CASE(DICT(NAMED("w", TENSOR)), NULL),
    CASE("ccollections\nOrderedDict\n)R(" NAMED("w", TENSOR) "u}b", NULL),
    CASE("ccollections\nOrderedDict\n](](" NAMED("w", TENSOR) "ee\x85R", NULL), /* as Python 2 wrote it */
    CASE("ccollections\nOrderedDict\n](Ne\x85R", "pairs"),
    CASE("ccollections\nOrderedDict\n](](NNNee\x85R", "pairs"),
    CASE("ccollections\nOrderedDict\n]]\x86R", "pairs"),
    /* nothing is run, and what would be is named */
    CASE("cposix\nsystem\nX\4\0\0\0true\x85R", "posix.system"),
    CASE(DICT(NAMED("w", "cposix\nsystem\nX\4\0\0\0true\x85R")), "posix.system"),
    CASE(DICT(NAMED("a", DICT(NAMED("w", TENSOR))) NAMED("b", "cposix\nsystem\nX\4\0\0\0true\x85R")), NULL),
    CASE("c__builtin__\neval\nX\1\0\0\0"
         "1\x85R}b",
         "__builtin__.eval"),
    CASE("ios\nsystem\n", "0x69"),
    CASE("cos", "cut off"),
    CASE("cos \nsystem\n)R", "global"),
    /* the stack */
    CASE("", "one value"),
    CASE("NN", "one value"),
    CASE("(", "no value"),
    CASE("R", "too few"),
    CASE(")R", "too few"),
    CASE("K\1)R", "no function"),
    CASE("]]R", "no tuple"),
    CASE("t", "no mark"),
    CASE("N\x87", "too few"),
    CASE("(N\x86", "too few"),
    CASE("u", "no mark"),
    CASE("(u", "too few"),
    CASE("}(Nu", "without a value"),
    CASE(")(NNu", "no dictionary"),
    CASE("NNNs", "no dictionary"),
    CASE("K\1(NNu", "no dictionary"),
    CASE("}Na", "no list"),
    CASE("(a", "too few"),
    CASE("](Ns", "mark"),
    CASE("b", "no value"),
    CASE("K\1}b", "state"),
    CASE("Q", "too few"),
    CASE("q\0", "no value"),
    CASE("h\0", "memo"),
    CASE("Nq\1h\0", "memo"),
    CASE("Nr\xFF\xFF\xFF\xFF", "memo"),
    CASE("X\xFF\xFF\xFF\xFFzz", "cut off"),
    CASE("\x8A\xFFzz", "cut off"),
    CASE("\x80\4N", "protocol 4"),
    /* values that hold themselves */
    CASE("}q\0X\1\0\0\0wh\0s", "dictionary"),
    CASE("]q\0h\0a", "dictionary"),
    /* tensors */
    CASE(DICT(NAMED("w", TENSOR) NAMED("w", TENSOR)), "twice"),
    CASE(DICT("X\2\0\0\0w\0" TENSOR), "UTF-8"),
    CASE(DICT("X\2\0\0\0\xC0\x80" TENSOR), "UTF-8"),
    CASE(DICT("X\2\0\0\0w\x1B" TENSOR), "UTF-8"),
    CASE(DICT("K\1" TENSOR), "dictionary"),
    CASE(DICT(NAMED("w", TENSOR_OF(STORAGE, "K\1", "K\2K\3\x86", "K\3K\1\x86"))), "beyond"),
    CASE(DICT(NAMED("w", TENSOR_OF(STORAGE, "K\0", "K\7\x85", "K\1\x85"))), "beyond"),
    CASE(DICT(NAMED("w", TENSOR_OF(STORAGE, "J\xFF\xFF\xFF\xFF", "K\2\x85", "K\1\x85"))), "beyond"),
    CASE(DICT(NAMED("w", TENSOR_OF(STORAGE, "K\5", "K\2\x85", "J\xFF\xFF\xFF\xFF\x85"))), "size and stride"),
    CASE(DICT(NAMED("w", TENSOR_OF(STORAGE, "K\0", "J\xFF\xFF\xFF\xFF\x85", "K\1\x85"))), "size and stride"),
    CASE(DICT(NAMED("w", TENSOR_OF(STORAGE, "K\0", "K\2K\3\x86", "K\1\x85"))), "size and stride"),
    CASE(DICT(NAMED("w", TENSOR_OF(STORAGE, "K\0", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t"))), "size and stride"),
    CASE(DICT(NAMED("w", TENSOR_OF(STORAGE, "K\0", "(K\1K\1K\1K\1K\1K\1K\1K\6t", "(K\1K\1K\1K\1K\1K\1K\1K\1t"))), NULL),
    CASE(DICT(NAMED("w", TENSOR_OF(STORAGE, "K\0", "\x8A\6\0\0\0\0\0\1\x85", "K\0\x85"))), "repeats"), /* 2^40 times one element */
    CASE(DICT(NAMED("w", TENSOR_OF(STORAGE, "K\0", "\x8A\6\0\0\0\0\0\1\x8A\6\0\0\0\0\0\1\x86", "K\0K\0\x86"))), "beyond"),
    CASE(DICT(NAMED("w", TENSOR_OF(STORAGE, "K\0", "K\2\x85", "\x8A\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F\x85"))), "size and stride"),
    CASE(DICT(NAMED("w", TENSOR_OF(STORAGE, "K\0", "K\1\x85", "\x8A\6\0\0\0\0\0\1\x85"))), NULL), /* one element: its stride is nothing */
    CASE(DICT(NAMED("w", TENSOR_OF(STORAGE, "K\0", "K\0\x85", "K\1\x85"))), NULL),
    CASE(DICT(NAMED("w", TENSOR_OF(STORAGE_OF("K\7"), "K\0", "K\7\x85", "K\1\x85"))), "24 bytes"),
    CASE(DICT(NAMED("w", TENSOR_OF(STORAGE_OF("\x8A\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F"), "K\0", "K\7\x85", "K\1\x85"))), "24 bytes"),
    CASE(DICT(NAMED("w", TENSOR_OF("N", "K\0", "K\7\x85", "K\1\x85"))), "storage"),
    CASE(DICT(NAMED("w", TENSOR_OF("(X\7\0\0\0storagectorch\nFloatStorage\nX\4\0\0\0../0X\3\0\0\0cpuK\6tQ", "K\0", "K\6\x85", "K\1\x85"))),
         "storage"),
    CASE(DICT(NAMED("w", "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE "K\0tR")), "less than"),
    CASE(DICT(NAMED("w", "ctorch._utils\n_rebuild_parameter\n)R")), "dictionary"),
    CASE(DICT(NAMED("w", "ctorch._utils\n_rebuild_parameter\n" TENSOR "\x88}\x87R")), NULL),
};

/* Anything that the machine takes on trust: stack, memo, arguments, sizes. */
static void hostile_pickles(void **state)
{
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        rn_error err;
        int status = parse_object(hostile[i].object, hostile[i].size, &err);
        if (!hostile[i].word == !status && (!status || strstr(err.text, hostile[i].word)))
            continue;
        print_error("pickle %zu: status %d, \"%s\"; expected was \"%s\"\n", i, status, err.text,
                    hostile[i].word ? hostile[i].word : "a file that is read");
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

/* A dictionary in a dictionary a thousand deep and more: recursion would end here; so would a search that follows every path of a graph
 * in which each of 20,000 entries is the same dictionary of 20,000 entries. */
static void deep_and_wide(void **state)
{
    (void)state;
    static bytes b;
    rn_error err;
    b.size = 0;
    for (int i = 0; i < 100000; i++)
        PUT(&b, "]");
    for (int i = 1; i < 100000 && b.size < sizeof b.data - 1; i++)
        PUT(&b, "a");
    assert_int_not_equal(parse_object(b.data, b.size > 120000 ? 120000 : b.size, &err), 0);
    b.size = 0;
    PUT(&b, "}q\0(");
    for (int i = 0; i < 20000; i++)
        PUT(&b, "Nh\0");
    PUT(&b, "u");
    assert_int_not_equal(parse_object(b.data, b.size, &err), 0);
    if (!strstr(err.text, "dictionary"))
        fail_msg("%s", err.text);
}

/* ---- Hostile archives ---- */

typedef struct member {
    const char *name, *local; /* local: the name in the local header; NULL: the same */
    const void *data;
    size_t size;
    int method, flags;
    uint32_t crc;
    long begin; /* what the directory says; 0: the truth */
    long grown; /* added to the directory's size */
} member;

static void put_number(bytes *b, uint64_t value, int size)
{
    for (int i = 0; i < size; i++, value >>= 8) {
        unsigned char c = (unsigned char)value;
        put(b, &c, 1);
    }
}

/* Without 64-bit records, which the golden files have. */
static void archive(bytes *b, const member *members, int count)
{
    size_t begin[8];
    b->size = 0;
    for (int i = 0; i < count; i++) {
        const member *m = &members[i];
        const char *name = m->local ? m->local : m->name;
        begin[i] = b->size;
        PUT(b, "PK\3\4\0\0");
        put_number(b, (uint64_t)m->flags, 2);
        put_number(b, (uint64_t)m->method, 2);
        put_number(b, 0, 16);
        put_number(b, strlen(name), 2);
        put_number(b, 0, 2);
        put(b, name, strlen(name));
        put(b, m->data, m->size);
    }
    size_t directory = b->size;
    for (int i = 0; i < count; i++) {
        const member *m = &members[i];
        PUT(b, "PK\1\2\0\0\0\0");
        put_number(b, (uint64_t)m->flags, 2);
        put_number(b, (uint64_t)m->method, 2);
        put_number(b, 0, 4);
        put_number(b, m->crc, 4);
        put_number(b, m->size + (uint64_t)m->grown, 4);
        put_number(b, m->size + (uint64_t)m->grown, 4);
        put_number(b, strlen(m->name), 2);
        put_number(b, 0, 12);
        put_number(b, m->begin ? (uint64_t)m->begin : begin[i], 4);
        put(b, m->name, strlen(m->name));
    }
    size_t end = b->size;
    PUT(b, "PK\5\6\0\0\0\0");
    put_number(b, (uint64_t)count, 2);
    put_number(b, (uint64_t)count, 2);
    put_number(b, end - directory, 4);
    put_number(b, directory, 4);
    put_number(b, 0, 2);
}

/* An archive that says one thing in its directory and another in its members, or the same bytes for two. */
static void hostile_archives(void **state)
{
    (void)state;
    static const char object[] = "\x80\2" DICT(NAMED("w", TENSOR)) ".";
    static const float six[6] = {1, 2, 3, 4, 5, 6};
    static bytes b;
    const member good[2] = {{.name = "a/data.pkl", .data = object, .size = sizeof object - 1},
                            {.name = "a/data/0", .data = six, .size = sizeof six}};
    const struct {
        member changed;
        const char *word;
    } cases[] = {
        {good[1], NULL},
        {{.name = "a/data/0", .local = "a/data/1", .data = six, .size = sizeof six}, "another name"},
        {{.name = "a/data/1", .data = six, .size = sizeof six}, "not in the file"},
        {{.name = "a/data.pkl", .data = six, .size = sizeof six}, "twice"},
        {{.name = "a/data/0", .data = six, .size = 20}, "20 bytes"},
        {{.name = "a/data/0", .data = six, .size = sizeof six, .method = 8}, "compressed"},
        {{.name = "a/data/0", .data = six, .size = sizeof six, .flags = 1}, "encrypted"},
        {{.name = "a/data/0", .data = six, .size = sizeof six, .crc = 0x12345678}, "checksum"},
        {{.name = "a/data/0", .data = six, .size = sizeof six, .grown = 1}, "directory"},
        {{.name = "a/data/0", .data = six, .size = sizeof six, .begin = 0x7FFFFFFF}, "where the directory says"},
        {{.name = "a/data/0", .data = six, .size = sizeof six, .begin = 1}, "where the directory says"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        member members[2] = {good[0], cases[i].changed};
        rn_tensors t;
        rn_error err;
        archive(&b, members, 2);
        int status = parse_copy(b.data, b.size, &t, &err);
        if (!cases[i].word != !status || (status && !strstr(err.text, cases[i].word)))
            fail_msg("archive %zu: status %d, \"%s\"; expected was \"%s\"", i, status, err.text,
                     cases[i].word ? cases[i].word : "a file that is read");
    }
    rn_tensors t;
    rn_error err;
    member over[2] = {good[0], good[1]};
    over[0].grown = 10; /* into the next member's header */
    archive(&b, over, 2);
    assert_int_not_equal(parse_copy(b.data, b.size, &t, &err), 0);
    assert_non_null(strstr(err.text, "overlaps"));
    member big[3] = {good[0], good[1], {.name = "a/byteorder", .data = "big", .size = 3}};
    archive(&b, big, 3);
    assert_int_not_equal(parse_copy(b.data, b.size, &t, &err), 0);
    assert_non_null(strstr(err.text, "big-endian"));
    archive(&b, big, 0);
    assert_int_not_equal(parse_copy(b.data, b.size, &t, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden_files),    cmocka_unit_test(unread_names),
                                       cmocka_unit_test(truncations),     cmocka_unit_test(flipped_bits),
                                       cmocka_unit_test(hostile_pickles), cmocka_unit_test(deep_and_wide),
                                       cmocka_unit_test(hostile_archives)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
