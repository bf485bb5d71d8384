#!/usr/bin/env python3
"""Writes tests/golden/torch/*.bin: what PyTorch computes, in double, for small members of the network family.

For developers; no test runs it, tests/check_torch.c reads what it wrote. Needs Debian's python3-torch and python3-numpy:

    /usr/bin/python3 scripts/golden/torch_golden.py tests/golden/torch            all cases
    /usr/bin/python3 scripts/golden/torch_golden.py tests/golden/torch resnet18   those whose names begin so

Weights, inputs and labels are not in the files: both sides draw them from Philox4x32-10 with the layout of
src/base/random.h, purpose 100 (tests). A stream is (seed, epoch, position); its numbers u[0], u[1], ... are the
generator's 32-bit words, and v[i] = (u[i] >> 8) * 2^-23 - 1 is a float in [-1, 1), exact in fp32.

    epoch  position               what
    0      parameter's index      parameters, in byte order of all names (weights and running statistics together):
                                  convolution  v * s, s the largest power of two with s * s * fan_in <= 6
                                  linear       the same with 3; bias v / 4
                                  BN weight    1 + v / 2, times 1/4 where the name begins with "layer" and holds ".bn2." or ".bn3."
                                               (keeps deep networks in range when running statistics are used)
                                  BN bias v / 4, running_mean v / 4, running_var 1 + v / 2
    1      0                      the input, [n][c][h][w], v
    2      0                      labels, u[i] mod classes
    3      record                 places of the 64 samples: u[i] * count >> 32; of a tensor of up to 64 values, all in order
    4      record * 4 + k         signs of projection k: value i is subtracted if bit i mod 32 of u[i / 32] is set
    5      0                      gradient that comes into the embedding from outside, v / 16 (header line "dembedding 1")
    6      block                  header line "drop 1": sample i leaves the block out where u[i] is odd, else its function counts twice; in training

A file is a header of text lines, ended by the line "end", then records until the end of the file, little-endian:

    u16 length of the name, the name, u32 count, u16 samples (s), f64 maximum, f64 distance, f64 sample[s], f64 projection[4]

Names: "logits", "embedding", "grad:PARAMETER", "stat:PARAMETER" (after one training step with momentum 0.1, from a batch
normalised by itself), "eval:logits", "eval:embedding" (with the running statistics as drawn), and "losses" (header line
"steps N": the loss before each of N steps of SGD with momentum 0.9, Nesterov, rate 0.05, weight decay 5e-4 on convolution and
linear weights only, all on the one batch: with a new one for every step, rounding alone changes the tenth loss by up to 0.01). The loss is the mean cross-entropy, plus the inner product of
embedding and its outside gradient where there is one. `maximum` is the largest absolute value of the whole tensor.

`distance` is PyTorch's own in fp32 from its double: the largest absolute difference over the samples, and over the projections
divided by sqrt(count), of four fp32 runs (oneDNN on and off, NCHW and channels last). One run's distance on a handful of values
can be small by luck; four orders of summation are a fair measure of what fp32 does.

A ReLU or maximum whose argument rounds to the other side makes a jump that no bound on rounding covers. Seeds are therefore tried in
turn, and the one is taken whose smallest |argument of a ReLU| is largest, measured in that layer's largest fp32 error.
"""
import os
import struct
import sys

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

PURPOSE = 100
SAMPLES = 64
SEEDS, ENOUGH = 100, 2  # seeds to try, and the margin at which to stop trying


# ---- the generator -------------------------------------------------------------------------------------------------

def block(c, seed):
    """Philox4x32-10 (Salmon et al. 2011) of four arrays of counter words, each in uint64."""
    mask = np.uint64(0xFFFFFFFF)
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p0 = c[0] * np.uint64(0xD2511F53)
        p1 = c[2] * np.uint64(0xCD9E8D57)
        c = [(p1 >> np.uint64(32)) ^ c[1] ^ np.uint64(k0), p1 & mask,
             (p0 >> np.uint64(32)) ^ c[3] ^ np.uint64(k1), p0 & mask]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c


def philox(seed, epoch, position, count):
    """The first `count` 32-bit numbers of a stream."""
    blocks = (count + 3) // 4
    c = [np.arange(blocks, dtype=np.uint64), np.full(blocks, position & 0xFFFFFFFF, np.uint64), np.full(blocks, epoch, np.uint64),
         np.full(blocks, PURPOSE | (position >> 32) << 8, np.uint64)]
    return np.stack(block(c, seed), 1).reshape(-1)[:count]


def uniform(seed, epoch, position, count):
    u = philox(seed, epoch, position, count)
    return ((u >> np.uint64(8)).astype(np.float64) * 2.0 ** -23 - 1.0).astype(np.float32)


def power_of_two(limit, fan_in):
    s = 1.0
    while s * s * fan_in > limit:
        s /= 2
    return np.float32(s)


# ---- the family ----------------------------------------------------------------------------------------------------

class Watch:
    """Arguments of every ReLU, in order, when a list is set."""
    seen = None


def relu(x):
    if Watch.seen is not None:
        Watch.seen.append(x.detach().double().contiguous())
    return F.relu(x)


class Relu(nn.Module):
    def forward(self, x):
        return relu(x)


class ZeroPad(nn.Module):
    """Option A: every stride-th pixel, zero channels after, or half of them before."""
    def __init__(self, channels, stride, both):
        super().__init__()
        self.channels, self.stride, self.both = channels, stride, both

    def forward(self, x):
        x = x[:, :, ::self.stride, ::self.stride]
        more = self.channels - x.shape[1]
        before = more // 2 if self.both else 0
        return F.pad(x, (0, 0, 0, 0, before, more - before))


class Pooled(nn.Sequential):
    """Projection behind an average pool: parameters keep the numbers 0 and 1."""
    def forward(self, x):
        return super().forward(F.avg_pool2d(x, 2, 2, ceil_mode=True, count_include_pad=False))


class Squeeze(nn.Module):
    def __init__(self, channels, ratio):
        super().__init__()
        inner = max(8, int(channels / ratio + 4) // 8 * 8)
        self.fc1 = nn.Conv2d(channels, inner, 1)
        self.fc2 = nn.Conv2d(inner, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.fc2(relu(self.fc1(x.mean((2, 3), keepdim=True)))))


class Block(nn.Module):
    def __init__(self, case, channels_in, width, stride):
        super().__init__()
        self.preact, self.plain = case["preact"], case["shortcut"] == "none"
        self.kept = None
        if case["block"] == "bottleneck":
            out, inner = width * 4, width * case["group_width"] // 64 * case["groups"]
            first = stride if case["stride_at"] == "1x1" else 1
            layers = [(1, first, inner, 1), (3, stride // first, inner, case["groups"]), (1, 1, out, 1)]
        else:
            out = width
            layers = [(3, stride, out, 1), (3, 1, out, 1)]
        self.depth = len(layers)
        before = channels_in
        for i, (kernel, step, after, groups) in enumerate(layers, 1):
            setattr(self, f"conv{i}", nn.Conv2d(before, after, kernel, step, kernel // 2, groups=groups, bias=False))
            setattr(self, f"bn{i}", nn.BatchNorm2d(before if self.preact else after))
            before = after
        if case["se"]:
            self.se = Squeeze(out, case["se"])
        self.shortcut = nn.Sequential()
        changes = stride != 1 or channels_in != out
        if (changes or case["shortcut"] == "C") and not self.plain:
            pooled = case["shortcut_pool"] and stride != 1
            project = [nn.Conv2d(channels_in, out, 1, 1 if pooled else stride, bias=False)]
            if not self.preact:
                project.append(nn.BatchNorm2d(out))
            self.shortcut = (ZeroPad(out, stride, case["shortcut"] == "A2") if case["shortcut"][0] == "A"
                             else (Pooled if pooled else nn.Sequential)(*project))

    def forward(self, x):
        y, s = x, x
        for i in range(1, self.depth + 1):
            conv, bn = getattr(self, f"conv{i}"), getattr(self, f"bn{i}")
            if self.preact:
                y = relu(bn(y))
                if i == 1 and len(list(self.shortcut.children())) + isinstance(self.shortcut, ZeroPad):
                    s = y
                y = conv(y)
            else:
                y = bn(conv(y))
                if i < self.depth:
                    y = relu(y)
        if hasattr(self, "se"):
            y = self.se(y)
        if self.training and self.kept is not None:
            y = y * self.kept.to(y.dtype)
        if not self.plain:
            y = y + self.shortcut(s)
        return y if self.preact else relu(y)


STAGES = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3),
          "resnet152": (3, 8, 36, 3), "resnet20": (3, 3, 3)}


class Net(nn.Module):
    def __init__(self, case):
        super().__init__()
        self.case = case
        w = case["width"]
        wide = case["stem_width"] or w
        if case["stem"] in ("3x3", "7x7"):
            kernel, stride = (7, 2) if case["stem"] == "7x7" else (3, 1)
            self.conv1 = nn.Conv2d(case["in_channels"], wide, kernel, stride, kernel // 2, bias=False)
        else:
            a, b = (wide * 3 // 8 if case["stem"] == "tiered" else wide // 2), wide // 2
            self.conv1 = nn.Sequential(nn.Conv2d(case["in_channels"], a, 3, 2, 1, bias=False), nn.BatchNorm2d(a), Relu(),
                                       nn.Conv2d(a, b, 3, 1, 1, bias=False), nn.BatchNorm2d(b), Relu(), nn.Conv2d(b, wide, 3, 1, 1, bias=False))
        if not case["preact"]:
            self.bn1 = nn.BatchNorm2d(wide)
        at, blocks = wide, case["blocks"] or STAGES[case["arch"]]
        self.stages = len(blocks)
        for s, count in enumerate(blocks):
            row = []
            for b in range(count):
                row.append(Block(case, at, w << s, 2 if s and not b else 1))
                at = (w << s) * (4 if case["block"] == "bottleneck" else 1)
            setattr(self, f"layer{s + 1}", nn.Sequential(*row))
        if case["preact"]:
            self.bn = nn.BatchNorm2d(at)
        flat = 2 * at * case["pool_rows"] if case["pool"] == "tstp" else at * case["pool"][0] * case["pool"][1]
        self.embed = case["embedding"] > 0
        self.fc = nn.Linear(flat, case["embedding"] or case["classes"])
        if case["embedding2"]:
            self.fc_bn = nn.BatchNorm1d(case["embedding"], affine=False)
            self.fc2 = nn.Linear(case["embedding"], case["embedding"])
        if self.embed and case["classes"]:
            self.linear = nn.Linear(case["embedding"], case["classes"])

    def pooled(self, x):
        if self.case["pool"] == "tstp":
            return torch.cat((x.mean(-1).flatten(1), torch.sqrt(x.var(-1, unbiased=True) + 1e-7).flatten(1)), 1)
        return F.adaptive_avg_pool2d(x, self.case["pool"]).flatten(1)

    def forward(self, x):
        x = self.conv1(x)
        if not self.case["preact"]:
            x = relu(self.bn1(x))
        if self.case["stem"] != "3x3" and self.case["stem_pool"] == "same":
            x = F.max_pool2d(x, 3, 2, 1)
        elif self.case["stem"] != "3x3" and self.case["stem_pool"] == "end":
            x = F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-float("inf")), 3, 2)
        for s in range(self.stages):
            x = getattr(self, f"layer{s + 1}")(x)
        if self.case["preact"]:
            x = relu(self.bn(x))
        e = self.fc(self.pooled(x))
        if self.case["embedding2"]:
            e = self.fc2(self.fc_bn(relu(e)))
        if not self.case["classes"]:
            return None, e
        return (self.linear(e), e) if self.embed else (e, None)


def tensors(net):
    """Parameters and running statistics in byte order of their names."""
    found = {k: v for k, v in net.state_dict(keep_vars=True).items() if not k.endswith("num_batches_tracked")}
    return sorted(found.items(), key=lambda item: item[0].encode())


def fill(net, seed):
    bn = {n + "." for n, m in net.named_modules() if isinstance(m, (nn.BatchNorm2d, nn.BatchNorm1d))}
    for index, (name, t) in enumerate(tensors(net)):
        v = uniform(seed, 0, index, t.numel())
        owner, what = name.rsplit(".", 1)
        if owner + "." in bn:
            if what == "weight":
                v = np.float32(1) + v / np.float32(2)
                if name.startswith("layer") and (".bn2." in name or ".bn3." in name):
                    v = v / np.float32(4)
            elif what == "running_var":
                v = np.float32(1) + v / np.float32(2)
            else:
                v = v / np.float32(4)
        elif what == "bias":
            v = v / np.float32(4)
        else:
            v = v * power_of_two(6 if t.dim() == 4 and ".se." not in name else 3, t.numel() // t.shape[0])
        with torch.no_grad():
            t.copy_(torch.from_numpy(v).reshape(t.shape))


# ---- what is recorded ----------------------------------------------------------------------------------------------

def batch(case, dtype):
    n, c, (h, w) = case["n"], case["in_channels"], case["size"]
    x = torch.from_numpy(uniform(case["seed"], 1, 0, n * c * h * w)).reshape(n, c, h, w).to(dtype)
    y = torch.from_numpy((philox(case["seed"], 2, 0, n) % np.uint64(max(case["classes"], 1))).astype(np.int64))
    return x, y


def network(case, dtype, channels_last=False):
    net = Net(case)
    fill(net, case["seed"])
    for index, block in enumerate(m for m in net.modules() if isinstance(m, Block)):
        if case["drop"]:
            kept = philox(case["seed"], 6, index, case["n"]) % np.uint64(2) == 0
            block.kept = torch.from_numpy(kept.astype(np.float64) * 2).reshape(-1, 1, 1, 1)
    net = net.to(dtype)
    return net.to(memory_format=torch.channels_last) if channels_last else net


def compute(case, dtype, channels_last=False):
    """Every quantity as {name: flat array in double}, and the arguments of the training pass's ReLUs."""
    out = {}
    net = network(case, dtype, channels_last)
    x, y = batch(case, dtype)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    net.eval()
    with torch.no_grad():
        logits, embedding = net(x)
    evaluated = logits, embedding
    net.train()
    Watch.seen = []
    logits, embedding = net(x)
    seen, Watch.seen = Watch.seen, None
    loss = F.cross_entropy(logits, y) if case["classes"] else 0
    if case["dembedding"]:
        loss = loss + (embedding * torch.from_numpy(
            uniform(case["seed"], 5, 0, embedding.numel())).reshape(embedding.shape).to(dtype) / 16).sum()
    loss.backward()

    def put(name, t):
        out[name] = t.detach().double().contiguous().reshape(-1).numpy()
    if logits is not None:
        put("logits", logits)
    if embedding is not None:
        put("embedding", embedding)
    for name, t in tensors(net):
        put(("stat:" if "running_" in name else "grad:") + name, t if "running_" in name else t.grad)
    if logits is not None:
        put("eval:logits", evaluated[0])
    if embedding is not None:
        put("eval:embedding", evaluated[1])
    if case["steps"]:
        out["losses"] = train(case, dtype, channels_last)
    return out, seen


def train(case, dtype, channels_last):
    net = network(case, dtype, channels_last).train()
    decayed = [t for _, t in net.named_parameters() if t.dim() > 1]
    rest = [t for _, t in net.named_parameters() if t.dim() == 1]
    optimiser = torch.optim.SGD([{"params": decayed, "weight_decay": 5e-4}, {"params": rest}], lr=0.05, momentum=0.9, nesterov=True)
    losses = []
    x, y = batch(case, dtype)
    for _ in range(case["steps"]):
        optimiser.zero_grad()
        loss = F.cross_entropy(net(x)[0], y)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return np.array(losses)


def digest(case, record, values):
    count = len(values)
    if count <= SAMPLES:
        places = np.arange(count)
    else:
        places = ((philox(case["seed"], 3, record, SAMPLES) * np.uint64(count)) >> np.uint64(32)).astype(np.int64)
    projections = []
    for k in range(4):
        words = philox(case["seed"], 4, record * 4 + k, (count + 31) // 32).astype("<u4")
        bits = np.unpackbits(words.view(np.uint8), bitorder="little")[:count]
        projections.append(float(np.sum(np.where(bits, -values, values))))
    return values[places], np.array(projections)


def low_precision(case):
    runs = []
    for onednn in (True, False):
        for channels_last in (False, True):
            with torch.backends.mkldnn.flags(enabled=onednn):
                runs.append(compute(case, torch.float32, channels_last))
    return runs


def margin(case):
    """The smallest |ReLU argument| over all layers (but for true zeros, of a block that was left out), in units of that layer's largest error in fp32."""
    case = {**case, "steps": 0}
    _, exact = compute(case, torch.float64)
    _, low = compute(case, torch.float32)
    return min(float(z.abs()[z != 0].min()) / float((y - z).abs().max()) for z, y in zip(exact, low))


def members(case):
    """Header lines of what differs from the row."""
    lines = "".join(f"{key} {case[key]}\n" for key, usual in VARIANT.items() if key != "blocks" and case[key] != usual)
    return lines + (f"blocks {','.join(map(str, case['blocks']))}\n" if case["blocks"] else "")


def write(folder, name, case, values, runs):
    path = os.path.join(folder, name + ".bin")
    with open(path, "wb") as f:
        f.write((f"arch {case['arch']}\nwidth {case['width']}\nin_channels {case['in_channels']}\nclasses {case['classes']}\n"
                 f"embedding {case['embedding']}\nshortcut {case['shortcut']}\npool {case['pool'] if case['pool'] == 'tstp' else '%dx%d' % case['pool']}\n"
                 f"stem {case['stem']}\n{members(case)}drop {case['drop']}\ninput {case['n']} {case['size'][0]} {case['size'][1]}\nseed {case['seed']}\n"
                 f"dembedding {case['dembedding']}\nsteps {case['steps']}\nend\n").encode())
        for record, (what, v) in enumerate(values.items()):
            samples, projections = digest(case, record, v)
            distance = 0.0
            for low, _ in runs:
                s, p = digest(case, record, low[what])
                distance = max(distance, np.abs(s - samples).max(), np.abs(p - projections).max() / np.sqrt(len(v)))
            f.write(struct.pack("<H", len(what)) + what.encode() +
                    struct.pack("<IHdd", len(v), len(samples), np.abs(v).max(), distance) +
                    samples.astype("<f8").tobytes() + projections.astype("<f8").tobytes())
    return os.path.getsize(path)


BASE = {"width": 8, "in_channels": 1, "classes": 9, "embedding": 32, "shortcut": "B", "pool": (4, 1), "stem": "3x3", "n": 4,
        "size": (32, 40), "dembedding": 0, "steps": 0, "drop": 0}
VARIANT = {"block": "basic", "blocks": (), "preact": 0, "stem_width": 0, "groups": 1, "group_width": 64, "se": 0, "stem_pool": "same",
           "shortcut_pool": 0, "stride_at": "3x3", "pool_rows": 0, "embedding2": 0}
BOTTLENECK = {"block": "bottleneck"}
IMAGE = {"in_channels": 3, "embedding": 0, "pool": (1, 1), "classes": 10}
CASES = {  # odd sizes put tails in every kernel; long rows need several tiles; deep networks get few pixels, so that no ReLU is near 0
    "resnet18_w8": {"arch": "resnet18", "steps": 10, "n": 8},
    "resnet18_w8_odd": {"arch": "resnet18", "size": (33, 41), "n": 5, "dembedding": 1},
    "resnet18_w8_long": {"arch": "resnet18", "size": (24, 101), "pool": (3, 2), "classes": 5},
    "resnet18_w16": {"arch": "resnet18", "width": 16, "embedding": 256},
    "resnet18_w32": {"arch": "resnet18", "width": 32, "embedding": 40, "classes": 17, "size": (32, 36)},
    "resnet18_a_w8_odd": {"arch": "resnet18", "shortcut": "A", "size": (33, 41), "n": 5},
    "resnet18_a_w16": {"arch": "resnet18", "shortcut": "A", "width": 16, "n": 8, "size": (32, 24)},
    "resnet34_w8": {"arch": "resnet34", "size": (33, 31)},
    "resnet50_w8": {"arch": "resnet50", **BOTTLENECK, "size": (16, 24)},
    "resnet50_w16_odd": {"arch": "resnet50", **BOTTLENECK, "width": 16, "size": (17, 21)},
    "resnet101_w8": {"arch": "resnet101", **BOTTLENECK, "size": (16, 16)},
    "resnet152_w8": {"arch": "resnet152", **BOTTLENECK, "size": (16, 12)},
    "image18_w16": {"arch": "resnet18", "stem": "7x7", "width": 16, "size": (64, 64), **IMAGE},
    "image50_w8_odd": {"arch": "resnet50", **BOTTLENECK, "stem": "7x7", "size": (49, 55), **IMAGE},
    "cifar20_w16": {"arch": "resnet20", "width": 16, "shortcut": "A", "size": (32, 32), **IMAGE},
    # what the rows differ in: narrow, few blocks
    "plain_w8": {"arch": "resnet20", "blocks": (2, 2), "shortcut": "none", "size": (17, 21), **IMAGE},
    "shortcut_a2_w8_odd": {"arch": "resnet20", "blocks": (2, 1, 1), "shortcut": "A2", "size": (19, 21), **IMAGE},
    "shortcut_a2_w24": {"arch": "resnet20", "blocks": (1, 1), "shortcut": "A2", "width": 24, "size": (16, 18), **IMAGE},
    "shortcut_c_v1_w8": {"arch": "resnet50", **BOTTLENECK, "blocks": (2, 1), "shortcut": "C", "stride_at": "1x1", "size": (17, 18), **IMAGE},
    "stem_end_w8": {"arch": "resnet18", "blocks": (1, 1), "stem": "7x7", "stem_pool": "end", "stem_width": 20, "size": (34, 37), **IMAGE},
    "wide_w8": {"arch": "resnet50", **BOTTLENECK, "blocks": (1, 1), "group_width": 128, "stem": "7x7", "stem_pool": "none", "size": (18, 22), **IMAGE},
    "groups_4_w16": {"arch": "resnet50", **BOTTLENECK, "blocks": (1, 2), "width": 16, "groups": 12, "group_width": 16, "size": (18, 23), **IMAGE},
    "groups_6_w16": {"arch": "resnet50", **BOTTLENECK, "blocks": (1, 1, 1), "width": 16, "groups": 3, "group_width": 24, "size": (13, 9), **IMAGE},
    "groups_32_w32": {"arch": "resnet50", **BOTTLENECK, "blocks": (1, 1), "width": 32, "groups": 3, "group_width": 64, "stem_width": 8, "size": (8, 12), **IMAGE},
    "se_w8_odd": {"arch": "resnet18", "blocks": (2, 1), "se": 4, "size": (17, 19), "n": 5},
    "se_w20": {"arch": "resnet50", **BOTTLENECK, "blocks": (1, 1), "width": 20, "se": 2, "shortcut": "A", "size": (11, 14), **IMAGE},
    "preact_w8_odd": {"arch": "resnet20", "blocks": (2, 2, 1), "preact": 1, "size": (19, 21), **IMAGE},
    "preact_w8_wide": {"arch": "resnet20", "blocks": (1, 2), "width": 24, "stem_width": 8, "preact": 1, "size": (18, 14), **IMAGE},
    "preact_w8_stem": {"arch": "resnet50", **BOTTLENECK, "blocks": (2, 1), "preact": 1, "stem": "7x7", "size": (37, 40), **IMAGE},
    "preact_a_w8": {"arch": "resnet20", "blocks": (2, 2), "preact": 1, "shortcut": "A", "size": (15, 16), **IMAGE},
    "preact_d_se_w8": {"arch": "resnet50", **BOTTLENECK, "blocks": (2, 2), "preact": 1, "se": 4, "stem": "deep", "shortcut_pool": 1, "width": 16,
                       "size": (35, 30), **IMAGE},
    "tstp_w8": {"arch": "resnet18", "blocks": (1, 1, 1), "pool": "tstp", "pool_rows": 4, "size": (16, 43), "classes": 0, "dembedding": 1},
    "tstp2_w12": {"arch": "resnet18", "blocks": (1, 1), "width": 12, "pool": "tstp", "pool_rows": 4, "size": (8, 21), "embedding2": 1, "n": 6, "dembedding": 1},
    "drop_w8": {"arch": "resnet18", "blocks": (2, 2), "drop": 1, "size": (17, 19), "n": 6},
    "drop_se_w8": {"arch": "resnet50", **BOTTLENECK, "blocks": (1, 2), "drop": 1, "se": 4, "size": (11, 12), "n": 5, **IMAGE},
    "drop_preact_w8": {"arch": "resnet20", "blocks": (2, 2), "drop": 1, "preact": 1, "size": (15, 17), "n": 5, **IMAGE},
    "deep_pool_w16_odd": {"arch": "resnet18", "blocks": (2, 1, 1), "width": 16, "stem": "deep", "shortcut_pool": 1, "size": (57, 50), **IMAGE},
    "tiered_pool_w16": {"arch": "resnet50", **BOTTLENECK, "blocks": (1, 1), "width": 16, "stem": "tiered", "shortcut_pool": 1, "size": (36, 44), **IMAGE},
}


def main():
    folder, wanted = sys.argv[1], tuple(sys.argv[2:]) or ("",)
    torch.set_num_threads(1)
    known = [np.array([0xFFFFFFFF], np.uint64)] * 4  # a known answer of the paper's authors
    assert [int(w[0]) for w in block(known, 2 ** 64 - 1)] == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    for name, case in CASES.items():
        if not name.startswith(wanted):
            continue
        best = 0, None
        for seed in range(1, SEEDS + 1):
            trial = {**VARIANT, **BASE, **case, "seed": seed}
            score = margin(trial)
            if score > best[0]:
                best = score, trial
            if score > ENOUGH:
                break
        values, _ = compute(best[1], torch.float64)
        size = write(folder, name, best[1], values, low_precision(best[1]))
        print(f"{name}: {len(values)} records, {size} bytes, seed {best[1]['seed']}, margin {best[0]:.2f}", flush=True)


if __name__ == "__main__":
    main()
