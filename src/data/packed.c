/* What the readers of packed sets share (MNIST's IDX, CIFAR's binaries): pictures of one size in memory that the data set owns. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/listing.h"

int rn_listing_own(rn_listing *l, unsigned char *block, rn_error *err)
{
    rn_dataset *d = l->dataset;
    unsigned char **blocks = realloc(d->blocks, ((size_t)d->blocks_count + 1) * sizeof *blocks);
    if (!blocks) {
        free(block);
        return rn_error_memory(err, "a data set's memory", sizeof *blocks);
    }
    d->blocks = blocks;
    d->blocks[d->blocks_count++] = block;
    return 0;
}

int rn_listing_size(rn_listing *l, const char *file, int c, int h, int w, rn_error *err)
{
    rn_dataset *d = l->dataset;
    if (d->c && (d->c != c || d->h != h || d->w != w))
        return rn_error_set(err, RN_ERR_SHAPE,
                            "%.500s: pictures of %dx%dx%d, the files before it have %dx%dx%d; put them into another folder", file, c, h, w,
                            d->c, d->h, d->w);
    d->c = c;
    d->h = h;
    d->w = w;
    return 0;
}

int rn_listing_pixels(rn_listing *l, const char *set, int64_t index, int64_t count, rn_part part, int label, const rn_text_lines *labels,
                      const unsigned char *pixels, rn_error *err)
{
    char *path = NULL, number[24];
    const char *folder = l->dataset->path;
    size_t length = strlen(folder);
    int digits = 5; /* so that the order of the names is that of the file */
    for (int64_t most = 100000; most < count; most *= 10)
        digits++;
    while (length > 1 && folder[length - 1] == '/')
        length--;
    if (labels && labels->count && label >= labels->count)
        return rn_error_set(err, RN_ERR_DATA,
                            "%.300s: item %lld of %.100s is of class %d, the list of labels has %d; add the missing lines", folder,
                            (long long)index, set, label, labels->count);
    if (asprintf(&path, "%.*s/%s%s%0*lld", (int)length, folder, set, *set ? "/" : "", digits, (long long)index) < 0)
        return rn_error_memory(err, "a name", strlen(set));
    snprintf(number, sizeof number, "%d", label);
    const char *name = path + length + 1;
    rn_entry entry = {.path = path, .name = name, .source = name, .weight = 1, .part = part, .pixels = pixels};
    entry.label = labels && labels->count ? labels->line[label] : number;
    int status = rn_listing_add(l, &entry, err);
    free(path);
    return status;
}
