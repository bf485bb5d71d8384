/* The k-th allocation fails, for every k: the caller gets an error, nothing crashes, nothing is left behind. And a session's run
 * allocates nothing at all.
 *
 * malloc and its relatives are replaced in this program by ones that count, and fail where our own code, Jansson, zlib or a decoder of
 * pictures calls them (libsndfile 1.2.0 crashes by itself when an allocation of its own fails in sf_open_fd, libarchive 3.6 forgets some).
 * Sanitizers have their own: the test is empty there. */
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "judge/calibration.h"
#include "judge/curves.h"
#include "judge/projection.h"
#include "judge/suspects.h"
#include "media/features.h"
#include "media/resize.h"
#include "media/sound.h"
#include "models/model.h"
#include "resnet_tools.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define REPLACED 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define REPLACED 0
#endif
#endif
#if !defined(REPLACED) && defined(__GLIBC__)
#define REPLACED 1
#elif !defined(REPLACED)
#define REPLACED 0
#endif

static long taken, failing, live; /* allocations so far; the one that fails, 0 for none; not yet freed */
static int watched;

#if REPLACED
#pragma GCC visibility push(default) /* libraries must find these too */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *p);
void *memalign(size_t alignment, size_t size);

extern char __executable_start, etext;

static int is_ours(const char *caller)
{
    static const char *const others[] = {"libjansson", "libjpeg", "libpng", "libwebp", "libz."};
    Dl_info info;
    if (caller >= &__executable_start && caller < &etext)
        return 1;
    if (!dladdr(caller, &info) || !info.dli_fname)
        return 0;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strstr(info.dli_fname, others[i]))
            return 1;
    return 0;
}

static int refuse(const void *caller)
{
    if (!__atomic_load_n(&watched, __ATOMIC_RELAXED) || !is_ours(caller))
        return 0;
    long number = __atomic_add_fetch(&taken, 1, __ATOMIC_RELAXED);
    if (number != __atomic_load_n(&failing, __ATOMIC_RELAXED))
        return 0;
    errno = ENOMEM;
    return 1;
}

static void *counted(void *p)
{
    if (p)
        __atomic_add_fetch(&live, 1, __ATOMIC_RELAXED);
    return p;
}

void *malloc(size_t size)
{
    return refuse(__builtin_return_address(0)) ? NULL : counted(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    return refuse(__builtin_return_address(0)) ? NULL : counted(__libc_calloc(count, size));
}

void *realloc(void *old, size_t size)
{
    if (refuse(__builtin_return_address(0)))
        return NULL;
    void *p = __libc_realloc(old, size);
    return old ? p : counted(p);
}

void *memalign(size_t alignment, size_t size)
{
    return refuse(__builtin_return_address(0)) ? NULL : counted(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return refuse(__builtin_return_address(0)) ? NULL : counted(__libc_memalign(alignment, size));
}

int posix_memalign(void **p, size_t alignment, size_t size)
{
    *p = refuse(__builtin_return_address(0)) ? NULL : counted(__libc_memalign(alignment, size));
    return *p ? 0 : ENOMEM;
}

void free(void *p)
{
    if (p)
        __atomic_sub_fetch(&live, 1, __ATOMIC_RELAXED);
    __libc_free(p);
}
#pragma GCC visibility pop
#endif

static char folder[64], model_path[128], sound_path[128];

static int count_answer(void *context, const rn_answer *answer)
{
    (void)answer;
    ++*(int *)context;
    return 0;
}

/* ---- What is done under failing allocations; each returns the first status that is not 0 ---- */

static int make_and_save(rn_error *err)
{
    rn_model *model = NULL, *parsed = NULL;
    int status = rn_model_create(&model, "{\"arch\": \"resnet20\", \"width\": 4, \"classes\": 3}", NULL, err);
    if (!status)
        status = rn_model_save(model, model_path, err);
    if (!status)
        status = rn_model_load(&parsed, model_path, err);
    rn_model_close(&parsed);
    rn_model_close(&model);
    return status;
}

static int run_tensors(rn_error *err)
{
    static float x[2][3 * 16 * 20];
    float logits[2][3];
    rn_model *model = NULL;
    rn_session *session = NULL;
    int status = rn_model_load(&model, model_path, err);
    if (!status)
        status = rn_session_open(&session, model, &(rn_session_options){.batch = 2, .height = 16, .width = 20, .threads = 2}, err);
    if (!status)
        status = rn_session_run(session, 2, x[0], logits[0], NULL, err);
    rn_session_close(&session);
    rn_model_close(&model);
    return status;
}

static rn_model *listener; /* made before allocations fail */

static int hear_file(rn_error *err)
{
    rn_session *session = NULL;
    int answers = 0, status = rn_session_open(&session, listener, &(rn_session_options){.threads = 1}, err);
    if (!status)
        status = rn_session_file(session, sound_path, &(rn_listen){.window_s = 0.3, .want_embedding = 1}, count_answer, &answers, err);
    if (!status && answers != 4)
        status = 1;
    rn_session_close(&session);
    return status;
}

static int hear_stream(rn_error *err)
{
    static float x[6000];
    rn_session *session = NULL;
    rn_stream *stream = NULL;
    int answers = 0, status = rn_session_open(&session, listener, &(rn_session_options){.threads = 1}, err);
    if (!status)
        status = rn_stream_open(&stream, session, 11025, NULL, count_answer, &answers, err);
    for (int i = 0; i < 6 && !status; i++)
        status = rn_stream_push(stream, x + 1000 * i, 1000, err);
    if (!status)
        status = rn_stream_finish(stream, err);
    if (!status && answers < 2)
        status = 1;
    rn_stream_close(&stream);
    rn_session_close(&session);
    return status;
}

static int explain(rn_error *err, const char *options)
{
    char *text = NULL;
    int status = rn_tools_explain(listener, sound_path, &(rn_listen){.window_s = 0.3}, options, NULL, NULL, NULL, NULL, &text, err);
    if (!status && !strstr(text, "\"strongest\""))
        status = 1;
    rn_text_free(text);
    return status;
}

static int explain_gradient(rn_error *err)
{
    return explain(err, "{\"threads\": 1}");
}

static int explain_occlusion(rn_error *err)
{
    return explain(err, "{\"threads\": 1, \"method\": \"occlusion\", \"patch\": \"32x32\"}");
}

static int describe(rn_error *err)
{
    char *text = NULL;
    int status = rn_tools_arch("{\"arch\": \"resnet20\"}", &text, err);
    if (!status && !strstr(text, "269722"))
        status = 1;
    rn_text_free(text);
    return status;
}

static int cut(rn_error *err)
{
    char path[96];
    double seconds;
    snprintf(path, sizeof path, "%s/cut.wav", folder);
    rn_cut cuts[2] = {{0, 0.5, path}, {0.25, 1, path}};
    int status = rn_tools_cut(sound_path, NULL, cuts, 2, err);
    return status ? status : rn_tools_seconds(sound_path, NULL, &seconds, err);
}

static int write_finds(rn_error *err)
{
    char path[96];
    const rn_find finds[2] = {{"a", "x", 0, 1, 0.5, 100}, {"a", "y", 2, 3, 0.7, 100}};
    const rn_recording recordings[1] = {{"a", "broken", 10, 100}};
    snprintf(path, sizeof path, "%s/finds.html", folder);
    return rn_tools_find_page("m", "c", finds, 2, recordings, 1, path, err);
}

/* A folder with a recording, its table, and a table of nothing. */
static int list_tables(rn_error *err)
{
    char path[96];
    rn_data *data = NULL;
    snprintf(path, sizeof path, "%s/marks", folder);
    int status = rn_data_open(&data, path, NULL, err);
    rn_data_close(&data);
    return status;
}

/* MNIST's files, a tar, a Kaldi directory. */
static int list_packed(rn_error *err)
{
    static const char *const sets[] = {"idx", "tar", "kaldi"};
    int status = 0;
    for (size_t i = 0; i < sizeof sets / sizeof *sets && !status; i++) {
        char path[96];
        rn_data *data = NULL;
        snprintf(path, sizeof path, "%s/%s", folder, sets[i]);
        status = rn_data_open(&data, path, NULL, err);
        rn_data_close(&data);
    }
    return status;
}

/* Ten items of two classes that lie on a curve; item 3 has the label of the others. */
static int judge(rn_error *err)
{
    enum { N = 10 };
    float logits[N][2], p[N][2];
    double score[N], plane[2 * N], share[2];
    unsigned char positive[N];
    int first[N + 1], label[N], count = 0;
    rn_curve *curve = NULL;
    rn_suspect *suspects = NULL;
    for (int i = 0; i <= N; i++)
        first[i] = i;
    for (int i = 0; i < N; i++) {
        label[i] = (i % 2) ^ (i == 3);
        logits[i][0] = (float)i / 9;
        logits[i][1] = i % 2 ? 4 : -4;
        score[i] = logits[i][1];
        positive[i] = (unsigned char)label[i];
    }
    int status = rn_curve_compute(score, positive, N, &curve, err);
    if (!status)
        status = rn_temperature_apply(logits[0], first, N, 2, 1, p[0], err);
    if (!status)
        status = rn_suspects_find(p[0], label, N, 2, &suspects, &count, err);
    if (!status)
        status = rn_pca(logits[0], N, 2, NULL, plane, share, err);
    if (!status)
        status = rn_tsne(logits[0], N, 2, NULL, NULL, NULL, plane, NULL, err);
    if (!status && (count != 1 || suspects[0].index != 3 || curve->points != 3))
        status = 1;
    rn_curve_close(&curve);
    free(suspects);
    return status;
}

static int look_inside(rn_error *err)
{
    char *text = NULL;
    int status = rn_tools_model(model_path, &text, err);
    if (!status && (!strstr(text, "histogram") || !strstr(text, "\"warnings\":[]")))
        status = 1;
    rn_text_free(text);
    return status;
}

static int train(rn_error *err)
{
    static float x[24][8 * 8];
    static int labels[24];
    rn_data *data = NULL;
    rn_training *training = NULL;
    rn_model *model = NULL;
    for (int i = 0; i < 24; i++) {
        labels[i] = i % 2;
        for (int k = 0; k < 64; k++)
            x[i][k] = (float)((i * 37 + k * 11) % 17) / 17 + (float)(i % 2);
    }
    int status = rn_data_from_tensors(&data, x[0], labels, 24, 1, 8, 8, NULL, 2, NULL, err);
    if (!status)
        status = rn_training_open(
            &training, data,
            "{\"arch\": {\"name\": \"resnet20\", \"width\": 2, \"in_channels\": 1}, \"epochs\": 1, \"batch\": 8, \"threads\": 1}", NULL, 0,
            NULL, err);
    if (!status)
        status = rn_training_run(training, NULL, err);
    if (!status)
        status = rn_training_take_model(training, &model, err);
    rn_model_close(&model);
    rn_training_close(&training);
    rn_data_close(&data);
    return status;
}

/* A data set of pictures, trained on with every augmentation. */
static int train_pictures(rn_error *err)
{
    rn_data *data = NULL;
    rn_training *training = NULL;
    char path[300];
    snprintf(path, sizeof path, "%s/pictures.csv", folder);
    int status = rn_data_open(&data, path, NULL, err);
    if (!status)
        status = rn_training_open(&training, data,
                                  "{\"arch\": {\"name\": \"resnet20\", \"width\": 2}, \"epochs\": 1, \"batch\": 4, \"threads\": 1, \"no_test\": true, "
                                  "\"pictures\": {\"crop\": 8, \"resize\": 9}, \"augment\": {\"rand_augment\": 2, \"erase\": 1, \"hue\": 0.2, "
                                  "\"cutmix\": 1, \"resized_crop\": 0.3}}",
                                  NULL, 0, NULL, err);
    if (!status)
        status = rn_training_run(training, NULL, err);
    rn_training_close(&training);
    rn_data_close(&data);
    return status;
}

static int write_pictures(void)
{
    char path[300];
    snprintf(path, sizeof path, "%s/pictures.csv", folder);
    FILE *list = fopen(path, "w");
    if (!list)
        return -1;
    fprintf(list, "path,label\n");
    for (int i = 0; i < 12; i++) {
        fprintf(list, "%d.ppm,%c\n", i, 'a' + i % 2);
        snprintf(path, sizeof path, "%s/%d.ppm", folder, i);
        FILE *f = fopen(path, "wb");
        if (!f)
            return -1;
        fprintf(f, "P6 %d 12 255\n", 10 + i);
        for (int k = 0; k < 3 * 12 * (10 + i); k++)
            putc((k * (7 + i)) & 255, f);
        fclose(f);
    }
    return fclose(list);
}

static int see_pictures(rn_error *err)
{
    static const char *const names[] = {"turned6.jpg", "rgb420p.jpg", "cmyk.jpg",    "turned6.png", "palette4i.png",
                                        "rgba16.png",  "turned8.webp", "lossy.webp", "p3.ppm",      "palette4.bmp"};
    rn_image_options options = {.orient = 1};
    int status = 0;
    for (size_t i = 0; !status && i < sizeof names / sizeof *names; i++) {
        char path[600];
        rn_image image, small, middle = {0};
        snprintf(path, sizeof path, "%s/golden/images/%s", RN_TEST_DIR, names[i]);
        if ((status = rn_image_read(path, &options, &image, err)))
            return status;
        if (!(status = rn_image_resize_shorter(&image, 11, RN_RESIZE_LANCZOS, &small, err)))
            status = rn_image_crop_centre(&small, 9, 14, &middle, err);
        rn_image_free(&image);
        rn_image_free(&small);
        rn_image_free(&middle);
    }
    return status;
}

/* A file of another project, looked at, written and used. */
static int convert(rn_error *err)
{
    char from[600], to[96], *text = NULL;
    rn_conversion *conversion = NULL;
    rn_model *model = NULL;
    snprintf(from, sizeof from, "%s/golden/names/huggingface/model.safetensors", RN_TEST_DIR);
    snprintf(to, sizeof to, "%s/converted.safetensors", folder);
    int status = rn_conversion_open(&conversion, from, "{\"preprocessing\": \"timm\"}", err);
    if (!status)
        status = rn_conversion_result(conversion, &text, err);
    if (!status)
        status = rn_conversion_write(conversion, to, err);
    if (!status)
        status = rn_model_load(&model, to, err);
    if (!status && (strcmp(rn_model_label(model, 2), "crane (2)") || !strstr(text, "\"stride_at\":\"1x1\"")))
        status = 1;
    rn_text_free(text);
    rn_model_close(&model);
    rn_conversion_close(&conversion);
    return status;
}

/* ---- The tests ---- */

static int under(long k, int (*work)(rn_error *), rn_error *err)
{
    memset(err, 0, sizeof *err);
    __atomic_store_n(&taken, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&failing, k, __ATOMIC_RELAXED);
    __atomic_store_n(&watched, 1, __ATOMIC_RELAXED);
    int status = work(err);
    __atomic_store_n(&watched, 0, __ATOMIC_RELAXED);
    return status;
}

/* Every k up to `dense`, then further and further apart. A failure that the work can do without is allowed to pass: then its result was
 * checked by the work itself. */
static void fail_each(int (*work)(rn_error *), long dense)
{
    rn_error err;
    assert_int_equal(under(0, work, &err), 0); /* what libraries keep for ever is made now */
    long all = 0, before, step = 1, failed = 0;
    assert_int_equal(under(0, work, &err), 0);
    all = taken;
    assert_true(all > 0);
    for (long k = 1; k <= all; k += step) {
        before = live;
        int status = under(k, work, &err);
        if (status > 0)
            print_error("allocation %ld of %ld: another result\n", k, all);
        if (status < 0 && strlen(err.text) < 5)
            print_error("allocation %ld of %ld: %s without a sentence\n", k, all, rn_error_name(status));
        if (live != before)
            print_error("allocation %ld of %ld: %ld left behind\n", k, all, live - before);
        assert_true(status <= 0);
        assert_true(status == 0 || strlen(err.text) >= 5);
        assert_int_equal(live, before);
        failed += status < 0;
        step = k > dense ? 1 + (k - dense) / 20 : 1;
    }
    assert_true(failed > 0);
    assert_int_equal(under(0, work, &err), 0);
}

static void test_make_and_save(void **state)
{
    (void)state;
    fail_each(make_and_save, 400);
}
static void test_run_tensors(void **state)
{
    (void)state;
    fail_each(run_tensors, 400);
}
static void test_hear_file(void **state)
{
    (void)state;
    fail_each(hear_file, 400);
}
static void test_hear_stream(void **state)
{
    (void)state;
    fail_each(hear_stream, 400);
}
static void test_explain(void **state)
{
    (void)state;
    fail_each(explain_gradient, 400);
    fail_each(explain_occlusion, 400);
}
static void test_see_pictures(void **state)
{
    (void)state;
    fail_each(see_pictures, 1000);
}
static void test_train_pictures(void **state)
{
    (void)state;
    fail_each(train_pictures, 300);
}

static void test_describe(void **state)
{
    (void)state;
    fail_each(describe, 400);
    fail_each(look_inside, 800);
}
static void test_convert(void **state)
{
    (void)state;
    fail_each(convert, 200);
}

static void test_cut(void **state)
{
    (void)state;
    fail_each(cut, 400);
    fail_each(write_finds, 400);
}
static void test_list_tables(void **state)
{
    char path[400];
    (void)state;
    snprintf(path, sizeof path, "mkdir '%s/marks' && cp '%s' '%s/marks/a.wav'", folder, sound_path, folder);
    assert_int_equal(system(path), 0);
    snprintf(path, sizeof path, "%s/marks/a.txt", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("Begin Time (s)\tEnd Time (s)\tTag\tBegin File\n0\t0.5\tx\ta.wav\n0.5\t1\ty\tC:\\a.wav\n0\t1\ty\n", file);
    assert_int_equal(fclose(file), 0);
    snprintf(path, sizeof path, "%s/marks/a.2.txt", folder);
    assert_non_null(file = fopen(path, "w"));
    assert_int_equal(fclose(file), 0);
    fail_each(list_tables, 400);
}
/* The corpus of the fuzzer has them; its first byte says which is which. */
static void test_list_packed(void **state)
{
    char command[1200];
    (void)state;
    snprintf(command, sizeof command,
             "cd '%s' && mkdir idx tar kaldi && f='" RN_TEST_DIR "/fuzz/corpus/sets' && tail -c +2 \"$f/gzip\" >idx/train-images-idx3-ubyte.gz && "
             "tail -c +2 \"$f/labels\" >idx/train-labels-idx1-ubyte && tail -c +2 \"$f/tar-gnu\" >tar/x.tar && echo zero >tar/labels.txt && "
             "echo one >>tar/labels.txt && tail -c +2 \"$f/scp\" >kaldi/wav.scp && tail -c +2 \"$f/segments\" >kaldi/segments && "
             "printf 'u x\nv y\n' >kaldi/utt2spk && cp '%s' kaldi/a.wav && cp '%s' kaldi/b.wav",
             folder, sound_path, sound_path);
    assert_int_equal(system(command), 0);
    fail_each(list_packed, 400);
}
static void test_judge(void **state)
{
    (void)state;
    fail_each(judge, 400);
}
static void test_train(void **state)
{
    (void)state;
    fail_each(train, 300);
}

static long resident_pages(void)
{
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld %ld", &pages, &resident), 2);
    fclose(file);
    return resident;
}

/* A run that allocates, even once in a thousand: memory would not be flat over days. */
static void test_run_allocates_nothing(void **state)
{
    static float x[4][3 * 16 * 20];
    float logits[4][3];
    rn_error err = {0};
    rn_model *model = NULL;
    rn_session *session = NULL;
    (void)state;
    assert_int_equal(rn_model_load(&model, model_path, &err), 0);
    assert_int_equal(rn_session_open(&session, model, &(rn_session_options){.batch = 4, .height = 16, .width = 20, .threads = 2}, &err), 0);
    assert_int_equal(rn_session_run(session, 4, x[0], logits[0], NULL, &err), 0);
    long pages = resident_pages();
    __atomic_store_n(&taken, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&failing, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&watched, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(rn_session_run(session, 1 + i % 4, x[0], logits[0], NULL, &err), 0);
    __atomic_store_n(&watched, 0, __ATOMIC_RELAXED);
    assert_int_equal(taken, 0);
    assert_true(resident_pages() <= pages + 16);
    rn_session_close(&session);
    rn_model_close(&model);
}

static int prepare(void **state)
{
    rn_error err = {0};
    rn_features features;
    static float x[9000];
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/check_alloc.XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(model_path, sizeof model_path, "%s/m.safetensors", folder);
    snprintf(sound_path, sizeof sound_path, "%s/s.wav", folder);
    for (int i = 0; i < 9000; i++)
        x[i] = (float)((i * 7919 % 201) - 100) / 256;
    if (rn_model_create(&listener, "{\"arch\": \"resnet20\", \"width\": 4, \"in_channels\": 1, \"classes\": 3, \"embedding\": 6}", NULL,
                        &err) ||
        rn_sound_write_wav(sound_path, x, 9000, 8000, &err) || write_pictures() || make_and_save(&err)) {
        print_error("%s\n", err.text);
        return -1;
    }
    rn_features_default(&features, RN_KALDI, 8000);
    features.seconds = 0.25;
    return json_object_set_new(listener->config, "features", rn_features_to_json(&features));
}

static int clean_up(void **state)
{
    char command[128];
    (void)state;
    rn_model_close(&listener);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_make_and_save),        cmocka_unit_test(test_run_tensors), cmocka_unit_test(test_hear_file),
        cmocka_unit_test(test_hear_stream),          cmocka_unit_test(test_describe),    cmocka_unit_test(test_explain),    cmocka_unit_test(test_judge),
        cmocka_unit_test(test_train),                cmocka_unit_test(test_list_tables), cmocka_unit_test(test_cut), cmocka_unit_test(test_convert), cmocka_unit_test(test_see_pictures),
        cmocka_unit_test(test_train_pictures),       cmocka_unit_test(test_list_packed), cmocka_unit_test(test_run_allocates_nothing)};
    if (!REPLACED) {
        print_message("not with a sanitizer: it has allocators of its own\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
