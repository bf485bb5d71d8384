/* A data set: opening by kind, the caller's tensors, content hashes, closing. Listing is in folder.c, manifest.c, tables.c, idx.c, cifar.c, shards.c and kaldi.c.
 *
 * Hashes are XXH3-128 of the file's bytes, read in pieces of 256 KiB, one task per file; items that are stretches of one file share it. Of
 * items in memory the values are hashed. */
#include "data/dataset.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/file.h"
#include "data/listing.h"
#include "media/image.h"

const char *rn_text_extension(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    return dot && dot != name ? dot + 1 : "";
}

int rn_part_parse(const char *text, rn_part *part)
{
    static const struct {
        const char *name;
        rn_part part;
    } names[] = {{"", RN_PART_NONE},
                 {"train", RN_PART_TRAIN},
                 {"training", RN_PART_TRAIN},
                 {"validation", RN_PART_VALIDATION},
                 {"valid", RN_PART_VALIDATION},
                 {"val", RN_PART_VALIDATION},
                 {"dev", RN_PART_VALIDATION},
                 {"test", RN_PART_TEST}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcasecmp(text, names[i].name)) {
            *part = names[i].part;
            return 0;
        }
    return -1;
}

const char *rn_part_name(rn_part part)
{
    return part == RN_PART_TRAIN ? "train" : part == RN_PART_VALIDATION ? "validation" : part == RN_PART_TEST ? "test" : "";
}

/* Tables come last: the packed sets have lists of labels that look like one. */
static int list_folder(rn_listing *l, const char *path, rn_error *err)
{
    static int (*const readers[])(rn_listing *, const char *, int *, rn_error *) = {
        rn_listing_kaldi, rn_listing_idx, rn_listing_cifar, rn_listing_shard_folder, rn_listing_tables};
    int found = 0, status = 0;
    for (size_t i = 0; i < sizeof readers / sizeof *readers && !found && !status; i++)
        status = readers[i](l, path, &found, err);
    return status || found ? status : rn_listing_folder(l, path, err);
}

rn_part rn_part_of_name(const char *name)
{
    for (const char *at = name; *at; at++) {
        char word[16];
        size_t length = strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
        rn_part part = RN_PART_NONE;
        if (length && length < sizeof word) {
            snprintf(word, sizeof word, "%.*s", (int)length, at);
            if (!strcasecmp(word, "t10k"))
                return RN_PART_TEST;
            if (!rn_part_parse(word, &part) && part != RN_PART_NONE)
                return part;
        }
        at += length;
        if (!*at)
            break;
    }
    return RN_PART_NONE;
}

/* What DATA is, by its name alone where it is a file. */
static int list_file(rn_listing *l, const char *path, rn_error *err)
{
    static const struct {
        const char *extension;
        int (*list)(rn_listing *, const char *, rn_error *);
    } readers[] = {{"txt", rn_listing_table},        {"tsv", rn_listing_table},         {"csv", rn_listing_csv},
                   {"jsonl", rn_listing_json_lines}, {"ndjson", rn_listing_json_lines}, {"list", rn_listing_list}};
    const char *extension = rn_text_extension(path);
    if (rn_is_tar(path))
        return rn_listing_shards(l, path, err);
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
        if (!strcasecmp(extension, readers[i].extension))
            return readers[i].list(l, path, err);
    return rn_error_set(err, RN_ERR_DATA, "%.400s: DATA is %s", path, RN_DATA_IS);
}

int rn_dataset_open(rn_dataset **dataset, const char *path, const rn_sound_options *sound, rn_error *err)
{
    rn_listing l = {0};
    struct stat info;
    *dataset = NULL;
    if (!path || !*path)
        return rn_error_set(err, RN_ERR_ARG, "no data set named; DATA is %s", RN_DATA_IS);
    int pattern = rn_is_tar(path) && strchr(path, '{'), missing = stat(path, &info) ? errno : 0;
    if (missing && !pattern)
        return rn_error_set(err, RN_ERR_IO, "%.500s: %s", path, rn_errno_text(missing));
    int status = rn_listing_start(&l, path, sound, err);
    if (!status)
        status = !missing && S_ISDIR(info.st_mode) ? list_folder(&l, path, err) : list_file(&l, path, err);
    if (!status)
        status = rn_listing_finish(&l, dataset, err);
    rn_listing_drop(&l);
    return status;
}

rn_kind rn_item_kind(const rn_item *item)
{
    /* a member is known by its own name, not by the archive's */
    const char *path = item->bytes > 0 ? item->name : item->path;
    if (item->pixels)
        return RN_PICTURES;
    if (item->tensor || !strcasecmp(rn_text_extension(path), "npy"))
        return RN_ARRAYS;
    return rn_image_known(path) ? RN_PICTURES : RN_SOUND;
}

const char *rn_kind_name(rn_kind kind)
{
    return kind == RN_PICTURES ? "pictures" : kind == RN_ARRAYS ? "arrays" : "recordings";
}

rn_kind rn_dataset_kind(const rn_dataset *d)
{
    return d->count ? rn_item_kind(&d->items[0]) : RN_SOUND;
}

static int fill_tensor_items(rn_dataset *d, const float *x, const int *labels, const char *const *sources, rn_error *err)
{
    size_t size = (size_t)d->c * (size_t)d->h * (size_t)d->w;
    for (int i = 0; i < d->count; i++) {
        rn_item *item = &d->items[i];
        char name[32];
        snprintf(name, sizeof name, "tensor %d", i);
        if (labels[i] < 0 || labels[i] >= d->classes)
            return rn_error_set(err, RN_ERR_ARG, "%s: label %d, but there are %d classes (0 to %d)", name, labels[i], d->classes,
                                d->classes - 1);
        item->path = strdup(name);
        item->name = strdup(name);
        item->source = strdup(sources && sources[i] ? sources[i] : name);
        if (!item->path || !item->name || !item->source)
            return rn_error_memory(err, "tensor items", sizeof name);
        item->label = labels[i];
        item->weight = 1;
        item->part = RN_PART_NONE;
        item->tensor = x + (size_t)i * size;
    }
    return 0;
}

int rn_dataset_from_tensors(rn_dataset **dataset, const float *x, const int *labels, int n, int c, int h, int w,
                            const char *const *label_names, int classes, const char *const *sources, rn_error *err)
{
    int status = 0;
    *dataset = NULL;
    if (!x || !labels || n < 1 || n > RN_ITEMS_LIMIT || classes < 2 || classes > RN_ITEMS_LIMIT)
        return rn_error_set(err, RN_ERR_ARG,
                            "a data set of tensors needs x, labels, 1 or more items and 2 or more classes (got %d items, %d classes)", n,
                            classes);
    if (c < 1 || h < 1 || w < 1 || (long long)c * h > (1 << 28) || (long long)c * h * w > (1 << 28))
        return rn_error_set(err, RN_ERR_SHAPE, "tensors of %dx%dx%d: every side must be at least 1, and one item at most 2^28 values", c, h,
                            w);
    rn_dataset *d = calloc(1, sizeof *d);
    if (!d)
        return rn_error_memory(err, "a data set", sizeof *d);
    d->path = strdup("tensors");
    d->items = calloc((size_t)n, sizeof *d->items);
    d->labels = calloc((size_t)classes, sizeof *d->labels);
    d->c = c;
    d->h = h;
    d->w = w;
    if (!d->path || !d->items || !d->labels) {
        status = rn_error_memory(err, "a data set of tensors", (unsigned long long)n * sizeof *d->items);
        goto fail;
    }
    d->count = n;
    for (int i = 0; i < classes; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        if (!(d->labels[i] = strdup(label_names ? label_names[i] : number))) {
            status = rn_error_memory(err, "labels", sizeof number);
            goto fail;
        }
        d->classes++;
    }
    if ((status = fill_tensor_items(d, x, labels, sources, err)))
        goto fail;
    *dataset = d;
    return 0;
fail:
    rn_dataset_close(&d);
    return status;
}

void rn_dataset_close(rn_dataset **dataset)
{
    rn_dataset *d = *dataset;
    if (!d)
        return;
    for (int i = 0; i < d->count; i++) {
        free(d->items[i].path);
        free(d->items[i].name);
        free(d->items[i].source);
        free(d->items[i].labels);
        free(d->items[i].labels_text);
    }
    for (int i = 0; i < d->classes; i++)
        free(d->labels[i]);
    for (int i = 0; i < d->warnings_count; i++)
        free(d->warnings[i]);
    for (int i = 0; i < d->blocks_count; i++)
        free(d->blocks[i]);
    free(d->blocks);
    free(d->items);
    free(d->labels);
    free(d->warnings);
    free(d->path);
    free(d);
    *dataset = NULL;
}

void rn_hash_text(uint64_t high, uint64_t low, char text[33])
{
    snprintf(text, 33, "%016llx%016llx", (unsigned long long)high, (unsigned long long)low);
}

int rn_hash_file(const char *path, int64_t offset, int64_t bytes, char text[33])
{
    enum { PIECE = 1 << 18 };
    XXH3_state_t *state = XXH3_createState();
    unsigned char *piece = malloc(PIECE);
    int number = 0, file = -1;
    int64_t left = bytes > 0 ? bytes : INT64_MAX;
    ssize_t got = 0;
    if (!state || !piece)
        number = ENOMEM;
    else if ((file = open(path, O_RDONLY | O_CLOEXEC)) < 0 || (offset && lseek(file, offset, SEEK_SET) < 0))
        number = errno;
    if (!number) {
        XXH3_128bits_reset(state);
        while (left > 0 && ((got = read(file, piece, left < PIECE ? (size_t)left : PIECE)) > 0 || (got < 0 && errno == EINTR)))
            if (got > 0) {
                XXH3_128bits_update(state, piece, (size_t)got);
                left -= got;
            }
        number = got < 0 ? errno : 0;
    }
    if (!number) {
        XXH128_hash_t hash = XXH3_128bits_digest(state);
        rn_hash_text(hash.high64, hash.low64, text);
    }
    if (file >= 0)
        close(file);
    free(piece);
    XXH3_freeState(state);
    return number;
}

typedef struct rn_hashing {
    rn_dataset *dataset;
    const int *order; /* items by path */
    const int *first; /* [files] where in `order` each file's items begin */
    int *failed;      /* [files] errno */
} rn_hashing;

static void hash_task(void *context, int task, int thread)
{
    rn_hashing *h = context;
    rn_item *item = &h->dataset->items[h->order[h->first[task]]];
    (void)thread;
    if (item->tensor || item->pixels) {
        size_t size = (size_t)h->dataset->c * (size_t)h->dataset->h * (size_t)h->dataset->w;
        XXH128_hash_t hash = item->pixels ? XXH3_128bits(item->pixels, size) : XXH3_128bits(item->tensor, size * sizeof *item->tensor);
        rn_hash_text(hash.high64, hash.low64, item->hash);
    } else
        h->failed[task] = rn_hash_file(item->path, item->offset, item->bytes, item->hash);
}

typedef struct rn_path_index {
    const char *path;
    int64_t offset;
    int item;
} rn_path_index;

static int compare_paths(const void *a, const void *b)
{
    const rn_path_index *p = a, *q = b;
    int order = strcmp(p->path, q->path);
    if (!order)
        order = (p->offset > q->offset) - (p->offset < q->offset);
    return order ? order : (p->item > q->item) - (p->item < q->item);
}

/* bad: NULL makes a file that cannot be read an error. */
static int hash_items(rn_dataset *d, rn_pool *pool, int *bad, rn_error *err)
{
    int status = 0, files = 0;
    size_t n = (size_t)d->count;
    rn_path_index *paths = malloc((n + 1) * sizeof *paths);
    int *order = malloc((n + 1) * sizeof *order), *first = malloc((n + 1) * sizeof *first), *failed = calloc(n + 1, sizeof *failed);
    if (!paths || !order || !first || !failed) {
        status = rn_error_memory(err, "hashing", (n + 1) * (sizeof *paths + 3 * sizeof *order));
        goto fail;
    }
    for (int i = 0; i < d->count; i++)
        paths[i] = (rn_path_index){d->items[i].path, d->items[i].offset, i};
    qsort(paths, n, sizeof *paths, compare_paths);
    for (int i = 0; i < d->count; i++) {
        order[i] = paths[i].item;
        if (!i || strcmp(paths[i].path, paths[i - 1].path) || paths[i].offset != paths[i - 1].offset)
            first[files++] = i;
    }
    first[files] = d->count;
    rn_hashing h = {d, order, first, failed};
    rn_pool_run(pool, files, hash_task, &h);
    int worst = -1, number = 0;
    for (int f = 0; f < files; f++) {
        for (int i = first[f] + 1; i < first[f + 1]; i++)
            memcpy(d->items[order[i]].hash, d->items[order[first[f]]].hash, sizeof d->items[0].hash);
        for (int i = first[f]; failed[f] && failed[f] != ENOMEM && bad && i < first[f + 1]; i++) {
            *bad += !d->items[order[i]].bad;
            d->items[order[i]].bad = 1;
        }
        if (failed[f] && (!bad || failed[f] == ENOMEM) && (worst < 0 || order[first[f]] < worst)) {
            worst = order[first[f]];
            number = failed[f];
        }
    }
    if (worst >= 0)
        status = rn_error_set(err, number == ENOMEM ? RN_ERR_MEMORY : RN_ERR_IO, "%.500s: %s", d->items[worst].path, rn_errno_text(number));
fail:
    free(paths);
    free(order);
    free(first);
    free(failed);
    return status;
}

int rn_dataset_hash(rn_dataset *d, rn_pool *pool, rn_error *err)
{
    return hash_items(d, pool, NULL, err);
}

int rn_dataset_hash_skip_bad(rn_dataset *d, rn_pool *pool, int *bad, rn_error *err)
{
    *bad = 0;
    return hash_items(d, pool, bad, err);
}

int rn_item_same_file(const rn_item *a, const rn_item *b)
{
    return a->offset == b->offset && !strcmp(a->path, b->path);
}

int rn_dataset_sources(const rn_dataset *d)
{
    const char **names = malloc(((size_t)d->count + 1) * sizeof *names);
    int sources = 0;
    if (!names)
        return -1;
    for (int i = 0; i < d->count; i++)
        names[i] = d->items[i].source;
    qsort(names, (size_t)d->count, sizeof *names, rn_compare_texts);
    for (int i = 0; i < d->count; i++)
        sources += !i || strcmp(names[i], names[i - 1]);
    free(names);
    return sources;
}
