// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

// What libFuzzer calls with bytes; who aborts has found something.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace fuzz {

inline std::string_view text(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

inline int judge(const std::string& wrong) {
    if (wrong.empty()) { return 0; }
    std::fprintf(stderr, "%s\n", wrong.c_str());
    std::abort();
}

}  // namespace fuzz
