/* Checks the family's table and the graph's builders: the published numbers, shapes and names, wrong graphs, initial weights. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/model.h"

static rn_arch arch_of(const char *name)
{
    rn_arch arch;
    rn_error err;
    assert_int_equal(rn_arch_default(&arch, name, &err), 0);
    return arch;
}

static rn_graph *graph_of(const rn_arch *arch)
{
    rn_graph *g = NULL;
    rn_error err = {0, ""};
    if (rn_arch_graph(arch, &g, &err))
        fail_msg("%s", err.text);
    return g;
}

static double giga_macs(const rn_graph *g, int h, int w)
{
    int (*sizes)[2] = malloc((size_t)g->nodes_count * sizeof *sizes);
    assert_int_equal(rn_graph_sizes(g, h, w, sizes, NULL), 0);
    int64_t macs = 0;
    for (int i = 0; i < g->nodes_count; i++)
        macs += rn_graph_macs(g, (const int(*)[2])sizes, i);
    free(sizes);
    return (double)macs / 1e9;
}

static int count_op(const rn_graph *g, rn_op op)
{
    int n = 0;
    for (int i = 0; i < g->nodes_count; i++)
        n += g->nodes[i].op == op;
    return n;
}

/* A block, a stride or a shortcut in the wrong place: parameters and multiply-adds of the published networks. */
static void published_sizes(void **state)
{
    (void)state;
    static const struct { const char *name; int64_t own, imagenet; double macs; int entries;
    } rows[] = {{"resnet18", 11694537, 11689512, 6.93, 122},
                {"resnet34", 21802697, 21797672, 14.48, 218},
                {"resnet50", 25598921, 25557032, 16.21, 320},
                {"resnet101", 44591049, 44549160, 31.36, 626},
                {"resnet152", 60234697, 60192808, 46.51, 932}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rn_arch arch = arch_of(rows[i].name);
        assert_true(arch.width == 64 && arch.in_channels == 1 && arch.classes == 9 && arch.embedding == 256 && arch.shortcut == RN_SHORTCUT_B);
        rn_graph *g = graph_of(&arch);
        assert_int_equal(g->weights_count, rows[i].own);
        assert_true(fabs(giga_macs(g, 64, 200) - rows[i].macs) < 0.005);
        assert_string_equal(g->nodes[g->embedding].name, "fc");
        assert_string_equal(g->nodes[g->logits].name, "linear");
        rn_graph_close(&g);
        arch.stem = RN_STEM_7X7;
        arch.in_channels = 3;
        arch.pool_h = arch.pool_w = 1;
        arch.embedding = 0;
        arch.classes = 1000;
        g = graph_of(&arch);
        assert_int_equal(g->weights_count, rows[i].imagenet);
        assert_int_equal(g->params_count + count_op(g, RN_OP_BN), rows[i].entries); /* with num_batches_tracked */
        assert_string_equal(g->nodes[g->embedding].name, "pool"); /* the features before the classifier */
        assert_int_equal(rn_graph_embedding(g), g->nodes[g->nodes[g->embedding].a].channels);
        assert_string_equal(g->nodes[g->logits].name, "fc");
        rn_graph_close(&g);
        arch.pool_h = 4;
        g = graph_of(&arch);
        assert_int_equal(rn_graph_embedding(g), 0); /* of several bins */
        rn_graph_close(&g);
    }
    rn_arch arch = arch_of("resnet18");
    arch.stem = RN_STEM_7X7;
    arch.in_channels = 3;
    arch.pool_h = arch.pool_w = 1;
    rn_graph *g = graph_of(&arch);
    assert_true(fabs(giga_macs(g, 224, 224) - 1.814) < 0.001);
    rn_graph_close(&g);
    static const struct { const char *name; int64_t count; } cifar[] = {
        {"resnet20", 269722}, {"resnet32", 464154}, {"resnet44", 658586}, {"resnet56", 853018}, {"resnet110", 1727962}};
    for (size_t i = 0; i < sizeof cifar / sizeof *cifar; i++) {
        arch = arch_of(cifar[i].name);
        g = graph_of(&arch);
        assert_int_equal(g->weights_count, cifar[i].count);
        assert_int_equal(count_op(g, RN_OP_PADSHORT), 2);
        rn_graph_close(&g);
    }
    static const struct {
        const char *name;
        int64_t count; /* of torchvision, timm, WeSpeaker, and of the wide networks' authors */
    } others[] = {{"resnext50_32x4d", 25028904}, {"resnext101_32x8d", 88791336}, {"resnext101_64x4d", 83455272}, {"wide_resnet50_2", 68883240},
                  {"wide_resnet101_2", 126886696}, {"resnet26", 15995176}, {"resnet26d", 16014408}, {"resnet18d", 11708744}, {"resnet34d", 21816904},
                  {"resnet50c", 25576264}, {"resnet50d", 25576264}, {"resnet101d", 44568392}, {"resnet10t", 5435488}, {"resnet14t", 10081632}, {"seresnet18", 11779624}, {"seresnet34", 21960416},
                  {"seresnet50", 28088024}, {"seresnet101", 49326872}, {"seresnet152", 66821848}, {"resnetv2_50", 25549352}, {"wrn-28-10", 36479194}, {"wrn-16-8", 10961370},
                  {"wespeaker18", 4105440}, {"wespeaker34", 6634336}, {"wespeaker50", 11131360}, {"wespeaker101", 15892448}, {"wespeaker152", 19814880},
                  {"wespeaker221", 23792224}, {"wespeaker293", 28626016}, {"resnet1202", 19421274}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        arch = arch_of(others[i].name);
        g = graph_of(&arch);
        assert_int_equal(g->weights_count, others[i].count);
        rn_graph_close(&g);
    }
    for (int i = 0; i < rn_arch_count(); i++) { /* no row that its own checks refuse */
        arch = arch_of(rn_arch_name(i));
        g = graph_of(&arch);
        rn_graph_close(&g);
    }
    assert_null(rn_arch_name(rn_arch_count()));
    assert_null(rn_arch_name(-1));
}

static const rn_node *node_of(const rn_graph *g, const char *name)
{
    for (int i = 0; i < g->nodes_count; i++)
        if (strcmp(g->nodes[i].name, name) == 0)
            return &g->nodes[i];
    fail_msg("no node is called %s", name);
    return NULL;
}

/* Strides, paddings, shortcuts and names of blocks. */
static void blocks_as_designed(void **state)
{
    (void)state;
    rn_arch arch = arch_of("resnet50");
    rn_graph *g = graph_of(&arch);
    static const struct { const char *name; int channels, kernel, stride, pad; } convs[] = {
        {"conv1", 64, 3, 1, 1}, {"layer1.0.conv1", 64, 1, 1, 0}, {"layer1.0.conv2", 64, 3, 1, 1}, {"layer1.0.conv3", 256, 1, 1, 0},
        {"layer1.0.shortcut.0", 256, 1, 1, 0}, {"layer2.0.conv1", 128, 1, 1, 0}, {"layer2.0.conv2", 128, 3, 2, 1},
        {"layer2.0.conv3", 512, 1, 1, 0}, {"layer2.0.shortcut.0", 512, 1, 2, 0}, {"layer4.2.conv2", 512, 3, 1, 1}};
    for (size_t i = 0; i < sizeof convs / sizeof *convs; i++) {
        const rn_node *n = node_of(g, convs[i].name);
        assert_true(n->op == RN_OP_CONV && n->channels == convs[i].channels && n->kernel_h == convs[i].kernel &&
                    n->kernel_w == convs[i].kernel);
        assert_true(n->stride == convs[i].stride && n->pad == convs[i].pad);
        assert_true(strncmp(g->params[n->weight].name, n->name, strlen(n->name)) == 0);
    }
    const rn_node *add = node_of(g, "layer2.0");
    assert_string_equal(g->nodes[add->a].name, "layer2.0.bn3");
    assert_string_equal(g->nodes[add->b].name, "layer2.0.shortcut.1");
    assert_true(g->nodes[add->a].eps == 1e-5);
    assert_string_equal(g->nodes[node_of(g, "layer2.1")->b].name, "layer2.0.relu"); /* identity: the block's input */
    assert_string_equal(g->nodes[node_of(g, "layer2.0.relu2")->a].name, "layer2.0.bn2");
    assert_string_equal(g->nodes[node_of(g, "relu")->a].name, "bn1");
    int fc = rn_graph_param(g, "fc.weight");
    assert_true(fc >= 0 && g->params[fc].shape[0] == 256 && g->params[fc].shape[1] == 512 * 4 * 4);
    assert_int_equal(rn_graph_param(g, "layer1.1.shortcut.0.weight"), -1);
    assert_int_equal(rn_graph_param(g, "fc"), -1);
    rn_graph_close(&g);

    arch = arch_of("resnet18");
    arch.shortcut = RN_SHORTCUT_A;
    g = graph_of(&arch);
    const rn_node *pad = node_of(g, "layer2.0.shortcut");
    assert_true(pad->op == RN_OP_PADSHORT && pad->stride == 2 && pad->channels == 128 && g->nodes[pad->a].channels == 64);
    assert_int_equal(count_op(g, RN_OP_PADSHORT), 3);
    assert_int_equal(rn_graph_param(g, "layer2.0.shortcut.0.weight"), -1);
    rn_graph_close(&g);
    arch = arch_of("resnet50");
    arch.shortcut = RN_SHORTCUT_A;
    g = graph_of(&arch);
    assert_int_equal(node_of(g, "layer1.0.shortcut")->stride, 1);
    rn_graph_close(&g);
}

/* Offsets that overlap, leave holes, or are not in byte order of the names. */
static void parameters_are_laid_out(void **state)
{
    (void)state;
    rn_arch arch = arch_of("resnet101");
    rn_graph *g = graph_of(&arch);
    int64_t weights = 0, stats = 0;
    for (int i = 0; i < g->params_count; i++) {
        const rn_param *p = &g->params[i];
        const rn_node *n = &g->nodes[p->node];
        if (i)
            assert_true(strcmp(g->params[i - 1].name, p->name) < 0);
        assert_true(n->weight == i || n->bias == i || n->mean == i || n->var == i);
        assert_int_equal(rn_graph_param(g, p->name), i);
        int64_t *total = p->kind == RN_PARAM_BN_MEAN || p->kind == RN_PARAM_BN_VAR ? &stats : &weights;
        assert_int_equal(p->offset, *total);
        int64_t count = 1;
        for (int d = 0; d < p->dims; d++)
            count *= p->shape[d];
        assert_int_equal(p->count, count);
        *total += count;
    }
    assert_int_equal(weights, g->weights_count);
    assert_int_equal(stats, g->stats_count);
    for (int i = 0; i < g->nodes_count; i++)
        assert_true(g->nodes[i].a < i && g->nodes[i].b < i);
    rn_graph_close(&g);
    assert_null(g);
    rn_graph_close(&g);
}

/* Sizes that PyTorch's formulas would not give, at odd inputs and at the smallest. */
static void sizes_of_odd_inputs(void **state)
{
    (void)state;
    static const struct { int in[2], stem[2], pool[2], last[2];
    } cases[] = {{{64, 200}, {32, 100}, {16, 50}, {2, 7}},
                 {{65, 201}, {33, 101}, {17, 51}, {3, 7}},
                 {{1, 1}, {1, 1}, {1, 1}, {1, 1}},
                 {{2, 3}, {1, 2}, {1, 1}, {1, 1}},
                 {{7, 333}, {4, 167}, {2, 84}, {1, 11}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int k = 0; k < 2; k++) {
            rn_arch arch = arch_of("resnet18");
            arch.stem = RN_STEM_7X7;
            arch.shortcut = k ? RN_SHORTCUT_A : RN_SHORTCUT_B;
            rn_graph *g = graph_of(&arch);
            int (*sizes)[2] = malloc((size_t)g->nodes_count * sizeof *sizes);
            assert_int_equal(rn_graph_sizes(g, cases[i].in[0], cases[i].in[1], sizes, NULL), 0);
            assert_memory_equal(sizes[node_of(g, "conv1") - g->nodes], cases[i].stem, sizeof cases[i].stem);
            assert_memory_equal(sizes[node_of(g, "maxpool") - g->nodes], cases[i].pool, sizeof cases[i].pool);
            assert_memory_equal(sizes[node_of(g, "layer4.1") - g->nodes], cases[i].last, sizeof cases[i].last);
            assert_int_equal(sizes[g->logits][0], 1);
            rn_error err;
            assert_int_equal(rn_graph_sizes(g, 0, 5, sizes, &err), RN_ERR_SHAPE);
            assert_non_null(strstr(err.text, "input: nothing is left of an input of 0x5"));
            free(sizes);
            rn_graph_close(&g);
        }
}

/* A wrong graph that is accepted and would crash the planner. */
static void wrong_graphs(void **state)
{
    (void)state;
    rn_error err;
    rn_graph *g;
    assert_int_equal(rn_graph_open(&g, 0, &err), RN_ERR_ARG);
    for (int kind = 0; kind < 12; kind++) {
        int sizes[8][2], x;
        assert_int_equal(rn_graph_open(&g, 2, &err), 0);
        const char *want = "c";
        switch (kind) {
        case 0: x = rn_graph_conv(g, "c", 0, 0, 3, 1, 1); break;
        case 1: x = rn_graph_conv(g, "c", 0, 4, 3, 0, 1); break;
        case 2: x = rn_graph_conv(g, "c", 0, 1 << 30, 1 << 20, 1, 1); break;
        case 3: x = rn_graph_maxpool(g, "c", 0, 3, 1, 2, 2); break;
        case 4: x = rn_graph_bn(g, "c", 0, 0); break;
        case 5: x = rn_graph_add(g, "c", rn_graph_conv(g, "d", 0, 4, 3, 1, 1), 0); break;
        case 6: x = rn_graph_padshort(g, "c", 0, 1, 0, 2); break;
        case 7: x = rn_graph_linear(g, "c", 0, 1 << 20, 1 << 20, 4); break;
        case 8: x = rn_graph_avgpool(g, "c", 0, 0, 1); break;
        case 9: x = rn_graph_maxpool(g, "c", rn_graph_maxpool(g, "c", 0, 3, 1, 1, 1), 3, 1, 1, 1); break;
        case 10: /* kernel larger than the input: found when there is a size */
            x = rn_graph_conv(g, "c", 0, 4, 5, 1, 0);
            assert_int_equal(rn_graph_finish(g, -1, x, &err), 0);
            assert_int_equal(rn_graph_sizes(g, 4, 9, sizes, &err), RN_ERR_SHAPE);
            assert_non_null(strstr(err.text, "c: nothing is left"));
            rn_graph_close(&g);
            continue;
        default:
            x = rn_graph_add(g, "c", rn_graph_conv(g, "d", 0, 2, 3, 2, 1), 0);
            assert_int_equal(rn_graph_finish(g, -1, x, &err), 0);
            assert_int_equal(rn_graph_sizes(g, 4, 4, sizes, &err), RN_ERR_SHAPE);
            assert_non_null(strstr(err.text, "c: the block gives 2x2, its shortcut 4x4"));
            rn_graph_close(&g);
            continue;
        }
        assert_int_equal(rn_graph_finish(g, -1, x, &err), RN_ERR_ARG);
        assert_int_equal(strncmp(err.text, want, 1), 0);
        rn_graph_close(&g);
    }
    assert_int_equal(rn_graph_open(&g, 1, &err), 0);
    assert_int_equal(rn_graph_relu(g, -1), -1);
    assert_int_equal(rn_graph_conv(g, "c", 5, 1, 1, 1, 0), -1);
    assert_int_equal(rn_graph_add(g, "c", 0, -1), -1);
    assert_int_equal(rn_graph_finish(g, -1, -1, &err), RN_ERR_MEMORY);
    rn_graph_close(&g);
}

/* Rows before the pool that are counted otherwise than the graph does; a deviation of one column; a layer that was made for other rows. */
static void statistics_pool(void **state)
{
    (void)state;
    rn_error err;
    for (int stem = RN_STEM_3X3; stem <= RN_STEM_TIERED; stem++)
        for (int pool = RN_STEM_POOL_SAME; pool <= RN_STEM_POOL_NONE; pool++)
            for (int height = 8; height < 100; height += 7) {
                rn_arch arch = arch_of("wespeaker18");
                arch.stem = (rn_stem)stem, arch.stem_pool = (rn_stem_pool)pool, arch.width = 8;
                arch.pool_rows = rn_arch_rows(&arch, height);
                rn_graph *g = graph_of(&arch);
                int (*sizes)[2] = malloc((size_t)g->nodes_count * sizeof *sizes);
                assert_int_equal(rn_graph_sizes(g, height, 200, sizes, &err), 0);
                free(sizes);
                rn_graph_close(&g);
            }
    rn_arch arch = arch_of("wespeaker18");
    rn_graph *g = graph_of(&arch);
    int (*sizes)[2] = malloc((size_t)g->nodes_count * sizeof *sizes);
    assert_int_equal(g->logits, -1);
    assert_int_equal(rn_graph_sizes(g, 80, 9, sizes, &err), 0);
    assert_int_equal(rn_graph_sizes(g, 80, 8, sizes, &err), RN_ERR_SHAPE);
    assert_non_null(strstr(err.text, "at least 9 columns"));
    assert_int_equal(rn_graph_sizes(g, 64, 100, sizes, &err), RN_ERR_SHAPE);
    assert_non_null(strstr(err.text, "wants 10 rows from pool, an input of 64 rows leaves 8"));
    free(sizes);
    rn_graph_close(&g);
}

/* Members that do not go together and are accepted. */
static void members_together(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        static const char *const want[] = {"--groups", "--group-width", "--se",       "--pool-rows", "--embedding2",
                                           "--blocks", "--blocks",      "--groups 0", "1001 blocks", "inner channels"};
        rn_arch arch = arch_of("resnet20");
        rn_graph *g;
        rn_error err;
        switch (i) {
        case 0: arch.groups = 4; break;
        case 1: arch.group_width = 4; break;
        case 2: arch.se = 4, arch.shortcut = RN_SHORTCUT_NONE; break;
        case 3: arch.pooling = RN_POOLING_TSTP; break;
        case 4: arch.embedding2 = 1; break;
        case 5: arch.stages = 5; break;
        case 6: arch.blocks[1] = 0; break;
        case 7: arch.groups = 0; break;
        case 8: arch.blocks[0] = 995; break;
        default: arch.block = RN_BLOCK_BOTTLENECK, arch.groups = arch.group_width = 4096; break;
        }
        assert_int_equal(rn_arch_graph(&arch, &g, &err), RN_ERR_ARG);
        assert_non_null(strstr(err.text, want[i]));
        assert_null(g);
    }
}

/* Options out of range that are not named. */
static void options_out_of_range(void **state)
{
    (void)state;
    rn_arch arch;
    rn_graph *g;
    rn_error err;
    assert_int_equal(rn_arch_default(&arch, "resnet19", &err), RN_ERR_ARG);
    assert_non_null(strstr(err.text, "resnet19"));
    assert_non_null(strstr(err.text, "resnet152"));
    for (int i = 0; i < 9; i++) {
        static const char *const want[] = {"--width 0",  "--width 99999", "--in-channels -1", "--classes 0", "--embedding -2",
                                           "--shortcut", "--pool 0x1",    "--pool 1x5000",    "--stem"};
        arch = arch_of("resnet18");
        switch (i) {
        case 0: arch.width = 0; break;
        case 1: arch.width = 99999; break;
        case 2: arch.in_channels = -1; break;
        case 3: arch.classes = arch.embedding = 0; break;
        case 4: arch.embedding = -2; break;
        case 5: arch.shortcut = (rn_shortcut)9; break;
        case 6: arch.pool_h = 0; break;
        case 7: arch.pool_h = 1, arch.pool_w = 5000; break;
        default: arch.stem = (rn_stem)7; break;
        }
        assert_int_equal(rn_arch_graph(&arch, &g, &err), RN_ERR_ARG);
        assert_non_null(strstr(err.text, want[i]));
        assert_null(g);
    }
    arch = arch_of("resnet152"); /* every number allowed, their product not */
    arch.width = 4096;
    assert_int_equal(rn_arch_graph(&arch, &g, &err), RN_ERR_ARG);
    assert_non_null(strstr(err.text, "narrower"));
}

static uint64_t hash_of(const float *x, int64_t n)
{
    uint64_t hash = 14695981039346656037ull;
    for (size_t i = 0; i < (size_t)n * sizeof *x; i++)
        hash = (hash ^ ((const unsigned char *)x)[i]) * 1099511628211ull;
    return hash;
}

static void moments(const float *x, int64_t n, double *mean, double *deviation, double *largest)
{
    double s = 0, q = 0;
    *largest = 0;
    for (int64_t i = 0; i < n; i++) {
        s += x[i];
        q += (double)x[i] * x[i];
        *largest = fmax(*largest, fabs((double)x[i]));
    }
    *mean = s / (double)n;
    *deviation = sqrt(q / (double)n - *mean * *mean);
}

/* Another distribution than PyTorch's or He's; a seed that does not matter; bits that depend on compiler or machine. */
static void initial_weights(void **state)
{
    (void)state;
    rn_arch arch = arch_of("resnet18");
    arch.width = 16;
    rn_graph *g = graph_of(&arch);
    float *w = malloc((size_t)g->weights_count * 4), *v = malloc((size_t)g->weights_count * 4), *s = malloc((size_t)g->stats_count * 4);
    double mean, deviation, largest;
    rn_arch_init(g, RN_INIT_PYTORCH, 0, 1, w, s);
    assert_int_equal(hash_of(w, g->weights_count), 0x5204668121064235ull);
    rn_arch_init(g, RN_INIT_PYTORCH, 0, 2, v, s);
    assert_int_not_equal(memcmp(w, v, (size_t)g->weights_count * 4), 0);
    rn_arch_init(g, RN_INIT_PYTORCH, 1, 1, v, s);
    const rn_param *p = &g->params[rn_graph_param(g, "layer4.1.conv2.weight")];
    moments(w + p->offset, p->count, &mean, &deviation, &largest);
    double bound = 1 / sqrt(128 * 9);
    assert_true(largest <= (float)bound && largest > 0.9999 * bound && fabs(mean) < 0.01 * bound &&
                fabs(deviation / bound - sqrt(1.0 / 3)) < 0.005);
    p = &g->params[rn_graph_param(g, "fc.bias")];
    moments(w + p->offset, p->count, &mean, &deviation, &largest);
    bound = 1 / sqrt(128 * 4);
    assert_true(largest <= (float)bound && largest > 0.97 * bound);
    for (int i = 0; i < g->params_count; i++) {
        p = &g->params[i];
        const rn_node *n = &g->nodes[p->node];
        size_t length = strlen(n->name);
        int last = p->kind == RN_PARAM_BN_WEIGHT && strcmp(n->name + length - 3, "bn2") == 0;
        for (int64_t k = 0; k < p->count; k++)
            switch (p->kind) {
            case RN_PARAM_BN_WEIGHT: assert_true(w[p->offset + k] == 1 && v[p->offset + k] == !last); break;
            case RN_PARAM_BN_BIAS: assert_true(w[p->offset + k] == 0 && v[p->offset + k] == 0); break;
            case RN_PARAM_BN_MEAN: assert_true(s[p->offset + k] == 0); break;
            case RN_PARAM_BN_VAR: assert_true(s[p->offset + k] == 1); break;
            default: assert_true(w[p->offset + k] == v[p->offset + k]); break;
            }
    }
    rn_arch_init(g, RN_INIT_HE, 0, 1, v, s);
    p = &g->params[rn_graph_param(g, "layer4.0.conv1.weight")]; /* 128 x 64 x 3 x 3: fan-out 1152, fan-in 576 */
    moments(v + p->offset, p->count, &mean, &deviation, &largest);
    assert_true(fabs(deviation - sqrt(2.0 / 1152)) < 0.0005 && largest > 3.5 * sqrt(2.0 / 1152));
    p = &g->params[rn_graph_param(g, "fc.weight")];
    assert_memory_equal(w + p->offset, v + p->offset, (size_t)p->count * 4);
    free(w);
    free(v);
    free(s);
    rn_graph_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_sizes), cmocka_unit_test(blocks_as_designed), cmocka_unit_test(parameters_are_laid_out),
        cmocka_unit_test(sizes_of_odd_inputs), cmocka_unit_test(wrong_graphs), cmocka_unit_test(statistics_pool), cmocka_unit_test(members_together), cmocka_unit_test(options_out_of_range),
        cmocka_unit_test(initial_weights)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
