/* Pickles, read without running anything: a small stack machine that turns the bytes into a tree of plain values.
 *
 * A pickle is a program, and Python runs it. This machine knows the opcodes that PyTorch's own restricted reader (weights_only) knows,
 * makes nothing but the nodes below, and never looks a name up: where a pickle calls something, there is a node that says so. An
 * OrderedDict is the one callable that becomes what it would in Python. */
#ifndef RN_FORMATS_PICKLE_H
#define RN_FORMATS_PICKLE_H

#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

typedef enum rn_pickle_kind {
    RN_PICKLE_NONE,
    RN_PICKLE_BOOL,
    RN_PICKLE_INTEGER, /* within int64_t; a longer one is RN_PICKLE_LONG */
    RN_PICKLE_LONG,    /* text: its bytes, little-endian two's complement */
    RN_PICKLE_REAL,
    RN_PICKLE_TEXT, /* bytes; not checked for UTF-8 */
    RN_PICKLE_TUPLE,
    RN_PICKLE_LIST,      /* sets too */
    RN_PICKLE_DICT,      /* items: key, value, key, value ... in order; keys may be there twice */
    RN_PICKLE_GLOBAL,    /* text: "module\nname" */
    RN_PICKLE_CALL,      /* items: what would be called, its arguments; what would be put into its result is left out */
    RN_PICKLE_PERSISTENT /* items: the id */
} rn_pickle_kind;

typedef struct rn_pickle_node {
    rn_pickle_kind kind;
    uint32_t at;    /* byte of the opcode that made it, for messages */
    uint32_t count; /* items, or bytes of text */
    uint32_t room;
    union {
        int64_t integer; /* of a bool too */
        double real;
        const char *text; /* in the pickle; not terminated */
        uint32_t items;   /* place of the first in rn_pickle.items */
    };
} rn_pickle_node;

typedef struct rn_pickle {
    rn_pickle_node *nodes;
    uint32_t *items; /* places in nodes: a node may stand in several others, and below itself */
    size_t nodes_count, nodes_room, items_count, items_room;
    const rn_pickle_node *root;
    size_t size; /* bytes that it took, up to and with STOP */
} rn_pickle;

/* Reads one pickle from the beginning of `data`, which the nodes' texts point into. Memory is bounded whatever the bytes are. `name`
 * stands for the file in messages, which count bytes from `data`. */
int rn_pickle_read(rn_pickle *p, const char *name, const void *data, size_t size, rn_error *err);
void rn_pickle_free(rn_pickle *p);

static inline const rn_pickle_node *rn_pickle_item(const rn_pickle *p, const rn_pickle_node *n, uint32_t i)
{
    return &p->nodes[p->items[n->items + i]];
}

/* 1 if the node is a text, or a global "module\nname", with exactly these characters. */
int rn_pickle_is(const rn_pickle_node *n, rn_pickle_kind kind, const char *text);

#endif
