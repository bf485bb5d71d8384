#!/usr/bin/env python3
"""Writes tests/golden/onnx: small residual networks as other programs export them, and the logits that ONNX Runtime computes.

For developers; no test runs it, tests/check_onnx.c reads what it wrote. Needs torch, onnx, onnxscript, onnxruntime and numpy:

    python3 scripts/golden/onnx_golden.py tests/golden/onnx

expected.txt has a line for each file:

    read FILE N C H W TOLERANCE LOGIT ...        its answer [n][...]: logits, before a softmax that it has; the embedding where it has no classes
    refuse FILE WORD[_WORD...]                   what the sentence that refuses it must have in it

The input is no file: value i of [n][c][h][w] is ((i * 7919) mod 257 - 128) / 128.
"""
import os
import sys

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn as nn
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper

HERE = None
EXPECTED = []


def image(n, c, h, w):
    i = np.arange(n * c * h * w, dtype=np.int64)
    return (((i * 7919) % 257 - 128) / 128).astype(np.float32).reshape(n, c, h, w)


# ---- Networks ------------------------------------------------------------------------------------------------------

class Zeros(nn.Module):
    """Option A: every second pixel, zeros behind (or half before and half behind)."""

    def __init__(self, more, both):
        super().__init__()
        self.pads = (more // 2, more - more // 2) if both else (0, more)

    def forward(self, x):
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0) + self.pads)


class Block(nn.Module):
    def __init__(self, c, k, stride, bottleneck, shortcut, stride_first=False, average=False):
        super().__init__()
        out = k * 4 if bottleneck else k
        if bottleneck:
            self.conv1, self.bn1 = nn.Conv2d(c, k, 1, stride if stride_first else 1, bias=False), nn.BatchNorm2d(k)
            self.conv2, self.bn2 = nn.Conv2d(k, k, 3, 1 if stride_first else stride, 1, bias=False), nn.BatchNorm2d(k)
            self.conv3, self.bn3 = nn.Conv2d(k, out, 1, bias=False), nn.BatchNorm2d(out)
        else:
            self.conv1, self.bn1 = nn.Conv2d(c, k, 3, stride, 1, bias=False), nn.BatchNorm2d(k)
            self.conv2, self.bn2 = nn.Conv2d(k, k, 3, 1, 1, bias=False), nn.BatchNorm2d(k)
        self.bottleneck = bottleneck
        self.down = nn.Identity()
        if stride > 1 or c != out:
            if shortcut in ("A", "A2"):
                self.down = Zeros(out - c, shortcut == "A2")
            elif average and stride > 1:
                self.down = nn.Sequential(nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False), nn.Conv2d(c, out, 1, bias=False), nn.BatchNorm2d(out))
            else:
                self.down = nn.Sequential(nn.Conv2d(c, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.bottleneck:
            y = self.bn3(self.conv3(F.relu(y)))
        return F.relu(y + self.down(x))


class Net(nn.Module):
    def __init__(self, width=4, blocks=(1, 1), bottleneck=False, stem="3x3", shortcut="B", c=3, classes=5, embedding=0, pool=(1, 1), seed=1, **more):
        super().__init__()
        torch.manual_seed(seed)
        self.stem = nn.Sequential(nn.Conv2d(c, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        if stem == "7x7":
            self.stem = nn.Sequential(nn.Conv2d(c, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        layers, have = [], width
        for stage, count in enumerate(blocks):
            for i in range(count):
                k = width << stage
                layers.append(Block(have, k, 2 if stage and not i else 1, bottleneck, shortcut, **more))
                have = k * 4 if bottleneck else k
        self.layers = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(pool)
        features = have * pool[0] * pool[1]
        self.embedding = nn.Linear(features, embedding) if embedding else nn.Identity()
        self.fc = nn.Linear(embedding or features, classes)
        for m in self.modules():
            if isinstance(m, nn.BatchNorm2d):
                nn.init.uniform_(m.weight, 0.5, 1.5)
                nn.init.uniform_(m.bias, -0.3, 0.3)
                nn.init.uniform_(m.running_mean, -0.3, 0.3)
                nn.init.uniform_(m.running_var, 0.5, 1.5)
        self.eval()

    def forward(self, x):
        return self.fc(self.embedding(torch.flatten(self.pool(self.layers(self.stem(x))), 1)))


class Squeeze(nn.Module):
    """Squeeze and excitation as timm has it."""

    def __init__(self, c, mid):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(c, mid, 1), nn.Conv2d(mid, c, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True)))))


class Squeezed(Block):
    def __init__(self, c, k, stride, bottleneck, shortcut):
        super().__init__(c, k, stride, bottleneck, shortcut)
        self.se = Squeeze(k, 8)

    def forward(self, x):
        return F.relu(self.se(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))) + self.down(x))


class Before(nn.Module):
    """BN and ReLU before the convolutions (He et al. 2016); the projection reads what they give."""

    def __init__(self, c, k, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(c), nn.Conv2d(c, k, 3, stride, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(k), nn.Conv2d(k, k, 3, 1, 1, bias=False)
        self.down = nn.Conv2d(c, k, 1, stride, bias=False) if stride > 1 or c != k else None

    def forward(self, x):
        y = F.relu(self.bn1(x))
        short = self.down(y) if self.down else x
        return self.conv2(F.relu(self.bn2(self.conv1(y)))) + short


class PreAct(Net):
    def __init__(self):
        super().__init__(width=4, blocks=(1, 1), seed=8)
        self.stem = nn.Conv2d(3, 4, 3, 1, 1, bias=False)
        self.layers = nn.Sequential(Before(4, 4, 1), Before(4, 8, 2), nn.BatchNorm2d(8), nn.ReLU())
        for m in self.layers.modules():
            if isinstance(m, nn.BatchNorm2d):
                nn.init.uniform_(m.running_mean, -0.3, 0.3)
                nn.init.uniform_(m.running_var, 0.5, 1.5)
        self.eval()


class Speaker(Net):
    """As WeSpeaker's: time and bins in, statistics over time, an embedding out, less a mean vector; with two, ReLU and BN without weights between."""

    def __init__(self, two):
        super().__init__(width=4, blocks=(1, 1), c=1, seed=9)
        self.seg_1 = nn.Linear(2 * 8 * 8, 6)
        self.seg_bn_1 = nn.BatchNorm1d(6, affine=False)
        self.seg_2 = nn.Linear(6, 6) if two else None
        self.mean = torch.tensor([0.1, 0.2, 0.0, -0.1, 0.3, 0.0])
        self.eval()

    def forward(self, x):
        y = self.layers(self.stem(x.permute(0, 2, 1).unsqueeze(1)))
        mean, deviation = y.mean(dim=-1), torch.sqrt(torch.var(y, dim=-1) + 1e-7)
        y = self.seg_1(torch.cat((mean.flatten(start_dim=1), deviation.flatten(start_dim=1)), 1))
        if self.seg_2:
            y = self.seg_2(self.seg_bn_1(F.relu(y)))
        return y - self.mean


# ---- Files ---------------------------------------------------------------------------------------------------------

def expect(name, n, c, h, w, channels_last=False, time_first=False, logits=None, tolerance=2e-5):
    x = image(n, c, h, w)
    if time_first:
        x = x[:, 0].transpose(0, 2, 1)
    session = onnxruntime.InferenceSession(os.path.join(HERE, name), providers=["CPUExecutionProvider"])
    y = session.run([logits] if logits else None, {session.get_inputs()[0].name: x.transpose(0, 2, 3, 1) if channels_last else x})[0]
    values = " ".join(f"{v:.9g}" for v in y.reshape(-1))
    EXPECTED.append(f"read {name} {n} {c} {h} {w} {tolerance * max(1, np.abs(y).max()):.3g} {values}")


def refuse(name, words):
    EXPECTED.append(f"refuse {name} {words.replace(' ', '_')}")


def export(name, net, shape, training=torch.onnx.TrainingMode.EVAL, fold=True, opset=13, fixed=False):
    """torch.onnx's exporter by tracing."""
    axes = None if fixed else {"input": {0: "batch", 2: "height", 3: "width"}}
    torch.onnx.export(net, torch.from_numpy(image(*shape)), os.path.join(HERE, name), opset_version=opset, training=training, do_constant_folding=fold,
                      input_names=["input"], dynamic_axes=axes, dynamo=False)


def export_dynamo(name, net, shape, opset):
    torch.onnx.export(net, (torch.from_numpy(image(*shape)),), os.path.join(HERE, name), opset_version=opset, dynamo=True, external_data=False, verbose=False)
    model = onnx.load(os.path.join(HERE, name))
    for part in [model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer]:
        del part.metadata_props[:]  # where in which file each node comes from: nobody's business
        part.doc_string = ""
    onnx.save(model, os.path.join(HERE, name))


def save(name, nodes, tensors, inputs, outputs, opset=13, ir=7):
    graph = helper.make_graph(nodes, "g", inputs, outputs, [numpy_helper.from_array(v, k) for k, v in tensors.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)
    onnx.checker.check_model(model)
    onnx.save(model, os.path.join(HERE, name))


def folded(conv, bn):
    scale = (bn.weight / torch.sqrt(bn.running_var + bn.eps)).detach()
    return (conv.weight.detach() * scale[:, None, None, None]).numpy(), (bn.bias - bn.running_mean * scale).detach().numpy()


def tensorflow(name, softmax=True, mean=False):
    """As tf2onnx writes Keras' networks: channels last outside, padding by nodes, BN folded, the first pool padded at its end."""
    net = Net(width=4, blocks=(1, 1), bottleneck=True, stem="7x7", stride_first=True, seed=3)
    tensors, nodes = {}, []

    def conv(x, pair, out, pads, strides=1):
        tensors[out + "_w"], tensors[out + "_b"] = folded(*pair)
        k = tensors[out + "_w"].shape[2]
        nodes.append(helper.make_node("Conv", [x, out + "_w", out + "_b"], [out], out, kernel_shape=[k, k], strides=[strides] * 2, pads=[pads] * 4, dilations=[1, 1]))
        return out

    def relu(x):
        nodes.append(helper.make_node("Relu", [x], [x + "_relu"], x + "_relu"))
        return x + "_relu"

    def pad(x, by):
        tensors[x + "_pads"] = np.array([0, 0, by, by, 0, 0, by, by], np.int64)
        nodes.append(helper.make_node("Pad", [x, x + "_pads"], [x + "_pad"], x + "_pad", mode="constant"))
        return x + "_pad"

    nodes.append(helper.make_node("Transpose", ["image"], ["nchw"], "nchw", perm=[0, 3, 1, 2]))
    x = relu(conv(pad("nchw", 3), (net.stem[0], net.stem[1]), "stem", 0, 2))
    nodes.append(helper.make_node("MaxPool", [x], ["pool"], "pool", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1]))
    x = "pool"
    for i, block in enumerate(net.layers):
        stride = block.conv1.stride[0]
        short = conv(x, (block.down[0], block.down[1]), f"b{i}_short", 0, stride)
        y = relu(conv(x, (block.conv1, block.bn1), f"b{i}_1", 0, stride))
        y = relu(conv(pad(y, 1), (block.conv2, block.bn2), f"b{i}_2", 0))
        y = conv(y, (block.conv3, block.bn3), f"b{i}_3", 0)
        nodes.append(helper.make_node("Add", [short, y], [f"b{i}"], f"b{i}"))
        x = relu(f"b{i}")
    if mean:
        nodes.append(helper.make_node("ReduceMean", [x], ["mean"], "mean", axes=[2, 3], keepdims=0))
    else:
        nodes.append(helper.make_node("AveragePool", [x], ["avg"], "avg", kernel_shape=[4, 4], strides=[1, 1]))
        nodes.append(helper.make_node("Transpose", ["avg"], ["nhwc"], "nhwc", perm=[0, 2, 3, 1]))
        tensors["axes"] = np.array([1, 2], np.int64)
        nodes.append(helper.make_node("Squeeze", ["nhwc", "axes"], ["mean"], "mean"))
    tensors["fc_w"], tensors["fc_b"] = net.fc.weight.detach().numpy().T.copy(), net.fc.bias.detach().numpy()
    nodes.append(helper.make_node("MatMul", ["mean", "fc_w"], ["fc"], "fc"))
    nodes.append(helper.make_node("Add", ["fc", "fc_b"], ["logits"], "logits"))
    out = "logits"
    if softmax:
        nodes.append(helper.make_node("Softmax", ["logits"], ["probabilities"], "probabilities", axis=-1))
        out = "probabilities"
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 32, 32, 3])]
    save(name, nodes, tensors, inputs, [helper.make_tensor_value_info(out, TensorProto.FLOAT, ["n", 5])])
    if softmax:  # what is expected are the logits before it
        model = onnx.load(os.path.join(HERE, name))
        model.graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 5]))
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        y = session.run(["logits"], {"image": image(2, 3, 32, 32).transpose(0, 2, 3, 1)})[0]
        EXPECTED.append(f"read {name} 2 3 32 32 {2e-5 * max(1, np.abs(y).max()):.3g} " + " ".join(f"{v:.9g}" for v in y.reshape(-1)))
    else:
        expect(name, 2, 3, 32, 32, channels_last=True)


def caffe2(name):
    """As the first converters wrote: IR 3, initialisers among the inputs, Sum, weights from Constant and ConstantOfShape, Dropout, a bias before BN."""
    net = Net(width=4, blocks=(1, 1), seed=4)
    export(name, net, (1, 3, 16, 16), training=torch.onnx.TrainingMode.PRESERVE, fold=False, opset=9, fixed=True)
    model = onnx.load(os.path.join(HERE, name))
    graph, nodes = model.graph, []
    stem = next(n for n in graph.node if n.op_type == "Conv")
    stem.input.append("stem_bias")
    graph.initializer.append(numpy_helper.from_array(np.array([0.1, -0.2, 0.3, 0], np.float32), "stem_bias"))
    moved = graph.initializer[0]
    nodes.append(helper.make_node("Constant", [], [moved.name], "moved", value=moved))
    graph.initializer.remove(moved)
    last = next(n for n in graph.node if n.op_type == "Gemm")
    graph.initializer.append(numpy_helper.from_array(np.array([5], np.int64), "five"))
    filled = last.input[2]
    graph.initializer.remove(next(t for t in graph.initializer if t.name == filled))
    nodes.append(helper.make_node("ConstantOfShape", ["five"], [filled], "filled", value=helper.make_tensor("v", TensorProto.FLOAT, [1], [0.25])))
    for n in graph.node:
        if n.op_type == "Add":
            n.op_type = "Sum"
        if n.op_type == "Gemm":
            nodes.append(helper.make_node("Dropout", [n.input[0]], ["kept"], "dropout", ratio=0.5))
            n.input[0] = "kept"
        nodes.append(n)
    del graph.node[:]
    graph.node.extend(nodes)
    for t in graph.initializer:
        graph.input.append(helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)))
    model.ir_version = 3
    onnx.save(model, os.path.join(HERE, name))
    expect(name, 1, 3, 16, 16)


def external(name):
    export("plain.tmp", Net(width=4, blocks=(1, 1), seed=5), (1, 3, 8, 8))
    model = onnx.load(os.path.join(HERE, "plain.tmp"))
    os.remove(os.path.join(HERE, "plain.tmp"))
    onnx.save(model, os.path.join(HERE, name), save_as_external_data=True, location=name + ".weights", size_threshold=512)
    expect(name, 1, 3, 8, 8)


def broken(name, change, words):
    """A network with one thing in it that none of ours has."""
    export(name, Net(width=4, blocks=(1, 1), seed=6), (1, 3, 16, 16))
    model = onnx.load(os.path.join(HERE, name))
    change(model.graph)
    onnx.save(model, os.path.join(HERE, name))
    refuse(name, words)


def first(graph, op, skip=0):
    return [n for n in graph.node if n.op_type == op][skip]


def set_ints(node, name, values):
    next(a for a in node.attribute if a.name == name).ints[:] = values


def refusals():
    def dilate(g):
        set_ints(first(g, "Conv", 2), "dilations", [2, 2])
        set_ints(first(g, "Conv", 2), "pads", [2, 2, 2, 2])

    def activation(g):
        first(g, "Relu", 1).op_type = "Softplus"

    def crossed(g):
        first(g, "Add").input[1] = first(g, "Conv").output[0]

    def uneven(g):
        set_ints(first(g, "Conv", 1), "pads", [0, 1, 2, 1])

    broken("dilated.onnx", dilate, "(Conv, \"/layers/layers.0/conv2/Conv\"): dilations 2")
    broken("softplus.onnx", activation, "Softplus")
    broken("crossed.onnx", crossed, "it does not read what it would")
    broken("uneven.onnx", uneven, "padding 0,1,2,1")


def squeezed():
    net = Net(seed=7)
    net.layers = nn.Sequential(Squeezed(4, 4, 1, False, "B"), Squeezed(4, 8, 2, False, "B"))
    return net.eval()


def grouped():
    """ResNeXt: 2 groups of 8 channels within blocks of 4 channels (32 out)."""
    net = Net(bottleneck=True, seed=10)
    for block, stride, k in zip(net.layers, (1, 2), (8, 16)):
        c, out = block.conv1.in_channels, block.conv3.out_channels
        block.conv1, block.bn1 = nn.Conv2d(c, k, 1, bias=False), nn.BatchNorm2d(k)
        block.conv2, block.bn2 = nn.Conv2d(k, k, 3, stride, 1, groups=2, bias=False), nn.BatchNorm2d(k)
        block.conv3 = nn.Conv2d(k, out, 1, bias=False)
    return net.eval()


def main():
    global HERE
    HERE = sys.argv[1]
    os.makedirs(HERE, exist_ok=True)
    export("folded.onnx", Net(blocks=(2, 1)), (1, 3, 16, 16))
    expect("folded.onnx", 2, 3, 17, 20)
    export("kept.onnx", Net(blocks=(1, 1, 1), bottleneck=True, stem="7x7", seed=2), (1, 3, 32, 32), training=torch.onnx.TrainingMode.PRESERVE, fold=False, opset=17)
    expect("kept.onnx", 2, 3, 33, 40)
    export("option_a.onnx", Net(shortcut="A", blocks=(1, 1, 1)), (1, 3, 16, 16), opset=11, fixed=True)
    expect("option_a.onnx", 1, 3, 16, 16)
    export("option_a2.onnx", Net(shortcut="A2", blocks=(1, 1, 1)), (1, 3, 16, 16), opset=14, fixed=True)
    expect("option_a2.onnx", 1, 3, 16, 16)
    export("bands.onnx", Net(c=1, pool=(4, 1), embedding=6), (1, 1, 16, 12), opset=12, fixed=True)
    expect("bands.onnx", 1, 1, 16, 12)
    export("average.onnx", Net(average=True, bottleneck=True), (1, 3, 16, 16))
    expect("average.onnx", 1, 3, 15, 18)
    export_dynamo("dynamo18.onnx", Net(blocks=(1, 1), bottleneck=True), (1, 3, 16, 16), 18)
    expect("dynamo18.onnx", 1, 3, 16, 16)
    export_dynamo("dynamo20.onnx", Net(blocks=(1, 1), shortcut="A"), (1, 3, 16, 16), 20)
    expect("dynamo20.onnx", 1, 3, 16, 16)
    export("squeezed.onnx", squeezed(), (1, 3, 16, 16))
    expect("squeezed.onnx", 1, 3, 17, 16)
    export("grouped.onnx", grouped(), (1, 3, 16, 16), opset=16)
    expect("grouped.onnx", 1, 3, 17, 16)
    export("before.onnx", PreAct(), (1, 3, 16, 16))
    expect("before.onnx", 1, 3, 17, 16)
    for name, two in (("speaker.onnx", False), ("speaker2.onnx", True)):
        feats = torch.from_numpy(image(1, 1, 16, 20)[:, 0].transpose(0, 2, 1).copy())
        torch.onnx.export(Speaker(two), feats, os.path.join(HERE, name), opset_version=14, input_names=["feats"], output_names=["embs"],
                          dynamic_axes={"feats": {0: "B", 1: "T"}, "embs": {0: "B"}}, dynamo=False)
        expect(name, 1, 1, 16, 27, time_first=True)
    tensorflow("tensorflow.onnx")
    tensorflow("tensorflow_mean.onnx", softmax=False, mean=True)
    caffe2("caffe2.onnx")
    external("external.onnx")
    refusals()
    with open(os.path.join(HERE, "expected.txt"), "w") as f:
        f.write("\n".join(EXPECTED) + "\n")


if __name__ == "__main__":
    main()
