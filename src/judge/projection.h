/* Embeddings in the plane: principal components (Pearson 1901), and neighbours by t-SNE (van der Maaten and Hinton 2008). */
#ifndef RN_JUDGE_PROJECTION_H
#define RN_JUDGE_PROJECTION_H

#include "base/error.h"
#include "base/threads.h"

/* The first two principal components of x [n][d].
 *
 * plane  [n][2], coordinates along them, centred
 * share  [2], share of the variance that each has; 0 where there is no variance
 *
 * A component's sign makes its largest loading (by magnitude, the first of equals) positive, as scikit-learn's PCA. A component without
 * variance (one item, items that are all equal or on a line, d = 1) has coordinates 0. n = 0 does nothing. Exact (a symmetric eigenvalue
 * problem of the size m = min(n, d), in double): O(n d m + m^3), memory m^2 + 2 n d doubles. The same bits for any number of threads.
 * RN_ERR_NUMBER names the first item with a value that is not finite; RN_ERR_ARG if d < 1 or n < 0; RN_ERR_MEMORY. */
int rn_pca(const float *x, int n, int d, rn_pool *pool, double *plane, double share[2], rn_error *err);

#define RN_TSNE_MOST 5000 /* items: every pair is computed, in every step */

/* A map of x [n][d] in which neighbours stay neighbours: exact t-SNE from PCA's plane, perplexity min(30, (n - 1) / 3), 1,000 steps, of
 * which the first 250 exaggerate 4 times. Distances within a cluster and between clusters mean little; axes mean nothing.
 *
 * plane       [n][2]
 * divergence  Kullback-Leibler, of the map's neighbourhoods from x's; NULL if not wanted
 * progress    steps done, of 1,000; nonzero stops with RN_ERR_CANCELLED. NULL: none
 *
 * Deterministic, the same bits for any number of threads. Up to 3 items lie in a plane as they are: they are answered as rn_pca does, with
 * divergence 0. Items that are all equal stay on one spot, those on a line on a line. O(n^2 (d + 1,000)), memory n^2 floats.
 * Errors as rn_pca, and RN_ERR_ARG above RN_TSNE_MOST items. */
int rn_tsne(const float *x, int n, int d, rn_pool *pool, rn_progress_fn progress, void *context, double *plane, double *divergence,
            rn_error *err);

#endif
