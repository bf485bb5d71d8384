/* Random numbers: Philox4x32 with ten rounds, and the few distributions that the library draws from.
 *
 * The generator is a keyed bijection of a 128-bit counter: two 32x32 -> 64-bit products, their halves crossed and mixed with the
 * key, ten times; the key is stepped by the golden ratio and by sqrt(3) - 1 between rounds. There is no state besides the
 * counter, so any number can be computed at any time by any thread.
 *
 * Counter of a stream   word 0 block, 1 position (low 32 bits), 2 epoch, 3 purpose | position's bits 32..55 << 8
 * Source                Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3 (SC 2011);
 *                       Marsaglia and Tsang: A simple method for generating gamma variables (ACM TOMS 26, 2000)
 */
#include "base/random.h"

#include <math.h>
#include <string.h>

#include "base/maths.h"

void rn_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        uint32_t n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c0 = n0;
        c1 = (uint32_t)p1;
        c2 = n2;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

void rn_random_start(rn_random *r, uint64_t seed, rn_purpose purpose, uint32_t epoch, uint64_t position)
{
    memset(r, 0, sizeof *r);
    r->key[0] = (uint32_t)seed;
    r->key[1] = (uint32_t)(seed >> 32);
    r->counter[1] = (uint32_t)position;
    r->counter[2] = epoch;
    r->counter[3] = ((uint32_t)purpose & 0xFFu) | (uint32_t)(position >> 32) << 8;
    r->used = 4;
}

uint32_t rn_random_u32(rn_random *r)
{
    if (r->used == 4) {
        rn_philox(r->counter, r->key, r->block);
        r->counter[0]++;
        r->used = 0;
    }
    return r->block[r->used++];
}

static uint64_t random_u64(rn_random *r)
{
    uint64_t high = rn_random_u32(r);
    return high << 32 | rn_random_u32(r);
}

double rn_random_double(rn_random *r)
{
    return (double)(random_u64(r) >> 11) * 0x1p-53;
}

/* One u32 where n fits in 32 bits, else two, high word first; a draw at or above the largest multiple of n is thrown away. */
uint64_t rn_random_below(rn_random *r, uint64_t n)
{
    if (n <= 1)
        return 0;
    if (n <= UINT64_C(1) << 32) {
        uint64_t end = (UINT64_C(1) << 32) - (UINT64_C(1) << 32) % n, x;
        do
            x = rn_random_u32(r);
        while (x >= end);
        return x % n;
    }
    uint64_t over = (UINT64_MAX % n + 1) % n, x; /* 2^64 mod n */
    do
        x = random_u64(r);
    while (x > UINT64_MAX - over);
    return x % n;
}

double rn_random_normal(rn_random *r)
{
    double u = 1 - rn_random_double(r); /* (0, 1]: the logarithm is finite */
    double v = rn_random_double(r);
    return sqrt(-2 * rn_log(u)) * rn_cos(6.283185307179586 * v);
}

/* Logarithm of a gamma variable: for shapes near 0 the variable itself falls below the smallest double. */
static double log_gamma_draw(rn_random *r, double shape)
{
    double boost = 0;
    if (shape < 1) {
        boost = rn_log(1 - rn_random_double(r)) / shape;
        shape += 1;
    }
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = rn_random_normal(r), t = 1 + c * x;
        if (t <= 0)
            continue;
        double v = t * t * t, u = 1 - rn_random_double(r);
        if (rn_log(u) < 0.5 * x * x + d - d * v + d * rn_log(v))
            return rn_log(d * v) + boost;
    }
}

double rn_random_gamma(rn_random *r, double shape)
{
    return rn_exp(log_gamma_draw(r, shape));
}

double rn_random_beta(rn_random *r, double a, double b)
{
    double x = log_gamma_draw(r, a), y = log_gamma_draw(r, b);
    return 1 / (1 + rn_exp(y - x));
}

void rn_random_shuffle(rn_random *r, uint32_t *order, uint32_t n)
{
    for (uint32_t i = n; i > 1; i--) {
        uint32_t j = (uint32_t)rn_random_below(r, i), t = order[i - 1];
        order[i - 1] = order[j];
        order[j] = t;
    }
}
