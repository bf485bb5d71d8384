#!/bin/sh
# The inner loops of the register tiles keep their sums in registers: no vector load or store of theirs goes to the stack.
#
#     check_spills.sh PERCENT OBJECT...        the objects of src/kernels/x86/avx2.c and avx512.c, as the build made them
#
# A tile that is one pixel too large, or a compiler that finds one value more to keep, costs nothing that another test sees: the bits are
# the same, the speed is half. The tiles are the functions tile_M_K, wgrad_*, and rn_wgrad_tile_* and rn_peak_*, into which some of them are
# inlined; a loop is a jump backwards, an inner loop one without another inside. Winograd's transforms are straight-line code with more
# values than registers at times: there less than PERCENT of the vector instructions may touch the stack.
#
# Exit status 77, skipped: no object (another processor), or no objdump. Not seen: an array on the stack that is reached through a third
# register. Seen to fail: an AVX2 tile of 7 pixels, 14 sums in 16 registers.
set -u
LC_ALL=C
export LC_ALL
percent=$1
shift
[ $# -gt 0 ] || { echo "no object of x86-64 in this build"; exit 77; }
command -v objdump >/dev/null || { echo "no objdump here (binutils)"; exit 77; }

status=0
for object in "$@"; do
    [ -r "$object" ] || { echo "$object: not there"; exit 1; }
    objdump -d --no-show-raw-insn "$object" | awk -v object="${object##*/}" -v percent="$percent" '
        # One function, instructions 1 .. n: where its loops are, and what they touch.
        function finish(i, j, k, from, to, inner, loops, loads) {
            if (name ~ tile && name !~ /[.]cold/) {
                for (i = 1; i <= jumps; i++) {
                    from = head[i]; to = tail[i]; inner = 1
                    for (j = 1; j <= jumps; j++) # the same head: one loop with two ways back
                        if (head[j] > from && tail[j] <= to) inner = 0
                    for (k = from; inner && k <= to && !fused[k]; k++) ;
                    if (!inner || k > to) continue
                    loops++
                    for (k = from; k <= to; k++)
                        if (vector[k] && stack[k] && !(frame[k] && !framed)) report("an inner loop uses the stack:" text[k])
                }
                if (!loops) report("no inner loop with multiply-adds: this test would see nothing")
                tiles++; inner_loops += loops
            } else if (name ~ straight && name !~ /[.]cold/) {
                for (k = 1; k <= n; k++)
                    if (vector[k]) { loops++; loads += stack[k] && !(frame[k] && !framed) }
                if (100 * loads >= percent * loops) report(loads + 0 " of " loops + 0 " vector instructions use the stack")
                transforms++
                if (loops && loads / loops >= worst) worst = loads / loops
            }
            n = jumps = framed = 0
            split("", at); split("", fused); split("", vector); split("", stack); split("", frame)
        }
        function report(what) { print object ": " name ": " what; bad = 1 }
        BEGIN {
            tile = "^(tile_[0-9]+_[0-9]+|wgrad_[0-9]+|rn_wgrad_tile_|rn_peak_)"
            straight = "^rn_winograd_(input|output|gradient)_avx"
        }
        /^[0-9a-f]+ <.*>:$/ { finish(); name = $2; sub(/^</, "", name); sub(/>:$/, "", name); next }
        /^ *[0-9a-f]+:\t/ {
            n++
            address = $1; sub(/:$/, "", address)
            at[address] = n
            text[n] = $0; sub(/^[^\t]*\t/, " ", text[n])
            vector[n] = $2 ~ /^v/ && $2 != "vzeroupper"
            fused[n] = $2 ~ /^vfn?m(add|sub)/
            stack[n] = /\(%r[sb]p[,)]/
            frame[n] = /\(%rbp[,)]/ # the frame pointer, or just one more register
            if ($2 == "mov" && $3 == "%rsp,%rbp") framed = 1
            if ($2 ~ /^j/ && $3 in at) { jumps++; head[jumps] = at[$3]; tail[jumps] = n }
        }
        END {
            finish()
            if (!tiles || !transforms) { print object ": no register tile or no transform in it: have they other names now?"; bad = 1 }
            printf "%s: %d functions of tiles, %d inner loops; %d transforms: at most %.1f %% of the vector instructions use the stack\n",
                object, tiles, inner_loops, transforms, 100 * worst
            exit bad
        }' || status=1
done
exit $status
