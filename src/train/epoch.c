/* The end of an epoch and of a run: validation, what counts as best, the test. */
#include "train/state.h"

#include <math.h>
#include <string.h>

#include "train/population.h"

typedef struct relay {
    rn_trainer *t;
    rn_train_stage stage;
} relay;

static int relay_progress(void *context, int64_t done, int64_t total)
{
    relay *r = context;
    rn_train_progress p = {.stage = r->stage,
                           .done = done,
                           .total = total,
                           .epoch = r->t->epoch + (r->stage == RN_TRAIN_VALIDATE),
                           .epochs = r->t->options.epochs,
                           .seconds_left = -1};
    return rn_trainer_report(r->t, &p);
}

/* Judges the published weights: the inference plan, as `eval` runs it later. */
int rn_trainer_judge(rn_trainer *t, rn_part part, rn_train_stage stage, rn_metrics **metrics, rn_error *err)
{
    rn_answers *answers = NULL;
    relay r = {t, stage};
    *metrics = NULL;
    rn_infer_load(t->infer, t->model->weights, t->model->stats);
    int status = rn_answers_collect(&answers, t->infer, t->loader, t->dataset, part, NULL, relay_progress, &r, err);
    /* Every item was decoded when the run began: a figure over fewer of them would not be the run's. */
    if (!status && answers->failed)
        status = rn_error_set(err, answers->failure.code, "%s (it could be read when training began)", answers->failure.text);
    if (!status)
        status = rn_metrics_compute(answers, metrics, err);
    rn_answers_close(&answers);
    return status;
}

/* Highest macro accuracy, then the lower loss, then the earlier epoch. Without validation the last epoch. */
static int is_better(const rn_trainer *t, double macro, double loss)
{
    if (t->best.epoch == 0 || isnan(macro))
        return 1;
    if (macro != t->best.macro)
        return macro > t->best.macro;
    return loss < t->best.loss;
}

int rn_trainer_validate(rn_trainer *t, rn_train_progress *p, rn_metrics **metrics, rn_error *err)
{
    double started = rn_seconds_now();
    int status;
    *metrics = NULL;
    p->validation_loss = p->validation_accuracy = p->validation_macro = NAN;
    if (!t->options.no_validation && rn_split_count(t->dataset, RN_PART_VALIDATION, -1) > 0) {
        if ((status = rn_trainer_judge(t, RN_PART_VALIDATION, RN_TRAIN_VALIDATE, metrics, err)))
            return status;
        const rn_metrics *m = *metrics;
        p->validation_loss = isfinite(m->loss) ? m->loss : INFINITY;
        p->validation_accuracy = m->accuracy;
        p->validation_macro = m->macro_accuracy;
        t->validation_seconds = rn_seconds_now() - started;
    }
    p->best = is_better(t, p->validation_macro, p->validation_loss);
    if (!p->best)
        return 0;
    t->best = (rn_best){t->epoch + 1, p->validation_macro, p->validation_loss, p->validation_accuracy};
    return rn_checkpoint_best(t, NULL, err);
}

/* BN statistics by true average. A run that was stopped in its test has them in the best model already: done twice, the sums would be shifted
 * by other means, and the last bits differ. */
static int average_stats(rn_trainer *t, rn_error *err)
{
    const rn_train_options *o = &t->options;
    relay r = {t, RN_TRAIN_STATISTICS};
    int64_t items;
    rn_population p = {.dataset = t->dataset,
                       .features = t->kind == RN_SOUND ? &o->features : NULL,
                       .crop = o->augment.crop,
                       .loading = {.seed = o->seed, .min_seconds = o->min_seconds, .pictures = &o->pictures},
                       .progress = relay_progress,
                       .context = &r};
    if (!o->bn_recompute || rn_model_section(t->model, RN_POPULATION_SECTION))
        return 0;
    p.loading.batch = o->ghost_batch < o->batch ? o->ghost_batch : o->batch;
    p.loading.threads = o->loader_threads ? o->loader_threads : 1;
    if (t->kept) { /* no block is left out, whatever the last step did */
        for (int64_t i = 0; i < (int64_t)rn_learn_blocks(t->learn) * p.loading.batch; i++)
            t->kept[i] = 1;
        rn_learn_keep(t->learn, p.loading.batch, t->kept);
    }
    int status = rn_population_stats(t->learn, t->model->graph, &p, t->model->weights, t->model->stats, &items, err);
    if (!status && json_object_set_new(t->model->config, RN_POPULATION_SECTION, rn_population_json(items, p.loading.batch)))
        status = rn_error_memory(err, "the model's training record", 1);
    return status ? status : rn_checkpoint_best(t, NULL, err);
}

/* The best model, judged on the test part; its figures go into its training record. */
int rn_trainer_test(rn_trainer *t, rn_error *err)
{
    rn_metrics *m = NULL;
    rn_train_result *result = &t->result;
    int status = rn_checkpoint_fetch_best(t, err);
    if (!status)
        status = average_stats(t, err);
    if (status)
        return status;
    if (rn_split_count(t->dataset, RN_PART_TEST, -1) > 0) {
        if ((status = rn_trainer_judge(t, RN_PART_TEST, RN_TRAIN_TEST, &m, err)))
            return status;
        result->test_items = m->items;
        result->test_loss = m->loss;
        result->test_accuracy = m->accuracy;
        result->test_macro = m->macro_accuracy;
        result->test_low = m->wilson_low;
        result->test_high = m->wilson_high;
        status = rn_runlog_test(t, m, err);
    }
    if (!status)
        status = rn_checkpoint_best(t, m, err);
    rn_metrics_close(&m);
    return status ? status : rn_runlog_flush(t, 1, err);
}
