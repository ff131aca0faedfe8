// When a packet leaves a link with a given rate, queue, delay and loss. Sans-I/O: time and the seed are arguments.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/link_shape.h"
#include "core/reasons.h"

namespace p2pxbone {

inline constexpr Nanos kNanosPerSecond = 1'000'000'000;

// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014): small, fast and good enough to
// lose packets by.
class ShapeRandom {
 public:
  explicit ShapeRandom(uint64_t seed) : state_(seed) {}
  [[nodiscard]] uint64_t next();
  // Uniform in [0, 1).
  [[nodiscard]] double share() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  // Uniform in [-width, width].
  [[nodiscard]] Nanos around(Nanos width);

 private:
  uint64_t state_;
};

class LinkModel {
 public:
  explicit LinkModel(uint64_t seed) : random_(seed) {}

  struct Admission {
    // none, shaperLost or shaperFull.
    DropReason reason = DropReason::none;
    Nanos due = 0;
    // It skips the delay and may leave before packets that came earlier. Among themselves, such packets keep their
    // order, and so do all others: the due times of each kind never decrease.
    bool skipsDelay = false;
  };
  // The shape is a completed one (link_shape.h). It may be another one with each packet: the due times of earlier packets
  // stay, and later ones keep behind them.
  [[nodiscard]] Admission admit(const LinkShape& shape, size_t bytes, Nanos now);

 private:
  // Moves `at` to when the rate lets the packet go; false if the queue is full.
  [[nodiscard]] bool passRate(const LinkShape& shape, size_t bytes, Nanos& at);

  ShapeRandom random_;
  // The token bucket as a virtual clock: the time up to which the rate's tokens are spent. Not after `now`: the bucket
  // holds the tokens of the time since; after it: so much is waiting.
  Nanos spentUntil_ = 0;
  // What division has left over, in bits times nanoseconds per second, so that no rate drifts.
  uint64_t remainder_ = 0;
  Nanos lastRated_ = 0;
  Nanos lastDue_ = 0;
};

}  // namespace p2pxbone
