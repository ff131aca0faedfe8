#include "core/forward.h"

#include <algorithm>

#include "core/bytes.h"
#include "core/checksum.h"
#include "core/fragment.h"
#include "core/segment.h"

namespace p2pxbone {
namespace {

void decrementHopLimit(std::span<uint8_t> inner, bool v6) {
  if (v6) {
    --inner[7];
    return;
  }
  const uint16_t before = loadBe16(&inner[8]);
  --inner[8];
  storeBe16(&inner[10], checksumUpdate(loadBe16(&inner[10]), before, loadBe16(&inner[8])));
}

uint16_t etherTypeOf(bool v6) { return v6 ? kEtherTypeIpv6 : kEtherTypeIpv4; }

}  // namespace

Forwarder::Forwarder(Lane lane, uint64_t seed, DropCounters& drops, Sink& sink)
    : lane_(lane),
      drops_(drops),
      sink_(sink),
      ringIds_(std::make_unique<RingIdCache>()),
      pinned_(seed),
      scratch_(std::make_unique_for_overwrite<uint8_t[]>(kScratchBytes)) {}

void Forwarder::flush() {
  askAboutRun();
  if (!visits_.empty()) leaveGates();
  sink_.flush();
  if (!visits_.empty()) settleGates();
  if (inlet_ != nullptr) inlet_->wake();
  scratchUsed_ = 0;
  decision_.tables = nullptr;
  arrival_.node = nullptr;
}

void Forwarder::reserveScratch(size_t bytes) {
  if (kScratchBytes - scratchUsed_ >= bytes) return;
  sink_.flush();
  scratchUsed_ = 0;
}

std::span<uint8_t> Forwarder::scratch(size_t bytes) {
  reserveScratch(bytes);
  const std::span<uint8_t> taken{scratch_.get() + scratchUsed_, bytes};
  scratchUsed_ += bytes;
  return taken;
}

void Forwarder::fromTap(Node& node, std::span<uint8_t> packet, const Offload& offload, Millis now) {
  const NodeTables* tables = node.tables.load();
  if (tables != nullptr) return forward(node, *tables, nullptr, packet, offload, now);
  laneOf(node).packetsFromTap.add();
  drops_.add(DropReason::imageMissing);
}

void Forwarder::fromTunnel(const Directory& directory, const Endpoint& from, std::span<uint8_t> packet, Millis now,
                           const SecureChannel* channel) {
  const DropReason reason = findArrival(directory, from, channel, packet);
  if (reason != DropReason::none) return drops_.add(reason);
  TunnelLane& lane = arrival_.tunnel->stats->lanes[static_cast<size_t>(lane_)];
  lane.packetsIn.add();
  lane.bytesIn.add(packet.size() - kEncapsulationBytes);
  const Tunnel& tunnel = *arrival_.tunnel;
  if (tunnel.shape != nullptr && setAside(*arrival_.node, tunnel, Way::in, packet)) return;
  forward(*arrival_.node, *arrival_.tables, &tunnel, packet, {}, now);
}

// Leaves in arrival_ what it has found.
DropReason Forwarder::findArrival(const Directory& directory, const Endpoint& from, const SecureChannel* channel,
                                  std::span<const uint8_t> packet) {
  const std::optional<uint32_t> vni = decodeVxlan(packet);
  if (!vni) return DropReason::vxlanMalformed;
  if (packet.size() < kEncapsulationBytes) return DropReason::etherTypeUnsupported;
  const auto head = packet.first<kVxlanBytes + 12>();
  const bool known = arrival_.node != nullptr && arrival_.channel == channel && arrival_.from == from &&
                     std::equal(head.begin(), head.end(), arrival_.head.begin()) &&
                     arrival_.tables == arrival_.node->tables.load();
  if (known) return DropReason::none;
  arrival_.node = nullptr;
  Node* const node = directory.find(*vni, macAt(&packet[kVxlanBytes]));
  if (node == nullptr) return directory.knows(*vni) ? DropReason::nodeUnknown : DropReason::vniUnknown;
  const NodeTables* tables = node->tables.load();
  if (tables == nullptr) return DropReason::tunnelUnknown;
  const Mac source = macAt(&packet[kVxlanBytes + 6]);
  const Tunnel* const tunnel =
      channel == nullptr ? tables->tunnels.match(from, source) : tables->tunnels.match(*channel, source);
  if (tunnel == nullptr) return DropReason::tunnelUnknown;
  if (channel == nullptr && tunnel->channel != nullptr) return DropReason::plaintextRefused;
  arrival_ = {node, tables, tunnel, from, channel, {}};
  std::copy(head.begin(), head.end(), arrival_.head.begin());
  return DropReason::none;
}

DropReason Forwarder::readPacket(std::span<const uint8_t> packet, const Offload& offload, InnerPacket& ip,
                                 Division& division) {
  if (packet.size() < kEncapsulationBytes) return DropReason::etherTypeUnsupported;
  const uint16_t etherType = loadBe16(&packet[kVxlanBytes + 12]);
  if (etherType != kEtherTypeIpv4 && etherType != kEtherTypeIpv6) return DropReason::etherTypeUnsupported;
  const std::span<const uint8_t> inner = packet.subspan(kEncapsulationBytes);
  const DropReason reason = parseInner(inner, ip);
  if (reason != DropReason::none) return reason;
  if (etherType != etherTypeOf(ip.v6)) return DropReason::packetMalformed;
  if (offload == Offload{}) return DropReason::none;
  const std::optional<Division> divided = divide(offload, ip, inner.first(ip.totalBytes));
  if (!divided || segmentedBytes(*divided) > kScratchBytes) return DropReason::offloadMalformed;
  division = *divided;
  return DropReason::none;
}

void Forwarder::fromShaper(const Directory& directory, const ShapedLink& link, std::span<uint8_t> packet, Millis now) {
  Node* const node = directory.find(link.node);
  const NodeTables* tables = node == nullptr ? nullptr : node->tables.load();
  const Tunnel* const tunnel = tables == nullptr ? nullptr : tables->tunnels.find(link.tunnel);
  if (tunnel == nullptr) return drops_.add(DropReason::tunnelGone);
  if (link.way == Way::out) return send(*tunnel, DatagramRun::single(packet));
  forward(*node, *tables, tunnel, packet, {}, now);
}

bool Forwarder::setAside(const Node& node, const Tunnel& tunnel, Way way, std::span<const uint8_t> packet) {
  const LinkShape& shape = way == Way::out ? tunnel.shape->out : tunnel.shape->in;
  if (inlet_ == nullptr || !shape.shapes()) return false;
  if (!inlet_->offer({node.serial, tunnel.handle, way}, packet)) drops_.add(DropReason::shaperFull);
  return true;
}

void Forwarder::forward(Node& node, const NodeTables& tables, const Tunnel* arrival, std::span<uint8_t> packet,
                        const Offload& offload, Millis now) {
  InnerPacket ip;
  Division division;
  DropReason reason = readPacket(packet, offload, ip, division);
  if (arrival == nullptr) laneOf(node).packetsFromTap.add(division.count);
  if (tables.gate != nullptr && arrival != nullptr && reason == DropReason::none) {
    return gather({&node, &tables, arrival, now}, packet.first(kEncapsulationBytes + ip.totalBytes), ip);
  }
  if (reason == DropReason::none) reason = decide(node, tables, arrival, ip);
  if (reason != DropReason::none) return drops_.add(reason, division.count);
  if (tables.gate != nullptr) {
    std::span<uint8_t> inner = packet.subspan(kEncapsulationBytes, ip.totalBytes);
    if (passGate(node, tables, arrival, inner, offload, ip, division, now) == TrafficGate::Answer::taken) return;
  }
  carry({node, tables, arrival, now, packet.first(kEncapsulationBytes + ip.totalBytes), offload, ip, division});
}

void Forwarder::carry(const Passage& passage) {
  Resolved resolved = decision_.resolved;
  if (resolved.ring && passage.ip.v6) resolved.hop = pinFlow(passage, resolved.hop);
  switch (resolved.hop.kind) {
    case HopKind::local: return deliver(passage, resolved.ring);
    case HopKind::tunnel: return sendThrough(passage, resolved.hop);
    case HopKind::unreachable: return refuse(passage, DropReason::routeUnreachable, IcmpError::unreachable);
    case HopKind::missing:
    case HopKind::ring: return refuse(passage, DropReason::routeMissing, IcmpError::unreachable);
  }
}

DropReason Forwarder::decide(const Node& node, const NodeTables& tables, const Tunnel* arrival, const InnerPacket& ip) {
  if (decision_.holdsFor(tables, arrival, ip)) return DropReason::none;
  decision_.tables = nullptr;
  DropReason reason = checkAddresses(ip);
  if (reason != DropReason::none) return reason;
  if (tables.image == nullptr) return DropReason::imageMissing;
  if (arrival != nullptr) reason = checkSource(node, *tables.image, *arrival, ip);
  if (reason != DropReason::none) return reason;
  const Resolved resolved = resolve(node, *tables.image, ip.destination, ip.v6);
  const Tunnel* const departure =
      resolved.hop.kind == HopKind::tunnel ? tables.tunnels.find(resolved.hop.tunnel) : nullptr;
  decision_ = {&tables, arrival, ip.v6, ip.source, ip.destination, resolved, departure};
  if (tables.gate != nullptr) {
    const auto isDaemonsAddress = [&](const Address& address) {
      return address == (ip.v6 ? node.config.ipv6 : node.config.ipv4) ||
             node.config.plan.kindOf(address, ip.v6) == SourceKind::link;
    };
    decision_.fromDaemon = isDaemonsAddress(ip.source);
    decision_.toDaemon = isDaemonsAddress(ip.destination);
  }
  return DropReason::none;
}

// The base network may be spoofed and members may lie. A link address names its tunnel, so that what the neighbours tell
// each other over their link is theirs; stable and key addresses come from afar, by any tunnel.
DropReason Forwarder::checkSource(const Node& node, const ForwardingImage& image, const Tunnel& arrival,
                                  const InnerPacket& ip) {
  if (ip.source == (ip.v6 ? node.config.ipv6 : node.config.ipv4)) return DropReason::sourceForged;
  switch (node.config.plan.kindOf(ip.source, ip.v6)) {
    case SourceKind::foreign: return DropReason::sourceForeign;
    case SourceKind::member: return DropReason::none;
    case SourceKind::link: break;
  }
  const bool ofTunnel = image.lookupExact(ip.source) == Hop{HopKind::tunnel, arrival.handle};
  return ofTunnel ? DropReason::none : DropReason::sourceForged;
}

Forwarder::Resolved Forwarder::resolve(const Node& node, const ForwardingImage& image, const Address& destination,
                                       bool v6) {
  const Hop hop = image.lookupAddress(destination, v6);
  if (hop.kind != HopKind::ring) return {hop, false};
  const uint64_t id =
      v6 ? ringIdOfIpv6(destination) : ringIds_->idOf(node.serial, &destination[12], node.config.viId);
  return {image.lookupRing(id), true};
}

Hop Forwarder::pinFlow(const Passage& passage, Hop hop) {
  const InnerPacket& ip = passage.ip;
  if (ip.protocol != kProtocolTcp || !ip.tcpFlagsKnown || !ip.portsKnown) return hop;
  const bool local = hop.kind == HopKind::local;
  if (!local && !pinned_.used()) return hop;
  const FlowKey key{passage.node.serial, ip.sourcePort, ip.destinationPort, ip.source, ip.destination};
  if ((ip.tcpFlags & (kTcpSyn | kTcpAck)) == kTcpSyn) {
    // A new connection follows the routes, even from ports that an old one used.
    if (local) {
      pinned_.remember(key, passage.now);
    } else {
      pinned_.forget(key);
    }
    return hop;
  }
  const bool reset = (ip.tcpFlags & kTcpRst) != 0;
  const bool known = pinned_.refresh(key, passage.now);
  if (known && reset) pinned_.forget(key);
  if (local && !known) {
    if (mayGoOnAtFormer(passage, hop)) return {HopKind::tunnel, hop.tunnel};
    if (!reset) pinned_.remember(key, passage.now);
  }
  if (local || !known) return hop;
  laneOf(passage.node).packetsPinned.add(passage.division.count);
  return {HopKind::local, 0};
}

bool Forwarder::mayGoOnAtFormer(const Passage& passage, const Hop& hop) {
  // What comes from there is not known there either.
  const bool back = passage.arrival != nullptr && passage.arrival->handle == hop.tunnel;
  return hop.tunnel != 0 && !back && passage.tables.tunnels.find(hop.tunnel) != nullptr;
}

void Forwarder::deliver(const Passage& passage, bool ring) {
  Node& node = passage.node;
  if (ring && !passage.ip.v6 && passage.ip.destination != node.config.ipv4) {
    return refuse(passage, DropReason::addressUnowned, IcmpError::unreachable);
  }
  // The kernel takes only frames that are addressed to its interface.
  std::copy(node.config.mac.begin(), node.config.mac.end(), &passage.packet[kVxlanBytes]);
  if (passage.arrival != nullptr && passage.offload.kind != Offload::Kind::none) return deliverSegments(passage);
  const InnerPacket* const joinable = passage.arrival == nullptr ? nullptr : &passage.ip;
  sink_.toTap(node, {passage.packet.subspan(kVxlanBytes), joinable, passage.offload, passage.division.count});
}

// What a gate was asked about as one and has kept or changed. The TAP may not take super-packets; where it does, they are
// joined again.
void Forwarder::deliverSegments(const Passage& passage) {
  const std::span<uint8_t> room = scratch(segmentedBytes(passage.division));
  segment(passage.packet.first<kEncapsulationBytes>(), passage.inner(), passage.ip, passage.division, room.data())
      .forEach([&](std::span<uint8_t> packet) {
        InnerPacket ip;
        if (parseInner(packet.subspan(kEncapsulationBytes), ip) != DropReason::none) return;
        sink_.toTap(passage.node, {packet.subspan(kVxlanBytes), &ip, {}, 1});
      });
}

void Forwarder::sendThrough(const Passage& passage, const Hop& hop) {
  const bool decided = decision_.resolved.hop == hop;
  const Tunnel* const tunnel = decided ? decision_.departure : passage.tables.tunnels.find(hop.tunnel);
  if (tunnel == nullptr) return drops_.add(DropReason::tunnelGone, passage.division.count);
  const bool transit = passage.arrival != nullptr;
  if (transit && passage.ip.hopLimit <= 1) {
    return refuse(passage, DropReason::hopLimitExceeded, IcmpError::timeExceeded);
  }
  const bool super = passage.offload.kind != Offload::Kind::none;
  const size_t bytes = super ? passage.division.packetBytes() : passage.ip.totalBytes;
  const bool fits = bytes <= tunnel->innerMtu;
  if (!fits && passage.ip.dontFragment) {
    return refuse(passage, DropReason::packetTooBig, IcmpError::tooBig, static_cast<uint32_t>(tunnel->innerMtu));
  }
  encodeEthernet(&passage.packet[kVxlanBytes], tunnel->peerMac, passage.node.config.mac, etherTypeOf(passage.ip.v6));
  // The origin does not count as a hop: its kernel has set the value that the first neighbour is to see.
  if (transit) {
    decrementHopLimit(passage.inner(), passage.ip.v6);
    laneOf(passage.node).packetsTransit.add(passage.division.count);
  }
  if (super) return sendSegments(passage, *tunnel, fits);
  completeChecksum(passage.offload, passage.ip, passage.inner());
  if (!fits) return sendFragments(passage.node, passage.inner(), passage.ip, *tunnel);
  transmit(passage.node, *tunnel, DatagramRun::single(passage.packet));
}

void Forwarder::sendSegments(const Passage& passage, const Tunnel& tunnel, bool fits) {
  // Segments that are cut up must stay until their last fragment has been made.
  const size_t bytes = segmentedBytes(passage.division);
  if (!fits) reserveScratch(std::min(kScratchBytes, 3 * bytes));
  const std::span<uint8_t> room = scratch(bytes);
  const DatagramRun run =
      segment(passage.packet.first<kEncapsulationBytes>(), passage.inner(), passage.ip, passage.division, room.data());
  if (fits) return transmit(passage.node, tunnel, run);
  // Rare: the sender allows fragments of packets that it expected to fit.
  run.forEach([&](std::span<const uint8_t> packet) {
    InnerPacket ip;
    const std::span<const uint8_t> inner = packet.subspan(kEncapsulationBytes);
    if (parseInner(inner, ip) == DropReason::none) sendFragments(passage.node, inner, ip, tunnel);
  });
}

void Forwarder::sendFragments(Node& node, std::span<const uint8_t> inner, const InnerPacket& ip, const Tunnel& tunnel) {
  fragmentIpv4(inner, ip, tunnel.innerMtu,
               [&](std::span<const uint8_t> header, std::span<const uint8_t> payload) {
                 const std::span<uint8_t> piece = scratch(kEncapsulationBytes + header.size() + payload.size());
                 encodeEthernet(&piece[kVxlanBytes], tunnel.peerMac, node.config.mac, kEtherTypeIpv4);
                 const auto end = std::copy(header.begin(), header.end(), piece.begin() + kEncapsulationBytes);
                 std::copy(payload.begin(), payload.end(), end);
                 transmit(node, tunnel, DatagramRun::single(piece));
               });
}

void Forwarder::transmit(Node& node, const Tunnel& tunnel, DatagramRun run) {
  run.forEach([&](std::span<uint8_t> packet) { encodeVxlan(packet.data(), node.config.vni); });
  if (tunnel.shape == nullptr || !tunnel.shape->out.shapes() || inlet_ == nullptr) return send(tunnel, run);
  run.forEach([&](std::span<uint8_t> packet) { (void)setAside(node, tunnel, Way::out, packet); });
}

void Forwarder::send(const Tunnel& tunnel, DatagramRun run) {
  const size_t count = run.count();
  TunnelLane& lane = tunnel.stats->lanes[static_cast<size_t>(lane_)];
  lane.packetsOut.add(count);
  lane.bytesOut.add(run.bytes.size() - count * kEncapsulationBytes);
  sink_.toTunnel(tunnel, {run.bytes, run.segmentBytes});
}

void Forwarder::refuse(const Passage& passage, DropReason reason, IcmpError error, uint32_t mtu) {
  drops_.add(reason, passage.division.count);
  if (passage.made || !mayAnswerWithError(passage.ip, passage.inner())) return;
  NodeLane& lane = laneOf(passage.node);
  if (!lane.icmpBucket.take(passage.now)) return drops_.add(DropReason::icmpLimited);

  const NodeConfig& config = passage.node.config;
  const bool toOwnKernel = passage.arrival == nullptr;
  // Linux takes no IPv4 packet from an interface whose source is one of its own addresses, so an error to our own kernel
  // comes from the address that could not be reached, which is routed to this interface.
  const Address& source =
      passage.ip.v6 ? config.ipv6 : (toOwnKernel ? passage.ip.destination : config.ipv4);
  const std::span<uint8_t> room = scratch(kEncapsulationBytes + kIcmpv6PacketMax);
  const size_t length =
      buildIcmpError(room.subspan(kEncapsulationBytes), error, mtu, source, passage.ip, passage.inner());
  const std::span<uint8_t> answer = room.first(kEncapsulationBytes + length);
  lane.icmpErrorsSent.add();
  if (toOwnKernel) {
    answerTap(passage, answer);
  } else {
    answerTunnel(passage, answer);
  }
}

void Forwarder::answerTap(const Passage& passage, std::span<uint8_t> answer) {
  const Mac& mac = passage.node.config.mac;
  encodeEthernet(&answer[kVxlanBytes], mac, mac, etherTypeOf(passage.ip.v6));
  sink_.toTap(passage.node, {answer.subspan(kVxlanBytes), nullptr, {}, 1});
}

void Forwarder::answerTunnel(const Passage& passage, std::span<uint8_t> answer) {
  const InnerPacket& about = passage.ip;
  const Resolved back = resolve(passage.node, *passage.tables.image, about.source, about.v6);
  if (back.hop.kind == HopKind::local) {
    const bool unowned = back.ring && !about.v6 && about.source != passage.node.config.ipv4;
    if (unowned) return drops_.add(DropReason::addressUnowned);
    return answerTap(passage, answer);
  }
  if (back.hop.kind != HopKind::tunnel) return drops_.add(DropReason::routeMissing);
  const Tunnel* const tunnel = passage.tables.tunnels.find(back.hop.tunnel);
  if (tunnel == nullptr) return drops_.add(DropReason::tunnelGone);
  // Tunnels that carry less than an IPv6 link must could not carry the packet that caused this either.
  if (answer.size() - kEncapsulationBytes > tunnel->innerMtu) return drops_.add(DropReason::packetTooBig);
  encodeEthernet(&answer[kVxlanBytes], tunnel->peerMac, passage.node.config.mac, etherTypeOf(about.v6));
  transmit(passage.node, *tunnel, DatagramRun::single(answer));
}

}  // namespace p2pxbone
