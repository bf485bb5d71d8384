/* HTTP/1.1 for one user on this machine, by libmicrohttpd: listens on loopback alone and answers nobody else.
 *
 * A page of another site can make a browser send requests here, and can give its own name our address (DNS rebinding). So a request is
 * answered only if its Host is ours (127.0.0.1, localhost or [::1] with the port), and its Origin, where it has one, too. Answers carry a
 * content security policy that allows scripts, styles and connections of this server and nothing else. GET and HEAD only. */
#ifndef RESNET_SERVE_HTTP_H
#define RESNET_SERVE_HTTP_H

#include <stddef.h>
#include <sys/types.h>

#include "resnet.h"

typedef struct http http;

/* Text that goes on until it ends, each stream on a thread of its own. next() writes up to `room` bytes and returns how many; 0: none yet, after
 * a while of http_wait; negative: the end. close() frees the context. */
typedef struct http_stream {
    ssize_t (*next)(void *context, char *out, size_t room);
    void (*close)(void *context);
    void *context;
} http_stream;

/* One of text, descriptor and stream; all zero with descriptor -1: there is no such page. */
typedef struct http_reply {
    const char *type;   /* "text/html; charset=utf-8" */
    const char *text;   /* a constant */
    int descriptor;     /* a regular file from its beginning, closed by the server; -1: none */
    http_stream stream; /* next NULL: none */
} http_reply;

/* Answers GET `path` (as it was sent, without the query) into *reply, which holds nothing yet. Called on many threads at once. */
typedef void (*http_answer)(void *context, const char *path, http_reply *reply);

/* listen: "127.0.0.1:8090", "localhost:8090" or "[::1]:8090"; port 0: any free one. */
int http_open(http **server, const char *listen, http_answer answer, void *context, rn_error *err);
const char *http_url(const http *server); /* "http://127.0.0.1:8090/" */
/* Waits so long, or until the server is about to close; 1: it is. Streams end soon afterwards, with what they still have to say. */
int http_wait(http *server, int milliseconds);
/* Takes no more connections, lets streams end for up to two seconds, and closes. */
void http_close(http **server);

#endif
