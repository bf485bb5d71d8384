/* Finds: neighbouring windows of one class, joined, and the tables that other programs read them from. */
#ifndef RESNET_CLI_FINDS_H
#define RESNET_CLI_FINDS_H

#include "cli.h"

typedef enum find_format { FINDS_TABLE, FINDS_JSONL, FINDS_CSV, FINDS_AUDACITY, FINDS_RAVEN } find_format;

typedef struct find {
    int open, windows;
    double start_s, end_s, sum;
    float most; /* the largest probability */
} find;

/* A find of a class begins with a window that has at least the probability `begin`, and goes on with every window of at least `keep` that
 * does not begin later than `gap` seconds behind the last one's end. */
typedef struct finds {
    FILE *out;
    const rn_model *model;
    const char *path;
    find_format format;
    double begin, keep, gap;
    int own; /* with several labels: a class begins at its own threshold, and goes on as far below it as keep is below begin */
    int background; /* a class that is never a find; -1: none */
    find *open;     /* [classes] */
    int64_t count;
    const char *extract; /* a folder that gets every find as a recording; NULL */
    const rn_listen *listen;
    rn_cut *cuts; /* of this recording; their names are ours */
    int cuts_count, cuts_room;
    rn_find *all; /* of all recordings, for the journal and the page; paths are those of `path`, labels the model's */
    int all_count, all_room;
    int failed;   /* a find could not be cut out; */
    rn_error why; /* because of this */
} finds;

/* 1 if the command asks for finds. */
int finds_wanted(const command *c);
/* An exit status. `recordings`: how many will come; the labels of Audacity and Raven are those of one. */
int finds_start(finds *f, const command *c, const rn_model *model, const rn_listen *listen, int recordings);
const char *finds_head(const finds *f); /* what such a table begins with */
void finds_answer(finds *f, const rn_answer *a);
void finds_end(finds *f); /* of a recording */
/* Finds `first` and on as lines of text, and back; finds_parse gives 1 if the text is none. */
int finds_write(const finds *f, int first, FILE *out);
int finds_parse(finds *f, const char *path, const char *text);
void finds_close(finds *f);

/* When a recording began, or -1. */
long long clock_or_none(const char *path);
/* Seconds since 1970 that a name such as SM4_20261124_063400.wav says, as if it were UTC; 0 where it says none. */
int clock_of_name(const char *path, long long *seconds);

#endif
