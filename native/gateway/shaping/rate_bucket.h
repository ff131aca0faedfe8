// A token bucket that owes: a packet may go when nothing is owed, whatever its size, and the next when that has been paid.
// So at most the burst and one packet go beyond the rate, in any span of time. Exact: no rate drifts by rounding.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/link_shape.h"

namespace p2pxbone::gateway {

inline constexpr uint64_t kBitRateMax = 100'000'000'000;
inline constexpr uint64_t kBurstBytesMax = 100'000'000;

class RateBucket {
 public:
  // Full at `now`. The rate is of bits a second, 1 to kBitRateMax; bursts are bytes up to kBurstBytesMax.
  RateBucket(uint64_t rate, uint64_t burst, Nanos now)
      : rate_(static_cast<int64_t>(rate)), level_(unitsOf(burst)), filled_(now) {}

  // Adds what time has brought, up to so many bytes. Time that runs backwards brings nothing.
  void refill(uint64_t burst, Nanos now) {
    const int64_t full = unitsOf(burst);
    const Nanos elapsed = std::max<Nanos>(0, now - filled_);
    filled_ = std::max(filled_, now);
    if (elapsed > (full - level_) / rate_) {
      level_ = full;
    } else {
      level_ += elapsed * rate_;
    }
  }
  void spend(uint64_t bytes) { level_ -= unitsOf(bytes); }
  void setRate(uint64_t rate) { rate_ = static_cast<int64_t>(rate); }

  [[nodiscard]] bool open() const { return level_ >= 0; }
  // As of the last refill.
  [[nodiscard]] Nanos opensAt() const { return open() ? filled_ : filled_ + (-level_ + rate_ - 1) / rate_; }

 private:
  // Bits times nanoseconds a second.
  [[nodiscard]] static int64_t unitsOf(uint64_t bytes) { return static_cast<int64_t>(bytes * 8 * 1'000'000'000); }

  int64_t rate_;
  int64_t level_;
  Nanos filled_;
};

}  // namespace p2pxbone::gateway
