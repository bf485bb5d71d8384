/* What the data decides: parts, and the options that were left to it.
 *
 *   rate        the commonest rate of the files, 48 kHz at most
 *   seconds     the median length, between 1 and 5, in tenths
 *   batch       16; 32 from 500 training items on, 64 from 8,000 on, 128 from 50,000 on
 *   epochs      24,000 samples seen, but 10 epochs at least and 100 at most
 *   lr          SGD 0.05, AdamW 0.001, times sqrt(batch / 32)
 *   warm-up     5 % of the run, one epoch at most;  step schedule: a third of the run
 *
 * A function of data and options alone, so resolving resolved options changes nothing. */
#include "train/state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/reading.h"
#include "media/sound.h"

typedef struct probe {
    rn_dataset *dataset;
    int *rates;      /* [items], 0: unknown */
    double *seconds; /* [items], 0: unknown */
} probe;

static void probe_item(void *context, int i, int thread)
{
    probe *p = context;
    const rn_item *item = &p->dataset->items[i];
    rn_sound_info info = {0};
    rn_sound_options options;
    rn_error ignored;
    rn_reading_options(p->dataset, i, &options);
    (void)thread;
    /* Files that can't be read are found, and named, when everything is decoded. */
    if (rn_sound_probe(item->path, &options, &info, &ignored))
        return;
    double end = item->end_s > 0 && (item->end_s < info.seconds || info.seconds <= 0) ? item->end_s : info.seconds;
    p->rates[i] = info.rate;
    p->seconds[i] = end > item->start_s ? end - item->start_s : 0;
}

static int compare_ints(const void *a, const void *b)
{
    return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

static int compare_doubles(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

/* The commonest of sorted rates; of equally common ones the higher, so that no band is lost. */
static int commonest(int *rates, int n)
{
    int best = 0, best_count = 0;
    qsort(rates, (size_t)n, sizeof *rates, compare_ints);
    for (int i = 0; i < n;) {
        int j = i;
        while (j < n && rates[j] == rates[i])
            j++;
        if (rates[i] > 0 && j - i >= best_count) {
            best = rates[i];
            best_count = j - i;
        }
        i = j;
    }
    return best;
}

static void take_rate(rn_trainer *t, int *rates, int n)
{
    int rate = commonest(rates, n);
    if (rate > 48000) {
        rn_trainer_note(t, "most files have %d Hz; 48000 Hz are used, so sound above 24 kHz is lost: use --rate %d to keep it", rate, rate);
        rate = 48000;
    }
    t->options.features.rate = rate > 0 ? rate : 16000;
}

static void take_seconds(rn_trainer *t, double *seconds, int n)
{
    int known = 0;
    for (int i = 0; i < n; i++)
        if (seconds[i] > 0)
            seconds[known++] = seconds[i];
    qsort(seconds, (size_t)known, sizeof *seconds, compare_doubles);
    double median = known ? seconds[known / 2] : 3;
    median = median < 1 ? 1 : median > 5 ? 5 : median;
    t->options.features.seconds = floor(median * 10 + 0.5) / 10;
}

/* What the rate decides. A number of bins that was asked for stays, so that the check names it where a plain spectrogram has another. */
static int finish_features(rn_trainer *t, rn_error *err)
{
    rn_features *f = &t->options.features;
    char list[200];
    int bins = f->bins, status;
    rn_features_complete(f);
    if (bins)
        f->bins = bins;
    if ((status = rn_features_check(f, err)))
        return status;
    int empty = rn_features_empty_bins(f, list, sizeof list);
    if (empty > 0)
        rn_trainer_note(t,
                        "of %d frequency bands, %d catch no frequency and stay empty (%s): fewer --bins or a longer --window-ms fill them",
                        f->bins, empty, list);
    return empty < 0 ? rn_error_memory(err, "filter banks", 0) : 0;
}

static int resolve_sound(rn_trainer *t, rn_error *err)
{
    int n = t->dataset->count;
    probe p = {t->dataset, calloc((size_t)n + 1, sizeof(int)), calloc((size_t)n + 1, sizeof(double))};
    if (!p.rates || !p.seconds) {
        free(p.rates);
        free(p.seconds);
        return rn_error_memory(err, "the lengths of all recordings", (unsigned long long)n * sizeof(double));
    }
    rn_pool_run(t->pool, n, probe_item, &p);
    t->total_seconds = 0;
    for (int i = 0; i < n; i++)
        t->total_seconds += p.seconds[i];
    if (!t->options.features.rate)
        take_rate(t, p.rates, n);
    if (!(t->options.features.seconds > 0))
        take_seconds(t, p.seconds, n);
    free(p.rates);
    free(p.seconds);
    return finish_features(t, err);
}

static void resolve_steps(rn_train_options *o, int items)
{
    if (!o->batch)
        o->batch = items < 500 ? 16 : items < 8000 ? 32 : items < 50000 ? 64 : 128;
    if (!o->epochs) {
        int epochs = (24000 + items / 2) / (items > 0 ? items : 1);
        o->epochs = epochs < 10 ? 10 : epochs > 100 ? 100 : epochs;
    }
    if (!(o->lr > 0)) {
        double lr = (o->optimiser == RN_ADAMW ? 0.001 : 0.05) * sqrt(o->batch / 32.0);
        double unit = o->optimiser == RN_ADAMW ? 1e5 : 1e4;
        o->lr = floor(lr * unit + 0.5) / unit;
    }
    if (o->warmup_epochs < 0)
        o->warmup_epochs = o->epochs >= 20 ? 1 : 0.05 * o->epochs;
    if (!(o->step_epochs > 0) && !o->milestones_count)
        o->step_epochs = o->epochs / 3.0;
}

int rn_resolve_options(rn_trainer *t, rn_error *err)
{
    rn_train_options *o = &t->options;
    rn_dataset *d = t->dataset;
    int status;
    if ((t->kind == RN_SOUND && (status = resolve_sound(t, err))) || (t->kind == RN_PICTURES && (status = rn_resolve_pictures(t, err))))
        return status;
    int channels = t->kind == RN_ARRAYS ? d->c : t->kind == RN_PICTURES ? o->pictures.channels : 1;
    if (!o->arch.in_channels)
        o->arch.in_channels = channels;
    if (!o->arch.classes)
        o->arch.classes = d->classes;
    if (o->arch.pooling == RN_POOLING_TSTP) {
        int height = t->kind == RN_SOUND ? o->features.bins : d->h, width;
        if (t->kind == RN_PICTURES)
            rn_pictures_size(&o->pictures, &height, &width);
        o->arch.pool_rows = rn_arch_rows(&o->arch, height);
    }
    if (o->arch.in_channels != channels)
        return rn_error_set(err, RN_ERR_SHAPE, "--in-channels %d: the items of %s have %d; leave the option out", o->arch.in_channels,
                            t->data_name, channels);
    if (o->arch.classes != d->classes)
        return rn_error_set(err, RN_ERR_SHAPE, "--classes %d: %s has %d; leave the option out", o->arch.classes, t->data_name, d->classes);
    if (o->class_weights_count && o->class_weights_count != d->classes)
        return rn_error_set(err, RN_ERR_ARG, "--class-weights has %d numbers, %s has %d classes", o->class_weights_count, t->data_name,
                            d->classes);
    if (o->drop_path > 0 && o->arch.shortcut == RN_SHORTCUT_NONE)
        return rn_error_set(err, RN_ERR_ARG, "--drop-path: a plain net has no blocks that could be left out; take another --shortcut");
    if (d->several && o->balance == RN_BALANCE_SAMPLING)
        return rn_error_set(err, RN_ERR_ARG, "--balance sampling draws classes, and items of %s have several: use --balance weights",
                            t->data_name);
    if (o->zero_last && (o->arch.preact || o->arch.shortcut == RN_SHORTCUT_NONE))
        return rn_error_set(err, RN_ERR_ARG, "--zero-last: no block of this network ends in a batch normalisation before its addition; leave it out");
    int items = rn_split_count(d, RN_PART_TRAIN, -1);
    if (items < 2)
        return rn_error_set(err, RN_ERR_DATA, "%s: %d items to train on; add recordings, or a split with more in its train part",
                            t->data_name, items);
    resolve_steps(o, items);
    t->given_batch = o->batch;
    if (o->batch > items) {
        rn_trainer_note(t, "batch %d is more than the %d training items: %d is used", o->batch, items, items);
        o->batch = items;
    }
    return 0;
}

/* ---- Parts ---- */

static int other_data(const rn_trainer *t, int unknown, int missing, rn_error *err)
{
    return rn_error_set(err, RN_ERR_MISMATCH,
                        "%s is not the data that %s was trained on: %d of its items are new or changed, %d of %s/split.csv are gone; bring "
                        "the data back, or "
                        "begin another run with another --out",
                        t->data_name, t->folder, unknown, missing, t->folder);
}

static int read_split(rn_trainer *t, rn_error *err)
{
    int unknown = 0, missing = 0, status = rn_split_read(t->dataset, t->options.split_path, &unknown, &missing, err);
    if (status)
        return status;
    if (unknown)
        rn_trainer_note(t, "%d items of %s are not in %s and are left out", unknown, t->data_name, t->options.split_path);
    if (missing)
        rn_trainer_note(t, "%d items of %s are not in %s", missing, t->options.split_path, t->data_name);
    return 0;
}

int rn_resolve_split(rn_trainer *t, int resumed, rn_error *err)
{
    rn_train_options *o = &t->options;
    int status;
    if (o->no_validation)
        o->split.validation = 0;
    if (o->no_test)
        o->split.test = 0;
    if (resumed) {
        int unknown = 0, missing = 0;
        char *path = rn_folder_path(t->folder, "split.csv");
        status = path ? rn_split_read(t->dataset, path, &unknown, &missing, err) : rn_error_memory(err, "a path", 0);
        free(path);
        /* With --split FILE, items that the file does not know were no part of the run. */
        if (!status && (missing || (unknown && !o->split_path[0])))
            status = other_data(t, unknown, missing, err);
    } else if (o->split_path[0]) {
        status = read_split(t, err);
    } else {
        status = rn_split_make(t->dataset, &o->split, err);
    }
    if (status)
        return status;
    rn_split_digest(t->dataset, t->digest);
    return 0;
}
