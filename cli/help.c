/* Help and shell completion, printed from the verbs' tables. */
#include <stdio.h>
#include <string.h>

#include "cli.h"

enum { WIDTH = 100 };

/* "[--top N]" for every row, wrapped behind the verb. */
static int print_usage_row(const option_row *row, int column, int indent)
{
    char text[96];
    int length = snprintf(text, sizeof text, row->value ? "[--%s %s]" : "[--%s]", row->name,
                          row->kind == OPTION_CHOICE && strlen(row->choices) <= 20 ? row->choices : row->value);
    if (column + 1 + length > WIDTH) {
        printf("\n%*s", indent, "");
        column = indent;
    }
    printf(" %s", text);
    return column + 1 + length;
}

/* The help of one row, wrapped at WIDTH behind the options' column. */
static void print_option(const option_row *row)
{
    char name[64];
    const char *word = row->help;
    int column = 28;
    snprintf(name, sizeof name, row->value ? "--%s %s" : "--%s", row->name, row->kind == OPTION_CHOICE ? row->choices : row->value);
    if (strlen(name) > 24)
        printf("  %s\n%28s", name, "");
    else
        printf("  %-26s", name);
    while (*word) {
        int length = (int)strcspn(word, " ");
        if (column + length > WIDTH) {
            printf("\n%28s", "");
            column = 28;
        }
        printf("%s%.*s", column > 28 ? " " : "", length, word);
        column += length + (column > 28);
        word += length;
        word += strspn(word, " ");
    }
    printf("\n");
}

void print_help(const verb *v)
{
    char head[128];
    int column = snprintf(head, sizeof head, "usage: resnet %s%s%s", v->name, v->arguments[0] ? " " : "", v->arguments);
    printf("%s", head);
    int count = 0;
    for (const option_row *row = v->options; row && row->name; row++)
        count++;
    if (count > 16)
        printf(" [options]");
    for (const option_row *row = v->options; count <= 16 && row && row->name; row++)
        column = print_usage_row(row, column, 14);
    for (const option_row *row = common_options; count <= 16 && row->name; row++)
        column = print_usage_row(row, column, 14);
    printf("\n\n%s\n\n%s\n\noptions\n", v->text, v->example);
    for (const option_row *row = v->options; row && row->name; row++)
        print_option(row);
    for (const option_row *row = common_options; row->name; row++)
        print_option(row);
}

void print_overview(const verb *list)
{
    printf("usage: resnet VERB ...\n\n"
           "Trains, judges and uses residual networks on recordings and pictures. `resnet help VERB` explains one.\n\n");
    for (const verb *v = list; v->name; v++)
        printf("  %-12s  %s\n", v->name, v->summary);
    printf("  %-12s  %s\n", "completion", "a completion script for the shell: source <(resnet completion bash)");
    printf("\n"
           "  resnet train birds --out run              a folder with one sub-folder per class becomes a model\n"
           "  resnet eval run/model.safetensors birds   how good it is on what it was not trained on\n"
           "  resnet predict run/model.safetensors garden.flac\n\n"
           "Exit status: 0 done, 1 the work failed, 2 wrong use, 3 stopped by a signal and resumable.\n");
}

/* Options of one verb as words. */
static void print_words(const verb *v)
{
    for (const option_row *row = v->options; row && row->name; row++)
        printf(" --%s", row->name);
    for (const option_row *row = common_options; row->name; row++)
        printf(" --%s", row->name);
}

/* "--name) choices" for the rows of a table that have choices. */
static void print_choices(const option_row *row)
{
    for (; row && row->name; row++) {
        if (row->kind != OPTION_CHOICE)
            continue;
        printf("    --%s) COMPREPLY=($(compgen -W \"", row->name);
        for (const char *p = row->choices; *p; p++)
            putchar(*p == '|' ? ' ' : *p);
        printf("\" -- \"$word\")); return ;;\n");
    }
}

void print_completion(const verb *list)
{
    printf("# bash completion for resnet; printed by: resnet completion bash\n"
           "_resnet()\n{\n"
           "  local word=\"${COMP_WORDS[COMP_CWORD]}\" before=\"${COMP_WORDS[COMP_CWORD-1]}\" verb=\"${COMP_WORDS[1]}\"\n"
           "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    COMPREPLY=($(compgen -W \"");
    for (const verb *v = list; v->name; v++)
        if (!strchr(v->name, ' '))
            printf("%s ", v->name);
    printf("data help completion\" -- \"$word\"))\n    return\n  fi\n"
           "  if [ \"$verb\" = data ] && [ \"$COMP_CWORD\" -eq 2 ]; then\n    COMPREPLY=($(compgen -W \"");
    for (const verb *v = list; v->name; v++)
        if (strncmp(v->name, "data ", 5) == 0)
            printf("%s%s", v->name + 5, v[1].name && strncmp(v[1].name, "data ", 5) == 0 ? " " : "");
    printf("\" -- \"$word\"))\n    return\n  fi\n"
           "  [ \"$verb\" = data ] && verb=\"data ${COMP_WORDS[2]}\"\n"
           "  case \"$verb $before\" in\n");
    for (const verb *v = list; v->name; v++)
        for (const option_row *row = v->options; row && row->name; row++)
            if (row->kind == OPTION_CHOICE) {
                printf("    \"%s --%s\") COMPREPLY=($(compgen -W \"", v->name, row->name);
                for (const char *p = row->choices; *p; p++)
                    putchar(*p == '|' ? ' ' : *p);
                printf("\" -- \"$word\")); return ;;\n");
            }
    printf("  esac\n  case \"$before\" in\n");
    print_choices(common_options);
    printf("  esac\n  if [[ \"$word\" == -* ]]; then\n    case \"$verb\" in\n");
    for (const verb *v = list; v->name; v++) {
        printf("      \"%s\") COMPREPLY=($(compgen -W \"", v->name);
        print_words(v);
        printf("\" -- \"$word\")); return ;;\n");
    }
    printf("    esac\n  fi\n"
           "  COMPREPLY=($(compgen -f -- \"$word\"))\n"
           "}\n"
           "complete -o filenames -F _resnet resnet\n");
}
