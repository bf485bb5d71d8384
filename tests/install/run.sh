#!/usr/bin/env bash
# Installs a build, moves the installed tree, and builds and runs the examples against it: by pkg-config, find_package and add_subdirectory.
# Catches a header that was not installed, a library that a static program lacks, a path of the build folder in a package file.
# Usage: tests/install/run.sh BUILD
set -euo pipefail
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

say() { echo "--- $*"; }

say "install, into a folder with a space in its name, then moved"
cmake --install "$build" --prefix "$work/first place" >install.log
mv "$work/first place" "$work/a prefix"
prefix=$work/a\ prefix
libraries=$(dirname "$(find "$prefix" -name libresnet.a)")
for file in bin/resnet include/resnet.h include/resnet_tools.h share/man/man1/resnet.1 share/bash-completion/completions/resnet; do
    [ -f "$prefix/$file" ] || { echo "not installed: $file"; exit 1; }
done
[ -L "$libraries/libresnet.so" ] && [ -f "$libraries/pkgconfig/resnet.pc" ]
if grep -rlF -e "$source" -e "$build" "$prefix" --include=*.pc --include=*.cmake --include=*.h; then
    echo "these installed files name the source or build folder"
    exit 1
fi

say "the program and its companions"
"$prefix/bin/resnet" info >info.txt
bash -n "$prefix/share/bash-completion/completions/resnet"
grep -q '^\.TH' "$prefix/share/man/man1/resnet.1"

say "headers stand alone, in C and in C++"
for header in resnet.h resnet_tools.h; do
    echo "#include <$header>" | gcc -std=c11 -pedantic -Wall -Wextra -Werror -fsyntax-only -I "$prefix/include" -x c -
    echo "#include <$header>" | g++ -std=c++11 -pedantic -Wall -Wextra -Werror -fsyntax-only -I "$prefix/include" -x c++ -
done

say "data and a small model"
gcc -O1 "$source/tests/system/synth.c" -o synth -lm
./synth "a set" 3 12 800 8000
"$prefix/bin/resnet" train "a set" --out run --width 16 --epochs 3 --batch 8 --seconds 1 >train.txt 2>&1 || { cat train.txt; exit 1; }
model=run/model.safetensors

# use FOLDER SUFFIX: runs the built examples. What they print is checked for what must be there.
use() {
    "$1/classify$2" "$model" "a set/class0/item000.wav" >out.txt
    grep -q 'a set/class0/item000.wav .* class[012] [0-9.]* %' out.txt || { cat out.txt; return 1; }
    "$1/search$2" "$model" "a set/class0/item000.wav" "a set"/class1/item00[0-4].wav "a set/class0/item000.wav" >out.txt
    head -n 1 out.txt | grep -q 'a set/class0/item000.wav' || { cat out.txt; echo "the recording itself is not the nearest to itself"; return 1; }
    "$1/train_tensors$2" >out.txt || { cat out.txt; return 1; }
    tail -n 1 out.txt
}

say "pkg-config"
export PKG_CONFIG_PATH=$libraries/pkgconfig
[ "$(pkg-config --modversion resnet)" = "$("$prefix/bin/resnet" --version | grep -o '[0-9][0-9.]*' | head -n 1)" ]
mkdir by-pkgconfig
for example in "$source"/examples/*.c; do
    name=$(basename "$example" .c)
    eval "gcc -std=c11 -Wall -Wextra -Werror -O2 '$example' -o 'by-pkgconfig/$name' $(pkg-config --cflags --libs resnet)"
    eval "gcc -std=c11 -O2 '$example' -o 'by-pkgconfig/${name}_static' $(pkg-config --cflags resnet) '$libraries/libresnet.a' $(pkg-config --static --libs-only-l resnet | sed 's/-lresnet//')"
done
LD_LIBRARY_PATH=$libraries use by-pkgconfig ""
use by-pkgconfig _static
# the shared program must need the shared library, the static one must not
readelf -d by-pkgconfig/classify | grep 'NEEDED.*libresnet\.so' >/dev/null
! readelf -d by-pkgconfig/classify_static | grep -q 'NEEDED.*libresnet' || { echo "the static program needs libresnet.so"; exit 1; }

say "find_package"
cmake -S "$source/tests/install" -B by-cmake -DCMAKE_PREFIX_PATH="$prefix" -DRN_EXAMPLES="$source/examples" >cmake.log || { cat cmake.log; exit 1; }
cmake --build by-cmake >build.log || { cat build.log; exit 1; }
use by-cmake ""
use by-cmake _static

cmake -S "$source/examples" -B their-cmake -DCMAKE_PREFIX_PATH="$prefix" >cmake.log || { cat cmake.log; exit 1; }
cmake --build their-cmake >build.log || { cat build.log; exit 1; }
use their-cmake ""

say "add_subdirectory"
cmake -S "$source/tests/install/subdirectory" -B inside -DRN_SOURCE="$source" -DCMAKE_BUILD_TYPE=Debug >cmake.log || { cat cmake.log; exit 1; }
cmake --build inside --target classify >build.log || { cat build.log; exit 1; }
inside/classify "$model" "a set/class1/item001.wav"
say "done"
