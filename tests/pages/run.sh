#!/usr/bin/env bash
# Looks at the training page in headless Chromium: a real run, several runs, one of 100,000 steps, and one whose names, labels and metadata try to
# become part of the page. Usage: tests/pages/run.sh BUILD [FOLDER FOR PICTURES]
set -euo pipefail
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$(cd "$1" && pwd)
shots=${2:+$(mkdir -p "$2" && cd "$2" && pwd)}
command -v chromium >/dev/null || { echo "run.sh: needs chromium: scripts/setup pages" >&2; exit 1; }
venv=$build/pages-venv
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps websocket-client axe-playwright-python
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
cd "$work"
gcc -O1 "$source/tests/system/synth.c" -o synth -lm
./synth data 3 20 600 8000
options="--arch resnet18 --width 8 --batch 8 --seconds 0.4 --log-steps 1"
"$build/resnet" train data --out run --epochs 6 $options >train.txt 2>&1 || { cat train.txt; exit 1; }
"$build/resnet" train data --out other --epochs 8 --lr 0.01 --mixup 0.4 $options >train.txt 2>&1 || { cat train.txt; exit 1; }

# Folders and files of any name that a file system takes.
hostile='<img src=x onerror=alert(1)>'
mkdir -p "any/$hostile" any/$'"\'><script>alert(2)<-->' any/$'\xe2\x80\xae\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d &amp;'
cp data/class0/* "any/$hostile/"
for item in "any/$hostile"/*; do mv "$item" "${item%.wav}"$'\'"><svg onload=alert(3)>\n\xff\xfe\xe2\x80\xae.wav'; done
cp data/class1/* any/$'"\'><script>alert(2)<-->/'
cp data/class2/* any/$'\xe2\x80\xae\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d &amp;/'
out=$'run <b onmouseover=alert(4)>\xe2\x80\xae\n\xff'
"$build/resnet" train any --out "$out" --epochs 3 $options >train.txt 2>&1 || { cat train.txt; exit 1; }
# A log and a word that no trainer wrote.
mkdir forged
cat >forged/log.jsonl <<'FORGED'
{"kind":"start","labels":["</script><script>alert(5)</script>",{"toString":"x"},["a"],null],"epochs":"<b>","steps":-4,"__proto__":{"polluted":1}}
no json
{"kind":"step","step":"1","loss":"<img src=x onerror=alert(6)>"}
{"kind":"step","step":1e308,"loss":1e308,"gradient_norms":[1,2]}
{"kind":"step","epoch":1,"step":5,"loss":0.5,"gradient_norm":-1,"lr":null}
{"kind":"epoch","epoch":1,"step":5,"loss":{"a":1},"accuracy":"x","validation_accuracy":7,"confusion":[["<b>",2],null,7,[1e300,-1]],"best":"yes"}
{"kind":"test","accuracy":"<i>"}
null
FORGED
printf '{"state":"failed","error":"<img src=x onerror=alert(7)>\\u202e","epoch":"<b>","epochs":-1,"time":"x","items_per_second":"9"}' >forged/progress.json
printf 'not a sample' >forged/sample.safetensors
mkdir long
"$venv/bin/python" - >long/log.jsonl <<'PYTHON'
import json, math, random
random.seed(1)
print(json.dumps({"kind": "start", "labels": [f"class {i}" for i in range(40)], "epochs": 100, "steps": 1000, "batch": 32, "train": 32000}))
for step in range(1, 100001):
    loss = 2 * math.exp(-step / 20000) + 0.1 + 0.1 * random.random()
    norms = {stage: (i + 1) * loss for i, stage in enumerate(["stem", "layer1", "layer2", "layer3", "layer4", "head"])}
    print(json.dumps({"kind": "step", "epoch": 1 + (step - 1) // 1000, "step": step, "loss": loss, "gradient_norm": 9 * loss, "gradient_norms": norms,
                      "lr": 0.1 * (1 + math.cos(math.pi * step / 100000)) / 2}))
    if step % 1000 == 0:
        confusion = [[50 if i == j else random.randrange(4) for j in range(40)] for i in range(40)]
        print(json.dumps({"kind": "epoch", "epoch": step // 1000, "step": step, "loss": loss, "accuracy": 1 - loss / 3, "validation_loss": loss * 1.1,
                          "validation_accuracy": 1 - loss / 2.5, "validation_macro": 1 - loss / 2.5, "lr": 0.1, "best": True, "confusion": confusion}))
PYTHON

look() {
    local name=$1
    shift
    "$build/resnet" watch "${runs[@]}" --listen 127.0.0.1:0 >url 2>server.txt &
    server=$!
    for _ in $(seq 50); do [ -s url ] && break; sleep 0.1; done
    "$venv/bin/python" "$source/tests/pages/check.py" ${shots:+--shots "$shots"} --name "$name" "$@" "$(cat url)"
    kill "$server"
    wait "$server" || true
    server=
}
runs=(run)
look one --expect "class2" --expect "finished"
runs=(run other)
look several --expect "other validation"
runs=("$out" forged)
look hostile --expect "<b onmouseover=alert(4)>" --expect "<img src=x onerror=alert(1)>" --expect "<svg onload=alert(3)>" --expect "onerror=alert(7)"
runs=(forged)
look forged --expect "<script>alert(5)</script>"
runs=(long)
look long --wait 6 --expect "100 of 100" --expect "Of 40 classes"
echo "the training page: well"
