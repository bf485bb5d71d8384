/* The residual family: one table, one builder, and the initial weights.
 *
 * Every row is a stem (3x3, or 7x7 stride 2 with a max pool), stages of equal blocks at widths w, 2w, 4w (8w), an adaptive average
 * pool and one or two linear layers. A stage after the first begins with stride 2, carried by the block's (last) 3x3. Where
 * stride or channels change, the shortcut is a 1x1 convolution with BN (B) or zero padding (A); elsewhere it is the block's input.
 * Source: He, Zhang, Ren, Sun: Deep residual learning (2015); the stride's place as in torchvision ("v1.5").
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

#define BN_EPS 1e-5

typedef struct family_row {
    const char *name;
    int stages, blocks[4];
    int bottleneck; /* 1x1, 3x3, 1x1 with four times the channels; otherwise 3x3, 3x3 */
} family_row;

static const family_row family[] = {
    {"resnet18", 4, {2, 2, 2, 2}, 0},
    {"resnet34", 4, {3, 4, 6, 3}, 0},
    {"resnet50", 4, {3, 4, 6, 3}, 1},
    {"resnet101", 4, {3, 4, 23, 3}, 1},
    {"resnet152", 4, {3, 8, 36, 3}, 1},
    {"resnet20", 3, {3, 3, 3}, 0}, /* CIFAR: 6n + 2 layers */
    {"resnet32", 3, {5, 5, 5}, 0},
    {"resnet44", 3, {7, 7, 7}, 0},
    {"resnet56", 3, {9, 9, 9}, 0},
    {"resnet110", 3, {18, 18, 18}, 0},
};

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
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "", family[i].name);
    }
    rn_error_set(err, RN_ERR_ARG, "%.40s: no network has this name; there are %s", name, names);
    return NULL;
}

int rn_arch_default(rn_arch *arch, const char *name, rn_error *err)
{
    memset(arch, 0, sizeof *arch);
    const family_row *row = find_row(name, err);
    if (!row)
        return RN_ERR_ARG;
    int cifar = row->stages == 3;
    strcpy(arch->name, row->name);
    arch->width = cifar ? 16 : 64;
    arch->in_channels = cifar ? 3 : 1;
    arch->classes = cifar ? 10 : 9;
    arch->embedding = cifar ? 0 : 256;
    arch->shortcut = cifar ? 'A' : 'B';
    arch->pool_h = cifar ? 1 : 4;
    arch->pool_w = 1;
    arch->stem = RN_STEM_3X3;
    return 0;
}

static int check_range(const char *option, int value, int low, int high, rn_error *err)
{
    if (value >= low && value <= high)
        return 0;
    return rn_error_set(err, RN_ERR_ARG, "%s %d: from %d to %d are possible", option, value, low, high);
}

static int check_arch(const rn_arch *arch, rn_error *err)
{
    int status = check_range("--width", arch->width, 1, 4096, err);
    if (!status)
        status = check_range("--in-channels", arch->in_channels, 1, 4096, err);
    if (!status)
        status = check_range("--classes", arch->classes, 1, 1000000, err);
    if (!status)
        status = check_range("--embedding", arch->embedding, 0, 65536, err);
    if (status)
        return status;
    if (arch->shortcut != 'A' && arch->shortcut != 'B')
        return rn_error_set(err, RN_ERR_ARG, "--shortcut: A (zero padding) and B (1x1 convolution) are possible");
    if (arch->pool_h < 1 || arch->pool_h > 1024 || arch->pool_w < 1 || arch->pool_w > 1024)
        return rn_error_set(err, RN_ERR_ARG, "--pool %dx%d: from 1x1 to 1024x1024 are possible", arch->pool_h, arch->pool_w);
    if (arch->stem != RN_STEM_3X3 && arch->stem != RN_STEM_7X7)
        return rn_error_set(err, RN_ERR_ARG, "--stem: 3x3 and 7x7 are possible");
    return 0;
}

/* One convolution with its BN: "<block>.conv<k>" and "<block>.bn<k>"; returns the BN. */
static int conv_bn(rn_graph *g, const char *block, int k, int x, int channels, int kernel, int stride)
{
    char name[64];
    snprintf(name, sizeof name, "%s.conv%d", block, k);
    x = rn_graph_conv(g, name, x, channels, kernel, stride, kernel / 2);
    snprintf(name, sizeof name, "%s.bn%d", block, k);
    return rn_graph_bn(g, name, x, BN_EPS);
}

static int shortcut(rn_graph *g, const char *block, char kind, int x, int channels, int stride)
{
    char name[64];
    if (x < 0 || (stride == 1 && g->nodes[x].channels == channels))
        return x;
    if (kind == 'A') {
        snprintf(name, sizeof name, "%s.shortcut", block);
        return rn_graph_padshort(g, name, x, channels, stride);
    }
    snprintf(name, sizeof name, "%s.shortcut.0", block);
    x = rn_graph_conv(g, name, x, channels, 1, stride, 0);
    snprintf(name, sizeof name, "%s.shortcut.1", block);
    return rn_graph_bn(g, name, x, BN_EPS);
}

static int residual_block(rn_graph *g, const family_row *row, char kind, int stage, int index, int x, int width)
{
    char block[32];
    int stride = stage > 1 && index == 0 ? 2 : 1, channels = row->bottleneck ? width * 4 : width, y;
    snprintf(block, sizeof block, "layer%d.%d", stage, index);
    if (row->bottleneck) {
        y = rn_graph_relu(g, conv_bn(g, block, 1, x, width, 1, 1));
        y = rn_graph_relu(g, conv_bn(g, block, 2, y, width, 3, stride));
        y = conv_bn(g, block, 3, y, channels, 1, 1);
    } else {
        y = rn_graph_relu(g, conv_bn(g, block, 1, x, width, 3, stride));
        y = conv_bn(g, block, 2, y, channels, 3, 1);
    }
    x = shortcut(g, block, kind, x, channels, stride);
    return rn_graph_relu(g, rn_graph_add(g, block, y, x));
}

int rn_arch_graph(const rn_arch *arch, rn_graph **graph, rn_error *err)
{
    rn_graph *g = NULL;
    int status, embedding = -1;

    *graph = NULL;
    const family_row *row = find_row(arch->name, err);
    if (!row)
        return RN_ERR_ARG;
    if ((status = check_arch(arch, err)) || (status = rn_graph_open(&g, arch->in_channels, err)))
        return status;
    int large = arch->stem == RN_STEM_7X7;
    int x = rn_graph_conv(g, "conv1", 0, arch->width, large ? 7 : 3, large ? 2 : 1, large ? 3 : 1);
    x = rn_graph_relu(g, rn_graph_bn(g, "bn1", x, BN_EPS));
    if (large)
        x = rn_graph_maxpool(g, "maxpool", x, 3, 2, 1);
    for (int stage = 1; stage <= row->stages; stage++)
        for (int i = 0; i < row->blocks[stage - 1]; i++)
            x = residual_block(g, row, arch->shortcut, stage, i, x, arch->width << (stage - 1));
    x = rn_graph_avgpool(g, "pool", x, arch->pool_h, arch->pool_w);
    x = rn_graph_linear(g, "fc", x, arch->pool_h, arch->pool_w, arch->embedding ? arch->embedding : arch->classes);
    if (arch->embedding) {
        embedding = x;
        x = rn_graph_linear(g, "linear", x, 1, 1, arch->classes);
    }
    if ((status = rn_graph_finish(g, embedding, x, err)))
        goto fail;
    *graph = g;
    return 0;
fail:
    rn_graph_close(&g);
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
        case RN_PARAM_BN_WEIGHT: fill(weights + p->offset, p->count, 1); break;
        case RN_PARAM_BN_BIAS: fill(weights + p->offset, p->count, 0); break;
        case RN_PARAM_BN_MEAN: fill(stats + p->offset, p->count, 0); break;
        case RN_PARAM_BN_VAR: fill(stats + p->offset, p->count, 1); break;
        }
    }
    for (int i = 0; zero_last && i < graph->nodes_count; i++)
        if (graph->nodes[i].op == RN_OP_ADD && graph->nodes[graph->nodes[i].a].op == RN_OP_BN) {
            const rn_param *p = &graph->params[graph->nodes[graph->nodes[i].a].weight];
            fill(weights + p->offset, p->count, 0);
        }
}
