/* The FMA peak of this machine on several threads at once: the best of a few short rounds. */
#include "kernels/peak.h"

#include <time.h>

#include "base/threads.h"
#include "kernels/kernels.h"

enum { ROUNDS = 5, STEPS = 400000 };

typedef struct rounds {
    rn_kernels kernels;
    double flops;
} rounds;

static void peak_task(void *context, int task, int thread)
{
    rounds *r = context;
    float sums[RN_LANES];
    int chains;
    for (int k = 0; k < RN_LANES; k++)
        sums[k] = (float)(task + k);
    (void)thread;
    r->kernels.peak(&(rn_peak){.steps = STEPS, .sums = sums, .chains = &chains});
    if (task == 0)
        r->flops = 2.0 * RN_LANES * STEPS * chains;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double rn_bench_fma_peak(int threads)
{
    rounds r = {0};
    rn_pool *pool = NULL;
    double best = 0;
    rn_kernels_open(&r.kernels);
    if (rn_pool_open(&pool, threads, NULL))
        return 0;
    threads = rn_pool_threads(pool);
    for (int i = 0; i < ROUNDS; i++) {
        double start = now();
        rn_pool_run(pool, threads, peak_task, &r);
        double rate = threads * r.flops / (now() - start) * 1e-9;
        best = rate > best ? rate : best;
    }
    rn_pool_close(&pool);
    return best;
}
