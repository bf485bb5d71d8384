/* Data sets that come packed: the first byte says which file of a folder the rest is: MNIST's pictures or labels, plain or gzip, CIFAR's records, a tar, or one
 * of the tables of Kaldi's directory, whose others are whole. What opens must be sound: labels in range, pixels that can be read, parts of files
 * that lie within them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/utf8.h"
#include "data/dataset.h"
#include "data/listing.h"

static char root[] = "/tmp/fuzz-sets-XXXXXX";
static unsigned long long sum; /* what is read must not be optimised away */

/* Kind by kind: the folder, the file that is fuzzed, a file beside it with its content. */
static const struct {
    const char *folder, *file, *beside;
    const char *content;
    size_t size;
} kinds[] = {
    {"images", "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "\0\0\10\1\0\0\0\2\0\1", 10},
    {"gzip", "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte", "\0\0\10\1\0\0\0\2\0\1", 10},
    {"labels", "train-labels-idx1-ubyte", "train-images-idx3-ubyte", "\0\0\10\3\0\0\0\2\0\0\0\1\0\0\0\1\5\6", 18},
    {"cifar", "test.bin", "fine_label_names.txt", "a\nb\nc\n", 6},
    {"tar", "x.tar", "labels.txt", "zero\none\n", 9},
    {"scp", "wav.scp", "utt2spk", "a x\nb y\n", 8},
    {"segments", "segments", "wav.scp", "a a.wav\nb b.wav\n", 16},
    {"speakers", "utt2spk", "wav.scp", "a a.wav\nb b.wav\n", 16},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static const char *place(int kind, const char *file)
{
    static char paths[4][200];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s/%s", root, kinds[kind].folder, file);
    return path;
}

static void put(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file))
        abort();
}

static void clean(void)
{
    static const char *const files[] = {"a.wav", "b.wav", "utt2spk"};
    char folder[200];
    for (int k = 0; k < KINDS; k++) {
        unlink(place(k, kinds[k].file));
        unlink(place(k, kinds[k].beside));
        for (size_t f = 0; f < sizeof files / sizeof *files; f++)
            unlink(place(k, files[f]));
        snprintf(folder, sizeof folder, "%s/%s", root, kinds[k].folder);
        rmdir(folder);
    }
    rmdir(root);
}

static void prepare(void)
{
    float samples[80] = {0.25f};
    rn_error err = {0};
    char folder[200];
    if (!mkdtemp(root))
        abort();
    atexit(clean);
    for (int k = 0; k < KINDS; k++) {
        snprintf(folder, sizeof folder, "%s/%s", root, kinds[k].folder);
        if (mkdir(folder, 0777))
            abort();
        put(place(k, kinds[k].beside), kinds[k].content, kinds[k].size);
        if (k < 5)
            continue;
        if (rn_sound_write_wav(place(k, "a.wav"), samples, 80, 8000, &err) || rn_sound_write_wav(place(k, "b.wav"), samples, 40, 8000, &err))
            abort();
        if (!strcmp(kinds[k].file, "segments"))
            put(place(k, "utt2spk"), "u x\nv y\n", 8);
    }
}

static void use(rn_dataset *d)
{
    rn_error err = {0};
    if (d->classes < 2 || d->count < 2 || rn_dataset_hash(d, NULL, &err))
        abort();
    for (int i = 0; i < d->count; i++) {
        const rn_item *item = &d->items[i];
        struct stat info;
        if (item->label < 0 || item->label >= d->classes || !rn_text_is_clean(item->name) || !rn_text_is_clean(d->labels[item->label]) ||
            !(item->start_s >= 0) || !(item->end_s >= 0))
            abort();
        for (int k = 0; item->pixels && k < d->c * d->h * d->w; k++)
            sum += item->pixels[k];
        if (item->bytes && (stat(item->path, &info) || item->offset < 0 || item->bytes < 0 || item->offset + item->bytes > info.st_size))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int ready;
    rn_error err = {0};
    rn_dataset *dataset = NULL;
    char folder[200];
    if (!ready++)
        prepare();
    if (size < 1)
        return 0;
    int kind = data[0] % KINDS;
    put(place(kind, kinds[kind].file), data + 1, size - 1);
    snprintf(folder, sizeof folder, "%s/%s", root, kinds[kind].folder);
    int status = rn_dataset_open(&dataset, folder, NULL, &err);
    if (status ? !err.text[0] || dataset : !dataset)
        abort();
    if (dataset)
        use(dataset);
    rn_dataset_close(&dataset);
    return 0;
}
