/* resnet run: the network alone, on tensors. */
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"

static int wrong_shape(const char *path, int dims, int channels)
{
    complain("%s: %d dimensions: want an array of %d x H x W, or N x %d x H x W", path, dims, channels, channels);
    return EXIT_WORK;
}

/* Runs all inputs, `batch` at a time, and writes what was asked for. */
static int run_all(const command *c, rn_session *session, const rn_model *model, const float *x, int64_t n, int64_t size, int batch)
{
    rn_error err = {0};
    const char *logits_path = option_text(c, "logits"), *embedding_path = option_text(c, "embedding");
    int classes = rn_model_classes(model), width = rn_model_embedding(model), status = 0;
    float *logits = malloc((size_t)n * (size_t)(classes + 1) * sizeof *logits),
          *embedding = width ? malloc((size_t)n * (size_t)width * sizeof *embedding) : NULL;
    if (!logits || (width && !embedding)) {
        complain("no memory for the results");
        status = EXIT_WORK;
    }
    for (int64_t i = 0; i < n && !status; i += batch) {
        int count = n - i < batch ? (int)(n - i) : batch;
        if (rn_session_run(session, count, x + i * size, logits + i * classes, embedding ? embedding + i * width : NULL, &err))
            status = fail_with(&err);
    }
    if (!status && logits_path && rn_tensor_save(logits_path, logits, 2, (int64_t[2]){n, classes}, &err))
        status = fail_with(&err);
    if (!status && embedding_path && rn_tensor_save(embedding_path, embedding, 2, (int64_t[2]){n, width}, &err))
        status = fail_with(&err);
    free(logits);
    free(embedding);
    return status;
}

int verb_run(const command *c)
{
    rn_error err = {0};
    rn_model *model = NULL;
    rn_session *session = NULL;
    rn_session_options options = {0};
    const char *path = c->arguments[1];
    float *x = NULL;
    int64_t shape[8], n = 1;
    int dims = 0, channels, height, width, status = EXIT_WORK;
    if (!option_text(c, "logits") && !option_text(c, "embedding")) {
        complain("run: say what to write: --logits OUT.npy, --embedding OUT.npy, or both");
        return EXIT_USE;
    }
    if (rn_model_load(&model, c->arguments[0], &err) || rn_tensor_load(path, &x, &dims, shape, &err)) {
        status = fail_with(&err);
        goto done;
    }
    rn_model_input(model, &channels, &height, &width);
    if (option_text(c, "embedding") && !rn_model_embedding(model)) {
        complain("%s: the network has no embedding: it was made with --embedding 0 and a pool of several bins", c->arguments[0]);
        goto done;
    }
    if (option_text(c, "logits") && !rn_model_classes(model)) {
        complain("%s: the network has no classes, only an embedding", c->arguments[0]);
        goto done;
    }
    if (dims < 2 || dims > 4 || (dims == 2 ? 1 : shape[dims - 3]) != channels) {
        if (dims >= 3 && dims <= 4) {
            complain("%s: %lld channels, the network takes %d", path, (long long)shape[dims - 3], channels);
            goto done;
        }
        status = wrong_shape(path, dims, channels);
        goto done;
    }
    if (dims == 4)
        n = shape[0];
    if (n < 1 || shape[dims - 2] < 1 || shape[dims - 1] < 1 || shape[dims - 2] > 1000000 || shape[dims - 1] > 1000000) {
        complain("%s: nothing in it, or more than 1,000,000 rows or columns", path);
        goto done;
    }
    options.height = (int)shape[dims - 2];
    options.width = (int)shape[dims - 1];
    options.batch = (int)option_integer(c, "batch", 8);
    options.batch = n < options.batch ? (int)n : options.batch;
    options.threads = (int)option_integer(c, "threads", 0);
    if (rn_session_open(&session, model, &options, &err)) {
        complain("%s: %s", path, err.text);
        goto done;
    }
    status = run_all(c, session, model, x, n, (int64_t)channels * options.height * options.width, options.batch);
done:
    rn_tensor_free(x);
    rn_session_close(&session);
    rn_model_close(&model);
    return status;
}
