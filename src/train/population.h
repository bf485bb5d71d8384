/* Batch normalisation's statistics as a true average over a training part, instead of the moving one that training leaves behind.
 *
 * The weights stay. Batches of the part, in the order of epoch 0 of `seed`, not augmented but cropped as in training, run forward as in
 * training (each normalised by itself), and every BN gets, with m_b and v_b the mean and the unbiased variance of batch b of n_b samples:
 *
 *     running_mean = sum_b n_b m_b / sum_b n_b        running_var = sum_b n_b v_b / sum_b n_b
 *
 * added in double in the order of the batches and rounded once. With equal batches that is torch.optim.swa_utils.update_bn with a
 * momentum of None, and what He et al. (2015) published with their networks. A last batch of under an eighth is left out, as in training.
 * Frozen BNs keep theirs. The result depends on data, weights, batch and seed alone: not on threads. */
#ifndef RN_TRAIN_POPULATION_H
#define RN_TRAIN_POPULATION_H

#include "data/loader.h"
#include "graph/learn.h"

typedef struct rn_population {
    rn_dataset *dataset;         /* its training part; all of it where no item has a part */
    const rn_features *features; /* NULL: arrays */
    int crop;                    /* 1: crops drawn as in training; 0: from the start */
    rn_loader_options loading;   /* batch: samples of a batch; skip_bad: items that can't be decoded are marked bad and left out */
    rn_progress_fn progress;     /* batches done and in all; NULL */
    void *context;
} rn_population;

/* Writes `stats` anew. learn: opened for at least loading.batch samples of the loader's shape; it is loaded with weights and stats, and must be
 * loaded again before it trains. *items: how many were averaged over. On failure stats are as they were. */
int rn_population_stats(rn_learn *learn, const rn_graph *graph, const rn_population *population, const float *weights, float *stats,
                        int64_t *items, rn_error *err);
/* The section of the model file that says so: {"items": 843, "batch": 32}. NULL without memory. */
#define RN_POPULATION_SECTION "bn_statistics"
json_t *rn_population_json(int64_t items, int batch);

#endif
