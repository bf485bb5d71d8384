/* Protocol buffers: a message is a list of fields, each a varint of (number << 3 | wire type) and what that type says follows.
 *
 *     0  varint: seven bits a byte, the lowest first, the top bit set on all but the last; negative numbers take ten bytes
 *     1  eight bytes      5  four bytes, both little-endian
 *     2  a varint of how many bytes follow: a text, a message, or numbers packed one behind the other
 *
 * Groups (3 and 4) are older than every format that is read here, and are refused.
 * Source: the encoding guide of Protocol Buffers, versions 2 and 3.
 */
#include "formats/protobuf.h"

#include <stdlib.h>
#include <string.h>

static int take_varint(rn_proto *p, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 64 && p->at < p->end; shift += 7) {
        unsigned char byte = *p->at++;
        if (shift == 63 && byte > 1)
            return -1;
        *value |= (uint64_t)(byte & 0x7F) << shift;
        if (!(byte & 0x80))
            return 0;
    }
    return -1;
}

static int take_fixed(rn_proto *p, int bytes, uint64_t *value)
{
    if (p->end - p->at < bytes)
        return -1;
    *value = 0;
    for (int i = 0; i < bytes; i++)
        *value |= (uint64_t)*p->at++ << 8 * i;
    return 0;
}

int rn_proto_next(rn_proto *message, rn_proto_field *field)
{
    uint64_t key;
    if (message->at == message->end)
        return 0;
    memset(field, 0, sizeof *field);
    if (take_varint(message, &key) || key >> 3 == 0 || key >> 3 > 0x1FFFFFFF)
        return -1;
    field->number = (uint32_t)(key >> 3);
    field->wire = (rn_wire)(key & 7);
    switch (field->wire) {
    case RN_WIRE_VARINT:
        return take_varint(message, &field->value) ? -1 : 1;
    case RN_WIRE_64:
        return take_fixed(message, 8, &field->value) ? -1 : 1;
    case RN_WIRE_32:
        return take_fixed(message, 4, &field->value) ? -1 : 1;
    case RN_WIRE_BYTES:
        if (take_varint(message, &field->value) || field->value > (uint64_t)(message->end - message->at))
            return -1;
        field->bytes = (rn_proto){message->at, message->at + field->value};
        message->at = field->bytes.end;
        return 1;
    default:
        return -1;
    }
}

int rn_proto_number(rn_proto_field *field, rn_wire wire, uint64_t *value)
{
    if (field->wire == RN_WIRE_BYTES) { /* packed */
        if (field->bytes.at == field->bytes.end)
            return 0;
        int bad = wire == RN_WIRE_VARINT ? take_varint(&field->bytes, value) : take_fixed(&field->bytes, wire == RN_WIRE_64 ? 8 : 4, value);
        return bad ? -1 : 1;
    }
    if (field->number == 0) /* taken before */
        return 0;
    if (field->wire != wire)
        return -1;
    *value = field->value;
    field->number = 0;
    return 1;
}

/* ---- Writing ---- */

static void append(rn_proto_out *out, const void *data, size_t size)
{
    if (out->failed || size == 0)
        return;
    if (size > out->room - out->size) {
        size_t want, room = out->room < 128 ? 128 : out->room;
        if (__builtin_add_overflow(out->size, size, &want) || want > SIZE_MAX / 4) {
            out->failed = 1;
            return;
        }
        while (room < want)
            room *= 2;
        unsigned char *bytes = realloc(out->data, room);
        if (!bytes) {
            out->failed = 1;
            return;
        }
        out->data = bytes;
        out->room = room;
    }
    memcpy(out->data + out->size, data, size);
    out->size += size;
}

static size_t varint(uint64_t value, unsigned char bytes[10])
{
    size_t n = 0;
    for (; value > 0x7F; value >>= 7)
        bytes[n++] = (unsigned char)(value | 0x80);
    bytes[n++] = (unsigned char)value;
    return n;
}

static void put_varint(rn_proto_out *out, uint64_t value)
{
    unsigned char bytes[10];
    append(out, bytes, varint(value, bytes));
}

static void put_key(rn_proto_out *out, uint32_t number, rn_wire wire)
{
    put_varint(out, (uint64_t)number << 3 | wire);
}

void rn_proto_put_int(rn_proto_out *out, uint32_t number, int64_t value)
{
    put_key(out, number, RN_WIRE_VARINT);
    put_varint(out, (uint64_t)value);
}

void rn_proto_put_float(rn_proto_out *out, uint32_t number, float value)
{
    put_key(out, number, RN_WIRE_32);
    append(out, &value, 4); /* little-endian, as tensors.c has asserted */
}

void rn_proto_put_head(rn_proto_out *out, uint32_t number, uint64_t size)
{
    put_key(out, number, RN_WIRE_BYTES);
    put_varint(out, size);
}

size_t rn_proto_head_size(uint32_t number, uint64_t size)
{
    unsigned char bytes[10];
    return varint((uint64_t)number << 3, bytes) + varint(size, bytes);
}

void rn_proto_put_bytes(rn_proto_out *out, uint32_t number, const void *data, size_t size)
{
    rn_proto_put_head(out, number, size);
    append(out, data, size);
}

void rn_proto_put_text(rn_proto_out *out, uint32_t number, const char *text)
{
    rn_proto_put_bytes(out, number, text, strlen(text));
}

void rn_proto_put_message(rn_proto_out *out, uint32_t number, const rn_proto_out *message)
{
    rn_proto_put_bytes(out, number, message->data, message->size);
    out->failed |= message->failed;
}

void rn_proto_free(rn_proto_out *out)
{
    free(out->data);
    memset(out, 0, sizeof *out);
}
