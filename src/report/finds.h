/* The page of finds: what was heard in recordings, over the time of day, and every find. One HTML file that needs no other. */
#ifndef RN_REPORT_FINDS_H
#define RN_REPORT_FINDS_H

#include "base/error.h"

/* As rn_find and rn_recording of resnet_tools.h, which say what the members are. */
typedef struct rn_page_find {
    const char *path, *label;
    double start_s, end_s, probability;
    long long clock_s;
} rn_page_find;

typedef struct rn_page_recording {
    const char *path, *error;
    double seconds;
    long long clock_s;
} rn_page_recording;

int rn_finds_write(const char *model, const char *command, const rn_page_find *finds, int count, const rn_page_recording *recordings,
                   int recordings_count, const char *path, rn_error *err);

#endif
