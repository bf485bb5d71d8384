/* The table of algorithms: which one computes a convolution, by its shape for one image and by the pass. Part of the arithmetic: a change
 * here changes bits, so it raises RN_ARITHMETIC. */
#include "graph/conv.h"

enum pass { FORWARD, BACKWARD, WEIGHTS, PASSES };

/* Winograd for 3x3 layers of stride 1 from this many channels on either side, and from this many tiles of 4 x 4 pixels an image. */
static const struct row {
    int channels, tiles;
} winograd[PASSES] = {
    [FORWARD] = {16, 1},
    [BACKWARD] = {16, 1},
    [WEIGHTS] = {16, 1},
};

static rn_algorithm choose(const rn_conv *c, enum pass pass, int tiles)
{
    int fits = c->kernel_h == 3 && c->kernel_w == 3 && c->stride_h == 1 && c->stride_w == 1 && c->pad == 1 && !c->plain && !c->linear;
    const struct row *row = &winograd[pass];
    return fits && c->channels_in >= row->channels && c->channels_out >= row->channels && tiles >= row->tiles ? RN_WINOGRAD : RN_DIRECT;
}

void rn_algorithm_choose(rn_conv *c, int h, int w)
{
    int tiles = (int)(((int64_t)h + 3) / 4 * ((w + 3) / 4));
    c->forward = choose(c, FORWARD, tiles);
    c->backward = choose(c, BACKWARD, tiles);
    c->weights = choose(c, WEIGHTS, tiles);
}
