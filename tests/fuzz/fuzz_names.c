/* Any list of names and shapes as a weight file of another project: refused with a sentence, or a model that loads; with any answers given.
 *
 * The input is lines "NAME SIZE SIZE ...", the tensors, all zeros; a line "= KEY VALUE" is an answer ("= stride_at 3x3"). So a fuzzer changes names and sizes
 * without having to keep a header and its offsets in order. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/foreign.h"

enum { LINES = 400, ELEMENTS = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add_line(char *line, rn_tensors *tensors, json_t *answers)
{
    static const float zeros[ELEMENTS];
    char *save, *name = strtok_r(line, " ", &save), *word;
    int64_t shape[8], count = 1;
    int dims = 0;
    if (name && !strcmp(name, "=")) {
        char *key = strtok_r(NULL, " ", &save), *value = strtok_r(NULL, " ", &save);
        if (key && value)
            json_object_set_new(answers, key, json_string(value));
        return;
    }
    for (; name && dims < 8 && (word = strtok_r(NULL, " ", &save)); dims++) {
        shape[dims] = strtoll(word, NULL, 10) & 0xFFFFF;
        count *= shape[dims];
        if (count > ELEMENTS)
            return;
    }
    if (name)
        rn_tensors_add(tensors, name, RN_F32, dims, shape, zeros, NULL);
}

static void look(rn_tensors *tensors, json_t *answers, int weights)
{
    rn_foreign *f;
    rn_model *m;
    rn_error err = {0, ""};
    if (rn_foreign_open(&f, "fuzz", tensors, &(rn_foreign_given){.arch = answers, .weights = weights}, &err))
        abort();
    if (f->why.code ? !f->why.text[0] : rn_model_from_tensors(&m, "fuzz", &f->ours, &err) != 0) /* what it calls a model loads */
        abort();
    if (!f->why.code)
        rn_model_close(&m);
    json_decref(rn_foreign_missing(f));
    rn_foreign_close(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size), *save, *line;
    json_t *answers = json_object();
    rn_tensors tensors = {0};
    int count = 0;
    if (!text)
        return 0;
    for (line = strtok_r(text, "\n", &save); line && count < LINES; line = strtok_r(NULL, "\n", &save), count++)
        add_line(line, &tensors, answers);
    look(&tensors, NULL, 0);
    look(&tensors, answers, 0);
    look(&tensors, answers, 1);
    rn_tensors_free(&tensors);
    json_decref(answers);
    free(text);
    return 0;
}
