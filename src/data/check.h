/* `data check` and `data stats`: decode everything, say what is wrong, and how well level alone tells the classes apart. */
#ifndef RN_DATA_CHECK_H
#define RN_DATA_CHECK_H

#include "data/dataset.h"

typedef enum rn_finding_kind {
    RN_FIND_UNDECODABLE,
    RN_FIND_EMPTY,
    RN_FIND_FEW,
    RN_FIND_CONFLICT, /* one content in two classes or parts; so far errors, what follows are warnings */
    RN_FIND_SILENT,
    RN_FIND_SILENT_CHANNEL,
    RN_FIND_CLIPPED,
    RN_FIND_SHORT,
    RN_FIND_DUPLICATE_BYTES,
    RN_FIND_DUPLICATE_SOUND,
    RN_FIND_EXTENSION,
    RN_FIND_LISTING,
    RN_FIND_BAND, /* rates that differ or are above 48 kHz */
    RN_FIND_ONE_COLOUR,
    RN_FIND_GREY, /* pictures without colours among others */
    RN_FIND_DUPLICATE_PIXELS,
    RN_FIND_KINDS
} rn_finding_kind;

typedef struct rn_finding {
    rn_finding_kind kind;
    int item, other; /* -1: none */
    char text[320];
} rn_finding;

typedef struct rn_check {
    int findings_count;
    rn_finding *findings; /* by kind, then by item */
    int errors, warnings;
    int items, classes;
    double *seconds;  /* [items]; 0 where it does not decode, and for arrays */
    int *rates;       /* [items] Hz; 0 likewise */
    int *heights, *widths; /* [items] of pictures; 0 where one does not decode, and for others */
    unsigned char *grey;   /* [items] 1: a picture whose pixels have no colours */
    /* Of a picture instead: its mean brightness, 0 to 255. */
    double *level_db; /* [items] 5th-percentile frame level, the number of the one-number classifier (data/level.h); NaN likewise */
    /* Nearest neighbours (k = 25) on level_db alone: on test if there are parts, else in 5 folds by source. */
    double level_accuracy, level_macro;
    int level_items; /* judged so; 0: no such figure */
    double chance;   /* share of the largest class, on the same items */
    double total_seconds;
} rn_check;

/* Decodes everything in parallel. min_seconds: shorter items are reported (0: 0.5). Hashes the data set if that was not done. A file that
 * cannot be read or decoded is a finding, never an error of this function. */
int rn_check_run(rn_dataset *dataset, double min_seconds, rn_pool *pool, rn_progress_fn progress, void *context, rn_check **check,
                 rn_error *err);
int rn_finding_is_error(rn_finding_kind kind);
const char *rn_finding_name(rn_finding_kind kind); /* "undecodable" ... for --json */
void rn_check_close(rn_check **check);

/* Figures per class for `data stats`, from a check. */
typedef struct rn_class_stats {
    int items, sources, bad; /* bad: do not decode; not counted in the others */
    int parts[RN_PARTS];     /* items by part */
    double seconds, shortest_s, median_s, longest_s;
    int rate_low, rate_high; /* Hz */
    int grey;                /* pictures without colours */
    int height_low, height_high, width_low, width_high;
} rn_class_stats;
/* stats [classes + 1], malloc'ed, the caller's; the last is of all classes together. */
int rn_check_stats(const rn_dataset *dataset, const rn_check *check, rn_class_stats **stats, rn_error *err);

#endif
