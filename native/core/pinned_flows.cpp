#include "core/pinned_flows.h"

#include <algorithm>

#include "core/image.h"

namespace p2pxbone {

PinnedFlows::Entry* PinnedFlows::setOf(const FlowKey& key) {
  const uint64_t ports = (uint64_t{key.sourcePort} << 16) | key.destinationPort;
  uint64_t hash = seed_ ^ (ports << 32) ^ key.node;
  hash = (hash ^ hashAddress(key.source)) * 0x9e3779b97f4a7c15ULL;
  hash = (hash ^ (hash >> 29) ^ hashAddress(key.destination)) * 0xd6e8feb86659fd93ULL;
  return &entries_[(hash >> 40) % kSets * kWays];
}

PinnedFlows::Entry* PinnedFlows::find(const FlowKey& key) {
  Entry* const set = setOf(key);
  Entry* const found = std::find_if(set, set + kWays, [&](const Entry& entry) { return entry.key == key; });
  return found == set + kWays ? nullptr : found;
}

void PinnedFlows::remember(const FlowKey& key, Millis now) {
  used_ = true;
  Entry* entry = find(key);
  if (entry == nullptr) {
    Entry* const set = setOf(key);
    const auto older = [](const Entry& a, const Entry& b) {
      const bool freeA = a.key.node == 0;
      const bool freeB = b.key.node == 0;
      return freeA != freeB ? freeA : a.seen < b.seen;
    };
    entry = std::min_element(set, set + kWays, older);
    entry->key = key;
  }
  entry->seen = now;
}

bool PinnedFlows::refresh(const FlowKey& key, Millis now) {
  Entry* const entry = find(key);
  if (entry == nullptr) return false;
  if (now - entry->seen > kIdleMax) {
    *entry = {};
    return false;
  }
  entry->seen = now;
  return true;
}

void PinnedFlows::forget(const FlowKey& key) {
  if (Entry* const entry = find(key)) *entry = {};
}

}  // namespace p2pxbone
