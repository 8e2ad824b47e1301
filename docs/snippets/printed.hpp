// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <algorithm>
#include <iostream>
#include <sstream>
#include <string>
#include <string_view>

// What the code of a page prints, to be compared with what the page says of it.
namespace snippets {

// Ids depend on which tests ran before: two texts may differ in the digits of theirs.
inline std::string without_ids(std::string_view text) {
    std::string result;
    for (auto at = text.find("m-"); at != text.npos; at = text.find("m-")) {
        result += text.substr(0, at + 2);
        text.remove_prefix(at + 2);
        text.remove_prefix((std::min)(text.find_first_not_of("-0123456789"), text.size()));
    }
    result += text;
    return result;
}

// Keeps what goes to std::cout while it lives.
class Printed {
public:
    Printed() : before_{std::cout.rdbuf(text_.rdbuf())} {}
    Printed(const Printed&) = delete;
    Printed& operator=(const Printed&) = delete;
    ~Printed() { std::cout.rdbuf(before_); }

    // Whether that was printed, but for ids. The text begins with a line break, to stand by itself.
    [[nodiscard]] bool says(std::string_view text) const {
        return without_ids(text.substr(1)) == without_ids(text_.str());
    }

private:
    std::ostringstream text_;
    std::streambuf* before_;
};

}  // namespace snippets
