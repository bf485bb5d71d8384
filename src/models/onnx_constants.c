/* Arithmetic of an exporter's on a few whole numbers: PyTorch spells the pads of a zero-padding shortcut as its own order, reversed pair by pair
 * (Concat, Reshape to pairs, Slice backwards, Transpose, Reshape to a list), and leaves that in the graph. */
#include <string.h>

#include "models/onnx_lower.h"

enum { MOST_NUMBERS = 16 };

static const rn_onnx_tensor *constant_of(const lowering *l, int i)
{
    const value *v = rn_lower_input(l, i);
    const rn_onnx_tensor *t = v && v->kind == CONSTANT ? v->constant : NULL;
    return t && t->data && t->type == RN_ONNX_INT64 && t->count > 0 && t->count <= MOST_NUMBERS && t->dims <= 2 ? t : NULL;
}

static int give(lowering *l, int dims, int64_t rows, int64_t columns, const int64_t *numbers)
{
    int64_t count = dims == 2 ? rows * columns : rows, *copy = rn_onnx_room(l->file, MOST_NUMBERS, sizeof *copy);
    rn_onnx_tensor *t = rn_onnx_room(l->file, 1, sizeof *t);
    if (!copy || !t)
        return rn_error_memory(l->err, "a constant", sizeof *t);
    memcpy(copy, numbers, (size_t)count * sizeof *copy);
    *t = (rn_onnx_tensor){
        .name = l->node->outputs[0], .type = RN_ONNX_INT64, .dims = dims, .shape = {rows, columns}, .count = count, .data = copy};
    return rn_lower_constant(l, t);
}

static int join(lowering *l)
{
    int64_t numbers[MOST_NUMBERS], count = 0;
    for (int i = 0; i < l->node->inputs_count; i++) {
        const rn_onnx_tensor *t = constant_of(l, i);
        if (!t || t->dims != 1 || count + t->count > MOST_NUMBERS)
            return REFUSE(l, "a list of more than %d numbers, or of other things", MOST_NUMBERS);
        for (int64_t k = 0; k < t->count; k++)
            numbers[count++] = rn_onnx_integer(t, k);
    }
    return give(l, 1, count, 1, numbers);
}

static int reshape(lowering *l, const rn_onnx_tensor *t, const int64_t *numbers)
{
    const rn_onnx_tensor *shape = constant_of(l, 1);
    int64_t columns = shape && shape->count == 2 ? rn_onnx_integer(shape, 1) : 1;
    if (!shape || shape->count < 1 || shape->count > 2 || columns < 1 || t->count % columns ||
        (rn_onnx_integer(shape, 0) != -1 && rn_onnx_integer(shape, 0) != t->count / columns))
        return REFUSE(l, "a shape that its numbers do not have");
    return give(l, (int)shape->count, t->count / columns, columns, numbers);
}

/* Rows, last to first. */
static int reverse(lowering *l, const rn_onnx_tensor *t, const int64_t *numbers)
{
    const rn_onnx_tensor *start = constant_of(l, 1), *end = constant_of(l, 2), *axis = constant_of(l, 3), *step = constant_of(l, 4);
    int64_t turned[MOST_NUMBERS], rows = t->shape[0], columns = t->dims == 2 ? t->shape[1] : 1;
    if (!start || !end || !axis || !step || start->count != 1 || end->count != 1 || axis->count != 1 || step->count != 1 || t->dims < 1 ||
        rn_onnx_integer(start, 0) != -1 || rn_onnx_integer(end, 0) >= -rows || rn_onnx_integer(axis, 0) != 0 ||
        rn_onnx_integer(step, 0) != -1)
        return REFUSE(l, "a part of a list of numbers that is not the whole list backwards");
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < columns; k++)
            turned[i * columns + k] = numbers[(rows - 1 - i) * columns + k];
    return give(l, t->dims, rows, columns, turned);
}

static int turn(lowering *l, const rn_onnx_tensor *t, const int64_t *numbers)
{
    int64_t turned[MOST_NUMBERS];
    if (t->dims != 2)
        return REFUSE(l, "a transposition of numbers that are no rows and columns");
    for (int64_t i = 0; i < t->shape[0]; i++)
        for (int64_t k = 0; k < t->shape[1]; k++)
            turned[k * t->shape[0] + i] = numbers[i * t->shape[1] + k];
    return give(l, 2, t->shape[1], t->shape[0], turned);
}

int rn_lower_numbers(lowering *l, int *status)
{
    const rn_onnx_tensor *t = constant_of(l, 0);
    const char *op = l->node->op;
    int64_t numbers[MOST_NUMBERS];
    if (!t)
        return 0;
    for (int64_t i = 0; i < t->count; i++)
        numbers[i] = rn_onnx_integer(t, i);
    if (!strcmp(op, "Concat"))
        *status = join(l);
    else if (!strcmp(op, "Reshape"))
        *status = reshape(l, t, numbers);
    else if (!strcmp(op, "Slice"))
        *status = reverse(l, t, numbers);
    else if (!strcmp(op, "Transpose"))
        *status = turn(l, t, numbers);
    else
        return 0;
    return 1;
}
