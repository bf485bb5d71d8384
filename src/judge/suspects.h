/* Items whose label is likely wrong: confident learning (Northcutt, Jiang and Chuang 2021). */
#ifndef RN_JUDGE_SUSPECTS_H
#define RN_JUDGE_SUSPECTS_H

#include "base/error.h"

typedef struct rn_suspect {
    int index;              /* of the item among those given */
    int label, likely;      /* as it is labelled; the class in which it is confidently */
    double self_confidence; /* probability of its label */
    double margin;          /* probability of its label less the largest of the others: -1 to 1, low is suspect */
} rn_suspect;

/* A class's threshold is the mean probability of that class over the items labelled so. An item is confidently in a class whose threshold
 * its probability reaches (less 1e-6, for the rounding of floats); if it reaches several, in the likeliest class of all. It is a suspect if
 * that is not its label, and some class is likelier than its label (by more than 1e-6). Least self-confidence first, equal ones in item
 * order: the answer of cleanlab's find_label_issues(filter_by="confident_learning", return_indices_ranked_by="self_confidence").
 *
 * probability [items][classes], of items that the network was not trained on: it believes labels that it has learnt by heart
 * label       [items]
 * suspects    malloc'ed, [*count], the caller's to free; NULL if there is none
 *
 * A class without items suspects nobody: nothing is known of what its probability is like. An item with a probability that is not
 * finite is left out altogether. O(items classes + count log count). RN_ERR_ARG: a label outside; RN_ERR_MEMORY. */
int rn_suspects_find(const float *probability, const int *label, int items, int classes, rn_suspect **suspects, int *count, rn_error *err);

#endif
