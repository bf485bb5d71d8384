/* Tables, each readable by itself. */
#include "report/tables.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/figures.h"

enum { PAIRS_MOST = 40, SOURCES_MOST = 20 };

void rn_table_percent(rn_page *p, double share)
{
    if (isnan(share))
        rn_page_put(p, "<td>none</td>");
    else
        rn_page_put(p, "<td>%.1f&#160;%%</td>", 100 * share);
}

/* ---- Baselines ---- */

static void baseline(rn_page *p, const char *what, double accuracy, double low, double high, double macro)
{
    rn_page_put(p, "<tr><th scope=\"row\">%s</th>", what);
    rn_table_percent(p, accuracy);
    if (high > low)
        rn_page_put(p, "<td>%.1f to %.1f&#160;%%</td>", 100 * low, 100 * high);
    else
        rn_page_put(p, "<td></td>");
    rn_table_percent(p, macro);
    rn_page_put(p, "<td>");
    rn_figure_bar(p, accuracy, low, high);
    rn_page_put(p, "</td></tr>\n");
}

void rn_table_baselines(rn_page *p, const rn_report *r)
{
    const rn_metrics *m = r->metrics;
    int present = 0, largest = 0;
    for (int c = 0; c < m->classes; c++) {
        present += m->per_class[c].support > 0;
        largest = m->per_class[c].support > largest ? m->per_class[c].support : largest;
    }
    rn_page_put(p, "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">answers by</th><th "
                   "scope=\"col\">accuracy</th><th scope=\"col\">95&#160;%% interval</th>"
                   "<th scope=\"col\">macro</th><th scope=\"col\"><span class=\"unseen\">drawn</span></th></tr></thead><tbody>\n");
    baseline(p, "this model", m->accuracy, m->wilson_low, m->wilson_high, m->macro_accuracy);
    if (r->check && r->check->level_items)
        baseline(p, rn_dataset_kind(r->dataset) == RN_PICTURES ? "brightness alone" : "background level alone", r->check->level_accuracy, 0,
                 0, r->check->level_macro);
    baseline(p, "always the largest class", (double)largest / m->items, 0, 0, present ? 1.0 / present : NAN);
    baseline(p, "a guess", 1.0 / m->classes, 0, 0, 1.0 / m->classes);
    rn_page_put(p, "</tbody></table></div>\n");
}

/* ---- Confusion ---- */

static void cell(rn_page *p, int label, int answer, int count, int support)
{
    if (!count) {
        rn_page_put(p, "<td class=\"none\">·</td>");
        return;
    }
    rn_page_put(p, "<td class=\"%s\" style=\"--n:%.3f\"><a href=\"#cell-%d-%d\">%d</a></td>", label == answer ? "right" : "wrong",
                (double)count / support, label, answer, count);
}

static void matrix(rn_page *p, const rn_report *r)
{
    const rn_metrics *m = r->metrics;
    rn_page_put(p, "<div class=\"scroll\" tabindex=\"0\"><table class=\"matrix\"><caption>Rows are the truth, columns the answers; a "
                   "number opens its items.</caption><thead><tr><td></td>");
    for (int c = 0; c < m->classes; c++) {
        rn_page_put(p, "<th scope=\"col\"><span>");
        rn_page_text(p, r->model->labels[c]);
        rn_page_put(p, "</span></th>");
    }
    rn_page_put(p, "</tr></thead><tbody>\n");
    for (int t = 0; t < m->classes; t++) {
        rn_page_put(p, "<tr><th scope=\"row\">");
        rn_page_text(p, r->model->labels[t]);
        rn_page_put(p, "</th>");
        for (int c = 0; c < m->classes; c++)
            cell(p, t, c, m->confusion[(int64_t)t * m->classes + c], m->per_class[t].support);
        rn_page_put(p, "</tr>\n");
    }
    rn_page_put(p, "</tbody></table></div>\n");
}

typedef struct pair {
    int count, label, answer;
} pair;

static int by_count(const void *a, const void *b)
{
    const pair *p = a, *q = b;
    return p->count != q->count ? q->count - p->count : p->label != q->label ? p->label - q->label : p->answer - q->answer;
}

static int pairs(rn_page *p, const rn_report *r, rn_error *err)
{
    const rn_metrics *m = r->metrics;
    int count = 0, room = m->items < m->classes * m->classes ? m->items : m->classes * m->classes;
    pair *list = malloc(((size_t)room + 1) * sizeof *list);
    if (!list)
        return rn_error_memory(err, "the confusion table", (unsigned long long)room * sizeof *list);
    for (int t = 0; t < m->classes; t++)
        for (int c = 0; c < m->classes; c++)
            if (t != c && m->confusion[(int64_t)t * m->classes + c])
                list[count++] = (pair){m->confusion[(int64_t)t * m->classes + c], t, c};
    qsort(list, (size_t)count, sizeof *list, by_count);
    rn_page_put(p,
                "<div class=\"scroll\" tabindex=\"0\"><table><caption>What is confused most, of %d classes.</caption><thead><tr><th "
                "scope=\"col\">truth</th><th scope=\"col\" class=\"left\">answer</th>"
                "<th scope=\"col\">items</th></tr></thead><tbody>\n",
                m->classes);
    for (int i = 0; i < count && i < PAIRS_MOST; i++) {
        rn_page_put(p, "<tr><th scope=\"row\">");
        rn_page_text(p, r->model->labels[list[i].label]);
        rn_page_put(p, "</th><td class=\"left\">");
        rn_page_text(p, r->model->labels[list[i].answer]);
        rn_page_put(p, "</td><td><a href=\"#cell-%d-%d\">%d</a></td></tr>\n", list[i].label, list[i].answer, list[i].count);
    }
    rn_page_put(p, "</tbody></table></div>\n");
    free(list);
    return 0;
}

int rn_table_confusion(rn_page *p, const rn_report *r, rn_error *err)
{
    if (r->metrics->classes > RN_MATRIX_MOST)
        return pairs(p, r, err);
    matrix(p, r);
    return 0;
}

/* ---- Classes ---- */

void rn_table_classes(rn_page *p, const rn_report *r)
{
    const rn_metrics *m = r->metrics;
    rn_page_put(p, "<div class=\"scroll\" tabindex=\"0\"><table class=\"sortable\"><thead><tr><th scope=\"col\">class</th><th "
                   "scope=\"col\">items</th><th scope=\"col\">precision</th>"
                   "<th scope=\"col\">recall</th><th scope=\"col\">95&#160;%% interval</th><th scope=\"col\">F1</th><th "
                   "scope=\"col\">average precision</th>"
                   "<th scope=\"col\">ROC area</th></tr></thead><tbody>\n");
    for (int c = 0; c < m->classes; c++) {
        const rn_class_metrics *k = &m->per_class[c];
        const rn_curve *curve = r->judgement->curves[c];
        double low, high;
        int right = m->confusion[(int64_t)c * m->classes + c];
        rn_wilson(right, k->support, &low, &high);
        rn_page_put(p, "<tr><th scope=\"row\">");
        rn_page_text(p, r->model->labels[c]);
        rn_page_put(p, "</th><td>%d</td>", k->support);
        rn_table_percent(p, k->predicted ? k->precision : NAN);
        rn_table_percent(p, k->support ? k->recall : NAN);
        if (k->support)
            rn_page_put(p, "<td>%.1f to %.1f&#160;%%</td>", 100 * low, 100 * high);
        else
            rn_page_put(p, "<td>none</td>");
        rn_table_percent(p, k->support ? k->f1 : NAN);
        rn_table_percent(p, curve->positives ? curve->average_precision : NAN);
        rn_table_percent(p, curve->roc_area);
        rn_page_put(p, "</tr>\n");
    }
    rn_page_put(p, "</tbody></table></div>\n");
}

/* ---- Slices ---- */

static void slices_begin(rn_page *p, const char *what)
{
    rn_page_put(p,
                "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">%s</th><th scope=\"col\">items</th><th "
                "scope=\"col\">accuracy</th><th scope=\"col\">95&#160;%% interval</th>"
                "<th scope=\"col\"><span class=\"unseen\">drawn</span></th></tr></thead><tbody>\n",
                what);
}

/* The rest of a row whose head was written. */
static void slice(rn_page *p, int correct, int items)
{
    double low, high;
    rn_wilson(correct, items, &low, &high);
    rn_page_put(p, "</th><td>%d</td><td>%.1f&#160;%%</td><td>%.1f to %.1f&#160;%%</td><td>", items, 100.0 * correct / items, 100 * low,
                100 * high);
    rn_figure_bar(p, (double)correct / items, low, high);
    rn_page_put(p, "</td></tr>\n");
}

static int is_right(const rn_report *r, int i)
{
    return rn_answers_right(r->answers, i);
}

/* Items in bins: `format` names one by its lower and upper edge. */
static void bins(rn_page *p, const rn_report *r, const char *what, const double *edges, int count, const double *value)
{
    slices_begin(p, what);
    for (int b = 0; b + 1 < count; b++) {
        int items = 0, correct = 0;
        for (int i = 0; i < r->answers->items; i++) {
            double v = value[r->answers->item[i]];
            if (!(v >= edges[b] && v < edges[b + 1]))
                continue;
            items++;
            correct += is_right(r, i);
        }
        if (!items)
            continue;
        if (isinf(edges[b]))
            rn_page_put(p, "<tr><th scope=\"row\">below %g", edges[b + 1]);
        else if (isinf(edges[b + 1]))
            rn_page_put(p, "<tr><th scope=\"row\">%g and more", edges[b]);
        else
            rn_page_put(p, "<tr><th scope=\"row\">%g to %g", edges[b], edges[b + 1]);
        slice(p, correct, items);
    }
    rn_page_put(p, "</tbody></table></div>\n");
}

typedef struct member {
    const char *source;
    int right;
} member;

typedef struct group {
    const char *source;
    int items, correct;
} group;

static int by_source(const void *a, const void *b)
{
    return strcmp(((const member *)a)->source, ((const member *)b)->source);
}

static int by_share(const void *a, const void *b)
{
    const group *p = a, *q = b;
    int64_t left = (int64_t)p->correct * q->items, right = (int64_t)q->correct * p->items;
    return left != right ? (left > right) - (left < right) : p->items != q->items ? q->items - p->items : strcmp(p->source, q->source);
}

/* Sources with several items, the worst first. */
static int sources(rn_page *p, const rn_report *r, rn_error *err)
{
    int n = r->answers->items, count = 0, several = 0;
    member *members = malloc(((size_t)n + 1) * sizeof *members);
    group *groups = malloc(((size_t)n + 1) * sizeof *groups);
    if (!members || !groups) {
        free(members);
        free(groups);
        return rn_error_memory(err, "the groups", (unsigned long long)n * (sizeof *members + sizeof *groups));
    }
    for (int i = 0; i < n; i++)
        members[i] = (member){r->dataset->items[r->answers->item[i]].source, is_right(r, i)};
    qsort(members, (size_t)n, sizeof *members, by_source);
    for (int i = 0; i < n; i++) {
        if (!count || strcmp(groups[count - 1].source, members[i].source))
            groups[count++] = (group){members[i].source, 0, 0};
        groups[count - 1].items++;
        groups[count - 1].correct += members[i].right;
    }
    for (int i = 0; i < count; i++)
        if (groups[i].items > 1)
            groups[several++] = groups[i];
    qsort(groups, (size_t)several, sizeof *groups, by_share);
    if (!several)
        rn_page_put(p, "<p>Every item is a group of its own: no two share a source.</p>\n");
    else
        rn_page_put(p, "<p>%d of the %d groups (sources) have more than one item%s.</p>\n", several, count,
                    several > SOURCES_MOST ? "; the worst of them" : "");
    if (several)
        slices_begin(p, "group");
    for (int i = 0; i < several && i < SOURCES_MOST; i++) {
        rn_page_put(p, "<tr><th scope=\"row\" class=\"path\">");
        rn_page_text(p, groups[i].source);
        slice(p, groups[i].correct, groups[i].items);
    }
    if (several)
        rn_page_put(p, "</tbody></table></div>\n");
    free(members);
    free(groups);
    return 0;
}

int rn_table_slices(rn_page *p, const rn_report *r, rn_error *err)
{
    static const double durations[] = {-INFINITY, 0.5, 1, 2, 5, 10, 30, 60, 600, INFINITY};
    static const double levels[] = {-INFINITY, -90, -80, -70, -60, -50, -40, -30, -20, -10, INFINITY};
    static const double brightness[] = {-INFINITY, 32, 64, 96, 128, 160, 192, 224, INFINITY};
    if (rn_dataset_kind(r->dataset) == RN_PICTURES) {
        rn_page_put(p, "<h3>By brightness</h3><p>The mean of a picture's values, from 0 (black) to 255.</p>\n");
        bins(p, r, "brightness", brightness, (int)(sizeof brightness / sizeof *brightness), r->check->level_db);
    } else if (r->check) {
        rn_page_put(p, "<h3>By duration</h3>\n");
        bins(p, r, "seconds", durations, (int)(sizeof durations / sizeof *durations), r->check->seconds);
        rn_page_put(p, "<h3>By background level</h3><p>The 5th percentile of the level of 20&#160;ms frames, in dB of full scale.</p>\n");
        bins(p, r, "dB", levels, (int)(sizeof levels / sizeof *levels), r->check->level_db);
    }
    rn_page_put(p, "<h3>By group</h3>\n");
    return sources(p, r, err);
}

/* ---- Training ---- */

static void value_row(rn_page *p, const char *prefix, const char *key, const json_t *value)
{
    const char *name;
    char path[400];
    json_t *inner;
    snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", key);
    if (json_is_object(value)) {
        json_object_foreach((json_t *)value, name, inner) value_row(p, path, name, inner);
        return;
    }
    char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(8));
    rn_page_put(p, "<tr><th scope=\"row\">");
    rn_page_text(p, path);
    rn_page_put(p, "</th><td class=\"left\">");
    rn_page_text(p, json_is_string(value) ? json_string_value(value) : text ? text : "");
    rn_page_put(p, "</td></tr>\n");
    free(text);
}

static void command_line(rn_page *p, const char *what, const char *command)
{
    if (!command)
        return;
    rn_page_put(p, "<h3>%s</h3><pre tabindex=\"0\">", what);
    rn_page_text(p, command);
    rn_page_put(p, "</pre>\n");
}

void rn_table_training(rn_page *p, const rn_report *r)
{
    static const char *const sections[] = {"arch", "training", "features", "pictures", "split", "bn_statistics", "calibration"};
    const json_t *events = json_object_get(r->run, "events"),
                 *last = json_array_get(events, json_array_size(events) ? json_array_size(events) - 1 : 0);
    const char *trained = json_string_value(json_object_get(last, "command"));
    if (trained)
        command_line(p, "The command that trained it", trained);
    else
        rn_page_put(p, "<p>There is no run.json beside the model: the command that trained it is not known.</p>\n");
    command_line(p, "The command of this report", r->command);
    rn_page_put(p, "<details><summary>Everything the model file says</summary><div class=\"scroll\" tabindex=\"0\"><table><tbody>\n");
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        if (rn_model_section(r->model, sections[i]))
            value_row(p, "", sections[i], rn_model_section(r->model, sections[i]));
    rn_page_put(p, "</tbody></table></div></details>\n");
}
