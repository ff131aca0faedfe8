// Which application is expected at an address and port: learnt from trackers, the DHT, and transfers that a control
// connection announces. It finds what hides: encrypted peers that nothing else would tell apart from noise. One
// thread's.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/association.h"
#include "core/packet.h"
#include "gateway/application.h"

namespace p2pxbone::gateway {

class PeerCache {
 public:
  static constexpr size_t kWays = 4;
  static constexpr size_t kEntriesDefault = 16'384;
  // Trackers name a peer anew every half hour.
  static constexpr Millis kExpiryDefault = 45 * 60'000;

  // `entries` is rounded up to a power of two. `seed` keeps others from choosing addresses that meet in one set.
  explicit PeerCache(uint64_t seed, size_t entries = kEntriesDefault);

  // Whoever it is that speaks with that address.
  static constexpr Address kAnybody{};

  // Takes the place of the one in its set that expires first. Port 0 is ignored. `other`: who alone is expected there.
  void learn(const Address& address, uint16_t port, Application application, Millis now,
             Millis expiry = kExpiryDefault, const Address& other = kAnybody);
  // What is expected where `other` speaks with that address and port.
  [[nodiscard]] std::optional<Application> find(const Address& address, uint16_t port, const Address& other,
                                                Millis now) const;
  void forget(const Address& address, uint16_t port, const Address& other = kAnybody);

  [[nodiscard]] size_t bytes() const { return entries_.size() * sizeof(Entry); }
  // How many live entries made room for others so far.
  [[nodiscard]] uint64_t evicted() const { return evicted_; }

 private:
  struct Entry {
    Address address{};
    Address other{};
    Millis expires = 0;
    uint16_t port = 0;  // 0 marks a free entry
    Application application = Application::unknown;
  };
  [[nodiscard]] size_t setOf(const Address& address, uint16_t port, const Address& other) const;
  [[nodiscard]] const Entry* entryOf(const Address& address, uint16_t port, const Address& other) const;

  uint64_t seed_;
  uint64_t evicted_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace p2pxbone::gateway
