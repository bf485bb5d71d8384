/* The training page: what runs write into their folders, shown in a browser while they go on and afterwards.
 *
 *     /                 the page; /watch.js, /watch.css, /page.css and /icon.svg belong to it
 *     /events           server-sent events, every run from its beginning:
 *                           hello     [{"name": ...}]: the runs; whatever the page had is out of date
 *                           log       the run's number, then whole lines of its log.jsonl
 *                           restart   the run's number: its log begins anew
 *                           progress  {"run", "now", "alive", "progress": its progress.json}
 *                           sample    {"run", "version"}: there is another sample.safetensors
 *                           end       this server closes
 *     /runs/N/NAME      log.jsonl, progress.json, sample.safetensors, config.json or run.json of run N
 *
 * Nothing of a request becomes a file name: N counts the runs named at the start, NAME is one of the five. They are opened in the run's folder
 * without following links. */
#ifndef RESNET_SERVE_WATCH_H
#define RESNET_SERVE_WATCH_H

#include "resnet.h"

#define WATCH_LISTEN "127.0.0.1:8090"

typedef struct watch_page watch_page;

/* Serves the page for `count` run folders, which need not be there yet, on threads of its own. listen: NULL for WATCH_LISTEN. */
int watch_open(watch_page **page, const char *listen, const char *const *runs, int count, rn_error *err);
const char *watch_url(const watch_page *page);
/* Open pages get the last lines first, and keep what they have. */
void watch_close(watch_page **page);

#endif
