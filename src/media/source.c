/* Where samples come from: libsndfile for files and memory, a reader of bytes for pipes.
 *
 * On a pipe, WAV and headerless samples are decoded as they arrive (pcm.c). Every other kind (FLAC, Ogg, MP3, GSM ...) is
 * taken whole into memory first, up to 1 GiB, because its decoder must be able to go back.
 * Files are opened here, so that the reason of a refusal is the system's own, and libsndfile reads them through us. It never gets the
 * descriptor: version 1.2.0 closes it, although told not to, when it has looked for a Macintosh resource fork in a file that it does not know;
 * closed again by its owner, the number may by then be a file that another thread is reading. */
#include "media/source.h"

#include <errno.h>
#include <fcntl.h>
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "media/foreign.h"
#include "media/pcm.h"

#define RN_PIPE_WHOLE_MAX ((size_t)1 << 30)
#define RN_PIPE_PIECE 65536

struct rn_source {
    char *name;
    int fd; /* ours to close unless it is standard input; -1 for memory */
    int64_t base, bytes; /* where in the descriptor's file it begins */
    /* libsndfile */
    SNDFILE *file;
    SF_INFO info;
    int64_t done; /* frames read or passed over */
    const unsigned char *memory; /* `bytes` of them; NULL: fd has them */
    int64_t at;                  /* in memory or the file: where libsndfile reads next */
    unsigned char *owned; /* a pipe's bytes, kept: the memory that libsndfile reads, or what came after a header */
    size_t owned_size, owned_cap, owned_at;
    /* pipe */
    int is_pcm;
    rn_pcm_format pcm;
};

static sf_count_t source_length(void *user)
{
    return (sf_count_t)((rn_source *)user)->bytes;
}

static sf_count_t source_seek(sf_count_t offset, int whence, void *user)
{
    rn_source *s = user;
    sf_count_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? (sf_count_t)s->at : (sf_count_t)s->bytes;
    if (offset < -base || offset > (sf_count_t)s->bytes - base)
        return -1;
    s->at = (int64_t)(base + offset);
    return base + offset;
}

static sf_count_t source_read(void *to, sf_count_t count, void *user)
{
    rn_source *s = user;
    int64_t take = count < 0 ? 0 : count < s->bytes - s->at ? (int64_t)count : s->bytes - s->at, got = 0;
    if (s->memory && take) {
        memcpy(to, s->memory + s->at, (size_t)take);
        got = take;
    }
    while (got < take) {
        ssize_t n = pread(s->fd, (char *)to + got, (size_t)(take - got), (off_t)(s->base + s->at + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break; /* an error, or a file that has become shorter: libsndfile finds that something is missing */
        got += n;
    }
    s->at += got;
    return (sf_count_t)got;
}

static sf_count_t source_write(const void *from, sf_count_t count, void *user)
{
    (void)from, (void)count, (void)user;
    return 0;
}

static sf_count_t source_tell(void *user)
{
    return (sf_count_t)((rn_source *)user)->at;
}

static SF_VIRTUAL_IO source_io = {source_length, source_seek, source_read, source_write, source_tell};

/* What rn_raw means to libsndfile and to pcm.c. */
static const struct {
    int subtype;
    rn_pcm_kind pcm;
} raw_kinds[] = {
    [RN_RAW_S16LE] = {SF_FORMAT_PCM_16, RN_PCM_S16}, [RN_RAW_S24LE] = {SF_FORMAT_PCM_24, RN_PCM_S24},
    [RN_RAW_S32LE] = {SF_FORMAT_PCM_32, RN_PCM_S32}, [RN_RAW_F32LE] = {SF_FORMAT_FLOAT, RN_PCM_F32},
    [RN_RAW_U8] = {SF_FORMAT_PCM_U8, RN_PCM_U8},     [RN_RAW_MULAW] = {SF_FORMAT_ULAW, RN_PCM_MULAW},
    [RN_RAW_ALAW] = {SF_FORMAT_ALAW, RN_PCM_ALAW},   [RN_RAW_GSM] = {SF_FORMAT_GSM610, RN_PCM_U8},
};

/* Which headerless kind it is, if any: the caller's word, or a .gsm file that isn't a WAV with another name. */
static int find_raw(const rn_source *s, const rn_sound_options *o, const unsigned char *head, size_t head_size, rn_raw *kind, int *rate,
                    int *channels, rn_error *err)
{
    *kind = o ? o->raw : RN_RAW_NONE;
    if (*kind == RN_RAW_NONE && rn_same_word(rn_path_extension(s->name), "gsm") && !(head_size >= 4 && !memcmp(head, "RIFF", 4)))
        *kind = RN_RAW_GSM;
    if (*kind == RN_RAW_NONE)
        return 0;
    if ((unsigned)*kind > RN_RAW_GSM)
        return rn_error_set(err, RN_ERR_ARG, "%s: unknown kind of headerless samples (%d)", s->name, (int)*kind);
    *rate = o && o->raw_rate ? o->raw_rate : *kind == RN_RAW_GSM ? 8000 : 0;
    *channels = o && o->raw_channels ? o->raw_channels : 1;
    if (*rate < 1 || *rate > 10000000)
        return rn_error_set(err, RN_ERR_ARG, "%s: headerless samples need their rate, for example: --raw s16le --rate 16000", s->name);
    if (*channels < 1 || *channels > 256 || (*kind == RN_RAW_GSM && *channels != 1))
        return rn_error_set(err, RN_ERR_ARG, "%s: %d channels of headerless samples: 1 to 256 can be read (GSM: 1)", s->name, *channels);
    return 0;
}

static int empty(const rn_source *s, rn_error *err)
{
    return rn_error_set(err, RN_ERR_DATA, "%s: 0 samples (%lld bytes). Remove it, or train with --skip-bad", s->name, (long long)s->bytes);
}

/* Opens what `fd` or `memory` holds. */
static int open_sndfile(rn_source *s, const rn_sound_options *o, rn_error *err)
{
    unsigned char head[16];
    size_t head_size;
    rn_raw raw;
    int rate = 0, channels = 0;
    if (s->bytes == 0)
        return empty(s, err);
    errno = 0;
    head_size = (size_t)source_read(head, sizeof head, s);
    s->at = 0;
    if (!head_size)
        return rn_error_set(err, RN_ERR_IO, "%s: %s", s->name, errno ? rn_errno_text(errno) : "nothing can be read from it");
    int status = find_raw(s, o, head, head_size, &raw, &rate, &channels, err);
    if (status)
        return status;
    memset(&s->info, 0, sizeof s->info);
    if (raw != RN_RAW_NONE) {
        s->info.format = SF_FORMAT_RAW | SF_ENDIAN_LITTLE | raw_kinds[raw].subtype;
        if (raw == RN_RAW_GSM || raw == RN_RAW_U8 || raw == RN_RAW_MULAW || raw == RN_RAW_ALAW)
            s->info.format = SF_FORMAT_RAW | raw_kinds[raw].subtype;
        s->info.samplerate = rate;
        s->info.channels = channels;
    }
    s->file = sf_open_virtual(&source_io, SFM_READ, &s->info, s);
    if (!s->file)
        return rn_foreign_error(s->name, head, head_size, (long long)s->bytes, err);
    if (s->info.samplerate < 1 || s->info.samplerate > 10000000 || s->info.channels < 1 || s->info.channels > 1024)
        return rn_error_set(err, RN_ERR_FORMAT, "%s: its header says %d channels at %d Hz: broken", s->name, s->info.channels,
                            s->info.samplerate);
    return 0;
}

/* One read() of what is there; waits only if nothing is. *got 0 at the end. */
static int read_some(rn_source *s, unsigned char *to, size_t size, size_t *got, rn_error *err)
{
    ssize_t n;
    do
        n = read(s->fd, to, size);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return rn_error_set(err, RN_ERR_IO, "%s: %s", s->name, rn_errno_text(errno));
    *got = (size_t)n;
    return 0;
}

/* One more piece of the pipe behind `owned`. */
static int read_piece(rn_source *s, size_t *got, rn_error *err)
{
    if (s->owned_cap - s->owned_size < RN_PIPE_PIECE) {
        size_t cap = s->owned_cap * 2 + RN_PIPE_PIECE;
        unsigned char *bigger = realloc(s->owned, cap);
        if (!bigger)
            return rn_error_memory(err, s->name, cap);
        s->owned = bigger;
        s->owned_cap = cap;
    }
    int status = read_some(s, s->owned + s->owned_size, RN_PIPE_PIECE, got, err);
    if (!status)
        s->owned_size += *got;
    return status;
}

static int open_pipe(rn_source *s, const rn_sound_options *o, rn_error *err)
{
    rn_raw raw;
    int rate = 0, channels = 0, kind = 0, status;
    size_t got = 1;
    s->bytes = -1;
    status = find_raw(s, o, NULL, 0, &raw, &rate, &channels, err);
    if (status)
        return status;
    if (raw != RN_RAW_NONE && raw != RN_RAW_GSM) {
        s->is_pcm = 1;
        s->pcm = (rn_pcm_format){raw_kinds[raw].pcm, rate, channels, -1};
        return 0;
    }
    while (raw == RN_RAW_NONE && got && !kind) {
        status = read_piece(s, &got, err);
        if (status)
            return status;
        if (s->owned_size)
            kind = rn_pcm_wav_header(s->owned, s->owned_size, &s->pcm, &s->owned_at);
    }
    if (kind == 1) {
        s->is_pcm = 1;
        return 0;
    }
    while (got) {
        status = read_piece(s, &got, err);
        if (status)
            return status;
        if (s->owned_size > RN_PIPE_WHOLE_MAX)
            return rn_error_set(err, RN_ERR_UNSUPPORTED,
                                "%s: more than 1 GiB of a kind that is not read as it arrives (WAV and --raw are). Save it to a file first",
                                s->name);
    }
    s->memory = s->owned;
    s->bytes = (int64_t)s->owned_size;
    return open_sndfile(s, o, err);
}

static int new_source(rn_source **out, const char *name, rn_error *err)
{
    rn_source *s = calloc(1, sizeof *s);
    *out = s;
    if (!s)
        return rn_error_memory(err, name, sizeof *s);
    s->fd = -1;
    s->name = strdup(name);
    return s->name ? 0 : rn_error_memory(err, name, strlen(name));
}

int rn_source_open(rn_source **source, const char *path, const rn_sound_options *options, rn_error *err)
{
    rn_source *s = NULL;
    struct stat st;
    int standard = !strcmp(path, "-");
    int part = options && options->bytes > 0;
    int status = new_source(&s, standard ? "standard input" : part && options->name ? options->name : path, err);
    if (status)
        goto fail;
    s->fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (s->fd < 0 || fstat(s->fd, &st)) {
        status = rn_error_set(err, RN_ERR_IO, "%s: %s", s->name, rn_errno_text(errno));
        goto fail;
    }
    s->bytes = (int64_t)st.st_size;
    if (part) {
        s->base = options->offset;
        s->bytes = options->bytes;
    }
    if (part && (!S_ISREG(st.st_mode) || s->base < 0 || s->bytes > st.st_size || s->base > st.st_size - s->bytes))
        status = rn_error_set(err, RN_ERR_DATA, "%s: %.300s ends before it (at %lld bytes, %lld are wanted); has it changed?", s->name, path,
                              (long long)st.st_size, (long long)s->base + (long long)s->bytes);
    else if (S_ISDIR(st.st_mode))
        status = rn_error_set(err, RN_ERR_IO, "%s: %s, a sound file is wanted", path, rn_errno_text(EISDIR));
    else if (S_ISREG(st.st_mode))
        status = open_sndfile(s, options, err);
    else
        status = open_pipe(s, options, err);
    if (status)
        goto fail;
    *source = s;
    return 0;
fail:
    *source = NULL;
    rn_source_close(&s);
    return status;
}

int rn_source_open_memory(rn_source **source, const char *name, const void *data, size_t size, const rn_sound_options *options,
                          rn_error *err)
{
    rn_source *s = NULL;
    int status = new_source(&s, name, err);
    if (!status) {
        s->memory = data;
        s->bytes = (int64_t)size;
        status = open_sndfile(s, options, err);
    }
    if (status)
        rn_source_close(&s);
    *source = s;
    return status;
}

void rn_source_close(rn_source **source)
{
    rn_source *s = *source;
    if (!s)
        return;
    if (s->file)
        sf_close(s->file);
    if (s->fd > STDERR_FILENO)
        close(s->fd);
    free(s->owned);
    free(s->name);
    free(s);
    *source = NULL;
}

int rn_source_rate(const rn_source *s)
{
    return s->is_pcm ? s->pcm.rate : s->info.samplerate;
}

int rn_source_channels(const rn_source *s)
{
    return s->is_pcm ? s->pcm.channels : s->info.channels;
}

int64_t rn_source_frames(const rn_source *s)
{
    if (!s->is_pcm)
        return s->info.frames > 0 && s->info.frames < (int64_t)1 << 48 ? s->info.frames : 0;
    return s->pcm.data_bytes < 0 ? 0 : s->pcm.data_bytes / (s->pcm.channels * rn_pcm_bytes(s->pcm.kind));
}

int64_t rn_source_bytes(const rn_source *s)
{
    return s->bytes;
}

const char *rn_source_name(const rn_source *s)
{
    return s->name;
}

/* From a pipe: what is kept after the header first, then what read() gives; whole frames only. */
static int64_t read_pcm(rn_source *s, float *out, int64_t frames, rn_error *err)
{
    size_t frame = (size_t)s->pcm.channels * (size_t)rn_pcm_bytes(s->pcm.kind);
    if (s->pcm.data_bytes >= 0 && (uint64_t)frames > (uint64_t)s->pcm.data_bytes / frame)
        frames = (int64_t)((uint64_t)s->pcm.data_bytes / frame);
    if (frames <= 0)
        return 0;
    while (s->owned_size - s->owned_at < frame) {
        size_t rest = s->owned_size - s->owned_at, got = 0;
        if (rest)
            memmove(s->owned, s->owned + s->owned_at, rest);
        s->owned_size = rest;
        s->owned_at = 0;
        int status = read_piece(s, &got, err);
        if (status)
            return status;
        if (!got)
            return 0;
    }
    int64_t there = (int64_t)((s->owned_size - s->owned_at) / frame), take = there < frames ? there : frames;
    rn_pcm_decode(s->pcm.kind, s->owned + s->owned_at, take * s->pcm.channels, out);
    s->owned_at += (size_t)take * frame;
    if (s->pcm.data_bytes >= 0)
        s->pcm.data_bytes -= take * (int64_t)frame;
    s->done += take;
    return take;
}

int64_t rn_source_read(rn_source *s, float *out, int64_t frames, rn_error *err)
{
    if (s->is_pcm)
        return read_pcm(s, out, frames, err);
    int64_t got = sf_readf_float(s->file, out, frames);
    if (got < 0)
        got = 0;
    s->done += got;
    if (got < frames && sf_error(s->file))
        return rn_error_set(err, RN_ERR_FORMAT, "%s: broken after %.2f s (%s). Remove it, or train with --skip-bad", s->name,
                            (double)s->done / s->info.samplerate, sf_strerror(s->file));
    /* FLAC's header is exact, so an early end is a cut or broken file. WAV headers of stopped recorders promise too much by habit. */
    if (!got && frames > 0 && (s->info.format & SF_FORMAT_TYPEMASK) == SF_FORMAT_FLAC && s->info.frames < (int64_t)1 << 36 &&
        s->done < s->info.frames)
        return rn_error_set(err, RN_ERR_FORMAT, "%s: cut or broken: ends after %lld of %lld samples. Remove it, or train with --skip-bad",
                            s->name, (long long)s->done, (long long)s->info.frames);
    return got;
}

int64_t rn_source_skip(rn_source *s, int64_t frames, rn_error *err)
{
    int subtype = s->info.format & SF_FORMAT_SUBMASK;
    int direct = subtype == SF_FORMAT_PCM_16 || subtype == SF_FORMAT_PCM_24 || subtype == SF_FORMAT_PCM_32 || subtype == SF_FORMAT_PCM_U8 ||
                 subtype == SF_FORMAT_PCM_S8 || subtype == SF_FORMAT_FLOAT || subtype == SF_FORMAT_DOUBLE || subtype == SF_FORMAT_ULAW ||
                 subtype == SF_FORMAT_ALAW;
    if (!s->is_pcm && direct && s->info.seekable && s->info.frames > 0) {
        int64_t take = frames < s->info.frames - s->done ? frames : s->info.frames - s->done;
        if (sf_seek(s->file, s->done + take, SEEK_SET) != s->done + take)
            return rn_error_set(err, RN_ERR_FORMAT, "%s: broken: no way to %.2f s. Remove it, or train with --skip-bad", s->name,
                                (double)(s->done + take) / s->info.samplerate);
        s->done += take;
        return take;
    }
    int64_t done = 0, piece = 65536 / rn_source_channels(s) + 1;
    float *bin = malloc((size_t)piece * (size_t)rn_source_channels(s) * sizeof *bin);
    if (!bin)
        return rn_error_memory(err, s->name, (unsigned long long)piece * sizeof *bin);
    while (done < frames) {
        int64_t got = rn_source_read(s, bin, frames - done < piece ? frames - done : piece, err);
        if (got <= 0) {
            done = got < 0 ? got : done;
            break;
        }
        done += got;
    }
    free(bin);
    return done;
}

void rn_source_format(const rn_source *s, char *text, size_t size)
{
    static const struct {
        int code;
        const char *name;
    } kinds[] = {{SF_FORMAT_WAV, "WAV"},   {SF_FORMAT_WAVEX, "WAV"}, {SF_FORMAT_RF64, "RF64"}, {SF_FORMAT_W64, "W64"},
                 {SF_FORMAT_AIFF, "AIFF"}, {SF_FORMAT_AU, "AU"},     {SF_FORMAT_CAF, "CAF"},   {SF_FORMAT_FLAC, "FLAC"},
                 {SF_FORMAT_OGG, "Ogg"},   {SF_FORMAT_RAW, "raw"},   {SF_FORMAT_MPEG, "MPEG"}, {SF_FORMAT_NIST, "NIST"}},
      samples[] = {{SF_FORMAT_PCM_S8, "8-bit"},     {SF_FORMAT_PCM_U8, "8-bit"},   {SF_FORMAT_PCM_16, "16-bit"},
                   {SF_FORMAT_PCM_24, "24-bit"},    {SF_FORMAT_PCM_32, "32-bit"},  {SF_FORMAT_FLOAT, "float"},
                   {SF_FORMAT_DOUBLE, "double"},    {SF_FORMAT_ULAW, "mu-law"},    {SF_FORMAT_ALAW, "A-law"},
                   {SF_FORMAT_GSM610, "GSM 06.10"}, {SF_FORMAT_VORBIS, "Vorbis"},  {SF_FORMAT_OPUS, "Opus"},
                   {SF_FORMAT_IMA_ADPCM, "ADPCM"},  {SF_FORMAT_MS_ADPCM, "ADPCM"}, {SF_FORMAT_MPEG_LAYER_III, "layer III"}};
    const char *kind = "sound", *sample = "";
    if (s->is_pcm) {
        static const char *const names[] = {"8-bit", "16-bit", "24-bit", "32-bit", "float", "double", "mu-law", "A-law"};
        snprintf(text, size, "pipe %s", names[s->pcm.kind]);
        return;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if ((s->info.format & SF_FORMAT_TYPEMASK) == kinds[i].code)
            kind = kinds[i].name;
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++)
        if ((s->info.format & SF_FORMAT_SUBMASK) == samples[i].code)
            sample = samples[i].name;
    snprintf(text, size, "%s%s%s", kind, *sample ? " " : "", sample);
}
