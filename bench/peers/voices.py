"""Trains a finished run's recipe again in PyTorch, on the run's own split, and prints what that gives: is our accuracy what it should be?

    /tmp/peers/venv/bin/python bench/peers/voices.py RUN FOLDER [--seeds 0,1,2] [--epochs N] [--threads 2] [--part test]

RUN     a folder that `resnet train` wrote: config.json (network, features, augmentation, steps) and split.csv (who was in which part)
FOLDER  where the paths of split.csv begin: the data set, or the folder that its manifest is in

One JSON line for every seed. Independent of our code in all that matters: decoding by python-soundfile, Kaldi filter banks by NumPy, network,
loss and optimiser by PyTorch. Augmentation has the same distributions with other random numbers; BN statistics move once for each ghost batch, not
once a step. As `resnet train` does, the epoch with the best macro accuracy on the validation part is kept, and recordings are judged whole.
"""
import argparse
import copy
import csv
import json
import os
import time

import numpy as np
import soundfile
import torch
import torch.nn.functional as F

from model import Net

RAW_GSM = {"format": "RAW", "subtype": "GSM610", "samplerate": 8000, "channels": 1}
PARTS = ("train", "validation", "test")
LONGEST_S = 30  # judged whole up to this
SILENT_PEAK = 0.001  # -60 dB of full scale, RN_SILENT_PEAK


def decode(path, rate, start, end):
    x, have = soundfile.read(path, dtype="float32", always_2d=True, **(RAW_GSM if path.endswith(".gsm") else {}))
    x = x.mean(1)
    x = x[int(round(start * have)):int(round(end * have)) if end else None]
    if have != rate:
        raise SystemExit(f"{path}: {have} Hz, the run has {rate} Hz; this script does not resample")
    return x


class FilterBank:
    """Kaldi's: per frame its mean removed, pre-emphasis, window, power spectrum, triangles linear in mel, natural logarithm."""
    def __init__(self, f):
        if f["convention"] != "kaldi" or f["scale"] != "ln" or f["window"] != "hamming":
            raise SystemExit("this script knows the default features only: kaldi, hamming, ln")
        self.f, rate = f, f["rate"]
        self.length, self.hop = int(rate * f["window_ms"] / 1000), int(rate * f["hop_ms"] / 1000)
        self.fft = 1 << (self.length - 1).bit_length()
        mel = lambda hz: 1127 * np.log(1 + np.asarray(hz) / 700)
        high = f["high_hz"] if f["high_hz"] > 0 else rate / 2 + f["high_hz"]
        edges = np.linspace(mel(f["low_hz"]), mel(high), f["bins"] + 2)[:, None]
        at = mel(np.arange(self.fft // 2) * rate / self.fft)
        rise, fall = (at - edges[:-2]) / (edges[1:-1] - edges[:-2]), (edges[2:] - at) / (edges[2:] - edges[1:-1])
        self.triangles = np.maximum(0, np.minimum(rise, fall)).T.astype(np.float32)
        self.window = (0.54 - 0.46 * np.cos(2 * np.pi * np.arange(self.length) / (self.length - 1))).astype(np.float32)

    def frames(self, seconds):
        return 1 + (int(round(seconds * self.f["rate"])) - self.length) // self.hop

    def __call__(self, x):
        """[bins][frames]"""
        x = np.asarray(x, np.float32) * np.float32(self.f["amplitude"])
        rows = np.lib.stride_tricks.sliding_window_view(x, self.length)[::self.hop]
        rows = rows - rows.mean(1, keepdims=True)
        rows = rows - np.float32(self.f["preemphasis"]) * np.concatenate([rows[:, :1], rows[:, :-1]], 1)
        power = np.abs(np.fft.rfft(rows * self.window, self.fft)[:, :-1]) ** 2
        out = np.log(np.maximum(power.astype(np.float32) @ self.triangles, np.float32(2.0 ** -23)))
        if self.f["normalise"] != "none":
            out -= out.mean(0)
        if self.f["normalise"] == "mean-variance":
            out /= out.std(0) + 1e-8
        return np.ascontiguousarray(out.T)


def tile(x, frames, first=0):
    return x.take(np.arange(first, first + frames), axis=1, mode="wrap")


def noise(rng, colour, n):
    """White, or with the spectrum's power falling as 1/f or 1/f^2 (shaped in frequency)."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    f = np.maximum(np.arange(len(spectrum)), 1)
    return np.fft.irfft(spectrum / f ** (colour / 2), n)


class Augmentation:
    def __init__(self, a, bank):
        self.a, self.bank, self.length = a, bank, bank.frames(bank.f["seconds"])
        for key in ("shift_s", "speed", "mixup", "noise_folder"):
            if a[key]:
                raise SystemExit(f"this script does not have augment.{key}")

    def __call__(self, rng, item):
        a = self.a
        if a["noise_probability"] or a["gain_db"]:
            x = item["samples"].astype(np.float64)
            if rng.random() < a["noise_probability"]:
                added, snr = noise(rng, rng.integers(3), len(x)), rng.uniform(a["noise_snr_low_db"], a["noise_snr_high_db"])
                x = x + added * np.sqrt(np.mean(x ** 2) / max(np.mean(added ** 2), 1e-30) / 10 ** (snr / 10))
            features = self.bank(x * 10 ** (rng.uniform(-a["gain_db"], a["gain_db"]) / 20))
        else:
            features = item["features"]
        over = max(features.shape[1] - self.length, 0)
        x = tile(features, self.length, rng.integers(over + 1) if a["crop"] else 0)
        for _ in range(a["mask_count"]):
            for axis, most in ((0, a["mask_frequency"]), (1, a["mask_time"])):
                width = min(rng.integers(most + 1), x.shape[axis])
                first = rng.integers(x.shape[axis] - width + 1)
                x[(slice(None),) * axis + (slice(first, first + width),)] = 0
        return x


def load(run, root, config, bank):
    with open(os.path.join(run, "split.csv"), newline="", encoding="utf-8") as f:
        rows = [r for r in csv.DictReader(f) if r["part"] in PARTS]
    labels = sorted({r["label"] for r in rows}, key=str.encode)
    parts = {part: [] for part in PARTS}
    for r in rows:
        x = decode(os.path.join(root, r["path"]), bank.f["rate"], float(r["start"]), float(r["end"]))
        silent = config["skip_bad"] and (len(x) == 0 or np.abs(x).max() < SILENT_PEAK)
        if silent or len(x) < max(bank.length, config["min_seconds"] * bank.f["rate"]):
            continue # as `resnet train --skip-bad --min-seconds` leaves them out of every part
        parts[r["part"]].append({"samples": x, "features": bank(x), "label": labels.index(r["label"])})
    return parts, labels


def views(features, bank):
    """What the network hears of one recording: all of it, or windows of the trained length, the last ending at the end."""
    length, whole = bank.frames(bank.f["seconds"]), features.shape[1]
    if whole * bank.hop <= LONGEST_S * bank.f["rate"]:
        yield tile(features, max(whole, length))
        return
    for first in [*range(0, whole - length, length), whole - length]:
        yield features[:, first:first + length]


def judge(net, items, bank, classes):
    net.eval()
    right, total, loss = np.zeros(classes), np.zeros(classes), 0.0
    with torch.no_grad():
        for item in items:
            p = np.mean([F.softmax(net(torch.from_numpy(v.copy())[None, None])[0].double(), 1)[0].numpy() for v in views(item["features"], bank)], 0)
            total[item["label"]] += 1
            right[item["label"]] += p.argmax() == item["label"]
            loss -= np.log(max(p[item["label"]], 1e-300))
    seen = total > 0
    return {"accuracy": right.sum() / total.sum(), "macro_accuracy": float(np.mean(right[seen] / total[seen])), "loss": loss / total.sum()}


def rate_at(c, step, steps):
    warm = c["warmup_steps"] or int(round((c["warmup_epochs"] if c["warmup_epochs"] >= 0 else min(1, 0.05 * c["epochs"])) * steps))
    if step < warm:
        return c["lr"] * (step + 1) / warm
    if c["schedule"] == "constant":
        return c["lr"]
    if c["schedule"] == "step":
        return c["lr"] * c["step_factor"] ** int(step / (c["step_epochs"] * steps))
    return c["lr"] * (c["lr_end"] + (1 - c["lr_end"]) * (1 + np.cos(np.pi * (step - warm) / (c["epochs"] * steps - warm))) / 2)


def optimiser_of(net, c):
    decayed = [p for p in net.parameters() if p.dim() > 1 or c["decay_all"]]
    others = [p for p in net.parameters() if not (p.dim() > 1 or c["decay_all"])]
    groups = [{"params": decayed, "weight_decay": c["weight_decay"]}, {"params": others, "weight_decay": 0}]
    if c["optimiser"] == "adamw":
        return torch.optim.AdamW(groups, lr=c["lr"], betas=(c["beta1"], c["beta2"]), eps=c["epsilon"])
    return torch.optim.SGD(groups, lr=c["lr"], momentum=c["momentum"], nesterov=c["nesterov"])


def order_of(rng, items, c, classes):
    if c["balance"] != "sampling":
        return rng.permutation(len(items))
    labels = np.array([i["label"] for i in items])
    weight = 1 / np.bincount(labels, minlength=classes)[labels]
    return rng.choice(len(items), len(items), p=weight / weight.sum())


def train(c, parts, labels, bank, seed):
    torch.manual_seed(seed)
    rng, classes, arch = np.random.default_rng(seed), len(labels), c["arch"]
    pool = arch["pool"].split("x")
    net = Net({"arch": arch["name"], "width": arch["width"], "in_channels": 1, "classes": classes, "embedding": arch["embedding"], "shortcut": arch["shortcut"],
               "pool": (int(pool[0]), int(pool[1])), "stem": arch["stem"]}).to(memory_format=torch.channels_last)
    items, batch, augment = parts["train"], c["batch"], Augmentation(c["augment"], bank)
    weight = None
    if c["balance"] == "weights":
        counts = np.bincount([i["label"] for i in items], minlength=classes)
        weight = torch.tensor(len(items) / (classes * counts), dtype=torch.float32)
    optimiser, averaged = optimiser_of(net, c), copy.deepcopy(net) if c["ema"] else None
    steps = len(items) // batch + (len(items) % batch >= max(2, batch / 8))
    best, step, started = None, 0, time.perf_counter()
    for epoch in range(c["epochs"]):
        net.train()
        order = order_of(rng, items, c, classes)
        for b in range(steps):
            chosen = [items[i] for i in order[b * batch:(b + 1) * batch]]
            x = torch.from_numpy(np.stack([augment(rng, i) for i in chosen]))[:, None]
            y = torch.tensor([i["label"] for i in chosen])
            for group in optimiser.param_groups:
                group["lr"] = rate_at(c, step, steps)
            optimiser.zero_grad()
            ghosts = -(-len(chosen) // c["ghost_batch"])
            for gx, gy in zip(x.tensor_split(ghosts), y.tensor_split(ghosts)):
                loss = F.cross_entropy(net(gx)[0], gy, weight, label_smoothing=c["label_smoothing"])
                (loss * len(gy) / len(y)).backward()
            if c["clip"]:
                torch.nn.utils.clip_grad_norm_(net.parameters(), c["clip"])
            optimiser.step()
            if averaged:
                decay = min(c["ema"], (1 + step) / (10 + step))
                with torch.no_grad():
                    for a, p in zip(averaged.state_dict().values(), net.state_dict().values()):
                        a.copy_(a * decay + p * (1 - decay) if a.is_floating_point() else p)
            step += 1
        candidate = averaged or net
        on = judge(candidate, parts["validation"], bank, classes) if parts["validation"] else {"macro_accuracy": epoch, "loss": 0}
        if best is None or (on["macro_accuracy"], -on["loss"]) > (best[0]["macro_accuracy"], -best[0]["loss"]):
            best = on, copy.deepcopy(candidate), epoch + 1
    return best[1], best[2], time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("folder")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--epochs", type=int, default=0, help="instead of the run's")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--part", default="test")
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    with open(os.path.join(a.run, "config.json"), encoding="utf-8") as f:
        c = json.load(f)
    c["epochs"] = a.epochs or c["epochs"]
    bank = FilterBank(c["features"])
    parts, labels = load(a.run, a.folder, c, bank)
    for seed in (int(s) for s in a.seeds.split(",")):
        net, epoch, seconds = train(c, parts, labels, bank, seed)
        found = judge(net, parts[a.part], bank, len(labels))
        print(json.dumps({"peer": "PyTorch " + torch.__version__, "what": "accuracy", "run": a.run, "part": a.part, "items": len(parts[a.part]), "seed": seed,
                          "epochs": c["epochs"], "best_epoch": epoch, **{k: round(v, 5) for k, v in found.items()},
                          "seconds": round(seconds, 1)}), flush=True)


if __name__ == "__main__":
    main()
