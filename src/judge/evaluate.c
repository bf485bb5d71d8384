/* Answers: every item of a part through the inference engine, decoded ahead of it.
 *
 * Producers (threads of this file) take item numbers from one counter and put an item's windows into its slot of a ring; the calling
 * thread takes slots in item order, joins windows of equal size into batches and runs the engine, whose result does not depend on how
 * a batch was cut. An item's probability is the mean over its windows, in window order in double, rounded once. */
#include "judge/evaluate.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/maths.h"

#define RING 32          /* items decoded ahead, */
#define AHEAD (64 << 20) /* as long as their windows take no more bytes than this: an hour of sound has 92 MB of them */
#define PRODUCERS 4
#define BATCH 16 /* windows in one run of the engine */

typedef struct slot {
    enum { EMPTY, READY } state;
    rn_views views;
    int status; /* of decoding */
    rn_error err;
} slot;

typedef struct collector {
    rn_infer *engine;
    rn_loader *loader;
    rn_dataset *dataset;
    const int *items; /* items to judge */
    int count;
    rn_judging judging;
    pthread_mutex_t lock;
    pthread_cond_t ready, room;
    int taken, done, stop; /* next item to decode; next item to be used; producers shall end */
    int64_t bytes;         /* of windows in the ring */
    slot ring[RING];
    pthread_t threads[PRODUCERS];
    int threads_count;
    float *x, *logits, *embedding;                          /* the batch being joined, and its answers */
    int64_t x_room, logits_room, embedding_room, kept_room; /* floats */
    rn_answers *answers;
    int written;  /* answers so far */
    double *mean; /* [classes], and an embedding's numbers behind them */
} collector;

int rn_answers_open(rn_answers **answers, int items, int classes, int several, rn_error *err)
{
    rn_answers *a = calloc(1, sizeof *a);
    *answers = NULL;
    if (a) {
        a->items = items;
        a->classes = classes;
        a->item = calloc((size_t)items + 1, sizeof *a->item);
        a->label = calloc((size_t)items + 1, sizeof *a->label);
        a->loss = calloc((size_t)items + 1, sizeof *a->loss);
        a->probability = calloc((size_t)items * (size_t)classes + 1, sizeof *a->probability);
        a->truth = several ? calloc((size_t)items * (size_t)classes + 1, 1) : NULL;
        a->threshold = several ? malloc(((size_t)classes + 1) * sizeof *a->threshold) : NULL;
        for (int c = 0; a->threshold && c < classes; c++)
            a->threshold[c] = 0.5;
    }
    if (!a || !a->item || !a->label || !a->loss || !a->probability || (several && (!a->truth || !a->threshold))) {
        rn_answers_close(&a);
        return rn_error_memory(err, "the answers", (unsigned long long)items * (unsigned long long)classes * sizeof(float));
    }
    *answers = a;
    return 0;
}

void rn_answers_close(rn_answers **answers)
{
    if (!*answers)
        return;
    free((*answers)->item);
    free((*answers)->label);
    free((*answers)->probability);
    free((*answers)->loss);
    free((*answers)->truth);
    free((*answers)->threshold);
    free((*answers)->first);
    free((*answers)->logits);
    free((*answers)->embedding);
    free(*answers);
    *answers = NULL;
}

/* ---- Decoding ahead ---- */

static int64_t view_bytes(const slot *s)
{
    const rn_views *v = &s->views;
    return s->status ? 0 : (int64_t)v->windows * v->c * v->h * v->w * (int64_t)sizeof(float);
}

/* The item that the caller waits for is always taken, so a full ring never stops the work. */
static int is_full(const collector *c)
{
    return c->taken - c->done >= RING || (c->bytes > AHEAD && c->taken > c->done);
}

static void *produce(void *context)
{
    collector *c = context;
    rn_fp_enter();
    pthread_mutex_lock(&c->lock);
    for (;;) {
        while (!c->stop && c->taken < c->count && is_full(c))
            pthread_cond_wait(&c->room, &c->lock);
        if (c->stop || c->taken >= c->count)
            break;
        int i = c->taken++;
        slot *s = &c->ring[i % RING];
        pthread_mutex_unlock(&c->lock);
        s->err.code = 0;
        s->status = rn_loader_views(c->loader, c->items[i], &s->views, &s->err);
        pthread_mutex_lock(&c->lock);
        s->state = READY;
        c->bytes += view_bytes(s);
        pthread_cond_broadcast(&c->ready);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

static int producers_open(collector *c, rn_error *err)
{
    int wanted = rn_threads_available();
    wanted = wanted > PRODUCERS ? PRODUCERS : wanted > c->count ? c->count : wanted;
    for (int i = 0; i < wanted; i++) {
        if (pthread_create(&c->threads[i], NULL, produce, c))
            break;
        c->threads_count++;
    }
    if (c->count && !c->threads_count)
        return rn_error_set(err, RN_ERR_MEMORY,
                            "no thread could be started to decode recordings; raise the limit on processes (ulimit -u)");
    return 0;
}

static void producers_close(collector *c)
{
    pthread_mutex_lock(&c->lock);
    c->stop = 1;
    pthread_cond_broadcast(&c->room);
    pthread_mutex_unlock(&c->lock);
    for (int i = 0; i < c->threads_count; i++)
        pthread_join(c->threads[i], NULL);
    for (int i = 0; i < RING; i++)
        if (c->ring[i].state == READY && !c->ring[i].status)
            rn_views_free(&c->ring[i].views);
}

static slot *wait_slot(collector *c, int i)
{
    slot *s = &c->ring[i % RING];
    pthread_mutex_lock(&c->lock);
    while (s->state != READY)
        pthread_cond_wait(&c->ready, &c->lock);
    pthread_mutex_unlock(&c->lock);
    return s;
}

static void free_slot(collector *c, slot *s)
{
    int64_t bytes = view_bytes(s);
    if (!s->status)
        rn_views_free(&s->views);
    pthread_mutex_lock(&c->lock);
    c->bytes -= bytes;
    s->state = EMPTY;
    c->done++;
    pthread_cond_broadcast(&c->room);
    pthread_mutex_unlock(&c->lock);
}

/* ---- Answering ---- */

static int room(float **data, int64_t *have, int64_t want, rn_error *err)
{
    if (want <= *have)
        return 0;
    float *grown = realloc(*data, (size_t)want * sizeof(float));
    if (!grown)
        return rn_error_memory(err, "windows to be judged", (unsigned long long)want * sizeof(float));
    *data = grown;
    *have = want;
    return 0;
}

/* Logits and embedding of an item's windows, from window `from` of the batch, are kept with its answer. */
static int keep(collector *c, int at, int from, int windows, rn_error *err)
{
    rn_answers *a = c->answers;
    int classes = a->classes, size = a->embedding_size, first = a->first[at], status = 0;
    double *mean = c->mean + classes;
    if (c->judging.windows) {
        if ((int64_t)first + windows > INT32_MAX)
            return rn_error_set(err, RN_ERR_DATA, "more than %d windows are too many to be kept: judge a part of the data", INT32_MAX);
        if (((int64_t)first + windows) * classes > c->kept_room)
            status = room(&a->logits, &c->kept_room, (2 * (int64_t)first + windows) * classes, err);
        if (status)
            return status;
        memcpy(a->logits + (int64_t)first * classes, c->logits + (int64_t)from * classes,
               (size_t)windows * (size_t)classes * sizeof(float));
        a->first[at + 1] = first + windows;
    }
    memset(mean, 0, (size_t)size * sizeof *mean);
    for (int w = 0; w < windows; w++)
        for (int k = 0; k < size; k++)
            mean[k] += c->embedding[((int64_t)from + w) * size + k];
    for (int k = 0; k < size; k++)
        a->embedding[(int64_t)at * size + k] = (float)(mean[k] / windows);
    return 0;
}

/* -log p; below the smallest normal double it stays at 708.4 instead of becoming infinite. */
static double surprise(double p)
{
    return -rn_log(p < 0x1p-1022 ? 0x1p-1022 : p);
}

/* With several labels: notes the item's classes; the mean of what each answer surprises, in class order. The right answer's probability is summed
 * over windows by itself, since 1 - p is 0 for a p that is almost 1. */
static double several_loss(collector *c, int at, int item, int from, int windows)
{
    rn_answers *a = c->answers;
    int count, classes = a->classes;
    const int *labels = rn_item_classes(c->dataset, &c->dataset->items[item], &count);
    unsigned char *truth = a->truth + (int64_t)at * classes;
    double loss = 0;
    for (int k = 0; k < count; k++)
        truth[labels[k]] = 1;
    for (int k = 0; k < classes; k++) {
        double right = 0;
        for (int w = from; w < from + windows; w++) {
            float z = c->logits[(int64_t)w * classes + k], toward = truth[k] ? z : -z;
            rn_sigmoids(&toward, 1, c->judging.temperature, NULL, &right);
        }
        loss += surprise(right / windows);
    }
    return loss / classes;
}

/* The answer of one item from its windows' logits, which begin with window `from` of the batch. */
static int answer(collector *c, int item, int from, int windows, rn_error *err)
{
    rn_answers *a = c->answers;
    int classes = a->classes, label = c->dataset->items[item].label, at = c->written++;
    memset(c->mean, 0, (size_t)classes * sizeof *c->mean);
    for (int w = 0; w < windows; w++)
        (a->truth ? rn_sigmoids : rn_softmax)(c->logits + ((int64_t)from + w) * classes, classes, c->judging.temperature, NULL, c->mean);
    a->item[at] = item;
    a->label[at] = label;
    for (int k = 0; k < classes; k++) {
        if (windows > 1)
            c->mean[k] /= windows;
        a->probability[(int64_t)at * classes + k] = (float)c->mean[k];
    }
    a->loss[at] = a->truth ? several_loss(c, at, item, from, windows) : surprise(c->mean[label]);
    return keep(c, at, from, windows, err);
}

/* Runs all windows of `views`-sized input in x, `windows` of them, in batches; logits and embeddings of all into the collector's. */
static int run(collector *c, int windows, const rn_views *size, const float *x, rn_error *err)
{
    int classes = c->answers->classes, numbers = c->answers->embedding_size, status;
    int64_t one = (int64_t)size->c * size->h * size->w;
    if ((status = room(&c->logits, &c->logits_room, (int64_t)windows * classes, err)) ||
        (status = room(&c->embedding, &c->embedding_room, (int64_t)windows * numbers, err)))
        return status;
    for (int at = 0; at < windows; at += BATCH) {
        int n = windows - at < BATCH ? windows - at : BATCH;
        status = rn_infer_run(c->engine, n, size->h, size->w, x + at * one, c->logits + (int64_t)at * classes,
                              numbers ? c->embedding + (int64_t)at * numbers : NULL, err);
        if (status)
            return status;
    }
    return 0;
}

/* Takes items from `first` on while their windows have one size and fit one batch (at least one item), and answers them.
 * Returns how many items were taken, or a negative error. */
static int group(collector *c, int first, rn_error *err)
{
    int taken = 0, windows = 0, members[BATCH], counts[BATCH], joined = 0, status;
    rn_views size = {0};
    while (first + taken < c->count && joined < BATCH) {
        int item = c->items[first + taken];
        slot *s = wait_slot(c, first + taken);
        if (s->status) {
            /* A file that can't be read or decoded is skipped and counted; anything else ends the work. */
            if (s->status == RN_ERR_MEMORY || s->status == RN_ERR_ARG || s->status == RN_ERR_CANCELLED) {
                if (err)
                    *err = s->err;
                return s->status;
            }
            if (!c->answers->failed++)
                c->answers->failure = s->err;
            c->answers->bad++;
            free_slot(c, s);
            taken++;
            continue;
        }
        rn_views *v = &s->views;
        if (joined && (v->c != size.c || v->h != size.h || v->w != size.w || windows + v->windows > BATCH))
            break;
        int64_t one = (int64_t)v->c * v->h * v->w;
        if ((status = room(&c->x, &c->x_room, (windows + v->windows) * one, err)))
            return status;
        memcpy(c->x + windows * one, v->x, (size_t)(v->windows * one) * sizeof(float));
        size = *v;
        members[joined] = item;
        counts[joined++] = v->windows;
        windows += v->windows;
        free_slot(c, s);
        taken++;
        if (windows >= BATCH)
            break;
    }
    if (joined && (status = run(c, windows, &size, c->x, err)))
        return status;
    for (int i = 0, at = 0; i < joined; at += counts[i++])
        if ((status = answer(c, members[i], at, counts[i], err)))
            return status;
    return taken;
}

static int collect(collector *c, rn_progress_fn progress, void *context, rn_error *err)
{
    for (int at = 0; at < c->count;) {
        int taken = group(c, at, err);
        if (taken < 0)
            return taken;
        at += taken;
        if (progress && progress(context, at, c->count))
            return rn_error_set(err, RN_ERR_CANCELLED, "stopped after %d of %d items", at, c->count);
    }
    c->answers->items = c->written;
    return 0;
}

/* The items of the part that are not marked as bad; *bad counts those that are. NULL without memory. */
static int *list_items(const rn_dataset *dataset, rn_part part, int *count, int *bad)
{
    int *items = malloc(((size_t)dataset->count + 1) * sizeof *items);
    *count = *bad = 0;
    for (int i = 0; items && i < dataset->count; i++) {
        if (part != RN_PART_NONE && dataset->items[i].part != part)
            continue;
        if (dataset->items[i].bad)
            ++*bad;
        else
            items[(*count)++] = i;
    }
    return items;
}

/* Room for what is kept beside the probabilities. */
static int open_kept(rn_answers *a, int count, const rn_judging *judging, rn_error *err)
{
    a->embedding_size = judging->embedding;
    a->first = calloc((size_t)count + 1, sizeof *a->first);
    a->embedding = judging->embedding ? malloc(((size_t)count * (size_t)judging->embedding + 1) * sizeof *a->embedding) : NULL;
    return a->first && (a->embedding || !judging->embedding)
               ? 0
               : rn_error_memory(err, "the embeddings", (unsigned long long)count * (unsigned long long)judging->embedding * sizeof(float));
}

int rn_answers_collect(rn_answers **answers, rn_infer *engine, rn_loader *loader, rn_dataset *dataset, rn_part part,
                       const rn_judging *judging, rn_progress_fn progress, void *context, rn_error *err)
{
    int bad = 0, status;
    *answers = NULL;
    collector *c = calloc(1, sizeof *c);
    int *items = c ? list_items(dataset, part, &c->count, &bad) : NULL;
    if (c) {
        pthread_mutex_init(&c->lock, NULL);
        pthread_cond_init(&c->ready, NULL);
        pthread_cond_init(&c->room, NULL);
        c->judging = judging ? *judging : (rn_judging){.temperature = 1};
        c->mean = calloc((size_t)dataset->classes + (size_t)c->judging.embedding + 1, sizeof *c->mean);
    }
    if (!c || !items || !c->mean) {
        status = rn_error_memory(err, "judging", (unsigned long long)dataset->count * sizeof *items);
        goto fail;
    }
    c->engine = engine;
    c->loader = loader;
    c->dataset = dataset;
    c->items = items;
    if ((status = rn_answers_open(&c->answers, c->count, dataset->classes, dataset->several, err)) ||
        (status = open_kept(c->answers, c->count, &c->judging, err)))
        goto fail;
    if (c->answers->threshold && c->judging.thresholds)
        memcpy(c->answers->threshold, c->judging.thresholds, (size_t)dataset->classes * sizeof(double));
    c->answers->bad = bad;
    if (!(status = producers_open(c, err)))
        status = collect(c, progress, context, err);
    producers_close(c);
    if (!status) {
        *answers = c->answers;
        c->answers = NULL;
    }
fail:
    if (c) {
        rn_answers_close(&c->answers);
        pthread_mutex_destroy(&c->lock);
        pthread_cond_destroy(&c->ready);
        pthread_cond_destroy(&c->room);
        free(c->x);
        free(c->logits);
        free(c->embedding);
        free(c->mean);
    }
    free(items);
    free(c);
    return status;
}
