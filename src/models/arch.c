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
    int shortcut_pool, preact, se;
    int width, stem_width; /* 0: the kind's; as wide as the first stage */
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
    /* CIFAR with pre-activation: 6n + 2 layers, 9n + 2 with bottlenecks; wide ones, 6n + 4 layers */
    {"resnetv2_110", CIFAR, {18, 18, 18}, .preact = 1},
    {"resnetv2_164", CIFAR, {18, 18, 18}, BOTTLENECK, .preact = 1},
    {"resnetv2_1001", CIFAR, {111, 111, 111}, BOTTLENECK, .preact = 1},
    {"wrn-16-4", CIFAR, {2, 2, 2}, .preact = 1, .width = 64, .stem_width = 16},
    {"wrn-16-8", CIFAR, {2, 2, 2}, .preact = 1, .width = 128, .stem_width = 16},
    {"wrn-28-10", CIFAR, {4, 4, 4}, .preact = 1, .width = 160, .stem_width = 16},
    {"wrn-40-2", CIFAR, {6, 6, 6}, .preact = 1, .width = 32, .stem_width = 16},
    {"wrn-40-4", CIFAR, {6, 6, 6}, .preact = 1, .width = 64, .stem_width = 16},
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
    {"seresnet18", IMAGE, {2, 2, 2, 2}, .se = 16},
    {"seresnet34", IMAGE, {3, 4, 6, 3}, .se = 16},
    {"seresnet50", IMAGE, {3, 4, 6, 3}, BOTTLENECK, .se = 16},
    {"seresnet101", IMAGE, {3, 4, 23, 3}, BOTTLENECK, .se = 16},
    {"seresnet152", IMAGE, {3, 8, 36, 3}, BOTTLENECK, .se = 16},
    {"resnetv2_18", IMAGE, {2, 2, 2, 2}, .preact = 1},
    {"resnetv2_34", IMAGE, {3, 4, 6, 3}, .preact = 1},
    {"resnetv2_50", IMAGE, {3, 4, 6, 3}, BOTTLENECK, .preact = 1},
    {"resnetv2_101", IMAGE, {3, 4, 23, 3}, BOTTLENECK, .preact = 1},
    {"resnetv2_152", IMAGE, {3, 8, 36, 3}, BOTTLENECK, .preact = 1},
    {"resnext50_32x4d", IMAGE, {3, 4, 6, 3}, BOTTLENECK, .groups = 32, .group_width = 4},
    {"resnext101_32x8d", IMAGE, {3, 4, 23, 3}, BOTTLENECK, .groups = 32, .group_width = 8},
    {"resnext101_64x4d", IMAGE, {3, 4, 23, 3}, BOTTLENECK, .groups = 64, .group_width = 4},
    {"wide_resnet50_2", IMAGE, {3, 4, 6, 3}, BOTTLENECK, .group_width = 128},
    {"wide_resnet101_2", IMAGE, {3, 4, 23, 3}, BOTTLENECK, .group_width = 128},
    /* of speakers, as WeSpeaker's */
    {"wespeaker18", SPEAKER, {2, 2, 2, 2}},
    {"wespeaker34", SPEAKER, {3, 4, 6, 3}},
    {"wespeaker50", SPEAKER, {3, 4, 6, 3}, BOTTLENECK},
    {"wespeaker101", SPEAKER, {3, 4, 23, 3}, BOTTLENECK},
    {"wespeaker152", SPEAKER, {3, 8, 36, 3}, BOTTLENECK},
    {"wespeaker221", SPEAKER, {6, 16, 48, 3}, BOTTLENECK},
    {"wespeaker293", SPEAKER, {10, 20, 64, 3}, BOTTLENECK},
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

const char *rn_arch_use(int index)
{
    static const char *const uses[] = {
        [SOUND] = "spectrograms", [CIFAR] = "small pictures (CIFAR)", [IMAGE] = "pictures (ImageNet)", [SPEAKER] = "speakers"};
    return index >= 0 && index < rn_arch_count() ? uses[family[index].kind] : NULL;
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
    arch->preact = row->preact;
    arch->se = row->se;
    arch->stem_width = row->stem_width;
    arch->width = row->width ? row->width : row->kind == CIFAR ? 16 : row->kind == SPEAKER ? 32 : 64;
    arch->groups = row->groups ? row->groups : 1;
    arch->group_width = row->group_width ? row->group_width : 64;
    arch->stem = row->kind == IMAGE && !row->stem ? RN_STEM_7X7 : row->stem;
    arch->shortcut_pool = row->shortcut_pool;
    arch->shortcut = row->plain ? RN_SHORTCUT_NONE : row->kind == CIFAR && !row->preact ? RN_SHORTCUT_A : RN_SHORTCUT_B;
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

static int halved(int rows)
{
    return rows / 2 + rows % 2;
}

int rn_arch_rows(const rn_arch *arch, int height)
{
    int rows = arch->stem == RN_STEM_3X3 ? height : halved(height);
    if (arch->stem != RN_STEM_3X3 && arch->stem_pool != RN_STEM_POOL_NONE)
        rows = arch->stem_pool == RN_STEM_POOL_END ? rows / 2 : halved(rows);
    for (int stage = 1; stage < arch->stages; stage++)
        rows = halved(rows);
    return rows;
}

static int same_member(const rn_arch *a, const rn_arch *b, const rn_arch_field *field)
{
    const char *x = (const char *)a + field->offset, *y = (const char *)b + field->offset;
    switch (field->kind) {
    case RN_ARCH_BLOCKS:
        return a->stages == b->stages && memcmp(a->blocks, b->blocks, sizeof a->blocks) == 0;
    case RN_ARCH_POOL:
        return a->pooling == b->pooling && a->pool_h == b->pool_h && a->pool_w == b->pool_w;
    case RN_ARCH_REAL:
        return memcmp(x, y, sizeof(double)) == 0;
    default:
        return memcmp(x, y, sizeof(int)) == 0;
    }
}

/* Members in which two networks agree. */
static int agreement(const rn_arch *a, const rn_arch *b)
{
    int same = 0;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        same += same_member(a, b, &fields[i]);
    return same;
}

void rn_arch_nearest(rn_arch *a)
{
    int best = -1;
    for (int i = 0; i < rn_arch_count(); i++) {
        rn_arch row;
        if (rn_arch_default(&row, rn_arch_name(i), NULL))
            continue;
        int blocks = row.block == a->block && row.stages == a->stages && !memcmp(row.blocks, a->blocks, sizeof row.blocks);
        int score = blocks * 1000 + agreement(&row, a);
        if (score > best) {
            best = score;
            strcpy(a->name, row.name);
        }
    }
}

void rn_arch_option(const char *key, char out[32])
{
    snprintf(out, 32, "--%.28s", key);
    for (char *p = out; *p; p++)
        if (*p == '_')
            *p = '-';
}

static int check_field(const rn_arch *arch, const rn_arch_field *f, rn_error *err)
{
    const char *at = (const char *)arch + f->offset;
    char option[32];
    rn_arch_option(f->key, option);
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
    int sum = 0;
    if (arch->stages < 1 || arch->stages > 4)
        return rn_error_set(err, RN_ERR_ARG, "--blocks: from 1 to 4 stages are possible");
    for (int i = 0; i < arch->stages; i++) {
        if (arch->blocks[i] < 1 || arch->blocks[i] > RN_ARCH_BLOCKS_MOST)
            return rn_error_set(err, RN_ERR_ARG, "--blocks: a stage of %d blocks; from 1 to %d are possible", arch->blocks[i],
                                RN_ARCH_BLOCKS_MOST);
        sum += arch->blocks[i];
    }
    if (sum > RN_ARCH_BLOCKS_MOST)
        return rn_error_set(err, RN_ERR_ARG, "--blocks: %d blocks together; at most %d are possible", sum, RN_ARCH_BLOCKS_MOST);
    return 0;
}

/* Channels of a bottleneck's 3x3. */
static int inner_width(const rn_arch *arch, int width)
{
    int64_t inner = (int64_t)width * arch->group_width / 64 * arch->groups;
    return inner > INT32_MAX ? INT32_MAX : (int)inner;
}

/* Members that do not go together. */
static int check_together(const rn_arch *arch, rn_error *err)
{
    int basic = arch->block == RN_BLOCK_BASIC, none = arch->shortcut == RN_SHORTCUT_NONE, tstp = arch->pooling == RN_POOLING_TSTP;
    const struct {
        int wrong;
        const char *text;
    } rules[] = {{basic && arch->groups > 1, "--groups: basic blocks have none; add --block bottleneck"},
                 {basic && arch->group_width != 64, "--group-width: basic blocks have no inner width; add --block bottleneck"},
                 {inner_width(arch, arch->width << (arch->stages - 1)) > 1 << 20 || inner_width(arch, arch->width) < 1,
                  "--group-width, --groups: a bottleneck's inner channels must be from 1 to 1048576"},
                 {arch->stem >= RN_STEM_DEEP && (arch->stem_width ? arch->stem_width : arch->width) < (arch->stem == RN_STEM_DEEP ? 2 : 3),
                  "--stem: its first layers would have no channel; take a larger --stem-width"},
                 {none && arch->se, "--se: a plain net has no blocks to scale; take another --shortcut"},
                 {tstp && arch->pool_rows < 1, "--pool tstp: --pool-rows is wanted, the rows of the map before it"},
                 {arch->embedding2 && !arch->embedding, "--embedding2: it is a second layer behind the first; give --embedding a size"},
                 {!arch->classes && !arch->embedding, "--classes 0: an answer is wanted; give --embedding a size"}};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].wrong)
            return rn_error_set(err, RN_ERR_ARG, "%s", rules[i].text);
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
    return check_together(arch, err);
}

/* What the builder's functions hand to each other. */
typedef struct builder {
    rn_graph *g;
    const rn_arch *arch;
} builder;

typedef struct layer {
    int channels, kernel, stride, groups;
} layer;

/* One convolution of a block with its BN, "<block>.conv<k>" and "<block>.bn<k>": BN behind it, or before it with ReLU between. */
static int conv_bn(const builder *b, const char *block, int k, int x, const layer *l)
{
    char conv[64], bn[64];
    snprintf(conv, sizeof conv, "%s.conv%d", block, k);
    snprintf(bn, sizeof bn, "%s.bn%d", block, k);
    if (b->arch->preact && k > 1) /* the first one's stands before the shortcut too */
        x = rn_graph_relu(b->g, rn_graph_bn(b->g, bn, x, b->arch->bn_eps));
    x = rn_graph_grouped(b->g, conv, x, l->channels, l->kernel, l->stride, l->kernel / 2, l->groups);
    return b->arch->preact ? x : rn_graph_bn(b->g, bn, x, b->arch->bn_eps);
}

/* As timm: to a multiple of eight, at least eight. */
static int squeezed(int channels, int ratio)
{
    int inner = (int)(((double)channels / ratio + 4) / 8) * 8;
    return inner < 8 ? 8 : inner;
}

static int squeeze_and_excite(const builder *b, const char *block, int x)
{
    char name[64];
    int channels = x < 0 ? 1 : b->g->nodes[x].channels, y;
    snprintf(name, sizeof name, "%s.se.pool", block);
    y = rn_graph_squeeze(b->g, name, x);
    snprintf(name, sizeof name, "%s.se.fc1", block);
    y = rn_graph_relu(b->g, rn_graph_pointwise(b->g, name, y, squeezed(channels, b->arch->se)));
    snprintf(name, sizeof name, "%s.se.fc2", block);
    y = rn_graph_pointwise(b->g, name, y, channels);
    snprintf(name, sizeof name, "%s.se.gate", block);
    y = rn_graph_sigmoid(b->g, name, y);
    snprintf(name, sizeof name, "%s.se", block);
    return rn_graph_scale(b->g, name, x, y);
}

/* x: the block's input; activated: behind its first BN and ReLU, which a changing shortcut reads too with pre-activation. */
static int shortcut(const builder *b, const char *block, int x, int activated, int channels, int stride)
{
    char name[64];
    int changes = x >= 0 && (stride > 1 || b->g->nodes[x].channels != channels);
    if (!changes && b->arch->shortcut != RN_SHORTCUT_C)
        return x;
    x = activated;
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
    if (b->arch->preact)
        return x;
    snprintf(name, sizeof name, "%s.shortcut.1", block);
    return rn_graph_bn(b->g, name, x, b->arch->bn_eps);
}

static int residual_block(const builder *b, int stage, int index, int x)
{
    char block[32], bn[64];
    const rn_arch *arch = b->arch;
    int stride = stage > 1 && index == 0 ? 2 : 1, width = arch->width << (stage - 1), inner = inner_width(arch, width), activated = x;
    int first = arch->stride_at == RN_STRIDE_AT_1X1 ? stride : 1;
    const layer basic[] = {{width, 3, stride, 1}, {width, 3, 1, 1}};
    const layer bottleneck[] = {{inner, 1, first, 1}, {inner, 3, stride / first, arch->groups}, {width * 4, 1, 1, 1}};
    int depth = arch->block == RN_BLOCK_BASIC ? 2 : 3;
    const layer *layers = depth == 2 ? basic : bottleneck;
    snprintf(block, sizeof block, "layer%d.%d", stage, index);
    snprintf(bn, sizeof bn, "%s.bn1", block);
    if (arch->preact)
        activated = rn_graph_relu(b->g, rn_graph_bn(b->g, bn, x, arch->bn_eps));
    int y = activated;
    for (int k = 1; k <= depth; k++) {
        y = conv_bn(b, block, k, y, &layers[k - 1]);
        if (!arch->preact && k < depth)
            y = rn_graph_relu(b->g, y);
    }
    if (arch->se)
        y = squeeze_and_excite(b, block, y);
    if (arch->shortcut != RN_SHORTCUT_NONE)
        y = rn_graph_add(b->g, block, y, shortcut(b, block, x, activated, layers[depth - 1].channels, stride));
    return arch->preact ? y : rn_graph_relu(b->g, y);
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
        if (!arch->preact || strcmp(l->bn, "bn1") != 0) /* then the first block's BN follows */
            x = rn_graph_relu(b->g, rn_graph_bn(b->g, l->bn, x, arch->bn_eps));
    }
    if (arch->stem != RN_STEM_3X3 && arch->stem_pool != RN_STEM_POOL_NONE)
        x = rn_graph_maxpool(b->g, "maxpool", x, 3, 2, !end, 1);
    return x;
}

/* Pool, embedding and classifier; returns the logits, -1 where the embedding is the answer. */
static int head(const builder *b, int x, int *embedding)
{
    const rn_arch *arch = b->arch;
    int tstp = arch->pooling == RN_POOLING_TSTP;
    x = tstp ? rn_graph_tstp(b->g, "pool", x, arch->pool_eps) : rn_graph_avgpool(b->g, "pool", x, arch->pool_h, arch->pool_w);
    if (!arch->embedding && !tstp && arch->pool_h * arch->pool_w == 1)
        *embedding = x; /* the pooled features, as those who take such a network for its features do */
    x = rn_graph_linear(b->g, "fc", x, tstp ? arch->pool_rows : arch->pool_h, tstp ? 1 : arch->pool_w,
                        arch->embedding ? arch->embedding : arch->classes);
    if (arch->embedding2)
        x = rn_graph_linear(b->g, "fc2", rn_graph_plain_bn(b->g, "fc_bn", rn_graph_relu(b->g, x), arch->bn_eps), 1, 1, arch->embedding);
    if (arch->embedding) {
        *embedding = x;
        x = arch->classes ? rn_graph_linear(b->g, "linear", x, 1, 1, arch->classes) : -1;
    }
    return x < 0 && arch->classes ? b->g->nodes_count : x; /* none is no node's number; a failure is no node either */
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
    if (arch->preact)
        x = rn_graph_relu(b.g, rn_graph_bn(b.g, "bn", x, arch->bn_eps));
    x = head(&b, x, &embedding);
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
    for (int i = 0; zero_last && i < graph->nodes_count; i++) {
        int last = graph->nodes[i].op == RN_OP_ADD ? graph->nodes[i].a : -1;
        if (last >= 0 && graph->nodes[last].op == RN_OP_SCALE)
            last = graph->nodes[last].a;
        if (last < 0 || graph->nodes[last].op != RN_OP_BN)
            continue;
        const rn_param *p = &graph->params[graph->nodes[last].weight];
        fill(weights + p->offset, p->count, 0);
    }
}
