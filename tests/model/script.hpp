// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "latchbox/detail/latch_audit.hpp"
#include "latchbox/latchbox.hpp"
#include "latchbox/testing/choices.hpp"
#include "model/figures.hpp"
#include "model/transactions_model.hpp"
#include "support/tracked_message.hpp"

/// One script: a broker and the model of it, taken through the same operations, compared after
/// each. All operations, arguments and instants come from a choice source, so that a script is
/// its trace. Each script first draws which operations and options it uses at all and how often.
/// What it does with topics stands in topics_script.hpp, with transactions in
/// transactions_script.hpp.
namespace model {

struct Setting {
    Mistake mistake = Mistake::nothing;  // of the model
    bool split_time = false;             // an advance of the broker's clock is made in two, with a
                                         // poll() between
    bool blurred = false;                // the broker's clock is glanced at, and a tick is a second
    bool keep_log = false;               // a line per operation, for people
    bool hash_log = false;               // of these lines, for those who compare runs
};

/// A clock whose cheap glance leaves a doubt: it is between `before` and `after` wrong. One that
/// goes `back` by so much at every other look, once it has told the present; which must not
/// matter. Whoever asks it may find that things happen meanwhile.
class BlurredClock final : public latchbox::Clock {
public:
    explicit BlurredClock(latchbox::Clock& exact) : exact_{exact} {}
    [[nodiscard]] latchbox::Instant now() noexcept override { return look(true); }
    [[nodiscard]] latchbox::Glance glance() noexcept override {
        const latchbox::Instant at = look(before + after == latchbox::Duration{});
        return {at - before, at + after};
    }
    bool attach(latchbox::Sleeper& sleeper) noexcept override { return exact_.attach(sleeper); }
    void detach(latchbox::Sleeper& sleeper) noexcept override { exact_.detach(sleeper); }

    latchbox::Duration before = {};
    latchbox::Duration after = {};
    latchbox::Duration back = {};
    std::function<void()> meanwhile = {};

private:
    // After a vague look nobody knows the present, so it is none.
    latchbox::Instant look(bool exact) noexcept {
        if (meanwhile) { meanwhile(); }
        const latchbox::Instant present = exact_.now();
        const bool goes_back = told_ == present && std::exchange(may_go_back_, !may_go_back_);
        if (exact) { told_ = present; }
        return goes_back ? present - back : present;
    }

    latchbox::Clock& exact_;
    latchbox::Instant told_ = latchbox::Instant::never();
    bool may_go_back_ = false;
};

enum class Operation : std::uint8_t {
    publish,
    fetch,
    settle,
    let_time_pass,
    publish_batch,
    fetch_batch,
    settle_by_receipt,
    abandon,
    take,
    detach,
    move_handle,
    ack_batch,
    pop,
    pop_all,
    cancel,
    purge,
    dead_letters,
    stop_requested,
    make_gate,
    use_gate,
    ask_latch,
    post,
    post_batch,
    read,
    drop_read,
    subscribe,
    unsubscribe,
    make_topic,
    transact,
    commit,
    drop_transaction,
    ack_and_publish,
    forward,
    make_queue,
    remove_queue,
    drain,
    close,
};
inline constexpr std::size_t operations = static_cast<std::size_t>(Operation::close) + 1;

template <class Platform> class Script {
public:
    using Body = support::TrackedMessage;
    using Delivery = latchbox::Delivery<Body, Platform>;
    using RealConsumer = latchbox::Consumer<Body, Platform>;
    using RealQueue = latchbox::Queue<Body, Platform>;
    using RealGate = latchbox::Gate<Body, Platform>;
    using RealLatch = latchbox::Latch<Body, Platform>;

    Script(latchbox::testing::Choices& choices, const Setting& setting)
        : choices_{choices}, setting_{setting}, model_{setting.mistake} {
        Body::reset();
        Body::note_destroyed(&destroyed_);
        live_before_ = Body::live();
        broker_.emplace(latchbox::BrokerOptions{.clock = &blurred_});
    }
    virtual ~Script() { Body::note_destroyed(nullptr); }
    Script(const Script&) = delete;
    Script& operator=(const Script&) = delete;

    /// Up to `steps` operations, as long as there are choices, then everything is destroyed. The
    /// first difference in words, or nothing.
    std::string run(std::size_t steps) {
        begin();
        std::size_t after_close = 12;
        for (std::size_t i = 0; i < steps && difference_.empty() && after_close > 0; ++i) {
            if (choices_.is_over()) { break; }
            step();
            if (model_.closed()) { --after_close; }
        }
        count_up();
        count_up_topics();
        if (difference_.empty() && !model_.closed() && pick(4) != 0) { live_in_calm(); }
        if (difference_.empty()) { end(); }
        return difference_;
    }

    [[nodiscard]] const std::vector<std::string>& log() const { return log_; }
    [[nodiscard]] const Figures& figures() const { return figures_; }
    /// Of everything the broker answered, in order.
    [[nodiscard]] std::uint64_t answers_hash() const { return hash_; }
    /// Of all that happened, where it was kept: each step by its number, its instant and its line,
    /// which names operation, queue, message and result; with the answers. No address and no hash
    /// of the standard library is in it: it is the same one on every machine.
    [[nodiscard]] std::uint64_t log_hash() const { return mix(log_hash_, hash_); }

protected:
    // What there is beside queues.
    virtual void begin_topics() = 0;
    virtual void perform_topics(Operation operation) = 0;
    virtual void compare_topics() = 0;
    virtual void count_up_topics() = 0;
    virtual void end_topics() = 0;
    // What there is beside both.
    virtual void perform_transactions(Operation operation) = 0;
    [[nodiscard]] virtual std::size_t bodies_of_transactions() const = 0;
    virtual void end_transactions() = 0;

    struct Held {
        Delivery delivery;
        std::size_t handle;  // of the model
        bool readable = true;
    };
    struct HeldGate {
        RealGate handle;
        std::size_t gate;  // of the model
    };
    struct HeldLatch {
        RealLatch latch;
        Named whose;  // nothing: its answer was that it is unknown
        bool watches = false;
    };

    // -- choices ---------------------------------------------------------------------------------

    std::uint32_t pick(std::uint32_t n) { return choices_.pick(n); }
    bool chance(std::uint32_t of) { return pick(of) == of - 1; }
    template <class T, std::size_t N> T one_of(const T (&values)[N]) {
        return values[pick(static_cast<std::uint32_t>(N))];
    }
    std::size_t some(std::size_t count) { return pick(static_cast<std::uint32_t>(count)); }

    void begin() {
        draw_swarm();
        const std::uint32_t queues = 1 + pick(3);
        for (std::uint32_t i = 0; i < queues; ++i) { make_queue(name_of(i), draw_options()); }
        if (uses_topics_) { begin_topics(); }
        compare();
    }
    void draw_swarm() {
        static constexpr std::uint32_t weights[] = {2, 0, 1, 6};
        for (std::size_t i = 0; i < operations; ++i) { weight_[i] = one_of(weights); }
        weight_[0] += 2;
        weight_[1] += 2;
        weight_[static_cast<std::size_t>(Operation::let_time_pass)] += 1;
        // Rare even where they are in use: most of what there is to see ends with them.
        for (std::size_t i = static_cast<std::size_t>(Operation::make_queue); i < operations; ++i) {
            rare_[i] = weight_[i] != 0;
            weight_[i] = 0;
        }
        for (Ticks& length : lengths_) { length = ticks(one_of(all_lengths)); }
        if (setting_.blurred) {
            blurred_.before = duration(one_of<Ticks>({0, 1, 500'000'000, 3'000'000'000}));
            blurred_.after = duration(one_of<Ticks>({0, 1, 500'000'000, 3'000'000'000}));
        }
        most_held_ = 1 + pick(12);
        priorities_ = one_of({1U, 2U, 3U, 10U});
        uses_parents_ = chance(2);
        keys_ = chance(2) ? one_of({1U, 3U, 2U}) : 0;
        values_ = chance(2) ? one_of({1U, 4U, 2U}) : 0;
        asks_latches_ = chance(2);
        uses_delay_ = chance(2);
        uses_life_ = chance(2);
        uses_faults_ = chance(3);
        if (uses_faults_ && chance(2)) {
            blurred_.back = duration(ticks(one_of<Ticks>({1, 5, 20, 500})));
        }
        uses_bad_input_ = chance(2);
        time_passes_between_ = one_of({4U, 2U, 16U});
        uses_topics_ = chance(2);
        uses_transactions_ = chance(2);
        for (const Operation operation :
             {Operation::transact, Operation::commit, Operation::drop_transaction,
              Operation::ack_and_publish, Operation::forward}) {
            if (!uses_transactions_) { weight_[static_cast<std::size_t>(operation)] = 0; }
        }
        if (uses_transactions_) {
            weight_[static_cast<std::size_t>(Operation::transact)] += 3;
            weight_[static_cast<std::size_t>(Operation::commit)] += 2;
            weight_[static_cast<std::size_t>(Operation::drop_transaction)] /= 2;
        }
        weight_[static_cast<std::size_t>(Operation::post)] += 3;
        weight_[static_cast<std::size_t>(Operation::subscribe)] += 1;
        for (std::size_t i = 0; i < operations && !uses_topics_; ++i) {
            const bool topics = i >= static_cast<std::size_t>(Operation::post) &&
                                i <= static_cast<std::size_t>(Operation::make_topic);
            if (topics) { weight_[i] = 0; }
        }
    }
    Ticks length() { return lengths_[some(std::size(lengths_))]; }
    // Negative now and then, where the script knows bad input.
    latchbox::Duration wish() {
        if (uses_bad_input_ && chance(16)) { return duration(-1); }
        return duration(length());
    }
    [[nodiscard]] Ticks ticks(Ticks count) const {
        return setting_.blurred && count != never ? count * 1'000'000'000 : count;
    }
    static latchbox::Duration duration(Ticks length) {
        return latchbox::Duration::nanoseconds(length);
    }

    latchbox::QueueOptions draw_options() {
        latchbox::QueueOptions options;
        options.lease = duration(ticks(one_of<Ticks>({10, 1, 3, 100, never})));
        options.capacity = one_of<std::size_t>({1'048'576, 10, 6, 4, 3, 2, 1'048'576, 1, 0});
        options.overflow = one_of({latchbox::Overflow::reject, latchbox::Overflow::drop_oldest,
                                   latchbox::Overflow::drop_oldest, latchbox::Overflow::block});
        if (!Platform::can_wait && options.overflow == latchbox::Overflow::block) {
            options.overflow = latchbox::Overflow::reject;
        }
        options.block_for = duration(0);
        options.max_failures = one_of({0U, 1U, 2U, 3U});
        options.max_attempts = one_of({0U, 0U, 1U, 2U, 4U});
        options.backoff.first = duration(ticks(one_of<Ticks>({0, 1, 2, 7, never})));
        options.backoff.factor = one_of({2U, 1U, 3U, 4'000'000'000U});
        const Ticks more = ticks(one_of<Ticks>({0, 1, 9, 1000, never}));
        options.backoff.limit = duration(after(options.backoff.first.count(), more));
        switch (pick(5)) {
            case 3: options.dead_capacity = 0; break;
            case 4: options.dead_capacity = 1 + some(2); break;
            default: break;
        }
        options.outcome_memory = one_of<std::size_t>({65'536, 65'536, 0, 1, 2, 3});
        if (values_ != 0) { options.dedup_window = duration(a_window()); }
        return options;
    }
    Ticks a_window() { return ticks(one_of<Ticks>({10, 100, 3, 1, never, 0})); }
    latchbox::PublishOptions draw_wishes() {
        latchbox::PublishOptions options;
        options.priority = static_cast<std::uint8_t>(pick(priorities_));
        if (uses_parents_ && chance(2)) { draw_parents(options); }
        if (keys_ != 0 && chance(2)) {
            options.key = std::string_view{"xyz"}.substr(pick(keys_), 1);
        }
        if (values_ != 0 && chance(2)) { options.dedup = a_value(); }
        if (uses_delay_ && chance(2)) { options.delay = wish(); }
        if (uses_life_ && chance(2)) { options.expires_in = wish(); }
        if (uses_bad_input_ && chance(16)) { options.priority = 10; }
        if (uses_bad_input_ && chance(16)) { options.block_for = duration(-1); }
        return options;
    }
    // Alike as far as they go.
    std::string_view a_value() {
        static constexpr char text[] = "d\0and much more than fits into a short string";
        static constexpr std::size_t sizes[] = {1, sizeof text - 1, 2, 5};
        return {text, sizes[pick(values_)]};
    }
    void draw_parents(latchbox::PublishOptions& options) {
        options.on_parent_failure = one_of({OnParentFailure::dead_letter, OnParentFailure::deliver,
                                            OnParentFailure::hold, OnParentFailure::dead_letter});
        const std::uint32_t count = one_of({1U, 2U, 3U, 1U, 0U});
        for (std::uint32_t i = 0; i < count; ++i) { options.parents.push_back(a_parent()); }
        if (!options.parents.empty() && chance(8)) {
            options.parents.push_back(options.parents.front());
        }
    }
    // Mostly one that is held, and else whatever there ever was.
    latchbox::MessageId a_parent() {
        switch (pick(5)) {
            case 0:
            case 1: {
                std::vector<std::size_t> held;
                for (std::size_t i = ids_.size(); i-- > 0;) {
                    if (model_.message(i).state != State::gone) { held.push_back(i); }
                }
                return held.empty() ? an_id() : ids_[held[some(held.size())]];
            }
            case 2: return gate_ids_.empty() ? an_id() : gate_ids_[some(gate_ids_.size())];
            default: return an_id();
        }
    }
    // Of a message or a gate, of this broker or not, or of nothing.
    latchbox::MessageId an_id() {
        if (uses_bad_input_ && chance(8)) { return bad_id(pick(bad_ids)); }
        const std::size_t all = ids_.size() + gate_ids_.size() + model_.post_count();
        if (all == 0) { return {}; }
        std::size_t at = all - 1 - some(all);
        if (at < ids_.size()) { return ids_[at]; }
        at -= ids_.size();
        if (at < gate_ids_.size()) { return gate_ids_[at]; }
        return model_.post(at - gate_ids_.size()).id;
    }
    // None; one of another broker; one that is still to come.
    latchbox::MessageId bad_id(std::size_t which) const {
        static const latchbox::MessageId foreign = [] {
            const latchbox::Broker<int, Platform> other;
            return other.queue("a").publish(1).value();
        }();
        if (which == 0) { return {}; }
        if (which == 1 || ids_.empty()) { return foreign; }
        using latchbox::detail::IdParts;
        const latchbox::MessageId last = ids_.back();
        return IdParts::message(IdParts::issuer(last), 1'000'000'000'000, IdParts::slot(last));
    }
    static constexpr std::uint32_t bad_ids = 3;
    std::string draw_reason() {
        switch (pick(4)) {
            case 1: return "no";
            case 2: return std::string(47, 'x') + "y";
            case 3: return std::string("nul\0inside", 10);
            default: return {};
        }
    }
    // Of any kind; one that can be published to.
    std::size_t a_queue() { return some(consumers_.size()); }
    std::size_t a_real_queue() { return numbers_[some(numbers_.size())]; }
    [[nodiscard]] const RealQueue& real_queue(std::size_t queue) const {
        std::size_t i = 0;
        while (numbers_[i] != queue) { ++i; }
        return queues_[i];
    }
    // Now and then of a message of whatever queue, and never issued.
    std::size_t a_message() {
        if (uses_bad_input_ && chance(16)) { return none; }
        return ids_.empty() ? none : ids_.size() - 1 - some(ids_.size());
    }
    latchbox::MessageId id_of(std::size_t message) {
        return message == none ? latchbox::MessageId{} : ids_[message];
    }
    static std::string name_of(std::size_t i) { return std::string(1, static_cast<char>('a' + i)); }

    // -- words -----------------------------------------------------------------------------------

    static std::string word(const std::string& text) { return text; }
    static std::string word(const char* text) { return text; }
    static std::string word(latchbox::Duration length) {
        return length.is_never() ? "never" : std::to_string(length.count());
    }
    static std::string word(Errc code) { return code == fine ? "ok" : latchbox::to_string(code); }
    template <class Number> static std::string word(Number number) {
        return std::to_string(number);
    }
    template <class... Parts> void say(const Parts&... parts) {
        if (!setting_.keep_log && !setting_.hash_log) { return; }
        std::string line;
        (line.append(word(parts)), ...);
        for (const char c : line) { note_log(static_cast<unsigned char>(c)); }
        note_log(line.size());
        if (setting_.keep_log) { log_.push_back(std::move(line)); }
    }
    static std::string m(std::size_t message) {
        return message == none ? "no message" : 'm' + std::to_string(message);
    }
    std::string named(std::size_t queue) const {
        const Queue& q = model_.queue_at(queue);
        // What the broker calls it is another name in each run.
        const bool nameless = q.is_subscription && !q.has_group;
        return (nameless ? q.pattern + '#' + std::to_string(queue) : q.name) +
               (q.removed ? "(removed)" : "");
    }
    std::string named(const latchbox::MessageId& id) const {
        const Named whose = model_.find(id);
        if (whose.kind == Named::message) { return m(whose.number); }
        if (whose.kind == Named::gate) { return 'g' + std::to_string(whose.number); }
        if (whose.kind == Named::post) { return 'p' + std::to_string(whose.number); }
        return id == latchbox::MessageId{} ? "{}" : "an id of nothing";
    }
    std::string wishes(const latchbox::PublishOptions& options) const {
        std::string text;
        for (const latchbox::MessageId& parent : options.parents) {
            text += (text.empty() ? ", parents " : " ") + named(parent);
        }
        if (options.on_parent_failure == OnParentFailure::deliver) { text += ", deliver"; }
        if (options.on_parent_failure == OnParentFailure::hold) { text += ", hold"; }
        if (!options.key.empty()) { text.append(", key ").append(options.key); }
        if (!options.dedup.empty()) {
            text += ", value of " + std::to_string(options.dedup.size());
        }
        if (options.priority != 0) { text += ", priority " + std::to_string(options.priority); }
        if (options.delay.count() != 0) { text += ", delay " + word(options.delay); }
        if (!options.expires_in.is_never()) { text += ", expires_in " + word(options.expires_in); }
        if (options.retain_for) { text += ", retain_for " + word(*options.retain_for); }
        if (options.block_for) { text += ", block_for " + word(*options.block_for); }
        return text;
    }
    static std::string words(const latchbox::QueueOptions& options) {
        static constexpr const char* overflows[] = {"reject", "block", "drop_oldest",
                                                    "drop_newest"};
        return "lease " + word(options.lease) + ", capacity " + word(options.capacity) + ", " +
               overflows[static_cast<std::size_t>(options.overflow)] + ", max_failures " +
               word(options.max_failures) + ", max_attempts " + word(options.max_attempts) +
               ", backoff " + word(options.backoff.first) + " x" + word(options.backoff.factor) +
               " to " + word(options.backoff.limit) + ", dead_capacity " +
               (options.dead_capacity ? word(*options.dead_capacity) : "unset") +
               ", outcome_memory " + word(options.outcome_memory) + ", dedup_window " +
               word(options.dedup_window);
    }
    static const char* word_of(Verb::Kind kind) {
        static constexpr const char* verbs[] = {"ack",  "release", "requeue",
                                                "fail", "reject",  "extend"};
        return verbs[kind];
    }

    // -- differences -----------------------------------------------------------------------------

    bool expect(bool same, const char* what) {
        if (!same && difference_.empty()) { difference_ = what; }
        return same;
    }
    template <class A, class B> bool equal(const A& broker, const B& model, const char* what) {
        const bool same = std::cmp_equal(broker, model);
        note(static_cast<std::uint64_t>(broker));
        if (!same && difference_.empty()) {
            difference_ = std::string(what) + ": broker " + std::to_string(broker) + ", model " +
                          std::to_string(model);
        }
        return same;
    }
    bool equal_error(Errc broker, Errc model, const char* what) {
        note(static_cast<std::uint64_t>(broker));
        if (broker != model && difference_.empty()) {
            difference_ = std::string(what) + ": broker \"" + word(broker) + "\", model \"" +
                          word(model) + '"';
        }
        return broker == model;
    }
    template <class T> static Errc error_of(const latchbox::Result<T>& result) {
        return result ? fine : result.error();
    }
    static std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
        hash = (hash ^ value) * 0x100000001b3U;
        return hash ^ (hash >> 29);
    }
    void note(std::uint64_t value) { hash_ = mix(hash_, value); }
    void note_log(std::uint64_t value) { log_hash_ = mix(log_hash_, value); }
    bool digest(const Body& body, std::size_t message, const char* what) {
        return expect(body.digest() == model_.message(message).body, what);
    }

    // -- steps -----------------------------------------------------------------------------------

    void step() {
        ++figures_.steps;
        if (chance(time_passes_between_)) { let_time_pass(); }
        const Operation operation = draw_operation();
        note_log(figures_.steps);
        note_log(static_cast<std::uint64_t>(operation));
        if (operation == Operation::let_time_pass) {
            let_time_pass();
            say("poll");
        } else {
            perform(operation);
        }
        note_log(static_cast<std::uint64_t>(model_.now()));
        if (difference_.empty()) { compare(); }
    }
    Operation draw_operation() {
        std::uint32_t total = 0;
        for (const std::uint32_t weight : weight_) { total += weight; }
        std::uint32_t at = pick(total);
        std::size_t operation = 0;
        while (at >= weight_[operation]) { at -= weight_[operation++]; }
        if (!chance(64)) { return static_cast<Operation>(operation); }
        const Operation rare =
            one_of({Operation::make_queue, Operation::remove_queue, Operation::make_queue,
                    Operation::remove_queue, Operation::close, Operation::drain});
        return rare_[static_cast<std::size_t>(rare)] ? rare : static_cast<Operation>(operation);
    }
    void perform(Operation operation) {
        switch (operation) {
            case Operation::publish: return publish(1, false);
            case Operation::publish_batch: return publish(pick(5), true);
            case Operation::fetch: return fetch();
            case Operation::fetch_batch: return fetch_batch();
            case Operation::settle: return settle();
            case Operation::settle_by_receipt: return settle_by_receipt();
            case Operation::abandon: return abandon();
            case Operation::take: return take();
            case Operation::detach: return detach();
            case Operation::move_handle: return move_handle();
            case Operation::ack_batch: return ack_batch();
            case Operation::pop: return pop();
            case Operation::pop_all: return pop_all();
            case Operation::cancel: return cancel();
            case Operation::purge: return purge();
            case Operation::dead_letters: return dead_letters();
            case Operation::stop_requested: return stop_requested();
            case Operation::make_gate: return make_gate();
            case Operation::use_gate: return use_gate();
            case Operation::ask_latch: return ask_latch();
            case Operation::post:
            case Operation::post_batch:
            case Operation::read:
            case Operation::drop_read:
            case Operation::subscribe:
            case Operation::unsubscribe:
            case Operation::make_topic: return perform_topics(operation);
            case Operation::transact:
            case Operation::commit:
            case Operation::drop_transaction:
            case Operation::ack_and_publish:
            case Operation::forward: return perform_transactions(operation);
            case Operation::drain: return drain();
            case Operation::make_queue: return remake_queue();
            case Operation::remove_queue: return remove_queue();
            case Operation::close: return close();
            case Operation::let_time_pass: return;
        }
    }

    void let_time_pass() {
        Ticks to = model_.now();
        const Ticks due = model_.next_due();
        switch (pick(4)) {
            case 0: to = after(to, ticks(1)); break;
            case 1: to = due == never ? after(to, ticks(1)) : due; break;
            case 2: to = due == never || due - 1 <= to ? after(to, ticks(2)) : due - 1; break;
            default: to = after(to, ticks(one_of<Ticks>({3, 5, 20, 500}))); break;
        }
        if (to == never) { return; }
        if (to > Ticks{1} << 60) { return; }  // leave room for many more
        const Ticks before = model_.now();
        figures_.ticks += static_cast<std::uint64_t>(to - before);
        say("advance ", to - before, ", now ", to);
        model_.move_to(to);
        if (setting_.split_time && to - before > 1) {
            clock_.advance(duration((to - before) / 2));
            static_cast<void>(broker_->poll());
            clock_.advance(duration(to - before - (to - before) / 2));
        } else {
            clock_.advance(duration(to - before));
        }
    }

    // -- queues ----------------------------------------------------------------------------------

    void make_queue(const std::string& name, const latchbox::QueueOptions& options) {
        say("queue ", name, ": ", words(options));
        const std::size_t there = model_.find(name);
        const std::size_t number = model_.queue(name, options);
        try {
            RealQueue made = broker_->queue(name, options);
            if (!expect(number != none, "queue: other options were accepted")) { return; }
            if (there == none) {
                queues_.push_back(made);
                numbers_.push_back(number);
                open_door(made);
            }
            expect(made.name() == name, "queue: its name");
            expect(made.options() == model_.queue_at(number).options, "queue: its options");
        } catch (const std::invalid_argument&) {
            expect(number == none, "queue: usable options were refused");
        }
    }
    void open_door(const RealConsumer& consumer) {
        consumers_.push_back(consumer);
        last_id_.push_back({});
        last_receipt_.push_back({});
    }
    void remake_queue() {
        if (model_.closed()) { return; }
        const std::string name = name_of(pick(3));
        const std::size_t there = model_.find(name);
        const bool same = there != none && chance(2);
        make_queue(name, same ? model_.queue_at(there).options : draw_options());
    }
    void remove_queue() {
        const std::string name = name_of(pick(3));
        const bool removed = model_.remove(name);
        say("remove ", name, removed ? "" : ": there is none");
        expect(broker_->remove(name) == removed, "remove");
        if (!model_.closed()) {
            expect(!broker_->find_queue(name).has_value(), "find_queue of a removed one");
        }
    }
    void close() {
        say("close");
        const latchbox::CloseReport expected = model_.closed() ? last_report_ : model_.close();
        expect(close_or_drain() == expected, "close: its report");
        last_report_ = expected;
    }

    // The script goes on while it drains, in the thread that does so, as the broker looks at its
    // clock. Then its time is over.
    void drain() {
        if constexpr (Platform::can_wait) {
            if (!model_.closed() && !draining_) { return drain_within(ticks(1 + pick(64))); }
        }
        close();
    }
    void drain_within(Ticks length) {
        const Ticks end = after(model_.now(), length);
        say("drain(", length, ") begins");
        draining_ = true;
        ++figures_.drains;
        drain_ends_ = end;
        blurred_.meanwhile = [this] { look_while_draining(); };
        const latchbox::CloseReport report = broker_->drain(duration(length));
        blurred_.meanwhile = {};
        if (!difference_.empty()) { return; }
        const latchbox::CloseReport expected = model_.closed() ? last_report_ : model_.close();
        say("it has drained");
        expect(report == expected, "drain: its report");
        last_report_ = expected;
    }
    // The first look is from where its time counts; after that it must not fall asleep.
    void look_while_draining() {
        const auto& shell = latchbox::detail::Access::shell(queues_.front()).broker;
        if (looks_ == 2 || !shell->is_draining()) { return; }
        if (++looks_ == 1) { return clock_.advance({}); }
        live_through_drain(drain_ends_);
    }
    void live_through_drain(Ticks end) {
        model_.begin_drain();
        for (std::uint32_t i = 8 + pick(24); i > 0 && difference_.empty(); --i) {
            if (model_.closed()) { return; }
            step();
            ++figures_.steps_of_drains;
        }
        if (model_.now() >= end) { return; }
        clock_.advance(duration(end - model_.now()));
        model_.move_to(end);
    }

    // A drain that may not wait is a close.
    latchbox::CloseReport close_or_drain() {
        if constexpr (Platform::can_wait) {
            if (chance(2)) { return broker_->drain(duration(0)); }
        }
        return broker_->close();
    }

    // -- publish ---------------------------------------------------------------------------------

    void publish(std::size_t count, bool batch) {
        const std::size_t queue = a_real_queue();
        latchbox::PublishOptions options = draw_wishes();
        if (uses_topics_ && uses_bad_input_ && chance(16)) { options.retain_for = wish(); }
        if (count > 1) { spare_value(options); }
        std::vector<Body> bodies;
        std::vector<std::uint64_t> values;
        for (std::size_t i = 0; i < count; ++i) {
            values.push_back(++last_value_ * 0x9e3779b97f4a7c15U >> 1);
            bodies.emplace_back(values.back());
        }
        const bool copies = !batch && chance(4);
        const bool throws = copies && uses_faults_ && chance(2);
        const std::optional<TransactionBroker> before = copy_if(throws);
        const std::size_t there = model_.message_count();
        const auto expected = model_.publish(queue, values, options);
        const bool repeat = !expected.value.empty() && expected.value.front() < there;
        if (throws && expected.error == fine && !repeat) {
            return publish_throws(*before, queue, bodies, options);
        }
        say(named(queue),
            batch    ? ".publish_batch("
            : copies ? ".publish(copy "
                     : ".publish(",
            expected.error == fine && count > 0 ? m(expected.value.front()) : "-",
            batch ? " and so on, " + std::to_string(count) : "", wishes(options),
            "): ", expected.error);
        const std::int64_t copied = Body::copies();
        if (expected.error == Errc::unknown_parent) { ++figures_.unknown_parents; }
        std::vector<latchbox::MessageId> ids;
        if (batch) {
            auto result = real_queue(queue).publish_batch(std::span<Body>{bodies}, options);
            equal_error(error_of(result), expected.error, "publish_batch");
            if (result) { ids = *result; }
        } else {
            auto result = copies ? real_queue(queue).publish(std::as_const(bodies[0]), options)
                                 : real_queue(queue).publish(std::move(bodies[0]), options);
            equal_error(error_of(result), expected.error, "publish");
            if (result) { ids.push_back(*result); }
        }
        const bool accepted = expected.error == fine;
        if ((accepted && !repeat) || !copies) {
            equal(Body::copies() - copied, copies ? 1 : 0, "publish: copies made");
        }
        for (std::size_t i = 0; i < count; ++i) {
            const bool gone = accepted && !copies && !repeat;
            expect(gone ? bodies[i].is_moved_from() : bodies[i].digest() == values[i],
                   "publish: moved from though refused, or not though accepted");
        }
        if (!equal(ids.size(), expected.value.size(), "publish: how many ids")) { return; }
        if (repeat) {
            expect(ids.front() == ids_[expected.value.front()], "publish: the id of the first");
        } else {
            learn(queue, ids);
        }
    }
    // More than one message with a value is a mistake of the caller.
    void spare_value(latchbox::PublishOptions& options) {
        if (!uses_bad_input_ || !chance(4)) { options.dedup = {}; }
    }
    void publish_throws(const TransactionBroker& before, std::size_t queue,
                        std::vector<Body>& bodies, const latchbox::PublishOptions& options) {
        model_ = before;
        say(named(queue), ".publish(a copy that throws", wishes(options), ")");
        Body::throw_at_copy(1);
        try {
            static_cast<void>(real_queue(queue).publish(std::as_const(bodies[0]), options));
            expect(false, "publish: the copy did not throw");
        } catch (const support::TrackedFault&) { ++figures_.throwing_copies; }
        Body::disarm();
    }
    void learn(std::size_t queue, const std::vector<latchbox::MessageId>& ids) {
        for (const latchbox::MessageId& id : ids) {
            expect(last_id_[queue] < id, "publish: an id out of order");
            for (const latchbox::MessageId& other : ids_) {
                expect(other != id, "publish: an id was given twice");
            }
            last_id_[queue] = id;
            model_.learn_id({Named::message, ids_.size()}, id);
            ids_.push_back(id);
        }
    }

    // -- hand out --------------------------------------------------------------------------------

    void fetch() {
        if (held_.size() >= most_held_) { return settle(); }
        fetch(a_queue());
    }
    void fetch(std::size_t queue) {
        const auto expected = model_.fetch(queue, 1);
        say(named(queue), ".try_fetch: ",
            expected.error == fine ? m(model_.message_of(expected.value[0]))
                                   : word(expected.error));
        if constexpr (Platform::can_wait) {
            if (chance(8)) {
                auto result = consumers_[queue].fetch_for(duration(0));
                const bool empty = expected.error == Errc::empty;
                equal_error(error_of(result), empty ? Errc::timed_out : expected.error,
                            "fetch_for(0)");
                if (result && expected.error == fine) {
                    hold(std::move(*result), expected.value[0]);
                }
                return;
            }
        }
        auto result = consumers_[queue].try_fetch();
        equal_error(error_of(result), expected.error, "try_fetch");
        if (result && expected.error == fine) { hold(std::move(*result), expected.value[0]); }
    }
    void fetch_batch() {
        const std::size_t queue = a_queue();
        const std::size_t most = pick(4);
        const bool bad = uses_bad_input_ && chance(16);
        std::vector<Delivery> out;
        Answer<std::vector<std::size_t>> expected;
        if (bad) {
            expected.error = model_.is_shut(queue) ? Errc::closed : Errc::invalid_option;
        } else {
            expected = model_.fetch(queue, most);
        }
        say(named(queue), ".fetch_batch(", most, bad ? ", wait -1" : "", "): ", expected.error,
            ", ", expected.value.size());
        // It appends: what is in there already stays.
        const bool append = !held_.empty() && chance(4);
        std::optional<Held> first;
        if (append) {
            first.emplace(std::move(held_.back()));
            held_.pop_back();
            out.push_back(std::move(first->delivery));
        }
        const auto result = bad ? consumers_[queue].fetch_batch(out, most, duration(-1))
                                : consumers_[queue].fetch_batch(out, most);
        equal_error(error_of(result), expected.error, "fetch_batch");
        if (result) { equal(*result, expected.value.size(), "fetch_batch: how many"); }
        const std::size_t before = append ? 1 : 0;
        if (equal(out.size(), before + expected.value.size(), "fetch_batch: what was appended")) {
            for (std::size_t i = 0; i < expected.value.size(); ++i) {
                hold(std::move(out[before + i]), expected.value[i]);
            }
        }
        if (append) { held_.push_back({std::move(out[0]), first->handle, first->readable}); }
    }
    // A new delivery: is it the right one?
    void hold(Delivery delivery, std::size_t handle) {
        const std::size_t message = model_.message_of(handle);
        expect(delivery.id() == ids_[message], "fetch: another message came");
        expect(delivery.subject() == model_.subject_of(message), "the subject of a delivery");
        expect(delivery.receipt() != latchbox::Receipt{}, "fetch: a receipt that is none");
        for (const latchbox::Receipt& other : receipts_) {
            expect(other != delivery.receipt(), "fetch: a receipt was given twice");
        }
        const std::size_t queue = model_.lease(model_.handle(handle).lease).queue;
        expect(last_receipt_[queue] < delivery.receipt(), "fetch: a receipt out of order");
        last_receipt_[queue] = delivery.receipt();
        receipts_.push_back(delivery.receipt());
        if (setting_.blurred) { judge_deadline(delivery, handle); }
        held_.push_back({std::move(delivery), handle});
    }

    // Never early, and no later than the glance was wrong. [4.3]
    void judge_deadline(const Delivery& delivery, std::size_t handle) {
        const Ticks exact = model_.handle(handle).deadline;
        const Ticks deadline = delivery.deadline().since_epoch().count();
        expect(exact <= deadline && deadline <= after(exact, blurred_.after.count()),
               "fetch: a lease granted early, or too late");
        model_.grant_until(handle, deadline);
    }

    // -- settle ----------------------------------------------------------------------------------

    Verb draw_verb() {
        Verb verb;
        verb.kind = one_of({Verb::ack, Verb::release, Verb::requeue, Verb::fail, Verb::fail,
                            Verb::reject, Verb::extend});
        if (verb.kind == Verb::requeue || verb.kind == Verb::extend) {
            verb.length = wish().count();
        }
        if (verb.kind == Verb::fail || verb.kind == Verb::reject) { verb.text = draw_reason(); }
        return verb;
    }
    static latchbox::Result<void> apply(Delivery& delivery, const Verb& verb) {
        switch (verb.kind) {
            case Verb::ack: return delivery.ack();
            case Verb::release: return delivery.release();
            case Verb::requeue: return delivery.requeue(duration(verb.length));
            case Verb::fail: return delivery.fail(verb.text);
            case Verb::reject: return delivery.reject(verb.text);
            case Verb::extend: break;
        }
        return delivery.extend(duration(verb.length));
    }
    static latchbox::Result<void> apply(const RealConsumer& queue, const latchbox::Receipt& receipt,
                                        const Verb& verb) {
        switch (verb.kind) {
            case Verb::ack: return queue.ack(receipt);
            case Verb::release: return queue.release(receipt);
            case Verb::requeue: return queue.requeue(receipt, duration(verb.length));
            case Verb::fail: return queue.fail(receipt, verb.text);
            case Verb::reject: return queue.reject(receipt, verb.text);
            case Verb::extend: break;
        }
        return queue.extend(receipt, duration(verb.length));
    }
    void settle() {
        if (held_.empty()) { return publish(1, false); }
        const std::size_t at = some(held_.size());
        settle(at, draw_verb());
        if (chance(2)) { destroy(at); }
    }
    void settle(std::size_t at, const Verb& verb) {
        const std::size_t handle = held_[at].handle;
        const Errc expected = model_.settle(handle, verb);
        say("delivery of ", m(model_.message_of(handle)), ".", word_of(verb.kind), "(",
            verb.length != 0 ? word(duration(verb.length)) : "", "): ", expected);
        if (expected == Errc::lease_lost) { ++figures_.lost_verbs; }
        equal_error(error_of(apply(held_[at].delivery, verb)), expected, word_of(verb.kind));
    }
    // Receipts live and stale, of this queue and of others, and none at all.
    void settle_by_receipt() {
        const std::size_t other = a_queue();
        if (uses_bad_input_ && chance(16)) { return settle_by_forged_receipt(other); }
        std::size_t lease = none;
        if (!receipts_.empty() && !(uses_bad_input_ && chance(16))) {
            lease = receipts_.size() - 1 - some(receipts_.size());
        }
        const bool own = lease != none && !chance(8);
        const std::size_t queue = own ? model_.lease(lease).queue : other;
        const latchbox::Receipt receipt = lease == none ? latchbox::Receipt{} : receipts_[lease];
        const Verb verb = draw_verb();
        const Errc expected = model_.settle(queue, lease, verb);
        say(named(queue), ".", word_of(verb.kind), "(receipt ",
            lease == none ? "none" : word(lease) + " of " + m(model_.lease(lease).message),
            verb.length != 0 ? ", " + word(duration(verb.length)) : "", "): ", expected);
        if (expected == Errc::lease_lost) { ++figures_.lost_verbs; }
        equal_error(error_of(apply(consumers_[queue], receipt, verb)), expected,
                    word_of(verb.kind));
    }
    // Of this queue by its looks, of a lease that is still to come.
    void settle_by_forged_receipt(std::size_t queue) {
        const latchbox::Receipt real = last_receipt_[queue];
        if (real == latchbox::Receipt{}) { return fetch(); }
        const std::string text = to_string(real);
        const std::size_t lease = text.find('-', 2) + 1;
        const auto forged = latchbox::Receipt::from_string(text.substr(0, lease) + "1000000" +
                                                           text.substr(text.find('-', lease)));
        if (!expect(forged.has_value() && real < *forged, "a forged receipt")) { return; }
        say(named(queue), ".ack(forged receipt)");
        equal_error(error_of(consumers_[queue].ack(*forged)),
                    model_.is_shut(queue) ? Errc::closed : Errc::unknown_message,
                    "ack by a forged receipt");
    }
    void take() {
        if (held_.empty()) { return fetch(); }
        const std::size_t at = some(held_.size());
        const std::size_t handle = held_[at].handle;
        const std::size_t message = model_.message_of(handle);
        const bool shared = model_.body_is_shared(message, handle);
        const std::optional<TransactionBroker> before = copy_if(shared && uses_faults_);
        const Errc expected = model_.take(handle);
        const bool throws = shared && expected == fine && uses_faults_ && chance(2);
        say("delivery of ", m(message), ".take", throws ? " of a copy that throws" : "", ": ",
            expected);
        if (throws) {
            model_ = *before;
            return throws_tracked([&] { static_cast<void>(held_[at].delivery.take()); });
        }
        const std::int64_t copied = Body::copies();
        {
            auto body = held_[at].delivery.take();
            equal_error(error_of(body), expected, "take");
            if (body) { digest(*body, message, "take: the body"); }
        }
        if (expected == fine) {
            equal(Body::copies() - copied, shared ? 1 : 0, "take: copies made");
        }
        if (expected == fine && !shared) { held_[at].readable = false; }
        if (chance(2)) { destroy(at); }
    }
    // What was retained goes when somebody looks: a body is shared as long as it is there.
    void let_age() {
        if (model_.aged_at() < aged_seen_) { return; }
        static_cast<void>(broker_->poll());
        aged_seen_ = after(model_.now(), 1);
    }
    [[nodiscard]] std::optional<TransactionBroker> copy_if(bool wanted) const {
        return wanted ? std::optional<TransactionBroker>{model_} : std::nullopt;
    }
    template <class Call> void throws_tracked(Call&& call) {
        Body::throw_at_copy(1);
        try {
            call();
            expect(false, "the copy did not throw");
        } catch (const support::TrackedFault&) { ++figures_.throwing_copies; }
        Body::disarm();
    }
    void abandon() {
        if (held_.empty()) { return fetch(); }
        destroy(some(held_.size()));
    }
    void destroy(std::size_t at) {
        say("delivery of ", m(model_.message_of(held_[at].handle)), " is destroyed",
            model_.lease_lost(held_[at].handle) ? "" : ", unsettled");
        model_.destroy(held_[at].handle);
        held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(at));
    }
    void detach() {
        if (held_.empty()) { return fetch(); }
        const std::size_t at = some(held_.size());
        const std::size_t handle = held_[at].handle;
        say("delivery of ", m(model_.message_of(handle)), ".detach");
        model_.detach(handle);
        const latchbox::Receipt receipt = std::move(held_[at].delivery).detach();
        expect(receipt == receipts_[model_.handle(handle).lease], "detach: the receipt");
        equal_error(error_of(held_[at].delivery.ack()), Errc::already_settled,
                    "ack of a detached handle");
        held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(at));
    }
    // One handle is moved onto another, which is abandoned by that.
    void move_handle() {
        if (held_.size() < 2) { return fetch(); }
        const std::size_t to = some(held_.size());
        const std::size_t from = (to + 1 + some(held_.size() - 1)) % held_.size();
        say("the delivery of ", m(model_.message_of(held_[from].handle)), " is moved onto that of ",
            m(model_.message_of(held_[to].handle)));
        model_.destroy(held_[to].handle);
        held_[to] = std::move(held_[from]);
        held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(from));
    }
    void ack_batch() {
        const std::size_t queue = a_queue();
        std::vector<Held> chosen;
        for (std::size_t i = held_.size(); i-- > 0;) {
            if (model_.lease(model_.handle(held_[i].handle).lease).queue != queue || chance(3)) {
                continue;
            }
            chosen.push_back(std::move(held_[i]));
            held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(i));
        }
        std::vector<Delivery> deliveries;
        std::size_t expected = 0;
        for (Held& held : chosen) {
            expected += model_.settle(held.handle, {Verb::ack}) == fine ? 1U : 0U;
            deliveries.push_back(std::move(held.delivery));
        }
        say(named(queue), ".ack_batch(", chosen.size(), "): ", expected);
        equal(consumers_[queue].ack_batch(std::span<Delivery>{deliveries}), expected, "ack_batch");
        for (std::size_t i = 0; i < chosen.size(); ++i) {
            held_.push_back({std::move(deliveries[i]), chosen[i].handle, chosen[i].readable});
        }
    }
    void pop() {
        let_age();
        const std::size_t queue = a_queue();
        const std::size_t first = model_.first_ready(queue);
        const bool shared = first != none && model_.body_is_shared(first);
        const std::optional<TransactionBroker> before = copy_if(shared && uses_faults_);
        const auto expected = model_.pop(queue);
        const bool throws = shared && expected.error == fine && uses_faults_ && chance(2);
        say(named(queue), ".pop", throws ? " of a copy that throws: " : ": ",
            expected.error == fine ? m(expected.value) : word(expected.error));
        if (throws) {
            model_ = *before;
            return throws_tracked([&] { static_cast<void>(consumers_[queue].pop()); });
        }
        const std::int64_t copied = Body::copies();
        const auto body = consumers_[queue].pop();
        equal_error(error_of(body), expected.error, "pop");
        if (body && expected.error == fine) { digest(*body, expected.value, "pop: the body"); }
        equal(Body::copies() - copied, expected.error == fine && shared ? 1 : 0,
              "pop: copies made");
    }
    void pop_all() {
        let_age();
        const std::size_t queue = a_queue();
        const auto [error, expected] = model_.pop_all(queue);
        say(named(queue), ".pop_all: ", error, ", ", expected.size());
        const auto bodies = consumers_[queue].pop_all();
        equal_error(error_of(bodies), error, "pop_all");
        if (!bodies || !equal(bodies->size(), expected.size(), "pop_all: how many")) { return; }
        for (std::size_t i = 0; i < expected.size(); ++i) {
            digest((*bodies)[i], expected[i], "pop_all: a body");
        }
    }

    // -- take back, dead letters -----------------------------------------------------------------

    void cancel() {
        const std::size_t message = a_message();
        const bool own = message != none && !chance(8);
        const std::size_t queue = own ? model_.message(message).queue : a_queue();
        const Errc expected = model_.cancel(queue, model_.in_queue(queue, id_of(message)));
        say(named(queue), ".cancel(", m(message), "): ", expected);
        equal_error(error_of(consumers_[queue].cancel(id_of(message))), expected, "cancel");
    }
    void purge() { purge(a_queue()); }
    void purge(std::size_t queue) {
        const std::size_t expected = model_.purge(queue);
        say(named(queue), ".purge: ", expected);
        equal(consumers_[queue].purge(), expected, "purge");
    }
    void dead_letters() {
        let_age();
        const std::size_t queue = a_queue();
        auto dead = consumers_[queue].dead_letters();
        switch (one_of({0, 1, 2, 3, 4, 5, 0, 1, 0})) {
            case 0: {
                const std::size_t message = a_dead_message(queue);
                if (message != none && chance(2)) {
                    redrive_after_parents(message);
                } else {
                    redrive(queue, message);
                }
                break;
            }
            case 1: {
                const std::size_t expected = model_.redrive_all(queue);
                say(named(queue), ".dead_letters.redrive: ", expected);
                equal(dead.redrive(), expected, "redrive");
                break;
            }
            case 2: {
                const std::vector<std::size_t> all = model_.dead_letters(queue);
                take_dead(
                    queue, all.empty() ? none : all.front(),
                    [this, queue] { return model_.take_dead(queue); },
                    [&dead] { return dead.take(); });
                break;
            }
            case 3: {
                const std::size_t any = a_dead_message(queue);
                const std::size_t own = model_.in_queue(queue, id_of(any));
                const std::size_t message = own == none ? any : own;
                take_dead(
                    queue, message, [this, queue, own] { return model_.take_dead(queue, own); },
                    [this, &dead, message] { return dead.take(id_of(message)); });
                break;
            }
            case 4: {
                const std::size_t expected = model_.purge_dead(queue);
                say(named(queue), ".dead_letters.purge: ", expected);
                equal(dead.purge(), expected, "purge of dead letters");
                break;
            }
            default: purge_while_looking(queue); break;
        }
    }
    // With its family: dead parents come first, so that it has somebody to wait for.
    void redrive_after_parents(std::size_t message) {
        for (const Parent& each : model_.message(message).parents) {
            const Named parent = each.who;
            for (std::size_t i = 0; i < ids_.size() && difference_.empty(); ++i) {
                const bool dead = model_.message(i).state == State::dead;
                if (dead && model_.named(i) == parent) { redrive_after_parents(i); }
            }
        }
        if (difference_.empty()) { redrive(model_.message(message).queue, message); }
    }
    void redrive(std::size_t queue, std::size_t message) {
        const Errc expected = model_.redrive(queue, model_.in_queue(queue, id_of(message)));
        say(named(queue), ".dead_letters.redrive(", m(message), "): ", expected);
        if (expected == Errc::parent_failed) { ++figures_.parents_failed; }
        equal_error(error_of(consumers_[queue].dead_letters().redrive(id_of(message))), expected,
                    "redrive(id)");
    }
    // Mostly one that is dead in this queue.
    std::size_t a_dead_message(std::size_t queue) {
        std::vector<std::size_t> dead = model_.dead_letters(queue);
        if (dead.empty() || chance(8)) { return a_message(); }
        std::vector<std::size_t> children;
        for (const std::size_t letter : dead) {
            if (!model_.message(letter).parents.empty()) { children.push_back(letter); }
        }
        if (!children.empty() && chance(2)) { dead = children; }
        return dead[some(dead.size())];
    }
    template <class Expect, class Call>
    void take_dead(std::size_t queue, std::size_t message, Expect&& expect_call, Call&& call) {
        const bool shared = message != none && model_.body_is_shared(message);
        const std::optional<TransactionBroker> before = copy_if(shared && uses_faults_);
        const Answer<std::size_t> expected = expect_call();
        const bool throws = shared && expected.error == fine && uses_faults_ && chance(2);
        say(named(queue), ".dead_letters.take(", m(message),
            throws ? ", a copy that throws): " : "): ", expected.error);
        if (throws) {
            model_ = *before;
            return throws_tracked([&] { static_cast<void>(call()); });
        }
        const std::int64_t copied = Body::copies();
        const latchbox::Result<Body> body = call();
        equal_error(error_of(body), expected.error, "take of a dead letter");
        if (body && expected.error == fine) {
            digest(*body, expected.value, "take of a dead letter: the body");
        }
        equal(Body::copies() - copied, expected.error == fine && shared ? 1 : 0,
              "take of a dead letter: copies made");
    }
    // The visitor has a snapshot: what it looks at stays readable, whatever it does to the queue.
    void purge_while_looking(std::size_t queue) {
        const std::vector<std::size_t> expected = model_.dead_letters(queue);
        const bool closed = model_.is_shut(queue);
        say(named(queue), ".dead_letters.for_each, the first visit purges: ", expected.size());
        const std::size_t purged = model_.purge_dead(queue);
        std::size_t seen = 0;
        consumers_[queue].dead_letters().for_each([&](const auto& letter) {
            if (seen == 0) {
                equal(consumers_[queue].dead_letters().purge(), purged, "nested purge");
            }
            if (seen < expected.size()) {
                expect(letter.id() == ids_[expected[seen]], "for_each: which");
                digest(letter.body(), expected[seen], "for_each: a body");
            }
            ++seen;
        });
        equal(seen, closed ? 0 : expected.size(), "for_each: how many");
    }

    // A stop that was requested before changes nothing, and nothing is looked at.
    void stop_requested() {
        if constexpr (Platform::can_wait) {
            const std::size_t queue = a_queue();
            std::stop_source source;
            source.request_stop();
            const latchbox::PublishOptions options = draw_wishes();
            switch (pick(3)) {
                case 0: {
                    say(named(queue), ".fetch(stopped)");
                    const auto result = consumers_[queue].fetch(source.get_token());
                    equal_error(error_of(result), Errc::cancelled, "fetch, stopped");
                    break;
                }
                case 1: {
                    say(named(queue), ".fetch_for(1, stopped)");
                    const auto result =
                        consumers_[queue].fetch_for(duration(1), source.get_token());
                    equal_error(error_of(result), Errc::cancelled, "fetch_for, stopped");
                    break;
                }
                default: {
                    say(named(queue), ".publish(stopped", wishes(options), ")");
                    Body body{7};
                    const auto result = real_queue(a_real_queue())
                                            .publish(std::move(body), options, source.get_token());
                    equal_error(error_of(result), Errc::cancelled, "publish, stopped");
                    expect(body.digest() == 7, "publish, stopped: moved from");
                    break;
                }
            }
        } else {
            fetch();
        }
    }

    // -- gates, latches --------------------------------------------------------------------------

    void make_gate() {
        if (model_.closed()) { return make_gate_too_late(); }
        const std::uint32_t count = one_of({1U, 2U, 3U, 1U, 0U, ~0U});
        const std::size_t gate = model_.make_gate(count);
        say("gate(", count, "): g", gate);
        RealGate made = broker_->gate(count);
        expect(made.id() != latchbox::MessageId{}, "gate: an id that is none");
        expect(model_.find(made.id()) == Named{}, "gate: an id was given twice");
        model_.learn_id({Named::gate, gate}, made.id());
        gate_ids_.push_back(made.id());
        gates_.push_back({std::move(made), gate});
    }
    void make_gate_too_late() {
        say("gate: too late");
        RealGate made = broker_->gate();
        equal_error(error_of(made.count_down()), Errc::closed, "count_down of a gate made late");
    }
    void use_gate() {
        if (gates_.empty()) { return make_gate(); }
        const std::size_t at = some(gates_.size());
        const std::size_t gate = gates_[at].gate;
        expect(gates_[at].handle.id() == gate_ids_[gate], "the id of a gate");
        switch (one_of({0, 0, 1, 2, 3, 4})) {
            case 0: {
                const std::uint32_t n = one_of({1U, 2U, 0U, 1U, ~0U});
                const Errc expected = model_.count_down(gate, n);
                say("g", gate, ".count_down(", n, "): ", expected);
                const auto result =
                    n == 1 ? gates_[at].handle.count_down() : gates_[at].handle.count_down(n);
                equal_error(error_of(result), expected, "count_down");
                break;
            }
            case 1: {
                const std::string reason = draw_reason();
                const Errc expected = model_.fail_gate(gate, reason);
                say("g", gate, ".fail: ", expected);
                equal_error(error_of(gates_[at].handle.fail(reason)), expected, "fail of a gate");
                break;
            }
            case 2: {
                say("a copy of g", gate);
                model_.copy_gate_handle(gate);
                const RealGate copy = gates_[at].handle;
                gates_.push_back({copy, gate});
                break;
            }
            case 3: {
                say("a handle of g", gate, " is destroyed");
                model_.destroy_gate_handle(gate);
                gates_.erase(gates_.begin() + static_cast<std::ptrdiff_t>(at));
                break;
            }
            default: {
                if (gates_.size() < 2) { return; }
                const std::size_t from = (at + 1 + some(gates_.size() - 1)) % gates_.size();
                say("a handle of g", gates_[from].gate, " is moved onto one of g", gate);
                model_.destroy_gate_handle(gate);
                gates_[at] = std::move(gates_[from]);
                gates_.erase(gates_.begin() + static_cast<std::ptrdiff_t>(from));
                break;
            }
        }
    }
    void ask_latch() {
        const latchbox::MessageId id = an_id();
        RealLatch latch = broker_->latch(id);
        expect(latch.id() == id, "the id of a latch");
        const Answer<LatchState> expected = model_.latch(model_.find(id));
        say("latch(", named(id),
            "): ", expected.error == fine ? to_string(expected.value) : word(expected.error));
        if constexpr (Platform::can_wait) { wait_for_latch(latch, expected); }
        compare_latch(latch, expected);
        const bool unknown = expected.error != fine;
        const Named whose = unknown ? Named{} : model_.find(id);
        const bool watches = model_.watch(whose);
        if (latches_.size() < 4) {
            latches_.push_back({std::move(latch), whose, watches});
        } else {
            HeldLatch& old = latches_[some(latches_.size())];
            if (old.watches) { model_.unwatch(old.whose); }
            old = {std::move(latch), whose, watches};
        }
    }
    // Only waits that are over at once.
    void wait_for_latch(const RealLatch& latch, Answer<LatchState> expected) {
        const bool pending = expected.error == fine && expected.value == LatchState::pending;
        if (model_.closed()) { expected.error = Errc::closed; }
        switch (pick(4)) {
            case 0: {
                if (pending) { expected.error = Errc::timed_out; }
                equal_state(latch.wait_for(duration(0)), expected, "wait_for(0)");
                break;
            }
            case 1: {
                if (!pending) { equal_state(latch.wait(), expected, "wait"); }
                break;
            }
            case 2: {
                if (!model_.closed()) { expected.error = Errc::invalid_option; }
                equal_state(latch.wait_for(duration(-1)), expected, "wait_for(-1)");
                break;
            }
            default: {
                std::stop_source source;
                source.request_stop();
                expected.error = Errc::cancelled;
                equal_state(latch.wait(source.get_token()), expected, "wait, stopped");
                break;
            }
        }
    }
    void compare_latch(const RealLatch& latch, const Answer<LatchState>& expected) {
        equal_state(latch.state(), expected, "state of a latch");
    }
    void equal_state(const latchbox::Result<LatchState>& broker, const Answer<LatchState>& expected,
                     const char* what) {
        if (!equal_error(error_of(broker), expected.error, what)) { return; }
        if (!broker || *broker == expected.value || !difference_.empty()) { return; }
        difference_ = std::string(what) + ": broker " + to_string(*broker) + ", model " +
                      to_string(expected.value);
    }

    // -- everything that can be seen -------------------------------------------------------------

    void compare() {
        let_age();
        const std::uint32_t first = static_cast<std::uint32_t>(figures_.steps);
        // Another one looks first each time: whoever it is, he sees all that is due.
        for (std::uint32_t i = 0; i < 6 && difference_.empty(); ++i) {
            switch ((first + i) % 6) {
                case 0: compare_queues(); break;
                case 1: compare_handles(); break;
                case 2: compare_dead_letters(); break;
                case 3: compare_ids(); break;
                case 4: compare_topics(); break;
                default: compare_broker(); break;
            }
        }
        compare_destroyed();
        if (difference_.empty()) {
            equal(Body::live() - live_before_, model_.live_bodies() + bodies_of_transactions(),
                  "live bodies");
        }
    }
    // What time took away went in the order of its instants, from whatever queue. That is all of it
    // that the order of destructors tells: within one queue they may come as they like.
    void compare_destroyed() {
        const Message* latest = nullptr;
        for (const std::uint64_t value : destroyed_) {
            if (is_forwarded(value)) { continue; }
            for (std::size_t i = 0; i < model_.message_count(); ++i) {
                const Message& gone = model_.message(i);
                if (gone.body != value || !gone.left_by_time || gone.left_at <= time_seen_) {
                    continue;
                }
                expect(latest == nullptr || latest->queue == gone.queue ||
                           latest->left_at <= gone.left_at,
                       "one queue ran ahead of another");
                if (latest == nullptr || latest->left_at < gone.left_at) { latest = &gone; }
            }
        }
        destroyed_.clear();
        time_seen_ = model_.now();
    }
    // Of two messages one value does not tell which.
    [[nodiscard]] bool is_forwarded(std::uint64_t value) const {
        std::size_t times = 0;
        for (std::size_t i = 0; i < model_.message_count(); ++i) {
            times += model_.message(i).body == value ? 1U : 0U;
        }
        return times > 1;
    }
    void compare_queues() {
        for (std::size_t i = 0; i < consumers_.size(); ++i) {
            const latchbox::QueueStats expected = model_.stats(i);
            const latchbox::QueueStats stats = consumers_[i].stats();
            if (stats != expected) { describe(stats, expected, named(i)); }
            equal(consumers_[i].size(), expected.held(), "size");
            const auto& core = latchbox::detail::Access::core(consumers_[i]);
            if (const char* broken = core.audit()) { expect(false, broken); }
            equal(core.reserved(), 0, "room reserved between calls");
        }
    }
    void describe(const latchbox::QueueStats& broker, const latchbox::QueueStats& model,
                  const std::string& whose) {
        const auto both = [&](std::uint64_t latchbox::QueueStats::*field, const char* what) {
            equal(broker.*field, model.*field, ("stats of " + whose + ", " + what).c_str());
        };
        using S = latchbox::QueueStats;
        both(&S::accepted, "accepted");
        both(&S::blocked, "blocked");
        both(&S::delayed, "delayed");
        both(&S::ready, "ready");
        both(&S::leased, "leased");
        both(&S::dead, "dead");
        both(&S::completed, "completed");
        both(&S::expired, "expired");
        both(&S::purged, "purged");
        both(&S::evicted, "evicted");
        both(&S::cancelled, "cancelled");
        both(&S::delivered, "delivered");
        both(&S::redelivered, "redelivered");
        both(&S::released, "released");
        both(&S::requeued, "requeued");
        both(&S::abandoned, "abandoned");
        both(&S::failed, "failed");
        both(&S::leases_run_out, "leases_run_out");
        both(&S::rejected, "rejected");
        both(&S::redriven, "redriven");
        both(&S::refused, "refused");
        both(&S::deduplicated, "deduplicated");
        both(&S::dedup_forgotten, "dedup_forgotten");
    }
    void compare_handles() {
        for (Held& held : held_) {
            const Handle& handle = model_.handle(held.handle);
            const std::size_t message = model_.message_of(held.handle);
            if (held.readable) {
                digest(held.delivery.body(), message, "the body that a delivery reads");
                figures_.late_readers += model_.lease_lost(held.handle) ? 1U : 0U;
            }
            expect(held.delivery.id() == ids_[message], "the id of a delivery");
            expect(held.delivery.receipt() == receipts_[handle.lease], "its receipt");
            expect(held.delivery.subject() == model_.subject_of(message), "its subject");
            equal(held.delivery.attempt(), handle.attempt, "attempt");
            equal(held.delivery.failures(), handle.failures, "failures");
            equal(held.delivery.deadline().since_epoch().count(), handle.deadline, "deadline");
            expect(held.delivery.lease_lost() == model_.lease_lost(held.handle), "lease_lost");
        }
    }
    void compare_dead_letters() {
        for (std::size_t i = 0; i < consumers_.size(); ++i) {
            if (model_.is_shut(i) && !model_.is_closed(i)) { continue; }
            const std::vector<std::size_t> expected = model_.dead_letters(i);
            const auto dead = consumers_[i].dead_letters();
            equal(dead.size(), expected.size(), "dead letters");
            if (expected.empty() || model_.closed()) { continue; }
            std::size_t seen = 0;
            dead.for_each([&](const auto& letter) {
                if (seen < expected.size()) { compare_dead_letter(letter, expected[seen]); }
                ++seen;
            });
            equal(seen, expected.size(), "for_each: how many");
        }
    }
    template <class Letter> void compare_dead_letter(const Letter& letter, std::size_t message) {
        model_.hear_of_culprit(message, letter.reason().parent());
        const Message& expected = model_.message(message);
        expect(letter.id() == ids_[message], "the order of dead letters");
        expect(letter.subject() == model_.subject_of(message), "the subject of a dead letter");
        equal(static_cast<unsigned>(letter.reason().cause()), static_cast<unsigned>(expected.cause),
              "the cause of a death");
        expect(letter.reason().text() == expected.text, "the text of a death");
        const latchbox::Reason reason = model_.reason_of(expected);
        if (!(letter.reason() == reason) && difference_.empty()) {
            difference_ = "the reason of a death: broker \"" + to_string(letter.reason()) +
                          "\", model \"" + to_string(reason) + '"';
        }
        equal(letter.attempt(), expected.attempt, "attempt of a dead letter");
        equal(letter.failures(), expected.failures, "failures of a dead letter");
        digest(letter.body(), message, "the body of a dead letter");
    }
    void compare_broker() {
        equal(broker_->poll().since_epoch().count(), model_.next_due(), "poll: the next instant");
        const latchbox::BrokerStats expected = model_.stats();
        const latchbox::BrokerStats stats = broker_->stats();
        equal(stats.queues, expected.queues, "queues of the broker");
        if (stats.messages != expected.messages) {
            describe(stats.messages, expected.messages, "the broker");
        }
        if (model_.closed()) { return; }
        equal(stats.gates, expected.gates, "gates of the broker");
        equal(stats.edges, expected.edges, "edges of the broker");
        auto& latches = latchbox::detail::Access::shell(queues_.front()).broker->latches;
        latchbox::detail::Lock lock{latches.mutex};
        if (const char* broken = latches.board.audit()) { expect(false, broken); }
        // Nobody is remembered whom nobody can ask for, or wait for, any more.
        expect(stats.latches <= expected.messages.held() + gates_.size() + latches_.size(),
               "latches of the broker: too many");
        figures_.blocked += expected.messages.blocked;
    }
    // All ids there are now and then, some of them at each step.
    void compare_ids() {
        const std::size_t all = ids_.size() + gate_ids_.size() + bad_ids;
        const bool thorough = figures_.steps % 16 == 0;
        const std::size_t count = thorough || all < ids_at_a_step ? all : ids_at_a_step;
        for (std::size_t i = 0; i < count && difference_.empty(); ++i) {
            compare_id(next_id_++ % all);
        }
        for (const HeldLatch& held : latches_) {
            compare_latch(held.latch, model_.latch(held.whose, true));
        }
    }
    void compare_id(std::size_t at) {
        const std::size_t gate = at - ids_.size();
        if (at < ids_.size()) { return compare_id(model_.named(at), ids_[at]); }
        if (gate < gate_ids_.size()) { return compare_id({Named::gate, gate}, gate_ids_[gate]); }
        compare_id({}, bad_id(gate - gate_ids_.size()));
    }
    void compare_id(const Named& whose, const latchbox::MessageId& id) {
        if (asks_latches_) { compare_latch(broker_->latch(id), model_.latch(whose)); }
        latchbox::Explanation broker = broker_->explain(id);
        // Once closed, the text of a gate that nobody has in hand may be there or not.
        const bool is_gate = whose.kind == Named::gate && model_.closed();
        if (is_gate && !Broker::is_in_hand(model_.gate(whose.number))) {
            broker.reason = latchbox::Reason{broker.reason.cause()};
        }
        if (whose.kind == Named::message) {
            model_.hear_of_culprit(whose.number, broker.reason.parent());
        }
        const latchbox::Explanation model = model_.explain(whose, id);
        ++figures_.explained;
        if (whose.kind != Named::nothing) { look(whose, model); }
        if (model.state == latchbox::MessageState::forgotten) { ++figures_.forgotten; }
        note(static_cast<std::uint64_t>(broker.state) + 16 * broker.ahead);
        if (broker == model || !difference_.empty()) { return; }
        describe(broker, model);
        difference_ += " (" + named(id) + ")";
    }
    void look(const Named& whose, const latchbox::Explanation& now) {
        auto& states = last_seen_[static_cast<std::size_t>(whose.kind)];
        if (states.size() <= whose.number) {
            states.resize(2 * whose.number + 16, Situations::never_seen);
        }
        figures_.situations.look(std::exchange(states[whose.number], now.state), now);
    }
    void describe(const latchbox::Explanation& broker, const latchbox::Explanation& model) {
        equal(static_cast<unsigned>(broker.state), static_cast<unsigned>(model.state),
              "explain, state");
        equal(broker.ahead, model.ahead, "explain, ahead");
        equal(broker.until.since_epoch().count(), model.until.since_epoch().count(),
              "explain, until");
        equal(broker.attempt, model.attempt, "explain, attempt");
        equal(broker.failures, model.failures, "explain, failures");
        equal(broker.ahead_in_key, model.ahead_in_key, "explain, ahead_in_key");
        equal(broker.count, model.count, "explain, count");
        equal(broker.parents.size(), model.parents.size(), "explain, how many parents");
        equal(broker.copies.size(), model.copies.size(), "explain, how many copies");
        if (!difference_.empty()) { return; }
        if (broker.subject != model.subject) {
            difference_ = "explain, subject: broker \"" + broker.subject + "\", model \"" +
                          model.subject + '"';
            return;
        }
        difference_ = "explain: broker \"" + to_string(broker) + "\", " + to_string(broker.reason) +
                      ", key " + broker.key + ", queue " + broker.queue + "; model \"" +
                      to_string(model) + "\", " + to_string(model.reason) + ", key " + model.key +
                      ", queue " + model.queue;
    }

    // -- calm ------------------------------------------------------------------------------------

    // Nothing fails any more: who fetches acks, at once, and time goes on. Until the last delay and
    // the last lease that there are at the start are over, all is settled that nothing holds.
    void live_in_calm() {
        let_go_of_endless_leases();
        Ticks last = model_.now();
        std::size_t unsettled = 0;
        for (std::size_t i = 0; i < model_.message_count(); ++i) {
            const Message& message = model_.message(i);
            if (message.state == State::gone || message.state == State::dead) { continue; }
            ++unsettled;
            const Ticks over = message.state == State::leased ? message.deadline : message.due;
            if (over != never && over > last) { last = over; }
        }
        for (;;) {
            consume_all();
            if (difference_.empty()) { compare(); }
            const Ticks due = model_.next_due();
            if (!difference_.empty() || due > last) { break; }
            if (!expect(due > model_.now(), "calm: something due does not happen")) { return; }
            say("calm, advance ", due - model_.now());
            clock_.advance(duration(due - model_.now()));
            model_.move_to(due);
        }
        for (std::size_t i = 0; i < model_.message_count() && difference_.empty(); ++i) {
            const Message& message = model_.message(i);
            if (message.state == State::gone || message.state == State::dead) { continue; }
            --unsettled;
            if (model_.is_shut(message.queue) || model_.is_held(i)) { continue; }
            difference_ = "calm: nothing holds " + m(i) + ", and yet it is not settled";
        }
        figures_.settled_in_calm += unsettled;
    }
    void let_go_of_endless_leases() {
        for (std::size_t at = held_.size(); at-- > 0;) {
            const std::size_t message = model_.message_of(held_[at].handle);
            const bool live = !model_.lease_lost(held_[at].handle);
            if (live && model_.message(message).deadline == never) { destroy(at); }
        }
    }
    // What is acked may be somebody's parent, in whatever queue: as often as there is something.
    void consume_all() {
        for (bool again = true; again && difference_.empty();) {
            again = false;
            for (std::size_t queue = 0; queue < consumers_.size(); ++queue) {
                while (consume(queue)) { again = true; }
            }
        }
    }
    bool consume(std::size_t queue) {
        if (!difference_.empty() || model_.first_ready(queue) == none) { return false; }
        const auto expected = model_.fetch(queue, 1);
        auto result = consumers_[queue].try_fetch();
        equal_error(error_of(result), expected.error, "try_fetch in calm");
        if (!result || expected.error != fine) { return false; }
        hold(std::move(*result), expected.value[0]);
        settle(held_.size() - 1, {Verb::ack});
        destroy(held_.size() - 1);
        return true;
    }

    // -- the end ---------------------------------------------------------------------------------

    void count_up() {
        ++figures_.scripts;
        figures_.messages += model_.message_count();
        const latchbox::QueueStats s = model_.stats().messages;
        figures_.hand_outs += s.delivered;
        figures_.leases_run_out += s.leases_run_out;
        figures_.expired += s.expired;
        figures_.redriven += s.redriven;
        figures_.evicted += s.evicted;
        figures_.refused += s.refused;
        figures_.deaths += s.dead;
        figures_.gates += model_.gate_count();
        figures_.repeats += s.deduplicated;
        for (std::size_t q = 0; q < model_.queue_count(); ++q) {
            figures_.values_again += model_.queue_at(q).values_again;
        }
        for (std::size_t i = 0; i < model_.message_count(); ++i) {
            const Message& message = model_.message(i);
            figures_.children += message.parents.empty() ? 0U : 1U;
            figures_.deaths_by_parent += message.cause == Cause::parent_failed ? 1U : 0U;
            figures_.keyed += message.key.empty() ? 0U : 1U;
        }
    }
    // Handles, queues and the broker go in any order; nothing is left of the messages.
    void end() {
        const std::uint32_t order = pick(3);
        if (order == 0) { held_.clear(), gates_.clear(); }
        if (order == 1) { queues_.clear(), consumers_.clear(); }
        broker_.reset();
        for (Held& held : held_) {
            const std::size_t message = model_.message_of(held.handle);
            if (held.readable) { digest(held.delivery.body(), message, "a body after the broker"); }
            equal_error(error_of(held.delivery.extend(duration(1))), Errc::closed,
                        "extend after the broker");
            expect(held.delivery.lease_lost(), "lease_lost after the broker");
        }
        for (const RealQueue& queue : queues_) {
            equal_error(error_of(queue.publish(Body{1})), Errc::closed, "publish after the broker");
            equal_error(error_of(queue.try_fetch()), Errc::closed, "try_fetch after the broker");
        }
        for (HeldGate& held : gates_) {
            equal_error(error_of(held.handle.count_down()), Errc::closed,
                        "count_down after the broker");
            equal_error(error_of(held.handle.fail()), Errc::closed,
                        "fail of a gate after the broker");
        }
        end_topics();
        end_transactions();
        held_.clear();
        queues_.clear();
        consumers_.clear();
        gates_.clear();
        latches_.clear();
        equal(Body::live() - live_before_, 0, "bodies left at the end");
    }

    static constexpr std::size_t ids_at_a_step = 6;
    static constexpr Ticks all_lengths[] = {0, 1, 2, 3, 5, 10, 30, never};

    latchbox::testing::Choices& choices_;
    const Setting setting_;
    std::int64_t live_before_ = 0;
    latchbox::BasicManualClock<Platform> clock_;
    BlurredClock blurred_{clock_};
    bool draining_ = false;
    Ticks drain_ends_ = never;
    std::uint32_t looks_ = 0;  // that a drain had at the clock
    TransactionBroker model_;
    std::optional<latchbox::Broker<Body, Platform>> broker_;
    std::vector<RealQueue> queues_;
    std::vector<std::size_t> numbers_;             // the model's, of these
    std::vector<RealConsumer> consumers_;          // by the model's number: subscriptions, too
    std::vector<latchbox::MessageId> ids_;         // by the model's number
    std::vector<latchbox::MessageId> last_id_;     // by queue
    std::vector<latchbox::Receipt> receipts_;      // by the model's lease
    std::vector<latchbox::Receipt> last_receipt_;  // by queue
    std::vector<Held> held_;
    std::vector<latchbox::MessageId> gate_ids_;                     // by the model's number
    std::array<std::vector<latchbox::MessageState>, 4> last_seen_;  // by kind, then by number
    std::vector<HeldGate> gates_;
    std::vector<HeldLatch> latches_;
    std::size_t next_id_ = 0;  // to be compared, of all
    std::uint64_t last_value_ = 0;
    std::vector<std::uint64_t> destroyed_;  // values, since the last look
    Ticks time_seen_ = 0;                   // by the last look
    latchbox::CloseReport last_report_;

    // the swarm
    std::uint32_t weight_[operations] = {};
    bool rare_[operations] = {};
    Ticks lengths_[4] = {};
    std::size_t most_held_ = 1;
    std::uint32_t priorities_ = 1;
    bool uses_topics_ = false;
    bool uses_transactions_ = false;
    Ticks aged_seen_ = 0;
    bool uses_parents_ = false;
    std::uint32_t keys_ = 0;
    std::uint32_t values_ = 0;
    bool asks_latches_ = false;
    bool uses_delay_ = false;
    bool uses_life_ = false;
    bool uses_faults_ = false;
    bool uses_bad_input_ = false;
    std::uint32_t time_passes_between_ = 4;

    Figures figures_;
    std::string difference_;
    std::vector<std::string> log_;
    std::uint64_t hash_ = 0xcbf29ce484222325U;
    std::uint64_t log_hash_ = 0xcbf29ce484222325U;
};

}  // namespace model
