/* The tables of a report. */
#ifndef RN_REPORT_TABLES_H
#define RN_REPORT_TABLES_H

#include "report/page.h"
#include "report/report.h"

enum { RN_MATRIX_MOST = 60 }; /* classes up to which the whole confusion table is drawn */

/* A cell of a share in percent; "none" for NaN. */
void rn_table_percent(rn_page *page, double share);
/* The model's accuracy beside what needs no model. */
void rn_table_baselines(rn_page *page, const rn_report *report);
/* Rows are the truth, columns the answers; a cell links to its items. Above RN_MATRIX_MOST classes: the pairs that are confused most. */
int rn_table_confusion(rn_page *page, const rn_report *report, rn_error *err);
void rn_table_classes(rn_page *page, const rn_report *report);
/* Accuracy by source, duration and background level. */
int rn_table_slices(rn_page *page, const rn_report *report, rn_error *err);
/* The model's training record and the commands. */
void rn_table_training(rn_page *page, const rn_report *report);

#endif
