/* Weight files of other projects as models: whose names they have, and which network their shapes are of. */
#ifndef RN_MODELS_FOREIGN_H
#define RN_MODELS_FOREIGN_H

#include "models/model.h"
#include "models/names.h"

/* What no shape tells. */
enum { RN_FOREIGN_STRIDE = 1, RN_FOREIGN_SHORTCUT = 2, RN_FOREIGN_POOL = 4, RN_FOREIGN_PREPROCESSING = 8, RN_FOREIGN_QUESTIONS = 4 };
/* The option that answers bit `index`: "stride_at". */
const char *rn_foreign_question(int index);

/* The network whose tensors these are, by our names and their shapes; what they leave open is set as usual, and its bits in *open. RN_ERR_UNSUPPORTED,
 * with a sentence that begins with `name`, if they are of no residual network. Whether every tensor fits is not its question. */
int rn_foreign_infer(const char *name, const rn_names *names, const rn_tensors *ours, rn_arch *arch, unsigned *open, rn_error *err);

/* What a file does not say and its user may. */
typedef struct rn_foreign_given {
    json_t *arch;   /* members of "arch" by their keys ("stride_at": "1x1"); they go before what was inferred. NULL: nobody can be asked */
    json_t *labels; /* an array of texts; NULL: none */
    int prepared;   /* 1: how the network's input is made is known: rn_foreign_section will be called */
    int weights;    /* 1: only they are wanted: what no shape shows is taken as usual, and a last layer may be missing */
    int folder;     /* 1: the file's name is a path, and what lies beside it (config.json of Hugging Face) may be read */
} rn_foreign_given;

/* A file of others, looked at. The tensors that it was opened with must outlive it. */
typedef struct rn_foreign {
    char *name; /* of the file, for messages */
    const rn_names *names;
    int known;                 /* tensors whose names are in the table */
    int count;                 /* tensors of the file */
    const rn_names_row **rows; /* [count] the row of each; NULL: its name says nothing */
    rn_tensors ours;           /* those with a place in a network, by our names, with the metadata of a model file; data borrowed */
    rn_arch arch;
    rn_graph *graph; /* what the shapes are of; NULL: of no network that can be built */
    unsigned open;   /* what was neither said nor given, bits of RN_FOREIGN_*: `arch` has what is usual */
    json_t *labels;  /* texts; NULL: none were given */
    json_t *config;  /* resnet.config as an object; NULL: not yet a model */
    rn_error why;    /* code 0: `ours` is a model; else what is in the way, in a sentence */
    float *zeros;    /* a classifier for a file without one, if only weights are wanted */
} rn_foreign;

/* 1 if the tensors are not already those of a model file of ours. */
int rn_foreign_is(const rn_tensors *tensors);

/* Looks at the tensors, from whose names what wrappers put in front is taken off. 0 for any file, also where `why` says that no model can
 * be made of it; fails for want of memory, or if a resnet.config in it is broken. */
int rn_foreign_open(rn_foreign **foreign, const char *name, rn_tensors *tensors, const rn_foreign_given *given, rn_error *err);
void rn_foreign_close(rn_foreign **foreign);

/* Sets a section of the description ("pictures"). Takes the value. */
int rn_foreign_section(rn_foreign *foreign, const char *key, json_t *value, rn_error *err);

/* What a network of these tensors would want and the file has not, by the file's own names: [{"name", "shape"}]. NULL without memory. */
json_t *rn_foreign_missing(const rn_foreign *foreign);

#endif
