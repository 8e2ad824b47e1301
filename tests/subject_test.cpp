// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/subject.hpp"

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

namespace {

using latchbox::check_pattern;
using latchbox::check_subject;
using latchbox::Errc;

struct Bad {
    std::string name;
    std::string rule;
    std::size_t position;
};

std::string tokens(std::size_t count) {
    std::string name = "a";
    while (--count != 0) { name += ".a"; }
    return name;
}

const std::string blank = "a name has no blanks";
const std::string control = "a name has no control characters";
const std::string token = "a token must not be empty";
const std::string wildcard = "a name has no wildcards";

const Bad bad[] = {
    {"", "a name must not be empty", 0},
    {std::string(256, 'a'), "a name has at most 255 bytes", 255},
    {std::string(1'000, ' '), "a name has at most 255 bytes", 255},
    {tokens(17), "a name has at most 16 tokens", 32},
    {tokens(40), "a name has at most 16 tokens", 32},
    {".", token, 0},
    {".a", token, 0},
    {"..", token, 0},
    {"a.", token, 2},
    {"a..b", token, 2},
    {"ab.cd..e", token, 6},
    {"a.b.", token, 4},
    {" ", blank, 0},
    {"a b", blank, 1},
    {"ab ", blank, 2},
    {"a. b", blank, 2},
    {std::string(1, '\0'), control, 0},
    {std::string("ab\0c", 4), control, 2},
    {"a\tb", control, 1},
    {"a\n", control, 1},
    {"\x1f", control, 0},
    {"ab\x7f", control, 2},
    {"*", wildcard, 0},
    {"a.*", wildcard, 2},
    {"a*", wildcard, 1},
    {">", wildcard, 0},
    {"a.>", wildcard, 2},
    {"a.b>.c", wildcard, 3},
    {"a b*", blank, 1},
    {"a*b c", wildcard, 1},
};

TEST_CASE("a bad name is told by its first broken rule and where that is [7.1]") {
    for (const Bad& expected : bad) {
        INFO("name: ", expected.name);
        const auto fault = check_subject(expected.name);
        REQUIRE_FALSE(fault);
        CHECK(fault == Errc::invalid_name);
        CHECK(std::string{fault.rule} == expected.rule);
        CHECK(fault.position == expected.position);
    }
}

TEST_CASE("requiring a bad name throws its rule and position [7.1]") {
    for (const auto& [name, rule, position] : bad) {
        const std::string expected = rule + ", at position " + std::to_string(position);
        std::string said;
        try {
            latchbox::detail::require(check_subject(name));
        } catch (const std::invalid_argument& error) { said = error.what(); }
        CHECK(said == "latchbox: " + expected);
    }
}

TEST_CASE("a good name is neither refused nor thrown at, whatever its bytes [7.1]") {
    const std::string good[] = {"a",
                                "orders",
                                "orders.eu.paid",
                                tokens(16),
                                std::string(255, 'x'),
                                "Größe.\xff\x80",
                                "-_/\\#?!\"",
                                std::string(253, 'y') + ".z"};
    for (const auto& name : good) {
        INFO("name: ", name);
        CHECK(check_subject(name));
        CHECK(check_pattern(name));
        CHECK_NOTHROW(latchbox::detail::require(check_subject(name)));
    }
}

TEST_CASE("every single byte is a name, but for dot, blank, wildcards and control characters") {
    for (int byte = 0; byte < 256; ++byte) {
        const char c = static_cast<char>(byte);
        const bool control_character = byte < 0x20 || byte == 0x7f;
        const bool refused =
            control_character || std::string_view{". *>"}.find(c) != std::string::npos;
        CHECK(check_subject({&c, 1}).has_value() != refused);
    }
}

TEST_CASE("a good pattern has its wildcards as whole tokens, and '>' at its end [6.1]") {
    for (const char* const good : {"*", ">", "*.*", "*.>", "a.*.b", "a.>", "*.a", "a.*.>"}) {
        CAPTURE(good);
        CHECK(check_pattern(good));
        CHECK_FALSE(check_subject(good));
    }
    const std::string own = "a wildcard is a token of its own";
    const std::string last = "'>' stands at the end";
    const Bad patterns[] = {
        {"a*", own, 1},
        {"*a", own, 0},
        {"a.b*.c", own, 3},
        {"a>", own, 1},
        {">.a", last, 0},
        {"a.>.b", last, 2},
        {">.>", last, 0},
        {"**", own, 0},
        {"*>", own, 0},
        {"", bad[0].rule, 0},
        {"*..a", token, 2},
        {".*", token, 0},
        {"*.", token, 2},
        {"* .a", own, 0},
        {"a b.*", blank, 1},
        {"*.a b", blank, 3},
        {"a*.b c", own, 1},
        {tokens(16) + ".>", "a name has at most 16 tokens", 32},
        {std::string(256, '*'), "a name has at most 255 bytes", 255},
    };
    for (const Bad& expected : patterns) {
        CAPTURE(expected.name);
        const auto fault = check_pattern(expected.name);
        REQUIRE(fault == Errc::invalid_name);
        CHECK(std::string{fault.rule} == expected.rule);
        CHECK(fault.position == expected.position);
    }
}

TEST_CASE("a good name has no error, and one too long is told so whatever it holds [6.1]") {
    CHECK(check_subject("orders.eu").error() == Errc{});
    CHECK(check_subject("").error() == Errc::invalid_name);
    const std::string name = "a.*." + std::string(300, 'b');
    CHECK(check_subject(name).position == 255);
    CHECK(std::string{check_subject(name).rule} == "a name has at most 255 bytes");
    CHECK(check_pattern(name).position == 255);
}

TEST_CASE("of two rules that are broken the first in the text is told [6.1]") {
    CHECK(check_pattern("a..x*").position == 2);
    CHECK(check_pattern("a..x*").rule == token);
    CHECK(check_pattern("x*a..b").position == 1);
    CHECK(std::string{check_pattern("x*a..b").rule} == "a wildcard is a token of its own");
    CHECK(check_subject("a..*").rule == token);
    CHECK(check_subject("*..a").rule == wildcard);
}

}  // namespace
