#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors
# Builds the library by other compilers, other standard libraries and for other machines, and runs
# what it has built, under an emulator where need be. Installs what a row lacks on Debian 12. Usage:
#   sh tools/platforms.sh [--whole] [row...]         without a row: all
# Of each row: the whole interface in one program. Without --whole also: the consumer of the doors;
# two files that include everything, hostile macros, and the unit tests that depend on the machine.
set -eu
cd "$(dirname "$0")/.."
root=$(pwd)
work=${WORK:-$root/build/platforms}
all='gcc12 gcc12-c++23 gcc12-bare clang14 clang16 clang19 clang19-c++23 clang19-c++26 libc++-c++20
    libc++-c++23 libc++-c++26 libc++-bare m32 aarch64 s390x mingw'
floor='-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wold-style-cast -Wundef
    -Wnon-virtual-dtor -Werror'
programs='consumer whole tests'
if [ "${1:-}" = --whole ]; then
    programs=whole
    shift
fi
# shellcheck disable=SC2086  # words on purpose
[ $# -gt 0 ] || set -- $all

# The tests of what depends on sizes, signs, the order of bytes and the library's own templates.
units='time ids result errc reason subject backoff slot_heap slot_index table
    pattern_index exact_time order'

# A row: its compiler and flags, what runs what it makes, the packages it needs.
describe() {
    compiler=
    flags=-std=c++20
    runs=
    packages=
    suffix=
    case $1 in
        *-c++*) flags=-std=${1##*-} ;;
        *-bare) flags='-std=c++20 -fno-exceptions -fno-rtti' ;;
    esac
    case $1 in
        gcc12*) compiler=g++-12 packages=g++-12 ;;
        clang14*) compiler=clang++-14 packages=clang-14 ;;
        clang16*) compiler=clang++-16 packages=clang-16 ;;
        clang19*) compiler=clang++-19 packages=clang-19 ;;
        libc++*)
            compiler=clang++-19
            flags="$flags -stdlib=libc++"
            packages='clang-19 libc++-19-dev libc++abi-19-dev'
            ;;
        m32)
            compiler=g++-12
            flags="$flags -m32 -isystem /usr/include/x86_64-linux-gnu"
            packages=g++-12-multilib  # not g++-multilib: that excludes the compilers for others
            ;;
        aarch64 | s390x)
            compiler=$1-linux-gnu-g++
            runs="qemu-$1 -L /usr/$1-linux-gnu"
            packages="g++-$1-linux-gnu qemu-user"
            ;;
        mingw)
            compiler=x86_64-w64-mingw32-g++-posix
            flags="$flags -static -Wa,-mbig-obj"  # many templates are many sections
            runs=/usr/lib/wine/wine64
            packages='g++-mingw-w64-x86-64-posix wine64'
            suffix=.exe
            export WINEDEBUG=-all WINEPREFIX="$work/wine"
            ;;
        *)
            echo "no such row: $1" >&2
            exit 2
            ;;
    esac
}

install_missing() {
    missing=
    for package in $packages doctest-dev; do
        dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
    done
    [ "$missing" ] || return 0
    as_root=
    [ "$(id -u)" -eq 0 ] || as_root=sudo
    # shellcheck disable=SC2086  # words on purpose
    $as_root apt-get update -qq && $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends $missing
}

# doctest alone: its folder is the machine's own, whose other headers belong to no other machine.
doctest_alone() {
    mkdir -p "$work/doctest"
    [ -e "$work/doctest/doctest" ] || ln -s /usr/include/doctest "$work/doctest/doctest"
}

sources() {
    case $1 in
        consumer) echo tests/consumer/main.cpp ;;
        whole) echo tests/no_exceptions.cpp ;;
        tests)
            # shellcheck disable=SC2086,SC2046  # words on purpose
            sh tools/unity.sh $(printf '%s_test.cpp ' $units) >"$out/units.cpp"
            echo tests/main.cpp tests/odr_a.cpp tests/odr_b.cpp tests/odr_test.cpp \
                tests/hostile_macros.cpp tests/hostile_macros_test.cpp \
                tests/support/failing_new.cpp "$out/units.cpp"
            ;;
    esac
}

# program NAME: built and run.
program() {
    # shellcheck disable=SC2086,SC2046  # words on purpose
    case $1 in
        tests)
            set -- "$1" -isystem "$work/doctest" -Itests -D_GLIBCXX_ASSERTIONS \
                -DDOCTEST_CONFIG_NO_POSIX_SIGNALS -Wno-subobject-linkage
            case $compiler in clang*) set -- "$@" -Wno-unknown-warning-option ;; esac
            case $flags in
                *-fno-exceptions*) return 0 ;;  # they ask what is thrown
            esac
            ;;
    esac
    name=$1
    shift
    # shellcheck disable=SC2086,SC2046  # words on purpose
    $compiler $flags $floor -O0 -Iinclude -pthread "$@" $(sources "$name") \
        -o "$out/$name$suffix" && $runs "$out/$name$suffix"
}

passed=0
failed=0
for row in "$@"; do
    describe "$row"
    out=$work/$row
    rm -rf "$out"
    mkdir -p "$out"
    begin=$(date +%s)
    result=ok
    if ! install_missing >"$out/install.log" 2>&1; then
        result='FAILED: install'
    fi
    doctest_alone
    for name in $programs; do
        [ "$result" = ok ] || break
        program "$name" >"$out/$name.log" 2>&1 || result="FAILED: $name"
    done
    if [ "$result" = ok ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        tail -n 40 "$out/${result#FAILED: }.log" | sed 's/^/    /'
    fi
    printf '%-14s %s, %d s\n' "$row" "$result" $(($(date +%s) - begin))
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
