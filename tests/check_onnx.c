/* Checks ONNX files: what we write is read back as the same model; what others wrote (tests/golden/onnx, by scripts/golden/onnx_golden.py) gives the
 * logits that ONNX Runtime computed; what no network of ours computes is refused by node; broken and hostile files are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "folder_fixture.h"
#include "formats/onnx.h"
#include "formats/protobuf.h"
#include "models/onnx.h"

#include "drawn_network.h"

static const char *golden(const char *name)
{
    static char path[400];
    snprintf(path, sizeof path, "%s/golden/onnx/%s", RN_TEST_DIR, name);
    return path;
}

/* ---- What we write ---- */

typedef struct member {
    const char *name;
    const char *with; /* members of the description, as JSON */
    int fixed_h, fixed_w, h, w;
} member;

static const member members[] = {
    {"resnet18", "{\"width\": 4, \"classes\": 4, \"embedding\": 6}", 33, 0, 33, 40},
    {"resnet18", "{\"width\": 4, \"classes\": 4, \"pool\": \"3x2\"}", 33, 40, 33, 40},
    {"resnet50", "{\"width\": 2, \"classes\": 4, \"embedding\": 0, \"stride_at\": \"1x1\"}", 20, 0, 20, 24},
    {"resnet20", "{\"width\": 4, \"classes\": 4}", 0, 0, 17, 20},
    {"resnet20", "{\"width\": 4, \"classes\": 4, \"shortcut\": \"A2\", \"blocks\": \"1,2,1\"}", 0, 0, 17, 20},
    {"plain20", "{\"width\": 4, \"classes\": 4}", 0, 0, 17, 20},
    {"imagenet18", "{\"width\": 8, \"classes\": 4, \"shortcut\": \"C\", \"stem_pool\": \"end\"}", 0, 0, 48, 33},
    {"imagenet50", "{\"width\": 8, \"classes\": 4, \"blocks\": \"1,1\", \"stem\": \"deep\", \"shortcut_pool\": 1}", 0, 0, 48, 33},
    {"imagenet18", "{\"width\": 8, \"classes\": 4, \"stem\": \"tiered\", \"stem_pool\": \"none\", \"stem_width\": 16}", 0, 0, 48, 33},
    {"wide_resnet50_2", "{\"width\": 2, \"classes\": 4, \"blocks\": \"1,1,1,1\"}", 0, 0, 48, 33},
    {"resnext50_32x4d", "{\"width\": 8, \"classes\": 4, \"groups\": 4, \"group_width\": 16, \"blocks\": \"1,2\"}", 0, 0, 48, 33},
    {"imagenet18", "{\"width\": 16, \"classes\": 4, \"se\": 4, \"blocks\": \"1,1\"}", 0, 0, 48, 33},
    {"imagenet50", "{\"width\": 4, \"classes\": 4, \"preact\": 1, \"blocks\": \"2,1\"}", 0, 0, 48, 33},
    {"resnet20", "{\"width\": 4, \"classes\": 4, \"preact\": 1, \"blocks\": \"1,2\"}", 0, 0, 17, 20},
    {"resnet18", "{\"width\": 4, \"classes\": 4, \"embedding\": 6, \"embedding2\": 1, \"blocks\": \"1,1\"}", 33, 0, 33, 40},
};
enum { MEMBERS = sizeof members / sizeof *members };

static rn_model *make_model(const member *m)
{
    static const char *const labels[] = {"wren", "robin", "a \"quoted\" one", "\xC3\xA9t\xC3\xA9"};
    rn_error err = {0};
    rn_model *model = NULL;
    rn_arch arch;
    json_t *json = json_loads(m->with, 0, NULL);
    assert_int_equal(json_object_set_new(json, "name", json_string(m->name)), 0);
    if (rn_arch_from_json(&arch, "test", json, &err) || rn_model_new(&model, &arch, labels, RN_INIT_PYTORCH, 0, 5, &err))
        fail_msg("%s", err.text);
    json_decref(json);
    json_object_set_new(model->config, "features", json_pack("{s:s, s:i}", "kind", "logmel", "bins", 33));
    draw_parameters(7, model->graph, model->weights, model->stats);
    return model;
}

/* The logits; of a network without classes, its embedding. */
static void run_model(const rn_model *m, int n, int h, int w, const float *x, float *answer)
{
    float *logits = m->arch.classes ? answer : NULL, *embedding = m->arch.classes ? NULL : answer;
    rn_infer *engine = NULL;
    rn_error err = {0};
    if (rn_infer_open(&engine, m->graph, m->weights, m->stats, NULL, &err) || rn_infer_run(engine, n, h, w, x, logits, embedding, &err))
        fail_msg("%s", err.text);
    rn_infer_close(&engine);
}

/* Value i is ((i * 7919) mod 257 - 128) / 128, as in the script. */
static float *make_input(const rn_model *m, int n, int h, int w)
{
    size_t count = (size_t)n * (size_t)m->arch.in_channels * (size_t)h * (size_t)w;
    float *x = malloc(count * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < count; i++)
        x[i] = ((float)(i * 7919 % 257) - 128) / 128;
    return x;
}

static rn_model *load(const char *path)
{
    rn_error err = {0};
    rn_model *model = NULL;
    if (rn_onnx_load(&model, path, NULL, NULL, &err))
        fail_msg("%s", err.text);
    return model;
}

static void expect_same_bytes(const char *a, const char *b)
{
    size_t n, m;
    unsigned char *x = read_bytes(a, &n), *y = read_bytes(b, &m);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    free(x);
    free(y);
}

static void expect_same_logits(const rn_model *a, const rn_model *b, int h, int w)
{
    float *x = make_input(a, 2, h, w), y[8], z[8];
    assert_int_equal(a->arch.classes, 4);
    assert_int_equal(b->arch.classes, 4);
    run_model(a, 2, h, w, x, y);
    run_model(b, 2, h, w, x, z);
    assert_memory_equal(y, z, sizeof y);
    free(x);
}

/* A parameter under another name or in another order, an attribute that is lost, a label or section that does not come back. */
static void kept_comes_back(void **state)
{
    (void)state;
    for (int i = 0; i < MEMBERS; i++) {
        rn_model *model = make_model(&members[i]);
        rn_onnx_options options = {.input_h = members[i].fixed_h, .input_w = members[i].fixed_w};
        rn_error err = {0};
        if (rn_model_save(model, in_folder("a.safetensors"), &err) || rn_onnx_save(model, in_folder("a.onnx"), &options, &err))
            fail_msg("%s %s: %s", members[i].name, members[i].with, err.text);
        rn_model *back = load(in_folder("a.onnx"));
        assert_int_equal(rn_model_save(back, in_folder("b.safetensors"), NULL), 0);
        expect_same_bytes(in_folder("a.safetensors"), in_folder("b.safetensors"));
        /* and the same file, written again */
        assert_int_equal(rn_onnx_save(back, in_folder("b.onnx"), &options, NULL), 0);
        expect_same_bytes(in_folder("a.onnx"), in_folder("b.onnx"));
        rn_model_close(&model);
        rn_model_close(&back);
    }
}

/* Writes path again without what only we write: the description in its metadata, and all names of nodes and tensors. */
static void make_anonymous(const char *path)
{
    static const char *const kept[] = {"input", "logits", "embedding"};
    rn_onnx m;
    rn_error err = {0};
    if (rn_onnx_read(path, &m, &err))
        fail_msg("%s", err.text);
    m.metadata_count = 0;
    for (int i = 0; i < m.nodes_count; i++) {
        m.nodes[i].name = "";
        for (int k = 0; k < m.nodes[i].inputs_count + m.nodes[i].outputs_count; k++) {
            const char **name = k < m.nodes[i].inputs_count ? &m.nodes[i].inputs[k] : &m.nodes[i].outputs[k - m.nodes[i].inputs_count];
            char other[120];
            int is_kept = 0;
            for (int j = 0; j < 3; j++)
                is_kept |= strcmp(*name, kept[j]) == 0;
            snprintf(other, sizeof other, "%s%s", is_kept ? "" : "x", *name);
            *name = rn_onnx_text(&m, other, strlen(other));
        }
    }
    for (int i = 0; i < m.tensors_count; i++) {
        char other[120];
        snprintf(other, sizeof other, "x%s", m.tensors[i].name);
        m.tensors[i].name = rn_onnx_text(&m, other, strlen(other));
    }
    assert_int_equal(rn_onnx_write(&m, path, 0, NULL), 0);
    rn_onnx_free(&m);
}

/* A network that is described wrongly from its shape: a stage too few, the wrong stem, the stride in another place. */
static void shape_is_recognised(void **state)
{
    (void)state;
    for (int i = 0; i < MEMBERS * 2; i++) {
        const member *m = &members[i / 2];
        rn_model *model = make_model(m);
        rn_onnx_options options = {.fold_bn = i % 2, .input_h = m->fixed_h, .input_w = m->fixed_w};
        rn_error err = {0};
        if (rn_onnx_save(model, in_folder("a.onnx"), &options, &err))
            fail_msg("%s", err.text);
        make_anonymous(in_folder("a.onnx"));
        rn_model *back = load(in_folder("a.onnx"));
        assert_int_equal(back->arch.embedding, model->arch.embedding);
        assert_int_equal(back->arch.width, model->arch.width);
        assert_int_equal(back->arch.block, model->arch.block);
        assert_int_equal(back->arch.shortcut, model->arch.shortcut);
        assert_memory_equal(back->arch.blocks, model->arch.blocks, sizeof back->arch.blocks);
        /* folded or not: the engine folds too, and to the same bits */
        expect_same_logits(model, back, m->h, m->w);
        rn_model_close(&model);
        rn_model_close(&back);
    }
}

/* A pool whose bins cannot be known, written with wrong ones. */
static void size_is_asked_for(void **state)
{
    (void)state;
    rn_error err = {0};
    rn_model *model = make_model(&members[0]);
    assert_int_equal(rn_onnx_save(model, in_folder("no.onnx"), &(rn_onnx_options){0}, &err), RN_ERR_ARG);
    assert_non_null(strstr(err.text, "--input"));
    assert_int_not_equal(access(in_folder("no.onnx"), F_OK), 0);
    rn_model_close(&model);
}

/* ---- Data in another file ---- */

static void expect_refusal(const char *path, const char *word)
{
    rn_model *model = NULL;
    rn_error err = {0};
    int status = rn_onnx_load(&model, path, NULL, NULL, &err);
    if (!status || !strstr(err.text, word) || !strstr(err.text, strrchr(path, '/') + 1))
        fail_msg("%s: status %d, \"%s\"; \"%s\" was expected in it", path, status, err.text, word);
    assert_null(model);
}

/* Offsets that are off by the padding between tensors; a link followed out of the folder; a file that is too short. */
static void data_beside_it(void **state)
{
    (void)state;
    rn_model *model = make_model(&members[3]);
    rn_onnx_options options = {.inline_most = 10000};
    assert_int_equal(rn_model_save(model, in_folder("a.safetensors"), NULL), 0);
    assert_int_equal(rn_onnx_save(model, in_folder("big.onnx"), &options, NULL), 0);
    struct stat st;
    assert_int_equal(stat(in_folder("big.onnx.data"), &st), 0);
    rn_model *back = load(in_folder("big.onnx"));
    assert_int_equal(rn_model_save(back, in_folder("b.safetensors"), NULL), 0);
    expect_same_bytes(in_folder("a.safetensors"), in_folder("b.safetensors"));
    rn_model_close(&back);
    rn_model_close(&model);

    size_t size;
    unsigned char *data = read_bytes(in_folder("big.onnx.data"), &size);
    assert_int_equal(link(in_folder("big.onnx.data"), in_folder("twin")), 0);
    expect_refusal(in_folder("big.onnx"), "another name");
    remove(in_folder("big.onnx.data"));
    assert_int_equal(symlink("twin", in_folder("big.onnx.data")), 0);
    expect_refusal(in_folder("big.onnx"), "link");
    remove(in_folder("big.onnx.data"));
    expect_refusal(in_folder("big.onnx"), "No such file");
    assert_int_equal(mkfifo(in_folder("big.onnx.data"), 0600), 0);
    expect_refusal(in_folder("big.onnx"), "pipe");
    remove(in_folder("big.onnx.data"));
    write_bytes(in_folder("big.onnx.data"), data, size - 1);
    expect_refusal(in_folder("big.onnx"), "wants bytes");
    free(data);
}

/* A description that is believed although the graph computes something else: here zeros all behind the channels, not half of them before. */
static void description_is_proved(void **state)
{
    (void)state;
    rn_model *model = make_model(&members[4]);
    rn_onnx file;
    int changed = 0;
    assert_int_equal(model->arch.shortcut, RN_SHORTCUT_A2);
    assert_int_equal(rn_onnx_save(model, in_folder("a2.onnx"), &(rn_onnx_options){0}, NULL), 0);
    assert_int_equal(rn_onnx_read(in_folder("a2.onnx"), &file, NULL), 0);
    for (int i = 0; i < file.tensors_count; i++)
        if (strstr(file.tensors[i].name, ".pads")) {
            int64_t pads[8] = {0};
            pads[5] = rn_onnx_integer(&file.tensors[i], 1) + rn_onnx_integer(&file.tensors[i], 5);
            int64_t *copy = rn_onnx_room(&file, 8, sizeof *copy);
            memcpy(copy, pads, sizeof pads);
            file.tensors[i].data = copy;
            changed++;
        }
    assert_int_equal(changed, 2);
    assert_int_equal(rn_onnx_write(&file, in_folder("a2.onnx"), 0, NULL), 0);
    rn_onnx_free(&file);
    expect_refusal(in_folder("a2.onnx"), "(Pad");
    rn_model_close(&model);
}

static void change_text(unsigned char *data, size_t size, const char *from, const char *to)
{
    int found = 0;
    for (size_t i = 0; i + strlen(from) <= size; i++)
        if (memcmp(data + i, from, strlen(from)) == 0) {
            memcpy(data + i, to, strlen(to));
            found++;
        }
    assert_true(found > 0);
}

/* "../x" or "/x" opened; from memory, a folder guessed. */
static void names_that_lead_away(void **state)
{
    (void)state;
    static const char *const names[] = {"../ernal.onnx.weights", "/xternal.onnx.weights", "a//ernal.onnx.weights", "./ternal.onnx.weights",
                                        "a/ernal/../../weights"};
    size_t size;
    unsigned char *data = read_bytes(golden("external.onnx"), &size);
    rn_error err = {0};
    rn_model *model;
    assert_int_equal(rn_onnx_load_bytes(&model, "memory", data, size, &err), RN_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "another file"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n;
        unsigned char *copy = read_bytes(golden("external.onnx"), &n);
        char padded[24];
        snprintf(padded, sizeof padded, "%-21s", names[i]);
        change_text(copy, n, "external.onnx.weights", padded);
        write_bytes(in_folder("away.onnx"), copy, n);
        expect_refusal(in_folder("away.onnx"), "plain name");
        free(copy);
    }
    free(data);
}

/* ---- What others wrote ---- */

static void expect_logits(char *line)
{
    char *save, *file = strtok_r(line, " \n", &save);
    double numbers[5];
    for (int i = 0; i < 5; i++)
        numbers[i] = strtod(strtok_r(NULL, " \n", &save), NULL);
    int n = (int)numbers[0], h = (int)numbers[2], w = (int)numbers[3];
    rn_model *model = load(golden(file));
    assert_int_equal(model->arch.in_channels, (int)numbers[1]);
    int outputs = model->arch.classes ? model->arch.classes : model->arch.embedding;
    float *x = make_input(model, n, h, w), *y = calloc((size_t)n * (size_t)outputs, sizeof *y);
    run_model(model, n, h, w, x, y);
    int count = 0;
    for (char *value; (value = strtok_r(NULL, " \n", &save)); count++)
        if (count >= n * outputs || !(fabs(y[count] - strtod(value, NULL)) <= numbers[4]))
            fail_msg("%s: logit %d is %.9g, ONNX Runtime has %s", file, count, (double)y[count], value);
    assert_int_equal(count, n * outputs);
    free(x);
    free(y);
    rn_model_close(&model);
}

/* A layout, a pad, a folded or moved bias, a transposed weight that is taken wrongly; something unknown that is taken at all. */
static void golden_files(void **state)
{
    (void)state;
    char line[4000];
    int read = 0, refused = 0;
    FILE *expected = fopen(golden("expected.txt"), "r");
    assert_non_null(expected);
    while (fgets(line, sizeof line, expected)) {
        char file[100], word[200];
        if (sscanf(line, "refuse %99s %199s", file, word) == 2) {
            for (char *c = word; *c; c++)
                *c = *c == '_' ? ' ' : *c;
            expect_refusal(golden(file), word);
            refused++;
        } else {
            assert_memory_equal(line, "read ", 5);
            expect_logits(line + 5);
            read++;
        }
    }
    fclose(expected);
    assert_int_equal(read, 17);
    assert_int_equal(refused, 4);
}

/* A graph that looks like a network and computes something else: a map cut to whole numbers, a bias added behind an output that is without it;
 * sizes whose product overflows; a second output that nobody reads, which once was read all the same. The fuzzer's corpus has them. */
static void look_alikes(void **state)
{
    (void)state;
    expect_refusal(RN_TEST_DIR "/fuzz/corpus/onnx/cast", "a cast of a map");
    expect_refusal(RN_TEST_DIR "/fuzz/corpus/onnx/tapped", "(Add): a constant added");
    expect_refusal(RN_TEST_DIR "/fuzz/corpus/onnx/overflow", "larger than any image");
    expect_refusal(RN_TEST_DIR "/fuzz/corpus/onnx/dropout", "the graph's output y");
}

static void count_report(void *context, const char *text)
{
    assert_non_null(text);
    ++*(int *)context;
}

/* A softmax or a layout that is dropped without a word. */
static void reports(void **state)
{
    (void)state;
    rn_model *model;
    int lines = 0;
    assert_int_equal(rn_onnx_load(&model, golden("tensorflow.onnx"), count_report, &lines, NULL), 0);
    assert_int_equal(lines, 2);
    rn_model_close(&model);
}

/* ---- Bytes ---- */

/* Numbers packed and one a field, negative ones, ends in the middle, and groups. */
static void protobuf_numbers(void **state)
{
    (void)state;
    rn_proto_out out = {0};
    static const int64_t numbers[] = {0, 1, 127, 128, -1, INT64_MIN, INT64_MAX};
    enum { COUNT = sizeof numbers / sizeof *numbers };
    for (int i = 0; i < COUNT; i++)
        rn_proto_put_int(&out, 8, numbers[i]);
    rn_proto_put_float(&out, 2, 0.5f);
    rn_proto_put_text(&out, 4, "text");
    assert_false(out.failed);
    rn_proto p = {out.data, out.data + out.size};
    rn_proto_field f;
    uint64_t value;
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(rn_proto_next(&p, &f), 1);
        assert_int_equal(f.number, 8);
        assert_int_equal(rn_proto_number(&f, RN_WIRE_VARINT, &value), 1);
        assert_true((int64_t)value == numbers[i]);
        assert_int_equal(rn_proto_number(&f, RN_WIRE_VARINT, &value), 0);
    }
    assert_int_equal(rn_proto_next(&p, &f), 1);
    assert_int_equal(rn_proto_number(&f, RN_WIRE_VARINT, &value), -1); /* of another type */
    assert_int_equal(rn_proto_next(&p, &f), 1);
    assert_int_equal(f.bytes.end - f.bytes.at, 4);
    assert_int_equal(rn_proto_next(&p, &f), 0);
    for (size_t size = 0; size < out.size; size++) { /* cut: never beyond its end, and an end or an error at last */
        unsigned char *copy = malloc(size + !size);
        memcpy(copy, out.data, size);
        rn_proto cut = {copy, copy + size};
        while (rn_proto_next(&cut, &f) > 0) {
        }
        free(copy);
    }
    rn_proto_free(&out);
    static const unsigned char group[] = {0x0B, 0x08, 0x01, 0x0C},
                               endless[] = {0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F},
                               packed[] = {0x42, 0x03, 0x01, 0x80, 0x01};
    assert_int_equal(rn_proto_next(&(rn_proto){group, group + sizeof group}, &f), -1);
    assert_int_equal(rn_proto_next(&(rn_proto){endless, endless + sizeof endless}, &f), -1);
    assert_int_equal(rn_proto_next(&(rn_proto){packed, packed + sizeof packed}, &f), 1);
    assert_int_equal(rn_proto_number(&f, RN_WIRE_VARINT, &value), 1);
    assert_int_equal(rn_proto_number(&f, RN_WIRE_VARINT, &value), 1);
    assert_int_equal(value, 128);
    assert_int_equal(rn_proto_number(&f, RN_WIRE_VARINT, &value), 0);
}

/* A copy of exactly its size: read, or refused with a sentence; nothing else. */
static int try_bytes(const unsigned char *data, size_t size)
{
    unsigned char *copy = malloc(size + !size);
    rn_model *model = NULL;
    rn_error err = {0};
    memcpy(copy, data, size);
    int status = rn_onnx_load_bytes(&model, "bytes", copy, size, &err);
    if (status && (strncmp(err.text, "bytes", 5) != 0 || model))
        fail_msg("status %d: \"%s\"", status, err.text);
    rn_model_close(&model);
    free(copy);
    return status;
}

/* A length or a reference that is believed. */
static void broken_bytes(void **state)
{
    (void)state;
    static const char *const files[] = {"folded.onnx", "caffe2.onnx", "tensorflow.onnx", "option_a2.onnx"};
    for (size_t k = 0; k < sizeof files / sizeof *files; k++) {
        size_t size;
        unsigned char *data = read_bytes(golden(files[k]), &size);
        rn_random r;
        assert_int_equal(try_bytes(data, size), 0);
        for (size_t cut = 0; cut < size; cut += cut < 400 ? 1 : 97)
            assert_int_not_equal(try_bytes(data, cut), 0);
        rn_random_start(&r, 11, RN_PURPOSE_TEST, 0, k);
        for (int i = 0; i < 1500; i++) {
            size_t at = (size_t)((uint64_t)rn_random_u32(&r) * size >> 32);
            unsigned char was = data[at];
            data[at] ^= (unsigned char)(1u << (rn_random_u32(&r) & 7));
            try_bytes(data, size);
            data[at] = was;
        }
        free(data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(protobuf_numbers),      cmocka_unit_test(kept_comes_back), cmocka_unit_test(shape_is_recognised),
        cmocka_unit_test(size_is_asked_for),     cmocka_unit_test(data_beside_it),  cmocka_unit_test(names_that_lead_away),
        cmocka_unit_test(golden_files), cmocka_unit_test(look_alikes),          cmocka_unit_test(reports),         cmocka_unit_test(broken_bytes),
        cmocka_unit_test(description_is_proved),
    };
    return cmocka_run_group_tests_name("onnx", tests, make_folder, remove_folder);
}
