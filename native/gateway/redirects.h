// Connections that go to another end than their client has called: their packets are sent there, and the answers look as if
// they came from the end that was called. Everything between the two, flows and rules included, knows only that end.
//
// A connection is redirected from its first packet on or not at all. It is known here by itself, and not by its flow, as
// there is no flow yet while TCP shakes hands.
#pragma once

#include <array>
#include <functional>
#include <unordered_map>
#include <vector>

#include "core/counters.h"
#include "core/millis.h"
#include "gateway/flow.h"
#include "gateway/limits.h"
#include "gateway/packet.h"

namespace p2pxbone::gateway {

struct RedirectTarget {
  Address address{};
  uint16_t port = 0;  // 0: that of the packet
};

class Redirects {
 public:
  struct Counters {
    Counter begun;
    Counter refused;  // that should have been redirected and could not be; and packets that would have been mistaken
    Counter evicted;  // unfinished ones, for want of room
  };
  enum class Outcome : uint8_t {
    redirected,
    // It goes where it would have gone anyway, or comes from the target itself, which must be able to go on.
    asItIs,
    // No room, another family than the target's, or a datagram in fragments.
    refused,
  };

  Redirects(const Limits& limits, const HashSeed& seed);

  // Whether such a flow is known: what is redirected must not look like another connection of the same client.
  void avoid(std::function<bool(const FlowKey&)> inUse) { inUse_ = std::move(inUse); }

  // The first packet of a connection that is to go to the target, or the same one again.
  [[nodiscard]] Outcome begin(const Packet& packet, const RedirectTarget& target, Millis now);
  // The first packet of one that is not.
  void forget(const Packet& packet);
  // The connection has ended.
  void over(const Flow& flow);

  // What a packet that comes in is. An answer is made one of the end that was called.
  enum class Arrival : uint8_t { other, answer, refused };
  [[nodiscard]] Arrival arrive(Packet& packet, Millis now);
  // Sends a packet of a redirected connection to its target. Whether it is one.
  bool leave(Packet& packet);
  // A packet from the client, as it came in; a flow.
  [[nodiscard]] bool concerns(const Packet& packet) const;
  [[nodiscard]] bool concerns(const Flow& flow) const;
  // The flow of a packet as it left.
  [[nodiscard]] FlowKey flowOf(const Packet& left) const;

  void timer(Millis now);

  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] size_t size() const { return called_.size(); }

 private:
  struct End {
    Address address{};
    uint16_t port = 0;
    friend bool operator==(const End&, const End&) = default;
  };
  // As a packet has them.
  struct Way {
    End from;
    End to;
    uint8_t protocol = 0;
    friend bool operator==(const Way&, const Way&) = default;
  };
  struct WayHash {
    HashSeed seed;
    size_t operator()(const Way& way) const;
  };
  // In the order in which they are given up.
  enum class State : uint8_t { fresh, datagrams, connected };
  static constexpr size_t kStates = 3;
  static constexpr uint32_t kNone = 0xffffffff;
  struct Entry {
    End client;
    End called;
    End target;
    uint16_t shownPort = 0;  // of the client, to the target
    uint8_t protocol = 0;
    State state = State::fresh;
    bool answered = false;
    Millis used = 0;
    uint32_t older = kNone;
    uint32_t newer = kNone;  // or the next free one
  };
  struct List {
    uint32_t oldest = kNone;
    uint32_t newest = kNone;
  };

  [[nodiscard]] static Way wayOf(const Packet& packet);
  [[nodiscard]] static Way wayOf(const Flow& flow);
  [[nodiscard]] static Way reversed(const Way& way) { return {way.to, way.from, way.protocol}; }
  [[nodiscard]] static Way calledBy(const Entry& entry) { return {entry.client, entry.called, entry.protocol}; }
  [[nodiscard]] static Way answersOf(const Entry& entry) {
    return {entry.target, {entry.client.address, entry.shownPort}, entry.protocol};
  }
  [[nodiscard]] bool isFree(const Entry& entry) const;
  // Under which the target sees the client; false if all that were tried are taken.
  [[nodiscard]] bool choosePort(Entry& entry) const;
  [[nodiscard]] uint32_t takeEntry();
  void enlist(uint32_t index, State state, Millis now);
  void delist(uint32_t index);
  void remove(uint32_t index);

  const uint32_t most_;
  const std::array<Millis, kStates> timeouts_;
  std::function<bool(const FlowKey&)> inUse_;
  std::vector<Entry> entries_;  // grows to its bound and never shrinks
  uint32_t free_ = kNone;
  std::unordered_map<Way, uint32_t, WayHash> called_;   // what clients send
  std::unordered_map<Way, uint32_t, WayHash> answers_;  // what targets send
  std::array<List, kStates> lists_;
  Millis now_ = 0;
  Counters counters_;
};

}  // namespace p2pxbone::gateway
