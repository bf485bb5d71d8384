/* TensorBoard event files: TFRecords, each a length, its masked CRC-32C, an Event message, and that one's masked CRC-32C.
 *
 *     u64 length | u32 crc(length) | length bytes | u32 crc(bytes)       crc masked: rotate right by 15, + 0xA282EAD8
 *     Event      1 wall_time (double), 2 step (varint), 3 file_version (string), 5 summary
 *     Summary    1 value; Value: 1 tag (string), 2 simple_value (float)
 *
 * The first record is Event{wall_time, file_version "brain.Event:2"}. Going on with a file, the records that stay are checked: a reader stops at
 * the first bad one, so what follows it would be lost.
 * Source: TensorFlow's record_writer and event.proto; CRC-32C: RFC 3720, appendix B.4.
 */
#include "formats/events.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"

#define MOST_TAG 1000
#define MOST_RECORD (1u << 20) /* this writer's records are below 1.1 kB */

struct rn_events {
    FILE *file;
    char *path;
    int64_t bytes;
};

/* One bit at a time: records are about 60 bytes, a few per epoch, so no table is worth its kilobyte. */
static uint32_t crc32c(const unsigned char *p, size_t n)
{
    uint32_t crc = ~0u;
    for (; n; n--) {
        crc ^= *p++;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
    }
    return ~crc;
}

static uint32_t masked_crc(const void *p, size_t n)
{
    uint32_t crc = crc32c(p, n);
    return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

static int failed(const rn_events *e, rn_error *err)
{
    return rn_error_set(err, RN_ERR_IO, "%s: %s after %lld bytes", e->path, rn_errno_text(errno ? errno : EIO), (long long)e->bytes);
}

static int write_record(rn_events *e, const unsigned char *message, size_t n, rn_error *err)
{
    unsigned char record[MOST_TAG + 128];
    uint64_t length = n;
    uint32_t crc;
    memcpy(record, &length, 8);
    crc = masked_crc(record, 8);
    memcpy(record + 8, &crc, 4);
    memcpy(record + 12, message, n);
    crc = masked_crc(message, n);
    memcpy(record + 12 + n, &crc, 4);
    errno = 0;
    if (fwrite(record, 1, n + 16, e->file) != n + 16)
        return failed(e, err);
    e->bytes += (int64_t)n + 16;
    return 0;
}

static size_t put_varint(unsigned char *p, uint64_t x)
{
    size_t n = 0;
    for (; x >= 0x80; x >>= 7)
        p[n++] = (unsigned char)(x | 0x80);
    p[n++] = (unsigned char)x;
    return n;
}

static size_t put_time(unsigned char *p)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    double seconds = (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
    p[0] = 0x09;
    memcpy(p + 1, &seconds, 8);
    return 9;
}

static int write_version(rn_events *e, rn_error *err)
{
    static const char version[] = "brain.Event:2";
    unsigned char message[32];
    size_t n = put_time(message);
    message[n++] = 0x1A;
    message[n++] = sizeof version - 1;
    memcpy(message + n, version, sizeof version - 1);
    return write_record(e, message, n + sizeof version - 1, err);
}

/* Whole, undamaged records must end exactly at `keep`. */
static int check_records(const rn_events *e, int64_t keep, rn_error *err)
{
    unsigned char head[12] = {0}, *message = malloc(MOST_RECORD + 4);
    int64_t at = 0;
    int good = message != NULL;
    if (!message)
        return rn_error_memory(err, "an event record", MOST_RECORD);
    while (good && at < keep) {
        uint64_t length;
        uint32_t crc;
        good = fread(head, 1, 12, e->file) == 12;
        memcpy(&length, head, 8);
        memcpy(&crc, head + 8, 4);
        good = good && crc == masked_crc(head, 8) && length <= MOST_RECORD && fread(message, 1, (size_t)length + 4, e->file) == length + 4;
        if (good) {
            memcpy(&crc, message + length, 4);
            good = crc == masked_crc(message, (size_t)length);
            at += (int64_t)length + 16;
        }
    }
    free(message);
    if (!good || at != keep)
        return rn_error_set(err, RN_ERR_FORMAT, "%s: no whole event records up to byte %lld; remove the file to go on without its history",
                            e->path, (long long)keep);
    return 0;
}

static int reopen(rn_events *e, const char *path, int64_t keep, rn_error *err)
{
    struct stat st;
    e->path = strdup(path);
    if (!e->path)
        return rn_error_memory(err, "a file name", strlen(path));
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return rn_error_set(err, RN_ERR_IO, "%s: %s", path, rn_errno_text(errno));
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || !(e->file = fdopen(fd, "r+b"))) {
        close(fd);
        return rn_error_set(err, RN_ERR_IO, "%s: is not a file that can be appended to", path);
    }
    if (keep < 0 || keep > st.st_size)
        return rn_error_set(err, RN_ERR_FORMAT,
                            "%s: %lld bytes, the checkpoint was made after %lld; remove the file to go on without its history", path,
                            (long long)st.st_size, (long long)keep);
    int status = check_records(e, keep, err);
    if (status)
        return status;
    if (fseeko(e->file, keep, SEEK_SET) || ftruncate(fd, keep))
        return rn_error_set(err, RN_ERR_IO, "%s: %s", path, rn_errno_text(errno));
    e->bytes = keep;
    return keep ? 0 : write_version(e, err);
}

static int create(rn_events *e, const char *folder, rn_error *err)
{
    char host[256] = "localhost";
    gethostname(host, sizeof host - 1);
    size_t size = strlen(folder) + sizeof host + 80;
    e->path = malloc(size);
    if (!e->path)
        return rn_error_memory(err, "a file name", size);
    for (int number = 0; number < 1000; number++) { /* two runs of one process in one second */
        snprintf(e->path, size, "%s/events.out.tfevents.%010lld.%s.%ld.%d", folder, (long long)time(NULL), host, (long)getpid(), number);
        int fd = open(e->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno == EEXIST)
            continue;
        if (fd < 0)
            break;
        if ((e->file = fdopen(fd, "w+b")))
            return write_version(e, err);
        close(fd);
        break;
    }
    return rn_error_set(err, RN_ERR_IO, "%s: %s", e->path, rn_errno_text(errno));
}

int rn_events_open(rn_events **events, const char *folder, const char *path, int64_t keep_bytes, rn_error *err)
{
    *events = NULL;
    rn_events *e = calloc(1, sizeof *e);
    if (!e)
        return rn_error_memory(err, "an event file", sizeof *e);
    int status = path ? reopen(e, path, keep_bytes, err) : create(e, folder, err);
    if (!status)
        status = rn_events_flush(e, err);
    if (status) {
        rn_events_close(&e);
        return status;
    }
    *events = e;
    return 0;
}

int rn_events_scalar(rn_events *e, int64_t step, const char *tag, float value, rn_error *err)
{
    unsigned char one[MOST_TAG + 16], message[MOST_TAG + 64];
    size_t length = strlen(tag), n = 0, m;
    if (length > MOST_TAG)
        return rn_error_set(err, RN_ERR_ARG, "%.60s...: a tag of %zu bytes, at most %d are possible", tag, length, MOST_TAG);
    one[n++] = 0x0A;
    n += put_varint(one + n, length);
    memcpy(one + n, tag, length);
    n += length;
    one[n++] = 0x15;
    memcpy(one + n, &value, 4);
    n += 4;
    m = put_time(message);
    message[m++] = 0x10;
    m += put_varint(message + m, (uint64_t)step);
    unsigned char inner[8];
    size_t k = 0;
    inner[k++] = 0x0A;
    k += put_varint(inner + k, n);
    message[m++] = 0x2A;
    m += put_varint(message + m, k + n);
    memcpy(message + m, inner, k);
    memcpy(message + m + k, one, n);
    return write_record(e, message, m + k + n, err);
}

int rn_events_flush(rn_events *e, rn_error *err)
{
    errno = 0;
    return fflush(e->file) ? failed(e, err) : 0;
}

int64_t rn_events_bytes(const rn_events *e)
{
    return e->bytes;
}

const char *rn_events_path(const rn_events *e)
{
    return e->path;
}

void rn_events_close(rn_events **e)
{
    if (!e || !*e)
        return;
    if ((*e)->file)
        fclose((*e)->file);
    free((*e)->path);
    free(*e);
    *e = NULL;
}
