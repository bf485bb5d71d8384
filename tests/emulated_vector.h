/* The sixteen-lane vocabulary in plain C: runs the tiles of an instruction set that this machine lacks. What it leaves unproved is the
 * nineteen one-line functions of the real vocabulary. */
#include <math.h>

typedef struct vec {
    float lane[16];
} vec;

#define LANES(expression)                                                                                              \
    vec out;                                                                                                           \
    for (int i = 0; i < 16; i++)                                                                                       \
        out.lane[i] = (expression);                                                                                    \
    return out

static inline vec v_load(const float *p)
{
    LANES(p[i]);
}

static inline void v_store(float *p, vec v)
{
    for (int i = 0; i < 16; i++)
        p[i] = v.lane[i];
}

static inline vec v_set(float v)
{
    LANES(v);
}

static inline vec v_add(vec a, vec b)
{
    LANES(a.lane[i] + b.lane[i]);
}

static inline vec v_sub(vec a, vec b)
{
    LANES(a.lane[i] - b.lane[i]);
}

static inline vec v_fma(vec a, vec b, vec c)
{
    LANES(fmaf(a.lane[i], b.lane[i], c.lane[i]));
}

static inline vec v_relu(vec v)
{
    LANES(0 > v.lane[i] ? 0 : v.lane[i]);
}

static inline vec v_keep(vec gate, vec v)
{
    LANES(gate.lane[i] > 0 ? v.lane[i] : 0);
}

static inline vec v_best(vec best, vec v)
{
    LANES(v.lane[i] > best.lane[i] || v.lane[i] != v.lane[i] ? v.lane[i] : best.lane[i]);
}

typedef vec reg;
enum { REG = 16 };

static inline reg r_load(const float *p)
{
    return v_load(p);
}

static inline void r_store(float *p, reg v)
{
    v_store(p, v);
}

static inline reg r_set(float v)
{
    return v_set(v);
}

static inline reg r_add(reg a, reg b)
{
    return v_add(a, b);
}

static inline reg r_sub(reg a, reg b)
{
    return v_sub(a, b);
}

static inline reg r_mul(reg a, reg b)
{
    LANES(a.lane[i] * b.lane[i]);
}

static inline reg r_max(reg a, reg b)
{
    LANES(a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]);
}

static inline reg r_fma(reg a, reg b, reg c)
{
    return v_fma(a, b, c);
}

static inline reg r_fnma(reg a, reg b, reg c)
{
    LANES(fmaf(-a.lane[i], b.lane[i], c.lane[i]));
}
