/* One growing text. */
#include "report/page.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/utf8.h"

/* Room for `more` bytes and a NUL behind the text; NULL without memory. */
static char *reserve(rn_page *p, size_t more)
{
    if (p->failed)
        return NULL;
    if (p->count + more + 1 > p->room) {
        size_t room = p->room ? p->room : 4096;
        while (room < p->count + more + 1)
            room *= 2;
        char *text = realloc(p->text, room);
        if (!text) {
            p->failed = 1;
            return NULL;
        }
        p->text = text;
        p->room = room;
    }
    return p->text + p->count;
}

static void put(rn_page *p, const char *text, size_t size)
{
    char *at = reserve(p, size);
    if (!at)
        return;
    memcpy(at, text, size);
    at[size] = 0;
    p->count += size;
}

void rn_page_put(rn_page *p, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    char *at = size < 0 ? NULL : reserve(p, (size_t)size);
    if (at) {
        vsnprintf(at, (size_t)size + 1, format, again);
        p->count += (size_t)size;
    }
    va_end(again);
    va_end(arguments);
}

void rn_page_join(rn_page *p, const rn_page *other)
{
    p->failed |= other->failed;
    if (other->count)
        put(p, other->text, other->count);
}

/* Marks that no one sees and that change how others are shown: separators of lines, directions of writing (Unicode TR 36), byte order. */
static int is_hidden(uint32_t c)
{
    return c == 0x61C || c == 0x200E || c == 0x200F || (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF;
}

void rn_page_text(rn_page *p, const char *text)
{
    uint32_t c = 0;
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        int bytes = rn_utf8_next(s, &c);
        if (!bytes || c < 0x20 || (c >= 0x7F && c < 0xA0))
            rn_page_put(p, "\\x%02X", bytes ? c : s[0]);
        else if (is_hidden(c))
            rn_page_put(p, "\\u%04X", c);
        else if (c == '&' || c == '<' || c == '>' || c == '"' || c == '\'')
            rn_page_put(p, "&#%u;", c);
        else
            put(p, (const char *)s, (size_t)bytes);
        s += bytes ? bytes : 1;
    }
}

void rn_page_data(rn_page *p, const char *type, const void *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *s = data;
    rn_page_put(p, "data:%s;base64,", type);
    char *at = reserve(p, (size + 2) / 3 * 4);
    if (!at)
        return;
    for (size_t i = 0; i < size; i += 3) {
        uint32_t bits = (uint32_t)s[i] << 16 | (uint32_t)(i + 1 < size ? s[i + 1] : 0) << 8 | (i + 2 < size ? s[i + 2] : 0);
        *at++ = digits[bits >> 18];
        *at++ = digits[bits >> 12 & 63];
        *at++ = i + 1 < size ? digits[bits >> 6 & 63] : '=';
        *at++ = i + 2 < size ? digits[bits & 63] : '=';
    }
    *at = 0;
    p->count = (size_t)(at - p->text);
}

int rn_page_save(const rn_page *page, const char *path, rn_error *err)
{
    rn_save save;
    int status;
    if (page->failed)
        return rn_error_memory(err, "the page", page->count);
    if ((status = rn_save_open(&save, path, err)))
        return status;
    if (!(status = rn_save_write(&save, page->text, page->count, err)))
        status = rn_save_commit(&save, err);
    rn_save_drop(&save);
    return status;
}

void rn_page_free(rn_page *page)
{
    free(page->text);
    memset(page, 0, sizeof *page);
}
