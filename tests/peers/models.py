#!/usr/bin/env python3
"""Models of torchvision, timm and Hugging Face with random weights: read, answered as PyTorch does, written back, and loaded by them.

    models.py RESNET [NAME...]       needs torch, torchvision, timm, transformers, safetensors, numpy

Catches: a name, a stride, a padding or a statistic in another place than theirs; a file that load_state_dict(strict=True) refuses. The logits may be three
times PyTorch's own fp32 distance from its double off, plus 1e-6 of the largest.
"""
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.torch import load_file

BOTTLENECK = ["--stride-at", "3x3"]
TORCHVISION = {"resnet18": [], "resnet34": [], "resnet50": BOTTLENECK, "resnet101": BOTTLENECK, "resnet152": BOTTLENECK, "wide_resnet50_2": BOTTLENECK,
               "resnext50_32x4d": BOTTLENECK}
TIMM = {"resnet18": [], "resnet26": BOTTLENECK, "resnet50": BOTTLENECK, "resnet18d": [], "resnet50d": BOTTLENECK, "resnet50c": BOTTLENECK, "resnet26t": BOTTLENECK,
        "seresnet18": [], "seresnet50": BOTTLENECK}
HUGGING_FACE = {"basic": {"layer_type": "basic", "depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512]}, "bottleneck": {},
                "bottleneck-v1": {"downsample_in_bottleneck": True}}


def randomise(net):
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            last = 0.3 if module.num_features >= 256 else 1  # deep networks stay in range
            module.weight.data.uniform_(0.5 * last, 1.2 * last)
            module.bias.data.uniform_(-0.2, 0.2)
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            module.num_batches_tracked.fill_(1000)
    return net.eval()


def run(*command):
    done = subprocess.run([os.path.abspath(sys.argv[1]), *command], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stdout}{done.stderr}")


def compare(name, net, answer, file, options, names):
    """From `file` to our model, its answers, and back into the network `net`."""
    x = torch.randn(2, 3, 96, 64)
    np.save("x.npy", x.numpy())
    with torch.no_grad():
        single = answer(net, x).double().numpy()
        double = answer(net.double(), x.double()).numpy()
    net.float()
    run("convert", file, "ours.safetensors", "--preprocessing", "timm", *options)
    run("run", "ours.safetensors", "x.npy", "--logits", "logits.npy")
    ours = np.load("logits.npy").astype(np.float64)
    distance, theirs, largest = np.abs(ours - double).max(), np.abs(single - double).max(), np.abs(double).max()
    assert distance <= 3 * theirs + 1e-6 * largest, (name, distance, theirs, largest)
    run("convert", "ours.safetensors", "theirs.safetensors", "--names", names)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    back = load_file("theirs.safetensors")
    net.load_state_dict(back, strict=True)
    assert all(torch.equal(before[key], value) for key, value in back.items()), name
    print(f"{name}: logits {distance / largest:.1e} off (PyTorch in fp32 {theirs / largest:.1e}), {len(back)} tensors loaded back, equal")


def main():
    import timm
    import torchvision
    import transformers
    torch.manual_seed(0)
    wanted = sys.argv[2:]
    os.chdir(tempfile.mkdtemp())
    for name, options in TORCHVISION.items():
        if not wanted or name in wanted:
            net = randomise(getattr(torchvision.models, name)(weights=None))
            torch.save(net.state_dict(), "net.pth")
            compare(f"torchvision {name}", net, lambda n, x: n(x), "net.pth", options, "torchvision")
    for name, options in TIMM.items():
        if not wanted or "timm:" + name in wanted:
            net = randomise(timm.create_model(name))
            torch.save({"state_dict": net.state_dict(), "epoch": 1}, "net.pth")
            compare(f"timm {name}", net, lambda n, x: n(x), "net.pth", options, "timm")
    for name, options in HUGGING_FACE.items():
        if not wanted or "hf:" + name in wanted:
            net = randomise(transformers.ResNetForImageClassification(transformers.ResNetConfig(num_labels=10, **options)))
            net.save_pretrained("hf")
            compare(f"Hugging Face {name}", net, lambda n, x: n(x).logits, "hf/model.safetensors", [], "huggingface")


if __name__ == "__main__":
    sys.argv[1] = os.path.abspath(sys.argv[1])
    main()
