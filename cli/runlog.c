/* Reading a run's log line by line from where the last reading ended. */
#include "runlog.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "serve/alive.h"

enum { PROGRESS_MOST = 64 << 10 };

static double number_or_nan(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static int count_of(const json_t *object, const char *key)
{
    json_int_t n = number_of(object, key);
    return n > 0 && n < INT32_MAX ? (int)n : 0;
}

void run_log_start(run_log *log, const char *folder)
{
    memset(log, 0, sizeof *log);
    log->folder = folder;
}

void run_log_free(run_log *log)
{
    free(log->steps);
    free(log->epochs);
    json_decref(log->progress);
    run_log_start(log, log->folder);
}

/* Room for one more of `size` bytes, or 0. */
static int make_room(void **list, int count, int *room, size_t size)
{
    if (count < *room)
        return 1;
    int more = *room ? 2 * *room : 256;
    void *grown = more > *room && more < 1 << 28 ? realloc(*list, (size_t)more * size) : NULL;
    if (!grown)
        return 0;
    *list = grown;
    *room = more;
    return 1;
}

static void add_step(run_log *log, const json_t *line)
{
    double step = number_or_nan(line, "step");
    /* A run that was resumed from its checkpoint does some steps again. */
    while (log->steps_count && log->steps[log->steps_count - 1].step >= step)
        log->steps_count--;
    if (!isnan(step) && make_room((void **)&log->steps, log->steps_count, &log->steps_room, sizeof *log->steps))
        log->steps[log->steps_count++] = (log_step){step, number_or_nan(line, "loss")};
}

static void add_epoch(run_log *log, const json_t *line)
{
    int epoch = count_of(line, "epoch");
    while (log->epochs_count && log->epochs[log->epochs_count - 1].epoch >= epoch)
        log->epochs_count--;
    if (epoch && make_room((void **)&log->epochs, log->epochs_count, &log->epochs_room, sizeof *log->epochs))
        log->epochs[log->epochs_count++] = (log_epoch){epoch,
                                                       number_or_nan(line, "step"),
                                                       number_or_nan(line, "loss"),
                                                       number_or_nan(line, "accuracy"),
                                                       number_or_nan(line, "validation_loss"),
                                                       number_or_nan(line, "validation_accuracy"),
                                                       json_is_true(json_object_get(line, "best"))};
}

static void add_line(run_log *log, const json_t *line)
{
    const char *kind = text_of(line, "kind");
    if (strcmp(kind, "step") == 0) {
        add_step(log, line);
    } else if (strcmp(kind, "epoch") == 0) {
        add_epoch(log, line);
    } else if (strcmp(kind, "start") == 0) {
        log->epochs_planned = count_of(line, "epochs");
        log->epoch_steps = count_of(line, "steps");
        log->train = count_of(line, "train");
        log->validation = count_of(line, "validation");
        snprintf(log->digest, sizeof log->digest, "%s", text_of(line, "digest"));
    } else if (strcmp(kind, "test") == 0) {
        log->tested = 1;
        log->test = number_or_nan(line, "accuracy");
        log->test_low = number_or_nan(line, "low");
        log->test_high = number_or_nan(line, "high");
    }
}

static void read_progress(run_log *log)
{
    char path[4300], text[PROGRESS_MOST];
    snprintf(path, sizeof path, "%s/progress.json", log->folder);
    FILE *file = fopen(path, "rb");
    size_t got = file ? fread(text, 1, sizeof text, file) : 0;
    json_t *now = got ? json_loadb(text, got, 0, NULL) : NULL;
    if (file)
        fclose(file);
    if (json_is_object(now)) {
        json_decref(log->progress);
        log->progress = json_incref(now);
    }
    json_decref(now);
}

static FILE *open_log(const run_log *log, rn_error *err)
{
    char path[4300];
    snprintf(path, sizeof path, "%s/log.jsonl", log->folder);
    FILE *file = fopen(path, "rbe");
    if (!file) {
        err->code = RN_ERR_IO;
        if (errno == ENOENT)
            snprintf(err->text, sizeof err->text, "%.400s: there is no run in it (no log.jsonl). Begin one: resnet train DATA --out %.400s",
                     log->folder, log->folder);
        else
            snprintf(err->text, sizeof err->text, "%.400s: %s", path, strerror(errno));
    }
    return file;
}

int run_log_find(const run_log *log, rn_error *err)
{
    FILE *file = open_log(log, err);
    if (!file)
        return err->code;
    fclose(file);
    return 0;
}

int run_log_read(run_log *log, rn_error *err)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    FILE *file = open_log(log, err);
    if (!file)
        return err->code;
    if (fseek(file, 0, SEEK_END) == 0 && ftell(file) < log->offset) {
        const char *folder = log->folder;
        run_log_free(log);
        run_log_start(log, folder);
    }
    fseek(file, log->offset, SEEK_SET);
    while ((length = getline(&line, &room, file)) > 0 && line[length - 1] == '\n') {
        json_t *object = json_loadb(line, (size_t)length, 0, NULL);
        log->offset += length;
        add_line(log, object);
        json_decref(object);
    }
    free(line);
    fclose(file);
    read_progress(log);
    return 0;
}

const log_epoch *run_log_best(const run_log *log)
{
    for (int i = log->epochs_count; i-- > 0;)
        if (log->epochs[i].best)
            return &log->epochs[i];
    return NULL;
}

static int is_over(const char *state)
{
    return strcmp(state, "finished") == 0 || strcmp(state, "stopped") == 0 || strcmp(state, "failed") == 0;
}

int run_log_goes_on(const run_log *log)
{
    return log->progress && !is_over(text_of(log->progress, "state")) && run_is_alive(log->progress);
}

const char *run_log_state(const run_log *log)
{
    static const char *const states[] = {"training", "validating", "testing", "finished", "stopped", "failed"};
    const char *state = text_of(log->progress, "state");
    if (!log->progress)
        return log->tested ? "finished" : "no word of where it stands";
    if (!is_over(state) && !run_log_goes_on(log))
        return "ended without a word";
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (strcmp(state, states[i]) == 0)
            return states[i];
    return "no word of where it stands";
}
