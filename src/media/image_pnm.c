/* PNM: P1 to P3 in text, P4 to P6 in bytes; bits, grey, RGB.
 *
 * A header of magic, width, height and (not for bits) the largest value, words separated by white space, "#" to the end of the line a comment.
 * One byte of white space, then rows without padding; values above 255 have two bytes, most significant first; bits are packed from the left,
 * 1 is black.
 * Scaled as Pillow does it: value / largest * 255 in double, rounded half to even; grey with a larger range than 255 goes to 65535 first and is
 * then limited to 255. Source: netpbm's manual pages. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "media/image_decode.h"

typedef struct text {
    const unsigned char *at, *end;
} text;

static int is_space(int c)
{
    return c == ' ' || (c >= 9 && c <= 13);
}

static void skip_comment(text *t)
{
    while (t->at < t->end && *t->at != '\n' && *t->at != '\r')
        t->at++;
}

/* The next number and the one byte of white space behind it; -1 if there is none, or more than 10 digits. */
static int64_t number(text *t)
{
    int64_t value = 0;
    int digits = 0;
    for (; t->at < t->end; t->at++) {
        if (*t->at == '#') {
            skip_comment(t);
            if (t->at == t->end)
                break;
        }
        if (is_space(*t->at)) {
            if (!digits)
                continue;
            t->at++;
            return value;
        }
        if (*t->at < '0' || *t->at > '9' || ++digits > 10)
            return -1;
        value = value * 10 + *t->at - '0';
    }
    return digits ? value : -1;
}

static int scaled(int64_t value, int64_t largest, int range)
{
    double exact = (double)value / (double)largest * range, whole = floor(exact);
    int up = exact - whole > 0.5 || (exact - whole == 0.5 && (int)whole % 2);
    int result = (int)whole + up;
    return result > range ? range : result;
}

/* One row of samples, [count], from text or bytes. 0, or -1 if they end or are none. */
static int read_row(text *t, char magic, int64_t largest, int count, int range, int *value)
{
    for (int i = 0; i < count; i++) {
        int64_t sample;
        if (magic == '1') { /* digits need no space between them */
            while (t->at < t->end && (is_space(*t->at) || *t->at == '#'))
                if (*t->at == '#')
                    skip_comment(t);
                else
                    t->at++;
            sample = t->at < t->end ? *t->at++ - '0' : -1;
        } else if (magic <= '3') {
            sample = number(t);
        } else {
            int bytes = largest > 255 ? 2 : 1;
            if (t->end - t->at < bytes)
                return -1;
            sample = bytes == 2 ? t->at[0] << 8 | t->at[1] : t->at[0];
            t->at += bytes;
        }
        if (sample < 0 || (magic <= '3' && sample > largest))
            return -1;
        value[i] = scaled(sample, largest, range);
    }
    return 0;
}

static int read_rows(rn_decoding *d, text *t, char magic, int64_t largest)
{
    int bits = magic == '1' || magic == '4', colours = magic == '3' || magic == '6' ? 3 : 1, count = d->out->width * colours;
    int range = colours == 1 && largest > 255 ? 65535 : 255;
    unsigned char *row = malloc((size_t)count);
    int *value = malloc((size_t)count * sizeof *value), status = 0;
    if (!row || !value)
        status = rn_error_memory(d->err, d->name, (unsigned long long)count * 5);
    for (int y = 0; !status && y < d->out->height; y++) {
        if (magic == '4') {
            if (t->end - t->at < (count + 7) / 8) {
                status = rn_decoding_broken(d, "PNM", "it ends early");
                break;
            }
            for (int i = 0; i < count; i++)
                row[i] = t->at[i / 8] >> (7 - i % 8) & 1 ? 0 : 255;
            t->at += (count + 7) / 8;
        } else if (read_row(t, magic, largest, count, range, value)) {
            status = rn_decoding_broken(d, "PNM", "it ends early, or has a value that is none");
            break;
        } else {
            for (int i = 0; i < count; i++)
                row[i] = (unsigned char)(bits ? 255 - value[i] : value[i] > 255 ? 255 : value[i]);
        }
        rn_decoding_row(d, y, colours == 3 ? RN_ROW_RGB : RN_ROW_GREY, row);
    }
    free(row);
    free(value);
    return status;
}

int rn_decode_pnm(rn_decoding *d)
{
    text t = {d->data + 3, d->data + d->size};
    char magic = (char)d->data[1];
    int bits = magic == '1' || magic == '4';
    int64_t width = number(&t), height = number(&t), largest = bits ? 1 : number(&t);
    if (width < 0 || height < 0 || largest < 1 || largest > 65535)
        return rn_decoding_broken(d, "PNM", "no width, height and largest value of 1 to 65535");
    /* what the samples need at least, so that a header alone takes no room: text has a byte each, and one between them */
    uint64_t samples = (uint64_t)(magic == '3' || magic == '6' ? 3 : 1) * (uint64_t)(width < 1 << 30 ? width : 1 << 30);
    uint64_t row = magic == '4' ? (samples + 7) / 8 : samples * (magic == '1' ? 1 : magic <= '3' || largest > 255 ? 2 : 1);
    if (row && (uint64_t)height > ((uint64_t)(t.end - t.at) + 1) / row && width <= d->most_pixels / (height ? height : 1))
        return rn_decoding_broken(d, "PNM", "it ends early");
    int status = rn_decoding_begin(d, width, height, magic != '3' && magic != '6');
    return status ? status : read_rows(d, &t, magic, largest);
}
