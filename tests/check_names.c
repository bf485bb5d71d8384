/* Checks weight files of other projects: whose names they have, which network they are of, what it answers, and that they come back as they were.
 *
 * tests/golden/names holds small networks that torchvision, timm, Hugging Face, WeSpeaker and ports for CIFAR made, and what PyTorch answers for them in
 * double (scripts/golden/names_golden.py, which says what expected.txt has). Ours may be FACTOR times PyTorch's own fp32 distance off, plus 1e-6 of the
 * largest answer. */
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
#include "models/foreign.h"
#include "resnet_tools.h"

#define FACTOR 3.0

static const char *golden(const char *name)
{
    static char path[400];
    snprintf(path, sizeof path, "%s/golden/names/%s", RN_TEST_DIR, name);
    return path;
}

/* ---- What other projects made ---- */

/* One file of expected.txt. */
typedef struct expectation {
    char file[100], names[24], options[200], refuse[100], what[16];
    json_t *arch, *first; /* first: theirs -> ours */
    int c, h, w, count;
    double distance, answer[16];
} expectation;

/* The next file's lines into *e; 0 at the end. `line` holds the first line that was read ahead. */
static int next_expectation(FILE *in, char line[2000], expectation *e)
{
    memset(e, 0, sizeof *e);
    e->first = json_object();
    for (int begun = 0; *line || fgets(line, 2000, in); *line = 0) {
        char *rest = strchr(line, ' ') + 1, key[16] = "", theirs[100], ours[100];
        line[strcspn(line, "\n")] = 0;
        sscanf(line, "%15s", key);
        if (!strcmp(key, "file") && begun++)
            return 1;
        if (!strcmp(key, "file"))
            snprintf(e->file, sizeof e->file, "%s", rest);
        else if (!strcmp(key, "names"))
            snprintf(e->names, sizeof e->names, "%s", rest);
        else if (!strcmp(key, "options"))
            snprintf(e->options, sizeof e->options, "%s", rest);
        else if (!strcmp(key, "refuse"))
            snprintf(e->refuse, sizeof e->refuse, "%s", rest);
        else if (!strcmp(key, "arch"))
            assert_non_null(e->arch = json_loads(rest, 0, NULL));
        else if (!strcmp(key, "first") && sscanf(rest, "%99s %99s", theirs, ours) == 2)
            json_object_set_new(e->first, theirs, json_string(ours));
        else if (!strcmp(key, "input"))
            assert_int_equal(sscanf(rest, "%d %d %d", &e->c, &e->h, &e->w), 3);
        else if (!strcmp(key, "answer")) {
            int used;
            assert_int_equal(sscanf(rest, "%15s %lf%n", e->what, &e->distance, &used), 2);
            for (char *at = rest + used, *end; e->count < 16; at = end) {
                double value = strtod(at, &end);
                if (end == at)
                    break;
                e->answer[e->count++] = value;
            }
        } else {
            fail_msg("unknown line \"%s\" in expected.txt", line);
        }
    }
    return e->file[0] != 0;
}

static void free_expectation(expectation *e)
{
    json_decref(e->arch);
    json_decref(e->first);
}

static json_t *result_of(const rn_conversion *c)
{
    char *text = NULL;
    rn_error err = {0};
    assert_int_equal(rn_conversion_result(c, &text, &err), 0);
    json_t *result = json_loads(text, 0, NULL);
    rn_text_free(text);
    assert_non_null(result);
    return result;
}

/* Whose names, which network, and which tensor is which. */
static void expect_table(const rn_conversion *c, const expectation *e)
{
    json_t *result = result_of(c), *arch = json_object_get(result, "arch"), *value, *row;
    const char *key;
    size_t i;
    unsigned found = 0;
    assert_string_equal(json_string_value(json_object_get(result, "names")), e->names);
    json_object_foreach(e->arch, key, value)
    {
        if (!json_equal(json_object_get(arch, key), value))
            fail_msg("%s: %s is %s", e->file, key, json_dumps(json_object_get(arch, key), JSON_ENCODE_ANY));
    }
    json_array_foreach(json_object_get(result, "tensors"), i, row)
    {
        value = json_object_get(e->first, json_string_value(json_object_get(row, "name")));
        if (value && !json_equal(json_object_get(row, "ours"), value))
            fail_msg("%s: %s is called %s", e->file, json_string_value(json_object_get(row, "name")),
                     json_string_value(json_object_get(row, "ours")));
        found += value != NULL;
    }
    assert_int_equal(found, json_object_size(e->first));
    assert_true(json_is_true(json_object_get(result, "ready")));
    json_decref(result);
}

static void expect_answer(const char *path, const expectation *e)
{
    rn_model *model = NULL;
    rn_session *session = NULL;
    rn_error err = {0};
    rn_session_options options = {.batch = 1, .height = e->h, .width = e->w, .threads = 1};
    float *x = malloc((size_t)e->c * (size_t)e->h * (size_t)e->w * sizeof *x), logits[16], embedding[16];
    double most = 0;
    int embeds = !strcmp(e->what, "embedding");
    for (int i = 0; i < e->c * e->h * e->w; i++)
        x[i] = (float)(i * 37 % 101 / 50.0 - 1);
    if (rn_model_load(&model, path, &err) || rn_session_open(&session, model, &options, &err) ||
        rn_session_run(session, 1, x, logits, embeds ? embedding : NULL, &err))
        fail_msg("%s: %s", e->file, err.text);
    assert_int_equal(embeds ? rn_model_embedding(model) : rn_model_classes(model), e->count);
    for (int i = 0; i < e->count; i++)
        most = fabs(e->answer[i]) > most ? fabs(e->answer[i]) : most;
    for (int i = 0; i < e->count; i++) {
        double have = (embeds ? embedding : logits)[i];
        if (!(fabs(have - e->answer[i]) <= FACTOR * e->distance + 1e-6 * most))
            fail_msg("%s: %s %d is %.9g, PyTorch has %.9g", e->file, e->what, i, have, e->answer[i]);
    }
    free(x);
    rn_session_close(&session);
    rn_model_close(&model);
}

/* Every tensor of `a` that a network needs is in `b` by the same name with the same bytes, and nothing else is there. */
static void expect_same_tensors(const char *a, const char *b)
{
    rn_tensors x = {0}, y = {0};
    rn_error err = {0};
    int shared = 0;
    assert_int_equal(rn_tensors_read(a, &x, &err), 0);
    assert_int_equal(rn_tensors_read(b, &y, &err), 0);
    for (int i = 0; i < x.count; i++) {
        const rn_tensor *t = &x.items[i], *other = rn_tensors_find(&y, t->name);
        if (strncmp(t->name, "projection", 10) == 0)
            continue;
        shared++;
        if (!other)
            fail_msg("%s: %s is gone", b, t->name);
        if (strstr(t->name, "num_batches_tracked") && t->dtype != RN_I64) {
            assert_int_equal(other->dtype, RN_I64);
            continue;
        }
        if (other->dtype != t->dtype || other->dims != t->dims || other->count != t->count ||
            memcmp(other->data, t->data, (size_t)t->count * rn_dtype_size(t->dtype)))
            fail_msg("%s: %s has changed", b, t->name);
    }
    assert_int_equal(shared, y.count);
    rn_tensors_free(&x);
    rn_tensors_free(&y);
}

static int convert(const char *from, const char *to, const char *options, rn_error *err)
{
    rn_conversion *c = NULL;
    int status = rn_conversion_open(&c, from, options, err);
    if (!status)
        status = rn_conversion_write(c, to, err);
    rn_conversion_close(&c);
    return status;
}

/* A table with a wrong row, a member of the network that is inferred wrongly, a stride or a padding in the wrong place, weights in another's
 * place; a name that does not come back, and so could not be loaded by the project that it came from. */
static void files_of_others(void **state)
{
    (void)state;
    FILE *in = fopen(golden("expected.txt"), "r");
    char line[2000] = "", options[100], from[400];
    expectation e;
    int files = 0;
    assert_non_null(in);
    for (; next_expectation(in, line, &e); free_expectation(&e), files++) {
        rn_conversion *c = NULL;
        rn_error err = {0};
        snprintf(from, sizeof from, "%s", golden(e.file));
        assert_int_equal(rn_conversion_open(&c, from, e.options, &err), 0);
        if (e.refuse[0]) {
            assert_true(rn_conversion_write(c, in_folder("never.safetensors"), &err) < 0);
            assert_non_null(strstr(err.text, e.refuse));
            assert_int_not_equal(access(in_folder("never.safetensors"), F_OK), 0);
        } else {
            expect_table(c, &e);
            if (rn_conversion_write(c, in_folder("ours.safetensors"), &err))
                fail_msg("%s", err.text);
            expect_answer(in_folder("ours.safetensors"), &e);
            /* there and back: the names of the file's project, then ours again */
            snprintf(options, sizeof options, "{\"names\": \"%s\"}", e.names);
            if (convert(in_folder("ours.safetensors"), in_folder("theirs.safetensors"), options, &err))
                fail_msg("%s", err.text);
            expect_same_tensors(from, in_folder("theirs.safetensors"));
            assert_int_equal(convert(in_folder("theirs.safetensors"), in_folder("back.safetensors"), NULL, &err), 0);
            expect_same_tensors(in_folder("ours.safetensors"), in_folder("back.safetensors"));
            expect_answer(in_folder("theirs.safetensors"), &e); /* and every verb takes theirs, since the description is in it */
        }
        rn_conversion_close(&c);
    }
    free_expectation(&e); /* of the end */
    fclose(in);
    assert_int_equal(files, 15); /* of tests/golden/names */
}

/* ---- What no file says ---- */

static void expect_error(int status, const rn_error *err, int want, const char *words)
{
    if (status != want || !strstr(err->text, words))
        fail_msg("status %d, \"%s\"; %d, \"%s\" was expected", status, err->text, want, words);
}

/* A stride that is guessed in silence gives wrong answers that look right. */
static void questions(void **state)
{
    (void)state;
    rn_model *model = NULL;
    rn_error err = {0};
    const char *out = in_folder("asked.safetensors");
    int status = convert(golden("torchvision_bottleneck.pth"), out, "{}", &err);
    expect_error(status, &err, RN_ERR_ARG,
                 "torchvision_bottleneck.pth: the file does not say where bottlenecks carry the stride, nor how the network's input is "
                 "made: give --stride-at "
                 "3x3 (usual: torchvision, timm) or 1x1 (Caffe, Keras), and --preprocessing imagenet (usual: `resnet help convert` has "
                 "others) or none");
    status = rn_model_load(&model, golden("torchvision_bottleneck.pth"), &err);
    expect_error(status, &err, RN_ERR_UNSUPPORTED, "torchvision_bottleneck-model.safetensors --stride-at 3x3 --preprocessing imagenet");
    assert_null(model);
    assert_int_equal(rn_model_load(&model, golden("torchvision_basic.pth"), &err), 0); /* basic blocks leave nothing open */
    rn_model_close(&model);
    status = convert(golden("cifar_a.pth"), out, "{}", &err);
    expect_error(status, &err, RN_ERR_ARG, "how shortcuts without weights fill new channels, nor");
    status = convert(golden("torchvision_basic.pth"), out, "{\"stride_at\": \"2x2\", \"preprocessing\": \"none\"}", &err);
    expect_error(status, &err, RN_ERR_ARG, "--stride-at: want one of 3x3 1x1");
    status = convert(golden("torchvision_basic.pth"), out, "{\"preprocessing\": \"wespeaker\"}", &err);
    expect_error(status, &err, RN_ERR_ARG, "--preprocessing wespeaker is for networks over filter banks");
    status = convert(golden("torchvision_basic.pth"), out, "{\"names\": \"keras\"}", &err);
    expect_error(status, &err, RN_ERR_ARG, "--names keras: want one of ours, torchvision, timm, huggingface, wespeaker, cifar");
    status = convert(golden("torchvision_basic.pth"), out, "{\"names\": \"wespeaker\", \"preprocessing\": \"none\"}", &err);
    expect_error(status, &err, RN_ERR_UNSUPPORTED, "those of wespeaker with an embedding");
    status = convert(golden("torchvision_basic.pth"), in_folder("asked.pth"), "{\"preprocessing\": \"none\"}", &err);
    expect_error(status, &err, RN_ERR_ARG, ".safetensors and .onnx can be written");
    assert_int_not_equal(access(out, F_OK), 0);
}

/* A neighbour's config.json, or an option, that overrules what the file says of itself: other answers, without a word. And the same bytes
 * from memory, which once were taken for safetensors only. */
static void what_describes_itself(void **state)
{
    (void)state;
    rn_model *model = NULL;
    rn_error err = {0};
    const char *out = in_folder("itself.safetensors"), *config = in_folder("config.json");
    int status = convert(golden("torchvision_bottleneck.pth"), out,
                         "{\"stride_at\": \"1x1\", \"preprocessing\": \"none\", \"names\": \"huggingface\"}", &err);
    if (status)
        fail_msg("%s", err.text);
    FILE *file = fopen(config, "w");
    assert_non_null(file);
    fputs("{\"model_type\": \"resnet\", \"downsample_in_bottleneck\": false}", file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rn_model_load(&model, out, &err), 0);
    assert_int_equal(model->arch.stride_at, RN_STRIDE_AT_1X1);
    rn_model_close(&model);
    status = convert(out, in_folder("other.safetensors"), "{\"stride_at\": \"3x3\"}", &err);
    expect_error(status, &err, RN_ERR_ARG, "the file says itself what --stride-at asks for");
    assert_int_equal(convert(out, in_folder("other.safetensors"), "{\"stride_at\": \"1x1\"}", &err), 0);
    unlink(config);
    size_t size;
    unsigned char *data;
    assert_int_equal(rn_file_read(golden("torchvision_basic.pth"), SIZE_MAX / 2, &data, &size, &err), 0);
    if (rn_model_parse(&model, "memory", data, size, &err))
        fail_msg("%s", err.text);
    assert_int_equal(model->arch.block, RN_BLOCK_BASIC);
    rn_model_close(&model);
    free(data);
}

static void label_is(const char *path, int index, const char *label)
{
    rn_model *model = NULL;
    rn_error err = {0};
    assert_int_equal(rn_model_load(&model, path, &err), 0);
    assert_string_equal(rn_model_label(model, index), label);
    rn_model_close(&model);
}

/* Pictures that are prepared otherwise than was asked for, which nobody would notice: the answers are only worse. */
static void preprocessing(void **state)
{
    (void)state;
    rn_model *model = NULL;
    rn_error err = {0};
    int c, h, w;
    const char *out = in_folder("prepared.safetensors");
    assert_int_equal(convert(golden("torchvision_basic.pth"), out, "{\"preprocessing\": \"timm-95\"}", &err), 0);
    assert_int_equal(rn_model_load(&model, out, &err), 0);
    rn_model_input(model, &c, &h, &w);
    assert_true(c == 3 && h == 224 && w == 224);
    char *section = rn_model_config(model, "pictures");
    assert_non_null(section);
    assert_non_null(strstr(section, "\"resize\":\"235\""));
    assert_non_null(strstr(section, "bicubic"));
    rn_text_free(section);
    rn_model_close(&model);
}

/* Labels in another order, one too few, or two of one name, which no answer could tell apart. */
static void labels(void **state)
{
    (void)state;
    rn_error err = {0};
    char options[500];
    const char *names = in_folder("labels.txt"), *out = in_folder("labelled.safetensors");
    snprintf(options, sizeof options, "{\"labels\": \"%s\", \"preprocessing\": \"imagenet\"}", names);
    write_bytes(names, "crane\nwren\r\ncrane\nowl\nkite", 27);
    assert_int_equal(convert(golden("torchvision_basic.pth"), out, options, &err), 0);
    label_is(out, 1, "wren");
    label_is(out, 2, "crane (2)");
    label_is(out, 4, "kite");
    write_bytes(names, "crane\nwren\n", 11);
    expect_error(convert(golden("torchvision_basic.pth"), out, options, &err), &err, RN_ERR_ARG,
                 "2 labels were given, the network has 5 classes");
    write_bytes(names, "crane\n\nwren\n", 12);
    expect_error(convert(golden("torchvision_basic.pth"), out, options, &err), &err, RN_ERR_FORMAT, "labels.txt: line 2");
    assert_int_equal(convert(golden("huggingface/model.safetensors"), out, "{\"preprocessing\": \"timm\"}", &err),
                     0); /* its config.json has labels */
    label_is(out, 1, "tench");
    label_is(out, 2, "crane (2)");
}

/* ---- Names ---- */

/* A pattern that takes a name which only looks like it, or a number that would overflow. */
static void patterns(void **state)
{
    (void)state;
    char name[RN_NAMES_LONGEST], longest[300];
    rn_error err = {0};
    const rn_names *hf = rn_names_called("huggingface", 0, &err), *timm = rn_names_called("timm", 1, &err);
    static const char *const wrong[] = {"",
                                        "weight",
                                        ".weight",
                                        "resnet.encoder.stages.1.layers.0.layer.0.convolution",
                                        "classifier.1.",
                                        "resnet.encoder.stages..layers.0.layer.0.convolution.weight",
                                        "resnet.encoder.stages.01.layers.0.layer.0.convolution.weight",
                                        "resnet.encoder.stages.12345.layers.0.layer.0.convolution.weight",
                                        "resnet.encoder.stages.-1.layers.0.layer.0.convolution.weight",
                                        "resnet.encoder.stages.1.layers.0.layer.0.convolution.weight.weight",
                                        "Xclassifier.1.weight",
                                        "classifier.1.gamma"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (rn_names_to_ours(hf, wrong[i], name))
            fail_msg("\"%s\" was taken for %s", wrong[i], name);
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    assert_null(rn_names_to_ours(hf, longest, name));
    assert_non_null(rn_names_to_ours(hf, "encoder.stages.3.layers.22.layer.1.normalization.bias", name));
    assert_string_equal(name, "layer4.22.bn2.bias");
    assert_non_null(rn_names_to_theirs(hf, "layer4.22.bn2.bias", name));
    assert_string_equal(name, "resnet.encoder.stages.3.layers.22.layer.1.normalization.bias");
    assert_non_null(rn_names_to_theirs(timm, "layer2.0.shortcut.1.bias", name));
    assert_string_equal(name, "layer2.0.downsample.2.bias");
    assert_null(rn_names_to_theirs(timm, "linear.weight", name));
}

/* ---- Weights for another network ---- */

static rn_model *fresh(int channels)
{
    rn_arch arch;
    rn_model *model = NULL;
    rn_error err = {0};
    assert_int_equal(rn_arch_default(&arch, "imagenet18", &err), 0);
    arch.in_channels = channels;
    arch.width = 2;
    arch.stem_width = 64;
    assert_int_equal(rn_model_new(&model, &arch, NULL, RN_INIT_PYTORCH, 0, 1, &err), 0);
    return model;
}

static void count_lines(void *context, const char *text)
{
    *(int *)context += strstr(text, "conv1.weight: from") != NULL;
}

/* A first convolution for pictures in colour that is thrown away for a network over one channel, or the reverse; one that is scaled wrongly. */
static void other_channels(void **state)
{
    (void)state;
    rn_model *from = NULL, *grey = fresh(1), *colour = fresh(3);
    rn_error err = {0};
    int lines = 0;
    assert_int_equal(rn_model_load_weights(&from, golden("torchvision_basic.pth"), &err), 0);
    assert_int_equal(rn_model_adopt(grey, from, 1, count_lines, &lines, &err), 0);
    assert_int_equal(lines, 1);
    const float *w = from->weights + from->graph->params[rn_graph_param(from->graph, "conv1.weight")].offset;
    float *g = grey->weights + grey->graph->params[rn_graph_param(grey->graph, "conv1.weight")].offset;
    for (int k = 0; k < 64; k++)
        for (int i = 0; i < 49; i++)
            assert_true(g[k * 49 + i] == (w[k * 147 + i] + w[k * 147 + 49 + i]) + w[k * 147 + 98 + i]);
    assert_int_equal(rn_model_adopt(colour, grey, 1, count_lines, &lines, &err), 0);
    assert_int_equal(lines, 2);
    const float *c = colour->weights + colour->graph->params[rn_graph_param(colour->graph, "conv1.weight")].offset;
    for (int k = 0; k < 64; k++)
        for (int i = 0; i < 147; i++)
            assert_true(c[k * 147 + i] == g[k * 49 + i % 49] / 3);
    rn_model_close(&from);
    rn_model_close(&grey);
    rn_model_close(&colour);
}

/* A body without its last layer is no model, but its weights are weights; so are those of a bottleneck whose stride nobody knows. */
static void weights_alone(void **state)
{
    (void)state;
    rn_model *model = NULL;
    rn_error err = {0};
    assert_int_equal(rn_model_load_weights(&model, golden("huggingface_body/model.safetensors"), &err), 0);
    assert_true(rn_graph_param(model->graph, "layer4.0.conv3.weight") >= 0);
    rn_model_close(&model);
    assert_int_equal(rn_model_load_weights(&model, golden("torchvision_bottleneck.pth"), &err), 0);
    rn_model_close(&model);
    expect_error(rn_model_load(&model, golden("huggingface_body/model.safetensors"), &err), &err, RN_ERR_UNSUPPORTED, "--init");
}

/* ---- Files that are no network ---- */

static void write_tensors(const char *path, const char *const *names, int count)
{
    rn_tensors t = {0};
    rn_error err = {0};
    static const float zeros[64];
    for (int i = 0; i < count; i++)
        assert_int_equal(rn_tensors_add(&t, names[i], RN_F32, 4, (int64_t[4]){2, 1, 3, 3}, zeros, &err), 0);
    assert_int_equal(rn_safetensors_write(path, &t, &err), 0);
    rn_tensors_free(&t);
}

/* A file that is not understood must be refused by what is wrong with it: an unknown tensor, a missing one, one that is there twice. */
static void broken(void **state)
{
    (void)state;
    const char *path = in_folder("broken.safetensors"), *out = in_folder("never.safetensors");
    rn_error err = {0};
    write_tensors(path, NULL, 0);
    expect_error(convert(path, out, NULL, &err), &err, RN_ERR_UNSUPPORTED, "there is no tensor in it");
    write_tensors(path, (const char *const[]){"encoder.weight", "decoder.weight"}, 2);
    expect_error(convert(path, out, NULL, &err), &err, RN_ERR_UNSUPPORTED, "of its tensors (decoder.weight, 2 in all) none is conv1");
    write_tensors(path, (const char *const[]){"conv1.weight", "layer1.0.conv1.weight", "layer1.0.conv2.weight", "decoder.weight"}, 4);
    expect_error(convert(path, out, NULL, &err), &err, RN_ERR_UNSUPPORTED,
                 "decoder.weight is in the file, but no network here has such a tensor");
    write_tensors(path, (const char *const[]){"conv1.weight", "layer1.0.conv1.weight", "layer1.0.conv2.weight"}, 3);
    expect_error(convert(path, out, NULL, &err), &err, RN_ERR_UNSUPPORTED, "no last layer");
    write_tensors(path, (const char *const[]){"layer1.0.conv1.weight", "layer1.0.conv2.weight"}, 2);
    expect_error(convert(path, out, NULL, &err), &err, RN_ERR_UNSUPPORTED, "no first convolution");
    write_tensors(path, (const char *const[]){"conv1.weight", "bn1.weight"}, 2);
    expect_error(convert(path, out, NULL, &err), &err, RN_ERR_UNSUPPORTED, "no residual block");
    assert_int_not_equal(access(out, F_OK), 0);
}

/* Copies the tensors of a golden file but one, and adds a second tensor of one name by another name. */
static void with_change(const char *path, const char *left_out, const char *twice, const char *again)
{
    rn_tensors t = {0}, copy = {0};
    rn_error err = {0};
    assert_int_equal(rn_tensors_read(golden("huggingface/model.safetensors"), &t, &err), 0);
    for (int i = 0; i < t.count; i++) {
        const rn_tensor *x = &t.items[i];
        if (left_out && !strcmp(x->name, left_out))
            continue;
        assert_int_equal(rn_tensors_add(&copy, x->name, x->dtype, x->dims, x->shape, x->data, &err), 0);
        if (twice && !strcmp(x->name, twice))
            assert_int_equal(rn_tensors_add(&copy, again, x->dtype, x->dims, x->shape, x->data, &err), 0);
    }
    assert_int_equal(rn_safetensors_write(path, &copy, &err), 0);
    rn_tensors_free(&copy);
    rn_tensors_free(&t);
}

/* What is missing is named as the file would name it; two tensors in one place are not left to chance. */
static void changed(void **state)
{
    (void)state;
    const char *path = in_folder("changed.safetensors"), *out = in_folder("never.safetensors"),
               *options = "{\"stride_at\": \"3x3\", \"preprocessing\": \"none\"}";
    rn_error err = {0};
    with_change(path, "resnet.encoder.stages.1.layers.0.layer.1.normalization.bias", NULL, NULL);
    expect_error(convert(path, out, options, &err), &err, RN_ERR_SHAPE,
                 "resnet.encoder.stages.1.layers.0.layer.1.normalization.bias is missing");
    with_change(path, NULL, "resnet.embedder.embedder.normalization.bias", "embedder.embedder.normalization.bias");
    expect_error(convert(path, out, options, &err), &err, RN_ERR_FORMAT, "in it twice");
    with_change(path, NULL, NULL, NULL);
    assert_int_equal(convert(path, in_folder("whole.safetensors"), options, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_of_others), cmocka_unit_test(questions), cmocka_unit_test(what_describes_itself), cmocka_unit_test(preprocessing),
        cmocka_unit_test(labels),          cmocka_unit_test(patterns),  cmocka_unit_test(other_channels),
        cmocka_unit_test(weights_alone),   cmocka_unit_test(broken),    cmocka_unit_test(changed),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
