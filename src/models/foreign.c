/* A weight file of another project becomes a model: its tensors get our names, and a resnet.config is written for the network that their shapes are of.
 *
 * Nothing is copied: the new list of tensors points at the data of the old one, so that a file can be written with other names straight from the
 * bytes that were read.
 */
#include "models/foreign.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/utf8.h"
#include "formats/json.h"
#include "models/config.h"

enum { MOST_CONFIG = 16 << 20 }; /* of a config.json: labels of a million classes */

/* Why this is no model; the first reason stays. */
static void blame(rn_foreign *f, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void blame(rn_foreign *f, int code, const char *format, ...)
{
    char text[sizeof f->why.text];
    va_list arguments;
    if (f->why.code)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    rn_error_set(&f->why, code, "%s", text);
}

/* ---- What the file does not say ---- */

static const struct question {
    unsigned bit;
    const char *key, *what, *who, *other;
} questions[] = {
    {RN_FOREIGN_STRIDE, "stride_at", "where bottlenecks carry the stride", "torchvision, timm", "1x1 (Caffe, Keras)"},
    {RN_FOREIGN_SHORTCUT, "shortcut", "how shortcuts without weights fill new channels", "half of the zeros before, half after",
     "A (all after)"},
    {RN_FOREIGN_POOL, "pool", "how the bins of the pool lie", "bands of frequency over all of time", "another HxW"},
    {RN_FOREIGN_PREPROCESSING, "preprocessing", "how the network's input is made", "`resnet help convert` has others", "none"},
};
_Static_assert(sizeof questions / sizeof *questions == RN_FOREIGN_QUESTIONS, "a question for every bit");

const char *rn_foreign_question(int index)
{
    return questions[index].key;
}

/* The option with what is usual. */
static void usual_text(const rn_foreign *f, const struct question *q, char text[80])
{
    char option[32], pool[32];
    const char *usual = q->bit == RN_FOREIGN_STRIDE ? "3x3" : q->bit == RN_FOREIGN_SHORTCUT ? "A2" : pool;
    snprintf(pool, sizeof pool, "%dx%d", f->arch.pool_h, f->arch.pool_w);
    if (q->bit == RN_FOREIGN_PREPROCESSING)
        usual = f->names->speaker ? "wespeaker" : f->arch.stem == RN_STEM_3X3 ? "cifar" : f->names->preprocessing;
    rn_arch_option(q->key, option);
    snprintf(text, 80, "%s %s", option, usual);
}

/* The sentence that asks for what is open. Where nobody could answer yet, it has the whole command. */
static void ask(rn_foreign *f, unsigned open, int answerable)
{
    const char *name = f->name, *dot = strrchr(name, '.'), *slash = strrchr(name, '/');
    char what[300] = "", options[400] = "", usual[80];
    for (int i = 0; i < RN_FOREIGN_QUESTIONS; i++) {
        const struct question *q = &questions[i];
        size_t w = strlen(what), o = strlen(options);
        if (!(open & q->bit))
            continue;
        usual_text(f, q, usual);
        snprintf(what + w, sizeof what - w, "%s%s", w ? ", nor " : "", q->what);
        if (answerable)
            snprintf(options + o, sizeof options - o, "%s%s (usual: %s) or %s", o ? ", and " : "", usual, q->who, q->other);
        else
            snprintf(options + o, sizeof options - o, " %s", usual);
    }
    if (answerable)
        blame(f, RN_ERR_ARG, "%s: the file does not say %s: give %s", name, what, options);
    else
        blame(f, RN_ERR_UNSUPPORTED, "%s: the file does not say %s; make a model of it, as is usual: resnet convert %s %.*s-model.safetensors%s",
              name, what, name, (int)(dot && (!slash || dot > slash) ? dot - name : (long)strlen(name)), name, options);
}

/* ---- Labels ---- */

/* Copies of texts; a second one of the same text gets its number: ImageNet has two kinds of crane. */
static int take_labels(rn_foreign *f, const char *name, const json_t *texts, rn_error *err)
{
    json_t *seen = json_object(), *labels = json_array(), *text;
    size_t i;
    int bad = !seen || !labels, status = 0;
    json_array_foreach((json_t *)texts, i, text)
    {
        const char *label = json_string_value(text);
        if (bad || !label || !*label || !rn_text_is_clean(label))
            break;
        bad = json_array_append_new(labels, json_object_get(seen, label) ? json_sprintf("%s (%zu)", label, i) : json_string(label)) ||
              json_object_set_new(seen, label, json_true());
    }
    if (bad)
        status = rn_error_memory(err, "labels", json_array_size(texts));
    else if (i < json_array_size(texts))
        blame(f, RN_ERR_ARG, "%s: label %zu is empty or no clean text", name, i);
    else if (json_array_size(labels) != (size_t)f->arch.classes)
        blame(f, RN_ERR_ARG, "%s: %zu labels were given, the network has %d classes", name, json_array_size(labels), f->arch.classes);
    json_decref(seen);
    json_decref(f->labels);
    f->labels = labels;
    return status;
}

/* ---- Hugging Face's config.json ---- */

/* {"0": "tench", "1": ...} as a list; *list NULL if a number is missing. */
static int labels_of(const json_t *names, json_t **list, rn_error *err)
{
    char key[24];
    if (!(*list = json_array()))
        return rn_error_memory(err, "labels", json_object_size(names));
    for (size_t i = 0; i < json_object_size(names); i++) {
        snprintf(key, sizeof key, "%zu", i);
        json_t *label = json_object_get(names, key);
        int failed = json_is_string(label) && json_array_append(*list, label);
        if (json_is_string(label) && !failed)
            continue;
        json_decref(*list);
        *list = NULL;
        return failed ? rn_error_memory(err, "labels", json_object_size(names)) : 0;
    }
    return 0;
}

/* config.json beside a file, if it is that of such a network; *config NULL: there is none. */
static int read_beside(const char *path, json_t **config, rn_error *err)
{
    const char *slash = strrchr(path, '/');
    size_t folder = slash ? (size_t)(slash - path) + 1 : 0, size;
    char *beside = malloc(folder + sizeof "config.json");
    unsigned char *data = NULL;
    json_error_t why;
    *config = NULL;
    if (!beside)
        return rn_error_memory(err, "a path", folder);
    memcpy(beside, path, folder);
    strcpy(beside + folder, "config.json");
    int status = rn_file_read(beside, MOST_CONFIG, &data, &size, err);
    free(beside);
    if (status)
        return status == RN_ERR_MEMORY ? status : 0;
    *config = json_loadb((const char *)data, size, 0, &why);
    free(data);
    if (!*config && json_error_code(&why) == json_error_out_of_memory)
        return rn_error_memory(err, "config.json", size);
    const char *type = json_string_value(json_object_get(*config, "model_type"));
    if (!type || strcmp(type, "resnet")) {
        json_decref(*config);
        *config = NULL;
    }
    return 0;
}

/* Answers what the shapes left open. */
static int read_huggingface(rn_foreign *f, const char *path, unsigned *open, rn_error *err)
{
    json_t *config;
    int status = read_beside(path, &config, err);
    const char *activation = json_string_value(json_object_get(config, "hidden_act"));
    if (!config)
        return status;
    f->arch.stride_at = json_is_true(json_object_get(config, "downsample_in_bottleneck")) ? RN_STRIDE_AT_1X1 : RN_STRIDE_AT_3X3;
    *open &= ~(unsigned)RN_FOREIGN_STRIDE;
    if (activation && strcmp(activation, "relu"))
        blame(f, RN_ERR_UNSUPPORTED, "%s: its config.json has \"hidden_act\": \"%.40s\"; networks here have relu", path, activation);
    if (json_is_true(json_object_get(config, "downsample_in_first_stage")))
        blame(f, RN_ERR_UNSUPPORTED, "%s: its config.json has \"downsample_in_first_stage\"; networks here keep the size there", path);
    json_t *labels = NULL;
    status = labels_of(json_object_get(config, "id2label"), &labels, err);
    if (labels && f->arch.classes > 0 && json_array_size(labels) == (size_t)f->arch.classes && !f->labels)
        status = take_labels(f, path, labels, err);
    json_decref(labels);
    json_decref(config);
    return status;
}

/* ---- Tensors ---- */

int rn_foreign_is(const rn_tensors *tensors)
{
    int known;
    return !rn_tensors_metadata(tensors, RN_MODEL_CONFIG) || strcmp(rn_names_find(tensors, &known)->name, "ours") != 0;
}

/* Names that are in no table. */
static void blame_unknown(rn_foreign *f, const rn_tensors *tensors, int unknown, int first)
{
    if (!f->count)
        blame(f, RN_ERR_UNSUPPORTED, "%s: there is no tensor in it", f->name);
    if (!unknown)
        return;
    rn_shown name = rn_show(tensors->items[first].name);
    if (!strncmp(tensors->items[first].name, RN_MODEL_PREFIX_TRAIN, sizeof RN_MODEL_PREFIX_TRAIN - 1))
        blame(f, RN_ERR_UNSUPPORTED, "%s: a checkpoint of a training; the model.safetensors beside it is its model", f->name);
    else if (!f->known)
        blame(f, RN_ERR_UNSUPPORTED,
              "%s: not a residual network that is known here: of its tensors (%s, %d in all) none is conv1, bn1, layer1.0.conv1 or fc by "
              "any known names",
              f->name, name.text, f->count);
    else if (unknown == 1)
        blame(f, RN_ERR_UNSUPPORTED, "%s: %s is in the file, but no network here has such a tensor", f->name, name.text);
    else
        blame(f, RN_ERR_UNSUPPORTED, "%s: %s and %d more tensors are in the file, but no network here has such", f->name, name.text,
              unknown - 1);
}

/* Our names for the tensors. */
static int translate(rn_foreign *f, const rn_tensors *tensors, rn_error *err)
{
    char own[RN_NAMES_LONGEST];
    int status = 0, unknown = 0, first = 0;
    f->names = rn_names_find(tensors, &f->known);
    for (int i = 0; !status && i < tensors->count; i++) {
        const rn_tensor *t = &tensors->items[i];
        f->rows[i] = rn_names_to_ours(f->names, t->name, own);
        if (!f->rows[i])
            first = unknown++ ? first : i;
        else if (f->rows[i]->ours)
            status = rn_tensors_add(&f->ours, own, t->dtype, t->dims, t->shape, t->data, err);
    }
    blame_unknown(f, tensors, unknown, first);
    return status;
}

/* A body without its last layer gets one of zeros, which nobody takes over; where more than weights are wanted, that will not do. */
static int add_head(rn_foreign *f, int weights, rn_error *err)
{
    int64_t channels = ((int64_t)f->arch.width * (f->arch.block == RN_BLOCK_BOTTLENECK ? 4 : 1)) << (f->arch.stages - 1);
    if (f->arch.classes || f->arch.embedding)
        return 0;
    if (!weights) {
        blame(f, RN_ERR_UNSUPPORTED,
              "%s: there is no last layer in it, so it answers nothing; its weights can begin a training: resnet train DATA --init %s",
              f->name, f->name);
        return 0;
    }
    f->arch.classes = 1;
    if (!(f->zeros = calloc((size_t)channels + 1, sizeof *f->zeros)))
        return rn_error_memory(err, "a last layer", (unsigned long long)channels * sizeof *f->zeros);
    int status = rn_tensors_add(&f->ours, "fc.weight", RN_F32, 2, (int64_t[2]){1, channels}, f->zeros, err);
    return status ? status : rn_tensors_add(&f->ours, "fc.bias", RN_F32, 1, (int64_t[1]){1}, f->zeros, err);
}

/* resnet.config into the metadata. */
static int store_config(rn_foreign *f, rn_error *err)
{
    char *text = NULL;
    int status = rn_json_dump(f->config, JSON_COMPACT | JSON_SORT_KEYS, &text, err);
    if (!status)
        status = rn_tensors_set_metadata(&f->ours, "format", "pt", err);
    if (!status)
        status = rn_tensors_set_metadata(&f->ours, RN_MODEL_CONFIG, text, err);
    free(text);
    return status;
}

int rn_foreign_section(rn_foreign *f, const char *key, json_t *value, rn_error *err)
{
    if (json_object_set_new(f->config, key, value))
        return rn_error_memory(err, "a model's description", sizeof *f);
    return store_config(f, err);
}

/* resnet.config as a model of ours has it; `old` is the file's own, where a model of ours has another project's names. */
static int set_config(rn_foreign *f, const json_t *old, rn_error *err)
{
    json_t *arch = rn_arch_json(&f->arch), *labels = f->labels ? json_incref(f->labels)
                                                     : old     ? json_incref(json_object_get(old, "labels"))
                                                               : rn_labels_json(NULL, f->arch.classes);
    int status = 0;
    f->config = old ? json_copy((json_t *)(uintptr_t)old) : json_pack("{s:i}", "arithmetic", RN_ARITHMETIC);
    /* a file of ours without labels is refused as such when it is read as a model */
    if (!f->config || (old && json_object_size(f->config) != json_object_size(old)) || !arch || (!labels && !old) ||
        json_object_set(f->config, "arch", arch) || (labels && json_object_set(f->config, "labels", labels)))
        status = rn_error_memory(err, "a model's description", sizeof *f);
    json_decref(labels);
    json_decref(arch);
    return status ? status : store_config(f, err);
}

/* Every tensor of the network there, of its shape, and none besides. */
static void check(rn_foreign *f)
{
    char theirs[RN_NAMES_LONGEST], network[80];
    rn_error why = {0};
    json_t *missing = rn_foreign_missing(f);
    size_t count = json_array_size(missing);
    if (!missing)
        blame(f, RN_ERR_MEMORY, "%s: no memory to look for its tensors", f->name);
    snprintf(network, sizeof network, "%s of width %d", f->arch.name, f->arch.width);
    if (count) {
        snprintf(theirs, sizeof theirs, "%s", json_string_value(json_object_get(json_array_get(missing, 0), "name")));
        if (count > 1)
            blame(f, RN_ERR_SHAPE, "%s: %s and %zu more tensors are missing for %s", f->name, theirs, count - 1, network);
        else
            blame(f, RN_ERR_SHAPE, "%s: %s is missing for %s", f->name, theirs, network);
    } else if (rn_model_check(f->graph, network, f->name, &f->ours, &why)) {
        blame(f, why.code, "%s", why.text);
    }
    json_decref(missing);
}

/* What the user and the file's neighbours say of the network. A file that describes itself needs neither. */
static int settle(rn_foreign *f, const rn_foreign_given *given, int described, unsigned open, rn_error *err)
{
    const char *key;
    char want[RN_ARCH_WANT], option[32];
    json_t *value;
    int status = given && given->labels ? take_labels(f, f->name, given->labels, err) : 0;
    if (!status && given && given->folder && !described && !strcmp(f->names->name, "huggingface"))
        status = read_huggingface(f, f->name, &open, err);
    json_object_foreach(given ? given->arch : NULL, key, value)
    {
        rn_arch_option(key, option);
        json_t *before = rn_arch_member(&f->arch, key), *after = NULL;
        if (rn_arch_set_member(&f->arch, key, value, want))
            blame(f, RN_ERR_ARG, "%s: want %s", option, want);
        else if (described && !json_equal(before, after = rn_arch_member(&f->arch, key)))
            blame(f, RN_ERR_ARG, "%s: the file says itself what %s asks for, and something else; leave the option out", f->name, option);
        json_decref(before);
        json_decref(after);
        for (int i = 0; i < RN_FOREIGN_QUESTIONS; i++)
            if (!strcmp(key, questions[i].key))
                open &= ~questions[i].bit;
    }
    int answerable = given && given->arch;
    if ((given && given->prepared) || (!answerable && open == RN_FOREIGN_PREPROCESSING)) /* numbers can be given to the network as it is */
        open &= ~(unsigned)RN_FOREIGN_PREPROCESSING;
    f->open = given && given->weights ? 0 : open;
    return status;
}

/* The network: what the file itself says of it, or what its shapes are of. */
static int describe(rn_foreign *f, const json_t *config, const rn_foreign_given *given, rn_error *err)
{
    unsigned open = 0;
    rn_error why = {0};
    int status = config ? rn_arch_from_json(&f->arch, f->name, json_object_get(config, "arch"), &why)
                        : rn_foreign_infer(f->name, f->names, &f->ours, &f->arch, &open, &why);
    if (status) {
        blame(f, why.code, "%s", why.text);
        return status == RN_ERR_MEMORY ? rn_error_set(err, status, "%s", why.text) : 0;
    }
    status = settle(f, given, config != NULL, open, err);
    if (!status && !config)
        status = add_head(f, given && given->weights, err);
    if (status)
        return status;
    if (rn_arch_graph(&f->arch, &f->graph, &why))
        blame(f, why.code == RN_ERR_ARG ? RN_ERR_UNSUPPORTED : why.code, "%s: %s", f->name, why.text);
    if (f->graph)
        check(f);
    if (f->open)
        ask(f, f->open, given && given->arch);
    return f->why.code ? 0 : set_config(f, config, err);
}

int rn_foreign_open(rn_foreign **foreign, const char *name, rn_tensors *tensors, const rn_foreign_given *given, rn_error *err)
{
    rn_foreign *f = calloc(1, sizeof *f);
    json_t *config = NULL;
    int status;
    *foreign = NULL;
    rn_tensors_strip(tensors);
    if (!f || !(f->name = strdup(name)) || !(f->rows = calloc((size_t)tensors->count + 1, sizeof *f->rows))) {
        status = rn_error_memory(err, "a list of tensors", (unsigned long long)tensors->count * sizeof *f->rows);
        goto fail;
    }
    f->count = tensors->count;
    if ((status = translate(f, tensors, err)) ||
        (rn_tensors_metadata(tensors, RN_MODEL_CONFIG) && (status = rn_config_read(name, tensors, &config, err))) ||
        (f->known && (status = describe(f, config, given, err))))
        goto fail;
    *foreign = f;
    f = NULL;
fail:
    json_decref(config);
    rn_foreign_close(&f);
    return status;
}

void rn_foreign_close(rn_foreign **foreign)
{
    rn_foreign *f = foreign ? *foreign : NULL;
    if (!f)
        return;
    rn_tensors_free(&f->ours);
    rn_graph_close(&f->graph);
    json_decref(f->labels);
    json_decref(f->config);
    free(f->zeros);
    free(f->rows);
    free(f->name);
    free(f);
    *foreign = NULL;
}

json_t *rn_foreign_missing(const rn_foreign *f)
{
    json_t *list = json_array();
    char theirs[RN_NAMES_LONGEST];
    for (int i = 0; list && f->graph && i < f->graph->params_count; i++) {
        const rn_param *p = &f->graph->params[i];
        json_t *shape = json_array();
        if (rn_tensors_find(&f->ours, p->name)) {
            json_decref(shape);
            continue;
        }
        for (int d = 0; shape && d < p->dims; d++)
            if (json_array_append_new(shape, json_integer(p->shape[d]))) {
                json_decref(shape);
                shape = NULL;
            }
        const char *name = rn_names_to_theirs(f->names, p->name, theirs) ? theirs : p->name;
        if (json_array_append_new(list, json_pack("{s:s, s:o}", "name", name, "shape", shape))) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}
