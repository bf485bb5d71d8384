/* The "pictures" section of a model file: presets, JSON, checks, and the steps that it names. See media/pictures.h.
 *
 * Sources of the presets: torchvision's weights' transforms, timm's default configurations, the Caffe models' means. */
#include "media/pictures.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const orders[] = {"rgb", "bgr", NULL};

typedef struct preset {
    const char *name;
    rn_pictures pictures;
} preset;

#define IMAGENET_MEAN                                                                                                                      \
    {                                                                                                                                      \
        0.485, 0.456, 0.406                                                                                                                \
    }
#define IMAGENET_STD                                                                                                                       \
    {                                                                                                                                      \
        0.229, 0.224, 0.225                                                                                                                \
    }

static const preset presets[] = {
    {"imagenet", {3, RN_RGB, 256, 0, RN_RESIZE_BILINEAR, 224, 224, 255, IMAGENET_MEAN, IMAGENET_STD, 0}},
    {"imagenet-v2", {3, RN_RGB, 232, 0, RN_RESIZE_BILINEAR, 224, 224, 255, IMAGENET_MEAN, IMAGENET_STD, 0}},
    {"timm", {3, RN_RGB, 256, 0, RN_RESIZE_BICUBIC, 224, 224, 255, IMAGENET_MEAN, IMAGENET_STD, 0}},
    {"timm-95", {3, RN_RGB, 235, 0, RN_RESIZE_BICUBIC, 224, 224, 255, IMAGENET_MEAN, IMAGENET_STD, 0}},
    {"cifar", {3, RN_RGB, 0, 0, RN_RESIZE_BILINEAR, 32, 32, 255, {0.4914, 0.4822, 0.4465}, {0.2470, 0.2435, 0.2616}, 0}},
    {"caffe", {3, RN_BGR, 256, 0, RN_RESIZE_BILINEAR, 224, 224, 1, {104, 117, 123}, {1, 1, 1}, 0}},
    {"none", {3, RN_RGB, 0, 0, RN_RESIZE_BILINEAR, 0, 0, 255, {0, 0, 0}, {1, 1, 1}, 0}},
};
#define PRESETS (sizeof presets / sizeof *presets)

void rn_pictures_default(rn_pictures *p)
{
    *p = presets[0].pictures;
    p->channels = 0;
    p->resize_h = p->resize_w = p->crop_h = p->crop_w = RN_OPEN;
}

int rn_pictures_preset(rn_pictures *p, const char *name, rn_error *err)
{
    char list[200] = "";
    size_t used = 0;
    for (size_t i = 0; i < PRESETS; i++) {
        if (!strcmp(name, presets[i].name)) {
            *p = presets[i].pictures;
            return 0;
        }
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", presets[i].name);
    }
    return rn_error_set(err, RN_ERR_ARG, "--preprocessing %.100s: want one of %s", name, list);
}

void rn_pictures_set_channels(rn_pictures *p, int channels)
{
    double *lists[] = {p->mean, p->std};
    for (int l = 0; l < 2; l++) {
        double *v = lists[l];
        if (channels == 1 && p->channels != 1)
            v[0] = (v[0] + v[1] + v[2]) / 3;
        if (channels == 1 || p->channels == 1)
            v[1] = v[2] = v[0];
    }
    p->channels = channels;
}

/* ---- Checks ---- */

/* open: values that the data decide may still be missing. */
static int check(const rn_pictures *p, int open, rn_error *err)
{
    const int sides[] = {p->resize_h, p->resize_w, p->crop_h, p->crop_w};
    if (p->channels != 1 && p->channels != 3 && !(open && p->channels == 0))
        return rn_error_set(err, RN_ERR_ARG, "pictures: channels %d: want 1 (grey) or 3 (colour)", p->channels);
    for (int i = 0; i < 4; i++)
        if (sides[i] > RN_PICTURE_SIDE || sides[i] < (open ? RN_OPEN : 0))
            return rn_error_set(err, RN_ERR_ARG, "pictures: %s: want N, HxW or none, with sides of 1 to %d", i < 2 ? "resize" : "crop",
                                RN_PICTURE_SIDE);
    if ((p->crop_h == 0) != (p->crop_w == 0) || (p->resize_w > 0 && p->resize_h < 1))
        return rn_error_set(err, RN_ERR_ARG, "pictures: a side of 0 pixels");
    if (!(p->divisor >= 1e-6 && p->divisor <= 1e6))
        return rn_error_set(err, RN_ERR_ARG, "pictures: divisor %g: want 0.000001 to 1000000", p->divisor);
    for (int c = 0; c < 3; c++)
        if (!(fabs(p->mean[c]) <= 1e6) || !(p->std[c] >= 1e-6 && p->std[c] <= 1e6))
            return rn_error_set(err, RN_ERR_ARG,
                                "pictures: mean %g and std %g: want means up to 1000000 and deviations of 0.000001 to 1000000", p->mean[c],
                                p->std[c]);
    return 0;
}

int rn_pictures_check(const rn_pictures *p, rn_error *err)
{
    return check(p, 0, err);
}

/* ---- JSON ---- */

/* "256", "224x224", "none", "auto" */
static json_t *size_json(int h, int w, int single)
{
    char text[40];
    if (h == RN_OPEN)
        return json_string("auto");
    if (!h)
        return json_string("none");
    if (single && !w)
        snprintf(text, sizeof text, "%d", h);
    else
        snprintf(text, sizeof text, "%dx%d", h, w);
    return json_string(text);
}

static json_t *list_json(const double *values, int count)
{
    json_t *list = json_array();
    for (int c = 0; list && c < count; c++)
        if (json_array_append_new(list, json_real(values[c]))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

json_t *rn_pictures_to_json(const rn_pictures *p)
{
    int values = p->channels == 1 ? 1 : 3;
    return json_pack("{s:i, s:s, s:o, s:s, s:o, s:f, s:o, s:o, s:b}", "channels", p->channels, "order", orders[p->order], "resize",
                     size_json(p->resize_h, p->resize_w, 1), "filter", rn_resize_name(p->filter), "crop",
                     size_json(p->crop_h, p->crop_w, 0), "divisor", p->divisor, "mean", list_json(p->mean, values), "std",
                     list_json(p->std, values), "orient", p->orient);
}

/* A side of digits alone; -1 if it is none. */
static int read_side(const char **text)
{
    int value = 0;
    const char *p = *text;
    while (*p >= '0' && *p <= '9' && value <= RN_PICTURE_SIDE)
        value = 10 * value + (*p++ - '0');
    int good = p != *text && value >= 1 && value <= RN_PICTURE_SIDE;
    *text = p;
    return good ? value : -1;
}

static int read_size(const json_t *value, int single, int open, int *h, int *w)
{
    const char *text = json_string_value(value);
    char number[24];
    if (json_is_integer(value)) {
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        text = number;
    }
    if (!text)
        return -1;
    *h = *w = 0;
    if (!strcmp(text, "none"))
        return 0;
    *h = *w = RN_OPEN;
    if (open && !strcmp(text, "auto"))
        return 0;
    if ((*h = read_side(&text)) < 1)
        return -1;
    *w = single ? 0 : *h;
    if (!*text)
        return 0;
    return *text++ == 'x' && (*w = read_side(&text)) >= 1 && !*text ? 0 : -1;
}

/* "0.5,.25,0.3" as an array, NULL if it is none; new reference. JSON wants a digit before the point, people write .5. */
static json_t *list_of_text(const char *text)
{
    char list[200] = "[";
    size_t used = 1;
    for (const char *p = text; *p && used + 4 < sizeof list; p++) {
        if (*p == '.' && (p == text || p[-1] < '0' || p[-1] > '9'))
            list[used++] = '0';
        list[used++] = *p;
    }
    list[used++] = ']';
    list[used] = 0;
    return json_loads(list, 0, NULL);
}

/* An array of one or three numbers; in the open form also their text, or a number. */
static int read_list(const json_t *value, int open, double out[3])
{
    json_t *list = open && json_is_string(value)   ? list_of_text(json_string_value(value))
                   : open && json_is_number(value) ? json_pack("[f]", json_number_value(value))
                                                   : json_incref((json_t *)(uintptr_t)value);
    size_t count = json_array_size(list);
    int good = count == 1 || count == 3;
    for (size_t i = 0; i < 3 && good; i++) {
        const json_t *number = json_array_get(list, count == 1 ? 0 : i);
        good = json_is_number(number);
        out[i] = json_number_value(number);
    }
    json_decref(list);
    return good ? 0 : -1;
}

static int read_key(rn_pictures *p, const char *key, const json_t *value, int open)
{
    const char *text = json_string_value(value);
    if (!strcmp(key, "channels")) {
        p->channels = (int)(json_is_integer(value) ? json_integer_value(value) : -1);
        return json_is_integer(value) ? 0 : -1;
    }
    if (!strcmp(key, "order")) {
        int at = 0;
        while (text && orders[at] && strcmp(orders[at], text))
            at++;
        p->order = text && orders[at] ? (rn_order)at : RN_RGB;
        return text && orders[at] ? 0 : -1;
    }
    if (!strcmp(key, "filter"))
        return text && (p->filter = rn_resize_named(text)) < RN_RESIZE_COUNT ? 0 : -1;
    if (!strcmp(key, "resize"))
        return read_size(value, 1, open, &p->resize_h, &p->resize_w);
    if (!strcmp(key, "crop"))
        return read_size(value, 0, open, &p->crop_h, &p->crop_w);
    if (!strcmp(key, "mean"))
        return read_list(value, open, p->mean);
    if (!strcmp(key, "std"))
        return read_list(value, open, p->std);
    if (!strcmp(key, "divisor")) {
        p->divisor = json_number_value(value);
        return json_is_number(value) ? 0 : -1;
    }
    p->orient = json_is_true(value) || (json_is_integer(value) && json_integer_value(value) == 1);
    return json_is_boolean(value) || (json_is_integer(value) && json_integer_value(value) >= 0 && json_integer_value(value) <= 1) ? 0 : -1;
}

static const char *const keys[][2] = {{"channels", "1 or 3"},
                                      {"order", "rgb or bgr"},
                                      {"resize", "N, HxW or none"},
                                      {"filter", "bilinear, bicubic, lanczos or box"},
                                      {"crop", "N, HxW or none"},
                                      {"divisor", "a number"},
                                      {"mean", "a number for each channel, or one for all"},
                                      {"std", "a number for each channel, or one for all"},
                                      {"orient", "true or false"}};
#define KEYS (sizeof keys / sizeof *keys)

static int read_section(rn_pictures *p, const json_t *section, int open, const char *file, rn_error *err)
{
    rn_pictures got;
    rn_error inner = {0};
    const char *key;
    json_t *value;
    if (!json_is_object(section))
        return rn_error_set(err, RN_ERR_FORMAT, "%s: pictures: an object is wanted", file);
    json_object_foreach((json_t *)(uintptr_t)section, key, value)
    {
        size_t i = 0;
        while (i < KEYS && strcmp(key, keys[i][0]))
            i++;
        if (i == KEYS)
            return rn_error_set(err, RN_ERR_FORMAT, "%s: pictures: \"%.100s\" is not known to this build; a newer one may be needed", file,
                                key);
    }
    rn_pictures_default(&got);
    for (size_t i = 0; i < KEYS; i++) {
        value = json_object_get(section, keys[i][0]);
        if (!value)
            return rn_error_set(err, RN_ERR_FORMAT, "%s: pictures: \"%s\" is missing", file, keys[i][0]);
        if (!read_key(&got, keys[i][0], value, open))
            continue;
        if (!file)
            return rn_error_set(err, RN_ERR_ARG, "--%s wants %s", keys[i][0], keys[i][1]);
        return rn_error_set(err, open ? RN_ERR_ARG : RN_ERR_FORMAT, "%s: pictures: %s: want %s", file, keys[i][0], keys[i][1]);
    }
    int status = check(&got, open, &inner);
    if (status)
        return rn_error_set(err, open ? status : RN_ERR_FORMAT, "%s%s%s", file ? file : "", file ? ": " : "", inner.text);
    *p = got;
    return 0;
}

int rn_pictures_from_json(rn_pictures *p, const json_t *section, const char *file, rn_error *err)
{
    return read_section(p, section, 0, file, err);
}

int rn_pictures_from_open_json(rn_pictures *p, const json_t *section, const char *file, rn_error *err)
{
    return read_section(p, section, 1, file, err);
}

/* ---- The steps ---- */

rn_image_options rn_pictures_decoding(const rn_pictures *p, int64_t most_pixels)
{
    return (rn_image_options){.channels = p->channels, .orient = p->orient, .most_pixels = most_pixels};
}

void rn_pictures_size(const rn_pictures *p, int *height, int *width)
{
    *height = p->crop_h ? p->crop_h : p->resize_w ? p->resize_h : 0;
    *width = p->crop_h ? p->crop_w : p->resize_w;
}

int rn_pictures_resize(const rn_pictures *p, const rn_image *in, rn_image *out, rn_error *err)
{
    if (p->resize_h && !p->resize_w)
        return rn_image_resize_shorter(in, p->resize_h, p->filter, out, err);
    return rn_image_resize(in, p->resize_h ? p->resize_h : in->height, p->resize_w ? p->resize_w : in->width, p->filter, out, err);
}

int rn_pictures_prepare(const rn_pictures *p, const rn_image *in, rn_image *out, rn_error *err)
{
    rn_image sized;
    int status = rn_pictures_resize(p, in, p->crop_h ? &sized : out, err);
    if (status || !p->crop_h)
        return status;
    status = rn_image_crop_centre(&sized, p->crop_h, p->crop_w, out, err);
    rn_image_free(&sized);
    return status;
}

void rn_pictures_numbers(const rn_pictures *p, const rn_image *in, float *x)
{
    size_t count = (size_t)in->height * (size_t)in->width, channels = (size_t)in->channels;
    float value[256], divisor = (float)p->divisor;
    for (size_t c = 0; c < channels; c++) {
        float mean = (float)p->mean[c], std = (float)p->std[c];
        const unsigned char *from = in->pixels + (p->order == RN_BGR ? channels - 1 - c : c);
        for (int v = 0; v < 256; v++)
            value[v] = ((float)v / divisor - mean) / std;
        for (size_t i = 0; i < count; i++)
            x[c * count + i] = value[from[i * channels]];
    }
}

int rn_pictures_image(const rn_pictures *p, const float *x, int height, int width, rn_image *out, rn_error *err)
{
    int status = rn_image_new(out, height, width, p->channels, err);
    size_t count = (size_t)height * (size_t)width, channels = (size_t)p->channels;
    for (size_t c = 0; c < channels && !status; c++)
        for (size_t i = 0; i < count; i++) {
            double v = floor(((double)x[c * count + i] * p->std[c] + p->mean[c]) * p->divisor + 0.5);
            out->pixels[i * channels + (p->order == RN_BGR ? channels - 1 - c : c)] = (unsigned char)(v > 0 ? v < 255 ? v : 255 : 0);
        }
    return status;
}
