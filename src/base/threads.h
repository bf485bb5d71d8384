/* A persistent pool of threads. One parallel loop at a time; the calling thread works too.
 *
 * Tasks are taken from one atomic counter, so an idle thread takes what a slow one leaves; which thread ran a task
 * never changes a result, because tasks write to disjoint places. Waiting spins for a bounded time, then sleeps on a
 * futex: an idle pool uses no processor. */
#ifndef RN_BASE_THREADS_H
#define RN_BASE_THREADS_H

#include "base/error.h"

typedef struct rn_pool rn_pool;
typedef void (*rn_task_fn)(void *context, int task, int thread); /* thread in [0, rn_pool_threads) */

/* The processors this process may really use: affinity mask and cgroup quota (rounded up), at least 1. */
int rn_threads_available(void);

/* threads = 0 means rn_threads_available(). */
int rn_pool_open(rn_pool **pool, int threads, rn_error *err);
void rn_pool_close(rn_pool **pool);
int rn_pool_threads(const rn_pool *pool); /* 1 for NULL */

/* Calls fn(context, t, thread) for every t in [0, tasks) and returns when all are done. pool may be NULL (runs here).
 * Not to be called from inside a task. Each thread computes in the pinned processor state (base/cpu.h). */
void rn_pool_run(rn_pool *pool, int tasks, rn_task_fn fn, void *context);

#endif
