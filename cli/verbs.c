/* The verbs and their options. Each row is parsed, checked, printed by --help, completed by the shell and passed to the library. */
#include "cli.h"

// clang-format off
#define END {NULL, NULL, OPTION_FLAG, 0, 0, 0, NULL, NULL, NULL}
#define FLAG(name, pass, help) {name, NULL, OPTION_FLAG, pass, 0, 0, NULL, help, NULL}
#define INTEGER(name, pass, low, high, help) {name, "N", OPTION_INTEGER, pass, low, high, NULL, help, NULL}
#define NUMBER(name, value, pass, low, high, help) {name, value, OPTION_NUMBER, pass, low, high, NULL, help, NULL}
#define TEXT(name, value, pass, help) {name, value, OPTION_TEXT, pass, 0, 0, NULL, help, NULL}
#define PATH(name, value, pass, help) {name, value, OPTION_PATH, pass, 0, 0, NULL, help, NULL}
#define CHOICE(name, pass, choices, help) {name, "X", OPTION_CHOICE, pass, 0, 0, choices, help, NULL}

#define RAW_ROW(help) {"raw", "KIND", OPTION_CHOICE, 0, 0, 0, "s16le|s24le|s32le|f32le|u8|mulaw|alaw|gsm", help, NULL}

#define KEYED(name, value, kind, low, high, choices, key, help) {name, value, kind, 1, low, high, choices, help, key}

/* What a network is made of, for the verbs that make one. Keys are those of resnet.config, behind "arch." where a run is described. */
#define NETWORK_SHAPE(key) \
    KEYED("block", "X", OPTION_CHOICE, 0, 0, "basic|bottleneck", key "block", "what a block is: 3x3, 3x3; or 1x1, 3x3, 1x1 [as the row]"), \
    KEYED("blocks", "N,N", OPTION_TEXT, 0, 0, NULL, key "blocks", "blocks of each stage, 1 to 4 stages [as the row: 2,2,2,2]"), \
    KEYED("preact", "X", OPTION_CHOICE, 0, 0, "yes|no", key "preact", "batch normalisation and ReLU before each convolution (v2) [as the row]"), \
    KEYED("width", "N", OPTION_INTEGER, 1, 4096, NULL, key "width", "channels of the first stage [64; 16 for the CIFAR rows, 32 for WeSpeaker's]"), \
    KEYED("stem-width", "N", OPTION_INTEGER, 0, 4096, NULL, key "stem_width", "channels that leave the stem; 0: as --width [0]"), \
    KEYED("groups", "N", OPTION_INTEGER, 1, 4096, NULL, key "groups", "groups of a bottleneck's 3x3 (ResNeXt) [1]"), \
    KEYED("group-width", "N", OPTION_INTEGER, 1, 4096, NULL, key "group_width", "channels of a group in the first stage of width 64; 128: twice as wide [64]"), \
    KEYED("se", "N", OPTION_INTEGER, 0, 4096, NULL, key "se", "squeeze and excitation: a block's channels over N are squeezed to; 0: none [0]"), \
    KEYED("shortcut", "X", OPTION_CHOICE, 0, 0, "A|A2|B|C|none", key "shortcut", "where shapes change: A zero padding (A2: on both sides), B 1x1 convolution, C everywhere [B]"), \
    KEYED("shortcut-pool", "X", OPTION_CHOICE, 0, 0, "yes|no", key "shortcut_pool", "average pool 2x2 before the shortcut's 1x1 (ResNet-D) [as the row]"), \
    KEYED("stride-at", "X", OPTION_CHOICE, 0, 0, "3x3|1x1", key "stride_at", "where a bottleneck has its stride: v1.5, v1 [3x3]"), \
    KEYED("pool", "P", OPTION_TEXT, 0, 0, NULL, key "pool", "bins of the average pool, HxW, or tstp: mean and deviation over time [4x1]"), \
    KEYED("pool-eps", "E", OPTION_NUMBER, 0, 1, NULL, key "pool_eps", "added to the variance of tstp [1e-7]"), \
    KEYED("stem", "X", OPTION_CHOICE, 0, 0, "3x3|7x7|deep|tiered", key "stem", "3x3 stride 1; 7x7 stride 2 and max pool; three 3x3 and max pool (C, D; T) [3x3]"), \
    KEYED("stem-pool", "X", OPTION_CHOICE, 0, 0, "same|end|none", key "stem_pool", "where the stem's max pool is padded: all around, or below and right (Caffe, TensorFlow) [same]"), \
    KEYED("embedding", "N", OPTION_INTEGER, 0, 65536, NULL, key "embedding", "numbers of the embedding; 0: the logits come straight from the pool, whose one bin is the embedding then [256]"), \
    KEYED("embedding2", "X", OPTION_CHOICE, 0, 0, "yes|no", key "embedding2", "a second layer behind the embedding's, after ReLU and batch normalisation [no]"), \
    KEYED("bn-eps", "E", OPTION_NUMBER, 1e-12, 1, NULL, key "bn_eps", "added to the variance of batch normalisation [1e-5]")

/* How a network is described, for `arch` and `bench`. */
#define NETWORK_ROWS \
    {"input", "CxHxW", OPTION_SHAPE, 1, 0, 0, NULL, \
        "channels, rows and columns of the input [1x64x200; 3x224x224 with the 7x7 stem]", NULL}, \
    NETWORK_SHAPE(""), \
    INTEGER("in-channels", 1, 1, 4096, "channels of the input [1; 3 for rows of pictures]"), \
    INTEGER("classes", 1, 0, 1000000, "number of classes [9; 10 for the CIFAR rows, 1000 for ImageNet's]")

/* How sound is read, for every verb that reads some. --rate is the raw rate here. */
#define RAW_ROWS \
    RAW_ROW( "headerless samples of this kind [the file says]"), \
    INTEGER("rate", 0, 1, 1000000, "samples per second of headerless input"), \
    INTEGER("channels", 0, 1, 64, "channels of headerless input [1]"), \
    INTEGER("channel", 0, 0, 64, "take this channel, counting from 1; 0: the mean of all [as trained]"), \
    PIXELS_ROW

/* A decoder's limit, so that a file of a megabyte cannot ask for gigabytes. */
#define PIXELS_ROW INTEGER("max-pixels", 0, 1, 4e9, "pictures with more pixels are refused by their header [89478485]")

#define WINDOW_ROWS \
    NUMBER("window", "S", 0, 0.01, 3600, "seconds of a window [recordings up to 30 s whole; else the length trained on]"), \
    NUMBER("hop", "S", 0, 0.001, 3600, "seconds from one window to the next [the window's length]")

static const option_row arch_options[] = {NETWORK_ROWS, END};

static const option_row bench_options[] = {
    NETWORK_ROWS,
    INTEGER("batch", 1, 1, 65536, "inputs of one run [1; 16 with --train]"),
    FLAG("train", 1, "time a training step: forward, loss, backward, optimiser"),
    INTEGER("ghost-batch", 1, 1, 65536, "largest part of a batch that has its own batch statistics [32]"),
    FLAG("recompute-blocks", 1, "with --train: keep a block's output only, and compute it again on the way back"),
    FLAG("layers", 1, "a line for every layer as well"),
    NUMBER("seconds", "S", 1, 0.01, 86400, "how long to measure [3]"), END};

static const option_row info_options[] = {END};

static const option_row convert_options[] = {
    CHOICE("names", 1, "ours|torchvision|timm|huggingface|wespeaker|cifar", "whose names the tensors get; another's keep the model's description [ours]"),
    PATH("labels", "FILE", 1, "names of the classes, one a line [the file's own, or 0, 1, ...]"),
    CHOICE("preprocessing", 1, "imagenet|imagenet-v2|timm|timm-95|cifar|caffe|wespeaker|none",
           "how the network's input is made: pictures as these prepare them, filter banks as WeSpeaker's"),
    CHOICE("stride-at", 1, "3x3|1x1", "where bottlenecks carry the stride: 3x3 (torchvision, timm), 1x1 (Caffe, Keras)"),
    CHOICE("shortcut", 1, "A|A2|none", "shortcuts without weights: zeros after the channels, half before and half after, or no shortcut"),
    {"pool", "HxW", OPTION_TEXT, 1, 0, 0, NULL, "how the bins of the pool lie, where there are several", NULL},
    CHOICE("stem-pool", 1, "same|end|none", "the stem's max pool is padded on all sides, or below and to the right (Caffe, TensorFlow) [same]"),
    NUMBER("bn-eps", "X", 1, 1e-12, 1, "what batch normalisation adds to the variance [1e-5]"),
    NUMBER("pool-eps", "X", 1, 0, 1, "what statistics pooling adds to the variance; 3D-Speaker: 1e-8 [1e-7]"),
    FLAG("fold-bn", 1, "ONNX: batch normalisation goes into the convolutions, as other programs run it fastest"),
    {"input", "CxHxW", OPTION_SHAPE, 1, 0, 0, NULL, "ONNX: the size of the input [open, but for the rows of a spectrogram]", NULL},
    FLAG("dry-run", 0, "print the table and write nothing"), END};

static const option_row data_options[] = {
    RAW_ROW( "headerless samples of this kind [the file says]"),
    INTEGER("rate", 0, 1, 1000000, "samples per second of headerless files"),
    INTEGER("channels", 0, 1, 64, "channels of headerless files [1]"),
    INTEGER("channel", 0, 0, 64, "take this channel, counting from 1; 0: the mean of all [0]"),
    NUMBER("min-seconds", "S", 1, 0, 3600, "shorter recordings are findings [0.5]"),
    PIXELS_ROW, END};

static const option_row split_options[] = {
    RAW_ROW( "headerless samples of this kind [the file says]"),
    INTEGER("rate", 0, 1, 1000000, "samples per second of headerless files"),
    INTEGER("channels", 0, 1, 64, "channels of headerless files [1]"),
    INTEGER("channel", 0, 0, 64, "take this channel, counting from 1; 0: the mean of all [0]"),
    PATH("out", "FILE", 0, "where to write the split, CSV; also -o [split.csv]"),
    INTEGER("split-seed", 1, 0, 9007199254740992.0, "another seed, another split [0]"),
    NUMBER("train", "P", 1, 0, 1, "share of the training part [0.7]"),
    NUMBER("validation", "P", 1, 0, 1, "share of the validation part [0.15]"),
    NUMBER("test", "P", 1, 0, 1, "share of the test part [0.15]"), END};

#define SEED_MOST 9007199254740992.0

static const option_row train_options[] = {
    PATH("out", "RUN", 0, "folder for the model, checkpoints and logs; also -o"),
    FLAG("resume", 0, "go on with RUN where it stopped"),
    FLAG("resume-arithmetic", 0, "as --resume, also from a checkpoint made under another arithmetic"),
    FLAG("dry-run", 0, "print defaults, parts, memory and estimated time, and stop"),
    INTEGER("seeds", 0, 2, 26, "train so many times, with seeds from --seed on, into RUN/seed-S; mean and deviation"),
    FLAG("watch", 0, "serve a page with the curves while it trains; see `resnet help watch`"),
    TEXT("listen", "ADDRESS", 0, "where the page of --watch is served; port 0: any free one [127.0.0.1:8090]"),
    PATH("compare", "RUN", 0, "say after every epoch whether this run is on the track of that one"),
    PATH("config", "FILE", 0, "options from a JSON file such as RUN/config.json; the command line goes before"),
    /* network */
    KEYED("arch", "NAME", OPTION_TEXT, 0, 0, NULL, "arch.name", "network [resnet18; pictures resnet20 below 96 pixels, else imagenet18]"),
    NETWORK_SHAPE("arch."),
    KEYED("in-channels", "N", OPTION_INTEGER, 1, 4096, NULL, "arch.in_channels", "channels of the input [as the data have]"),
    KEYED("classes", "N", OPTION_INTEGER, 1, 1000000, NULL, "arch.classes", "number of classes [as the data have]"),
    KEYED("init", "MODEL", OPTION_PATH, 0, 0, NULL, NULL, "start from the weights of this model, ours or another project's (.pth); another class list replaces the head"),
    CHOICE("init-weights", 1, "pytorch|he", "initial weights: PyTorch's distributions, or He's fan-out normal [pytorch]"),
    FLAG("zero-last", 1, "the last batch normalisation of each block starts at 0"),
    TEXT("freeze", "LAYERS", 1, "layers that stay as they are: prefixes, separated by commas (conv1,bn1,layer1)"),
    /* data */
    KEYED("split", "FILE", OPTION_PATH, 0, 0, NULL, "split_file", "take this split instead of making one"),
    KEYED("split-seed", "N", OPTION_INTEGER, 0, SEED_MOST, NULL, "split.seed", "another seed, another split [0]"),
    KEYED("split-train", "P", OPTION_NUMBER, 0, 1, NULL, "split.train", "share of the training part [0.7]"),
    KEYED("split-validation", "P", OPTION_NUMBER, 0, 1, NULL, "split.validation", "share of the validation part [0.15]"),
    KEYED("split-test", "P", OPTION_NUMBER, 0, 1, NULL, "split.test", "share of the test part [0.15]"),
    FLAG("no-validation", 1, "no validation part; the last epoch is the best"),
    FLAG("no-test", 1, "no test part"),
    FLAG("skip-bad", 1, "leave out what can't be decoded, is silent or of one colour, and count it [an error that names it]"),
    NUMBER("min-seconds", "S", 1, 0, 3600, "shorter recordings count as bad [0.1]"),
    CHOICE("balance", 1, "none|sampling|weights", "unequal classes: draw each equally often, or weigh the loss [none]"),
    TEXT("class-weights", "W,W", 1, "weights of the classes in the loss, in the order of the labels; with several, of their \"yes\""),
    RAW_ROW( "headerless recordings of this kind [the file says]"),
    INTEGER("raw-rate", 0, 1, 1000000, "samples per second of headerless recordings"),
    INTEGER("raw-channels", 0, 1, 64, "channels of headerless recordings [1]"),
    /* features */
    KEYED("rate", "HZ", OPTION_INTEGER, 1, 1000000, NULL, "features.rate", "samples per second [the commonest of the data, up to 48,000]"),
    KEYED("seconds", "S", OPTION_NUMBER, 0.01, 3600, NULL, "features.seconds", "length of a training sample [the median length, 1 to 5]"),
    KEYED("channel", "N", OPTION_INTEGER, 0, 64, NULL, "features.channel", "take this channel, counting from 1; 0: the mean of all [0]"),
    KEYED("convention", "NAME", OPTION_CHOICE, 0, 0, "kaldi|librosa|torchaudio|spectrogram", "features.convention",
          "whose filter banks; another than kaldi brings its own defaults for what follows [kaldi]"),
    KEYED("bins", "N", OPTION_INTEGER, 1, 4096, NULL, "features.bins", "frequency bands [64]"),
    KEYED("window-ms", "MS", OPTION_NUMBER, 0.1, 10000, NULL, "features.window_ms", "length of an analysis window [25]"),
    KEYED("hop-ms", "MS", OPTION_NUMBER, 0.05, 10000, NULL, "features.hop_ms", "from one analysis window to the next [10]"),
    KEYED("fft-window", "NAME", OPTION_CHOICE, 0, 0, "hamming|hann|povey|rectangular", "features.window",
          "shape of the analysis window [hamming]"),
    KEYED("low-hz", "HZ", OPTION_NUMBER, 0, 500000, NULL, "features.low_hz", "lowest frequency [20]"),
    KEYED("high-hz", "HZ", OPTION_NUMBER, -500000, 500000, NULL, "features.high_hz",
          "highest frequency; 0 or less: below half the rate [0]"),
    KEYED("preemphasis", "X", OPTION_NUMBER, 0, 1, NULL, "features.preemphasis", "pre-emphasis [0.97]"),
    KEYED("amplitude", "X", OPTION_NUMBER, 1e-9, 1e9, NULL, "features.amplitude", "samples are multiplied by this [32768]"),
    KEYED("scale", "X", OPTION_CHOICE, 0, 0, "ln|db|power|magnitude", "features.scale", "logarithm, decibels, power or magnitude [ln]"),
    KEYED("normalise", "X", OPTION_CHOICE, 0, 0, "none|mean|mean-variance", "features.normalise",
          "per band over the whole recording [mean]"),
    /* pictures */
    KEYED("preprocessing", "NAME", OPTION_CHOICE, 0, 0, "imagenet|imagenet-v2|timm|timm-95|cifar|caffe|none", "pictures.preset",
          "how this project prepares pictures; what follows goes over it [by the sizes of the data]"),
    KEYED("resize", "N|HxW", OPTION_TEXT, 0, 0, NULL, "pictures.resize",
          "pixels of the shorter side, the exact size, or none [none where all have one size up to 256; else 8/7 of the crop]"),
    KEYED("crop", "HxW", OPTION_TEXT, 0, 0, NULL, "pictures.crop", "what the network gets of it, in the middle when judged [the size, up to 224]"),
    KEYED("filter", "X", OPTION_CHOICE, 0, 0, "bilinear|bicubic|lanczos|box", "pictures.filter", "of the resize, as Pillow has it [bilinear]"),
    KEYED("mean", "R,G,B", OPTION_TEXT, 0, 0, NULL, "pictures.mean", "subtracted from values in 0 to 1 [0.485,0.456,0.406]"),
    KEYED("std", "R,G,B", OPTION_TEXT, 0, 0, NULL, "pictures.std", "divides them then [0.229,0.224,0.225]"),
    KEYED("order", "X", OPTION_CHOICE, 0, 0, "rgb|bgr", "pictures.order", "of the network's channels [rgb]"),
    KEYED("orient", NULL, OPTION_FLAG, 0, 0, NULL, "pictures.orient", "turn photographs as their EXIF says; torchvision does not"),
    PIXELS_ROW,
    /* augmentation */
    FLAG("no-augment", 0, "none of what follows, except random crops"),
    KEYED("resized-crop", "P", OPTION_NUMBER, 0, 1, NULL, "augment.resized_crop",
          "pictures: a part of at least this share of the area, resized; 0: off [0.25 where pictures are resized by their shorter side]"),
    KEYED("pad", "N", OPTION_INTEGER, 0, 1024, NULL, "augment.pad",
          "pictures: black pixels all around, before a crop is drawn [an eighth where pictures are used as they are]"),
    KEYED("flip", "P", OPTION_NUMBER, 0, 1, NULL, "augment.flip", "pictures: how often they are mirrored [0.5; grey ones 0]"),
    KEYED("brightness", "X", OPTION_NUMBER, 0, 1, NULL, "augment.brightness", "pictures: random factor of brightness, 1 plus or minus this [0]"),
    KEYED("contrast", "X", OPTION_NUMBER, 0, 1, NULL, "augment.contrast", "pictures: the same of contrast [0]"),
    KEYED("saturation", "X", OPTION_NUMBER, 0, 1, NULL, "augment.saturation", "pictures: the same of saturation [0]"),
    KEYED("hue", "X", OPTION_NUMBER, 0, 0.5, NULL, "augment.hue", "pictures: colours are turned by up to this part of the circle [0]"),
    KEYED("rand-augment", "N", OPTION_INTEGER, 0, 14, NULL, "augment.rand_augment", "pictures: RandAugment, so many operations [0: off]"),
    KEYED("rand-magnitude", "N", OPTION_INTEGER, 0, 30, NULL, "augment.rand_magnitude", "RandAugment: how strong, of 31 steps [9]"),
    KEYED("trivial-augment", NULL, OPTION_FLAG, 0, 0, NULL, "augment.trivial_augment", "pictures: TrivialAugmentWide, one drawn operation"),
    KEYED("erase", "P", OPTION_NUMBER, 0, 1, NULL, "augment.erase", "pictures: how often a box is covered by the mean [0]"),
    KEYED("cutmix", "A", OPTION_NUMBER, 0, 100, NULL, "augment.cutmix",
          "pictures: CutMix, areas drawn from Beta(A, A); with --mixup each by turns, drawn [0: off]"),
    KEYED("no-crop", NULL, OPTION_FLAG, 0, 0, NULL, "!augment.crop", "always from the start of the recording"),
    KEYED("gain-db", "DB", OPTION_NUMBER, 0, 60, NULL, "augment.gain_db", "random gain up to plus or minus this [6]"),
    KEYED("shift", "S", OPTION_NUMBER, 0, 60, NULL, "augment.shift_s", "random shift in time up to this [0: the crop does it]"),
    KEYED("speed", "X", OPTION_NUMBER, 0, 0.5, NULL, "augment.speed", "random speed, 1 plus or minus this [0]"),
    KEYED("noise", "P", OPTION_NUMBER, 0, 1, NULL, "augment.noise_probability", "how often noise is added [0.5]"),
    KEYED("noise-snr-low", "DB", OPTION_NUMBER, -60, 120, NULL, "augment.noise_snr_low_db", "lowest signal-to-noise ratio drawn [5]"),
    KEYED("noise-snr-high", "DB", OPTION_NUMBER, -60, 120, NULL, "augment.noise_snr_high_db", "highest signal-to-noise ratio drawn [30]"),
    KEYED("noise-folder", "FOLDER", OPTION_PATH, 0, 0, NULL, "augment.noise_folder", "recordings of noise [generated noise]"),
    KEYED("mask-time", "N", OPTION_INTEGER, 0, 10000, NULL, "augment.mask_time", "SpecAugment: frames of a mask, at most [10]"),
    KEYED("mask-frequency", "N", OPTION_INTEGER, 0, 4096, NULL, "augment.mask_frequency", "SpecAugment: bands of a mask, at most [8]"),
    KEYED("mask-count", "N", OPTION_INTEGER, 0, 100, NULL, "augment.mask_count", "SpecAugment: masks of each kind [1]"),
    KEYED("mixup", "A", OPTION_NUMBER, 0, 100, NULL, "augment.mixup", "mixes pairs, shares drawn from Beta(A, A) [0: off]"),
    /* steps */
    CHOICE("recipe", 1, "he-cifar|he-imagenet|torchvision",
           "train as a paper or script did: sets steps, rate, decay and initial weights; options given go before [none]"),
    INTEGER("epochs", 1, 1, 1000000, "times through the training part [by the size of the data]"),
    INTEGER("batch", 1, 1, 1048576, "samples of a step [by the size of the data]"),
    INTEGER("ghost-batch", 1, 1, 1048576, "largest part of a batch that has its own batch statistics [32]"),
    NUMBER("lr", "X", 1, 0, 1000, "learning rate [by the optimiser and the batch]"),
    CHOICE("optimiser", 1, "sgd|adamw", "optimiser [sgd]"),
    NUMBER("momentum", "X", 1, 0, 0.9999999, "of sgd [0.9]"),
    KEYED("no-nesterov", NULL, OPTION_FLAG, 0, 0, NULL, "!nesterov", "plain momentum"),
    NUMBER("beta1", "X", 1, 0, 0.9999999, "of adamw [0.9]"),
    NUMBER("beta2", "X", 1, 0, 0.9999999, "of adamw [0.999]"),
    NUMBER("epsilon", "X", 1, 0, 1, "of adamw [1e-8]"),
    NUMBER("weight-decay", "X", 1, 0, 10, "weight decay [5e-4]"),
    FLAG("decay-all", 1, "batch normalisation and biases decay too"),
    CHOICE("schedule", 1, "cosine|step|constant", "of the learning rate [cosine]"),
    NUMBER("lr-end", "X", 1, 0, 1, "the cosine ends at this share of the rate [0]"),
    NUMBER("step-epochs", "N", 1, 0, 1e6, "step schedule: epochs between steps [a third of the run]"),
    TEXT("milestones", "N,N", 1, "step schedule: epochs after which the rate falls, instead of --step-epochs"),
    NUMBER("step-factor", "X", 1, 0, 1, "step schedule: factor of a step [0.1]"),
    NUMBER("warmup-epochs", "N", 1, 0, 1e6, "epochs of rising rate [5 % of the run, one at most]"),
    INTEGER("warmup-steps", 1, 0, 2147483647.0, "the same in steps"),
    NUMBER("label-smoothing", "X", 1, 0, 1, "label smoothing; with several labels towards one half [0]"),
    NUMBER("drop-path", "P", 1, 0, 0.9, "share of samples that leave the last block out in a step; less before it, none at the first [0]"),
    NUMBER("clip", "X", 1, 0, 1e30, "largest norm of the gradient; 0: none [0]"),
    NUMBER("ema", "X", 1, 0, 0.9999999, "decay of averaged weights; 0: none [0]"),
    FLAG("bn-recompute", 1, "give the best model BN statistics by true average over the training part [moving averages]"),
    INTEGER("seed", 1, 0, SEED_MOST, "of weights, order and augmentation [0]"),
    INTEGER("patience", 1, 0, 1000000, "stop after so many epochs without a better one; 0: never [0]"),
    /* watching */
    NUMBER("checkpoint-minutes", "M", 1, 0, 1e6, "a checkpoint within the epoch, so often [5]"),
    INTEGER("cache-mb", 1, 0, 2147483647.0, "memory for features [1024]"),
    FLAG("recompute-blocks", 1, "keep a block's output only: less memory, about a quarter more time, the same result"),
    INTEGER("loader-threads", 1, 0, 4096, "threads that decode [half of --threads]"),
    INTEGER("log-steps", 1, 1, 2147483647.0, "a line in log.jsonl every so many steps [10]"), END};

static const option_row watch_options[] = {
    FLAG("text", 0, "curves in the terminal, drawn anew while a run goes on"),
    TEXT("listen", "ADDRESS", 0, "where the page is served, on this machine; port 0: any free one [127.0.0.1:8090]"), END};

static const option_row eval_options[] = {
    CHOICE("part", 1, "train|validation|test|all", "which part of the split to judge [test; all without a split]"),
    PATH("split", "FILE", 1, "the split of the training [split.csv beside MODEL]"),
    FLAG("skip-bad", 1, "leave out what can't be decoded, is silent or of one colour, and count it"),
    NUMBER("min-seconds", "S", 1, 0, 3600, "shorter recordings count as bad [as in training]"),
    INTEGER("worst", 1, 0, 100000, "how many of the worst files to name [10]"),
    PATH("report", "FILE.html", 0, "also write a page: confusion with its recordings, curves, calibration, a map, explanations"),
    FLAG("calibrate", 0, "store in MODEL the temperature that fits these items best (with several labels also thresholds)"),
    PATH("bn-recompute", "FILE", 0, "average BN statistics anew over the training part, judge with them, and write that model to FILE"),
    INTEGER("cache-mb", 1, 0, 2147483647.0, "memory for features [1024]"),
    RAW_ROW( "headerless recordings of this kind [the file says]"),
    INTEGER("rate", 0, 1, 1000000, "samples per second of headerless recordings"),
    INTEGER("channels", 0, 1, 64, "channels of headerless recordings [1]"),
    INTEGER("crops", 1, 1, 10, "pictures: 1: the middle, 5: and the corners, 10: and all mirrored; their probabilities are averaged [1]"),
    TEXT("scales", "N,N", 1, "pictures: with a shorter side of each of these pixels; their probabilities are averaged [as trained]"),
    PIXELS_ROW, END};

static const option_row predict_options[] = {
    INTEGER("top", 0, 1, 1000000, "how many labels to print [3]"),
    NUMBER("min-prob", "P", 0, 0, 1, "below this probability the answer is \"unknown\", and no find begins [0; 0.5 for finds; thresholds]"),
    {"format", "X", OPTION_CHOICE, 0, 0, 0, "table|jsonl|csv|audacity|raven", "finds instead of windows: neighbouring windows of one class as one", NULL},
    NUMBER("merge-gap", "S", 0, 0, 86400, "finds of one class that are so near are one [0]"),
    NUMBER("keep-prob", "P", 0, 0, 1, "a find goes on while its class has this probability [0.7 of --min-prob]"),
    PATH("out", "FILE", 0, "write to FILE; when interrupted, the same command goes on; .csv means --format csv; also -o"),
    PATH("report", "FILE.html", 0, "the finds as a page: by class, over the hours of the day, and each"),
    PATH("extract", "DIR", 0, "cut every find out as DIR/LABEL/RECORDING_START_LABEL_PROBABILITY.wav"),
    TEXT("background", "LABEL", 0, "a label that counts as nothing heard: the answer is \"none\""),
    WINDOW_ROWS, RAW_ROWS, END};

static const option_row embed_options[] = {
    PATH("out", "FILE", 0, "X.npy (and X.paths.txt), X.csv, X.ark (and X.scp), or a store X.sqlite; also -o [CSV to standard output]"),
    FLAG("l2", 0, "scale every embedding to length 1"),
    WINDOW_ROWS, RAW_ROWS, END};

static const option_row run_options[] = {
    PATH("logits", "OUT.npy", 0, "write the logits, N x classes"),
    PATH("embedding", "OUT.npy", 0, "write the embeddings, N x embedding"),
    INTEGER("batch", 0, 1, 65536, "inputs of one run; the result is the same bits [8]"), END};

static const option_row dump_options[] = {
    TEXT("stage", "STAGE", 0, "decode, resample, features (of a picture: decode, resize), or layer:NAME"),
    PATH("out", "X.npy", 0, "where to write it; also -o"),
    FLAG("list", 0, "print the stages and their shapes"),
    NUMBER("start", "S", 0, 0, 1e9, "of the window that begins here [the whole; layers: up to 30 s]"),
    NUMBER("window", "S", 0, 0.01, 3600, "seconds of that window [the length trained on]"),
    RAW_ROWS, END};

static const option_row explain_options[] = {
    PATH("out", "FILE.png", 0, "the picture; also -o"),
    PATH("npy", "FILE.npy", 0, "the map as numbers, rows x columns as the layer has them"),
    CHOICE("method", 1, "grad-cam|grad-cam++|occlusion", "how [grad-cam]"),
    TEXT("layer", "NAME", 1, "the layer whose value is explained [the last block's output]"),
    TEXT("class", "LABEL", 1, "the class to look for evidence of [the answer]"),
    NUMBER("start", "S", 1, 0, 1e9, "explain the window that begins here [recordings up to 30 s whole]"),
    NUMBER("window", "S", 0, 0.01, 3600, "seconds of that window [the length trained on]"),
    {"patch", "HxW", OPTION_SIZE, 1, 0, 0, NULL, "occlusion: rows and columns covered at a time [an eighth of the input's]", NULL},
    RAW_ROWS, END};

const verb verbs[] = {
    {"arch", "[NAME]", "layers, shapes, parameters and multiply-adds of a network",
     "Prints the table of a network: layer, output, parameters, multiply-adds (MACs). Without NAME, the list of\n"
     "names. specN and netN are what the benchmarks call resnetN on spectrograms and on ImageNet pictures.",
     "  resnet arch resnet18 --width 16 --classes 6 --input 1x64x300\n"
     "  resnet arch net50 --json",
     arch_options, 0, 1, verb_arch},
    {"info", "[MODEL]", "what this machine runs with, or what is inside a model",
     "Without MODEL: version, arithmetic, instruction set, threads, and the libraries in this build.\n"
     "With MODEL: network, labels, features, training record, the memory that a session needs, and of each layer's\n"
     "weights how they are distributed; then warnings of numbers that are not finite, and of channels that are dead (0\n"
     "for every input) or constant. --json has biases and running statistics too.\n"
     "MODEL may also be any other file of weights, PyTorch's (.pth) or safetensors: its tensors are listed then, and nothing\n"
     "in it is run.",
     "  resnet info\n"
     "  resnet info run/model.safetensors\n"
     "  resnet info resnet18.pth",
     info_options, 0, 1, verb_info},
    {"data check", "DATA", "decodes everything and says what is wrong",
     "Finds what would spoil a training: bad, empty, silent, clipped or short recordings, pictures of one colour,\n"
     "duplicates, one content in two classes or parts, classes with too few items, unknown extensions. Says how well the\n"
     "level of the recordings, or the brightness of the pictures, alone tells the classes apart. Exit status 1 if\n"
     "there is an error among the findings.\n"
     "DATA is a folder with one sub-folder per class; a manifest (.csv or .jsonl with path,label and optional\n"
     "split, source, start, end, weight; labels instead of label: several, as in robin|wren, or none); or what was\n"
     "marked in recordings: a selection table of Raven or labels of Audacity (.txt), or a folder of these beside the\n"
     "recordings. Every mark is an item then. Or a set as MNIST, CIFAR, WebDataset (tars), Kaldi or WeSpeaker have it:\n"
     "docs/data-sets.md.",
     "  resnet data check birds\n"
     "  resnet data check 'birds-{000000..000146}.tar'\n"
     "  resnet data check birds --json",
     data_options, 1, 1, verb_data_check},
    {"data stats", "DATA", "counts, durations and rates per class",
     "Counts items and sources of each class, with durations and sample rates; of pictures, sizes and how many are grey.",
     "  resnet data stats birds",
     data_options, 1, 1, verb_data_stats},
    {"data split", "DATA", "writes a split into train, validation and test",
     "Splits by source (a speaker, a recording, a prompt), so that nothing heard in training is judged later, and\n"
     "writes who is in which part. `train --split FILE` and `eval --split FILE` take it.",
     "  resnet data split birds --out birds.split.csv\n"
     "  resnet train birds --out run --split birds.split.csv",
     split_options, 1, 1, verb_data_split},
    {"train", "DATA --out RUN", "a data set becomes a model",
     "Trains a network on DATA: a folder with one sub-folder per class; a manifest (.csv or .jsonl with path,label\n"
     "and optional split, source, start, end, weight); or marks made in Raven or Audacity (.txt, or a folder of\n"
     "these beside the recordings). Items are recordings, their marked parts, pictures, or .npy arrays (CxHxW). Sets that\n"
     "come packed are taken as they are, with their train and test parts: folders with MNIST's files (IDX, also .gz) or\n"
     "CIFAR's (binary), shards (a tar, a folder of them, 'x-{000..146}.tar', a .list), Kaldi's directories.\n"
     "docs/data-sets.md has every kind.\n"
     "One label per item; with a column named labels several, as in robin|wren, or none.\n"
     "What is not said is taken from the data, printed first and stored.\n"
     "Ctrl-C writes a checkpoint; the same command with --resume goes on and ends with the same model.",
     "  resnet train birds --out run\n"
     "  resnet train birds --out run --epochs 40 --width 32 --mixup 0.2\n"
     "  resnet train birds --out run --resume\n"
     "  resnet train birds --config run/config.json --out again     the same model, bit for bit\n"
     "  resnet train birds --out wide --width 96 --compare run --watch\n"
     "  resnet train birds --out three --seeds 3",
     train_options, 1, 1, verb_train},
    {"watch", "RUN...", "curves of runs, in a browser or in the terminal",
     "Serves a page with the curves of one or several runs, live while they go on, to this machine alone: loss, accuracy,\n"
     "learning rate, the gradient by stage, rate and time left, what the network is given (to see and to hear), and the\n"
     "confusion matrix. Prints its address and goes on until Ctrl-C. --text draws the curves in the terminal instead.\n"
     "`train --watch` serves the same page from the training itself.",
     "  resnet watch run\n"
     "  resnet watch run other/run --text",
     watch_options, 1, -1, verb_watch},
    {"eval", "MODEL DATA", "judges a model on what it was not trained on",
     "Accuracy with its 95 % interval, macro accuracy, precision, recall and F1 per class, the confusion table,\n"
     "calibration, the worst files, and what the level (of pictures, the brightness) alone would reach; with several\n"
     "labels an item, average precision, ROC area and F1 at the thresholds. Reads split.csv beside MODEL, checks that\n"
     "it is the training's, and judges the test part. --report writes all of it as one page to look at and listen to.",
     "  resnet eval run/model.safetensors birds --report run/report.html\n"
     "  resnet eval run/model.safetensors birds --part validation --calibrate\n"
     "  resnet eval run/model.safetensors other_birds --part all",
     eval_options, 2, 2, verb_eval},
    {"predict", "MODEL PATH...", "names what is in recordings or pictures",
     "Names what is in recordings, or in pictures. PATH is a file, a folder (searched), or - for standard input.\n"
     "Recordings up to 30 s are answered whole; longer ones and standard input window by window.\n"
     "--format, --merge-gap, --keep-prob, --report or --extract join the windows to finds, for a table, a script, a\n"
     "page, or the label tracks of Audacity and Raven; where a recording's name has its date and time\n"
     "(20261124_063400.wav), they say at what time of day. A find is written when it has ended. With --out FILE, what is\n"
     "done is kept in FILE.part until all is: stopped by Ctrl-C or anything else, the same command goes on, and ends with\n"
     "the same FILE. Recordings that can't be read are named at the end, and the same command tries them again.",
     "  resnet predict run/model.safetensors garden.flac\n"
     "  garden.flac   0.0 -  3.0 s   robin 97.1 %   wren 1.9 %   unknown 0.6 %\n"
     "  resnet predict run/model.safetensors nights --hop 0.5 --merge-gap 2 --out finds.csv --report finds.html\n"
     "  arecord -q -t raw -f S16_LE -r 16000 | resnet predict run/model.safetensors - --raw s16le --rate 16000",
     predict_options, 2, -1, verb_predict},
    {"embed", "MODEL PATH...", "recordings or pictures become vectors",
     "Writes the embedding of every picture or recording (of every window of a long one): a CSV with path, start, end and\n"
     "numbers, one .npy array with the paths beside it, one a line, Kaldi's vectors (X.ark with X.scp beside it; keys are the\n"
     "paths with %20 for a blank, and of windows -START-END in hundredths of a second), or rows of a store, an SQLite\n"
     "database (X.sqlite, X.sqlite3 or X.db; docs/embedding-store.md has its tables). Into a store only what is new or\n"
     "changed is embedded, and what it said to be stored survives a kill; --json says it recording by recording.",
     "  resnet embed run/model.safetensors birds -o birds.npy      birds.npy and birds.paths.txt\n"
     "  resnet embed run/model.safetensors archive -o archive.sqlite      again, it adds what is new\n"
     "  resnet embed run/model.safetensors garden.flac --l2",
     embed_options, 2, -1, verb_embed},
    {"explain", "MODEL PATH", "where in a recording or picture the evidence lies",
     "Draws the spectrogram or picture, and over it where the network found what speaks for its answer, or for another\n"
     "class.\n"
     "grad-cam weighs the maps of a layer by the gradient of the class; grad-cam++ does so pixel by pixel and finds\n"
     "several events better; occlusion covers a patch at a time and measures what the probability loses, which\n"
     "takes longer and needs no gradient. PATH is a recording, a picture, or a .npy array for the network.",
     "  resnet explain run/model.safetensors garden.flac -o garden.png\n"
     "  resnet explain run/model.safetensors night.wav --start 3605 --class owl --method occlusion -o owl.png",
     explain_options, 2, 2, verb_explain},
    {"run", "MODEL IN.npy", "the network alone, on tensors",
     "Runs the network on an array of C x H x W or N x C x H x W numbers, without any feature extraction.",
     "  resnet run run/model.safetensors in.npy --logits logits.npy --embedding embedding.npy",
     run_options, 2, 2, verb_run},
    {"dump", "MODEL [PATH]", "every stage from a file to the answer, as .npy",
     "Writes one stage of the way from a file to the logits, to compare it with another program's. PATH is a\n"
     "recording, a picture, or a .npy array for the network. layer:NAME is what the step of that name writes, after batch\n"
     "normalisation and ReLU. --list prints the stages. Features are normalised over what is asked for, so that with\n"
     "--start they are those that the network sees of a long recording.",
     "  resnet dump run/model.safetensors --list\n"
     "  resnet dump run/model.safetensors garden.flac --stage features -o features.npy\n"
     "  resnet dump run/model.safetensors garden.flac --stage layer:layer1.0.conv1 -o layer.npy",
     dump_options, 1, 2, verb_dump},
    {"convert", "IN [OUT]", "models of other projects become ours, and ours theirs",
     "Reads weights of PyTorch (.pth, .pt) or safetensors with the names of torchvision, timm, Hugging Face, WeSpeaker,\n"
     "3D-Speaker or the usual ports for CIFAR; tells from names and shapes which network they are of, prints what\n"
     "becomes of every tensor, and writes a model. What no file says must be given: it asks. Labels and strides of a\n"
     "Hugging Face model are read from the config.json beside it. --names writes another project's names instead, for\n"
     "load_state_dict(safetensors.torch.load_file(OUT)); the description stays in the file, so it comes back unchanged.\n"
     "ONNX (.onnx) is read too, whoever wrote it, by what its graph computes, and written where OUT ends in .onnx.",
     "  resnet convert resnet50.pth resnet50.safetensors --stride-at 3x3 --preprocessing imagenet --labels imagenet.txt\n"
     "  resnet convert avg_model.pt speaker.safetensors --preprocessing wespeaker\n"
     "  resnet convert run/model.safetensors torch.safetensors --names timm\n"
     "  resnet convert run/model.safetensors model.onnx --fold-bn",
     convert_options, 1, 2, verb_convert},
    {"bench", "ARCH|MODEL", "how fast a network runs here",
     "Times inference, or with --train a whole training step, on random input: median, smallest, spread, GFLOP/s,\n"
     "and the share of the processor's peak of fused multiply-adds, measured in the same run. With --train also\n"
     "the bytes that a step moves, the time they take at the measured speed of memory, and the least possible.\n"
     "specN and netN are resnetN on spectrograms (1x64x200) and on ImageNet pictures (3x224x224).",
     "  resnet bench spec18 --batch 16 --train --threads 2\n"
     "  resnet bench net50 --layers\n"
     "  resnet bench run/model.safetensors --json",
     bench_options, 1, 1, verb_bench},
    {NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL}};
