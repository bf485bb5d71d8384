/* Finds the recordings that sound most like one: nearest embeddings by the cosine of the angle between them.
 *
 *     cc search.c -o search $(pkg-config --cflags --libs resnet)
 *     ./search run/model.safetensors garden.flac birds/robin/0413.wav birds/wren/0001.wav birds/wren/0002.wav
 *
 * A long recording has several windows; here it stands for itself by their mean.
 */
#include <resnet.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct recording {
    const char *path;
    float *vector; /* sum over windows; its length does not matter to an angle */
    int size;
    double square;   /* vector . vector */
    double nearness; /* cosine^2 with the sign of the cosine: the same order as the cosine */
} recording;

static int add_window(void *context, const rn_answer *answer)
{
    recording *r = context;
    for (int i = 0; i < r->size; i++)
        r->vector[i] += answer->embedding[i];
    return 0;
}

static double dot(const recording *a, const recording *b)
{
    double sum = 0;
    for (int i = 0; i < a->size; i++)
        sum += (double)a->vector[i] * b->vector[i];
    return sum;
}

static int nearest_first(const void *a, const void *b)
{
    const recording *p = a, *q = b;
    return (p->nearness < q->nearness) - (p->nearness > q->nearness);
}

static int embed(rn_session *session, recording *r, const char *path, int size, rn_error *err)
{
    rn_listen listen = {.want_embedding = 1};
    r->path = path;
    r->size = size;
    r->vector = calloc((size_t)size, sizeof *r->vector);
    if (!r->vector) {
        snprintf(err->text, sizeof err->text, "no memory");
        return RN_ERR_MEMORY;
    }
    int status = rn_session_file(session, path, &listen, add_window, r, err);
    r->square = dot(r, r);
    return status;
}

int main(int argc, char **argv)
{
    rn_error err = {0};
    rn_model *model = NULL;
    rn_session *session = NULL;
    recording *all = NULL;
    int failed = 1, count = argc - 2;
    if (argc < 4) {
        fprintf(stderr, "usage: search MODEL FILE FILE...\n");
        return 2;
    }
    if (rn_model_load(&model, argv[1], &err) || rn_session_open(&session, model, NULL, &err))
        goto done;
    if (!rn_model_embedding(model) || !(all = calloc((size_t)count, sizeof *all))) {
        snprintf(err.text, sizeof err.text, "%s: the network has no embedding, or there is no memory", argv[1]);
        goto done;
    }
    for (int i = 0; i < count; i++)
        if (embed(session, &all[i], argv[i + 2], rn_model_embedding(model), &err))
            goto done;
    for (int i = 1; i < count; i++) {
        double d = dot(&all[0], &all[i]), lengths = all[0].square * all[i].square;
        all[i].nearness = lengths > 0 ? d * (d < 0 ? -d : d) / lengths : 0;
    }
    qsort(all + 1, (size_t)(count - 1), sizeof *all, nearest_first);
    for (int i = 1; i < count; i++)
        printf("%.4f  %s\n", all[i].nearness, all[i].path);
    failed = 0;
done:
    if (failed)
        fprintf(stderr, "%s\n", err.text);
    for (int i = 0; all && i < count; i++)
        free(all[i].vector);
    free(all);
    rn_session_close(&session);
    rn_model_close(&model);
    return failed;
}
