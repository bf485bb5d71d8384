/* The loader: batches made ahead of the network by threads of its own.
 *
 * Threads take samples one by one in the epoch's order and write them into the batch they belong to; at most RN_AHEAD batches are in
 * work or waiting. What a sample is depends on (seed, epoch, position) alone (data/supply.h), so threads change nothing but time. An
 * error stays with its batch; of several in one batch the first position's is reported.
 *
 * Order of an epoch over n items: a Fisher-Yates shuffle of (seed, epoch). Balanced: every class gets n / classes draws, the first
 * classes of a shuffled list of classes one more until n is reached; a class's items are dealt from a shuffled pile, shuffled again each
 * time it is empty; then all n draws are shuffled. */
#include "data/loader.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/random.h"
#include "base/threads.h"
#include "data/reading.h"
#include "data/supply.h"

enum { RN_AHEAD = 4, RN_LOADER_THREADS = 256 };

typedef struct rn_slot {
    float *x;
    int *labels, *items;
    float *weights;
    uint64_t *positions;
    int pending;    /* samples that are not made yet */
    int failed_row; /* the first row that failed; -1 */
    rn_error error;
} rn_slot;

struct rn_loader {
    rn_supply supply;
    rn_loader_options options;
    int *train; /* items of the training part, those marked bad left out */
    int train_count, batch, batch_limit;
    uint32_t *order; /* [train_count] indices into train */
    uint32_t epoch;
    int64_t steps, left_out;

    pthread_mutex_t lock;
    pthread_cond_t work, ready;
    pthread_t threads[RN_LOADER_THREADS];
    int thread_count, stop, active;
    int64_t next, end; /* samples of the epoch: the next to take, the first not to take */
    int64_t step;      /* the step that rn_loader_next gives next */
    int64_t held;      /* the step whose batch the caller holds; -1 */
    rn_slot slots[RN_AHEAD + 1];
    int slots_batch; /* samples that the slots have room for */
};

/* Items of the training part; all items where none has a part. */
static void list_train(rn_loader *l)
{
    const rn_dataset *d = l->supply.dataset;
    int parts = 0, n = 0;
    for (int i = 0; i < d->count && !parts; i++)
        parts = d->items[i].part != RN_PART_NONE;
    for (int i = 0; i < d->count; i++)
        if (!d->items[i].bad && (!parts || d->items[i].part == RN_PART_TRAIN))
            l->train[n++] = i;
    l->train_count = n;
    l->batch = l->options.batch < n ? l->options.batch : n;
    l->steps = 0;
    l->left_out = 0;
    if (!n)
        return;
    int rest = n % l->batch, least = l->batch / 8 > 2 ? l->batch / 8 : 2;
    l->steps = n / l->batch + (rest >= least);
    l->left_out = rest >= least ? 0 : rest;
}

int rn_loader_open(rn_loader **loader, rn_dataset *dataset, const rn_features *features, const rn_augment *augment,
                   const rn_loader_options *options, rn_error *err)
{
    *loader = NULL;
    if (options->batch < 1 || options->batch > 1 << 20)
        return rn_error_set(err, RN_ERR_ARG, "batch %d: from 1 to %d", options->batch, 1 << 20);
    if (options->threads < 0 || options->threads > RN_LOADER_THREADS || options->cache_mb < 0)
        return rn_error_set(err, RN_ERR_ARG, "%d loader threads (0 to %d), cache of %d MB (0 or more)", options->threads, RN_LOADER_THREADS,
                            options->cache_mb);
    rn_loader *l = calloc(1, sizeof *l);
    if (!l)
        return rn_error_memory(err, "the loader", sizeof *l);
    int status = rn_supply_open(&l->supply, dataset, features, augment, options, err);
    if (status) {
        free(l);
        return status;
    }
    l->options = *options;
    l->held = -1;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->work, NULL);
    pthread_cond_init(&l->ready, NULL);
    l->train = malloc((size_t)dataset->count * sizeof *l->train);
    l->order = malloc((size_t)dataset->count * sizeof *l->order);
    if (!l->train || !l->order) {
        rn_loader_close(&l);
        return rn_error_memory(err, "an epoch's order", (unsigned long long)dataset->count * 8);
    }
    list_train(l);
    *loader = l;
    return 0;
}

static void free_slots(rn_loader *l)
{
    for (int i = 0; i <= RN_AHEAD; i++) {
        free(l->slots[i].x);
        free(l->slots[i].labels);
        free(l->slots[i].items);
        free(l->slots[i].weights);
        free(l->slots[i].positions);
        memset(&l->slots[i], 0, sizeof l->slots[i]);
    }
    l->slots_batch = 0;
}

void rn_loader_close(rn_loader **loader)
{
    rn_loader *l = *loader;
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stop = 1;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->thread_count; i++)
        pthread_join(l->threads[i], NULL);
    free_slots(l);
    pthread_cond_destroy(&l->ready);
    pthread_cond_destroy(&l->work);
    pthread_mutex_destroy(&l->lock);
    rn_supply_close(&l->supply);
    free(l->train);
    free(l->order);
    free(l);
    *loader = NULL;
}

void rn_loader_shape(const rn_loader *l, int *c, int *h, int *w)
{
    *c = l->supply.c;
    *h = l->supply.h;
    *w = l->supply.w;
}

int rn_loader_batch(const rn_loader *l)
{
    return l->batch;
}

int64_t rn_loader_steps(const rn_loader *l, int64_t *left_out)
{
    if (left_out)
        *left_out = l->left_out;
    return l->steps;
}

int rn_loader_views(rn_loader *l, int item, rn_views *views, rn_error *err)
{
    if (item < 0 || item >= l->supply.dataset->count)
        return rn_error_set(err, RN_ERR_ARG, "item %d of a data set of %d", item, l->supply.dataset->count);
    return rn_supply_views(&l->supply, item, views, err);
}

int rn_loader_sound(rn_loader *l, int item, uint64_t position, int64_t most, rn_sound *sound, rn_error *err)
{
    return rn_supply_sound(&l->supply, item, l->options.seed, l->epoch, position, most, sound, err);
}

/* ---- preparing ---- */

typedef struct rn_visiting {
    rn_supply *supply;
    rn_failure *failures; /* [items] */
} rn_visiting;

static void visit_file(void *context, int first, int end)
{
    rn_visiting *v = context;
    rn_supply_visit(v->supply, first, end, v->failures);
}

/* After bad items were left out, every class must still be there to be learned. */
static int check_classes(const rn_loader *l, rn_error *err)
{
    const rn_dataset *d = l->supply.dataset;
    int *counts = calloc((size_t)d->classes, sizeof *counts), status = 0;
    if (!counts)
        return rn_error_memory(err, "class counts", (unsigned long long)d->classes * sizeof *counts);
    for (int i = 0, n; i < l->train_count; i++) {
        const int *labels = rn_item_classes(d, &d->items[l->train[i]], &n);
        for (int k = 0; k < n; k++)
            counts[labels[k]]++;
    }
    for (int c = 0; c < d->classes && !status && l->train_count; c++)
        if (!counts[c])
            status = rn_error_set(
                err, RN_ERR_DATA,
                "%s: no usable item of class \"%.200s\" is left in the training part; add recordings of it, or remove the class", d->path,
                d->labels[c]);
    free(counts);
    return status;
}

static int report_bad(const rn_dataset *d, const char *text, int failed, rn_error *err)
{
    size_t length = strlen(text);
    const char *stop = length && text[length - 1] == '.' ? "" : ".";
    const char *advice = strstr(text, "--skip-bad") ? "" : " Remove it, or train with --skip-bad";
    if (failed > 1)
        return rn_error_set(err, RN_ERR_DATA, "%s%s%s (%d items in all cannot be used: resnet data check %.300s lists them)", text,
                            *advice ? stop : "", advice, failed, d->path);
    return rn_error_set(err, RN_ERR_DATA, "%s%s%s", text, *advice ? stop : "", advice);
}

int rn_loader_prepare(rn_loader *l, rn_progress_fn progress, void *context, int *bad, rn_error *err)
{
    rn_dataset *d = l->supply.dataset;
    rn_pool *pool = NULL;
    int threads = l->options.threads, available = rn_threads_available(), failed = 0, worst = -1, status;
    rn_visiting v = {&l->supply, calloc((size_t)d->count, sizeof *v.failures)};
    if (!v.failures)
        return rn_error_memory(err, "the items' states", (unsigned long long)d->count * sizeof *v.failures);
    if ((status = rn_pool_open(&pool, threads > available ? threads : available, err)) ||
        (status = rn_reading_all(d, 1, pool, visit_file, &v, progress, context, err)))
        goto fail;
    for (int i = 0; i < d->count && !status; i++) {
        int code = v.failures[i].code;
        if (code == RN_ERR_MEMORY) /* no fault of the file */
            status = rn_error_set(err, code, "%s", v.failures[i].text ? v.failures[i].text : "no memory while the recordings were read");
        if (!code || status)
            continue;
        worst = worst < 0 ? i : worst;
        failed++;
        if (l->options.skip_bad)
            d->items[i].bad = 1;
    }
    if (bad)
        *bad = failed;
    if (!status && failed && !l->options.skip_bad)
        status = report_bad(d, v.failures[worst].text, failed, err);
    if (!status) {
        list_train(l);
        status = check_classes(l, err);
    }
fail:
    rn_pool_close(&pool);
    rn_failures_free(v.failures, d->count);
    return status;
}

/* ---- an epoch ---- */

static void order_plain(rn_loader *l)
{
    rn_random random;
    for (int i = 0; i < l->train_count; i++)
        l->order[i] = (uint32_t)i;
    rn_random_start(&random, l->options.seed, RN_PURPOSE_SHUFFLE, l->epoch, 0);
    rn_random_shuffle(&random, l->order, (uint32_t)l->train_count);
}

static int order_balanced(rn_loader *l, rn_error *err)
{
    const rn_dataset *d = l->supply.dataset;
    size_t n = (size_t)l->train_count, classes = (size_t)d->classes;
    uint32_t *pile = malloc(n * sizeof *pile), *turn = malloc(classes * sizeof *turn);
    int *begin = calloc(classes + 1, sizeof *begin), *fill = calloc(classes + 1, sizeof *fill);
    uint32_t present = 0, at = 0;
    rn_random random;
    int status = 0;
    if (!pile || !turn || !begin || !fill) {
        status = rn_error_memory(err, "a balanced order", n * 8);
        goto fail;
    }
    for (size_t i = 0; i < n; i++)
        begin[d->items[l->train[i]].label + 1]++;
    for (size_t c = 0; c < classes; c++)
        begin[c + 1] += begin[c];
    for (size_t i = 0; i < n; i++) {
        int label = d->items[l->train[i]].label;
        pile[begin[label] + fill[label]++] = (uint32_t)i;
    }
    for (size_t c = 0; c < classes; c++)
        if (begin[c + 1] > begin[c])
            turn[present++] = (uint32_t)c;
    rn_random_start(&random, l->options.seed, RN_PURPOSE_BALANCE, l->epoch, 0);
    rn_random_shuffle(&random, turn, present);
    for (uint32_t t = 0; t < present; t++) {
        uint32_t c = turn[t], items = (uint32_t)(begin[c + 1] - begin[c]), draws = (uint32_t)n / present + (t < (uint32_t)n % present);
        rn_random_start(&random, l->options.seed, RN_PURPOSE_BALANCE, l->epoch, 1 + (uint64_t)c);
        for (uint32_t k = 0; k < draws; k++) {
            if (k % items == 0)
                rn_random_shuffle(&random, pile + begin[c], items);
            l->order[at++] = pile[(uint32_t)begin[c] + k % items];
        }
    }
    rn_random_start(&random, l->options.seed, RN_PURPOSE_SHUFFLE, l->epoch, 0);
    rn_random_shuffle(&random, l->order, (uint32_t)n);
fail:
    free(pile);
    free(turn);
    free(begin);
    free(fill);
    return status;
}

static int step_size(const rn_loader *l, int64_t step)
{
    int64_t rest = l->train_count - step * l->batch;
    return rest < l->batch ? (int)rest : l->batch;
}

static rn_slot *slot_of(rn_loader *l, int64_t step)
{
    return &l->slots[step % (RN_AHEAD + 1)];
}

static void ready_slot(rn_loader *l, int64_t step)
{
    if (step >= l->steps)
        return;
    rn_slot *slot = slot_of(l, step);
    int n = step_size(l, step);
    for (int i = 0; i < n; i++) {
        int item = l->train[l->order[step * l->batch + i]];
        slot->items[i] = item;
        slot->labels[i] = l->supply.dataset->items[item].label;
        slot->weights[i] = (float)l->supply.dataset->items[item].weight;
        slot->positions[i] = (uint64_t)(step * l->batch + i);
    }
    slot->pending = n;
    slot->failed_row = -1;
}

/* One sample, without the lock. */
static void make_sample(rn_loader *l, rn_slot *slot, int row)
{
    rn_error error = {0};
    size_t size = (size_t)l->supply.c * (size_t)l->supply.h * (size_t)l->supply.w;
    int status = rn_supply_sample(&l->supply, slot->items[row], l->options.seed, l->epoch, slot->positions[row],
                                  slot->x + (size_t)row * size, &error);
    if (!status)
        return;
    pthread_mutex_lock(&l->lock);
    if (slot->failed_row < 0 || row < slot->failed_row) {
        slot->failed_row = row;
        slot->error = error;
        slot->error.code = status;
    }
    pthread_mutex_unlock(&l->lock);
}

static void *run_thread(void *context)
{
    rn_loader *l = context;
    unsigned state = rn_fp_enter();
    pthread_mutex_lock(&l->lock);
    while (!l->stop) {
        int64_t floor_step = l->held >= 0 ? l->held : l->step;
        if (l->next >= l->end || l->next / l->batch > floor_step + RN_AHEAD) {
            pthread_cond_wait(&l->work, &l->lock);
            continue;
        }
        int64_t sample = l->next++, step = sample / l->batch;
        rn_slot *slot = slot_of(l, step);
        l->active++;
        pthread_mutex_unlock(&l->lock);
        make_sample(l, slot, (int)(sample % l->batch));
        pthread_mutex_lock(&l->lock);
        l->active--;
        if (!--slot->pending || !l->active)
            pthread_cond_broadcast(&l->ready);
    }
    pthread_mutex_unlock(&l->lock);
    rn_fp_leave(state);
    return NULL;
}

/* Signals are the program's: the threads take none. */
static int start_threads(rn_loader *l, rn_error *err)
{
    int wanted = l->options.threads > 0 ? l->options.threads : 1, failed = 0;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (l->thread_count < wanted && !failed) {
        failed = pthread_create(&l->threads[l->thread_count], NULL, run_thread, l);
        l->thread_count += !failed;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return l->thread_count
               ? 0
               : rn_error_set(err, RN_ERR_MEMORY, "no thread for the loader could be started; raise the limit on processes (ulimit -u)");
}

static int make_slots(rn_loader *l, rn_error *err)
{
    size_t size = (size_t)l->supply.c * (size_t)l->supply.h * (size_t)l->supply.w, batch = (size_t)l->batch;
    if (l->slots_batch >= l->batch)
        return 0;
    free_slots(l);
    if (size > SIZE_MAX / sizeof(float) / batch)
        return rn_error_memory(err, "batches", (unsigned long long)size * batch);
    for (int i = 0; i <= RN_AHEAD; i++) {
        rn_slot *slot = &l->slots[i];
        slot->x = malloc(batch * size * sizeof *slot->x);
        slot->labels = malloc(batch * sizeof *slot->labels);
        slot->items = malloc(batch * sizeof *slot->items);
        slot->weights = malloc(batch * sizeof *slot->weights);
        slot->positions = malloc(batch * sizeof *slot->positions);
        if (!slot->x || !slot->labels || !slot->items || !slot->weights || !slot->positions) {
            free_slots(l);
            return rn_error_memory(err, "batches made ahead", (unsigned long long)batch * size * sizeof(float) * (RN_AHEAD + 1));
        }
    }
    l->slots_batch = l->batch;
    return 0;
}

int rn_loader_start(rn_loader *l, uint32_t epoch, int64_t first_step, rn_error *err)
{
    int status;
    pthread_mutex_lock(&l->lock);
    l->next = l->end = 0; /* nothing more to take; then wait for what is in work */
    while (l->active)
        pthread_cond_wait(&l->ready, &l->lock);
    pthread_mutex_unlock(&l->lock);
    if (l->train_count < 2)
        return rn_error_set(err, RN_ERR_DATA, "%s: %d usable items in the training part; at least 2 are needed", l->supply.dataset->path,
                            l->train_count);
    if (first_step < 0 || first_step > l->steps)
        return rn_error_set(err, RN_ERR_ARG, "step %lld of an epoch of %lld", (long long)first_step, (long long)l->steps);
    l->epoch = epoch;
    if (l->options.balance) {
        if ((status = order_balanced(l, err)))
            return status;
    } else
        order_plain(l);
    if ((status = make_slots(l, err)) || (status = start_threads(l, err)))
        return status;
    pthread_mutex_lock(&l->lock);
    l->step = first_step;
    l->held = -1;
    for (int64_t s = first_step; s <= first_step + RN_AHEAD; s++)
        ready_slot(l, s);
    l->next = first_step * l->batch;
    l->end = l->train_count - l->left_out;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    return 0;
}

int rn_loader_next(rn_loader *l, rn_batch *batch, rn_error *err)
{
    memset(batch, 0, sizeof *batch);
    int status = 0;
    pthread_mutex_lock(&l->lock);
    if (l->held >= 0) {
        int64_t released = l->held;
        l->held = -1;
        ready_slot(l, released + RN_AHEAD + 1);
        pthread_cond_broadcast(&l->work);
    }
    if (l->step < l->steps && l->end > 0) {
        rn_slot *slot = slot_of(l, l->step);
        while (slot->pending)
            pthread_cond_wait(&l->ready, &l->lock);
        if (slot->failed_row >= 0)
            status = rn_error_set(err, slot->error.code, "%s", slot->error.text);
        else {
            *batch = (rn_batch){step_size(l, l->step), slot->x, slot->labels, slot->weights, slot->items, slot->positions};
            l->held = l->step++;
        }
    }
    pthread_mutex_unlock(&l->lock);
    return status;
}
