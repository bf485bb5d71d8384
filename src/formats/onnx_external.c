/* Data of tensors in files beside the model.
 *
 * A name comes from the model, so it is not trusted: it must be relative, without "..", and is opened one folder after the other below the
 * model's, no part of it a link; what is found must be a regular file with no other name. Each file is read once, whole.
 * Source: ONNX's document on external data; what went wrong elsewhere: CVE-2022-25882, CVE-2024-27318.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "formats/onnx_message.h"

enum { MOST_FILES = 64, MOST_NAME = 1000 };
#define MOST_BYTES ((size_t)1 << 40)

struct rn_onnx_external {
    rn_onnx_external *next;
    const char *location;
    unsigned char *data;
    size_t size;
};

static int refuse(const char *path, const char *location, const char *why, rn_error *err)
{
    return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: its data are said to be in \"%s\": %s", path, rn_show(location).text, why);
}

static int open_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[4096];
    if (!slash)
        return open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    size_t n = slash == path ? 1 : (size_t)(slash - path);
    if (n >= sizeof folder) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(folder, path, n);
    folder[n] = 0;
    return open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Below the folder, part by part. -1 with errno; the parts were checked. */
static int open_below(int folder, const char *location)
{
    char part[256];
    for (;;) {
        size_t n = strcspn(location, "/");
        int last = location[n] == 0;
        if (n >= sizeof part) {
            errno = ENAMETOOLONG;
            break;
        }
        memcpy(part, location, n);
        part[n] = 0;
        int next = openat(folder, part, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | (last ? O_NONBLOCK : O_DIRECTORY));
        int number = errno;
        close(folder);
        errno = number;
        if (next < 0 || last)
            return next;
        folder = next;
        location += n + 1;
    }
    close(folder);
    return -1;
}

static int parts_are_plain(const char *location)
{
    size_t n = strlen(location);
    if (n == 0 || n > MOST_NAME)
        return 0;
    for (;;) {
        n = strcspn(location, "/");
        if (n == 0 || (n == 1 && location[0] == '.') || (n == 2 && location[0] == '.' && location[1] == '.') || memchr(location, '\\', n))
            return 0;
        if (!location[n])
            return 1;
        location += n + 1;
    }
}

static int read_file(rn_onnx_external *file, const char *path, const char *location, rn_error *err)
{
    struct stat st;
    rn_error why;
    if (!parts_are_plain(location))
        return refuse(path, location, "only a plain name in the model's folder, or below it, is read", err);
    int folder = open_folder(path), fd = folder < 0 ? -1 : open_below(folder, location);
    if (fd < 0)
        return refuse(path, location, errno == ELOOP ? "a link is not followed; put the file itself there" : rn_errno_text(errno), err);
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink != 1) {
        close(fd);
        return refuse(path, location, "the file has another name as well (a hard link); put a copy there", err);
    }
    int status = rn_file_read_from(fd, location, MOST_BYTES, &file->data, &file->size, &why);
    return status ? rn_error_set(err, status, "%s: %s", path, why.text) : 0;
}

int rn_onnx_external_bytes(rn_onnx_external **files, rn_onnx *model, const char *path, const char *tensor, const rn_onnx_place *place,
                           uint64_t size, const void **data, rn_error *err)
{
    rn_onnx_external *file = *files;
    int count = 0;
    while (file && strcmp(file->location, place->location) != 0) {
        file = file->next;
        count++;
    }
    if (!file) {
        if (count >= MOST_FILES)
            return refuse(path, place->location, "it names more than 64 files", err);
        if (!(file = rn_onnx_room(model, 1, sizeof *file)))
            return rn_error_memory(err, path, sizeof *file);
        int status = read_file(file, path, place->location, err);
        if (status)
            return status;
        if (rn_onnx_keep(model, file->data))
            return rn_error_memory(err, path, file->size);
        file->location = place->location;
        file->next = *files;
        *files = file;
    }
    if (place->offset > file->size || size > file->size - place->offset)
        return rn_error_set(err, RN_ERR_FORMAT, "%s: %s wants bytes %llu to %llu of %s, which has %zu", path, rn_show(tensor).text,
                            (unsigned long long)place->offset, (unsigned long long)(place->offset + size), rn_show(place->location).text,
                            file->size);
    *data = file->data + place->offset;
    return 0;
}
