/* Inside src/data: the samples of items. Items that are parts of one file are read in one pass over it: a seek into GSM or MP3
 * decodes everything before it, and 370 parts of five-minute tracks would take half a minute instead of a second. */
#ifndef RN_DATA_READING_H
#define RN_DATA_READING_H

#include "data/dataset.h"

/* How an item's sound is read: its part of its file, the data set's channel and raw kind; rate 0. */
void rn_reading_options(const rn_dataset *dataset, int item, rn_sound_options *options);

/* One item by itself. rate 0: as the file has it. */
int rn_reading_item(const rn_dataset *dataset, int item, int rate, int channel, rn_sound *out, rn_error *err);

/* Items of one path in ascending order of start; gives the same samples as rn_reading_item, to the bit. Set to {0} before use.
 * `out` has no channel_peaks where the item was read in a pass. */
typedef struct rn_pass {
    rn_sound_stream *stream;
    int64_t at; /* frames passed */
    int rate;
} rn_pass;
int rn_pass_read(rn_pass *pass, const rn_dataset *dataset, int item, int rate, int channel, rn_sound *out, rn_error *err);
void rn_pass_close(rn_pass *pass);

/* Files as ranges of items: first[f] .. first[f + 1] are items of one path. Returns the number of files; first needs count + 1 places. */
int rn_reading_files(const rn_dataset *dataset, int *first);

/* Calls visit(context, first, end) for every file on the pool's threads, in pieces between which progress is told. parts_only: only files
 * with an item that has a part (all files where no item has one). */
typedef void (*rn_visit_fn)(void *context, int first, int end);
int rn_reading_all(const rn_dataset *dataset, int parts_only, rn_pool *pool, rn_visit_fn visit, void *context, rn_progress_fn progress,
                   void *progress_context, rn_error *err);

/* How an item failed. text is malloc'ed; NULL where code is 0. */
typedef struct rn_failure {
    int code;
    char *text;
} rn_failure;
void rn_failure_note(rn_failure *failure, const rn_error *why, int code);
void rn_failures_free(rn_failure *failures, int count);

#endif
