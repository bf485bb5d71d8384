/* A store of embeddings: an SQLite database that `resnet embed -o X.sqlite` fills file by file and a search reads.
 * docs/embedding-store.md has the tables.
 *
 * Everything happens in this order: open, use, then for each file find, and begin, window ..., keep (or drop); commit as often as the
 * caller wants to be able to say what is stored. One store belongs to one thread. Functions return 0 or a negative RN_ERR_*. */
#ifndef RESNET_CLI_STORE_H
#define RESNET_CLI_STORE_H

#include <stdint.h>
#include "resnet.h"

typedef struct store store;

/* What the vectors come from. */
typedef struct store_model {
    const char *hash, *path, *arch; /* of the model's file */
    int numbers;                    /* of a vector */
    const char *options;            /* all else that the vectors depend on, as JSON */
} store_model;

/* What a recording is known by. */
typedef struct store_file {
    const char *path;
    int64_t size, mtime_ns;
    char hash[33]; /* XXH3-128 of its bytes */
} store_file;

/* Opens a store, or makes one where there is no file, or an empty one. Anything else that is there stays as it is: RN_ERR_FORMAT. */
int store_open(store **s, const char *path, rn_error *err);

/* The model and options of what is asked and stored from now on; `model` must outlive the store. */
int store_use(store *s, const store_model *model, rn_error *err);

/* Fills `known` but for its path, and sets *found, if vectors of that path are stored that this model made with these options. */
int store_find(store *s, const char *path, store_file *known, int *found, rn_error *err);

/* Begins a file, whose vectors under this model are to replace those stored before. Waits up to 30 s for another writer. */
int store_begin(store *s, const store_file *file, rn_error *err);
int store_window(store *s, double start_s, double end_s, const float *vector, rn_error *err);
int store_keep(store *s, rn_error *err); /* the file is whole */
int store_drop(store *s, rn_error *err); /* what was stored for this path before stays */

/* The same content under another time of change. */
int store_touch(store *s, const store_file *file, rn_error *err);

/* When it returns 0, every file that was kept is on the disk. */
int store_commit(store *s, rn_error *err);

/* What was not committed is lost. */
void store_close(store **s);

#endif
