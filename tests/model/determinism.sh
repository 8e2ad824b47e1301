#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors
# Whether the same seeds leave the same log in every build: by both compilers, with 32 and 64 bits,
# optimised and not, and twice in each. Builds into the folder given.
#   bash tests/model/determinism.sh FOLDER
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
folder=$1
mkdir -p "$folder"
first=
equal=0
builds=0

# build NAME COMMAND...: by that compiler, with these flags.
build() {
    local name=$1 hash
    shift
    builds=$((builds + 1))
    "$@" -std=c++20 -I"$root/include" -I"$root/tests" -D_GLIBCXX_ASSERTIONS -Wall -Wextra \
        -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wold-style-cast -Wundef \
        -Wnon-virtual-dtor -Werror "$root/tests/model/log.cpp" -pthread -o "$folder/$name" ||
        return
    hash=$("$folder/$name") || hash="$hash, and something else the second time, or a difference"
    echo "$name: $hash"
    first=${first:-$hash}
    [ "$hash" = "$first" ] && equal=$((equal + 1))
}

# Where the headers of the kernel stand is known to the 64-bit compiler alone.
build gcc-64-optimised g++ -O2
build gcc-32 g++ -m32 -idirafter "/usr/include/$(g++ -print-multiarch)"
build clang-64 clang++-14
build clang-64-optimised clang++-14 -O2

echo "figure: determinism, equal hashes = $equal of $builds"
[ "$equal" -eq "$builds" ]
