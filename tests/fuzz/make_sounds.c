/* Writes the first files of the corpora "sound" and "features_json": a twentieth of a second of every kind that libsndfile writes, and the
 * sections that this build writes.
 *
 *     make_sounds tests/fuzz/corpus */
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "media/augment.h"
#include "media/features.h"

static void put(const char *corpus, const char *kind, const char *name, int first, const void *data, size_t size)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s/%s", corpus, kind, name);
    FILE *file = fopen(path, "wb");
    if (!file || (first >= 0 && fputc(first, file) == EOF) || fwrite(data, 1, size, file) != size || fclose(file)) {
        perror(path);
        exit(1);
    }
}

static void sound(const char *corpus, const char *name, int first, int format, int rate, int channels)
{
    static char bytes[1 << 16];
    SF_INFO info = {.samplerate = rate, .channels = channels, .format = format};
    char temporary[] = "/tmp/make_sounds-XXXXXX";
    int fd = mkstemp(temporary);
    SNDFILE *file = fd < 0 ? NULL : sf_open(temporary, SFM_WRITE, &info);
    if (!file) {
        fprintf(stderr, "%s: %s\n", name, sf_strerror(NULL));
        exit(1);
    }
    for (int i = 0; i < rate / 20; i++) {
        float v = (float)(i * 7919 % 1009) / 2018 - 0.25f, frame[2] = {v, v / 2};
        sf_writef_float(file, frame, 1);
    }
    sf_close(file);
    FILE *in = fopen(temporary, "rb");
    size_t size = in ? fread(bytes, 1, sizeof bytes, in) : 0;
    if (in)
        fclose(in);
    remove(temporary);
    put(corpus, "sound", name, first, bytes, size);
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"kaldi", "librosa", "torchaudio", "spectrogram"};
    const char *corpus = argc > 1 ? argv[1] : ".";
    sound(corpus, "s16", 0, SF_FORMAT_WAV | SF_FORMAT_PCM_16, 8000, 2);
    sound(corpus, "float", 0, SF_FORMAT_WAV | SF_FORMAT_FLOAT, 8000, 1);
    sound(corpus, "alaw", 0, SF_FORMAT_WAV | SF_FORMAT_ALAW, 8000, 1);
    sound(corpus, "adpcm", 0, SF_FORMAT_WAV | SF_FORMAT_IMA_ADPCM, 8000, 1);
    sound(corpus, "msadpcm", 0, SF_FORMAT_WAV | SF_FORMAT_MS_ADPCM, 8000, 2);
    sound(corpus, "gsmwav", 0, SF_FORMAT_WAV | SF_FORMAT_GSM610, 8000, 1);
    sound(corpus, "wavex", 0, SF_FORMAT_WAVEX | SF_FORMAT_PCM_24, 16000, 2);
    sound(corpus, "rf64", 0, SF_FORMAT_RF64 | SF_FORMAT_PCM_16, 8000, 1);
    sound(corpus, "w64", 0, SF_FORMAT_W64 | SF_FORMAT_PCM_16, 8000, 1);
    sound(corpus, "aiff", 0, SF_FORMAT_AIFF | SF_FORMAT_PCM_16, 8000, 2);
    sound(corpus, "au", 0, SF_FORMAT_AU | SF_FORMAT_ULAW, 8000, 1);
    sound(corpus, "caf", 0, SF_FORMAT_CAF | SF_FORMAT_PCM_16, 8000, 1);
    sound(corpus, "flac", 0, SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 16000, 2);
    sound(corpus, "vorbis", 0, SF_FORMAT_OGG | SF_FORMAT_VORBIS, 8000, 1);
    sound(corpus, "opus", 0, SF_FORMAT_OGG | SF_FORMAT_OPUS, 16000, 1);
    sound(corpus, "mp3", 0, SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, 16000, 1);
    sound(corpus, "gsm", 1, SF_FORMAT_RAW | SF_FORMAT_GSM610, 8000, 1);
    sound(corpus, "raw16", 2, SF_FORMAT_RAW | SF_FORMAT_PCM_16, 8000, 1);
    sound(corpus, "rawmulaw", 3, SF_FORMAT_RAW | SF_FORMAT_ULAW, 8000, 1);
    put(corpus, "sound", "m4a", 0, "\0\0\0\x20" "ftypM4A \0\0\0\0", 16);
    put(corpus, "sound", "nothing", 0, "", 0);
    for (int c = 0; c < 4; c++) {
        rn_features f;
        rn_features_default(&f, (rn_convention)c, 16000);
        json_t *section = rn_features_to_json(&f);
        char *text = json_dumps(section, JSON_COMPACT);
        put(corpus, "features_json", names[c], -1, text, strlen(text));
        free(text);
        json_decref(section);
    }
    rn_augment a;
    rn_augment_default(&a);
    json_t *section = rn_augment_to_json(&a);
    char *text = json_dumps(section, JSON_COMPACT);
    put(corpus, "features_json", "augment", -1, text, strlen(text));
    free(text);
    json_decref(section);
    static const char zero[] = "{\"rate\":1,\"window_ms\":1e308,\"hop_ms\":1e-308,\"bins\":2147483647}";
    put(corpus, "features_json", "extremes", -1, zero, sizeof zero - 1);
    return 0;
}
