/* Items with several labels: "robin|wren" as a manifest's `labels` column has it.
 *
 * Labels are separated by | or ; and blanks around them do not count. An item may have none: nothing of what is looked for is in it. The
 * same item in several lines has the labels of all of them. In a data set each item's classes ascend, and its text is theirs, joined by |. */
#include <stdlib.h>
#include <string.h>

#include "data/listing.h"

static int is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The next label of *at, its bytes and length; 0 at the end. Empty ones are passed over. */
static int next_label(const char **at, const char **label, size_t *length)
{
    for (;;) {
        const char *begin = *at + strspn(*at, "|; \t"), *end = begin + strcspn(begin, "|;");
        *at = end;
        if (!*begin)
            return 0;
        while (end > begin && is_blank(end[-1]))
            end--;
        *label = begin;
        *length = (size_t)(end - begin);
        if (*length)
            return 1;
    }
}

int rn_labels_fit(const char *text)
{
    const char *label;
    size_t length;
    while (next_label(&text, &label, &length))
        if (length > RN_LABEL_LIMIT)
            return 0;
    return 1;
}

static int count_labels(const char *text)
{
    const char *label;
    size_t length;
    int count = 0;
    while (next_label(&text, &label, &length))
        count++;
    return count;
}

/* Every different label once, in byte order. */
static int list_classes(rn_dataset *d, char *const *texts, rn_error *err)
{
    size_t total = 0, count = 0, classes = 0;
    for (int i = 0; i < d->count; i++)
        total += (size_t)count_labels(texts[i]);
    char **all = calloc(total + 1, sizeof *all);
    int status = all && total <= RN_ITEMS_LIMIT ? 0 : rn_error_memory(err, "the labels", total * sizeof *all);
    for (int i = 0; i < d->count && !status; i++) {
        const char *at = texts[i], *label;
        size_t length;
        while (!status && next_label(&at, &label, &length))
            if (!(all[count++] = strndup(label, length)))
                status = rn_error_memory(err, "a label", length);
    }
    if (!status) {
        qsort(all, count, sizeof *all, rn_compare_texts);
        for (size_t i = 0; i < count; i++)
            if (!classes || strcmp(all[classes - 1], all[i])) {
                char *other = all[classes];
                all[classes++] = all[i];
                all[i] = other;
            }
        for (size_t i = classes; i < count; i++)
            free(all[i]);
        d->labels = all;
        d->classes = (int)classes;
        return 0;
    }
    for (size_t i = 0; all && i < count; i++)
        free(all[i]);
    free(all);
    return status;
}

static int compare_ints(const void *a, const void *b)
{
    return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

int rn_item_set_labels(const rn_dataset *d, rn_item *item, int *labels, int count, rn_error *err)
{
    size_t length = 1;
    int kept = 0;
    qsort(labels, (size_t)count, sizeof *labels, compare_ints);
    for (int i = 0; i < count; i++)
        if (!kept || labels[kept - 1] != labels[i]) {
            labels[kept++] = labels[i];
            length += strlen(d->labels[labels[i]]) + 1;
        }
    char *text = malloc(length), *end = text;
    if (!text) {
        free(labels);
        return rn_error_memory(err, "an item's labels", length);
    }
    *end = 0;
    for (int i = 0; i < kept; i++) {
        if (i)
            *end++ = '|';
        end = stpcpy(end, d->labels[labels[i]]);
    }
    free(item->labels);
    free(item->labels_text);
    item->labels = labels;
    item->labels_count = kept;
    item->labels_text = text;
    item->label = kept ? labels[0] : 0;
    return 0;
}

static int number_item(const rn_dataset *d, rn_item *item, const char *text, rn_error *err)
{
    int count = 0;
    size_t length;
    const char *label;
    char key[RN_LABEL_LIMIT + 1], *wanted = key;
    int *labels = malloc(((size_t)count_labels(text) + 1) * sizeof *labels);
    if (!labels)
        return rn_error_memory(err, "an item's labels", strlen(text));
    while (next_label(&text, &label, &length)) {
        memcpy(key, label, length);
        key[length] = 0;
        char **found = bsearch(&wanted, d->labels, (size_t)d->classes, sizeof *d->labels, rn_compare_texts);
        labels[count++] = (int)(found - d->labels);
    }
    return rn_item_set_labels(d, item, labels, count, err);
}

int rn_listing_number_several(rn_listing *l, rn_error *err)
{
    rn_dataset *d = l->dataset;
    int status = list_classes(d, l->item_labels, err);
    d->several = 1;
    for (int i = 0; i < d->count && !status; i++)
        status = number_item(d, &d->items[i], l->item_labels[i], err);
    if (!status && !d->classes)
        status = rn_error_set(err, RN_ERR_DATA, "%s: no item has a label; a classifier needs at least one class", d->path);
    return status;
}

int rn_dataset_make_several(rn_dataset *d, rn_error *err)
{
    int status = 0;
    for (int i = 0; i < d->count && !d->several && !status; i++) {
        int *labels = malloc(sizeof *labels);
        if (!labels)
            return rn_error_memory(err, "an item's labels", sizeof *labels);
        *labels = d->items[i].label;
        status = rn_item_set_labels(d, &d->items[i], labels, 1, err);
    }
    d->several = d->several || !status;
    return status;
}

const int *rn_item_classes(const rn_dataset *d, const rn_item *item, int *count)
{
    *count = d->several ? item->labels_count : 1;
    return d->several ? item->labels : &item->label;
}

int rn_item_has(const rn_dataset *d, const rn_item *item, int label)
{
    if (!d->several)
        return item->label == label;
    return item->labels_count && bsearch(&label, item->labels, (size_t)item->labels_count, sizeof label, compare_ints);
}

const char *rn_item_label_text(const rn_dataset *d, const rn_item *item)
{
    return d->several ? item->labels_text : d->labels[item->label];
}
