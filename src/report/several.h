/* What a report says in other words where items have several labels. */
#ifndef RN_REPORT_SEVERAL_H
#define RN_REPORT_SEVERAL_H

#include "report/page.h"
#include "report/report.h"

/* How an item went, as one truth and one answer. Right in all classes: its first class twice. Else by the class whose answer surprises most: a class
 * that was missed is taken for nothing, one that is not there is what nothing was taken for. "Nothing" is the number behind the last class. */
typedef struct rn_outcome {
    int label, answer;
    int look;          /* the class whose evidence is shown */
    double confidence; /* of what was answered about it */
} rn_outcome;
rn_outcome rn_several_outcome(const rn_answers *answers, int i);

void rn_several_headline(rn_page *page, const rn_report *report);
void rn_several_advise(rn_page *page, const rn_report *report);
/* Right, missed and answered where it is not, by class; in place of the confusion table. */
void rn_several_answers(rn_page *page, const rn_report *report);
void rn_several_classes(rn_page *page, const rn_report *report);
/* What an item has, or what was answered: "robin, wren" or "nothing". */
void rn_several_list(rn_page *page, const rn_report *report, int i, int answered);

#endif
