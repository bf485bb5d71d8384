/* Files: read whole, or written so that a reader sees the old one or the new one, never half of either. */
#ifndef RN_BASE_FILE_H
#define RN_BASE_FILE_H

#include <stddef.h>
#include <stdio.h>
#include "base/error.h"

/* Reads a regular file of at most `limit` bytes; *data is malloc'ed (one NUL byte follows it) and the caller's. */
int rn_file_read(const char *path, size_t limit, unsigned char **data, size_t *size, rn_error *err);
/* The same from what was just opened under that name, and closes it; -1: errno says why it was not. */
int rn_file_read_from(int fd, const char *path, size_t limit, unsigned char **data, size_t *size, rn_error *err);

/* A file being written: rn_save_open makes PATH.tmp.PID beside it; rn_save_commit flushes (fsync), renames it over PATH and
 * syncs the folder; rn_save_drop removes it. A full disk is reported with how much was written, and PATH stays whole. */
typedef struct rn_save {
    FILE *file; /* write to it with rn_save_write or stdio */
    char *path, *temporary;
    unsigned long long written;
} rn_save;
int rn_save_open(rn_save *save, const char *path, rn_error *err);
int rn_save_write(rn_save *save, const void *data, size_t size, rn_error *err);
int rn_save_commit(rn_save *save, rn_error *err);
/* The same without waiting for the disk: for what is of no use after a crash. */
int rn_save_replace(rn_save *save, rn_error *err);
void rn_save_drop(rn_save *save); /* after a failure; harmless after a commit */

/* The text of errno for messages ("No space left on device"), without locale. */
const char *rn_errno_text(int number);

#endif
