#!/usr/bin/env python3
"""Writes tests/golden/several.txt: what PyTorch, scikit-learn and SciPy answer where items have several labels.

For developers; no test runs it, tests/check_several.c reads what it wrote. Needs numpy, scipy, scikit-learn, torch:

    scripts/golden/several_golden.py > tests/golden/several.txt

Records, a word, sizes, then numbers:

    loss N CLASSES SMOOTHING   target[N][CLASSES] weight[CLASSES] logit[N][CLASSES]   loss gradient[N][CLASSES]
    judge N CLASSES            truth[N][CLASSES] probability[N][CLASSES] threshold[CLASSES]
                               mean_ap micro_ap macro_roc micro_f1 macro_f1 exact   ap[CLASSES] roc[CLASSES]
    temperature N CLASSES      first[N + 1] truth[N][CLASSES] logit[windows][CLASSES]   T loss_before loss_after
"""
import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import expit
from sklearn import metrics

rng = np.random.default_rng(41)


def put(*arrays):
    for a in arrays:
        print(" ".join(f"{v:.17g}" for v in np.ravel(np.asarray(a, float))))


def loss(n, classes, smoothing, mixed, weighted):
    target = (rng.random((n, classes)) < 0.3).astype(float)
    if mixed:
        target = 0.25 * target + 0.75 * target[::-1]
    weight = np.round(rng.random(classes) * 4 + 0.25, 3) if weighted else np.ones(classes)
    logit = np.float32(np.round(rng.normal(size=(n, classes)) * 3, 4))
    z = torch.tensor(logit, dtype=torch.float64, requires_grad=True)
    t = torch.tensor(target * (1 - smoothing) + smoothing / 2)
    value = torch.nn.functional.binary_cross_entropy_with_logits(z, t, pos_weight=torch.tensor(weight))
    value.backward()
    print("loss", n, classes, smoothing)
    put(target, weight, logit, value.item(), z.grad.numpy())


def judge(n, classes, decimals):
    truth = (rng.random((n, classes)) < 0.3).astype(int)
    truth[0], truth[1] = 1, 0  # every class is there and is not
    probability = np.float32(np.round(expit(rng.normal(size=(n, classes)) + 1.5 * truth - 1), decimals))
    threshold = np.round(rng.random(classes) * 0.6 + 0.2, 3)
    p = probability.astype(float)
    yes = (p >= threshold).astype(int)
    print("judge", n, classes)
    put(truth, probability, threshold)
    put([metrics.average_precision_score(truth, p, average="macro"), metrics.average_precision_score(truth, p, average="micro"),
         metrics.roc_auc_score(truth, p, average="macro"), metrics.f1_score(truth, yes, average="micro", zero_division=0),
         metrics.f1_score(truth, yes, average="macro", zero_division=0), metrics.accuracy_score(truth, yes)])
    put(metrics.average_precision_score(truth, p, average=None), metrics.roc_auc_score(truth, p, average=None))


def temperature(n, classes, windows, scale):
    counts = rng.integers(1, windows + 1, n)
    first = np.concatenate([[0], np.cumsum(counts)])
    truth = (rng.random((n, classes)) < 0.4).astype(int)
    logit = np.float32(np.round(scale * (rng.normal(size=(first[-1], classes)) + 2 * np.repeat(truth, counts, 0) - 1), 4))

    def mean_loss(log_t):
        z = logit.astype(float) / np.exp(log_t)
        right = [np.where(truth[i], expit(z[first[i]:first[i + 1]]).mean(0), expit(-z[first[i]:first[i + 1]]).mean(0)) for i in range(n)]
        return -np.log(right).mean()

    best = minimize_scalar(mean_loss, bounds=(np.log(0.05), np.log(20)), method="bounded", options={"xatol": 1e-12})
    print("temperature", n, classes)
    put(first, truth, logit, [np.exp(best.x), mean_loss(0), best.fun])


for case in [(5, 4, 0, False, False), (6, 3, 0.1, False, True), (4, 5, 0.2, True, True), (3, 1, 0, True, False)]:
    loss(*case)
for case in [(12, 3, 2), (60, 7, 1), (200, 2, 5), (30, 5, 3)]:
    judge(*case)
for case in [(40, 3, 1, 3), (25, 2, 4, 2), (30, 4, 1, 0.4)]:
    temperature(*case)
