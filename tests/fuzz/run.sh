#!/usr/bin/env bash
# Fuzzes every parser with clang's libFuzzer under ASan and UBSan. Usage: tests/fuzz/run.sh [BUILD [SECONDS-FOR-EACH]]
#
# Seeds are the kept corpus and small true files that the program and the tests' synthesiser write. A failing input stays in BUILD/crashes.
set -euo pipefail
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
mkdir -p "${1:-build/fuzz}"
build=$(cd "${1:-build/fuzz}" && pwd)
seconds=${2:-20}
export ASAN_OPTIONS=allocator_may_return_null=1

cmake -S "$source" -B "$build" -G Ninja -DCMAKE_C_COMPILER=clang -DRN_SANITIZE=fuzzer-no-link,address,undefined -DRN_TESTS=OFF -DRN_SHARED=OFF >"$build.log" 2>&1 ||
    { cat "$build.log"; exit 1; }
cmake --build "$build" >"$build.log" 2>&1 || { tail -n 60 "$build.log"; exit 1; }
read -ra libraries <<<"$(pkg-config --libs jansson sndfile samplerate libjpeg libpng libwebpdemux libwebp zlib libarchive libxxhash cairo)"
for target in "$source"/tests/fuzz/fuzz_*.c; do
    clang -std=gnu11 -O1 -g -D_GNU_SOURCE -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -I "$source/src" -I "$source/include" \
        "$target" "$build/libresnet.a" "${libraries[@]}" -lm -lpthread -ldl -o "$build/$(basename "$target" .c)"
done

# seeds
seeds=$build/seeds
rm -rf "$seeds" "$build/set" "$build/run"
mkdir -p "$seeds"/{safetensors,npy,model,sound,image,manifest} "$build/crashes"
gcc -O1 "$source/tests/system/synth.c" -o "$build/synth" -lm
"$build/synth" "$build/set" 3 12 300 8000
"$build/resnet" train "$build/set" --out "$build/run" --arch resnet20 --in-channels 1 --width 2 --embedding 4 --epochs 1 --seconds 0.3 --batch 8 >"$build.log" 2>&1 ||
    { cat "$build.log"; exit 1; }
cp "$build/run/model.safetensors" "$seeds/model/"
"$build/resnet" embed "$build/run/model.safetensors" "$build/set/class0" -o "$seeds/npy/embedding.npy" >"$build.log" 2>&1
printf '\x38\0\0\0\0\0\0\0{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}  ....' >"$seeds/safetensors/small"
for file in "$build/set"/class*/item000.wav; do
    { printf '\0'; head -c 3000 "$file"; } >"$seeds/sound/wav-$(basename "$(dirname "$file")")"
    { printf '\1'; head -c 3000 "$file"; } >"$seeds/sound/gsm-$(basename "$(dirname "$file")")"
done
for file in "$source"/tests/golden/images/*.*; do
    { printf '\2'; cat "$file"; } >"$seeds/image/$(basename "$file")"
done
mkdir -p "$seeds/onnx"
cp "$source"/tests/golden/onnx/*.onnx "$seeds/onnx/"
"$build/resnet" convert "$build/run/model.safetensors" "$seeds/onnx/own.onnx" >"$build.log" 2>&1
printf '\0path,label,source,split,start,end,weight\na.wav,"x, y",s,train,0,1.5,1\nb.wav,z,s2,test,,,\n' >"$seeds/manifest/csv"
printf '\1{"path":"a.wav","label":"x","start":0.5,"end":1}\n{"path":"b.wav","label":"y","source":"s"}\n' >"$seeds/manifest/jsonl"
printf '\3Begin Time (s)\tEnd Time (s)\tTag\tBegin Path\tFile Offset (s)\n0\t1\tx\tb.wav\t0\n1,5\t2\ty\t\t\n' >"$seeds/manifest/raven"
printf '\0030\t1\tx 97%%\n\\\t20\t30\n1\t2\ty\n' >"$seeds/manifest/audacity"

status=0
for target in "$source"/tests/fuzz/fuzz_*.c; do
    name=$(basename "$target" .c)
    kind=${name#fuzz_}
    mkdir -p "$build/corpus/$kind"
    from=("$build/corpus/$kind")
    for folder in "$seeds/$kind" "$source/tests/fuzz/corpus/$kind"; do
        [ ! -d "$folder" ] || from+=("$folder")
    done
    if "$build/$name" -max_total_time="$seconds" -max_len=65536 -rss_limit_mb=2048 -malloc_limit_mb=1024 -timeout=20 -print_final_stats=1 \
        -artifact_prefix="$build/crashes/$kind-" "${from[@]}" >"$build/$name.log" 2>&1; then
        echo "$kind: $(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$name.log") inputs, nothing found"
    else
        echo "$kind: failed"
        tail -n 60 "$build/$name.log"
        status=1
    fi
done
exit $status
