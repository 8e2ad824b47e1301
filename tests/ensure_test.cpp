// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/ensure.hpp"

#include <string>

#include <doctest/doctest.h>

#if __has_include(<sys/wait.h>) && __has_include(<unistd.h>)
#include <csignal>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#define LATCHBOX_TEST_CAN_FORK 1
#endif

namespace {

using latchbox::detail::ensure;

constexpr bool holds_while_compiling() {
    ensure(2 + 2 == 4);
    return true;
}
static_assert(holds_while_compiling());

TEST_CASE("an assertion that holds does nothing") { CHECK_NOTHROW(ensure(true, "never said")); }

#if defined(LATCHBOX_TEST_CAN_FORK)
// Breaks one in a child process, and reads what it says and how it ends.
TEST_CASE("a broken assertion ends the program with its sentence, file and line") {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        const rlimit no_dump{0, 0};
        setrlimit(RLIMIT_CORE, &no_dump);
        std::signal(SIGABRT, SIG_DFL);
        dup2(ends[1], 2);
        ensure(false, "the sky fell");
        _exit(0);
    }
    close(ends[1]);
    std::string said;
    char part[256];
    for (ssize_t got = 0; (got = read(ends[0], part, sizeof part)) > 0;) {
        said.append(part, static_cast<std::size_t>(got));
    }
    close(ends[0]);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGABRT);
    CHECK(said.find("the sky fell") != std::string::npos);
    CHECK(said.find("ensure_test.cpp:") != std::string::npos);
}
#endif

}  // namespace
