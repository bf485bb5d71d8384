#!/bin/sh
# A full disk is an error that leaves the previous checkpoint whole; with room again, --resume ends with the same bits.
#
# Catches: a write or a close whose failure nobody looks at, a checkpoint that is written over the old one in place.
# As root, on a small tmpfs; otherwise with a limit on the size of files, which fails in the same calls.
#
#     disk.sh PROGRAM SYNTH
here=$(dirname "$0")
. "$here/common.sh"

"$synth" "$work/data" 2 16 600 8000
small="--arch resnet18 --width 16 --epochs 3 --batch 8 --seconds 0.4 --threads 2"
accepted "$program" train "$work/data" --out "$work/whole" $small
[ "$failures" -eq 0 ] || finish
last=$(size_of "$work/whole/last.safetensors")
all=$(du -sb "$work/whole" | cut -f1)

# Tables that can't be written are not "done".
if [ -e /dev/full ]; then
    for verb in "arch resnet18" "info" "info $work/whole/model.safetensors" "predict $work/whole/model.safetensors $work/data/class0/item000.wav" \
        "eval $work/whole/model.safetensors $work/data" "data stats $work/data" "arch resnet18 --json"; do
        checks=$((checks + 1))
        "$program" $verb >/dev/full 2>"$work/err"
        status=$?
        [ "$status" -eq 1 ] && grep -qi 'space\|write\|written' "$work/err" || wrong "exit status $status: $verb >/dev/full"
    done
fi

still_whole() { # FOLDER: what was promised can be read
    left=$(find "$1" -name '*.tmp.*')
    [ -z "$left" ] || wrong "left behind: $left"
    if [ -e "$1/last.safetensors" ]; then
        accepted "$program" info "$1/last.safetensors"
    fi
    if [ -e "$1/model.safetensors" ]; then
        accepted "$program" predict "$1/model.safetensors" "$work/data/class0/item000.wav"
    fi
}

mkdir "$work/disk"
if [ "$(id -u)" -eq 0 ] && mount -t tmpfs -o size=1m none "$work/disk" 2>/dev/null; then
    mounted=$work/disk
    # From no room for anything to no room for the second checkpoint beside the first.
    for size in 4096 $((last / 2)) $((last + last / 2)) $((all + last / 2)); do
        mount -o remount,size="$size" "$work/disk"
        refused 1 'space' "$program" train "$work/data" --out "$work/disk/run" $small
        still_whole "$work/disk"
        [ "$size" -lt "$all" ] || [ -e "$work/disk/run/last.safetensors" ] || wrong "no checkpoint, although one fits into $size bytes"
        [ "$size" -ge "$all" ] || rm -rf "$work/disk/run"
    done
    refused 1 'space' "$program" train "$work/data" --out "$work/disk/run" $small --resume
    still_whole "$work/disk"
    mount -o remount,size=$((4 * all + 1000000)) "$work/disk"
    accepted "$program" train "$work/data" --out "$work/disk/run" $small --resume
    cmp -s "$work/disk/run/model.safetensors" "$work/whole/model.safetensors" || wrong "after a full disk and --resume: another model"
    mount -o remount,size=$(($(df -B1 --output=used "$work/disk" | tail -1) + 4096)) "$work/disk"
    refused 1 'space' "$program" embed "$work/whole/model.safetensors" "$work/data" -o "$work/disk/x.npy"
    [ ! -e "$work/disk/x.npy" ] || wrong "half an x.npy"
    # A store that finds no more room keeps what it said, and goes on when there is some.
    mount -o remount,size=$(($(df -B1 --output=used "$work/disk" | tail -1) + 150000)) "$work/disk"
    refused 1 'space' "$program" embed "$work/whole/model.safetensors" "$work/data" --window 0.2 --hop 0.01 -o "$work/disk/x.sqlite"
    mount -o remount,size=$((8 * all + 8000000)) "$work/disk"
    accepted "$program" embed "$work/whole/model.safetensors" "$work/data" --window 0.2 --hop 0.01 -o "$work/disk/x.sqlite"
    accepted "$program" embed "$work/whole/model.safetensors" "$work/data" --window 0.2 --hop 0.01 -o "$work/disk/x.sqlite"
    grep -q '0 stored, 32 unchanged, 0 failed' "$work/err" || wrong "after a full disk: not the whole store"
else
    (
        trap '' XFSZ
        ulimit -f $((last / 2048)) # in units of 512 bytes (dash) or 1,024 (bash): room for a part of a checkpoint
        exec "$program" train "$work/data" --out "$work/disk/run" $small >"$work/out" 2>"$work/err"
    )
    status=$?
    checks=$((checks + 1))
    [ "$status" -eq 1 ] && grep -qi 'large' "$work/err" || wrong "exit status $status with a limit on the size of files"
    still_whole "$work/disk"
fi
finish
