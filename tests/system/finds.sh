#!/bin/sh
# Killed at any moment, `predict --out` that is started again ends with the bytes of one that was never stopped, and with the same cuts.
#
# Catches: a record that is taken although it is not whole, one that is lost although it was announced, a recording heard twice or left out,
# finds in another order, finds of the recording that was killed cut twice or missing, an output file that is seen half written.
#
#     finds.sh PROGRAM SYNTH        RN_KILLS kills (8; 50 with RN_FULL=1), at moments that RN_SEED fixes
here=$(dirname "$0")
. "$here/common.sh"
if [ -n "${RN_FULL-}" ]; then default=50; else default=8; fi
kills=${RN_KILLS:-$default}

"$synth" "$work/data" 3 20 600 8000
accepted "$program" train "$work/data" --out "$work/run" --arch resnet18 --width 8 --epochs 1 --batch 8 --seconds 0.4 --threads 2
"$synth" "$work/night" 3 4 9000 8000
cd "$work" || exit 1

# ./hear NAME [THREADS]: as a user would type it, again and again. (A program, so that its process is the one that is killed.)
cat >hear <<END
#!/bin/sh
exec "$program" predict run/model.safetensors night --hop 0.15 --min-prob 0.345 --keep-prob 0.34 --out "\$1.csv" --extract "\$1" --report "\$1.html" --threads "\${2:-2}"
END
chmod +x hear

start=$(date +%s%N)
run ./hear whole
[ "$status" -eq 0 ] || { wrong "exit status $status of the whole run"; finish; }
milliseconds=$((($(date +%s%N) - start) / 1000000))
[ "$(wc -l <whole.csv)" -gt 10 ] || wrong "too few finds to tell anything: $(wc -l <whole.csv)"
sed '/<pre>/d' whole.html >page # without the command

same() {
    checks=$((checks + 1))
    cmp -s whole.csv "$1.csv" || wrong "$2: $1.csv differs"
    sed '/<pre>/d' "$1.html" | cmp -s - page || wrong "$2: the page differs"
    [ ! -e "$1.csv.part" ] || wrong "$2: $1.csv.part is left"
    diff -r -x '*.tmp.*' whole "$1" >"$work/err" || wrong "$2: the cuts differ"
}

done_kills=0 trial=0 midway=0
while [ "$done_kills" -lt "$kills" ]; do
    trial=$((trial + 1))
    for again in 1 2 3; do
        [ "$done_kills" -lt "$kills" ] || break
        [ ! -e "trial$trial.csv" ] || break
        random "$milliseconds"
        moment=$picked
        random 2
        ./hear "trial$trial" $((picked + 1)) >"$work/out" 2>"$work/err" &
        child=$!
        sleep "$((moment / 1000)).$(printf %03d $((moment % 1000)))"
        kill -9 "$child" 2>/dev/null
        wait "$child" 2>/dev/null
        ended=$?
        done_kills=$((done_kills + 1))
        [ ! -e "trial$trial.csv.part" ] || midway=$((midway + $(grep -c -a '^recording ' "trial$trial.csv.part")))
        [ "$ended" -eq 137 ] || [ "$ended" -eq 0 ] || wrong "run $trial, kill $again at $moment ms: exit status $ended"
    done
    if [ ! -e "trial$trial.csv" ] || [ -e "trial$trial.csv.part" ]; then
        run ./hear "trial$trial"
        [ "$status" -eq 0 ] || wrong "exit status $status of trial $trial, started again"
    fi
    same "trial$trial" "trial $trial"
done
echo "$done_kills kills, $midway recordings done when they came; the whole run takes $milliseconds ms"

# Ctrl-C: status 3, and a message that says how to go on.
./hear stopped >"$work/out" 2>"$work/err" &
child=$!
tries=0
while [ "$(grep -c -a '^recording ' stopped.csv.part 2>/dev/null || :)" != 2 ] && [ "$tries" -lt 600 ]; do
    sleep 0.02
    tries=$((tries + 1))
done
kill -INT "$child" 2>/dev/null
wait "$child"
status=$?
checks=$((checks + 1))
if [ "$status" -eq 3 ]; then
    grep -q -e 'the same command goes on' "$work/err" || wrong "the message does not say how to go on"
    [ ! -e stopped.csv ] || wrong "a table that is not whole"
    run ./hear stopped 1
    [ "$status" -eq 0 ] || wrong "exit status $status after Ctrl-C, started again"
elif [ "$status" -ne 0 ]; then
    wrong "exit status $status after Ctrl-C"
fi
same stopped "after Ctrl-C"

# A record cut off at any byte, and nonsense behind the last: as if it had never been written.
for share in 2 3 4 6 8 12; do # a machine that has become faster since the whole run was timed needs an earlier stop
    rm -f torn.csv
    run timeout -s INT "$(awk "BEGIN { print $milliseconds / $share / 1000 }")" ./hear torn
    [ ! -e torn.csv.part ] || break
done
if [ -e torn.csv.part ]; then
    head -c $(($(size_of torn.csv.part) - 7)) torn.csv.part >spare && printf 'recording 1 2 3 4 5 6' >>spare
    mv spare torn.csv.part
else
    wrong "no run could be stopped half way"
fi
run ./hear torn
[ "$status" -eq 0 ] || wrong "exit status $status on a torn journal"
same torn "torn journal"

# Another recording in its place is heard; two at once are refused; so is another journal.
refused 1 'already' "$program" predict run/model.safetensors night --out whole.csv
echo x >odd.csv.part
refused 1 'not a journal' "$program" predict run/model.safetensors night --out odd.csv
refused 1 'No such file' "$program" predict run/model.safetensors night --out nowhere/odd.csv
finish
