#include "os/node_gateway.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "core/link_model.h"
#include "os/in_turns.h"
#include "os/thread.h"

namespace p2pxbone {
namespace {

constexpr Nanos kMilli = 1'000'000;
// The thread is not woken for what is due no more than so much before it wakes anyway.
constexpr Nanos kWakeSlack = 50'000;

Nanos nanosNow() { return monotonicMicros() * 1'000; }

constexpr size_t indexOf(Lane lane) { return static_cast<size_t>(lane); }

// What names a packet at the gateway: its lane, how many it stands for, and the tunnel by which it came, if not from the TAP.
struct Tag {
  static constexpr unsigned kLaneBits = 2;
  static constexpr unsigned kPacketBits = 11;

  Lane lane;
  TunnelHandle arrival;
  size_t packets;

  [[nodiscard]] uint64_t encode() const {
    return (arrival << kPacketBits | packets) << kLaneBits | indexOf(lane);
  }
  static Tag decode(uint64_t tag) {
    constexpr uint64_t kPackets = (uint64_t{1} << kPacketBits) - 1;
    const uint64_t rest = tag >> kLaneBits;
    return {static_cast<Lane>(tag & ((1U << kLaneBits) - 1)), rest >> kPacketBits, static_cast<size_t>(rest & kPackets)};
  }
};
static_assert(kSegmentsMax < size_t{1} << Tag::kPacketBits);
static_assert(kLanes <= size_t{1} << Tag::kLaneBits);

std::span<const uint8_t> sourceIn(std::span<const uint8_t> inner) {
  return inner[0] >> 4 == 6 ? inner.subspan(8, 16) : inner.subspan(12, 4);
}

}  // namespace

NodeGateway::NodeGateway(const GatewaySettings& settings, const GatewayRules& rules, const NodeConfig& own,
                         const LaneBells& bells)
    : ownIpv4_(own.ipv4), ownIpv6_(own.ipv6), bells_(bells) {
  if (!wakeup_.valid()) throw std::system_error{EMFILE, std::generic_category()};
  for (const Lane lane : {Lane::underlay, Lane::tap, Lane::shaper}) lines_[indexOf(lane)] = std::make_unique<PartingLine>();
  gateway_ = std::make_unique<Gateway>(settings, rules, static_cast<gateway::Outlet&>(*this), [this] { wakeup_.signal(); });
  thread_ = startThread("p2px-gateway", [this] { loop(); });
}

NodeGateway::~NodeGateway() { stop(); }

void NodeGateway::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  wakeup_.signal();
  thread_.join();
  const std::lock_guard lock{mutex_};
  gateway_.reset();
  for (const auto& line : lines_) {
    while (line != nullptr && line->ready()) drops_.add(DropReason::gatewayFlowGone, line->take().size());
  }
}

TrafficGate::Passed NodeGateway::pass(Lane lane, TunnelHandle arrival, std::span<uint8_t>& inner, const Offload& offload,
                                      size_t packets, Millis now) {
  const std::lock_guard lock{mutex_};
  lane_ = lane;
  atHand_ = inner;
  const auto processed = gateway_->process(inner, offload, Tag{lane, arrival, packets}.encode(), now * kMilli);
  atHand_ = {};
  if (left_ != 0) callOthers(lane);
  Passed passed{Answer::taken, lineOf(lane).ready()};
  switch (processed.verdict.action) {
    case gateway::Verdict::Action::accept:
      passed.answer = processed.changed ? Answer::changed : Answer::goesOn;
      inner = processed.bytes;
      break;
    case gateway::Verdict::Action::drop:
    case gateway::Verdict::Action::reject: drops_.add(processed.verdict.reason, packets); break;
    case gateway::Verdict::Action::hold: break;
  }
  return passed;
}

std::span<const TrafficGate::Parting> NodeGateway::takeReady(Lane lane) {
  const std::lock_guard lock{mutex_};
  return lineOf(lane).take();
}

void NodeGateway::endBatch(Lane lane) {
  const Nanos now = nanosNow();
  bool wakes = false;
  {
    const std::lock_guard lock{mutex_};
    Nanos due = gateway_->nextDue(now);
    if (due <= now) {
      gateway_->poll(now);
      due = gateway_->nextDue(now);
      if (left_ != 0) callOthers(lane);
    }
    wakes = due + kWakeSlack < wakesAt_;
    if (wakes) wakesAt_ = due;
  }
  if (wakes) wakeup_.signal();
}

void NodeGateway::settle(Lane lane) {
  const std::lock_guard lock{mutex_};
  lineOf(lane).settle();
  // By another thread, since the last look.
  if (lineOf(lane).ready()) ring(indexOf(lane));
}

bool NodeGateway::use(const GatewayRules& rules) {
  {
    const std::lock_guard lock{mutex_};
    const bool used = gateway_ != nullptr && gateway_->use(rules, nanosNow());
    callAll();
    if (!used) return false;
  }
  inTurns(mutex_, [this] { return gateway_ != nullptr && gateway_->adapt(); });
  return true;
}

std::shared_ptr<const gateway::Policy> NodeGateway::policy() {
  const std::lock_guard lock{mutex_};
  return gateway_ == nullptr ? nullptr : gateway_->policy();
}

void NodeGateway::useSets(std::shared_ptr<const gateway::Policy> policy) {
  const std::lock_guard lock{mutex_};
  if (gateway_ != nullptr) gateway_->useSets(std::move(policy));
}

std::string NodeGateway::statistics() {
  const std::lock_guard lock{mutex_};
  return gateway_ == nullptr ? std::string{} : gateway_->statistics();
}

std::string NodeGateway::flows(size_t most) {
  FlowSurvey survey{most};
  inTurns(mutex_, [&] { return gateway_ != nullptr && gateway_->survey(survey); });
  return survey.text();
}

void NodeGateway::addDropsTo(std::array<uint64_t, kDropReasonCount>& totals) {
  const std::lock_guard lock{mutex_};
  drops_.addTo(totals);
}

void NodeGateway::release(std::span<uint8_t> bytes, const Offload& offload, uint64_t tag) {
  const Tag of = Tag::decode(tag);
  push(of.lane, bytes, {.packet = {}, .offload = offload, .arrival = of.arrival});
}

void NodeGateway::discard(uint64_t tag, DropReason reason) { drops_.add(reason, Tag::decode(tag).packets); }

void NodeGateway::emit(std::span<uint8_t> bytes) { push(laneOfSender(bytes), bytes, {.packet = {}, .offload = {}, .made = true}); }

void NodeGateway::push(Lane lane, std::span<const uint8_t> bytes, const Parting& about) {
  left_ |= 1U << indexOf(lane);
  if (!lineOf(lane).push(bytes, about)) drops_.add(DropReason::gatewayLineFull);
}

// So that an RST comes behind the data that went before it.
Lane NodeGateway::laneOfSender(std::span<const uint8_t> bytes) const {
  const std::span<const uint8_t> source = sourceIn(bytes);
  if (!atHand_.empty() && std::ranges::equal(source, sourceIn(atHand_))) return lane_;
  const bool own = source.size() == 4 ? std::equal(source.begin(), source.end(), ownIpv4_.begin() + 12)
                                      : std::ranges::equal(source, ownIpv6_);
  return own ? Lane::tap : Lane::underlay;
}

void NodeGateway::callOthers(Lane here) {
  left_ &= ~(1U << indexOf(here));
  callAll();
}

void NodeGateway::callAll() {
  for (size_t lane = 0; left_ != 0; ++lane, left_ >>= 1) {
    if ((left_ & 1) != 0) ring(lane);
  }
}

void NodeGateway::ring(size_t lane) {
  const std::array<const std::shared_ptr<Bell>*, kLanes> bells{&bells_.underlay, &bells_.tap, nullptr, &bells_.shaper};
  static_assert(indexOf(Lane::underlay) == 0 && indexOf(Lane::tap) == 1 && indexOf(Lane::shaper) == 3);
  (*bells[lane])->ring();
}

void NodeGateway::sleep() {
  timespec wait{};
  {
    const std::lock_guard lock{mutex_};
    const Nanos now = nanosNow();
    wakesAt_ = gateway_->nextDue(now);
    const Nanos left = wakesAt_ - now;
    wait = {left / kNanosPerSecond, left % kNanosPerSecond};
  }
  pollfd polled{wakeup_.fd(), POLLIN, 0};
  (void)::ppoll(&polled, 1, &wait, nullptr);
  wakeup_.drain();
}

void NodeGateway::loop() {
  for (;;) {
    sleep();
    const std::lock_guard lock{mutex_};
    if (stopping_) return;
    gateway_->poll(nanosNow());
    callAll();
  }
}

}  // namespace p2pxbone
