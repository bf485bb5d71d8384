/* resnet dump: one stage of the way from a file to the answer. */
#include <stdio.h>
#include <string.h>

#include "cli.h"

static int list_stages(const command *c, const rn_model *model)
{
    rn_error err = {0};
    char *result = NULL, shape[64];
    size_t i;
    json_t *row;
    if (rn_tools_dump_list(model, &result, &err))
        return fail_with(&err);
    json_t *list = take_result(result);
    if (!list)
        return EXIT_WORK;
    if (option_flag(c, "json"))
        print_json(list);
    else
        json_array_foreach(list, i, row)
        {
            shape_text(shape, json_object_get(row, "shape"));
            printf("%-32s  %s\n", json_string_value(json_object_get(row, "stage")), shape);
        }
    json_decref(list);
    return EXIT_DONE;
}

int verb_dump(const command *c)
{
    rn_error err = {0};
    rn_model *model = NULL;
    rn_listen listen;
    char *result = NULL, shape[64];
    const char *stage = option_text(c, "stage"), *out = option_text(c, "out");
    int status = listen_options(c, &listen);
    if (status)
        return status;
    if (!option_flag(c, "list") && (c->arguments_count < 2 || !stage)) {
        complain("dump: want a PATH and --stage, or --list. See: resnet help dump");
        return EXIT_USE;
    }
    if (rn_model_load(&model, c->arguments[0], &err)) {
        status = fail_with(&err);
        goto done;
    }
    if (option_flag(c, "list")) {
        status = list_stages(c, model);
        goto done;
    }
    if (rn_tools_dump(model, c->arguments[1], &listen, option_number(c, "start", -1), stage, out, &result, &err)) {
        status = fail_with(&err);
        goto done;
    }
    json_t *all = take_result(result);
    status = all ? EXIT_DONE : EXIT_WORK;
    if (option_flag(c, "json") && all) {
        print_json(all);
    } else if (all) {
        shape_text(shape, json_object_get(all, "shape"));
        printf("%s   %s   min %.6g, max %.6g, mean %.6g%s%s\n", stage, shape, real_of(all, "min"), real_of(all, "max"),
               real_of(all, "mean"), out ? "   -> " : "", out ? out : "");
        if (real_of(all, "not_finite") > 0)
            printf("%.0f values are not finite\n", real_of(all, "not_finite"));
    }
    json_decref(all);
done:
    rn_model_close(&model);
    return status;
}
