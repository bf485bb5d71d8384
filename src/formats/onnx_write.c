/* ONNX files written: small messages are put together in memory, the data of tensors go from where they are straight into the file.
 *
 * A message's length stands in front of it, so the graph's is computed first: everything but its initialisers is one buffer, each initialiser a few
 * bytes and its data. Numbers in lists are written one a field, as the format's second version does. With data in another file that one is
 * written first: a crash between the two leaves no model that names data which are not there.
 */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "formats/onnx_message.h"

enum { ALIGNMENT = 4096, SMALL = 1024 }; /* tensors of up to so many bytes stay in the model */
#define FORMAT_LIMIT (((uint64_t)1 << 31) - 1)

static uint64_t bytes_of(const rn_onnx_tensor *t)
{
    return (uint64_t)t->count * rn_onnx_type_size(t->type);
}

/* Everything of a TensorProto but its raw data. outside: where they lie in the file of that name; NULL: here. */
static void put_tensor_head(rn_proto_out *out, const rn_onnx_tensor *t, const char *outside, uint64_t offset)
{
    for (int d = 0; d < t->dims; d++)
        rn_proto_put_int(out, TENSOR_DIMS, t->shape[d]);
    rn_proto_put_int(out, TENSOR_TYPE, t->type);
    if (t->name[0])
        rn_proto_put_text(out, TENSOR_NAME, t->name);
    for (int i = 0; outside && i < 3; i++) {
        static const char *const keys[] = {"location", "offset", "length"};
        char number[24];
        rn_proto_out entry = {0};
        snprintf(number, sizeof number, "%llu", (unsigned long long)(i == 1 ? offset : bytes_of(t)));
        rn_proto_put_text(&entry, ENTRY_KEY, keys[i]);
        rn_proto_put_text(&entry, ENTRY_VALUE, i ? number : outside);
        rn_proto_put_message(out, TENSOR_EXTERNAL, &entry);
        rn_proto_free(&entry);
    }
    if (outside)
        rn_proto_put_int(out, TENSOR_LOCATION, 1);
}

static void put_attribute(rn_proto_out *out, const rn_onnx_attribute *a)
{
    rn_proto_out message = {0}, tensor = {0};
    rn_proto_put_text(&message, ATTRIBUTE_NAME, a->name);
    if (a->kind == RN_ONNX_A_FLOAT)
        rn_proto_put_float(&message, ATTRIBUTE_FLOAT, a->real);
    if (a->kind == RN_ONNX_A_INT)
        rn_proto_put_int(&message, ATTRIBUTE_INT, a->integer);
    if (a->kind == RN_ONNX_A_TEXT)
        rn_proto_put_text(&message, ATTRIBUTE_TEXT, a->text);
    if (a->kind == RN_ONNX_A_TENSOR) {
        put_tensor_head(&tensor, a->tensor, NULL, 0);
        rn_proto_put_bytes(&tensor, TENSOR_RAW, a->tensor->data, (size_t)bytes_of(a->tensor));
        rn_proto_put_message(&message, ATTRIBUTE_TENSOR, &tensor);
        rn_proto_free(&tensor);
    }
    for (int i = 0; a->kind == RN_ONNX_A_INTS && i < a->count; i++)
        rn_proto_put_int(&message, ATTRIBUTE_INTS, a->integers[i]);
    rn_proto_put_int(&message, ATTRIBUTE_KIND, a->kind);
    rn_proto_put_message(out, NODE_ATTRIBUTE, &message);
    rn_proto_free(&message);
}

static void put_node(rn_proto_out *out, const rn_onnx_node *n)
{
    rn_proto_out message = {0};
    for (int i = 0; i < n->inputs_count; i++)
        rn_proto_put_text(&message, NODE_INPUT, n->inputs[i]);
    for (int i = 0; i < n->outputs_count; i++)
        rn_proto_put_text(&message, NODE_OUTPUT, n->outputs[i]);
    rn_proto_put_text(&message, NODE_NAME, n->name);
    rn_proto_put_text(&message, NODE_OP, n->op);
    for (int i = 0; i < n->attributes_count; i++)
        put_attribute(&message, &n->attributes[i]);
    rn_proto_put_message(out, GRAPH_NODE, &message);
    rn_proto_free(&message);
}

static void put_value(rn_proto_out *out, uint32_t number, const rn_onnx_value *v)
{
    rn_proto_out shape = {0}, tensor = {0}, type = {0}, message = {0};
    for (int d = 0; d < v->dims; d++) {
        rn_proto_out axis = {0};
        if (v->shape[d] >= 0)
            rn_proto_put_int(&axis, DIM_VALUE, v->shape[d]);
        else
            rn_proto_put_text(&axis, DIM_NAME, v->axes[d]);
        rn_proto_put_message(&shape, SHAPE_DIM, &axis);
        rn_proto_free(&axis);
    }
    rn_proto_put_int(&tensor, TENSOR_TYPE_ELEMENT, v->type);
    rn_proto_put_message(&tensor, TENSOR_TYPE_SHAPE, &shape);
    rn_proto_put_message(&type, TYPE_TENSOR, &tensor);
    rn_proto_put_text(&message, VALUE_NAME, v->name);
    rn_proto_put_message(&message, VALUE_TYPE, &type);
    rn_proto_put_message(out, number, &message);
    rn_proto_free(&shape);
    rn_proto_free(&tensor);
    rn_proto_free(&type);
    rn_proto_free(&message);
}

/* The graph without its initialisers. */
static void put_graph(rn_proto_out *out, const rn_onnx *m)
{
    for (int i = 0; i < m->nodes_count; i++)
        put_node(out, &m->nodes[i]);
    rn_proto_put_text(out, GRAPH_NAME, m->name);
    for (int i = 0; i < m->inputs_count; i++)
        put_value(out, GRAPH_INPUT, &m->inputs[i]);
    for (int i = 0; i < m->outputs_count; i++)
        put_value(out, GRAPH_OUTPUT, &m->outputs[i]);
}

/* The model's fields beside its graph. */
static void put_model(rn_proto_out *out, const rn_onnx *m)
{
    rn_proto_out message = {0};
    rn_proto_put_int(out, MODEL_IR_VERSION, m->ir_version);
    rn_proto_put_text(out, MODEL_PRODUCER, m->producer);
    rn_proto_put_text(out, MODEL_PRODUCER_VERSION, m->producer_version);
    rn_proto_put_text(&message, OPSET_DOMAIN, "");
    rn_proto_put_int(&message, OPSET_VERSION, m->opset);
    rn_proto_put_message(out, MODEL_OPSET, &message);
    rn_proto_free(&message);
    for (int i = 0; i < m->metadata_count; i++) {
        rn_proto_put_text(&message, ENTRY_KEY, m->metadata[i].key);
        rn_proto_put_text(&message, ENTRY_VALUE, m->metadata[i].value);
        rn_proto_put_message(out, MODEL_METADATA, &message);
        rn_proto_free(&message);
    }
}

typedef struct writing {
    const rn_onnx *m;
    const char *path, *data_name; /* data_name: of the file beside it, without its folder; NULL: data in the model */
    rn_proto_out *heads;          /* of the initialisers */
    rn_proto_out graph, model;
    uint64_t *sizes; /* whole TensorProto */
    rn_error *err;
} writing;

static int is_outside(const writing *w, int tensor)
{
    return w->data_name && bytes_of(&w->m->tensors[tensor]) > SMALL;
}

/* The initialisers' messages and sizes; returns the graph's size. */
static uint64_t measure(writing *w)
{
    uint64_t offset = 0, total = w->graph.size;
    for (int i = 0; i < w->m->tensors_count; i++) {
        const rn_onnx_tensor *t = &w->m->tensors[i];
        uint64_t bytes = bytes_of(t);
        rn_proto_free(&w->heads[i]);
        put_tensor_head(&w->heads[i], t, is_outside(w, i) ? w->data_name : NULL, offset);
        w->graph.failed |= w->heads[i].failed;
        w->sizes[i] = w->heads[i].size;
        if (is_outside(w, i))
            offset = (offset + bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        else
            w->sizes[i] += rn_proto_head_size(TENSOR_RAW, bytes) + bytes;
        total += rn_proto_head_size(GRAPH_TENSOR, w->sizes[i]) + w->sizes[i];
    }
    return total;
}

static int write_data(const writing *w)
{
    static const unsigned char zeros[ALIGNMENT];
    rn_save save;
    size_t n = strlen(w->path) + sizeof ".data";
    char *path = malloc(n);
    if (!path)
        return rn_error_memory(w->err, "a file name", n);
    snprintf(path, n, "%s.data", w->path);
    int status = rn_save_open(&save, path, w->err);
    free(path);
    for (int i = 0; !status && i < w->m->tensors_count; i++) {
        if (!is_outside(w, i))
            continue;
        size_t gap = (ALIGNMENT - save.written % ALIGNMENT) % ALIGNMENT;
        status = rn_save_write(&save, zeros, gap, w->err);
        if (!status)
            status = rn_save_write(&save, w->m->tensors[i].data, (size_t)bytes_of(&w->m->tensors[i]), w->err);
    }
    if (!status)
        return rn_save_commit(&save, w->err);
    rn_save_drop(&save);
    return status;
}

static int write_small(rn_save *save, rn_proto_out *out, rn_error *err)
{
    int status = out->failed ? rn_error_memory(err, "a message", out->size) : rn_save_write(save, out->data, out->size, err);
    rn_proto_free(out);
    return status;
}

static int write_tensor(const writing *w, rn_save *save, int i)
{
    const rn_onnx_tensor *t = &w->m->tensors[i];
    rn_proto_out head = {0};
    rn_proto_put_head(&head, GRAPH_TENSOR, w->sizes[i]);
    int status = write_small(save, &head, w->err);
    if (!status)
        status = rn_save_write(save, w->heads[i].data, w->heads[i].size, w->err);
    if (status || is_outside(w, i))
        return status;
    rn_proto_put_head(&head, TENSOR_RAW, bytes_of(t));
    status = write_small(save, &head, w->err);
    return status ? status : rn_save_write(save, t->data, (size_t)bytes_of(t), w->err);
}

static int write_model(writing *w, uint64_t graph_size)
{
    rn_save save;
    int status = w->data_name ? write_data(w) : 0;
    if (status || (status = rn_save_open(&save, w->path, w->err)))
        return status;
    rn_proto_put_head(&w->model, MODEL_GRAPH, graph_size);
    status = write_small(&save, &w->model, w->err);
    if (!status)
        status = write_small(&save, &w->graph, w->err);
    for (int i = 0; !status && i < w->m->tensors_count; i++)
        status = write_tensor(w, &save, i);
    if (!status)
        return rn_save_commit(&save, w->err);
    rn_save_drop(&save);
    return status;
}

int rn_onnx_write(const rn_onnx *model, const char *path, uint64_t most, rn_error *err)
{
    size_t tensors = (size_t)model->tensors_count + 1;
    const char *slash = strrchr(path, '/');
    char *name = malloc(strlen(path) + sizeof ".data");
    writing w = {
        .m = model, .path = path, .err = err, .heads = calloc(tensors, sizeof *w.heads), .sizes = calloc(tensors, sizeof *w.sizes)};
    int status = 0;
    if (!name || !w.heads || !w.sizes) {
        status = rn_error_memory(err, "a list of tensors", tensors * sizeof *w.heads);
        goto fail;
    }
    strcpy(name, slash ? slash + 1 : path);
    strcat(name, ".data");
    put_graph(&w.graph, model);
    put_model(&w.model, model);
    uint64_t size = measure(&w);
    if (size + w.model.size + 16 > (most ? most : FORMAT_LIMIT)) {
        w.data_name = name;
        size = measure(&w);
    }
    if (w.graph.failed)
        status = rn_error_memory(err, "a model's graph", w.graph.size);
    else if (size + w.model.size + 16 > FORMAT_LIMIT)
        status = rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: the network itself is above ONNX's 2 GiB, without its weights", path);
    else
        status = write_model(&w, size);
fail:
    for (int i = 0; w.heads && i < model->tensors_count; i++)
        rn_proto_free(&w.heads[i]);
    rn_proto_free(&w.graph);
    rn_proto_free(&w.model);
    free(w.heads);
    free(w.sizes);
    free(name);
    return status;
}
