/* Inside src/data: a data set while it is being listed. Folder and manifest readers add items; finishing sorts them, numbers the
 * labels and looks for what is odd about names. */
#ifndef RN_DATA_LISTING_H
#define RN_DATA_LISTING_H

#include "data/dataset.h"

#define RN_ITEMS_LIMIT (1 << 28) /* items of one data set: indices stay far from int's end */
#define RN_LABEL_LIMIT 255       /* bytes of a label */
#define RN_WARNINGS_OF_A_KIND 20 /* then one line counts the rest */
#define RN_DATA_IS                                                                                                                        \
    "a folder with one sub-folder per class, a manifest (.csv, .jsonl), a selection table of Raven or labels of Audacity (.txt), a "      \
    "folder of such tables beside their recordings, or a set as MNIST, CIFAR, WebDataset (tars), Kaldi or WeSpeaker have it (resnet help train)"

/* lines.c: a text file's lines, without their ends (LF or CRLF), byte order mark and empty lines at the end. Refused: a NUL byte. */
typedef struct rn_text_lines {
    char *data, **line;
    int count;
} rn_text_lines;
int rn_lines_read(rn_text_lines *lines, const char *path, rn_error *err);
/* The same if there is such a file in the folder, else {0}: a label a line, the first is number 0. */
int rn_lines_labels(rn_text_lines *lines, const char *folder, const char *name, rn_error *err);
void rn_lines_free(rn_text_lines *lines);

typedef struct rn_listing {
    rn_dataset *dataset;
    char **item_labels; /* [dataset->count] */
    int several;        /* some item has a list of labels: item_labels are such lists, separated by | or ; */
    int capacity, labels_capacity, warnings_capacity;
    struct {
        char extension[24];
        int count;
        char *first;
    } unknown[64]; /* extensions that nothing here decodes */
    int unknown_count;
} rn_listing;

/* One item as a reader found it; text is copied. */
typedef struct rn_entry {
    const char *path, *name, *label;
    const char *source; /* NULL: the name without its extension */
    double start_s, end_s, weight;
    rn_part part;
    int64_t offset, bytes; /* as rn_item has them, and */
    const unsigned char *pixels;
    int several; /* label is a list, perhaps an empty one */
} rn_entry;

int rn_listing_start(rn_listing *l, const char *path, const rn_sound_options *sound, rn_error *err);
int rn_listing_add(rn_listing *l, const rn_entry *entry, rn_error *err);
int rn_listing_warn(rn_listing *l, rn_error *err, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* 1 if an item can be made of this file, judged by its name; else its extension is counted for a warning (0), or memory is out (< 0). */
int rn_listing_wants(rn_listing *l, const char *path, const char *name, rn_error *err);
int rn_listing_takes(const rn_listing *l, const char *path); /* the same judgement, counting nothing */
int rn_listing_finish(rn_listing *l, rn_dataset **dataset, rn_error *err);
void rn_listing_drop(rn_listing *l);

int rn_listing_folder(rn_listing *l, const char *path, rn_error *err);
int rn_listing_csv(rn_listing *l, const char *path, rn_error *err);
int rn_listing_json_lines(rn_listing *l, const char *path, rn_error *err);
/* tables.c: a table of selections, or all that lie in a folder without sub-folders; *tables: how many there were, 0 for another folder. */
int rn_listing_table(rn_listing *l, const char *path, rn_error *err);
int rn_listing_tables(rn_listing *l, const char *path, int *tables, rn_error *err);

/* Sets that come packed. *found: 0 for another folder, which is left for the next reader. */
int rn_listing_idx(rn_listing *l, const char *path, int *found, rn_error *err);
int rn_listing_cifar(rn_listing *l, const char *path, int *found, rn_error *err);
int rn_listing_shard_folder(rn_listing *l, const char *path, int *found, rn_error *err);
int rn_listing_kaldi(rn_listing *l, const char *path, int *found, rn_error *err);
int rn_listing_shards(rn_listing *l, const char *pattern, rn_error *err);       /* one tar, or x-{000..146}.tar */
int rn_listing_list(rn_listing *l, const char *path, rn_error *err);            /* .list: a tar a line, or an object a line */
int rn_is_tar(const char *path);                                                /* by its name; a compressed one too */

/* packed.c: what those share. Items are pictures of one size, all in memory. */
int rn_listing_own(rn_listing *l, unsigned char *block, rn_error *err); /* freed with the data set; also after an error */
int rn_listing_size(rn_listing *l, const char *file, int c, int h, int w, rn_error *err); /* all files must agree */
/* Item `index` of `count` in the file or files called `set`: named SET/00017. labels NULL: the label is the number. */
int rn_listing_pixels(rn_listing *l, const char *set, int64_t index, int64_t count, rn_part part, int label, const rn_text_lines *labels,
                      const unsigned char *pixels, rn_error *err);

/* folder.c: the names in a folder that do not begin with a dot, in byte order; rn_names_free them, also after an error. */
int rn_names_read(const char *path, char ***names, int *count, rn_error *err);
void rn_names_free(char **names, int count);
int rn_compare_texts(const void *a, const void *b); /* of char *, for qsort and bsearch */

/* manifest.c: one row of either kind of manifest. `line` is for messages. */
typedef struct rn_row {
    const char *path, *label, *split, *source;
    double start_s, end_s, weight;
    int several; /* label is a list, perhaps an empty one */
} rn_row;
char *rn_path_beside(const char *file, const char *path); /* relative paths begin at the file's folder; malloc'ed */
int rn_listing_row(rn_listing *l, const char *manifest, long line, const rn_row *row, rn_error *err);
/* Decimal digits only ("12", "0.25", "1e-3"), at most 15 significant ones: exact under every locale. Returns 0, or -1. */
int rn_text_number(const char *text, double *value);

/* labels.c: of lists of labels. */
int rn_labels_fit(const char *text); /* none is longer than RN_LABEL_LIMIT */
int rn_listing_number_several(rn_listing *l, rn_error *err);

/* csv.c: RFC 4180 with BOM, LF or CRLF. Fields live until the next call, and may be written to. */
typedef struct rn_csv {
    char separator; /* ',', or after opening '\t': then quotes mean nothing */
    const char *name;
    unsigned char *data;
    size_t size, at;
    long line; /* of the record just read, 1-based */
    long next_line;
    char **fields;
    int count, capacity;
} rn_csv;
int rn_csv_open(rn_csv *csv, const char *path, rn_error *err);
int rn_csv_parse(rn_csv *csv, const char *name, const void *data, size_t size, rn_error *err); /* copies data */
int rn_csv_next(rn_csv *csv, int *more, rn_error *err); /* *more = 0 at the end; blank lines are passed over */
void rn_csv_close(rn_csv *csv);

rn_kind rn_item_kind(const rn_item *item);

/* names.c */
char *rn_text_printable(const char *text);       /* other bytes as \xNN; malloc'ed, NULL if memory is out */
char *rn_text_twin_key(const char *text);        /* equal for NFC and NFD spellings; malloc'ed */
const char *rn_text_extension(const char *path); /* after the last dot of the last part, "" if none */

/* A hash of 128 bits as 32 hexadecimal digits, high word first. */
void rn_hash_text(uint64_t high, uint64_t low, char text[33]);
/* XXH3-128 of a file's bytes; bytes > 0: of so many from offset on. Returns 0, or errno. */
int rn_hash_file(const char *path, int64_t offset, int64_t bytes, char text[33]);

/* A part's name in a manifest or split file: train, validation (valid, val, dev), test. */
int rn_part_parse(const char *text, rn_part *part);
const char *rn_part_name(rn_part part);
/* The first word in a file's name that is a part's: "imagenet-train-000.tar"; "t10k" is MNIST's test part. */
rn_part rn_part_of_name(const char *name);

#endif
