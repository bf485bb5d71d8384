#!/usr/bin/env python3
"""Every convolution layer against the two ceilings of the machine, as a chart and a table.

    bench/roofline.py build/resnet                          measures for about three minutes and writes docs/layers.svg
    bench/roofline.py build/resnet --text --save runs.json  also prints the table and the cliffs; keeps what was measured
    bench/roofline.py --from runs.json --text               draws and prints it again

Runs `resnet bench NET --layers --json` for widths of 16 to 128, spectrograms of 40 x 80 and 64 x 200, pictures of 224 and 320 pixels (7x7
stem), batches of 1, 8 and 64. The ceiling of a layer is the nearer of two: the FMA peak, and the speed of reading memory times the layer's
operations for each byte, its input, weights and output being moved once. Both are measured in the same run. Layers of one run that have the
same shape are one mark: their median. A layer's time is the least of its runs, since neighbours only ever add to it.

Operations are those of the direct convolution: Winograd does with a quarter of the multiplications, so its layers can be above the peak.
Needs Python alone.
"""
import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from html import escape

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
NETS = [("spec18", "1x40x80"), ("spec18", "1x64x200"), ("net18", "3x224x224"), ("net18", "3x320x320"), ("net50", "3x224x224")]
WIDTHS = (16, 32, 64, 128)
BATCHES = (1, 8, 64)
KINDS = {"s1": "3x3, stride 1", "s2": "3x3, stride 2", "one": "1x1", "first": "first layer"}
CLIFF = 0.4  # of the median of its kind


# --- measuring ---------------------------------------------------------------------------------------------------------------

def ask(program, *arguments):
    """What the program prints with --json; None, with its words on standard error, where it fails."""
    done = subprocess.run([program, *map(str, arguments), "--json"], capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr.strip(), file=sys.stderr)
        return None
    return json.loads(done.stdout)


def free_bytes():
    """Memory that a run may take: half of what Linux says is available; no limit where it says nothing."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            return next(int(line.split()[1]) * 1024 // 2 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return math.inf


def plan(a):
    """(net, input, width, batch) of every run that is neither too long nor too large."""
    nets, widths, batches = (NETS[:1] + NETS[2:3], WIDTHS[:1], BATCHES[:2]) if a.quick else (NETS, WIDTHS, BATCHES)
    for net, size in nets:
        for width in widths:
            table = ask(a.program, "arch", net, "--input", size, "--width", width)
            if table is None:
                continue
            floats = max(math.prod(layer["output"]) for layer in table["layers"])
            for batch in batches:
                # Three maps of the largest size: a layer's input and output, and a shortcut.
                if batch * table["macs"] <= a.limit * 1e9 and 12 * floats * batch < free_bytes():
                    yield net, size, width, batch


def measure(a):
    runs, started = [], time.monotonic()
    for net, size, width, batch in plan(a):
        options = ["--input", size, "--width", width, "--batch", batch, "--seconds", a.seconds]
        options += ["--threads", a.threads] if a.threads else []
        result = ask(a.program, "bench", net, "--layers", *options)
        if result is None:
            continue
        runs.append({"net": net, **result})
        print(f"{time.monotonic() - started:5.0f} s  {net}, width {width}, {size}, batch {batch}: {result['median_ms']:.1f} ms, "
              f"{100 * result['peak_share']:.0f} % of the peak", file=sys.stderr)
    return runs


# --- layers and their ceilings --------------------------------------------------------------------------------------------------

def kind_of(layer, first):
    if first:
        return "first"
    if layer["kernel"] == 1:
        return "one"
    return "s1" if layer["stride"] == 1 else "s2"


def intensity(layer, batch):
    """Operations for each byte where input, weights and output are moved once; a 1x1 layer of stride 2 reads every fourth pixel."""
    channels, height, width = layer["output"]
    read = height * width * min(layer["stride"], layer["kernel"]) ** 2 * layer["channels_in"]
    weights = channels * layer["channels_in"] * layer["kernel"] ** 2
    return 2 * layer["macs"] / (4 * (batch * (read + channels * height * width) + weights))


def layers_of(run):
    """Convolutions of one run, those of one shape as one."""
    alike = {}
    convolutions = [layer for layer in run["layers"] if layer["kind"] == "conv"]
    for i, layer in enumerate(convolutions):
        kind = kind_of(layer, i == 0)
        shape = (kind, layer["channels_in"], *layer["output"], layer["kernel"], layer["stride"], layer.get("algorithm", ""))
        alike.setdefault(shape, []).append(layer)
    for shape, group in alike.items():
        layer = group[0]
        speed = 2e-6 * layer["macs"] / statistics.median(each["min_ms"] for each in group)
        roof = min(run["peak_gflops"], run.get("bandwidth_gbs", math.inf) * intensity(layer, run["batch"]))
        where = f"{run['net']} w{run['width']} {'x'.join(map(str, run['input']))} b{run['batch']}"
        keys = ("name", "channels_in", "output", "kernel", "stride", "macs")
        yield {"kind": shape[0], "run": where, **{key: layer[key] for key in keys}, "algorithm": layer.get("algorithm", ""),
               "gflops": speed, "share": speed / run["peak_gflops"], "roof": roof / run["peak_gflops"]}


def medians(layers):
    return {kind: statistics.median(layer["share"] for layer in layers if layer["kind"] == kind)
            for kind in KINDS if any(layer["kind"] == kind for layer in layers)}


def cliffs(layers):
    middle = medians(layers)
    return [layer for layer in layers if layer["share"] < CLIFF * middle[layer["kind"]]]


COLUMNS = "{:<28}  {:<20}  {:>5} {:2} {:<13} {:>5}  {:<8} {:>10}  {:>8}  {:>8}  {:>8}  {:>8}"
HEAD = "\n".join(COLUMNS.format(*words).rstrip() for words in (
    ("", "", "", "", "", "", "", "million", "", "of the", "ceiling,", "of the"),
    ("run", "layer", "in", "", "output", "", "", "mult.-adds", "GFLOP/s", "peak", "of peak", "ceiling")))


def line_of(layer):
    shares = (f"{100 * share:.1f} %" for share in (layer["share"], layer["roof"], layer["share"] / layer["roof"]))
    return COLUMNS.format(layer["run"], layer["name"], layer["channels_in"], "->", "x".join(map(str, layer["output"])),
                          f"{layer['kernel']}x{layer['kernel']}/{layer['stride']}", layer["algorithm"], f"{layer['macs'] / 1e6:.1f}",
                          f"{layer['gflops']:.1f}", *shares)


def print_table(layers):
    print(HEAD)
    for layer in layers:
        print(line_of(layer))
    print()
    for kind, middle in medians(layers).items():
        own = [layer for layer in layers if layer["kind"] == kind]
        least, most = (100 * choice(layer["share"] for layer in own) for choice in (min, max))
        print(f"{KINDS[kind]}: {len(own)} shapes, median {100 * middle:.0f} % of the peak, {least:.0f} to {most:.0f} %")
    low = cliffs(layers)
    print(f"\nCliffs, under {100 * CLIFF:.0f} % of the median of their kind: {len(low) or 'none'}")
    if low:
        print(HEAD)
    for layer in sorted(low, key=lambda each: (each["kind"], each["share"])):
        print(line_of(layer))


# --- the chart --------------------------------------------------------------------------------------------------------------------

STYLE = """
text{font:13px system-ui,"DejaVu Sans",sans-serif;fill:#222}
.paper{fill:#fff}.grid{stroke:#ddd}.axis{stroke:#555}.peak{stroke:#222;stroke-width:1.5}.roof{stroke:#777;fill:none}
.title{font-size:17px;font-weight:bold}.minor{fill:#555}
.s1{fill:#0072b2}.s2{fill:#d55e00}.one{fill:#00855f}.first{fill:#a0409a}.mark{fill-opacity:.72}
@media (prefers-color-scheme:dark){
text{fill:#e4e4e4}.paper{fill:#16191d}.grid{stroke:#363b42}.axis{stroke:#999}.peak{stroke:#e4e4e4}.roof{stroke:#999}
.minor{fill:#aaa}.s1{fill:#56b4e9}.s2{fill:#ff9b4a}.one{fill:#3dd6a0}.first{fill:#e28ddb}
}
"""
MARKS = """<defs>
<circle id="s1" r="4"/>
<path id="s2" d="M0-5 4.8 3.6H-4.8Z"/>
<rect id="one" x="-3.6" y="-3.6" width="7.2" height="7.2"/>
<path id="first" d="M0-5.6 5.6 0 0 5.6-5.6 0Z"/>
</defs>"""
WIDE, HIGH, LEFT, RIGHT, TOP, BOTTOM = 960, 700, 88, 904, 190, 634


NOTE = "Winograd needs a quarter of the counted multiplications for 3x3 layers of stride 1, so these can be above the peak"


def count_name(n):
    """1e5 as 0.1 M, 1e9 as 1 G."""
    return f"{n / 1e9:g} G" if n >= 1e9 else f"{n / 1e6:g} M"


class Axes:
    """Where a number of multiply-adds and a share of the peak lie on the paper."""

    def __init__(self, layers):
        macs = [layer["macs"] for layer in layers]
        self.low, self.high = math.log10(min(macs)) - 0.1, math.log10(max(macs)) + 0.1
        self.most = max(1.5, math.ceil(2 * max(max(layer["share"], layer["roof"]) for layer in layers) + 0.1) / 2)

    def x(self, macs):
        return LEFT + (RIGHT - LEFT) * (math.log10(macs) - self.low) / (self.high - self.low)

    def y(self, share):
        return BOTTOM - (BOTTOM - TOP) * share / self.most

    def draw(self):
        lines = []
        for half in range(int(2 * self.most) + 1):
            y = self.y(half / 2)
            lines.append(f'<path class="{"peak" if half == 2 else "axis" if not half else "grid"}" d="M{LEFT} {y:.1f}H{RIGHT}"/>')
            lines.append(f'<text x="{LEFT - 8}" y="{y + 4.5:.1f}" text-anchor="end">{50 * half} %</text>')
        for power in range(math.ceil(self.low), math.floor(self.high) + 1):
            x = self.x(10 ** power)
            lines.append(f'<path class="grid" d="M{x:.1f} {TOP}V{BOTTOM}"/>')
            lines.append(f'<text x="{x:.1f}" y="{BOTTOM + 20}" text-anchor="middle">{count_name(10 ** power)}</text>')
        lines.append(f'<text x="{RIGHT + 8}" y="{self.y(1) + 4.5:.1f}">peak</text>')
        words = "multiply-adds of the layer for its whole batch"
        lines.append(f'<text x="{(LEFT + RIGHT) / 2}" y="{BOTTOM + 44}" text-anchor="middle">{words}</text>')
        middle = (TOP + BOTTOM) / 2
        lines.append(f'<text transform="translate(24 {middle}) rotate(-90)" text-anchor="middle">speed as a share of the FMA peak</text>')
        return lines


def legend(layers):
    lines, place = [], {"s1": (LEFT + 8, 126), "s2": (LEFT + 8, 148), "one": (LEFT + 428, 126), "first": (LEFT + 428, 148)}
    for kind, middle in medians(layers).items():
        x, y = place[kind]
        count = sum(layer["kind"] == kind for layer in layers)
        lines.append(f'<use href="#{kind}" class="{kind}" x="{x}" y="{y - 4.5}"/>')
        lines.append(f'<text x="{x + 14}" y="{y}">{KINDS[kind]}: {count} shapes, median {100 * middle:.0f} %</text>')
    words = "ceiling of memory, where it is below the peak: speed of reading x operations for each byte"
    lines.append(f'<path class="roof" d="M{LEFT + 3} 163.5h10m-5 0v8"/><text x="{LEFT + 22}" y="170">{words}</text>')
    return lines


def processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return "unknown processor"


def chart(layers, machine):
    axes = Axes(layers)
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDE}" height="{HIGH}" viewBox="0 0 {WIDE} {HIGH}" role="img" '
             'aria-label="Speed of every convolution layer as a share of the FMA peak">',
             f"<style>{STYLE}</style>", MARKS, f'<rect class="paper" width="{WIDE}" height="{HIGH}"/>',
             f'<text class="title" x="{LEFT}" y="32">Convolution layers against the ceilings of the machine</text>',
             *(f'<text class="minor" x="{LEFT}" y="{54 + 20 * i}">{escape(words)}</text>' for i, words in enumerate([*machine, NOTE])),
             *legend(layers), *axes.draw()]
    for layer in layers:
        if layer["roof"] < 1:
            x, y, roof = axes.x(layer["macs"]), axes.y(layer["share"]), axes.y(layer["roof"])
            lines.append(f'<path class="roof" d="M{x - 5:.1f} {roof:.1f}h10m-5 0V{y:.1f}"/>')
    for kind in KINDS:
        lines.append(f'<g class="mark {kind}">')
        lines += [f'<use href="#{kind}" x="{axes.x(layer["macs"]):.1f}" y="{axes.y(layer["share"]):.1f}"/>' for layer in layers
                  if layer["kind"] == kind]
        lines.append("</g>")
    return "\n".join([*lines, "</svg>", ""])


def machine_of(runs, layers):
    peak, speed = (statistics.median(run.get(key, 0) for run in runs) for key in ("peak_gflops", "bandwidth_gbs"))
    threads = runs[0]["threads"]
    return (f"{runs[0].get('processor', 'unknown processor')}, {threads} {'thread' if threads == 1 else 'threads'}, {runs[0]['isa']}",
            f"FMA peak {peak:.0f} GFLOP/s, reading of memory {speed:.1f} GB/s; "
            f"{len(layers)} shapes of layers from {len(runs)} runs of inference")


def main():
    parser = argparse.ArgumentParser(description="Every convolution layer against the FMA peak and the speed of memory.")
    parser.add_argument("program", nargs="?", help="the resnet program")
    parser.add_argument("--threads", type=int, default=0, help="threads to use [what the program takes]")
    parser.add_argument("-o", "--out", default=os.path.join(ROOT, "docs", "layers.svg"), help="the chart [docs/layers.svg]")
    parser.add_argument("--text", action="store_true", help="print the table, and the cliffs")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each run, at least [0.5]")
    parser.add_argument("--limit", type=float, default=120, help="leave out runs of more than so many billion multiply-adds [120]")
    parser.add_argument("--quick", action="store_true", help="four small runs, to try it")
    parser.add_argument("--save", metavar="FILE", help="keep what was measured")
    parser.add_argument("--from", dest="kept", metavar="FILE", help="draw what was kept; measure nothing")
    a = parser.parse_args()
    if a.kept:
        with open(a.kept, encoding="utf-8") as file:
            runs = json.load(file)
    elif a.program:
        runs = [{"processor": processor(), **run} for run in measure(a)]
    else:
        parser.error("say which program to measure, or --from FILE")
    if a.save:
        with open(a.save, "w", encoding="utf-8") as file:
            json.dump(runs, file)
    layers = [layer for run in runs for layer in layers_of(run)]
    if not layers:
        sys.exit("roofline: nothing was measured")
    if a.text:
        print_table(layers)
    with open(a.out, "w", encoding="utf-8") as file:
        file.write(chart(layers, machine_of(runs, layers)))
    print(f"{a.out}: {len(layers)} shapes of layers from {len(runs)} runs, {len(cliffs(layers))} cliffs", file=sys.stderr)


if __name__ == "__main__":
    main()
