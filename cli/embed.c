/* resnet embed: recordings become vectors, as CSV, as one .npy array with the paths beside it, for Kaldi (embed_ark.c), or in a store
 * (embed_store.c). */
#include "embed.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct rows {
    const rn_model *model;
    const char *path;
    int size, l2, count;
    int64_t room;
    float *data;        /* .npy: every row until the end */
    rn_text_file *text; /* .csv, or the paths of .npy; NULL: CSV to standard output */
    int csv;
    ark *ark;     /* NULL: another kind */
    char *line;   /* one line of CSV: 24 bytes a number */
    float *own;   /* one vector */
    rn_error err; /* of writing */
} rows;

static int put(void *context, const char *text)
{
    rows *r = context;
    if (r->text)
        return rn_text_file_write(r->text, text, strlen(text), &r->err);
    fputs(text, stdout);
    return ferror(stdout) ? output_failed() : 0;
}

static int put_csv(rows *r, const rn_answer *a, const float *row)
{
    int at = snprintf(r->line, 64, ",%.3f,%.3f", a->start_s, a->end_s);
    for (int i = 0; i < r->size; i++)
        at += snprintf(r->line + at, 24, ",%.9g", (double)row[i]);
    snprintf(r->line + at, 2, "\n");
    return csv_field(r->path, put, r) || put(r, r->line) || (!r->text && output_failed());
}

static int keep_row(rows *r, const rn_answer *a, const float *row)
{
    char times[64];
    if (r->count == r->room) {
        int64_t room = r->room ? 2 * r->room : 256;
        float *data = realloc(r->data, (size_t)room * (size_t)r->size * sizeof *data);
        if (!data) {
            r->err.code = RN_ERR_MEMORY;
            snprintf(r->err.text, sizeof r->err.text, "no memory for %lld embeddings: write CSV instead", (long long)room);
            return 1;
        }
        r->data = data;
        r->room = room;
    }
    memcpy(r->data + (size_t)r->count * (size_t)r->size, row, (size_t)r->size * sizeof *row);
    snprintf(times, sizeof times, "\t%.3f\t%.3f\n", a->start_s, a->end_s);
    return put(r, r->path) || put(r, times);
}

const float *embedding_of(const rn_answer *a, int size, int l2, float *own)
{
    double sum = 0;
    for (int i = 0; i < size && l2; i++)
        sum += (double)a->embedding[i] * a->embedding[i];
    if (!(sum > 0))
        return a->embedding;
    for (int i = 0; i < size; i++)
        own[i] = (float)(a->embedding[i] / sqrt(sum));
    return own;
}

static int take_answer(void *context, const rn_answer *a)
{
    rows *r = context;
    const float *row = embedding_of(a, r->size, r->l2, r->own);
    int failed = r->ark ? ark_add(r->ark, r->path, a, row, &r->err) : r->csv ? put_csv(r, a, row) : keep_row(r, a, row);
    r->count += !failed;
    return failed;
}

static int ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n > m && strcmp(text + n - m, end) == 0;
}

/* Opens what is written to before any work is done. */
static int open_output(const char *out, rows *r)
{
    size_t length = out ? strlen(out) : 0;
    char *names = NULL;
    int status;
    r->csv = !out || ends_with(out, ".csv");
    if (!out)
        return 0;
    if (ends_with(out, ".ark"))
        return ark_open(&r->ark, out, r->size, &r->err) ? fail_with(&r->err) : 0;
    if (!r->csv && !ends_with(out, ".npy")) {
        complain("embed: --out %s: want a name that ends in .npy, .csv, .ark or .sqlite", out);
        return EXIT_USE;
    }
    if (r->csv)
        return rn_text_file_open(&r->text, out, &r->err) ? fail_with(&r->err) : 0;
    if (!(names = malloc(length + 16))) {
        complain("no memory");
        return EXIT_WORK;
    }
    snprintf(names, length + 16, "%.*s.paths.txt", (int)length - 4, out);
    status = rn_text_file_open(&r->text, names, &r->err) ? fail_with(&r->err) : 0;
    free(names);
    return status;
}

static int close_output(const char *out, rows *r)
{
    char count[32];
    int64_t shape[2] = {r->count, r->size};
    if (!out)
        return 0;
    if (!r->csv && !r->ark && rn_tensor_save(out, r->data, 2, shape, &r->err))
        return fail_with(&r->err);
    if (r->ark ? ark_commit(r->ark, &r->err) : rn_text_file_commit(&r->text, &r->err))
        return fail_with(&r->err);
    complain("%s: %s embeddings of %d numbers", out, text_count(count, r->count), r->size);
    return 0;
}

static int put_head(rows *r)
{
    char name[32];
    int failed = put(r, "path,start_s,end_s");
    for (int i = 0; i < r->size && !failed; i++) {
        snprintf(name, sizeof name, ",e%d", i);
        failed = put(r, name);
    }
    return failed || put(r, "\n");
}

static int embed_all(const command *c, rn_session *session, const rn_listen *listen, rows *r)
{
    rn_error err = {0};
    path_list paths = {.model = r->model};
    progress live;
    int worst = 0;
    for (int i = 1; i < c->arguments_count; i++)
        if (path_list_add(&paths, c->arguments[i], &err))
            worst = fail_with(&err);
    progress_start(&live, "embedding");
    for (int i = 0; i < paths.count && !r->err.code && !ferror(stdout) && worst != EXIT_USE; i++) {
        r->path = paths.paths[i];
        int failed = rn_session_file(session, r->path, listen, take_answer, r, &err) != 0;
        if (failed && !r->err.code && !ferror(stdout)) {
            progress_end(&live);
            worst = fail_with(&err);
        }
        if (r->ark && !r->err.code)
            ark_end_recording(r->ark, failed, &r->err);
        progress_step(&live, i + 1, paths.count);
    }
    progress_end(&live);
    path_list_free(&paths);
    return r->err.code ? fail_with(&r->err) : worst;
}

/* Into a file that is written anew, or to standard output. */
static int embed_table(const command *c, rn_session *session, const rn_model *model, const rn_listen *listen, int size, const char *out)
{
    rows r = {.model = model, .size = size, .l2 = option_flag(c, "l2")};
    int status = EXIT_WORK, closing;
    r.line = malloc(128 + 24 * (size_t)size);
    r.own = malloc((size_t)size * sizeof *r.own);
    if (!r.line || !r.own)
        complain("no memory");
    else if (!(status = open_output(out, &r))) {
        if (r.csv && put_head(&r))
            status = r.err.code ? fail_with(&r.err) : EXIT_WORK;
        else
            status = embed_all(c, session, listen, &r);
        if (r.count && !r.err.code && (closing = close_output(out, &r)))
            status = closing;
    }
    rn_text_file_close(&r.text);
    ark_close(&r.ark);
    free(r.data);
    free(r.line);
    free(r.own);
    return status;
}

int verb_embed(const command *c)
{
    rn_error err = {0};
    rn_model *model = NULL;
    rn_session *session = NULL;
    rn_listen listen;
    char hash[33] = "";
    const char *out = option_text(c, "out"), *path = c->arguments[0];
    int status = listen_options(c, &listen), stored = out && is_store(out);
    if (status)
        return status;
    if (stored && rn_tools_hash(path, hash, &err))
        return fail_with(&err);
    if ((status = open_session(c, path, &model, &session)))
        goto done;
    listen.want_embedding = 1;
    if (!rn_model_embedding(model)) {
        complain("%s: the network has no embedding: it was made with --embedding 0 and a pool of several bins", path);
        status = EXIT_WORK;
    } else if (stored)
        status = embed_store(c, session, model, hash, &listen);
    else
        status = embed_table(c, session, model, &listen, rn_model_embedding(model), out);
done:
    rn_session_close(&session);
    rn_model_close(&model);
    return status;
}
