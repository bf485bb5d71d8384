/* resnet_tools.h: what the program's verbs need besides resnet.h. Installed, but it may change between versions.
 *
 * Options and results are JSON objects in UTF-8 text: results are the objects that the verbs print with --json, so that a program, the
 * command line and a page read the same thing. Result texts are the caller's (rn_text_free). The rules of resnet.h hold. */
#ifndef RESNET_TOOLS_H
#define RESNET_TOOLS_H

#include "resnet.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- This machine ---------------------------------------------------------------------------------------------------------- */

/* The highest instruction set to use from now on: "c", "fma", "avx2", "avx512"; NULL for no limit. It holds for the whole
 * process: set it before other threads use the library. Sessions read it when they open. */
RN_API int rn_tools_cpu(const char *level, rn_error *err);
RN_API int rn_tools_threads(void); /* the cores that the process may really use */

/* {"version", "arithmetic", "isa", "cpu": [...], "threads", "features": [...]}: what this machine and build run with. */
RN_API int rn_tools_machine(char **result, rn_error *err);

/* {"path", "bytes", "arithmetic", "arch": {...}, "parameters", "labels": [...], "input": [C,H,W], "session_bytes", and the file's sections
 * "features" or "pictures", "training", "split", "bn_statistics", "calibration", "labels_kind", "thresholds" where it has them, "weights", "warnings"}. A file with NaN in its weights is read too.
 *
 * "weights": [{"name", "shape", "count", "mean", "std", "min", "max", "near_zero", "not_finite", "histogram": [24 counts, min to max]}]
 * of every array in order of execution, all but "not_finite" over its finite numbers; near_zero is the share of those that are within a
 * thousandth of the largest magnitude.
 * "warnings": [{"kind", "name", "text"}]: "not_finite" and "negative_variance" with "count" and "first", of an array; "dead" (always 0
 * behind a ReLU) and "constant" with "channels": [...] and "of", of a layer, judged by what batch normalisation lets through.
 *
 * Of a file of weights that is no model of ours, PyTorch's (.pth) or safetensors: {"path", "bytes", "format": "PyTorch" or "safetensors", "elements",
 * "tensors": [{"name", "dtype", "shape"}], "metadata": {...}, where a residual network is recognised "names" (whose: "torchvision") and "arch", and "error",
 * why it cannot be used as it is}. Of PyTorch's the metadata are "pth.dictionary", where in the file the tensors were found
 * ("" for at its top), and "pth.not_read", what else a Python that loads it would call. Nothing in it is run. */
RN_API int rn_tools_model(const char *path, char **result, rn_error *err);

/* ---- Networks -------------------------------------------------------------------------------------------------------------- */

/* The table of a network: {"arch", "width", "shortcut", "stem", "pool" and the other members, "input": [C,H,W], "layers": [{"name", "kind", "output": [C,H,W],
 * "parameters", "macs"}], "parameters", "macs", "classes", "embedding", "warnings": [...]}.
 *
 * options: as rn_model_create's, and "input": "CxHxW". "arch" may also be a benchmark's name: specN is resnetN on 1x64x200, netN is
 * resnetN as on ImageNet (7x7 stem, 3x224x224, 1,000 classes). */
RN_API int rn_tools_arch(const char *options, char **result, rn_error *err);
/* [{"arch", "use", "blocks", "parameters", "macs", "input", ...}] of every name, at its defaults; "use" is what the row is for. */
RN_API int rn_tools_arch_list(char **result, rn_error *err);

/* ---- Models from elsewhere -------------------------------------------------------------------------------------------------- */

/* A weight file (PyTorch's or safetensors), whose names are those of torchvision, timm, Hugging Face, WeSpeaker, the usual ports for CIFAR, or ours, to be
 * written as a model of ours or by another of these projects' names. Opening looks at it and fails only where it can't be read at all. An ONNX file is known by
 * what its graph computes, and opening fails where that is no residual network, naming the node.
 *
 * options: "names" (of what is written: "ours", "torchvision", "timm", "huggingface", "wespeaker", "cifar"), "labels" (a file, one label a line), and what no
 * file says: "preprocessing" ("imagenet", "imagenet-v2", "timm", "timm-95", "cifar", "caffe", "none" for pictures, "wespeaker" for its filter banks), "stride_at", "shortcut", "pool", "stem_pool", "bn_eps", "pool_eps" as rn_model_create's. Of ONNX
 * that is written: "fold_bn" (1: batch normalisation goes into the convolutions), "input" ("CxHxW"; what is not fixed stays open). */
typedef struct rn_conversion rn_conversion;
RN_API int rn_conversion_open(rn_conversion **conversion, const char *path, const char *options, rn_error *err);
RN_API void rn_conversion_close(rn_conversion **conversion);
/* {"path", "bytes", "format", "names" (the file's), "writes", "ready", "asks" (options that must be given), "known" (how many tensors have a name
 * there), "patterns": [{"from", "ours", "to", "tensors"}] (%s a stage, %b a block, %k a convolution), "tensors": [{"name", "dtype", "shape", "ours" (or null), "state": "mapped", "ignored" or "unknown", "why"}], "missing": [{"name", "shape"}],
 * "arch": {...}, "parameters", "labels", the sections "pictures", "features" and "input" that will be written, where "ready" is false "error", and of ONNX "notes": texts, of what was
 * left out or is not in the file}. */
RN_API int rn_conversion_result(const rn_conversion *conversion, char **result, rn_error *err);
/* Writes it, as .safetensors or .onnx; atomic. The same file gives the same bytes. path NULL: only says whether it could. */
RN_API int rn_conversion_write(const rn_conversion *conversion, const char *path, rn_error *err);

/* ---- Data sets ------------------------------------------------------------------------------------------------------------- */

/* Called with what was noticed while listing: symlink loops, twin names, unknown extensions. */
RN_API void rn_data_warnings(const rn_data *data, rn_text_fn report, void *context);

/* Decodes everything: {"items", "kind" ("recordings", "pictures", "arrays"), "classes", "seconds", "errors", "warnings", "findings": [{"kind", "error", "path", "other", "text"}],
 * "level": {"accuracy", "macro_accuracy", "chance"}}. options: "min_seconds", "threads". */
RN_API int rn_data_check(rn_data *data, const char *options, rn_progress_fn progress, void *context, char **result, rn_error *err);

/* {"items", "seconds", "classes": [{"label", "items", "sources", "seconds", "shortest", "median", "longest", "rates": {"8000": 12}}]}; of pictures the classes have
 * {"label", "items", "sources", "bad", "grey", "widths": [least, most], "heights"}. */
RN_API int rn_data_stats(rn_data *data, const char *options, rn_progress_fn progress, void *context, char **result, rn_error *err);

/* Makes a split and writes it to `path`: {"digest", "train", "validation", "test", "classes": [{"label", "train", "validation", "test"}]}.
 * options: "split_seed", "train", "validation", "test" (shares), "threads". */
RN_API int rn_data_split(rn_data *data, const char *path, const char *options, char **result, rn_error *err);

/* ---- Training and judging -------------------------------------------------------------------------------------------------- */

/* [{"name", "source", "options": {"lr": "0.1", ...}}] of every value of the option "recipe". */
RN_API int rn_tools_recipes(char **result, rn_error *err);
/* Of an open training: {"items", "parts": {"train", "validation", "test"}, "classes": [...], "bad", "seconds", "kind" ("recordings", "pictures", "arrays"),
 * "input": [C,H,W], "parameters", "macs", "steps", "left_out", "bytes": {"engine", "weights", "cache"}, "options": {...}}, and with several labels
 * "labels_kind": "several". */
RN_API int rn_training_plan(rn_training *training, char **result, rn_error *err);
/* The same without decoding or writing anything, with "step_seconds" and "run_seconds" from a measured step. */
RN_API int rn_training_estimate(rn_data *data, const char *options, const rn_training_watch *watch, char **result, rn_error *err);

/* A model judged on a data set, which must outlive it.
 * options: "part" (train, validation, test, all), "split" (a file; otherwise split.csv beside the model), "threads", "cache_mb",
 * "skip_bad", "worst" (how many files), "min_seconds", "bn_recompute" (BN statistics by true average over the training part, all of it without a
 * split, before judging); of pictures "crops" (1, 5 or 10) and "scales" ("224,256,288"): the views of a picture
 * are averaged as the windows of a recording are, by their probabilities (what the ensembles of Krizhevsky et al. 2012 and He et al. 2016 average,
 * and what makes one view that is sure of nothing count little). note receives what the user should know (no split, items unknown to it). */
typedef struct rn_evaluation rn_evaluation;
RN_API int rn_evaluation_open(rn_evaluation **evaluation, const char *model_path, rn_data *data, const char *options, rn_progress_fn progress,
                              rn_text_fn note, void *context, rn_error *err);
RN_API void rn_evaluation_close(rn_evaluation **evaluation);
/* {"accuracy", "macro_accuracy", "items", "correct", "top5", "loss", "ece", "interval": [low, high] (Wilson 1927), "part", "trained_on", "split", "labels",
 * "per_class": [...], "confusion": [[...]], "level": {...}, "worst": [...], "bad", "calibration": {"temperature" (the model's), "best_temperature", "best_loss",
 * "best_ece"} (Guo et al. 2017), "suspects": [...] (labels that are likely wrong; Northcutt et al. 2021)}.
 * With several labels "accuracy" is of items all of whose labels are right, and instead of "macro_accuracy", "top5", "confusion" there are
 * "mean_average_precision", "micro_average_precision", "macro_roc_area", "micro_f1", "macro_f1"; a class has "threshold" and "best_threshold" (of its
 * F1 on these items), a worst item "labels", "answers", "loss". */
RN_API int rn_evaluation_result(const rn_evaluation *evaluation, char **result, rn_error *err);
/* One HTML page that needs no second file, below 5 MB for 1,000 items. command: as it was typed, or NULL. progress counts to 1,000. Atomic. */
RN_API int rn_evaluation_report(rn_evaluation *evaluation, const char *path, const char *command, rn_progress_fn progress, void *context, rn_error *err);
/* Writes the model as it was judged, with "bn_recompute" its new statistics; atomic. What is calibrated from then on is that file. */
RN_API int rn_evaluation_save(rn_evaluation *evaluation, const char *path, rn_error *err);
/* Stores the best temperature in the model file that was judged, and with several labels each class's best threshold. Atomic; its tensors stay as they are. */
RN_API int rn_evaluation_calibrate(const rn_evaluation *evaluation, rn_error *err);

/* ---- Looking inside -------------------------------------------------------------------------------------------------------- */

/* Times a network on random input: {"arch", "input", "batch", "threads", "isa", "mode", "runs", "median_ms", "min_ms", "spread", "gflops",
 * "peak_gflops", "peak_share", "rss_mib", "plan_bytes", "layers": [{"name", "kind", "output", "macs", "ms", "min_ms", "gflops", and of a
 * convolution "channels_in", "kernel", "stride", "algorithm"}]}. With "train" or "layers" also "bandwidth_gbs", how fast so many threads
 * read memory; with "train" also "ghost_batch", "rss_before_mib" (with the model made and training not yet planned), "step_bytes", what a
 * step reads and writes as counted from its plan, and "floor_bytes", the least that it could be: every stored tensor written and read once, each weight, gradient and momentum touched once.
 *
 * options: "what" (a model file, or a name as rn_tools_arch takes), network options for a name, "input", "batch", "ghost_batch",
 * "train", "recompute_blocks", "layers", "threads", "seconds". */
RN_API int rn_tools_bench(const char *options, rn_progress_fn progress, void *context, char **result, rn_error *err);

/* One stage of the way from a file to the logits, written as .npy: "decode", "resample", "features", of a picture "decode" and "resize" (with the
 * crop; height, width, channels of bytes), or "layer:NAME".
 * Of the window that begins at start_s, listen->window_s long (0: as the model was trained); with start_s below 0 and no window_s, of
 * the whole, which for a layer may be up to 30 s. result: {"stage", "shape", "min", "max", "mean", "not_finite"}. `out` NULL: nothing is written. */
RN_API int rn_tools_dump(const rn_model *model, const char *path, const rn_listen *listen, double start_s, const char *stage,
                         const char *out, char **result, rn_error *err);
/* [{"stage", "shape"}] of what rn_tools_dump can write, for the model's own input size. */
RN_API int rn_tools_dump_list(const rn_model *model, char **result, rn_error *err);

/* Where in an input the evidence for a class lies: {"path", "start_s", "end_s", "answer": {"label", "probability"}, "class": {"label", "probability",
 * "logit"}, "method", "layer", "shape": [rows, columns], "strongest": {"row", "column", and of a recording "seconds", "hz"}, "map": [[...]]}, and
 * of a recording "input": [rows, columns]. The logits are those of rn_session_file, to the bit. `png` gets a picture, `npy` the map; NULL: none.
 *
 * options: "method" ("grad-cam": Selvaraju et al. 2017; "grad-cam++": Chattopadhay et al. 2018; "occlusion": Zeiler and Fergus 2014), "layer"
 * (as rn_tools_dump names it), "class" (a label), "start" (seconds; listen->window_s long), "patch" ("HxW"), "threads". progress is called in
 * occlusion, and can stop it. */
RN_API int rn_tools_explain(const rn_model *model, const char *path, const rn_listen *listen, const char *options, const char *png,
                            const char *npy, rn_progress_fn progress, void *context, char **result, rn_error *err);

/* Arrays in files: NumPy's .npy, float32 in memory, row by row. Loading takes float and integer arrays of up to 8 dimensions, in C order:
 * *dims of them, their sizes in shape[0 .. *dims). *data is the caller's (rn_tensor_free). Saving replaces the file whole. */
RN_API int rn_tensor_load(const char *path, float **data, int *dims, int64_t shape[8], rn_error *err);
RN_API int rn_tensor_save(const char *path, const float *data, int dims, const int64_t *shape, rn_error *err);
RN_API void rn_tensor_free(float *data);

/* A file written so that a reader sees the old one or the new one: text goes to it piece by piece, then it is committed. */
typedef struct rn_text_file rn_text_file;
RN_API int rn_text_file_open(rn_text_file **file, const char *path, rn_error *err);
RN_API int rn_text_file_write(rn_text_file *file, const char *text, size_t size, rn_error *err);
RN_API int rn_text_file_commit(rn_text_file **file, rn_error *err); /* closes it */
RN_API void rn_text_file_close(rn_text_file **file);                /* drops what was not committed */

/* A find: a stretch of a recording in which a class was heard. */
typedef struct rn_find {
    const char *path, *label;
    double start_s, end_s; /* in the recording */
    double probability;    /* the largest of its windows */
    long long clock_s;     /* when the recording begins, in seconds since 1970, as its recorder's clock had it; negative: not known */
} rn_find;
/* A recording that was heard. */
typedef struct rn_recording {
    const char *path, *error; /* error: why it was not heard to its end, else "" */
    double seconds;
    long long clock_s; /* as of rn_find */
} rn_recording;
/* Writes finds as one HTML page: by class, over the hours of the day, and each; atomic. `command`: as typed. */
RN_API int rn_tools_find_page(const char *model, const char *command, const rn_find *finds, int count, const rn_recording *recordings,
                              int recordings_count, const char *page, rn_error *err);

/* A part of a recording, to be written as WAV. */
typedef struct rn_cut {
    double start_s, end_s;
    const char *out;
} rn_cut;
/* Writes parts of a recording, sorted by their start, in one pass over it: 16 bits, one channel (as listen->channel says), the recording's own
 * rate. Parts may overlap; those that are whole when an error comes are written. */
RN_API int rn_tools_cut(const char *path, const rn_listen *listen, const rn_cut *cuts, int count, rn_error *err);

/* XXH3-128 of a file's bytes in hexadecimal: what split files know an item by, and stores of embeddings a model. */
RN_API int rn_tools_hash(const char *path, char hash[33], rn_error *err);

/* 1 if the extension is that of a recording or picture which this build decodes, or .npy; and if it is of the kind that the model was trained on. */
RN_API int rn_tools_readable(const char *path);
RN_API int rn_tools_takes(const rn_model *model, const char *path);
/* How long a recording is as its header has it; 0 where that tells nothing. */
RN_API int rn_tools_seconds(const char *path, const rn_listen *listen, double *seconds, rn_error *err);

#ifdef __cplusplus
}
#endif
#endif
