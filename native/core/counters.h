// Counters that one thread writes and any thread reads, without stopping the writer.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "core/reasons.h"

namespace p2pxbone {

// One writer: a plain add, no locked instruction.
class Counter {
 public:
  void add(uint64_t amount = 1) { value_.store(get() + amount, std::memory_order_relaxed); }
  // Of what has been added.
  void takeBack(uint64_t amount) { value_.store(get() - amount, std::memory_order_relaxed); }
  [[nodiscard]] uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// Drops of one thread, by reason.
class alignas(64) DropCounters {
 public:
  void add(DropReason reason, uint64_t amount = 1) { counts_[static_cast<size_t>(reason)].add(amount); }

  void addTo(std::array<uint64_t, kDropReasonCount>& totals) const {
    for (size_t i = 0; i < kDropReasonCount; ++i) totals[i] += counts_[i].get();
  }

 private:
  std::array<Counter, kDropReasonCount> counts_;
};

}  // namespace p2pxbone
