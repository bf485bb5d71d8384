/* The loop: epochs of steps, a checkpoint after each and every few minutes, the best model kept, the test at the end. */
#include "train/state.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cpu.h"
#include "train/schedule.h"

double rn_seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void rn_trainer_note(const rn_trainer *t, const char *format, ...)
{
    char text[1200];
    va_list args;
    if (!t->watch.note)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    t->watch.note(t->watch.context, text);
}

const char *rn_trainer_resume_line(const rn_trainer *t, char out[600])
{
    snprintf(out, 600, "resnet train %.250s --out %.250s --resume", t->data_name, t->folder ? t->folder : "RUN");
    return out;
}

int rn_trainer_report(rn_trainer *t, rn_train_progress *p)
{
    rn_show_progress(t, p);
    return t->watch.progress ? t->watch.progress(t->watch.context, p) : 0;
}

/* What a step or epoch says; seconds_left from this process's own speed. */
static void fill_progress(rn_trainer *t, rn_train_stage stage, const rn_step *step, rn_train_progress *p)
{
    double now = rn_seconds_now(), trained = now - t->epoch_started;
    *p = (rn_train_progress){
        .stage = stage, .epoch = t->epoch + 1, .epochs = t->options.epochs, .step = t->step, .steps = t->steps, .seconds_left = -1};
    p->loss = t->sums.weight > 0 ? t->sums.loss / t->sums.weight : 0;
    p->accuracy = t->sums.items > 0 ? (double)t->sums.correct / (double)t->sums.items : 0;
    p->validation_loss = p->validation_accuracy = p->validation_macro = NAN;
    if (step) {
        p->gradient_norm = step->norm;
        p->lr = step->lr;
    } else {
        p->lr = t->done > 0 ? rn_schedule_lr(&t->options, t->steps, t->done - 1) : 0;
    }
    p->seconds = trained;
    p->items_per_second = trained > 0 ? (double)t->epoch_items / trained : 0;
    if (t->step_seconds > 0) {
        int epochs_left = t->options.epochs - t->epoch;
        p->seconds_left = t->step_seconds * (double)(t->options.epochs * t->steps - t->done) + t->validation_seconds * epochs_left;
    }
}

static int checkpoint_due(const rn_trainer *t)
{
    return t->options.checkpoint_minutes > 0 && rn_seconds_now() - t->checkpoint_at >= 60 * t->options.checkpoint_minutes;
}

static int cancelled(rn_trainer *t, rn_error *err)
{
    char line[600];
    int status = rn_checkpoint_write(t, err);
    if (status)
        return status;
    if (!t->folder)
        return rn_error_set(err, RN_ERR_CANCELLED, "stopped in epoch %d after step %lld of %lld", t->epoch + 1, (long long)t->step,
                            (long long)t->steps);
    return rn_error_set(err, RN_ERR_CANCELLED,
                        "stopped in epoch %d after step %lld of %lld; the state is in %s/last.safetensors. Go on with: %s",
                        t->epoch + 1 > t->options.epochs ? t->options.epochs : t->epoch + 1, (long long)t->step, (long long)t->steps,
                        t->folder, rn_trainer_resume_line(t, line));
}

/* One step; *stop: the callback asked to. */
static int train_step(rn_trainer *t, int *stop, rn_error *err)
{
    rn_batch batch;
    rn_step step = {0};
    rn_train_progress p;
    double started = rn_seconds_now();
    int status = rn_loader_next(t->loader, &batch, err);
    if (status)
        return status;
    if (batch.n == 0)
        return rn_error_set(err, RN_ERR_DATA, "epoch %d ended after %lld of %lld steps", t->epoch + 1, (long long)t->step,
                            (long long)t->steps);
    if ((status = rn_trainer_gradients(t, &batch, &step, err)))
        return status;
    if (!isfinite(step.loss) || !isfinite(step.norm))
        return rn_trainer_explain(t, &batch, &step, err);
    rn_show_sample(t, &batch);
    rn_trainer_apply(t, &step);
    t->epoch_items += batch.n;
    double seconds = rn_seconds_now() - started;
    t->step_seconds = t->step_seconds > 0 ? 0.95 * t->step_seconds + 0.05 * seconds : seconds;
    if ((status = rn_runlog_step(t, &step, err)))
        return status;
    fill_progress(t, RN_TRAIN_STEP, &step, &p);
    *stop = rn_trainer_report(t, &p);
    if (!*stop && t->step < t->steps && checkpoint_due(t))
        status = rn_checkpoint_write(t, err);
    return status;
}

static int end_epoch(rn_trainer *t, int *stop, rn_error *err)
{
    rn_train_progress p;
    rn_metrics *validation = NULL;
    fill_progress(t, RN_TRAIN_EPOCH, NULL, &p);
    int status = rn_trainer_validate(t, &p, &validation, err);
    if (!status)
        status = rn_runlog_epoch(t, &p, validation, err);
    rn_metrics_close(&validation);
    if (status)
        return status;
    t->last = t->sums;
    t->sums = (rn_sums){0};
    t->epoch++;
    t->step = 0;
    if ((status = rn_checkpoint_write(t, err)))
        return status;
    p.seconds = rn_seconds_now() - t->epoch_started;
    if (t->step_seconds > 0)
        p.seconds_left = (t->options.epochs - t->epoch) * (t->step_seconds * (double)t->steps + t->validation_seconds);
    *stop = rn_trainer_report(t, &p);
    return 0;
}

static int train_epoch(rn_trainer *t, int *stop, rn_error *err)
{
    int status = 0;
    t->epoch_started = rn_seconds_now();
    t->epoch_items = 0;
    if (t->step < t->steps)
        status = rn_loader_start(t->loader, (uint32_t)t->epoch, t->step, err);
    while (!status && !*stop && t->step < t->steps)
        status = train_step(t, stop, err);
    if (status || *stop)
        return status;
    return end_epoch(t, stop, err);
}

static int out_of_patience(const rn_trainer *t)
{
    return t->options.patience > 0 && t->best.epoch > 0 && t->epoch - t->best.epoch >= t->options.patience;
}

static void fill_result(rn_trainer *t, double started)
{
    rn_train_result *r = &t->result;
    r->epochs = t->epoch;
    r->best_epoch = t->best.epoch;
    r->stopped_early = t->epoch < t->options.epochs && out_of_patience(t);
    r->steps = t->done;
    r->left_out = t->left_out;
    r->bad = t->bad;
    const rn_sums *s = t->last.items ? &t->last : &t->sums;
    r->loss = s->weight > 0 ? s->loss / s->weight : 0;
    r->accuracy = s->items > 0 ? (double)s->correct / (double)s->items : 0;
    r->validation_loss = t->best.epoch ? t->best.loss : NAN;
    r->validation_accuracy = t->best.epoch ? t->best.accuracy : NAN;
    r->validation_macro = t->best.epoch ? t->best.macro : NAN;
    r->seconds = rn_seconds_now() - started;
    if (t->folder)
        snprintf(r->model_path, sizeof r->model_path, "%s/model.safetensors", t->folder);
}

static int run(rn_trainer *t, rn_error *err)
{
    int status = 0, stop = 0;
    while (!status && !stop && t->epoch < t->options.epochs && !out_of_patience(t))
        status = train_epoch(t, &stop, err);
    /* A stop that is asked for with the last epoch's report comes too late to stop anything but the test. */
    if (status == RN_ERR_CANCELLED || (!status && stop))
        return cancelled(t, err);
    if (!status)
        status = rn_trainer_test(t, err);
    if (status == RN_ERR_CANCELLED) {
        /* The checkpoint of the last epoch stands; the weights in memory are the best ones already. */
        char line[600];
        return rn_error_set(err, status, "stopped in the test after the last epoch. Go on with: %s", rn_trainer_resume_line(t, line));
    }
    if (!status && t->folder)
        status = rn_runlog_host(t, "finished", err);
    return status;
}

int rn_trainer_run(rn_trainer *t, rn_train_result *result, rn_error *err)
{
    double started = rn_seconds_now();
    if (!t->model)
        return rn_error_set(err, RN_ERR_ARG, "the model was taken from this trainer: it can only be closed");
    unsigned fp = rn_fp_enter();
    t->checkpoint_at = started;
    int status = t->finished ? 0 : run(t, err);
    if (!status)
        t->finished = 1;
    rn_show_end(t, status, err);
    rn_fp_leave(fp);
    fill_result(t, started);
    if (result)
        *result = t->result;
    return status;
}

const rn_train_options *rn_trainer_options(const rn_trainer *t)
{
    return &t->options;
}

const rn_model *rn_trainer_model(const rn_trainer *t)
{
    return t->model;
}

rn_model *rn_trainer_take_model(rn_trainer *t)
{
    rn_model *model = t->model;
    if (!model)
        return NULL;
    /* What is trained may point into the model; what still needs its graph goes first. */
    rn_learn_close(&t->learn);
    rn_infer_close(&t->infer);
    rn_optimiser_close(&t->optimiser);
    if (!t->average)
        t->weights = t->stats = NULL;
    t->model = NULL;
    return model;
}
