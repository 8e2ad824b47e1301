#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors
# Counts the instructions of a message from publish to ack, and compares them with those that are
# kept in instructions.txt: over 3 % more is a failure. Only what the same tools counted can be
# compared; by others the counts are shown, and not judged.
#   bash tests/cost/instructions.sh FOLDER            builds into FOLDER, compares
#   bash tests/cost/instructions.sh FOLDER --update   keeps what is counted now, on purpose
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
folder=$1
kept=$root/tests/cost/instructions.txt
mkdir -p "$folder"
rm -f "$folder"/instructions.*

tools="g++ $(g++ -dumpfullversion), $(getconf GNU_LIBC_VERSION), $(valgrind --version), $(uname -m)"

g++ -std=c++20 -O2 -DNDEBUG -I"$root/include" "$root/tests/cost/instructions.cpp" -pthread \
    -o "$folder/instructions" &&
    valgrind --tool=callgrind --instr-atstart=no --callgrind-out-file="$folder/instructions.counts" \
        "$folder/instructions" >"$folder/instructions.log" 2>&1 ||
    { cat "$folder/instructions.log"; exit 1; }

# One file per count, with its label: how many messages, the name.
cat "$folder"/instructions.counts.* | awk '
    /^desc: Trigger: Client Request: / {
        messages = $5
        name = substr($0, index($0, " " messages " ") + length(messages) + 2)
        next
    }
    /^summary: / && name != "" {
        printf "%7.1f %s\n", $2 / messages, name
        name = ""
    }' | sort -k2 >"$folder/instructions.now"
[ "$(wc -l <"$folder/instructions.now")" -eq 3 ] || { echo "not all was counted"; exit 1; }

if [ "${2:-}" = --update ]; then
    {
        echo "# SPDX-License-Identifier: MIT"
        echo "# SPDX-FileCopyrightText: the latchbox authors"
        echo "# Instructions per message, or per delivery; written by instructions.sh --update"
        echo "# $tools"
        cat "$folder/instructions.now"
    } >"$kept"
fi
judged=yes
grep -qxF "# $tools" "$kept" || judged=no

awk -v judged=$judged '
    /^#/ { next }
    { name = substr($0, index($0, $2)) }
    NR == FNR { before[name] = $1; next }
    {
        printf "figure: instructions, %s = %.1f\n", name, $1
        change = name in before ? ($1 / before[name] - 1) * 100 : 1000
        printf "    %s: %.1f kept, %+.1f %%\n", name, before[name], change
        if (judged == "yes" && change > 3) { bad = 1 }
        if (change < -3) { print "    fewer by far: --update keeps it so" }
    }
    END {
        if (judged == "no") { print "counted by other tools than what is kept: not judged" }
        exit bad
    }' "$kept" "$folder/instructions.now"
