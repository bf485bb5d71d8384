/* A data set: items with labels and sources, listed in byte order, from a folder, a manifest, tables of selections, a set that comes packed
 * (MNIST, CIFAR), or the caller's tensors. */
#ifndef RN_DATA_DATASET_H
#define RN_DATA_DATASET_H

#include <stdint.h>
#include "base/error.h"
#include "base/threads.h"
#include "media/sound.h"

/* Progress of anything long: items done and in all. Nonzero return: stop, with RN_ERR_CANCELLED. */
typedef int (*rn_progress_fn)(void *context, int64_t done, int64_t total);

typedef enum rn_part { RN_PART_NONE = -1, RN_PART_TRAIN, RN_PART_VALIDATION, RN_PART_TEST, RN_PARTS } rn_part;

#define RN_SILENT_PEAK 0.001f /* -60 dB of full scale: a recording that stays below is silent */

typedef struct rn_item {
    char *path; /* as it can be opened; "tensor 17" for the caller's tensors */
    char *name; /* path relative to the data set, for messages and split files */
    int label;  /* index into labels; with several labels the first, 0 where there is none: not to be counted then */
    int *labels, labels_count; /* with several labels: indices, ascending */
    char *labels_text;         /* with several labels: "robin|wren", "" for none; NULL otherwise */
    /* Items of one source stay in one part. Default: the path without extension; in a folder that below the class's folder
     * (robin/0413.wav and wren/0413.wav share a source), in a manifest as it is written there. */
    char *source;
    double start_s, end_s;       /* a segment of the file; end 0: to its end */
    double weight;               /* 1 */
    rn_part part;                /* from the manifest's `split` column, or from a split; RN_PART_NONE */
    char hash[33];               /* XXH3-128 of the file's bytes, hex; "" until rn_dataset_hash */
    const float *tensor;         /* the caller's memory, [c][h][w]; NULL for files */
    int64_t offset, bytes;       /* bytes > 0: the encoded file is this part of `path` (a tar's member) */
    const unsigned char *pixels; /* raw 8-bit [c][h][w] in the data set's memory; NULL for files */
    unsigned char bad;           /* set by --skip-bad after a failed decode: left out and counted */
} rn_item;

/* A network has one kind of input. */
typedef enum rn_kind { RN_SOUND, RN_PICTURES, RN_ARRAYS } rn_kind;

typedef struct rn_dataset {
    char *path;
    int count, classes;
    rn_item *items;
    char **labels;          /* byte order */
    int several;            /* items have any number of labels, or none */
    rn_sound_options sound; /* raw format, channel; rate 0 */
    int64_t most_pixels;    /* of a picture; 0: RN_IMAGE_PIXELS */
    int c, h, w;            /* of tensor items, .npy items and pixels; 0 for files of sound and pictures */
    unsigned char **blocks; /* memory that items' pixels lie in; freed with the data set */
    int blocks_count;
    int warnings_count;
    char **warnings;         /* symlink loops, names twin in NFC and NFD, unknown extensions */
    int warnings_extensions; /* so many of the last warnings are about unknown extensions */
} rn_dataset;

/* DATA: every kind that docs/data-sets.md has. Errors: no class, one class, unknown columns, missing files. Items are sorted by name, start and end in bytes, whatever the order of the folder or manifest. */
int rn_dataset_open(rn_dataset **dataset, const char *path, const rn_sound_options *sound, rn_error *err);
/* The caller's tensors, borrowed: x [n][c][h][w], labels [n] in [0, classes). sources may be NULL. */
int rn_dataset_from_tensors(rn_dataset **dataset, const float *x, const int *labels, int n, int c, int h, int w,
                            const char *const *label_names, int classes, const char *const *sources, rn_error *err);
const char *rn_kind_name(rn_kind kind);                                 /* "recordings", "pictures", "arrays" */
rn_kind rn_dataset_kind(const rn_dataset *dataset);                     /* of its first item: all are of one */
int rn_dataset_hash(rn_dataset *dataset, rn_pool *pool, rn_error *err); /* fills every item's hash; all that can be, before an error */
/* The same, but a file that cannot be read is marked bad and counted instead of being an error (--skip-bad). */
int rn_dataset_hash_skip_bad(rn_dataset *dataset, rn_pool *pool, int *bad, rn_error *err);
int rn_item_same_file(const rn_item *a, const rn_item *b); /* stretches of one file, or of one part of a file */
int rn_dataset_sources(const rn_dataset *dataset); /* how many different sources; -1 if memory is out */
void rn_dataset_close(rn_dataset **dataset);

/* labels.c: the classes of an item, one or several. */
const int *rn_item_classes(const rn_dataset *dataset, const rn_item *item, int *count); /* ascending */
int rn_item_has(const rn_dataset *dataset, const rn_item *item, int label);
const char *rn_item_label_text(const rn_dataset *dataset, const rn_item *item); /* "robin", "robin|wren", "" */
/* Gives an item of a data set of several labels these; takes `labels`, which is malloc'ed and need be in no order. */
int rn_item_set_labels(const rn_dataset *dataset, rn_item *item, int *labels, int count, rn_error *err);
/* A data set of one label an item as one of several, each with its one. */
int rn_dataset_make_several(rn_dataset *dataset, rn_error *err);

#endif
