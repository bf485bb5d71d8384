/* Figures of a report as SVG: each says in words what it shows, and colours are the style sheet's, so that they follow its schemes. */
#ifndef RN_REPORT_FIGURES_H
#define RN_REPORT_FIGURES_H

#include "judge/judgement.h"
#include "report/page.h"

/* A share with its interval as a bar of 0 to 100 %. */
void rn_figure_bar(rn_page *page, double share, double low, double high);

typedef enum rn_curve_kind { RN_CURVE_PRECISION, RN_CURVE_ROC } rn_curve_kind;
/* One line for each of `count` classes, in this order. */
void rn_figure_curves(rn_page *page, rn_curve_kind kind, const rn_judgement *judgement, const int *classes, int count);

/* Bars of accuracy over confidence, and the line where the two agree. */
void rn_figure_reliability(rn_page *page, const rn_reliability *reliability, const char *title);

/* Points of the plane [count][2], coloured by label; point k opens item[k] (a link to #item-N). what: for the title. */
typedef struct rn_scatter {
    const char *title;
    int count;
    const double *plane;
    const int *item, *label, *answer; /* [count] */
    char *const *labels;              /* of the classes */
} rn_scatter;
void rn_figure_scatter(rn_page *page, const rn_scatter *scatter);

/* Marks with the classes' names. */
void rn_figure_legend(rn_page *page, char *const *labels, const int *classes, int count);

#endif
