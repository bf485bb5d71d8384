/* Names of tensors in other projects' files, as data.
 *
 * A tensor's name is a module's name, a dot, and what it is of that module: weight, bias, running_mean, running_var, num_batches_tracked. Projects
 * differ in the modules' names alone, so a table of pairs of patterns is a project, and a pattern is text with numbers in it.
 * Sources: torchvision/models/resnet.py, timm/models/resnet.py, transformers/models/resnet/modeling_resnet.py, wespeaker/models/resnet.py (3D-Speaker has
 * the same names), and the two widespread ports for CIFAR, which are ours up to the last layer.
 */
#include "models/names.h"

#include <stdio.h>
#include <string.h>

// clang-format off
#define BODY \
    {"conv1", "conv1", NULL}, {"bn1", "bn1", NULL}, \
    {"layer%s.%b.conv%k", "layer%s.%b.conv%k", NULL}, {"layer%s.%b.bn%k", "layer%s.%b.bn%k", NULL}
#define SHORTCUT(conv, bn) \
    {"layer%s.%b.shortcut.0", "layer%s.%b." conv, NULL}, {"layer%s.%b.shortcut.1", "layer%s.%b." bn, NULL}
#define DEEP {"conv1.%b", "conv1.%b", NULL}
#define SE {"layer%s.%b.se.fc%k", "layer%s.%b.se.fc%k", NULL}
#define END {NULL, NULL, NULL}

static const rn_names_row ours[] = {
    BODY, SHORTCUT("shortcut.0", "shortcut.1"), DEEP, SE,
    {"bn", "bn", NULL}, {"fc", "fc", NULL}, {"fc_bn", "fc_bn", NULL}, {"fc2", "fc2", NULL}, {"linear", "linear", NULL}, END};

/* Ports for CIFAR call the only linear layer so. */
static const rn_names_row cifar[] = {
    BODY, SHORTCUT("shortcut.0", "shortcut.1"), {"bn", "bn", NULL}, {"fc", "linear", NULL}, END};

static const rn_names_row torchvision[] = {
    BODY, SHORTCUT("downsample.0", "downsample.1"), {"fc", "fc", NULL}, END};

static const rn_names_row timm[] = {
    BODY, DEEP, SE, SHORTCUT("downsample.0", "downsample.1"), {"fc", "fc", NULL}, END};

/* downsample.0 is the average pool. */
static const rn_names_row timm_pooled[] = {
    BODY, DEEP, SE, SHORTCUT("downsample.1", "downsample.2"), {"fc", "fc", NULL}, END};

/* A whole classifier, or the body alone (ResNetModel), whose names lack "resnet.". */
#define HUGGINGFACE(prefix) \
    {"conv1", prefix "embedder.embedder.convolution", NULL}, {"bn1", prefix "embedder.embedder.normalization", NULL}, \
    {"layer%s.%b.conv%k", prefix "encoder.stages.%S.layers.%b.layer.%K.convolution", NULL}, \
    {"layer%s.%b.bn%k", prefix "encoder.stages.%S.layers.%b.layer.%K.normalization", NULL}, \
    {"layer%s.%b.shortcut.0", prefix "encoder.stages.%S.layers.%b.shortcut.convolution", NULL}, \
    {"layer%s.%b.shortcut.1", prefix "encoder.stages.%S.layers.%b.shortcut.normalization", NULL}

static const rn_names_row huggingface[] = {
    HUGGINGFACE("resnet."), {"fc", "classifier.1", NULL}, HUGGINGFACE(""), END};

static const rn_names_row wespeaker[] = {
    BODY, SHORTCUT("shortcut.0", "shortcut.1"), {"fc", "seg_1", NULL}, {"fc_bn", "seg_bn_1", NULL}, {"fc2", "seg_2", NULL},
    {NULL, "projection", "the speakers of its training, which no embedding needs"}, END};

static const rn_names all[] = {
    {"ours", 0, 0, "imagenet", ours},
    {"torchvision", 0, 0, "imagenet", torchvision},
    {"timm", 0, 0, "timm", timm},
    {"timm", 1, 0, "timm", timm_pooled},
    {"huggingface", 0, 0, "timm", huggingface},
    {"wespeaker", 0, 1, "wespeaker", wespeaker},
    {"cifar", 0, 0, "cifar", cifar},
};
// clang-format on
enum { COUNT = (int)(sizeof all / sizeof *all) };

static const char *const leaves[] = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"};

/* The dot before what the tensor is of its module; NULL: nothing that a network has. */
static const char *find_leaf(const char *name)
{
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof leaves / sizeof *leaves; i++)
        if (strcmp(dot + 1, leaves[i]) == 0)
            return dot;
    return NULL;
}

/* The numbers of a name, as ours count: by the pattern's letters s, b, k. */
typedef struct numbers {
    int s, b, k;
} numbers;

static int *number_for(numbers *n, char letter)
{
    return letter == 's' || letter == 'S' ? &n->s : letter == 'b' ? &n->b : &n->k;
}

/* Does text[0 .. size) fit? The numbers that it has go into *n. */
static int fits(const char *pattern, const char *text, size_t size, numbers *n)
{
    size_t at = 0;
    for (; *pattern; pattern++) {
        if (*pattern != '%') {
            if (at == size || text[at++] != *pattern)
                return 0;
            continue;
        }
        int value = 0, digits = 0;
        char letter = *++pattern;
        for (; at < size && digits < 4 && text[at] >= '0' && text[at] <= '9'; digits++)
            value = value * 10 + (text[at++] - '0');
        if (!digits || (digits > 1 && text[at - (size_t)digits] == '0'))
            return 0;
        *number_for(n, letter) = value + (letter == 'S' || letter == 'K');
    }
    return at == size;
}

/* The pattern with the numbers, and the leaf; "" if that is too long. */
static void compose(const char *pattern, numbers *n, const char *leaf, char out[RN_NAMES_LONGEST])
{
    size_t at = 0;
    for (; *pattern && at < RN_NAMES_LONGEST; pattern++) {
        if (*pattern != '%') {
            out[at++] = *pattern;
            continue;
        }
        char letter = *++pattern;
        at += (size_t)snprintf(out + at, RN_NAMES_LONGEST - at, "%d", *number_for(n, letter) - (letter == 'S' || letter == 'K'));
    }
    if (at + strlen(leaf) < RN_NAMES_LONGEST)
        strcpy(out + at, leaf);
    else
        out[0] = 0;
}

const rn_names_row *rn_names_to_ours(const rn_names *names, const char *theirs, char out[RN_NAMES_LONGEST])
{
    const char *leaf = find_leaf(theirs);
    out[0] = 0;
    for (const rn_names_row *row = names->rows; leaf && row->theirs; row++) {
        numbers n = {0, 0, 0};
        if (!fits(row->theirs, theirs, (size_t)(leaf - theirs), &n))
            continue;
        if (row->ours)
            compose(row->ours, &n, leaf, out);
        return row->ours && !out[0] ? NULL : row;
    }
    return NULL;
}

const rn_names_row *rn_names_to_theirs(const rn_names *names, const char *own, char out[RN_NAMES_LONGEST])
{
    const char *leaf = find_leaf(own);
    out[0] = 0;
    for (const rn_names_row *row = names->rows; leaf && row->theirs; row++) {
        numbers n = {0, 0, 0};
        if (!row->ours || !fits(row->ours, own, (size_t)(leaf - own), &n))
            continue;
        compose(row->theirs, &n, leaf, out);
        return out[0] ? row : NULL;
    }
    return NULL;
}

const rn_names *rn_names_find(const rn_tensors *tensors, int *known)
{
    const rn_names *best = &all[0];
    char name[RN_NAMES_LONGEST];
    int most = -1;
    *known = 0;
    for (int i = 0; i < COUNT; i++) {
        int fit = 0, ends = 0;
        for (int k = 0; k < tensors->count; k++) {
            fit += rn_names_to_ours(&all[i], tensors->items[k].name, name) != NULL;
            ends |= strcmp(name, "fc.weight") == 0;
        }
        if (2 * fit + ends > most) {
            most = 2 * fit + ends;
            *known = fit;
            best = &all[i];
        }
    }
    return best;
}

const rn_names *rn_names_called(const char *name, int pooled_shortcut, rn_error *err)
{
    char list[120] = "";
    for (int i = 0; i < COUNT; i++) {
        int again = i && strcmp(all[i].name, all[i - 1].name) == 0;
        const rn_names *found = pooled_shortcut && !again && i + 1 < COUNT && all[i + 1].pooled_shortcut ? &all[i + 1] : &all[i];
        if (strcmp(all[i].name, name) == 0)
            return found;
        if (!again)
            snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", all[i].name);
    }
    rn_error_set(err, RN_ERR_ARG, "--names %.40s: want one of %s", name, list);
    return NULL;
}
