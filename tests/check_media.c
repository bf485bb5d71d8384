/* Sound in: every kind of file that libsndfile writes, parts, channels, pipes, resampling, and broken files.
 * All of it is synthesised here, in a temporary folder. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sndfile.h>

#include "media/pcm.h"
#include "media/sound.h"

#define FRAMES 12000

/* libsndfile forgets what libvorbis allocated when the headers of an Ogg file are broken. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libvorbis\nleak:vorbis_info_init\n";
}

static char folder[200];

static const char *in_folder(const char *name)
{
    static char path[4][600];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
    return path[next];
}

/* Two channels: a rising tone, and a quieter one with a little noise. Multiples of 1/128, exact in 8 bits and above. */
static void make_frames(float *x, int frames, int channels)
{
    uint32_t seed = 1;
    for (int i = 0; i < frames; i++)
        for (int c = 0; c < channels; c++) {
            seed = seed * 1664525 + 1013904223;
            double v = c ? 0.25 * sin(i * 0.05) + (double)(seed >> 24) / 2560 : 0.6 * sin(i * (0.02 + i * 1e-6));
            x[i * channels + c] = (float)(floor(v * 128) / 128);
        }
}

typedef struct kind {
    const char *name;
    int format, rate, channels;
    double error; /* root mean square of the difference, 0: none */
    int raw;      /* headerless: rn_raw */
} kind;

static const kind kinds[] = {
    {"u8.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_U8, 8000, 2, 0, 0},
    {"s16.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 2, 0, 0},
    {"s24.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_24, 44100, 2, 0, 0},
    {"s32.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_32, 48000, 1, 0, 0},
    {"float.wav", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 96000, 2, 0, 0},
    {"double.wav", SF_FORMAT_WAV | SF_FORMAT_DOUBLE, 22050, 2, 0, 0},
    {"alaw.wav", SF_FORMAT_WAV | SF_FORMAT_ALAW, 8000, 2, 0.01, 0},
    {"mulaw.wav", SF_FORMAT_WAV | SF_FORMAT_ULAW, 8000, 1, 0.01, 0},
    {"gsm.wav", SF_FORMAT_WAV | SF_FORMAT_GSM610, 8000, 1, 0.06, 0},
    {"adpcm.wav", SF_FORMAT_WAV | SF_FORMAT_IMA_ADPCM, 8000, 2, 0.01, 0},
    {"x16.wav", SF_FORMAT_WAVEX | SF_FORMAT_PCM_16, 16000, 2, 0, 0},
    {"x24.wav", SF_FORMAT_WAVEX | SF_FORMAT_PCM_24, 16000, 2, 0, 0},
    {"big.rf64", SF_FORMAT_RF64 | SF_FORMAT_PCM_16, 16000, 2, 0, 0},
    {"s16.w64", SF_FORMAT_W64 | SF_FORMAT_PCM_16, 16000, 2, 0, 0},
    {"s16.aiff", SF_FORMAT_AIFF | SF_FORMAT_PCM_16, 44100, 2, 0, 0},
    {"s16.au", SF_FORMAT_AU | SF_FORMAT_PCM_16, 16000, 2, 0, 0},
    {"s16.caf", SF_FORMAT_CAF | SF_FORMAT_PCM_16, 16000, 2, 0, 0},
    {"s16.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 16000, 2, 0, 0},
    {"s24.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_24, 48000, 1, 0, 0},
    {"vorbis.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 16000, 2, 0.02, 0},
    {"tone.opus", SF_FORMAT_OGG | SF_FORMAT_OPUS, 48000, 2, 0.06, 0},
    {"tone.mp3", SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, 16000, 2, 0.03, 0},
    {"tone.gsm", SF_FORMAT_RAW | SF_FORMAT_GSM610, 8000, 1, 0.06, 0},
    {"s16.raw", SF_FORMAT_RAW | SF_FORMAT_PCM_16 | SF_ENDIAN_LITTLE, 16000, 2, 0, RN_RAW_S16LE},
    {"s24.raw", SF_FORMAT_RAW | SF_FORMAT_PCM_24 | SF_ENDIAN_LITTLE, 16000, 2, 0, RN_RAW_S24LE},
    {"s32.raw", SF_FORMAT_RAW | SF_FORMAT_PCM_32 | SF_ENDIAN_LITTLE, 16000, 2, 0, RN_RAW_S32LE},
    {"f32.raw", SF_FORMAT_RAW | SF_FORMAT_FLOAT | SF_ENDIAN_LITTLE, 16000, 2, 0, RN_RAW_F32LE},
    {"u8.raw", SF_FORMAT_RAW | SF_FORMAT_PCM_U8, 16000, 2, 0, RN_RAW_U8},
    {"mulaw.raw", SF_FORMAT_RAW | SF_FORMAT_ULAW, 8000, 1, 0.01, RN_RAW_MULAW},
    {"alaw.raw", SF_FORMAT_RAW | SF_FORMAT_ALAW, 8000, 1, 0.01, RN_RAW_ALAW},
};
#define KINDS ((int)(sizeof kinds / sizeof kinds[0]))

static rn_sound_options options_of(const kind *k)
{
    rn_sound_options o = {0};
    if (k->raw) {
        o.raw = (rn_raw)k->raw;
        o.raw_rate = k->rate;
        o.raw_channels = k->channels;
    }
    return o;
}

static void write_file(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
}

static unsigned char *read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    unsigned char *data = malloc(1 << 21);
    *size = fread(data, 1, 1 << 21, f);
    fclose(f);
    return data;
}

static void write_kind(const kind *k)
{
    SF_INFO info = {0};
    float *x = malloc(sizeof *x * FRAMES * 2);
    info.format = k->format;
    info.samplerate = k->rate;
    info.channels = k->channels;
    SNDFILE *f = sf_open(in_folder(k->name), SFM_WRITE, &info);
    if (!f)
        fail_msg("libsndfile does not write %s: %s", k->name, sf_strerror(NULL));
    make_frames(x, FRAMES, k->channels);
    int subtype = k->format & SF_FORMAT_SUBMASK;
    if (subtype == SF_FORMAT_FLOAT || subtype == SF_FORMAT_DOUBLE) {
        assert_int_equal(sf_writef_float(f, x, FRAMES), FRAMES);
    } else { /* as integers: libsndfile scales floats by 32767 on their way out and by 1/32768 on their way in */
        int *whole = malloc(sizeof *whole * FRAMES * 2);
        for (int i = 0; i < FRAMES * k->channels; i++)
            whole[i] = (int)((double)x[i] * 2147483648.0);
        assert_int_equal(sf_writef_int(f, whole, FRAMES), FRAMES);
        free(whole);
    }
    sf_close(f);
    free(x);
}

static int set_up(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.150s/check_media.XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(folder))
        return -1;
    for (int i = 0; i < KINDS; i++)
        write_kind(&kinds[i]);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void read_or_fail(const char *path, const rn_sound_options *o, rn_sound *s)
{
    rn_error err = {0};
    if (rn_sound_read(path, o, s, &err))
        fail_msg("%s", err.text);
}

/* Wrong scale, swapped channels, lost or invented samples, in any kind of file. */
static void every_kind_reads_back(void **state)
{
    (void)state;
    float *x = malloc(sizeof *x * FRAMES * 2);
    for (int i = 0; i < KINDS; i++) {
        const kind *k = &kinds[i];
        rn_sound_options o = options_of(k);
        rn_sound s;
        make_frames(x, FRAMES, k->channels);
        for (o.channel = 0; o.channel <= k->channels; o.channel++) {
            read_or_fail(in_folder(k->name), &o, &s);
            if (s.rate != k->rate || s.file_rate != k->rate || s.file_channels != k->channels)
                fail_msg("%s: %d Hz, %d channels", k->name, s.rate, s.file_channels);
            int coded = k->error > 0 && (k->format & SF_FORMAT_SUBMASK) != SF_FORMAT_ULAW &&
                        (k->format & SF_FORMAT_SUBMASK) != SF_FORMAT_ALAW; /* in blocks */
            if (coded ? s.count < FRAMES || s.count > FRAMES + 3000 : s.count != FRAMES)
                fail_msg("%s: %lld samples", k->name, (long long)s.count);
            double sum = 0, peak[2] = {0, 0};
            for (int t = 0; t < FRAMES; t++) {
                const float *frame = x + t * k->channels;
                double want = o.channel ? frame[o.channel - 1] : k->channels == 2 ? ((double)frame[0] + frame[1]) / 2 : frame[0];
                double d = s.samples[t] - (float)want;
                sum += d * d;
                for (int c = 0; c < k->channels; c++)
                    peak[c] = fmax(peak[c], fabs(frame[c]));
            }
            if (sqrt(sum / FRAMES) > k->error)
                fail_msg("%s, channel %d: error %g", k->name, o.channel, sqrt(sum / FRAMES));
            for (int c = 0; c < k->channels; c++)
                if (k->error == 0 ? s.channel_peaks[c] != (float)peak[c] : fabs(s.channel_peaks[c] - peak[c]) > 0.25)
                    fail_msg("%s: peak %g, want %g", k->name, s.channel_peaks[c], peak[c]);
            rn_sound_free(&s);
        }
    }
    free(x);
}

static void memory_gives_the_same(void **state)
{
    (void)state;
    for (int i = 0; i < KINDS; i++) {
        rn_sound_options o = options_of(&kinds[i]);
        rn_sound a, b;
        rn_error err = {0};
        size_t size;
        unsigned char *data = read_file(in_folder(kinds[i].name), &size);
        read_or_fail(in_folder(kinds[i].name), &o, &a);
        if (rn_sound_read_memory(kinds[i].name, data, (int64_t)size, &o, &b, &err))
            fail_msg("%s", err.text);
        assert_int_equal(a.count, b.count);
        assert_memory_equal(a.samples, b.samples, (size_t)a.count * sizeof(float));
        rn_sound_free(&a);
        rn_sound_free(&b);
        free(data);
    }
}

/* A part must be the same samples as in the whole: seeking in GSM or Vorbis would give others. */
static void parts_are_exact(void **state)
{
    (void)state;
    for (int i = 0; i < KINDS; i++) {
        rn_sound_options o = options_of(&kinds[i]);
        rn_sound all, part;
        rn_error err;
        int rate = kinds[i].rate;
        read_or_fail(in_folder(kinds[i].name), &o, &all);
        o.start_s = 3001.0 / rate;
        o.end_s = 9002.0 / rate;
        read_or_fail(in_folder(kinds[i].name), &o, &part);
        assert_int_equal(part.count, 6001);
        if (memcmp(part.samples, all.samples + 3001, 6001 * sizeof(float)))
            fail_msg("%s: a part differs from the whole", kinds[i].name);
        rn_sound_free(&part);
        o.end_s = 0;
        read_or_fail(in_folder(kinds[i].name), &o, &part);
        assert_int_equal(part.count, all.count - 3001);
        rn_sound_free(&part);
        o.start_s = 100;
        assert_int_equal(rn_sound_read(in_folder(kinds[i].name), &o, &part, &err), RN_ERR_DATA);
        assert_non_null(strstr(err.text, "it ends at"));
        rn_sound_free(&all);
    }
}

static void options_are_checked(void **state)
{
    (void)state;
    rn_sound s;
    rn_error err;
    rn_sound_options o = {.channel = 3};
    assert_int_equal(rn_sound_read(in_folder("s16.wav"), &o, &s, &err), RN_ERR_ARG);
    assert_non_null(strstr(err.text, "has 2 channels, channel 3"));
    assert_null(s.samples);
    o = (rn_sound_options){.channel = -1};
    assert_int_equal(rn_sound_read(in_folder("s16.wav"), &o, &s, &err), RN_ERR_ARG);
    o = (rn_sound_options){.start_s = 2, .end_s = 1};
    assert_int_equal(rn_sound_read(in_folder("s16.wav"), &o, &s, &err), RN_ERR_ARG);
    o = (rn_sound_options){.start_s = NAN};
    assert_int_equal(rn_sound_read(in_folder("s16.wav"), &o, &s, &err), RN_ERR_ARG);
    o = (rn_sound_options){.rate = 10};
    assert_int_equal(rn_sound_read(in_folder("s16.wav"), &o, &s, &err), RN_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "s16.wav: says"));
    assert_non_null(strstr(err.text, "a factor of 256"));
    o = (rn_sound_options){.raw = RN_RAW_S16LE};
    assert_int_equal(rn_sound_read(in_folder("s16.raw"), &o, &s, &err), RN_ERR_ARG);
    assert_non_null(strstr(err.text, "--rate"));
    assert_int_equal(rn_sound_read(in_folder("s16.raw"), NULL, &s, &err), RN_ERR_FORMAT);
    assert_non_null(strstr(err.text, "--raw s16le"));
    assert_int_equal(rn_sound_read(in_folder("s16.wav"), NULL, &s, &err), 0);
    rn_sound_free(&s);
}

static void bad_files_get_a_sentence(void **state)
{
    (void)state;
    rn_sound s;
    rn_error err;
    char want[900];
    assert_int_equal(rn_sound_read(in_folder("none.wav"), NULL, &s, &err), RN_ERR_IO);
    assert_non_null(strstr(err.text, "none.wav: No such file"));
    assert_int_equal(rn_sound_read(folder, NULL, &s, &err), RN_ERR_IO);
    assert_non_null(strstr(err.text, "Is a folder"));
    write_file(in_folder("is.gsm"), "", 0);
    assert_int_equal(rn_sound_read(in_folder("is.gsm"), NULL, &s, &err), RN_ERR_DATA);
    snprintf(want, sizeof want, "%s: 0 samples (0 bytes). Remove it, or train with --skip-bad", in_folder("is.gsm"));
    assert_string_equal(err.text, want);
    /* a WAV with a header and nothing in it */
    rn_sound_write_wav(in_folder("empty.wav"), NULL, 0, 8000, &err);
    assert_int_equal(rn_sound_read(in_folder("empty.wav"), NULL, &s, &err), RN_ERR_DATA);
    assert_non_null(strstr(err.text, "empty.wav: 0 samples (44 bytes). Remove it, or train with --skip-bad"));
    /* the exact line, with a name that a shell would break up */
    write_file(in_folder("a song.m4a"),
               "\0\0\0\x20"
               "ftypM4A \0\0\0\0",
               16);
    assert_int_equal(rn_sound_read(in_folder("a song.m4a"), NULL, &s, &err), RN_ERR_FORMAT);
    snprintf(want, sizeof want, "ffmpeg -i '%s/a song.m4a' -ac 1 '%s/a song.wav'", folder, folder);
    if (!strstr(err.text, want))
        fail_msg("%s", err.text);
    write_file(in_folder("it's.wma"), "nothing at all", 14);
    assert_int_equal(rn_sound_read(in_folder("it's.wma"), NULL, &s, &err), RN_ERR_FORMAT);
    assert_non_null(strstr(err.text, "it'\\''s.wma' -ac 1"));
    write_file(in_folder("plain.amr"), "#!AMR\n12345678", 14);
    assert_int_equal(rn_sound_read(in_folder("plain.amr"), NULL, &s, &err), RN_ERR_FORMAT);
    snprintf(want, sizeof want, "ffmpeg -i %s/plain.amr -ac 1 %s/plain.wav", folder, folder);
    assert_non_null(strstr(err.text, want));
    write_file(in_folder("text.wav"), "this is no sound", 16);
    assert_int_equal(rn_sound_read(in_folder("text.wav"), NULL, &s, &err), RN_ERR_FORMAT);
    assert_non_null(strstr(err.text, "text.wav: not a sound file"));
    assert_null(strstr(err.text, "ffmpeg"));
    assert_int_equal(rn_sound_read_memory("m.wav", NULL, 0, NULL, &s, &err), RN_ERR_DATA);
    assert_int_equal(rn_sound_read_memory("m.wav", "RIFF", 4, NULL, &s, &err), RN_ERR_FORMAT);
}

/* A NaN in a float file would make every feature of it NaN, and one epoch later every weight. */
static void not_finite_samples_are_refused(void **state)
{
    (void)state;
    static const float bad[2] = {NAN, -INFINITY};
    for (int i = 0; i < 2; i++) {
        float x[1000] = {0};
        SF_INFO info = {.samplerate = 8000, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_FLOAT};
        rn_sound s;
        rn_error err;
        x[400] = bad[i];
        SNDFILE *f = sf_open(in_folder("bad float.wav"), SFM_WRITE, &info);
        sf_writef_float(f, x, 1000);
        sf_close(f);
        assert_int_equal(rn_sound_read(in_folder("bad float.wav"), NULL, &s, &err), RN_ERR_DATA);
        assert_non_null(strstr(err.text, "bad float.wav: sample 400 (at 0.050 s) is not a finite number"));
    }
}

/* Whatever happens to the bytes: samples or a sentence, never a crash (run under the sanitizers too), never much memory. */
static void broken_files_never_crash(void **state)
{
    (void)state;
    for (int i = 0; i < KINDS; i++) {
        const kind *k = &kinds[i];
        rn_sound_options o = options_of(k);
        size_t size;
        unsigned char *data = read_file(in_folder(k->name), &size), *copy = malloc(size);
        uint32_t seed = (uint32_t)i;
        for (int round = 0; round < 120; round++) {
            size_t length = size;
            memcpy(copy, data, size);
            seed = seed * 1664525 + 1013904223;
            if (round < 50)
                length = round < 25 ? (size_t)round * 4 : size * (size_t)(round - 24) / 26;
            else
                for (int flips = 0; flips < 1 + round % 5; flips++) {
                    seed = seed * 1664525 + 1013904223;
                    /* half of them in the header */
                    size_t at = (seed >> 8) % (round % 2 ? size : size < 64 ? size : 64);
                    copy[at] ^= (unsigned char)(1u << (seed & 7));
                }
            rn_sound s;
            rn_error err = {0};
            int status = rn_sound_read_memory(k->name, copy, (int64_t)length, &o, &s, &err);
            if (status && strlen(err.text) < 10)
                fail_msg("%s, round %d: no sentence", k->name, round);
            if (!status && (!s.samples || s.count < 1 || s.count > 40000000))
                fail_msg("%s, round %d: %lld samples", k->name, round, (long long)s.count);
            rn_sound_free(&s);
        }
        if (!strcmp(k->name, "s16.flac")) { /* its header is exact: half a file is a broken file */
            rn_sound s;
            rn_error err;
            assert_int_equal(rn_sound_read_memory(k->name, data, (int64_t)size / 2, &o, &s, &err), RN_ERR_FORMAT);
        }
        if (!strcmp(k->name, "s16.wav")) { /* half a WAV is a recorder that lost its power: what is there is used */
            rn_sound s;
            rn_error err;
            assert_int_equal(rn_sound_read_memory(k->name, data, 44 + 4000, &o, &s, &err), 0);
            assert_int_equal(s.count, 1000);
            rn_sound_free(&s);
        }
        free(data);
        free(copy);
    }
}

/* A header that promises hours in a file of a few bytes must not allocate them. */
static void headers_are_not_trusted(void **state)
{
    (void)state;
    size_t size;
    rn_sound s;
    rn_error err;
    unsigned char *wav = read_file(in_folder("s16.wav"), &size);
    memset(wav + 40, 0xff, 4);
    memset(wav + 4, 0xff, 4);
    assert_int_equal(rn_sound_read_memory("endless.wav", wav, 44 + 400, NULL, &s, &err), 0);
    assert_int_equal(s.count, 100);
    rn_sound_free(&s);
    free(wav);
    unsigned char *flac = read_file(in_folder("s16.flac"), &size);
    assert_memory_equal(flac, "fLaC", 4);
    flac[21] |= 0x0f; /* total samples: 36 bits, from the low half of this byte */
    memset(flac + 22, 0xff, 4);
    int status = rn_sound_read_memory("endless.flac", flac, (int64_t)size, NULL, &s, &err);
    assert_true(status == 0 || strlen(err.text) > 10);
    rn_sound_free(&s);
    free(flac);
}

static void probe_and_known(void **state)
{
    (void)state;
    rn_sound_info info;
    rn_error err;
    for (int i = 0; i < KINDS; i++) {
        rn_sound_options o = options_of(&kinds[i]);
        assert_int_equal(rn_sound_probe(in_folder(kinds[i].name), &o, &info, &err), 0);
        assert_int_equal(info.rate, kinds[i].rate);
        assert_int_equal(info.channels, kinds[i].channels);
        assert_true(info.seconds >= 0 && info.seconds < 4);
        assert_true(strlen(info.format) > 2);
        assert_int_equal(rn_sound_known(kinds[i].name), 1);
    }
    assert_int_equal(rn_sound_probe(in_folder("s24.flac"), NULL, &info, &err), 0);
    assert_string_equal(info.format, "FLAC 24-bit");
    assert_true(info.seconds == 0.25);
    assert_int_equal(rn_sound_probe(in_folder("tone.gsm"), NULL, &info, &err), 0);
    assert_string_equal(info.format, "raw GSM 06.10");
    static const char *const unknown[] = {"a.txt", "a.m4a", "wav", "a.b/wav", "a.", "", "x.npy", ".hidden/x"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        assert_int_equal(rn_sound_known(unknown[i]), 0);
    assert_int_equal(rn_sound_known("A.B/LOUD.WAV"), 1);
}

/* ---- pipes ---- */

struct feed {
    const char *path; /* of a FIFO */
    const unsigned char *data;
    size_t size, piece;
    size_t hold_at; /* after so many bytes, wait for `go` */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int go;
};

static void *feeder(void *argument)
{
    struct feed *f = argument;
    int fd = open(f->path, O_WRONLY);
    for (size_t at = 0; at < f->size;) {
        size_t n = f->size - at < f->piece ? f->size - at : f->piece;
        if (f->hold_at && at < f->hold_at && at + n > f->hold_at)
            n = f->hold_at - at;
        ssize_t done = write(fd, f->data + at, n);
        if (done < 0)
            break;
        at += (size_t)done;
        if (f->hold_at && at == f->hold_at) {
            pthread_mutex_lock(&f->lock);
            while (!f->go)
                pthread_cond_wait(&f->changed, &f->lock);
            pthread_mutex_unlock(&f->lock);
        }
    }
    close(fd);
    return NULL;
}

static void start_feed(struct feed *f, pthread_t *thread)
{
    f->path = in_folder("pipe");
    unlink(f->path);
    assert_int_equal(mkfifo(f->path, 0600), 0);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    assert_int_equal(pthread_create(thread, NULL, feeder, f), 0);
}

/* Reads the whole stream in reads of `step`; samples [*count], the caller's. */
static float *drain(rn_sound_stream *s, int step, int64_t *count)
{
    float *x = malloc(sizeof *x * 400000);
    rn_error err = {0};
    int64_t got;
    *count = 0;
    while ((got = rn_sound_stream_read(s, x + *count, step, &err)) > 0) {
        *count += got;
        assert_true(*count + step <= 400000);
    }
    if (got < 0)
        fail_msg("%s", err.text);
    return x;
}

/* Pieces that split samples and headers, of every kind, at another rate: the same bits as the file read at once. */
static void pipes_give_the_same(void **state)
{
    (void)state;
    static const size_t pieces[] = {7, 1001, 100000};
    for (int i = 0; i < KINDS; i++) {
        rn_sound_options o = options_of(&kinds[i]);
        size_t size;
        unsigned char *data = read_file(in_folder(kinds[i].name), &size);
        if (!strcmp(kinds[i].name, "tone.gsm"))
            o.raw = RN_RAW_GSM; /* a pipe has no extension */
        for (size_t p = 0; p < 3; p++) {
            rn_sound whole;
            rn_sound_stream *s = NULL;
            rn_error err = {0};
            struct feed f = {.data = data, .size = size, .piece = pieces[p]};
            pthread_t thread;
            int64_t count;
            o.rate = p == 1 ? 12000 : 0;
            o.start_s = p == 2 ? 0.01 : 0;
            read_or_fail(in_folder(kinds[i].name), &o, &whole);
            start_feed(&f, &thread);
            if (rn_sound_stream_open(&s, f.path, &o, &err))
                fail_msg("%s on a pipe: %s", kinds[i].name, err.text);
            float *x = drain(s, p == 0 ? 1000 : 8192, &count);
            if (count != whole.count || memcmp(x, whole.samples, (size_t)count * sizeof *x))
                fail_msg("%s on a pipe in pieces of %zu: other samples (%lld, %lld)", kinds[i].name, pieces[p], (long long)count,
                         (long long)whole.count);
            assert_int_equal(rn_sound_stream_rate(s), whole.rate);
            pthread_join(thread, NULL);
            rn_sound_stream_close(&s);
            rn_sound_free(&whole);
            free(x);
        }
        free(data);
    }
}

/* Live sound: what was said must be heard while the microphone is still open. A reader that waits for a full buffer hangs here. */
static void live_sound_arrives_at_once(void **state)
{
    (void)state;
    size_t size;
    unsigned char *wav = read_file(in_folder("s16.wav"), &size);
    for (int raw = 0; raw < 2; raw++)
        for (int resampled = 0; resampled < 2; resampled++) {
            rn_sound_options o = {
                .raw = raw ? RN_RAW_S16LE : RN_RAW_NONE, .raw_rate = 16000, .raw_channels = 2, .rate = resampled ? 8000 : 0};
            rn_sound_stream *s = NULL;
            rn_error err = {0};
            pthread_t thread;
            static float x[FRAMES];
            int64_t heard = 0, want = resampled ? 800 : 2000; /* the filter looks 143 samples of 8 kHz ahead */
            memset(wav + 40, 0xff, 4);                        /* no length is known while it runs */
            struct feed f = {
                .data = raw ? wav + 44 : wav, .size = raw ? size - 44 : size, .piece = 500, .hold_at = (raw ? 0 : 44) + 2000 * 4};
            start_feed(&f, &thread);
            alarm(30);
            assert_int_equal(rn_sound_stream_open(&s, f.path, &o, &err), 0);
            assert_true(rn_sound_stream_seconds(s) == 0);
            while (heard < want) {
                int64_t got = rn_sound_stream_read(s, x, FRAMES, &err);
                assert_true(got > 0);
                heard += got;
            }
            pthread_mutex_lock(&f.lock);
            f.go = 1;
            pthread_cond_signal(&f.changed);
            pthread_mutex_unlock(&f.lock);
            int64_t rest;
            free(drain(s, 5000, &rest));
            alarm(0);
            assert_int_equal(heard + rest, resampled ? FRAMES / 2 : FRAMES);
            pthread_join(thread, NULL);
            rn_sound_stream_close(&s);
        }
    free(wav);
}

/* "-" is standard input, as a file and as a pipe; the descriptor stays open. */
static void standard_input(void **state)
{
    (void)state;
    rn_sound a, b;
    rn_error err = {0};
    rn_sound_info info;
    int saved = dup(0), fd = open(in_folder("s16.flac"), O_RDONLY);
    read_or_fail(in_folder("s16.flac"), NULL, &a);
    dup2(fd, 0);
    assert_int_equal(rn_sound_read("-", NULL, &b, &err), 0);
    assert_true(fcntl(0, F_GETFD) >= 0);
    assert_int_equal(a.count, b.count);
    assert_memory_equal(a.samples, b.samples, (size_t)a.count * sizeof(float));
    rn_sound_free(&b);
    close(fd);
    size_t size;
    unsigned char *data = read_file(in_folder("s16.flac"), &size);
    struct feed f = {.data = data, .size = size, .piece = 4096};
    pthread_t thread;
    start_feed(&f, &thread);
    fd = open(f.path, O_RDONLY);
    dup2(fd, 0);
    close(fd);
    assert_int_equal(rn_sound_read("-", NULL, &b, &err), 0);
    assert_int_equal(a.count, b.count);
    assert_memory_equal(a.samples, b.samples, (size_t)a.count * sizeof(float));
    pthread_join(thread, NULL);
    rn_sound_free(&b);
    free(data);
    /* nothing but an end */
    fd = open("/dev/null", O_RDONLY);
    dup2(fd, 0);
    close(fd);
    rn_sound_options o = {.raw = RN_RAW_S16LE, .raw_rate = 8000};
    assert_int_equal(rn_sound_read("-", &o, &b, &err), RN_ERR_DATA);
    assert_non_null(strstr(err.text, "standard input: 0 samples"));
    assert_int_equal(rn_sound_read("-", NULL, &b, &err), RN_ERR_DATA);
    assert_int_equal(rn_sound_probe("-", NULL, &info, &err), RN_ERR_UNSUPPORTED);
    dup2(saved, 0);
    close(saved);
    rn_sound_free(&a);
}

/* A WAV header on a pipe may be anything; a piece of it must give "more" or "no", and never a read beyond it. */
static void wav_headers_on_pipes(void **state)
{
    (void)state;
    static const char *const names[] = {"u8.wav",     "s16.wav",  "s24.wav",   "s32.wav", "float.wav",
                                        "double.wav", "alaw.wav", "mulaw.wav", "x16.wav", "x24.wav"};
    rn_pcm_format format;
    size_t offset, size;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        unsigned char *data = read_file(in_folder(names[i]), &size);
        assert_int_equal(rn_pcm_wav_header(data, size, &format, &offset), 1);
        size_t whole = offset;
        for (size_t cut = 0; cut < whole; cut++) {
            unsigned char *piece = malloc(cut ? cut : 1); /* a heap block of its size: the sanitizer sees every byte too far */
            memcpy(piece, data, cut);
            if (cut)
                assert_int_equal(rn_pcm_wav_header(piece, cut, &format, &offset), 0);
            free(piece);
        }
        uint32_t seed = 7;
        for (int round = 0; round < 3000; round++) {
            unsigned char *piece = malloc(whole);
            memcpy(piece, data, whole);
            for (int k = 0; k < 3; k++) {
                seed = seed * 1664525 + 1013904223;
                piece[(seed >> 8) % whole] = (unsigned char)(seed >> 24);
            }
            int answer = rn_pcm_wav_header(piece, whole, &format, &offset);
            assert_true(answer >= -1 && answer <= 1);
            if (answer == 1)
                assert_true(offset <= whole && format.channels >= 1 && format.rate >= 1 && format.channels <= 1024);
            free(piece);
        }
        free(data);
    }
    /* adpcm is not read as it arrives, and an endless length is none */
    unsigned char *data = read_file(in_folder("adpcm.wav"), &size);
    assert_int_equal(rn_pcm_wav_header(data, size, &format, &offset), -1);
    free(data);
    data = read_file(in_folder("s16.wav"), &size);
    assert_int_equal(rn_pcm_wav_header(data, size, &format, &offset), 1);
    assert_int_equal(format.data_bytes, FRAMES * 4);
    memset(data + 40, 0, 4);
    assert_int_equal(rn_pcm_wav_header(data, size, &format, &offset), 1);
    assert_int_equal(format.data_bytes, -1);
    free(data);
}

/* ---- rates ---- */

/* A tone below the new half rate must come through at its level; one above it must vanish (an alias would be a false call). */
static void resampling_keeps_and_rejects(void **state)
{
    (void)state;
    int n = 44100;
    float *x = malloc(sizeof *x * (size_t)n), *y;
    for (int kept = 0; kept < 2; kept++) {
        double f = kept ? 3000 : 9500, energy = 0, error = 0;
        int64_t count;
        rn_error err;
        for (int i = 0; i < n; i++)
            x[i] = (float)(0.5 * sin(2 * 3.14159265358979323846 * f * i / 44100));
        assert_int_equal(rn_sound_resample(x, n, 44100, 16000, &y, &count, &err), 0);
        assert_true(count == 16000 ||
                    count == 15999); /* the converter adds up positions in double: a whole quotient may lose its last sample */
        for (int i = 1000; i < 15000; i++) {
            double want = 0.5 * sin(2 * 3.14159265358979323846 * f * i / 16000);
            energy += y[i] * y[i];
            error += (y[i] - want) * (y[i] - want);
        }
        if (kept)
            assert_true(sqrt(error / 14000) < 1e-4);
        else
            assert_true(sqrt(energy / 14000) < 1e-5);
        free(y);
    }
    free(x);
    rn_error err;
    int64_t count;
    float one = 1;
    assert_int_equal(rn_sound_resample(&one, 1, 8000, 8000, &y, &count, &err), 0);
    assert_true(count == 1 && y[0] == 1);
    free(y);
    assert_int_equal(rn_sound_resample(&one, 1, 8000, 0, &y, &count, &err), RN_ERR_ARG);
    assert_int_equal(rn_sound_resample(&one, 1, 1, 8000, &y, &count, &err), RN_ERR_ARG);
    assert_int_equal(rn_sound_resample(&one, 0, 8000, 16000, &y, &count, &err), 0);
    assert_int_equal(count, 0);
    free(y);
}

/* Training reads whole files, `predict` long ones as streams: one differing bit would break "one arithmetic". */
static void streams_resample_to_the_same_bits(void **state)
{
    (void)state;
    static const int rates[][2] = {{16000, 8000}, {44100, 16000}, {44100, 48000}, {96000, 8000}, {22050, 22049}, {8000, 48000}};
    static const int steps[] = {1, 33, 4096, 30000};
    for (size_t r = 0; r < sizeof rates / sizeof rates[0]; r++) {
        static float x[FRAMES];
        rn_error err;
        rn_sound whole;
        rn_sound_options o = {.rate = rates[r][1]};
        make_frames(x, FRAMES, 1);
        assert_int_equal(rn_sound_write_wav(in_folder("rate.wav"), x, FRAMES, rates[r][0], &err), 0);
        read_or_fail(in_folder("rate.wav"), &o, &whole);
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
            rn_sound_stream *s = NULL;
            int64_t count;
            assert_int_equal(rn_sound_stream_open(&s, in_folder("rate.wav"), &o, &err), 0);
            assert_true(fabs(rn_sound_stream_seconds(s) - (double)FRAMES / rates[r][0]) < 1e-12);
            float *y = drain(s, steps[i], &count);
            assert_int_equal(count, whole.count);
            assert_memory_equal(y, whole.samples, (size_t)count * sizeof *y);
            free(y);
            rn_sound_stream_close(&s);
        }
        rn_sound_free(&whole);
    }
}

static void write_wav_rounds_and_clips(void **state)
{
    (void)state;
    static const float x[] = {0, 1, -1, 2, -2, 0.5f, 1.6f / 32768, -1.6f / 32768, 0.99f};
    rn_sound s;
    rn_error err;
    assert_int_equal(rn_sound_write_wav(in_folder("w.wav"), x, 9, 8000, &err), 0);
    read_or_fail(in_folder("w.wav"), NULL, &s);
    static const int want[] = {0, 32767, -32768, 32767, -32768, 16384, 2, -2, 32440};
    assert_int_equal(s.count, 9);
    for (int i = 0; i < 9; i++)
        assert_true(s.samples[i] == (float)want[i] / 32768);
    rn_sound_free(&s);
    assert_int_equal(rn_sound_write_wav(in_folder("no/such/folder.wav"), x, 9, 8000, &err), RN_ERR_IO);
    assert_non_null(strstr(err.text, "folder.wav"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_reads_back),
        cmocka_unit_test(memory_gives_the_same),
        cmocka_unit_test(parts_are_exact),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(bad_files_get_a_sentence),
        cmocka_unit_test(not_finite_samples_are_refused),
        cmocka_unit_test(broken_files_never_crash),
        cmocka_unit_test(headers_are_not_trusted),
        cmocka_unit_test(probe_and_known),
        cmocka_unit_test(pipes_give_the_same),
        cmocka_unit_test(live_sound_arrives_at_once),
        cmocka_unit_test(standard_input),
        cmocka_unit_test(wav_headers_on_pipes),
        cmocka_unit_test(resampling_keeps_and_rejects),
        cmocka_unit_test(streams_resample_to_the_same_bits),
        cmocka_unit_test(write_wav_rounds_and_clips),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
