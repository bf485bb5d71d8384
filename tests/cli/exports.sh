#!/bin/sh
# The shared library exports what the headers declare with RN_API, and nothing else.
# Catches a function whose source does not include its header (hidden), and an internal one that gets out.
#
#     exports.sh LIBRARY INCLUDE
set -eu
work=$(mktemp -d "${TMPDIR:-/tmp}/resnet-exports.XXXXXX")
trap 'rm -rf "$work"' EXIT
LC_ALL=C
export LC_ALL
sed -n 's/^RN_API.*[ *]\(rn_[a-z0-9_]*\)(.*/\1/p' "$2"/*.h | sort -u >"$work/declared"
nm -D --defined-only "$1" | awk '{ print $3 }' | sort -u >"$work/exported"
[ "$(wc -l <"$work/declared")" -gt 50 ]
diff "$work/declared" "$work/exported"
