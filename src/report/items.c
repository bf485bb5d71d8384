/* Cards and rows.
 *
 * A card costs about 6 KB of pictures (Base64), and its sound 5.3 KB a second: with many cards the pieces of sound become shorter, so that the
 * page keeps its size. */
#include "report/items.h"

#include <stdlib.h>
#include <string.h>

#include "base/maths.h"
#include "data/reading.h"
#include "judge/explain.h"
#include "media/mp3.h"
#include "report/several.h"
#include "report/thumbnail.h"

#define CLIP_MOST_S 5.0
#define CLIPS_BYTES 2.4e6 /* of all pieces of sound, before Base64 */

enum { TOP = 5 }; /* classes named in a card */

/* ---- Choosing ---- */

typedef struct place {
    int label, answer, index;
    double confidence;
} place;

static int by_group(const void *a, const void *b)
{
    const place *p = a, *q = b;
    if (p->label != q->label || p->answer != q->answer)
        return p->label != q->label ? (p->label > q->label) - (p->label < q->label) : (p->answer > q->answer) - (p->answer < q->answer);
    return p->confidence != q->confidence ? (p->confidence < q->confidence) - (p->confidence > q->confidence) : p->index - q->index;
}

static int by_confidence(const void *a, const void *b)
{
    const place *p = a, *q = b;
    return p->confidence != q->confidence ? (p->confidence < q->confidence) - (p->confidence > q->confidence) : p->index - q->index;
}

/* A few of each class that are right, from the end of their group; then mistakes until the cards are used up. places are in groups, and
 * are ordered anew. */
static void deal(rn_items *items, place *places)
{
    int left = RN_CARDS, n = items->count;
    for (int i = n - 1, taken = 0; i >= 0; i--) {
        const place *p = &places[i];
        if (i + 1 == n || p[1].label != p->label)
            taken = 0;
        if (p->label == p->answer && taken < RN_CARDS_A_CLASS && left > RN_CARDS / 2) {
            items->card[p->index] = 1;
            taken++;
            left--;
        }
    }
    qsort(places, (size_t)n, sizeof *places, by_confidence);
    for (int i = 0; i < n && left; i++)
        if (places[i].label != places[i].answer) {
            items->card[places[i].index] = 1;
            left--;
        }
    int rows = RN_ROWS;
    for (int right = 0; right < 2; right++)
        for (int i = 0; i < n && rows; i++)
            if (!items->card[places[i].index] && (places[i].label == places[i].answer) == right) {
                items->card[places[i].index] = 2;
                rows--;
            }
    items->cards = RN_CARDS - left;
}

int rn_items_choose(const rn_report *r, rn_items *items, rn_error *err)
{
    const rn_answers *a = r->answers;
    int n = a->items;
    *items = (rn_items){.count = n};
    items->order = malloc(((size_t)n + 1) * sizeof *items->order);
    items->label = malloc(((size_t)n + 1) * sizeof *items->label);
    items->best = malloc(((size_t)n + 1) * sizeof *items->best);
    items->look = malloc(((size_t)n + 1) * sizeof *items->look);
    items->confidence = malloc(((size_t)n + 1) * sizeof *items->confidence);
    items->names = malloc(((size_t)a->classes + 1) * sizeof *items->names);
    items->card = calloc((size_t)n + 1, 1);
    place *places = malloc(((size_t)n + 1) * sizeof *places);
    if (!items->order || !items->label || !items->best || !items->look || !items->confidence || !items->names || !items->card || !places) {
        free(places);
        rn_items_free(items);
        return rn_error_memory(err, "the report", (unsigned long long)n * sizeof *places);
    }
    memcpy(items->names, r->model->labels, (size_t)a->classes * sizeof *items->names);
    items->names[a->classes] = (char *)(uintptr_t) "nothing";
    for (int i = 0; i < n; i++) {
        int best = rn_answers_best(a, i);
        rn_outcome o = a->truth ? rn_several_outcome(a, i)
                                : (rn_outcome){a->label[i], best, best, (double)a->probability[(int64_t)i * a->classes + best]};
        items->label[i] = o.label;
        items->best[i] = o.answer;
        items->look[i] = o.look;
        items->confidence[i] = o.confidence;
        places[i] = (place){o.label, o.answer, i, o.confidence};
    }
    qsort(places, (size_t)n, sizeof *places, by_group);
    for (int i = 0; i < n; i++)
        items->order[i] = places[i].index;
    deal(items, places);
    free(places);
    double each = items->cards ? (CLIPS_BYTES / items->cards - RN_MP3_BYTES) / RN_MP3_BYTES_PER_S : CLIP_MOST_S;
    items->clip_s = each < CLIP_MOST_S ? each : CLIP_MOST_S;
    return 0;
}

void rn_items_free(rn_items *items)
{
    free(items->order);
    free(items->label);
    free(items->best);
    free(items->look);
    free(items->confidence);
    free(items->names);
    free(items->card);
    memset(items, 0, sizeof *items);
}

void rn_items_name(rn_page *p, const rn_report *r, int i)
{
    const rn_item *item = &r->dataset->items[r->answers->item[i]];
    rn_page_text(p, item->name);
    if (item->end_s > 0)
        rn_page_put(p, " %.2f to %.2f&#160;s", item->start_s, item->end_s);
    else if (item->start_s > 0)
        rn_page_put(p, " from %.2f&#160;s", item->start_s);
}

/* ---- Cards ---- */

/* The window in which the answer is likeliest. */
static int best_window(const rn_report *r, int i, int answer)
{
    const rn_answers *a = r->answers;
    int best = 0, windows = a->first[i + 1] - a->first[i];
    float *p = malloc((size_t)a->classes * sizeof *p), most = -1;
    for (int w = 0; p && w < windows; w++) {
        (a->truth ? rn_sigmoids : rn_softmax)(a->logits + ((int64_t)a->first[i] + w) * a->classes, a->classes, 1, p, NULL);
        if (p[answer] > most) {
            most = p[answer];
            best = w;
        }
    }
    free(p);
    return best;
}

/* The map of Grad-CAM over x, from 0 to 1, as PNG. */
static int explain(const rn_report *r, const float *x, int h, int w, int label, rn_png *png, rn_error *err)
{
    const rn_model *m = r->model;
    float *value = NULL, *gradient = NULL, *map = NULL;
    int shape[3], node = rn_explain_layer(m->graph, NULL);
    memset(png, 0, sizeof *png);
    if (node < 0)
        return 0;
    int status = rn_explain_gradient(m->graph, m->weights, m->stats, r->pool, x, h, w, node, label, &value, &gradient, shape, err);
    if (status)
        return status;
    int64_t pixels = (int64_t)shape[1] * shape[2];
    map = malloc((size_t)pixels * sizeof *map);
    status = map ? rn_cam(value, gradient, shape[0], shape[1], shape[2], 0, map, err)
                 : rn_error_memory(err, "an explanation", (size_t)pixels * sizeof *map);
    if (!status) {
        rn_map_stretch(map, pixels);
        status = rn_thumbnail_heat(map, shape[1], shape[2], rn_dataset_kind(r->dataset) == RN_PICTURES, png, err);
    }
    free(value);
    free(gradient);
    free(map);
    return status;
}

/* A clip that cannot be made is left out: the page is worth having without it. */
static void put_sound(rn_page *p, const rn_report *r, int item, double start_s, double end_s, const rn_items *items)
{
    const rn_item *it = &r->dataset->items[item];
    rn_sound_options options;
    const json_t *channel = json_object_get(rn_model_section(r->model, "features"), "channel");
    rn_sound sound = {0};
    unsigned char *data;
    size_t size;
    rn_reading_options(r->dataset, item, &options);
    options.rate = RN_MP3_RATE;
    options.channel = (int)json_integer_value(channel); /* what the network hears */
    options.start_s = start_s;
    options.end_s = end_s > start_s + items->clip_s ? start_s + items->clip_s : end_s;
    if (rn_sound_read(it->path, &options, &sound, NULL))
        return;
    if (sound.count && !rn_mp3_encode(sound.samples, sound.count, &data, &size, NULL)) {
        rn_page_put(p, "<audio controls preload=\"none\" src=\"");
        rn_page_data(p, "audio/mpeg", data, size);
        rn_page_put(p, "\"></audio>");
        free(data);
    }
    rn_sound_free(&sound);
}

static void put_image(rn_page *p, const char *class_name, const rn_png *png, const char *alt, const char *label)
{
    rn_page_put(p, "<img class=\"%s\" alt=\"%s", class_name, alt);
    rn_page_text(p, label);
    rn_page_put(p, "\" src=\"");
    rn_page_data(p, "image/png", png->data, png->size);
    rn_page_put(p, "\">");
}

/* The picture as the network sees it. */
static int draw_picture(const rn_report *r, const float *x, int h, int w, rn_png *png, rn_error *err)
{
    rn_pictures pictures;
    rn_image image = {0};
    int status = rn_pictures_from_json(&pictures, rn_model_section(r->model, "pictures"), "the model", err);
    if (!status && !(status = rn_pictures_image(&pictures, x, h, w, &image, err)))
        status = rn_thumbnail_picture(&image, png, err);
    rn_image_free(&image);
    return status;
}

static int put_pictures(rn_page *p, const rn_report *r, const rn_items *items, int i, rn_error *err)
{
    const rn_answers *a = r->answers;
    rn_views views = {0};
    rn_png grey = {0}, heat = {0};
    int answer = items->look[i], status = rn_loader_views(r->loader, a->item[i], &views, err);
    if (status)
        return status;
    int window = best_window(r, i, answer);
    window = window < views.windows ? window : 0;
    const float *x = views.x + (int64_t)window * views.c * views.h * views.w;
    rn_kind kind = rn_dataset_kind(r->dataset);
    if (!(status = kind == RN_PICTURES ? draw_picture(r, x, views.h, views.w, &grey, err)
                                       : rn_thumbnail_grey(x, views.h, views.w, &grey, err)) &&
        !(status = explain(r, x, views.h, views.w, answer, &heat, err))) {
        rn_page_put(p, "<figure><div class=\"look%s\">", kind == RN_PICTURES ? " picture" : "");
        put_image(p, "grey", &grey, kind == RN_SOUND ? "spectrogram" : kind == RN_PICTURES ? "picture" : "input", "");
        if (heat.size)
            put_image(p, "heat", &heat, "evidence for ", r->model->labels[answer]);
        rn_page_put(p, "</div>");
        if (kind == RN_SOUND) {
            rn_page_put(p, "<figcaption>%.2f to %.2f&#160;s</figcaption>", views.start_s[window], views.end_s[window]);
            put_sound(p, r, a->item[i], views.start_s[window], views.end_s[window], items);
        }
        rn_page_put(p, "</figure>");
    }
    free(grey.data);
    free(heat.data);
    rn_views_free(&views);
    return status;
}

static void put_top(rn_page *p, const rn_report *r, int i)
{
    const rn_answers *a = r->answers;
    const float *probability = a->probability + (int64_t)i * a->classes;
    int order[TOP], count = 0;
    for (int c = 0; c < a->classes; c++) {
        int at = count < TOP ? count++ : TOP;
        for (; at > 0 && probability[c] > probability[order[at - 1]]; at--)
            if (at < TOP)
                order[at] = order[at - 1];
        if (at < TOP)
            order[at] = c;
    }
    rn_page_put(p, "<ol class=\"top\">");
    for (int k = 0; k < count; k++) {
        rn_page_put(p, "<li%s><span>",
                    (a->truth ? a->truth[(int64_t)i * a->classes + order[k]] : order[k] == a->label[i]) ? " class=\"truth\"" : "");
        rn_page_text(p, r->model->labels[order[k]]);
        rn_page_put(p, "</span> %.1f&#160;%%</li>", 100 * (double)probability[order[k]]);
    }
    rn_page_put(p, "</ol>");
}

static int put_card(rn_page *p, const rn_report *r, const rn_items *items, int i, rn_error *err)
{
    rn_page_put(p, "<article class=\"item\" id=\"item-%d\" tabindex=\"-1\"><h4 class=\"path\">", i);
    rn_items_name(p, r, i);
    rn_page_put(p, "</h4>");
    int status = put_pictures(p, r, items, i, err);
    put_top(p, r, i);
    rn_page_put(p, "</article>\n");
    return status;
}

/* ---- Groups ---- */

static void put_rows(rn_page *p, const rn_report *r, const rn_items *items, int from, int end)
{
    int rows = 0, more = 0;
    for (int k = from; k < end; k++) {
        int i = items->order[k];
        more += !items->card[i];
        if (items->card[i] != 2)
            continue;
        if (!rows++)
            rn_page_put(p, "<div class=\"scroll\" tabindex=\"0\"><table class=\"rows\"><thead><tr><th scope=\"col\">file</th><th "
                           "scope=\"col\">confidence</th></tr></thead><tbody>\n");
        rn_page_put(p, "<tr id=\"item-%d\" tabindex=\"-1\"><td class=\"path\">", i);
        rn_items_name(p, r, i);
        rn_page_put(p, "</td><td>%.1f&#160;%%</td></tr>\n", 100 * items->confidence[i]);
    }
    if (rows)
        rn_page_put(p, "</tbody></table></div>");
    if (more)
        rn_page_put(p, "<p class=\"quiet\">%d more are counted only: a page of this size shows %d rows.</p>", more, RN_ROWS);
}

static int put_group(rn_page *p, const rn_report *r, const rn_items *items, int from, int end, int *cards, rn_error *err)
{
    int first = items->order[from], label = items->label[first], answer = items->best[first], inside = 0, status;
    rn_page_put(p, "<details id=\"cell-%d-%d\"%s><summary>", label, answer, label == answer ? "" : " class=\"wrong\"");
    rn_page_text(p, items->names[label]);
    if (label != answer) {
        rn_page_put(p, " taken for ");
        rn_page_text(p, items->names[answer]);
    }
    rn_page_put(p, "%s: %d</summary><div class=\"cards\">\n", label == answer ? ", right" : "", end - from);
    for (int k = from; k < end; k++) {
        if (items->card[items->order[k]] != 1)
            continue;
        inside++;
        if ((status = put_card(p, r, items, items->order[k], err)))
            return status;
        ++*cards;
        if (r->progress && r->progress(r->context, RN_MAPS_SHARE + (1000 - RN_MAPS_SHARE) * (int64_t)*cards / items->cards, 1000))
            return rn_error_set(err, RN_ERR_CANCELLED, "stopped before the report was written");
    }
    rn_page_put(p, "</div>");
    put_rows(p, r, items, from, end);
    rn_page_put(p, "</details>\n");
    return 0;
}

int rn_items_write(rn_page *p, const rn_report *r, const rn_items *items, rn_error *err)
{
    int cards = 0, status;
    for (int right = 0; right < 2; right++) {
        int groups = 0;
        for (int k = 0, end; k < items->count; k = end) {
            int i = items->order[k];
            for (end = k + 1; end < items->count && items->label[items->order[end]] == items->label[i] &&
                              items->best[items->order[end]] == items->best[i];
                 end++)
                ;
            if ((items->label[i] == items->best[i]) != right)
                continue;
            if (!groups++)
                rn_page_put(p, "<h3>%s</h3>\n", right ? "Right" : "Wrong");
            if ((status = put_group(p, r, items, k, end, &cards, err)))
                return status;
        }
    }
    return 0;
}
