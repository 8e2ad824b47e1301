// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <cstddef>
#include <cstdint>
#include <string>

#include "bugs/drivers.hpp"
#include "latchbox/testing/explore.hpp"
#include "simulation/programs.hpp"

namespace {

using latchbox::testing::Choices;

// Once the program is drawn only one answer in so many is by chance, and the others are the
// simplest: nobody is interrupted. Rare orders need few interruptions, but anywhere.
class Calm final : public Choices {
public:
    Calm(Choices& source, std::uint32_t of) : source_{source}, of_{of} {}
    void program_is_drawn() noexcept { drawn_ = true; }

private:
    std::uint32_t choose(std::uint32_t n) override {
        return !drawn_ || source_.one_in(of_) ? source_.pick(n) : 0;
    }

    Choices& source_;
    const std::uint32_t of_;
    bool drawn_ = false;
};

}  // namespace

namespace bugs {

std::string run_program(Choices& choices, std::size_t&) {
    static constexpr std::uint32_t calm[] = {1, 4, 12, 40};
    latchbox::testing::Rules rules;
    rules.spurious_wakes = choices.pick(2);
    rules.interrupt_after = choices.one_in(4);
    Calm source{choices, calm[choices.pick(4)]};
    const auto failure = latchbox::testing::run_once(
        [&source](scenes::World& world) {
            scenes::Program::play(world);
            source.program_is_drawn();
        },
        source, rules);
    return failure.value_or("");
}

void allocating() noexcept { latchbox::testing::Simulated::allocating(); }

}  // namespace bugs
