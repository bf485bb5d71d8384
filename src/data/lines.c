/* Text files line by line: lists of labels and of shards, Kaldi's tables. See data/listing.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "data/listing.h"

void rn_lines_free(rn_text_lines *lines)
{
    free(lines->line);
    free(lines->data);
    memset(lines, 0, sizeof *lines);
}

int rn_lines_read(rn_text_lines *lines, const char *path, rn_error *err)
{
    unsigned char *data = NULL;
    size_t size = 0, most = 1;
    memset(lines, 0, sizeof *lines);
    int status = rn_file_read(path, (size_t)1 << 30, &data, &size, err);
    if (status)
        return status;
    lines->data = (char *)data;
    size_t at = size >= 3 && !memcmp(data, "\xEF\xBB\xBF", 3) ? 3 : 0;
    for (size_t i = at; i < size; i++)
        most += data[i] == '\n';
    if (memchr(data, 0, size))
        status = rn_error_set(err, RN_ERR_FORMAT, "%.500s: a NUL byte; this must be text", path);
    else if (most > RN_ITEMS_LIMIT)
        status = rn_error_set(err, RN_ERR_FORMAT, "%.500s: more than %d lines", path, RN_ITEMS_LIMIT);
    else if (!(lines->line = malloc(most * sizeof *lines->line)))
        status = rn_error_memory(err, "lines of text", most * sizeof *lines->line);
    while (!status && at < size) {
        char *begin = lines->data + at, *end = memchr(begin, '\n', size - at);
        size_t length = end ? (size_t)(end - begin) : size - at;
        at += length + 1;
        begin[length] = 0; /* where the file ends without a line's end, on the byte that rn_file_read adds */
        if (length && begin[length - 1] == '\r')
            begin[length - 1] = 0;
        lines->line[lines->count++] = begin;
    }
    while (lines->count && !*lines->line[lines->count - 1])
        lines->count--;
    if (status)
        rn_lines_free(lines);
    return status;
}

int rn_lines_labels(rn_text_lines *lines, const char *folder, const char *name, rn_error *err)
{
    char *path = NULL;
    memset(lines, 0, sizeof *lines);
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        return rn_error_memory(err, "a path", strlen(folder));
    int status = access(path, F_OK) ? 0 : rn_lines_read(lines, path, err);
    for (int i = 0; i < lines->count && !status; i++)
        if (!*lines->line[i])
            status = rn_error_set(err, RN_ERR_FORMAT, "%.500s, line %d: empty; one label a line, the first is number 0", path, i + 1);
    free(path);
    return status;
}
