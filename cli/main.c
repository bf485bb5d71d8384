/* resnet: the verb table's reader. `resnet VERB ...`, `resnet help VERB`, `resnet completion bash`. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

static const verb *find_verb(int argc, char **argv, int *used)
{
    for (const verb *v = verbs; v->name; v++) {
        const char *blank = strchr(v->name, ' ');
        *used = blank ? 2 : 1;
        if (!blank ? strcmp(v->name, argv[0]) == 0
                   : argc > 1 && strncmp(v->name, argv[0], (size_t)(blank - v->name)) == 0 && !argv[0][blank - v->name] &&
                         strcmp(blank + 1, argv[1]) == 0)
            return v;
    }
    return NULL;
}

static int unknown_verb(int argc, char **argv)
{
    const char *names[40];
    int n = 0;
    if (strcmp(argv[0], "data") == 0) {
        static const char *const kinds[] = {"check", "stats", "split", NULL};
        const char *near = argc > 1 ? nearest_word(argv[1], kinds) : NULL;
        if (argc < 2)
            complain("data: say which: resnet data check DATA, resnet data stats DATA, resnet data split DATA");
        else if (near)
            complain("data: there is no 'data %s': did you mean 'data %s'?", argv[1], near);
        else
            complain("data: there is no 'data %s': there are check, stats and split", argv[1]);
        return EXIT_USE;
    }
    for (const verb *v = verbs; v->name && n < 36; v++)
        names[n++] = v->name;
    names[n++] = "help";
    names[n++] = "completion";
    names[n] = NULL;
    const char *near = nearest_word(argv[0], names);
    if (near)
        complain("there is no verb '%s': did you mean '%s'? See: resnet help", argv[0], near);
    else
        complain("there is no verb '%s'. See: resnet help", argv[0]);
    return EXIT_USE;
}

/* `resnet data --help`: its three verbs. */
static int print_group(const char *group)
{
    size_t length = strlen(group);
    int found = 0;
    for (const verb *v = verbs; v->name; v++)
        if (strncmp(v->name, group, length) == 0 && v->name[length] == ' ') {
            if (!found++)
                printf("usage: resnet %s VERB %s ...\n\n", group, v->arguments);
            printf("  %-12s  %s\n", v->name, v->summary);
        }
    if (found)
        printf("\n`resnet help %s check` and so on explain one.\n", group);
    return found;
}

/* More threads than processors wait for each other; the result is the same. */
static void warn_of_threads(const command *c)
{
    int have = rn_tools_threads();
    long want = option_integer(c, "threads", have);
    if (want > have)
        complain("--threads %ld: this process may use %d processor%s (affinity, cgroup): more threads only make it slower", want, have, have == 1 ? "" : "s");
}

static int run_verb(const verb *v, int argc, char **argv)
{
    command c;
    rn_error err = {0};
    int status = command_parse(&c, v, argc, argv);
    if (!status && c.help)
        print_help(v);
    else if (!status && rn_tools_cpu(option_text(&c, "cpu"), &err))
        status = fail_with(&err);
    else if (!status) {
        warn_of_threads(&c);
        status = v->run(&c);
    }
    command_free(&c);
    return finish_output(status);
}

int main(int argc, char **argv)
{
    int used = 0;
    signal(SIGPIPE, SIG_IGN); /* a reader that goes away is a failed write, with a message */
    if (argc < 2) {
        print_overview(verbs);
        return finish_output(EXIT_USE);
    }
    argc--;
    argv++;
    if (strcmp(argv[0], "--version") == 0) {
        printf("resnet %s\n", rn_version());
        return finish_output(EXIT_DONE);
    }
    if (strcmp(argv[0], "completion") == 0) {
        if (argc != 2 || strcmp(argv[1], "bash")) {
            complain("completion: there is one for bash: resnet completion bash");
            return EXIT_USE;
        }
        print_completion(verbs);
        return finish_output(EXIT_DONE);
    }
    int help = strcmp(argv[0], "help") == 0 || strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0;
    if (help && argc == 1) {
        print_overview(verbs);
        return finish_output(EXIT_DONE);
    }
    argc -= help;
    argv += help;
    const verb *v = find_verb(argc, argv, &used);
    int group_help = (help && argc == 1) || (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0));
    if (!v && group_help && print_group(argv[0]))
        return finish_output(EXIT_DONE);
    if (!v)
        return unknown_verb(argc, argv);
    if (help) {
        print_help(v);
        return finish_output(EXIT_DONE);
    }
    return run_verb(v, argc - used, argv + used);
}
