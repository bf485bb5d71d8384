/* resnet predict: what is in recordings. One line, or one JSON object, per recording or window, flushed at once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "finds.h"

typedef struct printing {
    const rn_model *model;
    const char *path;
    int json, top, ruled; /* ruled: "unknown" and "none" are possible answers */
    int *order;
} printing;

static void print_object(const printing *p, const rn_answer *a, int count)
{
    json_t *top = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(top, json_pack("{s:s, s:f}", "label", rn_model_label(p->model, p->order[i]), "probability",
                                             (double)a->probability[p->order[i]]));
    json_t *line = json_pack("{s:o, s:f, s:f, s:o}", "path", path_value(p->path), "start_s", a->start_s, "end_s", a->end_s, "top", top);
    if (p->ruled)
        json_object_set_new(line, "answer", json_string(a->label));
    print_json_line(line);
    json_decref(line);
}

static int print_answer(void *context, const rn_answer *a)
{
    printing *p = context;
    int count = rn_answer_top(a, p->top, p->order);
    if (p->json) {
        print_object(p, a, count);
    } else {
        int named = strcmp(a->label, rn_model_label(p->model, a->best)) == 0;
        printf("%s", p->path);
        if (a->end_s > 0)
            printf("   %.1f - %4.1f s", a->start_s, a->end_s);
        if (!named)
            printf("   %s  ", a->label);
        for (int i = 0; i < count; i++)
            printf("%s%s %.1f %%",
                   named ? "   "
                   : i   ? ", "
                         : "(",
                   rn_model_label(p->model, p->order[i]), 100 * (double)a->probability[p->order[i]]);
        printf("%s\n", named ? "" : ")");
    }
    return output_failed();
}

/* Answers of all recordings, or finds in them. The worst exit status. */
static int hear_all(const path_list *paths, rn_session *session, const rn_listen *listen, printing *p, finds *f)
{
    rn_error err = {0};
    int worst = 0;
    for (int i = 0; i < paths->count && !ferror(stdout) && worst != EXIT_USE; i++) {
        int failed;
        p->path = paths->paths[i];
        if (f) {
            f->path = p->path;
            failed = rn_session_file(session, p->path, listen, finds_answer, f, &err);
            if (!ferror(stdout) && finds_end(f)) /* also what was found before a fault in the file */
                break;
        } else
            failed = rn_session_file(session, p->path, listen, print_answer, p, &err);
        if (f)
            progress_end(&f->live);
        if (failed && !ferror(stdout))
            worst = fail_with(&err); /* a full disk is said once, at the end */
    }
    return worst;
}

/* What was heard, and how fast. */
static void sum_up(const finds *f, int recordings, double seconds)
{
    char finds_text[32], recordings_text[32], heard[32];
    complain("%s find%s in %s recording%s, %s of sound, %.0f times real time", text_count(finds_text, f->count), f->count == 1 ? "" : "s",
             text_count(recordings_text, recordings), recordings == 1 ? "" : "s", text_duration(heard, f->heard_s), f->heard_s / (seconds > 0 ? seconds : 1e-9));
}

int verb_predict(const command *c)
{
    rn_error err = {0};
    rn_model *model = NULL;
    rn_session *session = NULL;
    rn_listen listen;
    path_list paths = {0};
    printing p = {0};
    finds f = {0};
    int status = listen_options(c, &listen), worst = 0, joining = finds_wanted(c);
    if (status || (status = open_session(c, c->arguments[0], &model, &session)))
        goto done;
    p.model = model;
    p.json = option_flag(c, "json");
    p.ruled = listen.min_probability > 0 || listen.background;
    p.top = (int)option_integer(c, "top", 3);
    p.top = p.top < rn_model_classes(model) ? p.top : rn_model_classes(model);
    p.order = malloc((size_t)p.top * sizeof *p.order);
    if (!p.order) {
        complain("no memory for an answer");
        status = EXIT_WORK;
        goto done;
    }
    for (int i = 1; i < c->arguments_count; i++)
        if (path_list_add(&paths, c->arguments[i], &err))
            worst = fail_with(&err);
    for (int i = 0; i < paths.count && option_text(c, "extract"); i++)
        if (strcmp(paths.paths[i], "-") == 0) {
            complain("predict: --extract cuts finds out of files, and standard input can't be read twice: write it to a file first");
            status = EXIT_USE;
            goto done;
        }
    if (joining && (status = finds_start(&f, c, model, &listen, paths.count)))
        goto done;
    double started = seconds_now();
    status = hear_all(&paths, session, &listen, &p, joining ? &f : NULL);
    status = status > worst ? status : worst;
    status = status > f.failed ? status : f.failed;
    if (joining && !ferror(stdout))
        sum_up(&f, paths.count, seconds_now() - started);
done:
    finds_close(&f);
    free(p.order);
    path_list_free(&paths);
    rn_session_close(&session);
    rn_model_close(&model);
    return status;
}
