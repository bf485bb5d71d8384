/* MNIST's files, and those of the sets that took their form (Fashion-MNIST, KMNIST, EMNIST): IDX, plain or gzip.
 *
 * IDX is big-endian: two bytes 0, the type of the values (0x08: bytes), the number of dimensions, a 32-bit size for each, then the values.
 * Pictures are NAME-images-idx3-ubyte (n x rows x columns), their classes NAME-labels-idx1-ubyte (n); each may end in .gz, and a dot may
 * stand for the hyphen before idx. A word of NAME tells the part: train, val, test or t10k. labels.txt beside them names the classes.
 *
 * A gzip's size is not known before it is unpacked. Deflate makes at most 1,032 bytes of one, so dimensions that the file cannot hold are
 * refused before room is taken for them, and whatever would come after their product is never unpacked.
 *
 * Source: Y. LeCun, C. Cortes, C. Burges, THE MNIST DATABASE of handwritten digits; RFC 1951 and 1952. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"
#include "data/listing.h"

#define FILE_LIMIT ((int64_t)1 << 34) /* bytes of one file's pixels: they stay in memory */
enum { INFLATION = 1032, BYTES = 0x08 };

/* Exactly `size` bytes. */
static int read_bytes(gzFile file, const char *path, void *out, int64_t size, rn_error *err)
{
    int64_t have = 0;
    while (have < size) {
        unsigned want = size - have < 1 << 24 ? (unsigned)(size - have) : 1u << 24;
        int got = gzread(file, (char *)out + have, want), code = 0;
        if (got < 0)
            return rn_error_set(err, RN_ERR_FORMAT, "%.500s: damaged (%.100s); fetch it again", path, gzerror(file, &code));
        if (!got)
            return rn_error_set(err, RN_ERR_FORMAT, "%.500s: ends after %lld of %lld bytes; fetch it again", path, (long long)have,
                                (long long)size);
        have += got;
    }
    return 0;
}

/* Could a file of so many bytes hold what the dimensions ask for? */
static int check_dims(gzFile file, const char *path, int rank, const int64_t dims[3], int64_t *count, rn_error *err)
{
    struct stat info;
    int64_t head = 4 + 4 * rank;
    if (stat(path, &info))
        return rn_error_set(err, RN_ERR_IO, "%.500s: %s", path, rn_errno_text(errno));
    *count = 1;
    for (int i = 0; i < rank; i++)
        if (dims[i] < 1 || dims[i] > (i ? 1 << 14 : RN_ITEMS_LIMIT) || *count > FILE_LIMIT / dims[i])
            return rn_error_set(err, RN_ERR_FORMAT, "%.500s: dimension %d is %lld; up to %d items with sides up to %d and %lld GiB in all",
                                path, i + 1, (long long)dims[i], RN_ITEMS_LIMIT, 1 << 14, (long long)(FILE_LIMIT >> 30));
        else
            *count *= dims[i];
    if (gzdirect(file) ? *count != info.st_size - head : *count > (int64_t)info.st_size * INFLATION)
        return rn_error_set(err, RN_ERR_FORMAT, "%.500s: its dimensions are of %lld bytes, and %s %lld; fetch it again", path,
                            (long long)*count, gzdirect(file) ? "there are" : "it cannot hold them in",
                            (long long)(gzdirect(file) ? info.st_size - head : info.st_size));
    return 0;
}

/* data: malloc'ed, dims[0] x ... values. */
static int read_idx(const char *path, int rank, int64_t dims[3], unsigned char **data, rn_error *err)
{
    unsigned char head[16] = {0}, beyond;
    int64_t count = 0;
    *data = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe without a writer must not hang */
    gzFile file = fd < 0 ? NULL : gzdopen(fd, "rb");
    if (!file) {
        int number = fd < 0 ? errno : ENOMEM;
        if (fd >= 0)
            close(fd);
        return rn_error_set(err, RN_ERR_IO, "%.500s: %s", path, rn_errno_text(number));
    }
    int status = read_bytes(file, path, head, 4 + 4 * rank, err);
    if (!status && (head[0] || head[1] || head[3] != rank))
        status = rn_error_set(err, RN_ERR_FORMAT, "%.500s: begins with %02x %02x %02x %02x, IDX with %d dimension%s with 00 00 08 %02x",
                              path, head[0], head[1], head[2], head[3], rank, rank == 1 ? "" : "s", rank);
    else if (!status && head[2] != BYTES)
        status = rn_error_set(err, RN_ERR_UNSUPPORTED, "%.500s: values of type 0x%02x; only bytes (0x08) are read", path, head[2]);
    for (int i = 0; i < rank; i++)
        dims[i] = (int64_t)head[4 + 4 * i] << 24 | head[5 + 4 * i] << 16 | head[6 + 4 * i] << 8 | head[7 + 4 * i];
    if (!status)
        status = check_dims(file, path, rank, dims, &count, err);
    if (!status && !(*data = malloc((size_t)count)))
        status = rn_error_memory(err, path, (unsigned long long)count);
    if (!status)
        status = read_bytes(file, path, *data, count, err);
    /* Asking for one byte more has zlib compare the checksum, too. */
    int more = status ? 0 : gzread(file, &beyond, 1), code = 0;
    if (more < 0)
        status = rn_error_set(err, RN_ERR_FORMAT, "%.500s: damaged (%.100s); fetch it again", path, gzerror(file, &code));
    else if (more > 0)
        status =
            rn_error_set(err, RN_ERR_FORMAT, "%.500s: more bytes than its dimensions say (%lld); fetch it again", path, (long long)count);
    gzclose_r(file);
    if (status) {
        free(*data);
        *data = NULL;
    }
    return status;
}

/* NAME of "NAME-images-idx3-ubyte.gz", its length; -1 for another file. */
static int stem_of(const char *file)
{
    static const char *const ends[] = {"images-idx3-ubyte", "images.idx3-ubyte", "images-idx3-ubyte.gz", "images.idx3-ubyte.gz"};
    size_t length = strlen(file);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t end = strlen(ends[i]);
        if (length >= end && !strcmp(file + length - end, ends[i]))
            return (int)(length - end);
    }
    return -1;
}

/* The labels beside it; NULL without one. malloc'ed. */
static char *find_labels(const char *folder, const char *file, int stem)
{
    static const char *const ends[] = {"labels-idx1-ubyte", "labels.idx1-ubyte", "labels-idx1-ubyte.gz", "labels.idx1-ubyte.gz"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char *path = NULL;
        if (asprintf(&path, "%s/%.*s%s", folder, stem, file, ends[i]) < 0)
            return NULL;
        if (!access(path, F_OK))
            return path;
        free(path);
    }
    return NULL;
}

static int list_pair(rn_listing *l, const char *folder, const char *file, int stem, const rn_text_lines *names, rn_error *err)
{
    char *images = NULL, *labels = find_labels(folder, file, stem), set[256];
    unsigned char *pixels = NULL, *numbers = NULL;
    int64_t dims[3], count[3];
    int status = 0;
    snprintf(set, sizeof set, "%.*s", stem > 0 && strchr("-_.", file[stem - 1]) ? stem - 1 : stem, file);
    if (!labels)
        status = rn_error_set(err, RN_ERR_IO, "%.300s/%.*slabels-idx1-ubyte: no such file, with .gz or without; the labels of %.200s",
                              folder, stem, file, file);
    else if (asprintf(&images, "%s/%s", folder, file) < 0) {
        images = NULL;
        status = rn_error_memory(err, "a path", strlen(folder));
    }
    if (status || (status = read_idx(images, 3, dims, &pixels, err)) || (status = rn_listing_own(l, pixels, err)) ||
        (status = rn_listing_size(l, images, 1, (int)dims[1], (int)dims[2], err)) || (status = read_idx(labels, 1, count, &numbers, err)))
        goto fail;
    if (count[0] != dims[0])
        status = rn_error_set(err, RN_ERR_DATA, "%.300s: %lld labels for the %lld pictures of %.200s", labels, (long long)count[0],
                              (long long)dims[0], file);
    for (int64_t i = 0; i < dims[0] && !status; i++)
        status = rn_listing_pixels(l, set, i, dims[0], rn_part_of_name(set), numbers[i], names, pixels + i * dims[1] * dims[2], err);
fail:
    free(numbers);
    free(images);
    free(labels);
    return status;
}

int rn_listing_idx(rn_listing *l, const char *path, int *found, rn_error *err)
{
    char **names = NULL;
    int count = 0, last = -1, status = rn_names_read(path, &names, &count, err);
    rn_text_lines labels = {0};
    for (int i = 0; i < count && !status; i++) {
        int stem = stem_of(names[i]);
        /* X and X.gz stand one after the other, and are the same. */
        if (stem < 0 || (last >= 0 && stem_of(names[last]) == stem && !strncmp(names[last], names[i], (size_t)stem)))
            continue;
        if (!*found)
            status = rn_lines_labels(&labels, path, "labels.txt", err);
        *found = 1;
        last = i;
        if (!status)
            status = list_pair(l, path, names[i], stem, &labels, err);
    }
    rn_lines_free(&labels);
    rn_names_free(names, count);
    return status;
}
