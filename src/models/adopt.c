/* Weights of one model for another: what fits by name and shape is kept, what does not is drawn anew, and each such tensor is named. */
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

/* The parameter of `from` that may be copied into p, or NULL with the reason in `why`. */
static const rn_param *source_of(const rn_model *model, const rn_param *p, const rn_model *from, int labels, char *why, size_t size)
{
    int index = rn_graph_param(from->graph, p->name);
    const rn_param *q = index < 0 ? NULL : &from->graph->params[index];
    if (!q) {
        snprintf(why, size, "the given model has none");
        return NULL;
    }
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
        if (q) {
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
