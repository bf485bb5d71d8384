/* Occlusion: what the answer loses where the input is covered. */
#include <stdlib.h>
#include <string.h>

#include "judge/explain.h"
#include "base/maths.h"

enum { BATCH = 16 };

typedef struct occluding {
    const rn_occlusion *o;
    int classes, c, h, w, label;
    int across, down;          /* patches */
    const float *x;
    float *inputs, *logits, *probability;
    double *sums;              /* [h][w] */
    int *covered;              /* [h][w] */
    double before;             /* the probability with nothing covered */
} occluding;

/* The last patch ends at the edge. */
static int origin(int i, int step, int patch, int side)
{
    return i * step + patch > side ? side - patch : i * step;
}

static int patches(int side, int patch, int step)
{
    return patch >= side ? 1 : (side - patch + step - 1) / step + 1;
}

static void cover(const occluding *d, int patch, float *input)
{
    int64_t pixels = (int64_t)d->h * d->w;
    int top = origin(patch / d->across, d->o->step_h, d->o->patch_h, d->h), left = origin(patch % d->across, d->o->step_w, d->o->patch_w, d->w);
    memcpy(input, d->x, (size_t)(d->c * pixels) * sizeof *input);
    for (int k = 0; k < d->c; k++)
        for (int r = top; r < top + d->o->patch_h; r++)
            for (int s = left; s < left + d->o->patch_w; s++)
                input[k * pixels + (int64_t)r * d->w + s] = d->o->fill;
}

static void count_loss(const occluding *d, int patch, double loss)
{
    int top = origin(patch / d->across, d->o->step_h, d->o->patch_h, d->h), left = origin(patch % d->across, d->o->step_w, d->o->patch_w, d->w);
    for (int r = top; r < top + d->o->patch_h; r++)
        for (int s = left; s < left + d->o->patch_w; s++) {
            d->sums[(int64_t)r * d->w + s] += loss;
            d->covered[(int64_t)r * d->w + s]++;
        }
}

static int allocate(occluding *d, rn_error *err)
{
    size_t pixels = (size_t)d->h * (size_t)d->w, inputs = BATCH * (size_t)d->c * pixels;
    d->inputs = malloc(inputs * sizeof *d->inputs);
    d->logits = malloc(BATCH * (size_t)d->classes * sizeof *d->logits);
    d->probability = malloc((size_t)d->classes * sizeof *d->probability);
    d->sums = calloc(pixels, sizeof *d->sums);
    d->covered = calloc(pixels, sizeof *d->covered);
    return d->inputs && d->logits && d->probability && d->sums && d->covered ? 0 : rn_error_memory(err, "occlusion", inputs * sizeof(float));
}

static double probability(occluding *d, const float *logits)
{
    (d->o->several ? rn_sigmoids : rn_softmax)(logits, d->classes, d->o->temperature, d->probability, NULL);
    return (double)d->probability[d->label];
}

int rn_occlude(rn_infer *engine, int classes, int c, int h, int w, const float *x, int label, const rn_occlusion *options,
               int (*progress)(void *context, int64_t done, int64_t total), void *context, float *map, rn_error *err)
{
    rn_occlusion o = *options;
    o.patch_h = o.patch_h > h ? h : o.patch_h;
    o.patch_w = o.patch_w > w ? w : o.patch_w;
    occluding d = {.o = &o, .classes = classes, .c = c, .h = h, .w = w, .label = label, .x = x, .across = patches(w, o.patch_w, o.step_w),
        .down = patches(h, o.patch_h, o.step_h)};
    int total = d.across * d.down, status = allocate(&d, err);
    if (!status && !(status = rn_infer_run(engine, 1, h, w, x, d.logits, NULL, err)))
        d.before = probability(&d, d.logits);
    for (int first = 0, count; first < total && !status; first += count) {
        count = total - first < BATCH ? total - first : BATCH;
        for (int i = 0; i < count; i++)
            cover(&d, first + i, d.inputs + (int64_t)i * c * h * w);
        status = rn_infer_run(engine, count, h, w, d.inputs, d.logits, NULL, err);
        for (int i = 0; i < count && !status; i++)
            count_loss(&d, first + i, d.before - probability(&d, d.logits + (int64_t)i * classes));
        if (!status && progress && progress(context, first + count, total))
            status = rn_error_set(err, RN_ERR_CANCELLED, "stopped after %d of %d patches", first + count, total);
    }
    for (int64_t i = 0; i < (int64_t)h * w && !status; i++)
        map[i] = (float)(d.sums[i] / d.covered[i]);
    free(d.inputs);
    free(d.logits);
    free(d.probability);
    free(d.sums);
    free(d.covered);
    return status;
}
