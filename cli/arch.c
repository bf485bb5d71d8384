/* resnet arch: the table of a network. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

void print_network(const json_t *arch)
{
    static const struct {
        const char *key, *usual, *word;
    } texts[] = {{"stem", "3x3", "stem"}, {"stem_pool", "same", "stem pool"}, {"stride_at", "3x3", "stride at"}};
    printf("%s %s, width %lld, shortcut %s", text_of(arch, "block"), text_of(arch, "blocks"), number_of(arch, "width"),
           text_of(arch, "shortcut"));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(text_of(arch, texts[i].key), texts[i].usual) != 0)
            printf(", %s %s", texts[i].word, text_of(arch, texts[i].key));
    if (number_of(arch, "groups") > 1)
        printf(", groups %lld", number_of(arch, "groups"));
    if (number_of(arch, "group_width") != 64)
        printf(", group width %lld", number_of(arch, "group_width"));
    if (number_of(arch, "se"))
        printf(", se %lld", number_of(arch, "se"));
    printf("%s%s", number_of(arch, "preact") ? ", v2" : "", number_of(arch, "shortcut_pool") ? ", shortcut pool" : "");
}

static void print_list(const json_t *list)
{
    size_t i;
    json_t *row;
    const char *use = "";
    printf("%-16s  %-9s  %11s  %6s   at its default width and input\n", "name", "input", "parameters", "GMAC");
    json_array_foreach(list, i, row)
    {
        char shape[64], count[32];
        if (strcmp(use, text_of(row, "use")) != 0)
            printf("\n%s\n", use = text_of(row, "use"));
        shape_text(shape, json_object_get(row, "input"));
        printf("%-16s  %-9s  %11s  %6.2f   ", text_of(row, "arch"), shape, text_count(count, number_of(row, "parameters")),
               1e-9 * (double)number_of(row, "macs"));
        print_network(row);
        printf("\n");
    }
}

static void print_table(const json_t *table)
{
    size_t i;
    json_t *row;
    char shape[64], count[32], macs[32];
    shape_text(shape, json_object_get(table, "input"));
    printf("%s   ", text_of(table, "arch"));
    print_network(table);
    printf(", pool %s, input %s, %lld classes, embedding %lld\n\n", text_of(table, "pool"), shape, number_of(table, "classes"),
           number_of(table, "embedding"));
    printf("%-22s  %-12s  %-8s  %-14s  %12s  %15s\n", "layer", "kind", "kernel", "output", "parameters", "MACs");
    json_array_foreach(json_object_get(table, "layers"), i, row)
    {
        char kernel[32] = "";
        shape_text(shape, json_object_get(row, "output"));
        if (json_object_get(row, "kernel"))
            snprintf(kernel, sizeof kernel, "%s/%lld", text_of(row, "kernel"), number_of(row, "stride"));
        printf("%-22s  %-12s  %-8s  %-14s  %12s  %15s\n", text_of(row, "name"), text_of(row, "kind"), kernel, shape,
               text_count(count, number_of(row, "parameters")), text_count(macs, number_of(row, "macs")));
    }
    printf("\n%s parameters, %.2f GMAC\n", text_count(count, number_of(table, "parameters")), 1e-9 * (double)number_of(table, "macs"));
}

int verb_arch(const command *c)
{
    rn_error err = {0};
    char *result = NULL, *options = NULL;
    size_t i;
    json_t *object = options_object(c), *warning;
    json_object_del(object, "threads");
    int status, listing = !c->arguments_count && !json_object_size(object);
    if (c->arguments_count && json_object_set_new(object, "arch", json_string(c->arguments[0]))) {
        json_decref(object);
        complain("arch: this name is not UTF-8, so it is no network's");
        return EXIT_USE;
    }
    options = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    status = listing ? rn_tools_arch_list(&result, &err) : rn_tools_arch(options, &result, &err);
    free(options);
    if (status)
        return fail_with(&err);
    json_t *table = take_result(result);
    if (!table)
        return EXIT_WORK;
    json_array_foreach(json_object_get(table, "warnings"), i, warning) complain("%s", json_string_value(warning));
    if (option_flag(c, "json"))
        print_json(table);
    else if (listing)
        print_list(table);
    else
        print_table(table);
    json_decref(table);
    return EXIT_DONE;
}
