#include "gateway/checks.h"

#include "core/bytes.h"
#include "core/checksum.h"

namespace p2pxbone::gateway {
namespace {

bool checksumRight(const Packet& packet, size_t transportBytes, Checksum checksum) {
  if (checksum == Checksum::trust || packet.offload.needsChecksum) return true;
  const uint64_t pseudo = pseudoHeaderSum(packet.bytes, packet.ip.v6, packet.ip.protocol, transportBytes);
  return checksumFinish(checksumAdd(packet.transport().first(transportBytes), pseudo)) == 0;
}

// Combinations that no TCP sends; receivers disagree on what they mean.
bool flagsPossible(uint8_t flags) {
  const uint8_t kind = flags & (kTcpSyn | kTcpFin | kTcpRst);
  if ((kind & kTcpSyn) != 0 && kind != kTcpSyn) return false;
  if ((kind & kTcpRst) != 0 && (kind & kTcpFin) != 0) return false;
  // RFC 9293 §3.10.7.4: without ACK only a SYN or RST is looked at.
  return (flags & kTcpAck) != 0 || (kind & (kTcpSyn | kTcpRst)) != 0;
}

DropReason checkTcp(Packet& packet, Checksum checksum) {
  const std::span<const uint8_t> header = packet.transport();
  if (header.size() < kTcpHeaderBytesMin) return DropReason::gatewayHeader;
  TcpHeader& tcp = packet.tcp;
  tcp.headerBytes = static_cast<uint8_t>(header[12] / 16 * 4);
  if (tcp.headerBytes < kTcpHeaderBytesMin || tcp.headerBytes > header.size()) return DropReason::gatewayHeader;
  tcp.sequence = loadBe32(&header[4]);
  tcp.acknowledgement = loadBe32(&header[8]);
  tcp.flags = header[13];
  tcp.window = loadBe16(&header[14]);
  if (!flagsPossible(tcp.flags) || packet.ip.sourcePort == 0 || packet.ip.destinationPort == 0) {
    return DropReason::gatewayHeader;
  }
  if (!checksumRight(packet, header.size(), checksum)) return DropReason::gatewayChecksum;
  packet.payloadOffset = packet.ip.transportOffset + tcp.headerBytes;
  packet.payloadBytes = header.size() - tcp.headerBytes;
  return DropReason::none;
}

DropReason checkUdp(Packet& packet, Checksum checksum) {
  const std::span<const uint8_t> header = packet.transport();
  if (header.size() < kUdpHeaderBytes) return DropReason::gatewayHeader;
  const size_t length = loadBe16(&header[4]);
  if (length < kUdpHeaderBytes || length > header.size() || packet.ip.destinationPort == 0) {
    return DropReason::gatewayHeader;
  }
  // RFC 8200 §8.1: over IPv6 there must be one.
  const bool summed = loadBe16(&header[6]) != 0;
  if (!summed && packet.ip.v6) return DropReason::gatewayChecksum;
  if (summed && !checksumRight(packet, length, checksum)) return DropReason::gatewayChecksum;
  packet.payloadOffset = packet.ip.transportOffset + kUdpHeaderBytes;
  packet.payloadBytes = length - kUdpHeaderBytes;
  return DropReason::none;
}

}  // namespace

DropReason checkTransport(Packet& packet, Checksum checksum) {
  // What lies behind headers that were not looked through is not known, and a receiver may look further.
  if (packet.ip.chainCut) return DropReason::gatewayHeader;
  if (packet.isTcp()) return checkTcp(packet, checksum);
  if (packet.isUdp()) return checkUdp(packet, checksum);
  packet.payloadOffset = packet.ip.transportOffset;
  packet.payloadBytes = packet.ip.transportBytes;
  return DropReason::none;
}

}  // namespace p2pxbone::gateway
