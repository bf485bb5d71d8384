/* resnet bench: how fast a network runs here. */
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"

static void print_layers(const json_t *all)
{
    size_t i;
    json_t *row;
    double sum = 0, peak = real_of(all, "peak_gflops");
    json_array_foreach(json_object_get(all, "layers"), i, row) sum += real_of(row, "ms");
    printf("\n%-26s  %-16s  %-14s  %9s  %6s  %9s  %6s\n", "layer", "kind", "output", "ms", "share", "GFLOP/s", "peak");
    json_array_foreach(json_object_get(all, "layers"), i, row)
    {
        const json_t *shape = json_object_get(row, "output");
        char text[48];
        snprintf(text, sizeof text, "%lldx%lldx%lld", json_integer_value(json_array_get(shape, 0)),
                 json_integer_value(json_array_get(shape, 1)), json_integer_value(json_array_get(shape, 2)));
        printf("%-26s  %-16s  %-14s  %9.3f  %4.1f %%  %9.1f  %4.1f %%\n", text_of(row, "name"), text_of(row, "kind"), text,
               real_of(row, "ms"), sum > 0 ? 100 * real_of(row, "ms") / sum : 0, real_of(row, "gflops"),
               peak > 0 ? 100 * real_of(row, "gflops") / peak : 0);
    }
    printf("%-26s  %-16s  %-14s  %9.3f\n", "sum", "", "", sum);
}

/* What memory allows, where it was measured: of a training step its bytes and the time that they alone would take. */
static void print_bytes(const json_t *all)
{
    double speed = real_of(all, "bandwidth_gbs"), bytes = real_of(all, "step_bytes"), mib = 1024 * 1024;
    if (json_object_get(all, "step_bytes")) {
        printf("bytes    %9.1f MiB a step", bytes / mib);
        if (speed > 0)
            printf("   %.*f ms at %.1f GB/s", bytes < 1e7 * speed, 1e-6 * bytes / speed, speed);
        printf("; at least %.1f MiB\n", real_of(all, "floor_bytes") / mib);
    } else if (speed > 0) {
        printf("reading  %9.1f GB/s   from memory, measured in this run\n", speed);
    }
}

static void print_bench(const json_t *all)
{
    const json_t *input = json_object_get(all, "input");
    printf("%s, width %.0f, input %lldx%lldx%lld, batch %.0f, %s, %.0f %s, %s\n", text_of(all, "arch"), real_of(all, "width"),
           json_integer_value(json_array_get(input, 0)), json_integer_value(json_array_get(input, 1)),
           json_integer_value(json_array_get(input, 2)), real_of(all, "batch"), text_of(all, "mode"), real_of(all, "threads"),
           real_of(all, "threads") == 1 ? "thread" : "threads", text_of(all, "isa"));
    printf("median   %9.3f ms   of %.0f runs; 10th to 90th percentile %.1f %%\n", real_of(all, "median_ms"), real_of(all, "runs"),
           100 * real_of(all, "spread"));
    printf("min      %9.3f ms\n", real_of(all, "min_ms"));
    printf("rate     %9.1f items/s\n", real_of(all, "items_per_second"));
    printf("speed    %9.1f GFLOP/s   %.1f %% of %.1f (fused multiply-adds from registers, measured in this run)\n", real_of(all, "gflops"),
           100 * real_of(all, "peak_share"), real_of(all, "peak_gflops"));
    printf("memory   %9.1f MiB   resident at most\n", real_of(all, "rss_mib"));
    print_bytes(all);
    if (json_object_get(all, "layers"))
        print_layers(all);
}

int verb_bench(const command *c)
{
    rn_error err = {0};
    progress live;
    char *result = NULL, *options;
    json_t *object = options_object(c);
    if (json_object_set_new(object, "what", json_string(c->arguments[0]))) {
        json_decref(object);
        complain("bench: this name is not UTF-8, which options are written in: rename the file");
        return EXIT_USE;
    }
    options = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    progress_start(&live, "timing, ms");
    signals_watch();
    int status = rn_tools_bench(options, progress_step, &live, &result, &err);
    progress_end(&live);
    free(options);
    if (status)
        return fail_with(&err);
    json_t *all = take_result(result);
    if (!all)
        return EXIT_WORK;
    if (option_flag(c, "json"))
        print_json(all);
    else
        print_bench(all);
    json_decref(all);
    return EXIT_DONE;
}
