// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors

// What fuzzing found worth keeping, on every machine and by every compiler. The scripts of the
// model are replayed by tests/model/model_test.cpp.

#include "fuzz/corpus.hpp"

#include <cstdio>
#include <string>

#include <doctest/doctest.h>

#include "fuzz/ids.hpp"
#include "fuzz/subjects.hpp"

namespace {

template <class Target> void replay(const char* name, Target&& target) {
    const auto inputs = fuzz::corpus(name);
    CHECK(inputs.size() >= 20);
    for (const fuzz::Input& input : inputs) {
        INFO(std::string{name}, "/", input.name);
        CHECK(target(input.bytes) == "");
    }
    std::printf("figure: fuzz inputs replayed, %s = %zu\n", name, inputs.size());
}

}  // namespace

TEST_CASE("what is read as an id is one, and is written as it was read [misuse 39]") {
    replay("ids", fuzz::ids);
}

TEST_CASE("bytes are judged and matched as the rules of names and patterns say [6.1] [7.1]") {
    replay("subjects", fuzz::subjects);
}

TEST_CASE("the judges of fuzzing know good ids and names from bad ones themselves") {
    namespace detail = fuzz::detail;
    CHECK(detail::is_small("0"));
    CHECK(detail::is_small("4294967295"));
    CHECK_FALSE(detail::is_small("4294967296"));
    CHECK_FALSE(detail::is_small("42949672950"));
    CHECK_FALSE(detail::is_small("01"));
    CHECK_FALSE(detail::is_small(""));
    CHECK_FALSE(detail::is_small("1x"));
    CHECK(detail::is_large("18446744073709551615"));
    CHECK_FALSE(detail::is_large("18446744073709551616"));
    CHECK(detail::is_message(detail::parts_of("m-1-2-3")));
    CHECK_FALSE(detail::is_message(detail::parts_of("m-1-2-3-4")));
    CHECK(detail::is_receipt(detail::parts_of("r-1-2-3-4")));
    CHECK_FALSE(detail::is_receipt(detail::parts_of("r-1-2-3-")));
    CHECK(detail::read<latchbox::Receipt>("r-1-2-3-4", true) == "");
    CHECK(detail::read<latchbox::Receipt>("r-1-2-3-4", false) == "it was accepted");
    CHECK(detail::read<latchbox::Receipt>("r-1-2-3", true) == "it was refused");
    CHECK(detail::is_name("a.b", false));
    CHECK(detail::is_name("a.*.>", true));
    for (const char* const bad : {"", ".", "a..b", "a.", "a b", "\x7f", "*", ">"}) {
        CHECK_FALSE(detail::is_name(bad, false));
    }
    for (const char* const bad : {"", "a*", ">.a", "a.>.b", "**", "a.b>"}) {
        CHECK_FALSE(detail::is_name(bad, true));
    }
    CHECK(detail::is_name(std::string(255, 'a'), false));
    CHECK_FALSE(detail::is_name(std::string(256, 'a'), false));
}
