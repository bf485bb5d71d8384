/* Command lines: reading them by the verb's table. Nearest words by optimal string alignment distance (Damerau 1964):
 * insertions, deletions, substitutions and swaps of neighbours cost 1. */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

const option_row common_options[] = {
    {"threads", "N", OPTION_INTEGER, 1, 1, 1024, NULL, "threads to use [the cores that the process may really use]"},
    {"cpu", "LEVEL", OPTION_CHOICE, 0, 0, 0, "c|fma|avx2|avx512",
     "highest instruction set to use; results are the same bits [what the processor has]"},
    {"json", NULL, OPTION_FLAG, 0, 0, 0, NULL, "print JSON to standard output, for programs"},
    {"help", NULL, OPTION_FLAG, 0, 0, 0, NULL, "print this and stop"},
    {NULL, NULL, OPTION_FLAG, 0, 0, 0, NULL, NULL}};

static int table_count(const option_row *rows)
{
    int n = 0;
    while (rows && rows[n].name)
        n++;
    return n;
}

/* The row of that name and its place in `values`; NULL if there is none. */
static const option_row *find_row(const verb *v, const char *name, size_t length, int *place)
{
    const option_row *tables[2] = {v->options, common_options};
    int base = 0;
    for (int t = 0; t < 2; t++) {
        for (const option_row *row = tables[t]; row && row->name; row++)
            if (strlen(row->name) == length && memcmp(row->name, name, length) == 0) {
                *place = base + (int)(row - tables[t]);
                return row;
            }
        base += table_count(tables[t]);
    }
    return NULL;
}

static int smallest(int a, int b, int c)
{
    int m = a < b ? a : b;
    return m < c ? m : c;
}

static int distance(const char *a, const char *b)
{
    enum { MOST = 40 };
    int d[MOST + 1][MOST + 1];
    int n = (int)strlen(a), m = (int)strlen(b);
    if (n > MOST || m > MOST)
        return MOST;
    for (int i = 0; i <= n; i++)
        for (int j = 0; j <= m; j++) {
            if (!i || !j) {
                d[i][j] = i + j;
                continue;
            }
            d[i][j] = smallest(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < d[i][j])
                d[i][j] = d[i - 2][j - 2] + 1;
        }
    return d[n][m];
}

const char *nearest_word(const char *given, const char *const *words)
{
    const char *best = NULL;
    int least = 1000;
    for (; *words; words++) {
        int d = distance(given, *words);
        if (strlen(given) >= 3 && strncmp(given, *words, strlen(given)) == 0)
            d = 0; /* an abbreviation */
        if (d < least) {
            least = d;
            best = *words;
        }
    }
    int allowed = (int)strlen(given) / 3 + 1;
    return best && least <= (allowed < 3 ? allowed : 3) ? best : NULL;
}

static int unknown_option(const verb *v, const char *given)
{
    int count = table_count(v->options) + table_count(common_options), n = 0;
    const char **names = calloc((size_t)count + 1, sizeof *names);
    char word[64];
    snprintf(word, sizeof word, "%s", given);
    word[strcspn(word, "=")] = 0;
    for (const option_row *row = v->options; names && row && row->name; row++)
        names[n++] = row->name;
    for (const option_row *row = common_options; names && row->name; row++)
        names[n++] = row->name;
    const char *near = names ? nearest_word(word, names) : NULL;
    if (near)
        complain("%s: unknown option --%s: did you mean --%s? See: resnet help %s", v->name, word, near, v->name);
    else
        complain("%s: unknown option --%s. See: resnet help %s", v->name, word, v->name);
    free(names);
    return EXIT_USE;
}

static int read_dimensions(const char *text, int want, long *out)
{
    const char *p = text;
    for (int i = 0; i < want; i++) {
        char *end;
        if (*p < '0' || *p > '9')
            return -1;
        errno = 0;
        out[i] = strtol(p, &end, 10);
        if (errno || out[i] < 1 || out[i] > 1000000)
            return -1;
        if (i + 1 < want ? *end != 'x' : *end != 0)
            return -1;
        p = end + 1;
    }
    return 0;
}

static int is_choice(const char *choices, const char *value)
{
    size_t length = strlen(value);
    for (const char *p = choices; p;) {
        const char *end = strchr(p, '|');
        size_t n = end ? (size_t)(end - p) : strlen(p);
        if (n == length && memcmp(p, value, n) == 0)
            return 1;
        p = end ? end + 1 : NULL;
    }
    return 0;
}

static int is_utf8(const char *value)
{
    json_t *text = json_string(value);
    json_decref(text);
    return text != NULL;
}

/* Checks one value against its row; a message and EXIT_USE where it does not fit. */
static int check_value(const verb *v, const option_row *row, const char *value)
{
    char *end = NULL;
    long sizes[3];
    double number;
    switch (row->kind) {
    case OPTION_INTEGER:
        errno = 0;
        number = (double)strtol(value, &end, 10);
        if (!*value || *end || errno || number < row->low || number > row->high) {
            complain("%s: --%s %s: want a whole number from %.0f to %.0f", v->name, row->name, value, row->low, row->high);
            return EXIT_USE;
        }
        return 0;
    case OPTION_NUMBER:
        number = strtod(value, &end);
        if (!*value || *end || !(number >= row->low && number <= row->high)) {
            complain("%s: --%s %s: want a number from %.9g to %.9g", v->name, row->name, value, row->low, row->high);
            return EXIT_USE;
        }
        return 0;
    case OPTION_CHOICE:
        if (!is_choice(row->choices, value)) {
            complain("%s: --%s %s: want one of %s", v->name, row->name, value, row->choices);
            return EXIT_USE;
        }
        return 0;
    case OPTION_SIZE:
    case OPTION_SHAPE:
        if (read_dimensions(value, row->kind == OPTION_SIZE ? 2 : 3, sizes)) {
            complain("%s: --%s %s: want %s, for example %s", v->name, row->name, value, row->kind == OPTION_SIZE ? "HxW" : "CxHxW",
                     row->kind == OPTION_SIZE ? "4x1" : "1x64x200");
            return EXIT_USE;
        }
        return 0;
    default:
        if ((row->pass || !strcmp(row->name, "config")) && !is_utf8(value)) {
            complain("%s: --%s: this name is not UTF-8, which options are written in: rename the file", v->name, row->name);
            return EXIT_USE;
        }
        return 0;
    }
}

/* One "--name", "--name=value" or "--name value"; *used is how many words it took. */
static int parse_option(command *c, int argc, char **argv, int *used)
{
    const verb *v = c->verb;
    const char *word = argv[0] + 2, *equals = strchr(word, '='), *value;
    int place = 0;
    const option_row *row = find_row(v, word, equals ? (size_t)(equals - word) : strlen(word), &place);
    *used = 1;
    if (!row)
        return unknown_option(v, word);
    if (row->kind == OPTION_FLAG) {
        if (equals) {
            complain("%s: --%s takes no value", v->name, row->name);
            return EXIT_USE;
        }
        value = "";
    } else if (equals) {
        value = equals + 1;
    } else if (argc > 1) {
        value = argv[1];
        *used = 2;
    } else {
        complain("%s: --%s wants a value: --%s %s", v->name, row->name, row->name, row->value);
        return EXIT_USE;
    }
    if (c->values[place] && row->kind != OPTION_FLAG) {
        complain("%s: --%s is given twice", v->name, row->name);
        return EXIT_USE;
    }
    c->values[place] = value;
    return check_value(v, row, value);
}

static int check_count(const command *c)
{
    const verb *v = c->verb;
    if (c->arguments_count < v->least)
        complain("%s: %s: usage: resnet %s %s", v->name, c->arguments_count ? "an argument is missing" : "arguments are missing", v->name,
                 v->arguments);
    else if (v->most >= 0 && c->arguments_count > v->most)
        complain("%s: one argument too many: '%s'. Usage: resnet %s%s%s", v->name, c->arguments[v->most], v->name,
                 v->arguments[0] ? " " : "", v->arguments);
    else
        return 0;
    return EXIT_USE;
}

int command_parse(command *c, const verb *v, int argc, char **argv)
{
    int count = table_count(v->options) + table_count(common_options), only_arguments = 0, status = 0, used = 0;
    memset(c, 0, sizeof *c);
    c->verb = v;
    c->values = calloc((size_t)count, sizeof *c->values);
    c->arguments = calloc((size_t)argc + 1, sizeof *c->arguments);
    if (!c->values || !c->arguments) {
        complain("no memory for the command line");
        return EXIT_WORK;
    }
    for (int i = 0; i < argc && !status; i++) {
        if (only_arguments || argv[i][0] != '-' || !argv[i][1]) {
            c->arguments[c->arguments_count++] = argv[i];
        } else if (strcmp(argv[i], "--") == 0) {
            only_arguments = 1;
        } else if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
            c->help = 1;
            return 0;
        } else if (strcmp(argv[i], "-o") == 0) {
            static char out[] = "--out";
            char *pair[2] = {out, i + 1 < argc ? argv[i + 1] : NULL};
            status = parse_option(c, argc - i, pair, &used);
            i += used - 1;
        } else if (argv[i][1] == '-') {
            status = parse_option(c, argc - i, argv + i, &used);
            i += used - 1;
        } else {
            complain("%s: unknown option %s. See: resnet help %s", v->name, argv[i], v->name);
            status = EXIT_USE;
        }
    }
    return status ? status : check_count(c);
}

void command_free(command *c)
{
    free(c->values);
    free(c->arguments);
    memset(c, 0, sizeof *c);
}

const char *option_text(const command *c, const char *name)
{
    int place = 0;
    const option_row *row = find_row(c->verb, name, strlen(name), &place);
    return row ? c->values[place] : NULL;
}

int option_flag(const command *c, const char *name)
{
    return option_text(c, name) != NULL;
}

long option_integer(const command *c, const char *name, long otherwise)
{
    const char *text = option_text(c, name);
    return text ? strtol(text, NULL, 10) : otherwise;
}

double option_number(const command *c, const char *name, double otherwise)
{
    const char *text = option_text(c, name);
    return text ? strtod(text, NULL) : otherwise;
}

static void add_row(json_t *object, const option_row *row, const char *value)
{
    char key[64];
    int off = row->key && row->key[0] == '!';
    snprintf(key, sizeof key, "%s", row->key ? row->key + off : row->name);
    for (char *p = key; *p; p++)
        if (*p == '-')
            *p = '_';
    if (row->kind == OPTION_FLAG)
        json_object_set_new(object, key, json_boolean(!off));
    else if (row->kind == OPTION_INTEGER)
        json_object_set_new(object, key, json_integer(strtoll(value, NULL, 10)));
    else if (row->kind == OPTION_NUMBER)
        json_object_set_new(object, key, json_real(strtod(value, NULL)));
    else
        json_object_set_new(object, key, json_string(value));
}

json_t *options_object(const command *c)
{
    json_t *object = json_object();
    const option_row *tables[2] = {c->verb->options, common_options};
    int place = 0;
    for (int t = 0; t < 2 && object; t++)
        for (const option_row *row = tables[t]; row && row->name; row++, place++)
            if (row->pass && c->values[place])
                add_row(object, row, c->values[place]);
    return object;
}
