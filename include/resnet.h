/* resnet.h: residual networks in C. Load a model, name what is in a recording, take embeddings, train.
 *
 * A whole program (examples/classify.c): load a model, classify a file, print the label.
 *
 *     #include <resnet.h>
 *     #include <stdio.h>
 *
 *     static int print(void *context, const rn_answer *a)
 *     {
 *         printf("%s %6.1f - %.1f s   %s %.1f %%\n", (const char *)context, a->start_s, a->end_s, a->label, 100 * a->confidence);
 *         return 0;
 *     }
 *
 *     int main(int argc, char **argv)
 *     {
 *         rn_error err = {0};
 *         rn_model *model = NULL;
 *         rn_session *session = NULL;
 *         int failed = argc < 3 || rn_model_load(&model, argv[1], &err) || rn_session_open(&session, model, NULL, &err) ||
 *                      rn_session_file(session, argv[2], NULL, print, argv[2], &err);
 *         if (failed)
 *             fprintf(stderr, "%s\n", argc < 3 ? "usage: classify MODEL FILE" : err.text);
 *         rn_session_close(&session);
 *         rn_model_close(&model);
 *         return failed ? 1 : 0;
 *     }
 *
 * Rules that hold for every function here:
 *
 * - Functions that can fail return 0 or a negative RN_ERR_*, and fill the caller's rn_error with one sentence. `err` may be NULL.
 * - The library never prints, exits or aborts on input, and touches no signal, locale or current directory.
 * - rn_x_close(&p) takes a NULL pointer, frees, and sets p = NULL.
 * - A model is read-only once loaded and may be shared by any number of sessions and threads. A session, a stream, a data set
 *   and a training belong to one thread at a time.
 * - Text is UTF-8. Text that the library returns belongs to the object it came from, and lives as long.
 * - Zero a structure of options whole ({0}) before setting fields: later versions add fields at the end, and 0 is their default.
 *   A program is compiled anew for another SONAME of the library.
 * - A callback that returns nonzero stops the work: the function returns RN_ERR_CANCELLED. Callbacks run on the calling thread.
 * - One arithmetic: the same input gives the same bits on every processor with FMA, for every number of threads, and for every
 *   way of cutting inputs into batches. The processor's rounding state is set on entry and restored.
 */
#ifndef RESNET_H
#define RESNET_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define RN_API __attribute__((visibility("default")))
#else
#define RN_API
#endif

/* Every function that can fail returns 0 or one of these, and fills the caller's rn_error. */
#define RN_OK 0
#define RN_ERR_ARG (-1)         /* an argument or option is out of range */
#define RN_ERR_MEMORY (-2)      /* an allocation failed */
#define RN_ERR_IO (-3)          /* a file could not be read or written: permission, disk full, gone */
#define RN_ERR_FORMAT (-4)      /* a file is broken or of a kind that this build cannot read */
#define RN_ERR_SHAPE (-5)       /* a tensor or input has another shape than the network wants */
#define RN_ERR_DATA (-6)        /* a data set cannot be used as it is: empty class, one class, leak, bad file */
#define RN_ERR_NUMBER (-7)      /* a loss, gradient or weight is not finite */
#define RN_ERR_CANCELLED (-8)   /* the caller's callback asked to stop; state was saved where that was promised */
#define RN_ERR_MISMATCH (-9)    /* two things that belong together differ: digest, arithmetic, options */
#define RN_ERR_UNSUPPORTED (-10) /* this build or this file does not have what was asked for */

/* Owned by the caller; `text` is one sentence, UTF-8, naming the file, layer or option and what to do. */
typedef struct rn_error {
    int code;
    char text[1000];
} rn_error;

/* "RN_ERR_SHAPE" for RN_ERR_SHAPE; "RN_OK" for 0; "unknown error" for a number that is none of them. */
RN_API const char *rn_error_name(int code);
/* What the code means, in words: "a tensor or input has another shape than the network wants". */
RN_API const char *rn_error_meaning(int code);

/* "0.1.0". */
RN_API const char *rn_version(void);

/* Progress of anything long: items done and in all (0 if not known). Nonzero return: stop. */
typedef int (*rn_progress_fn)(void *context, int64_t done, int64_t total);

/* A message for people, one line without the newline. */
typedef void (*rn_text_fn)(void *context, const char *line);

/* ---- Models ---------------------------------------------------------------------------------------------------------------- */

/* Weights, labels and preprocessing, from one .safetensors file. */
typedef struct rn_model rn_model;

/* Reads a model file, or the last.safetensors of a training (its EMA weights where EMA is on). Every size in the file is checked;
 * weights that are not finite are refused by name (RN_ERR_NUMBER). Weights of other projects (.pth, .safetensors) are read too where names and
 * shapes say all that the network is (docs/conversion.md), RN_ERR_UNSUPPORTED with the command that makes a model of them where they do not; and
 * residual networks from ONNX files. */
RN_API int rn_model_load(rn_model **model, const char *path, rn_error *err);

/* The same from the bytes of a file in memory, which may be freed afterwards. `name` stands for the file in messages. */
RN_API int rn_model_parse(rn_model **model, const char *name, const void *data, size_t size, rn_error *err);

/* A new model with initial weights. `options` is a JSON object; keys as the options of `resnet arch`, all optional:
 * "arch" ("resnet18"), "width", "in_channels", "classes", "embedding", "shortcut" ("A", "A2", "B", "C", "none"), "pool" ("4x1", "tstp"), "stem" ("3x3",
 * "7x7", "deep", "tiered") and the others of `resnet arch`, with _ for -; "init_weights" ("pytorch", "he"), "zero_last" (true, false), "seed" (0).
 * labels: [classes] names, copied, or NULL for "0", "1", ...; "classes" is the row's where it is left out. The same seed gives the same bits
 * everywhere. */
RN_API int rn_model_create(rn_model **model, const char *options, const char *const *labels, rn_error *err);

/* Writes the model file: a reader sees the old file or the new one, never part of either. The same model gives the same bytes. */
RN_API int rn_model_save(const rn_model *model, const char *path, rn_error *err);

/* After the last session on it was closed. */
RN_API void rn_model_close(rn_model **model);

RN_API const char *rn_model_arch(const rn_model *model);           /* "resnet18" */
RN_API int rn_model_classes(const rn_model *model);                /* number of labels; 0: the embedding is the only answer */
RN_API const char *rn_model_label(const rn_model *model, int index); /* NULL outside [0, classes) */
RN_API int rn_model_find_label(const rn_model *model, const char *label); /* its index, or -1 */
RN_API int rn_model_embedding(const rn_model *model);              /* floats of an embedding, or of the pooled features before the classifier; 0: none */
RN_API int64_t rn_model_parameters(const rn_model *model);         /* trained numbers */

/* 1 if classes do not exclude each other: an item has any number of labels, or none; each class then has a probability of its own (a sigmoid),
 * which do not add up to 1, and counts as there from its threshold on. 0: one label an item, and a softmax. */
RN_API int rn_model_several(const rn_model *model);
RN_API double rn_model_threshold(const rn_model *model, int index); /* with several labels: 0.5 unless the file has others; else 0 */

/* Channels, rows and columns of the input that the network was trained on; rows and columns are 0 if the file does not say.
 * The network takes other heights and widths too. */
RN_API void rn_model_input(const rn_model *model, int *channels, int *height, int *width);

/* A section of the model file's configuration as JSON text ("features", "pictures", "training", "split", "calibration", "thresholds"; NULL: all of it).
 * The caller frees it with rn_text_free. NULL if there is no such section or no memory. */
RN_API char *rn_model_config(const rn_model *model, const char *section);
RN_API void rn_text_free(char *text); /* of every text that is said to be the caller's; NULL is allowed */

/* ---- Sessions: the network on tensors -------------------------------------------------------------------------------------- */

typedef struct rn_session rn_session;

/* All zero (or NULL instead of the struct): batches of 1, the model's own input size, every processor that the process may use. */
typedef struct rn_session_options {
    int batch;         /* most inputs in one run; 0: 1 */
    int height, width; /* of the inputs; 0: as the model was trained */
    int threads;       /* 0: the cores that the process may really use (affinity and cgroup quota) */
} rn_session_options;

/* Plans for the batch and size, and starts the threads. The first session of a model packs its weights, under the model's lock; all
 * sessions share them. The model must outlive the session.
 * RN_ERR_SHAPE, naming the layer, where nothing would be left of an input that small. */
RN_API int rn_session_open(rn_session **session, const rn_model *model, const rn_session_options *options, rn_error *err);
RN_API void rn_session_close(rn_session **session);

/* The bytes that a session with these options holds: the packed weights, which all sessions of a model share, and its own arena of
 * activations. Measuring packs the weights unless that was done; the arena is reserved but not touched.
 * Hearing a long recording window by window adds an arena for each thread, of one window, with the first such recording. */
RN_API int rn_session_measure(const rn_model *model, const rn_session_options *options, int64_t *bytes, rn_error *err);
RN_API int64_t rn_session_bytes(const rn_session *session); /* the same of an open one */

/* Runs the network on `batch` inputs.
 *
 * x          [batch][C][H][W] float32, C x H x W as the session was opened with; read in place, not changed
 * logits     [batch][classes] float32, written; may be NULL where the network has no classes
 * embedding  [batch][embedding] float32, written; NULL if not wanted; left alone where the network has none
 *
 * Returns 0, RN_ERR_ARG if batch is below 1 or above the session's, or RN_ERR_SHAPE if neither the model nor the options said the
 * input's size. The numbers are not looked at: NaN in gives NaN out. Allocates nothing.
 * The same x gives the same bits for every thread count, CPU with FMA, and way of cutting the batch. */
RN_API int rn_session_run(rn_session *session, int batch, const float *x, float *logits, float *embedding, rn_error *err);

/* Probabilities of one row of logits: softmax in double, rounded once. A model that was calibrated divides its logits by its temperature first (section
 * "calibration"); answers to recordings have that done. */
RN_API void rn_logits_softmax(const float *logits, int classes, float *probability);
/* The same for a model of several labels: 1 / (1 + exp(-logit)) of each. */
RN_API void rn_logits_sigmoid(const float *logits, int classes, float *probability);

/* ---- Sound to answers ------------------------------------------------------------------------------------------------------ */

/* How recordings are cut and answered. All zero (or NULL instead of the struct) is the default. */
typedef struct rn_listen {
    double window_s;         /* length of a window in seconds; 0: the length that the network was trained on */
    double hop_s;            /* from window to window; 0: the window's length */
    double min_probability;  /* below it the answer is "unknown" */
    const char *background;  /* a label that counts as nothing heard: the answer is then "none"; NULL: no such label */
    const char *raw;         /* headerless input: s16le s24le s32le f32le u8 mulaw alaw gsm; NULL: the file says */
    int raw_rate, raw_channels; /* of headerless input; channels 0: 1 */
    int channel;             /* 1-based; 0: as the model was trained (by default the mean of all) */
    int want_embedding;      /* fill rn_answer.embedding */
    int64_t max_pixels;      /* width times height of a picture that is decoded at most; 0: 89,478,485 */
} rn_listen;

/* What the network says about one window. Pointers are valid during the callback. */
typedef struct rn_answer {
    double start_s, end_s;      /* within the recording */
    int best;                   /* the likeliest class; -1, with label "" and confidence 0, where the network has no classes */
    const char *label; /* its label; "unknown" or "none" by the rules of rn_listen; with several labels "none" below its threshold too */
    float confidence;           /* its probability */
    int classes;
    const float *probability;   /* [classes], adding up to 1; of a model of several labels (rn_model_several) each class's own */
    const float *logits;        /* [classes] */
    const float *embedding;     /* [rn_model_embedding]; NULL if not wanted or if the network has none */
} rn_answer;

typedef int (*rn_answer_fn)(void *context, const rn_answer *answer); /* nonzero: stop */

/* The n likeliest classes, best first (ties: the lower index), into order[n]. Returns how many were written: min(n, classes). */
RN_API int rn_answer_top(const rn_answer *answer, int n, int *order);

/* Decodes a recording (WAV, FLAC, Ogg, Opus, MP3, GSM, AIFF; any rate and channel count; "-" is standard input), computes the model's own
 * features and answers. A recording of up to 30 s is one answer. Longer ones, standard input, and every recording when window_s or hop_s
 * is set, are answered window by window as they are decoded, in bounded memory; the last window ends where the recording ends.
 * A .npy array (C x H x W, or N x C x H x W) goes to the network as it is: its times are 0. A model that was trained on pictures (its config has
 * "pictures") takes JPEG, PNG, WebP, PNM and BMP instead, from a file or from memory: one answer, whose times are 0. */
RN_API int rn_session_file(rn_session *session, const char *path, const rn_listen *listen, rn_answer_fn fn, void *context, rn_error *err);

/* The same from a file's bytes in memory; `name` stands for it in messages. */
RN_API int rn_session_memory(rn_session *session, const char *name, const void *data, size_t size, const rn_listen *listen, rn_answer_fn fn,
                             void *context, rn_error *err);

/* The same from one channel of samples in -1..1 at rate_hz. They are read in place, and resampled only if the model wants another rate. */
RN_API int rn_session_pcm(rn_session *session, const float *samples, int64_t count, int rate_hz, const rn_listen *listen, rn_answer_fn fn,
                          void *context, rn_error *err);

/* Live sound: push samples as they come; the callback runs as soon as a window is full. Memory stays flat. */
typedef struct rn_stream rn_stream;

/* rate_hz is the rate of the samples that will be pushed. The session must outlive the stream and is used by it. */
RN_API int rn_stream_open(rn_stream **stream, rn_session *session, int rate_hz, const rn_listen *listen, rn_answer_fn fn, void *context,
                          rn_error *err);
/* Any number of samples, in -1..1; count 0 does nothing. After RN_ERR_CANCELLED or another error the stream can only be closed. */
RN_API int rn_stream_push(rn_stream *stream, const float *samples, int64_t count, rn_error *err);
/* The end: answers for what the last full window did not cover, with a window that ends at the last sample (the whole stream if it was
 * shorter than a window). Nothing may be pushed afterwards. */
RN_API int rn_stream_finish(rn_stream *stream, rn_error *err);
RN_API void rn_stream_close(rn_stream **stream); /* without answers for the rest, if it was not finished */

/* ---- Data sets ------------------------------------------------------------------------------------------------------------- */

typedef struct rn_data rn_data;

/* DATA as the program takes it: a folder with one sub-folder per class; a manifest (.csv, .jsonl) with path,label (or labels: several, as in
 * "robin|wren", or none) and optional split, source, start, end, weight; a selection table of Raven or labels of Audacity (.txt, .tsv); or a
 * folder of such tables beside their recordings. `sound` gives raw format, channel and max_pixels (its other fields are not read); NULL: files
 * say. Items are recordings, pictures or .npy arrays, of one kind.
 * RN_ERR_DATA if there is no class, or only one. */
RN_API int rn_data_open(rn_data **data, const char *path, const rn_listen *sound, rn_error *err);

/* The caller's tensors. x is read in place for as long as the data set lives; labels, names and sources are copied.
 * x        [n][c][h][w] float32
 * labels   [n], each in [0, classes)
 * names    [classes] label names; NULL: "0", "1", ...
 * sources  [n] what may not be torn apart into two parts (a speaker, a recording); NULL: every item stands alone */
RN_API int rn_data_from_tensors(rn_data **data, const float *x, const int *labels, int n, int c, int h, int w, const char *const *names,
                                int classes, const char *const *sources, rn_error *err);
/* After the trainings on it. */
RN_API void rn_data_close(rn_data **data);

RN_API int rn_data_count(const rn_data *data);   /* items */
RN_API int rn_data_classes(const rn_data *data);
RN_API const char *rn_data_label(const rn_data *data, int index); /* NULL outside [0, classes) */

/* ---- Training in process --------------------------------------------------------------------------------------------------- */

typedef struct rn_training rn_training;

typedef enum rn_training_stage {
    RN_TRAINING_HASH,      /* done, total: files whose bytes were hashed */
    RN_TRAINING_PREPARE,   /* done, total: recordings decoded once */
    RN_TRAINING_STEP,      /* after every step */
    RN_TRAINING_VALIDATE,  /* done, total: items */
    RN_TRAINING_EPOCH,     /* after an epoch, its validation and its checkpoint */
    RN_TRAINING_TEST,      /* done, total: items */
    RN_TRAINING_STATISTICS /* done, total: batches that BN statistics were taken from ("bn_recompute"), before the test */
} rn_training_stage;

typedef struct rn_training_progress {
    rn_training_stage stage;
    int64_t done, total;      /* of HASH, PREPARE, VALIDATE, TEST, STATISTICS */
    int epoch, epochs;        /* epoch counts from 1 */
    int64_t step, steps;      /* of this epoch; step counts those done */
    double loss, accuracy;    /* training part, over this epoch so far; accuracy 0..1 */
    double gradient_norm;     /* of the last step, before clipping */
    double lr;                /* of the last step */
    double validation_loss, validation_accuracy,
        validation_macro;     /* EPOCH; NaN where there is no validation part. With several labels (here
                                 and in the result) accuracy is exact match, and macro the mean average precision */
    int best;                 /* EPOCH: 1 if this epoch is the best so far */
    double items_per_second;  /* training, this epoch */
    double seconds;           /* this epoch */
    double seconds_left;      /* to the end of the run; negative while unknown */
} rn_training_progress;

/* How a training is watched. All zero (or NULL instead of the struct): in silence. */
typedef struct rn_training_watch {
    int (*progress)(void *context, const rn_training_progress *progress); /* nonzero: stop after this step, with a checkpoint */
    rn_text_fn note;       /* a default that was taken, a file left out, a batch made smaller */
    void *context;         /* of both */
    const char *command;   /* as the user typed it, for RUN/run.json */
    const char *data_name; /* how to name the data in advice; NULL: the data set's path */
} rn_training_watch;

typedef struct rn_training_result {
    int epochs, best_epoch;   /* done, over all resumed parts; the best counts from 1 */
    int stopped_early;        /* patience ran out */
    int64_t steps;            /* done in all */
    int64_t left_out;         /* samples of each epoch that a last small batch leaves out */
    int bad;                  /* items skipped because they can't be decoded */
    double loss, accuracy;    /* training part, last epoch */
    double validation_loss, validation_accuracy, validation_macro; /* of the best epoch; NaN without a validation part */
    int test_items;           /* 0: no test part */
    double test_loss, test_accuracy, test_macro, test_low, test_high; /* of the best model; 95 % interval of the accuracy (Wilson) */
    double seconds;           /* of this process */
} rn_training_result;

#define RN_TRAINING_RESUME 1             /* go on from FOLDER/last.safetensors; without one, start afresh */
#define RN_TRAINING_RESUME_ARITHMETIC 2  /* the same, also from a checkpoint made under another arithmetic */

/* Checks everything, splits the data, resolves defaults, decodes every item once and takes the memory of the whole run.
 *
 * data     must outlive the training, which marks its parts and bad items
 * options  a JSON object, NULL for the defaults. Its keys are those of RUN/config.json; one level may be written with a dot, and values
 *          as numbers, booleans or text: {"epochs": 12, "arch.width": 16, "features.rate": 8000, "augment.mixup": 0.2}.
 *          Unknown keys and values out of range are refused by name.
 * folder   RUN, created; holds model.safetensors (the best), last.safetensors (the resumable state), split.csv, config.json, run.json,
 *          log.jsonl and TensorBoard events. An existing run is refused unless it is resumed. NULL: nothing is written.
 * resume   0, or one of RN_TRAINING_RESUME*: RUN/config.json gives the options, `options` may only change what changes no result
 */
RN_API int rn_training_open(rn_training **training, rn_data *data, const char *options, const char *folder, int resume,
                            const rn_training_watch *watch, rn_error *err);

/* Trains to the end. RN_ERR_CANCELLED after the progress callback asked to stop: a checkpoint was written (with a folder), and calling
 * this again goes on. RN_ERR_NUMBER: a loss or gradient was not finite; the last good checkpoint is kept. The model is a function of data
 * and options alone: not of threads, time, host, or how often the run was stopped. result may be NULL. */
RN_API int rn_training_run(rn_training *training, rn_training_result *result, rn_error *err);

/* The options with every default resolved, as the JSON of RUN/config.json; rn_text_free. NULL without memory. */
RN_API char *rn_training_options(const rn_training *training);

/* Hands over the trained model (rn_model_close), after rn_training_run; the training can only be closed afterwards. */
RN_API int rn_training_take_model(rn_training *training, rn_model **model, rn_error *err);
RN_API void rn_training_close(rn_training **training);

#ifdef __cplusplus
}
#endif
#endif
