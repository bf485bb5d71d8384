/* resnet convert: weight files of other projects become models, and models their files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

/* A pattern as people read it: "layer%s.%b.conv%k" -> "layer*.*.conv*". */
static const char *plain(const char *pattern, char text[80])
{
    size_t at = 0;
    for (; *pattern && at < 79; pattern++) {
        text[at++] = *pattern == '%' ? '*' : *pattern;
        pattern += *pattern == '%';
    }
    text[at] = 0;
    return text;
}

/* Is this one of the things that the file leaves open? */
static int asked(const json_t *all, const char *key)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(all, "asks"), i, one) if (!strcmp(json_string_value(one), key)) return 1;
    return 0;
}

static void print_recognised(const json_t *all)
{
    const json_t *arch = json_object_get(all, "arch");
    char count[32], classes[32], embedding[48] = "", stride[48] = "";
    if (!arch)
        return;
    if (number_of(arch, "embedding"))
        snprintf(embedding, sizeof embedding, ", embedding %lld", number_of(arch, "embedding"));
    if (!strcmp(text_of(arch, "block"), "bottleneck"))
        snprintf(stride, sizeof stride, ", stride at %.8s", asked(all, "stride_at") ? "?" : text_of(arch, "stride_at"));
    printf("network   %s, width %lld, %lld channels in, stem %s, shortcut %s%s, pool %s%s, %s classes; %s parameters\n",
           text_of(arch, "name"), number_of(arch, "width"), number_of(arch, "in_channels"), text_of(arch, "stem"),
           asked(all, "shortcut") ? "?" : text_of(arch, "shortcut"), stride, asked(all, "pool") ? "?" : text_of(arch, "pool"), embedding,
           text_count(classes, number_of(arch, "classes")), text_count(count, number_of(all, "parameters")));
}

static void print_preparation(const json_t *all)
{
    static const char *const sections[] = {"pictures", "features"};
    const json_t *input = json_object_get(all, "input");
    char shape[64];
    for (int i = 0; i < 2; i++) {
        json_t *section = json_object_get(all, sections[i]);
        char *text = section ? json_dumps(section, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
        if (text)
            printf("%-9s %s\n", sections[i], text);
        free(text);
    }
    if (input) {
        shape_text(shape, input);
        printf("input     %s\n", shape);
    }
}

static void print_labels(const json_t *labels)
{
    size_t i;
    json_t *label;
    char count[32];
    if (!json_array_size(labels))
        return;
    printf("labels    ");
    json_array_foreach(labels, i, label)
    {
        if (i == 4)
            break;
        printf("%s%s", i ? ", " : "", json_string_value(label));
    }
    if (json_array_size(labels) > 4)
        printf(" ... %s in all", text_count(count, (int64_t)json_array_size(labels)));
    printf("\n");
}

/* Tensors in a state, one a line, the first `most` of them. */
static void print_state(const json_t *tensors, const char *state, int most)
{
    size_t i;
    int shown = 0, count = 0;
    json_t *row;
    json_array_foreach(tensors, i, row)
    {
        char shape[64];
        if (strcmp(text_of(row, "state"), state) || ++count > most)
            continue;
        shape_text(shape, json_object_get(row, "shape"));
        printf("%-9s %s  %s%s%s\n", shown++ ? "" : state, text_of(row, "name"), *shape ? shape : "one number",
               *text_of(row, "why") ? ": " : "", text_of(row, "why"));
    }
    if (count > most)
        printf("%-9s and %d more; --json has all\n", "", count - most);
}

static void print_missing(const json_t *missing, int most)
{
    size_t i;
    json_t *row;
    json_array_foreach(missing, i, row)
    {
        char shape[64];
        if ((int)i == most)
            break;
        shape_text(shape, json_object_get(row, "shape"));
        printf("%-9s %s  %s\n", i ? "" : "missing", text_of(row, "name"), shape);
    }
    if ((int)json_array_size(missing) > most)
        printf("%-9s and %zu more; --json has all\n", "", json_array_size(missing) - (size_t)most);
}

static void print_table(const json_t *all)
{
    const json_t *tensors = json_object_get(all, "tensors"), *patterns = json_object_get(all, "patterns");
    char a[32], b[32];
    size_t i, widest = 6;
    json_t *row;
    json_int_t count = (json_int_t)json_array_size(tensors), known = number_of(all, "known");
    int onnx = !strcmp(text_of(all, "format"), "ONNX");
    printf("read      %s (%s, %s): %s tensor%s, ", text_of(all, "path"), text_of(all, "format"), text_bytes(a, number_of(all, "bytes")),
           text_count(b, count), count == 1 ? "" : "s");
    if (onnx)
        printf("known by what its graph computes\n");
    else if (!known)
        printf("none by a name of a network that is known here\n");
    else if (!strcmp(text_of(all, "names"), "ours"))
        printf("%s by our names\n", known == count ? "all" : "some");
    else
        printf("%s by the names of %s\n", known == count ? "all" : "some", text_of(all, "names"));
    print_recognised(all);
    print_preparation(all);
    json_array_foreach(json_object_get(all, "notes"), i, row) printf("note      %s\n", json_string_value(row));
    print_labels(json_object_get(all, "labels"));
    if (onnx && !strcmp(text_of(all, "writes"), "ours"))
        return; /* every tensor has got the name that it is written with */
    json_array_foreach((json_t *)patterns, i, row) widest = strlen(text_of(row, "from")) > widest ? strlen(text_of(row, "from")) : widest;
    json_array_foreach((json_t *)patterns, i, row)
    {
        char from[80], to[80];
        printf("%-9s %-*s  ->  %-24s %5lld\n", i ? "" : "mapped", (int)widest, plain(text_of(row, "from"), from),
               *text_of(row, "to") ? plain(text_of(row, "to"), to) : "no name there", number_of(row, "tensors"));
    }
    print_state(tensors, "ignored", 5);
    print_state(tensors, "unknown", 20);
    print_missing(json_object_get(all, "missing"), 20);
}

int verb_convert(const command *c)
{
    rn_error err = {0};
    rn_conversion *conversion = NULL;
    const char *out = c->arguments_count > 1 ? c->arguments[1] : NULL;
    char *options = NULL, *result = NULL, bytes[32];
    struct stat file;
    int status = EXIT_WORK, dry = option_flag(c, "dry-run");
    if (out && dry) {
        complain("convert: --dry-run writes nothing: leave %s out", out);
        return EXIT_USE;
    }
    if (!out && !dry) {
        complain("convert: say where to write: resnet convert %s OUT.safetensors, or only look with --dry-run", c->arguments[0]);
        return EXIT_USE;
    }
    if (!(options = options_text(c)))
        return EXIT_WORK;
    if (rn_conversion_open(&conversion, c->arguments[0], options, &err) || rn_conversion_result(conversion, &result, &err)) {
        status = fail_with(&err);
        goto done;
    }
    json_t *all = take_result(result);
    if (!all)
        goto done;
    if (option_flag(c, "json"))
        print_json(all);
    else
        print_table(all);
    json_decref(all);
    fflush(stdout); /* the table stands before what went wrong */
    if (rn_conversion_write(conversion, dry ? NULL : out, &err)) {
        status = fail_with(&err);
        goto done;
    }
    if (!dry && !option_flag(c, "json") && !stat(out, &file))
        printf("wrote     %s (%s)\n", out, text_bytes(bytes, file.st_size));
    status = EXIT_DONE;
done:
    free(options);
    rn_conversion_close(&conversion);
    return status;
}
