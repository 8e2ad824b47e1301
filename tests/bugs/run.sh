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
        -include bugs/planted.hpp -c "tests/bugs/$1.cpp" -o "$folder/$1.o"
}
compile model_driver &
model=$!
compile simulated_driver
compile driver
wait "$model"
program=$folder/latchbox_bugs
"${CXX:-c++}" "$folder"/*.o -o "$program" -pthread

if [ -z "${LATCHBOX_SEED:-}" ] && commit=$(git rev-parse --short=10 HEAD 2>/dev/null); then
    LATCHBOX_SEED=$(printf '%d' "0x$commit")
    export LATCHBOX_SEED
fi

# Without any bug the patched copy is as good as the original.
for driver in model simulated; do
    LATCHBOX_SECONDS=4 "$program" 0 "$driver"
done

# The bugs of one half, by all drivers that claim to find them.
hunt() {
    for bug in "$@"; do
        name=$(basename "$bug" .patch)
        for driver in $(sed -n 's/^# Found by: \(.*\)\.$/\1/p' "$bug" | tr -d ,); do
            said=$folder/$name.$driver
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
            continue
        fi
        sed -n 's/^found by .* in \([0-9.]*\) s, .*, \([0-9]*\) choices: .*/\1 \2/p' "$said" \
            >>"$finds"
        text=$(sed -n 's/^found by .* choices: //p' "$said")
        if [ "$text" = "$(cat "$said.again")" ]; then
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
