/* Writing an HTML page that needs no second file: own markup, anybody's text, pictures and sound as data. */
#ifndef RN_REPORT_PAGE_H
#define RN_REPORT_PAGE_H

#include <stddef.h>
#include "base/error.h"

/* {0} is an empty page. What could not be added for want of memory is remembered, and rn_page_save then refuses: nobody needs to look at every call. */
typedef struct rn_page {
    char *text;
    size_t count, room;
    int failed;
} rn_page;

/* Own markup and numbers, as printf. Never somebody's text. */
void rn_page_put(rn_page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Somebody's text, in an element or between double quotes: & < > " ' escaped; what is no UTF-8, controls, and marks that turn the direction of
 * writing are shown as \xNN or \uNNNN. */
void rn_page_text(rn_page *page, const char *text);
/* data:TYPE;base64,... (RFC 2397). */
void rn_page_data(rn_page *page, const char *type, const void *data, size_t size);
/* Another page's text. */
void rn_page_join(rn_page *page, const rn_page *other);
/* RN_ERR_MEMORY if anything was left out; RN_ERR_IO if the file can't be written. Atomic. */
int rn_page_save(const rn_page *page, const char *path, rn_error *err);
void rn_page_free(rn_page *page);

#endif
