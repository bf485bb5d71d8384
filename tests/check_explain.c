/* Explanations: Grad-CAM and Grad-CAM++ against pytorch-grad-cam, and both and occlusion on a network that has learnt something.
 *
 * tests/golden/cam.txt holds what pytorch-grad-cam computed in double; scripts/golden/cam_golden.py wrote it and documents the format. Maps
 * may differ by TOLERANCE of the largest value, since gradients here go through the whole network in fp32. The trained network tells which third of
 * the rows is louder, so that an explanation is right when it points there; and by the sanity check of Adebayo et al. (2018) it must not
 * look the same when the weights are random. */
#include <inttypes.h>
#include <math.h>

#include "train_fixture.h"

#include "base/threads.h"
#include "drawn_network.h"
#include "judge/explain.h"
#include "models/model.h"

#define TOLERANCE 2e-4 /* of the largest value */

typedef struct example {
    rn_arch arch;
    int h, w, label, plus_plus, map_h, map_w;
    uint64_t seed;
    char layer[64];
    rn_graph *graph;
    float *weights, *stats, *x;
} example;

static float *floats(int64_t count)
{
    float *p = calloc((size_t)count + 1, sizeof *p);
    assert_non_null(p);
    return p;
}

/* 0 at the end of the file. */
static int read_example(FILE *file, example *e)
{
    rn_error err;
    char arch[24], stem[8], method[24], shortcut;
    int width, channels, classes, embedding, pool_h, pool_w;
    memset(e, 0, sizeof *e);
    int got = fscanf(file, "%23s %d %d %d %d %c %d %d %7s %d %d", arch, &width, &channels, &classes, &embedding, &shortcut, &pool_h, &pool_w, stem, &e->h, &e->w);
    if (got == EOF)
        return 0;
    assert_int_equal(got, 11);
    assert_int_equal(fscanf(file, "%" SCNu64 " %63s %d %23s %d %d", &e->seed, e->layer, &e->label, method, &e->map_h, &e->map_w), 6);
    assert_int_equal(rn_arch_default(&e->arch, arch, &err), 0);
    e->arch.width = width;
    e->arch.in_channels = channels;
    e->arch.classes = classes;
    e->arch.embedding = embedding;
    e->arch.shortcut = shortcut == 'A' ? RN_SHORTCUT_A : RN_SHORTCUT_B;
    e->arch.pool_h = pool_h;
    e->arch.pool_w = pool_w;
    e->arch.stem = strcmp(stem, "7x7") ? RN_STEM_3X3 : RN_STEM_7X7;
    e->plus_plus = !strcmp(method, "grad-cam++");
    if (rn_arch_graph(&e->arch, &e->graph, &err))
        fail_msg("%s", err.text);
    e->weights = floats(e->graph->weights_count);
    e->stats = floats(e->graph->stats_count);
    e->x = floats((int64_t)channels * e->h * e->w);
    draw_parameters(e->seed, e->graph, e->weights, e->stats);
    draw(e->seed, EPOCH_INPUT, 0, e->x, (int64_t)channels * e->h * e->w);
    return 1;
}

static void close_example(example *e)
{
    rn_graph_close(&e->graph);
    free(e->weights);
    free(e->stats);
    free(e->x);
}

/* The map of one input; *h and *w are written. */
static float *explain(const rn_graph *g, const float *weights, const float *stats, rn_pool *pool, const float *x, int h, int w, int node, int label, int plus_plus, int *map_h,
                      int *map_w)
{
    rn_error err;
    float *value, *gradient;
    int shape[3];
    if (rn_explain_gradient(g, weights, stats, pool, x, h, w, node, label, &value, &gradient, shape, &err))
        fail_msg("%s", err.text);
    *map_h = shape[1];
    *map_w = shape[2];
    float *map = floats((int64_t)shape[1] * shape[2]);
    assert_int_equal(rn_cam(value, gradient, shape[0], shape[1], shape[2], plus_plus, map, &err), 0);
    free(value);
    free(gradient);
    return map;
}

static void compare(FILE *golden, const example *e, const char *what, const float *have, int64_t count)
{
    long wanted;
    double worst = 0, largest = 0, value;
    assert_int_equal(fscanf(golden, "%ld", &wanted), 1);
    if (wanted)
        assert_int_equal(wanted, count);
    for (long i = 0; i < wanted; i++) {
        assert_int_equal(fscanf(golden, "%lf", &value), 1);
        double d = fabs((double)have[i] - value);
        worst = d > worst || isnan(d) ? d : worst;
        largest = fabs(value) > largest ? fabs(value) : largest;
    }
    if (!(worst <= TOLERANCE * largest))
        fail_msg("%s %s, class %d, %s: %g off, the largest value is %g", e->arch.name, e->layer, e->label, what, worst, largest);
}

static void test_golden(void **state)
{
    example e;
    rn_pool *pool;
    int cases = 0;
    FILE *golden = fopen(RN_TEST_DIR "/golden/cam.txt", "r");
    (void)state;
    assert_non_null(golden);
    assert_int_equal(rn_pool_open(&pool, 2, NULL), 0);
    for (; read_example(golden, &e); cases++) {
        int h, w, node = rn_explain_layer(e.graph, e.layer);
        assert_true(node >= 0);
        assert_string_equal(rn_explain_layer_name(e.graph, node), e.layer);
        float *map = explain(e.graph, e.weights, e.stats, pool, e.x, e.h, e.w, node, e.label, e.plus_plus, &h, &w), *heat = floats((int64_t)e.h * e.w);
        assert_int_equal(h, e.map_h);
        assert_int_equal(w, e.map_w);
        compare(golden, &e, "map", map, (int64_t)h * w);
        rn_heat(map, h, w, heat, e.h, e.w);
        compare(golden, &e, "heat", heat, (int64_t)e.h * e.w);
        free(map);
        free(heat);
        close_example(&e);
    }
    assert_true(cases >= 12);
    fclose(golden);
    rn_pool_close(&pool);
}

static void test_layers(void **state)
{
    rn_arch arch;
    rn_graph *g;
    (void)state;
    assert_int_equal(rn_arch_default(&arch, "resnet18", NULL), 0);
    arch.stem = RN_STEM_7X7;
    assert_int_equal(rn_arch_graph(&arch, &g, NULL), 0);
    assert_int_equal(rn_explain_layer(g, NULL), rn_explain_layer(g, "layer4.1.conv2"));
    assert_true(rn_explain_layer(g, "conv1") >= 0);
    assert_true(rn_explain_layer(g, "maxpool") >= 0);
    assert_string_equal(rn_explain_layer_name(g, rn_explain_layer(g, "maxpool")), "maxpool");
    assert_int_equal(rn_explain_layer(g, "layer2.0.shortcut.0"), -1); /* a part of a sum */
    assert_int_equal(rn_explain_layer(g, "fc"), -1);
    assert_int_equal(rn_explain_layer(g, ""), -1);
    rn_graph_close(&g);
}

static void test_resize(void **state)
{
    const float row[] = {0, 1}, one[] = {3};
    float wide[4], square[4];
    (void)state;
    rn_map_resize(row, 1, 2, wide, 1, 4);
    assert_true(wide[0] == 0 && wide[1] == 0.25f && wide[2] == 0.75f && wide[3] == 1);
    rn_map_resize(one, 1, 1, square, 2, 2);
    assert_true(square[0] == 3 && square[3] == 3);
    rn_map_stretch(square, 4);
    assert_true(square[0] == 0 && square[3] == 0);
}

/* --- a network that has learnt ----------------------------------------------------------------------------------------------------- */

static rn_model *trained(void)
{
    rn_train_options o;
    rn_model *model;
    rn_error err;
    stopper s = {0};
    char folder[300], path[400];
    small(&o);
    o.epochs = 12;
    run_path(folder, "learnt");
    expect(train_status(&o, folder, 0, &s, NULL, &err), 0, &err);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    expect(rn_model_load(&model, path, &err), 0, &err);
    return model;
}

/* The share of a heat that lies in the rows of a class. */
static double share(const float *heat, int label)
{
    double inside = 0, all = 0;
    for (int j = 0; j < H * W; j++) {
        double v = heat[j] > 0 ? (double)heat[j] : 0;
        all += v;
        inside += j / W * CLASSES / H == label ? v : 0;
    }
    return all > 0 ? inside / all : 0;
}

static double correlation(const float *a, const float *b, int count)
{
    double sa = 0, sb = 0, aa = 0, bb = 0, ab = 0;
    for (int i = 0; i < count; i++) {
        sa += (double)a[i];
        sb += (double)b[i];
    }
    for (int i = 0; i < count; i++) {
        double x = (double)a[i] - sa / count, y = (double)b[i] - sb / count;
        aa += x * x;
        bb += y * y;
        ab += x * y;
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

static void heat_of(const rn_model *m, const float *weights, const float *stats, rn_pool *pool, int item, float *heat)
{
    int h, w;
    float *map = explain(m->graph, weights, stats, pool, tensors[item], H, W, rn_explain_layer(m->graph, "layer1.2.conv2"), labels[item], 0, &h, &w);
    rn_heat(map, h, w, heat, H, W);
    free(map);
}

/* Explanations point where the class was put, and occlusion gives the rows of other classes little. */
static void test_points_there(void **state)
{
    rn_model *m = *state;
    rn_pool *pool;
    rn_infer *engine;
    rn_error err;
    double cam = 0, occlusion = 0;
    float heat[H * W];
    const rn_occlusion o = {.patch_h = 2, .patch_w = 3, .step_h = 1, .step_w = 1, .temperature = 1};
    assert_int_equal(rn_pool_open(&pool, 2, NULL), 0);
    assert_int_equal(rn_infer_open(&engine, m->graph, m->weights, m->stats, pool, &err), 0);
    for (int i = 0; i < ITEMS; i++) {
        heat_of(m, m->weights, m->stats, pool, i, heat);
        cam += share(heat, labels[i]) / ITEMS;
        if (rn_occlude(engine, CLASSES, 1, H, W, tensors[i], labels[i], &o, NULL, NULL, heat, &err))
            fail_msg("%s", err.text);
        occlusion += share(heat, labels[i]) / ITEMS;
    }
    print_message("share of the heat in the rows of the class, a third of all: Grad-CAM %.2f, occlusion %.2f\n", cam, occlusion);
    assert_true(cam > 0.4);
    assert_true(occlusion > 0.6);
    rn_infer_close(&engine);
    rn_pool_close(&pool);
}

static void test_random_weights_change_it(void **state)
{
    rn_model *m = *state;
    rn_pool *pool;
    double alike = 0;
    float *weights = floats(m->graph->weights_count), *stats = floats(m->graph->stats_count), heat[H * W], other[H * W];
    rn_arch_init(m->graph, RN_INIT_PYTORCH, 0, 77, weights, stats);
    assert_int_equal(rn_pool_open(&pool, 2, NULL), 0);
    for (int i = 0; i < ITEMS; i++) {
        heat_of(m, m->weights, m->stats, pool, i, heat);
        heat_of(m, weights, stats, pool, i, other);
        assert_memory_not_equal(heat, other, sizeof heat);
        alike += correlation(heat, other, H * W) / ITEMS;
    }
    print_message("correlation with random weights: %.2f\n", alike);
    assert_true(fabs(alike) < 0.4);
    rn_pool_close(&pool);
    free(weights);
    free(stats);
}

static void test_same_bits(void **state)
{
    rn_model *m = *state;
    float first[H * W], heat[H * W];
    for (int threads = 1; threads <= 3; threads++) {
        rn_pool *pool;
        assert_int_equal(rn_pool_open(&pool, threads, NULL), 0);
        heat_of(m, m->weights, m->stats, pool, 1, threads == 1 ? first : heat);
        if (threads > 1)
            assert_memory_equal(heat, first, sizeof first);
        rn_pool_close(&pool);
    }
}

static int stop_at_once(void *context, int64_t done, int64_t total)
{
    (void)context;
    assert_true(done <= total);
    return 1;
}

static void test_occlusion_stops(void **state)
{
    rn_model *m = *state;
    rn_pool *pool;
    rn_infer *engine;
    rn_error err;
    float heat[H * W];
    const rn_occlusion o = {.patch_h = 20, .patch_w = 1, .step_h = 1, .step_w = 1, .temperature = 1}; /* taller than the input */
    assert_int_equal(rn_pool_open(&pool, 1, NULL), 0);
    assert_int_equal(rn_infer_open(&engine, m->graph, m->weights, m->stats, pool, &err), 0);
    assert_int_equal(rn_occlude(engine, CLASSES, 1, H, W, tensors[0], 0, &o, stop_at_once, NULL, heat, &err), RN_ERR_CANCELLED);
    assert_int_equal(rn_occlude(engine, CLASSES, 1, H, W, tensors[0], 0, &o, NULL, NULL, heat, &err), 0);
    for (int i = W; i < H * W; i++)
        assert_true(heat[i] == heat[i - W]); /* whole columns were covered */
    rn_infer_close(&engine);
    rn_pool_close(&pool);
}

static int learn(void **state)
{
    if (setup(state))
        return -1;
    *state = trained();
    return 0;
}

static int forget(void **state)
{
    rn_model_close((rn_model **)state);
    return teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_resize),
        cmocka_unit_test(test_points_there),
        cmocka_unit_test(test_random_weights_change_it),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_occlusion_stops),
    };
    return cmocka_run_group_tests(tests, learn, forget);
}
