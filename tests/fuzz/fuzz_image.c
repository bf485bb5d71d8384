/* A picture from memory, at most a quarter of a million pixels. The first byte picks grey or colours, as stored or turned, and what it is then resized
 * to. Catches a header that is believed, a decoder's error that does not come back, a row beside the picture, and a refusal without a sentence. */
#include <stdint.h>
#include <stdlib.h>
#include "media/resize.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rn_error err = {0};
    rn_image image, small;
    if (size < 1)
        return 0;
    rn_image_options options = {.channels = data[0] & 1 ? 1 : 3, .orient = data[0] >> 1 & 1, .most_pixels = 1 << 18};
    if (rn_image_read_memory("fuzz", data + 1, size - 1, &options, &image, &err)) {
        if (!err.text[0] || image.pixels)
            abort();
        return 0;
    }
    unsigned long long sum = 0; /* every pixel is there */
    for (size_t i = 0; i < (size_t)image.height * (size_t)image.width * (size_t)image.channels; i++)
        sum += image.pixels[i];
    if (sum > 255ull * 3 * (1 << 18))
        abort();
    if (!rn_image_resize(&image, 1 + data[0] / 4 % 8, 1 + data[0] / 32, (rn_resize)(data[0] / 4 % RN_RESIZE_COUNT), &small, &err))
        rn_image_free(&small);
    rn_image_free(&image);
    return 0;
}
