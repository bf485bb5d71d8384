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

/* --out finds.csv says the format, too. */
static const char *format_of_name(const char *out)
{
    const char *dot = out ? strrchr(out, '.') : NULL;
    return dot && !strcmp(dot, ".csv") ? "csv" : NULL;
}

int finds_wanted(const command *c)
{
    return (format_of_name(option_text(c, "out")) && !option_flag(c, "json")) || option_text(c, "extract") || option_text(c, "report") || option_text(c, "format") || option_text(c, "merge-gap") || option_text(c, "keep-prob");
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

long long clock_or_none(const char *path)
{
    long long seconds;
    return clock_of_name(path, &seconds) ? seconds : -1;
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

static void fail(finds *f, int code, const char *path, const char *why)
{
    f->failed = f->why.code = code;
    snprintf(f->why.text, sizeof f->why.text, "%.800s: %s", path, why);
}

static void keep_find(finds *f, const rn_find *one)
{
    if (f->all_count == f->all_room) {
        int room = f->all_room ? 2 * f->all_room : 256;
        rn_find *larger = room > 0 ? realloc(f->all, (size_t)room * sizeof *larger) : NULL;
        if (!larger) {
            fail(f, RN_ERR_MEMORY, one->path, "no memory for its finds");
            return;
        }
        f->all = larger;
        f->all_room = room;
    }
    f->all[f->all_count++] = *one;
}

int finds_write(const finds *f, int first, FILE *out)
{
    for (int i = first; i < f->all_count; i++)
        fprintf(out, "%d %.17g %.17g %.9g\n", rn_model_find_label(f->model, f->all[i].label), f->all[i].start_s, f->all[i].end_s, f->all[i].probability);
    return ferror(out);
}

int finds_parse(finds *f, const char *path, const char *text)
{
    rn_find one = {.path = path, .clock_s = clock_or_none(path)};
    int label, used;
    for (; *text; text += used) {
        if (sscanf(text, "%d %lf %lf %lf%n", &label, &one.start_s, &one.end_s, &one.probability, &used) != 4 || text[used++] != '\n' || label < 0 ||
            label >= rn_model_classes(f->model))
            return 1;
        one.label = rn_model_label(f->model, label);
        keep_find(f, &one);
    }
    return 0;
}

static void drop_cuts(finds *f)
{
    for (int i = 0; i < f->cuts_count; i++)
        free((char *)f->cuts[i].out);
    f->cuts_count = 0;
}

/* DIR/LABEL/RECORDING_START_LABEL_PROBABILITY.wav: folders of classes, as training reads them. RECORDING is the whole path, since recorders
 * give the same names in every folder. */
static void note_cut(finds *f, int label)
{
    const find *at = &f->open[label];
    const char *from = strncmp(f->path, "./", 2) ? f->path : f->path + 2, *base = strrchr(from, '/'), *name = rn_model_label(f->model, label);
    const char *dot = strrchr(base ? base : from, '.');
    char recording[160], class[60], path[1600];
    name_part(recording, sizeof recording, from, dot ? (size_t)(dot - from) : strlen(from));
    name_part(class, sizeof class, name, strlen(name));
    snprintf(path, sizeof path, "%.1200s/%s/%s_%09.3f_%s_%03.0f.wav", f->extract, class, recording, at->start_s, class, 100 * (double)at->most);
    if (f->cuts_count == f->cuts_room) {
        int room = f->cuts_room ? 2 * f->cuts_room : 64;
        rn_cut *larger = realloc(f->cuts, (size_t)room * sizeof *larger);
        if (larger) {
            f->cuts = larger;
            f->cuts_room = room;
        }
    }
    char *copy = f->cuts_count < f->cuts_room ? strdup(path) : NULL;
    if (copy)
        f->cuts[f->cuts_count++] = (rn_cut){at->start_s, at->end_s, copy};
    else
        fail(f, RN_ERR_MEMORY, f->path, "no memory for its finds");
}

static int compare_cuts(const void *a, const void *b)
{
    const rn_cut *x = a, *y = b;
    return (x->start_s > y->start_s) - (x->start_s < y->start_s);
}

/* The folders of the cuts, then all of them in one pass over the recording. */
static void cut_out(finds *f)
{
    char folder[1600];
    for (int i = 0; i < f->cuts_count && !f->failed; i++) {
        snprintf(folder, sizeof folder, "%s", f->cuts[i].out);
        *strrchr(folder, '/') = 0;
        if ((mkdir(f->extract, 0777) && errno != EEXIST) || (mkdir(folder, 0777) && errno != EEXIST))
            fail(f, RN_ERR_IO, folder, strerror(errno));
    }
    if (f->cuts_count && !f->failed) { /* one reason is enough: the disk is full, or the folder may not be written */
        qsort(f->cuts, (size_t)f->cuts_count, sizeof *f->cuts, compare_cuts);
        f->failed = rn_tools_cut(f->path, f->listen, f->cuts, f->cuts_count, &f->why);
    }
    drop_cuts(f);
}

/* --- writing ----------------------------------------------------------------------------------------------------------------------------- */

const char *finds_head(const finds *f)
{
    return f->format == FINDS_CSV     ? "path,start_s,end_s,clock,label,probability,mean_probability,windows\n"
           : f->format == FINDS_RAVEN ? "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tAnnotation\tConfidence\tBegin Path\n"
                                      : "";
}

static int put_text(void *context, const char *text)
{
    return fputs(text, context) < 0;
}

/* A field between tabs: what would end it is written as a blank. */
static void put_cell(FILE *out, const char *text)
{
    for (; *text; text++)
        fputc((unsigned char)*text < ' ' ? ' ' : *text, out);
}

static void put_json(const finds *f, const find *at, const char *label, const char *clock)
{
    json_t *line = json_pack("{s:o, s:f, s:f, s:s, s:f, s:f, s:i}", "path", path_value(f->path), "start_s", at->start_s, "end_s", at->end_s, "label", label, "probability", (double)at->most,
                             "mean_probability", at->sum / at->windows, "windows", at->windows);
    if (clock[0])
        json_object_set_new(line, "clock", json_string(clock));
    write_json_line(f->out, line);
    json_decref(line);
}

static void put_find(finds *f, int label)
{
    const find *at = &f->open[label];
    const char *name = rn_model_label(f->model, label);
    char clock[32];
    clock_text(f->path, at->start_s, clock);
    f->count++;
    keep_find(f, &(rn_find){f->path, name, at->start_s, at->end_s, (double)at->most, clock_or_none(f->path)});
    if (f->extract)
        note_cut(f, label);
    switch (f->format) {
    case FINDS_JSONL: put_json(f, at, name, clock); break;
    case FINDS_CSV:
        csv_field(f->path, put_text, f->out);
        fprintf(f->out, ",%.3f,%.3f,%s,", at->start_s, at->end_s, clock);
        csv_field(name, put_text, f->out);
        fprintf(f->out, ",%.4f,%.4f,%d\n", (double)at->most, at->sum / at->windows, at->windows);
        break;
    case FINDS_AUDACITY:
        fprintf(f->out, "%.6f\t%.6f\t", at->start_s, at->end_s);
        put_cell(f->out, name);
        fprintf(f->out, " %.0f%%\n", 100 * (double)at->most);
        break;
    case FINDS_RAVEN:
        fprintf(f->out, "%lld\tSpectrogram 1\t1\t%.6f\t%.6f\t", (long long)f->count, at->start_s, at->end_s);
        put_cell(f->out, name);
        fprintf(f->out, "\t%.4f\t", (double)at->most);
        put_cell(f->out, f->path);
        fputc('\n', f->out);
        break;
    case FINDS_TABLE:
        fprintf(f->out, "%s   %.1f - %4.1f s%s%s   %s %.1f %%\n", f->path, at->start_s, at->end_s, clock[0] ? "   " : "", clock, name, 100 * (double)at->most);
        break;
    }
}

/* --- joining -------------------------------------------------------------------------------------------------------------------------------- */

void finds_answer(finds *f, const rn_answer *a)
{
    for (int k = 0; k < a->classes; k++) {
        find *at = &f->open[k];
        double p = (double)a->probability[k], scale = f->own ? rn_model_threshold(f->model, k) / f->begin : 1;
        if (k == f->background)
            continue;
        if (at->open && a->start_s > at->end_s + f->gap + 1e-9) {
            put_find(f, k);
            at->open = 0;
        }
        if (p < scale * (at->open ? f->keep : f->begin))
            continue;
        if (!at->open)
            *at = (find){.open = 1, .start_s = a->start_s};
        at->end_s = a->end_s;
        at->sum += p;
        at->most = a->probability[k] > at->most ? a->probability[k] : at->most;
        at->windows++;
    }
}

void finds_end(finds *f)
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
    cut_out(f);
}

int finds_start(finds *f, const command *c, const rn_model *model, const rn_listen *listen, int recordings)
{
    static const char *const names[] = {"table", "jsonl", "csv", "audacity", "raven"};
    const char *format = option_text(c, "format");
    memset(f, 0, sizeof *f);
    f->out = stdout;
    f->model = model;
    if (!format)
        format = format_of_name(option_text(c, "out"));
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
    f->own = rn_model_several(model) && !option_text(c, "min-prob");
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
    return 0;
}

void finds_close(finds *f)
{
    drop_cuts(f);
    free(f->all);
    free(f->cuts);
    free(f->open);
    memset(f, 0, sizeof *f);
}
