#include "gateway/rewrite.h"

#include <algorithm>

#include "core/bytes.h"
#include "core/checksum.h"

namespace p2pxbone::gateway {

bool overwritePayload(Packet& packet, size_t offset, std::span<const uint8_t> bytes) {
  const std::span<uint8_t> target = packet.payload().subspan(offset, bytes.size());
  if (std::equal(target.begin(), target.end(), bytes.begin())) return false;
  std::copy(bytes.begin(), bytes.end(), target.begin());
  packet.rewritten = true;
  return true;
}

void trimPayload(Packet& packet, size_t keep) {
  if (keep >= packet.payloadBytes) return;
  const size_t cut = packet.payloadBytes - keep;
  packet.payloadBytes = keep;
  packet.ip.transportBytes -= cut;
  packet.ip.totalBytes -= cut;
  packet.bytes = packet.bytes.first(packet.ip.totalBytes);
  if (packet.ip.v6) {
    storeBe16(&packet.bytes[4], static_cast<uint16_t>(packet.ip.totalBytes - kIpv6HeaderBytes));
  } else {
    storeBe16(&packet.bytes[2], static_cast<uint16_t>(packet.ip.totalBytes));
    storeBe16(&packet.bytes[10], 0);
    storeBe16(&packet.bytes[10], checksumOf(packet.bytes.first(packet.ip.headerBytes)));
  }
  if (packet.isUdp()) storeBe16(&packet.transport()[4], static_cast<uint16_t>(packet.ip.transportBytes));
  packet.rewritten = true;
}

void clearUrgent(Packet& packet) {
  const std::span<uint8_t> header = packet.transport();
  header[13] &= static_cast<uint8_t>(~kTcpUrg);
  storeBe16(&header[18], 0);
  packet.tcp.flags &= static_cast<uint8_t>(~kTcpUrg);
  packet.ip.tcpFlags = packet.tcp.flags;
  packet.rewritten = true;
}

void finishRewrite(Packet& packet) {
  if (!packet.rewritten) return;
  packet.rewritten = false;
  const std::span<uint8_t> transport = packet.transport();
  const size_t at = packet.isTcp() ? kTcpChecksumOffset : kUdpChecksumOffset;
  // RFC 768: zero says that the sender made none.
  if (packet.isUdp() && loadBe16(&transport[at]) == 0) return;
  // UDP has a length of its own, which may leave out the end of the packet.
  const size_t length = packet.payloadOffset + packet.payloadBytes - packet.ip.transportOffset;
  const uint64_t pseudo = pseudoHeaderSum(packet.bytes, packet.ip.v6, packet.ip.protocol, length);
  if (packet.offload.needsChecksum) {
    storeBe16(&transport[at], checksumFold(pseudo));
    return;
  }
  storeBe16(&transport[at], 0);
  uint16_t checksum = checksumFinish(checksumAdd(transport.first(length), pseudo));
  if (packet.isUdp() && checksum == 0) checksum = 0xffff;
  storeBe16(&transport[at], checksum);
}

namespace {

constexpr size_t kIcmpv6ChecksumOffset = 2;

// A checksum field, and whether it is that of TCP or UDP for somebody else to finish: the pseudo-header's sum, not inverted.
struct SummedField {
  std::span<uint8_t> bytes{};  // empty: none
  bool unfinished = false;

  void change(uint16_t from, uint16_t to) const {
    if (bytes.empty()) return;
    const uint16_t flip = unfinished ? 0xffff : 0;
    storeBe16(bytes.data(), checksumUpdate(loadBe16(bytes.data()) ^ flip, from, to) ^ flip);
  }
};

SummedField transportField(const Packet& packet) {
  const std::span<uint8_t> transport = packet.transport();
  const bool icmpv6 = packet.ip.protocol == kProtocolIcmpv6;
  if (!packet.isTcp() && !packet.isUdp() && !icmpv6) return {};
  const size_t at = packet.isTcp() ? kTcpChecksumOffset : packet.isUdp() ? kUdpChecksumOffset : kIcmpv6ChecksumOffset;
  if (transport.size() < at + 2) return {};
  const bool unfinished = packet.offload.needsChecksum && (packet.isTcp() || packet.isUdp());
  // RFC 768: zero says that the sender made none.
  if (packet.isUdp() && !unfinished && loadBe16(&transport[at]) == 0) return {};
  return {transport.subspan(at, 2), unfinished};
}

void moveEnd(Packet& packet, bool source, const Address& address, uint16_t port) {
  const bool v6 = packet.ip.v6;
  const size_t width = v6 ? 16 : 4;
  const std::span<uint8_t> there = packet.bytes.subspan((v6 ? 8 : 12) + (source ? 0 : width), width);
  const std::span<const uint8_t> wanted = std::span{address}.last(width);
  const SummedField header{v6 ? std::span<uint8_t>{} : packet.bytes.subspan(10, 2)};
  const SummedField transport = transportField(packet);
  for (size_t i = 0; i < width; i += 2) {
    const uint16_t from = loadBe16(&there[i]);
    const uint16_t to = loadBe16(&wanted[i]);
    header.change(from, to);
    transport.change(from, to);
    storeBe16(&there[i], to);
  }
  (source ? packet.ip.source : packet.ip.destination) = address;
  if (packet.ip.portsKnown) {
    uint16_t& known = source ? packet.ip.sourcePort : packet.ip.destinationPort;
    // The pseudo-header has no ports.
    if (!transport.unfinished) transport.change(known, port);
    storeBe16(&packet.transport()[source ? 0 : 2], port);
    known = port;
  }
  if (packet.isUdp() && !transport.bytes.empty() && !transport.unfinished && loadBe16(transport.bytes.data()) == 0) {
    storeBe16(transport.bytes.data(), 0xffff);
  }
  packet.moved = true;
}

}  // namespace

void moveSource(Packet& packet, const Address& address, uint16_t port) { moveEnd(packet, true, address, port); }

void moveDestination(Packet& packet, const Address& address, uint16_t port) { moveEnd(packet, false, address, port); }

}  // namespace p2pxbone::gateway
