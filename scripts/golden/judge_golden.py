#!/usr/bin/env python3
"""Writes tests/golden/judge_*.txt: what scikit-learn, SciPy, statsmodels and cleanlab answer to small and to awkward questions.

For developers; no test runs it, tests/check_curves.c and tests/check_projection.c read what it wrote. Needs numpy, scipy, scikit-learn,
statsmodels and cleanlab:

    python3 scripts/golden/judge_golden.py tests/golden

A file is a list of records: a word that names the kind, sizes, then numbers.

    judge_curves.txt       curve N POINTS  score[N] positive[N]  threshold[POINTS] fpr[POINTS] tpr[POINTS] precision[POINTS] recall[POINTS]
                           roc_area average_precision           (POINTS 0: the areas only)
                           wilson CORRECT ITEMS low high
    judge_calibration.txt  bins ITEMS CLASSES  label[ITEMS] probability[ITEMS][CLASSES]  FILLED accuracy[FILLED] confidence[FILLED] ece
                           temperature ITEMS CLASSES  first[ITEMS + 1] label[ITEMS] logits[windows][CLASSES]  T loss_before loss_after
                           probability[ITEMS][CLASSES] at T
    judge_suspects.txt     suspects ITEMS CLASSES  label[ITEMS] probability[ITEMS][CLASSES]  COUNT index[COUNT] normalised_margin[COUNT]
    judge_projection.txt   pca N D  x[N][D]  plane[N][2] share[2]
                           tsne N D  x[N][D]  divergence trustworthiness

Inputs are rounded to a few decimals, then to float where the library takes floats, so that both sides read the same numbers.
"""
import sys
import warnings

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn import metrics
from sklearn.calibration import calibration_curve
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness
from statsmodels.stats.proportion import proportion_confint

warnings.filterwarnings("ignore")  # degenerate cases are what we ask for
rng = np.random.default_rng(20)


def line(out, values):
    out.write(" ".join(f"{v:.17g}" for v in np.ravel(values)) + "\n")


def short(values, digits):
    """Rounded to decimals; in files as short as they are."""
    return np.round(values, digits)


def short_line(out, values, digits):
    out.write(" ".join(f"{v + 0.0:.{digits + 1}f}".rstrip("0").rstrip(".") for v in np.ravel(values)) + "\n")


# ---- Curves and intervals ------------------------------------------------------------------------------------------

def curve(out, score, positive, points=True):
    fpr, tpr, threshold = metrics.roc_curve(positive, score, drop_intermediate=False, pos_label=1)
    precision, recall, _ = metrics.precision_recall_curve(positive, score, pos_label=1)
    out.write(f"curve {len(score)} {len(threshold) if points else 0}\n")
    short_line(out, score, 6)
    line(out, positive)
    if points:
        for values in (threshold, fpr, tpr, precision[::-1], recall[::-1]):
            line(out, values)
    line(out, [metrics.roc_auc_score(positive, score), metrics.average_precision_score(positive, score, pos_label=1)])


def curves(path):
    with open(path, "w", encoding="ascii") as out:
        for n in (1, 2, 3, 5, 8, 13, 24):
            for digits in (0, 1, 6):  # mostly ties, some, none
                score = short(rng.random(n), digits)
                curve(out, score, rng.integers(0, 2, n))
                curve(out, score, (rng.random(n) < score).astype(int))
            curve(out, short(rng.normal(size=n), 2), np.zeros(n, int))  # no positive
            curve(out, short(rng.normal(size=n), 2), np.ones(n, int))  # no negative
            curve(out, np.full(n, 0.5), rng.integers(0, 2, n))  # equal scores
            curve(out, np.arange(n) / 8, (np.arange(n) >= n // 2).astype(int))  # told apart without a mistake
            curve(out, np.arange(n) / 8, (np.arange(n) < n // 2).astype(int))  # the wrong way round
        for digits in (1, 2, 5):
            score = short(rng.random(600), digits)
            curve(out, score, (rng.random(600) < score ** 3).astype(int), points=False)
        for items in (1, 2, 3, 10, 57, 1000, 2_000_000):
            for correct in sorted({0, 1, items // 3, items // 2, items - 1, items}):
                low, high = proportion_confint(correct, items, method="wilson")
                out.write(f"wilson {correct} {items} ")
                line(out, [low, high])


# ---- Calibration ---------------------------------------------------------------------------------------------------

def bins(out, label, probability):
    """calibration_curve of the answers; the expected calibration error is its definition over the same bins."""
    answer, confidence = probability.argmax(1), probability.max(1)
    right = (answer == label).astype(int)
    accuracy, mean = calibration_curve(right, confidence, n_bins=15)
    count = np.histogram(confidence, np.linspace(0, 1, 16) + 1e-12)[0]
    ece = (np.abs(accuracy - mean) * count[count > 0]).sum() / len(label)
    out.write(f"bins {len(label)} {probability.shape[1]}\n")
    line(out, label)
    short_line(out, probability, 5)
    out.write(f"{len(accuracy)} ")
    line(out, [*accuracy, *mean, ece])


def rows(n, classes, sharpness, digits=5):
    """Probabilities as the C side reads them: floats of short decimals."""
    p = softmax(sharpness * rng.normal(size=(n, classes)), 1)
    return short(p, digits).astype(np.float32).astype(np.float64)


def temperature(out, items, classes, most_windows, sharpness, truth):
    windows = rng.integers(1, most_windows + 1, items)
    first = np.concatenate([[0], np.cumsum(windows)])
    label = np.concatenate([np.arange(classes), rng.integers(0, classes, items - classes)])  # log_loss wants to see all
    logits = rng.normal(size=(first[-1], classes))
    for i in range(items):
        logits[first[i]:first[i + 1], label[i]] += truth
    logits = short(sharpness * logits, 3).astype(np.float32).astype(np.float64)

    def probability(log_t):
        p = softmax(logits / np.exp(log_t), 1)
        return np.add.reduceat(p, first[:-1]) / windows[:, None]

    def loss(log_t):
        return metrics.log_loss(label, probability(log_t), labels=range(classes))
    grid = np.linspace(np.log(0.05), np.log(20), 400)
    at = grid[np.argmin([loss(g) for g in grid])]
    best = minimize_scalar(loss, bounds=(max(at - 0.02, grid[0]), min(at + 0.02, grid[-1])), method="bounded", options={"xatol": 1e-11}).x
    best = min(best, grid[0], grid[-1], key=loss)
    out.write(f"temperature {items} {classes}\n")
    line(out, first)
    line(out, label)
    short_line(out, logits, 3)
    line(out, [np.exp(best), loss(0), loss(best)])
    short_line(out, probability(best), 8)


def calibration(path):
    with open(path, "w", encoding="ascii") as out:
        for n, classes, sharpness in ((1, 2, 1), (2, 3, 9), (40, 1, 1), (60, 2, 2), (60, 5, 1), (90, 9, 3)):
            p = rows(n, classes, sharpness)
            label = np.where(rng.random(n) < 0.6, p.argmax(1), rng.integers(0, classes, n))
            bins(out, label, p)
        edges = short(np.stack([np.arange(8, 16) / 15, 1 - np.arange(8, 16) / 15], 1), 5)
        bins(out, np.array([0, 1] * 4), edges.astype(np.float32).astype(np.float64))
        for items, classes, most, sharpness, truth in ((30, 2, 1, 3, 1), (50, 5, 1, 0.4, 2), (60, 9, 1, 4, 1.5), (40, 3, 1, 1, 0.3),
                                                       (30, 3, 4, 3, 1), (40, 4, 3, 0.3, 2), (40, 4, 3, 0.3, 1), (25, 2, 5, 6, 1)):
            temperature(out, items, classes, most, sharpness, truth)


# ---- Suspects ------------------------------------------------------------------------------------------------------

def suspects(path):
    """cleanlab's order of equal scores is its sort's; here they are in the order of items."""
    with open(path, "w", encoding="ascii") as out:
        for items, classes, sharpness, wrong, missing in ((40, 2, 1.5, 0.2, 0), (60, 3, 1, 0.3, 0), (80, 4, 2, 0.2, 0), (70, 6, 1, 0.5, 0),
                                                          (60, 5, 2, 0.3, 2), (50, 3, 0.2, 0.3, 0), (30, 3, 8, 0.3, 0), (60, 4, 1, 1, 1)):
            p = rows(items, classes, sharpness, 3 if classes == 6 else 5)
            label = np.where(rng.random(items) < wrong, rng.integers(0, classes, items), p.argmax(1)) % (classes - missing)
            found = find_label_issues(label, p, filter_by="confident_learning", return_indices_ranked_by="self_confidence", n_jobs=1)
            margin = get_label_quality_scores(label, p, method="normalized_margin")
            found = sorted(found, key=lambda i: (p[i, label[i]], i))
            out.write(f"suspects {items} {classes}\n")
            line(out, label)
            short_line(out, p, 5)
            out.write(f"{len(found)} ")
            line(out, [*found, *margin[found]])


# ---- Projections ---------------------------------------------------------------------------------------------------

def pca(out, x, digits):
    pca = PCA(2, svd_solver="full").fit(x)
    out.write(f"pca {x.shape[0]} {x.shape[1]}\n")
    short_line(out, x, digits)
    line(out, pca.transform(x))
    line(out, pca.explained_variance_ratio_)


def tsne(out, x, digits):
    """The median of nine runs whose starts differ by 1e-6: small sets end in one of several minima, by chance."""
    n, results = len(x), []
    start = PCA(2).fit_transform(x)
    start *= 1e-4 / np.std(start[:, 0])
    for _ in range(9):
        map_ = TSNE(2, method="exact", init=start * (1 + 1e-6 * rng.normal(size=start.shape)), perplexity=min(30, (n - 1) / 3))
        y = map_.fit_transform(x)
        results.append((map_.kl_divergence_, trustworthiness(x, y, n_neighbors=5)))
    print("tsne", n, "divergence", np.sort([r[0] for r in results]).round(4))
    out.write(f"tsne {n} {x.shape[1]}\n")
    short_line(out, x, digits)
    line(out, np.median(results, 0))


def floats(x, digits):
    return short(x, digits).astype(np.float32).astype(np.float64)


def projection(path):
    digits = load_digits().data[:300]
    with open(path, "w", encoding="ascii") as out:
        for n, d in ((3, 2), (4, 9), (12, 30), (30, 12), (25, 25), (40, 3)):
            pca(out, floats(rng.normal(size=(n, d)) * np.linspace(3, 1, d) + 5, 3), 3)
        pca(out, floats(digits, 0)[:60], 0)  # 64 columns, some of them constant
        eight = floats(PCA(8).fit_transform(digits), 1)
        for n in (300, 150, 40):
            tsne(out, eight[:n], 1)


if __name__ == "__main__":
    curves(sys.argv[1] + "/judge_curves.txt")
    calibration(sys.argv[1] + "/judge_calibration.txt")
    suspects(sys.argv[1] + "/judge_suspects.txt")
    projection(sys.argv[1] + "/judge_projection.txt")
