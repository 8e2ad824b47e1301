#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors
# What the tests of single headers, and the promises, cover of the library: functions, lines,
# branches, and conditions (MC/DC). Prints figures, and each place that is not covered; fails below
# the minima at the end. Needs clang 19 with its runtime, llvm 19 and Python 3. Usage:
#   bash tools/coverage.sh [folder to work in]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=${1:-$root/build/coverage}
mkdir -p "$work"
work=$(cd "$work" && pwd)
cd "$root"
# Threads count too, and a count that is lost makes another, which is worked out from it, wrong.
flags=(-std=c++20 -O0 -fprofile-update=atomic -fprofile-instr-generate -fcoverage-mapping -fcoverage-mcdc
    -Iinclude -Itests "-DLATCHBOX_SOURCE_DIR=\"$root\"")

# tests_of LEVELS: the test files of the headers of these levels.
tests_of() {
    sed -n 's/^ *{\(['"$1"']\), "\(.*\/\)\{0,1\}\(.*\)\.hpp"},$/\3_test.cpp/p' tests/tidy_test.cpp |
        while read -r file; do
            if [ -f "tests/$file" ]; then echo "$file"; fi
        done
}
promises() {
    sed -n 's/^\([a-z_]*\)\( memory\)\{0,1\}$/\1/p' tests/promises.txt |
        grep -Ev '^(message_kinds.*|settling|publishing)$' | sed 's/$/_test.cpp/'
}

compile() {
    cmake -DOUTPUT="$work/$1.cpp" "-DFILES=$("$2" "${3:-}" | sort -u | paste -sd ';')" \
        -P tests/together.cmake
    clang++-19 "${flags[@]}" -c "$work/$1.cpp" -o "$work/$1.o"
}
compile promises promises 2>/dev/null &
promises=$!
compile core tests_of 0-3 2>"$work/core.log" || { cat "$work/core.log"; exit 1; }
if grep 'include/latchbox/.*unsupported MC/DC' "$work/core.log"; then exit 1; fi
compile shell tests_of 4-6 2>/dev/null
wait "$promises"
clang++-19 "${flags[@]}" "$work"/{core,shell,promises}.o tests/main.cpp \
    tests/support/failing_new.cpp -pthread -o "$work/tests"

# What is long is so by numbers; it goes where others have been.
LLVM_PROFILE_FILE=$work/tests.profraw "$work/tests" --no-version --minimal \
    --test-case-exclude='*million*,*10^5*'
llvm-profdata-19 merge -sparse "$work/tests.profraw" -o "$work/tests.profdata"
llvm-cov-19 export "$work/tests" -instr-profile="$work/tests.profdata" -skip-expansions \
    "$root/include/latchbox" >"$work/tests.json"

status=0
python3 tools/coverage.py "$root" "$work/tests.json" core function=100 line=100 branch=100 \
    mcdc=100 || status=1
# Of the shell, some branches are taken only while others hold or let go of a lock: the simulation
# is there for them.
python3 tools/coverage.py "$root" "$work/tests.json" rest function=99.5 line=99.4 branch=96 ||
    status=1
exit "$status"
