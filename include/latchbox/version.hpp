// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

// The one place that holds the version; build files read it from here.
#define LATCHBOX_VERSION_MAJOR 0
#define LATCHBOX_VERSION_MINOR 1
#define LATCHBOX_VERSION_PATCH 0
#define LATCHBOX_VERSION \
    (LATCHBOX_VERSION_MAJOR * 10000 + LATCHBOX_VERSION_MINOR * 100 + LATCHBOX_VERSION_PATCH)

#if (defined(_MSVC_LANG) && _MSVC_LANG < 202002L) || (!defined(_MSVC_LANG) && __cplusplus < 202002L)
#error "latchbox needs C++20: compile with -std=c++20 (or /std:c++20)"
#endif
