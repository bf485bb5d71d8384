/* The page of finds. */
#include <stdlib.h>

#include "report/finds.h"
#include "resnet_tools.h"

int rn_tools_find_page(const char *model, const char *command, const rn_find *finds, int count, const rn_recording *recordings,
                       int recordings_count, const char *page, rn_error *err)
{
    if (count < 0 || recordings_count < 0)
        return rn_error_set(err, RN_ERR_ARG, "%s: a negative count of finds or recordings", page);
    size_t n = (size_t)count + 1, m = (size_t)recordings_count + 1;
    rn_page_find *f = calloc(n, sizeof *f);
    rn_page_recording *r = calloc(m, sizeof *r);
    int status = 0;
    if (!f || !r) {
        status = rn_error_memory(err, "the page of finds", n * sizeof *f + m * sizeof *r);
        goto fail;
    }
    for (int i = 0; i < count; i++)
        f[i] = (rn_page_find){finds[i].path, finds[i].label, finds[i].start_s, finds[i].end_s, finds[i].probability, finds[i].clock_s};
    for (int i = 0; i < recordings_count; i++)
        r[i] = (rn_page_recording){recordings[i].path, recordings[i].error, recordings[i].seconds, recordings[i].clock_s};
    status = rn_finds_write(model, command, f, count, r, recordings_count, page, err);
fail:
    free(f);
    free(r);
    return status;
}
