#include "core/packet.h"

#include <algorithm>

#include "core/bytes.h"
#include "core/checksum.h"

namespace p2pxbone {
namespace {

constexpr std::array<uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// More extension headers than this are nobody's honest packet; the packet is forwarded with its transport unknown.
constexpr int kExtensionHeadersMax = 8;

void readTransport(std::span<const uint8_t> bytes, InnerPacket& packet) {
  const std::span<const uint8_t> transport = bytes.subspan(packet.transportOffset, packet.transportBytes);
  if ((packet.protocol == kProtocolTcp || packet.protocol == kProtocolUdp) && transport.size() >= 4) {
    packet.portsKnown = true;
    packet.sourcePort = loadBe16(&transport[0]);
    packet.destinationPort = loadBe16(&transport[2]);
  }
  if (packet.protocol == kProtocolTcp && transport.size() >= 14) {
    packet.tcpFlagsKnown = true;
    packet.tcpFlags = transport[13];
  }
}

DropReason parseIpv4(std::span<const uint8_t> bytes, InnerPacket& packet) {
  if (bytes.size() < kIpv4HeaderBytes) return DropReason::packetMalformed;
  packet.v6 = false;
  packet.headerBytes = size_t{bytes[0]} % 16 * 4;
  packet.totalBytes = loadBe16(&bytes[2]);
  if (packet.headerBytes < kIpv4HeaderBytes || packet.totalBytes < packet.headerBytes ||
      packet.totalBytes > bytes.size()) {
    return DropReason::packetMalformed;
  }
  if (checksumOf(bytes.first(packet.headerBytes)) != 0) return DropReason::checksumBad;
  const uint16_t fragmentField = loadBe16(&bytes[6]);
  const uint16_t offset = fragmentField & 0x1fff;
  packet.dontFragment = (fragmentField & 0x4000) != 0;
  packet.fragment = offset != 0 || (fragmentField & 0x2000) != 0;
  packet.firstFragment = offset == 0;
  packet.hopLimit = bytes[8];
  packet.protocol = bytes[9];
  packet.source = mappedIpv4(&bytes[12]);
  packet.destination = mappedIpv4(&bytes[16]);
  packet.transportOffset = packet.headerBytes;
  packet.transportBytes = packet.firstFragment ? packet.totalBytes - packet.headerBytes : 0;
  readTransport(bytes, packet);
  return DropReason::none;
}

// Walks the extension headers (RFC 8200 §4) as far as they are there.
void walkIpv6(std::span<const uint8_t> bytes, InnerPacket& packet) {
  uint8_t next = bytes[6];
  size_t at = kIpv6HeaderBytes;
  for (int i = 0; i <= kExtensionHeadersMax; ++i) {
    const size_t left = packet.totalBytes - at;
    const bool options = next == 0 || next == 43 || next == 60;
    const bool authentication = next == 51;
    const bool fragment = next == 44;
    if (!options && !authentication && !fragment) {
      packet.protocol = next;
      packet.transportOffset = at;
      packet.transportBytes = packet.firstFragment ? left : 0;
      return;
    }
    if (left < 8) break;
    size_t length = 8;
    if (options) length = (size_t{bytes[at + 1]} + 1) * 8;
    if (authentication) length = (size_t{bytes[at + 1]} + 2) * 4;
    if (length > left) break;
    if (fragment) {
      packet.fragment = true;
      packet.firstFragment = (loadBe16(&bytes[at + 2]) & 0xfff8) == 0;
    }
    next = bytes[at];
    at += length;
  }
  packet.protocol = 59;
  packet.chainCut = true;
  packet.transportOffset = packet.totalBytes;
  packet.transportBytes = 0;
}

DropReason parseIpv6(std::span<const uint8_t> bytes, InnerPacket& packet) {
  if (bytes.size() < kIpv6HeaderBytes) return DropReason::packetMalformed;
  packet.v6 = true;
  packet.headerBytes = kIpv6HeaderBytes;
  packet.totalBytes = kIpv6HeaderBytes + loadBe16(&bytes[4]);
  if (packet.totalBytes > bytes.size()) return DropReason::packetMalformed;
  packet.dontFragment = true;
  packet.hopLimit = bytes[7];
  std::copy_n(&bytes[8], 16, packet.source.begin());
  std::copy_n(&bytes[24], 16, packet.destination.begin());
  // A mapped address on the wire would be taken for an IPv4 one in the tables.
  if (isMappedIpv4(packet.source) || isMappedIpv4(packet.destination)) return DropReason::addressMartian;
  walkIpv6(bytes, packet);
  readTransport(bytes, packet);
  return DropReason::none;
}

bool isUnspecifiedOrLoopback(const Address& address) {
  return std::all_of(address.begin(), address.end() - 1, [](uint8_t byte) { return byte == 0; }) && address[15] <= 1;
}

bool isMartian(const Address& address, bool v6) {
  if (!v6) return address[12] == 0 || address[12] == 127;
  const bool linkLocal = address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
  return linkLocal || isUnspecifiedOrLoopback(address);
}

// Class E, which holds the limited broadcast address, is treated as multicast.
bool isMulticast(const Address& address, bool v6) { return v6 ? address[0] == 0xff : address[12] >= 224; }

}  // namespace

Address mappedIpv4(const uint8_t* fourBytes) {
  Address address;
  std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), address.begin());
  std::copy_n(fourBytes, 4, address.begin() + 12);
  return address;
}

bool isMappedIpv4(const Address& address) {
  return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), address.begin());
}

DropReason parseInner(std::span<const uint8_t> bytes, InnerPacket& packet) {
  packet = {};
  if (bytes.empty()) return DropReason::packetMalformed;
  switch (bytes[0] >> 4) {
    case 4: return parseIpv4(bytes, packet);
    case 6: return parseIpv6(bytes, packet);
    default: return DropReason::packetMalformed;
  }
}

DropReason checkAddresses(const InnerPacket& packet) {
  if (isMulticast(packet.destination, packet.v6)) return DropReason::multicastUnsupported;
  if (isMulticast(packet.source, packet.v6) || isMartian(packet.source, packet.v6) ||
      isMartian(packet.destination, packet.v6)) {
    return DropReason::addressMartian;
  }
  return DropReason::none;
}

bool isIcmpError(const InnerPacket& packet, std::span<const uint8_t> bytes) {
  const bool icmp = packet.protocol == (packet.v6 ? kProtocolIcmpv6 : kProtocolIcmp);
  if (!icmp) return false;
  if (packet.transportBytes == 0) return true;
  const uint8_t type = bytes[packet.transportOffset];
  // RFC 4443 §2.1 and §2.4 (e): everything below 128, and redirects.
  if (packet.v6) return type < 128 || type == 137;
  return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

}  // namespace p2pxbone
