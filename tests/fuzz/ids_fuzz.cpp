// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "fuzz/ids.hpp"

#include "fuzz/target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    return fuzz::judge(fuzz::ids(fuzz::text(data, size)));
}
