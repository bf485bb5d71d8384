#!/bin/sh
# A store of embeddings survives a kill at any moment: what was said to be stored is there, no recording is there in part, and the next run
# ends with the store of a run that was never stopped.
#
# Catches: a line printed before its commit, a recording's windows in two transactions, vectors that are not those of `-o X.npy`, a file taken
# for unchanged that is not, a database of something else that is written over.
#
#     store.sh PROGRAM SYNTH STORED        RN_KILLS kills (8; 50 with RN_FULL=1), at moments that RN_SEED fixes
here=$(dirname "$0")
. "$here/common.sh"
stored=$3
if [ -n "${RN_FULL-}" ]; then default=50; else default=8; fi
kills=${RN_KILLS:-$default}

"$synth" "$work/data" 3 150 600 8000
"$synth" "$work/long" 1 2 40000 8000
accepted "$program" train "$work/data" --out "$work/run" --arch resnet18 --width 8 --epochs 1 --batch 16 --seconds 0.4 --threads 2
[ "$failures" -eq 0 ] || finish
model=$work/run/model.safetensors
set -- "$work/data/class0" "$work/long" "$work/data/class1" "$work/data/class2" --hop 0.1

start=$(date +%s%N)
accepted "$program" embed "$model" "$@" -o "$work/whole.sqlite"
milliseconds=$((($(date +%s%N) - start) / 1000000))
"$stored" "$work/whole.sqlite" >"$work/whole" || wrong "the whole store"

# The same bits as an array, in the same order once both are sorted by path.
accepted "$program" embed "$model" "$@" -o "$work/whole.npy"
"$stored" "$work/whole.sqlite" vectors | cksum >"$work/a"
accepted "$program" embed "$model" "$work/data" "$work/long" --hop 0.1 -o "$work/sorted.npy"
tail -c $((1024 * $(wc -l <"$work/whole"))) "$work/sorted.npy" | cksum >"$work/b"
cmp -s "$work/a" "$work/b" || wrong "the store's vectors are not those of the array"
cut -d '|' -f 1-4 "$work/whole" | sort >"$work/a"
awk -F '\t' '{ printf "%s|%.6f|%.6f|1024\n", $1, $2, $3 }' "$work/whole.paths.txt" | sort >"$work/b"
cmp -s "$work/a" "$work/b" || wrong "the store's paths and times are not those of the array: $(diff "$work/a" "$work/b" | head -4)"

# whole_or_absent STORE SAID WHEN: every recording in the store is there as in the whole one; every one that was said to be stored is there.
whole_or_absent() {
    checks=$((checks + 1))
    if ! "$stored" "$1" >"$work/now" 2>"$work/err"; then # killed before it had tables, it has nothing to lose
        grep -q 'no such table' "$work/err" && ! grep -q '"stored"' "$2" || wrong "$3: the store can't be read"
        return
    fi
    sed -n 's/^{"path":"\([^"]*\)","state":"stored".*}$/\1/p' "$2" >"$work/said"
    cut -d '|' -f 1 "$work/now" | cat - "$work/said" | awk -F '|' 'NR == FNR { want[$1]; next } $1 in want' - "$work/whole" >"$work/want"
    cmp -s "$work/now" "$work/want" || wrong "$3: $(diff "$work/want" "$work/now" | head -4)"
    said=$((said + $(wc -l <"$work/said")))
}

# Only kills that came before the end count; where one came too late, the machine is faster than it was, and moments are drawn from less.
done_kills=0 trial=0 said=0 whole=$milliseconds
while [ "$done_kills" -lt "$kills" ] && [ "$trial" -lt $((kills + 20)) ]; do
    trial=$((trial + 1))
    store=$work/store$trial.sqlite
    : >"$work/lines"
    for again in 1 2 3; do
        [ "$done_kills" -lt "$kills" ] || break
        random "$milliseconds"
        moment=$picked
        random 2
        "$program" embed "$model" "$@" -o "$store" --json --threads $((picked + 1)) >>"$work/lines" 2>"$work/err" &
        child=$!
        sleep "$((moment / 1000)).$(printf %03d $((moment % 1000)))"
        kill -9 "$child" 2>/dev/null
        wait "$child" 2>/dev/null
        ended=$?
        [ "$ended" -eq 137 ] || [ "$ended" -eq 0 ] || wrong "store $trial, kill $again at $moment ms: exit status $ended"
        [ ! -s "$store" ] || whole_or_absent "$store" "$work/lines" "store $trial, kill $again at $moment ms"
        [ "$ended" -eq 137 ] || { milliseconds=$((milliseconds * 4 / 5 + 10)); break; }
        done_kills=$((done_kills + 1))
    done
    accepted "$program" embed "$model" "$@" -o "$store"
    "$stored" "$store" >"$work/now" 2>"$work/err" && cmp -s "$work/now" "$work/whole" || wrong "store $trial: not the store of a run that was never stopped"
    [ "$(find "$work" -name "store$trial.sqlite?*")" = "" ] || wrong "store $trial: left behind: $(find "$work" -name "store$trial.sqlite?*")"
    rm -f "$store"
done
echo "$done_kills kills, after $said lines that said something was stored; the whole run took $whole ms"
[ "$said" -gt 0 ] || [ "$kills" -lt 8 ] || wrong "no kill came after anything was stored: the test shows nothing"

# Ctrl-C: what is whole is kept, status 3; meanwhile the store can be read, and afterwards the same command goes on.
rm -f "$work/lines"
"$program" embed "$model" "$@" -o "$work/stopped.sqlite" --json >"$work/lines" 2>"$work/err" &
child=$!
tries=0
while [ ! -s "$work/lines" ] && [ "$tries" -lt 600 ]; do
    sleep 0.02
    tries=$((tries + 1))
done
whole_or_absent "$work/stopped.sqlite" "$work/lines" "while it is written"
kill -INT "$child" 2>/dev/null
wait "$child"
status=$?
checks=$((checks + 1))
if [ "$status" -eq 3 ]; then
    grep -q 'goes on' "$work/err" || wrong "the message does not say how to go on"
elif [ "$status" -ne 0 ]; then
    wrong "exit status $status after Ctrl-C"
fi
whole_or_absent "$work/stopped.sqlite" "$work/lines" "after Ctrl-C"
accepted "$program" embed "$model" "$@" -o "$work/stopped.sqlite"
"$stored" "$work/stopped.sqlite" >"$work/now" && cmp -s "$work/now" "$work/whole" || wrong "after Ctrl-C and another run: not the whole store"

# Two at once, and a third program that holds a lock for a while: each waits for the other, and both halves are there.
"$program" embed "$model" "$work/data/class0" "$work/long" --hop 0.1 -o "$work/two.sqlite" >"$work/out" 2>"$work/err2" &
child=$!
accepted "$program" embed "$model" "$work/data/class1" "$work/data/class2" --hop 0.1 -o "$work/two.sqlite"
wait "$child" || wrong "exit status $? of one of two: $(cat "$work/err2")"
"$stored" "$work/two.sqlite" >"$work/now" && cmp -s "$work/now" "$work/whole" || wrong "two at once: not the whole store"
"$stored" "$work/two.sqlite" hold 700 &
child=$!
sleep 0.2
accepted "$program" embed "$model" "$work/data/class0/item000.wav" --window 0.2 -o "$work/two.sqlite"
wait "$child"

# Changed in content, in time alone, in options, in model: what must be embedded again is, and nothing else.
says() { # PATTERN COMMAND...
    pattern=$1
    shift
    accepted "$@"
    grep -q -e "$pattern" "$work/err" || wrong "no \"$pattern\" in the message of: $*"
}
cp "$work/whole.sqlite" "$work/again.sqlite"
sum=$(cksum <"$work/again.sqlite")
says '0 stored.*452 unchanged' "$program" embed "$model" "$@" -o "$work/again.sqlite"
[ "$sum" = "$(cksum <"$work/again.sqlite")" ] || wrong "nothing was new, and yet the store was written to"
cp "$work/data/class0/item001.wav" "$work/kept.wav"
touch "$work/data/class0/item000.wav"
cp "$work/data/class0/item002.wav" "$work/data/class0/item001.wav"
says '1 stored.*451 unchanged' "$program" embed "$model" "$@" -o "$work/again.sqlite"
says '0 stored.*452 unchanged' "$program" embed "$model" "$@" -o "$work/again.sqlite"
"$stored" "$work/again.sqlite" >"$work/now"
[ "$(sed -n 's/^.*data.class0.item001.wav|//p' "$work/now")" = "$(sed -n 's/^.*data.class0.item002.wav|//p' "$work/now")" ] || wrong "a file that was overwritten kept its old vectors"
cp "$work/kept.wav" "$work/data/class0/item001.wav"
says '1 stored.*451 unchanged' "$program" embed "$model" "$@" -o "$work/again.sqlite"
"$stored" "$work/again.sqlite" >"$work/now" && cmp -s "$work/now" "$work/whole" || wrong "changed there and back: not the whole store"
says '450 stored.*0 unchanged' "$program" embed "$model" "$work/data" -o "$work/again.sqlite" --l2
[ "$("$stored" "$work/again.sqlite" | grep -c -v "$work/long")" -eq 450 ] || wrong "other options: the old vectors stayed"
accepted "$program" train "$work/data" --out "$work/run2" --arch resnet18 --width 8 --epochs 1 --batch 16 --seconds 0.4 --threads 2 --seed 7
says '450 stored.*0 unchanged' "$program" embed "$work/run2/model.safetensors" "$work/data" -o "$work/again.sqlite" --l2
[ "$("$stored" "$work/again.sqlite" | grep -c -v "$work/long")" -eq 900 ] || wrong "two models do not live side by side"
says '0 stored.*450 unchanged' "$program" embed "$model" "$work/data" -o "$work/again.sqlite" --l2

# A file that can't be decoded is counted and the others go on; a file that was whole once keeps its vectors.
: >"$work/data/class0/item003.wav"
refused 1 item003 "$program" embed "$model" "$work/data" -o "$work/again.sqlite" --l2
grep -q '0 stored.*449 unchanged, 1 failed' "$work/err" || wrong "one broken file: $(cat "$work/err")"
[ "$("$stored" "$work/again.sqlite" | grep -c 'class0/item003')" -eq 2 ] || wrong "a file that broke lost its vectors"

# What is no store of ours stays as it is.
cp "$model" "$work/model.db"
printf 'hello' >"$work/text.sqlite"
head -c 5000 "$work/whole.sqlite" >"$work/cut.sqlite"
cp "$work/whole.sqlite" "$work/holes.sqlite"
for at in 6000 8200 20000 40000 70000 100000 200000; do poke "$work/holes.sqlite" "$at" 377 377 377 377 377 377 377 377; done
cp "$work/whole.sqlite" "$work/newer.sqlite"
poke "$work/newer.sqlite" 60 0 0 0 11 # user_version 9
cp "$work/whole.sqlite" "$work/other.sqlite"
poke "$work/other.sqlite" 68 1 2 3 4 # application_id
for name in model.db text.sqlite cut.sqlite newer.sqlite other.sqlite; do
    sum=$(cksum <"$work/$name")
    refused 1 "$name: " "$program" embed "$model" "$work/data" -o "$work/$name"
    [ "$sum" = "$(cksum <"$work/$name")" ] || wrong "$name was changed"
done
survives holes "$program" embed "$model" "$work/data" -o "$work/holes.sqlite"
mkdir "$work/folder.sqlite"
refused 1 folder.sqlite "$program" embed "$model" "$work/data" -o "$work/folder.sqlite"
refused 1 absent "$program" embed "$model" "$work/data" -o "$work/absent/x.sqlite"
refused 2 'standard input' "$program" embed "$model" - -o "$work/x.sqlite"
finish
