/* Tables of selections of Raven and Audacity as data sets: rows to stretches of recordings, which recording a row means, what is refused. */
#include "data_fixture.h"

#include "data/dataset.h"
#include "data/listing.h"

static rn_error err;

/* What a data set came to: "name start-end label" for every item. */
static const char *listed(const char *path)
{
    static char text[4096];
    rn_dataset *d = NULL;
    size_t n = 0;
    assert_ok(rn_dataset_open(&d, path, NULL, &err), err);
    text[0] = 0;
    for (int i = 0; i < d->count; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s %g-%g %s", i ? "; " : "", d->items[i].name, d->items[i].start_s,
                              d->items[i].end_s, d->labels[d->items[i].label]);
    rn_dataset_close(&d);
    return text;
}

/* The warnings of a data set, one a line. */
static const char *warnings(const char *path)
{
    static char text[4096];
    rn_dataset *d = NULL;
    size_t n = 0;
    assert_ok(rn_dataset_open(&d, path, NULL, &err), err);
    text[0] = 0;
    for (int i = 0; i < d->warnings_count; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s\n", d->warnings[i]);
    rn_dataset_close(&d);
    return text;
}

static void refused(const char *path, int code, const char *words)
{
    rn_dataset *d = NULL;
    assert_error(rn_dataset_open(&d, path, NULL, &err), code, err, words);
    assert_null(d);
}

/* A column read by its place instead of its name, both views of one selection counted, a label with a blank at its end as another class,
 * a byte order mark or a carriage return that stays in a field, an empty cell at a line's end that an editor dropped. */
static void raven_rows(void **state)
{
    (void)state;
    put_noise(at("r/night.wav"), 4, 8000, 0.1, 1);
    put_text(at("r/night.Table.1.selections.txt"),
             "\xEF\xBB\xBFSelection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tAnnotation\tNotes\r\n"
             "1\tWaveform 1\t1\t0.5\t1.250000000\t0\t4000\trobin\t\"far\r\n"
             "1\tSpectrogram 1\t1\t0.5\t1.250000000\t0\t4000\trobin\t\"far\r\n"
             "2\tSpectrogram 1\t1\t1,75\t2.00000000000000044\t0\t4000\t wren \r\n"
             "\r\n"
             "3\tSpectrogram 1\t1\t3\t4\t0\t4000\r\n"
             "4\tSpectrogram 1\t1\t3\t3\t0\t4000\twren");
    assert_string_equal(listed(at("r/night.Table.1.selections.txt")), "night.wav 0.5-1.25 robin; night.wav 1.75-2 wren");
    assert_string_equal(listed(at("r")), "night.wav 0.5-1.25 robin; night.wav 1.75-2 wren");
    assert_non_null(strstr(warnings(at("r")), "without a label, left out: 1 (first: "));
    assert_non_null(strstr(warnings(at("r")), "no length, left out: 1 (first: "));
    assert_non_null(strstr(warnings(at("r")), "selections.txt, line 7)"));
    assert_non_null(strstr(warnings(at("r")), "1 repeated lines count once"));
    put_text(at("r/night.Table.1.selections.txt"),
             "species code\tANNOTATION\tbegin time (s)\tend time (s)\nX\trobin\t0\t1e0\nY\twren\t1\t2\n");
    assert_string_equal(listed(at("r")), "night.wav 0-1 robin; night.wav 1-2 wren"); /* the name before the code, whatever the order */
}

/* A selection of the second file of a sequence looked for in the first, one that runs into the next file read beyond its end. */
static void raven_sequences(void **state)
{
    (void)state;
    put_noise(at("s/a.wav"), 2, 8000, 0.1, 1);
    put_noise(at("s/b.wav"), 2, 8000, 0.1, 2);
    put_text(at("s/both.txt"), "Begin Time (s)\tEnd Time (s)\tBegin File\tEnd File\tFile Offset (s)\tSpecies\n"
                               "0.5\t1\ta.wav\ta.wav\t0.5\trobin\n"
                               "1.75\t2.5\ta.wav\tb.wav\t1.75\twren\n"
                               "2.5\t3\tb.wav\tb.wav\t0.5\twren\n");
    assert_string_equal(listed(at("s/both.txt")), "a.wav 0.5-1 robin; a.wav 1.75-0 wren; b.wav 0.5-1 wren");
    assert_non_null(strstr(warnings(at("s/both.txt")), "to the end of their first: 1 ("));
}

/* A path of another machine that stops a training though the recording lies there, one recording under two names (its segments would be two
 * sources, in two parts), a file of the same name elsewhere taken for the one that the path says. */
static void raven_paths(void **state)
{
    (void)state;
    char text[8192];
    put_noise(at("p/x.wav"), 2, 8000, 0.1, 1);
    put_noise(at("p/far/x.wav"), 2, 8000, 0.1, 2);
    put_noise(at("p/near/x.wav"), 2, 8000, 0.1, 3);
    snprintf(text, sizeof text,
             "Begin Time (s)\tEnd Time (s)\tBegin Path\tBegin File\tTag\n"
             "0\t1\tC:\\cards\\x.wav\tx.wav\trobin\n"
             "1\t2\t%s\tx.wav\twren\n"
             "0\t2\t\tx.wav\trobin\n"
             "0\t1\t../far/x.wav\tx.wav\twren\n",
             at("p/near/x.wav"));
    put_text(at("p/near/t.tsv"), text);
    assert_string_equal(listed(at("p/near/t.tsv")), "../far/x.wav 0-1 wren; x.wav 0-1 robin; x.wav 0-2 robin; x.wav 1-2 wren");
    char before[4096];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(at("p")), 0); /* as `predict far/x.wav --format raven >near/t.txt` writes it */
    put_text(at("p/near/t.txt"),
             "Begin Time (s)\tEnd Time (s)\tAnnotation\tConfidence\tBegin Path\n0\t1\trobin\t0.9\tfar/x.wav\n1\t2\twren\t0.9\tfar/x.wav\n");
    const char *got = listed("near/t.txt");
    assert_int_equal(chdir(before), 0);
    assert_string_equal(got, "far/x.wav 0-1 robin; far/x.wav 1-2 wren");
    put_text(at("p/near/t.tsv"), "Begin Time (s)\tEnd Time (s)\tBegin Path\tTag\n0\t1\tD:\\gone.wav\tx\n");
    refused(at("p/near/t.tsv"), RN_ERR_IO, "t.tsv, line 2: there is no file D:\\gone.wav, and no gone.wav beside the table");
}

/* Frequencies taken for labels, points as stretches without samples, the probabilities that predict writes as ninety classes, a number at the
 * end of a label cut off with them. */
static void audacity_rows(void **state)
{
    (void)state;
    put_noise(at("a/n.1.wav"), 4, 8000, 0.1, 1);
    put_text(at("a/n.1.txt"), "0.000000\t1.000000\trobin 97%\n"
                              "\\\t1484.669312\t2969.338523\n"
                              "1.500000\t1.500000\tpoint\n"
                              "1.5\told point\n"
                              "1,5\t2\trobin \"2\" 5 %\n"
                              "2\t3\t\n"
                              "2\t3\n"
                              "3\t4\t100%\n");
    assert_string_equal(listed(at("a/n.1.txt")), "n.1.wav 0-1 robin; n.1.wav 1.5-2 robin \"2\" 5 %; n.1.wav 3-4 100%");
    assert_non_null(strstr(warnings(at("a/n.1.txt")), "no length, left out: 2 ("));
    assert_non_null(strstr(warnings(at("a/n.1.txt")), "without a label, left out: 2 ("));
    assert_non_null(strstr(warnings(at("a/n.1.txt")), "probability, as predict writes it, which was cut off: 1 ("));
}

/* Rows that cannot be: told with the file and line, and none of them taken. */
static void rows_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {{"-1\t2\tx\n", "t.txt, line 1: from -1 to 2 s"},
                 {"2\t0\tx\n", "t.txt, line 1: from 2 to 0 s"}, /* end 0 would be "to the file's end" */
                 {"0\t1\tx\n2\t1\ty\n", "t.txt, line 2: from 2 to 1 s"},
                 {"0\tnan\tx\n", "line 1: end \"nan\" is not a number of seconds"},
                 {"0\t1\tx\ninf\t1\tx\n", "line 2: start \"inf\" is not a number of seconds"},
                 {"0\t1,234.5\tx\n", "line 1: end \"1,234.5\" is not"},
                 {"0\t1e12\tx\n", "line 1: from 0 to 1e+12 s"},
                 {"0\t1\tx\ty\n", "line 1: 4 fields"},
                 {"0\t1\tx\xFF\n", "not UTF-8"},
                 {"words\n", "neither a selection table of Raven"},
                 {"Begin Time (s)\tTag\n", "no column \"End Time (s)\""},
                 {"Begin Time (s)\tEnd Time (s)\tBird\n", "no column of labels: name it Annotation"},
                 {"Begin Time (s)\tEnd Time (s)\tTag\n0\t\tx\n", "line 2: End Time (s) \"\" is not a number"},
                 {"Begin Time (s)\tEnd Time (s)\tTag\n0\t1\tx\ty\n", "line 2: 4 fields, the first line has 3"},
                 {"", "no recording in it"},
                 {"0\t1\tx\n0\t1\ty\n", "has the labels \"x\" and \"y\""}};
    put_noise(at("b/t.wav"), 2, 8000, 0.1, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rn_dataset *d = NULL;
        put_text(at("b/t.txt"), cases[i].text);
        assert_int_not_equal(rn_dataset_open(&d, at("b/t.txt"), NULL, &err), 0);
        if (!strstr(err.text, cases[i].words))
            fail_msg("case %zu: \"%s\" (want \"%s\")", i, err.text, cases[i].words);
    }
    put_bytes(at("b/t.txt"), "0\t1\tx\0y\n", 9);
    refused(at("b/t.txt"), RN_ERR_FORMAT, "line 1: a NUL byte");
}

/* A table that belongs to no recording, or to either of two; segments of one recording in two parts because their sources differ. */
static void folders_of_tables(void **state)
{
    (void)state;
    rn_dataset *d = NULL;
    put_noise(at("f/a.wav"), 2, 8000, 0.1, 1);
    put_noise(at("f/b.wav"), 2, 8000, 0.1, 2);
    put_noise(at("f/c.wav"), 2, 8000, 0.1, 3);
    put_noise(at("f/d.wav"), 2, 8000, 0.1, 4);
    put_text(at("f/a.txt"), "0\t1\tx\n1\t2\ty\n");
    put_text(at("f/a.second.txt"), "0.5\t1\tz\n");
    put_text(at("f/b.wav.txt"), "0\t1\ty\n");
    put_text(at("f/c.txt"), ""); /* nothing was heard */
    put_text(at("f/readme.TXT"), "what this is\n");
    assert_string_equal(listed(at("f")), "a.wav 0-1 x; a.wav 0.5-1 z; a.wav 1-2 y; b.wav 0-1 y");
    assert_non_null(strstr(warnings(at("f")), "no tables of selections, left out: 1 (first: readme.TXT)"));
    assert_non_null(strstr(warnings(at("f")), "recordings without a table, left out: 1 (first: d.wav)"));
    assert_ok(rn_dataset_open(&d, at("f/"), NULL, &err), err);
    assert_int_equal(rn_dataset_sources(d), 2);
    rn_dataset_close(&d);
    put_text(at("f/e.txt"), "0\t1\tx\n");
    refused(at("f"), RN_ERR_DATA, "e.txt: no recording of this name beside it");
    put_noise(at("f/e.wav"), 2, 8000, 0.1, 4);
    put_noise(at("f/e.aiff"), 2, 8000, 0.1, 5);
    refused(at("f"), RN_ERR_DATA, "e.aiff and e.wav could both be its recording");
    put_noise(at("f/robin/x.wav"), 2, 8000, 0.1, 6); /* a class folder: the files beside it belong to none */
    put_noise(at("f/wren/x.wav"), 2, 8000, 0.1, 7);
    assert_string_equal(listed(at("f")), "robin/x.wav 0-0 robin; wren/x.wav 0-0 wren");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(raven_rows, fixture_open, fixture_close),
                                       cmocka_unit_test_setup_teardown(raven_sequences, fixture_open, fixture_close),
                                       cmocka_unit_test_setup_teardown(raven_paths, fixture_open, fixture_close),
                                       cmocka_unit_test_setup_teardown(audacity_rows, fixture_open, fixture_close),
                                       cmocka_unit_test_setup_teardown(rows_refused, fixture_open, fixture_close),
                                       cmocka_unit_test_setup_teardown(folders_of_tables, fixture_open, fixture_close)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
