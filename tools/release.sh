#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors
# Makes what a release consists of, out of a commit: the archive, the single header, and the sums of
# both. The same commit gives the same bytes. Then the archive is unpacked and used, by its own
# script. Tags and uploads nothing. Usage: sh tools/release.sh [folder to put it in [commit]]
set -eu
cd "$(dirname "$0")/.."
out=${1:-build/release-archive}
commit=$(git rev-parse --verify "${2:-HEAD}^{commit}")
header=$(git show "$commit:include/latchbox/version.hpp")
part() { echo "$header" | sed -n "s/^#define LATCHBOX_VERSION_$1 //p"; }
version=$(part MAJOR).$(part MINOR).$(part PATCH)
name=latchbox-$version
git show "$commit:CHANGELOG.md" | grep -qx "## $version" ||
    { echo "CHANGELOG.md says nothing of $version" >&2 && exit 1; }

# pack FOLDER: the times are the commit's, the owners and rights always the same.
pack() {
    mkdir -p "$1"
    git -c tar.umask=0022 archive --format=tar --prefix="$name/" -o "$1/$name.tar" "$commit"
    gzip -9 -n -f "$1/$name.tar"
}

rm -rf "$out"
pack "$out"
pack "$out/again"
cmp "$out/$name.tar.gz" "$out/again/$name.tar.gz"
tar -xzf "$out/$name.tar.gz" -C "$out/again"
cmake -DOUT="$out/latchbox.hpp" -P "$out/again/$name/tools/single_header.cmake"
sh "$out/again/$name/tools/check_doors.sh" "$out/again/doors" include_folder find_package \
    next_minor_refused
rm -rf "$out/again"
(cd "$out" && sha256sum "$name.tar.gz" latchbox.hpp | tee SHA256SUMS)
