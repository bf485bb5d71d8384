/* The samples of items, alone or in one pass over their file. See data/reading.h. */
#include "data/reading.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int rn_reading_item(const rn_dataset *dataset, int item, int rate, int channel, rn_sound *out, rn_error *err)
{
    const rn_item *i = &dataset->items[item];
    rn_sound_options options = dataset->sound;
    options.rate = rate;
    options.channel = channel;
    options.start_s = i->start_s;
    options.end_s = i->end_s;
    return rn_sound_read(i->path, &options, out, err);
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
static int read_on(rn_pass *pass, const rn_dataset *dataset, const rn_item *item, int channel, rn_sound *out)
{
    if (!pass->stream) {
        rn_sound_options options = dataset->sound;
        options.rate = 0;
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
    if (!read_on(pass, dataset, &dataset->items[item], channel, out)) {
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
        if (!i || dataset->items[i].tensor || strcmp(dataset->items[i].path, dataset->items[i - 1].path))
            first[files++] = i;
    first[files] = dataset->count;
    return files;
}
