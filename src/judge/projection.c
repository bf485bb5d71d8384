/* Principal components (Pearson 1901; Hotelling 1933) by the eigenvectors of the smaller of X^T X (d x d) and X X^T (n x n), X centred.
 *
 * The matrix is made tridiagonal by Householder's reflections; its two largest eigenvalues come from bisection with Sturm counts, their
 * vectors from inverse iteration (Golub and Van Loan, Matrix Computations, 8.3 and 8.4), and back through the reflections. Each takes
 * O(m^2) or less but the first, 4/3 m^3. All sums run in index order, in double. */
#include "judge/projection.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EPSILON 0x1p-52
#define NOTHING 1e-13 /* a share of the variance below this is what rounding to float leaves of none */

/* A symmetric matrix on its way to two eigenvectors. */
typedef struct symmetric {
    const double *rows; /* [count][m]: the matrix is the sum of their outer products */
    int count, m;
    double *a;                 /* [m][m]; then row k holds reflection k right of the diagonal */
    double *diagonal, *beside; /* [m] of the tridiagonal matrix; beside[k] joins k and k + 1 */
    double *scale;             /* [m] 2 / |v|^2 of reflection k, 0 for none */
    double *vectors;           /* [2][m] */
    double *work;              /* [3][m] */
} symmetric;

static void fill_row(void *context, int i, int thread)
{
    const symmetric *s = context;
    double *row = s->a + (size_t)i * (size_t)s->m;
    (void)thread;
    for (int k = 0; k < s->count; k++) {
        const double *r = s->rows + (size_t)k * (size_t)s->m;
        for (int j = 0; j <= i; j++)
            row[j] += r[i] * r[j];
    }
    for (int j = 0; j < i; j++)
        s->a[(size_t)j * (size_t)s->m + (size_t)i] = row[j];
}

/* Step k: v mirrors the row right of the diagonal onto its first element; A -= v w^T + w v^T with p = scale A v, w = p - scale/2 (p v) v. */
static void reflect(symmetric *s, int k)
{
    int left = s->m - k - 1;
    double *v = s->a + (size_t)k * (size_t)s->m + k + 1, *w = s->work, norm = 0, dot = 0;
    for (int i = 0; i < left; i++)
        norm += v[i] * v[i];
    norm = sqrt(norm);
    s->beside[k] = v[0] > 0 ? -norm : norm;
    v[0] -= s->beside[k];
    double square = 2 * norm * fabs(v[0]);
    s->scale[k] = square > 0 ? 2 / square : 0;
    memset(w, 0, (size_t)left * sizeof *w);
    for (int i = 0; i < left; i++) {
        const double *row = s->a + (size_t)(k + 1 + i) * (size_t)s->m + k + 1;
        for (int j = 0; j < left; j++)
            w[j] += s->scale[k] * v[i] * row[j];
    }
    for (int i = 0; i < left; i++)
        dot += w[i] * v[i];
    for (int i = 0; i < left; i++)
        w[i] -= s->scale[k] / 2 * dot * v[i];
    for (int i = 0; i < left; i++) {
        double *row = s->a + (size_t)(k + 1 + i) * (size_t)s->m + k + 1;
        for (int j = 0; j < left; j++)
            row[j] -= v[i] * w[j] + w[i] * v[j];
    }
}

static void make_tridiagonal(symmetric *s)
{
    for (int k = 0; k < s->m; k++) {
        s->diagonal[k] = s->a[(size_t)k * (size_t)s->m + (size_t)k];
        if (k < s->m - 1)
            reflect(s, k);
    }
}

/* How many eigenvalues are above x. */
static int count_above(const symmetric *s, double x)
{
    int above = 0;
    double q = 1, smallest = 0x1p-1000;
    for (int i = 0; i < s->m; i++) {
        double e = i ? s->beside[i - 1] : 0;
        q = s->diagonal[i] - x - e * e / q;
        if (fabs(q) < smallest)
            q = -smallest;
        above += q > 0;
    }
    return above;
}

/* The eigenvalue that `rank` others are above, none of which is beyond +-bound. */
static double eigenvalue(const symmetric *s, int rank, double bound)
{
    double low = -bound, high = bound;
    for (int halving = 0; halving < 60; halving++) {
        double middle = (low + high) / 2;
        if (count_above(s, middle) > rank)
            low = middle;
        else
            high = middle;
    }
    return high;
}

/* Solves (T - lambda) x = x in place, by elimination with exchange of neighbouring rows; a pivot of 0 becomes `tiny`. */
static void solve(const symmetric *s, double lambda, double tiny, double *x)
{
    double *u0 = s->work, *u1 = u0 + s->m, *u2 = u1 + s->m; /* the upper triangle: diagonal and two beside it */
    double d = s->diagonal[0] - lambda, e = s->m > 1 ? s->beside[0] : 0;
    for (int i = 0; i < s->m - 1; i++) {
        double below = s->beside[i], next = s->diagonal[i + 1] - lambda, after = i + 2 < s->m ? s->beside[i + 1] : 0;
        if (fabs(below) > fabs(d)) {
            double f = d / below, t = x[i];
            u0[i] = below, u1[i] = next, u2[i] = after;
            x[i] = x[i + 1];
            x[i + 1] = t - f * x[i];
            d = e - f * next;
            e = -f * after;
        } else {
            double pivot = d == 0 ? tiny : d, f = below / pivot;
            u0[i] = pivot, u1[i] = e, u2[i] = 0;
            x[i + 1] -= f * x[i];
            d = next - f * e;
            e = after;
        }
    }
    u0[s->m - 1] = fabs(d) < tiny ? tiny : d;
    for (int i = s->m - 1; i >= 0; i--) {
        double t = x[i];
        t -= i + 1 < s->m ? u1[i] * x[i + 1] : 0;
        t -= i + 2 < s->m ? u2[i] * x[i + 2] : 0;
        x[i] = t / (fabs(u0[i]) < tiny ? tiny : u0[i]);
    }
}

static double dot(const double *a, const double *b, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Eigenvector of T, at a right angle to the first one if it is the second. The start is nobody's eigenvector. */
static void eigenvector(const symmetric *s, int which, double lambda, double bound)
{
    double *x = s->vectors + (size_t)which * (size_t)s->m;
    for (int i = 0; i < s->m; i++)
        x[i] = 1 + (i * 37 + which * 11) % 101 / 101.0;
    for (int round = 0; round < 4; round++) {
        solve(s, lambda, EPSILON * bound, x);
        double largest = 0;
        for (int i = 0; i < s->m; i++)
            largest = fabs(x[i]) > largest ? fabs(x[i]) : largest;
        for (int i = 0; i < s->m; i++)
            x[i] /= largest;
        double along = which ? dot(x, s->vectors, s->m) : 0;
        for (int i = 0; which && i < s->m; i++)
            x[i] -= along * s->vectors[i];
        double length = sqrt(dot(x, x, s->m));
        for (int i = 0; i < s->m; i++)
            x[i] /= length;
    }
}

static void reflect_back(const symmetric *s, double *x)
{
    for (int k = s->m - 2; k >= 0; k--) {
        const double *v = s->a + (size_t)k * (size_t)s->m + k + 1;
        double along = s->scale[k] * dot(v, x + k + 1, s->m - k - 1);
        for (int i = 0; i < s->m - k - 1; i++)
            x[k + 1 + i] -= along * v[i];
    }
}

/* The eigenvectors of the two largest eigenvalues into s->vectors, and the share of the trace that each has; 0, and no vector, without any. */
static void largest_two(symmetric *s, rn_pool *pool, double share[2])
{
    double trace = 0, bound = 0;
    rn_pool_run(pool, s->m, fill_row, s);
    for (int i = 0; i < s->m; i++)
        trace += s->a[(size_t)i * (size_t)s->m + (size_t)i];
    share[0] = share[1] = 0;
    if (trace <= 0)
        return;
    make_tridiagonal(s);
    for (int i = 0; i < s->m; i++) {
        double reach = fabs(s->diagonal[i]) + (i ? fabs(s->beside[i - 1]) : 0) + fabs(s->beside[i]);
        bound = reach > bound ? reach : bound;
    }
    double lambda[2] = {0};
    for (int c = 0; c < 2 && c < s->m; c++) {
        lambda[c] = eigenvalue(s, c, bound);
        if (lambda[c] / trace < NOTHING)
            return;
        share[c] = lambda[c] / trace;
        eigenvector(s, c, lambda[c], bound);
    }
}

/* Coordinates along one component. A value of the centred data is at item * item_step + column * column_step; `loading` [d] is work. */
static void project(const symmetric *s, int which, int n, int d, double *loading, double *plane)
{
    double *u = s->vectors + (size_t)which * (size_t)s->m, length, largest = 0;
    size_t item_step = s->m == d ? (size_t)d : 1, column_step = s->m == d ? 1 : (size_t)n;
    reflect_back(s, u);
    for (int k = 0; k < d; k++)
        loading[k] = s->m == d ? u[k] : dot(s->rows + (size_t)k * (size_t)n, u, n);
    length = sqrt(dot(loading, loading, d));
    for (int k = 0; k < d; k++)
        largest = fabs(loading[k]) > fabs(largest) ? loading[k] : largest;
    for (int i = 0; i < n; i++) {
        double sum = 0;
        for (int k = 0; k < d; k++)
            sum += s->rows[(size_t)i * item_step + (size_t)k * column_step] * loading[k];
        plane[2 * i + which] = sum / (largest < 0 ? -length : length);
    }
}

/* Centred data, as rows of m: items if d <= n, columns otherwise. */
static void centre(const float *x, int n, int d, double *rows)
{
    size_t item_step = d <= n ? (size_t)d : 1, column_step = d <= n ? 1 : (size_t)n;
    for (int k = 0; k < d; k++) {
        double sum = 0;
        for (int i = 0; i < n; i++)
            sum += x[(size_t)i * (size_t)d + (size_t)k];
        for (int i = 0; i < n; i++)
            rows[(size_t)i * item_step + (size_t)k * column_step] = x[(size_t)i * (size_t)d + (size_t)k] - sum / n;
    }
}

int rn_pca(const float *x, int n, int d, rn_pool *pool, double *plane, double share[2], rn_error *err)
{
    share[0] = share[1] = 0;
    if (n < 0 || d < 1)
        return rn_error_set(err, RN_ERR_ARG, "%d embeddings of %d values cannot be laid into the plane: give at least one value each", n,
                            d);
    for (size_t k = 0; k < (size_t)n * (size_t)d; k++)
        if (!isfinite(x[k]))
            return rn_error_set(err, RN_ERR_NUMBER, "embedding %lld has a value that is not a number: leave it out",
                                (long long)(k / (size_t)d));
    if (n == 0)
        return 0;
    int m = n < d ? n : d, status = 0;
    size_t room = (size_t)m + 1;
    double *rows = calloc((size_t)n * (size_t)d + 1, sizeof *rows), *loading = calloc((size_t)d, sizeof *loading);
    symmetric s = {.rows = rows, .count = n < d ? d : n, .m = m, .a = calloc(room * room, sizeof(double))};
    double *lines = calloc(room * 8, sizeof *lines);
    if (!rows || !loading || !s.a || !lines) {
        status = rn_error_memory(err, "principal components",
                                 ((unsigned long long)n * (unsigned long long)d + (unsigned long long)room * room) * sizeof(double));
        goto fail;
    }
    s.diagonal = lines;
    s.beside = lines + room;
    s.scale = lines + 2 * room;
    s.vectors = lines + 3 * room;
    s.work = lines + 5 * room;
    memset(plane, 0, 2 * (size_t)n * sizeof *plane);
    centre(x, n, d, rows);
    largest_two(&s, pool, share);
    for (int c = 0; c < 2; c++)
        if (share[c] > 0)
            project(&s, c, n, d, loading, plane);
fail:
    free(rows);
    free(loading);
    free(s.a);
    free(lines);
    return status;
}
