/* Errors: one sentence in the caller's rn_error. Nothing is allocated, so a failed allocation can be reported too. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* vsnprintf cuts at a byte; a text that ends inside a UTF-8 sequence would be refused by JSON writers and terminals. */
static void trim_utf8(char *text)
{
    size_t end = strlen(text), start = end;
    while (start > 0 && end - start < 4 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
        start--;
    if (start == 0)
        return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t want = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (want > 1 && end - (start - 1) < want)
        text[start - 1] = 0;
}

int rn_error_set(rn_error *err, int code, const char *format, ...)
{
    if (!err)
        return code;
    char text[sizeof err->text]; /* arguments may point into err->text */
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (length < 0)
        text[0] = 0;
    else if ((size_t)length >= sizeof text)
        trim_utf8(text);
    memcpy(err->text, text, strlen(text) + 1);
    err->code = code;
    return code;
}

int rn_error_memory(rn_error *err, const char *what, unsigned long long bytes)
{
    if (bytes < 1ull << 20)
        return rn_error_set(err, RN_ERR_MEMORY, "No memory for %s (%llu bytes)", what, bytes);
    return rn_error_set(err, RN_ERR_MEMORY, "No memory for %s (%llu MiB)", what, (bytes + (1ull << 20) - 1) >> 20);
}
