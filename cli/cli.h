/* What the verbs share: exit statuses, messages, progress, output that notices a full disk, and the list of verbs. */
#ifndef RESNET_CLI_H
#define RESNET_CLI_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "options.h"
#include "resnet.h"
#include "resnet_tools.h"

#define EXIT_DONE 0    /* done */
#define EXIT_WORK 1    /* the work failed */
#define EXIT_USE 2     /* wrong use */
#define EXIT_STOPPED 3 /* stopped by a signal; can be resumed */

extern const verb verbs[]; /* ends with a row without a name */

/* "resnet: ..." on stderr, one line. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Prints the sentence of `err` and returns the exit status that belongs to its code. */
int fail_with(const rn_error *err);

/* SIGINT and SIGTERM set a flag; a second one ends the process at once. */
void signals_watch(void);
int signals_stopped(void);

/* A live line on stderr, only if that is a terminal and the work has taken more than two seconds:
 * "checking   412 of 1,204   118/s   7 s left", or without the end where total is 0. Its callback also says when a signal came. */
typedef struct progress {
    const char *what, *unit;
    double started, shown;
    int64_t first;
    int live, visible;
} progress;
void progress_start(progress *p, const char *what);
int progress_step(void *context, int64_t done, int64_t total); /* an rn_progress_fn */
void progress_end(progress *p);
/* A live line of another shape: 1 if it is time for one; its text. */
int progress_due(const progress *p);
void progress_show(progress *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

double seconds_now(void); /* monotonic */

/* Text for people. Each writes into buffer and returns it. */
const char *text_count(char buffer[32], int64_t n);         /* 11,694,537 */
const char *text_bytes(char buffer[32], int64_t n);         /* 46.8 MB */
const char *text_duration(char buffer[32], double seconds); /* 6 s, 3 min, 1.9 h */

/* "16x1x3x3" of a list of sizes. */
void shape_text(char buffer[64], const json_t *shape);
/* 1 if the locale of the environment is one of UTF-8: then bars may be drawn with its blocks. */
int output_is_utf8(void);

/* Prints an object with sorted keys left as they are, two blanks of indentation. */
void print_json(const json_t *value);
/* The same on one line. */
void print_json_line(const json_t *value);
void write_json_line(FILE *out, const json_t *value);

/* A member of an object: 0, or "", where there is none. */
/* What a network is made of, on the line; what nearly all have in common is left out. */
void print_network(const json_t *arch);
json_int_t number_of(const json_t *object, const char *key);
double real_of(const json_t *object, const char *key);
const char *text_of(const json_t *object, const char *key);

/* A path as a JSON string; one that is not UTF-8 is said to be so. */
json_t *path_value(const char *path);
/* Passes a field of CSV on, quoted if it must be, piece by piece, until `put` says that it failed. */
int csv_field(const char *text, int (*put)(void *context, const char *piece), void *context);

/* The command as a shell takes it: words with blanks between, in quotes where they need some. The caller's (free); NULL without memory. */
char *command_text(void);

/* Parses what the library returned and frees the text. NULL after a message. */
json_t *take_result(char *text);

/* Flushes stdout; 1 if something could not be written, now or before. */
int output_failed(void);
/* The same of any stream that is written to; only stdout is flushed. */
int stream_failed(FILE *out);
/* Flushes stdout; the exit status is `status`, or 1 with a message if something could not be written. */
int finish_output(int status);

/* A library option text from the command's passed rows; NULL after a message. Free with free(). */
char *options_text(const command *c);

/* Files below a path: the path itself, or all files of a folder whose kind is known, in byte order; symlink loops are left out. */
typedef struct path_list {
    int count, room;
    char **paths;
    const rn_model *model; /* of what a folder holds only what this model takes; NULL: whatever can be read */
    const char *skip; /* a folder that is not searched, where it lies in another: what the command writes to; NULL */
} path_list;
int path_list_add(path_list *list, const char *path, rn_error *err);
void path_list_free(path_list *list);

/* rn_listen from --window --hop --min-prob --background --raw --rate --channels --channel; EXIT_USE after a message. */
int listen_options(const command *c, rn_listen *listen);
/* Loads MODEL and opens a session with --threads. Returns an exit status. */
int open_session(const command *c, const char *path, rn_model **model, rn_session **session);

int verb_arch(const command *c);
int verb_info(const command *c);
int verb_data_check(const command *c);
int verb_data_stats(const command *c);
int verb_data_split(const command *c);
int verb_train(const command *c);
int verb_eval(const command *c);
int verb_predict(const command *c);
int verb_embed(const command *c);
int verb_run(const command *c);
int verb_dump(const command *c);
int verb_explain(const command *c);
int verb_watch(const command *c);
int verb_bench(const command *c);
int verb_convert(const command *c);

#endif
