/* ONNX files are one protocol buffer, ModelProto; it is read message by message, each field twice: counted, then taken.
 *
 * Both ways of writing numbers in tensors are read (raw_data, or one of the typed lists, packed or not); raw data and a packed list of floats are used
 * where they lie. Attributes of kinds that no operation here has (graphs, texts in lists ...) keep their name alone, so that whoever meets one can refuse it.
 * What is read beside the file's bytes is bounded, whatever the file says. Source: onnx.proto, IR versions 3 to 13.
 */
#include "formats/onnx.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "formats/onnx_message.h"

enum { MOST_ROOM = 256 << 20, MOST_NODES = 1 << 16, MOST_TENSORS = 1 << 16, MOST_LIST = 1 << 12, BLOCK = 1 << 16 };
#define MOST_ELEMENTS (INT64_C(1) << 40)
#define MOST_BYTES ((size_t)1 << 40)

struct rn_onnx_block {
    struct rn_onnx_block *next;
    void *kept; /* of malloc, freed with the block */
    size_t size, used;
    _Alignas(16) unsigned char bytes[];
};

typedef struct reader {
    const char *name, *path; /* path: NULL where there is no folder to look in */
    rn_onnx *m;
    rn_onnx_external *files;
    rn_error *err;
} reader;

/* ---- What hangs on a model ---- */

static struct rn_onnx_block *add_block(rn_onnx *m, size_t size)
{
    if ((m->most && (size > m->most || m->used > m->most - size)) || size > SIZE_MAX / 2)
        return NULL;
    struct rn_onnx_block *block = calloc(1, sizeof *block + size);
    if (block) {
        block->size = size;
        block->next = m->blocks;
        m->blocks = block;
        m->used += size;
    }
    return block;
}

void *rn_onnx_room(rn_onnx *m, size_t count, size_t size)
{
    struct rn_onnx_block *block = m->blocks;
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > MOST_BYTES)
        return NULL;
    bytes = (bytes + 15) / 16 * 16;
    if (bytes == 0)
        bytes = 16;
    if ((!block || bytes > block->size - block->used) && !(block = add_block(m, bytes > BLOCK ? bytes : BLOCK)))
        return NULL;
    block->used += bytes;
    return block->bytes + block->used - bytes;
}

const char *rn_onnx_text(rn_onnx *m, const char *text, size_t size)
{
    char *copy = rn_onnx_room(m, size + 1, 1);
    if (copy && size)
        memcpy(copy, text, size);
    return copy;
}

int rn_onnx_keep(rn_onnx *m, void *memory)
{
    struct rn_onnx_block *block = add_block(m, 0);
    if (!block) {
        free(memory);
        return -1;
    }
    block->kept = memory;
    return 0;
}

void rn_onnx_free(rn_onnx *m)
{
    for (struct rn_onnx_block *block = m->blocks, *next; block; block = next) {
        next = block->next;
        free(block->kept);
        free(block);
    }
    memset(m, 0, sizeof *m);
}

/* ---- Messages ---- */

static int broken(const reader *r, const char *what)
{
    return rn_error_set(r->err, RN_ERR_FORMAT, "%s: a broken ONNX file: %s", r->name, what);
}

/* Room for a list whose length the file gives. */
static int get_room(const reader *r, void *list, int count, int most, size_t size, const char *what)
{
    if (count > most)
        return rn_error_set(r->err, RN_ERR_FORMAT, "%s: %d %s, at most %d can be read", r->name, count, what, most);
    void *room = rn_onnx_room(r->m, (size_t)count, size);
    if (!room)
        return rn_error_memory(r->err, what, (unsigned long long)count * size);
    memcpy(list, &room, sizeof room);
    return 0;
}

/* How often the message has the field, or -1 if it is none. */
static int count_fields(rn_proto message, uint32_t number)
{
    rn_proto_field f;
    int count = 0, got;
    while ((got = rn_proto_next(&message, &f)) > 0)
        count += f.number == number;
    return got < 0 ? -1 : count;
}

static int get_text(const reader *r, const rn_proto_field *f, const char **out)
{
    size_t size = (size_t)(f->bytes.end - f->bytes.at);
    if (f->wire != RN_WIRE_BYTES || (size && memchr(f->bytes.at, 0, size)))
        return broken(r, "a text is none");
    *out = rn_onnx_text(r->m, (const char *)f->bytes.at, size);
    return *out ? 0 : rn_error_memory(r->err, "a text", size);
}

static int get_int(const reader *r, const rn_proto_field *f, int64_t *out)
{
    if (f->wire != RN_WIRE_VARINT)
        return broken(r, "a number is none");
    *out = (int64_t)f->value;
    return 0;
}

/* ---- Tensors ---- */

size_t rn_onnx_type_size(int type)
{
    switch (type) {
    case RN_ONNX_UINT8:
    case RN_ONNX_BOOL:
        return 1;
    case RN_ONNX_FLOAT16:
    case RN_ONNX_BFLOAT16:
        return 2;
    case RN_ONNX_FLOAT:
    case RN_ONNX_INT32:
        return 4;
    case RN_ONNX_INT64:
    case RN_ONNX_DOUBLE:
        return 8;
    default:
        return 0;
    }
}

/* The typed list that holds elements of a type, and what a number in it is. */
static uint32_t list_of(int type, rn_wire *wire)
{
    *wire = type == RN_ONNX_FLOAT ? RN_WIRE_32 : type == RN_ONNX_DOUBLE ? RN_WIRE_64 : RN_WIRE_VARINT;
    return type == RN_ONNX_FLOAT    ? TENSOR_FLOATS
           : type == RN_ONNX_DOUBLE ? TENSOR_DOUBLES
           : type == RN_ONNX_INT64  ? TENSOR_INT64S
                                    : TENSOR_INT32S;
}

/* Numbers of a repeated field: counted where out is NULL, else written with `size` bytes each. -1: broken. */
static int64_t take_numbers(rn_proto message, uint32_t number, rn_wire wire, size_t size, unsigned char *out)
{
    rn_proto_field f;
    int64_t count = 0;
    int got;
    while ((got = rn_proto_next(&message, &f)) > 0) {
        uint64_t value;
        int more = 0;
        while (f.number == number && (more = rn_proto_number(&f, wire, &value)) > 0) {
            if (out)
                memcpy(out + (size_t)count * size, &value, size);
            count++;
        }
        if (more < 0)
            return -1;
    }
    return got < 0 ? -1 : count;
}

static int get_typed(const reader *r, rn_onnx_tensor *t, rn_proto message, int64_t have)
{
    rn_wire wire;
    uint32_t number = list_of(t->type, &wire);
    size_t size = rn_onnx_type_size(t->type);
    rn_proto_field f;
    if (have != t->count)
        return rn_error_set(r->err, RN_ERR_FORMAT, "%s: a broken ONNX file: %s has %lld numbers, its shape wants %lld", r->name,
                            rn_show(t->name).text, (long long)have, (long long)t->count);
    for (rn_proto m = message; wire != RN_WIRE_VARINT && rn_proto_next(&m, &f) > 0;)
        if (f.number == number && f.wire == RN_WIRE_BYTES && (uint64_t)(f.bytes.end - f.bytes.at) == (uint64_t)have * size) {
            t->data = f.bytes.at;
            return 0;
        }
    unsigned char *data = rn_onnx_room(r->m, (size_t)have, size);
    if (!data)
        return rn_error_memory(r->err, "a tensor", (unsigned long long)have * size);
    take_numbers(message, number, wire, size, data);
    t->data = data;
    return 0;
}

/* One entry of external_data; unknown keys (checksum) are left alone. */
static int get_place(const reader *r, rn_proto message, rn_onnx_place *place)
{
    rn_proto_field f;
    const char *key = "", *value = "";
    int got, status = 0;
    while (!status && (got = rn_proto_next(&message, &f)) > 0)
        if (f.number == ENTRY_KEY || f.number == ENTRY_VALUE)
            status = get_text(r, &f, f.number == ENTRY_KEY ? &key : &value);
    if (status || got < 0)
        return status ? status : broken(r, "an entry of external_data");
    int is_offset = strcmp(key, "offset") == 0;
    if (strcmp(key, "location") == 0) {
        place->location = value;
    } else if (is_offset || strcmp(key, "length") == 0) {
        uint64_t number = 0;
        for (const char *c = value; *c; c++)
            if (*c < '0' || *c > '9' || c - value > 15)
                return broken(r, "offset or length of external data is no number");
            else
                number = number * 10 + (uint64_t)(*c - '0');
        *(is_offset ? &place->offset : &place->length) = number;
        place->has_length |= !is_offset;
    }
    return 0;
}

static int get_external(const reader *r, rn_onnx_tensor *t, const rn_onnx_place *place)
{
    uint64_t want = (uint64_t)t->count * rn_onnx_type_size(t->type);
    reader *own = (reader *)r; /* the list of open files grows */
    if (!place->location || !place->location[0])
        return rn_error_set(r->err, RN_ERR_FORMAT, "%s: a broken ONNX file: %s lies in another file, which has no name", r->name,
                            rn_show(t->name).text);
    if (place->has_length && place->length != want)
        return rn_error_set(r->err, RN_ERR_FORMAT, "%s: a broken ONNX file: %s has %llu bytes of external data, its shape wants %llu",
                            r->name, rn_show(t->name).text, (unsigned long long)place->length, (unsigned long long)want);
    if (!r->path)
        return rn_error_set(r->err, RN_ERR_UNSUPPORTED, "%s: %s lies in another file (%s), which only a model read from a file can have",
                            r->name, rn_show(t->name).text, rn_show(place->location).text);
    return rn_onnx_external_bytes(&own->files, r->m, r->path, t->name, place, want, &t->data, r->err);
}

static int get_dims(const reader *r, rn_onnx_tensor *t, rn_proto message)
{
    int64_t dims = take_numbers(message, TENSOR_DIMS, RN_WIRE_VARINT, 8, NULL);
    if (dims < 0 || dims > 8)
        return dims < 0 ? broken(r, "a tensor") : broken(r, "a tensor of more than 8 dimensions");
    t->dims = (int)dims;
    take_numbers(message, TENSOR_DIMS, RN_WIRE_VARINT, 8, (unsigned char *)t->shape);
    t->count = 1;
    for (int d = 0; d < t->dims; d++)
        if (t->shape[d] < 0 || __builtin_mul_overflow(t->count, t->shape[d], &t->count) || t->count > MOST_ELEMENTS)
            return broken(r, "a tensor's shape");
    return 0;
}

static int get_data(const reader *r, rn_onnx_tensor *t, rn_proto message, const rn_proto_field *raw, const rn_onnx_place *place,
                    int external)
{
    rn_wire wire;
    size_t size = rn_onnx_type_size(t->type);
    if (size == 0)
        return 0;
    if (external)
        return get_external(r, t, place);
    uint32_t list = list_of(t->type, &wire); /* sets wire */
    int64_t typed = take_numbers(message, list, wire, size, NULL);
    if (typed < 0)
        return broken(r, "a tensor's numbers");
    if (raw->number == 0)
        return get_typed(r, t, message, typed);
    uint64_t have = (uint64_t)(raw->bytes.end - raw->bytes.at);
    if (typed || raw->wire != RN_WIRE_BYTES || have != (uint64_t)t->count * size)
        return rn_error_set(r->err, RN_ERR_FORMAT, "%s: a broken ONNX file: %s has %llu bytes, its shape wants %llu", r->name,
                            rn_show(t->name).text, (unsigned long long)have, (unsigned long long)t->count * size);
    t->data = raw->bytes.at;
    return 0;
}

static int get_tensor(const reader *r, rn_proto message, rn_onnx_tensor *t)
{
    rn_proto all = message;
    rn_proto_field f, raw = {0};
    rn_onnx_place place = {0};
    int64_t type = 0, location = 0;
    int got, status = 0;
    t->name = "";
    while (!status && (got = rn_proto_next(&message, &f)) > 0)
        switch (f.number) {
        case TENSOR_TYPE:
            status = get_int(r, &f, &type);
            break;
        case TENSOR_NAME:
            status = get_text(r, &f, &t->name);
            break;
        case TENSOR_LOCATION:
            status = get_int(r, &f, &location);
            break;
        case TENSOR_EXTERNAL:
            status = get_place(r, f.bytes, &place);
            break;
        case TENSOR_RAW:
            raw = f;
            break;
        default:
            break;
        }
    if (status || got < 0)
        return status ? status : broken(r, "a tensor");
    t->type = type > 0 && type < 1000 ? (int)type : 0;
    status = get_dims(r, t, all);
    return status ? status : get_data(r, t, all, &raw, &place, location == 1);
}

/* ---- Nodes ---- */

static int get_attribute(const reader *r, rn_proto message, rn_onnx_attribute *a)
{
    rn_proto all = message;
    rn_proto_field f;
    int64_t kind = 0;
    int got, status = 0;
    a->name = a->text = "";
    while (!status && (got = rn_proto_next(&message, &f)) > 0)
        switch (f.number) {
        case ATTRIBUTE_NAME:
            status = get_text(r, &f, &a->name);
            break;
        case ATTRIBUTE_KIND:
            status = get_int(r, &f, &kind);
            break;
        case ATTRIBUTE_INT:
            status = get_int(r, &f, &a->integer);
            break;
        case ATTRIBUTE_TEXT:
            status = get_text(r, &f, &a->text);
            break;
        case ATTRIBUTE_FLOAT:
            memcpy(&a->real, &f.value, sizeof a->real);
            break;
        case ATTRIBUTE_TENSOR:
            if (!(a->tensor = rn_onnx_room(r->m, 1, sizeof *a->tensor)))
                return rn_error_memory(r->err, "a tensor", sizeof *a->tensor);
            status = get_tensor(r, f.bytes, a->tensor);
            break;
        default:
            break;
        }
    if (status || got < 0)
        return status ? status : broken(r, "an attribute");
    int known = (kind >= RN_ONNX_A_FLOAT && kind <= RN_ONNX_A_TENSOR) || kind == RN_ONNX_A_FLOATS || kind == RN_ONNX_A_INTS;
    a->kind = known ? (rn_onnx_kind)kind : RN_ONNX_OTHER;
    int64_t count = take_numbers(all, ATTRIBUTE_INTS, RN_WIRE_VARINT, 8, NULL);
    int64_t *integers = NULL;
    if (count < 0)
        return broken(r, "an attribute");
    if ((status = get_room(r, &integers, count > MOST_LIST ? MOST_LIST + 1 : (int)count, MOST_LIST, sizeof *integers,
                           "numbers in an attribute")))
        return status;
    take_numbers(all, ATTRIBUTE_INTS, RN_WIRE_VARINT, 8, (unsigned char *)integers);
    a->integers = integers;
    a->count = (int)count;
    return a->kind == RN_ONNX_A_TENSOR && !a->tensor ? broken(r, "an attribute without its tensor") : 0;
}

static int open_node(const reader *r, rn_proto message, rn_onnx_node *n)
{
    int inputs = count_fields(message, NODE_INPUT), outputs = count_fields(message, NODE_OUTPUT),
        attributes = count_fields(message, NODE_ATTRIBUTE);
    if (inputs < 0)
        return broken(r, "a node");
    n->name = n->op = n->domain = "";
    int status = get_room(r, &n->inputs, inputs, MOST_LIST, sizeof *n->inputs, "inputs of a node");
    if (!status)
        status = get_room(r, &n->outputs, outputs, MOST_LIST, sizeof *n->outputs, "outputs of a node");
    return status ? status : get_room(r, &n->attributes, attributes, MOST_LIST, sizeof *n->attributes, "attributes of a node");
}

static int get_node(const reader *r, rn_proto message, rn_onnx_node *n)
{
    rn_proto_field f;
    int status = open_node(r, message, n);
    while (!status && rn_proto_next(&message, &f) > 0)
        switch (f.number) {
        case NODE_INPUT:
            status = get_text(r, &f, &n->inputs[n->inputs_count++]);
            break;
        case NODE_OUTPUT:
            status = get_text(r, &f, &n->outputs[n->outputs_count++]);
            break;
        case NODE_ATTRIBUTE:
            status = get_attribute(r, f.bytes, &n->attributes[n->attributes_count++]);
            break;
        case NODE_NAME:
            status = get_text(r, &f, &n->name);
            break;
        case NODE_OP:
            status = get_text(r, &f, &n->op);
            break;
        case NODE_DOMAIN:
            status = get_text(r, &f, &n->domain);
            break;
        default:
            break;
        }
    if (!status && strcmp(n->domain, "ai.onnx") == 0)
        n->domain = "";
    return status;
}

/* ---- Inputs and outputs ---- */

static int get_axis(const reader *r, rn_proto message, rn_onnx_value *v)
{
    rn_proto_field f;
    int got, status = 0;
    int64_t *size = &v->shape[v->dims];
    *size = -1;
    v->axes[v->dims] = "";
    while (!status && (got = rn_proto_next(&message, &f)) > 0)
        if (f.number == DIM_VALUE && !(status = get_int(r, &f, size)) && *size < 1)
            *size = -1; /* 0 and -1 have been seen for what is free */
        else if (f.number == DIM_NAME)
            status = get_text(r, &f, &v->axes[v->dims]);
    v->dims++;
    return status ? status : got < 0 ? broken(r, "a shape") : 0;
}

/* The messages on the way to a value's shape: each is the only field of interest in the one around it. */
static int get_type(const reader *r, rn_proto message, rn_onnx_value *v, int level)
{
    static const uint32_t inner[] = {TYPE_TENSOR, TENSOR_TYPE_SHAPE, SHAPE_DIM};
    rn_proto_field f;
    int64_t type = 0;
    int got, status = 0;
    if (level == 2)
        v->dims = 0;
    while (!status && (got = rn_proto_next(&message, &f)) > 0) {
        if (level == 1 && f.number == TENSOR_TYPE_ELEMENT) {
            status = get_int(r, &f, &type);
            v->type = !status && type > 0 && type < 1000 ? (int)type : 0;
        } else if (f.number == inner[level] && level < 2) {
            status = get_type(r, f.bytes, v, level + 1);
        } else if (f.number == inner[level]) {
            status = v->dims >= 8 ? broken(r, "a shape of more than 8 dimensions") : get_axis(r, f.bytes, v);
        }
    }
    return status ? status : got < 0 ? broken(r, "a shape") : 0;
}

static int get_value(const reader *r, rn_proto message, rn_onnx_value *v)
{
    rn_proto_field f;
    int got, status = 0;
    v->name = "";
    v->dims = -1;
    while (!status && (got = rn_proto_next(&message, &f)) > 0)
        if (f.number == VALUE_NAME)
            status = get_text(r, &f, &v->name);
        else if (f.number == VALUE_TYPE)
            status = get_type(r, f.bytes, v, 0);
    return status ? status : got < 0 ? broken(r, "an input or output") : 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Takes initialisers out of the list of inputs. */
static int drop_tensors(const reader *r, rn_onnx *m)
{
    const char **names = malloc(((size_t)m->tensors_count + 1) * sizeof *names);
    int kept = 0;
    if (!names)
        return rn_error_memory(r->err, "a list of tensors", (unsigned long long)m->tensors_count * sizeof *names);
    for (int i = 0; i < m->tensors_count; i++)
        names[i] = m->tensors[i].name;
    qsort(names, (size_t)m->tensors_count, sizeof *names, by_text);
    for (int i = 0; i < m->inputs_count; i++)
        if (!bsearch(&m->inputs[i].name, names, (size_t)m->tensors_count, sizeof *names, by_text))
            m->inputs[kept++] = m->inputs[i];
    m->inputs_count = kept;
    free(names);
    return 0;
}

/* ---- The model ---- */

static int get_graph(const reader *r, rn_proto message)
{
    rn_onnx *m = r->m;
    rn_proto_field f;
    int nodes = count_fields(message, GRAPH_NODE), tensors = count_fields(message, GRAPH_TENSOR),
        inputs = count_fields(message, GRAPH_INPUT), outputs = count_fields(message, GRAPH_OUTPUT), status;
    if (nodes < 0)
        return broken(r, "its graph is cut off, or no graph");
    if ((status = get_room(r, &m->nodes, nodes, MOST_NODES, sizeof *m->nodes, "nodes")) ||
        (status = get_room(r, &m->tensors, tensors, MOST_TENSORS, sizeof *m->tensors, "initialisers")) ||
        (status = get_room(r, &m->inputs, inputs, MOST_TENSORS, sizeof *m->inputs, "inputs")) ||
        (status = get_room(r, &m->outputs, outputs, MOST_TENSORS, sizeof *m->outputs, "outputs")))
        return status;
    m->nodes_count = m->tensors_count = m->inputs_count = m->outputs_count = 0;
    while (!status && rn_proto_next(&message, &f) > 0)
        switch (f.number) {
        case GRAPH_NODE:
            status = get_node(r, f.bytes, &m->nodes[m->nodes_count++]);
            break;
        case GRAPH_TENSOR:
            status = get_tensor(r, f.bytes, &m->tensors[m->tensors_count++]);
            break;
        case GRAPH_INPUT:
            status = get_value(r, f.bytes, &m->inputs[m->inputs_count++]);
            break;
        case GRAPH_OUTPUT:
            status = get_value(r, f.bytes, &m->outputs[m->outputs_count++]);
            break;
        case GRAPH_NAME:
            status = get_text(r, &f, &m->name);
            break;
        default:
            break;
        }
    return status ? status : drop_tensors(r, m);
}

static int get_opset(const reader *r, rn_proto message)
{
    rn_proto_field f;
    const char *domain = "";
    int64_t version = 0;
    int got, status = 0;
    while (!status && (got = rn_proto_next(&message, &f)) > 0)
        if (f.number == OPSET_DOMAIN)
            status = get_text(r, &f, &domain);
        else if (f.number == OPSET_VERSION)
            status = get_int(r, &f, &version);
    if (!status && (domain[0] == 0 || strcmp(domain, "ai.onnx") == 0))
        r->m->opset = version;
    return status ? status : got < 0 ? broken(r, "its opset") : 0;
}

static int get_entry(const reader *r, rn_proto message)
{
    rn_onnx_entry *entry = &r->m->metadata[r->m->metadata_count++];
    rn_proto_field f;
    int got, status = 0;
    entry->key = entry->value = "";
    while (!status && (got = rn_proto_next(&message, &f)) > 0)
        if (f.number == ENTRY_KEY || f.number == ENTRY_VALUE)
            status = get_text(r, &f, f.number == ENTRY_KEY ? &entry->key : &entry->value);
    return status ? status : got < 0 ? broken(r, "its metadata") : 0;
}

static int get_model(const reader *r, rn_proto message)
{
    rn_onnx *m = r->m;
    rn_proto_field f, graph = {0};
    int entries = count_fields(message, MODEL_METADATA), status = 0;
    m->producer = m->producer_version = m->name = "";
    if (entries < 0 || count_fields(message, MODEL_GRAPH) != 1)
        return rn_error_set(r->err, RN_ERR_FORMAT, "%s: no ONNX file, or one that is cut off", r->name);
    status = get_room(r, &m->metadata, entries, MOST_LIST, sizeof *m->metadata, "entries of metadata");
    while (!status && rn_proto_next(&message, &f) > 0)
        switch (f.number) {
        case MODEL_IR_VERSION:
            status = get_int(r, &f, &m->ir_version);
            break;
        case MODEL_PRODUCER:
            status = get_text(r, &f, &m->producer);
            break;
        case MODEL_PRODUCER_VERSION:
            status = get_text(r, &f, &m->producer_version);
            break;
        case MODEL_OPSET:
            status = get_opset(r, f.bytes);
            break;
        case MODEL_METADATA:
            status = get_entry(r, f.bytes);
            break;
        case MODEL_GRAPH:
            graph = f;
            break;
        default:
            break;
        }
    return status ? status : get_graph(r, graph.bytes);
}

static int parse(reader *r, const void *data, size_t size)
{
    r->m->most = MOST_ROOM;
    int status = get_model(r, (rn_proto){data, (const unsigned char *)data + size});
    if (status)
        rn_onnx_free(r->m);
    return status;
}

int rn_onnx_parse(const char *name, const void *data, size_t size, rn_onnx *out, rn_error *err)
{
    memset(out, 0, sizeof *out);
    return parse(&(reader){.name = name, .m = out, .err = err}, data, size);
}

int rn_onnx_read(const char *path, rn_onnx *out, rn_error *err)
{
    unsigned char *data;
    size_t size;
    memset(out, 0, sizeof *out);
    int status = rn_file_read(path, MOST_BYTES, &data, &size, err);
    if (status)
        return status;
    if (rn_onnx_keep(out, data))
        return rn_error_memory(err, path, size);
    return parse(&(reader){.name = path, .path = path, .m = out, .err = err}, data, size);
}
