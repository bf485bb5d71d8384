#!/usr/bin/env bash
# The house's order: which folder of src/ may include which, headers at any depth counted by folder. Catches a kernel that learns about networks,
# a verb that reaches behind the public headers, a file that nobody can read in one sitting.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
bad=0
complain() { echo "$*"; bad=1; }

declare -A may=(
    [base]="base"
    [kernels]="base kernels"
    [graph]="base kernels graph"
    [formats]="base formats"
    [models]="base kernels graph formats models"
    [media]="base kernels formats media"
    [data]="base kernels formats media data"
    [judge]="base kernels graph formats models media data judge"
    [train]="base kernels graph formats models media data judge train"
    [api]="base kernels graph formats models media data judge train api"
)

files=$(find src cli -name '*.[ch]' -o -path './src/*' -name '*.inc' | sort)
count=0
while IFS= read -r file; do
    count=$((count + 1))
    folder=${file#src/}
    folder=${folder%%/*}
    while IFS= read -r included; do
        case $file in
        cli/*)
            [ -e "cli/$included" ] || [ -e "include/$included" ] || complain "$file includes \"$included\": a verb may include public headers only"
            continue
            ;;
        src/api/core_*) allowed=${may[models]}" api" ;; # built into the core, without sound and training
        *) allowed=${may[$folder]-} ;;
        esac
        [ -e "include/$included" ] && continue
        [ -e "$(dirname "$file")/$included" ] && continue
        target=${included%%/*}
        [ -e "src/$included" ] || complain "$file includes \"$included\": no such header"
        case " $allowed " in
        *" $target "*) ;;
        *) complain "$file includes \"$included\": $folder may include $allowed" ;;
        esac
    done < <(sed -n 's/^ *# *include *"\([^"]*\)".*/\1/p' "$file")
done <<<"$files"
[ $count -gt 20 ] || complain "only $count source files found: is this the right folder?"

# Length: files under 800 lines, functions under 80 (straight-line templates, .inc, are exempt).
while IFS= read -r file; do
    lines=$(wc -l <"$file")
    [ "$lines" -lt 800 ] || complain "$file has $lines lines; split it (limit 800)"
    awk -v file="$file" '
        /^\{/ || (/^[a-zA-Z_].*\) *\{$/ && !/^(typedef|struct|enum|static const)/) { start = NR }
        /^\}/ { if (start && NR - start >= 80) { print file ":" start ": a function of " NR - start + 1 " lines (limit 80)"; bad = 1 }; start = 0 }
        END { exit bad }
    ' "$file" || bad=1
done < <(find src cli include -name '*.[ch]' | sort)

find . -path './build*' -prune -o \( -iname 'util*' -o -iname 'helpers*' \) -print | grep . && complain "no file or folder is called utils: name what is in it"
[ $bad = 0 ] && echo "$count files, no layering error"
exit $bad
