/* resnet info: what this machine runs with, or what is inside a model file. */
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

static void print_words(const char *head, const json_t *list, const char *between)
{
    size_t i;
    json_t *value;
    printf("%s", head);
    json_array_foreach(list, i, value) printf("%s%s", i ? between : "", json_string_value(value));
    printf("%s\n", json_array_size(list) ? "" : "none");
}

static void print_machine(const json_t *all)
{
    printf("resnet       %s\n", text_of(all, "version"));
    printf("arithmetic   %lld   (models and checkpoints of one number give the same bits)\n", number_of(all, "arithmetic"));
    printf("isa          %s   ", text_of(all, "isa"));
    print_words("the processor has: ", json_object_get(all, "cpu"), ", ");
    printf("threads      %lld   (what the process may really use)\n", number_of(all, "threads"));
    print_words("features     ", json_object_get(all, "features"), "\n             ");
}

/* One value of a section on one line; objects and lists as compact JSON. */
static void print_section(const char *head, const json_t *section)
{
    const char *key;
    json_t *value;
    printf("%s\n", head);
    json_object_foreach((json_t *)section, key, value)
    {
        char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(10));
        printf("  %-20s %s\n", key, json_is_string(value) ? json_string_value(value) : text ? text : "");
        rn_text_free(text);
    }
}

/* Of a model of several labels. */
static void print_thresholds(const json_t *thresholds)
{
    size_t i;
    json_t *value;
    printf("             an item has any number of them; thresholds");
    json_array_foreach((json_t *)thresholds, i, value)
    {
        if (i == 40) {
            printf(" ...");
            break;
        }
        printf("%s %.3g", i ? "," : "", json_number_value(value));
    }
    printf("%s\n", json_array_size(thresholds) ? "" : " 0.5");
}

static void print_labels(const json_t *labels)
{
    size_t i, column = 13;
    json_t *label;
    printf("labels       ");
    json_array_foreach(labels, i, label)
    {
        const char *text = json_string_value(label);
        if (i == 40) {
            char count[32];
            printf(" ... %s in all", text_count(count, (int64_t)json_array_size(labels)));
            break;
        }
        if (column + strlen(text) + 2 > 100) {
            printf("\n             ");
            column = 13;
        }
        printf("%s%s", text, i + 1 < json_array_size(labels) ? ", " : "");
        column += strlen(text) + 2;
    }
    printf("\n");
}

/* A histogram as a row of bars, the highest bin as high as a line. */
static void print_bars(const json_t *bins)
{
    static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const signs[] = {" ", ".", ":", "-", "=", "+", "*", "#", "@"};
    const char *const *bars = output_is_utf8() ? blocks : signs;
    json_int_t most = 1;
    size_t i;
    json_t *bin;
    json_array_foreach((json_t *)bins, i, bin) most = json_integer_value(bin) > most ? json_integer_value(bin) : most;
    json_array_foreach((json_t *)bins, i, bin)
    {
        double height = 8 * (double)json_integer_value(bin) / (double)most;
        fputs(bars[height > 0 && height < 1 ? 1 : (int)(height + 0.5)], stdout);
    }
}

/* One line for each layer: its weights. Biases and running statistics are in --json. */
static void print_weights(const json_t *weights)
{
    size_t i;
    json_t *row;
    printf("\n%-26s  %-14s  %9s  %9s  %9s  %-24s  %9s  %6s\n", "weights of", "shape", "mean", "std", "min", "distribution", "max",
           "near 0");
    json_array_foreach((json_t *)weights, i, row)
    {
        const char *name = text_of(row, "name"), *end = strrchr(name, '.');
        char shape[64];
        if (!end || strcmp(end, ".weight"))
            continue;
        shape_text(shape, json_object_get(row, "shape"));
        printf("%-26.*s  %-14s  %9.3g  %9.3g  %9.3g  ", (int)(end - name), name, shape, real_of(row, "mean"), real_of(row, "std"),
               real_of(row, "min"));
        print_bars(json_object_get(row, "histogram"));
        printf("  %9.3g  %4.1f %%\n", real_of(row, "max"), 100 * real_of(row, "near_zero"));
    }
}

/* Last, so that they are seen. */
static void print_warnings(const json_t *warnings)
{
    size_t i;
    json_t *warning;
    printf("\n%s\n", json_array_size(warnings) ? "warnings" : "warnings     none: every number is finite, and no channel dead or constant");
    json_array_foreach((json_t *)warnings, i, warning) printf("  %s\n", text_of(warning, "text"));
}

static void print_model(const json_t *all)
{
    const json_t *arch = json_object_get(all, "arch"), *input = json_object_get(all, "input");
    char a[32], b[32];
    printf("model        %s (%s)\n", text_of(all, "path"), text_bytes(a, number_of(all, "bytes")));
    printf("network      %s: ", text_of(arch, "name"));
    print_network(arch);
    printf(", pool %s, embedding %lld\n", text_of(arch, "pool"), number_of(arch, "embedding"));
    printf("parameters   %s   (arithmetic %lld)\n", text_count(a, number_of(all, "parameters")), number_of(all, "arithmetic"));
    if (json_integer_value(json_array_get(input, 1)))
        printf("input        %lldx%lldx%lld   (a session for one of them holds %s)\n", json_integer_value(json_array_get(input, 0)),
               json_integer_value(json_array_get(input, 1)), json_integer_value(json_array_get(input, 2)),
               text_bytes(b, number_of(all, "session_bytes")));
    else
        printf("input        %lld channels, any size\n", json_integer_value(json_array_get(input, 0)));
    print_labels(json_object_get(all, "labels"));
    if (json_object_get(all, "labels_kind"))
        print_thresholds(json_object_get(all, "thresholds"));
    static const char *const sections[] = {"features", "pictures", "training", "split", "bn_statistics", "calibration"};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        if (json_object_get(all, sections[i]))
            print_section(sections[i], json_object_get(all, sections[i]));
    print_weights(json_object_get(all, "weights"));
    print_warnings(json_object_get(all, "warnings"));
}

/* A file of weights without a network. */
static void print_tensors(const json_t *all)
{
    const json_t *metadata = json_object_get(all, "metadata"), *tensors = json_object_get(all, "tensors");
    const char *from = text_of(metadata, "pth.dictionary"), *key;
    char a[32], b[32];
    size_t i, widest = 0;
    json_t *row, *value;
    printf("weights      %s (%s, %s)\n", text_of(all, "path"), text_of(all, "format"), text_bytes(a, number_of(all, "bytes")));
    const json_t *arch = json_object_get(all, "arch");
    if (arch)
        printf("network      %s of width %lld by the names of %s\n", text_of(arch, "name"), number_of(arch, "width"), text_of(all, "names"));
    if (json_object_get(all, "error"))
        printf("%-12s %s\n", arch ? "but" : "network", text_of(all, "error"));
    printf("tensors      %s%s%s; numbers in all: %s\n", text_count(a, (int64_t)json_array_size(tensors)), *from ? ", found under " : "",
           from, text_count(b, number_of(all, "elements")));
    json_object_foreach((json_t *)metadata, key, value)
    {
        if (!strcmp(key, "pth.not_read"))
            printf("not read     %s\n", json_string_value(value));
        else if (strcmp(key, "pth.dictionary"))
            printf("metadata     %.60s: %.100s%s\n", key, json_string_value(value), strlen(json_string_value(value)) > 100 ? "..." : "");
    }
    json_array_foreach((json_t *)tensors, i, row) widest = strlen(text_of(row, "name")) > widest ? strlen(text_of(row, "name")) : widest;
    printf("\n");
    json_array_foreach((json_t *)tensors, i, row)
    {
        char shape[64];
        shape_text(shape, json_object_get(row, "shape"));
        printf("%-*s  %-4s  %s\n", (int)(widest < 60 ? widest : 60), text_of(row, "name"), text_of(row, "dtype"),
               *shape ? shape : "one number");
    }
}

int verb_info(const command *c)
{
    rn_error err = {0};
    char *result = NULL;
    int model = c->arguments_count > 0;
    if (model ? rn_tools_model(c->arguments[0], &result, &err) : rn_tools_machine(&result, &err))
        return fail_with(&err);
    json_t *all = take_result(result);
    if (!all)
        return EXIT_WORK;
    if (!model) /* the library does without it */
        json_array_append_new(json_object_get(all, "features"), json_sprintf("stores: SQLite %s", sqlite3_libversion()));
    if (!model && option_text(c, "threads"))
        json_object_set_new(all, "threads", json_integer(option_integer(c, "threads", 1)));
    if (option_flag(c, "json"))
        print_json(all);
    else if (model && json_object_get(all, "tensors"))
        print_tensors(all);
    else if (model)
        print_model(all);
    else
        print_machine(all);
    json_decref(all);
    return EXIT_DONE;
}
