// VXLAN header (RFC 7348 §5) and the Ethernet header inside it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "core/bytes.h"

namespace p2pxbone {

using Mac = std::array<uint8_t, 6>;

inline constexpr size_t kVxlanBytes = 8;
inline constexpr size_t kEthernetBytes = 14;
inline constexpr size_t kEncapsulationBytes = kVxlanBytes + kEthernetBytes;
inline constexpr uint8_t kVxlanFlagVni = 0x08;
inline constexpr uint16_t kEtherTypeIpv4 = 0x0800;
inline constexpr uint16_t kEtherTypeIpv6 = 0x86dd;

inline void encodeVxlan(uint8_t* to, uint32_t vni) {
  storeBe32(to, uint32_t{kVxlanFlagVni} << 24);
  storeBe24(to + 4, vni);
  to[7] = 0;
}

// The network identifier; nullopt if the header is truncated or has none. Reserved bits are ignored, as the RFC says.
[[nodiscard]] inline std::optional<uint32_t> decodeVxlan(std::span<const uint8_t> packet) {
  if (packet.size() < kVxlanBytes || (packet[0] & kVxlanFlagVni) == 0) return std::nullopt;
  return loadBe24(&packet[4]);
}

inline void encodeEthernet(uint8_t* to, const Mac& destination, const Mac& source, uint16_t etherType) {
  std::copy(destination.begin(), destination.end(), to);
  std::copy(source.begin(), source.end(), to + 6);
  storeBe16(to + 12, etherType);
}

[[nodiscard]] inline Mac macAt(const uint8_t* from) {
  Mac mac;
  std::copy_n(from, mac.size(), mac.begin());
  return mac;
}

}  // namespace p2pxbone
