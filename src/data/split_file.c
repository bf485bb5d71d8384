/* split.csv: writing, reading, digest. See data/split.c for the format. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/file.h"
#include "data/listing.h"
#include "data/split.h"

static int64_t nanoseconds(double seconds)
{
    return (int64_t)(seconds * 1e9 + 0.5);
}

/* "12.25" from nanoseconds: no trailing zeros, no locale. */
static void write_time(int64_t ns, char text[32])
{
    int length = snprintf(text, 32, "%lld.%09lld", (long long)(ns / 1000000000), (long long)(ns % 1000000000));
    while (text[length - 1] == '0')
        text[--length] = 0;
    if (text[length - 1] == '.')
        text[--length] = 0;
}

/* A field of CSV, quoted where it has to be. */
static int write_field(rn_save *save, const char *text, rn_error *err)
{
    if (!strpbrk(text, ",\"\r\n"))
        return rn_save_write(save, text, strlen(text), err);
    int status = rn_save_write(save, "\"", 1, err);
    for (const char *c = text; *c && !status; c++)
        status = *c == '"' ? rn_save_write(save, "\"\"", 2, err) : rn_save_write(save, c, 1, err);
    return status ? status : rn_save_write(save, "\"", 1, err);
}

static int write_item(rn_save *save, const rn_dataset *d, const rn_item *item, rn_error *err)
{
    char start[32], end[32], middle[128];
    write_time(nanoseconds(item->start_s), start);
    write_time(nanoseconds(item->end_s), end);
    snprintf(middle, sizeof middle, ",%s,%s,%s,", item->hash, start, end);
    int status = write_field(save, rn_part_name(item->part), err);
    if (!status)
        status = rn_save_write(save, ",", 1, err);
    if (!status)
        status = write_field(save, rn_item_label_text(d, item), err);
    if (!status)
        status = rn_save_write(save, middle, strlen(middle), err);
    if (!status)
        status = write_field(save, item->name, err);
    return status ? status : rn_save_write(save, "\n", 1, err);
}

int rn_split_write(const rn_dataset *d, const char *path, rn_error *err)
{
    static const char header[] = "part,label,hash,start,end,path\n";
    rn_save save;
    int status = rn_save_open(&save, path, err);
    if (status)
        return status;
    status = rn_save_write(&save, header, sizeof header - 1, err);
    for (int i = 0; i < d->count && !status; i++) {
        if (d->items[i].part == RN_PART_NONE)
            continue;
        if (!*d->items[i].hash)
            status =
                rn_error_set(err, RN_ERR_ARG, "%.400s: items must be hashed (rn_dataset_hash) before their parts are written", d->path);
        else
            status = write_item(&save, d, &d->items[i], err);
    }
    if (!status)
        status = rn_save_commit(&save, err);
    if (status)
        rn_save_drop(&save);
    return status;
}

typedef struct rn_line {
    char hash[33];
    int64_t start, end;
    rn_part part;
    char *label, *path;
    int used;
} rn_line;

typedef struct rn_lines {
    rn_line *list;
    int count, capacity;
} rn_lines;

static int compare_content(const rn_line *p, const rn_line *q)
{
    int order = strcmp(p->hash, q->hash);
    if (!order)
        order = (p->start > q->start) - (p->start < q->start);
    return order ? order : (p->end > q->end) - (p->end < q->end);
}

static int compare_lines(const void *a, const void *b)
{
    const rn_line *p = a, *q = b;
    int order = compare_content(p, q);
    if (!order)
        order = strcmp(p->path, q->path);
    return order ? order : (int)p->part - (int)q->part;
}

static int read_line(const rn_csv *csv, rn_line *line, rn_error *err)
{
    double start, end;
    if (csv->count != 6)
        return rn_error_set(err, RN_ERR_FORMAT, "%.400s, line %ld: %d fields, a split file has 6", csv->name, csv->line, csv->count);
    char **f = csv->fields;
    if (rn_part_parse(f[0], &line->part) || line->part == RN_PART_NONE)
        return rn_error_set(err, RN_ERR_FORMAT, "%.400s, line %ld: part \"%.60s\"; train, validation or test", csv->name, csv->line, f[0]);
    if (strlen(f[2]) != 32 || strspn(f[2], "0123456789abcdef") != 32)
        return rn_error_set(err, RN_ERR_FORMAT, "%.400s, line %ld: hash \"%.60s\"; 32 hexadecimal digits", csv->name, csv->line, f[2]);
    if (rn_text_number(f[3], &start) || rn_text_number(f[4], &end) || !(start >= 0 && start < 1e9) || !(end >= 0 && end < 1e9))
        return rn_error_set(err, RN_ERR_FORMAT, "%.400s, line %ld: start \"%.40s\", end \"%.40s\"; seconds", csv->name, csv->line, f[3],
                            f[4]);
    memcpy(line->hash, f[2], 33);
    line->start = nanoseconds(start);
    line->end = nanoseconds(end);
    line->label = strdup(f[1]);
    line->path = strdup(f[5]);
    line->used = 0;
    if (!line->label || !line->path) {
        free(line->label);
        free(line->path);
        return rn_error_memory(err, "a split file", strlen(f[5]));
    }
    return 0;
}

static int read_lines(rn_lines *lines, const char *path, rn_error *err)
{
    static const char *const header[] = {"part", "label", "hash", "start", "end", "path"};
    rn_csv csv;
    int more = 0, status = rn_csv_open(&csv, path, err);
    if (status)
        return status;
    if ((status = rn_csv_next(&csv, &more, err)))
        goto fail;
    int known = more && csv.count == 6;
    for (int i = 0; i < 6 && known; i++)
        known = !strcmp(csv.fields[i], header[i]);
    if (!known) {
        status = rn_error_set(
            err, RN_ERR_FORMAT,
            "%.400s: not a split file; its first line must be part,label,hash,start,end,path (resnet data split writes one)", path);
        goto fail;
    }
    while (!(status = rn_csv_next(&csv, &more, err)) && more) {
        if (lines->count == lines->capacity) {
            int capacity = lines->capacity ? 2 * lines->capacity : 256;
            rn_line *list = realloc(lines->list, (size_t)capacity * sizeof *list);
            if (!list) {
                status = rn_error_memory(err, "a split file", (unsigned long long)capacity * sizeof *list);
                break;
            }
            lines->list = list;
            lines->capacity = capacity;
        }
        if (lines->count >= RN_ITEMS_LIMIT)
            status = rn_error_set(err, RN_ERR_FORMAT, "%.400s: more than %d lines", path, RN_ITEMS_LIMIT);
        if (status || (status = read_line(&csv, &lines->list[lines->count], err)))
            break;
        lines->count++;
    }
fail:
    rn_csv_close(&csv);
    return status;
}

static void free_lines(rn_lines *lines)
{
    for (int i = 0; i < lines->count; i++) {
        free(lines->list[i].label);
        free(lines->list[i].path);
    }
    free(lines->list);
}

/* The line for an item. Copies of one content under several names may stand in several parts (a manifest can say so): then the one
 * with the item's name counts, else the one that sorts first among train, validation, test. */
static rn_line *line_of_item(const rn_lines *lines, const rn_item *item)
{
    rn_line key = {.start = nanoseconds(item->start_s), .end = nanoseconds(item->end_s)};
    memcpy(key.hash, item->hash, sizeof key.hash);
    int low = 0, high = lines->count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (compare_content(&lines->list[middle], &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    rn_line *best = NULL;
    for (int i = low; i < lines->count && !compare_content(&lines->list[i], &key); i++) {
        rn_line *line = &lines->list[i];
        line->used = 1;
        if (!strcmp(line->path, item->name)) {
            best = line;
            continue;
        }
        if (!best || (strcmp(best->path, item->name) && line->part < best->part))
            best = line;
    }
    return best;
}

int rn_split_read(rn_dataset *d, const char *path, int *unknown, int *missing, rn_error *err)
{
    rn_lines lines = {0};
    int status = 0, not_known = 0, not_found = 0;
    for (int i = 0; i < d->count; i++)
        if (!*d->items[i].hash && !d->items[i].bad) /* a bad one that could not be hashed is in no split */
            return rn_error_set(err, RN_ERR_ARG, "%.400s: items must be hashed (rn_dataset_hash) before a split file is read", d->path);
    if ((status = read_lines(&lines, path, err)))
        goto fail;
    if (lines.count)
        qsort(lines.list, (size_t)lines.count, sizeof *lines.list, compare_lines);
    for (int i = 0; i < d->count; i++) {
        const rn_line *line = line_of_item(&lines, &d->items[i]);
        d->items[i].part = line ? line->part : RN_PART_NONE;
        not_known += !line;
    }
    for (int i = 0; i < lines.count; i++)
        not_found += !lines.list[i].used;
    if (unknown)
        *unknown = not_known;
    if (missing)
        *missing = not_found;
fail:
    free_lines(&lines);
    return status;
}

/* The digest does not depend on the order of lines and needs no memory: each line part,label,hash,start,end is hashed (XXH3-128), the
 * hashes are added modulo 2^128, and the sum with the number of lines is hashed once more. */
typedef struct rn_digest {
    uint64_t high, low, count;
} rn_digest;

static void digest_line(rn_digest *digest, rn_part part, const char *label, const char *hash, int64_t start, int64_t end)
{
    char text[RN_LABEL_LIMIT + 160], from[32], to[32];
    write_time(start, from);
    write_time(end, to);
    int length = snprintf(text, sizeof text, "%s,%.*s,%s,%s,%s\n", rn_part_name(part), RN_LABEL_LIMIT, label, hash, from, to);
    XXH128_hash_t line = XXH3_128bits(text, (size_t)length);
    digest->low += line.low64;
    digest->high += line.high64 + (digest->low < line.low64);
    digest->count++;
}

static void digest_text(const rn_digest *digest, char text[33])
{
    char sum[80];
    int length = snprintf(sum, sizeof sum, "%016llx%016llx %llu\n", (unsigned long long)digest->high, (unsigned long long)digest->low,
                          (unsigned long long)digest->count);
    XXH128_hash_t hash = XXH3_128bits(sum, (size_t)length);
    rn_hash_text(hash.high64, hash.low64, text);
}

void rn_split_digest(const rn_dataset *d, char digest[33])
{
    rn_digest sum = {0};
    for (int i = 0; i < d->count; i++)
        if (d->items[i].part != RN_PART_NONE)
            digest_line(&sum, d->items[i].part, rn_item_label_text(d, &d->items[i]), d->items[i].hash, nanoseconds(d->items[i].start_s),
                        nanoseconds(d->items[i].end_s));
    digest_text(&sum, digest);
}

int rn_split_file_digest(const char *path, char digest[33], rn_error *err)
{
    rn_lines lines = {0};
    rn_digest sum = {0};
    int status = read_lines(&lines, path, err);
    for (int i = 0; i < lines.count; i++)
        digest_line(&sum, lines.list[i].part, lines.list[i].label, lines.list[i].hash, lines.list[i].start, lines.list[i].end);
    if (!status)
        digest_text(&sum, digest);
    free_lines(&lines);
    return status;
}
