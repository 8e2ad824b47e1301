// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace latchbox {
inline namespace v0 {
namespace testing {

/// Which objects of a program fibers contend for: more than one touches it, one of them changes it,
/// and there is no mutex that all of them hold while they do. A step on any other object commutes
/// with all that others can do before the fiber lets go of that mutex, so nothing is lost if the
/// step is no choice point.
///
/// It is learnt from the runs; who relies on it begins anew whenever something was learnt. (Were
/// there a run in which fibers contend for an object that is taken not to be contended, then all
/// that was left out before that moment commutes, so a run that was made comes to it too.)
class Contention {
public:
    using Key = std::uint64_t;

    /// `fiber` takes a step on the object of this key while it holds the mutexes `held`. True if
    /// the step has to be a choice point.
    template <class Held> bool touched(Key key, int fiber, bool changes, const Held& held) {
        Use& use = uses_[key];
        if (use.contended) { return true; }
        if (use.fiber < 0) {
            use.fiber = fiber;
            use.guards.assign(held.begin(), held.end());
        }
        use.shared = use.shared || use.fiber != fiber;
        use.changed = use.changed || changes;
        std::erase_if(use.guards, [&held](Key guard) {
            for (const Key one : held) {
                if (one == guard) { return false; }
            }
            return true;
        });
        if (use.shared && use.changed && use.guards.empty()) { contend(use); }
        return use.contended;
    }
    /// Somebody had to wait for it.
    void waited_for(Key key) {
        Use& use = uses_[key];
        if (!use.contended) { contend(use); }
    }
    /// Whether something was learnt since this was last asked.
    [[nodiscard]] bool learnt() noexcept {
        const bool was = learnt_;
        learnt_ = false;
        return was;
    }

private:
    struct Use {
        int fiber = -1;  // the first
        bool shared = false;
        bool changed = false;
        bool contended = false;
        std::vector<Key> guards;
    };
    void contend(Use& use) noexcept {
        use.contended = true;
        learnt_ = true;
    }

    std::unordered_map<Key, Use> uses_;
    bool learnt_ = false;
};

}  // namespace testing
}  // namespace v0
}  // namespace latchbox
