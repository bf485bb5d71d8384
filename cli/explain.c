/* resnet explain: why the network says what it says, as a picture. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static void print_line(const json_t *all, const char *out)
{
    const json_t *of = json_object_get(all, "class"), *answer = json_object_get(all, "answer"), *strongest = json_object_get(all, "strongest");
    printf("%s", text_of(all, "path"));
    if (real_of(all, "end_s") > 0)
        printf("   %.1f - %4.1f s", real_of(all, "start_s"), real_of(all, "end_s"));
    printf("   %s %.1f %%", text_of(of, "label"), 100 * real_of(of, "probability"));
    if (strcmp(text_of(of, "label"), text_of(answer, "label")))
        printf(" (the answer: %s %.1f %%)", text_of(answer, "label"), 100 * real_of(answer, "probability"));
    if (real_of(all, "end_s") > 0)
        printf("   strongest at %.2f s, %.0f Hz", real_of(strongest, "seconds"), real_of(strongest, "hz"));
    else
        printf("   strongest at row %.0f, column %.0f", real_of(strongest, "row"), real_of(strongest, "column"));
    printf("   %s, %s%s%s\n", text_of(all, "method"), text_of(all, "layer"), out ? "   -> " : "", out ? out : "");
}

int verb_explain(const command *c)
{
    rn_error err = {0};
    rn_model *model = NULL;
    rn_listen listen;
    progress live;
    char *result = NULL, *options = NULL;
    const char *out = option_text(c, "out"), *npy = option_text(c, "npy");
    int status = listen_options(c, &listen);
    if (status)
        return status;
    if (!out && !npy && !option_flag(c, "json")) {
        complain("explain: want -o FILE.png, --npy FILE.npy or --json. See: resnet help explain");
        return EXIT_USE;
    }
    if (!(options = options_text(c)))
        return EXIT_WORK;
    if (rn_model_load(&model, c->arguments[0], &err)) {
        status = fail_with(&err);
        goto done;
    }
    signals_watch();
    progress_start(&live, "covering");
    status = rn_tools_explain(model, c->arguments[1], &listen, options, out, npy, progress_step, &live, &result, &err);
    progress_end(&live);
    if (status) {
        status = fail_with(&err);
        goto done;
    }
    json_t *all = take_result(result);
    status = all ? EXIT_DONE : EXIT_WORK;
    if (option_flag(c, "json") && all)
        print_json(all);
    else if (all)
        print_line(all, out ? out : npy);
    json_decref(all);
done:
    free(options);
    rn_model_close(&model);
    return status;
}
