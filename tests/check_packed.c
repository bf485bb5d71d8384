/* Data sets that come packed: MNIST's IDX and CIFAR's binaries. What is listed, what a network is given, what is refused. */
#include "data_fixture.h"

#include <zlib.h>

#include "data/dataset.h"
#include "data/split.h"

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

static void put_gzip(const char *path, const void *data, size_t size)
{
    gzFile file = gzopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(gzwrite(file, data, (unsigned)size), size);
    assert_int_equal(gzclose(file), Z_OK);
}

/* An IDX file with these dimensions and `size` bytes of values, each its place plus `first`. */
static size_t make_idx(unsigned char *out, int rank, const unsigned *dims, size_t size, int first)
{
    size_t at = 4;
    memcpy(out, (unsigned char[]){0, 0, 8, (unsigned char)rank}, 4);
    for (int i = 0; i < rank; i++)
        for (int k = 24; k >= 0; k -= 8)
            out[at++] = (unsigned char)(dims[i] >> k);
    for (size_t i = 0; i < size; i++)
        out[at++] = (unsigned char)(first + (int)i);
    return at;
}

static void put_idx(const char *path, int rank, const unsigned *dims, size_t size, int first)
{
    unsigned char data[4096];
    size_t length = make_idx(data, rank, dims, size, first);
    if (strstr(path, ".gz"))
        put_gzip(path, data, length);
    else
        put_bytes(path, data, length);
}

/* `n` pictures of 2 x 3 pixels with the labels first, first + 1, ... */
static void put_pair(const char *folder, const char *images, const char *labels, unsigned n, int first)
{
    put_idx(at("%s/%s", folder, images), 3, (unsigned[]){n, 2, 3}, n * 6, first);
    put_idx(at("%s/%s", folder, labels), 1, (unsigned[]){n}, n, first);
}

/* Sizes read in the machine's byte order, a part that is not told by the name, the gzip and the file beside it counted twice, a label list
 * that is one off, rows and columns exchanged. */
static void idx_is_listed(void **state)
{
    (void)state;
    put_pair("m", "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte", 12, 0);
    put_pair("m", "t10k-images.idx3-ubyte", "t10k-labels-idx1-ubyte.gz", 3, 5);
    put_pair("m", "t10k-images.idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz", 3, 5);
    rn_dataset *d = opened(at("m/"));
    assert_int_equal(d->count, 15);
    assert_int_equal(d->classes, 12);
    assert_true(d->c == 1 && d->h == 2 && d->w == 3);
    assert_string_equal(d->items[0].name, "t10k/00000");
    assert_string_equal(d->items[14].name, "train/00011");
    assert_string_equal(d->items[14].path, at("m/train/00011"));
    assert_string_equal(d->labels[d->items[14].label], "11");
    assert_string_equal(d->labels[d->items[0].label], "5");
    assert_int_equal(d->items[0].part, RN_PART_TEST);
    assert_int_equal(d->items[14].part, RN_PART_TRAIN);
    assert_int_equal(d->items[4].pixels[5], 6 + 5);
    assert_ok(rn_dataset_hash(d, NULL, &err), err);
    assert_string_not_equal(d->items[0].hash, d->items[1].hash);
    rn_dataset_close(&d);
    put_text(at("m/labels.txt"), "a0\r\na1\na2\na3\na4\na5\na6\na7\na8\na9\nb0\nb1\n\n");
    d = opened(at("m"));
    assert_string_equal(d->labels[d->items[14].label], "b1");
    rn_dataset_close(&d);
    put_text(at("m/labels.txt"), "a0\na1\na2\n");
    refused(at("m"), RN_ERR_DATA, "item 0 of t10k is of class 5, the list of labels has 3");
    put_text(at("m/labels.txt"), "a0\n\na2\n");
    refused(at("m"), RN_ERR_FORMAT, "labels.txt, line 2: empty");
}

/* Pixels of another item, or of the header. */
static void pixels_are_those_of_the_item(void **state)
{
    (void)state;
    put_pair("v", "train-images-idx3-ubyte", "train-labels-idx1-ubyte", 2, 250);
    rn_dataset *d = opened(at("v"));
    assert_int_equal(rn_dataset_kind(d), RN_PICTURES);
    for (int item = 0; item < 2; item++)
        for (int i = 0; i < 6; i++)
            assert_int_equal(d->items[item].pixels[i], (250 + 6 * item + i) % 256);
    rn_dataset_close(&d);
}

/* A size that is believed: room for 2^31 pictures, a gzip unpacked to its end, a product that overflows, a labels file that is shorter than the
 * pictures (the last ones would have the labels of nobody). */
static void hostile_idx_is_refused(void **state)
{
    (void)state;
    unsigned char data[4096];
    char images[200], labels[200];
    snprintf(images, sizeof images, "%s", at("h/train-images-idx3-ubyte"));
    snprintf(labels, sizeof labels, "%s", at("h/train-labels-idx1-ubyte"));
    put_idx(images, 3, (unsigned[]){4, 2, 3}, 24, 0);
    refused(at("h"), RN_ERR_IO, "h/train-labels-idx1-ubyte: no such file, with .gz or without");
    put_idx(labels, 1, (unsigned[]){3}, 3, 0);
    refused(at("h"), RN_ERR_DATA, "3 labels for the 4 pictures of train-images-idx3-ubyte");
    put_idx(labels, 1, (unsigned[]){4}, 3, 0);
    refused(at("h"), RN_ERR_FORMAT, "its dimensions are of 4 bytes, and there are 3");
    put_idx(labels, 1, (unsigned[]){4}, 4, 0);
    put_idx(images, 3, (unsigned[]){4, 2, 3}, 25, 0);
    refused(at("h"), RN_ERR_FORMAT, "its dimensions are of 24 bytes, and there are 25");
    put_idx(images, 3, (unsigned[]){0x80000000u, 2, 3}, 24, 0);
    refused(at("h"), RN_ERR_FORMAT, "dimension 1 is 2147483648");
    put_idx(images, 3, (unsigned[]){1 << 28, 1 << 14, 1 << 14}, 24, 0);
    refused(at("h"), RN_ERR_FORMAT, "dimension 2 is 16384");
    put_idx(images, 3, (unsigned[]){4, 0, 3}, 24, 0);
    refused(at("h"), RN_ERR_FORMAT, "dimension 2 is 0");
    put_idx(images, 2, (unsigned[]){4, 6}, 24, 0);
    refused(at("h"), RN_ERR_FORMAT, "begins with 00 00 08 02, IDX with 3 dimensions with 00 00 08 03");
    size_t size = make_idx(data, 3, (unsigned[]){4, 2, 3}, 24, 0);
    data[2] = 0x0D;
    put_bytes(images, data, size);
    refused(at("h"), RN_ERR_UNSUPPORTED, "values of type 0x0d");
    put_bytes(images, data, 7);
    refused(at("h"), RN_ERR_FORMAT, "ends after 7 of 16 bytes");
    put_bytes(images, data, 0);
    refused(at("h"), RN_ERR_FORMAT, "ends after 0 of 16 bytes");
}

static void hostile_gzip_is_refused(void **state)
{
    (void)state;
    static unsigned char data[1 << 20];
    char images[200];
    snprintf(images, sizeof images, "%s", at("z/train-images-idx3-ubyte.gz"));
    put_idx(at("z/train-labels-idx1-ubyte"), 1, (unsigned[]){4}, 4, 0);
    /* 2^28 pixels out of some 60 bytes; 24 that go on for a megabyte; the same cut, and with a bit changed. */
    put_idx(images, 3, (unsigned[]){1 << 20, 16, 16}, 24, 0);
    refused(at("z"), RN_ERR_FORMAT, "it cannot hold them in");
    make_idx(data, 3, (unsigned[]){4, 2, 3}, 24, 0);
    put_gzip(images, data, sizeof data);
    refused(at("z"), RN_ERR_FORMAT, "more bytes than its dimensions say (24)");
    size_t size = 0;
    put_gzip(images, data, 40);
    FILE *file = fopen(images, "rb");
    assert_non_null(file);
    size = fread(data, 1, sizeof data, file);
    fclose(file);
    put_bytes(images, data, size - 12);
    refused(at("z"), RN_ERR_FORMAT, "train-images-idx3-ubyte.gz: ");
    data[size - 6] ^= 1; /* the checksum */
    put_bytes(images, data, size);
    refused(at("z"), RN_ERR_FORMAT, "damaged");
}

/* Pictures of two sizes in one batch. */
static void sizes_must_agree(void **state)
{
    (void)state;
    put_pair("s", "train-images-idx3-ubyte", "train-labels-idx1-ubyte", 4, 0);
    put_idx(at("s/test-images-idx3-ubyte"), 3, (unsigned[]){1, 3, 3}, 9, 0);
    put_idx(at("s/test-labels-idx1-ubyte"), 1, (unsigned[]){1}, 1, 0);
    refused(at("s"), RN_ERR_SHAPE, "1x2x3, the files before it have 1x3x3");
}

/* `n` records of CIFAR; the pixels count from the record's number on, the class is `label`, the coarse one 7. */
static void put_cifar(const char *path, int numbers, int n, int label, int cut)
{
    static unsigned char data[8 * 3074];
    size_t size = 0;
    for (int i = 0; i < n; i++) {
        data[size] = 7;
        data[size + (size_t)numbers - 1] = (unsigned char)(label + i);
        size += (size_t)numbers;
        for (int k = 0; k < 3072; k++)
            data[size++] = (unsigned char)(i + k / 1024);
    }
    put_bytes(path, data, size - (size_t)cut);
}

/* The coarse class taken for the fine one, the class byte taken for a pixel, the test batch trained on. */
static void cifar_is_listed(void **state)
{
    (void)state;
    put_cifar(at("c10/data_batch_1.bin"), 1, 3, 2, 0);
    put_cifar(at("c10/data_batch_2.bin"), 1, 2, 2, 0);
    put_cifar(at("c10/test_batch.bin"), 1, 2, 8, 0);
    put_text(at("c10/readme.html"), "<html>");
    rn_dataset *d = opened(at("c10"));
    assert_int_equal(d->count, 7);
    assert_true(d->c == 3 && d->h == 32 && d->w == 32);
    assert_string_equal(d->items[6].name, "test_batch/00001");
    assert_int_equal(d->items[6].part, RN_PART_TEST);
    assert_string_equal(d->labels[d->items[6].label], "9");
    assert_string_equal(d->items[2].name, "data_batch_1/00002");
    assert_int_equal(d->items[2].part, RN_PART_TRAIN);
    assert_true(d->items[2].pixels[0] == 2 && d->items[2].pixels[1024] == 3 && d->items[2].pixels[3071] == 4);
    rn_dataset_close(&d);
    put_text(at("c10/batches.meta.txt"), "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n");
    d = opened(at("c10"));
    assert_string_equal(d->labels[d->items[2].label], "deer");
    rn_dataset_close(&d);
    put_cifar(at("c100/train.bin"), 2, 3, 50, 0);
    put_cifar(at("c100/test.bin"), 2, 1, 99, 0);
    char names[1000] = "";
    for (int i = 0; i < 100; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "n%02d\n", i);
    put_text(at("c100/fine_label_names.txt"), names);
    d = opened(at("c100"));
    assert_int_equal(d->count, 4);
    assert_string_equal(d->labels[d->items[0].label], "n99");
    assert_string_equal(d->items[3].name, "train/00002");
    assert_true(d->items[3].pixels[0] == 2 && d->items[3].pixels[3071] == 4);
    rn_dataset_close(&d);
}

/* A file that breaks off, a class beyond the last, a pickle that is opened. */
static void hostile_cifar_is_refused(void **state)
{
    (void)state;
    put_cifar(at("b/data_batch_1.bin"), 1, 2, 0, 1);
    refused(at("b"), RN_ERR_FORMAT, "6145 bytes are no whole number of CIFAR-10's records of 3073");
    put_bytes(at("b/data_batch_1.bin"), "", 0);
    refused(at("b"), RN_ERR_FORMAT, "0 bytes");
    put_cifar(at("b/data_batch_1.bin"), 1, 2, 9, 0);
    refused(at("b"), RN_ERR_DATA, "record 1 is of class 10, CIFAR-10 has 10");
    put_text(at("py/data_batch_1"), "\x80\x02}q");
    refused(at("py"), RN_ERR_UNSUPPORTED, "suitable for C programs");
}

/* A validation part taken out of the test part, items moved into the test part, a share of all instead of the training part's. */
static void validation_comes_out_of_training(void **state)
{
    (void)state;
    unsigned char labels[240 + 8];
    put_idx(at("p/train-images-idx3-ubyte"), 3, (unsigned[]){200, 4, 1}, 800, 0);
    make_idx(labels, 1, (unsigned[]){200}, 200, 0);
    for (int i = 0; i < 200; i++)
        labels[8 + i] = (unsigned char)(i % 2);
    put_bytes(at("p/train-labels-idx1-ubyte"), labels, 208);
    put_idx(at("p/t10k-images-idx3-ubyte"), 3, (unsigned[]){2, 4, 1}, 8, 101);
    put_idx(at("p/t10k-labels-idx1-ubyte"), 1, (unsigned[]){2}, 2, 0);
    rn_dataset *d = opened(at("p"));
    rn_split_options options;
    rn_split_default(&options);
    assert_ok(rn_split_make(d, &options, &err), err);
    assert_int_equal(rn_split_count(d, RN_PART_TEST, -1), 2);
    assert_int_equal(d->items[0].part, RN_PART_TEST);
    for (int c = 0; c < 2; c++)
        assert_int_equal(rn_split_count(d, RN_PART_VALIDATION, c), 18); /* 100 x 0.15 / 0.85, rounded */
    rn_dataset_close(&d);
    d = opened(at("p"));
    options.validation = 0;
    assert_ok(rn_split_make(d, &options, &err), err);
    assert_int_equal(rn_split_count(d, RN_PART_TRAIN, -1), 200);
    rn_dataset_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idx_is_listed),
        cmocka_unit_test(pixels_are_those_of_the_item),
        cmocka_unit_test(hostile_idx_is_refused),
        cmocka_unit_test(hostile_gzip_is_refused),
        cmocka_unit_test(sizes_must_agree),
        cmocka_unit_test(cifar_is_listed),
        cmocka_unit_test(hostile_cifar_is_refused),
        cmocka_unit_test(validation_comes_out_of_training),
    };
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
