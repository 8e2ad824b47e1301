#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors
# The fuzzers that stand in the folder BUILD: first what the corpora have, then new inputs, a
# million executions in all; most of them where they are cheap. What is found wrong is kept in
# BUILD and belongs into the corpus.
#   bash tests/fuzz/run.sh BUILD [PERCENT]      of that million
set -u
build=$1
percent=${2:-100}
corpora=$(cd "$(dirname "$0")" && pwd)/corpus
executions=0
findings=0

# run TARGET EXECUTIONS OPTION...: those of the corpus are among the executions.
run() {
    local target=$1 runs=$(($2 * percent / 100)) log=$build/fuzz-$1.log done
    shift 2
    mkdir -p "$build/fuzz-$target"
    "$build/latchbox_fuzz_$target" -runs="$runs" "$@" -print_final_stats=1 \
        -artifact_prefix="$build/fuzz-$target-" "$build/fuzz-$target" "$corpora/$target" \
        >"$log" 2>&1 || findings=$((findings + 1))
    done=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    executions=$((executions + ${done:-0}))
    if [ "${done:-0}" -lt "$runs" ]; then
        echo "$target: ${done:-none} of $runs executions; the end of $log:"
        tail -n 40 "$log"
        return 1
    fi
    echo "$target: $done executions, $(sed -n 's/^INFO: Seed: /seed /p' "$log")"
}

good=yes
run ids 840000 -max_len=200 || good=no
run subjects 150000 -max_len=120 || good=no
# How often an edge is taken makes nearly each script a new one: what counts is which edges are.
run scripts 10000 -max_len=400 -use_counters=0 || good=no
echo "figure: fuzz executions = $executions"
echo "figure: fuzz findings = $findings"
[ "$good" = yes ] && [ "$findings" -eq 0 ]
