// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "fuzz/scripts.hpp"

#include "fuzz/target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    return fuzz::judge(fuzz::scripts(fuzz::text(data, size)));
}
