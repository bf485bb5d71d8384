/* resnet eval: how good a model is, and where it is wrong. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

enum { MATRIX_MOST = 24 }; /* classes up to which the whole confusion table is readable */

/* Columns that a UTF-8 text takes, as far as one can tell without tables: one a character. */
static int columns(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

static void print_padded(const char *text, int width)
{
    printf("%s%*s", text, width > columns(text) ? width - columns(text) : 0, "");
}

static int widest_label(const json_t *rows)
{
    int widest = 5;
    size_t i;
    json_t *row;
    json_array_foreach((json_t *)rows, i, row) widest = columns(text_of(row, "label")) > widest ? columns(text_of(row, "label")) : widest;
    return widest;
}

/* With several labels. */
static void print_several(const json_t *all)
{
    printf("mAP          %.1f %%   (micro %.1f %%)\n", 100 * real_of(all, "mean_average_precision"),
           100 * real_of(all, "micro_average_precision"));
    if (json_is_number(json_object_get(all, "macro_roc_area")))
        printf("ROC area     %.3f\n", real_of(all, "macro_roc_area"));
    printf("F1           %.1f %%   (micro %.1f %%), at the thresholds\n", 100 * real_of(all, "macro_f1"), 100 * real_of(all, "micro_f1"));
    printf("exact match  %.1f %%\n", 100 * real_of(all, "accuracy"));
    printf("loss         %.3f   calibration error %.1f %%\n", real_of(all, "loss"), 100 * real_of(all, "ece"));
}

static void print_summary(const json_t *all)
{
    const json_t *interval = json_object_get(all, "interval"), *level = json_object_get(all, "level");
    char a[32], b[32];
    printf("items        %s of %s   (%s%s%s)\n", text_count(a, number_of(all, "items")), text_count(b, number_of(all, "data_items")),
           text_of(all, "part"), json_object_get(all, "split") ? " part of " : "", text_of(all, "split"));
    if (json_object_get(all, "trained_on"))
        printf("             the model was trained on %s of the data set's items\n", text_count(a, number_of(all, "trained_on")));
    if (number_of(all, "bad"))
        printf("             %s could not be used and were left out\n", text_count(a, number_of(all, "bad")));
    if (json_object_get(all, "mean_average_precision")) {
        print_several(all);
        return;
    }
    printf("accuracy     %.1f %%   (%.1f to %.1f at 95 %%)\n", 100 * real_of(all, "accuracy"),
           100 * json_number_value(json_array_get(interval, 0)), 100 * json_number_value(json_array_get(interval, 1)));
    printf("macro        %.1f %%\n", 100 * real_of(all, "macro_accuracy"));
    if (json_array_size(json_object_get(all, "labels")) > 5)
        printf("top 5        %.1f %%\n", 100 * real_of(all, "top5"));
    printf("loss         %.3f   calibration error %.1f %%\n", real_of(all, "loss"), 100 * real_of(all, "ece"));
    if (level)
        printf("%s%.1f %%   (macro %.1f %%; always the largest class, %.1f %%)\n",
               strcmp(text_of(all, "kind"), "pictures") ? "level alone  " : "brightness   ", 100 * real_of(level, "accuracy"),
               100 * real_of(level, "macro_accuracy"), 100 * real_of(level, "chance"));
}

static void print_share(const json_t *row, const char *key)
{
    if (json_is_number(json_object_get(row, key)))
        printf("  %5.1f %%", 100 * real_of(row, key));
    else
        printf("  %7s", "-");
}

static void print_classes_several(const json_t *all)
{
    const json_t *rows = json_object_get(all, "per_class");
    int widest = widest_label(rows);
    size_t i;
    json_t *row;
    printf("\n%-*s  %7s  %7s  %7s  %9s  %9s  %7s  %7s\n", widest, "class", "items", "AP", "ROC", "threshold", "precision", "recall", "F1");
    json_array_foreach((json_t *)rows, i, row)
    {
        print_padded(text_of(row, "label"), widest);
        printf("  %7lld", number_of(row, "items"));
        print_share(row, "average_precision");
        print_share(row, "roc_area");
        printf("  %9.3f  ", real_of(row, "threshold"));
        print_share(row, "precision");
        print_share(row, "recall");
        print_share(row, "f1");
        printf("\n");
    }
}

static void print_classes(const json_t *all)
{
    const json_t *rows = json_object_get(all, "per_class");
    int widest = widest_label(rows);
    size_t i;
    json_t *row;
    if (json_object_get(all, "mean_average_precision")) {
        print_classes_several(all);
        return;
    }
    printf("\n%-*s  %7s  %10s  %8s  %8s\n", widest, "class", "items", "precision", "recall", "F1");
    json_array_foreach((json_t *)rows, i, row)
    {
        print_padded(text_of(row, "label"), widest);
        printf("  %7lld  %8.1f %%  %6.1f %%  %6.1f %%\n", number_of(row, "items"), 100 * real_of(row, "precision"),
               100 * real_of(row, "recall"), 100 * real_of(row, "f1"));
    }
}

/* Rows are the truth, columns the answers, both numbered; an empty cell is a dot. */
static void print_matrix(const json_t *all)
{
    const json_t *rows = json_object_get(all, "confusion"), *classes = json_object_get(all, "per_class");
    int widest = widest_label(classes), cell = 3;
    size_t i, j;
    json_t *row, *value;
    json_array_foreach((json_t *)rows, i, row) json_array_foreach(row, j, value)
    {
        int digits = snprintf(NULL, 0, "%lld", json_integer_value(value));
        cell = digits > cell ? digits : cell;
    }
    printf("\nconfusion: rows are the truth, columns the answers\n%*s", widest + 4, "");
    for (j = 0; j < json_array_size(rows); j++)
        printf(" %*zu", cell, j + 1);
    printf("\n");
    json_array_foreach((json_t *)rows, i, row)
    {
        printf("%2zu  ", i + 1);
        print_padded(text_of(json_array_get(classes, i), "label"), widest);
        json_array_foreach(row, j, value)
        {
            if (json_integer_value(value))
                printf(" %*lld", cell, json_integer_value(value));
            else
                printf(" %*s", cell, ".");
        }
        printf("\n");
    }
}

typedef struct pair {
    json_int_t count;
    size_t truth, answer;
} pair;

static int compare_pairs(const void *a, const void *b)
{
    const pair *p = a, *q = b;
    if (p->count != q->count)
        return p->count < q->count ? 1 : -1;
    if (p->truth != q->truth)
        return p->truth < q->truth ? -1 : 1;
    return p->answer < q->answer ? -1 : p->answer > q->answer;
}

/* With many classes: the pairs that are confused most. */
static void print_pairs(const json_t *all)
{
    const json_t *rows = json_object_get(all, "confusion"), *labels = json_object_get(all, "labels");
    size_t n = json_array_size(rows), count = 0, i, j;
    json_t *row, *value;
    pair *pairs = malloc(n * n * sizeof *pairs);
    if (!pairs)
        return;
    json_array_foreach((json_t *)rows, i, row) json_array_foreach(row, j, value) if (i != j && json_integer_value(value)) pairs[count++] =
        (pair){json_integer_value(value), i, j};
    qsort(pairs, count, sizeof *pairs, compare_pairs);
    printf("\nmost confused (the whole table: --json)\n");
    for (i = 0; i < count && i < 20; i++)
        printf("%6lld  %s taken for %s\n", pairs[i].count, json_string_value(json_array_get(labels, pairs[i].truth)),
               json_string_value(json_array_get(labels, pairs[i].answer)));
    free(pairs);
}

/* "robin + wren", or "none". */
static void print_labels(const json_t *labels)
{
    size_t i;
    json_t *label;
    json_array_foreach((json_t *)labels, i, label) printf("%s%s", i ? " + " : "", json_string_value(label));
    if (!json_array_size(labels))
        printf("none");
}

static void print_worst(const json_t *all)
{
    const json_t *list = json_object_get(all, "worst");
    size_t i;
    json_t *row;
    if (!json_array_size(list))
        return;
    printf("\nworst files\n");
    json_array_foreach((json_t *)list, i, row) if (json_object_get(row, "answers"))
    {
        printf("  %s   ", text_of(row, "path"));
        print_labels(json_object_get(row, "labels"));
        printf(", answer ");
        print_labels(json_object_get(row, "answers"));
        printf(", loss %.3f\n", real_of(row, "loss"));
    }
    else printf("  %s   %s %.1f %%, answer %s %.1f %%\n", text_of(row, "path"), text_of(row, "label"), 100 * real_of(row, "probability"),
                text_of(row, "answer"), 100 * real_of(row, "answer_probability"));
}

typedef struct watching {
    progress live;
} watching;

static int on_progress(void *context, int64_t done, int64_t total)
{
    return progress_step(&((watching *)context)->live, done, total);
}

static void on_note(void *context, const char *line)
{
    progress_end(&((watching *)context)->live);
    complain("%s", line);
}

static void print_result(const json_t *all)
{
    print_summary(all);
    print_classes(all);
    if (!json_object_get(all, "confusion"))
        ;
    else if (json_array_size(json_object_get(all, "labels")) <= MATRIX_MOST)
        print_matrix(all);
    else
        print_pairs(all);
    print_worst(all);
}

/* What else was asked for, behind the figures. */
static int write_report(const command *c, rn_evaluation *evaluation)
{
    const char *path = option_text(c, "report");
    rn_error err = {0};
    watching w;
    char *typed = command_text();
    struct stat file = {0};
    progress_start(&w.live, "report");
    int status = rn_evaluation_report(evaluation, path, typed, on_progress, &w, &err);
    progress_end(&w.live);
    free(typed);
    if (status)
        return fail_with(&err);
    if (!option_flag(c, "json")) {
        char size[32];
        stat(path, &file);
        printf("\nreport       %s (%s)\n", path, text_bytes(size, file.st_size));
    }
    return EXIT_DONE;
}

static int save(const command *c, rn_evaluation *evaluation, const json_t *all)
{
    char count[32];
    rn_error err = {0};
    const char *path = option_text(c, "bn-recompute");
    if (rn_evaluation_save(evaluation, path, &err))
        return fail_with(&err);
    if (!option_flag(c, "json"))
        printf("\nrecomputed   %s has BN statistics of %s items: the figures are its own\n", path,
               text_count(count, number_of(all, "bn_statistics")));
    return EXIT_DONE;
}

static int calibrate(const command *c, const rn_evaluation *evaluation, const json_t *all)
{
    const json_t *calibration = json_object_get(all, "calibration");
    rn_error err = {0};
    if (rn_evaluation_calibrate(evaluation, &err))
        return fail_with(&err);
    if (!option_flag(c, "json"))
        printf("\ncalibrated   %s holds temperature %.4f now: loss %.4f (was %.4f), calibration error %.1f %%\n",
               option_text(c, "bn-recompute") ? option_text(c, "bn-recompute") : c->arguments[0], real_of(calibration, "best_temperature"),
               real_of(calibration, "best_loss"), real_of(all, "loss"), 100 * real_of(calibration, "best_ece"));
    return EXIT_DONE;
}

static int judge(const command *c, rn_data *data, const char *options)
{
    rn_error err = {0};
    rn_evaluation *evaluation = NULL;
    watching w;
    char *result = NULL;
    progress_start(&w.live, "judging");
    int status = rn_evaluation_open(&evaluation, c->arguments[0], data, options, on_progress, on_note, &w, &err);
    progress_end(&w.live);
    if (status || rn_evaluation_result(evaluation, &result, &err)) {
        rn_evaluation_close(&evaluation);
        return fail_with(&err);
    }
    json_t *all = take_result(result);
    status = all ? EXIT_DONE : EXIT_WORK;
    if (all && option_flag(c, "json"))
        print_json(all);
    else if (all)
        print_result(all);
    if (!status && option_text(c, "report"))
        status = write_report(c, evaluation);
    if (!status && option_text(c, "bn-recompute"))
        status = save(c, evaluation, all);
    if (!status && option_flag(c, "calibrate"))
        status = calibrate(c, evaluation, all);
    json_decref(all);
    rn_evaluation_close(&evaluation);
    return status;
}

int verb_eval(const command *c)
{
    rn_error err = {0};
    rn_data *data = NULL;
    rn_listen listen;
    int status = listen_options(c, &listen);
    if (status)
        return status;
    if (rn_data_open(&data, c->arguments[1], &listen, &err))
        return fail_with(&err);
    json_t *object = options_object(c);
    if (option_text(c, "bn-recompute"))
        json_object_set_new(object, "bn_recompute", json_true());
    char *options = json_dumps(object, JSON_COMPACT);
    signals_watch();
    status = options ? judge(c, data, options) : EXIT_WORK;
    json_decref(object);
    free(options);
    rn_data_close(&data);
    return status;
}
