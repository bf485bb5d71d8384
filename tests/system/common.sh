# Shared by the tests of the whole program: sourced with the program's path and the generator's (synth.c) as arguments.
#
# A test counts what went wrong and goes on, so that one run shows everything; `finish` ends it. Everything is written below $work.
set -u
LC_ALL=C
export LC_ALL
program=$1
synth=$2
work=$(mktemp -d "${TMPDIR:-/tmp}/resnet-test.XXXXXX")
mounted=
failures=0
checks=0
clean_up() {
    [ -z "$mounted" ] || umount "$mounted" 2>/dev/null
    chmod -R u+rwx "$work" 2>/dev/null
    [ -n "${RN_KEEP-}" ] || rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

wrong() {
    failures=$((failures + 1))
    echo "FAILED: $*"
    [ ! -s "$work/err" ] || sed 's/^/    stderr: /' "$work/err" | tail -5
}

# run COMMAND...: sets $status; output in $work/out and $work/err. A minute and a half is for ever here.
run() {
    checks=$((checks + 1))
    timeout -k 5 90 "$@" >"$work/out" 2>"$work/err" </dev/null
    status=$?
}

# A signal, a time-out or a sanitizer's report: never allowed, whatever the input.
crashed() {
    [ "$status" -ge 124 ] || grep -q -e Sanitizer -e 'runtime error:' "$work/err"
}

# refused STATUS PATTERN COMMAND...: fails with this status and a message that has the pattern.
refused() {
    want=$1 pattern=$2
    shift 2
    run "$@"
    if crashed || [ "$status" -ne "$want" ]; then
        wrong "exit status $status instead of $want: $*"
    elif ! grep -qi -e "$pattern" "$work/err"; then
        wrong "no \"$pattern\" in the message of: $*"
    fi
}

# accepted COMMAND...: works.
accepted() {
    run "$@"
    [ "$status" -eq 0 ] || wrong "exit status $status: $*"
}

# survives PATTERN COMMAND...: works, or fails with status 1 and a message that has the pattern.
survives() {
    pattern=$1
    shift
    run "$@"
    if crashed || [ "$status" -gt 1 ]; then
        wrong "exit status $status: $*"
    elif [ "$status" -eq 1 ] && ! grep -q -e "$pattern" "$work/err"; then
        wrong "no \"$pattern\" in the message of: $*"
    fi
}

# poke FILE OFFSET OCTAL...: overwrites bytes.
poke() {
    file=$1 at=$2
    shift 2
    printf "$(printf '\\%s' "$@")" | dd of="$file" bs=1 seek="$at" conv=notrunc 2>/dev/null
}

size_of() { stat -c %s "$1"; }

# random N: a number below N from a sequence that $RN_SEED fixes.
RN_SEED=${RN_SEED:-$$}
drawn=$RN_SEED
random() {
    drawn=$(((drawn * 1103515245 + 12345) & 0x7fffffff))
    picked=$((drawn / 65536 % $1))
}

finish() {
    echo "$checks checks, $failures failures (RN_SEED=$RN_SEED)"
    [ "$failures" -eq 0 ]
    exit
}
