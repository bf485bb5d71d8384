/* Fast Fourier transform of real signals, double precision, any length.
 *
 * Why it is ours: logarithms of quiet bins need more than a transform in float gives (a bin 100 dB below the loudest has
 * 2 digits left), the libraries that work in double either choose code by processor or take their twiddles from libm, and
 * features are promised to have the same bits everywhere. Twiddles come from base/maths.
 *
 * An even length n is packed as n/2 complex numbers and split afterwards; an odd one runs as complex.
 * Complex transform: Stockham's self-sorting form, radices 4, 2, 3, 5 and any prime up to 61. Stage of length n1 = p * m,
 * stride s: y[j + s (p q + r)] = w(n1)^(q r) * sum over k of x[j + s (q + m k)] w(p)^(k r), for q < m, j < s, r < p.
 * Lengths with a larger prime go through Bluestein's convolution with a chirp, padded to a power of two.
 * Layout: real and imaginary parts in separate arrays. Sums run over k upwards. Source: Van Loan 1992, 1.7 and 4.2. */
#include "media/fft.h"

#include <stdlib.h>
#include <string.h>
#include "base/maths.h"

#define RN_STAGES_MAX 21
#define RN_PRIME_MAX 61
#define RN_PI 3.14159265358979323846

/* A complex transform of length n. */
typedef struct plan {
    int n, stages;
    int radix[RN_STAGES_MAX];
    double *twiddle[RN_STAGES_MAX]; /* per stage [m][radix - 1][2]: w(n1)^(q r), r from 1 */
    double *root[RN_STAGES_MAX];    /* radix above 5: [radix][2], w(p)^k */
    /* Bluestein, if `inner` is set: chirp[k] = exp(-i pi k^2 / n), and the transform of its conjugate, padded */
    struct plan *inner;
    double *chirp;  /* [n][2] */
    double *kernel; /* [inner->n][2], divided by inner->n */
} plan;

struct rn_fft {
    int n;
    plan *complex; /* of n/2 if n is even, else of n */
    double *split; /* even n: [n/4 + 1][2], exp(-2 pi i k / n) */
};

/* exp(-2 pi i k / n), from an angle of at most 2 pi. */
static void unit(long long k, long long n, double *out)
{
    double angle = 2 * RN_PI * (double)(k % n) / (double)n;
    out[0] = rn_cos(angle);
    out[1] = -rn_sin(angle);
}

static void plan_close(plan *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->stages; i++) {
        free(p->twiddle[i]);
        free(p->root[i]);
    }
    plan_close(p->inner);
    free(p->chirp);
    free(p->kernel);
    free(p);
}

/* Factors n into p->radix; returns 0 if a prime is too large for a direct stage. */
static int factor(plan *p, int n)
{
    static const int first[] = {4, 2, 3, 5};
    for (int i = 0; i < 4; i++)
        for (; n % first[i] == 0; n /= first[i])
            p->radix[p->stages++] = first[i];
    for (int f = 7; f <= RN_PRIME_MAX; f += 2)
        for (; n % f == 0; n /= f)
            p->radix[p->stages++] = f;
    return n == 1;
}

static void run(const plan *p, double *re, double *im, double *work);
static plan *plan_open(int n);

static int open_bluestein(plan *p)
{
    int size = 1;
    while (size < 2 * p->n - 1)
        size *= 2;
    p->inner = plan_open(size);
    p->chirp = malloc(sizeof(double) * 2 * (size_t)p->n);
    p->kernel = calloc((size_t)size * 2, sizeof(double));
    double *buffer = calloc((size_t)size * 4, sizeof(double));
    if (!p->inner || !p->chirp || !p->kernel || !buffer) {
        free(buffer);
        return -1;
    }
    double *re = buffer, *im = buffer + size;
    for (int k = 0; k < p->n; k++) {
        double *c = p->chirp + 2 * k;
        unit((long long)k * k % (2 * p->n), 2 * p->n, c);
        re[k] = c[0];
        im[k] = -c[1];
        if (k) {
            re[size - k] = c[0];
            im[size - k] = -c[1];
        }
    }
    run(p->inner, re, im, buffer + 2 * (size_t)size);
    for (int k = 0; k < size; k++) {
        p->kernel[2 * k] = re[k] / size;
        p->kernel[2 * k + 1] = im[k] / size;
    }
    free(buffer);
    return 0;
}

/* NULL if there is no memory. */
static plan *plan_open(int n)
{
    plan *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->n = n;
    if (!factor(p, n)) {
        p->stages = 0;
        if (open_bluestein(p)) {
            plan_close(p);
            return NULL;
        }
        return p;
    }
    int length = n;
    for (int i = 0; i < p->stages; i++) {
        int radix = p->radix[i], m = length / radix;
        p->twiddle[i] = malloc(sizeof(double) * 2 * (size_t)m * (size_t)(radix - 1));
        if (radix > 5)
            p->root[i] = malloc(sizeof(double) * 2 * (size_t)radix);
        if (!p->twiddle[i] || (radix > 5 && !p->root[i])) {
            plan_close(p);
            return NULL;
        }
        for (int q = 0; q < m; q++)
            for (int r = 1; r < radix; r++)
                unit((long long)q * r, length, p->twiddle[i] + 2 * ((size_t)q * (size_t)(radix - 1) + (size_t)(r - 1)));
        for (int k = 0; k < radix && radix > 5; k++)
            unit(k, radix, p->root[i] + 2 * k);
        length = m;
    }
    return p;
}

/* out[at] = (re, im) * w */
#define RN_PUT(at, real, imag, w)                                                                                                          \
    do {                                                                                                                                   \
        double a_ = (real), b_ = (imag);                                                                                                   \
        yr[at] = a_ * (w)[0] - b_ * (w)[1];                                                                                                \
        yi[at] = a_ * (w)[1] + b_ * (w)[0];                                                                                                \
    } while (0)

static void stage2(int m, int s, const double *w, const double *restrict xr, const double *restrict xi, double *restrict yr,
                   double *restrict yi)
{
    for (int q = 0; q < m; q++, w += 2)
        for (int j = 0; j < s; j++) {
            int a = j + s * q, b = a + s * m, to = j + 2 * s * q;
            yr[to] = xr[a] + xr[b];
            yi[to] = xi[a] + xi[b];
            RN_PUT(to + s, xr[a] - xr[b], xi[a] - xi[b], w);
        }
}

static void stage4(int m, int s, const double *w, const double *restrict xr, const double *restrict xi, double *restrict yr,
                   double *restrict yi)
{
    for (int q = 0; q < m; q++, w += 6)
        for (int j = 0; j < s; j++) {
            int a = j + s * q, b = a + s * m, c = b + s * m, d = c + s * m, to = j + 4 * s * q;
            double pr = xr[a] + xr[c], pi = xi[a] + xi[c], mr = xr[a] - xr[c], mi = xi[a] - xi[c];
            double qr = xr[b] + xr[d], qi = xi[b] + xi[d], nr = xr[b] - xr[d], ni = xi[b] - xi[d];
            yr[to] = pr + qr;
            yi[to] = pi + qi;
            RN_PUT(to + s, mr + ni, mi - nr, w);
            RN_PUT(to + 2 * s, pr - qr, pi - qi, w + 2);
            RN_PUT(to + 3 * s, mr - ni, mi + nr, w + 4);
        }
}

static void stage3(int m, int s, const double *w, const double *restrict xr, const double *restrict xi, double *restrict yr,
                   double *restrict yi)
{
    const double h = 0.86602540378443864676; /* sin(pi / 3) */
    for (int q = 0; q < m; q++, w += 4)
        for (int j = 0; j < s; j++) {
            int a = j + s * q, b = a + s * m, c = b + s * m, to = j + 3 * s * q;
            double sr = xr[b] + xr[c], si = xi[b] + xi[c], dr = h * (xr[b] - xr[c]), di = h * (xi[b] - xi[c]);
            double tr = xr[a] - 0.5 * sr, ti = xi[a] - 0.5 * si;
            yr[to] = xr[a] + sr;
            yi[to] = xi[a] + si;
            RN_PUT(to + s, tr + di, ti - dr, w);
            RN_PUT(to + 2 * s, tr - di, ti + dr, w + 2);
        }
}

static void stage5(int m, int s, const double *w, const double *restrict xr, const double *restrict xi, double *restrict yr,
                   double *restrict yi)
{
    const double c1 = 0.30901699437494742410, c2 = -0.80901699437494742410; /* cos(2 pi / 5), cos(4 pi / 5) */
    const double s1 = 0.95105651629515357212, s2 = 0.58778525229247312917;  /* their sines */
    for (int q = 0; q < m; q++, w += 8)
        for (int j = 0; j < s; j++) {
            int x0 = j + s * q, x1 = x0 + s * m, x2 = x1 + s * m, x3 = x2 + s * m, x4 = x3 + s * m, to = j + 5 * s * q;
            double ar = xr[x1] + xr[x4], ai = xi[x1] + xi[x4], br = xr[x1] - xr[x4], bi = xi[x1] - xi[x4];
            double cr = xr[x2] + xr[x3], ci = xi[x2] + xi[x3], dr = xr[x2] - xr[x3], di = xi[x2] - xi[x3];
            double er = xr[x0] + c1 * ar + c2 * cr, ei = xi[x0] + c1 * ai + c2 * ci;
            double fr = xr[x0] + c2 * ar + c1 * cr, fi = xi[x0] + c2 * ai + c1 * ci;
            double gr = s1 * br + s2 * dr, gi = s1 * bi + s2 * di, hr = s2 * br - s1 * dr, hi = s2 * bi - s1 * di;
            yr[to] = xr[x0] + ar + cr;
            yi[to] = xi[x0] + ai + ci;
            RN_PUT(to + s, er + gi, ei - gr, w);
            RN_PUT(to + 2 * s, fr + hi, fi - hr, w + 2);
            RN_PUT(to + 3 * s, fr - hi, fi + hr, w + 4);
            RN_PUT(to + 4 * s, er - gi, ei + gr, w + 6);
        }
}

static void stage_prime(int p, const double *root, int m, int s, const double *w, const double *restrict xr, const double *restrict xi,
                        double *restrict yr, double *restrict yi)
{
    static const double one[2] = {1, 0};
    for (int q = 0; q < m; q++, w += 2 * (p - 1))
        for (int j = 0; j < s; j++)
            for (int r = 0; r < p; r++) {
                double sr = 0, si = 0;
                for (int k = 0, e = 0; k < p; k++) {
                    int from = j + s * (q + m * k);
                    sr += xr[from] * root[2 * e] - xi[from] * root[2 * e + 1];
                    si += xr[from] * root[2 * e + 1] + xi[from] * root[2 * e];
                    e += r;
                    e -= e >= p ? p : 0;
                }
                RN_PUT(j + s * (p * q + r), sr, si, r ? w + 2 * (r - 1) : one);
            }
}

/* A forward transform by Bluestein: x chirp, convolved with the conjugate chirp, times the chirp. */
static void run_bluestein(const plan *p, double *re, double *im, double *work)
{
    int size = p->inner->n;
    double *ar = work, *ai = work + size, *rest = work + 2 * (size_t)size;
    memset(ar, 0, sizeof(double) * 2 * (size_t)size);
    for (int k = 0; k < p->n; k++) {
        const double *c = p->chirp + 2 * k;
        ar[k] = re[k] * c[0] - im[k] * c[1];
        ai[k] = re[k] * c[1] + im[k] * c[0];
    }
    run(p->inner, ar, ai, rest);
    for (int k = 0; k < size; k++) { /* conjugated, so that the second forward transform is an inverse one */
        double r = ar[k] * p->kernel[2 * k] - ai[k] * p->kernel[2 * k + 1], i = ar[k] * p->kernel[2 * k + 1] + ai[k] * p->kernel[2 * k];
        ar[k] = r;
        ai[k] = -i;
    }
    run(p->inner, ar, ai, rest);
    for (int k = 0; k < p->n; k++) {
        const double *c = p->chirp + 2 * k;
        re[k] = ar[k] * c[0] + ai[k] * c[1];
        im[k] = ar[k] * c[1] - ai[k] * c[0];
    }
}

static size_t work_size(const plan *p)
{
    return p->inner ? 2 * (size_t)p->inner->n + work_size(p->inner) : 2 * (size_t)p->n;
}

/* In place; work [work_size]. */
static void run(const plan *p, double *re, double *im, double *work)
{
    if (p->inner) {
        run_bluestein(p, re, im, work);
        return;
    }
    double *xr = re, *xi = im, *yr = work, *yi = work + p->n, *t;
    int length = p->n, s = 1;
    for (int i = 0; i < p->stages; i++) {
        int radix = p->radix[i], m = length / radix;
        if (radix == 4)
            stage4(m, s, p->twiddle[i], xr, xi, yr, yi);
        else if (radix == 2)
            stage2(m, s, p->twiddle[i], xr, xi, yr, yi);
        else if (radix == 3)
            stage3(m, s, p->twiddle[i], xr, xi, yr, yi);
        else if (radix == 5)
            stage5(m, s, p->twiddle[i], xr, xi, yr, yi);
        else
            stage_prime(radix, p->root[i], m, s, p->twiddle[i], xr, xi, yr, yi);
        length = m;
        s *= radix;
        t = xr, xr = yr, yr = t;
        t = xi, xi = yi, yi = t;
    }
    if (xr != re) {
        memcpy(re, xr, sizeof(double) * (size_t)p->n);
        memcpy(im, xi, sizeof(double) * (size_t)p->n);
    }
}

int rn_fft_open(rn_fft **fft, int n, rn_error *err)
{
    *fft = NULL;
    if (n < 2 || n > RN_FFT_MAX)
        return rn_error_set(err, RN_ERR_ARG, "a transform of %d samples: 2 to %d can be done", n, RN_FFT_MAX);
    rn_fft *f = calloc(1, sizeof *f);
    if (!f)
        return rn_error_memory(err, "a Fourier transform", sizeof *f);
    f->n = n;
    f->complex = plan_open(n % 2 ? n : n / 2);
    if (n % 2 == 0) {
        f->split = malloc(sizeof(double) * 2 * (size_t)(n / 4 + 1));
        for (int k = 0; f->split && k <= n / 4; k++)
            unit(k, n, f->split + 2 * k);
    }
    if (!f->complex || (n % 2 == 0 && !f->split)) {
        rn_fft_close(&f);
        return rn_error_memory(err, "a Fourier transform", 16ull * (unsigned)n);
    }
    *fft = f;
    return 0;
}

void rn_fft_close(rn_fft **fft)
{
    if (!*fft)
        return;
    plan_close((*fft)->complex);
    free((*fft)->split);
    free(*fft);
    *fft = NULL;
}

size_t rn_fft_scratch(const rn_fft *f)
{
    return 2 * (size_t)f->complex->n + work_size(f->complex);
}

void rn_fft_power(const rn_fft *f, const double *x, double *power, double *scratch)
{
    int m = f->complex->n;
    double *re = scratch, *im = scratch + m, *work = scratch + 2 * (size_t)m;
    if (f->n % 2) {
        memcpy(re, x, sizeof(double) * (size_t)m);
        memset(im, 0, sizeof(double) * (size_t)m);
        run(f->complex, re, im, work);
        for (int k = 0; k <= f->n / 2; k++)
            power[k] = re[k] * re[k] + im[k] * im[k];
        return;
    }
    for (int k = 0; k < m; k++) {
        re[k] = x[2 * k];
        im[k] = x[2 * k + 1];
    }
    run(f->complex, re, im, work);
    power[0] = (re[0] + im[0]) * (re[0] + im[0]);
    power[m] = (re[0] - im[0]) * (re[0] - im[0]);
    /* Z = E + i O, with E and O the transforms of the even and odd samples: X[k] = E + w^k O, X[m - k] = conj(E - w^k O). */
    for (int k = 1; k <= m / 2; k++) {
        double er = 0.5 * (re[k] + re[m - k]), ei = 0.5 * (im[k] - im[m - k]);
        double dr = 0.5 * (im[k] + im[m - k]), di = 0.5 * (re[m - k] - re[k]);
        const double *w = f->split + 2 * k;
        double tr = dr * w[0] - di * w[1], ti = dr * w[1] + di * w[0];
        power[k] = (er + tr) * (er + tr) + (ei + ti) * (ei + ti);
        power[m - k] = (er - tr) * (er - tr) + (ei - ti) * (ei - ti);
    }
}
