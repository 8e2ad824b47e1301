#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors
# What grows and what does not: memory over millions of cycles, and the instructions of each
# operation among 10^5 of something, at most twice what it takes among 10^3. Builds into FOLDER.
#   bash tests/cost/run.sh FOLDER [CYCLES]
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
folder=$1
cycles=${2:-10000000}
mkdir -p "$folder"
rm -f "$folder"/counts.*

build() {
    g++ -std=c++20 -O2 -I"$root/include" -I"$root/tests" "$@" -pthread
}
build "$root/tests/cost/cycles.cpp" "$root/tests/support/failing_new.cpp" -o "$folder/cycles" &&
    "$folder/cycles" "$cycles" || exit 1

build "$root/tests/cost/operations.cpp" -o "$folder/operations" &&
    valgrind --tool=callgrind --instr-atstart=no --callgrind-out-file="$folder/counts" \
        "$folder/operations" >"$folder/callgrind.log" 2>&1 ||
    { cat "$folder/callgrind.log"; exit 1; }

# One file per count, with its label (how many there are, how often it was done, the name) and the
# instructions. The control is known to grow: a comparison that does not see it sees nothing.
cat "$folder"/counts.* | awk '
    /^desc: Trigger: Client Request: / {
        size = $5
        each = $6
        name = substr($0, index($0, size " " each " ") + length(size each) + 2)
        next
    }
    /^summary: / && name != "" {
        if (size == 1000) { few[name] = $2 / each } else { many[name] = $2 / each }
        name = ""
    }
    END {
        good = 1
        for (name in few) {
            ratio = name in many ? many[name] / few[name] : 1000
            if (name == "control") {
                seen = ratio > 50
                continue
            }
            printf "figure: cost at 10^5 over 10^3, %s = %.2f\n", name, ratio | "sort"
            ++operations
            if (ratio > 2) {
                printf "%s: %d and %d instructions\n", name, few[name], many[name]
                good = 0
            }
        }
        close("sort")
        printf "figure: operations whose cost does not grow = %d\n", operations
        exit !(good && seen && operations > 30)
    }'
