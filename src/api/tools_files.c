/* Arrays and text files for the verbs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/ear.h"
#include "base/file.h"
#include "data/listing.h"
#include "formats/npy.h"
#include "media/sound.h"
#include "resnet_tools.h"

int rn_tensor_load(const char *path, float **data, int *dims, int64_t shape[8], rn_error *err)
{
    rn_array array = {0};
    int status = rn_npy_read(path, &array, err);
    *data = NULL;
    *dims = 0;
    if (status)
        return status;
    *data = array.data;
    *dims = array.dims;
    memcpy(shape, array.shape, sizeof array.shape);
    return 0;
}

int rn_tensor_save(const char *path, const float *data, int dims, const int64_t *shape, rn_error *err)
{
    return rn_npy_write(path, data, dims, shape, err);
}

void rn_tensor_free(float *data)
{
    free(data);
}

struct rn_text_file {
    rn_save save;
};

int rn_text_file_open(rn_text_file **file, const char *path, rn_error *err)
{
    rn_text_file *f = calloc(1, sizeof *f);
    *file = NULL;
    if (!f)
        return rn_error_memory(err, path, sizeof *f);
    int status = rn_save_open(&f->save, path, err);
    if (status)
        free(f);
    else
        *file = f;
    return status;
}

int rn_text_file_write(rn_text_file *file, const char *text, size_t size, rn_error *err)
{
    return rn_save_write(&file->save, text, size, err);
}

int rn_text_file_commit(rn_text_file **file, rn_error *err)
{
    int status = rn_save_commit(&(*file)->save, err);
    rn_text_file_close(file);
    return status;
}

void rn_text_file_close(rn_text_file **file)
{
    if (!*file)
        return;
    rn_save_drop(&(*file)->save);
    free(*file);
    *file = NULL;
}

int rn_tools_readable(const char *path)
{
    const char *dot = strrchr(path, '.');
    return rn_sound_known(path) || (dot && strcasecmp(dot, ".npy") == 0);
}

int rn_tools_hash(const char *path, char hash[33], rn_error *err)
{
    int number = rn_hash_file(path, hash);
    return number ? rn_error_set(err, number == ENOMEM ? RN_ERR_MEMORY : RN_ERR_IO, "%s: %s", path, rn_errno_text(number)) : 0;
}

int rn_tools_cut(const char *path, const rn_listen *listen, double start_s, double end_s, const char *out, rn_error *err)
{
    rn_sound_options options;
    rn_sound sound = {0};
    int status = rn_listen_sound(listen, NULL, &options, err);
    if (status)
        return status;
    options.start_s = start_s;
    options.end_s = end_s;
    status = rn_sound_read(path, &options, &sound, err);
    if (!status)
        status = rn_sound_write_wav(out, sound.samples, sound.count, sound.rate, err);
    rn_sound_free(&sound);
    return status;
}
