"""Our program and the other engines, round by round in one run: JSON lines, then a table with the ratio of ours to the best fp32 engine.

    /tmp/peers/venv/bin/python bench/peers/compare.py --resnet build/release/resnet
    /tmp/peers/venv/bin/python bench/peers/compare.py --resnet build/release/resnet --what training --nets spec18w16,cifar20

A measurement is a process of its own with --seconds to time in (after loading, compiling, warming up; at least three runs, ours at
least five). The first round measures every engine; later rounds leave out those that took more than 1.3 times as long as the best of
their precision, which could not become the best. The figure is the median over the rounds of each round's median.
A cell of the table is milliseconds, with the precision where it is not fp32; "-" is an engine that gave no result, as its JSON line says.
"""
import argparse
import math
import os
import shutil
import statistics
import sys

import infer
import train_step
from common import NETWORKS, child, chosen, listed, network, report

OURS, HOPELESS = "resnet", 1.3
ENGINES = {"inference": infer.NAMES, "training": list(train_step.MODES)}
MEASURE = {"inference": infer.measure, "training": train_step.measure}


def ours(a, what, net, batch):
    more = ["--train", "--ghost-batch", str(batch)] if what == "training" else []
    found = child([a.resnet, "bench", *net.options, "--batch", str(batch), "--threads", str(a.threads), "--seconds", str(a.seconds),
                   "--json", *more], a.threads)
    keep = ("error", "median_ms", "min_ms", "runs", "isa", "gflops", "peak_gflops", "peak_share", "rss_before_mib", "rss_mib", "plan_bytes", "others")
    return {**{k: found[k] for k in keep if k in found}, "precision": "float32"}


def candidates(results):
    """The engines worth another round."""
    best = {}
    for found in results.values():
        if "error" not in found[0]:
            best[found[0]["precision"]] = min(found[0]["median_ms"], best.get(found[0]["precision"], math.inf))
    return [name for name, found in results.items()
            if name == OURS or ("error" not in found[0] and found[0]["median_ms"] <= HOPELESS * best[found[0]["precision"]])]


def summary(rounds):
    """The rounds of one engine as one measurement; the first error counts."""
    for found in rounds:
        if "error" in found:
            return found
    medians = [found["median_ms"] for found in rounds]
    return {**rounds[0], "median_ms": round(statistics.median(medians), 3), "min_ms": round(min(found["min_ms"] for found in rounds), 3),
            "runs": sum(found["runs"] for found in rounds), "rounds_ms": [round(m, 3) for m in medians],
            "others": max(found["others"] for found in rounds)}


def row(a, what, net, batch):
    """All engines on one network and batch: {name: summary}."""
    def one(name):
        print(f"{what}, {net.name}, batch {batch}: {name}", file=sys.stderr, flush=True)
        return ours(a, what, net, batch) if name == OURS else MEASURE[what](net, name, batch, a.threads, a.seconds)
    results = {name: [one(name)] for name in [OURS, *a.engines[what]]}
    for _ in range(a.rounds - 1):
        for name in candidates(results):
            results[name].append(one(name))
    summaries = {name: summary(rounds) for name, rounds in results.items()}
    for name, found in summaries.items():
        report(what, net, batch, name, a.threads, found)
    return summaries


def best(found, fp32):
    """The fastest of the others, fp32 or not: (milliseconds, name), or None."""
    times = [(f["median_ms"], name) for name, f in found.items()
             if name != OURS and "error" not in f and (f["precision"] == "float32") == fp32]
    return min(times, default=None)


def cell(found):
    if "error" in found:
        return "-"
    mark = {"float32": "", "bfloat16": " bf16", "float16": " fp16"}[found["precision"]]
    return f"{found['median_ms']:.{1 if found['median_ms'] < 100 else 0}f}{mark}"


def ratio(found, fp32):
    peer = best(found, fp32)
    return None if peer is None or "error" in found[OURS] else found[OURS]["median_ms"] / peer[0]


def table(what, rows, threads):
    """Markdown."""
    names = list(next(iter(rows.values())))
    lowered = any(best(found, False) for found in rows.values())
    head = [f"{what}, ms", *names, *(["ours / best of lower precision"] if lowered else []), "ours / best fp32"]
    lines = [f"\nThreads: {threads}.\n", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    ratios = []
    for (net, batch), found in rows.items():
        low, full = ratio(found, False), ratio(found, True)
        cells = [f"{net} b{batch}", *(cell(found[name]) for name in names)] + ([f"{low:.2f}" if low else "-"] if lowered else [])
        lines.append("| " + " | ".join([*cells, f"{full:.2f} ({best(found, True)[1]})" if full else "-"]) + " |")
        ratios += [full] if full else []
    if ratios:
        lines.append(f"\nGeometric mean of ours / best fp32, rows: {len(ratios)}: {statistics.geometric_mean(ratios):.3f}")
    return "\n".join(lines)


def memory(rows):
    """What training adds to a process that has the network: the largest resident size, minus the one before."""
    lines = []
    for (net, batch), found in rows.items():
        added = {name: f["rss_mib"] - f["rss_before_mib"] for name, f in found.items() if "error" not in f and f["precision"] == "float32"}
        peers = [mib for name, mib in added.items() if name != OURS]
        if peers and OURS in added:
            lines.append(f"| {net} b{batch} | {added[OURS]:.0f} | {min(peers):.0f} | {added[OURS] / min(peers):.2f} |")
    head = ["\n\n| training adds, MiB | ours | PyTorch, least of fp32 | ratio |", "|---|---|---|---|"]
    return "\n".join(head + lines) if lines else ""


def work(a, what):
    """The networks and batches to measure."""
    for net in [network(name) for name in listed(a.nets)] or NETWORKS.values():
        for batch in net.infer if what == "inference" else (net.train,):
            if batch:
                yield net, batch


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resnet", required=True, metavar="PROGRAM")
    parser.add_argument("--what", default="inference,training", help="(both)")
    parser.add_argument("--nets", default="", help="names, with another input as spec18@1x32x40 (all that are measured so)")
    parser.add_argument("--engines", default="", help="only these peers; for inference: " + ", ".join(infer.NAMES) + "; for training: " +
                        ", ".join(train_step.MODES) + " (all)")
    parser.add_argument("--threads", type=int, default=2, help="(2)")
    parser.add_argument("--rounds", type=int, default=3, help="(3)")
    parser.add_argument("--seconds", type=float, default=3, help="to time in, for each measurement (3)")
    a = parser.parse_args()
    if not shutil.which(a.resnet):
        parser.error(f"--resnet {a.resnet}: no program there")
    a.resnet = os.path.abspath(shutil.which(a.resnet))
    kinds = chosen(a.what, ENGINES, "kinds of work")
    known = [name for kind in kinds for name in ENGINES[kind]]
    asked = chosen(a.engines, known, "engines")
    a.engines = {kind: [name for name in ENGINES[kind] if name in asked] for kind in kinds}
    tables = []
    for what in (kind for kind in kinds if a.engines[kind]):
        rows = {(net.name, batch): row(a, what, net, batch) for net, batch in work(a, what)}
        if rows:
            tables.append(table(what, rows, a.threads) + (memory(rows) if what == "training" else ""))
    print("\n".join(tables))


if __name__ == "__main__":
    main()
