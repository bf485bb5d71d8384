/* Shards: tars of samples, as WebDataset and WeSpeaker write them. Nothing is unpacked: a tar is listed once, and its members are read in place,
 * so what is compressed as a whole is refused.
 *
 * DATA is a tar, a pattern of tars (x-{000000..000146}.tar), a folder with tars and neither sub-folders nor recordings or pictures, or a list of
 * tars, one a line (shard.list; relative ones begin at the list). The words of a tar's name tell the part: train, val, test ...
 *
 * Members that follow one another with the same key are a sample. WebDataset: the key is what stands before the first dot of the last part of
 * the name, the kind what stands behind. WeSpeaker: cut at the last dot; a shard that has a member .spk is read so. A sample is the first member
 * that can be decoded, and its class the text of .cls or .class (a number; labels.txt beside the first tar, or beside the list, names it), of .spk, or "label" in
 * .json. Links, folders and other odd members are counted and left out.
 *
 * Read with libarchive as a stream of headers (ustar, pax, GNU's long names); it never gets to write anything.
 *
 * Source: the WebDataset format specification; wespeaker/dataset/processor.py; POSIX.1-2017, pax. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "data/listing.h"

#define MEMBER_LIMIT ((int64_t)1 << 30) /* bytes of a recording or picture */
enum { LABEL_BYTES = 1 << 16, PATTERN_LIMIT = 1 << 20 };

typedef struct rn_member {
    char *name;
    int64_t offset, bytes;
    char *text; /* of a member that says the class; NULL for others */
} rn_member;

typedef struct rn_shard {
    const char *path; /* of the tar */
    char *name;       /* its last part */
    rn_member *members;
    int count, capacity;
    int odd; /* links, folders, ... */
    int spk; /* WeSpeaker's */
    const rn_text_lines *labels;
} rn_shard;

/* Where the key of a member's name ends (at a dot); -1 if it has none. */
static int key_length(const rn_shard *s, const char *name)
{
    const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name, *dot = s->spk ? strrchr(base, '.') : strchr(base, '.');
    return dot && dot > base ? (int)(dot - name) : -1;
}

static int says_class(const char *name)
{
    static const char *const kinds[] = {"cls", "class", "spk", "json"};
    const char *extension = rn_text_extension(name);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcasecmp(extension, kinds[i]))
            return 1;
    return 0;
}

static void drop_members(rn_shard *s)
{
    for (int i = 0; i < s->count; i++) {
        free(s->members[i].name);
        free(s->members[i].text);
    }
    free(s->members);
    free(s->name);
}

/* ---- reading a tar ---- */

static int read_label(rn_shard *s, struct archive *a, rn_member *m, rn_error *err)
{
    if (m->bytes > LABEL_BYTES)
        return rn_error_set(err, RN_ERR_DATA, "%.300s: %.200s has %lld bytes; a class is said in %d at most", s->path, m->name,
                            (long long)m->bytes, LABEL_BYTES);
    if (!(m->text = calloc((size_t)m->bytes + 1, 1)))
        return rn_error_memory(err, "a label", (unsigned long long)m->bytes);
    for (int64_t have = 0; have < m->bytes;) {
        la_ssize_t got = archive_read_data(a, m->text + have, (size_t)(m->bytes - have));
        if (got <= 0)
            return rn_error_set(err, RN_ERR_FORMAT, "%.300s: breaks off in %.200s; fetch it again", s->path, m->name);
        have += got;
    }
    return 0;
}

static int add_member(rn_shard *s, struct archive *a, struct archive_entry *entry, int64_t size, rn_error *err)
{
    /* Under the locale "C" what is not ASCII is refused as UTF-8, and to be had as the bytes that stand in the tar. */
    const char *name = archive_entry_pathname_utf8(entry);
    if (!name)
        name = archive_entry_pathname(entry);
    if (!name || archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) || archive_entry_sparse_count(entry) > 0) {
        s->odd++;
        return 0;
    }
    if (s->count == s->capacity) {
        int capacity = s->capacity ? 2 * s->capacity : 256;
        rn_member *members = realloc(s->members, (size_t)capacity * sizeof *members);
        if (!members)
            return rn_error_memory(err, "a shard's members", (unsigned long long)capacity * sizeof *members);
        s->members = members;
        s->capacity = capacity;
    }
    rn_member *m = &s->members[s->count++];
    /* The header has just been read, so this is where the content begins. */
    *m = (rn_member){strdup(name), archive_filter_bytes(a, 0), archive_entry_size(entry), NULL};
    if (!m->name)
        return rn_error_memory(err, "a member's name", strlen(name));
    if (m->bytes < 0 || m->bytes > MEMBER_LIMIT)
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%.300s: %.200s has %lld bytes; %lld at most", s->path, m->name, (long long)m->bytes,
                            (long long)MEMBER_LIMIT);
    if (m->offset < 0 || m->offset > size - m->bytes)
        return rn_error_set(err, RN_ERR_FORMAT, "%.300s: breaks off in %.200s; fetch it again", s->path, m->name);
    s->spk |= !strcasecmp(rn_text_extension(name), "spk");
    return says_class(name) ? read_label(s, a, m, err) : 0;
}

/* The file under libarchive. Its own reader takes 64 KiB at a time, which of pictures is most of the tar; headers are what is wanted here. */
typedef struct rn_tape {
    int fd;
    int64_t at, size;
    unsigned char block[4096];
} rn_tape;

static la_ssize_t read_tape(struct archive *a, void *context, const void **data)
{
    rn_tape *t = context;
    ssize_t got;
    do
        got = pread(t->fd, t->block, sizeof t->block, (off_t)t->at);
    while (got < 0 && errno == EINTR);
    if (got < 0) {
        archive_set_error(a, errno, "%s", rn_errno_text(errno));
        return ARCHIVE_FATAL;
    }
    *data = t->block;
    t->at += got;
    return got;
}

static la_int64_t skip_tape(struct archive *a, void *context, la_int64_t wanted)
{
    rn_tape *t = context;
    int64_t step = wanted < t->size - t->at ? wanted : t->size - t->at;
    (void)a;
    step = step > 0 ? step : 0;
    t->at += step;
    return step;
}

/* What can be told before libarchive looks: that it is a file, and that the whole is not compressed. */
static int open_tape(rn_tape *t, const char *path, rn_error *err)
{
    static const struct {
        const char *magic, *program;
        int length;
    } packed[] = {{"\x1F\x8B", "gunzip", 2}, {"BZh", "bunzip2", 3}, {"\xFD\x37\x7AXZ", "unxz", 5}, {"\x28\xB5\x2F\xFD", "unzstd", 4}};
    char head[8] = "";
    struct stat info;
    if ((t->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) < 0 || fstat(t->fd, &info)) /* a pipe without a writer must not hang */
        return rn_error_set(err, RN_ERR_IO, "%.500s: %s", path, rn_errno_text(errno));
    if (!S_ISREG(info.st_mode))
        return rn_error_set(err, RN_ERR_IO, "%.500s: not a file", path);
    t->size = info.st_size;
    ssize_t got = pread(t->fd, head, sizeof head, 0);
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++)
        if (got >= packed[i].length && !memcmp(head, packed[i].magic, (size_t)packed[i].length))
            return rn_error_set(err, RN_ERR_UNSUPPORTED,
                                "%.400s: compressed as a whole; items are read in place, so unpack it first: %s %.400s", path,
                                packed[i].program, path);
    return 0;
}

static int read_tar(rn_shard *s, rn_error *err)
{
    rn_tape tape = {.fd = -1};
    struct archive *a = archive_read_new();
    /* One of our own: libarchive 3.6 does not look whether it got the one that it would make itself. */
    struct archive_entry *entry = a ? archive_entry_new2(a) : NULL;
    int status = entry ? open_tape(&tape, s->path, err) : rn_error_memory(err, "a tar", 0), code = ARCHIVE_OK;
    if (!status &&
        (archive_read_support_format_tar(a) != ARCHIVE_OK || archive_read_open2(a, &tape, NULL, read_tape, skip_tape, NULL) != ARCHIVE_OK))
        status = rn_error_set(err, RN_ERR_FORMAT, "%.400s: no tar (%.200s)", s->path, archive_error_string(a));
    while (!status) {
        code = archive_read_next_header2(a, entry);
        if (code == ARCHIVE_EOF)
            break;
        /* RETRY is a header that does not add up: libarchive would look for the next one, and the sample would be lost without a word. */
        status = code == ARCHIVE_RETRY || code < ARCHIVE_WARN ? rn_error_set(err, RN_ERR_FORMAT, "%.400s: %.200s; fetch it again", s->path, archive_error_string(a))
                                     : add_member(s, a, entry, tape.size, err);
    }
    archive_entry_free(entry);
    archive_read_free(a);
    if (tape.fd >= 0)
        close(tape.fd);
    return status;
}

/* ---- samples ---- */

/* The class as the listing wants it, malloc'ed. A number is written without zeros before it, or as its line of labels.txt. */
static int label_of(const rn_shard *s, const rn_member *m, char **label, rn_error *err)
{
    json_error_t why;
    json_t *root = NULL, *value = NULL;
    char number[24];
    const char *text = m->text;
    if (!strcasecmp(rn_text_extension(m->name), "json")) {
        if (!(root = json_loads(text, JSON_REJECT_DUPLICATES, &why)))
            return rn_error_set(err, RN_ERR_FORMAT, "%.300s: %.200s: not JSON: %.200s", s->path, m->name, why.text);
        value = json_object_get(root, "label");
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        text = json_is_integer(value) ? number : json_string_value(value);
    }
    int status = 0, length = 0, digits;
    if (text) {
        text += strspn(text, " \t\r\n");
        for (length = (int)strlen(text); length && strchr(" \t\r\n", text[length - 1]); length--)
            ;
        digits = length > 0 && length < 10 && (int)strspn(text, "0123456789") == length;
        if (digits && strcasecmp(rn_text_extension(m->name), "spk")) {
            long long n = strtoll(text, NULL, 10);
            if (s->labels->count && n >= s->labels->count)
                status = rn_error_set(err, RN_ERR_DATA, "%.300s: %.200s is of class %lld, labels.txt has %d lines; add the missing ones",
                                      s->path, m->name, n, s->labels->count);
            else if (s->labels->count)
                length = (int)strlen(text = s->labels->line[n]);
            else
                for (; length > 1 && *text == '0'; length--)
                    text++;
        }
        if (!status && length && !(*label = strndup(text, (size_t)length)))
            status = rn_error_memory(err, "a label", (unsigned long long)length);
    }
    json_decref(root);
    return status;
}

static int add_sample(rn_listing *l, rn_shard *s, int begin, int end, rn_error *err)
{
    const rn_member *content = NULL;
    char *label = NULL, *name = NULL;
    int status = 0;
    for (int i = begin; i < end && !status; i++) {
        const rn_member *m = &s->members[i];
        if (m->text && !label)
            status = label_of(s, m, &label, err);
        else if (!m->text && !content && m->bytes > 0 && strcasecmp(rn_text_extension(m->name), "npy") && rn_listing_takes(l, m->name))
            content = m;
    }
    if (status)
        goto fail;
    if (!content) { /* nothing here is an item; what there is counts for the warning about kinds that are not decoded */
        for (int i = begin; i < end && status >= 0; i++)
            if (!s->members[i].text)
                s->odd += (status = rn_listing_wants(l, s->members[i].name, s->members[i].name, err)) > 0; /* empty, or an array */
        status = status < 0 ? status : 0;
        goto fail;
    }
    if (!label)
        status = rn_error_set(err, RN_ERR_DATA,
                              "%.300s: no class for %.200s; a member %.*s.cls with its number, or .spk or .json with a \"label\"", s->path,
                              content->name, key_length(s, content->name), content->name);
    else if (asprintf(&name, "%s/%s", s->name, content->name) < 0) {
        name = NULL;
        status = rn_error_memory(err, "a name", strlen(content->name));
    } else {
        rn_entry entry = {.path = s->path, .name = name, .label = label, .weight = 1, .part = rn_part_of_name(s->name)};
        entry.offset = content->offset;
        entry.bytes = content->bytes;
        status = rn_listing_add(l, &entry, err);
    }
fail:
    free(label);
    free(name);
    return status;
}

static int list_tar(rn_listing *l, const char *path, const rn_text_lines *labels, rn_error *err)
{
    const char *slash = strrchr(path, '/');
    rn_shard s = {.path = path, .name = strdup(slash ? slash + 1 : path), .labels = labels};
    int status = s.name ? read_tar(&s, err) : rn_error_memory(err, "a name", strlen(path));
    for (int i = 0, end; i < s.count && !status; i = end) {
        int key = key_length(&s, s.members[i].name);
        for (end = i + 1; key >= 0 && end < s.count && key_length(&s, s.members[end].name) == key &&
                          !strncmp(s.members[end].name, s.members[i].name, (size_t)key);
             end++)
            ;
        if (key >= 0)
            status = add_sample(l, &s, i, end, err);
    }
    if (!status && s.odd)
        status = rn_listing_warn(l, err, "%.300s: links, folders, arrays and empty files, left out: %d", path, s.odd);
    drop_members(&s);
    return status;
}

/* ---- which tars ---- */

static int labels_beside(rn_text_lines *labels, const char *path, rn_error *err)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int status = folder ? rn_lines_labels(labels, folder, "labels.txt", err) : rn_error_memory(err, "a path", strlen(path));
    free(folder);
    return status;
}

/* Every number of the first {A..B} in its place, padded with zeros to the longer of the two, and so on with the next. As in a shell, only zeros before a number are padding: {0..12} has none. */
static int list_pattern(rn_listing *l, const char *pattern, const rn_text_lines *labels, int depth, rn_error *err)
{
    const char *open = strchr(pattern, '{');
    unsigned long first, last;
    int a = 0, b = 0, c = 0, d = 0;
    if (!open || !access(pattern, F_OK))
        return list_tar(l, pattern, labels, err);
    if (sscanf(open, "{%n%9lu%n..%n%9lu%n", &a, &first, &b, &c, &last, &d) != 2 || open[d] != '}' || open[a] == '-' || first > last ||
        last - first >= PATTERN_LIMIT || depth > 2)
        return rn_error_set(err, RN_ERR_ARG, "%.500s: a pattern of tars has numbers as in x-{000000..000146}.tar, twice at most", pattern);
    int status = 0, padded = (open[a] == '0' && b - a > 1) || (open[c] == '0' && d - c > 1), width = 0;
    if (padded)
        width = b - a > d - c ? b - a : d - c;
    for (unsigned long n = first; n <= last && !status; n++) {
        char *path = NULL;
        if (asprintf(&path, "%.*s%0*lu%s", (int)(open - pattern), pattern, width, n, open + d + 1) < 0)
            return rn_error_memory(err, "a path", strlen(pattern));
        status = list_pattern(l, path, labels, depth + 1, err);
        free(path);
    }
    return status;
}

int rn_listing_shards(rn_listing *l, const char *pattern, rn_error *err)
{
    rn_text_lines labels = {0};
    int status = labels_beside(&labels, pattern, err);
    if (!status)
        status = list_pattern(l, pattern, &labels, 1, err);
    rn_lines_free(&labels);
    return status;
}

/* WeSpeaker's two kinds of list: objects, a recording each (raw.list), or tars (shard.list). */
int rn_listing_list(rn_listing *l, const char *path, rn_error *err)
{
    rn_text_lines labels = {0}, lines = {0};
    int status = rn_lines_read(&lines, path, err), objects = !status && lines.count && *lines.line[0] == '{';
    if (objects) {
        rn_lines_free(&lines);
        return rn_listing_json_lines(l, path, err);
    }
    if (!status)
        status = labels_beside(&labels, path, err);
    for (int i = 0; i < lines.count && !status; i++) {
        if (!*lines.line[i])
            continue;
        if (!rn_is_tar(lines.line[i])) {
            status = rn_error_set(err, RN_ERR_FORMAT,
                                  "%.400s, line %d: \"%.200s\" is no tar, and the file no list of objects {\"key\", \"spk\", \"wav\"}",
                                  path, i + 1, lines.line[i]);
            break;
        }
        char *tar = rn_path_beside(path, lines.line[i]);
        status = tar ? list_tar(l, tar, &labels, err) : rn_error_memory(err, "a path", strlen(path));
        free(tar);
    }
    rn_lines_free(&labels);
    rn_lines_free(&lines);
    return status;
}

int rn_is_tar(const char *path)
{
    static const char *const packed[] = {"gz", "bz2", "xz", "zst", "lz4"};
    const char *extension = rn_text_extension(path);
    if (!strcasecmp(extension, "tar") || !strcasecmp(extension, "tgz"))
        return 1;
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++)
        if (!strcasecmp(extension, packed[i]) && extension - path > 5 && !strncasecmp(extension - 5, ".tar.", 5))
            return 1;
    return 0;
}

int rn_listing_shard_folder(rn_listing *l, const char *path, int *found, rn_error *err)
{
    char **names = NULL;
    rn_text_lines labels = {0};
    int count = 0, others = 0, tars = 0, status = rn_names_read(path, &names, &count, err);
    for (int i = 0; i < count && !status; i++)
        tars += rn_is_tar(names[i]);
    for (int i = 0; i < count && tars && !others && !status; i++) { /* a look at each file, only where there are tars */
        struct stat info;
        char *name = NULL;
        if (asprintf(&name, "%s/%s", path, names[i]) < 0)
            status = rn_error_memory(err, "a path", strlen(path));
        else
            others += (!stat(name, &info) && S_ISDIR(info.st_mode)) || rn_listing_takes(l, name);
        if (!status)
            free(name);
    }
    *found = !status && tars && !others;
    if (*found)
        status = rn_lines_labels(&labels, path, "labels.txt", err);
    for (int i = 0; i < count && *found && !status; i++) {
        char *tar = NULL;
        if (!rn_is_tar(names[i]))
            continue;
        if (asprintf(&tar, "%s%s%s", path, path[strlen(path) - 1] == '/' ? "" : "/", names[i]) < 0)
            status = rn_error_memory(err, "a path", strlen(path));
        else {
            status = list_tar(l, tar, &labels, err);
            free(tar);
        }
    }
    rn_lines_free(&labels);
    rn_names_free(names, count);
    return status;
}
