/* What the loader makes of a picture; see data/album.h for the rules. */
#include "data/album.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

#define FILE_MOST ((size_t)1 << 30) /* bytes of one encoded picture */

struct rn_album {
    const rn_dataset *dataset;
    rn_pictures pictures;
    rn_picture_augment augment;
    int crops, scales_count, scales[RN_SCALES_MAX];
    int height, width;
    int unsplit;          /* no item has a part */
    int skip_empty;       /* a picture of one colour counts as bad: --skip-bad leaves it out */
    pthread_mutex_t lock; /* of what follows */
    rn_image *kept;       /* [items]; pixels NULL: not kept */
    size_t bytes, limit;
};

/* ---- Reading ---- */

static int read_member(const rn_item *item, unsigned char **data, rn_error *err)
{
    size_t size = (size_t)item->bytes, have = 0;
    int file, number = 0;
    *data = NULL;
    if (item->offset < 0 || size > FILE_MOST)
        return rn_error_set(err, RN_ERR_FORMAT, "%.500s: a member of %lld bytes; at most 1 GiB is read", item->name,
                            (long long)item->bytes);
    if (!(*data = malloc(size)))
        return rn_error_memory(err, item->name, size);
    if ((file = open(item->path, O_RDONLY | O_CLOEXEC)) < 0)
        number = errno;
    while (!number && have < size) {
        ssize_t got = pread(file, *data + have, size - have, (off_t)(item->offset + (int64_t)have));
        if (!got)
            break;
        if (got > 0)
            have += (size_t)got;
        else if (errno != EINTR)
            number = errno;
    }
    if (file >= 0)
        close(file);
    if (!number && have == size)
        return 0;
    free(*data);
    *data = NULL;
    return number ? rn_error_set(err, RN_ERR_IO, "%.500s: %s", item->path, rn_errno_text(number))
                  : rn_error_set(err, RN_ERR_FORMAT, "%.500s: it ends within %.300s", item->path, item->name);
}

static int read_bytes(const rn_item *item, unsigned char **data, size_t *size, rn_error *err)
{
    *size = (size_t)item->bytes;
    return item->bytes > 0 ? read_member(item, data, err) : rn_file_read(item->path, FILE_MOST, data, size, err);
}

static const char *name_of(const rn_item *item)
{
    return item->bytes > 0 ? item->name : item->path;
}

/* Planes to pixels; colours to grey and grey to colours as image.c has it. */
static int from_memory(const rn_dataset *d, const unsigned char *planes, int channels, rn_image *out, rn_error *err)
{
    size_t count = (size_t)d->h * (size_t)d->w;
    int status = rn_image_new(out, d->h, d->w, channels, err);
    for (size_t i = 0; !status && i < count; i++) {
        unsigned char *to = out->pixels + i * (size_t)channels;
        if (channels == d->c)
            for (int c = 0; c < channels; c++)
                to[c] = planes[(size_t)c * count + i];
        else if (channels == 1)
            *to = rn_image_grey((unsigned char[3]){planes[i], planes[count + i], planes[2 * count + i]});
        else
            memset(to, planes[i], 3);
    }
    return status;
}

int rn_album_read(const rn_dataset *d, int item, const rn_image_options *options, rn_image *out, rn_error *err)
{
    const rn_item *i = &d->items[item];
    unsigned char *data = NULL;
    size_t size;
    memset(out, 0, sizeof *out);
    if (i->pixels)
        return from_memory(d, i->pixels, options->channels ? options->channels : d->c, out, err);
    int status = read_bytes(i, &data, &size, err);
    if (!status)
        status = rn_image_read_memory(name_of(i), data, size, options, out, err);
    free(data);
    return status;
}

int rn_album_probe(const rn_dataset *d, int item, rn_image_info *info, rn_error *err)
{
    const rn_item *i = &d->items[item];
    unsigned char *data = NULL;
    size_t size;
    *info = (rn_image_info){d->h, d->w, d->c == 1};
    if (i->pixels)
        return 0;
    int status = read_bytes(i, &data, &size, err);
    if (!status)
        status = rn_image_probe_memory(name_of(i), data, size, d->most_pixels, info, err);
    free(data);
    return status;
}

/* ---- Opening ---- */

static int check_views(const rn_album *a, rn_error *err)
{
    const rn_pictures *p = &a->pictures;
    int most = a->height > a->width ? a->height : a->width;
    if (a->crops != 1 && a->crops != 5 && a->crops != 10)
        return rn_error_set(err, RN_ERR_ARG, "--crops %d: want 1, 5 (corners and middle) or 10 (mirrored as well)", a->crops);
    if ((a->scales_count || (a->crops > 1 && !a->height)) && !p->crop_h)
        return rn_error_set(err, RN_ERR_ARG,
                            "--scales and --crops: the model takes pictures whole, without a crop: there is nothing to cut out of one");
    for (int i = 0; i < a->scales_count; i++)
        if (a->scales[i] < most || a->scales[i] > RN_PICTURE_SIDE)
            return rn_error_set(err, RN_ERR_ARG, "--scales %d: the shorter side may not be below the crop's %d pixels, nor above %d",
                                a->scales[i], most, RN_PICTURE_SIDE);
    return 0;
}

int rn_album_open(rn_album **album, const rn_dataset *dataset, const rn_loader_options *options, int unsplit, rn_error *err)
{
    int status;
    *album = NULL;
    if (!options->pictures)
        return rn_error_set(err, RN_ERR_ARG, "pictures need a size and a range of numbers (\"pictures\")");
    if ((status = rn_pictures_check(options->pictures, err)))
        return status;
    rn_album *a = calloc(1, sizeof *a);
    if (!a)
        return rn_error_memory(err, "pictures", sizeof *a);
    pthread_mutex_init(&a->lock, NULL);
    a->dataset = dataset;
    a->pictures = *options->pictures;
    rn_picture_augment_none(&a->augment);
    if (options->picture_augment)
        a->augment = *options->picture_augment;
    a->crops = options->crops ? options->crops : 1;
    a->scales_count = options->scales_count;
    memcpy(a->scales, options->scales, sizeof a->scales);
    a->skip_empty = options->skip_bad;
    a->limit = options->cache_mb > 0 ? (size_t)options->cache_mb << 20 : 0;
    a->unsplit = unsplit;
    rn_pictures_size(&a->pictures, &a->height, &a->width);
    if (!a->height && dataset->c) { /* all of one size, as they are */
        a->height = dataset->h;
        a->width = dataset->w;
    }
    if (!(a->kept = calloc((size_t)dataset->count, sizeof *a->kept)))
        status = rn_error_memory(err, "the list of kept pictures", (unsigned long long)dataset->count * sizeof *a->kept);
    else
        status = check_views(a, err);
    if (status)
        rn_album_close(&a);
    *album = a;
    return status;
}

void rn_album_close(rn_album **album)
{
    rn_album *a = *album;
    if (!a)
        return;
    for (int i = 0; a->kept && i < a->dataset->count; i++)
        rn_image_free(&a->kept[i]);
    free(a->kept);
    pthread_mutex_destroy(&a->lock);
    free(a);
    *album = NULL;
}

void rn_album_size(const rn_album *a, int *c, int *h, int *w)
{
    *c = a->pictures.channels;
    *h = a->height;
    *w = a->width;
}

/* ---- What is kept ---- */

/* Items without any part are all trained on. */
static int is_trained(const rn_album *a, int item)
{
    return a->unsplit || a->dataset->items[item].part == RN_PART_TRAIN;
}

static int is_drawn_from_whole(const rn_album *a, int item)
{
    return is_trained(a, item) && a->augment.resized_crop > 0;
}

/* A picture that parts are drawn from: twice the resize at most. */
static int shrink(const rn_album *a, rn_image *image, rn_error *err)
{
    const rn_pictures *p = &a->pictures;
    int side = p->resize_h && !p->resize_w ? p->resize_h : a->height < a->width ? a->width : a->height;
    rn_image smaller;
    if ((image->height < image->width ? image->height : image->width) <= 2 * side)
        return 0;
    int status = rn_image_resize_shorter(image, 2 * side, p->filter, &smaller, err);
    if (status)
        return status;
    rn_image_free(image);
    *image = smaller;
    return 0;
}

/* A picture out of the cache, or decoded and offered to it: then it is not the caller's, and stays until the album is closed. *owned says which.
 * whole: for parts drawn from the whole picture; else resized. Only what is used in every epoch is worth memory, each item in its one form. */
static int take(rn_album *a, int item, int whole, rn_image *out, int *owned, rn_error *err)
{
    const rn_item *i = &a->dataset->items[item];
    int keeps = !i->pixels && whole == is_drawn_from_whole(a, item) && (is_trained(a, item) || i->part == RN_PART_VALIDATION);
    *owned = 0;
    if (keeps) {
        pthread_mutex_lock(&a->lock);
        *out = a->kept[item];
        pthread_mutex_unlock(&a->lock);
        if (out->pixels)
            return 0;
    }
    rn_image decoded;
    rn_error why;
    rn_image_options options = rn_pictures_decoding(&a->pictures, a->dataset->most_pixels);
    int status = rn_album_read(a->dataset, item, &options, &decoded, err);
    if (status)
        return status;
    if (whole) {
        status = shrink(a, &decoded, &why);
        *out = decoded;
        if (status)
            rn_image_free(out);
    } else {
        status = rn_pictures_resize(&a->pictures, &decoded, out, &why);
        rn_image_free(&decoded);
    }
    if (status)
        return rn_error_set(err, status, "%.600s: %s", name_of(i), why.text);
    *owned = 1;
    size_t bytes = (size_t)out->height * (size_t)out->width * (size_t)out->channels;
    if (keeps) {
        pthread_mutex_lock(&a->lock);
        if (!a->kept[item].pixels && bytes <= a->limit && a->bytes <= a->limit - bytes) {
            a->kept[item] = *out;
            a->bytes += bytes;
            *owned = 0;
        }
        pthread_mutex_unlock(&a->lock);
    }
    return 0;
}

/* The size of the network's input, where the model takes pictures as they are: all must have the first one's. */
static int check_size(const rn_album *a, int item, const rn_image *image, rn_error *err)
{
    const rn_item *i = &a->dataset->items[item];
    if (a->pictures.crop_h || !a->height || (image->height == a->height && image->width == a->width))
        return 0;
    return rn_error_set(err, RN_ERR_SHAPE, "%.600s: %d x %d pixels, %d x %d are wanted: give --resize or --crop", name_of(i), image->width,
                        image->height, a->width, a->height);
}

int rn_image_is_one_colour(const rn_image *image)
{
    size_t bytes = (size_t)image->height * (size_t)image->width * (size_t)image->channels, channels = (size_t)image->channels;
    return !memcmp(image->pixels, image->pixels + channels, bytes - channels);
}

int rn_album_visit(rn_album *a, int item, rn_error *err)
{
    rn_image image = {0};
    int owned, status = take(a, item, is_drawn_from_whole(a, item), &image, &owned, err);
    if (!status)
        status = is_drawn_from_whole(a, item) ? 0 : check_size(a, item, &image, err);
    if (!status && a->skip_empty && rn_image_is_one_colour(&image))
        status = rn_error_set(err, RN_ERR_DATA, "%.600s: one colour throughout", name_of(&a->dataset->items[item]));
    if (owned)
        rn_image_free(&image);
    return status;
}

int rn_album_sample(rn_album *a, int item, uint64_t seed, uint32_t epoch, uint64_t position, float *x, rn_error *err)
{
    rn_image image = {0}, part = {0};
    int whole = a->augment.resized_crop > 0, owned, status = take(a, item, whole, &image, &owned, err);
    if (!status && !whole)
        status = check_size(a, item, &image, err);
    if (!status)
        status = rn_picture_sample(&a->augment, &a->pictures, a->height, a->width, seed, epoch, position, &image, &part, err);
    if (!status)
        rn_pictures_numbers(&a->pictures, &part, x);
    if (!status)
        rn_picture_erase(&a->augment, seed, epoch, position, part.channels, a->height, a->width, x);
    rn_image_free(&part);
    if (owned)
        rn_image_free(&image);
    return status;
}

/* ---- Views ---- */

static int views_room(rn_views *views, int windows, int c, int h, int w, rn_error *err)
{
    size_t size = (size_t)c * (size_t)h * (size_t)w * sizeof(float);
    memset(views, 0, sizeof *views);
    *views = (rn_views){
        windows, c, h, w, calloc((size_t)windows, size), calloc((size_t)windows, sizeof(double)), calloc((size_t)windows, sizeof(double))};
    if (views->x && views->start_s && views->end_s)
        return 0;
    rn_views_free(views);
    return rn_error_memory(err, "a picture's views", (unsigned long long)windows * size);
}

static int one_view(const rn_album *a, const rn_image *image, rn_views *views, rn_error *err)
{
    rn_image middle = *image;
    int cut = a->pictures.crop_h && (image->height != a->height || image->width != a->width), status = 0;
    if (cut)
        status = rn_image_crop_centre(image, a->height, a->width, &middle, err);
    if (!status && !(status = views_room(views, 1, middle.channels, middle.height, middle.width, err)))
        rn_pictures_numbers(&a->pictures, &middle, views->x);
    if (cut)
        rn_image_free(&middle);
    return status;
}

/* Corners and middle of a picture in torchvision's order, into x. */
static int five_views(const rn_album *a, int item, const rn_image *image, float *x, rn_error *err)
{
    int h = a->height, w = a->width, below = image->height - h, right = image->width - w, status = 0;
    size_t size = (size_t)image->channels * (size_t)h * (size_t)w;
    const int corners[4][2] = {{0, 0}, {0, right}, {below, 0}, {below, right}};
    if (below < 0 || right < 0)
        return rn_error_set(err, RN_ERR_DATA, "%.600s: %d x %d pixels after the resize, too small for crops of %d x %d",
                            name_of(&a->dataset->items[item]), image->width, image->height, w, h);
    for (int k = 0; k < 5 && !status; k++) {
        rn_image part;
        status = k < 4 ? rn_image_cut(image, (rn_box){corners[k][0], corners[k][1], h, w}, &part, err)
                       : rn_image_crop_centre(image, h, w, &part, err);
        if (!status)
            rn_pictures_numbers(&a->pictures, &part, x + (size_t)k * size);
        rn_image_free(&part);
    }
    return status;
}

/* Several crops of a picture at its one size, or at each of the scales. */
static int many_views(rn_album *a, int item, rn_views *views, rn_error *err)
{
    int scales = a->scales_count ? a->scales_count : 1, windows = scales * a->crops, c = a->pictures.channels;
    size_t size = (size_t)c * (size_t)a->height * (size_t)a->width;
    rn_image_options options = rn_pictures_decoding(&a->pictures, a->dataset->most_pixels);
    rn_image decoded, sized = {0};
    rn_error why;
    int status = rn_album_read(a->dataset, item, &options, &decoded, err);
    if (status)
        return status;
    status = views_room(views, windows, c, a->height, a->width, err);
    for (int s = 0; s < scales && !status; s++) {
        float *x = views->x + (size_t)(s * a->crops) * size;
        status = a->scales_count ? rn_image_resize_shorter(&decoded, a->scales[s], a->pictures.filter, &sized, &why)
                                 : rn_pictures_resize(&a->pictures, &decoded, &sized, &why);
        if (status)
            rn_error_set(err, status, "%.600s: %s", name_of(&a->dataset->items[item]), why.text);
        if (!status && a->crops == 1) {
            rn_image middle;
            if (!(status = rn_image_crop_centre(&sized, a->height, a->width, &middle, err)))
                rn_pictures_numbers(&a->pictures, &middle, x);
            rn_image_free(&middle);
        } else if (!status && !(status = five_views(a, item, &sized, x, err)) && a->crops == 10) {
            rn_image_mirror(&sized);
            status = five_views(a, item, &sized, x + 5 * size, err);
        }
        rn_image_free(&sized);
    }
    rn_image_free(&decoded);
    if (status)
        rn_views_free(views);
    return status;
}

int rn_album_views(rn_album *a, int item, rn_views *views, rn_error *err)
{
    rn_image image = {0};
    int owned;
    memset(views, 0, sizeof *views);
    if (a->crops > 1 || a->scales_count)
        return many_views(a, item, views, err);
    int status = take(a, item, 0, &image, &owned, err);
    if (!status && !(status = check_size(a, item, &image, err)))
        status = one_view(a, &image, views, err);
    if (owned)
        rn_image_free(&image);
    return status;
}
