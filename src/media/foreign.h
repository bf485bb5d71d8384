/* What a file that no decoder here reads may be, and how to convert it; see foreign.c. */
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

/* The same for a file that is none of the kinds of pictures that are read. `data` is its beginning or all of it. */
int rn_foreign_image_error(const char *path, const unsigned char *data, size_t size, rn_error *err);

/* "PATH: KIND cannot be read here. Convert it: ffmpeg ...", for a picture; returns RN_ERR_FORMAT. */
int rn_foreign_image_convert(const char *path, const char *kind, rn_error *err);

#endif
