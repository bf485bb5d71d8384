/* Writes the first files of the corpora: small valid ones of each kind and some that are broken on purpose.
 *
 *     make_corpus tests/fuzz/corpus
 *
 * What a fuzzer finds beside them is kept there too when it was a mistake of ours. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/npy.h"
#include "models/model.h"

static const char *corpus;

static const char *name_of(const char *kind, const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s/%s", corpus, kind, name);
    return path;
}

static void must(int status, const rn_error *err)
{
    if (status) {
        fprintf(stderr, "%s\n", err->text);
        exit(1);
    }
}

static void raw(const char *kind, const char *name, const void *data, size_t size)
{
    FILE *file = fopen(name_of(kind, name), "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file)) {
        perror(name);
        exit(1);
    }
}

/* A header without care for its rules, and n zero bytes. */
static void header(const char *name, const char *json, size_t n)
{
    unsigned char data[4096] = {0};
    size_t length = strlen(json);
    data[0] = (unsigned char)length;
    data[1] = (unsigned char)(length >> 8);
    memcpy(data + 8, json, length);
    raw("safetensors", name, data, 8 + length + n);
}

static void safetensors_files(void)
{
    static const float f[6] = {1, 2, 3, 4, 5, 6};
    static const rn_dtype types[] = {RN_F32, RN_F16, RN_BF16, RN_F64, RN_I64, RN_I32, RN_U8, RN_BOOL};
    int64_t shape[3] = {1, 1, 2}, none[2] = {0, 3};
    rn_tensors t = {0};
    rn_error err;
    for (int i = 0; i < 8; i++)
        must(rn_tensors_add(&t, rn_dtype_name(types[i]), types[i], i % 4, shape, f, &err), &err);
    must(rn_tensors_add(&t, "empty", RN_F32, 2, none, NULL, &err), &err);
    must(rn_tensors_set_metadata(&t, "format", "pt", &err), &err);
    must(rn_safetensors_write(name_of("safetensors", "types"), &t, &err), &err);
    rn_tensors_free(&t);
    header("minimal", "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}  ", 4);
    header("nothing", "{}", 0);
    header("hole", "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8);
    header("overlap",
           "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}",
           6);
    header("twice",
           "{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}",
           0);
    header("product", "{\"a\":{\"dtype\":\"F64\",\"shape\":[281474976710656,281474976710656,0],\"data_offsets\":[0,0]}}", 0);
    header("deep", "{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}", 0);
    header("escapes",
           "{\"\\u00e9\\ud83c\\udfb5\\n\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"__metadata__\":{\"\\\"\":\"\\\\\"}}",
           1);
    header("numbers", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1e3,-0,18446744073709551616,1.5],\"data_offsets\":[0,1]}}", 1);
    raw("safetensors", "pytorch", "PK\3\4\0\0\0\0\0\0\0\0", 12);
}

static void npy_files(void)
{
    static const float x[6] = {1, 2, 3, 4, 5, 6};
    int64_t shape[2] = {2, 3};
    rn_error err;
    must(rn_npy_write(name_of("npy", "two"), x, 2, shape, &err), &err);
    must(rn_npy_write(name_of("npy", "one"), x, 0, shape, &err), &err);
    static const char *const dictionaries[] = {
        "{'descr': '>f8', 'fortran_order': False, 'shape': (1L,)}", "{\"shape\":(4,),\"descr\":\"|i1\",\"fortran_order\":True}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': ()}",
        "{'descr': '<f2', 'fortran_order': False, 'shape': (281474976710656, 281474976710656)}"};
    for (size_t i = 0; i < sizeof dictionaries / sizeof *dictionaries; i++) {
        char data[512] = "\x93NUMPY", name[16];
        size_t length = strlen(dictionaries[i]), start = i % 2 ? 12 : 10;
        data[6] = i % 2 ? 2 : 1;
        data[8] = (char)length;
        memcpy(data + start, dictionaries[i], length);
        snprintf(name, sizeof name, "header%zu", i);
        raw("npy", name, data, start + length + 8);
    }
}

/* The smallest network of the family, whole and with a changed header. */
static void model_files(void)
{
    static const char *const labels[] = {"robin", "wren"};
    rn_arch arch;
    rn_model *m;
    rn_error err;
    must(rn_arch_default(&arch, "resnet20", &err), &err);
    arch.width = arch.in_channels = 1;
    arch.classes = 2;
    must(rn_model_new(&m, &arch, labels, RN_INIT_PYTORCH, 0, 1, &err), &err);
    must(rn_model_save(m, name_of("model", "whole"), &err), &err);
    json_object_set_new(m->config, "features", json_pack("{s:[f, n, b]}", "x", 1.5, 1));
    json_object_set_new(m->config, "arithmetic", json_string("none"));
    m->weights[0] = 0x1p-149f;
    must(rn_model_save(m, name_of("model", "sections"), &err), &err);
    rn_tensors t = {0};
    must(rn_tensors_set_metadata(&t, "resnet.config", "{\"arch\":{\"name\":\"resnet152\",\"width\":4000,\"classes\":1},\"labels\":[\"a\"]}",
                                 &err),
         &err);
    must(rn_safetensors_write(name_of("model", "promise"), &t, &err), &err);
    must(rn_tensors_set_metadata(&t, "resnet.config", "{\"arch\":{\"name\":\"resnet20\",\"pool\":\"1x1x\"},\"labels\":[[],{}]}", &err),
         &err);
    must(rn_safetensors_write(name_of("model", "config"), &t, &err), &err);
    rn_tensors_free(&t);
    rn_model_close(&m);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_corpus FOLDER\n");
        return 2;
    }
    corpus = argv[1];
    safetensors_files();
    npy_files();
    model_files();
    return 0;
}
