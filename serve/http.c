/* libmicrohttpd behind http.h: one thread for each connection, at most 64 of them, none silent for more than 30 s.
 *
 * Threads are the simplest way to let a stream wait for its file; a page holds one of them and a few for a moment. */
#include "serve/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 64, IDLE_S = 30, STACK = 256 << 10, BLOCK = 32 << 10, GRACE_MS = 2000 };

struct http {
    struct MHD_Daemon *daemon;
    http_answer answer;
    void *context;
    int port;
    char url[64], hosts[3][32];
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    int closing, streams;
};

static int fail(rn_error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int fail(rn_error *err, int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (err) {
        err->code = code;
        vsnprintf(err->text, sizeof err->text, format, arguments);
    }
    va_end(arguments);
    return code;
}

/* ---- Who may ask ---- */

static int is_ours(const http *s, const char *host)
{
    for (int i = 0; i < 3; i++)
        if (strcasecmp(host, s->hosts[i]) == 0)
            return 1;
    return 0;
}

typedef struct caller {
    const http *server;
    int hosts, wrong;
} caller;

static enum MHD_Result look_at_header(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    caller *c = context;
    (void)kind;
    value = value ? value : "";
    if (strcasecmp(name, "Host") == 0) {
        c->hosts++;
        c->wrong |= !is_ours(c->server, value);
    } else if (strcasecmp(name, "Origin") == 0) {
        c->wrong |= strncasecmp(value, "http://", 7) != 0 || !is_ours(c->server, value + 7);
    }
    return MHD_YES;
}

static int is_allowed(const http *s, struct MHD_Connection *connection)
{
    caller c = {s, 0, 0};
    MHD_get_connection_values(connection, MHD_HEADER_KIND, look_at_header, &c);
    return c.hosts == 1 && !c.wrong;
}

/* ---- Answers ---- */

static enum MHD_Result send_response(struct MHD_Connection *connection, unsigned status, const char *type, struct MHD_Response *response)
{
    static const char *const headers[][2] = {
        {"Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
                                    "media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
                                    "require-trusted-types-for 'script'"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cache-Control", "no-store"}};
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", type);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, "Allow", "GET, HEAD");
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        MHD_add_response_header(response, headers[i][0], headers[i][1]);
    enum MHD_Result done = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return done;
}

static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned status, const char *type, const char *text)
{
    return send_response(connection, status, type,
                         MHD_create_response_from_buffer(strlen(text), (void *)(size_t)text, MHD_RESPMEM_PERSISTENT));
}

typedef struct streaming {
    http *server;
    int socket;
    http_stream stream;
} streaming;

static ssize_t read_stream(void *context, uint64_t position, char *out, size_t room)
{
    streaming *s = context;
    ssize_t got;
    char byte;
    (void)position;
    while ((got = s->stream.next(s->stream.context, out, room)) == 0)
        if (recv(s->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) /* whoever asked has gone */
            return MHD_CONTENT_READER_END_WITH_ERROR;
    return got < 0 ? MHD_CONTENT_READER_END_OF_STREAM : got;
}

static void count_streams(http *s, int change)
{
    pthread_mutex_lock(&s->lock);
    s->streams += change;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void end_stream(void *context)
{
    streaming *s = context;
    s->stream.close(s->stream.context);
    count_streams(s->server, -1);
    free(s);
}

static struct MHD_Response *stream_response(http *server, struct MHD_Connection *connection, const http_stream *stream)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    streaming *s = info ? malloc(sizeof *s) : NULL;
    struct MHD_Response *response = NULL;
    if (s) {
        *s = (streaming){server, info->connect_fd, *stream};
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_stream, s, end_stream);
    }
    if (response) {
        count_streams(server, 1);
    } else {
        free(s);
        stream->close(stream->context);
    }
    return response;
}

static struct MHD_Response *file_response(int descriptor)
{
    struct stat st;
    struct MHD_Response *response =
        fstat(descriptor, &st) == 0 && S_ISREG(st.st_mode) ? MHD_create_response_from_fd64((uint64_t)st.st_size, descriptor) : NULL;
    if (!response)
        close(descriptor);
    return response;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path, const char *method,
                                  const char *version, const char *body, size_t *body_size, void **state)
{
    static const char plain[] = "text/plain; charset=utf-8";
    http *s = context;
    (void)version, (void)body;
    if (!*state) { /* the headers have come; the answer waits for the end of the request */
        *state = s;
        return MHD_YES;
    }
    if (*body_size) {
        *body_size = 0;
        return MHD_YES;
    }
    if (!is_allowed(s, connection))
        return send_text(connection, MHD_HTTP_FORBIDDEN, plain, "this server answers its own pages only\n");
    if (strcmp(method, "GET") && strcmp(method, "HEAD"))
        return send_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, plain, "GET and HEAD only\n");
    http_reply reply = {.descriptor = -1};
    s->answer(s->context, path, &reply);
    if (reply.text)
        return send_text(connection, MHD_HTTP_OK, reply.type, reply.text);
    if (reply.descriptor >= 0)
        return send_response(connection, MHD_HTTP_OK, reply.type, file_response(reply.descriptor));
    if (reply.stream.next)
        return send_response(connection, MHD_HTTP_OK, reply.type, stream_response(s, connection, &reply.stream));
    return send_text(connection, MHD_HTTP_NOT_FOUND, plain, "there is no such page\n");
}

/* ---- Opening and closing ---- */

/* Paths stay as they were sent: none of ours needs an escape, and %00 would end one early. */
static size_t keep_escapes(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context, (void)connection;
    return strlen(text);
}

/* "HOST:PORT" with HOST one of loopback's names. */
static int parse_listen(const char *listen, int *ipv6, int *port, rn_error *err)
{
    static const struct {
        const char *name;
        int ipv6;
    } hosts[] = {{"127.0.0.1:", 0}, {"localhost:", 0}, {"[::1]:", 1}};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        size_t length = strlen(hosts[i].name);
        if (strncasecmp(listen, hosts[i].name, length))
            continue;
        const char *digits = listen + length;
        size_t count = strspn(digits, "0123456789");
        if (!count || count > 5 || digits[count] || atoi(digits) > 65535)
            return fail(err, RN_ERR_ARG, "--listen %.100s: want a port from 0 to 65535 behind the colon; 0 is any free one", listen);
        *ipv6 = hosts[i].ipv6;
        *port = atoi(digits);
        return 0;
    }
    return fail(err, RN_ERR_ARG,
                "--listen %.100s: the page is served to this machine only: 127.0.0.1:PORT, or [::1]:PORT. From another machine: "
                "ssh -L 8090:127.0.0.1:8090 THIS_MACHINE",
                listen);
}

/* The listening socket, or a negative error. */
static int open_socket(const char *listen_text, int *port, int *ipv6, rn_error *err)
{
    int status = parse_listen(listen_text, ipv6, port, err), on = 1;
    if (status)
        return status;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)*port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr *address = *ipv6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
    socklen_t size = *ipv6 ? sizeof v6 : sizeof v4;
    int s = socket(*ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s >= 0)
        setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (s < 0 || bind(s, address, size) || listen(s, 16) || getsockname(s, address, &size)) {
        int number = errno;
        if (s >= 0)
            close(s);
        if (number == EADDRINUSE)
            return fail(err, RN_ERR_IO, "--listen %.100s: another program has this port: name another one, or port 0 for any free one",
                        listen_text);
        if (number == EACCES)
            return fail(err, RN_ERR_IO, "--listen %.100s: this user may not open this port: name one from 1024 on", listen_text);
        return fail(err, RN_ERR_IO, "--listen %.100s: %s", listen_text, strerror(number));
    }
    *port = ntohs(*ipv6 ? v6.sin6_port : v4.sin_port);
    return s;
}

static void name_hosts(http *s, int ipv6)
{
    static const char *const names[] = {"127.0.0.1", "localhost", "[::1]"};
    for (int i = 0; i < 3; i++)
        snprintf(s->hosts[i], sizeof s->hosts[i], s->port == 80 ? "%s" : "%s:%d", names[i], s->port);
    snprintf(s->url, sizeof s->url, "http://%s/", s->hosts[ipv6 ? 2 : 0]);
}

int http_open(http **server, const char *listen_text, http_answer answer, void *context, rn_error *err)
{
    sigset_t all, before;
    int ipv6 = 0;
    http *s = calloc(1, sizeof *s);
    *server = NULL;
    if (!s)
        return fail(err, RN_ERR_MEMORY, "no memory for a server");
    int listening = open_socket(listen_text, &s->port, &ipv6, err);
    if (listening < 0) {
        free(s);
        return listening;
    }
    s->answer = answer;
    s->context = context;
    *server = s; /* before the first thread looks at it */
    name_hosts(s, ipv6);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    sigfillset(&all); /* signals are for the thread that works */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    s->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL | MHD_USE_ITC, 0, NULL,
                                 NULL, on_request, s, MHD_OPTION_LISTEN_SOCKET, listening, MHD_OPTION_CONNECTION_LIMIT,
                                 (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_THREAD_STACK_SIZE,
                                 (size_t)STACK, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_END);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!s->daemon) {
        close(listening);
        http_close(server);
        return fail(err, RN_ERR_IO, "--listen %.100s: the server could not be started; raise the limit on processes (ulimit -u)",
                    listen_text);
    }
    return 0;
}

const char *http_url(const http *s)
{
    return s->url;
}

static struct timespec in_milliseconds(int milliseconds)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += milliseconds / 1000;
    at.tv_nsec += milliseconds % 1000 * 1000000L;
    if (at.tv_nsec >= 1000000000L) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000L;
    }
    return at;
}

int http_wait(http *s, int milliseconds)
{
    struct timespec until = in_milliseconds(milliseconds);
    pthread_mutex_lock(&s->lock);
    while (!s->closing && pthread_cond_timedwait(&s->changed, &s->lock, &until) != ETIMEDOUT)
        ;
    int closing = s->closing;
    pthread_mutex_unlock(&s->lock);
    return closing;
}

void http_close(http **server)
{
    http *s = *server;
    if (!s)
        return;
    if (s->daemon) {
        MHD_socket listening = MHD_quiesce_daemon(s->daemon);
        struct timespec until = in_milliseconds(GRACE_MS);
        pthread_mutex_lock(&s->lock);
        s->closing = 1;
        pthread_cond_broadcast(&s->changed);
        while (s->streams && pthread_cond_timedwait(&s->changed, &s->lock, &until) != ETIMEDOUT)
            ;
        pthread_mutex_unlock(&s->lock);
        MHD_stop_daemon(s->daemon);
        if (listening != MHD_INVALID_SOCKET)
            close(listening);
    }
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
    *server = NULL;
}
