#include "core/forward.h"

#include <algorithm>

#include "core/bytes.h"
#include "core/checksum.h"
#include "core/fragment.h"

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
  sink_.flush();
  scratchUsed_ = 0;
}

std::span<uint8_t> Forwarder::scratch(size_t bytes) {
  if (kScratchBytes - scratchUsed_ < bytes) flush();
  const std::span<uint8_t> taken{scratch_.get() + scratchUsed_, bytes};
  scratchUsed_ += bytes;
  return taken;
}

void Forwarder::fromTap(Node& node, std::span<uint8_t> packet, Millis now) {
  laneOf(node).packetsFromTap.add();
  const NodeTables* tables = node.tables.load();
  if (tables == nullptr) return drops_.add(DropReason::imageMissing);
  forward(node, *tables, nullptr, packet, now);
}

void Forwarder::fromTunnel(const Directory& directory, const Endpoint& from, std::span<uint8_t> packet, Millis now) {
  const std::optional<uint32_t> vni = decodeVxlan(packet);
  if (!vni) return drops_.add(DropReason::vxlanMalformed);
  if (packet.size() < kEncapsulationBytes) return drops_.add(DropReason::etherTypeUnsupported);
  Node* const node = directory.find(*vni, macAt(&packet[kVxlanBytes]));
  if (node == nullptr) {
    return drops_.add(directory.knows(*vni) ? DropReason::nodeUnknown : DropReason::vniUnknown);
  }
  const NodeTables* tables = node->tables.load();
  const Tunnel* const tunnel = tables == nullptr ? nullptr : tables->tunnels.match(from, macAt(&packet[kVxlanBytes + 6]));
  if (tunnel == nullptr) return drops_.add(DropReason::tunnelUnknown);
  TunnelLane& lane = tunnel->stats->lanes[static_cast<size_t>(lane_)];
  lane.packetsIn.add();
  lane.bytesIn.add(packet.size() - kEncapsulationBytes);
  forward(*node, *tables, tunnel, packet, now);
}

void Forwarder::forward(Node& node, const NodeTables& tables, const Tunnel* arrival, std::span<uint8_t> packet,
                        Millis now) {
  if (packet.size() < kEncapsulationBytes) return drops_.add(DropReason::etherTypeUnsupported);
  const uint16_t etherType = loadBe16(&packet[kVxlanBytes + 12]);
  if (etherType != kEtherTypeIpv4 && etherType != kEtherTypeIpv6) {
    return drops_.add(DropReason::etherTypeUnsupported);
  }
  InnerPacket ip;
  DropReason reason = parseInner(packet.subspan(kEncapsulationBytes), ip);
  if (reason == DropReason::none && etherType != etherTypeOf(ip.v6)) reason = DropReason::packetMalformed;
  if (reason == DropReason::none) reason = checkAddresses(ip);
  if (reason != DropReason::none) return drops_.add(reason);
  if (tables.image == nullptr) return drops_.add(DropReason::imageMissing);
  if (arrival != nullptr) reason = checkSource(node, *tables.image, *arrival, ip);
  if (reason != DropReason::none) return drops_.add(reason);

  const Passage passage{node, tables, arrival, now, packet.first(kEncapsulationBytes + ip.totalBytes), ip};
  Resolved resolved = resolve(node, *tables.image, ip.destination, ip.v6);
  if (resolved.ring && ip.v6) resolved.hop = pinFlow(passage, resolved.hop);
  switch (resolved.hop.kind) {
    case HopKind::local: return deliver(passage, resolved.ring);
    case HopKind::tunnel: return sendThrough(passage, resolved.hop);
    case HopKind::unreachable: return refuse(passage, DropReason::routeUnreachable, IcmpError::unreachable);
    case HopKind::missing:
    case HopKind::ring: return refuse(passage, DropReason::routeMissing, IcmpError::unreachable);
  }
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
  if (local) {
    if (reset) {
      pinned_.forget(key);
    } else {
      pinned_.remember(key, passage.now);
    }
    return hop;
  }
  if (!pinned_.refresh(key, passage.now)) return hop;
  if (reset) pinned_.forget(key);
  laneOf(passage.node).packetsPinned.add();
  return {HopKind::local, 0};
}

void Forwarder::deliver(const Passage& passage, bool ring) {
  Node& node = passage.node;
  if (ring && !passage.ip.v6 && passage.ip.destination != node.config.ipv4) {
    return refuse(passage, DropReason::addressUnowned, IcmpError::unreachable);
  }
  // The kernel takes only frames that are addressed to its interface.
  std::copy(node.config.mac.begin(), node.config.mac.end(), &passage.packet[kVxlanBytes]);
  sink_.toTap(node, passage.packet.subspan(kVxlanBytes));
}

void Forwarder::sendThrough(const Passage& passage, const Hop& hop) {
  const Tunnel* const tunnel = passage.tables.tunnels.find(hop.tunnel);
  if (tunnel == nullptr) return drops_.add(DropReason::tunnelGone);
  const bool transit = passage.arrival != nullptr;
  if (transit && passage.ip.hopLimit <= 1) {
    return refuse(passage, DropReason::hopLimitExceeded, IcmpError::timeExceeded);
  }
  const bool fits = passage.ip.totalBytes <= tunnel->innerMtu;
  if (!fits && passage.ip.dontFragment) {
    return refuse(passage, DropReason::packetTooBig, IcmpError::tooBig, static_cast<uint32_t>(tunnel->innerMtu));
  }
  // The origin does not count as a hop: its kernel has set the value that the first neighbour is to see.
  if (transit) {
    decrementHopLimit(passage.inner(), passage.ip.v6);
    laneOf(passage.node).packetsTransit.add();
  }
  if (!fits) return sendFragments(passage, *tunnel);
  encodeEthernet(&passage.packet[kVxlanBytes], tunnel->peerMac, passage.node.config.mac, etherTypeOf(passage.ip.v6));
  transmit(passage.node, *tunnel, passage.packet);
}

void Forwarder::sendFragments(const Passage& passage, const Tunnel& tunnel) {
  fragmentIpv4(passage.inner(), passage.ip, tunnel.innerMtu,
               [&](std::span<const uint8_t> header, std::span<const uint8_t> payload) {
                 const std::span<uint8_t> piece = scratch(kEncapsulationBytes + header.size() + payload.size());
                 encodeEthernet(&piece[kVxlanBytes], tunnel.peerMac, passage.node.config.mac, kEtherTypeIpv4);
                 const auto end = std::copy(header.begin(), header.end(), piece.begin() + kEncapsulationBytes);
                 std::copy(payload.begin(), payload.end(), end);
                 transmit(passage.node, tunnel, piece);
               });
}

void Forwarder::transmit(Node& node, const Tunnel& tunnel, std::span<uint8_t> packet) {
  encodeVxlan(packet.data(), node.config.vni);
  TunnelLane& lane = tunnel.stats->lanes[static_cast<size_t>(lane_)];
  lane.packetsOut.add();
  lane.bytesOut.add(packet.size() - kEncapsulationBytes);
  sink_.toTunnel(tunnel, packet);
}

void Forwarder::refuse(const Passage& passage, DropReason reason, IcmpError error, uint32_t mtu) {
  drops_.add(reason);
  if (!mayAnswerWithError(passage.ip, passage.inner())) return;
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
  sink_.toTap(passage.node, answer.subspan(kVxlanBytes));
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
  transmit(passage.node, *tunnel, answer);
}

}  // namespace p2pxbone
