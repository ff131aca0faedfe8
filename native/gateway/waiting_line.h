// Q2: the packets of a flow's direction that wait for a verdict, in the order in which they came. Those of other flows,
// and of the other direction, never wait for them.
#pragma once

#include "core/counters.h"
#include "gateway/flow.h"
#include "gateway/held_packets.h"

namespace p2pxbone::gateway {

class WaitingLines {
 public:
  struct Counters {
    Counter packets;
    Counter duplicates;
    Counter refused;  // for want of room
  };

  WaitingLines(const Limits& limits, HeldPackets& held) : limits_(limits), held_(held) {}

  // False if there is no room. Also then a copy of it that comes later is known by knows().
  [[nodiscard]] bool push(Flow& flow, Side side, Packet& packet);
  // All of the segment's data stand in the line already, or did when there was no room.
  [[nodiscard]] bool knows(const Flow& flow, Side side, const Packet& packet) const;
  // The first, which is the caller's from now on; kNotHeld if there is none.
  [[nodiscard]] HeldId pop(Flow& flow, Side side);
  void discardAll(Flow& flow, Side side, DropReason reason, Outlet& outlet);

  [[nodiscard]] Counters& counters() { return counters_; }

 private:
  const Limits& limits_;
  HeldPackets& held_;
  Counters counters_;
};

}  // namespace p2pxbone::gateway
