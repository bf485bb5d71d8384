/* Tables of selections: what people mark in recordings with Raven or Audacity, and what `predict --format raven|audacity` writes. Every row
 * is an item: a stretch of a recording.
 *
 * Raven    the first line names the columns, separated by tabs: "Begin Time (s)", "End Time (s)", a label (LABELS below), and where there
 *          are any "Begin Path", "Begin File", "File Offset (s)", "End File", "End Path". Times of a sequence of files run on over all of
 *          them, so the offset in the file goes before the begin time; a selection that ends in another file goes to the end of its first.
 *          A selection stands there once for each view; equal rows count once (listing.c).
 * Audacity start, end and label separated by tabs, no heading; lines that begin with a backslash have frequencies and are passed over.
 *
 * The recording is the one that a row names: as its path says, from the table or from where the program runs, or by its last part beside the
 * table, since paths are those of the machine that the table comes from. A row without a path belongs to the recording beside the table that
 * has the longest beginning of the table's name, up to a dot: night.wav for night.txt and for night.Table.1.selections.txt.
 *
 * Sources: the Raven Pro user's manual; "Importing and Exporting Labels" of Audacity's manual. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "data/listing.h"

typedef enum rn_table_kind { NO_TABLE, EMPTY_TABLE, RAVEN, AUDACITY } rn_table_kind;

enum { BEGIN_TIME, END_TIME, FILE_OFFSET, BEGIN_PATH, BEGIN_FILE, END_PATH, END_FILE, LABEL, COLUMNS };
static const char *const COLUMN_NAMES[LABEL] = {"Begin Time (s)", "End Time (s)", "File Offset (s)", "Begin Path",
                                                "Begin File",     "End Path",     "End File"};
/* Raven has no column for labels; these are what people name theirs. The first of them that is there counts. */
static const char *const LABELS[] = {"Annotation", "Label", "Class", "Species", "Common Name", "Call Type", "Type", "Tag", "Species Code"};

/* What is left out or changed, counted over all tables, and where it was first. */
enum { POINT, UNNAMED, PROBABILITY, TWO_FILES, FOREIGN, UNMARKED, ODDITIES };
static const char *const ODDITY_TEXTS[ODDITIES] = {"marks that have no length, left out",
                                                   "marks without a label, left out",
                                                   "labels that end in a probability, as predict writes it, which was cut off",
                                                   "selections that end in another file, taken to the end of their first",
                                                   "text files that are no tables of selections, left out",
                                                   "recordings without a table, left out"};

typedef struct rn_tables {
    rn_listing *listing;
    char *folder; /* "" for the current one, else it ends in a slash */
    char **names; /* in the folder, byte order */
    int names_count;
    unsigned char *marked; /* [names_count]: a table told of this recording */
    struct {
        int count;
        char first[300];
    } odd[ODDITIES];
} rn_tables;

static void note(rn_tables *t, int oddity, const char *file, long line)
{
    if (t->odd[oddity].count++)
        return;
    if (line)
        snprintf(t->odd[oddity].first, sizeof t->odd[oddity].first, "%.250s, line %ld", file, line);
    else
        snprintf(t->odd[oddity].first, sizeof t->odd[oddity].first, "%.250s", file);
}

/* whole: all of the folder's recordings should have a table. */
static int warn_of_oddities(rn_tables *t, int whole, rn_error *err)
{
    int status = 0;
    for (int i = 0; i < t->names_count && whole; i++)
        if (!t->marked[i] && rn_listing_takes(t->listing, t->names[i]))
            note(t, UNMARKED, t->names[i], 0);
    for (int i = 0; i < ODDITIES && !status; i++)
        if (t->odd[i].count)
            status = rn_listing_warn(t->listing, err, "%s: %d (first: %s)", ODDITY_TEXTS[i], t->odd[i].count, t->odd[i].first);
    return status;
}

/* --- fields --------------------------------------------------------------------------------------------------------------------------- */

/* "12.5", or "12,5" as some countries write it. Digits behind the 15th are dropped if they are decimals: many programs write 17. */
static int read_seconds(const char *text, double *value)
{
    char plain[64];
    size_t n = 0;
    int point = 0, digits = 0, power = 0;
    for (; *text && n + 1 < sizeof plain; text++) {
        int separator = *text == '.' || *text == ',', digit = *text >= '0' && *text <= '9' && !power;
        if (separator && point)
            return -1;
        point |= separator;
        power |= *text == 'e' || *text == 'E';
        digits += digit && (digits || *text != '0');
        if (!digit || !point || digits <= 15)
            plain[n++] = separator ? '.' : *text;
    }
    plain[n] = 0;
    return *text ? -1 : rn_text_number(plain, value);
}

static char *trimmed(char *text)
{
    text += strspn(text, " ");
    for (size_t n = strlen(text); n && text[n - 1] == ' '; n--)
        text[n - 1] = 0;
    return text;
}

/* `predict --format audacity` writes "robin 97%". 1 if there was something to cut off. */
static int cut_probability(char *label)
{
    size_t n = strlen(label), at = n ? n - 1 : 0;
    if (!n || label[at] != '%')
        return 0;
    while (at && label[at - 1] >= '0' && label[at - 1] <= '9')
        at--;
    if (n - 1 - at < 1 || n - 1 - at > 3 || at < 2 || label[at - 1] != ' ')
        return 0;
    label[at - 1] = 0;
    return 1;
}

/* --- recordings ----------------------------------------------------------------------------------------------------------------------- */

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/'), *part = slash ? slash + 1 : path, *backslash = strrchr(part, '\\');
    return backslash ? backslash + 1 : part;
}

static int is_file(const char *path, struct stat *info)
{
    return !stat(path, info) && S_ISREG(info->st_mode);
}

static void mark(rn_tables *t, const char *name)
{
    char **found = bsearch(&name, t->names, (size_t)t->names_count, sizeof *t->names, rn_compare_texts);
    if (found)
        t->marked[found - t->names] = 1;
}

/* The recording that a row calls `said`: *path to open it (the caller's), *name within the data set, a part of `said`. */
static int recording_said(rn_tables *t, const rn_csv *csv, const char *said, char **path, const char **name, rn_error *err)
{
    const char *part = last_part(said);
    struct stat near, far;
    char *beside = NULL, *from_table = NULL;
    int status = 0;
    if (asprintf(&beside, "%s%s", t->folder, part) < 0)
        beside = NULL;
    if (asprintf(&from_table, "%s%s", *said == '/' ? "" : t->folder, said) < 0)
        from_table = NULL;
    if (!beside || !from_table) {
        status = rn_error_memory(err, "a path", strlen(said));
        goto fail;
    }
    int is_near = is_file(beside, &near), as_said = is_file(from_table, &far);
    const char *there = as_said ? from_table : said;
    as_said = as_said || is_file(said, &far);
    if (as_said && !(is_near && near.st_dev == far.st_dev && near.st_ino == far.st_ino)) {
        *name = said;
        *path = strdup(there);
    } else if (is_near) { /* one name for one file: its segments are one source, whichever way a table calls it */
        *name = part;
        *path = strdup(beside);
        mark(t, part);
    } else {
        status =
            rn_error_set(err, RN_ERR_IO,
                         "%.300s, line %ld: there is no file %.300s, and no %.200s beside the table: put the recording there, or correct "
                         "its path in the table",
                         csv->name, csv->line, said, part);
        goto fail;
    }
    if (!*path)
        status = rn_error_memory(err, "a path", strlen(said));
fail:
    free(beside);
    free(from_table);
    return status;
}

/* The first name that is not before a text of `length` bytes. */
static int first_from(const rn_tables *t, const char *text, size_t length)
{
    int low = 0, high = t->names_count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (strncmp(t->names[middle], text, length) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The recording beside a table whose rows name none. */
static int recording_beside(rn_tables *t, const char *table, const char **name, rn_error *err)
{
    const char *base = last_part(table);
    for (size_t length = strlen(base); length;) {
        const char *found = NULL;
        do
            length--;
        while (length && base[length] != '.');
        for (int i = first_from(t, base, length); length && i < t->names_count && !strncmp(t->names[i], base, length); i++) {
            const char *rest = t->names[i] + length;
            if ((*rest && (*rest != '.' || strchr(rest + 1, '.'))) || !rn_listing_takes(t->listing, t->names[i]))
                continue;
            if (found)
                return rn_error_set(err, RN_ERR_DATA, "%.300s: %.200s and %.200s could both be its recording: rename one, or move it away",
                                    table, found, t->names[i]);
            found = t->names[i];
        }
        if (found) {
            *name = found;
            mark(t, found);
            return 0;
        }
    }
    return rn_error_set(err, RN_ERR_DATA,
                        "%.400s: no recording of this name beside it: a table whose rows name no file belongs to night.wav if it is called "
                        "night.txt",
                        table);
}

/* --- rows ----------------------------------------------------------------------------------------------------------------------------- */

/* One stretch of `said`, or of the recording beside the table where that is "". to_end: to the end of the file, whatever end_s is. */
static int add_mark(rn_tables *t, const rn_csv *csv, const char *said, double start_s, double end_s, int to_end, char *label, rn_error *err)
{
    const char *name = NULL;
    char *path = NULL;
    int status;
    label = trimmed(label);
    if (!(start_s >= 0 && start_s < end_s && end_s < 1e9))
        return rn_error_set(
            err, RN_ERR_FORMAT,
            "%.400s, line %ld: from %g to %g s; want seconds from 0 on, the end after the start: correct the line or remove it", csv->name,
            csv->line, start_s, end_s);
    if (*said)
        status = recording_said(t, csv, said, &path, &name, err);
    else if (!(status = recording_beside(t, csv->name, &name, err)) && asprintf(&path, "%s%s", t->folder, name) < 0) {
        path = NULL;
        status = rn_error_memory(err, "a path", strlen(name));
    }
    if (!status && !*label)
        note(t, UNNAMED, csv->name, csv->line);
    else if (!status && (status = rn_listing_wants(t->listing, path, name, err)) > 0) {
        rn_entry entry = {path, name, label, NULL, start_s, to_end ? 0 : end_s, 1, RN_PART_NONE};
        status = rn_listing_add(t->listing, &entry, err);
    }
    free(path);
    return status;
}

static int no_number(const rn_csv *csv, const char *what, const char *text, rn_error *err)
{
    return rn_error_set(err, RN_ERR_FORMAT, "%.400s, line %ld: %s \"%.60s\" is not a number of seconds", csv->name, csv->line, what, text);
}

static int audacity_row(rn_tables *t, const rn_csv *csv, rn_error *err)
{
    double start_s, end_s;
    char none[1] = "", *label = csv->count > 2 ? csv->fields[2] : none;
    if (csv->fields[0][0] == '\\')
        return 0;
    if (csv->count > 3)
        return rn_error_set(err, RN_ERR_FORMAT, "%.400s, line %ld: %d fields; a label has three: start, end and text, separated by tabs",
                            csv->name, csv->line, csv->count);
    if (read_seconds(csv->fields[0], &start_s))
        return no_number(csv, "start", csv->fields[0], err);
    if (csv->count < 2 || read_seconds(csv->fields[1], &end_s)) {
        if (csv->count == 3)
            return no_number(csv, "end", csv->fields[1], err);
        note(t, POINT, csv->name, csv->line); /* start and text: the points of Audacity before 1.3 */
        return 0;
    }
    if (start_s == end_s) {
        note(t, POINT, csv->name, csv->line); /* also 0 to 0, which would be the whole file */
        return 0;
    }
    if (cut_probability(trimmed(label)))
        note(t, PROBABILITY, csv->name, csv->line);
    return add_mark(t, csv, "", start_s, end_s, 0, label, err);
}

static char *cell(const rn_csv *csv, int column)
{
    static char none[1];
    return column >= 0 && column < csv->count ? csv->fields[column] : none; /* editors drop empty cells at the end of a line */
}

static int raven_row(rn_tables *t, const rn_csv *csv, const int columns[], int width, rn_error *err)
{
    double times[3] = {0};
    if (csv->count > width)
        return rn_error_set(err, RN_ERR_FORMAT, "%.400s, line %ld: %d fields, the first line has %d", csv->name, csv->line, csv->count,
                            width);
    for (int i = BEGIN_TIME; i <= FILE_OFFSET; i++) {
        const char *text = cell(csv, columns[i]);
        if ((*text || i != FILE_OFFSET) && read_seconds(text, &times[i]))
            return no_number(csv, COLUMN_NAMES[i], text, err);
    }
    double start_s = times[BEGIN_TIME], end_s = times[END_TIME];
    const char *path = cell(csv, columns[BEGIN_PATH]), *file = cell(csv, columns[BEGIN_FILE]);
    const char *end_path = cell(csv, columns[END_PATH]), *end_file = cell(csv, columns[END_FILE]);
    int two_files = (*path && *end_path && strcmp(path, end_path)) || (*file && *end_file && strcmp(file, end_file));
    if (start_s == end_s) {
        note(t, POINT, csv->name, csv->line);
        return 0;
    }
    if (start_s < end_s && *cell(csv, columns[FILE_OFFSET])) {
        end_s = times[FILE_OFFSET] + (end_s - start_s);
        start_s = times[FILE_OFFSET];
    }
    if (two_files)
        note(t, TWO_FILES, csv->name, csv->line);
    return add_mark(t, csv, *path ? path : file, start_s, end_s, two_files, cell(csv, columns[LABEL]), err);
}

/* --- tables --------------------------------------------------------------------------------------------------------------------------- */

static int column_named(const rn_csv *csv, const char *name)
{
    for (int i = 0; i < csv->count; i++)
        if (!strcasecmp(trimmed(csv->fields[i]), name))
            return i;
    return -1;
}

static int read_heading(const rn_csv *csv, int columns[COLUMNS], rn_error *err)
{
    columns[LABEL] = -1;
    for (int i = 0; i < LABEL; i++)
        columns[i] = column_named(csv, COLUMN_NAMES[i]);
    for (size_t i = 0; i < sizeof LABELS / sizeof *LABELS && columns[LABEL] < 0; i++)
        columns[LABEL] = column_named(csv, LABELS[i]);
    if (columns[END_TIME] < 0)
        return rn_error_set(err, RN_ERR_FORMAT, "%.400s: no column \"%s\" in its first line", csv->name, COLUMN_NAMES[END_TIME]);
    if (columns[LABEL] < 0)
        return rn_error_set(err, RN_ERR_FORMAT,
                            "%.400s: no column of labels: name it Annotation (Label, Class, Species, Common Name, Call Type, Type, Tag and "
                            "Species Code are known too)",
                            csv->name);
    return 0;
}

static int read_rows(rn_tables *t, rn_csv *csv, rn_table_kind kind, rn_error *err)
{
    int columns[COLUMNS], width = csv->count, more = 1, status = 0;
    if (kind == RAVEN && (!(status = read_heading(csv, columns, err))))
        status = rn_csv_next(csv, &more, err);
    while (!status && more) {
        status = kind == RAVEN ? raven_row(t, csv, columns, width, err) : audacity_row(t, csv, err);
        if (!status)
            status = rn_csv_next(csv, &more, err);
    }
    return status;
}

static int read_table(rn_tables *t, const char *path, rn_table_kind *kind, rn_error *err)
{
    rn_csv csv;
    int more = 0, status = rn_csv_open(&csv, path, err);
    double number;
    if (status)
        return status;
    const char *beside;
    csv.separator = '\t';
    *kind = NO_TABLE;
    if ((status = rn_csv_next(&csv, &more, err)))
        goto fail;
    if (!more)
        *kind = EMPTY_TABLE; /* nothing was found in this recording */
    else if (column_named(&csv, COLUMN_NAMES[BEGIN_TIME]) >= 0)
        *kind = RAVEN;
    else if (csv.count > 1 && !read_seconds(csv.fields[0], &number))
        *kind = AUDACITY;
    if (*kind != NO_TABLE) /* also a table without a row tells of its recording: that nothing is in it */
        recording_beside(t, path, &beside, NULL);
    if (*kind == RAVEN || *kind == AUDACITY)
        status = read_rows(t, &csv, *kind, err);
fail:
    rn_csv_close(&csv);
    return status;
}

static int start(rn_tables *t, rn_listing *l, const char *folder, size_t length, rn_error *err)
{
    memset(t, 0, sizeof *t);
    t->listing = l;
    if (asprintf(&t->folder, "%.*s%s", (int)length, folder, length && folder[length - 1] != '/' ? "/" : "") < 0) {
        t->folder = NULL;
        return rn_error_memory(err, "a path", length);
    }
    int status = rn_names_read(length ? t->folder : ".", &t->names, &t->names_count, err);
    if (!status && !(t->marked = calloc((size_t)t->names_count + 1, 1)))
        status = rn_error_memory(err, "a list of files", (unsigned long long)t->names_count);
    return status;
}

static void end(rn_tables *t)
{
    rn_names_free(t->names, t->names_count);
    free(t->marked);
    free(t->folder);
}

int rn_listing_table(rn_listing *l, const char *path, rn_error *err)
{
    rn_tables t;
    rn_table_kind kind = NO_TABLE;
    const char *slash = strrchr(path, '/');
    int status = start(&t, l, path, slash ? (size_t)(slash - path) + 1 : 0, err);
    if (!status)
        status = read_table(&t, path, &kind, err);
    if (!status && kind == NO_TABLE)
        status =
            rn_error_set(err, RN_ERR_DATA,
                         "%.500s: neither a selection table of Raven (its first line has the column \"%s\") nor labels of Audacity (start, "
                         "end and text, separated by tabs)",
                         path, COLUMN_NAMES[BEGIN_TIME]);
    if (!status)
        status = warn_of_oddities(&t, 0, err);
    end(&t);
    return status;
}

static int is_table_name(const char *name)
{
    const char *extension = rn_text_extension(name);
    return !strcasecmp(extension, "txt") || !strcasecmp(extension, "tsv");
}

int rn_listing_tables(rn_listing *l, const char *path, int *tables, rn_error *err)
{
    rn_tables t;
    struct stat info;
    int status = start(&t, l, path, strlen(path), err), folders = 0;
    *tables = 0;
    for (int i = 0; i < t.names_count && !status; i++) {
        char *name = NULL;
        if (asprintf(&name, "%s%s", t.folder, t.names[i]) < 0) {
            status = rn_error_memory(err, "a path", strlen(t.names[i]));
            break;
        }
        folders += !stat(name, &info) && S_ISDIR(info.st_mode);
        free(name);
    }
    for (int i = 0; i < t.names_count && !folders && !status; i++) {
        rn_table_kind kind;
        char *name = NULL;
        if (!is_table_name(t.names[i]))
            continue;
        if (asprintf(&name, "%s%s", t.folder, t.names[i]) < 0)
            name = NULL;
        status = name ? read_table(&t, name, &kind, err) : rn_error_memory(err, "a path", strlen(t.names[i]));
        if (!status && kind == NO_TABLE)
            note(&t, FOREIGN, t.names[i], 0);
        *tables += !status && kind != NO_TABLE;
        free(name);
    }
    if (!status && *tables)
        status = warn_of_oddities(&t, 1, err);
    end(&t);
    return status;
}
