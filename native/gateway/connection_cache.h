// Remembers for a while which connections were denied, so that the attempts to make them again die here, at the price of
// one look. The source port is ignored: whoever is refused tries again from another one.
#pragma once

#include <memory>
#include <optional>

#include "core/counters.h"
#include "core/millis.h"
#include "gateway/hash.h"

namespace p2pxbone::gateway {

struct DeniedConnection {
  Address source{};
  Address destination{};
  uint16_t destinationPort = 0;
  uint8_t protocol = 0;

  friend bool operator==(const DeniedConnection&, const DeniedConnection&) = default;
};

class ConnectionCache {
 public:
  struct Counters {
    Counter hits;
    Counter denied;    // remembered anew
    Counter extended;  // remembered already, for longer now
    Counter evicted;   // forgotten early for want of room
  };

  // Room for at least so many. A full set gives up what would be forgotten soonest.
  ConnectionCache(uint32_t connections, const HashSeed& seed);

  // Until `until`. `rule` is given back with every hit.
  void deny(const DeniedConnection& connection, uint32_t rule, Millis now, Millis until);
  // The rule it was denied by, if it is.
  [[nodiscard]] std::optional<uint32_t> find(const DeniedConnection& connection, Millis now);
  // For a policy that no longer denies it.
  void forget(const DeniedConnection& connection);
  void clear();

  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] size_t memoryBytes() const { return size_t{sets_} * kWays * sizeof(Entry); }

 private:
  static constexpr uint32_t kWays = 8;
  struct Entry {
    Millis until;  // in the past: free
    uint32_t rule;
    DeniedConnection connection;
  };
  [[nodiscard]] Entry* setOf(const DeniedConnection& connection) const;
  [[nodiscard]] Entry* findEntry(const DeniedConnection& connection) const;

  uint32_t sets_;
  KeyedHash hash_;
  std::unique_ptr<Entry[]> entries_;
  Counters counters_;
};

}  // namespace p2pxbone::gateway
