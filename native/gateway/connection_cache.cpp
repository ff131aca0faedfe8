#include "gateway/connection_cache.h"

#include <algorithm>
#include <limits>

namespace p2pxbone::gateway {
namespace {

constexpr Millis kFree = std::numeric_limits<Millis>::min();

}  // namespace

ConnectionCache::ConnectionCache(uint32_t connections, const HashSeed& seed)
    : sets_(std::bit_ceil(std::max(1U, (connections + kWays - 1) / kWays))), hash_(seed) {
  entries_ = std::make_unique<Entry[]>(size_t{sets_} * kWays);
  clear();
}

void ConnectionCache::clear() { std::fill_n(entries_.get(), size_t{sets_} * kWays, Entry{kFree, 0, {}}); }

ConnectionCache::Entry* ConnectionCache::setOf(const DeniedConnection& connection) const {
  KeyedHash hash = hash_;
  hash.add(connection.source).add(connection.destination);
  hash.add(uint64_t{connection.destinationPort} << 8 | connection.protocol);
  return &entries_[(hash.finish() & (sets_ - 1)) * kWays];
}

ConnectionCache::Entry* ConnectionCache::findEntry(const DeniedConnection& connection) const {
  Entry* set = setOf(connection);
  Entry* found = std::find_if(set, set + kWays, [&](const Entry& entry) {
    return entry.until != kFree && entry.connection == connection;
  });
  return found == set + kWays ? nullptr : found;
}

void ConnectionCache::deny(const DeniedConnection& connection, uint32_t rule, Millis now, Millis until) {
  if (until <= now) return;
  if (Entry* known = findEntry(connection)) {
    const bool alive = known->until > now;
    (alive ? counters_.extended : counters_.denied).add();
    *known = {alive ? std::max(known->until, until) : until, rule, connection};
    return;
  }
  Entry* set = setOf(connection);
  Entry* place = std::min_element(set, set + kWays, [](const Entry& a, const Entry& b) { return a.until < b.until; });
  if (place->until > now) counters_.evicted.add();
  counters_.denied.add();
  *place = {until, rule, connection};
}

std::optional<uint32_t> ConnectionCache::find(const DeniedConnection& connection, Millis now) {
  const Entry* entry = findEntry(connection);
  if (entry == nullptr || entry->until <= now) return std::nullopt;
  counters_.hits.add();
  return entry->rule;
}

void ConnectionCache::forget(const DeniedConnection& connection) {
  if (Entry* entry = findEntry(connection)) entry->until = kFree;
}

}  // namespace p2pxbone::gateway
