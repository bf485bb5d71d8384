/* What pictures decide of the options that were left to them.
 *
 *   channels   those of --in-channels; else 1 where every file is of a grey kind, 3 otherwise
 *   crop       the exact size of a resize; 7/8 of the shorter side of one; the pictures' size where all have the same, up to 256 pixels;
 *              else the median of the shorter sides, in steps of 32 and at most 224
 *   resize     none where all pictures have the crop's size; else 8/7 of the crop's longer side, for the shorter side: 256 for 224
 *   resized    parts of at least a quarter of the area where pictures are resized by their shorter side, else off. (ImageNet is trained with
 *              0.08, on a thousand times more samples than the default number of epochs sees.)
 *   pad        an eighth of the crop where pictures are used as they are (He et al. 2016: 4 of 32), else 0
 *   flip       half of the colour pictures, no grey ones: those are often signs and scans
 *   network    where no name is given, resnet20 for crops below 96 pixels and imagenet18 above; what else was said of the network holds there too
 *
 * A function of data and options alone, so resolving resolved options changes nothing. */
#include "train/state.h"

#include <stdlib.h>

#include "data/album.h"

enum { AS_THEY_ARE = 256, STEP = 32, LARGEST = 224 };
#define SMALLEST_SHARE 0.25
enum { IMAGENET_SIDE = 96 }; /* its stem and stages leave 3x3 of these */

typedef struct probe {
    const rn_dataset *dataset;
    rn_image_info *info; /* [items]; height 0: could not be read */
} probe;

/* What the sizes say. */
typedef struct sizes {
    int grey, same, height, width, shorter; /* same: all are height x width; shorter: the median */
} sizes;

static void probe_item(void *context, int i, int thread)
{
    probe *p = context;
    rn_error ignored;
    (void)thread;
    /* Files that can't be read are found, and named, when everything is decoded. */
    if (rn_album_probe(p->dataset, i, &p->info[i], &ignored))
        p->info[i].height = 0;
}

static int compare_ints(const void *a, const void *b)
{
    return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

static int measure(rn_trainer *t, sizes *s, rn_error *err)
{
    int n = t->dataset->count, known = 0;
    probe p = {t->dataset, calloc((size_t)n + 1, sizeof *p.info)};
    int *shorter = malloc(((size_t)n + 1) * sizeof *shorter);
    *s = (sizes){.grey = 1, .same = 1};
    if (!p.info || !shorter) {
        free(p.info);
        free(shorter);
        return rn_error_memory(err, "the sizes of all pictures", (unsigned long long)n * sizeof *p.info);
    }
    rn_pool_run(t->pool, n, probe_item, &p);
    for (int i = 0; i < n; i++) {
        const rn_image_info *info = &p.info[i];
        if (!info->height)
            continue;
        if (!known) {
            s->height = info->height;
            s->width = info->width;
        }
        s->grey = s->grey && info->grey;
        s->same = s->same && info->height == s->height && info->width == s->width;
        shorter[known++] = info->height < info->width ? info->height : info->width;
    }
    qsort(shorter, (size_t)known, sizeof *shorter, compare_ints);
    s->shorter = known ? shorter[known / 2] : LARGEST;
    s->grey = s->grey && known;
    free(p.info);
    free(shorter);
    return 0;
}

static void choose_crop(rn_pictures *p, const sizes *s)
{
    int as_they_are = s->same && p->resize_h <= 0 && s->height <= AS_THEY_ARE && s->width <= AS_THEY_ARE && s->height;
    int side = s->shorter / STEP * STEP;
    side = side < STEP ? STEP : side > LARGEST ? LARGEST : side;
    if (p->resize_h > 0)
        side = p->resize_h * 7 / 8 > 0 ? p->resize_h * 7 / 8 : 1;
    p->crop_h = p->resize_w > 0 ? p->resize_h : as_they_are ? s->height : side;
    p->crop_w = p->resize_w > 0 ? p->resize_w : as_they_are ? s->width : side;
}

static int choose_sizes(rn_trainer *t, const sizes *s, rn_error *err)
{
    rn_pictures *p = &t->options.pictures;
    /* Batches need one size; the model's file then has it, too. */
    if (p->crop_h == 0 && p->resize_w <= 0 && !(p->resize_h <= 0 && s->same))
        return rn_error_set(err, RN_ERR_ARG, "%s: the pictures have different sizes: give --crop HxW, or --resize HxW", t->data_name);
    if (p->crop_h <= 0)
        choose_crop(p, s);
    if (p->resize_h == RN_OPEN) {
        int longer = p->crop_h > p->crop_w ? p->crop_h : p->crop_w, fits = s->same && s->height == p->crop_h && s->width == p->crop_w;
        p->resize_h = fits ? 0 : (longer * 8 + 3) / 7;
        p->resize_w = 0;
    }
    return 0;
}

static void choose_augmentation(rn_train_options *o)
{
    rn_picture_augment *a = &o->picture_augment;
    const rn_pictures *p = &o->pictures;
    double mixup = o->augment.mixup;
    if (a->resized_crop < 0)
        a->resized_crop = p->resize_h && !p->resize_w ? SMALLEST_SHARE : 0;
    if (a->pad < 0)
        a->pad = p->resize_h || a->resized_crop > 0 ? 0 : (p->crop_h < p->crop_w ? p->crop_h : p->crop_w) / 8;
    if (a->flip < 0)
        a->flip = p->channels == 3 ? 0.5 : 0;
    rn_augment_none(&o->augment); /* the rest is for recordings */
    o->augment.mixup = mixup;
}

/* Another row than that of spectrograms, with the members that were given. */
static int choose_network(rn_trainer *t, rn_error *err)
{
    rn_train_options *o = &t->options;
    const rn_pictures *p = &o->pictures;
    rn_arch chosen;
    char want[RN_ARCH_WANT];
    int count, small = p->crop_h < IMAGENET_SIDE || p->crop_w < IMAGENET_SIDE;
    const rn_arch_field *fields = rn_arch_fields(&count);
    int status = rn_arch_default(&chosen, small ? "resnet20" : "imagenet18", err);
    chosen.classes = o->arch.classes;
    chosen.in_channels = o->arch.in_channels;
    for (int i = 0; i < count && !status; i++) {
        json_t *said = o->arch_said >> i & 1 ? rn_arch_member(&o->arch, fields[i].key) : NULL;
        if (said)
            rn_arch_set_member(&chosen, fields[i].key, said, want);
        else if (o->arch_said >> i & 1)
            status = rn_error_memory(err, "a network", sizeof chosen);
        json_decref(said);
    }
    o->arch = chosen;
    o->arch_open = 0;
    return status;
}

int rn_resolve_pictures(rn_trainer *t, rn_error *err)
{
    rn_pictures *p = &t->options.pictures;
    sizes s = {0};
    int open = !p->channels || p->crop_h <= 0 || p->resize_h == RN_OPEN; /* of a resolved run nothing is: no file is read for it */
    int status = open ? measure(t, &s, err) : 0;
    if (status)
        return status;
    if (!p->channels)
        rn_pictures_set_channels(p, t->options.arch.in_channels == 1 || (s.grey && t->options.arch.in_channels != 3) ? 1 : 3);
    if ((status = choose_sizes(t, &s, err)))
        return status;
    choose_augmentation(&t->options);
    if (t->options.arch_open && (status = choose_network(t, err)))
        return status;
    if (p->crop_h >= 96 && p->crop_w >= 96 && t->options.arch.stem == RN_STEM_3X3)
        rn_trainer_note(t, "the 3x3 stem looks at every pixel of %d x %d: --stem 7x7 is many times faster", p->crop_w, p->crop_h);
    return rn_pictures_check(p, err);
}
