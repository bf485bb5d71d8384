/* The model file: one .safetensors with weights and a `resnet.config` metadata entry (JSON).
 *
 * The config's sections: "arithmetic" (RN_ARITHMETIC), "arch", "labels", "features" (media reads it), "training" (record without time, host, path,
 * threads), "split" (digest, counts), "calibration" ({"temperature": T}), "labels_kind" ("several"; without it each item has one label),
 * "thresholds" (with several labels, one a label, in their order). Sections this build does not know are kept and written back. */
#ifndef RN_MODELS_MODEL_H
#define RN_MODELS_MODEL_H

#include <jansson.h>
#include <pthread.h>
#include "formats/tensors.h"
#include "graph/arena.h"
#include "graph/infer.h"
#include "models/arch.h"

/* Raised by any change of a kernel's contract or of the planner's algorithm table. */
#define RN_ARITHMETIC 2

/* The metadata entry that makes a weight file a model. */
#define RN_MODEL_CONFIG "resnet.config"

typedef struct rn_model {
    rn_arch arch;
    rn_graph *graph;
    float *weights, *stats; /* weights lie in memory */
    rn_arena memory;
    json_t *config;       /* object with the sections; arch and labels inside it are rewritten on saving */
    char **labels;        /* [arch.classes], UTF-8; none where classes is 0 */
    double temperature;   /* that logits are divided by before the softmax (section "calibration"); 1 where the file has none */
    int several;          /* classes do not exclude each other: sigmoids instead of a softmax (section "labels_kind": "several") */
    double *thresholds;   /* [arch.classes] from which probability on a class counts as there (section "thresholds"); NULL: 0.5 each */
    char *source;         /* the file that it was read from, for messages; NULL: none */
    pthread_mutex_t lock; /* over packed, the one thing that is made later */
    rn_packed *packed;    /* weights as the engine wants them, made on first use; NULL before */
} rn_model;

/* A fresh model with initial weights from rn_arch_init. labels may be NULL: "0", "1", ... */
int rn_model_new(rn_model **model, const rn_arch *arch, const char *const *labels, rn_init init, int zero_last, uint64_t seed,
                 rn_error *err);
/* A model file, or a weight file of another project whose tensors say all that a model is (models/foreign.h). */
int rn_model_load(rn_model **model, const char *path, rn_error *err);
/* The same for whoever wants the weights alone: what a foreign file does not say is taken as usual. */
int rn_model_load_weights(rn_model **model, const char *path, rn_error *err);
int rn_model_parse(rn_model **model, const char *name, const void *data, size_t size, rn_error *err);
/* As rn_model_load from tensors that were read already. A checkpoint holds more than a model, under names that begin with one of two
 * prefixes: tensors "train.*" are left alone, and where there is any "ema.*" the network's tensors are taken from "ema.conv1.weight"
 * and so on instead of "conv1.weight". Any other tensor that the network does not have is refused by name. */
#define RN_MODEL_PREFIX_TRAIN "train."
#define RN_MODEL_PREFIX_EMA "ema."
int rn_model_from_tensors(rn_model **model, const char *name, const rn_tensors *tensors, rn_error *err);
/* The same, but the weights may be any numbers: for a look at a file whose network must not be run. */
int rn_model_from_tensors_unchecked(rn_model **model, const char *name, const rn_tensors *tensors, rn_error *err);
/* The arrays of `graph` from the tensors "<prefix>conv1.weight" and so on ("" for a model's own): names, shapes, types and numbers are
 * checked. For a checkpoint, which knows its graph. `network` names it in messages ("resnet18 of width 64"). */
int rn_model_weights(const rn_graph *graph, const char *network, const char *name, const rn_tensors *tensors, const char *prefix,
                     float *weights, float *stats, rn_error *err);
/* Are these the graph's tensors: all of them there, of their shapes, with numbers that may be, and no others besides? Copies nothing. */
int rn_model_check(const rn_graph *graph, const char *network, const char *name, const rn_tensors *tensors, rn_error *err);
/* BN entries are written as PyTorch names them, num_batches_tracked (I64, always 0) included. NaN or infinite weights are refused by name
 * on loading (RN_ERR_NUMBER) and saving. Same model, same bytes. */
int rn_model_save(const rn_model *model, const char *path, rn_error *err);
/* Writes sections ({"calibration": ...}) of a model file or checkpoint anew; its tensors and the other sections stay as they are. Takes them. Atomic. */
int rn_model_rewrite(const char *path, json_t *sections, rn_error *err);
/* Appends the model's tensors and metadata to `out` for a checkpoint; the data point into the model. */
int rn_model_tensors(const rn_model *model, rn_tensors *out, rn_error *err);
void rn_model_close(rn_model **model);

/* The model's weights folded and packed: made on first use, under the model's lock, and shared by all its sessions. Valid until the model is
 * closed; the weights must not change afterwards. */
int rn_model_packed(const rn_model *model, const rn_packed **packed, rn_error *err);

/* RN_ERR_UNSUPPORTED where the embedding is the only answer; `name` stands for the file. */
int rn_model_wants_classes(const rn_model *model, const char *name, rn_error *err);
/* Makes it a model of several labels. */
int rn_model_set_several(rn_model *model, rn_error *err);
/* [classes] probabilities of one row of logits at the model's temperature: a softmax, or sigmoids with several labels. */
void rn_model_probabilities(const rn_model *model, const float *logits, float *probability);

/* A section of the config, or NULL. Borrowed. */
json_t *rn_model_section(const rn_model *model, const char *name);

/* The section "arch": {"name": "resnet18", "width": 64, "shortcut": "B", "pool": "4x1", ...}, every member of rn_arch_fields. Writing returns
 * NULL without memory. Reading takes the name's defaults for missing keys and refuses unknown ones, since a network with something more
 * would not be the same; `name` stands for the file in messages. */
json_t *rn_arch_json(const rn_arch *arch);
int rn_arch_from_json(rn_arch *arch, const char *name, const json_t *json, rn_error *err);
/* One member by its key. Setting returns -1, and in `want` what it may be, where the value is none of those; text "yes" and "no" are flags. */
#define RN_ARCH_WANT 128
json_t *rn_arch_member(const rn_arch *arch, const char *key);
int rn_arch_set_member(rn_arch *arch, const char *key, const json_t *value, char want[RN_ARCH_WANT]);

/* Weights of another model (--init): tensors whose name and shape fit are copied, the others are drawn anew (PyTorch's distributions,
 * `seed`). The layer of the logits is copied only if both have the same labels in the same order. The first convolution of
 * three channels fits one channel (its weights added over the channels), and one of one channel fits three (a third each). `report` (may be NULL) gets one line
 * per new or ignored tensor. RN_ERR_MISMATCH if nothing fits. */
int rn_model_adopt(rn_model *model, const rn_model *from, uint64_t seed, rn_text_fn report, void *context, rn_error *err);

#endif
