"""Times inference: ONNX Runtime, and PyTorch in eager mode for comparison.

    /tmp/peers/venv/bin/python bench/peers/infer.py --batch 1
    resnet bench resnet18 --width 64 --input 1x64x200 --batch 1 --threads 2                   ours, in the same quiet minute
"""
import contextlib
import io
import os
import tempfile
import warnings

import onnxruntime
import torch

from common import arguments, network, report, shape, timed


class Logits(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)[0]


def prepared(a):
    """A network whose running statistics come from its own activations, so that no value grows out of range."""
    torch.manual_seed(0)
    net = network(a)
    for m in net.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.momentum = None
    net.train()
    with torch.no_grad():
        net(torch.randn((4, *shape(a)[1:])))
    return Logits(net.eval())


def onnx_session(a, net, x, path):
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (x,), path, input_names=["x"], output_names=["logits"], opset_version=18)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = a.threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def main():
    a = arguments(__doc__, batch=1, runs=101, warmup=10)
    torch.set_num_threads(a.threads)
    net, x = prepared(a), torch.randn(shape(a))
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        session = onnx_session(a, net, x, os.path.join(folder, "net.onnx"))
        feed = {"x": x.numpy()}
        difference = float((torch.from_numpy(session.run(None, feed)[0]) - net(x)).abs().max())
        report("ONNX Runtime " + onnxruntime.__version__, "inference", a, timed(lambda: session.run(None, feed), a.runs, a.warmup),
               difference=difference)
        last = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
        report("PyTorch " + torch.__version__, "inference", a, timed(lambda: last[0](last[1]), a.runs, a.warmup), mode="eager, channels last")


if __name__ == "__main__":
    main()
