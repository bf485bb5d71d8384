/* Principal components against scikit-learn to 1e-9, t-SNE against its divergence and trustworthiness, and both where there is little or
 * nothing to project.
 *
 * scripts/golden/judge_golden.py wrote tests/golden/judge_projection.txt and documents its format. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "judge/projection.h"

#define MOST 5000
#define NEIGHBOURS 5

static void close_to(double got, double want, double tolerance, const char *what, int at)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%s %d: got %.17g, want %.17g", what, at, got, want);
}

static double read_number(FILE *file)
{
    double value;
    assert_int_equal(fscanf(file, "%lf", &value), 1);
    return value;
}

static double square(double a)
{
    return a * a;
}

static int closer(const double *distance, int i, int than)
{
    return distance[i] < distance[than] || (distance[i] == distance[than] && i < than);
}

/* Venna and Kaski 2001: 1 less a weighted count of the map's neighbours that are not neighbours in x. */
static double trustworthiness(const float *x, int n, int d, const double *plane)
{
    double *high = calloc((size_t)n, sizeof *high), *low = calloc((size_t)n, sizeof *low), penalty = 0;
    assert_true(high && low);
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
            low[j] = square(plane[2 * i] - plane[2 * j]) + square(plane[2 * i + 1] - plane[2 * j + 1]);
            high[j] = 0;
            for (int k = 0; k < d; k++)
                high[j] += square((double)x[i * d + k] - x[j * d + k]);
        }
        for (int j = 0; j < n; j++) {
            int near = 0, rank = 1;
            for (int k = 0; j != i && k < n; k++) {
                near += k != i && k != j && closer(low, k, j);
                rank += k != i && k != j && closer(high, k, j);
            }
            if (j != i && near < NEIGHBOURS && rank > NEIGHBOURS)
                penalty += rank - NEIGHBOURS;
        }
    }
    free(high);
    free(low);
    return 1 - penalty * 2 / ((double)n * NEIGHBOURS * (2 * n - 3 * NEIGHBOURS - 1));
}

static void compare_pca(FILE *file, const float *x, int n, int d)
{
    static double plane[MOST], want[MOST];
    double share[2], largest = 0;
    assert_int_equal(rn_pca(x, n, d, NULL, plane, share, NULL), 0);
    for (int k = 0; k < 2 * n; k++) {
        want[k] = read_number(file);
        largest = fabs(want[k]) > largest ? fabs(want[k]) : largest;
    }
    for (int k = 0; k < 2 * n; k++)
        close_to(plane[k], want[k], 1e-9 * largest, "coordinate", k);
    for (int c = 0; c < 2; c++)
        close_to(share[c], read_number(file), 1e-9, "share", c);
}

static void compare_tsne(FILE *file, const float *x, int n, int d)
{
    static double plane[MOST];
    double divergence;
    assert_int_equal(rn_tsne(x, n, d, NULL, NULL, NULL, plane, &divergence, NULL), 0);
    double want = read_number(file), trust = read_number(file), have = trustworthiness(x, n, d, plane);
    print_message("%d items: divergence %.4f (scikit-learn %.4f), trustworthiness %.4f (%.4f)\n", n, divergence, want, have, trust);
    assert_true(divergence <= 1.05 * want && divergence > 0);
    assert_true(have >= trust - 0.01);
}

/* Catches a sign by another rule, variance in other units, the transposed matrix where there are more values than items, and a t-SNE that
 * exaggerates for ever or pushes items from themselves. */
static void projections_equal_scikit_learn(void **state)
{
    (void)state;
    static float x[MOST];
    FILE *file = fopen(RN_TEST_DIR "/golden/judge_projection.txt", "r");
    char kind[20];
    int n, d, cases = 0;
    assert_non_null(file);
    for (; fscanf(file, "%19s %d %d", kind, &n, &d) == 3; cases++) {
        assert_true(n * d <= MOST);
        for (int k = 0; k < n * d; k++)
            x[k] = (float)read_number(file);
        if (!strcmp(kind, "pca"))
            compare_pca(file, x, n, d);
        else
            compare_tsne(file, x, n, d);
    }
    fclose(file);
    assert_int_equal(cases, 10);
}

static float *draw(int n, int d, uint64_t seed)
{
    float *x = malloc((size_t)n * (size_t)d * sizeof *x);
    rn_random r;
    assert_non_null(x);
    rn_random_start(&r, seed, RN_PURPOSE_TEST, 0, 0);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < d; k++)
            x[i * d + k] = (float)(rn_random_normal(&r) + (k == i % 5 ? 6 : 0));
    return x;
}

/* Sums in the order in which threads arrive, or work shared by two of them: other bits. */
static void same_bits_for_any_threads(void **state)
{
    (void)state;
    enum { N = 203, D = 21 };
    float *x = draw(N, D, 1);
    static double plane[4][2 * N], share[4][2];
    double divergence[4];
    for (int t = 0; t < 4; t++) {
        rn_pool *pool = NULL;
        if (t)
            assert_int_equal(rn_pool_open(&pool, t + (t == 3), NULL), 0);
        assert_int_equal(rn_tsne(x, N, D, pool, NULL, NULL, plane[t], &divergence[t], NULL), 0);
        assert_memory_equal(plane[t], plane[0], sizeof plane[0]);
        assert_memory_equal(&divergence[t], &divergence[0], sizeof(double));
        rn_pool_close(&pool);
    }
    for (int t = 0; t < 4; t++) {
        rn_pool *pool = NULL;
        if (t)
            assert_int_equal(rn_pool_open(&pool, t + (t == 3), NULL), 0);
        assert_int_equal(rn_pca(x, N, D, pool, plane[t], share[t], NULL), 0);
        assert_memory_equal(plane[t], plane[0], sizeof plane[0]);
        assert_memory_equal(share[t], share[0], sizeof share[0]);
        rn_pool_close(&pool);
    }
    free(x);
}

static void all_finite(const double *plane, int n)
{
    for (int k = 0; k < 2 * n; k++)
        assert_true(isfinite(plane[k]));
}

/* Nothing, one item, two, three, items that are equal, on a line, of one value, in pairs: figures that are defined. */
static void little_to_project(void **state)
{
    (void)state;
    static float x[60 * 4];
    static double plane[120], divergence, share[2];
    const float few[] = {0, 0, 3, 4, 0, 0, 0, 1};
    assert_int_equal(rn_pca(NULL, 0, 3, NULL, NULL, share, NULL), 0);
    assert_int_equal(rn_tsne(NULL, 0, 3, NULL, NULL, NULL, NULL, &divergence, NULL), 0);
    assert_true(share[0] == 0 && share[1] == 0 && divergence == 0);
    assert_int_equal(rn_tsne(few, 1, 2, NULL, NULL, NULL, plane, &divergence, NULL), 0);
    assert_true(plane[0] == 0 && plane[1] == 0 && divergence == 0);
    assert_int_equal(rn_tsne(few, 2, 2, NULL, NULL, NULL, plane, &divergence, NULL), 0);
    close_to(plane[0], -2.5, 1e-12, "first of two", 0);
    close_to(plane[2], 2.5, 1e-12, "second of two", 0);
    assert_true(plane[1] == 0 && plane[3] == 0 && divergence == 0);
    assert_int_equal(rn_pca(few, 2, 2, NULL, plane, share, NULL), 0);
    close_to(share[0], 1, 1e-12, "share", 0);
    assert_true(share[1] == 0);
    assert_int_equal(rn_tsne(few, 3, 2, NULL, NULL, NULL, plane, &divergence, NULL), 0);
    assert_true(plane[0] == plane[4] && plane[1] == plane[5]);
    assert_int_equal(rn_tsne(few, 4, 2, NULL, NULL, NULL, plane, &divergence, NULL), 0);
    all_finite(plane, 4);
    for (int n = 4; n <= 60; n += 28) { /* all equal, then all equal but one, then in pairs */
        for (int k = 0; k < 4 * n; k++)
            x[k] = 0.1f;
        assert_int_equal(rn_tsne(x, n, 4, NULL, NULL, NULL, plane, &divergence, NULL), 0);
        for (int k = 0; k < 2 * n; k++)
            assert_true(plane[k] == 0);
        assert_true(divergence == 0);
        x[4] = 7;
        assert_int_equal(rn_tsne(x, n, 4, NULL, NULL, NULL, plane, &divergence, NULL), 0);
        all_finite(plane, n);
        for (int k = 0; k < 4 * n; k++)
            x[k] = (float)(k / 8 * 7919 % 31 + k % 4);
        assert_int_equal(rn_tsne(x, n, 4, NULL, NULL, NULL, plane, &divergence, NULL), 0);
        all_finite(plane, n);
        assert_true(isfinite(divergence));
    }
    for (int i = 0; i < 50; i++)
        x[i] = (float)(i * i);
    assert_int_equal(rn_tsne(x, 50, 1, NULL, NULL, NULL, plane, &divergence, NULL), 0);
    for (int i = 0; i < 50; i++)
        assert_true(plane[2 * i + 1] == 0);
    all_finite(plane, 50);
}

/* Values near the ends of what a float holds: squares do not overflow, widths are found. The map is that of the same data in usual units. */
static void any_unit(void **state)
{
    (void)state;
    enum { N = 40, D = 6 };
    float *x = draw(N, D, 2), scaled[N * D];
    static double plane[2][2 * N];
    double divergence[2], share[2][2];
    assert_int_equal(rn_tsne(x, N, D, NULL, NULL, NULL, plane[0], &divergence[0], NULL), 0);
    assert_int_equal(rn_pca(x, N, D, NULL, plane[1], share[0], NULL), 0);
    for (int sign = -1; sign <= 1; sign += 2) {
        for (int k = 0; k < N * D; k++)
            scaled[k] = x[k] * (sign < 0 ? 0x1p-110f : 0x1p120f);
        assert_int_equal(rn_tsne(scaled, N, D, NULL, NULL, NULL, plane[1], &divergence[1], NULL), 0);
        close_to(divergence[1], divergence[0], 0.05 * divergence[0], "divergence", sign);
        assert_int_equal(rn_pca(scaled, N, D, NULL, plane[1], share[1], NULL), 0);
        close_to(share[1][0], share[0][0], 1e-9, "share", sign);
        close_to(share[1][1], share[0][1], 1e-9, "share", sign);
    }
    free(x);
}

/* What makes components of two columns of coordinates, for 60 sets of many shapes: centred, uncorrelated, with variances that are their
 * shares, the first not below the second. Items on a slanted line have no second one. */
static void components(void **state)
{
    (void)state;
    static double plane[MOST];
    for (int set = 0; set < 60; set++) {
        int n = 3 + set * 7 % 41, d = 2 + set * 11 % 37;
        float *x = draw(n, d, 100 + (uint64_t)set);
        double share[2], all = 0, sums[2] = {0}, squares[2] = {0}, along = 0;
        for (int k = 0; k < n * d; k++)
            x[k] = set % 3 ? x[k] : (float)(k / d * (k % d + 1));
        assert_int_equal(rn_pca(x, n, d, NULL, plane, share, NULL), 0);
        for (int k = 0; k < d; k++) {
            double sum = 0;
            for (int i = 0; i < n; i++)
                sum += x[i * d + k];
            for (int i = 0; i < n; i++)
                all += square(x[i * d + k] - sum / n);
        }
        for (int i = 0; i < n; i++) {
            for (int c = 0; c < 2; c++) {
                sums[c] += plane[2 * i + c];
                squares[c] += square(plane[2 * i + c]);
            }
            along += plane[2 * i] * plane[2 * i + 1];
        }
        for (int c = 0; c < 2; c++) {
            close_to(squares[c] / all, share[c], 1e-12, "variance of set", set);
            close_to(sums[c], 0, 1e-11 * sqrt(all * n), "mean of set", set);
        }
        close_to(along, 0, 1e-12 * all, "correlation of set", set);
        assert_true(share[0] >= share[1] && share[0] + share[1] <= 1 + 1e-12);
        for (int i = 0; set % 3 == 0 && i < n; i++)
            assert_true(share[1] == 0 && plane[2 * i + 1] == 0);
        free(x);
    }
}

/* Two components of one variance: any pair at a right angle will do, but both must be there. A square, and a cross in 30 dimensions. */
static void equal_variances(void **state)
{
    (void)state;
    enum { D = 30 };
    const float corners[] = {1, 1, 1, -1, -1, 1, -1, -1};
    static float cross[2 * D * D];
    static double plane[4 * D];
    double share[2];
    assert_int_equal(rn_pca(corners, 4, 2, NULL, plane, share, NULL), 0);
    for (int i = 0; i < 4; i++)
        close_to(square(plane[2 * i]) + square(plane[2 * i + 1]), 2, 1e-12, "corner", i);
    for (int k = 0; k < D; k++) {
        cross[2 * k * D + k] = 1;
        cross[(2 * k + 1) * D + k] = -1;
    }
    assert_int_equal(rn_pca(cross, 2 * D, D, NULL, plane, share, NULL), 0);
    double along = 0, one = 0, two = 0;
    for (int i = 0; i < 2 * D; i++) {
        along += plane[2 * i] * plane[2 * i + 1];
        one += square(plane[2 * i]);
        two += square(plane[2 * i + 1]);
    }
    close_to(along, 0, 1e-12, "angle", 0);
    close_to(one, 2, 1e-12, "variance", 0);
    close_to(two, 2, 1e-12, "variance", 1);
    close_to(share[1], 1.0 / D, 1e-12, "share", 1);
}

enum { FEW = 9 };

/* p(j | i) for the perplexity (n - 1) / 3, by halving alone. */
static void neighbours_of(const float *x, int d, int i, double *p)
{
    double low = 0, high = 1e3;
    for (int round = 0; round < 200; round++) {
        double precision = (low + high) / 2, whole = 0, moment = 0;
        for (int j = 0; j < FEW; j++) {
            double far = 0;
            for (int k = 0; k < d; k++)
                far += square((double)x[i * d + k] - x[j * d + k]);
            p[j] = i == j ? 0 : exp(-far * precision);
            whole += p[j];
            moment += p[j] * far;
        }
        for (int j = 0; j < FEW; j++)
            p[j] /= whole;
        if (log(whole) + precision * moment / whole > log((FEW - 1) / 3.0))
            low = precision;
        else
            high = precision;
    }
}

/* The divergence and its gradient, worked out here: the map must lie where pull and push cancel. Catches forces of items that are only
 * padding (seven of sixteen), neighbours of another perplexity, and a divergence that is not the map's. */
static void at_the_bottom(void **state)
{
    (void)state;
    enum { D = 4 };
    float *x = draw(FEW, D, 4);
    double y[2 * FEW], divergence, whole = 0, direct = 0, given[FEW][FEW], q[FEW][FEW];
    assert_int_equal(rn_tsne(x, FEW, D, NULL, NULL, NULL, y, &divergence, NULL), 0);
    for (int i = 0; i < FEW; i++) {
        neighbours_of(x, D, i, given[i]);
        for (int j = 0; j < FEW; j++) {
            q[i][j] = i == j ? 0 : 1 / (1 + square(y[2 * i] - y[2 * j]) + square(y[2 * i + 1] - y[2 * j + 1]));
            whole += q[i][j];
        }
    }
    for (int i = 0; i < FEW; i++)
        for (int c = 0; c < 2; c++) {
            double slope = 0, pull = 0;
            for (int j = 0; j < FEW; j++) {
                double p = (given[i][j] + given[j][i]) / (2 * FEW), ahead = y[2 * i + c] - y[2 * j + c];
                slope += (p - q[i][j] / whole) * q[i][j] * ahead;
                pull += p * q[i][j] * fabs(ahead);
                direct += c || p == 0 || i == j ? 0 : p * log(p * whole / q[i][j]);
            }
            close_to(slope, 0, 0.01 * pull, "slope of item", i);
        }
    close_to(divergence, direct, 1e-4 * direct, "divergence", FEW);
    free(x);
}

static int stop_at(void *context, int64_t done, int64_t total)
{
    assert_int_equal(total, 1000);
    return done == *(int64_t *)context;
}

static void refusals(void **state)
{
    (void)state;
    float *x = draw(30, 4, 3);
    double plane[60], share[2], divergence;
    int64_t last = 17;
    rn_error err = {0};
    assert_int_equal(rn_tsne(x, 30, 4, NULL, stop_at, &last, plane, &divergence, &err), RN_ERR_CANCELLED);
    assert_non_null(strstr(err.text, "17 of 1000"));
    x[4 * 11 + 2] = NAN;
    assert_int_equal(rn_tsne(x, 30, 4, NULL, NULL, NULL, plane, &divergence, &err), RN_ERR_NUMBER);
    assert_non_null(strstr(err.text, "embedding 11"));
    x[4 * 5] = INFINITY;
    assert_int_equal(rn_pca(x, 30, 4, NULL, plane, share, &err), RN_ERR_NUMBER);
    assert_non_null(strstr(err.text, "embedding 5"));
    assert_int_equal(rn_pca(x, 30, 0, NULL, plane, share, &err), RN_ERR_ARG);
    assert_int_equal(rn_pca(x, -1, 4, NULL, plane, share, &err), RN_ERR_ARG);
    assert_int_equal(rn_tsne(x, RN_TSNE_MOST + 1, 4, NULL, NULL, NULL, plane, &divergence, &err), RN_ERR_ARG);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(projections_equal_scikit_learn),
        cmocka_unit_test(same_bits_for_any_threads),
        cmocka_unit_test(little_to_project),
        cmocka_unit_test(any_unit),
        cmocka_unit_test(equal_variances),
        cmocka_unit_test(at_the_bottom),
        cmocka_unit_test(refusals),
        cmocka_unit_test(components),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
