#!/bin/sh
# Drawn shapes are told apart after seconds of training, and the model is the same whatever the threads and the cache.
#
# Catches: pictures that reach the network turned, cut or with other labels; augmentation that destroys them; draws or a cache that depend on who
# came first; a judge that prepares pictures otherwise than training did.
#
#     pictures.sh PROGRAM SYNTH
here=$(dirname "$0")
. "$here/common.sh"

"$synth" --pictures "$work/shapes" 4 80 24 40
set -- --arch resnet20 --width 8 --epochs 12 --batch 16 --resized-crop 0.5 --erase 0.1 --brightness 0.2 --seed 1
accepted "$program" train "$work/shapes" --out "$work/two" --threads 2 "$@"
accepted "$program" train "$work/shapes" --out "$work/one" --threads 1 --cache-mb 0 "$@"
cmp -s "$work/one/model.safetensors" "$work/two/model.safetensors" || wrong "another number of threads or no cache: another model"

accuracy() { "$program" eval "$work/two/model.safetensors" "$work/shapes" --json "$@" | sed -n 's/^  "accuracy": \([0-9.]*\).*/\1/p'; }
enough() { awk -v a="${1:-0}" -v least="$2" 'BEGIN {exit !(a >= least)}' || wrong "$3: accuracy ${1:-none}, at least $2 is wanted"; }
enough "$(accuracy)" 0.6 "one crop"
enough "$(accuracy --crops 10 --scales 37,42)" 0.6 "ten crops at two sizes"
accepted "$program" eval "$work/two/model.safetensors" "$work/shapes" --report "$work/report.html"
[ "$(grep -c 'class="look picture"' "$work/report.html")" -gt 10 ] || wrong "the report shows no pictures"
finish
