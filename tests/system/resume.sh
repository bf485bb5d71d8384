#!/bin/sh
# Killed at any moment, a training that is resumed ends with the bits of one that was never stopped.
#
# Catches: a checkpoint that is seen half written, state that is not in it (momentum, averaged weights, place in the epoch, best so far),
# random numbers that depend on how often the program was started, logs with the same step twice.
#
#     resume.sh PROGRAM SYNTH        RN_KILLS kills (6; 50 with RN_FULL=1), at moments that RN_SEED fixes
here=$(dirname "$0")
. "$here/common.sh"
if [ -n "${RN_FULL-}" ]; then default=50; else default=6; fi
kills=${RN_KILLS:-$default}

"$synth" "$work/data" 3 20 600 8000
# Two ghost batches a step, averaged weights, and every kind of augmentation, so that all state and all random numbers count.
set -- --arch resnet18 --width 8 --epochs 4 --batch 8 --ghost-batch 4 --ema 0.9 --mixup 0.2 --seconds 0.4 --seed 3

start=$(date +%s%N)
accepted "$program" train "$work/data" --out "$work/whole" --threads 2 "$@"
[ "$failures" -eq 0 ] || finish
milliseconds=$((($(date +%s%N) - start) / 1000000))

# What the tensors of a file are, without its header (which names the event file, and so a time and a process).
tensors() { tail -c +"$((9 + $(od -An -tu8 -N8 "$1")))" "$1"; }
same() {
    cmp -s "$1/model.safetensors" "$work/whole/model.safetensors" || wrong "$2: model.safetensors differs"
    tensors "$1/last.safetensors" >"$work/a" && tensors "$work/whole/last.safetensors" >"$work/b"
    cmp -s "$work/a" "$work/b" || wrong "$2: the tensors of last.safetensors differ"
    cmp -s "$1/split.csv" "$work/whole/split.csv" || wrong "$2: split.csv differs"
    cmp -s "$1/log.jsonl" "$work/whole/log.jsonl" || wrong "$2: log.jsonl differs: $(diff "$1/log.jsonl" "$work/whole/log.jsonl" | head -4)"
    cmp -s "$1/config.json" "$work/whole/config.json" || [ -n "$extra" ] || wrong "$2: config.json differs"
    [ "$(cat "$1"/events.* | wc -c)" -eq "$(cat "$work"/whole/events.* | wc -c)" ] || wrong "$2: the event files differ in length"
    left=$(find "$1" -name '*.tmp.*')
    [ -z "$left" ] || wrong "$2: left behind: $left"
}

# A process that cannot be caught, at a drawn moment of what is about its life. Every other run saves after nearly every step as well.
done_kills=0 trial=0 midway=0
while [ "$done_kills" -lt "$kills" ]; do
    trial=$((trial + 1))
    folder=$work/run$trial
    extra=
    [ $((trial % 2)) -eq 0 ] || extra="--checkpoint-minutes 0.0005"
    for again in 1 2 3; do
        [ "$done_kills" -lt "$kills" ] || break
        random "$milliseconds"
        moment=$picked
        random 2
        "$program" train "$work/data" --out "$folder" --threads $((picked + 1)) --resume $extra "$@" >/dev/null 2>"$work/err" &
        child=$!
        sleep "$((moment / 1000)).$(printf %03d $((moment % 1000)))"
        kill -9 "$child" 2>/dev/null
        wait "$child" 2>/dev/null
        ended=$?
        done_kills=$((done_kills + 1))
        [ "$ended" -ne 137 ] || [ ! -e "$folder/last.safetensors" ] || midway=$((midway + 1))
        [ "$ended" -eq 137 ] || [ "$ended" -eq 0 ] || wrong "run $trial, kill $again at $moment ms: exit status $ended"
        for file in model last; do
            [ ! -e "$folder/$file.safetensors" ] || accepted "$program" info "$folder/$file.safetensors"
        done
    done
    accepted "$program" train "$work/data" --out "$folder" --threads 2 --resume $extra "$@"
    same "$folder" "run $trial"
    rm -rf "$folder"
done

echo "$done_kills kills, $midway of them with a checkpoint to go on from; the whole run takes $milliseconds ms"

# Ctrl-C after the first epoch: a checkpoint, status 3, and the command that goes on. (A shell's background jobs ignore SIGINT from birth; the
# program asks for it all the same.)
extra=
"$program" train "$work/data" --out "$work/stopped" --threads 2 "$@" >"$work/out" 2>"$work/err" &
child=$!
tries=0
while [ ! -e "$work/stopped/last.safetensors" ] && [ "$tries" -lt 600 ]; do
    sleep 0.05
    tries=$((tries + 1))
done
kill -INT "$child" 2>/dev/null
wait "$child"
status=$?
checks=$((checks + 1))
if [ "$status" -eq 3 ]; then
    grep -q -e --resume "$work/err" || wrong "the message does not say how to go on"
elif [ "$status" -ne 0 ]; then
    wrong "exit status $status after Ctrl-C"
fi
accepted "$program" train "$work/data" --out "$work/stopped" --threads 2 --resume "$@"
same "$work/stopped" "after Ctrl-C"

# Before the first step there is nothing to keep, and --resume starts afresh.
"$program" train "$work/data" --out "$work/early" --threads 2 "$@" >"$work/out" 2>"$work/err" &
child=$!
sleep 0.02
kill -TERM "$child" 2>/dev/null
wait "$child"
status=$?
checks=$((checks + 1))
[ "$status" -eq 3 ] || [ "$status" -eq 143 ] || [ "$status" -eq 0 ] || wrong "exit status $status after an early SIGTERM"
accepted "$program" train "$work/data" --out "$work/early" --threads 2 --resume "$@"
same "$work/early" "after an early SIGTERM"

# An existing run is not overwritten, and is not continued with other data or other options.
refused 1 resume "$program" train "$work/data" --out "$work/whole" "$@"
refused 1 lr "$program" train "$work/data" --out "$work/whole" --resume "$@" --lr 0.001
refused 1 momentum "$program" train "$work/data" --out "$work/whole" --resume "$@" --momentum 0.8
"$synth" "$work/other" 3 21 600 8000
refused 1 . "$program" train "$work/other" --out "$work/whole" --resume "$@"
cp -r "$work/data" "$work/changed"
cp "$work/changed/class0/item001.wav" "$work/changed/class0/item000.wav"
refused 1 . "$program" train "$work/changed" --out "$work/whole" --resume "$@"
finish
