/* Kaldi's directories: recordings, utterances and speakers by their keys, WAVs inside archives, commands that are not run. */
#include "data_fixture.h"

#include "base/file.h"
#include "data/dataset.h"
#include "data/reading.h"

static rn_error err;

static rn_dataset *opened(const char *path)
{
    rn_dataset *d = NULL;
    assert_ok(rn_dataset_open(&d, path, NULL, &err), err);
    return d;
}

static void refused(const char *path, int code, const char *words)
{
    rn_dataset *d = NULL;
    assert_error(rn_dataset_open(&d, path, NULL, &err), code, err, words);
    assert_null(d);
}

/* Lines matched by their place instead of their key, a path cut at its blank, utterances of one recording in two sources (they would stand on
 * both sides of a split), an end of -1 taken for a time. */
static void keys_are_matched(void **state)
{
    (void)state;
    put_noise(at("k/my calls/a.wav"), 1, 8000, 0.5, 1);
    put_noise(at("k/b.wav"), 1, 8000, 0.5, 2);
    put_text(at("k/wav.scp"), "rb  b.wav \nra\tmy calls/a.wav\n");
    put_text(at("k/utt2spk"), "ra ann\nrb ben\n\n");
    rn_dataset *d = opened(at("k"));
    assert_int_equal(d->count, 2);
    assert_string_equal(d->items[0].name, "b.wav");
    assert_string_equal(d->labels[d->items[0].label], "ben");
    assert_string_equal(d->items[1].path, at("k/my calls/a.wav"));
    rn_dataset_close(&d);
    put_text(at("k/segments"), "u3 rb 0.5 -1\nu1 ra 0 0.25\nu2 ra 0.25 0.75\n");
    put_text(at("k/utt2spk"), "u1 ann\nu2 cat\nu3 ben\n");
    d = opened(at("k/"));
    assert_int_equal(d->count, 3);
    assert_true(d->items[0].start_s == 0.5 && d->items[0].end_s == 0);
    assert_true(d->items[2].start_s == 0.25 && d->items[2].end_s == 0.75);
    assert_string_equal(d->labels[d->items[2].label], "cat");
    assert_string_equal(d->items[1].source, "ra");
    assert_string_equal(d->items[2].source, "ra");
    rn_dataset_close(&d);
}

/* A command that is run, a key without a line passed over in silence, a channel column that is ignored. */
static void broken_directories_are_refused(void **state)
{
    (void)state;
    put_noise(at("b/a.wav"), 1, 8000, 0.5, 1);
    put_text(at("b/wav.scp"), "ra a.wav\nrb touch made |\n");
    refused(at("b"), RN_ERR_IO, "utt2spk: No such file");
    put_text(at("b/utt2spk"), "ra x\nrb y\n");
    refused(at("b"), RN_ERR_UNSUPPORTED, "wav.scp, line 2: \"touch made |\" is a shell command (it ends in |), which is not run");
    put_text(at("b/wav.scp"), "ra a.wav\nrb gone.wav\n");
    refused(at("b"), RN_ERR_IO, "wav.scp, line 2: ");
    put_text(at("b/wav.scp"), "ra a.wav\nra a.wav\n");
    refused(at("b"), RN_ERR_DATA, "wav.scp, lines 1 and 2: both are of \"ra\"");
    put_text(at("b/wav.scp"), "ra\n");
    refused(at("b"), RN_ERR_FORMAT, "wav.scp, line 1: \"ra\" stands alone");
    put_text(at("b/wav.scp"), "ra a.wav\nrc a.wav\n");
    refused(at("b"), RN_ERR_DATA, "utt2spk: no line for utterance \"rc\"");
    put_text(at("b/wav.scp"), "ra a.wav\n");
    put_text(at("b/segments"), "u1 rx 0 1\n");
    refused(at("b"), RN_ERR_DATA, "segments, line 1: recording \"rx\" is not in ");
    put_text(at("b/segments"), "u1 ra 0 1 1\n");
    refused(at("b"), RN_ERR_FORMAT, "and nothing more (--channel");
    put_text(at("b/segments"), "u1 ra 1 0.5\n");
    refused(at("b"), RN_ERR_FORMAT, "segments, line 1: ");
    put_text(at("b/segments"), "u1 ra 1\n");
    refused(at("b"), RN_ERR_FORMAT, "segments, line 1: ");
    put_bytes(at("b/utt2spk"), "u1 x\0y\n", 7);
    refused(at("b"), RN_ERR_FORMAT, "utt2spk: a NUL byte");
}

/* The archive's first recording for all, a read that goes on into the next one, features taken for sound. */
static void archives_are_read_in_place(void **state)
{
    (void)state;
    unsigned char *data = NULL, ark[8192];
    size_t size = 0, length = 0, places[2];
    char scp[200];
    for (int i = 0; i < 2; i++) {
        put_noise(at("made.wav"), 0.1, 8000, 0.5, (uint64_t)i + 1);
        assert_ok(rn_file_read(at("made.wav"), 1 << 20, &data, &size, &err), err);
        memcpy(ark + length, i ? "rb " : "ra ", 3);
        places[i] = length + 3;
        memcpy(ark + length + 3, data, size);
        length += 3 + size;
        free(data);
    }
    memcpy(ark + length, "rc \0BFM \4\0\0\0\0\4\0\0\0\0", 18);
    put_bytes(at("a/x.ark"), ark, length + 18);
    snprintf(scp, sizeof scp, "ra x.ark:%zu\nrb x.ark:%zu\n", places[0], places[1]);
    put_text(at("a/wav.scp"), scp);
    put_text(at("a/utt2spk"), "ra x\nrb y\n");
    rn_dataset *d = opened(at("a"));
    assert_int_equal(d->count, 2);
    assert_string_equal(d->items[0].source, "rb"); /* in bytes x.ark:1650 comes before x.ark:3 */
    assert_ok(rn_dataset_hash(d, NULL, &err), err);
    assert_string_not_equal(d->items[0].hash, d->items[1].hash);
    for (int i = 0; i < 2; i++) {
        rn_sound sound = {0}, want = {0};
        put_noise(at("want.wav"), 0.1, 8000, 0.5, (uint64_t)(2 - i));
        assert_ok(rn_sound_read(at("want.wav"), NULL, &want, &err), err);
        assert_ok(rn_reading_item(d, i, 0, 0, &sound, &err), err);
        assert_true(sound.count == 800 && !memcmp(sound.samples, want.samples, 800 * sizeof(float)));
        rn_sound_free(&sound);
        rn_sound_free(&want);
    }
    rn_dataset_close(&d);
    snprintf(scp, sizeof scp, "ra x.ark:%zu\nrb x.ark:%zu\n", places[0], length + 3);
    put_text(at("a/wav.scp"), scp);
    refused(at("a"), RN_ERR_UNSUPPORTED, "wav.scp, line 2: no WAV begins at byte ");
    put_text(at("a/wav.scp"), "ra x.ark:999999999999999999\nrb x.ark:3\n");
    refused(at("a"), RN_ERR_UNSUPPORTED, "wav.scp, line 1: no WAV begins at byte 999999999999999999");
    put_text(at("a/wav.scp"), "ra x.ark:99999999999999999999\nrb x.ark:3\n");
    refused(at("a"), RN_ERR_IO, "wav.scp, line 1: ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_matched),
        cmocka_unit_test(broken_directories_are_refused),
        cmocka_unit_test(archives_are_read_in_place),
    };
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
