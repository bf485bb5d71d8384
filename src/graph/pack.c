/* Packing of convolution weights for the row kernels: from PyTorch's [K][C][R][S] to blocks of 16 x 16. */
#include "graph/grouped.h"
#include "graph/winograd.h"

int64_t rn_conv_forward_size(const rn_conv *c)
{
    if (c->groups > 1)
        return rn_grouped_forward_size(c);
    if (c->forward == RN_WINOGRAD)
        return rn_winograd_size(c);
    int64_t taps = (int64_t)c->kernel_h * c->kernel_w * RN_LANES;
    return c->blocks_out * taps * (c->plain ? c->channels_in : (int64_t)c->blocks_in * RN_LANES);
}

int64_t rn_conv_backward_size(const rn_conv *c)
{
    if (c->groups > 1)
        return rn_grouped_backward_size(c);
    if (c->backward == RN_WINOGRAD)
        return rn_winograd_size(c);
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

/* One block of 16 x 16 of them where no lane is missing: rows of one k are read one after the other, and written every 16 floats. */
static void full_block(const packing *p, int kb, int cb, float *out)
{
    const rn_conv *conv = p->c;
    int taps = conv->kernel_h * conv->kernel_w;
    for (int k = 0; k < RN_LANES; k++) {
        const float *w = p->w + ((int64_t)(kb * RN_LANES + k) * conv->channels_in + cb * RN_LANES) * taps;
        for (int c = 0; c < RN_LANES; c++, w += taps)
            for (int t = 0; t < taps; t++)
                out[(t * RN_LANES + c) * RN_LANES + k] = p->scale ? (float)((double)w[t] * p->scale[kb * RN_LANES + k]) : w[t];
    }
}

static void pack_forward(void *context, int kb, int thread)
{
    const packing *p = context;
    int taps = p->c->kernel_h * p->c->kernel_w;
    float *out = p->packed + (int64_t)kb * p->c->blocks_in * taps * RN_LANES * RN_LANES;
    (void)thread;
    for (int cb = 0; cb < p->c->blocks_in; cb++, out += taps * RN_LANES * RN_LANES) {
        if ((kb + 1) * RN_LANES <= p->c->channels_out && (cb + 1) * RN_LANES <= p->c->channels_in) {
            full_block(p, kb, cb, out);
            continue;
        }
        for (int k = 0; k < RN_LANES; k++)
            for (int c = 0; c < RN_LANES; c++)
                for (int t = 0; t < taps; t++)
                    out[(t * RN_LANES + c) * RN_LANES + k] = weight(p, kb * RN_LANES + k, cb * RN_LANES + c, t);
    }
}

void rn_conv_pack_forward(const rn_machine *m, const rn_conv *c, const float *w, const double *scale, float *packed)
{
    if (c->groups > 1) {
        rn_grouped_pack_forward(m, c, w, scale, packed);
        return;
    }
    if (c->forward == RN_WINOGRAD) {
        rn_winograd_pack_forward(m, c, w, scale, packed);
        return;
    }
    packing p = {c, w, scale, packed};
    rn_pool_run(m->pool, c->blocks_out, c->plain ? pack_plain : pack_forward, &p);
}

/* One block of 16 input channels in one residue class: the taps r = cr + j * stride, j falling. k is outermost among what is read, so
 * that the weights of one k, [16 c][r, s], stay in a few lines. */
static void pack_class(const packing *p, int cb, int cr, int cs, int jr, int js, float *out)
{
    const rn_conv *c = p->c;
    int taps = jr * js, all = c->kernel_h * c->kernel_w;
    for (int kb = 0; kb < c->blocks_out; kb++, out += taps * RN_LANES * RN_LANES) {
        int full = (kb + 1) * RN_LANES <= c->channels_out && (cb + 1) * RN_LANES <= c->channels_in;
        for (int k = 0; k < RN_LANES; k++) {
            const float *w = p->w + ((int64_t)(kb * RN_LANES + k) * c->channels_in + cb * RN_LANES) * all;
            for (int r = jr - 1, t = 0; r >= 0; r--)
                for (int s = js - 1; s >= 0; s--, t++) {
                    int tap = (cr + r * c->stride_h) * c->kernel_w + cs + s * c->stride_w;
                    float *lanes = out + (t * RN_LANES + k) * RN_LANES;
                    for (int i = 0; i < RN_LANES; i++)
                        lanes[i] = full ? w[i * all + tap] : weight(p, kb * RN_LANES + k, cb * RN_LANES + i, tap);
                }
        }
    }
}

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
            int64_t class_size = (int64_t)c->blocks_out * jr * js * RN_LANES * RN_LANES;
            pack_class(p, cb, cr, cs, jr, js, class_base + cb * class_size);
            class_base += c->blocks_in * class_size;
        }
}

void rn_conv_pack_backward(const rn_machine *m, const rn_conv *c, const float *w, float *packed)
{
    if (c->groups > 1) {
        rn_grouped_pack_backward(m, c, w, packed);
        return;
    }
    if (c->backward == RN_WINOGRAD) {
        rn_winograd_pack_backward(m, c, w, packed);
        return;
    }
    packing p = {c, w, NULL, packed};
    rn_pool_run(m->pool, c->blocks_in, pack_backward, &p);
}
