/* Data sets of the public header. */
#include "api/data.h"

#include <stdlib.h>

#include "api/ear.h"
#include "resnet_tools.h"

int rn_data_open(rn_data **data, const char *path, const rn_listen *sound, rn_error *err)
{
    rn_sound_options options;
    int status;
    *data = NULL;
    rn_data *d = calloc(1, sizeof *d);
    if (!d)
        return rn_error_memory(err, "a data set", sizeof *d);
    if ((status = rn_listen_sound(sound, NULL, &options, err)) || (status = rn_dataset_open(&d->dataset, path, &options, err)))
        rn_data_close(&d);
    if (d && sound)
        d->dataset->most_pixels = sound->max_pixels;
    *data = d;
    return status;
}

int rn_data_from_tensors(rn_data **data, const float *x, const int *labels, int n, int c, int h, int w, const char *const *names,
                         int classes, const char *const *sources, rn_error *err)
{
    int status;
    *data = NULL;
    rn_data *d = calloc(1, sizeof *d);
    if (!d)
        return rn_error_memory(err, "a data set", sizeof *d);
    if ((status = rn_dataset_from_tensors(&d->dataset, x, labels, n, c, h, w, names, classes, sources, err)))
        rn_data_close(&d);
    *data = d;
    return status;
}

void rn_data_close(rn_data **data)
{
    if (!*data)
        return;
    rn_dataset_close(&(*data)->dataset);
    free(*data);
    *data = NULL;
}

int rn_data_count(const rn_data *data)
{
    return data->dataset->count;
}

int rn_data_classes(const rn_data *data)
{
    return data->dataset->classes;
}

const char *rn_data_label(const rn_data *data, int index)
{
    return index >= 0 && index < data->dataset->classes ? data->dataset->labels[index] : NULL;
}

void rn_data_warnings(const rn_data *data, rn_text_fn report, void *context)
{
    for (int i = 0; i < data->dataset->warnings_count; i++)
        report(context, data->dataset->warnings[i]);
}
