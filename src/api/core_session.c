/* Sessions: the network on the caller's tensors. */
#include "api/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/maths.h"

/* The options with the model's own size filled in. */
static int resolve(const rn_model *model, const rn_session_options *given, rn_session_options *out, rn_error *err)
{
    int channels;
    memset(out, 0, sizeof *out);
    if (given)
        *out = *given;
    if (out->batch < 0 || out->height < 0 || out->width < 0 || out->threads < 0)
        return rn_error_set(err, RN_ERR_ARG, "session: batch, height, width and threads may not be negative");
    if (!out->batch)
        out->batch = 1;
    if (!out->height != !out->width)
        return rn_error_set(err, RN_ERR_ARG, "session: give both height and width, or neither");
    if (!out->height)
        rn_model_input(model, &channels, &out->height, &out->width);
    return 0;
}

int rn_session_open(rn_session **session, const rn_model *model, const rn_session_options *options, rn_error *err)
{
    rn_session_options o;
    int status = resolve(model, options, &o, err);
    unsigned state = rn_fp_enter();
    rn_session *s = NULL;
    const rn_packed *packed;
    *session = NULL;
    if (status)
        goto fail;
    s = calloc(1, sizeof *s);
    if (!s) {
        status = rn_error_memory(err, "a session", sizeof *s);
        goto fail;
    }
    s->model = model;
    s->batch = o.batch;
    s->height = o.height;
    s->width = o.width;
    if ((status = rn_pool_open(&s->pool, o.threads, err)) ||
        (status = rn_model_packed(model, &packed, err)) ||
        (status = rn_infer_open_shared(&s->engine, model->graph, packed, s->pool, err)))
        goto fail;
    if (s->height && (status = rn_infer_plan(s->engine, s->batch, s->height, s->width, err)))
        goto fail;
    *session = s;
    s = NULL;
fail:
    rn_session_close(&s);
    rn_fp_leave(state);
    return status;
}

void rn_session_close(rn_session **session)
{
    rn_session *s = *session;
    if (!s)
        return;
    if (s->ear_close)
        s->ear_close(&s->ear);
    rn_infer_close(&s->engine);
    rn_pool_close(&s->pool);
    free(s);
    *session = NULL;
}

int rn_session_measure(const rn_model *model, const rn_session_options *options, int64_t *bytes, rn_error *err)
{
    rn_session *s = NULL;
    int status = rn_session_open(&s, model, options, err); /* the arena's pages stay untouched until a run */
    *bytes = status ? 0 : rn_session_bytes(s);
    rn_session_close(&s);
    return status;
}

int64_t rn_session_bytes(const rn_session *session)
{
    return rn_infer_bytes(session->engine);
}

int rn_session_run(rn_session *s, int batch, const float *x, float *logits, float *embedding, rn_error *err)
{
    if (batch < 1 || batch > s->batch)
        return rn_error_set(err, RN_ERR_ARG, "session: a batch of %d, opened for 1 to %d", batch, s->batch);
    if (!s->height)
        return rn_error_set(err, RN_ERR_SHAPE, "session: the model does not say its input size: open the session with height and width");
    if (!x || (!logits && s->model->arch.classes))
        return rn_error_set(err, RN_ERR_ARG, "session: x and logits may not be NULL");
    unsigned state = rn_fp_enter();
    int status = rn_infer_run(s->engine, batch, s->height, s->width, x, logits, embedding, err);
    rn_fp_leave(state);
    return status;
}

void rn_logits_softmax(const float *logits, int classes, float *probability)
{
    rn_softmax(logits, classes, 1, probability, NULL);
}

void rn_logits_sigmoid(const float *logits, int classes, float *probability)
{
    rn_sigmoids(logits, classes, 1, probability, NULL);
}
