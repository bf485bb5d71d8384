/* The parts of a report that differ where items have several labels. */
#include "report/several.h"

#include <math.h>

#include "report/tables.h"

static int answered(const rn_answers *a, int i, int c)
{
    return (double)a->probability[(int64_t)i * a->classes + c] >= a->threshold[c];
}

rn_outcome rn_several_outcome(const rn_answers *a, int i)
{
    const unsigned char *truth = a->truth + (int64_t)i * a->classes;
    const float *p = a->probability + (int64_t)i * a->classes;
    int worst = -1, first = a->classes, likeliest = rn_likeliest(p, a->classes);
    double most = -1;
    for (int c = 0; c < a->classes; c++) {
        double off = truth[c] ? 1 - (double)p[c] : (double)p[c];
        first = truth[c] && first == a->classes ? c : first;
        if (answered(a, i, c) != truth[c] && off > most) {
            most = off;
            worst = c;
        }
    }
    if (worst < 0)
        return (rn_outcome){first, first, likeliest, (double)p[likeliest]};
    return (rn_outcome){truth[worst] ? worst : a->classes, truth[worst] ? a->classes : worst, worst, most};
}

void rn_several_list(rn_page *p, const rn_report *r, int i, int of_answers)
{
    const rn_answers *a = r->answers;
    int count = 0;
    for (int c = 0; c < a->classes; c++) {
        if (!(of_answers ? answered(a, i, c) : a->truth[(int64_t)i * a->classes + c]))
            continue;
        rn_page_put(p, count++ ? ", " : "");
        rn_page_text(p, r->model->labels[c]);
    }
    if (!count)
        rn_page_put(p, "nothing");
}

static void baseline(rn_page *p, const char *what, double map, double micro, double exact)
{
    rn_page_put(p, "<tr><th scope=\"row\">%s</th>", what);
    rn_table_percent(p, map);
    rn_table_percent(p, micro);
    rn_table_percent(p, exact);
    rn_page_put(p, "</tr>\n");
}

void rn_several_headline(rn_page *p, const rn_report *r)
{
    const rn_metrics *m = r->metrics;
    double shares = 0, all = 0;
    int present = 0, bare = 0;
    for (int c = 0; c < m->classes; c++) {
        present += m->per_class[c].support > 0;
        shares += (double)m->per_class[c].support / m->items;
    }
    for (int i = 0; i < m->items; i++) {
        int classes = 0;
        for (int c = 0; c < m->classes; c++)
            classes += r->answers->truth[(int64_t)i * m->classes + c];
        all += classes;
        bare += !classes;
    }
    rn_page_put(
        p,
        "<p class=\"headline\"><strong>%.1f&#160;%%</strong> mean average precision on %d items <span class=\"quiet\">(all labels of "
        "an item right: %.1f&#160;%%, 95&#160;%% interval %.1f to %.1f&#160;%%)</span></p>\n<p>",
        100 * m->macro_accuracy, m->items, 100 * m->accuracy, 100 * m->wilson_low, 100 * m->wilson_high);
    rn_report_part(p, r);
    rn_page_put(p, ". An item has %.2f labels on average, %d have none. F1 at the thresholds %.1f&#160;%% (mean of the classes), ",
                all / m->items, bare, 100 * m->macro_f1);
    rn_page_put(p, "%.1f&#160;%% (all answers together), loss %.3f.</p>\n", 100 * m->micro_f1, m->loss);
    rn_page_put(
        p, "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">answers by</th><th scope=\"col\">mean average "
           "precision</th><th scope=\"col\">micro average precision</th><th scope=\"col\">all labels right</th></tr></thead><tbody>\n");
    baseline(p, "this model", m->macro_accuracy, m->micro_average_precision, m->accuracy);
    baseline(p, "a random order", present ? shares / present : NAN, all / m->items / m->classes, NAN);
    baseline(p, "always nothing", NAN, NAN, (double)bare / m->items);
    rn_page_put(p, "</tbody></table></div>\n");
}

void rn_several_advise(rn_page *p, const rn_report *r)
{
    const rn_metrics *m = r->metrics;
    int worst = -1, apart = 0;
    for (int c = 0; c < m->classes; c++)
        if (m->per_class[c].support && (worst < 0 || m->per_class[c].average_precision < m->per_class[worst].average_precision))
            worst = c;
    if (worst >= 0 && m->per_class[worst].average_precision < 1) {
        rn_page_put(p, "<li>The hardest class is <b>");
        rn_page_text(p, r->model->labels[worst]);
        rn_page_put(p, "</b>: average precision %.1f&#160;%% on its %d items. More of it helps most.</li>\n",
                    100 * m->per_class[worst].average_precision, m->per_class[worst].support);
    }
    for (int c = 0; c < m->classes; c++)
        apart += m->per_class[c].support && fabs(r->judgement->thresholds[c] - r->answers->threshold[c]) > 0.1;
    if (apart)
        rn_page_put(
            p,
            "<li>%d thresholds are more than 0.1 from the best for these items: <code>resnet eval --part validation --calibrate</code> "
            "finds them on items that are not used here, and stores them in the model.</li>\n",
            apart);
}

void rn_several_answers(rn_page *p, const rn_report *r)
{
    const rn_metrics *m = r->metrics;
    rn_page_put(
        p,
        "<p>Every class is a question of its own: how many items have it, and how they were answered at its threshold.</p>\n"
        "<div class=\"scroll\" tabindex=\"0\"><table class=\"sortable\"><thead><tr><th scope=\"col\">class</th><th scope=\"col\">items</th>"
        "<th scope=\"col\">recognised</th><th scope=\"col\">missed</th><th scope=\"col\">answered where it is not</th></tr></thead>"
        "<tbody>\n");
    for (int c = 0; c < m->classes; c++) {
        const rn_class_metrics *k = &m->per_class[c];
        rn_page_put(p, "<tr><th scope=\"row\">");
        rn_page_text(p, r->model->labels[c]);
        rn_page_put(p, "</th><td>%d</td><td>%d</td><td>%d</td><td>%d</td></tr>\n", k->support, k->right, k->support - k->right,
                    k->predicted - k->right);
    }
    rn_page_put(p, "</tbody></table></div>\n");
}

void rn_several_classes(rn_page *p, const rn_report *r)
{
    const rn_metrics *m = r->metrics;
    rn_page_put(
        p,
        "<div class=\"scroll\" tabindex=\"0\"><table class=\"sortable\"><thead><tr><th scope=\"col\">class</th><th scope=\"col\">items</th>"
        "<th scope=\"col\">average precision</th><th scope=\"col\">ROC area</th><th scope=\"col\">threshold</th><th scope=\"col\">best "
        "threshold</th><th scope=\"col\">precision</th><th scope=\"col\">recall</th><th scope=\"col\">F1</th></tr></thead><tbody>\n");
    for (int c = 0; c < m->classes; c++) {
        const rn_class_metrics *k = &m->per_class[c];
        rn_page_put(p, "<tr><th scope=\"row\">");
        rn_page_text(p, r->model->labels[c]);
        rn_page_put(p, "</th><td>%d</td>", k->support);
        rn_table_percent(p, k->average_precision);
        rn_table_percent(p, k->roc_area);
        rn_page_put(p, "<td>%.3f</td><td>%.3f</td>", r->answers->threshold[c], r->judgement->thresholds[c]);
        rn_table_percent(p, k->predicted ? k->precision : NAN);
        rn_table_percent(p, k->support ? k->recall : NAN);
        rn_table_percent(p, k->support ? k->f1 : NAN);
        rn_page_put(p, "</tr>\n");
    }
    rn_page_put(p, "</tbody></table></div>\n<p class=\"quiet\">The best threshold is that of the best F1 on these items%s.</p>\n",
                r->judgement->temperature != r->model->temperature ? ", at the best temperature" : "");
}
