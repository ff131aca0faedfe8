// Reads the headers of an inner IP packet. Everything past this file may trust the offsets and lengths found here.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "core/reasons.h"

namespace p2pxbone {

// An inner address; IPv4 in its mapped form, so that one table key serves both families.
using Address = std::array<uint8_t, 16>;

[[nodiscard]] Address mappedIpv4(const uint8_t* fourBytes);
[[nodiscard]] bool isMappedIpv4(const Address& address);

inline constexpr uint8_t kProtocolIcmp = 1;
inline constexpr uint8_t kProtocolTcp = 6;
inline constexpr uint8_t kProtocolUdp = 17;
inline constexpr uint8_t kProtocolIcmpv6 = 58;

inline constexpr uint8_t kTcpFin = 0x01;
inline constexpr uint8_t kTcpSyn = 0x02;
inline constexpr uint8_t kTcpRst = 0x04;
inline constexpr uint8_t kTcpAck = 0x10;

inline constexpr size_t kIpv4HeaderBytes = 20;
inline constexpr size_t kIpv6HeaderBytes = 40;

struct InnerPacket {
  bool v6 = false;
  // IPv4 header with its options, or the fixed IPv6 header.
  size_t headerBytes = 0;
  // As the packet says, never more than there is; the rest is link-layer padding.
  size_t totalBytes = 0;
  uint8_t hopLimit = 0;
  bool dontFragment = false;  // always so for IPv6 in transit
  bool fragment = false;
  bool firstFragment = true;  // also of an unfragmented packet
  // The transport protocol, behind IPv6 extension headers; its header begins at transportOffset. Zero length left means
  // that it is not in this packet: a later fragment, or a header chain that is cut short.
  uint8_t protocol = 0;
  bool chainCut = false;  // there are more IPv6 headers than were looked through, or less of one than it says
  size_t transportOffset = 0;
  size_t transportBytes = 0;
  bool portsKnown = false;  // TCP or UDP
  uint16_t sourcePort = 0;
  uint16_t destinationPort = 0;
  bool tcpFlagsKnown = false;
  uint8_t tcpFlags = 0;
  Address source{};
  Address destination{};
};

// DropReason::none and a filled packet, or why it must not go on. The IPv4 header checksum is verified.
[[nodiscard]] DropReason parseInner(std::span<const uint8_t> bytes, InnerPacket& packet);

// Addresses that a forwarder does not carry: multicast and broadcast, and those that never leave a host or a link.
[[nodiscard]] DropReason checkAddresses(const InnerPacket& packet);

// An ICMP or ICMPv6 error message, or one that cannot be told from an error.
[[nodiscard]] bool isIcmpError(const InnerPacket& packet, std::span<const uint8_t> bytes);

}  // namespace p2pxbone
