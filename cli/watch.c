/* resnet watch: runs in a browser or in the terminal, while they go on and afterwards. */
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli.h"
#include "curves.h"
#include "runlog.h"
#include "serve/watch.h"

enum { SMOOTHED = 60 /* points of a loss in the terminal */, RUNS_MOST = 26 };

/* ---- Words ---- */

/* What comes from a file may hold commands for the terminal: control characters become '?'. */
static void print_plain(FILE *out, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text, next = (unsigned char)text[1];
        if (c == 0xc2 && next >= 0x80 && next < 0xa0) {
            fputc('?', out);
            text++;
        } else {
            fputc(c < 0x20 || c == 0x7f ? '?' : c, out);
        }
    }
}

static void print_summary(FILE *out, char letter, const run_log *log)
{
    char left[32];
    const json_t *p = log->progress;
    const log_epoch *last = log->epochs_count ? &log->epochs[log->epochs_count - 1] : NULL, *best = run_log_best(log);
    if (letter)
        fprintf(out, "%c  ", letter);
    print_plain(out, log->folder);
    fprintf(out, "   %s", run_log_state(log));
    int epochs = log->epochs_planned ? log->epochs_planned : (int)number_of(p, "epochs");
    int epoch = p ? (int)number_of(p, "epoch") : last ? last->epoch : 0;
    if (epoch && epochs)
        fprintf(out, ", epoch %d of %d", epoch, epochs);
    if (last)
        fprintf(out, "   loss %.3f", last->loss);
    if (last && !isnan(last->validation))
        fprintf(out, "   validation %.1f %%", 100 * last->validation);
    if (best && !isnan(best->validation))
        fprintf(out, "   best %.1f %% (epoch %d)", 100 * best->validation, best->epoch);
    if (run_log_goes_on(log) && real_of(p, "items_per_second") > 0)
        fprintf(out, "   %.0f items/s", real_of(p, "items_per_second"));
    if (run_log_goes_on(log) && json_is_number(json_object_get(p, "seconds_left")))
        fprintf(out, "   %s left", text_duration(left, real_of(p, "seconds_left")));
    if (log->tested)
        fprintf(out, "   test %.1f %% (%.1f to %.1f)", 100 * log->test, 100 * log->test_low, 100 * log->test_high);
    fputc('\n', out);
    if (text_of(p, "error")[0] && strcmp(run_log_state(log), "failed") == 0) {
        fputs("   ", out);
        print_plain(out, text_of(p, "error"));
        fputc('\n', out);
    }
}

/* ---- Curves ---- */

typedef struct points {
    int count;
    double *x, *y;
} points;

static points points_of(int count)
{
    points p = {0, calloc((size_t)count + 1, sizeof(double)), calloc((size_t)count + 1, sizeof(double))};
    if (p.x && p.y)
        p.count = count;
    return p;
}

static double epoch_steps(const run_log *log)
{
    const log_epoch *last = log->epochs_count ? &log->epochs[log->epochs_count - 1] : NULL;
    return log->epoch_steps ? (double)log->epoch_steps : last && last->step > 0 ? last->step / last->epoch : 1;
}

enum { TRAINING, VALIDATION, TRAINING_LOSS, VALIDATION_LOSS };

static points epochs_of(const run_log *log, int what)
{
    points p = points_of(log->epochs_count);
    for (int i = 0; i < p.count; i++) {
        const log_epoch *e = &log->epochs[i];
        p.x[i] = e->epoch;
        p.y[i] = what == TRAINING          ? 100 * e->accuracy
                 : what == VALIDATION      ? 100 * e->validation
                 : what == VALIDATION_LOSS ? e->validation_loss
                                           : e->loss;
    }
    return p;
}

/* Losses of steps as means of equally many neighbours, over epochs; those of epochs where few steps are in the log. */
static points training_loss(const run_log *log)
{
    if (log->steps_count <= log->epochs_count)
        return epochs_of(log, TRAINING_LOSS);
    int parts = log->steps_count < SMOOTHED ? log->steps_count : SMOOTHED;
    points p = points_of(parts);
    for (int i = 0; i < p.count; i++) {
        int first = (int)((long)log->steps_count * i / parts), end = (int)((long)log->steps_count * (i + 1) / parts);
        for (int k = first; k < end; k++) {
            p.x[i] += log->steps[k].step / (end - first) / epoch_steps(log);
            p.y[i] += log->steps[k].loss / (end - first);
        }
    }
    return p;
}

typedef struct plots {
    int kept, losses, accuracies;
    points all[4 * RUNS_MOST]; /* what the curves point into */
    curve loss[2 * RUNS_MOST], accuracy[2 * RUNS_MOST];
} plots;

/* Takes the points over; without a single value there is no curve. */
static void add_curve(plots *s, curve *list, int *count, char letter, const char *name, points p)
{
    int there = 0;
    for (int i = 0; i < p.count; i++)
        there |= !isnan(p.y[i]);
    s->all[s->kept++] = p;
    if (there)
        list[(*count)++] = (curve){letter, name, p.count, p.x, p.y};
}

/* Two plots. One run: training and validation in each; several: the loss of training, and the accuracy of validation. */
static void print_plots(FILE *out, const run_log *logs, int count, int columns, int rows, int dots)
{
    plots *s = calloc(1, sizeof *s);
    if (!s)
        return;
    for (int i = 0; i < count && count > 1; i++) {
        add_curve(s, s->loss, &s->losses, (char)('a' + i), logs[i].folder, training_loss(&logs[i]));
        add_curve(s, s->accuracy, &s->accuracies, (char)('a' + i), logs[i].folder, epochs_of(&logs[i], VALIDATION));
    }
    if (count == 1) {
        add_curve(s, s->loss, &s->losses, 't', "training", training_loss(logs));
        add_curve(s, s->loss, &s->losses, 'v', "validation", epochs_of(logs, VALIDATION_LOSS));
        add_curve(s, s->accuracy, &s->accuracies, 't', "training", epochs_of(logs, TRAINING));
        add_curve(s, s->accuracy, &s->accuracies, 'v', "validation", epochs_of(logs, VALIDATION));
    }
    plot_print(out, &(plot){"loss", "epoch", "", columns, rows, dots}, s->loss, s->losses);
    plot_print(out, &(plot){count > 1 ? "accuracy in validation" : "accuracy", "epoch", " %", columns, rows, dots}, s->accuracy,
               s->accuracies);
    for (int i = 0; i < s->kept; i++) {
        free(s->all[i].x);
        free(s->all[i].y);
    }
    free(s);
}

/* Does the locale of the environment say UTF-8? */
static int shows_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (int i = 0; i < 3; i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return strstr(value, "UTF-8") || strstr(value, "utf8") || strstr(value, "UTF8") || strstr(value, "utf-8");
    }
    return 0;
}

static int goes_on(const run_log *logs, int count)
{
    for (int i = 0; i < count; i++)
        if (run_log_goes_on(&logs[i]))
            return 1;
    return 0;
}

static void print_all(const run_log *logs, int count, int terminal)
{
    struct winsize size = {0};
    int columns = 80, lines = 24;
    if (terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col) {
        columns = size.ws_col;
        lines = size.ws_row ? size.ws_row : lines;
    }
    int rows = (lines - count - 8) / 2; /* 3 more lines of each plot, a blank one, the cursor's */
    if (terminal)
        fputs("\033[H\033[J", stdout);
    for (int i = 0; i < count; i++)
        print_summary(stdout, count > 1 ? (char)('a' + i) : 0, &logs[i]);
    fputc('\n', stdout);
    print_plots(stdout, logs, count, columns, rows < 5 ? 5 : rows > 14 ? 14 : rows, shows_utf8());
    fflush(stdout);
}

/* ---- As data ---- */

static json_t *real_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *log_object(const run_log *log)
{
    const log_epoch *best = run_log_best(log);
    json_t *epochs = json_array();
    for (int i = 0; i < log->epochs_count; i++) {
        const log_epoch *e = &log->epochs[i];
        json_array_append_new(epochs, json_pack("{s:i, s:o, s:o, s:o, s:o, s:b}", "epoch", e->epoch, "loss", real_or_null(e->loss),
                                                "accuracy", real_or_null(e->accuracy), "validation_loss", real_or_null(e->validation_loss),
                                                "validation_accuracy", real_or_null(e->validation), "best", e->best));
    }
    json_t *object = json_pack("{s:o, s:s, s:i, s:o}", "run", path_value(log->folder), "state", run_log_state(log), "epochs_planned",
                               log->epochs_planned, "epochs", epochs);
    if (best)
        json_object_set_new(object, "best_epoch", json_integer(best->epoch));
    if (log->tested)
        json_object_set_new(object, "test_accuracy", real_or_null(log->test));
    if (log->progress)
        json_object_set(object, "progress", log->progress);
    return object;
}

/* ---- The verb ---- */

static int read_all(run_log *logs, int count)
{
    rn_error err = {0};
    for (int i = 0; i < count; i++)
        if (run_log_read(&logs[i], &err))
            return fail_with(&err);
    return 0;
}

/* Are the runs there? The page reads them itself. */
static int find_all(const run_log *logs, int count)
{
    rn_error err = {0};
    for (int i = 0; i < count; i++)
        if (run_log_find(&logs[i], &err))
            return fail_with(&err);
    return 0;
}

static int watch_in_terminal(const command *c, run_log *logs, int count)
{
    int terminal = isatty(STDOUT_FILENO), status = 0;
    if (option_flag(c, "json")) {
        json_t *all = json_array();
        for (int i = 0; i < count; i++)
            json_array_append_new(all, log_object(&logs[i]));
        print_json(all);
        json_decref(all);
        return EXIT_DONE;
    }
    print_all(logs, count, terminal);
    while (terminal && !status && !signals_stopped() && goes_on(logs, count)) {
        poll(NULL, 0, 1000);
        if (!(status = read_all(logs, count)))
            print_all(logs, count, terminal);
    }
    return status;
}

static int watch_in_browser(const command *c)
{
    rn_error err = {0};
    watch_page *page;
    if (watch_open(&page, option_text(c, "listen"), c->arguments, c->arguments_count, &err))
        return fail_with(&err);
    printf("%s\n", watch_url(page));
    fflush(stdout);
    if (isatty(STDERR_FILENO))
        fputs("Ctrl-C ends it.\n", stderr);
    while (!signals_stopped())
        poll(NULL, 0, 200);
    watch_close(&page);
    return EXIT_DONE;
}

int verb_watch(const command *c)
{
    int count = c->arguments_count, text = option_flag(c, "text") || option_flag(c, "json");
    if (text && option_text(c, "listen")) {
        complain("watch: --listen is for the page: leave it or --text out");
        return EXIT_USE;
    }
    if (count > RUNS_MOST) {
        complain("watch: %d runs: at most %d can be told apart", count, RUNS_MOST);
        return EXIT_USE;
    }
    run_log logs[RUNS_MOST];
    for (int i = 0; i < count; i++)
        run_log_start(&logs[i], c->arguments[i]);
    signals_watch();
    int status = text ? read_all(logs, count) : find_all(logs, count);
    if (!status)
        status = text ? watch_in_terminal(c, logs, count) : watch_in_browser(c);
    for (int i = 0; i < count; i++)
        run_log_free(&logs[i]);
    return status;
}
