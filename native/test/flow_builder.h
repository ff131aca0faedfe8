// TCP and UDP packets with right checksums, and super-packets, built and cut up slowly and obviously: the twins of
// core/segment and core/coalesce.
#pragma once

#include <random>

#include "core/bytes.h"
#include "core/offload.h"
#include "test/packet_builder.h"

namespace p2pxbone::testing {

struct FlowPacket {
  bool v6 = false;
  bool tcp = true;
  uint8_t host = 1;  // last byte of the source address
  uint16_t port = 1000;
  uint8_t trafficClass = 0;
  uint8_t hopLimit = 64;
  bool dontFragment = true;
  uint16_t identification = 0;
  uint32_t sequence = 0;
  uint32_t acknowledgement = 7;
  uint8_t flags = kTcpAck;
  uint16_t window = 500;
  uint16_t urgent = 0;
  Bytes options{};  // TCP, a multiple of 4
  Bytes data{};
};

inline size_t headersOf(const FlowPacket& packet) {
  return (packet.v6 ? 40U : 20U) + (packet.tcp ? 20U + packet.options.size() : 8U);
}

inline Bytes pseudoHeader(const FlowPacket& packet, const Bytes& ip, size_t transportBytes) {
  const auto begin = ip.begin() + (packet.v6 ? 8 : 12);
  Bytes pseudo{begin, begin + (packet.v6 ? 32 : 8)};
  pseudo.insert(pseudo.end(), {0, 0, 0, 0, 0, packet.tcp ? kProtocolTcp : kProtocolUdp});
  put16(pseudo, pseudo.size() - 6 + 2, transportBytes);
  return pseudo;
}

// The whole IP packet.
inline Bytes build(const FlowPacket& packet) {
  Bytes transport(packet.tcp ? 20 : 8, 0);
  put16(transport, 0, packet.port);
  put16(transport, 2, 80);
  if (packet.tcp) {
    put16(transport, 4, packet.sequence >> 16);
    put16(transport, 6, packet.sequence & 0xffff);
    put16(transport, 8, packet.acknowledgement >> 16);
    put16(transport, 10, packet.acknowledgement & 0xffff);
    transport[12] = static_cast<uint8_t>((20 + packet.options.size()) / 4 * 16);
    transport[13] = packet.flags;
    put16(transport, 14, packet.window);
    put16(transport, 18, packet.urgent);
    transport.insert(transport.end(), packet.options.begin(), packet.options.end());
  } else {
    put16(transport, 4, 8 + packet.data.size());
  }
  transport.insert(transport.end(), packet.data.begin(), packet.data.end());
  PacketSpec spec{.source = packet.v6 ? v6(120U + packet.host) : v4(10, 0, 0, packet.host),
                  .destination = packet.v6 ? v6(120) : v4(10, 0, 0, 120),
                  .hopLimit = packet.hopLimit,
                  .protocol = packet.tcp ? kProtocolTcp : kProtocolUdp,
                  .dontFragment = packet.dontFragment,
                  .payload = transport};
  Bytes ip = ipPacket(spec);
  if (packet.v6) {
    ip[0] = static_cast<uint8_t>(0x60 | packet.trafficClass >> 4);
    ip[1] = static_cast<uint8_t>(packet.trafficClass << 4);
  } else {
    ip[1] = packet.trafficClass;
    put16(ip, 4, packet.identification);
    put16(ip, 10, 0);
    put16(ip, 10, slowChecksum({ip.begin(), ip.begin() + 20}));
  }
  Bytes summed = pseudoHeader(packet, ip, transport.size());
  summed.insert(summed.end(), transport.begin(), transport.end());
  uint16_t checksum = slowChecksum(summed);
  if (!packet.tcp && checksum == 0) checksum = 0xffff;
  put16(ip, (packet.v6 ? 40U : 20U) + (packet.tcp ? 16U : 6U), checksum);
  return ip;
}

// What a kernel leaves to the device: the checksum field holds the sum of the pseudo-header.
inline Bytes buildUnfinished(const FlowPacket& packet) {
  Bytes ip = build(packet);
  const size_t at = packet.v6 ? 40U : 20U;
  const uint16_t sum = static_cast<uint16_t>(~slowChecksum(pseudoHeader(packet, ip, ip.size() - at)));
  put16(ip, at + (packet.tcp ? 16U : 6U), sum);
  return ip;
}

inline Offload offloadOf(const FlowPacket& packet, size_t segmentBytes) {
  Offload offload;
  const size_t at = 14U + (packet.v6 ? 40U : 20U);
  offload.needsChecksum = true;
  offload.checksumStart = static_cast<uint16_t>(at);
  offload.checksumOffset = packet.tcp ? 16 : 6;
  if (segmentBytes == 0) return offload;
  offload.kind = packet.tcp ? (packet.v6 ? Offload::Kind::tcp6 : Offload::Kind::tcp4) : Offload::Kind::udp;
  offload.segmentBytes = static_cast<uint16_t>(segmentBytes);
  offload.headerBytes = static_cast<uint16_t>(14 + headersOf(packet));
  return offload;
}

// The packets that the super-packet stands for.
inline std::vector<FlowPacket> cutUp(const FlowPacket& super, size_t segmentBytes) {
  std::vector<FlowPacket> packets;
  for (size_t at = 0; at < super.data.size(); at += segmentBytes) {
    FlowPacket packet = super;
    const size_t end = std::min(at + segmentBytes, super.data.size());
    packet.data = {super.data.begin() + static_cast<ptrdiff_t>(at), super.data.begin() + static_cast<ptrdiff_t>(end)};
    packet.sequence = super.sequence + static_cast<uint32_t>(at);
    packet.identification = static_cast<uint16_t>(super.identification + packets.size());
    if (at != 0) packet.flags &= 0x7f;                                     // CWR
    if (end != super.data.size()) packet.flags &= static_cast<uint8_t>(~0x09);  // FIN, PSH
    packets.push_back(packet);
  }
  return packets;
}

inline Bytes randomBytes(std::mt19937& random, size_t length) {
  Bytes bytes(length);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

}  // namespace p2pxbone::testing
