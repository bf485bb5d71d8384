/* What a file that libsndfile refuses may be, and how to convert it; see foreign.c. */
#ifndef RN_MEDIA_FOREIGN_H
#define RN_MEDIA_FOREIGN_H

#include <stddef.h>
#include "base/error.h"

/* The part of `path` after its last dot, "" if there is none. */
const char *rn_path_extension(const char *path);

/* Equal but for the case of ASCII letters, in every locale. */
int rn_same_word(const char *a, const char *b);

/* Fills err for a file that could not be opened: says what it is, by its first bytes or extension, and the ffmpeg line. */
int rn_foreign_error(const char *path, const unsigned char *head, size_t head_size, long long size, rn_error *err);

#endif
