#!/usr/bin/env python3
"""Reads what the program writes with the readers that other people have: safetensors' own, and NumPy. Usage: files.py RUN EMBEDDING.npy

Catches: a header that only our reader accepts, a shape or an order that differs from PyTorch's, a .npy that NumPy reads otherwise.
"""
import json
import os
import sys

import numpy as np
from safetensors import safe_open


def main():
    run, embedding = sys.argv[1:3]
    for name in ("model.safetensors", "last.safetensors"):
        with safe_open(os.path.join(run, name), framework="np") as file:
            config = json.loads(file.metadata()["resnet.config"])
            names = list(file.keys())
            assert {"arithmetic", "arch", "labels", "features"} <= set(config), sorted(config)
            width, classes = config["arch"]["width"], len(config["labels"])
            assert file.get_tensor("conv1.weight").shape == (width, config["arch"]["in_channels"], 3, 3)
            last = "linear" if "linear.weight" in names else "fc"
            assert file.get_tensor(last + ".weight").shape[0] == classes
            assert all(np.isfinite(file.get_tensor(n)).all() for n in names if n.endswith((".weight", ".bias")))
            print(f"{name}: {len(names)} tensors, {classes} classes")
    rows = np.load(embedding)
    with open(embedding[:-4] + ".paths.txt", encoding="utf-8") as f:
        paths = f.read().splitlines()
    assert rows.dtype == np.float32 and rows.ndim == 2 and len(rows) == len(paths), (rows.dtype, rows.shape, len(paths))
    assert np.isfinite(rows).all() and np.abs(rows).max() > 0
    print(f"{embedding}: {rows.shape[0]} embeddings of {rows.shape[1]}")


if __name__ == "__main__":
    main()
