/* Three parts, by source: train, validation, test, 70/15/15, stratified. */
#ifndef RN_DATA_SPLIT_H
#define RN_DATA_SPLIT_H

#include "data/dataset.h"

typedef struct rn_split_options {
    uint64_t seed;                  /* --split-seed, 0 */
    double train, validation, test; /* 0.70 0.15 0.15; validation or test 0: no such part */
} rn_split_options;

void rn_split_default(rn_split_options *options);
/* Sets item.part. Sources may span classes: the largest first, to the part that lacks most; every class in every part, or an error that
 * names the class and says what to add. Items whose part the manifest gave keep it, and the rest
 * of their source follows them. Items with the same content (where hashes are there) count as one source. Items
 * marked bad get no part. */
int rn_split_make(rn_dataset *dataset, const rn_split_options *options, rn_error *err);
/* split.csv: part,label,hash,start,end,path; atomic. Hashes must be there. */
int rn_split_write(const rn_dataset *dataset, const char *path, rn_error *err);
/* Finds each item by hash, start and end. Items the file does not know get RN_PART_NONE; *unknown and *missing count. */
int rn_split_read(rn_dataset *dataset, const char *path, int *unknown, int *missing, rn_error *err);
/* A hash (hex) of the (part, label, hash, start, end) lines of items that have a part: independent of paths and of order. */
void rn_split_digest(const rn_dataset *dataset, char digest[33]);
/* The same of a split file: equal to rn_split_digest of the data set it was written from. `eval` compares it with the model's, because DATA
 * may hold fewer or more items than the split. */
int rn_split_file_digest(const char *path, char digest[33], rn_error *err);
int rn_split_count(const rn_dataset *dataset, rn_part part, int label); /* label -1: all */

#endif
