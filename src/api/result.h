/* Results as JSON: what could not be added makes the whole result fail, so that short memory never leaves a part out in silence. */
#ifndef RN_API_RESULT_H
#define RN_API_RESULT_H

#include <jansson.h>

/* Takes the value. Where that fails the list is freed and *list is NULL, which json_pack and rn_result_text report. */
static inline void rn_result_add(json_t **list, json_t *value)
{
    if (json_array_append_new(*list, value)) {
        json_decref(*list);
        *list = NULL;
    }
}

/* The same for a member of an object. */
static inline void rn_result_set(json_t **object, const char *key, json_t *value)
{
    if (json_object_set_new(*object, key, value)) {
        json_decref(*object);
        *object = NULL;
    }
}

/* A path as text; bytes that are no UTF-8 as \xNN. */
json_t *rn_result_path(const char *path);

#endif
