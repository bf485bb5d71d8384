/* Plots are squares of PLOT user units with room for axes on the left and below; y grows downwards in SVG. */
#include "report/figures.h"

#include <math.h>

enum { PLOT = 300, LEFT = 46, TOP = 12, BOTTOM = 44, RIGHT = 12, COLOURS = 8, BAR = 120, FEW = 200 };

void rn_figure_bar(rn_page *p, double share, double low, double high)
{
    rn_page_put(p,
                "<svg class=\"bar\" viewBox=\"0 0 %d 14\" width=\"%d\" height=\"14\" aria-hidden=\"true\"><path class=\"ground\" d=\"M0 "
                "2h%dv10H0z\"/>"
                "<path class=\"fill\" d=\"M0 2h%.1fv10H0z\"/>",
                BAR, BAR, BAR, BAR * share);
    if (high > low)
        rn_page_put(p, "<path class=\"whisker\" d=\"M%.1f 7H%.1fM%.1f 3v8M%.1f 3v8\"/>", BAR * low, BAR * high, BAR * low, BAR * high);
    rn_page_put(p, "</svg>");
}

/* Frame, ticks at every fifth, and the names of the axes; the caller adds what is inside and </g></svg>. title and axes are own texts. */
static void begin(rn_page *p, const char *title, const char *across, const char *up)
{
    rn_page_put(p, "<svg class=\"plot\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\"><g transform=\"translate(%d %d)\">",
                LEFT + PLOT + RIGHT, TOP + PLOT + BOTTOM, title, LEFT, TOP);
    for (int i = 0; i <= 5; i++) {
        int at = i * PLOT / 5;
        rn_page_put(p,
                    "<path class=\"grid\" d=\"M%d 0V%dM0 %dH%d\"/><text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%.1f</text>"
                    "<text x=\"-6\" y=\"%d\" text-anchor=\"end\">%.1f</text>",
                    at, PLOT, at, PLOT, at, PLOT + 16, i / 5.0, PLOT - at + 4, i / 5.0);
    }
    rn_page_put(p,
                "<path class=\"axis\" d=\"M0 0V%dH%d\"/><text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>"
                "<text transform=\"translate(-34 %d) rotate(-90)\" text-anchor=\"middle\">%s</text>",
                PLOT, PLOT, PLOT / 2, PLOT + 36, across, PLOT / 2, up);
}

/* The mark of a class: eight colours, four shapes, of radius r. */
static void mark(rn_page *p, int k, double x, double y, double r)
{
    double h = 1.1 * r;
    rn_page_put(p, "<path class=\"k%d\" d=\"M%.1f %.1f", k % COLOURS, x - r, y);
    switch (k / COLOURS % 4) {
    case 0:
        rn_page_put(p, "a%.1f %.1f 0 1 0 %.1f 0a%.1f %.1f 0 1 0 %.1f 0", r, r, 2 * r, r, r, -2 * r);
        break;
    case 1:
        rn_page_put(p, "v%.1fh%.1fv%.1fh%.1fz", -0.9 * r, 2 * r, 1.8 * r, -2 * r);
        break;
    case 2:
        rn_page_put(p, "m0 %.1fh%.1fl%.1f %.1fz", h, 2 * r, -r, -2 * h);
        break;
    default:
        rn_page_put(p, "l%.1f %.1fl%.1f %.1fl%.1f %.1fz", r, -1.3 * r, r, 1.3 * r, -r, 1.3 * r);
    }
    rn_page_put(p, "\"/>");
}

void rn_figure_legend(rn_page *p, char *const *labels, const int *classes, int count)
{
    rn_page_put(p, "<ul class=\"legend\">");
    for (int i = 0; i < count; i++) {
        rn_page_put(
            p,
            "<li><svg viewBox=\"0 0 34 12\" width=\"34\" height=\"12\" aria-hidden=\"true\"><path class=\"line l%d d%d\" d=\"M0 6H34\"/>",
            classes[i] % COLOURS, classes[i] / COLOURS % 4);
        mark(p, classes[i], 17, 6, 4);
        rn_page_put(p, "</svg> ");
        rn_page_text(p, labels[classes[i]]);
        rn_page_put(p, "</li>");
    }
    rn_page_put(p, "</ul>\n");
}

/* A line through the curve's points; those within half a unit of the last one drawn are left out. */
static void line(rn_page *p, rn_curve_kind kind, const rn_curve *c, int k)
{
    double last_x = -9, last_y = -9;
    int drawn = 0;
    for (int i = 0; i < c->points; i++) {
        double x = kind == RN_CURVE_ROC ? c->false_positive_rate[i] : c->true_positive_rate[i],
               y = kind == RN_CURVE_ROC ? c->true_positive_rate[i] : c->precision[i];
        if (isnan(x) || isnan(y))
            return; /* then all points are */
        x *= PLOT;
        y = PLOT - y * PLOT;
        if (i && i + 1 < c->points && fabs(x - last_x) < 0.5 && fabs(y - last_y) < 0.5)
            continue;
        if (!drawn++)
            rn_page_put(p, "<path class=\"line l%d d%d\" d=\"", k % COLOURS, k / COLOURS % 4);
        rn_page_put(p, "%c%.1f %.1f", drawn == 1 ? 'M' : 'L', x, y);
        last_x = x;
        last_y = y;
    }
    if (drawn)
        rn_page_put(p, "\"/>");
}

void rn_figure_curves(rn_page *p, rn_curve_kind kind, const rn_judgement *j, const int *classes, int count)
{
    if (kind == RN_CURVE_ROC)
        begin(p, "Receiver operating characteristic of each class; the areas are in the table above", "false positive rate",
              "true positive rate");
    else
        begin(p, "Precision over recall of each class; the average precisions are in the table above", "recall", "precision");
    if (kind == RN_CURVE_ROC)
        rn_page_put(p, "<path class=\"agree\" d=\"M0 %dL%d 0\"/>", PLOT, PLOT);
    for (int i = 0; i < count; i++)
        line(p, kind, j->curves[classes[i]], classes[i]);
    rn_page_put(p, "</g></svg>");
}

void rn_figure_reliability(rn_page *p, const rn_reliability *r, const char *title)
{
    const double width = (double)PLOT / RN_RELIABILITY_BINS;
    begin(p, title, "confidence", "accuracy");
    for (int b = 0; b < RN_RELIABILITY_BINS; b++)
        if (r->count[b])
            rn_page_put(
                p,
                "<path class=\"fill\" d=\"M%.1f %dV%.1fh%.1fV%dz\"><title>%d items, confidence %.1f %%, accuracy %.1f %%</title></path>"
                "<path class=\"whisker\" d=\"M%.1f %.1fh%.1f\"/><text class=\"small\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%d</text>",
                b * width + 1, PLOT, PLOT - r->accuracy[b] * PLOT, width - 2, PLOT, r->count[b], 100 * r->confidence[b],
                100 * r->accuracy[b], b * width + 1, PLOT - r->confidence[b] * PLOT, width - 2, (b + 0.5) * width, PLOT - 4, r->count[b]);
    rn_page_put(p, "<path class=\"agree\" d=\"M0 %dL%d 0\"/></g></svg>", PLOT, PLOT);
}

void rn_figure_scatter(rn_page *p, const rn_scatter *s)
{
    double low[2] = {0, 0}, high[2] = {0, 0};
    for (int i = 0; i < 2 * s->count; i++) {
        low[i % 2] = i < 2 || s->plane[i] < low[i % 2] ? s->plane[i] : low[i % 2];
        high[i % 2] = i < 2 || s->plane[i] > high[i % 2] ? s->plane[i] : high[i % 2];
    }
    double span = high[0] - low[0] > high[1] - low[1] ? high[0] - low[0] : high[1] - low[1], unit = span > 0 ? PLOT / span : 0;
    rn_page_put(
        p, "<svg class=\"plot\" viewBox=\"-8 -8 %d %d\" role=\"group\" aria-label=\"%s\"><path class=\"frame\" d=\"M-7 -7H%dV%dH-7z\"/>",
        PLOT + 16, PLOT + 16, s->title, PLOT + 7, PLOT + 7);
    for (int i = 0; i < s->count; i++) {
        double x = PLOT / 2.0 + (s->plane[2 * i] - (low[0] + high[0]) / 2) * unit,
               y = PLOT / 2.0 - (s->plane[2 * i + 1] - (low[1] + high[1]) / 2) * unit;
        rn_page_put(p, "<a href=\"#item-%d\" tabindex=\"-1\"%s><title>", s->item[i], s->answer[i] == s->label[i] ? "" : " class=\"wrong\"");
        rn_page_text(p, s->labels[s->label[i]]);
        if (s->answer[i] != s->label[i]) {
            rn_page_put(p, " taken for ");
            rn_page_text(p, s->labels[s->answer[i]]);
        }
        rn_page_put(p, "</title>");
        mark(p, s->label[i], x, y, s->count > FEW ? 2.4 : 4);
        rn_page_put(p, "</a>");
    }
    rn_page_put(p, "</svg>");
}
