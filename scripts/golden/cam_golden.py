#!/usr/bin/env python3
"""Writes tests/golden/cam.txt: what pytorch-grad-cam computes, in double, for small members of the network family.

For developers; no test runs it, tests/check_explain.c reads what it wrote. Needs torch, numpy and grad-cam:

    python3 scripts/golden/cam_golden.py tests/golden/cam.txt

Networks and inputs are drawn as torch_golden.py describes. A case is one line of words

    ARCH WIDTH IN_CHANNELS CLASSES EMBEDDING SHORTCUT POOL_H POOL_W STEM H W SEED  LAYER CLASS METHOD  MAP_H MAP_W

then the map as the layer has it, and the heat: stretched from 0 to 1, resized to H x W, stretched again. Layers are named after the
convolution whose step writes the value. Values inside of a block are not modules of the network, so that pytorch-grad-cam cannot hook them:
their maps follow from the formula with PyTorch's gradients, and they have no heat (0 values).
"""
import sys

import numpy as np
import torch
import torch.nn as nn
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

import torch_golden as g

METHODS = {"grad-cam": GradCAM, "grad-cam++": GradCAMPlusPlus}
CASES = [  # case of torch_golden, layer, module's path (None: inside of a block)
    ("resnet18_w8_odd", "layer4.1.conv2", "layer4.1"),
    ("resnet18_w8_odd", "layer2.0.conv2", "layer2.0"),
    ("resnet18_w8_odd", "layer3.1.conv1", None),
    ("resnet18_a_w16", "layer3.0.conv2", "layer3.0"),
    ("resnet50_w8", "layer4.2.conv3", "layer4.2"),
    ("resnet50_w8", "layer1.0.conv2", None),
    ("image18_w16", "layer4.1.conv2", "layer4.1"),
    ("image18_w16", "layer1.0.conv2", "layer1.0"),
]


class Logits(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)[0]


def by_library(net, x, path, label, method):
    """Map and heat of a module's output."""
    layer = net.get_submodule(path)
    with METHODS[method](model=Logits(net), target_layers=[layer]) as cam:
        targets = [ClassifierOutputTarget(label)]
        heat = cam(input_tensor=x, targets=targets)[0]
        a, d = cam.activations_and_grads.activations[0].numpy(), cam.activations_and_grads.gradients[0].numpy()
        image = cam.get_cam_image(x, layer, targets, a, d, False)[0]
    return np.maximum(image, 0), heat


def by_formula(net, x, place, label):
    """The Grad-CAM map of the output of the ReLU that runs as number `place`."""
    seen, plain = [], g.relu

    def watch(v):
        out = plain(v)
        out.retain_grad()
        seen.append(out)
        return out
    g.relu = watch
    net(x)[0][0, label].backward()
    g.relu = plain
    a, d = seen[place][0], seen[place].grad[0]
    return torch.relu((d.mean((1, 2))[:, None, None] * a).sum(0)).detach().numpy()


def relu_of(case, layer):
    """How many ReLUs run before the one behind a convolution inside of a block."""
    stage, block, conv = layer.split(".")
    per, count = (3 if case["arch"] == "resnet50" else 2), 1  # the stem's
    for s in range(int(stage[5:]) - 1):
        count += per * g.STAGES[case["arch"]][s]
    return count + per * int(block) + int(conv[4:]) - 1


def main():
    with open(sys.argv[1], "w", encoding="ascii") as out:
        for name, layer, path in CASES:
            case = {**g.BASE, **g.CASES[name], "seed": 1, "n": 1}
            net = g.network(case, torch.float64).eval()
            x, _ = g.batch(case, torch.float64)
            x.requires_grad_()
            # The class with the hottest map: of random networks many have none at all.
            label = max(range(case["classes"]), key=lambda k: by_formula(net, x, relu_of(case, layer), k).max())
            for method in METHODS if path else ["grad-cam"]:
                image, heat = by_library(net, x, path, label, method) if path else (by_formula(net, x, relu_of(case, layer), label), np.zeros(0))
                words = [case[k] for k in ("arch", "width", "in_channels", "classes", "embedding", "shortcut")]
                words += [*case["pool"], case["stem"], *case["size"], case["seed"], layer, label, method, *image.shape]
                out.write(" ".join(map(str, words)) + "\n")
                for values in (image, heat):
                    out.write(" ".join([str(values.size)] + [f"{v:.9g}" for v in values.ravel()]) + "\n")
                print(name, layer, method, image.shape, f"largest {image.max():.3g}")


if __name__ == "__main__":
    main()
