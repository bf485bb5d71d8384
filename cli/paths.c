/* Paths of `predict` and `embed`: files, and folders that are searched; and what these verbs share. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

enum { DEPTH = 64 };

typedef struct place {
    dev_t device;
    ino_t inode;
} place;

static int set_error(rn_error *err, int code, const char *path, const char *what)
{
    err->code = code;
    snprintf(err->text, sizeof err->text, "%.800s: %s", path, what);
    return code;
}

static const char *reason(void)
{
    return errno == ENOENT ? "No such file or folder" : strerror(errno);
}

static int add_path(path_list *list, const char *path, rn_error *err)
{
    if (list->count == list->room) {
        int room = list->room ? 2 * list->room : 64;
        char **paths = realloc(list->paths, (size_t)room * sizeof *paths);
        if (!paths)
            return set_error(err, RN_ERR_MEMORY, path, "no memory for the list of files");
        list->paths = paths;
        list->room = room;
    }
    if (!(list->paths[list->count] = strdup(path)))
        return set_error(err, RN_ERR_MEMORY, path, "no memory for the list of files");
    list->count++;
    return 0;
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int is_skipped(const path_list *list, const struct stat *folder)
{
    struct stat skip;
    return list->skip && stat(list->skip, &skip) == 0 && skip.st_dev == folder->st_dev && skip.st_ino == folder->st_ino;
}

/* Adds what is readable below a folder; a folder that is one of its own ancestors (a link upwards) is left out. */
static int add_folder(path_list *list, const char *folder, place *above, int depth, rn_error *err)
{
    struct dirent **entries = NULL;
    struct stat info;
    int count, status = 0;
    if (depth >= DEPTH)
        return set_error(err, RN_ERR_IO, folder, "more than 64 folders deep");
    if (stat(folder, &info))
        return set_error(err, RN_ERR_IO, folder, reason());
    for (int i = 0; i < depth; i++)
        if (above[i].device == info.st_dev && above[i].inode == info.st_ino)
            return 0;
    above[depth] = (place){info.st_dev, info.st_ino};
    if ((count = scandir(folder, &entries, visible, compare_names)) < 0)
        return set_error(err, RN_ERR_IO, folder, reason());
    for (int i = 0; i < count; i++) {
        size_t size = strlen(folder) + strlen(entries[i]->d_name) + 2;
        char *path = malloc(size);
        if (!path)
            status = set_error(err, RN_ERR_MEMORY, folder, "no memory for the list of files");
        if (!status) {
            snprintf(path, size, "%s%s%s", folder, folder[strlen(folder) - 1] == '/' ? "" : "/", entries[i]->d_name);
            if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
                status = is_skipped(list, &info) ? 0 : add_folder(list, path, above, depth + 1, err);
            else if (list->model ? rn_tools_takes(list->model, path) : rn_tools_readable(path))
                status = add_path(list, path, err);
        }
        free(path);
        free(entries[i]);
    }
    free(entries);
    return status;
}

int path_list_add(path_list *list, const char *path, rn_error *err)
{
    struct stat info;
    place above[DEPTH];
    int before = list->count, status;
    if (strcmp(path, "-") == 0)
        return add_path(list, path, err);
    if (stat(path, &info))
        return set_error(err, RN_ERR_IO, path, reason());
    if (!S_ISDIR(info.st_mode))
        return add_path(list, path, err);
    if ((status = add_folder(list, path, above, 0, err)))
        return status;
    return list->count > before ? 0 : set_error(err, RN_ERR_DATA, path, "nothing in this folder that can be read");
}

void path_list_free(path_list *list)
{
    for (int i = 0; i < list->count; i++)
        free(list->paths[i]);
    free(list->paths);
    memset(list, 0, sizeof *list);
}

int listen_options(const command *c, rn_listen *listen)
{
    memset(listen, 0, sizeof *listen);
    listen->window_s = option_number(c, "window", 0);
    listen->hop_s = option_number(c, "hop", 0);
    listen->min_probability = option_number(c, "min-prob", 0);
    listen->background = option_text(c, "background");
    listen->raw = option_text(c, "raw");
    listen->raw_rate = (int)option_integer(c, "rate", 0);
    listen->raw_channels = (int)option_integer(c, "channels", 0);
    listen->channel = (int)option_integer(c, "channel", 0);
    listen->max_pixels = option_integer(c, "max-pixels", 0);
    if (listen->raw_rate && !listen->raw) {
        complain("%s: --rate belongs to headerless samples: add --raw s16le (or another kind)", c->verb->name);
        return EXIT_USE;
    }
    if (listen->raw && !listen->raw_rate && strcmp(listen->raw, "gsm")) {
        complain("%s: --raw %s: headerless samples do not say their rate: add --rate HZ", c->verb->name, listen->raw);
        return EXIT_USE;
    }
    return 0;
}

int open_session(const command *c, const char *path, rn_model **model, rn_session **session)
{
    rn_error err = {0};
    rn_session_options options = {0};
    options.threads = (int)option_integer(c, "threads", 0);
    if (rn_model_load(model, path, &err) || rn_session_open(session, *model, &options, &err))
        return fail_with(&err);
    return 0;
}
