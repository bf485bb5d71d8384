/* Text from outside: is it UTF-8? */
#ifndef RN_BASE_UTF8_H
#define RN_BASE_UTF8_H

#include <stdint.h>

/* Bytes of the character at s; 0 if they are not UTF-8 (overlong forms, surrogates). */
int rn_utf8_next(const unsigned char *s, uint32_t *code);
int rn_text_is_clean(const char *text); /* valid UTF-8 without control characters */

#endif
