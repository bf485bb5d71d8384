/* Defaults from the data; see data/defaults.h. */
#include "data/defaults.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/reading.h"

enum { HIGHEST_RATE = 48000, PRESENTATIONS = 24500 };

typedef struct rn_probing {
    const rn_dataset *dataset;
    int *rates;
    double *seconds;
    rn_failure *failures;
} rn_probing;

static void probe_file(void *context, int first, int end)
{
    rn_probing *p = context;
    rn_sound_info info;
    rn_error why = {0};
    int failed = rn_sound_probe(p->dataset->items[first].path, &p->dataset->sound, &info, &why);
    rn_failure_note(&p->failures[first], &why, failed);
    for (int i = first; i < end && !failed; i++) {
        const rn_item *item = &p->dataset->items[i];
        double to = item->end_s > 0 && (info.seconds <= 0 || item->end_s < info.seconds) ? item->end_s : info.seconds;
        p->rates[i] = info.rate;
        p->seconds[i] = to > item->start_s ? to - item->start_s : 0;
    }
}

static int compare_ints(const void *a, const void *b)
{
    int p = *(const int *)a, q = *(const int *)b;
    return (p > q) - (p < q);
}

static int compare_doubles(const void *a, const void *b)
{
    double p = *(const double *)a, q = *(const double *)b;
    return (p > q) - (p < q);
}

/* sorted: rates of the files that could be opened. */
static void choose_rate(const int *sorted, int count, rn_defaults *out)
{
    int common = 0, most = 0, differing = 0, above = 0, begin = 0;
    for (int i = 0; i < count; i++) {
        begin = sorted[i] == sorted[begin] ? begin : i;
        if (i - begin + 1 >= most) {
            most = i - begin + 1;
            common = sorted[i];
        }
    }
    out->rate = common < HIGHEST_RATE ? common : HIGHEST_RATE;
    for (int i = 0; i < count; i++) {
        above += sorted[i] > out->rate;
        differing += sorted[i] < out->rate;
    }
    if (common > HIGHEST_RATE)
        snprintf(out->message, sizeof out->message,
                 "most recordings have a rate of %d Hz; the default of %d Hz throws away what is above %d Hz. Keep it with --rate %d",
                 common, HIGHEST_RATE, HIGHEST_RATE / 2, common);
    else if (above)
        snprintf(
            out->message, sizeof out->message,
            "%d of %d recordings have a rate above %d Hz (up to %d Hz): what is above %d Hz in them is not used. Another choice: --rate",
            above, count, out->rate, sorted[count - 1], out->rate / 2);
    else if (differing)
        snprintf(
            out->message, sizeof out->message,
            "%d of %d recordings have a rate below %d Hz (down to %d Hz): there is nothing above %d Hz in them. Another choice: --rate",
            differing, count, out->rate, sorted[0], sorted[0] / 2);
}

void rn_defaults_for_size(int n, int *epochs, int *batch, double *learning_rate)
{
    int e = n > 0 ? (PRESENTATIONS + n / 2) / n : 60;
    *epochs = e < 5 ? 5 : e > 60 ? 60 : e;
    *batch = n < 128 ? 8 : n < 512 ? 16 : n < 50000 ? 32 : 64;
    *learning_rate = 0.05 * *batch / 32;
}

static int training_size(const rn_dataset *d)
{
    int parts = 0, train = 0, usable = 0;
    for (int i = 0; i < d->count; i++) {
        usable += !d->items[i].bad;
        parts += d->items[i].part != RN_PART_NONE;
        train += d->items[i].part == RN_PART_TRAIN && !d->items[i].bad;
    }
    return parts ? train : (int)(0.7 * usable + 0.5);
}

int rn_defaults_from(const rn_dataset *d, rn_pool *pool, rn_progress_fn progress, void *context, rn_defaults *out, rn_error *err)
{
    size_t n = (size_t)d->count;
    memset(out, 0, sizeof *out);
    rn_defaults_for_size(training_size(d), &out->epochs, &out->batch, &out->learning_rate);
    if (d->c)
        return 0;
    rn_probing p = {d, calloc(n, sizeof *p.rates), calloc(n, sizeof *p.seconds), calloc(n, sizeof *p.failures)};
    int count = 0, first_failure = -1, status;
    if (!p.rates || !p.seconds || !p.failures) {
        status = rn_error_memory(err, "reading headers", n * (sizeof *p.rates + sizeof *p.seconds + sizeof *p.failures));
        goto fail;
    }
    if ((status = rn_reading_all(d, 0, pool, probe_file, &p, progress, context, err)))
        goto fail;
    for (int i = 0; i < d->count; i++) {
        if (p.failures[i].code && first_failure < 0)
            first_failure = i;
        if (p.rates[i] <= 0 || p.seconds[i] <= 0)
            continue;
        p.rates[count] = p.rates[i];
        p.seconds[count++] = p.seconds[i];
        out->total_seconds += p.seconds[count - 1];
    }
    if (!count) {
        status = first_failure >= 0 ? rn_error_set(err, p.failures[first_failure].code, "%s",
                                                   p.failures[first_failure].text ? p.failures[first_failure].text : "no memory")
                                    : rn_error_set(err, RN_ERR_DATA, "%.400s: every recording is empty", d->path);
        goto fail;
    }
    qsort(p.rates, (size_t)count, sizeof *p.rates, compare_ints);
    qsort(p.seconds, (size_t)count, sizeof *p.seconds, compare_doubles);
    choose_rate(p.rates, count, out);
    double median = count % 2 ? p.seconds[count / 2] : 0.5 * (p.seconds[count / 2 - 1] + p.seconds[count / 2]);
    out->seconds = median < 1 ? 1 : median > 5 ? 5 : floor(10 * median + 0.5) / 10;
fail:
    free(p.rates);
    free(p.seconds);
    rn_failures_free(p.failures, d->count);
    return status;
}

typedef struct rn_label_source {
    int label;
    const char *source;
} rn_label_source;

static int compare_label_sources(const void *a, const void *b)
{
    const rn_label_source *p = a, *q = b;
    return p->label != q->label ? (p->label > q->label) - (p->label < q->label) : strcmp(p->source, q->source);
}

int rn_defaults_enough(const rn_dataset *d, int needed, rn_error *err)
{
    rn_label_source *list = malloc((size_t)d->count * sizeof *list);
    int *items = calloc(2 * (size_t)d->classes, sizeof *items), count = 0, status = 0;
    if (!list || !items) {
        status = rn_error_memory(err, "counting sources", (unsigned long long)d->count * sizeof *list);
        goto fail;
    }
    int *sources = items + d->classes;
    for (int i = 0; i < d->count; i++)
        if (!d->items[i].bad)
            list[count++] = (rn_label_source){d->items[i].label, d->items[i].source};
    qsort(list, (size_t)count, sizeof *list, compare_label_sources);
    for (int i = 0; i < count; i++) {
        items[list[i].label]++;
        sources[list[i].label] += !i || compare_label_sources(&list[i], &list[i - 1]);
    }
    for (int c = 0; c < d->classes && !status; c++) {
        if (sources[c] >= needed)
            continue;
        const char *fewer = needed == 3 ? ", or leave a part out (--no-test)" : "";
        if (items[c] < needed)
            status = rn_error_set(err, RN_ERR_DATA, "%.400s: class \"%.200s\" has %d item%s, at least %d are needed; add %d more of it%s",
                                  d->path, d->labels[c], items[c], items[c] == 1 ? "" : "s", needed, needed - items[c], fewer);
        else
            status = rn_error_set(
                err, RN_ERR_DATA,
                "%.400s: the %d items of class \"%.200s\" come from %d source%s, at least %d are needed; add recordings from %d more%s",
                d->path, items[c], d->labels[c], sources[c], sources[c] == 1 ? "" : "s", needed, needed - sources[c], fewer);
    }
fail:
    free(list);
    free(items);
    return status;
}
