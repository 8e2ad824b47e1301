// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdlib>
#include <optional>
#include <string>

namespace support {

// Sets a variable of the environment, and puts back what it was.
class Environment {
public:
    Environment(const char* name, const char* value) : name_{name} {
        if (const char* const before = std::getenv(name)) { before_ = before; }
        set(value);
    }
    ~Environment() { set(before_ ? before_->c_str() : nullptr); }
    Environment(const Environment&) = delete;
    Environment& operator=(const Environment&) = delete;

private:
    void set(const char* value) const {
#if defined(_WIN32)
        _putenv_s(name_, value == nullptr ? "" : value);
#else
        if (value == nullptr) {
            unsetenv(name_);
        } else {
            setenv(name_, value, 1);
        }
#endif
    }

    const char* name_;
    std::optional<std::string> before_;
};

}  // namespace support
