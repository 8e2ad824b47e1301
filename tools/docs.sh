#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors
# The site: the pages of docs/ by MkDocs, and the reference of the public headers by Doxygen, into
# build/site. A warning of either is a failure. Needs Debian's packages mkdocs and doxygen.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdocs build --quiet --strict
doxygen tools/Doxyfile
test -f build/site/api/annotated.html  # to which a page leads
echo "the site: build/site/index.html"
