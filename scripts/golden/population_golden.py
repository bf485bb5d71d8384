#!/usr/bin/env python3
"""Writes tests/golden/population.txt: BN statistics as torch.optim.swa_utils.update_bn averages them, in double.

For developers; no test runs it, tests/check_population.c reads what it wrote. Needs PyTorch and NumPy:

    scripts/golden/population_golden.py > tests/golden/population.txt

Weights and inputs are drawn as torch_golden.py says (seed 7). ORDER is in which order the loader gives 24 items with seed 7; the test
compares it. One line a statistic: its name and its values.
"""
import numpy as np
import torch

import torch_golden as golden

ORDER = [0, 12, 2, 15, 16, 17, 8, 1, 11, 9, 19, 10, 23, 7, 22, 20, 4, 18, 5, 3, 21, 13, 14, 6]
BATCH = 8
CASE = {**golden.BASE, **golden.IMAGE, "arch": "resnet20", "width": 8, "shortcut": "B", "in_channels": 1, "n": len(ORDER), "size": (16, 12),
        "seed": 7}


def main():
    torch.set_num_threads(1)
    net = golden.network(CASE, torch.float64)
    x, _ = golden.batch(CASE, torch.float64)
    batches = [x[ORDER[i:i + BATCH]] for i in range(0, len(ORDER), BATCH)]
    torch.optim.swa_utils.update_bn(batches, net)
    print("order " + " ".join(map(str, ORDER)))
    for name, t in golden.tensors(net):
        if "running_" in name:
            print(name + " " + " ".join(f"{v:.9g}" for v in t.numpy()))


if __name__ == "__main__":
    main()
