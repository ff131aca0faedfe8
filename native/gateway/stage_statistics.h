// What each stage costs: packets always, time for one packet in 64, so that it is cheap enough to be always on.
#pragma once

#include <cstdint>

#include "core/counters.h"

namespace p2pxbone::gateway {

struct StageStatistics {
  Counter packets;      // or chunks
  Counter stopped;      // dropped, rejected or held here
  Counter samples;
  Counter nanoseconds;  // of the samples
};

// Reads time only for packets that are sampled. The source is the caller's; without one nothing is sampled.
class StageClock {
 public:
  using Source = uint64_t (*)();  // nanoseconds from any origin

  explicit StageClock(Source source) : source_(source) {}

  // A packet begins.
  void begin() {
    sampling_ = source_ != nullptr && ++packets_ % kEvery == 0;
    if (sampling_) last_ = source_();
  }
  // Time since begin() or the last lap goes to this stage.
  void lap(StageStatistics& stage) {
    stage.packets.add();
    if (sampling_) sample(stage);
  }
  [[nodiscard]] bool sampling() const { return sampling_; }

 private:
  static constexpr uint32_t kEvery = 64;
  void sample(StageStatistics& stage) {
    const uint64_t now = source_();
    stage.samples.add();
    stage.nanoseconds.add(now - last_);
    last_ = now;
  }

  Source source_;
  uint32_t packets_ = 0;
  bool sampling_ = false;
  uint64_t last_ = 0;
};

}  // namespace p2pxbone::gateway
