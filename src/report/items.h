/* The items of a report: which are shown with picture, sound and explanation, and all of them as rows, by truth and answer. */
#ifndef RN_REPORT_ITEMS_H
#define RN_REPORT_ITEMS_H

#include "report/page.h"
#include "report/report.h"

enum { RN_CARDS = 200, RN_CARDS_A_CLASS = 5, RN_ROWS = 5000 };
enum { RN_MAPS_SHARE = 400 }; /* thousandths of a report's work that come before the cards */

/* The order in which items are looked at: by (label, answer), in a group the most confident first. */
typedef struct rn_items {
    int count;
    int *order;          /* [count] indices of answers */
    int *label, *best;   /* [count] truth and answer of each, by index; with several labels see rn_several_outcome */
    int *look;           /* [count] the class whose evidence a card shows */
    double *confidence;  /* [count] */
    char **names;        /* [classes + 1] the model's labels and "nothing"; borrowed */
    unsigned char *card; /* [count], by index: 1 with picture, sound and explanation; 2 a row; 0 counted only */
    int cards;
    double clip_s; /* longest piece of sound */
} rn_items;

/* Mistakes, most confident first, and RN_CARDS_A_CLASS of each class that are right, the least confident; RN_CARDS at most. */
int rn_items_choose(const rn_report *report, rn_items *items, rn_error *err);
void rn_items_free(rn_items *items);
/* An item's name; of a part of a recording also which. */
void rn_items_name(rn_page *page, const rn_report *report, int i);
/* Groups as <details id="cell-LABEL-ANSWER"> of <article> or <tr> id="item-N". */
int rn_items_write(rn_page *page, const rn_report *report, const rn_items *items, rn_error *err);

#endif
