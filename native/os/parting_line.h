// Packets that a gate lets go, in order, until the thread that they came by has sent them: a bounded queue in one piece of
// memory, whose taken packets stay in place until they are settled.
#pragma once

#include <memory>
#include <span>

#include "core/traffic_gate.h"

namespace p2pxbone {

// Guarded by its owner's lock, but for the packets that take() has returned: those are the taker's.
class PartingLine {
 public:
  // What the gateway lets go at once is a few hundred packets; pages that no packet reaches are never touched.
  static constexpr size_t kBytesMax = size_t{8} << 20;
  static constexpr size_t kPacketsMax = 8192;

  PartingLine();

  // Copies the IP packet; false if there is no room.
  [[nodiscard]] bool push(std::span<const uint8_t> inner, const TrafficGate::Parting& about);
  // Some of those not yet taken, oldest first; none if all are.
  [[nodiscard]] std::span<const TrafficGate::Parting> take();
  // What has been taken may be overwritten.
  void settle();
  [[nodiscard]] bool ready() const { return taken_ != written_; }
  // Not yet taken.
  [[nodiscard]] size_t count() const { return static_cast<size_t>(written_ - taken_); }

 private:
  // Positions grow for ever; the place in memory is the position modulo its size.
  std::unique_ptr<uint8_t[]> memory_;
  std::unique_ptr<TrafficGate::Parting[]> entries_;
  std::unique_ptr<uint64_t[]> ends_;  // in memory, of each entry
  uint64_t written_ = 0;
  uint64_t taken_ = 0;
  uint64_t settled_ = 0;
  uint64_t bytesWritten_ = 0;
  uint64_t bytesSettled_ = 0;
};

}  // namespace p2pxbone
