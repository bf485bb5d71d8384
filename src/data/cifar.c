/* CIFAR-10 and CIFAR-100 in their binary form ("suitable for C programs").
 *
 * CIFAR-10: data_batch_1.bin to data_batch_5.bin (train), test_batch.bin; records of 1 byte of class and 3 x 32 x 32 of pixels, planes of red,
 * green and blue, row by row. batches.meta.txt has the classes' names. CIFAR-100: train.bin, test.bin; the class stands twice, coarse (of 20)
 * and fine (of 100, which is the one used; fine_label_names.txt).
 *
 * The form for Python is pickles, which are programs: refused.
 *
 * Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009, and the page of the data sets. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "data/listing.h"

enum { SIDE = 32, PIXELS = 3 * SIDE * SIDE };
#define FILE_LIMIT ((size_t)1 << 32)

typedef struct rn_cifar {
    const char *name, *labels; /* of the set, and its list of labels */
    int classes, numbers;      /* bytes of class before the pixels; the last one counts */
} rn_cifar;

static const rn_cifar cifar10 = {"CIFAR-10", "batches.meta.txt", 10, 1}, cifar100 = {"CIFAR-100", "fine_label_names.txt", 100, 2};

static int is_file(const char *folder, const char *name, unsigned char *first)
{
    char *path = NULL;
    struct stat info;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        return 0;
    FILE *file = !stat(path, &info) && S_ISREG(info.st_mode) ? fopen(path, "rbe") : NULL;
    int got = file && (!first || fread(first, 1, 1, file) == 1);
    if (file)
        fclose(file);
    free(path);
    return got;
}

/* A pickle of protocol 2 or later begins with this byte. */
static int is_pickle(const char *folder, const char *name)
{
    unsigned char first = 0;
    return is_file(folder, name, &first) && first == 0x80;
}

static int list_file(rn_listing *l, const rn_cifar *kind, const char *folder, const char *name, const rn_text_lines *labels, rn_error *err)
{
    unsigned char *data = NULL;
    char *path = NULL, set[64];
    size_t size = 0, record = (size_t)kind->numbers + PIXELS;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        return rn_error_memory(err, "a path", strlen(folder));
    snprintf(set, sizeof set, "%.*s", (int)strcspn(name, "."), name);
    int status = rn_file_read(path, FILE_LIMIT, &data, &size, err);
    if (!status && (!size || size % record)) {
        status = rn_error_set(err, RN_ERR_FORMAT, "%.500s: %zu bytes are no whole number of %s's records of %zu; fetch it again", path,
                              size, kind->name, record);
        free(data);
    } else if (!status && !(status = rn_listing_own(l, data, err)))
        status = rn_listing_size(l, path, 3, SIDE, SIDE, err);
    for (size_t i = 0; !status && i < size / record; i++) {
        const unsigned char *at = data + i * record;
        int label = at[kind->numbers - 1];
        if (label >= kind->classes)
            status = rn_error_set(err, RN_ERR_DATA, "%.500s: record %zu is of class %d, %s has %d; fetch it again", path, i, label,
                                  kind->name, kind->classes);
        else
            status = rn_listing_pixels(l, set, (int64_t)i, (int64_t)(size / record),
                                       strncmp(name, "test", 4) ? RN_PART_TRAIN : RN_PART_TEST, label, labels, at + kind->numbers, err);
    }
    free(path);
    return status;
}

static int belongs(const rn_cifar *kind, const char *name)
{
    const char *extension = rn_text_extension(name);
    if (strcmp(extension, "bin"))
        return 0;
    return kind == &cifar10 ? !strncmp(name, "data_batch_", 11) || !strcmp(name, "test_batch.bin")
                            : !strcmp(name, "train.bin") || !strcmp(name, "test.bin");
}

int rn_listing_cifar(rn_listing *l, const char *path, int *found, rn_error *err)
{
    const rn_cifar *kind = is_file(path, cifar100.labels, NULL) ? &cifar100 : &cifar10;
    rn_text_lines labels = {0};
    char **names = NULL;
    int count = 0, status;
    if (is_pickle(path, "data_batch_1") || (is_pickle(path, "train") && is_pickle(path, "test") && is_pickle(path, "meta"))) {
        *found = 1;
        return rn_error_set(
            err, RN_ERR_UNSUPPORTED,
            "%.400s: CIFAR as pickles for Python, which are programs and are not run; fetch the \"binary version (suitable for "
            "C programs)\" from the same page, and give its folder",
            path);
    }
    if (!(status = rn_names_read(path, &names, &count, err)))
        status = rn_lines_labels(&labels, path, kind->labels, err);
    for (int i = 0; i < count && !status; i++)
        if (belongs(kind, names[i])) {
            *found = 1;
            status = list_file(l, kind, path, names[i], &labels, err);
        }
    rn_lines_free(&labels);
    rn_names_free(names, count);
    return status;
}
