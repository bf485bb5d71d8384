/* Looking things up in an ONNX model: attributes, metadata, single numbers of a tensor. */
#include <string.h>

#include "formats/onnx.h"

const rn_onnx_attribute *rn_onnx_attribute_of(const rn_onnx_node *node, const char *name)
{
    for (int i = 0; i < node->attributes_count; i++)
        if (strcmp(node->attributes[i].name, name) == 0)
            return &node->attributes[i];
    return NULL;
}

const char *rn_onnx_metadata(const rn_onnx *model, const char *key)
{
    for (int i = 0; i < model->metadata_count; i++)
        if (strcmp(model->metadata[i].key, key) == 0)
            return model->metadata[i].value;
    return NULL;
}

static const unsigned char *element(const rn_onnx_tensor *t, int64_t i)
{
    return (const unsigned char *)t->data + (t->filled ? 0 : (size_t)i * rn_onnx_type_size(t->type));
}

int64_t rn_onnx_integer(const rn_onnx_tensor *t, int64_t i)
{
    int32_t narrow;
    int64_t wide;
    switch (t->type) {
    case RN_ONNX_UINT8:
    case RN_ONNX_BOOL:
        return *element(t, i);
    case RN_ONNX_INT32:
        memcpy(&narrow, element(t, i), sizeof narrow);
        return narrow;
    case RN_ONNX_INT64:
        memcpy(&wide, element(t, i), sizeof wide);
        return wide;
    default:
        break;
    }
    double real = rn_onnx_real(t, i);
    return real > -9e18 && real < 9e18 ? (int64_t)real : 0;
}

double rn_onnx_real(const rn_onnx_tensor *t, int64_t i)
{
    static const struct {
        int type;
        rn_dtype dtype;
    } narrow[] = {{RN_ONNX_FLOAT, RN_F32}, {RN_ONNX_FLOAT16, RN_F16}, {RN_ONNX_BFLOAT16, RN_BF16}};
    double wide;
    float value;
    if (t->type == RN_ONNX_DOUBLE) {
        memcpy(&wide, element(t, i), sizeof wide);
        return wide;
    }
    for (size_t k = 0; k < sizeof narrow / sizeof *narrow; k++)
        if (narrow[k].type == t->type) {
            rn_tensor_floats(&(rn_tensor){.dtype = narrow[k].dtype, .count = 1, .data = element(t, i)}, &value);
            return value;
        }
    return (double)rn_onnx_integer(t, i);
}

int rn_onnx_known(const void *head, size_t size)
{
    static const unsigned char next[] = {0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72};
    const unsigned char *bytes = head; /* field 1, a small IR version; then another field of a model */
    if (size >= 9 && bytes[8] == '{') /* a header of safetensors that is 8 + 256 n bytes long */
        return 0;
    return size >= 3 && bytes[0] == 0x08 && bytes[1] > 0 && bytes[1] < 0x40 && memchr(next, bytes[2], sizeof next);
}
