"""What the scripts here share: the networks' table, timing, and measuring in a child process. Imports no engine."""
import hashlib
import json
import os
import re
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "..", "..", "scripts", "golden")
CACHE = os.path.join(sys.prefix, "cache")  # inside the throw-away environment
CHILD_LIMIT_S = 900  # loading and compiling included; resnet50 compiled for training takes minutes
LEAST_RUNS, WARM_RUNS, WARM_S = 3, 2, 0.3
SETTINGS = ("ONEDNN_", "DNNL_", "ATEN_", "OV_", "ORT_", "KMP_", "GOMP_", "RESNET_")  # what changes an engine from outside


class Network(NamedTuple):
    name: str
    arch: str
    width: int
    input: str
    infer: tuple = ()  # batches that compare.py and infer.py measure
    train: int = 0  # the batch of a training step; 0: not measured
    classes: int = 9
    embedding: int = 256
    pool: str = "4x1"
    stem: str = "3x3"
    shortcut: str = "B"

    @property
    def shape(self):
        return tuple(int(n) for n in self.input.split("x"))

    @property
    def case(self):
        """As scripts/golden/torch_golden.py names these things."""
        return {"arch": self.arch, "width": self.width, "in_channels": self.shape[0], "classes": self.classes,
                "embedding": self.embedding, "shortcut": self.shortcut, "stem": self.stem,
                "pool": tuple(int(n) for n in self.pool.split("x"))}

    @property
    def options(self):
        """As `resnet bench` names them."""
        return [self.arch, "--width", str(self.width), "--input", self.input, "--classes", str(self.classes),
                "--embedding", str(self.embedding), "--pool", self.pool, "--stem", self.stem, "--shortcut", self.shortcut]


PICTURE = {"input": "3x224x224", "classes": 1000, "embedding": 0, "pool": "1x1", "stem": "7x7"}
NETWORKS = {n.name: n for n in (
    Network("spec18", "resnet18", 64, "1x64x200", infer=(1, 8), train=16),
    Network("spec34", "resnet34", 64, "1x64x200", infer=(1, 8)),
    Network("spec34w32", "resnet34", 32, "1x64x200", infer=(1, 16), train=16),
    Network("net18", "resnet18", 64, infer=(1, 16), train=16, **PICTURE),
    Network("net50", "resnet50", 64, infer=(1, 8), train=8, **PICTURE),
    Network("spec18w16", "resnet18", 16, "1x64x100", train=32),
    Network("cifar20", "resnet20", 16, "3x32x32", train=128, classes=10, embedding=0, pool="1x1", shortcut="A"))}


def network(name):
    """A row of the table, or with another input size as in spec34w32@1x32x40."""
    known, _, size = name.partition("@")
    if known not in NETWORKS or (size and not re.fullmatch(r"\d+x\d+x\d+", size)):
        raise SystemExit(f"{name}: want one of {', '.join(NETWORKS)}, with another input size as {next(iter(NETWORKS))}@1x32x40")
    return NETWORKS[known]._replace(name=name, input=size) if size else NETWORKS[known]


def listed(text):
    return [part for part in text.split(",") if part]


def chosen(text, known, what):
    """The names in a comma-separated list; all of them for an empty one."""
    for name in listed(text):
        if name not in known:
            raise SystemExit(f"{name}: not one of the {what}: {', '.join(known)}")
    return listed(text) or list(known)


def folder(net):
    """Where this network's files are, by what defines it."""
    with open(os.path.join(GOLDEN, "torch_golden.py"), "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()[:8]
    return os.path.join(CACHE, f"{net.name.partition('@')[0]}-{net.input}-{digest}")


def timed(run, seconds):
    """Milliseconds of each run after a warm-up: at least three runs, more while they fit into `seconds`."""
    started = time.perf_counter()
    for i in range(100):
        if i >= WARM_RUNS and time.perf_counter() - started >= WARM_S:
            break
        run()
    taken, started = [], time.perf_counter()
    while len(taken) < LEAST_RUNS or time.perf_counter() - started < seconds:
        before = time.perf_counter()
        run()
        taken.append(1000 * (time.perf_counter() - before))
    return {"median_ms": round(statistics.median(taken), 3), "min_ms": round(min(taken), 3), "runs": len(taken)}


def machine_seconds():
    """Processor time that was used or stolen since the machine started, all cores and processes."""
    with open("/proc/stat", encoding="ascii") as f:
        user, nice, system, _, _, irq, soft, stolen = (int(n) for n in f.readline().split()[1:9])
    return (user + nice + system + irq + soft + stolen) / os.sysconf("SC_CLK_TCK")


def answer(done):
    """The JSON object that a child printed: all of its output, or the last line; what it complained about otherwise."""
    for text in (done.stdout, done.stdout.strip().rpartition("\n")[2]):
        try:
            found = json.loads(text)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    complaint = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}, no output"]
    return {"error": complaint[-1][:300]}


def child(command, threads):
    """Runs a command that prints one JSON object. Adds `others`: the cores' worth of time that other processes took meanwhile."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TORCHINDUCTOR_CACHE_DIR": os.path.join(CACHE, "inductor")}
    busy, own, started = machine_seconds(), os.times(), time.perf_counter()
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=CHILD_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"took more than {CHILD_LIMIT_S} s"}
    except OSError as why:
        return {"error": f"{command[0]}: {why.strerror}"}
    now = os.times()
    spent = now.children_user + now.children_system - own.children_user - own.children_system
    others = max(0.0, machine_seconds() - busy - spent) / (time.perf_counter() - started)
    return {**answer(done), "others": round(others, 2)}


def script(name, *arguments, threads):
    """A measurement by one of the scripts here, in a process of its own."""
    return child([sys.executable, os.path.join(HERE, name), *(str(a) for a in arguments)], threads)


def settings():
    return {k: v for k, v in sorted(os.environ.items()) if k.startswith(SETTINGS)}


def report(what, net, batch, engine, threads, found):
    """One line on standard output for one measurement."""
    line = {"what": what, "net": net.name, "batch": batch, "engine": engine, "threads": threads, **found}
    if settings():
        line["settings"] = settings()
    print(json.dumps(line), flush=True)
