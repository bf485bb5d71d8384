/* Listening: recordings and streams to windows, features, the network, and answers. */
#ifndef RN_API_EAR_H
#define RN_API_EAR_H

#include "api/session.h"
#include "data/loader.h"
#include "formats/npy.h"
#include "media/features.h"
#include "media/pictures.h"
#include "media/sound.h"

/* One window of a group, as a thread left it. */
typedef struct rn_heard {
    double start_s, end_s;
    int status;
    rn_error err;
} rn_heard;

/* What a session keeps between recordings: the model's extractor, and what windows that are heard at once need. */
struct rn_ear {
    rn_features features;
    rn_extractor *extractor; /* of a model that takes recordings, else NULL */
    rn_pictures pictures;    /* of a model that takes pictures; channels 0: of another */
    int most;                  /* windows at once; 1 with one thread */
    float *logits, *embedding; /* [most][classes], [most][embedding] */
    float *probability;        /* of one answer */
    rn_heard *heard;           /* [most] */
    rn_infer **engines;        /* [threads], each for one window on one thread; made when first used */
    int threads;
};

/* The session's ear, made on first use. RN_ERR_UNSUPPORTED if the model has no features. */
int rn_ear_get(rn_session *session, const char *name, rn_ear **ear, rn_error *err);

/* One recording or stream being heard. */
typedef struct rn_hearing {
    rn_session *session;
    rn_ear *ear;
    rn_listen listen;     /* the strings in it are the caller's */
    rn_features features; /* the model's; its length is the window's where that is above 30 s */
    int background;       /* index of the label, or -1 */
    rn_answer_fn fn;
    void *context;
    const char *name;      /* for messages */
    int64_t window, hop;   /* samples */
    int64_t whole;         /* recordings up to this many samples are one window; 0: always windows */
    void (*meanwhile)(void *context); /* work that runs beside a group, once for each; NULL: none. hear_file decodes on in it */
    void *meanwhile_context;
    int group;             /* so many windows are waited for, to be heard at once; 1 for live sound, whose answers may not wait */
    int64_t next;          /* first sample of the next window */
    int64_t covered;       /* end of the last window that was answered */
    int64_t origin, count; /* samples [origin, origin + count) are in the buffer */
    float *buffer;
    int64_t room;
} rn_hearing;

/* live: windows from the first sample. */
int rn_hearing_start(rn_hearing *h, rn_session *session, const rn_listen *listen, int live, const char *name, rn_answer_fn fn,
                     void *context, rn_error *err);
int rn_hearing_push(rn_hearing *h, const float *samples, int64_t count, rn_error *err);
/* Answers windows that wait for their group to be full. */
int rn_hearing_catch_up(rn_hearing *h, rn_error *err);
int rn_hearing_finish(rn_hearing *h, rn_error *err);
/* A whole recording that lies in memory: the same windows as by pushing, nothing copied. */
int rn_hearing_whole(rn_hearing *h, const float *samples, int64_t count, rn_error *err);
void rn_hearing_end(rn_hearing *h);

/* Runs the network on x [1][c][h][w] and answers. */
int rn_hearing_network(rn_hearing *h, const float *x, int height, int width, double start_s, double end_s, rn_error *err);

/* A picture as the model's network gets it: [channels][height][width], malloc'ed, the caller's. `in` NULL: read from the file of that name;
 * RN_ERR_UNSUPPORTED if the model takes no pictures. */
int rn_ear_picture(const rn_ear *ear, const char *name, const rn_listen *listen, const rn_image *in, float **x, int *height, int *width,
                   rn_error *err);

/* One input of the network from a .npy file: C x H x W, or H x W for one channel. rn_array_free the array. */
int rn_ear_array(const rn_session *session, const char *path, rn_array *array, rn_error *err);

/* How sound is to be read for this listening: rate 0 stays the file's own. */
int rn_listen_sound(const rn_listen *listen, const rn_features *features, rn_sound_options *options, rn_error *err);
/* Of it one window: from start_s, or from the beginning if that is below 0, listen->window_s long or as the model was trained. The
 * whole where neither is given. */
void rn_listen_window(const rn_listen *listen, const rn_features *features, double start_s, rn_sound_options *options);

#endif
