/* Which reader a weight file wants: PyTorch's files are known by their first bytes, all others are safetensors or refused as such. */
#include <stdio.h>
#include <sys/stat.h>

#include "formats/pth.h"

int rn_tensors_read(const char *path, rn_tensors *out, rn_error *err)
{
    unsigned char head[16];
    struct stat st;
    size_t got = 0;
    FILE *file = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? fopen(path, "rbe") : NULL; /* opening a pipe would wait */
    if (file) {
        got = fread(head, 1, sizeof head, file);
        fclose(file);
    }
    return rn_pth_known(head, got) ? rn_pth_read(path, out, err) : rn_safetensors_read(path, out, err);
}
