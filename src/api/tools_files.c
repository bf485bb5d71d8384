/* Arrays and text files for the verbs. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/ear.h"
#include "base/file.h"
#include "data/listing.h"
#include "formats/npy.h"
#include "media/image.h"
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
    return rn_sound_known(path) || rn_image_known(path) || (dot && strcasecmp(dot, ".npy") == 0);
}

int rn_tools_takes(const rn_model *model, const char *path)
{
    if (rn_sound_known(path))
        return rn_model_section(model, "features") != NULL;
    return rn_image_known(path) ? rn_model_section(model, "pictures") != NULL : rn_tools_readable(path);
}

int rn_tools_hash(const char *path, char hash[33], rn_error *err)
{
    int number = rn_hash_file(path, 0, 0, hash);
    return number ? rn_error_set(err, number == ENOMEM ? RN_ERR_MEMORY : RN_ERR_IO, "%s: %s", path, rn_errno_text(number)) : 0;
}

int rn_tools_seconds(const char *path, const rn_listen *listen, double *seconds, rn_error *err)
{
    rn_sound_options options;
    rn_sound_info info = {0};
    int status = rn_listen_sound(listen, NULL, &options, err);
    if (!status)
        status = rn_sound_probe(path, &options, &info, err);
    *seconds = status ? 0 : info.seconds;
    return status;
}

/* A part that the pass has begun. */
typedef struct open_cut {
    float *samples;
    int64_t start, end, have; /* samples of the recording */
} open_cut;

/* Takes over what a piece [at, at + got) has of a part, and writes the part when it is whole, or `last`. */
static int fill_cut(open_cut *o, const rn_cut *cut, const float *piece, int64_t at, int64_t got, int rate, int last, rn_error *err)
{
    int64_t from = o->start > at ? o->start : at, to = o->end < at + got ? o->end : at + got;
    int status = 0;
    if (!o->samples && !(o->samples = malloc((size_t)(o->end - o->start) * sizeof *piece)))
        return rn_error_memory(err, cut->out, (unsigned long long)(o->end - o->start) * sizeof *piece);
    if (to > from) {
        memcpy(o->samples + (from - o->start), piece + (from - at), (size_t)(to - from) * sizeof *piece);
        o->have = to - o->start;
    }
    if (o->have < o->end - o->start && !last)
        return 0;
    if (o->have)
        status = rn_sound_write_wav(cut->out, o->samples, o->have, rate, err);
    free(o->samples);
    o->samples = NULL;
    o->end = o->start; /* done */
    return status;
}

/* One pass: `open` has room for all cuts. */
static int cut_all(rn_sound_stream *stream, const rn_cut *cuts, open_cut *open, int count, rn_error *err)
{
    enum { PIECE = 4096 };
    float piece[PIECE];
    int rate = rn_sound_stream_rate(stream), first = 0, status = 0;
    int64_t at = 0, got = 1;
    for (int i = 0; i < count; i++) {
        double start = floor(cuts[i].start_s * rate + 0.5), end = floor(cuts[i].end_s * rate + 0.5);
        if (!(start >= 0 && end > start && end - start < (double)((int64_t)1 << 30)))
            return rn_error_set(err, RN_ERR_ARG, "%s: from %.3f to %.3f s is no part that can be cut out", cuts[i].out, cuts[i].start_s, cuts[i].end_s);
        open[i].start = (int64_t)start;
        open[i].end = (int64_t)end;
    }
    for (; !status && first < count && got > 0; at += got > 0 ? got : 0) {
        got = rn_sound_stream_read(stream, piece, PIECE, err);
        for (int i = first; i < count && !status && got >= 0 && (open[i].start < at + got || !got); i++)
            if (open[i].end > open[i].start)
                status = fill_cut(&open[i], &cuts[i], piece, at, got, rate, !got, err);
        while (first < count && open[first].end == open[first].start)
            first++;
    }
    return got < 0 ? (int)got : status;
}

int rn_tools_cut(const char *path, const rn_listen *listen, const rn_cut *cuts, int count, rn_error *err)
{
    rn_sound_options options;
    rn_sound_stream *stream = NULL;
    open_cut *open = NULL;
    int status = rn_listen_sound(listen, NULL, &options, err);
    if (!status)
        status = rn_sound_stream_open(&stream, path, &options, err);
    if (!status && !(open = calloc((size_t)count + 1, sizeof *open)))
        status = rn_error_memory(err, path, ((unsigned long long)count + 1) * sizeof *open);
    if (!status)
        status = cut_all(stream, cuts, open, count, err);
    for (int i = 0; open && i < count; i++)
        free(open[i].samples);
    free(open);
    rn_sound_stream_close(&stream);
    return status;
}
