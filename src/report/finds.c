/* What was found, from the whole to the single find: how much of each class, at which hour of the day, and when and where each one is.
 *
 * The table of hours is its own picture: cells are tinted by their share of the row's largest, and hold the counts. A find counts in the hour in
 * which it begins; how long each hour was listened to stands below, since a recorder that sleeps at noon finds nothing there. Times are those of the
 * recordings' names, whatever zone the recorder's clock was set to. */
#include "report/finds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/page.h"

extern const char rn_page_page_css[], rn_page_report_css[];

enum { HOURS = 24, DAY_S = 86400, LIST_MOST = 5000, CLASSES_MOST = 200 };

typedef struct class_row {
    const char *label;
    int finds;
    double seconds, most; /* together; the largest probability */
    int hour[HOURS];
} class_row;

typedef struct night {
    const rn_page_find *finds;
    const rn_page_recording *recordings;
    int count, recordings_count, failed, timed; /* timed: recordings whose name says when */
    double sound_s, heard_s[HOURS];             /* of all; by hour */
    long long first_s, last_s;                  /* of the timed */
    class_row *classes;
    int classes_count;
    const rn_page_find **order; /* [count] */
} night;

static int hour_of(double clock_s)
{
    double day = clock_s - DAY_S * floor(clock_s / DAY_S);
    int hour = (int)(day / 3600);
    return hour < HOURS ? hour : HOURS - 1;
}

/* "2026-11-24 06:34:05" of seconds since 1970: the civil calendar from days, by eras of 400 years that begin in March. */
static void put_clock(rn_page *p, double clock_s, int with_day)
{
    long long seconds = (long long)floor(clock_s), days = seconds >= 0 ? seconds / DAY_S : -((DAY_S - 1 - seconds) / DAY_S),
              rest = seconds - days * DAY_S;
    long long shifted = days + 719468, era = (shifted >= 0 ? shifted : shifted - 146096) / 146097, day = shifted - era * 146097;
    long long year = (day - day / 1460 + day / 36524 - day / 146096) / 365, of_year = day - (365 * year + year / 4 - year / 100),
              month = (5 * of_year + 2) / 153;
    if (with_day)
        rn_page_put(p, "%lld-%02lld-%02lld ", year + era * 400 + (month >= 10), month < 10 ? month + 3 : month - 9,
                    of_year - (153 * month + 2) / 5 + 1);
    rn_page_put(p, "%02lld:%02lld:%02lld", rest / 3600, rest / 60 % 60, rest % 60);
}

static void put_duration(rn_page *p, double s)
{
    rn_page_put(p, s < 99.5 ? "%.1f&#160;s" : s < 5970 ? "%.0f&#160;min" : "%.1f&#160;h", s < 99.5 ? s : s < 5970 ? s / 60 : s / 3600);
}

/* ---- Counting ---- */

static int by_label(const void *a, const void *b)
{
    const rn_page_find *x = *(const rn_page_find *const *)a, *y = *(const rn_page_find *const *)b;
    int order = strcmp(x->label, y->label);
    return order ? order : (x > y) - (x < y);
}

static int by_probability(const void *a, const void *b)
{
    const rn_page_find *x = *(const rn_page_find *const *)a, *y = *(const rn_page_find *const *)b;
    return x->probability != y->probability ? (x->probability < y->probability) - (x->probability > y->probability) : (x > y) - (x < y);
}

static int by_place(const void *a, const void *b)
{
    const rn_page_find *x = *(const rn_page_find *const *)a, *y = *(const rn_page_find *const *)b;
    return (x > y) - (x < y);
}

static int most_finds(const void *a, const void *b)
{
    const class_row *x = a, *y = b;
    return x->finds != y->finds ? (x->finds < y->finds) - (x->finds > y->finds) : strcmp(x->label, y->label);
}

/* A recording's sound, cut at full hours. */
static void count_hours(night *n, const rn_page_recording *r)
{
    double at = (double)r->clock_s, end = at + r->seconds;
    n->first_s = n->timed && n->first_s < r->clock_s ? n->first_s : r->clock_s;
    n->last_s = n->timed && (double)n->last_s > end ? n->last_s : (long long)end;
    n->timed++;
    while (at < end) {
        double next = 3600 * (floor(at / 3600) + 1);
        next = next < end ? next : end;
        n->heard_s[hour_of(at)] += next - at;
        at = next;
    }
}

static int count_all(night *n, rn_error *err)
{
    n->classes = calloc((size_t)n->count + 1, sizeof *n->classes);
    n->order = calloc((size_t)n->count + 1, sizeof *n->order);
    if (!n->classes || !n->order)
        return rn_error_memory(err, "the page of finds", ((unsigned long long)n->count + 1) * sizeof *n->classes);
    for (int i = 0; i < n->recordings_count; i++) {
        const rn_page_recording *r = &n->recordings[i];
        n->failed += *r->error != 0;
        n->sound_s += r->seconds;
        if (r->clock_s >= 0 && r->seconds < 366.0 * DAY_S)
            count_hours(n, r);
    }
    for (int i = 0; i < n->count; i++)
        n->order[i] = &n->finds[i];
    qsort(n->order, (size_t)n->count, sizeof *n->order, by_label);
    for (int i = 0; i < n->count; i++) {
        const rn_page_find *f = n->order[i];
        if (!i || strcmp(f->label, n->order[i - 1]->label))
            n->classes[n->classes_count++].label = f->label;
        class_row *c = &n->classes[n->classes_count - 1];
        c->finds++;
        c->seconds += f->end_s - f->start_s;
        c->most = f->probability > c->most ? f->probability : c->most;
        if (f->clock_s >= 0)
            c->hour[hour_of((double)f->clock_s + f->start_s)]++;
    }
    qsort(n->classes, (size_t)n->classes_count, sizeof *n->classes, most_finds);
    return 0;
}

/* ---- The parts ---- */

static void head(rn_page *p, const night *n, const char *model, const char *command)
{
    rn_page_put(p,
                "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
                "content=\"width=device-width, initial-scale=1\">\n"
                "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
                "'unsafe-inline'\">\n<title>Finds</title>\n<style>\n%s%s</style>\n"
                "</head>\n<body>\n<header>\n<h1>Finds</h1>\n<p class=\"quiet\">model <span class=\"path\">",
                rn_page_page_css, rn_page_report_css);
    rn_page_text(p, model);
    rn_page_put(p, "</span></p>\n<pre>");
    rn_page_text(p, command);
    rn_page_put(p, "</pre>\n</header>\n<main>\n<p class=\"headline\"><strong>%d</strong> find%s of %d class%s in ", n->count,
                n->count == 1 ? "" : "s", n->classes_count, n->classes_count == 1 ? "" : "es");
    put_duration(p, n->sound_s);
    rn_page_put(p, " of sound</p>\n<p>%d recording%s", n->recordings_count, n->recordings_count == 1 ? "" : "s");
    if (n->timed) {
        rn_page_put(p, ", from ");
        put_clock(p, (double)n->first_s, 1);
        rn_page_put(p, " to ");
        put_clock(p, (double)n->last_s, 1);
    }
    rn_page_put(p, ".");
    if (n->failed)
        rn_page_put(p, " <b>%d could not be heard to the end</b> (<a href=\"#failed\">which</a>).", n->failed);
    rn_page_put(p, "</p>\n");
}

static void classes(rn_page *p, const night *n)
{
    rn_page_put(
        p, "<h2 id=\"classes\">Classes</h2>\n<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">class</th><th "
           "scope=\"col\">finds</th>"
           "<th scope=\"col\">together</th><th scope=\"col\">share of the sound</th><th scope=\"col\">surest</th></tr></thead><tbody>\n");
    for (int i = 0; i < n->classes_count; i++) {
        const class_row *c = &n->classes[i];
        rn_page_put(p, "<tr><th scope=\"row\">");
        rn_page_text(p, c->label);
        rn_page_put(p, "</th><td>%d</td><td>", c->finds);
        put_duration(p, c->seconds);
        rn_page_put(p, "</td><td>%.2f&#160;%%</td><td>%.1f&#160;%%</td></tr>\n", n->sound_s > 0 ? 100 * c->seconds / n->sound_s : 0,
                    100 * c->most);
    }
    rn_page_put(p, "</tbody></table></div>\n");
}

static void hours(rn_page *p, const night *n)
{
    int shown = n->classes_count < CLASSES_MOST ? n->classes_count : CLASSES_MOST;
    rn_page_put(p, "<h2 id=\"hours\">Over the day</h2>\n");
    if (!n->timed) {
        rn_page_put(p, "<p>No recording's name says when it was made (as 20261124_063400.wav does).</p>\n");
        return;
    }
    rn_page_put(p,
                "<p>Finds by the hour in which they begin; the darker, the nearer to the class's busiest hour. Below, how long each hour "
                "was heard, over all days%s%s.</p>\n",
                n->timed < n->recordings_count ? "; recordings whose names say no time are not counted here" : "",
                shown < n->classes_count ? "; the classes found most often" : "");
    rn_page_put(p, "<div class=\"scroll\" tabindex=\"0\"><table class=\"matrix hours\"><tbody>\n<tr><td></td>");
    for (int h = 0; h < HOURS; h++)
        rn_page_put(p, "<th scope=\"col\">%02d</th>", h);
    rn_page_put(p, "</tr>\n");
    for (int i = 0; i < shown; i++) {
        const class_row *c = &n->classes[i];
        int most = 1;
        for (int h = 0; h < HOURS; h++)
            most = c->hour[h] > most ? c->hour[h] : most;
        rn_page_put(p, "<tr><th scope=\"row\">");
        rn_page_text(p, c->label);
        rn_page_put(p, "</th>");
        for (int h = 0; h < HOURS; h++) {
            if (c->hour[h])
                rn_page_put(p, "<td class=\"right\" style=\"--n:%.2f\">%d</td>", (double)c->hour[h] / most, c->hour[h]);
            else
                rn_page_put(p, "<td class=\"none\">%s</td>", n->heard_s[h] > 0 ? "·" : "");
        }
        rn_page_put(p, "</tr>\n");
    }
    rn_page_put(p, "<tr><th scope=\"row\">minutes heard</th>");
    for (int h = 0; h < HOURS; h++)
        rn_page_put(p, n->heard_s[h] > 0 ? "<td>%.0f</td>" : "<td></td>", n->heard_s[h] / 60);
    rn_page_put(p, "</tr>\n</tbody></table></div>\n");
}

static void list(rn_page *p, night *n)
{
    int shown = n->count < LIST_MOST ? n->count : LIST_MOST;
    qsort(n->order, (size_t)n->count, sizeof *n->order, by_probability);
    qsort(n->order, (size_t)shown, sizeof *n->order, by_place); /* as they came */
    rn_page_put(p, "<h2 id=\"finds\">Every find</h2>\n");
    if (shown < n->count)
        rn_page_put(p, "<p>The %d surest of %d; the table that <code>--out</code> writes has all.</p>\n", shown, n->count);
    rn_page_put(
        p,
        "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">recording</th><th scope=\"col\">from</th><th "
        "scope=\"col\">to</th>"
        "<th scope=\"col\">time</th><th scope=\"col\" class=\"left\">class</th><th scope=\"col\">probability</th></tr></thead><tbody>\n");
    for (int i = 0; i < shown; i++) {
        const rn_page_find *f = n->order[i];
        rn_page_put(p, "<tr><td class=\"path\">");
        rn_page_text(p, f->path);
        rn_page_put(p, "</td><td>%.1f&#160;s</td><td>%.1f&#160;s</td><td>", f->start_s, f->end_s);
        if (f->clock_s >= 0)
            put_clock(p, (double)f->clock_s + f->start_s, 1);
        rn_page_put(p, "</td><td class=\"left\">");
        rn_page_text(p, f->label);
        rn_page_put(p, "</td><td>%.1f&#160;%%</td></tr>\n", 100 * f->probability);
    }
    rn_page_put(p, "</tbody></table></div>\n");
}

static void failures(rn_page *p, const night *n)
{
    if (!n->failed)
        return;
    rn_page_put(p, "<h2 id=\"failed\">Not heard to the end</h2>\n<ul>\n");
    for (int i = 0; i < n->recordings_count; i++)
        if (*n->recordings[i].error) {
            rn_page_put(p, "<li class=\"path\">");
            rn_page_text(p, n->recordings[i].error);
            rn_page_put(p, "</li>\n");
        }
    rn_page_put(p, "</ul>\n");
}

int rn_finds_write(const char *model, const char *command, const rn_page_find *finds, int count, const rn_page_recording *recordings,
                   int recordings_count, const char *path, rn_error *err)
{
    night n = {.finds = finds, .recordings = recordings, .count = count, .recordings_count = recordings_count};
    rn_page page = {0};
    int status = count_all(&n, err);
    if (status)
        goto fail;
    head(&page, &n, model, command);
    if (count) {
        classes(&page, &n);
        hours(&page, &n);
        list(&page, &n);
    }
    failures(&page, &n);
    rn_page_put(&page, "</main>\n</body>\n</html>\n");
    status = rn_page_save(&page, path, err);
fail:
    rn_page_free(&page);
    free(n.classes);
    free(n.order);
    return status;
}
