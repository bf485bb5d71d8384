/* The trainer: a data set and options become a model; nothing is lost when something breaks.
 *
 *     rn_train_options options;
 *     rn_train_options_default(&options);
 *     rn_trainer *trainer;
 *     rn_trainer_open(&trainer, dataset, &options, "run", 0, NULL, &err);   // or NULL for "run": nothing is written
 *     rn_trainer_run(trainer, &result, &err);
 *     rn_trainer_close(&trainer);
 *
 * The result depends on the data, the options and RN_ARITHMETIC alone: not on threads, time, host, or how often the run was
 * stopped and resumed. */
#ifndef RN_TRAIN_TRAINER_H
#define RN_TRAIN_TRAINER_H

#include "data/dataset.h"
#include "judge/evaluate.h"
#include "models/model.h"
#include "train/options.h"

typedef struct rn_trainer rn_trainer;

typedef enum rn_train_stage {
    RN_TRAIN_HASH,      /* done, total: items whose bytes were hashed */
    RN_TRAIN_PREPARE,   /* done, total: items decoded once */
    RN_TRAIN_STEP,      /* after every step */
    RN_TRAIN_VALIDATE,  /* done, total: items */
    RN_TRAIN_EPOCH,     /* after an epoch, its validation and its checkpoint */
    RN_TRAIN_TEST,      /* done, total: items */
    RN_TRAIN_STATISTICS /* done, total: batches that BN statistics were taken from, before the test */
} rn_train_stage;

typedef struct rn_train_progress {
    rn_train_stage stage;
    int64_t done, total;   /* of HASH, PREPARE, VALIDATE, TEST, STATISTICS */
    int epoch, epochs;     /* epoch counts from 1 */
    int64_t step, steps;   /* of this epoch; step counts those done */
    double loss, accuracy; /* training part, over this epoch so far; accuracy 0..1 (with mixup: of the larger share's label) */
    double gradient_norm;  /* of the last step, before clipping */
    double lr;             /* of the last step */
    double validation_loss, validation_accuracy, validation_macro; /* EPOCH; NaN where there is no validation part */
    int best;                                                      /* EPOCH: 1 if this epoch is the best so far */
    double items_per_second;                                       /* training, this epoch, this process */
    double seconds;                                                /* this epoch, this process: STEP so far, EPOCH with validation */
    double seconds_left;                                           /* to the end of the run; negative while unknown */
} rn_train_progress;

/* Nonzero: stop. The step that runs is finished, a checkpoint is written, and RN_ERR_CANCELLED comes back. */
typedef int (*rn_train_fn)(void *context, const rn_train_progress *progress);

/* How a run is watched; all may be NULL. Called on the thread that called rn_trainer_open or rn_trainer_run. */
typedef struct rn_train_watch {
    rn_train_fn progress;
    rn_text_fn note; /* one sentence: a default that was taken, a file left out, a batch made smaller, tensors new with --init */
    void *context;
    const char *command;   /* as the user typed it, for run.json; NULL */
    const char *data_name; /* how to name the data in "resnet train DATA --out RUN --resume"; NULL: the data set's path */
} rn_train_watch;

typedef enum rn_resume {
    RN_RESUME_NO,            /* an existing RUN is refused */
    RN_RESUME,               /* go on from RUN/last.safetensors; without one, start afresh */
    RN_RESUME_ANY_ARITHMETIC /* also from a checkpoint made under another RN_ARITHMETIC */
} rn_resume;

/* Checks, splits, resolves defaults, decodes every item once, and takes the memory of the whole run. The data set must outlive the
 * trainer, which sets its parts and bad marks and gives them back as they were when it is closed.
 * folder NULL: nothing is written, and rn_trainer_model has the result.
 *
 * Resuming: the caller loads RUN/config.json into the options where it exists and puts the user's changes on top; a difference from
 * the checkpoint other than in watching options is refused by name (RN_ERR_MISMATCH), and so is other data. */
int rn_trainer_open(rn_trainer **trainer, rn_dataset *dataset, const rn_train_options *options, const char *folder, rn_resume resume,
                    const rn_train_watch *watch, rn_error *err);
void rn_trainer_close(rn_trainer **trainer);

/* 1 if the folder holds a run (config, checkpoint, model or log). */
int rn_run_exists(const char *folder);

typedef struct rn_train_result {
    int epochs;                                                       /* done, over all resumed parts */
    int best_epoch;                                                   /* counts from 1 */
    int stopped_early;                                                /* patience ran out */
    int64_t steps;                                                    /* done in all */
    int64_t left_out;                                                 /* samples of each epoch that a last small batch leaves out */
    int bad;                                                          /* items skipped because they can't be decoded */
    double loss, accuracy;                                            /* training part, last epoch */
    double validation_loss, validation_accuracy, validation_macro;    /* of the best epoch; NaN without validation */
    int test_items;                                                   /* 0: no test part */
    double test_loss, test_accuracy, test_macro, test_low, test_high; /* of the best model; 95 % interval of accuracy */
    double seconds;                                                   /* of rn_trainer_run in this process */
    char model_path[1100];                                            /* RUN/model.safetensors; "" without a folder */
} rn_train_result;

/* Trains to the end, or goes on after RN_ERR_CANCELLED. RN_ERR_NUMBER: a loss or gradient was not finite; the sentence names step, layer
 * and files, and the last good checkpoint is kept. RN_ERR_IO: a file could not be written; the previous checkpoint is whole. */
int rn_trainer_run(rn_trainer *trainer, rn_train_result *result, rn_error *err);

/* The options with every auto value resolved. */
const rn_train_options *rn_trainer_options(const rn_trainer *trainer);
/* The best model after a finished run; otherwise the weights as they stand (averaged where EMA is on). The trainer's. */
const rn_model *rn_trainer_model(const rn_trainer *trainer);
/* The same, and the caller's from now on (rn_model_close); only after rn_trainer_run has finished or been cancelled. The trainer can
 * only be closed afterwards. */
rn_model *rn_trainer_take_model(rn_trainer *trainer);

/* What a run would be: for `train --dry-run` and the lines printed before the first epoch. */
typedef struct rn_train_plan {
    rn_train_options options; /* resolved */
    rn_kind kind;
    int classes;
    int parts[RN_PARTS]; /* items; bad ones are not counted */
    int bad;
    int *per_class;                                   /* [classes][RN_PARTS], freed by rn_train_plan_free */
    int c, h, w;                                      /* of a training sample */
    int64_t parameters, macs;                         /* of one sample, forward */
    int64_t steps;                                    /* of an epoch */
    int64_t left_out;                                 /* samples that an epoch leaves out */
    int64_t bytes_engine, bytes_weights, bytes_cache; /* activations; weights, gradients and optimiser state; the cache's limit */
    double total_seconds;                             /* of recordings; 0 for tensors */
    double step_seconds;                              /* one step, measured; 0 from rn_trainer_plan before the first step */
    double run_seconds;                               /* the whole run, estimated; 0 where step_seconds is */
} rn_train_plan;

/* Of an open trainer, without measuring. */
int rn_trainer_plan(rn_trainer *trainer, rn_train_plan *plan, rn_error *err);
/* Opens a trainer that writes nothing and does not decode the data, times a ghost batch, and closes it. */
int rn_train_dry_run(rn_dataset *dataset, const rn_train_options *options, const rn_train_watch *watch, rn_train_plan *plan, rn_error *err);
void rn_train_plan_free(rn_train_plan *plan);

#endif
