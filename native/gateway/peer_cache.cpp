#include "gateway/peer_cache.h"

#include <algorithm>
#include <bit>

#include "core/bytes.h"

namespace p2pxbone::gateway {

PeerCache::PeerCache(uint64_t seed, size_t entries) : seed_(seed), entries_(std::bit_ceil(std::max(entries, kWays))) {}

size_t PeerCache::setOf(const Address& address, uint16_t port, const Address& other) const {
  // The seed goes in before each multiplication, so that without it no two keys can be made to meet.
  uint64_t hash = seed_;
  for (const uint64_t word : {loadBe64(address.data()), loadBe64(&address[8]), loadBe64(other.data()), loadBe64(&other[8])})
    hash = (hash ^ (hash >> 32) ^ seed_ ^ word) * 0x9e3779b97f4a7c15ULL;
  hash = (hash ^ (hash >> 32) ^ port) * 0xa0761d6478bd642fULL;
  return (hash >> 32) % (entries_.size() / kWays) * kWays;
}

const PeerCache::Entry* PeerCache::entryOf(const Address& address, uint16_t port, const Address& other) const {
  const Entry* const set = &entries_[setOf(address, port, other)];
  const Entry* const found = std::find_if(set, set + kWays, [&](const Entry& entry) {
    return entry.port == port && entry.address == address && entry.other == other;
  });
  return found == set + kWays || port == 0 ? nullptr : found;
}

void PeerCache::learn(const Address& address, uint16_t port, Application application, Millis now, Millis expiry,
                      const Address& other) {
  if (port == 0) return;
  const Entry* entry = entryOf(address, port, other);
  if (entry == nullptr) {
    const Entry* const set = &entries_[setOf(address, port, other)];
    entry = std::min_element(set, set + kWays, [](const Entry& a, const Entry& b) { return a.expires < b.expires; });
    if (entry->port != 0 && entry->expires > now) ++evicted_;
  }
  entries_[static_cast<size_t>(entry - entries_.data())] = {address, other, now + expiry, port, application};
}

std::optional<Application> PeerCache::find(const Address& address, uint16_t port, const Address& other,
                                           Millis now) const {
  // What was said of these two is better than what was said of one.
  for (const Address& with : {other, kAnybody}) {
    const Entry* const entry = entryOf(address, port, with);
    if (entry != nullptr && entry->expires > now) return entry->application;
  }
  return std::nullopt;
}

void PeerCache::forget(const Address& address, uint16_t port, const Address& other) {
  const Entry* const entry = entryOf(address, port, other);
  if (entry != nullptr) entries_[static_cast<size_t>(entry - entries_.data())] = {};
}

}  // namespace p2pxbone::gateway
