#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors
# Builds and runs tests/consumer/main.cpp as its users would, by each way to find the library. No
# network. The library is installed once and then moved, so that a path baked in fails. Usage:
#   sh tools/check_doors.sh [folder to work in [door...]]
# CXX, CLANG (for the module) and CONAN name the tools, JOBS how many doors are opened at once.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
work=${1:-$root/build/doors}
cxx=${CXX:-c++}
clang=${CLANG:-clang++-19}
conan=${CONAN:-conan}
main=$root/tests/consumer/main.cpp
version_part() { sed -n "s/^#define LATCHBOX_VERSION_$1 //p" "$root/include/latchbox/version.hpp"; }
major=$(version_part MAJOR)
minor=$(version_part MINOR)
version=$major.$minor.$(version_part PATCH)

# project FOLDER LINES: a CMake project of one program, its library found by the lines.
project() {
    mkdir -p "$1"
    {
        echo 'cmake_minimum_required(VERSION 3.24)'
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

# meson_project FOLDER DEPENDENCY ARGUMENTS...: the same of Meson.
meson_project() {
    folder=$1
    dependency=$2
    shift 2
    mkdir -p "$folder"
    cp "$main" "$folder/main.cpp"
    {
        echo "project('consumer', 'cpp', default_options: ['cpp_std=c++20'])"
        echo "executable('consumer', 'main.cpp', dependencies: dependency($dependency))"
    } >"$folder/meson.build"
    meson setup "$folder/build" "$folder" "$@" && ninja -C "$folder/build" consumer &&
        "$folder/build/consumer"
}

# What an archive of the library would have to have in it, for tools that want a tree of their own.
copy_sources() {
    mkdir -p "$1/tests"
    for part in CMakeLists.txt LICENSE cmake include conanfile.py test_package tests/consumer; do
        cp -R "$root/$part" "$1/$part"
    done
}

# ---- the checkout

include_folder() { "$cxx" -std=c++20 -I"$root/include" "$main" -pthread -o folder && ./folder; }

# It is made twice alike, and has workers and coroutines in it. No header beside it is found. All of
# its interface is compiled by tests/CMakeLists.txt: the published cases.
single_header() {
    for out in single/latchbox again; do
        cmake -DOUT="$out/latchbox.hpp" -P "$root/tools/single_header.cmake" || return 1
    done
    cmp single/latchbox/latchbox.hpp again/latchbox.hpp || return 1
    for header in workers coroutine; do
        echo '#include "latchbox.hpp"' >single/latchbox/$header.hpp
    done
    "$cxx" -std=c++20 -Isingle "$main" "$root/tests/odr_a.cpp" -pthread -o single/consumer &&
        single/consumer
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

fetch_content() {
    project fetched "include(FetchContent)
FetchContent_Declare(latchbox URL none.invalid FIND_PACKAGE_ARGS $major.$minor CONFIG)
FetchContent_MakeAvailable(latchbox)"
    build_and_run fetched -DFETCHCONTENT_SOURCE_DIR_LATCHBOX="$root"
}

# By the tag of a repository, which is all that CPM does with "gh:.../latchbox@0.1.0".
fetch_content_tag() {
    copy_sources repository
    git -C repository init -q && git -C repository add -A &&
        git -C repository -c user.name=door -c user.email=door@none.invalid commit -q -m all &&
        git -C repository tag "v$version" || return 1
    project tagged "include(FetchContent)
FetchContent_Declare(latchbox GIT_REPOSITORY $work/repository GIT_TAG v$version GIT_SHALLOW ON)
FetchContent_MakeAvailable(latchbox)"
    build_and_run tagged
}

meson_subproject() {
    mkdir -p sub/subprojects && ln -s "$root" sub/subprojects/latchbox &&
        meson_project sub "'latchbox'" --force-fallback-for=latchbox --wrap-mode=nodownload
}

# In a home of its own and with no remote. Of whatever build type, it is one package.
conan_package() {
    export CONAN_HOME="$work/conan_home"
    copy_sources conan
    "$conan" profile detect && "$conan" remote disable '*' || return 1
    cd conan
    set -- -s compiler.cppstd=20 -c tools.cmake.cmaketoolchain:generator=Ninja
    "$conan" create . "$@" && "$conan" create . -s build_type=Debug --test-folder= "$@" || return 1
    "$conan" list 'latchbox/*:*' --format=compact | tee packages
    [ "$(grep -c "^ *latchbox/$version#[0-9a-f]*:[0-9a-f]* *$" packages)" -eq 1 ]
}

vcpkg_replayed() {
    cmake -DPREFIX="$work/port/first" -DWORK="$work/port/build" \
        -P "$root/packaging/vcpkg/replay.cmake" && mv port/first port/moved || return 1
    project ported "find_package(latchbox $major.$minor CONFIG REQUIRED)"
    build_and_run ported -DCMAKE_PREFIX_PATH="$work/port/moved"
}

# For the program it is as if the header had been included.
module() {
    mkdir -p imported/latchbox
    printf '#include <chrono>\nimport latchbox;\n' >imported/latchbox/latchbox.hpp
    "$clang" -std=c++20 -pthread -I"$root/include" --precompile "$root/modules/latchbox.cppm" \
        -o imported/latchbox.pcm &&
        "$clang" -std=c++20 -pthread -c imported/latchbox.pcm -o imported/latchbox.o &&
        "$clang" -std=c++20 -pthread -Iimported -fmodule-file=latchbox=imported/latchbox.pcm \
            "$main" imported/latchbox.o -o imported/consumer && imported/consumer
}

# ---- the installed copy

install_and_move() {
    cmake -G Ninja -S "$root" -B pack -DLATCHBOX_BUILD_TESTS=OFF -DLATCHBOX_BUILD_EXAMPLES=OFF \
        -DLATCHBOX_BUILD_BENCHMARKS=OFF -DCMAKE_INSTALL_PREFIX="$work/first" &&
        cmake --install pack && mv first moved
}

find_package() {
    project found "find_package(latchbox $major.$minor CONFIG REQUIRED)"
    build_and_run found -DCMAKE_PREFIX_PATH="$work/moved"
}

# The next minor version may break its users: it is not this one.
next_minor_refused() {
    project next "find_package(latchbox $major.$((minor + 1)) CONFIG REQUIRED)"
    ! cmake -G Ninja -S next -B next/build -DCMAKE_PREFIX_PATH="$work/moved" >next.log 2>&1 &&
        grep "version: $version" next.log
}

fetch_content_installed() {
    project unfetched "include(FetchContent)
FetchContent_Declare(latchbox URL none.invalid FIND_PACKAGE_ARGS $major.$minor CONFIG)
FetchContent_MakeAvailable(latchbox)"
    build_and_run unfetched -DCMAKE_PREFIX_PATH="$work/moved" -DFETCHCONTENT_FULLY_DISCONNECTED=ON
}

pkg_config() {
    path=${1:-$work/moved/share/pkgconfig}
    flags=$(PKG_CONFIG_PATH=$path pkg-config --cflags --libs latchbox) || return 1
    # shellcheck disable=SC2086  # words on purpose
    "$cxx" -std=c++20 "$main" $flags -o "by_pkg_config${2:-}" && "./by_pkg_config${2:-}"
}

meson_pkg_config() {
    PKG_CONFIG_PATH=$work/moved/share/pkgconfig meson_project by_pc \
        "'latchbox', method: 'pkg-config'"
}

meson_cmake() {
    meson_project by_config "'latchbox', method: 'cmake'" --cmake-prefix-path="$work/moved"
}

# Meson's own installation is moved, too.
meson_installed() {
    meson setup by_meson "$root" -Dtests=disabled -Dexamples=disabled -Dprefix="$work/laid" \
        -Dpkgconfig.relocatable=true && meson install -C by_meson && mv laid laid_moved &&
        pkg_config "$work/laid_moved/share/pkgconfig" _of_meson
}

# One door, its output kept, and shown if it fails.
open_door() {
    if ("$1") >"$1.log" 2>&1; then
        echo "  ok      $1"
    else
        echo "  FAILED  $1"
        sed 's/^/    /' "$1.log"
    fi
}

if [ "${LATCHBOX_DOOR:-}" ]; then
    cd "$work"
    open_door "$LATCHBOX_DOOR"
    exit
fi

rm -rf "$work"
mkdir -p "$work"
work=$(cd "$work" && pwd)  # it may be given from here
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- conan_package single_header module include_folder find_package \
    next_minor_refused add_subdirectory fetch_content fetch_content_tag fetch_content_installed \
    pkg_config meson_subproject meson_pkg_config meson_cmake meson_installed vcpkg_replayed
doors=
for door in "$@"; do
    tool="sh"
    case $door in
        conan*) tool=$conan ;;
        fetch_content_tag) tool=git ;;
        meson*) tool=meson ;;
        module) tool=$clang ;;
        pkg_config) tool=pkg-config ;;
    esac
    if command -v "$tool" >/dev/null 2>&1; then
        doors="$doors $door"
    else
        echo "  skipped $door: no $tool here"
    fi
done
{
    (cd "$work" && open_door install_and_move)
    # shellcheck disable=SC2086  # words on purpose
    printf '%s\n' $doors | xargs -P "${JOBS:-2}" -I '{}' env LATCHBOX_DOOR='{}' sh "$0" "$work"
} | tee "$work/doors"
passed=$(grep -c '^  ok ' "$work/doors" || true)
failed=$(grep -c '^  FAILED ' "$work/doors" || true)
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
