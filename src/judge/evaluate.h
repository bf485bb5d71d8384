/* Judging: a network's answers for the items of a data set, and what they say about it. */
#ifndef RN_JUDGE_EVALUATE_H
#define RN_JUDGE_EVALUATE_H

#include <jansson.h>
#include "data/loader.h"
#include "graph/infer.h"

typedef struct rn_answers {
    int items, classes;
    int *item;          /* [items] index into the data set */
    int *label;         /* [items] true class; with several labels the first, or 0 */
    unsigned char *truth; /* [items][classes] with several labels, 1 where an item has a class; else NULL */
    double *threshold;    /* [classes] with several labels: from which probability on a class counts as answered */
    float *probability; /* [items][classes], mean over the item's windows */
    double *loss;       /* [items] -log of the true class's probability (before it was rounded to float); with several labels the mean over
                           classes of -log of the right answer's */
    int *first;         /* [items + 1] item i has windows first[i] to first[i + 1] - 1; zeros unless windows were asked for */
    float *logits;      /* [windows][classes], or NULL */
    int embedding_size; /* 0 unless embeddings were asked for */
    float *embedding;   /* [items][embedding_size], mean over the item's windows */
    int bad;            /* items that could not be decoded and were skipped: those marked in the data set, and ... */
    int failed;         /* ... those found now, */
    rn_error failure;   /* of which this is the first one's sentence */
} rn_answers;

/* What is wanted of the answers; NULL stands for probabilities at temperature 1. */
typedef struct rn_judging {
    double temperature; /* that logits are divided by */
    int windows;        /* 1: keep every window's logits */
    int embedding;      /* the network's, if an item's is to be kept; 0: not */
    const double *thresholds; /* [classes] of a data set of several labels; NULL: 0.5 each */
} rn_judging;

/* Runs the engine on every item of `part` (RN_PART_NONE: all), items decoded ahead on threads of its own. In item order; the same
 * bits for any number of threads. An item that can't be read or decoded is skipped and counted. */
int rn_answers_collect(rn_answers **answers, rn_infer *engine, rn_loader *loader, rn_dataset *dataset, rn_part part, const rn_judging *judging,
                       rn_progress_fn progress, void *context, rn_error *err);
void rn_answers_close(rn_answers **answers);
/* Room for answers of somebody else's making (tests, other engines): fields are zero, thresholds 0.5. several: with `truth`. */
int rn_answers_open(rn_answers **answers, int items, int classes, int several, rn_error *err);
/* The likeliest class of one row, of answer i: the first of equals. */
int rn_likeliest(const float *probability, int classes);
int rn_answers_best(const rn_answers *answers, int i);
/* 1 if the answer is right; with several labels, if all its classes are. */
int rn_answers_right(const rn_answers *answers, int i);
/* The n answers with the largest loss, worst first, equal ones in item order, into order[n] (indices into the answers); returns
 * how many. */
int rn_answers_worst(const rn_answers *answers, int n, int *order);

typedef struct rn_class_metrics {
    int support, predicted;
    double precision, recall, f1;
    int right;                          /* with several labels: items that have it and are answered so */
    double average_precision, roc_area; /* with several labels; NaN where no item, or every item, has the class */
} rn_class_metrics;
typedef struct rn_metrics {
    int items, classes, correct;
    double accuracy, macro_accuracy; /* macro: mean of recalls over classes present */
    double top5;
    double loss;                    /* mean */
    double ece;                     /* expected calibration error (judge/calibration.h) */
    double wilson_low, wilson_high; /* 95 % interval of accuracy (Wilson 1927); 0 and 1 without items */
    rn_class_metrics *per_class;    /* [classes] */
    int *confusion;                 /* [classes true][classes predicted]; NULL with several labels */
    /* With several labels an answer is right if all its classes are: accuracy is exact match, and macro_accuracy the mean average precision over
     * classes that an item has. top5 is 0. */
    int several;
    double micro_average_precision; /* of all items and classes as one list */
    double macro_roc_area;          /* NaN if no class has one */
    double micro_f1, macro_f1;      /* at the thresholds; macro over classes that an item has */
} rn_metrics;
/* Without items every figure is 0. A class without items has recall, precision and F1 0 and does not count in macro_accuracy. */
int rn_metrics_compute(const rn_answers *answers, rn_metrics **metrics, rn_error *err);
void rn_metrics_close(rn_metrics **metrics);
/* several.c: the part of rn_metrics_compute with several labels. Figures are scikit-learn's to 1e-9. */
int rn_metrics_several(const rn_answers *answers, rn_metrics *metrics, rn_error *err);
/* The confusion table as JSON, [[counts]]; a new reference, NULL without memory. */
json_t *rn_metrics_confusion(const rn_metrics *metrics);

/* 95 % interval of a share of `correct` among `items`. */
void rn_wilson(int correct, int items, double *low, double *high);

#endif
