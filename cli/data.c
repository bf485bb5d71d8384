/* resnet data check, stats, split: what is in a data set, and what would spoil a training. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static int open_data(const command *c, rn_data **data)
{
    rn_error err = {0};
    rn_listen listen;
    int status = listen_options(c, &listen);
    if (status)
        return status;
    return rn_data_open(data, c->arguments[0], &listen, &err) ? fail_with(&err) : 0;
}

/* ---- check ---- */

static void print_finding(const json_t *f)
{
    printf("  %-7s  %-16s  %s\n", json_is_true(json_object_get(f, "error")) ? "error" : "warning", text_of(f, "kind"), text_of(f, "text"));
}

static void print_check(const command *c, const json_t *all)
{
    const json_t *findings = json_object_get(all, "findings"), *level = json_object_get(all, "level");
    char a[32], b[32];
    size_t i;
    json_t *f;
    int sound = strcmp(text_of(all, "kind"), "recordings") == 0;
    printf("%s   %s %s, %lld classes%s%s\n\n", c->arguments[0], text_count(a, number_of(all, "items")), sound ? "items" : text_of(all, "kind"),
           number_of(all, "classes"), sound ? ", " : "", sound ? text_duration(b, real_of(all, "seconds")) : "");
    for (int errors = 1; errors >= 0; errors--)
        json_array_foreach((json_t *)findings, i, f) if (json_is_true(json_object_get(f, "error")) == errors) print_finding(f);
    printf("%s%lld %s, %lld %s\n", json_array_size(findings) ? "\n" : "", number_of(all, "errors"),
           number_of(all, "errors") == 1 ? "error" : "errors", number_of(all, "warnings"),
           number_of(all, "warnings") == 1 ? "warning" : "warnings");
    if (real_of(level, "chance") > 0)
        printf("%s alone tells %.1f %% right (macro %.1f %%); always the largest class, %.1f %%\n", sound ? "level" : "brightness",
               100 * real_of(level, "accuracy"), 100 * real_of(level, "macro_accuracy"), 100 * real_of(level, "chance"));
}

int verb_data_check(const command *c)
{
    rn_error err = {0};
    rn_data *data = NULL;
    progress live;
    char *result = NULL, *options = NULL;
    int status = open_data(c, &data);
    if (status || !(options = options_text(c))) {
        rn_data_close(&data);
        return status ? status : EXIT_WORK;
    }
    signals_watch();
    progress_start(&live, "checking");
    if (rn_data_check(data, options, progress_step, &live, &result, &err)) {
        progress_end(&live);
        status = fail_with(&err);
    } else {
        progress_end(&live);
        json_t *all = take_result(result);
        status = !all || number_of(all, "errors") ? EXIT_WORK : EXIT_DONE;
        if (all && option_flag(c, "json"))
            print_json(all);
        else if (all)
            print_check(c, all);
        json_decref(all);
    }
    free(options);
    rn_data_close(&data);
    return status;
}

/* ---- stats ---- */

/* "8000 (412), 16000 (3)" */
static void print_rates(const json_t *rates)
{
    const char *key;
    json_t *value;
    int n = 0;
    json_object_foreach((json_t *)rates, key, value)
    {
        if (json_object_size(rates) == 1)
            printf("%s", key);
        else
            printf("%s%s (%lld)", n++ ? ", " : "", key, json_integer_value(value));
    }
    printf("\n");
}

static void print_stats(const json_t *all)
{
    char a[32], b[32], d[32], e[32], f[32];
    size_t i;
    json_t *row;
    int widest = 5;
    json_array_foreach(json_object_get(all, "classes"), i, row) widest =
        (int)strlen(text_of(row, "label")) > widest ? (int)strlen(text_of(row, "label")) : widest;
    printf("%-*s  %8s  %8s  %10s  %9s  %9s  %9s  %s\n", widest, "class", "items", "sources", "total", "shortest", "median", "longest",
           "rate in Hz");
    json_array_foreach(json_object_get(all, "classes"), i, row)
    {
        printf("%-*s  %8s  %8s  %10s  %9s  %9s  %9s  ", widest, text_of(row, "label"), text_count(a, number_of(row, "items")),
               text_count(b, number_of(row, "sources")), text_duration(d, real_of(row, "seconds")),
               text_duration(e, real_of(row, "shortest")), text_duration(f, real_of(row, "median")),
               text_duration((char[32]){0}, real_of(row, "longest")));
        print_rates(json_object_get(row, "rates"));
    }
    printf("%-*s  %8s  %8s  %10s\n", widest, "all", text_count(a, number_of(all, "items")), "", text_duration(b, real_of(all, "seconds")));
}

/* "16 to 640" */
static const char *text_range(char text[48], const json_t *range)
{
    json_int_t low = json_integer_value(json_array_get(range, 0)), high = json_integer_value(json_array_get(range, 1));
    if (low == high)
        snprintf(text, 48, "%lld", (long long)low);
    else
        snprintf(text, 48, "%lld to %lld", (long long)low, (long long)high);
    return text;
}

static void print_picture_stats(const json_t *all)
{
    char a[32], b[32], d[32], e[32], w[48], h[48];
    size_t i;
    json_t *row;
    int widest = 5;
    json_array_foreach(json_object_get(all, "classes"), i, row) widest =
        (int)strlen(text_of(row, "label")) > widest ? (int)strlen(text_of(row, "label")) : widest;
    printf("%-*s  %8s  %8s  %8s  %8s  %14s  %14s\n", widest, "class", "items", "sources", "broken", "grey", "width", "height");
    json_array_foreach(json_object_get(all, "classes"), i, row)
        printf("%-*s  %8s  %8s  %8s  %8s  %14s  %14s\n", widest, text_of(row, "label"), text_count(a, number_of(row, "items")),
               text_count(b, number_of(row, "sources")), text_count(d, number_of(row, "bad")), text_count(e, number_of(row, "grey")),
               text_range(w, json_object_get(row, "widths")), text_range(h, json_object_get(row, "heights")));
    printf("%-*s  %8s\n", widest, "all", text_count(a, number_of(all, "items")));
}

static void print_warning(void *context, const char *line)
{
    (void)context;
    complain("%s", line);
}

int verb_data_stats(const command *c)
{
    rn_error err = {0};
    rn_data *data = NULL;
    progress live;
    char *result = NULL, *options = NULL;
    int status = open_data(c, &data);
    if (status || !(options = options_text(c))) {
        rn_data_close(&data);
        return status ? status : EXIT_WORK;
    }
    rn_data_warnings(data, print_warning, NULL);
    signals_watch();
    progress_start(&live, "reading");
    if (rn_data_stats(data, options, progress_step, &live, &result, &err)) {
        progress_end(&live);
        status = fail_with(&err);
    } else {
        progress_end(&live);
        json_t *all = take_result(result);
        status = all ? EXIT_DONE : EXIT_WORK;
        if (all && option_flag(c, "json"))
            print_json(all);
        else if (all)
            (strcmp(text_of(all, "kind"), "pictures") ? print_stats : print_picture_stats)(all);
        json_decref(all);
    }
    free(options);
    rn_data_close(&data);
    return status;
}

/* ---- split ---- */

static void print_split(const json_t *all)
{
    char a[32], b[32], d[32];
    size_t i;
    json_t *row;
    int widest = 5;
    json_array_foreach(json_object_get(all, "classes"), i, row) widest =
        (int)strlen(text_of(row, "label")) > widest ? (int)strlen(text_of(row, "label")) : widest;
    printf("%-*s  %8s  %10s  %8s\n", widest, "class", "train", "validation", "test");
    json_array_foreach(json_object_get(all, "classes"), i, row)
        printf("%-*s  %8s  %10s  %8s\n", widest, text_of(row, "label"), text_count(a, number_of(row, "train")),
               text_count(b, number_of(row, "validation")), text_count(d, number_of(row, "test")));
    printf("%-*s  %8s  %10s  %8s\n\n", widest, "all", text_count(a, number_of(all, "train")), text_count(b, number_of(all, "validation")),
           text_count(d, number_of(all, "test")));
    printf("%s   digest %s\n", text_of(all, "path"), text_of(all, "digest"));
}

int verb_data_split(const command *c)
{
    rn_error err = {0};
    rn_data *data = NULL;
    char *result = NULL, *options = NULL;
    const char *out = option_text(c, "out");
    int status = open_data(c, &data);
    if (status || !(options = options_text(c))) {
        rn_data_close(&data);
        return status ? status : EXIT_WORK;
    }
    if (rn_data_split(data, out ? out : "split.csv", options, &result, &err)) {
        status = fail_with(&err);
    } else {
        json_t *all = take_result(result);
        status = all ? EXIT_DONE : EXIT_WORK;
        if (all && option_flag(c, "json"))
            print_json(all);
        else if (all)
            print_split(all);
        json_decref(all);
    }
    free(options);
    rn_data_close(&data);
    return status;
}
