/* TensorBoard event files: scalars, appended record by record. */
#ifndef RN_FORMATS_EVENTS_H
#define RN_FORMATS_EVENTS_H

#include <stdint.h>
#include "base/error.h"

typedef struct rn_events rn_events;
/* Creates FOLDER/events.out.tfevents.<time>.<host>.<pid>.0, or goes on in an existing file that is first cut back to `keep_bytes`
 * (whole records; a checkpoint stores rn_events_bytes). `path` NULL: a new file. */
int rn_events_open(rn_events **events, const char *folder, const char *path, int64_t keep_bytes, rn_error *err);
int rn_events_scalar(rn_events *e, int64_t step, const char *tag, float value, rn_error *err);
int rn_events_flush(rn_events *e, rn_error *err);
int64_t rn_events_bytes(const rn_events *e);
const char *rn_events_path(const rn_events *e);
void rn_events_close(rn_events **e);

#endif
