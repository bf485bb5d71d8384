/* Recipes: what they set, and that options which are given go before, wherever they stand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "train/options.h"
#include "train/recipes.h"
#include "train/schedule.h"

static rn_train_options o; /* large */

static void set(const char *json)
{
    rn_error err = {0};
    json_t *object = json_loads(json, 0, NULL);
    assert_non_null(object);
    rn_train_options_default(&o);
    if (rn_train_options_from_json(&o, object, NULL, &err))
        fail_msg("%s: %s", json, err.text);
    json_decref(object);
}

/* A row whose option was renamed, or whose value is out of its range, would make the recipe useless. */
static void rows_are_options(void **state)
{
    (void)state;
    const rn_recipe *recipe;
    char json[64];
    rn_error err = {0};
    for (int i = 0; (recipe = rn_recipe_at(i)); i++) {
        assert_ptr_equal(rn_recipe_find(recipe->name), recipe);
        for (int k = 0; recipe->options[k].key; k++)
            assert_true(k < RN_RECIPE_OPTIONS_MAX - 1 && rn_train_options_known(recipe->options[k].key));
        snprintf(json, sizeof json, "{\"recipe\": \"%s\"}", recipe->name);
        set(json);
        if (rn_train_options_check(&o, &err))
            fail_msg("%s: %s", recipe->name, err.text);
    }
    assert_null(rn_recipe_find("he"));
}

/* 64k steps of 128 with a tenth after 32k and 48k, as the paper says, on its 50,000 pictures. */
static void cifar_is_the_papers(void **state)
{
    (void)state;
    set("{\"recipe\": \"he-cifar\"}");
    int steps = (50000 + 127) / 128;
    assert_true(abs(o.epochs * steps - 64000) < 200);
    assert_true(rn_schedule_lr(&o, steps, 0) == 0.1 && rn_schedule_lr(&o, steps, 31800) == 0.1);
    assert_true(rn_schedule_lr(&o, steps, 32200) == 0.1 * 0.1 && rn_schedule_lr(&o, steps, 48200) == 0.1 * 0.1 * 0.1);
    assert_true(o.momentum == 0.9 && !o.nesterov && o.weight_decay == 1e-4 && o.decay_all && o.init_weights == RN_INIT_HE);
}

static void given_goes_before(void **state)
{
    (void)state;
    rn_error err = {0};
    set("{\"epochs\": 7, \"lr\": 0.3, \"recipe\": \"torchvision\", \"nesterov\": true}");
    assert_true(o.epochs == 7 && o.lr == 0.3 && o.nesterov == 1 && o.batch == 256 && o.milestones_count == 2);
    set("{\"step_epochs\": 20, \"recipe\": \"torchvision\"}"); /* another way to say when the rate falls */
    assert_true(o.step_epochs == 20 && o.milestones_count == 0);
    set("{\"milestones\": [1.5, 3], \"recipe\": \"torchvision\"}");
    assert_true(o.milestones_count == 2 && o.milestones[0] == 1.5 && o.step_epochs == 0);
    json_t *unknown = json_pack("{s:s}", "recipe", "resnet"), *falling = json_pack("{s:[i,i]}", "milestones", 9, 3);
    assert_int_equal(rn_train_options_from_json(&o, unknown, NULL, &err), RN_ERR_ARG);
    assert_non_null(strstr(err.text, "he-cifar"));
    assert_int_equal(rn_train_options_from_json(&o, falling, NULL, &err), RN_ERR_ARG);
    assert_non_null(strstr(err.text, "--milestones"));
    json_decref(unknown);
    json_decref(falling);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_options),
        cmocka_unit_test(cifar_is_the_papers),
        cmocka_unit_test(given_goes_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
