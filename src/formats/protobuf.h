/* Protocol buffers as bytes: fields taken one after the other from a message, and appended to one. No schema, no allocation while reading. */
#ifndef RN_FORMATS_PROTOBUF_H
#define RN_FORMATS_PROTOBUF_H

#include <stddef.h>
#include <stdint.h>

typedef enum rn_wire { RN_WIRE_VARINT = 0, RN_WIRE_64 = 1, RN_WIRE_BYTES = 2, RN_WIRE_32 = 5 } rn_wire;

typedef struct rn_proto { /* what is left of a message */
    const unsigned char *at, *end;
} rn_proto;

typedef struct rn_proto_field {
    uint32_t number;
    rn_wire wire;
    uint64_t value; /* varint, or the 4 or 8 bytes of a fixed one */
    rn_proto bytes; /* text, message, or packed numbers; empty for the others */
} rn_proto_field;

/* The next field: 1, 0 at the end, -1 where the bytes are no message (cut off, a number of more than 64 bits, groups). */
int rn_proto_next(rn_proto *message, rn_proto_field *field);

/* Numbers of a repeated field may come one a field or packed; both are read by taking numbers until 0 is returned.
 * `wire` is what a number is by itself. 1: *value is the next one of this field, 0: there is none, -1: cut off, or another type. */
int rn_proto_number(rn_proto_field *field, rn_wire wire, uint64_t *value);

/* A message being written. After a failed allocation `failed` stays set and what is appended is dropped. */
typedef struct rn_proto_out {
    unsigned char *data;
    size_t size, room;
    int failed;
} rn_proto_out;

void rn_proto_put_int(rn_proto_out *out, uint32_t number, int64_t value);
void rn_proto_put_float(rn_proto_out *out, uint32_t number, float value);
void rn_proto_put_bytes(rn_proto_out *out, uint32_t number, const void *data, size_t size);
void rn_proto_put_text(rn_proto_out *out, uint32_t number, const char *text);
void rn_proto_put_message(rn_proto_out *out, uint32_t number, const rn_proto_out *message);
/* The field's number and length alone, for bytes that follow from elsewhere; and how many bytes that takes. */
void rn_proto_put_head(rn_proto_out *out, uint32_t number, uint64_t size);
size_t rn_proto_head_size(uint32_t number, uint64_t size);
void rn_proto_free(rn_proto_out *out);

#endif
