/* A data set while it is being listed: grows by items, then sorts them by (name, start, end) in bytes, numbers labels in byte order,
 * and reports what is odd about the names. See data/listing.h. */
#include "data/listing.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"
#include "formats/npy.h"
#include "media/image.h"

int rn_listing_start(rn_listing *l, const char *path, const rn_sound_options *sound, rn_error *err)
{
    memset(l, 0, sizeof *l);
    l->dataset = calloc(1, sizeof *l->dataset);
    if (!l->dataset || !(l->dataset->path = strdup(path)))
        return rn_error_memory(err, "a data set", sizeof *l->dataset);
    if (sound)
        l->dataset->sound = *sound;
    l->dataset->sound.rate = 0;
    l->dataset->sound.offset = l->dataset->sound.bytes = 0;
    l->dataset->sound.name = NULL;
    l->dataset->sound.start_s = l->dataset->sound.end_s = 0;
    return 0;
}

void rn_listing_drop(rn_listing *l)
{
    for (int i = 0; l->item_labels && i < l->dataset->count; i++)
        free(l->item_labels[i]);
    free(l->item_labels);
    for (int i = 0; i < l->unknown_count; i++)
        free(l->unknown[i].first);
    rn_dataset_close(&l->dataset);
    memset(l, 0, sizeof *l);
}

static int grow(rn_listing *l, rn_error *err)
{
    int capacity = l->capacity ? 2 * l->capacity : 256;
    rn_item *items = realloc(l->dataset->items, (size_t)capacity * sizeof *items);
    if (items)
        l->dataset->items = items;
    char **labels = items ? realloc(l->item_labels, (size_t)capacity * sizeof *labels) : NULL;
    if (labels)
        l->item_labels = labels;
    if (!items || !labels)
        return rn_error_memory(err, "the list of items", (unsigned long long)capacity * sizeof *items);
    l->capacity = capacity;
    return 0;
}

/* "calls/0413.take2.wav" -> "calls/0413.take2" */
static char *without_extension(const char *name)
{
    const char *extension = rn_text_extension(name);
    return *extension ? strndup(name, (size_t)(extension - 1 - name)) : strdup(name);
}

int rn_listing_add(rn_listing *l, const rn_entry *entry, rn_error *err)
{
    rn_dataset *d = l->dataset;
    if (d->count >= RN_ITEMS_LIMIT)
        return rn_error_set(err, RN_ERR_DATA, "%s: more than %d items; split the data set", d->path, RN_ITEMS_LIMIT);
    int fits = entry->several ? rn_labels_fit(entry->label) : strlen(entry->label) <= RN_LABEL_LIMIT && *entry->label;
    if (!fits || !rn_text_is_clean(entry->label))
        return rn_error_set(err, RN_ERR_DATA,
                            "%s: a label of %zu bytes that is empty, longer than %d bytes or not UTF-8 text without control "
                            "characters (item %.200s); rename it",
                            d->path, strlen(entry->label), RN_LABEL_LIMIT, entry->name);
    if (d->count == l->capacity && grow(l, err))
        return RN_ERR_MEMORY;
    rn_item *item = &d->items[d->count];
    memset(item, 0, sizeof *item);
    item->path = strdup(entry->path);
    item->name = rn_text_printable(entry->name);
    item->source = entry->source ? strdup(entry->source) : item->name ? without_extension(item->name) : NULL;
    item->start_s = entry->start_s;
    item->end_s = entry->end_s;
    item->weight = entry->weight;
    item->part = entry->part;
    item->offset = entry->offset;
    item->bytes = entry->bytes;
    item->pixels = entry->pixels;
    l->several |= entry->several;
    l->item_labels[d->count] = strdup(entry->label);
    d->count++; /* before the check: dropping the list frees what there is of this item */
    if (!item->path || !item->name || !item->source || !l->item_labels[d->count - 1])
        return rn_error_memory(err, "an item's names", strlen(entry->path));
    return 0;
}

int rn_listing_warn(rn_listing *l, rn_error *err, const char *format, ...)
{
    rn_dataset *d = l->dataset;
    char text[600];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (d->warnings_count == l->warnings_capacity) {
        int capacity = l->warnings_capacity ? 2 * l->warnings_capacity : 16;
        char **warnings = realloc(d->warnings, (size_t)capacity * sizeof *warnings);
        if (!warnings)
            return rn_error_memory(err, "warnings", (unsigned long long)capacity * sizeof *warnings);
        d->warnings = warnings;
        l->warnings_capacity = capacity;
    }
    /* A cut may fall inside a character; the printable form shows such bytes as \xNN. */
    if (!(d->warnings[d->warnings_count] = rn_text_printable(text)))
        return rn_error_memory(err, "a warning", sizeof text);
    d->warnings_count++;
    return 0;
}

/* Extensions of headerless sound, accepted when the caller says how to read it. */
static int raw_extension(const char *extension)
{
    static const char *const names[] = {"",    "raw", "pcm", "bin", "sln",  "s16",   "s16le", "s24",
                                        "s32", "f32", "u8",  "ul",  "ulaw", "mulaw", "al",    "alaw"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcasecmp(extension, names[i]))
            return 1;
    return 0;
}

int rn_listing_takes(const rn_listing *l, const char *path)
{
    const char *extension = rn_text_extension(path);
    return !strcasecmp(extension, "npy") || rn_sound_known(path) || rn_image_known(path) ||
           (l->dataset->sound.raw != RN_RAW_NONE && raw_extension(extension));
}

int rn_listing_wants(rn_listing *l, const char *path, const char *name, rn_error *err)
{
    const char *extension = rn_text_extension(name);
    if (rn_listing_takes(l, path))
        return 1;
    char kind[sizeof l->unknown[0].extension];
    snprintf(kind, sizeof kind, "%s", extension);
    for (char *k = kind; *k; k++)
        *k = *k >= 'A' && *k <= 'Z' ? (char)(*k + 32) : *k;
    int i = 0, limit = (int)(sizeof l->unknown / sizeof *l->unknown);
    while (i < l->unknown_count && strcmp(l->unknown[i].extension, kind))
        i++;
    if (i == l->unknown_count && i < limit) {
        memcpy(l->unknown[i].extension, kind, sizeof kind);
        if (!(l->unknown[i].first = strdup(name)))
            return rn_error_memory(err, "a file name", strlen(name));
        l->unknown_count++;
    }
    l->unknown[i < limit ? i : limit - 1].count++;
    return 0;
}

static int warn_unknown(rn_listing *l, rn_error *err)
{
    int before = l->dataset->warnings_count;
    for (int i = 0; i < l->unknown_count; i++) {
        const char *kind = l->unknown[i].extension, *first = l->unknown[i].first;
        int count = l->unknown[i].count, status;
        const char *files = count == 1 ? "file" : "files";
        if (!*kind)
            status = rn_listing_warn(l, err, "%d %s without an extension left out (first: %.200s)", count, files, first);
        else
            status = rn_listing_warn(l, err, "%d %s with the extension .%s left out: no decoder for it (first: %.200s)", count, files, kind,
                                     first);
        if (status)
            return status;
    }
    l->dataset->warnings_extensions = l->dataset->warnings_count - before;
    return 0;
}

/* Sorting needs an item and its label together. */
typedef struct rn_pair {
    rn_item item;
    char *label;
} rn_pair;

static int compare_pairs(const void *a, const void *b)
{
    const rn_pair *p = a, *q = b;
    int order = strcmp(p->item.name, q->item.name);
    if (!order)
        order = strcmp(p->item.path, q->item.path);
    if (!order)
        order = (p->item.offset > q->item.offset) - (p->item.offset < q->item.offset);
    if (!order)
        order = (p->item.start_s > q->item.start_s) - (p->item.start_s < q->item.start_s);
    if (!order)
        order = (p->item.end_s > q->item.end_s) - (p->item.end_s < q->item.end_s);
    return order ? order : strcmp(p->label, q->label);
}

static int sort_items(rn_listing *l, rn_error *err)
{
    rn_dataset *d = l->dataset;
    rn_pair *pairs = malloc((size_t)d->count * sizeof *pairs);
    if (!pairs)
        return rn_error_memory(err, "sorting the items", (unsigned long long)d->count * sizeof *pairs);
    for (int i = 0; i < d->count; i++)
        pairs[i] = (rn_pair){d->items[i], l->item_labels[i]};
    qsort(pairs, (size_t)d->count, sizeof *pairs, compare_pairs);
    for (int i = 0; i < d->count; i++) {
        d->items[i] = pairs[i].item;
        l->item_labels[i] = pairs[i].label;
    }
    free(pairs);
    return 0;
}

/* Items first..end-1 are the same file and time listed again. One label said again counts once; two are an error, unless items have several:
 * then the first line gets them all. */
static int merge_repeats(rn_listing *l, int first, int end, int *repeats, rn_error *err)
{
    rn_dataset *d = l->dataset;
    char **label = l->item_labels, *all = NULL;
    size_t length = 0;
    int differ = 0;
    for (int i = first; i < end; i++) {
        int again = i > first && !strcmp(label[i - 1], label[i]);
        *repeats += again;
        differ |= i > first && !again;
        length += strlen(label[i]) + 1;
        if (differ && !l->several)
            return rn_error_set(
                err, RN_ERR_DATA,
                "%s: %.300s has the labels \"%.100s\" and \"%.100s\"; one label per item (a column named labels may have several)", d->path,
                d->items[first].name, label[i - 1], label[i]);
    }
    if (differ) {
        char *at = all = malloc(length);
        if (!all)
            return rn_error_memory(err, "an item's labels", length);
        for (int i = first; i < end; i++)
            at += sprintf(at, "%s%s", i > first ? "|" : "", label[i]);
        free(label[first]);
        label[first] = all;
    }
    for (int i = first + 1; i < end; i++) {
        free(d->items[i].path);
        free(d->items[i].name);
        free(d->items[i].source);
        free(label[i]);
        memset(&d->items[i], 0, sizeof d->items[i]);
        label[i] = NULL;
    }
    return 0;
}

static int drop_repeats(rn_listing *l, rn_error *err)
{
    rn_dataset *d = l->dataset;
    int kept = 0, repeats = 0;
    for (int i = 0, end; i < d->count; i = end) {
        rn_item *item = &d->items[i];
        for (end = i + 1; end < d->count && rn_item_same_file(item, &d->items[end]) && item->start_s == d->items[end].start_s &&
                          item->end_s == d->items[end].end_s;)
            end++;
        int status = merge_repeats(l, i, end, &repeats, err);
        if (status)
            return status;
        if (kept != i) {
            d->items[kept] = *item;
            memset(item, 0, sizeof *item);
            l->item_labels[kept] = l->item_labels[i];
            l->item_labels[i] = NULL;
        }
        kept++;
    }
    d->count = kept;
    return repeats ? rn_listing_warn(l, err, "%d repeated lines count once", repeats) : 0;
}

static int number_labels(rn_listing *l, rn_error *err)
{
    rn_dataset *d = l->dataset;
    char **sorted = malloc((size_t)d->count * sizeof *sorted);
    if (!sorted)
        return rn_error_memory(err, "the labels", (unsigned long long)d->count * sizeof *sorted);
    memcpy(sorted, l->item_labels, (size_t)d->count * sizeof *sorted);
    qsort(sorted, (size_t)d->count, sizeof *sorted, rn_compare_texts);
    int classes = 0;
    for (int i = 0; i < d->count; i++)
        if (!classes || strcmp(sorted[classes - 1], sorted[i]))
            sorted[classes++] = sorted[i];
    int status = 0;
    d->labels = calloc((size_t)classes, sizeof *d->labels);
    for (int i = 0; d->labels && i < classes; i++)
        if ((d->labels[i] = strdup(sorted[i])))
            d->classes++;
    if (!d->labels || d->classes < classes)
        status = rn_error_memory(err, "the labels", (unsigned long long)classes * sizeof *d->labels);
    for (int i = 0; !status && i < d->count; i++) {
        char **found = bsearch(&l->item_labels[i], d->labels, (size_t)classes, sizeof *d->labels, rn_compare_texts);
        d->items[i].label = (int)(found - d->labels);
    }
    free(sorted);
    return status;
}

/* A label that looks like a list is more likely one than a class of such a name. */
static int warn_lists(rn_listing *l, rn_error *err)
{
    const rn_dataset *d = l->dataset;
    for (int i = 0; i < d->classes && !l->several; i++)
        if (strpbrk(d->labels[i], "|;"))
            return rn_listing_warn(l, err, "\"%.200s\" is one class: where an item has several labels, name the column labels",
                                   d->labels[i]);
    return 0;
}

typedef struct rn_twin {
    char *key;
    const char *text;
} rn_twin;

static int compare_twins(const void *a, const void *b)
{
    const rn_twin *p = a, *q = b;
    int order = strcmp(p->key, q->key);
    return order ? order : strcmp(p->text, q->text);
}

static int has_high_byte(const char *s)
{
    while (*s && !(*s & 0x80))
        s++;
    return *s != 0;
}

/* Names that look the same and differ in bytes: the letter e with an accent as one code point, or as two. */
static int warn_twins(rn_listing *l, const char *what, int count, const char *(*text_of)(const rn_dataset *, int), rn_error *err)
{
    rn_twin *twins = calloc((size_t)count + 1, sizeof *twins);
    int found = 0, reported = 0, status = 0;
    if (!twins)
        return rn_error_memory(err, "comparing names", (unsigned long long)count * sizeof *twins);
    for (int i = 0; i < count && !status; i++) {
        const char *text = text_of(l->dataset, i);
        if (!has_high_byte(text))
            continue;
        twins[found].text = text;
        if (!(twins[found].key = rn_text_twin_key(text)))
            status = rn_error_memory(err, "comparing names", 3 * strlen(text));
        else
            found++;
    }
    qsort(twins, (size_t)found, sizeof *twins, compare_twins);
    for (int i = 1; i < found && !status; i++) {
        if (strcmp(twins[i].key, twins[i - 1].key) || !strcmp(twins[i].text, twins[i - 1].text))
            continue;
        if (++reported <= RN_WARNINGS_OF_A_KIND)
            status = rn_listing_warn(l, err, "two %s look the same and differ in their bytes (Unicode NFC and NFD): %.300s", what,
                                     twins[i].text);
    }
    if (!status && reported > RN_WARNINGS_OF_A_KIND)
        status = rn_listing_warn(l, err, "%d more pairs of %s look the same", reported - RN_WARNINGS_OF_A_KIND, what);
    for (int i = 0; i < found; i++)
        free(twins[i].key);
    free(twins);
    return status;
}

static const char *text_of_item(const rn_dataset *d, int i)
{
    return d->items[i].name;
}

static const char *text_of_label(const rn_dataset *d, int i)
{
    return d->labels[i];
}

/* Sound, pictures or arrays: a network has one kind of input. The first array that can be read gives the shape of all. */
static int settle_kind(rn_dataset *d, rn_error *err)
{
    rn_kind kind = rn_dataset_kind(d);
    for (int i = 0; i < d->count; i++) {
        rn_kind other = rn_item_kind(&d->items[i]);
        if (other != kind)
            return rn_error_set(err, RN_ERR_DATA, "%s: %s and %s in one data set (%.200s and %.200s); use one kind", d->path,
                                rn_kind_name(kind), rn_kind_name(other), d->items[0].name, d->items[i].name);
        if (kind != RN_SOUND && (d->items[i].start_s != 0 || d->items[i].end_s != 0))
            return rn_error_set(err, RN_ERR_DATA, "%s: %.300s has start or end; %s are used whole", d->path, d->items[i].name,
                                rn_kind_name(kind));
    }
    if (kind != RN_ARRAYS)
        return 0;
    rn_error first = {0};
    for (int i = 0; i < d->count; i++) {
        if (d->c)
            break;
        rn_array array = {0};
        rn_error *why = first.code ? NULL : &first;
        int code = rn_npy_read(d->items[i].path, &array, why), at = array.dims == 2 ? -1 : 0;
        if (!code && (array.dims < 2 || array.dims > 3 || array.count < 1 || array.count > (1 << 28)))
            code = rn_error_set(why, RN_ERR_SHAPE, "%.300s: %d dimensions, %lld values; arrays are CxHxW or HxW", d->items[i].name,
                                array.dims, (long long)array.count);
        if (!code) {
            d->c = at < 0 ? 1 : (int)array.shape[0];
            d->h = (int)array.shape[at + 1];
            d->w = (int)array.shape[at + 2];
        }
        rn_array_free(&array);
    }
    return d->c ? 0 : rn_error_set(err, first.code, "%s", first.text);
}

int rn_listing_finish(rn_listing *l, rn_dataset **dataset, rn_error *err)
{
    rn_dataset *d = l->dataset;
    int status;
    if (!d->count && l->unknown_count)
        return rn_error_set(err, RN_ERR_DATA,
                            "%s: no recording that can be decoded; files with the extension .%s were left out (first: %.200s)", d->path,
                            l->unknown[0].extension, l->unknown[0].first);
    if (!d->count)
        return rn_error_set(err, RN_ERR_DATA, "%s: no recording in it; DATA is %s", d->path, RN_DATA_IS);
    if ((status = sort_items(l, err)) || (status = drop_repeats(l, err)) ||
        (status = l->several ? rn_listing_number_several(l, err) : number_labels(l, err)) || (status = settle_kind(d, err)))
        return status;
    if (d->classes < 2 && !d->several)
        return rn_error_set(err, RN_ERR_DATA, "%s: one class only (%.100s); a classifier needs recordings of at least two", d->path,
                            d->labels[0]);
    if ((status = warn_twins(l, "class names", d->classes, text_of_label, err)) ||
        (status = warn_twins(l, "items", d->count, text_of_item, err)) || (status = warn_lists(l, err)) || (status = warn_unknown(l, err)))
        return status;
    *dataset = d;
    for (int i = 0; i < d->count; i++)
        free(l->item_labels[i]);
    free(l->item_labels);
    l->item_labels = NULL;
    l->dataset = NULL;
    return 0;
}
