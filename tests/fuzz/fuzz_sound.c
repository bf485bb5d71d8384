/* A recording from memory, decoded to 8 kHz. The first byte picks: a file with a header, headerless GSM, 16-bit or mu-law. Catches a header that is
 * believed (frames, channels, rate) and a stream that never ends. */
#include <string.h>
#include "media/sound.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const rn_raw kinds[4] = {RN_RAW_NONE, RN_RAW_GSM, RN_RAW_S16LE, RN_RAW_MULAW};
    rn_error err;
    rn_sound sound;
    rn_sound_options options;
    if (size < 1)
        return 0;
    memset(&options, 0, sizeof options);
    options.rate = 8000;
    options.raw = kinds[data[0] & 3];
    if (options.raw != RN_RAW_NONE) {
        options.raw_rate = 8000;
        options.raw_channels = 1;
    }
    if (rn_sound_read_memory(options.raw == RN_RAW_NONE ? "fuzz.wav" : "fuzz.raw", data + 1, (int64_t)size - 1, &options, &sound, &err) == 0)
        rn_sound_free(&sound);
    return 0;
}
