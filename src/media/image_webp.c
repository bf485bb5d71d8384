/* WebP by libwebp, lossy and lossless; of an animation the first frame, on a canvas of transparent black. Alpha is dropped. */
#include <string.h>
#include <webp/decode.h>
#include <webp/demux.h>
#include "media/image_decode.h"

static int read_frame(rn_decoding *d, WebPAnimDecoder *decoder)
{
    WebPAnimInfo info;
    unsigned char *canvas;
    int time_ms;
    if (!WebPAnimDecoderGetInfo(decoder, &info) || (int)info.canvas_width != d->out->width || (int)info.canvas_height != d->out->height)
        return rn_decoding_broken(d, "WebP", "two sizes in its headers");
    if (!WebPAnimDecoderGetNext(decoder, &canvas, &time_ms))
        return rn_decoding_broken(d, "WebP", "its data cannot be decoded");
    for (int y = 0; y < d->out->height; y++)
        rn_decoding_row(d, y, RN_ROW_RGBX, canvas + (size_t)y * (size_t)d->out->width * 4);
    return 0;
}

static void find_orientation(rn_decoding *d, const WebPDemuxer *file)
{
    WebPChunkIterator chunk;
    if (!WebPDemuxGetChunk(file, "EXIF", 1, &chunk))
        return;
    const unsigned char *p = chunk.chunk.bytes;
    size_t head = chunk.chunk.size > 6 && !memcmp(p, "Exif\0\0", 6) ? 6 : 0; /* some writers keep JPEG's marker */
    d->orientation = rn_exif_orientation(p + head, chunk.chunk.size - head);
    WebPDemuxReleaseChunkIterator(&chunk);
}

int rn_decode_webp(rn_decoding *d)
{
    WebPBitstreamFeatures features;
    WebPData data = {d->data, d->size};
    if (WebPGetFeatures(d->data, d->size, &features) != VP8_STATUS_OK)
        return rn_decoding_broken(d, "WebP", "its header");
    int status = rn_decoding_begin(d, features.width, features.height, 0);
    if (status)
        return status;
    WebPAnimDecoder *decoder = WebPAnimDecoderNew(&data, NULL); /* RGBA */
    status = decoder ? read_frame(d, decoder) : rn_decoding_broken(d, "WebP", "it ends early, or memory does");
    if (!status && d->orient)
        find_orientation(d, WebPAnimDecoderGetDemuxer(decoder));
    WebPAnimDecoderDelete(decoder);
    return status;
}
