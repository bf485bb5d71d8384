/* Manifests: CSV with a header line, or JSON Lines (one object a line).
 *
 * Columns or keys: path and label, or labels: several, separated by | or ; (labels.c; in JSON also a list), or none; optional split (train,
 * validation, test), source, start and end (seconds; end empty or 0: to the file's end), weight (above 0). What WeSpeaker (raw.list: key, wav, spk)
 * and 3D-Speaker (ID,dur,path,start,stop,spk) call so is known by their names too. id, duration, comment, note and notes, and names that begin
 * with _ are passed over; any other name is
 * refused, because a misspelt `source` would leak recordings between the parts without a sign. Relative paths begin at the manifest. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "data/listing.h"

enum { PATH, LABEL, LABELS, SPLIT, SOURCE, START, END, WEIGHT, COLUMNS, PASSED, UNKNOWN };
static const char *const COLUMN_NAMES[COLUMNS] = {"path", "label", "labels", "split", "source", "start", "end", "weight"};

static int column_of(const char *name)
{
    static const char *const passed[] = {"id", "duration", "comment", "note", "notes", "ID", "dur", "key", "vad"};
    static const struct {
        const char *name;
        int column;
    } others[] = {{"wav", PATH}, {"spk", LABEL}, {"stop", END}};
    for (int i = 0; i < COLUMNS; i++)
        if (!strcmp(name, COLUMN_NAMES[i]))
            return i;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!strcmp(name, others[i].name))
            return others[i].column;
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
        if (!strcmp(name, passed[i]))
            return PASSED;
    return *name == '_' ? PASSED : UNKNOWN;
}

int rn_text_number(const char *text, double *value)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    uint64_t mantissa = 0;
    int digits = 0, significant = 0, exponent = 0, point = 0, negative = *text == '-';
    text += negative || *text == '+';
    for (; (*text >= '0' && *text <= '9') || (*text == '.' && !point); text++) {
        if (*text == '.') {
            point = 1;
            continue;
        }
        digits++;
        significant += significant || *text != '0';
        if (significant > 15 || digits > 30)
            return -1;
        mantissa = mantissa * 10 + (uint64_t)(*text - '0');
        exponent -= point;
    }
    if (!digits)
        return -1;
    if (*text == 'e' || *text == 'E') {
        int sign = 1, power = 0, count = 0;
        text++;
        if (*text == '-' || *text == '+')
            sign = *text++ == '-' ? -1 : 1;
        for (; *text >= '0' && *text <= '9' && count < 4; text++, count++)
            power = power * 10 + (*text - '0');
        if (!count)
            return -1;
        exponent += sign * power;
    }
    if (*text || exponent > 22 || exponent < -22)
        return -1;
    /* Both operands are exact (15 digits and powers up to 1e22 fit a double), so one rounding makes the nearest double. */
    *value = exponent < 0 ? (double)mantissa / powers[-exponent] : (double)mantissa * powers[exponent];
    if (negative)
        *value = -*value;
    return 0;
}

char *rn_path_beside(const char *manifest, const char *path)
{
    const char *slash = strrchr(manifest, '/');
    char *out = NULL;
    if (*path == '/' || !slash)
        return strdup(path);
    if (asprintf(&out, "%.*s/%s", (int)(slash - manifest), manifest, path) < 0)
        return NULL;
    return out;
}

int rn_listing_row(rn_listing *l, const char *manifest, long line, const rn_row *row, rn_error *err)
{
    rn_entry entry = {.name = row->path, .label = row->label, .weight = row->weight, .part = RN_PART_NONE, .several = row->several};
    entry.source = row->source && *row->source ? row->source : NULL;
    entry.start_s = row->start_s;
    entry.end_s = row->end_s;
    if (!row->path || !*row->path)
        return rn_error_set(err, RN_ERR_FORMAT, "%.400s, line %ld: no path", manifest, line);
    if (strlen(row->path) > 4095)
        return rn_error_set(err, RN_ERR_FORMAT, "%.400s, line %ld: a path of %zu bytes", manifest, line, strlen(row->path));
    if (!row->label || (!*row->label && !row->several))
        return rn_error_set(err, RN_ERR_FORMAT, "%.400s, line %ld: no label for %.300s", manifest, line, row->path);
    if (row->split && rn_part_parse(row->split, &entry.part))
        return rn_error_set(err, RN_ERR_FORMAT, "%.400s, line %ld: split \"%.60s\"; train, validation, test or nothing", manifest, line,
                            row->split);
    if (!(row->start_s >= 0 && row->start_s < 1e9) || !(row->end_s >= 0 && row->end_s < 1e9) ||
        (row->end_s != 0 && row->end_s <= row->start_s))
        return rn_error_set(err, RN_ERR_FORMAT, "%.400s, line %ld: start %g, end %g; seconds from 0 on, the end after the start", manifest,
                            line, row->start_s, row->end_s);
    if (!(row->weight > 0 && row->weight <= 1e6))
        return rn_error_set(err, RN_ERR_FORMAT, "%.400s, line %ld: weight %g; it must be above 0 and at most 1e6", manifest, line,
                            row->weight);
    char *path = rn_path_beside(manifest, row->path);
    if (!path)
        return rn_error_memory(err, "a path", strlen(row->path));
    struct stat info;
    entry.path = path;
    int status = rn_listing_wants(l, path, row->path, err);
    if (status > 0) {
        if (stat(path, &info))
            status = rn_error_set(err, RN_ERR_IO, "%.300s, line %ld: %.500s: %s", manifest, line, path, rn_errno_text(errno));
        else if (!S_ISREG(info.st_mode))
            status = rn_error_set(err, RN_ERR_DATA, "%.300s, line %ld: %.500s is not a file", manifest, line, path);
        else
            status = rn_listing_add(l, &entry, err);
    }
    free(path);
    return status;
}

static int read_header(const rn_csv *csv, int columns[], rn_error *err)
{
    int place[COLUMNS];
    for (int i = 0; i < COLUMNS; i++)
        place[i] = -1;
    for (int i = 0; i < csv->count; i++) {
        columns[i] = column_of(csv->fields[i]);
        if (columns[i] == UNKNOWN)
            return rn_error_set(
                err, RN_ERR_FORMAT,
                "%.400s: unknown column \"%.100s\"; known are path, label or labels, split, source, start, end, weight, separated by "
                "commas (begin a name with _ to have it passed over)",
                csv->name, csv->fields[i]);
        if (columns[i] < COLUMNS && place[columns[i]] >= 0)
            return rn_error_set(err, RN_ERR_FORMAT, "%.400s: two columns named \"%s\"", csv->name, csv->fields[i]);
        if (columns[i] < COLUMNS)
            place[columns[i]] = i;
    }
    if (place[LABEL] >= 0 && place[LABELS] >= 0)
        return rn_error_set(err, RN_ERR_FORMAT, "%.400s: columns named \"label\" and \"labels\": keep one", csv->name);
    place[LABEL] = place[LABEL] < 0 ? place[LABELS] : place[LABEL];
    for (int i = PATH; i <= LABEL; i++)
        if (place[i] < 0)
            return rn_error_set(err, RN_ERR_FORMAT,
                                "%.400s: no column named \"%s\"; the first line names the columns: path,label and optional "
                                "split,source,start,end,weight",
                                csv->name, COLUMN_NAMES[i]);
    return 0;
}

static int csv_row(rn_listing *l, const rn_csv *csv, const int columns[], int width, rn_error *err)
{
    rn_row row = {.weight = 1};
    if (csv->count != width)
        return rn_error_set(err, RN_ERR_FORMAT, "%.400s, line %ld: %d fields, the first line has %d (quote a field that holds a comma)",
                            csv->name, csv->line, csv->count, width);
    for (int i = 0; i < width; i++) {
        const char *text = csv->fields[i];
        double *number = columns[i] == START ? &row.start_s : columns[i] == END ? &row.end_s : columns[i] == WEIGHT ? &row.weight : NULL;
        const char **slot = columns[i] == PATH     ? &row.path
                            : columns[i] == LABEL  ? &row.label
                            : columns[i] == LABELS ? &row.label
                            : columns[i] == SPLIT  ? &row.split
                            : columns[i] == SOURCE ? &row.source
                                                   : NULL;
        if (slot)
            *slot = text;
        row.several |= columns[i] == LABELS;
        if (number && *text && rn_text_number(text, number))
            return rn_error_set(err, RN_ERR_FORMAT, "%.400s, line %ld: %s \"%.60s\" is not a number of at most 15 digits", csv->name,
                                csv->line, COLUMN_NAMES[columns[i]], text);
    }
    return rn_listing_row(l, csv->name, csv->line, &row, err);
}

int rn_listing_csv(rn_listing *l, const char *path, rn_error *err)
{
    rn_csv csv;
    int more = 0, columns[256], width = 0;
    int status = rn_csv_open(&csv, path, err);
    if (status)
        return status;
    if (!(status = rn_csv_next(&csv, &more, err))) {
        width = csv.count;
        status = more ? read_header(&csv, columns, err)
                      : rn_error_set(err, RN_ERR_FORMAT, "%.400s: empty; the first line names the columns: path,label", path);
    }
    while (!status && !(status = rn_csv_next(&csv, &more, err)) && more)
        status = csv_row(l, &csv, columns, width, err);
    rn_csv_close(&csv);
    return status;
}

/* A label of a list: a text, or a whole number as one; "" if it is neither. */
static const char *label_of(const json_t *value, char number[24])
{
    snprintf(number, 24, "%lld", (long long)json_integer_value(value));
    return json_is_string(value) ? json_string_value(value) : json_is_integer(value) ? number : "";
}

/* ["robin", 7] as "robin|7". */
static int json_list(const json_t *values, const char *manifest, long line, char **list, rn_error *err)
{
    char number[24], *at;
    size_t length = 1, i;
    json_t *value;
    *list = NULL;
    json_array_foreach((json_t *)(uintptr_t)values, i, value)
    {
        const char *text = label_of(value, number);
        length += strlen(text) + 1;
        if (!*text || strpbrk(text, "|;"))
            return rn_error_set(err, RN_ERR_FORMAT, "%.400s, line %ld: \"%.60s\" in a list of labels; a label is a text without | and ;",
                                manifest, line, text);
    }
    if (!(at = *list = malloc(length)))
        return rn_error_memory(err, "labels", length);
    *at = 0;
    json_array_foreach((json_t *)(uintptr_t)values, i, value) at += sprintf(at, "%s%s", i ? "|" : "", label_of(value, number));
    return 0;
}

static int json_row(rn_listing *l, const char *manifest, long line, json_t *object, rn_error *err)
{
    rn_row row = {.weight = 1};
    char number[24], *list = NULL;
    const char *key;
    json_t *value;
    int status = 0;
    unsigned seen = 0; /* columns */
    if (!json_is_object(object))
        return rn_error_set(err, RN_ERR_FORMAT, "%.400s, line %ld: not a JSON object; one {\"path\": ..., \"label\": ...} a line", manifest,
                            line);
    json_object_foreach(object, key, value)
    {
        int column = column_of(key);
        if (column == PASSED || (json_is_null(value) && column < COLUMNS))
            continue;
        if (column == UNKNOWN) {
            status = rn_error_set(
                err, RN_ERR_FORMAT,
                "%.400s, line %ld: unknown key \"%.100s\"; known are path, label, labels, split, source, start, end, weight (begin a "
                "name with _ to have it passed over)",
                manifest, line, key);
            goto fail;
        }
        unsigned bit = 1u << (column == LABELS ? LABEL : column);
        if (seen & bit) {
            status = rn_error_set(err, RN_ERR_FORMAT, "%.400s, line %ld: \"%s\" comes twice, once under another name", manifest, line, key);
            goto fail;
        }
        seen |= bit;
        if (column >= START && json_is_number(value)) {
            *(column == START ? &row.start_s : column == END ? &row.end_s : &row.weight) = json_number_value(value);
            continue;
        }
        const char *text = json_string_value(value);
        if ((column == LABEL || column == LABELS) && json_is_array(value)) {
            if ((status = json_list(value, manifest, line, &list, err)))
                goto fail;
            text = list;
        }
        row.several |= column == LABELS || list;
        if (column == LABEL && json_is_integer(value)) {
            snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
            text = number;
        }
        if (column >= START || !text) {
            status = rn_error_set(err, RN_ERR_FORMAT, "%.400s, line %ld: \"%s\" must be %s", manifest, line, key,
                                  column >= START ? "a number" : "text");
            goto fail;
        }
        const char **slot = column == PATH ? &row.path : column <= LABELS ? &row.label : column == SPLIT ? &row.split : &row.source;
        *slot = text;
    }
    status = rn_listing_row(l, manifest, line, &row, err);
fail:
    free(list);
    return status;
}

int rn_listing_json_lines(rn_listing *l, const char *path, rn_error *err)
{
    unsigned char *data = NULL;
    size_t size = 0;
    int status = rn_file_read(path, (size_t)1 << 30, &data, &size, err);
    size_t at = !status && size >= 3 && !memcmp(data, "\xEF\xBB\xBF", 3) ? 3 : 0;
    for (long line = 1; !status && at < size; line++) {
        unsigned char *end = memchr(data + at, '\n', size - at);
        size_t length = end ? (size_t)(end - data) - at : size - at, blank = 0;
        while (blank < length && (data[at + blank] == ' ' || data[at + blank] == '\t' || data[at + blank] == '\r'))
            blank++;
        if (blank < length) {
            json_error_t why;
            json_t *object = json_loadb((const char *)data + at, length, JSON_REJECT_DUPLICATES, &why);
            if (object)
                status = json_row(l, path, line, object, err);
            else
                status =
                    rn_error_set(err, RN_ERR_FORMAT, "%.400s, line %ld: not JSON: %.200s (column %d)", path, line, why.text, why.column);
            json_decref(object);
        }
        at += length + 1;
    }
    free(data);
    return status;
}
