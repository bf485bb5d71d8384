/* UTF-8, one character after the other: overlong forms and surrogates are none. */
#include "base/utf8.h"

int rn_utf8_next(const unsigned char *s, uint32_t *code)
{
    int length = s[0] < 0x80 ? 1 : s[0] >= 0xC2 && s[0] < 0xE0 ? 2 : s[0] >= 0xE0 && s[0] < 0xF0 ? 3 : s[0] >= 0xF0 && s[0] < 0xF5 ? 4 : 0;
    uint32_t c = length == 1 ? s[0] : length == 2 ? s[0] & 0x1Fu : length == 3 ? s[0] & 0x0Fu : s[0] & 0x07u;
    for (int i = 1; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3Fu);
    }
    if ((length == 3 && (c < 0x800 || (c >= 0xD800 && c < 0xE000))) || (length == 4 && (c < 0x10000 || c > 0x10FFFF)))
        return 0;
    *code = c;
    return length;
}

int rn_text_is_clean(const char *text)
{
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        uint32_t c = 0;
        int length = rn_utf8_next(s, &c);
        if (!length || c < 0x20 || (c >= 0x7F && c < 0xA0))
            return 0;
        s += length;
    }
    return 1;
}
