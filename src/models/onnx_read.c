/* ONNX files read as models.
 *
 * The graph is brought down to layers (onnx_net.c), described (onnx_arch.c, or by the resnet.config that our own files carry), and the network of
 * that description is laid over it from its end to its beginning: every node of ours must meet a layer that computes the same, and takes its
 * parameters. Nothing is taken on trust: a description that does not fit fails at the first node that differs.
 *
 * A convolution with BN folded into it has a bias instead. Its BN becomes weight 1, that bias, mean 0 and variance (float)(1 - eps), whose
 * scale 1 / sqrt(variance + eps) changes no bit of a weight: it differs from 1 by less than 2^-25, half the distance between two floats.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "formats/json.h"
#include "models/config.h"
#include "models/onnx.h"
#include "models/onnx_arch.h"
#include "models/onnx_net.h"

enum { MOST_MADE = 512 << 20 }; /* bytes of tensors that do not lie in the file as they are wanted */

typedef struct reading {
    rn_onnx file;
    rn_onnx_net net;
    rn_arch arch;
    rn_graph *graph;
    int *layers;        /* [nodes] of the graph: the layer that it is; -1: not known yet */
    rn_tensors tensors; /* under our names */
    const char *path;
    rn_error *err;
} reading;

/* ---- Tensors ---- */

static float *make_room(const reading *r, int64_t count)
{
    return rn_onnx_room((rn_onnx *)&r->file, (size_t)count, sizeof(float));
}

static int add_tensor(reading *r, int param, rn_dtype dtype, const void *data)
{
    const rn_param *p = &r->graph->params[param];
    int64_t shape[4];
    for (int d = 0; d < p->dims; d++)
        shape[d] = p->shape[d];
    return rn_tensors_add(&r->tensors, p->name, dtype, p->dims, shape, data, r->err);
}

static int add_made(reading *r, int param, float *data)
{
    return data ? add_tensor(r, param, RN_F32, data)
                : rn_error_memory(r->err, r->graph->params[param].name, (unsigned long long)r->graph->params[param].count * 4);
}

/* A tensor of the file as one of ours, used where it lies if it can be. */
static int take_tensor(reading *r, const rn_onnx_layer *layer, int param, const rn_onnx_tensor *t, int transposed)
{
    const rn_param *p = &r->graph->params[param];
    rn_dtype dtype = t->type == RN_ONNX_FLOAT      ? RN_F32
                     : t->type == RN_ONNX_FLOAT16  ? RN_F16
                     : t->type == RN_ONNX_BFLOAT16 ? RN_BF16
                                                   : RN_F64;
    if (t->count != p->count)
        return rn_onnx_refuse(&r->net, layer->node, r->err, "%lld numbers for %s of %s, which has %lld", (long long)t->count, p->name,
                              r->arch.name, (long long)p->count);
    if (!t->filled && !transposed)
        return add_tensor(r, param, dtype, t->data);
    float *made = make_room(r, p->count);
    int64_t rows = p->shape[0], columns = p->count / rows;
    for (int64_t i = 0; made && i < rows; i++)
        for (int64_t k = 0; k < columns; k++)
            made[i * columns + k] = (float)rn_onnx_real(t, transposed ? k * rows + i : i * columns + k);
    return add_made(r, param, made);
}

static float *repeated(const reading *r, int64_t count, float number)
{
    float *made = make_room(r, count);
    for (int64_t i = 0; made && i < count; i++)
        made[i] = number;
    return made;
}

/* ---- Nodes ---- */

#define DIFFERS(r, layer, ...) rn_onnx_refuse(&(r)->net, (layer)->node, (r)->err, __VA_ARGS__)

/* Node `node` of the network must be this layer; so it must be for all that read it. */
static int claim(reading *r, int node, int layer, const rn_onnx_layer *reader)
{
    if (r->layers[node] >= 0 && r->layers[node] != layer)
        return DIFFERS(r, reader, "it does not read what it would in %s (%s)", r->arch.name, r->graph->nodes[node].name);
    r->layers[node] = layer;
    return 0;
}

static int has_pads(const rn_onnx_layer *l, int before, int behind)
{
    return l->pads[0] == before && l->pads[1] == before && l->pads[2] == behind && l->pads[3] == behind;
}

static int all_are(const rn_onnx_tensor *t, double number)
{
    for (int64_t i = 0; i < t->count; i++)
        if (rn_onnx_real(t, i) != number)
            return 0;
    return 1;
}

/* Then a convolution's bias is theirs. */
static int all_readers_normalise(const rn_graph *g, int node)
{
    for (int i = node + 1; i < g->nodes_count; i++)
        if ((g->nodes[i].a == node && g->nodes[i].op != RN_OP_BN) || g->nodes[i].b == node)
            return 0;
    return 1;
}

static int check_conv(reading *r, const rn_node *n, const rn_onnx_layer *l)
{
    const rn_param *p = &r->graph->params[n->weight];
    if (l->kernel_h != n->kernel_h || l->kernel_w != n->kernel_w || l->stride != n->stride || !has_pads(l, n->pad, n->pad))
        return DIFFERS(r, l, "kernel %dx%d, stride %d, padding %d,%d,%d,%d, where %s has %dx%d, %d, %d (%s)", l->kernel_h, l->kernel_w,
                       l->stride, l->pads[0], l->pads[1], l->pads[2], l->pads[3], r->arch.name, n->kernel_h, n->kernel_w, n->stride, n->pad,
                       n->name);
    for (int d = 0; d < 4; d++)
        if (l->weight->shape[d] != p->shape[d])
            return DIFFERS(r, l, "a weight of %lldx%lldx%lldx%lld, where %s of width %d has %dx%dx%dx%d (%s)",
                           (long long)l->weight->shape[0], (long long)l->weight->shape[1], (long long)l->weight->shape[2],
                           (long long)l->weight->shape[3], r->arch.name, r->arch.width, p->shape[0], p->shape[1], p->shape[2], p->shape[3],
                           n->name);
    if (l->bias && !all_readers_normalise(r->graph, (int)(n - r->graph->nodes)) && !all_are(l->bias, 0))
        return DIFFERS(r, l, "a bias, where %s has none (%s)", r->arch.name, n->name);
    return take_tensor(r, l, n->weight, l->weight, 0);
}

/* BN that was folded into the convolution below it: what is left is the bias. */
static int take_folded(reading *r, const rn_node *n, const rn_onnx_layer *conv)
{
    int64_t count = r->graph->params[n->weight].count;
    float unit = (float)(1 - n->eps);
    if (fabs(1 / sqrt((double)unit + n->eps) - 1) >= 0x1p-25)
        return DIFFERS(r, conv, "its folded normalisation cannot be undone with an eps of %g", n->eps);
    int status = conv->bias ? take_tensor(r, conv, n->bias, conv->bias, 0) : add_made(r, n->bias, repeated(r, count, 0));
    if (!status)
        status = add_made(r, n->weight, repeated(r, count, 1));
    if (!status)
        status = add_made(r, n->mean, repeated(r, count, 0));
    return status ? status : add_made(r, n->var, repeated(r, count, unit));
}

/* BN behind a convolution with a bias of its own, which only moves the mean. */
static int take_moved_mean(reading *r, const rn_node *n, const rn_onnx_layer *l, const rn_onnx_tensor *bias)
{
    if (all_are(bias, 0))
        return take_tensor(r, l, n->mean, l->mean, 0);
    float *made = make_room(r, bias->count);
    for (int64_t i = 0; made && i < bias->count; i++)
        made[i] = (float)(rn_onnx_real(l->mean, i) - rn_onnx_real(bias, i));
    return add_made(r, n->mean, made);
}

static int take_norm(reading *r, const rn_node *n, int layer)
{
    const rn_onnx_layer *l = &r->net.layers[layer], *conv = l->kind == RN_LAYER_BN ? &r->net.layers[l->a] : l;
    int behind_conv = r->graph->nodes[n->a].op == RN_OP_CONV, status;
    if (l->kind == RN_LAYER_CONV && behind_conv)
        return (status = claim(r, n->a, layer, l)) ? status : take_folded(r, n, l);
    if (l->kind != RN_LAYER_BN)
        return DIFFERS(r, l, "%s has a batch normalisation there (%s)", r->arch.name, n->name);
    if ((float)l->eps != (float)n->eps)
        return DIFFERS(r, l, "epsilon %g, other normalisations of the file have %g", l->eps, n->eps);
    if (n->weight < 0 && (!all_are(l->weight, 1) || !all_are(l->bias, 0)))
        return DIFFERS(r, l, "weights in a normalisation that has none in %s (%s)", r->arch.name, n->name);
    if (n->weight >= 0 && ((status = take_tensor(r, l, n->weight, l->weight, 0)) || (status = take_tensor(r, l, n->bias, l->bias, 0))))
        return status;
    if ((status = claim(r, n->a, l->a, l)) || (status = take_tensor(r, l, n->var, l->var, 0)))
        return status;
    if (conv->kind == RN_LAYER_CONV && conv->bias && behind_conv)
        return take_moved_mean(r, n, l, conv->bias);
    return take_tensor(r, l, n->mean, l->mean, 0);
}

static int check_maxpool(reading *r, const rn_node *n, const rn_onnx_layer *l)
{
    /* ceil_mode without padding sees what a row and a column behind the edge would show: both take the last pixels or leave nothing over */
    int ends = l->ceil && has_pads(l, 0, 0) && n->pad == 0 && n->pad_end == n->kernel_h - n->stride;
    if (l->kernel_h != n->kernel_h || l->kernel_w != n->kernel_w || l->stride != n->stride ||
        (!ends && (l->ceil || !has_pads(l, n->pad, n->pad_end))))
        return DIFFERS(r, l, "kernel %dx%d, stride %d, padding %d,%d,%d,%d%s, where %s has another pool (%s)", l->kernel_h, l->kernel_w,
                       l->stride, l->pads[0], l->pads[1], l->pads[2], l->pads[3], l->ceil ? ", ceil_mode" : "", r->arch.name, n->name);
    return 0;
}

/* 2x2 of stride 2, where a last odd row or column counts by itself. */
static int check_meanpool(reading *r, const rn_node *n, const rn_onnx_layer *l)
{
    const rn_onnx_layer *in = &r->net.layers[l->a];
    int even = in->h && in->w && in->h % 2 == 0 && in->w % 2 == 0;
    if (l->kernel_h != 2 || l->kernel_w != 2 || l->stride != 2 || l->stride_w != 2 || !has_pads(l, 0, 0) ||
        (!even && (!l->ceil || l->counts_pads)))
        return DIFFERS(r, l, "an average that is none of 2x2 in steps of 2 up to the edge, as %s has it (%s)", r->arch.name, n->name);
    return 0;
}

/* A pool with a window, over a map of a known size, is an adaptive one if its windows are the bins. */
static int check_average(reading *r, const rn_node *n, const rn_onnx_layer *l)
{
    const rn_onnx_layer *in = &r->net.layers[l->a];
    int is_bins = l->kind == RN_LAYER_POOL && l->out_h == n->out_h && l->out_w == n->out_w;
    if (l->kind == RN_LAYER_AVGPOOL && has_pads(l, 0, 0))
        is_bins = l->h == n->out_h && l->w == n->out_w && in->h == l->kernel_h * l->h && in->w == l->kernel_w * l->w &&
                  (l->h == 1 || l->stride == l->kernel_h) && (l->w == 1 || l->stride_w == l->kernel_w);
    return is_bins ? 0 : DIFFERS(r, l, "an average that is no adaptive pool to %dx%d", n->out_h, n->out_w);
}

static int check_linear(reading *r, const rn_node *n, const rn_onnx_layer *l)
{
    const rn_param *p = &r->graph->params[n->weight];
    if (l->channels != n->channels || l->weight->count != p->count ||
        (l->kind == RN_LAYER_CONV && (l->kernel_h != 1 || l->kernel_w != 1 || l->stride != 1 || l->group != 1 || !has_pads(l, 0, 0))))
        return DIFFERS(r, l, "a layer of %d outputs and %lld weights, where %s has %d and %lld (%s)", l->channels,
                       (long long)l->weight->count, r->arch.name, n->channels, (long long)p->count, n->name);
    int status = take_tensor(r, l, n->weight, l->weight, l->transposed);
    if (status)
        return status;
    return l->bias ? take_tensor(r, l, n->bias, l->bias, 0) : add_made(r, n->bias, repeated(r, n->channels, 0));
}

static const char *const kinds[] = {[RN_LAYER_INPUT] = "the input",        [RN_LAYER_CONV] = "a convolution",
                                    [RN_LAYER_BN] = "a normalisation",     [RN_LAYER_RELU] = "a ReLU",
                                    [RN_LAYER_ADD] = "an addition",        [RN_LAYER_PADSHORT] = "a zero-padding shortcut",
                                    [RN_LAYER_MAXPOOL] = "a maximum pool", [RN_LAYER_AVGPOOL] = "an average pool",
                                    [RN_LAYER_POOL] = "an average pool",   [RN_LAYER_LINEAR] = "a linear layer",
                                    [RN_LAYER_TSTP] = "a statistics pool", [RN_LAYER_SPREAD] = "a part of a statistics pool",
                                    [RN_LAYER_SIGMOID] = "a sigmoid",      [RN_LAYER_SCALE] = "a squeeze and excitation"};

/* Which layer a node of ours is. */
static int fits(rn_op op, rn_layer_kind kind)
{
    switch (op) {
    case RN_OP_INPUT:
        return kind == RN_LAYER_INPUT;
    case RN_OP_CONV:
        return kind == RN_LAYER_CONV;
    case RN_OP_BN:
        return kind == RN_LAYER_BN || kind == RN_LAYER_CONV;
    case RN_OP_RELU:
        return kind == RN_LAYER_RELU;
    case RN_OP_ADD:
        return kind == RN_LAYER_ADD;
    case RN_OP_PADSHORT:
        return kind == RN_LAYER_PADSHORT;
    case RN_OP_MAXPOOL:
        return kind == RN_LAYER_MAXPOOL;
    case RN_OP_MEANPOOL:
        return kind == RN_LAYER_AVGPOOL;
    case RN_OP_SIGMOID:
        return kind == RN_LAYER_SIGMOID;
    case RN_OP_SCALE:
        return kind == RN_LAYER_SCALE;
    case RN_OP_TSTP:
        return kind == RN_LAYER_TSTP;
    case RN_OP_SQUEEZE:
    case RN_OP_AVGPOOL:
        return kind == RN_LAYER_POOL || kind == RN_LAYER_AVGPOOL;
    case RN_OP_LINEAR:
        return kind == RN_LAYER_LINEAR || kind == RN_LAYER_CONV;
    default:
        return 0;
    }
}

static int match(reading *r, int node)
{
    const rn_node *n = &r->graph->nodes[node];
    int layer = r->layers[node], status = 0;
    if (layer < 0)
        return rn_onnx_refuse(&r->net, -1, r->err, "%s has %s, which the file has not", r->arch.name, n->name);
    const rn_onnx_layer *l = &r->net.layers[layer];
    if (!fits(n->op, l->kind))
        return DIFFERS(r, l, "%s stands where %s has %s", kinds[l->kind], r->arch.name, n->name);
    switch (n->op) {
    case RN_OP_INPUT:
        return 0;
    case RN_OP_BN:
        return take_norm(r, n, layer);
    case RN_OP_CONV:
        status = check_conv(r, n, l);
        break;
    case RN_OP_MAXPOOL:
        status = check_maxpool(r, n, l);
        break;
    case RN_OP_MEANPOOL:
        status = check_meanpool(r, n, l);
        break;
    case RN_OP_TSTP:
        if ((float)l->eps != (float)n->eps)
            status = DIFFERS(r, l, "an eps of %g, where %s has %g", l->eps, r->arch.name, n->eps);
        break;
    case RN_OP_SQUEEZE:
    case RN_OP_AVGPOOL:
        status = check_average(r, n, l);
        break;
    case RN_OP_LINEAR:
        status = check_linear(r, n, l);
        break;
    case RN_OP_PADSHORT:
        if (l->channels != n->channels || l->stride != n->stride || l->front != n->before)
            status = DIFFERS(r, l, "stride %d and %d channels, %d of zeros in front, where %s has %d, %d and %d (%s)", l->stride,
                             l->channels, l->front, r->arch.name, n->stride, n->channels, n->before, n->name);
        break;
    default:
        break;
    }
    if (!status)
        status = claim(r, n->a, l->a, l);
    return !status && n->b >= 0 ? claim(r, n->b, l->b, l) : status;
}

/* The outputs, and then every node from the last to the first. */
static int match_all(reading *r)
{
    const rn_graph *g = r->graph;
    int last = 0, status = 0;
    for (int i = 0; i < g->nodes_count; i++)
        r->layers[i] = -1;
    for (int i = 0; i < r->net.outputs_count; i++)
        last = r->net.outputs[i] > last ? r->net.outputs[i] : last;
    r->layers[g->logits >= 0 ? g->logits : g->embedding] = last;
    for (int i = g->nodes_count - 1; i >= 0 && !status; i--)
        status = match(r, i);
    for (int i = 0; i < r->net.outputs_count && !status; i++)
        if (r->net.outputs[i] != last && (g->embedding < 0 || r->net.outputs[i] != r->layers[g->embedding]))
            status =
                rn_onnx_refuse(&r->net, r->net.layers[r->net.outputs[i]].node, r->err, "an output that is neither logits nor embedding");
    return status;
}

/* ---- The model ---- */

/* What a file of others is described by: the network, and numbers for labels. */
static int new_description(reading *r)
{
    char *text = NULL;
    json_t *config = json_pack("{s:i, s:o, s:o}", "arithmetic", RN_ARITHMETIC, "arch", rn_arch_json(&r->arch), "labels",
                               rn_labels_json(NULL, r->arch.classes));
    int status =
        config ? rn_json_dump(config, JSON_COMPACT | JSON_SORT_KEYS, &text, r->err) : rn_error_memory(r->err, "a model's description", 1);
    if (!status)
        status = rn_tensors_set_metadata(&r->tensors, RN_MODEL_CONFIG, text, r->err);
    free(text);
    json_decref(config);
    return status;
}

static int describe(reading *r)
{
    const char *text = rn_onnx_metadata(&r->file, RN_MODEL_CONFIG); /* where one of ours has it */
    json_t *config = NULL;
    int status = text ? rn_tensors_set_metadata(&r->tensors, RN_MODEL_CONFIG, text, r->err) : 0;
    if (!status && text && !(status = rn_config_read(r->path, &r->tensors, &config, r->err)))
        status = rn_arch_from_json(&r->arch, r->path, json_object_get(config, "arch"), r->err);
    else if (!status && !text && !(status = rn_onnx_arch(&r->net, &r->arch, r->err)))
        status = new_description(r);
    json_decref(config);
    return status;
}

static int build(reading *r, rn_model **model)
{
    rn_error why;
    int status = rn_onnx_lower(&r->net, &r->file, r->path, r->err);
    if (status || (status = rn_onnx_order_terms(&r->net, r->err)) || (status = describe(r)))
        return status;
    if ((status = rn_arch_graph(&r->arch, &r->graph, &why)))
        return rn_error_set(r->err, status == RN_ERR_ARG ? RN_ERR_UNSUPPORTED : status, "%s: %s", r->path, why.text);
    r->layers = malloc((size_t)r->graph->nodes_count * sizeof *r->layers);
    if (!r->layers)
        return rn_error_memory(r->err, "a list of layers", (unsigned long long)r->graph->nodes_count * sizeof *r->layers);
    r->file.most = r->file.used + MOST_MADE;
    return (status = match_all(r)) ? status : rn_model_from_tensors(model, r->path, &r->tensors, r->err);
}

static int finish(reading *r, rn_model **model, rn_text_fn report, void *context)
{
    unsigned state = rn_fp_enter();
    int status = build(r, model);
    rn_fp_leave(state);
    if (!status && report && r->net.softmax)
        report(context, "its last softmax is left out: what is answered are logits, and their softmax where probabilities are wanted");
    if (!status && report && r->net.channels_last)
        report(context, "its input has the channels last (N H W C); the model's has them first");
    rn_tensors_free(&r->tensors);
    rn_graph_close(&r->graph);
    free(r->layers);
    rn_onnx_free(&r->file);
    return status;
}

int rn_onnx_load(rn_model **model, const char *path, rn_text_fn report, void *context, rn_error *err)
{
    reading r = {.path = path, .err = err};
    *model = NULL;
    int status = rn_onnx_read(path, &r.file, err);
    return status ? status : finish(&r, model, report, context);
}

int rn_onnx_load_bytes(rn_model **model, const char *name, const void *data, size_t size, rn_error *err)
{
    reading r = {.path = name, .err = err};
    *model = NULL;
    int status = rn_onnx_parse(name, data, size, &r.file, err);
    return status ? status : finish(&r, model, NULL, NULL);
}
