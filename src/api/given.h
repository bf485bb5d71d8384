/* Options that arrive as JSON text: each is asked for once, with its range; what nobody asked for is refused by name. */
#ifndef RN_API_GIVEN_H
#define RN_API_GIVEN_H

#include <jansson.h>
#include "base/error.h"
#include "models/arch.h"

typedef struct rn_given {
    json_t *root, *seen;
    int status; /* the first error; later questions answer the default */
    rn_error *err;
} rn_given;

/* text NULL: nothing was given. */
int rn_given_open(rn_given *g, const char *text, rn_error *err);
/* RN_ERR_ARG for the first option that was wrong or that nobody asked for. Frees. Text that was returned is gone afterwards. */
int rn_given_close(rn_given *g);

int rn_given_has(rn_given *g, const char *key);
int64_t rn_given_integer(rn_given *g, const char *key, int64_t low, int64_t high, int64_t otherwise);
double rn_given_number(rn_given *g, const char *key, double low, double high, double otherwise);
const char *rn_given_text(rn_given *g, const char *key, const char *otherwise); /* borrowed until rn_given_close */
int rn_given_flag(rn_given *g, const char *key);
void rn_given_ignore(rn_given *g, const char *key);
void rn_given_fail(rn_given *g, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The network options "arch", "width", "in_channels", "classes", "embedding", "shortcut", "pool", "stem" and the input size "input".
 * `name` overrides "arch"; specN and netN are known. */
void rn_given_network(rn_given *g, const char *name, rn_arch *arch, int *height, int *width);

/* "input": "CxHxW" into sizes; 0 where it is not given. */
int rn_given_input(rn_given *g, int sizes[3]);

/* 1 if rn_given_network takes the name. */
int rn_network_known(const char *name);

/* The JSON of an object as text, and the object freed; NULL without memory (err is filled). */
char *rn_result_text(json_t *value, rn_error *err);

#endif
