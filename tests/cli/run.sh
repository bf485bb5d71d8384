#!/bin/sh
# Runs the commands of cases.txt and compares what they print and their exit status, byte by byte.
#
#     run.sh PROGRAM SYNTH CASES            RN_UPDATE=1 writes CASES anew, to be read before it is believed
#
# A case is a line "$ COMMAND", what it prints (standard output and error together, in the order of arrival), and "= STATUS" where the
# status is not 0. Comment lines begin with "#". Commands run in a folder of their own: `data` (3 classes of 20 short recordings),
# `run` (a network trained on them for one epoch) and `pictures` (3 classes of 12 drawn shapes) are there; $tmp is the folder.
set -u
LC_ALL=C
export LC_ALL
unset RESNET_CPU
program=$(realpath "$1") synth=$(realpath "$2") cases=$(realpath "$3")
tmp=$(mktemp -d "${TMPDIR:-/tmp}/resnet-cli.XXXXXX")
export tmp
trap 'chmod -R u+rwx "$tmp" 2>/dev/null; rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM HUP
mkdir "$tmp/bin" "$tmp/work"
ln -s "$program" "$tmp/bin/resnet"
PATH=$tmp/bin:$PATH
cd "$tmp/work" || exit 1
"$synth" data 3 20 600 8000 || exit 1
"$synth" --pictures pictures 3 12 20 32 || exit 1
resnet train data --out run --arch resnet18 --width 8 --epochs 1 --batch 8 --seconds 0.4 --threads 2 >../train.log 2>&1 || { cat ../train.log; exit 1; }

command='' count=0 failures=0
: >../expected
: >../new
finish_case() {
    [ -n "$command" ] || return 0
    count=$((count + 1))
    sh -c "$command" >../out 2>&1 </dev/null
    status=$?
    [ "$status" -eq 0 ] || echo "= $status" >>../out
    if ! cmp -s ../out ../expected; then
        failures=$((failures + 1))
        [ -n "${RN_UPDATE-}" ] || { printf -- '--- %s\n' "$command"; diff ../expected ../out; }
    fi
    { printf '$ %s\n' "$command"; cat ../out; } >>../new
    command=''
}
while IFS= read -r line; do
    case $line in
    '$ '*)
        finish_case
        command=${line#??}
        : >../expected
        ;;
    '#'*)
        finish_case
        printf '%s\n' "$line" >>../new
        ;;
    *)
        if [ -n "$command" ]; then printf '%s\n' "$line" >>../expected; else printf '%s\n' "$line" >>../new; fi
        ;;
    esac
done <"$cases"
finish_case
if [ -n "${RN_UPDATE-}" ]; then
    cp ../new "$cases"
    echo "$cases: $failures of $count cases are new"
    exit 0
fi
echo "$count cases, $failures failures"
[ "$failures" -eq 0 ] && [ "$count" -gt 40 ]
