// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/ids.hpp"

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <type_traits>
#include <unordered_set>

#include <doctest/doctest.h>

namespace {

using latchbox::Errc;
using latchbox::MessageId;
using latchbox::Receipt;
using latchbox::detail::IdParts;

static_assert(sizeof(MessageId) == 16);
static_assert(sizeof(Receipt) == 24);
static_assert(std::is_trivially_copyable_v<MessageId> && std::is_trivially_copyable_v<Receipt>);

TEST_CASE("an id of nothing is equal to itself and to no issued one [8]") {
    CHECK(MessageId{} == MessageId{});
    CHECK(Receipt{} == Receipt{});
    CHECK(IdParts::message(1, 1, 0) != MessageId{});
    CHECK(IdParts::receipt(1, 0, 1, 1) != Receipt{});
}

TEST_CASE("ids of one queue are ordered as they were issued, receipts by hand-out [8]") {
    // The slots run against the numbers: a slot is used again by later messages.
    CHECK(IdParts::message(3, 1, 9) < IdParts::message(3, 2, 0));
    CHECK(IdParts::message(3, 7, 2) == IdParts::message(3, 7, 2));
    CHECK(IdParts::message(3, 7, 2) < IdParts::message(4, 1, 0));
    CHECK(IdParts::receipt(3, 9, 1, 5) < IdParts::receipt(3, 0, 2, 4));
}

TEST_CASE("ids are hashed apart") {
    std::unordered_set<MessageId> ids;
    std::unordered_set<Receipt> receipts;
    std::set<std::size_t> hashes;
    for (std::uint64_t n = 1; n <= 1'000; ++n) {
        ids.insert(IdParts::message(1, n, 0));
        ids.insert(IdParts::message(2, n, 0));
        receipts.insert(IdParts::receipt(1, 0, n, n));
        hashes.insert(std::hash<MessageId>{}(IdParts::message(1, n, 0)));
        hashes.insert(std::hash<MessageId>{}(IdParts::message(2, n, 0)));
    }
    CHECK(ids.size() == 2'000);
    CHECK(receipts.size() == 1'000);
    CHECK(ids.count(IdParts::message(2, 77, 0)) == 1);
    CHECK(hashes.size() > 1'990);
}

TEST_CASE("ids go through text and back") {
    const std::uint64_t most = ~std::uint64_t{0};
    const std::uint32_t most_slots = ~std::uint32_t{0};
    for (const MessageId id :
         {MessageId{}, IdParts::message(1, 2, 3), IdParts::message(most_slots, most, most_slots)}) {
        const auto read = MessageId::from_string(to_string(id));
        REQUIRE(read);
        CHECK(*read == id);
    }
    for (const Receipt receipt : {Receipt{}, IdParts::receipt(1, 2, 3, 4),
                                  IdParts::receipt(most_slots, most_slots, most, most)}) {
        const auto read = Receipt::from_string(to_string(receipt));
        REQUIRE(read);
        CHECK(*read == receipt);
    }
    CHECK(to_string(IdParts::message(1, 2, 3)) != to_string(IdParts::message(1, 23, 3)));
}

TEST_CASE("the parts of an id are given back") {
    const MessageId id = IdParts::message(5, 6, 7);
    CHECK(IdParts::issuer(id) == 5);
    CHECK(IdParts::number(id) == 6);
    CHECK(IdParts::slot(id) == 7);
    const Receipt receipt = IdParts::receipt(5, 6, 7, 8);
    CHECK(IdParts::queue(receipt) == 5);
    CHECK(IdParts::slot(receipt) == 6);
    CHECK(IdParts::lease(receipt) == 7);
    CHECK(IdParts::number(receipt) == 8);
}

TEST_CASE("text that is no id is refused, whatever it is [misuse 39]") {
    using namespace std::string_literals;
    const std::string texts[] = {""s,
                                 "m"s,
                                 "m-"s,
                                 "m-1"s,
                                 "m-1-2"s,
                                 "m-1-2-"s,
                                 "m-1-2-3-"s,
                                 "m-1-2-3-4"s,
                                 "m-1-2-3 "s,
                                 " m-1-2-3"s,
                                 "M-1-2-3"s,
                                 "r-1-2-3"s,
                                 "m-01-2-3"s,
                                 "m-1--3"s,
                                 "m-1-+2-3"s,
                                 "m--1-2-3"s,
                                 "m-1-2-0x3"s,
                                 "m-4294967296-1-1"s,
                                 "m-1-1-4294967296"s,
                                 "m-1-18446744073709551616-1"s,
                                 "m-1-99999999999999999999999-1"s,
                                 "m-1-2-3\0"s,
                                 "m\0-1-2-3"s,
                                 "m-1-2-\xc3\xa4"s,
                                 "m-"s + std::string(100'000, '9') + "-1-1"s,
                                 std::string(100'000, '-')};
    for (const std::string& text : texts) {
        CAPTURE(text.substr(0, 40));
        CHECK(MessageId::from_string(text) == Errc::invalid_name);
    }
    // The check is right, and something else is not.
    for (std::string body : {"m-4294967296-1-1"s, "m-1-1-4294967296"s, "m-01-2-3"s, "m-1-2-"s,
                             "m--1-2-3"s, "m-1-2-3-4"s, "m-1-18446744073709551616-1"s}) {
        const std::string text = body + '-' + std::to_string(latchbox::detail::check_digits(body));
        CAPTURE(text);
        CHECK(MessageId::from_string(text) == Errc::invalid_name);
    }
    const std::string receipts[] = {""s,
                                    "r-1-2-3"s,
                                    "m-1-2-3-4"s,
                                    "r-1-2-3-4-5"s,
                                    "r-4294967296-1-1-1"s,
                                    "r-1-1-1-4294967296"s,
                                    "r-1-18446744073709551616-1-1"s,
                                    "r-1-1-18446744073709551616-1"s};
    for (const std::string& text : receipts) {
        CAPTURE(text);
        CHECK(Receipt::from_string(text) == Errc::invalid_name);
    }
}

TEST_CASE("one wrong digit in the text of an id, or two that changed places, is noticed") {
    for (const MessageId id : {IdParts::message(1, 1, 0), IdParts::message(7, 123456789, 42),
                               IdParts::message(4294967295U, ~std::uint64_t{0}, 4294967294U)}) {
        const std::string right = to_string(id);
        CHECK(MessageId::from_string(right).value() == id);
        for (std::size_t at = 2; at < right.size(); ++at) {
            if (right[at] == '-') { continue; }
            for (char digit = '0'; digit <= '9'; ++digit) {
                std::string wrong = right;
                wrong[at] = digit;
                CAPTURE(wrong);
                if (wrong != right) { CHECK(MessageId::from_string(wrong) == Errc::invalid_name); }
            }
            if (at + 1 == right.size() || right[at + 1] == '-' || right[at] == right[at + 1]) {
                continue;
            }
            std::string turned = right;
            std::swap(turned[at], turned[at + 1]);
            CAPTURE(turned);
            CHECK(MessageId::from_string(turned) == Errc::invalid_name);
        }
    }
}

TEST_CASE("receipts go by queue, then by hand-out, then by message") {
    const Receipt in_order[] = {IdParts::receipt(1, 9, 9, 9), IdParts::receipt(2, 9, 1, 9),
                                IdParts::receipt(2, 9, 2, 1), IdParts::receipt(2, 1, 2, 2),
                                IdParts::receipt(2, 2, 2, 2)};
    for (const Receipt& one : in_order) {
        for (const Receipt& other : in_order) {
            CHECK((one <=> other) == (&one <=> &other));
            CHECK((one == other) == (&one == &other));
        }
    }
}

TEST_CASE("ids go by issuer, then by number") {
    const MessageId in_order[] = {IdParts::message(1, 9, 9), IdParts::message(2, 1, 9),
                                  IdParts::message(2, 2, 1), IdParts::message(2, 2, 2)};
    for (const MessageId& one : in_order) {
        for (const MessageId& other : in_order) {
            CHECK((one <=> other) == (&one <=> &other));
            CHECK((one == other) == (&one == &other));
        }
    }
}

TEST_CASE("the text of an id is what it always was, and nothing may follow it") {
    const std::string text = to_string(IdParts::message(1, 2, 3));
    CHECK(text == "m-1-2-3-16");
    CHECK(to_string(IdParts::receipt(1, 2, 3, 4)) == "r-1-3-4-2");
    for (const char* const more : {" ", "0", "-", "-1", "x"}) {
        CHECK(MessageId::from_string(text + more) == Errc::invalid_name);
        CHECK(Receipt::from_string("r-1-3-4-2" + std::string{more}).has_value() ==
              (more == std::string{"0"}));
    }
    for (const char* const other : {"r.1.3.4.2", "r 1 3 4 2", "r-1-3-4.2", "r-1.3-4-2"}) {
        CHECK(Receipt::from_string(other) == Errc::invalid_name);
    }
    for (std::size_t size = 0; size < text.size(); ++size) {
        CHECK(MessageId::from_string(text.substr(0, size)) == Errc::invalid_name);
    }
}

}  // namespace
