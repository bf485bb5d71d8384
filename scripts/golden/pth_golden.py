#!/usr/bin/env python3
"""Writes tests/golden/pth: files as torch.save writes them, and what is in them. For developers; tests/check_pth.c reads the result.

    python3 scripts/golden/pth_golden.py tests/golden/pth tests/fuzz/corpus/pth        needs torch 2.x

expected.txt has a line per file, and behind those of files that can be read a line per tensor, in the file's order:

    read FILE DICTIONARY                            where the tensors are found; - for the file's own dictionary
    tensor NAME DTYPE SHAPE VALUE...                SHAPE 2x3, - for a scalar; the values row by row
    refuse FILE WORD                                the sentence of the refusal has this word

Files in the second folder have no checksums: a fuzzer that changes a byte gets further.
"""
import argparse
import os
import sys
import zipfile
from collections import OrderedDict

import torch
import torch.nn as nn

__file__ = os.path.basename(__file__)  # a module saved whole says where its source lies

DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64", torch.int64: "I64", torch.int32: "I32",
          torch.uint8: "U8", torch.bool: "BOOL"}


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return x * self.w


def numbers(*shape, dtype=torch.float32):
    count = 1
    for n in shape:
        count *= n
    return (torch.arange(count, dtype=torch.float64) * 0.5 - 1).to(dtype).reshape(shape)


def network():
    torch.manual_seed(1)
    return nn.Sequential(OrderedDict(conv1=nn.Conv2d(1, 2, 3, bias=False), bn1=nn.BatchNorm2d(2), fc=nn.Linear(2, 3)))


def views():
    base = numbers(4, 3)
    return {"base": base, "transposed": base.t(), "row": base[2], "column": base[:, 1], "scalar": base[1, 2], "empty": base[4:],
            "every_second": base[::2], "wide": numbers(1, 3).expand(4, 3), "last": numbers(1, 2, 2, 3).contiguous(memory_format=torch.channels_last),
            "one": numbers(5)[3:4].reshape(1, 1)}


def checkpoint():
    net = network()
    step = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    for p in net.parameters():
        p.grad = torch.ones_like(p)
    step.step()
    state = {"module." + k: v for k, v in net.state_dict().items()}
    return {"epoch": 3, "arch": "resnet18", "best": 71.25, "state_dict": state, "optimizer": step.state_dict(),
            "args": argparse.Namespace(lr=0.1, wd=1e-4), "seen": {1, 2}, "long": 2 ** 70, "raw": b"\xff"}


def readable():
    """name: (object, path of its dictionary, the dictionary)"""
    net, c = network().state_dict(), checkpoint()
    types = {DTYPES[d].lower(): numbers(2, 3, dtype=d) for d in DTYPES}
    two = {"state_dict": {"w": numbers(2)}, "state_dict_ema": {"w": numbers(3)}}
    wrapped = {"_orig_mod.module." + k: v for k, v in net.items()}
    deep = {"state": {"best": {"w": numbers(2)}}}
    return {"plain": (net, "-", net), "dtypes": (types, "-", types), "views": (views(), "-", views()),
            "parameters": ({"w": nn.Parameter(numbers(2, 2))}, "-", {"w": numbers(2, 2)}),
            "checkpoint": (c, "state_dict", {k[7:]: v for k, v in c["state_dict"].items()}),
            "averaged": (two, "state_dict_ema", two["state_dict_ema"]), "compiled": (wrapped, "-", net),
            "deep": (deep, "state,best", deep["state"]["best"])}


def refused():
    return {"module": (Tiny(), "Python"), "tensor": (numbers(3), "dictionary"), "short": ({"w": numbers(3, dtype=torch.int16)}, "ShortStorage"),
            "complex": ({"w": torch.zeros(2, dtype=torch.complex64)}, "ComplexFloatStorage"),
            "mixed": ({"w": numbers(2), "when": argparse.Namespace()}, "argparse.Namespace"), "nothing": ({}, "dictionary")}


def values(t):
    return " ".join(repr(float(v)) for v in t.detach().double().flatten())


def main():
    folder, corpus = sys.argv[1:3]
    os.makedirs(folder, exist_ok=True)
    os.makedirs(corpus, exist_ok=True)
    with open(os.path.join(folder, "expected.txt"), "w", encoding="ascii") as out:
        for zipped in (True, False):
            end = "" if zipped else "_stream"
            for name, (thing, path, tensors) in readable().items():
                torch.save(thing, os.path.join(folder, name + end + ".pth"), _use_new_zipfile_serialization=zipped)
                out.write(f"read {name}{end}.pth {path}\n")
                for key, t in tensors.items():
                    shape = "x".join(map(str, t.shape)) or "-"
                    out.write(f"tensor {key} {DTYPES[t.dtype]} {shape} {values(t)}".rstrip() + "\n")
            for name, (thing, word) in refused().items():
                torch.save(thing, os.path.join(folder, name + end + ".pth"), _use_new_zipfile_serialization=zipped)
                out.write(f"refuse {name}{end}.pth {word}\n")
        torch.save({"w": numbers(2).to(torch.float8_e4m3fn)}, os.path.join(folder, "float8.pth"))
        torch.save({"w": numbers(2)}, os.path.join(folder, "protocol4.pth"), pickle_protocol=4)
        torch.jit.save(torch.jit.script(Tiny()), os.path.join(folder, "script.pt"))
        with zipfile.ZipFile(os.path.join(folder, "compressed.pth"), "w", zipfile.ZIP_DEFLATED) as z:
            with zipfile.ZipFile(os.path.join(folder, "plain.pth")) as plain:
                for member in plain.namelist():
                    z.writestr(member, plain.read(member))
        with zipfile.ZipFile(os.path.join(folder, "other.zip"), "w") as z:
            z.writestr("a/b.txt", "nothing of PyTorch's")
        for name, word in (("float8.pth", "float8_e4m3fn"), ("protocol4.pth", "protocol"), ("script.pt", "TorchScript"), ("compressed.pth", "compressed"),
                           ("other.zip", "data.pkl")):
            out.write(f"refuse {name} {word}\n")
    torch.serialization.set_crc32_options(False)
    small = {"plain": network().state_dict(), "views": views(), "checkpoint": checkpoint(), "module": Tiny()}
    for name, thing in small.items():
        torch.save(thing, os.path.join(corpus, name))
        torch.save(thing, os.path.join(corpus, name + "_stream"), _use_new_zipfile_serialization=False)


if __name__ == "__main__":
    main()
