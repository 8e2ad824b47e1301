// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/version.hpp"

#include <string>

#include <doctest/doctest.h>

#include "support/source_tree.hpp"

// Fit for the preprocessor, which is what it is for.
#if LATCHBOX_VERSION < 100
#error "0.1.0 was the first"
#endif

TEST_CASE("the version is one number made of its three") {
    CHECK(LATCHBOX_VERSION / 10'000 == LATCHBOX_VERSION_MAJOR);
    CHECK(LATCHBOX_VERSION / 100 % 100 == LATCHBOX_VERSION_MINOR);
    CHECK(LATCHBOX_VERSION % 100 == LATCHBOX_VERSION_PATCH);
}

// CMake reads the header; what cannot read it repeats it.
TEST_CASE("the build files say the version of the header") {
    const std::string version = std::to_string(LATCHBOX_VERSION_MAJOR) + '.' +
                                std::to_string(LATCHBOX_VERSION_MINOR) + '.' +
                                std::to_string(LATCHBOX_VERSION_PATCH);
    const std::string meson = support::read_project_file("meson.build");
    CHECK(meson.find("version: '" + version + "'") != std::string::npos);
    const std::string cmake = support::read_project_file("CMakeLists.txt");
    CHECK(cmake.find("include/latchbox/version.hpp") != std::string::npos);
    CHECK(cmake.find("VERSION " + version) == std::string::npos);
}
