/* Files that several threads read at once. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "media/sound.h"

/* Reads one file again and again; broken ones must fail each time, others never. */
typedef struct reader {
    char path[600];
    int broken, wrong;
} reader;

static void *read_again(void *context)
{
    reader *r = context;
    for (int i = 0; i < 1500; i++) {
        rn_error err;
        rn_sound s = {0};
        int status = rn_sound_read(r->path, NULL, &s, &err);
        r->wrong += r->broken ? !status : status || s.count != 9;
        rn_sound_free(&s);
    }
    return NULL;
}

/* libsndfile 1.2.0 closes descriptors of files that it does not know; a number that is closed twice may be another thread's file. */
static void broken_files_harm_no_other(void **state)
{
    (void)state;
    static const float x[9] = {0.5f};
    reader readers[4] = {{.broken = 1}, {.broken = 1}, {.broken = 0}, {.broken = 0}};
    pthread_t threads[4];
    rn_error err;
    char folder[200], unknown[300], good[300];
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/check_source.XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(folder));
    snprintf(unknown, sizeof unknown, "%s/unknown.flac", folder);
    snprintf(good, sizeof good, "%s/good.wav", folder);
    FILE *f = fopen(unknown, "w");
    assert_non_null(f);
    fputs("this is no sound at all, whatever its name says", f);
    fclose(f);
    assert_int_equal(rn_sound_write_wav(good, x, 9, 8000, &err), 0);
    for (int i = 0; i < 4; i++) {
        snprintf(readers[i].path, sizeof readers[i].path, "%s", readers[i].broken ? unknown : good);
        assert_int_equal(pthread_create(&threads[i], NULL, read_again, &readers[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(readers[i].wrong, 0);
    unlink(unknown);
    unlink(good);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(broken_files_harm_no_other)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
