/* Winograd's weights, packed: U = W w W^T for every pair of channels (kernels.h), in the order of the products. */
#include "graph/winograd.h"

int64_t rn_winograd_size(const rn_conv *c)
{
    return (int64_t)c->blocks_out * c->blocks_in * RN_WINOGRAD_POSITIONS * RN_LANES * RN_LANES;
}

typedef struct packing {
    const rn_machine *m;
    const rn_conv *c;
    const float *w;
    const double *scale;
    float *packed;
    int backward;
} packing;

/* One block of sixteen output lanes and one of sixteen chain channels; what is behind the last channel is zero. */
static void pack_task(void *context, int task, int thread)
{
    const packing *p = context;
    const rn_conv *c = p->c;
    int chain_blocks = p->backward ? c->blocks_out : c->blocks_in, block = task / chain_blocks, chain = task % chain_blocks;
    int chain_channels = p->backward ? c->channels_out : c->channels_in, lane_channels = p->backward ? c->channels_in : c->channels_out;
    int64_t k_step = (int64_t)c->channels_in * 9, matrix = (int64_t)chain_blocks * RN_LANES * RN_LANES;
    int count = chain_channels - chain * RN_LANES, lanes = lane_channels - block * RN_LANES;
    rn_winograd_weight call = {.u = p->packed + block * RN_WINOGRAD_POSITIONS * matrix + (int64_t)chain * RN_LANES * RN_LANES, .step = matrix, .flip = p->backward,
        .count = count < RN_LANES ? count : RN_LANES, .lanes = lanes < RN_LANES ? lanes : RN_LANES};
    (void)thread;
    call.scale = p->scale ? p->scale + block * RN_LANES : NULL;
    call.w_lane = p->backward ? 9 : k_step;
    call.w_next = p->backward ? k_step : 9;
    call.w = p->w + block * RN_LANES * call.w_lane + chain * RN_LANES * call.w_next;
    p->m->kernels.winograd_weight(&call);
    for (int i = 0; count < RN_LANES && i < RN_WINOGRAD_POSITIONS; i++)
        memset(call.u + i * matrix + (int64_t)count * RN_LANES, 0, (size_t)(RN_LANES - count) * RN_LANES * sizeof *call.u);
}

void rn_winograd_pack_forward(const rn_machine *m, const rn_conv *c, const float *w, const double *scale, float *packed)
{
    packing p = {m, c, w, scale, packed, 0};
    rn_pool_run(m->pool, c->blocks_out * c->blocks_in, pack_task, &p);
}

void rn_winograd_pack_backward(const rn_machine *m, const rn_conv *c, const float *w, float *packed)
{
    packing p = {m, c, w, NULL, packed, 1};
    rn_pool_run(m->pool, c->blocks_in * c->blocks_out, pack_task, &p);
}
