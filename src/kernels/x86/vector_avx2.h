/* Sixteen floats as two AVX2 registers: the vocabulary of rows.inc, conv.inc, wgrad.inc and winograd.inc. */
#include <immintrin.h>

typedef struct vec {
    __m256 lo, hi;
} vec;

static inline vec v_load(const float *p)
{
    return (vec){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}

static inline void v_store(float *p, vec v)
{
    _mm256_storeu_ps(p, v.lo);
    _mm256_storeu_ps(p + 8, v.hi);
}

static inline vec v_set(float v)
{
    __m256 w = _mm256_set1_ps(v);
    return (vec){w, w};
}

static inline vec v_add(vec a, vec b)
{
    return (vec){_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}

static inline vec v_sub(vec a, vec b)
{
    return (vec){_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}

static inline vec v_fma(vec a, vec b, vec c)
{
    return (vec){_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}

/* 0 > v ? 0 : v: maxps returns its second operand for NaN and for two zeros. */
static inline vec v_relu(vec v)
{
    __m256 zero = _mm256_setzero_ps();
    return (vec){_mm256_max_ps(zero, v.lo), _mm256_max_ps(zero, v.hi)};
}

/* gate > 0 ? v : +0 */
static inline vec v_keep(vec gate, vec v)
{
    __m256 zero = _mm256_setzero_ps();
    return (vec){_mm256_and_ps(_mm256_cmp_ps(gate.lo, zero, _CMP_GT_OQ), v.lo), _mm256_and_ps(_mm256_cmp_ps(gate.hi, zero, _CMP_GT_OQ), v.hi)};
}

/* v > best or v is NaN ? v : best: the negation of best >= v, ordered */
static inline vec v_best(vec best, vec v)
{
    __m256 lo = _mm256_or_ps(_mm256_cmp_ps(v.lo, best.lo, _CMP_GT_OQ), _mm256_cmp_ps(v.lo, v.lo, _CMP_UNORD_Q));
    __m256 hi = _mm256_or_ps(_mm256_cmp_ps(v.hi, best.hi, _CMP_GT_OQ), _mm256_cmp_ps(v.hi, v.hi, _CMP_UNORD_Q));
    return (vec){_mm256_blendv_ps(best.lo, v.lo, lo), _mm256_blendv_ps(best.hi, v.hi, hi)};
}

/* One register, for code that has no room for two: winograd.inc goes over the lanes in steps of REG. */
typedef __m256 reg;
enum { REG = 8 };

static inline reg r_load(const float *p)
{
    return _mm256_loadu_ps(p);
}

static inline void r_store(float *p, reg v)
{
    _mm256_storeu_ps(p, v);
}

static inline reg r_set(float v)
{
    return _mm256_set1_ps(v);
}

static inline reg r_add(reg a, reg b)
{
    return _mm256_add_ps(a, b);
}

static inline reg r_sub(reg a, reg b)
{
    return _mm256_sub_ps(a, b);
}

static inline reg r_mul(reg a, reg b)
{
    return _mm256_mul_ps(a, b);
}

/* a > b ? a : b: the second operand for NaN and for two zeros */
static inline reg r_max(reg a, reg b)
{
    return _mm256_max_ps(a, b);
}

static inline reg r_fma(reg a, reg b, reg c)
{
    return _mm256_fmadd_ps(a, b, c);
}

/* fma(-a, b, c) */
static inline reg r_fnma(reg a, reg b, reg c)
{
    return _mm256_fnmadd_ps(a, b, c);
}
