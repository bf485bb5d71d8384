/* Packing of convolution weights for the row kernels: from PyTorch's [K][C][R][S] to blocks of 16 x 16. */
#include "graph/conv.h"

int64_t rn_conv_forward_size(const rn_conv *c)
{
    int64_t taps = (int64_t)c->kernel_h * c->kernel_w * RN_LANES;
    return c->blocks_out * taps * (c->plain ? c->channels_in : (int64_t)c->blocks_in * RN_LANES);
}

int64_t rn_conv_backward_size(const rn_conv *c)
{
    return (int64_t)c->blocks_out * c->blocks_in * c->kernel_h * c->kernel_w * RN_LANES * RN_LANES;
}

typedef struct packing {
    const rn_conv *c;
    const float *w;
    const double *scale;
    float *packed;
} packing;

static float weight(const packing *p, int k, int c, int tap)
{
    const rn_conv *conv = p->c;
    if (k >= conv->channels_out || c >= conv->channels_in)
        return 0;
    float w = p->w[((int64_t)k * conv->channels_in + c) * conv->kernel_h * conv->kernel_w + tap];
    return p->scale ? (float)((double)w * p->scale[k]) : w;
}

static void pack_plain(void *context, int kb, int thread)
{
    const packing *p = context;
    int taps = p->c->kernel_h * p->c->kernel_w, c_in = p->c->channels_in;
    float *out = p->packed + (int64_t)kb * c_in * taps * RN_LANES;
    (void)thread;
    for (int c = 0; c < c_in; c++)
        for (int t = 0; t < taps; t++)
            for (int k = 0; k < RN_LANES; k++)
                *out++ = weight(p, kb * RN_LANES + k, c, t);
}

static void pack_forward(void *context, int kb, int thread)
{
    const packing *p = context;
    int taps = p->c->kernel_h * p->c->kernel_w;
    float *out = p->packed + (int64_t)kb * p->c->blocks_in * taps * RN_LANES * RN_LANES;
    (void)thread;
    for (int cb = 0; cb < p->c->blocks_in; cb++, out += taps * RN_LANES * RN_LANES)
        for (int k = 0; k < RN_LANES; k++) /* reads run along [c][r, s] of one k: one line after the other */
            for (int c = 0; c < RN_LANES; c++)
                for (int t = 0; t < taps; t++)
                    out[(t * RN_LANES + c) * RN_LANES + k] = weight(p, kb * RN_LANES + k, cb * RN_LANES + c, t);
}

void rn_conv_pack_forward(const rn_conv *c, const float *w, const double *scale, float *packed, rn_pool *pool)
{
    packing p = {c, w, scale, packed};
    rn_pool_run(pool, c->blocks_out, c->plain ? pack_plain : pack_forward, &p);
}

/* One block of 16 input channels, in every residue class: the taps of a class are those r = residue + j * stride, j falling. */
static void pack_backward(void *context, int cb, int thread)
{
    const packing *p = context;
    const rn_conv *c = p->c;
    float *class_base = p->packed;
    (void)thread;
    for (int cr = 0; cr < c->stride_h; cr++)
        for (int cs = 0; cs < c->stride_w; cs++) {
            int jr = cr < c->kernel_h ? (c->kernel_h - 1 - cr) / c->stride_h + 1 : 0;
            int js = cs < c->kernel_w ? (c->kernel_w - 1 - cs) / c->stride_w + 1 : 0;
            int64_t taps = (int64_t)jr * js;
            float *out = class_base + cb * c->blocks_out * taps * RN_LANES * RN_LANES;
            for (int kb = 0; kb < c->blocks_out; kb++)
                for (int r = jr - 1; r >= 0; r--)
                    for (int s = js - 1; s >= 0; s--)
                        for (int k = 0; k < RN_LANES; k++)
                            for (int i = 0; i < RN_LANES; i++)
                                *out++ = weight(p, kb * RN_LANES + k, cb * RN_LANES + i, (cr + r * c->stride_h) * c->kernel_w + cs + s * c->stride_w);
            class_base += c->blocks_in * c->blocks_out * taps * RN_LANES * RN_LANES;
        }
}

void rn_conv_pack_backward(const rn_conv *c, const float *w, float *packed, rn_pool *pool)
{
    packing p = {c, w, NULL, packed};
    rn_pool_run(pool, c->blocks_in, pack_backward, &p);
}
