#include "os/queue_gateway.h"

#include <poll.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "core/link_model.h"
#include "gateway/audit/json_writer.h"
#include "gateway/checks.h"
#include "gateway/rewrite.h"
#include "os/in_turns.h"
#include "os/thread.h"

namespace p2pxbone {
namespace {

// Batches of packets before everything else has its turn.
constexpr int kBatchesMax = 8;

Nanos nanosNow() { return monotonicMicros() * 1'000; }

}  // namespace

QueueGateway::QueueGateway(const NetfilterQueue::Settings& queue, const GatewaySettings& settings, const GatewayRules& rules)
    : queue_(queue) {
  if (!wakeup_.valid()) throw std::system_error{EMFILE, std::generic_category()};
  gateway_ = std::make_unique<Gateway>(settings, rules, static_cast<gateway::Outlet&>(*this), [this] { wakeup_.signal(); });
  thread_ = startThread("p2px-gateway", [this] { loop(); });
}

QueueGateway::~QueueGateway() { stop(); }

void QueueGateway::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  wakeup_.signal();
  thread_.join();
  const std::lock_guard lock{mutex_};
  gateway_.reset();
}

bool QueueGateway::use(const GatewayRules& rules) {
  {
    const std::lock_guard lock{mutex_};
    if (gateway_ == nullptr || !gateway_->use(rules, nanosNow())) return false;
  }
  inTurns(mutex_, [this] { return gateway_ != nullptr && gateway_->adapt(); });
  return true;
}

std::string QueueGateway::statistics() {
  const std::lock_guard lock{mutex_};
  return gateway_ == nullptr ? std::string{} : gateway_->statistics();
}

std::string QueueGateway::flows(size_t most) {
  FlowSurvey survey{most};
  inTurns(mutex_, [&] { return gateway_ != nullptr && gateway_->survey(survey); });
  return survey.text();
}

std::string QueueGateway::queueStatistics() {
  const std::lock_guard lock{mutex_};
  std::array<char, 1024> text{};
  gateway::JsonWriter json{text};
  json.open();
  json.number("packets", queue_.counters().packets);
  json.number("overruns", queue_.counters().overruns);
  json.number("unknown", queue_.counters().unknown);
  json.number("cut", queue_.counters().cut);
  json.number("unsent", unsent_);
  json.close();
  return {text.data(), json.size()};
}

void QueueGateway::release(std::span<uint8_t> bytes, const Offload& offload, uint64_t tag) {
  replace(static_cast<uint32_t>(tag), gateway_ == nullptr ? 0 : gateway_->markOf(bytes), bytes, offload);
}

void QueueGateway::discard(uint64_t tag, DropReason) { queue_.drop(static_cast<uint32_t>(tag)); }

void QueueGateway::emit(std::span<uint8_t> bytes) {
  if (!sender_.send(bytes)) ++unsent_;
}

void QueueGateway::replace(uint32_t id, uint32_t mark, std::span<uint8_t> bytes, const Offload& offload) {
  gateway::Packet packet;
  const bool readable = offload.needsChecksum && gateway::parsePacket(bytes, offload, 0, packet) == DropReason::none &&
                        gateway::checkTransport(packet) == DropReason::none;
  if (readable) {
    packet.offload.needsChecksum = false;
    packet.rewritten = true;
    gateway::finishRewrite(packet);
  }
  queue_.accept(id, mark, bytes);
}

void QueueGateway::take(const NetfilterQueue::Arrival& arrival, Nanos now) {
  Offload offload;
  offload.needsChecksum = arrival.needsChecksum;
  using Action = gateway::Verdict::Action;
  const auto processed = gateway_->process(arrival.bytes, offload, arrival.id, now);
  switch (processed.verdict.action) {
    case Action::accept:
      if (processed.changed) return replace(arrival.id, processed.mark, processed.bytes, offload);
      return queue_.accept(arrival.id, processed.mark);
    case Action::drop:
    case Action::reject: return queue_.drop(arrival.id);
    case Action::hold: return;
  }
}

void QueueGateway::sleep() {
  timespec wait{};
  {
    const std::lock_guard lock{mutex_};
    const Nanos now = nanosNow();
    const Nanos left = gateway_->nextDue(now) - now;
    wait = {left / kNanosPerSecond, left % kNanosPerSecond};
  }
  std::array<pollfd, 2> polled{{{queue_.fd(), POLLIN, 0}, {wakeup_.fd(), POLLIN, 0}}};
  if (::ppoll(polled.data(), polled.size(), &wait, nullptr) > 0 && polled[1].revents != 0) wakeup_.drain();
}

void QueueGateway::loop() {
  for (;;) {
    sleep();
    const std::lock_guard lock{mutex_};
    if (stopping_) return;
    for (int batch = 0; batch < kBatchesMax; ++batch) {
      const Nanos now = nanosNow();
      const size_t count = queue_.receive([this, now](const NetfilterQueue::Arrival& arrival) { take(arrival, now); });
      gateway_->poll(now);
      queue_.flush();
      if (count < NetfilterQueue::kBatch) break;
    }
  }
}

}  // namespace p2pxbone
