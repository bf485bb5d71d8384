/* Weight files from one project's names to another's.
 *
 * A file is read once into memory, looked at, and written from there: what is written points at what was read. Kinds of files are two tables, of what is
 * told by its content on the way in (formats/kinds.c) and of extensions on the way out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "api/given.h"
#include "api/result.h"
#include "base/file.h"
#include "base/utf8.h"
#include "formats/onnx.h"
#include "media/features.h"
#include "media/pictures.h"
#include "models/foreign.h"
#include "models/onnx.h"
#include "resnet_tools.h"

enum { MOST_LABELS = 64 << 20 };

struct rn_conversion {
    char *path;
    rn_tensors tensors;  /* as they were read */
    rn_foreign *foreign; /* as ours */
    char names[24];      /* whose names are written */
    rn_model *model;     /* of an ONNX file: what the tensors point into */
    json_t *notes;       /* texts: what such a file had besides */
    int input[3];        /* of "input"; 0: not given */
    int fold_bn;
};

static const int64_t no_batches; /* num_batches_tracked where a file has none, or not as a whole number */

/* ---- Opening ---- */

/* One label a line. */
static json_t *read_labels(const char *path, rn_error *err)
{
    unsigned char *data = NULL;
    size_t size;
    json_t *labels = NULL;
    int line = 0;
    if (rn_file_read(path, MOST_LABELS, &data, &size, err))
        return NULL;
    labels = json_array();
    for (char *at = (char *)data, *next; labels && *at; at = next) {
        size_t n = strcspn(at, "\n");
        next = at + n + (at[n] == '\n');
        at[n -= n && at[n - 1] == '\r'] = 0;
        at[n] = 0;
        line++;
        if (!*at || !rn_text_is_clean(at)) {
            rn_error_set(err, RN_ERR_FORMAT, "%s: line %d: want a label, UTF-8, one a line", path, line);
            free(data);
            json_decref(labels);
            return NULL;
        }
        rn_result_add(&labels, json_string(at));
    }
    if (!labels)
        rn_error_memory(err, "labels", size);
    free(data);
    return labels;
}

/* What the options say of the network. */
static void read_given(rn_given *g, rn_foreign_given *given, rn_error *err)
{
    static const char *const keys[] = {"stride_at", "shortcut", "pool", "stem_pool", "bn_eps", "pool_eps"};
    const char *path = rn_given_text(g, "labels", NULL);
    given->folder = 1;
    given->arch = json_object();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (rn_given_has(g, keys[i]) && json_object_set(given->arch, keys[i], json_object_get(g->root, keys[i])))
            rn_given_fail(g, RN_ERR_MEMORY, "no memory for options");
    if (path && !g->status && !(given->labels = read_labels(path, err)))
        g->status = err ? err->code : RN_ERR_FORMAT;
}

/* WeSpeaker's filter banks: Kaldi's, 80 of them at 16 kHz, less their mean; it trains on 200 frames. */
static int add_filter_banks(rn_conversion *c, rn_error *err)
{
    rn_features f;
    rn_features_default(&f, RN_KALDI, 16000);
    f.bins = c->foreign->arch.pool_rows * 8;
    f.seconds = 2;
    rn_features_complete(&f);
    int status = rn_features_check(&f, err);
    if (!status)
        status = rn_foreign_section(c->foreign, "features", rn_features_to_json(&f), err);
    return status ? status
                  : rn_foreign_section(c->foreign, "input", json_pack("[i,i,I]", 1, f.bins, (json_int_t)rn_features_length(&f)), err);
}

/* How the network's input is made, as a section of the model, and its size. */
static int add_preprocessing(rn_conversion *c, const char *name, rn_error *err)
{
    rn_pictures p;
    int height, width, channels = c->foreign->arch.in_channels, speaker = !strcmp(name, "wespeaker");
    if (c->foreign->why.code)
        return 0; /* not to be written anyway */
    if (speaker != (c->foreign->arch.pooling == RN_POOLING_TSTP))
        return rn_error_set(err, RN_ERR_ARG, "--preprocessing %s is for %s; the network of %s is none of these", name,
                            speaker ? "networks over filter banks of 80 bins" : "networks over pictures", c->path);
    if (speaker)
        return add_filter_banks(c, err);
    int status = rn_pictures_preset(&p, name, err);
    if (!status && channels != 1 && channels != 3)
        status = rn_error_set(err, RN_ERR_ARG, "--preprocessing %s: the network of %s takes %d channels, pictures have 1 or 3", name,
                              c->path, channels);
    if (status)
        return status;
    rn_pictures_set_channels(&p, channels);
    rn_pictures_size(&p, &height, &width);
    if ((status = rn_pictures_check(&p, err)) || (status = rn_foreign_section(c->foreign, "pictures", rn_pictures_to_json(&p), err)))
        return status;
    return height ? rn_foreign_section(c->foreign, "input", json_pack("[i,i,i]", channels, height, width), err) : 0;
}

static void take_note(void *context, const char *text)
{
    rn_conversion *c = context;
    rn_result_add(&c->notes, json_string(text));
}

/* The file's tensors. A graph of ONNX is recognised first; what it comes to are tensors by our names. */
static int read_tensors(rn_conversion *c, rn_error *err)
{
    if (!rn_onnx_is_file(c->path))
        return rn_tensors_read(c->path, &c->tensors, err);
    if (!(c->notes = json_array()))
        return rn_error_memory(err, "notes", 1);
    int status = rn_onnx_load(&c->model, c->path, take_note, c, err);
    if (!status && !c->notes)
        status = rn_error_memory(err, "notes", 1);
    return status ? status : rn_model_tensors(c->model, &c->tensors, err);
}

int rn_conversion_open(rn_conversion **conversion, const char *path, const char *options, rn_error *err)
{
    rn_given given;
    rn_foreign_given answers = {0};
    rn_conversion *c = calloc(1, sizeof *c);
    char preprocessing[24] = "";
    rn_error own;
    int status;
    *conversion = NULL;
    err = err ? err : &own;
    if (!c || !(c->path = strdup(path))) {
        free(c);
        return rn_error_memory(err, "a conversion", sizeof *c);
    }
    if (!rn_given_open(&given, options, err)) {
        rn_given_ignore(&given, "threads");
        snprintf(c->names, sizeof c->names, "%s", rn_given_text(&given, "names", "ours"));
        snprintf(preprocessing, sizeof preprocessing, "%s", rn_given_text(&given, "preprocessing", ""));
        answers.prepared = preprocessing[0] != 0;
        rn_given_input(&given, c->input);
        c->fold_bn = rn_given_flag(&given, "fold_bn");
        read_given(&given, &answers, err);
        if (!given.status && !rn_names_called(c->names, 0, err))
            given.status = RN_ERR_ARG;
    }
    if ((status = rn_given_close(&given)) || (status = read_tensors(c, err)) ||
        (status = rn_foreign_open(&c->foreign, path, &c->tensors, &answers, err)) ||
        (preprocessing[0] && (status = add_preprocessing(c, preprocessing, err))))
        goto fail;
    if (c->model && !preprocessing[0] && !rn_model_section(c->model, "features") && !rn_model_section(c->model, "pictures"))
        take_note(c, "the file does not say how the network's input is made; --preprocessing puts it into the model");
    *conversion = c;
    c = NULL;
fail:
    json_decref(answers.arch);
    json_decref(answers.labels);
    rn_conversion_close(&c);
    return status;
}

void rn_conversion_close(rn_conversion **conversion)
{
    rn_conversion *c = conversion ? *conversion : NULL;
    if (!c)
        return;
    rn_foreign_close(&c->foreign);
    rn_tensors_free(&c->tensors);
    rn_model_close(&c->model);
    json_decref(c->notes);
    free(c->path);
    free(c);
    *conversion = NULL;
}

/* ---- Writing ---- */

/* A tensor by the name that is wanted. */
static int add_named(const rn_conversion *c, const rn_names *names, const rn_tensor *t, rn_tensors *out, rn_error *err)
{
    char name[RN_NAMES_LONGEST];
    if (!rn_names_to_theirs(names, t->name, name))
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: %s has no name in networks of %s, which have no such layer", c->path, t->name,
                            names->name);
    return rn_tensors_add(out, name, t->dtype, t->dims, t->shape, t->data, err);
}

/* What is written: every array of the network and every counter, once, by the names that are wanted. */
static int collect(const rn_conversion *c, rn_tensors *out, rn_error *err)
{
    const rn_foreign *f = c->foreign;
    const rn_names *names = rn_names_called(c->names, f->arch.shortcut_pool, err);
    char counter[RN_NAMES_LONGEST + 24];
    int status = names ? 0 : RN_ERR_ARG;
    if (names && names->speaker && f->arch.classes)
        status = rn_error_set(err, RN_ERR_UNSUPPORTED, "%s: its network ends with %d classes, those of %s with an embedding", c->path,
                              f->arch.classes, names->name);
    for (int i = 0; !status && i < f->graph->params_count; i++) {
        const rn_param *p = &f->graph->params[i];
        status = add_named(c, names, rn_tensors_find(&f->ours, p->name), out, err);
        if (status || p->kind != RN_PARAM_BN_MEAN)
            continue;
        snprintf(counter, sizeof counter, "%s.num_batches_tracked", f->graph->nodes[p->node].name);
        const rn_tensor *have = rn_tensors_find(&f->ours, counter);
        rn_tensor zero = {.name = counter, .dtype = RN_I64, .count = 1, .data = &no_batches};
        status = add_named(c, names, have && have->dtype == RN_I64 && have->dims == 0 ? have : &zero, out, err);
    }
    for (int i = 0; !status && i < f->ours.metadata_count; i++)
        status = rn_tensors_set_metadata(out, f->ours.keys[i], f->ours.values[i], err);
    return status;
}

/* path NULL: nothing is written; whether it could be is said. */
static int write_safetensors(const rn_conversion *c, const char *path, rn_error *err)
{
    rn_tensors out = {0};
    int status = collect(c, &out, err);
    if (!status && path)
        status = rn_safetensors_write(path, &out, err);
    rn_tensors_free(&out);
    return status;
}

/* Rows of a spectrogram are fixed by its features, and a pool of several bins wants to know what it pools; all else stays open unless it is given. */
static void set_input(const rn_conversion *c, const rn_model *model, rn_onnx_options *options)
{
    int channels, height, width, bins = model->arch.pool_h > 1 || model->arch.pool_w > 1;
    rn_model_input(model, &channels, &height, &width);
    options->input_h = c->input[1];
    options->input_w = c->input[2];
    if (!c->input[0] && (bins || rn_model_section(model, "features")))
        options->input_h = height;
    if (!c->input[0] && model->arch.pool_w > 1)
        options->input_w = width;
}

static int write_onnx(const rn_conversion *c, const char *path, rn_error *err)
{
    rn_model *model = NULL;
    rn_onnx_options options = {.fold_bn = c->fold_bn};
    if (strcmp(c->names, "ours") != 0)
        return rn_error_set(err, RN_ERR_ARG, "%s: ONNX files have the names of ours; --names %s is for .safetensors", path, c->names);
    int status = rn_model_from_tensors(&model, c->path, &c->foreign->ours, err);
    if (!status && c->input[0] && c->input[0] != model->arch.in_channels)
        status = rn_error_set(err, RN_ERR_ARG, "--input %dx%dx%d: the network has %d input channels", c->input[0], c->input[1], c->input[2],
                              model->arch.in_channels);
    if (!status) {
        set_input(c, model, &options);
        status = rn_onnx_save(model, path, &options, err);
    }
    rn_model_close(&model);
    return status;
}

static const struct writer {
    const char *extension;
    int (*write)(const rn_conversion *c, const char *path, rn_error *err);
} writers[] = {{".safetensors", write_safetensors}, {".onnx", write_onnx}};

int rn_conversion_write(const rn_conversion *c, const char *path, rn_error *err)
{
    const char *extension = path ? strrchr(path, '.') : NULL;
    if (c->foreign->why.code)
        return rn_error_set(err, c->foreign->why.code, "%s", c->foreign->why.text);
    if (!path)
        return write_safetensors(c, NULL, err);
    for (size_t i = 0; extension && i < sizeof writers / sizeof *writers; i++)
        if (!strcasecmp(extension, writers[i].extension))
            return writers[i].write(c, path, err);
    return rn_error_set(err, RN_ERR_ARG, "%s: .safetensors and .onnx can be written; in Python safetensors.torch.load_file reads it", path);
}

/* ---- The table ---- */

static json_t *tensor_rows(const rn_conversion *c)
{
    const rn_foreign *f = c->foreign;
    json_t *rows = json_array();
    char name[RN_NAMES_LONGEST];
    for (int i = 0; i < c->tensors.count; i++) {
        const rn_tensor *t = &c->tensors.items[i];
        const rn_names_row *row = f->rows[i];
        json_t *shape = json_array();
        for (int d = 0; d < t->dims; d++)
            rn_result_add(&shape, json_integer(t->shape[d]));
        rn_names_to_ours(f->names, t->name, name);
        rn_result_add(&rows, json_pack("{s:o, s:s, s:o, s:s?, s:s, s:s*}", "name", rn_result_path(t->name), "dtype",
                                       rn_dtype_name(t->dtype), "shape", shape, "ours", row && row->ours ? name : NULL, "state",
                                       !row        ? "unknown"
                                       : row->ours ? "mapped"
                                                   : "ignored",
                                       "why", row && row->why ? row->why : NULL));
    }
    return rows;
}

/* The pattern that is written for one of ours; NULL: none. */
static const char *written_pattern(const rn_names *names, const char *ours)
{
    for (const rn_names_row *row = names->rows; row->theirs; row++)
        if (row->ours && !strcmp(row->ours, ours))
            return row->theirs;
    return NULL;
}

/* How many tensors each row of the table has taken, in the table's order. */
static json_t *pattern_rows(const rn_conversion *c)
{
    const rn_foreign *f = c->foreign;
    const rn_names *names = rn_names_called(c->names, f->arch.shortcut_pool, NULL);
    json_t *rows = json_array();
    for (const rn_names_row *row = f->names->rows; row->theirs; row++) {
        int count = 0;
        for (int i = 0; i < f->count; i++)
            count += f->rows[i] == row;
        if (count && row->ours)
            rn_result_add(&rows, json_pack("{s:s, s:s, s:s?, s:i}", "from", row->theirs, "ours", row->ours, "to",
                                           names ? written_pattern(names, row->ours) : NULL, "tensors", count));
    }
    return rows;
}

int rn_conversion_result(const rn_conversion *c, char **result, rn_error *err)
{
    const rn_foreign *f = c->foreign;
    struct stat file = {0};
    stat(c->path, &file);
    json_t *asks = json_array();
    for (int i = 0; i < RN_FOREIGN_QUESTIONS; i++)
        if (f->open & 1u << i)
            rn_result_add(&asks, json_string(rn_foreign_question(i)));
    json_t *all =
        json_pack("{s:o, s:I, s:s, s:s, s:s, s:b, s:o, s:i, s:o, s:o, s:o}", "path", rn_result_path(c->path), "bytes",
                  (json_int_t)file.st_size, "format", c->model                                              ? "ONNX"
                  : rn_tensors_metadata(&c->tensors, "pth.dictionary") ? "PyTorch"
                                                                       : "safetensors",
                  "names", f->names->name, "writes", c->names, "ready", f->why.code == 0, "asks", asks, "known", f->known, "patterns",
                  pattern_rows(c), "tensors", tensor_rows(c), "missing", rn_foreign_missing(f));
    if (f->graph) {
        rn_result_set(&all, "arch", rn_arch_json(&f->arch));
        rn_result_set(&all, "parameters", json_integer(f->graph->weights_count));
    }
    static const char *const sections[] = {"pictures", "features", "input"};
    for (int i = 0; f->config && i < 3; i++)
        if (json_object_get(f->config, sections[i]))
            rn_result_set(&all, sections[i], json_incref(json_object_get(f->config, sections[i])));
    if (c->notes)
        rn_result_set(&all, "notes", json_incref(c->notes));
    if (f->labels)
        rn_result_set(&all, "labels", json_incref(f->labels));
    if (f->why.code)
        rn_result_set(&all, "error", json_string(f->why.text));
    *result = rn_result_text(all, err);
    return *result ? 0 : RN_ERR_MEMORY;
}
