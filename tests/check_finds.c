/* Finds: cutting them out of a recording, and the page of them. */
#include "data_fixture.h"

#include <math.h>

#include "base/file.h"
#include "resnet_tools.h"

enum { RATE = 8000 };

static rn_error err;

/* Parts cut in one pass: samples of another place, the end of an overlapping part lost, one that reaches beyond the end not written, parts that
 * were whole before a fault lost with the rest. */
static void parts_of_a_recording(void **state)
{
    (void)state;
    char names[5][160];
    rn_cut cuts[5] = {{0, 0.5, names[0]}, {0.25, 2.9999, names[1]}, {0.25, 0.26, names[2]}, {1, 1.5, names[3]}, {2.5, 9, names[4]}};
    rn_listen raw = {.raw = "f32le", .raw_rate = RATE};
    static float x[3 * RATE];
    for (int i = 0; i < 3 * RATE; i++)
        x[i] = (float)(i * 7919 % 20011 - 10005) / 32768; /* a 16-bit file holds them exactly */
    double seconds = 0;
    for (int i = 0; i < 5; i++)
        snprintf(names[i], sizeof names[i], "%s", at("cut%d.wav", i));
    assert_ok(rn_sound_write_wav(at("whole.wav"), x, 3 * RATE, RATE, &err), err);
    assert_ok(rn_tools_seconds(at("whole.wav"), NULL, &seconds, &err), err);
    assert_true(seconds == 3);
    assert_ok(rn_tools_cut(at("whole.wav"), NULL, cuts, 5, &err), err);
    for (int i = 0; i < 5; i++) {
        rn_sound part = {0};
        int64_t start = (int64_t)floor(cuts[i].start_s * RATE + 0.5), end = (int64_t)floor(cuts[i].end_s * RATE + 0.5);
        end = end < 3 * RATE ? end : 3 * RATE;
        assert_ok(rn_sound_read(names[i], NULL, &part, &err), err);
        assert_int_equal(part.count, end - start);
        assert_memory_equal(part.samples, x + start, (size_t)part.count * sizeof *x);
        rn_sound_free(&part);
        unlink(names[i]);
    }
    assert_error(rn_tools_cut(at("whole.wav"), NULL, &(rn_cut){1, 1, names[0]}, 1, &err), RN_ERR_ARG, err, "no part");
    assert_error(rn_tools_cut(at("none.wav"), NULL, cuts, 5, &err), RN_ERR_IO, err, "none.wav");
    x[2 * RATE] = NAN;
    put_bytes(at("fault.raw"), x, sizeof x);
    assert_error(rn_tools_cut(at("fault.raw"), &raw, cuts, 5, &err), RN_ERR_DATA, err, "not a finite number");
    for (int i = 0; i < 5; i++)
        assert_int_equal(access(names[i], R_OK) == 0, i == 0 || i == 2 || i == 3);
}

static char *page_of(const rn_find *finds, int count, const rn_recording *recordings, int recordings_count)
{
    unsigned char *text;
    size_t size;
    assert_ok(rn_tools_find_page("m<odel", "resnet predict \"x\" >y", finds, count, recordings, recordings_count, at("page.html"), &err),
              err);
    assert_ok(rn_file_read(at("page.html"), 1 << 24, &text, &size, &err), err);
    assert_int_equal(strlen((char *)text), size);
    return (char *)text;
}

static int times(const char *text, const char *what)
{
    int n = 0;
    for (; (text = strstr(text, what)); text += strlen(what))
        n++;
    return n;
}

/* A find in the wrong hour, on the wrong day (29 February, the new year, before 1970), sound of two hours counted in one, a name that is markup,
 * a recording without a time counted at midnight, finds without any recording that has one. */
static void page_of_finds(void **state)
{
    (void)state;
    enum { LEAP = 1709251199 }; /* 2024-02-29 23:59:59 */
    const rn_recording recordings[] = {
        {"a<b>.wav", "", 7200, LEAP}, {"plain.wav", "plain.wav: 'cut' off", 60, -1}, {"old.wav", "", 1800, 0}};
    const rn_find finds[] = {{"a<b>.wav", "wr\"en", 0, 0.5, 0.75, LEAP},
                             {"a<b>.wav", "wr\"en", 1, 2, 0.5, LEAP},
                             {"plain.wav", "owl", 3, 4, 0.25, -1},
                             {"old.wav", "wr\"en", 1799.9, 1800, 1, 0}};
    char *page = page_of(finds, 4, recordings, 3);
    assert_null(strstr(page, "<b>."));
    assert_null(strstr(page, "wr\"en"));
    assert_non_null(strstr(page, "m&#60;odel"));
    assert_non_null(strstr(page, "<strong>4</strong> finds of 2 classes in "));
    assert_int_equal(times(page, "2024-02-29 23:59:59"), 1);
    assert_int_equal(times(page, "2024-03-01 00:00:00"), 1);
    assert_int_equal(times(page, "from 1970-01-01 00:00:00 to 2024-03-01 01:59:59"), 1);
    assert_int_equal(times(page, "--n:1.00\">2</td>"), 1); /* hour 0: after midnight, and of 1970 */
    assert_int_equal(times(page, "--n:0.50\">1</td>"), 1); /* hour 23 */
    assert_non_null(strstr(page, "<th scope=\"row\">minutes heard</th><td>90</td><td>60</td><td></td>"));
    assert_non_null(strstr(page, "<td></td><td>0</td></tr>\n</tbody>"));
    assert_int_equal(times(page, "<li class=\"path\">"), 1);
    assert_non_null(strstr(page, "plain.wav: &#39;cut&#39; off"));
    free(page);
    page = page_of(finds + 2, 1, recordings + 1, 1);
    assert_non_null(strstr(page, "No recording's name says when"));
    free(page);
    page = page_of(NULL, 0, recordings, 1);
    assert_non_null(strstr(page, "<strong>0</strong> finds of 0 classes"));
    free(page);
    static rn_find many[6000];
    for (int i = 0; i < 6000; i++)
        many[i] = (rn_find){"x.wav", i % 2 ? "owl" : "wren", i, i + 1, (double)(i % 1000) / 1000, 86400 * 365};
    page = page_of(many, 6000, recordings, 1);
    assert_int_equal(times(page, "<td class=\"path\">"), 5000);
    assert_null(strstr(page, "<td>16.5&#160;%</td>")); /* the 1,000 least sure are left out */
    assert_int_equal(times(page, "<td>16.6&#160;%</td>"), 2);
    free(page);
    assert_error(rn_tools_find_page("m", "c", finds, 4, recordings, 3, "/nowhere/page.html", &err), RN_ERR_IO, err, "/nowhere/page.html");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(parts_of_a_recording, fixture_open, fixture_close),
                                       cmocka_unit_test_setup_teardown(page_of_finds, fixture_open, fixture_close)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
