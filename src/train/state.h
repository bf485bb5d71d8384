/* The trainer's inside, shared by the files of this folder: setup.c and resolve.c make it, ghost.c steps, epoch.c judges, checkpoint.c and
 * runlog.c write. */
#ifndef RN_TRAIN_STATE_H
#define RN_TRAIN_STATE_H

#include <stdio.h>

#include "formats/events.h"
#include "graph/learn.h"
#include "train/loss.h"
#include "train/optimiser.h"
#include "train/trainer.h"

#define RN_GHOST_LEVELS 21 /* floor(log2 of 2^20 ghost batches) + 1 */

/* Gradients of ghost batches on their way up the tree. A buffer at level k holds the sum of 2^k ghost batches (fewer where an odd one moved
 * up); the stack's levels fall from bottom to top. */
typedef struct rn_tree {
    int64_t count;             /* floats of a gradient */
    int buffers_count, height; /* allocated; in use */
    float *buffers[RN_GHOST_LEVELS + 1];
    int levels[RN_GHOST_LEVELS + 1]; /* of the buffers in use */
} rn_tree;

int rn_tree_open(rn_tree *tree, int64_t count, int ghosts, rn_error *err); /* buffers for up to so many ghost batches */
void rn_tree_close(rn_tree *tree);
float *rn_tree_next(rn_tree *tree);               /* where the next ghost batch writes its gradients */
void rn_tree_push(rn_tree *tree, rn_pool *pool);  /* they are written: adds what makes a pair */
float *rn_tree_sum(rn_tree *tree, rn_pool *pool); /* the whole sum; the tree is empty afterwards and the sum valid until rn_tree_next */

/* Ghost batch i of `ghosts` over n samples: sizes differ by at most one, larger first. */
void rn_ghost_cut(int n, int ghosts, int i, int *first, int *count);

typedef struct rn_best {
    int epoch; /* counts from 1; 0: none yet */
    double macro, loss, accuracy;
} rn_best;

/* Of one epoch so far; in a checkpoint. */
typedef struct rn_sums {
    double loss, weight; /* sum u l and sum u w over its steps */
    int64_t correct, items;
} rn_sums;

typedef struct rn_runlog {
    FILE *file;
    char *path;
    int64_t bytes; /* written, whole lines */
    double flushed_at;
    rn_events *events;
} rn_runlog;

#define RN_STAGES 6              /* stem, layer1 to layer4, head */
#define RN_CONFUSION_CLASSES 100 /* the log has the confusion matrix of up to so many classes */

/* What a step says of itself. */
typedef struct rn_step {
    double loss, norm, lr, clip;
    float *grads;
} rn_step;

struct rn_trainer {
    rn_dataset *dataset;
    rn_train_options options; /* resolved */
    rn_train_watch watch;
    char *folder; /* NULL: nothing is written */
    char *data_name;
    rn_kind kind;
    int dry;
    rn_item *before;      /* [items] the data set's parts and bad marks as they were; the rest of an item is not used */
    int given_batch;      /* before it was made smaller; for the message */
    double total_seconds; /* of recordings */
    int bad, unreadable;  /* bad counts both those that can't be read and those that can't be used */

    rn_pool *pool;
    rn_loader *loader;
    int c, h, w;
    int64_t steps, left_out; /* of an epoch */
    char digest[33];

    rn_model *model;                  /* what is published: the averages where EMA is on */
    float *weights, *stats;           /* what is trained: the model's own arrays without EMA */
    int average;                      /* EMA is on, weights and stats are arrays of their own */
    float *best_weights, *best_stats; /* without a folder */
    unsigned char *frozen;            /* [params], NULL: none */
    int *stage_of;                    /* [params] which of rn_stage_name */
    rn_learn *learn;
    rn_infer *infer;
    rn_optimiser *optimiser;
    rn_tree tree;
    double *batch_stats, *stats_sum; /* [stats_count] */
    float *logits, *dlogits;         /* [ghost][classes] */
    float *kept;                     /* [blocks][ghost] with drop_path, else NULL */
    int *labels2, *pair;             /* [batch] with mixup; labels2: the partner's class, with several labels the partner */
    double *share;                   /* [batch] */
    float *targets;                  /* [batch][classes] with several labels, else NULL */
    double *class_weights;           /* [classes] or NULL */

    /* Where the run stands; all of it in a checkpoint. */
    int epoch;          /* done */
    int64_t step, done; /* steps done of this epoch; of the whole run */
    rn_sums sums;
    rn_sums last; /* of the last whole epoch, for the result */
    rn_best best;

    int finished;                                           /* tested, and the model is the best */
    int have_checkpoint;                                    /* one that resuming could use */
    int checkpoint_epoch;                                   /* epochs done when it was written */
    double checkpoint_at;                                   /* seconds, monotonic */
    double epoch_started, step_seconds, validation_seconds; /* estimates of this process */
    int64_t epoch_items;                                    /* trained in this epoch by this process */
    rn_runlog log;
    double shown_at, sample_at; /* when progress.json and sample.safetensors were written, seconds, monotonic; 0: not yet */
    int show_failed;            /* one of them could not be, and it was said */
    rn_train_progress shown;    /* the last step's, for stages that have no rate */
    rn_train_result result;
};

double rn_seconds_now(void); /* monotonic */
void rn_trainer_note(const rn_trainer *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "resnet train DATA --out RUN --resume" */
const char *rn_trainer_resume_line(const rn_trainer *t, char out[600]);

/* resolve.c: what the data says */
int rn_resolve_options(rn_trainer *t, rn_error *err);
int rn_resolve_pictures(rn_trainer *t, rn_error *err); /* resolve_pictures.c */
int rn_resolve_split(rn_trainer *t, int resumed, rn_error *err);

/* setup.c */
int rn_trainer_open_dry(rn_trainer **trainer, rn_dataset *dataset, const rn_train_options *options, const rn_train_watch *watch,
                        rn_error *err);
int rn_trainer_frozen(rn_trainer *t, rn_error *err);

/* ghost.c: one optimiser step on a batch; weights move only if loss and norm are finite, which rn_step tells */
void rn_trainer_drop(rn_trainer *t, const rn_batch *batch, int first, int n);
int rn_trainer_gradients(rn_trainer *t, rn_batch *batch, rn_step *out, rn_error *err);
void rn_trainer_apply(rn_trainer *t, rn_step *step);
int rn_trainer_mixes(const rn_trainer *t); /* samples carry a second label */
int rn_ghost_count(const rn_trainer *t, int n);

/* nonfinite.c: the sentence that names step, layer and files */
int rn_trainer_explain(rn_trainer *t, const rn_batch *batch, const rn_step *step, rn_error *err);

/* epoch.c */
int rn_trainer_report(rn_trainer *t, rn_train_progress *p);
int rn_trainer_judge(rn_trainer *t, rn_part part, rn_train_stage stage, rn_metrics **metrics, rn_error *err);
int rn_trainer_validate(rn_trainer *t, rn_train_progress *p, rn_metrics **metrics, rn_error *err); /* NULL: no validation part */
int rn_trainer_test(rn_trainer *t, rn_error *err);

/* checkpoint.c */
typedef struct rn_checkpoint rn_checkpoint;
int rn_checkpoint_write(rn_trainer *t, rn_error *err);
int rn_checkpoint_read(rn_checkpoint **checkpoint, const char *folder, rn_error *err); /* *checkpoint NULL: there is none */
int rn_checkpoint_check(const rn_checkpoint *checkpoint, const rn_trainer *t, rn_resume resume, rn_error *err);
int rn_checkpoint_model(rn_checkpoint *checkpoint, rn_model **model, rn_error *err);
int rn_checkpoint_restore(rn_checkpoint *checkpoint, rn_trainer *t, int64_t *log_bytes, char events[300], int64_t *events_bytes,
                          rn_error *err);
void rn_checkpoint_close(rn_checkpoint **checkpoint);
int rn_checkpoint_best(rn_trainer *t, const rn_metrics *test,
                       rn_error *err);                      /* the published weights become RUN/model.safetensors, or are kept */
int rn_checkpoint_fetch_best(rn_trainer *t, rn_error *err); /* and come back */
json_t *rn_json_number(double value);                       /* null where there is no finite value */
json_t *rn_json_text(const char *text);                     /* bytes that are no UTF-8 become '?'; null for NULL */

/* runlog.c */
int rn_folder_open(rn_trainer *t, int afresh, rn_error *err);
char *rn_folder_path(const char *folder, const char *name);
int rn_runlog_open(rn_trainer *t, int64_t bytes, const char *events, int64_t events_bytes, rn_error *err);
void rn_runlog_close(rn_runlog *log);
int rn_runlog_line(rn_trainer *t, json_t *object, rn_error *err);     /* takes the object; NULL is "no memory" */
int rn_runlog_failed(rn_trainer *t, const char *path, rn_error *err); /* the sentence of a full disk; reads errno */
int rn_runlog_start(rn_trainer *t, rn_error *err);                    /* the first line: what the run is */
int rn_runlog_step(rn_trainer *t, const rn_step *step, rn_error *err);
int rn_runlog_epoch(rn_trainer *t, const rn_train_progress *p, const rn_metrics *validation, rn_error *err); /* NULL: none */
int rn_runlog_test(rn_trainer *t, const rn_metrics *m, rn_error *err);
int rn_runlog_flush(rn_trainer *t, int durable, rn_error *err);
int rn_runlog_host(rn_trainer *t, const char *event, rn_error *err); /* run.json */

/* show.c: for whoever watches. What can't be written is noted once and stops nothing. */
void rn_show_progress(rn_trainer *t, const rn_train_progress *p);
void rn_show_end(rn_trainer *t, int status, const rn_error *err);
void rn_show_sample(rn_trainer *t, const rn_batch *batch);
int rn_stage_of(const char *parameter); /* 0 .. RN_STAGES - 1 */
const char *rn_stage_name(int stage);

#endif
