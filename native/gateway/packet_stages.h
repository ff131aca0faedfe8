// The stages that see packets as they are about to go on, and what they keep for later.
#pragma once

#include <vector>

#include "gateway/stage_statistics.h"
#include "gateway/stages.h"

namespace p2pxbone::gateway {

class PacketStages {
 public:
  static constexpr size_t kMost = 4;

  PacketStages(const Custody& custody, StageClock& clock) : custody_(custody), clock_(clock) {}

  // Before the first packet; at most kMost.
  void add(PacketStage& stage);
  // Asks them, if the flow is watched. `held` is the packet, if it is in the gateway's memory; with `hold` it is a stage's.
  [[nodiscard]] Verdict pass(Flow& flow, Side side, Packet& packet, Millis now, HeldId held = kNotHeld);

  // When depart() has something to do.
  [[nodiscard]] std::optional<Nanos> nextDue() const;
  void depart(Nanos now);
  // Drops what is kept of the flow.
  void deny(const Flow& flow, DropReason reason);
  // Drops all that is kept.
  void shutdown();

  [[nodiscard]] const Custody& custody() const { return custody_; }
  // Calls each(name, const StageStatistics&) in their order.
  template <typename Each>
  void forEach(Each&& each) const {
    for (size_t i = 0; i < stages_.size(); ++i) each(stages_[i]->name(), statistics_[i]);
  }

 private:
  Custody custody_;
  StageClock& clock_;
  std::vector<PacketStage*> stages_;
  std::array<StageStatistics, kMost> statistics_;
};

}  // namespace p2pxbone::gateway
