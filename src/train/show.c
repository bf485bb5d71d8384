/* For whoever watches a run (`resnet watch`): where it stands, and what the network is given.
 *
 *   RUN/progress.json       one object, rewritten at most once a second: state (training, validating, testing, finished, stopped, failed), epoch,
 *                           step, rate, seconds left, when and where it was written
 *   RUN/sample.safetensors  once an epoch, at most every 5 s: the first items of a batch as the network got them, N.x [c][h][w], the
 *                           sound that was made into it, N.sound [samples], and "resnet.sample" in the metadata: labels, names, shares of mixup
 *
 * Neither is part of the result: they hold times, and are of no use after a crash. So they never stop a run either. */
#include "train/state.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "formats/json.h"
#include "formats/tensors.h"
#include "media/sound.h"

enum { ITEMS = 8, SOUND_MOST = 1 << 18 /* samples of one item */ };
static const double PROGRESS_S = 1, SAMPLE_S = 5;

int rn_stage_of(const char *parameter)
{
    if (strncmp(parameter, "layer", 5) == 0 && parameter[5] >= '1' && parameter[5] <= '4')
        return parameter[5] - '0';
    return strncmp(parameter, "conv1.", 6) == 0 || strncmp(parameter, "bn1.", 4) == 0 ? 0 : RN_STAGES - 1;
}

const char *rn_stage_name(int stage)
{
    static const char *const names[RN_STAGES] = {"stem", "layer1", "layer2", "layer3", "layer4", "head"};
    return names[stage];
}

static void failed(rn_trainer *t, const char *name, const rn_error *err)
{
    if (!t->show_failed)
        rn_trainer_note(t, "%s; the run goes on, but whoever watches it sees no new %s", err->text, name);
    t->show_failed = 1;
}

/* ---- progress.json ---- */

static void write_progress(rn_trainer *t, const char *state, const rn_train_progress *p, const char *why)
{
    char host[256] = "unknown", *text = NULL;
    rn_error err = {0};
    rn_save save;
    int status;
    gethostname(host, sizeof host - 1);
    const rn_train_progress *s = &t->shown;
    json_t *root =
        json_pack("{s:s, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:I, s:i, s:o}", "state", state, "epoch", p->epoch, "epochs",
                  t->options.epochs, "step", (json_int_t)p->step, "steps", (json_int_t)t->steps, "steps_done", (json_int_t)t->done, "done",
                  (json_int_t)p->done, "total", (json_int_t)p->total, "items_per_second", rn_json_number(s->items_per_second),
                  "seconds_left", s->seconds_left >= 0 ? rn_json_number(s->seconds_left) : json_null(), "time", (json_int_t)time(NULL),
                  "process", (int)getpid(), "host", rn_json_text(host));
    if (why)
        json_object_set_new(root, "error", rn_json_text(why));
    char *path = rn_folder_path(t->folder, "progress.json");
    status = path ? rn_json_dump(root, JSON_COMPACT, &text, &err) : rn_error_memory(&err, "a path", strlen(t->folder));
    if (!status && !(status = rn_save_open(&save, path, &err))) {
        status = rn_save_write(&save, text, strlen(text), &err);
        if (!status)
            status = rn_save_replace(&save, &err);
        rn_save_drop(&save);
    }
    if (status)
        failed(t, "progress.json", &err);
    json_decref(root);
    free(text);
    free(path);
}

void rn_show_progress(rn_trainer *t, const rn_train_progress *p)
{
    static const char *const states[] = {"preparing", "preparing", "training", "validating", "training", "testing", "testing"};
    double now = rn_seconds_now();
    if (p->stage == RN_TRAIN_STEP || p->stage == RN_TRAIN_EPOCH)
        t->shown = *p;
    if (!t->log.file || (t->shown_at > 0 && now - t->shown_at < PROGRESS_S && p->stage != RN_TRAIN_EPOCH))
        return;
    t->shown_at = now;
    write_progress(t, states[p->stage], p, NULL);
}

void rn_show_end(rn_trainer *t, int status, const rn_error *err)
{
    rn_train_progress p = {.epoch = t->step || t->epoch == 0 ? t->epoch + 1 : t->epoch, .step = t->step};
    if (!t->log.file)
        return;
    if (!status)
        t->shown.seconds_left = 0;
    write_progress(t, !status ? "finished" : status == RN_ERR_CANCELLED ? "stopped" : "failed", &p, status && err ? err->text : NULL);
}

/* ---- sample.safetensors ---- */

static json_t *label_json(const rn_dataset *d, const rn_item *item)
{
    const char *text = rn_item_label_text(d, item);
    return rn_json_text(*text ? text : "nothing");
}

static int add_item(rn_trainer *t, const rn_batch *batch, int i, rn_tensors *out, rn_sound *sound, json_t *items, rn_error *err)
{
    const rn_dataset *d = t->dataset;
    int64_t shape[3] = {t->c, t->h, t->w}, size = (int64_t)t->c * t->h * t->w;
    char name[32];
    snprintf(name, sizeof name, "%d.x", i);
    int status = rn_tensors_add(out, name, RN_F32, 3, shape, batch->x + i * size, err);
    /* A sample whose file cannot be read any more is shown without its sound. */
    if (!status && t->kind == RN_SOUND && !rn_loader_sound(t->loader, batch->items[i], batch->positions[i], SOUND_MOST, sound, NULL)) {
        snprintf(name, sizeof name, "%d.sound", i);
        status = rn_tensors_add(out, name, RN_F32, 1, &sound->count, sound->samples, err);
    }
    json_t *item =
        json_pack("{s:o, s:o}", "label", label_json(d, &d->items[batch->items[i]]), "name", rn_json_text(d->items[batch->items[i]].name));
    if (item && rn_trainer_mixes(t)) {
        json_object_set_new(item, "mixed_with",
                            d->several ? label_json(d, &d->items[t->labels2[i]]) : rn_json_text(d->labels[t->labels2[i]]));
        json_object_set_new(item, "share", json_real(t->share[i]));
    }
    if (json_array_append_new(items, item) && !status)
        status = rn_error_memory(err, "a sample", 1);
    return status;
}

static int write_sample(rn_trainer *t, const rn_batch *batch, rn_error *err)
{
    rn_tensors tensors = {0};
    rn_sound sounds[ITEMS] = {{0}};
    const rn_features *f = &t->options.features;
    json_t *items = json_array();
    json_t *root = json_pack("{s:i, s:I, s:O}", "epoch", t->epoch + 1, "step", (json_int_t)t->done + 1, "items", items);
    char *text = NULL, *path = rn_folder_path(t->folder, "sample.safetensors");
    int status = root && path ? 0 : rn_error_memory(err, "a sample", 1);
    for (int i = 0; i < batch->n && i < ITEMS && !status; i++)
        status = add_item(t, batch, i, &tensors, &sounds[i], items, err);
    if (!status && t->kind == RN_PICTURES)
        json_object_set_new(root, "pictures", json_true());
    if (!status && t->kind == RN_SOUND) {
        json_object_set_new(root, "rate_hz", json_integer(f->rate));
        json_object_set_new(root, "hop_ms", json_real(f->hop_ms));
    }
    if (!status)
        status = rn_json_dump(root, JSON_COMPACT, &text, err);
    if (!status)
        status = rn_tensors_set_metadata(&tensors, "resnet.sample", text, err);
    if (!status)
        status = rn_safetensors_write(path, &tensors, err);
    for (int i = 0; i < ITEMS; i++)
        rn_sound_free(&sounds[i]);
    rn_tensors_free(&tensors);
    json_decref(root);
    json_decref(items);
    free(text);
    free(path);
    return status;
}

void rn_show_sample(rn_trainer *t, const rn_batch *batch)
{
    rn_error err = {0};
    double now = rn_seconds_now();
    if (!t->folder || t->step || (t->sample_at > 0 && now - t->sample_at < SAMPLE_S))
        return;
    t->sample_at = now;
    if (write_sample(t, batch, &err))
        failed(t, "sample.safetensors", &err);
}
