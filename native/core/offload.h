// What a TAP's kernel leaves to us, or we to it: checksums still to be completed, and super-packets, which stand for many
// packets of one flow that differ in position only. On the device this is the virtio-net header (VIRTIO 1.1 §5.1.6).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "core/packet.h"

namespace p2pxbone {

inline constexpr size_t kVnetHeaderBytes = 10;
// Bounds the work and memory for one super-packet: 64 KB in the smallest segments that Linux makes of TCP (48 bytes).
inline constexpr size_t kSegmentsMax = 1400;

inline constexpr size_t kTcpHeaderBytesMin = 20;
inline constexpr size_t kUdpHeaderBytes = 8;
inline constexpr size_t kTcpChecksumOffset = 16;
inline constexpr size_t kUdpChecksumOffset = 6;

struct Offload {
  enum class Kind : uint8_t { none, tcp4, tcp6, udp };
  Kind kind = Kind::none;
  // The checksum field holds the sum of the pseudo-header only.
  bool needsChecksum = false;
  // Payload of each packet but the last, bytes; of a super-packet only.
  uint16_t segmentBytes = 0;
  // Ethernet, IP and transport headers, bytes; of a super-packet only, and not to be believed when read from a device.
  uint16_t headerBytes = 0;
  // Where summing begins, from the frame's beginning, and where the checksum stands, from there; with needsChecksum only.
  uint16_t checksumStart = 0;
  uint16_t checksumOffset = 0;

  friend bool operator==(const Offload&, const Offload&) = default;
};

// Which of these a TAP takes when it is written to.
struct OffloadFeatures {
  bool checksum = false;
  bool tcp = false;
  bool udp = false;

  friend bool operator==(const OffloadFeatures&, const OffloadFeatures&) = default;
};

// Nullopt where the device names a kind of super-packet that was never agreed on.
[[nodiscard]] std::optional<Offload> decodeVnetHeader(std::span<const uint8_t, kVnetHeaderBytes> header);
[[nodiscard]] std::array<uint8_t, kVnetHeaderBytes> encodeVnetHeader(const Offload& offload);

// How a super-packet is divided, from its own headers. All in bytes but the count.
struct Division {
  size_t headers = 0;  // IP and transport
  size_t payload = 0;
  size_t segment = 0;
  size_t count = 1;

  // Of the largest packet it stands for.
  [[nodiscard]] size_t packetBytes() const { return headers + std::min(segment, payload); }
};

// How to divide the IP packet, which is one packet unless offload.kind says otherwise; nullopt if what the offload says
// and what the packet is do not agree. `bytes` begins with the IP header and is ip.totalBytes long.
[[nodiscard]] std::optional<Division> divide(const Offload& offload, const InnerPacket& ip,
                                             std::span<const uint8_t> bytes);

// Makes the checksum of a packet whole that divide() has found to be good and that is no super-packet.
void completeChecksum(const Offload& offload, const InnerPacket& ip, std::span<uint8_t> bytes);

// Sum of the pseudo-header (RFC 9293 §3.1, RFC 8200 §8.1) for a transport header and payload of that many bytes.
[[nodiscard]] uint64_t pseudoHeaderSum(std::span<const uint8_t> bytes, bool v6, uint8_t protocol, size_t transportBytes);

}  // namespace p2pxbone
