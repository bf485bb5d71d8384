/* The house rules that a compiler does not check: who may include whom, what the library may call, and how long files and
 * functions may be.
 *
 * Sources are read as text from the tree that this test was built from; the library's undefined symbols come from `nm` (binutils,
 * where the compiler is) on the static library of the same build. */
#include <ctype.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define FILE_LINES 800
#define FUNCTION_LINES 80

/* A folder of src/ and those that it may include, itself aside: the table in docs/architecture.md, made transitive. */
static const struct { const char *folder, *may; } layers[] = {
    {"base", ""},
    {"kernels", " base "},
    {"graph", " kernels base "},
    {"formats", " base "},
    {"models", " graph formats kernels base "},
    {"media", " kernels formats base "},
    {"data", " media formats kernels base "},
    {"judge", " models data media graph formats kernels base "},
    {"report", " judge models data media graph formats kernels base "},
    {"train", " judge models data media graph formats kernels base "},
    {"dist", " train judge models data media graph formats kernels base "},
    {"api", " dist train report judge models data media graph formats kernels base "},
};

/* Libraries and the only folders that may know them: the core builds with libc and Jansson alone. */
static const struct { const char *header, *folders; } libraries[] = {
    {"jansson.h", " formats models media data judge report train api serve "},
    {"sndfile.h", " media api "}, /* api: its version, for "resnet info" */
    {"samplerate.h", " media api "},
    {"jpeglib.h", " media api "},
    {"png.h", " media api "},
    {"webp/", " media api "},
    {"zlib.h", " data "},
    {"archive.h", " data "},
    {"archive_entry.h", " data "},
    {"xxhash.h", " data train api "},
    {"cairo.h", " judge report api "},
    {"sqlite3.h", ""}, /* the program's alone */
    {"microhttpd.h", " serve "},
};

static int problems;
static const char *root; /* of the tree, with a slash at the end */

static void complain(const char *path, int line, const char *what, const char *detail)
{
    print_error("%s:%d: %s %s\n", path + strlen(root), line, what, detail);
    problems++;
}

static int among(const char *list, const char *word)
{
    char spaced[700];
    snprintf(spaced, sizeof spaced, " %s ", word);
    return strstr(list, spaced) != NULL;
}

static int ends(const char *path, const char *with)
{
    size_t a = strlen(path), b = strlen(with);
    return a >= b && !strcmp(path + a - b, with);
}

static int is_source(const char *path)
{
    return ends(path, ".c") || ends(path, ".h") || ends(path, ".inc");
}

/* The folder below src/ that holds path ("kernels" for src/kernels/x86/avx2.c); "cli", "include", ... elsewhere. */
static void folder_of(const char *path, char folder[40])
{
    const char *at = path + strlen(root);
    if (!strncmp(at, "src/", 4))
        at += 4;
    snprintf(folder, 40, "%.*s", (int)strcspn(at, "/"), at);
}

/* #include "name" of a file in `folder`. */
static void judge_quoted(const char *path, int line, const char *folder, const char *name)
{
    char target[40];
    int program = !strcmp(folder, "cli") || !strcmp(folder, "serve");
    int is_public = !strcmp(name, "resnet.h") || !strcmp(name, "resnet_tools.h");
    if (!strchr(name, '/')) {
        int own = program || !strcmp(folder, "include"); /* beside it */
        if (!own && !is_public)
            complain(path, line, "includes are written from src/, not", name);
        if (!strcmp(name, "resnet_tools.h") && strcmp(folder, "api") && !own)
            complain(path, line, "only api, cli and serve may include", name);
        return;
    }
    snprintf(target, sizeof target, "%.*s", (int)strcspn(name, "/"), name);
    if (program && !strcmp(target, "serve"))
        return;
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        if (!strcmp(layers[i].folder, folder)) {
            if (strcmp(target, folder) && !among(layers[i].may, target))
                complain(path, line, "a layer may not include one above it or beside it:", name);
            return;
        }
    complain(path, line, "public headers only, not", name);
}

static void judge_angled(const char *path, int line, const char *folder, const char *name)
{
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++)
        if (strstr(name, libraries[i].header) && !among(libraries[i].folders, folder) &&
            (strcmp(folder, "cli") || !strcmp(libraries[i].header, "microhttpd.h")))
            complain(path, line, "this folder does without", name);
    if (!strcmp(name, "complex.h") || !strcmp(name, "tgmath.h") || !strcmp(name, "fenv.h"))
        complain(path, line, "arithmetic whose bits are not defined:", name);
}

static int read_includes(const char *path, const struct stat *info, int type, struct FTW *where)
{
    char text[2000], folder[40], name[200];
    (void)info, (void)where;
    if (type != FTW_F || !is_source(path))
        return 0;
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    folder_of(path, folder);
    for (int line = 1; fgets(text, sizeof text, f); line++) {
        const char *at = text + strspn(text, " \t");
        if (*at != '#')
            continue;
        at++;
        at += strspn(at, " \t");
        if (strncmp(at, "include", 7))
            continue;
        at += 7;
        at += strspn(at, " \t");
        if (sscanf(at, "\"%199[^\"]\"", name) == 1)
            judge_quoted(path, line, folder, name);
        else if (sscanf(at, "<%199[^>]>", name) == 1)
            judge_angled(path, line, folder, name);
    }
    fclose(f);
    return 0;
}

/* A function's body is what stands between "{" and "}" in the first column. */
static int read_lengths(const char *path, const struct stat *info, int type, struct FTW *where)
{
    char text[4000], detail[60];
    (void)info;
    const char *base = path + where->base;
    if (!strcasecmp(base, "utils") || !strncasecmp(base, "utils.", 6))
        complain(path, 0, "says nothing:", base);
    if (type != FTW_F || !is_source(path))
        return 0;
    int kernel = ends(path, ".inc") && strstr(path, "/kernels/");
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    int line = 0, begin = 0;
    while (fgets(text, sizeof text, f)) {
        line++;
        if (line == 1 && strncmp(text, "/*", 2))
            complain(path, line, "a file begins with a comment that says what it does", "");
        if (text[0] == '{')
            begin = line;
        if (text[0] == '}' && begin) {
            snprintf(detail, sizeof detail, "%d lines", line - begin - 1);
            if (line - begin - 1 >= FUNCTION_LINES && !kernel)
                complain(path, begin, "a function has", detail);
            begin = 0;
        }
    }
    snprintf(detail, sizeof detail, "%d lines", line);
    if (line >= FILE_LINES && !kernel)
        complain(path, line, "a file has", detail);
    fclose(f);
    return 0;
}

static void walk(const char *folder, int (*visit)(const char *, const struct stat *, int, struct FTW *))
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s%s", root, folder);
    if (!access(path, R_OK))
        assert_int_equal(nftw(path, visit, 20, FTW_PHYS), 0);
}

/* An include that goes up, as judge -> train, would tie the core to what embedders leave out. */
static void test_includes(void **state)
{
    (void)state;
    problems = 0;
    walk("src", read_includes);
    walk("cli", read_includes);
    walk("serve", read_includes);
    walk("include", read_includes);
    assert_int_equal(problems, 0);
}

static void test_lengths(void **state)
{
    (void)state;
    const char *folders[] = {"src", "serve", "cli", "include", "examples", "tests"};
    problems = 0;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        walk(folders[i], read_lengths);
    assert_int_equal(problems, 0);
}

/* Functions of libm other than sqrt, fma, floor and fabs: their last bit, or their being there, differs between C libraries.
 * Each stands for its f and l forms too. */
static const char *const libm =
    " acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh drem erf erfc exp exp10 exp2 expm1 fdim fmax fmin fmod frexp gamma"
    " hypot ilogb j0 j1 jn ldexp lgamma lgamma_r llrint llround log log10 log1p log2 logb lrint lround modf nan nearbyint nextafter"
    " nexttoward pow pow10 remainder remquo rint round roundeven scalb scalbln scalbn significand sin sincos sinh tan tanh tgamma"
    " trunc y0 y1 yn cexp cpow csqrt clog cabs carg ";

/* What a library has no business with: printing, ending the process, its signals, locale and folder; the C library's random numbers;
 * numbers read by the locale's rules; other programs. */
static const char *const banned =
    " printf vprintf puts putchar putc putchar_unlocked perror stdout stderr stdin __printf_chk __vprintf_chk psignal"
    " exit _exit _Exit quick_exit abort atexit __assert_fail err errx warn warnx error"
    " signal sigaction sigprocmask raise kill setlocale uselocale chdir fchdir umask"
    " rand srand rand_r random srandom drand48 lrand48 strtod strtof strtold atof system popen execv execve fork vfork ";

static int is_libm(const char *symbol)
{
    char name[200];
    snprintf(name, sizeof name, "%s", symbol);
    size_t n = strlen(name);
    if (among(libm, name))
        return 1;
    if (n > 9 && ends(name, "_finite") && name[0] == '_')
        return 1;
    if (n > 1 && (name[n - 1] == 'f' || name[n - 1] == 'l')) {
        name[n - 1] = 0;
        return among(libm, name);
    }
    return 0;
}

/* Whether the library was built with a sanitizer, whose run-time calls abort and others itself, is no matter: those are in its
 * own objects, not in ours. */
static void test_symbols(void **state)
{
    (void)state;
    char self[PATH_MAX], command[PATH_MAX + 60], text[1000], object[300] = "", symbol[600];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 40);
    assert_true(n > 0);
    self[n] = 0;
    for (int up = 0; up < 2; up++)
        *strrchr(self, '/') = 0;
    strcat(self, "/libresnet.a");
    if (access(self, R_OK))
        fail_msg("no %s beside the tests", self);
    snprintf(command, sizeof command, "nm -u '%s'", self);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    int seen = 0;
    problems = 0;
    while (fgets(text, sizeof text, pipe)) {
        if (sscanf(text, " U %599s", symbol) != 1) {
            if (strstr(text, ".o:"))
                snprintf(object, sizeof object, "%.*s", (int)strcspn(text, ":"), text);
            continue;
        }
        char *version = strchr(symbol, '@');
        if (version)
            *version = 0;
        seen++;
        if (is_libm(symbol) || among(banned, symbol)) {
            print_error("%s calls %s\n", object, symbol);
            problems++;
        }
    }
    assert_int_equal(pclose(pipe), 0);
    assert_true(seen > 50); /* nm said something */
    assert_int_equal(problems, 0);
}

/* The rules themselves: a list that matches nothing would pass for ever. */
static void test_rules(void **state)
{
    (void)state;
    assert_true(is_libm("expf") && is_libm("exp") && is_libm("__exp_finite") && is_libm("powl") && is_libm("ldexp"));
    assert_false(is_libm("sqrtf") || is_libm("fma") || is_libm("floor") || is_libm("fabsf") || is_libm("rn_exp") || is_libm("fprintf"));
    problems = 0;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%ssrc/judge/made-up.c", root);
    print_message("four complaints about a made-up file follow\n");
    judge_quoted(path, 1, "judge", "train/trainer.h");
    judge_quoted(path, 2, "judge", "evaluate.h");
    judge_quoted(path, 3, "cli", "base/file.h");
    judge_angled(path, 4, "graph", "sndfile.h");
    assert_int_equal(problems, 4);
    judge_quoted(path, 1, "judge", "models/arch.h");
    judge_quoted(path, 2, "base", "resnet.h");
    judge_angled(path, 3, "media", "sndfile.h");
    assert_int_equal(problems, 4);
}

int main(void)
{
    static char tree[PATH_MAX];
    snprintf(tree, sizeof tree, "%s", RN_TEST_DIR);
    *strrchr(tree, '/') = 0;
    strcat(tree, "/");
    root = tree;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_includes),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_symbols),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
