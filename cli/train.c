/* resnet train: a data set becomes a model. One line per epoch; on a terminal a live line under it. With --seeds several models, with --watch
 * a page, with --compare a word on every epoch about another run. */
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "compare.h"
#include "serve/watch.h"

typedef struct watcher {
    const command *c;
    comparison *against; /* NULL: no --compare */
    long long seed;      /* of --seeds; -1: one run */
    progress live;       /* decoding, validation and test */
    rn_training_stage stage;
    int terminal, visible, json;
    int several; /* labels an item: what `macro` is then, see resnet.h */
    double shown;
} watcher;

static void hide_live(watcher *w)
{
    if (w->visible)
        fputs("\r\033[K", stderr);
    w->visible = 0;
    progress_end(&w->live);
}

static void on_note(void *context, const char *line)
{
    hide_live(context);
    complain("%s", line);
}

/* ---- Epochs ---- */

static void print_verdict(const char *name, const verdict *v)
{
    if (isnan(v->other))
        printf("   %s: no figure so early", name);
    else if (v->by_loss)
        printf("   %s: loss %.3f%s, lowest %.3f: %s", name, v->other, v->past ? " at its end" : " here", v->best, v->word);
    else
        printf("   %s: %.1f %%%s, best %.1f %%: %s", name, 100 * v->other, v->past ? " at its end" : " here", 100 * v->best, v->word);
}

static void print_epoch(const rn_training_progress *p, int several, const char *other, const verdict *v)
{
    char seconds[32], left[32], width[16];
    int digits = snprintf(width, sizeof width, "%d", p->epochs);
    printf("epoch %*d  loss %.3f  %s %.1f %%", digits < 2 ? 2 : digits, p->epoch, p->loss, several ? "exact match" : "accuracy",
           100 * p->accuracy);
    if (!isnan(p->validation_macro))
        printf("  validation %s%.1f %%", several ? "mAP " : "", 100 * (several ? p->validation_macro : p->validation_accuracy));
    printf("  lr %.3g   %.0f items/s   %s", p->lr, p->items_per_second, text_duration(seconds, p->seconds));
    if (p->epoch < p->epochs && p->seconds_left >= 0)
        printf(", %s left", text_duration(left, p->seconds_left));
    printf("%s", p->best && !isnan(p->validation_macro) ? "   best so far" : "");
    if (other)
        print_verdict(other, v);
    printf("\n");
}

static json_t *real_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *epoch_object(const rn_training_progress *p, int several, const char *other, const verdict *v)
{
    json_t *line = json_pack("{s:s, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:b}", "event", "epoch", "epoch", p->epoch, "epochs", p->epochs,
                             "loss", p->loss, "accuracy", p->accuracy, "lr", p->lr, "items_per_second", p->items_per_second, "seconds",
                             p->seconds, "best", p->best);
    if (!isnan(p->validation_macro)) {
        json_object_set_new(line, "validation_loss", json_real(p->validation_loss));
        json_object_set_new(line, "validation_accuracy", json_real(p->validation_accuracy));
        json_object_set_new(line, several ? "validation_mean_average_precision" : "validation_macro_accuracy",
                            json_real(p->validation_macro));
    }
    if (other)
        json_object_set_new(line, "compare",
                            json_pack("{s:o, s:s, s:o, s:o, s:o, s:b}", "run", path_value(other), "by",
                                      v->by_loss ? "loss" : "validation_accuracy", "other", real_or_null(v->other), "other_best",
                                      real_or_null(v->best), "verdict", v->word ? json_string(v->word) : json_null(), "past_its_end",
                                      v->past));
    return line;
}

static void end_epoch(watcher *w, const rn_training_progress *p)
{
    rn_error err;
    verdict v = {0};
    const char *other = w->against && !compare_epoch(w->against, &v, &err) ? w->against->other.folder : NULL;
    hide_live(w);
    if (w->json) {
        json_t *line = epoch_object(p, w->several, other, &v);
        if (w->seed >= 0)
            json_object_set_new(line, "seed", json_integer(w->seed));
        print_json_line(line);
        json_decref(line);
    } else {
        print_epoch(p, w->several, other, &v);
    }
    fflush(stdout);
}

/* The live line: only on a terminal, five times a second. */
static void show_step(watcher *w, const rn_training_progress *p)
{
    char left[32];
    double now = seconds_now();
    if (!w->terminal || now - w->shown < 0.2)
        return;
    w->shown = now;
    w->visible = 1;
    fprintf(stderr, "\r\033[Kepoch %2d  %lld of %lld steps  loss %.3f  accuracy %.1f %%   %.0f items/s", p->epoch, (long long)p->step,
            (long long)p->steps, p->loss, 100 * p->accuracy, p->items_per_second);
    if (p->seconds_left >= 0)
        fprintf(stderr, "   %s left", text_duration(left, p->seconds_left));
    fflush(stderr);
}

static int on_progress(void *context, const rn_training_progress *p)
{
    static const char *const names[] = {"hashing", "reading", "", "validating", "", "testing", "averaging"};
    watcher *w = context;
    if (p->stage == RN_TRAINING_STEP) {
        show_step(w, p);
    } else if (p->stage == RN_TRAINING_EPOCH) {
        end_epoch(w, p);
    } else {
        if (w->stage != p->stage || p->done <= 1) {
            hide_live(w);
            progress_start(&w->live, names[p->stage]);
        }
        progress_step(&w->live, p->done, p->total);
    }
    w->stage = p->stage;
    return signals_stopped();
}

/* ---- What it will be ---- */

/* ", shorter side 256 (bilinear), drawn parts of 8 % and more" */
static void print_pictures(const json_t *pictures, const json_t *augment)
{
    const char *resize = text_of(pictures, "resize");
    if (strchr(resize, 'x'))
        printf(", resized to %s (%s)", resize, text_of(pictures, "filter"));
    else if (strcmp(resize, "none"))
        printf(", shorter side %s (%s)", resize, text_of(pictures, "filter"));
    if (real_of(augment, "resized_crop") > 0)
        printf(", drawn parts of %g %% and more", 100 * real_of(augment, "resized_crop"));
    if (number_of(augment, "pad"))
        printf(", padded by %lld", number_of(augment, "pad"));
    if (real_of(augment, "flip") > 0)
        printf(", mirrored");
}

/* "birds     1,204 recordings, 6 classes, 48 kHz, 1.9 h   (train 843, validation 181, test 180)" */
static void print_plan(const char *data, const json_t *plan)
{
    const json_t *parts = json_object_get(plan, "parts"), *options = json_object_get(plan, "options"),
                 *features = json_object_get(options, "features"), *arch = json_object_get(options, "arch"),
                 *input = json_object_get(plan, "input");
    char a[32], b[32], d[32], e[32];
    const char *slash = strrchr(data, '/');
    const char *name = slash && slash[1] ? slash + 1 : data;
    const char *kind = text_of(plan, "kind");
    int sound = strcmp(kind, "recordings") == 0;
    printf("%-8s  %s %s, %zu classes", name, text_count(a, number_of(plan, "items")), kind,
           json_array_size(json_object_get(plan, "classes")));
    if (json_object_get(plan, "labels_kind"))
        printf(", several labels an item");
    if (sound)
        printf(", %g kHz", real_of(features, "rate") / 1000);
    if (sound && real_of(plan, "seconds") > 0)
        printf(", %s", text_duration(b, real_of(plan, "seconds")));
    printf("   (train %s, validation %s, test %s", text_count(a, number_of(parts, "train")), text_count(b, number_of(parts, "validation")),
           text_count(d, number_of(parts, "test")));
    if (number_of(plan, "bad"))
        printf("; %s left out", text_count(e, number_of(plan, "bad")));
    printf(")\n");
    if (!sound)
        printf("input     %lldx%lldx%lld", json_integer_value(json_array_get(input, 0)), json_integer_value(json_array_get(input, 1)),
               json_integer_value(json_array_get(input, 2)));
    if (strcmp(kind, "pictures") == 0)
        print_pictures(json_object_get(options, "pictures"), json_object_get(options, "augment"));
    if (sound)
        printf("features  %lld %s bands, %g ms window, %g ms hop, %g s", number_of(features, "bins"),
               strcmp(text_of(features, "convention"), "spectrogram") ? "mel" : "frequency", real_of(features, "window_ms"),
               real_of(features, "hop_ms"), real_of(features, "seconds"));
    printf("   %s, width %lld, %.1f M parameters\n", text_of(arch, "name"), number_of(arch, "width"), 1e-6 * real_of(plan, "parameters"));
    printf("steps     %lld epochs of %s, batch %lld, %s, lr %g, %s schedule, seed %lld\n", number_of(options, "epochs"),
           text_count(a, number_of(plan, "steps")), number_of(options, "batch"), text_of(options, "optimiser"), real_of(options, "lr"),
           text_of(options, "schedule"), number_of(options, "seed"));
}

static void print_estimate(const json_t *plan)
{
    const json_t *bytes = json_object_get(plan, "bytes");
    char a[32], b[32], d[32];
    size_t i;
    json_t *row;
    int widest = 5;
    json_array_foreach(json_object_get(plan, "classes"), i, row) widest =
        (int)strlen(text_of(row, "label")) > widest ? (int)strlen(text_of(row, "label")) : widest;
    printf("\n%-*s  %8s  %10s  %8s\n", widest, "class", "train", "validation", "test");
    json_array_foreach(json_object_get(plan, "classes"), i, row)
        printf("%-*s  %8s  %10s  %8s\n", widest, text_of(row, "label"), text_count(a, number_of(row, "train")),
               text_count(b, number_of(row, "validation")), text_count(d, number_of(row, "test")));
    printf("\nmemory    %s activations, %s weights and optimiser, up to %s cache\n", text_bytes(a, number_of(bytes, "engine")),
           text_bytes(b, number_of(bytes, "weights")), text_bytes(d, number_of(bytes, "cache")));
    printf("time      %s for a step, about %s in all\n", text_duration(a, real_of(plan, "step_seconds")),
           text_duration(b, real_of(plan, "run_seconds")));
}

/* ---- Running ---- */

static void print_result(const command *c, const char *out, int several, const rn_training_result *r)
{
    char path[4200], size[32];
    snprintf(path, sizeof path, "%s/model.safetensors", out);
    FILE *file = fopen(path, "rb");
    long bytes = 0;
    if (file && fseek(file, 0, SEEK_END) == 0)
        bytes = ftell(file);
    if (file)
        fclose(file);
    if (r->test_items && several)
        printf("test      mAP %.1f %%, exact match %.1f %% (%.1f to %.1f at 95 %%)   best of epoch %d\n", 100 * r->test_macro,
               100 * r->test_accuracy, 100 * r->test_low, 100 * r->test_high, r->best_epoch);
    else if (r->test_items)
        printf("test      %.1f %% (%.1f to %.1f at 95 %%), macro %.1f %%   best of epoch %d\n", 100 * r->test_accuracy, 100 * r->test_low,
               100 * r->test_high, 100 * r->test_macro, r->best_epoch);
    if (r->bad)
        printf("skipped   %d items that can't be used\n", r->bad);
    printf("model     %s (%s)   next: resnet eval %s %s\n", path, text_bytes(size, bytes), path, c->arguments[0]);
}

static json_t *result_object(const char *out, int several, const rn_training_result *r)
{
    json_t *line = json_pack("{s:s, s:i, s:i, s:I, s:f, s:f, s:i, s:f, s:o}", "event", "result", "epochs", r->epochs, "best_epoch",
                             r->best_epoch, "steps", (json_int_t)r->steps, "loss", r->loss, "accuracy", r->accuracy, "bad", r->bad,
                             "seconds", r->seconds, "model", json_sprintf("%s/model.safetensors", out));
    if (!isnan(r->validation_macro))
        json_object_set_new(line, several ? "validation_mean_average_precision" : "validation_macro_accuracy",
                            json_real(r->validation_macro));
    if (r->test_items) {
        json_object_set_new(line, "test_items", json_integer(r->test_items));
        json_object_set_new(line, "test_accuracy", json_real(r->test_accuracy));
        json_object_set_new(line, several ? "test_mean_average_precision" : "test_macro_accuracy", json_real(r->test_macro));
        json_object_set_new(line, "test_interval", json_pack("[f,f]", r->test_low, r->test_high));
    }
    return line;
}

/* The library's options: the passed rows, --no-augment spelt out, and the file of --config. NULL after a message. */
static json_t *training_options(const command *c)
{
    static const char *const off[] = {"augment.gain_db",   "augment.shift_s",        "augment.speed",    "augment.noise_probability",
                                      "augment.mask_time", "augment.mask_frequency", "augment.mixup",    "augment.resized_crop",
                                      "augment.flip",      "augment.brightness",     "augment.contrast", "augment.saturation",
                                      "augment.hue",       "augment.rand_augment",   "augment.erase",    "augment.cutmix",
                                      "augment.trivial_augment"};
    json_t *object = options_object(c);
    for (size_t i = 0; option_flag(c, "no-augment") && i < sizeof off / sizeof off[0]; i++)
        if (!json_object_get(object, off[i]))
            json_object_set_new(object, off[i], json_integer(0));
    if (option_text(c, "config"))
        json_object_set_new(object, "config", json_string(option_text(c, "config")));
    if (!object)
        complain("no memory for the options");
    return object;
}

static int open_training_data(const command *c, rn_data **data)
{
    rn_error err = {0};
    rn_listen listen = {0};
    listen.raw = option_text(c, "raw");
    listen.raw_rate = (int)option_integer(c, "raw-rate", 0);
    listen.raw_channels = (int)option_integer(c, "raw-channels", 0);
    listen.max_pixels = option_integer(c, "max-pixels", 0);
    return rn_data_open(data, c->arguments[0], &listen, &err) ? fail_with(&err) : 0;
}

static int begins_with(const char *text, const char *start)
{
    return start && strncmp(text, start, strlen(start)) == 0;
}

/* A sentence about the contents of a file or an existing run is failed work, about an option wrong use. */
static int fail_training(const command *c, const rn_error *err)
{
    int status = fail_with(err);
    return status == EXIT_USE && (begins_with(err->text, option_text(c, "config")) || begins_with(err->text, option_text(c, "out")))
               ? EXIT_WORK
               : status;
}

static int dry_run(const command *c, rn_data *data, const char *options, const rn_training_watch *watch)
{
    rn_error err = {0};
    char *result = NULL;
    int status = rn_training_estimate(data, options, watch, &result, &err);
    hide_live(watch->context);
    if (status)
        return fail_training(c, &err);
    json_t *plan = take_result(result);
    if (!plan)
        return EXIT_WORK;
    if (option_flag(c, "json")) {
        print_json(plan);
    } else {
        print_plan(c->arguments[0], plan);
        print_estimate(plan);
    }
    json_decref(plan);
    return EXIT_DONE;
}

/* "--no-nesterov", "--lr 0.1": an option as it would be typed. */
static void option_as_typed(char out[80], const char *key, const char *text)
{
    int off = strcmp(text, "false") == 0;
    const char *dot = strrchr(key, '.');
    snprintf(out, 80, "--%s%s%s%s", off ? "no-" : "", dot ? dot + 1 : key, off || strcmp(text, "true") == 0 ? "" : " ",
             off || strcmp(text, "true") == 0 ? "" : text);
    for (char *p = out; *p && *p != ' '; p++)
        if (*p == '_')
            *p = '-';
}

/* What the recipe sets, as options that could be typed; those that were, are named behind. */
static int print_recipe(const command *c, const json_t *given)
{
    char *result = NULL, typed[80], mine[400] = "";
    json_t *config = option_text(c, "config") ? json_load_file(option_text(c, "config"), 0, NULL) : NULL;
    const char *key, *name = option_text(c, "recipe") ? option_text(c, "recipe") : json_string_value(json_object_get(config, "recipe"));
    rn_error err = {0};
    json_t *all = name && !option_flag(c, "json") && !rn_tools_recipes(&result, &err) ? take_result(result) : NULL, *recipe, *value;
    size_t i;
    json_array_foreach(all, i, recipe)
    {
        int column = 10;
        if (strcmp(text_of(recipe, "name"), name))
            continue;
        printf("recipe    %s (%s) is", name, text_of(recipe, "source"));
        json_object_foreach(json_object_get(recipe, "options"), key, value)
        {
            option_as_typed(typed, key, json_string_value(value));
            if (json_object_get(given, key)) {
                snprintf(mine + strlen(mine), sizeof mine - strlen(mine), "%s%s", *mine ? ", " : "", typed);
                continue;
            }
            if (column == 10 || column + (int)strlen(typed) > 110)
                column = printf("\n         ") - 1;
            column += printf(" %s", typed);
        }
        printf("\n%s%s%s", *mine ? "          without " : "", mine, *mine ? ", given otherwise\n" : "");
    }
    int failed = name && !option_flag(c, "json") && !all;
    json_decref(all);
    json_decref(config);
    return failed ? fail_with(&err) : 0;
}

static int print_training_plan(const command *c, rn_training *training, watcher *w)
{
    rn_error err = {0};
    char *text = NULL;
    json_t *plan = rn_training_plan(training, &text, &err) ? NULL : take_result(text);
    if (!plan)
        return fail_with(&err);
    w->several = json_object_get(plan, "labels_kind") != NULL;
    if (option_flag(c, "json")) {
        json_object_set_new(plan, "event", json_string("plan"));
        print_json_line(plan);
    } else {
        print_plan(c->arguments[0], plan);
    }
    fflush(stdout);
    json_decref(plan);
    return 0;
}

/* What every run of one command shares. */
typedef struct session {
    const command *c;
    rn_data *data;
    rn_training_watch watch;
    watcher *w;
    int resume;
} session;

/* One run, from its plan to its result. */
static int train_run(session *s, const char *options, const char *out, rn_training_result *r)
{
    rn_error err = {0};
    rn_training *training = NULL;
    comparison against;
    const char *other = option_text(s->c, "compare");
    int status = 0;
    if (other && compare_start(&against, other, out, &err)) {
        compare_free(&against);
        return fail_with(&err);
    }
    s->w->against = other ? &against : NULL;
    s->w->stage = RN_TRAINING_TEST;
    progress_start(&s->w->live, "reading");
    if (rn_training_open(&training, s->data, options, out, s->resume, &s->watch, &err)) {
        hide_live(s->w);
        status = fail_training(s->c, &err);
        goto done;
    }
    hide_live(s->w);
    if ((status = print_training_plan(s->c, training, s->w)))
        goto done;
    if (other)
        compare_notes(&against, complain);
    if (rn_training_run(training, r, &err)) {
        hide_live(s->w);
        status = fail_training(s->c, &err);
        goto done;
    }
    hide_live(s->w);
    if (s->w->json) {
        json_t *line = result_object(out, s->w->several, r);
        if (s->w->seed >= 0)
            json_object_set_new(line, "seed", json_integer(s->w->seed));
        print_json_line(line);
        json_decref(line);
    } else {
        print_result(s->c, out, s->w->several, r);
        if (other)
            compare_print_end(&against);
    }
done:
    rn_training_close(&training);
    if (other)
        compare_free(&against);
    s->w->against = NULL;
    return status;
}

/* ---- Several seeds ---- */

enum { SEEDS_MOST = 26 /* as many as `watch` tells apart */ };

/* The first seed: --seed, or what the file of --config says, or 0. */
static long long first_seed(const command *c)
{
    long long seed = option_integer(c, "seed", -1);
    if (seed < 0 && option_text(c, "config")) {
        json_t *config = json_load_file(option_text(c, "config"), 0, NULL);
        seed = (long long)number_of(config, "seed");
        json_decref(config);
    }
    return seed < 0 ? 0 : seed;
}

typedef struct seed_run {
    char folder[4200];
    rn_training_result result;
} seed_run;

/* Mean and deviation of a sample (n - 1); what is no number is left out of neither: it makes both NaN. */
static void mean_of(const double *values, int count, double *mean, double *deviation)
{
    double sum = 0, squares = 0;
    for (int i = 0; i < count; i++)
        sum += values[i];
    *mean = sum / count;
    for (int i = 0; i < count; i++)
        squares += (values[i] - *mean) * (values[i] - *mean);
    *deviation = sqrt(squares / (count - 1));
}

static void print_seeds(const seed_run *runs, long long first, int count, int several, int json)
{
    const char *keys[2] = {several ? "validation_mean_average_precision" : "validation_accuracy",
                           several ? "test_mean_average_precision" : "test_accuracy"};
    double validation[SEEDS_MOST], test[SEEDS_MOST], mean[2], deviation[2];
    json_t *rows = json_array();
    for (int i = 0; i < count; i++) {
        const rn_training_result *r = &runs[i].result;
        validation[i] = several ? r->validation_macro : r->validation_accuracy;
        test[i] = !r->test_items ? NAN : several ? r->test_macro : r->test_accuracy;
        json_array_append_new(rows, json_pack("{s:I, s:o, s:i, s:o, s:o}", "seed", (json_int_t)(first + i), "run",
                                              path_value(runs[i].folder), "best_epoch", r->best_epoch, keys[0],
                                              real_or_null(validation[i]), keys[1], real_or_null(test[i])));
    }
    mean_of(validation, count, &mean[0], &deviation[0]);
    mean_of(test, count, &mean[1], &deviation[1]);
    json_t *all = json_pack("{s:s, s:o, s:{s:o, s:o}, s:{s:o, s:o}}", "event", "seeds", "seeds", rows, keys[0], "mean",
                            real_or_null(mean[0]), "deviation", real_or_null(deviation[0]), keys[1], "mean", real_or_null(mean[1]),
                            "deviation", real_or_null(deviation[1]));
    if (json) {
        print_json_line(all);
    } else {
        printf("\n%-10s", several ? "mAP, seed" : "seed");
        printf("%s%s  best of epoch\n", isnan(mean[0]) ? "" : "  validation", isnan(mean[1]) ? "" : "     test");
        for (int i = 0; i < count; i++) {
            printf("%-10lld", first + i);
            if (!isnan(mean[0]))
                printf("  %8.1f %%", 100 * validation[i]);
            if (!isnan(mean[1]))
                printf("  %5.1f %%", 100 * test[i]);
            printf("  %13d\n", runs[i].result.best_epoch);
        }
        static const char *const names[] = {"mean", "deviation"};
        for (int k = 0; k < 2; k++) {
            const double *row = k ? deviation : mean;
            printf("%-10s", names[k]);
            if (!isnan(mean[0]))
                printf("  %8.1f %%", 100 * row[0]);
            if (!isnan(mean[1]))
                printf("  %5.1f %%", 100 * row[1]);
            printf("\n");
        }
    }
    json_decref(all);
}

/* RUN/seed-S, ...; 0, or an exit status after a message. */
static int name_seed_runs(const command *c, seed_run *runs, long long first, int count)
{
    char path[4300];
    const char *out = option_text(c, "out");
    snprintf(path, sizeof path, "%s/log.jsonl", out);
    if (access(path, F_OK) == 0) {
        complain("%s holds a single run: name another folder with --out for the runs of --seeds", out);
        return EXIT_WORK;
    }
    for (int i = 0; i < count; i++) {
        if (snprintf(runs[i].folder, sizeof runs[i].folder, "%s/seed-%lld", out, first + i) >= (int)sizeof runs[i].folder) {
            complain("--out %.100s...: the name is too long", out);
            return EXIT_USE;
        }
        snprintf(path, sizeof path, "%s/log.jsonl", runs[i].folder);
        if (!option_flag(c, "resume") && !option_flag(c, "resume-arithmetic") && access(path, F_OK) == 0) {
            complain("%s holds a run already: go on with --resume, or name another folder with --out", runs[i].folder);
            return EXIT_WORK;
        }
    }
    return 0;
}

static int train_seeds(session *s, json_t *options, seed_run *runs, long long first, int count)
{
    for (int i = 0; i < count; i++) {
        json_object_set_new(options, "seed", json_integer(first + i));
        char *text = json_dumps(options, JSON_COMPACT);
        s->w->seed = first + i;
        if (!s->w->json)
            printf("%sseed      %lld (%d of %d)\n", i ? "\n" : "", first + i, i + 1, count);
        int status = text ? train_run(s, text, runs[i].folder, &runs[i].result) : EXIT_WORK;
        free(text);
        if (status == EXIT_STOPPED)
            complain("of %d seeds, %d are done; the same command with --resume goes on with all of them", count, i);
        if (status)
            return status;
    }
    print_seeds(runs, first, count, s->w->several, s->w->json);
    return EXIT_DONE;
}

/* ---- The verb ---- */

/* Options that do not go together. */
static int check_options(const command *c)
{
    static const char *const watching[] = {"watch", "compare", "seeds"};
    const char *out = option_text(c, "out"), *other = option_text(c, "compare");
    if (!out && !option_flag(c, "dry-run")) {
        complain("train: say where the model goes: resnet train %s --out RUN", c->arguments[0]);
        return EXIT_USE;
    }
    for (int i = 0; i < 3 && option_flag(c, "dry-run"); i++)
        if (option_text(c, watching[i])) {
            complain("train: --dry-run trains nothing: leave --%s out", watching[i]);
            return EXIT_USE;
        }
    if (option_text(c, "milestones") && option_text(c, "step-epochs")) {
        complain("train: --milestones and --step-epochs both say when the rate falls: leave one out");
        return EXIT_USE;
    }
    if (option_text(c, "listen") && !option_flag(c, "watch")) {
        complain("train: --listen is for the page of --watch: give both or neither");
        return EXIT_USE;
    }
    if (other && strcmp(other, out) == 0) {
        complain("train: --compare %s: that is this run: name another", other);
        return EXIT_USE;
    }
    return 0;
}

/* The page outlives the training where somebody sits before it; a script goes on. */
static void keep_page(const watch_page *page)
{
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO) || signals_stopped())
        return;
    fprintf(stderr, "page      %s stays until Ctrl-C\n", watch_url(page));
    while (!signals_stopped())
        poll(NULL, 0, 200);
}

/* 0 and the page, if one is wanted; else an exit status after a message. */
static int open_page(const command *c, const seed_run *runs, int count, watch_page **page)
{
    rn_error err = {0};
    const char *folders[SEEDS_MOST + 2];
    int total = 0;
    if (!option_flag(c, "watch"))
        return 0;
    if (!count)
        folders[total++] = option_text(c, "out");
    while (total < count) {
        folders[total] = runs[total].folder;
        total++;
    }
    if (option_text(c, "compare"))
        folders[total++] = option_text(c, "compare");
    if (watch_open(page, option_text(c, "listen"), folders, total, &err))
        return fail_with(&err);
    fprintf(stderr, "page      %s\n", watch_url(*page));
    return 0;
}

static int train_all(session *s, json_t *options)
{
    const command *c = s->c;
    int count = (int)option_integer(c, "seeds", 0), status = 0;
    long long first = first_seed(c);
    seed_run *runs = calloc((size_t)count + 1, sizeof *runs);
    watch_page *page = NULL;
    if (!runs) {
        complain("no memory for %d runs", count);
        return EXIT_WORK;
    }
    if (count)
        status = name_seed_runs(c, runs, first, count);
    if (!status)
        status = open_page(c, runs, count, &page);
    if (!status && count) {
        status = train_seeds(s, options, runs, first, count);
    } else if (!status) {
        char *text = json_dumps(options, JSON_COMPACT);
        status = text ? train_run(s, text, option_text(c, "out"), &runs[0].result) : EXIT_WORK;
        free(text);
    }
    if (page && !status)
        keep_page(page);
    watch_close(&page);
    free(runs);
    return status;
}

int verb_train(const command *c)
{
    rn_data *data = NULL;
    watcher w = {.c = c, .terminal = isatty(STDERR_FILENO), .json = option_flag(c, "json"), .stage = RN_TRAINING_TEST, .seed = -1};
    int resume = option_flag(c, "resume-arithmetic") ? RN_TRAINING_RESUME_ARITHMETIC
                 : option_flag(c, "resume")          ? RN_TRAINING_RESUME
                                                     : 0,
        status;
    if ((status = check_options(c)) || (status = open_training_data(c, &data)))
        return status;
    char *typed = command_text();
    session s = {c, data, {on_progress, on_note, &w, typed, c->arguments[0]}, &w, resume};
    json_t *options = training_options(c);
    status = options ? print_recipe(c, options) : EXIT_WORK;
    if (status) {
        rn_data_close(&data);
        json_decref(options);
        free(typed);
        return status;
    }
    status = EXIT_WORK;
    if (options && option_flag(c, "dry-run")) {
        char *text = json_dumps(options, JSON_COMPACT);
        signals_watch();
        progress_start(&w.live, "reading");
        status = text ? dry_run(c, data, text, &s.watch) : EXIT_WORK;
        free(text);
    } else if (options) {
        signals_watch();
        status = train_all(&s, options);
    }
    rn_data_close(&data);
    json_decref(options);
    free(typed);
    return status;
}
