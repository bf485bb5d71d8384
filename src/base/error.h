/* Errors: a code and a sentence, written into the caller's rn_error. */
#ifndef RN_BASE_ERROR_H
#define RN_BASE_ERROR_H

#include "resnet.h"

/* Writes the sentence (cut at the size of err->text, never inside a UTF-8 sequence) and returns `code`.
 * err may be NULL: then only the code travels. */
int rn_error_set(rn_error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* "No memory for WHAT (N MiB)": every failed allocation says what it was for. Returns RN_ERR_MEMORY. */
int rn_error_memory(rn_error *err, const char *what, unsigned long long bytes);

#endif
