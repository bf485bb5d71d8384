/* The journal of a long `predict --out FILE`: what each recording came to, kept beside FILE as FILE.part, so that the same command goes on where
 * an earlier one was stopped. */
#ifndef RESNET_CLI_JOURNAL_H
#define RESNET_CLI_JOURNAL_H

#include "cli.h"

/* One recording that was heard. A change of its size or time makes it another recording. */
typedef struct recording {
    const char *path;
    int64_t bytes, time_ns;
    int64_t finds;
    double seconds;    /* of sound */
    const char *error; /* a sentence if it could not be heard to its end, else "" */
    const char *found; /* its finds as finds_write has them, or "" */
    const char *text;  /* its part of FILE: `length` bytes, also where it failed */
    size_t length;
} recording;

typedef struct journal journal;

/* Begins FILE.part, or goes on with it. `identity`: lines about program, model and options, which must be
 * those that it was begun with. An exit status, after a message: FILE is there and no journal, another process is writing, another identity. */
int journal_open(journal **j, const char *out, const char *identity);
/* What it has of a recording whose size and time are still these, or NULL; without its text. */
const recording *journal_find(const journal *j, const char *path, int64_t bytes, int64_t time_ns);
/* Why a recording could not be heard to its end, or NULL; after journal_finish. */
const char *journal_failure(const journal *j, const char *path);
/* Adds one; when it returns 0, killing the process does not lose it. An exit status after a message. */
int journal_add(journal *j, const recording *h);
/* Writes FILE: `head`, and the texts of these recordings in this order. An exit status after a message. */
int journal_finish(journal *j, const char *head, const path_list *paths);
/* FILE and all that belongs to it is whole: removes FILE.part. An exit status after a message. */
int journal_remove(journal *j);
void journal_close(journal **j);

#endif
