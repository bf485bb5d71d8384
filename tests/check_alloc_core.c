/* The k-th allocation fails, for every k: in the core (models, formats, thread pool, engines) each operation says
 * so and gives back everything it had, or does without and is still right. (check_alloc does this for the public functions.)
 *
 * malloc and its relatives are replaced for the whole process (the libraries' too) by counting ones over glibc's; sanitizers replace them
 * as well, so under a sanitizer, or with another libc, there is nothing to check here. An operation runs once without failures first: what the
 * libraries allocate once and keep does not count. Threads allocate in any order, but the number of live blocks must come back. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/threads.h"
#include "formats/events.h"
#include "formats/npy.h"
#include "formats/onnx.h"
#include "graph/infer.h"
#include "graph/learn.h"
#include "models/model.h"
#include "models/onnx.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define SANITIZED
#endif

#ifdef SANITIZED
int main(void)
{
    puts("malloc cannot be replaced here: nothing was checked");
    return 0;
}
#else

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *p);

static atomic_long left = -1; /* allocations until one fails; negative: none will */
static atomic_long live;      /* blocks */
static atomic_int failed;     /* one did */

static int refuse(void)
{
    if (atomic_load(&left) < 0 || atomic_fetch_sub(&left, 1) != 0)
        return 0;
    atomic_store(&failed, 1);
    errno = ENOMEM;
    return 1;
}

static void *counted(void *p)
{
    if (p)
        atomic_fetch_add(&live, 1);
    return p;
}

#pragma GCC visibility push(default) /* the libraries must see these */
void *malloc(size_t size) { return refuse() ? NULL : counted(__libc_malloc(size)); }
void *calloc(size_t count, size_t size) { return refuse() ? NULL : counted(__libc_calloc(count, size)); }
void *memalign(size_t alignment, size_t size);
void *memalign(size_t alignment, size_t size) { return refuse() ? NULL : counted(__libc_memalign(alignment, size)); }
void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **out, size_t alignment, size_t size)
{
    void *p = memalign(alignment, size);
    if (!p)
        return ENOMEM;
    *out = p;
    return 0;
}

void *realloc(void *p, size_t size)
{
    if (!p)
        return malloc(size);
    return refuse() ? NULL : __libc_realloc(p, size);
}

void free(void *p)
{
    if (p)
        atomic_fetch_sub(&live, 1);
    __libc_free(p);
}
#pragma GCC visibility pop

static char folder[] = "/tmp/check_alloc_core.XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[4][300];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
    return path[next];
}

/* Runs `work` with the k-th allocation failing for k = 0, 1, ... until none fails any more. work returns a status; `right` (may be NULL) is asked
 * after a success. Beyond 400 allocations every seventh k is tried. */
static void every_allocation(int (*work)(rn_error *err), int (*right)(void))
{
    rn_error err = {0, ""};
    int status = work(&err);
    if (status)
        fail_msg("without failures: %s", err.text);
    int failures = 0;
    for (long k = 0;; k += k < 400 ? 1 : 7) {
        long before = atomic_load(&live);
        err.text[0] = 0;
        atomic_store(&failed, 0);
        atomic_store(&left, k);
        status = work(&err);
        atomic_store(&left, -1);
        if (atomic_load(&live) != before)
            fail_msg("allocation %ld fails: %ld blocks are left behind (status %d, \"%s\")", k, atomic_load(&live) - before, status,
                     err.text);
        if (status && !err.text[0])
            fail_msg("allocation %ld fails: status %d without a sentence", k, status);
        if (!status && right && !right())
            fail_msg("allocation %ld fails: success, but the result is wrong", k);
        if (!atomic_load(&failed)) {
            if (status)
                fail_msg("no allocation failed, but: %s", err.text);
            break;
        }
        failures += status != 0;
    }
    print_message("  %d refused\n", failures);
    assert_true(failures > 0); /* otherwise malloc was not replaced */
}

static rn_arch small_arch(void)
{
    rn_arch arch;
    rn_arch_default(&arch, "resnet20", NULL);
    arch.width = 2;
    arch.in_channels = 1;
    arch.classes = 9;
    arch.embedding = 3;
    arch.shortcut = RN_SHORTCUT_B;
    return arch;
}

static rn_model *kept;
static uint64_t good_size;
static unsigned char *good_bytes;

static int make_kept(void **state)
{
    (void)state;
    rn_arch arch = small_arch();
    size_t size;
    if (!mkdtemp(folder) || rn_model_new(&kept, &arch, NULL, RN_INIT_PYTORCH, 0, 1, NULL) || rn_model_save(kept, in_folder("good"), NULL) ||
        rn_file_read(in_folder("good"), 1 << 20, &good_bytes, &size, NULL))
        return -1;
    good_size = size;
    return 0;
}

static int drop_kept(void **state)
{
    (void)state;
    char command[400];
    rn_model_close(&kept);
    free(good_bytes);
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static int work_new(rn_error *err)
{
    rn_model *m;
    rn_arch arch = small_arch();
    int status = rn_model_new(&m, &arch, NULL, RN_INIT_PYTORCH, 0, 1, err);
    rn_model_close(&m);
    return status;
}

static int work_save(rn_error *err) { return rn_model_save(kept, in_folder("saved"), err); }

static int saved_right(void)
{
    unsigned char *data = NULL;
    size_t size;
    int same =
        rn_file_read(in_folder("saved"), 1 << 20, &data, &size, NULL) == 0 && size == good_size && memcmp(data, good_bytes, size) == 0;
    free(data);
    return same;
}

static int loaded_whole;
static int loaded_right(void) { return loaded_whole; }

static int work_load(rn_error *err)
{
    rn_model *m;
    int status = rn_model_load(&m, in_folder("good"), err);
    loaded_whole =
        m && memcmp(m->weights, kept->weights, (size_t)kept->graph->weights_count * 4) == 0 && json_equal(m->config, kept->config);
    rn_model_close(&m);
    return status;
}

static int work_onnx(rn_error *err)
{
    rn_model *m = NULL;
    int status = rn_onnx_save(kept, in_folder("x.onnx"), &(rn_onnx_options){.input_h = 16, .inline_most = 2000}, err);
    if (!status)
        status = rn_onnx_load(&m, in_folder("x.onnx"), NULL, NULL, err);
    loaded_whole =
        m && memcmp(m->weights, kept->weights, (size_t)kept->graph->weights_count * 4) == 0 && json_equal(m->config, kept->config);
    rn_model_close(&m);
    return status;
}

/* Without a description, from the shape. */
static int work_folded(rn_error *err)
{
    rn_model *m = NULL;
    rn_onnx file = {0};
    int status = rn_onnx_save(kept, in_folder("y.onnx"), &(rn_onnx_options){.fold_bn = 1, .input_h = 16}, err);
    if (!status)
        status = rn_onnx_read(in_folder("y.onnx"), &file, err);
    file.metadata_count = 0;
    if (!status)
        status = rn_onnx_write(&file, in_folder("y.onnx"), 0, err);
    rn_onnx_free(&file);
    if (!status)
        status = rn_onnx_load(&m, in_folder("y.onnx"), NULL, NULL, err);
    loaded_whole = m && m->arch.classes == 9 && m->arch.stages == 3;
    rn_model_close(&m);
    return status;
}

static int work_npy(rn_error *err)
{
    static const float x[6] = {1, 2, 3, 4, 5, 6};
    int64_t shape[2] = {2, 3};
    rn_array a = {0};
    int status = rn_npy_write(in_folder("x.npy"), x, 2, shape, err);
    if (!status)
        status = rn_npy_read(in_folder("x.npy"), &a, err);
    if (!status && memcmp(a.data, x, sizeof x) != 0)
        status = rn_error_set(err, RN_ERR_NUMBER, "another array came back");
    rn_array_free(&a);
    return status;
}

static int work_pth(rn_error *err)
{
    static const char *const files[] = {"views.pth", "checkpoint_stream.pth"};
    char path[400];
    int status = 0;
    for (int i = 0; i < 2 && !status; i++) {
        rn_tensors t;
        snprintf(path, sizeof path, "%s/golden/pth/%s", RN_TEST_DIR, files[i]);
        status = rn_tensors_read(path, &t, err);
        if (!status && t.count != (i ? 8 : 10))
            status = rn_error_set(err, RN_ERR_NUMBER, "tensors are missing");
        rn_tensors_free(&t);
    }
    return status;
}

static int work_events(rn_error *err)
{
    rn_events *e = NULL;
    char path[400];
    int status = rn_events_open(&e, folder, NULL, 0, err);
    if (status)
        return status;
    snprintf(path, sizeof path, "%s", rn_events_path(e));
    status = rn_events_scalar(e, 1, "loss", 1, err);
    if (!status)
        status = rn_events_flush(e, err);
    int64_t bytes = rn_events_bytes(e);
    rn_events_close(&e);
    if (!status)
        status = rn_events_open(&e, NULL, path, bytes, err);
    rn_events_close(&e);
    remove(path);
    return status;
}

static int work_pool(rn_error *err)
{
    rn_pool *pool = NULL;
    int status = rn_pool_open(&pool, 3, err);
    rn_pool_close(&pool);
    return status;
}

static float images[3 * 24 * 16], logits[2][3 * 9], embedding[3 * 3];

static int work_infer(rn_error *err)
{
    rn_infer *e = NULL;
    int status = rn_infer_open(&e, kept->graph, kept->weights, kept->stats, NULL, err);
    if (!status)
        status = rn_infer_plan(e, 2, 24, 16, err);
    if (!status)
        status = rn_infer_run(e, 3, 24, 16, images, logits[1], embedding, err);
    rn_infer_close(&e);
    return status;
}

static int logits_right(void) { return memcmp(logits[0], logits[1], sizeof logits[0]) == 0; }

static int work_learn(rn_error *err)
{
    rn_learn *e = NULL;
    static float grads[20000];
    int status = rn_learn_open(&e, kept->graph, 3, 24, 16, NULL, 0, NULL, err);
    if (!status) {
        rn_learn_load(e, kept->weights, kept->stats);
        status = rn_learn_forward(e, 3, images, logits[1], NULL, NULL, err);
    }
    if (!status)
        status = rn_learn_backward(e, logits[1], NULL, grads, err);
    rn_learn_close(&e);
    return status;
}

/* A network with the steps that the small one has not, planned both ways. */
static int work_variant(rn_error *err)
{
    rn_arch arch = small_arch();
    rn_model *m = NULL;
    rn_infer *infer = NULL;
    rn_learn *learn = NULL;
    arch.blocks[0] = arch.blocks[1] = 1;
    arch.stages = 2;
    arch.block = RN_BLOCK_BOTTLENECK;
    arch.preact = arch.embedding2 = arch.shortcut_pool = 1;
    arch.se = arch.groups = 2;
    arch.group_width = 64;
    arch.pooling = RN_POOLING_TSTP;
    arch.pool_rows = 12;
    int status = rn_model_new(&m, &arch, NULL, RN_INIT_PYTORCH, 0, 1, err);
    if (!status)
        status = rn_infer_open(&infer, m->graph, m->weights, m->stats, NULL, err);
    if (!status)
        status = rn_infer_plan(infer, 2, 24, 16, err);
    if (!status)
        status = rn_learn_open(&learn, m->graph, 3, 24, 16, NULL, RN_LEARN_DROP | RN_LEARN_RECOMPUTE, NULL, err);
    rn_learn_close(&learn);
    rn_infer_close(&infer);
    rn_model_close(&m);
    return status;
}

static void models(void **state)
{
    (void)state;
    every_allocation(work_new, NULL);
    every_allocation(work_save, saved_right);
    every_allocation(work_load, loaded_right);
    every_allocation(work_onnx, loaded_right);
    every_allocation(work_folded, loaded_right);
}

static void formats(void **state)
{
    (void)state;
    every_allocation(work_npy, NULL);
    every_allocation(work_pth, NULL);
    every_allocation(work_events, NULL);
}

static void engines(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof images / sizeof *images; i++)
        images[i] = (float)(i % 23) / 23 - 0.5f;
    assert_true(kept->graph->weights_count <= 20000);
    every_allocation(work_pool, NULL);
    rn_error err = {0, ""};
    assert_int_equal(work_infer(&err), 0);
    memcpy(logits[0], logits[1], sizeof logits[0]);
    every_allocation(work_infer, logits_right);
    assert_int_equal(work_learn(&err), 0);
    memcpy(logits[0], logits[1], sizeof logits[0]);
    every_allocation(work_learn, logits_right);
    every_allocation(work_variant, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(models), cmocka_unit_test(formats), cmocka_unit_test(engines)};
    return cmocka_run_group_tests(tests, make_kept, drop_kept);
}
#endif
