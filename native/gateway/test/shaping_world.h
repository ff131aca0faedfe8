// A pipeline whose flows are limited as the test says, with links that send at a rate and a TCP of sorts.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <limits>
#include <map>
#include <set>

#include "gateway/pipeline.h"
#include "gateway/shaping/bandwidth_stage.h"
#include "gateway/test/gateway_packets.h"

namespace p2pxbone::gateway::testing {

inline constexpr Nanos kSecond = 1'000'000'000;

// Gives every new flow its limit, and has seen enough. "DENY" denies a flow that is told to be inspected.
class LimitingStage final : public ChunkStage {
 public:
  std::string_view name() const override { return "limiting"; }
  StageAnswer begin(const StageContext& context, const Packet& packet) override {
    context.flow.limit = limitOf(packet);
    context.flow.limitNumbering = numbering();
    context.flow.watched = true;
    last = context.flow.ref;
    return {.done = !inspects};
  }
  StageAnswer data(const StageContext&, const Chunk& chunk) override {
    const std::string text = textOf(chunk.bytes);
    if (text == "HOLD") return {.verdict = Verdict::hold()};
    return {.verdict = text == "DENY" ? Verdict::drop(DropReason::gatewayRule, 1) : Verdict::accept()};
  }

  std::function<uint16_t(const Packet&)> limitOf = [](const Packet&) { return uint16_t{1}; };
  std::function<uint8_t()> numbering = [] { return uint8_t{0}; };
  bool inspects = false;
  FlowRef last;
};

struct ShapingWorld final : Outlet {
  struct Departure {
    Nanos at;
    uint64_t tag;
    size_t bytes;
    Offload offload{};
  };

  explicit ShapingWorld(const ShapingSettings& limits, const Pipeline::Settings& settings = {})
      : stage(limits, settings.limits, {3, 4}), pipeline(settings, *this) {
    limiting.numbering = [this] { return stage.numbering(); };
    pipeline.addStage(limiting);
    pipeline.addStage(stage);
  }
  ~ShapingWorld() override { checkBooks(); }

  Verdict send(Bytes bytes, const Offload& offload = {}) {
    const uint64_t tag = ++tags;
    const auto result = pipeline.process(bytes, offload, tag, now / kNanosPerMilli);
    if (result.verdict.goesOn()) leave({now, tag, result.bytes.size(), offload}, result.bytes);
    if (result.verdict.action == Verdict::Action::hold && !left.contains(tag)) ++waiting;
    if (result.verdict.action == Verdict::Action::drop) dropped.push_back(tag);
    return result.verdict;
  }
  Verdict say(const Host& from, const Host& to, size_t bytes) { return send(udpPacket(from, to, Bytes(bytes - 28, 'x'))); }

  void leave(const Departure& departure, std::span<const uint8_t> bytes) {
    CHECK(left.insert(departure.tag).second);
    out.push_back(departure);
    if (keepsBytes) contents.emplace_back(bytes.begin(), bytes.end());
    if (onDeparture) onDeparture(departure);
  }
  void release(std::span<uint8_t> bytes, const Offload& offload, uint64_t tag) override {
    --waiting;
    leave({now, tag, bytes.size(), offload}, bytes);
  }
  void discard(uint64_t tag, DropReason reason) override {
    --waiting;
    CHECK(left.insert(tag).second);
    discarded.push_back(reason);
  }
  void emit(std::span<uint8_t>) override {}

  // Time passes; packets leave when they are due.
  void pass(Nanos time) {
    const Nanos end = now + time;
    for (;;) {
      pipeline.depart(now);
      const Nanos due = pipeline.nextDue().value_or(end);
      if (due >= end) break;
      REQUIRE(due > now);
      now = due;
    }
    now = end;
  }

  void checkBooks() {
    const auto all = pipeline.statistics();
    CHECK(all.held == all.released + discarded.size() + static_cast<uint64_t>(waiting));
    pipeline.shutdown(now / kNanosPerMilli);
    CHECK(waiting == 0);
    const auto end = pipeline.statistics();
    CHECK(end.memory.fragments + end.memory.outOfOrder + end.memory.waiting + end.memory.limited == 0);
    CHECK(!pipeline.nextDue());
    for (const auto& line : stage.statistics()) CHECK(line.waiting == 0);
  }

  size_t bytesOut() const {
    size_t sum = 0;
    for (const Departure& departure : out) sum += departure.bytes;
    return sum;
  }
  uint64_t drops(DropReason reason) { return pipeline.statistics().drops[static_cast<size_t>(reason)]; }

  LimitingStage limiting;
  BandwidthStage stage;
  Nanos now = kSecond;
  uint64_t tags = 0;
  int64_t waiting = 0;
  bool keepsBytes = false;
  std::vector<Departure> out;
  std::vector<Bytes> contents;
  std::vector<uint64_t> dropped;
  std::vector<DropReason> discarded;
  std::set<uint64_t> left;
  std::function<void(const Departure&)> onDeparture;
  Pipeline pipeline;
};

// A sender with a window that grows by one packet a round trip and halves once a round trip in which something is lost, as
// Reno's; it starts slowly. Its packets come out of nowhere in the order of time, and acknowledgements cannot be lost.
class WindowSender {
 public:
  using Send = std::function<bool()>;  // false: dropped

  WindowSender(Nanos roundTrip, double most, Send send) : roundTrip_(roundTrip), most_(most), send_(std::move(send)) {}

  [[nodiscard]] Nanos nextEvent() const {
    return events_.empty() ? std::numeric_limits<Nanos>::max() : events_.begin()->first;
  }
  void arrived(Nanos now) { events_.emplace(now + roundTrip_, true); }
  void lost(Nanos now) { events_.emplace(now + roundTrip_, false); }
  void run(Nanos now) {
    while (nextEvent() <= now) {
      const bool ok = events_.begin()->second;
      events_.erase(events_.begin());
      --underWay_;
      if (ok) {
        window_ = std::min(most_, window_ + (window_ < threshold_ ? 1 : 1 / window_));
      } else if (now >= recoversUntil_) {
        threshold_ = window_ = std::max(2.0, window_ / 2);
        recoversUntil_ = now + roundTrip_;
      }
    }
    while (underWay_ + 1 <= window_) {
      ++underWay_;
      if (!send_()) lost(now);
    }
  }

 private:
  Nanos roundTrip_;
  double most_;
  Send send_;
  double window_ = 2;
  double threshold_ = 1e9;
  double underWay_ = 0;
  Nanos recoversUntil_ = 0;
  std::multimap<Nanos, bool> events_;
};

}  // namespace p2pxbone::gateway::testing
