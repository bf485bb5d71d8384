/* The thread pool: one shared counter of tasks, spin then futex.
 *
 * A loop is published by raising `generation`; workers wake, take tasks from `next` until none are left, and count themselves out of
 * `active`. A barrier costs 0.1 to 0.3 us while the threads still spin, against 25 us for pthread_barrier: a network of
 * 50 layers at batch 1 has some hundred of them. Spinning is bounded (about 50 us), then the thread sleeps in the kernel. A thread whose
 * spinning was in vain spins half as long the next time, one whose spinning paid twice as long: on a machine that others share, where
 * a worker may have lost its core, spinning would cost many times the work (10 times, measured with four busy neighbours). */
#include "base/threads.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cpu.h"

enum { SPINS_MOST = 4000, SPINS_LEAST = 32, MAX_THREADS = 1024 };

struct rn_pool {
    _Alignas(64) atomic_int next; /* the next task to take */
    _Alignas(64) atomic_uint generation;
    atomic_int sleepers; /* workers that may be waiting on `generation` */
    _Alignas(64) atomic_int active; /* workers that have not left the current loop */
    atomic_int owner_sleeps;
    _Alignas(64) int tasks;
    rn_task_fn fn;
    void *context;
    int threads, spins; /* spins: the owner's */
    atomic_int quit;
    pthread_t *handles; /* threads - 1 of them */
};

typedef struct worker {
    rn_pool *pool;
    int thread;
} worker;

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void futex_wait(void *word, int value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(void *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void work(rn_pool *p, int thread)
{
    int task;
    while ((task = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed)) < p->tasks)
        p->fn(p->context, task, thread);
}

static int spin_more(int spins)
{
    return spins >= SPINS_MOST / 2 ? SPINS_MOST : 2 * spins;
}

static int spin_less(int spins)
{
    return spins <= 2 * SPINS_LEAST ? SPINS_LEAST : spins / 2;
}

static unsigned await_generation(rn_pool *p, unsigned seen, int *spins)
{
    for (;;) {
        for (int i = 0; i < *spins; i++) {
            unsigned now = atomic_load_explicit(&p->generation, memory_order_acquire);
            if (now != seen) {
                if (i > 0)
                    *spins = spin_more(*spins);
                return now;
            }
            relax();
        }
        *spins = spin_less(*spins);
        atomic_fetch_add(&p->sleepers, 1);
        if (atomic_load(&p->generation) == seen)
            futex_wait(&p->generation, (int)seen);
        atomic_fetch_sub(&p->sleepers, 1);
    }
}

static void *worker_main(void *argument)
{
    worker me = *(worker *)argument;
    rn_pool *p = me.pool;
    free(argument);
    rn_fp_enter();
    unsigned seen = 0;
    int spins = SPINS_MOST;
    for (;;) {
        seen = await_generation(p, seen, &spins);
        if (atomic_load(&p->quit))
            return NULL;
        work(p, me.thread);
        if (atomic_fetch_sub(&p->active, 1) == 1 && atomic_load(&p->owner_sleeps))
            futex_wake(&p->active);
    }
}

void rn_pool_run(rn_pool *p, int tasks, rn_task_fn fn, void *context)
{
    unsigned state = rn_fp_enter();
    if (!p || p->threads == 1 || tasks <= 1) {
        for (int t = 0; t < tasks; t++)
            fn(context, t, 0);
        rn_fp_leave(state);
        return;
    }
    p->tasks = tasks;
    p->fn = fn;
    p->context = context;
    atomic_store(&p->active, p->threads - 1);
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    atomic_fetch_add(&p->generation, 1);
    if (atomic_load(&p->sleepers))
        futex_wake(&p->generation);
    work(p, 0);
    int left, spins = 0, slept = 0;
    while ((left = atomic_load_explicit(&p->active, memory_order_acquire)) > 0) {
        if (spins < p->spins) {
            spins++;
            relax();
            continue;
        }
        slept = 1;
        atomic_store(&p->owner_sleeps, 1);
        left = atomic_load(&p->active);
        if (left > 0)
            futex_wait(&p->active, left);
        atomic_store(&p->owner_sleeps, 0);
    }
    if (slept)
        p->spins = spin_less(p->spins);
    else if (spins > 0)
        p->spins = spin_more(p->spins);
    rn_fp_leave(state);
}

/* Processors that a cgroup's quota allows, rounded up; a large number where there is no quota. */
static int quota(void)
{
    long long most = 0, period = 0;
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (f) {
        if (fscanf(f, "%lld %lld", &most, &period) != 2)
            most = 0;
        fclose(f);
    } else {
        FILE *q = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "re"), *d = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "re");
        if (q && d && (fscanf(q, "%lld", &most) != 1 || fscanf(d, "%lld", &period) != 1))
            most = 0;
        if (q)
            fclose(q);
        if (d)
            fclose(d);
    }
    if (most <= 0 || period <= 0 || (most + period - 1) / period > MAX_THREADS)
        return MAX_THREADS;
    return (int)((most + period - 1) / period);
}

int rn_threads_available(void)
{
    cpu_set_t set;
    int n = 0;
    if (!sched_getaffinity(0, sizeof set, &set))
        n = CPU_COUNT(&set);
    if (n < 1)
        n = (int)sysconf(_SC_NPROCESSORS_ONLN);
    int most = quota();
    if (n > most)
        n = most;
    return n < 1 ? 1 : n;
}

int rn_pool_threads(const rn_pool *p)
{
    return p ? p->threads : 1;
}

int rn_pool_open(rn_pool **out, int threads, rn_error *err)
{
    *out = NULL;
    if (threads < 0 || threads > MAX_THREADS)
        return rn_error_set(err, RN_ERR_ARG, "--threads %d: give a number from 1 to %d, or 0 for all that this process may use", threads, MAX_THREADS);
    if (!threads)
        threads = rn_threads_available();
    rn_pool *p = aligned_alloc(64, sizeof *p);
    if (!p)
        return rn_error_memory(err, "the thread pool", sizeof *p);
    *p = (rn_pool){.threads = 1, .spins = SPINS_MOST};
    p->handles = calloc((size_t)threads, sizeof *p->handles);
    if (!p->handles)
        goto fail;
    for (int t = 1; t < threads; t++) {
        worker *w = malloc(sizeof *w);
        if (!w)
            goto fail;
        *w = (worker){p, t};
        int status = pthread_create(&p->handles[t - 1], NULL, worker_main, w);
        if (status) {
            free(w);
            rn_pool_close(&p);
            return rn_error_set(err, RN_ERR_MEMORY, "--threads %d: the system gave only %d (error %d): ask for fewer", threads, t, status);
        }
        p->threads = t + 1;
    }
    *out = p;
    return 0;
fail:
    rn_pool_close(&p);
    return rn_error_memory(err, "the thread pool", (unsigned long long)threads * sizeof(worker));
}

void rn_pool_close(rn_pool **pool)
{
    rn_pool *p = *pool;
    *pool = NULL;
    if (!p)
        return;
    atomic_store(&p->quit, 1);
    atomic_fetch_add(&p->generation, 1);
    futex_wake(&p->generation);
    for (int t = 1; t < p->threads; t++)
        pthread_join(p->handles[t - 1], NULL);
    free(p->handles);
    free(p);
}
