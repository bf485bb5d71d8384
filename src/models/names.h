/* Whose names the tensors of a residual network go by: tables of patterns, read in both directions. */
#ifndef RN_MODELS_NAMES_H
#define RN_MODELS_NAMES_H

#include "formats/tensors.h"

enum { RN_NAMES_LONGEST = 96 }; /* of a tensor's name in a network of ours, with its NUL */

/* A module's name here and there. In patterns %s is a stage, %b a block or place, %k a convolution of the block, counted from 1 (%b: from 0)
 * as in our names; %S and %K are the same counted from 0. What follows the module's name (".weight", ".running_mean", ...) is the same. */
typedef struct rn_names_row {
    const char *ours; /* NULL: a tensor that no answer needs */
    const char *theirs;
    const char *why; /* of one that is not needed */
} rn_names_row;

typedef struct rn_names {
    const char *name;          /* "torchvision": what --names takes */
    int pooled_shortcut;       /* 1: the names of networks that pool before a shortcut's convolution */
    int speaker;               /* 1: of networks over statistics that end with the embedding */
    const char *preprocessing; /* what pictures mostly go through there */
    const rn_names_row *rows;  /* ends with a row without theirs; of several that fit, the first is written */
} rn_names;

/* The table whose patterns fit most of the tensors; of equals one that finds the layer behind the pool (`fc`) among them, else the first, ours. *known
 * gets how many fit. */
const rn_names *rn_names_find(const rn_tensors *tensors, int *known);
/* The table of that name for networks with or without a pooled shortcut; RN_ERR_ARG, listing the names, if there is none. */
const rn_names *rn_names_called(const char *name, int pooled_shortcut, rn_error *err);

/* Our name of a tensor of theirs ("layer1.0.downsample.0.weight" -> "layer1.0.shortcut.0.weight"); NULL if no row fits. `ours` is "" where the row says
 * that the tensor is not needed. */
const rn_names_row *rn_names_to_ours(const rn_names *names, const char *theirs, char ours[RN_NAMES_LONGEST]);
/* The reverse. */
const rn_names_row *rn_names_to_theirs(const rn_names *names, const char *ours, char theirs[RN_NAMES_LONGEST]);

#endif
