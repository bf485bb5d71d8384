/* Sections of a run's options that belong to media: "features", "pictures", and "augment", whose keys are those of the kind of data (mixup of
 * every kind); see train/sections.h. */
#include "train/sections.h"

#include <stdio.h>
#include <string.h>

json_t *rn_option_typed(const json_t *value)
{
    const char *text = json_string_value(value);
    if (!text)
        return json_incref((json_t *)(uintptr_t)value);
    if (strcmp(text, "yes") == 0 || strcmp(text, "on") == 0)
        return json_true();
    if (strcmp(text, "no") == 0 || strcmp(text, "off") == 0)
        return json_false();
    char number[64];
    /* JSON wants a digit before the point; people write .5. */
    snprintf(number, sizeof number, "%s%s", text[0] == '.' ? "0" : "", text[0] == '+' ? text + 1 : text);
    json_t *parsed = json_loads(number, JSON_DECODE_ANY, NULL);
    return parsed ? parsed : json_incref((json_t *)(uintptr_t)value);
}

/* `current` with the keys of `section` put over it; text becomes a number or a truth value where the current value is one. */
static int merge(json_t *current, const json_t *section, const char *name, const char *file, rn_error *err)
{
    const char *key;
    json_t *value;
    char full[200];
    json_object_foreach((json_t *)(uintptr_t)section, key, value)
    {
        char plain[96];
        snprintf(plain, sizeof plain, "%s", key);
        for (char *p = plain; *p; p++)
            if (*p == '-')
                *p = '_';
        json_t *old = json_object_get(current, plain);
        if (!old) {
            snprintf(full, sizeof full, "%s.%s", name, key);
            return rn_error_set(err, RN_ERR_ARG, "%s%s\"%s\" is no option of training", file ? file : "", file ? ": " : "", full);
        }
        json_t *fit = json_is_string(old) && strcmp(json_string_value(old), "auto") ? json_incref(value) : rn_option_typed(value);
        if (fit && json_is_boolean(old) && json_is_integer(fit)) {
            int truth = json_integer_value(fit) != 0;
            json_decref(fit);
            fit = json_boolean(truth);
        } else if (fit && json_is_integer(old) && json_is_boolean(fit)) {
            int truth = json_is_true(fit);
            json_decref(fit);
            fit = json_integer(truth);
        } else if (fit && json_is_real(old) && json_is_integer(fit)) {
            double real = json_number_value(fit);
            json_decref(fit);
            fit = json_real(real);
        }
        if (json_object_set_new(current, plain, fit))
            return rn_error_memory(err, "options", sizeof *current);
    }
    return 0;
}

/* Another convention brings its own defaults, and the other keys go over them. Rate 0, seconds 0 and what the rate decides stand for
 * "from the data" until rn_resolve_options. */
static int set_features(rn_train_options *o, const json_t *section, const char *file, rn_error *err)
{
    rn_features f = o->features;
    const char *name = json_string_value(json_object_get(section, "convention"));
    int convention = name ? rn_convention_find(name) : -1;
    if (convention >= 0 && convention != (int)f.convention) {
        rn_features_default(&f, (rn_convention)convention, 0);
        f.rate = o->features.rate;
        f.channel = o->features.channel;
        f.seconds = o->features.seconds;
    }
    json_t *current = rn_features_to_json(&f);
    int status = current ? merge(current, section, "features", file, err) : rn_error_memory(err, "options", sizeof f);
    if (!status)
        status = rn_features_from_open_json(&f, current, file ? file : "options", err);
    json_decref(current);
    if (!status)
        o->features = f;
    return status;
}

/* A preset brings its own defaults, and the other keys go over them. */
static int set_pictures(rn_train_options *o, const json_t *section, const char *file, rn_error *err)
{
    rn_pictures p = o->pictures;
    json_t *rest = json_copy((json_t *)(uintptr_t)section);
    const json_t *preset = json_object_get(section, "preset");
    int status = rest ? 0 : rn_error_memory(err, "options", sizeof p);
    if (!status && preset) {
        int channels = p.channels;
        if (!json_is_string(preset))
            status = rn_error_set(err, RN_ERR_ARG, "%s%s--preprocessing wants a name", file ? file : "", file ? ": " : "");
        else if (!(status = rn_pictures_preset(&p, json_string_value(preset), err)))
            rn_pictures_set_channels(&p, channels == 1 ? 1 : 3);
        if (!status && !channels)
            p.channels = 0;
        json_object_del(rest, "preset");
    }
    json_t *current = status ? NULL : rn_pictures_to_json(&p);
    if (!status)
        status = current ? merge(current, rest, "pictures", file, err) : rn_error_memory(err, "options", sizeof p);
    if (!status)
        status = rn_pictures_from_open_json(&p, current, file, err);
    json_decref(current);
    json_decref(rest);
    if (!status)
        o->pictures = p;
    return status;
}

/* Moves the keys that pictures have out of `section`; new reference. */
static json_t *take_keys(json_t *section, const json_t *known)
{
    const char *key;
    json_t *value, *taken = json_object();
    void *next;
    json_object_foreach_safe(section, next, key, value)
    {
        char plain[96];
        snprintf(plain, sizeof plain, "%s", key);
        for (char *p = plain; *p; p++)
            if (*p == '-')
                *p = '_';
        if (json_object_get(known, plain) && !json_object_set(taken, plain, value))
            json_object_del(section, key);
    }
    return taken;
}

static int set_augment(rn_train_options *o, const json_t *section, const char *file, rn_error *err)
{
    rn_augment a = o->augment;
    rn_picture_augment p = o->picture_augment;
    json_t *rest = json_copy((json_t *)(uintptr_t)section), *sound = rn_augment_to_json(&a), *pictures = rn_picture_augment_to_json(&p);
    json_t *taken = rest && pictures ? take_keys(rest, pictures) : NULL;
    int status = taken && sound ? 0 : rn_error_memory(err, "options", sizeof a);
    if (!status && !(status = merge(sound, rest, "augment", file, err)) && !(status = merge(pictures, taken, "augment", file, err)) &&
        !(status = rn_augment_from_json(&a, sound, err)))
        status = rn_picture_augment_from_json(&p, pictures, err);
    json_decref(rest);
    json_decref(taken);
    json_decref(sound);
    json_decref(pictures);
    if (status)
        return status;
    o->augment = a;
    o->picture_augment = p;
    return 0;
}

int rn_section_set(rn_train_options *o, const char *name, const json_t *section, const char *file, rn_error *err)
{
    if (strcmp(name, "features") == 0)
        return set_features(o, section, file, err);
    return strcmp(name, "pictures") == 0 ? set_pictures(o, section, file, err) : set_augment(o, section, file, err);
}

json_t *rn_section_augment(const rn_train_options *o, rn_kind kind)
{
    json_t *section = kind == RN_PICTURES ? rn_picture_augment_to_json(&o->picture_augment) : rn_augment_to_json(&o->augment);
    if (kind == RN_PICTURES && json_object_set_new(section, "mixup", json_real(o->augment.mixup))) {
        json_decref(section);
        return NULL;
    }
    return section;
}
