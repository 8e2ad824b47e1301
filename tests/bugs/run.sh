#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors
# Whether the general tests find the bugs that were put in on purpose, each by a patch of this
# folder. All patches go into one copy of the headers, against which the drivers are built once;
# then each driver that claims a bug runs with that one planted. It has to find it within 20 seconds
# of one core, and the line that it prints has to show it again.
#   sh tests/bugs/run.sh FOLDER              in that folder
#   sh tests/bugs/run.sh FOLDER 7 16         those bugs alone
# Seeds come from the commit, unless LATCHBOX_SEED names one.
set -eu
cd "$(dirname "$0")/../.."
folder=$1
shift
rm -rf "$folder"
mkdir -p "$folder"

cp -R include "$folder/include"
for bug in tests/bugs/*.patch; do
    if ! patch -d "$folder" -p1 -s --fuzz=0 --no-backup-if-mismatch <"$bug"; then
        echo "no longer applies: $bug"
        exit 1
    fi
done

compile() {
    "${CXX:-c++}" -std=c++20 -O1 -D_GLIBCXX_ASSERTIONS -I"$folder/include" -Itests \
        -DLATCHBOX_SOURCE_DIR='"."' -include bugs/planted.hpp -c "$1" -o "$2"
}
compile tests/bugs/model_driver.cpp "$folder/model_driver.o" &
model=$!
for driver in driver simulated_driver; do
    compile tests/bugs/$driver.cpp "$folder/$driver.o"
done
mkdir "$folder/faults"
for part in exception_safety_test support/failing_new main; do
    compile tests/$part.cpp "$folder/faults/$(basename $part).o"
done
wait "$model"
program=$folder/latchbox_bugs
faults=$folder/latchbox_faults
"${CXX:-c++}" "$folder"/*.o -o "$program" -pthread
"${CXX:-c++}" "$folder"/faults/*.o -o "$faults" -pthread

if [ -z "${LATCHBOX_SEED:-}" ] && commit=$(git rev-parse --short=10 HEAD 2>/dev/null); then
    LATCHBOX_SEED=$(printf '%d' "0x$commit")
    export LATCHBOX_SEED
fi

# Without any bug the patched copy is as good as the original.
for driver in model simulated; do
    LATCHBOX_SECONDS=4 "$program" 0 "$driver"
done
"$faults" --minimal >"$folder/clean" || { cat "$folder/clean" && exit 1; }

# The first test of faults that fails with a bug, in the words of a search; it takes no chances.
find_by_faults() {
    LATCHBOX_BUG=$1 timeout 100 "$faults" "$2" >"$3.all" 2>&1 && return 1
    test=$(sed -n 's/^TEST CASE:  *//p' "$3.all" | head -n 1)
    [ -n "$test" ] || return 1
    echo "found by faults: $test" >"$3"
}

# The bugs of one half, by all drivers that claim to find them.
hunt() {
    for bug in "$@"; do
        name=$(basename "$bug" .patch)
        for driver in $(sed -n 's/^# Found by: \(.*\)\.$/\1/p' "$bug" | tr -d ,); do
            said=$folder/$name.$driver
            if [ "$driver" = faults ]; then
                number=${name%%_*}
                number=${number#0}
                : >"$said"
                find_by_faults "$number" --no-version "$said" || continue
                test=$(sed 's/^found by faults: //; s/,/*/g' "$said")
                find_by_faults "$number" --test-case="$test" "$said.again" || :
                continue
            fi
            "$program" "${name%%_*}" "$driver" >"$said" 2>&1 || continue
            line=$(tail -n 1 "$said")
            # shellcheck disable=SC2086  # assignments on purpose
            env $line "$program" >"$said.again" 2>&1 || :
        done
    done
}
if [ $# -eq 0 ]; then
    set -- tests/bugs/*.patch
else
    for number in "$@"; do
        set -- "$@" tests/bugs/"$(printf '%02d' "$number")"_*.patch
        shift
    done
fi
one=
other=
for bug in "$@"; do
    one="$one $bug"
    swap=$one
    one=$other
    other=$swap
done
# shellcheck disable=SC2086  # lists on purpose
hunt $one &
# shellcheck disable=SC2086
hunt $other
wait

bugs=0
found=0
claims=0
repeated=0
finds=$folder/finds
: >"$finds"
for bug in "$@"; do
    name=$(basename "$bug" .patch)
    bugs=$((bugs + 1))
    by_all=yes
    for driver in $(sed -n 's/^# Found by: \(.*\)\.$/\1/p' "$bug" | tr -d ,); do
        said=$folder/$name.$driver
        claims=$((claims + 1))
        printf '%s: ' "$name"
        cat "$said"
        if ! grep -q '^found by ' "$said"; then
            by_all=no
            echo "not found by $driver"
            continue
        fi
        sed -n 's/^found by .* in \([0-9.]*\) s, .*, \([0-9]*\) choices: .*/\1 \2/p' "$said" \
            >>"$finds"
        text=$(sed -n 's/^found by .* choices: //p; /^found by faults/p' "$said")
        if [ "$text" = "$(cat "$said.again" 2>/dev/null)" ]; then
            repeated=$((repeated + 1))
        else
            echo "    again it was: $(cat "$said.again")"
        fi
    done
    [ "$by_all" = yes ] && found=$((found + 1))
done
echo "figure: seeded bugs found = $found of $bugs"
echo "figure: seeded bugs reproduced from their line = $repeated of $claims"
sort -n "$finds" | tail -n 1 |
    while read -r seconds choices; do
        echo "figure: seeded bugs, slowest found after = $seconds s"
    done
sort -n -k 2 "$finds" |
    awk '{ choices[NR] = $2 }
         END { if (NR) print "figure: seeded bugs, median shrunk choices = " choices[int((NR + 1) / 2)] }'
[ "$found" -eq "$bugs" ] && [ "$repeated" -eq "$claims" ]
