/* The restricted pickle machine: a stack of nodes, marks on it, a memo of nodes by number.
 *
 * Known are the opcodes of protocol 2 that PyTorch's weights_only reader knows; any other is refused by its number and place. Nothing here
 * recurses: a tree's depth costs no stack, and a node that holds itself is just a place in an array. What bounds memory: a pickle's
 * size, nodes, items and stack. Growing lists move to the end of the items and leave their old place behind, at most as much again as
 * they hold.
 * Source: Python's pickletools (the opcodes' meaning); torch/_weights_only_unpickler.py (which of them are needed).
 */
#include "formats/pickle.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 16 << 20, MOST_NODES = 1 << 21, MOST_ITEMS = 1 << 23, MOST_STACK = 1 << 20, MOST_LINE = 200 };
#define MARK UINT32_MAX /* on the stack in a node's place */

typedef struct machine {
    rn_pickle *out;
    const char *name;
    const unsigned char *data;
    size_t size, at, opcode; /* opcode: the byte of the one that runs */
    uint32_t *stack, *memo;
    size_t stack_count, stack_room, memo_count, memo_room;
    rn_error *err;
} machine;

static int refuse(const machine *m, const char *what)
{
    return rn_error_set(m->err, RN_ERR_FORMAT, "%s: byte %zu of its pickle: %s", m->name, m->opcode, what);
}

/* Room for `need` elements in the array that a pointer at `place` points to; no file of weights has more than `most`. */
static int grow(const machine *m, void *place, size_t *room, size_t need, size_t most, size_t size)
{
    void *array;
    size_t more = *room ? *room : 64;
    if (need <= *room)
        return 0;
    if (need > most)
        return refuse(m, "more values than any file of weights has");
    while (more < need)
        more *= 2;
    memcpy(&array, place, sizeof array);
    array = realloc(array, more * size);
    if (!array)
        return rn_error_memory(m->err, "a pickle's values", more * size);
    memcpy(place, &array, sizeof array);
    *room = more;
    return 0;
}

/* n bytes from here; NULL, with the sentence written, where the pickle ends before. */
static const unsigned char *take(machine *m, size_t n)
{
    if (n > m->size - m->at) {
        refuse(m, "the pickle is cut off here");
        return NULL;
    }
    m->at += n;
    return m->data + m->at - n;
}

/* A little-endian number of 1, 2 or 4 bytes. */
static int take_number(machine *m, int bytes, uint32_t *value)
{
    const unsigned char *p = take(m, (size_t)bytes);
    if (!p)
        return RN_ERR_FORMAT;
    *value = 0;
    for (int i = 0; i < bytes; i++)
        *value |= (uint32_t)p[i] << 8 * i;
    return 0;
}

static int push(machine *m, uint32_t node)
{
    int status = grow(m, &m->stack, &m->stack_room, m->stack_count + 1, MOST_STACK, sizeof *m->stack);
    if (!status)
        m->stack[m->stack_count++] = node;
    return status;
}

static int push_new(machine *m, rn_pickle_node node)
{
    rn_pickle *p = m->out;
    int status = grow(m, &p->nodes, &p->nodes_room, p->nodes_count + 1, MOST_NODES, sizeof *p->nodes);
    if (status)
        return status;
    node.at = (uint32_t)m->opcode;
    p->nodes[p->nodes_count] = node;
    return push(m, (uint32_t)p->nodes_count++);
}

static int push_integer(machine *m, rn_pickle_kind kind, int64_t value)
{
    return push_new(m, (rn_pickle_node){.kind = kind, .integer = value});
}

static int push_text(machine *m, rn_pickle_kind kind, const unsigned char *text, size_t n)
{
    return push_new(m, (rn_pickle_node){.kind = kind, .text = (const char *)text, .count = (uint32_t)n});
}

/* The node on the stack's top, which stays; NULL, with the sentence written, if there is none. */
static rn_pickle_node *top(machine *m)
{
    if (m->stack_count == 0 || m->stack[m->stack_count - 1] == MARK) {
        refuse(m, "the stack has no value for this opcode");
        return NULL;
    }
    return &m->out->nodes[m->stack[m->stack_count - 1]];
}

static int pop(machine *m, uint32_t *node)
{
    if (!top(m))
        return RN_ERR_FORMAT;
    *node = m->stack[--m->stack_count];
    return 0;
}

/* How many values lie on top of the last mark. */
static int count_to_mark(machine *m, size_t *count)
{
    for (size_t i = m->stack_count; i > 0; i--)
        if (m->stack[i - 1] == MARK) {
            *count = m->stack_count - i;
            return 0;
        }
    return refuse(m, "the stack has no mark for this opcode");
}

/* Appends to a container; its items move to the end of all when they need more room. */
static int append(machine *m, rn_pickle_node *node, const uint32_t *values, size_t count)
{
    rn_pickle *p = m->out;
    if (node->count + count > node->room) {
        size_t room = node->count ? 2 * (node->count + count) : count;
        int status = grow(m, &p->items, &p->items_room, p->items_count + room, MOST_ITEMS, sizeof *p->items);
        if (status)
            return status;
        if (node->count)
            memcpy(p->items + p->items_count, p->items + node->items, node->count * sizeof *p->items);
        node->items = (uint32_t)p->items_count;
        node->room = (uint32_t)room;
        p->items_count += room;
    }
    if (count)
        memcpy(p->items + node->items + node->count, values, count * sizeof *values);
    node->count += (uint32_t)count;
    return 0;
}

/* A new node of the `count` topmost values; `below` more stack places go with them (the mark). */
static int collect(machine *m, rn_pickle_kind kind, size_t count, size_t below)
{
    uint32_t node = (uint32_t)m->out->nodes_count;
    for (size_t i = 0; i < count; i++)
        if (m->stack_count < count + below || m->stack[m->stack_count - 1 - i] == MARK)
            return refuse(m, "the stack has too few values for this opcode");
    int status = push_new(m, (rn_pickle_node){.kind = kind});
    if (status)
        return status;
    m->stack_count -= count + 1;
    status = append(m, &m->out->nodes[node], m->stack + m->stack_count, count);
    m->stack_count -= below;
    m->stack[m->stack_count++] = node;
    return status;
}

/* `count` values from the top, with `below` places under them, go into the container that lies there. */
static int put(machine *m, rn_pickle_kind kind, size_t count, size_t below)
{
    if (m->stack_count < count + below + 1 || m->stack[m->stack_count - count - below - 1] == MARK)
        return refuse(m, "the stack has too few values for this opcode");
    const uint32_t *values = m->stack + m->stack_count - count;
    for (size_t i = 0; i < count; i++)
        if (values[i] == MARK)
            return refuse(m, "a mark stands where a value is wanted");
    m->stack_count -= count + below;
    rn_pickle_node *container = top(m);
    if (kind == RN_PICKLE_DICT && count % 2)
        return refuse(m, "a key without a value");
    if (container->kind == RN_PICKLE_CALL) /* a class of somebody's, whose contents nobody asks for */
        return 0;
    if (container->kind != kind)
        return refuse(m, kind == RN_PICKLE_DICT ? "a value is set in what is no dictionary" : "a value is appended to what is no list");
    return append(m, container, values, count);
}

static int put_to_mark(machine *m, rn_pickle_kind kind)
{
    size_t count = 0;
    int status = count_to_mark(m, &count);
    return status ? status : put(m, kind, count, 1);
}

/* "module\nname\n" */
static int take_global(machine *m)
{
    size_t begin = m->at, lines = 0;
    for (; lines < 2 && m->at < m->size && m->at - begin < MOST_LINE; m->at++) {
        unsigned char c = m->data[m->at];
        if (c == '\n')
            lines++;
        else if (c <= 0x20 || c >= 0x7F)
            break;
    }
    if (lines < 2)
        return refuse(m, "the name of a global is cut off, too long, or not plain ASCII");
    return push_text(m, RN_PICKLE_GLOBAL, m->data + begin, m->at - begin - 1);
}

/* OrderedDict's one argument as Python 2 wrote it: a list of [key, value]. */
static int fill_dict(machine *m, uint32_t dict, const rn_pickle_node *arguments)
{
    rn_pickle *p = m->out;
    if (arguments->count == 0)
        return 0;
    const rn_pickle_node *list = rn_pickle_item(p, arguments, 0);
    int status = arguments->count != 1 || list->kind != RN_PICKLE_LIST ? refuse(m, "an OrderedDict of something else than pairs") : 0;
    for (uint32_t i = 0; i < list->count && !status; i++) {
        const rn_pickle_node *pair = rn_pickle_item(p, list, i);
        if ((pair->kind != RN_PICKLE_LIST && pair->kind != RN_PICKLE_TUPLE) || pair->count != 2)
            return refuse(m, "an OrderedDict of something else than pairs");
        uint32_t both[2] = {p->items[pair->items], p->items[pair->items + 1]};
        status = append(m, &p->nodes[dict], both, 2);
    }
    return status;
}

/* REDUCE and NEWOBJ: nothing is called. */
static int call(machine *m)
{
    const rn_pickle *p = m->out;
    if (m->stack_count < 2 || m->stack[m->stack_count - 1] == MARK || m->stack[m->stack_count - 2] == MARK)
        return refuse(m, "the stack has too few values for this opcode");
    const rn_pickle_node *arguments = &p->nodes[m->stack[m->stack_count - 1]], *called = &p->nodes[m->stack[m->stack_count - 2]];
    if (arguments->kind != RN_PICKLE_TUPLE)
        return refuse(m, "arguments that are no tuple");
    if (called->kind != RN_PICKLE_GLOBAL && called->kind != RN_PICKLE_PERSISTENT && called->kind != RN_PICKLE_CALL)
        return refuse(m, "a call of what is no function or class");
    if (!rn_pickle_is(called, RN_PICKLE_GLOBAL, "collections\nOrderedDict"))
        return collect(m, RN_PICKLE_CALL, 2, 0);
    uint32_t from = m->stack[m->stack_count - 1];
    m->stack_count -= 2;
    int status = push_new(m, (rn_pickle_node){.kind = RN_PICKLE_DICT});
    rn_pickle_node kept = p->nodes[from]; /* filling moves items, not nodes */
    return status ? status : fill_dict(m, m->stack[m->stack_count - 1], &kept);
}

/* BUILD: the state is dropped. An OrderedDict's attributes (_metadata) are no items; other classes' are nobody's. */
static int build(machine *m)
{
    uint32_t state;
    int status = pop(m, &state);
    const rn_pickle_node *object = status ? NULL : top(m);
    if (!object)
        return RN_ERR_FORMAT;
    return object->kind == RN_PICKLE_DICT || object->kind == RN_PICKLE_CALL ? 0 : refuse(m, "a state for what has none");
}

static int remember(machine *m, int bytes)
{
    uint32_t number;
    int status = take_number(m, bytes, &number);
    if (status || !top(m))
        return RN_ERR_FORMAT;
    if (number >= MOST_NODES)
        return refuse(m, "a memo of more values than any file of weights has");
    status = grow(m, &m->memo, &m->memo_room, (size_t)number + 1, MOST_NODES, sizeof *m->memo);
    if (status)
        return status;
    for (; m->memo_count <= number; m->memo_count++)
        m->memo[m->memo_count] = MARK; /* nothing yet */
    m->memo[number] = m->stack[m->stack_count - 1];
    return 0;
}

static int recall(machine *m, int bytes)
{
    uint32_t number;
    int status = take_number(m, bytes, &number);
    if (status)
        return status;
    if (number >= m->memo_count || m->memo[number] == MARK)
        return refuse(m, "a value that the memo does not have");
    return push(m, m->memo[number]);
}

static int take_text(machine *m, int bytes)
{
    uint32_t n;
    const unsigned char *text = take_number(m, bytes, &n) ? NULL : take(m, n);
    return text ? push_text(m, RN_PICKLE_TEXT, text, n) : RN_ERR_FORMAT;
}

static int take_integer(machine *m, int bytes)
{
    uint32_t value;
    int status = take_number(m, bytes, &value);
    return status ? status : push_integer(m, RN_PICKLE_INTEGER, bytes == 4 ? (int32_t)value : (int64_t)value);
}

/* A length, and so many bytes little-endian with their sign. */
static int take_long(machine *m)
{
    uint32_t n;
    const unsigned char *p = take_number(m, 1, &n) ? NULL : take(m, n);
    uint64_t value = p && n && p[n - 1] & 0x80 ? UINT64_MAX : 0;
    if (!p)
        return RN_ERR_FORMAT;
    if (n > 8)
        return push_text(m, RN_PICKLE_LONG, p, n);
    for (uint32_t i = n; i-- > 0;)
        value = value << 8 | p[i];
    return push_integer(m, RN_PICKLE_INTEGER, (int64_t)value);
}

/* Big-endian, alone of all. */
static int take_real(machine *m)
{
    const unsigned char *p = take(m, 8);
    uint64_t bits = 0;
    rn_pickle_node node = {.kind = RN_PICKLE_REAL};
    if (!p)
        return RN_ERR_FORMAT;
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | p[i];
    memcpy(&node.real, &bits, sizeof bits);
    return push_new(m, node);
}

static int check_protocol(machine *m)
{
    uint32_t protocol;
    int status = take_number(m, 1, &protocol);
    if (!status && protocol != 2)
        return rn_error_set(m->err, RN_ERR_UNSUPPORTED,
                            "%s: pickle protocol %u, and this build reads 2, which torch.save writes: save it anew without pickle_protocol",
                            m->name, (unsigned)protocol);
    return status;
}

static int collect_to_mark(machine *m, rn_pickle_kind kind)
{
    size_t count = 0;
    int status = count_to_mark(m, &count);
    return status ? status : collect(m, kind, count, 1);
}

static int step(machine *m, int opcode)
{
    switch (opcode) {
    case 0x80:
        return check_protocol(m);
    case '(':
        return push(m, MARK);
    case 'N':
        return push_integer(m, RN_PICKLE_NONE, 0);
    case 0x88:
        return push_integer(m, RN_PICKLE_BOOL, 1);
    case 0x89:
        return push_integer(m, RN_PICKLE_BOOL, 0);
    case 'J':
        return take_integer(m, 4);
    case 'K':
        return take_integer(m, 1);
    case 'M':
        return take_integer(m, 2);
    case 0x8A:
        return take_long(m);
    case 'G':
        return take_real(m);
    case 'X':
        return take_text(m, 4);
    case 'U':
        return take_text(m, 1);
    case 't':
        return collect_to_mark(m, RN_PICKLE_TUPLE);
    case ')':
        return collect(m, RN_PICKLE_TUPLE, 0, 0);
    case 0x85:
        return collect(m, RN_PICKLE_TUPLE, 1, 0);
    case 0x86:
        return collect(m, RN_PICKLE_TUPLE, 2, 0);
    case 0x87:
        return collect(m, RN_PICKLE_TUPLE, 3, 0);
    case ']':
        return collect(m, RN_PICKLE_LIST, 0, 0);
    case 0x8F:
        return collect(m, RN_PICKLE_LIST, 0, 0); /* a set */
    case '}':
        return collect(m, RN_PICKLE_DICT, 0, 0);
    case 'a':
        return put(m, RN_PICKLE_LIST, 1, 0);
    case 'e':
        return put_to_mark(m, RN_PICKLE_LIST);
    case 's':
        return put(m, RN_PICKLE_DICT, 2, 0);
    case 'u':
        return put_to_mark(m, RN_PICKLE_DICT);
    case 'c':
        return take_global(m);
    case 'R':
    case 0x81:
        return call(m);
    case 'b':
        return build(m);
    case 'Q':
        return collect(m, RN_PICKLE_PERSISTENT, 1, 0);
    case 'h':
        return recall(m, 1);
    case 'j':
        return recall(m, 4);
    case 'q':
        return remember(m, 1);
    case 'r':
        return remember(m, 4);
    default:
        return rn_error_set(m->err, RN_ERR_FORMAT, "%s: byte %zu of its pickle: opcode 0x%02x, which no file of weights needs", m->name,
                            m->opcode, (unsigned)opcode);
    }
}

int rn_pickle_read(rn_pickle *p, const char *name, const void *data, size_t size, rn_error *err)
{
    machine m = {.out = p, .name = name, .data = data, .size = size < MOST_BYTES ? size : MOST_BYTES, .err = err};
    int status = 0, opcode = 0;
    memset(p, 0, sizeof *p);
    while (!status) {
        m.opcode = m.at;
        const unsigned char *next = take(&m, 1);
        opcode = next ? *next : 0;
        if (!next)
            status = size > MOST_BYTES ? refuse(&m, "more than 16 MB, more than any file of weights has") : RN_ERR_FORMAT;
        else if (opcode == '.')
            break;
        else
            status = step(&m, opcode);
    }
    if (!status && m.stack_count != 1)
        status = refuse(&m, "not one value is left on the stack");
    if (!status && top(&m))
        p->root = top(&m);
    if (!status && !p->root)
        status = RN_ERR_FORMAT;
    p->size = m.at;
    free(m.stack);
    free(m.memo);
    if (status)
        rn_pickle_free(p);
    return status;
}

void rn_pickle_free(rn_pickle *p)
{
    free(p->nodes);
    free(p->items);
    memset(p, 0, sizeof *p);
}

int rn_pickle_is(const rn_pickle_node *n, rn_pickle_kind kind, const char *text)
{
    size_t size = strlen(text);
    return n->kind == kind && n->count == size && memcmp(n->text, text, size) == 0;
}
