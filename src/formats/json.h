/* JSON as text, or an error: never a text that short memory has cut. */
#ifndef RN_FORMATS_JSON_H
#define RN_FORMATS_JSON_H

#include <jansson.h>
#include "base/error.h"

/* json_dumps with its flags; *text is malloc'ed, the caller's. Jansson 2.14 ignores a failed allocation inside a sorted object's key and goes on
 * without it, so the text is collected here, where no failure is forgotten. */
int rn_json_dump(const json_t *json, size_t flags, char **text, rn_error *err);

#endif
