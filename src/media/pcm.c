/* Uncompressed samples on a pipe: WAV headers and sample formats.
 *
 * libsndfile reads files; on a pipe it waits until every sample asked for is there and believes a WAV header's length.
 * Live sound needs the opposite of both: what has arrived at once, and no end (recorders that write to a pipe put 0,
 * 0x7fffffff less a little, or 0xffffffff where the length belongs). So pipes have this small reader of their own.
 * Format: RIFF chunks "fmt " and "data", Microsoft's WAVEFORMATEX and WAVEFORMATEXTENSIBLE; A-law and mu-law are ITU-T G.711. */
#include "media/pcm.h"

#include <string.h>

int rn_pcm_bytes(rn_pcm_kind kind)
{
    static const int bytes[] = {1, 2, 3, 4, 4, 8, 1, 1};
    return bytes[kind];
}

static uint32_t u16(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t u32(const unsigned char *p)
{
    return u16(p) | u16(p + 2) << 16;
}

/* G.711: sign, three bits of exponent, four of mantissa, all inverted; 14 significant bits in the top of 16. */
static int mulaw(unsigned char code)
{
    int bits = ~code & 0xff;
    int value = ((((bits & 15) << 3) + 132) << (bits >> 4 & 7)) - 132;
    return bits & 128 ? -value : value;
}

/* G.711: even bits inverted, sign bit set for positive values; 13 significant bits in the top of 16. */
static int alaw(unsigned char code)
{
    int bits = code ^ 0x55, exponent = bits >> 4 & 7;
    int value = ((bits & 15) << 4) + 8;
    if (exponent)
        value = (value + 256) << (exponent - 1);
    return bits & 128 ? value : -value;
}

static float real(rn_pcm_kind kind, const unsigned char *p)
{
    uint32_t low = u32(p);
    if (kind == RN_PCM_F32) {
        float f;
        memcpy(&f, &low, sizeof f);
        return f;
    }
    uint64_t whole = (uint64_t)u32(p + 4) << 32 | low;
    double d;
    memcpy(&d, &whole, sizeof d);
    return (float)d;
}

static float sample(rn_pcm_kind kind, const unsigned char *p)
{
    switch (kind) {
    case RN_PCM_U8:
        return (float)(p[0] - 128) * 0x1p-7f;
    case RN_PCM_S16:
        return (float)(int16_t)u16(p) * 0x1p-15f;
    case RN_PCM_S24:
        return (float)(int32_t)(u16(p) << 8 | (uint32_t)p[2] << 24) * 0x1p-31f;
    case RN_PCM_S32:
        return (float)(int32_t)u32(p) * 0x1p-31f;
    case RN_PCM_MULAW:
        return (float)mulaw(p[0]) * 0x1p-15f;
    case RN_PCM_ALAW:
        return (float)alaw(p[0]) * 0x1p-15f;
    default:
        return real(kind, p);
    }
}

void rn_pcm_decode(rn_pcm_kind kind, const unsigned char *bytes, int64_t samples, float *out)
{
    int step = rn_pcm_bytes(kind);
    for (int64_t i = 0; i < samples; i++)
        out[i] = sample(kind, bytes + i * step);
}

/* The "fmt " chunk. Returns 0 if these samples are not among ours. */
static int wav_format(const unsigned char *p, uint32_t size, rn_pcm_format *format)
{
    if (size < 16)
        return 0;
    uint32_t tag = u16(p), channels = u16(p + 2), rate = u32(p + 4), block = u16(p + 12), bits = u16(p + 14);
    if (tag == 0xfffe && size >= 40)
        tag = u16(p + 24); /* the first two bytes of the sub-format's GUID */
    if (tag == 1 && bits == 8)
        format->kind = RN_PCM_U8;
    else if (tag == 1 && (bits == 16 || bits == 24 || bits == 32))
        format->kind = bits == 16 ? RN_PCM_S16 : bits == 24 ? RN_PCM_S24 : RN_PCM_S32;
    else if (tag == 3 && (bits == 32 || bits == 64))
        format->kind = bits == 32 ? RN_PCM_F32 : RN_PCM_F64;
    else if (tag == 6 && bits == 8)
        format->kind = RN_PCM_ALAW;
    else if (tag == 7 && bits == 8)
        format->kind = RN_PCM_MULAW;
    else
        return 0;
    if (!channels || channels > 1024 || !rate || rate > 10000000 || block != channels * (uint32_t)rn_pcm_bytes(format->kind))
        return 0;
    format->channels = (int)channels;
    format->rate = (int)rate;
    return 1;
}

int rn_pcm_wav_header(const unsigned char *data, size_t size, rn_pcm_format *format, size_t *offset)
{
    int found = 0;
    if (memcmp(data, "RIFF", size < 4 ? size : 4) || (size > 8 && memcmp(data + 8, "WAVE", size < 12 ? size - 8 : 4)))
        return -1;
    for (uint64_t at = 12;;) {
        if (at + 8 > size)
            return at > 1 << 20 ? -1 : 0;
        uint32_t length = u32(data + at + 4);
        if (!memcmp(data + at, "data", 4)) {
            if (!found)
                return -1;
            /* Beyond 2 GB less 64 KB nobody meant a length: it is a recorder's "until I stop". */
            format->data_bytes = length == 0 || length >= 0x7fff0000u ? -1 : (int64_t)length;
            *offset = (size_t)at + 8;
            return 1;
        }
        if (!memcmp(data + at, "fmt ", 4)) {
            if (length > 4096)
                return -1;
            if (at + 8 + length > size)
                return 0;
            found = wav_format(data + at + 8, length, format);
            if (!found)
                return -1;
        }
        at += 8 + (uint64_t)length + (length & 1);
    }
}
