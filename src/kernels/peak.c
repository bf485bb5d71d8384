/* The FMA peak and the reading speed of this machine on several threads at once: each the best of a few short rounds.
 *
 * Memory is read once from end to end in each pass, line by line of 64 bytes, as four streams a quarter of a thread's buffer apart: on
 * one thread of a Zen 3, four read 18.8 GB/s from pages of 4 KiB and one 11.5; from pages of 2 MiB 18.0 and 16.2. */
#include "kernels/peak.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/threads.h"
#include "kernels/kernels.h"

enum { ROUNDS = 5, STEPS = 400000, PASSES = 8, STREAMS = 4, HUGE_PAGE = 2 << 20, READ_BYTES = 256 << 20 };

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

typedef uint64_t pair __attribute__((vector_size(16))); /* four make a line */

typedef struct reading {
    char *memory;
    size_t share; /* bytes of a thread */
} reading;

/* Pages that were never written are all one page of zeros, which is in the cache. */
static void fill_task(void *context, int task, int thread)
{
    const reading *r = context;
    (void)thread;
    memset(r->memory + (size_t)task * r->share, task + 1, r->share);
}

static void read_task(void *context, int task, int thread)
{
    const reading *r = context;
    pair *from = (pair *)(void *)(r->memory + (size_t)task * r->share);
    size_t stream = r->share / sizeof *from / STREAMS;
    pair sum[4] = {{0}};
    (void)thread;
    for (size_t i = 0; i < stream; i += 4)
        for (const pair *p = from + i; p < from + STREAMS * stream; p += stream) {
            sum[0] += p[0];
            sum[1] += p[1];
            sum[2] += p[2];
            sum[3] += p[3];
        }
    from[0] = sum[0] + sum[1] + sum[2] + sum[3]; /* a sum that nobody sees would not be made */
}

double rn_bench_bandwidth(int threads)
{
    reading r = {0};
    rn_pool *pool = NULL;
    double best = 0;
    if (rn_pool_open(&pool, threads, NULL))
        return 0;
    threads = rn_pool_threads(pool);
    r.share = READ_BYTES / (size_t)threads / (STREAMS * 64) * (STREAMS * 64);
    r.memory = aligned_alloc(HUGE_PAGE, READ_BYTES);
    if (r.memory) {
#if defined(MADV_HUGEPAGE)
        madvise(r.memory, READ_BYTES, MADV_HUGEPAGE);
#endif
        rn_pool_run(pool, threads, fill_task, &r);
    }
    for (int i = 0; r.memory && i < PASSES; i++) {
        double start = now();
        rn_pool_run(pool, threads, read_task, &r);
        double rate = (double)threads * (double)r.share / (now() - start) * 1e-9;
        best = rate > best ? rate : best;
    }
    free(r.memory);
    rn_pool_close(&pool);
    return best;
}
