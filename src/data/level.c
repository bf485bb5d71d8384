/* The classifier of one number; see data/level.h. */
#include "data/level.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/maths.h"
#include "base/random.h"
#include "data/reading.h"

enum { NEIGHBOURS = 25, FOLDS = 5 };

static int compare_doubles(const void *a, const void *b)
{
    double p = *(const double *)a, q = *(const double *)b;
    return (p > q) - (p < q);
}

double rn_level_db(const float *samples, int64_t count, int rate)
{
    int64_t frame = rate / 50 > 0 ? rate / 50 : 1, hop = rate / 100 > 0 ? rate / 100 : 1;
    if (count < 1)
        return NAN;
    if (frame > count)
        frame = count;
    int64_t frames = 1 + (count - frame) / hop;
    double *rms = malloc((size_t)frames * sizeof *rms);
    if (!rms)
        return NAN;
    for (int64_t f = 0; f < frames; f++) {
        double sum = 0;
        for (int64_t i = f * hop; i < f * hop + frame; i++)
            sum += (double)samples[i] * samples[i];
        rms[f] = sqrt(sum / (double)frame);
    }
    qsort(rms, (size_t)frames, sizeof *rms, compare_doubles);
    double at = 0.05 * (double)(frames - 1);
    int64_t below = (int64_t)at;
    double p = rms[below];
    if (below + 1 < frames)
        p += (at - (double)below) * (rms[below + 1] - p);
    free(rms);
    return 20 * rn_log10(p + 1e-6);
}

typedef struct rn_measuring {
    const rn_dataset *dataset;
    double *level_db;
} rn_measuring;

static void measure_file(void *context, int first, int end)
{
    rn_measuring *m = context;
    rn_pass pass = {0};
    for (int i = first; i < end; i++) {
        rn_sound sound = {0};
        m->level_db[i] = NAN;
        if (m->dataset->items[i].bad)
            continue;
        int failed = end - first == 1 ? rn_reading_item(m->dataset, i, 0, m->dataset->sound.channel, &sound, NULL)
                                      : rn_pass_read(&pass, m->dataset, i, 0, m->dataset->sound.channel, &sound, NULL);
        if (!failed)
            m->level_db[i] = rn_level_db(sound.samples, sound.count, sound.rate);
        rn_sound_free(&sound);
    }
    rn_pass_close(&pass);
}

int rn_level_measure(const rn_dataset *dataset, rn_pool *pool, rn_progress_fn progress, void *context, double *level_db, rn_error *err)
{
    rn_measuring m = {dataset, level_db};
    if (rn_dataset_kind(dataset) == RN_SOUND)
        return rn_reading_all(dataset, 0, pool, measure_file, &m, progress, context, err);
    for (int i = 0; i < dataset->count; i++)
        level_db[i] = NAN;
    return 0;
}

typedef struct rn_known {
    double level;
    int item;
} rn_known;

static int compare_known(const void *a, const void *b)
{
    const rn_known *p = a, *q = b;
    return p->level != q->level ? (p->level > q->level) - (p->level < q->level) : (p->item > q->item) - (p->item < q->item);
}

/* The class that most neighbours have. `fold` leaves out items of that fold; -1: none. */
static int guess(const rn_dataset *d, const rn_known *known, int count, const int *folds, int fold, double level, int *votes)
{
    int low = 0, high = count, taken = 0, best = -1;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (known[middle].level < level)
            low = middle + 1;
        else
            high = middle;
    }
    int down = low - 1, up = low;
    memset(votes, 0, (size_t)d->classes * sizeof *votes);
    while (taken < NEIGHBOURS) {
        while (down >= 0 && fold >= 0 && folds[known[down].item] == fold)
            down--;
        while (up < count && fold >= 0 && folds[known[up].item] == fold)
            up++;
        if (down < 0 && up >= count)
            break;
        double below = down < 0 ? INFINITY : level - known[down].level, above = up >= count ? INFINITY : known[up].level - level;
        int first = below < above || (below == above && known[down].item < known[up].item);
        votes[d->items[known[first ? down-- : up++].item].label]++;
        taken++;
    }
    for (int c = 0; c < d->classes && taken; c++)
        if (best < 0 || votes[c] > votes[best])
            best = c;
    return best;
}

typedef struct rn_source_index {
    const char *source;
    int item;
} rn_source_index;

static int compare_sources(const void *a, const void *b)
{
    const rn_source_index *p = a, *q = b;
    int order = strcmp(p->source, q->source);
    return order ? order : (p->item > q->item) - (p->item < q->item);
}

/* Sources in shuffled order are dealt to the folds in turn. */
static int deal_folds(const rn_dataset *d, int *folds, rn_error *err)
{
    size_t n = (size_t)d->count;
    rn_source_index *index = malloc(n * sizeof *index);
    uint32_t *order = malloc(n * sizeof *order), sources = 0;
    int *rank = malloc(n * sizeof *rank), status = 0;
    rn_random random;
    if (!index || !order || !rank) {
        status = rn_error_memory(err, "folds", n * sizeof *index);
        goto fail;
    }
    for (int i = 0; i < d->count; i++)
        index[i] = (rn_source_index){d->items[i].source, i};
    qsort(index, n, sizeof *index, compare_sources);
    for (int i = 0; i < d->count; i++) {
        sources += !i || strcmp(index[i].source, index[i - 1].source);
        rank[index[i].item] = (int)sources - 1;
    }
    for (uint32_t i = 0; i < sources; i++)
        order[i] = i;
    rn_random_start(&random, 0, RN_PURPOSE_SPLIT, 0, 0);
    rn_random_shuffle(&random, order, sources);
    for (int i = 0; i < d->count; i++)
        folds[i] = (int)(order[rank[i]] % FOLDS);
fail:
    free(index);
    free(order);
    free(rank);
    return status;
}

static void sum_up(const rn_dataset *d, const int *right, const int *seen, rn_level_result *result)
{
    int correct = 0, largest = 0, present = 0;
    double recalls = 0;
    for (int c = 0; c < d->classes; c++) {
        result->items += seen[c];
        correct += right[c];
        largest = seen[c] > largest ? seen[c] : largest;
        present += seen[c] > 0;
        recalls += seen[c] ? (double)right[c] / seen[c] : 0;
    }
    if (!result->items)
        return;
    result->accuracy = (double)correct / result->items;
    result->macro_accuracy = recalls / present;
    result->chance = (double)largest / result->items;
}

int rn_level_accuracy(const rn_dataset *d, const double *level_db, rn_part judged, rn_level_result *result, rn_error *err)
{
    size_t n = (size_t)d->count, classes = (size_t)d->classes;
    rn_known *known = malloc(n * sizeof *known);
    int *folds = calloc(n, sizeof *folds), *votes = calloc(classes, sizeof *votes), *right = calloc(classes, sizeof *right),
        *seen = calloc(classes, sizeof *seen);
    int count = 0, status = 0, by_folds = judged == RN_PART_NONE;
    memset(result, 0, sizeof *result);
    if (!known || !folds || !votes || !right || !seen) {
        status = rn_error_memory(err, "the one-number classifier", n * sizeof *known);
        goto fail;
    }
    if (by_folds && (status = deal_folds(d, folds, err)))
        goto fail;
    for (int i = 0; i < d->count; i++)
        if (!isnan(level_db[i]) && (by_folds || d->items[i].part == RN_PART_TRAIN))
            known[count++] = (rn_known){level_db[i], i};
    qsort(known, (size_t)count, sizeof *known, compare_known);
    for (int i = 0; i < d->count; i++) {
        if (isnan(level_db[i]) || (!by_folds && d->items[i].part != judged))
            continue;
        int label = guess(d, known, count, folds, by_folds ? folds[i] : -1, level_db[i], votes);
        if (label < 0)
            continue;
        seen[d->items[i].label]++;
        right[d->items[i].label] += label == d->items[i].label;
    }
    sum_up(d, right, seen, result);
fail:
    free(known);
    free(folds);
    free(votes);
    free(right);
    free(seen);
    return status;
}
