/* A session: one engine, its threads, and what the listening part keeps between recordings. */
#ifndef RN_API_SESSION_H
#define RN_API_SESSION_H

#include "graph/infer.h"
#include "models/model.h"

typedef struct rn_ear rn_ear; /* api/ear.h: features and buffers; only builds with sound have one */

struct rn_session {
    const rn_model *model;
    rn_pool *pool;
    rn_infer *engine;
    int batch, height, width; /* height 0: the model does not say and the caller did not; files still work */
    rn_ear *ear;
    void (*ear_close)(rn_ear **ear);
};

#endif
