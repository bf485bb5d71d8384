/* resnet.h: residual networks in C. (The stable part of the library.) */
#ifndef RESNET_H
#define RESNET_H

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

#ifdef __cplusplus
}
#endif
#endif
