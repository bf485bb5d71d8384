/* Batch normalisation's statistics over a training part: see population.h for the formula and its order. */
#include "train/population.h"

#include <stdlib.h>

static int average(rn_learn *learn, rn_loader *loader, const rn_graph *graph, const rn_population *p, double *sum, double *batch_stats,
                   int64_t *items, rn_error *err)
{
    int64_t steps = rn_loader_steps(loader, NULL);
    rn_batch batch;
    int status = steps > 0
                     ? rn_loader_start(loader, 0, 0, err)
                     : rn_error_set(err, RN_ERR_DATA, "%s: its training part has no batch to take BN statistics from", p->dataset->path);
    for (int64_t b = 0; b < steps && !status; b++) {
        if ((status = rn_loader_next(loader, &batch, err)) ||
            (status = rn_learn_forward(learn, batch.n, batch.x, NULL, NULL, batch_stats, err)))
            break;
        for (int64_t i = 0; i < graph->stats_count; i++)
            sum[i] += batch.n * batch_stats[i];
        *items += batch.n;
        if (p->progress && p->progress(p->context, b + 1, steps))
            status = rn_error_set(err, RN_ERR_CANCELLED, "stopped while BN statistics were averaged");
    }
    return status;
}

int rn_population_stats(rn_learn *learn, const rn_graph *graph, const rn_population *p, const float *weights, float *stats, int64_t *items,
                        rn_error *err)
{
    size_t count = (size_t)graph->stats_count;
    double *sum = calloc(count + 1, sizeof *sum), *batch_stats = malloc((count + 1) * sizeof *batch_stats);
    rn_loader *loader = NULL;
    rn_augment crop_only;
    int bad, status = sum && batch_stats ? 0 : rn_error_memory(err, "BN statistics", 2 * count * sizeof *sum);
    rn_augment_none(&crop_only);
    crop_only.crop = p->crop;
    *items = 0;
    if (!status)
        status = rn_loader_open(&loader, p->dataset, p->features, &crop_only, &p->loading, err);
    if (!status && p->loading.skip_bad)
        status = rn_loader_prepare(loader, NULL, NULL, &bad, err);
    if (!status) {
        rn_learn_load(learn, weights, stats);
        status = average(learn, loader, graph, p, sum, batch_stats, items, err);
    }
    for (size_t i = 0; i < count && !status; i++)
        stats[i] = (float)(sum[i] / (double)*items);
    rn_loader_close(&loader);
    free(sum);
    free(batch_stats);
    return status;
}

json_t *rn_population_json(int64_t items, int batch)
{
    return json_pack("{s:I, s:i}", "items", (json_int_t)items, "batch", batch);
}
