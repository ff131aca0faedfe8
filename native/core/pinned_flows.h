// TCP connections to key addresses that were served here: they stay here when the key's range moves to another node, so
// that a leaving node can finish them while new ones already go to its successor. The new owner knows by it which ones are
// its own. One thread's.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/association.h"
#include "core/packet.h"

namespace p2pxbone {

struct FlowKey {
  uint32_t node = 0;  // serial number of the virtual node; 0 marks a free entry
  uint16_t sourcePort = 0;
  uint16_t destinationPort = 0;
  Address source{};
  Address destination{};

  friend bool operator==(const FlowKey&, const FlowKey&) = default;
};

class PinnedFlows {
 public:
  static constexpr size_t kSets = 1024;
  static constexpr size_t kWays = 4;
  static constexpr Millis kIdleMax = 30'000;

  // `seed` keeps others from choosing ports that meet in one set.
  explicit PinnedFlows(uint64_t seed) : seed_(seed), entries_(kSets * kWays) {}

  // Remembers the flow, or that it is still alive. Takes the place of the one unused for longest in its set.
  void remember(const FlowKey& key, Millis now);
  // Whether the flow is remembered and was seen within the idle limit; keeps it alive.
  [[nodiscard]] bool refresh(const FlowKey& key, Millis now);
  void forget(const FlowKey& key);
  // False only if no flow has ever been remembered, so that most nodes do not pay for a lookup.
  [[nodiscard]] bool used() const { return used_; }

 private:
  struct Entry {
    FlowKey key;
    Millis seen = 0;
  };
  [[nodiscard]] Entry* setOf(const FlowKey& key);
  [[nodiscard]] Entry* find(const FlowKey& key);

  uint64_t seed_;
  bool used_ = false;
  std::vector<Entry> entries_;
};

}  // namespace p2pxbone
