#!/bin/sh
# Hostile input gets a sentence and exit status 1 (2 for wrong use), never a signal.
#
# Catches: sizes that are believed, errors that are not looked at, a weight that is not a number and spoils every answer in silence.
# Run on a program built with AddressSanitizer it also catches what would not have crashed here.
#
#     hostile.sh PROGRAM SYNTH       RN_FULL=1 damages ten times as many files; RN_SEED fixes where
here=$(dirname "$0")
. "$here/common.sh"
rounds=30
[ -z "${RN_FULL-}" ] || rounds=300

"$synth" "$work/data" 3 20 600 8000
small="--arch resnet18 --width 8 --epochs 1 --batch 8 --seconds 0.4 --threads 2"
accepted "$program" train "$work/data" --out "$work/run" $small
[ "$failures" -eq 0 ] || finish
model=$work/run/model.safetensors
sound=$work/data/class0/item000.wav
accepted "$program" predict "$model" "$sound"

# Somebody without rights, for what root could read all the same.
nobody=
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    nobody="setpriv --reuid=65534 --regid=65534 --clear-groups"
    chmod -R a+rX "$work"
    $nobody test -x "$program" 2>/dev/null && $nobody test -r "$model" || nobody=impossible
fi

# --- Sound -----------------------------------------------------------------------------------------------------------------------
bad=$work/bad
mkdir "$bad"
: >"$bad/empty.wav"
refused 1 empty.wav "$program" predict "$model" "$bad/empty.wav"
for bytes in 1 4 11 12 20 43 44 45 46 300 5000; do
    head -c "$bytes" "$sound" >"$bad/short$bytes.wav"
    survives "short$bytes.wav" "$program" predict "$model" "$bad/short$bytes.wav"
done
refused 1 short43.wav "$program" predict "$model" "$bad/short43.wav"
refused 1 short44.wav "$program" predict "$model" "$bad/short44.wav" # a header and no samples
i=0
while [ "$i" -lt "$rounds" ]; do
    i=$((i + 1))
    cp "$sound" "$bad/flipped.wav"
    for byte in 1 2 3; do
        random 60
        at=$picked
        random 256
        poke "$bad/flipped.wav" "$at" "$(printf %03o "$picked")"
    done
    survives flipped.wav "$program" predict "$model" "$bad/flipped.wav"
done
for extension in flac ogg opus mp3 gsm aiff au w64 caf npy; do
    tail -c 4000 "$sound" >"$bad/noise.$extension"
    survives "noise.$extension" "$program" predict "$model" "$bad/noise.$extension"
    "$program" info >/dev/null 2>&1
    : >"$bad/none.$extension"
    refused 1 "none.$extension" "$program" predict "$model" "$bad/none.$extension"
done
# Sizes that are not there: a data chunk of 4 GB, 65,535 channels, a rate of 0 and of 4 GHz, 0 bits.
for poke in "40 377 377 377 377" "22 377 377" "24 000 000 000 000" "24 377 377 377 377" "34 000 000" "22 000 000"; do
    cp "$sound" "$bad/odd.wav"
    poke "$bad/odd.wav" $poke
    survives odd.wav "$program" predict "$model" "$bad/odd.wav"
done
# Samples that are not numbers: the same bytes called 32-bit floats, and one NaN among them.
cp "$sound" "$bad/float.wav"
poke "$bad/float.wav" 20 003 000
poke "$bad/float.wav" 28 000 175 000 000 004 000 040 000
survives float.wav "$program" predict "$model" "$bad/float.wav"
poke "$bad/float.wav" 444 000 000 300 177
survives float.wav "$program" predict "$model" "$bad/float.wav"
printf 'not sound at all\n' >"$bad/text.wav"
refused 1 text.wav "$program" predict "$model" "$bad/text.wav"
mkdir "$bad/folder.wav"
refused 1 . "$program" predict "$model" "$bad/folder.wav"
refused 1 missing.wav "$program" predict "$model" "$bad/missing.wav"
ln -s nowhere "$bad/dangling.wav"
refused 1 dangling.wav "$program" predict "$model" "$bad/dangling.wav"
ln -s loop.wav "$bad/loop.wav"
refused 1 loop.wav "$program" predict "$model" "$bad/loop.wav"
survives . "$program" predict "$model" - --raw s16le --rate 8000
survives . "$program" predict "$model" -
refused 1 m4a "$program" predict "$model" "$bad/song.m4a"
printf '\000\000\000\034ftypM4A ' >"$bad/song.m4a"
refused 1 ffmpeg "$program" predict "$model" "$bad/song.m4a"
if [ -n "$nobody" ] && [ "$nobody" != impossible ]; then
    cp "$sound" "$bad/secret.wav"
    chmod 000 "$bad/secret.wav"
    chmod a+rx "$bad"
    refused 1 secret.wav $nobody "$program" predict "$model" "$bad/secret.wav"
elif [ "$(id -u)" -ne 0 ]; then
    cp "$sound" "$bad/secret.wav"
    chmod 000 "$bad/secret.wav"
    refused 1 secret.wav "$program" predict "$model" "$bad/secret.wav"
fi

# Spaces and UTF-8 in every path are no reason for anything.
odd="$work/my sounds/Grünspecht ü 日本"
mkdir -p "$odd"
cp "$sound" "$odd/Aufnahme 1 – früh.wav"
accepted "$program" predict "$model" "$odd/Aufnahme 1 – früh.wav"
grep -q 'Aufnahme 1 – früh.wav' "$work/out" || wrong "the answer does not name the file in UTF-8"
accepted "$program" predict "$model" "$work/my sounds"
mkdir -p "$work/my data"
cp -r "$work/data/class0" "$work/my data/die Grüne"
cp -r "$work/data/class1" "$work/my data/b c"
accepted "$program" train "$work/my data" --out "$work/mein Lauf ü" $small
accepted "$program" eval "$work/mein Lauf ü/model.safetensors" "$work/my data"
accepted "$program" predict "$work/mein Lauf ü/model.safetensors" "$odd/Aufnahme 1 – früh.wav"

# --- Models ----------------------------------------------------------------------------------------------------------------------
broken=$work/broken.safetensors
whole=$(size_of "$model")
header=$(od -An -tu8 -N8 "$model" | tr -d ' ')
for bytes in 0 1 7 8 9 100 "$header" $((header + 7)) $((header + 8)) $((header + 9)) $((whole / 2)) $((whole - 1)); do
    head -c "$bytes" "$model" >"$broken"
    refused 1 broken.safetensors "$program" predict "$broken" "$sound"
    refused 1 broken.safetensors "$program" info "$broken"
done
(cat "$model" && printf x) >"$broken"
refused 1 broken.safetensors "$program" predict "$broken" "$sound"
for length in "377 377 377 377 377 377 377 377" "377 377 377 377 377 377 377 177" "000 000 000 000 001 000 000 000" "000 000 000 000 000 000 000 000" \
    "001 000 000 000 000 000 000 000"; do
    cp "$model" "$broken"
    poke "$broken" 0 $length
    refused 1 broken.safetensors "$program" predict "$broken" "$sound"
done
i=0
while [ "$i" -lt "$rounds" ]; do
    i=$((i + 1))
    cp "$model" "$broken"
    random "$header"
    at=$((8 + picked))
    random 256
    poke "$broken" "$at" "$(printf %03o "$picked")"
    survives broken.safetensors "$program" predict "$broken" "$sound"
done
i=0
while [ "$i" -lt $((rounds / 3)) ]; do
    i=$((i + 1))
    cp "$model" "$broken"
    random $((whole - header - 8))
    at=$((header + 8 + picked))
    random 256
    poke "$broken" "$at" "$(printf %03o "$picked")"
    survives broken.safetensors "$program" predict "$broken" "$sound"
done
# A quiet NaN and infinities, in the first value of a tensor.
place() { # TENSOR: where its values begin in the file
    head -c $((header + 8)) "$model" | tail -c +9 | sed "s/.*\"$1\":{[^}]*\"data_offsets\":\[\([0-9]*\),.*/\1/"
}
for tensor in conv1.weight layer2.1.bn2.weight layer4.0.shortcut.1.running_var linear.bias; do
    at=$((header + 8 + $(place "$tensor")))
    for value in "000 000 300 177" "000 000 200 177" "000 000 200 377"; do
        cp "$model" "$broken"
        poke "$broken" "$at" $value
        refused 1 "$tensor" "$program" predict "$broken" "$sound"
        refused 1 "$tensor" "$program" train "$work/data" --out "$work/never" $small --init "$broken"
        rm -rf "$work/never"
    done
done
# Another shape for a tensor, with the same number of bytes in the header; a tensor that is missing.
sed 's/\[8,1,3,3\]/[9,1,3,3]/' "$model" >"$broken"
refused 1 conv1.weight "$program" predict "$broken" "$sound"
sed 's/\[8,1,3,3\]/[1,8,3,3]/' "$model" >"$broken"
refused 1 conv1.weight "$program" predict "$broken" "$sound"
sed 's/"layer3.0.conv1.weight"/"layer3.0.conv9.weight"/' "$model" >"$broken"
refused 1 'layer3.0.conv[19].weight' "$program" predict "$broken" "$sound"
sed 's/resnet18/resnet99/' "$model" >"$broken"
refused 1 broken.safetensors "$program" predict "$broken" "$sound"
refused 1 . "$program" predict "$sound" "$sound"
refused 1 . "$program" predict "$work" "$sound"
refused 1 nothing.safetensors "$program" predict "$work/nothing.safetensors" "$sound"
refused 1 /dev/null "$program" predict /dev/null "$sound"

# --- Tensors ---------------------------------------------------------------------------------------------------------------------
# npy SHAPE BYTES: an array of zeros that claims a shape.
npy() {
    text="{'descr': '<f4', 'fortran_order': False, 'shape': ($1), }"
    printf '\223NUMPY\001\000\166\000%-117s\n' "$text"
    head -c "$2" /dev/zero
}
npy "1, 64, 38" $((64 * 38 * 4)) >"$work/good.npy"
accepted "$program" run "$model" "$work/good.npy" --logits "$work/logits.npy" --embedding "$work/embedding.npy"
shape() {
    npy "$1" "$2" >"$work/bad.npy"
    refused 1 bad.npy "$program" run "$model" "$work/bad.npy" --logits "$work/logits.npy"
}
shape "3, 64, 38" $((3 * 64 * 38 * 4))       # three channels for a network with one
shape "64" 256
shape "" 4
shape "1, 64, 38" 100                        # fewer bytes than it says
shape "0, 64, 38" 0
shape "1, 0, 0" 0
shape "99999999, 99999999, 99999999" 100
shape "4294967296, 4294967296, 1" 100
shape "-1, 64, 38" 1000
shape "1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1" 4
printf '\223NUMPY\001\000\377\377' >"$work/bad.npy"
refused 1 bad.npy "$program" run "$model" "$work/bad.npy" --logits "$work/logits.npy"
i=0
while [ "$i" -lt "$rounds" ]; do
    i=$((i + 1))
    cp "$work/good.npy" "$work/bad.npy"
    random 128
    at=$picked
    random 256
    poke "$work/bad.npy" "$at" "$(printf %03o "$picked")"
    survives bad.npy "$program" run "$model" "$work/bad.npy" --logits "$work/logits.npy"
done

# --- Numbers that get out of hand ------------------------------------------------------------------------------------------------
# The message names step and layer, and what was saved before stays good.
refused 1 'step.*first in' "$program" train "$work/data" --out "$work/wild" $small --lr 1000 --checkpoint-minutes 0.0001
[ ! -e "$work/wild/last.safetensors" ] || accepted "$program" info "$work/wild/last.safetensors"
mkdir "$work/arrays" "$work/arrays/a" "$work/arrays/b"
for i in 0 1 2 3 4 5 6 7; do
    npy "1, 16, 16" 1000 >"$work/arrays/a/$i.npy" && printf '\000\000\200\077%08d%012d' "$i" 1 >>"$work/arrays/a/$i.npy"
    npy "1, 16, 16" 1000 >"$work/arrays/b/$i.npy" && printf '\000\000\000\300%08d%012d' "$i" 2 >>"$work/arrays/b/$i.npy"
done
accepted "$program" train "$work/arrays" --out "$work/arrays.run" --arch resnet18 --width 8 --epochs 1 --batch 4
poke "$work/arrays/a/3.npy" 600 000 000 300 177
refused 1 a/3.npy "$program" train "$work/arrays" --out "$work/never" --arch resnet18 --width 8 --epochs 1 --batch 4
run "$program" data check "$work/arrays"
[ "$status" -eq 1 ] && grep -q a/3.npy "$work/out" || wrong "data check: exit status $status, a/3.npy not named"

# --- Data sets -------------------------------------------------------------------------------------------------------------------
each_verb() { # PATTERN DATA: check, stats, split and train all refuse it
    for verb in "data check" "data stats"; do
        refused 1 "$1" "$program" $verb "$2"
    done
    refused 1 "$1" "$program" data split "$2" --out "$work/split.csv"
    refused 1 "$1" "$program" train "$2" --out "$work/never" $small
    [ ! -e "$work/never/model.safetensors" ] || wrong "a model came out of $2"
    rm -rf "$work/never"
}
mkdir "$work/nothing" "$work/flat" "$work/one" "$work/hollow" "$work/hollow/a" "$work/hollow/b"
each_verb class "$work/nothing"
cp "$work"/data/class0/item00[0-9].wav "$work/flat"
each_verb class "$work/flat"
cp -r "$work/data/class0" "$work/one"
each_verb class "$work/one"
each_verb class "$work/hollow"
each_verb absent "$work/absent"
mkdir "$work/few" "$work/few/a" "$work/few/b"
cp "$work"/data/class0/item00[0-9].wav "$work/few/a"
cp "$work/data/class1/item000.wav" "$work/few/b"
refused 1 . "$program" train "$work/few" --out "$work/never" $small

cp -r "$work/data" "$work/flawed"
: >"$work/flawed/class1/hole.wav"
head -c 60 "$sound" >"$work/flawed/class1/stub.wav"
printf 'no sound' >"$work/flawed/class2/text.wav"
run "$program" data check "$work/flawed"
for name in hole.wav stub.wav text.wav; do
    grep -q "$name" "$work/out" "$work/err" || wrong "data check does not name $name"
done
[ "$status" -eq 1 ] || wrong "data check: exit status $status for a data set with a file that is not sound"
refused 1 'hole.wav\|stub.wav\|text.wav' "$program" train "$work/flawed" --out "$work/never" $small
[ ! -e "$work/never/last.safetensors" ] || wrong "work was done before the bad file was found"
rm -rf "$work/never"
accepted "$program" train "$work/flawed" --out "$work/skipped" $small --skip-bad

cp -r "$work/data" "$work/stranger"
mv "$work/stranger/class2" "$work/stranger/zebra"
refused 1 zebra "$program" eval "$model" "$work/stranger"
refused 1 . "$program" eval "$model" "$work/absent"
rm -rf "$work/lonely" && mkdir "$work/lonely" && cp "$model" "$work/lonely"
accepted "$program" eval "$work/lonely/model.safetensors" "$work/data" # without split.csv: everything, and it says so
grep -qi split "$work/err" "$work/out" || wrong "eval does not say that it can't know what the model was trained on"
cp "$work/run/split.csv" "$work/lonely"
sed -i '2s/train/test/; 3s/train/test/; 4s/train/test/; 5s/train/test/' "$work/lonely/split.csv"
refused 1 split "$program" eval "$work/lonely/model.safetensors" "$work/data"
printf 'what is this' >"$work/lonely/split.csv"
refused 1 split "$program" eval "$work/lonely/model.safetensors" "$work/data"

manifest() { # PATTERN NAME: standard input is the manifest
    cat >"$work/$2"
    refused 1 "$1" "$program" data stats "$work/$2"
}
printf '' | manifest empty.csv empty.csv
printf 'name,class\na,b\n' | manifest 'path\|label' columns.csv
printf 'path,label\nabsent.wav,a\nabsent2.wav,b\n' | manifest absent absent.csv
printf 'path,label\n"data/class0/item000.wav,a\n' | manifest quote.csv quote.csv
printf 'path,label,start,end\ndata/class0/item000.wav,a,9,3\ndata/class1/item000.wav,b,0,1\n' | manifest times.csv times.csv
printf 'path,label,start\ndata/class0/item000.wav,a,nan\ndata/class1/item000.wav,b,0\n' | manifest nan.csv nan.csv
printf 'path,label\ndata/class0/item000.wav,a\000b\ndata/class1/item000.wav,b\n' | manifest nul.csv nul.csv
printf 'path,label\ndata/class0/item000.wav,\377\376\ndata/class1/item000.wav,b\n' | manifest latin.csv latin.csv
printf '{"path": "data/class0/item000.wav", "label": "a"\n' | manifest open.jsonl open.jsonl
printf '[1, 2]\n' | manifest list.jsonl list.jsonl
printf '{"path": 7, "label": "a"}\n' | manifest number.jsonl number.jsonl
head -c 20000 /dev/zero | manifest zeros.csv zeros.csv
head -c 3000 "$model" | manifest binary.jsonl binary.jsonl

# --- Options ---------------------------------------------------------------------------------------------------------------------
refused 2 . "$program" nonsense
refused 2 . "$program" predict
refused 2 . "$program" predict "$model"
refused 2 colour "$program" predict "$model" "$sound" --colour
refused 2 . "$program" train "$work/data"
refused 2 threads "$program" predict "$model" "$sound" --threads minus
refused 2 threads "$program" predict "$model" "$sound" --threads -3
refused 2 top "$program" predict "$model" "$sound" --top
wrong_use() { # an option whose value is out of range: refused as wrong use or as failed work
    run "$@"
    { [ "$status" -eq 1 ] || [ "$status" -eq 2 ]; } && [ -s "$work/err" ] || wrong "exit status $status: $*"
    rm -rf "$work/never"
}
for option in "--epochs -1" "--epochs x" "--lr nan" "--lr -1" "--lr 1e999" "--batch 0x10" "--width 0" "--width 99999999999" "--width -8" "--seconds -2" \
    "--arch resnet17" "--label-smoothing 1.5" "--momentum 2" "--rate 0" "--mixup -1" "--pool 0x0" "--pool 4" "--shortcut D" "--seed x" \
    "--freeze nothing" "--init $work/nothing.safetensors" "--init $sound" "--config $sound" "--config $work/nothing.json" "--split-file $sound" "--split $sound"; do
    wrong_use "$program" train "$work/data" --out "$work/never" $small $option
done
printf '{"epochs": 1, "colour": 3}' >"$work/config.json"
refused 1 colour "$program" train "$work/data" --out "$work/never" --config "$work/config.json"
printf '{"epochs": "many"}' >"$work/config.json"
refused 1 epochs "$program" train "$work/data" --out "$work/never" --config "$work/config.json"
printf '{"epochs": 1' >"$work/config.json"
refused 1 config.json "$program" train "$work/data" --out "$work/never" --config "$work/config.json"
for option in "--width 0" "--width 4000000" "--input 1x0x10" "--input 1x1x1" "--input 1x999999999x999999999" "--classes 0" "--classes 2000000000" "--in-channels 0" \
    "--pool 100x100" "--embedding -1"; do
    run "$program" arch resnet18 $option
    crashed && wrong "exit status $status: arch resnet18 $option"
done

# --- Places to write to ----------------------------------------------------------------------------------------------------------
: >"$work/file"
refused 1 file "$program" train "$work/data" --out "$work/file" $small
refused 1 file "$program" train "$work/data" --out "$work/file/run" $small
refused 1 . "$program" train "$work/data" --out /proc/run $small
refused 1 . "$program" embed "$model" "$sound" -o "$work/absent/x.npy"
refused 1 . "$program" run "$model" "$work/good.npy" --logits /proc/logits.npy
mkdir "$work/readonly"
chmod a-w "$work/readonly"
if [ "$(id -u)" -ne 0 ]; then nobody=env; fi
if [ -n "$nobody" ] && [ "$nobody" != impossible ]; then
    refused 1 readonly $nobody "$program" train "$work/data" --out "$work/readonly/run" $small
    refused 1 readonly $nobody "$program" embed "$model" "$sound" -o "$work/readonly/x.npy"
    refused 1 readonly $nobody "$program" data split "$work/data" --out "$work/readonly/split.csv"
else
    echo "not tested as another user: unreadable files, read-only folders"
fi
finish
