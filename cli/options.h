/* The command line as data: one row per option gives parsing, checking, the help text, the shell completion and, for rows that
 * are passed on, the JSON key that the library reads (dashes become underscores, unless the row names another key). */
#ifndef RESNET_CLI_OPTIONS_H
#define RESNET_CLI_OPTIONS_H

#include <jansson.h>

typedef enum option_kind {
    OPTION_FLAG,
    OPTION_INTEGER, /* range low..high */
    OPTION_NUMBER,  /* range low..high */
    OPTION_TEXT,
    OPTION_PATH,   /* completed as a file */
    OPTION_CHOICE, /* one of `choices`, separated by | */
    OPTION_SIZE,   /* HxW */
    OPTION_SHAPE   /* CxHxW */
} option_kind;

typedef struct option_row {
    const char *name;  /* without the dashes; NULL ends the table */
    const char *value; /* what its value is called in the help: "N"; NULL for a flag */
    option_kind kind;
    int pass; /* 1: belongs to the options that the library reads */
    double low, high;
    const char *choices;
    const char *help; /* one sentence without its full stop; the default in brackets */
    const char *key;  /* the library's key where it is another than the name: "arch.width"; "!features.x" means false */
} option_row;

struct command;

typedef struct verb {
    const char *name;      /* "predict", "data check" */
    const char *arguments; /* "MODEL PATH..." */
    const char *summary;   /* one line for `resnet help` */
    const char *text;      /* what it does, a paragraph, already wrapped */
    const char *example;   /* lines: commands indented by two, and what they print */
    const option_row *options;
    int least, most; /* arguments; most -1: any number */
    int (*run)(const struct command *command);
} verb;

typedef struct command {
    const verb *verb;
    const char **values; /* one per row of the verb's table, then of the common table; NULL where not given */
    int arguments_count;
    const char **arguments;
    int help; /* --help was given */
} command;

/* --threads, --cpu, --json and --help: what every verb takes. */
extern const option_row common_options[];

/* Reads argv[0..argc) (after the verb). Returns 0, or 2 after a message on stderr that names the nearest option. */
int command_parse(command *c, const verb *v, int argc, char **argv);
void command_free(command *c);

const char *option_text(const command *c, const char *name); /* NULL if not given */
int option_flag(const command *c, const char *name);
long option_integer(const command *c, const char *name, long otherwise);
double option_number(const command *c, const char *name, double otherwise);

/* The rows with `pass`, as far as they were given, as a JSON object (new reference). */
json_t *options_object(const command *c);

/* Help and completion, from the same tables. */
void print_help(const verb *v);
void print_overview(const verb *verbs);
void print_completion(const verb *verbs);

/* The word of `words` (NULL-terminated) nearest to `given`, or NULL if none is near. */
const char *nearest_word(const char *given, const char *const *words);

#endif
