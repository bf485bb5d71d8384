/* Checks src/base: error texts, Philox and its distributions, exact maths against libm, files that are whole or absent. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <dirent.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/maths.h"
#include "base/random.h"

static char folder[] = "/tmp/check_base.XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[4][300];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
    return path[next];
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int count_files(void)
{
    DIR *d = opendir(folder);
    int n = 0;
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static int remove_folder(void **state)
{
    (void)state;
    DIR *d = opendir(folder);
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.')
            remove(in_folder(e->d_name));
    closedir(d);
    return rmdir(folder);
}

/* A text cut inside a two-, three- or four-byte sequence, or one cut too early when it ends with a whole sequence. */
static void error_is_cut_between_characters(void **state)
{
    (void)state;
    const char *characters[4] = {"x", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x8E\xB5"};
    for (int kind = 0; kind < 4; kind++) {
        size_t width = strlen(characters[kind]);
        for (int shift = 0; shift < 4; shift++) {
            char text[1400] = "";
            memset(text, 'a', (size_t)shift);
            for (size_t i = (size_t)shift; i + width < sizeof text; i += width)
                memcpy(text + i, characters[kind], width + 1);
            rn_error err;
            assert_int_equal(rn_error_set(&err, RN_ERR_IO, "%s", text), RN_ERR_IO);
            assert_int_equal(err.code, RN_ERR_IO);
            size_t want = (size_t)shift + (999 - (size_t)shift) / width * width;
            assert_int_equal(strlen(err.text), want);
            assert_memory_equal(err.text, text, want);
        }
    }
}

/* A crash on NULL, a lost code, or an argument that is overwritten while it is read. */
static void error_takes_null_and_itself(void **state)
{
    (void)state;
    assert_int_equal(rn_error_set(NULL, RN_ERR_ARG, "x"), RN_ERR_ARG);
    rn_error err;
    rn_error_set(&err, RN_ERR_ARG, "tail");
    rn_error_set(&err, RN_ERR_IO, "head: %s", err.text);
    assert_string_equal(err.text, "head: tail");
    assert_int_equal(rn_error_memory(&err, "the arena", 5ull << 20), RN_ERR_MEMORY);
    assert_string_equal(err.text, "No memory for the arena (5 MiB)");
    rn_error_memory(&err, "a name", 12);
    assert_string_equal(err.text, "No memory for a name (12 bytes)");
}

/* Any slip in rounds, constants or word order: the known answers of the authors' Random123. */
static void philox_known_answers(void **state)
{
    (void)state;
    static const uint32_t cases[3][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}};
    for (int i = 0; i < 3; i++) {
        uint32_t out[4];
        rn_philox(cases[i], cases[i] + 4, out);
        assert_memory_equal(out, cases[i] + 6, sizeof out);
    }
}

/* A stream whose layout of the counter changed: every trained model would change with it. */
static void stream_layout(void **state)
{
    (void)state;
    rn_random r;
    rn_random_start(&r, 0x1122334455667788ull, RN_PURPOSE_CROP, 7, 0x0000ABCDEF012345ull);
    for (uint32_t block = 0; block < 3; block++) {
        uint32_t counter[4] = {block, 0xEF012345u, 7, 4u | 0x00ABCDu << 8}, key[2] = {0x55667788u, 0x11223344u}, out[4];
        rn_philox(counter, key, out);
        for (int i = 0; i < 4; i++)
            assert_int_equal(rn_random_u32(&r), out[i]);
    }
    rn_random a, b;
    rn_random_start(&a, 1, RN_PURPOSE_TEST, 0, 0);
    rn_random_start(&b, 1, RN_PURPOSE_TEST, 0, 0);
    uint64_t high = rn_random_u32(&b), low = rn_random_u32(&b);
    double d = rn_random_double(&a);
    assert_true(d == (double)((high << 32 | low) >> 11) / 9007199254740992.0);
}

/* Modulo bias, a value outside the range, or a range of 2^32 and more that is cut. */
static void below_is_uniform(void **state)
{
    (void)state;
    rn_random r;
    rn_random_start(&r, 3, RN_PURPOSE_TEST, 0, 0);
    int counts[7] = {0};
    for (int i = 0; i < 70000; i++)
        counts[rn_random_below(&r, 7)]++;
    for (int i = 0; i < 7; i++)
        assert_in_range(counts[i], 9600, 10400); /* 4 standard deviations are 370 */
    /* n = 3 * 2^30: a plain remainder would give the lowest third twice as often */
    int low = 0;
    for (int i = 0; i < 30000; i++)
        low += rn_random_below(&r, 3ull << 30) < 1ull << 30;
    assert_in_range(low, 9670, 10330);
    int above = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t x = rn_random_below(&r, 5ull << 40);
        assert_true(x < 5ull << 40);
        above += x >= 1ull << 32;
    }
    assert_true(above > 990);
    assert_int_equal(rn_random_below(&r, 1), 0);
    assert_true(rn_random_below(&r, 1ull << 32) < 1ull << 32);
    (void)rn_random_below(&r, UINT64_MAX);
}

static void moments(double (*draw)(rn_random *), int n, double *mean, double *variance)
{
    rn_random r;
    rn_random_start(&r, 11, RN_PURPOSE_TEST, 0, 0);
    double s = 0, q = 0;
    for (int i = 0; i < n; i++) {
        double x = draw(&r);
        assert_true(isfinite(x));
        s += x;
        q += x * x;
    }
    *mean = s / n;
    *variance = q / n - *mean * *mean;
}

static double draw_gamma_big(rn_random *r) { return rn_random_gamma(r, 2.5); }
static double draw_gamma_small(rn_random *r) { return rn_random_gamma(r, 0.3); }
static double draw_beta(rn_random *r) { return rn_random_beta(r, 0.4, 0.4); }
static double draw_beta_tiny(rn_random *r) { return rn_random_beta(r, 0.001, 0.001); }
static double draw_beta_wide(rn_random *r) { return rn_random_beta(r, 2, 5); }

/* A wrong formula of a distribution; a Beta of tiny parameters that becomes 0/0. */
static void distributions_have_their_moments(void **state)
{
    (void)state;
    static const struct { double (*draw)(rn_random *); double mean, variance; } cases[] = {
        {rn_random_double, 0.5, 1.0 / 12}, {rn_random_normal, 0, 1}, {draw_gamma_big, 2.5, 2.5}, {draw_gamma_small, 0.3, 0.3},
        {draw_beta, 0.5, 0.25 / 1.8}, {draw_beta_tiny, 0.5, 0.25 / 1.002}, {draw_beta_wide, 2.0 / 7, 10.0 / 392}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double mean, variance;
        moments(cases[i].draw, 100000, &mean, &variance);
        assert_true(fabs(mean - cases[i].mean) < 5 * sqrt(cases[i].variance / 100000));
        assert_true(fabs(variance / cases[i].variance - 1) < 0.06);
    }
}

/* A shuffle that loses an element or leaves places unequally likely. */
static void shuffle_is_a_fair_permutation(void **state)
{
    (void)state;
    rn_random r;
    rn_random_start(&r, 5, RN_PURPOSE_TEST, 0, 0);
    int counts[24] = {0};
    for (int i = 0; i < 24000; i++) {
        uint32_t o[4] = {0, 1, 2, 3};
        rn_random_shuffle(&r, o, 4);
        assert_int_equal(1u << o[0] | 1u << o[1] | 1u << o[2] | 1u << o[3], 15);
        int rank = (int)(o[0] * 6 + (o[1] - (o[1] > o[0])) * 2 + (o[2] > o[3]));
        counts[rank]++;
    }
    for (int i = 0; i < 24; i++)
        assert_in_range(counts[i], 860, 1140);
    rn_random_shuffle(&r, NULL, 0);
}

/* Distance in units of the last place of the result, with libm's long double as the better value. */
static double ulps(double got, long double want)
{
    double rounded = (double)want;
    if (isnan(rounded) || isinf(rounded) || rounded == 0)
        return got == rounded || (isnan(got) && isnan(rounded)) ? 0 : 1e9;
    int e;
    frexp(rounded, &e);
    double unit = ldexp(1, (e < -1021 ? -1021 : e) - 53);
    return (double)fabsl(((long double)got - want) / unit);
}

static double uniform(rn_random *r, double a, double b) { return a + (b - a) * rn_random_double(r); }

/* An error of 2 units in the last place or more, anywhere in the usual range, near 1, near multiples of pi/2, among subnormals. */
static void maths_close_to_libm(void **state)
{
    (void)state;
    rn_random r;
    rn_random_start(&r, 1, RN_PURPOSE_TEST, 0, 0);
    double worst[6] = {0};
    for (int i = 0; i < 200000; i++) {
        double x = i % 4 == 0   ? uniform(&r, -745, 709.7)
                   : i % 4 == 1 ? uniform(&r, -1, 1)
                   : i % 4 == 2 ? uniform(&r, -20, 20)
                                : uniform(&r, -1e-9, 1e-9);
        worst[0] = fmax(worst[0], ulps(rn_exp(x), expl(x)));
        uint64_t bits = ((uint64_t)rn_random_u32(&r) << 32 | rn_random_u32(&r)) & 0x7FFFFFFFFFFFFFFFull;
        double y;
        memcpy(&y, &bits, 8);
        if (i % 2)
            y = i % 4 == 1 ? uniform(&r, 0.5, 2) : 1 + uniform(&r, -1e-6, 1e-6);
        if (isfinite(y) && y > 0) {
            worst[1] = fmax(worst[1], ulps(rn_log(y), logl(y)));
            worst[2] = fmax(worst[2], ulps(rn_log10(y), log10l(y)));
        }
        double base = i % 3 == 0 ? uniform(&r, 0.9, 1) : i % 3 == 1 ? uniform(&r, 0, 50) : 1 + uniform(&r, -1e-5, 1e-5);
        double power = i % 3 == 0 ? uniform(&r, -6000, 6000) : i % 3 == 1 ? uniform(&r, -180, 180) : uniform(&r, -1e7, 1e7);
        if (base > 0 && fabsl(powl(base, power)) > 1e-307L && fabsl(powl(base, power)) < 1e308L)
            worst[3] = fmax(worst[3], ulps(rn_pow(base, power), powl(base, power)));
        double angle = i % 3 == 0   ? uniform(&r, -1048576, 1048576)
                       : i % 3 == 1 ? uniform(&r, -7, 7)
                                    : (double)(rn_random_below(&r, 600000)) * 1.5707963267948966;
        worst[4] = fmax(worst[4], ulps(rn_sin(angle), sinl(angle)));
        worst[5] = fmax(worst[5], ulps(rn_cos(angle), cosl(angle)));
    }
    print_message("worst error in units of the last place: exp %.3f log %.3f log10 %.3f pow %.3f sin %.3f cos %.3f\n",
        worst[0], worst[1], worst[2], worst[3], worst[4], worst[5]);
    for (int i = 0; i < 6; i++)
        assert_true(worst[i] < 1);
}

/* A special value that becomes finite, or the reverse. */
static void maths_special_values(void **state)
{
    (void)state;
    assert_true(rn_exp(0) == 1 && rn_exp(-0.0) == 1 && rn_exp(-800) == 0 && isinf(rn_exp(710)) && rn_exp(-INFINITY) == 0 &&
                isinf(rn_exp(INFINITY)));
    assert_true(isnan(rn_exp(NAN)) && isnan(rn_log(NAN)) && isnan(rn_log10(NAN)) && isnan(rn_pow(NAN, 2)) && isnan(rn_sin(NAN)) &&
                isnan(rn_cos(NAN)));
    assert_true(isinf(rn_log(0)) && rn_log(0) < 0 && isnan(rn_log(-1)) && rn_log(1) == 0 && isinf(rn_log(INFINITY)));
    assert_true(isinf(rn_log10(0)) && rn_log10(0) < 0 && isnan(rn_log10(-1)) && isinf(rn_log10(INFINITY)));
    for (int i = 0; i <= 22; i++)
        assert_true(rn_log10(pow(10, i)) == i);
    assert_true(rn_pow(0, 2) == 0 && isinf(rn_pow(0, -2)) && rn_pow(0, 0) == 1 && rn_pow(NAN, 0) == 1 && rn_pow(1, NAN) == 1);
    assert_true(rn_pow(2, 10) == 1024 && rn_pow(2, 0.5) == sqrt(2) && rn_pow(3, 1) == 3 && isnan(rn_pow(-2, 2)));
    assert_true(isinf(rn_pow(INFINITY, 1)) && rn_pow(INFINITY, -1) == 0 && isinf(rn_pow(2, INFINITY)) && rn_pow(2, -INFINITY) == 0);
    assert_true(isinf(rn_pow(0.5, -INFINITY)) && rn_pow(0.5, INFINITY) == 0 && isinf(rn_pow(1e300, 1e300)) && rn_pow(1e300, -1e300) == 0);
    assert_true(rn_pow(2, -1074) == 0x1p-1074 && rn_pow(2, 1023) == 0x1p1023 && rn_exp(-745.1) == 0x1p-1074);
    assert_true(rn_sin(0) == 0 && signbit(rn_sin(-0.0)) && rn_cos(0) == 1 && isnan(rn_sin(2e6)) && isnan(rn_cos(INFINITY)));
}

/* Bits that depend on compiler, flags or processor: one fixed hash of many results. */
static void maths_bits(void **state)
{
    (void)state;
    uint64_t hash = 14695981039346656037ull;
    rn_random r;
    rn_random_start(&r, 2, RN_PURPOSE_TEST, 0, 0);
    for (int i = 0; i < 20000; i++) {
        double x = uniform(&r, -30, 30), p = uniform(&r, 0, 10);
        double values[6] = {rn_exp(x), rn_log(p), rn_log10(p), rn_pow(p, x), rn_sin(x * 1000), rn_cos(x * 1000)};
        for (size_t k = 0; k < sizeof values; k++)
            hash = (hash ^ ((unsigned char *)values)[k]) * 1099511628211ull;
    }
    assert_int_equal(hash, 0x3b9c59e3abcb9918ull);
}

static void write_file(const char *path, const char *text)
{
    rn_save save;
    rn_error err;
    assert_int_equal(rn_save_open(&save, path, &err), 0);
    assert_int_equal(rn_save_write(&save, text, strlen(text), &err), 0);
    assert_int_equal(rn_save_commit(&save, &err), 0);
}

/* A file that is not NUL-ended, has another size, or passes its limit; a folder or pipe that is read or waited for. */
static void file_read_whole(void **state)
{
    (void)state;
    rn_error err;
    unsigned char *data;
    size_t size;
    write_file(in_folder("a"), "hello");
    assert_int_equal(rn_file_read(in_folder("a"), 5, &data, &size, &err), 0);
    assert_int_equal(size, 5);
    assert_string_equal((char *)data, "hello");
    free(data);
    assert_int_equal(rn_file_read(in_folder("a"), 4, &data, &size, &err), RN_ERR_FORMAT);
    assert_null(data);
    write_file(in_folder("empty"), "");
    assert_int_equal(rn_file_read(in_folder("empty"), 5, &data, &size, &err), 0);
    assert_int_equal(size, 0);
    free(data);
    assert_int_equal(rn_file_read(in_folder("none"), 5, &data, &size, &err), RN_ERR_IO);
    assert_non_null(strstr(err.text, "none: No such file or folder"));
    assert_int_equal(rn_file_read(folder, 5, &data, &size, &err), RN_ERR_IO);
    assert_non_null(strstr(err.text, "Is a folder"));
    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
    assert_int_equal(rn_file_read(in_folder("pipe"), 5, &data, &size, &err), RN_ERR_IO);
    remove(in_folder("pipe"));
}

static void assert_text(const char *path, const char *want)
{
    unsigned char *data;
    size_t size;
    assert_int_equal(rn_file_read(path, 1 << 20, &data, &size, NULL), 0);
    assert_string_equal((char *)data, want);
    free(data);
}

/* A name that shows half a file, an old file lost before the new one is whole, a temporary file left behind, lost permissions. */
static void save_is_all_or_nothing(void **state)
{
    (void)state;
    rn_error err;
    rn_save save;
    const char *path = in_folder("model");
    write_file(path, "old");
    chmod(path, 0640);
    int files = count_files();
    assert_int_equal(rn_save_open(&save, path, &err), 0);
    assert_int_equal(rn_save_write(&save, "new", 3, &err), 0);
    fflush(save.file);
    assert_text(path, "old");
    rn_save_drop(&save);
    rn_save_drop(&save);
    assert_text(path, "old");
    assert_int_equal(count_files(), files);
    write_file(path, "new");
    assert_text(path, "new");
    assert_int_equal(count_files(), files);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_equal(rn_save_open(&save, in_folder("no/such/place"), &err), RN_ERR_IO);
    assert_int_equal(rn_save_open(&save, folder, &err), RN_ERR_IO);
    assert_int_equal(rn_save_open(&save, "/dev/null", &err), 0); /* a device stays a device */
    assert_int_equal(rn_save_commit(&save, &err), 0);
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
}

/* A full disk that goes unnoticed, or takes the old file with it. */
static void save_on_a_full_disk(void **state)
{
    (void)state;
    rn_error err;
    rn_save save;
    const char *path = in_folder("full");
    write_file(path, "old");
    int files = count_files();
    struct rlimit old, small = {4096, 4096};
    getrlimit(RLIMIT_FSIZE, &old);
    small.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    static char block[65536];
    int status = rn_save_open(&save, path, &err);
    if (status == 0)
        status = rn_save_write(&save, block, sizeof block, &err);
    if (status == 0)
        status = rn_save_commit(&save, &err);
    else
        rn_save_drop(&save);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(status, RN_ERR_IO);
    assert_non_null(strstr(err.text, "File too large after"));
    assert_text(path, "old");
    assert_int_equal(count_files(), files);
    if (access("/dev/full", W_OK) == 0) {
        assert_int_equal(rn_save_open(&save, "/dev/full", &err), 0);
        assert_int_equal(rn_save_write(&save, "x", 1, &err), 0);
        assert_int_equal(rn_save_commit(&save, &err), RN_ERR_IO);
        assert_non_null(strstr(err.text, "No space left on device"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_is_cut_between_characters), cmocka_unit_test(error_takes_null_and_itself),
        cmocka_unit_test(philox_known_answers), cmocka_unit_test(stream_layout), cmocka_unit_test(below_is_uniform),
        cmocka_unit_test(distributions_have_their_moments), cmocka_unit_test(shuffle_is_a_fair_permutation),
        cmocka_unit_test(maths_close_to_libm), cmocka_unit_test(maths_special_values), cmocka_unit_test(maths_bits),
        cmocka_unit_test(file_read_whole), cmocka_unit_test(save_is_all_or_nothing), cmocka_unit_test(save_on_a_full_disk)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
