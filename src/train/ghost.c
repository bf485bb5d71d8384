/* One optimiser step: a batch cut into ghost batches, each forward and backward by itself, their gradients added as a tree.
 *
 *   1. mixup or CutMix inside each ghost batch; then the loss's denominator, over the whole batch
 *   2. for each ghost batch in order: forward, loss (summed in double in item order), backward, tree
 *   3. the norm of the sum; if loss and norm are finite: clipping, optimiser, running statistics, averages
 *
 * Running statistics move once per step: r = (1 - 0.1) r + 0.1 m, m the mean over ghost batches of their mean or unbiased variance, weighted
 * by their samples, added in order; all in double, rounded once. Frozen BNs keep theirs. */
#include "train/state.h"

#include <math.h>
#include <string.h>

#include "base/random.h"
#include "train/schedule.h"

#define STATS_MOMENTUM 0.1

int rn_ghost_count(const rn_trainer *t, int n)
{
    return (n + t->options.ghost_batch - 1) / t->options.ghost_batch;
}

int rn_trainer_mixes(const rn_trainer *t)
{
    return t->options.augment.mixup > 0 || (t->kind == RN_PICTURES && t->options.picture_augment.cutmix > 0);
}

/* With several labels: 1 where an item has the class. */
static void set_targets(rn_trainer *t, const rn_batch *batch)
{
    int classes = t->model->arch.classes, count;
    memset(t->targets, 0, (size_t)batch->n * (size_t)classes * sizeof *t->targets);
    for (int i = 0; i < batch->n; i++) {
        const int *labels = rn_item_classes(t->dataset, &t->dataset->items[batch->items[i]], &count);
        for (int k = 0; k < count; k++)
            t->targets[(int64_t)i * classes + labels[k]] = 1;
    }
}

/* Targets of a mixed ghost batch: each is lambda t + (1 - lambda) its partner's, rounded once. */
static void mix_targets(rn_trainer *t, int first, int n, double lambda)
{
    int64_t classes = t->model->arch.classes;
    float *mixed = t->targets + first * classes, *plain = t->logits; /* as large, and not in use before the forward pass */
    memcpy(plain, mixed, (size_t)(n * classes) * sizeof *plain);
    for (int i = 0; i < n; i++)
        for (int64_t c = 0; c < classes; c++)
            mixed[i * classes + c] =
                (float)(lambda * (double)plain[i * classes + c] + (1 - lambda) * (double)plain[t->pair[i] * classes + c]);
}

static void mix(rn_trainer *t, rn_batch *batch, int ghosts)
{
    int64_t size = (int64_t)t->c * t->h * t->w;
    for (int g = 0; g < ghosts; g++) {
        int first, n;
        rn_ghost_cut(batch->n, ghosts, g, &first, &n);
        const rn_train_options *o = &t->options;
        float *x = batch->x + first * size;
        uint64_t position = batch->positions[first];
        double lambda;
        if (t->kind == RN_PICTURES && rn_picture_cuts(&o->picture_augment, o->augment.mixup > 0, o->seed, (uint32_t)t->epoch, position))
            lambda = rn_picture_cutmix(&o->picture_augment, o->seed, (uint32_t)t->epoch, position, n, t->c, t->h, t->w, x, t->pair);
        else
            lambda = rn_augment_mixup(&o->augment, o->seed, (uint32_t)t->epoch, position, n, size, x, t->pair);
        for (int i = 0; i < n; i++) {
            t->share[first + i] = lambda;
            t->labels2[first + i] = t->targets ? batch->items[first + t->pair[i]] : batch->labels[first + t->pair[i]];
        }
        if (t->targets)
            mix_targets(t, first, n, lambda);
    }
}

/* Stochastic depth (Huang et al. 2016), for each sample: block b of n is left out with probability rate * b / (n - 1), and scaled by one over the
 * probability that it is kept, as timm does. The numbers are the stream (seed, DROP, epoch, position of the item), one for each block in order. */
void rn_trainer_drop(rn_trainer *t, const rn_batch *batch, int first, int n)
{
    int blocks = rn_learn_blocks(t->learn);
    if (!t->kept)
        return;
    for (int i = 0; i < n; i++) {
        rn_random r;
        rn_random_start(&r, t->options.seed, RN_PURPOSE_DROP, (uint32_t)t->epoch, batch->positions[first + i]);
        for (int b = 0; b < blocks; b++) {
            double drop = blocks > 1 ? t->options.drop_path * b / (blocks - 1) : t->options.drop_path;
            t->kept[(int64_t)b * n + i] = rn_random_double(&r) < drop ? 0 : (float)(1 / (1 - drop));
        }
    }
    rn_learn_keep(t->learn, n, t->kept);
}

static int one_ghost(rn_trainer *t, const rn_batch *batch, const rn_loss_options *loss, rn_targets targets, int first, int n,
                     double denominator, rn_loss *sum, rn_error *err)
{
    int64_t size = (int64_t)t->c * t->h * t->w, stats = t->model->graph->stats_count;
    rn_trainer_drop(t, batch, first, n);
    int status = rn_learn_forward(t->learn, n, batch->x + first * size, t->logits, NULL, t->batch_stats, err);
    if (status)
        return status;
    targets.labels += first;
    targets.weights = targets.weights ? targets.weights + first : NULL;
    targets.labels2 = targets.labels2 ? targets.labels2 + first : NULL;
    targets.share = targets.share ? targets.share + first : NULL;
    targets.targets = targets.targets ? targets.targets + (int64_t)first * t->model->arch.classes : NULL;
    rn_loss_run(loss, &targets, n, t->logits, denominator, t->dlogits, sum);
    if ((status = rn_learn_backward(t->learn, t->dlogits, NULL, rn_tree_next(&t->tree), err)))
        return status;
    rn_tree_push(&t->tree, t->pool);
    for (int64_t i = 0; i < stats; i++)
        t->stats_sum[i] += n * t->batch_stats[i];
    return 0;
}

int rn_trainer_gradients(rn_trainer *t, rn_batch *batch, rn_step *out, rn_error *err)
{
    int ghosts = rn_ghost_count(t, batch->n), mixed = rn_trainer_mixes(t);
    rn_loss_options loss = {t->model->arch.classes, t->class_weights, t->options.label_smoothing};
    if (t->targets)
        set_targets(t, batch);
    if (mixed)
        mix(t, batch, ghosts);
    rn_targets targets = {batch->labels, batch->weights, mixed ? t->labels2 : NULL, mixed ? t->share : NULL, t->targets};
    double denominator = rn_loss_weight(&loss, &targets, batch->n);
    if (!(denominator > 0))
        return rn_error_set(
            err, RN_ERR_DATA,
            "epoch %d, step %lld: the weights of all items of the batch add up to %g; give items or classes weights above 0", t->epoch + 1,
            (long long)t->step + 1, denominator);
    rn_loss sum = {0, 0};
    memset(t->stats_sum, 0, (size_t)t->model->graph->stats_count * sizeof *t->stats_sum);
    t->tree.height = 0;
    for (int g = 0; g < ghosts; g++) {
        int first, n;
        rn_ghost_cut(batch->n, ghosts, g, &first, &n);
        int status = one_ghost(t, batch, &loss, targets, first, n, denominator, &sum, err);
        if (status)
            return status;
    }
    out->grads = rn_tree_sum(&t->tree, t->pool);
    out->loss = sum.sum / denominator;
    out->norm = rn_optimiser_norm(t->optimiser, out->grads, t->pool);
    out->clip = rn_clip_factor(out->norm, t->options.clip);
    out->lr = rn_schedule_lr(&t->options, t->steps, t->done);
    if (isfinite(out->loss) && isfinite(out->norm)) {
        t->sums.loss += sum.sum;
        t->sums.weight += denominator;
        t->sums.correct += sum.correct;
        t->sums.items += batch->n;
        double count = batch->n;
        for (int64_t i = 0; i < t->model->graph->stats_count; i++)
            t->stats_sum[i] /= count;
    }
    return 0;
}

static void move_stats(rn_trainer *t)
{
    const rn_graph *graph = t->model->graph;
    for (int i = 0; i < graph->params_count; i++) {
        const rn_param *p = &graph->params[i];
        if (p->kind != RN_PARAM_BN_MEAN && p->kind != RN_PARAM_BN_VAR)
            continue;
        int weight = graph->nodes[p->node].weight;
        if (t->frozen && t->frozen[weight < 0 ? i : weight])
            continue;
        for (int64_t j = p->offset; j < p->offset + p->count; j++)
            t->stats[j] = (float)((1 - STATS_MOMENTUM) * (double)t->stats[j] + STATS_MOMENTUM * t->stats_sum[j]);
    }
}

void rn_trainer_apply(rn_trainer *t, rn_step *step)
{
    rn_optimiser_step(t->optimiser, t->weights, step->grads, step->lr, step->clip, t->done + 1, t->pool);
    move_stats(t);
    if (t->average) {
        double decay = rn_schedule_ema(t->options.ema, t->done);
        rn_average(t->model->weights, t->weights, t->model->graph->weights_count, decay, t->pool);
        rn_average(t->model->stats, t->stats, t->model->graph->stats_count, decay, t->pool);
    }
    t->done++;
    t->step++;
    rn_learn_load(t->learn, t->weights, t->stats);
}
