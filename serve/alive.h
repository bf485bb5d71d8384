/* Whether a run goes on, by what it wrote of itself. */
#ifndef RESNET_SERVE_ALIVE_H
#define RESNET_SERVE_ALIVE_H

#include <jansson.h>

/* progress: RUN/progress.json, or NULL. 1 if the process that wrote it lives: a young word needs no look; on this machine the process is asked for;
 * of another machine's a word of the last ten minutes must do. */
int run_is_alive(const json_t *progress);

#endif
