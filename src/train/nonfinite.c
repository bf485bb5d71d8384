/* A loss or gradient that is not finite: which step, which layer first, which files.
 *
 * Nothing has moved yet when it is noticed, so the ghost batches are run again in order, with a hook that looks at what each step of
 * forward and backward wrote; the first value that is not finite names its layer. */
#include "train/state.h"

#include <math.h>
#include <string.h>

#define FILES_NAMED 6

typedef struct finder {
    char layer[96];
    const char *direction; /* "forward", "backward" */
    int found;
} finder;

static int all_finite(const float *data, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(data[i]))
            return 0;
    return 1;
}

static void look(void *context, const rn_layer_event *event)
{
    finder *f = context;
    if (f->found || !event->data || all_finite(event->data, (int64_t)event->n * event->c * event->h * event->w))
        return;
    snprintf(f->layer, sizeof f->layer, "%s", event->name);
    f->found = 1;
}

/* A weight or statistic that is not finite is the cause, whatever layer shows it first. */
static int bad_parameter(const rn_trainer *t, finder *f)
{
    const rn_graph *graph = t->model->graph;
    for (int i = 0; i < graph->params_count; i++) {
        const rn_param *p = &graph->params[i];
        int stat = p->kind == RN_PARAM_BN_MEAN || p->kind == RN_PARAM_BN_VAR;
        if (all_finite((stat ? t->stats : t->weights) + p->offset, p->count))
            continue;
        snprintf(f->layer, sizeof f->layer, "%s", p->name);
        f->direction = "before the step";
        return f->found = 1;
    }
    return 0;
}

static int search_ghost(rn_trainer *t, const rn_batch *batch, int first, int n, finder *f, rn_error *err)
{
    int64_t size = (int64_t)t->c * t->h * t->w;
    const float *x = batch->x + first * size;
    if (!all_finite(x, n * size)) {
        snprintf(f->layer, sizeof f->layer, "the input");
        f->direction = "before the first layer";
        f->found = 1;
        return 0;
    }
    f->direction = "forward";
    rn_trainer_drop(t, batch, first, n);
    int status = rn_learn_forward(t->learn, n, x, t->logits, NULL, NULL, err);
    if (status || f->found)
        return status;
    rn_loss_options loss = {t->model->arch.classes, t->class_weights, t->options.label_smoothing};
    int mixed = rn_trainer_mixes(t);
    rn_targets all = {batch->labels, batch->weights, mixed ? t->labels2 : NULL, mixed ? t->share : NULL, t->targets}, part = all;
    part.labels += first;
    part.targets = part.targets ? part.targets + (int64_t)first * t->model->arch.classes : NULL;
    part.weights = part.weights ? part.weights + first : NULL;
    part.labels2 = part.labels2 ? part.labels2 + first : NULL;
    part.share = part.share ? part.share + first : NULL;
    rn_loss sum = {0, 0};
    rn_loss_run(&loss, &part, n, t->logits, rn_loss_weight(&loss, &all, batch->n), t->dlogits, &sum);
    if (!isfinite(sum.sum) || !all_finite(t->dlogits, (int64_t)n * t->model->arch.classes)) {
        snprintf(f->layer, sizeof f->layer, "the loss");
        return f->found = 1, 0;
    }
    f->direction = "backward";
    return rn_learn_backward(t->learn, t->dlogits, NULL, t->tree.buffers[0], err);
}

/* "a.wav, b.wav and 30 more"; every file goes into the log. */
static void name_files(rn_trainer *t, const rn_batch *batch, char *text, size_t size)
{
    size_t used = 0;
    for (int i = 0; i < batch->n && i < FILES_NAMED; i++) {
        int length = snprintf(text + used, size - used, "%s%.60s", i ? ", " : "", t->dataset->items[batch->items[i]].name);
        used = length < 0 || used + (size_t)length >= size ? size - 1 : used + (size_t)length;
    }
    if (batch->n > FILES_NAMED)
        snprintf(text + used, size - used, " and %d more", batch->n - FILES_NAMED);
}

static void log_files(rn_trainer *t, const rn_batch *batch, const char *layer, const rn_step *step)
{
    if (!t->folder)
        return;
    json_t *files = json_array();
    for (int i = 0; files && i < batch->n; i++)
        json_array_append_new(files, rn_json_text(t->dataset->items[batch->items[i]].name));
    rn_runlog_line(t,
                   json_pack("{s:s, s:i, s:I, s:o, s:o, s:o, s:o}", "kind", "not finite", "epoch", t->epoch + 1, "step",
                             (json_int_t)t->done + 1, "layer", rn_json_text(layer), "loss", rn_json_number(step->loss), "gradient_norm",
                             rn_json_number(step->norm), "files", files),
                   NULL);
    rn_runlog_flush(t, 0, NULL);
}

int rn_trainer_explain(rn_trainer *t, const rn_batch *batch, const rn_step *step, rn_error *err)
{
    finder f = {"", "", 0};
    char files[500] = "", where[200] = "", kept[200] = "", advice[100];
    if (!bad_parameter(t, &f)) {
        int ghosts = rn_ghost_count(t, batch->n);
        rn_learn_hook(t->learn, look, &f, 1, NULL);
        for (int g = 0; g < ghosts && !f.found; g++) {
            int first, n;
            rn_ghost_cut(batch->n, ghosts, g, &first, &n);
            if (search_ghost(t, batch, first, n, &f, NULL))
                break;
        }
        rn_learn_hook(t->learn, NULL, NULL, 0, NULL);
    }
    if (f.found)
        snprintf(where, sizeof where, ", first in %s (%s)", f.layer, f.direction);
    name_files(t, batch, files, sizeof files);
    log_files(t, batch, f.layer, step);
    if (t->have_checkpoint)
        snprintf(kept, sizeof kept, "; the checkpoint of epoch %d is kept", t->checkpoint_epoch);
    snprintf(advice, sizeof advice, "--lr %.3g%s", t->options.lr / 10, t->options.clip > 0 ? "" : ", or --clip 1");
    return rn_error_set(err, RN_ERR_NUMBER,
                        "epoch %d, step %lld: the %s is not finite%s%s. Try a lower rate (%s) or a longer warm-up (--warmup-epochs %.3g). "
                        "Files of the batch: %s",
                        t->epoch + 1, (long long)t->done + 1, isfinite(step->loss) ? "gradient" : "loss", where, kept, advice,
                        t->options.warmup_epochs > 0.5 ? 2 * t->options.warmup_epochs : 1, files);
}
