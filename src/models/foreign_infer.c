/* Which network tensors are of, from their shapes.
 *
 * Everything but four things can be read off: stages and blocks from the names that are there, channels and kernels from the convolutions, groups from the
 * second size of the 3x3 (inputs of a group), classes and embedding from the linear layers. What leaves no trace: where a bottleneck has its stride, how a
 * shortcut without parameters pads, how the bins of a pool lie, and what is done to a picture before.
 *
 * The row of the family table is the one that agrees in most members; its name is what the network is called.
 */
#include "models/foreign.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1 << 24 }; /* of any size, so that products of two fit */

/* The tensor of that name with so many dimensions, none of them 0; NULL: none. */
static const rn_tensor *find(const rn_tensors *t, int dims, const char *format, ...)
{
    char name[RN_NAMES_LONGEST];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    const rn_tensor *found = rn_tensors_find(t, name);
    if (!found || found->dims != dims)
        return NULL;
    for (int d = 0; d < dims; d++)
        if (found->shape[d] < 1 || found->shape[d] > MOST)
            return NULL;
    return found;
}

static void count_blocks(const rn_tensors *t, rn_arch *a)
{
    for (a->stages = 0; a->stages < 4 && find(t, 4, "layer%d.0.conv1.weight", a->stages + 1); a->stages++) {
        int *blocks = &a->blocks[a->stages];
        for (*blocks = 1; *blocks < RN_ARCH_BLOCKS_MOST && find(t, 4, "layer%d.%d.conv1.weight", a->stages + 1, *blocks);)
            (*blocks)++;
    }
}

static int infer_stem(const char *name, const rn_tensors *t, rn_arch *a, rn_error *err)
{
    const rn_tensor *first = find(t, 4, "conv1.weight"), *last = first;
    if (first) {
        a->stem = first->shape[2] == 7 ? RN_STEM_7X7 : RN_STEM_3X3;
        if (first->shape[2] != 3 && first->shape[2] != 7)
            return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: its first convolution is %lldx%lld; stems of 3x3 and 7x7 can be built", name,
                                (long long)first->shape[2], (long long)first->shape[3]);
    } else if ((first = find(t, 4, "conv1.0.weight")) && (last = find(t, 4, "conv1.6.weight"))) {
        const rn_tensor *second = find(t, 4, "conv1.3.weight");
        a->stem = second && second->shape[0] != first->shape[0] ? RN_STEM_TIERED : RN_STEM_DEEP;
    } else {
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: there is no first convolution (conv1.weight) in it", name);
    }
    a->in_channels = (int)first->shape[1];
    a->stem_width = (int)last->shape[0];
    a->stem_pool = a->stem == RN_STEM_3X3 ? RN_STEM_POOL_NONE : RN_STEM_POOL_SAME;
    return 0;
}

/* Block, width, groups and squeeze of the stages. */
static int infer_blocks(const char *name, const rn_tensors *t, rn_arch *a, rn_error *err)
{
    const rn_tensor *conv1 = find(t, 4, "layer1.0.conv1.weight"), *conv2 = find(t, 4, "layer1.0.conv2.weight"),
                    *conv3 = find(t, 4, "layer1.0.conv3.weight");
    count_blocks(t, a);
    if (!conv1 || !conv2)
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: there is no residual block (layer1.0.conv1, layer1.0.conv2) in it", name);
    a->block = conv3 ? RN_BLOCK_BOTTLENECK : RN_BLOCK_BASIC;
    a->width = (int)(conv3 ? conv3->shape[0] / 4 : conv1->shape[0]);
    a->groups = 1;
    a->group_width = 64;
    if (!a->width)
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: layer1.0.conv3 has %lld channels, which no width times 4 is", name,
                            (long long)conv3->shape[0]);
    if (conv3) {
        int64_t inner = conv2->shape[0];
        a->groups = (int)(inner / conv2->shape[1] ? inner / conv2->shape[1] : 1);
        a->group_width = (int)(inner / a->groups * 64 / a->width);
    }
    a->preact = find(t, 1, "bn.weight") != NULL;
    const rn_tensor *squeeze = find(t, 4, "layer%d.0.se.fc1.weight", a->stages);
    a->se = squeeze ? (int)(squeeze->shape[1] / squeeze->shape[0]) : 0;
    if (a->stem_width == a->width)
        a->stem_width = 0;
    return 0;
}

static void infer_shortcut(const rn_names *names, const rn_tensors *t, rn_arch *a, unsigned *open)
{
    int expansion = a->block == RN_BLOCK_BOTTLENECK ? 4 : 1, some = 0, all = 1;
    int more = expansion == 1 && !a->stem_width; /* blocks among those that keep their shape */
    int changes = a->stages > 1 || expansion * a->width != (a->stem_width ? a->stem_width : a->width);
    for (int s = 1; s <= a->stages; s++)
        for (int b = 0; b < 2 && b < a->blocks[s - 1]; b++) {
            int here = find(t, 4, "layer%d.%d.shortcut.0.weight", s, b) != NULL;
            some += here;
            all &= here;
            more |= b == 1;
        }
    a->shortcut = some && all && more ? RN_SHORTCUT_C : some || !changes ? RN_SHORTCUT_B : RN_SHORTCUT_A2;
    a->shortcut_pool = names->pooled_shortcut;
    if (!some && changes)
        *open |= RN_FOREIGN_SHORTCUT;
}

/* Pool, embedding and classes from the linear layers. */
static int infer_head(const char *name, const rn_names *names, const rn_tensors *t, rn_arch *a, unsigned *open, rn_error *err)
{
    const rn_tensor *fc = find(t, 2, "fc.weight"), *linear = find(t, 2, "linear.weight");
    int64_t channels = (int64_t)a->width * (a->block == RN_BLOCK_BOTTLENECK ? 4 : 1) << (a->stages - 1);
    int statistics = names->speaker;
    a->pooling = statistics ? RN_POOLING_TSTP : RN_POOLING_AVERAGE;
    a->pool_h = a->pool_w = 1;
    if (statistics)
        channels *= 2;
    if (fc && (fc->shape[1] % channels || fc->shape[1] / channels > 1024))
        return rn_error_set(err, RN_ERR_UNSUPPORTED,
                            "%s: its first linear layer takes %lld numbers, which is no multiple of the %lld channels before it", name,
                            (long long)fc->shape[1], (long long)channels);
    int bins = fc ? (int)(fc->shape[1] / channels) : 1;
    if (statistics)
        a->pool_rows = bins;
    else
        a->pool_h = bins;
    if (!statistics && bins > 1)
        *open |= RN_FOREIGN_POOL;
    a->embedding = fc && (linear || statistics) ? (int)fc->shape[0] : 0;
    a->embedding2 = find(t, 2, "fc2.weight") != NULL;
    a->classes = linear ? (int)linear->shape[0] : fc && !statistics ? (int)fc->shape[0] : 0;
    return 0;
}

int rn_foreign_infer(const char *name, const rn_names *names, const rn_tensors *ours, rn_arch *arch, unsigned *open, rn_error *err)
{
    int status = rn_arch_default(arch, rn_arch_name(0), err);
    *open = 0;
    memset(arch->blocks, 0, sizeof arch->blocks);
    if (!status)
        status = infer_stem(name, ours, arch, err);
    if (!status)
        status = infer_blocks(name, ours, arch, err);
    if (status)
        return status;
    infer_shortcut(names, ours, arch, open);
    if ((status = infer_head(name, names, ours, arch, open, err)))
        return status;
    arch->stride_at = RN_STRIDE_AT_3X3;
    if (arch->block == RN_BLOCK_BOTTLENECK && arch->stages > 1 && arch->pooling != RN_POOLING_TSTP) /* WeSpeaker has one convention */
        *open |= RN_FOREIGN_STRIDE;
    if (arch->in_channels == 3 || names->speaker)
        *open |= RN_FOREIGN_PREPROCESSING;
    rn_arch_nearest(arch);
    return 0;
}
