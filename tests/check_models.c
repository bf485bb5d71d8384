/* Checks the model file: what a round trip keeps, what is refused and in which words, and weights taken over from other models. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "folder_fixture.h"
#include "models/model.h"

static rn_arch arch_of(const char *name)
{
    rn_arch arch;
    rn_error err;
    assert_int_equal(rn_arch_default(&arch, name, &err), 0);
    return arch;
}

static rn_model *small_model(int classes, uint64_t seed)
{
    static const char *const labels[] = {"robin", "wren", "gr\xC3\xBCnfink", "none of \"these\"", "e", "f"};
    rn_arch arch = arch_of("resnet20");
    rn_model *m;
    rn_error err = {0, ""};
    arch.width = 2;
    arch.in_channels = 1;
    arch.classes = classes;
    arch.embedding = 3;
    arch.shortcut = RN_SHORTCUT_B;
    arch.pool_h = 2;
    if (rn_model_new(&m, &arch, labels, RN_INIT_PYTORCH, 0, seed, &err))
        fail_msg("%s", err.text);
    return m;
}

static unsigned char *bytes_of(const rn_model *m, size_t *size)
{
    rn_error err = {0, ""};
    if (rn_model_save(m, in_folder("bytes"), &err))
        fail_msg("%s", err.text);
    return read_bytes(in_folder("bytes"), size);
}

/* Anything that a round trip loses: a weight, a label, an option, a section that this build does not know. */
static void round_trip(void **state)
{
    (void)state;
    rn_error err;
    size_t size, again;
    rn_model *m = small_model(4, 1), *n;
    m->stats[3] = 0.25f;
    assert_int_equal(json_integer_value(rn_model_section(m, "arithmetic")), RN_ARITHMETIC);
    json_object_set_new(m->config, "features", json_pack("{s:f, s:i}", "hop_ms", 0.1, "bins", 64));
    json_object_set_new(m->config, "zzz of a later version", json_pack("[n, b, {s:s}]", 1, "k", "\xE2\x82\xAC"));
    unsigned char *data = bytes_of(m, &size);
    assert_int_equal(rn_model_load(&n, in_folder("bytes"), &err), 0);
    assert_memory_equal(m->weights, n->weights, (size_t)m->graph->weights_count * 4);
    assert_memory_equal(m->stats, n->stats, (size_t)m->graph->stats_count * 4);
    assert_true(json_equal(m->config, n->config));
    for (int i = 0; i < 4; i++)
        assert_string_equal(m->labels[i], n->labels[i]);
    assert_true(n->arch.width == 2 && n->arch.embedding == 3 && n->arch.pool_h == 2 && n->arch.pool_w == 1 && n->arch.shortcut == RN_SHORTCUT_B);
    unsigned char *data2 = bytes_of(n, &again);
    assert_int_equal(size, again);
    assert_memory_equal(data, data2, size);
    rn_model_close(&n);
    assert_null(n);
    rn_model_close(&n);
    assert_int_equal(rn_model_parse(&n, "memory", data, size, &err), 0);
    assert_non_null(rn_model_section(n, "features"));
    assert_null(rn_model_section(n, "split"));
    rn_model_close(&n);
    rn_tensors t;
    assert_int_equal(rn_safetensors_parse("x", data, size, &t, &err), 0);
    const rn_tensor *counter = rn_tensors_find(&t, "layer2.0.shortcut.1.num_batches_tracked");
    assert_non_null(counter);
    assert_true(counter->dtype == RN_I64 && counter->dims == 0);
    assert_string_equal(rn_tensors_metadata(&t, "format"), "pt");
    rn_tensors_free(&t);
    free(data2);
    json_t *features = json_incref(json_object_get(m->config, "features"));
    json_object_del(m->config, "features"); /* set again: now the last of the sections */
    json_object_set_new(m->config, "features", features);
    data2 = bytes_of(m, &again);
    assert_int_equal(size, again);
    assert_memory_equal(data, data2, size);
    free(data);
    free(data2);
    rn_model_close(&m);
    for (int i = 0; i < rn_arch_count(); i++) {
        rn_arch arch = arch_of(rn_arch_name(i)), back;
        arch.stem = i % 2 ? RN_STEM_7X7 : RN_STEM_3X3;
        if (arch.pooling == RN_POOLING_AVERAGE)
            arch.pool_w = i + 1;
        json_t *json = rn_arch_json(&arch);
        assert_int_equal(rn_arch_from_json(&back, "x", json, &err), 0);
        json_decref(json);
        assert_memory_equal(&arch, &back, sizeof arch);
    }
}

/* Labels that cannot be told apart or stored; without labels, numbers. */
static void labels(void **state)
{
    (void)state;
    rn_arch arch = arch_of("resnet20");
    rn_model *m;
    rn_error err;
    arch.width = 1;
    arch.classes = 2;
    assert_int_equal(rn_model_new(&m, &arch, NULL, RN_INIT_HE, 1, 0, &err), 0);
    assert_string_equal(m->labels[1], "1");
    rn_model_close(&m);
    static const struct {
        const char *labels[2], *text;
    } bad[] = {{{"a", "a"}, "two classes are called \"a\""}, {{"a", ""}, "empty"}, {{"a", "\xFF"}, "UTF-8"}};
    for (int i = 0; i < 3; i++) {
        assert_int_not_equal(rn_model_new(&m, &arch, bad[i].labels, RN_INIT_HE, 1, 0, &err), 0);
        assert_null(m);
        assert_non_null(strstr(err.text, bad[i].text));
    }
}

/* Loads a model whose file was changed by `change`; returns the status. */
static int load_changed(void (*change)(rn_tensors *t), rn_error *err)
{
    rn_model *m = small_model(2, 1), *n;
    rn_tensors t = {0};
    assert_int_equal(rn_model_tensors(m, &t, err), 0);
    change(&t);
    assert_int_equal(rn_safetensors_write(in_folder("changed.safetensors"), &t, err), 0);
    rn_tensors_free(&t);
    rn_model_close(&m);
    int status = rn_model_load(&n, in_folder("changed.safetensors"), err);
    assert_true((status == 0) == (n != NULL));
    rn_model_close(&n);
    return status;
}

static rn_tensor *tensor_of(rn_tensors *t, const char *name)
{
    rn_tensor *tensor = (rn_tensor *)rn_tensors_find(t, name);
    assert_non_null(tensor);
    return tensor;
}

static void set_config(rn_tensors *t, const char *text)
{
    assert_int_equal(rn_tensors_set_metadata(t, "resnet.config", text, NULL), 0);
}

#define ARCH(more)                                                                                                                         \
    "{\"arithmetic\":1,\"arch\":{\"name\":\"resnet20\",\"width\":2,\"in_channels\":1,\"classes\":2,\"embedding\":3,\"shortcut\":\"B\","    \
    "\"pool\":\"2x1\"" more "}"

static float replaced[4096];
static void nothing(rn_tensors *t) { (void)t; }
static void plain_config(rn_tensors *t) { set_config(t, ARCH("") ",\"labels\":[\"a\",\"b\"]}"); }
static void wide(rn_tensors *t)
{
    tensor_of(t, "conv1.weight")->shape[0] = 4, tensor_of(t, "conv1.weight")->count = 36, tensor_of(t, "conv1.weight")->data = replaced;
}
static void flat(rn_tensors *t) { tensor_of(t, "fc.bias")->dims = 0, tensor_of(t, "fc.bias")->count = 1; }
static void missing(rn_tensors *t) { free(t->items[t->count - 1].name), t->count--; }
static void renamed(rn_tensors *t) { strcpy(tensor_of(t, "linear.bias")->name, "linear.bIas"); }
static void integers(rn_tensors *t) { tensor_of(t, "linear.bias")->dtype = RN_I32; }
static void set_value(rn_tensors *t, const char *name, float x)
{
    rn_tensor *p = tensor_of(t, name);
    memcpy(replaced, p->data, (size_t)p->count * 4);
    replaced[1] = x;
    p->data = replaced;
}
static void not_a_number(rn_tensors *t) { set_value(t, "layer3.2.conv2.weight", NAN); }
static void infinite(rn_tensors *t) { set_value(t, "bn1.running_mean", -INFINITY); }
static void negative_variance(rn_tensors *t) { set_value(t, "bn1.running_var", -1e-20f); }
static void no_config(rn_tensors *t) { strcpy(t->keys[1], "resnet.konfig"); }
static void broken_config(rn_tensors *t) { set_config(t, "{"); }
static void twice_config(rn_tensors *t) { set_config(t, "{\"arch\":1,\"arch\":1}"); }
static void list_config(rn_tensors *t) { set_config(t, "[]"); }
static void empty_config(rn_tensors *t) { set_config(t, "{}"); }
static void unknown_network(rn_tensors *t) { set_config(t, "{\"arch\":{\"name\":\"vgg16\"}}"); }
static void unknown_key(rn_tensors *t) { set_config(t, ARCH(",\"dilation\":true") ",\"labels\":[\"a\",\"b\"]}"); }
static void bad_pool(rn_tensors *t) { set_config(t, "{\"arch\":{\"name\":\"resnet20\",\"pool\":\"2x\"}}"); }
static void real_width(rn_tensors *t) { set_config(t, "{\"arch\":{\"name\":\"resnet20\",\"width\":2.0}}"); }
static void zero_width(rn_tensors *t) { set_config(t, "{\"arch\":{\"name\":\"resnet20\",\"width\":0}}"); }
static void few_labels(rn_tensors *t) { set_config(t, ARCH("") ",\"labels\":[\"a\"]}"); }
static void no_labels(rn_tensors *t) { set_config(t, ARCH("") "}"); }
static void number_labels(rn_tensors *t) { set_config(t, ARCH("") ",\"labels\":[1,2]}"); }
static void twin_labels(rn_tensors *t) { set_config(t, ARCH("") ",\"labels\":[\"a\",\"a\"]}"); }
static void promises(rn_tensors *t)
{
    set_config(t, "{\"arch\":{\"name\":\"resnet152\",\"width\":1000,\"classes\":2},\"labels\":[\"a\",\"b\"]}");
}
static void deeper(rn_tensors *t)
{
    set_config(t, "{\"arch\":{\"name\":\"resnet18\",\"width\":2,\"classes\":2},\"labels\":[\"a\",\"b\"]}");
}

/* A file that does not fit its own description, said without the name of what is wrong. */
static void refused_files(void **state)
{
    (void)state;
    static const struct { void (*change)(rn_tensors *); int status; const char *text;
    } cases[] = {{nothing, 0, ""},
                 {plain_config, 0, ""},
                 {wide, RN_ERR_SHAPE, "changed.safetensors: conv1.weight is 4x1x3x3, resnet20 of width 2 wants 2x1x3x3: try --width 4"},
                 {flat, RN_ERR_SHAPE, "fc.bias is one number, resnet20 of width 2 wants 3"},
                 {missing, RN_ERR_SHAPE, "is missing"},
                 {renamed, RN_ERR_SHAPE, "linear.bIas is in the file, but resnet20 of width 2 has no such tensor"},
                 {integers, RN_ERR_FORMAT, "linear.bias has dtype I32"},
                 {not_a_number, RN_ERR_NUMBER, "layer3.2.conv2.weight has a value that is not finite (NaN at 1)"},
                 {infinite, RN_ERR_NUMBER, "bn1.running_mean has a value that is not finite (an infinity at 1)"},
                 {negative_variance, RN_ERR_NUMBER, "bn1.running_var has a negative"},
                 {no_config, RN_ERR_UNSUPPORTED, "the file does not say how the bins of the pool lie"},
                 {broken_config, RN_ERR_FORMAT, "not valid JSON"},
                 {twice_config, RN_ERR_FORMAT, "duplicate"},
                 {list_config, RN_ERR_FORMAT, "not a JSON object"},
                 {empty_config, RN_ERR_FORMAT, "no \"arch\""},
                 {unknown_network, RN_ERR_UNSUPPORTED, "vgg16"},
                 {unknown_key, RN_ERR_UNSUPPORTED, "\"dilation\""},
                 {bad_pool, RN_ERR_UNSUPPORTED, "\"pool\""},
                 {real_width, RN_ERR_UNSUPPORTED, "\"width\""},
                 {zero_width, RN_ERR_UNSUPPORTED, "\"width\" that this build cannot read: it wants a whole number from 1 to 4096"},
                 {few_labels, RN_ERR_FORMAT, "1 labels"},
                 {no_labels, RN_ERR_FORMAT, "0 labels"},
                 {number_labels, RN_ERR_FORMAT, "label 0"},
                 {twin_labels, RN_ERR_FORMAT, "two classes"},
                 {promises, RN_ERR_SHAPE, "resnet152 of width 1000"},
                 {deeper, RN_ERR_SHAPE, "is in the file, but resnet18"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rn_error err = {0, ""};
        int status = load_changed(cases[i].change, &err);
        if (status != cases[i].status || !strstr(err.text, cases[i].text))
            fail_msg("case %zu: status %d \"%s\", want %d \"%s\"", i, status, err.text, cases[i].status, cases[i].text);
        if (status)
            assert_non_null(strstr(err.text, "changed.safetensors: "));
    }
    rn_model *m = small_model(2, 1);
    rn_error err;
    m->weights[m->graph->params[rn_graph_param(m->graph, "conv1.weight")].offset + 2] = NAN;
    remove(in_folder("nan"));
    assert_int_equal(rn_model_save(m, in_folder("nan"), &err), RN_ERR_NUMBER);
    assert_non_null(strstr(err.text, "conv1.weight"));
    assert_int_equal(access(in_folder("nan"), F_OK), -1);
    rn_model_close(&m);
    assert_int_equal(rn_model_load(&m, in_folder("nan"), &err), RN_ERR_IO);
}

/* Half-precision files, and checkpoints: more tensors than the network's, averaged weights before the others. */
static void other_types_and_checkpoints(void **state)
{
    (void)state;
    rn_error err;
    rn_model *m = small_model(2, 1), *ema = small_model(2, 2), *n;
    rn_tensors t = {0};
    size_t size;
    free(bytes_of(m, &size));
    assert_int_equal(rn_model_tensors(m, &t, &err), 0);
    rn_tensor *w = tensor_of(&t, "conv1.weight");
    static uint16_t half[18];
    for (int i = 0; i < 18; i++)
        half[i] = (uint16_t)(0x3C00 + i);
    w->dtype = RN_F16;
    w->data = half;
    assert_int_equal(rn_safetensors_write(in_folder("half"), &t, &err), 0);
    assert_int_equal(rn_model_load(&n, in_folder("half"), &err), 0);
    int64_t at = n->graph->params[rn_graph_param(n->graph, "conv1.weight")].offset;
    assert_true(n->weights[at] == 1 && n->weights[at + 17] == 1 + 17.0f / 1024);
    rn_model_close(&n);
    rn_tensors_free(&t);

    rn_tensors averaged = {0};
    int64_t one = 1;
    assert_int_equal(rn_model_tensors(m, &t, &err), 0);
    assert_int_equal(rn_tensors_add(&t, "train.momentum.conv1.weight", RN_F32, 1, &one, replaced, &err), 0);
    assert_int_equal(rn_safetensors_write(in_folder("checkpoint"), &t, &err), 0);
    assert_int_equal(rn_model_load(&n, in_folder("checkpoint"), &err), 0);
    assert_memory_equal(n->weights, m->weights, (size_t)m->graph->weights_count * 4);
    rn_model_close(&n);
    assert_int_equal(rn_model_tensors(ema, &averaged, &err), 0);
    for (int i = 0; i < averaged.count; i++) {
        char name[128];
        snprintf(name, sizeof name, "ema.%s", averaged.items[i].name);
        assert_int_equal(rn_tensors_add(&t, name, averaged.items[i].dtype, averaged.items[i].dims, averaged.items[i].shape,
                                        averaged.items[i].data, &err),
                         0);
    }
    assert_int_equal(rn_safetensors_write(in_folder("checkpoint"), &t, &err), 0);
    rn_tensors_free(&t);
    rn_tensors_free(&averaged);
    assert_int_equal(rn_model_load(&n, in_folder("checkpoint"), &err), 0);
    assert_memory_equal(n->weights, ema->weights, (size_t)m->graph->weights_count * 4);
    assert_int_equal(rn_safetensors_read(in_folder("checkpoint"), &t, &err), 0);
    assert_int_equal(rn_model_weights(n->graph, "resnet20", "checkpoint", &t, "", n->weights, n->stats, &err), 0);
    assert_memory_equal(n->weights, m->weights, (size_t)m->graph->weights_count * 4);
    assert_int_equal(rn_model_weights(n->graph, "resnet20", "checkpoint", &t, "train.momentum.", n->weights, n->stats, &err), RN_ERR_SHAPE);
    rn_tensors_free(&t);
    rn_model_close(&n);
    rn_model_close(&m);
    rn_model_close(&ema);
}

/* A model file cut anywhere, or with a flipped bit in its header: a sentence, or a model whose numbers are all finite. */
static void damaged_files(void **state)
{
    (void)state;
    rn_model *m = small_model(2, 1), *n;
    size_t size;
    unsigned char *data = bytes_of(m, &size);
    uint64_t header;
    memcpy(&header, data, 8);
    for (size_t length = 0; length < size; length += length < 100 || length > size - 100 ? 1 : 211) {
        unsigned char *cut = malloc(length + !length);
        memcpy(cut, data, length);
        rn_error err = {0, ""};
        assert_int_equal(rn_model_parse(&n, "cut", cut, length, &err), RN_ERR_FORMAT);
        assert_null(n);
        free(cut);
    }
    unsigned char *flipped = malloc(size);
    for (size_t bit = 0; bit < (8 + header) * 8; bit += bit < 800 ? 1 : 37) {
        memcpy(flipped, data, size);
        flipped[bit / 8] ^= (unsigned char)(1u << bit % 8);
        rn_error err = {0, ""};
        int status = rn_model_parse(&n, "flipped", flipped, size, &err);
        assert_true(status ? err.text[0] != 0 && !n : n != NULL);
        rn_model_close(&n);
    }
    free(flipped);
    free(data);
    rn_model_close(&m);
}

static char lines[8192];
static void collect(void *context, const char *line)
{
    ++*(int *)context;
    strncat(lines, line, sizeof lines - strlen(lines) - 2);
    strcat(lines, "\n");
}

static int equal_param(const rn_model *a, const rn_model *b, const char *name)
{
    const rn_param *p = &a->graph->params[rn_graph_param(a->graph, name)], *q = &b->graph->params[rn_graph_param(b->graph, name)];
    const float *x = p->kind >= RN_PARAM_BN_MEAN ? a->stats : a->weights, *y = q->kind >= RN_PARAM_BN_MEAN ? b->stats : b->weights;
    return p->count == q->count && memcmp(x + p->offset, y + q->offset, (size_t)p->count * 4) == 0;
}

/* --init: a head kept for other classes, a layer that is not named, weights that come from nowhere. */
static void adopted_weights(void **state)
{
    (void)state;
    rn_error err;
    int count = 0;
    rn_model *from = small_model(4, 1), *same = small_model(4, 2), *fewer = small_model(3, 2), *fresh = small_model(3, 9), *other;
    for (int64_t i = 0; i < from->graph->stats_count; i++)
        from->stats[i] = 2;
    assert_int_equal(rn_model_adopt(same, from, 9, collect, &count, &err), 0);
    assert_int_equal(count, 0);
    assert_memory_equal(same->weights, from->weights, (size_t)from->graph->weights_count * 4);
    assert_memory_equal(same->stats, from->stats, (size_t)from->graph->stats_count * 4);
    assert_int_equal(rn_model_adopt(fewer, from, 9, collect, &count, &err), 0);
    assert_int_equal(count, 2);
    assert_non_null(strstr(lines, "linear.weight: new (3x3, the given model has 4x3)"));
    assert_true(equal_param(fewer, from, "conv1.weight") && equal_param(fewer, from, "fc.weight") &&
                equal_param(fewer, from, "bn1.running_mean"));
    assert_true(equal_param(fewer, fresh, "linear.weight") && equal_param(fewer, fresh, "linear.bias"));
    free(from->labels[1]); /* as many classes, but others */
    from->labels[1] = strdup("blackcap");
    count = 0;
    lines[0] = 0;
    assert_int_equal(rn_model_adopt(same, from, 9, collect, &count, &err), 0);
    assert_int_equal(count, 2);
    assert_non_null(strstr(lines, "linear.bias: new (the classes are others)"));
    assert_false(equal_param(same, from, "linear.bias"));
    rn_arch arch = from->arch;
    strcpy(arch.name, "resnet32");
    arch.blocks[0] = arch.blocks[1] = arch.blocks[2] = 5;
    assert_int_equal(rn_model_new(&other, &arch, NULL, RN_INIT_HE, 0, 0, &err), 0);
    count = 0;
    lines[0] = 0;
    assert_int_equal(rn_model_adopt(from, other, 9, collect, &count, &err), 0);
    assert_non_null(strstr(lines, "layer1.3.conv1.weight: ignored (this network has none)"));
    assert_int_equal(rn_model_adopt(other, from, 9, NULL, NULL, &err), 0);
    rn_model_close(&other);
    arch = arch_of("resnet18");
    arch.width = 5;
    arch.classes = 2;
    arch.embedding = 7;
    assert_int_equal(rn_model_new(&other, &arch, NULL, RN_INIT_HE, 0, 0, &err), 0);
    assert_int_equal(rn_model_adopt(other, from, 9, collect, &count, &err), RN_ERR_MISMATCH);
    assert_non_null(strstr(err.text, "resnet18 of width 5"));
    rn_model_close(&other);
    rn_model_close(&from);
    rn_model_close(&same);
    rn_model_close(&fewer);
    rn_model_close(&fresh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip), cmocka_unit_test(labels), cmocka_unit_test(refused_files),
        cmocka_unit_test(other_types_and_checkpoints), cmocka_unit_test(damaged_files), cmocka_unit_test(adopted_weights)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
