/* RandAugment and TrivialAugmentWide as torchvision has them: fourteen operations in this order, 31 magnitudes evenly spaced, nearest pixels,
 * black outside.
 *
 *   op              RandAugment       TrivialAugmentWide
 *   identity
 *   shear x, y      0 .. 0.3          0 .. 0.99          +-, about the corner above left
 *   translate x, y  0 .. 150/331 w    0 .. 32 pixels     +-, whole pixels
 *   rotate          0 .. 30 degrees   0 .. 135           +-
 *   brightness, colour, contrast, sharpness
 *                   0 .. 0.9          0 .. 0.99          +-, factor 1 + m
 *   posterize       8 .. 4 bits       8 .. 2
 *   solarize        from 255 .. 0     from 255 .. 0
 *   autocontrast, equalize
 *
 * Magnitudes are floats as torch.linspace makes them: from the start in the lower half, from the end in the upper. */
#include "media/picture_policy.h"

#include <math.h>
#include "base/random.h"
#include "media/picture_ops.h"

typedef enum op {
    IDENTITY,
    SHEAR_X,
    SHEAR_Y,
    TRANSLATE_X,
    TRANSLATE_Y,
    ROTATE,
    BRIGHTNESS,
    COLOUR,
    CONTRAST,
    SHARPNESS,
    POSTERIZE,
    SOLARIZE,
    AUTOCONTRAST,
    EQUALIZE
} op;

static const struct {
    double most[2]; /* RandAugment, TrivialAugmentWide; of translation: of the side, or pixels */
    int has_sign;
} space[RN_POLICY_OPS] = {
    [SHEAR_X] = {{0.3, 0.99}, 1},
    [SHEAR_Y] = {{0.3, 0.99}, 1},
    [TRANSLATE_X] = {{150.0 / 331.0, 32}, 1},
    [TRANSLATE_Y] = {{150.0 / 331.0, 32}, 1},
    [ROTATE] = {{30, 135}, 1},
    [BRIGHTNESS] = {{0.9, 0.99}, 1},
    [COLOUR] = {{0.9, 0.99}, 1},
    [CONTRAST] = {{0.9, 0.99}, 1},
    [SHARPNESS] = {{0.9, 0.99}, 1},
    [POSTERIZE] = {{4, 6}, 0},
};

static float spaced(float start, float end, int bin)
{
    float step = (end - start) / (RN_POLICY_BINS - 1);
    /* rounded once, as torch's fused multiply-add is: the products are exact in double */
    return (float)(bin < RN_POLICY_BINS / 2 ? (double)start + (double)step * bin : (double)end - (double)step * (RN_POLICY_BINS - 1 - bin));
}

/* bin / (30 / most), half to even. */
static int dropped_bits(double most, int bin)
{
    double bits = bin * most / (RN_POLICY_BINS - 1), whole = floor(bits), rest = bits - whole;
    return (int)(rest > 0.5 || (rest == 0.5 && (int)whole % 2) ? whole + 1 : whole);
}

int rn_policy_apply(rn_image *image, int wide, int which, int bin, int negative, rn_error *err)
{
    double most = space[which].most[wide ? 1 : 0];
    if (!wide && which == TRANSLATE_X)
        most *= image->width;
    if (!wide && which == TRANSLATE_Y)
        most *= image->height;
    double m = (double)spaced(0, (float)most, bin);
    if (negative && space[which].has_sign)
        m = -m;
    switch ((op)which) {
    case SHEAR_X:
        return rn_picture_affine(image, (const double[6]){1, m, 0, 0, 1, 0}, err);
    case SHEAR_Y:
        return rn_picture_affine(image, (const double[6]){1, 0, 0, m, 1, 0}, err);
    case TRANSLATE_X:
        return rn_picture_affine(image, (const double[6]){1, 0, -(int)m, 0, 1, 0}, err);
    case TRANSLATE_Y:
        return rn_picture_affine(image, (const double[6]){1, 0, 0, 0, 1, -(int)m}, err);
    case ROTATE:
        return rn_picture_rotate(image, m, err);
    case BRIGHTNESS:
        rn_picture_brightness(image, (float)(1 + m));
        break;
    case COLOUR:
        rn_picture_saturation(image, (float)(1 + m));
        break;
    case CONTRAST:
        rn_picture_contrast(image, (float)(1 + m));
        break;
    case SHARPNESS:
        return rn_picture_sharpness(image, (float)(1 + m), err);
    case POSTERIZE:
        rn_picture_posterize(image, 8 - dropped_bits(most, bin));
        break;
    case SOLARIZE:
        rn_picture_solarize(image, (double)spaced(255, 0, bin));
        break;
    case AUTOCONTRAST:
        rn_picture_autocontrast(image);
        break;
    case EQUALIZE:
        rn_picture_equalize(image);
        break;
    case IDENTITY:
        break;
    }
    return 0;
}

int rn_policy_rand(rn_image *image, int count, int magnitude, uint64_t seed, uint32_t epoch, uint64_t position, rn_error *err)
{
    rn_random r;
    int status = 0;
    rn_random_start(&r, seed, RN_PURPOSE_POLICY, epoch, position);
    for (int i = 0; i < count && !status; i++) {
        int which = (int)rn_random_below(&r, RN_POLICY_OPS);
        status = rn_policy_apply(image, 0, which, magnitude, rn_random_below(&r, 2) == 1, err);
    }
    return status;
}

int rn_policy_trivial(rn_image *image, uint64_t seed, uint32_t epoch, uint64_t position, rn_error *err)
{
    rn_random r;
    rn_random_start(&r, seed, RN_PURPOSE_POLICY, epoch, position);
    int which = (int)rn_random_below(&r, RN_POLICY_OPS), bin = (int)rn_random_below(&r, RN_POLICY_BINS);
    return rn_policy_apply(image, 1, which, bin, rn_random_below(&r, 2) == 1, err);
}
