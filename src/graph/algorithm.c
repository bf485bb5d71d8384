/* The table of algorithms: which one computes a convolution, by its shape for one image and by the pass. Part of the arithmetic: a change
 * here changes bits, so it raises RN_ARITHMETIC.
 *
 * Winograd makes 36 multiplications of a tile of 4 x 4 pixels where direct sums make 144; but it reads 36 weights for 9, transforms its
 * operands, and computes whole tiles where pixels are left over. Measured on a Zen 3 with AVX2, one thread, milliseconds (direct, Winograd):
 *
 *     channels  pixels  batch    forward        weights
 *         16     64x98      1    0.35  0.21     0.36  0.19
 *         64       8x8      1   0.065 0.025    0.120 0.140
 *         64       4x4      1   0.017 0.017    0.081 0.125
 *         16       4x4     16   0.020 0.010    0.030 0.016
 *        512       7x7      1     4.7   3.1      7.3  21.3
 *        512       4x4      1     1.6   3.3      5.7  19.4
 *        512       2x2      8     5.1   3.8      7.5  22.2
 *
 * The batch may not decide. With few tiles, reading and transforming the weights is the whole cost at batch 1 and nothing at 32, which training
 * has: so direct for a single tile, or where less than 6 of a tile's 16 pixels are there. */
#include "graph/grouped.h"

enum pass { FORWARD, BACKWARD, WEIGHTS, PASSES };

static const struct row {
    int channels;      /* on either side, at least */
    int tiles, pixels; /* of one image, and in each tile on average, at least */
} winograd[PASSES] = {
    [FORWARD] = {16, 2, 6},
    [BACKWARD] = {16, 2, 6},
    [WEIGHTS] = {16, 2, 6},
};

static rn_algorithm choose(const rn_conv *c, enum pass pass, int h, int w)
{
    const struct row *row = &winograd[pass];
    int64_t tiles = ((int64_t)h + 3) / 4 * ((w + 3) / 4);
    int fits = c->kernel_h == 3 && c->kernel_w == 3 && c->stride_h == 1 && c->stride_w == 1 && c->pad == 1 && !c->plain && !c->linear;
    int large = c->channels_in >= row->channels && c->channels_out >= row->channels && tiles >= row->tiles && (int64_t)h * w >= tiles * row->pixels;
    return fits && large ? RN_WINOGRAD : RN_DIRECT;
}

void rn_algorithm_choose(rn_conv *c, int h, int w)
{
    rn_conv shape = c->groups > 1 ? rn_grouped_slice(c, 0) : *c;
    c->forward = choose(&shape, FORWARD, h, w);
    c->backward = choose(&shape, BACKWARD, h, w);
    c->weights = choose(&shape, WEIGHTS, h, w);
}
