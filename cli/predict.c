/* resnet predict: what is in recordings. One line, or one JSON object, per recording or window, flushed at once; or all of it in a file that an
 * interrupted run goes on with (journal.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "finds.h"
#include "journal.h"

typedef struct printing {
    FILE *out;
    const rn_model *model;
    const char *path;
    int json, top, ruled; /* ruled: "unknown" and "none" are possible answers */
    double least;         /* --min-prob; 0: with several labels each class's own threshold */
    int *order;           /* [classes] */
} printing;

/* With several labels: the classes that are there, likeliest first, into order; how many. */
static int answered(const printing *p, const rn_answer *a)
{
    int count = 0, all = rn_answer_top(a, a->classes, p->order);
    for (int i = 0; i < all; i++) {
        int k = p->order[i];
        if ((double)a->probability[k] >= (p->least > 0 ? p->least : rn_model_threshold(p->model, k)))
            p->order[count++] = k;
    }
    return count;
}

static void print_object(const printing *p, const rn_answer *a, int count)
{
    json_t *top = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(top, json_pack("{s:s, s:f}", "label", rn_model_label(p->model, p->order[i]), "probability",
                                             (double)a->probability[p->order[i]]));
    json_t *line = json_pack("{s:o, s:f, s:f, s:o}", "path", path_value(p->path), "start_s", a->start_s, "end_s", a->end_s, "top", top);
    if (rn_model_several(p->model)) {
        json_t *answers = json_array();
        for (int i = 0, there = answered(p, a); i < there; i++)
            json_array_append_new(answers, json_string(rn_model_label(p->model, p->order[i])));
        json_object_set_new(line, "answers", answers);
    } else if (p->ruled)
        json_object_set_new(line, "answer", json_string(a->label));
    write_json_line(p->out, line);
    json_decref(line);
}

static void print_answer(const printing *p, const rn_answer *a)
{
    int several = rn_model_several(p->model), count = several && !p->json ? answered(p, a) : 0, named = count > 0;
    if (!count)
        count = rn_answer_top(a, p->top, p->order);
    if (p->json) {
        print_object(p, a, count);
    } else {
        named = several ? named : strcmp(a->label, rn_model_label(p->model, a->best)) == 0;
        fprintf(p->out, "%s", p->path);
        if (a->end_s > 0)
            fprintf(p->out, "   %.1f - %4.1f s", a->start_s, a->end_s);
        if (!named)
            fprintf(p->out, "   %s  ", several && !(p->least > 0) ? "none" : a->label);
        for (int i = 0; i < count; i++)
            fprintf(p->out, "%s%s %.1f %%",
                   named ? "   "
                   : i   ? ", "
                         : "(",
                   rn_model_label(p->model, p->order[i]), 100 * (double)a->probability[p->order[i]]);
        fprintf(p->out, "%s\n", named ? "" : ")");
    }
}

/* A tour of all recordings. */
typedef struct tour {
    const path_list *paths;
    const rn_listen *listen;
    rn_session *session;
    printing *p;
    finds *f;   /* NULL: windows */
    journal *j; /* NULL: standard output */
    const char *out;
    progress live;
    int known, failures;              /* recordings done by an earlier run; of all */
    int64_t bytes, bytes_done, before; /* of all recordings; of those done; of those that were known */
    int64_t here_bytes;               /* of the one being heard */
    double here_s, here_length_s;     /* heard of it, and what its header says or 0 */
    double heard_s, known_s;          /* of all recordings, and of those that were known */
    int64_t count;                    /* finds */
    int done;
    rn_recording *heard; /* [done] for the page; NULL: none is wanted */
} tour;

/* "hearing  231 of 1,204 recordings   12 h of sound   412 times real time   1.3 h left": by bytes, since only headers tell durations. */
static void show_progress(tour *t)
{
    char done[32], all[32], sound[32], left[32], end[48] = "";
    if (!progress_due(&t->live))
        return;
    double spent = seconds_now() - t->live.started, heard = t->heard_s - t->known_s + t->here_s;
    double share = t->here_length_s > 0 && t->here_s < t->here_length_s ? t->here_s / t->here_length_s : 0;
    double bytes = (double)(t->bytes_done - t->before) + share * (double)t->here_bytes;
    if (bytes > 0)
        snprintf(end, sizeof end, "   %s left", text_duration(left, ((double)(t->bytes - t->before) - bytes) * spent / bytes));
    progress_show(&t->live, "hearing  %s of %s recording%s   %s of sound   %.0f times real time%s", text_count(done, t->done), text_count(all, t->paths->count),
                  t->paths->count == 1 ? "" : "s", text_duration(sound, t->heard_s + t->here_s), heard / spent, end);
}

static int take_answer(void *context, const rn_answer *a)
{
    tour *t = context;
    if (t->f)
        finds_answer(t->f, a);
    else
        print_answer(t->p, a);
    t->here_s = a->end_s;
    show_progress(t);
    return stream_failed(t->p->out) || signals_stopped();
}

/* The recordings that are left to hear, by bytes. */
static void weigh(tour *t)
{
    struct stat info;
    for (int i = 0; i < t->paths->count; i++)
        t->bytes += stat(t->paths->paths[i], &info) || !S_ISREG(info.st_mode) ? 0 : info.st_size;
}

static int hear_one(tour *t, const char *path, int64_t bytes, rn_error *err)
{
    t->p->path = path;
    t->here_bytes = bytes;
    t->here_s = t->here_length_s = 0;
    if (t->live.live)
        rn_tools_seconds(path, t->listen, &t->here_length_s, NULL);
    if (t->f) {
        t->f->path = path;
        t->f->out = t->p->out;
    }
    int failed = rn_session_file(t->session, path, t->listen, take_answer, t, err);
    if (t->f && !signals_stopped())
        finds_end(t->f); /* also what was found before a fault in the file */
    t->heard_s += t->here_s;
    t->bytes_done += bytes;
    t->here_s = 0;
    t->done++;
    progress_end(&t->live);
    return failed;
}

static void note_heard(tour *t, const char *path, double seconds, const char *error)
{
    char *copy = t->heard && *error ? strdup(error) : NULL; /* ours where it is not "" */
    if (t->heard)
        t->heard[t->done - 1] = (rn_recording){path, copy ? copy : "", seconds, clock_or_none(path)};
}

/* To standard output. The worst exit status. */
static int hear_all(tour *t)
{
    rn_error err = {0};
    struct stat info;
    int worst = 0;
    for (int i = 0; i < t->paths->count && !output_failed() && worst != EXIT_USE; i++) {
        const char *path = t->paths->paths[i];
        double before = t->heard_s;
        int failed = hear_one(t, path, stat(path, &info) ? 0 : info.st_size, &err);
        note_heard(t, path, t->heard_s - before, failed ? err.text : "");
        if (failed && !ferror(stdout))
            worst = fail_with(&err); /* a full disk is said once, at the end */
    }
    if (t->f && t->f->failed && fail_with(&t->f->why) > worst)
        worst = EXIT_WORK;
    t->count = t->f ? t->f->count : 0;
    return worst;
}

/* Counts a recording that an earlier run has heard. An exit status. */
static int take_over(tour *t, const recording *old)
{
    t->known++;
    t->done++;
    t->count += old->finds;
    t->heard_s += old->seconds;
    t->known_s += old->seconds;
    t->bytes_done += old->bytes;
    t->before += old->bytes;
    note_heard(t, t->p->path, old->seconds, "");
    if (t->f && t->heard && finds_parse(t->f, t->p->path, old->found)) {
        complain("%s.part: the finds of %s can't be read: remove it to begin anew", t->out, old->path);
        return EXIT_WORK;
    }
    return 0;
}

/* What became of a recording, into the journal. An exit status. */
static int write_down(tour *t, recording *h, int first_find)
{
    char *found = NULL;
    size_t length;
    FILE *out = open_memstream(&found, &length);
    int lost = !out;
    if (out && t->f)
        lost = finds_write(t->f, first_find, out);
    if (out)
        lost |= fclose(out);
    h->found = found;
    if (lost)
        complain("no memory for the journal");
    int status = lost ? EXIT_WORK : journal_add(t->j, h);
    t->count += h->finds;
    t->failures += *h->error != 0;
    note_heard(t, h->path, h->seconds, h->error);
    free(found);
    return status;
}

/* One recording into the journal. An exit status: EXIT_STOPPED, EXIT_USE, or the journal's. */
static int hear_into_journal(tour *t, const char *path)
{
    struct stat info = {0};
    rn_error err = {0};
    int first_find = t->f ? t->f->all_count : 0, status;
    double sound_before = t->heard_s;
    recording h = {.path = path, .error = ""};
    char *text = NULL;
    if (!stat(path, &info)) {
        h.bytes = info.st_size;
        h.time_ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
    }
    const recording *old = journal_find(t->j, path, h.bytes, h.time_ns);
    t->p->path = path;
    if (old && !*old->error)
        return take_over(t, old);
    if (!(t->p->out = open_memstream(&text, &h.length))) {
        complain("no memory for an answer");
        return EXIT_WORK;
    }
    if (t->f)
        t->f->failed = t->f->why.code = 0;
    int failed = hear_one(t, path, h.bytes, &err);
    if (t->f && t->f->failed && !failed)
        failed = (err = t->f->why).code;
    int lost = ferror(t->p->out) | fclose(t->p->out);
    if (lost) {
        complain("no memory for an answer");
        status = EXIT_WORK;
    } else if (signals_stopped()) {
        t->done--;
        status = EXIT_STOPPED;
    } else if (failed && err.code == RN_ERR_ARG) {
        status = fail_with(&err);
    } else {
        h.text = text;
        h.error = failed ? err.text : "";
        h.seconds = t->heard_s - sound_before;
        h.finds = t->f ? t->f->all_count - first_find : 0;
        status = write_down(t, &h, first_find);
    }
    free(text);
    return status;
}

/* What failed, at the end, where it is seen. */
static void name_failures(const tour *t)
{
    char failures[32], all[32];
    complain("%s of %s recordings failed; the same command tries them again:", text_count(failures, t->failures), text_count(all, t->paths->count));
    for (int i = 0; i < t->paths->count; i++) {
        const char *why = journal_failure(t->j, t->paths->paths[i]);
        if (why)
            complain("  %s", why);
    }
}

static int hear_to_file(tour *t)
{
    char done[32], all[32];
    int status = 0;
    signals_watch();
    for (int i = 0; i < t->paths->count && !status; i++)
        status = signals_stopped() ? EXIT_STOPPED : hear_into_journal(t, t->paths->paths[i]);
    progress_end(&t->live);
    if (status == EXIT_STOPPED)
        complain("stopped: %s of %s recordings are heard and kept in %s.part; the same command goes on", text_count(done, t->done),
                 text_count(all, t->paths->count), t->out);
    if (!status && !(status = journal_finish(t->j, t->f ? finds_head(t->f) : "", t->paths)) && t->failures) {
        name_failures(t);
        status = EXIT_WORK;
    }
    return status;
}

/* --report. An exit status. */
static int write_page(const command *c, const tour *t)
{
    const char *path = option_text(c, "report");
    rn_error err = {0};
    char *typed = command_text();
    int failed = rn_tools_find_page(c->arguments[0], typed ? typed : "", t->f->all, t->f->all_count, t->heard, t->done, path, &err);
    free(typed);
    return failed ? fail_with(&err) : 0;
}

/* What was heard, and how fast. */
static void sum_up(const tour *t)
{
    char finds_text[32], recordings_text[32], length[32], known[32];
    double spent = seconds_now() - t->live.started, heard_now = t->heard_s - t->known_s;
    int n = t->paths->count;
    if (t->out)
        fprintf(stderr, "resnet: %s: ", t->out);
    else
        fputs("resnet: ", stderr);
    if (t->f)
        fprintf(stderr, "%s find%s in ", text_count(finds_text, t->count), t->count == 1 ? "" : "s");
    fprintf(stderr, "%s recording%s, %s of sound", text_count(recordings_text, n), n == 1 ? "" : "s", text_duration(length, t->heard_s));
    if (heard_now > 0)
        fprintf(stderr, ", %.0f times real time", heard_now / (spent > 0 ? spent : 1e-9));
    if (t->known)
        fprintf(stderr, "; %s of them heard before", text_count(known, t->known));
    fputc('\n', stderr);
}

/* What must not change between runs that write one file: program, model, and every option but those that change no answer. */
static char *identity_of(const command *c, const char *model)
{
    static const char *const passed[] = {"out", "report", "threads", "cpu"};
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (!out)
        return NULL;
    fprintf(out, "program resnet %s\nmodel %s\noptions", rn_version(), model);
    for (int table = 0; table < 2; table++)
        for (const option_row *row = table ? common_options : c->verb->options; row->name; row++) {
            int skip = 0;
            for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
                skip |= strcmp(row->name, passed[i]) == 0;
            const char *value = option_text(c, row->name);
            if (skip || !value)
                continue;
            fprintf(out, " --%s", row->name);
            for (fputc(' ', out); *value; value++)
                fputc(*value == '\n' ? ' ' : *value, out);
        }
    fputc('\n', out);
    if (fclose(out)) {
        free(text);
        return NULL;
    }
    return text;
}

static int open_journal(const command *c, tour *t)
{
    char model[33];
    rn_error err = {0};
    if (rn_tools_hash(c->arguments[0], model, &err))
        return fail_with(&err);
    char *identity = identity_of(c, model);
    if (!identity) {
        complain("no memory for the journal");
        return EXIT_WORK;
    }
    int status = journal_open(&t->j, t->out, identity);
    free(identity);
    return status;
}

/* Standard input is read once. */
static int refuse_standard_input(const command *c, const path_list *paths)
{
    for (int i = 0; i < paths->count; i++) {
        if (strcmp(paths->paths[i], "-"))
            continue;
        if (option_text(c, "extract"))
            complain("predict: --extract cuts finds out of files, and standard input can't be read twice: write it to a file first");
        else if (option_text(c, "out"))
            complain("predict: --out is for recordings that an interrupted run can go back to, and standard input is none: use >FILE");
        else
            continue;
        return EXIT_USE;
    }
    return 0;
}

/* Paths to recordings; the exit status so far is in *worst. */
static int list_paths(const command *c, path_list *paths, int *worst)
{
    rn_error err = {0};
    for (int i = 1; i < c->arguments_count; i++)
        if (path_list_add(paths, c->arguments[i], &err))
            *worst = fail_with(&err);
    return refuse_standard_input(c, paths);
}

int verb_predict(const command *c)
{
    rn_model *model = NULL;
    rn_listen listen;
    path_list paths = {.skip = option_text(c, "extract")};
    printing p = {.out = stdout};
    finds f = {0};
    tour t = {.paths = &paths, .listen = &listen, .p = &p, .out = option_text(c, "out")};
    int status = listen_options(c, &listen), worst = 0;
    if (status || (status = open_session(c, c->arguments[0], &model, &t.session)))
        goto done;
    p.model = paths.model = model;
    char *pictures = rn_model_config(model, "pictures");
    if (pictures && (option_text(c, "extract") || option_text(c, "report"))) {
        complain("predict: --%s is for recordings; the model takes pictures", option_text(c, "extract") ? "extract" : "report");
        status = EXIT_USE;
    }
    rn_text_free(pictures);
    if (status)
        goto done;
    p.json = option_flag(c, "json");
    p.ruled = listen.min_probability > 0 || listen.background;
    p.top = (int)option_integer(c, "top", 3);
    p.top = p.top < rn_model_classes(model) ? p.top : rn_model_classes(model);
    p.least = listen.min_probability;
    p.order = malloc((size_t)rn_model_classes(model) * sizeof *p.order);
    if (!p.order) {
        complain("no memory for an answer");
        status = EXIT_WORK;
        goto done;
    }
    status = list_paths(c, &paths, &worst);
    if (!status && t.out)
        status = worst; /* a file that says nothing of a folder that wasn't there would be taken for whole */
    if (status)
        goto done;
    if (finds_wanted(c)) {
        t.f = &f;
        if ((status = finds_start(&f, c, model, &listen, paths.count)))
            goto done;
    }
    if (t.out && (status = open_journal(c, &t)))
        goto done;
    if (option_text(c, "report") && !(t.heard = calloc((size_t)paths.count + 1, sizeof *t.heard))) {
        complain("no memory for the report");
        status = EXIT_WORK;
        goto done;
    }
    progress_start(&t.live, "hearing");
    t.live.live &= t.out || !isatty(STDOUT_FILENO); /* there the answers themselves are seen */
    weigh(&t);
    if (t.f && !t.out)
        fputs(finds_head(&f), stdout);
    status = t.out ? hear_to_file(&t) : hear_all(&t);
    status = status > worst ? status : worst;
    if (t.heard && status < EXIT_USE && (worst = write_page(c, &t)))
        status = worst;
    if (t.j && !status) /* else the next run tries again what failed */
        status = journal_remove(t.j);
    if ((t.f || t.out) && !ferror(stdout) && status < EXIT_USE)
        sum_up(&t);
done:
    journal_close(&t.j);
    for (int i = 0; t.heard && i < t.done; i++)
        if (*t.heard[i].error)
            free((char *)t.heard[i].error);
    free(t.heard);
    finds_close(&f);
    free(p.order);
    path_list_free(&paths);
    rn_session_close(&t.session);
    rn_model_close(&model);
    return status;
}
