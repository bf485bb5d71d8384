/* The samples of items, alone or in one pass over their file. See data/reading.h. */
#include "data/reading.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void rn_reading_options(const rn_dataset *dataset, int item, rn_sound_options *options)
{
    const rn_item *i = &dataset->items[item];
    *options = dataset->sound;
    options->rate = 0;
    options->start_s = i->start_s;
    options->end_s = i->end_s;
    options->offset = i->offset;
    options->bytes = i->bytes;
    options->name = i->name;
}

int rn_reading_item(const rn_dataset *dataset, int item, int rate, int channel, rn_sound *out, rn_error *err)
{
    rn_sound_options options;
    rn_reading_options(dataset, item, &options);
    options.rate = rate;
    options.channel = channel;
    return rn_sound_read(dataset->items[item].path, &options, out, err);
}

void rn_pass_close(rn_pass *pass)
{
    rn_sound_stream_close(&pass->stream);
    memset(pass, 0, sizeof *pass);
}

/* Reads until `count` samples are there or the file ends; out may be NULL (samples are passed over). */
static int64_t read_stream(rn_pass *pass, float *out, int64_t count, rn_error *err)
{
    float passed[4096];
    int64_t have = 0, got = 1;
    while (have < count && got > 0) {
        int64_t want = count - have;
        if (!out && want > 4096)
            want = 4096;
        got = rn_sound_stream_read(pass->stream, out ? out + have : passed, want, err);
        have += got > 0 ? got : 0;
    }
    pass->at += have;
    return got < 0 ? got : have;
}

/* 1 if the item could be read by going on in the stream. */
static int read_on(rn_pass *pass, const rn_dataset *dataset, int index, int channel, rn_sound *out)
{
    const rn_item *item = &dataset->items[index];
    if (!pass->stream) {
        rn_sound_options options;
        rn_reading_options(dataset, index, &options);
        options.channel = channel;
        options.start_s = options.end_s = 0;
        if (rn_sound_stream_open(&pass->stream, item->path, &options, NULL))
            return 0;
        pass->rate = rn_sound_stream_rate(pass->stream);
        pass->at = 0;
    }
    /* The frames that rn_sound_read would take: both ends rounded to the nearest. */
    int64_t start = (int64_t)floor(item->start_s * pass->rate + 0.5), end = (int64_t)floor(item->end_s * pass->rate + 0.5);
    if (item->end_s <= 0 || start < pass->at || end <= start || end - start > (int64_t)1 << 30)
        return 0;
    if (read_stream(pass, NULL, start - pass->at, NULL) < 0 || pass->at < start)
        return 0;
    memset(out, 0, sizeof *out);
    if (!(out->samples = malloc((size_t)(end - start) * sizeof *out->samples)))
        return 0;
    out->count = read_stream(pass, out->samples, end - start, NULL);
    if (out->count <= 0) {
        rn_sound_free(out);
        return 0;
    }
    out->rate = out->file_rate = pass->rate;
    return 1;
}

int rn_pass_read(rn_pass *pass, const rn_dataset *dataset, int item, int rate, int channel, rn_sound *out, rn_error *err)
{
    if (!read_on(pass, dataset, item, channel, out)) {
        /* Overlapping parts, or a file that breaks off: the item by itself, and with it the right error. A stream that failed stays where
         * it broke off; another try would decode the file again up to there. */
        return rn_reading_item(dataset, item, rate, channel, out, err);
    }
    if (!rate || rate == out->rate)
        return 0;
    float *samples = NULL;
    int64_t count = 0;
    int status = rn_sound_resample(out->samples, out->count, out->rate, rate, &samples, &count, err);
    free(out->samples);
    out->samples = samples;
    out->count = count;
    out->rate = rate;
    if (status)
        rn_sound_free(out);
    return status;
}

int rn_reading_files(const rn_dataset *dataset, int *first)
{
    int files = 0;
    for (int i = 0; i < dataset->count; i++)
        if (!i || dataset->items[i].tensor || dataset->items[i].pixels || !rn_item_same_file(&dataset->items[i], &dataset->items[i - 1]))
            first[files++] = i;
    first[files] = dataset->count;
    return files;
}

void rn_failure_note(rn_failure *failure, const rn_error *why, int code)
{
    failure->code = code;
    failure->text = code ? strdup(why->text) : NULL;
    if (code && !failure->text)
        failure->code = RN_ERR_MEMORY;
}

void rn_failures_free(rn_failure *failures, int count)
{
    for (int i = 0; failures && i < count; i++)
        free(failures[i].text);
    free(failures);
}

typedef struct rn_piece {
    const int *first, *files; /* of the piece */
    rn_visit_fn visit;
    void *context;
} rn_piece;

static void visit_task(void *context, int task, int thread)
{
    const rn_piece *p = context;
    (void)thread;
    p->visit(p->context, p->first[p->files[task]], p->first[p->files[task] + 1]);
}

static int list_files(const rn_dataset *d, int parts_only, const int *first, int count, int *files)
{
    int parts = 0, used = 0;
    for (int i = 0; i < d->count && parts_only && !parts; i++)
        parts = d->items[i].part != RN_PART_NONE;
    for (int f = 0; f < count; f++) {
        int wanted = !parts;
        for (int i = first[f]; i < first[f + 1] && !wanted; i++)
            wanted = d->items[i].part != RN_PART_NONE;
        if (wanted)
            files[used++] = f;
    }
    return used;
}

int rn_reading_all(const rn_dataset *d, int parts_only, rn_pool *pool, rn_visit_fn visit, void *context, rn_progress_fn progress,
                   void *progress_context, rn_error *err)
{
    int *first = malloc(((size_t)d->count + 1) * sizeof *first), *files = malloc(((size_t)d->count + 1) * sizeof *files), status = 0;
    int64_t done = 0, total = 0;
    if (!first || !files) {
        status = rn_error_memory(err, "the list of files", (unsigned long long)d->count * 2 * sizeof *first);
        goto fail;
    }
    int count = list_files(d, parts_only, first, rn_reading_files(d, first), files);
    for (int f = 0; f < count; f++)
        total += first[files[f] + 1] - first[files[f]];
    int most = 16 * rn_pool_threads(pool); /* enough to keep all threads busy, few enough that progress moves */
    for (int begin = 0; begin < count && !status; begin += most) {
        rn_piece piece = {first, files + begin, visit, context};
        int tasks = count - begin < most ? count - begin : most;
        rn_pool_run(pool, tasks, visit_task, &piece);
        for (int f = begin; f < begin + tasks; f++)
            done += first[files[f] + 1] - first[files[f]];
        if (progress && progress(progress_context, done, total))
            status = rn_error_set(err, RN_ERR_CANCELLED, "stopped after %lld of %lld items were read", (long long)done, (long long)total);
    }
fail:
    free(first);
    free(files);
    return status;
}
