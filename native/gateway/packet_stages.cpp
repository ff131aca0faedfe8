#include "gateway/packet_stages.h"

#include <cassert>

namespace p2pxbone::gateway {

void PacketStages::add(PacketStage& stage) {
  assert(stages_.size() < kMost);
  stages_.push_back(&stage);
}

Verdict PacketStages::pass(Flow& flow, Side side, Packet& packet, Millis now, HeldId held) {
  if (!flow.watched) return Verdict::accept();
  const PacketContext context{flow, side, now * kNanosPerMilli, custody_, held};
  for (size_t i = 0; i < stages_.size(); ++i) {
    const Verdict verdict = stages_[i]->packet(context, packet);
    clock_.lap(statistics_[i]);
    if (verdict.goesOn()) continue;
    statistics_[i].stopped.add();
    return verdict;
  }
  return Verdict::accept();
}

std::optional<Nanos> PacketStages::nextDue() const {
  std::optional<Nanos> first;
  for (const PacketStage* stage : stages_) {
    const std::optional<Nanos> due = stage->nextDue();
    if (due && (!first || *due < *first)) first = due;
  }
  return first;
}

void PacketStages::depart(Nanos now) {
  for (PacketStage* stage : stages_) stage->depart(custody_, now);
}

void PacketStages::deny(const Flow& flow, DropReason reason) {
  if (!flow.watched) return;
  for (PacketStage* stage : stages_) stage->denied(custody_, flow, reason);
}

void PacketStages::shutdown() {
  for (PacketStage* stage : stages_) stage->shutdown(custody_, DropReason::gatewayFlowGone);
}

}  // namespace p2pxbone::gateway
