/* Curves, average precision, intervals, calibration and suspects against scikit-learn, statsmodels, SciPy and cleanlab, to 1e-9, and by
 * hand where a case is degenerate.
 *
 * scripts/golden/judge_golden.py wrote tests/golden/judge_*.txt and documents their format. */
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
#include "base/maths.h"
#include "judge/calibration.h"
#include "judge/curves.h"
#include "judge/evaluate.h"
#include "judge/suspects.h"

#define MOST 4000

static void close_to(double got, double want, double tolerance, const char *what, int at)
{
    if (got == want || (isnan(got) && isnan(want)))
        return;
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%s %d: got %.17g, want %.17g", what, at, got, want);
}

static FILE *golden(const char *name)
{
    char path[400];
    snprintf(path, sizeof path, "%s/golden/%s", RN_TEST_DIR, name);
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("no %s", path);
    return file;
}

static double read_number(FILE *file)
{
    double value;
    assert_int_equal(fscanf(file, "%lf", &value), 1);
    return value;
}

static void read_numbers(FILE *file, int n, double *values)
{
    assert_true(n >= 0 && n <= MOST);
    for (int i = 0; i < n; i++)
        values[i] = read_number(file);
}

static void read_floats(FILE *file, int n, float *values)
{
    assert_true(n >= 0 && n <= MOST);
    for (int i = 0; i < n; i++)
        values[i] = (float)read_number(file);
}

static void read_ints(FILE *file, int n, int *values)
{
    assert_true(n >= 0 && n <= MOST);
    for (int i = 0; i < n; i++)
        values[i] = (int)read_number(file);
}

static void compare(FILE *file, const double *got, int n, const char *what)
{
    for (int i = 0; i < n; i++)
        close_to(got[i], read_number(file), 1e-9, what, i);
}

/* ---- Curves ---- */

static void compare_curve(FILE *file, int n, int points)
{
    static double score[MOST], recall[MOST];
    static unsigned char positive[MOST];
    rn_curve *c;
    read_numbers(file, n, score);
    for (int i = 0; i < n; i++)
        positive[i] = (unsigned char)read_number(file);
    assert_int_equal(rn_curve_compute(score, positive, n, &c, NULL), 0);
    assert_int_equal(c->items, n);
    if (points) {
        assert_int_equal(c->points, points);
        compare(file, c->threshold, points, "threshold");
        compare(file, c->false_positive_rate, points, "false positive rate");
        compare(file, c->true_positive_rate, points, "true positive rate");
        compare(file, c->precision, points, "precision");
        read_numbers(file, points, recall); /* scikit-learn has 1 here where its true positive rate is NaN */
        for (int k = 0; k < points; k++)
            close_to(c->positives || !k ? c->true_positive_rate[k] : 1, c->positives ? recall[k] : k ? 1 : NAN, 1e-9, "recall", k);
    }
    close_to(c->roc_area, read_number(file), 1e-9, "area under the ROC curve", n);
    close_to(c->average_precision, read_number(file), 1e-9, "average precision", n);
    rn_curve_close(&c);
    assert_null(c);
}

/* Catches ties counted one by one (areas then depend on the order of items), a first point that is missing, trapezoids in average
 * precision, and an interval that leaves 0..1. */
static void curves_equal_scikit_learn(void **state)
{
    (void)state;
    FILE *file = golden("judge_curves.txt");
    char kind[20];
    int a, b, curves = 0, intervals = 0;
    while (fscanf(file, "%19s %d %d", kind, &a, &b) == 3) {
        if (!strcmp(kind, "curve")) {
            compare_curve(file, a, b);
            curves++;
        } else {
            double ends[2];
            rn_wilson(a, b, &ends[0], &ends[1]);
            compare(file, ends, 2, "Wilson");
            intervals++;
        }
    }
    fclose(file);
    assert_true(curves > 70 && intervals > 25);
}

/* No items, scores that are NaN or infinite, a negative count: an answer that is defined, or a sentence. */
static void awkward_curves(void **state)
{
    (void)state;
    rn_curve *c;
    rn_error err = {0};
    assert_int_equal(rn_curve_compute(NULL, NULL, 0, &c, NULL), 0);
    assert_int_equal(c->points, 1);
    assert_true(isnan(c->roc_area) && c->average_precision == 0 && isinf(c->threshold[0]) && c->precision[0] == 1);
    rn_curve_close(&c);
    assert_int_equal(rn_curve_compute((const double[]){NAN, NAN}, (const unsigned char[]){1, 0}, 2, &c, NULL), 0);
    assert_true(c->items == 0 && c->positives == 0 && c->left_out == 2 && c->points == 1 && isnan(c->roc_area));
    rn_curve_close(&c);
    const double score[] = {INFINITY, NAN, -INFINITY, 0.5, INFINITY};
    assert_int_equal(rn_curve_compute(score, (const unsigned char[]){1, 1, 0, 1, 0}, 5, &c, NULL), 0);
    assert_true(c->items == 4 && c->positives == 2 && c->left_out == 1 && c->points == 4);
    close_to(c->roc_area, 0.625, 1e-15, "area", 0); /* (1 right, 1 half; 1 right, 0 wrong) of four pairs: 2.5 / 4 */
    close_to(c->average_precision, (0.5 + 2.0 / 3) / 2, 1e-15, "precision", 0);
    rn_curve_close(&c);
    rn_curve_close(&c);
    assert_int_equal(rn_curve_compute(score, NULL, -1, &c, &err), RN_ERR_ARG);
    assert_true(err.text[0] && !c);
}

/* Scores in another order: every figure has the same bits. A million items of one score: the count of pairs does not overflow. */
static void order_and_size(void **state)
{
    (void)state;
    enum { N = 500, MANY = 1000000 };
    double score[2][N];
    unsigned char positive[2][N], *many = calloc(MANY, 1);
    double *same = calloc(MANY, sizeof *same);
    rn_random r;
    rn_curve *a, *b;
    rn_random_start(&r, 3, RN_PURPOSE_TEST, 0, 0);
    for (int i = 0; i < N; i++) {
        score[0][i] = score[1][N - 1 - i] = (double)rn_random_below(&r, 90) / 90;
        positive[0][i] = positive[1][N - 1 - i] = (unsigned char)rn_random_below(&r, 2);
    }
    assert_int_equal(rn_curve_compute(score[0], positive[0], N, &a, NULL), 0);
    assert_int_equal(rn_curve_compute(score[1], positive[1], N, &b, NULL), 0);
    assert_int_equal(a->points, b->points);
    assert_memory_equal(a->precision, b->precision, (size_t)a->points * sizeof(double));
    assert_true(a->roc_area == b->roc_area && a->average_precision == b->average_precision);
    rn_curve_close(&a);
    rn_curve_close(&b);
    assert_non_null(many);
    assert_non_null(same);
    memset(many, 1, MANY / 2);
    assert_int_equal(rn_curve_compute(same, many, MANY, &a, NULL), 0);
    assert_true(a->points == 2 && a->roc_area == 0.5 && a->average_precision == 0.5);
    rn_curve_close(&a);
    free(many);
    free(same);
}

/* ---- Calibration ---- */

static void compare_bins(FILE *file, int items, int classes)
{
    static int label[MOST];
    static float p[MOST];
    static double accuracy[RN_RELIABILITY_BINS], confidence[RN_RELIABILITY_BINS];
    rn_reliability r;
    int filled, at = 0, all = 0;
    read_ints(file, items, label);
    read_floats(file, items * classes, p);
    rn_reliability_measure(p, label, items, classes, &r);
    for (int b = 0; b < RN_RELIABILITY_BINS; b++) {
        all += r.count[b];
        if (!r.count[b]) {
            assert_true(r.accuracy[b] == 0 && r.confidence[b] == 0 && r.correct[b] == 0);
            continue;
        }
        accuracy[at] = r.accuracy[b];
        confidence[at++] = r.confidence[b];
    }
    assert_int_equal(all, items);
    assert_int_equal(fscanf(file, "%d", &filled), 1);
    assert_int_equal(at, filled);
    compare(file, accuracy, filled, "accuracy of a bin");
    compare(file, confidence, filled, "confidence of a bin");
    compare(file, &r.ece, 1, "calibration error");
}

static void compare_temperature(FILE *file, int items, int classes)
{
    static int first[MOST], label[MOST];
    static float logits[MOST], p[MOST];
    double t, before, after, want;
    read_ints(file, items + 1, first);
    read_ints(file, items, label);
    read_floats(file, first[items] * classes, logits);
    assert_int_equal(rn_temperature_fit(logits, first, label, items, classes, &t, &before, &after, NULL), 0);
    want = read_number(file);
    close_to(t, want, 1e-6 * want, "temperature", items);
    close_to(before, read_number(file), 1e-9, "loss before", items);
    close_to(after, read_number(file), 1e-9, "loss after", items);
    assert_int_equal(rn_temperature_apply(logits, first, items, classes, t, p, NULL), 0);
    for (int i = 0; i < items * classes; i++)
        close_to(p[i], read_number(file), 1e-6, "probability", i);
}

/* Catches bins of another width, windows averaged before the softmax, and a search that stays at the nearest point of its grid. */
static void calibration_equals_golden(void **state)
{
    (void)state;
    FILE *file = golden("judge_calibration.txt");
    char kind[20];
    int items, classes, bins = 0, temperatures = 0;
    while (fscanf(file, "%19s %d %d", kind, &items, &classes) == 3)
        if (!strcmp(kind, "bins")) {
            compare_bins(file, items, classes);
            bins++;
        } else {
            compare_temperature(file, items, classes);
            temperatures++;
        }
    fclose(file);
    assert_true(bins >= 7 && temperatures >= 7);
}

/* The ends of the interval, and where every temperature is as good as another. */
static void temperature_at_its_bounds(void **state)
{
    (void)state;
    const int first[] = {0, 1, 2}, right[] = {0, 1}, wrong[] = {1, 0};
    const float sure[] = {10, 0, 0, 10}, very_sure[] = {400, 0, 0, 400}, equal[] = {3, 3, 3, 3};
    double t, before, after;
    assert_int_equal(rn_temperature_fit(sure, first, right, 2, 2, &t, &before, &after, NULL), 0);
    assert_true(t == RN_TEMPERATURE_LEAST && after <= before && after >= 0);
    assert_int_equal(rn_temperature_fit(sure, first, wrong, 2, 2, &t, &before, &after, NULL), 0);
    assert_true(t == RN_TEMPERATURE_MOST && after < before);
    close_to(before, 10 + log1p(exp(-10)), 1e-12, "loss of what is wrong", 0);
    assert_int_equal(rn_temperature_fit(very_sure, first, wrong, 2, 2, &t, &before, &after, NULL), 0);
    close_to(before, 400, 1e-12, "loss of what is very wrong", 0); /* in probabilities it would be limited to 708 */
    assert_int_equal(rn_temperature_fit(very_sure, first, right, 2, 2, &t, &before, &after, NULL), 0);
    assert_true(t == 1 && before == 0 && after == 0);
    assert_int_equal(rn_temperature_fit(equal, first, right, 2, 2, &t, &before, &after, NULL), 0);
    assert_true(t == 1 && before == after);
    close_to(before, log(2), 1e-15, "loss of a guess", 0);
    assert_int_equal(rn_temperature_fit(sure, first, (const int[]){0, 0}, 2, 1, &t, &before, &after, NULL), 0);
    assert_true(t == 1 && before == 0);
    assert_int_equal(rn_temperature_fit(sure, first, right, 0, 2, &t, &before, &after, NULL), 0);
    assert_true(t == 1 && before == 0 && after == 0);
}

static void temperature_refuses(void **state)
{
    (void)state;
    const float logits[] = {1, 2, 3, NAN};
    const int empty[] = {0, 1, 1};
    double t, before, after;
    float p[4];
    rn_error err = {0};
    assert_int_equal(rn_temperature_fit(logits, (const int[]){0, 1, 2}, (const int[]){0, 1}, 2, 2, &t, &before, &after, &err),
                     RN_ERR_NUMBER);
    assert_non_null(strstr(err.text, "item 1"));
    assert_int_equal(rn_temperature_fit(logits, empty, (const int[]){0, 1}, 2, 2, &t, &before, &after, &err), RN_ERR_ARG);
    assert_int_equal(rn_temperature_fit(logits, empty, (const int[]){2, 1}, 1, 2, &t, &before, &after, &err), RN_ERR_ARG);
    assert_int_equal(rn_temperature_apply(logits, empty, 2, 2, 1, p, &err), RN_ERR_ARG);
}

/* Where windows of an item disagree the loss can have two valleys, and the deeper one counts. These two sets, found by trying many, have theirs
 * at T = 0.057 and 3.763, and at 0.094 and 9.166: a search that only walks downhill, from whichever end, misses one of them. Checked against
 * a grid of 6,000. */
static void two_valleys(void **state)
{
    (void)state;
    const int first[2][4] = {{0, 3, 6, 6}, {0, 2, 5, 7}}, label[3] = {0}, items[2] = {2, 3};
    const float ahead[2][7] = {{4, -0.1f, 3, -2.9f, -1.3f, 0.2f}, {-6.9f, 20.1f, -2.7f, -0.2f, 0.6f, 0.3f, 0.2f}};
    const double bottom[2] = {3.763, 0.0939};
    for (int set = 0; set < 2; set++) {
        double t, before, after, least = INFINITY;
        float logits[14] = {0};
        for (int w = 0; w < 7; w++)
            logits[2 * w] = ahead[set][w];
        assert_int_equal(rn_temperature_fit(logits, first[set], label, items[set], 2, &t, &before, &after, NULL), 0);
        close_to(t, bottom[set], 0.01 * bottom[set], "bottom of the deeper valley", set);
        for (double log_t = log(0.05); log_t <= log(20); log_t += 1e-3) {
            double loss = 0;
            for (int i = 0; i < items[set]; i++) {
                double p = 0;
                for (int w = first[set][i]; w < first[set][i + 1]; w++)
                    p += 1 / (1 + exp(-(double)ahead[set][w] / exp(log_t)));
                loss -= log(p / (first[set][i + 1] - first[set][i])) / items[set];
            }
            least = loss < least ? loss : least;
        }
        assert_true(after <= least + 1e-12 && after > least - 1e-6 && after <= before);
    }
}

/* At 1 the probabilities are those of the metrics, to the bit; without items nothing is touched. */
static void temperature_one(void **state)
{
    (void)state;
    const float logits[] = {0.1f, 2, -1, 5, 4.75f, 0};
    float p[3], want[3];
    assert_int_equal(rn_temperature_apply(logits, (const int[]){0, 1}, 1, 3, 1, p, NULL), 0);
    rn_softmax(logits, 3, 1, want, NULL);
    assert_memory_equal(p, want, sizeof want);
    double sum[3] = {0};
    rn_softmax(logits, 3, 1, NULL, sum);
    rn_softmax(logits + 3, 3, 1, NULL, sum);
    assert_int_equal(rn_temperature_apply(logits, (const int[]){0, 2}, 1, 3, 1, p, NULL), 0);
    for (int c = 0; c < 3; c++)
        assert_true(p[c] == (float)(sum[c] / 2));
    assert_int_equal(rn_temperature_apply(logits, (const int[]){0}, 0, 3, 1, p, NULL), 0);
}

/* ---- Suspects ---- */

/* Catches a threshold of another class, suspects in order of items, and items whose label is the likeliest class after all. */
static void suspects_equal_cleanlab(void **state)
{
    (void)state;
    static int label[MOST];
    static float p[MOST];
    FILE *file = golden("judge_suspects.txt");
    int items, classes, cases = 0, wanted, count;
    for (; fscanf(file, " suspects %d %d", &items, &classes) == 2; cases++) {
        rn_suspect *suspects;
        read_ints(file, items, label);
        read_floats(file, items * classes, p);
        assert_int_equal(rn_suspects_find(p, label, items, classes, &suspects, &count, NULL), 0);
        assert_int_equal(fscanf(file, "%d", &wanted), 1);
        assert_int_equal(count, wanted);
        for (int k = 0; k < count; k++)
            assert_int_equal(suspects[k].index, (int)read_number(file));
        for (int k = 0; k < count; k++) {
            const rn_suspect *s = &suspects[k];
            close_to((s->margin + 1) / 2, read_number(file), 1e-9, "normalised margin", k);
            assert_true(s->label == label[s->index] && s->likely != s->label);
            assert_true(s->self_confidence == (double)p[s->index * classes + s->label]);
        }
        free(suspects);
    }
    fclose(file);
    assert_true(cases >= 8);
}

/* A class without items, no items, one class, NaN, a label outside. */
static void awkward_suspects(void **state)
{
    (void)state;
    rn_suspect *s;
    rn_error err = {0};
    int count;
    /* Thresholds: class 0 (0.9 + 0.1 + 0.8) / 3 = 0.6, class 1 0.7, class 2 none. Item 1 is at home in class 1; item 4 in class 2, which
     * nobody knows; item 5 is no number. */
    const float p[] = {0.9f, 0.1f, 0, 0.1f, 0.9f, 0, 0.8f, 0.1f, 0.1f, 0.1f, 0.8f, 0.1f, 0, 0.6f, 0.4f, NAN, NAN, NAN};
    assert_int_equal(rn_suspects_find(p, (const int[]){0, 0, 0, 1, 1, 0}, 6, 3, &s, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_true(s[0].index == 1 && s[0].label == 0 && s[0].likely == 1 && s[0].self_confidence == (double)0.1f);
    free(s);
    /* Class 1's threshold is 0.8, which item 2 misses by less than rounding may, and item 6 by far; class 2's is 0, which 0 does not reach. */
    const float q[] = {0.95f, 0.05f, 0, 0.95f, 0.05f, 0, 0.2f, 0.7999995f, 0, 0.2f, 0.8f, 0, 0.2f, 0.8f, 0, 0.5f, 0.5f, 0, 0.3f, 0.7f, 0};
    assert_int_equal(rn_suspects_find(q, (const int[]){0, 0, 0, 1, 1, 2, 0}, 7, 3, &s, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_true(s[0].index == 2 && s[0].likely == 1);
    free(s);
    assert_int_equal(rn_suspects_find(NULL, NULL, 0, 3, &s, &count, NULL), 0);
    assert_true(!s && count == 0);
    assert_int_equal(rn_suspects_find((const float[]){1, 1}, (const int[]){0, 0}, 2, 1, &s, &count, NULL), 0);
    assert_true(!s && count == 0);
    assert_int_equal(rn_suspects_find(p, (const int[]){0, 3}, 2, 3, &s, &count, &err), RN_ERR_ARG);
    assert_true(!s && strstr(err.text, "item 1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(curves_equal_scikit_learn),
        cmocka_unit_test(awkward_curves),
        cmocka_unit_test(order_and_size),
        cmocka_unit_test(calibration_equals_golden),
        cmocka_unit_test(temperature_at_its_bounds),
        cmocka_unit_test(temperature_refuses),
        cmocka_unit_test(two_valleys),
        cmocka_unit_test(temperature_one),
        cmocka_unit_test(suspects_equal_cleanlab),
        cmocka_unit_test(awkward_suspects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
