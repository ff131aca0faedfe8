#include "gateway/peer_cache.h"

#include <algorithm>
#include <bit>

#include "core/bytes.h"

namespace p2pxbone::gateway {

PeerCache::PeerCache(uint64_t seed, size_t entries) : seed_(seed), entries_(std::bit_ceil(std::max(entries, kWays))) {}

size_t PeerCache::setOf(const Address& address, uint16_t port) const {
  // The seed goes in before each multiplication, so that without it no two keys can be made to meet.
  uint64_t hash = (seed_ ^ loadBe64(address.data())) * 0x9e3779b97f4a7c15ULL;
  hash = (hash ^ (hash >> 32) ^ seed_ ^ loadBe64(&address[8])) * 0xd6e8feb86659fd93ULL;
  hash = (hash ^ (hash >> 32) ^ port) * 0xa0761d6478bd642fULL;
  return (hash >> 32) % (entries_.size() / kWays) * kWays;
}

void PeerCache::learn(const Address& address, uint16_t port, Application application, Millis now, Millis expiry,
                      const Address& other) {
  if (port == 0) return;
  Entry* const set = &entries_[setOf(address, port)];
  Entry* entry = std::find_if(set, set + kWays, [&](const Entry& e) {
    return e.port == port && e.address == address && e.other == other;
  });
  if (entry == set + kWays) {
    entry = std::min_element(set, set + kWays, [](const Entry& a, const Entry& b) { return a.expires < b.expires; });
    if (entry->port != 0 && entry->expires > now) ++evicted_;
  }
  *entry = {address, other, now + expiry, port, application};
}

std::optional<Application> PeerCache::find(const Address& address, uint16_t port, const Address& other,
                                           Millis now) const {
  const Entry* const set = &entries_[setOf(address, port)];
  std::optional<Application> found;
  for (const Entry* entry = set; entry < set + kWays; ++entry) {
    if (entry->port != port || port == 0 || entry->address != address || entry->expires <= now) continue;
    // What was said of these two is better than what was said of one.
    if (entry->other == other) return entry->application;
    if (entry->other == kAnybody) found = entry->application;
  }
  return found;
}

void PeerCache::forget(const Address& address, uint16_t port) {
  Entry* const set = &entries_[setOf(address, port)];
  for (Entry* entry = set; entry < set + kWays; ++entry)
    if (entry->port == port && entry->address == address) *entry = {};
}

}  // namespace p2pxbone::gateway
