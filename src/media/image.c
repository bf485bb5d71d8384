/* A picture's memory. */
#include "media/image.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

int rn_image_new(rn_image *image, int height, int width, int channels, rn_error *err)
{
    memset(image, 0, sizeof *image);
    if (height < 1 || width < 1 || (channels != 1 && channels != 3) || width > INT_MAX / channels)
        return rn_error_set(err, RN_ERR_ARG, "a picture of %dx%d with %d channels: sides are 1 or more, channels 1 or 3", width, height,
                            channels);
    uint64_t bytes = (uint64_t)height * (uint64_t)(width * channels);
    image->pixels = bytes <= SIZE_MAX / 2 ? malloc((size_t)bytes) : NULL;
    if (!image->pixels)
        return rn_error_memory(err, "a picture", bytes);
    image->height = height;
    image->width = width;
    image->channels = channels;
    return 0;
}

void rn_image_free(rn_image *image)
{
    free(image->pixels);
    memset(image, 0, sizeof *image);
}
