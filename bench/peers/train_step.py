"""Times PyTorch's training step (forward, cross-entropy, backward, SGD with Nesterov momentum and weight decay) in a process of its own.

    /tmp/peers/venv/bin/python bench/peers/train_step.py --nets spec18 --modes torch-last,torch-compiled --threads 2
    resnet bench spec18 --batch 16 --train --threads 2 --json        ours, in the same quiet minute; compare.py runs both in turn

rss_before_mib is the largest that the process was with the network made and one step done on a network of one layer, rss_mib the largest
after the steps: the difference is what training adds. Without that first small step PyTorch's own modules, loaded late, would count
as the network's: about 170 MiB.
"""
import argparse
import json
import os
import resource
import sys

from common import NETWORKS, chosen, listed, network, report, script, timed

MODES = {  # channels last, compiled, bfloat16
    "torch": (False, False, False),
    "torch-last": (True, False, False),
    "torch-compiled": (True, True, False),
    "torch-bf16": (True, False, True),
    "torch-compiled-bf16": (True, True, True)}


def has_bf16():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(f.read().split())


def measure(net, mode, batch, threads, seconds):
    """The result of a child, or {"error": ...}."""
    if MODES[mode][2] and not has_bf16():  # emulated on AVX2 a step took 8 to 20 times as long as in fp32
        return {"error": "this processor has no bfloat16 instructions"}
    return script("train_step.py", "--one", mode, net.name, batch, threads, seconds, threads=threads)


def peak_mib():
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def stepper(forward, parameters, x, y, bf16):
    """A function that does one step and returns its loss."""
    import torch
    optimiser = torch.optim.SGD(parameters, lr=1e-3, momentum=0.9, nesterov=True, weight_decay=5e-4)

    def step():
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = torch.nn.functional.cross_entropy(forward(x), y)
        loss.backward()
        optimiser.step()
        return loss.item()
    return step


def small_step(bf16):
    import torch
    layer = torch.nn.Sequential(torch.nn.Conv2d(1, 16, 3), torch.nn.BatchNorm2d(16), torch.nn.Flatten())
    stepper(layer, layer.parameters(), torch.randn((2, 1, 8, 8)), torch.tensor([0, 1]), bf16)()


def one(mode, net, batch, threads, seconds):
    """In the child."""
    import torch

    from model import Logits, Net
    last, compiled, bf16 = MODES[mode]
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    logits = Logits(Net(net.case)).train()
    small_step(bf16)
    before = peak_mib()
    x, y = torch.randn((batch, *net.shape)), torch.randint(net.classes, (batch,))
    if last:
        logits, x = logits.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    step, losses = stepper(torch.compile(logits) if compiled else logits, logits.parameters(), x, y, bf16), []
    taken = timed(lambda: losses.append(step()), seconds)
    if not losses[-1] < losses[0]:
        raise SystemExit(f"the loss went from {losses[0]:.4f} to {losses[-1]:.4f} on one batch: this mode does not train")
    print(json.dumps({**taken, "version": torch.__version__, "precision": "bfloat16" if bf16 else "float32", "rss_before_mib": before,
                      "rss_mib": peak_mib()}), flush=True)
    os._exit(0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", default=",".join(n.name for n in NETWORKS.values() if n.train),
                        help="names, with another input as spec18@1x32x40")
    parser.add_argument("--modes", default="", help=", ".join(MODES) + " (all)")
    parser.add_argument("--batch", type=int, default=0, help="instead of the table's")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3, help="for each measurement, after warming up (3)")
    a = parser.parse_args()
    for net in (network(name) for name in listed(a.nets)):
        for mode in chosen(a.modes, MODES, "modes"):
            batch = a.batch or net.train or 16
            report("training step", net, batch, mode, a.threads, measure(net, mode, batch, a.threads, a.seconds))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2], network(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]), float(sys.argv[6]))
    else:
        main()
