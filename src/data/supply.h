/* Inside src/data: what the loader makes of one item. Decode, cache, stretch, augment, features, crop; and views for judging.
 *
 * Training sample of a recording up to 30 s:
 *   samples are not augmented  features of the whole recording, normalised over it (cached), then the crop
 *   samples are augmented      a stretch of at most 3 times the trained length is drawn from the decoded samples (cached), augmented,
 *                              turned into features normalised over the stretch, then the crop. Whole recordings of 30 s would cost
 *                              10 times as much as the crop that is used.
 * Of a longer recording: a stretch is read from the file at a drawn place (in steps of 10 ms), and goes on as above. It is never cached:
 * what a sample is may not depend on the size of the cache.
 * A recording shorter than the crop is repeated, beginning at a drawn place.
 * Views are never augmented. Of items that are judged again and again (the validation part) the cache keeps the features. Parts of one file
 * are read in one pass when the first of them is asked for, and wait to be asked for themselves.
 * Arrays (.npy and the caller's tensors) are taken as they are; only SpecAugment applies, plane by plane. */
#ifndef RN_DATA_SUPPLY_H
#define RN_DATA_SUPPLY_H

#include <pthread.h>
#include "data/album.h"
#include "data/loader.h"
#include "data/reading.h"

#define RN_WHOLE_S 30.0                  /* longest recording that is judged in one piece */
#define RN_STRETCH 3                     /* trained lengths */
#define RN_ONCE_BYTES ((size_t)64 << 20) /* features of a file's parts that are read in one pass before they are judged */
#define RN_FEWEST_FRAMES 16              /* of a view; shorter recordings are repeated up to the trained length */

typedef struct rn_kept {
    float *data;     /* samples, [bins][frames], or [c][h][w]; NULL: not cached */
    int64_t count;   /* samples or frames */
    int64_t samples; /* of the whole item at the wanted rate, once it was read; 0: not yet */
    int once;        /* features that wait to be judged; whoever takes them frees them */
} rn_kept;

typedef struct rn_noise {
    float *samples;
    int64_t count;
} rn_noise;

typedef struct rn_supply {
    rn_dataset *dataset;
    rn_features features;
    rn_augment augment;
    rn_album *album;         /* pictures; NULL: sound or arrays */
    rn_extractor *extractor; /* NULL: arrays or pictures */
    double min_seconds;
    int skip_silent; /* a silent recording counts as bad: --skip-bad leaves it out, without that it is used with a warning of data check */
    int unsplit;     /* no item has a part */
    int c, h, w;     /* of a training sample */
    int64_t stretch; /* samples */
    rn_noise *noises;
    int noise_count;
    pthread_mutex_t lock; /* of what follows */
    rn_kept *kept;        /* [items] */
    size_t kept_bytes, kept_limit;
    size_t once_bytes;
    pthread_mutex_t pass; /* held while the parts of a file are read ahead for judging */
} rn_supply;

int rn_supply_open(rn_supply *s, rn_dataset *dataset, const rn_features *features, const rn_augment *augment,
                   const rn_loader_options *options, rn_error *err);
void rn_supply_close(rn_supply *s);
/* An item's .npy file: malloc'ed values of the data set's shape; RN_ERR_SHAPE, or RN_ERR_DATA if one is not finite. */
int rn_supply_read_array(const rn_dataset *dataset, int item, float **data, rn_error *err);
/* Thread-safe, all of them. */
int rn_supply_sample(rn_supply *s, int item, uint64_t seed, uint32_t epoch, uint64_t position, float *x, rn_error *err);
/* The sound of such a sample, at most `most` samples of it. */
int rn_supply_sound(rn_supply *s, int item, uint64_t seed, uint32_t epoch, uint64_t position, int64_t most, rn_sound *sound, rn_error *err);
int rn_supply_views(rn_supply *s, int item, rn_views *views, rn_error *err);
/* Reads items first..end-1, which are one file's, in one pass; failures[item] tells how each went. */
void rn_supply_visit(rn_supply *s, int first, int end, rn_failure *failures);

#endif
