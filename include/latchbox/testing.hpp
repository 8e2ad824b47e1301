// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

// For the tests of programs that use latchbox: a platform and a scheduler on which they run under
// every order of their threads, faults, and the question whether anything is stuck. The manual
// clock alone is in latchbox/manual_clock.hpp, and comes with latchbox/latchbox.hpp.
#include "latchbox/latchbox.hpp"
#include "latchbox/testing/choices.hpp"
#include "latchbox/testing/explore.hpp"
#include "latchbox/testing/fault_plan.hpp"
#include "latchbox/testing/profiles.hpp"
#include "latchbox/testing/quiescence.hpp"
#include "latchbox/testing/shared.hpp"
#include "latchbox/testing/simulated.hpp"
