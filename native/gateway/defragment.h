// Virtual reassembly: fragments wait here until their datagram is complete, which is then inspected whole, and go on in
// order as they came. Overlapping fragments condemn their datagram (RFC 5722, for IPv4 too): its receiver might put it
// together otherwise than we do.
#pragma once

#include <vector>

#include "core/counters.h"
#include "gateway/fragment_view.h"
#include "gateway/hash.h"
#include "gateway/held_packets.h"

namespace p2pxbone::gateway {

class Defragmenter {
 public:
  enum class Outcome : uint8_t {
    waiting,    // copied; the datagram is not complete
    complete,   // `packet` is now the whole datagram, with its fragments as parts
    alone,      // an IPv6 datagram in one single fragment: not to be held at all
    duplicate,  // the same fragment came again; it is to be dropped without further consequences
    refused,    // to be dropped, with its whole datagram; the reason says why
    full,       // no room for it
  };
  struct Result {
    Outcome outcome;
    DropReason reason = DropReason::none;
  };
  struct Counters {
    Counter fragments;
    Counter datagrams;  // completed
    Counter refused;    // datagrams
    Counter timedOut;   // datagrams
  };

  Defragmenter(const Limits& limits, const HashSeed& seed, HeldPackets& held);

  // `packet` is a fragment. The outlet hears of those held before that are dropped with it.
  [[nodiscard]] Result take(Packet& packet, Millis now, Outlet& outlet);
  // Drops what has not become complete in time.
  void timer(Millis now, Outlet& outlet);
  // When timer() has something to do next; nullopt if nothing waits.
  [[nodiscard]] std::optional<Millis> deadline() const;

  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] uint32_t unfinished() const { return unfinished_; }

 private:
  using Index = uint32_t;
  static constexpr Index kNone = 0xffffffff;

  struct Key {
    Address source{};
    Address destination{};
    uint32_t identification = 0;
    uint8_t protocol = 0;  // IPv4 only: the fragments of one IPv6 datagram may name it differently
    bool v6 = false;

    friend bool operator==(const Key&, const Key&) = default;
  };
  struct Piece {
    uint32_t offset;
    uint32_t end;
    HeldId held;
  };
  struct Datagram {
    Key key;
    Millis expires = 0;
    // Sorted, without overlap.
    std::vector<Piece> pieces;
    uint32_t received = 0;  // bytes of data
    std::optional<uint32_t> total;
    bool condemned = false;
    Index nextInBucket = kNone;
    Index older = kNone;
    Index newer = kNone;
  };

  [[nodiscard]] Index& bucketOf(const Key& key);
  [[nodiscard]] Index find(const Key& key);
  [[nodiscard]] Index create(const Key& key, Millis now);
  void remove(Index index);
  [[nodiscard]] Result condemn(Index index, DropReason reason, Outlet& outlet);
  [[nodiscard]] Result complete(Index index, Packet& packet, Outlet& outlet);
  [[nodiscard]] Result insert(Index index, const FragmentView& view, Packet& packet, Outlet& outlet);

  const Limits limits_;
  KeyedHash hash_;
  HeldPackets& held_;
  std::vector<Index> buckets_;
  std::vector<Datagram> datagrams_;
  Index free_ = kNone;
  Index oldest_ = kNone;
  Index newest_ = kNone;
  uint32_t unfinished_ = 0;
  Counters counters_;
};

}  // namespace p2pxbone::gateway
