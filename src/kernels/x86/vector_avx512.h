/* Sixteen floats as one AVX-512 register: the vocabulary of rows.inc, conv.inc, wgrad.inc and winograd.inc. */
#include <immintrin.h>

typedef __m512 vec;

static inline vec v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

static inline void v_store(float *p, vec v)
{
    _mm512_storeu_ps(p, v);
}

static inline vec v_set(float v)
{
    return _mm512_set1_ps(v);
}

static inline vec v_add(vec a, vec b)
{
    return _mm512_add_ps(a, b);
}

static inline vec v_sub(vec a, vec b)
{
    return _mm512_sub_ps(a, b);
}

static inline vec v_fma(vec a, vec b, vec c)
{
    return _mm512_fmadd_ps(a, b, c);
}

/* 0 > v ? 0 : v: maxps returns its second operand for NaN and for two zeros. */
static inline vec v_relu(vec v)
{
    return _mm512_max_ps(_mm512_setzero_ps(), v);
}

/* gate > 0 ? v : +0 */
static inline vec v_keep(vec gate, vec v)
{
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(gate, _mm512_setzero_ps(), _CMP_GT_OQ), v);
}

/* v > best or v is NaN ? v : best */
static inline vec v_best(vec best, vec v)
{
    __mmask16 take = _mm512_cmp_ps_mask(v, best, _CMP_GT_OQ) | _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    return _mm512_mask_mov_ps(best, take, v);
}

/* One register: here the same sixteen lanes. */
typedef __m512 reg;
enum { REG = 16 };

static inline reg r_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

static inline void r_store(float *p, reg v)
{
    _mm512_storeu_ps(p, v);
}

static inline reg r_set(float v)
{
    return _mm512_set1_ps(v);
}

static inline reg r_add(reg a, reg b)
{
    return _mm512_add_ps(a, b);
}

static inline reg r_sub(reg a, reg b)
{
    return _mm512_sub_ps(a, b);
}

static inline reg r_mul(reg a, reg b)
{
    return _mm512_mul_ps(a, b);
}

/* a > b ? a : b: the second operand for NaN and for two zeros */
static inline reg r_max(reg a, reg b)
{
    return _mm512_max_ps(a, b);
}

static inline reg r_fma(reg a, reg b, reg c)
{
    return _mm512_fmadd_ps(a, b, c);
}

/* fma(-a, b, c) */
static inline reg r_fnma(reg a, reg b, reg c)
{
    return _mm512_fnmadd_ps(a, b, c);
}
