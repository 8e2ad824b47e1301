#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors
# A header as Doxygen is to read it: without the inline namespace, which would stand in every name;
# with a paragraph for each labelled line of a comment, such as `/// Threads   Any member ...`; with
# threads that are not the class of that name; and without what it cannot read (a requirement behind
# a function), what is not for readers (protected members, friends) and what is not ours (std).
sed -E \
    -e 's|^inline namespace v0 \{$|extern "C++" {|' \
    -e 's|^( *)/// ([A-Z][a-z]+) {2,}([^ ].*)$|\1/// \\par \2\n\1/// \3|' \
    -e 's|/// Threads that|/// %Threads that|' \
    -e 's| requires Platform::can_wait||' \
    -e 's|^protected:|private:|' \
    -e '/^ *friend (struct|class) .*;$/d' \
    -e 's|detail::no_wishes|{}|' \
    -e '/^template <> struct std::.*\};$/d' \
    -e '/^template <> struct std::/,/^};$/d' "$1"
