#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors
# Prints one source file that is all the given ones, named from tests/: what they include, once, and
# then each in a namespace of its own. What their templates make of the library is compiled once
# instead of in every file. Usage:
#   sh tools/unity.sh FILE... >all.cpp
set -eu
cd "$(dirname "$0")/../tests"
echo '// SPDX-License-Identifier: MIT'
echo '// SPDX-FileCopyrightText: the latchbox authors'
grep -h '^#include' "$@" | sort -u
number=0
for file in "$@"; do
    number=$((number + 1))
    printf 'namespace unit_%d {\n#include "%s"\n}\n' "$number" "$file"
done
