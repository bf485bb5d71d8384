/* Every choice of a training run, as one plain struct that goes to JSON and back without loss.
 *
 * RUN/config.json is rn_train_options_to_json of the resolved options: with the same data it gives the same bits. Values marked
 * "auto" are resolved by the trainer from the data (rn_trainer_options returns them resolved). Options marked "watching" change
 * nothing in the result; a run may be resumed with other values of them. */
#ifndef RN_TRAIN_OPTIONS_H
#define RN_TRAIN_OPTIONS_H

#include <jansson.h>
#include "data/split.h"
#include "media/augment.h"
#include "media/augment_picture.h"
#include "media/features.h"
#include "models/arch.h"

typedef enum rn_optimiser_kind { RN_SGD, RN_ADAMW } rn_optimiser_kind;                           /* "sgd", "adamw" */
typedef enum rn_schedule_kind { RN_COSINE, RN_STEP, RN_CONSTANT } rn_schedule_kind;              /* "cosine", "step", "constant" */
typedef enum rn_balance { RN_BALANCE_NONE, RN_BALANCE_SAMPLING, RN_BALANCE_WEIGHTS } rn_balance; /* "none", "sampling", "weights" */

#define RN_TRAIN_CLASSES_MAX 1024 /* of class_weights */
#define RN_TRAIN_FREEZE_MAX 32
#define RN_TRAIN_MILESTONES_MAX 32

typedef struct rn_train_options {
    /* network: keys "arch": {"name", "width", ...}, "init_weights", "zero_last", "init", "freeze" */
    rn_arch arch;         /* resnet18; classes 0 and in_channels 0: auto */
    int arch_open;        /* no name was given: pictures take a row of their own (resolve_pictures.c). No key */
    uint32_t arch_said;   /* bit i: member i of rn_arch_fields was given, and holds whatever the row. No key */
    rn_init init_weights; /* "pytorch" (default), "he" */
    int zero_last;        /* last BN of each block starts at 0; 0 */
    char init_path[1024]; /* key "init": a model to start from; "" for none */
    int freeze_count;     /* key "freeze": layer prefixes, "layer1" covers layer1.0.conv1.weight ... */
    char freeze[RN_TRAIN_FREEZE_MAX][96];

    /* data: keys "features" or "pictures", "augment", "split" (objects), "split_file", ... */
    rn_features features; /* rate 0, seconds 0: auto; of recordings */
    rn_augment augment;   /* of recordings; mixup is everybody's */
    rn_pictures pictures; /* RN_OPEN, channels 0: auto. A key "preset" names one of rn_pictures_preset */
    rn_picture_augment picture_augment;
    rn_split_options split;
    char split_path[1024];   /* key "split_file": a split to take instead of making one */
    int no_validation;       /* no validation part; the last epoch is the best */
    int no_test;             /* no test part */
    int skip_bad;            /* leave out files that can't be decoded, and count them */
    double min_seconds;      /* shorter recordings count as bad; 0.1 */
    rn_balance balance;      /* none; sampling: each class equally often; weights: N / (classes * n_c) in the loss */
    int class_weights_count; /* key "class_weights": in the order of labels; 0: none */
    double class_weights[RN_TRAIN_CLASSES_MAX];

    /* steps */
    rn_optimiser_kind optimiser;  /* sgd */
    double lr;                    /* 0: auto */
    double momentum;              /* 0.9 */
    int nesterov;                 /* 1 */
    double beta1, beta2, epsilon; /* AdamW: 0.9 0.999 1e-8 */
    double weight_decay;          /* 5e-4 */
    int decay_all;                /* 1: BN and biases decay too; 0 */
    rn_schedule_kind schedule;    /* cosine */
    double lr_end;                /* cosine ends at lr * lr_end; 0 */
    double step_epochs;           /* step: every so many epochs ... ; 0: auto (a third of the run) */
    int milestones_count;         /* ... or, key "milestones", after so many epochs each, ascending; whichever is set later holds */
    double milestones[RN_TRAIN_MILESTONES_MAX];
    double step_factor;           /* ... the rate is multiplied by this; 0.1 */
    int warmup_steps;             /* linear from lr / warmup_steps; 0: take warmup_epochs */
    double warmup_epochs;         /* -1: auto (5 % of the run, one epoch at most) */
    double label_smoothing;       /* 0 */
    double drop_path;             /* share of samples that leave the last block out in a step; falls linearly to 0 at the first; 0 */
    double clip;                  /* largest gradient norm; 0: none */
    double ema;                   /* decay of averaged weights; 0: none */
    int bn_recompute;             /* 1: the best model gets BN statistics by true average over the training part (population.h); 0 */
    int batch;                    /* 0: auto */
    int ghost_batch;              /* 32 */
    int epochs;                   /* 0: auto */
    uint64_t seed;                /* 0; at most 2^63 - 1 */
    int patience;                 /* stop after so many epochs without a better one; 0: never */

    /* watching */
    double checkpoint_minutes; /* 5 */
    int cache_mb;              /* 1024 */
    int recompute_blocks;      /* blocks keep their outputs only: less memory, a quarter more time, the same bits */
    int threads;               /* 0: all that the process may use */
    int loader_threads;        /* 0: half of threads, at least one */
    int log_steps;             /* a line in log.jsonl every so many steps; 10 */
} rn_train_options;

void rn_train_options_default(rn_train_options *options);

/* Ranges and contradictions; each message names the option as the command line writes it ("--label-smoothing 1.5: ..."). */
int rn_train_options_check(const rn_train_options *options, rn_error *err);

/* Complete; new reference, NULL without memory. With the sections of this kind of data. */
json_t *rn_train_options_to_json(const rn_train_options *options, rn_kind kind);

/* Sets what `section` has and leaves the rest; unknown keys and wrong types are refused by name. `file` stands in messages.
 * A new "arch": {"name": ...} takes that network's defaults before its other keys; "recipe": "he-cifar" (recipes.h) sets its options before
 * every other key, and is not kept itself. On failure *options is unchanged. */
int rn_train_options_from_json(rn_train_options *options, const json_t *section, const char *file, rn_error *err);

/* A file of such an object (--config FILE.json, RUN/config.json). */
int rn_train_options_load(rn_train_options *options, const char *path, rn_error *err);
int rn_train_options_save(const rn_train_options *options, rn_kind kind, const char *path, rn_error *err);

/* The option as the command line writes it: "--label-smoothing", "--mixup" for "augment.mixup", "--fft-window" for "features.window". */
const char *rn_train_option_name(const char *key, char out[128]);

/* One option from text, for a command line: key "lr", "arch.width", "augment.mixup", "features.bins"; text "0.1", "cosine",
 * "layer1,layer2". '-' and '_' in keys are the same. */
int rn_train_options_set(rn_train_options *options, const char *key, const char *text, rn_error *err);

/* 1 if the key is an option of training (for a command line that asks before it complains). */
int rn_train_options_known(const char *key);

/* The first key whose values differ where that changes the result, or NULL: "lr", "augment.mixup". `buffer` holds the name. */
const char *rn_train_options_differ(const rn_train_options *a, const rn_train_options *b, rn_kind kind, char buffer[96]);

#endif
