/* The table of error codes, and the version. */
#include <stdlib.h>

#include "resnet.h"

static const struct {
    int code;
    const char *name, *meaning;
} errors[] = {{RN_OK, "RN_OK", "done"},
              {RN_ERR_ARG, "RN_ERR_ARG", "an argument or option is out of range"},
              {RN_ERR_MEMORY, "RN_ERR_MEMORY", "an allocation failed"},
              {RN_ERR_IO, "RN_ERR_IO", "a file could not be read or written"},
              {RN_ERR_FORMAT, "RN_ERR_FORMAT", "a file is broken or of a kind that this build cannot read"},
              {RN_ERR_SHAPE, "RN_ERR_SHAPE", "a tensor or input has another shape than the network wants"},
              {RN_ERR_DATA, "RN_ERR_DATA", "a data set cannot be used as it is"},
              {RN_ERR_NUMBER, "RN_ERR_NUMBER", "a loss, gradient or weight is not finite"},
              {RN_ERR_CANCELLED, "RN_ERR_CANCELLED", "the caller asked to stop"},
              {RN_ERR_MISMATCH, "RN_ERR_MISMATCH", "two things that belong together differ"},
              {RN_ERR_UNSUPPORTED, "RN_ERR_UNSUPPORTED", "this build or this file does not have what was asked for"}};

static int find(int code)
{
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (errors[i].code == code)
            return (int)i;
    return -1;
}

const char *rn_error_name(int code)
{
    int i = find(code);
    return i < 0 ? "unknown error" : errors[i].name;
}

const char *rn_error_meaning(int code)
{
    int i = find(code);
    return i < 0 ? "unknown error" : errors[i].meaning;
}

const char *rn_version(void)
{
    return RN_VERSION;
}

void rn_text_free(char *text)
{
    free(text);
}
