/* A folder with one sub-folder per class, searched to any depth below a class.
 *
 * Names are taken in byte order; those that begin with a dot are passed over. What lies there itself is taken first, symbolic links
 * after it: so a file counts under the class it lies in, and a link to a folder or file that was taken before is reported and adds
 * nothing. Files and folders are known by (device, inode). */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "data/listing.h"

typedef struct rn_place {
    char *path;   /* as it can be opened */
    char *name;   /* below the data set's folder */
    size_t label; /* length of the class's name at the start of `name`; 0 in the data set's folder itself */
    int parent;   /* index of the folder that holds it, -1 */
    dev_t device;
    ino_t inode;
} rn_place;

typedef struct rn_places {
    rn_place *list;
    int count, capacity;
} rn_places;

typedef struct rn_inode {
    dev_t device;
    ino_t inode;
} rn_inode;

/* Open addressing; inode 0 of device 0 marks an empty slot and is no file's. */
typedef struct rn_inodes {
    rn_inode *slots;
    size_t count, capacity;
} rn_inodes;

typedef struct rn_walk {
    rn_listing *listing;
    rn_places folders, links;
    rn_inodes files, seen; /* files taken, folders taken */
    int stray;             /* files beside the class folders */
    char *first_stray;
    int loops, again;
} rn_walk;

static size_t inode_slot(const rn_inodes *set, dev_t device, ino_t inode)
{
    size_t at = ((size_t)inode * 0x9E3779B97F4A7C15u ^ (size_t)device * 0xC2B2AE3D27D4EB4Fu) & (set->capacity - 1);
    while ((set->slots[at].device || set->slots[at].inode) && (set->slots[at].device != device || set->slots[at].inode != inode))
        at = (at + 1) & (set->capacity - 1);
    return at;
}

/* *known: it was there already. */
static int inode_add(rn_inodes *set, dev_t device, ino_t inode, int *known, rn_error *err)
{
    if (2 * (set->count + 1) > set->capacity) {
        rn_inodes larger = {NULL, set->count, set->capacity ? 2 * set->capacity : 1024};
        if (!(larger.slots = calloc(larger.capacity, sizeof *larger.slots)))
            return rn_error_memory(err, "listing a folder", larger.capacity * sizeof *larger.slots);
        for (size_t i = 0; i < set->capacity; i++)
            if (set->slots[i].device || set->slots[i].inode)
                larger.slots[inode_slot(&larger, set->slots[i].device, set->slots[i].inode)] = set->slots[i];
        free(set->slots);
        *set = larger;
    }
    size_t at = inode_slot(set, device, inode);
    *known = set->slots[at].device || set->slots[at].inode;
    if (!*known) {
        set->slots[at] = (rn_inode){device, inode};
        set->count++;
    }
    return 0;
}

static int add_place(rn_places *places, const rn_place *place, rn_error *err)
{
    if (places->count == places->capacity) {
        int capacity = places->capacity ? 2 * places->capacity : 64;
        rn_place *list = realloc(places->list, (size_t)capacity * sizeof *list);
        if (!list)
            return rn_error_memory(err, "listing a folder", (unsigned long long)capacity * sizeof *list);
        places->list = list;
        places->capacity = capacity;
    }
    rn_place copy = *place;
    copy.path = strdup(place->path);
    copy.name = strdup(place->name);
    if (!copy.path || !copy.name) {
        free(copy.path);
        free(copy.name);
        return rn_error_memory(err, "listing a folder", strlen(place->path));
    }
    places->list[places->count++] = copy;
    return 0;
}

static void free_places(rn_places *places)
{
    for (int i = 0; i < places->count; i++) {
        free(places->list[i].path);
        free(places->list[i].name);
    }
    free(places->list);
}

static int add_file(rn_walk *w, const rn_place *place, const struct stat *info, rn_error *err)
{
    if (!place->label) {
        if (!w->stray++ && !(w->first_stray = strdup(place->name)))
            return rn_error_memory(err, "a file name", strlen(place->name));
        return 0;
    }
    int known = 0, status = rn_listing_wants(w->listing, place->path, place->name, err);
    if (status <= 0)
        return status;
    if ((status = inode_add(&w->files, info->st_dev, info->st_ino, &known, err)))
        return status;
    if (known) {
        if (++w->again > RN_WARNINGS_OF_A_KIND)
            return 0;
        return rn_listing_warn(w->listing, err, "%.400s is a file that was listed before under another name; it counts once", place->name);
    }
    char *label = strndup(place->name, place->label), *below = rn_text_printable(place->name + place->label + 1);
    if (label && below) {
        const char *extension = rn_text_extension(below);
        if (*extension)
            below[extension - 1 - below] = 0;
        rn_entry entry = {place->path, place->name, label, below, 0, 0, 1, RN_PART_NONE};
        status = rn_listing_add(w->listing, &entry, err);
    } else
        status = rn_error_memory(err, "a file name", strlen(place->name));
    free(label);
    free(below);
    return status;
}

/* A folder is kept in the list and read later; a loop or a second way to it is reported. */
static int add_folder(rn_walk *w, rn_place *place, const struct stat *info, rn_error *err)
{
    int known = 0, status = inode_add(&w->seen, info->st_dev, info->st_ino, &known, err);
    place->device = info->st_dev;
    place->inode = info->st_ino;
    if (status || !known)
        return status ? status : add_place(&w->folders, place, err);
    for (int i = place->parent; i >= 0; i = w->folders.list[i].parent)
        if (w->folders.list[i].device == info->st_dev && w->folders.list[i].inode == info->st_ino) {
            if (++w->loops > RN_WARNINGS_OF_A_KIND)
                return 0;
            return rn_listing_warn(w->listing, err, "%.400s is a link to a folder that it lies in (a loop); not followed", place->name);
        }
    for (int i = 0; i < w->folders.count; i++)
        if (w->folders.list[i].device == info->st_dev && w->folders.list[i].inode == info->st_ino) {
            if (++w->again > RN_WARNINGS_OF_A_KIND)
                return 0;
            return rn_listing_warn(w->listing, err, "%.280s is a link to %.280s, whose files are listed there; they count once",
                                   place->name, *w->folders.list[i].name ? w->folders.list[i].name : "the data set's folder");
        }
    return 0;
}

int rn_compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int rn_names_read(const char *path, char ***names, int *count, rn_error *err)
{
    DIR *folder = opendir(path);
    int capacity = 0, status = 0;
    struct dirent *entry;
    *names = NULL;
    *count = 0;
    if (!folder)
        return rn_error_set(err, RN_ERR_IO, "%.500s: %s", path, rn_errno_text(errno));
    while (!status && (errno = 0, entry = readdir(folder))) {
        if (entry->d_name[0] == '.')
            continue;
        if (*count == capacity) {
            capacity = capacity ? 2 * capacity : 64;
            char **larger = realloc(*names, (size_t)capacity * sizeof *larger);
            if (!larger) {
                status = rn_error_memory(err, "listing a folder", (unsigned long long)capacity * sizeof *larger);
                break;
            }
            *names = larger;
        }
        if (!((*names)[*count] = strdup(entry->d_name)))
            status = rn_error_memory(err, "listing a folder", strlen(entry->d_name));
        else
            ++*count;
    }
    if (!status && errno)
        status = rn_error_set(err, RN_ERR_IO, "%.500s: %s", path, rn_errno_text(errno));
    closedir(folder);
    if (*count)
        qsort(*names, (size_t)*count, sizeof **names, rn_compare_texts);
    return status;
}

/* One name in a folder: a file, a folder, or a link that waits for its turn. */
static int take(rn_walk *w, int parent, const char *name, rn_error *err)
{
    const rn_place *folder = &w->folders.list[parent];
    struct stat info;
    char *path = NULL, *below = NULL;
    int status = 0;
    if (asprintf(&path, "%s/%s", folder->path, name) < 0)
        path = NULL;
    if (asprintf(&below, "%s%s%s", folder->name, *folder->name ? "/" : "", name) < 0)
        below = NULL;
    rn_place place = {path, below, folder->label, parent, 0, 0};
    if (!path || !below)
        status = rn_error_memory(err, "a file name", strlen(name));
    else if (lstat(path, &info))
        status = rn_error_set(err, RN_ERR_IO, "%.500s: %s", path, rn_errno_text(errno));
    else if (S_ISLNK(info.st_mode)) {
        place.label = folder->label ? folder->label : strlen(name);
        status = add_place(&w->links, &place, err);
    } else if (S_ISDIR(info.st_mode)) {
        place.label = folder->label ? folder->label : strlen(name);
        status = add_folder(w, &place, &info, err);
    } else if (S_ISREG(info.st_mode))
        status = add_file(w, &place, &info, err);
    free(path);
    free(below);
    return status;
}

void rn_names_free(char **names, int count)
{
    for (int i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

static int read_folder(rn_walk *w, int index, rn_error *err)
{
    char **names;
    int count, status = rn_names_read(w->folders.list[index].path, &names, &count, err);
    for (int i = 0; i < count && !status; i++)
        status = take(w, index, names[i], err);
    rn_names_free(names, count);
    return status;
}

static int follow_link(rn_walk *w, int index, rn_error *err)
{
    rn_place place = w->links.list[index];
    struct stat info;
    if (stat(place.path, &info))
        return rn_listing_warn(w->listing, err, "%.400s is a link that leads nowhere (%s)", place.name, rn_errno_text(errno));
    if (S_ISDIR(info.st_mode))
        return add_folder(w, &place, &info, err);
    if (!S_ISREG(info.st_mode))
        return 0;
    if (place.parent == 0)
        place.label = 0; /* a file beside the class folders */
    return add_file(w, &place, &info, err);
}

static int compare_places(const void *a, const void *b)
{
    return strcmp(((const rn_place *)a)->name, ((const rn_place *)b)->name);
}

/* A class folder of the data set's own in which nothing was found would silently become no class. */
static int check_empty_classes(rn_walk *w, rn_error *err)
{
    const rn_dataset *d = w->listing->dataset;
    for (int f = 1; f < w->folders.count; f++) {
        const rn_place *folder = &w->folders.list[f];
        int found = 0;
        if (folder->parent != 0)
            continue;
        for (int i = 0; i < d->count && !found; i++)
            found = !strncmp(w->listing->item_labels[i], folder->name, folder->label) && !w->listing->item_labels[i][folder->label];
        if (found)
            continue;
        for (int u = 0; u < w->listing->unknown_count; u++)
            if (!strncmp(w->listing->unknown[u].first, folder->name, folder->label) && w->listing->unknown[u].first[folder->label] == '/')
                return rn_error_set(
                    err, RN_ERR_DATA,
                    "%.500s: no recording that can be decoded in this class's folder, only files like %.200s; convert them, "
                    "or remove the folder",
                    folder->path, w->listing->unknown[u].first);
        return rn_error_set(err, RN_ERR_DATA, "%.500s: no recording in this class's folder; add some, or remove the folder", folder->path);
    }
    return 0;
}

static int walk(rn_walk *w, rn_error *err)
{
    int status = 0, folder = 0, link = 0;
    while (!status && (folder < w->folders.count || link < w->links.count)) {
        if (folder < w->folders.count) {
            status = read_folder(w, folder++, err);
            if (folder == w->folders.count && link < w->links.count)
                qsort(w->links.list + link, (size_t)(w->links.count - link), sizeof *w->links.list, compare_places);
        } else
            status = follow_link(w, link++, err);
    }
    if (!status && w->again > RN_WARNINGS_OF_A_KIND)
        status = rn_listing_warn(w->listing, err, "%d more files or folders are reached twice through links; each counts once",
                                 w->again - RN_WARNINGS_OF_A_KIND);
    if (!status && w->loops > RN_WARNINGS_OF_A_KIND)
        status = rn_listing_warn(w->listing, err, "%d more links lead into folders that they lie in", w->loops - RN_WARNINGS_OF_A_KIND);
    return status;
}

int rn_listing_folder(rn_listing *l, const char *path, rn_error *err)
{
    rn_walk w = {.listing = l};
    struct stat info;
    char *root = strdup(path);
    int status;
    if (!root)
        return rn_error_memory(err, "a path", strlen(path));
    for (size_t n = strlen(root); n > 1 && root[n - 1] == '/'; n--)
        root[n - 1] = 0;
    rn_place place = {root, (char *)"", 0, -1, 0, 0};
    if (stat(root, &info))
        status = rn_error_set(err, RN_ERR_IO, "%.500s: %s", root, rn_errno_text(errno));
    else
        status = add_folder(&w, &place, &info, err);
    if (!status)
        status = walk(&w, err);
    if (!status && w.stray && w.folders.count == 1)
        status = rn_error_set(err, RN_ERR_DATA,
                              "%.500s: %d files and no class folder; put each class's recordings into a folder of its own, or a table of selections "
                              "(.txt of Raven or Audacity) beside each", path, w.stray);
    else if (!status && w.folders.count == 1)
        status = rn_error_set(err, RN_ERR_DATA,
                              "%.400s: no class folder in it; DATA is %s", path, RN_DATA_IS);
    if (!status && w.stray)
        status = rn_listing_warn(l, err, "%d files beside the class folders belong to no class (first: %.200s)", w.stray, w.first_stray);
    if (!status)
        status = check_empty_classes(&w, err);
    free_places(&w.folders);
    free_places(&w.links);
    free(w.files.slots);
    free(w.seen.slots);
    free(w.first_stray);
    free(root);
    return status;
}
