// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "latchbox/ids.hpp"

/// The texts of ids, by bytes from anywhere. What is wrong in words, or nothing.
namespace fuzz {

namespace detail {

// A number as `to_string` writes it, judged without arithmetic: no larger than `most`.
inline bool is_number(std::string_view text, std::string_view most) {
    if (text.empty() || text.find_first_not_of("0123456789") != text.npos) { return false; }
    if (text.size() > 1 && text.front() == '0') { return false; }
    return text.size() < most.size() || (text.size() == most.size() && text <= most);
}
inline bool is_small(std::string_view text) { return is_number(text, "4294967295"); }
inline bool is_large(std::string_view text) { return is_number(text, "18446744073709551615"); }

inline std::vector<std::string_view> parts_of(std::string_view text) {
    std::vector<std::string_view> parts;
    for (;;) {
        const std::size_t end = text.find('-');
        parts.push_back(text.substr(0, end));
        if (end == text.npos) { return parts; }
        text.remove_prefix(end + 1);
    }
}
// All of an id but its check.
inline bool is_message(const std::vector<std::string_view>& parts) {
    return parts.size() == 4 && parts[0] == "m" && is_small(parts[1]) && is_large(parts[2]) &&
           is_small(parts[3]);
}
inline bool is_receipt(const std::vector<std::string_view>& parts) {
    return parts.size() == 5 && parts[0] == "r" && is_small(parts[1]) && is_large(parts[2]) &&
           is_large(parts[3]) && is_small(parts[4]);
}

template <class Id> std::string read(const std::string& text, bool is_one) {
    const auto id = Id::from_string(text);
    if (id.has_value() != is_one) { return is_one ? "it was refused" : "it was accepted"; }
    if (!id) { return id == latchbox::Errc::invalid_name ? "" : "another error"; }
    return to_string(*id) == text ? "" : "it was read, and is written in another way";
}

// Takes eight bytes off, fewer at the end.
inline std::uint64_t take_number(std::string_view& bytes) {
    std::uint64_t number = 0;
    for (int i = 0; i < 8 && !bytes.empty(); ++i) {
        number = number << 8 | static_cast<unsigned char>(bytes.front());
        bytes.remove_prefix(1);
    }
    return number;
}
template <class Id> std::string write(const Id& id) {
    const auto read = Id::from_string(to_string(id));
    return read && *read == id ? "" : "what was written was not read";
}
inline std::string write_ids(std::string_view bytes) {
    using latchbox::detail::IdParts;
    const std::uint64_t a = take_number(bytes);
    const std::uint64_t b = take_number(bytes);
    const std::uint64_t c = take_number(bytes);
    const auto small = static_cast<std::uint32_t>(c);
    const auto high = static_cast<std::uint32_t>(c >> 32);
    const std::string wrong = write(IdParts::message(small, a, high));
    return wrong.empty() ? write(IdParts::receipt(small, high, a, b)) : wrong;
}

}  // namespace detail

/// The bytes as a text of an id, then as what the parts of one are made of.
inline std::string ids(std::string_view bytes) {
    const std::string text{bytes};
    const std::string check = std::to_string(latchbox::detail::check_digits(text));
    const std::vector<std::string_view> parts = detail::parts_of(text);
    const std::size_t last = text.rfind('-');
    bool is_checked = false;
    if (parts.size() == 5) {
        const std::string rest = text.substr(0, last);
        is_checked = detail::is_message(detail::parts_of(rest)) &&
                     parts[4] == std::to_string(latchbox::detail::check_digits(rest));
    }
    const std::string results[] = {
        detail::read<latchbox::MessageId>(text, is_checked),
        // Nobody guesses a check: here it is right, whatever comes before.
        detail::read<latchbox::MessageId>(text + '-' + check, detail::is_message(parts)),
        detail::read<latchbox::Receipt>(text, detail::is_receipt(parts)),
        detail::write_ids(bytes),
    };
    for (const std::string& wrong : results) {
        if (!wrong.empty()) { return wrong; }
    }
    return {};
}

}  // namespace fuzz
