/* SGD, AdamW, gradient norm, averages: loops over flat arrays (formulas and order in optimiser.h).
 *
 * Arrays are cut into chunks of 65,536 floats inside one parameter; a chunk is a task. The loops are plain C that gcc and clang
 * vectorise; -ffp-contract=off keeps every product and sum apart, so wider vectors change nothing. A step is bound by memory: SGD moves
 * 20 bytes a parameter, AdamW 28. */
#include "train/optimiser.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/maths.h"

/* At -O2 gcc vectorises only loops whose length it knows; these have none. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("vect-cost-model=dynamic")
#endif

#define CHUNK 65536
#define TINY 0x1p-96f

typedef struct chunk {
    int64_t offset;
    int count, param;
} chunk;

struct rn_optimiser {
    const rn_graph *graph;
    rn_optimiser_kind kind;
    double momentum, beta1, beta2, epsilon, decay;
    int nesterov, decay_all;
    unsigned char *frozen; /* [params] */
    int chunks_count;
    chunk *chunks;
    double *sums; /* [chunks] squares */
    int states;
    float *state[2];
};

static const rn_param *weight_param(const rn_graph *graph, int i)
{
    const rn_param *p = &graph->params[i];
    return p->kind == RN_PARAM_BN_MEAN || p->kind == RN_PARAM_BN_VAR ? NULL : p;
}

static int count_chunks(const rn_graph *graph)
{
    int64_t count = 0;
    for (int i = 0; i < graph->params_count; i++) {
        const rn_param *p = weight_param(graph, i);
        count += p ? (p->count + CHUNK - 1) / CHUNK : 0;
    }
    return (int)count;
}

static void fill_chunks(const rn_graph *graph, chunk *out)
{
    for (int i = 0; i < graph->params_count; i++) {
        const rn_param *p = weight_param(graph, i);
        for (int64_t at = 0; p && at < p->count; at += CHUNK)
            *out++ = (chunk){p->offset + at, (int)(p->count - at < CHUNK ? p->count - at : CHUNK), i};
    }
}

int rn_optimiser_open(rn_optimiser **optimiser, const rn_graph *graph, const rn_train_options *options, const unsigned char *frozen,
                      rn_error *err)
{
    *optimiser = NULL;
    rn_optimiser *o = calloc(1, sizeof *o);
    if (!o)
        return rn_error_memory(err, "the optimiser", sizeof *o);
    o->graph = graph;
    o->kind = options->optimiser;
    o->momentum = options->momentum;
    o->nesterov = options->nesterov;
    o->beta1 = options->beta1;
    o->beta2 = options->beta2;
    o->epsilon = options->epsilon;
    o->decay = options->weight_decay;
    o->decay_all = options->decay_all;
    o->states = o->kind == RN_ADAMW ? 2 : 1;
    o->chunks_count = count_chunks(graph);
    o->chunks = calloc((size_t)o->chunks_count + 1, sizeof *o->chunks);
    o->sums = calloc((size_t)o->chunks_count + 1, sizeof *o->sums);
    o->frozen = calloc((size_t)graph->params_count + 1, 1);
    for (int i = 0; i < o->states; i++)
        o->state[i] = calloc((size_t)graph->weights_count + 1, sizeof(float));
    if (!o->chunks || !o->sums || !o->frozen || !o->state[0] || (o->states > 1 && !o->state[1])) {
        rn_optimiser_close(&o);
        return rn_error_memory(err, "the optimiser's state", (unsigned long long)graph->weights_count * sizeof(float) * 2);
    }
    fill_chunks(graph, o->chunks);
    for (int i = 0; frozen && i < graph->params_count; i++)
        o->frozen[i] = frozen[i] != 0;
    *optimiser = o;
    return 0;
}

void rn_optimiser_close(rn_optimiser **optimiser)
{
    if (!*optimiser)
        return;
    free((*optimiser)->chunks);
    free((*optimiser)->sums);
    free((*optimiser)->frozen);
    free((*optimiser)->state[0]);
    free((*optimiser)->state[1]);
    free(*optimiser);
    *optimiser = NULL;
}

int rn_optimiser_states(const rn_optimiser *optimiser)
{
    return optimiser->states;
}

float *rn_optimiser_state(rn_optimiser *optimiser, int index)
{
    return optimiser->state[index];
}

const char *rn_optimiser_state_name(const rn_optimiser *optimiser, int index)
{
    return optimiser->kind == RN_SGD ? "momentum" : index == 0 ? "first_moment" : "second_moment";
}

/* ---- Norm ---- */

typedef struct norm_work {
    const chunk *chunks;
    const float *grads;
    double *sums;
} norm_work;

static double chunk_norm(const float *g, int count)
{
    double lane[16] = {0};
    int i = 0;
    for (; i + 16 <= count; i += 16)
        for (int j = 0; j < 16; j++)
            lane[j] += (double)g[i + j] * g[i + j]; /* the product of two floats is exact in double */
    for (int j = 0; i + j < count; j++)
        lane[j] += (double)g[i + j] * g[i + j];
    for (int half = 8; half > 0; half /= 2)
        for (int j = 0; j < half; j++)
            lane[j] = lane[2 * j] + lane[2 * j + 1];
    return lane[0];
}

static void norm_task(void *context, int task, int thread)
{
    norm_work *w = context;
    (void)thread;
    w->sums[task] = chunk_norm(w->grads + w->chunks[task].offset, w->chunks[task].count);
}

double rn_optimiser_norm(rn_optimiser *optimiser, const float *grads, rn_pool *pool)
{
    norm_work work = {optimiser->chunks, grads, optimiser->sums};
    double total = 0;
    rn_pool_run(pool, optimiser->chunks_count, norm_task, &work);
    for (int i = 0; i < optimiser->chunks_count; i++)
        total += optimiser->sums[i];
    return sqrt(total);
}

void rn_optimiser_group_norms(const rn_optimiser *optimiser, const int *group, int groups, double *norms)
{
    memset(norms, 0, (size_t)groups * sizeof *norms);
    for (int i = 0; i < optimiser->chunks_count; i++)
        norms[group[optimiser->chunks[i].param]] += optimiser->sums[i];
    for (int g = 0; g < groups; g++)
        norms[g] = sqrt(norms[g]);
}

double rn_clip_factor(double norm, double clip)
{
    if (clip <= 0)
        return 1;
    double factor = clip / (norm + 1e-6);
    return factor < 1 ? factor : 1;
}

/* ---- Steps ---- */

typedef struct step_work {
    rn_optimiser *o;
    float *weights;
    const float *grads;
    float clip, lr, momentum, decay;                                /* SGD */
    float shrink, one_beta1, beta2, one_beta2, size, root, epsilon; /* AdamW */
} step_work;

static inline float not_tiny(float x)
{
    return fabsf(x) < TINY ? 0.0f : x;
}

static void sgd(const step_work *w, int64_t at, int count, float decay)
{
    float *restrict p = w->weights + at, *restrict v = w->o->state[0] + at;
    const float *restrict grad = w->grads + at;
    float m = w->momentum, lr = w->lr, clip = w->clip;
    if (w->o->nesterov) {
        for (int i = 0; i < count; i++) {
            float g = grad[i] * clip + decay * p[i];
            v[i] = not_tiny(m * v[i] + g);
            p[i] = p[i] - lr * (g + m * v[i]);
        }
    } else {
        for (int i = 0; i < count; i++) {
            float g = grad[i] * clip + decay * p[i];
            v[i] = not_tiny(m * v[i] + g);
            p[i] = p[i] - lr * v[i];
        }
    }
}

static void adamw(const step_work *w, int64_t at, int count, float shrink)
{
    float *restrict p = w->weights + at, *restrict a = w->o->state[0] + at, *restrict b = w->o->state[1] + at;
    const float *restrict grad = w->grads + at;
    float one1 = w->one_beta1, beta2 = w->beta2, one2 = w->one_beta2, clip = w->clip;
    float size = w->size, root = w->root, epsilon = w->epsilon;
    for (int i = 0; i < count; i++) {
        float g = grad[i] * clip, q = p[i] * shrink;
        a[i] = not_tiny(a[i] + (g - a[i]) * one1);
        b[i] = not_tiny(b[i] * beta2 + one2 * (g * g));
        p[i] = q - size * (a[i] / (sqrtf(b[i]) / root + epsilon));
    }
}

static void step_task(void *context, int task, int thread)
{
    const step_work *w = context;
    const chunk *c = &w->o->chunks[task];
    (void)thread;
    if (w->o->frozen[c->param])
        return;
    rn_param_kind kind = w->o->graph->params[c->param].kind;
    int decays = w->o->decay_all || kind == RN_PARAM_CONV || kind == RN_PARAM_LINEAR;
    if (w->o->kind == RN_SGD)
        sgd(w, c->offset, c->count, decays ? w->decay : 0.0f);
    else
        adamw(w, c->offset, c->count, decays ? w->shrink : 1.0f);
}

void rn_optimiser_step(rn_optimiser *optimiser, float *weights, const float *grads, double lr, double clip_factor, int64_t t, rn_pool *pool)
{
    step_work w = {.o = optimiser, .weights = weights, .grads = grads, .clip = (float)clip_factor};
    w.lr = (float)lr;
    w.momentum = (float)optimiser->momentum;
    w.decay = (float)optimiser->decay;
    w.shrink = (float)(1 - lr * optimiser->decay);
    w.one_beta1 = (float)(1 - optimiser->beta1);
    w.beta2 = (float)optimiser->beta2;
    w.one_beta2 = (float)(1 - optimiser->beta2);
    w.size = (float)(lr / (1 - rn_pow(optimiser->beta1, (double)t)));
    w.root = (float)sqrt(1 - rn_pow(optimiser->beta2, (double)t));
    w.epsilon = (float)optimiser->epsilon;
    rn_pool_run(pool, optimiser->chunks_count, step_task, &w);
}

/* ---- Averages and sums ---- */

typedef struct pair_work {
    float *left;
    const float *right;
    int64_t count;
    float share; /* of the new value */
} pair_work;

static void average_task(void *context, int task, int thread)
{
    const pair_work *w = context;
    int64_t at = (int64_t)task * CHUNK;
    int count = (int)(w->count - at < CHUNK ? w->count - at : CHUNK);
    float *restrict e = w->left + at;
    const float *restrict v = w->right + at;
    float share = w->share;
    (void)thread;
    for (int i = 0; i < count; i++)
        e[i] = not_tiny(e[i] + (v[i] - e[i]) * share);
}

static void add_task(void *context, int task, int thread)
{
    const pair_work *w = context;
    int64_t at = (int64_t)task * CHUNK;
    int count = (int)(w->count - at < CHUNK ? w->count - at : CHUNK);
    float *restrict left = w->left + at;
    const float *restrict right = w->right + at;
    (void)thread;
    for (int i = 0; i < count; i++)
        left[i] = left[i] + right[i];
}

void rn_average(float *average, const float *value, int64_t count, double decay, rn_pool *pool)
{
    pair_work w = {average, value, count, (float)(1 - decay)};
    rn_pool_run(pool, (int)((count + CHUNK - 1) / CHUNK), average_task, &w);
}

void rn_add(float *left, const float *right, int64_t count, rn_pool *pool)
{
    pair_work w = {left, right, count, 0};
    rn_pool_run(pool, (int)((count + CHUNK - 1) / CHUNK), add_task, &w);
}
