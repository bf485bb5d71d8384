/* Messages, numbers for people, JSON, the live line, and signals. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

void complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("resnet: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

int fail_with(const rn_error *err)
{
    if (err->code == RN_ERR_CANCELLED) {
        complain("%s", err->text);
        return EXIT_STOPPED;
    }
    complain("%s", err->text[0] ? err->text : rn_error_meaning(err->code));
    return err->code == RN_ERR_ARG ? EXIT_USE : EXIT_WORK;
}

static volatile sig_atomic_t stopped;

/* The first signal asks the work to end in good order; the second has its usual effect. */
static void on_signal(int number)
{
    stopped = 1;
    signal(number, SIG_DFL);
}

void signals_watch(void)
{
    struct sigaction action = {0};
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int signals_stopped(void)
{
    return stopped;
}

double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void progress_start(progress *p, const char *what)
{
    memset(p, 0, sizeof *p);
    p->what = what;
    p->started = seconds_now();
    p->live = isatty(STDERR_FILENO);
}

int progress_due(const progress *p)
{
    double now = seconds_now();
    return p && p->live && now - p->started >= 2 && now - p->shown >= 0.2;
}

void progress_show(progress *p, const char *format, ...)
{
    va_list arguments;
    p->shown = seconds_now();
    p->visible = 1;
    fputs("\r\033[K", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fflush(stderr);
}

int progress_step(void *context, int64_t done, int64_t total)
{
    progress *p = context;
    char a[32], b[32], left[32], speed[32] = "", end[48] = "";
    if (stopped)
        return 1;
    if (!progress_due(p))
        return 0;
    double rate = (double)(done - p->first) / (seconds_now() - p->started);
    if (total <= 0 || (rate > 0 && total > done))
        snprintf(speed, sizeof speed, "   %.*f/s", rate < 10 ? 1 : 0, rate);
    if (rate > 0 && total > done)
        snprintf(end, sizeof end, "   %s left", text_duration(left, (double)(total - done) / rate));
    progress_show(p, "%s  %s%s%s%s%s", p->what, text_count(a, done), total > 0 ? " of " : "", total > 0 ? text_count(b, total) : "", speed, end);
    return 0;
}

void progress_end(progress *p)
{
    if (p->visible)
        fputs("\r\033[K", stderr);
    p->visible = 0;
}

const char *text_count(char buffer[32], int64_t n)
{
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)(n < 0 ? -n : n)), at = 0;
    if (n < 0)
        buffer[at++] = '-';
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            buffer[at++] = ',';
        buffer[at++] = digits[i];
    }
    buffer[at] = 0;
    return buffer;
}

const char *text_bytes(char buffer[32], int64_t n)
{
    if (n < 1000)
        snprintf(buffer, 32, "%lld bytes", (long long)n);
    else if (n < 1000000)
        snprintf(buffer, 32, "%.1f kB", 1e-3 * (double)n);
    else if (n < 1000000000)
        snprintf(buffer, 32, "%.1f MB", 1e-6 * (double)n);
    else
        snprintf(buffer, 32, "%.2f GB", 1e-9 * (double)n);
    return buffer;
}

const char *text_duration(char buffer[32], double seconds)
{
    if (seconds < 0)
        snprintf(buffer, 32, "?");
    else if (seconds < 9.95)
        snprintf(buffer, 32, "%.1f s", seconds);
    else if (seconds < 99.5)
        snprintf(buffer, 32, "%.0f s", seconds);
    else if (seconds < 5970)
        snprintf(buffer, 32, "%.0f min", seconds / 60);
    else
        snprintf(buffer, 32, "%.1f h", seconds / 3600);
    return buffer;
}

static void print_with(FILE *out, const json_t *value, size_t flags)
{
    char *text = json_dumps(value, flags | JSON_ENCODE_ANY | JSON_REAL_PRECISION(10));
    if (!text) {
        complain("no memory to print the result");
        return;
    }
    fputs(text, out);
    fputc('\n', out);
    free(text);
}

void print_json(const json_t *value)
{
    print_with(stdout, value, JSON_INDENT(2));
}

void print_json_line(const json_t *value)
{
    print_with(stdout, value, JSON_COMPACT);
}

void write_json_line(FILE *out, const json_t *value)
{
    print_with(out, value, JSON_COMPACT);
}

json_t *take_result(char *text)
{
    json_t *value = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    rn_text_free(text);
    if (!value)
        complain("no memory for the result");
    return value;
}

static int output_errno; /* of the first write that failed; stdio forgets it */

int output_failed(void)
{
    int before = errno; /* of a write in between whose failure only the stream remembers */
    errno = 0;
    int failed = fflush(stdout) || ferror(stdout);
    if (failed && !output_errno)
        output_errno = errno ? errno : before;
    return failed;
}

int stream_failed(FILE *out)
{
    return out == stdout ? output_failed() : ferror(out);
}

int finish_output(int status)
{
    if (!output_failed())
        return status;
    if (output_errno != EPIPE) /* whoever closed the pipe, `head` for example, has seen enough */
        complain("standard output: %s", output_errno ? strerror(output_errno) : "not everything could be written; is the disk full?");
    return status ? status : EXIT_WORK;
}

char *options_text(const command *c)
{
    json_t *object = options_object(c);
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (!text)
        complain("no memory for the options");
    return text;
}

json_int_t number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

double real_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

json_t *path_value(const char *path)
{
    json_t *value = json_string(path);
    return value ? value : json_string("(a name that is not UTF-8)");
}

int csv_field(const char *text, int (*put)(void *context, const char *piece), void *context)
{
    char one[2] = {0};
    if (!strpbrk(text, ",\"\r\n"))
        return put(context, text);
    int failed = put(context, "\"");
    for (; *text && !failed; text++) {
        one[0] = *text;
        failed = put(context, *text == '"' ? "\"\"" : one);
    }
    return failed || put(context, "\"");
}

char *command_text(void)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=,:@%+";
    char *word = NULL, *text = NULL;
    size_t room = 0, size = 0;
    FILE *words = fopen("/proc/self/cmdline", "rbe"), *out = open_memstream(&text, &size);
    for (int count = 0; words && out && getdelim(&word, &room, 0, words) >= 0; count++) {
        int quoted = !*word || word[strspn(word, plain)];
        fprintf(out, "%s%s", count ? " " : "", quoted ? "'" : "");
        for (const char *at = word; *at; at++)
            fprintf(out, *at == '\'' ? "'\\''" : "%c", *at);
        fputs(quoted ? "'" : "", out);
    }
    free(word);
    if (words)
        fclose(words);
    if (!out || fclose(out)) {
        free(text);
        return NULL;
    }
    return text;
}

void shape_text(char buffer[64], const json_t *shape)
{
    size_t at = 0;
    buffer[0] = 0;
    for (size_t i = 0; i < json_array_size(shape) && at < 48; i++)
        at += (size_t)snprintf(buffer + at, 64 - at, "%s%lld", i ? "x" : "", json_integer_value(json_array_get(shape, i)));
}

int output_is_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (int i = 0; i < 3; i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
    }
    return 0;
}
