/* What the verbs see inside a model: statistics of its weights, channels that do nothing, numbers that are none, hashes, dumped layers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "folder_fixture.h"

#include "base/random.h"
#include "formats/npy.h"
#include "formats/tensors.h"
#include "media/features.h"
#include "media/sound.h"
#include "models/model.h"
#include "resnet_tools.h"

enum { RATE = 8000, ROWS = 16, COLUMNS = 20, WIDTH = 8 };

static rn_error err;

#define must(call)                                                                                                                         \
    do {                                                                                                                                   \
        memset(&err, 0, sizeof err);                                                                                                       \
        int must_status = (call);                                                                                                          \
        if (must_status)                                                                                                                   \
            print_error("%s: %s\n", rn_error_name(must_status), err.text);                                                                 \
        assert_int_equal(must_status, 0);                                                                                                  \
    } while (0)

/* resnet18 of width 8 whose BN is in use: drawn gamma, beta, mean and variance. */
static rn_model *make_model(void)
{
    rn_model *model = NULL;
    rn_random random;
    must(rn_model_create(&model, "{\"width\": 8, \"classes\": 3, \"embedding\": 20, \"seed\": 7, \"init_weights\": \"he\"}", NULL, &err));
    rn_random_start(&random, 3, RN_PURPOSE_TEST, 0, 0);
    for (int i = 0; i < model->graph->params_count; i++) {
        const rn_param *p = &model->graph->params[i];
        float *x = (p->kind >= RN_PARAM_BN_MEAN ? model->stats : model->weights) + p->offset;
        for (int64_t k = 0; p->kind != RN_PARAM_CONV && p->kind != RN_PARAM_LINEAR && k < p->count; k++)
            x[k] = (p->kind == RN_PARAM_BN_WEIGHT || p->kind == RN_PARAM_BN_VAR ? 1.0f : 0.0f) +
                   0.4f * (float)(rn_random_double(&random) - 0.5);
    }
    return model;
}

static float *array_of(rn_model *model, const char *name)
{
    int i = rn_graph_param(model->graph, name);
    assert_true(i >= 0);
    const rn_param *p = &model->graph->params[i];
    return (p->kind >= RN_PARAM_BN_MEAN ? model->stats : model->weights) + p->offset;
}

/* Writes the file whatever the numbers are, which rn_model_save would not. */
static json_t *look_inside(const rn_model *model)
{
    rn_tensors tensors = {0};
    char *text = NULL;
    must(rn_model_tensors(model, &tensors, &err));
    must(rn_safetensors_write(in_folder("m.safetensors"), &tensors, &err));
    rn_tensors_free(&tensors);
    must(rn_tools_model(in_folder("m.safetensors"), &text, &err));
    json_t *all = json_loads(text, 0, NULL);
    assert_non_null(all);
    rn_text_free(text);
    return all;
}

static const json_t *row_of(const json_t *all, const char *list, const char *name, const char *kind)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(all, list), i,
                       row) if (!strcmp(json_string_value(json_object_get(row, "name")), name) &&
                                (!kind || !strcmp(json_string_value(json_object_get(row, "kind")), kind))) return row;
    return NULL;
}

static double real_of(const json_t *row, const char *key)
{
    const json_t *value = json_object_get(row, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

/* A mean over the wrong count, a deviation of the sample, a bin that the largest value falls out of, NaN in a sum. */
static void test_statistics(void **state)
{
    (void)state;
    rn_model *model = make_model();
    float *x = array_of(model, "linear.weight"); /* 3 x 20 */
    for (int i = 0; i < 60; i++)
        x[i] = (float)(i % 24);
    x[59] = NAN;
    x[58] = -INFINITY;
    json_t *all = look_inside(model);
    const json_t *row = row_of(all, "weights", "linear.weight", NULL), *bins = json_object_get(row, "histogram");
    double sum = 0, squares = 0;
    for (int i = 0; i < 58; i++)
        sum += i % 24;
    for (int i = 0; i < 58; i++)
        squares += (i % 24 - sum / 58) * (i % 24 - sum / 58);
    assert_true(fabs(real_of(row, "mean") - sum / 58) < 1e-12);
    assert_true(fabs(real_of(row, "std") - sqrt(squares / 58)) < 1e-12);
    assert_true(real_of(row, "min") == 0 && real_of(row, "max") == 23);
    assert_true(real_of(row, "not_finite") == 2 && real_of(row, "count") == 60);
    assert_true(fabs(real_of(row, "near_zero") - 3.0 / 58) < 1e-12);
    assert_int_equal(json_array_size(bins), 24);
    for (int i = 0; i < 24; i++) /* 0, 1, ..., 23 and a bin each: 24 ... 47 again, 48 ... 57 a third time */
        assert_int_equal(json_integer_value(json_array_get(bins, (size_t)i)), i < 10 ? 3 : 2);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(row, "shape"), 0)), 3);
    json_t *first = json_array_get(json_object_get(all, "weights"), 0);
    assert_string_equal(json_string_value(json_object_get(first, "name")), "conv1.weight");
    assert_int_equal(json_array_size(json_object_get(all, "weights")), (size_t)model->graph->params_count);
    json_decref(all);

    /* nothing finite, and nothing but one value */
    for (int i = 0; i < 60; i++)
        x[i] = NAN;
    memset(array_of(model, "fc.bias"), 0, 20 * sizeof(float));
    all = look_inside(model);
    row = row_of(all, "weights", "linear.weight", NULL);
    assert_true(real_of(row, "not_finite") == 60 && real_of(row, "std") == 0 && real_of(row, "near_zero") == 0);
    row = row_of(all, "weights", "fc.bias", NULL);
    assert_true(real_of(row, "near_zero") == 1 && real_of(row, "max") == 0);
    json_decref(all);
    rn_model_close(&model);
}

/* A model that no other verb takes is what one wants to look at. */
static void test_not_finite(void **state)
{
    (void)state;
    rn_model *model = make_model(), *loaded = NULL;
    array_of(model, "layer2.0.conv1.weight")[17] = NAN;
    array_of(model, "layer2.0.conv1.weight")[40] = INFINITY;
    array_of(model, "bn1.running_var")[2] = -1;
    json_t *all = look_inside(model);
    const json_t *row = row_of(all, "warnings", "layer2.0.conv1.weight", "not_finite");
    assert_true(row && real_of(row, "count") == 2 && real_of(row, "first") == 17);
    assert_non_null(strstr(json_string_value(json_object_get(row, "text")), "layer2.0.conv1.weight"));
    row = row_of(all, "warnings", "bn1.running_var", "negative_variance");
    assert_true(row && real_of(row, "count") == 1 && real_of(row, "first") == 2);
    assert_int_equal(json_array_size(json_object_get(all, "warnings")), 2);
    json_decref(all);
    assert_int_equal(rn_model_load(&loaded, in_folder("m.safetensors"), &err), RN_ERR_NUMBER);
    rn_model_close(&model);
}

/* "0 2 5" of a warning's channels; "" if there is none. */
static const char *channels_of(const json_t *all, const char *name, const char *kind)
{
    static char text[200];
    const json_t *row = row_of(all, "warnings", name, kind);
    size_t at = 0;
    text[0] = 0;
    for (size_t i = 0; row && i < json_array_size(json_object_get(row, "channels")); i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%d", i ? " " : "",
                               (int)json_integer_value(json_array_get(json_object_get(row, "channels"), i)));
    return text;
}

static rn_array dump_layer(const rn_model *model, const char *layer, uint64_t seed)
{
    static float x[ROWS * COLUMNS];
    rn_array out = {0};
    rn_random random;
    char *text = NULL, stage[64];
    rn_random_start(&random, seed, RN_PURPOSE_TEST, 0, 0);
    for (int i = 0; i < ROWS * COLUMNS; i++)
        x[i] = (float)(4 * rn_random_double(&random) - 2);
    must(rn_tensor_save(in_folder("x.npy"), x, 3, (int64_t[]){1, ROWS, COLUMNS}, &err));
    snprintf(stage, sizeof stage, "layer:%s", layer);
    must(rn_tools_dump(model, in_folder("x.npy"), NULL, -1, stage, in_folder("y.npy"), &text, &err));
    rn_text_free(text);
    must(rn_npy_read(in_folder("y.npy"), &out, &err));
    return out;
}

/* The spread of a channel over all its pixels and five inputs, and its largest value. */
static void see_channel(const rn_model *model, const char *layer, int channel, double *spread, double *most)
{
    double low = 1e30, high = -1e30;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        rn_array y = dump_layer(model, layer, seed);
        int64_t pixels = y.shape[1] * y.shape[2];
        for (int64_t i = 0; i < pixels; i++) {
            double v = (double)y.data[channel * pixels + i];
            low = v < low ? v : low;
            high = v > high ? v : high;
        }
        rn_array_free(&y);
    }
    *spread = high - low;
    *most = high;
}

/* A criterion that looks at gamma or at the weights alone takes live channels for dead ones (small weights that BN scales up again), or
 * does not see dead ones (a variance of 0). What is said of a channel is looked up in what the network computes. */
static void test_dead_channels(void **state)
{
    (void)state;
    rn_model *model = make_model();
    float *w = array_of(model, "conv1.weight"), *gamma = array_of(model, "bn1.weight"), *beta = array_of(model, "bn1.bias");
    float *mean = array_of(model, "bn1.running_mean"), *var = array_of(model, "bn1.running_var");
    json_t *all = look_inside(model);
    assert_int_equal(json_array_size(json_object_get(all, "warnings")), 0);
    json_decref(all);
    for (int k = 0; k < WIDTH; k++)
        beta[k] = -0.1f;
    memset(w, 0, 9 * sizeof *w); /* 0: no weights; what is left is beta - gamma mean / sqrt(var + eps) */
    mean[0] = 0;
    memset(w + 9, 0, 9 * sizeof *w); /* 1: the same, but above 0 */
    mean[1] = -2;
    gamma[2] = 0;     /* 2: no scale */
    gamma[3] = 1e-5f; /* 3: hardly any, above 0 */
    beta[3] = 0.5f;
    for (int i = 0; i < 9; i++)
        w[9 * 4 + i] *= 1e-5f; /* 4: small weights that were normalised by their own small variance would be alive, but eps is larger */
    mean[4] = 0;
    var[4] = 1e-12f;
    for (int i = 0; i < 9; i++)
        w[9 * 5 + i] *= 1e-2f; /* 5: small weights, alive */
    mean[5] = 0;
    var[5] = 1e-4f;
    beta[6] = -0.5f; /* 6: seldom above 0, alive */
    float *gamma2 = array_of(model, "layer1.0.bn2.weight");
    for (int k = 0; k < WIDTH; k++) /* a block that does nothing yet, as with zero_last */
        gamma2[k] = 0;
    memset(array_of(model, "linear.weight") + 20, 0, 20 * sizeof(float));
    all = look_inside(model);
    assert_string_equal(channels_of(all, "bn1", "dead"), "0 2 4");
    assert_string_equal(channels_of(all, "bn1", "constant"), "1 3");
    assert_string_equal(channels_of(all, "layer1.0.bn2", "constant"), "0 1 2 3 4 5 6 7");
    assert_non_null(strstr(json_string_value(json_object_get(row_of(all, "warnings", "layer1.0.bn2", NULL), "text")), "all 8 channels"));
    assert_string_equal(channels_of(all, "linear", "constant"), "1");
    assert_int_equal(json_array_size(json_object_get(all, "warnings")), 4);
    json_decref(all);
    for (int k = 0; k < WIDTH; k++) {
        double spread, most;
        see_channel(model, "conv1", k, &spread, &most);
        int dead = k == 0 || k == 2 || k == 4, constant = k == 1 || k == 3;
        if (dead ? most > 0 : constant ? spread > 1e-3 : spread < 0.1)
            fail_msg("channel %d: spread %g, at most %g", k, spread, most);
    }
    rn_model_close(&model);
}

/* ---- Dumped layers against the definition ---- */

/* A convolution with its BN, in double: y [channels][h / stride][w / stride] of x [c][h][w]. */
static double *convolve(rn_model *m, const char *conv, const char *bn, const double *x, int c, int h, int w, int channels, int kernel)
{
    char name[100];
    const float *p[5];
    const char *const parts[] = {"weight", "bias", "running_mean", "running_var"};
    double *y = calloc((size_t)channels * (size_t)h * (size_t)w, sizeof *y);
    snprintf(name, sizeof name, "%s.weight", conv);
    const float *k = array_of(m, name);
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s.%s", bn, parts[i]);
        p[i] = array_of(m, name);
    }
    for (int o = 0; o < channels; o++)
        for (int row = 0; row < h; row++)
            for (int column = 0; column < w; column++) {
                double sum = 0;
                for (int i = 0; i < c; i++)
                    for (int r = 0; r < kernel; r++)
                        for (int s = 0; s < kernel; s++) {
                            int at_r = row + r - kernel / 2, at_s = column + s - kernel / 2;
                            if (at_r >= 0 && at_r < h && at_s >= 0 && at_s < w)
                                sum += (double)k[((o * c + i) * kernel + r) * kernel + s] * x[(i * h + at_r) * w + at_s];
                        }
                y[(o * h + row) * w + column] = (sum - (double)p[2][o]) / sqrt((double)p[3][o] + 1e-5) * (double)p[0][o] + (double)p[1][o];
            }
    return y;
}

static void compare(const rn_model *m, const char *layer, const double *want, int64_t count)
{
    rn_array y = dump_layer(m, layer, 1);
    double most = 0, off = 0;
    assert_int_equal(y.count, count);
    for (int64_t i = 0; i < count; i++) {
        most = fmax(most, fabs(want[i]));
        off = fmax(off, fabs((double)y.data[i] - want[i]));
    }
    if (off > 2e-6 * most)
        fail_msg("layer:%s: off by %g of %g", layer, off, most);
    rn_array_free(&y);
}

/* A layer dumped before its ReLU, before the addition, in another order of channels, or of another step. */
static void test_layers(void **state)
{
    (void)state;
    enum { PIXELS = ROWS * COLUMNS, COUNT = WIDTH * PIXELS };
    rn_model *m = make_model();
    rn_array input;
    double x[PIXELS];
    rn_array first = dump_layer(m, "conv1", 1);
    rn_array_free(&first);
    must(rn_npy_read(in_folder("x.npy"), &input, &err));
    for (int i = 0; i < PIXELS; i++)
        x[i] = (double)input.data[i];
    rn_array_free(&input);
    double *stem = convolve(m, "conv1", "bn1", x, 1, ROWS, COLUMNS, WIDTH, 3);
    for (int i = 0; i < COUNT; i++)
        stem[i] = fmax(stem[i], 0);
    compare(m, "conv1", stem, COUNT);
    double *inner = convolve(m, "layer1.0.conv1", "layer1.0.bn1", stem, WIDTH, ROWS, COLUMNS, WIDTH, 3);
    for (int i = 0; i < COUNT; i++)
        inner[i] = fmax(inner[i], 0);
    compare(m, "layer1.0.conv1", inner, COUNT);
    double *block = convolve(m, "layer1.0.conv2", "layer1.0.bn2", inner, WIDTH, ROWS, COLUMNS, WIDTH, 3);
    for (int i = 0; i < COUNT; i++)
        block[i] = fmax(block[i] + stem[i], 0);
    compare(m, "layer1.0.conv2", block, COUNT);
    free(stem);
    free(inner);
    free(block);
    rn_model_close(&m);
}

typedef struct nth {
    int wanted, at;
    float logits[3];
} nth;

static int take_nth(void *context, const rn_answer *a)
{
    nth *n = context;
    if (n->at++ == n->wanted)
        memcpy(n->logits, a->logits, sizeof n->logits);
    return 0;
}

/* The layers of the first window of a long recording instead of those of the one that was meant, without a word. */
static void test_windows(void **state)
{
    (void)state;
    enum { SECONDS = 33 };
    rn_model *model = make_model();
    rn_session *session = NULL;
    rn_features features;
    rn_array array = {0};
    rn_random random;
    nth n = {.wanted = 34};
    char *text = NULL;
    float *x = malloc(SECONDS * RATE * sizeof *x);
    rn_features_default(&features, RN_KALDI, RATE);
    features.seconds = 0.5;
    json_object_set_new(model->config, "features", rn_features_to_json(&features));
    rn_random_start(&random, 5, RN_PURPOSE_TEST, 0, 0);
    for (int i = 0; i < SECONDS * RATE; i++)
        x[i] = (float)((int)rn_random_below(&random, 20000) - 10000) / 32768.0f * (float)(1 + i / RATE) / SECONDS;
    must(rn_sound_write_wav(in_folder("long.wav"), x, SECONDS * RATE, RATE, &err));
    must(rn_session_open(&session, model, NULL, &err));
    must(rn_session_file(session, in_folder("long.wav"), NULL, take_nth, &n, &err));
    assert_int_equal(n.at, 2 * SECONDS);
    assert_int_equal(rn_tools_dump(model, in_folder("long.wav"), NULL, -1, "layer:linear", NULL, &text, &err), RN_ERR_ARG);
    assert_non_null(strstr(err.text, "--start"));
    must(rn_tools_dump(model, in_folder("long.wav"), NULL, 17, "layer:linear", in_folder("y.npy"), &text, &err));
    rn_text_free(text);
    must(rn_npy_read(in_folder("y.npy"), &array, &err));
    assert_memory_equal(array.data, n.logits, sizeof n.logits);
    rn_array_free(&array);
    /* Its features as a file are what the network was given. */
    must(rn_tools_dump(model, in_folder("long.wav"), NULL, 17, "features", in_folder("f.npy"), &text, &err));
    rn_text_free(text);
    must(rn_tools_dump(model, in_folder("f.npy"), NULL, -1, "layer:linear", in_folder("y.npy"), &text, &err));
    rn_text_free(text);
    must(rn_npy_read(in_folder("y.npy"), &array, &err));
    assert_memory_equal(array.data, n.logits, sizeof n.logits);
    rn_array_free(&array);
    must(rn_tools_dump(model, in_folder("long.wav"), &(rn_listen){.window_s = 2}, 30, "decode", in_folder("y.npy"), &text, &err));
    rn_text_free(text);
    must(rn_npy_read(in_folder("y.npy"), &array, &err));
    assert_int_equal(array.count, 2 * RATE);
    for (int i = 0; i < 2 * RATE; i++) /* written with 16 bits */
        assert_true(fabsf(array.data[i] - x[30 * RATE + i]) < 1e-4f);
    rn_array_free(&array);
    free(x);
    rn_session_close(&session);
    rn_model_close(&model);
}

/* A hash that leaves out the last piece of a file, or is another function than the one that is named. */
static void test_hash(void **state)
{
    (void)state;
    char hash[33], other[33];
    FILE *f = fopen(in_folder("h"), "wb");
    assert_non_null(f);
    fclose(f);
    must(rn_tools_hash(in_folder("h"), hash, &err));
    assert_string_equal(hash, "99aa06d3014798d86001c324468d497f"); /* XXH3-128 of nothing, as xxhsum prints it */
    f = fopen(in_folder("h"), "wb");
    for (int i = 0; i < 300000; i++)
        fputc(i % 251, f);
    fclose(f);
    must(rn_tools_hash(in_folder("h"), hash, &err));
    f = fopen(in_folder("h"), "ab");
    fputc(0, f);
    fclose(f);
    must(rn_tools_hash(in_folder("h"), other, &err));
    assert_string_not_equal(hash, other);
    assert_int_equal(rn_tools_hash(in_folder("absent"), hash, &err), RN_ERR_IO);
    assert_non_null(strstr(err.text, "absent"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statistics), cmocka_unit_test(test_not_finite), cmocka_unit_test(test_dead_channels),
        cmocka_unit_test(test_layers),     cmocka_unit_test(test_windows),    cmocka_unit_test(test_hash),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
