/* Features as JSON: the "features" section of a model file. Complete, so that nothing is guessed later; every key is known. */
#include <string.h>
#include "media/features.h"

static const char *const conventions[] = {"kaldi", "librosa", "torchaudio", "spectrogram", NULL};
static const char *const windows[] = {"hamming", "hann", "povey", "rectangular", NULL};
static const char *const scales[] = {"ln", "db", "power", "magnitude", NULL};
static const char *const normalisations[] = {"none", "mean", "mean-variance", NULL};

typedef enum kind { WHOLE, REAL, NAME } kind;

/* One row per key; NAME fields are enums, which are ints here. */
static const struct {
    const char *key;
    kind kind;
    size_t offset;
    const char *const *names;
} keys[] = {
    {"convention", NAME, offsetof(rn_features, convention), conventions},
    {"rate", WHOLE, offsetof(rn_features, rate), NULL},
    {"channel", WHOLE, offsetof(rn_features, channel), NULL},
    {"bins", WHOLE, offsetof(rn_features, bins), NULL},
    {"window_ms", REAL, offsetof(rn_features, window_ms), NULL},
    {"hop_ms", REAL, offsetof(rn_features, hop_ms), NULL},
    {"window", NAME, offsetof(rn_features, window), windows},
    {"low_hz", REAL, offsetof(rn_features, low_hz), NULL},
    {"high_hz", REAL, offsetof(rn_features, high_hz), NULL},
    {"preemphasis", REAL, offsetof(rn_features, preemphasis), NULL},
    {"amplitude", REAL, offsetof(rn_features, amplitude), NULL},
    {"scale", NAME, offsetof(rn_features, scale), scales},
    {"normalise", NAME, offsetof(rn_features, normalise), normalisations},
    {"seconds", REAL, offsetof(rn_features, seconds), NULL},
};
#define RN_KEYS (sizeof keys / sizeof keys[0])
_Static_assert(sizeof(rn_convention) == sizeof(int) && sizeof(rn_window) == sizeof(int) && sizeof(rn_scale) == sizeof(int) &&
                   sizeof(rn_normalise) == sizeof(int),
               "enums of features are read and written as int");

json_t *rn_features_to_json(const rn_features *f)
{
    json_t *section = json_object();
    for (size_t i = 0; section && i < RN_KEYS; i++) {
        const char *at = (const char *)f + keys[i].offset;
        json_t *value;
        int whole = 0;
        double real = 0;
        if (keys[i].kind == REAL)
            memcpy(&real, at, sizeof real);
        else
            memcpy(&whole, at, sizeof whole);
        value = keys[i].kind == REAL ? json_real(real) : keys[i].kind == WHOLE ? json_integer(whole) : json_string(keys[i].names[whole]);
        if (json_object_set_new(section, keys[i].key, value)) { /* refuses NULL, so a failed allocation ends here too */
            json_decref(section);
            return NULL;
        }
    }
    return section;
}

static int read_key(rn_features *f, size_t i, const json_t *value, const char *file, rn_error *err)
{
    char *at = (char *)f + keys[i].offset;
    if (keys[i].kind == REAL) {
        if (!json_is_number(value))
            return rn_error_set(err, RN_ERR_FORMAT, "%s: features: %s is not a number", file, keys[i].key);
        double real = json_number_value(value);
        memcpy(at, &real, sizeof real);
        return 0;
    }
    int whole = -1;
    if (keys[i].kind == WHOLE) {
        json_int_t number = json_is_integer(value) ? json_integer_value(value) : -1;
        if (number < 0 || number > INT32_MAX)
            return rn_error_set(err, RN_ERR_FORMAT, "%s: features: %s is not a whole number from 0 to 2147483647", file, keys[i].key);
        whole = (int)number;
    } else {
        const char *text = json_string_value(value);
        for (int k = 0; text && keys[i].names[k]; k++)
            if (!strcmp(text, keys[i].names[k]))
                whole = k;
        if (whole < 0)
            return rn_error_set(err, RN_ERR_FORMAT, "%s: features: %s is \"%s\", which this build does not know", file, keys[i].key,
                                text ? text : "(no text)");
    }
    memcpy(at, &whole, sizeof whole);
    return 0;
}

static int read_section(rn_features *f, const json_t *section, int open, const char *file, rn_error *err)
{
    rn_features got;
    const char *key;
    json_t *value;
    rn_error inner;
    memset(&got, 0, sizeof got);
    if (!json_is_object(section))
        return rn_error_set(err, RN_ERR_FORMAT, "%s: features: an object is wanted", file);
    json_object_foreach((json_t *)section, key, value)
    {
        size_t i = 0;
        while (i < RN_KEYS && strcmp(key, keys[i].key))
            i++;
        if (i == RN_KEYS)
            return rn_error_set(err, RN_ERR_FORMAT, "%s: features: \"%s\" is not known to this build; a newer one may be needed", file,
                                key);
    }
    for (size_t i = 0; i < RN_KEYS; i++) {
        value = json_object_get(section, keys[i].key);
        if (!value)
            return rn_error_set(err, RN_ERR_FORMAT, "%s: features: \"%s\" is missing", file, keys[i].key);
        int status = read_key(&got, i, value, file, err);
        if (status)
            return status;
    }
    int status = open ? rn_features_check_values(&got, &inner) : rn_features_check(&got, &inner);
    if (status)
        return rn_error_set(err, status == RN_ERR_ARG ? RN_ERR_FORMAT : status, "%s: %s", file, inner.text);
    *f = got;
    return 0;
}

int rn_features_from_json(rn_features *f, const json_t *section, const char *file, rn_error *err)
{
    return read_section(f, section, 0, file, err);
}

int rn_features_from_open_json(rn_features *f, const json_t *section, const char *file, rn_error *err)
{
    return read_section(f, section, 1, file, err);
}

int rn_convention_find(const char *name)
{
    for (int i = 0; conventions[i]; i++)
        if (!strcmp(name, conventions[i]))
            return i;
    return -1;
}
