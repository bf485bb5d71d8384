/* resnet train: a data set becomes a model. One line per epoch; on a terminal a live line under it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

typedef struct watcher {
    const command *c;
    progress live; /* decoding, validation and test */
    rn_training_stage stage;
    int terminal, visible, json;
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

static void print_epoch(const rn_training_progress *p)
{
    char seconds[32], left[32], width[16];
    int digits = snprintf(width, sizeof width, "%d", p->epochs);
    printf("epoch %*d  loss %.3f  accuracy %.1f %%", digits < 2 ? 2 : digits, p->epoch, p->loss, 100 * p->accuracy);
    if (!isnan(p->validation_macro))
        printf("  validation %.1f %%", 100 * p->validation_accuracy);
    printf("  lr %.3g   %.0f items/s   %s", p->lr, p->items_per_second, text_duration(seconds, p->seconds));
    if (p->epoch < p->epochs && p->seconds_left >= 0)
        printf(", %s left", text_duration(left, p->seconds_left));
    printf("%s\n", p->best && !isnan(p->validation_macro) ? "   best so far" : "");
}

static json_t *epoch_object(const rn_training_progress *p)
{
    json_t *line = json_pack("{s:s, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:b}", "event", "epoch", "epoch", p->epoch, "epochs", p->epochs,
                             "loss", p->loss, "accuracy", p->accuracy, "lr", p->lr, "items_per_second", p->items_per_second, "seconds",
                             p->seconds, "best", p->best);
    if (!isnan(p->validation_macro)) {
        json_object_set_new(line, "validation_loss", json_real(p->validation_loss));
        json_object_set_new(line, "validation_accuracy", json_real(p->validation_accuracy));
        json_object_set_new(line, "validation_macro_accuracy", json_real(p->validation_macro));
    }
    return line;
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
    static const char *const names[] = {"hashing", "reading", "", "validating", "", "testing"};
    watcher *w = context;
    if (p->stage == RN_TRAINING_STEP) {
        show_step(w, p);
    } else if (p->stage == RN_TRAINING_EPOCH) {
        hide_live(w);
        if (w->json) {
            json_t *line = epoch_object(p);
            print_json_line(line);
            json_decref(line);
        } else {
            print_epoch(p);
        }
        fflush(stdout);
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

/* "birds     1,204 recordings, 6 classes, 48 kHz, 1.9 h   (train 843, validation 181, test 180)" */
static void print_plan(const char *data, const json_t *plan)
{
    const json_t *parts = json_object_get(plan, "parts"), *options = json_object_get(plan, "options"),
                 *features = json_object_get(options, "features"), *arch = json_object_get(options, "arch"),
                 *input = json_object_get(plan, "input");
    char a[32], b[32], d[32], e[32];
    const char *slash = strrchr(data, '/');
    const char *name = slash && slash[1] ? slash + 1 : data;
    int arrays = json_is_true(json_object_get(plan, "tensors"));
    printf("%-8s  %s %s, %zu classes", name, text_count(a, number_of(plan, "items")), arrays ? "arrays" : "recordings",
           json_array_size(json_object_get(plan, "classes")));
    if (!arrays)
        printf(", %g kHz", real_of(features, "rate") / 1000);
    if (!arrays && real_of(plan, "seconds") > 0)
        printf(", %s", text_duration(b, real_of(plan, "seconds")));
    printf("   (train %s, validation %s, test %s", text_count(a, number_of(parts, "train")), text_count(b, number_of(parts, "validation")),
           text_count(d, number_of(parts, "test")));
    if (number_of(plan, "bad"))
        printf("; %s left out", text_count(e, number_of(plan, "bad")));
    printf(")\n");
    if (arrays)
        printf("input     %lldx%lldx%lld", json_integer_value(json_array_get(input, 0)), json_integer_value(json_array_get(input, 1)),
               json_integer_value(json_array_get(input, 2)));
    else
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
    printf("\nmemory    %s activations, %s weights and optimiser, up to %s features\n", text_bytes(a, number_of(bytes, "engine")),
           text_bytes(b, number_of(bytes, "weights")), text_bytes(d, number_of(bytes, "cache")));
    printf("time      %s for a step, about %s in all\n", text_duration(a, real_of(plan, "step_seconds")),
           text_duration(b, real_of(plan, "run_seconds")));
}

/* ---- Running ---- */

static void print_result(const command *c, const char *out, const rn_training_result *r)
{
    char path[4200], size[32];
    snprintf(path, sizeof path, "%s/model.safetensors", out);
    FILE *file = fopen(path, "rb");
    long bytes = 0;
    if (file && fseek(file, 0, SEEK_END) == 0)
        bytes = ftell(file);
    if (file)
        fclose(file);
    if (r->test_items)
        printf("test      %.1f %% (%.1f to %.1f at 95 %%), macro %.1f %%   best of epoch %d\n", 100 * r->test_accuracy, 100 * r->test_low,
               100 * r->test_high, 100 * r->test_macro, r->best_epoch);
    if (r->bad)
        printf("skipped   %d recordings that can't be used\n", r->bad);
    printf("model     %s (%s)   next: resnet eval %s %s\n", path, text_bytes(size, bytes), path, c->arguments[0]);
}

static json_t *result_object(const char *out, const rn_training_result *r)
{
    json_t *line = json_pack("{s:s, s:i, s:i, s:I, s:f, s:f, s:i, s:f, s:o}", "event", "result", "epochs", r->epochs, "best_epoch",
                             r->best_epoch, "steps", (json_int_t)r->steps, "loss", r->loss, "accuracy", r->accuracy, "bad", r->bad,
                             "seconds", r->seconds, "model", json_sprintf("%s/model.safetensors", out));
    if (!isnan(r->validation_macro))
        json_object_set_new(line, "validation_macro_accuracy", json_real(r->validation_macro));
    if (r->test_items) {
        json_object_set_new(line, "test_items", json_integer(r->test_items));
        json_object_set_new(line, "test_accuracy", json_real(r->test_accuracy));
        json_object_set_new(line, "test_macro_accuracy", json_real(r->test_macro));
        json_object_set_new(line, "test_interval", json_pack("[f,f]", r->test_low, r->test_high));
    }
    return line;
}

/* The library's options: the passed rows, --no-augment spelt out, and the file of --config. */
static char *training_options(const command *c)
{
    static const char *const off[] = {"augment.gain_db",   "augment.shift_s",        "augment.speed", "augment.noise_probability",
                                      "augment.mask_time", "augment.mask_frequency", "augment.mixup"};
    json_t *object = options_object(c);
    for (size_t i = 0; option_flag(c, "no-augment") && i < sizeof off / sizeof off[0]; i++)
        if (!json_object_get(object, off[i]))
            json_object_set_new(object, off[i], json_integer(0));
    if (option_text(c, "config"))
        json_object_set_new(object, "config", json_string(option_text(c, "config")));
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (!text)
        complain("no memory for the options");
    return text;
}

static int open_training_data(const command *c, rn_data **data)
{
    rn_error err = {0};
    rn_listen listen = {0};
    listen.raw = option_text(c, "raw");
    listen.raw_rate = (int)option_integer(c, "raw-rate", 0);
    listen.raw_channels = (int)option_integer(c, "raw-channels", 0);
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

static int run_training(const command *c, rn_training *training, const char *out)
{
    rn_error err = {0};
    rn_training_result r;
    char *text = NULL;
    json_t *plan = rn_training_plan(training, &text, &err) ? NULL : take_result(text);
    int json = option_flag(c, "json");
    if (!plan)
        return fail_with(&err);
    if (json) {
        json_object_set_new(plan, "event", json_string("plan"));
        print_json_line(plan);
    } else {
        print_plan(c->arguments[0], plan);
    }
    fflush(stdout);
    json_decref(plan);
    if (rn_training_run(training, &r, &err))
        return fail_training(c, &err);
    if (json) {
        json_t *line = result_object(out, &r);
        print_json_line(line);
        json_decref(line);
    } else {
        print_result(c, out, &r);
    }
    return EXIT_DONE;
}

int verb_train(const command *c)
{
    rn_error err = {0};
    rn_data *data = NULL;
    rn_training *training = NULL;
    watcher w = {.c = c, .terminal = isatty(STDERR_FILENO), .json = option_flag(c, "json"), .stage = RN_TRAINING_TEST};
    char *options = NULL, *typed = NULL;
    const char *out = option_text(c, "out");
    int resume = option_flag(c, "resume-arithmetic") ? RN_TRAINING_RESUME_ARITHMETIC
                 : option_flag(c, "resume")          ? RN_TRAINING_RESUME
                                                     : 0,
        status;
    if (!out && !option_flag(c, "dry-run")) {
        complain("train: say where the model goes: resnet train %s --out RUN", c->arguments[0]);
        return EXIT_USE;
    }
    if ((status = open_training_data(c, &data)))
        return status;
    typed = command_text();
    rn_training_watch watch = {on_progress, on_note, &w, typed, c->arguments[0]};
    status = EXIT_WORK;
    if (!(options = training_options(c)))
        goto done;
    signals_watch();
    progress_start(&w.live, "reading");
    if (option_flag(c, "dry-run")) {
        status = dry_run(c, data, options, &watch);
        goto done;
    }
    if (rn_training_open(&training, data, options, out, resume, &watch, &err)) {
        hide_live(&w);
        status = fail_training(c, &err);
        goto done;
    }
    hide_live(&w);
    status = run_training(c, training, out);
    hide_live(&w);
done:
    rn_training_close(&training);
    rn_data_close(&data);
    free(options);
    free(typed);
    return status;
}
