/* resnet embed -o X.sqlite: recordings that the store does not have yet become vectors in it.
 *
 * A recording is known by its path, size and time of change, then by its content; its vectors also by the model's content and by the
 * options. What was said to be stored (the live line, --json, the sum at the end) was committed before; about twice a second is often
 * enough that the disk's flushing costs little, and a kill loses half a second's work or one recording. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "embed.h"
#include "store.h"

#define COMMIT_S 0.5

typedef struct outcome { /* of one recording that was embedded */
    const char *path;
    int windows;
    double end_s;
} outcome;

typedef struct storing {
    store *store;
    store_file file; /* that is being embedded */
    outcome now;     /* and what came of it so far */
    int begun, size, l2, json, recordings;
    float *own;
    outcome *kept; /* but not committed */
    int kept_count;
    int pending;    /* files to commit, with those whose time alone is new */
    double since_s; /* when the first of them was done */
    int64_t stored, unchanged, failed, windows;
    double sound_s;
    progress live;
    int64_t todo;
    rn_error err; /* of the store */
} storing;

int is_store(const char *out)
{
    const char *dot = strrchr(out, '.');
    return dot && (strcasecmp(dot, ".sqlite") == 0 || strcasecmp(dot, ".sqlite3") == 0 || strcasecmp(dot, ".db") == 0);
}

/* All that the vectors depend on besides the model and the recording; what is left at its default is left out. */
static char *options_of(const rn_listen *listen, int l2)
{
    char *machine = NULL, *text = NULL;
    rn_error err;
    json_t *all = rn_tools_machine(&machine, &err) ? NULL : take_result(machine), *options = json_object();
    json_object_set(options, "arithmetic", json_object_get(all, "arithmetic"));
    if (listen->window_s > 0)
        json_object_set_new(options, "window_s", json_real(listen->window_s));
    if (listen->hop_s > 0)
        json_object_set_new(options, "hop_s", json_real(listen->hop_s));
    if (listen->channel)
        json_object_set_new(options, "channel", json_integer(listen->channel));
    if (listen->raw)
        json_object_set_new(options, "raw",
                            json_pack("{s:s, s:i, s:i}", "kind", listen->raw, "rate", listen->raw_rate, "channels", listen->raw_channels));
    if (l2)
        json_object_set_new(options, "l2", json_true());
    if (all && options)
        text = json_dumps(options, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(10));
    json_decref(all);
    json_decref(options);
    return text;
}

static int show_progress(storing *s)
{
    if (s->recordings == 1)
        return progress_step(&s->live, (int64_t)s->now.end_s, 0);
    return progress_step(&s->live, s->stored + s->failed, s->todo);
}

static int take_answer(void *context, const rn_answer *a)
{
    storing *s = context;
    if (!s->begun) { /* not before there is something to write: another process may want to */
        if (store_begin(s->store, &s->file, &s->err))
            return 1;
        s->begun = 1;
    }
    if (store_window(s->store, a->start_s, a->end_s, embedding_of(a, s->size, s->l2, s->own), &s->err))
        return 1;
    s->now.windows++;
    s->now.end_s = a->end_s;
    return show_progress(s);
}

static void say_stored(const storing *s, const outcome *o)
{
    if (!s->json)
        return;
    json_t *line =
        json_pack("{s:o, s:s, s:i, s:f}", "path", path_value(o->path), "state", "stored", "windows", o->windows, "sound_s", o->end_s);
    print_json_line(line);
    json_decref(line);
}

/* One more to commit. The time that was spent waiting for another embed does not count. */
static void await_commit(storing *s)
{
    if (!s->pending++)
        s->since_s = seconds_now();
}

/* What is kept goes to the disk, and is then counted and said. */
static int commit(storing *s)
{
    s->pending = 0;
    if (store_commit(s->store, &s->err))
        return 1;
    for (int i = 0; i < s->kept_count; i++) {
        s->stored++;
        s->windows += s->kept[i].windows;
        s->sound_s += s->kept[i].end_s;
        say_stored(s, &s->kept[i]);
    }
    s->kept_count = 0;
    return output_failed();
}

static int say_failed(storing *s, const rn_error *err)
{
    progress_end(&s->live);
    s->failed++;
    if (s->json) {
        json_t *line = json_pack("{s:o, s:s, s:o}", "path", path_value(s->now.path), "state", "failed", "error", path_value(err->text));
        print_json_line(line);
        json_decref(line);
    }
    return fail_with(err);
}

/* Size and time of change; without the file they stay 0, and reading it will say why. */
static void look_at(const char *path, store_file *file)
{
    struct stat info;
    memset(file, 0, sizeof *file);
    file->path = strncmp(path, "./", 2) ? path : path + 2;
    if (stat(path, &info))
        return;
    file->size = (int64_t)info.st_size;
    file->mtime_ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
}

/* Whether the store has what would come out of the file, judged by size and time. -1: the store can't be read. */
static int is_known(storing *s, const char *path, store_file *known)
{
    int found = 0;
    look_at(path, &s->file);
    if (store_find(s->store, s->file.path, known, &found, &s->err))
        return -1;
    return found && known->size == s->file.size && known->mtime_ns == s->file.mtime_ns;
}

/* Embeds one recording; an exit status. s->err is set where the store failed. */
static int embed_one(storing *s, rn_session *session, const rn_listen *listen, const char *path)
{
    rn_error err = {0};
    store_file known = {0};
    int known_as_it_is;
    if ((known_as_it_is = is_known(s, path, &known)) < 0)
        return EXIT_WORK;
    s->now = (outcome){s->file.path, 0, 0};
    s->begun = 0;
    if (!known_as_it_is) {
        if (rn_tools_hash(path, s->file.hash, &err))
            return say_failed(s, &err);
        if (strcmp(known.hash, s->file.hash)) {
            if (rn_session_file(session, path, listen, take_answer, s, &err)) {
                if (!s->err.code && s->begun && !store_drop(s->store, &s->err))
                    await_commit(s);
                return s->err.code ? EXIT_WORK : signals_stopped() ? EXIT_STOPPED : say_failed(s, &err);
            }
            if (store_keep(s->store, &s->err))
                return EXIT_WORK;
            s->kept[s->kept_count++] = s->now;
            await_commit(s);
            return 0;
        }
        if (store_touch(s->store, &s->file, &s->err)) /* copied, or only touched */
            return EXIT_WORK;
        await_commit(s);
    }
    s->unchanged++;
    s->todo--;
    return 0;
}

/* Those of `paths` that are not known, in their order; the others are counted. */
static int choose(storing *s, path_list *paths)
{
    int count = 0, known = 0;
    store_file ignored;
    for (int i = 0; i < paths->count && known >= 0; i++) {
        char *path = paths->paths[i];
        known = is_known(s, path, &ignored);
        paths->paths[i] = NULL;
        if (known > 0) {
            free(path);
            s->unchanged++;
        } else
            paths->paths[count++] = path;
    }
    if (known >= 0)
        paths->count = count;
    s->recordings = count;
    s->todo = count + s->failed;
    return known < 0;
}

static int embed_chosen(storing *s, rn_session *session, const rn_listen *listen, const path_list *paths)
{
    int worst = 0, status = 0, stop = 0;
    progress_start(&s->live, paths->count == 1 ? "embedding, seconds:" : "embedding");
    for (int i = 0; i < paths->count && !stop; i++) {
        status = embed_one(s, session, listen, paths->paths[i]);
        worst = status > worst ? status : worst;
        stop = s->err.code || status == EXIT_USE || (s->pending && seconds_now() - s->since_s >= COMMIT_S && commit(s)) || show_progress(s);
    }
    if (!s->err.code)
        commit(s);
    progress_end(&s->live);
    if (s->err.code)
        return fail_with(&s->err);
    return signals_stopped() ? EXIT_STOPPED : worst;
}

static void sum_up(const storing *s, const char *out, double seconds, int status)
{
    char stored[32], windows[32], unchanged[32], failed[32], sound[32], spent[32], made[80] = "";
    if (s->json) {
        json_t *line = json_pack("{s:o, s:I, s:I, s:I, s:I, s:f, s:f}", "store", path_value(out), "stored", (json_int_t)s->stored,
                                 "unchanged", (json_int_t)s->unchanged, "failed", (json_int_t)s->failed, "windows", (json_int_t)s->windows,
                                 "sound_s", s->sound_s, "seconds", seconds);
        print_json_line(line);
        json_decref(line);
    }
    if (s->stored)
        snprintf(made, sizeof made, " (%s embedding%s of %d numbers)", text_count(windows, s->windows), s->windows == 1 ? "" : "s",
                 s->size);
    complain("%s: %s stored%s, %s unchanged, %s failed", out, text_count(stored, s->stored), made, text_count(unchanged, s->unchanged),
             text_count(failed, s->failed));
    if (s->sound_s > 0 && seconds > 0)
        complain("%s of sound in %s, %.0f times real time", text_duration(sound, s->sound_s), text_duration(spent, seconds),
                 s->sound_s / seconds);
    if (status == EXIT_STOPPED)
        complain("stopped; what is stored stays, and the same command goes on");
}

/* Paths of the command; standard input has no name under which it would be found again. */
static int list_paths(storing *s, const command *c, path_list *paths)
{
    rn_error err = {0};
    int worst = 0;
    for (int i = 1; i < c->arguments_count; i++) {
        if (strcmp(c->arguments[i], "-") == 0) {
            complain("embed: standard input has no name to be stored under: write it to a file first");
            return EXIT_USE;
        }
        if (path_list_add(paths, c->arguments[i], &err)) {
            worst = fail_with(&err);
            s->failed++;
        }
    }
    return worst;
}

int embed_store(const command *c, rn_session *session, const rn_model *model, const char *hash, const rn_listen *listen)
{
    const char *out = option_text(c, "out"), *path = c->arguments[0];
    path_list paths = {.model = model};
    storing s = {.size = rn_model_embedding(model), .l2 = option_flag(c, "l2"), .json = option_flag(c, "json")};
    char again[33], *options = options_of(listen, s.l2);
    store_model made_by = {hash, path, rn_model_arch(model), s.size, options};
    double started = seconds_now();
    int status = list_paths(&s, c, &paths), worst = status;
    if (status == EXIT_USE)
        goto done;
    s.own = malloc((size_t)s.size * sizeof *s.own);
    s.kept = malloc(((size_t)paths.count + 1) * sizeof *s.kept);
    if (!options || !s.own || !s.kept) {
        complain("no memory");
        status = EXIT_WORK;
    } else if (rn_tools_hash(path, again, &s.err)) {
        status = fail_with(&s.err);
    } else if (strcmp(hash, again)) {
        complain("%s: the file was changed while it was read: start again", path);
        status = EXIT_WORK;
    } else if (store_open(&s.store, out, &s.err) || store_use(s.store, &made_by, &s.err) || choose(&s, &paths)) {
        status = fail_with(&s.err);
    } else {
        signals_watch();
        status = embed_chosen(&s, session, listen, &paths);
        status = status > worst ? status : worst;
        if (!output_failed())
            sum_up(&s, out, seconds_now() - started, status);
    }
done:
    store_close(&s.store);
    path_list_free(&paths);
    free(s.own);
    free(s.kept);
    free(options);
    return status;
}
