// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/errc.hpp"

#include <iterator>
#include <ostream>  // doctest prints error codes
#include <set>
#include <string>
#include <system_error>

#include <doctest/doctest.h>

namespace {

using latchbox::Errc;

constexpr Errc all[] = {
    Errc::empty,           Errc::timed_out,   Errc::cancelled,       Errc::closed,
    Errc::full,            Errc::lease_lost,  Errc::already_settled, Errc::leased,
    Errc::unknown_message, Errc::expired,     Errc::unknown_parent,  Errc::parent_failed,
    Errc::no_subscriber,   Errc::body_shared, Errc::invalid_name,    Errc::invalid_option};

TEST_CASE("every error code has a phrase of its own") {
    std::set<std::string> phrases;
    for (const Errc code : all) { phrases.insert(to_string(code)); }
    CHECK(phrases.size() == std::size(all));
    CHECK(phrases.count("unknown error") == 0);
    CHECK(phrases.count("") == 0);
    CHECK(std::string{to_string(static_cast<Errc>(200))} == "unknown error");
}

TEST_CASE("no error code is zero, which stands for success") {
    for (const Errc code : all) { CHECK(static_cast<int>(code) != 0); }
}

TEST_CASE("an error code is a std::error_code of the category latchbox") {
    const std::error_code code = Errc::lease_lost;
    CHECK(code == Errc::lease_lost);
    CHECK(code != Errc::empty);
    CHECK(std::string{code.category().name()} == "latchbox");
    CHECK(code.category() == latchbox::error_category());
    CHECK(code.message() == "the lease is lost");
}

TEST_CASE("an Error carries its code and says it in words") {
    const latchbox::Error error{Errc::full};
    CHECK(error.errc() == Errc::full);
    CHECK(error.code() == Errc::full);
    const std::system_error& base = error;
    CHECK(std::string{base.what()}.find("the queue is full") != std::string::npos);
}

}  // namespace
