#!/usr/bin/env python3
"""Writes tests/golden/names: small networks as other projects make and store them, and what they answer. For developers; tests/check_names.c reads it.

    python3 scripts/golden/names_golden.py tests/golden/names        needs torch, torchvision, timm, transformers, safetensors

expected.txt has for each file the lines

    file PATH
    names WHOSE
    options JSON         what the file does not say and must be given
    arch JSON            members that the network must have
    first THEIRS OURS    a tensor's name there and here, of those that differ or may be mistaken
    input C H W          x[i] = (37 i mod 101) / 50 - 1, i counting over the whole input
    answer WHAT DISTANCE VALUE...    WHAT: logits or embedding; the distance of PyTorch in fp32 from double, largest over the values

or, of a file that is no model by itself, after "options" one line "refuse WORDS". Projects that are not installed by pip (WeSpeaker, the ports for
CIFAR) are restated below in as many lines as it takes to have their names and arithmetic.
"""
import json
import os
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file


def randomise(net, seed):
    generator = torch.Generator().manual_seed(seed)

    def uniform(shape, low, high):
        return torch.rand(shape, generator=generator) * (high - low) + low

    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            bound = (3 / module.weight[0].numel()) ** 0.5
            module.weight.data = uniform(module.weight.shape, -bound, bound)
            if module.bias is not None:
                module.bias.data = uniform(module.bias.shape, -0.2, 0.2)
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            if module.affine:
                module.weight.data = uniform(module.weight.shape, 0.5, 1.2)
                module.bias.data = uniform(module.bias.shape, -0.2, 0.2)
            module.running_mean = uniform(module.running_mean.shape, -0.2, 0.2)
            module.running_var = uniform(module.running_var.shape, 0.5, 1.5)
    return net.eval()


def image(c, h, w):
    return ((torch.arange(c * h * w, dtype=torch.float64) * 37 % 101) / 50 - 1).reshape(1, c, h, w)


# ---- Projects that are restated --------------------------------------------------------------------------------------------------

class Block(nn.Module):
    """A basic block with names as in the ports for CIFAR and in WeSpeaker; option "A2" pads half of the new channels on each side, "A" all behind."""

    def __init__(self, channels, planes, stride, option):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.option, self.new = option, planes - channels
        self.shortcut = nn.Sequential()
        if option == "B" and (stride > 1 or self.new):
            self.shortcut = nn.Sequential(nn.Conv2d(channels, planes, 1, stride, bias=False), nn.BatchNorm2d(planes))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.option == "B" or not self.new:
            return F.relu(y + self.shortcut(x))
        half = self.new // 2 if self.option == "A2" else 0
        return F.relu(y + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, half, self.new - half)))


class Bottleneck(nn.Module):
    def __init__(self, channels, planes, stride, option):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, 4 * planes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * planes)
        self.shortcut = nn.Sequential()
        if stride > 1 or channels != 4 * planes:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, 4 * planes, 1, stride, bias=False), nn.BatchNorm2d(4 * planes))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn3(self.conv3(F.relu(self.bn2(self.conv2(y))))) + self.shortcut(x))


class Body(nn.Module):
    def __init__(self, channels, width, blocks, block, option):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        channels = width
        for stage, count in enumerate(blocks):
            layers = []
            for i in range(count):
                layers.append(block(channels, width << stage, 2 if stage and not i else 1, option))
                channels = (width << stage) * (4 if block is Bottleneck else 1)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.stages, self.channels = len(blocks), channels

    def body(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return x


class Cifar(Body):
    def __init__(self, option, head):
        super().__init__(3, 4, (2, 1, 1), Block, option)
        self.head = head
        setattr(self, head, nn.Linear(self.channels, 3))

    def forward(self, x):
        return getattr(self, self.head)(self.body(x).mean((2, 3)))


class Speaker(Body):
    def __init__(self, block, features, embedding, second, epsilon):
        super().__init__(1, 4, (1, 1, 1, 1), block, "B")
        self.seg_1 = nn.Linear(2 * self.channels * features // 8, embedding)
        self.seg_bn_1 = nn.BatchNorm1d(embedding, affine=False) if second else nn.Identity()
        self.seg_2 = nn.Linear(embedding, embedding) if second else nn.Identity()
        self.second, self.epsilon = second, epsilon

    def forward(self, x):
        x = self.body(x)
        pooled = torch.cat([x.mean(-1).flatten(1), (x.var(-1) + self.epsilon).sqrt().flatten(1)], 1)
        first = self.seg_1(pooled)
        return self.seg_2(self.seg_bn_1(F.relu(first))) if self.second else first


# ---- The files ---------------------------------------------------------------------------------------------------------------------

def torchvision_net(block, classes=5, **options):
    from torchvision.models import resnet

    class Narrow(resnet.ResNet):
        def _make_layer(self, kind, planes, blocks, *rest, **more):
            return super()._make_layer(kind, planes // 32, blocks, *rest, **more)

    kind = getattr(resnet, block)
    net = Narrow(kind, [1, 1, 1, 1], **options)
    net.fc = nn.Linear(16 * kind.expansion, classes)
    return net


def timm_net(block, **options):
    from timm.models import resnet
    return resnet.ResNet(getattr(resnet, block), [1, 1, 1, 1], channels=(4, 8, 16, 32), num_classes=5, **options)


def hugging_face(kind, folder, **options):
    import transformers
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 32, 64], depths=[1, 2, 1, 1], id2label={0: "crane", 1: "tench", 2: "crane"}, **options)
    net = randomise(getattr(transformers, kind)(config), 11)
    os.makedirs(folder, exist_ok=True)
    config.to_json_file(os.path.join(folder, "config.json"))
    return net


class Writer:
    def __init__(self, folder):
        self.folder = folder
        self.expected = open(os.path.join(folder, "expected.txt"), "w", encoding="utf-8")

    def line(self, *words):
        print(*words, file=self.expected)

    def head(self, path, names, options):
        self.line("file", path)
        self.line("names", names)
        self.line("options", json.dumps({"preprocessing": "wespeaker" if names == "wespeaker" else "none", **options}))

    def answer(self, net, what, shape, forward=None):
        x = image(*shape)
        forward = forward or (lambda n, v: n(v))
        with torch.no_grad():
            single = forward(net.float(), x.float()).double()
            double = forward(net.double(), x)
        net.float()
        self.line("input", *shape)
        self.line("answer", what, f"{(single - double).abs().max().item():.3g}", *(f"{v:.12g}" for v in double.flatten().tolist()))

    def case(self, path, net, names, arch, first, shape, options=None, what="logits", forward=None, extra=None, **save):
        state = dict(net.state_dict())
        state.update(extra or {})
        where = os.path.join(self.folder, path)
        if path.endswith(".safetensors"):
            save_file({k: v.contiguous() for k, v in state.items()}, where)
        else:
            torch.save(save.pop("wrap", lambda s: s)(state), where, **save)
        self.head(path, names, options or {})
        self.line("arch", json.dumps(arch))
        for theirs, ours in first:
            self.line("first", theirs, ours)
        self.answer(net, what, shape, forward)


def plain_cases(out):
    down = ("layer2.0.downsample.0.weight", "layer2.0.shortcut.0.weight")
    common = {"stem": "7x7", "width": 2, "stem_width": 64, "in_channels": 3, "classes": 5, "embedding": 0, "pool": "1x1", "shortcut": "B"}
    net = randomise(torchvision_net("BasicBlock"), 1)
    out.case("torchvision_basic.pth", net, "torchvision", {**common, "block": "basic", "blocks": "1,1,1,1"}, [down], (3, 64, 48))
    net = randomise(torchvision_net("Bottleneck"), 2)
    out.case("torchvision_bottleneck.pth", net, "torchvision", {**common, "block": "bottleneck", "stride_at": "3x3"}, [down], (3, 48, 64), {"stride_at": "3x3"},
             wrap=lambda s: {"epoch": 3, "model": {"module." + k: v for k, v in s.items()}}, _use_new_zipfile_serialization=False)
    net = randomise(torchvision_net("Bottleneck", width_per_group=128), 3)
    out.case("torchvision_wide.pth", net, "torchvision", {**common, "block": "bottleneck", "group_width": 128, "groups": 1}, [down], (3, 64, 64), {"stride_at": "3x3"})
    net = randomise(timm_net("BasicBlock"), 4)
    out.case("timm_basic.safetensors", net, "torchvision", {**common, "width": 4, "block": "basic"}, [down], (3, 64, 64))

    net = hugging_face("ResNetForImageClassification", os.path.join(out.folder, "huggingface"), layer_type="bottleneck", downsample_in_bottleneck=True)
    out.case("huggingface/model.safetensors", net, "huggingface",
             {"block": "bottleneck", "blocks": "1,2,1,1", "width": 2, "stem_width": 8, "stride_at": "1x1", "classes": 3},
             [("resnet.encoder.stages.1.layers.1.layer.2.convolution.weight", "layer2.1.conv3.weight"), ("classifier.1.bias", "fc.bias"),
              ("resnet.encoder.stages.1.layers.0.shortcut.normalization.running_var", "layer2.0.shortcut.1.running_var")], (3, 64, 64),
             forward=lambda n, v: n(v).logits)
    net = hugging_face("ResNetModel", os.path.join(out.folder, "huggingface_body"), layer_type="bottleneck")
    save_file(dict(net.state_dict()), os.path.join(out.folder, "huggingface_body/model.safetensors"))
    out.head("huggingface_body/model.safetensors", "huggingface", {})
    out.line("refuse", "there is no last layer in it")

    net = randomise(Cifar("B", "linear"), 5)
    out.case("cifar_b.pth", net, "cifar", {"stem": "3x3", "blocks": "2,1,1", "width": 4, "shortcut": "B", "classes": 3}, [("linear.weight", "fc.weight")], (3, 32, 32))
    net = randomise(Cifar("A", "fc"), 6)
    out.case("cifar_a.pth", net, "ours", {"shortcut": "A"}, [("fc.weight", "fc.weight")], (3, 32, 32), {"shortcut": "A"})


def padded_cases(out):
    net = randomise(Cifar("A2", "linear"), 7)
    out.case("cifar_a2.pth", net, "cifar", {"shortcut": "A2"}, [("linear.weight", "fc.weight")], (3, 32, 32), {"shortcut": "A2"})


def stem_cases(out):
    down = [("layer1.0.downsample.1.weight", "layer1.0.shortcut.0.weight"), ("layer1.0.downsample.2.bias", "layer1.0.shortcut.1.bias"),
            ("conv1.4.running_mean", "conv1.4.running_mean")]
    net = randomise(timm_net("Bottleneck", stem_type="deep", stem_width=4, avg_down=True), 8)
    out.case("timm_d.pth", net, "timm", {"stem": "deep", "shortcut_pool": 1, "width": 4, "stem_width": 8}, down, (3, 64, 72), {"stride_at": "3x3"})
    net = randomise(timm_net("BasicBlock", stem_type="deep_tiered", stem_width=8, avg_down=True), 9)
    out.case("timm_t.pth", net, "timm", {"stem": "tiered", "shortcut_pool": 1, "stem_width": 16}, [("conv1.6.weight", "conv1.6.weight")], (3, 72, 64))


def group_cases(out):
    net = randomise(torchvision_net("Bottleneck", groups=4, width_per_group=32), 10)
    out.case("torchvision_groups.pth", net, "torchvision", {"groups": 4, "group_width": 32}, [], (3, 64, 64), {"stride_at": "3x3"})


def squeeze_cases(out):
    net = randomise(timm_net("Bottleneck", block_args={"attn_layer": "se"}), 12)
    out.case("timm_se.pth", net, "timm", {"se": 16, "stem_width": 64}, [("layer3.0.se.fc2.bias", "layer3.0.se.fc2.bias")], (3, 64, 64), {"stride_at": "3x3"})


def speaker_cases(out):
    net = randomise(Speaker(Block, 16, 6, False, 1e-7), 13)
    out.case("wespeaker.pt", net, "wespeaker", {"pool": "tstp", "pool_rows": 2, "embedding": 6, "embedding2": 0, "classes": 0, "in_channels": 1},
             [("seg_1.weight", "fc.weight")], (1, 16, 40), what="embedding", extra={"projection.weight": torch.zeros(7, 6), "bn1.num_batches_tracked": torch.tensor(2.5)})
    net = randomise(Speaker(Bottleneck, 16, 6, True, 1e-8), 14)
    out.case("3d_speaker.pt", net, "wespeaker", {"embedding2": 1, "block": "bottleneck"},
             [("seg_2.bias", "fc2.bias"), ("seg_bn_1.running_var", "fc_bn.running_var")], (1, 16, 33), {"pool_eps": 1e-8}, what="embedding")


CASES = {"plain": plain_cases, "padded": padded_cases, "stems": stem_cases, "groups": group_cases, "squeeze": squeeze_cases, "speakers": speaker_cases}


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    out = Writer(folder)
    for name in sys.argv[2:] or CASES:
        CASES[name](out)
    out.expected.close()


if __name__ == "__main__":
    main()
