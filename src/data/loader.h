/* Batches: decode and features ahead of the network on spare threads, the same batches whatever the number of threads. */
#ifndef RN_DATA_LOADER_H
#define RN_DATA_LOADER_H

#include "data/dataset.h"
#include "media/augment.h"
#include "media/augment_picture.h"
#include "media/features.h"

#define RN_SCALES_MAX 8

typedef struct rn_loader_options {
    uint64_t seed;
    int batch;          /* samples of a whole batch */
    int threads;        /* decoding threads of its own; 0: one */
    int cache_mb;       /* features kept in memory; default 1024 */
    int balance;        /* 1: balanced sampling (each class equally often) */
    int skip_bad;       /* a file that does not decode, or is silent, is skipped and counted; else one that does not decode is an error naming it */
    double min_seconds; /* shorter items count as bad; 0: 0.1 */
    /* of pictures: how they become the network's input; what is drawn in training, NULL: nothing; how they are judged, 0: one crop */
    const rn_pictures *pictures;
    const rn_picture_augment *picture_augment;
    int crops, scales_count, scales[RN_SCALES_MAX];
} rn_loader_options;

typedef struct rn_loader rn_loader;
/* features and augment are for recordings (of an array, augment's masks alone): ignored for others. The data set must outlive the loader and not change. */
int rn_loader_open(rn_loader **loader, rn_dataset *dataset, const rn_features *features, const rn_augment *augment,
                   const rn_loader_options *options, rn_error *err);
void rn_loader_close(rn_loader **loader);
void rn_loader_shape(const rn_loader *loader, int *c, int *h, int *w); /* of a training sample */
/* Decodes every item of the used parts once, on as many threads as there are processors (fills the cache, finds bad files before any work
 * is lost). Bad items are marked with skip_bad and leave the training list; otherwise the first one is an error. *bad counts them. */
int rn_loader_prepare(rn_loader *loader, rn_progress_fn progress, void *context, int *bad, rn_error *err);

typedef struct rn_batch {
    int n;
    float *x;                  /* [n][c][h][w]; the loader's, valid until the next call */
    const int *labels;         /* [n] */
    const float *weights;      /* [n], item weights */
    const int *items;          /* [n], indices into the data set */
    const uint64_t *positions; /* [n] in the epoch's order */
} rn_batch;

/* Known for good after rn_loader_prepare, which may mark items as bad. Steps of an epoch: whole batches, plus a last smaller
 * one unless it is under max(2, batch/8). */
int64_t rn_loader_steps(const rn_loader *loader, int64_t *left_out);
/* Samples of a whole batch: options.batch, or the number of training items where that is smaller. */
int rn_loader_batch(const rn_loader *loader);
/* Starts (or restarts, for resume) an epoch of the training part at `first_step`. The order is a function of (seed, epoch). */
int rn_loader_start(rn_loader *loader, uint32_t epoch, int64_t first_step, rn_error *err);
/* The next batch, augmented (all but mixup, which belongs to ghost batches). n = 0: the epoch is over. */
int rn_loader_next(rn_loader *loader, rn_batch *batch, rn_error *err);

/* What a sample of the epoch that was started last sounds like after augmentation, cut as its columns are, at features->rate; of the first
 * `most` samples. position as in rn_batch. Only for recordings: RN_ERR_ARG for arrays. Thread-safe; free with rn_sound_free. */
int rn_loader_sound(rn_loader *loader, int item, uint64_t position, int64_t most, rn_sound *sound, rn_error *err);

/* One item for judging: the whole recording up to 30 s as one window, longer ones as windows of the trained length (the last ends at the
 * end), never augmented. x [windows][c][h][w]; free with rn_views_free. Thread-safe. */
typedef struct rn_views {
    int windows, c, h, w;
    float *x;
    double *start_s, *end_s; /* [windows] */
} rn_views;
int rn_loader_views(rn_loader *loader, int item, rn_views *views, rn_error *err);
void rn_views_free(rn_views *views);
/* The same from samples at features->rate, for whoever has no data set. offset_s is added to the windows' times. Recordings of fewer than
 * 16 frames are repeated up to the trained length; each window of a recording above 30 s is normalised by itself, as live sound is. */
int rn_views_make(const rn_extractor *extractor, const rn_features *features, const float *samples, int64_t count, double offset_s,
                  rn_views *views, rn_error *err);

#endif
