/* A recording from memory, decoded to 8 kHz. The first byte picks: a file with a header, headerless GSM, 16-bit or mu-law. Catches a header that is
 * believed (frames, channels, rate), a stream that never ends, a refusal without a sentence, and samples that are not finite. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "media/pcm.h"
#include "media/sound.h"

/* libsndfile forgets what libvorbis allocated when the headers of an Ogg file are broken. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libvorbis\nleak:vorbis_info_init\n";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const rn_raw kinds[4] = {RN_RAW_NONE, RN_RAW_GSM, RN_RAW_S16LE, RN_RAW_MULAW};
    rn_error err = {0};
    rn_sound sound;
    rn_sound_options options;
    rn_pcm_format format;
    size_t offset;
    if (size < 1)
        return 0;
    memset(&options, 0, sizeof options);
    options.rate = 8000;
    options.raw = kinds[data[0] & 3];
    if (options.raw != RN_RAW_NONE) {
        options.raw_rate = 8000;
        options.raw_channels = 1;
    }
    if (size > 1 && rn_pcm_wav_header(data + 1, size - 1, &format, &offset) == 1 && offset > size - 1)
        abort();
    if (rn_sound_read_memory(options.raw == RN_RAW_NONE ? "fuzz.wav" : "fuzz.raw", data + 1, (int64_t)size - 1, &options, &sound, &err)) {
        if (!err.text[0] || sound.samples)
            abort();
        return 0;
    }
    for (int64_t i = 0; i < sound.count; i++)
        if (!isfinite(sound.samples[i]))
            abort();
    rn_sound_free(&sound);
    return 0;
}
