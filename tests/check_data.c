/* Data sets: listing, manifests, arrays, hashes. (Parts are in check_split.c, what `data check` finds in check_findings.c.) */
#include "data_fixture.h"

#include "base/utf8.h"
#include "data/dataset.h"
#include "data/listing.h"

static rn_error err;

static rn_dataset *open_data(const char *path)
{
    rn_dataset *d = NULL;
    assert_ok(rn_dataset_open(&d, path, NULL, &err), err);
    return d;
}

static int find(const rn_dataset *d, const char *name)
{
    for (int i = 0; i < d->count; i++)
        if (!strcmp(d->items[i].name, name))
            return i;
    fail_msg("no item %s", name);
    return -1;
}

static int warned(const rn_dataset *d, const char *words)
{
    int found = 0;
    for (int i = 0; i < d->warnings_count; i++)
        found += strstr(d->warnings[i], words) != NULL;
    return found;
}

/* ---- folders ---- */

/* Items in another order than bytes, a hidden file taken for a recording, an unknown extension taken or dropped without a word, a label
 * that is not the class's folder, a source with the class or the extension in it. */
static void folder_is_listed(void **state)
{
    (void)state;
    put_noise(at("d/wren/b.wav"), 0.1, 8000, 0.1, 1);
    put_noise(at("d/wren/deep/er/a.wav"), 0.1, 8000, 0.1, 2);
    put_noise(at("d/robin/a.take2.wav"), 0.1, 8000, 0.1, 3);
    put_noise(at("d/robin/B.wav"), 0.1, 8000, 0.1, 4);
    put_noise(at("d/robin/with space \xC3\xA9.wav"), 0.1, 8000, 0.1, 5);
    put_noise(at("d/.hidden/x.wav"), 0.1, 8000, 0.1, 6);
    put_noise(at("d/robin/.x.wav"), 0.1, 8000, 0.1, 7);
    put_text(at("d/robin/notes.txt"), "text");
    put_text(at("d/wren/more.TXT"), "text");
    put_text(at("d/readme.wav"), "beside");
    rn_dataset *d = open_data(at("d"));
    static const char *const names[] = {"robin/B.wav", "robin/a.take2.wav", "robin/with space \xC3\xA9.wav", "wren/b.wav",
                                        "wren/deep/er/a.wav"};
    static const char *const sources[] = {"B", "a.take2", "with space \xC3\xA9", "b", "deep/er/a"};
    assert_int_equal(d->count, 5);
    for (int i = 0; i < 5; i++) {
        assert_string_equal(d->items[i].name, names[i]);
        assert_string_equal(d->items[i].source, sources[i]);
        assert_int_equal(d->items[i].label, i > 2);
        assert_int_equal(d->items[i].part, RN_PART_NONE);
        assert_int_equal(access(d->items[i].path, R_OK), 0);
        assert_true(d->items[i].weight == 1 && d->items[i].end_s == 0);
    }
    assert_int_equal(d->classes, 2);
    assert_string_equal(d->labels[0], "robin");
    assert_int_equal(warned(d, "2 files with the extension .txt"), 1);
    assert_int_equal(warned(d, "1 files beside the class folders"), 1);
    assert_int_equal(d->warnings_count, 2);
    assert_int_equal(d->warnings_extensions, 1);
    rn_dataset_close(&d);
    assert_null(d);
    rn_dataset_close(&d);
    d = open_data(at("d/")); /* a slash at the end changes nothing */
    assert_string_equal(d->items[0].name, names[0]);
    rn_dataset_close(&d);
}

/* A search that never ends, a clip counted under two labels, a clip counted under the label of the link instead of where it lies. */
static void links_count_once(void **state)
{
    (void)state;
    put_noise(at("d/b_real/x.wav"), 0.1, 8000, 0.1, 1);
    put_noise(at("d/b_real/y.wav"), 0.1, 8000, 0.1, 2);
    put_noise(at("d/c_other/z.wav"), 0.1, 8000, 0.1, 3);
    put_noise(at("elsewhere/in/w.wav"), 0.1, 8000, 0.1, 4);
    assert_int_equal(symlink("b_real", at("d/a_link")), 0);
    assert_int_equal(symlink("..", at("d/b_real/loop")), 0);
    assert_int_equal(symlink("../b_real/x.wav", at("d/c_other/x2.wav")), 0);
    assert_int_equal(symlink("nowhere.wav", at("d/c_other/dangling.wav")), 0);
    assert_int_equal(link(at("d/b_real/y.wav"), at("d/c_other/hard.wav")), 0);
    assert_int_equal(symlink("../../elsewhere", at("d/c_other/far")), 0);
    rn_dataset *d = open_data(at("d"));
    assert_int_equal(d->count, 4);
    assert_int_equal(d->classes, 2); /* a_link adds nothing */
    assert_string_equal(d->items[0].name, "b_real/x.wav");
    assert_string_equal(d->items[1].name, "b_real/y.wav");
    assert_string_equal(d->items[2].name, "c_other/far/in/w.wav");
    assert_string_equal(d->items[3].name, "c_other/z.wav");
    assert_int_equal(warned(d, "a_link is a link to b_real"), 1);
    assert_int_equal(warned(d, "b_real/loop is a link to a folder that it lies in"), 1);
    assert_int_equal(warned(d, "c_other/x2.wav is a file that was listed before"), 1);
    assert_int_equal(warned(d, "c_other/hard.wav is a file that was listed before"), 1);
    assert_int_equal(warned(d, "c_other/dangling.wav is a link that leads nowhere"), 1);
    assert_int_equal(d->warnings_count, 5);
    rn_dataset_close(&d);
}

/* A folder that cannot be learned from must say so in words, before anything else is done. */
static void folders_refused(void **state)
{
    (void)state;
    rn_dataset *d = NULL;
    mkdir(at("empty"), 0777);
    assert_error(rn_dataset_open(&d, at("empty"), NULL, &err), RN_ERR_DATA, err, "no class folder");
    put_noise(at("flat/x.wav"), 0.1, 8000, 0.1, 1);
    assert_error(rn_dataset_open(&d, at("flat"), NULL, &err), RN_ERR_DATA, err, "1 files and no class folder");
    put_noise(at("one/only/x.wav"), 0.1, 8000, 0.1, 1);
    assert_error(rn_dataset_open(&d, at("one"), NULL, &err), RN_ERR_DATA, err, "one class only (only)");
    put_noise(at("hollow/full/x.wav"), 0.1, 8000, 0.1, 1);
    put_noise(at("hollow/full2/x.wav"), 0.1, 8000, 0.1, 1);
    mkdir(at("hollow/full3"), 0777);
    assert_error(rn_dataset_open(&d, at("hollow"), NULL, &err), RN_ERR_DATA, err, "hollow/full3: no recording");
    put_text(at("hollow/full3/x.m4a"), "m4a");
    assert_error(rn_dataset_open(&d, at("hollow"), NULL, &err), RN_ERR_DATA, err, "full3/x.m4a; convert");
    put_text(at("text/a/x.txt"), "x");
    put_text(at("text/b/x.txt"), "x");
    assert_error(rn_dataset_open(&d, at("text"), NULL, &err), RN_ERR_DATA, err, "can be decoded");
    assert_error(rn_dataset_open(&d, at("none"), NULL, &err), RN_ERR_IO, err, "No such file");
    assert_error(rn_dataset_open(&d, "", NULL, &err), RN_ERR_ARG, err, "DATA is a folder");
    put_text(at("list.wav"), "path,label\n");
    assert_error(rn_dataset_open(&d, at("list.wav"), NULL, &err), RN_ERR_DATA, err, "list.wav: DATA is a folder");
    put_noise(at("bad\xFFname/\xFF/x.wav"), 0.1, 8000, 0.1, 1);
    put_noise(at("bad\xFFname/y/x.wav"), 0.1, 8000, 0.1, 1);
    assert_error(rn_dataset_open(&d, at("bad\xFFname"), NULL, &err), RN_ERR_DATA, err, "not UTF-8");
    assert_null(d);
    if (geteuid()) { /* root reads everything */
        put_noise(at("shut/a/x.wav"), 0.1, 8000, 0.1, 1);
        put_noise(at("shut/b/x.wav"), 0.1, 8000, 0.1, 1);
        assert_int_equal(chmod(at("shut/b"), 0), 0);
        int status = rn_dataset_open(&d, at("shut"), NULL, &err);
        chmod(at("shut/b"), 0755);
        assert_int_equal(status, RN_ERR_IO);
        assert_non_null(strstr(err.text, "Permission denied"));
    }
}

/* File names that are no text must not reach messages and JSON as they are, and the file must still be found. */
static void odd_file_names(void **state)
{
    (void)state;
    put_noise(at("d/a/new\nline.wav"), 0.1, 8000, 0.1, 1);
    put_noise(at("d/b/latin\xE9.wav"), 0.1, 8000, 0.1, 2);
    rn_dataset *d = open_data(at("d"));
    assert_string_equal(d->items[0].name, "a/new\\x0Aline.wav");
    assert_string_equal(d->items[1].name, "b/latin\\xE9.wav");
    assert_ok(rn_dataset_hash(d, NULL, &err), err);
    rn_dataset_close(&d);
    assert_true(rn_text_is_clean("plain \xC3\xA9 \xF0\x9F\x90\xA6"));
    assert_false(rn_text_is_clean("\xC0\x80"));         /* overlong */
    assert_false(rn_text_is_clean("\xED\xA0\x80"));     /* surrogate */
    assert_false(rn_text_is_clean("\xF4\x90\x80\x80")); /* above U+10FFFF */
    assert_false(rn_text_is_clean("cut \xE2\x82"));
    assert_false(rn_text_is_clean("tab\t"));
    assert_false(rn_text_is_clean("\xC2\x85")); /* next line */
}

/* Two spellings of one name would be two sources, or two classes, that nobody can tell apart by eye. */
static void twin_names(void **state)
{
    (void)state;
    put_noise(at("d/m\xC3\xA9sange/x.wav"), 0.1, 8000, 0.1, 1);
    put_noise(at("d/me\xCC\x81sange/x.wav"), 0.1, 8000, 0.1, 2);
    put_noise(at("d/z/\xE1\xBB\x87.wav"), 0.1, 8000, 0.1, 3);         /* e, dot below, circumflex in one */
    put_noise(at("d/z/e\xCC\xA3\xCC\x82.wav"), 0.1, 8000, 0.1, 4);    /* in three */
    put_noise(at("d/z/\xE1\xBA\xB9\xCC\x82.wav"), 0.1, 8000, 0.1, 5); /* in two */
    put_noise(at("d/z/e.wav"), 0.1, 8000, 0.1, 6);
    rn_dataset *d = open_data(at("d"));
    assert_int_equal(d->count, 6);
    assert_int_equal(warned(d, "two class names look the same"), 1);
    assert_int_equal(warned(d, "two items look the same"), 3); /* two pairs in z, and the two files x.wav */
    rn_dataset_close(&d);
}

/* ---- manifests ---- */

static void put_two_sounds(void)
{
    put_noise(at("m/a.wav"), 1, 8000, 0.1, 1);
    put_noise(at("m/b.wav"), 1, 8000, 0.1, 2);
}

/* RFC 4180 in full: any of these read differently gives wrong paths or labels. */
static void csv_is_read(void **state)
{
    (void)state;
    put_two_sounds();
    put_noise(at("m/sub dir/\xC3\xBC, \"x\".wav"), 1, 8000, 0.1, 3);
    put_noise(at("beside.wav"), 1, 8000, 0.1, 4);
    put_noise(at("m/two\nlines.wav"), 1, 8000, 0.1, 5);
    char text[2000];
    snprintf(text, sizeof text,
             "\xEF\xBB\xBF_mine,label,path,split,start,end,weight,source,notes\r\n"
             "1,wren,b.wav,,0.25,0.5,2.5,speaker 7,\r\n"
             "\r\n"
             "2,\"robin, the \"\"red\"\" one\",\"sub dir/\xC3\xBC, \"\"x\"\".wav\",val,,,,,\"a note,\r\nof two lines\"\r\n"
             "3,wren,../beside.wav,TEST,,,,,\r\n"
             "4,wren,\"%s\",train,0,0,1,,\n"
             "5,wren,\"two\nlines.wav\",dev,,,1e-3,,\n"
             "6,wren,notes.pdf,dev,,,1e-3,,",
             at("m/a.wav"));
    put_text(at("m/list.csv"), text);
    rn_dataset *d = open_data(at("m/list.csv"));
    assert_int_equal(d->count, 5);
    assert_string_equal(d->labels[0], "robin, the \"red\" one");
    const rn_item *item = &d->items[find(d, "b.wav")];
    assert_true(item->start_s == 0.25 && item->end_s == 0.5 && item->weight == 2.5 && item->part == RN_PART_NONE && item->label == 1);
    assert_string_equal(item->source, "speaker 7");
    item = &d->items[find(d, "sub dir/\xC3\xBC, \"x\".wav")];
    assert_true(item->part == RN_PART_VALIDATION && item->label == 0 && item->weight == 1);
    assert_string_equal(item->source, "sub dir/\xC3\xBC, \"x\"");
    assert_string_equal(item->path, at("m/sub dir/\xC3\xBC, \"x\".wav"));
    assert_int_equal(d->items[find(d, "../beside.wav")].part, RN_PART_TEST);
    assert_int_equal(d->items[find(d, at("m/a.wav"))].part, RN_PART_TRAIN);
    assert_true(d->items[find(d, "two\\x0Alines.wav")].weight == 1e-3);
    assert_int_equal(warned(d, "1 file with the extension .pdf"), 1);
    assert_ok(rn_dataset_hash(d, NULL, &err), err);
    rn_dataset_close(&d);
}

/* Training must not depend on the order of lines; a line said twice must not count twice, a file with two labels not slip through. */
static void lines_in_any_order(void **state)
{
    (void)state;
    put_two_sounds();
    put_text(at("m/1.csv"), "path,label,start,end\na.wav,x,0,0.5\na.wav,x,0.5,1\nb.wav,y,,\n");
    put_text(at("m/2.csv"), "path,label,start,end\nb.wav,y,,\na.wav,x,0.5,1\nb.wav,y,,\na.wav,x,0,0.5\nb.wav,y,0,0\n");
    rn_dataset *a = open_data(at("m/1.csv")), *b = open_data(at("m/2.csv"));
    assert_int_equal(a->count, 3);
    assert_int_equal(b->count, 3);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(a->items[i].name, b->items[i].name);
        assert_true(a->items[i].start_s == b->items[i].start_s && a->items[i].label == b->items[i].label);
    }
    assert_int_equal(warned(b, "2 repeated lines"), 1);
    rn_dataset_close(&a);
    rn_dataset_close(&b);
    put_text(at("m/3.csv"), "path,label\na.wav,x\nb.wav,y\na.wav,y\n");
    assert_error(rn_dataset_open(&a, at("m/3.csv"), NULL, &err), RN_ERR_DATA, err, "one label per item");
}

typedef struct rn_hostile {
    const char *text;
    size_t size; /* 0: strlen */
    int status;
    const char *words;
} rn_hostile;

static void refuse(const rn_hostile *list, size_t count, const char *path)
{
    for (size_t i = 0; i < count; i++) {
        rn_dataset *d = NULL;
        put_bytes(path, list[i].text, list[i].size ? list[i].size : strlen(list[i].text));
        err.text[0] = 0;
        int status = rn_dataset_open(&d, path, NULL, &err);
        if (status != list[i].status || !strstr(err.text, list[i].words) || d)
            fail_msg("case %zu (%.40s): status %d, \"%s\", want %d, \"%s\"", i, list[i].text, status, err.text, list[i].status,
                     list[i].words);
    }
}

/* Each of these must be one sentence with the line, not a crash or a data set that is not what was meant. */
static void csv_refused(void **state)
{
    (void)state;
    static const rn_hostile list[] = {
        {"\n\n", 0, RN_ERR_FORMAT, "empty"},
        {"path\na.wav\n", 0, RN_ERR_FORMAT, "no column named \"label\""},
        {"label,file\nx,a.wav\n", 0, RN_ERR_FORMAT, "unknown column \"file\""},
        {"path,label,sorce\na.wav,x,1\n", 0, RN_ERR_FORMAT, "unknown column \"sorce\""},
        {"path;label\na.wav;x\n", 0, RN_ERR_FORMAT, "separated by commas"},
        {"path,label,path\na.wav,x,b.wav\n", 0, RN_ERR_FORMAT, "two columns named \"path\""},
        {"path,label\na.wav,x\nb.wav\n", 0, RN_ERR_FORMAT, "line 3: 1 fields, the first line has 2"},
        {"path,label\na.wav,x,y\n", 0, RN_ERR_FORMAT, "line 2: 3 fields"},
        {"path,label\na.wav,\"x\n", 0, RN_ERR_FORMAT, "line 2: a quote that is never closed"},
        {"path,label\n\n\n\"a.wav\"x,y\n", 0, RN_ERR_FORMAT, "line 4: text after a closing quote"},
        {"path,label\na\"b.wav,y\n", 0, RN_ERR_FORMAT, "line 2: a quote inside a field"},
        {"path,label\na.wav,x\0y\n", 21, RN_ERR_FORMAT, "line 2: a NUL byte"},
        {"path,label\n,x\n", 0, RN_ERR_FORMAT, "line 2: no path"},
        {"path,label\na.wav,\n", 0, RN_ERR_FORMAT, "line 2: no label"},
        {"path,label\na.wav,\xFFx\n", 0, RN_ERR_DATA, "not UTF-8"},
        {"path,label,split\na.wav,x,tain\n", 0, RN_ERR_FORMAT, "line 2: split \"tain\""},
        {"path,label,start\na.wav,x,1;5\n", 0, RN_ERR_FORMAT, "line 2: start \"1;5\" is not a number"},
        {"path,label,start,end\na.wav,x,2,1\n", 0, RN_ERR_FORMAT, "the end after the start"},
        {"path,label,start,end\na.wav,x,-1,1\n", 0, RN_ERR_FORMAT, "from 0 on"},
        {"path,label,weight\na.wav,x,0\n", 0, RN_ERR_FORMAT, "weight 0"},
        {"path,label,weight\na.wav,x,nan\n", 0, RN_ERR_FORMAT, "not a number"},
        {"path,label\na.wav,x\nnowhere.wav,y\n", 0, RN_ERR_IO, "line 3"},
        {"path,label\na.wav,x\n..,y\n", 0, RN_ERR_DATA, "one class only"}, /* two dots: no extension, left out */
        {"path,label\na.wav,x\nfolder.wav,y\n", 0, RN_ERR_DATA, "is not a file"},
        {"path,label\na.wav,x\n", 0, RN_ERR_DATA, "one class only"},
        {"path,label\n", 0, RN_ERR_DATA, "no recording in it"},
    };
    put_two_sounds();
    mkdir(at("m/folder.wav"), 0777);
    const char *path = at("m/list.csv");
    refuse(list, sizeof list / sizeof *list, path);
    /* A huge field, and more fields than anyone has. */
    enum { size = 70000 };
    static char text[size + 40];
    strcpy(text, "path,label\n");
    memset(text + 11, 'x', size);
    strcpy(text + 11 + size, ",y\n");
    rn_hostile huge = {text, 0, RN_ERR_FORMAT, "line 2: a field of more than 65536 bytes"};
    refuse(&huge, 1, path);
    memset(text, ',', 300);
    text[300] = 0;
    huge = (rn_hostile){text, 0, RN_ERR_FORMAT, "more than 256 fields"};
    refuse(&huge, 1, path);
    strcpy(text, "path,label\n");
    memset(text + 11, 'x', 5000);
    strcpy(text + 11 + 5000, ".wav,y\n");
    huge = (rn_hostile){text, 0, RN_ERR_FORMAT, "line 2: a path of 5004 bytes"};
    refuse(&huge, 1, path);
    memset(text + 11, 'y', 300);
    memcpy(text, "path,label\na.wav,", 17);
    strcpy(text + 317, "\n");
    huge = (rn_hostile){text, 0, RN_ERR_DATA, "label of 300 bytes"};
    refuse(&huge, 1, path);
}

static void json_lines(void **state)
{
    (void)state;
    put_two_sounds();
    const char *path = at("m/list.jsonl");
    put_text(path, "\xEF\xBB\xBF{\"path\": \"a.wav\", \"label\": 3, \"start\": 0.1, \"end\": 1, \"split\": \"test\", \"_x\": [1]}\r\n\n"
                   "  {\"path\": \"b.wav\", \"label\": \"\\u00e9\", \"source\": \"s\", \"weight\": 2, \"start\": null, \"id\": {}}");
    rn_dataset *d = open_data(path);
    assert_int_equal(d->count, 2);
    assert_string_equal(d->labels[0], "3");
    assert_string_equal(d->labels[1], "\xC3\xA9");
    assert_true(d->items[0].start_s == 0.1 && d->items[0].end_s == 1 && d->items[0].part == RN_PART_TEST);
    assert_string_equal(d->items[1].source, "s");
    assert_true(d->items[1].weight == 2);
    rn_dataset_close(&d);
    static const rn_hostile list[] = {
        {"{\"path\": \"a.wav\"", 0, RN_ERR_FORMAT, "line 1: not JSON"},
        {"[1]\n", 0, RN_ERR_FORMAT, "line 1: not a JSON object"},
        {"\n{\"path\": \"a.wav\", \"label\": \"x\", \"sorce\": 1}\n", 0, RN_ERR_FORMAT, "line 2: unknown key \"sorce\""},
        {"{\"path\": \"a.wav\", \"path\": \"b.wav\", \"label\": \"x\"}\n", 0, RN_ERR_FORMAT, "duplicate"},
        {"{\"path\": \"a.wav\", \"label\": [\"x\", \"y|z\"]}\n", 0, RN_ERR_FORMAT, "without | and ;"},
        {"{\"path\": 7, \"label\": \"x\"}\n", 0, RN_ERR_FORMAT, "\"path\" must be text"},
        {"{\"path\": \"a.wav\", \"label\": \"x\", \"start\": \"1\"}\n", 0, RN_ERR_FORMAT, "\"start\" must be a number"},
        {"{\"path\": \"a\\u0000.wav\", \"label\": \"x\"}\n", 0, RN_ERR_FORMAT, "line 1: not JSON"},
        {"{\"path\": \"\xFF.wav\", \"label\": \"x\"}\n", 0, RN_ERR_FORMAT, "line 1: not JSON"},
        {"{\"path\": \"a.wav\", \"label\": \"x\"}\0\n", 33, RN_ERR_FORMAT, "line 1: not JSON"},
        {"{\"label\": \"x\"}\n", 0, RN_ERR_FORMAT, "line 1: no path"},
        {"{\"path\": \"a.wav\", \"label\": \"x\", \"weight\": 1e300}\n", 0, RN_ERR_FORMAT, "weight"},
    };
    refuse(list, sizeof list / sizeof *list, path);
}

/* A number that depends on the locale, or is rounded twice, moves a segment. */
static void numbers_are_exact(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } good[] = {{"0", 0},
                {"12", 12},
                {"0.1", 0.1},
                {"1234567.8901", 1234567.8901},
                {"1e-3", 1e-3},
                {".5", .5},
                {"5.", 5},
                {"+2", 2},
                {"-0.25", -0.25},
                {"3E2", 300},
                {"0.000000001", 1e-9},
                {"123456789012345", 123456789012345.0},
                {"00000.3", 0.3}};
    static const char *const bad[] = {"",     ".",     "-",  "1,5", "1 ", " 1", "0x10", "1e", "1e+", "nan", "inf", "1234567890123456",
                                      "1e99", "1.2.3", "--1"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        double value = -1;
        assert_int_equal(rn_text_number(good[i].text, &value), 0);
        if (value != good[i].value)
            fail_msg("%s: %.17g", good[i].text, value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        double value;
        if (!rn_text_number(bad[i], &value))
            fail_msg("\"%s\" was taken for a number", bad[i]);
    }
}

/* ---- arrays and tensors ---- */

static void arrays_are_listed(void **state)
{
    (void)state;
    rn_dataset *d = NULL;
    put_array(at("d/a/1.npy"), 2, 3, 5, 0);
    put_array(at("d/b/1.NPY"), 2, 3, 5, 1);
    d = open_data(at("d"));
    assert_true(d->c == 2 && d->h == 3 && d->w == 5 && d->count == 2);
    rn_dataset_close(&d);
    put_noise(at("d/b/x.wav"), 0.1, 8000, 0.1, 1);
    assert_error(rn_dataset_open(&d, at("d"), NULL, &err), RN_ERR_DATA, err, "arrays and recordings");
    put_text(at("d/list.csv"), "path,label,start,end\na/1.npy,a,0,1\nb/1.NPY,b,,\n");
    assert_error(rn_dataset_open(&d, at("d/list.csv"), NULL, &err), RN_ERR_DATA, err, "arrays are used whole");
    put_text(at("e/a/1.npy"), "no array");
    put_array(at("e/b/1.npy"), 1, 4, 6, 1);
    d = open_data(at("e")); /* the broken one is found when everything is read; the shape comes from one that can be */
    assert_true(d->c == 1 && d->h == 4 && d->w == 6);
    rn_dataset_close(&d);
    put_text(at("e/b/1.npy"), "no array either");
    assert_true(rn_dataset_open(&d, at("e"), NULL, &err) < 0);
    assert_non_null(strstr(err.text, "e/a/1.npy"));
}

static void tensors_are_borrowed(void **state)
{
    (void)state;
    float x[4 * 6] = {0};
    int labels[4] = {0, 1, 2, 1}, wrong[4] = {0, 3, 1, 1};
    const char *names[3] = {"z", "y", "x"}, *sources[4] = {"s", "s", NULL, "t"};
    rn_dataset *d = NULL;
    x[6] = 1;
    assert_ok(rn_dataset_from_tensors(&d, x, labels, 4, 1, 2, 3, names, 3, sources, &err), err);
    assert_true(d->items[1].tensor == x + 6 && d->items[3].label == 1 && d->c == 1 && d->h == 2 && d->w == 3);
    assert_string_equal(d->labels[0], "z"); /* the caller's order */
    assert_string_equal(d->items[2].source, "tensor 2");
    assert_int_equal(rn_dataset_sources(d), 3);
    assert_ok(rn_dataset_hash(d, NULL, &err), err);
    assert_string_equal(d->items[0].hash, d->items[2].hash);
    assert_string_not_equal(d->items[0].hash, d->items[1].hash);
    rn_dataset_close(&d);
    assert_error(rn_dataset_from_tensors(&d, x, wrong, 4, 1, 2, 3, NULL, 3, NULL, &err), RN_ERR_ARG, err, "tensor 1: label 3");
    assert_error(rn_dataset_from_tensors(&d, x, labels, 0, 1, 2, 3, NULL, 3, NULL, &err), RN_ERR_ARG, err, "1 or more items");
    assert_error(rn_dataset_from_tensors(&d, x, labels, 4, 1 << 20, 1 << 20, 1 << 20, NULL, 3, NULL, &err), RN_ERR_SHAPE, err, "2^28");
    assert_null(d);
}

/* ---- hashes ---- */

/* XXH3-128 of no bytes is a published constant: another variant or byte order would make split files unreadable elsewhere. */
static void hashes(void **state)
{
    (void)state;
    put_bytes(at("d/a/empty.wav"), "", 0);
    put_noise(at("d/a/1.wav"), 40, 8000, 0.1, 1); /* above the 256 KiB that are read at once */
    put_noise(at("d/b/same.wav"), 40, 8000, 0.1, 1);
    put_noise(at("d/b/other.wav"), 40, 8000, 0.1, 2);
    put_text(at("d/list.csv"), "path,label,start,end\na/1.wav,a,0,1\na/1.wav,a,1,2\nb/other.wav,b,0,1\n");
    for (int threads = 1; threads < 4; threads++) {
        rn_pool *pool = NULL;
        assert_ok(rn_pool_open(&pool, threads, &err), err);
        rn_dataset *d = open_data(at("d"));
        assert_ok(rn_dataset_hash(d, pool, &err), err);
        assert_string_equal(d->items[find(d, "a/empty.wav")].hash, "99aa06d3014798d86001c324468d497f");
        assert_string_equal(d->items[find(d, "a/1.wav")].hash, d->items[find(d, "b/same.wav")].hash);
        assert_string_not_equal(d->items[find(d, "a/1.wav")].hash, d->items[find(d, "b/other.wav")].hash);
        unlink(at("d/b/same.wav"));
        unlink(at("d/a/empty.wav"));
        assert_error(rn_dataset_hash(d, pool, &err), RN_ERR_IO, err, "a/empty.wav: No such file"); /* the first of the two */
        int bad = -1;
        assert_ok(rn_dataset_hash_skip_bad(d, pool, &bad, &err), err);
        assert_int_equal(bad, 2);
        assert_true(d->items[find(d, "a/empty.wav")].bad && !d->items[find(d, "a/1.wav")].bad);
        put_bytes(at("d/a/empty.wav"), "", 0);
        put_noise(at("d/b/same.wav"), 40, 8000, 0.1, 1);
        rn_dataset_close(&d);
        d = open_data(at("d/list.csv"));
        assert_ok(rn_dataset_hash(d, pool, &err), err);
        assert_string_equal(d->items[0].hash, d->items[1].hash);
        rn_dataset_close(&d);
        rn_pool_close(&pool);
    }
}

#define test(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(folder_is_listed),  test(links_count_once),     test(folders_refused), test(odd_file_names), test(twin_names),
        test(csv_is_read),       test(lines_in_any_order),   test(csv_refused),     test(json_lines),     test(numbers_are_exact),
        test(arrays_are_listed), test(tensors_are_borrowed), test(hashes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
