"""Times the way from the start of a process to the first prediction of net18 on disk: ours and the other engines in turn.

    /tmp/peers/venv/bin/python bench/peers/start.py --resnet build/release/resnet

A process reads a model file and one input from .npy, predicts, writes the logits to .npy, and ends: `resnet run` for ours, engines.py for
the others. The files are in the page cache, since a first round is not counted. `python` does all that but predict: it is what the
interpreter and NumPy take, which a program in C++ around ncnn, ONNX Runtime or OpenVINO would not pay.
rss_mib is the process's largest.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

from common import HERE, chosen, folder, network, report, script
from engines import ENGINES

OURS, NOTHING = "resnet", "python"
NAMES = [OURS, NOTHING, "torch", "torch-jit", "onnxruntime", "openvino", "ncnn"]


def prepared(net, name):
    """The path of a network's file, written if need be; a text that says why there is none raises."""
    path = os.path.join(folder(net), name)
    if not os.path.exists(path):
        made = script("model.py", net.name, name, threads=1)
        if "error" in made:
            raise RuntimeError(made["error"])
    return path


def command(name, program, net, threads, logits):
    x = os.path.join(folder(net), "first.npy")
    if name == OURS:
        return [program, "run", prepared(net, "net.safetensors"), x, "--logits", logits, "--threads", str(threads)]
    if name == NOTHING:
        prepared(net, "weights.pt")
        return [sys.executable, "-c", "import sys, numpy as n; n.save(sys.argv[2], n.load(sys.argv[1]))", x, logits]
    return [sys.executable, os.path.join(HERE, "engines.py"), name, prepared(net, ENGINES[name][1]), str(threads), x, logits]


def once(line, threads):
    """Seconds, and the largest resident size in MiB."""
    before = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        complaint = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        taken = time.perf_counter() - before
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError((complaint.decode(errors="replace").strip().splitlines() or ["no output"])[-1][:300])
    return taken, used.ru_maxrss / 1024


def check(net, name, logits):
    if name == NOTHING:
        return
    want = np.load(os.path.join(folder(net), "logits.npy"))[:1]
    if np.abs(np.load(logits) - want).max() > 0.1 * np.abs(want).max():
        raise RuntimeError("logits differ from PyTorch's")


def measure(net, name, a, logits):
    """One process, or {"error": ...}."""
    try:
        taken, size = once(command(name, a.resnet, net, a.threads, logits), a.threads)
        check(net, name, logits)
    except (RuntimeError, OSError) as why:
        return {"error": str(why)}
    return {"ms": 1000 * taken, "mib": size}


def summary(rows):
    failed = [row for row in rows if "error" in row]
    if failed:
        return failed[0]
    times = [row["ms"] for row in rows]
    return {"median_ms": round(statistics.median(times), 1), "min_ms": round(min(times), 1), "max_ms": round(max(times), 1),
            "runs": len(times), "rss_mib": round(max(row["mib"] for row in rows), 1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resnet", required=True, metavar="PROGRAM")
    parser.add_argument("--net", default="net18", help="(net18)")
    parser.add_argument("--engines", default="", help=", ".join(NAMES) + " (all)")
    parser.add_argument("--runs", type=int, default=7, help="(7)")
    parser.add_argument("--threads", type=int, default=2, help="(2)")
    a = parser.parse_args()
    net, names = network(a.net), chosen(a.engines, NAMES, "engines")
    with tempfile.TemporaryDirectory() as work:
        logits = os.path.join(work, "logits.npy")
        rows = {name: [measure(net, name, a, logits)] for name in names}
        usable = [name for name in names if "error" not in rows[name][0]]
        for name in usable:
            rows[name].clear()
        for _ in range(a.runs):
            for name in usable:
                rows[name].append(measure(net, name, a, logits))
    for name in names:
        report("first prediction", net, 1, name, a.threads, summary(rows[name]))


if __name__ == "__main__":
    main()
