/* Joining windows to finds, and writing them. */
#include "finds.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int finds_wanted(const command *c)
{
    return option_text(c, "extract") || option_text(c, "format") || option_text(c, "merge-gap") || option_text(c, "keep-prob");
}

/* --- the clock in a name ------------------------------------------------------------------------------------------------------------- */

static int number(const char *text, int digits)
{
    int n = 0;
    for (int i = 0; i < digits; i++) {
        if (!isdigit((unsigned char)text[i]))
            return -1;
        n = 10 * n + text[i] - '0';
    }
    return n;
}

int clock_of_name(const char *path, long long *seconds)
{
    static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const char *name = strrchr(path, '/');
    *seconds = 0;
    for (name = name ? name + 1 : path; strlen(name) >= 15; name++) {
        struct tm t = {.tm_year = number(name, 4) - 1900, .tm_mon = number(name + 4, 2) - 1, .tm_mday = number(name + 6, 2)};
        t.tm_hour = number(name + 9, 2);
        t.tm_min = number(name + 11, 2);
        t.tm_sec = number(name + 13, 2);
        if ((name[8] == '_' || name[8] == 'T' || name[8] == '-') && t.tm_year >= 70 && t.tm_year < 300 && t.tm_mon >= 0 && t.tm_mon < 12 && t.tm_mday >= 1 &&
            t.tm_mday <= days[t.tm_mon] && t.tm_hour >= 0 && t.tm_hour < 24 && t.tm_min >= 0 && t.tm_min < 60 && t.tm_sec >= 0 && t.tm_sec < 60) {
            *seconds = (long long)timegm(&t);
            return 1;
        }
    }
    return 0;
}

/* The time of day at which a find begins, "2026-11-24T06:34:05"; empty where the name has none. */
static void clock_text(const char *path, double start_s, char text[32])
{
    long long seconds;
    struct tm t;
    text[0] = 0;
    if (!clock_of_name(path, &seconds))
        return;
    time_t at = (time_t)(seconds + (long long)floor(start_s));
    if (gmtime_r(&at, &t))
        strftime(text, 32, "%Y-%m-%dT%H:%M:%S", &t);
}

/* --- cutting out ---------------------------------------------------------------------------------------------------------------------------- */

/* The end of a text as a part of a file's name: what a path could be made of, or a shell trip over, becomes "_"; "/" becomes "+". */
static void name_part(char *out, size_t size, const char *text, size_t length)
{
    size_t n = 0, first = length < size ? 0 : length - size + 1;
    for (size_t i = first; i < length; i++)
        out[n++] = text[i] == '/' ? '+' : (unsigned char)text[i] <= ' ' || strchr("\\:*?\"<>|'$`&;", text[i]) ? '_' : text[i];
    out[n] = 0;
    if (out[0] == '.')
        out[0] = '_';
}

/* DIR/LABEL/RECORDING_START_LABEL_PROBABILITY.wav: folders of classes, as training reads them. RECORDING is the whole path, since recorders
 * give the same names in every folder. */
static void cut_out(finds *f, int label)
{
    const find *at = &f->open[label];
    const char *from = strncmp(f->path, "./", 2) ? f->path : f->path + 2, *base = strrchr(from, '/'), *name = rn_model_label(f->model, label);
    const char *dot = strrchr(base ? base : from, '.');
    char recording[160], class[60], folder[1200], path[1600];
    rn_error err = {0};
    name_part(recording, sizeof recording, from, dot ? (size_t)(dot - from) : strlen(from));
    name_part(class, sizeof class, name, strlen(name));
    snprintf(folder, sizeof folder, "%s/%s", f->extract, class);
    snprintf(path, sizeof path, "%s/%s_%09.3f_%s_%03.0f.wav", folder, recording, at->start_s, class, 100 * (double)at->most);
    if ((mkdir(f->extract, 0777) && errno != EEXIST) || (mkdir(folder, 0777) && errno != EEXIST)) {
        complain("%s: %s", folder, strerror(errno));
        f->failed = EXIT_WORK;
    } else if (rn_tools_cut(f->path, f->listen, at->start_s, at->end_s, path, &err)) {
        f->failed = fail_with(&err);
    }
}

/* --- writing ----------------------------------------------------------------------------------------------------------------------------- */

static void put_head(const finds *f)
{
    if (f->format == FINDS_CSV)
        printf("path,start_s,end_s,clock,label,probability,mean_probability,windows\n");
    if (f->format == FINDS_RAVEN)
        printf("Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tAnnotation\tConfidence\tBegin Path\n");
}

static int put_text(void *context, const char *text)
{
    (void)context;
    return fputs(text, stdout) < 0;
}

/* A field between tabs: what would end it is written as a blank. */
static void put_cell(const char *text)
{
    for (; *text; text++)
        putchar((unsigned char)*text < ' ' ? ' ' : *text);
}

static void put_json(const finds *f, const find *at, const char *label, const char *clock)
{
    json_t *line = json_pack("{s:o, s:f, s:f, s:s, s:f, s:f, s:i}", "path", path_value(f->path), "start_s", at->start_s, "end_s", at->end_s, "label", label, "probability", (double)at->most,
                             "mean_probability", at->sum / at->windows, "windows", at->windows);
    if (clock[0])
        json_object_set_new(line, "clock", json_string(clock));
    print_json_line(line);
    json_decref(line);
}

static void put_find(finds *f, int label)
{
    const find *at = &f->open[label];
    const char *name = rn_model_label(f->model, label);
    char clock[32];
    clock_text(f->path, at->start_s, clock);
    f->count++;
    if (f->extract && !f->failed) /* one reason is enough: the disk is full, or the folder may not be written */
        cut_out(f, label);
    switch (f->format) {
    case FINDS_JSONL: put_json(f, at, name, clock); break;
    case FINDS_CSV:
        csv_field(f->path, put_text, NULL);
        printf(",%.3f,%.3f,%s,", at->start_s, at->end_s, clock);
        csv_field(name, put_text, NULL);
        printf(",%.4f,%.4f,%d\n", (double)at->most, at->sum / at->windows, at->windows);
        break;
    case FINDS_AUDACITY:
        printf("%.6f\t%.6f\t", at->start_s, at->end_s);
        put_cell(name);
        printf(" %.0f%%\n", 100 * (double)at->most);
        break;
    case FINDS_RAVEN:
        printf("%lld\tSpectrogram 1\t1\t%.6f\t%.6f\t", (long long)f->count, at->start_s, at->end_s);
        put_cell(name);
        printf("\t%.4f\t", (double)at->most);
        put_cell(f->path);
        putchar('\n');
        break;
    case FINDS_TABLE:
        printf("%s   %.1f - %4.1f s%s%s   %s %.1f %%\n", f->path, at->start_s, at->end_s, clock[0] ? "   " : "", clock, name, 100 * (double)at->most);
        break;
    }
}

/* --- joining -------------------------------------------------------------------------------------------------------------------------------- */

int finds_answer(void *context, const rn_answer *a)
{
    finds *f = context;
    for (int k = 0; k < a->classes; k++) {
        find *at = &f->open[k];
        double p = (double)a->probability[k];
        if (k == f->background)
            continue;
        if (at->open && a->start_s > at->end_s + f->gap + 1e-9) {
            put_find(f, k);
            at->open = 0;
        }
        if (p < (at->open ? f->keep : f->begin))
            continue;
        if (!at->open)
            *at = (find){.open = 1, .start_s = a->start_s};
        at->end_s = a->end_s;
        at->sum += p;
        at->most = a->probability[k] > at->most ? a->probability[k] : at->most;
        at->windows++;
    }
    f->last_s = a->end_s;
    if (f->recordings > 1)
        progress_step(&f->live, f->done, f->recordings);
    else
        progress_step(&f->live, (int64_t)f->last_s, 0);
    return output_failed();
}

int finds_end(finds *f)
{
    for (;;) { /* in the order of their beginnings */
        int first = -1;
        for (int k = 0; k < rn_model_classes(f->model); k++)
            if (f->open[k].open && (first < 0 || f->open[k].start_s < f->open[first].start_s))
                first = k;
        if (first < 0)
            break;
        put_find(f, first);
        f->open[first].open = 0;
    }
    f->heard_s += f->last_s;
    f->last_s = 0;
    f->done++;
    return output_failed();
}

int finds_start(finds *f, const command *c, const rn_model *model, const rn_listen *listen, int recordings)
{
    static const char *const names[] = {"table", "jsonl", "csv", "audacity", "raven"};
    const char *format = option_text(c, "format");
    memset(f, 0, sizeof *f);
    f->model = model;
    for (int i = 0; format && i < 5; i++)
        if (strcmp(format, names[i]) == 0)
            f->format = (find_format)i;
    if (option_flag(c, "json")) {
        if (format && f->format != FINDS_JSONL) {
            complain("predict: --json and --format %s: want one of the two", format);
            return EXIT_USE;
        }
        f->format = FINDS_JSONL;
    }
    f->begin = option_number(c, "min-prob", 0.5);
    f->keep = option_number(c, "keep-prob", 0.7 * f->begin);
    f->gap = option_number(c, "merge-gap", 0);
    f->extract = option_text(c, "extract");
    f->listen = listen;
    f->background = listen->background ? rn_model_find_label(model, listen->background) : -1;
    if (f->keep > f->begin) {
        complain("predict: --keep-prob %g is above --min-prob %g: a find that has begun goes on at a lower probability, not a higher one", f->keep, f->begin);
        return EXIT_USE;
    }
    if (recordings > 1 && (f->format == FINDS_AUDACITY || f->format == FINDS_RAVEN)) {
        complain("predict: --format %s: such a table belongs to one recording, and there are %d: name one, or use csv", format, recordings);
        return EXIT_USE;
    }
    if (!(f->open = calloc((size_t)rn_model_classes(model), sizeof *f->open))) {
        complain("no memory");
        return EXIT_WORK;
    }
    put_head(f);
    f->recordings = recordings;
    progress_start(&f->live, recordings > 1 ? "hearing" : "hearing, seconds:");
    f->live.live &= !isatty(STDOUT_FILENO); /* there the finds themselves are seen */
    return 0;
}

void finds_close(finds *f)
{
    progress_end(&f->live);
    free(f->open);
    f->open = NULL;
}
