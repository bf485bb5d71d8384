/* JPEG by libjpeg-turbo, with its defaults as Pillow has them: accurate integer DCT, smooth upsampling. Baseline, progressive; grey, YCbCr,
 * RGB, CMYK and YCCK, the latter two taken as inverted, which is how Adobe writes them and what Pillow assumes.
 *
 * The library ends a process on an error; here it jumps back instead. It warns of broken data and goes on, as Pillow does; data that ends early
 * is an error, as in Pillow. A progressive file may have scans without end over a small picture: more than 500 are refused. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jpeglib.h>
#include <jerror.h>
#include "media/image_decode.h"

#define RN_SCANS_MAX 500

typedef struct jpeg {
    struct jpeg_decompress_struct codec;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf back;
    char why[JMSG_LENGTH_MAX];
    unsigned char *row;
    int endless;
} jpeg;

static void fail(j_common_ptr codec)
{
    jpeg *j = codec->client_data;
    codec->err->format_message(codec, j->why);
    longjmp(j->back, 1);
}

static void say_nothing(j_common_ptr codec)
{
    (void)codec;
}

static void nothing(j_decompress_ptr codec)
{
    (void)codec;
}

static boolean at_end(j_decompress_ptr codec)
{
    ERREXIT(codec, JERR_INPUT_EOF);
    return FALSE;
}

static void skip(j_decompress_ptr codec, long count)
{
    if (count <= 0)
        return;
    if ((size_t)count > codec->src->bytes_in_buffer)
        ERREXIT(codec, JERR_INPUT_EOF);
    codec->src->next_input_byte += count;
    codec->src->bytes_in_buffer -= (size_t)count;
}

static void count_scans(j_common_ptr codec)
{
    jpeg *j = codec->client_data;
    if (((j_decompress_ptr)codec)->input_scan_number > RN_SCANS_MAX) {
        snprintf(j->why, sizeof j->why, "more than %d scans", RN_SCANS_MAX);
        longjmp(j->back, 1);
    }
}

static void find_orientation(rn_decoding *d, jpeg_saved_marker_ptr marker)
{
    for (; marker && !d->orientation; marker = marker->next)
        if (marker->data_length > 6 && !memcmp(marker->data, "Exif\0\0", 6))
            d->orientation = rn_exif_orientation(marker->data + 6, marker->data_length - 6);
}

/* Everything that may jump back to rn_decode_jpeg. */
static int read_picture(rn_decoding *d, jpeg *j)
{
    static const struct {
        int components;
        J_COLOR_SPACE space;
        rn_row row;
    } kinds[] = {{1, JCS_GRAYSCALE, RN_ROW_GREY}, {3, JCS_RGB, RN_ROW_RGB}, {4, JCS_CMYK, RN_ROW_CMYK_INVERTED}};
    jpeg_create_decompress(&j->codec);
    j->codec.src = &j->source;
    j->codec.progress = &j->progress;
    if (d->orient)
        jpeg_save_markers(&j->codec, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(&j->codec, TRUE);
    size_t kind = 0;
    while (kind < 3 && kinds[kind].components != j->codec.num_components)
        kind++;
    if (kind == 3)
        return rn_decoding_broken(d, "JPEG", "its components are none of 1, 3 and 4");
    find_orientation(d, j->codec.marker_list);
    j->codec.out_color_space = kinds[kind].space;
    int status = rn_decoding_begin(d, j->codec.image_width, j->codec.image_height, kinds[kind].components == 1);
    if (status)
        return status;
    j->row = malloc((size_t)j->codec.image_width * (size_t)kinds[kind].components);
    if (!j->row)
        return rn_error_memory(d->err, d->name, (unsigned long long)j->codec.image_width * 4);
    jpeg_start_decompress(&j->codec);
    while (j->codec.output_scanline < j->codec.output_height) {
        int y = (int)j->codec.output_scanline;
        JSAMPROW row = j->row;
        jpeg_read_scanlines(&j->codec, &row, 1);
        rn_decoding_row(d, y, kinds[kind].row, row);
    }
    return 0;
}

int rn_decode_jpeg(rn_decoding *d)
{
    jpeg *j = calloc(1, sizeof *j);
    volatile int status;
    if (!j)
        return rn_error_memory(d->err, d->name, sizeof *j);
    j->codec.err = jpeg_std_error(&j->errors);
    j->codec.client_data = j;
    j->errors.error_exit = fail;
    j->errors.output_message = say_nothing;
    j->source = (struct jpeg_source_mgr){d->data, d->size, nothing, at_end, skip, jpeg_resync_to_restart, nothing};
    j->progress.progress_monitor = count_scans;
    if (!setjmp(j->back))
        status = read_picture(d, j);
    else if (j->errors.msg_code == JERR_OUT_OF_MEMORY)
        status = rn_error_memory(d->err, d->name, (unsigned long long)j->codec.image_width * j->codec.image_height * 3);
    else
        status = rn_decoding_broken(d, "JPEG", j->why);
    jpeg_destroy_decompress(&j->codec);
    free(j->row);
    free(j);
    return status;
}
