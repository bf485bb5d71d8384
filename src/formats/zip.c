/* Zip: members, each behind a local header; a central directory that names them all; a record at the end that says where it is.
 *
 * Sizes are taken from the directory, since PyTorch's local headers leave them 0 (a descriptor follows the data), but where the data begin
 * only the local header says, whose extra field PyTorch pads until they are aligned to 64 bytes. The 64-bit record at the end is there
 * in small files too. A checksum of 0 is not compared: PyTorch writes it where it was told to compute none.
 * Source: PKWARE's APPNOTE 6.3.9, sections 4.3 to 4.5; CRC-32 eight bytes at a time: Kounavis and Berry 2005.
 */
#include "formats/zip.h"

#include <stdlib.h>
#include <string.h>

#include "base/threads.h"

enum { LOCAL_HEADER = 30, ENTRY = 46, END = 22, END64 = 56, LOCATOR64 = 20, MOST_MEMBERS = 70000, LARGE = 8 << 20 };

typedef struct archive {
    const char *name;
    const unsigned char *data;
    uint64_t directory, directory_end; /* members lie before the first, which is where the directory begins */
    uint64_t count;
    rn_error *err;
} archive;

static uint64_t number(const unsigned char *p, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)p[i] << 8 * i;
    return value;
}

static int is_record(const unsigned char *p, int a, int b)
{
    return p[0] == 'P' && p[1] == 'K' && p[2] == a && p[3] == b;
}

/* The last record, behind which there may be a comment that it knows the length of; NULL: there is none. */
static const unsigned char *find_end(const unsigned char *data, size_t size)
{
    for (size_t comment = 0; comment <= 0xFFFF && comment + END <= size; comment++) {
        const unsigned char *end = data + size - END - comment;
        if (is_record(end, 5, 6) && number(end + 20, 2) == comment)
            return end;
    }
    return NULL;
}

static int find_directory(archive *a, size_t size)
{
    const unsigned char *end = find_end(a->data, size), *last = end;
    uint64_t bytes, at;
    if (!end)
        return rn_error_set(a->err, RN_ERR_FORMAT, "%s: cut off: a zip archive without its end", a->name);
    a->count = number(end + 10, 2);
    bytes = number(end + 12, 4);
    a->directory = number(end + 16, 4);
    if (end - a->data >= LOCATOR64 + END64 && is_record(end - LOCATOR64, 6, 7)) {
        at = number(end - LOCATOR64 + 8, 8);
        if (at > (uint64_t)(end - a->data) - LOCATOR64 - END64 || !is_record(a->data + at, 6, 6))
            return rn_error_set(a->err, RN_ERR_FORMAT, "%s: a broken zip archive: there is no 64-bit end at byte %llu", a->name,
                                (unsigned long long)at);
        last = a->data + at;
        a->count = number(last + 32, 8);
        bytes = number(last + 40, 8);
        a->directory = number(last + 48, 8);
    }
    at = (uint64_t)(last - a->data);
    if (a->directory > at || bytes > at - a->directory)
        return rn_error_set(a->err, RN_ERR_FORMAT, "%s: a broken zip archive: its directory does not lie before its end", a->name);
    a->directory_end = a->directory + bytes;
    if (a->count > bytes / ENTRY || a->count > MOST_MEMBERS)
        return rn_error_set(a->err, RN_ERR_FORMAT,
                            "%s: a zip archive of %llu members: its directory has no room for them, or they are more than %d", a->name,
                            (unsigned long long)a->count, MOST_MEMBERS);
    return 0;
}

/* Numbers too large for the entry stand in its 64-bit extra field, in the order unpacked size, size, begin. */
static int read_extra64(const unsigned char *extra, size_t size, uint64_t *const values[3])
{
    for (size_t at = 0; size - at >= 4;) {
        size_t kind = (size_t)number(extra + at, 2), length = (size_t)number(extra + at + 2, 2);
        at += 4;
        if (length > size - at)
            return -1;
        for (int i = 0; kind == 1 && i < 3; i++)
            if (*values[i] == 0xFFFFFFFF) {
                if (length < 8)
                    return -1;
                *values[i] = number(extra + at, 8);
                at += 8;
                length -= 8;
            }
        at += length;
    }
    return 0;
}

static int broken(const archive *a, const rn_zip_member *m, const char *what)
{
    char text[64];
    size_t n = m->name_size < sizeof text ? m->name_size : sizeof text - 1;
    for (size_t i = 0; i < n; i++)
        text[i] = m->name[i] >= 0x20 && m->name[i] < 0x7F ? m->name[i] : '?';
    text[n] = 0;
    return rn_error_set(a->err, RN_ERR_FORMAT, "%s: a broken zip archive: %s %s", a->name, text, what);
}

/* The local header must tell the same story as the directory's entry. */
static int find_data(const archive *a, rn_zip_member *m)
{
    const unsigned char *local = a->data + m->begin;
    if (m->begin > a->directory || a->directory - m->begin < LOCAL_HEADER || !is_record(local, 3, 4))
        return broken(a, m, "is not where the directory says");
    uint64_t names = number(local + 26, 2), skip = LOCAL_HEADER + names + number(local + 28, 2);
    if (skip > a->directory - m->begin || m->size > a->directory - m->begin - skip)
        return broken(a, m, "reaches into the directory");
    if (names != m->name_size || memcmp(local + LOCAL_HEADER, m->name, m->name_size) != 0)
        return broken(a, m, "has another name in the directory");
    if (number(local + 6, 2) & 1)
        return broken(a, m, "is encrypted");
    m->data = local + skip;
    return 0;
}

/* One entry of the directory at *at, which moves behind it. */
static int read_entry(const archive *a, uint64_t *at, rn_zip_member *m)
{
    const unsigned char *entry = a->data + *at;
    uint64_t left = a->directory_end - *at, unpacked;
    if (left < ENTRY || !is_record(entry, 1, 2))
        return rn_error_set(a->err, RN_ERR_FORMAT, "%s: a broken zip archive: no entry of its directory at byte %llu", a->name,
                            (unsigned long long)*at);
    uint64_t names = number(entry + 28, 2), extra = number(entry + 30, 2), whole = ENTRY + names + extra + number(entry + 32, 2);
    if (whole > left)
        return rn_error_set(a->err, RN_ERR_FORMAT, "%s: a broken zip archive: the entry at byte %llu is longer than the directory", a->name,
                            (unsigned long long)*at);
    m->name = (const char *)entry + ENTRY;
    m->name_size = names;
    m->crc = (uint32_t)number(entry + 16, 4);
    m->size = number(entry + 20, 4);
    unpacked = number(entry + 24, 4);
    m->begin = number(entry + 42, 4);
    if (read_extra64(entry + ENTRY + names, extra, (uint64_t *const[3]){&unpacked, &m->size, &m->begin}))
        return broken(a, m, "has a cut extra field");
    *at += whole;
    if (number(entry + 8, 2) & 1)
        return broken(a, m, "is encrypted");
    m->compressed = number(entry + 10, 2) != 0;
    if (!m->compressed && unpacked != m->size)
        return broken(a, m, "is not compressed, and yet has two sizes");
    return find_data(a, m);
}

static int by_place(const void *a, const void *b)
{
    const rn_zip_member *x = a, *y = b;
    return x->begin < y->begin ? -1 : x->begin > y->begin;
}

static int by_name(const void *a, const void *b)
{
    const rn_zip_member *x = a, *y = b;
    int order = memcmp(x->name, y->name, x->name_size < y->name_size ? x->name_size : y->name_size);
    return order ? order : x->name_size < y->name_size ? -1 : x->name_size > y->name_size;
}

/* No byte twice, no name twice. */
static int check_members(const archive *a, rn_zip *zip)
{
    if (zip->count)
        qsort(zip->members, (size_t)zip->count, sizeof *zip->members, by_place);
    for (int i = 1; i < zip->count; i++) {
        const rn_zip_member *m = &zip->members[i - 1];
        if (m->data + m->size > a->data + zip->members[i].begin)
            return broken(a, m, "overlaps the next member");
    }
    if (zip->count)
        qsort(zip->members, (size_t)zip->count, sizeof *zip->members, by_name);
    for (int i = 1; i < zip->count; i++)
        if (by_name(&zip->members[i - 1], &zip->members[i]) == 0)
            return broken(a, &zip->members[i], "is there twice");
    return 0;
}

/* table[k][b]: the remainder of byte b followed by k zero bytes. */
typedef struct checking {
    uint32_t table[8][256];
    const rn_zip *zip;
    _Atomic int bad; /* place of a member with another checksum, plus one */
} checking;

static void fill_table(checking *c)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t r = b;
        for (int i = 0; i < 8; i++)
            r = r >> 1 ^ (0xEDB88320u & (0u - (r & 1)));
        c->table[0][b] = r;
    }
    for (int k = 1; k < 8; k++)
        for (int b = 0; b < 256; b++)
            c->table[k][b] = c->table[k - 1][b] >> 8 ^ c->table[0][c->table[k - 1][b] & 255];
}

static void check_one(void *context, int i, int thread)
{
    checking *c = context;
    const rn_zip_member *m = &c->zip->members[i];
    const unsigned char *p = m->data;
    uint64_t n = m->size;
    uint32_t r = 0xFFFFFFFF;
    (void)thread;
    if (m->crc == 0 || m->compressed)
        return;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t x;
        memcpy(&x, p, 8);
        x ^= r;
        r = c->table[7][x & 255] ^ c->table[6][x >> 8 & 255] ^ c->table[5][x >> 16 & 255] ^ c->table[4][x >> 24 & 255] ^
            c->table[3][x >> 32 & 255] ^ c->table[2][x >> 40 & 255] ^ c->table[1][x >> 48 & 255] ^ c->table[0][x >> 56];
    }
    for (; n > 0; n--, p++)
        r = r >> 8 ^ c->table[0][(r ^ *p) & 255];
    if (~r != m->crc)
        c->bad = i + 1;
}

static int check_sums(const archive *a, const rn_zip *zip)
{
    checking c = {.zip = zip};
    rn_pool *pool = NULL;
    fill_table(&c);
    if (a->directory >= LARGE)
        rn_pool_open(&pool, 0, NULL); /* without it, here */
    rn_pool_run(pool, zip->count, check_one, &c);
    rn_pool_close(&pool);
    return c.bad ? broken(a, &zip->members[c.bad - 1], "has another checksum: the file is damaged, fetch it again") : 0;
}

int rn_zip_open(rn_zip *zip, const char *name, const void *data, size_t size, rn_error *err)
{
    archive a = {.name = name, .data = data, .err = err};
    memset(zip, 0, sizeof *zip);
    int status = find_directory(&a, size);
    if (status)
        return status;
    zip->members = malloc((a.count + 1) * sizeof *zip->members);
    if (!zip->members)
        return rn_error_memory(err, "the directory of a zip archive", (a.count + 1) * sizeof *zip->members);
    uint64_t at = a.directory;
    for (uint64_t i = 0; i < a.count && !status; i++)
        status = read_entry(&a, &at, &zip->members[zip->count++]);
    if (!status && zip->count) {
        zip->first = zip->members[0].name;
        zip->first_size = zip->members[0].name_size;
    }
    if (status || (status = check_members(&a, zip)) || (status = check_sums(&a, zip)))
        rn_zip_close(zip);
    return status;
}

const rn_zip_member *rn_zip_find(const rn_zip *zip, const char *name, size_t name_size)
{
    rn_zip_member wanted = {.name = name, .name_size = name_size};
    return zip->count ? bsearch(&wanted, zip->members, (size_t)zip->count, sizeof wanted, by_name) : NULL;
}

void rn_zip_close(rn_zip *zip)
{
    free(zip->members);
    memset(zip, 0, sizeof *zip);
}
