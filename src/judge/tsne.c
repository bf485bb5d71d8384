/* t-SNE (van der Maaten and Hinton, "Visualizing data using t-SNE", 2008), all pairs.
 *
 * Neighbourhoods in x: p(j | i) falls with the squared distance as a Gaussian, whose width is searched until the entropy is
 * log(perplexity); P = (p(j | i) + p(i | j)) / 2n. In the map: q = 1 / (1 + squared distance), Q = q / Z with Z the sum of all q. The
 * gradient of sum P log(P / Q) by y_i is 4 sum over j of (P q - q^2 / Z) (y_i - y_j): attraction and repulsion are summed in one pass
 * each step, Z with them. Steps as in the paper and its authors' program: momentum 0.5, then 0.8, a gain for each coordinate, P 4 times as
 * large in the first 250.
 *
 * The rate is n / 12 (Belkina et al. 2019), at least 12: with 3, some sets of 30 items never leave the start. With a rate of 50 and P 12
 * times as large, scikit-learn's default, small sets end in a minimum by chance: of 150 items, starts that differ by 1e-6 had divergences
 * from 0.19 to 0.24. These steps find 0.190 from all of them; for 300, 600 and 1,000 handwritten digits 0.265, 0.373 and 0.490, where
 * scikit-learn has 0.273, 0.383 and 0.493.
 *
 * Tasks are blocks of rows. A row's sums run over lanes of 8 in float, lane l taking j = l, l + 8, ...; lanes are then added in order, in
 * double, as rows are. */
#include <math.h>
#include <stdlib.h>

#include "base/maths.h"
#include "judge/projection.h"

#define STEPS 1000
#define EXAGGERATED 250
#define LANES 8
#define LEAST 0x1p-52f /* P: no logarithm of 0, no denormals in the loops */
#define ROWS 8         /* in a task */
#define FAR 1e30f      /* where the map is padded: the squared distance to it is infinite, and q 0 */

typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));
typedef double wide __attribute__((vector_size(LANES * sizeof(double)), aligned(sizeof(double)), may_alias));

typedef struct map {
    int n, d, padded_n, padded_d; /* padded to whole lanes */
    double perplexity_log;
    double *x;                   /* [n][padded_d] */
    double *distance;            /* [threads][n] work */
    float *p;                    /* [n][padded_n] */
    float *y;                    /* [2][padded_n], rounded from plane */
    double *plane;               /* [n][2], the caller's */
    double *pull, *push, *whole; /* [n][2], [n][2], [n]: each row's sums */
    double *update, *gain;       /* [n][2] */
} map;

static int tasks_of(const map *m)
{
    return (m->n + ROWS - 1) / ROWS;
}

static int end_of(const map *m, int task)
{
    return (task + 1) * ROWS < m->n ? (task + 1) * ROWS : m->n;
}

/* Squared distances of item i, less that of the nearest other item, in units of their mean. */
static void measure(const map *m, int i, double *distance)
{
    double nearest = INFINITY, mean = 0;
    const wide *a = (const wide *)(m->x + (size_t)i * (size_t)m->padded_d);
    for (int j = 0; j < m->n; j++) {
        const wide *b = (const wide *)(m->x + (size_t)j * (size_t)m->padded_d);
        wide sums = {0};
        for (int k = 0; k < m->padded_d / LANES; k++)
            sums += (a[k] - b[k]) * (a[k] - b[k]);
        distance[j] = 0;
        for (int l = 0; l < LANES; l++)
            distance[j] += sums[l];
        mean += distance[j];
        if (j != i && distance[j] < nearest)
            nearest = distance[j];
    }
    mean /= m->n - 1;
    for (int j = 0; j < m->n; j++)
        distance[j] = (distance[j] - nearest) / mean;
}

/* p(j | i) into row i: the precision 1 / (2 sigma^2) is doubled or halved until it is between two, then bisected. With more equal nearest
 * items than the perplexity it ends with those, all equally near. */
static void find_neighbours(map *m, int i, double *distance)
{
    float *p = m->p + (size_t)i * (size_t)m->padded_n;
    double precision = 1, low = 0, high = INFINITY, whole = 0;
    measure(m, i, distance);
    for (int round = 0; round < 100; round++) {
        double moment = 0;
        whole = 0;
        for (int j = 0; j < m->n; j++) {
            double e = j == i ? 0 : rn_exp(-distance[j] * precision);
            p[j] = (float)e;
            whole += e;
            moment += e * distance[j];
        }
        double excess = rn_log(whole) + precision * moment / whole - m->perplexity_log;
        if (fabs(excess) < 1e-5)
            break;
        if (excess > 0)
            low = precision;
        else
            high = precision;
        precision = isinf(high) ? precision * 2 : (low + high) / 2;
    }
    for (int j = 0; j < m->n; j++)
        p[j] = (float)(p[j] / whole);
}

static void find_task(void *context, int task, int thread)
{
    map *m = context;
    for (int i = task * ROWS; i < end_of(m, task); i++)
        find_neighbours(m, i, m->distance + (size_t)thread * (size_t)m->n);
}

/* Each pair belongs to the row of its larger index. */
static void pair_task(void *context, int task, int thread)
{
    map *m = context;
    (void)thread;
    for (int i = task * ROWS; i < end_of(m, task); i++)
        for (int j = 0; j < i; j++) {
            float *a = m->p + (size_t)i * (size_t)m->padded_n + j, *b = m->p + (size_t)j * (size_t)m->padded_n + i;
            float mean = (*a + *b) / (2 * (float)m->n);
            *a = *b = mean > LEAST ? mean : LEAST;
        }
}

static double add_lanes(const lanes *v)
{
    double sum = 0;
    for (int l = 0; l < LANES; l++)
        sum += (*v)[l];
    return sum;
}

static void force_row(map *m, int i)
{
    const lanes *p = (const lanes *)(m->p + (size_t)i * (size_t)m->padded_n);
    const lanes *u = (const lanes *)m->y, *v = (const lanes *)(m->y + m->padded_n);
    float own_u = m->y[i], own_v = m->y[m->padded_n + i];
    lanes pull_u = {0}, pull_v = {0}, push_u = {0}, push_v = {0}, whole = {0};
    for (int b = 0; b < m->padded_n / LANES; b++) {
        lanes du = own_u - u[b], dv = own_v - v[b], q = 1 / (1 + du * du + dv * dv);
        if (b == i / LANES)
            q[i % LANES] = 0;
        lanes attraction = p[b] * q, repulsion = q * q;
        pull_u += attraction * du;
        pull_v += attraction * dv;
        push_u += repulsion * du;
        push_v += repulsion * dv;
        whole += q;
    }
    m->pull[2 * i] = add_lanes(&pull_u);
    m->pull[2 * i + 1] = add_lanes(&pull_v);
    m->push[2 * i] = add_lanes(&push_u);
    m->push[2 * i + 1] = add_lanes(&push_v);
    m->whole[i] = add_lanes(&whole);
}

static void force_task(void *context, int task, int thread)
{
    (void)thread;
    for (int i = task * ROWS; i < end_of(context, task); i++)
        force_row(context, i);
}

static double sum_of(const double *v, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += v[i];
    return sum;
}

static void step(map *m, rn_pool *pool, double exaggeration, double momentum)
{
    for (int i = 0; i < m->n; i++) {
        m->y[i] = (float)m->plane[2 * i];
        m->y[m->padded_n + i] = (float)m->plane[2 * i + 1];
    }
    rn_pool_run(pool, tasks_of(m), force_task, m);
    double whole = sum_of(m->whole, m->n), rate = m->n > 144 ? m->n / 12.0 : 12;
    for (int k = 0; k < 2 * m->n; k++) {
        double slope = 4 * (exaggeration * m->pull[k] - m->push[k] / whole);
        m->gain[k] = m->update[k] * slope < 0 ? m->gain[k] + 0.2 : m->gain[k] * 0.8;
        if (m->gain[k] < 0.01)
            m->gain[k] = 0.01;
        m->update[k] = momentum * m->update[k] - rate * m->gain[k] * slope;
        m->plane[k] += m->update[k];
    }
}

static void restart(map *m)
{
    for (int k = 0; k < 2 * m->n; k++) {
        m->update[k] = 0;
        m->gain[k] = 1;
    }
}

/* Row i's part of sum P (log P - log q), of sum P, and of Z. */
static void divergence_task(void *context, int task, int thread)
{
    map *m = context;
    (void)thread;
    for (int i = task * ROWS; i < end_of(m, task); i++) {
        const float *p = m->p + (size_t)i * (size_t)m->padded_n;
        m->pull[2 * i] = m->pull[2 * i + 1] = m->whole[i] = 0;
        for (int j = 0; j < m->n; j++) {
            double du = m->plane[2 * i] - m->plane[2 * j], dv = m->plane[2 * i + 1] - m->plane[2 * j + 1], far = 1 + du * du + dv * dv;
            if (j == i)
                continue;
            m->pull[2 * i] += p[j] * (rn_log(p[j]) + rn_log(far));
            m->pull[2 * i + 1] += p[j];
            m->whole[i] += 1 / far;
        }
    }
}

static double divergence_of(map *m, rn_pool *pool)
{
    double sum = 0, all = 0;
    rn_pool_run(pool, tasks_of(m), divergence_task, m);
    for (int i = 0; i < m->n; i++) {
        sum += m->pull[2 * i];
        all += m->pull[2 * i + 1];
    }
    return sum + all * rn_log(sum_of(m->whole, m->n));
}

static int allocate(map *m, const float *x, int threads)
{
    size_t n = (size_t)m->n;
    m->x = calloc(n * (size_t)m->padded_d, sizeof *m->x);
    m->distance = calloc((size_t)threads * n, sizeof *m->distance);
    m->p = calloc(n * (size_t)m->padded_n, sizeof *m->p);
    m->y = calloc(2 * (size_t)m->padded_n, sizeof *m->y);
    m->pull = calloc(9 * n, sizeof *m->pull);
    if (!m->x || !m->distance || !m->p || !m->y || !m->pull)
        return 0;
    m->push = m->pull + 2 * n;
    m->update = m->pull + 4 * n;
    m->gain = m->pull + 6 * n;
    m->whole = m->pull + 8 * n;
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < m->d; k++)
            m->x[i * (size_t)m->padded_d + (size_t)k] = x[i * (size_t)m->d + (size_t)k];
    for (int i = m->n; i < m->padded_n; i++)
        m->y[i] = m->y[m->padded_n + i] = FAR;
    return 1;
}

/* PCA's plane, its first axis with a standard deviation of 1e-4: so close together that any item can still go anywhere. */
static void shrink(map *m)
{
    double square = 0;
    for (int i = 0; i < m->n; i++)
        square += m->plane[2 * i] * m->plane[2 * i];
    double scale = 1e-4 / sqrt(square / m->n);
    for (int k = 0; k < 2 * m->n; k++)
        m->plane[k] *= scale;
}

static int walk(map *m, rn_pool *pool, rn_progress_fn progress, void *context, rn_error *err)
{
    rn_pool_run(pool, tasks_of(m), find_task, m);
    rn_pool_run(pool, tasks_of(m), pair_task, m);
    for (int k = 0; k < STEPS; k++) {
        if (k == 0 || k == EXAGGERATED)
            restart(m);
        step(m, pool, k < EXAGGERATED ? 4 : 1, k < EXAGGERATED ? 0.5 : 0.8);
        if (progress && progress(context, k + 1, STEPS))
            return rn_error_set(err, RN_ERR_CANCELLED, "stopped after %d of %d steps of the map", k + 1, STEPS);
    }
    return 0;
}

int rn_tsne(const float *x, int n, int d, rn_pool *pool, rn_progress_fn progress, void *context, double *plane, double *divergence,
            rn_error *err)
{
    double share[2], wanted = (n - 1) / 3.0;
    if (divergence)
        *divergence = 0;
    if (n > RN_TSNE_MOST)
        return rn_error_set(err, RN_ERR_ARG, "a map of %d embeddings compares every pair: give at most %d, a sample of them", n,
                            RN_TSNE_MOST);
    int status = rn_pca(x, n, d, pool, plane, share, err);
    if (status || n <= 3 || share[0] == 0)
        return status;
    map m = {.n = n, .d = d, .plane = plane, .perplexity_log = rn_log(wanted < 30 ? wanted : 30)};
    m.padded_n = (n + LANES - 1) / LANES * LANES;
    m.padded_d = (d - 1) / LANES * LANES + LANES;
    if (!allocate(&m, x, rn_pool_threads(pool))) {
        status = rn_error_memory(err, "a map of embeddings",
                                 (unsigned long long)n *
                                     ((unsigned long long)m.padded_n * sizeof(float) + (unsigned long long)m.padded_d * sizeof(double)));
        goto fail;
    }
    shrink(&m);
    status = walk(&m, pool, progress, context, err);
    if (!status && divergence)
        *divergence = divergence_of(&m, pool);
fail:
    free(m.x);
    free(m.distance);
    free(m.p);
    free(m.y);
    free(m.pull);
    return status;
}
