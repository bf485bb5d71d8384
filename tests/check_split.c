/* Parts by source, and split files. */
#include "data_fixture.h"

#include "data/dataset.h"
#include "data/split.h"

static rn_error err;

static rn_dataset *open_data(const char *path)
{
    rn_dataset *d = NULL;
    assert_ok(rn_dataset_open(&d, path, NULL, &err), err);
    return d;
}

/* A data set of tensors with given labels and sources: parts need no files. */
static rn_dataset *made(int n, const int *labels, int classes, const char *const *sources)
{
    static float x[4096];
    rn_dataset *d = NULL;
    for (int i = 0; i < 4096; i++)
        x[i] = (float)i;
    assert_ok(rn_dataset_from_tensors(&d, x, labels, n, 1, 1, 1, NULL, classes, sources, &err), err);
    return d;
}

static void assert_whole_sources(const rn_dataset *d)
{
    for (int i = 0; i < d->count; i++)
        for (int j = 0; j < i; j++)
            if (!strcmp(d->items[i].source, d->items[j].source))
                assert_int_equal(d->items[i].part, d->items[j].part);
}

static void split_is_stratified(void **state)
{
    (void)state;
    int labels[300], differing = 0;
    rn_split_options o;
    rn_split_default(&o);
    for (int i = 0; i < 300; i++)
        labels[i] = i < 200 ? 0 : i < 280 ? 1 : 2;
    rn_dataset *d = made(300, labels, 3, NULL), *again = made(300, labels, 3, NULL), *other = made(300, labels, 3, NULL);
    assert_ok(rn_split_make(d, &o, &err), err);
    assert_ok(rn_split_make(again, &o, &err), err);
    o.seed = 1;
    assert_ok(rn_split_make(other, &o, &err), err);
    static const int want[3][3] = {{140, 30, 30}, {56, 12, 12}, {14, 3, 3}};
    for (int c = 0; c < 3; c++)
        for (int p = 0; p < 3; p++) {
            assert_int_equal(rn_split_count(d, (rn_part)p, c), want[c][p]);
            assert_int_equal(rn_split_count(other, (rn_part)p, c), want[c][p]);
        }
    for (int i = 0; i < 300; i++) {
        assert_int_equal(d->items[i].part, again->items[i].part);
        differing += d->items[i].part != other->items[i].part;
    }
    assert_true(differing > 30); /* another seed, other items */
    rn_dataset_close(&d);
    rn_dataset_close(&again);
    rn_dataset_close(&other);
}

/* The demo's shape: prompts that exist in eight voices and five long tracks. A leak here is what the whole evaluation would be worth. */
static void sources_span_classes(void **state)
{
    (void)state;
    enum { PROMPTS = 40, N = PROMPTS * 8 + 60 };
    int labels[N], n = 0;
    const char *sources[N];
    static char names[N][24];
    static const int pieces[5] = {24, 14, 10, 8, 4};
    for (int p = 0; p < PROMPTS; p++)
        for (int v = 0; v < 8; v++) {
            if ((p * 8 + v) % 7 == 0)
                continue;
            snprintf(names[n], sizeof names[n], "prompt %d", p);
            labels[n++] = v;
        }
    for (int t = 0; t < 5; t++)
        for (int k = 0; k < pieces[t]; k++) {
            snprintf(names[n], sizeof names[n], "track %d", t);
            labels[n++] = 8;
        }
    for (int i = 0; i < n; i++)
        sources[i] = names[i];
    rn_dataset *d = made(n, labels, 9, sources);
    rn_split_options o;
    rn_split_default(&o);
    for (o.seed = 0; o.seed < 20; o.seed++) {
        for (int i = 0; i < n; i++)
            d->items[i].part = RN_PART_NONE;
        assert_ok(rn_split_make(d, &o, &err), err);
        assert_whole_sources(d);
        for (int c = 0; c < 8; c++) {
            int all = 0;
            for (int i = 0; i < n; i++)
                all += labels[i] == c;
            assert_in_range(rn_split_count(d, RN_PART_TRAIN, c), all * 60 / 100, all * 80 / 100);
            assert_in_range(rn_split_count(d, RN_PART_TEST, c), all * 5 / 100, all * 25 / 100);
        }
        /* Largest first, to the part that lacks most: train, validation, test, then train again. */
        assert_int_equal(rn_split_count(d, RN_PART_TRAIN, 8), 24 + 8 + 4);
        assert_int_equal(rn_split_count(d, RN_PART_VALIDATION, 8), 14);
        assert_int_equal(rn_split_count(d, RN_PART_TEST, 8), 10);
    }
    rn_dataset_close(&d);
}

static void small_classes(void **state)
{
    (void)state;
    rn_split_options o;
    rn_split_default(&o);
    int labels[6] = {0, 0, 0, 1, 1, 1};
    rn_dataset *d = made(6, labels, 2, NULL);
    assert_ok(rn_split_make(d, &o, &err), err);
    for (int c = 0; c < 2; c++)
        for (int p = 0; p < 3; p++)
            assert_int_equal(rn_split_count(d, (rn_part)p, c), 1);
    rn_dataset_close(&d);
    int two[5] = {0, 0, 0, 1, 1};
    d = made(5, two, 2, NULL);
    assert_error(rn_split_make(d, &o, &err), RN_ERR_DATA, err,
                 "class \"1\" has 2 items from 2 sources, too few for 3 parts; add recordings from 1 more source");
    for (int i = 0; i < 5; i++)
        assert_int_equal(d->items[i].part, RN_PART_NONE); /* nothing is half done */
    o.test = 0;
    assert_ok(rn_split_make(d, &o, &err), err);
    assert_int_equal(rn_split_count(d, RN_PART_TEST, -1), 0);
    assert_int_equal(rn_split_count(d, RN_PART_VALIDATION, 1), 1);
    rn_dataset_close(&d);
    o.train = 0;
    d = made(5, two, 2, NULL);
    assert_error(rn_split_make(d, &o, &err), RN_ERR_ARG, err, "train must be above 0");
    rn_dataset_close(&d);
    /* Many items, one source: no part could be left without its recordings. */
    const char *one[6] = {"a", "b", "c", "s", "s", "s"};
    rn_split_default(&o);
    d = made(6, labels, 2, one);
    assert_error(rn_split_make(d, &o, &err), RN_ERR_DATA, err, "3 items from 1 source,");
    rn_dataset_close(&d);
}

/* The greedy order gives all three sources of a rare class to other classes' needs; a part without it must be filled afterwards. */
static void gaps_are_closed(void **state)
{
    (void)state;
    int labels[64], n = 0;
    const char *sources[64];
    static char names[64][24];
    for (int s = 0; s < 3; s++)
        for (int k = 0; k < 10 - s; k++) {
            snprintf(names[n], sizeof names[n], "big%d", s);
            labels[n++] = k == 0; /* one item of the rare class in each big source */
        }
    for (int s = 0; s < 20; s++) {
        snprintf(names[n], sizeof names[n], "s%d", s);
        labels[n++] = 0;
    }
    for (int i = 0; i < n; i++)
        sources[i] = names[i];
    rn_split_options o;
    rn_split_default(&o);
    rn_dataset *d = made(n, labels, 2, sources);
    for (o.seed = 0; o.seed < 10; o.seed++) {
        for (int i = 0; i < n; i++)
            d->items[i].part = RN_PART_NONE;
        assert_ok(rn_split_make(d, &o, &err), err);
        for (int p = 0; p < 3; p++)
            for (int c = 0; c < 2; c++)
                assert_true(rn_split_count(d, (rn_part)p, c) > 0);
        assert_whole_sources(d);
    }
    rn_dataset_close(&d);
}

static void given_parts_are_kept(void **state)
{
    (void)state;
    int labels[40];
    const char *sources[40];
    static char names[40][24];
    for (int i = 0; i < 40; i++) {
        labels[i] = i % 2;
        snprintf(names[i], sizeof names[i], "s%d", i / 2);
        sources[i] = names[i];
    }
    rn_split_options o;
    rn_split_default(&o);
    rn_dataset *d = made(40, labels, 2, sources);
    d->items[0].part = RN_PART_TEST; /* items 0 and 1 are of one source: the second follows */
    d->items[5].part = RN_PART_VALIDATION;
    d->items[9].bad = 1;
    d->items[9].part = RN_PART_TRAIN;
    assert_ok(rn_split_make(d, &o, &err), err);
    assert_true(d->items[0].part == RN_PART_TEST && d->items[1].part == RN_PART_TEST && d->items[4].part == RN_PART_VALIDATION);
    assert_int_equal(d->items[9].part, RN_PART_NONE);
    assert_int_equal(rn_split_count(d, RN_PART_TEST, 0), 3);
    d->items[1].part = RN_PART_TRAIN;
    assert_error(rn_split_make(d, &o, &err), RN_ERR_DATA, err, "source \"s0\" is in test and in train");
    rn_dataset_close(&d);
}

/* A copy under another name, heard in training and judged in test, counts as known. */
static void copies_share_a_part(void **state)
{
    (void)state;
    int labels[60];
    for (int i = 0; i < 60; i++)
        labels[i] = i % 2;
    rn_split_options o;
    rn_split_default(&o);
    rn_dataset *d = made(60, labels, 2, NULL);
    for (int i = 0; i < 60; i++)
        snprintf(d->items[i].hash, sizeof d->items[i].hash, "%032d", i < 20 ? i % 4 / 2 + 100 * (i % 2) : i);
    for (o.seed = 0; o.seed < 10; o.seed++) {
        for (int i = 0; i < 60; i++)
            d->items[i].part = RN_PART_NONE;
        assert_ok(rn_split_make(d, &o, &err), err);
        for (int i = 4; i < 20; i++)
            assert_int_equal(d->items[i].part, d->items[i - 4].part);
    }
    rn_dataset_close(&d);
}

/* ---- split files ---- */

static void split_file_round_trip(void **state)
{
    (void)state;
    for (int i = 0; i < 30; i++)
        put_noise(at("d/%c/%d.wav", "ab"[i % 2], i), 0.05, 8000, 0.1, (uint64_t)i);
    put_noise(at("d/a/odd, \"name\".wav"), 0.05, 8000, 0.1, 77);
    rn_dataset *d = open_data(at("d"));
    rn_split_options o;
    rn_split_default(&o);
    char digest[33], of_file[33], changed[33];
    int unknown = -1, missing = -1;
    assert_error(rn_split_read(d, at("split.csv"), NULL, NULL, &err), RN_ERR_ARG, err, "hashed");
    assert_ok(rn_split_make(d, &o, &err), err);
    assert_error(rn_split_write(d, at("split.csv"), &err), RN_ERR_ARG, err, "hashed");
    assert_int_not_equal(access(at("split.csv"), F_OK), 0);
    assert_ok(rn_dataset_hash(d, NULL, &err), err);
    d->items[3].start_s = 0.1;
    d->items[3].end_s = 0.123456789;
    assert_ok(rn_split_write(d, at("split.csv"), &err), err);
    rn_split_digest(d, digest);
    assert_ok(rn_split_file_digest(at("split.csv"), of_file, &err), err);
    assert_string_equal(digest, of_file);
    /* Renamed files are known by their content. */
    rename(at("d/a/0.wav"), at("d/a/renamed.wav"));
    rn_dataset *again = open_data(at("d"));
    assert_ok(rn_dataset_hash(again, NULL, &err), err);
    assert_ok(rn_split_read(again, at("split.csv"), &unknown, &missing, &err), err);
    assert_int_equal(unknown, 1); /* item 3 is whole here, a part there */
    assert_int_equal(missing, 1);
    for (int i = 0; i < again->count; i++)
        for (int j = 0; j < d->count; j++)
            if (!strcmp(again->items[i].hash, d->items[j].hash) && j != 3)
                assert_int_equal(again->items[i].part, d->items[j].part);
    rn_dataset_close(&again);
    int part = d->items[5].part;
    d->items[5].part = part == RN_PART_TEST ? RN_PART_TRAIN : RN_PART_TEST;
    rn_split_digest(d, changed);
    assert_string_not_equal(digest, changed);
    d->items[5].part = (rn_part)part;
    rn_split_digest(d, changed);
    assert_string_equal(digest, changed);
    /* The order of items is no part of it. */
    rn_item swapped = d->items[7];
    d->items[7] = d->items[8];
    d->items[8] = swapped;
    rn_split_digest(d, changed);
    assert_string_equal(digest, changed);
    rn_dataset_close(&d);
}

static void split_files_refused(void **state)
{
    (void)state;
    put_noise(at("m/a.wav"), 1, 8000, 0.1, 1);
    put_noise(at("m/b.wav"), 1, 8000, 0.1, 2);
    put_text(at("m/list.csv"), "path,label\na.wav,x\nb.wav,y\n");
    rn_dataset *d = open_data(at("m/list.csv"));
    assert_ok(rn_dataset_hash(d, NULL, &err), err);
    static const struct {
        const char *text, *words;
    } list[] = {
        {"", "not a split file"},
        {"path,label\n", "not a split file"},
        {"part,label,hash,start,end,path\ntrain,x\n", "line 2: 2 fields"},
        {"part,label,hash,start,end,path\n,x,00000000000000000000000000000000,0,0,p\n", "line 2: part \"\""},
        {"part,label,hash,start,end,path\ntrain,x,0000000000000000000000000000000g,0,0,p\n", "line 2: hash"},
        {"part,label,hash,start,end,path\ntrain,x,00,0,0,p\n", "line 2: hash"},
        {"part,label,hash,start,end,path\ntrain,x,00000000000000000000000000000000,-1,0,p\n", "line 2: start"},
        {"part,label,hash,start,end,path\ntrain,x,00000000000000000000000000000000,1e20,0,p\n", "line 2: start"},
        {"part,label,hash,start,end,path\ntrain,\"x,00000000000000000000000000000000,0,0,p\n", "never closed"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        put_text(at("bad.csv"), list[i].text);
        assert_error(rn_split_read(d, at("bad.csv"), NULL, NULL, &err), RN_ERR_FORMAT, err, list[i].words);
    }
    assert_error(rn_split_read(d, at("none.csv"), NULL, NULL, &err), RN_ERR_IO, err, "none.csv");
    rn_dataset_close(&d);
}

/* A manifest may put copies of one content into two parts; the file must then be read back as it was written, by name. */
static void copies_in_two_parts(void **state)
{
    (void)state;
    put_noise(at("m/a.wav"), 0.1, 8000, 0.1, 1);
    put_noise(at("m/b.wav"), 0.1, 8000, 0.1, 1);
    put_noise(at("m/c.wav"), 0.1, 8000, 0.1, 2);
    put_text(at("m/list.csv"), "path,label,split\na.wav,x,test\nb.wav,x,train\nc.wav,y,train\n");
    rn_dataset *d = open_data(at("m/list.csv"));
    assert_ok(rn_dataset_hash(d, NULL, &err), err);
    assert_ok(rn_split_write(d, at("split.csv"), &err), err);
    d->items[0].part = d->items[1].part = d->items[2].part = RN_PART_NONE;
    assert_ok(rn_split_read(d, at("split.csv"), NULL, NULL, &err), err);
    assert_true(d->items[0].part == RN_PART_TEST && d->items[1].part == RN_PART_TRAIN && d->items[2].part == RN_PART_TRAIN);
    rn_dataset_close(&d);
}

#define test(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {test(split_is_stratified),   test(sources_span_classes), test(small_classes),
                                       test(gaps_are_closed),       test(given_parts_are_kept), test(copies_share_a_part),
                                       test(split_file_round_trip), test(split_files_refused),  test(copies_in_two_parts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
