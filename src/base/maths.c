/* exp, log, log10, pow, sin, cos in double, from operations whose results IEEE 754 defines: + - * /, fma, floor, and bits.
 *
 * exp      x = k ln 2 + r with |r| <= ln(2)/2; ln 2 in two parts, the first of 40 bits, so k * part is exact; Taylor of e^r to
 *          r^14 (remainder below 1e-19); 2^k by exponent bits, in two factors where the result is subnormal or near the largest
 * log      x = 2^k m with sqrt(1/2) <= m < sqrt(2); log m = 2 atanh(s), s = (m - 1) / (m + 1), |s| < 0.172; s, s^2 / 3 and the
 *          sum are pairs of doubles, the rest of the series (to s^27) one double: about 2^-64 relative error as a pair
 * log10    the pair times 1 / ln 10, also a pair
 * pow      exp of (y times the pair of log x): the pair's tail enters e^r, so the error does not grow with the exponent
 * sin, cos x = k pi/2 + r with |r| <= pi/4; pi/2 in four parts, three of 32 bits, so that k * part is exact up to k = 2^20;
 *          r is a pair; Taylor to r^17 and r^18 (remainder below 1e-18)
 *
 * Error against the correctly rounded result: below 1 unit in the last place each (tests/check_base samples them).
 * Source: argument reduction by parts as in Cody and Waite 1980; error-free sums and products: Dekker 1971, Knuth.
 */
#include "base/maths.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

typedef struct pair {
    double hi, lo; /* hi + lo, |lo| at most half a unit in the last place of hi */
} pair;

static const double ln2_hi = 0x1.62e42fefa2000p-1, ln2_lo = 0x1.9ef35793c7673p-41;

static uint64_t bits_of(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static double of_bits(uint64_t u)
{
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static pair sum(double a, double b)
{
    double s = a + b, t = s - a;
    return (pair){s, (a - (s - t)) + (b - t)};
}

/* |a| >= |b| or a = 0 */
static pair fast_sum(double a, double b)
{
    double s = a + b;
    return (pair){s, b - (s - a)};
}

static pair product(double a, double b)
{
    double p = a * b;
    return (pair){p, fma(a, b, -p)};
}

static double power_of_two(int k) /* -1022 <= k <= 1023 */
{
    return of_bits((uint64_t)(k + 1023) << 52);
}

/* e^(x + tail), |tail| far below |x| or 1 */
static double exp_pair(double x, double tail)
{
    if (isnan(x))
        return x;
    if (x > 709.8)
        return (double)INFINITY;
    if (x < -745.2)
        return 0;
    double k = floor(fma(x, 0x1.71547652b82fep+0, 0.5));
    double high = fma(-k, ln2_hi, x), low = fma(-k, ln2_lo, tail);
    pair r = sum(high, low);
    static const double c[13] = {/* 1/14! ... 1/2! */
        1.0 / 87178291200, 1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880,
        1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5};
    double p = c[0];
    for (int i = 1; i < 13; i++)
        p = fma(p, r.hi, c[i]);
    double tailed = fma(r.hi * r.hi, p, fma(r.lo, r.hi, r.lo)); /* e^r - 1 - r.hi */
    pair whole = fast_sum(1, r.hi);
    double y = whole.hi + (whole.lo + tailed);
    int n = (int)k;
    if (n < -1021) /* one rounding into the subnormal range: the first factor is exact */
        return y * power_of_two(n + 200) * 0x1p-200;
    if (n > 1022)
        return y * 0x1p1022 * power_of_two(n - 1022);
    return y * power_of_two(n);
}

double rn_exp(double x)
{
    return exp_pair(x, 0);
}

double rn_sigmoid(double x)
{
    return 1 / (1 + rn_exp(-x));
}

/* x finite and above 0 */
static pair log_pair(double x)
{
    int k = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        k = -54;
    }
    uint64_t u = bits_of(x);
    k += (int)(u >> 52) - 1023;
    double m = of_bits((u & 0x000FFFFFFFFFFFFFull) | 0x3FF0000000000000ull);
    if (m >= 0x1.6a09e667f3bcdp+0) {
        m *= 0.5;
        k++;
    }
    double f = m - 1;              /* exact */
    pair d = sum(m, 1);
    double s = f / d.hi;
    double s_lo = (fma(-s, d.hi, f) - s * d.lo) / d.hi;

    double z = s * s, z_lo = fma(s, s, -z) + 2 * s * s_lo;
    static const double c[12] = {
        1.0 / 27, 1.0 / 25, 1.0 / 23, 1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13, 1.0 / 11, 1.0 / 9, 1.0 / 7, 1.0 / 5};
    double q = c[0];
    for (int i = 1; i < 12; i++)
        q = fma(q, z, c[i]);
    const double third = 0x1.5555555555555p-2, third_lo = 0x1.5555555555555p-56;
    pair t = product(z, third);
    t.lo += fma(z, third_lo, z_lo * third);
    pair r = sum(t.hi, z * z * q); /* log m = 2s (1 + r) */
    r.lo += t.lo;
    pair p = product(2 * s, r.hi);
    p.lo += 2 * (s * r.lo + s_lo * r.hi);
    pair y = sum(2 * s, p.hi);
    y.lo += p.lo + 2 * s_lo;

    pair w = sum(k * ln2_hi, y.hi);
    w.lo += fma(k, ln2_lo, y.lo);
    return fast_sum(w.hi, w.lo);
}

double rn_log(double x)
{
    if (isnan(x) || x == (double)INFINITY)
        return x;
    if (x == 0)
        return -(double)INFINITY;
    if (x < 0)
        return (double)NAN;
    return log_pair(x).hi;
}

double rn_log10(double x)
{
    if (isnan(x) || x == (double)INFINITY)
        return x;
    if (x == 0)
        return -(double)INFINITY;
    if (x < 0)
        return (double)NAN;
    pair l = log_pair(x), p = product(l.hi, 0x1.bcb7b1526e50ep-2);
    return p.hi + (p.lo + fma(l.hi, 0x1.95355baaafad3p-57, l.lo * 0x1.bcb7b1526e50ep-2));
}

double rn_pow(double x, double y)
{
    if (y == 0 || x == 1)
        return 1;
    if (isnan(x) || isnan(y))
        return x + y;
    if (x < 0)
        return (double)NAN;
    if (x == 0)
        return y > 0 ? 0 : (double)INFINITY;
    if (isinf(x))
        return y > 0 ? x : 0;
    if (isinf(y))
        return (x > 1) == (y > 0) ? (double)INFINITY : 0;
    pair l = log_pair(x), p = product(y, l.hi);
    if (!(fabs(p.hi) < 800)) /* p.lo would be NaN where the product overflows */
        return p.hi > 0 ? (double)INFINITY : 0;
    return exp_pair(p.hi, fma(y, l.lo, p.lo));
}

/* Returns k mod 4 and r = x - k pi/2. */
static int quarter(double x, pair *r)
{
    double k = floor(fma(x, 0x1.45f306dc9c883p-1, 0.5));
    double a = fma(-k, 0x1.921fb54400000p+0, x);
    pair b = sum(a, -k * 0x1.0b4611a600000p-34);
    pair c = sum(b.hi, -k * 0x1.3198a2e000000p-69);
    *r = fast_sum(c.hi, b.lo + fma(-k, 0x1.b839a252049c1p-104, c.lo));
    return (int)((int64_t)k & 3);
}

static double sin_pair(pair r)
{
    static const double c[8] = {/* 1/17! ... -1/3! */
        1.0 / 355687428096000, -1.0 / 1307674368000, 1.0 / 6227020800, -1.0 / 39916800, 1.0 / 362880, -1.0 / 5040, 1.0 / 120, -1.0 / 6};
    double z = r.hi * r.hi, p = c[0];
    for (int i = 1; i < 8; i++)
        p = fma(p, z, c[i]);
    return r.hi + fma(r.hi * z, p, r.lo * fma(-0.5, z, 1));
}

static double cos_pair(pair r)
{
    static const double c[8] = {/* -1/18! ... 1/4! */
                                -1.0 / 6402373705728000, 1.0 / 20922789888000, -1.0 / 87178291200, 1.0 / 479001600,
                                -1.0 / 3628800,          1.0 / 40320,          -1.0 / 720,         1.0 / 24};
    double z = r.hi * r.hi, p = c[0];
    for (int i = 1; i < 8; i++)
        p = fma(p, z, c[i]);
    pair half = product(0.5 * r.hi, r.hi);
    pair w = fast_sum(1, -half.hi);
    return w.hi + (w.lo - half.lo + fma(z * z, p, -r.hi * r.lo));
}

double rn_sin(double x)
{
    if (!(fabs(x) <= 0x1p20))
        return (double)NAN;
    if (fabs(x) < 0x1p-27) /* keeps the sign of zero */
        return x;
    pair r;
    switch (quarter(x, &r)) {
    case 0: return sin_pair(r);
    case 1: return cos_pair(r);
    case 2: return -sin_pair(r);
    default: return -cos_pair(r);
    }
}

double rn_cos(double x)
{
    if (!(fabs(x) <= 0x1p20))
        return (double)NAN;
    pair r;
    switch (quarter(x, &r)) {
    case 0: return cos_pair(r);
    case 1: return -sin_pair(r);
    case 2: return -cos_pair(r);
    default: return sin_pair(r);
    }
}

void rn_softmax(const float *logits, int classes, double temperature, float *probability, double *sum)
{
    double largest = logits[0], whole = 0;
    for (int c = 1; c < classes; c++)
        if (logits[c] > largest)
            largest = logits[c];
    for (int c = 0; c < classes; c++)
        whole += rn_exp((logits[c] - largest) / temperature);
    for (int c = 0; c < classes; c++) {
        double p = rn_exp((logits[c] - largest) / temperature) / whole;
        if (probability)
            probability[c] = (float)p;
        if (sum)
            sum[c] += p;
    }
}

void rn_sigmoids(const float *logits, int classes, double temperature, float *probability, double *sum)
{
    for (int c = 0; c < classes; c++) {
        double z = logits[c] / temperature, e = rn_exp(z < 0 ? z : -z), p = (z < 0 ? e : 1) / (1 + e);
        if (probability)
            probability[c] = (float)p;
        if (sum)
            sum[c] += p;
    }
}
