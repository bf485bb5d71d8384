/* Files that are not decoded here: what they are, and the line that makes a WAV or PNG of them. */
#include "media/foreign.h"

#include <stdio.h>
#include <string.h>

const char *rn_path_extension(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash ? slash : path, '.');
    return dot ? dot + 1 : "";
}

int rn_same_word(const char *a, const char *b)
{
    for (;; a++, b++) {
        int x = *a >= 'A' && *a <= 'Z' ? *a + 32 : *a, y = *b >= 'A' && *b <= 'Z' ? *b + 32 : *b;
        if (x != y)
            return 0;
        if (!x)
            return 1;
    }
}

/* By the first bytes: extensions lie. NULL if unknown. */
static const char *kind_of_bytes(const unsigned char *p, size_t size)
{
    static const unsigned char asf[4] = {0x30, 0x26, 0xb2, 0x75}, matroska[4] = {0x1a, 0x45, 0xdf, 0xa3};
    if (size < 12)
        return NULL;
    if (!memcmp(p + 4, "ftyp", 4))
        return "an MP4 or M4A file (AAC or ALAC)";
    if (!memcmp(p, asf, 4))
        return "a Windows Media file";
    if (!memcmp(p, matroska, 4))
        return "a Matroska or WebM file";
    if (!memcmp(p, "#!AMR", 5))
        return "an AMR file";
    if (!memcmp(p, "ADIF", 4) || (p[0] == 0xff && (p[1] & 0xf6) == 0xf0))
        return "an AAC file";
    if (!memcmp(p, "wvpk", 4))
        return "a WavPack file";
    if (!memcmp(p, "MAC ", 4))
        return "a Monkey's Audio file";
    if (!memcmp(p, ".RMF", 4))
        return "a RealMedia file";
    if (!memcmp(p, "RIFF", 4) && !memcmp(p + 8, "AVI ", 4))
        return "an AVI film";
    return NULL;
}

static const char *kind_of_extension(const char *extension)
{
    static const char *const known[][2] = {
        {"m4a", "M4A (AAC or ALAC)"},
        {"m4b", "M4B (AAC)"},
        {"mp4", "MP4"},
        {"aac", "AAC"},
        {"wma", "Windows Media"},
        {"asf", "Windows Media"},
        {"amr", "AMR"},
        {"awb", "AMR wide band"},
        {"3gp", "3GP"},
        {"3ga", "3GP"},
        {"mov", "QuickTime"},
        {"mkv", "Matroska"},
        {"mka", "Matroska"},
        {"webm", "WebM"},
        {"ape", "Monkey's Audio"},
        {"wv", "WavPack"},
        {"tta", "TTA"},
        {"mpc", "Musepack"},
        {"ac3", "AC-3"},
        {"dts", "DTS"},
        {"ra", "RealAudio"},
        {"rm", "RealMedia"},
        {"dsf", "DSD"},
        {"avi", "AVI"},
        {"spx", "Speex"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (rn_same_word(extension, known[i][0]))
            return known[i][1];
    return NULL;
}

/* `text` as one word of a shell: as it is if only harmless characters are in it, else in single quotes. */
static void shell_word(const char *text, size_t length, const char *suffix, char *out, size_t size)
{
    static const char harmless[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./,:@%";
    int plain = strspn(text, harmless) >= length;
    size_t used = 0;
    if (text[0] == '-') /* a name that ffmpeg would take for an option */
        used += (size_t)snprintf(out, size, "./");
    if (!plain && used + 1 < size)
        out[used++] = '\'';
    for (size_t i = 0; i < length && used + 6 < size; i++) {
        if (text[i] == '\'') {
            memcpy(out + used, "'\\''", 4);
            used += 4;
        } else {
            out[used++] = text[i];
        }
    }
    snprintf(out + used, size - used, "%s%s", suffix, plain ? "" : "'");
}

int rn_foreign_error(const char *path, const unsigned char *head, size_t head_size, long long size, rn_error *err)
{
    char in[400], out[400], kind[80];
    const char *extension = rn_path_extension(path), *named = kind_of_extension(extension), *found = kind_of_bytes(head, head_size);
    if (found)
        snprintf(kind, sizeof kind, "%s", found);
    else if (named)
        snprintf(kind, sizeof kind, "%s", named);
    else if (rn_same_word(extension, "raw") || rn_same_word(extension, "pcm"))
        return rn_error_set(err, RN_ERR_FORMAT, "%s: no header. Say what it holds, for example: --raw s16le --rate 16000", path);
    else
        return rn_error_set(
            err, RN_ERR_FORMAT,
            "%s: not a sound file that this build reads, or its header is broken (%lld bytes). Remove it, or train with --skip-bad", path,
            size);
    if (!strcmp(path, "standard input"))
        return rn_error_set(err, RN_ERR_FORMAT, "%s: %s cannot be read here. Convert it on its way: ffmpeg -i - -ac 1 -f wav -", path,
                            kind);
    size_t stem = *extension ? (size_t)(extension - path) - 1 : strlen(path);
    shell_word(path, strlen(path), "", in, sizeof in);
    shell_word(path, stem, ".wav", out, sizeof out);
    return rn_error_set(err, RN_ERR_FORMAT, "%s: %s cannot be read here. Convert it: ffmpeg -i %s -ac 1 %s", path, kind, in, out);
}

/* ffmpeg before version 7 takes a single tile of what a telephone writes, so HEIC has its own program. */
static int convert_image(const char *path, const char *kind, const char *program, const char *middle, rn_error *err)
{
    char in[400], out[400];
    const char *extension = rn_path_extension(path);
    shell_word(path, strlen(path), "", in, sizeof in);
    shell_word(path, *extension ? (size_t)(extension - path) - 1 : strlen(path), ".png", out, sizeof out);
    return rn_error_set(err, RN_ERR_FORMAT, "%s: %s cannot be read here. Convert it: %s %s %s%s", path, kind, program, in, middle, out);
}

int rn_foreign_image_convert(const char *path, const char *kind, rn_error *err)
{
    return convert_image(path, kind, "ffmpeg -i", "-frames:v 1 ", err);
}

int rn_foreign_image_error(const char *path, const unsigned char *data, size_t size, rn_error *err)
{
    static const struct {
        size_t at, length;
        const char *bytes, *kind;
    } kinds[] =
        {
            {0, 4, "GIF8", "a GIF"},
            {0, 4, "II*\0", "a TIFF"},
            {0, 4, "MM\0*", "a TIFF"},
            {0, 4, "II+\0", "a BigTIFF"},
            {0, 4, "MM\0+", "a BigTIFF"},
            {0, 4, "8BPS", "a Photoshop file"},
            {4, 8, "jP  \r\n\x87\n", "a JPEG 2000"},
            {0, 4, "\xff\x4f\xff\x51", "a JPEG 2000"},
            {4, 8, "JXL \r\n\x87\n", "a JPEG XL"},
            {0, 2, "\xff\x0a", "a JPEG XL"},
            {0, 4, "v/1\x01", "an OpenEXR"},
            {0, 4, "qoif", "a QOI"},
            {0, 2, "Pf", "a PFM"},
            {0, 2, "PF", "a PFM"},
            {0, 2, "P7", "a PAM"},
            {4, 8, "ftypavif", "an AVIF"},
            {4, 8, "ftypavis", "an AVIF"},
        },
      heic[] = {{4, 7, "ftyphei", "HEIC"}, {4, 7, "ftyphev", "HEIC"}, {4, 8, "ftypmif1", "HEIF"}, {4, 8, "ftypmsf1", "HEIF"}};
    for (size_t i = 0; i < sizeof heic / sizeof *heic; i++)
        if (size >= heic[i].at + heic[i].length && !memcmp(data + heic[i].at, heic[i].bytes, heic[i].length))
            return convert_image(path, heic[i].kind, "heif-convert", "", err);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (size >= kinds[i].at + kinds[i].length && !memcmp(data + kinds[i].at, kinds[i].bytes, kinds[i].length))
            return rn_foreign_image_convert(path, kinds[i].kind, err);
    return rn_error_set(
        err, RN_ERR_FORMAT,
        "%s: no JPEG, PNG, WebP, PNM or BMP, or its first bytes are broken (%zu bytes). Remove it, or train with --skip-bad", path, size);
}
