/* Embeddings as Kaldi has vectors: X.ark, and X.scp that says where in it each one begins.
 *
 *   X.ark   for each: KEY, a blank, 0 'B', "FV ", 4, the number of floats (32 bits), the floats; least byte first
 *   X.scp   a line for each: KEY X.ark:OFFSET, the offset that of the 0
 *
 * The key is the recording's path. Kaldi ends a key at the first blank, so blanks, control characters and % are written %20, %0A, %25 ...
 * Of several windows of a recording each has its times behind, as Kaldi names utterances: -START-END in hundredths of a second; windows of an array,
 * which have no times, -NUMBER. So a recording's first row waits until it is known whether another follows.
 *
 * Both files are made beside their names and renamed at the end, X.scp last.
 *
 * Source: kaldi-asr.org, "Kaldi I/O mechanisms"; matrix/kaldi-vector.cc. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "embed.h"

struct ark {
    char *path, *scp_path;
    rn_text_file *file, *scp;
    int size;
    long long written;
    char *recording; /* of the row that waits; NULL: none */
    double start_s, end_s;
    float *row;
    int windows; /* of the recording so far */
};

void ark_close(ark **which)
{
    ark *a = *which;
    if (!a)
        return;
    rn_text_file_close(&a->file);
    rn_text_file_close(&a->scp);
    free(a->path);
    free(a->scp_path);
    free(a->recording);
    free(a->row);
    free(a);
    *which = NULL;
}

static int no_memory(rn_error *err)
{
    err->code = RN_ERR_MEMORY;
    snprintf(err->text, sizeof err->text, "no memory for an embedding");
    return RN_ERR_MEMORY;
}

int ark_open(ark **which, const char *path, int size, rn_error *err)
{
    ark *a = calloc(1, sizeof *a);
    *which = a;
    if (!a || !(a->path = strdup(path)) || !(a->scp_path = strdup(path)) || !(a->row = malloc((size_t)size * sizeof *a->row)))
        return no_memory(err);
    memcpy(a->scp_path + strlen(path) - 3, "scp", 3);
    a->size = size;
    int status = rn_text_file_open(&a->file, path, err);
    return status ? status : rn_text_file_open(&a->scp, a->scp_path, err);
}

/* Room for the key of a path of so many bytes, and for its line in the scp. */
static char *make_key(const char *path, const char *tail)
{
    static const char digits[] = "0123456789ABCDEF";
    char *key = malloc(3 * strlen(path) + strlen(tail) + 1), *at = key;
    for (; key && *path; path++) {
        unsigned char c = (unsigned char)*path;
        if (c > ' ' && c != '%' && c != 0x7F)
            *at++ = (char)c;
        else {
            *at++ = '%';
            *at++ = digits[c >> 4];
            *at++ = digits[c & 15];
        }
    }
    if (key)
        strcpy(at, tail);
    return key;
}

static int write_row(ark *a, const char *tail, rn_error *err)
{
    char *key = make_key(a->recording, tail), place[32];
    unsigned n = (unsigned)a->size;
    const char head[] = {' ', 0, 'B', 'F', 'V', ' ', 4, (char)n, (char)(n >> 8), (char)(n >> 16), (char)(n >> 24)};
    if (!key)
        return no_memory(err);
    size_t length = strlen(key), bytes = (size_t)a->size * sizeof *a->row;
    int at = snprintf(place, sizeof place, ":%lld\n", a->written + (long long)length + 1);
    int status = rn_text_file_write(a->file, key, length, err);
    if (!status && !(status = rn_text_file_write(a->file, head, sizeof head, err)))
        status = rn_text_file_write(a->file, (const char *)a->row, bytes, err);
    if (!status && !(status = rn_text_file_write(a->scp, key, length, err)) && !(status = rn_text_file_write(a->scp, " ", 1, err)) &&
        !(status = rn_text_file_write(a->scp, a->path, strlen(a->path), err)))
        status = rn_text_file_write(a->scp, place, (size_t)at, err);
    a->written += (long long)(length + sizeof head + bytes);
    free(key);
    return status;
}

/* Writes the row that waits, which is one of several windows. */
static int write_window(ark *a, rn_error *err)
{
    char tail[64];
    if (a->end_s > 0)
        snprintf(tail, sizeof tail, "-%07.0f-%07.0f", 100 * a->start_s, 100 * a->end_s);
    else
        snprintf(tail, sizeof tail, "-%07d", a->windows - 1);
    return write_row(a, tail, err);
}

int ark_add(ark *a, const char *path, const rn_answer *answer, const float *row, rn_error *err)
{
    int status = a->recording ? write_window(a, err) : 0;
    if (!a->recording && !(a->recording = strdup(path)))
        return no_memory(err);
    memcpy(a->row, row, (size_t)a->size * sizeof *row);
    a->start_s = answer->start_s;
    a->end_s = answer->end_s;
    a->windows++;
    return status;
}

int ark_end_recording(ark *a, int failed, rn_error *err)
{
    int status = !a->recording ? 0 : a->windows > 1 || failed ? write_window(a, err) : write_row(a, "", err);
    free(a->recording);
    a->recording = NULL;
    a->windows = 0;
    return status;
}

int ark_commit(ark *a, rn_error *err)
{
    int status = rn_text_file_commit(&a->file, err);
    return status ? status : rn_text_file_commit(&a->scp, err);
}
