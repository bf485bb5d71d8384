#!/usr/bin/env python3
"""Reads a run's TensorBoard events with TensorBoard's own reader and compares them with log.jsonl. For developers: needs the package `tensorboard`.

    bench/peers/setup && /tmp/peers/venv/bin/python tests/peers/events.py RUN

Catches: a record with a wrong checksum (the reader stops there in silence, so the numbers at the end would be missing), a tag or a step that is
written otherwise than the log says, steps twice after --resume.
"""
import glob
import json
import math
import os
import struct
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

# kind of line in the log -> tags of its numbers
TAGS = {"step": {"loss": "train/loss", "gradient_norm": "train/gradient_norm", "lr": "train/lr"},
        "epoch": {"loss": "epoch/loss", "accuracy": "epoch/accuracy", "validation_loss": "validation/loss", "validation_accuracy": "validation/accuracy",
                  "validation_macro": "validation/macro_accuracy"},
        "test": {"accuracy": "test/accuracy", "macro_accuracy": "test/macro_accuracy"}}


def single(value):
    """As fp32, which is what an event holds."""
    return struct.unpack("<f", struct.pack("<f", value))[0]


def main():
    run = sys.argv[1]
    files = glob.glob(os.path.join(run, "events.out.tfevents.*"))
    assert len(files) == 1, f"{run}: {len(files)} event files"
    reader = EventAccumulator(run, size_guidance={"scalars": 0})
    reader.Reload()
    have = {tag: [(e.step, e.value) for e in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}
    want = {}
    with open(os.path.join(run, "log.jsonl"), encoding="utf-8") as f:
        for line in map(json.loads, f):
            for key, tag in TAGS.get(line["kind"], {}).items():
                if isinstance(line.get(key), (int, float)):
                    want.setdefault(tag, []).append((line.get("step"), single(line[key])))
    assert want.get("train/loss") and want.get("epoch/loss"), f"{run}/log.jsonl has no steps or no epochs"
    wrong = 0
    for tag, values in want.items():
        found = have.get(tag, [])
        same = len(found) == len(values) and all((step is None or step == s) and (v == value or (math.isnan(v) and math.isnan(value)))
                                                 for (step, value), (s, v) in zip(values, found))
        if not same:
            wrong += 1
            print(f"{tag}: the log has {values[:3]} ... ({len(values)}), TensorBoard reads {found[:3]} ... ({len(found)})")
        steps = [s for s, _ in found]
        if steps != sorted(set(steps)):
            wrong += 1
            print(f"{tag}: steps are not rising: {steps[:10]} ...")
    print(f"{len(want)} tags, {sum(len(v) for v in want.values())} values, {wrong} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
