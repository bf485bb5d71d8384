/* The page from top to bottom: what is the figure, where is it wrong, can its probabilities be believed, what has it learnt, how was it made. */
#include "report/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "judge/projection.h"
#include "report/figures.h"
#include "report/items.h"
#include "report/several.h"
#include "report/tables.h"

extern const char rn_page_page_css[], rn_page_report_css[], rn_page_report_js[];

enum { CURVES_MOST = 24, POINTS_MOST = 2000, LIST_MOST = 25 };

/* ---- Head ---- */

static void head(rn_page *p, const rn_report *r)
{
    static const char *const sections[][2] = {{"confusion", "Confusion"},
                                              {"classes", "Classes"},
                                              {"calibration", "Calibration"},
                                              {"slices", "Slices"},
                                              {"mistakes", "Mistakes"},
                                              {"labels", "Labels"},
                                              {"map", "Map"},
                                              {"items", "Items"},
                                              {"training", "Training"}};
    const char *name =
        strrchr(r->dataset->path, '/') && strrchr(r->dataset->path, '/')[1] ? strrchr(r->dataset->path, '/') + 1 : r->dataset->path;
    rn_page_put(p, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
                   "content=\"width=device-width, initial-scale=1\">\n"
                   "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; media-src data:; style-src "
                   "'unsafe-inline'; "
                   "script-src 'unsafe-inline'\">\n<title>");
    rn_page_text(p, r->model->arch.name);
    rn_page_put(p, " on ");
    rn_page_text(p, name);
    rn_page_put(p, "</title>\n<style>\n%s%s</style>\n</head>\n<body>\n<header>\n<h1>", rn_page_page_css, rn_page_report_css);
    rn_page_text(p, r->model->arch.name);
    rn_page_put(p, " on ");
    rn_page_text(p, name);
    rn_page_put(p, "</h1>\n<p class=\"quiet\">model <span class=\"path\">");
    rn_page_text(p, r->model->source);
    rn_page_put(p, "</span>, data <span class=\"path\">");
    rn_page_text(p, r->dataset->path);
    rn_page_put(p, "</span></p>\n<nav aria-label=\"Sections\"><ul>");
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        if (r->metrics->several && !strcmp(sections[i][0], "confusion"))
            rn_page_put(p, "<li><a href=\"#confusion\">Answers</a></li>");
        else if (!r->metrics->several || strcmp(sections[i][0], "labels"))
            rn_page_put(p, "<li><a href=\"#%s\">%s</a></li>", sections[i][0], sections[i][1]);
    rn_page_put(p, "</ul></nav>\n</header>\n<main>\n");
}

void rn_report_part(rn_page *p, const rn_report *r)
{
    if (!strcmp(r->part, "all"))
        rn_page_put(p, "All items of the data set");
    else
        rn_page_put(p, "The %s part of the data set (%d items)", r->part, r->dataset->count);
    if (r->trained_on >= 0)
        rn_page_put(p,
                    strcmp(r->part, "all") && strcmp(r->part, "train") ? "; the model was trained on %d others"
                                                                       : "; the model was trained on %d of them",
                    r->trained_on);
    if (r->answers->bad)
        rn_page_put(p, "; %d could not be used and were left out", r->answers->bad);
}

static void headline(rn_page *p, const rn_report *r)
{
    const rn_metrics *m = r->metrics;
    if (m->several) {
        rn_several_headline(p, r);
        return;
    }
    rn_page_put(p,
                "<p class=\"headline\"><strong>%.1f&#160;%%</strong> of %d items are answered right <span class=\"quiet\">(95&#160;%% "
                "interval %.1f to %.1f&#160;%%)</span></p>\n<p>",
                100 * m->accuracy, m->items, 100 * m->wilson_low, 100 * m->wilson_high);
    rn_report_part(p, r);
    rn_page_put(p, ". Mean of the classes' recalls (macro) %.1f&#160;%%, loss %.3f.</p>\n", 100 * m->macro_accuracy, m->loss);
    rn_table_baselines(p, r);
}

/* ---- What to look at ---- */

static void advise_class(rn_page *p, const rn_report *r)
{
    const rn_metrics *m = r->metrics;
    int worst = -1, truth = 0, answer = -1, most = 0;
    for (int c = 0; c < m->classes; c++)
        if (m->per_class[c].support && (worst < 0 || m->per_class[c].recall < m->per_class[worst].recall))
            worst = c;
    for (int t = 0; t < m->classes; t++)
        for (int c = 0; c < m->classes; c++)
            if (t != c && m->confusion[(int64_t)t * m->classes + c] > most) {
                most = m->confusion[(int64_t)t * m->classes + c];
                truth = t;
                answer = c;
            }
    if (worst >= 0 && m->per_class[worst].recall < 1) {
        rn_page_put(p, "<li>The hardest class is <b>");
        rn_page_text(p, r->model->labels[worst]);
        rn_page_put(p, "</b>: %.1f&#160;%% of its %d items are recognised. More of it helps most.</li>\n",
                    100 * m->per_class[worst].recall, m->per_class[worst].support);
    }
    if (answer >= 0) {
        rn_page_put(p, "<li>The commonest mistake, %d times: <a href=\"#cell-%d-%d\">", most, truth, answer);
        rn_page_text(p, r->model->labels[truth]);
        rn_page_put(p, " taken for ");
        rn_page_text(p, r->model->labels[answer]);
        rn_page_put(p, "</a>.</li>\n");
    }
}

static void advise(rn_page *p, const rn_report *r)
{
    const rn_judgement *j = r->judgement;
    const rn_check *check = r->check;
    int sound = rn_dataset_kind(r->dataset) == RN_SOUND;
    rn_page_put(p, "<h2 id=\"next\">What to look at</h2>\n<ul>\n");
    if (r->metrics->several)
        rn_several_advise(p, r);
    else
        advise_class(p, r);
    if (check && check->level_items && check->level_accuracy > 0.7 * r->metrics->accuracy)
        rn_page_put(p, "<li>The %s alone tells the classes apart in %.1f&#160;%% of cases: the model may have learnt %s.</li>\n",
                    sound ? "background level" : "brightness", 100 * check->level_accuracy,
                    sound ? "the rooms or the equipment. Record the classes under equal conditions"
                          : "the light or the camera. Take the classes' pictures under equal conditions");
    if (r->trained_on < 0)
        rn_page_put(p, "<li>Which items the model was trained on is not known: on those its accuracy says nothing.</li>\n");
    if (j->suspects_count)
        rn_page_put(p, "<li>%d labels are <a href=\"#labels\">likely wrong</a>: %s them first.</li>\n", j->suspects_count,
                    sound ? "listen to" : "look at");
    rn_page_put(p, "<li>Its probabilities are off by %.1f&#160;%% on average (<a href=\"#calibration\">calibration</a>)%s.</li>\n",
                100 * j->reliability.ece, j->scaled.ece < j->reliability.ece - 0.01 ? "; a temperature would mend that" : "");
    rn_page_put(p, "</ul>\n");
}

/* ---- Classes and their curves ---- */

typedef struct ranked {
    double value;
    int index;
} ranked;

static int by_value(const void *a, const void *b)
{
    const ranked *p = a, *q = b;
    return p->value != q->value ? (p->value > q->value) - (p->value < q->value) : p->index - q->index;
}

static int classes(rn_page *p, const rn_report *r, rn_error *err)
{
    const rn_judgement *j = r->judgement;
    int chosen[CURVES_MOST], count = 0, shown;
    ranked *order = malloc(((size_t)j->classes + 1) * sizeof *order);
    if (!order)
        return rn_error_memory(err, "the curves", (size_t)j->classes * sizeof *order);
    for (int c = 0; c < j->classes; c++)
        if (j->curves[c]->positives)
            order[count++] = (ranked){j->curves[c]->average_precision, c};
    qsort(order, (size_t)count, sizeof *order, by_value);
    shown = count < CURVES_MOST ? count : CURVES_MOST;
    for (int i = 0; i < shown; i++)
        order[i].value = chosen[i] = order[i].index;
    qsort(order, (size_t)shown, sizeof *order, by_value); /* back into the order of the classes */
    for (int i = 0; i < shown; i++)
        chosen[i] = order[i].index;
    free(order);
    rn_page_put(p, "<h2 id=\"classes\">Classes</h2>\n");
    if (r->metrics->several)
        rn_several_classes(p, r);
    else
        rn_table_classes(p, r);
    rn_page_put(p, "<p>Each class against all others, by its probability%s.</p>\n<div class=\"plots\">",
                count > shown ? "; the 24 with the least average precision" : "");
    rn_figure_curves(p, RN_CURVE_PRECISION, j, chosen, shown);
    rn_figure_curves(p, RN_CURVE_ROC, j, chosen, shown);
    rn_page_put(p, "</div>\n");
    rn_figure_legend(p, r->model->labels, chosen, shown);
    return 0;
}

static void calibration(rn_page *p, const rn_report *r)
{
    const rn_judgement *j = r->judgement;
    rn_page_put(p,
                "<h2 id=\"calibration\">Calibration</h2>\n<p>When the model says 80&#160;%%, is it right in 80&#160;%% of cases? A bar is "
                "how often it is (the number below: of how many), a mark what it says; they "
                "should meet on the line. The expected calibration error, the mean distance, is <b>%.2f&#160;%%</b>, the loss %.4f.</p>\n",
                100 * j->reliability.ece, r->metrics->loss);
    if (r->model->temperature != 1)
        rn_page_put(p, "<p>The model holds a temperature of %.4f, with which these probabilities were made.</p>\n", r->model->temperature);
    rn_page_put(p,
                "<p>With a temperature of <b>%.4f</b>, which fits these items best, the error is %.2f&#160;%%, the loss %.4f. <code>resnet "
                "eval --part validation --calibrate</code> finds it on items "
                "that are not used here, and stores it in the model.</p>\n<div class=\"plots\">",
                j->temperature, 100 * j->scaled.ece, j->best_loss);
    rn_figure_reliability(p, &j->reliability, "Accuracy over confidence, as the model answers");
    rn_figure_reliability(p, &j->scaled, "Accuracy over confidence, with the best temperature");
    rn_page_put(p,
                "</div>\n<p class=\"quiet\">Left as it answers, right with that temperature.</p>\n<details><summary>The "
                "numbers</summary><div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">confidence</th>"
                "<th scope=\"col\">items</th><th scope=\"col\">mean confidence</th><th scope=\"col\">accuracy</th></tr></thead><tbody>\n");
    for (int b = 0; b < RN_RELIABILITY_BINS; b++)
        if (j->reliability.count[b])
            rn_page_put(p, "<tr><th scope=\"row\">%.1f to %.1f&#160;%%</th><td>%d</td><td>%.1f&#160;%%</td><td>%.1f&#160;%%</td></tr>\n",
                        100.0 * b / RN_RELIABILITY_BINS, 100.0 * (b + 1) / RN_RELIABILITY_BINS, j->reliability.count[b],
                        100 * j->reliability.confidence[b], 100 * j->reliability.accuracy[b]);
    rn_page_put(p, "</tbody></table></div></details>\n");
}

/* ---- Mistakes and suspects ---- */

static void list_row(rn_page *p, const rn_report *r, int i, int answer, double probability)
{
    rn_page_put(p, "<tr><td class=\"path\"><a href=\"#item-%d\">", i);
    rn_items_name(p, r, i);
    rn_page_put(p, "</a></td><td class=\"left\">");
    if (r->metrics->several)
        rn_several_list(p, r, i, 0);
    else
        rn_page_text(p, r->model->labels[r->answers->label[i]]);
    rn_page_put(p, "</td><td class=\"left\">");
    if (r->metrics->several)
        rn_several_list(p, r, i, 1);
    else
        rn_page_text(p, r->model->labels[answer]);
    rn_page_put(p, "</td><td>%.1f&#160;%%</td></tr>\n", 100 * probability);
}

static void list_begin(rn_page *p, const char *last)
{
    rn_page_put(p,
                "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">file</th><th scope=\"col\" "
                "class=\"left\">label</th><th scope=\"col\" class=\"left\">answer</th>"
                "<th scope=\"col\">%s</th></tr></thead><tbody>\n",
                last);
}

static int mistakes(rn_page *p, const rn_report *r, const rn_items *items, rn_error *err)
{
    const rn_answers *a = r->answers;
    int count = 0;
    ranked *order = malloc(((size_t)a->items + 1) * sizeof *order);
    if (!order)
        return rn_error_memory(err, "the mistakes", (size_t)a->items * sizeof *order);
    for (int i = 0; i < a->items; i++)
        if (items->best[i] != items->label[i])
            order[count++] = (ranked){-items->confidence[i], i};
    qsort(order, (size_t)count, sizeof *order, by_value);
    rn_page_put(p, "<h2 id=\"mistakes\">Most confident mistakes</h2>\n");
    if (!count)
        rn_page_put(p, "<p>There is none: every item is answered right.</p>\n");
    else
        list_begin(p, "confidence");
    for (int i = 0; i < count && i < LIST_MOST; i++)
        list_row(p, r, order[i].index, items->best[order[i].index], -order[i].value);
    if (count)
        rn_page_put(p, "</tbody></table></div>\n");
    free(order);
    return 0;
}

static void suspects(rn_page *p, const rn_report *r)
{
    const rn_judgement *j = r->judgement;
    rn_page_put(p, "<h2 id=\"labels\">Labels that are likely wrong</h2>\n");
    if (!j->suspects_count) {
        rn_page_put(p, "<p>None stands out: no item is confidently in a class other than its label.</p>\n");
        return;
    }
    rn_page_put(p,
                "<p>%d items are confidently in a class other than their label (confident learning, Northcutt et al. 2021)%s. %s: "
                "either the label is wrong, or the model is.</p>\n",
                j->suspects_count, j->suspects_count > LIST_MOST ? "; those with the least probability of their label" : "",
                rn_dataset_kind(r->dataset) == RN_SOUND ? "Listen" : "Look");
    list_begin(p, "probability of the label");
    for (int k = 0; k < j->suspects_count && k < LIST_MOST; k++)
        list_row(p, r, j->suspects[k].index, j->suspects[k].likely, j->suspects[k].self_confidence);
    rn_page_put(p, "</tbody></table></div>\n");
}

/* ---- The map ---- */

static int relay(void *context, int64_t done, int64_t total)
{
    const rn_report *r = context;
    return r->progress && r->progress(r->context, RN_MAPS_SHARE * done / total, 1000);
}

/* Every `step`th item's embedding, and who it is. */
static void sample(const rn_report *r, const rn_items *items, int step, int count, float *x, int *who)
{
    int size = r->answers->embedding_size;
    for (int k = 0; k < count; k++) {
        int i = k * step;
        memcpy(x + (int64_t)k * size, r->answers->embedding + (int64_t)i * size, (size_t)size * sizeof *x);
        who[k] = i;
        who[count + k] = items->label[i];
        who[2 * count + k] = items->best[i];
    }
}

static int map(rn_page *p, const rn_report *r, const rn_items *items, rn_error *err)
{
    int n = r->answers->items, size = r->answers->embedding_size, step = (n + POINTS_MOST - 1) / POINTS_MOST, count = n / step, status = 0,
        all[RN_MATRIX_MOST];
    double *plane, share[2], divergence;
    if (!size)
        return 0;
    rn_page_put(p, "<h2 id=\"map\">Map of the embeddings</h2>\n");
    float *x = malloc((size_t)count * (size_t)size * sizeof *x);
    int *who = malloc(3 * (size_t)count * sizeof *who);
    plane = malloc(2 * (size_t)count * sizeof *plane);
    if (!x || !who || !plane) {
        status = rn_error_memory(err, "the map", (size_t)count * (size_t)size * sizeof *x);
        goto fail;
    }
    sample(r, items, step, count, x, who);
    rn_scatter scatter = {"Principal components of the embeddings", count, plane, who, who + count, who + 2 * count, items->names};
    rn_page_put(p,
                "<p>What the network turns each item into, %d numbers, laid into the plane%s. A point opens its item; wrong answers "
                "have a ring.</p>\n<div class=\"plots\">",
                size, step > 1 ? " (a part of the items, evenly chosen)" : "");
    if ((status = rn_pca(x, count, size, r->pool, plane, share, err)))
        goto fail;
    rn_page_put(p, "<figure>");
    rn_figure_scatter(p, &scatter);
    rn_page_put(p, "<figcaption>Principal components: %.0f&#160;%% and %.0f&#160;%% of the variance</figcaption></figure>", 100 * share[0],
                100 * share[1]);
    if ((status = rn_tsne(x, count, size, r->pool, relay, (void *)r, plane, &divergence, err)))
        goto fail;
    scatter.title = "Neighbours among the embeddings, t-SNE";
    rn_page_put(p, "<figure>");
    rn_figure_scatter(p, &scatter);
    rn_page_put(p, "<figcaption>t-SNE: neighbours stay neighbours; far distances mean little</figcaption></figure></div>\n");
    int names = r->metrics->classes + r->metrics->several, shown = names < RN_MATRIX_MOST ? names : RN_MATRIX_MOST;
    for (int c = 0; c < shown; c++)
        all[c] = c;
    rn_figure_legend(p, items->names, all, shown);
fail:
    free(x);
    free(who);
    free(plane);
    return status;
}

/* ---- The page ---- */

static int all_items(rn_page *p, const rn_report *r, const rn_items *items, rn_error *err)
{
    rn_page_put(p,
                "<h2 id=\"items\">Items</h2>\n<p>By truth and answer%s. Mistakes, and some of each class that are right, come with their "
                "picture%s and the evidence for the answer (Grad-CAM)%s. "
                "The rest are rows.</p>\n<p><label><input type=\"checkbox\" id=\"evidence\" checked> show the evidence</label></p>\n",
                r->metrics->several ? ", items with a mistake by their worst: a class that is missed is taken for nothing, nothing for one "
                                      "that is not there"
                                    : "",
                rn_dataset_kind(r->dataset) == RN_SOUND ? ", sound" : "",
                items->cards == RN_CARDS ? "; so many of them that a page can hold" : "");
    if (rn_dataset_kind(r->dataset) == RN_SOUND && items->clip_s < 5)
        rn_page_put(p, "<p class=\"quiet\">Pieces of sound are cut to %.1f&#160;s so that the page stays small.</p>\n", items->clip_s);
    return rn_items_write(p, r, items, err);
}

int rn_report_write(const rn_report *r, const char *path, rn_error *err)
{
    rn_page page = {0};
    rn_items items = {0};
    int status = rn_items_choose(r, &items, err);
    if (status)
        return status;
    head(&page, r);
    headline(&page, r);
    advise(&page, r);
    rn_page_put(&page, "<h2 id=\"confusion\">%s</h2>\n", r->metrics->several ? "Answers" : "Confusion");
    if (r->metrics->several)
        rn_several_answers(&page, r);
    else if ((status = rn_table_confusion(&page, r, err)))
        goto fail;
    if ((status = classes(&page, r, err)))
        goto fail;
    calibration(&page, r);
    rn_page_put(&page, "<h2 id=\"slices\">Slices</h2>\n%s",
                r->metrics->several ? "<p>Accuracy is the share of items all of whose labels are right.</p>\n" : "");
    if ((status = rn_table_slices(&page, r, err)) || (status = mistakes(&page, r, &items, err)))
        goto fail;
    if (!r->metrics->several)
        suspects(&page, r);
    if ((status = map(&page, r, &items, err)) || (status = all_items(&page, r, &items, err)))
        goto fail;
    rn_page_put(&page, "<h2 id=\"training\">How it was trained</h2>\n");
    rn_table_training(&page, r);
    rn_page_put(&page, "</main>\n<script>\n%s</script>\n</body>\n</html>\n", rn_page_report_js);
    status = rn_page_save(&page, path, err);
fail:
    rn_items_free(&items);
    rn_page_free(&page);
    return status;
}
