#!/bin/sh
# The odd recordings and pictures of other projects' tests: each is read, or refused with a sentence that names it; never a signal, never a leak.
#
# Catches: chunks in an order that only other programs write, sizes that lie, sample kinds that nobody has, palettes and depths that are rare.
# Reads what Debian's python3-scipy, libpython3.11-testsuite and golang-1.19-src bring (WAV, AIFF, AU; PNG with PngSuite, JPEG, BMP ...), where they
# are installed, or unpacked (dpkg -x) below ROOT. To be run on a program built with sanitizers.
#
#     odd.sh PROGRAM SYNTH [ROOT]       prints what became of each file
here=$(dirname "$0")
. "$here/common.sh"
root=${3-}
"$synth" "$work/good" 2 1 600 8000
pictures=$(cd "$here/../golden/images" && pwd)

# start GOOD GOOD: two good files of a kind, of two classes, to stand beside the odd ones. Fails where the program does not take the kind.
start() {
    good=$(printf 'path,label\n%s,x\n%s,y' "$1" "$2")
    printf '%s\n' "$good" >"$work/odd.csv"
    run "$program" data check "$work/odd.csv"
    grep -q ' 2 [a-z]*, 2 classes' "$work/out"
}

# look FILE...: what becomes of each
look() {
    for file; do
        [ -f "$file" ] || continue
        found=1
        name=${file##*/}
        printf '%s\n%s,x\n' "$good" "$file" >"$work/odd.csv"
        run "$program" data check "$work/odd.csv"
        if crashed || [ "$status" -gt 1 ]; then
            wrong "exit status $status: data check of $file"
        elif grep -q -e ' 2 [a-z]*, 2 classes' "$work/out"; then
            grep -q -F -e "$name" "$work/out" || wrong "left out without a word: $file"
            echo "passed   $file: no decoder for its kind"
        elif grep -F -e "$name" "$work/out" | grep -q -e ' error *undecodable' -e ' error *empty'; then
            echo "refused  $file: $(grep -F -e "$name" "$work/out" | sed "s|^ *error *[a-z]* *||; s|[^ ]*/$name|$name|" | head -1)"
        else
            echo "read     $file"
        fi
    done
}

found=
start "$work/good/class0/item000.wav" "$work/good/class1/item000.wav"
for folder in lib/python3/dist-packages/scipy/io/tests/data lib/python3.11/test/audiodata lib/python3.11/test/sndhdrdata; do
    look "$root/usr/$folder"/*.wav "$root/usr/$folder"/*.au "$root/usr/$folder"/*.aif* "$root/usr/$folder"/sndhdr.[!wa]*
done
if start "$pictures/one.png" "$pictures/one.jpg"; then
    for folder in share/go-1.19/src/image/png/testdata share/go-1.19/src/image/png/testdata/pngsuite share/go-1.19/src/image/testdata \
        lib/python3.11/test/imghdrdata; do
        look "$root/usr/$folder"/*.png "$root/usr/$folder"/*.jp*g "$root/usr/$folder"/*.bmp "$root/usr/$folder"/*.p[bgp]m "$root/usr/$folder"/*.webp
    done
else
    echo "skipped: the pictures; this program takes none as DATA"
fi
[ -n "$found" ] || { echo "skipped: none of python3-scipy, libpython3.11-testsuite, golang-1.19-src is here"; exit 0; }
finish
