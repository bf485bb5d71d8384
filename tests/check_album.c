/* Pictures as data: the same batches whatever the threads and the cache, views for judging, members and pixels in memory, what is refused, and
 * what a check finds. */
#include "data_fixture.h"

#include <xxhash.h>

#include "data/album.h"
#include "data/check.h"
#include "data/loader.h"

static rn_error err;

/* A picture of two colours with a corner of its own, as PPM, or PGM for one channel. */
static void put_picture(const char *path, int w, int h, int channels, unsigned seed)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fprintf(f, "P%d %d %d 255\n", channels == 1 ? 5 : 6, w, h);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int c = 0; c < channels; c++)
                putc((int)((unsigned)(x * 7 + y * 13 + c * 50) + seed * 31 + (unsigned)(x * y) % 17) & 255, f);
    assert_int_equal(fclose(f), 0);
}

/* Two classes of 12 pictures of different sizes. */
static void put_set(const char *name)
{
    for (unsigned i = 0; i < 24; i++)
        put_picture(at("%s/%s/%02u.ppm", name, i % 2 ? "b" : "a", i), 20 + (int)i, 40 - (int)i, 3, i);
}

static rn_dataset *open_data(const char *path)
{
    rn_dataset *d = NULL;
    assert_ok(rn_dataset_open(&d, path, NULL, &err), err);
    return d;
}

static rn_pictures small(void)
{
    rn_pictures p;
    assert_int_equal(rn_pictures_preset(&p, "imagenet", NULL), 0);
    p.resize_h = 18;
    p.crop_h = p.crop_w = 16;
    return p;
}

static rn_loader *open_loader(rn_dataset *d, rn_loader_options o)
{
    rn_loader *l = NULL;
    assert_ok(rn_loader_open(&l, d, NULL, NULL, &o, &err), err);
    return l;
}

static uint64_t hash_epochs(rn_loader *l)
{
    int c, h, w, bad;
    XXH64_state_t *state = XXH64_createState();
    XXH64_reset(state, 0);
    rn_loader_shape(l, &c, &h, &w);
    assert_ok(rn_loader_prepare(l, NULL, NULL, &bad, &err), err);
    for (uint32_t epoch = 0; epoch < 2; epoch++) {
        assert_ok(rn_loader_start(l, epoch, 0, &err), err);
        for (rn_batch b;;) {
            assert_ok(rn_loader_next(l, &b, &err), err);
            if (!b.n)
                break;
            XXH64_update(state, b.x, (size_t)b.n * (size_t)c * (size_t)h * (size_t)w * sizeof(float));
            XXH64_update(state, b.labels, (size_t)b.n * sizeof *b.labels);
        }
    }
    uint64_t hash = XXH64_digest(state);
    XXH64_freeState(state);
    return hash;
}

/* A sample that depends on who made it, on what was kept, or on the order of draws; and draws that are not this build's any more. */
static void test_same_batches(void **state)
{
    (void)state;
    put_set("set");
    rn_dataset *d = open_data(at("set"));
    rn_pictures p = small();
    static const struct {
        double resized_crop, flip;
        int pad;
        uint64_t hash;
    } known[] = {{0.3, 0.5, 0, 0x9041cf5423160e63}, {0, 0.5, 3, 0xfd38d63f2e91d4f6}, {0, 0, 0, 0xa83f4333907e43ec}};
    for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
        rn_picture_augment augment = {.resized_crop = known[k].resized_crop, .flip = known[k].flip, .pad = known[k].pad};
        uint64_t first = 0;
        for (int i = 0; i < 4; i++) {
            rn_loader_options o = {
                .seed = 5, .batch = 7, .threads = 1 + 3 * (i & 1), .cache_mb = i & 2, .pictures = &p, .picture_augment = &augment};
            rn_loader *l = open_loader(d, o);
            uint64_t hash = hash_epochs(l);
            first = i ? first : hash;
            assert_int_equal(hash, first);
            rn_loader_close(&l);
        }
        if (first != known[k].hash)
            fail_msg("case %zu: 0x%016llx", k, (unsigned long long)first);
    }
    rn_dataset_close(&d);
}

static int item_of(const rn_dataset *d, const char *name)
{
    for (int i = 0; i < d->count; i++)
        if (!strcmp(d->items[i].name, name))
            return i;
    return -1;
}

/* A view that is not what the transforms give; crops in another order than torchvision's, or mirrored after the cut instead of before. */
static void test_views(void **state)
{
    (void)state;
    put_set("views");
    rn_dataset *d = open_data(at("views"));
    rn_pictures p = small();
    int item = item_of(d, "a/04.ppm");
    rn_image read, sized, part;
    rn_views v;
    float x[3 * 16 * 16];
    rn_loader *l = open_loader(d, (rn_loader_options){.batch = 1, .pictures = &p});
    assert_ok(rn_loader_views(l, item, &v, &err), err);
    assert_ok(rn_image_read(d->items[item].path, NULL, &read, &err), err);
    assert_ok(rn_pictures_prepare(&p, &read, &part, &err), err);
    rn_pictures_numbers(&p, &part, x);
    assert_int_equal(v.windows, 1);
    assert_memory_equal(v.x, x, sizeof x);
    rn_image_free(&part);
    rn_views_free(&v);
    rn_loader_close(&l);

    l = open_loader(d, (rn_loader_options){.batch = 1, .pictures = &p, .crops = 10, .scales_count = 2, .scales = {16, 24}});
    assert_ok(rn_loader_views(l, item, &v, &err), err);
    assert_int_equal(v.windows, 20);
    assert_ok(rn_image_resize_shorter(&read, 24, p.filter, &sized, &err), err);
    /* the last is the middle of the mirrored, larger picture; the one before it its corner below right: the picture's below left, mirrored */
    for (int k = 0; k < 2; k++) {
        rn_image_mirror(&sized);
        if (k)
            assert_ok(rn_image_cut(&sized, (rn_box){sized.height - 16, 0, 16, 16}, &part, &err), err);
        else
            assert_ok(rn_image_crop_centre(&sized, 16, 16, &part, &err), err);
        if (k)
            rn_image_mirror(&part);
        rn_pictures_numbers(&p, &part, x);
        assert_memory_equal(v.x + (size_t)(19 - k) * 3 * 16 * 16, x, sizeof x);
        rn_image_free(&part);
    }
    rn_image_free(&sized);
    rn_image_free(&read);
    rn_views_free(&v);
    rn_loader_close(&l);

    rn_loader_options wrong = {.batch = 1, .pictures = &p, .scales_count = 1, .scales = {15}};
    assert_error(rn_loader_open(&l, d, NULL, NULL, &wrong, &err), RN_ERR_ARG, err, "--scales 15");
    wrong = (rn_loader_options){.batch = 1, .pictures = &p, .crops = 4};
    assert_error(rn_loader_open(&l, d, NULL, NULL, &wrong, &err), RN_ERR_ARG, err, "--crops 4");
    wrong = (rn_loader_options){.batch = 1};
    assert_error(rn_loader_open(&l, d, NULL, NULL, &wrong, &err), RN_ERR_ARG, err, "pictures");
    rn_dataset_close(&d);
}

/* An archive's member and pixels in memory give the picture that a file of them gives; a member that is not whole is an error. */
static void test_sources(void **state)
{
    (void)state;
    put_picture(at("one/a/1.ppm"), 9, 7, 3, 1);
    put_picture(at("one/b/2.ppm"), 9, 7, 3, 2);
    rn_dataset *d = open_data(at("one"));
    const rn_image_options colour = {.channels = 3}, grey = {.channels = 1};
    rn_image want, got;
    rn_image_info info;
    unsigned char planes[3 * 9 * 7], packed[500] = "in front";
    FILE *f = fopen(d->items[0].path, "rb");
    assert_non_null(f);
    size_t size = fread(packed + 8, 1, sizeof packed - 8, f);
    fclose(f);
    put_bytes(at("packed.bin"), packed, 8 + size);
    rn_item *member = &d->items[1];
    free(member->path);
    member->path = strdup(at("packed.bin"));
    member->offset = 8;
    member->bytes = (int64_t)size;
    for (int k = 0; k < 2; k++) {
        const rn_image_options *o = k ? &grey : &colour;
        assert_ok(rn_album_read(d, 0, o, &want, &err), err);
        assert_ok(rn_album_read(d, 1, o, &got, &err), err);
        assert_memory_equal(got.pixels, want.pixels, (size_t)(9 * 7 * want.channels));
        rn_image_free(&got);
        if (!k)
            for (int i = 0; i < 9 * 7 * 3; i++)
                planes[i % 3 * 63 + i / 3] = want.pixels[i];
        member->pixels = planes;
        d->c = 3, d->h = 7, d->w = 9;
        assert_ok(rn_album_read(d, 1, o, &got, &err), err);
        assert_int_equal(got.height, 7);
        assert_memory_equal(got.pixels, want.pixels, (size_t)(9 * 7 * want.channels));
        member->pixels = NULL;
        d->c = 0;
        rn_image_free(&got);
        rn_image_free(&want);
    }
    assert_ok(rn_album_probe(d, 1, &info, &err), err);
    assert_true(info.width == 9 && info.height == 7 && !info.grey);
    member->bytes += 1;
    assert_error(rn_album_read(d, 1, &colour, &got, &err), RN_ERR_FORMAT, err, "it ends within");
    member->offset = -1;
    assert_error(rn_album_read(d, 1, &colour, &got, &err), RN_ERR_FORMAT, err, "member");
    rn_dataset_close(&d);
}

/* Two kinds in one set, times of a picture, and pictures of several sizes for a model that takes them as they are. */
static void test_refused(void **state)
{
    (void)state;
    rn_dataset *d = NULL;
    put_picture(at("mix/a/1.ppm"), 5, 5, 3, 1);
    put_noise(at("mix/b/1.wav"), 0.2, 8000, 0.5, 1);
    assert_error(rn_dataset_open(&d, at("mix"), NULL, &err), RN_ERR_DATA, err, "pictures and recordings in one data set");
    put_picture(at("times/1.ppm"), 5, 5, 3, 1);
    put_text(at("times/list.csv"), "path,label,start,end\n1.ppm,a,0,1\n");
    assert_error(rn_dataset_open(&d, at("times/list.csv"), NULL, &err), RN_ERR_DATA, err, "pictures are used whole");
    put_set("sizes");
    d = open_data(at("sizes"));
    rn_pictures p = small();
    p.resize_h = p.crop_h = p.crop_w = 0;
    p.resize_h = 10, p.resize_w = 12;
    rn_loader *l = open_loader(d, (rn_loader_options){.batch = 2, .pictures = &p});
    int c, h, w, bad;
    rn_loader_shape(l, &c, &h, &w);
    assert_true(c == 3 && h == 10 && w == 12);
    rn_loader_close(&l);
    /* skip_bad leaves out one colour and what does not decode; without it the first is named */
    put_text(at("sizes/a/broken.png"), "\x89PNG\r\n\x1a\n but no more");
    rn_dataset_close(&d);
    d = open_data(at("sizes"));
    l = open_loader(d, (rn_loader_options){.batch = 2, .pictures = &p});
    assert_error(rn_loader_prepare(l, NULL, NULL, &bad, &err), RN_ERR_DATA, err, "broken.png");
    rn_loader_close(&l);
    l = open_loader(d, (rn_loader_options){.batch = 2, .pictures = &p, .skip_bad = 1});
    assert_ok(rn_loader_prepare(l, NULL, NULL, &bad, &err), err);
    assert_int_equal(bad, 1);
    rn_loader_close(&l);
    rn_dataset_close(&d);
}

static int has(const rn_check *c, rn_finding_kind kind, const char *text)
{
    for (int i = 0; i < c->findings_count; i++)
        if (c->findings[i].kind == kind && strstr(c->findings[i].text, text))
            return 1;
    return 0;
}

/* What would spoil a training on pictures, and the figures of stats. */
static void test_check(void **state)
{
    (void)state;
    unsigned char plain[200] = "P6 5 4 255\n";
    rn_check *c = NULL;
    rn_class_stats *stats = NULL;
    rn_pool *pool = NULL;
    put_set("check");
    memset(plain + 11, 77, 60);
    put_bytes(at("check/a/plain.ppm"), plain, 71);
    put_picture(at("check/a/grey.pgm"), 30, 31, 1, 3);
    put_picture(at("check/b/large.ppm"), 90, 80, 3, 9);
    put_picture(at("check/b/twin.ppm"), 20, 40, 3, 0); /* a/00.ppm */
    put_text(at("check/a/empty.png"), "");
    put_text(at("check/a/broken.jpg"), "\xff\xd8\xff\xe0 and no more");
    rn_dataset *d = open_data(at("check"));
    d->most_pixels = 80 * 80;
    assert_ok(rn_pool_open(&pool, 2, &err), err);
    assert_ok(rn_check_run(d, 0, pool, NULL, NULL, &c, &err), err);
    assert_true(has(c, RN_FIND_ONE_COLOUR, "a/plain.ppm"));
    assert_true(has(c, RN_FIND_GREY, "2 of 27 pictures")); /* plain is grey, too */
    assert_true(has(c, RN_FIND_UNDECODABLE, "large.ppm: 90 x 80 pixels, at most 6400"));
    assert_true(has(c, RN_FIND_UNDECODABLE, "broken.jpg"));
    assert_true(has(c, RN_FIND_EMPTY, "empty.png"));
    assert_true(has(c, RN_FIND_CONFLICT, "have the same bytes and two labels"));
    assert_int_equal(c->errors, 4);
    assert_ok(rn_check_stats(d, c, &stats, &err), err);
    assert_true(stats[0].items == 14 && stats[0].bad == 2 && stats[0].grey == 2 && stats[1].bad == 1);
    assert_true(stats[0].width_low == 5 && stats[0].width_high == 42 && stats[0].height_low == 4 && stats[0].height_high == 40);
    free(stats);
    rn_check_close(&c);
    rn_pool_close(&pool);
    rn_dataset_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_batches), cmocka_unit_test(test_views), cmocka_unit_test(test_sources),
                                       cmocka_unit_test(test_refused), cmocka_unit_test(test_check)};
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
