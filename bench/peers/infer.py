"""Times inference by other engines, each measurement in a process of its own, and checks their logits against PyTorch's.

    /tmp/peers/venv/bin/python bench/peers/infer.py --nets spec18,net18 --engines ncnn,onnxruntime --threads 2
    resnet bench spec18 --batch 8 --threads 2 --json                 ours, in the same quiet minute; compare.py runs both in turn
"""
import argparse
import json
import os
import sys

import numpy as np

from common import NETWORKS, chosen, folder, listed, network, report, script, timed
from engines import ENGINES

NAMES = list(ENGINES)
AGREE = {"float32": 1e-3, "bfloat16": 0.1, "float16": 0.02}  # largest difference of a logit, as a share of the largest logit


def measure(net, engine, batch, threads, seconds):
    """The result of a child, or {"error": ...}. Files that are missing are written first, outside the measurement."""
    path = os.path.join(folder(net), ENGINES[engine][1])
    if not os.path.exists(path):
        made = script("model.py", net.name, os.path.basename(path), threads=threads)
        if "error" in made:
            return made
    return script("infer.py", "--one", engine, path, batch, threads, seconds, threads=threads)


def one(engine, path, batch, threads, seconds):
    """In the child: open, check, time."""
    here = os.path.dirname(path)
    x, want = (np.ascontiguousarray(np.load(os.path.join(here, name))[:batch]) for name in ("x.npy", "logits.npy"))
    if len(x) < batch:
        raise SystemExit(f"batch {batch}: {len(x)} inputs are stored")
    run, about = ENGINES[engine][0](path, threads, x)
    difference = float(np.abs(np.asarray(run()) - want).max() / np.abs(want).max())
    if not difference <= AGREE[about["precision"]]:
        raise SystemExit(f"logits differ from PyTorch's by {difference:.2g} of the largest")
    print(json.dumps({**timed(run, seconds), **about, "difference": float(f"{difference:.2g}")}), flush=True)
    os._exit(0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", default=",".join(n.name for n in NETWORKS.values() if n.infer),
                        help="names, with another input as spec18@1x32x40")
    parser.add_argument("--engines", default="", help=", ".join(NAMES) + " (all)")
    parser.add_argument("--batches", default="", help="instead of the two of the table, up to 16")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3, help="for each measurement, after loading and warming up (3)")
    a = parser.parse_args()
    for net in (network(name) for name in listed(a.nets)):
        for batch in [int(b) for b in listed(a.batches)] or net.infer or (1,):
            for engine in chosen(a.engines, NAMES, "engines"):
                report("inference", net, batch, engine, a.threads, measure(net, engine, batch, a.threads, a.seconds))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), float(sys.argv[6]))
    else:
        main()
