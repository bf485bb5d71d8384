/* The training page's server, asked over real sockets as a browser, another site's page and a hostile program would ask. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "folder_fixture.h"
#include "serve/watch.h"

enum { WAIT_MS = 8000 };

static watch_page *page;
static int port;

static void serve_folder(void)
{
    rn_error err = {0};
    const char *runs[] = {folder};
    if (watch_open(&page, "127.0.0.1:0", runs, 1, &err))
        fail_msg("%s", err.text);
    port = atoi(strrchr(watch_url(page), ':') + 1);
    assert_true(port > 0);
}

static long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int connect_page(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int s = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(s >= 0 && connect(s, (struct sockaddr *)&a, sizeof a) == 0);
    return s;
}

/* Reads on until the text has `until` in it or the other side closes (until NULL); fails after WAIT_MS. */
static void read_until(int s, char *text, size_t size, const char *until)
{
    size_t got = strlen(text);
    long end = now_ms() + WAIT_MS;
    while (!until || !strstr(text, until)) {
        struct pollfd p = {s, POLLIN, 0};
        if (poll(&p, 1, (int)(end - now_ms() > 0 ? end - now_ms() : 0)) <= 0)
            fail_msg("nothing more came; wanted %s, have: %s", until ? until : "the end", text);
        ssize_t n = read(s, text + got, size - got - 1);
        if (n <= 0)
            break;
        for (ssize_t i = 0; i < n; i++)
            if (!text[got + (size_t)i])
                text[got + (size_t)i] = '?';
        got += (size_t)n;
        text[got] = 0;
        assert_true(got < size - 1);
    }
    if (until && !strstr(text, until))
        fail_msg("closed without %s: %s", until, text);
}

/* Sends "METHOD PATH" with these headers and a Connection: close; the whole answer. */
static const char *ask(const char *what, const char *headers)
{
    static char text[300000];
    char request[8000];
    int s = connect_page();
    snprintf(request, sizeof request, "%s HTTP/1.1\r\n%sConnection: close\r\n\r\n", what, headers);
    assert_int_equal(write(s, request, strlen(request)), strlen(request));
    text[0] = 0;
    read_until(s, text, sizeof text, NULL);
    close(s);
    return text;
}

static const char *ask_page(const char *what)
{
    char host[64];
    snprintf(host, sizeof host, "Host: 127.0.0.1:%d\r\n", port);
    return ask(what, host);
}

static int status_of(const char *answer)
{
    return strncmp(answer, "HTTP/1.1 ", 9) == 0 ? atoi(answer + 9) : 0;
}

static void write_text(const char *name, const char *text)
{
    write_bytes(in_folder(name), text, strlen(text));
}

static void append(const char *name, const char *text)
{
    FILE *f = fopen(in_folder(name), "ab");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* A page, a style or a file that is not served, or without the policy that keeps other servers out. */
static void routes(void **state)
{
    (void)state;
    static const char *const pages[] = {"/",         "/watch.js", "/watch.css",        "/page.css",
                                        "/icon.svg", "/?x=1",     "/runs/0/log.jsonl", "/runs/0/config.json"};
    write_text("log.jsonl", "{\"kind\":\"start\"}\n");
    write_text("config.json", "{\"epochs\":3}");
    serve_folder();
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        char what[100];
        snprintf(what, sizeof what, "GET %s", pages[i]);
        const char *answer = ask_page(what);
        if (status_of(answer) != 200)
            fail_msg("%s: %s", pages[i], answer);
        assert_non_null(strstr(answer, "Content-Security-Policy: default-src 'none'; script-src 'self'"));
        assert_null(strstr(answer, "unsafe"));
        assert_non_null(strstr(answer, "nosniff"));
        assert_non_null(strstr(answer, "Cache-Control: no-store"));
    }
    assert_non_null(strstr(ask_page("GET /runs/0/config.json"), "{\"epochs\":3}"));
    assert_int_equal(status_of(ask_page("HEAD /")), 200);
    assert_null(strstr(ask_page("HEAD /"), "<html"));
    watch_close(&page);
}

/* A request that reaches a file which is none of the run's five. */
static void nothing_else_is_served(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "/runs/0/model.safetensors", "/runs/0/secret.txt", "/runs/0/../secret.txt", "/runs/0/..%2fsecret.txt", "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/runs/0//etc/passwd", "/runs/1/log.jsonl", "/runs/-1/log.jsonl", "/runs/+0/log.jsonl",
        "/runs/ 0/log.jsonl", "/runs/99999999999999999999/log.jsonl", "/runs/0/", "/runs/0", "/runs/0/log.jsonl/", "/runs/0/LOG.JSONL",
        "/runs//log.jsonl", "/watch.html", "/events/", "/runs/0/log.jsonl%00.txt/x", "/favicon.ico",
        /* these two are there, but are no files of their own */
        "/runs/0/run.json", "/runs/0/sample.safetensors", "/runs/0/config.json"};
    write_text("secret.txt", "a secret");
    write_text("model.safetensors", "a secret");
    remove(in_folder("config.json"));
    assert_int_equal(symlink(in_folder("secret.txt"), in_folder("run.json")), 0);
    assert_int_equal(mkfifo(in_folder("sample.safetensors"), 0600), 0);
    assert_int_equal(mkdir(in_folder("config.json"), 0700), 0);
    serve_folder();
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char what[200];
        snprintf(what, sizeof what, "GET %s", paths[i]);
        const char *answer = ask_page(what);
        int status = status_of(answer);
        if ((status != 404 && status != 400) || strstr(answer, "secret\n") || strstr(answer, "root:"))
            fail_msg("%s: %s", paths[i], answer);
    }
    watch_close(&page);
    remove(in_folder("config.json"));
    remove(in_folder("run.json"));
    remove(in_folder("sample.safetensors"));
}

/* Another site's page, by its own name for our address (DNS rebinding) or from its own origin. */
static void other_sites_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *headers; /* %d: the port */
        int status;
    } cases[] = {{"Host: 127.0.0.1:%d\r\n", 200},
                 {"Host: localhost:%d\r\n", 200},
                 {"Host: LocalHost:%d\r\n", 200},
                 {"Host: [::1]:%d\r\n", 200},
                 {"Host: localhost:%d\r\nOrigin: http://localhost:%d\r\n", 200},
                 {"Host: evil.example:%d\r\n", 403},
                 {"Host: 127.0.0.1.evil.example:%d\r\n", 403},
                 {"Host: 127.0.0.1\r\n", 403},
                 {"Host: 127.0.0.1:%d0\r\n", 403},
                 {"Host: 127.0.0.1:%d@evil.example\r\n", 403},
                 {"Host: \r\n", 403},
                 {"Host: evil.example\r\nHost: 127.0.0.1:%d\r\n", 403},
                 {"Host: 127.0.0.1:%d\r\nOrigin: http://evil.example\r\n", 403},
                 {"Host: 127.0.0.1:%d\r\nOrigin: https://127.0.0.1:%d\r\n", 403},
                 {"Host: 127.0.0.1:%d\r\nOrigin: null\r\n", 403},
                 {"Host: 127.0.0.1:%d\r\norigin: http://evil.example\r\n", 403},
                 {"X: y\r\n", 0 /* refused by libmicrohttpd or by us, but refused */}};
    serve_folder();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char headers[200];
        snprintf(headers, sizeof headers, cases[i].headers, port, port);
        int status = status_of(ask("GET /", headers));
        if (cases[i].status ? status != cases[i].status : status != 400 && status != 403)
            fail_msg("%s gets %d", headers, status);
    }
    watch_close(&page);
}

/* Methods that would change something, and bytes that are no request: refused, and the next one is answered. */
static void what_is_no_question(void **state)
{
    (void)state;
    static const char *const requests[] = {"\r\n\r\n\r\n",
                                           "GET\r\n\r\n",
                                           "GET / HTTP/9.9\r\n\r\n",
                                           "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 tls\r\n\r\n",
                                           "GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                                           "GET / HTTP/1.1\r\nTransfer-Encoding: nonsense\r\n\r\n"};
    char *huge = malloc(100000);
    serve_folder();
    assert_int_equal(status_of(ask_page("POST /")), 405);
    assert_int_equal(status_of(ask_page("PUT /runs/0/log.jsonl")), 405);
    assert_int_equal(status_of(ask_page("DELETE /runs/0/log.jsonl")), 405);
    assert_int_equal(status_of(ask_page("OPTIONS /")), 405);
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        int s = connect_page();
        if (write(s, requests[i], strlen(requests[i])) < 0)
            fail_msg("no write");
        shutdown(s, SHUT_WR);
        close(s);
    }
    memset(huge, 'a', 99999);
    memcpy(huge, "GET /", 5);
    int s = connect_page();
    if (write(s, huge, 99999) < 0)
        print_message("the server did not take it all\n");
    close(s);
    free(huge);
    assert_int_equal(status_of(ask_page("GET /")), 200);
    watch_close(&page);
}

static int open_events(char *text, size_t size)
{
    char request[200];
    int s = connect_page();
    snprintf(request, sizeof request, "GET /events HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", port);
    assert_int_equal(write(s, request, strlen(request)), strlen(request));
    text[0] = 0;
    read_until(s, text, size, "event: hello");
    return s;
}

static int count_of(const char *text, const char *what)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, what)); at++)
        n++;
    return n;
}

/* A growing log: every line once, half a line when it is whole, and one too long passed over. */
static void stream_follows(void **state)
{
    (void)state;
    static char text[100000];
    write_text("log.jsonl", "{\"a\":1}\n{\"a\":2}\n{\"half");
    remove(in_folder("progress.json"));
    serve_folder();
    int s = open_events(text, sizeof text);
    read_until(s, text, sizeof text, "data: {\"a\":2}\n\n");
    assert_non_null(strstr(text, "event: log\ndata: 0\ndata: {\"a\":1}\n"));
    assert_null(strstr(text, "half"));
    append("log.jsonl", "\":3}\n");
    read_until(s, text, sizeof text, "data: {\"half\":3}\n");
    append("log.jsonl", "{\"x\":\"a\rdata: b\xff\xfe<script>\"}\n"); /* a carriage return would be a line's end to the browser */
    read_until(s, text, sizeof text, "{\"x\":\"a data: b\xff\xfe<script>\"}\n");
    char *line = malloc(400001);
    memset(line, 'z', 400000);
    line[400000] = 0;
    append("log.jsonl", line);
    append("log.jsonl", "\n{\"after\":1}\n");
    free(line);
    read_until(s, text, sizeof text, "{\"after\":1}\n");
    assert_int_equal(count_of(text, "{\"a\":1}"), 1);
    assert_null(strstr(text, "zzz"));
    write_text("progress.json", "{\"state\":\"training\",\"time\":1,\"process\":1,\"host\":\"<b>\"}");
    read_until(s, text, sizeof text, "event: progress\n");
    read_until(s, text, sizeof text, "\"host\":\"<b>\"");
    write_text("progress.json", "not json");
    write_text("sample.safetensors", "x");
    read_until(s, text, sizeof text, "event: sample\n");
    close(s);
    watch_close(&page);
}

/* A resumed run cuts its log back: the same bytes again are no news, others begin anew. */
static void stream_survives_a_resume(void **state)
{
    (void)state;
    static char text[100000];
    write_text("log.jsonl", "{\"a\":1}\n{\"a\":2}\n");
    serve_folder();
    int s = open_events(text, sizeof text);
    read_until(s, text, sizeof text, "{\"a\":2}\n");
    write_text("log.jsonl", "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n"); /* in one go for the stream, if it looked at no moment between */
    read_until(s, text, sizeof text, "{\"a\":3}\n");
    write_text("log.jsonl", "{\"b\":1}\n{\"b\":2}\n{\"b\":3}\n{\"b\":4}\n");
    read_until(s, text, sizeof text, "{\"b\":4}\n");
    assert_non_null(strstr(text, "event: restart\ndata: 0\n"));
    write_text("log.jsonl", "{\"b\":1}\n");
    read_until(s, strstr(text, "{\"b\":4}\n"), sizeof text / 2, "event: restart\n");
    remove(in_folder("log.jsonl"));
    poll(NULL, 0, 700);
    write_text("log.jsonl", "{\"c\":1}\n");
    read_until(s, text, sizeof text, "{\"c\":1}\n");
    close(s);
    watch_close(&page);
}

/* The end of the server: what is new comes first, then the word, within two seconds; pages that left hold no connection. */
static void stream_ends(void **state)
{
    (void)state;
    static char text[100000], other[100000];
    write_text("log.jsonl", "{\"a\":1}\n");
    serve_folder();
    for (int i = 0; i < 80; i++) { /* more than there are connections */
        int gone = open_events(other, sizeof other);
        close(gone);
        if (i % 40 == 39)
            poll(NULL, 0, 800);
    }
    int s = open_events(text, sizeof text);
    read_until(s, text, sizeof text, "{\"a\":1}\n");
    append("log.jsonl", "{\"last\":1}\n");
    long begun = now_ms();
    watch_close(&page);
    assert_true(now_ms() - begun < 3000);
    read_until(s, text, sizeof text, NULL);
    const char *last = strstr(text, "{\"last\":1}\n");
    assert_non_null(last);
    assert_non_null(strstr(last, "event: end\n"));
    close(s);
}

/* Addresses: beyond loopback, nonsense, taken; each with what to do. */
static void addresses(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "0.0.0.0:80",      "192.168.1.5:8090", "8090",      "127.0.0.1",       "127.0.0.1:",   "127.0.0.1:x",
        "127.0.0.1:65536", "127.0.0.1:-1",     "[::]:8090", "evil.example:80", "127.0.0.1:80 "};
    const char *runs[] = {folder};
    rn_error err;
    watch_page *other;
    char taken[64];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (watch_open(&other, wrong[i], runs, 1, &err) != RN_ERR_ARG || !strstr(err.text, "--listen"))
            fail_msg("%s: %s", wrong[i], err.text);
        assert_null(other);
    }
    serve_folder();
    snprintf(taken, sizeof taken, "127.0.0.1:%d", port);
    assert_int_equal(watch_open(&other, taken, runs, 1, &err), RN_ERR_IO);
    assert_non_null(strstr(err.text, "another program has this port"));
    watch_close(&page);
    assert_null(page);
    watch_close(&page);
}

/* A run's name may be anything a file name may be. */
static void hostile_names(void **state)
{
    (void)state;
    static char text[100000];
    const char *runs[] = {"/tmp/<img src=x onerror=alert(1)>\n\"'\xe2\x80\xae", "/tmp/\xff\xfe", "/tmp/event: end\n\n"};
    rn_error err;
    if (watch_open(&page, "127.0.0.1:0", runs, 3, &err))
        fail_msg("%s", err.text);
    port = atoi(strrchr(watch_url(page), ':') + 1);
    int s = open_events(text, sizeof text);
    read_until(s, text, sizeof text, "\n\n\r\n"); /* one event, one chunk */
    assert_non_null(strstr(text, "alert(1)>\\n\\\"'"));
    assert_non_null(strstr(text, "/tmp/??"));
    assert_null(strstr(text, "\nevent: end"));
    close(s);
    assert_int_equal(status_of(ask_page("GET /runs/0/log.jsonl")), 404);
    watch_close(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes),
        cmocka_unit_test(nothing_else_is_served),
        cmocka_unit_test(other_sites_are_refused),
        cmocka_unit_test(what_is_no_question),
        cmocka_unit_test(stream_follows),
        cmocka_unit_test(stream_survives_a_resume),
        cmocka_unit_test(stream_ends),
        cmocka_unit_test(addresses),
        cmocka_unit_test(hostile_names),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("watch", tests, make_folder, remove_folder);
}
