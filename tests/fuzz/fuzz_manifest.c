/* A manifest: the first byte picks CSV or JSON Lines. Written to a file, as it is opened by its path; the items need not exist. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "data/dataset.h"

static char folder[] = "/tmp/fuzz-manifest-XXXXXX", paths[2][64];

static void clean(void)
{
    unlink(paths[0]);
    unlink(paths[1]);
    rmdir(folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rn_error err;
    rn_dataset *dataset = NULL;
    rn_sound_options sound;
    if (!paths[0][0]) {
        if (!mkdtemp(folder))
            abort();
        snprintf(paths[0], sizeof paths[0], "%s/m.csv", folder);
        snprintf(paths[1], sizeof paths[1], "%s/m.jsonl", folder);
        atexit(clean);
    }
    if (size < 1)
        return 0;
    memset(&sound, 0, sizeof sound);
    const char *path = paths[data[0] & 1];
    FILE *file = fopen(path, "wb");
    if (!file)
        abort();
    fwrite(data + 1, 1, size - 1, file);
    fclose(file);
    rn_dataset_open(&dataset, path, &sound, &err);
    rn_dataset_close(&dataset);
    return 0;
}
