/* Kaldi's data directory: a folder with wav.scp and utt2spk, and perhaps segments. The class is the speaker.
 *
 *   wav.scp    RECORDING PATH          the path is the rest of the line; FILE:OFFSET is a WAV inside an archive of wav-copy's
 *   segments   UTTERANCE RECORDING START END      seconds; END -1: to the recording's end. Without the file each recording is an utterance
 *   utt2spk    UTTERANCE SPEAKER
 *
 * A recording is the source of its utterances. A path that ends in | is a command of the shell: refused, nothing is run. Relative paths begin at
 * the folder, or, as Kaldi has it, where the program was started. Order does not matter here, Kaldi wants that of the locale "C".
 *
 * Source: kaldi-asr.org, "Data preparation" and "Kaldi I/O mechanisms"; feat/wave-reader.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "data/listing.h"

typedef struct rn_scp_line {
    char *key, *value; /* value: the rest of the line */
    int line;
} rn_scp_line;

typedef struct rn_scp {
    char *path;
    rn_text_lines text;
    rn_scp_line *lines; /* by key, in bytes */
    int count;
} rn_scp;

static void close_scp(rn_scp *s)
{
    free(s->lines);
    free(s->path);
    rn_lines_free(&s->text);
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const rn_scp_line *)a)->key, ((const rn_scp_line *)b)->key);
}

static const rn_scp_line *find(const rn_scp *s, const char *key)
{
    const rn_scp_line wanted = {.key = (char *)key};
    return s->count ? bsearch(&wanted, s->lines, (size_t)s->count, sizeof *s->lines, compare_keys) : NULL;
}

/* Cuts the word at the beginning of a text off it; returns what follows, "" at the end. */
static char *cut_word(char *text)
{
    char *end = text + strcspn(text, " \t");
    char *rest = end + strspn(end, " \t");
    *end = 0;
    return rest;
}

static int open_scp(rn_scp *s, const char *folder, const char *name, rn_error *err)
{
    memset(s, 0, sizeof *s);
    if (asprintf(&s->path, "%s/%s", folder, name) < 0) {
        s->path = NULL;
        return rn_error_memory(err, "a path", strlen(folder));
    }
    int status = rn_lines_read(&s->text, s->path, err);
    if (!status && !(s->lines = malloc(((size_t)s->text.count + 1) * sizeof *s->lines)))
        status = rn_error_memory(err, s->path, (unsigned long long)s->text.count * sizeof *s->lines);
    for (int i = 0; i < s->text.count && !status; i++) {
        char *key = s->text.line[i] + strspn(s->text.line[i], " \t"), *value = cut_word(key);
        for (size_t n = strlen(value); n && strchr(" \t", value[n - 1]); n--)
            value[n - 1] = 0;
        if (!*key)
            continue;
        if (!*value)
            status = rn_error_set(err, RN_ERR_FORMAT, "%.400s, line %d: \"%.200s\" stands alone", s->path, i + 1, key);
        s->lines[s->count++] = (rn_scp_line){key, value, i + 1};
    }
    if (s->count)
        qsort(s->lines, (size_t)s->count, sizeof *s->lines, compare_keys);
    for (int i = 1; i < s->count && !status; i++)
        if (!strcmp(s->lines[i].key, s->lines[i - 1].key))
            status = rn_error_set(err, RN_ERR_DATA, "%.400s, lines %d and %d: both are of \"%.200s\"", s->path, s->lines[i - 1].line,
                                  s->lines[i].line, s->lines[i].key);
    return status;
}

/* ---- where a recording is ---- */

typedef struct rn_place {
    char *path;
    int64_t offset, bytes; /* bytes 0: the whole file */
} rn_place;

static char *find_file(const char *scp, const char *value)
{
    char *beside = rn_path_beside(scp, value);
    if (beside && access(beside, F_OK) && !access(value, F_OK)) {
        free(beside);
        return strdup(value);
    }
    return beside;
}

/* How long the WAV is that begins at this place of an archive. */
static int measure_wav(const rn_scp *scp, const rn_scp_line *line, rn_place *place, rn_error *err)
{
    unsigned char head[12] = {0};
    FILE *file = fopen(place->path, "rbe");
    struct stat info;
    if (!file || fstat(fileno(file), &info)) {
        int number = errno;
        if (file)
            fclose(file);
        return rn_error_set(err, RN_ERR_IO, "%.300s, line %d: %.400s: %s", scp->path, line->line, place->path, rn_errno_text(number));
    }
    size_t got = fseeko(file, (off_t)place->offset, SEEK_SET) ? 0 : fread(head, 1, sizeof head, file);
    fclose(file);
    if (got < sizeof head || memcmp(head, "RIFF", 4) || memcmp(head + 8, "WAVE", 4))
        return rn_error_set(
            err, RN_ERR_UNSUPPORTED,
            "%.300s, line %d: no WAV begins at byte %lld of %.300s; recordings are wanted, no features: archives as wav-copy writes them",
            scp->path, line->line, (long long)place->offset, place->path);
    uint32_t size = (uint32_t)head[4] | (uint32_t)head[5] << 8 | (uint32_t)head[6] << 16 | (uint32_t)head[7] << 24;
    place->bytes = (int64_t)size + 8;
    if (!size || place->bytes > info.st_size - place->offset) /* written to a pipe: what follows would be heard as this recording */
        return rn_error_set(err, RN_ERR_FORMAT,
                            "%.300s, line %d: the WAV at byte %lld of %.300s does not say where it ends; wav-copy writes archives that do",
                            scp->path, line->line, (long long)place->offset, place->path);
    return 0;
}

/* Sets path, offset, bytes; path is the caller's, also after an error. */
static int find_recording(const rn_scp *scp, const rn_scp_line *line, rn_place *place, rn_error *err)
{
    const char *value = line->value, *colon = strrchr(value, ':');
    size_t length = strlen(value), digits = colon ? strspn(colon + 1, "0123456789") : 0;
    memset(place, 0, sizeof *place);
    if (value[length - 1] == '|')
        return rn_error_set(err, RN_ERR_UNSUPPORTED,
                            "%.300s, line %d: \"%.200s\" is a shell command (it ends in |), which is not run; run them all once: wav-copy "
                            "scp:wav.scp ark,scp:wav.ark,new.scp writes an archive, and new.scp is what wav.scp should be",
                            scp->path, line->line, value);
    if (!(place->path = find_file(scp->path, value)))
        return rn_error_memory(err, "a path", length);
    if (!access(place->path, F_OK))
        return 0;
    if (!colon || colon[1 + digits] || !digits || digits > 18)
        return rn_error_set(err, RN_ERR_IO, "%.300s, line %d: %.500s: %s", scp->path, line->line, place->path, rn_errno_text(errno));
    char *archive = strndup(value, (size_t)(colon - value));
    free(place->path);
    place->path = archive ? find_file(scp->path, archive) : NULL;
    place->offset = strtoll(colon + 1, NULL, 10);
    free(archive);
    return place->path ? measure_wav(scp, line, place, err) : rn_error_memory(err, "a path", length);
}

/* ---- utterances ---- */

typedef struct rn_utterances {
    rn_scp recordings, speakers, segments; /* segments.path NULL: there are none */
    const rn_scp_line *found;              /* the recording that was looked for last, and where it is: segments come one recording after the other */
    rn_place place;
} rn_utterances;

static int read_times(const rn_scp *s, const rn_scp_line *line, char *text, double times[2], rn_error *err)
{
    char *end = cut_word(text), *rest = cut_word(end);
    int to_end = !strcmp(end, "-1");
    times[1] = 0;
    if (*rest || rn_text_number(text, &times[0]) || (!to_end && rn_text_number(end, &times[1])) || times[0] < 0 || times[0] >= 1e9 ||
        times[1] >= 1e9 || (!to_end && times[1] <= times[0]))
        return rn_error_set(err, RN_ERR_FORMAT, "%.300s, line %d: an utterance, its recording, start and end in seconds are wanted%s",
                            s->path, line->line, *rest ? ", and nothing more (--channel takes one channel of all)" : "");
    return 0;
}

static int add_utterance(rn_listing *l, rn_utterances *u, const char *utterance, const rn_scp_line *recording, const double times[2],
                         rn_error *err)
{
    const rn_scp_line *speaker = find(&u->speakers, utterance);
    rn_place *place = &u->place;
    int status = 0;
    if (!speaker)
        return rn_error_set(err, RN_ERR_DATA,
                            "%.400s: no line for utterance \"%.200s\"; utils/fix_data_dir.sh of Kaldi takes out what is not whole",
                            u->speakers.path, utterance);
    if (u->found != recording) {
        free(place->path);
        u->found = NULL;
        if (!(status = find_recording(&u->recordings, recording, place, err)))
            u->found = recording;
    }
    if (!status && !place->bytes)
        status = rn_listing_wants(l, place->path, recording->value, err);
    if (!status ? place->bytes > 0 : status > 0) {
        rn_entry entry = {.path = place->path, .name = recording->value, .label = speaker->value, .source = recording->key, .weight = 1};
        entry.part = RN_PART_NONE;
        entry.start_s = times[0];
        entry.end_s = times[1];
        entry.offset = place->offset;
        entry.bytes = place->bytes;
        status = rn_listing_add(l, &entry, err);
    }
    return status;
}

static int list_segments(rn_listing *l, rn_utterances *u, rn_error *err)
{
    int status = 0;
    for (int i = 0; i < u->segments.count && !status; i++) {
        const rn_scp_line *line = &u->segments.lines[i];
        char *text = cut_word(line->value);
        const rn_scp_line *recording = find(&u->recordings, line->value);
        double times[2];
        if (!recording)
            status = rn_error_set(err, RN_ERR_DATA, "%.300s, line %d: recording \"%.200s\" is not in %.300s", u->segments.path, line->line,
                                  line->value, u->recordings.path);
        else if (!(status = read_times(&u->segments, line, text, times, err)))
            status = add_utterance(l, u, line->key, recording, times, err);
    }
    return status;
}

int rn_listing_kaldi(rn_listing *l, const char *path, int *found, rn_error *err)
{
    static const double whole[2] = {0, 0};
    rn_utterances u = {{0}};
    char *scp = NULL, *segments = NULL;
    int status = 0;
    if (asprintf(&scp, "%s/wav.scp", path) < 0 || asprintf(&segments, "%s/segments", path) < 0)
        status = rn_error_memory(err, "a path", strlen(path));
    *found = !status && !access(scp, F_OK);
    if (!*found)
        goto fail;
    if ((status = open_scp(&u.recordings, path, "wav.scp", err)) || (status = open_scp(&u.speakers, path, "utt2spk", err)))
        goto fail;
    if (!access(segments, F_OK)) {
        if (!(status = open_scp(&u.segments, path, "segments", err)))
            status = list_segments(l, &u, err);
    } else
        for (int i = 0; i < u.recordings.count && !status; i++)
            status = add_utterance(l, &u, u.recordings.lines[i].key, &u.recordings.lines[i], whole, err);
fail:
    close_scp(&u.recordings);
    close_scp(&u.speakers);
    close_scp(&u.segments);
    free(u.place.path);
    free(scp);
    free(segments);
    return status;
}
