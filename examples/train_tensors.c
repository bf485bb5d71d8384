/* Trains in process, on arrays that the program made itself, and uses the model without a file in between.
 *
 *     cc train_tensors.c -o train_tensors $(pkg-config --cflags --libs resnet)
 *     ./train_tensors
 *
 * The task is small enough for seconds: 16x16 pictures with horizontal or vertical stripes, under noise.
 */
#include <resnet.h>
#include <stdio.h>
#include <stdlib.h>

enum { COUNT = 240, SIDE = 16, CLASSES = 2 };

/* A generator of our own, so that every machine draws the same pictures. */
static float noise(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) / (float)(1 << 24) - 0.5f;
}

static void make_picture(float *x, int label, unsigned *state)
{
    int phase = (int)(4 * (noise(state) + 0.5f));
    for (int row = 0; row < SIDE; row++)
        for (int column = 0; column < SIDE; column++)
            x[row * SIDE + column] = (((label ? column : row) + phase) / 2 % 2 ? 1.0f : -1.0f) + 2 * noise(state);
}

static int on_progress(void *context, const rn_training_progress *p)
{
    (void)context;
    if (p->stage == RN_TRAINING_EPOCH)
        printf("epoch %d  loss %.3f  validation %.1f %%\n", p->epoch, p->loss, 100 * p->validation_accuracy);
    return 0; /* anything else would stop the training after this step */
}

int main(void)
{
    static const char *const names[CLASSES] = {"horizontal", "vertical"};
    static float x[COUNT][SIDE * SIDE], logits[CLASSES], probability[CLASSES];
    static int labels[COUNT];
    rn_error err = {0};
    rn_data *data = NULL;
    rn_training *training = NULL;
    rn_model *model = NULL;
    rn_session *session = NULL;
    rn_training_watch watch = {.progress = on_progress};
    rn_training_result result;
    unsigned state = 1;
    int failed = 1;

    for (int i = 0; i < COUNT; i++) {
        labels[i] = i % CLASSES;
        make_picture(x[i], labels[i], &state);
    }
    if (rn_data_from_tensors(&data, x[0], labels, COUNT, 1, SIDE, SIDE, names, CLASSES, NULL, &err) ||
        rn_training_open(&training, data, "{\"arch.name\": \"resnet20\", \"epochs\": 3, \"batch\": 16, \"lr\": 0.05}", NULL, 0, &watch,
                         &err) ||
        rn_training_run(training, &result, &err) || rn_training_take_model(training, &model, &err))
        goto done;
    printf("test %.1f %% of %d pictures\n", 100 * result.test_accuracy, result.test_items);

    if (rn_session_open(&session, model, NULL, &err))
        goto done;
    make_picture(x[0], 1, &state);
    if (rn_session_run(session, 1, x[0], logits, NULL, &err))
        goto done;
    rn_logits_softmax(logits, CLASSES, probability);
    printf("a picture with vertical stripes: %s %.1f %%, %s %.1f %%\n", rn_model_label(model, 0), 100 * probability[0],
           rn_model_label(model, 1), 100 * probability[1]);
    failed = 0;
done:
    if (failed)
        fprintf(stderr, "%s\n", err.text);
    rn_session_close(&session);
    rn_model_close(&model);
    rn_training_close(&training);
    rn_data_close(&data);
    return failed;
}
