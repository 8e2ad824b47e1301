#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors
# Runs shown.cpp in gdb, and compares what the printers show with what the program says and with
# what it has done. Usage: sh debug/check.sh [folder to work in]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
work=${1:-$root/build/debug}
mkdir -p "$work"
cd "$work"
"${CXX:-c++}" -std=c++20 -g -O0 -I"$root/include" "$root/debug/shown.cpp" -pthread -o shown
./shown >says
said() { sed -n "s/^$1=//p" says; }
cat >expected <<EOF
\$1 = a value = {value = $(said id)}
\$2 = $(said gate)
\$3 = $(said receipt)
\$4 = none
\$5 = never
\$6 = rejected: no milk
\$7 = "orders": blocked 1, leased 1, dead 1
\$8 = "books": ready 1
\$9 = "orders.eu"
\$10 = a value = {value = of "orders", attempt 1, until 2 s = {body = 7}}
\$11 = error: unknown_message
\$12 = error: empty
\$13 = done
EOF
set --
for shown in id gate receipt none never reason orders all topic delivery refused taken settled
do
    set -- "$@" -ex "print $shown"
done
gdb -batch -nx -ex "source $root/debug/latchbox_gdb.py" -ex 'break stop_here' -ex run -ex up "$@" \
    ./shown >gdb.log 2>&1 || true
grep '^\$' gdb.log >shown.log || true
if ! diff expected shown.log; then
    cat gdb.log
    exit 1
fi

# The members that the other file names: each stands in a header.
members=$(sed -n '/<Type /,$p' "$root/debug/latchbox.natvis" |
    grep -o '[a-z_]*_\b\|core\|attempts\|deadline' | sort -u)
for member in $members; do
    grep -rqw "$member" "$root/include/latchbox" ||
        { echo "latchbox.natvis: there is no $member" && exit 1; }
done
echo "13 values shown, $(echo "$members" | wc -l) members found"
