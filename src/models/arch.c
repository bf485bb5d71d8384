/* The residual family: one table, one builder, and the initial weights.
 *
 * Every row is a stem, stages of equal blocks at widths w, 2w, 4w, 8w, a pool and one or two linear layers. A stage after the first begins
 * with stride 2, carried by the block's (last) 3x3 unless stride_at says otherwise. What the shortcut is where stride or channels change
 * is the row's choice; elsewhere it is the block's input.
 * Source: He, Zhang, Ren, Sun: Deep residual learning (2015); the stride's place as in torchvision ("v1.5"). Zagoruyko and Komodakis 2016 (wide);
 * Xie et al. 2017 (ResNeXt); He et al. 2019 (ResNet-D).
 *
 * Initial weights: element i of the parameter at place p (byte order of names) is the i-th number of the stream (seed, WEIGHTS, 0, p):
 *   uniform  (float)(bound * (2u - 1)), u = rn_random_double, bound = 1 / sqrt(fan_in); PyTorch's default for Conv2d and Linear,
 *            weights and bias: kaiming_uniform with a = sqrt(5) comes to the same bound
 *   He       (float)(sqrt(2 / fan_out) * rn_random_normal) for convolutions; linear layers stay uniform
 */
#include "models/arch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"

enum { NAMES_TOLD = 10 };

/* Where a row's network is used, which decides what stands in no column. */
typedef enum kind {
    SOUND,  /* one channel, 3x3 stem, pool 4x1, embedding 256, 9 classes */
    CIFAR,  /* three channels, width 16, shortcut A, global pool, 10 classes */
    IMAGE,  /* three channels, 7x7 stem, global pool, 1,000 classes */
    SPEAKER /* one channel of 80 bins, width 32, statistics pool, embedding 256 */
} kind;

typedef struct family_row {
    const char *name;
    kind kind;
    int blocks[4];
    rn_block block;
    int groups, group_width; /* 0: 1 and 64 */
    int plain;
    rn_stem stem; /* 3x3: the kind's */
    int shortcut_pool;
} family_row;

#define BOTTLENECK .block = RN_BLOCK_BOTTLENECK
#define DEEP_POOLED .stem = RN_STEM_DEEP, .shortcut_pool = 1     /* ResNet-D */
#define TIERED_POOLED .stem = RN_STEM_TIERED, .shortcut_pool = 1 /* timm's T */
static const family_row family[] = {
    {"resnet18", SOUND, {2, 2, 2, 2}},
    {"resnet34", SOUND, {3, 4, 6, 3}},
    {"resnet50", SOUND, {3, 4, 6, 3}, BOTTLENECK},
    {"resnet101", SOUND, {3, 4, 23, 3}, BOTTLENECK},
    {"resnet152", SOUND, {3, 8, 36, 3}, BOTTLENECK},
    /* CIFAR: 6n + 2 layers */
    {"resnet20", CIFAR, {3, 3, 3}},
    {"resnet32", CIFAR, {5, 5, 5}},
    {"resnet44", CIFAR, {7, 7, 7}},
    {"resnet56", CIFAR, {9, 9, 9}},
    {"resnet110", CIFAR, {18, 18, 18}},
    {"resnet1202", CIFAR, {200, 200, 200}},
    {"plain20", CIFAR, {3, 3, 3}, .plain = 1},
    {"plain32", CIFAR, {5, 5, 5}, .plain = 1},
    {"plain44", CIFAR, {7, 7, 7}, .plain = 1},
    {"plain56", CIFAR, {9, 9, 9}, .plain = 1},
    {"plain110", CIFAR, {18, 18, 18}, .plain = 1},
    /* as on ImageNet */
    {"imagenet18", IMAGE, {2, 2, 2, 2}},
    {"imagenet34", IMAGE, {3, 4, 6, 3}},
    {"imagenet50", IMAGE, {3, 4, 6, 3}, BOTTLENECK},
    {"imagenet101", IMAGE, {3, 4, 23, 3}, BOTTLENECK},
    {"imagenet152", IMAGE, {3, 8, 36, 3}, BOTTLENECK},
    {"plain18", IMAGE, {2, 2, 2, 2}, .plain = 1},
    {"plain34", IMAGE, {3, 4, 6, 3}, .plain = 1},
    {"resnet26", IMAGE, {2, 2, 2, 2}, BOTTLENECK},
    {"resnet26d", IMAGE, {2, 2, 2, 2}, BOTTLENECK, DEEP_POOLED},
    {"resnet26t", IMAGE, {2, 2, 2, 2}, BOTTLENECK, TIERED_POOLED},
    {"resnet50c", IMAGE, {3, 4, 6, 3}, BOTTLENECK, .stem = RN_STEM_DEEP},
    {"resnet18d", IMAGE, {2, 2, 2, 2}, DEEP_POOLED},
    {"resnet34d", IMAGE, {3, 4, 6, 3}, DEEP_POOLED},
    {"resnet50d", IMAGE, {3, 4, 6, 3}, BOTTLENECK, DEEP_POOLED},
    {"resnet101d", IMAGE, {3, 4, 23, 3}, BOTTLENECK, DEEP_POOLED},
    {"resnet152d", IMAGE, {3, 8, 36, 3}, BOTTLENECK, DEEP_POOLED},
    {"resnet10t", IMAGE, {1, 1, 1, 1}, TIERED_POOLED},
    {"resnet14t", IMAGE, {1, 1, 1, 1}, BOTTLENECK, TIERED_POOLED},
    {"resnet50t", IMAGE, {3, 4, 6, 3}, BOTTLENECK, TIERED_POOLED},
    {"resnext50_32x4d", IMAGE, {3, 4, 6, 3}, BOTTLENECK, .groups = 32, .group_width = 4},
    {"resnext101_32x8d", IMAGE, {3, 4, 23, 3}, BOTTLENECK, .groups = 32, .group_width = 8},
    {"resnext101_64x4d", IMAGE, {3, 4, 23, 3}, BOTTLENECK, .groups = 64, .group_width = 4},
    {"wide_resnet50_2", IMAGE, {3, 4, 6, 3}, BOTTLENECK, .group_width = 128},
    {"wide_resnet101_2", IMAGE, {3, 4, 23, 3}, BOTTLENECK, .group_width = 128},
};

#define AT(member) offsetof(rn_arch, member)
static const rn_arch_field fields[] = {
    {"block", RN_ARCH_CHOICE, AT(block), 0, 0, "basic|bottleneck"},
    {"blocks", RN_ARCH_BLOCKS, AT(blocks), 1, RN_ARCH_BLOCKS_MOST, NULL},
    {"preact", RN_ARCH_FLAG, AT(preact), 0, 1, NULL},
    {"width", RN_ARCH_INT, AT(width), 1, 4096, NULL},
    {"stem_width", RN_ARCH_INT, AT(stem_width), 0, 4096, NULL},
    {"groups", RN_ARCH_INT, AT(groups), 1, 4096, NULL},
    {"group_width", RN_ARCH_INT, AT(group_width), 1, 4096, NULL},
    {"se", RN_ARCH_INT, AT(se), 0, 4096, NULL},
    {"stem", RN_ARCH_CHOICE, AT(stem), 0, 0, "3x3|7x7|deep|tiered"},
    {"stem_pool", RN_ARCH_CHOICE, AT(stem_pool), 0, 0, "same|end|none"},
    {"shortcut", RN_ARCH_CHOICE, AT(shortcut), 0, 0, "A|A2|B|C|none"},
    {"shortcut_pool", RN_ARCH_FLAG, AT(shortcut_pool), 0, 1, NULL},
    {"stride_at", RN_ARCH_CHOICE, AT(stride_at), 0, 0, "3x3|1x1"},
    {"pool", RN_ARCH_POOL, AT(pooling), 1, 1024, NULL},
    {"pool_rows", RN_ARCH_INT, AT(pool_rows), 0, 4096, NULL},
    {"pool_eps", RN_ARCH_REAL, AT(pool_eps), 0, 1, NULL},
    {"embedding", RN_ARCH_INT, AT(embedding), 0, 65536, NULL},
    {"embedding2", RN_ARCH_FLAG, AT(embedding2), 0, 1, NULL},
    {"classes", RN_ARCH_INT, AT(classes), 0, 1000000, NULL},
    {"in_channels", RN_ARCH_INT, AT(in_channels), 0, 4096, NULL},
    {"bn_eps", RN_ARCH_REAL, AT(bn_eps), 1e-12, 1, NULL},
};

const rn_arch_field *rn_arch_fields(int *count)
{
    *count = (int)(sizeof fields / sizeof *fields);
    return fields;
}

int rn_arch_count(void)
{
    return (int)(sizeof family / sizeof *family);
}

const char *rn_arch_name(int index)
{
    return index >= 0 && index < rn_arch_count() ? family[index].name : NULL;
}

static const family_row *find_row(const char *name, rn_error *err)
{
    char names[200] = "";
    for (int i = 0; i < rn_arch_count(); i++) {
        if (strcmp(family[i].name, name) == 0)
            return &family[i];
        if (i < NAMES_TOLD)
            snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "", family[i].name);
    }
    rn_error_set(err, RN_ERR_ARG, "%.40s: no network has this name; there are %s and others, which `resnet arch` lists", name, names);
    return NULL;
}

int rn_arch_default(rn_arch *arch, const char *name, rn_error *err)
{
    memset(arch, 0, sizeof *arch);
    const family_row *row = find_row(name, err);
    if (!row)
        return RN_ERR_ARG;
    int sound = row->kind == SOUND || row->kind == SPEAKER;
    strcpy(arch->name, row->name);
    arch->block = row->block;
    memcpy(arch->blocks, row->blocks, sizeof arch->blocks);
    while (arch->stages < 4 && arch->blocks[arch->stages])
        arch->stages++;
    arch->width = row->kind == CIFAR ? 16 : row->kind == SPEAKER ? 32 : 64;
    arch->groups = row->groups ? row->groups : 1;
    arch->group_width = row->group_width ? row->group_width : 64;
    arch->stem = row->kind == IMAGE && !row->stem ? RN_STEM_7X7 : row->stem;
    arch->shortcut_pool = row->shortcut_pool;
    arch->shortcut = row->plain ? RN_SHORTCUT_NONE : row->kind == CIFAR ? RN_SHORTCUT_A : RN_SHORTCUT_B;
    arch->pooling = row->kind == SPEAKER ? RN_POOLING_TSTP : RN_POOLING_AVERAGE;
    arch->pool_h = row->kind == SOUND ? 4 : 1;
    arch->pool_w = 1;
    arch->pool_rows = row->kind == SPEAKER ? 10 : 0;
    arch->pool_eps = 1e-7;
    arch->embedding = sound ? 256 : 0;
    arch->classes = row->kind == CIFAR ? 10 : row->kind == IMAGE ? 1000 : row->kind == SPEAKER ? 0 : 9;
    arch->in_channels = sound ? 1 : 3;
    arch->bn_eps = 1e-5;
    return 0;
}

/* "stem_width" as its option, "--stem-width". */
static void option_name(const char *key, char out[32])
{
    snprintf(out, 32, "--%s", key);
    for (char *p = out; *p; p++)
        if (*p == '_')
            *p = '-';
}

static int check_field(const rn_arch *arch, const rn_arch_field *f, rn_error *err)
{
    const char *at = (const char *)arch + f->offset;
    char option[32];
    option_name(f->key, option);
    if (f->kind == RN_ARCH_REAL) {
        double value = *(const double *)(const void *)at;
        if (!(value >= f->low && value <= f->high))
            return rn_error_set(err, RN_ERR_ARG, "%s %g: from %g to %g are possible", option, value, f->low, f->high);
    } else if (f->kind == RN_ARCH_INT || f->kind == RN_ARCH_FLAG) {
        int value = *(const int *)(const void *)at, low = value == 0 && f->offset == AT(in_channels) ? 1 : (int)f->low;
        if (value < low || value > (int)f->high)
            return rn_error_set(err, RN_ERR_ARG, "%s %d: from %d to %d are possible", option, value, low, (int)f->high);
    } else if (f->kind == RN_ARCH_CHOICE) {
        int value = *(const int *)(const void *)at, count = 1;
        for (const char *p = f->choices; *p; p++)
            count += *p == '|';
        if (value < 0 || value >= count)
            return rn_error_set(err, RN_ERR_ARG, "%s: %s are possible", option, f->choices);
    }
    return 0;
}

static int check_blocks(const rn_arch *arch, rn_error *err)
{
    if (arch->stages < 1 || arch->stages > 4)
        return rn_error_set(err, RN_ERR_ARG, "--blocks: from 1 to 4 stages are possible");
    for (int i = 0; i < arch->stages; i++)
        if (arch->blocks[i] < 1 || arch->blocks[i] > RN_ARCH_BLOCKS_MOST)
            return rn_error_set(err, RN_ERR_ARG, "--blocks: a stage of %d blocks; from 1 to %d are possible", arch->blocks[i],
                                RN_ARCH_BLOCKS_MOST);
    return 0;
}

/* What no builder makes yet. */
static int check_built(const rn_arch *arch, rn_error *err)
{
    const struct {
        int wanted;
        const char *option;
    } missing[] = {{arch->preact, "--preact"},
                   {arch->se, "--se"},
                   {arch->pooling == RN_POOLING_TSTP, "--pool tstp"},
                   {arch->embedding2, "--embedding2"},
                   {arch->classes == 0, "--classes 0"}};
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++)
        if (missing[i].wanted)
            return rn_error_set(err, RN_ERR_ARG, "%s: this build does not make such networks", missing[i].option);
    return 0;
}

static int check_arch(const rn_arch *arch, rn_error *err)
{
    int status = 0;
    for (size_t i = 0; i < sizeof fields / sizeof *fields && !status; i++)
        status = check_field(arch, &fields[i], err);
    if (!status)
        status = check_blocks(arch, err);
    if (status)
        return status;
    if (arch->pool_h < 1 || arch->pool_h > 1024 || arch->pool_w < 1 || arch->pool_w > 1024)
        return rn_error_set(err, RN_ERR_ARG, "--pool %dx%d: from 1x1 to 1024x1024 are possible", arch->pool_h, arch->pool_w);
    if (arch->block == RN_BLOCK_BASIC && (arch->groups > 1 || arch->group_width != 64))
        return rn_error_set(err, RN_ERR_ARG, "%s: basic blocks have none; add --block bottleneck", arch->groups > 1 ? "--groups" : "--group-width");
    return check_built(arch, err);
}

/* What the builder's functions hand to each other. */
typedef struct builder {
    rn_graph *g;
    const rn_arch *arch;
} builder;

/* One convolution with its BN: "<block>.conv<k>" and "<block>.bn<k>"; returns the BN. */
static int conv_bn(const builder *b, const char *block, int k, int x, int channels, int kernel, int stride, int groups)
{
    char name[64];
    snprintf(name, sizeof name, "%s.conv%d", block, k);
    x = rn_graph_grouped(b->g, name, x, channels, kernel, stride, kernel / 2, groups);
    snprintf(name, sizeof name, "%s.bn%d", block, k);
    return rn_graph_bn(b->g, name, x, b->arch->bn_eps);
}

static int shortcut(const builder *b, const char *block, int x, int channels, int stride)
{
    char name[64];
    int changes = x >= 0 && (stride > 1 || b->g->nodes[x].channels != channels);
    if (!changes && b->arch->shortcut != RN_SHORTCUT_C)
        return x;
    if (b->arch->shortcut == RN_SHORTCUT_A || b->arch->shortcut == RN_SHORTCUT_A2) {
        int more = x < 0 ? 0 : channels - b->g->nodes[x].channels;
        snprintf(name, sizeof name, "%s.shortcut", block);
        return rn_graph_padshort(b->g, name, x, channels, b->arch->shortcut == RN_SHORTCUT_A2 ? more / 2 : 0, stride);
    }
    if (b->arch->shortcut_pool && stride > 1) {
        snprintf(name, sizeof name, "%s.shortcut.pool", block);
        x = rn_graph_meanpool(b->g, name, x);
        stride = 1;
    }
    snprintf(name, sizeof name, "%s.shortcut.0", block);
    x = rn_graph_conv(b->g, name, x, channels, 1, stride, 0);
    snprintf(name, sizeof name, "%s.shortcut.1", block);
    return rn_graph_bn(b->g, name, x, b->arch->bn_eps);
}

/* Channels of a bottleneck's 3x3. */
static int inner_width(const rn_arch *arch, int width)
{
    int64_t inner = (int64_t)width * arch->group_width / 64 * arch->groups;
    return inner > INT32_MAX ? -1 : (int)inner; /* refused by rn_graph_finish */
}

static int residual_block(const builder *b, int stage, int index, int x)
{
    char block[32];
    const rn_arch *arch = b->arch;
    int stride = stage > 1 && index == 0 ? 2 : 1, width = arch->width << (stage - 1), channels, y;
    snprintf(block, sizeof block, "layer%d.%d", stage, index);
    if (arch->block == RN_BLOCK_BOTTLENECK) {
        int inner = inner_width(arch, width), first = arch->stride_at == RN_STRIDE_AT_1X1 ? stride : 1;
        channels = width * 4;
        y = rn_graph_relu(b->g, conv_bn(b, block, 1, x, inner, 1, first, 1));
        y = rn_graph_relu(b->g, conv_bn(b, block, 2, y, inner, 3, stride / first, arch->groups));
        y = conv_bn(b, block, 3, y, channels, 1, 1, 1);
    } else {
        channels = width;
        y = rn_graph_relu(b->g, conv_bn(b, block, 1, x, width, 3, stride, 1));
        y = conv_bn(b, block, 2, y, channels, 3, 1, 1);
    }
    if (arch->shortcut != RN_SHORTCUT_NONE)
        y = rn_graph_add(b->g, block, y, shortcut(b, block, x, channels, stride));
    return rn_graph_relu(b->g, y);
}

/* The convolutions of a stem; the last one's BN is "bn1" in all of them. */
static const struct stem_layer {
    const char *name, *bn;
    int numerator, denominator; /* of the stem's width */
    int kernel, stride;
} stems[][3] = {
    [RN_STEM_3X3] = {{"conv1", "bn1", 1, 1, 3, 1}},
    [RN_STEM_7X7] = {{"conv1", "bn1", 1, 1, 7, 2}},
    [RN_STEM_DEEP] = {{"conv1.0", "conv1.1", 1, 2, 3, 2}, {"conv1.3", "conv1.4", 1, 2, 3, 1}, {"conv1.6", "bn1", 1, 1, 3, 1}},
    [RN_STEM_TIERED] = {{"conv1.0", "conv1.1", 3, 8, 3, 2}, {"conv1.3", "conv1.4", 1, 2, 3, 1}, {"conv1.6", "bn1", 1, 1, 3, 1}},
};

static int stem(const builder *b)
{
    const rn_arch *arch = b->arch;
    int x = 0, width = arch->stem_width ? arch->stem_width : arch->width, end = arch->stem_pool == RN_STEM_POOL_END;
    for (int i = 0; i < 3 && stems[arch->stem][i].name; i++) {
        const struct stem_layer *l = &stems[arch->stem][i];
        x = rn_graph_conv(b->g, l->name, x, width * l->numerator / l->denominator, l->kernel, l->stride, l->kernel / 2);
        x = rn_graph_relu(b->g, rn_graph_bn(b->g, l->bn, x, arch->bn_eps));
    }
    if (arch->stem != RN_STEM_3X3 && arch->stem_pool != RN_STEM_POOL_NONE)
        x = rn_graph_maxpool(b->g, "maxpool", x, 3, 2, !end, 1);
    return x;
}

int rn_arch_graph(const rn_arch *arch, rn_graph **graph, rn_error *err)
{
    builder b = {NULL, arch};
    int status, embedding = -1;

    *graph = NULL;
    if ((status = check_arch(arch, err)) || (status = rn_graph_open(&b.g, arch->in_channels, err)))
        return status;
    int x = stem(&b);
    for (int stage = 1; stage <= arch->stages; stage++)
        for (int i = 0; i < arch->blocks[stage - 1]; i++)
            x = residual_block(&b, stage, i, x);
    x = rn_graph_avgpool(b.g, "pool", x, arch->pool_h, arch->pool_w);
    x = rn_graph_linear(b.g, "fc", x, arch->pool_h, arch->pool_w, arch->embedding ? arch->embedding : arch->classes);
    if (arch->embedding) {
        embedding = x;
        x = rn_graph_linear(b.g, "linear", x, 1, 1, arch->classes);
    }
    if ((status = rn_graph_finish(b.g, embedding, x, err)))
        goto fail;
    *graph = b.g;
    return 0;
fail:
    rn_graph_close(&b.g);
    return status;
}

static void fill(float *out, int64_t count, float value)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = value;
}

static void draw_uniform(rn_random *r, double fan_in, float *out, int64_t count)
{
    double bound = 1 / sqrt(fan_in);
    for (int64_t i = 0; i < count; i++)
        out[i] = (float)(bound * (2 * rn_random_double(r) - 1));
}

static void draw_normal(rn_random *r, double fan_out, float *out, int64_t count)
{
    double deviation = sqrt(2 / fan_out);
    for (int64_t i = 0; i < count; i++)
        out[i] = (float)(deviation * rn_random_normal(r));
}

void rn_arch_init(const rn_graph *graph, rn_init init, int zero_last, uint64_t seed, float *weights, float *stats)
{
    for (int i = 0; i < graph->params_count; i++) {
        const rn_param *p = &graph->params[i];
        rn_random r;
        rn_random_start(&r, seed, RN_PURPOSE_WEIGHTS, 0, (uint64_t)i);
        switch (p->kind) {
        case RN_PARAM_CONV:
            if (init == RN_INIT_HE)
                draw_normal(&r, (double)p->shape[0] * p->shape[2] * p->shape[3], weights + p->offset, p->count);
            else
                draw_uniform(&r, (double)p->shape[1] * p->shape[2] * p->shape[3], weights + p->offset, p->count);
            break;
        case RN_PARAM_LINEAR:
        case RN_PARAM_BIAS:
            draw_uniform(&r, graph->params[graph->nodes[p->node].weight].shape[1], weights + p->offset, p->count);
            break;
        case RN_PARAM_BN_WEIGHT:
            fill(weights + p->offset, p->count, 1);
            break;
        case RN_PARAM_BN_BIAS:
            fill(weights + p->offset, p->count, 0);
            break;
        case RN_PARAM_BN_MEAN:
            fill(stats + p->offset, p->count, 0);
            break;
        case RN_PARAM_BN_VAR:
            fill(stats + p->offset, p->count, 1);
            break;
        }
    }
    for (int i = 0; zero_last && i < graph->nodes_count; i++)
        if (graph->nodes[i].op == RN_OP_ADD && graph->nodes[graph->nodes[i].a].op == RN_OP_BN) {
            const rn_param *p = &graph->params[graph->nodes[graph->nodes[i].a].weight];
            fill(weights + p->offset, p->count, 0);
        }
}
