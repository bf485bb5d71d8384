/* Shards: how members become samples, that what is read in place is what stands in the tar, and tars that want to lead astray. */
#include "data_fixture.h"

#include "base/file.h"
#include "data/dataset.h"
#include "data/reading.h"

static rn_error err;

/* What a data set came to: "name part label" for every item. */
static const char *listed(const char *path)
{
    static char text[4096];
    rn_dataset *d = NULL;
    size_t n = 0;
    assert_ok(rn_dataset_open(&d, path, NULL, &err), err);
    text[0] = 0;
    for (int i = 0; i < d->count; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s %d %s", i ? "; " : "", d->items[i].name, d->items[i].part,
                              d->labels[d->items[i].label]);
    rn_dataset_close(&d);
    return text;
}

static void refused(const char *path, int code, const char *words)
{
    rn_dataset *d = NULL;
    assert_error(rn_dataset_open(&d, path, NULL, &err), code, err, words);
    assert_null(d);
}

/* ---- a writer of tars (ustar; kind 'L': GNU's long name, 'x': pax) ---- */

static FILE *tar;

static void tar_open(const char *path)
{
    assert_non_null(tar = fopen(path, "wb"));
}

static void tar_close(void)
{
    static const char zeros[1024];
    fwrite(zeros, 1, sizeof zeros, tar);
    assert_int_equal(fclose(tar), 0);
}

static void tar_header(const char *name, char kind, size_t size)
{
    char head[512] = "";
    unsigned sum = 0;
    snprintf(head, 100, "%s", name);
    memcpy(head + 100, "0000644", 8);
    memcpy(head + 108, "0000000", 8);
    memcpy(head + 116, "0000000", 8);
    snprintf(head + 124, 12, "%011zo", size);
    memcpy(head + 136, "00000000000", 12);
    head[156] = kind;
    if (kind == '1' || kind == '2')
        strcpy(head + 157, "/etc/passwd");
    memcpy(head + 257,
           "ustar\0"
           "00",
           8);
    memset(head + 148, ' ', 8);
    for (int i = 0; i < 512; i++)
        sum += (unsigned char)head[i];
    snprintf(head + 148, 8, "%06o", sum);
    fwrite(head, 1, 512, tar);
}

static void tar_add(const char *name, char kind, const void *data, size_t size)
{
    static const char zeros[512];
    tar_header(name, kind, size);
    fwrite(data, 1, size, tar);
    fwrite(zeros, 1, (512 - size % 512) % 512, tar);
}

static void tar_text(const char *name, const char *text)
{
    tar_add(name, '0', text, strlen(text));
}

/* Noise of 0.1 s that belongs to `seed`. */
static void tar_wav(const char *name, uint64_t seed)
{
    unsigned char *data = NULL;
    size_t size = 0;
    put_noise(at("made.wav"), 0.1, 8000, 0.5, seed);
    assert_ok(rn_file_read(at("made.wav"), 1 << 20, &data, &size, &err), err);
    tar_add(name, '0', data, size);
    free(data);
}

static void put_shard(const char *path, uint64_t seed)
{
    tar_open(path);
    tar_wav("a/x.wav", seed);
    tar_text("a/x.cls", "07\n");
    tar_text("a/y.v2.json", "{\"label\": 12, \"caption\": \"y\"}");
    tar_wav("a/y.wav", seed + 1);
    tar_text("README", "no dot, no sample");
    tar_wav("a/.hidden.wav", seed + 2);
    tar_close();
}

/* A key cut at the last dot, a class taken from the sample before, zeros before a number as a class of its own, shards that are read in the
 * wrong order or twice, a part that no word of the name says. */
static void samples_are_grouped(void **state)
{
    (void)state;
    put_shard(at("w/train-00.tar"), 10);
    put_shard(at("w/latest-01.tar"), 20);
    assert_string_equal(listed(at("w")), "latest-01.tar/a/x.wav -1 7; latest-01.tar/a/y.wav -1 12; "
                                         "train-00.tar/a/x.wav 0 7; train-00.tar/a/y.wav 0 12");
    assert_string_equal(listed(at("w/train-{00..00}.tar")), "train-00.tar/a/x.wav 0 7; train-00.tar/a/y.wav 0 12");
    put_text(at("w/labels.txt"), "0\n1\n2\n3\n4\n5\n6\nseven\n8\n9\n10\n11\ntwelve\n");
    assert_string_equal(listed(at("w/train-00.tar")), "train-00.tar/a/x.wav 0 seven; train-00.tar/a/y.wav 0 twelve");
    put_text(at("w/labels.txt"), "0\n1\n");
    refused(at("w"), RN_ERR_DATA, "a/x.cls is of class 7, labels.txt has 2 lines");
    /* A tar that lies beside recordings is a backup. */
    put_shard(at("n/backup.tar"), 10);
    put_noise(at("n/a.wav"), 1, 8000, 0.5, 1);
    put_text(at("n/a.txt"), "0\t0.5\tx\n0.5\t1\ty\n");
    assert_string_equal(listed(at("n")), "a.wav -1 x; a.wav -1 y");
    put_shard(at("q/s-8.tar"), 10);
    put_shard(at("q/s-9.tar"), 20);
    put_shard(at("q/s-10.tar"), 30);
    assert_non_null(strstr(listed(at("q/s-{8..10}.tar")), "s-10.tar/a/x.wav"));
    refused(at("q/s-{0..10}.tar"), RN_ERR_IO, "s-0.tar"); /* as a shell counts: not s-00 */
    refused(at("q/s-{08..10}.tar"), RN_ERR_IO, "s-08.tar: No such file");
    refused(at("q/s-{10..8}.tar"), RN_ERR_ARG, "a pattern of tars");
    refused(at("q/s-{0..99999999}.tar"), RN_ERR_ARG, "a pattern of tars");
    refused(at("q/s-{x}.tar"), RN_ERR_ARG, "a pattern of tars");
}

/* WeSpeaker's keys hold dots: cut at the first one, "id1.a" and "id1.b" are one sample, and one recording is lost. */
static void speakers_are_cut_at_the_last_dot(void **state)
{
    (void)state;
    tar_open(at("s/shards_000.tar"));
    tar_text("id1.a.spk", "id1");
    tar_wav("id1.a.wav", 1);
    tar_text("id1.b.spk", "007");
    tar_wav("id1.b.wav", 2);
    tar_close();
    put_text(at("s/shard.list"), "shards_000.tar\n\n");
    assert_string_equal(listed(at("s/shard.list")), "shards_000.tar/id1.a.wav -1 id1; shards_000.tar/id1.b.wav -1 007");
    put_text(at("s/shard.list"), "shards_000.txt\n");
    refused(at("s/shard.list"), RN_ERR_FORMAT, "line 1: \"shards_000.txt\" is no tar");
    put_noise(at("s/n.wav"), 0.1, 8000, 0.5, 3);
    put_noise(at("s/m.wav"), 0.1, 8000, 0.5, 4);
    put_text(at("s/raw.list"), "{\"key\": \"k1\", \"spk\": \"a\", \"wav\": \"n.wav\"}\n{\"key\": \"k2\", \"spk\": \"b\", \"wav\": "
                               "\"m.wav\", \"vad\": [[0, 0.1]]}\n");
    assert_string_equal(listed(at("s/raw.list")), "m.wav -1 b; n.wav -1 a");
    put_text(at("s/two.jsonl"), "{\"path\": \"n.wav\", \"wav\": \"m.wav\", \"spk\": \"a\"}\n");
    refused(at("s/two.jsonl"), RN_ERR_FORMAT, "comes twice, once under another name");
    put_text(at("s/v.csv"), "ID,dur,path,start,stop,spk\nk1,0.1,n.wav,0.0,0.05,a\nk2,0.1,m.wav,0.025,0.1,b\n");
    rn_dataset *d = NULL;
    assert_ok(rn_dataset_open(&d, at("s/v.csv"), NULL, &err), err);
    assert_true(d->count == 2 && d->items[0].start_s == 0.025 && d->items[1].end_s == 0.05);
    rn_dataset_close(&d);
}

/* Samples read a header too early or too late, the hash of the whole tar for each of its members (every one would be a copy of the others), a long
 * name (GNU's, pax') that moves what follows it, a name in UTF-8 that is lost under the locale "C". */
static void members_are_read_in_place(void **state)
{
    (void)state;
    char name[180], pax[200];
    memset(name, 'n', sizeof name);
    snprintf(name + 120, sizeof name - 120, ".wav");
    tar_open(at("r/r.tar"));
    tar_wav("0.wav", 1);
    tar_text("0.cls", "0");
    tar_add("././@LongLink", 'L', name, strlen(name) + 1);
    tar_wav("short", 2);
    name[120] = 0;
    strcat(name, ".cls");
    tar_add("././@LongLink", 'L', name, strlen(name) + 1);
    tar_text("short", "1");
    snprintf(pax, sizeof pax, "24 path=z\xC3\xA9-0000000.wav\n");
    tar_add("PaxHeaders/z", 'x', pax, 24);
    tar_wav("short", 3);
    tar_text("z\xC3\xA9-0000000.cls", "2");
    tar_close();
    rn_dataset *d = NULL;
    assert_ok(rn_dataset_open(&d, at("r/r.tar"), NULL, &err), err);
    assert_int_equal(d->count, 3);
    assert_string_equal(d->items[2].name, "r.tar/z\xC3\xA9-0000000.wav");
    assert_ok(rn_dataset_hash(d, NULL, &err), err);
    for (int i = 0; i < 3; i++) {
        rn_sound sound = {0}, want = {0};
        put_noise(at("want.wav"), 0.1, 8000, 0.5, (uint64_t)i + 1);
        assert_ok(rn_sound_read(at("want.wav"), NULL, &want, &err), err);
        assert_ok(rn_reading_item(d, i, 0, 0, &sound, &err), err);
        assert_true(sound.count == 800 && !memcmp(sound.samples, want.samples, 800 * sizeof(float)));
        for (int k = 0; k < i; k++)
            assert_string_not_equal(d->items[i].hash, d->items[k].hash);
        rn_sound_free(&sound);
        rn_sound_free(&want);
    }
    assert_int_equal(truncate(at("r/r.tar"), 4000), 0);
    rn_sound sound = {0};
    assert_error(rn_reading_item(d, 2, 0, 0, &sound, &err), RN_ERR_DATA, err, "0000000.wav: ");
    rn_dataset_close(&d);
}

/* A link that is followed out of the tar, a folder that is an item, a size that is believed, a tar that ends within a member, one compressed as a whole. */
static void hostile_tars_are_refused(void **state)
{
    (void)state;
    tar_open(at("h/links.tar"));
    tar_add("l.wav", '2', "", 0);
    tar_text("l.cls", "0");
    tar_add("h.wav", '1', "", 0);
    tar_text("h.cls", "1");
    tar_add("d.wav/", '5', "", 0);
    tar_add("f.wav", '6', "", 0);
    tar_close();
    refused(at("h/links.tar"), RN_ERR_DATA, "no recording in it");
    tar_open(at("h/empty.tar"));
    tar_text("e.wav", "");
    tar_text("e.cls", "0");
    tar_close();
    refused(at("h/empty.tar"), RN_ERR_DATA, "empty.tar: no recording");
    tar_open(at("h/big.tar"));
    tar_header("b.wav", '0', ((size_t)1 << 30) + 1);
    tar_close();
    refused(at("h/big.tar"), RN_ERR_UNSUPPORTED, "b.wav has 1073741825 bytes; 1073741824 at most");
    tar_open(at("h/cut.tar"));
    tar_header("b.wav", '0', 1 << 20);
    tar_close();
    refused(at("h/cut.tar"), RN_ERR_FORMAT, "cut.tar: breaks off in b.wav");
    tar_open(at("h/class.tar"));
    tar_header("b.cls", '0', 600);
    fclose(tar);
    refused(at("h/class.tar"), RN_ERR_FORMAT, "class.tar: ");
    tar_open(at("h/long.tar"));
    tar_header("b.cls", '0', 1 << 17);
    tar_header("b.cls", '0', 1 << 17);
    if (ftruncate(fileno(tar), 1 << 18))
        fail();
    fclose(tar);
    refused(at("h/long.tar"), RN_ERR_DATA, "b.cls has 131072 bytes");
    tar_open(at("h/none.tar"));
    tar_wav("n.wav", 1);
    tar_close();
    refused(at("h/none.tar"), RN_ERR_DATA, "no class for n.wav; a member n.cls");
    tar_open(at("h/json.tar"));
    tar_wav("n.wav", 1);
    tar_text("n.json", "{\"label\": ");
    tar_close();
    refused(at("h/json.tar"), RN_ERR_FORMAT, "n.json: not JSON");
    tar_open(at("h/flipped.tar")); /* the sample would vanish, and training go on without it */
    tar_wav("a.wav", 1);
    tar_text("a.cls", "0");
    long second = ftell(tar);
    tar_wav("b.wav", 1);
    tar_text("b.cls", "1");
    fseek(tar, second + 3, SEEK_SET);
    fputc('!', tar);
    fseek(tar, 0, SEEK_END);
    tar_close();
    refused(at("h/flipped.tar"), RN_ERR_FORMAT, "fetch it again");
    put_text(at("h/x.tar"), "");
    refused(at("h/x.tar"), RN_ERR_FORMAT, "x.tar: no tar");
    put_bytes(at("h/x.tar"), "\x1F\x8B\x08\0", 4);
    refused(at("h/x.tar"), RN_ERR_UNSUPPORTED, "compressed as a whole; items are read in place, so unpack it first: gunzip ");
    put_text(at("h/x.tar.zst"), "\x28\xB5\x2F\xFD");
    refused(at("h/x.tar.zst"), RN_ERR_UNSUPPORTED, "unzstd ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_are_grouped),
        cmocka_unit_test(speakers_are_cut_at_the_last_dot),
        cmocka_unit_test(members_are_read_in_place),
        cmocka_unit_test(hostile_tars_are_refused),
    };
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
