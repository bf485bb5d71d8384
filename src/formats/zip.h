/* Zip archives as PyTorch writes them: members are stored, not compressed, and their bytes are used where they lie. */
#ifndef RN_FORMATS_ZIP_H
#define RN_FORMATS_ZIP_H

#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

typedef struct rn_zip_member {
    const char *name; /* in the archive; not terminated */
    size_t name_size;
    const unsigned char *data;
    uint64_t size;
    uint64_t begin; /* of its local header, from the archive's first byte */
    uint32_t crc;   /* of the member as it was; 0: none was computed */
    int compressed; /* nothing here can unpack it */
} rn_zip_member;

typedef struct rn_zip {
    int count;
    rn_zip_member *members; /* in byte order of their names, which differ */
    const char *first;      /* the name that comes first in the directory */
    size_t first_size;
} rn_zip;

/* Checks the whole archive: sizes, names, that no two members share a byte, and every checksum. Encrypted members are refused.
 * Everything points into `data`; `name` stands for the file in messages. */
int rn_zip_open(rn_zip *zip, const char *name, const void *data, size_t size, rn_error *err);
const rn_zip_member *rn_zip_find(const rn_zip *zip, const char *name, size_t name_size); /* NULL: there is none */
void rn_zip_close(rn_zip *zip);

#endif
