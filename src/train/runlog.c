/* The RUN folder: config.json, split.csv, run.json, log.jsonl and TensorBoard events.
 *
 * log.jsonl holds what the run computed, one object a line, and nothing that differs between equal runs: no time, no speed. Times are in
 * the events (their wall time, and train/items_per_second) and in run.json. A checkpoint stores how long log and events were; resuming cuts
 * them back to that, so they read as if the run had never stopped. */
#include "train/state.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/file.h"
#include "formats/json.h"

#ifndef RN_VERSION
#define RN_VERSION "unknown"
#endif

char *rn_folder_path(const char *folder, const char *name)
{
    size_t a = strlen(folder), b = strlen(name);
    char *path = malloc(a + b + 2);
    if (path) {
        memcpy(path, folder, a);
        path[a] = '/';
        memcpy(path + a + 1, name, b + 1);
    }
    return path;
}

int rn_run_exists(const char *folder)
{
    static const char *const names[] = {"config.json", "last.safetensors", "model.safetensors", "log.jsonl"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = rn_folder_path(folder, names[i]);
        int exists = path && access(path, F_OK) == 0;
        free(path);
        if (exists)
            return 1;
    }
    return 0;
}

/* mkdir -p */
static int make_folders(const char *folder, rn_error *err)
{
    char *path = strdup(folder);
    struct stat st;
    int status = 0;
    if (!path)
        return rn_error_memory(err, "a path", strlen(folder));
    for (char *p = path + 1; !status; p++) {
        if (*p && *p != '/')
            continue;
        char kept = *p;
        *p = 0;
        if (mkdir(path, 0777) && !(stat(path, &st) == 0 && S_ISDIR(st.st_mode)))
            status = rn_error_set(err, RN_ERR_IO, "%s: %s; name another folder with --out", path, rn_errno_text(errno));
        *p = kept;
        if (!kept)
            break;
    }
    free(path);
    return status;
}

static int begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* Temporary files that a killed process left; when starting afresh also logs and events, which would be those of another run. */
static void sweep(const char *folder, int afresh)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        const char *name = entry->d_name, *temporary = strstr(name, ".tmp.");
        int ours = begins(name, "model.safetensors") || begins(name, "last.safetensors") || begins(name, "config.json") ||
                   begins(name, "run.json") || begins(name, "split.csv") || begins(name, "progress.json") ||
                   begins(name, "sample.safetensors");
        int old =
            afresh && (begins(name, "events.out.tfevents.") || strcmp(name, "log.jsonl") == 0 || strcmp(name, "sample.safetensors") == 0);
        if (!(temporary && ours) && !old)
            continue;
        char *path = rn_folder_path(folder, name);
        if (path)
            unlink(path);
        free(path);
    }
    if (dir)
        closedir(dir);
}

int rn_folder_open(rn_trainer *t, int afresh, rn_error *err)
{
    int status = make_folders(t->folder, err);
    if (status)
        return status;
    char *config = rn_folder_path(t->folder, "config.json"), *split = rn_folder_path(t->folder, "split.csv");
    if (!config || !split) {
        status = rn_error_memory(err, "a path", strlen(t->folder));
        goto fail;
    }
    sweep(t->folder, afresh);
    if (afresh && (status = rn_split_write(t->dataset, split, err)))
        goto fail;
    status = rn_train_options_save(&t->options, t->kind, config, err);
fail:
    free(config);
    free(split);
    return status;
}

/* ---- log.jsonl ---- */

int rn_runlog_failed(rn_trainer *t, const char *path, rn_error *err)
{
    char line[600], sentence[200];
    int number = errno;
    if (t->have_checkpoint)
        snprintf(sentence, sizeof sentence, "the checkpoint of epoch %d is whole", t->checkpoint_epoch);
    else
        snprintf(sentence, sizeof sentence, "no checkpoint was written yet");
    return rn_error_set(err, RN_ERR_IO, "%s: %s; %s. Free space, then: %s", path, rn_errno_text(number), sentence,
                        rn_trainer_resume_line(t, line));
}

int rn_runlog_open(rn_trainer *t, int64_t bytes, const char *events, int64_t events_bytes, rn_error *err)
{
    rn_runlog *log = &t->log;
    struct stat st;
    int status = 0;
    if (!(log->path = rn_folder_path(t->folder, "log.jsonl")))
        return rn_error_memory(err, "a path", strlen(t->folder));
    log->file = fopen(log->path, "ae");
    if (!log->file)
        return rn_runlog_failed(t, log->path, err);
    if (flock(fileno(log->file), LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        return rn_error_set(err, RN_ERR_IO,
                            "%s: another process trains in this folder; wait for its end, or name another folder with --out", t->folder);
    if (fstat(fileno(log->file), &st))
        return rn_runlog_failed(t, log->path, err);
    if (st.st_size < bytes)
        rn_trainer_note(t, "%s has %lld bytes, %lld were written before the checkpoint: lines are lost", log->path, (long long)st.st_size,
                        (long long)bytes);
    else if (ftruncate(fileno(log->file), (off_t)bytes))
        return rn_runlog_failed(t, log->path, err);
    log->bytes = st.st_size < bytes ? st.st_size : bytes;
    char *path = events && *events ? rn_folder_path(t->folder, events) : NULL;
    if (path && access(path, F_OK)) {
        rn_trainer_note(t, "%s is gone: events go on in a new file", path);
        free(path);
        path = NULL;
    }
    status = rn_events_open(&log->events, t->folder, path, path ? events_bytes : 0, err);
    free(path);
    return status;
}

void rn_runlog_close(rn_runlog *log)
{
    if (log->file)
        fclose(log->file);
    rn_events_close(&log->events);
    free(log->path);
    memset(log, 0, sizeof *log);
}

int rn_runlog_line(rn_trainer *t, json_t *object, rn_error *err)
{
    char *text = NULL;
    int status = rn_json_dump(object, JSON_COMPACT, &text, err);
    json_decref(object);
    if (status)
        return status;
    if (t->log.file) {
        size_t length = strlen(text);
        text[length] = '\n';
        if (fwrite(text, 1, length + 1, t->log.file) != length + 1)
            status = rn_runlog_failed(t, t->log.path, err);
        else
            t->log.bytes += (int64_t)length + 1;
    }
    free(text);
    return status;
}

int rn_runlog_flush(rn_trainer *t, int durable, rn_error *err)
{
    if (!t->log.file)
        return 0;
    if (fflush(t->log.file) || (durable && fsync(fileno(t->log.file)) && errno != EINVAL && errno != EROFS))
        return rn_runlog_failed(t, t->log.path, err);
    t->log.flushed_at = rn_seconds_now();
    return rn_events_flush(t->log.events, err);
}

/* JSON has no NaN: null where there is no value. */
json_t *rn_json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *rn_json_text(const char *text)
{
    json_t *value = text ? json_string(text) : json_null();
    char *copy = value ? NULL : strdup(text);
    if (copy) {
        for (char *p = copy; *p; p++)
            if ((unsigned char)*p >= 0x80)
                *p = '?';
        value = json_string(copy);
        free(copy);
    }
    return value;
}

static int scalar(rn_trainer *t, const char *tag, double value, rn_error *err)
{
    return t->log.events && isfinite(value) ? rn_events_scalar(t->log.events, t->done, tag, (float)value, err) : 0;
}

int rn_runlog_start(rn_trainer *t, rn_error *err)
{
    const rn_dataset *d = t->dataset;
    json_t *labels = json_array();
    int failed = !labels;
    for (int i = 0; i < d->classes && d->classes <= RN_CONFUSION_CLASSES && !failed; i++)
        failed = json_array_append_new(labels, rn_json_text(d->labels[i]));
    json_t *line = json_pack("{s:s, s:s, s:i, s:o, s:i, s:I, s:i, s:i, s:i, s:i, s:s}", "kind", "start", "arch", t->options.arch.name,
                             "classes", d->classes, "labels", labels, "epochs", t->options.epochs, "steps", (json_int_t)t->steps, "batch",
                             rn_loader_batch(t->loader), "train", rn_split_count(d, RN_PART_TRAIN, -1), "validation",
                             t->options.no_validation ? 0 : rn_split_count(d, RN_PART_VALIDATION, -1), "test",
                             rn_split_count(d, RN_PART_TEST, -1), "digest", t->digest);
    if (d->several) /* macro figures are mean average precision then, and accuracy is exact match */
        failed = failed || json_object_set_new(line, "labels_kind", json_string("several"));
    if (failed) {
        json_decref(line);
        line = NULL;
    }
    int status = rn_runlog_line(t, line, err);
    return status ? status : rn_runlog_flush(t, 0, err);
}

/* {"stem": ..., "layer1": ...}: where the gradient is. A stage that the network does not have is left out. */
static json_t *stage_norms(const rn_trainer *t)
{
    double norms[RN_STAGES];
    unsigned there = 0;
    const rn_graph *graph = t->model->graph;
    json_t *object = json_object();
    rn_optimiser_group_norms(t->optimiser, t->stage_of, RN_STAGES, norms);
    for (int i = 0; i < graph->params_count; i++)
        there |= 1u << t->stage_of[i];
    for (int s = 0; s < RN_STAGES && object; s++)
        if (there >> s & 1 && json_object_set_new(object, rn_stage_name(s), rn_json_number(norms[s]))) {
            json_decref(object);
            object = NULL;
        }
    return object;
}

int rn_runlog_step(rn_trainer *t, const rn_step *step, rn_error *err)
{
    if (!t->folder || t->done % t->options.log_steps)
        return 0;
    int status = rn_runlog_line(t,
                                json_pack("{s:s, s:i, s:I, s:o, s:o, s:o, s:o}", "kind", "step", "epoch", t->epoch + 1, "step",
                                          (json_int_t)t->done, "loss", rn_json_number(step->loss), "gradient_norm",
                                          rn_json_number(step->norm), "gradient_norms", stage_norms(t), "lr", rn_json_number(step->lr)),
                                err);
    if (!status)
        status = scalar(t, "train/loss", step->loss, err);
    if (!status)
        status = scalar(t, "train/gradient_norm", step->norm, err);
    if (!status)
        status = scalar(t, "train/lr", step->lr, err);
    /* Whoever watches sees lines within seconds; a checkpoint flushes to the disk. */
    if (!status && rn_seconds_now() - t->log.flushed_at > 2)
        status = rn_runlog_flush(t, 0, err);
    return status;
}

int rn_runlog_epoch(rn_trainer *t, const rn_train_progress *p, const rn_metrics *validation, rn_error *err)
{
    const struct {
        const char *tag;
        double value;
    } scalars[] = {{"epoch/loss", p->loss},
                   {"epoch/accuracy", p->accuracy},
                   {"validation/loss", p->validation_loss},
                   {"validation/accuracy", p->validation_accuracy},
                   {"validation/macro_accuracy", p->validation_macro},
                   {"train/items_per_second", p->items_per_second}};
    if (!t->folder)
        return 0;
    json_t *line =
        json_pack("{s:s, s:i, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "kind", "epoch", "epoch", p->epoch, "step", (json_int_t)t->done,
                  "loss", rn_json_number(p->loss), "accuracy", rn_json_number(p->accuracy), "validation_loss",
                  rn_json_number(p->validation_loss), "validation_accuracy", rn_json_number(p->validation_accuracy), "validation_macro",
                  rn_json_number(p->validation_macro), "lr", rn_json_number(p->lr), "best", p->best);
    if (line && validation && validation->confusion && validation->classes <= RN_CONFUSION_CLASSES &&
        json_object_set_new(line, "confusion", rn_metrics_confusion(validation))) {
        json_decref(line);
        line = NULL;
    }
    int status = rn_runlog_line(t, line, err);
    for (size_t i = 0; i < sizeof scalars / sizeof *scalars && !status; i++)
        status = scalar(t, scalars[i].tag, scalars[i].value, err);
    return status;
}

int rn_runlog_test(rn_trainer *t, const rn_metrics *m, rn_error *err)
{
    if (!t->folder)
        return 0;
    int status = rn_runlog_line(t,
                                json_pack("{s:s, s:i, s:i, s:o, s:o, s:o, s:o, s:o}", "kind", "test", "epoch", t->best.epoch, "items",
                                          m->items, "loss", rn_json_number(m->loss), "accuracy", rn_json_number(m->accuracy),
                                          "macro_accuracy", rn_json_number(m->macro_accuracy), "low", rn_json_number(m->wilson_low), "high",
                                          rn_json_number(m->wilson_high)),
                                err);
    if (!status)
        status = scalar(t, "test/accuracy", m->accuracy, err);
    return status ? status : scalar(t, "test/macro_accuracy", m->macro_accuracy, err);
}

/* ---- run.json: who ran this, where and when; the only file with times and hosts ---- */

int rn_runlog_host(rn_trainer *t, const char *event, rn_error *err)
{
    char when[40] = "", host[256] = "unknown";
    time_t now = time(NULL);
    struct tm utc;
    unsigned char *data = NULL;
    char *text = NULL;
    size_t size;
    rn_save save;
    int status;
    char *path = rn_folder_path(t->folder, "run.json");
    if (!path)
        return rn_error_memory(err, "a path", strlen(t->folder));
    json_t *root = NULL;
    /* A run.json that can't be read is no reason to stop: it is begun anew. */
    if (strcmp(event, "started") && rn_file_read(path, 1 << 24, &data, &size, NULL) == 0)
        root = json_loadb((const char *)data, size, 0, NULL);
    free(data);
    json_t *events = json_object_get(root, "events");
    if (!json_is_array(events)) {
        json_decref(root);
        root = json_pack("{s:s, s:o, s:[]}", "program", "resnet", "data", rn_json_text(t->data_name), "events");
        events = json_object_get(root, "events");
    }
    if (gmtime_r(&now, &utc))
        snprintf(when, sizeof when, "%04d-%02d-%02dT%02d:%02d:%02dZ", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour,
                 utc.tm_min, utc.tm_sec);
    gethostname(host, sizeof host - 1);
    json_t *now_here = json_pack("{s:s, s:s, s:o, s:I, s:i, s:s, s:s, s:i, s:o, s:i, s:I}", "event", event, "time", when, "host",
                                 rn_json_text(host), "process", (json_int_t)getpid(), "threads", rn_pool_threads(t->pool), "cpu",
                                 rn_cpu_level(), "version", RN_VERSION, "arithmetic", RN_ARITHMETIC, "command",
                                 rn_json_text(t->watch.command), "epochs_done", t->epoch, "steps_done", (json_int_t)t->done);
    if (json_array_append_new(events, now_here))
        status = rn_error_memory(err, "run.json", 1);
    else
        status = rn_json_dump(root, JSON_INDENT(2), &text, err);
    if (!status && !(status = rn_save_open(&save, path, err))) {
        status = rn_save_write(&save, text, strlen(text), err);
        if (!status)
            status = rn_save_commit(&save, err);
        rn_save_drop(&save);
    }
    json_decref(root);
    free(text);
    free(path);
    return status;
}
