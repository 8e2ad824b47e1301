// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

// Everything for queues. Start reading at options.hpp, broker.hpp and delivery.hpp.
#include "latchbox/broker.hpp"
#include "latchbox/clock.hpp"
#include "latchbox/consumer.hpp"
#include "latchbox/dead_letters.hpp"
#include "latchbox/delivery.hpp"
#include "latchbox/errc.hpp"
#include "latchbox/explanation.hpp"
#include "latchbox/fwd.hpp"
#include "latchbox/gate.hpp"
#include "latchbox/ids.hpp"
#include "latchbox/latch.hpp"
#include "latchbox/manual_clock.hpp"
#include "latchbox/options.hpp"
#include "latchbox/platform.hpp"
#include "latchbox/queue.hpp"
#include "latchbox/reason.hpp"
#include "latchbox/result.hpp"
#include "latchbox/states.hpp"
#include "latchbox/stats.hpp"
#include "latchbox/subject.hpp"
#include "latchbox/subscription.hpp"
#include "latchbox/time.hpp"
#include "latchbox/topic.hpp"
#include "latchbox/version.hpp"
