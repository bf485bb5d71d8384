"""What the scripts here share: the networks, timing, and one JSON line per measurement."""
import argparse
import json
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts", "golden"))
from torch_golden import Net  # noqa: E402  the same definition as the golden files'


def arguments(description, **defaults):
    """Options of a network and a measurement; keywords add or change defaults."""
    values = {"net": "resnet18", "width": 64, "input": "1x64x200", "classes": 9, "embedding": 256, "pool": "4x1", "stem": "3x3", "shortcut": "B",
              "batch": 16, "threads": 2, "runs": 15, "warmup": 3, **defaults}
    parser = argparse.ArgumentParser(description=description)
    for name, value in values.items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(value), default=value, help=f"({value})")
    return parser.parse_args()


def network(a):
    channels, *_ = (int(n) for n in a.input.split("x"))
    return Net({"arch": a.net, "width": a.width, "in_channels": channels, "classes": a.classes, "embedding": a.embedding, "shortcut": a.shortcut,
                "pool": tuple(int(n) for n in a.pool.split("x")), "stem": a.stem})


def shape(a):
    return (a.batch, *(int(n) for n in a.input.split("x")))


def timed(run, runs, warmup):
    """Seconds of each run, after warm-up."""
    for _ in range(warmup):
        run()
    taken = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return taken


def report(peer, what, a, taken, **more):
    """One line on standard output. `load` is what else wanted the processors: a figure with load above the threads used is worth little."""
    print(json.dumps({"peer": peer, "what": what, "net": a.net, "width": a.width, "input": a.input, "batch": a.batch, "threads": a.threads,
                      "median_ms": round(1000 * statistics.median(taken), 3), "min_ms": round(1000 * min(taken), 3), "runs": len(taken),
                      "load": round(os.getloadavg()[0], 2), **more}), flush=True)
