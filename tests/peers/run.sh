#!/usr/bin/env bash
# The tests that need Python: what the program writes, read by TensorBoard's, safetensors', NumPy's and Kaldi's readers, and what others write. Usage: tests/peers/run.sh BUILD
set -euo pipefail
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$(cd "$1" && pwd)
venv=$build/peers
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy safetensors tensorboard webdataset kaldiio soundfile
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
gcc -O1 "$source/tests/system/synth.c" -o synth -lm
./synth set 3 12 600 8000
"$build/resnet" train set --out run --width 16 --epochs 3 --batch 8 --seconds 0.6 --log-steps 1 >train.txt 2>&1 || { cat train.txt; exit 1; }
"$build/resnet" embed run/model.safetensors set -o embedding.npy
"$venv/bin/python" "$source/tests/peers/files.py" run embedding.npy
"$venv/bin/python" "$source/tests/peers/events.py" run
"$venv/bin/python" "$source/tests/peers/sets.py" "$build/resnet" set run embedding.npy
bash "$source/tests/peers/real_files.sh" "$build" "$venv/bin/python"

# Some gigabytes of other projects: with a Python that has them, RN_PEERS_PYTHON=.../bin/python
python=${RN_PEERS_PYTHON:-$venv/bin/python}
if "$python" -c 'import timm, torch, torchvision, transformers' 2>/dev/null; then
    "$python" "$source/tests/peers/models.py" "$build/resnet"
else
    echo "models of torchvision, timm and Hugging Face: skipped, $python has not all of them"
fi
if "$python" -c 'import onnx, onnxruntime, onnxscript, torch, torchvision' 2>/dev/null; then
    "$python" "$source/tests/peers/onnx_files.py" "$build/resnet"
else
    echo "ONNX: skipped, $python has not all of onnx, onnxruntime, onnxscript, torch and torchvision"
fi
