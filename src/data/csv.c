/* Comma-separated values as RFC 4180 has them: fields in double quotes may hold commas, line breaks and doubled quotes. A byte order
 * mark is passed over; lines end in LF or CRLF, the last one may end with the file. With a tab for the separator a quote is a character like
 * any other: what programs write so has none that mean more.
 *
 * Refused, with the line: a NUL byte, text after a closing quote, a quote inside a bare field, a quote that never closes, a field above
 * 64 KiB, more than 256 fields. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/listing.h"

enum { FIELD_LIMIT = 1 << 16, FIELDS_LIMIT = 256 };

static int start(rn_csv *csv, const char *name, rn_error *err)
{
    csv->at = csv->size >= 3 && !memcmp(csv->data, "\xEF\xBB\xBF", 3) ? 3 : 0;
    csv->next_line = 1;
    csv->fields = malloc(FIELDS_LIMIT * sizeof *csv->fields);
    csv->name = name;
    csv->capacity = FIELDS_LIMIT;
    csv->separator = ',';
    return csv->fields ? 0 : rn_error_memory(err, "a manifest's fields", FIELDS_LIMIT * sizeof *csv->fields);
}

int rn_csv_open(rn_csv *csv, const char *path, rn_error *err)
{
    memset(csv, 0, sizeof *csv);
    int status = rn_file_read(path, (size_t)1 << 30, &csv->data, &csv->size, err);
    if (!status && (status = start(csv, path, err)))
        rn_csv_close(csv);
    return status;
}

int rn_csv_parse(rn_csv *csv, const char *name, const void *data, size_t size, rn_error *err)
{
    memset(csv, 0, sizeof *csv);
    if (!(csv->data = malloc(size + 1)))
        return rn_error_memory(err, "a manifest", size);
    if (size)
        memcpy(csv->data, data, size);
    csv->size = size;
    int status = start(csv, name, err);
    if (status)
        rn_csv_close(csv);
    return status;
}

void rn_csv_close(rn_csv *csv)
{
    free(csv->data);
    free(csv->fields);
    memset(csv, 0, sizeof *csv);
}

static int at_line_end(const rn_csv *csv)
{
    return csv->at >= csv->size || csv->data[csv->at] == '\n' ||
           (csv->data[csv->at] == '\r' && csv->at + 1 < csv->size && csv->data[csv->at + 1] == '\n');
}

static void pass_line_end(rn_csv *csv)
{
    csv->at += csv->at < csv->size && csv->data[csv->at] == '\r';
    csv->at += csv->at < csv->size;
    csv->next_line++;
}

/* Fields are written over the bytes they were read from (they only get shorter); the separator behind becomes their NUL. */
static int read_field(rn_csv *csv, unsigned char **out, rn_error *err)
{
    unsigned char *o = csv->data + csv->at, *begin = o;
    int quotes = csv->separator == ',', quoted = quotes && csv->at < csv->size && csv->data[csv->at] == '"';
    csv->at += quoted;
    for (;; csv->at++) {
        if (csv->at >= csv->size && quoted)
            return rn_error_set(err, RN_ERR_FORMAT, "%.400s, line %ld: a quote that is never closed", csv->name, csv->line);
        if (!quoted && (at_line_end(csv) || csv->data[csv->at] == csv->separator))
            break;
        unsigned char c = csv->data[csv->at];
        if (!c)
            return rn_error_set(err, RN_ERR_FORMAT, "%.400s, line %ld: a NUL byte; manifests are text", csv->name, csv->next_line);
        if (c == '"' && quoted && csv->at + 1 < csv->size && csv->data[csv->at + 1] == '"')
            csv->at++;
        else if (c == '"' && quoted) {
            csv->at++;
            break;
        } else if (c == '"' && quotes)
            return rn_error_set(err, RN_ERR_FORMAT,
                                "%.400s, line %ld: a quote inside a field that does not begin with one; double it and quote the field",
                                csv->name, csv->next_line);
        csv->next_line += c == '\n';
        *o++ = c;
        if (o - begin > FIELD_LIMIT)
            return rn_error_set(err, RN_ERR_FORMAT, "%.400s, line %ld: a field of more than %d bytes", csv->name, csv->line, FIELD_LIMIT);
    }
    if (!at_line_end(csv) && csv->data[csv->at] != csv->separator)
        return rn_error_set(err, RN_ERR_FORMAT, "%.400s, line %ld: text after a closing quote", csv->name, csv->next_line);
    *out = o;
    return 0;
}

int rn_csv_next(rn_csv *csv, int *more, rn_error *err)
{
    while (csv->at < csv->size && at_line_end(csv))
        pass_line_end(csv);
    csv->count = 0;
    csv->line = csv->next_line;
    *more = csv->at < csv->size;
    if (!*more)
        return 0;
    for (;;) {
        unsigned char *end = NULL, *begin = csv->data + csv->at;
        if (csv->count == csv->capacity)
            return rn_error_set(err, RN_ERR_FORMAT, "%.400s, line %ld: more than %d fields", csv->name, csv->line, csv->capacity);
        int status = read_field(csv, &end, err);
        if (status)
            return status;
        csv->fields[csv->count++] = (char *)begin;
        int last = at_line_end(csv);
        if (last)
            pass_line_end(csv);
        else
            csv->at++;
        *end = 0; /* `end` is at the separator or before it; at the file's end there is the byte that rn_file_read adds */
        if (last)
            return 0;
    }
}
