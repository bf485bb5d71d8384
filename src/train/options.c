/* Options of a run: one table of fields carries defaults' ranges, JSON keys and the comparison for resuming.
 *
 * A key is written "lr" or "arch.width" (an object with one level). The sections that belong to media are
 * in sections.c. Doubles travel through JSON with 17 digits: exactly. */
#include "train/options.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "formats/json.h"
#include "models/model.h"
#include "train/recipes.h"
#include "train/sections.h"

typedef enum field_kind { F_INT, F_BOOL, F_SEED, F_REAL, F_TEXT, F_CHOICE, F_ARCH } field_kind;

typedef struct field {
    const char *key;
    field_kind kind;
    size_t offset, size;
    double low, high;    /* of numbers, both allowed */
    const char *choices; /* "sgd|adamw", in the order of the enum */
    int watching;
} field;

#define AT(member) offsetof(rn_train_options, member), sizeof(((rn_train_options *)0)->member)
#define BIG 2147483647.0

/* What other values are derived from stands before them, so that a difference is reported by its cause. */
static const field fields[] = {
    {"arch.name", F_TEXT, AT(arch.name)},
    {"arch.block", F_ARCH}, /* these by rn_arch_fields */
    {"arch.blocks", F_ARCH},
    {"arch.preact", F_ARCH},
    {"arch.width", F_ARCH},
    {"arch.stem_width", F_ARCH},
    {"arch.groups", F_ARCH},
    {"arch.group_width", F_ARCH},
    {"arch.se", F_ARCH},
    {"arch.stem", F_ARCH},
    {"arch.stem_pool", F_ARCH},
    {"arch.shortcut", F_ARCH},
    {"arch.shortcut_pool", F_ARCH},
    {"arch.stride_at", F_ARCH},
    {"arch.pool", F_ARCH},
    {"arch.pool_rows", F_ARCH},
    {"arch.pool_eps", F_ARCH},
    {"arch.embedding", F_ARCH},
    {"arch.embedding2", F_ARCH},
    {"arch.classes", F_ARCH},
    {"arch.in_channels", F_ARCH},
    {"arch.bn_eps", F_ARCH},
    {"init_weights", F_CHOICE, AT(init_weights), 0, 0, "pytorch|he"},
    {"zero_last", F_BOOL, AT(zero_last)},
    {"init", F_TEXT, AT(init_path)},
    {"split.seed", F_SEED, AT(split.seed)},
    {"split.train", F_REAL, AT(split.train), 0, 1},
    {"split.validation", F_REAL, AT(split.validation), 0, 1},
    {"split.test", F_REAL, AT(split.test), 0, 1},
    {"split_file", F_TEXT, AT(split_path)},
    {"no_validation", F_BOOL, AT(no_validation)},
    {"no_test", F_BOOL, AT(no_test)},
    {"skip_bad", F_BOOL, AT(skip_bad)},
    {"min_seconds", F_REAL, AT(min_seconds), 0, 3600},
    {"balance", F_CHOICE, AT(balance), 0, 0, "none|sampling|weights"},
    {"epochs", F_INT, AT(epochs), 0, 1000000},
    {"batch", F_INT, AT(batch), 0, 1 << 20},
    {"ghost_batch", F_INT, AT(ghost_batch), 1, 1 << 20},
    {"seed", F_SEED, AT(seed)},
    {"optimiser", F_CHOICE, AT(optimiser), 0, 0, "sgd|adamw"},
    {"lr", F_REAL, AT(lr), 0, 1000},
    {"momentum", F_REAL, AT(momentum), 0, 0.9999999},
    {"nesterov", F_BOOL, AT(nesterov)},
    {"beta1", F_REAL, AT(beta1), 0, 0.9999999},
    {"beta2", F_REAL, AT(beta2), 0, 0.9999999},
    {"epsilon", F_REAL, AT(epsilon), 0, 1},
    {"weight_decay", F_REAL, AT(weight_decay), 0, 10},
    {"decay_all", F_BOOL, AT(decay_all)},
    {"schedule", F_CHOICE, AT(schedule), 0, 0, "cosine|step|constant"},
    {"lr_end", F_REAL, AT(lr_end), 0, 1},
    {"step_epochs", F_REAL, AT(step_epochs), 0, 1e6},
    {"step_factor", F_REAL, AT(step_factor), 0, 1},
    {"warmup_steps", F_INT, AT(warmup_steps), 0, BIG},
    {"warmup_epochs", F_REAL, AT(warmup_epochs), -1, 1e6},
    {"label_smoothing", F_REAL, AT(label_smoothing), 0, 1},
    {"drop_path", F_REAL, AT(drop_path), 0, 0.9},
    {"clip", F_REAL, AT(clip), 0, 1e30},
    {"ema", F_REAL, AT(ema), 0, 0.9999999},
    {"bn_recompute", F_BOOL, AT(bn_recompute)},
    {"patience", F_INT, AT(patience), 0, 1000000},
    {"checkpoint_minutes", F_REAL, AT(checkpoint_minutes), 0, 1e6, NULL, 1},
    {"cache_mb", F_INT, AT(cache_mb), 0, BIG, NULL, 1},
    {"recompute_blocks", F_BOOL, AT(recompute_blocks), 0, 0, NULL, 1},
    {"threads", F_INT, AT(threads), 0, 4096, NULL, 1},
    {"loader_threads", F_INT, AT(loader_threads), 0, 4096, NULL, 1},
    {"log_steps", F_INT, AT(log_steps), 1, BIG, NULL, 1},
};
#define FIELDS (sizeof fields / sizeof *fields)

static const char *const sections[] = {"arch", "split", "features", "augment", "pictures"}; /* from the third on: sections.c */

void rn_train_options_default(rn_train_options *o)
{
    memset(o, 0, sizeof *o);
    rn_arch_default(&o->arch, "resnet18", NULL);
    o->arch.classes = o->arch.in_channels = 0;
    o->arch_open = 1;
    rn_features_default(&o->features, RN_KALDI, 16000);
    o->features.rate = 0;
    o->features.seconds = 0;
    rn_augment_default(&o->augment);
    rn_pictures_default(&o->pictures);
    rn_picture_augment_default(&o->picture_augment);
    rn_split_default(&o->split);
    o->min_seconds = 0.1;
    o->momentum = 0.9;
    o->nesterov = 1;
    o->beta1 = 0.9;
    o->beta2 = 0.999;
    o->epsilon = 1e-8;
    o->weight_decay = 5e-4;
    o->step_factor = 0.1;
    o->warmup_epochs = -1;
    o->ghost_batch = 32;
    o->checkpoint_minutes = 5;
    o->cache_mb = 1024;
    o->log_steps = 10;
}

/* ---- Names ---- */

/* Keys whose last word would be taken for something else, or says less than the command line does. */
static const char *const renamed[][2] = {{"arch.name", "--arch"},
                                         {"features.window", "--fft-window"},
                                         {"pictures.preset", "--preprocessing"},
                                         {"split_file", "--split"},
                                         {"augment.shift_s", "--shift"},
                                         {"augment.noise_probability", "--noise"},
                                         {"augment.noise_snr_low_db", "--noise-snr-low"},
                                         {"augment.noise_snr_high_db", "--noise-snr-high"}};

const char *rn_train_option_name(const char *key, char out[128])
{
    const char *dot = strchr(key, '.'), *bare = dot ? dot + 1 : key;
    for (size_t i = 0; i < sizeof renamed / sizeof *renamed; i++)
        if (strcmp(key, renamed[i][0]) == 0) {
            snprintf(out, 128, "%s", renamed[i][1]);
            return out;
        }
    snprintf(out, 128, "--%s%s", strncmp(key, "split.", 6) == 0 ? "split-" : "", bare);
    for (char *p = out; *p; p++)
        if (*p == '_')
            *p = '-';
    return out;
}

static int choice_count(const char *choices)
{
    int n = 1;
    for (; *choices; choices++)
        n += *choices == '|';
    return n;
}

static int choice_index(const char *choices, const char *name)
{
    size_t length = strlen(name);
    for (int i = 0; length; i++) {
        const char *end = strchr(choices, '|');
        size_t one = end ? (size_t)(end - choices) : strlen(choices);
        if (one == length && memcmp(choices, name, one) == 0)
            return i;
        if (!end)
            break;
        choices = end + 1;
    }
    return -1;
}

static json_t *choice_json(const char *choices, int index)
{
    for (; index > 0 && strchr(choices, '|'); index--)
        choices = strchr(choices, '|') + 1;
    const char *end = strchr(choices, '|');
    return json_stringn(choices, end ? (size_t)(end - choices) : strlen(choices));
}

static const field *find_field(const char *key)
{
    for (size_t i = 0; i < FIELDS; i++)
        if (strcmp(fields[i].key, key) == 0)
            return &fields[i];
    return NULL;
}

/* ---- To JSON ---- */

static json_t *field_json(const field *f, const rn_train_options *o)
{
    const char *at = (const char *)o + f->offset;
    switch (f->kind) {
    case F_INT:
        return json_integer(*(const int *)at);
    case F_BOOL:
        return json_boolean(*(const int *)at);
    case F_SEED:
        return json_integer((json_int_t) * (const uint64_t *)at);
    case F_REAL:
        return json_real(*(const double *)at);
    case F_TEXT:
        return json_string(at);
    case F_CHOICE:
        return choice_json(f->choices, *(const int *)at);
    case F_ARCH:
        return rn_arch_member(&o->arch, strchr(f->key, '.') + 1);
    }
    return NULL;
}

/* Sets root[key], or root[head][tail] for a dotted key. Takes the value. */
static int put(json_t *root, const char *key, json_t *value)
{
    const char *dot = strchr(key, '.');
    char head[32] = "";
    if (!dot)
        return json_object_set_new(root, key, value);
    memcpy(head, key, (size_t)(dot - key) < sizeof head ? (size_t)(dot - key) : sizeof head - 1);
    json_t *section = json_object_get(root, head);
    if (!section) {
        section = json_object();
        if (json_object_set_new(root, head, section)) {
            json_decref(value);
            return -1;
        }
    }
    return json_object_set_new(section, dot + 1, value);
}

json_t *rn_train_options_to_json(const rn_train_options *o, rn_kind kind)
{
    json_t *root = json_object(), *freeze = json_array(), *weights = json_array(), *milestones = json_array();
    int failed = !root || !freeze || !weights || !milestones;
    for (size_t i = 0; i < FIELDS && !failed; i++)
        failed = put(root, fields[i].key, field_json(&fields[i], o)) != 0;
    for (int i = 0; i < o->freeze_count && !failed; i++)
        failed = json_array_append_new(freeze, json_string(o->freeze[i])) != 0;
    for (int i = 0; i < o->class_weights_count && !failed; i++)
        failed = json_array_append_new(weights, json_real(o->class_weights[i])) != 0;
    for (int i = 0; i < o->milestones_count && !failed; i++)
        failed = json_array_append_new(milestones, json_real(o->milestones[i])) != 0;
    failed = failed || json_object_set(root, "freeze", freeze) || json_object_set(root, "class_weights", weights) ||
             json_object_set(root, "milestones", milestones);
    failed = failed || json_object_set_new(root, "augment", rn_section_augment(o, kind));
    if (kind == RN_SOUND)
        failed = failed || json_object_set_new(root, "features", rn_features_to_json(&o->features));
    if (kind == RN_PICTURES)
        failed = failed || json_object_set_new(root, "pictures", rn_pictures_to_json(&o->pictures));
    json_decref(freeze);
    json_decref(weights);
    json_decref(milestones);
    if (!failed)
        return root;
    json_decref(root);
    return NULL;
}

/* ---- From JSON ---- */

static int refuse(rn_error *err, const char *file, const char *key, const char *want)
{
    char name[128];
    if (file)
        return rn_error_set(err, RN_ERR_ARG, "%s: \"%s\" wants %s", file, key, want);
    return rn_error_set(err, RN_ERR_ARG, "%s wants %s", rn_train_option_name(key, name), want);
}

static int set_number(const field *f, char *at, const json_t *value, const char *file, rn_error *err)
{
    char want[96];
    json_t *v = rn_option_typed(value);
    int status = 0;
    if (f->kind == F_BOOL) {
        if (json_is_boolean(v) || (json_is_integer(v) && (json_integer_value(v) == 0 || json_integer_value(v) == 1)))
            *(int *)at = json_is_true(v) || (json_is_integer(v) && json_integer_value(v) == 1);
        else
            status = refuse(err, file, f->key, "true or false");
    } else if (f->kind == F_SEED) {
        if (json_is_integer(v) && json_integer_value(v) >= 0)
            *(uint64_t *)at = (uint64_t)json_integer_value(v);
        else
            status = refuse(err, file, f->key, "a whole number from 0 to 9223372036854775807");
    } else if (f->kind == F_INT) {
        snprintf(want, sizeof want, "a whole number from %.0f to %.0f", f->low, f->high);
        if (json_is_integer(v) && (double)json_integer_value(v) >= f->low && (double)json_integer_value(v) <= f->high)
            *(int *)at = (int)json_integer_value(v);
        else
            status = refuse(err, file, f->key, want);
    } else {
        snprintf(want, sizeof want, "a number from %g to %g", f->low, f->high);
        if (json_is_number(v) && json_number_value(v) >= f->low && json_number_value(v) <= f->high)
            *(double *)at = json_number_value(v);
        else
            status = refuse(err, file, f->key, want);
    }
    json_decref(v);
    return status;
}

static int set_arch(rn_train_options *o, const field *f, const json_t *value, const char *file, rn_error *err)
{
    char want[RN_ARCH_WANT];
    json_t *v = rn_option_typed(value);
    int wrong = rn_arch_set_member(&o->arch, strchr(f->key, '.') + 1, v, want);
    json_decref(v);
    if (wrong)
        return refuse(err, file, f->key, want);
    int count;
    const rn_arch_field *members = rn_arch_fields(&count);
    for (int i = 0; i < count; i++)
        if (strcmp(members[i].key, strchr(f->key, '.') + 1) == 0)
            o->arch_said |= UINT32_C(1) << i;
    return 0;
}

static int set_field(rn_train_options *o, const field *f, const json_t *value, const char *file, rn_error *err)
{
    char *at = (char *)o + f->offset, want[200];
    const char *text = json_string_value(value);
    int index;
    switch (f->kind) {
    case F_INT:
    case F_BOOL:
    case F_SEED:
    case F_REAL:
        return set_number(f, at, value, file, err);
    case F_TEXT:
        snprintf(want, sizeof want, "a text of at most %zu bytes", f->size - 1);
        if (!text || strlen(text) >= f->size)
            return refuse(err, file, f->key, want);
        memset(at, 0, f->size);
        memcpy(at, text, strlen(text));
        return 0;
    case F_CHOICE:
        snprintf(want, sizeof want, "one of %s", f->choices);
        for (char *p = want + 7; *p; p++)
            if (*p == '|')
                *p = ' ';
        index = text ? choice_index(f->choices, text) : -1;
        if (index < 0)
            return refuse(err, file, f->key, want);
        *(int *)at = index;
        return 0;
    case F_ARCH:
        return set_arch(o, f, value, file, err);
    }
    return 0;
}

/* "layer1,layer2" or ["layer1", "layer2"]: calls set for each. */
static int each(const json_t *value, int (*set)(rn_train_options *, const json_t *), rn_train_options *o)
{
    const char *text = json_string_value(value);
    int status = 0;
    if (!text) {
        if (!json_is_array(value))
            return -1;
        for (size_t i = 0; i < json_array_size(value) && !status; i++)
            status = set(o, json_array_get(value, i));
        return status;
    }
    while (*text && !status) {
        size_t length = strcspn(text, ",");
        json_t *one = json_stringn(text, length);
        status = one ? set(o, one) : -1;
        json_decref(one);
        text += length + (text[length] == ',');
    }
    return status;
}

static int add_freeze(rn_train_options *o, const json_t *value)
{
    const char *text = json_string_value(value);
    if (!text || !*text || strlen(text) >= sizeof o->freeze[0] || o->freeze_count >= RN_TRAIN_FREEZE_MAX)
        return -1;
    memset(o->freeze[o->freeze_count], 0, sizeof o->freeze[0]);
    memcpy(o->freeze[o->freeze_count++], text, strlen(text));
    return 0;
}

static int add_class_weight(rn_train_options *o, const json_t *value)
{
    json_t *v = rn_option_typed(value);
    double w = json_is_number(v) ? json_number_value(v) : -1;
    json_decref(v);
    if (!(w >= 0 && w <= 1e6) || o->class_weights_count >= RN_TRAIN_CLASSES_MAX)
        return -1;
    o->class_weights[o->class_weights_count++] = w;
    return 0;
}

static int add_milestone(rn_train_options *o, const json_t *value)
{
    json_t *v = rn_option_typed(value);
    double epoch = json_is_number(v) ? json_number_value(v) : -1;
    json_decref(v);
    double before = o->milestones_count ? o->milestones[o->milestones_count - 1] : 0;
    if (!(epoch > before && epoch <= 1e6) || o->milestones_count >= RN_TRAIN_MILESTONES_MAX)
        return -1;
    o->milestones[o->milestones_count++] = epoch;
    return 0;
}

/* ---- Keys ---- */

static int set_one(rn_train_options *o, const char *key, const json_t *value, const char *file, rn_error *err);

static int section_index(const char *key)
{
    for (int i = 0; i < (int)(sizeof sections / sizeof *sections); i++)
        if (strcmp(sections[i], key) == 0)
            return i;
    return -1;
}

static int set_section(rn_train_options *o, const char *name, const json_t *section, const char *file, rn_error *err)
{
    const char *key;
    json_t *value;
    int status = 0;
    if (!json_is_object(section))
        return refuse(err, file, name, "an object");
    if (section_index(name) >= 2)
        return rn_section_set(o, name, section, file, err);
    const char *arch = strcmp(name, "arch") == 0 ? json_string_value(json_object_get(section, "name")) : NULL;
    if (arch && strcmp(arch, o->arch.name) != 0) {
        int classes = o->arch.classes;
        if ((status = rn_arch_default(&o->arch, arch, err)))
            return status;
        o->arch.classes = classes;
        o->arch.in_channels = 0;
    }
    json_object_foreach((json_t *)(uintptr_t)section, key, value)
    {
        char full[128];
        snprintf(full, sizeof full, "%s.%s", name, key);
        if (strchr(key, '.') || (status = set_one(o, full, value, file, err)))
            return status ? status
                          : rn_error_set(err, RN_ERR_ARG, "%s%s\"%s\" is no option of training", file ? file : "", file ? ": " : "", full);
    }
    return 0;
}

static int refuse_recipe(rn_error *err, const char *file)
{
    char want[200] = "one of";
    for (int i = 0; rn_recipe_at(i); i++)
        snprintf(want + strlen(want), sizeof want - strlen(want), " %s", rn_recipe_at(i)->name);
    return refuse(err, file, "recipe", want);
}

static int set_recipe(rn_train_options *o, const json_t *value, const char *file, rn_error *err)
{
    const char *name = json_string_value(value);
    const rn_recipe *recipe = name ? rn_recipe_find(name) : NULL;
    int status = 0;
    if (!recipe)
        return refuse_recipe(err, file);
    for (int i = 0; recipe->options[i].key && !status; i++) {
        json_t *text = json_string(recipe->options[i].text);
        status = text ? set_one(o, recipe->options[i].key, text, file, err) : rn_error_memory(err, "options", sizeof *o);
        json_decref(text);
    }
    return status;
}

static int set_one(rn_train_options *o, const char *key, const json_t *value, const char *file, rn_error *err)
{
    char plain[128], head[32] = "";
    if (strlen(key) >= sizeof plain)
        return rn_error_set(err, RN_ERR_ARG, "%s%s\"%.100s...\" is no option of training", file ? file : "", file ? ": " : "", key);
    snprintf(plain, sizeof plain, "%s", key);
    for (char *p = plain; *p; p++)
        if (*p == '-')
            *p = '_';
    const field *f = find_field(plain);
    if (f && strcmp(plain, "arch.name") != 0) {
        int failed = set_field(o, f, value, file, err);
        if (!failed && strcmp(plain, "step_epochs") == 0 && o->step_epochs > 0)
            o->milestones_count = 0; /* those of a recipe */
        return failed;
    }
    if (f) {
        o->arch_open = 0;
        if (json_string_value(value) && strcmp(json_string_value(value), o->arch.name) == 0)
            return 0;
        json_t *section = json_object();
        int status = json_object_set(section, "name", (json_t *)(uintptr_t)value) ? rn_error_memory(err, "options", sizeof *o)
                     : json_is_string(value)                                      ? set_section(o, "arch", section, file, err)
                                                                                  : refuse(err, file, key, "a text");
        json_decref(section);
        return status;
    }
    if (strcmp(plain, "freeze") == 0) {
        o->freeze_count = 0;
        memset(o->freeze, 0, sizeof o->freeze);
        return each(value, add_freeze, o) ? refuse(err, file, key, "up to 32 layer prefixes such as layer1,layer2") : 0;
    }
    if (strcmp(plain, "class_weights") == 0) {
        o->class_weights_count = 0;
        return each(value, add_class_weight, o) ? refuse(err, file, key, "up to 1024 numbers from 0 to 1e6, one a class") : 0;
    }
    if (strcmp(plain, "milestones") == 0) {
        o->milestones_count = 0;
        memset(o->milestones, 0, sizeof o->milestones);
        if (each(value, add_milestone, o))
            return refuse(err, file, key, "up to 32 rising numbers of epochs such as 82,123");
        o->step_epochs = o->milestones_count ? 0 : o->step_epochs;
        return 0;
    }
    if (strcmp(plain, "recipe") == 0)
        return set_recipe(o, value, file, err);
    if (section_index(plain) >= 0)
        return set_section(o, plain, value, file, err);
    const char *dot = strchr(plain, '.');
    if (dot && (size_t)(dot - plain) < sizeof head) {
        memcpy(head, plain, (size_t)(dot - plain));
        if (section_index(head) >= 2) {
            json_t *section = json_object();
            int status = json_object_set(section, dot + 1, (json_t *)(uintptr_t)value) ? rn_error_memory(err, "options", sizeof *o)
                                                                                       : set_section(o, head, section, file, err);
            json_decref(section);
            return status;
        }
    }
    return rn_error_set(err, RN_ERR_ARG, "%s%s\"%s\" is no option of training", file ? file : "", file ? ": " : "", key);
}

int rn_train_options_from_json(rn_train_options *options, const json_t *section, const char *file, rn_error *err)
{
    rn_train_options copy = *options;
    const char *key;
    json_t *value;
    if (!json_is_object(section))
        return rn_error_set(err, RN_ERR_FORMAT, "%s: an object with options is wanted", file ? file : "options");
    /* A network's name, a convention, a preset and a recipe set other options, so they go first wherever they stand. */
    json_t *name = json_object_get(section, "arch.name"), *convention = json_object_get(section, "features.convention"),
           *preset = json_object_get(section, "pictures.preset"), *recipe = json_object_get(section, "recipe");
    int status = name ? set_one(&copy, "arch.name", name, file, err) : 0;
    if (recipe && !status)
        status = set_recipe(&copy, recipe, file, err);
    if (convention && !status)
        status = set_one(&copy, "features.convention", convention, file, err);
    if (preset && !status)
        status = set_one(&copy, "pictures.preset", preset, file, err);
    json_object_foreach((json_t *)(uintptr_t)section, key, value)
    {
        if (!status && value != recipe && value != preset) /* a preset would undo what stands beside it */
            status = set_one(&copy, key, value, file, err);
    }
    if (!status)
        *options = copy;
    return status;
}

int rn_train_options_set(rn_train_options *options, const char *key, const char *text, rn_error *err)
{
    rn_train_options copy = *options;
    json_t *value = json_string(text);
    int status = value ? set_one(&copy, key, value, NULL, err) : rn_error_set(err, RN_ERR_ARG, "%s: the text is not UTF-8", key);
    json_decref(value);
    if (!status)
        *options = copy;
    return status;
}

int rn_train_options_known(const char *key)
{
    char plain[128];
    if (strlen(key) >= sizeof plain)
        return 0;
    snprintf(plain, sizeof plain, "%s", key);
    for (char *p = plain; *p; p++)
        if (*p == '-')
            *p = '_';
    static const char *const others[] = {"freeze", "class_weights", "milestones", "recipe"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(plain, others[i]) == 0)
            return 1;
    if (find_field(plain) || section_index(plain) >= 0)
        return 1;
    rn_train_options options;
    rn_train_options_default(&options);
    char *dot = strchr(plain, '.');
    int known = strcmp(plain, "pictures.preset") == 0;
    if (dot)
        *dot = 0;
    for (int kind = RN_SOUND; dot && kind <= RN_PICTURES && !known; kind++) {
        json_t *all = rn_train_options_to_json(&options, (rn_kind)kind);
        known = json_object_get(json_object_get(all, plain), dot + 1) != NULL;
        json_decref(all);
    }
    return known;
}

/* ---- Files, comparison, checks ---- */

int rn_train_options_load(rn_train_options *options, const char *path, rn_error *err)
{
    unsigned char *data = NULL;
    size_t size;
    json_error_t where;
    int status = rn_file_read(path, 1 << 20, &data, &size, err);
    if (status)
        return status;
    json_t *root = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, &where);
    free(data);
    if (!root)
        return rn_error_set(err, RN_ERR_FORMAT, "%s: line %d: %s", path, where.line, where.text);
    status = rn_train_options_from_json(options, root, path, err);
    json_decref(root);
    return status;
}

int rn_train_options_save(const rn_train_options *options, rn_kind kind, const char *path, rn_error *err)
{
    rn_save save;
    json_t *root = rn_train_options_to_json(options, kind);
    char *text = NULL;
    int status = rn_json_dump(root, JSON_INDENT(2), &text, err);
    json_decref(root);
    if (!status && !(status = rn_save_open(&save, path, err))) {
        status = rn_save_write(&save, text, strlen(text), err);
        if (!status)
            status = rn_save_write(&save, "\n", 1, err);
        if (!status)
            status = rn_save_commit(&save, err);
        rn_save_drop(&save);
    }
    free(text);
    return status;
}

/* The first key of a that b does not have with the same value. */
static const char *first_difference(const json_t *a, const json_t *b, const char *prefix, char buffer[96])
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)a, key, value)
    {
        char full[96];
        snprintf(full, sizeof full, "%s%s", prefix, key);
        const field *f = find_field(full);
        if ((f && f->watching) || json_equal(value, json_object_get(b, key)))
            continue;
        if (json_is_object(value) && json_is_object(json_object_get(b, key))) {
            char inner[96];
            snprintf(inner, sizeof inner, "%s.", key);
            if (first_difference(value, json_object_get(b, key), inner, buffer))
                return buffer;
            continue;
        }
        memcpy(buffer, full, sizeof full);
        return buffer;
    }
    return NULL;
}

const char *rn_train_options_differ(const rn_train_options *a, const rn_train_options *b, rn_kind kind, char buffer[96])
{
    json_t *left = rn_train_options_to_json(a, kind), *right = rn_train_options_to_json(b, kind);
    const char *key = first_difference(left, right, "", buffer);
    json_decref(left);
    json_decref(right);
    return key;
}

int rn_train_options_check(const rn_train_options *o, rn_error *err)
{
    char name[128];
    for (size_t i = 0; i < FIELDS; i++) {
        const field *f = &fields[i];
        const char *at = (const char *)o + f->offset;
        double value = f->kind == F_INT ? *(const int *)at : f->kind == F_REAL ? *(const double *)at : f->low;
        if (f->kind == F_CHOICE) {
            int index = *(const int *)at;
            if (index < 0 || index >= choice_count(f->choices))
                return rn_error_set(err, RN_ERR_ARG, "%s: %d is none of %s", rn_train_option_name(f->key, name), index, f->choices);
        } else if (!(value >= f->low && value <= f->high)) {
            return rn_error_set(err, RN_ERR_ARG, "%s %g: from %g to %g are possible", rn_train_option_name(f->key, name), value, f->low,
                                f->high);
        }
    }
    if (o->seed > INT64_MAX || o->split.seed > INT64_MAX)
        return rn_error_set(err, RN_ERR_ARG, "%s: at most 9223372036854775807 is possible",
                            o->seed > INT64_MAX ? "--seed" : "--split-seed");
    if (o->balance == RN_BALANCE_WEIGHTS && o->class_weights_count)
        return rn_error_set(err, RN_ERR_ARG, "--balance weights and --class-weights both set the classes' weights: leave one out");
    if (o->class_weights_count < 0 || o->class_weights_count > RN_TRAIN_CLASSES_MAX || o->freeze_count < 0 ||
        o->freeze_count > RN_TRAIN_FREEZE_MAX)
        return rn_error_set(err, RN_ERR_ARG, "at most %d class weights and %d frozen prefixes are possible", RN_TRAIN_CLASSES_MAX,
                            RN_TRAIN_FREEZE_MAX);
    if (o->patience && o->no_validation)
        return rn_error_set(err, RN_ERR_ARG, "--patience %d needs a validation part: leave --no-validation out", o->patience);
    return 0;
}
