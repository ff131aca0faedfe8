// The tunnels of one virtual node, immutable; a change makes a new table. The packet path finds a tunnel by its handle
// (outwards) or by what a received frame says (inwards).
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "core/counters.h"
#include "core/endpoint.h"
#include "core/image.h"
#include "core/link_shape.h"
#include "core/record_sealer.h"
#include "core/vxlan.h"

namespace p2pxbone {

inline constexpr size_t kTunnelsPerNodeMax = 4096;

// Which thread does the work: each has its own counters and limits, so none is shared between writers.
enum class Lane : uint8_t { underlay, tap, writer, shaper };
inline constexpr size_t kLanes = 4;

// Inner IP packets, and their bytes without the Ethernet header. Those are counted as out that are handed over to leave;
// whoever cannot send them takes them back and counts them as dropped, so that none is both.
struct alignas(64) TunnelLane {
  Counter packetsOut;
  Counter bytesOut;
  Counter packetsIn;
  Counter bytesIn;
};

struct TunnelStats {
  std::array<TunnelLane, kLanes> lanes;
};

struct Tunnel {
  TunnelHandle handle = 0;
  Endpoint peer;
  Mac peerMac{};
  // Largest inner IP packet, bytes.
  size_t innerMtu = 0;
  // Null: plain. Otherwise user data passes only inside this association's records, both ways.
  std::shared_ptr<const SecureChannel> channel;
  // Outlives the entry: a changed tunnel keeps its counters.
  std::shared_ptr<TunnelStats> stats;
  // Null: packets do not wait. Otherwise complete (link_shape.h).
  std::shared_ptr<const TunnelShape> shape = nullptr;
};

// What a record adds, with the cipher that adds most: the keys may not be there yet, or change.
inline constexpr size_t kRecordBytes = recordRoomBytes(0);

// Largest inner IP packet that fits a UDP payload of this size.
[[nodiscard]] constexpr size_t innerMtuOf(size_t payloadBytes) { return payloadBytes - kEncapsulationBytes; }

class TunnelTable {
 public:
  // Owned by the control side: the working copy from which each published table is made.
  [[nodiscard]] const Tunnel* find(TunnelHandle handle) const;
  // The tunnel, plain or secure, whose peer has that endpoint and MAC address.
  [[nodiscard]] const Tunnel* match(const Endpoint& from, const Mac& source) const;
  // The secure tunnel whose frames come out of that channel with that source MAC address.
  [[nodiscard]] const Tunnel* match(const SecureChannel& channel, const Mac& source) const;

  // The handle given, or 0 if the table is full. Serial numbers make handles of one slot differ.
  [[nodiscard]] TunnelHandle add(uint64_t serial, const Endpoint& peer, const Mac& peerMac, size_t innerMtu);
  [[nodiscard]] bool update(TunnelHandle handle, const Endpoint& peer, size_t innerMtu);
  [[nodiscard]] bool reshape(TunnelHandle handle, std::shared_ptr<const TunnelShape> shape);
  // Null makes it plain. The MTU changes with what a record takes.
  [[nodiscard]] bool secure(TunnelHandle handle, std::shared_ptr<const SecureChannel> channel);
  [[nodiscard]] bool remove(TunnelHandle handle);
  [[nodiscard]] const std::vector<Tunnel>& slots() const { return slots_; }

 private:
  void index();
  void insert(size_t hash, size_t slot);

  std::vector<Tunnel> slots_;  // handle 0 marks a free one
  std::vector<uint32_t> buckets_;
};

}  // namespace p2pxbone
