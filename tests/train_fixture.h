/* What the tests of the trainer share: a small data set of tensors, small options, a temporary folder, and files compared byte by byte. */
#ifndef RN_TESTS_TRAIN_FIXTURE_H
#define RN_TESTS_TRAIN_FIXTURE_H

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/random.h"
#include "train/trainer.h"

enum { ITEMS = 90, CLASSES = 3, H = 8, W = 6 };

static float tensors[ITEMS][H * W];
static int labels[ITEMS];
static char root[200];

/* Three classes: which third of the rows is louder. */
static inline void make_tensors(void)
{
    rn_random r;
    rn_random_start(&r, 5, RN_PURPOSE_TEST, 0, 0);
    for (int i = 0; i < ITEMS; i++) {
        labels[i] = i % CLASSES;
        for (int j = 0; j < H * W; j++)
            tensors[i][j] = (float)(rn_random_normal(&r) + (j / W * CLASSES / H == labels[i] ? 1.5 : 0));
    }
}

static inline rn_dataset *open_data(void)
{
    rn_dataset *d;
    rn_error err;
    if (rn_dataset_from_tensors(&d, tensors[0], labels, ITEMS, 1, H, W, NULL, CLASSES, NULL, &err))
        fail_msg("%s", err.text);
    return d;
}

static inline void small(rn_train_options *o)
{
    rn_error err;
    rn_train_options_default(o);
    rn_augment_none(&o->augment);
    if (rn_train_options_set(o, "arch.name", "resnet20", &err))
        fail_msg("%s", err.text);
    o->arch.width = 4;
    o->batch = 20; /* 60 items to train on: three steps */
    o->ghost_batch = 7;
    o->epochs = 3;
    o->lr = 0.05;
    o->threads = 2;
    o->log_steps = 1;
    o->seed = 3;
}

static inline void run_path(char out[300], const char *name)
{
    snprintf(out, 300, "%s/%s", root, name);
}

typedef struct stopper {
    int64_t at, seen; /* stop at so many steps from here */
    rn_train_stage stage;
    int epochs, best, steps;
    double first_loss, last_loss;
} stopper;

static inline int watch_steps(void *context, const rn_train_progress *p)
{
    stopper *s = context;
    if (p->stage == RN_TRAIN_STEP) {
        if (!s->steps++)
            s->first_loss = p->loss;
        s->last_loss = p->loss;
        assert_true(p->step >= 1 && p->step <= p->steps && p->epoch >= 1 && p->epoch <= p->epochs);
    }
    if (p->stage == RN_TRAIN_EPOCH) {
        s->epochs++;
        s->best += p->best;
    }
    return p->stage == s->stage && s->at && ++s->seen >= s->at;
}

static inline int train_status(const rn_train_options *o, const char *folder, rn_resume resume, stopper *s, rn_train_result *result,
                               rn_error *err)
{
    rn_dataset *d = open_data();
    rn_trainer *t;
    rn_train_watch watch = {.progress = watch_steps, .context = s, .command = "resnet train x", .data_name = "x"};
    int status = rn_trainer_open(&t, d, o, folder, resume, &watch, err);
    if (!status)
        status = rn_trainer_run(t, result, err);
    rn_trainer_close(&t);
    rn_dataset_close(&d);
    return status;
}

static inline void expect(int status, int want, const rn_error *err)
{
    if (status != want)
        fail_msg("status %d, want %d: %s", status, want, err->text);
}

static inline unsigned char *read_whole(const char *folder, const char *name, size_t *size)
{
    char path[400];
    unsigned char *data;
    rn_error err;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (rn_file_read(path, 1 << 28, &data, size, &err))
        fail_msg("%s", err.text);
    return data;
}

static inline void same_file(const char *a, const char *b, const char *name)
{
    size_t n, m;
    unsigned char *x = read_whole(a, name, &n), *y = read_whole(b, name, &m);
    if (n != m || memcmp(x, y, n))
        fail_msg("%s of %s and %s differ (%zu and %zu bytes)", name, a, b, n, m);
    free(x);
    free(y);
}

static inline int remove_tree(const char *folder)
{
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char *path;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (asprintf(&path, "%s/%s", folder, e->d_name) < 0)
            continue;
        if (unlink(path))
            remove_tree(path);
        free(path);
    }
    if (dir)
        closedir(dir);
    return rmdir(folder);
}

static inline int setup(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(root, sizeof root, "%s/check_train.XXXXXX", tmp ? tmp : "/tmp");
    make_tensors();
    return mkdtemp(root) ? 0 : -1;
}

static inline int teardown(void **state)
{
    (void)state;
    return remove_tree(root);
}

#endif
