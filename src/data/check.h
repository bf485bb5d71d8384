/* `data check` and `data stats`: decode everything, say what is wrong, and how well level alone tells the classes apart. */
#ifndef RN_DATA_CHECK_H
#define RN_DATA_CHECK_H

#include "data/dataset.h"

typedef enum rn_finding_kind {
    RN_FIND_UNDECODABLE, RN_FIND_EMPTY, RN_FIND_FEW, RN_FIND_CONFLICT /* one content in two classes or parts */, /* errors */
    RN_FIND_SILENT, RN_FIND_SILENT_CHANNEL, RN_FIND_CLIPPED, RN_FIND_SHORT, RN_FIND_DUPLICATE_BYTES, RN_FIND_DUPLICATE_SOUND,
    RN_FIND_EXTENSION, RN_FIND_LISTING, RN_FIND_BAND /* warnings */
} rn_finding_kind;

typedef struct rn_finding { rn_finding_kind kind; int item, other; /* -1: none */ char text[320]; } rn_finding;

typedef struct rn_check {
    int findings_count; rn_finding *findings;
    int errors, warnings;
    double *seconds;       /* [items] */
    int *rates;            /* [items] Hz */
    double *level_db;      /* [items] 5th-percentile frame level, the number of the one-number classifier */
    double level_accuracy, level_macro; /* nearest neighbours (k = 25) on level_db alone, on test if there are parts, else by 5-fold cross-validation by source */
    double chance;         /* share of the largest class, on the same items */
    double total_seconds;
} rn_check;


int rn_check_run(rn_dataset *dataset, double min_seconds, rn_pool *pool, rn_progress_fn progress, void *context, rn_check **check, rn_error *err);
int rn_finding_is_error(rn_finding_kind kind);
const char *rn_finding_name(rn_finding_kind kind); /* "undecodable" ... for --json */
void rn_check_close(rn_check **check);

#endif
