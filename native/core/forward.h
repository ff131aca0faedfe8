// Decides what happens to a packet and makes it ready to leave. One Forwarder belongs to one thread; what it reads of the
// nodes is immutable or its own lane's.
#pragma once

#include <memory>
#include <span>

#include "core/icmp.h"
#include "core/node.h"
#include "core/pinned_flows.h"
#include "core/ring_id_cache.h"

namespace p2pxbone {

// Where packets leave. Implementations count what they cannot deliver.
class Sink {
 public:
  virtual ~Sink() = default;
  // A whole VXLAN packet for the tunnel's peer. The bytes stay as they are until flush() returns.
  virtual void toTunnel(const Tunnel& tunnel, std::span<const uint8_t> datagram) = 0;
  // An Ethernet frame for the node's TAP. Copied or written before the call returns.
  virtual void toTap(Node& node, std::span<const uint8_t> frame) = 0;
  // Sends everything handed over since the last flush.
  virtual void flush() = 0;
};

class Forwarder {
 public:
  // `seed`: see PinnedFlows. The drop counters and the sink are borrowed.
  Forwarder(Lane lane, uint64_t seed, DropCounters& drops, Sink& sink);

  // `packet` is a VXLAN header's room followed by a frame read from the node's TAP. It may be overwritten, and must stay
  // in place until the sink is flushed.
  void fromTap(Node& node, std::span<uint8_t> packet, Millis now);
  // `packet` is a VXLAN packet as it came from `from`; likewise.
  void fromTunnel(const Directory& directory, const Endpoint& from, std::span<uint8_t> packet, Millis now);
  // The end of a batch: after it the caller may use the packets' memory again.
  void flush();

 private:
  struct Passage {
    Node& node;
    const NodeTables& tables;
    const Tunnel* arrival;  // null: the TAP
    Millis now;
    std::span<uint8_t> packet;  // VXLAN header, Ethernet header, IP packet without padding
    InnerPacket ip;

    [[nodiscard]] std::span<uint8_t> inner() const { return packet.subspan(kEncapsulationBytes); }
  };
  struct Resolved {
    Hop hop;
    bool ring = false;
  };

  void forward(Node& node, const NodeTables& tables, const Tunnel* arrival, std::span<uint8_t> packet, Millis now);
  // Whether a packet with that source may come by that tunnel.
  [[nodiscard]] static DropReason checkSource(const Node& node, const ForwardingImage& image, const Tunnel& arrival,
                                              const InnerPacket& ip);
  [[nodiscard]] Resolved resolve(const Node& node, const ForwardingImage& image, const Address& destination, bool v6);
  // Keeps a TCP connection to a key address where it was begun.
  [[nodiscard]] Hop pinFlow(const Passage& passage, Hop hop);
  void deliver(const Passage& passage, bool ring);
  void sendThrough(const Passage& passage, const Hop& hop);
  void sendFragments(const Passage& passage, const Tunnel& tunnel);
  void transmit(Node& node, const Tunnel& tunnel, std::span<uint8_t> packet);
  void refuse(const Passage& passage, DropReason reason, IcmpError error, uint32_t mtu = 0);
  void answerTap(const Passage& passage, std::span<uint8_t> answer);
  void answerTunnel(const Passage& passage, std::span<uint8_t> answer);
  [[nodiscard]] std::span<uint8_t> scratch(size_t bytes);
  [[nodiscard]] NodeLane& laneOf(Node& node) const { return node.lanes[static_cast<size_t>(lane_)]; }

  // For packets that are made here, until the next flush. Room for the largest packet in the smallest fragments.
  static constexpr size_t kScratchBytes = size_t{256} << 10;

  const Lane lane_;
  DropCounters& drops_;
  Sink& sink_;
  std::unique_ptr<RingIdCache> ringIds_;
  PinnedFlows pinned_;
  std::unique_ptr<uint8_t[]> scratch_;
  size_t scratchUsed_ = 0;
};

}  // namespace p2pxbone
