/* Recipes: what a paper or a script trained with, as option texts. A recipe sets these options and no others. */
#ifndef RN_TRAIN_RECIPES_H
#define RN_TRAIN_RECIPES_H

#define RN_RECIPE_OPTIONS_MAX 24

typedef struct rn_recipe {
    const char *name, *source;
    struct {
        const char *key, *text;       /* as rn_train_options_set takes them */
    } options[RN_RECIPE_OPTIONS_MAX]; /* ends with key NULL */
} rn_recipe;

const rn_recipe *rn_recipe_at(int index); /* NULL behind the last */
const rn_recipe *rn_recipe_find(const char *name);

#endif
