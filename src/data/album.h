/* Inside src/data: what the loader makes of a picture. data/supply.h is the same for sound and arrays, and passes pictures on to here.
 *
 * Training sample: decode, then of what is kept (below) a part drawn, mirrored and so on (media/augment_picture.h), as numbers.
 * With resized crops the parts are drawn from the picture itself, made smaller first if its shorter side is above twice that of the resize (or
 * of the crop): a photograph of 12 megapixels is decoded once, not in every epoch. Otherwise they are drawn from the resized picture.
 * Views are never augmented: the middle of the resized picture, or with `crops` 5 or 10 its corners and middle (and their mirror images), as
 * torchvision's FiveCrop and TenCrop; each once for every resize in `scales`.
 * Items that are used in every epoch are kept as bytes, up to the cache's limit. What a sample is does not depend on that limit. */
#ifndef RN_DATA_ALBUM_H
#define RN_DATA_ALBUM_H

#include "data/loader.h"

typedef struct rn_album rn_album;

/* pictures: nothing may be open, and every picture gets one size. unsplit: no item has a part, so all are trained on. */
int rn_album_open(rn_album **album, const rn_dataset *dataset, const rn_loader_options *options, int unsplit, rn_error *err);
void rn_album_close(rn_album **album);
void rn_album_size(const rn_album *album, int *c, int *h, int *w); /* of a training sample */
/* Thread-safe, all of them. visit decodes an item once, into the cache. */
int rn_album_sample(rn_album *album, int item, uint64_t seed, uint32_t epoch, uint64_t position, float *x, rn_error *err);
int rn_album_views(rn_album *album, int item, rn_views *views, rn_error *err);
int rn_album_visit(rn_album *album, int item, rn_error *err);

/* An item's picture, from a file, a member of an archive or the data set's memory. out: the caller's, rn_image_free. */
int rn_album_read(const rn_dataset *dataset, int item, const rn_image_options *options, rn_image *out, rn_error *err);
int rn_image_is_one_colour(const rn_image *image);
/* Its header alone; what lies in memory says as much. */
int rn_album_probe(const rn_dataset *dataset, int item, rn_image_info *info, rn_error *err);

#endif
