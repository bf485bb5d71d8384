"""The networks in PyTorch, and as the files that each engine reads.

    /tmp/peers/venv/bin/python bench/peers/model.py NET FILE      writes one FILE of WRITERS into the network's cache folder

All files hold the same weights. BN's running statistics are those of the network's own activations, so that no value grows out of range.
Input and logits are stored beside them: every engine's answer is compared with PyTorch's.
"""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch

from common import GOLDEN, folder, network

sys.path.insert(0, GOLDEN)
from torch_golden import Net  # noqa: E402  the same definition as the golden files'

LARGEST_BATCH = 16  # inputs that are stored, and can be measured


class Logits(torch.nn.Module):
    """The network without its second output."""
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)[0]


def load(path):
    """The network that weights.pt describes, for inference."""
    saved = torch.load(path)
    net = Net(saved["case"])
    net.load_state_dict(saved["state"])
    return Logits(net).eval()


def write_weights(net, path):
    torch.manual_seed(0)
    made = Net(net.case)
    for m in made.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.momentum = None  # the average over all batches, here one
    x = torch.randn((LARGEST_BATCH, *net.shape))
    made.train()(x[:4])
    torch.save({"case": net.case, "state": made.state_dict()}, path)
    here = os.path.dirname(path)
    np.save(os.path.join(here, "x.npy"), x.numpy())
    np.save(os.path.join(here, "first.npy"), x[:1].numpy())
    np.save(os.path.join(here, "logits.npy"), made.eval()(x)[0].numpy())


def stored(net):
    return load(needed(net, "weights.pt"))


def write_onnx(net, path):
    x = torch.randn((2, *net.shape))  # from one input the batch would be fixed at 1
    torch.onnx.export(stored(net), (x,), path, input_names=["x"], output_names=["logits"], dynamo=True, external_data=False,
                      dynamic_shapes={"x": {0: torch.export.Dim("n")}})


def write_openvino(net, path):
    import openvino
    openvino.save_model(openvino.Core().read_model(needed(net, "net.onnx")), path, compress_to_fp16=False)


def traced(net):
    return torch.jit.trace(stored(net), torch.randn((1, *net.shape)))


def write_script(net, path):
    torch.jit.save(torch.jit.freeze(traced(net)), path)


def write_ncnn(net, path):
    """pnnx converts a trace, and leaves more beside it; by default it would store weights in half precision."""
    import pnnx
    with tempfile.TemporaryDirectory() as work:
        trace = os.path.join(work, "trace.pt")
        torch.jit.save(traced(net), trace)
        subprocess.run([pnnx.EXEC_PATH, trace, f"inputshape=[{','.join(str(n) for n in (1, *net.shape))}]", "fp16=0", "ncnnparam=" + path,
                        "ncnnbin=" + path.replace(".param", ".bin")], check=True, stdout=subprocess.DEVNULL, cwd=work)


def write_resnet(net, path):
    """Our model file, as docs/file-format.md describes it."""
    from safetensors.torch import save_file
    arch = {**net.case, "name": net.arch, "pool": net.pool}
    del arch["arch"]
    config = {"arch": arch, "labels": [str(i) for i in range(net.classes)], "input": net.shape}
    save_file(stored(net).net.state_dict(), path, {"format": "pt", "resnet.config": json.dumps(config)})


WRITERS = {"weights.pt": write_weights, "net.onnx": write_onnx, "net.xml": write_openvino, "net.ts": write_script,
           "net.ncnn.param": write_ncnn, "net.safetensors": write_resnet}


def needed(net, name):
    """The path of a file in the cache. If it is not there it is written elsewhere and moved last, so that none is there by halves."""
    cache = folder(net)
    path = os.path.join(cache, name)
    if os.path.exists(path):
        return path
    os.makedirs(cache, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as work, torch.no_grad():
        WRITERS[name](net, os.path.join(work, name))
        for made in sorted(os.listdir(work), key=lambda made: made == name):
            os.replace(os.path.join(work, made), os.path.join(cache, made))
    return path


if __name__ == "__main__":
    needed(network(sys.argv[1]), sys.argv[2])
    print("{}")
