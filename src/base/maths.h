/* Functions whose every bit is defined: built from + - * /, fma, sqrt and floor in double, so that they give the same
 * result with every compiler, libc and processor. No libm function besides sqrt, fma, floor and fabs is called anywhere
 * in the library. Errors are below 2 units in the last place of double over the usual range (tests/check_base). */
#ifndef RN_BASE_MATHS_H
#define RN_BASE_MATHS_H

double rn_exp(double x);            /* 0 below -745.2, inf above 709.8, NaN for NaN */
double rn_log(double x);            /* -inf at 0, NaN below */
double rn_log10(double x);
double rn_pow(double x, double y);  /* x >= 0 */
double rn_sigmoid(double x);        /* 1 / (1 + exp(-x)) */
double rn_sin(double x);            /* |x| up to 2^20 */
double rn_cos(double x);

/* exp((z_c - max z) / temperature) / the sum of these, in double, classes in order. probability [classes] receives it rounded once, sum [classes]
 * has it added; either may be NULL. */
void rn_softmax(const float *logits, int classes, double temperature, float *probability, double *sum);
/* The same shape for classes that do not exclude each other: 1 / (1 + exp(-z_c / temperature)), computed as e / (1 + e) below 0, with e =
 * exp(-|z_c| / temperature). */
void rn_sigmoids(const float *logits, int classes, double temperature, float *probability, double *sum);

#endif
