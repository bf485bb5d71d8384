/* What the kinds of output of `resnet embed` share. */
#ifndef RESNET_CLI_EMBED_H
#define RESNET_CLI_EMBED_H

#include "cli.h"

/* The embedding of an answer; with l2 scaled to length 1, in own[size] (one of length 0 stays as it is). */
const float *embedding_of(const rn_answer *a, int size, int l2, float *own);

/* 1 if the name is that of a store: X.sqlite, X.sqlite3, X.db. */
int is_store(const char *out);

/* Embeds what the store of --out does not have yet. `hash` is that of the model's file before it was read. Returns an exit status. */
int embed_store(const command *c, rn_session *session, const rn_model *model, const char *hash, const rn_listen *listen);

/* embed_ark.c: rows for Kaldi. open, then add and end_recording for each recording, commit; close drops what was not committed, and takes NULL.
 * path ends in .ark. 0, or the error of writing. */
typedef struct ark ark;
int ark_open(ark **ark, const char *path, int size, rn_error *err);
int ark_add(ark *ark, const char *path, const rn_answer *answer, const float *row, rn_error *err);
int ark_end_recording(ark *ark, int failed, rn_error *err); /* failed: it broke off, so its one window keeps its times */
int ark_commit(ark *ark, rn_error *err);
void ark_close(ark **ark);

#endif
