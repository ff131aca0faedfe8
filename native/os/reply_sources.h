// By which address of this host each peer reaches us. A socket bound to the wildcard address would answer from the address
// that the kernel prefers, and a peer that knows us by another one takes such answers for a stranger's.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>

#include "core/association.h"
#include "core/endpoint.h"
#include "os/underlay.h"

namespace p2pxbone {

// Any thread may call anything at any time; nothing here waits or allocates. A peer that finds its set of the table full
// takes the place of the one that has been silent the longest; to that one, the kernel chooses the source again.
class ReplySources {
 public:
  static constexpr size_t kPeersMax = 8192;
  // Longer than any keep-alive period. An address that vanished without the kernel's refusing it as source
  // (net.ipv6.ip_nonlocal_bind) is not used for ever.
  static constexpr Millis kSilenceMax = 120'000;

  // `seed` keeps others from choosing endpoints that meet in a set.
  explicit ReplySources(uint64_t seed) : seed_(seed) {}

  // A datagram from that peer came to that address of ours.
  void heard(const Endpoint& peer, const HostAddress& local, Millis now);
  // The address to which the peer's last datagram came; nullopt if that is unknown or long ago.
  [[nodiscard]] std::optional<HostAddress> find(const Endpoint& peer, Millis now) const;
  // The kernel no longer takes that address as source.
  void forget(const Endpoint& peer, const HostAddress& local);

 private:
  static constexpr size_t kWays = 4;
  static constexpr size_t kSets = kPeersMax / kWays;
  // What is heard within this time of the last note, and brings nothing new, is not noted.
  static constexpr Millis kNoteEvery = 5'000;

  struct Note {
    Endpoint peer;
    HostAddress local{};
    Millis heardAt = 0;
  };

  // Readers look at `version` before and after: odd while somebody writes, changed if somebody has written meanwhile.
  // A writer that finds another one at work leaves it at that; the peer's next datagram says the same.
  class alignas(64) Entry {
   public:
    [[nodiscard]] std::optional<Note> read() const;
    void write(const Note& note);
    [[nodiscard]] Millis heardAt() const { return static_cast<Millis>(words_[5].load(std::memory_order_relaxed)); }

   private:
    std::atomic<uint64_t> version_{0};
    std::array<std::atomic<uint64_t>, 6> words_{};
  };
  using Set = std::array<Entry, kWays>;

  [[nodiscard]] const Set& setOf(const Endpoint& peer) const { return sets_[keyedHash(peer, seed_) % kSets]; }
  [[nodiscard]] Set& setOf(const Endpoint& peer) { return sets_[keyedHash(peer, seed_) % kSets]; }

  const uint64_t seed_;
  std::unique_ptr<Set[]> sets_ = std::make_unique<Set[]>(kSets);
};

}  // namespace p2pxbone
