// Decides what happens to a packet and makes it ready to leave. One Forwarder belongs to one thread; what it reads of the
// nodes is immutable or its own lane's.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/datagram_run.h"
#include "core/gate_run.h"
#include "core/icmp.h"
#include "core/node.h"
#include "core/offload.h"
#include "core/pinned_flows.h"
#include "core/ring_id_cache.h"
#include "core/shaper_inlet.h"

namespace p2pxbone {

// An Ethernet frame on its way to a TAP. It may be overwritten, and stays in place until the sink is flushed.
struct ToTap {
  std::span<uint8_t> frame;
  // What the frame holds, without padding, if that may be joined with others of its flow; null otherwise.
  const InnerPacket* joinable = nullptr;
  // What our own kernel left undone, which it can do without when it gets the frame back.
  Offload offload;
  // That the frame stands for.
  size_t packets = 1;
};

// Where packets leave. Implementations count what they cannot deliver.
class Sink {
 public:
  virtual ~Sink() = default;
  // Whole VXLAN packets for the tunnel's peer, to be sent in this order. The bytes stay as they are until flush() returns.
  virtual void toTunnel(const Tunnel& tunnel, ConstDatagramRun run) = 0;
  virtual void toTap(Node& node, const ToTap& packet) = 0;
  // Sends everything handed over since the last flush.
  virtual void flush() = 0;
};

class Forwarder {
 public:
  // `seed`: see PinnedFlows. The drop counters and the sink are borrowed.
  Forwarder(Lane lane, uint64_t seed, DropCounters& drops, Sink& sink);

  // `packet` is a VXLAN header's room followed by a frame read from the node's TAP. It may be overwritten, and must stay
  // in place until the sink is flushed. A super-packet is decided on once and leaves as the packets it stands for; all
  // counters count those.
  void fromTap(Node& node, std::span<uint8_t> packet, const Offload& offload, Millis now);
  // `packet` is a VXLAN packet as it came from `from`, out of a record of `channel` or, if that is null, in the clear;
  // likewise.
  void fromTunnel(const Directory& directory, const Endpoint& from, std::span<uint8_t> packet, Millis now,
                  const SecureChannel* channel = nullptr);
  // `packet` has waited on that link. `out`: it leaves. `in`: it goes on from where fromTunnel() took it aside.
  void fromShaper(const Directory& directory, const ShapedLink& link, std::span<uint8_t> packet, Millis now);
  // Packets of shaped tunnels go there from now on; without it they do not wait. Borrowed.
  void useShaper(ShaperInlet& inlet) { inlet_ = &inlet; }
  // The node's gate may have let packets go that came by this thread: they leave with the next flush.
  void attend(Node& node, Millis now);
  // The end of a batch: after it the caller may use the packets' memory again.
  void flush();

 private:
  struct Passage {
    Node& node;
    const NodeTables& tables;
    const Tunnel* arrival;  // null: the TAP
    Millis now;
    std::span<uint8_t> packet;  // VXLAN header, Ethernet header, IP packet without padding
    const Offload& offload;     // of a packet from the TAP
    const InnerPacket& ip;
    Division division{};
    bool made = false;  // by the gate

    [[nodiscard]] std::span<uint8_t> inner() const { return packet.subspan(kEncapsulationBytes); }
  };
  struct Resolved {
    Hop hop;
    bool ring = false;
  };
  // The last decision of this batch: consecutive packets mostly go the same way. Only for the tables and addresses named.
  struct Decision {
    const NodeTables* tables = nullptr;
    const Tunnel* arrival = nullptr;
    bool v6 = false;
    Address source{};
    Address destination{};
    Resolved resolved;
    const Tunnel* departure = nullptr;  // if the hop is a tunnel that still is there
    // With a gate: whether the source or the destination may be a P2P daemon's.
    bool fromDaemon = false;
    bool toDaemon = false;

    [[nodiscard]] bool holdsFor(const NodeTables& now, const Tunnel* from, const InnerPacket& ip) const {
      return tables == &now && arrival == from && v6 == ip.v6 && source == ip.source && destination == ip.destination;
    }
  };
  // Likewise, which tunnel datagrams with these first bytes come by.
  struct Arrival {
    Node* node = nullptr;
    const NodeTables* tables = nullptr;
    const Tunnel* tunnel = nullptr;
    Endpoint from;
    const SecureChannel* channel = nullptr;
    std::array<uint8_t, kVxlanBytes + 12> head{};
  };

  // A gate that has been asked in this batch.
  struct Visit {
    Node* node;
    TrafficGate* gate;
    Millis now;
  };

  [[nodiscard]] DropReason findArrival(const Directory& directory, const Endpoint& from, const SecureChannel* channel,
                                       std::span<const uint8_t> packet);
  void forward(Node& node, const NodeTables& tables, const Tunnel* arrival, std::span<uint8_t> packet,
               const Offload& offload, Millis now);
  // What follows once the packet may go on. It has been decided on.
  void carry(const Passage& passage);
  // Asks the node's gate. `inner`: the packet without its encapsulation, which the gate may shorten. If it is taken,
  // decision_ may be about another packet afterwards.
  [[nodiscard]] TrafficGate::Answer passGate(Node& node, const NodeTables& tables, const Tunnel* arrival,
                                             std::span<uint8_t>& inner, const Offload& offload, InnerPacket& ip,
                                             Division& division, Millis now);
  // Whether it is what a P2P daemon says to a neighbour's. It has been decided on.
  [[nodiscard]] bool isDaemons(const NodeTables& tables, const InnerPacket& ip) const;
  // Lets the packet wait for others of its flow that the gate can be asked about at once, or asks about it.
  void gather(const GateRun::Way& way, std::span<uint8_t> packet, const InnerPacket& ip);
  void askAboutOne(const GateRun::Way& way, std::span<uint8_t> packet, InnerPacket ip);
  // Asks about what waits, which then is no more.
  void askAboutRun();
  void askAboutWhole(GateRun::Whole whole);
  void visit(Node& node, TrafficGate& gate, Millis now);
  void leaveGates();
  void settleGates();
  void carryReady(const Visit& visit);
  // A packet that the gate lets go: routed by what holds now.
  void carryParting(Node& node, const TrafficGate::Parting& parting, Millis now);
  // Parses, and tells how a super-packet is divided.
  [[nodiscard]] static DropReason readPacket(std::span<const uint8_t> packet, const Offload& offload, InnerPacket& ip,
                                             Division& division);
  // Makes decision_ the one for this packet.
  [[nodiscard]] DropReason decide(const Node& node, const NodeTables& tables, const Tunnel* arrival, const InnerPacket& ip);
  // Whether a packet with that source may come by that tunnel.
  [[nodiscard]] static DropReason checkSource(const Node& node, const ForwardingImage& image, const Tunnel& arrival,
                                              const InnerPacket& ip);
  [[nodiscard]] Resolved resolve(const Node& node, const ForwardingImage& image, const Address& destination, bool v6);
  // Keeps a TCP connection to a key address where it was begun: here, or at the node whose the range was before.
  [[nodiscard]] Hop pinFlow(const Passage& passage, Hop hop);
  // Whether a packet of a connection that is not known here can be handed to the former owner of the range.
  [[nodiscard]] static bool mayGoOnAtFormer(const Passage& passage, const Hop& hop);
  void deliver(const Passage& passage, bool ring);
  void deliverSegments(const Passage& passage);
  void sendThrough(const Passage& passage, const Hop& hop);
  void sendSegments(const Passage& passage, const Tunnel& tunnel, bool fits);
  void sendFragments(Node& node, std::span<const uint8_t> inner, const InnerPacket& ip, const Tunnel& tunnel);
  // Everything that leaves by a tunnel passes here.
  void transmit(Node& node, const Tunnel& tunnel, DatagramRun run);
  void send(const Tunnel& tunnel, DatagramRun run);
  // True if the packet has been taken: it waits, or is dropped.
  [[nodiscard]] bool setAside(const Node& node, const Tunnel& tunnel, Way way, std::span<const uint8_t> packet);
  void refuse(const Passage& passage, DropReason reason, IcmpError error, uint32_t mtu = 0);
  void answerTap(const Passage& passage, std::span<uint8_t> answer);
  void answerTunnel(const Passage& passage, std::span<uint8_t> answer);
  [[nodiscard]] std::span<uint8_t> scratch(size_t bytes);
  // So that scratch() hands out that much without a flush between.
  void reserveScratch(size_t bytes);
  [[nodiscard]] NodeLane& laneOf(Node& node) const { return node.lanes[static_cast<size_t>(lane_)]; }

  // For packets that are made here, until the next flush. Room for the largest packet in the smallest fragments, and for
  // the largest super-packet in the smallest segments.
  static constexpr size_t kScratchBytes = size_t{512} << 10;

  const Lane lane_;
  DropCounters& drops_;
  Sink& sink_;
  ShaperInlet* inlet_ = nullptr;
  std::unique_ptr<RingIdCache> ringIds_;
  PinnedFlows pinned_;
  std::unique_ptr<uint8_t[]> scratch_;
  size_t scratchUsed_ = 0;
  Decision decision_;
  Arrival arrival_;
  std::vector<Visit> visits_;
  GateRun run_;
};

}  // namespace p2pxbone
