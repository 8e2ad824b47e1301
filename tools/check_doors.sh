#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors
# Builds and runs tests/consumer/main.cpp as its users would, by each way to find the library. No
# network. The library is installed once and then moved, so that a path baked in fails. Usage:
#   sh tools/check_doors.sh [folder to work in]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
work=${1:-$root/build/doors}
cxx=${CXX:-c++}
main=$root/tests/consumer/main.cpp
passed=0
failed=0

rm -rf "$work"
mkdir -p "$work"
work=$(cd "$work" && pwd)  # it may be given from here
cd "$work"

# door NAME COMMAND...: the command's output goes to a file, shown if it fails.
door() {
    name=$1
    shift
    if "$@" >"$name.log" 2>&1; then
        passed=$((passed + 1))
        echo "  ok      $name"
    else
        failed=$((failed + 1))
        echo "  FAILED  $name"
        sed 's/^/    /' "$name.log"
    fi
}

# project FOLDER LINES: a CMake project of one program, its library found by the lines.
project() {
    mkdir -p "$1"
    {
        echo 'cmake_minimum_required(VERSION 3.23)'
        echo 'project(consumer LANGUAGES CXX)'
        echo "$2"
        echo "add_executable(consumer $main)"
        echo 'target_link_libraries(consumer PRIVATE latchbox::latchbox)'
    } >"$1/CMakeLists.txt"
}

build_and_run() {
    folder=$1
    shift
    cmake -G Ninja -S "$folder" -B "$folder/build" "$@" && cmake --build "$folder/build" &&
        "$folder/build/consumer"
}

include_folder() { "$cxx" -std=c++20 -I"$root/include" "$main" -pthread -o folder && ./folder; }

install_and_move() {
    cmake -G Ninja -S "$root" -B pack -DLATCHBOX_BUILD_TESTS=OFF -DLATCHBOX_BUILD_EXAMPLES=OFF \
        -DLATCHBOX_BUILD_BENCHMARKS=OFF -DCMAKE_INSTALL_PREFIX="$work/first" &&
        cmake --install pack && mv first moved
}

find_package() {
    project found 'find_package(latchbox 0.1 CONFIG REQUIRED)'
    build_and_run found -DCMAKE_PREFIX_PATH="$work/moved"
}

# The next minor version may break its users: it is not this one.
next_minor_refused() {
    project next 'find_package(latchbox 0.2 CONFIG REQUIRED)'
    ! cmake -G Ninja -S next -B next/build -DCMAKE_PREFIX_PATH="$work/moved"
}

# As a part of another project, latchbox adds no tests, no programs, nothing to install.
add_subdirectory() {
    project part "add_subdirectory($root latchbox)
if(LATCHBOX_BUILD_TESTS OR LATCHBOX_BUILD_EXAMPLES OR LATCHBOX_BUILD_BENCHMARKS OR LATCHBOX_INSTALL)
  message(FATAL_ERROR \"an option of latchbox is on\")
endif()"
    build_and_run part && cmake --install part/build --prefix "$work/part/prefix" &&
        [ ! -e part/prefix ]
}

pkg_config() {
    flags=$(PKG_CONFIG_PATH=$work/moved/share/pkgconfig pkg-config --cflags --libs latchbox) &&
        # shellcheck disable=SC2086  # words on purpose
        "$cxx" -std=c++20 "$main" $flags -o by_pkg_config && ./by_pkg_config
}

meson_subproject() {
    mkdir -p sub/subprojects && ln -s "$root" sub/subprojects/latchbox &&
        cp "$main" sub/main.cpp && cat >sub/meson.build <<'END' &&
project('consumer', 'cpp', default_options: ['cpp_std=c++20'])
executable('consumer', 'main.cpp', dependencies: dependency('latchbox'))
END
        meson setup sub/build sub --force-fallback-for=latchbox --wrap-mode=nodownload &&
        ninja -C sub/build consumer && sub/build/consumer
}

door include_folder include_folder
door install_and_move install_and_move
door find_package find_package
door next_minor_refused next_minor_refused
door add_subdirectory add_subdirectory
for tool in pkg-config:pkg_config meson:meson_subproject; do
    if command -v "${tool%:*}" >/dev/null 2>&1; then
        door "${tool#*:}" "${tool#*:}"
    else
        echo "  skipped ${tool#*:}: no ${tool%:*} here"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
