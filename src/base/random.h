/* Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011), a pure function of its counter and key.
 *
 * A number is a function of (seed, purpose, epoch, position, index); nothing depends on the order of arrival. */
#ifndef RN_BASE_RANDOM_H
#define RN_BASE_RANDOM_H

#include <stdint.h>

/* What a number is drawn for. Values are part of the arithmetic contract: append, never reorder. */
typedef enum rn_purpose {
    RN_PURPOSE_WEIGHTS = 1,   /* initial weights; position = tensor's place in byte order of names */
    RN_PURPOSE_SHUFFLE = 2,   /* order of an epoch */
    RN_PURPOSE_SPLIT = 3,     /* train, validation, test */
    RN_PURPOSE_CROP = 4,
    RN_PURPOSE_GAIN = 5,
    RN_PURPOSE_SHIFT = 6,
    RN_PURPOSE_MASK = 7,      /* SpecAugment */
    RN_PURPOSE_MIXUP = 8,
    RN_PURPOSE_SPEED = 9,
    RN_PURPOSE_NOISE = 10,
    RN_PURPOSE_BALANCE = 11,  /* balanced sampling */
    RN_PURPOSE_DROP = 12,     /* blocks that a sample leaves out in training */
    RN_PURPOSE_FLIP = 20,     /* pictures: mirrored, */
    RN_PURPOSE_COLOUR = 21,   /* brightness, contrast, saturation, hue, */
    RN_PURPOSE_POLICY = 22,   /* RandAugment and TrivialAugment, */
    RN_PURPOSE_ERASE = 23,    /* a part covered, */
    RN_PURPOSE_CUTMIX = 24,   /* a part of another */
    RN_PURPOSE_TEST = 100     /* inputs of tests and benchmarks */
} rn_purpose;

/* One stream: a seed, a purpose, an epoch and a position; `index` counts the 32-bit numbers drawn from it. */
typedef struct rn_random {
    uint32_t key[2];     /* seed, low and high word */
    uint32_t counter[4]; /* block number, position, epoch, purpose | (position's high bits << 8) */
    uint32_t block[4];   /* the current block's output */
    int used;            /* of the block's four numbers */
} rn_random;

void rn_random_start(rn_random *r, uint64_t seed, rn_purpose purpose, uint32_t epoch, uint64_t position);
uint32_t rn_random_u32(rn_random *r);
double rn_random_double(rn_random *r);                 /* uniform in [0, 1), 53 bits: two u32, high word first */
uint64_t rn_random_below(rn_random *r, uint64_t n);    /* uniform in [0, n), n > 0, without modulo bias (rejection) */
double rn_random_normal(rn_random *r);                 /* Box-Muller with base/maths.h, one value of the pair per two doubles */
double rn_random_gamma(rn_random *r, double shape);    /* Marsaglia and Tsang 2000; shape > 0 */
double rn_random_beta(rn_random *r, double a, double b);

/* The bare block function: Philox4x32-10 of a counter under a key (known answers in tests/check_base). */
void rn_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* Fisher-Yates over order[0..n) with numbers of `r`. */
void rn_random_shuffle(rn_random *r, uint32_t *order, uint32_t n);

#endif
