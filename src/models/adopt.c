/* Weights of one model for another: what fits by name and shape is kept, what does not is drawn anew, and each such tensor is named.
 *
 * The first convolution also fits another number of channels: from three to one its weights are added over the channels, ((w0 + w1) + w2), so that a
 * grey picture is answered as one whose channels are equal (timm does so); from one to three each gets a third of them.
 */
#include "models/model.h"

#include <stdio.h>
#include <string.h>

static int same_labels(const rn_model *a, const rn_model *b)
{
    if (a->arch.classes != b->arch.classes)
        return 0;
    for (int i = 0; i < a->arch.classes; i++)
        if (strcmp(a->labels[i], b->labels[i]) != 0)
            return 0;
    return 1;
}

static float *values(const rn_model *m, const rn_param *p)
{
    return (p->kind >= RN_PARAM_BN_MEAN ? m->stats : m->weights) + p->offset;
}

static void shape_text(const rn_param *p, char *text, size_t size)
{
    text[0] = 0;
    for (int d = 0; d < p->dims; d++) {
        size_t n = strlen(text);
        snprintf(text + n, size - n, "%s%d", d ? "x" : "", p->shape[d]);
    }
}

/* Of 3 channels for 1, or the reverse, and else alike? */
static int is_other_stem(const rn_model *model, const rn_param *p, const rn_param *q)
{
    return p->kind == RN_PARAM_CONV && q->kind == RN_PARAM_CONV && model->graph->nodes[p->node].a == 0 && p->shape[0] == q->shape[0] &&
           p->shape[2] == q->shape[2] && p->shape[3] == q->shape[3] &&
           ((p->shape[1] == 1 && q->shape[1] == 3) || (p->shape[1] == 3 && q->shape[1] == 1));
}

static void copy_stem(const rn_param *p, float *to, const rn_param *q, const float *from)
{
    int size = p->shape[2] * p->shape[3];
    for (int k = 0; k < p->shape[0]; k++, to += p->shape[1] * size, from += q->shape[1] * size)
        for (int i = 0; i < size; i++)
            if (p->shape[1] == 1)
                to[i] = (from[i] + from[size + i]) + from[2 * size + i];
            else
                to[i] = to[size + i] = to[2 * size + i] = from[i] / 3;
}

/* The parameter of `from` that may be copied into p, or NULL with the reason in `why`. */
static const rn_param *source_of(const rn_model *model, const rn_param *p, const rn_model *from, int labels, char *why, size_t size)
{
    int index = rn_graph_param(from->graph, p->name);
    const rn_param *q = index < 0 ? NULL : &from->graph->params[index];
    if (!q) {
        snprintf(why, size, "the given model has none");
        return NULL;
    }
    if (is_other_stem(model, p, q))
        return q;
    if (q->kind != p->kind || q->dims != p->dims || memcmp(q->shape, p->shape, (size_t)p->dims * sizeof *p->shape) != 0) {
        char have[64], want[64];
        shape_text(q, have, sizeof have);
        shape_text(p, want, sizeof want);
        snprintf(why, size, "%s, the given model has %s", want, have);
        return NULL;
    }
    if (!labels && (p->node == model->graph->logits || q->node == from->graph->logits)) {
        snprintf(why, size, "the classes are others");
        return NULL;
    }
    return q;
}

int rn_model_adopt(rn_model *model, const rn_model *from, uint64_t seed, rn_text_fn report, void *context, rn_error *err)
{
    int labels = same_labels(model, from), kept = 0;
    char line[320], why[160];
    for (int i = 0; i < model->graph->params_count; i++)
        kept += source_of(model, &model->graph->params[i], from, labels, why, sizeof why) != NULL;
    if (!kept)
        return rn_error_set(err, RN_ERR_MISMATCH, "No tensor of the given model (%s of width %d) fits into %s of width %d", from->arch.name,
                            from->arch.width, model->arch.name, model->arch.width);
    rn_arch_init(model->graph, RN_INIT_PYTORCH, 0, seed, model->weights, model->stats);
    for (int i = 0; i < model->graph->params_count; i++) {
        const rn_param *p = &model->graph->params[i], *q = source_of(model, p, from, labels, why, sizeof why);
        if (q && is_other_stem(model, p, q)) {
            copy_stem(p, values(model, p), q, values(from, q));
            snprintf(line, sizeof line, "%s: from %d channels to %d (%s)", p->name, q->shape[1], p->shape[1],
                     p->shape[1] == 1 ? "added over the channels" : "a third each");
            if (report)
                report(context, line);
        } else if (q) {
            memcpy(values(model, p), values(from, q), (size_t)p->count * sizeof(float));
        } else if (report) {
            snprintf(line, sizeof line, "%s: new (%s)", p->name, why);
            report(context, line);
        }
    }
    for (int i = 0; report && i < from->graph->params_count; i++)
        if (rn_graph_param(model->graph, from->graph->params[i].name) < 0) {
            snprintf(line, sizeof line, "%s: ignored (this network has none)", from->graph->params[i].name);
            report(context, line);
        }
    return 0;
}
