/* Which reader a weight file wants: PyTorch's and ONNX's files are known by their first bytes, all others are safetensors or refused as such. */
#include <stdio.h>
#include <sys/stat.h>

#include "formats/onnx.h"
#include "formats/pth.h"

static size_t read_head(const char *path, unsigned char head[16])
{
    struct stat st;
    size_t got = 0;
    FILE *file = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? fopen(path, "rbe") : NULL; /* opening a pipe would wait */
    if (file) {
        got = fread(head, 1, 16, file);
        fclose(file);
    }
    return got;
}

int rn_onnx_is_file(const char *path)
{
    unsigned char head[16];
    return rn_onnx_known(head, read_head(path, head));
}

int rn_tensors_read(const char *path, rn_tensors *out, rn_error *err)
{
    unsigned char head[16];
    size_t got = read_head(path, head);
    return rn_pth_known(head, got) ? rn_pth_read(path, out, err) : rn_safetensors_read(path, out, err);
}
