/* Recordings of noise from a folder. */
#include "data/noise.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { NOISES_LIMIT = 4096 }; /* 60 s each at 16 kHz: 15 GiB; a folder of more files is a mistake */

void rn_noise_free(rn_noise *noises, int count)
{
    for (int i = 0; i < count; i++)
        free(noises[i].samples);
    free(noises);
}

static int is_sound(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && rn_sound_known(entry->d_name);
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_one(const char *folder, const char *name, const rn_sound_options *options, rn_noise *noise, rn_error *err)
{
    char *path = NULL;
    rn_sound sound = {0};
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        return rn_error_memory(err, "a path", strlen(name));
    int status = rn_sound_read(path, options, &sound, err);
    free(path);
    if (!status && sound.count < 1)
        status = rn_error_set(err, RN_ERR_DATA, "%.400s/%.200s: no sound in it; remove it from the folder of noise", folder, name);
    if (!status) {
        noise->samples = sound.samples;
        noise->count = sound.count;
        sound.samples = NULL;
    }
    rn_sound_free(&sound);
    return status;
}

int rn_noise_read(const char *folder, int rate, int channel, rn_noise **noises, int *count, rn_error *err)
{
    struct dirent **names = NULL;
    rn_sound_options options = {.rate = rate, .channel = channel, .end_s = 60};
    int found = scandir(folder, &names, is_sound, by_bytes), status = 0;
    *noises = NULL;
    *count = 0;
    if (found < 0)
        return rn_error_set(err, RN_ERR_IO, "%.500s (folder of noise): %s", folder, rn_errno_text(errno));
    if (!found)
        status = rn_error_set(err, RN_ERR_DATA, "%.500s: no recording in this folder of noise", folder);
    else if (found > NOISES_LIMIT)
        status = rn_error_set(err, RN_ERR_DATA, "%.500s: %d recordings of noise; at most %d", folder, found, NOISES_LIMIT);
    else if (!(*noises = calloc((size_t)found, sizeof **noises)))
        status = rn_error_memory(err, "recordings of noise", (unsigned long long)found * sizeof **noises);
    for (int i = 0; i < found && !status; i++)
        if (!(status = read_one(folder, names[i]->d_name, &options, &(*noises)[*count], err)))
            ++*count;
    for (int i = 0; i < found; i++)
        free(names[i]);
    free(names);
    if (status) {
        rn_noise_free(*noises, *count);
        *noises = NULL;
        *count = 0;
    }
    return status;
}
