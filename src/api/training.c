/* Training in process: the trainer behind the public header. Options arrive as JSON and become rn_train_options. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/data.h"
#include "api/given.h"
#include "api/result.h"
#include "base/cpu.h"
#include "resnet_tools.h"
#include "train/recipes.h"
#include "train/trainer.h"

struct rn_training {
    rn_trainer *trainer;
    rn_training_watch watch;
    rn_data *data;
    int taken; /* the model was handed over */
};

/* The object root[key], made if it is not there; NULL without memory. */
static json_t *section_of(json_t *root, const char *key)
{
    json_t *section = json_object_get(root, key);
    if (json_is_object(section))
        return section;
    section = json_object();
    return section && !json_object_set_new(root, key, section) ? section : NULL;
}

/* "arch.width": 16 becomes "arch": {"width": 16}; options as RUN/config.json has them stay. New reference, NULL without memory. */
static json_t *nested(const json_t *flat)
{
    const char *key;
    json_t *value, *root = json_object();
    int failed = !root;
    json_object_foreach((json_t *)flat, key, value)
    {
        char head[32];
        const char *dot = strchr(key, '.');
        int dotted = dot && (size_t)(dot - key) < sizeof head;
        if (failed)
            break;
        if (dotted)
            snprintf(head, sizeof head, "%.*s", (int)(dot - key), key);
        json_t *section = dotted ? section_of(root, head) : json_is_object(value) ? section_of(root, key) : root;
        if (!section)
            failed = 1;
        else if (dotted)
            failed = json_object_set(section, dot + 1, value);
        else
            failed = json_is_object(value) ? json_object_update(section, value) : json_object_set(section, key, value);
    }
    if (failed) {
        json_decref(root);
        root = NULL;
    }
    return root;
}

/* Defaults, then RUN/config.json of a run that goes on or the file that "config" names, then the caller's. */
static int read_options(rn_train_options *out, const char *options, const char *folder, int resume, rn_error *err)
{
    json_error_t why;
    int status = 0;
    char path[4200];
    json_t *flat = options ? json_loads(options, JSON_REJECT_DUPLICATES, &why) : json_object(), *root = NULL;
    rn_train_options_default(out);
    if (!flat || !json_is_object(flat)) {
        status = options && !flat ? rn_error_set(err, RN_ERR_ARG, "options: line %d: %s", why.line, why.text)
                                  : rn_error_set(err, RN_ERR_ARG, "options: want a JSON object");
        goto fail;
    }
    const char *config = json_string_value(json_object_get(flat, "config"));
    if (resume && folder && !config) {
        snprintf(path, sizeof path, "%s/config.json", folder);
        if (access(path, F_OK) == 0)
            config = path;
    }
    if (config && (status = rn_train_options_load(out, config, err)))
        goto fail;
    json_object_del(flat, "config");
    if (!(root = nested(flat))) {
        status = rn_error_memory(err, "options", 0);
        goto fail;
    }
    status = rn_train_options_from_json(out, root, NULL, err);
fail:
    json_decref(flat);
    json_decref(root);
    return status;
}

_Static_assert((int)RN_TRAINING_HASH == RN_TRAIN_HASH && (int)RN_TRAINING_PREPARE == RN_TRAIN_PREPARE &&
                   (int)RN_TRAINING_STEP == RN_TRAIN_STEP && (int)RN_TRAINING_VALIDATE == RN_TRAIN_VALIDATE &&
                   (int)RN_TRAINING_EPOCH == RN_TRAIN_EPOCH && (int)RN_TRAINING_TEST == RN_TRAIN_TEST &&
                   (int)RN_TRAINING_STATISTICS == RN_TRAIN_STATISTICS,
               "public and internal stages are the same numbers");

static int pass_progress(void *context, const rn_train_progress *p)
{
    const rn_training_watch *watch = context;
    rn_training_progress q = {(rn_training_stage)p->stage,
                              p->done,
                              p->total,
                              p->epoch,
                              p->epochs,
                              p->step,
                              p->steps,
                              p->loss,
                              p->accuracy,
                              p->gradient_norm,
                              p->lr,
                              p->validation_loss,
                              p->validation_accuracy,
                              p->validation_macro,
                              p->best,
                              p->items_per_second,
                              p->seconds,
                              p->seconds_left};
    return watch->progress ? watch->progress(watch->context, &q) : 0;
}

static void pass_note(void *context, const char *line)
{
    const rn_training_watch *watch = context;
    if (watch->note)
        watch->note(watch->context, line);
}

static rn_train_watch inner_watch(rn_training_watch *watch)
{
    return (rn_train_watch){pass_progress, pass_note, watch, watch->command, watch->data_name};
}

int rn_training_open(rn_training **training, rn_data *data, const char *options, const char *folder, int resume,
                     const rn_training_watch *watch, rn_error *err)
{
    int status;
    rn_train_options *o = malloc(sizeof *o);
    rn_training *t = calloc(1, sizeof *t);
    unsigned state = rn_fp_enter();
    *training = NULL;
    if (!o || !t) {
        status = rn_error_memory(err, "a training", sizeof *o);
        goto fail;
    }
    if (watch)
        t->watch = *watch;
    t->data = data;
    rn_train_watch inner = inner_watch(&t->watch);
    rn_resume how = resume == RN_TRAINING_RESUME_ARITHMETIC ? RN_RESUME_ANY_ARITHMETIC : resume ? RN_RESUME : RN_RESUME_NO;
    if ((status = read_options(o, options, folder, resume, err)) ||
        (status = rn_trainer_open(&t->trainer, data->dataset, o, folder, how, &inner, err)))
        goto fail;
    *training = t;
    t = NULL;
fail:
    rn_training_close(&t);
    free(o);
    rn_fp_leave(state);
    return status;
}

void rn_training_close(rn_training **training)
{
    if (!*training)
        return;
    rn_trainer_close(&(*training)->trainer);
    free(*training);
    *training = NULL;
}

int rn_training_run(rn_training *t, rn_training_result *result, rn_error *err)
{
    rn_train_result r;
    memset(&r, 0, sizeof r);
    if (t->taken)
        return rn_error_set(err, RN_ERR_ARG, "training: its model was handed over");
    unsigned state = rn_fp_enter();
    int status = rn_trainer_run(t->trainer, &r, err);
    rn_fp_leave(state);
    if (result)
        *result = (rn_training_result){r.epochs,
                                       r.best_epoch,
                                       r.stopped_early,
                                       r.steps,
                                       r.left_out,
                                       r.bad,
                                       r.loss,
                                       r.accuracy,
                                       r.validation_loss,
                                       r.validation_accuracy,
                                       r.validation_macro,
                                       r.test_items,
                                       r.test_loss,
                                       r.test_accuracy,
                                       r.test_macro,
                                       r.test_low,
                                       r.test_high,
                                       r.seconds};
    return status;
}

char *rn_training_options(const rn_training *t)
{
    return rn_result_text(rn_train_options_to_json(rn_trainer_options(t->trainer), rn_dataset_kind(t->data->dataset)), NULL);
}

int rn_training_take_model(rn_training *t, rn_model **model, rn_error *err)
{
    *model = NULL;
    if (t->taken)
        return rn_error_set(err, RN_ERR_ARG, "training: its model was handed over already");
    *model = rn_trainer_take_model(t->trainer);
    if (!*model)
        return rn_error_set(err, RN_ERR_ARG, "training: there is no model before rn_training_run");
    t->taken = 1;
    return 0;
}

/* ---- What a run would be ---- */

int rn_tools_recipes(char **result, rn_error *err)
{
    json_t *all = json_array();
    const rn_recipe *recipe;
    for (int i = 0; (recipe = rn_recipe_at(i)); i++) {
        json_t *options = json_object();
        for (int k = 0; recipe->options[k].key; k++)
            rn_result_set(&options, recipe->options[k].key, json_string(recipe->options[k].text));
        rn_result_add(&all, json_pack("{s:s, s:s, s:o}", "name", recipe->name, "source", recipe->source, "options", options));
    }
    *result = rn_result_text(all, err);
    return *result ? 0 : RN_ERR_MEMORY;
}

static json_t *plan_object(const rn_train_plan *p, const rn_dataset *dataset)
{
    json_t *classes = json_array(), *all;
    for (int i = 0; i < p->classes; i++)
        rn_result_add(&classes,
                      json_pack("{s:s, s:i, s:i, s:i}", "label", dataset->labels[i], "train", p->per_class[i * RN_PARTS + RN_PART_TRAIN],
                                "validation", p->per_class[i * RN_PARTS + RN_PART_VALIDATION], "test",
                                p->per_class[i * RN_PARTS + RN_PART_TEST]));
    all = json_pack("{s:i, s:{s:i, s:i, s:i}, s:i, s:f, s:s, s:[i,i,i], s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I}, s:f, s:f, s:o, s:o}",
                    "items", dataset->count, "parts", "train", p->parts[RN_PART_TRAIN], "validation", p->parts[RN_PART_VALIDATION], "test",
                    p->parts[RN_PART_TEST], "bad", p->bad, "seconds", p->total_seconds, "kind",
                    rn_kind_name(p->kind), "input", p->c, p->h, p->w, "parameters", (json_int_t)p->parameters, "macs", (json_int_t)p->macs,
                    "steps", (json_int_t)p->steps, "left_out", (json_int_t)p->left_out, "bytes", "engine", (json_int_t)p->bytes_engine,
                    "weights", (json_int_t)p->bytes_weights, "cache", (json_int_t)p->bytes_cache, "step_seconds", p->step_seconds,
                    "run_seconds", p->run_seconds, "classes", classes, "options", rn_train_options_to_json(&p->options, p->kind));
    if (all && dataset->several)
        rn_result_set(&all, "labels_kind", json_string("several"));
    return all;
}

int rn_training_plan(rn_training *t, char **result, rn_error *err)
{
    rn_train_plan *plan = calloc(1, sizeof *plan);
    *result = NULL;
    if (!plan)
        return rn_error_memory(err, "a plan", sizeof *plan);
    int status = rn_trainer_plan(t->trainer, plan, err);
    if (!status) {
        *result = rn_result_text(plan_object(plan, t->data->dataset), err);
        status = *result ? 0 : RN_ERR_MEMORY;
    }
    rn_train_plan_free(plan);
    free(plan);
    return status;
}

int rn_training_estimate(rn_data *data, const char *options, const rn_training_watch *watch, char **result, rn_error *err)
{
    rn_train_plan *plan = calloc(1, sizeof *plan);
    rn_train_options *o = malloc(sizeof *o);
    rn_training_watch outer = {0};
    unsigned state = rn_fp_enter();
    int status = 0;
    *result = NULL;
    if (watch)
        outer = *watch;
    rn_train_watch inner = inner_watch(&outer);
    if (!plan || !o)
        status = rn_error_memory(err, "a plan", sizeof *plan);
    else if (!(status = read_options(o, options, NULL, 0, err)) && !(status = rn_train_dry_run(data->dataset, o, &inner, plan, err))) {
        *result = rn_result_text(plan_object(plan, data->dataset), err);
        status = *result ? 0 : RN_ERR_MEMORY;
    }
    if (plan)
        rn_train_plan_free(plan);
    free(plan);
    free(o);
    rn_fp_leave(state);
    return status;
}
