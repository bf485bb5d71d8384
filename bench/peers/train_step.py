"""Times PyTorch's training step: forward, cross-entropy, backward, SGD with Nesterov momentum; NCHW and channels last.

    /tmp/peers/venv/bin/python bench/peers/train_step.py                the step that SPEED.md quotes: resnet18, width 64, batch 16, 1x64x200
    resnet bench resnet18 --width 64 --input 1x64x200 --batch 16 --train --threads 2          ours, in the same quiet minute
"""
import torch
import torch.nn.functional as F

from common import arguments, network, report, shape, timed


def measure(a, name, memory_format):
    torch.manual_seed(0)
    net = network(a).train().to(memory_format=memory_format)
    x = torch.randn(shape(a)).to(memory_format=memory_format)
    y = torch.randint(a.classes, (a.batch,))
    optimiser = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9, nesterov=True, weight_decay=5e-4)

    def step():
        optimiser.zero_grad(set_to_none=True)
        F.cross_entropy(net(x)[0], y).backward()
        optimiser.step()
    report("PyTorch " + torch.__version__, "training step", a, timed(step, a.runs, a.warmup), mode="eager, " + name)


def main():
    a = arguments(__doc__)
    torch.set_num_threads(a.threads)
    measure(a, "NCHW", torch.contiguous_format)
    measure(a, "channels last", torch.channels_last)


if __name__ == "__main__":
    main()
