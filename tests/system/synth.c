/* synth: writes a data set of synthetic sounds, one sub-folder of 16-bit mono WAV files per class, for the tests of the whole program; or one
 * of drawn shapes, as PPM files.
 *
 *     synth FOLDER CLASSES ITEMS MILLISECONDS RATE
 *     synth --pictures FOLDER CLASSES ITEMS LEAST MOST
 *
 * Pictures: class c is a shape (disc, square, cross, ring, bars, half a square), at a drawn place and size, in two drawn colours, with
 * noise; sides are drawn from LEAST to MOST pixels. Names are class0/item000.ppm ...
 *
 * Class c is a tone with two harmonics at 250 * 1.5^c Hz whose pitch, level and start are drawn for each item, in noise at a drawn level: easy
 * enough for a tiny network in two epochs, and no two files alike. Names are class0/item000.wav ...; the same arguments give the same
 * bytes. Everything goes through a small generator of its own, so that a fault in the library's cannot hide in its test data. */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static uint64_t state;

static double draw(double low, double high) /* xorshift64* */
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return low + (high - low) * (double)(state * 0x2545F4914F6CDD1Du >> 11) / 9007199254740992.0;
}

static void put(unsigned char *at, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

static int write_wav(const char *path, const int16_t *samples, uint32_t count, uint32_t rate)
{
    unsigned char head[44];
    memcpy(head, "RIFF....WAVEfmt ", 16);
    put(head + 4, 36 + 2 * count, 4);
    put(head + 16, 16, 4);       /* size of the format chunk */
    put(head + 20, 1, 2);        /* PCM */
    put(head + 22, 1, 2);        /* channels */
    put(head + 24, rate, 4);
    put(head + 28, 2 * rate, 4); /* bytes a second */
    put(head + 32, 2, 2);        /* bytes a frame */
    put(head + 34, 16, 2);       /* bits */
    memcpy(head + 36, "data", 4);
    put(head + 40, 2 * count, 4);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(head, sizeof head, 1, f) != 1)
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        unsigned char pair[2];
        put(pair, (uint16_t)samples[i], 2);
        if (fwrite(pair, 2, 1, f) != 1)
            return -1;
    }
    return fclose(f);
}

static void compose(int16_t *samples, uint32_t count, uint32_t rate, int class)
{
    double hz = 250 * pow(1.5, class) * draw(0.97, 1.03), level = draw(0.1, 0.5), noise = level * draw(0.05, 0.3);
    double phase = draw(0, 6.28), vibrato = draw(3, 7);
    for (uint32_t i = 0; i < count; i++) {
        double t = (double)i / rate;
        phase += 6.283185307179586 * hz * (1 + 0.01 * sin(6.283 * vibrato * t)) / rate;
        double v = level * (sin(phase) + 0.4 * sin(2 * phase) + 0.2 * sin(3 * phase)) / 1.6 + noise * draw(-1, 1);
        samples[i] = (int16_t)lrint(32767 * v);
    }
}

/* Is (x, y), in units of the shape's size from its middle, inside? */
static int inside(int shape, double x, double y)
{
    double r = sqrt(x * x + y * y), u = fabs(x), v = fabs(y);
    switch (shape % 6) {
    case 0:
        return r < 1;
    case 1:
        return u < 0.9 && v < 0.9;
    case 2:
        return (u < 0.3 && v < 1) || (v < 0.3 && u < 1);
    case 3:
        return r < 1 && r > 0.6;
    case 4:
        return u < 1 && v < 1 && (int)floor(4 * (x + 1)) % 2 == 0;
    default:
        return u < 1 && v < 1 && x < y;
    }
}

static int write_picture(const char *path, int shape, int least, int most)
{
    int w = (int)draw(least, most + 1), h = (int)draw(least, most + 1);
    double size = (w < h ? w : h) * draw(0.25, 0.4), x0 = draw(size, w - size), y0 = draw(size, h - size), colours[2][3];
    for (int c = 0; c < 3; c++) {
        colours[0][c] = draw(0, 110);
        colours[1][c] = draw(140, 250);
    }
    int light = draw(0, 1) < 0.5;
    FILE *f = fopen(path, "wb");
    if (!f)
        return -1;
    fprintf(f, "P6\n%d %d\n255\n", w, h);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int c = 0; c < 3; c++) {
                double v = colours[inside(shape, (x + 0.5 - x0) / size, (y + 0.5 - y0) / size) ^ light][c] + draw(-12, 12);
                putc((int)(v < 0 ? 0 : v > 255 ? 255 : v), f);
            }
    return fclose(f);
}

int main(int argc, char **argv)
{
    int pictures = argc == 7 && !strcmp(argv[1], "--pictures");
    if (argc != 6 && !pictures) {
        fprintf(stderr, "usage: synth FOLDER CLASSES ITEMS MILLISECONDS RATE\n       synth --pictures FOLDER CLASSES ITEMS LEAST MOST\n");
        return 2;
    }
    argv += pictures;
    int classes = atoi(argv[2]), items = atoi(argv[3]);
    uint32_t rate = (uint32_t)atoi(argv[5]), count = (uint32_t)((uint64_t)atoi(argv[4]) * rate / 1000);
    int16_t *samples = malloc(sizeof *samples * ((size_t)count + 1));
    char path[2000];
    if (!samples || (mkdir(argv[1], 0777) && errno != EEXIST))
        return fprintf(stderr, "%s: %s\n", argv[1], strerror(errno)), 1;
    for (int c = 0; c < classes; c++) {
        snprintf(path, sizeof path, "%s/class%d", argv[1], c);
        if (mkdir(path, 0777) && errno != EEXIST)
            return fprintf(stderr, "%s: %s\n", path, strerror(errno)), 1;
        for (int i = 0; i < items; i++) {
            state = 0x9E3779B97F4A7C15u * (uint64_t)(1 + c * 10007 + i);
            for (int skip = 0; skip < 8; skip++)
                draw(0, 1);
            snprintf(path, sizeof path, "%s/class%d/item%03d.%s", argv[1], c, i, pictures ? "ppm" : "wav");
            if (!pictures)
                compose(samples, count, rate, c);
            if (pictures ? write_picture(path, c, atoi(argv[4]), atoi(argv[5])) : write_wav(path, samples, count, rate))
                return fprintf(stderr, "%s: %s\n", path, strerror(errno)), 1;
        }
    }
    free(samples);
    return 0;
}
