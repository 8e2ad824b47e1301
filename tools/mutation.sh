#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors
# Builds tests/mutation/flipper.cpp with the tests of core and pieces, finds the conditional jumps
# of their headers in it, and has it turn them round. x86-64 only. Usage:
#   bash tools/mutation.sh [folder to work in]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=${1:-$root/build/mutation}
if [ "$(uname -m)" != x86_64 ]; then
    echo "skipped: it knows the instructions of x86-64 alone"
    exit 0
fi
mkdir -p "$work"
work=$(cd "$work" && pwd)
cd "$root"
headers=$(sed -n 's/^ *{[0-3], "\(.*\)"},$/\1/p' tests/tidy_test.cpp)
tests=$(for header in $headers; do
    test=$(basename "$header" .hpp)_test.cpp
    if [ -f "tests/$test" ]; then echo "$test"; fi
done)
flags=(-std=c++20 -O0 -g1 -gcolumn-info -fno-pie -Iinclude -Itests -I. -w
    -D_GLIBCXX_ASSERTIONS
    "-DLATCHBOX_SOURCE_DIR=\"$root\"")
cmake -DOUTPUT="$work/tests.cpp" "-DFILES=$(echo "$tests" | paste -sd ';')" -P tests/together.cmake
clang++-19 "${flags[@]}" -c "$work/tests.cpp" -o "$work/tests.o"
clang++-19 "${flags[@]}" -no-pie "$work/tests.o" tests/mutation/flipper.cpp \
    tests/support/failing_new.cpp -pthread -o "$work/flipper"

# Address of each conditional jump, and of its function; then where in the source it comes from.
llvm-objdump-19 -d --no-show-raw-insn "$work/flipper" | awk '
    /^[0-9a-f]+ <.*>:$/ { wanted = /latchbox/; function_at = $1; next }
    wanted && $2 ~ /^j[a-z]+$/ && $2 != "jmp" { sub(":", "", $1); print $1, function_at }' \
    >"$work/addresses"
cut -d' ' -f1 "$work/addresses" | sed 's/^/0x/' |
    llvm-symbolizer-19 -e "$work/flipper" --no-inlines --functions=none \
        --output-style=LLVM | sed '/^$/d' >"$work/places"
paste -d' ' "$work/addresses" "$work/places" | awk -v root="$root/include/latchbox/" \
    -v headers="$headers" '
    BEGIN { count = split(headers, names, "\n"); for (i in names) wanted[names[i]] = 1 }
    {
        n = split($3, part, ":")
        file = part[1]
        if (index(file, root) == 1) file = substr(file, length(root) + 1)
        else if (!sub(/^.*include\/latchbox\//, "", file)) next
        if (file in wanted) print $1, $2, part[2], part[3], file
    }' >"$work/jumps"
"$work/flipper" "$work/jumps" tests/mutation/accepted.txt "$(nproc)"
