/* FILE.part: a line with the format's number, the lines of the identity, an empty line, then one record after the other:
 *
 *     recording BYTES TIME_NS FINDS MICROSECONDS PATH TEXT FOUND ERROR \n    numbers; the last four are lengths
 *     the path, the text, the finds, the error, \n
 *
 * A record is appended when a recording is done, so a process that is killed loses at most the recording it is at; what is left of a record
 * at the end is cut off by the next run. A later record of the same path goes before an earlier one: recordings that failed are heard again.
 * FILE is made of it at the end, in the order of the recordings, and so does not depend on how often the work was interrupted.
 *
 * The file is flushed to the disk once a second: a machine that loses power loses no more than that. */
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_LINE "resnet predict, journal 1\n"

typedef struct entry {
    recording h;
    off_t text_at; /* in FILE.part */
    int64_t order;
} entry;

struct journal {
    char *out, *part;
    FILE *file;
    off_t size; /* of what is whole */
    entry *entries;
    int64_t count, room, sorted; /* the first `sorted` are in the order of paths, one of each */
    double synced;
    int ours; /* opened, locked, and of our identity */
};

static int no_memory(void)
{
    complain("predict: no memory for the journal");
    return EXIT_WORK;
}

static int broken(const journal *j, const char *what)
{
    complain("%s: %s", j->part, what);
    return EXIT_WORK;
}

/* --- records -------------------------------------------------------------------------------------------------------------------------- */

static int keep(journal *j, const recording *h, off_t text_at)
{
    if (j->count == j->room) {
        int64_t room = j->room ? 2 * j->room : 256;
        entry *larger = realloc(j->entries, (size_t)room * sizeof *larger);
        if (!larger)
            return no_memory();
        j->entries = larger;
        j->room = room;
    }
    entry *e = &j->entries[j->count];
    *e = (entry){.h = *h, .text_at = text_at, .order = j->count};
    e->h.path = strdup(h->path);
    e->h.error = strdup(h->error);
    e->h.found = strdup(h->found);
    e->h.text = NULL;
    j->count++;
    return e->h.path && e->h.error && e->h.found ? 0 : no_memory();
}

/* `length` bytes as a text of their own; NULL at the file's end, or where the length is beyond reason. */
static char *read_text(FILE *file, size_t length)
{
    char *text = length < 1 << 28 ? malloc(length + 1) : NULL;
    if (text && fread(text, 1, length, file) != length) {
        free(text);
        return NULL;
    }
    if (text)
        text[length] = 0;
    return text;
}

/* 1: a record; 0: no whole one is left; negative: no memory. */
static int read_record(journal *j, off_t end)
{
    recording h = {0};
    int64_t microseconds;
    size_t path_length, found_length, error_length;
    int whole = 0;
    if (fscanf(j->file, "recording %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %zu %zu %zu %zu", &h.bytes, &h.time_ns, &h.finds,
               &microseconds, &path_length, &h.length, &found_length, &error_length) != 8 ||
        fgetc(j->file) != '\n')
        return 0;
    char *path = read_text(j->file, path_length), *found = NULL, *error = NULL;
    off_t text_at = ftello(j->file);
    if (path && h.length <= (size_t)(end - text_at) && !fseeko(j->file, (off_t)h.length, SEEK_CUR) &&
        (found = read_text(j->file, found_length)))
        error = read_text(j->file, error_length);
    if (error && fgetc(j->file) == '\n') {
        h.path = path;
        h.found = found;
        h.error = error;
        h.seconds = 1e-6 * (double)microseconds;
        whole = keep(j, &h, text_at) ? -1 : 1;
    }
    free(path);
    free(found);
    free(error);
    return whole;
}

static int compare_entries(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    int order = strcmp(x->h.path, y->h.path);
    return order ? order : (x->order > y->order) - (x->order < y->order);
}

static void free_entry(entry *e)
{
    free((char *)e->h.path);
    free((char *)e->h.found);
    free((char *)e->h.error);
}

/* Sorts by path and keeps the last record of each. */
static void sort_entries(journal *j)
{
    int64_t kept = 0;
    if (j->count)
        qsort(j->entries, (size_t)j->count, sizeof *j->entries, compare_entries);
    for (int64_t i = 0; i < j->count; i++) {
        if (i + 1 < j->count && !strcmp(j->entries[i].h.path, j->entries[i + 1].h.path))
            free_entry(&j->entries[i]);
        else
            j->entries[kept++] = j->entries[i];
    }
    j->count = j->sorted = kept;
}

static const entry *find_entry(const journal *j, const char *path)
{
    entry key = {.h.path = path, .order = INT64_MAX};
    int64_t low = 0, high = j->sorted;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (compare_entries(&j->entries[middle], &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low && !strcmp(j->entries[low - 1].h.path, path) ? &j->entries[low - 1] : NULL;
}

const recording *journal_find(const journal *j, const char *path, int64_t bytes, int64_t time_ns)
{
    const entry *e = find_entry(j, path);
    return e && e->h.bytes == bytes && e->h.time_ns == time_ns ? &e->h : NULL;
}

const char *journal_failure(const journal *j, const char *path)
{
    const entry *e = find_entry(j, path);
    return e && *e->h.error ? e->h.error : NULL;
}

int journal_add(journal *j, const recording *h)
{
    size_t path_length = strlen(h->path), found_length = strlen(h->found), error_length = strlen(h->error);
    int head = fprintf(j->file, "recording %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %zu %zu %zu %zu\n%s", h->bytes, h->time_ns,
                       h->finds, (int64_t)(h->seconds * 1e6 + 0.5), path_length, h->length, found_length, error_length, h->path);
    int failed = head < 0 || (h->length && fwrite(h->text, 1, h->length, j->file) != h->length) ||
                 fprintf(j->file, "%s%s\n", h->found, h->error) < 0 || fflush(j->file);
    if (!failed && seconds_now() - j->synced > 1) {
        failed = fsync(fileno(j->file));
        j->synced = seconds_now();
    }
    if (failed) {
        int number = errno;
        if (ftruncate(fileno(j->file), j->size)) {
            /* what is left of the record is cut off by the next run as well */
        }
        return broken(j, strerror(number));
    }
    off_t text_at = j->size + head;
    j->size = text_at + (off_t)(h->length + found_length + error_length + 1);
    return keep(j, h, text_at);
}

/* --- opening -------------------------------------------------------------------------------------------------------------------------- */

/* Compares the lines that it was begun with; stops behind the empty line. */
static int check_identity(journal *j, const char *identity)
{
    char *line = NULL;
    size_t room = 0;
    int status = 0;
    ssize_t got = getline(&line, &room, j->file);
    if (got < 0 || strcmp(line, FIRST_LINE))
        status = broken(j, "not a journal of predict: name another --out, or move it away");
    while (!status && *identity) {
        const char *end = strchr(identity, '\n');
        size_t length = (size_t)(end - identity) + 1;
        if ((got = getline(&line, &room, j->file)) < 1)
            status = broken(j, "cut off in its first lines: remove it to begin anew");
        else if ((size_t)got != length || memcmp(line, identity, length)) {
            line[strcspn(line, "\n")] = 0;
            complain("%s was begun with `%s`, now it is `%.*s`: go on with what it was begun with, or remove it to begin anew", j->part,
                     line, (int)length - 1, identity);
            status = EXIT_WORK;
        }
        identity += length;
    }
    if (!status && ((got = getline(&line, &room, j->file)) != 1 || line[0] != '\n'))
        status = broken(j, "cut off in its first lines: remove it to begin anew");
    free(line);
    return status;
}

static int begin(journal *j, const char *identity)
{
    if (fprintf(j->file, "%s%s\n", FIRST_LINE, identity) < 0 || fflush(j->file) || (j->size = ftello(j->file)) < 0)
        return broken(j, strerror(errno));
    return 0;
}

static int go_on(journal *j, const char *identity, off_t end)
{
    int status = check_identity(j, identity), more = 1;
    while (!status && more > 0) {
        j->size = ftello(j->file);
        more = read_record(j, end);
        status = more < 0 ? EXIT_WORK : 0;
    }
    if (!status && (ftruncate(fileno(j->file), j->size) || fseeko(j->file, j->size, SEEK_SET)))
        status = broken(j, strerror(errno));
    sort_entries(j);
    return status;
}

static int open_part(journal *j, const char *identity)
{
    struct stat info;
    int there = !stat(j->part, &info), fd;
    if (!there && !stat(j->out, &info)) {
        complain("%s: it is there already, and whole: remove it, or name another file", j->out);
        return EXIT_WORK;
    }
    if ((fd = open(j->part, O_RDWR | O_CREAT | O_CLOEXEC, 0666)) < 0 || !(j->file = fdopen(fd, "r+b"))) {
        if (fd >= 0)
            close(fd);
        return broken(j, strerror(errno));
    }
    if (flock(fd, LOCK_EX | LOCK_NB))
        return broken(j, errno == EWOULDBLOCK ? "another process is writing it" : strerror(errno));
    if (fstat(fd, &info))
        return broken(j, strerror(errno));
    int status = info.st_size ? go_on(j, identity, info.st_size) : begin(j, identity);
    j->ours = !status;
    return status;
}

int journal_open(journal **out_journal, const char *out, const char *identity)
{
    journal *j = *out_journal = calloc(1, sizeof *j);
    size_t length = strlen(out);
    if (!j || !(j->out = strdup(out)) || !(j->part = malloc(length + 6)))
        return no_memory();
    snprintf(j->part, length + 6, "%s.part", out);
    j->synced = seconds_now();
    return open_part(j, identity);
}

void journal_close(journal **out)
{
    journal *j = *out;
    if (!j)
        return;
    if (j->ours && !j->count)
        unlink(j->part); /* nothing was heard; and after the end it is gone */
    for (int64_t i = 0; i < j->count; i++)
        free_entry(&j->entries[i]);
    free(j->entries);
    if (j->file)
        fclose(j->file);
    free(j->out);
    free(j->part);
    free(j);
    *out = NULL;
}

/* --- the end -------------------------------------------------------------------------------------------------------------------------- */

static int copy_text(journal *j, const entry *e, rn_text_file *to)
{
    char piece[1 << 14];
    rn_error err = {0};
    size_t left = e->h.length, take;
    if (fseeko(j->file, e->text_at, SEEK_SET))
        return broken(j, strerror(errno));
    for (; left; left -= take) {
        take = left < sizeof piece ? left : sizeof piece;
        if (fread(piece, 1, take, j->file) != take)
            return broken(j, "it has become shorter while it was used");
        if (rn_text_file_write(to, piece, take, &err))
            return fail_with(&err);
    }
    return 0;
}

int journal_finish(journal *j, const char *head, const path_list *paths)
{
    rn_text_file *to = NULL;
    rn_error err = {0};
    int status = 0;
    sort_entries(j);
    if (rn_text_file_open(&to, j->out, &err) || rn_text_file_write(to, head, strlen(head), &err))
        status = fail_with(&err);
    for (int i = 0; i < paths->count && !status; i++) {
        const entry *e = find_entry(j, paths->paths[i]);
        if (e)
            status = copy_text(j, e, to);
    }
    if (!status && rn_text_file_commit(&to, &err))
        status = fail_with(&err);
    rn_text_file_close(&to);
    return status;
}

int journal_remove(journal *j)
{
    return unlink(j->part) ? broken(j, strerror(errno)) : 0;
}
