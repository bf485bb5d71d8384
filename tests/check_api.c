/* The public header, used as a program would: models, sessions, recordings, streams, training. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/random.h"
#include "data/supply.h"
#include "formats/npy.h"
#include "base/maths.h"
#include "media/features.h"
#include "media/sound.h"
#include "models/model.h"
#include "resnet_tools.h"

enum { RATE = 8000, MOST = 64 };

static char folder[64];
static rn_error err;

static const char *in_folder(const char *name)
{
    static char path[4][160];
    static int at;
    at = (at + 1) % 4;
    snprintf(path[at], sizeof path[at], "%s/%s", folder, name);
    return path[at];
}

#define must(call)                                                                                                                         \
    do {                                                                                                                                   \
        memset(&err, 0, sizeof err);                                                                                                       \
        int must_status = (call);                                                                                                          \
        if (must_status)                                                                                                                   \
            print_error("%s: %s\n", rn_error_name(must_status), err.text);                                                                 \
        assert_int_equal(must_status, 0);                                                                                                  \
    } while (0)

#define must_fail(call, want)                                                                                                              \
    do {                                                                                                                                   \
        memset(&err, 0, sizeof err);                                                                                                       \
        assert_int_equal((call), (want));                                                                                                  \
        assert_int_equal(err.code, (want));                                                                                                \
        assert_true(strlen(err.text) > 10);                                                                                                \
    } while (0)

/* A small model that hears sound at 8 kHz in windows of half a second. Its running statistics are moved, so that folding matters.
 * He's weights: with PyTorch's an untrained network's answer hardly depends on its input, and a wrong window would not be seen. */
static rn_model *make_model(int classes)
{
    static const char *const names[] = {"robin", "wren", "wind", "owl"};
    char options[128];
    rn_model *model = NULL;
    rn_features features;
    rn_random random;
    snprintf(options, sizeof options, "{\"width\": 8, \"classes\": %d, \"embedding\": 20, \"seed\": 7, \"init_weights\": \"he\"}", classes);
    must(rn_model_create(&model, options, names, &err));
    rn_features_default(&features, RN_KALDI, RATE);
    features.seconds = 0.5;
    json_object_set_new(model->config, "features", rn_features_to_json(&features));
    json_object_set_new(model->config, "input", json_pack("[i,i,i]", 1, features.bins, (int)rn_features_length(&features)));
    rn_random_start(&random, 3, RN_PURPOSE_TEST, 0, 0);
    for (int64_t i = 0; i < model->graph->stats_count; i++)
        model->stats[i] += 0.1f * (float)(rn_random_double(&random) - 0.5);
    return model;
}

static float *make_sound(int64_t count, uint64_t seed)
{
    float *x = malloc((size_t)count * sizeof *x);
    rn_random random;
    rn_random_start(&random, seed, RN_PURPOSE_TEST, 0, 1);
    for (int64_t i = 0; i < count; i++) /* multiples of 2^-15: a 16-bit file holds them exactly */
        x[i] = (float)((int)rn_random_below(&random, 20000) - 10000) / 32768.0f;
    return x;
}

typedef struct heard {
    int count, stop_after;
    double start[MOST], end[MOST];
    float logits[MOST][4], embedding[MOST][20];
    char label[MOST][16];
} heard;

static int hear(void *context, const rn_answer *a)
{
    heard *h = context;
    assert_true(h->count < MOST);
    h->start[h->count] = a->start_s;
    h->end[h->count] = a->end_s;
    memcpy(h->logits[h->count], a->logits, (size_t)a->classes * sizeof(float));
    if (a->embedding)
        memcpy(h->embedding[h->count], a->embedding, sizeof h->embedding[0]);
    snprintf(h->label[h->count], sizeof h->label[0], "%s", a->label);
    h->count++;
    return h->stop_after && h->count >= h->stop_after;
}

static void assert_same_answers(const heard *a, const heard *b)
{
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->start, b->start, (size_t)a->count * sizeof a->start[0]);
    assert_memory_equal(a->end, b->end, (size_t)a->count * sizeof a->end[0]);
    assert_memory_equal(a->logits, b->logits, (size_t)a->count * sizeof a->logits[0]);
    assert_memory_equal(a->embedding, b->embedding, (size_t)a->count * sizeof a->embedding[0]);
}

/* ---- Errors and models ---- */

/* A code that was added to the header and forgotten in the table. */
static void test_errors(void **state)
{
    (void)state;
    for (int code = 0; code >= RN_ERR_UNSUPPORTED; code--) {
        assert_string_not_equal(rn_error_name(code), "unknown error");
        assert_string_not_equal(rn_error_meaning(code), "unknown error");
    }
    assert_string_equal(rn_error_name(RN_ERR_SHAPE), "RN_ERR_SHAPE");
    assert_string_equal(rn_error_name(-1000), "unknown error");
    assert_string_equal(rn_error_name(1), "unknown error");
    assert_true(strlen(rn_version()) >= 5);
}

/* Options that are misspelt, of the wrong type or out of range and are taken for defaults. */
static void test_create(void **state)
{
    (void)state;
    static const char *const wrong[] = {"{\"widht\": 8}",
                                        "{\"width\": \"8\"}",
                                        "{\"width\": 0}",
                                        "{\"arch\": \"resnet17\"}",
                                        "{\"shortcut\": \"D\"}",
                                        "{\"pool\": \"4\"}",
                                        "[1]",
                                        "{",
                                        "{\"width\": 8, \"width\": 9}",
                                        "{\"stem\": \"5x5\"}",
                                        "{\"init_weights\": \"zero\"}"};
    rn_model *model = NULL;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        must_fail(rn_model_create(&model, wrong[i], NULL, &err), RN_ERR_ARG);
        assert_null(model);
    }
    must(rn_model_create(&model, NULL, NULL, &err));
    assert_string_equal(rn_model_arch(model), "resnet18");
    assert_int_equal(rn_model_classes(model), 9);
    assert_string_equal(rn_model_label(model, 8), "8");
    assert_null(rn_model_label(model, 9));
    assert_null(rn_model_label(model, -1));
    assert_int_equal(rn_model_find_label(model, "3"), 3);
    assert_int_equal(rn_model_find_label(model, "x"), -1);
    assert_int_equal(rn_model_parameters(model), 11694537);
    rn_model_close(&model);
    assert_null(model);
    rn_model_close(&model);
}

static unsigned char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    unsigned char *data = malloc(*size);
    assert_int_equal(fread(data, 1, *size, file), *size);
    fclose(file);
    return data;
}

/* A model that comes back from a file or from memory with other bits, labels or sections. */
static void test_save_and_parse(void **state)
{
    (void)state;
    rn_model *model = make_model(3), *loaded = NULL, *parsed = NULL;
    size_t size, again;
    must(rn_model_save(model, in_folder("m.safetensors"), &err));
    must(rn_model_load(&loaded, in_folder("m.safetensors"), &err));
    unsigned char *bytes = read_file(in_folder("m.safetensors"), &size);
    must(rn_model_parse(&parsed, "memory", bytes, size, &err));
    assert_memory_equal(model->weights, parsed->weights, (size_t)model->graph->weights_count * sizeof(float));
    assert_string_equal(rn_model_label(parsed, 2), "wind");
    char *features = rn_model_config(parsed, "features");
    assert_non_null(strstr(features, "\"rate\":8000"));
    assert_null(rn_model_config(parsed, "no such section"));
    rn_text_free(features);
    must(rn_model_save(parsed, in_folder("n.safetensors"), &err));
    unsigned char *second = read_file(in_folder("n.safetensors"), &again);
    assert_int_equal(size, again);
    assert_memory_equal(bytes, second, size);
    free(second);
    rn_model_close(&parsed);
    must_fail(rn_model_parse(&parsed, "cut", bytes, size - 1, &err), RN_ERR_FORMAT);
    assert_non_null(strstr(err.text, "cut"));
    free(bytes);
    rn_model_close(&loaded);
    rn_model_close(&model);
    assert_int_not_equal(rn_model_load(&loaded, in_folder("nothing"), &err), 0);
}

/* ---- Sessions ---- */

/* Batches, threads and buffers that change a bit; sizes and batches that are not refused. */
static void test_session(void **state)
{
    (void)state;
    rn_model *model = make_model(4);
    rn_session *s = NULL;
    rn_session_options options = {.batch = 5, .height = 24, .width = 31, .threads = 2};
    float *x = make_sound(5 * 24 * 31, 1), a[5][4], b[5][4], e[5][20], f[5][20];
    int64_t bytes = 0;
    must(rn_session_measure(model, &options, &bytes, &err));
    must(rn_session_open(&s, model, &options, &err));
    assert_true(bytes > model->graph->weights_count * 4);
    assert_int_equal(bytes, rn_session_bytes(s));
    must(rn_session_run(s, 5, x, a[0], e[0], &err));
    for (int i = 0; i < 5; i++)
        must(rn_session_run(s, 1, x + i * 24 * 31, b[i], f[i], &err));
    assert_memory_equal(a, b, sizeof a);
    assert_memory_equal(e, f, sizeof e);
    must_fail(rn_session_run(s, 0, x, a[0], NULL, &err), RN_ERR_ARG);
    must_fail(rn_session_run(s, 6, x, a[0], NULL, &err), RN_ERR_ARG);
    must_fail(rn_session_run(s, 1, NULL, a[0], NULL, &err), RN_ERR_ARG);
    rn_session_close(&s);
    options.threads = 1;
    must(rn_session_open(&s, model, &options, &err));
    must(rn_session_run(s, 5, x, b[0], NULL, &err));
    assert_memory_equal(a, b, sizeof a);
    rn_session_close(&s);
    assert_null(s);
    must_fail(rn_session_open(&s, model, &(rn_session_options){.batch = -1}, &err), RN_ERR_ARG);
    must_fail(rn_session_open(&s, model, &(rn_session_options){.height = 24}, &err), RN_ERR_ARG);
    assert_null(s);
    free(x);
    rn_model_close(&model);
}

/* A model whose file does not say its input size: files work, tensors need a size. */
static void test_session_without_size(void **state)
{
    (void)state;
    rn_model *model = make_model(2);
    rn_session *s = NULL;
    float x[4] = {0}, logits[4];
    json_object_del(model->config, "input");
    must(rn_session_open(&s, model, NULL, &err));
    must_fail(rn_session_run(s, 1, x, logits, NULL, &err), RN_ERR_SHAPE);
    rn_session_close(&s);
    rn_model_close(&model);
}

/* `predict` and `eval` that round probabilities differently. */
static void test_softmax(void **state)
{
    (void)state;
    float *z = make_sound(9, 2), a[9], b[9];
    for (int i = 0; i < 9; i++)
        z[i] *= 40;
    rn_logits_softmax(z, 9, a);
    rn_softmax(z, 9, 1, b, NULL);
    assert_memory_equal(a, b, sizeof a);
    double sum = 0;
    for (int i = 0; i < 9; i++)
        sum += a[i];
    assert_true(fabs(sum - 1) < 1e-6);
    free(z);
}

/* Ties in another order, more labels than there are, none at all. */
static void test_top(void **state)
{
    (void)state;
    static const float p[] = {0.1f, 0.3f, 0.1f, 0.3f, 0.2f};
    rn_answer a = {.classes = 5, .probability = p};
    int order[8] = {-1};
    static const int all[] = {1, 3, 4, 0, 2};
    for (int n = 0; n <= 8; n++) {
        int count = rn_answer_top(&a, n, order);
        assert_int_equal(count, n < 5 ? n : 5);
        for (int i = 0; i < count; i++)
            assert_int_equal(order[i], all[i]);
    }
}

/* ---- Recordings ---- */

/* Windows at wrong places, a last window that does not end at the end, a short recording that is cut. */
static void test_windows(void **state)
{
    (void)state;
    static const struct {
        double seconds, window, hop;
        int count;
        double last_start;
    } cases[] = {{3.2, 0, 0, 1, 0}, {30, 0, 0, 1, 0},  {30.1, 0, 0, 61, 29.6}, {3.2, 1, 0, 4, 2.2},   {3.2, 1, 0.5, 6, 2.2},
                 {3, 1, 0.5, 5, 2}, {0.3, 1, 0, 1, 0}, {3.2, 1, 2, 3, 2.2},    {3.2, 0, 0.5, 7, 2.7}, {1, 1, 0, 1, 0}};
    rn_model *model = make_model(2);
    rn_session *s = NULL;
    must(rn_session_open(&s, model, NULL, &err));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rn_listen listen = {.window_s = cases[i].window, .hop_s = cases[i].hop};
        heard h = {0};
        int64_t count = (int64_t)(cases[i].seconds * RATE + 0.5);
        float *x = make_sound(count, 4);
        must(rn_session_pcm(s, x, count, RATE, &listen, hear, &h, &err));
        assert_int_equal(h.count, cases[i].count);
        assert_true(fabs(h.start[h.count - 1] - cases[i].last_start) < 1e-9);
        assert_true(fabs(h.end[h.count - 1] - cases[i].seconds) < 1e-9);
        free(x);
    }
    rn_session_close(&s);
    rn_model_close(&model);
}

/* Windows heard at once by several threads: an answer out of order, lost at the end of a group or of the recording, or with other bits; windows
 * before a fault that wait for a group which never fills; a callback's stop that is not kept. */
static void test_groups(void **state)
{
    (void)state;
    static const struct {
        double seconds, window, hop;
        int64_t fault; /* this sample is not a number; 0: all are */
    } cases[] = {{31.8, 0, 0, 0}, {31.8, 0.4, 0.6, 0}, {6.05, 0.3, 0.1, 0}, {33, 3, 2, 0}, {7, 0.5, 0.5, 44000}, {31, 0, 0, 247000}, {29, 0, 0, 100000}};
    rn_model *model = make_model(2);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t count = (int64_t)(cases[i].seconds * RATE + 0.5);
        float *x = make_sound(count, 5);
        heard *h = calloc(4, sizeof *h);
        if (cases[i].fault)
            x[cases[i].fault] = NAN;
        FILE *file = fopen(in_folder("long.raw"), "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(x, sizeof *x, (size_t)count, file), count);
        assert_int_equal(fclose(file), 0);
        h[3].stop_after = 3;
        for (int k = 0; k < 4; k++) { /* one, two and five threads; two, and stopped */
            rn_session *s = NULL;
            rn_listen listen = {.window_s = cases[i].window, .hop_s = cases[i].hop, .raw = "f32le", .raw_rate = RATE, .want_embedding = 1};
            must(rn_session_open(&s, model, &(rn_session_options){.threads = (const int[]){1, 2, 5, 2}[k]}, &err));
            int status = rn_session_file(s, in_folder("long.raw"), &listen, hear, &h[k], &err);
            assert_int_equal(status, k == 3 && h[3].count == 3 ? RN_ERR_CANCELLED : cases[i].fault ? RN_ERR_DATA : 0);
            rn_session_close(&s);
        }
        assert_int_equal(h[0].count > 0, cases[i].seconds > 30 || cases[i].hop > 0);
        assert_same_answers(&h[0], &h[1]);
        assert_same_answers(&h[0], &h[2]);
        assert_int_equal(h[3].count, h[0].count < 3 ? h[0].count : 3);
        free(h);
        free(x);
    }
    rn_model_close(&model);
}

/* One recording by four ways: file, bytes, samples, and pieces pushed in odd sizes. */
static void test_ways(void **state)
{
    (void)state;
    static const int pieces[] = {1, 17, 4096, 100000};
    rn_model *model = make_model(3);
    rn_session *s = NULL;
    rn_stream *stream = NULL;
    rn_listen listen = {.window_s = 0.7, .hop_s = 0.3, .want_embedding = 1};
    heard *h = calloc(4, sizeof *h);
    int64_t count = 3 * RATE + 123;
    float *x = make_sound(count, 5);
    size_t size;
    must(rn_sound_write_wav(in_folder("a.wav"), x, count, RATE, &err));
    must(rn_session_open(&s, model, NULL, &err));
    must(rn_session_file(s, in_folder("a.wav"), &listen, hear, &h[0], &err));
    unsigned char *bytes = read_file(in_folder("a.wav"), &size);
    must(rn_session_memory(s, "a.wav", bytes, size, &listen, hear, &h[1], &err));
    must(rn_session_pcm(s, x, count, RATE, &listen, hear, &h[2], &err));
    assert_true(h[0].count > 5);
    for (int i = 1; i < h[0].count; i++)
        assert_memory_not_equal(h[0].logits[0], h[0].logits[i], sizeof h[0].logits[0]);
    assert_same_answers(&h[0], &h[1]);
    assert_same_answers(&h[0], &h[2]);
    for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++) {
        memset(&h[3], 0, sizeof h[3]);
        must(rn_stream_open(&stream, s, RATE, &listen, hear, &h[3], &err));
        for (int64_t at = 0; at < count; at += pieces[p])
            must(rn_stream_push(stream, x + at, count - at < pieces[p] ? count - at : pieces[p], &err));
        must(rn_stream_finish(stream, &err));
        must_fail(rn_stream_push(stream, x, 1, &err), RN_ERR_ARG);
        rn_stream_close(&stream);
        assert_same_answers(&h[0], &h[3]);
    }
    free(bytes);
    free(x);
    free(h);
    rn_session_close(&s);
    rn_model_close(&model);
}

/* A stream's resampler that loses its state between pushes or its tail at the end. */
static void test_resampled_stream(void **state)
{
    (void)state;
    rn_model *model = make_model(3);
    rn_session *s = NULL;
    rn_stream *stream = NULL;
    rn_listen listen = {.window_s = 0.5};
    heard *h = calloc(2, sizeof *h);
    int64_t count = 2 * 11025 + 77;
    float *x = make_sound(count, 6);
    must(rn_sound_write_wav(in_folder("r.wav"), x, count, 11025, &err));
    must(rn_session_open(&s, model, NULL, &err));
    must(rn_session_file(s, in_folder("r.wav"), &listen, hear, &h[0], &err));
    must(rn_stream_open(&stream, s, 11025, &listen, hear, &h[1], &err));
    for (int64_t at = 0; at < count; at += 300)
        must(rn_stream_push(stream, x + at, count - at < 300 ? count - at : 300, &err));
    must(rn_stream_finish(stream, &err));
    rn_stream_close(&stream);
    assert_same_answers(&h[0], &h[1]);
    free(x);
    free(h);
    rn_session_close(&s);
    rn_model_close(&model);
}

/* A stream whose memory grows, or that answers late: after n full windows there are n answers, whatever has passed before. */
static void test_live(void **state)
{
    (void)state;
    rn_model *model = make_model(2);
    rn_session *s = NULL;
    rn_stream *stream = NULL;
    heard h = {0};
    float *x = make_sound(RATE / 2, 7);
    must(rn_session_open(&s, model, NULL, &err));
    must(rn_stream_open(&stream, s, RATE, NULL, hear, &h, &err));
    for (int i = 0; i < 20; i++) {
        must(rn_stream_push(stream, x, RATE / 2 - 1, &err));
        must(rn_stream_push(stream, x, 1, &err));
        assert_int_equal(h.count, i + 1);
    }
    must(rn_stream_finish(stream, &err));
    assert_int_equal(h.count, 20);
    rn_stream_close(&stream);
    free(x);
    rn_session_close(&s);
    rn_model_close(&model);
}

/* "unknown" and "none" at the wrong side of their limits; a background label that the model does not have. */
static void test_rules(void **state)
{
    (void)state;
    rn_model *model = make_model(2);
    rn_session *s = NULL;
    heard h = {0};
    float *x = make_sound(RATE, 8);
    must(rn_session_open(&s, model, NULL, &err));
    must(rn_session_pcm(s, x, RATE, RATE, NULL, hear, &h, &err));
    must(rn_session_pcm(s, x, RATE, RATE, &(rn_listen){.min_probability = 1}, hear, &h, &err));
    must(rn_session_pcm(s, x, RATE, RATE, &(rn_listen){.background = "robin"}, hear, &h, &err));
    must(rn_session_pcm(s, x, RATE, RATE, &(rn_listen){.background = "wren"}, hear, &h, &err));
    int wren = strcmp(h.label[0], "wren") == 0;
    assert_string_equal(h.label[0], wren ? "wren" : "robin");
    assert_string_equal(h.label[1], "unknown");
    assert_string_equal(h.label[2], wren ? "wren" : "none");
    assert_string_equal(h.label[3], wren ? "none" : "robin");
    must_fail(rn_session_pcm(s, x, RATE, RATE, &(rn_listen){.background = "eagle"}, hear, &h, &err), RN_ERR_ARG);
    must_fail(rn_session_pcm(s, x, RATE, RATE, &(rn_listen){.min_probability = 1.5}, hear, &h, &err), RN_ERR_ARG);
    must_fail(rn_session_pcm(s, x, 0, RATE, NULL, hear, &h, &err), RN_ERR_DATA);
    must_fail(rn_session_pcm(s, x, 10, RATE, NULL, hear, &h, &err), RN_ERR_DATA);
    must_fail(rn_session_pcm(s, x, RATE, 0, NULL, hear, &h, &err), RN_ERR_ARG);
    free(x);
    rn_session_close(&s);
    rn_model_close(&model);
}

/* A callback's wish to stop that is not heard, or that is taken for success. */
static void test_stop(void **state)
{
    (void)state;
    rn_model *model = make_model(2);
    rn_session *s = NULL;
    heard h = {.stop_after = 2};
    float *x = make_sound(3 * RATE, 9);
    must(rn_session_open(&s, model, NULL, &err));
    must_fail(rn_session_pcm(s, x, 3 * RATE, RATE, &(rn_listen){.window_s = 0.5}, hear, &h, &err), RN_ERR_CANCELLED);
    assert_int_equal(h.count, 2);
    free(x);
    rn_session_close(&s);
    rn_model_close(&model);
}

/* Arrays that are not the network's; an array that gives other numbers than rn_session_run. */
static void test_arrays(void **state)
{
    (void)state;
    rn_model *model = make_model(3);
    rn_session *s = NULL;
    heard h = {0};
    float *x = make_sound(3 * 24 * 31, 10), logits[3][3];
    must(rn_session_open(&s, model, &(rn_session_options){.batch = 3, .height = 24, .width = 31}, &err));
    must(rn_npy_write(in_folder("x.npy"), x, 4, (int64_t[]){3, 1, 24, 31}, &err));
    must(rn_session_run(s, 3, x, logits[0], NULL, &err));
    must(rn_session_file(s, in_folder("x.npy"), NULL, hear, &h, &err));
    assert_int_equal(h.count, 3);
    for (int i = 0; i < 3; i++)
        assert_memory_equal(h.logits[i], logits[i], sizeof logits[i]);
    must(rn_npy_write(in_folder("y.npy"), x, 3, (int64_t[]){3, 24, 31}, &err));
    must_fail(rn_session_file(s, in_folder("y.npy"), NULL, hear, &h, &err), RN_ERR_SHAPE);
    x[40] = NAN;
    must(rn_npy_write(in_folder("z.npy"), x, 3, (int64_t[]){1, 24, 31}, &err));
    must_fail(rn_session_file(s, in_folder("z.npy"), NULL, hear, &h, &err), RN_ERR_DATA);
    assert_non_null(strstr(err.text, "z.npy"));
    free(x);
    rn_session_close(&s);
    rn_model_close(&model);
}

/* `predict` and the loader of `eval` that cut or repeat recordings differently. */
static void test_same_views_as_judging(void **state)
{
    (void)state;
    static const double seconds[] = {0.1, 0.5, 3.3, 30, 31.7};
    rn_model *model = make_model(3);
    rn_session *s = NULL;
    rn_features features;
    rn_extractor *extractor = NULL;
    assert_true(RN_WHOLE_S == 30.0);
    must(rn_features_from_json(&features, rn_model_section(model, "features"), "model", &err));
    must(rn_extractor_open(&extractor, &features, &err));
    must(rn_session_open(&s, model, NULL, &err));
    for (size_t i = 0; i < sizeof seconds / sizeof seconds[0]; i++) {
        heard *h = calloc(1, sizeof *h);
        rn_views views;
        int64_t count = (int64_t)(seconds[i] * RATE + 0.5);
        float *x = make_sound(count, 11 + i), *logits = malloc(MOST * 3 * sizeof *logits);
        must(rn_session_pcm(s, x, count, RATE, NULL, hear, h, &err));
        must(rn_views_make(extractor, &features, x, count, 0, &views, &err));
        assert_int_equal(h->count, views.windows);
        rn_session *t = NULL;
        must(rn_session_open(&t, model, &(rn_session_options){.height = views.h, .width = views.w}, &err));
        for (int w = 0; w < views.windows; w++) {
            must(rn_session_run(t, 1, views.x + (size_t)w * (size_t)views.h * (size_t)views.w, logits, NULL, &err));
            assert_memory_equal(logits, h->logits[w], 3 * sizeof *logits);
            assert_true(h->start[w] == views.start_s[w] && h->end[w] == views.end_s[w]);
        }
        rn_session_close(&t);
        rn_views_free(&views);
        free(h);
        free(logits);
        free(x);
    }
    rn_session_close(&s);
    rn_extractor_close(&extractor);
    rn_model_close(&model);
}

/* ---- Training ---- */

enum { ITEMS = 60, SIDE = 12 };

static float pictures[ITEMS][SIDE * SIDE];
static int picture_labels[ITEMS];

static rn_data *make_pictures(void)
{
    static const char *const names[] = {"dark", "light"};
    rn_data *data = NULL;
    float *noise = make_sound(ITEMS * SIDE * SIDE, 12);
    for (int i = 0; i < ITEMS; i++) {
        picture_labels[i] = i % 2;
        for (int k = 0; k < SIDE * SIDE; k++)
            pictures[i][k] = noise[i * SIDE * SIDE + k] + (i % 2 && k % SIDE < SIDE / 2 ? 0.5f : 0);
    }
    free(noise);
    must(rn_data_from_tensors(&data, pictures[0], picture_labels, ITEMS, 1, SIDE, SIDE, names, 2, NULL, &err));
    assert_int_equal(rn_data_count(data), ITEMS);
    assert_int_equal(rn_data_classes(data), 2);
    assert_string_equal(rn_data_label(data, 1), "light");
    assert_null(rn_data_label(data, 2));
    return data;
}

typedef struct watched {
    int steps, epochs, stop_at;
} watched;

static int watch_training(void *context, const rn_training_progress *p)
{
    watched *w = context;
    w->steps += p->stage == RN_TRAINING_STEP;
    w->epochs += p->stage == RN_TRAINING_EPOCH;
    return p->stage == RN_TRAINING_STEP && w->steps == w->stop_at;
}

static const char small[] =
    "{\"arch.name\": \"resnet20\", \"arch.width\": 4, \"arch.in_channels\": 1, \"epochs\": 2, \"batch\": 8, \"seed\": 5, \"threads\": 2}";

static void run_pictures(const char *options, int stop_at, rn_model **model, rn_training_result *result, watched *w)
{
    rn_data *data = make_pictures();
    rn_training *t = NULL;
    w->stop_at = stop_at;
    must(rn_training_open(&t, data, options, NULL, 0, &(rn_training_watch){.progress = watch_training, .context = w}, &err));
    if (stop_at) {
        must_fail(rn_training_run(t, result, &err), RN_ERR_CANCELLED);
        assert_int_equal(w->steps, stop_at);
    }
    must(rn_training_run(t, result, &err));
    must(rn_training_take_model(t, model, &err));
    must_fail(rn_training_run(t, result, &err), RN_ERR_ARG);
    rn_training_close(&t);
    rn_data_close(&data);
}

/* A run that depends on how often it was stopped; a result that is not filled; a model that cannot be used. */
static void test_training(void **state)
{
    (void)state;
    rn_model *whole = NULL, *stopped = NULL;
    rn_training_result result, again;
    watched w = {0}, v = {0};
    run_pictures(small, 0, &whole, &result, &w);
    assert_int_equal(w.epochs, 2);
    assert_int_equal(result.epochs, 2);
    assert_int_equal(result.steps, w.steps);
    assert_true(result.test_items > 0 && result.test_low <= result.test_accuracy && result.test_accuracy <= result.test_high);
    assert_true(isfinite(result.loss) && isfinite(result.validation_macro));
    run_pictures(small, 3, &stopped, &again, &v);
    assert_memory_equal(whole->weights, stopped->weights, (size_t)whole->graph->weights_count * sizeof(float));
    assert_memory_equal(whole->stats, stopped->stats, (size_t)whole->graph->stats_count * sizeof(float));
    assert_true(result.loss == again.loss);
    assert_string_equal(rn_model_label(whole, 0), "dark");
    int c, h, width;
    rn_model_input(whole, &c, &h, &width);
    assert_true(c == 1 && h == SIDE && width == SIDE);
    rn_session *s = NULL;
    float logits[2];
    must(rn_session_open(&s, whole, NULL, &err));
    must(rn_session_run(s, 1, pictures[0], logits, NULL, &err));
    rn_session_close(&s);
    rn_model_close(&whole);
    rn_model_close(&stopped);
}

/* Options in both spellings mean the same; what is wrong is refused by name. */
static void test_training_options(void **state)
{
    (void)state;
    static const char nested[] =
        "{\"arch\": {\"name\": \"resnet20\", \"width\": 4, \"in_channels\": 1}, \"epochs\": \"2\", \"batch\": 8, \"seed\": 5}";
    static const char *const wrong[] = {
        "{\"epoch\": 3}", "{\"arch.widht\": 3}", "{\"epochs\": -1}", "{\"label_smoothing\": 1.5}", "{\"schedule\": \"stairs\"}", "[]", "{"};
    rn_data *data = make_pictures();
    rn_training *a = NULL, *b = NULL;
    must(rn_training_open(&a, data, small, NULL, 0, NULL, &err));
    must(rn_training_open(&b, data, nested, NULL, 0, NULL, &err));
    char *first = rn_training_options(a), *second = rn_training_options(b);
    json_t *one = json_loads(first, 0, NULL), *two = json_loads(second, 0, NULL);
    rn_text_free(first);
    rn_text_free(second);
    json_object_del(one, "threads");
    json_object_del(two, "threads");
    assert_true(one && json_equal(one, two));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(one, "arch"), "width")), 4);
    json_decref(one);
    json_decref(two);
    rn_training_close(&a);
    rn_training_close(&b);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        must_fail(rn_training_open(&a, data, wrong[i], NULL, 0, NULL, &err), RN_ERR_ARG);
        assert_null(a);
    }
    rn_data_close(&data);
}

/* ---- Tools ---- */

/* Numbers of the design: a layer, a projection or a bias too many or too few. */
static void test_arch_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        long long parameters;
        double gmac;
    } nets[] = {{"resnet18", 11694537, 6.93},   {"resnet34", 21802697, 14.48},  {"resnet50", 25598921, 16.21},
                {"resnet101", 44591049, 31.36}, {"resnet152", 60234697, 46.51}, {"spec18", 11694537, 6.93},
                {"net18", 11689512, 1.81},      {"net50", 25557032, 4.09}};
    for (size_t i = 0; i < sizeof nets / sizeof nets[0]; i++) {
        char options[64], *text = NULL;
        snprintf(options, sizeof options, "{\"arch\": \"%s\"}", nets[i].name);
        must(rn_tools_arch(options, &text, &err));
        json_t *table = json_loads(text, 0, NULL);
        assert_int_equal(json_integer_value(json_object_get(table, "parameters")), nets[i].parameters);
        assert_true(fabs(1e-9 * (double)json_integer_value(json_object_get(table, "macs")) - nets[i].gmac) < 0.0051);
        json_decref(table);
        rn_text_free(text);
    }
}

/* Bins that repeat each other without a warning; an input of which nothing is left without an error. */
static void test_arch_warnings(void **state)
{
    (void)state;
    char *text = NULL;
    must(rn_tools_arch("{\"input\": \"1x16x16\", \"pool\": \"4x4\"}", &text, &err));
    assert_non_null(strstr(text, "--pool 4x4"));
    rn_text_free(text);
    must(rn_tools_arch("{\"input\": \"1x64x200\"}", &text, &err));
    assert_non_null(strstr(text, "\"warnings\":[]"));
    rn_text_free(text);
    must_fail(rn_tools_arch("{\"input\": \"3x64x200\", \"in_channels\": 1}", &text, &err), RN_ERR_ARG);
    assert_null(text);
}

/* A dumped layer that is not what the network computed. */
static void test_dump(void **state)
{
    (void)state;
    rn_model *model = make_model(3);
    rn_session *s = NULL;
    heard h = {0};
    rn_array array = {0};
    char *text = NULL;
    float *x = make_sound(RATE, 13);
    must(rn_sound_write_wav(in_folder("d.wav"), x, RATE, RATE, &err));
    must(rn_session_open(&s, model, NULL, &err));
    must(rn_session_file(s, in_folder("d.wav"), NULL, hear, &h, &err));
    must(rn_tools_dump(model, in_folder("d.wav"), NULL, -1, "layer:linear", in_folder("d.npy"), &text, &err));
    must(rn_npy_read(in_folder("d.npy"), &array, &err));
    assert_int_equal(array.count, 3);
    assert_memory_equal(array.data, h.logits[0], 3 * sizeof(float));
    rn_array_free(&array);
    rn_text_free(text);
    must(rn_tools_dump(model, in_folder("d.wav"), NULL, -1, "resample", in_folder("d.npy"), &text, &err));
    must(rn_npy_read(in_folder("d.npy"), &array, &err));
    assert_int_equal(array.count, RATE);
    assert_memory_equal(array.data, x, RATE * sizeof(float));
    rn_array_free(&array);
    rn_text_free(text);
    must_fail(rn_tools_dump(model, in_folder("d.wav"), NULL, -1, "layer:no", NULL, &text, &err), RN_ERR_ARG);
    must_fail(rn_tools_dump(model, in_folder("d.wav"), NULL, -1, "logits", NULL, &text, &err), RN_ERR_ARG);
    must(rn_tools_dump_list(model, &text, &err));
    assert_non_null(strstr(text, "layer:layer4.1.conv2"));
    rn_text_free(text);
    free(x);
    rn_session_close(&s);
    rn_model_close(&model);
}

static int open_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/check_api.XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int close_folder(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_errors),
                                       cmocka_unit_test(test_create),
                                       cmocka_unit_test(test_save_and_parse),
                                       cmocka_unit_test(test_session),
                                       cmocka_unit_test(test_session_without_size),
                                       cmocka_unit_test(test_softmax),
                                       cmocka_unit_test(test_top),
                                       cmocka_unit_test(test_windows),
                                       cmocka_unit_test(test_groups), cmocka_unit_test(test_ways),
                                       cmocka_unit_test(test_resampled_stream),
                                       cmocka_unit_test(test_live),
                                       cmocka_unit_test(test_rules),
                                       cmocka_unit_test(test_stop),
                                       cmocka_unit_test(test_arrays),
                                       cmocka_unit_test(test_same_views_as_judging),
                                       cmocka_unit_test(test_training),
                                       cmocka_unit_test(test_training_options),
                                       cmocka_unit_test(test_arch_numbers),
                                       cmocka_unit_test(test_arch_warnings),
                                       cmocka_unit_test(test_dump)};
    return cmocka_run_group_tests(tests, open_folder, close_folder);
}
