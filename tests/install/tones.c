/* Writes a small data set to try things on: FOLDER/{high,low,noise}/NN.wav, 16-bit mono at 8 kHz, 0.6 to 1.2 s each.
 *
 * low is a tone below 400 Hz, high one above 1.5 kHz, noise is white; each has its own frequency, level and length, drawn from a
 * fixed linear congruential generator (Numerical Recipes' constants), so that the same files are written everywhere. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { RATE = 8000, FILES = 12 };

static uint32_t state = 1;

static double draw(void)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 8) / 16777216.0;
}

static void put(unsigned char *p, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        p[i] = (unsigned char)(value >> (8 * i));
}

static int write_wav(const char *path, const int16_t *samples, uint32_t count)
{
    unsigned char head[44] = "RIFF....WAVEfmt ....................data";
    put(head + 4, 36 + 2 * count, 4);
    put(head + 16, 16, 4);
    put(head + 20, 1, 2);
    put(head + 22, 1, 2);
    put(head + 24, RATE, 4);
    put(head + 28, 2 * RATE, 4);
    put(head + 32, 2, 2);
    put(head + 34, 16, 2);
    put(head + 40, 2 * count, 4);
    FILE *file = fopen(path, "wb");
    if (!file)
        return -1;
    size_t written = fwrite(head, 1, 44, file);
    for (uint32_t i = 0; i < count; i++) {
        unsigned char pair[2];
        put(pair, (uint16_t)samples[i], 2);
        written += fwrite(pair, 1, 2, file);
    }
    return fclose(file) == 0 && written == 44 + 2 * (size_t)count ? 0 : -1;
}

int main(int argc, char **argv)
{
    static const char *const names[3] = {"high", "low", "noise"};
    static int16_t samples[2 * RATE];
    if (argc != 2) {
        fprintf(stderr, "usage: tones FOLDER\n");
        return 2;
    }
    if (mkdir(argv[1], 0777) != 0 && errno != EEXIST)
        return perror(argv[1]), 1;
    for (int class = 0; class < 3; class++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[1], names[class]);
        if (mkdir(path, 0777) != 0 && errno != EEXIST)
            return perror(path), 1;
        for (int n = 0; n < FILES; n++) {
            uint32_t count = (uint32_t)(RATE * (0.6 + 0.6 * draw()));
            double level = 1000 + 9000 * draw(), hz = class ? 150 + 250 * draw() : 1500 + 1500 * draw();
            double re = 1, im = 0, angle = 6.283185307179586 * hz / RATE; /* a rotation per sample: no sine needed */
            for (uint32_t i = 0; i < count; i++) {
                double next = re - angle * im;
                im += angle * next;
                re = next;
                samples[i] = (int16_t)(level * (class == 2 ? 2 * draw() - 1 : im) * 0.5 + 60 * (draw() - 0.5));
            }
            snprintf(path, sizeof path, "%s/%s/%02d.wav", argv[1], names[class], n);
            if (write_wav(path, samples, count) != 0)
                return perror(path), 1;
        }
    }
    return 0;
}
