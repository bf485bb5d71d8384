/* Routes and the stream of watch.h.
 *
 * Files are looked at three times a second. A log only grows, except when a run is resumed from its checkpoint: then it is cut back, and
 * grows on with the same bytes if nothing else changed. So a stream remembers the last bytes that it sent, and begins anew when they are no
 * longer there. */
#include "serve/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "serve/alive.h"
#include "serve/http.h"

extern const char rn_page_watch_html[], rn_page_watch_css[], rn_page_watch_js[], rn_page_page_css[], rn_page_icon_svg[];

enum {
    PIECE = 256 << 10, /* of a log, in one event; a longer line is passed over */
    REMEMBERED = 256,
    SMALL = 64 << 10, /* the largest progress.json */
    PAUSE_MS = 300,
    QUIET_S = 10, /* without news a comment is sent, which finds out whether the page is still there */
    FRESH_S = 10  /* a word so young needs no look at the process */
};

struct watch_page {
    http *server;
    int count;
    char **runs;
};

/* ---- Files of a run ---- */

static const struct {
    const char *name, *type;
} files[] = {{"log.jsonl", "text/plain; charset=utf-8"},
             {"progress.json", "application/json"},
             {"sample.safetensors", "application/octet-stream"},
             {"config.json", "application/json"},
             {"run.json", "application/json"}};

/* A regular file of the run's folder, or -1. */
static int open_file(const watch_page *w, int run, const char *name, struct stat *st)
{
    int folder = open(w->runs[run], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return -1;
    int file = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    close(folder);
    if (file >= 0 && (fstat(file, st) || !S_ISREG(st->st_mode))) {
        close(file);
        file = -1;
    }
    return file;
}

static json_t *text_value(const char *text)
{
    json_t *value = json_string(text);
    char *copy = value ? NULL : strdup(text);
    for (char *p = copy; p && *p; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    if (copy)
        value = json_string(copy);
    free(copy);
    return value;
}

/* ---- The stream ---- */

/* What a stream has sent of a run. */
typedef struct told {
    int64_t offset; /* of the log */
    int passing;    /* 1: inside a line that is too long */
    int remembered;
    char last[REMEMBERED]; /* bytes before the offset */
    struct stat log, progress, sample;
    int alive;
} told;

typedef struct stream {
    watch_page *w;
    char *in;   /* [PIECE] */
    char *text; /* waiting to be sent */
    size_t size, sent;
    int greeted, closing, ended;
    time_t spoke;
    told runs[];
} stream;

static int is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void put_event(FILE *out, const char *event, json_t *data)
{
    char *text = json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY);
    if (text)
        fprintf(out, "event: %s\ndata: %s\n\n", event, text);
    free(text);
    json_decref(data);
}

static void greet(const watch_page *w, FILE *out)
{
    json_t *runs = json_array();
    for (int i = 0; i < w->count; i++)
        json_array_append_new(runs, json_pack("{s:o}", "name", text_value(w->runs[i])));
    fputs("retry: 2000\n", out);
    put_event(out, "hello", runs);
}

/* Lines as one event. A carriage return would end a line of the stream; in JSON it is a blank. */
static void put_lines(FILE *out, int run, const char *text, size_t size)
{
    fprintf(out, "event: log\ndata: %d\n", run);
    for (const char *end = text + size; text < end;) {
        const char *next = (const char *)memchr(text, '\n', (size_t)(end - text)) + 1;
        fputs("data: ", out);
        for (const char *cr; (cr = memchr(text, '\r', (size_t)(next - text))); text = cr + 1) {
            fwrite(text, 1, (size_t)(cr - text), out);
            fputc(' ', out);
        }
        fwrite(text, 1, (size_t)(next - text), out);
        text = next;
    }
    fputc('\n', out);
}

/* Are the bytes before the offset those that were sent? */
static int goes_on(told *t, int file, int64_t size)
{
    char now[REMEMBERED];
    return size >= t->offset && pread(file, now, (size_t)t->remembered, (off_t)(t->offset - t->remembered)) == t->remembered &&
           memcmp(now, t->last, (size_t)t->remembered) == 0;
}

/* One piece of what the log has now; 1: there may be more. */
static int tell_log(stream *s, int run, FILE *out)
{
    struct stat st;
    told *t = &s->runs[run];
    int file = open_file(s->w, run, "log.jsonl", &st), more = 0;
    if (file < 0)
        return 0;
    if (is_same(&st, &t->log) && st.st_size == t->offset)
        goto done;
    t->log = st;
    if (t->offset && !goes_on(t, file, st.st_size)) {
        put_event(out, "restart", json_integer(run));
        t->offset = 0;
        t->remembered = t->passing = 0;
    }
    ssize_t got = pread(file, s->in, PIECE, (off_t)t->offset);
    size_t size = got > 0 ? (size_t)got : 0;
    while (size && s->in[size - 1] != '\n')
        size--;
    const char *from = t->passing && size ? (const char *)memchr(s->in, '\n', size) + 1 : s->in;
    if (from < s->in + size)
        put_lines(out, run, from, (size_t)(s->in + size - from));
    if (size || got == PIECE)
        t->passing = !size;
    if (!size && got == PIECE)
        size = PIECE;
    if (size) {
        t->offset += (int64_t)size;
        t->remembered = size < REMEMBERED ? (int)size : REMEMBERED;
        memcpy(t->last, s->in + size - (size_t)t->remembered, (size_t)t->remembered);
        more = t->offset < st.st_size;
    }
done:
    close(file);
    return more;
}

static void tell_progress(stream *s, int run, FILE *out)
{
    struct stat st;
    told *t = &s->runs[run];
    int file = open_file(s->w, run, "progress.json", &st);
    if (file < 0)
        return;
    ssize_t got = st.st_size <= SMALL ? read(file, s->in, SMALL) : 0;
    close(file);
    json_t *progress = got > 0 ? json_loadb(s->in, (size_t)got, 0, NULL) : NULL;
    int alive = run_is_alive(progress);
    if (json_is_object(progress) && (!is_same(&st, &t->progress) || alive != t->alive)) {
        t->progress = st;
        t->alive = alive;
        put_event(out, "progress",
                  json_pack("{s:i, s:I, s:b, s:O}", "run", run, "now", (json_int_t)time(NULL), "alive", alive, "progress", progress));
    }
    json_decref(progress);
}

static void tell_sample(stream *s, int run, FILE *out)
{
    struct stat st;
    told *t = &s->runs[run];
    int file = open_file(s->w, run, "sample.safetensors", &st);
    if (file < 0)
        return;
    close(file);
    if (is_same(&st, &t->sample))
        return;
    t->sample = st;
    put_event(out, "sample",
              json_pack("{s:i, s:I}", "run", run, "version", (json_int_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000));
}

/* Collects what is new, one piece of each log; 1: there may be more. */
static int collect(stream *s)
{
    int more = 0;
    free(s->text);
    s->text = NULL;
    s->size = s->sent = 0;
    FILE *out = open_memstream(&s->text, &s->size);
    if (!out)
        return 0;
    if (!s->greeted)
        greet(s->w, out);
    s->greeted = 1;
    for (int run = 0; run < s->w->count; run++) {
        more |= tell_log(s, run, out);
        tell_progress(s, run, out);
        tell_sample(s, run, out);
    }
    fclose(out);
    return more;
}

static ssize_t next_piece(void *context, char *out, size_t room)
{
    stream *s = context;
    if (s->sent == s->size) {
        if (s->ended)
            return -1;
        int more = collect(s);
        if (!s->size && !more && !s->closing && time(NULL) - s->spoke < QUIET_S)
            s->closing = http_wait(s->w->server, PAUSE_MS);
        else if (!s->size && !more) {
            s->ended = s->closing;
            free(s->text);
            s->text = strdup(s->closing ? "event: end\ndata: {}\n\n" : ":\n\n");
            s->size = s->text ? strlen(s->text) : 0;
        }
        if (!s->size)
            return 0;
        s->spoke = time(NULL);
    }
    size_t count = s->size - s->sent < room ? s->size - s->sent : room;
    memcpy(out, s->text + s->sent, count);
    s->sent += count;
    return (ssize_t)count;
}

static void close_stream(void *context)
{
    stream *s = context;
    free(s->text);
    free(s->in);
    free(s);
}

static void open_stream(watch_page *w, http_reply *reply)
{
    stream *s = calloc(1, sizeof *s + (size_t)w->count * sizeof *s->runs);
    if (!s || !(s->in = malloc(PIECE))) {
        free(s);
        return;
    }
    s->w = w;
    s->spoke = time(NULL);
    for (int i = 0; i < w->count; i++)
        s->runs[i].alive = -1;
    reply->type = "text/event-stream; charset=utf-8";
    reply->stream = (http_stream){next_piece, close_stream, s};
}

/* ---- Routes ---- */

static void answer_file(const watch_page *w, const char *path, http_reply *reply)
{
    char *end;
    struct stat st;
    if (*path < '0' || *path > '9')
        return;
    long run = strtol(path, &end, 10);
    if (*end != '/' || end - path > 6 || run >= w->count)
        return;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strcmp(end + 1, files[i].name) == 0) {
            reply->type = files[i].type;
            reply->descriptor = open_file(w, (int)run, files[i].name, &st);
        }
}

static void answer(void *context, const char *path, http_reply *reply)
{
    static const struct {
        const char *path, *type, *text;
    } pages[] = {{"/", "text/html; charset=utf-8", rn_page_watch_html},
                 {"/watch.js", "text/javascript; charset=utf-8", rn_page_watch_js},
                 {"/watch.css", "text/css; charset=utf-8", rn_page_watch_css},
                 {"/page.css", "text/css; charset=utf-8", rn_page_page_css},
                 {"/icon.svg", "image/svg+xml", rn_page_icon_svg}};
    watch_page *w = context;
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        if (strcmp(path, pages[i].path) == 0) {
            reply->type = pages[i].type;
            reply->text = pages[i].text;
            return;
        }
    if (strcmp(path, "/events") == 0)
        open_stream(w, reply);
    else if (strncmp(path, "/runs/", 6) == 0)
        answer_file(w, path + 6, reply);
}

int watch_open(watch_page **page, const char *listen, const char *const *runs, int count, rn_error *err)
{
    watch_page *w = calloc(1, sizeof *w);
    int status = RN_ERR_MEMORY;
    *page = NULL;
    if (!w || !(w->runs = calloc((size_t)count + 1, sizeof *w->runs)))
        goto fail;
    for (w->count = 0; w->count < count; w->count++) {
        if (!(w->runs[w->count] = strdup(runs[w->count])))
            goto fail;
        for (size_t n = strlen(w->runs[w->count]); n > 1 && w->runs[w->count][n - 1] == '/'; n--)
            w->runs[w->count][n - 1] = 0;
    }
    if ((status = http_open(&w->server, listen ? listen : WATCH_LISTEN, answer, w, err)))
        goto fail;
    *page = w;
    return 0;
fail:
    if (status == RN_ERR_MEMORY && err) {
        err->code = status;
        snprintf(err->text, sizeof err->text, "no memory for the page of %d runs", count);
    }
    watch_close(&w);
    return status;
}

const char *watch_url(const watch_page *w)
{
    return http_url(w->server);
}

void watch_close(watch_page **page)
{
    watch_page *w = *page;
    if (!w)
        return;
    http_close(&w->server);
    for (int i = 0; w->runs && i < w->count; i++)
        free(w->runs[i]);
    free(w->runs);
    free(w);
    *page = NULL;
}
