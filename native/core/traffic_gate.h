// What a node's traffic passes before it is carried on: a management gateway, of which the packet path knows only this.
#pragma once

#include <cstdint>
#include <span>

#include "core/image.h"
#include "core/millis.h"
#include "core/offload.h"
#include "core/tunnel_table.h"

namespace p2pxbone {

// Each direction of a flow arrives by one thread, and all of its packets leave by that thread, those included that have
// waited in the gate: so their order is kept, and what the thread remembers of the flow (core/pinned_flows.h) holds.
class TrafficGate {
 public:
  enum class Answer : uint8_t {
    goesOn,
    changed,  // goes on, other than it came, perhaps shorter
    taken,    // waits in the gate, or has been dropped and counted
  };
  struct Passed {
    Answer answer = Answer::goesOn;
    // Others are to go on before it: takeReady() first.
    bool othersFirst = false;
  };
  // A packet that goes on now: room for a VXLAN header, the frame's header with the IP version's type, the IP packet.
  struct Parting {
    std::span<uint8_t> packet;
    Offload offload;
    TunnelHandle arrival = 0;  // 0: the TAP
    bool made = false;         // by the gate itself, in the name of somebody else
  };

  virtual ~TrafficGate() = default;

  // All of these are called by the lane's own thread. `inner` begins with the IP header, is well-formed, and may be
  // overwritten; with an answer other than `taken` it is what goes on. With `goesOn` it is as it came: the caller may let
  // that go on of which it has made `inner`. Drops count as the packets that `packets` says.
  [[nodiscard]] virtual Passed pass(Lane lane, TunnelHandle arrival, std::span<uint8_t>& inner, const Offload& offload,
                                    size_t packets, Millis now) = 0;
  // The next packets of this lane, oldest first, or none. They may be overwritten, and stay in place until settle().
  [[nodiscard]] virtual std::span<const Parting> takeReady(Lane lane) = 0;
  // At a batch's end, before the last takeReady() of it: what may go on by now becomes ready.
  virtual void endBatch(Lane lane) = 0;
  // What has been taken has left.
  virtual void settle(Lane lane) = 0;
};

}  // namespace p2pxbone
