/* What the loader makes of one item; see data/supply.h for the rules. */
#include "data/supply.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "data/listing.h"
#include "data/noise.h"
#include "data/reading.h"
#include "formats/npy.h"
#include "media/filters.h"

int rn_supply_open(rn_supply *s, rn_dataset *dataset, const rn_features *features, const rn_augment *augment,
                   const rn_loader_options *options, rn_error *err)
{
    int status = 0;
    memset(s, 0, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->pass, NULL);
    s->dataset = dataset;
    s->unsplit = 1;
    for (int i = 0; i < dataset->count && s->unsplit; i++)
        s->unsplit = dataset->items[i].part == RN_PART_NONE;
    s->skip_silent = options->skip_bad;
    s->min_seconds = options->min_seconds > 0 ? options->min_seconds : 0.1;
    s->kept_limit = options->cache_mb > 0 ? (size_t)options->cache_mb << 20 : 0;
    if (augment)
        s->augment = *augment;
    else
        rn_augment_none(&s->augment);
    if (!(s->kept = calloc((size_t)dataset->count, sizeof *s->kept)))
        status = rn_error_memory(err, "the list of cached items", (unsigned long long)dataset->count * sizeof *s->kept);
    else if (rn_dataset_kind(dataset) == RN_PICTURES) {
        if (!(status = rn_album_open(&s->album, dataset, options, s->unsplit, err)))
            rn_album_size(s->album, &s->c, &s->h, &s->w);
    } else if (dataset->c) {
        s->c = dataset->c;
        s->h = dataset->h;
        s->w = dataset->w;
    } else if (!features)
        status = rn_error_set(err, RN_ERR_ARG, "recordings need features");
    else if (!(status = rn_extractor_open(&s->extractor, features, err))) {
        s->features = *features;
        int64_t frames = rn_features_length(features);
        if (frames < 1 || frames > 1 << 20)
            status = rn_error_set(err, RN_ERR_ARG, "%g s of sound are %lld frames; choose other --seconds", features->seconds,
                                  (long long)frames);
        s->c = 1;
        s->h = features->bins;
        s->w = (int)frames;
        s->stretch = RN_STRETCH * rn_features_samples(features, frames);
        if (!status && s->augment.noise_probability > 0 && s->augment.noise_folder[0])
            status = rn_noise_read(s->augment.noise_folder, features->rate, features->channel, &s->noises, &s->noise_count, err);
    }
    if (status)
        rn_supply_close(s);
    return status;
}

void rn_supply_close(rn_supply *s)
{
    if (!s->dataset)
        return;
    for (int i = 0; s->kept && i < s->dataset->count; i++)
        free(s->kept[i].data);
    free(s->kept);
    rn_noise_free(s->noises, s->noise_count);
    rn_extractor_close(&s->extractor);
    rn_album_close(&s->album);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->pass);
    memset(s, 0, sizeof *s);
}

static rn_kept kept(rn_supply *s, int item)
{
    pthread_mutex_lock(&s->lock);
    rn_kept k = s->kept[item];
    pthread_mutex_unlock(&s->lock);
    if (k.once)
        k.data = NULL; /* not to be shared */
    return k;
}

/* Takes features that wait to be judged out of the store; they are the caller's then. */
static float *claim(rn_supply *s, int item, int64_t *frames)
{
    float *data = NULL;
    pthread_mutex_lock(&s->lock);
    rn_kept *k = &s->kept[item];
    if (k->once) {
        data = k->data;
        *frames = k->count;
        s->once_bytes -= (size_t)s->h * (size_t)k->count * sizeof(float);
        k->data = NULL;
        k->once = 0;
    }
    pthread_mutex_unlock(&s->lock);
    return data;
}

/* Offers data to the cache. Returns 1 if the cache took it over (it stays valid until the supply closes), 0 if it is still the caller's. */
static int keep(rn_supply *s, int item, float *data, int64_t count, size_t bytes)
{
    int taken = 0;
    pthread_mutex_lock(&s->lock);
    if (!s->kept[item].data && bytes <= s->kept_limit && s->kept_bytes <= s->kept_limit - bytes) {
        s->kept[item].data = data;
        s->kept[item].count = count;
        s->kept_bytes += bytes;
        taken = 1;
    }
    pthread_mutex_unlock(&s->lock);
    return taken;
}

/* Items without any part are all trained on. */
static int is_trained(const rn_supply *s, int item)
{
    return s->unsplit || s->dataset->items[item].part == RN_PART_TRAIN;
}

static int keeps_samples(const rn_supply *s, int item)
{
    return is_trained(s, item) && rn_augment_changes_samples(&s->augment);
}

/* Only what is used in every epoch is worth memory. */
static int worth_keeping(const rn_supply *s, int item)
{
    return is_trained(s, item) || s->dataset->items[item].part == RN_PART_VALIDATION;
}

static int is_long(const rn_supply *s, int64_t samples)
{
    return (double)samples > RN_WHOLE_S * s->features.rate;
}

static int is_silent(const float *samples, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (fabsf(samples[i]) >= RN_SILENT_PEAK)
            return 0;
    return 1;
}

/* Was the item read well enough to be used? */
static int check_item(rn_supply *s, int item, const float *samples, int64_t count, rn_error *err)
{
    const rn_item *i = &s->dataset->items[item];
    double seconds = (double)count / s->features.rate;
    if (seconds < s->min_seconds || rn_features_frames(&s->features, count) < 1)
        return rn_error_set(err, RN_ERR_DATA, "%.600s: %.3f s is too short (the least is %.3f s)", i->bytes ? i->name : i->path, seconds,
                            s->min_seconds > s->features.window_ms / 1000 ? s->min_seconds : s->features.window_ms / 1000);
    if (s->skip_silent && is_silent(samples, count))
        return rn_error_set(err, RN_ERR_DATA, "%.600s: silent (peak below -60 dB of full scale)", i->bytes ? i->name : i->path);
    pthread_mutex_lock(&s->lock);
    s->kept[item].samples = count;
    pthread_mutex_unlock(&s->lock);
    return 0;
}

int rn_supply_read_array(const rn_dataset *d, int item, float **data, rn_error *err)
{
    rn_array array = {0};
    int status = rn_npy_read(d->items[item].path, &array, err);
    if (status)
        return status;
    int flat = array.dims == 2 && d->c == 1, at = flat ? 0 : 1;
    int fits = (flat || (array.dims == 3 && array.shape[0] == d->c)) && array.shape[at] == d->h && array.shape[at + 1] == d->w;
    for (int64_t i = 0; fits && i < array.count; i++)
        if (!isfinite(array.data[i])) {
            status = rn_error_set(err, RN_ERR_DATA, "%.600s: value %lld is not a finite number", d->items[item].path, (long long)i);
            goto fail;
        }
    if (!fits) {
        char shape[100] = "";
        for (int i = 0, n = 0; i < array.dims && n < 80; i++)
            n += snprintf(shape + n, sizeof shape - (size_t)n, "%s%lld", i ? "x" : "", (long long)array.shape[i]);
        status = rn_error_set(err, RN_ERR_SHAPE, "%.600s: %s, the data set's first array is %dx%dx%d; all must be equal",
                              d->items[item].path, shape, d->c, d->h, d->w);
        goto fail;
    }
    *data = array.data;
    return 0;
fail:
    rn_array_free(&array);
    return status;
}

/* The item as arrays have it. *owned: free it. */
static int whole_array(rn_supply *s, int item, const float **data, float **owned, rn_error *err)
{
    const rn_item *i = &s->dataset->items[item];
    size_t bytes = (size_t)s->c * (size_t)s->h * (size_t)s->w * sizeof(float);
    *owned = NULL;
    if ((*data = i->tensor) || (*data = kept(s, item).data))
        return 0;
    int status = rn_supply_read_array(s->dataset, item, owned, err);
    if (status)
        return status;
    *data = *owned;
    if (worth_keeping(s, item) && keep(s, item, *owned, s->w, bytes))
        *owned = NULL;
    return 0;
}

/* Features of a recording of up to 30 s that was decoded; takes the cache into account. */
static int make_features(rn_supply *s, int item, const rn_sound *sound, const float **data, float **owned, int64_t *frames, rn_error *err)
{
    int status = rn_extractor_run(s->extractor, sound->samples, sound->count, owned, frames, err);
    if (status)
        return status;
    *data = *owned;
    if (worth_keeping(s, item) && !keeps_samples(s, item) && keep(s, item, *owned, *frames, (size_t)s->h * (size_t)*frames * sizeof(float)))
        *owned = NULL;
    return 0;
}

static int decode(rn_supply *s, int item, rn_sound *sound, rn_error *err)
{
    int status = rn_reading_item(s->dataset, item, s->features.rate, s->features.channel, sound, err);
    if (!status && (status = check_item(s, item, sound->samples, sound->count, err)))
        rn_sound_free(sound);
    return status;
}

/* Features of the whole recording, which the caller knows is not long. */
static int whole_features(rn_supply *s, int item, const float **data, float **owned, int64_t *frames, rn_error *err)
{
    rn_sound sound = {0};
    rn_kept k = kept(s, item);
    *owned = NULL;
    if (k.data && !keeps_samples(s, item)) {
        *data = k.data;
        *frames = k.count;
        return 0;
    }
    int status;
    if (k.data) {
        status = rn_extractor_run(s->extractor, k.data, k.count, owned, frames, err);
        *data = *owned;
        return status;
    }
    status = decode(s, item, &sound, err);
    if (!status)
        status = make_features(s, item, &sound, data, owned, frames, err);
    rn_sound_free(&sound);
    return status;
}

/* Samples of the item's length, in *count; read once if it is not known yet. */
static int item_length(rn_supply *s, int item, int64_t *count, rn_error *err)
{
    rn_sound sound = {0};
    if ((*count = kept(s, item).samples))
        return 0;
    int status = decode(s, item, &sound, err);
    *count = sound.count;
    rn_sound_free(&sound);
    return status;
}

/* A stretch of a recording above 30 s, from the file. */
static int read_stretch(rn_supply *s, int item, int64_t count, rn_random *random, rn_sound *sound, rn_error *err)
{
    const rn_item *i = &s->dataset->items[item];
    rn_sound_options options;
    int64_t step = s->features.rate / 100, places = step > 0 ? (count - s->stretch) / step + 1 : 1;
    int64_t place = s->augment.crop && places > 1 ? (int64_t)rn_random_below(random, (uint64_t)places) : 0;
    rn_reading_options(s->dataset, item, &options);
    options.rate = s->features.rate;
    options.channel = s->features.channel;
    options.start_s = i->start_s + (double)place * (double)step / s->features.rate;
    options.end_s = options.start_s + (double)s->stretch / s->features.rate;
    if (i->end_s > 0 && options.end_s > i->end_s)
        options.end_s = i->end_s;
    return rn_sound_read(i->path, &options, sound, err);
}

/* A stretch of a shorter recording, copied from the cache or decoded. */
static int copy_stretch(rn_supply *s, int item, rn_random *random, rn_sound *sound, rn_error *err)
{
    rn_kept k = kept(s, item);
    rn_sound whole = {0};
    int status = 0, taken = 1;
    if (!k.data) {
        if ((status = decode(s, item, &whole, err)))
            return status;
        k.data = whole.samples;
        k.count = whole.count;
        taken = worth_keeping(s, item) && keep(s, item, whole.samples, whole.count, (size_t)whole.count * sizeof(float));
    }
    sound->count = k.count < s->stretch ? k.count : s->stretch;
    int64_t first =
        s->augment.crop && k.count > sound->count ? (int64_t)rn_random_below(random, (uint64_t)(k.count - sound->count + 1)) : 0;
    sound->samples = malloc((size_t)sound->count * sizeof(float));
    if (sound->samples)
        memcpy(sound->samples, k.data + first, (size_t)sound->count * sizeof(float));
    else
        status = rn_error_memory(err, "samples", (unsigned long long)sound->count * sizeof(float));
    if (taken)
        whole.samples = NULL;
    rn_sound_free(&whole);
    return status;
}

/* First column of a sample, out of so many. */
static int64_t first_column(const rn_supply *s, rn_random *random, int64_t frames)
{
    int64_t places = frames >= s->w ? frames - s->w + 1 : frames;
    return s->augment.crop && places > 1 ? (int64_t)rn_random_below(random, (uint64_t)places) : 0;
}

static void crop(const rn_supply *s, rn_random *random, const float *data, int64_t frames, float *x)
{
    rn_features_crop(data, s->h, frames, first_column(s, random, frames), s->w, x);
}

/* The stretch that a sample is drawn from, augmented. */
static int make_stretch(rn_supply *s, int item, int64_t length, rn_random *random, uint64_t seed, uint32_t epoch, uint64_t position,
                        rn_sound *sound, rn_error *err)
{
    int status = is_long(s, length) ? read_stretch(s, item, length, random, sound, err) : copy_stretch(s, item, random, sound, err);
    if (status || !rn_augment_changes_samples(&s->augment))
        return status;
    const rn_noise *noise = NULL;
    if (s->noise_count) {
        rn_random which;
        /* A stream of its own: 2^40 positions beyond those that the noise itself draws from. */
        rn_random_start(&which, seed, RN_PURPOSE_NOISE, epoch, position + ((uint64_t)1 << 40));
        noise = &s->noises[rn_random_below(&which, (uint64_t)s->noise_count)];
    }
    return rn_augment_samples(&s->augment, s->features.rate, seed, epoch, position, noise ? noise->samples : NULL, noise ? noise->count : 0,
                              &sound->samples, &sound->count, err);
}

static int stretch_sample(rn_supply *s, int item, int64_t length, rn_random *random, uint64_t seed, uint32_t epoch, uint64_t position,
                          float *x, rn_error *err)
{
    rn_sound sound = {0};
    float *data = NULL;
    int64_t frames = 0;
    int status = make_stretch(s, item, length, random, seed, epoch, position, &sound, err);
    if (!status)
        status = rn_extractor_run(s->extractor, sound.samples, sound.count, &data, &frames, err);
    if (!status)
        crop(s, random, data, frames, x);
    free(data);
    rn_sound_free(&sound);
    return status;
}

/* Draws as rn_supply_sample does, so that what is heard is what the network got. Column j begins j hops into the sound; columns of a short
 * recording come again, and so does its sound. */
int rn_supply_sound(rn_supply *s, int item, uint64_t seed, uint32_t epoch, uint64_t position, int64_t most, rn_sound *out, rn_error *err)
{
    rn_sound sound = {0};
    rn_random random;
    int64_t length = 0;
    int status;
    memset(out, 0, sizeof *out);
    if (!s->extractor)
        return rn_error_set(err, RN_ERR_ARG, "arrays and pictures have no sound");
    rn_random_start(&random, seed, RN_PURPOSE_CROP, epoch, position);
    if ((status = item_length(s, item, &length, err)))
        return status;
    if (is_long(s, length) || rn_augment_changes_samples(&s->augment))
        status = make_stretch(s, item, length, &random, seed, epoch, position, &sound, err);
    else
        status = decode(s, item, &sound, err);
    if (status)
        return status;
    rn_frame frame;
    rn_frame_of(&s->features, &frame);
    int64_t frames = rn_features_frames(&s->features, sound.count), first = first_column(s, &random, frames);
    int64_t period = frames < s->w && frames * frame.hop < sound.count ? frames * frame.hop : sound.count;
    int64_t count = (int64_t)(s->w - 1) * frame.hop + frame.window, begin = first * frame.hop;
    if (frames >= s->w && count > sound.count - begin)
        count = sound.count - begin;
    if (count > most)
        count = most;
    out->rate = s->features.rate;
    out->count = count;
    out->samples = count > 0 ? malloc((size_t)count * sizeof *out->samples) : NULL;
    if (!out->samples)
        status = rn_error_memory(err, "samples", (unsigned long long)(count > 0 ? count : 0) * sizeof *out->samples);
    for (int64_t i = 0; i < count && !status; i++)
        out->samples[i] = sound.samples[(begin + i) % period];
    rn_sound_free(&sound);
    return status;
}

int rn_supply_sample(rn_supply *s, int item, uint64_t seed, uint32_t epoch, uint64_t position, float *x, rn_error *err)
{
    const float *data = NULL;
    float *owned = NULL;
    int64_t frames = 0, length = 0;
    int status;
    rn_random random;
    if (s->album)
        return rn_album_sample(s->album, item, seed, epoch, position, x, err);
    if (!s->extractor) {
        size_t plane = (size_t)s->h * (size_t)s->w;
        if ((status = whole_array(s, item, &data, &owned, err)))
            return status;
        memcpy(x, data, plane * (size_t)s->c * sizeof *x);
        free(owned);
        for (int c = 0; c < s->c; c++)
            rn_augment_features(&s->augment, seed, epoch, position, x + (size_t)c * plane, s->h, s->w);
        return 0;
    }
    rn_random_start(&random, seed, RN_PURPOSE_CROP, epoch, position);
    if ((status = item_length(s, item, &length, err)))
        return status;
    if (is_long(s, length) || rn_augment_changes_samples(&s->augment))
        status = stretch_sample(s, item, length, &random, seed, epoch, position, x, err);
    else if (!(status = whole_features(s, item, &data, &owned, &frames, err)))
        crop(s, &random, data, frames, x);
    free(owned);
    if (!status)
        rn_augment_features(&s->augment, seed, epoch, position, x, s->h, s->w);
    return status;
}

static int views_alloc(rn_views *views, int windows, int c, int h, int w, rn_error *err)
{
    size_t size = (size_t)c * (size_t)h * (size_t)w * sizeof(float);
    memset(views, 0, sizeof *views);
    views->windows = windows;
    views->c = c;
    views->h = h;
    views->w = w;
    views->x = calloc((size_t)windows, size);
    views->start_s = calloc((size_t)windows, sizeof *views->start_s);
    views->end_s = calloc((size_t)windows, sizeof *views->end_s);
    if (views->x && views->start_s && views->end_s)
        return 0;
    rn_views_free(views);
    return rn_error_memory(err, "a recording's windows", (unsigned long long)windows * size);
}

void rn_views_free(rn_views *views)
{
    free(views->x);
    free(views->start_s);
    free(views->end_s);
    memset(views, 0, sizeof *views);
}

/* One window of features; few frames are repeated up to the trained length. */
static int view_of_features(const rn_features *f, const float *data, int64_t frames, double start_s, double end_s, rn_views *views,
                            rn_error *err)
{
    int64_t width = frames, length = rn_features_length(f);
    if (frames < RN_FEWEST_FRAMES)
        width = length > RN_FEWEST_FRAMES ? length : RN_FEWEST_FRAMES;
    int status = views_alloc(views, 1, 1, f->bins, (int)width, err);
    if (status)
        return status;
    rn_features_crop(data, f->bins, frames, 0, width, views->x);
    views->start_s[0] = start_s;
    views->end_s[0] = end_s;
    return 0;
}

int rn_views_make(const rn_extractor *extractor, const rn_features *f, const float *samples, int64_t count, double offset_s,
                  rn_views *views, rn_error *err)
{
    float *data = NULL;
    int64_t frames = 0, length = rn_features_length(f), window = (int64_t)floor(f->seconds * f->rate + 0.5);
    int status;
    memset(views, 0, sizeof *views);
    if ((double)count <= RN_WHOLE_S * f->rate || count <= window) {
        if ((status = rn_extractor_run(extractor, samples, count, &data, &frames, err)))
            return status;
        status = view_of_features(f, data, frames, offset_s, offset_s + (double)count / f->rate, views, err);
        free(data);
        return status;
    }
    int64_t windows = (count + window - 1) / window;
    if (windows > 1 << 24)
        return rn_error_set(err, RN_ERR_DATA, "%lld windows of %g s; cut the recording into shorter files", (long long)windows, f->seconds);
    if ((status = views_alloc(views, (int)windows, 1, f->bins, (int)length, err)))
        return status;
    for (int64_t i = 0; i < windows && !status; i++) {
        int64_t start = i * window + window > count ? count - window : i * window;
        if ((status = rn_extractor_run(extractor, samples + start, window, &data, &frames, err)))
            break;
        rn_features_crop(data, f->bins, frames, 0, length, views->x + (size_t)i * (size_t)f->bins * (size_t)length);
        views->start_s[i] = offset_s + (double)start / f->rate;
        views->end_s[i] = offset_s + (double)(start + window) / f->rate;
        free(data);
        data = NULL;
    }
    if (status)
        rn_views_free(views);
    return status;
}

/* Reads this item and those of the same part that follow it in its file, in one pass, and stores their features for whoever asks next. What
 * cannot be read is left for its own turn, which finds the same error. */
static void read_ahead(rn_supply *s, int item)
{
    const rn_dataset *d = s->dataset;
    rn_pass pass = {0};
    size_t bytes = 0;
    for (int i = item; i < d->count && rn_item_same_file(&d->items[i], &d->items[item]); i++) {
        rn_sound sound = {0};
        float *data = NULL;
        int64_t frames = 0;
        pthread_mutex_lock(&s->lock);
        int full = s->once_bytes + bytes > RN_ONCE_BYTES, there = s->kept[i].data != NULL;
        pthread_mutex_unlock(&s->lock);
        if (full)
            break;
        if (there || d->items[i].bad || d->items[i].part != d->items[item].part)
            continue;
        int status = rn_pass_read(&pass, d, i, s->features.rate, s->features.channel, &sound, NULL);
        if (!status && !check_item(s, i, sound.samples, sound.count, NULL) && !is_long(s, sound.count) &&
            !rn_extractor_run(s->extractor, sound.samples, sound.count, &data, &frames, NULL)) {
            bytes = (size_t)s->h * (size_t)frames * sizeof(float);
            pthread_mutex_lock(&s->lock);
            if (!s->kept[i].data) {
                s->kept[i].data = data;
                s->kept[i].count = frames;
                s->kept[i].once = 1;
                s->once_bytes += bytes;
                data = NULL;
            }
            pthread_mutex_unlock(&s->lock);
        }
        free(data);
        rn_sound_free(&sound);
    }
    rn_pass_close(&pass);
}

static int has_company(const rn_dataset *d, int item)
{
    return (item > 0 && rn_item_same_file(&d->items[item - 1], &d->items[item])) ||
           (item + 1 < d->count && rn_item_same_file(&d->items[item + 1], &d->items[item]));
}

static float *claim_or_read_ahead(rn_supply *s, int item, int64_t *frames)
{
    float *data = claim(s, item, frames);
    if (data || !has_company(s->dataset, item))
        return data;
    pthread_mutex_lock(&s->pass);
    if (!(data = claim(s, item, frames))) {
        read_ahead(s, item);
        data = claim(s, item, frames);
    }
    pthread_mutex_unlock(&s->pass);
    return data;
}

static int array_view(rn_supply *s, int item, rn_views *views, rn_error *err)
{
    const float *data = NULL;
    float *owned = NULL;
    int status = whole_array(s, item, &data, &owned, err);
    if (!status && !(status = views_alloc(views, 1, s->c, s->h, s->w, err)))
        memcpy(views->x, data, (size_t)s->c * (size_t)s->h * (size_t)s->w * sizeof *data);
    free(owned);
    return status;
}

int rn_supply_views(rn_supply *s, int item, rn_views *views, rn_error *err)
{
    const rn_item *i = &s->dataset->items[item];
    const float *data = NULL;
    float *owned = NULL;
    rn_sound sound = {0};
    int64_t frames = 0;
    int status = 0;
    memset(views, 0, sizeof *views);
    if (s->album)
        return rn_album_views(s->album, item, views, err);
    if (!s->extractor)
        return array_view(s, item, views, err);
    if (kept(s, item).data)
        status = whole_features(s, item, &data, &owned, &frames, err);
    else if ((owned = claim_or_read_ahead(s, item, &frames)))
        data = owned;
    else if (!(status = decode(s, item, &sound, err))) {
        if (is_long(s, sound.count)) {
            status = rn_views_make(s->extractor, &s->features, sound.samples, sound.count, i->start_s, views, err);
            goto fail;
        }
        if (!(status = rn_extractor_run(s->extractor, sound.samples, sound.count, &owned, &frames, err)))
            data = owned;
        if (!status && i->part == RN_PART_VALIDATION && keep(s, item, owned, frames, (size_t)s->h * (size_t)frames * sizeof(float)))
            owned = NULL;
    }
    if (!status)
        status = view_of_features(&s->features, data, frames, i->start_s, i->start_s + (double)kept(s, item).samples / s->features.rate,
                                  views, err);
fail:
    free(owned);
    rn_sound_free(&sound);
    return status;
}

static int visit_one(rn_supply *s, rn_pass *pass, int alone, int item, rn_error *err)
{
    const float *data = NULL;
    float *owned = NULL;
    rn_sound sound = {0};
    int64_t frames;
    int status;
    if (s->album)
        return rn_album_visit(s->album, item, err);
    if (!s->extractor) {
        status = whole_array(s, item, &data, &owned, err);
        free(owned);
        return status;
    }
    if (alone)
        status = rn_reading_item(s->dataset, item, s->features.rate, s->features.channel, &sound, err);
    else
        status = rn_pass_read(pass, s->dataset, item, s->features.rate, s->features.channel, &sound, err);
    if (!status)
        status = check_item(s, item, sound.samples, sound.count, err);
    if (!status && !is_long(s, sound.count) && worth_keeping(s, item)) {
        if (!keeps_samples(s, item)) {
            status = make_features(s, item, &sound, &data, &owned, &frames, err);
            free(owned);
        } else if (keep(s, item, sound.samples, sound.count, (size_t)sound.count * sizeof(float)))
            sound.samples = NULL;
    }
    rn_sound_free(&sound);
    return status;
}

void rn_supply_visit(rn_supply *s, int first, int end, rn_failure *failures)
{
    rn_pass pass = {0};
    for (int item = first; item < end; item++) {
        rn_error err = {0};
        int status = visit_one(s, &pass, end - first == 1, item, &err);
        rn_failure_note(&failures[item], &err, status);
    }
    rn_pass_close(&pass);
}
