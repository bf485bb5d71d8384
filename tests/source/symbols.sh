#!/usr/bin/env bash
# What the library asks of libc and libm. Catches a libm function whose result is not exactly defined (models would differ between machines), and
# a library that prints, exits, or touches signals, locale or the current directory. Usage: symbols.sh libresnet.a
set -u
library=$1
bad=0
undefined=$(nm --undefined-only "$library" | awk '$1 == "U" { print $2 }' | sort -u)
[ "$(wc -l <<<"$undefined")" -gt 20 ] || { echo "$library: hardly any symbol; is it the library?"; exit 1; }

libm=$(gcc -print-file-name=libm.so.6)
allowed='sqrt sqrtf fma fmaf floor floorf fabs fabsf'
exact=$(nm -D --defined-only "$libm" | awk '$2 ~ /[TWi]/ { sub(/@.*/, "", $3); print $3 }' | sort -u)
[ "$(wc -l <<<"$exact")" -gt 200 ] || { echo "$libm: could not list libm's functions"; exit 1; }
for symbol in $(comm -12 <(echo "$undefined") <(echo "$exact")); do
    case " $allowed " in
    *" $symbol "*) ;;
    *) echo "$symbol is a libm function without an exactly defined result: use base/maths.h"; nm -A --undefined-only "$library" | grep -w "U $symbol" | cut -c1-160; bad=1 ;;
    esac
done

# strtod and atof follow the locale; the others are the caller's business, never the library's.
for symbol in printf puts putchar vprintf perror exit _exit quick_exit abort __assert_fail signal sigaction sigprocmask pthread_sigmask setlocale \
    newlocale chdir fchdir stdout stderr system strtod strtof atof rand srand random drand48 strtok gets; do
    if grep -qx "$symbol" <<<"$undefined"; then
        echo "$symbol is used by the library:"
        nm -A --undefined-only "$library" | grep -w "U $symbol" | cut -c1-160
        bad=1
    fi
done
[ $bad = 0 ] && echo "$(wc -l <<<"$undefined") undefined symbols, none forbidden"
exit $bad
