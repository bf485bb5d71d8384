/* A manifest, a split file or a table of selections: the first byte picks CSV, JSON Lines, split file or table. Written to a file, as it is opened by its path; a.wav
 * and b.wav lie beside it, so that whole data sets can be described. What opens must be sound: labels in range, text clean, split and
 * digest must work. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/utf8.h"
#include "data/dataset.h"
#include "data/listing.h"
#include "data/split.h"

static char folder[] = "/tmp/fuzz-manifest-XXXXXX", paths[7][64];
static rn_dataset *known; /* two items, for split files */

static void clean(void)
{
    rn_dataset_close(&known);
    for (int i = 0; i < 7; i++)
        unlink(paths[i]);
    rmdir(folder);
}

static void prepare(void)
{
    static const char *const names[7] = {"m.csv", "m.jsonl", "split.csv", "a.txt", "a.wav", "b.wav", "known.csv"};
    float samples[80] = {0.25f};
    rn_error err = {0};
    if (!mkdtemp(folder))
        abort();
    for (int i = 0; i < 7; i++)
        snprintf(paths[i], sizeof paths[i], "%s/%s", folder, names[i]);
    if (rn_sound_write_wav(paths[4], samples, 80, 8000, &err) || rn_sound_write_wav(paths[5], samples, 40, 8000, &err))
        abort();
    FILE *file = fopen(paths[6], "wb");
    if (!file)
        abort();
    fputs("path,label\na.wav,x\nb.wav,y\n", file);
    fclose(file);
    if (rn_dataset_open(&known, paths[6], NULL, &err) || rn_dataset_hash(known, NULL, &err))
        abort();
    atexit(clean);
}

static void use(rn_dataset *d)
{
    rn_error err = {0};
    rn_split_options options;
    char digest[33];
    for (int i = 0; i < d->count; i++) {
        const rn_item *item = &d->items[i];
        int count;
        const int *classes = rn_item_classes(d, item, &count);
        for (int k = 0; k < count; k++)
            if (classes[k] < 0 || classes[k] >= d->classes || (k && classes[k] <= classes[k - 1]))
                abort();
        if ((!d->several && count != 1) || !rn_text_is_clean(item->name) || !(item->weight > 0) || !(item->start_s >= 0) ||
            !(item->end_s >= 0))
            abort();
    }
    for (int i = 0; i < d->classes; i++)
        if (!rn_text_is_clean(d->labels[i]) || (i && strcmp(d->labels[i - 1], d->labels[i]) >= 0))
            abort();
    if (d->classes < (d->several ? 1 : 2) || d->count < (d->several ? 1 : 2) || rn_dataset_hash(d, NULL, &err))
        abort();
    rn_split_default(&options);
    if (rn_split_make(d, &options, &err) && !err.text[0])
        abort();
    rn_split_digest(d, digest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rn_error err = {0};
    rn_dataset *dataset = NULL;
    if (!paths[0][0])
        prepare();
    if (size < 1)
        return 0;
    int kind = data[0] % 4, status;
    FILE *file = fopen(paths[kind], "wb");
    if (!file)
        abort();
    fwrite(data + 1, 1, size - 1, file);
    fclose(file);
    if (kind == 2) {
        char digest[33];
        int unknown = 0, missing = 0;
        status = rn_split_read(known, paths[2], &unknown, &missing, &err);
        if (!status && (rn_split_file_digest(paths[2], digest, &err) || unknown < 0 || unknown > 2 || missing < 0))
            abort();
    } else if (!(status = rn_dataset_open(&dataset, paths[kind], NULL, &err)))
        use(dataset);
    if (status && (!err.text[0] || dataset))
        abort();
    rn_dataset_close(&dataset);
    return 0;
}
