/* Cutting finds out of a recording. */
#include "data_fixture.h"

#include <math.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(parts_of_a_recording, fixture_open, fixture_close)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
