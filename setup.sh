#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors
# Installs what building latchbox needs and this machine lacks: a compiler, CMake, Ninja, doctest.
set -eu

missing=""
command -v "${CXX:-c++}" >/dev/null 2>&1 || missing="$missing g++"
command -v cmake >/dev/null 2>&1 || missing="$missing cmake"
command -v ninja >/dev/null 2>&1 || missing="$missing ninja-build"
[ -f /usr/include/doctest/doctest.h ] || [ -f /usr/local/include/doctest/doctest.h ] ||
    missing="$missing doctest-dev"

if [ -z "$missing" ]; then
    echo "nothing to install"
    exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "please install (names of Debian's packages):$missing" >&2
    exit 1
fi
as_root=""
[ "$(id -u)" -eq 0 ] || as_root=sudo
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# shellcheck disable=SC2086  # words on purpose
$as_root apt-get install -y -qq --no-install-recommends $missing
