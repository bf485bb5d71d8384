/* MP3 by libsndfile (1.1 or later, with LAME), written to memory. */
#include "media/mp3.h"

#include <sndfile.h>
#include <stdlib.h>
#include <string.h>

typedef struct memory {
    unsigned char *data;
    sf_count_t count, room, at;
    int failed;
} memory;

static sf_count_t length_of(void *context)
{
    return ((memory *)context)->count;
}

static sf_count_t seek_to(sf_count_t offset, int whence, void *context)
{
    memory *m = context;
    sf_count_t to = offset + (whence == SEEK_CUR ? m->at : whence == SEEK_END ? m->count : 0);
    if (to < 0 || to > m->count)
        return -1;
    return m->at = to;
}

static sf_count_t read_from(void *to, sf_count_t count, void *context)
{
    memory *m = context;
    count = count > m->count - m->at ? m->count - m->at : count;
    memcpy(to, m->data + m->at, (size_t)count);
    m->at += count;
    return count;
}

static sf_count_t write_to(const void *from, sf_count_t count, void *context)
{
    memory *m = context;
    if (m->at + count > m->room) {
        sf_count_t room = 2 * (m->at + count);
        unsigned char *data = realloc(m->data, (size_t)room);
        if (!data) {
            m->failed = 1;
            return 0;
        }
        m->data = data;
        m->room = room;
    }
    memcpy(m->data + m->at, from, (size_t)count);
    m->at += count;
    m->count = m->at > m->count ? m->at : m->count;
    return count;
}

static sf_count_t tell(void *context)
{
    return ((memory *)context)->at;
}

int rn_mp3_encode(const float *samples, int64_t count, unsigned char **data, size_t *size, rn_error *err)
{
    SF_VIRTUAL_IO io = {length_of, seek_to, read_from, write_to, tell};
    SF_INFO info = {.samplerate = RN_MP3_RATE, .channels = 1, .format = SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III};
    memory m = {0};
    double level = 0.85; /* of 8 to 160 kbit/s at this rate: 32 */
    *data = NULL;
    *size = 0;
    if (!sf_format_check(&info))
        return rn_error_set(err, RN_ERR_UNSUPPORTED, "this build of libsndfile does not write MP3");
    SNDFILE *file = sf_open_virtual(&io, SFM_WRITE, &info, &m);
    int failed = !file;
    if (file) {
        sf_command(file, SFC_SET_COMPRESSION_LEVEL, &level, sizeof level);
        sf_command(file, SFC_SET_CLIPPING, NULL, SF_TRUE);
        failed = sf_write_float(file, samples, count) != count;
        failed |= sf_close(file) != 0 || m.failed;
    }
    if (failed || !m.count) {
        free(m.data);
        return rn_error_set(err, m.failed ? RN_ERR_MEMORY : RN_ERR_UNSUPPORTED, "a piece of sound could not be encoded as MP3");
    }
    *data = m.data;
    *size = (size_t)m.count;
    return 0;
}
