/* JSON as text, collected piece by piece in a buffer that remembers a failure. */
#include "formats/json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct collector {
    char *text;
    size_t length, room;
    int failed;
} collector;

static int collect(const char *piece, size_t size, void *context)
{
    collector *c = context;
    if (c->failed)
        return -1;
    if (size >= c->room - c->length) {
        size_t room = c->room;
        while (size >= room - c->length && room <= SIZE_MAX / 2)
            room *= 2;
        char *text = size < room - c->length ? realloc(c->text, room) : NULL;
        if (!text) {
            c->failed = 1;
            return -1;
        }
        c->text = text;
        c->room = room;
    }
    memcpy(c->text + c->length, piece, size);
    c->length += size;
    return 0;
}

int rn_json_dump(const json_t *json, size_t flags, char **text, rn_error *err)
{
    collector c = {malloc(1024), 0, 1024, 0};
    *text = NULL;
    if (!c.text)
        return rn_error_memory(err, "a JSON text", c.room);
    if (json_dump_callback(json, collect, &c, flags) || c.failed) {
        free(c.text);
        return rn_error_memory(err, "a JSON text", c.room);
    }
    c.text[c.length] = 0;
    *text = c.text;
    return 0;
}
