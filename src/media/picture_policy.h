/* RandAugment and TrivialAugment: which operations, how strong; see picture_policy.c. */
#ifndef RN_MEDIA_PICTURE_POLICY_H
#define RN_MEDIA_PICTURE_POLICY_H

#include "media/image.h"

enum { RN_POLICY_OPS = 14, RN_POLICY_BINS = 31 };

/* Operation `op` of torchvision's list at magnitude `bin`: of RandAugment, or of TrivialAugmentWide (wide). negative: the other way, where an
 * operation has two. */
int rn_policy_apply(rn_image *image, int wide, int op, int bin, int negative, rn_error *err);

/* RandAugment (Cubuk et al. 2020): `count` operations, each drawn, at one magnitude. */
int rn_policy_rand(rn_image *image, int count, int magnitude, uint64_t seed, uint32_t epoch, uint64_t position, rn_error *err);
/* TrivialAugment (Müller and Hutter 2021): one operation at a drawn magnitude, in its wide space. */
int rn_policy_trivial(rn_image *image, uint64_t seed, uint32_t epoch, uint64_t position, rn_error *err);

#endif
