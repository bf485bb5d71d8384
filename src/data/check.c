/* `data check`: decodes every item, then compares.
 *
 * Per picture: empty, undecodable, one colour; per data set: some without colours among others. Between pictures as below.
 * Per recording: empty, undecodable, silent (peak below -60 dBFS), one silent channel beside one above -40 dBFS, clipped (more than 0.1 % of the
 * samples in runs of three or more at full scale), too short. Between items: equal bytes, equal decoded samples; the same content under
 * two labels or in two parts is an error. Per class: fewer than three items or sources. Per data set: differing rates, a rate above
 * 48 kHz, what the listing found odd. Samples of items that are parts of one file are read in one pass; channels are looked at in the
 * first part only. */
#include "data/check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "data/album.h"
#include "data/level.h"
#include "data/listing.h"
#include "data/reading.h"
#include "data/supply.h"

#define SOUNDING_PEAK 0.01f /* -40 dBFS */
#define FULL_SCALE 0.9999f
#define CLIPPED_SHARE 0.001
#define FEWEST 3           /* items and sources of a class: one for each part */
#define HIGHEST_RATE 48000 /* what training resamples to unless told otherwise */

typedef struct rn_look {
    rn_failure failure;
    int empty, silent_channel; /* 1-based; 0: none */
    float peak;
    double clipped; /* share of samples */
    char sound[33]; /* hash of the decoded samples or pixels */
} rn_look;

typedef struct rn_looking {
    const rn_dataset *dataset;
    rn_check *check;
    rn_look *looks;
} rn_looking;

int rn_finding_is_error(rn_finding_kind kind)
{
    return kind <= RN_FIND_CONFLICT;
}

const char *rn_finding_name(rn_finding_kind kind)
{
    static const char *const names[RN_FIND_KINDS] = {[RN_FIND_UNDECODABLE] = "undecodable",
                                                     [RN_FIND_EMPTY] = "empty",
                                                     [RN_FIND_FEW] = "too_few",
                                                     [RN_FIND_CONFLICT] = "conflict",
                                                     [RN_FIND_SILENT] = "silent",
                                                     [RN_FIND_SILENT_CHANNEL] = "silent_channel",
                                                     [RN_FIND_CLIPPED] = "clipped",
                                                     [RN_FIND_SHORT] = "short",
                                                     [RN_FIND_DUPLICATE_BYTES] = "duplicate_bytes",
                                                     [RN_FIND_DUPLICATE_SOUND] = "duplicate_sound",
                                                     [RN_FIND_EXTENSION] = "extension",
                                                     [RN_FIND_LISTING] = "listing",
                                                     [RN_FIND_BAND] = "band",
                                                     [RN_FIND_ONE_COLOUR] = "one_colour",
                                                     [RN_FIND_GREY] = "grey",
                                                     [RN_FIND_DUPLICATE_PIXELS] = "duplicate_pixels"};
    return (int)kind >= 0 && kind < RN_FIND_KINDS ? names[kind] : "unknown";
}

/* ---- one item ---- */

static double clipped_share(const float *samples, int64_t count)
{
    int64_t clipped = 0, run = 0;
    for (int64_t i = 0; i <= count; i++) {
        int full = i < count && fabsf(samples[i]) >= FULL_SCALE;
        if (full && run && (samples[i] > 0) != (samples[i - 1] > 0)) {
            clipped += run >= 3 ? run : 0;
            run = 1;
        } else if (full)
            run++;
        else {
            clipped += run >= 3 ? run : 0;
            run = 0;
        }
    }
    return count ? (double)clipped / (double)count : 0;
}

static int file_is_empty(const char *path)
{
    struct stat info;
    return !stat(path, &info) && S_ISREG(info.st_mode) && info.st_size == 0;
}

static void look_at_samples(rn_look *look, const float *samples, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (fabsf(samples[i]) > look->peak)
            look->peak = fabsf(samples[i]);
    look->clipped = clipped_share(samples, count);
    XXH128_hash_t hash = XXH3_128bits(samples, (size_t)count * sizeof *samples);
    rn_hash_text(hash.high64, hash.low64, look->sound);
}

static void look_at_sound(rn_looking *l, int item, rn_sound *sound)
{
    rn_look *look = &l->looks[item];
    look_at_samples(look, sound->samples, sound->count);
    l->check->seconds[item] = (double)sound->count / sound->rate;
    l->check->rates[item] = sound->file_rate;
    l->check->level_db[item] = rn_level_db(sound->samples, sound->count, sound->rate);
    float loudest = 0;
    for (int c = 0; sound->channel_peaks && c < sound->file_channels; c++)
        loudest = sound->channel_peaks[c] > loudest ? sound->channel_peaks[c] : loudest;
    for (int c = sound->file_channels - 1; sound->channel_peaks && c >= 0 && loudest >= SOUNDING_PEAK; c--)
        if (sound->channel_peaks[c] < RN_SILENT_PEAK)
            look->silent_channel = c + 1;
}

static void look_at_file(void *context, int first, int end)
{
    rn_looking *l = context;
    rn_pass pass = {0};
    for (int i = first; i < end; i++) {
        rn_error err = {0};
        rn_sound sound = {0};
        int status = i == first ? rn_reading_item(l->dataset, i, 0, l->dataset->sound.channel, &sound, &err)
                                : rn_pass_read(&pass, l->dataset, i, 0, l->dataset->sound.channel, &sound, &err);
        rn_failure_note(&l->looks[i].failure, &err, status);
        if (!status && sound.count > 0)
            look_at_sound(l, i, &sound);
        else {
            /* A file without a byte, or one that decodes to nothing: both are empty. */
            rn_sound_info info;
            rn_sound_options options;
            const char *path = l->dataset->items[i].path;
            rn_reading_options(l->dataset, i, &options);
            l->looks[i].empty = file_is_empty(path) || !status ||
                                (status == RN_ERR_DATA && !rn_sound_probe(path, &options, &info, NULL) && info.seconds == 0);
        }
        rn_sound_free(&sound);
    }
    rn_pass_close(&pass);
}

static void look_at_array(void *context, int first, int end)
{
    rn_looking *l = context;
    const rn_dataset *d = l->dataset;
    for (int i = first; i < end; i++) {
        rn_error err = {0};
        float *owned = NULL;
        const float *data = d->items[i].tensor;
        int64_t count = (int64_t)d->c * d->h * d->w;
        int status = data ? 0 : rn_supply_read_array(d, i, &owned, &err);
        data = data ? data : owned;
        for (int64_t k = 0; !status && k < count; k++)
            if (!isfinite(data[k]))
                status = rn_error_set(&err, RN_ERR_DATA, "%s: value %lld is not a finite number", d->items[i].name, (long long)k);
        rn_failure_note(&l->looks[i].failure, &err, status);
        if (!status)
            look_at_samples(&l->looks[i], data, count);
        else
            l->looks[i].empty = !d->items[i].tensor && file_is_empty(d->items[i].path);
        free(owned);
    }
}

static void look_at_pixels(rn_looking *l, int item, const rn_image *image)
{
    size_t count = (size_t)image->height * (size_t)image->width;
    const unsigned char *p = image->pixels;
    uint64_t sum = 0;
    int grey = 1;
    for (size_t i = 0; i < count; i++, p += 3) {
        sum += (uint64_t)p[0] + p[1] + p[2];
        grey &= p[0] == p[1] && p[1] == p[2];
    }
    XXH128_hash_t hash = XXH3_128bits(image->pixels, 3 * count);
    rn_hash_text(hash.high64, hash.low64, l->looks[item].sound);
    l->looks[item].peak = rn_image_is_one_colour(image) ? 0 : 1;
    l->check->heights[item] = image->height;
    l->check->widths[item] = image->width;
    l->check->grey[item] = (unsigned char)grey;
    l->check->level_db[item] = (double)sum / (3.0 * (double)count);
}

static void look_at_picture(void *context, int first, int end)
{
    rn_looking *l = context;
    const rn_dataset *d = l->dataset;
    const rn_image_options options = {.channels = 3, .most_pixels = d->most_pixels};
    for (int i = first; i < end; i++) {
        rn_error err = {0};
        rn_image image;
        int status = rn_album_read(d, i, &options, &image, &err);
        rn_failure_note(&l->looks[i].failure, &err, status);
        if (!status)
            look_at_pixels(l, i, &image);
        else
            l->looks[i].empty = !d->items[i].bytes && file_is_empty(d->items[i].path);
        rn_image_free(&image);
    }
}

/* ---- findings ---- */

/* An item's name, with its times where it is a part of a file. */
typedef struct rn_title {
    char text[300];
} rn_title;

static const char *title(const rn_item *item, rn_title *t)
{
    if (item->end_s > 0)
        snprintf(t->text, sizeof t->text, "%.240s (%.2f to %.2f s)", item->name, item->start_s, item->end_s);
    else if (item->start_s > 0)
        snprintf(t->text, sizeof t->text, "%.240s (from %.2f s)", item->name, item->start_s);
    else
        snprintf(t->text, sizeof t->text, "%.240s", item->name);
    return t->text;
}

typedef struct rn_findings {
    rn_check *check;
    int capacity;
    rn_error *err;
    int status;
} rn_findings;

/* After a failure nothing more is added; the status is looked at once, at the end. */
static void add(rn_findings *f, rn_finding_kind kind, int item, int other, const char *format, ...) __attribute__((format(printf, 5, 6)));
static void add(rn_findings *f, rn_finding_kind kind, int item, int other, const char *format, ...)
{
    rn_check *c = f->check;
    char text[1200];
    if (f->status)
        return;
    if (c->findings_count == f->capacity) {
        int capacity = f->capacity ? 2 * f->capacity : 64;
        rn_finding *findings = realloc(c->findings, (size_t)capacity * sizeof *findings);
        if (!findings) {
            f->status = rn_error_memory(f->err, "findings", (unsigned long long)capacity * sizeof *findings);
            return;
        }
        c->findings = findings;
        f->capacity = capacity;
    }
    rn_finding *finding = &c->findings[c->findings_count++];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    finding->kind = kind;
    finding->item = item;
    finding->other = other;
    size_t length = strlen(text), room = sizeof finding->text - 1;
    if (length > room) {
        /* Cut before a character, not inside one. */
        for (length = room; length && ((unsigned char)text[length] & 0xC0) == 0x80; length--)
            ;
    }
    memcpy(finding->text, text, length);
    finding->text[length] = 0;
    if (rn_finding_is_error(kind))
        c->errors++;
    else
        c->warnings++;
}

static void find_in_items(rn_findings *f, const rn_dataset *d, const rn_look *looks, double min_seconds)
{
    rn_kind kind = rn_dataset_kind(d);
    for (int i = 0; i < d->count; i++) {
        const rn_look *look = &looks[i];
        rn_title t;
        const char *name = title(&d->items[i], &t);
        if (look->empty)
            add(f, RN_FIND_EMPTY, i, -1, "%.250s: empty", name);
        else if (look->failure.code)
            add(f, RN_FIND_UNDECODABLE, i, -1, "%s", look->failure.text ? look->failure.text : name);
        if (look->empty || look->failure.code)
            continue;
        if (kind == RN_PICTURES && look->peak == 0)
            add(f, RN_FIND_ONE_COLOUR, i, -1, "%.200s: one colour throughout (what is in its transparency is not used)", name);
        if (kind == RN_PICTURES)
            continue;
        if (look->peak < RN_SILENT_PEAK && !d->c)
            add(f, RN_FIND_SILENT, i, -1, "%.200s: silent (peak below -60 dB of full scale)", name);
        else if (look->peak == 0)
            add(f, RN_FIND_SILENT, i, -1, "%.200s: zero throughout", name);
        if (look->silent_channel)
            add(f, RN_FIND_SILENT_CHANNEL, i, -1, "%.200s: channel %d is silent beside a sounding one; --channel takes one channel", name,
                look->silent_channel);
        if (look->clipped > CLIPPED_SHARE && !d->c)
            add(f, RN_FIND_CLIPPED, i, -1, "%.200s: clipped (%.1f %% of the samples at full scale)", name, 100 * look->clipped);
        if (!d->c && f->check->seconds[i] < min_seconds)
            add(f, RN_FIND_SHORT, i, -1, "%.200s: %.2f s, shorter than %.2f s", name, f->check->seconds[i], min_seconds);
    }
}

typedef struct rn_content {
    const char *hash;
    double start, end;
    int item;
} rn_content;

static int compare_content(const rn_content *p, const rn_content *q)
{
    int order = strcmp(p->hash, q->hash);
    if (!order)
        order = (p->start > q->start) - (p->start < q->start);
    return order ? order : (p->end > q->end) - (p->end < q->end);
}

static int compare_contents(const void *a, const void *b)
{
    int order = compare_content(a, b), p = ((const rn_content *)a)->item, q = ((const rn_content *)b)->item;
    return order ? order : (p > q) - (p < q);
}

static void find_pair(rn_findings *f, const rn_dataset *d, int item, int other, rn_finding_kind kind)
{
    const rn_item *a = &d->items[item], *b = &d->items[other];
    rn_title at, bt;
    const char *an = title(a, &at), *bn = title(b, &bt);
    const char *what = kind == RN_FIND_DUPLICATE_BYTES ? "bytes" : kind == RN_FIND_DUPLICATE_PIXELS ? "pixels" : "decoded samples";
    if (strcmp(rn_item_label_text(d, a), rn_item_label_text(d, b)))
        add(f, RN_FIND_CONFLICT, item, other, "%.90s (%.30s) and %.90s (%.30s) have the same %s and two labels", an,
            rn_item_label_text(d, a), bn, rn_item_label_text(d, b), what);
    else if (a->part != b->part && a->part != RN_PART_NONE && b->part != RN_PART_NONE)
        add(f, RN_FIND_CONFLICT, item, other, "%.100s (%s) and %.100s (%s) have the same %s and are in two parts", an,
            rn_part_name(a->part), bn, rn_part_name(b->part), what);
    else
        add(f, kind, item, other, "%.130s and %.130s have the same %s", an, bn, what);
}

/* Each item is compared with the first that has its content. by_sound: pairs with equal bytes were reported before. */
static void find_duplicates(rn_findings *f, const rn_dataset *d, const rn_look *looks, int by_sound, rn_content *list)
{
    int count = 0;
    for (int i = 0; i < d->count; i++) {
        if (looks[i].failure.code || looks[i].empty)
            continue;
        const rn_item *item = &d->items[i];
        list[count++] = by_sound ? (rn_content){looks[i].sound, 0, 0, i} : (rn_content){item->hash, item->start_s, item->end_s, i};
    }
    qsort(list, (size_t)count, sizeof *list, compare_contents);
    for (int i = 0, head = 0; i < count; i++) {
        if (!*list[i].hash || compare_content(&list[i], &list[head])) {
            head = i;
            continue;
        }
        if (i == head)
            continue;
        const rn_item *a = &d->items[list[head].item], *b = &d->items[list[i].item];
        if (by_sound && !strcmp(a->hash, b->hash) && a->start_s == b->start_s && a->end_s == b->end_s)
            continue;
        find_pair(f, d, list[head].item, list[i].item,
                  !by_sound                           ? RN_FIND_DUPLICATE_BYTES
                  : rn_dataset_kind(d) == RN_PICTURES ? RN_FIND_DUPLICATE_PIXELS
                                                      : RN_FIND_DUPLICATE_SOUND);
    }
}

typedef struct rn_pair_of {
    int label, item;
    const char *source;
} rn_pair_of;

static int compare_pairs(const void *a, const void *b)
{
    const rn_pair_of *p = a, *q = b;
    int order = (p->label > q->label) - (p->label < q->label);
    return order ? order : strcmp(p->source, q->source);
}

/* Did the item decode? Arrays are not asked. */
static int is_usable(const rn_dataset *d, const rn_check *check, int item)
{
    rn_kind kind = rn_dataset_kind(d);
    return kind == RN_ARRAYS || (kind == RN_PICTURES ? check->heights[item] > 0 : check->seconds[item] > 0);
}

/* Items and sources per class among items that decode. */
static int count_sources(const rn_dataset *d, const rn_check *check, const rn_look *looks, int *items, int *sources, rn_error *err)
{
    size_t total = 0;
    int count = 0, n;
    for (int i = 0; i < d->count; i++) {
        rn_item_classes(d, &d->items[i], &n);
        total += (size_t)n;
    }
    rn_pair_of *list = malloc((total + 1) * sizeof *list);
    if (!list)
        return rn_error_memory(err, "counting sources", (unsigned long long)total * sizeof *list);
    for (int i = 0; i < d->count; i++) {
        const int *labels = rn_item_classes(d, &d->items[i], &n);
        int usable = looks ? !looks[i].failure.code && !looks[i].empty : is_usable(d, check, i);
        for (int k = 0; usable && k < n; k++)
            list[count++] = (rn_pair_of){labels[k], i, d->items[i].source};
    }
    qsort(list, (size_t)count, sizeof *list, compare_pairs);
    for (int i = 0; i < count; i++) {
        items[list[i].label]++;
        sources[list[i].label] += !i || compare_pairs(&list[i], &list[i - 1]);
    }
    free(list);
    return 0;
}

static void find_few(rn_findings *f, const rn_dataset *d, const rn_look *looks)
{
    int *counts = calloc(2 * (size_t)d->classes, sizeof *counts), *sources = counts + d->classes;
    if (!counts)
        f->status = rn_error_memory(f->err, "counting sources", 2ull * (unsigned)d->classes * sizeof *counts);
    else if (!f->status)
        f->status = count_sources(d, NULL, looks, counts, sources, f->err);
    for (int c = 0; !f->status && c < d->classes; c++)
        if (d->several && !sources[c]) /* only the training part must have it */
            add(f, RN_FIND_FEW, -1, -1, "class \"%.100s\": no usable item. Add recordings of it", d->labels[c]);
        else if (!d->several && sources[c] < FEWEST)
            add(f, RN_FIND_FEW, -1, -1,
                "class \"%.100s\": %d usable item%s from %d source%s; training needs %d sources (2 with --no-test). Add recordings of it",
                d->labels[c], counts[c], counts[c] == 1 ? "" : "s", sources[c], sources[c] == 1 ? "" : "s", FEWEST);
    free(counts);
}

static int compare_ints(const void *a, const void *b)
{
    int p = *(const int *)a, q = *(const int *)b;
    return (p > q) - (p < q);
}

/* Rates: the commonest is what training works at (the higher of equals), up to 48 kHz. */
static void find_rates(rn_findings *f, const rn_dataset *d)
{
    int *sorted = malloc((size_t)d->count * sizeof *sorted), count = 0, common = 0, most = 0, high = 0, first_high = -1;
    if (!sorted) {
        f->status = f->status ? f->status : rn_error_memory(f->err, "rates", (unsigned long long)d->count * sizeof *sorted);
        return;
    }
    for (int i = 0; i < d->count; i++) {
        int rate = f->check->rates[i];
        if (rate > 0)
            sorted[count++] = rate;
        if (rate > HIGHEST_RATE && !high++)
            first_high = i;
    }
    qsort(sorted, (size_t)count, sizeof *sorted, compare_ints);
    for (int i = 0, begin = 0; i < count; i++) {
        begin = sorted[i] == sorted[begin] ? begin : i;
        if (i - begin + 1 >= most) {
            most = i - begin + 1;
            common = sorted[i];
        }
    }
    if (high)
        add(f, RN_FIND_BAND, first_high, -1,
            "%d recording%s above %d Hz (first: %.100s at %d Hz): training resamples to %d Hz and loses what is above %d Hz unless --rate "
            "says otherwise",
            high, high == 1 ? "" : "s", HIGHEST_RATE, d->items[first_high].name, f->check->rates[first_high], HIGHEST_RATE,
            HIGHEST_RATE / 2);
    for (int i = 0, begin = 0; i < count && sorted[i] < common && sorted[i] < HIGHEST_RATE; i++) {
        begin = sorted[i] == sorted[begin] ? begin : i;
        if (i + 1 < count && sorted[i + 1] == sorted[i])
            continue;
        int n = i - begin + 1;
        add(f, RN_FIND_BAND, -1, -1,
            "%d recording%s at %d Hz, most are at %d Hz: above %d Hz there is nothing in them, and a network may learn that", n,
            n == 1 ? "" : "s", sorted[i], common, sorted[i] / 2);
    }
    free(sorted);
}

static void find_grey(rn_findings *f, const rn_dataset *d)
{
    int grey = 0, first = -1, pictures = 0;
    for (int i = 0; i < d->count; i++) {
        pictures += f->check->heights[i] > 0;
        if (f->check->grey[i] && !grey++)
            first = i;
    }
    if (grey && grey < pictures)
        add(f, RN_FIND_GREY, first, -1,
            "%d of %d pictures have no colours (first: %.100s): a network may learn that; --in-channels 1 trains on grey alone", grey,
            pictures, d->items[first].name);
}

static int compare_findings(const void *a, const void *b)
{
    const rn_finding *p = a, *q = b;
    if (p->kind != q->kind)
        return p->kind > q->kind ? 1 : -1;
    if (p->item != q->item)
        return p->item > q->item ? 1 : -1;
    return p->other != q->other ? (p->other > q->other ? 1 : -1) : strcmp(p->text, q->text);
}

static int find_all(rn_check *check, const rn_dataset *d, const rn_look *looks, double min_seconds, rn_error *err)
{
    rn_findings f = {check, 0, err, 0};
    rn_content *list = malloc((size_t)d->count * sizeof *list);
    if (!list)
        return rn_error_memory(err, "comparing items", (unsigned long long)d->count * sizeof *list);
    find_in_items(&f, d, looks, min_seconds);
    find_duplicates(&f, d, looks, 0, list);
    find_duplicates(&f, d, looks, 1, list);
    find_few(&f, d, looks);
    find_rates(&f, d);
    find_grey(&f, d);
    for (int i = 0; i < d->warnings_count; i++)
        add(&f, i >= d->warnings_count - d->warnings_extensions ? RN_FIND_EXTENSION : RN_FIND_LISTING, -1, -1, "%s", d->warnings[i]);
    if (check->findings_count)
        qsort(check->findings, (size_t)check->findings_count, sizeof *check->findings, compare_findings);
    free(list);
    return f.status;
}

static int measure_level(rn_check *check, const rn_dataset *d, rn_error *err)
{
    rn_level_result level;
    int parts = 0;
    if (d->several) /* neighbours vote for one class */
        return 0;
    for (int i = 0; i < d->count; i++)
        parts |= d->items[i].part == RN_PART_TRAIN ? 1 : d->items[i].part == RN_PART_TEST ? 2 : 0;
    int status = rn_level_accuracy(d, check->level_db, parts == 3 ? RN_PART_TEST : RN_PART_NONE, &level, err);
    check->level_accuracy = level.accuracy;
    check->level_macro = level.macro_accuracy;
    check->chance = level.chance;
    check->level_items = level.items;
    return status;
}

int rn_check_run(rn_dataset *d, double min_seconds, rn_pool *pool, rn_progress_fn progress, void *context, rn_check **result, rn_error *err)
{
    size_t n = (size_t)d->count;
    int status = 0, hashed = 1;
    rn_check *check = calloc(1, sizeof *check);
    rn_look *looks = calloc(n, sizeof *looks);
    *result = NULL;
    if (check) {
        check->items = d->count;
        check->classes = d->classes;
        check->seconds = calloc(n, sizeof *check->seconds);
        check->rates = calloc(n, sizeof *check->rates);
        check->level_db = malloc(n * sizeof *check->level_db);
        check->heights = calloc(n, sizeof *check->heights);
        check->widths = calloc(n, sizeof *check->widths);
        check->grey = calloc(n, sizeof *check->grey);
    }
    if (!check || !looks || !check->seconds || !check->rates || !check->level_db || !check->heights || !check->widths || !check->grey) {
        status = rn_error_memory(err, "the check", n * (sizeof *looks + 20));
        goto fail;
    }
    for (size_t i = 0; i < n; i++) {
        check->level_db[i] = NAN;
        hashed = hashed && d->items[i].hash[0];
    }
    /* A file that cannot be read fails again when it is decoded, and becomes a finding there. */
    if (!hashed && (status = rn_dataset_hash(d, pool, err)) == RN_ERR_MEMORY)
        goto fail;
    rn_looking looking = {d, check, looks};
    rn_kind kind = rn_dataset_kind(d);
    rn_visit_fn look = kind == RN_PICTURES ? look_at_picture : kind == RN_ARRAYS ? look_at_array : look_at_file;
    status = rn_reading_all(d, 0, pool, look, &looking, progress, context, err);
    for (size_t i = 0; i < n && !status; i++)
        if (looks[i].failure.code == RN_ERR_MEMORY)
            status = rn_error_set(err, RN_ERR_MEMORY, "%s",
                                  looks[i].failure.text ? looks[i].failure.text : "no memory while the recordings were read");
    for (size_t i = 0; i < n; i++)
        check->total_seconds += check->seconds[i];
    if (status || (status = find_all(check, d, looks, min_seconds > 0 ? min_seconds : 0.5, err)) || (status = measure_level(check, d, err)))
        goto fail;
    *result = check;
    check = NULL;
fail:
    for (size_t i = 0; looks && i < n; i++)
        free(looks[i].failure.text);
    free(looks);
    rn_check_close(&check);
    return status;
}

void rn_check_close(rn_check **check)
{
    rn_check *c = *check;
    if (!c)
        return;
    free(c->findings);
    free(c->seconds);
    free(c->rates);
    free(c->level_db);
    free(c->heights);
    free(c->widths);
    free(c->grey);
    free(c);
    *check = NULL;
}

static int compare_doubles(const void *a, const void *b)
{
    double p = *(const double *)a, q = *(const double *)b;
    return (p > q) - (p < q);
}

/* Counts, durations and rates of one class; label -1: of all. lengths: room for every item. */
static void stats_of(const rn_dataset *d, const rn_check *check, int label, double *lengths, rn_class_stats *s)
{
    size_t count = 0;
    for (int i = 0; i < d->count; i++) {
        const rn_item *item = &d->items[i];
        if (label >= 0 && !rn_item_has(d, item, label))
            continue;
        if (!is_usable(d, check, i)) {
            s->bad++;
            continue;
        }
        lengths[count++] = check->seconds[i];
        s->seconds += check->seconds[i];
        if (item->part != RN_PART_NONE)
            s->parts[item->part]++;
        if (!s->rate_low || check->rates[i] < s->rate_low)
            s->rate_low = check->rates[i];
        if (check->rates[i] > s->rate_high)
            s->rate_high = check->rates[i];
        int h = check->heights[i], w = check->widths[i];
        s->grey += check->grey[i];
        s->height_low = s->height_low && s->height_low < h ? s->height_low : h;
        s->width_low = s->width_low && s->width_low < w ? s->width_low : w;
        s->height_high = s->height_high > h ? s->height_high : h;
        s->width_high = s->width_high > w ? s->width_high : w;
    }
    s->items = (int)count;
    if (!count)
        return;
    qsort(lengths, count, sizeof *lengths, compare_doubles);
    s->shortest_s = lengths[0];
    s->median_s = count % 2 ? lengths[count / 2] : 0.5 * (lengths[count / 2 - 1] + lengths[count / 2]);
    s->longest_s = lengths[count - 1];
}

int rn_check_stats(const rn_dataset *d, const rn_check *check, rn_class_stats **stats, rn_error *err)
{
    size_t classes = (size_t)d->classes;
    rn_class_stats *s = calloc(classes + 1, sizeof *s);
    double *lengths = malloc(((size_t)d->count + 1) * sizeof *lengths);
    int *items = calloc(classes, sizeof *items), *sources = calloc(classes, sizeof *sources), status = 0;
    *stats = NULL;
    if (!s || !lengths || !items || !sources)
        status = rn_error_memory(err, "figures per class", (unsigned long long)d->count * sizeof *lengths);
    else
        status = count_sources(d, check, NULL, items, sources, err);
    for (int c = 0; !status && c <= d->classes; c++) {
        stats_of(d, check, c < d->classes ? c : -1, lengths, &s[c]);
        if (c < d->classes)
            s[c].sources = sources[c];
    }
    if (!status) {
        s[classes].sources = rn_dataset_sources(d);
        if (s[classes].sources < 0)
            status = rn_error_memory(err, "counting sources", (unsigned long long)d->count * sizeof(char *));
    }
    if (!status) {
        *stats = s;
        s = NULL;
    }
    free(s);
    free(lengths);
    free(items);
    free(sources);
    return status;
}
