/* For check_data and check_loader: a temporary folder, files in it, and sound that is made here. */
#ifndef RN_TESTS_DATA_FIXTURE_H
#define RN_TESTS_DATA_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "formats/npy.h"
#include "media/sound.h"

static char fixture_root[64];

static int fixture_remove(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)place;
    if (kind == FTW_DP)
        return rmdir(path);
    return unlink(path);
}

static inline int fixture_open(void **state)
{
    (void)state;
    strcpy(fixture_root, "/tmp/check-data-XXXXXX");
    return mkdtemp(fixture_root) ? 0 : -1;
}

static inline int fixture_close(void **state)
{
    (void)state;
    return nftw(fixture_root, fixture_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* A path in the temporary folder; eight of them live at a time. Folders above it are made. */
static inline const char *at(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline const char *at(const char *format, ...)
{
    static char paths[8][4400];
    static int next;
    char *path = paths[next++ % 8];
    int length = snprintf(path, sizeof paths[0], "%s/", fixture_root);
    va_list args;
    va_start(args, format);
    vsnprintf(path + length, sizeof paths[0] - (size_t)length, format, args);
    va_end(args);
    for (char *slash = path + length; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        mkdir(path, 0777);
        *slash = '/';
    }
    return path;
}

static inline void put_bytes(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static inline void put_text(const char *path, const char *text)
{
    put_bytes(path, text, strlen(text));
}

/* Noise of a level (peak) that belongs to `seed`: two files of different seeds never have equal samples. */
static inline void put_noise(const char *path, double seconds, int rate, double peak, uint64_t seed)
{
    int64_t count = (int64_t)(seconds * rate + 0.5);
    float *samples = malloc((size_t)(count + 1) * sizeof *samples);
    rn_random random;
    rn_error err = {0};
    rn_random_start(&random, seed, RN_PURPOSE_TEST, 0, 0);
    for (int64_t i = 0; i < count; i++)
        samples[i] = (float)(peak * (2 * rn_random_double(&random) - 1));
    if (rn_sound_write_wav(path, samples, count, rate, &err))
        fail_msg("%s", err.text);
    free(samples);
}

static inline void put_array(const char *path, int c, int h, int w, float first)
{
    int64_t shape[3] = {c, h, w};
    float *data = malloc((size_t)c * (size_t)h * (size_t)w * sizeof *data);
    rn_error err = {0};
    for (int i = 0; i < c * h * w; i++)
        data[i] = first + (float)i;
    if (rn_npy_write(path, data, 3, shape, &err))
        fail_msg("%s", err.text);
    free(data);
}

/* A WAV file of 16 bits with any number of channels: header by hand. */
static inline void put_wav(const char *path, const int16_t *samples, int frames, int channels, int rate)
{
    unsigned char head[44];
    uint32_t bytes = (uint32_t)frames * (uint32_t)channels * 2,
             words[] = {36 + bytes, 16, (uint32_t)rate, (uint32_t)rate * (uint32_t)channels * 2, bytes};
    uint16_t halves[] = {1, (uint16_t)channels, (uint16_t)(channels * 2), 16};
    memcpy(head, "RIFF", 4);
    memcpy(head + 4, &words[0], 4);
    memcpy(head + 8, "WAVEfmt ", 8);
    memcpy(head + 16, &words[1], 4);
    memcpy(head + 20, &halves[0], 2);
    memcpy(head + 22, &halves[1], 2);
    memcpy(head + 24, &words[2], 4);
    memcpy(head + 28, &words[3], 4);
    memcpy(head + 32, &halves[2], 2);
    memcpy(head + 34, &halves[3], 2);
    memcpy(head + 36, "data", 4);
    memcpy(head + 40, &words[4], 4);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fwrite(head, 1, sizeof head, file);
    fwrite(samples, 2, (size_t)frames * (size_t)channels, file);
    fclose(file);
}

#define assert_ok(call, err)                                                                                                               \
    do {                                                                                                                                   \
        (err).text[0] = 0;                                                                                                                 \
        int status_ = (call);                                                                                                              \
        if (status_)                                                                                                                       \
            fail_msg("%s: status %d: %s", #call, status_, (err).text);                                                                     \
    } while (0)

/* Failed with this code and a sentence that holds the words. */
#define assert_error(call, want, err, words)                                                                                               \
    do {                                                                                                                                   \
        (err).text[0] = 0;                                                                                                                 \
        int status_ = (call);                                                                                                              \
        if (status_ != (want) || !strstr((err).text, words))                                                                               \
            fail_msg("%s: status %d (want %d): \"%s\" (want \"%s\")", #call, status_, want, (err).text, words);                            \
    } while (0)

#endif
