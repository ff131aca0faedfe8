#include "core/coalesce.h"

#include <algorithm>
#include <cstring>

#include "core/bytes.h"
#include "core/checksum.h"
#include "core/vxlan.h"

namespace p2pxbone {
namespace {

constexpr uint8_t kTcpPsh = 0x08;
constexpr size_t kTcpSequence = 4;
constexpr size_t kTcpFlags = 13;
constexpr size_t kUdpLength = 4;
// The length fields of both IP headers have 16 bits; the IPv4 one counts its header.
constexpr size_t kIpPacketBytesMax = 65535;

const uint8_t* innerOf(std::span<const uint8_t> frame) { return frame.data() + kEthernetBytes; }

uint32_t hashOf(const InnerPacket& ip) {
  uint64_t words[4];
  std::memcpy(&words[0], ip.source.data(), 16);
  std::memcpy(&words[2], ip.destination.data(), 16);
  uint64_t hash = (uint64_t{ip.sourcePort} << 32) | (uint64_t{ip.destinationPort} << 8) | ip.protocol;
  for (const uint64_t word : words) hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
  return static_cast<uint32_t>(hash >> 32);
}

bool sameFlow(const InnerPacket& a, const InnerPacket& b) {
  return a.protocol == b.protocol && a.sourcePort == b.sourcePort && a.destinationPort == b.destinationPort &&
         a.source == b.source && a.destination == b.destination;
}

// 0 where the transport header is cut short.
size_t transportHeaderBytes(std::span<const uint8_t> inner, const InnerPacket& ip) {
  if (ip.protocol == kProtocolUdp) {
    const bool whole =
        ip.transportBytes >= kUdpHeaderBytes && loadBe16(&inner[ip.transportOffset + kUdpLength]) == ip.transportBytes;
    return whole ? kUdpHeaderBytes : 0;
  }
  if (ip.transportBytes < kTcpHeaderBytesMin) return 0;
  const size_t length = size_t{inner[ip.transportOffset + 12]} / 16 * 4;
  return length < kTcpHeaderBytesMin || length > ip.transportBytes ? 0 : length;
}

// Neither options nor extension headers nor fragments, so that the headers of all segments look alike.
bool isPlain(const InnerPacket& ip) {
  const bool plainIp = ip.transportOffset == (ip.v6 ? kIpv6HeaderBytes : kIpv4HeaderBytes);
  return plainIp && !ip.fragment && ip.portsKnown;
}

bool transportChecksumGood(std::span<const uint8_t> inner, const InnerPacket& ip) {
  const std::span<const uint8_t> transport = inner.subspan(ip.transportOffset, ip.transportBytes);
  return checksumFinish(checksumAdd(transport, pseudoHeaderSum(inner, ip.v6, ip.protocol, transport.size()))) == 0;
}

size_t checksumOffsetOf(const InnerPacket& ip) {
  return ip.protocol == kProtocolTcp ? kTcpChecksumOffset : kUdpChecksumOffset;
}

// IPv4: type of service, flags, hop limit. IPv6: traffic class and flow label, hop limit. The rest is the flow's or counts.
bool sameIpHeader(const uint8_t* a, const uint8_t* b, bool v6) {
  if (v6) return std::memcmp(a, b, 4) == 0 && a[7] == b[7];
  return a[1] == b[1] && std::memcmp(a + 6, b + 6, 2) == 0 && a[8] == b[8];
}

// All but sequence number and checksum, and PSH, which may stand on the last packet.
bool sameTcpHeader(const uint8_t* a, const uint8_t* b, size_t length) {
  constexpr size_t acknowledgement = 8;
  constexpr size_t window = 14;
  constexpr size_t urgent = 18;
  return std::memcmp(a + acknowledgement, b + acknowledgement, kTcpFlags - acknowledgement) == 0 &&
         std::memcmp(a + window, b + window, 2) == 0 && std::memcmp(a + urgent, b + urgent, length - urgent) == 0;
}

}  // namespace

void Coalescer::add(Node& node, std::span<uint8_t> frame, const InnerPacket& ip, OffloadFeatures features) {
  const bool tcp = ip.protocol == kProtocolTcp;
  const bool may = features.checksum && ((tcp && features.tcp) || (ip.protocol == kProtocolUdp && features.udp));
  if (!may || !isPlain(ip)) {
    finishAll(node);
    return writeAlone(node, frame, {});
  }
  const std::span<uint8_t> inner = frame.subspan(kEthernetBytes);
  const size_t transport = transportHeaderBytes(inner, ip);
  Candidate packet{frame, ip, kEthernetBytes + ip.transportOffset + transport, 0, hashOf(ip)};
  Flow* const flow = used_ == 0 ? nullptr : find(node, packet);
  const bool noChecksum = !tcp && transport != 0 && loadBe16(&inner[ip.transportOffset + kUdpChecksumOffset]) == 0;
  const bool otherFlags = tcp && (ip.tcpFlags | kTcpPsh) != (kTcpAck | kTcpPsh);
  packet.payload = frame.size() - packet.headers;
  // What the kernel is to find out itself: damaged packets, and all that changes a connection's state.
  if (transport == 0 || noChecksum || otherFlags || packet.payload == 0 || !transportChecksumGood(inner, ip)) {
    if (flow != nullptr) finish(*flow);
    return writeAlone(node, frame, {});
  }
  if (flow == nullptr) return begin(node, packet);
  if (continues(*flow, packet)) return append(*flow, packet);
  finish(*flow);
  begin(node, packet);
}

Coalescer::Flow* Coalescer::find(const Node& node, const Candidate& packet) {
  const auto matches = [&](const Flow& flow) {
    return flow.node == &node && flow.hash == packet.hash && sameFlow(flow.ip, packet.ip);
  };
  if (last_ != nullptr && matches(*last_)) return last_;
  const auto found = std::find_if(flows_.begin(), flows_.end(), matches);
  if (found == flows_.end()) return nullptr;
  last_ = &*found;
  return last_;
}

bool Coalescer::continues(const Flow& flow, const Candidate& packet) {
  if (flow.ended || packet.headers != flow.headers || packet.payload > flow.segment) return false;
  if (flow.packets == kPacketsMax || flow.headers - kEthernetBytes + flow.payload + packet.payload > kIpPacketBytesMax) {
    return false;
  }
  const uint8_t* const first = innerOf(flow.first);
  const uint8_t* const next = innerOf(packet.frame);
  if (!sameIpHeader(first, next, packet.ip.v6)) return false;
  if (!packet.ip.v6 && loadBe16(next + 4) != flow.nextIdentification) return false;
  if (packet.ip.protocol == kProtocolUdp) return true;
  const size_t at = packet.ip.transportOffset;
  return loadBe32(next + at + kTcpSequence) == flow.nextSequence &&
         sameTcpHeader(first + at, next + at, flow.headers - kEthernetBytes - at);
}

void Coalescer::append(Flow& flow, const Candidate& packet) {
  flow.pieces[flow.packets++] = packet.frame.subspan(packet.headers);
  flow.payload += packet.payload;
  flow.nextSequence += static_cast<uint32_t>(packet.payload);
  ++flow.nextIdentification;
  flow.lastFlags = packet.ip.tcpFlags;
  // PSH asks for delivery, and nothing comes after a short packet.
  flow.ended = packet.payload < flow.segment || (packet.ip.tcpFlags & kTcpPsh) != 0;
}

void Coalescer::begin(Node& node, const Candidate& packet) {
  auto free = std::find_if(flows_.begin(), flows_.end(), [](const Flow& flow) { return flow.node == nullptr; });
  if (free == flows_.end()) {
    free = std::min_element(flows_.begin(), flows_.end(), [](const Flow& a, const Flow& b) { return a.begun < b.begun; });
    finish(*free);
  }
  Flow& flow = *free;
  const uint8_t* const inner = innerOf(packet.frame);
  flow.node = &node;
  flow.hash = packet.hash;
  flow.ip = packet.ip;
  flow.first = packet.frame;
  flow.headers = packet.headers;
  flow.segment = packet.payload;
  flow.payload = packet.payload;
  const bool tcp = packet.ip.protocol == kProtocolTcp;
  const uint32_t sequence = tcp ? loadBe32(inner + packet.ip.transportOffset + kTcpSequence) : 0;
  flow.nextSequence = sequence + static_cast<uint32_t>(packet.payload);
  flow.nextIdentification = packet.ip.v6 ? uint16_t{0} : static_cast<uint16_t>(loadBe16(inner + 4) + 1);
  flow.lastFlags = packet.ip.tcpFlags;
  flow.ended = tcp && (packet.ip.tcpFlags & kTcpPsh) != 0;
  flow.packets = 1;
  flow.begun = ++begun_;
  flow.pieces[0] = packet.frame;
  ++used_;
  last_ = &flow;
}

// Every packet that comes here has had its checksum verified, so the kernel need not do it again: it is told that the
// checksum is still to be completed, as of a packet that it made itself.
void Coalescer::finish(Flow& flow) {
  const InnerPacket& ip = flow.ip;
  const std::span<uint8_t> inner = flow.first.subspan(kEthernetBytes);
  const bool tcp = ip.protocol == kProtocolTcp;
  const size_t totalBytes = flow.headers - kEthernetBytes + flow.payload;
  const size_t transportBytes = totalBytes - ip.transportOffset;
  const size_t checksumOffset = checksumOffsetOf(ip);
  Offload offload;
  offload.needsChecksum = true;
  offload.checksumStart = static_cast<uint16_t>(kEthernetBytes + ip.transportOffset);
  offload.checksumOffset = static_cast<uint16_t>(checksumOffset);
  if (flow.packets > 1) {
    offload.kind = tcp ? (ip.v6 ? Offload::Kind::tcp6 : Offload::Kind::tcp4) : Offload::Kind::udp;
    offload.segmentBytes = static_cast<uint16_t>(flow.segment);
    offload.headerBytes = static_cast<uint16_t>(flow.headers);
    if (ip.v6) {
      storeBe16(&inner[4], static_cast<uint16_t>(totalBytes - kIpv6HeaderBytes));
    } else {
      storeBe16(&inner[10], checksumUpdate(loadBe16(&inner[10]), loadBe16(&inner[2]), static_cast<uint16_t>(totalBytes)));
      storeBe16(&inner[2], static_cast<uint16_t>(totalBytes));
    }
    if (tcp) {
      inner[ip.transportOffset + kTcpFlags] = flow.lastFlags;
    } else {
      storeBe16(&inner[ip.transportOffset + kUdpLength], static_cast<uint16_t>(transportBytes));
    }
  }
  const uint64_t pseudo = pseudoHeaderSum(inner, ip.v6, ip.protocol, transportBytes);
  storeBe16(&inner[ip.transportOffset + checksumOffset], checksumFold(pseudo));
  Node& node = *flow.node;
  flow.node = nullptr;
  --used_;
  sink_.writeFrame(node, {std::span{flow.pieces}.first(flow.packets), offload, flow.packets});
}

void Coalescer::finishAll(const Node& node) {
  if (used_ == 0) return;
  for (;;) {
    Flow* oldest = nullptr;
    for (Flow& flow : flows_) {
      if (flow.node == &node && (oldest == nullptr || flow.begun < oldest->begun)) oldest = &flow;
    }
    if (oldest == nullptr) return;
    finish(*oldest);
  }
}

void Coalescer::flush() {
  for (Flow& flow : flows_) {
    if (used_ == 0) return;
    if (flow.node != nullptr) finish(flow);
  }
}

void Coalescer::writeAlone(Node& node, std::span<const uint8_t> frame, const Offload& offload) {
  sink_.writeFrame(node, {{&frame, 1}, offload, 1});
}

}  // namespace p2pxbone
