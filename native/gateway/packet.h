// An IP packet on its way through the stages.
#pragma once

#include <cstdint>
#include <span>

#include "core/offload.h"
#include "core/packet.h"

namespace p2pxbone::gateway {

struct TcpHeader {
  uint32_t sequence = 0;
  uint32_t acknowledgement = 0;
  uint8_t flags = 0;
  uint16_t window = 0;  // as it stands there, not scaled
  uint8_t headerBytes = 0;

  [[nodiscard]] bool has(uint8_t flag) const { return (flags & flag) != 0; }
};

inline constexpr uint8_t kTcpPsh = 0x08;
inline constexpr uint8_t kTcpUrg = 0x20;

inline constexpr uint32_t kNoParts = 0xffffffff;

struct Packet {
  // From the IP header to the end of the packet, without padding. The caller's memory; stages may change it in place and
  // shorten it, never lengthen it.
  std::span<uint8_t> bytes;
  InnerPacket ip;
  Offload offload;
  // The caller's name for the packet: comes back with it wherever it leaves.
  uint64_t tag = 0;
  // The fragments that this datagram was put together from, in HeldPackets; they leave in its place.
  uint32_t parts = kNoParts;
  // Something was changed, so that the checksum is still to be made right: finishRewrite().
  bool rewritten = false;
  // Its addresses or ports are others than it came with; the checksums are right.
  bool moved = false;

  // Found by checkTransport(); before it zero.
  TcpHeader tcp;
  size_t payloadOffset = 0;
  size_t payloadBytes = 0;

  [[nodiscard]] bool isTcp() const { return ip.protocol == kProtocolTcp; }
  [[nodiscard]] bool isUdp() const { return ip.protocol == kProtocolUdp; }
  [[nodiscard]] std::span<uint8_t> payload() const { return bytes.subspan(payloadOffset, payloadBytes); }
  [[nodiscard]] std::span<uint8_t> transport() const { return bytes.subspan(ip.transportOffset, ip.transportBytes); }
};

// A packet as it is on the wire: a super-packet is several, each with headers of its own.
struct WireSize {
  uint64_t packets = 1;
  uint64_t bytes = 0;
};
[[nodiscard]] WireSize wireSizeOf(const Packet& packet);

// Reads the IP header, whose IPv4 checksum is verified, and cuts off padding. DropReason::none, or why it must not go on.
[[nodiscard]] DropReason parsePacket(std::span<uint8_t> bytes, const Offload& offload, uint64_t tag, Packet& packet);

}  // namespace p2pxbone::gateway
