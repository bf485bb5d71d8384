/* What tests of files share: a temporary folder of their own, and whole files in and out. */
#ifndef RN_TESTS_FOLDER_FIXTURE_H
#define RN_TESTS_FOLDER_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"

static char folder[] = "/tmp/resnet-check.XXXXXX";

/* One of four buffers in turn: up to four paths may be in use at a time. */
static inline const char *in_folder(const char *name)
{
    static char path[4][400];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
    return path[next];
}

static inline int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static inline int remove_folder(void **state)
{
    (void)state;
    DIR *d = opendir(folder);
    if (!d)
        return -1;
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.')
            remove(in_folder(e->d_name));
    closedir(d);
    return rmdir(folder);
}

static inline void write_bytes(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
}

static inline unsigned char *read_bytes(const char *path, size_t *size)
{
    unsigned char *data;
    assert_int_equal(rn_file_read(path, 1 << 26, &data, size, NULL), 0);
    return data;
}

#endif
