/* Files read whole, and files written beside their name and renamed over it.
 *
 * Order of a commit: stdio flush, fsync of the file, rename, fsync of the folder. A crash at any moment leaves the old
 * file or the new one. Devices and pipes (/dev/null, /dev/stdout) cannot be renamed over: they are written in place.
 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/threads.h"

enum { PIECE = 1 << 20, LARGE = 8 << 20, HUGE_PAGE = 2 << 20 };

const char *rn_errno_text(int number)
{
    switch (number) {
    case ENOENT: return "No such file or folder";
    case EACCES: return "Permission denied";
    case EPERM: return "Operation not permitted";
    case ENOSPC: return "No space left on device";
    case EDQUOT: return "Disk quota exceeded";
    case EROFS: return "Read-only file system";
    case EISDIR: return "Is a folder";
    case ENOTDIR: return "A part of the path is not a folder";
    case EIO: return "Input or output error of the device";
    case EMFILE: return "Too many open files in this process";
    case ENFILE: return "Too many open files in the system";
    case ENAMETOOLONG: return "Name too long";
    case EFBIG: return "File too large";
    case ELOOP: return "Too many links in the path";
    case EEXIST: return "Exists already";
    case ENOTEMPTY: return "Folder not empty";
    case ENOMEM: return "Out of memory";
    case EBUSY: return "Device or file busy";
    case ETXTBSY: return "File is being executed";
    case EPIPE: return "Broken pipe";
    case EINTR: return "Interrupted";
    case EAGAIN: return "Would block";
    case EINVAL: return "Invalid argument";
    case ENODEV:
    case ENXIO: return "No such device";
    case ESTALE: return "The network file is gone";
    case EXDEV: return "On another device";
    default: return "Unknown system error";
    }
}

typedef struct reading {
    int fd;
    unsigned char *data;
    size_t size;
    _Atomic size_t got;
    _Atomic int error; /* errno of a failed piece */
} reading;

static void read_piece(void *context, int piece, int thread)
{
    reading *r = context;
    size_t at = (size_t)piece * PIECE, end = r->size - at < PIECE ? r->size : at + PIECE, begin = at;
    (void)thread;
    while (at < end) {
        ssize_t n = pread(r->fd, r->data + at, end - at, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            r->error = errno;
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    r->got += at - begin;
}

/* In pieces, by all processors where the file is large: a copy from the page cache is bound by one core. */
static int read_all(int fd, unsigned char *data, size_t size, size_t *got)
{
    reading r = {.fd = fd, .data = data, .size = size};
    rn_pool *pool = NULL;
    if (size >= LARGE)
        rn_pool_open(&pool, 0, NULL); /* without it, here */
    rn_pool_run(pool, (int)((size + PIECE - 1) / PIECE), read_piece, &r);
    rn_pool_close(&pool);
    *got = r.got;
    errno = r.error;
    return r.error ? -1 : 0;
}

/* Room that free() takes back; a large one on huge pages, where the system gives them. */
static unsigned char *room_for(size_t size)
{
    if (size < LARGE)
        return malloc(size);
    unsigned char *bytes = aligned_alloc(HUGE_PAGE, (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
#if defined(MADV_HUGEPAGE)
    if (bytes)
        madvise(bytes, size, MADV_HUGEPAGE);
#endif
    return bytes;
}

int rn_file_read_from(int fd, const char *path, size_t limit, unsigned char **data, size_t *size, rn_error *err)
{
    struct stat st;
    unsigned char *bytes = NULL;
    size_t want, got;
    int status;

    *data = NULL;
    *size = 0;
    if (fd < 0)
        return rn_error_set(err, RN_ERR_IO, "%s: %s", path, rn_errno_text(errno));
    if (fstat(fd, &st)) {
        status = rn_error_set(err, RN_ERR_IO, "%s: %s", path, rn_errno_text(errno));
        goto fail;
    }
    if (!S_ISREG(st.st_mode)) {
        status =
            rn_error_set(err, RN_ERR_IO, "%s: %s, a file is wanted", path, S_ISDIR(st.st_mode) ? "Is a folder" : "Is a device or pipe");
        goto fail;
    }
    if (st.st_size < 0 || (unsigned long long)st.st_size > limit) {
        status = rn_error_set(err, RN_ERR_FORMAT, "%s: %lld bytes, at most %zu can be read", path, (long long)st.st_size, limit);
        goto fail;
    }
    want = (size_t)st.st_size;
    bytes = want < SIZE_MAX - HUGE_PAGE ? room_for(want + 1) : NULL;
    if (!bytes) {
        status = rn_error_memory(err, path, want);
        goto fail;
    }
    if (read_all(fd, bytes, want, &got)) {
        status = rn_error_set(err, RN_ERR_IO, "%s: %s after %zu of %zu bytes", path, rn_errno_text(errno), got, want);
        goto fail;
    }
    if (got != want) {
        status = rn_error_set(err, RN_ERR_IO, "%s: the file shrank from %zu to %zu bytes while it was read", path, want, got);
        goto fail;
    }
    bytes[want] = 0;
    close(fd);
    *data = bytes;
    *size = want;
    return 0;
fail:
    free(bytes);
    close(fd);
    return status;
}

int rn_file_read(const char *path, size_t limit, unsigned char **data, size_t *size, rn_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe without a writer must not hang */
    return rn_file_read_from(fd, path, limit, data, size, err);
}

static char *join(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    char *text = malloc(n + m + 1);
    if (text) {
        memcpy(text, a, n);
        memcpy(text + n, b, m + 1);
    }
    return text;
}

int rn_save_open(rn_save *save, const char *path, rn_error *err)
{
    struct stat st;
    int fd, status;
    char suffix[32];

    memset(save, 0, sizeof *save);
    int exists = stat(path, &st) == 0;
    if (exists && S_ISDIR(st.st_mode))
        return rn_error_set(err, RN_ERR_IO, "%s: Is a folder, a file name is wanted", path);
    save->path = join(path, "");
    snprintf(suffix, sizeof suffix, ".tmp.%ld", (long)getpid());
    if (!exists || S_ISREG(st.st_mode))
        save->temporary = join(path, suffix);
    if (!save->path || ((!exists || S_ISREG(st.st_mode)) && !save->temporary)) {
        status = rn_error_memory(err, "a file name", strlen(path));
        goto fail;
    }
    if (save->temporary) {
        unlink(save->temporary); /* left by a killed process of the same number */
        fd = open(save->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } else {
        fd = open(path, O_WRONLY | O_CLOEXEC);
    }
    if (fd < 0) {
        status = rn_error_set(err, RN_ERR_IO, "%s: %s", path, rn_errno_text(errno));
        free(save->temporary);
        save->temporary = NULL; /* not ours to remove */
        goto fail;
    }
    if (exists && save->temporary && fchmod(fd, st.st_mode & 0777)) {
        /* the new file keeps the permissions that umask gave it */
    }
    save->file = fdopen(fd, "wb");
    if (!save->file) {
        status = rn_error_set(err, RN_ERR_IO, "%s: %s", path, rn_errno_text(errno));
        close(fd);
        goto fail;
    }
    return 0;
fail:
    rn_save_drop(save);
    return status;
}

static int save_failed(rn_save *save, int number, rn_error *err)
{
    return rn_error_set(err, RN_ERR_IO, "%s: %s after %llu bytes%s", save->path, rn_errno_text(number), save->written,
        save->temporary ? "; what stood under this name before is unchanged" : "");
}

int rn_save_write(rn_save *save, const void *data, size_t size, rn_error *err)
{
    if (size == 0)
        return 0;
    errno = 0;
    size_t done = fwrite(data, 1, size, save->file);
    save->written += done;
    if (done != size)
        return save_failed(save, errno ? errno : EIO, err);
    return 0;
}

static int sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = join(slash ? path : ".", "");
    if (!folder) {
        errno = ENOMEM;
        return -1;
    }
    if (slash)
        folder[slash == path ? 1 : slash - path] = 0;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    if (fd < 0) /* a folder that may be written but not read: the rename itself still stands */
        return errno == EACCES ? 0 : -1;
    int bad = fsync(fd) && errno != EINVAL && errno != EROFS; /* some file systems cannot sync a folder */
    int number = errno;
    close(fd);
    errno = number;
    return bad ? -1 : 0;
}

static int commit(rn_save *save, int durable, rn_error *err)
{
    int status = 0;
    errno = 0;
    if (fflush(save->file) || ferror(save->file) || (durable && save->temporary && fsync(fileno(save->file)))) {
        status = save_failed(save, errno ? errno : EIO, err);
        goto fail;
    }
    FILE *file = save->file;
    save->file = NULL;
    if (fclose(file)) {
        status = save_failed(save, errno, err);
        goto fail;
    }
    if (save->temporary) {
        if (rename(save->temporary, save->path)) {
            status = save_failed(save, errno, err);
            goto fail;
        }
        free(save->temporary);
        save->temporary = NULL;
        if (durable && sync_folder(save->path)) {
            status = rn_error_set(err, RN_ERR_IO, "%s: written, but its folder could not be flushed to the disk: %s", save->path,
                                  rn_errno_text(errno));
            goto fail;
        }
    }
fail:
    rn_save_drop(save);
    return status;
}

int rn_save_commit(rn_save *save, rn_error *err)
{
    return commit(save, 1, err);
}

int rn_save_replace(rn_save *save, rn_error *err)
{
    return commit(save, 0, err);
}

void rn_save_drop(rn_save *save)
{
    if (save->file)
        fclose(save->file);
    if (save->temporary) {
        unlink(save->temporary);
        free(save->temporary);
    }
    free(save->path);
    memset(save, 0, sizeof *save);
}
