// What a datagram on the one UDP port is, by its first byte (RFC 7983, with VXLAN's flags byte beside it).
#pragma once

#include <cstdint>
#include <span>

namespace p2pxbone {

enum class DatagramKind : uint8_t { stun, dtls, vxlan, unknown };

[[nodiscard]] inline DatagramKind classifyDatagram(std::span<const uint8_t> datagram) {
  if (datagram.empty()) return DatagramKind::unknown;
  const uint8_t first = datagram[0];
  if (first <= 3) return DatagramKind::stun;
  if (first == 8) return DatagramKind::vxlan;
  if (first >= 20 && first <= 63) return DatagramKind::dtls;
  return DatagramKind::unknown;
}

}  // namespace p2pxbone
