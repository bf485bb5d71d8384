/* Parts by source.
 *
 * Sources are sorted by name, shuffled (Philox, RN_PURPOSE_SPLIT), then ordered by size, largest first; the shuffle decides between
 * equals. Each goes to the part that lacks most: for part p and class c the lack is (wish - have) / wish with wish = share of p times
 * items of c; a source's lack is the mean over its items' classes. Items with several labels count in each, those without any as a class of their
 * own, and sources go by their rarest class, rarest first, as in iterative stratification (Sechidis, Tsoumakas, Vlahavas 2011). Where a class then misses a part, the smallest source that can move there
 * without opening another gap moves. Items with equal hash, start and end count as one source, so that a copy under another name
 * never leaks.
 *
 * Parts that the data set gives stay. Where it gives every item one, and none is validation (MNIST and many others come as train and test),
 * the validation part is drawn out of the training part in the same way, as the share of validation in the two.
 *
 * split.csv: part,label,hash,start,end,path; times in seconds with up to nine decimals (items are told apart to the nanosecond). */
#include "data/split.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "data/listing.h"

typedef struct rn_source {
    const char *name;
    int part;       /* RN_PART_NONE until known */
    int begin, end; /* its items in `member` */
} rn_source;

typedef struct rn_splitting {
    rn_dataset *dataset;
    double share[RN_PARTS];
    int *group;  /* [items] source of an item */
    int *member; /* [items] items, source by source */
    rn_source *sources;
    int count;
    double *wish;    /* [parts][classes + 1] items; the last class is having none */
    int *have;       /* [parts][classes + 1] items */
    int *covers;     /* [parts][classes + 1] sources */
    int *total;      /* [classes + 1] items */
    int *seen;       /* [classes + 1] by the source that is being counted */
    uint32_t *order; /* [count] */
} rn_splitting;

void rn_split_default(rn_split_options *options)
{
    *options = (rn_split_options){0, 0.70, 0.15, 0.15};
}

static int find(int *parent, int i)
{
    while (parent[i] != i)
        i = parent[i] = parent[parent[i]];
    return i;
}

/* The smaller index becomes the root, so that a group's name does not depend on the order of joining. */
static void join(int *parent, int a, int b)
{
    a = find(parent, a);
    b = find(parent, b);
    parent[a > b ? a : b] = a > b ? b : a;
}

typedef struct rn_key {
    const char *text;
    double start, end;
    int item;
} rn_key;

static int compare_keys(const void *a, const void *b)
{
    const rn_key *p = a, *q = b;
    int order = strcmp(p->text, q->text);
    if (!order)
        order = (p->start > q->start) - (p->start < q->start);
    if (!order)
        order = (p->end > q->end) - (p->end < q->end);
    return order ? order : (p->item > q->item) - (p->item < q->item);
}

static int group_items(rn_splitting *s, rn_error *err)
{
    rn_dataset *d = s->dataset;
    size_t n = (size_t)d->count;
    rn_key *keys = malloc(n * sizeof *keys);
    int *parent = malloc(n * sizeof *parent);
    if (!keys || !parent) {
        free(keys);
        free(parent);
        return rn_error_memory(err, "grouping by source", n * sizeof *keys);
    }
    for (int i = 0; i < d->count; i++) {
        parent[i] = i;
        keys[i] = (rn_key){d->items[i].source, 0, 0, i};
    }
    qsort(keys, n, sizeof *keys, compare_keys);
    for (int i = 1; i < d->count; i++)
        if (!strcmp(keys[i].text, keys[i - 1].text))
            join(parent, keys[i].item, keys[i - 1].item);
    for (int i = 0; i < d->count; i++)
        keys[i] = (rn_key){d->items[i].hash, d->items[i].start_s, d->items[i].end_s, i};
    qsort(keys, n, sizeof *keys, compare_keys);
    for (int i = 1; i < d->count; i++)
        if (*keys[i].text && !strcmp(keys[i].text, keys[i - 1].text) && keys[i].start == keys[i - 1].start &&
            keys[i].end == keys[i - 1].end)
            join(parent, keys[i].item, keys[i - 1].item);
    for (int i = 0; i < d->count; i++)
        s->group[i] = find(parent, i);
    free(keys);
    free(parent);
    return 0;
}

/* Groups become sources, sorted by the name of their first item's source (items are sorted, so this is a function of the content). */
static int list_sources(rn_splitting *s, rn_error *err)
{
    rn_dataset *d = s->dataset;
    rn_key *keys = malloc((size_t)d->count * sizeof *keys);
    if (!keys)
        return rn_error_memory(err, "grouping by source", (unsigned long long)d->count * sizeof *keys);
    int status = 0;
    int count = 0;
    for (int i = 0; i < d->count; i++)
        if (!d->items[i].bad)
            keys[count++] = (rn_key){d->items[s->group[i]].source, s->group[i], 0, i};
    qsort(keys, (size_t)count, sizeof *keys, compare_keys);
    for (int i = 0; i < count && !status; i++) {
        int item = keys[i].item;
        s->member[i] = item;
        if (!i || keys[i].start != keys[i - 1].start)
            s->sources[s->count++] = (rn_source){keys[i].text, RN_PART_NONE, i, i};
        rn_source *source = &s->sources[s->count - 1];
        source->end = i + 1;
        rn_part part = d->items[item].part;
        if (part != RN_PART_NONE && source->part != RN_PART_NONE && source->part != (int)part)
            status =
                rn_error_set(err, RN_ERR_DATA,
                             "%s: source \"%.200s\" is in %s and in %s (item %.200s); items of one source, or with the same content, must "
                             "be in one part",
                             d->path, source->name, rn_part_name((rn_part)source->part), rn_part_name(part), d->items[item].name);
        if (part != RN_PART_NONE)
            source->part = (int)part;
    }
    free(keys);
    return status;
}

/* The classes of an item; the class behind the last stands for having none, so that these items are dealt out evenly too. */
static const int *classes_of(const rn_splitting *s, int member, int *count)
{
    const int *classes = rn_item_classes(s->dataset, &s->dataset->items[s->member[member]], count);
    if (*count)
        return classes;
    *count = 1;
    return &s->dataset->classes;
}

/* Adds a source to a part's counts, or takes it away (sign -1). */
static void count_source(rn_splitting *s, const rn_source *source, int part, int sign)
{
    int row = part * (s->dataset->classes + 1), count;
    for (int i = source->begin; i < source->end; i++) {
        const int *labels = classes_of(s, i, &count);
        for (int k = 0; k < count; k++) {
            s->have[row + labels[k]] += sign;
            if (s->seen[labels[k]] == source - s->sources + 1)
                continue;
            s->seen[labels[k]] = (int)(source - s->sources) + 1;
            s->covers[row + labels[k]] += sign;
        }
    }
    for (int i = source->begin; i < source->end; i++) {
        const int *labels = classes_of(s, i, &count);
        for (int k = 0; k < count; k++)
            s->seen[labels[k]] = 0;
    }
}

static int part_that_lacks_most(const rn_splitting *s, const rn_source *source)
{
    int best = -1, count;
    double most = 0;
    for (int p = 0; p < RN_PARTS; p++) {
        double lack = 0;
        if (s->share[p] <= 0)
            continue;
        for (int i = source->begin; i < source->end; i++) {
            const int *labels = classes_of(s, i, &count);
            for (int k = 0; k < count; k++) {
                int at = p * (s->dataset->classes + 1) + labels[k];
                lack += (s->wish[at] - s->have[at]) / s->wish[at];
            }
        }
        if (best < 0 || lack > most) {
            best = p;
            most = lack;
        }
    }
    return best;
}

/* Could this source leave its part without leaving one of its classes there with nothing? */
static int can_leave(const rn_splitting *s, const rn_source *source)
{
    int count;
    for (int i = source->begin; i < source->end; i++) {
        const int *labels = classes_of(s, i, &count);
        for (int k = 0; k < count; k++)
            if (s->covers[source->part * (s->dataset->classes + 1) + labels[k]] < 2)
                return 0;
    }
    return 1;
}

static int has_class(const rn_splitting *s, const rn_source *source, int label)
{
    for (int i = source->begin; i < source->end; i++)
        if (rn_item_has(s->dataset, &s->dataset->items[s->member[i]], label))
            return 1;
    return 0;
}

static void close_gaps(rn_splitting *s, const unsigned char *fixed)
{
    int classes = s->dataset->classes;
    for (int at = 0; at < RN_PARTS * classes; at++) {
        int part = at / classes, label = at % classes, best = -1;
        if (s->share[part] <= 0 || s->covers[part * (classes + 1) + label])
            continue;
        for (int k = 0; k < s->count; k++) {
            int i = (int)s->order[k];
            const rn_source *source = &s->sources[i];
            if (!fixed[i] && has_class(s, source, label) && can_leave(s, source) &&
                (best < 0 || source->end - source->begin < s->sources[best].end - s->sources[best].begin))
                best = i;
        }
        if (best < 0)
            continue;
        count_source(s, &s->sources[best], s->sources[best].part, -1);
        s->sources[best].part = part;
        count_source(s, &s->sources[best], part, 1);
    }
}

static void count_items(rn_splitting *s)
{
    int count;
    for (int i = 0; s->count && i < s->sources[s->count - 1].end; i++) {
        const int *labels = classes_of(s, i, &count);
        for (int k = 0; k < count; k++)
            s->total[labels[k]]++;
    }
}

/* Items of the source's rarest class. */
static int rarest(const rn_splitting *s, const rn_source *source)
{
    int count, least = RN_ITEMS_LIMIT;
    for (int i = source->begin; i < source->end; i++) {
        const int *labels = classes_of(s, i, &count);
        for (int k = 0; k < count; k++)
            least = s->total[labels[k]] < least ? s->total[labels[k]] : least;
    }
    return least;
}

static int compare_uint32(const void *a, const void *b)
{
    uint64_t p = *(const uint64_t *)a, q = *(const uint64_t *)b;
    return (p > q) - (p < q);
}

/* Order of treatment: by size, largest first, or with several labels by the rarest class; the shuffled place decides between equals. */
static int order_sources(rn_splitting *s, uint64_t seed, rn_error *err)
{
    rn_random random;
    uint64_t *keys = malloc((size_t)s->count * sizeof *keys);
    uint32_t *shuffled = malloc((size_t)s->count * sizeof *shuffled);
    if (!keys || !shuffled) {
        free(keys);
        free(shuffled);
        return rn_error_memory(err, "ordering the sources", (unsigned long long)s->count * sizeof *keys);
    }
    for (int i = 0; i < s->count; i++)
        shuffled[i] = (uint32_t)i;
    rn_random_start(&random, seed, RN_PURPOSE_SPLIT, 0, 0);
    rn_random_shuffle(&random, shuffled, (uint32_t)s->count);
    for (int i = 0; i < s->count; i++) {
        const rn_source *source = &s->sources[shuffled[i]];
        int first = s->dataset->several ? rarest(s, source) : RN_ITEMS_LIMIT - (source->end - source->begin);
        keys[i] = (uint64_t)first << 32 | (uint32_t)i;
    }
    qsort(keys, (size_t)s->count, sizeof *keys, compare_uint32);
    for (int i = 0; i < s->count; i++)
        s->order[i] = shuffled[(uint32_t)keys[i]];
    free(keys);
    free(shuffled);
    return 0;
}

static int check_cover(const rn_splitting *s, rn_error *err)
{
    const rn_dataset *d = s->dataset;
    int parts = 0, classes = d->classes;
    for (int p = 0; p < RN_PARTS; p++)
        parts += s->share[p] > 0;
    for (int label = 0; label < classes; label++)
        for (int p = 0; p < RN_PARTS; p++) {
            /* With several labels, parts that are only judged may do without a rare class: its figure is left out there. */
            if (s->share[p] <= 0 || s->covers[p * (classes + 1) + label] || (d->several && p != RN_PART_TRAIN))
                continue;
            int sources = 0, items = 0;
            for (int q = 0; q < RN_PARTS; q++) {
                sources += s->covers[q * (classes + 1) + label];
                items += s->have[q * (classes + 1) + label];
            }
            if (sources < parts)
                return rn_error_set(
                    err, RN_ERR_DATA,
                    "%s: class \"%.200s\" has %d item%s from %d source%s, too few for %d parts; add recordings from %d more "
                    "source%s%s",
                    d->path, d->labels[label], items, items == 1 ? "" : "s", sources, sources == 1 ? "" : "s", parts, parts - sources,
                    parts - sources == 1 ? "" : "s", parts == 3 ? ", or leave a part out (--no-test, --no-validation)" : "");
            return rn_error_set(err, RN_ERR_DATA,
                                "%s: class \"%.200s\" has no item in the %s part: its %d sources are tied to other classes or parts; add a "
                                "recording of it from a source of its own%s",
                                d->path, d->labels[label], rn_part_name((rn_part)p), sources,
                                p == RN_PART_TRAIN  ? ""
                                : p == RN_PART_TEST ? ", or leave that part out (--no-test)"
                                                    : ", or leave that part out (--no-validation)");
        }
    return 0;
}

static int lacks_validation_alone(const rn_splitting *s)
{
    for (int i = 0; i < s->count; i++)
        if (s->sources[i].part == RN_PART_NONE || s->sources[i].part == RN_PART_VALIDATION)
            return 0;
    return s->share[RN_PART_VALIDATION] > 0;
}

/* The training part is taken apart again, and nothing more goes to the test part. */
static void open_training_part(rn_splitting *s)
{
    double two = s->share[RN_PART_TRAIN] + s->share[RN_PART_VALIDATION];
    s->share[RN_PART_TRAIN] /= two;
    s->share[RN_PART_VALIDATION] /= two;
    s->share[RN_PART_TEST] = 0;
    for (int i = 0; i < s->count; i++)
        if (s->sources[i].part == RN_PART_TRAIN)
            s->sources[i].part = RN_PART_NONE;
}

/* Items that each part should have of each class, among those that are to be placed. Added, not multiplied: a last bit decides between equals. */
static void set_wishes(rn_splitting *s, int opened)
{
    int row = s->dataset->classes + 1, count;
    for (int i = 0; i < s->count; i++)
        for (int m = s->sources[i].begin; m < s->sources[i].end && !(opened && s->sources[i].part != RN_PART_NONE); m++) {
            const int *labels = classes_of(s, m, &count);
            for (int k = 0; k < count; k++)
                for (int p = 0; p < RN_PARTS; p++)
                    s->wish[p * row + labels[k]] += s->share[p];
        }
}

static int assign(rn_splitting *s, uint64_t seed, rn_error *err)
{
    rn_dataset *d = s->dataset;
    int status;
    if ((status = group_items(s, err)) || (status = list_sources(s, err)))
        return status;
    int opened = lacks_validation_alone(s);
    double test = s->share[RN_PART_TEST];
    if (opened)
        open_training_part(s);
    count_items(s);
    if ((status = order_sources(s, seed, err)))
        return status;
    set_wishes(s, opened);
    unsigned char *fixed = calloc((size_t)s->count, 1);
    if (!fixed)
        return rn_error_memory(err, "the parts", (unsigned long long)s->count);
    for (int i = 0; i < s->count; i++)
        if (s->sources[i].part != RN_PART_NONE) {
            fixed[i] = 1;
            count_source(s, &s->sources[i], s->sources[i].part, 1);
        }
    for (int k = 0; k < s->count; k++) {
        rn_source *source = &s->sources[s->order[k]];
        if (fixed[s->order[k]])
            continue;
        source->part = part_that_lacks_most(s, source);
        count_source(s, source, source->part, 1);
    }
    close_gaps(s, fixed);
    s->share[RN_PART_TEST] = test;
    free(fixed);
    if ((status = check_cover(s, err)))
        return status;
    for (int i = 0; i < d->count; i++)
        if (d->items[i].bad)
            d->items[i].part = RN_PART_NONE;
    for (int i = 0; i < s->count; i++)
        for (int m = s->sources[i].begin; m < s->sources[i].end; m++)
            d->items[s->member[m]].part = (rn_part)s->sources[i].part;
    return 0;
}

int rn_split_make(rn_dataset *dataset, const rn_split_options *options, rn_error *err)
{
    rn_splitting s = {.dataset = dataset, .share = {options->train, options->validation, options->test}};
    double sum = options->train + options->validation + options->test;
    if (!(options->train > 0) || !(options->validation >= 0) || !(options->test >= 0) || !(sum > 0 && sum <= 1e6))
        return rn_error_set(err, RN_ERR_ARG,
                            "shares of %g, %g and %g for train, validation and test: train must be above 0, the others 0 or more",
                            options->train, options->validation, options->test);
    for (int p = 0; p < RN_PARTS; p++)
        s.share[p] /= sum;
    size_t items = (size_t)dataset->count, classes = (size_t)dataset->classes + 1, cells = RN_PARTS * classes;
    int status;
    s.group = malloc(items * sizeof *s.group);
    s.member = malloc(items * sizeof *s.member);
    s.sources = malloc(items * sizeof *s.sources);
    s.order = malloc(items * sizeof *s.order);
    s.wish = calloc(cells, sizeof *s.wish);
    s.have = calloc(cells, sizeof *s.have);
    s.covers = calloc(cells, sizeof *s.covers);
    s.total = calloc(classes, sizeof *s.total);
    s.seen = calloc(classes, sizeof *s.seen);
    if (!s.group || !s.member || !s.sources || !s.order || !s.wish || !s.have || !s.covers || !s.total || !s.seen)
        status = rn_error_memory(err, "the parts", items * sizeof *s.sources);
    else
        status = assign(&s, options->seed, err);
    free(s.group);
    free(s.member);
    free(s.sources);
    free(s.order);
    free(s.wish);
    free(s.have);
    free(s.covers);
    free(s.total);
    free(s.seen);
    return status;
}

int rn_split_count(const rn_dataset *dataset, rn_part part, int label)
{
    int count = 0;
    for (int i = 0; i < dataset->count; i++)
        count += dataset->items[i].part == part && (label < 0 || rn_item_has(dataset, &dataset->items[i], label));
    return count;
}
